//! What each kind of module is made of: products of the design's sizes, of which the fit finds how much each takes.
//!
//! `rows*columns*sum` for example is one bit of each element's place in the drain. Kinds whose content the generator knows
//! exactly (netlists of primitives, registers of the edge) have their exact counts as features; memories are known without
//! a fit.

use super::quantities::{self, Quantities};
use super::sample::Counts;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A part of a design: what estimates are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Processing elements.
    Elements,
    /// Row units.
    RowUnits,
    /// Registers that delay operands at the array's edge.
    Edge,
    /// The drain, the epilogue and results.
    Drain,
    /// Patches: loaders, pooling, the way of activations into and out of memories.
    Patches,
    /// Sequencer, registers, ports.
    Control,
    /// Memories, with what selects their words.
    Memories,
}

impl Part {
    /// Every part, in the order of reports.
    pub const ALL: [Part; 7] = [
        Part::Elements,
        Part::RowUnits,
        Part::Edge,
        Part::Drain,
        Part::Patches,
        Part::Control,
        Part::Memories,
    ];

    /// Its name in files.
    pub fn key(self) -> &'static str {
        match self {
            Part::Elements => "elements",
            Part::RowUnits => "row_units",
            Part::Edge => "edge",
            Part::Drain => "drain",
            Part::Patches => "patches",
            Part::Control => "control",
            Part::Memories => "memories",
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Part::Elements => "elements",
            Part::RowUnits => "row units",
            Part::Edge => "edge",
            Part::Drain => "drain and epilogue",
            Part::Patches => "patches",
            Part::Control => "control",
            Part::Memories => "memories",
        }
    }
}

/// Which designs a kind stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Arrays behind streams and accelerators.
    Both,
    /// Arrays alone.
    Array,
    /// Accelerators alone.
    Accelerator,
}

impl Scope {
    /// Whether it covers accelerators, or arrays.
    pub fn covers(self, is_accelerator: bool) -> bool {
        match self {
            Scope::Both => true,
            Scope::Array => !is_accelerator,
            Scope::Accelerator => is_accelerator,
        }
    }
}

/// A kind of modules, or several that are taken together.
#[derive(Clone, Debug)]
pub struct Group {
    /// The kinds.
    pub kinds: Vec<&'static str>,
    /// The part that they belong to.
    pub part: Part,
    /// Where they stand.
    pub scope: Scope,
    /// Each feature: the quantities whose product it is.
    pub features: Vec<Vec<usize>>,
    /// Of memories: the quantities that are their LUT places, flip-flops and blocks.
    memories: Option<[usize; 3]>,
}

impl Group {
    /// The values of its features.
    pub fn values(&self, quantities: &Quantities) -> Vec<f64> {
        let product = |factors: &Vec<usize>| factors.iter().map(|i| quantities[*i]).product();
        self.features.iter().map(product).collect()
    }

    /// What is known without a fit, to which the fit adds: memories by the rules of Yosys ([`super::memories`]).
    pub fn known(&self, quantities: &Quantities) -> Counts {
        let Some([places, registers, blocks]) = self.memories else {
            return Counts::default();
        };
        Counts {
            sites: quantities[places],
            flip_flops: quantities[registers],
            block_rams: quantities[blocks],
            ..Counts::default()
        }
    }
}

use Part::*;
use Scope::*;

/// Kinds, where they belong, and what they are made of.
const TABLE: [(&str, Part, Scope, &str); 56] = [
    (
        "pair_chain pair_rows adder_chains adder_luts adder_cells pair_element",
        Elements,
        Both,
        "cells*element_logic cells*element_carries cells*element_ff",
    ),
    (
        "processing_element xnor_popcount pair_bits",
        Elements,
        Both,
        "cells*tree cells*tree*pairs*pm*pk",
    ),
    (
        "popcount",
        Elements,
        Both,
        "cells*tree_adders cells*tree_ff rows*row_tree_adders rows*row_tree_ff",
    ),
    (
        "accumulator",
        Elements,
        Both,
        "rows*row_high rows*low rows*row_high*shifts cells*tree*high cells*tree*low cells*tree*high*shifts",
    ),
    (
        "pair_chain_row pair_rows_row adder_chains_row adder_luts_row adder_cells_row",
        RowUnits,
        Both,
        "rows*row_logic rows*row_carries rows*row_ff",
    ),
    ("row_sum", RowUnits, Both, "rows rows*row_count"),
    (
        "row_pairs",
        RowUnits,
        Both,
        "rows rows*pairs*pm rows*pairs*pm*pk",
    ),
    ("pe_row", Drain, Both, "cells*sum rows*row_sum rows"),
    ("pe_array array_edge", Control, Both, "one"),
    ("skew_activation", Edge, Both, "rows*pm*skew_activation"),
    ("skew_weight", Edge, Both, "columns*pk*skew_weight"),
    ("skew_mode", Edge, Both, "skew_mode"),
    (
        "drain_control",
        Drain,
        Array,
        "one columns*entry row_bits align",
    ),
    ("control_stage", Control, Array, "one columns*entry align"),
    (
        "epilogue",
        Drain,
        Array,
        "one columns*result row_sum columns",
    ),
    (
        "epilogue_column",
        Drain,
        Array,
        "columns columns*sum columns*result columns*align*sum",
    ),
    ("skid_buffer", Drain, Array, "one columns*result"),
    ("array", Control, Array, "one"),
    (
        "constant_memory",
        Memories,
        Array,
        "one columns*result columns*entry",
    ),
    (
        "keeping_memory level_memory plane_store row_memory slice_memory word_memory",
        Memories,
        Accelerator,
        "one drain rows",
    ),
    (
        "loader",
        Patches,
        Accelerator,
        "ports ports*granule_address ports*slices ports*port_rows ports*patch_address",
    ),
    ("loader_status", Patches, Accelerator, "ports"),
    (
        "pixel_walker",
        Patches,
        Accelerator,
        "one granule_address rows ports",
    ),
    (
        "row_walker",
        Drain,
        Accelerator,
        "one granule_address constant_address",
    ),
    (
        "compute_engine",
        Control,
        Accelerator,
        "one patch_address weight_address schedule_address shifts",
    ),
    (
        "sequencer",
        Control,
        Accelerator,
        "one program_address activation_address",
    ),
    (
        "program_port",
        Control,
        Accelerator,
        "one load_address load_value levels",
    ),
    (
        "descriptor_registers",
        Control,
        Accelerator,
        "one granule_address activation_address constant_address weight_address channel_address",
    ),
    ("descriptor_check", Control, Accelerator, "one levels"),
    ("counters", Control, Accelerator, "one layer_bits"),
    (
        "row_reader",
        Drain,
        Accelerator,
        "one granule_address constant_address planes*columns planes*drain",
    ),
    ("row_tag", Drain, Accelerator, "one granule_address"),
    (
        "patch_system",
        Patches,
        Accelerator,
        "one word ports*word output_address rows",
    ),
    ("granule_copies word_planes", Patches, Accelerator, "word"),
    (
        "slice_rotator",
        Patches,
        Accelerator,
        "ports*word ports*word*slice_bits",
    ),
    ("plane_maximum", Patches, Accelerator, "word"),
    (
        "pool_unit",
        Patches,
        Accelerator,
        "one output_address granule_address slices word",
    ),
    ("buffer_enable", Patches, Accelerator, "rows rows*slices"),
    ("row_order", Patches, Accelerator, "rows"),
    (
        "tile_drain",
        Drain,
        Accelerator,
        "one row_bits column_bits columns",
    ),
    (
        "back_end",
        Drain,
        Accelerator,
        "one granule_address drain levels row_sum",
    ),
    ("result_hold", Drain, Accelerator, "one drain"),
    ("result_lane", Drain, Accelerator, "drain drain*result"),
    ("result_port", Drain, Accelerator, "one drain"),
    (
        "epilogue_lane",
        Drain,
        Accelerator,
        "drain drain*result drain*levels drain*levels*channel_address drain*product drain*planes",
    ),
    (
        "aligned_bracket",
        Drain,
        Accelerator,
        "drain drain*result drain*align*sum drain*wide drain*wide*result",
    ),
    (
        "multiply_add",
        Drain,
        Accelerator,
        "drain drain*product drain*wide drain*wide*result",
    ),
    (
        "rounding_shift shift_step",
        Drain,
        Accelerator,
        "drain drain*product",
    ),
    (
        "plane_packer",
        Patches,
        Accelerator,
        "one output_address granule_address slices planes groups",
    ),
    (
        "plane_group",
        Patches,
        Accelerator,
        "groups groups*slices groups*column_bits groups*pm",
    ),
    (
        "plane_latch plane_shift",
        Patches,
        Accelerator,
        "groups groups*pm groups*pm*columns groups*pm*drain",
    ),
    ("channel_counter", Drain, Accelerator, "one channel_address"),
    (
        "weight_port weight_banks",
        Control,
        Accelerator,
        "one columns weight_address weight_word weight_beats",
    ),
    (
        "input_port",
        Control,
        Accelerator,
        "one output_address word word_beats",
    ),
    ("beat_pipeline", Control, Accelerator, "one latency"),
    (
        "axi_lite register_rom accelerator axi_accelerator",
        Control,
        Accelerator,
        "one program_address layer_bits",
    ),
];

/// All groups.
pub static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let group = |(kinds, part, scope, features): (&'static str, Part, Scope, &str)| Group {
        kinds: kinds.split_whitespace().collect(),
        part,
        scope,
        features: features.split_whitespace().map(factors).collect(),
        memories: (part == Memories)
            .then(|| ["memory_places", "memory_registers", "memory_blocks"].map(index)),
    };
    TABLE.into_iter().map(group).collect()
});

fn factors(feature: &str) -> Vec<usize> {
    feature.split('*').map(index).collect()
}

fn index(name: &str) -> usize {
    quantities::index(name).expect("a quantity of the list")
}

/// The group of a kind; none of a kind that the table does not have.
pub fn group_of(kind: &str) -> Option<usize> {
    GROUPS.iter().position(|group| group.kinds.contains(&kind))
}

/// The part of a design that modules of a kind belong to.
pub fn part_of(kind: &str) -> Option<Part> {
    Some(GROUPS[group_of(kind)?].part)
}
