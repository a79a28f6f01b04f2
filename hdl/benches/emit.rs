//! How long generating takes, and how many bytes it gives, by array size: `cargo bench -p xnorforge-hdl`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use xnorforge_hdl::{ArrayConfig, Design, generate};

fn design(size: u32, lanes: u32) -> Design {
    ArrayConfig {
        rows: size,
        columns: size,
        lanes,
        activation_bits: 8,
        weight_bits: 8,
        ..ArrayConfig::default()
    }
    .validate()
    .expect("the sizes are legal")
}

fn bench_generate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generate");
    group.sample_size(10);
    for (size, lanes) in [(1, 64), (8, 64), (16, 256), (32, 256), (64, 256)] {
        let design = design(size, lanes);
        let package = generate(&design).expect("every valid design can be emitted");
        let bytes: usize = package.files.iter().map(|f| f.text.len()).sum();
        println!("{size} x {size} x {lanes}: {bytes} bytes");
        let id = BenchmarkId::from_parameter(format!("{size}x{size}x{lanes}"));
        group.bench_with_input(id, &design, |b, design| {
            b.iter(|| generate(black_box(design)));
        });
    }
    group.finish();
}

criterion_group!(benches, bench_generate);
criterion_main!(benches);
