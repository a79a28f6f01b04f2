//! Random designs and products for the tests; everything follows from the seed.

#![allow(dead_code)] // each test file uses its part

pub mod networks;
pub mod resnet;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Structure, Target};
use xnorforge_sim::{BorderClasses, Encoding, Gemm, GemmShape, Precision};

/// A design and a product that runs on it.
pub struct Case {
    pub design: Design,
    pub gemm: Gemm,
}

/// A random small case.
pub fn random_case(seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let design = random_design(&mut rng);
    let gemm = random_gemm(&design, &mut rng);
    Case { design, gemm }
}

/// A random small design; edges (1 row, 1 column, 1 lane) come up often.
pub fn random_design(rng: &mut ChaCha8Rng) -> Design {
    loop {
        let (target, structure) = random_structure(rng);
        let activation_bits = rng.random_range(1..=8);
        let weight_bits = rng.random_range(1..=8);
        let serial = rng.random_bool(0.5);
        let mut branches = |bits: u32| {
            if serial {
                1
            } else {
                rng.random_range(1..=bits)
            }
        };
        let config = ArrayConfig {
            target,
            structure,
            activation_branches: branches(activation_bits),
            weight_branches: branches(weight_bits),
            activation_bits,
            weight_bits,
            rows: *[1, 1, 2, 3, 4, 5, 9].choose(rng).unwrap(),
            columns: *[1, 1, 2, 3, 7, 8, 9, 17].choose(rng).unwrap(),
            lanes: *[1, 2, 3, 5, 8, 31, 64, 65, 100, 128, 130]
                .choose(rng)
                .unwrap(),
            reduction_max: *[1, 2, 7, 64, 300].choose(rng).unwrap(),
            popcount_stages: match structure {
                Structure::Tree => rng.random_range(1..=4),
                _ => 0,
            },
            constant_entries: 1 << rng.random_range(1..=4),
            broadcast_stages: random_broadcast(rng),
            ..ArrayConfig::default()
        };
        // Too many pipeline stages for a small popcount: draw again.
        if let Ok(design) = config.validate() {
            return design;
        }
    }
}

/// A target and one of its structures by name; the tree half of the time.
pub fn random_structure(rng: &mut ChaCha8Rng) -> (Target, Structure) {
    let target = *Target::ALL.choose(rng).unwrap();
    let own = Structure::of_target(target);
    let structure = match own.choose(rng) {
        Some(structure) if rng.random_bool(0.5) => *structure,
        _ => Structure::Tree,
    };
    (target, structure)
}

/// No broadcast stages half of the time.
pub fn random_broadcast(rng: &mut ChaCha8Rng) -> BroadcastStages {
    BroadcastStages::Fixed(*[0, 0, 0, 0, 1, 2, 3, 4].choose(rng).unwrap())
}

fn random_precision(rng: &mut ChaCha8Rng, bits_max: u32) -> Precision {
    let bits = rng.random_range(1..=bits_max);
    match Encoding::ALL.choose(rng).unwrap() {
        Encoding::Ternary if bits_max >= 2 => Precision::new(Encoding::Ternary, 2),
        Encoding::Ternary => Precision::new(Encoding::Bipolar, bits),
        encoding => Precision::new(*encoding, bits),
    }
}

/// A random product that fits a design, with a bias and border classes now and then.
pub fn random_gemm(design: &Design, rng: &mut ChaCha8Rng) -> Gemm {
    let c = design.config();
    let shape = GemmShape {
        rows: rng.random_range(1..=2 * u64::from(c.rows) + 1),
        columns: rng.random_range(1..=3 * u64::from(c.columns) + 1),
        elements: rng.random_range(1..=u64::from(c.reduction_max)),
        activation: random_precision(rng, c.activation_bits),
        weight: random_precision(rng, c.weight_bits),
        classes: 1,
    };
    let mut gemm = Gemm::random(&shape, rng.random()).unwrap();
    if rng.random_bool(0.4) {
        // The epilogue must hold four times the sum of the product and the bias.
        let room = (design.result_width - 1).saturating_sub(4);
        let product = shape.elements << (shape.activation.bits + shape.weight.bits);
        if (1 << room) > product {
            let bias = (0..shape.columns)
                .map(|_| rng.random_range(-2..=2))
                .collect();
            gemm = gemm.with_bias(bias).unwrap();
        }
    }
    if shape.activation.encoding == Encoding::Bipolar && rng.random_bool(0.5) {
        let classes = rng.random_range(1..=c.constant_entries.min(5));
        gemm = gemm
            .with_classes(BorderClasses {
                of_row: (0..shape.rows)
                    .map(|_| rng.random_range(0..classes))
                    .collect(),
                valid: (0..classes)
                    .map(|_| (0..shape.elements).map(|_| rng.random_bool(0.7)).collect())
                    .collect(),
            })
            .unwrap();
    }
    gemm
}

/// The product in plain integers, by nothing but its definition.
pub fn plain_product(gemm: &Gemm) -> Vec<i64> {
    let (x, w) = (gemm.activations(), gemm.weights());
    let mut results = Vec::new();
    for p in 0..x.vectors() {
        for q in 0..w.vectors() {
            let mut sum = gemm.bias().map_or(0, |bias| bias[q]);
            for n in 0..x.elements() {
                if gemm.is_valid_tap(p, n) {
                    sum += i64::from(x.vector(p)[n]) * i64::from(w.vector(q)[n]);
                }
            }
            results.push(sum);
        }
    }
    results
}
