//! The fast executor against the reference executor, layer by layer, on random networks.

#[path = "common/networks.rs"]
mod networks;

use networks::Limits;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::network::{execute, reference};

#[test]
fn random_networks_give_the_integers_of_the_reference() {
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let limits = Limits {
            activation_bits: rng.random_range(1..=8),
            weight_bits: rng.random_range(1..=8),
            threshold_bits: 4,
            size: 7,
            channels: 9,
            layers: 5,
        };
        let network = networks::network(&mut rng, &limits);
        let images = rng.random_range(1..=3);
        let input = networks::tensor(&mut rng, images, network.input, network.precision);
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
