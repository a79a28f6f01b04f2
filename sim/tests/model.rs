//! The cycle-accurate model against the reference encoder, over random designs, products and stalls.

mod common;

use common::{Case, plain_product, random_case, random_design};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::ArrayConfig;
use xnorforge_sim::{
    Beat, CycleReport, DriveError, Encoding, Gemm, GemmShape, Inputs, Lowered, Model, Operand,
    Outputs, Precision, Simulator, SimulatorError, StallPlan, drive, encoder, run,
};

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

/// The largest and smallest sums that a design must hold: every number at an end of its range, the longest
/// reduction, full precision.
#[test]
fn accumulators_hold_the_extremes() {
    for seed in 0..120 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_design(&mut rng);
        let c = design.config();
        let context = format!("seed {seed}: {c:?}");
        let mut operand = |name, bits_max: u32, vectors| {
            let encoding = *Encoding::ALL[..3].choose(&mut rng).unwrap();
            let bits = if rng.random_bool(0.7) {
                bits_max
            } else {
                rng.random_range(1..=bits_max)
            };
            let (min, max) = encoding.range(bits);
            let value = if rng.random_bool(0.5) { min } else { max } as i32;
            let elements = c.reduction_max as usize;
            let values = vec![value; vectors * elements];
            Operand::new(
                name,
                Precision::new(encoding, bits),
                vectors,
                elements,
                values,
            )
            .unwrap()
        };
        let activations = operand("activations", c.activation_bits, 2);
        let weights = operand("weights", c.weight_bits, 2);
        let gemm = Gemm::new(activations, weights).unwrap();
        let lowered = Lowered::new(&design, &gemm).unwrap_or_else(|e| panic!("{e}, {context}"));
        let driven = drive(&mut Model::new(&design), &lowered, &StallPlan::NONE).unwrap();
        assert_eq!(driven.results, plain_product(&gemm), "model, {context}");
        assert_eq!(
            run(&design, &gemm).unwrap().results,
            driven.results,
            "run, {context}"
        );
    }
}

/// Every encoding pair at every precision, on one serial and one spatial design.
#[test]
fn every_encoding_pair_and_precision_runs() {
    for (pm, pk) in [(1, 1), (3, 2)] {
        let config = ArrayConfig {
            rows: 2,
            columns: 3,
            lanes: 7,
            activation_bits: 8,
            weight_bits: 8,
            activation_branches: pm,
            weight_branches: pk,
            reduction_max: 32,
            popcount_stages: 2,
            constant_entries: 2,
            ..ArrayConfig::default()
        };
        let design = config.validate().unwrap();
        let precisions: Vec<Precision> = Encoding::ALL
            .into_iter()
            .flat_map(|encoding| (1..=8).map(move |bits| Precision::new(encoding, bits)))
            .filter(|p| p.encoding.check_bits(p.bits).is_ok())
            .collect();
        for (seed, (activation, weight)) in (0..).zip(
            precisions
                .iter()
                .flat_map(|x| precisions.iter().map(move |w| (*x, *w))),
        ) {
            let shape = GemmShape {
                rows: 3,
                columns: 4,
                elements: 1 + seed % 32,
                activation,
                weight,
                classes: 1,
            };
            let gemm = Gemm::random(&shape, seed).unwrap();
            let lowered = Lowered::new(&design, &gemm).unwrap();
            let driven = drive(&mut Model::new(&design), &lowered, &StallPlan::NONE).unwrap();
            assert_eq!(
                driven.results,
                plain_product(&gemm),
                "seed {seed}: {shape:?}"
            );
            let report = run(&design, &gemm).unwrap();
            assert_eq!(report.results, driven.results, "seed {seed}: {shape:?}");
            assert_eq!(
                report.cycles.cycles,
                driven.cycles(),
                "seed {seed}: {shape:?}"
            );
        }
    }
}

#[test]
fn presets_run_with_more_than_one_panel_of_rows_on_any_number_of_threads() {
    for (preset, rows) in [("tiny", 70), ("default", 131), ("large", 40)] {
        let design = ArrayConfig::preset(preset).unwrap().validate().unwrap();
        let c = design.config();
        let shape = GemmShape {
            rows,
            columns: 2 * u64::from(c.columns) + 1,
            elements: u64::from(c.reduction_max.min(300)),
            activation: Precision::new(Encoding::Unsigned, 2),
            weight: Precision::new(Encoding::Ternary, 2),
            classes: 1,
        };
        let gemm = Gemm::random(&shape, 3).unwrap();
        let lowered = Lowered::new(&design, &gemm).unwrap();
        let driven = drive(&mut Model::new(&design), &lowered, &StallPlan::NONE).unwrap();
        assert_eq!(driven.results, plain_product(&gemm), "{preset}");
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let report = pool.install(|| run(&design, &gemm)).unwrap();
            assert_eq!(
                report.results, driven.results,
                "{preset}, {threads} threads"
            );
            assert_eq!(report.cycles.cycles, driven.cycles(), "{preset}");
        }
    }
}

#[test]
fn a_reset_in_the_middle_leaves_nothing_behind() {
    for seed in 0..40 {
        let Case { design, gemm } = random_case(seed);
        let lowered = Lowered::new(&design, &gemm).unwrap();
        let mut model = Model::new(&design);
        let pass = lowered.plan().pass(0);
        let beats: Vec<Beat> = lowered.beats(&pass).take(20 + seed as usize).collect();
        for beat in &beats {
            let inputs = Inputs {
                operand: Some(beat),
                result_ready: seed % 3 == 0,
                ..Inputs::default()
            };
            model.step(&inputs).unwrap();
        }
        let driven = drive(&mut model, &lowered, &StallPlan::NONE).unwrap();
        assert_eq!(driven.results, plain_product(&gemm), "seed {seed}");
        assert_eq!(
            driven.cycles(),
            run(&design, &gemm).unwrap().cycles.cycles,
            "seed {seed}"
        );
    }
}

/// An array that takes every beat and never gives a result.
struct Silent {
    cycle: u64,
    outputs: Outputs,
}

impl Simulator for Silent {
    fn name(&self) -> &str {
        "silent"
    }
    fn step(&mut self, _: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        self.cycle += 1;
        self.outputs.operand_ready = true;
        Ok(&self.outputs)
    }
    fn cycle(&self) -> u64 {
        self.cycle
    }
}

#[test]
fn a_hang_is_found_with_and_without_stalls() {
    let Case { design, gemm } = random_case(1);
    let lowered = Lowered::new(&design, &gemm).unwrap();
    for probability in [0.0, 0.5] {
        let stalls = StallPlan {
            operand: probability,
            constant: probability,
            result: probability,
            seed: 1,
        };
        let mut silent = Silent {
            cycle: 0,
            outputs: Outputs::default(),
        };
        let error = drive(&mut silent, &lowered, &stalls).unwrap_err();
        assert!(
            matches!(error, DriveError::Simulator(SimulatorError::Hang { .. })),
            "{error}"
        );
    }
    let always = StallPlan {
        result: 1.0,
        ..StallPlan::NONE
    };
    let error = drive(&mut Model::new(&design), &lowered, &always).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stall probability of the result port = 1 is out of range: 0 up to, not including, 1; choose a value in that range"
    );
}
