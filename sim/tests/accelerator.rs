//! The whole core: random networks, compiled, on the Verilated RTL, against the reference executor; and every cycle
//! accounted for. Verilator and g++ must be installed.

mod common;

use common::networks::{random_accelerator, random_network};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use xnorforge_hdl::generate_accelerator;
use xnorforge_sim::accelerator::{CoreDriver, StreamStalls};
use xnorforge_sim::network::reference;
use xnorforge_sim::program::{LOAD_WEIGHTS, Program};
use xnorforge_sim::verilator::{Toolchain, VerilatedAccelerator, Verilator};

/// Cycles without a handshake after which a core hangs.
const HANG_LIMIT: u64 = 300_000;

fn verilator() -> Verilator {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verilator-cache");
    Verilator::new(Toolchain::find().expect("Verilator and g++"), cache)
}

fn run(seed: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let design = random_accelerator(&mut rng);
    let images = rng.random_range(1..=2);
    let (network, input) = random_network(&mut rng, &design, images);
    let Ok(program) = Program::compile(&design, images as u32, &network) else {
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
    let package = generate_accelerator(&design).unwrap();
    let mut core = VerilatedAccelerator::new(&verilator(), &package, seed as u32).unwrap();
    let mut driver = CoreDriver::new(&mut core, &stalls, HANG_LIMIT).unwrap();
    driver.load(&program).unwrap();
    let mut cycles = 0;
    if let Some(entry) = program.entry(LOAD_WEIGHTS) {
        cycles += driver.run(entry, &[]).unwrap().cycles;
    }
    let entry = program.entry(&network.name).unwrap();
    let inputs = [input.clone(), input.clone()];
    let found = driver.run(entry, &inputs).unwrap();
    cycles += found.cycles;
    let trace = reference::execute(&network, &input).unwrap();
    for tensors in found.tensors {
        assert_eq!(tensors, trace.of_network(&network, &input), "seed {seed}");
    }
    let counters = driver.counters(&design).unwrap();
    let counted: u64 = counters.iter().flatten().map(|n| u64::from(*n)).sum();
    assert_eq!(counted, cycles, "seed {seed}: every cycle has a cause");
    println!("seed {seed}: {cycles} cycles");
    true
}

#[test]
fn random_networks_on_the_rtl() {
    let first: u64 = std::env::var("XNORFORGE_SEED").map_or(0, |s| s.parse().unwrap());
    let ran = (first..first + 12).filter(|seed| run(*seed)).count();
    assert!(ran > 6, "{ran}");
}
