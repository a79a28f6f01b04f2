//! The register map in every language, word for word, and the Verilog of the AXI4-Lite port under every tool.
//!
//! `driver/xnorforge_registers.h` and `docs/registers.md` are the map's own texts: after a change of the map, run this
//! test with `XNORFORGE_WRITE_REGISTERS=1`.

use rust_hdl_core::check_error::check_all;
use rust_hdl_core::prelude::{Block, Logic};
use rust_hdl_core::top_wrap::TopWrap;
use std::fs;
use std::path::Path;
use std::process::Command;
use xnorforge_hdl::hardware::accelerator::{AxiLite, ResultHold};
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig, Package, emit, regmap};

fn accelerator(config: &ArrayConfig) -> AcceleratorDesign {
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

fn preset(name: &str) -> AcceleratorDesign {
    accelerator(&ArrayConfig::preset(name).unwrap())
}

/// Presets, and the ends of what the registers' widths depend on.
fn designs() -> Vec<AcceleratorDesign> {
    let with = |accelerator| ArrayConfig {
        accelerator,
        ..ArrayConfig::preset("tiny").unwrap()
    };
    let mut all: Vec<AcceleratorDesign> = ["tiny", "small", "default", "large"].map(preset).into();
    all.push(accelerator(&with(AcceleratorConfig {
        program_words: 64,
        layers: 2,
        ..AcceleratorConfig::default()
    })));
    all.push(accelerator(&with(AcceleratorConfig {
        program_words: 1 << 20,
        layers: 256,
        ..AcceleratorConfig::default()
    })));
    all
}

fn package(design: &AcceleratorDesign) -> Package {
    emit::emit(&AxiLite::new(design), "// test\n").unwrap()
}

#[test]
fn texts_that_are_kept_are_those_of_the_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, text) in [
        ("driver/xnorforge_registers.h", regmap::c_header()),
        ("docs/registers.md", regmap::markdown()),
    ] {
        let path = root.join(name);
        if std::env::var_os("XNORFORGE_WRITE_REGISTERS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{name} is not what the register map says");
    }
}

#[test]
fn rust_module() {
    insta::assert_snapshot!(regmap::rust_module());
}

#[test]
fn verilog_header() {
    insta::assert_snapshot!(regmap::verilog_header());
}

#[test]
fn systemrdl() {
    insta::assert_snapshot!(regmap::systemrdl(&preset("small")));
}

#[test]
fn axi_lite() {
    let package = package(&preset("small"));
    let texts: Vec<&str> = package.files.iter().map(|f| f.text.as_str()).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

/// Runs a tool, which must succeed and say nothing on standard error.
fn quiet(tool: &str, args: &[&str], folder: &Path) {
    let output = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{tool}: {e} (make setup)"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.trim().is_empty(),
        "{tool} {}: {errors}",
        args.join(" ")
    );
}

#[test]
fn the_rust_module_compiles() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("registers.rs"), regmap::rust_module()).unwrap();
    let args = [
        "--crate-type",
        "rlib",
        "--edition",
        "2021",
        "-D",
        "warnings",
        "registers.rs",
    ];
    quiet("rustc", &args, folder.path());
}

#[test]
fn the_verilog_header_compiles() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("registers.vh"), regmap::verilog_header()).unwrap();
    let user = "module user (output wire [11:0] address, output wire [31:0] mask);\n`include \"registers.vh\"\n\
                assign address = XNF_STATUS;\nassign mask = XNF_STATUS_ERROR_MASK >> XNF_STATUS_ERROR_SHIFT;\nendmodule\n";
    fs::write(folder.path().join("user.v"), user).unwrap();
    quiet(
        "iverilog",
        &["-g2005", "-Wall", "-o", "user.vvp", "user.v"],
        folder.path(),
    );
}

/// Lints and synthesizes a package, which must draw no word from any tool.
fn every_tool_takes(package: &Package) {
    let folder = tempfile::tempdir().unwrap();
    for file in &package.files {
        fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let files: Vec<&str> = package.files.iter().map(|f| f.name.as_str()).collect();
    for (tool, args) in [
        (
            "verilator",
            ["--lint-only", "-Wall", "--top-module", &package.top].as_slice(),
        ),
        (
            "iverilog",
            &["-g2005", "-Wall", "-o", "design.vvp", "-s", &package.top],
        ),
    ] {
        quiet(tool, &[args, &files].concat(), folder.path());
    }
    let script = format!(
        "read_verilog {}; synth -flatten -top {}; check -assert; select -assert-none t:$dlatch t:$_DLATCH_*",
        files.join(" "),
        package.top
    );
    quiet("yosys", &["-Q", "-T", "-q", "-p", &script], folder.path());
}

#[test]
fn every_tool_takes_the_ports() {
    for design in designs() {
        every_tool_takes(&package(&design));
    }
    for drain_columns in [1, 4] {
        let design = accelerator(&ArrayConfig {
            accelerator: AcceleratorConfig {
                drain_columns,
                ..AcceleratorConfig::default()
            },
            ..ArrayConfig::default()
        });
        every_tool_takes(&emit::emit(&ResultHold::new(&design), "// test\n").unwrap());
    }
}

#[test]
fn rusthdl_finds_no_loop_and_nothing_unconnected() {
    let mut top = TopWrap::new(AxiLite::new(&preset("small")));
    let port = &mut top.uut;
    port.clock.connect();
    for net in [
        &mut port.reset,
        &mut port.awvalid,
        &mut port.awaddr,
        &mut port.wvalid,
        &mut port.wdata,
        &mut port.wstrb,
        &mut port.bready,
        &mut port.arvalid,
        &mut port.araddr,
        &mut port.rready,
        &mut port.busy,
        &mut port.done,
        &mut port.error,
        &mut port.layer,
        &mut port.counter_clearing,
        &mut port.counter_value,
    ] {
        net.connect();
    }
    top.connect_all();
    check_all(&top).unwrap();
}
