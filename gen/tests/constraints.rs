//! The scripts and constraints that `generate` writes, read by tools: each where its tool is installed.

mod common;

use common::{Folder, text};
use std::path::PathBuf;
use xnorforge::pnr::{self, Part};
use xnorforge::tools::{Found, OPENSTA, Search, Tool, YOSYS};

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
        ("--target ice40 --seeds 0", "0 is not in 1..=99"),
    ] {
        let output = folder.run(&format!("synth --config tiny {arguments}"));
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.contains(expected), "{arguments}: {message}");
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
