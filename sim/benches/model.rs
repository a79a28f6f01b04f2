//! How fast the array is simulated: cycles per second of `step()`, of the driver and of `run()`, beside the
//! Verilated RTL on the same stimulus and the limit that counting bits sets on this machine.
//!
//! `cargo bench -p xnorforge-sim --bench model`; the last lines are ratios measured in one run, interleaved.

use criterion::{Criterion, Throughput};
use multiversion::multiversion;
use std::hint::black_box;
use std::time::{Duration, Instant};
use xnorforge_hdl::{ArrayConfig, Design};
use xnorforge_sim::verilator::{ArrayOptions, VerilatedArray, Verilator};
use xnorforge_sim::{
    Beat, Encoding, Gemm, GemmShape, Inputs, Lowered, Model, Precision, Simulator, StallPlan,
    drive, encoder, run,
};

/// Cycles of one measured batch of `step()`.
const STEPS: u64 = 1024;
/// Data of the popcount limit: 16 KiB, well inside a first-level cache.
const LIMIT_WORDS: usize = 2048;

fn design(preset: &str) -> Design {
    ArrayConfig::preset(preset)
        .and_then(|config| config.validate())
        .expect("presets are legal")
}

/// A product of 2-bit operands.
fn gemm(rows: u64, columns: u64, elements: u64) -> Gemm {
    let shape = GemmShape {
        rows,
        columns,
        elements,
        activation: Precision::new(Encoding::Bipolar, 2),
        weight: Precision::new(Encoding::Signed, 2),
        classes: 1,
    };
    Gemm::random(&shape, 1).expect("the shape is legal")
}

/// The Verilated RTL of a design, as it ships, with the flags that run fastest.
fn rtl(design: &Design) -> VerilatedArray {
    let package = xnorforge_hdl::generate(design).expect("presets can be emitted");
    let verilator = Verilator::find().expect("Verilator and g++ are installed (make setup)");
    let files: Vec<_> = package
        .simulation_files()
        .map(|f| (f.name.clone(), f.text.clone()))
        .collect();
    VerilatedArray::new(&verilator, design, &files, &ArrayOptions::default())
        .expect("the RTL builds")
}

/// A simulator in the middle of an endless stream of tiles.
struct Stream<S> {
    simulator: S,
    beats: Vec<Beat>,
    next: usize,
}

impl<S: Simulator> Stream<S> {
    fn new(design: &Design, simulator: S) -> Self {
        let c = design.config();
        let gemm = gemm(
            2 * u64::from(c.rows),
            c.columns.into(),
            16 * u64::from(c.lanes),
        );
        let lowered = Lowered::new(design, &gemm).expect("the product fits the presets");
        Stream {
            simulator,
            beats: lowered.beats(&lowered.plan().pass(0)).collect(),
            next: 0,
        }
    }

    fn steps(&mut self, cycles: u64) {
        for _ in 0..cycles {
            let inputs = Inputs {
                operand: Some(&self.beats[self.next]),
                result_ready: true,
                ..Inputs::default()
            };
            let outputs = self.simulator.step(&inputs).expect("it never stops");
            if outputs.operand_ready {
                self.next += 1;
                if self.next == self.beats.len() {
                    self.next = 0;
                }
            }
            black_box(outputs);
        }
    }
}

/// Bits of first-level-cache data counted as fast as the machine can.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vpopcntdq+bmi1+bmi2+popcnt",
    "x86_64+avx2+bmi1+bmi2+popcnt",
    "x86_64+popcnt",
))]
fn count_bits(words: &[u64]) -> u64 {
    const SUMS: usize = 64;
    let mut sums = [0; SUMS];
    for block in words.chunks_exact(SUMS) {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum += u64::from(word.count_ones());
        }
    }
    sums.iter().sum()
}

fn limit_words() -> Vec<u64> {
    (1..=LIMIT_WORDS as u64)
        .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect()
}

/// The product that `run()` is measured with, and its cycles on a design.
fn run_product(design: &Design) -> (Gemm, u64) {
    let gemm = gemm(512, 256, 4096);
    let cycles = run(design, &gemm).expect("the product fits").cycles.cycles;
    (gemm, cycles)
}

fn single_thread() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("one thread can be started")
}

fn bench_model(criterion: &mut Criterion) {
    let pool = single_thread();
    for preset in ["default", "large"] {
        let design = design(preset);
        let mut group = criterion.benchmark_group(preset);
        let mut stream = Stream::new(&design, Model::new(&design));
        group.throughput(Throughput::Elements(STEPS));
        group.bench_function("step", |b| b.iter(|| stream.steps(STEPS)));
        let mut verilated = Stream::new(&design, rtl(&design));
        group.bench_function("Verilated RTL", |b| b.iter(|| verilated.steps(STEPS)));

        let c = design.config();
        let small = gemm(8 * u64::from(c.rows), 2 * u64::from(c.columns), 1024);
        let lowered = Lowered::new(&design, &small).expect("the product fits");
        let mut model = Model::new(&design);
        let mut driven = || drive(&mut model, &lowered, &StallPlan::NONE).expect("no hang");
        group.throughput(Throughput::Elements(driven().cycles()));
        group.bench_function("drive", |b| b.iter(&mut driven));

        let (product, cycles) = run_product(&design);
        group.throughput(Throughput::Elements(cycles));
        group.bench_function("run", |b| {
            b.iter(|| pool.install(|| run(&design, &product)));
        });
        group.finish();
    }
}

fn bench_limits(criterion: &mut Criterion) {
    let words = limit_words();
    let mut group = criterion.benchmark_group("popcount limit");
    group.throughput(Throughput::Elements(64 * LIMIT_WORDS as u64));
    group.bench_function("bits", |b| b.iter(|| count_bits(black_box(&words))));
    group.finish();

    let values: Vec<f64> = (0..4096).map(|i| f64::from(i) / 2048.0 - 1.0).collect();
    let mut group = criterion.benchmark_group("encoder");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("quantize to 4 bits", |b| {
        b.iter(|| encoder::quantize(black_box(&values), 4));
    });
    let codes = encoder::quantize(&values, 4).expect("the values are finite");
    group.bench_function("encode 4 bits", |b| {
        b.iter(|| encoder::Branches::encode(Encoding::Bipolar, 4, black_box(&codes)));
    });
    group.finish();
}

/// Shortest of several times of each job, taken in turn so that noise hits all alike.
fn shortest_times(jobs: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; jobs.len()];
    for _ in 0..200 {
        for (job, best) in jobs.iter_mut().zip(&mut best) {
            let start = Instant::now();
            job();
            *best = start.elapsed().min(*best);
        }
    }
    best
}

/// Prints rates and the share of the popcount limit that each reaches.
fn print_ratios() {
    const LIMIT_REPEATS: u64 = 200;
    let words = limit_words();
    let pool = single_thread();
    for preset in ["default", "large"] {
        let design = design(preset);
        let c = design.config();
        let pairs_per_cycle = f64::from(c.rows * c.columns * c.lanes);
        let mut stream = Stream::new(&design, Model::new(&design));
        let mut verilated = Stream::new(&design, rtl(&design));
        let (product, cycles) = run_product(&design);
        let times = shortest_times(&mut [
            &mut || stream.steps(STEPS),
            &mut || {
                black_box(pool.install(|| run(&design, &product)).expect("it fits"));
            },
            &mut || {
                for _ in 0..LIMIT_REPEATS {
                    black_box(count_bits(black_box(&words)));
                }
            },
            &mut || verilated.steps(STEPS),
        ]);
        let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
        let limit = rate(LIMIT_REPEATS * 64 * LIMIT_WORDS as u64, times[2]);
        println!("{preset}: popcount limit {:.3e} bits/s", limit);
        let rtl_rate = rate(STEPS, times[3]);
        for (name, cycles, time) in [
            ("Verilated RTL", STEPS, times[3]),
            ("step", STEPS, times[0]),
            ("run", cycles, times[1]),
        ] {
            let rate = rate(cycles, time);
            println!(
                "{preset}: {name} {rate:.3e} cycles/s = {:.0} times the RTL, {:.3e} binary operation pairs/s = {:.3} of the popcount limit",
                rate / rtl_rate,
                rate * pairs_per_cycle,
                rate * pairs_per_cycle / limit
            );
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    bench_model(&mut criterion);
    bench_limits(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` only checks that the benches run.
    if !std::env::args().any(|argument| argument == "--test") {
        print_ratios();
    }
}
