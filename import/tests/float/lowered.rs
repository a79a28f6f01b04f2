//! End to end: a float graph, quantized, lowered, and its integers against the values of the quantized graph.

use crate::networks::{digits, random, residual};
use ndarray::ArrayD;
use std::collections::BTreeMap;
use xnorforge_import::float::{Quantization, Quantized, quantize};
use xnorforge_import::lower::{Options, lower};
use xnorforge_import::model::Model;
use xnorforge_import::{Graph, Observe, execute};
use xnorforge_sim::network::{Tensor, TensorId, reference};

/// The input of a model's network: numbers in the order image, line, pixel, channel.
fn numbers(model: &Model, input: &ArrayD<f32>) -> Tensor {
    let rule = &model.input;
    let images = input.shape()[0];
    let mut tensor = Tensor::zeros(images, rule.shape);
    let (height, width) = (rule.shape.height as usize, rule.shape.width as usize);
    for (place, value) in input.iter().enumerate() {
        let (image, rest) = (place / rule.shape.len(), place % rule.shape.len());
        let (channel, y, x) = (rest / (height * width), rest / width % height, rest % width);
        let index = tensor.index(image, y, x, channel);
        tensor.values[index] = rule.number(*value).unwrap();
    }
    tensor
}

/// Integers of a tensor in the order image, channel, line, pixel.
fn channels_first(tensor: &Tensor) -> Vec<i64> {
    let shape = tensor.shape;
    let mut values = Vec::with_capacity(tensor.values.len());
    for image in 0..tensor.images {
        for channel in 0..shape.channels as usize {
            for y in 0..shape.height as usize {
                values.extend((0..shape.width as usize).map(|x| tensor.at(image, y, x, channel)));
            }
        }
    }
    values
}

/// Compares every quantized tensor that the model names with the quantized graph's values; gives how many numbers.
fn compare(quantized: &Quantized, input: &ArrayD<f32>) -> usize {
    let model = lower(
        &quantized.graph,
        &Options {
            exact: true,
            ..Options::default()
        },
    )
    .unwrap();
    let values = execute(&quantized.graph, input, Observe::All).unwrap();
    let numbers = numbers(&model, input);
    let trace = reference::execute(&model.network, &numbers).unwrap();
    let steps: BTreeMap<&str, f32> = quantized
        .tensors
        .iter()
        .map(|t| (t.quantized.as_str(), t.step_greatest))
        .collect();
    let mut compared = 0;
    for rule in model.tensors.iter().filter(|rule| !rule.is_accumulator) {
        let (Some(step), Some(expected)) = (steps.get(rule.name.as_str()), values.get(&rule.name))
        else {
            continue;
        };
        let found = match rule.tensor {
            TensorId::Input => channels_first(&numbers),
            TensorId::Layer(index) => channels_first(&trace.outputs[index]),
        };
        assert_eq!(found.len(), expected.len(), "{}", rule.name);
        for (integer, value) in found.iter().zip(expected) {
            assert_eq!(
                *integer,
                (value / step).round() as i64,
                "{} of step {step}",
                rule.name
            );
        }
        compared += found.len();
    }
    let [output] = model.outputs.as_slice() else {
        panic!("one output")
    };
    let scores = trace.of_network(&model.network, &numbers).remove(0);
    let scores = Tensor {
        values: channels_first(&scores),
        ..scores
    };
    let per_image = scores.values.len() / scores.images;
    let expected = &values[&output.name];
    let pixels = (scores.shape.height * scores.shape.width) as usize;
    for (place, (integer, value)) in scores.values.iter().zip(expected).enumerate() {
        let channel = place % per_image / pixels;
        let of = |list: &[f64]| list[channel % list.len()];
        let real = (*integer as f64 + of(&output.offset)) * of(&output.scale);
        let bound = 1e-5 * f64::from(value.abs()).max(1.0);
        assert!(
            (real - f64::from(*value)).abs() <= bound,
            "{}: {real} {value}",
            output.name
        );
    }
    compared
}

fn check(name: &str, graph: &Graph, options: &Quantization, input: &ArrayD<f32>, least: usize) {
    let quantized = quantize(graph, options, input).unwrap();
    let compared = compare(&quantized, input);
    assert!(compared >= least, "{name}: {compared} numbers compared");
}

fn options(text: &str) -> Quantization {
    Quantization::from_toml(text).unwrap()
}

#[test]
fn digits_in_every_encoding() {
    let digits = digits();
    for text in [
        "[weights]\nbits = 2\n[activations]\nbits = 2\n[input]\nbits = 4",
        "[weights]\nbits = 1\n[activations]\nbits = 1\n[input]\nbits = 8",
        "[weights]\nencoding = \"ternary\"\n[activations]\nbits = 3\nencoding = \"signed\"\n[input]\nencoding = \"signed\"",
        "[weights]\nbits = 4\nencoding = \"signed\"\ncalibration = \"min_max\"\n[activations]\nencoding = \"ternary\"",
    ] {
        check(
            text,
            &digits.graph,
            &options(text),
            &digits.input,
            200 * (64 + 128 + 64),
        );
    }
}

#[test]
fn residual_networks() {
    for seed in 0..6 {
        let options = options("[activations]\nbits = 4\n[weights]\nbits = 3");
        let name = format!("residual, seed {seed}");
        check(
            &name,
            &residual(100 * seed),
            &options,
            &random(seed, &[6, 2, 8, 8]),
            6 * 4 * 16,
        );
    }
}
