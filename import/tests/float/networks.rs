//! Float networks for tests.

use crate::common::{Builder, array};
use ndarray::{ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use xnorforge_import::graph::Sweep;
use xnorforge_import::npy::{ArrayFile, Elements};
use xnorforge_import::{Graph, Op};

/// Numbers between -1 and 1 from a seed.
pub fn random(seed: u64, shape: &[usize]) -> ArrayD<f32> {
    let mut source = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| source.random_range(-1.0..1.0)).collect();
    array(shape, &numbers)
}

/// The trained fully connected network of case a, its weights and batch norms as floats.
pub struct Digits {
    pub graph: Graph,
    pub input: ArrayD<f32>,
    pub labels: Vec<usize>,
}

pub fn digits() -> Digits {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbenches/cases/a_mlp_odd_w2a2");
    let model = ArrayFile::open(&folder.join("model.npz")).unwrap();
    let test = ArrayFile::open(&folder.join("test.npz")).unwrap();
    let floats = |file: &ArrayFile, name: &str, scale: f32| {
        let array = file.read(name).unwrap();
        let numbers: Vec<f32> = match &array.elements {
            Elements::Int(values) => values.iter().map(|v| *v as f32 * scale).collect(),
            Elements::Float(values) => values.iter().map(|v| *v as f32 * scale).collect(),
        };
        ArrayD::from_shape_vec(IxDyn(&array.shape), numbers).unwrap()
    };
    let mut builder = Builder::new(&[1, 64]);
    let mut before = "x".to_owned();
    for (layer, outputs) in [("l1", 128), ("l2", 64), ("l3", 10)] {
        let weights = format!("{layer}.weight");
        builder = builder.constant(
            &weights,
            floats(&model, &format!("{layer}.weight_codes"), 1.0 / 3.0),
        );
        let gemm = Op::Gemm {
            alpha: 1.0,
            beta: 1.0,
            transpose_a: false,
            transpose_b: true,
        };
        builder = builder.node(gemm, &[&before, &weights], layer, &[1, outputs]);
        if layer == "l3" {
            break;
        }
        let parts = ["gamma", "beta", "mean", "var"].map(|part| format!("{layer}.bn.{part}"));
        for part in &parts {
            builder = builder.constant(part, floats(&model, part, 1.0));
        }
        let [gamma, beta, mean, variance] = &parts;
        let (bn, clip) = (format!("{layer}_bn"), format!("{layer}_clip"));
        let inputs = [layer, gamma, beta, mean, variance];
        builder = builder.node(
            Op::BatchNormalization { epsilon: 1e-5 },
            &inputs,
            &bn,
            &[1, outputs],
        );
        let hard_tanh = Op::Clip {
            low: Some(-1.0),
            high: Some(1.0),
        };
        builder = builder.node(hard_tanh, &[&bn], &clip, &[1, outputs]);
        before = clip;
    }
    let labels = match test.read("labels").unwrap().elements {
        Elements::Int(labels) => labels.iter().map(|l| *l as usize).collect(),
        Elements::Float(_) => unreachable!("labels are integers"),
    };
    Digits {
        graph: builder.finish("l3"),
        input: floats(&test, "pixels", 1.0 / 8.0).mapv(|v| v - 1.0),
        labels,
    }
}

fn sweep(kernel: u32, stride: u32, pad: u32) -> Sweep {
    Sweep {
        kernel: (kernel, kernel),
        stride: (stride, stride),
        dilation: (1, 1),
        pads: [pad; 4],
    }
}

fn conv(
    builder: Builder,
    input: &str,
    name: &str,
    weights: ArrayD<f32>,
    size: usize,
    kernel: u32,
) -> Builder {
    let outputs = weights.shape()[0];
    let constant = format!("{name}.weight");
    let op = Op::Conv {
        sweep: sweep(kernel, 1, kernel / 2),
        groups: 1,
    };
    builder.constant(&constant, weights).node(
        op,
        &[input, &constant],
        name,
        &[1, outputs, size, size],
    )
}

fn batch_norm(
    mut builder: Builder,
    input: &str,
    name: &str,
    seed: u64,
    channels: usize,
    size: usize,
) -> Builder {
    let parts = ["weight", "bias", "mean", "var"].map(|part| format!("{name}.{part}"));
    for (index, part) in parts.iter().enumerate() {
        let values = random(seed + index as u64, &[channels]);
        // Variances are positive; scales have both signs.
        let values = if index == 3 {
            values.mapv(|v| v.abs() + 0.5)
        } else {
            values
        };
        builder = builder.constant(part, values);
    }
    let [scale, bias, mean, variance] = &parts;
    let inputs = [input, scale, bias, mean, variance];
    builder.node(
        Op::BatchNormalization { epsilon: 1e-5 },
        &inputs,
        name,
        &[1, channels, size, size],
    )
}

/// A residual network with random weights: an activation function behind a pool, a sum, a mean, a linear layer.
pub fn residual(seed: u64) -> Graph {
    let b = Builder::new(&[1, 2, 8, 8]);
    let b = conv(b, "x", "conv1", random(seed, &[4, 2, 3, 3]), 8, 3);
    let b = batch_norm(b, "conv1", "bn1", seed + 10, 4, 8);
    let b = b.node(Op::MaxPool(sweep(2, 2, 0)), &["bn1"], "pool", &[1, 4, 4, 4]);
    let b = b.node(Op::Relu, &["pool"], "relu1", &[1, 4, 4, 4]);
    let b = conv(b, "relu1", "conv2", random(seed + 20, &[4, 4, 3, 3]), 4, 3);
    let b = batch_norm(b, "conv2", "bn2", seed + 30, 4, 4);
    let b = b.node(Op::Add, &["bn2", "relu1"], "sum", &[1, 4, 4, 4]);
    let b = b.node(Op::Relu, &["sum"], "relu2", &[1, 4, 4, 4]);
    let b = b.node(Op::GlobalAveragePool, &["relu2"], "mean", &[1, 4, 1, 1]);
    let b = b.node(Op::Identity, &["mean"], "dropout", &[1, 4, 1, 1]);
    let b = b.node(Op::Flatten { axis: 1 }, &["dropout"], "flat", &[1, 4]);
    let gemm = Op::Gemm {
        alpha: 1.0,
        beta: 1.0,
        transpose_a: false,
        transpose_b: true,
    };
    b.constant("fc.weight", random(seed + 40, &[3, 4]))
        .constant("fc.bias", random(seed + 41, &[3]))
        .node(gemm, &["flat", "fc.weight", "fc.bias"], "fc", &[1, 3])
        .finish("fc")
}

/// Two convolutions side by side, concatenated, and a third one on both.
pub fn branches(seed: u64) -> Graph {
    let b = Builder::new(&[1, 1, 4, 4]);
    let b = conv(b, "x", "left", random(seed, &[2, 1, 3, 3]), 4, 3);
    let b = conv(b, "x", "right", random(seed + 1, &[3, 1, 1, 1]), 4, 1);
    let b = b.node(Op::Relu, &["left"], "relu", &[1, 2, 4, 4]);
    let b = b.node(
        Op::Concat { axis: 1 },
        &["relu", "right"],
        "both",
        &[1, 5, 4, 4],
    );
    conv(b, "both", "last", random(seed + 2, &[2, 5, 1, 1]), 4, 1).finish("last")
}
