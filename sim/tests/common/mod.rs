//! What several tests share.

#![allow(dead_code, unused_imports)] // each test file uses its part

pub mod resnet;

use std::path::Path;

use xnorforge_hdl::Package;
use xnorforge_sim::Gemm;
pub use xnorforge_sim::random::*;
use xnorforge_sim::verilator::{
    Assertions, ModelSource, Runs, Toolchain, Tracing, VerilatedModel, Verilator,
};

/// Verilator with the tests' cache in the build folder, the RTL's assertions on. Tests run for some thousands of cycles,
/// so that compiling decides how long they take.
pub fn verilator() -> Verilator {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verilator-cache");
    let tools = Toolchain::find().expect("Verilator and g++ are installed");
    Verilator::new(tools, cache)
        .with_runs(Runs::Short)
        .with_assertions(Assertions::On)
}

/// The Verilated text of a package with its assertions, whose registers start at random.
pub fn verilated(package: &Package, seed: u32) -> VerilatedModel {
    let source = ModelSource::of_package(package);
    let library = verilator().model(&source, Tracing::Off).unwrap();
    library.start(seed).unwrap()
}

/// The product in plain integers, by nothing but its definition.
pub fn plain_product(gemm: &Gemm) -> Vec<i64> {
    let (x, w) = (gemm.activations(), gemm.weights());
    let mut results = Vec::new();
    for p in 0..x.vectors() {
        for q in 0..w.vectors() {
            let mut sum = gemm.bias().map_or(0, |bias| bias[q]);
            for n in 0..x.elements() {
                if gemm.is_valid_tap(p, n) {
                    sum += i64::from(x.vector(p)[n]) * i64::from(w.vector(q)[n]);
                }
            }
            results.push(sum);
        }
    }
    results
}
