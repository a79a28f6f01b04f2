//! Operations on single numbers: they lengthen a chain, or change what the integers of a tensor stand for.

use super::chain::{Lattice, Step, UNBOUNDED, staircase};
use super::error::{Found, refuse, require};
use super::number::{Numbers, exact, integer, round, size, whole, zip};
use super::value::{Chain, Codes, Feature, Grid, Product, Source, distance, reals_of};
use super::{Lowering, SCALE_BITS_MAX, STEPS_MAX};
use crate::graph::{Levels, Node, Op, Round};
use crate::model::InputQuantizer;
use num_traits::{Signed, Zero};
use xnorforge_sim::network::{Operation, Window};

/// The scale with which an input's sign is a quantizer: every float but 0 is at least 2^-23 of it.
const TINY: f32 = f32::MIN_POSITIVE;

/// A quantizer as steps of a chain.
struct Quantizer {
    /// From reals to integers.
    steps: Vec<Step>,
    /// What the integers stand for.
    grid: Grid,
    /// The same for an input of floats, if there is such a rule.
    input: Option<InputQuantizer>,
    /// The reals that it does not round, and what it makes of them.
    unrounded: Option<(Grid, Vec<Step>)>,
}

impl Lowering<'_> {
    /// An operation on single numbers, by constants.
    pub(super) fn elementwise(&mut self, index: usize, node: &Node) -> Found<Feature> {
        let operand = usize::from(!self.is_feature(node, 0));
        let are_both = operand == 0 && self.is_feature(node, 1);
        let feature = self.feature(node, operand)?;
        let numbers = |field| self.numbers(node, 1 - operand, field, &feature);
        let step = match &node.op {
            Op::Relu => Step::Clamp {
                low: Some(0.0),
                high: None,
            },
            Op::Clip { low, high } => clamp(*low, *high)?,
            Op::Neg => Step::Negate,
            Op::Add => Step::Add(numbers("B")?),
            Op::Sub => {
                let constant = numbers("B")?;
                if operand == 1 {
                    let negated = self.apply(index, feature, Step::Negate)?;
                    return self.apply(index, negated, Step::Add(constant));
                }
                Step::Add(negated(constant))
            }
            Op::Mul => {
                require(
                    !are_both,
                    "inputs",
                    || "two activations are multiplied".to_owned(),
                    "multiply by constants",
                )?;
                Step::Multiply(numbers("B")?)
            }
            Op::Div => {
                require(
                    operand == 0 && !are_both,
                    "inputs",
                    || "an activation divides".to_owned(),
                    "divide by constants",
                )?;
                Step::Divide(nonzero(numbers("B")?)?)
            }
            Op::BatchNormalization { epsilon } => self.normalization(node, &feature, *epsilon)?,
            Op::DequantizeLinear { axis } => {
                return self.dequantize(index, node, feature, *axis);
            }
            _ => {
                let quantizer = self.quantizer(node, &feature)?;
                return self.quantize(index, feature, quantizer);
            }
        };
        self.apply(index, feature, step)
    }

    fn quantizer(&mut self, node: &Node, feature: &Feature) -> Found<Quantizer> {
        match &node.op {
            Op::Quant { levels, round } => self.quant(node, feature, *levels, *round),
            Op::BipolarQuant => {
                let scale = positive(self.numbers(node, 1, "scale", feature)?)?;
                Ok(bipolar(&scale))
            }
            Op::Sign => Ok(self.sign(feature)),
            Op::MultiThreshold { scale, bias } => {
                self.multi_threshold(node, feature, *scale, *bias)
            }
            Op::QuantizeLinear { levels, axis } => {
                self.quantize_linear(node, feature, *levels, *axis)
            }
            Op::Trunc {
                levels,
                output_scale,
                round,
                ..
            } => self.trunc(node, feature, *levels, *output_scale, *round),
            _ => refuse(
                "operator",
                "it has no place in a network of integers",
                "remove it",
            ),
        }
    }

    fn quant(
        &self,
        node: &Node,
        feature: &Feature,
        levels: Levels,
        how: Round,
    ) -> Found<Quantizer> {
        let scale = positive(self.numbers(node, 1, "scale", feature)?)?;
        let zero = self.numbers(node, 2, "zero_point", feature)?;
        let (low, high) = levels.range();
        let grid = Grid {
            low,
            high,
            offset: zero.exact.iter().map(|z| -z).collect(),
            scale: scale.exact.to_vec(),
        };
        Ok(Quantizer {
            input: input_quantizer(&scale, &zero, (low, high), how),
            unrounded: Some((grid.clone(), Vec::new())),
            grid,
            steps: vec![
                Step::Divide(scale),
                Step::Add(zero),
                Step::Round { how, low, high },
            ],
        })
    }

    fn quantize_linear(
        &self,
        node: &Node,
        feature: &Feature,
        levels: Levels,
        axis: usize,
    ) -> Found<Quantizer> {
        let scale = positive(self.along(node, 1, "scale", feature, axis)?)?;
        let zero = self.zero_along(node, feature, axis)?;
        let (low, high) = levels.range();
        let how = Round::HalfEven;
        let mut steps = vec![Step::Divide(scale.clone())];
        if zero.exact.iter().any(|z| !z.is_zero()) {
            steps.push(Step::Round {
                how,
                low: -UNBOUNDED,
                high: UNBOUNDED,
            });
            steps.push(Step::Add(zero.clone()));
        }
        steps.push(Step::Round { how, low, high });
        let mut grid = Grid {
            low,
            high,
            scale: vec![whole(1)],
            offset: vec![whole(0)],
        };
        let is_input = matches!(feature.source, Source::Input(None, _));
        let shift = integer(zero.at(0)).filter(|_| is_input && zero.exact.len() == 1);
        if let Some(shift) = shift {
            // The quotient is rounded before the zero point is added: of an input, the integers without it are kept.
            grid.low -= shift;
            grid.high -= shift;
            grid.offset = vec![whole(shift)];
        }
        let reals = Grid {
            low,
            high,
            scale: scale.exact.to_vec(),
            offset: zero.exact.iter().map(|z| -z).collect(),
        };
        let unrounded = vec![Step::Divide(scale.clone()), Step::Add(zero.clone())];
        let none = Numbers::of_rationals(vec![whole(0)]);
        let input = input_quantizer(&scale, &none, (grid.low, grid.high), how);
        Ok(Quantizer {
            steps,
            input: input.filter(|_| shift.is_some()),
            unrounded: Some((reals, unrounded)),
            grid,
        })
    }

    /// A list along an axis that must be the channels.
    fn along(
        &self,
        node: &Node,
        input: usize,
        field: &'static str,
        feature: &Feature,
        axis: usize,
    ) -> Found<Numbers> {
        let list = self.channel_list(node, input, field, feature.shape.channels)?;
        require(
            list.exact.len() == 1 || feature.layout.is_channel(axis, feature.shape),
            field,
            || format!("axis {axis} is not the channels"),
            "quantize per tensor, or per channel",
        )?;
        Ok(list)
    }

    fn zero_along(&self, node: &Node, feature: &Feature, axis: usize) -> Found<Numbers> {
        if node.inputs.get(2).is_none_or(String::is_empty) {
            return Ok(Numbers::of_rationals(vec![whole(0)]));
        }
        let zero = self.along(node, 2, "zero_point", feature, axis)?;
        require(
            zero.exact.iter().all(num_rational::Ratio::is_integer),
            "zero_point",
            || "it is no integer".to_owned(),
            "give an integer",
        )?;
        Ok(zero)
    }

    fn dequantize(
        &mut self,
        index: usize,
        node: &Node,
        feature: Feature,
        axis: usize,
    ) -> Found<Feature> {
        let scale = positive(self.along(node, 1, "scale", &feature, axis)?)?;
        let zero = self.zero_along(node, &feature, axis)?;
        let feature = if zero.exact.iter().all(Zero::is_zero) {
            feature
        } else {
            self.apply(index, feature, Step::Add(negated(zero)))?
        };
        self.apply(index, feature, Step::Multiply(scale))
    }

    /// -1, 0 and 1; without 0 where no accumulator gives it.
    fn sign(&self, feature: &Feature) -> Quantizer {
        let is_never_zero = match &feature.source {
            Source::Chain(chain) if feature.grid.is_none() && chain.mixed.is_none() => {
                chain.lattices.iter().enumerate().all(|(c, lattice)| {
                    let mut steps = chain.steps.clone();
                    steps.push(Step::Sign);
                    let mut evaluator = super::chain::Evaluator::new(&steps, c, &self.work);
                    let stairs = staircase(lattice.count, |i| evaluator.integer(lattice.at(i)));
                    evaluator.undecided == 0 && stairs.iter().all(|s| s.1 != 0)
                })
            }
            Source::Codes(_) => feature.grid.as_ref().is_some_and(|grid| {
                let is_zero = |c| super::number::at(&grid.offset, c);
                (0..grid.channels())
                    .all(|c| integer(&-is_zero(c)).is_none_or(|q| q < grid.low || q > grid.high))
            }),
            _ => false,
        };
        if is_never_zero {
            return bipolar(&Numbers::of_rationals(vec![whole(1)]));
        }
        Quantizer {
            steps: vec![Step::Sign],
            grid: Grid {
                low: -1,
                high: 1,
                scale: vec![whole(1)],
                offset: vec![whole(0)],
            },
            input: Some(InputQuantizer {
                scale: TINY,
                zero_point: 0.0,
                low: -1,
                high: 1,
                round: Round::AwayFromZero,
            }),
            unrounded: None,
        }
    }

    fn multi_threshold(
        &self,
        node: &Node,
        feature: &Feature,
        scale: f32,
        bias: f32,
    ) -> Found<Quantizer> {
        let name = node.inputs.get(1).map_or("", String::as_str);
        let found = self.constant(name).filter(|(shape, ..)| shape.len() == 2);
        let Some((shape, _, floats)) = found else {
            return refuse(
                "thresholds",
                format!("`{name}` is no constant matrix of finite numbers"),
                "give thresholds of shape [channels or 1, steps]",
            );
        };
        let (channels, steps) = (shape[0], shape[1]);
        let is_channel = channels == 1
            || channels == feature.shape.channels as usize
                && feature.layout.is_channel(1, feature.shape);
        require(
            is_channel && (1..=255).contains(&steps),
            "thresholds",
            || {
                format!(
                    "they have shape {shape:?} where there are {} channels",
                    feature.shape.channels
                )
            },
            "give 1..=255 thresholds for each channel, or for all",
        )?;
        let (Some(factor), Some(addend)) = (exact(scale), exact(bias)) else {
            return refuse(
                "out_scale",
                "out_scale or out_bias is not finite",
                "give a finite one",
            );
        };
        require(
            !factor.is_zero(),
            "out_scale",
            || "it is 0".to_owned(),
            "give another one",
        )?;
        let mut lists: Vec<Vec<f32>> = floats.chunks(steps).map(<[f32]>::to_vec).collect();
        lists
            .iter_mut()
            .for_each(|list| list.sort_by(f32::total_cmp));
        let high = steps as i64;
        let (offset, count) = (addend / &factor, Step::Count(lists.into()));
        // A whole bias makes the integers themselves signed.
        let shift = integer(&offset).filter(|s| s.abs() <= 256);
        let mut chain = vec![count];
        if let Some(shift) = shift.filter(|s| *s != 0) {
            chain.push(Step::Add(Numbers::of_rationals(vec![whole(shift)])));
            chain.push(Step::Round {
                how: Round::HalfEven,
                low: shift,
                high: high + shift,
            });
        }
        let shift = shift.unwrap_or(0);
        Ok(Quantizer {
            steps: chain,
            grid: Grid {
                low: shift,
                high: high + shift,
                scale: vec![factor],
                offset: vec![offset - whole(shift)],
            },
            input: None,
            unrounded: None,
        })
    }

    /// QONNX's `Trunc` of version 2.
    fn trunc(
        &self,
        node: &Node,
        feature: &Feature,
        levels: Levels,
        output_scale: f32,
        how: Round,
    ) -> Found<Quantizer> {
        let scale = positive(self.numbers(node, 1, "scale", feature)?)?;
        let zero = self.numbers(node, 2, "zero_point", feature)?;
        let output =
            positive(Numbers::of_floats(&[output_scale]).or_else(|_| {
                refuse("output_scale", "it is not finite", "give a positive number")
            })?)?;
        require(
            scale.exact.len() == 1 && zero.exact.len() == 1,
            "scale",
            || "it differs between channels".to_owned(),
            "truncate with one scale",
        )?;
        let shift = (output_scale / scale.float[0]).log2().round_ties_even();
        require(
            (0.0..=32.0).contains(&shift),
            "output_scale",
            || {
                format!(
                    "{output_scale} is 2^{shift} of the scale {}",
                    scale.float[0]
                )
            },
            "give a power of two of it, 1 to 2^32",
        )?;
        let power = Numbers::of_rationals(vec![whole(1 << shift as i64)]);
        let (low, high) = levels.range();
        Ok(Quantizer {
            grid: Grid {
                low,
                high,
                scale: output.exact.to_vec(),
                offset: zip(&zero.exact, &power.exact, |z, p| -z / p),
            },
            steps: vec![
                Step::Divide(scale),
                Step::Add(zero),
                Step::Round {
                    how: Round::HalfEven,
                    low: -UNBOUNDED,
                    high: UNBOUNDED,
                },
                Step::Divide(power),
                Step::Round { how, low, high },
            ],
            input: None,
            unrounded: None,
        })
    }

    fn normalization(&self, node: &Node, feature: &Feature, epsilon: f32) -> Found<Step> {
        require(
            feature.layout.is_channel(1, feature.shape),
            "x",
            || "its second dimension is not the channels".to_owned(),
            "normalize before flattening",
        )?;
        let channels = feature.shape.channels;
        let list = |input, field| self.channel_list(node, input, field, channels);
        let variance = list(4, "variance")?;
        let least = exact(epsilon).filter(|e| !e.is_negative());
        let Some(least) = least else {
            return refuse(
                "epsilon",
                format!("{epsilon} is no number from 0 up"),
                "give one",
            );
        };
        let bad = variance
            .exact
            .iter()
            .position(|v| v.is_negative() || (v + &least).is_zero());
        if let Some(bad) = bad {
            return refuse(
                "variance",
                format!("{} of channel {bad} gives no root", variance.float[bad]),
                "give variances from 0 up, and an epsilon above 0",
            );
        }
        Ok(Step::Normalize {
            scale: list(1, "scale")?,
            bias: list(2, "bias")?,
            mean: list(3, "mean")?,
            variance,
            epsilon,
        })
    }

    /// Appends a step that is no quantizer.
    pub(super) fn apply(
        &mut self,
        index: usize,
        mut feature: Feature,
        step: Step,
    ) -> Found<Feature> {
        if matches!(feature.source, Source::Input(None, _)) {
            feature = self.integer_input(feature)?;
        }
        if let Some(border) = &feature.border {
            let keeps_zero = match &step {
                Step::Multiply(_) | Step::Divide(_) | Step::Negate => true,
                Step::Clamp { low, high } => {
                    low.is_none_or(|l| l <= 0.0) && high.is_none_or(|h| h >= 0.0)
                }
                _ => false,
            };
            if !keeps_zero || !border.value.is_zero() {
                return self.border_refused(&feature);
            }
        }
        if let Some(grid) = &mut feature.grid {
            for number in grid.scale.iter().chain(&grid.offset) {
                self.work.take_exact(number);
            }
            if !self.work.is_spent() && grid.absorb(&step) {
                let is_small = grid
                    .scale
                    .iter()
                    .chain(&grid.offset)
                    .all(|v| size(v) <= SCALE_BITS_MAX);
                require(
                    is_small,
                    "inputs",
                    || format!("the scale's quotient has more than {SCALE_BITS_MAX} bits"),
                    "fold the constants that follow each other",
                )?;
                if let Source::Chain(chain) = &mut feature.source {
                    chain.nodes.push(index);
                }
                return Ok(feature);
            }
            if let Step::Clamp { low, high } = &step {
                let (low, high) = (low.and_then(exact), high.and_then(exact));
                if let Some(clamped) = grid.clamped(low.as_ref(), high.as_ref())
                    && ends_on_codes(&feature, &clamped)
                {
                    return Ok(self.narrowed(index, feature, clamped));
                }
            }
            feature = self.opened(index, feature)?;
        }
        appended(&mut feature, index, [step])?;
        Ok(feature)
    }

    pub(super) fn border_refused<T>(&self, feature: &Feature) -> Found<T> {
        let node = feature.border.as_ref().map_or(0, |border| border.node);
        refuse(
            "inputs",
            format!(
                "`{}` pads in front of it with a number that it changes",
                self.graph.nodes[node].name
            ),
            "pad directly in front of the convolution or pool",
        )
    }

    /// A feature of the same grid with tighter bounds.
    fn narrowed(&mut self, index: usize, mut feature: Feature, grid: Grid) -> Feature {
        if feature.grid.as_ref() == Some(&grid) {
            return feature;
        }
        match &mut feature.source {
            Source::Codes(codes) => {
                let from = feature.grid.take().expect("codes have a grid");
                let step = distance(codes.precision);
                let (chain, stepped) = on_grid(index, *codes, &from, feature.shape);
                feature.source = Source::Chain(Box::new(chain));
                feature.grid = Some(Grid {
                    low: (grid.low - from.low) / step,
                    high: (grid.high - from.low) / step,
                    ..stepped
                });
                return feature;
            }
            Source::Chain(chain) => {
                chain.nodes.push(index);
                chain.names.clear();
            }
            Source::Input(_, names) => names.clear(),
        }
        feature.grid = Some(grid);
        feature
    }

    /// A quantized feature as accumulators and a chain that ends in reals.
    pub(super) fn opened(&mut self, index: usize, mut feature: Feature) -> Found<Feature> {
        if feature.border.is_some() {
            return self.border_refused(&feature);
        }
        let is_closed = match &feature.source {
            Source::Input(..) => true,
            Source::Chain(chain) => chain.after.is_some() || chain.mixed.is_some(),
            Source::Codes(_) => false,
        };
        if is_closed {
            feature = self.close(index, feature)?;
        }
        let Some(grid) = feature.grid.take() else {
            return Ok(feature);
        };
        match &mut feature.source {
            Source::Codes(codes) => {
                let chain = identity(index, *codes, &grid, feature.shape, reals_of(&grid));
                feature.source = Source::Chain(Box::new(chain));
            }
            Source::Chain(chain) => {
                chain.steps.push(Step::Round {
                    how: Round::HalfEven,
                    low: grid.low,
                    high: grid.high,
                });
                chain.steps.extend(reals_of(&grid));
                chain.names.clear();
            }
            Source::Input(..) => {}
        }
        Ok(feature)
    }

    /// Appends a quantizer.
    fn quantize(
        &mut self,
        index: usize,
        mut feature: Feature,
        quantizer: Quantizer,
    ) -> Found<Feature> {
        let Quantizer {
            steps,
            grid,
            input,
            unrounded,
        } = quantizer;
        if let Some(border) = &mut feature.border {
            // What the padding's number becomes.
            let is_simple = border.value.is_zero() && grid.channels() == 1 && input.is_some();
            let Some(rule) = input.filter(|_| is_simple) else {
                return self.border_refused(&feature);
            };
            let zero = exact(rule.zero_point).unwrap_or_else(|| whole(0));
            border.value = grid.real(0, round(&zero, rule.round, rule.low, rule.high));
        }
        if let (Source::Input(quantizer @ None, _), Some(rule)) = (&mut feature.source, input) {
            *quantizer = Some(rule);
            feature.grid = Some(grid);
            return Ok(feature);
        }
        if matches!(feature.source, Source::Input(None, _)) {
            feature = self.integer_input(feature)?;
        }
        if let (Some(old), Some((reals, after))) = (&feature.grid, unrounded)
            && let Some(clamped) = same_grid(old, &reals)
            && ends_on_codes(&feature, &clamped)
        {
            let mut feature = self.narrowed(index, feature, clamped);
            for step in &after {
                if let Some(grid) = &mut feature.grid {
                    grid.absorb(step);
                }
            }
            return Ok(feature);
        }
        let border = feature.border.take();
        if feature.grid.is_some() {
            feature = self.opened(index, feature)?;
        }
        feature.border = border;
        appended(&mut feature, index, steps)?;
        feature.grid = Some(grid);
        Ok(feature)
    }
}

/// Whether the ends of a narrower grid are numbers that the codes have: odd ones alone, of `bipolar`.
fn ends_on_codes(feature: &Feature, narrower: &Grid) -> bool {
    let (Source::Codes(codes), Some(grid)) = (&feature.source, &feature.grid) else {
        return true;
    };
    let step = distance(codes.precision);
    [narrower.low, narrower.high]
        .iter()
        .all(|end| (end - grid.low) % step == 0)
}

/// The old grid clamped as a quantizer of the same scale does that rounds nothing.
fn same_grid(old: &Grid, new: &Grid) -> Option<Grid> {
    let shifts = zip(&old.offset, &new.offset, |a, b| integer(&(a - b)));
    let scales = zip(&old.scale, &new.scale, |a, b| a == b);
    // Only where the integers stay the same, so that they are the file's.
    let is_same = scales.iter().all(|same| *same) && shifts.iter().all(|s| *s == Some(0));
    let (low, high) = (old.low.max(new.low), old.high.min(new.high));
    (is_same && low <= high).then(|| Grid {
        low,
        high,
        ..old.clone()
    })
}

fn appended(
    feature: &mut Feature,
    index: usize,
    steps: impl IntoIterator<Item = Step>,
) -> Found<()> {
    let Source::Chain(chain) = &mut feature.source else {
        return refuse("inputs", "the input is no accumulator", "quantize it");
    };
    chain.steps.extend(steps);
    chain.names.clear();
    if chain.nodes.last() != Some(&index) {
        chain.nodes.push(index);
    }
    require(
        chain.steps.len() <= STEPS_MAX,
        "inputs",
        || format!("more than {STEPS_MAX} operations follow each other without a quantizer"),
        "fold constants",
    )
}

/// Codes as the accumulators of a layer that sums windows of one number.
pub(super) fn identity(
    index: usize,
    codes: Codes,
    grid: &Grid,
    shape: xnorforge_sim::network::Shape,
    steps: Vec<Step>,
) -> Chain {
    let lattice = Lattice::new(grid.low, grid.high, distance(codes.precision));
    let product = Product {
        node: index,
        input: codes.tensor,
        operation: Operation::SumPool(Window::square(1, 1, 0)),
        shape,
        identity: Some((codes, grid.clone())),
    };
    Chain::new(product, vec![lattice; shape.channels as usize], steps)
}

/// Codes as the accumulators of such a layer that counts their steps from the least one, and the grid of that count.
pub(super) fn on_grid(
    index: usize,
    codes: Codes,
    grid: &Grid,
    shape: xnorforge_sim::network::Shape,
) -> (Chain, Grid) {
    let step = distance(codes.precision);
    let high = (grid.high - grid.low) / step;
    let steps = vec![
        Step::Add(Numbers::of_rationals(vec![whole(-grid.low)])),
        Step::Divide(Numbers::of_rationals(vec![whole(step)])),
        Step::Round {
            how: Round::HalfEven,
            low: 0,
            high,
        },
    ];
    let stepped = Grid {
        low: 0,
        high,
        scale: grid.scale.iter().map(|s| s * whole(step)).collect(),
        offset: grid
            .offset
            .iter()
            .map(|o| (o + whole(grid.low)) / whole(step))
            .collect(),
    };
    (identity(index, codes, grid, shape, steps), stepped)
}

/// Two integers: whether x is at least 0.
fn bipolar(scale: &Numbers) -> Quantizer {
    Quantizer {
        steps: vec![Step::Count([vec![0.0]].into())],
        grid: Grid {
            low: 0,
            high: 1,
            scale: scale.exact.iter().map(|s| s * whole(2)).collect(),
            offset: vec![whole(-1) / whole(2)],
        },
        input: Some(InputQuantizer {
            scale: TINY,
            zero_point: 1.0,
            low: 0,
            high: 1,
            round: Round::Floor,
        }),
        unrounded: None,
    }
}

fn input_quantizer(
    scale: &Numbers,
    zero: &Numbers,
    (low, high): (i64, i64),
    round: Round,
) -> Option<InputQuantizer> {
    let is_one = scale.float.len() == 1 && zero.float.len() == 1;
    is_one.then(|| InputQuantizer {
        scale: scale.float[0],
        zero_point: zero.float[0],
        low,
        high,
        round,
    })
}

fn clamp(low: Option<f32>, high: Option<f32>) -> Found<Step> {
    let is_legal =
        low.is_none_or(|v| v < f32::INFINITY) && high.is_none_or(|v| v > f32::NEG_INFINITY);
    let is_ordered = low.zip(high).is_none_or(|(low, high)| low <= high);
    require(
        is_legal && is_ordered,
        "min",
        || format!("{low:?} and {high:?} are no bounds"),
        "give min <= max",
    )?;
    Ok(Step::Clamp {
        low: low.filter(|v| v.is_finite()),
        high: high.filter(|v| v.is_finite()),
    })
}

fn positive(numbers: Numbers) -> Found<Numbers> {
    let bad = numbers.exact.iter().position(|v| !v.is_positive());
    match bad {
        None => Ok(numbers),
        Some(c) => refuse(
            "scale",
            format!("{} is not above 0", numbers.float[c]),
            "give positive scales",
        ),
    }
}

fn nonzero(numbers: Numbers) -> Found<Numbers> {
    require(
        numbers.exact.iter().all(|v| !v.is_zero()),
        "B",
        || "it divides by 0".to_owned(),
        "give another divisor",
    )?;
    Ok(numbers)
}

fn negated(numbers: Numbers) -> Numbers {
    Numbers {
        exact: numbers.exact.iter().map(|v| -v).collect(),
        float: numbers.float.iter().map(|v| -v).collect(),
    }
}
