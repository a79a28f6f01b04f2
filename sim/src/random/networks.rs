//! Random small accelerators and networks; everything follows from the generator.

use super::{Data, is_of_random_size, pick, random_broadcast, random_structure};
use crate::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Padding, Place, Read, Requantize, Rescale,
    Residual, Rounding, Shape, Tensor, TensorId, Window, number_of_step, reference, steps,
    truncate,
};
use crate::{Encoding, Operand, Precision};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::accelerator::AcceleratorConfig;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Structure, Target};

/// Most that a random network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Layers.
    pub layers: usize,
    /// Height and width of the input.
    pub side: u32,
    /// Channels of the input, and of a convolution's output.
    pub channels: u32,
    /// What inputs and weights are.
    pub data: Data,
}

impl NetworkLimits {
    /// No limits, random data.
    pub const NONE: NetworkLimits = NetworkLimits {
        layers: usize::MAX,
        side: u32::MAX,
        channels: u32::MAX,
        data: Data::Random,
    };
}

fn divisor(rng: &mut ChaCha8Rng, of: u32) -> u32 {
    let divisors: Vec<u32> = (1..=of).filter(|d| of.is_multiple_of(*d)).collect();
    pick(rng, &divisors)
}

/// A random small accelerator with memories that are ample for [`random_network`], except those of weights.
pub fn random_accelerator(rng: &mut ChaCha8Rng) -> AcceleratorDesign {
    random_accelerator_of(rng, None)
}

/// A [`random_accelerator`] of a target and a structure, if they are given.
pub fn random_accelerator_of(
    rng: &mut ChaCha8Rng,
    of: Option<(Target, Structure)>,
) -> AcceleratorDesign {
    loop {
        let (activation_bits, weight_bits) = (rng.random_range(2..=8), rng.random_range(2..=8));
        let serial = rng.random_bool(0.5);
        let mut branches = |bits: u32| {
            if serial {
                1
            } else {
                rng.random_range(1..=bits.min(4))
            }
        };
        let (activation_branches, weight_branches) =
            (branches(activation_bits), branches(weight_bits));
        let rows = pick(rng, &[1, 2, 3, 4, 6]);
        let columns = pick(rng, &[1, 2, 3, 4, 5, 8]);
        // From a copy: which structure it has changes nothing else of a case.
        let mut other = rng.clone();
        let (target, structure) = of.unwrap_or_else(|| random_structure(&mut other));
        let broadcast_stages = random_broadcast(&mut other);
        let config = ArrayConfig {
            target,
            structure,
            rows,
            columns,
            lanes: pick(rng, &[5, 8, 9, 16, 24, 33, 64, 72]),
            activation_bits,
            weight_bits,
            activation_branches,
            weight_branches,
            reduction_max: 3000,
            popcount_stages: u32::from(structure == Structure::Tree),
            broadcast_stages,
            accelerator: AcceleratorConfig {
                drain_columns: divisor(rng, columns),
                load_ports: divisor(rng, rows),
                activation_words: 1 << 15,
                residual_words: 1 << 15,
                patch_words: 1 << 12,
                weight_words: 1 << rng.random_range(5..=10),
                constant_words: 1 << 16,
                channel_words: 1 << 8,
                table_words: 1 << 11,
                program_words: 1 << 15,
                schedule_words: 1 << 10,
                layers: 16,
                threshold_bits: pick(rng, &[4, 8]),
                stream_bits: 1 << rng.random_range(3..=8),
            },
            ..ArrayConfig::default()
        };
        if is_of_random_size(&config, &mut other)
            && let Ok(design) = config.validate().and_then(|d| AcceleratorDesign::new(&d))
        {
            return design;
        }
    }
}

/// An encoding with at most 5 bits, and at most `bits_max`.
pub fn random_precision(rng: &mut ChaCha8Rng, bits_max: u32) -> Precision {
    let bits = rng.random_range(1..=bits_max.min(5));
    match pick(rng, &Encoding::ALL) {
        Encoding::Ternary if bits_max >= 2 => Precision::new(Encoding::Ternary, 2),
        Encoding::Ternary => Precision::new(Encoding::Bipolar, bits),
        encoding => Precision::new(encoding, bits),
    }
}

/// Numbers of a precision for a whole input.
pub fn random_input(rng: &mut ChaCha8Rng, network: &Network, images: usize) -> Tensor {
    let mut tensor = Tensor::zeros(images, network.input);
    for value in &mut tensor.values {
        *value = number_of_step(
            network.precision,
            rng.random_range(0..steps(network.precision)),
        );
    }
    tensor
}

fn random_window(rng: &mut ChaCha8Rng, shape: Shape, padded: bool) -> Window {
    loop {
        let mut pair = |max: u32| (rng.random_range(1..=max), rng.random_range(1..=max));
        let (kernel, stride, dilation) = (pair(3), pair(2), pair(2));
        let mut side = || if padded { rng.random_range(0..=2) } else { 0 };
        let window = Window {
            kernel,
            stride,
            dilation,
            padding: Padding {
                top: side(),
                left: side(),
                bottom: side(),
                right: side(),
            },
        };
        if window.output(shape).is_some() {
            return window;
        }
        if shape.height < 5 || shape.width < 5 {
            return Window::square(1, 1, 0);
        }
    }
}

fn random_convolution(
    rng: &mut ChaCha8Rng,
    shape: Shape,
    precision: Precision,
    weight_bits: u32,
    limits: &NetworkLimits,
) -> Convolution {
    let data = limits.data;
    let same = rng.random_bool(0.4);
    let is_dense = !same && rng.random_bool(0.2);
    let mut groups = 1;
    let mut outputs = if same {
        shape.channels
    } else {
        rng.random_range(1..=12).min(limits.channels)
    };
    if !is_dense && rng.random_bool(0.4) {
        groups = divisor(rng, shape.channels);
        outputs = groups * rng.random_range(1..=2);
        if same {
            outputs = shape.channels;
        }
    }
    let window = match (same, is_dense) {
        (true, _) => Window::square(pick(rng, &[1, 3]), 1, 0),
        (_, true) => Window::whole(shape),
        _ => {
            let padded = rng.random_bool(0.7);
            random_window(rng, shape, padded)
        }
    };
    let window = if same {
        Window {
            padding: Padding::all(window.kernel.0 / 2),
            ..window
        }
    } else {
        window
    };
    let elements = shape.channels / groups * window.kernel.0 * window.kernel.1;
    let weight = random_precision(rng, weight_bits);
    let weights = Operand::random("weights", weight, outputs as usize, elements as usize, rng)
        .expect("a drawn precision and shape are legal");
    let weights = data.apply("weights", weights);
    let pad = if rng.random_bool(0.6) {
        Pad::Zero
    } else {
        Pad::Number(number_of_step(
            precision,
            rng.random_range(0..steps(precision)),
        ))
    };
    Convolution {
        window,
        groups,
        weights,
        bias: rng
            .random_bool(0.5)
            .then(|| (0..outputs).map(|_| rng.random_range(-20..=20)).collect()),
        pad,
    }
}

/// Requantization whose steps spread over what `trace` holds.
fn random_requantize(
    rng: &mut ChaCha8Rng,
    accumulators: &Tensor,
    activation_bits: u32,
    threshold_bits: u32,
) -> Requantize {
    let precision = random_precision(rng, activation_bits);
    let channels = accumulators.shape.channels as usize;
    let of_channel = |channel: usize| -> Vec<i64> {
        let values = accumulators.values.iter().skip(channel);
        values.step_by(channels).copied().collect()
    };
    let count = steps(precision) - 1;
    let fits = count < 1 << threshold_bits;
    if fits && rng.random_bool(0.6) {
        let thresholds = (0..channels)
            .map(|channel| {
                let values = of_channel(channel);
                let mut list: Vec<i64> = (0..count)
                    .map(|_| pick(rng, &values) + rng.random_range(-2..=2))
                    .collect();
                if rng.random_bool(0.2) {
                    list[0] = [-1 << 40, 1 << 40][rng.random_range(0..2)];
                }
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
    let shift = rng.random_range(0..=10);
    let (mut multipliers, mut addends) = (Vec::new(), Vec::new());
    for channel in 0..channels {
        let values = of_channel(channel);
        let (min, max) = values.iter().fold((i64::MAX, i64::MIN), |(min, max), v| {
            (min.min(*v), max.max(*v))
        });
        let multiplier = ((count.max(1) << shift) / (max - min).max(1)).clamp(1, 30_000);
        let multiplier = if rng.random_bool(0.3) {
            -multiplier
        } else {
            multiplier
        };
        multipliers.push(multiplier);
        let low = (min * multiplier).min(max * multiplier);
        addends.push(-low + rng.random_range(-3..=3));
    }
    let rounding = [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven];
    let mut requantize = Requantize::new(
        precision,
        Rescale::Affine {
            multipliers,
            addends,
            shift,
            rounding: pick(rng, &rounding),
        },
    );
    requantize.offset = rng.random_range(-1..=1);
    if count > 1 && rng.random_bool(0.2) {
        requantize.low = 1;
    }
    requantize
}

/// A random network of a few layers, and inputs for it.
pub fn random_network(
    rng: &mut ChaCha8Rng,
    design: &AcceleratorDesign,
    images: usize,
) -> (Network, Tensor) {
    random_network_within(rng, design, images, &NetworkLimits::NONE)
}

/// As [`random_network`], within limits.
pub fn random_network_within(
    rng: &mut ChaCha8Rng,
    design: &AcceleratorDesign,
    images: usize,
    limits: &NetworkLimits,
) -> (Network, Tensor) {
    let array = design.design().config();
    let mut network = Network {
        name: "random".to_owned(),
        input: Shape::new(
            rng.random_range(1..=7).min(limits.side),
            rng.random_range(1..=7).min(limits.side),
            pick(rng, &[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 32]).min(limits.channels),
        ),
        precision: random_precision(rng, array.activation_bits),
        layers: Vec::new(),
        outputs: Vec::new(),
    };
    let mut input = random_input(rng, &network, images);
    if let Some(step) = limits.data.step(steps(network.precision)) {
        input.values.fill(number_of_step(network.precision, step));
    }
    let layers = rng.random_range(1..=5).min(limits.layers.max(1));
    for index in 0..layers {
        let is_last = index + 1 == layers;
        add_layer(rng, design, &mut network, &input, is_last, limits);
    }
    network.outputs = vec![TensorId::Layer(layers - 1)];
    if rng.random_bool(0.3) {
        let other = TensorId::Layer(rng.random_range(0..layers));
        if !network.outputs.contains(&other) {
            network.outputs.insert(0, other);
        }
    }
    if rng.random_bool(0.1) {
        network.outputs.push(TensorId::Input);
    }
    (network, input)
}

/// Shape and precision of every tensor that can be read.
fn tensors(network: &Network) -> Vec<(TensorId, Shape, Precision)> {
    let mut found = vec![(TensorId::Input, network.input, network.precision)];
    let mut network = network.clone();
    network.outputs = vec![TensorId::Input];
    if network.layers.is_empty() {
        return found;
    }
    let layers = network
        .check()
        .expect("each layer was checked as it was added");
    for (index, layer) in layers.into_iter().enumerate() {
        if let Some(precision) = layer.precision {
            found.push((TensorId::Layer(index), layer.shape, precision));
        }
    }
    found
}

fn add_layer(
    rng: &mut ChaCha8Rng,
    design: &AcceleratorDesign,
    network: &mut Network,
    input: &Tensor,
    is_last: bool,
    limits: &NetworkLimits,
) {
    let array = design.design().config();
    let found = tensors(network);
    let from = if rng.random_bool(0.8) {
        found.len() - 1
    } else {
        rng.random_range(0..found.len())
    };
    let (tensor, shape, precision) = found[from];
    let operation = match rng.random_range(0..10) {
        0..=6 => {
            let bits = array.weight_bits;
            Operation::Convolution(random_convolution(rng, shape, precision, bits, limits))
        }
        7 => {
            let padded = rng.random_bool(0.5);
            Operation::SumPool(random_window(rng, shape, padded))
        }
        _ => {
            // A padding of at most half of the kernel leaves no window empty.
            let mut window = random_window(rng, shape, false);
            window.padding.top = (window.kernel.0 / 2).min(1);
            window.padding.left = (window.kernel.1 / 2).min(1);
            Operation::MaxPool(window)
        }
    };
    let mut layer = Layer {
        name: format!("l{}", network.layers.len()),
        input: Read::from(tensor),
        operation,
        residual: None,
        output: Output::Raw,
    };
    if matches!(layer.operation, Operation::MaxPool(_)) {
        network.layers.push(layer);
        let mut checked = network.clone();
        checked.outputs = vec![TensorId::Input];
        if checked.check().is_err() {
            network.layers.pop();
            add_layer(rng, design, network, input, is_last, limits);
        }
        return;
    }
    network.layers.push(layer.clone());
    let index = network.layers.len() - 1;
    let mut traced = network.clone();
    traced.outputs = vec![TensorId::Layer(index)];
    let trace = reference::execute(&traced, input).expect("a drawn layer is legal");
    let accumulators = &trace.accumulators[index];
    let fitting: Vec<_> = found
        .iter()
        .filter(|(_, shape, _)| *shape == accumulators.shape)
        .collect();
    if let Some((tensor, _, precision)) = fitting.choose(rng).filter(|_| rng.random_bool(0.8)) {
        let place = pick(rng, &[Place::Before, Place::After]);
        layer.residual = Some(Residual {
            tensor: *tensor,
            table: (0..steps(*precision))
                .map(|_| rng.random_range(-30..=30))
                .collect(),
            place,
        });
    }
    if !is_last || rng.random_bool(0.5) {
        layer.output = Output::Codes(random_requantize(
            rng,
            accumulators,
            array.activation_bits,
            design.config().threshold_bits,
        ));
    }
    network.layers[index] = layer;
}

/// The same network with fewer of the most significant branches of every weight and every activation that is read.
pub fn reduced(rng: &mut ChaCha8Rng, network: &Network) -> Network {
    let mut reduced = network.clone();
    reduced.name = "reduced".to_owned();
    let mut fewer = |precision: Precision| match precision.encoding {
        Encoding::Ternary => precision.bits,
        _ => rng.random_range(1..=precision.bits),
    };
    for index in 0..reduced.layers.len() {
        let found = tensors(&Network {
            layers: reduced.layers[..index].to_vec(),
            ..reduced.clone()
        });
        let layer = &mut reduced.layers[index];
        let (_, _, precision) = found
            .iter()
            .find(|(id, _, _)| *id == layer.input.tensor)
            .expect("a layer reads what stands before it");
        let Operation::Convolution(convolution) = &layer.operation else {
            continue;
        };
        let bits = fewer(*precision);
        let mut convolution = convolution
            .truncated(fewer(convolution.weights.precision()))
            .expect("at most the bits that there are");
        if let Pad::Number(number) = convolution.pad {
            convolution.pad = Pad::Number(truncate(*precision, number, bits));
        }
        layer.input.bits = Some(bits);
        layer.operation = Operation::Convolution(convolution);
    }
    reduced
}
