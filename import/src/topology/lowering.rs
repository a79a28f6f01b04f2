//! From a topology to what the accelerator computes.
//!
//! An addition becomes the residual of the product before it, where that feeds nothing else; else a sum over one pixel
//! with a residual. Flattening is no work: a fully connected layer is a convolution whose kernel is the whole feature map.

use super::error::check_range;
use super::{Input, Kind, Layer, NAME_MAX, Problem, Source, Topology, TopologyError, WEIGHTS_MAX};
use std::collections::BTreeMap;
use xnorforge_hdl::config::REDUCTION_MAX;
use xnorforge_sim::Precision;
use xnorforge_sim::network::{
    LAYERS_MAX, LayerOutline, NUMBERS_MAX, Outline, Pad, Place, Read, Rule, SIZE_MAX, Shape,
    TensorId, WINDOW_MAX, Window, Work,
};

/// Most bits of codes that are made by thresholds; more are made by a multiplication. It is what the accelerator has by
/// default (`threshold_bits`).
const THRESHOLD_BITS: u32 = 4;

impl Topology {
    /// Checks everything and gives what the accelerator makes of it: a network for each input, in their order.
    ///
    /// # Errors
    /// The first [`TopologyError`], by layer.
    pub fn outlines(&self) -> Result<Vec<Outline>, TopologyError> {
        let graph = Checked::new(self)?;
        let mut outlines: Vec<Outline> = (0..self.inputs.len())
            .map(|input| graph.outline(input))
            .collect();
        // An input that nothing reads gives no network.
        outlines.retain(|outline| !outline.layers.is_empty());
        Ok(outlines)
    }

    /// Shape of every layer's output.
    ///
    /// # Errors
    /// As [`Topology::outlines`].
    pub fn shapes(&self) -> Result<Vec<Shape>, TopologyError> {
        Ok(Checked::new(self)?.shapes)
    }
}

/// A legal topology, and all that follows from it.
struct Checked<'t> {
    topology: &'t Topology,
    /// Of each layer's output.
    shapes: Vec<Shape>,
    /// The input that each layer hangs on.
    inputs: Vec<usize>,
    /// Encoding and bits in which each layer's output is read; none if nothing reads it.
    wanted: Vec<Option<Precision>>,
    /// How often each tensor is read.
    readers: BTreeMap<Source, usize>,
    /// Products that take up the addition of this layer.
    fused: BTreeMap<usize, usize>,
}

impl<'t> Checked<'t> {
    fn new(topology: &'t Topology) -> Result<Self, TopologyError> {
        check_size(topology)?;
        let mut checked = Checked {
            topology,
            shapes: Vec::new(),
            inputs: Vec::new(),
            wanted: vec![None; topology.layers.len()],
            readers: BTreeMap::new(),
            fused: BTreeMap::new(),
        };
        for (index, layer) in topology.layers.iter().enumerate() {
            let found = checked.layer(index, layer);
            let (shape, input) = found.map_err(|problem| problem.in_layer(index, &layer.name))?;
            checked.shapes.push(shape);
            checked.inputs.push(input);
            for source in &layer.sources {
                *checked.readers.entry(*source).or_default() += 1;
            }
        }
        for index in (0..topology.layers.len()).rev() {
            checked.ask(index)?;
        }
        checked.fuse();
        Ok(checked)
    }

    fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Input(index) => self.topology.inputs[index].shape,
            Source::Layer(index) => self.shapes[index],
        }
    }

    /// Shape of a layer's output, and the input that it hangs on.
    fn layer(&self, index: usize, layer: &Layer) -> Result<(Shape, usize), Problem> {
        check_name(&layer.name)?;
        let input = self.check_sources(index, layer)?;
        check_precision("activation bits", layer.activation)?;
        if layer.kind.has_weights() {
            check_precision("weight bits", layer.weight)?;
        }
        let read = self.shape(layer.sources[0]);
        let output = match layer.kind {
            Kind::Conv {
                outputs,
                window,
                groups,
            } => {
                check_groups(groups, read.channels, outputs)?;
                let (height, width) = window_output(&window, read)?;
                let (kh, kw) = window.kernel;
                let taps = u64::from(kh) * u64::from(kw);
                check_weights(taps * u64::from(read.channels / groups), outputs)?;
                Shape::new(height, width, outputs)
            }
            Kind::Linear { outputs } => {
                check_weights(read.len() as u64, outputs)?;
                Shape::new(1, 1, outputs)
            }
            Kind::MaxPool(window) | Kind::AveragePool(window) => {
                let (height, width) = window_output(&window, read)?;
                if let Some((y, x)) = window.empty_output(read) {
                    return Err(Problem::EmptyWindow { y, x });
                }
                Shape::new(height, width, read.channels)
            }
            Kind::GlobalAveragePool => Shape::new(1, 1, read.channels),
            Kind::Add => {
                let others = layer.sources.iter().map(|source| self.shape(*source));
                if let Some(other) = others.into_iter().find(|other| *other != read) {
                    return Err(Problem::Shapes { first: read, other });
                }
                read
            }
            // No feature map of the network has this shape, so that it may be longer than the channels of one.
            Kind::Flatten => {
                let numbers = u32::try_from(read.len()).unwrap_or(u32::MAX);
                return Ok((Shape::new(1, 1, numbers), input));
            }
        };
        check_shape(output)?;
        Ok((output, input))
    }

    /// The input that a layer hangs on.
    fn check_sources(&self, index: usize, layer: &Layer) -> Result<usize, Problem> {
        let (needed, is_right) = match (layer.kind, layer.sources.len()) {
            (Kind::Add, count) => ("two tensors or more", (2..=LAYERS_MAX).contains(&count)),
            (_, count) => ("one tensor", count == 1),
        };
        if !is_right {
            return Err(Problem::InputCount {
                kind: layer.kind.name(),
                needed,
                found: layer.sources.len(),
            });
        }
        let mut inputs = Vec::new();
        for source in &layer.sources {
            inputs.push(match *source {
                Source::Input(input) if input < self.topology.inputs.len() => input,
                Source::Layer(other) if other < index => self.inputs[other],
                Source::Input(input) => return Err(Problem::NoSuchInput(format!("input {input}"))),
                Source::Layer(other) => return Err(Problem::NoSuchInput(format!("layer {other}"))),
            });
            if let (Some(name), false) = (
                self.flattened(*source),
                matches!(layer.kind, Kind::Linear { .. } | Kind::Flatten),
            ) {
                return Err(Problem::Flattened(name.to_owned()));
            }
        }
        match inputs.iter().all(|input| *input == inputs[0]) {
            true => Ok(inputs[0]),
            false => Err(Problem::ManyInputs),
        }
    }

    /// Name of the layer that flattens a feature map of more than one pixel, if the source is such a layer.
    fn flattened(&self, source: Source) -> Option<&'t str> {
        let Source::Layer(index) = source else {
            return None;
        };
        let layer = &self.topology.layers[index];
        let map = self.shape(self.feature_map(source));
        (layer.kind == Kind::Flatten && map.height * map.width > 1).then_some(&layer.name)
    }

    /// What a source is before it is flattened.
    fn feature_map(&self, mut source: Source) -> Source {
        while let Source::Layer(index) = source {
            let layer = &self.topology.layers[index];
            if layer.kind != Kind::Flatten {
                break;
            }
            source = layer.sources[0];
        }
        source
    }

    /// Encoding and bits in which a layer reads.
    fn reads(&self, index: usize) -> Precision {
        let layer = &self.topology.layers[index];
        match layer.kind {
            Kind::MaxPool(_) | Kind::Flatten => self.wanted[index].unwrap_or(layer.activation),
            _ => layer.activation,
        }
    }

    /// Asks those that a layer reads for the precision in which it reads; those behind it have asked before.
    fn ask(&mut self, index: usize) -> Result<(), TopologyError> {
        let layers = &self.topology.layers;
        let wanted = self.reads(index);
        for source in &layers[index].sources {
            match *source {
                Source::Input(input) => {
                    let stored = self.topology.inputs[input].precision;
                    check_read(stored, wanted)
                        .map_err(|problem| problem.in_layer(index, &layers[index].name))?;
                }
                Source::Layer(other) => {
                    let asked = self.wanted[other].get_or_insert(wanted);
                    if asked.encoding != wanted.encoding {
                        let problem = Problem::Encodings {
                            first: asked.encoding,
                            other: wanted.encoding,
                            reader: layers[index].name.clone(),
                        };
                        return Err(problem.in_layer(other, &layers[other].name));
                    }
                    asked.bits = asked.bits.max(wanted.bits);
                }
            }
        }
        Ok(())
    }

    /// Finds the products that take up additions.
    fn fuse(&mut self) {
        let layers = &self.topology.layers;
        for (index, layer) in layers.iter().enumerate() {
            let (Kind::Add, &[first, second]) = (layer.kind, layer.sources.as_slice()) else {
                continue;
            };
            let product = [(first, second), (second, first)]
                .into_iter()
                .find_map(|(product, other)| self.product_before(product, other));
            if let Some(product) = product {
                self.fused.insert(product, index);
            }
        }
    }

    /// `product` as the index of a product that nothing but an addition reads, if `other` stands before it.
    fn product_before(&self, product: Source, other: Source) -> Option<usize> {
        let Source::Layer(index) = product else {
            return None;
        };
        let is_product = matches!(
            self.topology.layers[index].kind,
            Kind::Conv { .. }
                | Kind::Linear { .. }
                | Kind::AveragePool(_)
                | Kind::GlobalAveragePool
        );
        let is_alone = self.readers.get(&product) == Some(&1);
        let is_before = match self.feature_map(other) {
            Source::Input(_) => true,
            Source::Layer(other) => {
                let taken_up = self.fused.iter().find(|(_, sum)| **sum == other);
                taken_up.map_or(other, |(product, _)| *product) < index
            }
        };
        (is_product && is_alone && is_before).then_some(index)
    }

    /// The network of one input.
    fn outline(&self, input: usize) -> Outline {
        let Input { shape, precision } = self.topology.inputs[input];
        let mut emitter = Emitter {
            checked: self,
            outline: Outline {
                name: self.topology.name.clone(),
                input: shape,
                precision,
                layers: Vec::new(),
                outputs: Vec::new(),
            },
            ids: BTreeMap::new(),
        };
        let mine: Vec<usize> = (0..self.inputs.len())
            .filter(|layer| self.inputs[*layer] == input)
            .collect();
        for layer in &mine {
            emitter.layer(*layer);
        }
        for layer in &mine {
            let output = emitter.id(Source::Layer(*layer));
            let is_read = self.readers.contains_key(&Source::Layer(*layer));
            if !is_read && !emitter.outline.outputs.contains(&output) {
                emitter.outline.outputs.push(output);
            }
        }
        if let (true, Some(first)) = (self.topology.inputs.len() > 1, mine.first()) {
            emitter.outline.name = self.topology.layers[*first].name.clone();
        }
        emitter.outline
    }
}

/// Writes the layers of one network.
struct Emitter<'c, 't> {
    checked: &'c Checked<'t>,
    outline: Outline,
    /// What each layer became.
    ids: BTreeMap<usize, TensorId>,
}

impl Emitter<'_, '_> {
    fn id(&self, source: Source) -> TensorId {
        match source {
            Source::Input(_) => TensorId::Input,
            Source::Layer(index) => self.ids[&index],
        }
    }

    fn layer(&mut self, index: usize) {
        let checked = self.checked;
        let layer = &checked.topology.layers[index];
        let read = checked.feature_map(layer.sources[0]);
        let shape = checked.shape(read);
        let work = match layer.kind {
            Kind::Conv { window, groups, .. } => Work::Convolution {
                window,
                groups,
                weight: layer.weight,
                has_bias: false,
                pad: Pad::Zero,
            },
            Kind::Linear { .. } => Work::Convolution {
                window: Window::whole(shape),
                groups: 1,
                weight: layer.weight,
                has_bias: false,
                pad: Pad::Zero,
            },
            Kind::MaxPool(window) => Work::MaxPool(window),
            Kind::AveragePool(window) => Work::SumPool(window),
            Kind::GlobalAveragePool => Work::SumPool(Window::whole(shape)),
            Kind::Flatten => {
                let id = self.id(read);
                self.ids.insert(index, id);
                return;
            }
            Kind::Add => return self.sum(index),
        };
        let sum = checked.fused.get(&index).copied();
        let residual = sum.map(|sum| {
            let sources = &checked.topology.layers[sum].sources;
            let other = sources.iter().find(|s| **s != Source::Layer(index));
            self.id(*other.expect("an addition that is taken up has another operand"))
        });
        let wanted = checked.wanted[sum.unwrap_or(index)];
        let id = self.push(LayerOutline {
            name: layer.name.clone(),
            input: self.read(read, checked.reads(index)),
            input_shape: shape,
            activation: checked.reads(index),
            work,
            residual: residual.map(|tensor| (tensor, Place::Before)),
            rule: rule(&work, wanted),
            output_shape: checked.shapes[index],
        });
        self.ids.insert(index, id);
        if let Some(sum) = sum {
            self.ids.insert(sum, id);
        }
    }

    /// An addition that no product takes up.
    fn sum(&mut self, index: usize) {
        if self.ids.contains_key(&index) {
            return;
        }
        let checked = self.checked;
        let layer = &checked.topology.layers[index];
        let work = Work::SumPool(Window::square(1, 1, 0));
        let mut id = self.id(layer.sources[0]);
        for (number, source) in layer.sources.iter().enumerate().skip(1) {
            let is_last = number + 1 == layer.sources.len();
            let activation = self.outline.tensor_precision(id);
            let wanted = checked.wanted[index];
            id = self.push(LayerOutline {
                name: match is_last {
                    true => layer.name.clone(),
                    false => format!("{}.{number}", layer.name),
                },
                input: Read::from(id),
                input_shape: checked.shapes[index],
                activation: activation.expect("what is read is requantized"),
                work,
                residual: Some((self.id(*source), Place::Before)),
                rule: match is_last {
                    true => rule(&work, wanted),
                    false => rule(&work, Some(wanted.unwrap_or(layer.activation))),
                },
                output_shape: checked.shapes[index],
            });
        }
        self.ids.insert(index, id);
    }

    /// A tensor in the precision in which a layer reads it.
    fn read(&self, source: Source, wanted: Precision) -> Read {
        let tensor = self.id(source);
        let stored = self.outline.tensor_precision(tensor);
        let is_cut = stored.is_some_and(|stored| wanted.bits < stored.bits);
        Read {
            tensor,
            bits: is_cut.then_some(wanted.bits),
        }
    }

    fn push(&mut self, layer: LayerOutline) -> TensorId {
        self.outline.layers.push(layer);
        TensorId::Layer(self.outline.layers.len() - 1)
    }
}

/// How accumulators become what their readers ask for; they stay as they are if nothing reads them.
fn rule(work: &Work, wanted: Option<Precision>) -> Rule {
    match (work, wanted) {
        (Work::MaxPool(_), _) | (_, None) => Rule::Raw,
        (Work::Convolution { .. }, Some(precision)) if precision.bits <= THRESHOLD_BITS => {
            Rule::thresholds(precision)
        }
        (_, Some(precision)) => Rule::Affine { precision },
    }
}

fn check_size(topology: &Topology) -> Result<(), TopologyError> {
    if topology.layers.is_empty() {
        return Err(Problem::Empty.into());
    }
    check_name(&topology.name)?;
    let (inputs, layers) = (topology.inputs.len() as u64, topology.layers.len() as u64);
    check_range("the number of layers", layers, 1, LAYERS_MAX as u64)?;
    check_range("the number of inputs", inputs, 1, LAYERS_MAX as u64)?;
    for input in &topology.inputs {
        check_shape(input.shape)?;
        check_precision("input bits", input.precision)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Problem> {
    let count = name.chars().count();
    match (1..=NAME_MAX).contains(&count) && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Problem::Name(count)),
    }
}

fn check_precision(field: &'static str, precision: Precision) -> Result<(), Problem> {
    let Precision { encoding, bits } = precision;
    encoding
        .check_bits(bits)
        .map_err(|source| Problem::Precision { field, source })
}

fn check_shape(shape: Shape) -> Result<(), Problem> {
    check_range("height", shape.height.into(), 1, SIZE_MAX.into())?;
    check_range("width", shape.width.into(), 1, SIZE_MAX.into())?;
    check_range("channels", shape.channels.into(), 1, SIZE_MAX.into())?;
    let numbers = shape.len() as u64;
    check_range("numbers of a feature map", numbers, 1, NUMBERS_MAX)
}

fn check_groups(groups: u32, inputs: u32, outputs: u32) -> Result<(), Problem> {
    check_range("groups", groups.into(), 1, inputs.into())?;
    for (channels, what) in [(inputs, "input"), (outputs, "output")] {
        if !channels.is_multiple_of(groups) {
            return Err(Problem::Groups {
                groups,
                channels,
                what,
            });
        }
    }
    Ok(())
}

fn check_weights(elements: u64, outputs: u32) -> Result<(), Problem> {
    check_range("output channels", outputs.into(), 1, SIZE_MAX.into())?;
    let limit = u64::from(REDUCTION_MAX);
    check_range(
        "the reduction (channels of a group x taps)",
        elements,
        1,
        limit,
    )?;
    let weights = elements * u64::from(outputs);
    check_range("the number of weights", weights, 1, WEIGHTS_MAX)
}

/// Height and width of what a window gives.
fn window_output(window: &Window, input: Shape) -> Result<(u32, u32), Problem> {
    let p = window.padding;
    for (field, value, min, max) in [
        ("the kernel's height", window.kernel.0, 1, SIZE_MAX),
        ("the kernel's width", window.kernel.1, 1, SIZE_MAX),
        ("the stride in y", window.stride.0, 1, WINDOW_MAX),
        ("the stride in x", window.stride.1, 1, WINDOW_MAX),
        ("the dilation in y", window.dilation.0, 1, WINDOW_MAX),
        ("the dilation in x", window.dilation.1, 1, WINDOW_MAX),
        ("padding above", p.top, 0, WINDOW_MAX),
        ("padding to the left", p.left, 0, WINDOW_MAX),
        ("padding below", p.bottom, 0, WINDOW_MAX),
        ("padding to the right", p.right, 0, WINDOW_MAX),
    ] {
        check_range(field, value.into(), min, max.into())?;
    }
    window.output(input).ok_or(Problem::Kernel {
        kernel: window.kernel,
        dilation: window.dilation,
        shape: input,
    })
}

/// Whether an input can be read in another precision: the most significant of its branches.
fn check_read(stored: Precision, wanted: Precision) -> Result<(), Problem> {
    if stored.encoding != wanted.encoding {
        return Err(Problem::InputEncoding {
            wanted: wanted.encoding,
            found: stored.encoding,
        });
    }
    let (wanted, stored) = (wanted.bits.into(), stored.bits.into());
    check_range("activation bits of what reads the input", wanted, 1, stored)
}
