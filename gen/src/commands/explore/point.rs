//! What is explored, and what a point of it is.

use super::network;
use super::synthesized::Synthesized;
use crate::activity::scale::{Done, Reference, Switching};
use crate::engine;
use crate::estimate::{Estimate, Hardware, Model};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::{BITS_MAX, DIMENSION_MAX};
use xnorforge_hdl::popcount::PopcountPlan;
use xnorforge_sim::forecast::{Forecaster, Memo};
use xnorforge_sim::network::Outline;
use xnorforge_sim::{CycleReport, GemmShape, Precision};

/// Text that is known when the program is built, unless it comes from a file.
pub type Text = Cow<'static, str>;

/// One point: a design and what the work takes on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Lanes.
    pub lanes: u32,
    /// Activation branches in one cycle.
    pub activation_branches: u32,
    /// Weight branches in one cycle.
    pub weight_branches: u32,
    /// Columns that leave the drain in one cycle, of an accelerator.
    pub drain_columns: u32,
    /// Load ports, of an accelerator.
    pub load_ports: u32,
    /// Binary operation pairs in one cycle: the size of the array.
    pub binary_operation_pairs_per_cycle: u64,
    /// Clock cycles of all layers.
    pub cycles: u64,
    /// Share of the array's binary operation pairs that the work needs, 0 to 1.
    pub utilization: f64,
    /// Binary operation pairs of the work per cycle.
    pub effective_pairs_per_cycle: f64,
    /// What bounds most of the cycles.
    pub bound: Text,
    /// Cycles of each layer; of networks, first those of taking the input.
    pub layer_cycles: Vec<u64>,
    /// What bounds each of them; `bandwidth` where the streams' bytes take longer than the cycles.
    pub layer_bounds: Vec<Text>,
    /// Bytes of each of them on the streams.
    pub layer_stream_bytes: Vec<u64>,
    /// Bytes on all streams, of an accelerator; resident weights are not counted.
    pub stream_bytes: u64,
    /// Bits of all on-chip memories, of an accelerator.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bits: Option<u64>,
    /// Cycles with the bandwidth to the outside that was given: of each layer no fewer than its streams' bytes take. A
    /// roofline: bursts and buffers may make it more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycles_at_bandwidth: Option<u64>,
    /// Inputs in a second at the clock that was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frames_per_second: Option<f64>,
    /// What a model estimates of area, clock and energy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimate: Option<Estimate>,
    /// Why a model that there is gives no estimate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_estimated: Option<String>,
    /// What it switches, scaled from a run that was counted, where one was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub switching: Option<Switching>,
    /// What outside tools made of it, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub synthesized: Option<Synthesized>,
    /// Whether no other point beats this one in all that is compared.
    pub is_pareto: bool,
    /// The configuration's hash.
    pub configuration_sha256: String,
    /// The command that generates this point's Verilog.
    pub command: String,
}

/// A layer of the work, for all inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Rows, elements of the reduction and columns of the product.
    pub shape: [u64; 3],
    /// Encoding and bits of the activations.
    pub activation: Precision,
    /// Encoding and bits of the weights; none for pools and for the input.
    pub weight: Option<Precision>,
}

impl Layer {
    /// Multiply-accumulates; 0 of pools and of the input.
    pub fn macs(&self) -> u128 {
        match self.weight {
            Some(_) => self.shape.iter().map(|size| u128::from(*size)).product(),
            None => 0,
        }
    }

    /// Binary operation pairs.
    pub fn binary_pairs(&self) -> u128 {
        let bits = |weight: Precision| self.activation.bits * weight.bits;
        self.macs() * u128::from(self.weight.map_or(0, bits))
    }
}

/// What is run at each point.
#[derive(Clone, Debug)]
pub enum Work {
    /// One product, on the array alone.
    Product(GemmShape),
    /// Networks one after the other, on the accelerator.
    Networks(Networks),
}

/// Networks without their numbers.
#[derive(Clone, Debug)]
pub struct Networks {
    /// Each of them.
    pub outlines: Vec<Outline>,
    /// Their cycles.
    pub forecasters: Vec<Forecaster>,
    /// Images that each of them runs on.
    pub inputs: u32,
}

impl Networks {
    /// Networks that run on `inputs` images each.
    pub fn new(outlines: Vec<Outline>, inputs: u32) -> Self {
        Networks {
            forecasters: outlines.iter().map(Forecaster::new).collect(),
            outlines,
            inputs,
        }
    }

    /// A memo for each of them.
    pub fn memos(&self) -> Vec<Memo> {
        self.forecasters.iter().map(|_| Memo::default()).collect()
    }
}

/// What is outside of the accelerator, and what estimates its area.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// The clock in MHz, where the user gives one.
    pub clock_mhz: Option<f64>,
    /// Bytes from and to the outside in a cycle, where the user gives them.
    pub bytes_per_cycle: Option<f64>,
    /// The model of the target.
    pub model: Option<&'static Model>,
    /// A run whose nets were counted, for the same target.
    pub activity: Option<&'static Reference>,
}

impl Surroundings {
    /// What the model says of a design: an estimate, or why there is none; neither without a model.
    pub(super) fn estimate(&self, hardware: Hardware<'_>) -> (Option<Estimate>, Option<String>) {
        match self.model.map(|model| model.estimate(hardware)) {
            None => (None, None),
            Some(Ok(estimate)) => (Some(estimate), None),
            Some(Err(reason)) => (None, Some(reason.to_string())),
        }
    }
}

impl Work {
    /// The layers, in the order of [`Point::layer_cycles`].
    pub fn layers(&self) -> Vec<Layer> {
        match self {
            Work::Product(shape) => vec![Layer {
                name: engine::PRODUCT.to_owned(),
                shape: [shape.rows, shape.elements, shape.columns],
                activation: shape.activation,
                weight: Some(shape.weight),
            }],
            Work::Networks(networks) => networks
                .outlines
                .iter()
                .flat_map(|outline| network::layers(outline, networks.inputs))
                .collect(),
        }
    }

    /// Bits of activations and weights of the layer with the most multiply-accumulates.
    pub fn bits(&self) -> (u32, u32) {
        let layers = self
            .layers()
            .into_iter()
            .filter_map(|layer| Some((layer.macs(), layer.activation.bits, layer.weight?.bits)));
        let most = layers.max_by_key(|(macs, ..)| *macs);
        most.map_or((1, 1), |(_, activation, weight)| (activation, weight))
    }

    /// Memos for a thread.
    pub fn memos(&self) -> Vec<Memo> {
        match self {
            Work::Product(_) => Vec::new(),
            Work::Networks(networks) => networks.memos(),
        }
    }

    /// One point, or why it cannot be built.
    ///
    /// # Errors
    /// The message of a configuration or a network that does not go together with the other.
    pub fn point(
        &self,
        memos: &mut [Memo],
        config: ArrayConfig,
        around: &Surroundings,
    ) -> Result<Point, String> {
        let config = fit_stages(config);
        match self {
            Work::Product(shape) => product(&config, shape, around),
            Work::Networks(networks) => network::point(networks, memos, config, around),
        }
    }
}

/// A product on the array.
fn product(
    config: &ArrayConfig,
    shape: &GemmShape,
    around: &Surroundings,
) -> Result<Point, String> {
    let design = config.validate().map_err(|e| e.to_string())?;
    let report =
        CycleReport::of_shape(&design, shape).map_err(|e| engine::lower_error(e).to_string())?;
    let spent = Spent {
        layers: vec![SpentLayer {
            cycles: report.cycles,
            bound: report.bound.name(),
            stream_bytes: 0,
        }],
        binary_pairs: report.binary_pairs.into(),
        beats: report.beats,
        results: shape.rows * shape.columns,
        inputs: 1,
    };
    let (estimate, not_estimated) = around.estimate(Hardware::Array(&design));
    Ok(Point {
        estimate,
        not_estimated,
        configuration_sha256: config.hash(),
        command: format!("xnorforge generate {} --out DIR", config.command_flags()),
        ..Point::new(config, spent, around)
    })
}

/// A small popcount has fewer ranks of adders than the base configuration may have pipeline registers.
pub fn fit_stages(config: ArrayConfig) -> ArrayConfig {
    let branches = [config.activation_branches, config.weight_branches];
    let is_legal = (1..=DIMENSION_MAX).contains(&config.lanes)
        && branches.iter().all(|b| (1..=BITS_MAX).contains(b));
    if !is_legal {
        return config;
    }
    let pairs = config.lanes.div_ceil(2);
    let ranks =
        PopcountPlan::new(pairs, config.weight_branches, config.activation_branches).ranks();
    ArrayConfig {
        popcount_stages: config.popcount_stages.min(ranks),
        ..config
    }
}

/// What the work takes at a point.
pub(super) struct Spent {
    pub layers: Vec<SpentLayer>,
    /// Binary operation pairs of all layers.
    pub binary_pairs: u128,
    /// Cycles in which the array takes operands.
    pub beats: u64,
    /// Results of products.
    pub results: u64,
    /// Inputs that it is for.
    pub inputs: u32,
}

/// What a layer takes.
pub(super) struct SpentLayer {
    pub cycles: u64,
    pub bound: &'static str,
    pub stream_bytes: u64,
}

/// The bound of a layer whose streams' bytes take longer than its cycles.
const BANDWIDTH: &str = "bandwidth";

impl SpentLayer {
    /// Cycles and bound with a bandwidth.
    fn at(&self, bytes_per_cycle: Option<f64>) -> (u64, &'static str) {
        let streaming = bytes_per_cycle.map_or(0, |bandwidth| {
            (self.stream_bytes as f64 / bandwidth).ceil() as u64
        });
        if streaming > self.cycles {
            (streaming, BANDWIDTH)
        } else {
            (self.cycles, self.bound)
        }
    }
}

impl Point {
    /// All but the configuration's hash, its memories, the estimate and the command.
    pub(super) fn new(config: &ArrayConfig, spent: Spent, around: &Surroundings) -> Self {
        let cycles: u64 = spent.layers.iter().map(|layer| layer.cycles).sum();
        let bounded: Vec<(u64, &'static str)> = spent
            .layers
            .iter()
            .map(|layer| layer.at(around.bytes_per_cycle))
            .collect();
        let at_bandwidth: u64 = bounded.iter().map(|(cycles, _)| cycles).sum();
        let effective = spent.binary_pairs as f64 / cycles as f64;
        let size = config.binary_pairs_per_cycle();
        let frames = |mhz: f64| mhz * 1e6 * f64::from(spent.inputs) / at_bandwidth as f64;
        Point {
            rows: config.rows,
            columns: config.columns,
            lanes: config.lanes,
            activation_branches: config.activation_branches,
            weight_branches: config.weight_branches,
            drain_columns: config.accelerator.drain_columns,
            load_ports: config.accelerator.load_ports,
            binary_operation_pairs_per_cycle: size,
            cycles,
            utilization: effective / size as f64,
            effective_pairs_per_cycle: effective,
            bound: most(&bounded).into(),
            layer_cycles: spent.layers.iter().map(|layer| layer.cycles).collect(),
            layer_bounds: bounded.iter().map(|(_, bound)| (*bound).into()).collect(),
            layer_stream_bytes: spent.layers.iter().map(|l| l.stream_bytes).collect(),
            stream_bytes: spent.layers.iter().map(|l| l.stream_bytes).sum(),
            memory_bits: None,
            cycles_at_bandwidth: around.bytes_per_cycle.map(|_| at_bandwidth),
            frames_per_second: around.clock_mhz.map(frames),
            estimate: None,
            not_estimated: None,
            switching: around.activity.map(|activity| {
                let done = Done {
                    beats: spent.beats,
                    results: spent.results,
                    cycles,
                };
                activity.of(config, &done)
            }),
            synthesized: None,
            is_pareto: false,
            configuration_sha256: String::new(),
            command: String::new(),
        }
    }

    /// The configuration that it was made of, before a network's memories have grown it; `base` is the sweep's.
    pub fn config(&self, base: &ArrayConfig) -> ArrayConfig {
        let mut config = ArrayConfig {
            rows: self.rows,
            columns: self.columns,
            lanes: self.lanes,
            activation_branches: self.activation_branches,
            weight_branches: self.weight_branches,
            ..base.clone()
        };
        config.accelerator.drain_columns = self.drain_columns;
        config.accelerator.load_ports = self.load_ports;
        fit_stages(config)
    }

    /// Rows, columns, lanes and branches, as short as that.
    pub fn label(&self) -> String {
        format!(
            "{}x{}x{} / {}x{}",
            self.rows, self.columns, self.lanes, self.activation_branches, self.weight_branches
        )
    }

    /// Cycles, with the bandwidth if one was given.
    pub fn bounded_cycles(&self) -> u64 {
        self.cycles_at_bandwidth.unwrap_or(self.cycles)
    }
}

/// The bound of the most cycles.
fn most(bounded: &[(u64, &'static str)]) -> &'static str {
    let mut sums: std::collections::BTreeMap<&'static str, u64> = Default::default();
    for (cycles, bound) in bounded {
        *sums.entry(bound).or_default() += cycles;
    }
    let most = sums.into_iter().max_by_key(|(_, cycles)| *cycles);
    most.map_or("compute", |(bound, _)| bound)
}
