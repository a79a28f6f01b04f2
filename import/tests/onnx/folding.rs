//! Constants that are computed from constants, as exporters leave them.

use super::build::{Build, constant, float, floats, int, integers, ints, list};
use ndarray::{ArcArray, IxDyn};
use xnorforge_import::graph::{Array, Op};
use xnorforge_import::onnx::proto::{AttributeProto, data_type};

/// The constant `c` of a model.
fn folded(model: Build) -> Array {
    let graph = model.output("c").node("Relu", &["x"], "y", &[]).read();
    assert_eq!(graph.nodes.len(), 1, "{:?}", graph.nodes);
    graph.constants["c"].clone()
}

fn x() -> Build {
    Build::new(&[1, 2, 3, 4])
}

fn f32s(shape: &[usize], values: &[f32]) -> Array {
    Array::F32(ArcArray::from_shape_vec(IxDyn(shape), values.to_vec()).expect("as many"))
}

fn i64s(shape: &[usize], values: &[i64]) -> Array {
    Array::I64(ArcArray::from_shape_vec(IxDyn(shape), values.to_vec()).expect("as many"))
}

#[test]
fn arithmetic() {
    for (operator, floats, integers) in [
        ("Add", [7.5, -0.5], [7, -4]),
        ("Sub", [-6.5, 5.5], [-7, 10]),
        ("Mul", [3.5, -7.5], [0, -21]),
        ("Div", [1.0 / 14.0, -1.0 / 1.2], [0, 0]),
        ("Min", [0.5, -3.0], [0, -7]),
        ("Max", [7.0, 2.5], [7, 3]),
    ] {
        let model = x()
            .floats("a", &[2], &[0.5, 2.5])
            .floats("b", &[2], &[7.0, -3.0]);
        assert_eq!(
            folded(model.node(operator, &["a", "b"], "c", &[])),
            f32s(&[2], &floats),
            "{operator}"
        );
        let model = x()
            .integers("a", &[2], &[0, 3])
            .integers("b", &[2], &[7, -7]);
        assert_eq!(
            folded(model.node(operator, &["a", "b"], "c", &[])),
            i64s(&[2], &integers),
            "{operator}"
        );
    }
    // Broadcast: [2, 1] and [3].
    let model = x()
        .integers("a", &[2, 1], &[10, 20])
        .integers("b", &[3], &[1, 2, 3]);
    assert_eq!(
        folded(model.node("Add", &["a", "b"], "c", &[])),
        i64s(&[2, 3], &[11, 12, 13, 21, 22, 23])
    );
    // In 32 bits: the sum of 2^24 and 1 is not exact.
    let model = x().floats("a", &[], &[16777216.0]).floats("b", &[], &[1.0]);
    assert_eq!(
        folded(model.node("Add", &["a", "b"], "c", &[])),
        f32s(&[], &[16777216.0])
    );
}

#[test]
fn functions_of_one_operand() {
    for (operator, expected) in [
        ("Neg", [2.5, -0.5, -1.5]),
        ("Abs", [2.5, 0.5, 1.5]),
        ("Floor", [-3.0, 0.0, 1.0]),
        ("Ceil", [-2.0, 1.0, 2.0]),
        ("Round", [-2.0, 0.0, 2.0]),
        ("Reciprocal", [-0.4, 2.0, 1.0 / 1.5]),
        ("Sign", [-1.0, 1.0, 1.0]),
        ("Relu", [0.0, 0.5, 1.5]),
        ("Identity", [-2.5, 0.5, 1.5]),
        ("Dropout", [-2.5, 0.5, 1.5]),
    ] {
        let model = x().floats("a", &[3], &[-2.5, 0.5, 1.5]);
        assert_eq!(
            folded(model.node(operator, &["a"], "c", &[])),
            f32s(&[3], &expected),
            "{operator}"
        );
    }
    let model = x()
        .floats("a", &[2], &[4.0, 2.0])
        .node("Sqrt", &["a"], "c", &[]);
    assert_eq!(folded(model), f32s(&[2], &[2.0, 2f32.sqrt()]));
    let model = x().integers("a", &[3], &[-5, 0, 5]);
    assert_eq!(
        folded(model.clone().node("Abs", &["a"], "c", &[])),
        i64s(&[3], &[5, 0, 5])
    );
    let clip = model.clone().integers("l", &[], &[-2]).node(
        "Clip",
        &["a", "l"],
        "c",
        &[float("max", 3.0)],
    );
    assert_eq!(folded(clip), i64s(&[3], &[-2, 0, 3]));
}

#[test]
fn casts() {
    let cast = |r#type: i32| {
        let model = x().floats("a", &[4], &[-1.5, 0.1, 2.9, 100.0]);
        folded(model.node("Cast", &["a"], "c", &[int("to", r#type.into())]))
    };
    assert_eq!(cast(data_type::INT64), i64s(&[4], &[-1, 0, 2, 100]));
    assert_eq!(
        cast(data_type::INT8),
        Array::I8(ndarray::arr1(&[-1, 0, 2, 100]).into_dyn().into_shared())
    );
    assert_eq!(
        cast(data_type::BOOL),
        Array::U8(ndarray::arr1(&[1, 1, 1, 1]).into_dyn().into_shared())
    );
    assert_eq!(
        cast(data_type::FLOAT16),
        f32s(&[4], &[-1.5, 0.099975586, 2.9003906, 100.0])
    );
    let model = x().integers("a", &[1], &[16777217]);
    let model = model.node("Cast", &["a"], "c", &[int("to", data_type::FLOAT.into())]);
    assert_eq!(folded(model), f32s(&[1], &[16777216.0]));
}

#[test]
fn selections() {
    let table = || x().integers("a", &[2, 3], &[1, 2, 3, 4, 5, 6]);
    let gather = |axis: i64, dims: &[i64], indices: &[i64]| {
        let model = table().integers("i", dims, indices);
        folded(model.node("Gather", &["a", "i"], "c", &[int("axis", axis)]))
    };
    assert_eq!(gather(0, &[], &[1]), i64s(&[3], &[4, 5, 6]));
    assert_eq!(
        gather(-1, &[2, 1], &[-1, 0]),
        i64s(&[2, 2, 1], &[3, 1, 6, 4])
    );
    let slice = |bounds: [i64; 4]| {
        let [start, end, axis, step] = bounds;
        let model = table()
            .integers("s", &[1], &[start])
            .integers("e", &[1], &[end]);
        let model = model
            .integers("x0", &[1], &[axis])
            .integers("d", &[1], &[step]);
        folded(model.node("Slice", &["a", "s", "e", "x0", "d"], "c", &[]))
    };
    assert_eq!(slice([1, i64::MAX, 1, 1]), i64s(&[2, 2], &[2, 3, 5, 6]));
    assert_eq!(slice([0, -1, -1, 1]), i64s(&[2, 2], &[1, 2, 4, 5]));
    assert_eq!(slice([0, 3, 1, 2]), i64s(&[2, 2], &[1, 3, 4, 6]));
    assert_eq!(
        slice([-1, i64::MIN, 1, -1]),
        i64s(&[2, 3], &[3, 2, 1, 6, 5, 4])
    );
    assert_eq!(slice([2, 0, 1, -2]), i64s(&[2, 1], &[3, 6]));
    assert_eq!(slice([2, 1, 0, i64::MAX]), i64s(&[0, 3], &[]));
    let old = table().node(
        "Slice",
        &["a"],
        "c",
        &[ints("starts", &[1, 1]), ints("ends", &[2, 3])],
    );
    assert_eq!(folded(old), i64s(&[1, 2], &[5, 6]));
    let other = table().fill("h", &[], 2.0).node(
        "Cast",
        &["h"],
        "two",
        &[int("to", data_type::INT64.into())],
    );
    let other =
        other
            .node("Equal", &["a", "two"], "is", &[])
            .node("Where", &["is", "two", "a"], "c", &[]);
    assert_eq!(folded(other), i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]));
    let zeros = table().integers("two", &[], &[2]).integers("z", &[], &[0]);
    let zeros =
        zeros
            .node("Equal", &["a", "two"], "is", &[])
            .node("Where", &["is", "z", "a"], "c", &[]);
    assert_eq!(folded(zeros), i64s(&[2, 3], &[1, 0, 3, 4, 5, 6]));
}

#[test]
fn moves() {
    let table = || x().integers("a", &[2, 3], &[1, 2, 3, 4, 5, 6]);
    let transposed = table().node("Transpose", &["a"], "c", &[]);
    assert_eq!(folded(transposed), i64s(&[3, 2], &[1, 4, 2, 5, 3, 6]));
    let concat = table().node("Concat", &["a", "a"], "c", &[int("axis", 1)]);
    assert_eq!(
        folded(concat),
        i64s(&[2, 6], &[1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6])
    );
    let reshape = table()
        .integers("s", &[2], &[3, -1])
        .node("Reshape", &["a", "s"], "c", &[]);
    assert_eq!(folded(reshape), i64s(&[3, 2], &[1, 2, 3, 4, 5, 6]));
    let wider = table().node("Unsqueeze", &["a"], "c", &[ints("axes", &[0, 3])]);
    assert_eq!(folded(wider), i64s(&[1, 2, 3, 1], &[1, 2, 3, 4, 5, 6]));
    assert_eq!(
        folded(table().node("Flatten", &["a"], "c", &[])),
        i64s(&[2, 3], &[1, 2, 3, 4, 5, 6])
    );
    let expand = x()
        .integers("a", &[2, 1], &[1, 2])
        .integers("s", &[3], &[2, 1, 2]);
    assert_eq!(
        folded(expand.node("Expand", &["a", "s"], "c", &[])),
        i64s(&[2, 2, 2], &[1, 1, 2, 2, 1, 1, 2, 2])
    );
}

#[test]
fn sources() {
    let shape = |attributes: &[AttributeProto]| folded(x().node("Shape", &["x"], "c", attributes));
    assert_eq!(shape(&[]), i64s(&[4], &[1, 2, 3, 4]));
    assert_eq!(
        shape(&[int("start", 1), int("end", -1)]),
        i64s(&[2], &[2, 3])
    );
    assert_eq!(shape(&[int("start", 9), int("end", -9)]), i64s(&[0], &[]));
    assert_eq!(folded(x().node("Size", &["x"], "c", &[])), i64s(&[], &[24]));
    let constant_node = |attribute| folded(x().node("Constant", &[], "c", &[attribute]));
    assert_eq!(
        constant_node(constant("value", floats("", &[2], &[1.0, 2.0]))),
        f32s(&[2], &[1.0, 2.0])
    );
    assert_eq!(constant_node(float("value_float", 0.5)), f32s(&[], &[0.5]));
    assert_eq!(
        constant_node(list("value_floats", &[0.5, 1.5])),
        f32s(&[2], &[0.5, 1.5])
    );
    assert_eq!(constant_node(int("value_int", -3)), i64s(&[], &[-3]));
    assert_eq!(
        constant_node(ints("value_ints", &[-3, 4])),
        i64s(&[2], &[-3, 4])
    );
    let filled = x().integers("s", &[2], &[1, 2]);
    assert_eq!(
        folded(filled.clone().node("ConstantOfShape", &["s"], "c", &[])),
        f32s(&[1, 2], &[0.0, 0.0])
    );
    let value = constant("value", integers("", &[1], &[7]));
    assert_eq!(
        folded(filled.node("ConstantOfShape", &["s"], "c", &[value])),
        i64s(&[1, 2], &[7, 7])
    );
    let range = |a: i64, b: i64, d: i64| {
        let model = x()
            .integers("a", &[], &[a])
            .integers("b", &[], &[b])
            .integers("d", &[], &[d]);
        folded(model.node("Range", &["a", "b", "d"], "c", &[]))
    };
    assert_eq!(range(1, 6, 2), i64s(&[3], &[1, 3, 5]));
    assert_eq!(range(5, 0, -2), i64s(&[3], &[5, 3, 1]));
    assert_eq!(range(5, 5, 1), i64s(&[0], &[]));
}

/// `x.view(x.size(0), -1)` as PyTorch exports it with a dynamic batch.
#[test]
fn a_view_of_the_batch() {
    let graph = x()
        .with(|graph| {
            graph.input[0] =
                super::build::value("x", data_type::FLOAT, &[super::build::OPEN, 2, 3, 4])
        })
        .integers("zero", &[], &[0])
        .integers("axes", &[1], &[0])
        .integers("rest", &[1], &[-1])
        .node("Shape", &["x"], "shape", &[])
        .node("Gather", &["shape", "zero"], "batch", &[int("axis", 0)])
        .node("Unsqueeze", &["batch", "axes"], "list", &[])
        .node("Concat", &["list", "rest"], "target", &[int("axis", 0)])
        .node("Reshape", &["x", "target"], "y", &[])
        .read();
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.nodes[0].op, Op::Reshape { shape: vec![1, 24] });
    assert!(graph.constants.is_empty());
}
