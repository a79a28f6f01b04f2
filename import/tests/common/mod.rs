//! Graphs by hand.
#![allow(dead_code)] // each test binary uses a part

use ndarray::{ArrayD, IxDyn};
use xnorforge_import::{Array, Graph, Node, Op};

/// An array of this shape.
pub fn array(shape: &[usize], values: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap()
}

/// A graph with the input `x`.
pub struct Builder {
    pub graph: Graph,
}

impl Builder {
    /// With an input of this shape.
    pub fn new(shape: &[usize]) -> Self {
        let mut graph = Graph {
            name: "test".into(),
            inputs: vec!["x".into()],
            ..Graph::default()
        };
        graph.shapes.insert("x".into(), shape.to_vec());
        Builder { graph }
    }

    /// With a constant.
    pub fn constant(mut self, name: &str, value: ArrayD<f32>) -> Self {
        self.graph
            .shapes
            .insert(name.into(), value.shape().to_vec());
        self.graph
            .constants
            .insert(name.into(), Array::F32(value.into()));
        self
    }

    /// With a node of the name of its output.
    pub fn node(mut self, op: Op, inputs: &[&str], output: &str, shape: &[usize]) -> Self {
        self.graph.nodes.push(Node {
            name: format!("n_{output}"),
            op,
            inputs: inputs.iter().map(|input| (*input).into()).collect(),
            output: output.into(),
        });
        self.graph.shapes.insert(output.into(), shape.to_vec());
        self
    }

    /// The graph, which gives `output`.
    pub fn finish(mut self, output: &str) -> Graph {
        self.graph.outputs = vec![output.into()];
        self.graph
    }
}
