//! Networks at the host's speed: products by the packed kernel, everything else in flat loops.
//!
//! Tests hold it to [`super::reference`].

use super::{
    Convolution, Network, NetworkError, Operation, Output, Pad, Place, Requantize, Rescale,
    Residual, Shape, Tensor, TensorId, Window, number_of_step, step_of_number, truncate,
};
use crate::encoder::Encoding;
use crate::gemm::{Operand, Precision};
use crate::run::{PackedWeights, RowPanel};
use rayon::prelude::*;

/// Fewest input channels of a group for which packing pays.
const PACKED_CHANNELS_MIN: u32 = 16;

/// Numbers of a tensor as they are computed with.
#[derive(Clone, Debug)]
struct Map {
    images: usize,
    shape: Shape,
    precision: Precision,
    values: Vec<i32>,
}

/// What a layer gives.
enum Given {
    Numbers(Map),
    Raw(Tensor),
}

impl Given {
    /// The numbers; a checked network reads no raw accumulators.
    fn numbers(&self) -> &Map {
        match self {
            Given::Numbers(map) => map,
            Given::Raw(_) => unreachable!("a checked network reads numbers only"),
        }
    }

    fn tensor(&self) -> Tensor {
        match self {
            Given::Numbers(map) => map.tensor(),
            Given::Raw(tensor) => tensor.clone(),
        }
    }
}

impl Map {
    fn tensor(&self) -> Tensor {
        Tensor {
            images: self.images,
            shape: self.shape,
            values: self.values.iter().map(|value| i64::from(*value)).collect(),
        }
    }
}

/// Runs a network on its input; gives what the network gives.
///
/// # Errors
/// As [`super::reference::execute`].
pub fn execute(network: &Network, input: &Tensor) -> Result<Vec<Tensor>, NetworkError> {
    let types = network.check_run(input)?;
    let input = Map {
        images: input.images,
        shape: input.shape,
        precision: network.precision,
        values: input.values.iter().map(|value| *value as i32).collect(),
    };
    let last_use = last_uses(network);
    let mut given: Vec<Option<Given>> = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let map = |id: TensorId| match id {
            TensorId::Input => &input,
            TensorId::Layer(index) => kept(&given, index).numbers(),
        };
        let read = cut(map(layer.input.tensor), layer.input.bits);
        let shape = types[index].shape;
        let after = After {
            output: &layer.output,
            residual: layer.residual.as_ref().map(|r| (r, map(r.tensor))),
        };
        let output = match &layer.operation {
            Operation::MaxPool(window) => Given::Numbers(largest(&read, window, shape)),
            Operation::Convolution(convolution) => product(&read, convolution, shape, &after),
            Operation::SumPool(window) => {
                after.finish(read.images, shape, sums(&read, window, shape))
            }
        };
        given.push(Some(output));
        for (given, last) in given.iter_mut().zip(&last_use) {
            if *last <= index {
                *given = None;
            }
        }
    }
    let tensor = |id: &TensorId| match id {
        TensorId::Input => input.tensor(),
        TensorId::Layer(index) => kept(&given, *index).tensor(),
    };
    Ok(network.outputs.iter().map(tensor).collect())
}

fn kept(given: &[Option<Given>], index: usize) -> &Given {
    given[index]
        .as_ref()
        .expect("outputs are kept until their last use")
}

/// For each layer, the last layer that reads its output; its own index where none does.
fn last_uses(network: &Network) -> Vec<usize> {
    let mut last: Vec<usize> = (0..network.layers.len()).collect();
    for (index, layer) in network.layers.iter().enumerate() {
        let residual = layer.residual.as_ref().map(|residual| residual.tensor);
        for id in std::iter::once(layer.input.tensor).chain(residual) {
            if let TensorId::Layer(from) = id {
                last[from] = index;
            }
        }
    }
    for output in &network.outputs {
        if let TensorId::Layer(index) = output {
            last[*index] = usize::MAX;
        }
    }
    last
}

/// A map at fewer of its most significant bits.
fn cut(map: &Map, bits: Option<u32>) -> std::borrow::Cow<'_, Map> {
    let precision = map.precision;
    match bits {
        Some(bits) if bits < precision.bits => {
            let values = map.values.iter();
            let values = values.map(|v| truncate(precision, i64::from(*v), bits) as i32);
            std::borrow::Cow::Owned(Map {
                precision: Precision { bits, ..precision },
                values: values.collect(),
                ..*map
            })
        }
        _ => std::borrow::Cow::Borrowed(map),
    }
}

/// What happens to accumulators.
struct After<'a> {
    output: &'a Output,
    /// The table of the residual's numbers from the least up, its place, and the residual.
    residual: Option<(&'a Residual, &'a Map)>,
}

impl After<'_> {
    /// What the residual adds at an index: before, after.
    fn added(&self, index: usize) -> (i64, i64) {
        let Some((residual, map)) = self.residual else {
            return (0, 0);
        };
        let step = step_of_number(map.precision, i64::from(map.values[index]));
        let value = residual.table[step as usize];
        match residual.place {
            Place::Before => (value, 0),
            Place::After => (0, value),
        }
    }

    /// What an accumulator becomes.
    fn number(&self, requantize: &Requantize, index: usize, channel: usize, sum: i64) -> i32 {
        let (before, after) = self.added(index);
        number(requantize, channel, sum + before, after)
    }

    /// What becomes of accumulators.
    fn finish(&self, images: usize, shape: Shape, mut sums: Vec<i64>) -> Given {
        let channels = shape.channels as usize;
        let Output::Codes(requantize) = self.output else {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += self.added(index).0;
            }
            return Given::Raw(Tensor {
                images,
                shape,
                values: sums,
            });
        };
        let values = sums.par_iter().enumerate();
        let values =
            values.map(|(index, sum)| self.number(requantize, index, index % channels, *sum));
        Given::Numbers(Map {
            images,
            shape,
            precision: requantize.precision,
            values: values.collect(),
        })
    }
}

/// The number that an accumulator becomes.
fn number(requantize: &Requantize, channel: usize, value: i64, after: i64) -> i32 {
    let step = match &requantize.rescale {
        Rescale::Thresholds {
            thresholds,
            falling,
        } => {
            let list = &thresholds[channel];
            let reached = list.partition_point(|threshold| *threshold <= value);
            let steps = if falling[channel] {
                list.len() - reached
            } else {
                reached
            };
            steps as i64 + after
        }
        Rescale::Affine {
            multipliers,
            addends,
            shift,
            rounding,
        } => rounding.shift(
            value * multipliers[channel] + addends[channel] + after,
            *shift,
        ),
    };
    let step = (step + requantize.offset).clamp(requantize.low, requantize.high);
    number_of_step(requantize.precision, step) as i32
}

/// A convolution with what follows it.
fn product(input: &Map, convolution: &Convolution, shape: Shape, after: &After<'_>) -> Given {
    let per_group = input.shape.channels / convolution.groups;
    if convolution.groups > 1 && per_group < PACKED_CHANNELS_MIN {
        let sums = direct(input, convolution, shape);
        return after.finish(input.images, shape, sums);
    }
    if let (1, Output::Codes(requantize)) = (convolution.groups, after.output) {
        let columns = shape.channels as usize;
        let mut values = vec![0; input.images * shape.len()];
        Packed::new(input, convolution, shape, 0).multiply(&mut values, |first, sums, numbers| {
            for (i, (number, sum)) in numbers.iter_mut().zip(sums).enumerate() {
                *number = after.number(requantize, first * columns + i, i % columns, *sum);
            }
        });
        return Given::Numbers(Map {
            images: input.images,
            shape,
            precision: requantize.precision,
            values,
        });
    }
    let mut sums = vec![0; input.images * shape.len()];
    for group in 0..convolution.groups {
        let packed = Packed::new(input, convolution, shape, group);
        let columns = (shape.channels / convolution.groups) as usize;
        let mut of_group = vec![0; sums.len() / convolution.groups as usize];
        packed.multiply(&mut of_group, |_, results, sums| {
            sums.copy_from_slice(results);
        });
        for (pixel, of_group) in of_group.chunks(columns).enumerate() {
            let at = pixel * shape.channels as usize + group as usize * columns;
            sums[at..at + columns].copy_from_slice(of_group);
        }
    }
    after.finish(input.images, shape, sums)
}

/// One group of a convolution, packed, with the rows of its product.
struct Packed<'a> {
    input: &'a Map,
    window: &'a Window,
    shape: Shape,
    /// First channel and channels that it reads.
    channel: usize,
    channels: usize,
    /// What padded taps hold.
    pad: i32,
    /// Border classes in x; one of `classes_y * classes_x` for each output.
    class_of_y: Vec<u32>,
    class_of_x: Vec<u32>,
    classes_x: u32,
    weights: PackedWeights,
}

impl<'a> Packed<'a> {
    fn new(input: &'a Map, convolution: &'a Convolution, shape: Shape, group: u32) -> Self {
        let precision = input.precision;
        let window = &convolution.window;
        let channels = (input.shape.channels / convolution.groups) as usize;
        let (least, _) = precision.encoding.range(precision.bits);
        // `bipolar` has no zero: the class of the row takes code 0 out again.
        let is_masked = convolution.pad == Pad::Zero && precision.encoding == Encoding::Bipolar;
        let pad = match convolution.pad {
            Pad::Number(number) => number as i32,
            Pad::Zero if is_masked => least as i32,
            Pad::Zero => 0,
        };
        let (class_of_y, inside_y) = classes(shape.height, window.kernel.0, |o, k| {
            !is_masked || (0..i64::from(input.shape.height)).contains(&window.line(o, k))
        });
        let (class_of_x, inside_x) = classes(shape.width, window.kernel.1, |o, k| {
            !is_masked || (0..i64::from(input.shape.width)).contains(&window.pixel(o, k))
        });
        let valid: Vec<Vec<bool>> = inside_y
            .iter()
            .flat_map(|y| inside_x.iter().map(|x| taps_inside(y, x, channels)))
            .collect();
        let outputs = convolution.outputs() / convolution.groups;
        let first = group * outputs;
        let bias = convolution.bias.as_ref();
        let bias = bias.map(|bias| &bias[first as usize..(first + outputs) as usize]);
        let weights = by_pixel(convolution, first, outputs, channels);
        Packed {
            weights: PackedWeights::new(&weights, precision, bias, is_masked.then_some(&valid)),
            input,
            window,
            shape,
            channel: group as usize * channels,
            channels,
            pad,
            class_of_y,
            class_of_x,
            classes_x: inside_x.len() as u32,
        }
    }

    /// Multiplies; `finish` takes the first row of a panel and its results.
    fn multiply<T: Send>(
        &self,
        outputs: &mut [T],
        finish: impl Fn(usize, &[i64], &mut [T]) + Sync,
    ) {
        let taps = (self.window.kernel.0 * self.window.kernel.1) as usize;
        self.weights.multiply_rows(
            taps * self.channels,
            outputs,
            |panel| self.fill(panel),
            finish,
        );
    }

    /// Gathers the patches of some output pixels.
    fn fill(&self, panel: RowPanel<'_>) {
        let (width, height) = (self.shape.width as usize, self.shape.height as usize);
        let row_elements = panel.values.len() / panel.classes.len();
        let rows = panel.values.chunks_exact_mut(row_elements);
        for ((row, class), pixel) in rows.zip(panel.classes).zip(panel.first..) {
            let (x, y, image) = (
                pixel % width,
                pixel / width % height,
                pixel / width / height,
            );
            *class = self.class_of_y[y] * self.classes_x + self.class_of_x[x];
            self.patch(image, y as u32, x as u32, row);
        }
    }

    fn patch(&self, image: usize, oy: u32, ox: u32, row: &mut [i32]) {
        let size = self.input.shape;
        let (kh, kw) = self.window.kernel;
        let mut taps = row.chunks_exact_mut(self.channels);
        for ky in 0..kh {
            let y = self.window.line(oy, ky);
            let is_line = (0..i64::from(size.height)).contains(&y);
            for kx in 0..kw {
                let x = self.window.pixel(ox, kx);
                let Some(tap) = taps.next() else { return };
                if is_line && (0..i64::from(size.width)).contains(&x) {
                    let pixel = (image * size.height as usize + y as usize) * size.width as usize
                        + x as usize;
                    let at = pixel * size.channels as usize + self.channel;
                    tap.copy_from_slice(&self.input.values[at..at + self.channels]);
                } else {
                    tap.fill(self.pad);
                }
            }
        }
    }
}

/// Groups outputs by which of their taps are inside: the class of each, and the taps of each class.
fn classes(
    outputs: u32,
    taps: u32,
    is_inside: impl Fn(u32, u32) -> bool,
) -> (Vec<u32>, Vec<Vec<bool>>) {
    let mut known: Vec<Vec<bool>> = Vec::new();
    let mut class = |o| {
        let inside: Vec<bool> = (0..taps).map(|k| is_inside(o, k)).collect();
        let index = known.iter().position(|k| *k == inside);
        index.unwrap_or_else(|| {
            known.push(inside);
            known.len() - 1
        }) as u32
    };
    let of_output = (0..outputs).map(&mut class).collect();
    (of_output, known)
}

fn taps_inside(y: &[bool], x: &[bool], channels: usize) -> Vec<bool> {
    let taps = y.iter().flat_map(|y| x.iter().map(move |x| *y && *x));
    taps.flat_map(|inside| std::iter::repeat_n(inside, channels))
        .collect()
}

/// Weights of some outputs in the order `[output][ky][kx][channel]`, that of a patch.
fn by_pixel(convolution: &Convolution, first: u32, outputs: u32, channels: usize) -> Operand {
    let (kh, kw) = convolution.window.kernel;
    let taps = (kh * kw) as usize;
    let mut values = vec![0; outputs as usize * taps * channels];
    for (o, to) in values.chunks_exact_mut(taps * channels).enumerate() {
        let from = convolution.weights.vector(first as usize + o);
        for (tap, to) in to.chunks_exact_mut(channels).enumerate() {
            for (channel, to) in to.iter_mut().enumerate() {
                *to = from[channel * taps + tap];
            }
        }
    }
    let precision = convolution.weights.precision();
    Operand::new(
        "weights",
        precision,
        outputs as usize,
        taps * channels,
        values,
    )
    .expect("the same weights in another order")
}

/// A convolution of few channels in a group, tap by tap.
fn direct(input: &Map, convolution: &Convolution, shape: Shape) -> Vec<i64> {
    let channels = (input.shape.channels / convolution.groups) as usize;
    let outputs = (shape.channels / convolution.groups) as usize;
    let pad = match convolution.pad {
        Pad::Zero => 0,
        Pad::Number(number) => number as i32,
    };
    let window = &convolution.window;
    let mut sums = vec![0; input.images * shape.len()];
    let pixels = sums.par_chunks_mut(shape.channels as usize).enumerate();
    pixels.for_each(|(pixel, sums)| {
        if let Some(bias) = &convolution.bias {
            sums.copy_from_slice(bias);
        }
        for_each_tap(input, window, shape, pixel, |tap, numbers| {
            for (o, sum) in sums.iter_mut().enumerate() {
                let weights = convolution.weights.vector(o);
                let first = o / outputs * channels;
                for c in 0..channels {
                    let x = numbers.map_or(pad, |numbers| numbers[first + c]);
                    let taps = weights.len() / channels;
                    *sum += i64::from(x) * i64::from(weights[c * taps + tap]);
                }
            }
        });
    });
    sums
}

/// Calls `visit` with each tap of an output pixel and the channels there, none outside.
fn for_each_tap(
    input: &Map,
    window: &Window,
    shape: Shape,
    pixel: usize,
    mut visit: impl FnMut(usize, Option<&[i32]>),
) {
    let size = input.shape;
    let (width, height) = (shape.width as usize, shape.height as usize);
    let (ox, oy) = ((pixel % width) as u32, (pixel / width % height) as u32);
    let image = pixel / width / height;
    for ky in 0..window.kernel.0 {
        let y = window.line(oy, ky);
        for kx in 0..window.kernel.1 {
            let x = window.pixel(ox, kx);
            let is_inside =
                (0..i64::from(size.height)).contains(&y) && (0..i64::from(size.width)).contains(&x);
            let numbers = is_inside.then(|| {
                let pixel =
                    (image * size.height as usize + y as usize) * size.width as usize + x as usize;
                &input.values[pixel * size.channels as usize..][..size.channels as usize]
            });
            visit((ky * window.kernel.1 + kx) as usize, numbers);
        }
    }
}

/// The sum of each channel over a window.
fn sums(input: &Map, window: &Window, shape: Shape) -> Vec<i64> {
    let mut sums = vec![0; input.images * shape.len()];
    let pixels = sums.par_chunks_mut(shape.channels as usize).enumerate();
    pixels.for_each(|(pixel, sums)| {
        for_each_tap(input, window, shape, pixel, |_, numbers| {
            for (sum, number) in sums.iter_mut().zip(numbers.unwrap_or(&[])) {
                *sum += i64::from(*number);
            }
        });
    });
    sums
}

/// The largest number of each channel in a window.
fn largest(input: &Map, window: &Window, shape: Shape) -> Map {
    let mut values = vec![i32::MIN; input.images * shape.len()];
    let pixels = values.par_chunks_mut(shape.channels as usize).enumerate();
    pixels.for_each(|(pixel, values)| {
        for_each_tap(input, window, shape, pixel, |_, numbers| {
            for (value, number) in values.iter_mut().zip(numbers.unwrap_or(&[])) {
                *value = (*value).max(*number);
            }
        });
    });
    Map {
        images: input.images,
        shape,
        precision: input.precision,
        values,
    }
}
