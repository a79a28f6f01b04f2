//! What is proven, of which designs.

use crate::engine::Method;
use crate::property::{Mutant, PropertySet, Witness};
use rust_hdl_core::block::Block;
use xnorforge_hdl::accelerator::AcceleratorDesign;
use xnorforge_hdl::emit::{self, Package, VerilogFile};
use xnorforge_hdl::hardware::accelerator::{
    AlignedBracket, AxiLite, BackEnd, EpilogueLane, MultiplyAdd, ResultHold, ResultPort,
    RoundingShift, RowReader, Sequencer,
};
use xnorforge_hdl::hardware::{BranchAccumulator, DrainControl, PopcountTree, SkidBuffer};
use xnorforge_hdl::popcount::PopcountPlan;
use xnorforge_hdl::regmap;
use xnorforge_hdl::{AcceleratorConfig, ArrayConfig, Structure, Target};

/// Every set, the short ones first.
pub fn all() -> Vec<PropertySet> {
    let design = smallest();
    let mut sets = buffers(&design);
    sets.extend(accumulators());
    sets.extend(requantization(&design));
    sets.extend(axi(&design));
    sets.extend(control(&design));
    sets.extend(popcounts());
    sets.extend(arrays());
    sets
}

/// The smallest accelerator that has everything: two rows and columns, two threshold levels, the smallest memories.
fn smallest() -> AcceleratorDesign {
    let config = ArrayConfig {
        rows: 2,
        columns: 2,
        lanes: 4,
        activation_bits: 2,
        weight_bits: 2,
        reduction_max: 8,
        popcount_stages: 1,
        constant_entries: 2,
        accelerator: AcceleratorConfig {
            drain_columns: 1,
            load_ports: 1,
            activation_words: 2,
            residual_words: 2,
            patch_words: 4,
            weight_words: 2,
            constant_words: 2,
            channel_words: 2,
            table_words: 2,
            program_words: 64,
            schedule_words: 2,
            layers: 2,
            threshold_bits: 2,
            stream_bits: 8,
        },
        ..ArrayConfig::default()
    };
    let design = config.validate().expect("a legal configuration");
    AcceleratorDesign::new(&design).expect("a legal accelerator")
}

fn emitted(block: &dyn Block) -> Package {
    emit::emit(block, "").expect("every block can be emitted")
}

/// Bits of a port of the top module.
fn width(package: &Package, port: &str) -> u32 {
    let found = package.ports.iter().find(|p| p.name == port);
    found.unwrap_or_else(|| panic!("no port `{port}`")).width
}

/// A set about one package, with its top module as `DUT` and these macros.
fn set(
    what: &'static str,
    wrapper: &'static str,
    package: Package,
    defines: &[(&str, u32)],
    method: Method,
) -> PropertySet {
    let defines = defines
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string()));
    PropertySet {
        what,
        of: package.top.clone(),
        wrapper: Some(wrapper),
        rules: &[],
        defines: std::iter::once(("DUT".to_owned(), package.top.clone()))
            .chain(defines)
            .collect(),
        cuts: Vec::new(),
        mute: Vec::new(),
        module: package.top,
        design: [package.primitives, package.files].concat(),
        method,
        witnesses: vec![Witness::WrongSpecification],
    }
}

/// The assertions in the emitted text of a block hold, whatever comes to its inputs.
fn own_assertions(package: Package, cuts: &[&str], mutant: Mutant) -> PropertySet {
    let mut set = set(
        "its own assertions, for any inputs",
        "",
        package,
        &[],
        Method::Unbounded,
    );
    set.wrapper = None;
    set.cuts = cuts
        .iter()
        .map(|cell| format!("{}/{cell}", set.module))
        .collect();
    set.witnesses = vec![Witness::Mutant(mutant)];
    set
}

/// The cells of a module (the design's top, or the one whose name begins so), but for these.
fn cells_but(set: &PropertySet, module: &str, kept: &[&str]) -> Vec<String> {
    let of_module = |file: &&VerilogFile| match module {
        "" => file.name == format!("{}.v", set.module),
        module => file.name.starts_with(module),
    };
    let file = set
        .design
        .iter()
        .find(of_module)
        .expect("the module is in the design");
    let name = file.name.trim_end_matches(".v");
    let cells = file.text.lines().filter_map(|line| {
        let (_, cell) = line.trim().strip_suffix(" (")?.split_once(' ')?;
        (cell.starts_with("u_") && !kept.contains(&cell)).then(|| format!("{name}/*{cell}"))
    });
    cells.collect()
}

/// Buffers are queues: an element that is followed from its entry comes out once, unchanged, in its turn.
fn buffers(design: &AcceleratorDesign) -> Vec<PropertySet> {
    const WHAT: &str = "a queue: nothing lost, doubled, changed or reordered; offers are stable; full only when full";
    const RULES: &[&str] = &["fifo_rules"];
    let mutant = |what, module, from, to| {
        Witness::Mutant(Mutant {
            what,
            module,
            from,
            to,
        })
    };
    let skid = emitted(&SkidBuffer::new(design.design()));
    let port = emitted(&ResultPort::new(design));
    let hold = emitted(&ResultHold::new(design));
    let queue = |top, package: Package, width, mutants: [Witness; 2]| {
        let mut set = set(WHAT, top, package, &[("WIDTH", width)], Method::Unbounded);
        set.rules = RULES;
        set.witnesses.extend(mutants);
        set.witnesses.push(Witness::Covers(10));
        set
    };
    let reader = emitted(&RowReader::new(design));
    let places = [
        ("GRANULE", width(&reader, "granule")),
        ("CONSTANT", width(&reader, "constant")),
        ("GROUPS", width(&reader, "residual_groups")),
        ("COLUMN", width(&reader, "column")),
        ("PLANES", design.design().activation_groups),
    ];
    let mut reader = set(
        "a queue of rows, whose codes are read ahead: nothing lost, doubled or reordered; each offered in time",
        "row_reader",
        reader,
        &places,
        Method::Unbounded,
    );
    reader.rules = RULES;
    reader.cuts = vec![format!("{}/u_memory", reader.module)];
    reader.witnesses.extend([
        mutant(
            "a place is taken without room for it",
            "xnf_row_reader",
            "assign ready = ~held | takes;",
            "assign ready = 1'b1;",
        ),
        Witness::Covers(16),
    ]);
    let (skid_width, port_width) = (width(&skid, "in_value"), width(&port, "in_value"));
    vec![
        reader,
        queue(
            "skid_buffer",
            skid,
            skid_width,
            [
                mutant(
                    "the element behind is forgotten",
                    "xnf_skid_buffer",
                    "assign some_valid = spill_valid | in_valid;",
                    "assign some_valid = in_valid;",
                ),
                mutant(
                    "the element behind is overwritten",
                    "xnf_skid_buffer",
                    "if (room) begin",
                    "if (1'b1) begin",
                ),
            ],
        ),
        queue(
            "result_port",
            port,
            port_width,
            [
                mutant(
                    "the value of the element behind is not kept",
                    "xnf_result_lane",
                    "if (room) begin",
                    "if (main_ready) begin",
                ),
                mutant(
                    "the place is not freed",
                    "xnf_result_port",
                    "room <= ~spills;",
                    "room <= ~spills & ~main_valid;",
                ),
            ],
        ),
        queue(
            "result_hold",
            hold,
            32,
            [
                mutant(
                    "a transfer is replaced before it is taken",
                    "xnf_result_hold",
                    "assign free = ~full | out_ready;",
                    "assign free = 1'b1;",
                ),
                mutant(
                    "reset does not empty it",
                    "xnf_result_hold",
                    "if (reset) begin",
                    "if (1'b0) begin",
                ),
            ],
        ),
    ]
}

/// The accumulator of a processing element and of a row unit, at several shapes.
fn accumulators() -> Vec<PropertySet> {
    const SHAPES: [(u32, u32, u32, &[u32]); 4] = [
        (5, 2, 2, &[1]),
        (6, 4, 3, &[1, 2]),
        (4, 6, 3, &[1, 3]),
        (3, 1, 3, &[1]),
    ];
    let one = |(high, low, count, amounts): (u32, u32, u32, &[u32])| {
        let package = emitted(&BranchAccumulator::new(high, low, count, amounts));
        let distances = amounts
            .iter()
            .rev()
            .fold(0, |all, amount| all << 8 | amount);
        let mut set = set(
            "the weighted sum of its counts, as an integer",
            "accumulator",
            package,
            &[
                ("HIGH", high),
                ("LOW", low),
                ("COUNT", count),
                ("AMOUNTS", amounts.len() as u32),
                ("DISTANCES", distances),
            ],
            Method::Induction(2),
        );
        set.witnesses.push(Witness::Mutant(Mutant {
            what: "a tile does not start from zero",
            module: "xnf_accumulator",
            from: "assign base = first ? ",
            to: "assign base = 1'b0 ? ",
        }));
        if high < 6 && low < 6 {
            set.witnesses.push(Witness::Covers(30));
        }
        set
    };
    SHAPES.into_iter().map(one).collect()
}

/// Adder trees of every depth of their pipeline.
fn popcounts() -> Vec<PropertySet> {
    const SHAPES: [(u32, u32, u32); 10] = [
        (1, 1, 1),
        (2, 1, 1),
        (3, 1, 1),
        (5, 1, 1),
        (8, 1, 1),
        (15, 1, 1),
        (4, 2, 1),
        (3, 1, 3),
        (2, 3, 2),
        (3, 2, 2),
    ];
    let one = |(pairs, planes, groups), stages| {
        let plan = PopcountPlan::new(pairs, planes, groups);
        let package = emitted(&PopcountTree::new(plan, stages));
        let count = width(&package, "count");
        let mut set = set(
            "the number of ones, weighted; from any state, with up to four stalls",
            "popcount",
            package,
            &[
                ("PAIRS", pairs),
                ("PLANES", planes),
                ("GROUPS", groups),
                ("COUNT", count),
                ("DEPTH", stages),
            ],
            Method::Bounded(stages + 4),
        );
        if stages > 1 {
            set.witnesses.clear();
        }
        set
    };
    let depths = |shape: (u32, u32, u32)| 1..=PopcountPlan::new(shape.0, shape.1, shape.2).ranks();
    SHAPES
        .into_iter()
        .flat_map(|shape| depths(shape).map(move |stages| one(shape, stages)))
        .collect()
}

/// The arithmetic behind the array.
fn requantization(design: &AcceleratorDesign) -> Vec<PropertySet> {
    let rounding = emitted(&RoundingShift::new(design));
    let (value, shift) = (width(&rounding, "value"), width(&rounding, "shift"));
    let factor = design.design().result_width;
    let bracket = emitted(&AlignedBracket::new(design));
    let bracket_widths = [
        ("SUM", width(&bracket, "sum")),
        ("ROW", width(&bracket, "row_sum")),
        ("ALIGN", width(&bracket, "align")),
        ("RESULT", factor),
    ];
    vec![
        set(
            "shift right, floor or ties to even, offset, clamp",
            "rounding_shift",
            rounding,
            &[("WIDTH", value), ("SHIFT", shift)],
            Method::Bounded(6),
        ),
        set(
            "4 * (sum >> align) - 2 * (row_sum >> align) + constant",
            "aligned_bracket",
            bracket,
            &bracket_widths,
            Method::Bounded(6),
        ),
        thresholds(design),
        set(
            "factor * multiplier + addend in two's complement",
            "multiply_add",
            emitted(&MultiplyAdd::new(factor)),
            &[("WIDTH", factor)],
            Method::Induction(3),
        ),
    ]
}

/// The epilogue from sums to codes, in thresholds mode.
fn thresholds(design: &AcceleratorDesign) -> PropertySet {
    let package = emitted(&EpilogueLane::new(design));
    let stages = design.epilogue_stages();
    let widths = [
        ("SUM", width(&package, "sum")),
        ("ROW", width(&package, "row_sum")),
        ("ALIGN", width(&package, "align")),
        ("RESULT", design.design().result_width),
        ("SHIFT", width(&package, "shift")),
        ("LOAD", width(&package, "load_value")),
        ("CODE", width(&package, "planes")),
        ("STAGES", stages),
    ];
    // 5 cycles load; then a code leaves behind values of every cycle.
    let mut set = set(
        "MultiThreshold: the number of thresholds that a value reaches, moved and clamped",
        "thresholds",
        package,
        &widths,
        Method::Bounded(stages + 9),
    );
    set.witnesses.push(Witness::Mutant(Mutant {
        what: "a threshold that is met does not count",
        module: "xnf_epilogue_lane",
        from: ") < (levels_value",
        to: ") <= (levels_value",
    }));
    set
}

/// The rules of AXI at the ports of the whole accelerator.
fn axi(design: &AcceleratorDesign) -> Vec<PropertySet> {
    let package = || emit::generate_axi(design).expect("a legal accelerator");
    let (stream, values) = (design.config().stream_bits, design.config().drain_columns);
    let ports = |what, part: &str| {
        let mut set = set(
            what,
            "axi_top",
            package(),
            &[("STREAM", stream), ("VALUES", values), (part, 1)],
            Method::Unbounded,
        );
        set.rules = &["axi_lite_rules", "axi_stream_rules"];
        set.cuts = vec![format!("{}/u_core", set.of)];
        set
    };
    let mut lite = ports(
        "AXI4-Lite: answers stable, none without a request, each within 3 cycles; core cut",
        "LITE",
    );
    lite.witnesses.extend([
        Witness::Mutant(Mutant {
            what: "an answer is replaced before it is taken",
            module: "xnf_axi_lite",
            from: "assign read_now = ar_taken & ~r_waits;",
            to: "assign read_now = ar_taken;",
        }),
        Witness::Mutant(Mutant {
            what: "a write does not wait for its data",
            module: "xnf_axi_lite",
            from: "assign write_now = (aw_taken & w_taken) & ~b_waits;",
            to: "assign write_now = aw_taken & ~b_waits;",
        }),
        Witness::Covers(12),
    ]);
    let mut core = set(
        "a result stays, unchanged, until it is taken or an error is raised; all but sequencer and result port cut",
        "core_results",
        emit::generate_accelerator(design).expect("a legal accelerator"),
        &[
            ("STREAM", stream),
            ("VALUES", values),
            ("ADDRESS", design.program_address_width),
        ],
        Method::Unbounded,
    );
    core.rules = &["axi_stream_rules"];
    core.cuts = cells_but(&core, "", &["u_sequencer", "u_back"]);
    let inner = cells_but(&core, "xnf_back_end", &["u_results"]);
    core.cuts.extend(inner);
    core.mute = vec!["xnf_sequencer*".to_owned(), "xnf_result_port*".to_owned()];
    core.witnesses.push(Witness::Covers(30));
    let mut results = ports(
        "AXI4-Stream: a result stays, unchanged, until it is taken; core cut",
        "RESULTS",
    );
    results.witnesses.push(Witness::Covers(6));
    vec![lite, results, core]
}

/// The sequencer and the reset.
fn control(design: &AcceleratorDesign) -> Vec<PropertySet> {
    let package = emit::generate_accelerator(design).expect("a legal accelerator");
    let (address, stream) = (design.program_address_width, design.config().stream_bits);
    let reset = set(
        "one cycle of reset brings it to rest from any state",
        "core_reset",
        package,
        &[("ADDRESS", address), ("STREAM", stream)],
        Method::Bounded(5),
    );
    let sequencer = emitted(&Sequencer::new(design));
    let widths = [
        ("ADDRESS", address),
        ("ACTIVATION", width(&sequencer, "in_base")),
        ("OUTPUT", width(&sequencer, "out_base")),
        ("FIELDS", width(&sequencer, "fetch_select")),
        ("PATIENCE", 2),
    ];
    let mut never_stuck = set(
        "never stands still, whatever the program says; memory cut",
        "sequencer",
        sequencer,
        &widths,
        Method::Unbounded,
    );
    never_stuck.cuts = vec![format!("{}/u_memory", never_stuck.of)];
    never_stuck.witnesses.extend([
        Witness::Mutant(Mutant {
            what: "a descriptor that was fetched is forgotten",
            module: "xnf_sequencer",
            from: "pending <= blocked | chain[41];",
            to: "pending <= blocked;",
        }),
        Witness::Covers(60),
    ]);
    let drain = own_assertions(
        emitted(&DrainControl::new(design.design())),
        &[],
        Mutant {
            what: "the last row does not end the tile",
            module: "xnf_drain_control",
            from: "(leaves & at_last_row) ? 1'd0 : busy",
            to: "1'b0 ? 1'd0 : busy",
        },
    );
    let back_end = own_assertions(
        emitted(&BackEnd::new(design)),
        &["u_array", "u_lane", "u_packer"],
        Mutant {
            what: "rows are walked without room for them",
            module: "xnf_row_reader",
            from: "assign ready = ~held | takes;",
            to: "assign ready = 1'b1;",
        },
    );
    let control = regmap::register("control");
    let soft_reset = set(
        "a host gets a soft reset within 8 cycles, from any state",
        "soft_reset",
        emitted(&AxiLite::new(design)),
        &[
            ("CONTROL", control.offset),
            ("BIT", control.field("soft_reset").low),
        ],
        Method::Bounded(11),
    );
    vec![drain, back_end, soft_reset, never_stuck, reset]
}

/// The whole array, one element of every structure of every target.
fn arrays() -> Vec<PropertySet> {
    let config = |target, structure| ArrayConfig {
        rows: 1,
        columns: 1,
        lanes: 3,
        activation_bits: 2,
        weight_bits: 2,
        reduction_max: 3,
        constant_entries: 2,
        target,
        structure,
        ..ArrayConfig::default()
    };
    let one = |config: &ArrayConfig| {
        let design = config.validate().ok()?;
        let package = emit::generate(&design).expect("a legal array");
        let cycles = xnorforge_hdl::timing::total_cycles(&design, 1, 4);
        let result = design.result_width;
        let mut set = set(
            "the dot product of one tile, 2 x 2 bits, any values",
            "array_dot_product",
            package,
            &[
                ("LANES", config.lanes),
                ("RESULT", result),
                ("ALIGN", design.accumulator_low_width - 2),
            ],
            Method::Bounded(cycles as u32 + 4),
        );
        set.of = format!(
            "{}, {} {}",
            set.of,
            config.target.name(),
            design.structure().name()
        );
        Some(set)
    };
    let mut configs = vec![config(Target::Generic, Structure::Tree)];
    for target in Target::ALL {
        let structures = Structure::of_target(target).iter();
        configs.extend(structures.map(|structure| config(target, *structure)));
    }
    configs.iter().filter_map(one).collect()
}
