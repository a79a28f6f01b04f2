//! Properties of post-training quantization.

use crate::common::{Builder, array};
use crate::networks::{branches, digits, random, residual};
use ndarray::Axis;
use xnorforge_import::float::options::{Activations, LayerPrecision, LayerRule, Weights};
use xnorforge_import::float::scale::{Grid, Sample, shared_step, ternary_of_least_error};
use xnorforge_import::float::{
    Calibration, Encoding, ErrorReport, Quantization, Quantized, Role, error_report, quantize,
};
use xnorforge_import::graph::{Levels, Round};
use xnorforge_import::{Observe, Op, execute};

fn options(bits: u32, encoding: Encoding, calibration: Calibration) -> Quantization {
    Quantization {
        weights: Weights {
            bits: Some(bits),
            encoding: Some(encoding),
            calibration: Some(calibration),
            per_channel: None,
        },
        activations: Activations {
            bits: Some(bits),
            encoding: None,
            calibration: Some(calibration),
        },
        ..Quantization::default()
    }
}

fn bits(bits: u32) -> Quantization {
    options(bits, Encoding::Bipolar, Calibration::MeanSquaredError)
}

/// The largest error of the graph's outputs.
fn output(report: &ErrorReport) -> f64 {
    report.layers.last().unwrap().mean_squared_error
}

fn step(quantized: &Quantized, tensor: &str) -> (Encoding, u32, f32) {
    let found = quantized
        .tensors
        .iter()
        .find(|t| t.tensor == tensor)
        .unwrap();
    (found.encoding, found.bits, found.step_greatest)
}

const ENCODINGS: [(Encoding, &[u32]); 4] = [
    (Encoding::Bipolar, &[1, 2, 3, 8]),
    (Encoding::Unsigned, &[1, 2, 8]),
    (Encoding::Signed, &[2, 3, 8]),
    (Encoding::Ternary, &[2]),
];

#[test]
fn the_least_error_is_never_above_that_of_the_extremes() {
    for seed in 0..20 {
        let cubes = random(seed, &[500]).mapv(|v| v * v * v);
        let magnitudes = cubes.mapv(f32::abs);
        let values = cubes.as_slice().unwrap();
        for (encoding, all_bits) in ENCODINGS {
            // Negative numbers are lost in an unsigned grid, whatever its step.
            let sample = Sample::of_all(match encoding {
                Encoding::Unsigned => magnitudes.as_slice().unwrap(),
                _ => values,
            });
            for bits in all_bits.iter().copied() {
                let grid = Grid {
                    encoding,
                    bits,
                    is_narrow: false,
                };
                let error = |calibration| {
                    let step = shared_step(&[(sample, grid)], calibration).unwrap();
                    sample.error(grid, step)
                };
                let least = error(Calibration::MeanSquaredError);
                let extremes = error(Calibration::MinMax);
                assert!(least <= extremes, "seed {seed} {encoding:?} {bits}");
                assert!(
                    least <= error(Calibration::Percentile(100.0)),
                    "seed {seed} {encoding:?} {bits}"
                );
                if bits <= 2 {
                    assert!(
                        least < 0.95 * extremes,
                        "seed {seed} {encoding:?} {bits}: {least} {extremes}"
                    );
                }
            }
        }
        let (step, least) = ternary_of_least_error(values).unwrap();
        let ternary = |v: f32| {
            if v.abs() >= least {
                step.copysign(v)
            } else {
                0.0
            }
        };
        let error: f64 = values
            .iter()
            .map(|v| f64::from(ternary(*v) - v).powi(2))
            .sum();
        // The rule of thumb of Ternary Weight Networks: the threshold is 0.7 times the mean magnitude.
        let threshold = 0.7 * values.iter().map(|v| v.abs()).sum::<f32>() / values.len() as f32;
        let above: Vec<f32> = values
            .iter()
            .map(|v| v.abs())
            .filter(|v| *v > threshold)
            .collect();
        let scale = above.iter().sum::<f32>() / above.len() as f32;
        let rule = |v: f32| {
            if v.abs() > threshold {
                scale.copysign(v)
            } else {
                0.0
            }
        };
        let of_rule: f64 = values.iter().map(|v| f64::from(rule(*v) - v).powi(2)).sum();
        assert!(
            error <= of_rule * (1.0 + 1e-6),
            "seed {seed}: {error} {of_rule}"
        );
    }
}

/// By hand: percentiles, extremes and one bit.
#[test]
fn steps() {
    let values: Vec<f32> = (1..=100).map(|v| v as f32).collect();
    let sample = Sample::of_all(&values);
    let grid = |encoding, bits| Grid {
        encoding,
        bits,
        is_narrow: false,
    };
    let step = |grid, calibration| shared_step(&[(sample, grid)], calibration).unwrap();
    assert_eq!(
        step(grid(Encoding::Unsigned, 2), Calibration::MinMax),
        100.0 / 3.0
    );
    assert_eq!(
        step(grid(Encoding::Unsigned, 2), Calibration::Percentile(90.0)),
        30.0
    );
    assert_eq!(
        step(grid(Encoding::Bipolar, 3), Calibration::Percentile(70.0)),
        10.0
    );
    assert_eq!(
        step(grid(Encoding::Bipolar, 1), Calibration::MeanSquaredError),
        50.5
    );
    let both = Sample::of_all(&[-8.0, 3.0]);
    let signed = |sample| shared_step(&[(sample, grid(Encoding::Signed, 3))], Calibration::MinMax);
    assert_eq!(signed(both), Some(2.0));
    assert_eq!(signed(Sample::of_all(&[0.0, 0.0])), None);
    // Two samples share the larger one.
    let shared = [
        (both, grid(Encoding::Signed, 3)),
        (sample, grid(Encoding::Unsigned, 2)),
    ];
    assert_eq!(shared_step(&shared, Calibration::MinMax), Some(100.0 / 3.0));
    // Nearly all numbers are 0, and so is the percentile.
    let sparse = [0.0, 0.0, 0.0, 0.0, 0.0, 6.0];
    let rare = [(Sample::of_all(&sparse), grid(Encoding::Unsigned, 2))];
    assert_eq!(shared_step(&rare, Calibration::Percentile(50.0)), Some(2.0));
    assert_eq!(
        ternary_of_least_error(&[0.1, -5.0, 5.0, 0.2]),
        Some((5.0, 5.0))
    );
}

/// Numbers that are on a grid are reproduced bit by bit, whatever the step.
#[test]
fn numbers_on_a_grid_stay() {
    for seed in 0..50u64 {
        let step = random(seed, &[1])[[0]].abs() + 1e-3;
        for (encoding, all_bits) in ENCODINGS {
            for bits in all_bits.iter().copied() {
                let grid = Grid {
                    encoding,
                    bits,
                    is_narrow: false,
                };
                let (low, high) = grid.range();
                let far = |v: f32| v * high as f32 * 2.0 * step;
                let mut values: Vec<f32> = random(seed + 1, &[200])
                    .iter()
                    .map(|v| grid.quantize(far(*v), step))
                    .collect();
                values.extend([low, high].map(|v| grid.quantize(v as f32 * step, step)));
                let sample = Sample::of_all(&values);
                let found = shared_step(&[(sample, grid)], Calibration::MeanSquaredError).unwrap();
                assert_eq!(
                    sample.error(grid, found),
                    0.0,
                    "seed {seed} {encoding:?} {bits} {step} {found}"
                );
            }
        }
    }
}

/// With 8 bits next to nothing is lost, and each bit less costs.
#[test]
fn errors_shrink_with_bits() {
    for (name, graph, input) in [
        ("residual", residual(1), random(5, &[20, 2, 8, 8])),
        ("branches", branches(2), random(6, &[20, 1, 4, 4])),
        ("digits", digits().graph, digits().input),
    ] {
        let errors: Vec<f64> = [2, 4, 6, 8]
            .map(|b| {
                output(
                    &error_report(&quantize(&graph, &bits(b), &input).unwrap(), &input, None)
                        .unwrap(),
                )
            })
            .to_vec();
        assert!(
            errors.windows(2).all(|pair| pair[1] < pair[0]),
            "{name}: {errors:?}"
        );
        let report =
            error_report(&quantize(&graph, &bits(8), &input).unwrap(), &input, None).unwrap();
        let last = report.layers.last().unwrap();
        assert!(
            last.sqnr_db.unwrap() > 30.0 && last.cosine.unwrap() > 0.999,
            "{name}: {last:?}"
        );
    }
}

/// The weights of case a are 2-bit numbers already, and its activations were trained for 2 bits.
#[test]
fn trained_digits_keep_their_accuracy() {
    let digits = digits();
    let mut options = bits(2);
    options.input.bits = Some(2);
    let quantized = quantize(&digits.graph, &options, &digits.input).unwrap();
    let report = error_report(&quantized, &digits.input, Some(&digits.labels)).unwrap();
    for layer in report
        .layers
        .iter()
        .filter(|layer| layer.role == Some(Role::Weights))
    {
        assert_eq!(
            (layer.mean_squared_error, layer.sqnr_db),
            (0.0, None),
            "{}",
            layer.tensor
        );
    }
    let accuracy = report.accuracy.unwrap();
    assert_eq!(accuracy.images, 200);
    assert!(accuracy.float_correct >= 150, "{accuracy:?}");
    assert!(accuracy.quantized_correct >= 180, "{accuracy:?}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["layers"][0]["role"], "input");
}

#[test]
fn ternary_weights_are_ternary() {
    let options = options(4, Encoding::Ternary, Calibration::MeanSquaredError);
    let mut options = Quantization {
        activations: Activations::default(),
        ..options
    };
    options.weights.bits = None;
    let graph = residual(3);
    let input = random(4, &[4, 2, 8, 8]);
    let quantized = quantize(&graph, &options, &input).unwrap();
    let names: Vec<&str> = quantized
        .tensors
        .iter()
        .filter(|t| t.role == Role::Weights)
        .map(|t| t.quantized.as_str())
        .collect();
    assert_eq!(names.len(), 3);
    let values = execute(&quantized.graph, &input, Observe::Chosen(&names)).unwrap();
    for name in names {
        for channel in values[name].axis_iter(Axis(0)) {
            let scale = channel.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            assert!(
                scale > 0.0 && channel.iter().all(|v| [-scale, 0.0, scale].contains(v)),
                "{name}"
            );
            assert!(
                channel.iter().any(|v| *v == 0.0) || channel.len() < 9,
                "{name}"
            );
        }
    }
}

/// Where quantizers stand, and what shares a step.
#[test]
fn places_of_quantizers() {
    let quantized = quantize(&residual(7), &bits(3), &random(8, &[8, 2, 8, 8])).unwrap();
    let nodes: Vec<String> = quantized
        .graph
        .nodes
        .iter()
        .map(|node| format!("{} {} -> {}", node.op.name(), node.inputs[0], node.output))
        .collect();
    insta::assert_snapshot!(nodes.join("\n"));
    let (encoding, _, sum_step) = step(&quantized, "bn2");
    let pooled = quantized
        .tensors
        .iter()
        .find(|t| t.layer == "n_conv1" && t.role == Role::Activations)
        .unwrap();
    assert_eq!(
        (encoding, pooled.encoding),
        (Encoding::Bipolar, Encoding::Unsigned)
    );
    assert_eq!(sum_step, pooled.step_greatest);
}

#[test]
fn concatenated_numbers_share_their_grid() {
    let mut options = bits(3);
    options.layers.push(LayerRule {
        name: "n_r*".into(),
        weights: Weights::default(),
        activations: Activations {
            bits: Some(5),
            ..Activations::default()
        },
    });
    let quantized = quantize(&branches(9), &options, &random(10, &[8, 1, 4, 4])).unwrap();
    assert_eq!(step(&quantized, "relu"), step(&quantized, "right"));
    assert_eq!(step(&quantized, "right").1, 5);
}

#[test]
fn first_and_last_layers_have_their_own_bits() {
    let mut options = bits(2);
    let eight = LayerPrecision {
        weights: Weights {
            bits: Some(8),
            ..Weights::default()
        },
        ..LayerPrecision::default()
    };
    (options.first, options.last) = (eight, eight);
    let quantized = quantize(&residual(1), &options, &random(2, &[2, 2, 8, 8])).unwrap();
    let weights: Vec<(&str, u32)> = quantized
        .tensors
        .iter()
        .filter(|t| t.role == Role::Weights)
        .map(|t| (t.layer.as_str(), t.bits))
        .collect();
    assert_eq!(weights, [("n_conv1", 8), ("n_conv2", 2), ("n_fc", 8)]);
}

/// The float graph that is compared with is the given one, value by value.
#[test]
fn preparation_changes_no_value() {
    let graph = residual(11);
    let input = random(12, &[3, 2, 8, 8]);
    let quantized = quantize(&graph, &bits(4), &input).unwrap();
    let before = execute(&graph, &input, Observe::All).unwrap();
    let after = execute(&quantized.float, &input, Observe::All).unwrap();
    for tensor in ["relu1", "relu2", "mean", "fc"] {
        assert_eq!(before[tensor], after[tensor], "{tensor}");
    }
    assert!(!after.contains_key("dropout"));
}

/// A channel of zeros has no extreme; in an encoding without zero its numbers are next to nothing.
#[test]
fn channels_of_zeros() {
    let gemm = Op::Gemm {
        alpha: 1.0,
        beta: 1.0,
        transpose_a: false,
        transpose_b: true,
    };
    let graph = Builder::new(&[1, 2])
        .constant("w", array(&[2, 2], &[0.0, 0.0, 1.0, -2.0]))
        .node(gemm, &["x", "w"], "y", &[1, 2])
        .finish("y");
    let input = array(&[2, 2], &[1.0, -1.0, 0.5, 1.0]);
    for encoding in [Encoding::Bipolar, Encoding::Signed, Encoding::Ternary] {
        let mut options = options(2, encoding, Calibration::MeanSquaredError);
        options.activations.encoding = None;
        let quantized = quantize(&graph, &options, &input).unwrap();
        let y = execute(&quantized.graph, &input, Observe::Outputs).unwrap();
        assert!(
            y["y"].index_axis(Axis(1), 0).iter().all(|v| v.abs() < 1e-3),
            "{encoding:?}"
        );
    }
}

#[test]
fn errors() {
    let input = array(&[1, 2], &[1.0, 2.0]);
    let matmul = |w: &[f32]| {
        Builder::new(&[1, 2])
            .constant("w", array(&[2, 1], w))
            .node(Op::MatMul, &["x", "w"], "y", &[1, 1])
            .node(Op::MatMul, &["y", "one"], "z", &[1, 1])
            .constant("one", array(&[1, 1], &[1.0]))
            .finish("z")
    };
    let levels = Levels {
        bits: 2,
        signed: true,
        narrow: true,
    };
    let round = Round::HalfEven;
    let quant = Builder::new(&[1, 2])
        .constant("one", array(&[], &[1.0]))
        .node(
            Op::Quant { levels, round },
            &["x", "one", "one"],
            "y",
            &[1, 2],
        )
        .finish("y");
    let square = Builder::new(&[1, 2])
        .node(Op::Mul, &["x", "x"], "y", &[1, 2])
        .finish("y");
    let product = Builder::new(&[2, 2])
        .node(Op::MatMul, &["x", "x"], "y", &[2, 2])
        .finish("y");
    let rule = |name: &str| Quantization {
        layers: vec![LayerRule {
            name: name.into(),
            weights: Weights::default(),
            activations: Activations::default(),
        }],
        ..Quantization::default()
    };
    let default = Quantization::default();
    let mut nine = Quantization::default();
    nine.weights.bits = Some(9);
    let cases = [
        (quant, default.clone(), input.clone()),
        (square, default.clone(), input.clone()),
        (product, default.clone(), array(&[2, 2], &[1.0; 4])),
        (matmul(&[1.0, f32::NAN]), default.clone(), input.clone()),
        (
            matmul(&[1.0, f32::INFINITY]),
            default.clone(),
            input.clone(),
        ),
        (
            matmul(&[1.0, 2.0]),
            default.clone(),
            array(&[1, 2], &[f32::NAN, 0.0]),
        ),
        (
            matmul(&[1.0, 2.0]),
            default.clone(),
            array(&[1, 3], &[0.0; 3]),
        ),
        (matmul(&[1.0, 2.0]), rule("conv*"), input.clone()),
        (matmul(&[1.0, 2.0]), nine, input.clone()),
    ];
    let mut texts = String::new();
    for (graph, options, input) in cases {
        texts += &format!("{}\n", quantize(&graph, &options, &input).unwrap_err());
    }
    let quantized = quantize(&matmul(&[1.0, 2.0]), &default, &input).unwrap();
    let report = |labels: &[usize]| error_report(&quantized, &input, Some(labels)).unwrap_err();
    texts += &format!("{}\n", report(&[1, 2]));
    insta::assert_snapshot!(texts);
}
