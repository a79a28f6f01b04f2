//! The emitted Verilog of the presets, word for word. A change here belongs into the CHANGELOG.

use std::time::Instant;
use xnorforge_hdl::emit::VerilogFile;
use xnorforge_hdl::{
    AcceleratorDesign, ArrayConfig, BroadcastStages, Package, Target, generate, generate_axi,
};

fn package(name: &str) -> Package {
    let config = ArrayConfig::preset(name).unwrap();
    generate(&config.validate().unwrap()).unwrap()
}

/// All files, each under its name.
fn text(package: &Package) -> String {
    let files = package.files.iter();
    files
        .map(|f| format!("==> {} <==\n{}\n", f.name, f.text))
        .collect()
}

#[test]
fn tiny() {
    insta::assert_snapshot!(text(&package("tiny")));
}

#[test]
fn small() {
    insta::assert_snapshot!(text(&package("small")));
}

#[test]
fn large() {
    insta::assert_snapshot!(text(&package("large")));
}

/// The files of a target's shipped structure that the generic array does not have, and the primitives' models.
fn of_target(target: Target) -> String {
    new_files(&ArrayConfig {
        target,
        ..ArrayConfig::preset("tiny").unwrap()
    })
}

/// The files of a configuration that the generic array of the preset `tiny` does not have.
fn new_files(config: &ArrayConfig) -> String {
    let generic = package("tiny");
    let package = generate(&config.validate().unwrap()).unwrap();
    let body = |text: &str| text.split("`default_nettype").nth(1).map(str::to_owned);
    let is_new = |file: &&VerilogFile| {
        let mut same = generic.files.iter().filter(|other| other.name == file.name);
        !same.any(|other| body(&other.text) == body(&file.text))
    };
    package
        .simulation_files()
        .filter(is_new)
        .map(|f| format!("==> {} <==\n{}\n", f.name, f.text))
        .collect()
}

#[test]
fn tiny_xilinx() {
    insta::assert_snapshot!(of_target(Target::Xilinx));
}

#[test]
fn tiny_ecp5() {
    insta::assert_snapshot!(of_target(Target::Ecp5));
}

#[test]
fn tiny_ice40() {
    insta::assert_snapshot!(of_target(Target::Ice40));
}

/// The files of the grid behind two broadcast stages that the generic array does not have.
#[test]
fn tiny_broadcast() {
    insta::assert_snapshot!(new_files(&ArrayConfig {
        broadcast_stages: BroadcastStages::Fixed(2),
        ..ArrayConfig::preset("tiny").unwrap()
    }));
}

/// The core and what is around it for AXI.
#[test]
fn tiny_accelerator() {
    let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
    let package = generate_axi(&AcceleratorDesign::new(&design).unwrap()).unwrap();
    insta::assert_snapshot!(text(&package));
}

#[test]
fn the_same_design_gives_the_same_bytes() {
    assert_eq!(package("small"), package("small"));
}

#[test]
fn files_come_after_what_they_use() {
    let package = package("large");
    for (i, file) in package.files.iter().enumerate() {
        for later in &package.files[i + 1..] {
            let module = later.name.trim_end_matches(".v");
            let uses = file.text.lines().any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(module) && words.next().is_some_and(|w| w.starts_with("u_"))
            });
            assert!(!uses, "{} uses {module}, which comes later", file.name);
        }
    }
    assert_eq!(
        package.files.last().unwrap().name,
        format!("{}.v", package.top)
    );
}

/// Each size alone at its end: text that doubles with every column or row takes all memory long before.
#[test]
fn accelerators_of_every_size_are_small_texts() {
    type Change = fn(&mut ArrayConfig);
    let ends: [Change; 6] = [
        |c| (c.columns, c.accelerator.drain_columns) = (64, 64),
        |c| (c.rows, c.accelerator.load_ports) = (64, 64),
        |c| (c.rows, c.accelerator.load_ports) = (64, 1),
        |c| (c.activation_branches, c.weight_branches) = (c.activation_bits, c.weight_bits),
        |c| c.accelerator.threshold_bits = 8,
        |c| c.accelerator.stream_bits = 512,
    ];
    for (index, change) in ends.into_iter().enumerate() {
        let mut config = ArrayConfig::preset("small").unwrap();
        change(&mut config);
        let design = AcceleratorDesign::new(&config.validate().unwrap()).unwrap();
        let package = generate_axi(&design).unwrap();
        let largest = package.files.iter().max_by_key(|f| f.text.len()).unwrap();
        let bytes = largest.text.len();
        assert!(
            bytes < 160 * 1024,
            "size {index}: {} has {bytes} bytes",
            largest.name
        );
    }
}

/// Size, not time, is what a test can hold; the time is printed (and measured in the benchmarks).
#[test]
fn a_large_array_is_a_small_text() {
    let config = ArrayConfig {
        rows: 64,
        columns: 64,
        lanes: 256,
        activation_bits: 8,
        weight_bits: 8,
        ..ArrayConfig::default()
    };
    let start = Instant::now();
    let package = generate(&config.validate().unwrap()).unwrap();
    let bytes: usize = package.files.iter().map(|f| f.text.len()).sum();
    println!("64 x 64 x 256: {bytes} bytes in {:?}", start.elapsed());
    assert!(bytes < 64 * 1024, "{bytes} bytes");
}
