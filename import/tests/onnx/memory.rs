//! Memory of an import, measured in a process of its own.

use super::build::{LAYERS_50_MB, convolutions, peak_bytes};
use std::path::Path;
use std::process::Command;
use xnorforge_import::onnx::{self, Limits};

/// What an import of 50 MB may take.
const PEAK_MAX: u64 = 300_000_000;

/// Names the file for [`child_reads_a_file`].
const FILE: &str = "XNORFORGE_ONNX_MEMORY_FILE";

#[test]
fn fifty_megabytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    let bytes = convolutions(LAYERS_50_MB).bytes();
    assert!(
        (50_000_000..60_000_000).contains(&bytes.len()),
        "{}",
        bytes.len()
    );
    std::fs::write(&path, bytes).expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "memory::child_reads_a_file", "--nocapture"])
        .env(FILE, &path);
    let output = child.output().expect("this test runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let peak = text
        .lines()
        .find_map(|line| line.strip_prefix("peak bytes: "));
    let peak: u64 = peak
        .and_then(|peak| peak.parse().ok())
        .unwrap_or_else(|| panic!("no peak in {text}"));
    println!("{peak} bytes");
    assert!(peak < PEAK_MAX, "{peak} bytes");
}

/// Does nothing unless [`fifty_megabytes`] starts it.
#[test]
fn child_reads_a_file() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let graph =
        onnx::read(Path::new(&path), &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(graph.nodes.len(), 5 * LAYERS_50_MB);
    // Where the system does not say, nothing is checked.
    println!("\npeak bytes: {}", peak_bytes().unwrap_or(0));
}
