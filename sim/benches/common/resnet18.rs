//! ResNet-18 (He et al., arXiv 1512.03385) for 224 x 224 images at 2 bits, the first and the last layer at 8, with
//! random weights: the shapes, precisions and work of the real one.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Place, Requantize, Rescale, Residual,
    Rounding, Shape, Tensor, TensorId, Window, steps,
};
use xnorforge_sim::{Encoding, Operand, Precision};

const A2: Precision = Precision {
    encoding: Encoding::Unsigned,
    bits: 2,
};
const W2: Precision = Precision {
    encoding: Encoding::Bipolar,
    bits: 2,
};
const A8: Precision = Precision {
    encoding: Encoding::Unsigned,
    bits: 8,
};
const W8: Precision = Precision {
    encoding: Encoding::Signed,
    bits: 8,
};

struct Builder {
    network: Network,
    rng: ChaCha8Rng,
}

/// The network.
pub fn network(seed: u64) -> Network {
    let mut b = Builder {
        network: Network {
            name: "resnet18-w2a2".to_owned(),
            input: Shape::new(224, 224, 3),
            precision: A8,
            layers: Vec::new(),
            outputs: Vec::new(),
        },
        rng: ChaCha8Rng::seed_from_u64(seed),
    };
    let conv1 = b.convolution("conv1", TensorId::Input, W8, (3, 64), (7, 2, 3), None);
    let mut x = b.push(Layer {
        name: "maxpool".to_owned(),
        input: conv1.into(),
        operation: Operation::MaxPool(Window::square(3, 2, 1)),
        residual: None,
        output: Output::Raw,
    });
    let mut channels = 64;
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let shortcut = match stride {
                1 => x,
                _ => b.convolution(&name("down"), x, W2, (channels, outputs), (1, 2, 0), None),
            };
            let shape = (channels, outputs);
            let inner = b.convolution(&name("conv1"), x, W2, shape, (3, stride, 1), None);
            let shape = (outputs, outputs);
            x = b.convolution(&name("conv2"), inner, W2, shape, (3, 1, 1), Some(shortcut));
            channels = outputs;
        }
    }
    let pooled = b.push(Layer {
        name: "avgpool".to_owned(),
        input: x.into(),
        operation: Operation::SumPool(Window::whole(Shape::new(7, 7, 512))),
        residual: None,
        output: Output::Codes(Requantize::new(
            A8,
            Rescale::Affine {
                multipliers: vec![444; 512],
                addends: vec![0; 512],
                shift: 8,
                rounding: Rounding::HalfEven,
            },
        )),
    });
    let weights = Operand::random("weights", W8, 1000, 512, &mut b.rng).expect("legal");
    let logits = b.push(Layer {
        name: "fc".to_owned(),
        input: pooled.into(),
        operation: Operation::Convolution(Convolution::dense(Shape::new(1, 1, 512), weights)),
        residual: None,
        output: Output::Raw,
    });
    b.network.outputs = vec![logits];
    b.network
}

/// An image of random pixels.
pub fn image(seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = Shape::new(224, 224, 3);
    Tensor {
        images: 1,
        shape,
        values: (0..shape.len()).map(|_| rng.random_range(0..256)).collect(),
    }
}

impl Builder {
    fn push(&mut self, layer: Layer) -> TensorId {
        self.network.layers.push(layer);
        TensorId::Layer(self.network.layers.len() - 1)
    }

    /// A convolution with thresholds to 2 bits that split its sums into about equal quarters.
    fn convolution(
        &mut self,
        name: &str,
        input: TensorId,
        weight: Precision,
        (inputs, outputs): (usize, usize),
        (kernel, stride, padding): (u32, u32, u32),
        residual: Option<TensorId>,
    ) -> TensorId {
        let elements = inputs * (kernel * kernel) as usize;
        let weights = Operand::random("weights", weight, outputs, elements, &mut self.rng);
        // Variance of a product: 3.5 * 5 at 2 bits, 21,800 * 5,500 at 8.
        let variance = if weight == W8 { 1.2e8 } else { 17.5 };
        let spread = (0.67 * (elements as f64 * variance).sqrt()) as i64;
        let thresholds = (0..outputs)
            .map(|_| {
                let middle = self.rng.random_range(-spread / 4..=spread / 4);
                vec![middle - spread, middle, middle + spread]
            })
            .collect();
        self.push(Layer {
            name: name.to_owned(),
            input: input.into(),
            operation: Operation::Convolution(Convolution {
                window: Window::square(kernel, stride, padding),
                groups: 1,
                weights: weights.expect("legal"),
                bias: None,
                pad: Pad::Zero,
            }),
            residual: residual.map(|tensor| Residual {
                tensor,
                table: (0..steps(A2)).map(|step| (step - 1) * spread / 2).collect(),
                place: Place::Before,
            }),
            output: Output::Codes(Requantize::new(
                A2,
                Rescale::Thresholds {
                    thresholds,
                    falling: vec![false; outputs],
                },
            )),
        })
    }
}
