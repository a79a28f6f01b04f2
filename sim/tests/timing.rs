//! Cycles from descriptors alone against the cycle-accurate model: every performance counter of whole runs.

mod common;

use common::networks::{random_accelerator, random_input, random_network, reduced};
use common::resnet::resnet18;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::accelerator::{AcceleratorModel, CoreDriver, StreamStalls};
use xnorforge_sim::network::Tensor;
use xnorforge_sim::program::timing::{Cause, Cycles, EntryCycles, entry_cycles};
use xnorforge_sim::program::{Entry, LOAD_WEIGHTS, Program};

/// Cycles without a handshake after which the model hangs.
const HANG_LIMIT: u64 = 1_000_000;

/// The counters of all sets after `runs` runs.
fn add(counters: &mut [[u64; 8]], cycles: &EntryCycles, runs: u64) {
    let sets = std::iter::once(&cycles.other).chain(&cycles.layers);
    for (counts, cycles) in counters.iter_mut().zip(sets) {
        for cause in Cause::ALL {
            counts[cause as usize] += runs * cycles.of(cause);
        }
    }
}

/// Runs entries one after the other on the model and compares cycles and counters; gives the counters' sums by cause.
fn compare(
    design: &AcceleratorDesign,
    program: &Program,
    runs: &[(&Entry, Vec<Tensor>)],
    layers: usize,
    what: &str,
) -> [u64; 8] {
    let mut model = AcceleratorModel::new(design);
    let mut driver = CoreDriver::new(&mut model, &StreamStalls::NONE, HANG_LIMIT).unwrap();
    driver.load(program).unwrap();
    let mut expected = vec![[0; 8]; design.config().layers as usize];
    let load = program.entry(LOAD_WEIGHTS).map(|entry| (entry, Vec::new()));
    for (entry, inputs) in load.iter().chain(runs) {
        let cycles = entry_cycles(design, entry, layers);
        let count = inputs.len().max(1) as u64;
        add(&mut expected, &cycles, count);
        let found = driver.run(entry, inputs).unwrap();
        assert_eq!(
            count * cycles.total(),
            found.cycles,
            "cycles of {count} runs of {}, {what}",
            entry.name
        );
    }
    let found = driver.counters(design).unwrap();
    let found: Vec<_> = found.iter().map(|set| set.map(u64::from)).collect();
    assert_eq!(expected, found, "{what}");
    let mut sums = [0; 8];
    for set in found {
        for (sum, count) in sums.iter_mut().zip(set) {
            *sum += count;
        }
    }
    sums
}

/// A random accelerator, with pipelined popcounts where its array has the ranks for them.
fn accelerator(rng: &mut ChaCha8Rng) -> AcceleratorDesign {
    let design = random_accelerator(rng);
    let mut config = design.design().config().clone();
    config.popcount_stages = rng.random_range(1..=3);
    let staged = config.validate();
    let staged = staged.and_then(|staged| AcceleratorDesign::new(&staged));
    staged.unwrap_or(design)
}

#[test]
fn random_networks() {
    const SEEDS: u64 = 80;
    let first: u64 = std::env::var("XNORFORGE_SEED").map_or(0, |s| s.parse().unwrap());
    let (mut ran, mut swapped, mut sums) = (0, 0, [0; 8]);
    for seed in first..first + SEEDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = accelerator(&mut rng);
        let images = rng.random_range(1..=3);
        let (network, input) = random_network(&mut rng, &design, images);
        let low = reduced(&mut rng, &network);
        let both = Program::compile_all(&design, images as u32, &[&network, &low]);
        swapped += u64::from(both.is_ok());
        let program = both.or_else(|_| Program::compile(&design, images as u32, &network));
        let Ok(program) = program else { continue };
        let what = format!(
            "seed {seed}: {:?}, {images} images of {network:?}",
            design.design().config()
        );
        let entries = program.entries().iter().filter(|e| e.takes_input());
        let runs: Vec<_> = entries
            .map(|entry| (entry, vec![input.clone(); rng.random_range(1..=2)]))
            .collect();
        let found = compare(&design, &program, &runs, network.layers.len(), &what);
        for (sum, count) in sums.iter_mut().zip(found) {
            *sum += count;
        }
        ran += 1;
    }
    println!("{ran} of {SEEDS} seeds ran, {swapped} of them with two entries");
    for cause in Cause::ALL {
        let cycles = sums[cause as usize];
        println!("{}: {cycles} cycles", cause.name());
        // Streams are always ready.
        assert_eq!(cycles == 0, cause == Cause::Output);
    }
    assert!(2 * ran > SEEDS && swapped > 20, "{ran}, {swapped}");
}

fn preset(name: &str) -> AcceleratorDesign {
    let design = ArrayConfig::preset(name).unwrap().validate().unwrap();
    AcceleratorDesign::new(&design).unwrap()
}

#[test]
fn random_networks_on_presets() {
    for name in ["tiny", "small", "default", "large"] {
        let design = preset(name);
        let mut ran = 0;
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (network, input) = random_network(&mut rng, &design, 1);
            let Ok(program) = Program::compile(&design, 1, &network) else {
                continue;
            };
            let entry = program.entry(&network.name).unwrap();
            let what = format!("{name}, seed {seed}: {network:?}");
            let runs = [(entry, vec![input])];
            compare(&design, &program, &runs, network.layers.len(), &what);
            ran += 1;
        }
        println!("{name}: {ran} of 20 ran");
        assert!(ran > 3, "{name}: {ran} of 20");
    }
}

#[test]
fn a_residual_network_on_a_large_array() {
    let design = preset("large");
    let mut rng = ChaCha8Rng::seed_from_u64(18);
    let network = resnet18(18, 224, 2, 2);
    let input = random_input(&mut rng, &network, 1);
    let program = Program::compile(&design, 1, &network).unwrap();
    let entry = program.entry(&network.name).unwrap();
    let runs = [(entry, vec![input])];
    compare(&design, &program, &runs, network.layers.len(), "resnet18");
}

#[test]
fn cycles_add_up() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let design = accelerator(&mut rng);
    let (network, _) = random_network(&mut rng, &design, 1);
    let program = Program::compile(&design, 1, &network).unwrap();
    let entry = program.entry(&network.name).unwrap();
    let cycles = entry_cycles(&design, entry, network.layers.len());
    let layers: u64 = cycles.layers.iter().map(Cycles::total).sum();
    assert_eq!(cycles.total(), cycles.other.total() + layers);
    // Sets past the network's layers count with those of no layer.
    let all = entry_cycles(&design, entry, 0);
    assert_eq!(all.other.total(), cycles.total());
}
