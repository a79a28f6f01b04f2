//! The executor against values computed by hand.

mod common;

use common::{Builder, array};
use ndarray::ArrayD;
use xnorforge_import::graph::{Levels, Round, Sweep};
use xnorforge_import::{ExecuteError, Executor, Graph, Observe, Op, execute};

/// The result of one operation on `x` and constants `c0`, `c1`, ...
fn run(op: Op, x: &ArrayD<f32>, constants: &[ArrayD<f32>]) -> Result<ArrayD<f32>, ExecuteError> {
    let mut builder = Builder::new(x.shape());
    let names: Vec<String> = (0..constants.len()).map(|i| format!("c{i}")).collect();
    for (name, value) in names.iter().zip(constants) {
        builder = builder.constant(name, value.clone());
    }
    let inputs: Vec<&str> = std::iter::once("x")
        .chain(names.iter().map(String::as_str))
        .collect();
    let graph = builder.node(op, &inputs, "y", &[]).finish("y");
    let mut values = execute(&graph, x, Observe::Outputs)?;
    Ok(values.remove("y").unwrap())
}

fn check(op: Op, x: &ArrayD<f32>, constants: &[ArrayD<f32>], shape: &[usize], expected: &[f32]) {
    let name = op.name();
    let found = run(op, x, constants).unwrap();
    assert_eq!(found, array(shape, expected), "{name}");
}

fn counting(shape: &[usize]) -> ArrayD<f32> {
    let values: Vec<f32> = (1..=shape.iter().product::<usize>())
        .map(|i| i as f32)
        .collect();
    array(shape, &values)
}

fn sweep(kernel: (u32, u32), stride: (u32, u32), dilation: (u32, u32), pads: [u32; 4]) -> Sweep {
    Sweep {
        kernel,
        stride,
        dilation,
        pads,
    }
}

fn conv(sweep: Sweep, groups: u32) -> Op {
    Op::Conv { sweep, groups }
}

#[test]
fn convolutions() {
    let x = counting(&[1, 1, 3, 3]);
    let ones = array(&[1, 1, 2, 2], &[1.0; 4]);
    let plain = sweep((2, 2), (1, 1), (1, 1), [0; 4]);
    check(
        conv(plain, 1),
        &x,
        std::slice::from_ref(&ones),
        &[1, 1, 2, 2],
        &[12.0, 16.0, 24.0, 28.0],
    );
    let bias = array(&[1], &[0.5]);
    check(
        conv(plain, 1),
        &x,
        &[ones, bias],
        &[1, 1, 2, 2],
        &[12.5, 16.5, 24.5, 28.5],
    );
    // Padding above and to the left only, stride 2: the window's corner is at (-1, -1), (-1, 1), (1, -1), (1, 1).
    let corner = array(&[1, 1, 2, 2], &[1.0, 10.0, 100.0, 1000.0]);
    let padded = sweep((2, 2), (2, 2), (1, 1), [1, 1, 0, 0]);
    let expected = [1000.0, 3200.0, 7040.0, 5.0 + 60.0 + 800.0 + 9000.0];
    check(
        conv(padded, 1),
        &x,
        std::slice::from_ref(&corner),
        &[1, 1, 2, 2],
        &expected,
    );
    // Dilation 2: the corners of the 3 x 3 map.
    let dilated = sweep((2, 2), (1, 1), (2, 2), [0; 4]);
    let expected = [1.0 + 30.0 + 700.0 + 9000.0];
    check(conv(dilated, 1), &x, &[corner], &[1, 1, 1, 1], &expected);
}

#[test]
fn convolutions_with_groups_and_lines() {
    // Two groups of one channel, two outputs each.
    let x = counting(&[1, 2, 1, 2]);
    let weights = array(&[4, 1, 1, 1], &[1.0, 10.0, 100.0, -1.0]);
    let one = sweep((1, 1), (1, 1), (1, 1), [0; 4]);
    let expected = [1.0, 2.0, 10.0, 20.0, 300.0, 400.0, -3.0, -4.0];
    check(conv(one, 2), &x, &[weights], &[1, 4, 1, 2], &expected);
    // One dimension, pads of different size.
    let line = counting(&[1, 1, 3]);
    let weights = array(&[1, 1, 3], &[1.0, 10.0, 100.0]);
    let padded = sweep((1, 3), (1, 2), (1, 1), [0, 2, 0, 1]);
    check(
        conv(padded, 1),
        &line,
        &[weights],
        &[1, 1, 2],
        &[100.0, 321.0],
    );
}

/// Blocks of patches: large enough that one image takes several.
#[test]
fn convolutions_in_blocks() {
    let (channels, size) = (64, 40);
    let x = ArrayD::from_elem(ndarray::IxDyn(&[2, channels, size, size]), 1.0);
    let weights = ArrayD::from_elem(ndarray::IxDyn(&[2, channels, 3, 3]), 1.0);
    let same = sweep((3, 3), (1, 1), (1, 1), [1; 4]);
    let y = run(conv(same, 1), &x, &[weights]).unwrap();
    for ((index, value), channels) in y.indexed_iter().zip(std::iter::repeat(channels as f32)) {
        let edge = |i: usize| if i == 0 || i == size - 1 { 2.0 } else { 3.0 };
        assert_eq!(*value, channels * edge(index[2]) * edge(index[3]));
    }
}

/// 2^24 + 1 - 2^24: lost in 32 bits.
#[test]
fn sums_are_accumulated_in_64_bits() {
    let x = array(&[1, 3], &[16_777_216.0, 1.0, -16_777_216.0]);
    let ones = array(&[3, 1], &[1.0; 3]);
    check(Op::MatMul, &x, &[ones], &[1, 1], &[1.0]);
}

#[test]
fn products() {
    let x = array(&[1, 2], &[1.0, 2.0]);
    let b = array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(
        Op::MatMul,
        &x,
        std::slice::from_ref(&b),
        &[1, 3],
        &[9.0, 12.0, 15.0],
    );
    let gemm = |transpose_b| Op::Gemm {
        alpha: 2.0,
        beta: -1.0,
        transpose_a: false,
        transpose_b,
    };
    let row = array(&[3], &[1.0, 2.0, 3.0]);
    check(
        gemm(false),
        &x,
        &[b.clone(), row.clone()],
        &[1, 3],
        &[17.0, 22.0, 27.0],
    );
    let transposed = array(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check(
        gemm(true),
        &x,
        &[transposed, row],
        &[1, 3],
        &[17.0, 22.0, 27.0],
    );
    let column = array(&[2, 1], &[1.0, 2.0]);
    let transposed = Op::Gemm {
        alpha: 1.0,
        beta: 1.0,
        transpose_a: true,
        transpose_b: false,
    };
    check(transposed, &column, &[b], &[1, 3], &[9.0, 12.0, 15.0]);
}

#[test]
fn matrix_products_broadcast() {
    // [2, 1, 1, 2] x [3, 2, 1]: leading dimensions [2, 3].
    let x = counting(&[2, 1, 1, 2]);
    let b = counting(&[3, 2, 1]);
    let expected = [5.0, 11.0, 17.0, 11.0, 25.0, 39.0];
    check(Op::MatMul, &x, &[b], &[2, 3, 1, 1], &expected);
    // A vector on the right is a column, its dimension goes away; on the left a row.
    let vector = array(&[2], &[10.0, 1.0]);
    check(
        Op::MatMul,
        &counting(&[2, 2]),
        &[vector],
        &[2],
        &[12.0, 34.0],
    );
    check(
        Op::MatMul,
        &counting(&[2]),
        &[counting(&[2, 3])],
        &[3],
        &[9.0, 12.0, 15.0],
    );
}

#[test]
fn batch_normalization() {
    let x = array(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let parameters = [
        array(&[2], &[2.0, -1.0]),
        array(&[2], &[0.5, 1.0]),
        array(&[2], &[1.0, 3.0]),
        array(&[2], &[3.0, 0.0]),
    ];
    // Variances + 1 are 4 and 1: factors 1 and -1.
    let op = Op::BatchNormalization { epsilon: 1.0 };
    check(op, &x, &parameters, &[1, 2, 2], &[0.5, 1.5, 1.0, 0.0]);
}

#[test]
fn elementwise() {
    let x = array(&[5], &[-2.0, -0.0, 0.0, 0.5, 3.0]);
    check(Op::Relu, &x, &[], &[5], &[0.0, 0.0, 0.0, 0.5, 3.0]);
    check(Op::Sign, &x, &[], &[5], &[-1.0, 0.0, 0.0, 1.0, 1.0]);
    check(Op::Neg, &x, &[], &[5], &[2.0, 0.0, 0.0, -0.5, -3.0]);
    let clip = |low, high| Op::Clip { low, high };
    check(
        clip(Some(-1.0), Some(1.0)),
        &x,
        &[],
        &[5],
        &[-1.0, 0.0, 0.0, 0.5, 1.0],
    );
    check(
        clip(None, Some(0.0)),
        &x,
        &[],
        &[5],
        &[-2.0, 0.0, 0.0, 0.0, 0.0],
    );
    // Bounds in the wrong order: ONNX says min(max(x, low), high).
    check(clip(Some(2.0), Some(1.0)), &x, &[], &[5], &[1.0; 5]);
    check(Op::Identity, &x, &[], &[5], &[-2.0, -0.0, 0.0, 0.5, 3.0]);
}

#[test]
fn binary_operations_broadcast() {
    let x = counting(&[1, 2, 2]);
    let column = array(&[2, 1], &[10.0, 20.0]);
    check(
        Op::Add,
        &x,
        std::slice::from_ref(&column),
        &[1, 2, 2],
        &[11.0, 12.0, 23.0, 24.0],
    );
    check(
        Op::Sub,
        &x,
        std::slice::from_ref(&column),
        &[1, 2, 2],
        &[-9.0, -8.0, -17.0, -16.0],
    );
    check(
        Op::Mul,
        &x,
        &[column],
        &[1, 2, 2],
        &[10.0, 20.0, 60.0, 80.0],
    );
    check(
        Op::Div,
        &x,
        &[array(&[], &[2.0])],
        &[1, 2, 2],
        &[0.5, 1.0, 1.5, 2.0],
    );
    let wide = array(&[2, 1, 1, 1], &[1.0, 2.0]);
    let expected = [2.0, 3.0, 4.0, 5.0, 3.0, 4.0, 5.0, 6.0];
    check(Op::Add, &x, &[wide], &[2, 1, 2, 2], &expected);
}

#[test]
fn max_pools() {
    let x = array(
        &[1, 1, 3, 3],
        &[-9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0],
    );
    let pool = |kernel, stride, dilation, pads| Op::MaxPool(sweep(kernel, stride, dilation, pads));
    check(
        pool((2, 2), (1, 1), (1, 1), [0; 4]),
        &x,
        &[],
        &[1, 1, 2, 2],
        &[-5.0, -4.0, -2.0, -1.0],
    );
    // Padded taps do not take part, even where all numbers are negative.
    let expected = [-9.0, -7.0, -3.0, -1.0];
    check(
        pool((2, 2), (2, 2), (1, 1), [1; 4]),
        &x,
        &[],
        &[1, 1, 2, 2],
        &expected,
    );
    check(
        pool((2, 2), (1, 1), (2, 2), [0; 4]),
        &x,
        &[],
        &[1, 1, 1, 1],
        &[-1.0],
    );
    // A window that is all padding.
    let line = counting(&[1, 1, 2]);
    check(
        pool((1, 1), (1, 1), (1, 1), [0, 1, 0, 0]),
        &line,
        &[],
        &[1, 1, 3],
        &[f32::MIN, 1.0, 2.0],
    );
}

#[test]
fn average_pools() {
    let x = counting(&[1, 1, 3, 3]);
    let pool = |pads, count_include_pad| Op::AveragePool {
        sweep: sweep((2, 2), (2, 2), (1, 1), pads),
        count_include_pad,
    };
    check(pool([0; 4], false), &x, &[], &[1, 1, 1, 1], &[3.0]);
    check(
        pool([1; 4], false),
        &x,
        &[],
        &[1, 1, 2, 2],
        &[1.0, 2.5, 5.5, 7.0],
    );
    check(
        pool([1; 4], true),
        &x,
        &[],
        &[1, 1, 2, 2],
        &[0.25, 1.25, 2.75, 7.0],
    );
    let two = counting(&[1, 2, 1, 2]);
    check(Op::GlobalAveragePool, &two, &[], &[1, 2, 1, 1], &[1.5, 3.5]);
    check(
        Op::GlobalAveragePool,
        &counting(&[1, 1, 4]),
        &[],
        &[1, 1, 1],
        &[2.5],
    );
}

#[test]
fn movements() {
    let x = counting(&[1, 2, 3]);
    check(
        Op::Flatten { axis: 2 },
        &x,
        &[],
        &[2, 3],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    check(
        Op::Flatten { axis: 0 },
        &x,
        &[],
        &[1, 6],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    let order = vec![0, 2, 1];
    check(
        Op::Transpose { order },
        &x,
        &[],
        &[1, 3, 2],
        &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
    );
    let shape = vec![1, 3, 2];
    check(
        Op::Reshape { shape },
        &x,
        &[],
        &[1, 3, 2],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    let other = array(&[1, 2, 1], &[7.0, 8.0]);
    let expected = [1.0, 2.0, 3.0, 7.0, 4.0, 5.0, 6.0, 8.0];
    check(Op::Concat { axis: 2 }, &x, &[other], &[1, 2, 4], &expected);
    let pad = Op::Pad {
        pads: vec![(0, 0), (1, 0), (0, 1)],
        value: -1.0,
    };
    let expected = [
        -1.0, -1.0, -1.0, -1.0, 1.0, 2.0, 3.0, -1.0, 4.0, 5.0, 6.0, -1.0,
    ];
    check(pad, &x, &[], &[1, 3, 4], &expected);
}

const SIGNED_3: Levels = Levels {
    bits: 3,
    signed: true,
    narrow: false,
};

#[test]
fn rounding_modes() {
    let x = array(&[8], &[-2.5, -1.5, -0.5, -0.2, 0.2, 0.5, 1.5, 2.5]);
    let expected = [
        (Round::HalfEven, [-2.0, -2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]),
        (Round::HalfAway, [-3.0, -2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 3.0]),
        (
            Round::HalfToZero,
            [-2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0],
        ),
        (Round::Ceil, [-2.0, -1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]),
        (Round::Floor, [-3.0, -2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 2.0]),
        (
            Round::AwayFromZero,
            [-3.0, -2.0, -1.0, -1.0, 1.0, 1.0, 2.0, 3.0],
        ),
        (Round::ToZero, [-2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]),
    ];
    for (round, expected) in expected {
        let op = Op::Quant {
            levels: SIGNED_3,
            round,
        };
        check(
            op,
            &x,
            &[array(&[], &[1.0]), array(&[], &[0.0])],
            &[8],
            &expected,
        );
    }
}

fn quant(bits: u32, signed: bool, narrow: bool) -> Op {
    Op::Quant {
        levels: Levels {
            bits,
            signed,
            narrow,
        },
        round: Round::HalfEven,
    }
}

#[test]
fn quantizers_clamp_then_round() {
    let x = array(&[6], &[-9.0, -3.6, -0.0, 1.3, 3.4, 9.0]);
    let parameters = [array(&[1], &[0.5]), array(&[], &[0.0])];
    check(
        quant(4, true, false),
        &x,
        &parameters,
        &[6],
        &[-4.0, -3.5, 0.0, 1.5, 3.5, 3.5],
    );
    check(
        quant(4, true, true),
        &x,
        &parameters,
        &[6],
        &[-3.5, -3.5, 0.0, 1.5, 3.5, 3.5],
    );
    check(
        quant(3, false, false),
        &x,
        &parameters,
        &[6],
        &[0.0, 0.0, 0.0, 1.5, 3.5, 3.5],
    );
    check(
        quant(3, false, true),
        &x,
        &parameters,
        &[6],
        &[0.0, 0.0, 0.0, 1.5, 3.0, 3.0],
    );
    // One signed bit means -1 and 1, and negative zero is positive.
    check(
        quant(1, true, false),
        &x,
        &parameters,
        &[6],
        &[-0.5, -0.5, 0.5, 0.5, 0.5, 0.5],
    );
}

/// Two bits of the paper's encoding: odd multiples of 1/3. The ties are at -2/3, 0 and 2/3 and go to the even code.
#[test]
fn half_integer_zero_points_give_odd_integers() {
    let x = array(&[7], &[-2.0, -0.7, -0.5, 0.0, 0.1, 0.5, 2.0]);
    let scale = 2.0f32 / 3.0;
    let parameters = [array(&[], &[scale]), array(&[], &[1.5])];
    let odd = |n: f32| n / 2.0 * scale;
    let expected = [-3.0, -3.0, -1.0, 1.0, 1.0, 1.0, 3.0].map(odd);
    check(quant(2, false, false), &x, &parameters, &[7], &expected);
}

#[test]
fn scales_per_channel() {
    let x = array(&[2, 2], &[0.6, 3.0, 0.6, 3.0]);
    let parameters = [array(&[2, 1], &[1.0, 0.25]), array(&[], &[0.0])];
    check(
        quant(3, true, false),
        &x,
        &parameters,
        &[2, 2],
        &[1.0, 3.0, 0.5, 0.75],
    );
    let bipolar = array(&[2, 2], &[0.0, -0.0, -1e-30, 5.0]);
    let scales = [array(&[2, 1], &[1.0, 0.25])];
    check(
        Op::BipolarQuant,
        &bipolar,
        &scales,
        &[2, 2],
        &[1.0, 1.0, -0.25, 0.25],
    );
}

#[test]
fn truncation() {
    // Integers 0 to 60 in steps of 0.125 from 6 bits to 3 bits of steps of 1: shifted by 3 and floored.
    let op = |round| Op::Trunc {
        input_bits: 6,
        levels: Levels {
            bits: 3,
            signed: false,
            narrow: false,
        },
        output_scale: 1.0,
        round,
    };
    let parameters = [array(&[], &[0.125]), array(&[], &[0.0])];
    let x = array(&[5], &[0.0, 0.875, 1.5, 6.875, 9.0]);
    check(
        op(Round::Floor),
        &x,
        &parameters,
        &[5],
        &[0.0, 0.0, 1.0, 6.0, 7.0],
    );
    check(
        op(Round::HalfEven),
        &x,
        &parameters,
        &[5],
        &[0.0, 1.0, 2.0, 7.0, 7.0],
    );
}

#[test]
fn thresholds() {
    let x = array(&[1, 2, 2], &[-1.0, 0.0, 1.0, 2.0]);
    let op = Op::MultiThreshold {
        scale: 2.0,
        bias: -3.0,
    };
    let rows = array(&[2, 3], &[-1.0, 0.0, 5.0, 1.5, 1.75, 2.0]);
    check(op.clone(), &x, &[rows], &[1, 2, 2], &[-1.0, 1.0, -3.0, 3.0]);
    let all = array(&[1, 1], &[0.0]);
    check(
        op.clone(),
        &x,
        std::slice::from_ref(&all),
        &[1, 2, 2],
        &[-3.0, -1.0, -1.0, -1.0],
    );
    check(op, &array(&[2], &[-1.0, 1.0]), &[all], &[2], &[-3.0, -1.0]);
}

#[test]
fn linear_quantizers_of_onnx() {
    let levels = Levels {
        bits: 8,
        signed: false,
        narrow: false,
    };
    let op = |axis| Op::QuantizeLinear { levels, axis };
    let x = array(&[1, 2, 2], &[0.25, 0.75, -9.0, 400.0]);
    // Rounded before the zero point is added: 0.5 is 0 and 1.5 is 2, whatever the zero point.
    let one = [array(&[], &[0.5]), array(&[], &[3.0])];
    check(op(1), &x, &one, &[1, 2, 2], &[3.0, 5.0, 0.0, 255.0]);
    let channels = [array(&[2], &[0.25, 2.0]), array(&[2], &[0.0, 10.0])];
    check(op(1), &x, &channels, &[1, 2, 2], &[1.0, 3.0, 6.0, 210.0]);
    let codes = array(&[1, 2, 2], &[1.0, 3.0, 6.0, 210.0]);
    let back = Op::DequantizeLinear { axis: 1 };
    check(
        back.clone(),
        &codes,
        &channels,
        &[1, 2, 2],
        &[0.25, 0.75, -8.0, 400.0],
    );
    check(
        back,
        &codes,
        &channels[..1],
        &[1, 2, 2],
        &[0.25, 0.75, 12.0, 420.0],
    );
}

/// A graph of batch 1 whose reshape holds the batch and whose transposition moves it.
fn graph_with_fixed_batch() -> Graph {
    Builder::new(&[1, 2, 3])
        .constant("w", array(&[2, 1], &[1.0, 10.0]))
        .constant("half", array(&[], &[0.5]))
        .node(Op::Neg, &["w"], "negative", &[2, 1])
        .node(Op::Reshape { shape: vec![2, 3] }, &["x"], "r", &[2, 3])
        .node(Op::Transpose { order: vec![1, 0] }, &["r"], "t", &[3, 2])
        .node(Op::MatMul, &["t", "negative"], "m", &[3, 1])
        .node(Op::Reshape { shape: vec![1, 3] }, &["m"], "y", &[1, 3])
        .finish("y")
}

#[test]
fn batches_are_images_one_by_one() {
    let graph = graph_with_fixed_batch();
    let x = counting(&[2, 2, 3]);
    let values = execute(&graph, &x, Observe::All).unwrap();
    let expected = [-41.0, -52.0, -63.0, -107.0, -118.0, -129.0];
    assert_eq!(values["y"], array(&[2, 3], &expected));
    assert_eq!(values["m"], array(&[6, 1], &expected));
    assert_eq!(values["negative"], array(&[2, 1], &[-1.0, -10.0]));
    assert_eq!(values["x"], x);
    let chosen = execute(&graph, &x, Observe::Chosen(&["w", "r"])).unwrap();
    assert_eq!(chosen.keys().collect::<Vec<_>>(), ["r", "w"]);
}

#[test]
fn constants_are_computed_once() {
    let graph = graph_with_fixed_batch();
    let executor = Executor::new(&graph).unwrap();
    assert_eq!(executor.constant("negative").unwrap().len(), 2);
    let mut names = Vec::new();
    executor
        .run(&counting(&[1, 2, 3]), |name, _| names.push(name.to_owned()))
        .unwrap();
    assert_eq!(names, ["x", "r", "t", "m", "y"]);
}

/// What does not fit is an error with its place, never a panic.
#[test]
fn errors() {
    let x = counting(&[1, 2, 3, 3]);
    let one = sweep((1, 1), (1, 1), (1, 1), [0; 4]);
    let zero = sweep((1, 1), (0, 1), (1, 1), [0; 4]);
    let large = sweep((5, 5), (1, 1), (1, 1), [0; 4]);
    let endless = sweep((1, 1), (1, 1), (1, 1), [u32::MAX, 0, u32::MAX, 0]);
    let huge = sweep((1, 1), (1, 1), (1, 1), [u32::MAX, 0, 0, 0]);
    let weights = |shape: &[usize]| counting(shape);
    let gemm = Op::Gemm {
        alpha: 1.0,
        beta: 1.0,
        transpose_a: false,
        transpose_b: false,
    };
    let bn = Op::BatchNormalization { epsilon: 0.0 };
    let cases = [
        (conv(one, 1), vec![]),
        (conv(one, 1), vec![weights(&[1, 1, 1, 1])]),
        (conv(one, 0), vec![weights(&[1, 2, 1, 1])]),
        (conv(one, 2), vec![weights(&[1, 1, 1, 1])]),
        (conv(one, 1), vec![weights(&[1, 2, 3, 3])]),
        (conv(one, 1), vec![weights(&[1, 2, 1])]),
        (conv(one, 1), vec![weights(&[2, 2, 1, 1]), weights(&[1])]),
        (conv(zero, 1), vec![weights(&[1, 2, 1, 1])]),
        (conv(large, 1), vec![weights(&[1, 2, 5, 5])]),
        (Op::MaxPool(endless), vec![]),
        (Op::MaxPool(huge), vec![]),
        (gemm, vec![weights(&[3, 1])]),
        (Op::MatMul, vec![weights(&[2, 1])]),
        (Op::MatMul, vec![weights(&[])]),
        (
            bn,
            vec![weights(&[3]), weights(&[2]), weights(&[2]), weights(&[2])],
        ),
        (Op::Add, vec![weights(&[2])]),
        (Op::Flatten { axis: 5 }, vec![]),
        (Op::Reshape { shape: vec![7] }, vec![]),
        (
            Op::Reshape {
                shape: vec![usize::MAX, 2],
            },
            vec![],
        ),
        (
            Op::Transpose {
                order: vec![0, 1, 1, 2],
            },
            vec![],
        ),
        (Op::Concat { axis: 4 }, vec![]),
        (Op::Concat { axis: 1 }, vec![weights(&[1, 2, 3, 2])]),
        (
            Op::Pad {
                pads: vec![(1, 1)],
                value: 0.0,
            },
            vec![],
        ),
        (
            Op::Pad {
                pads: vec![(usize::MAX, usize::MAX); 4],
                value: 0.0,
            },
            vec![],
        ),
        (quant(2, true, true), vec![weights(&[2]), weights(&[])]),
        (quant(2, true, true), vec![weights(&[])]),
        (
            Op::MultiThreshold {
                scale: 1.0,
                bias: 0.0,
            },
            vec![weights(&[3, 1])],
        ),
        (Op::DequantizeLinear { axis: 1 }, vec![weights(&[3])]),
    ];
    let mut texts = String::new();
    for (op, constants) in cases {
        texts += &format!("{}\n", run(op, &x, &constants).unwrap_err());
    }
    let graph = graph_with_fixed_batch();
    for shape in [&[1, 3, 2][..], &[0, 2, 3], &[2, 3], &[]] {
        texts += &format!(
            "{}\n",
            execute(&graph, &ArrayD::zeros(shape), Observe::All).unwrap_err()
        );
    }
    let chosen = execute(&graph, &counting(&[1, 2, 3]), Observe::Chosen(&["z"]));
    texts += &format!("{}\n", chosen.unwrap_err());
    let loose = Builder::new(&[1])
        .node(Op::Relu, &["z"], "y", &[1])
        .finish("y");
    texts += &format!(
        "{}\n",
        execute(&loose, &counting(&[1]), Observe::All).unwrap_err()
    );
    let mut two = graph;
    two.inputs.push("z".into());
    texts += &format!("{}\n", Executor::new(&two).unwrap_err());
    insta::assert_snapshot!(texts);
}
