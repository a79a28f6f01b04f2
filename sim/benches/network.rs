//! Whole networks: results and cycles of ResNet-18 W2A2 for 224 x 224 images on `large`.

#[path = "../tests/common/resnet.rs"]
mod resnet;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::Tensor;
use xnorforge_sim::program::{Program, run};

fn resnet18_w2a2(criterion: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = resnet::resnet18(1, 224, 2, 2);
    let mut image = Tensor::zeros(1, network.input);
    image.values.fill_with(|| rng.random_range(0..256));
    let design = ArrayConfig::preset("large").and_then(|config| config.validate());
    let design = AcceleratorDesign::new(&design.expect("legal")).expect("legal");
    let program = Program::compile(&design, 1, &network).expect("it fits");
    let mut group = criterion.benchmark_group("resnet18_w2a2");
    group.sample_size(10);
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("a thread pool");
        group.bench_function(format!("run/{threads}_threads"), |b| {
            b.iter(|| pool.install(|| black_box(run(&program, &network, &image).expect("legal"))));
        });
    }
    group.finish();
}

criterion_group!(benches, resnet18_w2a2);
criterion_main!(benches);
