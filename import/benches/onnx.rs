//! Reading an ONNX file of 50 MB: the time, and the most memory that a process takes for it.
//!
//! The limits of both are checked: 1 s and 300 MB.

#[path = "../tests/onnx/build.rs"]
mod build;

use build::{LAYERS_50_MB, convolutions, peak_bytes};
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use xnorforge_import::onnx::{self, Limits};

const TIME_MAX: Duration = Duration::from_secs(1);
const PEAK_MAX: u64 = 300_000_000;

/// Names the file for a process that reads it once and prints its time and its peak.
const FILE: &str = "XNORFORGE_BENCH_ONNX_FILE";

fn main() {
    match std::env::var_os(FILE) {
        Some(path) => read_once(Path::new(&path)),
        None => benchmark(),
    }
}

fn read_once(path: &Path) {
    let start = Instant::now();
    let graph = onnx::read(path, &Limits::default()).expect("legal");
    let time = start.elapsed();
    let peak = peak_bytes().unwrap_or(0);
    println!(
        "{} nodes in {time:?}, peak {:.1} MB",
        graph.nodes.len(),
        peak as f64 / 1e6
    );
    assert!(time < TIME_MAX, "{time:?} is more than {TIME_MAX:?}");
    assert!(peak < PEAK_MAX, "{peak} bytes are more than {PEAK_MAX}");
}

fn benchmark() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    let bytes = convolutions(LAYERS_50_MB).bytes();
    let size = bytes.len() as u64;
    std::fs::write(&path, bytes).expect("a file");
    let status = Command::new(std::env::current_exe().expect("this program"))
        .env(FILE, &path)
        .status();
    assert!(status.expect("it runs").success());
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("onnx");
    group.sample_size(20).throughput(Throughput::Bytes(size));
    group.bench_function("read_50_mb", |b| {
        b.iter(|| black_box(onnx::read(&path, &Limits::default()).expect("legal")));
    });
    group.finish();
    criterion.final_summary();
}
