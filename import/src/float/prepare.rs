//! Brings a float graph into a form with fewer places to quantize, without a change of any value that remains.

use super::names::Names;
use crate::graph::{Graph, Op};
use std::collections::{BTreeMap, HashMap};

/// Without identities, and with activation functions before the pools and reshapes that they follow.
pub fn prepare(graph: &Graph) -> Graph {
    let mut graph = without_identities(graph);
    hoist_activation_functions(&mut graph);
    graph
}

/// Removes identities, but for those that give an output of the graph.
fn without_identities(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let outputs = std::mem::take(&mut graph.outputs);
    graph.nodes.retain_mut(|node| {
        for input in &mut node.inputs {
            if let Some(source) = sources.get(input) {
                input.clone_from(source);
            }
        }
        let is_removed = node.op == Op::Identity && !outputs.contains(&node.output);
        if is_removed && let Some(source) = node.inputs.first() {
            sources.insert(node.output.clone(), source.clone());
        }
        !is_removed
    });
    graph.outputs = outputs;
    graph
}

/// `Relu(MaxPool(x))` is `MaxPool(Relu(x))`: both keep order. The quantizer before the pool then sees no negative numbers,
/// and none is needed behind it. The same holds of `Clip`, and for reshapes.
fn hoist_activation_functions(graph: &mut Graph) {
    let mut names = Names::of(graph);
    let mut readers: HashMap<String, usize> = HashMap::new();
    for node in &graph.nodes {
        for input in &node.inputs {
            *readers.entry(input.clone()).or_default() += 1;
        }
    }
    for output in &graph.outputs {
        *readers.entry(output.clone()).or_default() += 1;
    }
    let mut producers: HashMap<String, usize> = HashMap::new();
    for index in 0..graph.nodes.len() {
        let mut at = index;
        while let Some(before) = movable_before(graph, at, &producers, &readers) {
            swap(graph, before, at, &mut names);
            producers.insert(graph.nodes[at].output.clone(), at);
            readers.insert(graph.nodes[before].output.clone(), 1);
            at = before;
        }
        producers.insert(graph.nodes[at].output.clone(), at);
    }
}

/// The node before an activation function that it can change places with.
fn movable_before(
    graph: &Graph,
    at: usize,
    producers: &HashMap<String, usize>,
    readers: &HashMap<String, usize>,
) -> Option<usize> {
    let node = &graph.nodes[at];
    let is_function = matches!(node.op, Op::Relu | Op::Clip { .. });
    let input = node
        .inputs
        .first()
        .filter(|input| is_function && readers.get(*input) == Some(&1))?;
    let before = *producers.get(input)?;
    let moved = &graph.nodes[before];
    let can_move = matches!(
        moved.op,
        Op::MaxPool(_) | Op::Flatten { .. } | Op::Reshape { .. } | Op::Transpose { .. }
    );
    let source = moved.inputs.first().filter(|_| can_move)?;
    let is_chain = readers.get(source) == Some(&1) && producers.contains_key(source);
    (is_chain && graph.shapes.contains_key(source)).then_some(before)
}

/// `before` gives m and `after` reads it: now the function of `after` stands first and gives a new tensor.
fn swap(graph: &mut Graph, before: usize, after: usize, names: &mut Names) {
    let source = graph.nodes[before].inputs[0].clone();
    let between = names.fresh(&format!("{source}_{}", graph.nodes[after].op.name()));
    if let Some(shape) = graph.shapes.get(&source).cloned() {
        graph.shapes.insert(between.clone(), shape);
    }
    graph.shapes.remove(&graph.nodes[before].output);
    let moved_op = graph.nodes[before].op.clone();
    let moved_name = graph.nodes[before].name.clone();
    let function = &graph.nodes[after];
    let (op, name) = (function.op.clone(), function.name.clone());
    let first = &mut graph.nodes[before];
    (first.op, first.name, first.output) = (op, name, between.clone());
    let second = &mut graph.nodes[after];
    (second.op, second.name) = (moved_op, moved_name);
    second.inputs = vec![between];
}
