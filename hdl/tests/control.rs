//! The accelerator's core and its control blocks: their Verilog is clean under every tool, at every edge of the sizes.

use rust_hdl_core::block::Block;
use std::path::Path;
use std::process::Command;
use xnorforge_hdl::accelerator::{AcceleratorConfig, AcceleratorDesign};
use xnorforge_hdl::emit::emit;
use xnorforge_hdl::hardware::accelerator::{
    Accelerator, ComputeEngine, Counters, DescriptorRegisters, InputPort, ProgramPort, Sequencer,
    WeightPort,
};
use xnorforge_hdl::{ArrayConfig, Package};

/// Presets and edges: one beat for several words' width and several beats for a word, residual memories larger and smaller
/// than activation memories, the smallest memories, single rows and columns, several drained columns.
fn designs() -> Vec<AcceleratorDesign> {
    let preset = |name| ArrayConfig::preset(name).unwrap();
    let array = |rows, columns, lanes, bits: u32, branches, accelerator| ArrayConfig {
        rows,
        columns,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        popcount_stages: 1,
        reduction_max: 100,
        accelerator,
        ..ArrayConfig::default()
    };
    let small = AcceleratorConfig {
        activation_words: 2,
        residual_words: 4,
        patch_words: 4,
        weight_words: 2,
        constant_words: 2,
        channel_words: 2,
        table_words: 2,
        program_words: 64,
        schedule_words: 2,
        layers: 2,
        threshold_bits: 1,
        stream_bits: 8,
        ..AcceleratorConfig::default()
    };
    let wide = AcceleratorConfig {
        residual_words: 4096,
        activation_words: 1 << 20,
        threshold_bits: 8,
        stream_bits: 1024,
        layers: 256,
        drain_columns: 2,
        load_ports: 2,
        ..AcceleratorConfig::default()
    };
    [
        preset("tiny"),
        preset("small"),
        array(1, 1, 1, 1, 1, small.clone()),
        array(3, 5, 7, 3, 2, small),
        array(4, 6, 20, 8, 2, wide),
    ]
    .iter()
    .map(|config| AcceleratorDesign::new(&config.validate().unwrap()).unwrap())
    .collect()
}

fn blocks(design: &AcceleratorDesign) -> Vec<Box<dyn Block>> {
    vec![
        Box::new(Accelerator::new(design)),
        Box::new(ComputeEngine::new(design)),
        Box::new(Counters::new(design)),
        Box::new(DescriptorRegisters::new(design)),
        Box::new(InputPort::new(design)),
        Box::new(ProgramPort::new(design)),
        Box::new(Sequencer::new(design)),
        Box::new(WeightPort::new(design)),
    ]
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

fn each(check: impl Fn(&Package, &[&str], &Path)) {
    for design in designs() {
        for block in blocks(&design) {
            let package = emit(block.as_ref(), "").unwrap();
            let folder = tempfile::tempdir().unwrap();
            for file in &package.files {
                std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
            }
            let files: Vec<&str> = package.files.iter().map(|f| f.name.as_str()).collect();
            check(&package, &files, folder.path());
        }
    }
}

#[test]
fn verilator() {
    each(|package, files, folder| {
        let mut args = vec!["--lint-only", "-Wall", "--top-module", &package.top];
        args.extend(files);
        quiet("verilator", &args, folder);
    });
}

#[test]
fn icarus() {
    each(|package, files, folder| {
        let mut args = vec!["-g2005", "-Wall", "-s", &package.top, "-o", "design.vvp"];
        args.extend(files);
        quiet("iverilog", &args, folder);
    });
}

#[test]
fn yosys() {
    each(|package, files, folder| {
        let script = format!(
            "read_verilog {}; hierarchy -check -top {}; proc; flatten; opt_clean; check -assert; select -assert-none t:$dlatch",
            files.join(" "),
            package.top
        );
        quiet("yosys", &["-Q", "-T", "-q", "-p", &script], folder);
    });
}
