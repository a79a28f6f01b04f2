//! ResNet-18 (He et al., arXiv 1512.03385) from the importer's table, with random weights, thresholds and residuals.

use xnorforge_import::topology::{Widths, builtin};
use xnorforge_sim::network::{Network, Shape};

/// The network for images of `size` x `size` pixels of 8 bits; 1000 classes.
pub fn resnet18(seed: u64, size: u32, activation: u32, weight: u32) -> Network {
    let widths = Widths {
        activation: Some(activation),
        weight: Some(weight),
        ends: None,
    };
    let mut topology = builtin::topology("resnet18", &widths).unwrap().unwrap();
    topology.inputs[0].shape = Shape::new(size, size, 3);
    topology.network(seed).unwrap()
}
