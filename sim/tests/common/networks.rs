//! Random small networks with every kind of layer.

use rand::Rng;
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Padding, Place, Read, Requantize, Rescale,
    Residual, Rounding, Shape, Tensor, TensorId, TensorType, Window, number_of_step, steps,
};
use xnorforge_sim::{Encoding, Operand, Precision};

/// What a network may be made of.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bits of an activation.
    pub activation_bits: u32,
    /// Most bits of a weight.
    pub weight_bits: u32,
    /// Most bits of a code that thresholds make.
    pub threshold_bits: u32,
    /// Largest height and width of the input.
    pub size: u32,
    /// Most channels.
    pub channels: u32,
    /// Most layers.
    pub layers: usize,
}

/// An encoding and bits, at most `bits` of them.
pub fn precision(rng: &mut impl Rng, bits: u32) -> Precision {
    let encodings: &[Encoding] = match bits {
        1 => &[Encoding::Bipolar, Encoding::Unsigned],
        _ => &Encoding::ALL,
    };
    let encoding = encodings[rng.random_range(0..encodings.len())];
    match encoding {
        Encoding::Ternary => Precision::new(encoding, 2),
        Encoding::Signed => Precision::new(encoding, rng.random_range(2..=bits)),
        _ => Precision::new(encoding, rng.random_range(1..=bits)),
    }
}

/// Random numbers of a precision.
pub fn tensor(rng: &mut impl Rng, images: usize, shape: Shape, precision: Precision) -> Tensor {
    let top = steps(precision);
    let values = (0..images * shape.len())
        .map(|_| number_of_step(precision, rng.random_range(0..top)))
        .collect();
    Tensor {
        images,
        shape,
        values,
    }
}

fn window(rng: &mut impl Rng, shape: Shape, pads: bool) -> Window {
    loop {
        let mut pad = || if pads { rng.random_range(0..3) } else { 0 };
        let padding = Padding {
            top: pad(),
            left: pad(),
            bottom: pad(),
            right: pad(),
        };
        let mut pair = |most: u32| (rng.random_range(1..=most), rng.random_range(1..=most));
        let window = Window {
            kernel: pair(3),
            stride: pair(2),
            dilation: pair(2),
            padding,
        };
        if window
            .output(shape)
            .is_some_and(|(h, w)| h <= 16 && w <= 16)
        {
            return window;
        }
    }
}

fn requantize(rng: &mut impl Rng, limits: &Limits, channels: usize, reach: i64) -> Requantize {
    let precision = precision(rng, limits.activation_bits);
    let top = steps(precision) - 1;
    let bits = 64 - (top as u64).leading_zeros();
    if bits <= limits.threshold_bits && rng.random_bool(0.6) {
        let thresholds = (0..channels)
            .map(|_| {
                let mut list: Vec<i64> =
                    (0..top).map(|_| rng.random_range(-reach..=reach)).collect();
                list.sort_unstable();
                list
            })
            .collect();
        let falling = (0..channels).map(|_| rng.random_bool(0.3)).collect();
        return Requantize::new(
            precision,
            Rescale::Thresholds {
                thresholds,
                falling,
            },
        );
    }
    let shift = rng.random_range(0..12);
    let scale = ((top + 1) << shift) / reach.max(1);
    let low = rng.random_range(0..=top / 2);
    let rounding = [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven][rng.random_range(0..3)];
    let scale = scale.clamp(1, 1 << 14);
    Requantize {
        offset: rng.random_range(-2..=top),
        low,
        high: rng.random_range(low..=top),
        ..Requantize::new(
            precision,
            Rescale::Affine {
                multipliers: (0..channels)
                    .map(|_| rng.random_range(-scale..=2 * scale))
                    .collect(),
                addends: (0..channels)
                    .map(|_| rng.random_range(-(1 << shift)..=1 << shift))
                    .collect(),
                shift,
                rounding,
            },
        )
    }
}

/// A random legal network.
pub fn network(rng: &mut impl Rng, limits: &Limits) -> Network {
    let mut size = || rng.random_range(1..=limits.size);
    let (height, width) = (size(), size());
    let mut network = Network {
        name: "random".to_owned(),
        input: Shape::new(height, width, rng.random_range(1..=limits.channels)),
        precision: precision(rng, limits.activation_bits),
        layers: Vec::new(),
        outputs: Vec::new(),
    };
    let layers = rng.random_range(1..=limits.layers);
    for index in 0..layers {
        let last = index + 1 == layers;
        let types = match index {
            0 => Vec::new(),
            _ => network.check().expect("legal so far"),
        };
        network.outputs = vec![TensorId::Layer(index)];
        loop {
            let layer = layer(rng, limits, &network, &types, last);
            network.layers.push(layer);
            if network.check().is_ok() {
                break;
            }
            network.layers.pop();
        }
    }
    network
}

fn layer(
    rng: &mut impl Rng,
    limits: &Limits,
    network: &Network,
    types: &[TensorType],
    last: bool,
) -> Layer {
    let index = types.len();
    let kind = |id: TensorId| match id {
        TensorId::Input => (network.input, Some(network.precision)),
        TensorId::Layer(i) => (types[i].shape, types[i].precision),
    };
    let tensor = match index {
        0 => TensorId::Input,
        _ if rng.random_bool(0.8) => TensorId::Layer(index - 1),
        1 => TensorId::Input,
        _ => TensorId::Layer(rng.random_range(0..index)),
    };
    let (shape, precision) = kind(tensor);
    let precision = precision.expect("only the last layer is raw");
    let bits = (precision.encoding != Encoding::Ternary && rng.random_bool(0.15))
        .then(|| rng.random_range(1..=precision.bits));
    let input = Read { tensor, bits };
    let (operation, channels, elements) = operation(rng, limits, shape, precision, bits);
    if let Operation::MaxPool(_) = operation {
        return Layer {
            name: format!("l{index}"),
            input,
            operation,
            residual: None,
            output: Output::Raw,
        };
    }
    let reach = elements as i64 * 4;
    let output = match last && rng.random_bool(0.5) {
        true => Output::Raw,
        false => Output::Codes(requantize(rng, limits, channels as usize, reach)),
    };
    let residual = (index > 0 && rng.random_bool(0.5)).then(|| {
        let id = TensorId::Layer(rng.random_range(0..index));
        let numbers = kind(id).1.map_or(1, steps);
        Residual {
            tensor: id,
            table: (0..numbers).map(|_| rng.random_range(-8..=8)).collect(),
            place: match output {
                Output::Raw => Place::Before,
                Output::Codes(_) if rng.random_bool(0.5) => Place::Before,
                Output::Codes(_) => Place::After,
            },
        }
    });
    Layer {
        name: format!("l{index}"),
        input,
        operation,
        residual,
        output,
    }
}

fn operation(
    rng: &mut impl Rng,
    limits: &Limits,
    shape: Shape,
    precision: Precision,
    bits: Option<u32>,
) -> (Operation, u32, usize) {
    let bits = bits.unwrap_or(precision.bits);
    match rng.random_range(0..10) {
        0 => (
            Operation::MaxPool(window(rng, shape, true)),
            shape.channels,
            1,
        ),
        1 => {
            let window = window(rng, shape, precision.encoding != Encoding::Bipolar);
            (Operation::SumPool(window), shape.channels, 4)
        }
        kind => {
            let dense = kind == 2;
            let groups = match rng.random_range(0..4) {
                0 if !dense => shape.channels,
                1 if !dense && shape.channels % 2 == 0 => 2,
                _ => 1,
            };
            let outputs = groups * rng.random_range(1..=(limits.channels / groups).max(1));
            let window = match dense {
                true => Window::whole(shape),
                false => window(rng, shape, true),
            };
            let taps = window.kernel.0 * window.kernel.1 * (shape.channels / groups);
            let weight = self::precision(rng, limits.weight_bits);
            let weights = Operand::random("weights", weight, outputs as usize, taps as usize, rng)
                .expect("a legal operand");
            let read = Precision { bits, ..precision };
            let pad = match rng.random_bool(0.6) {
                true => Pad::Zero,
                false => Pad::Number(number_of_step(read, rng.random_range(0..steps(read)))),
            };
            let bias = rng
                .random_bool(0.4)
                .then(|| (0..outputs).map(|_| rng.random_range(-20..=20)).collect());
            let convolution = Convolution {
                window,
                groups,
                weights,
                bias,
                pad,
            };
            (Operation::Convolution(convolution), outputs, taps as usize)
        }
    }
}
