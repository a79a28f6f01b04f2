//! New names beside those of a graph.

use crate::graph::Graph;
use std::collections::BTreeSet;

/// Names of tensors and nodes that are taken.
pub struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Those of a graph.
    pub fn of(graph: &Graph) -> Self {
        let nodes = graph.nodes.iter();
        let tensors =
            nodes.flat_map(|node| [&node.name, &node.output].into_iter().chain(&node.inputs));
        let others = graph
            .inputs
            .iter()
            .chain(graph.constants.keys())
            .chain(graph.shapes.keys());
        Names {
            taken: tensors.chain(others).cloned().collect(),
        }
    }

    /// This name, with a number behind it if it is taken.
    pub fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }
}
