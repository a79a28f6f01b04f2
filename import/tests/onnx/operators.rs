//! Every operator: its attributes, old and new, and the dimensions of its result.

use super::build::{Build, OPEN, float, int, ints, raw, string};
use xnorforge_import::graph::{Array, Graph, Levels, Op, Round, Sweep};
use xnorforge_import::onnx::proto::data_type;

/// The last node's operation and the dimensions of its result.
fn last(graph: &Graph) -> (&Op, &[usize]) {
    let node = graph.nodes.last().expect("a node");
    (&node.op, &graph.shapes[&node.output])
}

/// Checks the last node of a model whose output is `y`.
#[track_caller]
fn check(model: Build, op: Op, shape: &[usize]) -> Graph {
    let graph = model.read();
    assert_eq!(last(&graph), (&op, shape));
    assert_eq!(graph.shapes["y"], shape);
    graph
}

fn sweep(kernel: (u32, u32), stride: (u32, u32), pads: [u32; 4]) -> Sweep {
    Sweep {
        kernel,
        stride,
        dilation: (1, 1),
        pads,
    }
}

fn conv(attributes: &[xnorforge_import::onnx::proto::AttributeProto]) -> Build {
    Build::new(&[OPEN, 4, 7, 9])
        .fill("w", &[6, 2, 3, 3], 1.0)
        .fill("b", &[6], 0.5)
        .node("Conv", &["x", "w", "b"], "y", attributes)
}

#[test]
fn convolution() {
    let groups = int("group", 2);
    let op = |sweep| Op::Conv { sweep, groups: 2 };
    let graph = check(
        conv(std::slice::from_ref(&groups)),
        op(sweep((3, 3), (1, 1), [0; 4])),
        &[1, 6, 5, 7],
    );
    assert_eq!(graph.nodes[0].inputs, ["x", "w", "b"]);
    assert_eq!(graph.shapes["x"], [1, 4, 7, 9]);
    let explicit = [
        groups.clone(),
        ints("strides", &[2, 1]),
        ints("pads", &[1, 0, 2, 3]),
        ints("kernel_shape", &[3, 3]),
    ];
    // (7 + 1 + 2 - 3) / 2 + 1 and 9 + 0 + 3 - 3 + 1.
    check(
        conv(&explicit),
        op(sweep((3, 3), (2, 1), [1, 0, 2, 3])),
        &[1, 6, 4, 10],
    );
    let dilated = Sweep {
        dilation: (3, 2),
        ..sweep((3, 3), (1, 1), [0; 4])
    };
    check(
        conv(&[groups.clone(), ints("dilations", &[3, 2])]),
        op(dilated),
        &[1, 6, 1, 5],
    );
    for (mode, stride, pads, size) in [
        ("VALID", 2, [0, 0, 0, 0], [3, 4]),
        ("NOTSET", 2, [0, 0, 0, 0], [3, 4]),
        // ceil(7 / 2) = 4 outputs span 3 * 2 + 3 = 9 numbers: 2 more; ceil(9 / 2) = 5 span 11.
        ("SAME_UPPER", 2, [1, 1, 1, 1], [4, 5]),
        // 3 outputs span 2 * 3 + 3 = 9 both times.
        ("SAME_UPPER", 3, [1, 0, 1, 0], [3, 3]),
        // 2 outputs span 1 * 4 + 3 = 7; 3 span 11.
        ("SAME_LOWER", 4, [0, 1, 0, 1], [2, 3]),
    ] {
        let attributes = [
            groups.clone(),
            string("auto_pad", mode),
            ints("strides", &[stride, stride]),
        ];
        let stride = (stride as u32, stride as u32);
        check(
            conv(&attributes),
            op(sweep((3, 3), stride, pads)),
            &[1, 6, size[0], size[1]],
        );
    }
}

#[test]
fn padding_of_odd_size_is_upper_or_lower() {
    for (mode, pads) in [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0])] {
        let model = Build::new(&[1, 1, 8, 8]).fill("w", &[1, 1, 2, 2], 1.0);
        let model = model.node("Conv", &["x", "w"], "y", &[string("auto_pad", mode)]);
        let op = Op::Conv {
            sweep: sweep((2, 2), (1, 1), pads),
            groups: 1,
        };
        check(model, op, &[1, 1, 8, 8]);
    }
}

#[test]
fn convolution_of_lines() {
    let model = Build::new(&[1, 2, 10]).fill("w", &[3, 2, 4], 1.0);
    let attributes = [
        ints("pads", &[1, 2]),
        ints("strides", &[3]),
        ints("kernel_shape", &[4]),
    ];
    let graph = model.node("Conv", &["x", "w"], "y", &attributes).read();
    let [before, conv, after] = &graph.nodes[..] else {
        panic!("{:?}", graph.nodes)
    };
    assert_eq!(
        before.op,
        Op::Reshape {
            shape: vec![1, 2, 1, 10]
        }
    );
    assert_eq!(
        conv.op,
        Op::Conv {
            sweep: sweep((1, 4), (1, 3), [0, 1, 0, 2]),
            groups: 1
        }
    );
    assert_eq!(conv.name, "y");
    assert_eq!(graph.shapes[&conv.inputs[1]], [3, 2, 1, 4]);
    assert!(graph.constants.contains_key(&conv.inputs[1]));
    // (10 + 1 + 2 - 4) / 3 + 1
    assert_eq!(graph.shapes[&conv.output], [1, 3, 1, 4]);
    assert_eq!(
        (&after.op, &graph.shapes["y"]),
        (
            &Op::Reshape {
                shape: vec![1, 3, 4]
            },
            &vec![1, 3, 4]
        )
    );
}

#[test]
fn quantized_weights_of_lines_are_reshaped_by_a_node() {
    let graph = Build::new(&[1, 2, 10])
        .fill("w", &[3, 2, 4], 1.0)
        .quant("w", "wq", [0.5, 0.0, 4.0], [1, 0])
        .node("Conv", &["x", "wq"], "y", &[])
        .read();
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(
        operators,
        ["Quant", "Reshape", "Reshape", "Conv", "Reshape"]
    );
}

#[test]
fn pools() {
    let model = |operator: &str, attributes: &[_]| {
        Build::new(&[1, 3, 7, 8]).node(operator, &["x"], "y", attributes)
    };
    let kernel = ints("kernel_shape", &[3, 2]);
    let strides = ints("strides", &[2, 2]);
    check(
        model("MaxPool", std::slice::from_ref(&kernel)),
        Op::MaxPool(sweep((3, 2), (1, 1), [0; 4])),
        &[1, 3, 5, 7],
    );
    let attributes = [
        kernel.clone(),
        strides.clone(),
        int("storage_order", 0),
        ints("dilations", &[2, 1]),
    ];
    let dilated = Sweep {
        dilation: (2, 1),
        ..sweep((3, 2), (2, 2), [0; 4])
    };
    check(
        model("MaxPool", &attributes),
        Op::MaxPool(dilated),
        &[1, 3, 2, 4],
    );
    for include in [0, 1] {
        let attributes = [
            kernel.clone(),
            ints("pads", &[1, 0, 1, 1]),
            int("count_include_pad", include),
        ];
        let sweep = sweep((3, 2), (1, 1), [1, 0, 1, 1]);
        let op = Op::AveragePool {
            sweep,
            count_include_pad: include == 1,
        };
        check(model("AveragePool", &attributes), op, &[1, 3, 7, 8]);
    }
    check(
        model("GlobalAveragePool", &[]),
        Op::GlobalAveragePool,
        &[1, 3, 1, 1],
    );
}

/// The last window may leave the input: the padding grows. It may not begin outside of it.
#[test]
fn pools_that_round_up() {
    let model = |size: i64, kernel: i64, stride: i64, pad: i64| {
        let pads = ints("pads", &[pad; 4]);
        let attributes = [
            ints("kernel_shape", &[kernel; 2]),
            ints("strides", &[stride; 2]),
            pads,
            int("ceil_mode", 1),
        ];
        Build::new(&[1, 1, size, size]).node("MaxPool", &["x"], "y", &attributes)
    };
    // 6 numbers, windows of 3 at 0, 2 and 4: the last one leaves by 1.
    check(
        model(6, 3, 2, 0),
        Op::MaxPool(sweep((3, 3), (2, 2), [0, 0, 1, 1])),
        &[1, 1, 3, 3],
    );
    check(
        model(7, 3, 2, 0),
        Op::MaxPool(sweep((3, 3), (2, 2), [0, 0, 0, 0])),
        &[1, 1, 3, 3],
    );
    // 4 + 2 numbers, windows of 2 at 0 and 3; one at 6 would begin in nothing.
    check(
        model(4, 2, 3, 1),
        Op::MaxPool(sweep((2, 2), (3, 3), [1, 1, 1, 1])),
        &[1, 1, 2, 2],
    );
    // 5 + 2 numbers, windows of 2 at 0 and 3; one at 6 would begin in the padding after.
    check(
        model(5, 2, 3, 1),
        Op::MaxPool(sweep((2, 2), (3, 3), [1, 1, 1, 1])),
        &[1, 1, 2, 2],
    );
}

#[test]
fn pools_of_lines() {
    let model = Build::new(&[1, 3, 8]).node("MaxPool", &["x"], "y", &[ints("kernel_shape", &[2])]);
    let graph = model.read();
    assert_eq!(
        graph.nodes[1].op,
        Op::MaxPool(sweep((1, 2), (1, 1), [0; 4]))
    );
    assert_eq!(graph.shapes["y"], [1, 3, 7]);
}

#[test]
fn mean_over_space() {
    let keep = Build::new(&[1, 3, 7, 8]).node("ReduceMean", &["x"], "y", &[ints("axes", &[-1, 2])]);
    check(keep, Op::GlobalAveragePool, &[1, 3, 1, 1]);
    let drop = Build::new(&[1, 3, 7, 8]).integers("axes", &[2], &[2, 3]);
    let graph = drop
        .node("ReduceMean", &["x", "axes"], "y", &[int("keepdims", 0)])
        .read();
    assert_eq!(graph.nodes[0].op, Op::GlobalAveragePool);
    assert_eq!(
        last(&graph),
        (&Op::Reshape { shape: vec![1, 3] }, &[1, 3][..])
    );
}

#[test]
fn matrix_products() {
    let gemm = |transpose_a, transpose_b| Op::Gemm {
        alpha: 0.5,
        beta: 2.0,
        transpose_a,
        transpose_b,
    };
    for (a, b, dims, weights) in [
        (0, 0, [2, 5], [5, 3]),
        (0, 1, [2, 5], [3, 5]),
        (1, 0, [5, 2], [5, 3]),
        (1, 1, [5, 2], [3, 5]),
    ] {
        let attributes = [
            float("alpha", 0.5),
            float("beta", 2.0),
            int("transA", a),
            int("transB", b),
        ];
        let model = Build::new(&dims)
            .fill("w", &weights, 1.0)
            .fill("c", &[3], 1.0);
        let model = model.node("Gemm", &["x", "w", "c"], "y", &attributes);
        check(model, gemm(a == 1, b == 1), &[2, 3]);
    }
    for (a, b, shape) in [
        (&[2, 5][..], &[5, 3][..], &[2, 3][..]),
        (&[7, 2, 5], &[5, 3], &[7, 2, 3]),
        (&[7, 2, 5], &[1, 5, 3], &[7, 2, 3]),
        (&[5], &[5, 3], &[3]),
        (&[2, 5], &[5], &[2]),
    ] {
        let model = Build::new(a)
            .fill("w", b, 1.0)
            .node("MatMul", &["x", "w"], "y", &[]);
        check(model, Op::MatMul, shape);
    }
}

#[test]
fn batch_normalization() {
    let model = |attributes: &[_]| {
        let model = Build::new(&[1, 4, 3, 3])
            .fill("s", &[4], -1.0)
            .fill("b", &[4], 0.0);
        let model = model.fill("m", &[4], 0.0).fill("v", &[4], 0.0);
        model.node(
            "BatchNormalization",
            &["x", "s", "b", "m", "v"],
            "y",
            attributes,
        )
    };
    check(
        model(&[]),
        Op::BatchNormalization { epsilon: 1e-5 },
        &[1, 4, 3, 3],
    );
    let attributes = [
        float("epsilon", 0.5),
        float("momentum", 0.9),
        int("training_mode", 0),
        int("spatial", 1),
    ];
    check(
        model(&attributes),
        Op::BatchNormalization { epsilon: 0.5 },
        &[1, 4, 3, 3],
    );
}

#[test]
fn number_by_number() {
    for (operator, op) in [
        ("Relu", Op::Relu),
        ("Sign", Op::Sign),
        ("Neg", Op::Neg),
        ("Identity", Op::Identity),
    ] {
        check(
            Build::new(&[2, 3]).node(operator, &["x"], "y", &[]),
            op,
            &[2, 3],
        );
    }
    for (operator, op) in [
        ("Add", Op::Add),
        ("Sub", Op::Sub),
        ("Mul", Op::Mul),
        ("Div", Op::Div),
        ("Sum", Op::Add),
    ] {
        let model = Build::new(&[2, 3, 1]).fill("c", &[4], 2.0);
        check(model.node(operator, &["x", "c"], "y", &[]), op, &[2, 3, 4]);
    }
    let dropout = Build::new(&[2, 3]).node_of(
        "",
        "Dropout",
        &["x"],
        &["y", "mask"],
        &[float("ratio", 0.5)],
    );
    check(dropout, Op::Identity, &[2, 3]);
}

#[test]
fn bounds_are_attributes_or_inputs() {
    let model = || {
        Build::new(&[2, 3])
            .fill("low", &[], -1.0)
            .fill("high", &[], 1.0)
            .fill("open", &[], f32::INFINITY)
    };
    let both = Op::Clip {
        low: Some(-1.0),
        high: Some(1.0),
    };
    check(
        model().node("Clip", &["x", "low", "high"], "y", &[]),
        both.clone(),
        &[2, 3],
    );
    check(
        model().node(
            "Clip",
            &["x"],
            "y",
            &[float("min", -1.0), float("max", 1.0)],
        ),
        both,
        &[2, 3],
    );
    let above = Op::Clip {
        low: None,
        high: Some(1.0),
    };
    check(
        model().node("Clip", &["x", "", "high"], "y", &[]),
        above,
        &[2, 3],
    );
    let below = Op::Clip {
        low: Some(-1.0),
        high: None,
    };
    check(
        model().node("Clip", &["x", "low", "open"], "y", &[]),
        below,
        &[2, 3],
    );
    check(
        model().node("Clip", &["x"], "y", &[]),
        Op::Clip {
            low: None,
            high: None,
        },
        &[2, 3],
    );
}

#[test]
fn one_bound_by_max_or_min() {
    let model = |operator: &str, inputs: &[&str]| {
        let model = Build::new(&[2, 3]).raw("six", data_type::FLOAT16, &[], &[0, 0x46]);
        model
            .node("CastLike", &["six", "x"], "six32", &[])
            .node(operator, inputs, "y", &[])
    };
    let clip = |low, high| Op::Clip { low, high };
    check(
        model("Min", &["x", "six32"]),
        clip(None, Some(6.0)),
        &[2, 3],
    );
    check(
        model("Max", &["six32", "x"]),
        clip(Some(6.0), None),
        &[2, 3],
    );
}

#[test]
fn casts_that_hold_every_number() {
    let bytes = Build::new(&[2, 3])
        .with(|graph| graph.input[0] = super::build::value("x", data_type::UINT8, &[2, 3]))
        .node("Cast", &["x"], "y", &[int("to", data_type::FLOAT.into())]);
    check(bytes, Op::Identity, &[2, 3]);
    let double =
        Build::new(&[2, 3]).node("Cast", &["x"], "y", &[int("to", data_type::DOUBLE.into())]);
    check(double, Op::Identity, &[2, 3]);
}

#[test]
fn other_dimensions() {
    let model = || Build::new(&[OPEN, 4, 2, 3]);
    check(
        model().node("Flatten", &["x"], "y", &[]),
        Op::Flatten { axis: 1 },
        &[1, 24],
    );
    check(
        model().node("Flatten", &["x"], "y", &[int("axis", -2)]),
        Op::Flatten { axis: 2 },
        &[4, 6],
    );
    check(
        model().node("Flatten", &["x"], "y", &[int("axis", 0)]),
        Op::Flatten { axis: 0 },
        &[1, 24],
    );
    for (target, shape) in [
        (&[1, 24][..], &[1, 24][..]),
        (&[0, -1], &[1, 24]),
        (&[-1, 0, 6], &[1, 4, 6]),
        (&[24], &[24]),
    ] {
        let op = Op::Reshape {
            shape: shape.to_vec(),
        };
        let input = model().integers("to", &[target.len() as i64], target);
        check(
            input.node("Reshape", &["x", "to"], "y", &[]),
            op.clone(),
            shape,
        );
        check(
            model().node("Reshape", &["x"], "y", &[ints("shape", target)]),
            op,
            shape,
        );
    }
    let squeezed = Op::Reshape {
        shape: vec![4, 2, 3],
    };
    check(
        model().node("Squeeze", &["x"], "y", &[ints("axes", &[0])]),
        squeezed.clone(),
        &[4, 2, 3],
    );
    check(
        model()
            .integers("a", &[1], &[-4])
            .node("Squeeze", &["x", "a"], "y", &[]),
        squeezed.clone(),
        &[4, 2, 3],
    );
    check(
        model().node("Squeeze", &["x"], "y", &[]),
        squeezed,
        &[4, 2, 3],
    );
    let wider = Op::Reshape {
        shape: vec![1, 1, 4, 2, 3, 1],
    };
    check(
        model().node("Unsqueeze", &["x"], "y", &[ints("axes", &[-1, 1])]),
        wider,
        &[1, 1, 4, 2, 3, 1],
    );
    let order = Op::Transpose {
        order: vec![0, 2, 3, 1],
    };
    check(
        model().node("Transpose", &["x"], "y", &[ints("perm", &[0, 2, 3, 1])]),
        order,
        &[1, 2, 3, 4],
    );
    let reversed = Op::Transpose {
        order: vec![3, 2, 1, 0],
    };
    check(
        model().node("Transpose", &["x"], "y", &[]),
        reversed,
        &[3, 2, 4, 1],
    );
    let concat = model().node("Relu", &["x"], "r", &[]).node(
        "Concat",
        &["x", "r", "x"],
        "y",
        &[int("axis", -3)],
    );
    check(concat, Op::Concat { axis: 1 }, &[1, 12, 2, 3]);
}

#[test]
fn padding() {
    let op = |value| Op::Pad {
        pads: vec![(0, 0), (0, 0), (1, 3), (2, 4)],
        value,
    };
    let model = || {
        Build::new(&[1, 4, 2, 3])
            .fill("v", &[], -1.0)
            .integers("a", &[2], &[3, -2])
    };
    let all = [0, 0, 1, 2, 0, 0, 3, 4];
    let input = model().integers("p", &[8], &all);
    check(
        input.node("Pad", &["x", "p", "v"], "y", &[string("mode", "constant")]),
        op(-1.0),
        &[1, 4, 6, 9],
    );
    let axes = model().integers("p", &[4], &[2, 1, 4, 3]);
    check(
        axes.node("Pad", &["x", "p", "", "a"], "y", &[]),
        op(0.0),
        &[1, 4, 6, 9],
    );
    check(
        model().node(
            "Pad",
            &["x"],
            "y",
            &[ints("pads", &all), float("value", 7.0)],
        ),
        op(7.0),
        &[1, 4, 6, 9],
    );
    check(
        model().node("Pad", &["x"], "y", &[ints("paddings", &all)]),
        op(0.0),
        &[1, 4, 6, 9],
    );
}

#[test]
fn quantizers_of_qonnx() {
    let levels = |bits, signed, narrow| Levels {
        bits,
        signed,
        narrow,
    };
    let quant = |levels| Op::Quant {
        levels,
        round: Round::HalfEven,
    };
    let model = || Build::new(&[1, 3]);
    let graph = check(
        model().quant("x", "y", [0.5, 1.5, 2.0], [0, 0]),
        quant(levels(2, false, false)),
        &[1, 3],
    );
    assert_eq!(graph.nodes[0].inputs, ["x", "y.scale", "y.zero_point"]);
    assert!(!graph.constants.contains_key("y.bits"));
    check(
        model().quant("x", "y", [0.5, 0.0, 8.0], [1, 1]),
        quant(levels(8, true, true)),
        &[1, 3],
    );
    // One signed bit is -1 or 1.
    check(
        model().quant("x", "y", [0.5, 0.0, 1.0], [1, 0]),
        Op::BipolarQuant,
        &[1, 3],
    );
    check(
        model().quant("x", "y", [0.5, 0.0, 1.0], [0, 0]),
        quant(levels(1, false, false)),
        &[1, 3],
    );
    let bipolar = model()
        .fill("s", &[1, 3], 0.25)
        .node("BipolarQuant", &["x", "s"], "y", &[]);
    assert_eq!(
        check(bipolar, Op::BipolarQuant, &[1, 3]).nodes[0].inputs,
        ["x", "s"]
    );
}

#[test]
fn rounding_modes_of_qonnx() {
    for (mode, round) in [
        ("ROUND", Round::HalfEven),
        ("HALF_EVEN", Round::HalfEven),
        ("half_up", Round::HalfAway),
        ("HALF_DOWN", Round::HalfToZero),
        ("CEIL", Round::Ceil),
        ("FLOOR", Round::Floor),
        ("UP", Round::AwayFromZero),
        ("DOWN", Round::ToZero),
        ("ROUND_TO_ZERO", Round::ToZero),
    ] {
        let model = Build::new(&[1, 3])
            .fill("s", &[], 1.0)
            .fill("z", &[], 0.0)
            .fill("b", &[], 4.0);
        let attributes = [
            int("signed", 1),
            int("narrow", 0),
            string("rounding_mode", mode),
        ];
        let levels = Levels {
            bits: 4,
            signed: true,
            narrow: false,
        };
        check(
            model.node("Quant", &["x", "s", "z", "b"], "y", &attributes),
            Op::Quant { levels, round },
            &[1, 3],
        );
    }
}

#[test]
fn domains() {
    for domain in [
        "qonnx.custom_op.general",
        "finn.custom_op.general",
        "finn.custom_op.fpgadataflow",
        "onnx.brevitas",
    ] {
        let model = Build::new(&[1, 3]).fill("s", &[], 1.0);
        check(
            model.node_of(domain, "BipolarQuant", &["x", "s"], &["y"], &[]),
            Op::BipolarQuant,
            &[1, 3],
        );
    }
    check(
        Build::new(&[1, 3]).node_of("ai.onnx", "Relu", &["x"], &["y"], &[]),
        Op::Relu,
        &[1, 3],
    );
}

#[test]
fn truncation() {
    let model = Build::new(&[1, 3])
        .fill("s", &[], 0.125)
        .fill("z", &[], 0.0)
        .fill("i", &[], 7.0);
    let model = model.fill("o", &[], 0.5).fill("b", &[], 3.0);
    let attributes = [
        int("signed", 0),
        int("narrow", 0),
        string("rounding_mode", "FLOOR"),
    ];
    let levels = Levels {
        bits: 3,
        signed: false,
        narrow: false,
    };
    let op = Op::Trunc {
        input_bits: 7,
        levels,
        output_scale: 0.5,
        round: Round::Floor,
    };
    let graph = check(
        model.node("Trunc", &["x", "s", "z", "i", "o", "b"], "y", &attributes),
        op,
        &[1, 3],
    );
    assert_eq!(graph.nodes[0].inputs, ["x", "s", "z"]);
}

#[test]
fn thresholds() {
    let model = Build::new(&[1, 3, 2, 2]).fill("t", &[3, 7], 1.0);
    let attributes = [
        float("out_scale", 2.0),
        float("out_bias", -7.0),
        string("out_dtype", "INT4"),
    ];
    let model = model.node("MultiThreshold", &["x", "t"], "y", &attributes);
    let graph = check(
        model.clone(),
        Op::MultiThreshold {
            scale: 2.0,
            bias: -7.0,
        },
        &[1, 3, 2, 2],
    );
    assert_eq!(graph.datatypes["y"], "INT4");
    // What the annotation says comes before the attribute; annotations of other tensors are dropped.
    let graph = model
        .annotate("y", "INT5")
        .annotate("t", "INT9")
        .annotate("none", "INT2")
        .read();
    let datatypes: Vec<(&str, &str)> = graph
        .datatypes
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(datatypes, [("t", "INT9"), ("y", "INT5")]);
    let shared =
        Build::new(&[1, 3])
            .fill("t", &[1, 7], 1.0)
            .node("MultiThreshold", &["x", "t"], "y", &[]);
    check(
        shared,
        Op::MultiThreshold {
            scale: 1.0,
            bias: 0.0,
        },
        &[1, 3],
    );
}

#[test]
fn quantization_by_the_zero_points_type() {
    for (r#type, bytes, bits, signed) in [
        (data_type::UINT8, &[3][..], 8, false),
        (data_type::INT8, &[3], 8, true),
        (data_type::UINT4, &[3], 4, false),
        (data_type::INT4, &[3], 4, true),
        (data_type::INT2, &[1], 2, true),
    ] {
        let model = Build::new(&[1, 3])
            .fill("s", &[], 0.5)
            .raw("z", r#type, &[], bytes);
        let model = model.node("QuantizeLinear", &["x", "s", "z"], "q", &[]);
        let graph = model
            .node("DequantizeLinear", &["q", "s", "z"], "y", &[])
            .read();
        let levels = Levels {
            bits,
            signed,
            narrow: false,
        };
        assert_eq!(graph.nodes[0].op, Op::QuantizeLinear { levels, axis: 0 });
        assert_eq!(
            last(&graph),
            (&Op::DequantizeLinear { axis: 0 }, &[1, 3][..])
        );
    }
}

#[test]
fn quantization_per_channel_and_without_a_zero_point() {
    let model = Build::new(&[1, 3, 2]).fill("s", &[3], 0.5);
    let model = model.node("QuantizeLinear", &["x", "s"], "q", &[]);
    let graph = model
        .node("DequantizeLinear", &["q", "s"], "y", &[int("axis", -2)])
        .read();
    let levels = Levels {
        bits: 8,
        signed: false,
        narrow: false,
    };
    assert_eq!(graph.nodes[0].op, Op::QuantizeLinear { levels, axis: 1 });
    assert_eq!(graph.nodes[1].op, Op::DequantizeLinear { axis: 1 });
    for node in &graph.nodes {
        let zeros = &graph.constants[&node.inputs[2]];
        assert_eq!(
            zeros,
            &Array::U8(ndarray::ArcArray::zeros(ndarray::IxDyn(&[3])))
        );
    }
}

#[test]
fn a_bias_may_have_32_bits() {
    let bias = Build::new(&[1, 2, 3, 3])
        .fill("w", &[4, 2, 1, 1], 1.0)
        .fill("b", &[4], 1.0);
    let bias = bias.quant("b", "bq", [0.5, 0.0, 32.0], [1, 0]);
    let graph = bias.node("Conv", &["x", "w", "bq"], "y", &[]).read();
    assert_eq!(graph.nodes.len(), 2);
    // Added behind a node for other dimensions.
    let bias =
        Build::new(&[1, 2, 3, 3])
            .fill("b", &[2], 1.0)
            .quant("b", "bq", [0.5, 0.0, 16.0], [1, 0]);
    let bias = bias.node("Unsqueeze", &["bq"], "b3", &[ints("axes", &[1, 2])]);
    assert_eq!(
        bias.node("Add", &["x", "b3"], "y", &[]).read().nodes.len(),
        3
    );
    // Bias of QDQ: int32 without a zero point.
    let bias = Build::new(&[1, 4])
        .fill("s", &[4], 0.5)
        .raw("b", data_type::INT32, &[4], &[1; 16]);
    let bias = bias.node("DequantizeLinear", &["b", "s"], "bq", &[int("axis", 0)]);
    let graph = bias.node("Add", &["x", "bq"], "y", &[]).read();
    assert_eq!(graph.nodes[0].op, Op::DequantizeLinear { axis: 0 });
}

#[test]
fn weights_keep_their_quantizer() {
    let graph = Build::new(&[1, 4])
        .fill("w", &[3, 4], 0.3)
        .quant("w", "wq", [0.5, 0.0, 4.0], [1, 0])
        .node("Transpose", &["wq"], "wt", &[])
        .node("MatMul", &["x", "wt"], "y", &[])
        .read();
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(operators, ["Quant", "Transpose", "MatMul"]);
    let names: Vec<&str> = graph.constants.keys().map(String::as_str).collect();
    assert_eq!(names, ["w", "wq.scale", "wq.zero_point"]);
}

#[test]
fn nodes_in_any_order() {
    let graph = Build::new(&[1, 4])
        .node("Neg", &["c"], "y", &[])
        .node("Add", &["a", "b"], "c", &[])
        .node("Sign", &["a"], "b", &[])
        .node("Relu", &["x"], "a", &[])
        // Nothing reads this one, so it may be what is not supported.
        .node("Softmax", &["a"], "unused", &[])
        .read();
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(operators, ["Relu", "Sign", "Add", "Neg"]);
    assert!(graph.producer("unused").is_none() && !graph.shapes.contains_key("unused"));
}

/// As many nodes as there may be, back to front and all of one name, in a moment.
#[test]
fn sixty_thousand_nodes() {
    let mut model = Build::new(&[1, 4]);
    for i in (1..60_000).rev() {
        model = model.node("Relu", &[&format!("t{}", i - 1)], &format!("t{i}"), &[]);
    }
    let model = model
        .node("Relu", &["x"], "t0", &[])
        .output("t59999")
        .with(|graph| {
            for node in &mut graph.node {
                node.name = Some("same".to_owned());
            }
        });
    let start = std::time::Instant::now();
    let graph = model.parse().unwrap_or_else(|error| panic!("{error}"));
    assert!(
        start.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (graph.nodes.len(), &*graph.nodes[59_999].output),
        (60_000, "t59999")
    );
}

#[test]
fn names_of_nodes_are_unique() {
    let model = Build::new(&[1, 4])
        .node("Relu", &["x"], "a", &[])
        .node("Neg", &["a"], "b", &[]);
    let graph = model
        .node("Sign", &["b"], "y", &[])
        .with(|graph| {
            graph.node[0].name = None;
            graph.node[1].name = Some("same".to_owned());
            graph.node[2].name = Some("same".to_owned());
        })
        .read();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["Relu_0", "same", "same_2"]);
}

#[test]
fn inputs_batches_and_declarations() {
    // Initializers may be inputs as well; a batch that is open is 1, one that is not stays.
    let model = Build::new(&[OPEN, 4])
        .input("c", &[4])
        .fill("c", &[4], 1.0)
        .declare("y", &[OPEN, 4]);
    let graph = model.node("Add", &["x", "c"], "y", &[]).read();
    assert_eq!(
        (graph.inputs, &graph.shapes["y"]),
        (vec!["x".to_owned()], &vec![1, 4])
    );
    let graph = Build::new(&[16, 4]).node("Relu", &["x"], "y", &[]).read();
    assert_eq!(graph.shapes["y"], [16, 4]);
}

/// Constants of every type, in both forms that the file has for them.
#[test]
fn types_of_constants() {
    let read = |tensor: xnorforge_import::onnx::proto::TensorProto| {
        let graph = Build::new(&[1])
            .tensor(tensor)
            .output("c")
            .node("Relu", &["x"], "y", &[])
            .read();
        graph.constants["c"].clone()
    };
    let array = |values: &[f64], shape: &[usize]| {
        ndarray::ArcArray::from_shape_vec(ndarray::IxDyn(shape), values.to_vec()).expect("as many")
    };
    macro_rules! check {
        ($kind:ident, $bytes:expr, $field:ident: $numbers:expr, $variant:ident($result:ty): $expected:expr) => {{
            let expected = Array::$variant(
                array(&$expected, &[$expected.len()])
                    .mapv(|x| x as $result)
                    .into_shared(),
            );
            let mut tensor = raw("c", data_type::$kind, &[$expected.len() as i64], &$bytes);
            assert_eq!(read(tensor.clone()), expected);
            tensor.raw_data = None;
            tensor.$field = $numbers.to_vec();
            assert_eq!(read(tensor), expected);
        }};
    }
    check!(FLOAT, [0, 0, 0x80, 0x3f], float_data: [1.0], F32(f32): [1.0]);
    check!(DOUBLE, [0, 0, 0, 0, 0, 0, 0, 0xc0], double_data: [-2.0], F64(f64): [-2.0]);
    check!(FLOAT16, [0, 0x3c, 0, 0xc0], int32_data: [0x3c00, 0xc000], F32(f32): [1.0, -2.0]);
    check!(BFLOAT16, [0x80, 0x3f], int32_data: [0x3f80], F32(f32): [1.0]);
    check!(INT8, [0xff, 1], int32_data: [-1, 1], I8(i8): [-1.0, 1.0]);
    check!(UINT8, [0xff, 1], int32_data: [255, 1], U8(u8): [255.0, 1.0]);
    check!(BOOL, [2, 0], int32_data: [1, 0], U8(u8): [1.0, 0.0]);
    check!(INT16, [0xff, 0xff], int32_data: [-1], I32(i32): [-1.0]);
    check!(UINT16, [0xff, 0xff], int32_data: [65535], I32(i32): [65535.0]);
    check!(INT32, [0xff, 0xff, 0xff, 0xff], int32_data: [-1], I32(i32): [-1.0]);
    check!(UINT32, [0xff, 0xff, 0xff, 0xff], uint64_data: [0xffff_ffff], I64(i64): [4294967295.0]);
    check!(INT64, [0xff; 8], int64_data: [-1], I64(i64): [-1.0]);
    check!(UINT64, [1, 0, 0, 0, 0, 0, 0, 0], uint64_data: [1], I64(i64): [1.0]);
    // The first number is in the lowest bits.
    check!(INT4, [0xf1, 0x08], int32_data: [0xf1, 0x08], I8(i8): [1.0, -1.0, -8.0]);
    check!(UINT4, [0xf1, 0x08], int32_data: [0xf1, 0x08], U8(u8): [1.0, 15.0, 8.0]);
    check!(INT2, [0b10_01_11_00, 0b01], int32_data: [0b10_01_11_00, 0b01], I8(i8): [0.0, -1.0, 1.0, -2.0, 1.0]);
    check!(UINT2, [0b10_01_11_00, 0b01], int32_data: [0b10_01_11_00, 0b01], U8(u8): [0.0, 3.0, 1.0, 2.0, 1.0]);
}
