//! Small models from the same messages that the importer reads.

#![allow(dead_code, reason = "each of the tests and the benchmark uses a part")]

use bytes::Bytes;
use prost::Message;
use xnorforge_import::graph::Graph;
use xnorforge_import::onnx::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetId, StringStringEntry,
    TensorAnnotation, TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
    attribute_type, data_type,
};
use xnorforge_import::onnx::{self, Limits, OnnxError};

/// A model that grows; every method gives it back.
#[derive(Clone, Default)]
pub struct Build(pub ModelProto);

/// An open dimension in [`Build::input`].
pub const OPEN: i64 = -1;

impl Build {
    /// A model with the input `x` of these dimensions.
    pub fn new(dims: &[i64]) -> Build {
        let set = |domain: &str, version| OperatorSetId {
            domain: Some(domain.to_owned()),
            version: Some(version),
        };
        let model = ModelProto {
            ir_version: Some(9),
            graph: Some(GraphProto {
                name: Some("test".to_owned()),
                ..GraphProto::default()
            }),
            opset_import: vec![set("qonnx.custom_op.general", 2), set("", 20)],
            ..ModelProto::default()
        };
        Build(model).input("x", dims)
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.get_or_insert_default()
    }

    pub fn with(mut self, change: impl FnOnce(&mut GraphProto)) -> Build {
        change(self.graph());
        self
    }

    pub fn input(self, name: &str, dims: &[i64]) -> Build {
        self.with(|graph| graph.input.push(value(name, data_type::FLOAT, dims)))
    }

    pub fn declare(self, name: &str, dims: &[i64]) -> Build {
        self.with(|graph| graph.value_info.push(value(name, data_type::FLOAT, dims)))
    }

    pub fn output(self, name: &str) -> Build {
        let output = ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: None,
        };
        self.with(|graph| graph.output.push(output))
    }

    pub fn tensor(self, tensor: TensorProto) -> Build {
        self.with(|graph| graph.initializer.push(tensor))
    }

    /// A constant of 32-bit floats: `value` everywhere.
    pub fn fill(self, name: &str, dims: &[i64], value: f32) -> Build {
        let count: i64 = dims.iter().product();
        self.floats(name, dims, &vec![value; count as usize])
    }

    pub fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Build {
        self.tensor(floats(name, dims, values))
    }

    pub fn integers(self, name: &str, dims: &[i64], values: &[i64]) -> Build {
        self.tensor(integers(name, dims, values))
    }

    /// A constant in `raw_data`.
    pub fn raw(self, name: &str, r#type: i32, dims: &[i64], bytes: &[u8]) -> Build {
        self.tensor(raw(name, r#type, dims, bytes))
    }

    /// A node named like its output.
    pub fn node(
        self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) -> Build {
        let domain = match operator {
            "Quant" | "IntQuant" | "BipolarQuant" | "Trunc" | "MultiThreshold" | "FloatQuant"
            | "QuantLSTMCell" => "qonnx.custom_op.general",
            _ => "",
        };
        self.node_of(domain, operator, inputs, &[output], attributes)
    }

    pub fn node_of(
        self,
        domain: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[AttributeProto],
    ) -> Build {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let node = NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: Some(outputs[0].to_owned()),
            op_type: Some(operator.to_owned()),
            attribute: attributes.to_vec(),
            domain: Some(domain.to_owned()),
        };
        self.with(|graph| graph.node.push(node))
    }

    /// A Quant named `output` whose scale, zero point and bit-width are initializers of one number.
    pub fn quant(
        self,
        input: &str,
        output: &str,
        [scale, zero_point, bits]: [f32; 3],
        flags: [i64; 2],
    ) -> Build {
        let name = |part: &str| format!("{output}.{part}");
        let (s, z, b) = (name("scale"), name("zero_point"), name("bits"));
        let attributes = [
            int("signed", flags[0]),
            int("narrow", flags[1]),
            string("rounding_mode", "ROUND"),
        ];
        self.floats(&s, &[], &[scale])
            .floats(&z, &[], &[zero_point])
            .floats(&b, &[], &[bits])
            .node("Quant", &[input, &s, &z, &b], output, &attributes)
    }

    pub fn annotate(self, tensor: &str, data_type: &str) -> Build {
        let entry = StringStringEntry {
            key: Some("finn_datatype".to_owned()),
            value: Some(data_type.to_owned()),
        };
        let annotation = TensorAnnotation {
            tensor_name: Some(tensor.to_owned()),
            quant_parameter_tensor_names: vec![entry],
        };
        self.with(|graph| graph.quantization_annotation.push(annotation))
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    pub fn parse(&self) -> Result<Graph, OnnxError> {
        onnx::parse(self.bytes(), None, &Limits::default())
    }

    /// The graph, with `y` as output.
    pub fn read(self) -> Graph {
        let model = self.output("y");
        model.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The error, with `y` as output.
    pub fn error(self) -> String {
        match self.output("y").parse() {
            Ok(graph) => panic!("no error, but {:?}", graph.nodes),
            Err(error) => error.to_string(),
        }
    }
}

pub fn value(name: &str, r#type: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = |&dim: &i64| match dim {
        OPEN => Dimension {
            dim_value: None,
            dim_param: Some("N".to_owned()),
        },
        _ => Dimension {
            dim_value: Some(dim),
            dim_param: None,
        },
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor_type = TensorType {
        elem_type: Some(r#type),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}

fn tensor(name: &str, r#type: i32, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(r#type),
        dims: dims.to_vec(),
        ..TensorProto::default()
    }
}

pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    raw(name, data_type::FLOAT, dims, &bytes)
}

pub fn integers(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        int64_data: values.to_vec(),
        ..tensor(name, data_type::INT64, dims)
    }
}

pub fn raw(name: &str, r#type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    let raw_data = Some(Bytes::copy_from_slice(bytes));
    TensorProto {
        raw_data,
        ..tensor(name, r#type, dims)
    }
}

/// A constant whose numbers another file holds.
pub fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntry {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    TensorProto {
        data_location: Some(1),
        external_data: entries.iter().map(entry).collect(),
        ..tensor(name, data_type::FLOAT, dims)
    }
}

fn attribute(name: &str, r#type: i32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(r#type),
        ..AttributeProto::default()
    }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, attribute_type::INT)
    }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, attribute_type::FLOAT)
    }
}

pub fn string(name: &str, value: &str) -> AttributeProto {
    let s = Some(Bytes::copy_from_slice(value.as_bytes()));
    AttributeProto {
        s,
        ..attribute(name, attribute_type::STRING)
    }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, attribute_type::INTS)
    }
}

pub fn list(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: values.to_vec(),
        ..attribute(name, attribute_type::FLOATS)
    }
}

pub fn constant(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto {
        t: Some(Box::new(tensor)),
        ..attribute(name, attribute_type::TENSOR)
    }
}

pub fn subgraph(name: &str, bytes: &[u8]) -> AttributeProto {
    let g = Some(Bytes::copy_from_slice(bytes));
    AttributeProto {
        g,
        ..attribute(name, attribute_type::GRAPH)
    }
}

/// A network of 3 x 3 convolutions of 256 channels, each with its batch norm, Relu and Quant, and with float weights that a
/// Quant reads: 2.4 MB for each of the `layers`.
pub fn convolutions(layers: usize) -> Build {
    let mut model = Build::new(&[OPEN, 256, 14, 14]);
    let mut last = "x".to_owned();
    for layer in 0..layers {
        let name = |part: &str| format!("{part}{layer}");
        let norm = ["scale", "bias", "mean", "variance"].map(name);
        let [w, wq, c, n, r, q] = ["w", "wq", "c", "n", "r", "q"].map(name);
        let weights: Vec<f32> = (0..256 * 256 * 9)
            .map(|i| (i % 255) as f32 / 128.0 - 1.0)
            .collect();
        model =
            model
                .floats(&w, &[256, 256, 3, 3], &weights)
                .quant(&w, &wq, [0.25, 0.0, 4.0], [1, 1]);
        for constant in &norm {
            model = model.fill(constant, &[256], 1.0);
        }
        let [scale, bias, mean, variance] = &norm;
        model = model
            .node("Conv", &[&last, &wq], &c, &[ints("pads", &[1; 4])])
            .node(
                "BatchNormalization",
                &[&c, scale, bias, mean, variance],
                &n,
                &[],
            )
            .node("Relu", &[&n], &r, &[])
            .quant(&r, &q, [0.5, 0.0, 4.0], [0, 0]);
        last = q;
    }
    model.output(&last)
}

/// Layers of [`convolutions`] for a file of 50 MB.
pub const LAYERS_50_MB: usize = 22;

/// Most memory that this process has held so far, in bytes, where the system says it (Linux).
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
