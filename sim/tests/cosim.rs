//! Co-simulation: the cycle-accurate model and the Verilated RTL in lockstep, with plain integer arithmetic as
//! the judge of the results. Verilator and g++ must be installed.

mod common;

use common::{Case, plain_product, random_case};
use std::path::Path;
use xnorforge_hdl::{Design, generate};
use xnorforge_sim::verilator::{ArrayOptions, Toolchain, Verilator, array_ports};
use xnorforge_sim::{Gemm, Lockstep, Lowered, Model, StallPlan, VerilatedArray, drive};

fn verilator() -> Verilator {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verilator-cache");
    Verilator::new(
        Toolchain::find().expect("Verilator and g++ are installed"),
        folder,
    )
}

fn rtl(design: &Design, seed: u32) -> VerilatedArray {
    let package = generate(design).unwrap();
    assert_eq!(package.top, design.top_name());
    assert_eq!(package.ports, array_ports(design));
    let options = ArrayOptions { seed, trace: None };
    VerilatedArray::new(&verilator(), design, &package.files, &options)
        .unwrap_or_else(|e| panic!("{:?}: {e}", design.config()))
}

fn check(seed: u64) {
    println!("seed {seed}");
    let Case { design, gemm } = random_case(seed);
    lockstep(&design, &gemm, seed);
}

/// Runs a product without and with stalls.
fn lockstep(design: &Design, gemm: &Gemm, seed: u64) {
    let context = format!("seed {seed}: {:?}, {:?}", design.config(), gemm.shape());
    let lowered = Lowered::new(design, gemm).unwrap_or_else(|e| panic!("{e}, {context}"));
    let mut pair = Lockstep::new(Model::new(design), rtl(design, seed as u32));
    let expected = plain_product(gemm);
    let stalls = StallPlan {
        operand: 0.3,
        constant: 0.3,
        result: 0.4,
        seed,
    };
    for stalls in [StallPlan::NONE, stalls] {
        let driven =
            drive(&mut pair, &lowered, &stalls).unwrap_or_else(|e| panic!("{e}, {context}"));
        assert_eq!(driven.results, expected, "{context}");
    }
}

#[test]
fn model_and_rtl_agree_in_every_cycle() {
    let count = std::env::var("XNORFORGE_COSIM_SEEDS").map_or(6, |text| text.parse().unwrap());
    for seed in 0..count {
        check(seed);
    }
}
