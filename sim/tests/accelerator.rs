//! The whole core: random networks, compiled, on the Verilated RTL, against the reference executor; and every cycle
//! accounted for. Verilator and g++ must be installed.

mod common;

use common::networks::{random_accelerator, random_accelerator_of, random_input, random_network};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::{
    AcceleratorDesign, ArrayConfig, Structure, Target, generate_accelerator, references,
};
use xnorforge_sim::accelerator::{
    AcceleratorModel, Core, CoreDriver, CoreLockstep, StreamStalls, reset,
};
use xnorforge_sim::encoder::Encoding;
use xnorforge_sim::gemm::Precision;
use xnorforge_sim::network::{
    Layer, Network, Operation, Output, Read, Shape, Tensor, TensorId, Window, reference,
};
use xnorforge_sim::program::{LOAD_WEIGHTS, Program};
use xnorforge_sim::verilator::{ArrayOptions, VerilatedAccelerator};

/// Cycles without a handshake after which a core hangs.
const HANG_LIMIT: u64 = 300_000;

/// Random networks that run on each reference accelerator.
const NETWORKS: usize = 4;

/// What the core is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Both,
}

fn core(kind: Kind, design: &AcceleratorDesign, seed: u64) -> Box<dyn Core> {
    let model = AcceleratorModel::new(design);
    if kind == Kind::Model {
        return Box::new(model);
    }
    let package = generate_accelerator(design).unwrap();
    let options = ArrayOptions {
        seed: seed as u32,
        trace: None,
    };
    let mut rtl = VerilatedAccelerator::new(&common::verilator(), &package, &options).unwrap();
    let mut model = model;
    reset(&mut model).unwrap();
    reset(&mut rtl).unwrap();
    Box::new(CoreLockstep::new(model, rtl))
}

fn run(kind: Kind, seed: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let design = random_accelerator(&mut rng);
    run_on(kind, seed, &design, &mut rng)
}

/// Runs a random network on a design, unless its memories are too small.
fn run_on(kind: Kind, seed: u64, design: &AcceleratorDesign, rng: &mut ChaCha8Rng) -> bool {
    let images = rng.random_range(1..=2);
    let (network, input) = random_network(rng, design, images);
    run_network(kind, seed, design, (&network, &input), rng)
}

fn run_network(
    kind: Kind,
    seed: u64,
    design: &AcceleratorDesign,
    (network, input): (&Network, &Tensor),
    rng: &mut ChaCha8Rng,
) -> bool {
    let images = input.images;
    let Ok(program) = Program::compile(design, images as u32, network) else {
        return false;
    };
    let stalls = if rng.random_bool(0.3) {
        StreamStalls::NONE
    } else {
        StreamStalls {
            program: 0.1,
            weight: rng.random_range(0.0..0.6),
            input: rng.random_range(0.0..0.6),
            result: rng.random_range(0.0..0.9),
            seed,
        }
    };
    println!(
        "seed {seed}: {:?}, {images} images of {network:?}",
        design.design().config()
    );
    let mut core = core(kind, design, seed);
    let mut driver = CoreDriver::new(core.as_mut(), &stalls, HANG_LIMIT).unwrap();
    driver.load(&program).unwrap();
    let mut cycles = 0;
    if let Some(entry) = program.entry(LOAD_WEIGHTS) {
        cycles += driver.run(entry, &[]).unwrap().cycles;
    }
    let entry = program.entry(&network.name).unwrap();
    let inputs = [input.clone(), input.clone()];
    let found = driver.run(entry, &inputs).unwrap();
    cycles += found.cycles;
    let trace = reference::execute(network, input).unwrap();
    for tensors in found.tensors {
        assert_eq!(tensors, trace.of_network(network, input), "seed {seed}");
    }
    let counters = driver.counters(design).unwrap();
    let counted: u64 = counters.iter().flatten().map(|n| u64::from(*n)).sum();
    assert_eq!(counted, cycles, "seed {seed}: every cycle has a cause");
    println!("seed {seed}: {cycles} cycles");
    true
}

/// A number from the environment.
fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Runs `count` seeds from XNORFORGE_SEED or 0 on.
fn seeds(kind: Kind, count: u64) {
    let first = variable("XNORFORGE_SEED", 0);
    let ran = (first..first + count)
        .filter(|seed| run(kind, *seed))
        .count() as u64;
    assert!(count == 1 || 2 * ran > count, "{ran} of {count}");
}

#[test]
fn random_networks_on_the_model() {
    seeds(Kind::Model, 60);
}

#[test]
fn random_networks_in_lockstep() {
    seeds(Kind::Both, 6);
}

/// The reference accelerators: random networks on each, until so many fit its memories.
#[test]
fn references_in_lockstep() {
    for (number, config) in references::accelerators().iter().enumerate() {
        let design = config.validate().unwrap();
        let design = AcceleratorDesign::new(&design).unwrap();
        let first = 800;
        println!("reference {number}, from seed {first}");
        let ran = (first..first + 60).filter(|seed| {
            run_on(
                Kind::Both,
                *seed,
                &design,
                &mut ChaCha8Rng::seed_from_u64(*seed),
            )
        });
        assert_eq!(ran.take(NETWORKS).count(), NETWORKS, "{config:?}");
    }
}

/// Maps that end before the last tap of the first window: border classes rise from the first output on.
#[test]
fn maps_smaller_than_a_window_in_lockstep() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
    let design = AcceleratorDesign::new(&design).unwrap();
    let precision = Precision {
        encoding: Encoding::Bipolar,
        bits: 1,
    };
    for (height, width) in [(1, 1), (1, 4), (4, 1), (2, 2)] {
        let mut window = Window::square(3, 1, 0);
        (window.padding.bottom, window.padding.right) = (4, 4);
        let network = Network {
            name: "small".into(),
            input: Shape {
                height,
                width,
                channels: 3,
            },
            precision,
            layers: vec![Layer {
                name: "sum".into(),
                input: Read::from(TensorId::Input),
                operation: Operation::SumPool(window),
                residual: None,
                output: Output::Raw,
            }],
            outputs: vec![TensorId::Layer(0)],
        };
        let input = random_input(&mut rng, &network, 1);
        assert!(run_network(
            Kind::Both,
            1,
            &design,
            (&network, &input),
            &mut rng
        ));
    }
}

/// Each structure of each target inside an accelerator: one random accelerator with random networks until one fits.
#[test]
fn every_structure_in_lockstep() {
    // Those of UltraScale are Xilinx's.
    for target in Target::ALL.into_iter().filter(|t| *t != Target::Ultrascale) {
        for structure in Structure::of_target(target) {
            let first = 700;
            println!("{target} {structure}, from seed {first}");
            let ran = (first..first + 20).any(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let design = random_accelerator_of(&mut rng, Some((target, *structure)));
                run_on(Kind::Both, seed, &design, &mut rng)
            });
            assert!(ran, "no network fits {target} {structure}");
        }
    }
}
