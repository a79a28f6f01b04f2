//! The executor against what QONNX's executor and ONNX Runtime gave for the real cases.

use ndarray::{ArrayD, IxDyn};
use std::path::{Path, PathBuf};
use xnorforge_import::npy::{ArrayFile, Elements};
use xnorforge_import::onnx::{self, Limits};
use xnorforge_import::{Graph, Observe, execute};

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testbenches/cases")
        .join(case)
}

fn graph(case: &str, file: &str) -> Graph {
    onnx::read(&folder(case).join(file), &Limits::default()).unwrap()
}

/// An array of a case's `test.npz`.
fn array(case: &str, name: &str) -> ArrayD<f32> {
    let file = ArrayFile::open(&folder(case).join("test.npz")).unwrap();
    let array = file.read(name).unwrap();
    let numbers: Vec<f32> = match &array.elements {
        Elements::Int(values) => values.iter().map(|v| *v as f32).collect(),
        Elements::Float(values) => values.iter().map(|v| *v as f32).collect(),
    };
    ArrayD::from_shape_vec(IxDyn(&array.shape), numbers).unwrap()
}

/// An input in the shape that the graph takes, but for the batch.
fn shaped(graph: &Graph, input: ArrayD<f32>) -> ArrayD<f32> {
    let mut shape = graph.shapes[&graph.inputs[0]].clone();
    shape[0] = input.shape()[0];
    input.into_shape_with_order(shape).unwrap()
}

fn largest_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// Logits of every form of a Brevitas network. The sums of `logits_f32` were accumulated in 32 bits; those of c2 have a
/// scale that is no power of two, so they differ by a few units of the last place.
#[test]
fn logits_of_brevitas_networks() {
    for (case, files, bound) in [
        (
            "c2_bv_cnn_w2a2",
            &[
                "model.onnx",
                "model_ts.onnx",
                "model_clean.onnx",
                "model_qcdq.onnx",
            ][..],
            4e-6,
        ),
        (
            "c5_bv_res_w3a3",
            &["model.onnx", "model_ts.onnx", "model_clean.onnx"],
            0.0,
        ),
    ] {
        let expected = array(case, "logits_f32");
        for file in files {
            let graph = graph(case, file);
            let input = shaped(&graph, array(case, "x"));
            let values = execute(&graph, &input, Observe::Outputs).unwrap();
            let found = &values[&graph.outputs[0]];
            let difference = largest_difference(found, &expected);
            assert!(difference <= bound, "{case}/{file}: {difference}");
        }
    }
}

/// Codes of every activation quantizer, sum and truncation: value / scale, which is what `test.npz` holds.
#[test]
fn codes_of_brevitas_networks() {
    for case in ["c2_bv_cnn_w2a2", "c5_bv_res_w3a3"] {
        let graph = graph(case, "model_clean.onnx");
        let input = shaped(&graph, array(case, "x"));
        let values = execute(&graph, &input, Observe::All).unwrap();
        let meta = std::fs::read_to_string(folder(case).join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
        let mut compared = 0;
        for tensor in meta["tensors"].as_array().unwrap() {
            let (Some(scale), "activation") = (
                tensor["scale"][0].as_f64(),
                tensor["kind"].as_str().unwrap(),
            ) else {
                continue;
            };
            let expected = array(case, tensor["key"].as_str().unwrap());
            let found = &values[tensor["tensor"].as_str().unwrap()];
            for (code, value) in expected.iter().zip(found) {
                assert_eq!(
                    *code,
                    (f64::from(*value) / scale).round() as f32,
                    "{case} {}",
                    tensor["key"]
                );
            }
            compared += expected.len();
        }
        assert!(compared > 100_000, "{case}: {compared}");
    }
}

/// The paper's encoding, as half-integer zero points and as thresholds: integers of every layer.
#[test]
fn accumulators_of_odd_networks() {
    for (case, logits) in [("a_mlp_odd_w2a2", "l3_acc"), ("b_cnn_odd_mixed", "l3_acc")] {
        let expected = array(case, logits);
        let graph = graph(case, "model_thr.onnx");
        let input = shaped(&graph, array(case, "x_codes"));
        let values = execute(&graph, &input, Observe::Outputs).unwrap();
        let found = &values[&graph.outputs[0]];
        assert_eq!(largest_difference(found, &expected), 0.0, "{case}");
    }
}

#[test]
fn logits_of_odd_networks() {
    for case in ["a_mlp_odd_w2a2", "b_cnn_odd_mixed"] {
        let meta = std::fs::read_to_string(folder(case).join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
        let layers = meta["layers"].as_array().unwrap();
        let scale = layers.last().unwrap()["acc_scale"].as_f64().unwrap() as f32;
        let expected = array(case, "l3_acc").mapv(|acc| acc * scale);
        let graph = graph(case, "model_quant.onnx");
        let pixels = array(case, "pixels").mapv(|pixel| pixel / 8.0 - 1.0);
        let values = execute(&graph, &shaped(&graph, pixels), Observe::Outputs).unwrap();
        let difference = largest_difference(&values[&graph.outputs[0]], &expected);
        assert!(difference < 1e-5, "{case}: {difference}");
    }
}
