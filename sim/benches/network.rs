//! Whole networks: ResNet-18 for 224 x 224 images at the speed of the host.

#[path = "common/resnet18.rs"]
mod resnet18;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use xnorforge_sim::network::execute::execute;

fn resnet18_w2a2(criterion: &mut Criterion) {
    let network = resnet18::network(1);
    let image = resnet18::image(2);
    let mut group = criterion.benchmark_group("resnet18_w2a2");
    group.sample_size(10);
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("a thread pool");
        group.bench_function(format!("results/{threads}_threads"), |b| {
            b.iter(|| pool.install(|| black_box(execute(&network, &image).expect("legal"))));
        });
    }
    group.finish();
}

criterion_group!(benches, resnet18_w2a2);
criterion_main!(benches);
