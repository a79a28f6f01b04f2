//! Random designs, products and networks, small but with every edge: what the random tests and `xnorforge soak` run.
//!
//! Everything follows from the generator's state; the same state gives the same on every machine.

pub mod networks;

use crate::{BorderClasses, Encoding, Gemm, GemmShape, Operand, Precision};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Structure, Target};

/// One of a list.
///
/// # Panics
/// If the list is empty.
pub fn pick<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    *list.choose(rng).expect("a list to pick from is not empty")
}

/// What numbers an operand or an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Uniformly random ones.
    Random,
    /// The least one everywhere: all bits of `bipolar` and `unsigned` numbers are 0.
    Lowest,
    /// The largest one everywhere: all bits of `bipolar` and `unsigned` numbers are 1.
    Highest,
}

impl Data {
    /// The step that every number has, of so many; none for random numbers.
    fn step(self, steps: i64) -> Option<i64> {
        match self {
            Data::Random => None,
            Data::Lowest => Some(0),
            Data::Highest => Some(steps - 1),
        }
    }

    /// The operand with these numbers; `name` is its name in messages.
    fn apply(self, name: &'static str, operand: Operand) -> Operand {
        let (min, max) = operand.encoding().range(operand.bits());
        let value = match self {
            Data::Random => return operand,
            Data::Lowest => min as i32,
            Data::Highest => max as i32,
        };
        let values = vec![value; operand.values().len()];
        let (vectors, elements) = (operand.vectors(), operand.elements());
        Operand::new(name, operand.precision(), vectors, elements, values)
            .expect("the ends of a range have codes")
    }
}

/// A design and a product that runs on it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The design.
    pub design: Design,
    /// The product.
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
            rows: pick(rng, &[1, 1, 2, 3, 4, 5, 9]),
            columns: pick(rng, &[1, 1, 2, 3, 7, 8, 9, 17]),
            lanes: pick(rng, &[1, 2, 3, 5, 8, 31, 64, 65, 100, 128, 130]),
            reduction_max: pick(rng, &[1, 2, 7, 64, 300]),
            popcount_stages: match structure {
                Structure::Tree => rng.random_range(1..=4),
                _ => 0,
            },
            constant_entries: 1 << rng.random_range(1..=4),
            broadcast_stages: random_broadcast(rng),
            ..ArrayConfig::default()
        };
        // Too many pipeline stages for a small popcount: draw again.
        if is_of_random_size(&config, rng)
            && let Ok(design) = config.validate()
        {
            return design;
        }
    }
}

/// A target and one of its structures by name; the tree half of the time.
pub fn random_structure(rng: &mut ChaCha8Rng) -> (Target, Structure) {
    let target = pick(rng, &Target::ALL);
    let own = Structure::of_target(target);
    let structure = match own.choose(rng) {
        Some(structure) if rng.random_bool(0.5) => *structure,
        _ => Structure::Tree,
    };
    (target, structure)
}

/// Whether a design is of a size that Verilator and g++ take in seconds: a bound on its binary operation pairs in a cycle,
/// which is itself random, so that large designs are few. Of device primitives there are fewer, since each is an instance.
pub fn is_of_random_size(config: &ArrayConfig, rng: &mut ChaCha8Rng) -> bool {
    let most = match config.structure {
        Structure::Tree => [800, 800, 800, 2500, 2500, 8000],
        _ => [200, 200, 400, 400, 800, 2500],
    };
    let factors = [
        config.columns,
        config.lanes,
        config.activation_branches,
        config.weight_branches,
    ];
    factors.into_iter().fold(config.rows, u32::saturating_mul) <= pick(rng, &most)
}

/// No broadcast stages half of the time.
pub fn random_broadcast(rng: &mut ChaCha8Rng) -> BroadcastStages {
    BroadcastStages::Fixed(pick(rng, &[0, 0, 0, 0, 1, 2, 3, 4]))
}

fn random_precision(rng: &mut ChaCha8Rng, bits_max: u32) -> Precision {
    let bits = rng.random_range(1..=bits_max);
    match pick(rng, &Encoding::ALL) {
        Encoding::Ternary if bits_max >= 2 => Precision::new(Encoding::Ternary, 2),
        Encoding::Ternary => Precision::new(Encoding::Bipolar, bits),
        encoding => Precision::new(encoding, bits),
    }
}

/// A random product that fits a design, with a bias and border classes now and then.
pub fn random_gemm(design: &Design, rng: &mut ChaCha8Rng) -> Gemm {
    random_gemm_of(design, Data::Random, rng)
}

/// As [`random_gemm`], with these numbers in both operands.
pub fn random_gemm_of(design: &Design, data: Data, rng: &mut ChaCha8Rng) -> Gemm {
    let c = design.config();
    let shape = GemmShape {
        rows: rng.random_range(1..=2 * u64::from(c.rows) + 1),
        columns: rng.random_range(1..=3 * u64::from(c.columns) + 1),
        elements: rng.random_range(1..=u64::from(c.reduction_max)),
        activation: random_precision(rng, c.activation_bits),
        weight: random_precision(rng, c.weight_bits),
        classes: 1,
    };
    const LEGAL: &str = "a drawn shape is legal";
    let gemm = Gemm::random(&shape, rng.random()).expect(LEGAL);
    let activations = data.apply("activations", gemm.activations().clone());
    let weights = data.apply("weights", gemm.weights().clone());
    let mut gemm = Gemm::new(activations, weights).expect(LEGAL);
    if rng.random_bool(0.4) {
        // The epilogue must hold four times the sum of the product and the bias.
        let room = (design.result_width - 1).saturating_sub(4);
        let product = shape.elements << (shape.activation.bits + shape.weight.bits);
        if (1 << room) > product {
            let bias = (0..shape.columns)
                .map(|_| rng.random_range(-2..=2))
                .collect();
            gemm = gemm.with_bias(bias).expect(LEGAL);
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
            .expect(LEGAL);
    }
    gemm
}
