//! The gates that Yosys makes of a small array for each target, with Yosys' own models of the device's cells, in Icarus
//! Verilog: results against the reference encoder, cycles against the model. What the emitter wrote as primitives must mean
//! to the vendor's synthesizer what it means to us.

mod bench;
mod common;

use bench::Bench;
use bench::icarus::{Compiled, tool};
use common::random_gemm;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use xnorforge_hdl::{ArrayConfig, Design, Structure, Target};
use xnorforge_sim::{Gemm, run};

/// Yosys' synthesis and cell models for a target.
struct Flow {
    target: Target,
    synthesis: &'static str,
    cells: &'static [&'static str],
}

const FLOWS: [Flow; 3] = [
    Flow {
        target: Target::Xilinx,
        // Without shift registers in LUTs: Yosys 0.23 loses the enable of registers that it puts into an SRL16E, as three
        // enabled registers in a row show.
        synthesis: "synth_xilinx -family xc7 -flatten -noiopad -nowidelut -nosrl",
        cells: &["xilinx/cells_sim.v"],
    },
    Flow {
        target: Target::Ecp5,
        synthesis: "synth_ecp5 -nowidelut",
        cells: &["ecp5/cells_sim.v"],
    },
    Flow {
        target: Target::Ice40,
        synthesis: "synth_ice40",
        cells: &["ice40/cells_sim.v"],
    },
];

/// A small array with several arrivals; `bits` is both operands' and `branches` how many of them in a cycle. None where
/// the structure is for one branch pair only.
fn design(target: Target, structure: Structure, bits: u32, branches: u32) -> Option<Design> {
    let config = ArrayConfig {
        rows: 2,
        columns: 2,
        lanes: 13,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        reduction_max: 40,
        constant_entries: 2,
        target,
        structure,
        ..ArrayConfig::default()
    };
    config.validate().ok()
}

/// Yosys' data folder, beside the folder of its program.
fn yosys_data() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let mut data = folders
        .filter(|folder| folder.join("yosys").exists())
        .map(|folder| folder.join("../share/yosys"));
    data.find(|data| data.exists())
        .expect("Yosys and its share folder (apt-get install yosys)")
}

fn check(flow: &Flow, design: &Design) {
    let seed = 1;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let products: Vec<Gemm> = (0..2).map(|_| random_gemm(design, &mut rng)).collect();
    let rtl = xnorforge_hdl::generate(design).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<&str> = rtl.files.iter().map(|f| f.name.as_str()).collect();
    for file in &rtl.files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let script = format!(
        "read_verilog {}; {} -top {}; write_verilog -noattr gates.v",
        names.join(" "),
        flow.synthesis,
        rtl.top
    );
    tool(folder.path(), "yosys", &["-Q", "-T", "-q", "-p", &script]);
    let gates = std::fs::read_to_string(folder.path().join("gates.v")).unwrap();
    // Registers without an initial value begin at 0 in these devices.
    let gates = gates.replace("1'hx", "1'h0");
    let data = yosys_data();
    let cells: Vec<String> = flow
        .cells
        .iter()
        .map(|cells| data.join(cells).display().to_string())
        .collect();
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let bench = Bench::new(design, &rtl.top, &products);
    let compiled = Compiled::new(&bench, [("gates.v", gates.as_str())], &cells, false);
    let cycles: u64 = products
        .iter()
        .map(|gemm| run(design, gemm).unwrap().cycles.cycles)
        .sum();
    let context = format!("{}, {:?}, seed {seed}", rtl.top, design.config());
    println!("{context}: {}", bench.counts());
    assert_eq!(
        compiled.run(&["+stalls=0"]),
        format!("PASS: {}, {cycles} cycles\n", bench.counts()),
        "{context}"
    );
    let stalled = compiled.run(&["+seed=5"]);
    assert!(stalled.starts_with("PASS"), "{context}: {stalled}");
}

/// Every structure of the target, bit-serial with shifts, and without.
fn check_target(target: Target) {
    let flow = FLOWS.iter().find(|flow| flow.target == target).unwrap();
    let mut checked = 0;
    for structure in Structure::of_target(target) {
        for (bits, branches) in [(1, 1), (2, 1), (2, 2)] {
            // As in `icarus.rs`: unknown operands would pass carries that no known ones make.
            if *structure == Structure::PairRows && branches > 1 {
                continue;
            }
            if let Some(design) = design(target, *structure, bits, branches) {
                check(flow, &design);
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}

#[test]
fn xilinx() {
    check_target(Target::Xilinx);
}

#[test]
fn ecp5() {
    check_target(Target::Ecp5);
}

#[test]
fn ice40() {
    check_target(Target::Ice40);
}
