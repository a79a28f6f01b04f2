//! The emitted RTL, Verilated, in lockstep with the cycle-accurate model: random configurations, the presets, and
//! RTL that was broken on purpose.
//!
//! Every case prints its seed. `XNORFORGE_COSIM_CASES` raises the number of random cases (default 40),
//! `XNORFORGE_COSIM_SEED` the first seed.

mod common;

use common::{Case, plain_product, random_case, verilator};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use xnorforge_hdl::{ArrayConfig, Design, Target, references};
use xnorforge_sim::verilator::{
    ArrayOptions, Assertions, TraceWindow, VerilatedArray, Verilator, Warnings,
};
use xnorforge_sim::{
    Beat, ConstantWrite, Divergence, DriveError, Encoding, Gemm, GemmShape, Inputs, Lockstep,
    Lowered, Model, Operand, Precision, Simulator, SimulatorError, StallPlan, drive, encoder, run,
    wave,
};

type Files = Vec<(String, String)>;

fn emit(design: &Design) -> Files {
    let package = xnorforge_hdl::generate(design).expect("every valid design can be emitted");
    package
        .simulation_files()
        .map(|f| (f.name.clone(), f.text.clone()))
        .collect()
}

fn lockstep(
    verilator: &Verilator,
    case: &Case,
    files: &Files,
    stalls: &StallPlan,
    trace: Option<TraceWindow>,
) -> Result<xnorforge_sim::Driven, Box<dyn Error>> {
    let options = ArrayOptions {
        seed: stalls.seed as u32,
        trace,
    };
    let rtl = VerilatedArray::new(verilator, &case.design, files, &options)?;
    let mut pair = Lockstep::new(Model::new(&case.design), rtl);
    let lowered = Lowered::new(&case.design, &case.gemm)?;
    Ok(drive(&mut pair, &lowered, stalls)?)
}

fn random_stalls(seed: u64) -> StallPlan {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x57a11);
    let mut level = || [0.0, 0.1, 0.5, 0.9][rng.random_range(0..4)];
    StallPlan {
        operand: level(),
        constant: level(),
        result: level(),
        seed,
    }
}

/// Lockstep without and with stalls; results and cycles against the encoder and `run()`.
fn check(verilator: &Verilator, case: &Case, seed: u64) {
    check_stalled(verilator, case, random_stalls(seed));
}

/// [`check`] with these stalls.
fn check_stalled(verilator: &Verilator, case: &Case, stalls: StallPlan) {
    let seed = stalls.seed;
    let context = format!(
        "seed {seed}: {:?}, {:?}",
        case.design.config(),
        case.gemm.shape()
    );
    let files = emit(&case.design);
    let expected = encoder::gemm(&case.gemm);
    assert_eq!(plain_product(&case.gemm), expected, "{context}");
    let report = run(&case.design, &case.gemm).unwrap();
    for stalls in [
        StallPlan {
            seed,
            ..StallPlan::NONE
        },
        stalls,
    ] {
        let driven = lockstep(verilator, case, &files, &stalls, None)
            .unwrap_or_else(|e| panic!("{e}; {context}, {stalls:?}"));
        assert_eq!(driven.results, expected, "{context}");
        if stalls.operand + stalls.constant + stalls.result == 0.0 {
            assert_eq!(driven.cycles(), report.cycles.cycles, "{context}");
        }
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} = {text} is not a number"))
    })
}

#[test]
fn rtl_equals_the_model_on_random_configurations() {
    let first = variable("XNORFORGE_COSIM_SEED", 1000);
    let cases = variable("XNORFORGE_COSIM_CASES", 40);
    let verilator = verilator();
    println!("seeds {first}..{}", first + cases);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let verilator = &verilator;
            scope.spawn(move || {
                for seed in (first..first + cases).filter(|s| s % workers == worker) {
                    check(verilator, &random_case(seed), seed);
                }
            });
        }
    });
}

/// Products of full rows and columns that between them have every `row_mode`, also changing from beat to beat, every result
/// shift, and the largest sums. Every lane has elements in each of them.
fn telling_products(design: &Design, seed: u64) -> Vec<Gemm> {
    use Encoding::{Bipolar, Signed, Unsigned};
    let c = design.config();
    // More tiles than the popcount has stages, so that every stage holds a beat while the array stands.
    let (rows, columns) = (3 * c.rows as usize + 1, 3 * c.columns as usize);
    let chunk = c.lanes.min(c.reduction_max);
    let shapes = [
        (Unsigned, Signed, chunk),
        (Bipolar, Unsigned, c.reduction_max),
        (Signed, Bipolar, c.reduction_max),
    ];
    let mut products: Vec<Gemm> = shapes
        .into_iter()
        .map(|(activation, weight, elements)| {
            let shape = GemmShape {
                rows: rows as u64,
                columns: columns as u64,
                elements: elements.into(),
                activation: Precision::new(activation, c.activation_bits),
                weight: Precision::new(weight, c.weight_bits),
                classes: 1,
            };
            Gemm::random(&shape, seed).unwrap()
        })
        .collect();
    // Every bit of the activations equals that of the weights, and no pair of lanes is not counted: all bits 0, and all
    // bits 1, which also counts the last one of lanes that are no pairs.
    for bit in [0, 1] {
        let filled = |name, bits, vectors| {
            let precision = Precision::new(Unsigned, bits);
            let elements = c.reduction_max as usize;
            let values = vec![bit * ((1 << bits) - 1); vectors * elements];
            Operand::new(name, precision, vectors, elements, values).unwrap()
        };
        let activations = filled("activations", c.activation_bits, rows);
        let weights = filled("weights", c.weight_bits, columns);
        products.push(Gemm::new(activations, weights).unwrap());
    }
    products
}

/// Each structure of each target, bit-serial and with branches in parallel.
#[test]
fn rtl_equals_the_model_on_every_structure() {
    let verilator = verilator();
    for target in Target::ALL {
        for structure in references::structures(target) {
            for (seed, config) in (500..).zip(references::arrays(target, *structure)) {
                // A structure may be for one branch pair only.
                let Ok(design) = config.validate() else {
                    continue;
                };
                println!(
                    "seed {seed}: {target} {structure} latency {}",
                    design.latency()
                );
                check_all(&verilator, &design, seed);
            }
        }
    }
}

/// The grid behind registers, the drain behind credits.
#[test]
fn rtl_equals_the_model_behind_broadcast_registers() {
    let verilator = verilator();
    for (seed, config) in (600..).zip(references::broadcast_arrays()) {
        println!("seed {seed}: {} stages", config.broadcast_stages);
        check_all(&verilator, &config.validate().unwrap(), seed);
    }
}

/// An accumulator with a single finished bit that is ever written: two bits by one, one after the other.
#[test]
fn rtl_equals_the_model_with_one_finished_bit() {
    let config = ArrayConfig {
        rows: 2,
        columns: 2,
        lanes: 5,
        activation_bits: 2,
        weight_bits: 1,
        reduction_max: 64,
        ..ArrayConfig::default()
    };
    let design = config.validate().unwrap();
    assert_eq!(design.accumulator_low_width, 1);
    assert_eq!(design.shift_amounts.len(), 1);
    check_all(&verilator(), &design, 700);
}

/// What no product asks for: a reset while a tile's last beat stands at the port, and the least and the greatest constants
/// behind sums of 0.
fn check_beats(verilator: &Verilator, design: &Design, seed: u64) {
    let c = design.config();
    let options = ArrayOptions {
        seed: seed as u32,
        trace: None,
    };
    let rtl = VerilatedArray::new(verilator, design, &emit(design), &options).unwrap();
    let mut pair = Lockstep::new(Model::new(design), rtl);
    let words = c.lanes.div_ceil(64);
    let ones = |word: u32| u64::MAX >> (64 - (c.lanes - word * 64).min(64));
    let planes = c.columns * c.weight_branches;
    let mut beat = Beat {
        first: true,
        last: true,
        activation: vec![0; (c.rows * c.activation_branches * words) as usize],
        weight: (0..planes * words).map(|i| ones(i % words)).collect(),
        align: design.accumulator_low_width,
        entry: vec![0; c.rows as usize],
        ..Beat::default()
    };
    let mut step = |inputs: &Inputs<'_>| {
        let outputs = pair.step(inputs);
        let outputs = outputs.unwrap_or_else(|e| panic!("{e}; seed {seed}, {c:?}"));
        outputs.result_valid
    };
    let top = 1i64 << (design.result_width - 1);
    let cycles = 4 * (design.latency() + c.rows + 10);
    step(&Inputs {
        reset: true,
        ..Inputs::default()
    });
    let mut results = 0;
    for (result_shift, constants) in [(1, [-top, top - 1]), (2, [top - 1, -top]), (2, [-top, 0])] {
        beat.result_shift = result_shift;
        let write = ConstantWrite {
            entry: 0,
            value: constants
                .into_iter()
                .cycle()
                .take(c.columns as usize)
                .collect(),
        };
        step(&Inputs {
            constant: Some(&write),
            ..Inputs::default()
        });
        for cycle in 0..cycles {
            results += u32::from(step(&Inputs {
                operand: Some(&beat),
                result_ready: cycle % 3 > 0,
                ..Inputs::default()
            }));
        }
        step(&Inputs {
            reset: true,
            operand: Some(&beat),
            ..Inputs::default()
        });
        for _ in 0..cycles {
            let ready = Inputs {
                result_ready: true,
                ..Inputs::default()
            };
            assert!(!step(&ready), "a result behind a reset; seed {seed}, {c:?}");
        }
    }
    assert!(results > 2 * c.rows, "{results} results; {c:?}");
}

/// A random product, and the [`telling_products`] while rows of results wait so long that the array stands; single beats.
fn check_all(verilator: &Verilator, design: &Design, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gemm = common::random_gemm(design, &mut rng);
    let case = |gemm| Case {
        design: design.clone(),
        gemm,
    };
    check(verilator, &case(gemm), seed);
    check_beats(verilator, design, seed);
    let stalls = StallPlan {
        operand: 0.1,
        constant: 0.1,
        result: 0.9,
        seed,
    };
    for gemm in telling_products(design, seed) {
        check_stalled(verilator, &case(gemm), stalls);
    }
}

/// A product with full tiles, a ragged edge and a chunk's tail at the preset's full precision.
fn preset_case(name: &str, seed: u64) -> Case {
    let design = ArrayConfig::preset(name).unwrap().validate().unwrap();
    let c = design.config();
    let shape = xnorforge_sim::GemmShape {
        rows: u64::from(c.rows) + 1,
        columns: u64::from(c.columns) + 1,
        elements: u64::from((2 * c.lanes + 3).min(c.reduction_max)),
        activation: xnorforge_sim::Precision::new(encoder::Encoding::Unsigned, c.activation_bits),
        weight: xnorforge_sim::Precision::new(encoder::Encoding::Signed, c.weight_bits),
        classes: 1,
    };
    let gemm = Gemm::random(&shape, seed).unwrap();
    Case { design, gemm }
}

#[test]
fn rtl_equals_the_model_on_the_presets() {
    let verilator = verilator();
    for name in ["tiny", "small", "default", "large"] {
        println!("preset {name}, seed 7");
        check(&verilator, &preset_case(name, 7), 7);
    }
}

/// One fault: in which module, what text, what instead.
const FAULTS: [(&str, &str, &str, &str); 8] = [
    (
        "a flipped bit in the popcount",
        "pair_bits",
        "activation ^ ~weight",
        "activation ^ weight",
    ),
    (
        "a carry lost in the popcount",
        "popcount",
        ", bits[9]} + ",
        ", 1'd0} + ",
    ),
    (
        "a wrong shift",
        "accumulator",
        "shift ? {1'd0, state[",
        "shift ? {1'd1, state[",
    ),
    (
        "sums that are cleared in every beat",
        "accumulator",
        "first ?",
        "1'd1 ?",
    ),
    (
        "a lost stall",
        "drain_control",
        "assign advance = ~done | can_load;",
        "assign advance = 1'd1;",
    ),
    (
        "a row of the drain lost",
        "drain_control",
        "remaining == ",
        "remaining <= 1 + ",
    ),
    (
        "a spilled result lost",
        "skid_buffer",
        "spill_valid <= some_valid",
        "spill_valid <= 1'd0 & some_valid",
    ),
    (
        "a constant of the wrong entry",
        "constant_memory",
        "memory[read_entry]",
        "memory[~read_entry]",
    ),
];

#[test]
fn broken_rtl_is_caught_with_a_waveform() {
    // Some faults leave a signal without a use; assertions would catch some before a difference shows.
    let verilator = verilator()
        .with_warnings(Warnings::Ignored)
        .with_assertions(Assertions::Off);
    let case = preset_case("tiny", 3);
    // The tiny preset's popcount has full adders only; ten pairs give it adders, one with a carry-in.
    let case = Case {
        design: ArrayConfig {
            lanes: 20,
            ..case.design.config().clone()
        }
        .validate()
        .unwrap(),
        gemm: case.gemm,
    };
    let good = emit(&case.design);
    for (fault, module, from, to) in FAULTS {
        let mut files = good.clone();
        let file = files
            .iter_mut()
            .find(|(name, text)| name.starts_with(&format!("xnf_{module}")) && text.contains(from))
            .unwrap_or_else(|| panic!("{fault}: `{from}` is not in {module}"));
        file.1 = file.1.replacen(from, to, 1);
        let stalls = StallPlan {
            operand: 0.2,
            constant: 0.0,
            result: 0.9,
            seed: 11,
        };
        let drive_once =
            |trace: Option<TraceWindow>| -> Result<Option<Divergence>, SimulatorError> {
                match lockstep(&verilator, &case, &files, &stalls, trace) {
                    Ok(driven) => {
                        assert_eq!(
                            driven.results,
                            encoder::gemm(&case.gemm),
                            "{fault}: undetected"
                        );
                        Ok(None)
                    }
                    Err(error) => match error.downcast::<DriveError>().map(|e| *e) {
                        Ok(DriveError::Simulator(SimulatorError::Divergence(d))) => Ok(Some(*d)),
                        other => panic!("{fault}: {other:?}"),
                    },
                }
            };
        let divergence = drive_once(None)
            .unwrap()
            .unwrap_or_else(|| panic!("{fault} was not caught"));
        println!("{fault}: {divergence}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault.vcd");
        let window = wave::divergence_waveform(&divergence, 20, &path, |w| drive_once(Some(w)))
            .unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert!(window.last_cycle - window.first_cycle <= 20);
        let wave = std::fs::read_to_string(&path).unwrap();
        assert!(
            wave.contains("operand_valid") && wave.contains("$enddefinitions"),
            "{fault}"
        );
    }
}
