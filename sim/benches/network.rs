//! Whole networks: results and cycles of ResNet-18 W2A2 for 224 x 224 images on `large`.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use support::network::ResNet;

fn resnet18_w2a2(criterion: &mut Criterion) {
    let resnet = ResNet::new();
    let mut group = criterion.benchmark_group("resnet18_w2a2");
    group.sample_size(10);
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("a thread pool");
        group.bench_function(format!("run/{threads}_threads"), |b| {
            b.iter(|| pool.install(|| black_box(resnet.run())));
        });
    }
    group.finish();
}

criterion_group!(benches, resnet18_w2a2);
criterion_main!(benches);
