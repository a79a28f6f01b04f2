//! A real network on the gates of an accelerator: the core, synthesized by Yosys for a target, with Yosys' own models of
//! the device's cells, in Icarus Verilog, four-state. What the host does and what must come out, cycle by cycle, is
//! recorded from the cycle-accurate model. Registers and memories start unknown, and at random: no X may reach an output
//! after reset, and nothing may depend on what was there before.
//!
//! The network is `testbenches/cases/a_mlp_odd_w2a2`, three layers of digits. Yosys and Icarus Verilog must be installed.

mod netlist;
mod record;

use netlist::{Flow, Power, deposits, tool};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use record::{Recording, record};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use xnorforge::graph;
use xnorforge::io::ArrayFile;
use xnorforge_hdl::emit::{Port, PortDirection};
use xnorforge_hdl::{
    AcceleratorConfig, AcceleratorDesign, ArrayConfig, Package, Target, generate_accelerator,
};
use xnorforge_sim::network::{Network, Tensor};

/// A preset for a target, with room for the network.
fn design(preset: &str, target: Target) -> AcceleratorDesign {
    let base = ArrayConfig::preset(preset).unwrap();
    // Memories of this network's size: in LUT RAM, larger ones only make the netlist large.
    let (patch_words, weight_words) = match preset {
        "tiny" => (256, 4096),
        _ => (64, 256),
    };
    let memories = AcceleratorConfig {
        activation_words: 256,
        residual_words: 16,
        patch_words,
        weight_words,
        constant_words: 256,
        channel_words: 256,
        table_words: 16,
        program_words: 1024,
        schedule_words: 32,
        layers: 4,
        ..base.accelerator.clone()
    };
    let config = ArrayConfig {
        target,
        reduction_max: base.reduction_max.max(256),
        accelerator: memories,
        ..base
    };
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

/// The network and some of its inputs.
fn network(images: usize) -> (Network, Tensor) {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testbenches/cases/a_mlp_odd_w2a2"
    );
    let network = graph::load(&PathBuf::from(folder).join("model.npz"), None).unwrap();
    let file = ArrayFile::open(&PathBuf::from(folder).join("test.npz")).unwrap();
    let all = graph::images(&file.read("x_codes").unwrap()).unwrap();
    let input = Tensor {
        images,
        shape: all.shape,
        values: all.values[..images * all.shape.len()].to_vec(),
    };
    (network, input)
}

/// The file that the bench includes.
fn header(package: &Package, recording: &Recording, deposits: &str) -> String {
    let mut text = format!(
        "`define XNF_TOP {}\n`define XNF_INPUTS {}\n`define XNF_OUTPUTS {}\n`define XNF_CYCLES {}\n`define XNF_PINS ",
        package.top,
        recording.inputs,
        recording.outputs,
        recording.cycles.len()
    );
    let mut at = [0, 0];
    let mut pins = Vec::new();
    for Port {
        name,
        direction,
        width,
    } in package.ports.iter().filter(|port| port.name != "clock")
    {
        let (vector, at) = match direction {
            PortDirection::Input => ("in", &mut at[0]),
            PortDirection::Output => ("out", &mut at[1]),
        };
        pins.push(format!(".{name}({vector}[{}:{at}])", *at + width - 1));
        *at += width;
    }
    text.push_str(&pins.join(", "));
    // Every line but the last continues the macro.
    write!(text, "\n`define XNF_DEPOSITS \\\n{deposits};\n").unwrap();
    text
}

fn play(flow: &Flow, package: &Package, gates: &str, recording: &Recording, power: Power) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let seed = match power {
        Power::Random(seed) => seed,
        Power::Unknown => 0,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (statements, registers, memories) = deposits(gates, power, &mut rng);
    assert!(
        registers > 100 || memories > 0,
        "the netlist's registers are found"
    );
    write("core_tb.vh", &header(package, recording, &statements));
    write("cycles.bin", &recording.cycles.join("\n"));
    // An initial value that the netlist leaves open is what the bench deposits.
    write("gates.v", gates);
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbenches/core_tb.v");
    let bench = bench.to_str().unwrap();
    let models = flow.models();
    let mut arguments = vec!["-g2012", "-s", "core_tb", "-I", ".", "-o", "core.vvp"];
    arguments.push("-DNO_ICE40_DEFAULT_ASSIGNMENTS");
    let includes: Vec<&str> = models
        .iter()
        .filter_map(|model| Path::new(model).parent()?.to_str())
        .collect();
    for folder in includes {
        arguments.extend(["-I", folder]);
    }
    arguments.extend(models.iter().map(String::as_str));
    arguments.extend(["gates.v", bench]);
    tool(folder.path(), "iverilog", &arguments);
    let found = tool(folder.path(), "vvp", &["-n", "core.vvp"]);
    println!(
        "{}, {} registers, {} memories, {power:?}: {}",
        package.top,
        registers,
        memories,
        found.lines().last().unwrap_or_default()
    );
    let passed = format!("PASS: {} cycles\n", recording.cycles.len());
    assert_eq!(found, passed, "{} {power:?}", package.top);
}

/// Synthesizes a preset for a target and plays the network on it.
fn check(preset: &str, target: Target, images: usize, powers: &[Power]) {
    let design = design(preset, target);
    let package = generate_accelerator(&design).unwrap();
    let (network, input) = network(images);
    let recording = record(&design, &package, &network, &input);
    let folder = tempfile::tempdir().unwrap();
    let flow = Flow::of(target);
    let gates = flow.synthesize(&package, folder.path());
    for power in powers {
        play(flow, &package, &gates, &recording, *power);
    }
}

/// The bounded part: one target; `make soak` runs the others, the larger preset, and more seeds.
#[test]
fn digits_on_the_gates_of_tiny() {
    check("tiny", Target::Ice40, 1, &[Power::Unknown]);
}

/// All powers of one target.
fn soak(preset: &str, target: Target) {
    let powers = [Power::Unknown, Power::Random(1), Power::Random(2)];
    check(preset, target, 1, &powers);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_tiny_xilinx() {
    soak("tiny", Target::Xilinx);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_tiny_ecp5() {
    soak("tiny", Target::Ecp5);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_tiny_ice40() {
    soak("tiny", Target::Ice40);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_tiny_cells() {
    soak("tiny", Target::Asic);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_small_xilinx() {
    soak("small", Target::Xilinx);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_small_ecp5() {
    soak("small", Target::Ecp5);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_small_ice40() {
    soak("small", Target::Ice40);
}

#[test]
#[ignore = "minutes; run by `make soak-gates`"]
fn long_digits_on_the_gates_of_small_cells() {
    soak("small", Target::Asic);
}
