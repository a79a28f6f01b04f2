//! ResNet-18 (He et al., arXiv 1512.03385) with random weights, thresholds and residuals.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Place, Read, Requantize, Rescale,
    Residual, Rounding, Shape, TensorId, Window,
};
use xnorforge_sim::{Encoding, Operand, Precision};

/// Builds a network layer by layer.
struct Builder<'r> {
    rng: &'r mut ChaCha8Rng,
    network: Network,
    precision: Precision,
    weight: Precision,
}

/// The network for images of `size` x `size` pixels of 8 bits; 1000 classes.
pub fn resnet18(rng: &mut ChaCha8Rng, size: u32, activation: u32, weight: u32) -> Network {
    let mut builder = Builder {
        rng,
        network: Network {
            name: "resnet18".to_owned(),
            input: Shape::new(size, size, 3),
            precision: Precision::new(Encoding::Unsigned, 8),
            layers: Vec::new(),
            outputs: Vec::new(),
        },
        precision: Precision::new(Encoding::Unsigned, activation),
        weight: Precision::new(Encoding::Signed, weight),
    };
    let stem = builder.convolution(TensorId::Input, (3, 64), Window::square(7, 2, 3), None);
    let mut tensor = builder.push(
        stem,
        Operation::MaxPool(Window::square(3, 2, 1)),
        None,
        Output::Raw,
    );
    let mut channels = 64;
    for stage in 0..4 {
        for block in 0..2 {
            let outputs = 64 << stage;
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let window = Window::square(3, stride, 1);
            let shortcut = if stride == 2 {
                let window = Window::square(1, 2, 0);
                builder.convolution(tensor, (channels, outputs), window, None)
            } else {
                tensor
            };
            let middle = builder.convolution(tensor, (channels, outputs), window, None);
            let window = Window::square(3, 1, 1);
            tensor = builder.convolution(middle, (outputs, outputs), window, Some(shortcut));
            channels = outputs;
        }
    }
    let last = size.div_ceil(32);
    let average = builder.affine(channels, last * last * 3);
    let whole = Window::whole(Shape::new(last, last, channels));
    let tensor = builder.push(
        tensor,
        Operation::SumPool(whole),
        None,
        Output::Codes(average),
    );
    let weights = builder.weights(1000, channels);
    let dense = Convolution::dense(Shape::new(1, 1, channels), weights);
    let logits = builder.push(tensor, Operation::Convolution(dense), None, Output::Raw);
    builder.network.outputs = vec![logits];
    builder.network
}

impl Builder<'_> {
    fn push(
        &mut self,
        input: TensorId,
        operation: Operation,
        residual: Option<Residual>,
        output: Output,
    ) -> TensorId {
        self.network.layers.push(Layer {
            name: format!("l{}", self.network.layers.len()),
            input: Read::from(input),
            operation,
            residual,
            output,
        });
        TensorId::Layer(self.network.layers.len() - 1)
    }

    fn weights(&mut self, outputs: u32, elements: u32) -> Operand {
        let (outputs, elements) = (outputs as usize, elements as usize);
        Operand::random("weights", self.weight, outputs, elements, self.rng).unwrap()
    }

    fn convolution(
        &mut self,
        input: TensorId,
        (inputs, outputs): (u32, u32),
        window: Window,
        residual: Option<TensorId>,
    ) -> TensorId {
        let elements = inputs * window.kernel.0 * window.kernel.1;
        let convolution = Convolution {
            window,
            groups: 1,
            weights: self.weights(outputs, elements),
            bias: None,
            pad: Pad::Zero,
        };
        let count = (1 << self.precision.bits) - 1;
        let spread = i64::from(elements);
        let thresholds = (0..outputs)
            .map(|_| {
                let mut list: Vec<i64> = (0..count)
                    .map(|_| self.rng.random_range(-2 * spread..spread))
                    .collect();
                list.sort_unstable();
                list
            })
            .collect();
        let requantize = Requantize::new(
            self.precision,
            Rescale::Thresholds {
                thresholds,
                falling: vec![false; outputs as usize],
            },
        );
        let residual = residual.map(|tensor| Residual {
            tensor,
            table: (0..=count).map(|step| step * spread / 8).collect(),
            place: Place::Before,
        });
        let operation = Operation::Convolution(convolution);
        self.push(input, operation, residual, Output::Codes(requantize))
    }

    /// Brings sums of up to `most` to the precision's numbers.
    fn affine(&self, channels: u32, most: u32) -> Requantize {
        let top = (1i64 << self.precision.bits) - 1;
        Requantize::new(
            self.precision,
            Rescale::Affine {
                multipliers: vec![(top << 12) / i64::from(most); channels as usize],
                addends: vec![0; channels as usize],
                shift: 12,
                rounding: Rounding::HalfUp,
            },
        )
    }
}
