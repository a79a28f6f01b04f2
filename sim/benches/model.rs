//! How fast the array is simulated: cycles per second of `step()`, of the driver and of `run()`, beside the
//! Verilated RTL on the same stimulus and the limit that counting bits sets on this machine.
//!
//! `cargo bench -p xnorforge-sim --bench model`; ratios of one run, interleaved, are on the page (`--bench page`).

mod support;

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use support::limit::{Limit, WORDS};
use support::simulation::{STEPS, Stream, design, gemm, rtl, run_product};
use support::single_thread;
use xnorforge_sim::{Encoding, Lowered, Model, StallPlan, drive, encoder, run};

fn bench_model(criterion: &mut Criterion) {
    let pool = single_thread();
    for preset in ["small", "default", "large"] {
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
    let limit = Limit::new();
    let mut group = criterion.benchmark_group("popcount limit");
    group.throughput(Throughput::Elements(64 * WORDS as u64));
    group.bench_function("bits", |b| b.iter(|| limit.count_once()));
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

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    bench_model(&mut criterion);
    bench_limits(&mut criterion);
    criterion.final_summary();
}
