//! The patch system's Verilog is clean under every tool, and its memories become block RAM on every target.

use std::path::Path;
use std::process::Command;
use xnorforge_hdl::accelerator::AcceleratorDesign;
use xnorforge_hdl::emit::{Package, emit};
use xnorforge_hdl::hardware::accelerator::{PatchSystem, SliceMemory, WordMemory};
use xnorforge_hdl::{AcceleratorConfig, ArrayConfig};

/// Words of a memory of natural size.
const WORDS: u32 = 512;

fn design(config: &ArrayConfig) -> AcceleratorDesign {
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

fn config(rows: u32, columns: u32, lanes: u32, branches: u32, ports: u32) -> ArrayConfig {
    ArrayConfig {
        rows,
        columns,
        lanes,
        activation_branches: branches,
        popcount_stages: 1,
        reduction_max: 64,
        accelerator: AcceleratorConfig {
            load_ports: ports,
            ..AcceleratorConfig::default()
        },
        ..ArrayConfig::default()
    }
}

/// Every edge that changes the text: one slice, two, eight and more, slices of odd lanes, branches in parallel,
/// several loaders.
fn configs() -> Vec<ArrayConfig> {
    let mut all: Vec<ArrayConfig> = ["tiny", "small", "default", "large"]
        .iter()
        .map(|name| ArrayConfig::preset(name).unwrap())
        .collect();
    all.extend([
        config(1, 1, 1, 1, 1),
        config(3, 3, 20, 1, 1),
        config(4, 2, 128, 1, 2),
        config(3, 5, 10, 3, 3),
    ]);
    all
}

fn write(package: &Package) -> (tempfile::TempDir, Vec<&str>) {
    let folder = tempfile::tempdir().unwrap();
    for file in &package.files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    (
        folder,
        package.files.iter().map(|f| f.name.as_str()).collect(),
    )
}

/// Runs a tool, which must succeed; gives what it says on standard error.
fn run(tool: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{tool}: {e} (make setup)"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{tool} {}: {errors}",
        args.join(" ")
    );
    errors
}

#[test]
fn lint() {
    for config in configs() {
        let package = emit(&PatchSystem::new(&design(&config)), "// Under test.\n").unwrap();
        let (folder, files) = write(&package);
        let mut args = vec!["--lint-only", "-Wall", "--top-module", &package.top];
        args.extend(&files);
        assert_eq!(run("verilator", &args, folder.path()), "");
        let mut args = vec!["-g2005", "-Wall", "-s", &package.top, "-o", "design.vvp"];
        args.extend(&files);
        assert_eq!(run("iverilog", &args, folder.path()), "");
    }
}

#[test]
fn synthesis() {
    let tiny = ArrayConfig::preset("tiny").unwrap();
    for config in [tiny, config(2, 2, 4, 2, 2)] {
        let package = emit(&PatchSystem::new(&design(&config)), "// Under test.\n").unwrap();
        let (folder, files) = write(&package);
        let script = format!(
            "read_verilog {}; synth_xilinx -family xc7 -flatten -noiopad -top {}; check -assert; \
             select -assert-none t:LDCE t:LDPE",
            files.join(" "),
            package.top
        );
        run("yosys", &["-Q", "-T", "-q", "-p", &script], folder.path());
    }
}

/// Once memories are mapped there is block RAM, and neither a memory nor a flip-flop is left.
fn check_block_ram(package: &Package) {
    let (folder, files) = write(package);
    for (flow, memories) in [
        ("synth_xilinx -family xc7", "t:RAMB*"),
        ("synth_ecp5", "t:DP16KD t:PDPW16KD"),
        ("synth_ice40", "t:SB_RAM40_4K*"),
    ] {
        let script = format!(
            "read_verilog {}; {flow} -run :map_ffram -top {}; \
             select -assert-min 1 {memories}; select -assert-none t:$mem* t:$*dff*",
            files.join(" "),
            package.top
        );
        run("yosys", &["-Q", "-T", "-q", "-p", &script], folder.path());
    }
}

#[test]
fn memories_are_block_ram() {
    for config in [
        ArrayConfig::preset("small").unwrap(),
        config(3, 3, 20, 1, 1),
        config(4, 8, 64, 2, 1),
        config(2, 8, 8, 1, 1),
    ] {
        let memory = SliceMemory::new(&design(&config), WORDS);
        check_block_ram(&emit(&memory, "// Under test.\n").unwrap());
    }
    // Weights, the program, and a column's affine parameters of `small`.
    for (words, width) in [(1024, 64), (2048, 32), (512, 55)] {
        let memory = WordMemory::new(words, width);
        check_block_ram(&emit(&memory, "// Under test.\n").unwrap());
    }
}
