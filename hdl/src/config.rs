//! The configuration of an array: what the user asks for, and all that follows from it.
//!
//! [`ArrayConfig`] is raw data (TOML, unknown keys refused). [`ArrayConfig::validate`] turns it into a
//! [`Design`]: the same numbers, checked, with every width and count that the hardware, the simulator and
//! the explorer use. Nothing else computes a width.
//!
//! ```
//! use xnorforge_hdl::ArrayConfig;
//! let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
//! assert_eq!(design.config().rows, 2);
//! ```

mod broadcast;

use crate::accelerator::AcceleratorConfig;
use crate::fabric::AdderCells;
use crate::popcount::PopcountPlan;
use crate::schedule;
use crate::structure::{DeviceUnits, Structure, UnitShape};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use broadcast::BroadcastStages;

/// Largest rows, columns and lanes.
pub const DIMENSION_MAX: u32 = 1024;
/// Largest number of bits (branches) of an activation or a weight.
pub const BITS_MAX: u32 = 8;
/// Largest rows x columns x lanes x spatial branch pairs: binary operation pairs in one cycle.
pub const BINARY_OPS_PER_CYCLE_MAX: u64 = 1 << 22;
/// Widest operand port in bits. IEEE 1364-2001, 3.3.1 lets a tool limit vectors to 65536 bits.
pub const PORT_BITS_MAX: u64 = 65536;
/// Largest reduction dimension (elements of one dot product).
pub const REDUCTION_MAX: u32 = 1 << 20;
/// Widest accumulator and widest result in bits.
pub const WORD_BITS_MAX: u32 = 62;
/// Largest number of entries of the column-constant memory.
pub const CONSTANT_ENTRIES_MAX: u32 = 256;
/// Most broadcast stages.
pub const BROADCAST_STAGES_MAX: u32 = 4;
/// Largest configuration file in bytes.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// The device family: whose primitives the units are made of, and which constraints and scripts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Any synthesizer; no device assumed.
    #[default]
    Generic,
    /// Xilinx 7 series.
    Xilinx,
    /// Xilinx UltraScale and UltraScale+.
    Ultrascale,
    /// Lattice ECP5.
    Ecp5,
    /// Lattice iCE40.
    Ice40,
    /// Standard cells.
    Asic,
}

impl Target {
    /// Every target, in the order of the documentation.
    pub const ALL: [Target; 6] = [
        Target::Generic,
        Target::Xilinx,
        Target::Ultrascale,
        Target::Ecp5,
        Target::Ice40,
        Target::Asic,
    ];

    /// The name used in configuration files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Generic => "generic",
            Target::Xilinx => "xilinx",
            Target::Ultrascale => "ultrascale",
            Target::Ecp5 => "ecp5",
            Target::Ice40 => "ice40",
            Target::Asic => "asic",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = ConfigError;
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Target::ALL
            .into_iter()
            .find(|t| t.name() == name)
            .ok_or_else(|| ConfigError::UnknownTarget(name.to_owned()))
    }
}

/// What is wrong with a configuration. Each message names the field, the value, the limit and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A field lies outside its range.
    #[error("`{field}` = {value} is out of range: {min}..={max}; choose a value in that range")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// More branches in parallel than there are.
    #[error(
        "`{field}` = {value} does not fit `{bits_field}` = {bits}: a processing element cannot take more branches at once than the operand has; lower `{field}` to {bits} or raise `{bits_field}`"
    )]
    BranchesDoNotFit {
        /// `activation_branches` or `weight_branches`.
        field: &'static str,
        /// What was given.
        value: u32,
        /// `activation_bits` or `weight_bits`.
        bits_field: &'static str,
        /// The operand's bits.
        bits: u32,
    },
    /// The array is larger than the stated product limit.
    #[error(
        "`rows` x `columns` x `lanes` x `activation_branches` x `weight_branches` = {rows} x {columns} x {lanes} x {activation_branches} x {weight_branches} = {product} is past the limit of {limit} binary operation pairs per cycle; lower one of them"
    )]
    TooLarge {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Lanes.
        lanes: u32,
        /// Activation branches in parallel.
        activation_branches: u32,
        /// Weight branches in parallel.
        weight_branches: u32,
        /// Their product.
        product: u64,
        /// The limit.
        limit: u64,
    },
    /// A port would be wider than tools must accept.
    #[error(
        "port `{port}` would be {bits} bits wide ({formula}), past the limit of {limit} bits that Verilog tools must accept; lower {knobs}"
    )]
    PortTooWide {
        /// The port.
        port: &'static str,
        /// Its width.
        bits: u64,
        /// How the width comes about.
        formula: &'static str,
        /// The limit.
        limit: u64,
        /// The fields that make it smaller.
        knobs: &'static str,
    },
    /// The accumulator cannot hold the largest sum.
    #[error(
        "`accumulator_width` = {value} is too narrow: a reduction of {reduction_max} elements of {activation_bits} x {weight_bits} bits needs {needed} bits; raise it to {needed}, leave it out to have it derived, or lower `reduction_max`"
    )]
    AccumulatorTooNarrow {
        /// What was given.
        value: u32,
        /// What is needed.
        needed: u32,
        /// Largest reduction.
        reduction_max: u32,
        /// Activation bits.
        activation_bits: u32,
        /// Weight bits.
        weight_bits: u32,
    },
    /// A derived word is wider than this program handles.
    #[error(
        "the {word} would need {bits} bits, past the limit of {limit}; lower `reduction_max`, `activation_bits` or `weight_bits`"
    )]
    WordTooWide {
        /// Which word.
        word: &'static str,
        /// Its width.
        bits: u32,
        /// The limit.
        limit: u32,
    },
    /// More pipeline registers than the popcount has ranks.
    #[error(
        "`popcount_stages` = {value} is past the {max} ranks of adders that a popcount of this shape has; lower it to {max} or less"
    )]
    TooManyStages {
        /// What was given.
        value: u32,
        /// Ranks of the popcount.
        max: u32,
    },
    /// The number of constant entries is not a power of two.
    #[error("`constant_entries` = {value} is not a power of two in 2..={max}; choose {suggestion}")]
    ConstantEntries {
        /// What was given.
        value: u32,
        /// Largest value.
        max: u32,
        /// The nearest legal value upwards.
        suggestion: u32,
    },
    /// A field that must divide another one.
    #[error(
        "`accelerator.{field}` = {value} does not divide `{of_field}` = {of}; choose a divisor of {of}"
    )]
    NoDivisor {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// The field that it must divide.
        of_field: &'static str,
        /// Its value.
        of: u32,
    },
    /// A size that must be a power of two.
    #[error(
        "`accelerator.{field}` = {value} is not a power of two in {min}..={max}; choose {suggestion}"
    )]
    PowerOfTwo {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// Smallest value allowed.
        min: u32,
        /// Largest value allowed.
        max: u32,
        /// The nearest legal value upwards.
        suggestion: u32,
    },
    /// More columns than a memory word has lanes.
    #[error(
        "`columns` = {columns} is past `lanes` = {lanes}: the accelerator packs a column tile into one memory word; lower `columns`, raise `lanes`, or generate the array alone"
    )]
    AcceleratorColumns {
        /// Columns.
        columns: u32,
        /// Lanes.
        lanes: u32,
    },
    /// Results wider than the result stream.
    #[error(
        "results would have {bits} bits, past the {limit} of a value in the accelerator's result stream; lower `reduction_max`, `activation_bits` or `weight_bits`, or generate the array alone"
    )]
    AcceleratorResult {
        /// Their width.
        bits: u32,
        /// The limit.
        limit: u32,
    },
    /// A structure that the target does not have.
    #[error(
        "`structure` = \"{structure}\" is not made for `target` = \"{target}\"; choose one of {choices}"
    )]
    StructureTarget {
        /// What was given.
        structure: Structure,
        /// The target.
        target: Target,
        /// What there is for it.
        choices: String,
    },
    /// A shape that the structure cannot take.
    #[error(
        "`structure` = \"{structure}\" cannot take this shape: {reason}; choose \"auto\" or \"tree\""
    )]
    StructureShape {
        /// What was given.
        structure: Structure,
        /// Why not.
        reason: String,
    },
    /// Pipeline registers where the structure has no choice.
    #[error(
        "`popcount_stages` = {value} has no meaning with `structure` = \"{structure}\", whose popcount takes {latency} cycles; leave it out (or 0), or choose \"tree\""
    )]
    FixedLatency {
        /// What was given.
        value: u32,
        /// The structure.
        structure: Structure,
        /// Its latency.
        latency: u32,
    },
    /// A structure that is not known.
    #[error("`structure` = \"{0}\" is unknown; choose one of {choices}", choices = structure_names())]
    UnknownStructure(String),
    /// Broadcast stages that are no number, nor `auto`.
    #[error(
        "`broadcast_stages` = \"{0}\" is neither a number nor \"auto\"; choose one of 0..={BROADCAST_STAGES_MAX}, or \"auto\""
    )]
    BroadcastStages(String),
    /// A target that is not known.
    #[error(
        "`target` = \"{0}\" is unknown; choose one of generic, xilinx, ultrascale, ecp5, ice40, asic"
    )]
    UnknownTarget(String),
    /// A preset that is not known.
    #[error(
        "preset \"{0}\" is unknown; choose one of tiny, small, default, large, or give a TOML file"
    )]
    UnknownPreset(String),
    /// The text is not a configuration.
    #[error("the configuration is not valid TOML for an array: {0}")]
    Toml(String),
}

fn structure_names() -> String {
    Structure::ALL.map(Structure::name).join(", ")
}

/// What the user asks for. Every field may be left out of a TOML file; the value of the preset `small` then holds.
///
/// Shapes: the array computes `rows` x `columns` dot products at a time, `lanes` elements of the reduction
/// dimension in each cycle and `activation_branches` x `weight_branches` branch pairs of each element.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrayConfig {
    /// Rows of processing elements: output positions (pixels, batch). 1..=1024.
    pub rows: u32,
    /// Columns of processing elements: output channels. 1..=1024.
    pub columns: u32,
    /// Elements of the reduction dimension taken per cycle. 1..=1024.
    pub lanes: u32,
    /// Largest number of activation branches M. 1..=8.
    pub activation_bits: u32,
    /// Largest number of weight branches K. 1..=8.
    pub weight_bits: u32,
    /// Activation branches computed in one cycle. 1..=`activation_bits`.
    pub activation_branches: u32,
    /// Weight branches computed in one cycle. 1..=`weight_bits`.
    pub weight_branches: u32,
    /// Largest reduction dimension N of one dot product, in elements; widths follow from it.
    pub reduction_max: u32,
    /// Width in bits of a processing element's sum; derived when left out, checked when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_width: Option<u32>,
    /// Pipeline registers inside the popcount, the last at its output; 0 or left out: as many as suit the shape. The
    /// structures of Xilinx fix their latency.
    pub popcount_stages: u32,
    /// Registers without enable between the control and the grid: 0..=4, or `auto` (left out): as many as the wanted clock
    /// needs, none without one.
    #[serde(skip_serializing_if = "BroadcastStages::is_auto")]
    pub broadcast_stages: BroadcastStages,
    /// Entries of the column-constant memory: border classes x column tiles of one pass. A power of two in 2..=256.
    pub constant_entries: u32,
    /// Device family.
    pub target: Target,
    /// Structure of the processing elements and row units.
    #[serde(skip_serializing_if = "is_auto")]
    pub structure: Structure,
    /// The accelerator around the array.
    #[serde(skip_serializing_if = "is_default_accelerator")]
    pub accelerator: AcceleratorConfig,
}

/// The array's identity does not change with sizes that were left alone.
fn is_default_accelerator(config: &AcceleratorConfig) -> bool {
    *config == AcceleratorConfig::default()
}

fn is_auto(structure: &Structure) -> bool {
    *structure == Structure::Auto
}

impl Default for ArrayConfig {
    fn default() -> Self {
        ArrayConfig {
            rows: 8,
            columns: 8,
            lanes: 64,
            activation_bits: 4,
            weight_bits: 4,
            activation_branches: 1,
            weight_branches: 1,
            reduction_max: 4096,
            accumulator_width: None,
            popcount_stages: 0,
            broadcast_stages: BroadcastStages::Auto,
            constant_entries: 16,
            target: Target::Generic,
            structure: Structure::Auto,
            accelerator: AcceleratorConfig::default(),
        }
    }
}

/// The presets that ship with the program: name and TOML text.
pub const PRESETS: [(&str, &str); 4] = [
    ("tiny", include_str!("../presets/tiny.toml")),
    ("small", include_str!("../presets/small.toml")),
    ("default", include_str!("../presets/default.toml")),
    ("large", include_str!("../presets/large.toml")),
];

impl ArrayConfig {
    /// Reads a configuration from TOML text.
    ///
    /// # Errors
    /// [`ConfigError::Toml`] for text that is not TOML, for unknown keys and for values of a wrong type.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| {
                1 + text[..span.start.min(text.len())]
                    .bytes()
                    .filter(|b| *b == b'\n')
                    .count()
            });
            let message = e.message().replace('\n', " ");
            ConfigError::Toml(match line {
                Some(line) => format!("line {line}: {message}"),
                None => message,
            })
        })
    }

    /// A preset by name: `tiny`, `small`, `default` or `large`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        let (_, text) = PRESETS
            .iter()
            .find(|(n, _)| *n == name)
            .ok_or_else(|| ConfigError::UnknownPreset(name.to_owned()))?;
        Self::from_toml(text)
    }

    /// The configuration as canonical TOML: every field, always in the same order, and a number of stages that was left
    /// out as it is chosen.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.canonical())
            .expect("a flat structure of numbers is always valid TOML")
    }

    /// The same configuration with the number of stages that is chosen where it was left out, and broadcast stages left out
    /// where there are none.
    pub fn canonical(&self) -> Self {
        ArrayConfig {
            popcount_stages: self.stages(),
            broadcast_stages: self.broadcast_stages.canonical(),
            ..self.clone()
        }
    }

    /// Whether the structure is the tree whatever the shape is.
    fn is_tree(&self) -> bool {
        match self.structure {
            Structure::Tree => true,
            Structure::Auto => Structure::compared_by_auto(self.target).is_empty(),
            _ => false,
        }
    }

    /// Pipeline registers as given or chosen; 0 where the structure chooses.
    fn stages(&self) -> u32 {
        match self.popcount_stages {
            // A register of standard cells is larger than an adder, so that each has to have a reason.
            0 if self.is_tree() || self.target == Target::Asic => self.popcount_plan().stages(),
            given => given,
        }
    }

    /// Pipeline registers of a netlist structure; 0 where it has no choice or chooses itself.
    fn netlist_stages(&self) -> u32 {
        match self.target {
            Target::Generic | Target::Xilinx | Target::Ultrascale => 0,
            Target::Ecp5 | Target::Ice40 | Target::Asic => self.stages(),
        }
    }

    fn popcount_plan(&self) -> PopcountPlan {
        // Within the limits, since an unchecked configuration has an identity too.
        let pairs = self.lanes.clamp(1, DIMENSION_MAX).div_ceil(2);
        let branches = |count: u32| count.clamp(1, BITS_MAX);
        PopcountPlan::new(
            pairs,
            branches(self.weight_branches),
            branches(self.activation_branches),
        )
    }

    /// SHA-256 of the canonical TOML, in hexadecimal: the identity of the accelerator.
    pub fn accelerator_hash(&self) -> String {
        Sha256::digest(self.to_toml().as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// The same without the table `[accelerator]`: the identity of the array alone.
    pub fn hash(&self) -> String {
        let array = ArrayConfig {
            accelerator: AcceleratorConfig::default(),
            ..self.clone()
        };
        array.accelerator_hash()
    }

    /// Binary operation pairs (an XNOR and its share of the sum) that the array does in one cycle:
    /// rows x columns x lanes x activation branches x weight branches.
    pub fn binary_pairs_per_cycle(&self) -> u64 {
        [
            self.rows,
            self.columns,
            self.lanes,
            self.activation_branches,
            self.weight_branches,
        ]
        .into_iter()
        .map(u64::from)
        .product()
    }

    /// The flags of the `xnorforge` command that stand for this configuration.
    pub fn command_flags(&self) -> String {
        let stages = match self.stages() {
            0 => String::new(),
            stages => format!(" --popcount-stages {stages}"),
        };
        let mut flags = format!(
            "--rows {} --columns {} --lanes {} --activation-bits {} --weight-bits {} --activation-branches {} \
             --weight-branches {} --reduction-max {}{stages} --constant-entries {} --target {}",
            self.rows,
            self.columns,
            self.lanes,
            self.activation_bits,
            self.weight_bits,
            self.activation_branches,
            self.weight_branches,
            self.reduction_max,
            self.constant_entries,
            self.target
        );
        if let BroadcastStages::Fixed(stages) = self.broadcast_stages {
            flags.push_str(&format!(" --broadcast-stages {stages}"));
        }
        if self.structure != Structure::Auto {
            flags.push_str(&format!(" --structure {}", self.structure));
        }
        if let Some(width) = self.accumulator_width {
            flags.push_str(&format!(" --accumulator-width {width}"));
        }
        flags
    }

    fn check_size(&self) -> Result<(), ConfigError> {
        let product = self.binary_pairs_per_cycle();
        if product <= BINARY_OPS_PER_CYCLE_MAX {
            return Ok(());
        }
        Err(ConfigError::TooLarge {
            rows: self.rows,
            columns: self.columns,
            lanes: self.lanes,
            activation_branches: self.activation_branches,
            weight_branches: self.weight_branches,
            product,
            limit: BINARY_OPS_PER_CYCLE_MAX,
        })
    }

    /// Checks every limit and derives every width.
    ///
    /// # Errors
    /// The first [`ConfigError`] in the order of the fields.
    pub fn validate(&self) -> Result<Design, ConfigError> {
        Design::new(self)
    }
}

fn check_range(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        field,
        value: value.into(),
        min: min.into(),
        max: max.into(),
    })
}

fn check_branches(
    field: &'static str,
    value: u32,
    bits_field: &'static str,
    bits: u32,
) -> Result<(), ConfigError> {
    check_range(field, value, 1, BITS_MAX)?;
    if value > bits {
        return Err(ConfigError::BranchesDoNotFit {
            field,
            value,
            bits_field,
            bits,
        });
    }
    Ok(())
}

/// Whether the target has the structure.
fn check_structure(config: &ArrayConfig) -> Result<(), ConfigError> {
    let of_target = Structure::of_target(config.target);
    let always = [Structure::Auto, Structure::Tree];
    if always.contains(&config.structure) || of_target.contains(&config.structure) {
        return Ok(());
    }
    let choices: Vec<&str> = always.iter().chain(of_target).map(|s| s.name()).collect();
    Err(ConfigError::StructureTarget {
        structure: config.structure,
        target: config.target,
        choices: choices.join(", "),
    })
}

/// The structure that a configuration gets.
struct Choice {
    units: Option<Arc<DeviceUnits>>,
    latency: u32,
    warnings: Vec<String>,
}

impl Choice {
    fn new(
        config: &ArrayConfig,
        shape: &UnitShape,
        plan: &PopcountPlan,
    ) -> Result<Self, ConfigError> {
        let (value, structure) = (config.popcount_stages, config.structure);
        let check_stages = |max| match value > max {
            true => Err(ConfigError::TooManyStages { value, max }),
            false => Ok(()),
        };
        let tree = |warnings| {
            check_stages(plan.ranks())?;
            Ok(Choice {
                units: None,
                latency: match value {
                    0 => plan.stages(),
                    given => given,
                },
                warnings,
            })
        };
        if config.is_tree() {
            return tree(Vec::new());
        }
        let auto = structure == Structure::Auto;
        let units = match DeviceUnits::new(config.target, structure, shape) {
            Ok(units) => units,
            Err(error) if auto => {
                let warning = format!(
                    "no structure of target {} can take this shape ({error}): the generic structure `tree` stands in",
                    config.target
                );
                return tree(vec![warning]);
            }
            Err(error) => {
                return Err(ConfigError::StructureShape {
                    structure,
                    reason: error.to_string(),
                });
            }
        };
        let latency = units.latency();
        let warnings = match value {
            0 => Vec::new(),
            _ if shape.stages > 0 => {
                check_stages(latency)?;
                Vec::new()
            }
            _ if auto => vec![format!(
                "`popcount_stages` = {value} has no effect: structure `{}` of target {} takes {latency} cycles; leave it out, or choose structure `tree`",
                units.structure, config.target
            )],
            _ => {
                return Err(ConfigError::FixedLatency {
                    value,
                    structure,
                    latency,
                });
            }
        };
        Ok(Choice {
            units: Some(units),
            latency,
            warnings,
        })
    }
}

/// The number of bits that hold every value in `0..=max`; at least 1.
pub fn bits_for(max: u128) -> u32 {
    (128 - max.leading_zeros()).max(1)
}

/// A validated configuration with all that follows from it. The only place where widths are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    config: ArrayConfig,
    /// Pairs of lanes of one operand word: `ceil(lanes / 2)`. A processing element counts one bit for each.
    pub pairs: u32,
    /// Groups of activation branches at full precision: `ceil(activation_bits / activation_branches)`.
    pub activation_groups: u32,
    /// Groups of weight branches at full precision: `ceil(weight_bits / weight_branches)`.
    pub weight_groups: u32,
    /// The distances by which an accumulator may shift, one select line each (one-hot).
    pub shift_amounts: Vec<u32>,
    /// Width of a processing element's popcount.
    pub count_width: u32,
    /// Width of the part of the accumulator that adds.
    pub accumulator_high_width: u32,
    /// Width of the part that holds finished bits: the total shift at full precision, at least 1.
    pub accumulator_low_width: u32,
    /// Width of what a row unit adds in one beat.
    pub row_count_width: u32,
    /// As `accumulator_high_width`, for the row unit.
    pub row_high_width: u32,
    /// Bit-planes that a row unit makes of each activation branch.
    pub row_planes: u32,
    /// Width of `operand_align`.
    pub align_width: u32,
    /// Width of one result (two's complement) and of one column constant.
    pub result_width: u32,
    /// Width of an address of the column-constant memory.
    pub entry_width: u32,
    /// Width of the counter of rows that wait in the drain.
    pub row_counter_width: u32,
    /// Whether any schedule makes an accumulator shift.
    pub shifts: bool,
    /// Pipeline registers of the popcount.
    latency: u32,
    /// The units as netlists; none for the structure `tree`.
    units: Option<Arc<DeviceUnits>>,
    /// What the user should know about the choice.
    warnings: Vec<String>,
}

impl Design {
    fn new(config: &ArrayConfig) -> Result<Self, ConfigError> {
        let c = config;
        check_range("rows", c.rows, 1, DIMENSION_MAX)?;
        check_range("columns", c.columns, 1, DIMENSION_MAX)?;
        check_range("lanes", c.lanes, 1, DIMENSION_MAX)?;
        check_range("activation_bits", c.activation_bits, 1, BITS_MAX)?;
        check_range("weight_bits", c.weight_bits, 1, BITS_MAX)?;
        check_branches(
            "activation_branches",
            c.activation_branches,
            "activation_bits",
            c.activation_bits,
        )?;
        check_branches(
            "weight_branches",
            c.weight_branches,
            "weight_bits",
            c.weight_bits,
        )?;
        check_range("reduction_max", c.reduction_max, 1, REDUCTION_MAX)?;
        c.check_size()?;
        let pairs = c.lanes.div_ceil(2);
        let activation_groups = c.activation_bits.div_ceil(c.activation_branches);
        let weight_groups = c.weight_bits.div_ceil(c.weight_branches);
        let plan = c.popcount_plan();
        check_range(
            "broadcast_stages",
            c.broadcast_stages.count(),
            0,
            BROADCAST_STAGES_MAX,
        )?;
        check_structure(c)?;
        if !c.constant_entries.is_power_of_two()
            || !(2..=CONSTANT_ENTRIES_MAX).contains(&c.constant_entries)
        {
            return Err(ConfigError::ConstantEntries {
                value: c.constant_entries,
                max: CONSTANT_ENTRIES_MAX,
                suggestion: c
                    .constant_entries
                    .clamp(2, CONSTANT_ENTRIES_MAX)
                    .next_power_of_two(),
            });
        }

        let bounds = schedule::bounds(c, pairs);
        let high_needed = bits_for(bounds.high_max);
        let low = bounds.shift_max.max(1);
        let needed = high_needed + low;
        if let Some(value) = c.accumulator_width {
            check_range("accumulator_width", value, 1, WORD_BITS_MAX)?;
            if value < needed {
                return Err(ConfigError::AccumulatorTooNarrow {
                    value,
                    needed,
                    reduction_max: c.reduction_max,
                    activation_bits: c.activation_bits,
                    weight_bits: c.weight_bits,
                });
            }
        }
        let high = c.accumulator_width.map_or(high_needed, |w| w - low);
        let row_planes = if c.weight_branches == 1 {
            1
        } else {
            c.weight_branches + 1
        };
        let row_plan = PopcountPlan::new(pairs, row_planes, c.activation_branches);
        // With one plane the count is doubled in some modes.
        let row_count_width = row_plan.count_width() + u32::from(row_planes == 1);
        let row_high = (high + 1).max(row_count_width);
        // Where the accumulators have more bits than the reduction needs (more lanes than elements, a width that was
        // given), the result has room for twice the row's sum all the same: no bit of a sum goes unused.
        let result_width = (bits_for(bounds.bracket_max) + 1).max(row_high + low + 1);
        for (word, bits) in [
            ("accumulator", high + low),
            ("row accumulator", row_high + low),
            ("result", result_width),
        ] {
            if bits > WORD_BITS_MAX {
                return Err(ConfigError::WordTooWide {
                    word,
                    bits,
                    limit: WORD_BITS_MAX,
                });
            }
        }
        let shape = UnitShape {
            lanes: c.lanes,
            activation_branches: c.activation_branches,
            weight_branches: c.weight_branches,
            high_width: high,
            low_width: low,
            shift_amounts: bounds.shift_amounts.clone(),
            shifts: bounds.shift_max > 0,
            stages: c.netlist_stages(),
        };
        let choice = Choice::new(c, &shape, &plan)?;
        let design = Design {
            config: c.clone(),
            pairs,
            activation_groups,
            weight_groups,
            shift_amounts: bounds.shift_amounts,
            count_width: plan.count_width(),
            accumulator_high_width: high,
            accumulator_low_width: low,
            row_count_width,
            row_high_width: row_high,
            row_planes,
            align_width: bits_for(low.into()),
            result_width,
            entry_width: c.constant_entries.ilog2(),
            row_counter_width: bits_for(c.rows.into()),
            shifts: shape.shifts,
            latency: choice.latency,
            units: choice.units,
            warnings: choice.warnings,
        };
        design.check_ports()?;
        Ok(design)
    }

    /// The same processing elements in an array of another size, with another accelerator around it: what
    /// [`ArrayConfig::validate`] gives for that configuration, without deriving the widths again.
    ///
    /// # Errors
    /// A [`ConfigError`] for rows, columns, or a product or port past its limit.
    pub fn resized(
        &self,
        rows: u32,
        columns: u32,
        accelerator: AcceleratorConfig,
    ) -> Result<Self, ConfigError> {
        check_range("rows", rows, 1, DIMENSION_MAX)?;
        check_range("columns", columns, 1, DIMENSION_MAX)?;
        let config = ArrayConfig {
            rows,
            columns,
            accelerator,
            ..self.config.clone()
        };
        config.check_size()?;
        let design = Design {
            row_counter_width: bits_for(rows.into()),
            config,
            ..self.clone()
        };
        design.check_ports()?;
        Ok(design)
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        let c = &self.config;
        let product = |a: u32, b: u32, d: u32| u64::from(a) * u64::from(b) * u64::from(d);
        for (port, bits, formula, knobs) in [
            (
                "operand_activation",
                product(c.rows, c.activation_branches, c.lanes),
                "rows x activation_branches x lanes",
                "`rows`, `activation_branches` or `lanes`",
            ),
            (
                "operand_weight",
                product(c.columns, c.weight_branches, c.lanes),
                "columns x weight_branches x lanes",
                "`columns`, `weight_branches` or `lanes`",
            ),
            (
                "result_value",
                product(c.columns, self.result_width, 1),
                "columns x result width",
                "`columns` or `reduction_max`",
            ),
        ] {
            if bits > PORT_BITS_MAX {
                return Err(ConfigError::PortTooWide {
                    port,
                    bits,
                    formula,
                    limit: PORT_BITS_MAX,
                    knobs,
                });
            }
        }
        Ok(())
    }

    /// The configuration that this design was made from.
    pub fn config(&self) -> &ArrayConfig {
        &self.config
    }

    /// Pipeline registers of the popcount, D: cycles (with `advance`) from a beat's entry to its count.
    pub fn latency(&self) -> u32 {
        self.latency
    }

    /// Registers without enable between the control and the grid, B: the grid does everything so many cycles later than the
    /// control believes. 0: none, and the drain is not behind a row buffer.
    pub fn broadcast_stages(&self) -> u32 {
        self.config.broadcast_stages.count()
    }

    /// The structure of the units; never [`Structure::Auto`].
    pub fn structure(&self) -> Structure {
        self.units.as_ref().map_or(Structure::Tree, |u| u.structure)
    }

    /// The units as netlists of device primitives; none for [`Structure::Tree`].
    pub fn units(&self) -> Option<&Arc<DeviceUnits>> {
        self.units.as_ref()
    }

    /// The same design, whose Verilog instantiates the adder cells of a standard-cell library where the units' netlists
    /// have adders of their size. Nothing but the Verilog's text depends on it, so that configuration and hash stay. No
    /// effect on [`Structure::Tree`] and on structures for FPGAs.
    pub fn with_adder_cells(&self, cells: &AdderCells) -> Self {
        let units = self.units.as_ref();
        Design {
            units: units.map(|units| Arc::new(units.with_adder_cells(cells))),
            ..self.clone()
        }
    }

    /// The library's adder cells that the Verilog instantiates.
    pub fn adder_cells(&self) -> AdderCells {
        let units = self.units.as_ref();
        units.map(|units| units.adder_cells()).unwrap_or_default()
    }

    /// For each pair of lanes, by how many cycles the array's edge delays it for processing elements.
    pub fn arrival(&self) -> Vec<u32> {
        match &self.units {
            Some(units) => units.element_delay(),
            None => vec![0; self.pairs as usize],
        }
    }

    /// What the user should know: a field that has no effect, a structure that was asked for in vain. Each is a sentence
    /// without its full stop.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Width of a processing element's sum, as it is drained.
    pub fn sum_width(&self) -> u32 {
        self.accumulator_high_width + self.accumulator_low_width
    }

    /// Width of a row unit's sum, as it is drained.
    pub fn row_sum_width(&self) -> u32 {
        self.row_high_width + self.accumulator_low_width
    }

    /// Width of one activation word: the branches of one row in one cycle.
    pub fn activation_word_width(&self) -> u32 {
        self.config.activation_branches * self.config.lanes
    }

    /// Width of one weight word: the branches of one column in one cycle.
    pub fn weight_word_width(&self) -> u32 {
        self.config.weight_branches * self.config.lanes
    }

    /// The top module's name.
    pub fn top_name(&self) -> String {
        let c = &self.config;
        format!("xnf_array_r{}_c{}_l{}", c.rows, c.columns, c.lanes)
    }
}
