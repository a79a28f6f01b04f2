//! The sizes that a design's modules follow from, by name.

use super::{Hardware, memories};
use xnorforge_hdl::fabric::{Cell, Item, Netlist};
use xnorforge_hdl::popcount::{PopcountPlan, Rank};
use xnorforge_hdl::structure::UnitNetlist;
use xnorforge_hdl::{AcceleratorDesign, Design, Target};

/// Every quantity's name and what it is. Widths and addresses are in bits.
pub const NAMES: [(&str, &str); COUNT] = [
    ("one", "1"),
    ("rows", "rows"),
    ("columns", "columns"),
    ("lanes", "lanes"),
    ("pairs", "pairs of lanes"),
    ("pm", "activation branches in a cycle"),
    ("pk", "weight branches in a cycle"),
    ("sum", "an element's sum"),
    ("row_sum", "a row unit's sum"),
    ("high", "its adding part"),
    ("row_high", "a row unit's adding part"),
    ("low", "finished bits of a sum"),
    ("shifts", "distances by which accumulators shift"),
    ("result", "a result"),
    ("latency", "pipeline registers of the popcount"),
    ("entry", "address of the array's constants"),
    ("align", "the alignment of sums"),
    ("row_bits", "the counter of rows"),
    ("row_count", "what a row unit adds in one beat"),
    ("count", "an element's popcount"),
    ("element_logic", "LUT places of one element's netlist"),
    ("element_carries", "carry cells or half adders of it"),
    ("element_ff", "flip-flops of it"),
    ("row_logic", "LUT places of one row unit's popcount netlist"),
    ("row_carries", "carry cells of it"),
    ("row_ff", "flip-flops of it"),
    (
        "skew_activation",
        "registers that delay one activation word",
    ),
    ("skew_weight", "registers that delay one weight word"),
    ("skew_mode", "registers that delay the rows' mode"),
    ("tree_adders", "adder bits of an element's popcount tree"),
    ("tree_ff", "registers of it"),
    (
        "row_tree_adders",
        "adder bits of a row unit's popcount tree",
    ),
    ("row_tree_ff", "registers of it"),
    ("drain", "columns that leave the drain in one cycle"),
    ("ports", "load ports"),
    ("slices", "slices of a word"),
    ("slice_bits", "a slice's number"),
    ("granule", "bits of a granule"),
    ("word", "an activation word"),
    ("weight_word", "a weight word"),
    ("port_rows", "rows of one load port"),
    ("steps", "steps in which a row is drained"),
    ("activation_address", "address of the activation memory"),
    ("residual_address", "address of the residual memory"),
    ("output_address", "the wider of the two"),
    ("granule_address", "a granule's number"),
    ("patch_address", "address of a patch buffer"),
    ("weight_address", "address of a weight bank"),
    ("constant_address", "address of column constants"),
    ("channel_address", "address of a channel's parameters"),
    ("table_address", "address of the residual table"),
    ("program_address", "address of the program"),
    ("schedule_address", "address of the schedules"),
    ("layer_bits", "number of a counter set"),
    ("product", "a result times a multiplier"),
    ("levels", "bits of a code that thresholds make"),
    ("stream", "weight and input stream"),
    ("groups", "plane groups of a code"),
    ("planes", "planes of a code"),
    ("load_address", "address in the program stream"),
    ("load_value", "value in the program stream"),
    ("column_bits", "number of a drained column"),
    ("word_beats", "beats of an activation word on the stream"),
    ("weight_beats", "beats of a weight word on the stream"),
    ("cells", "processing elements"),
    ("tree", "1 where the structure is `tree`"),
    ("memory_places", "places of distributed memories"),
    ("memory_blocks", "block memories"),
    ("memory_registers", "registers of memories"),
    (
        "wide",
        "1 where a result is wider than one operand of a multiplier block",
    ),
];

/// How many there are.
pub const COUNT: usize = 70;

/// The values, in the order of [`NAMES`].
pub type Quantities = [f64; COUNT];

/// Where a quantity stands; none of that name.
pub fn index(name: &str) -> Option<usize> {
    NAMES.iter().position(|(known, _)| *known == name)
}

/// LUT places, carry cells and flip-flops of a netlist of primitives.
fn netlist_counts(netlist: &Netlist) -> [f64; 3] {
    let (mut logic, mut carries) = (0, 0);
    for cell in netlist.cells() {
        match cell {
            Cell::Lut { .. } | Cell::DualLut { .. } => logic += 1,
            Cell::Carry { select, .. } => carries += select.len().div_ceil(4),
            Cell::Ccu2c { .. } => {
                logic += 2;
                carries += 1;
            }
            Cell::SbCarry { .. } => carries += 1,
            Cell::FullAdder { .. } => logic += 1,
            // With standard cells, where nothing else is a carry cell.
            Cell::HalfAdder { .. } => carries += 1,
        }
    }
    let registers = netlist.items().iter().map(|item| match item {
        Item::Register { q, .. } => q.len(),
        _ => 0,
    });
    [
        logic as f64,
        carries as f64,
        registers.sum::<usize>() as f64,
    ]
}

/// Adder bits and register bits of a popcount as an expression.
fn tree_counts(plan: &PopcountPlan) -> [f64; 2] {
    let (mut adders, mut widest) = (0u64, 0u64);
    for rank in plan.rank_list() {
        let out: u64 = rank.output_widths().iter().map(|w| u64::from(*w)).sum();
        let groups = match rank {
            Rank::Merge { .. } => 1,
            _ => u64::from(plan.groups),
        };
        adders += groups * out;
        widest = widest.max(groups * out);
    }
    [adders as f64, widest as f64]
}

/// The quantities of a design. Those of the accelerator are 0 for an array.
pub fn of(hardware: Hardware<'_>) -> Quantities {
    let mut values = [0.0; COUNT];
    let mut set = |name: &str, value: f64| {
        let index = index(name);
        debug_assert!(index.is_some(), "{name}");
        if let Some(index) = index {
            values[index] = value;
        }
    };
    let memories = memories::sum(hardware);
    set("memory_places", memories.places);
    set("memory_blocks", memories.blocks);
    set("memory_registers", memories.registers);
    match hardware {
        Hardware::Array(design) => of_array(design, &mut set),
        Hardware::Accelerator(design) => {
            of_array(design.design(), &mut set);
            of_accelerator(design, &mut set);
        }
    }
    values
}

fn of_array(design: &Design, set: &mut impl FnMut(&str, f64)) {
    let c = design.config();
    for (name, value) in [
        ("one", 1),
        ("rows", c.rows),
        ("columns", c.columns),
        ("lanes", c.lanes),
        ("pairs", design.pairs),
        ("pm", c.activation_branches),
        ("pk", c.weight_branches),
        ("sum", design.sum_width()),
        ("row_sum", design.row_sum_width()),
        ("high", design.accumulator_high_width),
        ("row_high", design.row_high_width),
        ("low", design.accumulator_low_width),
        (
            "shifts",
            if design.shifts {
                design.shift_amounts.len() as u32
            } else {
                0
            },
        ),
        ("result", design.result_width),
        ("latency", design.latency()),
        ("entry", design.entry_width),
        ("align", design.align_width),
        ("row_bits", design.row_counter_width),
        ("row_count", design.row_count_width),
        ("count", design.count_width),
        ("cells", c.rows * c.columns),
        ("tree", u32::from(design.units().is_none())),
        (
            "wide",
            u32::from(design.result_width > multiplier_bits(c.target)),
        ),
    ] {
        set(name, f64::from(value));
    }
    match design.units() {
        Some(units) => {
            let [logic, carries, ff] = counts_of(&units.element);
            set("element_logic", logic);
            set("element_carries", carries);
            set("element_ff", ff);
            let [logic, carries, ff] = counts_of(&units.row);
            set("row_logic", logic);
            set("row_carries", carries);
            set("row_ff", ff);
            let (element, row) = (units.element_delay(), units.row_delay());
            // Both lanes of a pair; a word's lanes beyond the last pair are none.
            let lanes_of = |pair: usize| {
                let high = pair as u32 + design.pairs;
                1.0 + f64::from(u8::from(high < c.lanes))
            };
            let words = |delay: &dyn Fn(usize) -> u32| -> f64 {
                (0..element.len())
                    .map(|p| f64::from(delay(p)) * lanes_of(p))
                    .sum()
            };
            set("skew_activation", words(&|p| element[p].max(row[p])));
            set("skew_weight", words(&|p| element[p]));
            set(
                "skew_mode",
                2.0 * f64::from(row.iter().copied().max().unwrap_or(0)),
            );
        }
        None => {
            let plan = |planes| PopcountPlan::new(design.pairs, planes, c.activation_branches);
            let [adders, ff] = tree_counts(&plan(c.weight_branches));
            set("tree_adders", adders);
            set("tree_ff", ff);
            let [adders, ff] = tree_counts(&plan(design.row_planes));
            set("row_tree_adders", adders);
            set("row_tree_ff", ff);
        }
    }
}

/// Bits of the wider operand of a multiplier block: DSP48E1, MULT18X18D, SB_MAC16.
fn multiplier_bits(target: Target) -> u32 {
    match target {
        Target::Xilinx | Target::Ultrascale => 25,
        Target::Ecp5 => 18,
        Target::Ice40 => 16,
        Target::Generic | Target::Asic => u32::MAX,
    }
}

fn counts_of(unit: &UnitNetlist) -> [f64; 3] {
    netlist_counts(&unit.netlist)
}

fn of_accelerator(a: &AcceleratorDesign, set: &mut impl FnMut(&str, f64)) {
    let c = a.config();
    for (name, value) in [
        ("drain", c.drain_columns),
        ("ports", c.load_ports),
        ("slices", a.slices),
        ("slice_bits", a.slices.ilog2()),
        ("granule", a.granule_width()),
        ("word", a.word_width),
        ("weight_word", a.weight_width),
        ("port_rows", a.rows_per_port),
        ("steps", a.drain_steps),
        ("activation_address", a.activation_address_width),
        ("residual_address", a.residual_address_width),
        ("output_address", a.output_address_width),
        ("granule_address", a.granule_address_width),
        ("patch_address", a.patch_address_width),
        ("weight_address", a.weight_address_width),
        ("constant_address", a.constant_address_width),
        ("channel_address", a.channel_address_width),
        ("table_address", a.table_address_width),
        ("program_address", a.program_address_width),
        ("schedule_address", a.schedule_address_width),
        ("layer_bits", a.layer_width),
        ("product", a.product_width),
        ("levels", c.threshold_bits),
        ("stream", c.stream_bits),
        ("groups", a.design().activation_groups),
        ("planes", a.code_planes),
        ("load_address", a.load_address_width()),
        ("load_value", a.load_value_width()),
        ("column_bits", a.column_width()),
        ("word_beats", a.word_width.div_ceil(c.stream_bits)),
        ("weight_beats", a.weight_width.div_ceil(c.stream_bits)),
    ] {
        set(name, f64::from(value));
    }
}
