//! A network as the accelerator runs it: stages that read and write buffers.
//!
//! Layers become stages one to one. A tensor that is added later must stand in the residual memory, and an output must
//! pass the result stream; where it comes from the input stream or the pool unit, which reach neither, a copy (a product
//! with one) takes it there. Layers that no output needs are left out.

use super::layout::TensorLayout;
use super::placement::{Buffer, Lifetime};
use super::{OutputTensor, ProgramError};
use crate::encoder::Encoding;
use crate::gemm::{Operand, Precision};
use crate::network::{
    Convolution, Layer, LayerError, Network, NetworkError, Operation, Output, Pad, Requantize,
    Residual, Shape, TensorId, TensorType, Window,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use xnorforge_hdl::AcceleratorDesign;

/// What becomes of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Finish<'n> {
    /// Accumulators leave as they are.
    Raw,
    /// They are requantized.
    Codes(&'n Requantize),
    /// They are numbers of the input's encoding and stay so.
    Copy,
}

/// What a stage does.
#[derive(Clone, Debug)]
pub(crate) enum Work<'n> {
    /// A product.
    Product {
        convolution: Cow<'n, Convolution>,
        finish: Finish<'n>,
        /// What is added, and the buffer that holds it.
        residual: Option<(usize, &'n Residual)>,
    },
    /// A max-pool.
    Pool(&'n Window),
}

impl Work<'_> {
    /// The precision of the numbers that it gives from numbers of `input`; none of raw accumulators.
    pub fn output_precision(&self, input: Precision) -> Option<Precision> {
        match self {
            Work::Pool(_) => Some(input),
            Work::Product { finish, .. } => match finish {
                Finish::Raw => None,
                Finish::Codes(requantize) => Some(requantize.precision),
                Finish::Copy => Some(input),
            },
        }
    }
}

/// A step of a network.
#[derive(Clone, Debug)]
pub(crate) struct Stage<'n> {
    /// The layer that it belongs to; none for a copy of the input.
    pub layer: Option<usize>,
    /// Its name, for messages.
    pub name: String,
    /// Buffer that it reads.
    pub input: usize,
    /// Encoding of what it reads, and the bits that it reads of it.
    pub precision: Precision,
    /// Shape of what it reads.
    pub shape: Shape,
    /// Shape of what it gives.
    pub output_shape: Shape,
    pub work: Work<'n>,
    /// Buffer that it writes.
    pub output: Option<usize>,
    /// Which of the network's outputs it streams.
    pub stream: Option<usize>,
}

/// A network as stages.
#[derive(Debug)]
pub(crate) struct Stages<'n> {
    pub stages: Vec<Stage<'n>>,
    /// Buffer 0 is the input. Time 0 is the input stream's, stage i runs at time i + 1.
    pub buffers: Vec<Buffer>,
    pub outputs: Vec<OutputTensor>,
}

/// Who needs a tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    is_read: bool,
    is_added: bool,
    stream: Option<usize>,
}

struct Builder<'n, 'd> {
    network: &'n Network,
    design: &'d AcceleratorDesign,
    images: u32,
    types: Vec<TensorType>,
    uses: BTreeMap<TensorId, Use>,
    /// Buffers in the activation memory, and those in the residual memory.
    activations: BTreeMap<TensorId, usize>,
    residuals: BTreeMap<TensorId, usize>,
    result: Stages<'n>,
}

/// Turns a network into stages.
pub(crate) fn stages<'n>(
    design: &AcceleratorDesign,
    images: u32,
    network: &'n Network,
) -> Result<Stages<'n>, ProgramError> {
    let types = network.check()?;
    let mut builder = Builder {
        network,
        design,
        images,
        types,
        uses: uses(network),
        activations: BTreeMap::new(),
        residuals: BTreeMap::new(),
        result: Stages {
            stages: Vec::new(),
            buffers: Vec::new(),
            outputs: Vec::new(),
        },
    };
    builder.list_outputs();
    let input = builder.buffer(network.input, network.precision, true, false);
    builder.activations.insert(TensorId::Input, input);
    builder.copy_if_needed(TensorId::Input, None, "input")?;
    for (index, layer) in network.layers.iter().enumerate() {
        if builder.uses.contains_key(&TensorId::Layer(index)) {
            builder.layer(index, layer)?;
        }
    }
    Ok(builder.result)
}

/// Every tensor that some output needs, and who needs it.
fn uses(network: &Network) -> BTreeMap<TensorId, Use> {
    let mut uses: BTreeMap<TensorId, Use> = BTreeMap::new();
    for (index, output) in network.outputs.iter().enumerate() {
        uses.entry(*output).or_default().stream = Some(index);
    }
    for (index, layer) in network.layers.iter().enumerate().rev() {
        if !uses.contains_key(&TensorId::Layer(index)) {
            continue;
        }
        uses.entry(layer.input.tensor).or_default().is_read = true;
        if let Some(residual) = &layer.residual {
            uses.entry(residual.tensor).or_default().is_added = true;
        }
    }
    uses
}

impl<'n> Builder<'n, '_> {
    fn tensor_type(&self, id: TensorId) -> TensorType {
        let found = self.network.tensor_type(id, &self.types);
        found.expect("a checked network reads what stands before")
    }

    fn list_outputs(&mut self) {
        for output in &self.network.outputs {
            let TensorType { shape, precision } = self.tensor_type(*output);
            self.result.outputs.push(OutputTensor {
                images: self.images,
                shape,
                codes: precision
                    .map(|precision| TensorLayout::new(self.design, self.images, shape, precision)),
            });
        }
    }

    /// Whether a product makes a tensor; else it comes from the input stream or the pool unit.
    fn is_product(&self, id: TensorId) -> bool {
        match id {
            TensorId::Input => false,
            TensorId::Layer(index) => {
                !matches!(self.network.layers[index].operation, Operation::MaxPool(_))
            }
        }
    }

    /// The time of the stage that is built next.
    fn now(&self) -> usize {
        self.result.stages.len() + 1
    }

    fn buffer(
        &mut self,
        shape: Shape,
        precision: Precision,
        in_activation: bool,
        in_residual: bool,
    ) -> usize {
        let first = if self.result.buffers.is_empty() {
            0
        } else {
            self.now()
        };
        let lifetime = Lifetime { first, last: first };
        self.result.buffers.push(Buffer {
            layout: TensorLayout::new(self.design, self.images, shape, precision),
            activation: in_activation.then_some(lifetime),
            residual: in_residual.then_some(lifetime),
        });
        self.result.buffers.len() - 1
    }

    /// The buffer of an input of the stage that is built now.
    fn read(&mut self, id: TensorId) -> usize {
        let (buffer, now) = (self.activations[&id], self.now());
        if let Some(lifetime) = &mut self.result.buffers[buffer].activation {
            lifetime.last = now;
        }
        buffer
    }

    fn read_residual(&mut self, id: TensorId) -> usize {
        let (buffer, now) = (self.residuals[&id], self.now());
        if let Some(lifetime) = &mut self.result.buffers[buffer].residual {
            lifetime.last = now;
        }
        buffer
    }

    /// Copies a tensor that no product makes to where only products write.
    fn copy_if_needed(
        &mut self,
        id: TensorId,
        layer: Option<usize>,
        name: &str,
    ) -> Result<(), ProgramError> {
        let Some(needs) = self.uses.get(&id).copied() else {
            return Ok(());
        };
        if !needs.is_added && needs.stream.is_none() {
            return Ok(());
        }
        let TensorType { shape, precision } = self.tensor_type(id);
        let precision = precision.expect("raw accumulators come from products alone");
        let name = format!("copy of {name}");
        let convolution = ones(&name, shape, Window::square(1, 1, 0))?;
        let input = self.read(id);
        let output = needs
            .is_added
            .then(|| self.buffer(shape, precision, false, true));
        if let Some(buffer) = output {
            self.residuals.insert(id, buffer);
        }
        self.result.stages.push(Stage {
            layer,
            name,
            input,
            precision,
            shape,
            output_shape: shape,
            work: Work::Product {
                convolution: Cow::Owned(convolution),
                finish: Finish::Copy,
                residual: None,
            },
            output,
            stream: needs.stream,
        });
        Ok(())
    }

    fn layer(&mut self, index: usize, layer: &'n Layer) -> Result<(), ProgramError> {
        let id = TensorId::Layer(index);
        let needs = self.uses[&id];
        let read = self.tensor_type(layer.input.tensor);
        let stored = read
            .precision
            .expect("a checked network reads numbers only");
        let precision = Precision {
            bits: layer.input.bits.unwrap_or(stored.bits),
            ..stored
        };
        let TensorType {
            shape: output_shape,
            precision: output_precision,
        } = self.types[index];
        let input = self.read(layer.input.tensor);
        let residual = layer
            .residual
            .as_ref()
            .map(|residual| (self.read_residual(residual.tensor), residual));
        let is_pool = !self.is_product(id);
        let in_residual = needs.is_added && !is_pool;
        let is_stored = is_pool || needs.is_read || needs.is_added;
        let output = output_precision.filter(|_| is_stored).map(|precision| {
            let in_activation = is_pool || needs.is_read;
            self.buffer(output_shape, precision, in_activation, in_residual)
        });
        if let Some(buffer) = output {
            self.activations.insert(id, buffer);
            if in_residual {
                self.residuals.insert(id, buffer);
            }
        }
        self.result.stages.push(Stage {
            layer: Some(index),
            name: layer.name.clone(),
            input,
            precision,
            shape: read.shape,
            output_shape,
            work: work(layer, read.shape, residual)?,
            output,
            stream: needs.stream.filter(|_| !is_pool),
        });
        if is_pool {
            self.copy_if_needed(id, Some(index), &layer.name)?;
        }
        Ok(())
    }
}

fn work<'n>(
    layer: &'n Layer,
    input: Shape,
    residual: Option<(usize, &'n Residual)>,
) -> Result<Work<'n>, ProgramError> {
    let convolution = match &layer.operation {
        Operation::MaxPool(window) => return Ok(Work::Pool(window)),
        Operation::Convolution(convolution) => Cow::Borrowed(convolution),
        Operation::SumPool(window) => Cow::Owned(ones(&layer.name, input, *window)?),
    };
    let finish = match &layer.output {
        Output::Raw => Finish::Raw,
        Output::Codes(requantize) => Finish::Codes(requantize),
    };
    Ok(Work::Product {
        convolution,
        finish,
        residual,
    })
}

/// The sum over a window as a convolution with ones.
fn ones(name: &str, input: Shape, window: Window) -> Result<Convolution, ProgramError> {
    let channels = input.channels as usize;
    let taps = window.kernel.0 as usize * window.kernel.1 as usize;
    let weights = Operand::new(
        "weights",
        Precision::new(Encoding::Unsigned, 1),
        channels,
        taps,
        vec![1; channels * taps],
    );
    let weights = weights.map_err(|source| NetworkError::Layer {
        index: 0,
        name: name.to_owned(),
        source: Box::new(LayerError::Weights(source)),
    })?;
    Ok(Convolution {
        window,
        groups: input.channels,
        weights,
        bias: None,
        pad: Pad::Zero,
    })
}
