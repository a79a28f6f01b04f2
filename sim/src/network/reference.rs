//! The reference executor: a network in plain loops over integers.
//!
//! It shares no code with the compiler, the packed kernels or the models, only the data structures.

use super::{
    Convolution, Network, NetworkError, Operation, Output, Pad, Place, Requantize, Rescale,
    Residual, Shape, Tensor, TensorId, Window, number_of_step, step_of_number, truncate,
};
use crate::gemm::Precision;

/// The integers of every layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Each layer's accumulators, before residual and requantization; a max-pool has its numbers here.
    pub accumulators: Vec<Tensor>,
    /// Each layer's output: numbers, or accumulators (with the residual) where the output is raw.
    pub outputs: Vec<Tensor>,
}

impl Trace {
    /// The tensors that the network gives.
    pub fn of_network(&self, network: &Network, input: &Tensor) -> Vec<Tensor> {
        let tensor = |id: &TensorId| match id {
            TensorId::Input => input.clone(),
            TensorId::Layer(index) => self.outputs[*index].clone(),
        };
        network.outputs.iter().map(tensor).collect()
    }
}

/// Runs a network on its input.
///
/// # Errors
/// A network that is not legal, or an input that does not fit it.
pub fn execute(network: &Network, input: &Tensor) -> Result<Trace, NetworkError> {
    let types = network.check_run(input)?;
    let mut trace = Trace {
        accumulators: Vec::new(),
        outputs: Vec::new(),
    };
    for (index, layer) in network.layers.iter().enumerate() {
        let (read, precision) = operand(network, &trace, &types, layer.input.tensor, input);
        let bits = layer.input.bits.unwrap_or(precision.bits);
        let read = truncated(read, precision, bits);
        let accumulators = match &layer.operation {
            Operation::Convolution(convolution) => convolve(&read, convolution, types[index].shape),
            Operation::SumPool(window) => pool(&read, window, types[index].shape, 0, |a, b| a + b),
            Operation::MaxPool(window) => {
                pool(&read, window, types[index].shape, i64::MIN, i64::max)
            }
        };
        let output = if matches!(layer.operation, Operation::MaxPool(_)) {
            accumulators.clone()
        } else {
            let residual = layer.residual.as_ref().map(|residual| {
                let (tensor, precision) = operand(network, &trace, &types, residual.tensor, input);
                added(residual, tensor, precision)
            });
            finish(&accumulators, residual, &layer.output)
        };
        trace.accumulators.push(accumulators);
        trace.outputs.push(output);
    }
    Ok(trace)
}

fn operand<'a>(
    network: &Network,
    trace: &'a Trace,
    types: &[super::TensorType],
    id: TensorId,
    input: &'a Tensor,
) -> (&'a Tensor, Precision) {
    match id {
        TensorId::Input => (input, network.precision),
        TensorId::Layer(index) => {
            let precision = types[index].precision;
            let precision = precision.expect("a checked network reads numbers only");
            (&trace.outputs[index], precision)
        }
    }
}

fn truncated(tensor: &Tensor, precision: Precision, bits: u32) -> Tensor {
    let mut tensor = tensor.clone();
    if bits < precision.bits {
        for value in &mut tensor.values {
            *value = truncate(precision, *value, bits);
        }
    }
    tensor
}

fn convolve(input: &Tensor, convolution: &Convolution, shape: Shape) -> Tensor {
    let mut output = Tensor::zeros(input.images, shape);
    let inputs_per_group = (input.shape.channels / convolution.groups) as usize;
    let outputs_per_group = (shape.channels / convolution.groups) as usize;
    let window = &convolution.window;
    for image in 0..input.images {
        for oy in 0..shape.height {
            for ox in 0..shape.width {
                for o in 0..shape.channels as usize {
                    let first = o / outputs_per_group * inputs_per_group;
                    let mut sum = convolution.bias.as_ref().map_or(0, |bias| bias[o]);
                    for ky in 0..window.kernel.0 {
                        for kx in 0..window.kernel.1 {
                            let at = inside(input, window.line(oy, ky), window.pixel(ox, kx));
                            for c in 0..inputs_per_group {
                                let x = match (at, convolution.pad) {
                                    (Some((y, x)), _) => input.at(image, y, x, first + c),
                                    (None, Pad::Zero) => 0,
                                    (None, Pad::Number(number)) => number,
                                };
                                sum += x * i64::from(convolution.weight(o, c, ky, kx));
                            }
                        }
                    }
                    let index = output.index(image, oy as usize, ox as usize, o);
                    output.values[index] = sum;
                }
            }
        }
    }
    output
}

fn inside(tensor: &Tensor, y: i64, x: i64) -> Option<(usize, usize)> {
    let (height, width) = (tensor.shape.height.into(), tensor.shape.width.into());
    if (0..height).contains(&y) && (0..width).contains(&x) {
        Some((y as usize, x as usize))
    } else {
        None
    }
}

fn pool(
    input: &Tensor,
    window: &Window,
    shape: Shape,
    start: i64,
    join: impl Fn(i64, i64) -> i64,
) -> Tensor {
    let mut output = Tensor::zeros(input.images, shape);
    for image in 0..input.images {
        for oy in 0..shape.height {
            for ox in 0..shape.width {
                for c in 0..shape.channels as usize {
                    let mut value = start;
                    for ky in 0..window.kernel.0 {
                        for kx in 0..window.kernel.1 {
                            let at = inside(input, window.line(oy, ky), window.pixel(ox, kx));
                            if let Some((y, x)) = at {
                                value = join(value, input.at(image, y, x, c));
                            }
                        }
                    }
                    let index = output.index(image, oy as usize, ox as usize, c);
                    output.values[index] = value;
                }
            }
        }
    }
    output
}

/// What a residual adds to each number of a layer's output.
fn added(residual: &Residual, tensor: &Tensor, precision: Precision) -> (Place, Vec<i64>) {
    let values = tensor.values.iter();
    let values = values
        .map(|number| residual.table[step_of_number(precision, *number) as usize])
        .collect();
    (residual.place, values)
}

fn finish(accumulators: &Tensor, residual: Option<(Place, Vec<i64>)>, output: &Output) -> Tensor {
    let channels = accumulators.shape.channels as usize;
    let mut result = accumulators.clone();
    for (index, value) in result.values.iter_mut().enumerate() {
        let (mut before, mut after) = (0, 0);
        match &residual {
            Some((Place::Before, values)) => before = values[index],
            Some((Place::After, values)) => after = values[index],
            None => {}
        }
        *value += before;
        if let Output::Codes(requantize) = output {
            *value = requantized(requantize, index % channels, *value, after);
        }
    }
    result
}

fn requantized(requantize: &Requantize, channel: usize, value: i64, after: i64) -> i64 {
    let step = match &requantize.rescale {
        Rescale::Thresholds {
            thresholds,
            falling,
        } => {
            let mut reached = 0;
            for threshold in &thresholds[channel] {
                if value >= *threshold {
                    reached += 1;
                }
            }
            if falling[channel] {
                reached = thresholds[channel].len() as i64 - reached;
            }
            reached + after
        }
        Rescale::Affine {
            multipliers,
            addends,
            shift,
            rounding,
        } => {
            let scaled = value * multipliers[channel] + addends[channel] + after;
            rounding.shift(scaled, *shift)
        }
    };
    let step = (step + requantize.offset).clamp(requantize.low, requantize.high);
    number_of_step(requantize.precision, step)
}

#[cfg(test)]
mod tests {
    use crate::network::Rounding;

    #[test]
    fn shifts_round_as_they_say() {
        for (rounding, expected) in [
            (Rounding::Floor, [-2, -2, -1, -1, 0, 0, 1, 1]),
            (Rounding::HalfUp, [-2, -1, -1, 0, 0, 1, 1, 2]),
            (Rounding::HalfEven, [-2, -2, -1, 0, 0, 0, 1, 2]),
        ] {
            let found: Vec<i64> = (-4..4).map(|v| rounding.shift(v, 1)).collect();
            assert_eq!(found, expected, "{rounding:?}");
        }
    }
}
