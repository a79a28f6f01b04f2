//! What a network's outline becomes on the accelerator: stages that read and write buffers, without numbers.
//!
//! Layers become stages one to one. A tensor that is added later must stand in the residual memory, and an output must
//! pass the result stream; where it comes from the input stream or the pool unit, which reach neither, a copy (a product
//! with one) takes it there. Layers that no output needs are left out.
//!
//! The compiler gives these stages their weights ([`super::stage`]); the forecast counts their cycles as they are.

use super::placement::Lifetime;
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::network::{
    LayerOutline, Outline, Pad, Place, Rule, Shape, TensorId, Window, Work as LayerWork,
};
use std::collections::BTreeMap;

/// The precision of weights that are all one.
pub(crate) const ONES: Precision = Precision {
    encoding: Encoding::Unsigned,
    bits: 1,
};

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StageWork {
    /// A product.
    Product(Product),
    /// A max-pool.
    Pool(Window),
}

/// A product without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    pub window: Window,
    pub groups: u32,
    /// Of the weights; [`ONES`] of those that are all one.
    pub weight: Precision,
    /// Whether the weights are all one: a sum over a window, or a copy.
    pub is_ones: bool,
    pub pad: Pad,
    pub finish: ProductFinish,
    /// The buffer of what is added, and where.
    pub residual: Option<(usize, Place)>,
}

/// What becomes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProductFinish {
    /// What a layer's rule says.
    Rule(Rule),
    /// They are numbers of the input's encoding and stay so.
    Copy,
}

impl StageWork {
    /// The precision of the numbers that it gives from numbers of `input`; none of raw accumulators.
    pub fn output_precision(&self, input: Precision) -> Option<Precision> {
        match self {
            StageWork::Pool(_) => Some(input),
            StageWork::Product(product) => match product.finish {
                ProductFinish::Copy => Some(input),
                ProductFinish::Rule(Rule::Raw) => None,
                ProductFinish::Rule(
                    Rule::Thresholds { precision, .. } | Rule::Affine { precision },
                ) => Some(precision),
            },
        }
    }
}

/// A step of a network that does `W`.
#[derive(Clone, Debug)]
pub(crate) struct Step<W> {
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
    pub work: W,
    /// Buffer that it writes.
    pub output: Option<usize>,
    /// Which of the network's outputs it streams.
    pub stream: Option<usize>,
}

/// A step without numbers.
pub(crate) type OutlineStage = Step<StageWork>;

impl<W> Step<W> {
    /// The same step with other work.
    pub fn with_work<V>(self, work: V) -> Step<V> {
        Step {
            layer: self.layer,
            name: self.name,
            input: self.input,
            precision: self.precision,
            shape: self.shape,
            output_shape: self.output_shape,
            work,
            output: self.output,
            stream: self.stream,
        }
    }
}

/// A feature map that has to stand in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutlineBuffer {
    pub shape: Shape,
    pub precision: Precision,
    /// When it is needed in the activation memory.
    pub activation: Option<Lifetime>,
    /// When it is needed in the residual memory.
    pub residual: Option<Lifetime>,
}

/// A network as stages.
#[derive(Clone, Debug)]
pub(crate) struct OutlineStages {
    pub stages: Vec<OutlineStage>,
    /// Buffer 0 is the input. Time 0 is the input stream's, stage i runs at time i + 1.
    pub buffers: Vec<OutlineBuffer>,
    /// Shape and precision of each output of the network; no precision of raw accumulators.
    pub outputs: Vec<(Shape, Option<Precision>)>,
}

/// Who needs a tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    is_read: bool,
    is_added: bool,
    stream: Option<usize>,
}

struct Builder<'o> {
    outline: &'o Outline,
    uses: BTreeMap<TensorId, Use>,
    /// Buffers in the activation memory, and those in the residual memory.
    activations: BTreeMap<TensorId, usize>,
    residuals: BTreeMap<TensorId, usize>,
    result: OutlineStages,
}

impl OutlineStages {
    /// The stages of the outline of a legal network.
    pub fn new(outline: &Outline) -> Self {
        let mut builder = Builder {
            outline,
            uses: uses(outline),
            activations: BTreeMap::new(),
            residuals: BTreeMap::new(),
            result: OutlineStages {
                stages: Vec::new(),
                buffers: Vec::new(),
                outputs: Vec::new(),
            },
        };
        let types = outline.outputs.iter().map(|id| builder.tensor_type(*id));
        builder.result.outputs = types.collect();
        let input = builder.buffer(outline.input, outline.precision, true, false);
        builder.activations.insert(TensorId::Input, input);
        builder.copy_if_needed(TensorId::Input, None, "input");
        for (index, layer) in outline.layers.iter().enumerate() {
            if builder.uses.contains_key(&TensorId::Layer(index)) {
                builder.layer(index, layer);
            }
        }
        builder.result
    }
}

/// Every tensor that some output needs, and who needs it.
fn uses(outline: &Outline) -> BTreeMap<TensorId, Use> {
    let mut uses: BTreeMap<TensorId, Use> = BTreeMap::new();
    for (index, output) in outline.outputs.iter().enumerate() {
        uses.entry(*output).or_default().stream = Some(index);
    }
    for (index, layer) in outline.layers.iter().enumerate().rev() {
        if !uses.contains_key(&TensorId::Layer(index)) {
            continue;
        }
        uses.entry(layer.input.tensor).or_default().is_read = true;
        if let Some((tensor, _)) = layer.residual {
            uses.entry(tensor).or_default().is_added = true;
        }
    }
    uses
}

impl Builder<'_> {
    fn tensor_type(&self, id: TensorId) -> (Shape, Option<Precision>) {
        let shape = match id {
            TensorId::Input => self.outline.input,
            TensorId::Layer(index) => self.outline.layers[index].output_shape,
        };
        (shape, self.outline.tensor_precision(id))
    }

    /// Whether a product makes a tensor; else it comes from the input stream or the pool unit.
    fn is_product(&self, id: TensorId) -> bool {
        match id {
            TensorId::Input => false,
            TensorId::Layer(index) => {
                !matches!(self.outline.layers[index].work, LayerWork::MaxPool(_))
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
        self.result.buffers.push(OutlineBuffer {
            shape,
            precision,
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
    fn copy_if_needed(&mut self, id: TensorId, layer: Option<usize>, name: &str) {
        let Some(needs) = self.uses.get(&id).copied() else {
            return;
        };
        if !needs.is_added && needs.stream.is_none() {
            return;
        }
        let (shape, precision) = self.tensor_type(id);
        let precision = precision.expect("raw accumulators come from products alone");
        let input = self.read(id);
        let output = needs
            .is_added
            .then(|| self.buffer(shape, precision, false, true));
        if let Some(buffer) = output {
            self.residuals.insert(id, buffer);
        }
        self.result.stages.push(OutlineStage {
            layer,
            name: format!("copy of {name}"),
            input,
            precision,
            shape,
            output_shape: shape,
            work: StageWork::Product(Product {
                finish: ProductFinish::Copy,
                residual: None,
                ..ones(shape, Window::square(1, 1, 0))
            }),
            output,
            stream: needs.stream,
        });
    }

    fn layer(&mut self, index: usize, layer: &LayerOutline) {
        let id = TensorId::Layer(index);
        let needs = self.uses[&id];
        let (shape, _) = self.tensor_type(layer.input.tensor);
        let (output_shape, output_precision) = self.tensor_type(id);
        let input = self.read(layer.input.tensor);
        let residual = layer
            .residual
            .map(|(tensor, place)| (self.read_residual(tensor), place));
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
        self.result.stages.push(OutlineStage {
            layer: Some(index),
            name: layer.name.clone(),
            input,
            precision: layer.activation,
            shape,
            output_shape,
            work: work(layer, shape, residual),
            output,
            stream: needs.stream.filter(|_| !is_pool),
        });
        if is_pool {
            self.copy_if_needed(id, Some(index), &layer.name);
        }
    }
}

fn work(layer: &LayerOutline, input: Shape, residual: Option<(usize, Place)>) -> StageWork {
    let product = match layer.work {
        LayerWork::MaxPool(window) => return StageWork::Pool(window),
        LayerWork::SumPool(window) => ones(input, window),
        LayerWork::Convolution {
            window,
            groups,
            weight,
            pad,
            ..
        } => Product {
            window,
            groups,
            weight,
            is_ones: false,
            pad,
            finish: ProductFinish::Copy,
            residual: None,
        },
    };
    StageWork::Product(Product {
        finish: ProductFinish::Rule(layer.rule),
        residual,
        ..product
    })
}

/// The sum over a window as a convolution with ones.
fn ones(input: Shape, window: Window) -> Product {
    Product {
        window,
        groups: input.channels,
        weight: ONES,
        is_ones: true,
        pad: Pad::Zero,
        finish: ProductFinish::Copy,
        residual: None,
    }
}
