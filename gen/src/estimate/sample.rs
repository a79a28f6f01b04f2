//! What models are fitted to: designs, and what a synthesizer made of each of their modules.
//!
//! A sample is a file of the repository (`gen/data`), or one that `xnorforge calibrate` wrote on the user's machine.

use super::{Hardware, quantities};
use crate::area::Area;
use crate::clock::MeasuredArray;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Mul};
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig, Structure, Target};

/// Marks a file as a sample.
pub const SCHEMA: &str = "xnorforge-sample";
/// Raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest sample that is read, in bytes.
pub const BYTES_MAX: u64 = 16 << 20;

/// What something takes. Sums and multiples are those of each number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 6]", into = "[f64; 6]")]
pub struct Counts {
    /// Places, as [`Area::sites`]: LUTs as a vendor counts them, distributed memories included; cells without flip-flops.
    pub sites: f64,
    /// Carry cells.
    pub carries: f64,
    /// Flip-flops.
    pub flip_flops: f64,
    /// Block memories.
    pub block_rams: f64,
    /// Multiplier blocks.
    pub multipliers: f64,
    /// Area of standard cells.
    pub cell_area: f64,
}

impl Counts {
    /// The numbers, in the order of the fields.
    pub fn values(self) -> [f64; 6] {
        self.into()
    }
}

impl From<[f64; 6]> for Counts {
    fn from(values: [f64; 6]) -> Self {
        let [
            sites,
            carries,
            flip_flops,
            block_rams,
            multipliers,
            cell_area,
        ] = values;
        Counts {
            sites,
            carries,
            flip_flops,
            block_rams,
            multipliers,
            cell_area,
        }
    }
}

impl From<Counts> for [f64; 6] {
    fn from(c: Counts) -> Self {
        [
            c.sites,
            c.carries,
            c.flip_flops,
            c.block_rams,
            c.multipliers,
            c.cell_area,
        ]
    }
}

impl From<&Area> for Counts {
    fn from(area: &Area) -> Self {
        Counts {
            sites: area.sites as f64,
            carries: area.carry as f64,
            flip_flops: area.ff as f64,
            block_rams: area.bram as f64,
            multipliers: area.dsp as f64,
            cell_area: area.cell_area.unwrap_or_default(),
        }
    }
}

impl Add for Counts {
    type Output = Counts;
    fn add(self, other: Counts) -> Counts {
        let (a, b) = (self.values(), other.values());
        Counts::from(std::array::from_fn(|i| a[i] + b[i]))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        *self = *self + other;
    }
}

impl Mul<f64> for Counts {
    type Output = Counts;
    fn mul(self, factor: f64) -> Counts {
        Counts::from(self.values().map(|value| value * factor))
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), Add::add)
    }
}

/// What all modules of one kind take together, by kind ([`kind_of`]).
pub type Kinds = BTreeMap<String, Counts>;

/// One measured design.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The configuration.
    pub configuration: ArrayConfig,
    /// The array behind streams.
    pub array: Kinds,
    /// The accelerator behind AXI.
    pub accelerator: Kinds,
    /// What follows from the configuration ([`Sample::derive`]).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub derived: Option<Derived>,
}

/// What a fit needs to know of a configuration. It is kept in samples because placing all units takes seconds, and a fit of
/// what is known milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The structure of the units.
    pub structure: Structure,
    /// The array's quantities.
    pub array: Vec<f64>,
    /// The accelerator's.
    pub accelerator: Vec<f64>,
}

impl Derived {
    /// Of a configuration.
    ///
    /// # Errors
    /// A configuration that this program cannot make.
    pub fn new(configuration: &ArrayConfig) -> Result<Self, SampleError> {
        let invalid =
            |e: &dyn std::fmt::Display| SampleError::Format(format!("a design of it: {e}"));
        let design = configuration.validate().map_err(|e| invalid(&e))?;
        let design = AcceleratorDesign::new(&design).map_err(|e| invalid(&e))?;
        Ok(Derived {
            structure: design.design().structure(),
            array: quantities::of(Hardware::Array(design.design())).to_vec(),
            accelerator: quantities::of(Hardware::Accelerator(&design)).to_vec(),
        })
    }
}

/// Designs of one target and what was measured of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The target.
    pub target: Target,
    /// Name and version of the synthesizer.
    pub tool: String,
    /// Its commands.
    pub commands: String,
    /// The library of standard cells, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub library: Option<String>,
    /// The seed that the configurations were drawn with.
    pub seed: u64,
    /// Names of the quantities in [`Derived`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub quantities: Vec<String>,
    /// The designs that the model is fitted to.
    pub fitted: Vec<Measured>,
    /// Those that only its error is measured on.
    pub held_out: Vec<Measured>,
    /// Arrays whose clock was measured.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clocks: Vec<MeasuredArray>,
    /// What measured the clocks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_tool: Option<String>,
}

/// Why a sample cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// It is no sample, or one of another version.
    #[error(
        "this is no sample of {SCHEMA} version {SCHEMA_VERSION}: {0}; write one with `xnorforge calibrate`"
    )]
    Format(String),
    /// It is of another target.
    #[error(
        "the sample was measured for target `{found}`, the design is for `{wanted}`; name one of that target, or leave `--model` out"
    )]
    Target {
        /// Of the sample.
        found: Target,
        /// Of the design.
        wanted: Target,
    },
}

impl Sample {
    /// Reads a sample.
    ///
    /// # Errors
    /// [`SampleError::Format`].
    pub fn parse(text: &str) -> Result<Self, SampleError> {
        let sample: Sample =
            serde_json::from_str(text).map_err(|e| SampleError::Format(e.to_string()))?;
        if sample.schema != SCHEMA || sample.schema_version != SCHEMA_VERSION {
            let found = format!(
                "`schema` is \"{}\" {}",
                sample.schema, sample.schema_version
            );
            return Err(SampleError::Format(found));
        }
        let bad = |m: &Measured| {
            let values = m.array.values().chain(m.accelerator.values());
            values
                .flat_map(|c| c.values())
                .any(|v| !v.is_finite() || v < 0.0)
                || m.configuration.target != sample.target
        };
        let bad_quantities = |m: &Measured| {
            let derived = m.derived.iter();
            let mut values = derived.flat_map(|d| d.array.iter().chain(&d.accelerator));
            values.any(|v| !v.is_finite() || *v < 0.0)
        };
        let bad_clock = |clock: &MeasuredArray| {
            !clock.mhz.is_finite() || clock.mhz < 0.0 || clock.configuration.target != sample.target
        };
        let mut designs = sample.fitted.iter().chain(&sample.held_out);
        if designs.any(|m| bad(m) || bad_quantities(m)) || sample.clocks.iter().any(bad_clock) {
            let reason = "a number is negative, or a design is of another target".to_owned();
            return Err(SampleError::Format(reason));
        }
        Ok(sample)
    }

    /// Adds what follows from each configuration.
    ///
    /// # Errors
    /// As [`Derived::new`].
    pub fn derive(&mut self) -> Result<(), SampleError> {
        let is_known = self.has_these_quantities();
        for measured in self.fitted.iter_mut().chain(&mut self.held_out) {
            if measured.derived.is_none() || !is_known {
                measured.derived = Some(Derived::new(&measured.configuration)?);
            }
        }
        self.quantities = quantities::NAMES.map(|(name, _)| name.to_owned()).to_vec();
        Ok(())
    }

    /// Whether its derived quantities are those of this program.
    pub fn has_these_quantities(&self) -> bool {
        let names = quantities::NAMES.iter().map(|(name, _)| name);
        self.quantities.iter().eq(names)
    }

    /// The same as text: one design to a line.
    pub fn to_text(&self) -> String {
        let line = |value: serde_json::Value| value.to_string();
        let designs = |list: &[Measured]| {
            let lines = list
                .iter()
                .map(|m| format!("    {}", line(serde_json::json!(m))));
            lines.collect::<Vec<_>>().join(",\n")
        };
        let mut text = String::from("{\n");
        let mut field = |name: &str, value: serde_json::Value| {
            text.push_str(&format!("  \"{name}\": {value},\n"));
        };
        field("schema", self.schema.clone().into());
        field("schema_version", self.schema_version.into());
        field("target", self.target.name().into());
        field("tool", self.tool.clone().into());
        field("commands", self.commands.clone().into());
        if let Some(library) = &self.library {
            field("library", library.clone().into());
        }
        field("seed", self.seed.into());
        if !self.quantities.is_empty() {
            field("quantities", self.quantities.clone().into());
        }
        if let Some(tool) = &self.clock_tool {
            field("clock_tool", tool.clone().into());
        }
        let clocks = self
            .clocks
            .iter()
            .map(|c| format!("    {}", line(serde_json::json!(c))));
        let mut lists = vec![
            ("fitted", designs(&self.fitted)),
            ("held_out", designs(&self.held_out)),
        ];
        if !self.clocks.is_empty() {
            lists.push(("clocks", clocks.collect::<Vec<_>>().join(",\n")));
        }
        let lists = lists
            .iter()
            .map(|(name, lines)| format!("  \"{name}\": [\n{lines}\n  ]"));
        text.push_str(&lists.collect::<Vec<_>>().join(",\n"));
        text.push_str("\n}\n");
        text
    }

    /// Measured designs.
    pub fn count(&self) -> usize {
        self.fitted.len() + self.held_out.len()
    }

    /// The measured design with a configuration, if it is in the sample.
    pub fn find(&self, config: &ArrayConfig) -> Option<&Measured> {
        let all = self.fitted.iter().chain(&self.held_out);
        all.into_iter().find(|m| m.configuration == *config)
    }
}

/// A module's kind: its name without the prefix and without its sizes (`xnf_word_memory_d64_w5` is a `word_memory`).
pub fn kind_of(module: &str) -> &str {
    let mut name = module.trim_start_matches(xnorforge_hdl::emit::PREFIX);
    while let Some((rest, last)) = name.rsplit_once('_') {
        let digits = last.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let is_size = last.len() - digits.len() <= 1
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit());
        if !is_size {
            break;
        }
        name = rest;
    }
    name
}

/// The designs of a calibration, the first `points` of them: those that models are fitted to, and those that are held out.
///
/// Most fitted designs differ from one in the middle in a single size, so that they share most of their modules, and each
/// module's dependence on each size shows by itself. Every fourth design is drawn at random and held out; what the middle
/// one's neighbours do not fill is drawn at random too.
pub fn plan(target: Target, seed: u64, points: usize) -> Vec<Planned> {
    let mut star = star(target).into_iter();
    let mut random = 0..;
    let mut next = || random_design(target, seed, random.next().unwrap_or_default());
    let planned = |i| match i % HELD_OUT == HELD_OUT - 1 {
        true => Planned {
            design: next(),
            is_held_out: true,
        },
        false => Planned {
            design: star.next().unwrap_or_else(&mut next),
            is_held_out: false,
        },
    };
    (0..points).map(planned).collect()
}

/// One design of a calibration.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The design.
    pub design: AcceleratorDesign,
    /// Whether the fit never sees it.
    pub is_held_out: bool,
}

/// One of so many designs is held out of the fit.
const HELD_OUT: usize = 4;

fn random_design(target: Target, seed: u64, index: u64) -> AcceleratorDesign {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(index / 2));
    let first = draw(&mut rng, target);
    match index % 2 {
        0 => first,
        _ => draw(&mut rng, target),
    }
}

/// The `small` preset, and designs that differ from it in one size or in sizes that belong together.
fn star(target: Target) -> Vec<AcceleratorDesign> {
    let middle = ArrayConfig {
        target,
        ..ArrayConfig::default()
    };
    let mut configs = vec![middle.clone()];
    let mut vary = |change: &dyn Fn(&mut ArrayConfig)| {
        let mut config = middle.clone();
        change(&mut config);
        configs.push(config);
    };
    let lanes_max = if target == Target::Asic { 96 } else { 256 };
    vary(&|c| (c.rows, c.accelerator.load_ports) = (16, 4));
    vary(&|c| (c.columns, c.accelerator.drain_columns) = (16, 4));
    vary(&|c| c.lanes = lanes_max);
    vary(&|c| c.rows = 32);
    vary(&|c| c.columns = 32);
    vary(&|c| {
        (c.rows, c.columns, c.lanes) = (1, 1, 4);
        c.reduction_max = 64;
    });
    vary(&|c| (c.activation_branches, c.weight_branches) = (2, 2));
    vary(&|c| (c.activation_bits, c.weight_bits) = (1, 1));
    vary(&|c| (c.activation_bits, c.weight_bits) = (8, 8));
    vary(&|c| c.accelerator.drain_columns = 8);
    vary(&|c| c.accelerator.load_ports = 8);
    vary(&|c| c.accelerator.threshold_bits = 1);
    vary(&|c| c.accelerator.stream_bits = 256);
    vary(&|c| c.accelerator.stream_bits = 8);
    vary(&|c| c.lanes = 16);
    vary(&|c| c.reduction_max = 32768);
    vary(&|c| (c.accelerator.activation_words, c.accelerator.residual_words) = (32768, 8192));
    vary(&|c| c.accelerator.patch_words = 64);
    vary(&|c| c.accelerator.weight_words = 16384);
    vary(&|c| (c.accelerator.constant_words, c.accelerator.channel_words) = (8192, 2048));
    vary(&|c| (c.accelerator.program_words, c.accelerator.schedule_words) = (16384, 1024));
    vary(&|c| (c.accelerator.layers, c.accelerator.table_words) = (64, 16));
    vary(&|c| c.constant_entries = 64);
    vary(&|c| (c.activation_bits, c.weight_bits) = (8, 2));
    vary(&|c| (c.rows, c.columns) = (2, 3));
    vary(&|c| (c.activation_branches, c.weight_branches) = (1, 4));
    vary(&|c| (c.activation_branches, c.weight_branches) = (4, 1));
    vary(&|c| c.accelerator.channel_words = 64);
    vary(&|c| c.accelerator.threshold_bits = 6);
    // Small ones, where a few LUTs are percents.
    vary(&|c| (c.rows, c.columns, c.lanes, c.reduction_max) = (1, 1, 16, 1024));
    vary(&|c| (c.rows, c.columns, c.lanes, c.reduction_max) = (2, 1, 8, 256));
    vary(&|c| (c.rows, c.columns, c.lanes, c.reduction_max) = (3, 2, 12, 512));
    // What is no power of two, and memories that fit LUTs.
    vary(&|c| (c.rows, c.accelerator.load_ports) = (12, 3));
    vary(&|c| c.activation_branches = 3);
    vary(&|c| c.constant_entries = 4);
    vary(&|c| {
        (c.accelerator.constant_words, c.accelerator.channel_words) = (128, 64);
        (c.accelerator.table_words, c.accelerator.schedule_words) = (32, 64);
    });
    vary(&|c| {
        (c.columns, c.accelerator.drain_columns) = (12, 12);
        c.accelerator.channel_words = 64;
    });
    let designs = configs
        .into_iter()
        .map(|config| AcceleratorDesign::new(&config.validate()?));
    designs.filter_map(Result::ok).collect()
}

/// A design of random sizes within the range that models are fitted to.
fn draw(rng: &mut impl Rng, target: Target) -> AcceleratorDesign {
    loop {
        let config = draw_config(rng, target);
        if let Ok(design) = config.validate()
            && let Ok(design) = AcceleratorDesign::new(&design)
        {
            return design;
        }
    }
}

fn draw_config(rng: &mut impl Rng, target: Target) -> ArrayConfig {
    let (lanes_max, work_max) = match target {
        Target::Asic | Target::Generic => (96, 192),
        _ => (256, 768),
    };
    let columns = log_uniform(rng, 1, 32);
    let rows = log_uniform(rng, 1, 32);
    let lanes = log_uniform(rng, columns.max(4), lanes_max);
    let (activation_bits, weight_bits) = (rng.random_range(1..=8), rng.random_range(1..=8));
    let mut branches = (1, 1);
    if rng.random_bool(0.4) {
        let drawn = (
            rng.random_range(1..=activation_bits.min(4)),
            rng.random_range(1..=weight_bits.min(4)),
        );
        if drawn.0 * drawn.1 * lanes <= work_max {
            branches = drawn;
        }
    }
    ArrayConfig {
        rows,
        columns,
        lanes,
        activation_bits,
        weight_bits,
        activation_branches: branches.0,
        weight_branches: branches.1,
        reduction_max: log_uniform(rng, 64, 32768),
        constant_entries: power(rng, 1, 6),
        target,
        accelerator: AcceleratorConfig {
            drain_columns: divisor(rng, columns),
            load_ports: divisor(rng, rows).min(8),
            activation_words: power(rng, 8, 15),
            residual_words: power(rng, 6, 13),
            patch_words: power(rng, 6, 11),
            weight_words: power(rng, 7, 13),
            constant_words: power(rng, 7, 13),
            channel_words: power(rng, 6, 11),
            table_words: power(rng, 4, 8),
            program_words: power(rng, 9, 14),
            schedule_words: power(rng, 5, 10),
            layers: power(rng, 2, 6),
            threshold_bits: rng.random_range(1..=6),
            stream_bits: power(rng, 3, 8),
        },
        ..ArrayConfig::default()
    }
}

/// Small numbers as often as large ones.
fn log_uniform(rng: &mut impl Rng, min: u32, max: u32) -> u32 {
    let (low, high) = (f64::from(min).ln(), (f64::from(max) + 1.0).ln());
    (rng.random_range(low..high).exp() as u32).clamp(min, max)
}

fn power(rng: &mut impl Rng, low: u32, high: u32) -> u32 {
    1 << rng.random_range(low..=high)
}

fn divisor(rng: &mut impl Rng, of: u32) -> u32 {
    let divisors: Vec<u32> = (1..=of).filter(|d| of.is_multiple_of(*d)).collect();
    divisors[rng.random_range(0..divisors.len())]
}
