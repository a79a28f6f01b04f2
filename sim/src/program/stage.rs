//! A network as the accelerator runs it: the stages of its outline ([`super::outline_stages`]) with their numbers.

use super::layout::TensorLayout;
use super::outline_stages::{
    ONES, OutlineStage, OutlineStages, Product, ProductFinish, StageWork, Step,
};
use super::placement::Buffer;
use super::{OutputTensor, ProgramError};
use crate::gemm::{Operand, Precision};
use crate::network::{
    Convolution, Layer, LayerError, Network, NetworkError, Operation, Output, Pad, Requantize,
    Residual, Shape, Window,
};
use std::borrow::Cow;
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

/// A step with its numbers.
pub(crate) type Stage<'n> = Step<Work<'n>>;

/// A network as stages.
#[derive(Debug)]
pub(crate) struct Stages<'n> {
    pub stages: Vec<Stage<'n>>,
    /// Buffer 0 is the input. Time 0 is the input stream's, stage i runs at time i + 1.
    pub buffers: Vec<Buffer>,
    pub outputs: Vec<OutputTensor>,
}

/// Turns a network into stages.
pub(crate) fn stages<'n>(
    design: &AcceleratorDesign,
    images: u32,
    network: &'n Network,
) -> Result<Stages<'n>, ProgramError> {
    let outline = OutlineStages::new(&network.outline()?);
    let layout = |shape, precision| TensorLayout::new(design, images, shape, precision);
    let outputs = outline
        .outputs
        .iter()
        .map(|(shape, precision)| OutputTensor {
            images,
            shape: *shape,
            codes: precision.map(|precision| layout(*shape, precision)),
        });
    let buffers = outline.buffers.iter().map(|buffer| Buffer {
        layout: layout(buffer.shape, buffer.precision),
        activation: buffer.activation,
        residual: buffer.residual,
    });
    Ok(Stages {
        outputs: outputs.collect(),
        buffers: buffers.collect(),
        stages: outline
            .stages
            .into_iter()
            .map(|stage| with_numbers(network, stage))
            .collect::<Result<_, _>>()?,
    })
}

/// The stage with the numbers of its layer.
fn with_numbers(network: &Network, stage: OutlineStage) -> Result<Stage<'_>, ProgramError> {
    let layer = stage.layer.map(|index| &network.layers[index]);
    let work = match (stage.work, layer) {
        (StageWork::Product(product), layer) => {
            // A copy belongs to the layer whose output it copies.
            let is_copy = product.finish == ProductFinish::Copy;
            work(product, layer.filter(|_| !is_copy), &stage)?
        }
        (StageWork::Pool(_), Some(layer)) => Work::Pool(layer.operation.window()),
        (StageWork::Pool(_), None) => unreachable!("only layers are pools"),
    };
    Ok(stage.with_work(work))
}

/// A product with the numbers of `layer`; a copy without one.
fn work<'n>(
    product: Product,
    layer: Option<&'n Layer>,
    stage: &OutlineStage,
) -> Result<Work<'n>, ProgramError> {
    let convolution = match layer.map(|layer| &layer.operation) {
        Some(Operation::Convolution(convolution)) => Cow::Borrowed(convolution),
        _ => Cow::Owned(ones(&stage.name, stage.shape, product.window)?),
    };
    let finish = match layer.map(|layer| &layer.output) {
        None => Finish::Copy,
        Some(Output::Raw) => Finish::Raw,
        Some(Output::Codes(requantize)) => Finish::Codes(requantize),
    };
    let residual = layer.and_then(|layer| layer.residual.as_ref());
    Ok(Work::Product {
        convolution,
        finish,
        residual: product
            .residual
            .zip(residual)
            .map(|((buffer, _), residual)| (buffer, residual)),
    })
}

/// The sum over a window as a convolution with ones.
fn ones(name: &str, input: Shape, window: Window) -> Result<Convolution, ProgramError> {
    let channels = input.channels as usize;
    let taps = window.kernel.0 as usize * window.kernel.1 as usize;
    let weights = Operand::new("weights", ONES, channels, taps, vec![1; channels * taps]);
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
