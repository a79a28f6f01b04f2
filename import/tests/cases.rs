//! Every ONNX file of the real cases: lowered, all stored integers of every layer are met by the reference executor, and the
//! accuracy is that of the case's README.
//!
//! Images: UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak), CC BY 4.0; see the cases' READMEs.

use npyz::{DType, NpyFile, npz::NpzArchive};
use std::collections::HashSet;
use std::path::PathBuf;
use xnorforge_import::graph::{Graph, Op};
use xnorforge_import::model::Model;
use xnorforge_import::{Options, lower, onnx};
use xnorforge_sim::network::{Tensor, TensorId, reference};
use xnorforge_sim::{Encoding, Precision};

const IMAGES: usize = 200;

fn path(case: &str, file: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/cases");
    PathBuf::from(root).join(case).join(file)
}

/// An array of numbers.
fn array(case: &str, file: &str, name: &str) -> Vec<f64> {
    let mut archive = NpzArchive::open(path(case, file)).unwrap();
    let npy: NpyFile<_> = archive.by_name(name).unwrap().unwrap();
    let DType::Plain(kind) = npy.dtype() else {
        panic!("{name} is a record");
    };
    match kind
        .to_string()
        .trim_start_matches(['<', '|', '>', '\''])
        .trim_end_matches('\'')
    {
        "i1" => npy
            .into_vec::<i8>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        "u1" => npy
            .into_vec::<u8>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        "i2" => npy
            .into_vec::<i16>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        "i4" => npy
            .into_vec::<i32>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        "f4" => npy
            .into_vec::<f32>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        other => panic!("{name} holds {other}"),
    }
}

/// Integers of a tensor of the network in the file's order: image, channel, line, pixel.
fn channels_first(tensor: &Tensor) -> Vec<f64> {
    let shape = tensor.shape;
    let mut values = Vec::with_capacity(tensor.values.len());
    for image in 0..tensor.images {
        for c in 0..shape.channels as usize {
            for y in 0..shape.height as usize {
                for x in 0..shape.width as usize {
                    values.push(tensor.at(image, y, x, c) as f64);
                }
            }
        }
    }
    values
}

/// Names of the activations that nodes of some kind give.
fn outputs(graph: &Graph, is_kind: impl Fn(&Op) -> bool) -> Vec<String> {
    let mut activations: HashSet<&String> = graph.inputs.iter().collect();
    let mut found = Vec::new();
    for node in &graph.nodes {
        if !node.inputs.iter().any(|name| activations.contains(name)) {
            continue;
        }
        activations.insert(&node.output);
        if is_kind(&node.op) {
            found.push(node.output.clone());
        }
    }
    found
}

struct Case {
    folder: &'static str,
    file: &'static str,
    /// Inputs as the file takes them.
    input: Vec<f32>,
    precision: Option<Precision>,
    /// Layers of the lowered network.
    layers: usize,
    accuracy: f64,
}

struct Ran {
    graph: Graph,
    model: Model,
    input: Tensor,
    trace: reference::Trace,
}

impl Case {
    fn run(&self) -> Ran {
        let graph = onnx::read(&path(self.folder, self.file), &onnx::Limits::default()).unwrap();
        let options = Options {
            exact: true,
            input: self.precision,
        };
        let model = lower(&graph, &options).unwrap();
        assert_eq!(model.network.layers.len(), self.layers, "{}", self.file);
        for fold in &model.folds {
            assert!(fold.is_exact && fold.accumulators_wrong == 0, "{fold:?}");
        }
        let input = model.input.tensor(&self.input).unwrap();
        assert_eq!(input.images, IMAGES);
        let trace = reference::execute(&model.network, &input).unwrap();
        let ran = Ran {
            graph,
            model,
            input,
            trace,
        };
        assert_eq!(ran.accuracy(self.folder), self.accuracy, "{}", self.file);
        ran
    }
}

impl Ran {
    /// Integers of a tensor of the file.
    fn integers(&self, name: &str) -> Vec<f64> {
        let rule = self.model.tensors.iter().find(|rule| rule.name == name);
        let rule =
            rule.unwrap_or_else(|| panic!("no integers of {name}: {:?}", self.model.tensors));
        channels_first(match (rule.tensor, rule.is_accumulator) {
            (TensorId::Input, _) => &self.input,
            (TensorId::Layer(layer), true) => &self.trace.accumulators[layer],
            (TensorId::Layer(layer), false) => &self.trace.outputs[layer],
        })
    }

    fn expect(&self, case: &str, name: &str, key: &str) {
        let stored = array(case, "test.npz", key);
        assert!(
            self.integers(name) == stored,
            "{case}: `{name}` is not {key}"
        );
    }

    fn accuracy(&self, case: &str) -> f64 {
        let labels = array(case, "test.npz", "labels");
        let outputs = self.trace.of_network(&self.model.network, &self.input);
        let (output, rule) = (&outputs[0], &self.model.outputs[0]);
        let classes = output.shape.len();
        let is_right = |image: usize| {
            let real = |c: &usize| rule.real(*c, output.values[image * classes + c]);
            // The first of equal ones wins.
            let best = (0..classes)
                .rev()
                .max_by(|a, b| real(a).total_cmp(&real(b)));
            best == Some(labels[image] as usize)
        };
        (0..IMAGES).filter(|i| is_right(*i)).count() as f64 / IMAGES as f64
    }
}

fn pixels(case: &str, rule: impl Fn(f32) -> f32) -> Vec<f32> {
    let stored = array(case, "test.npz", "pixels");
    stored.into_iter().map(|v| rule(v as f32)).collect()
}

fn codes(case: &str) -> Vec<f32> {
    let stored = array(case, "test.npz", "x_codes");
    stored.into_iter().map(|v| v as f32).collect()
}

/// Products and quantizers of the odd-integer cases against the stored arrays. The FINN form has the thresholds' signs in its
/// weights, so that its accumulators have them too.
fn check_odd(case: &Case, keys: &[(&str, &str)], pools: &[&str], are_signed: bool) {
    let ran = case.run();
    let is_product = |op: &Op| matches!(op, Op::Conv { .. } | Op::Gemm { .. } | Op::MatMul);
    let is_quantizer = |op: &Op| {
        matches!(
            op,
            Op::Quant { .. } | Op::BipolarQuant | Op::MultiThreshold { .. }
        )
    };
    let products = outputs(&ran.graph, is_product);
    let mut quantizers = outputs(&ran.graph, is_quantizer);
    if case.precision.is_none() {
        let input = quantizers.remove(0);
        ran.expect(case.folder, &input, "x_codes");
    }
    assert_eq!(products.len(), keys.len());
    for (index, (product, (accumulator, activation))) in products.iter().zip(keys).enumerate() {
        let mut stored = array(case.folder, "test.npz", accumulator);
        if are_signed && index < quantizers.len() {
            let signs = array(case.folder, "model.npz", &format!("l{}.sign", index + 1));
            let pixels = stored.len() / IMAGES / signs.len();
            for (at, value) in stored.iter_mut().enumerate() {
                *value *= signs[at / pixels % signs.len()];
            }
        }
        assert!(
            ran.integers(product) == stored,
            "{}: {accumulator}",
            case.file
        );
        if !activation.is_empty() {
            ran.expect(case.folder, &quantizers[index], activation);
        }
    }
    for (pool, key) in outputs(&ran.graph, |op| matches!(op, Op::MaxPool(_)))
        .iter()
        .zip(pools)
    {
        ran.expect(case.folder, pool, key);
    }
}

#[test]
fn a_perceptron_of_odd_integers() {
    let folder = "a_mlp_odd_w2a2";
    let keys = [("l1_acc", "l1_act"), ("l2_acc", "l2_act"), ("l3_acc", "")];
    let mut case = Case {
        folder,
        file: "model_quant.onnx",
        input: pixels(folder, |p| p / 8.0 - 1.0),
        precision: None,
        layers: 3,
        accuracy: 0.985,
    };
    check_odd(&case, &keys, &[], false);
    case.file = "model_thr.onnx";
    case.input = codes(folder);
    case.precision = Some(Precision::new(Encoding::Bipolar, 2));
    check_odd(&case, &keys, &[], true);
}

#[test]
fn a_convolutional_network_of_odd_integers() {
    let folder = "b_cnn_odd_mixed";
    let keys = [("l1_acc", "l1_act"), ("l2_acc", "l2_act"), ("l3_acc", "")];
    let mut case = Case {
        folder,
        file: "model_quant.onnx",
        input: pixels(folder, |p| p / 8.0 - 1.0),
        precision: None,
        layers: 4,
        accuracy: 0.955,
    };
    check_odd(&case, &keys, &["l1_pool"], false);
    case.file = "model_thr.onnx";
    case.input = codes(folder);
    case.precision = Some(Precision::new(Encoding::Bipolar, 4));
    check_odd(&case, &keys, &["l1_pool"], true);
}

/// The stored integers of a Brevitas case: for each kind of node, in order, the keys of its tensors; an empty key is not
/// held by the network.
fn check_brevitas(case: &Case, kinds: &[(&str, &[&str])]) {
    let ran = case.run();
    for (kind, keys) in kinds {
        let is_kind = |op: &Op| match *kind {
            "Quant" => matches!(op, Op::Quant { .. } | Op::DequantizeLinear { .. }),
            "MatMul" => matches!(op, Op::MatMul | Op::Gemm { .. }),
            kind => op.name() == kind,
        };
        let names = outputs(&ran.graph, is_kind);
        assert_eq!(names.len(), keys.len(), "{}: {kind} {names:?}", case.file);
        for (name, key) in names.iter().zip(*keys).filter(|(_, key)| !key.is_empty()) {
            ran.expect(case.folder, name, key);
        }
    }
}

#[test]
fn brevitas_convolutions_with_a_max_pool() {
    let folder = "c2_bv_cnn_w2a2";
    for file in [
        "model.onnx",
        "model_clean.onnx",
        "model_qcdq.onnx",
        "model_ts.onnx",
    ] {
        let case = Case {
            folder,
            file,
            input: pixels(folder, |p| p / 16.0),
            precision: None,
            layers: 4,
            accuracy: 0.975,
        };
        check_brevitas(
            &case,
            &[
                ("Quant", &["n00_Quant", "n07_Quant", "n12_Quant"]),
                ("Conv", &["n04_Conv", "n09_Conv"]),
                ("MaxPool", &["n08_MaxPool"]),
                ("MatMul", &["n14_MatMul"]),
            ],
        );
    }
}

#[test]
fn brevitas_residuals_and_an_average_pool() {
    let folder = "c5_bv_res_w3a3";
    for file in ["model.onnx", "model_clean.onnx", "model_ts.onnx"] {
        let case = Case {
            folder,
            file,
            input: pixels(folder, |p| p / 16.0),
            precision: None,
            layers: 5,
            accuracy: 0.98,
        };
        check_brevitas(
            &case,
            &[
                // The residual's own quantizer and that in front of the sum are inside of the sum's layer.
                ("Quant", &["n00_Quant", "n08_Quant", "", "", "n18_Quant"]),
                ("Conv", &["n05_Conv", "n09_Conv", "n15_Conv"]),
                ("Add", &["n14_Add"]),
                ("AveragePool", &["n19_AveragePool"]),
                ("Trunc", &["n20_Trunc"]),
                ("MatMul", &["n22_MatMul"]),
            ],
        );
    }
}
