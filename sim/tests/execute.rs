//! The fast executor against the reference executor, layer by layer, on random networks.

mod common;

use common::networks::{random_accelerator, random_network};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::network::{execute, reference};

#[test]
fn random_networks_give_the_integers_of_the_reference() {
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_accelerator(&mut rng);
        let images = rng.random_range(1..=3);
        let (network, input) = random_network(&mut rng, &design, images);
        let expected = reference::execute(&network, &input).unwrap();
        let found = execute::execute(&network, &input).unwrap();
        for (index, layer) in network.layers.iter().enumerate() {
            assert_eq!(
                found.accumulators[index], expected.accumulators[index],
                "seed {seed}, accumulators of {layer:?}"
            );
            assert_eq!(
                found.outputs[index], expected.outputs[index],
                "seed {seed}, output of {layer:?}"
            );
        }
    }
}
