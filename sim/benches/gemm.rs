//! Packed products beside products of floats.
//!
//! `cargo bench -p xnorforge-sim --bench gemm`; ratios of one run, interleaved, are on the page (`--bench page`).

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use support::floats::Floats;
use support::products::{BITS, Packed};
use support::single_thread;
use xnorforge_sim::multiply::{Level, PackedActivations, PackedWeights};

/// Rows, columns and elements.
const SIZE: usize = 2048;

fn products(criterion: &mut Criterion) {
    let pool = single_thread();
    let mut group = criterion.benchmark_group(format!("{SIZE} x {SIZE} x {SIZE}"));
    group.sample_size(10);
    group.throughput(Throughput::Elements((SIZE as u64).pow(3)));
    let mut results = vec![0; SIZE * SIZE];
    for bits in BITS {
        let product = Packed::random(SIZE, bits);
        for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
            let id = BenchmarkId::new(level.name(), format!("{} x {} bits", bits.0, bits.1));
            group.bench_function(id, |b| {
                b.iter(|| pool.install(|| product.multiply(level, black_box(&mut results))));
            });
        }
    }
    let ones = Packed::random(SIZE, (1, 1));
    let floats = Floats::of(SIZE, ones.activations.values(), ones.weights.values());
    let mut c = vec![0.0; SIZE * SIZE];
    group.bench_function("matrixmultiply", |b| {
        b.iter(|| floats.matrixmultiply(black_box(&mut c)))
    });
    group.bench_function("gemm", |b| b.iter(|| floats.gemm(black_box(&mut c))));
    group.finish();
}

/// The naive loop at a size at which it takes no minute; whole size on the page.
fn naive(criterion: &mut Criterion) {
    const SIZE: usize = 512;
    let mut group = criterion.benchmark_group(format!("{SIZE} x {SIZE} x {SIZE}"));
    group.sample_size(10);
    group.throughput(Throughput::Elements((SIZE as u64).pow(3)));
    let ones = Packed::random(SIZE, (1, 1));
    let floats = Floats::of(SIZE, ones.activations.values(), ones.weights.values());
    let mut c = vec![0.0; SIZE * SIZE];
    group.bench_function("naive", |b| {
        b.iter(|| floats.naive(SIZE, black_box(&mut c)))
    });
    group.finish();
}

fn packing(criterion: &mut Criterion) {
    let pool = single_thread();
    let mut group = criterion.benchmark_group("packing");
    group.sample_size(10);
    group.throughput(Throughput::Elements((SIZE as u64).pow(2)));
    for bits in [1, 2, 8] {
        let product = Packed::random(SIZE, (bits, bits));
        group.bench_function(format!("activations/{bits} bits"), |b| {
            b.iter(|| pool.install(|| PackedActivations::pack(black_box(&product.activations))));
        });
        group.bench_function(format!("weights/{bits} bits"), |b| {
            b.iter(|| pool.install(|| PackedWeights::pack(black_box(&product.weights))));
        });
    }
    group.finish();
}

criterion_group!(benches, products, naive, packing);
criterion_main!(benches);
