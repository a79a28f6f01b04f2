//! Reference designs: small ones that between them have every block, every structure and every target.
//!
//! The lockstep tests of `xnorforge-sim` run them, and `make mutate` takes its faults from them, so that what is mutated
//! is what is tested.

use crate::{AcceleratorConfig, ArrayConfig, BroadcastStages, Structure, Target};

/// An array of 3 x 2 elements, the same for both operands.
fn three_by_two(bits: u32, branches: u32, lanes: u32) -> ArrayConfig {
    ArrayConfig {
        rows: 3,
        columns: 2,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        reduction_max: 100,
        ..ArrayConfig::default()
    }
}

/// The structures of a target whose units are netlists, or the tree where it has none.
#[must_use]
pub fn structures(target: Target) -> &'static [Structure] {
    match Structure::of_target(target) {
        [] => &[Structure::Tree],
        own => own,
    }
}

/// Arrays of a structure, bit-serial and with branches in parallel. One that is for a single branch pair refuses the last
/// two.
#[must_use]
pub fn arrays(target: Target, structure: Structure) -> [ArrayConfig; 4] {
    let shapes = [(1, 1, 40), (3, 1, 33), (2, 2, 12), (4, 2, 9)];
    shapes.map(|(bits, branches, lanes)| ArrayConfig {
        target,
        structure,
        // Of its own where the structure has no choice.
        popcount_stages: match target {
            Target::Xilinx | Target::Ultrascale => 0,
            _ => bits % 3,
        },
        ..three_by_two(bits, branches, lanes)
    })
}

/// Arrays whose grid stands behind registers, and whose drain behind credits.
#[must_use]
pub fn broadcast_arrays() -> [ArrayConfig; 3] {
    let shapes = [(1, 1, 1, 40), (2, 2, 2, 12), (4, 3, 1, 33)];
    shapes.map(|(stages, bits, branches, lanes)| ArrayConfig {
        broadcast_stages: BroadcastStages::Fixed(stages),
        ..three_by_two(bits, branches, lanes)
    })
}

/// Several branches of both operands, two columns to a step of the drain, two loaders, codes of eight levels.
#[must_use]
pub fn wide_accelerator() -> ArrayConfig {
    ArrayConfig {
        rows: 4,
        columns: 6,
        lanes: 20,
        activation_bits: 8,
        weight_bits: 8,
        activation_branches: 2,
        weight_branches: 2,
        popcount_stages: 1,
        reduction_max: 100,
        accelerator: AcceleratorConfig {
            activation_words: 64,
            residual_words: 16,
            stream_bits: 16,
            threshold_bits: 8,
            layers: 4,
            drain_columns: 2,
            load_ports: 2,
            ..AcceleratorConfig::default()
        },
        ..ArrayConfig::default()
    }
}

/// Accelerators that between them have every block: the presets `tiny` and `small`, the [`wide_accelerator`], and this
/// one behind broadcast registers, a row in one step, so that rows keep a distance.
#[must_use]
pub fn accelerators() -> [ArrayConfig; 4] {
    let preset = |name| ArrayConfig::preset(name).expect("the presets exist");
    let wide = wide_accelerator();
    let distant = ArrayConfig {
        broadcast_stages: BroadcastStages::Fixed(2),
        accelerator: AcceleratorConfig {
            drain_columns: wide.columns,
            ..wide.accelerator.clone()
        },
        ..wide.clone()
    };
    [preset("tiny"), preset("small"), wide, distant]
}
