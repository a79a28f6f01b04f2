//! The scripts and constraints that `generate` writes, read by tools: each where its tool is installed.

mod common;

use common::{Folder, text};
use std::path::PathBuf;
use xnorforge::pnr::{self, Part};
use xnorforge::scripts;
use xnorforge::tools::{Found, OPENSTA, Search, Tool, YOSYS};
use xnorforge_hdl::emit::VerilogFile;
use xnorforge_hdl::{Package, Target};

const TOP: &str = "xnf_array_r2_c3_l5";
const OSU018: &str = "/usr/share/qflow/tech/osu018/osu018_stdcells.lib";

/// The tool, or nothing where it is not installed; in CI Debian's are.
fn installed(tool: &'static Tool) -> Option<Found> {
    match Search::from_environment().find(tool) {
        Ok(found) => Some(found),
        Err(e) => {
            assert!(std::env::var_os("CI").is_none(), "{e}");
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// `tiny` for a target, at 40 MHz, with a folder for what the scripts write.
fn generated(target: &str) -> Folder {
    generated_with(target, "")
}

/// The same with more arguments.
fn generated_with(target: &str, arguments: &str) -> Folder {
    let folder = Folder::new();
    folder.succeed(&format!(
        "generate --config tiny --target {target} {arguments} --clock-mhz 40 --out design"
    ));
    std::fs::create_dir(folder.path("design/build")).unwrap();
    folder
}

/// Runs a tool in the generated folder; what it printed.
fn run(found: &Found, folder: &Folder, arguments: &[&str], product: Option<&str>) -> String {
    let mut invocation = found
        .invoke(&folder.path("design"), "../tool.log")
        .env("LIBERTY", OSU018)
        .args(arguments);
    if let Some(product) = product {
        invocation = invocation.produces(product);
    }
    match invocation.run() {
        Ok(finished) => finished.read_log().unwrap(),
        Err(e) => panic!("{e}\n{}", folder.read("tool.log")),
    }
}

/// Runs Vivado's script and its constraints in a Tcl interpreter, Yosys' own, whose every unknown command is noted.
const TCL_CHECK: &str = r#"
rename unknown stock_unknown
proc unknown {name args} {
    puts "CALL $name $args"
    switch $name {
        read_verilog { foreach file [lindex $args 0] { if {![file exists $file]} { error "no $file" } } }
        read_xdc { uplevel #0 [list source [lindex $args end]] }
    }
    return stub
}
set argv [list {*}$::env(XNORFORGE_TEST_ARGUMENTS)]
set argc [llength $argv]
source scripts/vivado.tcl
puts "THE END"
"#;

fn vivado_calls(yosys: &Found, interface: &str, arguments: &str) -> Vec<String> {
    let folder = Folder::new();
    folder.succeed(&format!(
        "generate --config tiny --target xilinx --clock-mhz 40 --interface {interface} --out design"
    ));
    folder.write("check.tcl", TCL_CHECK);
    let finished = yosys
        .invoke(&folder.path("design"), "../tool.log")
        .env("XNORFORGE_TEST_ARGUMENTS", arguments)
        .args(["-c", "../check.tcl"])
        .run();
    let log = finished
        .unwrap_or_else(|e| panic!("{e}"))
        .read_log()
        .unwrap();
    assert!(log.contains("THE END"), "{log}");
    let calls = log.lines().filter_map(|line| line.strip_prefix("CALL "));
    calls.map(str::to_owned).collect()
}

#[test]
fn vivados_script_and_constraints_are_tcl() {
    let Some(yosys) = installed(&YOSYS) else {
        return;
    };
    for (interface, clock) in [("array", "clock"), ("axi", "aclk")] {
        let calls = vivado_calls(&yosys, interface, "");
        let place = |name: &str| {
            let found = calls.iter().position(|call| call.starts_with(name));
            found.unwrap_or_else(|| panic!("no {name} in {calls:#?}"))
        };
        let order = [
            "read_verilog",
            "read_xdc",
            "create_clock",
            "set_input_delay",
            "set_output_delay",
            "synth_design",
            "report_utilization",
            "report_timing_summary",
            "opt_design",
            "place_design",
            "route_design",
        ];
        assert!(order.map(place).is_sorted(), "{calls:#?}");
        assert!(
            calls[place("create_clock")].contains("-period 25.000"),
            "{calls:#?}"
        );
        assert!(
            calls[place("get_ports")].ends_with(&format!("get_ports {clock}")),
            "{calls:#?}"
        );
        assert!(
            calls[place("synth_design")].contains("-part xc7a200tfbg676-2"),
            "{calls:#?}"
        );
        let reports = |name: &str| calls.iter().filter(|call| call.starts_with(name)).count();
        assert_eq!(
            (
                reports("report_utilization"),
                reports("report_timing_summary")
            ),
            (4, 2)
        );
    }
    let calls = vivado_calls(&yosys, "array", "xcku5p-ffvb676-2-e synthesis");
    let called = |name: &str| calls.iter().any(|call| call.contains(name));
    assert!(
        called("-part xcku5p-ffvb676-2-e") && !called("place_design"),
        "{calls:#?}"
    );
}

#[test]
fn nextpnr_takes_the_pcf() {
    let (Some(yosys), Some(nextpnr)) = (
        installed(&YOSYS),
        installed(&xnorforge::tools::NEXTPNR_ICE40),
    ) else {
        return;
    };
    let folder = generated("ice40");
    let netlist = format!("build/{TOP}_ice40.json");
    run(
        &yosys,
        &folder,
        &["-q", "-s", "scripts/yosys_ice40.ys"],
        Some(&netlist),
    );
    // The line of the script, as a shell would split it; this array has fewer ports than the package pins.
    let script = folder.read("design/scripts/nextpnr_ice40.txt");
    let line = script
        .lines()
        .find(|line| line.starts_with("nextpnr-ice40 "))
        .unwrap();
    let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
    let product = format!("build/{TOP}.asc");
    let log = run(&nextpnr, &folder, &arguments, Some(&product));
    assert!(log.contains("at 40.00 MHz"), "{log}");
}

#[test]
fn nextpnr_takes_the_lpf() {
    let Ok(tools) = pnr::Tools::find(&Search::from_environment(), Part::Ecp5) else {
        return eprintln!("skipped: no nextpnr for ECP5");
    };
    let folder = generated("ecp5");
    let netlist = format!("build/{TOP}_ecp5.json");
    run(
        &tools.yosys,
        &folder,
        &["-q", "-s", "scripts/yosys_ecp5.ys"],
        Some(&netlist),
    );
    let script = folder.read("design/scripts/nextpnr_ecp5.txt");
    let line = script
        .lines()
        .find(|line| line.starts_with("nextpnr-ecp5 "))
        .unwrap();
    let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
    let product = format!("build/{TOP}_ecp5_report.json");
    let log = run(&tools.nextpnr, &folder, &arguments, Some(&product));
    assert!(log.contains("at 40.00 MHz"), "{log}");
}

#[test]
fn opensta_takes_the_sdc() {
    let (Some(yosys), Some(sta)) = (installed(&YOSYS), installed(&OPENSTA)) else {
        return;
    };
    if !PathBuf::from(OSU018).is_file() {
        assert!(std::env::var_os("CI").is_none(), "{OSU018} is missing");
        return eprintln!("skipped: no {OSU018}");
    }
    // Adders as expressions, and as cells of the library, which stay as they are.
    let expressions = check_cells(&yosys, &sta, &generated("asic"));
    assert!(!expressions.contains("FAX1"));
    let folder = generated_with("asic", &format!("--liberty {OSU018}"));
    let adders = folder.read("design/sim/files.f");
    assert_eq!(adders.lines().next(), Some("FAX1.v"));
    assert!(check_cells(&yosys, &sta, &folder).contains("FAX1 "));
}

/// Runs the scripts for cells; the netlist of Yosys.
fn check_cells(yosys: &Found, sta: &Found, folder: &Folder) -> String {
    let netlist = format!("build/{TOP}_asic.v");
    run(
        yosys,
        folder,
        &["-q", "-c", "scripts/yosys_asic.tcl"],
        Some(&netlist),
    );
    let log = run(
        sta,
        folder,
        &["-no_splash", "-exit", "scripts/sta.tcl"],
        None,
    );
    assert!(!log.contains("Error") && !log.contains("Warning"), "{log}");
    let slack = log
        .lines()
        .find_map(|line| line.strip_prefix("worst slack: "));
    let (slack, rest) = slack
        .unwrap_or_else(|| panic!("{log}"))
        .split_once(' ')
        .unwrap();
    assert_eq!(rest, "ns at 40 MHz", "{log}");
    // A fifth of the 25 ns is left to what is outside, and the array needs some of the rest.
    let slack: f64 = slack.parse().unwrap();
    assert!((0.0..20.0).contains(&slack), "{log}");
    folder.read(&format!("design/{netlist}"))
}

/// Missing tools and unusable cells, on the command line.
#[test]
fn synth_fails_as_the_contract_says() {
    let folder = Folder::new();
    folder.write("few.lib", "library (few) { cell (A) { area : 1; } }");
    folder.write("not.lib", "module m; endmodule");
    let mut command = folder.command("synth --config tiny --target ice40");
    let output = command
        .env("PATH", "")
        .env("XNORFORGE_VENV", "none")
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(
        message.contains("install it with `sudo apt-get install nextpnr-ice40`"),
        "{message}"
    );
    for (arguments, expected) in [
        ("--target asic", "add `--liberty FILE`"),
        (
            "--target asic --liberty few.lib",
            "the library `few` (1 cells) lacks a D flip-flop",
        ),
        ("--target asic --liberty not.lib", "line 1 is not Liberty"),
        (
            "--target asic --liberty no.lib",
            "cannot read the Liberty file `no.lib`",
        ),
        (
            "--target ice40 --liberty few.lib",
            "add --target asic, or leave --liberty out",
        ),
        (
            "--target ice40 --clock-mhz 0",
            "`clock_mhz` = 0 is out of range",
        ),
        ("--family vax", "invalid value 'vax'"),
        (
            "--target xilinx --family ecp5",
            "add --target ecp5 or --structure tree",
        ),
        (
            "--target ice40 --family gowin",
            "add --target generic or --structure tree",
        ),
        ("--target xilinx --seeds 5", "leave --seeds out"),
        ("--target ice40 --seeds 0", "0 is not in 1..=99"),
    ] {
        let output = folder.run(&format!("synth --config tiny {arguments}"));
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.contains(expected), "{arguments}: {message}");
    }
}

/// Wrong Verilog is wrong input, said before anything is written; nothing stays of such a run.
#[test]
fn synth_of_wrong_verilog() {
    if installed(&YOSYS).is_none() {
        return;
    }
    let folder = Folder::new();
    folder.write(
        "m.v",
        "module m(input a, output y); assign y = a; endmodule",
    );
    folder.write(
        "half.v",
        "module m(input a, output y);\nassign y = (a; endmodule",
    );
    folder.write(
        "sub.v",
        "module m(input a, output y); sub s(a, y); endmodule",
    );
    std::fs::create_dir(folder.path("temporary")).unwrap();
    for (arguments, expected) in [
        ("m.v --top nope", "Module `nope' not found"),
        ("half.v --top m", "half.v:2: syntax error"),
        ("sub.v --top m", "Module `\\sub' referenced in module `\\m'"),
        ("m.v --top m --json temporary", "it is a folder"),
        ("m.v --top m --json m.v/r.json", "cannot write `m.v/r.json`"),
        ("m.v --top m --rows 16", "cannot be used with"),
        ("m.v --top m --layers 2", "cannot be used with"),
        ("m.v --top m --seeds 5", "leave --seeds out"),
        ("m.v --top m --target ecp5 --family gowin", "do not agree"),
    ] {
        let mut command = folder.command(&format!("synth --out out --verilog {arguments}"));
        let output = command.env("TMPDIR", folder.path("temporary")).output();
        let output = output.unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.contains(expected), "{arguments}: {message}");
        let listing = folder.listing();
        assert_eq!(
            listing,
            ["half.v", "m.v", "sub.v", "temporary"],
            "{arguments}"
        );
    }
}

#[test]
fn synth_writes_its_report_and_the_logs() {
    if installed(&YOSYS).is_none() {
        return;
    }
    let folder = Folder::new();
    let output = folder.succeed("synth --config tiny --target xilinx --out out --json r.json");
    assert!(output.contains("xnf_processing_element"), "{output}");
    assert!(output.contains("so no frequency is given"), "{output}");
    assert_eq!(folder.read("out/report.json"), folder.read("r.json"));
    let report: serde_json::Value = serde_json::from_str(&folder.read("r.json")).unwrap();
    assert_eq!(report["schema"], "xnorforge-synth");
    assert_eq!(report["synthesis"]["tools"][0]["name"], "yosys");
    assert!(
        report["synthesis"]["timing"]["depth"]["levels"]
            .as_u64()
            .unwrap()
            > 2
    );
    let listing = folder.listing();
    for name in [
        "out/manifest.json",
        "out/modules/yosys.log",
        "out/top/yosys.log",
    ] {
        assert!(
            listing.iter().any(|file| file == name),
            "{name}: {listing:?}"
        );
    }
    // What this program wrote, it replaces.
    folder.succeed("synth --config tiny --target xilinx --out out");
    folder.write(
        "m.v",
        "module m(input a, b, output y); assign y = a ^ b; endmodule",
    );
    let output = folder.succeed("synth --verilog m.v --top m --family gowin");
    assert!(
        output.contains("longest path: 1 cells (1 LUT2)"),
        "{output}"
    );
}

/// A register with 512 readers, and sums whose netlist has wires of pieces: what Yosys writes is buffered, and OpenSTA
/// reads it.
#[test]
fn the_script_for_cells_buffers_what_opensta_reads() {
    let (Some(yosys), Some(sta)) = (installed(&YOSYS), installed(&OPENSTA)) else {
        return;
    };
    if !PathBuf::from(OSU018).is_file() {
        assert!(std::env::var_os("CI").is_none(), "{OSU018} is missing");
        return eprintln!("skipped: no {OSU018}");
    }
    let verilog = "module wide(input clock, input [7:0] a, input [511:0] b, output reg [3:0] y,
            output reg [511:0] z, output [5:0] p);
        reg s;
        always @(posedge clock) begin
            y <= a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
            s <= a[0];
            z <= b ^ {512{s}};
        end
        assign p = {a[3], s, a[1], y[0], 2'b01};
    endmodule";
    let package = Package {
        top: "wide".into(),
        modules: Vec::new(),
        ports: Vec::new(),
        primitives: Vec::new(),
        files: vec![VerilogFile {
            name: "wide.v".into(),
            text: verilog.into(),
        }],
    };
    let folder = Folder::new();
    folder.write("design/rtl/wide.v", verilog);
    for (path, bytes) in scripts::files(&package, Target::Asic, 40.0).unwrap() {
        folder.write(&format!("design/{path}"), bytes);
    }
    std::fs::create_dir(folder.path("design/build")).unwrap();
    run(
        &yosys,
        &folder,
        &["-q", "-c", "scripts/yosys_asic.tcl"],
        Some("build/wide_asic.v"),
    );
    assert_eq!(
        folder.read("design/build/abc.constr"),
        "set_driving_cell INVX1\nset_load 20\n"
    );
    let arguments = ["-no_splash", "-exit", "scripts/sta.tcl"];
    let log = run(&sta, &folder, &arguments, None);
    assert!(!log.contains("Error"), "{log}");
    let arrival = log.lines().find(|line| line.ends_with("data arrival time"));
    let arrival = arrival.unwrap_or_else(|| panic!("{log}"));
    // Inputs and outputs wait 5 ns outside; unbuffered, the register of 512 readers alone takes 15 ns.
    let arrival: f64 = arrival.split_whitespace().next().unwrap().parse().unwrap();
    assert!((0.3..10.0).contains(&arrival), "{log}");
}
