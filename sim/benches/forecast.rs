//! Forecasts of ResNet-18 W2A2 for 224 x 224 images on many configurations, each one another: evaluations per second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use std::hint::black_box;
use xnorforge_hdl::ArrayConfig;
use xnorforge_import::topology::{Widths, builtin};
use xnorforge_sim::forecast::{Forecaster, Memo};

/// Configurations that one memo serves.
const CHUNK: usize = 512;

/// Every combination, rows last: they have most in common.
fn configs() -> Vec<ArrayConfig> {
    let base = ArrayConfig::preset("small").expect("a preset");
    let mut configs = Vec::new();
    for lanes in [64, 96, 128, 192, 256] {
        for columns in [4, 8, 12, 16, 24, 32] {
            for drain_columns in [1, 2, 4] {
                for (activation_branches, weight_branches) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                    for rows in (2..=48).step_by(2) {
                        let mut config = ArrayConfig {
                            rows,
                            columns,
                            lanes,
                            activation_branches,
                            weight_branches,
                            ..base.clone()
                        };
                        config.accelerator.drain_columns = drain_columns;
                        configs.push(config);
                    }
                }
            }
        }
    }
    configs
}

/// The sum of all points' cycles: memories sized, images chosen, every layer's cycles by cause.
fn sweep(forecaster: &Forecaster, configs: &[ArrayConfig]) -> u64 {
    let chunks = configs.par_chunks(CHUNK).map(|configs| {
        let mut memo = Memo::default();
        let cycles = configs.iter().map(|config| {
            let design = forecaster.sized(&mut memo, config).expect("it fits");
            let forecast = forecaster.cycles(&mut memo, &design, 1).expect("it fits");
            forecast.total()
        });
        cycles.sum::<u64>()
    });
    chunks.sum()
}

fn resnet18(criterion: &mut Criterion) {
    let widths = Widths {
        activation: Some(2),
        weight: Some(2),
        ends: None,
    };
    let topology = builtin::topology("resnet18", &widths).expect("built in");
    let outlines = topology.expect("legal").outlines().expect("legal");
    let forecaster = Forecaster::new(&outlines[0]);
    let configs = configs();
    let mut group = criterion.benchmark_group("forecast_resnet18");
    group.sample_size(10);
    group.throughput(Throughput::Elements(configs.len() as u64));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("a thread pool");
        group.bench_function(format!("sweep/{threads}_threads"), |b| {
            b.iter(|| pool.install(|| black_box(sweep(&forecaster, &configs))));
        });
    }
    group.finish();
}

criterion_group!(benches, resnet18);
criterion_main!(benches);
