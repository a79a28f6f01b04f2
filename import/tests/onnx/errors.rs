//! Every kind of wrong model: one line that names node, field and fix.

use super::build::{
    Build, OPEN, constant, external, float, floats, int, ints, raw, string, subgraph, value,
};
use prost::Message;
use std::fmt::Write;
use xnorforge_import::onnx::proto::{AttributeProto, FunctionProto, NodeProto, data_type};
use xnorforge_import::onnx::{self, Limits};

/// The errors of models, one line each.
fn lines(models: Vec<(&str, Build)>) -> String {
    let mut text = String::new();
    for (what, model) in models {
        let error = model.error();
        assert!(!error.contains('\n'), "{error:?}");
        writeln!(text, "{what}\n    {error}").expect("memory");
    }
    text
}

fn x() -> Build {
    Build::new(&[1, 4, 6, 6])
}

fn relu(model: Build) -> Build {
    model.node("Relu", &["x"], "y", &[])
}

#[test]
fn graphs() {
    let dims = |dims: &[i64]| relu(Build::new(dims));
    let text = lines(vec![
        (
            "cycle",
            x().node("Add", &["x", "b"], "a", &[])
                .node("Relu", &["a"], "b", &[])
                .node("Neg", &["b"], "y", &[]),
        ),
        (
            "missing initializer",
            x().node("Conv", &["x", "weights"], "y", &[]),
        ),
        ("output of two nodes", relu(relu(x()))),
        (
            "output that is an input",
            x().node("Relu", &["x"], "x", &[]),
        ),
        ("output of no node", x().node("Relu", &["x"], "z", &[])),
        (
            "two initializers of a name",
            relu(x().fill("w", &[1], 0.0).fill("w", &[1], 0.0)),
        ),
        ("two inputs of a name", relu(x().input("x", &[1]))),
        (
            "sparse initializer",
            relu(x()).with(|graph| graph.sparse_initializer.push(vec![1].into())),
        ),
        ("open width", dims(&[1, 4, 6, OPEN])),
        ("negative size", dims(&[1, -4])),
        ("size of zero", dims(&[0, 4])),
        ("huge input", dims(&[1, 1 << 20, 1 << 20])),
        ("overflowing input", dims(&[i64::MAX, i64::MAX, 4])),
        ("nine dimensions", dims(&[1; 9])),
        (
            "input without dimensions",
            relu(x().with(|graph| {
                let r#type = graph.input[0].r#type.as_mut().expect("a type");
                r#type.tensor_type.as_mut().expect("a tensor").shape = None;
            })),
        ),
        (
            "input of strings",
            relu(x().with(|graph| graph.input[0] = value("x", data_type::STRING, &[1]))),
        ),
        ("declared dimensions", relu(x().declare("y", &[1, 4, 6, 7]))),
        ("declared rank", relu(x().declare("y", &[1, 4]))),
        (
            "declared dimensions of a constant",
            x().fill("c", &[4], 0.0)
                .declare("c", &[5])
                .node("Add", &["x", "c"], "y", &[]),
        ),
        (
            "second output",
            x().node_of("", "Dropout", &["x"], &["z", "y"], &[]),
        ),
        (
            "output without a name",
            x().node_of("", "Dropout", &["x"], &["", "y"], &[]),
        ),
        (
            "name of many lines",
            x().node_of("", "Relu", &["x"], &["y"], &[int("new\nline", 1)]),
        ),
        (
            "long name",
            x().node_of("", &"x".repeat(5000), &["x"], &["y"], &[]),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn operators_that_are_not_supported() {
    let model = |operator: &str| x().node(operator, &["x"], "y", &[]);
    let mut models: Vec<(&str, Build)> = [
        "Softmax",
        "FloatQuant",
        "QuantLSTMCell",
        "LSTM",
        "HardSigmoid",
        "QLinearConv",
        "ConvTranspose",
        "Einsum",
        "",
    ]
    .map(|operator| (operator, model(operator)))
    .into();
    models.extend(["If", "Loop", "Scan"].map(|operator| {
        (
            operator,
            x().node(operator, &["x"], "y", &[subgraph("body", &[0x0a; 64])]),
        )
    }));
    models.push((
        "subgraph of another operator",
        x().node("Relu", &["x"], "y", &[subgraph("body", &[])]),
    ));
    models.push((
        "another domain",
        x().node_of("com.microsoft", "Relu", &["x"], &["y"], &[]),
    ));
    models.push((
        "Quant of ONNX's own set",
        x().node_of("", "Quant", &["x"], &["y"], &[]),
    ));
    let mut function = x().node_of("mine", "Relu", &["x"], &["y"], &[]);
    let (name, domain) = (Some("Relu".to_owned()), Some("mine".to_owned()));
    function.0.functions.push(FunctionProto { name, domain });
    models.push(("local function", function));
    models.push(("constants only", x().node("Sqrt", &["x"], "y", &[])));
    models.push((
        "constants only: Gather",
        x().integers("i", &[1], &[0])
            .node("Gather", &["x", "i"], "y", &[]),
    ));
    let text = lines(models);
    insta::assert_snapshot!(text);
}

#[test]
fn attributes() {
    let conv = |attributes: &[AttributeProto]| {
        x().fill("w", &[2, 4, 3, 3], 1.0)
            .node("Conv", &["x", "w"], "y", attributes)
    };
    let text = lines(vec![
        ("unknown", conv(&[int("scale", 1)])),
        ("twice", conv(&[int("group", 1), int("group", 1)])),
        ("wrong type", conv(&[float("group", 1.0)])),
        (
            "no UTF-8",
            conv(&[AttributeProto {
                s: Some(vec![0xff].into()),
                ..string("auto_pad", "")
            }]),
        ),
        (
            "reference",
            conv(&[AttributeProto {
                ref_attr_name: Some("g".into()),
                ..int("group", 1)
            }]),
        ),
        ("unknown auto_pad", conv(&[string("auto_pad", "SAME")])),
        (
            "auto_pad beside pads",
            conv(&[string("auto_pad", "VALID"), ints("pads", &[1, 1, 1, 1])]),
        ),
        ("stride of zero", conv(&[ints("strides", &[1, 0])])),
        ("negative padding", conv(&[ints("pads", &[1, 1, -1, 1])])),
        (
            "huge padding",
            conv(&[ints("pads", &[1 << 31, 1 << 31, 0, 0])]),
        ),
        ("too many pads", conv(&[ints("pads", &[1; 6])])),
        (
            "huge dilation",
            conv(&[ints("dilations", &[u32::MAX.into(), 1])]),
        ),
        ("too few strides", conv(&[ints("strides", &[1])])),
        ("kernel_shape", conv(&[ints("kernel_shape", &[3, 5])])),
        ("group of zero", conv(&[int("group", 0)])),
        ("group that does not divide", conv(&[int("group", 3)])),
        (
            "flag",
            x().node(
                "MaxPool",
                &["x"],
                "y",
                &[ints("kernel_shape", &[2, 2]), int("ceil_mode", 2)],
            ),
        ),
        ("no kernel_shape", x().node("MaxPool", &["x"], "y", &[])),
        (
            "window of padding",
            x().node(
                "MaxPool",
                &["x"],
                "y",
                &[ints("kernel_shape", &[2, 2]), ints("pads", &[2, 0, 0, 0])],
            ),
        ),
        (
            "kernel larger than the input",
            x().node("AveragePool", &["x"], "y", &[ints("kernel_shape", &[7, 2])]),
        ),
        (
            "divisor of the last window",
            x().node(
                "AveragePool",
                &["x"],
                "y",
                &[
                    ints("kernel_shape", &[3, 3]),
                    ints("strides", &[2, 2]),
                    int("ceil_mode", 1),
                    int("count_include_pad", 1),
                ],
            ),
        ),
        (
            "mean over channels",
            x().node("ReduceMean", &["x"], "y", &[ints("axes", &[1])]),
        ),
        (
            "flatten",
            x().node("Flatten", &["x"], "y", &[int("axis", 5)]),
        ),
        (
            "transpose",
            x().node("Transpose", &["x"], "y", &[ints("perm", &[0, 1, 1, 2])]),
        ),
        (
            "short transpose",
            x().node("Transpose", &["x"], "y", &[ints("perm", &[1, 0])]),
        ),
        (
            "axis of a sum",
            x().fill("c", &[4], 0.0)
                .node("Add", &["x", "c"], "y", &[int("axis", 1)]),
        ),
        (
            "training mode",
            x().fill("c", &[4], 1.0).node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                "y",
                &[int("training_mode", 1)],
            ),
        ),
        (
            "epsilon",
            x().fill("c", &[4], 0.0).node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                "y",
                &[float("epsilon", 0.0)],
            ),
        ),
        (
            "infinite epsilon",
            x().fill("c", &[4], 0.0).node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                "y",
                &[float("epsilon", f32::INFINITY)],
            ),
        ),
        (
            "bounds",
            x().node("Clip", &["x"], "y", &[float("min", 1.0), float("max", 0.0)]),
        ),
        (
            "NaN as bound",
            x().node("Clip", &["x"], "y", &[float("min", f32::NAN)]),
        ),
        (
            "cast to integers",
            x().node("Cast", &["x"], "y", &[int("to", data_type::INT8.into())]),
        ),
        (
            "cast to half",
            x().node("Cast", &["x"], "y", &[int("to", data_type::FLOAT16.into())]),
        ),
        (
            "cast to strings",
            x().node("Cast", &["x"], "y", &[int("to", data_type::STRING.into())]),
        ),
        ("cast to nothing", x().node("Cast", &["x"], "y", &[])),
        (
            "mode of a Pad",
            x().node(
                "Pad",
                &["x"],
                "y",
                &[string("mode", "reflect"), ints("pads", &[0; 8])],
            ),
        ),
        (
            "pads of a Pad",
            x().node("Pad", &["x"], "y", &[ints("pads", &[0; 7])]),
        ),
        (
            "negative pads",
            x().node(
                "Pad",
                &["x"],
                "y",
                &[ints("pads", &[0, 0, -1, 0, 0, 0, 0, 0])],
            ),
        ),
        (
            "huge pads",
            x().node(
                "Pad",
                &["x"],
                "y",
                &[ints("pads", &[0, 0, 4294967295, 4294967295, 0, 0, 0, 0])],
            ),
        ),
        ("pads that are missing", x().node("Pad", &["x"], "y", &[])),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn inputs() {
    let conv = |dims: &[i64]| x().fill("w", dims, 1.0).node("Conv", &["x", "w"], "y", &[]);
    let add = |value: f32| x().floats("c", &[4, 1, 1], &[1.0, value, 1.0, 1.0]);
    let norm = |variance: f32| {
        let model = x()
            .fill("c", &[4], 1.0)
            .floats("v", &[4], &[1.0, 1.0, variance, 1.0]);
        model.node("BatchNormalization", &["x", "c", "c", "c", "v"], "y", &[])
    };
    let reshape = |to: &[i64]| {
        x().integers("s", &[to.len() as i64], to)
            .node("Reshape", &["x", "s"], "y", &[])
    };
    let text = lines(vec![
        (
            "data of a Conv",
            Build::new(&[1, 4])
                .fill("w", &[2, 4], 1.0)
                .node("Conv", &["x", "w"], "y", &[]),
        ),
        ("channels of a Conv", conv(&[2, 3, 3, 3])),
        ("rank of the weights", conv(&[2, 4, 3])),
        ("kernel of the weights", conv(&[2, 4, 7, 3])),
        ("empty weights", conv(&[0, 4, 3, 3])),
        ("no weights", x().node("Conv", &["x"], "y", &[])),
        (
            "bias of a Conv",
            x().fill("w", &[2, 4, 3, 3], 1.0).fill("b", &[3], 0.0).node(
                "Conv",
                &["x", "w", "b"],
                "y",
                &[],
            ),
        ),
        (
            "four inputs",
            x().fill("w", &[2, 4, 3, 3], 1.0)
                .node("Conv", &["x", "w", "", "x"], "y", &[]),
        ),
        (
            "NaN in weights",
            x().floats("w", &[1, 4, 1, 1], &[0.0, f32::NAN, 0.0, 0.0])
                .node("Conv", &["x", "w"], "y", &[]),
        ),
        (
            "infinite weights",
            x().floats("w", &[6, 1], &[f32::INFINITY; 6])
                .node("MatMul", &["x", "w"], "y", &[]),
        ),
        (
            "inner dimensions",
            x().fill("w", &[5, 3], 1.0)
                .node("MatMul", &["x", "w"], "y", &[]),
        ),
        (
            "no matrix",
            x().fill("w", &[6, 3], 1.0)
                .node("Gemm", &["x", "w"], "y", &[]),
        ),
        (
            "inner dimensions of a Gemm",
            Build::new(&[1, 4])
                .fill("w", &[3, 4], 1.0)
                .node("Gemm", &["x", "w"], "y", &[]),
        ),
        (
            "bias of a Gemm",
            Build::new(&[1, 4])
                .fill("w", &[4, 3], 1.0)
                .fill("c", &[4], 1.0)
                .node("Gemm", &["x", "w", "c"], "y", &[]),
        ),
        (
            "bias larger than the product",
            Build::new(&[1, 4])
                .fill("w", &[4, 3], 1.0)
                .fill("c", &[2, 3], 1.0)
                .node("Gemm", &["x", "w", "c"], "y", &[]),
        ),
        (
            "operands",
            x().fill("c", &[4], 1.0).node("Add", &["x", "c"], "y", &[]),
        ),
        (
            "infinite summand",
            add(f32::NEG_INFINITY).node("Add", &["x", "c"], "y", &[]),
        ),
        (
            "divisor of zero",
            add(0.0).node("Div", &["x", "c"], "y", &[]),
        ),
        ("sum of three", x().node("Sum", &["x", "x", "x"], "y", &[])),
        (
            "sum of integers",
            x().with(|graph| graph.input[0] = value("x", data_type::INT8, &[4]))
                .node("Add", &["x", "x"], "y", &[]),
        ),
        (
            "channels of a norm",
            x().fill("c", &[3], 1.0).node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                "y",
                &[],
            ),
        ),
        (
            "norm that is computed",
            x().node("BatchNormalization", &["x", "x", "x", "x", "x"], "y", &[]),
        ),
        ("negative variance", norm(-1.0)),
        ("infinite variance", norm(f32::INFINITY)),
        (
            "dropout",
            x().fill("r", &[], 0.5)
                .raw("t", data_type::BOOL, &[], &[1])
                .node("Dropout", &["x", "r", "t"], "y", &[]),
        ),
        (
            "bound of each column",
            x().floats("c", &[2, 1, 1, 1], &[6.0; 2])
                .node("Min", &["x", "c"], "y", &[]),
        ),
        (
            "bound that is computed",
            x().node("Max", &["x", "x"], "y", &[]),
        ),
        (
            "bound of each channel",
            x().floats("c", &[2], &[0.0, 1.0])
                .node("Clip", &["x", "c"], "y", &[]),
        ),
        (
            "concat",
            x().input("z", &[1, 4, 5, 6])
                .node("Concat", &["x", "z"], "y", &[int("axis", 1)]),
        ),
        (
            "concat of nothing",
            x().node("Concat", &[], "y", &[int("axis", 1)]),
        ),
        ("reshape", reshape(&[16, 144])),
        ("two open sizes", reshape(&[-1, -1])),
        ("fraction", reshape(&[5, -1])),
        ("zero without a dimension", reshape(&[1, 4, 6, 6, 0])),
        ("negative", reshape(&[-2])),
        ("huge shape", reshape(&[i64::MAX, i64::MAX])),
        ("nine sizes", reshape(&[1; 9])),
        ("endless shape", reshape(&[1; 1000])),
        (
            "shape that is computed",
            x().node("Reshape", &["x", "x"], "y", &[]),
        ),
        (
            "shape of floats",
            x().fill("s", &[1], 144.0)
                .node("Reshape", &["x", "s"], "y", &[]),
        ),
        (
            "squeeze",
            x().node("Squeeze", &["x"], "y", &[ints("axes", &[1])]),
        ),
        (
            "endless axes",
            x().node("Squeeze", &["x"], "y", &[ints("axes", &[0; 1000])]),
        ),
        (
            "unsqueeze",
            x().node("Unsqueeze", &["x"], "y", &[ints("axes", &[0, 1, 2, 3, 4])]),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn quantizers() {
    let quant = |numbers: [f32; 3]| x().quant("x", "y", numbers, [0, 0]);
    let scale = |dims: &[i64]| {
        let model = x()
            .fill("s", dims, 1.0)
            .fill("z", &[], 0.0)
            .fill("b", &[], 4.0);
        model.node(
            "Quant",
            &["x", "s", "z", "b"],
            "y",
            &[int("signed", 1), int("narrow", 0)],
        )
    };
    let weights = |bits| {
        let model =
            Build::new(&[1, 3])
                .fill("w", &[3, 2], 0.5)
                .quant("w", "wq", [1.0, 0.0, bits], [1, 0]);
        model.node("MatMul", &["x", "wq"], "y", &[])
    };
    let flags = |attributes: &[AttributeProto]| {
        let model = x()
            .fill("s", &[], 1.0)
            .fill("z", &[], 0.0)
            .fill("b", &[], 4.0);
        model.node("Quant", &["x", "s", "z", "b"], "y", attributes)
    };
    let trunc = |inputs: &[&str], bits: f32| {
        let model = x()
            .fill("s", &[], 0.5)
            .fill("z", &[], 0.0)
            .fill("b", &[], bits)
            .fill("n", &[], -1.0);
        model.node("Trunc", inputs, "y", &[])
    };
    let thresholds = |dims: &[i64], attributes: &[AttributeProto]| {
        x().fill("t", dims, 1.0)
            .node("MultiThreshold", &["x", "t"], "y", attributes)
    };
    let last = |number: f32| {
        let model = x()
            .floats("s", &[4, 1, 1], &[1.0, 1.0, 1.0, number])
            .fill("z", &[], 0.0)
            .fill("b", &[], 4.0);
        model.node(
            "Quant",
            &["x", "s", "z", "b"],
            "y",
            &[int("signed", 1), int("narrow", 0)],
        )
    };
    let text = lines(vec![
        ("scale of zero", quant([0.0, 0.0, 4.0])),
        ("negative scale", quant([-0.5, 0.0, 4.0])),
        ("NaN as scale", quant([f32::NAN, 0.0, 4.0])),
        ("infinite scale", quant([f32::INFINITY, 0.0, 4.0])),
        ("infinite zero point", quant([1.0, f32::INFINITY, 4.0])),
        ("fractional bits", quant([1.0, 0.0, 2.5])),
        ("no bits", quant([1.0, 0.0, 0.0])),
        ("negative bits", quant([1.0, 0.0, -3.0])),
        ("33 bits", quant([1.0, 0.0, 33.0])),
        ("NaN bits", quant([1.0, 0.0, f32::NAN])),
        ("9 bits of activations", quant([1.0, 0.0, 9.0])),
        ("9 bits of weights", weights(9.0)),
        (
            "16 bits of weights in QDQ",
            x().fill("s", &[], 0.5)
                .fill("w", &[6, 2], 1.0)
                .raw("z", data_type::INT16, &[], &[0; 2])
                .node("QuantizeLinear", &["w", "s", "z"], "q", &[])
                .node("DequantizeLinear", &["q", "s", "z"], "wq", &[])
                .node("MatMul", &["x", "wq"], "y", &[]),
        ),
        ("negative scale of one channel", last(-1.0)),
        ("NaN as scale of one channel", last(f32::NAN)),
        ("scales of other channels", scale(&[1, 3, 1, 1])),
        ("scale of more dimensions", scale(&[1, 1, 1, 1, 1])),
        ("scales of the last axis", scale(&[4])),
        (
            "scale that is computed",
            x().fill("z", &[], 0.0).fill("b", &[], 4.0).node(
                "Quant",
                &["x", "x", "z", "b"],
                "y",
                &[],
            ),
        ),
        (
            "bits of each channel",
            x().fill("s", &[], 1.0).floats("b", &[2], &[4.0, 3.0]).node(
                "Quant",
                &["x", "s", "s", "b"],
                "y",
                &[],
            ),
        ),
        (
            "no zero point",
            x().fill("s", &[], 1.0)
                .node("Quant", &["x", "s", "", "s"], "y", &[]),
        ),
        ("no flags", flags(&[])),
        ("no narrow", flags(&[int("signed", 1)])),
        ("flag", flags(&[int("signed", 2), int("narrow", 0)])),
        (
            "rounding mode",
            flags(&[
                int("signed", 1),
                int("narrow", 0),
                string("rounding_mode", "NEAREST"),
            ]),
        ),
        ("one level", x().quant("x", "y", [1.0, 0.0, 1.0], [0, 1])),
        (
            "one signed bit with a zero point",
            x().quant("x", "y", [1.0, 0.5, 1.0], [1, 0]),
        ),
        (
            "bipolar scale",
            x().fill("s", &[], -1.0)
                .node("BipolarQuant", &["x", "s"], "y", &[]),
        ),
        ("Trunc of version 1", trunc(&["x", "s", "z", "b", "b"], 4.0)),
        (
            "Trunc without bits",
            trunc(&["x", "s", "z", "b", "s", ""], 4.0),
        ),
        (
            "Trunc of fractional bits",
            trunc(&["x", "s", "z", "b", "s", "b"], 4.5),
        ),
        (
            "Trunc to a negative scale",
            trunc(&["x", "s", "z", "b", "n", "b"], 4.0),
        ),
        ("thresholds of other channels", thresholds(&[3, 7], &[])),
        ("no thresholds", thresholds(&[4, 0], &[])),
        ("thresholds in one list", thresholds(&[4], &[])),
        (
            "thresholds that are computed",
            x().node("MultiThreshold", &["x", "x"], "y", &[]),
        ),
        (
            "NaN as threshold",
            x().floats("t", &[1, 2], &[0.0, f32::NAN]).node(
                "MultiThreshold",
                &["x", "t"],
                "y",
                &[],
            ),
        ),
        (
            "layout",
            thresholds(&[4, 7], &[string("data_layout", "NHWC")]),
        ),
        (
            "infinite factor",
            thresholds(&[4, 7], &[float("out_scale", f32::INFINITY)]),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn linear_quantizers() {
    let model = |scale: &[i64], r#type: i32, zero: &[i64], attributes: &[AttributeProto]| {
        let count = zero.iter().product::<i64>() as usize;
        let bytes = if r#type == data_type::INT32 { 4 } else { 1 };
        let model = x()
            .fill("s", scale, 0.5)
            .raw("z", r#type, zero, &vec![0; count * bytes]);
        model.node("QuantizeLinear", &["x", "s", "z"], "y", attributes)
    };
    let int8 = data_type::INT8;
    let dequantize = |r#type: i32, bytes: &[u8]| {
        let model = x()
            .fill("s", &[], 0.5)
            .raw("q", r#type, &[], bytes)
            .raw("z", int8, &[], &[0]);
        model.node("DequantizeLinear", &["q", "s", "z"], "y", &[])
    };
    let text = lines(vec![
        ("scales of other channels", model(&[3], int8, &[3], &[])),
        ("scales of blocks", model(&[4, 2], int8, &[4, 2], &[])),
        (
            "block size",
            model(&[4], int8, &[4], &[int("block_size", 2)]),
        ),
        ("axis", model(&[4], int8, &[4], &[int("axis", 4)])),
        ("zero points", model(&[4], int8, &[3], &[])),
        (
            "zero point of int32",
            model(&[4], data_type::INT32, &[4], &[]),
        ),
        (
            "zero point of float8",
            model(&[4], data_type::FLOAT8E4M3FN, &[4], &[]),
        ),
        (
            "output of float8",
            x().fill("s", &[], 0.5).node(
                "QuantizeLinear",
                &["x", "s"],
                "y",
                &[int("output_dtype", 17)],
            ),
        ),
        (
            "16 bits",
            x().fill("s", &[], 0.5)
                .raw("z", data_type::INT16, &[], &[0; 2])
                .node("QuantizeLinear", &["x", "s", "z"], "y", &[]),
        ),
        (
            "negative scale",
            x().fill("s", &[], -0.5)
                .node("QuantizeLinear", &["x", "s"], "y", &[]),
        ),
        (
            "floats to dequantize",
            x().fill("s", &[], 0.5)
                .node("DequantizeLinear", &["x", "s"], "y", &[]),
        ),
        ("other types", dequantize(data_type::UINT8, &[0])),
        ("64 bits", dequantize(data_type::INT64, &[0; 8])),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn constants() {
    let model = |tensor| x().tensor(tensor).node("Add", &["x", "c"], "y", &[]);
    let declared = |r#type, dims: &[i64], bytes: &[u8]| model(raw("c", r#type, dims, bytes));
    let field = |r#type, numbers: &[i32]| {
        let mut tensor = raw("c", r#type, &[1], &[]);
        tensor.int32_data = numbers.to_vec();
        model(tensor)
    };
    let float = data_type::FLOAT;
    let text = lines(vec![
        ("too few bytes", declared(float, &[2], &[0; 7])),
        ("too many bytes", declared(float, &[2], &[0; 12])),
        ("no bytes", declared(float, &[2], &[])),
        ("negative size", declared(float, &[-2], &[])),
        ("huge size", declared(float, &[1 << 40], &[0; 8])),
        (
            "overflow",
            declared(float, &[i64::MAX, i64::MAX, i64::MAX], &[0; 8]),
        ),
        (
            "overflow behind a zero",
            declared(float, &[0, i64::MAX, i64::MAX], &[]),
        ),
        ("nine dimensions", declared(float, &[1; 9], &[0; 4])),
        ("strings", declared(data_type::STRING, &[1], &[])),
        ("no type", declared(0, &[1], &[])),
        ("unknown type", declared(99, &[1], &[])),
        (
            "large unsigned integer",
            declared(data_type::UINT64, &[1], &[0xff; 8]),
        ),
        ("out of range", field(data_type::INT8, &[200])),
        ("count of numbers", field(data_type::INT8, &[1, 2])),
        ("count of half bytes", field(data_type::INT4, &[1, 2, 3])),
        (
            "external data of bytes",
            model(external("c", &[4], &[("location", "w.bin")])),
        ),
        (
            "offset",
            model(external(
                "c",
                &[4],
                &[("location", "w.bin"), ("offset", "-1")],
            )),
        ),
        (
            "sparse value",
            x().node("Constant", &[], "c", &[])
                .node("Add", &["x", "c"], "y", &[]),
        ),
        (
            "strings as value",
            x().node("Constant", &[], "c", &[string("value_string", "a")])
                .node("Add", &["x", "c"], "y", &[]),
        ),
        (
            "value that is cut",
            x().node(
                "Constant",
                &[],
                "c",
                &[constant("value", raw("", float, &[3], &[0; 8]))],
            )
            .node("Add", &["x", "c"], "y", &[]),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn folded_constants() {
    let fold = |operator: &str, a: &[i64], b: &[i64], attributes: &[AttributeProto]| {
        let model = x()
            .integers("a", &[a.len() as i64], a)
            .integers("b", &[b.len() as i64], b);
        model
            .node(operator, &["a", "b"], "s", attributes)
            .node("Reshape", &["x", "s"], "y", &[])
    };
    let shape = |dims: &[i64]| {
        let model = x().integers("d", &[dims.len() as i64], dims);
        model
            .node("ConstantOfShape", &["d"], "c", &[])
            .node("Add", &["x", "c"], "y", &[])
    };
    let range = |numbers: [f32; 3]| {
        let [a, b, c] = numbers;
        let model = x().fill("a", &[], a).fill("b", &[], b).fill("d", &[], c);
        model
            .node("Range", &["a", "b", "d"], "c", &[])
            .node("Add", &["x", "c"], "y", &[])
    };
    let cast = |number: f32, to: i32| {
        let model = x()
            .fill("a", &[1], number)
            .node("Cast", &["a"], "s", &[int("to", to.into())]);
        model.node("Reshape", &["x", "s"], "y", &[])
    };
    let text = lines(vec![
        ("division by zero", fold("Div", &[1], &[0], &[])),
        ("overflow", fold("Mul", &[i64::MAX], &[2], &[])),
        ("index", fold("Gather", &[1, 2], &[2], &[])),
        ("operands", fold("Add", &[1, 2], &[1, 2, 3], &[])),
        (
            "types",
            x().fill("a", &[1], 1.0)
                .integers("b", &[1], &[1])
                .node("Add", &["a", "b"], "s", &[])
                .node("Reshape", &["x", "s"], "y", &[]),
        ),
        ("huge constant", shape(&[1 << 40])),
        ("constant of overflowing size", shape(&[i64::MAX, i64::MAX])),
        ("negative constant", shape(&[-1])),
        ("large constants", shape(&[1 << 28])),
        (
            "expansion",
            x().fill("a", &[1], 1.0)
                .integers("d", &[2], &[1 << 20, 1 << 20])
                .node("Expand", &["a", "d"], "c", &[])
                .node("Add", &["x", "c"], "y", &[]),
        ),
        ("endless range", range([0.0, 1.0, 0.0])),
        ("long range", range([0.0, 1e30, 1.0])),
        ("infinite range", range([0.0, f32::INFINITY, 1.0])),
        ("NaN as integer", cast(f32::NAN, data_type::INT64)),
        ("large integer", cast(300.0, data_type::INT8)),
        (
            "slice of nothing",
            fold(
                "Slice",
                &[1],
                &[1],
                &[ints("starts", &[0]), ints("ends", &[1])],
            ),
        ),
        (
            "step of zero",
            x().integers("a", &[1], &[0])
                .node("Slice", &["a", "a", "a", "a", "a"], "s", &[])
                .node("Reshape", &["x", "s"], "y", &[]),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn bytes_that_are_no_model() {
    let limits = Limits::default();
    let error = |bytes: &[u8], limits: &Limits| match onnx::parse(bytes.to_vec(), None, limits) {
        Ok(graph) => panic!("no error, but {:?}", graph.nodes),
        Err(error) => error.to_string(),
    };
    let bytes = relu(x()).output("y").bytes();
    let mut text = String::new();
    let mut line =
        |what: &str, error: String| writeln!(text, "{what}\n    {error}").expect("memory");
    line("nothing", error(&[], &limits));
    line("no output", error(&relu(x()).bytes(), &limits));
    line("text", error(b"<html>", &limits));
    line("cut", error(&bytes[..bytes.len() - 3], &limits));
    // Groups, the only thing of protobuf that nests without lengths, in a field that nobody knows.
    line("deep", error(&[0xa3, 0x06].repeat(1 << 16), &limits));
    line(
        "size",
        error(
            &bytes,
            &Limits {
                file_bytes: 10,
                ..limits
            },
        ),
    );
    line(
        "fields",
        error(
            &bytes,
            &Limits {
                fields: 10,
                ..limits
            },
        ),
    );
    let packed = x().integers("c", &[1], &[0; 64]);
    line(
        "packed numbers",
        error(
            &packed.bytes(),
            &Limits {
                stored_numbers: 63,
                ..limits
            },
        ),
    );
    let constants = x()
        .fill("c", &[6, 6], 1.0)
        .node("Add", &["x", "c"], "y", &[])
        .output("y");
    line(
        "numbers",
        error(
            &constants.bytes(),
            &Limits {
                stored_numbers: 35,
                ..limits
            },
        ),
    );
    let mut bombs = x().integers("d", &[1], &[1 << 18]);
    for i in 0..5 {
        bombs = bombs.node("ConstantOfShape", &["d"], &format!("c{i}"), &[]);
    }
    let bombs = bombs
        .node(
            "Concat",
            &["c0", "c1", "c2", "c3", "c4"],
            "y",
            &[int("axis", 0)],
        )
        .output("y");
    line(
        "computed numbers",
        error(
            &bombs.bytes(),
            &Limits {
                folded_numbers: 1 << 20,
                ..limits
            },
        ),
    );
    let nodes = |count: usize| {
        let node = NodeProto {
            op_type: Some("Relu".to_owned()),
            ..NodeProto::default()
        };
        let model = x().with(|graph| graph.node = vec![node; count]);
        model.bytes()
    };
    line("nodes", error(&nodes(65_537), &limits));
    // A million of the smallest nodes there are: two bytes each.
    let mut model = x();
    model.graph().node = vec![NodeProto::default(); 1 << 20];
    line("a million nodes", error(&model.0.encode_to_vec(), &limits));
    insta::assert_snapshot!(text);
}

#[test]
fn constants_are_only_read_where_they_are_used() {
    let broken = floats("c", &[2], &[1.0]);
    let graph = relu(x().tensor(broken)).read();
    assert!(graph.constants.is_empty());
}
