//! Runs networks on the accelerator: compiles them, executes them at the host's speed, and reports the cycles of every
//! layer.

use crate::engine::Check;
use crate::failure::Failure;
use crate::graph;
use crate::io::{Array, ArrayFile};
use crate::terminal::{Terminal, percent, thousands};
use crate::workload::{INPUTS_DEFAULT, rows_of};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use xnorforge_hdl::accelerator::{Cause, Descriptor, Field, Opcode};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::Precision;
use xnorforge_sim::network::reference::Trace;
use xnorforge_sim::network::{
    Layer, Network, Operation, Outline, Output, Shape, Tensor, execute, number_of_step, steps,
};
use xnorforge_sim::program::timing;
use xnorforge_sim::program::{Entry, LOAD_WEIGHTS, Program, ProgramError};

/// Most images that are compiled into one run when the command line doesn't say.
const IMAGES_MAX: u32 = 256;

/// A network, compiled for an accelerator.
#[derive(Debug)]
pub struct Compiled {
    /// The network.
    pub network: Network,
    /// The program; several networks may share one.
    pub program: Arc<Program>,
    /// Images of one run.
    pub images: u32,
}

impl Compiled {
    /// Compiles a network for `images` images in a run; without a number, for as many as fit, at most `inputs`.
    ///
    /// # Errors
    /// A network that does not fit the design, even for one image.
    pub fn new(
        design: &AcceleratorDesign,
        network: Network,
        inputs: usize,
        images: Option<u32>,
    ) -> Result<Self, Failure> {
        let mut all = Self::all(design, vec![network], inputs, images)?;
        Ok(all.remove(0))
    }

    /// Compiles several networks into one program, an entry for each.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn all(
        design: &AcceleratorDesign,
        networks: Vec<Network>,
        inputs: usize,
        images: Option<u32>,
    ) -> Result<Vec<Self>, Failure> {
        let (program, images) = match images {
            Some(images) => (compile(design, images, &networks)?, images),
            None => most_images(design, inputs, &networks)?,
        };
        let program = Arc::new(program);
        let compiled = networks.into_iter().map(|network| Compiled {
            network,
            program: program.clone(),
            images,
        });
        Ok(compiled.collect())
    }

    /// The network's entry.
    pub fn entry(&self) -> &Entry {
        self.program
            .entry(&self.network.name)
            .expect("a program has an entry for each of its networks")
    }

    /// Runs that `inputs` images take.
    pub fn runs(&self, inputs: usize) -> u64 {
        (inputs as u64).div_ceil(self.images.into())
    }

    /// The images of one run; the last run is filled up with the first image.
    pub fn batch(&self, inputs: &Tensor, run: usize) -> Tensor {
        let one = inputs.shape.len();
        let images = self.images as usize;
        let mut values = Vec::with_capacity(images * one);
        for image in run * images..(run + 1) * images {
            let image = if image < inputs.images { image } else { 0 };
            values.extend_from_slice(&inputs.values[image * one..][..one]);
        }
        Tensor {
            images,
            shape: inputs.shape,
            values,
        }
    }
}

fn compile(
    design: &AcceleratorDesign,
    images: u32,
    networks: &[Network],
) -> Result<Program, Failure> {
    let networks: Vec<&Network> = networks.iter().collect();
    Program::compile_all(design, images, &networks).map_err(Failure::input)
}

/// The largest number of images that fits, found by bisection: a larger batch never needs less memory.
fn most_images(
    design: &AcceleratorDesign,
    inputs: usize,
    networks: &[Network],
) -> Result<(Program, u32), Failure> {
    let mut best = (compile(design, 1, networks)?, 1);
    let networks: Vec<&Network> = networks.iter().collect();
    let mut too_many = u32::try_from(inputs).unwrap_or(IMAGES_MAX).min(IMAGES_MAX) + 1;
    while best.1 + 1 < too_many {
        let middle = best.1.midpoint(too_many);
        match Program::compile_all(design, middle, &networks) {
            Ok(program) => best = (program, middle),
            Err(ProgramError::Memory { .. } | ProgramError::Field { .. }) => too_many = middle,
            Err(other) => return Err(Failure::input(other)),
        }
    }
    Ok(best)
}

/// Codes from `array` as inputs of a network, the first `limit` of them. One input is `[channels, height, width]`, flat
/// or not.
///
/// # Errors
/// A wrong shape or type; a value without a code.
pub fn input_tensor(
    array: &Array,
    network: &Network,
    limit: Option<usize>,
) -> Result<Tensor, Failure> {
    let Shape {
        height,
        width,
        channels,
    } = network.input;
    let elements = network.input.len();
    let rows = rows_of(&array.shape, elements).ok_or_else(|| {
        array.shape_error(format!(
            "[inputs, {channels}, {height}, {width}] ({elements} elements per input)"
        ))
    })?;
    let images = limit.map_or(rows, |limit| limit.min(rows));
    let values = array.ints()?;
    let Precision { encoding, bits } = network.precision;
    if let Some(index) = values[..images * elements]
        .iter()
        .position(|value| !encoding.contains(bits, *value))
    {
        let why = encoding
            .encode(bits, values[index])
            .expect_err("a value that is not contained has no code");
        return Err(array.value_error(index, format!("{why}")).into());
    }
    let values = &values[..images * elements];
    Ok(graph::from_planes(images, network.input, values))
}

/// Random inputs.
pub fn random_inputs(network: &Network, count: Option<usize>, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensor = Tensor::zeros(count.unwrap_or(INPUTS_DEFAULT), network.input);
    let top = steps(network.precision);
    for value in &mut tensor.values {
        *value = number_of_step(network.precision, rng.random_range(0..top));
    }
    tensor
}

/// Cycles of one layer and what they went to, all runs together.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// The layer's name.
    pub name: String,
    /// What it computes.
    pub kind: &'static str,
    /// Of the product: output pixels of all inputs, elements of the reduction, output channels; of a pool, elements of
    /// the window in the middle.
    pub shape: [u64; 3],
    /// Height, width and channels of the output.
    pub output: [u32; 3],
    /// Encoding and bits of the activations, as they are read.
    pub activation: Precision,
    /// Encoding and bits of the weights; none for pools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Precision>,
    /// Clock cycles.
    pub cycles: u64,
    /// Cycles by what they went to; they add up to `cycles`.
    pub causes: BTreeMap<Cause, u64>,
    /// Share of the cycles in which the array takes a beat, 0 to 1.
    pub busy: f64,
    /// Share of the array's binary operation pairs in these cycles that the layer needs, 0 to 1.
    pub utilization: f64,
    /// What holds the array back: the cause of most cycles without a beat, if they are a tenth of all; else `compute`.
    pub bound: &'static str,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Binary operation pairs: MACs x activation bits x weight bits.
    pub binary_operation_pairs: u128,
    /// Operations: 2 for each binary operation pair (xnor and add).
    pub operations: u128,
    /// Bytes moved.
    pub bytes: Bytes,
}

/// Bytes that a layer moves, all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// Weights taken from the weight stream.
    pub weights_streamed: u64,
    /// Inputs taken from the input stream.
    pub input_streamed: u64,
    /// Results given to the result stream.
    pub results_streamed: u64,
    /// Read from the weight memories.
    pub weights_read: u64,
    /// Written to the activation or residual memory.
    pub activations_written: u64,
}

impl Bytes {
    fn add(&mut self, other: Bytes) {
        self.weights_streamed += other.weights_streamed;
        self.input_streamed += other.input_streamed;
        self.results_streamed += other.results_streamed;
        self.weights_read += other.weights_read;
        self.activations_written += other.activations_written;
    }

    fn times(mut self, runs: u64) -> Self {
        for bytes in [
            &mut self.weights_streamed,
            &mut self.input_streamed,
            &mut self.results_streamed,
            &mut self.weights_read,
            &mut self.activations_written,
        ] {
            *bytes *= runs;
        }
        self
    }
}

/// Everything together.
#[derive(Clone, Debug, Serialize)]
pub struct Total {
    /// Clock cycles of all runs, inputs and results streamed, without loading the program and resident weights.
    pub cycles: u64,
    /// Cycles of loading resident weights, once.
    pub weight_load_cycles: u64,
    /// Images of one run.
    pub images_per_run: u32,
    /// Runs.
    pub runs: u64,
    /// As in [`LayerReport`].
    pub busy: f64,
    /// As in [`LayerReport`].
    pub utilization: f64,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Operations.
    pub operations: u128,
    /// Bytes moved.
    pub bytes: Bytes,
}

/// The report of a network on an accelerator.
#[derive(Clone, Debug)]
pub struct Report {
    /// Taking the input, and what else belongs to no layer.
    pub input: LayerReport,
    /// One for each layer, in order.
    pub layers: Vec<LayerReport>,
    /// Their sum.
    pub total: Total,
}

impl Report {
    /// The input, then every layer.
    fn rows(&self) -> impl Iterator<Item = &LayerReport> {
        std::iter::once(&self.input).chain(&self.layers)
    }

    /// The cycles of `inputs` images: those of the closed formulas, which are the RTL's while no stream stalls.
    pub fn new(compiled: &Compiled, inputs: usize) -> Self {
        let design = compiled.program.design();
        let runs = compiled.runs(inputs);
        let entry = compiled.entry();
        let outline = compiled.network.outline();
        let outline = outline.expect("a compiled network is legal");
        let cycles = timing::entry_cycles(design, entry, compiled.network.layers.len());
        let mut bytes = vec![Bytes::default(); compiled.network.layers.len() + 1];
        for step in &entry.steps {
            let index = step.layer.map_or(0, |layer| layer + 1);
            bytes[index].add(step_bytes(design, &step.descriptor));
        }
        let load = compiled.program.entry(LOAD_WEIGHTS);
        let load = load.map_or(0, |entry| {
            timing::entry_cycles(design, entry, 0).other.total()
        });
        let context = Context {
            outline: &outline,
            design,
            inputs: inputs as u64,
        };
        let cycles = std::iter::once(cycles.other).chain(cycles.layers);
        let reports: Vec<LayerReport> = cycles
            .zip(bytes)
            .enumerate()
            .map(|(index, (cycles, bytes))| {
                let causes = Cause::ALL.map(|cause| (cause, runs * cycles.of(cause)));
                let spent = Spent {
                    causes: causes.into(),
                    bound: cycles.bound(),
                    bytes: bytes.times(runs),
                };
                match index.checked_sub(1) {
                    None => context.input(spent),
                    Some(layer) => context.layer(layer, spent),
                }
            })
            .collect();
        let total = total(design, &reports, load, compiled.images, runs);
        let mut reports = reports.into_iter();
        Report {
            input: reports.next().expect("the input is the first"),
            layers: reports.collect(),
            total,
        }
    }
}

fn total(
    design: &AcceleratorDesign,
    layers: &[LayerReport],
    weight_load_cycles: u64,
    images_per_run: u32,
    runs: u64,
) -> Total {
    let cycles: u64 = layers.iter().map(|layer| layer.cycles).sum();
    let busy: u64 = layers.iter().map(|l| l.causes[&Cause::Busy]).sum();
    let pairs: u128 = layers.iter().map(|l| l.binary_operation_pairs).sum();
    let mut bytes = Bytes::default();
    layers.iter().for_each(|layer| bytes.add(layer.bytes));
    Total {
        cycles,
        weight_load_cycles,
        images_per_run,
        runs,
        busy: share(busy.into(), cycles.into()),
        utilization: share(
            pairs,
            u128::from(cycles) * pairs_per_cycle(design.design().config()),
        ),
        macs: layers.iter().map(|layer| layer.macs).sum(),
        operations: 2 * pairs,
        bytes,
    }
}

fn pairs_per_cycle(config: &ArrayConfig) -> u128 {
    config.binary_pairs_per_cycle().into()
}

fn share(part: u128, whole: u128) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// Beats of the array that a COMPUTE descriptor takes.
fn beats(descriptor: &Descriptor) -> u64 {
    [
        Field::RowTiles,
        Field::ColumnTiles,
        Field::ScheduleSteps,
        Field::Chunks,
    ]
    .into_iter()
    .map(|field| descriptor.get(field) as u64)
    .product()
}

/// Bytes that one descriptor moves in one run.
fn step_bytes(design: &AcceleratorDesign, descriptor: &Descriptor) -> Bytes {
    let c = design.design().config();
    let field = |field: Field| descriptor.get(field) as u64;
    let bytes = |bits: u64| bits.div_ceil(8);
    let mut moved = Bytes::default();
    match Opcode::of(field(Field::Opcode) as u32) {
        Some(Opcode::Weights) => {
            let words = field(Field::WeightLast) + 1 - field(Field::WeightBase);
            let bits = words * u64::from(c.columns) * u64::from(design.weight_width);
            moved.weights_streamed = bytes(bits);
        }
        Some(Opcode::Input) => {
            let words = field(Field::OutLast) + 1 - field(Field::OutBase);
            moved.input_streamed = bytes(words * u64::from(design.word_width));
            moved.activations_written = moved.input_streamed;
        }
        Some(Opcode::Compute) => {
            let beats = beats(descriptor);
            moved.weights_read =
                bytes(beats * u64::from(c.columns) * u64::from(design.weight_width));
            let rows = (field(Field::RowTiles) - 1) * u64::from(c.rows) + field(Field::LastRows);
            let tiles = field(Field::ColumnTiles);
            if field(Field::ToActivation) + field(Field::ToResidual) > 0 {
                let granule = u64::from(design.granule_lanes * c.activation_branches);
                moved.activations_written = bytes(rows * tiles * field(Field::OutGroups) * granule);
            }
            if field(Field::ToStream) > 0 {
                let columns = (tiles - 1) * u64::from(c.columns) + field(Field::LastColumns);
                moved.results_streamed = 4 * rows * columns;
            }
        }
        Some(Opcode::Pool) => {
            let pixels = (field(Field::RowTiles) - 1) * u64::from(c.rows) + field(Field::LastRows);
            let lanes = u64::from(design.granule_lanes * c.activation_branches);
            moved.activations_written =
                bytes(pixels * field(Field::RunGranules) * field(Field::Groups) * lanes);
        }
        Some(Opcode::End) | None => {}
    }
    moved
}

/// What all runs of a layer take.
struct Spent {
    causes: BTreeMap<Cause, u64>,
    bound: Cause,
    bytes: Bytes,
}

/// What the rows of a report are made of.
struct Context<'a> {
    outline: &'a Outline,
    design: &'a AcceleratorDesign,
    inputs: u64,
}

impl Context<'_> {
    fn input(&self, spent: Spent) -> LayerReport {
        let shape = self.outline.input;
        self.report(
            "input",
            "input",
            [
                self.inputs * u64::from(shape.height * shape.width),
                0,
                shape.channels.into(),
            ],
            shape,
            (self.outline.precision, None),
            spent,
        )
    }

    fn layer(&self, index: usize, spent: Spent) -> LayerReport {
        let layer = &self.outline.layers[index];
        let mut shape = layer.gemm();
        shape[0] *= self.inputs;
        self.report(
            &layer.name,
            layer.kind(),
            shape,
            layer.output_shape,
            (layer.activation, layer.weight()),
            spent,
        )
    }

    fn report(
        &self,
        name: &str,
        kind: &'static str,
        shape: [u64; 3],
        output: Shape,
        (activation, weight): (Precision, Option<Precision>),
        spent: Spent,
    ) -> LayerReport {
        let cycles = spent.causes.values().sum();
        let busy = spent.causes[&Cause::Busy];
        let macs: u128 = match weight {
            Some(_) => shape.iter().map(|size| u128::from(*size)).product(),
            None => 0,
        };
        let pairs = weight.map_or(0, |w| macs * u128::from(activation.bits * w.bits));
        let available = u128::from(cycles) * pairs_per_cycle(self.design.design().config());
        LayerReport {
            name: name.to_owned(),
            kind,
            shape,
            output: [output.height, output.width, output.channels],
            activation,
            weight,
            cycles,
            busy: share(busy.into(), cycles.into()),
            utilization: share(pairs, available),
            bound: bound_name(spent.bound),
            macs,
            binary_operation_pairs: pairs,
            operations: 2 * pairs,
            bytes: spent.bytes,
            causes: spent.causes,
        }
    }
}

/// What holds the array back, in the words of a report.
pub fn bound_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Busy => "compute",
        cause => cause.name(),
    }
}

/// Prints the table of layers and their sum.
pub fn print_layers(terminal: &Terminal, report: &Report) {
    let mut rows: Vec<Vec<String>> = report.rows().map(layer_row).collect();
    let total = &report.total;
    let mut row = vec!["total".to_owned()];
    row.resize(4, String::new());
    row.extend([
        thousands(total.cycles.into()),
        percent(total.busy),
        percent(total.utilization),
        String::new(),
        thousands(total.operations),
    ]);
    rows.push(row);
    terminal.table(
        &[
            "layer",
            "output",
            "activations",
            "weights",
            ">cycles",
            ">busy",
            ">utilization",
            "bound",
            ">operations",
        ],
        &rows,
    );
}

fn layer_row(layer: &LayerReport) -> Vec<String> {
    let precision = |p: Precision| format!("{} {}", p.encoding, p.bits);
    let [height, width, channels] = layer.output;
    vec![
        layer.name.clone(),
        format!("{height}x{width}x{channels}"),
        precision(layer.activation),
        layer.weight.map_or("-".to_owned(), precision),
        thousands(layer.cycles.into()),
        percent(layer.busy),
        percent(layer.utilization),
        layer.bound.to_owned(),
        thousands(layer.operations),
    ]
}

/// Prints where the cycles went that were not busy.
pub fn print_causes(terminal: &Terminal, report: &Report) {
    let causes = &Cause::ALL;
    let columns: Vec<String> = std::iter::once("cycles of".to_owned())
        .chain(causes.iter().map(|cause| format!(">{}", cause.name())))
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = report
        .rows()
        .map(|layer| {
            let counts = causes.iter().map(|c| thousands(layer.causes[c].into()));
            std::iter::once(layer.name.clone()).chain(counts).collect()
        })
        .collect();
    terminal.table(&columns, &rows);
}

/// The integers of every layer, by the packed kernels.
///
/// # Errors
/// Inputs that do not fit the network.
pub fn execute(network: &Network, inputs: &Tensor) -> Result<Trace, Failure> {
    execute::execute(network, inputs).map_err(Failure::input)
}

/// The share of images whose class is the label. `class` gets the scores of an image, channel fastest.
pub fn accuracy(scores: &Tensor, labels: &[i64], class: impl Fn(&[i64]) -> usize) -> f64 {
    let images = scores.values.chunks_exact(scores.shape.len()).zip(labels);
    let right = images.filter(|(scores, label)| class(scores) as i64 == **label);
    right.count() as f64 / labels.len() as f64
}

/// Compares integers with those of a file that has them under their names.
///
/// # Errors
/// A file without any of them, or with other shapes.
pub fn check_expected(
    file: &ArrayFile,
    stored: &[(String, &Tensor)],
) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    for (name, found) in stored.iter().filter(|(name, _)| file.has(name)) {
        let array = file.read(name)?;
        let expected = graph::images(&array)?;
        if expected.shape.len() != found.shape.len() || expected.images < found.images {
            let Shape {
                height,
                width,
                channels,
            } = found.shape;
            let wanted = format!("[{} or more, {channels}, {height}, {width}]", found.images);
            return Err(array.shape_error(wanted).into());
        }
        let expected = &expected.values[..found.values.len()];
        checks.push(Check::new(name, found.shape.len(), &found.values, expected));
    }
    if checks.is_empty() {
        let names: Vec<String> = stored.iter().map(|(name, _)| format!("`{name}`")).collect();
        return Err(Failure::input(format!(
            "`{}` holds nothing to check: expected an array {}",
            file.name(),
            names.join(" or ")
        )));
    }
    Ok(checks)
}

/// The integers of every layer with the names under which an `.npz` stores them: `l1_acc`, `l1_act`, `l1_pool`, ...
pub fn stored<'t>(network: &Network, trace: &'t Trace) -> Vec<(String, &'t Tensor)> {
    let layers = network.layers.iter().enumerate();
    layers
        .flat_map(|(index, layer)| stored_names(layer, trace, index))
        .collect()
}

/// The names under which a layer's integers may be stored, and the integers.
fn stored_names<'t>(layer: &Layer, trace: &'t Trace, index: usize) -> Vec<(String, &'t Tensor)> {
    let name = layer.name.replace('.', "_");
    let output = &trace.outputs[index];
    match (&layer.operation, &layer.output) {
        (Operation::MaxPool(_), _) => vec![(name, output)],
        (_, Output::Raw) => vec![(format!("{name}_acc"), output)],
        (_, Output::Codes(_)) => vec![
            (format!("{name}_acc"), &trace.accumulators[index]),
            (format!("{name}_act"), output),
        ],
    }
}
