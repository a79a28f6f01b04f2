//! What a network is without its numbers: shapes, precisions, and what follows from them.
//!
//! An [`Outline`] is taken of a [`Network`] ([`Network::outline`]), or comes from a description without weights; reports
//! count operations and bytes on it.

use super::{
    Layer, Network, NetworkError, Operation, Output, Pad, Place, Read, Rescale, Shape, TensorId,
    TensorType, Window, steps,
};
use crate::gemm::Precision;

/// Bits of a stored threshold, addend or bias.
const PARAMETER_BITS: u64 = 32;
/// Bits of a stored multiplier.
const MULTIPLIER_BITS: u64 = 16;

/// A network without its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// Size of an input image.
    pub input: Shape,
    /// Encoding and bits of the input.
    pub precision: Precision,
    /// Its layers, each after those whose outputs it reads.
    pub layers: Vec<LayerOutline>,
    /// What the network gives.
    pub outputs: Vec<TensorId>,
}

/// A layer without its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutline {
    /// Its name.
    pub name: String,
    /// What it reads.
    pub input: Read,
    /// Shape of what it reads.
    pub input_shape: Shape,
    /// Encoding and bits of what it reads, as it reads them.
    pub activation: Precision,
    /// What it computes.
    pub work: Work,
    /// What is added to a product, and where.
    pub residual: Option<(TensorId, Place)>,
    /// What becomes of a product's accumulators; [`Rule::Raw`] for a max-pool, which keeps its numbers.
    pub rule: Rule,
    /// Shape of its output.
    pub output_shape: Shape,
}

/// What a layer computes, without weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A convolution or a fully connected layer.
    Convolution {
        /// How the kernel moves.
        window: Window,
        /// Groups.
        groups: u32,
        /// Encoding and bits of the weights.
        weight: Precision,
        /// Whether something is added to each output channel.
        has_bias: bool,
        /// What padded taps hold.
        pad: Pad,
    },
    /// The sum of each channel over a window.
    SumPool(Window),
    /// The largest number of each channel in a window.
    MaxPool(Window),
}

impl Work {
    /// Its window.
    pub fn window(&self) -> &Window {
        match self {
            Work::Convolution { window, .. } | Work::SumPool(window) | Work::MaxPool(window) => {
                window
            }
        }
    }
}

/// How accumulators become numbers, without the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// They stay as they are.
    Raw,
    /// By counting thresholds.
    Thresholds {
        /// Encoding and bits of the numbers.
        precision: Precision,
        /// Thresholds of a channel.
        count: usize,
    },
    /// By a multiplication, an addition and a shift.
    Affine {
        /// Encoding and bits of the numbers.
        precision: Precision,
    },
}

impl Outline {
    /// Encoding and bits of a tensor; none for raw accumulators and for a layer that does not exist.
    pub fn tensor_precision(&self, tensor: TensorId) -> Option<Precision> {
        match tensor {
            TensorId::Input => Some(self.precision),
            TensorId::Layer(index) => self.layers.get(index)?.output_precision(),
        }
    }

    /// Results of the products of one image.
    pub fn results(&self) -> u64 {
        let products = self.layers.iter().filter(|l| l.weight().is_some());
        products
            .map(|layer| {
                let [pixels, _, channels] = layer.gemm();
                pixels * channels
            })
            .sum()
    }
}

impl LayerOutline {
    /// What it computes, in a word or two.
    pub fn kind(&self) -> &'static str {
        let pixels = self.output_shape.height * self.output_shape.width;
        match self.work {
            Work::MaxPool(_) => "max-pool",
            Work::SumPool(window) if self.residual.is_some() && window.kernel == (1, 1) => "add",
            Work::SumPool(_) => "average pool",
            Work::Convolution { groups, .. } => match (groups, pixels) {
                (1, 1) => "fully connected",
                (1, _) => "convolution",
                (groups, _) if groups == self.output_shape.channels => "depthwise",
                _ => "grouped",
            },
        }
    }

    /// Encoding and bits of the weights; none for pools.
    pub fn weight(&self) -> Option<Precision> {
        match self.work {
            Work::Convolution { weight, .. } => Some(weight),
            Work::SumPool(_) | Work::MaxPool(_) => None,
        }
    }

    /// Encoding and bits of its output; none for raw accumulators.
    pub fn output_precision(&self) -> Option<Precision> {
        match (self.work, self.rule) {
            (Work::MaxPool(_), _) => Some(self.activation),
            (_, Rule::Raw) => None,
            (_, Rule::Thresholds { precision, .. } | Rule::Affine { precision }) => Some(precision),
        }
    }

    /// Of the product of one image: output pixels, elements of the reduction, output channels; of a pool, elements of the
    /// window in the middle.
    pub fn gemm(&self) -> [u64; 3] {
        let Shape {
            height,
            width,
            channels,
        } = self.output_shape;
        let kernel = self.work.window().kernel;
        let taps = u64::from(kernel.0) * u64::from(kernel.1);
        let elements = match self.work {
            Work::Convolution { groups, .. } => {
                taps * u64::from(self.input_shape.channels / groups)
            }
            Work::SumPool(_) | Work::MaxPool(_) => taps,
        };
        [
            u64::from(height) * u64::from(width),
            elements,
            channels.into(),
        ]
    }

    /// Multiply-accumulates of one image, those of padded taps included; none for pools.
    pub fn macs(&self) -> u128 {
        match self.work {
            Work::Convolution { .. } => self.gemm().into_iter().map(u128::from).product(),
            Work::SumPool(_) | Work::MaxPool(_) => 0,
        }
    }

    /// Binary operation pairs of one image: MACs x activation bits x weight bits.
    pub fn binary_pairs(&self) -> u128 {
        let weight_bits = self.weight().map_or(0, |weight| weight.bits);
        self.macs() * u128::from(self.activation.bits * weight_bits)
    }

    /// How many weights it has.
    pub fn weights(&self) -> u64 {
        match self.work {
            Work::Convolution { .. } => self.gemm()[1] * self.gemm()[2],
            Work::SumPool(_) | Work::MaxPool(_) => 0,
        }
    }

    /// Bytes of its packed parameters: weight bits, thresholds, addends and biases in 32 bits each, multipliers in 16, a
    /// bit for the direction of each channel's thresholds; none for pools.
    pub fn parameter_bytes(&self) -> u64 {
        let Work::Convolution {
            weight, has_bias, ..
        } = self.work
        else {
            return 0;
        };
        let channels = u64::from(self.output_shape.channels);
        let bias = if has_bias {
            PARAMETER_BITS * channels
        } else {
            0
        };
        let rule = match self.rule {
            Rule::Raw => 0,
            Rule::Thresholds { count, .. } => (PARAMETER_BITS * count as u64 + 1) * channels,
            Rule::Affine { .. } => (PARAMETER_BITS + MULTIPLIER_BITS) * channels,
        };
        (self.weights() * u64::from(weight.bits) + bias + rule).div_ceil(8)
    }

    /// Bytes of its weights as 32-bit floats.
    pub fn float_bytes(&self) -> u64 {
        4 * self.weights()
    }
}

impl Rule {
    /// All thresholds that the numbers of a precision need.
    pub fn thresholds(precision: Precision) -> Self {
        Rule::Thresholds {
            precision,
            count: steps(precision) as usize - 1,
        }
    }
}

impl Network {
    /// The network without its numbers.
    ///
    /// # Errors
    /// A network that is not legal.
    pub fn outline(&self) -> Result<Outline, NetworkError> {
        let types = self.check()?;
        let layers = self.layers.iter().zip(&types);
        Ok(Outline {
            name: self.name.clone(),
            input: self.input,
            precision: self.precision,
            layers: layers
                .map(|(layer, found)| self.layer_outline(layer, found.shape, &types))
                .collect(),
            outputs: self.outputs.clone(),
        })
    }

    fn layer_outline(
        &self,
        layer: &Layer,
        output_shape: Shape,
        types: &[TensorType],
    ) -> LayerOutline {
        let (input_shape, activation) = self.read_type(layer, types);
        let rule = match (&layer.operation, &layer.output) {
            (Operation::MaxPool(_), _) | (_, Output::Raw) => Rule::Raw,
            (_, Output::Codes(requantize)) => match &requantize.rescale {
                Rescale::Thresholds { thresholds, .. } => Rule::Thresholds {
                    precision: requantize.precision,
                    count: thresholds.first().map_or(0, Vec::len),
                },
                Rescale::Affine { .. } => Rule::Affine {
                    precision: requantize.precision,
                },
            },
        };
        let work = match &layer.operation {
            Operation::SumPool(window) => Work::SumPool(*window),
            Operation::MaxPool(window) => Work::MaxPool(*window),
            Operation::Convolution(convolution) => Work::Convolution {
                window: convolution.window,
                groups: convolution.groups,
                weight: convolution.weights.precision(),
                has_bias: convolution.bias.is_some(),
                pad: convolution.pad,
            },
        };
        LayerOutline {
            name: layer.name.clone(),
            input: layer.input,
            input_shape,
            activation,
            work,
            residual: layer.residual.as_ref().map(|r| (r.tensor, r.place)),
            rule,
            output_shape,
        }
    }
}
