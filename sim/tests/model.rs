//! The cycle-accurate model against the reference encoder, over random designs, products and stalls.

mod common;

use common::{Case, plain_product, random_case};
use xnorforge_sim::{CycleReport, Lowered, Model, StallPlan, drive, encoder, run};

/// Runs a case without and with stalls and compares both with the encoder.
fn check(seed: u64) {
    let Case { design, gemm } = random_case(seed);
    let context = format!("seed {seed}: {:?}, {:?}", design.config(), gemm.shape());
    let expected = encoder::gemm(&gemm);
    assert_eq!(plain_product(&gemm), expected, "encoder, {context}");

    let lowered = Lowered::new(&design, &gemm).unwrap_or_else(|e| panic!("{e}, {context}"));
    let mut model = Model::new(&design);
    let driven =
        drive(&mut model, &lowered, &StallPlan::NONE).unwrap_or_else(|e| panic!("{e}, {context}"));
    assert_eq!(driven.results, expected, "model, {context}");

    let report = run(&design, &gemm).unwrap_or_else(|e| panic!("{e}, {context}"));
    assert_eq!(report.results, expected, "run, {context}");
    assert_eq!(report.cycles.cycles, driven.cycles(), "cycles, {context}");
    let closed = CycleReport::of_shape(&design, &gemm.shape()).unwrap();
    assert_eq!(closed, report.cycles, "closed formulas, {context}");

    let level = |shift: u64| [0.0, 0.1, 0.5, 0.9][(seed >> shift & 3) as usize];
    let stalls = StallPlan {
        operand: level(0),
        constant: level(2),
        result: level(4),
        seed,
    };
    let stalled = drive(&mut model, &lowered, &stalls).unwrap_or_else(|e| panic!("{e}, {context}"));
    assert_eq!(
        stalled.results, expected,
        "model with {stalls:?}, {context}"
    );
    assert!(stalled.cycles() >= driven.cycles(), "{context}");
}

#[test]
fn model_equals_the_encoder_with_and_without_stalls() {
    for seed in 0..300 {
        check(seed);
    }
}
