//! Requantization as the epilogue does it, with the proof that nothing wraps.

use super::ProgramError;
use super::layout::{code_offset, stored_planes};
use super::stage::Finish;
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::network::{Convolution, Place, Requantize, Rescale, Residual, Rounding, steps};
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::Mode;

/// Smallest and largest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    low: i128,
    high: i128,
}

impl Range {
    fn plus(self, other: Self) -> Self {
        Range {
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }

    fn of(values: &[i64]) -> Self {
        let bound = |value: Option<&i64>| i128::from(value.copied().unwrap_or(0));
        Range {
            low: bound(values.iter().min()),
            high: bound(values.iter().max()),
        }
    }

    fn at(value: i128) -> Self {
        Range {
            low: value,
            high: value,
        }
    }
}

/// Parameters of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    None,
    /// Thresholds, 2^levels - 1 of them.
    Thresholds(Vec<i64>),
    Affine {
        multiplier: i64,
        addend: i128,
    },
}

/// What the epilogue does to a layer's results.
#[derive(Clone, Debug)]
pub(crate) struct Epilogue {
    pub mode: Mode,
    pub levels: u32,
    pub shift: u32,
    pub round_even: bool,
    pub offset: i64,
    pub code_min: i64,
    pub code_max: i64,
    /// Whether each channel's steps fall.
    pub falling: Vec<bool>,
    pub channels: Vec<Channel>,
    /// What each stored code of the residual adds, and where.
    pub table: Option<(Vec<i64>, Place)>,
}

impl Epilogue {
    /// The epilogue of a product that reads numbers of `precision`; `residual` with the precision of its tensor.
    pub fn new(
        design: &AcceleratorDesign,
        name: &str,
        convolution: &Convolution,
        precision: Precision,
        result_shift: u32,
        finish: Finish<'_>,
        residual: Option<(&Residual, Precision)>,
    ) -> Result<Self, ProgramError> {
        let checker = Checker { design, name };
        let outputs = convolution.outputs() as usize;
        let branches = design.design().config().activation_branches;
        let mut epilogue = Epilogue {
            mode: Mode::Raw,
            levels: 1,
            shift: 0,
            round_even: false,
            offset: 0,
            code_min: 0,
            code_max: 0,
            falling: vec![false; outputs],
            channels: vec![Channel::None; outputs],
            table: residual.map(|(residual, precision)| {
                (code_table(residual, precision, branches), residual.place)
            }),
        };
        epilogue.scale(design, name, finish, precision)?;
        let table = |place| {
            let table = residual.filter(|(residual, _)| residual.place == place);
            table.map_or(Range::at(0), |(residual, _)| Range::of(&residual.table))
        };
        for channel in 0..outputs {
            let product = product_range(convolution, channel, precision);
            checker.bracket(channel, product, result_shift)?;
            let v1 = product.plus(table(Place::Before));
            checker.value(channel, v1, epilogue.mode)?;
            let v2 = epilogue.channel(finish, channel, v1);
            checker.product(channel, v2.plus(table(Place::After)), &epilogue)?;
        }
        Ok(epilogue)
    }

    /// Everything that all channels share.
    fn scale(
        &mut self,
        design: &AcceleratorDesign,
        name: &str,
        finish: Finish<'_>,
        input: Precision,
    ) -> Result<(), ProgramError> {
        let branches = design.design().config().activation_branches;
        match finish {
            Finish::Raw => {}
            Finish::Copy => {
                // Codes come from counts and products alone: a product with 1.
                self.mode = Mode::Affine;
                let half = 1 << (stored_planes(input, branches) - 1);
                // `bipolar`: code = (x + 2^planes - 1) / 2 of an odd x.
                self.shift = u32::from(input.encoding == Encoding::Bipolar);
                self.offset = if input.encoding == Encoding::Unsigned {
                    0
                } else {
                    half
                };
                self.code_min = code_offset(input, branches);
                self.code_max = self.code_min + steps(input) - 1;
            }
            Finish::Codes(requantize) => {
                let first = code_offset(requantize.precision, branches);
                self.offset = requantize.offset + first;
                self.code_min = requantize.low + first;
                self.code_max = requantize.high + first;
                self.rescale(design, name, requantize)?;
            }
        }
        Ok(())
    }

    fn rescale(
        &mut self,
        design: &AcceleratorDesign,
        name: &str,
        requantize: &Requantize,
    ) -> Result<(), ProgramError> {
        match &requantize.rescale {
            Rescale::Thresholds {
                thresholds,
                falling,
            } => {
                let count = thresholds.first().map_or(0, Vec::len);
                self.mode = Mode::Thresholds;
                self.levels = (count + 1).next_power_of_two().ilog2();
                self.falling.clone_from(falling);
                let limit = design.config().threshold_bits;
                if self.levels > limit {
                    return Err(ProgramError::Levels {
                        layer: name.to_owned(),
                        thresholds: count,
                        levels: self.levels,
                        limit,
                    });
                }
            }
            Rescale::Affine {
                shift, rounding, ..
            } => {
                self.mode = Mode::Affine;
                self.shift = *shift;
                self.round_even = *rounding == Rounding::HalfEven;
            }
        }
        Ok(())
    }

    /// The parameters of a channel whose v1 lies in `v1`; gives the range of v2.
    fn channel(&mut self, finish: Finish<'_>, channel: usize, v1: Range) -> Range {
        let requantize = match finish {
            Finish::Raw => return v1,
            Finish::Copy => {
                self.channels[channel] = Channel::Affine {
                    multiplier: 1,
                    addend: 0,
                };
                return v1;
            }
            Finish::Codes(requantize) => requantize,
        };
        match &requantize.rescale {
            Rescale::Thresholds { thresholds, .. } => {
                let (always, never) = (v1.low, v1.high + 1);
                let mut list: Vec<i64> = thresholds[channel]
                    .iter()
                    .map(|t| i128::from(*t).clamp(always, never) as i64)
                    .collect();
                // Thresholds that are always reached keep a falling channel's count from the top.
                let missing = (1 << self.levels) - 1 - list.len();
                if self.falling[channel] {
                    list.splice(0..0, std::iter::repeat_n(always as i64, missing));
                } else {
                    list.extend(std::iter::repeat_n(never as i64, missing));
                }
                self.channels[channel] = Channel::Thresholds(list);
                Range {
                    low: 0,
                    high: (1 << self.levels) - 1,
                }
            }
            Rescale::Affine {
                multipliers,
                addends,
                shift,
                rounding,
            } => {
                let half = if *rounding == Rounding::HalfUp && *shift > 0 {
                    1 << (shift - 1)
                } else {
                    0
                };
                let (multiplier, addend) =
                    (multipliers[channel], i128::from(addends[channel]) + half);
                self.channels[channel] = Channel::Affine { multiplier, addend };
                let ends = [v1.low, v1.high].map(|v| v * i128::from(multiplier) + addend);
                Range {
                    low: ends[0].min(ends[1]),
                    high: ends[0].max(ends[1]),
                }
            }
        }
    }
}

/// A residual's table by stored code; codes without a number add nothing.
fn code_table(residual: &Residual, precision: Precision, branches: u32) -> Vec<i64> {
    let first = code_offset(precision, branches) as usize;
    let mut table = vec![0; 1 << stored_planes(precision, branches)];
    table[first..first + residual.table.len()].copy_from_slice(&residual.table);
    table
}

/// The results that a channel can have; padded taps of any worth in the input's range included.
fn product_range(convolution: &Convolution, channel: usize, precision: Precision) -> Range {
    let (min, max) = precision.encoding.range(precision.bits);
    let bias = convolution.bias.as_ref().map_or(0, |bias| bias[channel]);
    let mut range = Range::at(bias.into());
    for weight in convolution.weights.vector(channel) {
        let ends = [min * i64::from(*weight), max * i64::from(*weight)];
        range.low += i128::from(ends[0].min(ends[1]).min(0));
        range.high += i128::from(ends[0].max(ends[1]).max(0));
    }
    range
}

struct Checker<'a> {
    design: &'a AcceleratorDesign,
    name: &'a str,
}

impl Checker<'_> {
    fn check(
        &self,
        channel: usize,
        what: &'static str,
        range: Range,
        width: u32,
        fix: &'static str,
    ) -> Result<(), ProgramError> {
        let limit = (1i128 << (width - 1)) - 1;
        if range.low >= -limit && range.high <= limit {
            return Ok(());
        }
        Err(ProgramError::Value {
            layer: self.name.to_owned(),
            channel,
            what,
            magnitude: range.high.max(-range.low),
            limit,
            width,
            fix,
        })
    }

    fn bracket(&self, channel: usize, product: Range, shift: u32) -> Result<(), ProgramError> {
        let range = Range {
            low: product.low << shift,
            high: product.high << shift,
        };
        self.check(
            channel,
            "the sum inside the epilogue",
            range,
            self.design.design().result_width,
            "lower the bias or raise `reduction_max`",
        )
    }

    /// v1, and where it is compared with thresholds the value one above its largest.
    fn value(&self, channel: usize, v1: Range, mode: Mode) -> Result<(), ProgramError> {
        let above = i128::from(mode != Mode::Affine);
        self.check(
            channel,
            "the accumulator with its residual",
            v1.plus(Range {
                low: 0,
                high: above,
            }),
            self.design.design().result_width,
            "lower the residual's table or the bias, or raise `reduction_max`",
        )
    }

    /// v3, and v4 before it is clamped.
    fn product(&self, channel: usize, v3: Range, epilogue: &Epilogue) -> Result<(), ProgramError> {
        let width = self.design.product_width;
        let fix = "lower multiplier, addend or the residual's table, or raise `reduction_max`";
        let half = if epilogue.shift > 0 {
            1i128 << (epilogue.shift - 1)
        } else {
            0
        };
        let rounded = v3.plus(Range { low: 0, high: half });
        self.check(channel, "the requantized value", rounded, width, fix)?;
        let shifted = Range {
            low: (v3.low >> epilogue.shift) + i128::from(epilogue.offset),
            high: (rounded.high >> epilogue.shift) + i128::from(epilogue.offset),
        };
        self.check(channel, "the step with its offset", shifted, width, fix)
    }
}
