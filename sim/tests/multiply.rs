//! Packed products against plain loops: every level of instructions that this machine has, every encoding and precision,
//! shapes at the edges of words, tiles and blocks.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::multiply::{
    Level, MultiplyError, PackedActivations, PackedWeights, multiply, multiply_into,
};
use xnorforge_sim::{Encoding, GemmError, Operand, Precision};

fn precisions() -> Vec<Precision> {
    let all = Encoding::ALL.into_iter();
    all.flat_map(|encoding| (1..=8).map(move |bits| Precision::new(encoding, bits)))
        .filter(|p| p.encoding.check_bits(p.bits).is_ok())
        .collect()
}

/// The levels of this machine; the tests say which they are.
fn levels() -> Vec<Level> {
    let levels: Vec<Level> = Level::ALL
        .into_iter()
        .filter(|l| l.is_available())
        .collect();
    println!("levels of this machine: {levels:?}");
    levels
}

/// The product in plain loops over the numbers themselves.
fn reference(x: &Operand, w: &Operand) -> Vec<i64> {
    let dot = |p, q| -> i64 {
        let pairs = x.vector(p).iter().zip(w.vector(q));
        pairs.map(|(x, w)| i64::from(*x) * i64::from(*w)).sum()
    };
    (0..x.vectors())
        .flat_map(|p| (0..w.vectors()).map(move |q| (p, q)))
        .map(|(p, q)| dot(p, q))
        .collect()
}

/// Multiplies at every level and compares.
fn check(levels: &[Level], x: &Operand, w: &Operand, what: &str) {
    let expected = reference(x, w);
    let (x, w) = (PackedActivations::pack(x), PackedWeights::pack(w));
    for level in levels {
        // What the memory held before must not matter.
        let mut wide = vec![-1i64; expected.len()];
        multiply_into(&x, &w, *level, &mut wide).unwrap();
        assert_eq!(wide, expected, "{what}, {level}, i64");
        let mut narrow = vec![77i32; expected.len()];
        match multiply_into(&x, &w, *level, &mut narrow) {
            Ok(()) => {
                let narrow: Vec<i64> = narrow.into_iter().map(i64::from).collect();
                assert_eq!(narrow, expected, "{what}, {level}, i32");
            }
            Err(MultiplyError::Narrow { bound, .. }) => assert!(bound > i64::from(i32::MAX)),
            Err(error) => panic!("{what}, {level}: {error}"),
        }
    }
}

fn random(precision: Precision, vectors: usize, elements: usize, rng: &mut ChaCha8Rng) -> Operand {
    Operand::random("activations", precision, vectors, elements, rng).unwrap()
}

#[test]
fn every_pair_of_precisions() {
    let levels = levels();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for activation in precisions() {
        for weight in precisions() {
            let elements = rng.random_range(1..=300);
            let x = random(activation, rng.random_range(1..=6), elements, &mut rng);
            let w = random(weight, rng.random_range(1..=19), elements, &mut rng);
            check(&levels, &x, &w, &format!("{activation:?} by {weight:?}"));
        }
    }
}

#[test]
fn random_shapes_at_the_edges() {
    let levels = levels();
    let precisions = precisions();
    for seed in 0..150 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |sizes: &[usize]| *sizes.choose(&mut rng).unwrap();
        let rows = pick(&[1, 2, 3, 4, 5, 8, 63, 64, 65, 70, 129]);
        let columns = pick(&[1, 2, 7, 8, 9, 15, 16, 17, 24, 25, 33, 64, 65]);
        let elements = pick(&[1, 2, 63, 64, 65, 127, 128, 129, 191, 256, 257, 1000]);
        let (activation, weight) = (
            *precisions.choose(&mut rng).unwrap(),
            *precisions.choose(&mut rng).unwrap(),
        );
        let x = random(activation, rows, elements, &mut rng);
        let w = random(weight, columns, elements, &mut rng);
        let what =
            format!("seed {seed}: {rows} x {columns} x {elements}, {activation:?} by {weight:?}");
        check(&levels, &x, &w, &what);
    }
}

/// More words than a cache block and more than a byte of counts can take, and the largest sums there are.
#[test]
fn long_vectors_of_extremes() {
    let levels = levels();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (activation, weight) in [
        (
            Precision::new(Encoding::Bipolar, 1),
            Precision::new(Encoding::Bipolar, 1),
        ),
        (
            Precision::new(Encoding::Unsigned, 8),
            Precision::new(Encoding::Signed, 8),
        ),
        (
            Precision::new(Encoding::Bipolar, 8),
            Precision::new(Encoding::Unsigned, 8),
        ),
        (
            Precision::new(Encoding::Ternary, 2),
            Precision::new(Encoding::Bipolar, 3),
        ),
    ] {
        let elements = 128 * 133 + 5;
        let extreme = |precision: Precision, vectors: usize| {
            let (min, max) = precision.encoding.range(precision.bits);
            let vector = |v| vec![if v % 2 == 0 { min as i32 } else { max as i32 }; elements];
            let values = (0..vectors).flat_map(vector).collect();
            Operand::new("weights", precision, vectors, elements, values).unwrap()
        };
        let what = format!("{activation:?} by {weight:?}");
        check(&levels, &extreme(activation, 2), &extreme(weight, 3), &what);
        let x = random(activation, 5, elements, &mut rng);
        check(&levels, &x, &random(weight, 17, elements, &mut rng), &what);
    }
}

#[test]
fn threads_change_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let precision = Precision::new(Encoding::Signed, 2);
    let x = random(precision, 150, 200, &mut rng);
    let w = random(precision, 40, 200, &mut rng);
    let expected = reference(&x, &w);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let found = pool.unwrap().install(|| {
            multiply::<i64>(&PackedActivations::pack(&x), &PackedWeights::pack(&w)).unwrap()
        });
        assert_eq!(found, expected, "{threads} threads");
    }
}

#[test]
fn memory_is_one_bit_for_each_bit() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for bits in [1, 4] {
        let precision = Precision::new(Encoding::Bipolar, bits);
        let operand = random(precision, 64, 1024, &mut rng);
        let bytes = 64 * 1024 * bits as usize / 8;
        // Two 64-bit sums for each vector.
        assert_eq!(PackedActivations::pack(&operand).bytes(), bytes + 64 * 16);
        assert_eq!(PackedWeights::pack(&operand).bytes(), bytes + 64 * 16);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let precision = Precision::new(Encoding::Unsigned, 8);
    let pack = |operand: &Operand| {
        (
            PackedActivations::pack(operand),
            PackedWeights::pack(operand),
        )
    };
    let (x, w) = pack(&random(precision, 2, 10, &mut rng));
    let (_, longer) = pack(&random(precision, 2, 11, &mut rng));
    assert!(matches!(
        multiply::<i64>(&x, &longer),
        Err(MultiplyError::Gemm(GemmError::Length {
            found: 11,
            expected: 10,
            ..
        }))
    ));
    assert!(matches!(
        multiply_into(&x, &w, Level::Portable, &mut [0i64; 5]),
        Err(MultiplyError::Gemm(GemmError::Length {
            found: 5,
            expected: 4,
            ..
        }))
    ));
    // 33,026 * 255 * 255 is just past 2^31 - 1.
    let (x, w) = pack(&random(precision, 1, 33_026, &mut rng));
    let error = multiply::<i32>(&x, &w).unwrap_err();
    assert_eq!(
        error.to_string(),
        "results can be as large as 2147515650, past the 2147483647 of i32; ask for i64 or split the product"
    );
    let (x, w) = pack(&random(precision, 1, 33_025, &mut rng));
    assert!(multiply::<i32>(&x, &w).is_ok());
    for level in Level::ALL {
        let found = multiply_into(&x, &w, level, &mut [0i64]);
        if !level.is_available() {
            assert_eq!(found, Err(MultiplyError::Level(level)));
        }
    }
}

/// 2^28 results are allowed and not one row more; what is refused is refused before there is memory for it.
#[test]
fn too_many_results_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let precision = Precision::new(Encoding::Bipolar, 1);
    let mut pack = |vectors| {
        let operand = random(precision, vectors, 1, &mut rng);
        (
            PackedActivations::pack(&operand),
            PackedWeights::pack(&operand),
        )
    };
    let (x, w) = pack(1 << 14);
    let count = 1 << 28;
    assert!(matches!(
        multiply_into(&x, &w, Level::Portable, &mut [0i64; 1]),
        Err(MultiplyError::Gemm(GemmError::Length { found: 1, expected, .. })) if expected == count
    ));
    let (more, _) = pack((1 << 14) + 1);
    let error = multiply_into(&more, &w, Level::Portable, &mut [0i64; 1]);
    assert!(matches!(
        error,
        Err(MultiplyError::Gemm(GemmError::TooLarge { value, max, .. }))
            if max == count && value == count + (1 << 14)
    ));
}
