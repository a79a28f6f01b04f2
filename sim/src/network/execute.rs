//! The fast executor: a network at the speed of the host, on the packed kernels.
//!
//! It gives the integers of [`super::reference::execute`], with which it shares no arithmetic: products count pair bits
//! of packed patches, thresholds are bisected. Rows are spread over the threads of the current rayon pool; nothing
//! depends on how many there are.

use super::patches::Patches;
use super::reference::Trace;
use super::{
    Convolution, Layer, Network, NetworkError, Operation, Output, Pad, Place, Requantize, Rescale,
    Residual, Shape, Tensor, TensorId, TensorType, Window, step_of_number, truncate,
};
use crate::encoder::Encoding;
use crate::gemm::{BorderClasses, Operand, Precision};
use crate::multiply::{Product, multiply_rows};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Runs a network on its input.
///
/// # Errors
/// A network that is not legal, or an input that does not fit it.
pub fn execute(network: &Network, input: &Tensor) -> Result<Trace, NetworkError> {
    let types = network.check()?;
    network.check_input(input).map_err(NetworkError::Ends)?;
    let mut trace = Trace {
        accumulators: Vec::with_capacity(network.layers.len()),
        outputs: Vec::with_capacity(network.layers.len()),
    };
    for (layer, found) in network.layers.iter().zip(&types) {
        let source = Source {
            network,
            types: &types,
            trace: &trace,
            input,
        };
        let (accumulators, output) = run_layer(&source, layer, found.shape);
        trace.accumulators.push(accumulators);
        trace.outputs.push(output);
    }
    Ok(trace)
}

/// Runs a network on its input; gives what the network gives.
///
/// # Errors
/// As [`execute`].
pub fn outputs(network: &Network, input: &Tensor) -> Result<Vec<Tensor>, NetworkError> {
    Ok(execute(network, input)?.of_network(network, input))
}

/// What the layers so far have given.
struct Source<'a> {
    network: &'a Network,
    types: &'a [TensorType],
    trace: &'a Trace,
    input: &'a Tensor,
}

impl<'a> Source<'a> {
    fn numbers(&self, id: TensorId) -> (&'a Tensor, Precision) {
        let found = self.network.tensor_type(id, self.types);
        let precision = found.and_then(|found| found.precision);
        let tensor = match id {
            TensorId::Input => self.input,
            TensorId::Layer(index) => &self.trace.outputs[index],
        };
        (
            tensor,
            precision.expect("a checked network reads numbers only"),
        )
    }

    /// A tensor at the precision at which a layer reads it.
    fn read(&self, layer: &Layer) -> (Cow<'a, Tensor>, Precision) {
        let (tensor, precision) = self.numbers(layer.input.tensor);
        match layer.input.bits {
            Some(bits) if bits < precision.bits => {
                let values = tensor.values.par_iter();
                let narrow = Tensor {
                    values: values.map(|v| truncate(precision, *v, bits)).collect(),
                    ..*tensor
                };
                (Cow::Owned(narrow), Precision { bits, ..precision })
            }
            _ => (Cow::Borrowed(tensor), precision),
        }
    }
}

fn run_layer(source: &Source<'_>, layer: &Layer, shape: Shape) -> (Tensor, Tensor) {
    let (read, precision) = source.read(layer);
    let accumulators = match &layer.operation {
        Operation::Convolution(convolution) => convolve(&read, precision, convolution, shape),
        Operation::SumPool(window) => pool(&read, window, shape, 0, |a, b| a + b),
        Operation::MaxPool(window) => {
            let numbers = pool(&read, window, shape, i64::MIN, i64::max);
            return (numbers.clone(), numbers);
        }
    };
    let residual = layer.residual.as_ref().map(|residual| {
        let (tensor, precision) = source.numbers(residual.tensor);
        (residual, tensor, precision)
    });
    let output = finish(&accumulators, residual, &layer.output);
    (accumulators, output)
}

fn convolve(
    input: &Tensor,
    precision: Precision,
    convolution: &Convolution,
    shape: Shape,
) -> Tensor {
    let groups = convolution.groups as usize;
    let (inputs, outputs) = (
        input.shape.channels as usize / groups,
        shape.channels as usize / groups,
    );
    let rows = input.images * (shape.height * shape.width) as usize;
    let has_zero = precision.encoding != Encoding::Bipolar;
    let pad = match convolution.pad {
        Pad::Number(number) => number as i32,
        Pad::Zero if has_zero => 0,
        // Taken out again by the border class; any number will do.
        Pad::Zero => precision.encoding.range(precision.bits).0 as i32,
    };
    let classes = (convolution.pad == Pad::Zero && !has_zero)
        .then(|| border_classes(input, &convolution.window, shape, inputs));
    let mut result = Tensor::zeros(input.images, shape);
    for group in 0..groups {
        let channels = group * inputs..(group + 1) * inputs;
        let patches = Patches::pack(input, precision, channels, &convolution.window, shape, pad);
        let columns = group * outputs..(group + 1) * outputs;
        let weights = group_weights(convolution, columns.clone());
        let product = Product {
            rows,
            activation: precision,
            weights: &weights,
            bias: convolution.bias.as_ref().map(|bias| &bias[columns.clone()]),
            classes: classes.as_ref(),
        };
        let values = multiply_rows(&product, |rows| patches.rows(rows));
        if groups == 1 {
            result.values = values;
        } else {
            let pixels = result.values.chunks_exact_mut(shape.channels as usize);
            for (pixel, values) in pixels.zip(values.chunks_exact(outputs)) {
                pixel[columns.clone()].copy_from_slice(values);
            }
        }
    }
    result
}

/// The weights of some output channels in the order of the patches: kernel line, tap, channel.
fn group_weights(convolution: &Convolution, columns: Range<usize>) -> Operand {
    let weights = &convolution.weights;
    let taps = (convolution.window.kernel.0 * convolution.window.kernel.1) as usize;
    let channels = weights.elements() / taps;
    let elements = weights.elements();
    let mut values = vec![0; columns.len() * elements];
    let vectors = values.par_chunks_mut(elements).enumerate();
    vectors.for_each(|(index, values)| {
        let vector = weights.vector(columns.start + index);
        for (tap, values) in values.chunks_exact_mut(channels).enumerate() {
            for (value, from) in values.iter_mut().zip(vector[tap..].iter().step_by(taps)) {
                *value = *from;
            }
        }
    });
    weights.rearranged(columns.len(), values)
}

/// The border class of every row: rows with the same taps inside the feature map share one.
fn border_classes(input: &Tensor, window: &Window, shape: Shape, channels: usize) -> BorderClasses {
    let inside = |size: u32, count: u32, at: &dyn Fn(u32) -> i64| -> Vec<bool> {
        let range = 0..i64::from(size);
        (0..count).map(|k| range.contains(&at(k))).collect()
    };
    let lines: Vec<Vec<bool>> = (0..shape.height)
        .map(|y| inside(input.shape.height, window.kernel.0, &|k| window.line(y, k)))
        .collect();
    let pixels: Vec<Vec<bool>> = (0..shape.width)
        .map(|x| inside(input.shape.width, window.kernel.1, &|k| window.pixel(x, k)))
        .collect();
    let mut known = HashMap::new();
    let mut valid = Vec::new();
    let mut of_row = Vec::with_capacity(input.images * lines.len() * pixels.len());
    for (line, pixel) in lines
        .iter()
        .flat_map(|l| pixels.iter().map(move |p| (l, p)))
    {
        let class = *known.entry((line, pixel)).or_insert_with(|| {
            let taps = line
                .iter()
                .flat_map(|l| pixel.iter().map(move |p| *l && *p));
            let taps = taps.flat_map(|tap| std::iter::repeat_n(tap, channels));
            valid.push(taps.collect());
            valid.len() as u32 - 1
        });
        of_row.push(class);
    }
    let one_image = of_row.len();
    for _ in 1..input.images {
        of_row.extend_from_within(..one_image);
    }
    BorderClasses { of_row, valid }
}

/// Joins the numbers of each channel over windows, those inside the feature map.
fn pool(
    input: &Tensor,
    window: &Window,
    shape: Shape,
    start: i64,
    join: impl Fn(i64, i64) -> i64 + Sync,
) -> Tensor {
    let mut output = Tensor::zeros(input.images, shape);
    let channels = shape.channels as usize;
    let (height, width) = (shape.height as usize, shape.width as usize);
    let lines = output.values.par_chunks_mut(width * channels).enumerate();
    lines.for_each(|(line, pixels)| {
        let (image, y) = (line / height, (line % height) as u32);
        for (x, pixel) in (0..).zip(pixels.chunks_exact_mut(channels)) {
            pixel.fill(start);
            for ky in 0..window.kernel.0 {
                let Some(y) = inside(window.line(y, ky), input.shape.height) else {
                    continue;
                };
                for kx in 0..window.kernel.1 {
                    let Some(x) = inside(window.pixel(x, kx), input.shape.width) else {
                        continue;
                    };
                    let from = &input.values[input.index(image, y, x, 0)..][..channels];
                    for (value, number) in pixel.iter_mut().zip(from) {
                        *value = join(*value, *number);
                    }
                }
            }
        }
    });
    output
}

fn inside(position: i64, size: u32) -> Option<usize> {
    (0..i64::from(size))
        .contains(&position)
        .then_some(position as usize)
}

/// Residual and requantization.
fn finish(
    accumulators: &Tensor,
    residual: Option<(&Residual, &Tensor, Precision)>,
    output: &Output,
) -> Tensor {
    if let (None, Output::Raw) = (residual, output) {
        return accumulators.clone();
    }
    let channels = accumulators.shape.channels as usize;
    let mut result = accumulators.clone();
    let pixels = result.values.par_chunks_mut(channels).enumerate();
    pixels.for_each(|(pixel, values)| {
        for (channel, value) in values.iter_mut().enumerate() {
            let (mut before, mut after) = (0, 0);
            if let Some((residual, tensor, precision)) = residual {
                let number = tensor.values[pixel * channels + channel];
                let added = residual.table[step_of_number(precision, number) as usize];
                match residual.place {
                    Place::Before => before = added,
                    Place::After => after = added,
                }
            }
            *value += before;
            if let Output::Codes(requantize) = output {
                *value = requantized(requantize, channel, *value, after);
            }
        }
    });
    result
}

fn requantized(requantize: &Requantize, channel: usize, value: i64, after: i64) -> i64 {
    let rescaled = match &requantize.rescale {
        Rescale::Thresholds {
            thresholds,
            falling,
        } => {
            let thresholds = &thresholds[channel];
            let reached = thresholds.partition_point(|threshold| *threshold <= value);
            let count = match falling[channel] {
                true => thresholds.len() - reached,
                false => reached,
            };
            count as i64 + after
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
    let step = (rescaled + requantize.offset).clamp(requantize.low, requantize.high);
    super::number_of_step(requantize.precision, step)
}
