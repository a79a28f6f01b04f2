//! The nodes of a graph in an order in which they can be computed, without those that no output needs.

use super::error::{Name, OnnxError};
use super::proto::{GraphProto, NodeProto};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Node `index` as an error names it.
pub(super) fn title(node: &NodeProto, index: usize) -> String {
    match node.name.as_deref() {
        None | Some("") => format!("{}_{index}", node.op_type.as_deref().unwrap_or_default()),
        Some(name) => name.to_owned(),
    }
}

/// Names that are tensors: an empty one stands for a tensor that is not given.
pub(super) fn tensors(names: &[String]) -> impl Iterator<Item = &str> {
    names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// Indices of the needed nodes. Of two nodes that could both come next, the one that comes first in the file does, so a
/// sorted file keeps its order. `given` are inputs and initializers.
pub(super) fn sorted(graph: &GraphProto, given: &HashSet<&str>) -> Result<Vec<usize>, OnnxError> {
    let producers = producers(graph, given)?;
    let order = topological(graph, given, &producers)?;
    let mut needed = HashSet::new();
    for output in &graph.output {
        let name = output.name.as_deref().unwrap_or_default();
        if !given.contains(name) && !producers.contains_key(name) {
            return Err(OnnxError::Graph {
                field: format!("output `{}`", Name::new(name)),
                problem: "no node gives it".to_owned(),
                fix: "export the model again".to_owned(),
            });
        }
        needed.insert(name);
    }
    let mut live = Vec::with_capacity(order.len());
    for index in order.into_iter().rev() {
        let node = &graph.node[index];
        if tensors(&node.output).any(|output| needed.contains(output)) {
            needed.extend(tensors(&node.input));
            live.push(index);
        }
    }
    live.reverse();
    Ok(live)
}

/// Which node gives each tensor.
fn producers<'a>(
    graph: &'a GraphProto,
    given: &HashSet<&str>,
) -> Result<HashMap<&'a str, usize>, OnnxError> {
    let mut producers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for output in tensors(&node.output) {
            if given.contains(output) || producers.insert(output, index).is_some() {
                return Err(wrong(
                    node,
                    index,
                    format!("output `{}`", Name::new(output)),
                    "another node, an input or an initializer has this name already",
                    "give every tensor a name of its own",
                ));
            }
        }
    }
    Ok(producers)
}

/// Kahn's algorithm.
fn topological(
    graph: &GraphProto,
    given: &HashSet<&str>,
    producers: &HashMap<&str, usize>,
) -> Result<Vec<usize>, OnnxError> {
    let mut missing = vec![0usize; graph.node.len()];
    let mut readers = vec![Vec::new(); graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        for (slot, input) in node
            .input
            .iter()
            .enumerate()
            .filter(|(_, input)| !input.is_empty())
        {
            match producers.get(input.as_str()) {
                Some(&producer) => {
                    readers[producer].push(index);
                    missing[index] += 1;
                }
                None if given.contains(input.as_str()) => {}
                None => {
                    return Err(wrong(
                        node,
                        index,
                        format!("input {slot} `{}`", Name::new(input)),
                        "it is no input and no initializer of the graph, and no node gives it",
                        "export the model again with its weights",
                    ));
                }
            }
        }
    }
    let free = (0..graph.node.len()).filter(|&index| missing[index] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut order = Vec::with_capacity(graph.node.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match missing.iter().position(|&count| count > 0) {
        None => Ok(order),
        Some(index) => {
            // Every node left waits for another one left; going back from one of them ends in the cycle itself.
            let index = in_cycle(graph, producers, &missing, index);
            Err(wrong(
                &graph.node[index],
                index,
                "input".to_owned(),
                "it depends on the node's own output: the graph has a cycle",
                "export the model without loops or recurrent layers",
            ))
        }
    }
}

/// A node of the cycle that a waiting node waits for.
fn in_cycle(
    graph: &GraphProto,
    producers: &HashMap<&str, usize>,
    missing: &[usize],
    start: usize,
) -> usize {
    let mut seen = HashSet::new();
    let mut index = start;
    while seen.insert(index) {
        let waits_for = tensors(&graph.node[index].input)
            .filter_map(|input| producers.get(input).copied())
            .find(|&producer| missing[producer] > 0);
        let Some(producer) = waits_for else { break };
        index = producer;
    }
    index
}

fn wrong(node: &NodeProto, index: usize, field: String, problem: &str, fix: &str) -> OnnxError {
    OnnxError::Node {
        node: Name::new(&title(node, index)),
        operator: Name::new(node.op_type.as_deref().unwrap_or_default()),
        field,
        problem: problem.to_owned(),
        fix: fix.to_owned(),
    }
}
