//! ResNet-18 at two bits: the fast executor against the reference on small images, and the program of large ones.

mod common;

use common::networks::random_input;
use common::resnet::resnet18;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::Instant;
use xnorforge_hdl::accelerator::AcceleratorConfig;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::{execute, reference};
use xnorforge_sim::program::run::LayerReport;
use xnorforge_sim::program::timing::Cause;
use xnorforge_sim::program::timing::entry_cycles;
use xnorforge_sim::program::{LOAD_WEIGHTS, Program, ProgramError, run};

#[test]
fn small_images_give_what_the_reference_gives() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = resnet18(1, 32, 2, 2);
    let input = random_input(&mut rng, &network, 2);
    let expected = reference::execute(&network, &input).unwrap();
    assert_eq!(
        execute::outputs(&network, &input).unwrap(),
        expected.of_network(&network, &input)
    );
}

#[test]
fn a_large_array_takes_images_of_224_pixels() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let network = resnet18(2, 224, 2, 2);
    let preset = ArrayConfig::preset("large").unwrap();
    let design = |accelerator: AcceleratorConfig| {
        let config = ArrayConfig {
            accelerator,
            ..preset.clone()
        };
        AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
    };
    let start = Instant::now();
    let program = Program::compile(&design(preset.accelerator.clone()), 1, &network).unwrap();
    println!("compiled in {:?}", start.elapsed());
    let entry = program.entry("resnet18").unwrap();
    println!(
        "{} descriptors, {} beats of weights",
        entry.steps.len(),
        program
            .entry(LOAD_WEIGHTS)
            .map_or(0, |e| e.weights[0].len())
    );
    // Half the weight memory: the weights stream in blocks.
    let half = AcceleratorConfig {
        weight_words: 4096,
        ..preset.accelerator.clone()
    };
    let streamed = Program::compile(&design(half), 1, &network).unwrap();
    assert!(streamed.entry(LOAD_WEIGHTS).is_none());
    assert!(streamed.entry("resnet18").unwrap().weights.len() > 2);
    let small = AcceleratorConfig {
        activation_words: 16384,
        ..preset.accelerator.clone()
    };
    let error = Program::compile(&design(small), 1, &network).unwrap_err();
    println!("{error}");
    assert!(matches!(
        error,
        ProgramError::Memory {
            field: "activation_words",
            ..
        }
    ));
    let input = random_input(&mut rng, &network, 1);
    let start = Instant::now();
    let report = run(&program, &network, &input).unwrap();
    println!("run in {:?}: {} cycles", start.elapsed(), report.cycles);
    let start = Instant::now();
    let cycles = entry_cycles(program.design(), entry, network.layers.len());
    println!("timing alone in {:?}", start.elapsed());
    assert_eq!(cycles.total(), report.cycles);
    for layer in &report.layers {
        println!(
            "{:4} {:8} cycles, bound by {:6}, utilization {:.3}",
            layer.name,
            layer.cycles.total(),
            layer.bound.name(),
            layer.utilization
        );
    }
    assert_eq!(report.outputs[0].values.len(), 1000);
    // Layers that are bound by computing and large enough to forget filling and emptying keep the array busy.
    let busy =
        |layer: &LayerReport| layer.cycles.of(Cause::Busy) as f64 / layer.cycles.total() as f64;
    let bound = |layer: &&LayerReport| layer.bound == Cause::Busy && layer.cycles.total() > 7000;
    let stages = report.layers[2..].iter().filter(bound);
    let shares: Vec<f64> = stages.map(busy).collect();
    println!("busy: {shares:.3?}");
    assert!(
        shares.len() >= 4 && shares.iter().all(|share| *share > 0.95),
        "{shares:?}"
    );
    let macs: u64 = report.layers.iter().map(|layer| layer.macs).sum();
    assert!((1_800_000_000..1_830_000_000).contains(&macs), "{macs}");
    // Taking a weight beat in each cycle is all that loading does, but for the fetch of WEIGHTS before and the END after it.
    let beats = program.entry(LOAD_WEIGHTS).unwrap().weights[0].len() as u64;
    assert_eq!(report.load_cycles, beats + 47);
}
