//! The back end's text: clean under every tool, over the configurations that change it.

use std::path::Path;
use std::process::Command;
use xnorforge_hdl::accelerator::AcceleratorDesign;
use xnorforge_hdl::emit::emit;
use xnorforge_hdl::hardware::accelerator::BackEnd;
use xnorforge_hdl::{AcceleratorConfig, ArrayConfig};

/// Every edge that changes the text: one step to a row and many, one plane group and several, groups of several planes,
/// one slice and many, one threshold level and eight, an activation memory smaller than the residual memory.
fn configs() -> Vec<ArrayConfig> {
    let shape =
        |rows, columns, lanes, bits: (u32, u32), branches: (u32, u32), stages, accelerator| {
            ArrayConfig {
                rows,
                columns,
                lanes,
                activation_bits: bits.0,
                weight_bits: bits.1,
                activation_branches: branches.0,
                weight_branches: branches.1,
                popcount_stages: stages,
                reduction_max: 100,
                constant_entries: 2,
                accelerator,
                ..ArrayConfig::default()
            }
        };
    let small = ArrayConfig::preset("tiny").unwrap().accelerator;
    let with = |drain_columns, threshold_bits| AcceleratorConfig {
        drain_columns,
        threshold_bits,
        ..small.clone()
    };
    let mut all = vec![
        ArrayConfig::preset("tiny").unwrap(),
        ArrayConfig::preset("small").unwrap(),
    ];
    all.extend([
        shape(1, 1, 1, (1, 1), (1, 1), 1, with(1, 1)),
        shape(3, 4, 16, (4, 2), (1, 1), 2, with(4, 3)),
        shape(4, 4, 9, (5, 2), (2, 1), 2, with(2, 4)),
        shape(2, 6, 24, (8, 2), (1, 2), 1, with(3, 8)),
        shape(
            2,
            2,
            8,
            (3, 3),
            (3, 1),
            2,
            AcceleratorConfig {
                activation_words: 32,
                residual_words: 128,
                ..with(1, 5)
            },
        ),
    ]);
    all
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

/// Calls `check` with the folder, the top module and the files of each configuration.
fn each_design(check: impl Fn(&Path, &str, &[&str])) {
    for config in configs() {
        println!("{config:?}");
        let design = AcceleratorDesign::new(&config.validate().unwrap()).unwrap();
        let package = emit(&BackEnd::new(&design), "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for file in &package.files {
            std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
        }
        let files: Vec<&str> = package.files.iter().map(|f| f.name.as_str()).collect();
        check(folder.path(), &package.top, &files);
    }
}

#[test]
fn verilator() {
    each_design(|folder, top, files| {
        let mut args = vec!["--lint-only", "-Wall", "--top-module", top];
        args.extend(files);
        quiet("verilator", &args, folder);
    });
}

#[test]
fn icarus() {
    each_design(|folder, top, files| {
        let mut args = vec!["-g2005", "-Wall", "-s", top, "-o", "design.vvp"];
        args.extend(files);
        quiet("iverilog", &args, folder);
    });
}

/// No memory may be read but where it says so, nothing may be driven twice or not at all, and there is no latch.
#[test]
fn yosys() {
    each_design(|folder, top, files| {
        let script = format!(
            "read_verilog {}; hierarchy -top {top}; proc; opt_clean; check -assert; \
             select -assert-none t:$dlatch",
            files.join(" ")
        );
        quiet("yosys", &["-Q", "-T", "-q", "-p", &script], folder);
    });
}
