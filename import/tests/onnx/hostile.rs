//! Small files that ask for endless work of the lowering: it ends, and takes little memory.

use super::build::{Build, peak_bytes};
use std::process::Command;
use xnorforge_import::{Graph, LowerError, Model, Options, lower};

/// What each of these may take, the test's own graph included.
const PEAK_MAX: u64 = 1_500_000_000;
/// Names the graph for [`child_lowers_a_graph`].
const GRAPH: &str = "XNORFORGE_HOSTILE_GRAPH";

/// A product of integers with so many output channels, named `c`.
fn product(channels: i64) -> Build {
    Build::new(&[1, 1])
        .quant("x", "q", [1.0, 0.0, 8.0], [0, 0])
        .fill("w", &[1, channels], 1.0)
        .node("MatMul", &["q", "w"], "c", &[])
}

/// So many operations behind each other, with one number for each channel; the last gives `last`.
fn chain(mut model: Build, steps: usize, constant: &str, last: &str) -> Build {
    let mut from = "c".to_owned();
    for step in 1..=steps {
        let to = match step == steps {
            true => last.to_owned(),
            false => format!("m{step}"),
        };
        model = model.node("Mul", &[&from, constant], &to, &[]);
        from = to;
    }
    model
}

fn varied(model: Build, name: &str, channels: i64, scale: f32) -> Build {
    let values: Vec<f32> = (0..channels)
        .map(|c| scale * (1.0 + c as f32 / 1024.0))
        .collect();
    model.floats(name, &[1, channels], &values)
}

/// A long chain that tens of thousands read, each for nothing.
fn readers() -> Graph {
    let mut model = chain(varied(product(64), "k", 64, 0.5), 200, "k", "m");
    for reader in 0..40_000 {
        model = model.node("Relu", &["m"], &format!("r{reader}"), &[]);
    }
    model
        .node("Relu", &["m"], "s", &[])
        .quant("s", "y", [1.0, 0.0, 2.0], [0, 0])
        .read()
}

/// The most levels of the most channels behind the most operations.
fn levels() -> Graph {
    let channels = 65_535;
    let model = varied(product(channels), "k", channels, 1.0);
    let model = chain(model, 200, "k", "m");
    model.quant("m", "y", [0.125, 0.0, 8.0], [0, 0]).read()
}

/// Exact numbers of tens of thousands of bits.
fn digits() -> Graph {
    let model = varied(product(4096), "k", 4096, 1.1e-38);
    let model = chain(model, 250, "k", "m");
    model.quant("m", "y", [1.0, 0.0, 8.0], [0, 0]).read()
}

/// One constant of many numbers, copied by every node that has another name for it.
fn copies() -> Graph {
    let mut model = Build::new(&[1, 1])
        .quant("x", "q", [1.0, 0.0, 8.0], [0, 0])
        .fill("w", &[1, 1 << 20], 1.0)
        .quant("w", "w0", [1.0, 0.0, 2.0], [1, 1]);
    for copy in 1..20_000 {
        let (from, to) = (format!("w{}", copy - 1), format!("w{copy}"));
        model = model.node("Neg", &[&from], &to, &[]);
    }
    model.node("MatMul", &["q", "w19999"], "y", &[]).read()
}

/// Many outputs, and a name that nothing gives.
fn outputs() -> Graph {
    let mut model = product(4);
    for output in 0..60_000 {
        model = model.node("Relu", &["c"], &format!("r{output}"), &[]);
    }
    for output in 0..60_000 {
        model = model.output(&format!("r{output}"));
    }
    model.quant("c", "y", [1.0, 0.0, 2.0], [0, 0]).read()
}

type Named = (&'static str, fn() -> Graph);

const GRAPHS: [Named; 5] = [
    ("readers", readers),
    ("levels", levels),
    ("digits", digits),
    ("copies", copies),
    ("outputs", outputs),
];

#[test]
fn endless_work_is_refused_or_done() {
    for (name, _) in GRAPHS {
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["--exact", "hostile::child_lowers_a_graph", "--nocapture"]);
        let output = child.env(GRAPH, name).output().expect("this test runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}");
        let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
        let peak: u64 = line("peak bytes: ")
            .and_then(|p| p.parse().ok())
            .expect("a peak");
        println!("{name}: {peak} bytes");
        assert!(peak < PEAK_MAX, "{name}: {peak} bytes");
        let result = line("result: ").expect("a result");
        println!("{name}: {result}");
        match name {
            "levels" | "digits" | "copies" => {
                assert!(result.contains("takes more work"), "{result}")
            }
            "readers" => assert_eq!(result, "1 layers"),
            _ => assert!(!result.ends_with(" layers"), "{result}"),
        }
    }
}

/// Does nothing unless [`endless_work_is_refused_or_done`] starts it.
#[test]
fn child_lowers_a_graph() {
    let Ok(name) = std::env::var(GRAPH) else {
        return;
    };
    let (_, graph) = GRAPHS.iter().find(|(n, _)| *n == name).expect("a graph");
    let result: Result<Model, LowerError> = lower(&graph(), &Options::default());
    let result = match result {
        Ok(model) => format!("{} layers", model.network.layers.len()),
        Err(error) => error.to_string(),
    };
    // Where the system does not say, nothing is checked.
    println!(
        "\nresult: {result}\npeak bytes: {}",
        peak_bytes().unwrap_or(0)
    );
}
