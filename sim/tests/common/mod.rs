//! What several tests share.

#![allow(dead_code, unused_imports)] // each test file uses its part

pub mod resnet;

use xnorforge_sim::Gemm;
pub use xnorforge_sim::random::*;

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
