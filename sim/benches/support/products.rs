//! Packed products beside products of floats and the limits of the machine, in one run.

use super::floats::Floats;
use super::limit::{COUNTED, Limit};
use super::{rounded, shortest_times, shortest_wall_times, single_thread, table};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::Duration;
use xnorforge_sim::multiply::{Level, PackedActivations, PackedWeights, multiply_into};
use xnorforge_sim::{Encoding, Operand, Precision};

/// M and K that are measured.
pub const BITS: [(u32, u32); 5] = [(1, 1), (1, 2), (2, 2), (4, 4), (8, 8)];
/// Rows of the naive loop in one turn; the others take as long each.
const NAIVE_ROWS: usize = 32;
/// Turns of everything, and of the naive loop.
const ROUNDS: usize = 12;
const NAIVE_ROUNDS: usize = 3;

/// A packed square product.
pub struct Packed {
    pub bits: (u32, u32),
    pub activations: Operand,
    pub weights: Operand,
    pub x: PackedActivations,
    pub w: PackedWeights,
}

impl Packed {
    /// Of random `bipolar` numbers.
    pub fn random(size: usize, bits: (u32, u32)) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut operand = |name, bits| {
            let precision = Precision::new(Encoding::Bipolar, bits);
            Operand::random(name, precision, size, size, &mut rng).expect("legal")
        };
        let (activations, weights) = (operand("activations", bits.0), operand("weights", bits.1));
        Packed {
            x: PackedActivations::pack(&activations),
            w: PackedWeights::pack(&weights),
            bits,
            activations,
            weights,
        }
    }

    /// Multiplies.
    pub fn multiply(&self, level: Level, results: &mut [i32]) {
        multiply_into(&self.x, &self.w, level, results).expect("legal");
    }

    /// Packs the activations, then multiplies.
    fn pack_and_multiply(&self, results: &mut [i32]) {
        let x = PackedActivations::pack(black_box(&self.activations));
        multiply_into(&x, &self.w, Level::best(), results).expect("legal");
    }

    /// Bytes of both operands.
    fn bytes(&self) -> usize {
        self.x.bytes() + self.w.bytes()
    }
}

/// Times of one size.
struct Times {
    limit: Duration,
    naive: Duration,
    naive_swapped: Duration,
    matrixmultiply: Duration,
    gemm: Duration,
    packed: Vec<PackedTimes>,
    /// The first product at each level.
    levels: Vec<(Level, Duration)>,
}

struct PackedTimes {
    one_thread: Duration,
    all_threads: Duration,
    with_packing: Duration,
}

/// Measures products of `size` x `size` x `size` numbers and gives the section of the page.
pub fn section(size: usize) -> String {
    let packed = BITS.map(|bits| Packed::random(size, bits));
    let ones = &packed[0];
    let floats = Floats::of(size, ones.activations.values(), ones.weights.values());
    check(&floats, ones);
    let times = measure(&floats, &packed);
    report(size, &packed, &times)
}

/// What is compared must compute the same.
fn check(floats: &Floats, ones: &Packed) {
    let size = floats.size;
    let mut expected = vec![0.0; size * size];
    let mut found = vec![0.0; size * size];
    let mut results = vec![0; size * size];
    floats.matrixmultiply(&mut expected);
    floats.gemm(&mut found);
    assert!(found == expected, "gemm and matrixmultiply differ");
    floats.naive(2, &mut found);
    assert!(found == expected, "the naive loop differs");
    floats.naive_swapped(2, &mut found);
    assert!(found == expected, "the naive loop of swapped b differs");
    for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
        ones.multiply(level, &mut results);
        let equal = results.iter().zip(&expected).all(|(r, e)| *r as f32 == *e);
        assert!(equal, "{level} differs from the floats");
    }
}

/// All of it on one thread that never waits for another, but for the last times.
fn measure(floats: &Floats, packed: &[Packed]) -> Times {
    let mut times = single_thread().install(|| measure_one_thread(floats, packed));
    let mut results = vec![0; floats.size * floats.size];
    for (times, product) in times.packed.iter_mut().zip(packed) {
        let mut job = || product.multiply(Level::best(), black_box(&mut results));
        times.all_threads = shortest_wall_times(ROUNDS, &mut [&mut job])[0];
    }
    times
}

fn measure_one_thread(floats: &Floats, packed: &[Packed]) -> Times {
    let size = floats.size;
    let rows = NAIVE_ROWS.min(size);
    let limit = Limit::new();
    // Memory of its own for each job, so that none finds it warmer than another.
    let memory = || vec![0.0; size * size];
    let (mut c1, mut c2, mut c3, mut c4) = (memory(), memory(), memory(), memory());
    let (mut r1, mut r2) = (vec![0; size * size], vec![0; size * size]);
    let naive = shortest_times(
        NAIVE_ROUNDS,
        &mut [&mut || floats.naive(rows, black_box(&mut c1)), &mut || {
            floats.naive_swapped(rows, black_box(&mut c2))
        }],
    );
    let of_products: Vec<Vec<Duration>> = packed
        .iter()
        .map(|product| {
            let mut jobs: [&mut dyn FnMut(); 6] = [
                &mut || limit.ports(),
                &mut || limit.count(),
                &mut || floats.matrixmultiply(black_box(&mut c3)),
                &mut || floats.gemm(black_box(&mut c4)),
                &mut || product.multiply(Level::best(), black_box(&mut r1)),
                &mut || product.pack_and_multiply(black_box(&mut r2)),
            ];
            shortest_times(ROUNDS, &mut jobs)
        })
        .collect();
    let levels = Level::ALL.into_iter().filter(|l| l.is_available());
    let levels = levels.map(|level| {
        let mut job = || packed[0].multiply(level, black_box(&mut r1));
        (level, shortest_times(ROUNDS, &mut [&mut job])[0])
    });
    let shortest = |job: usize| {
        let times = of_products.iter().map(|times| times[job]);
        times.min().expect("products were measured")
    };
    let whole = |time: Duration| time * (size / rows) as u32;
    Times {
        limit: shortest(0).min(shortest(1)),
        naive: whole(naive[0]),
        naive_swapped: whole(naive[1]),
        matrixmultiply: shortest(2),
        gemm: shortest(3),
        levels: levels.collect(),
        packed: of_products
            .iter()
            .map(|times| PackedTimes {
                one_thread: times[4],
                with_packing: times[5],
                all_threads: Duration::MAX,
            })
            .collect(),
    }
}

fn report(size: usize, packed: &[Packed], times: &Times) -> String {
    let macs = (size as f64).powi(3);
    let limit = 64.0 * COUNTED as f64 / times.limit.as_secs_f64();
    let best = times.gemm.min(times.matrixmultiply);
    let over = |a: Duration, b: Duration| rounded(a.as_secs_f64() / b.as_secs_f64());
    let milliseconds = |time: Duration| rounded(1e3 * time.as_secs_f64());
    let rows: Vec<Vec<String>> = packed
        .iter()
        .zip(&times.packed)
        .map(|(product, t)| {
            let (m, k) = product.bits;
            let pairs = macs * f64::from(m * k) / t.one_thread.as_secs_f64();
            vec![
                format!("{m} x {k}"),
                over(times.naive, t.one_thread),
                over(times.naive_swapped, t.one_thread),
                over(best, t.one_thread),
                over(best, t.with_packing),
                rounded(pairs / limit),
                rounded((2 * 4 * size * size) as f64 / product.bytes() as f64),
                milliseconds(t.one_thread),
                milliseconds(t.with_packing),
                milliseconds(t.all_threads),
            ]
        })
        .collect();
    let head = [
        "bits",
        "times the naive loop",
        "times the naive loop, `b` swapped",
        "times the best float GEMM",
        "the same, packing of activations timed too",
        "operation pairs/s by the popcount limit",
        "memory of floats by packed",
        "ms",
        "ms with packing",
        "ms, all threads, by the wall",
    ];
    let floats: Vec<Vec<String>> = [
        ("naive loop i, j, k", times.naive),
        ("naive loop i, j, k, `b` swapped", times.naive_swapped),
        ("crate `matrixmultiply`", times.matrixmultiply),
        ("crate `gemm`", times.gemm),
    ]
    .into_iter()
    .map(|(name, time)| {
        let rate = macs / time.as_secs_f64();
        vec![
            name.to_owned(),
            over(time, best),
            milliseconds(time),
            rounded(rate),
        ]
    })
    .collect();
    let levels: Vec<Vec<String>> = times
        .levels
        .iter()
        .map(|(level, time)| vec![level.to_string(), over(best, *time), milliseconds(*time)])
        .collect();
    format!(
        "### Products of {size} x {size} x {size}, one core\n\n{}\n\
         The limit is {} bits/s: the popcount's ports, counting registers and nothing else. A pair bit stands for two\n\
         operation pairs, so it would allow 2.\n\n{}\n{}",
        table(&head, &rows),
        rounded(limit),
        table(
            &[
                "floats, one core",
                "by the best",
                "ms",
                "multiply-accumulates/s"
            ],
            &floats
        ),
        table(
            &["level, 1 x 1 bits", "times the best float GEMM", "ms"],
            &levels
        ),
    )
}
