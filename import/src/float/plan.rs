//! Which tensors are quantized, for which layer, and which of them share a step.

use super::QuantizeError;
use super::links::{Kind, Links, kinds};
use super::options::{Precision, Quantization};
use crate::execute::Executor;
use crate::graph::{Graph, Op};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An activation that becomes codes.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The tensor.
    pub tensor: String,
    /// The layer that it belongs to: the product, sum or pool that its numbers come from; `input` of the graph's input.
    pub layer: String,
    /// Its precision.
    pub precision: Precision,
}

/// Weights that become codes.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Which node reads them.
    pub node: usize,
    /// As which of its inputs.
    pub input: usize,
    /// The dimension of output channels.
    pub axis: usize,
    /// Their precision.
    pub precision: Precision,
}

/// Activations that share a step.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Indices of [`Plan::activations`].
    pub members: Vec<usize>,
    /// Sets of members that share their grid as well, because they stand side by side in one tensor.
    pub same_grid: Vec<BTreeSet<usize>>,
}

/// What is quantized.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Activations; the graph's input first.
    pub activations: Vec<Activation>,
    /// Weights, in the order of the nodes.
    pub weights: Vec<Weights>,
    /// Every activation is in one group.
    pub groups: Vec<Group>,
}

/// Name that the graph's input has as a layer.
pub const INPUT_LAYER: &str = "input";

impl Plan {
    /// The plan of a prepared graph.
    ///
    /// # Errors
    /// [`QuantizeError`]: operations that cannot be quantized, rules for layers that do not exist.
    pub fn new(
        graph: &Graph,
        executor: &Executor<'_>,
        options: &Quantization,
    ) -> Result<Self, QuantizeError> {
        let planner = Planner {
            graph,
            links: Links::new(graph),
            kinds: kinds(graph, executor)?,
        };
        let quantized = planner.quantized_tensors();
        let origins = planner.origins(&quantized);
        let layers = planner.layers(&origins);
        options.check_names(
            &layers
                .iter()
                .map(|layer| layer.name.as_str())
                .collect::<Vec<_>>(),
        )?;
        let activations = planner.activations(&quantized, &origins, &layers, options)?;
        let weights = planner.weights(&layers, options)?;
        let groups = planner.groups(&activations);
        Ok(Plan {
            activations,
            weights,
            groups,
        })
    }
}

/// A node that rules can name.
struct Layer {
    node: usize,
    name: String,
    is_first: bool,
    is_last: bool,
}

struct Planner<'g> {
    graph: &'g Graph,
    links: Links<'g>,
    kinds: Vec<Kind>,
}

impl<'g> Planner<'g> {
    /// Whether nothing behind a tensor computes with codes: it leads to outputs of the graph alone.
    fn tails(&self) -> HashMap<&'g str, bool> {
        let mut tails: HashMap<&str, bool> = HashMap::new();
        for (index, node) in self.graph.nodes.iter().enumerate().rev() {
            let passes = match self.kinds[index] {
                Kind::Elementwise => true,
                Kind::Movement => !matches!(node.op, Op::MaxPool(_) | Op::Pad { .. }),
                _ => false,
            };
            let is_tail = passes && tails.get(node.output.as_str()).copied().unwrap_or(true);
            for input in &node.inputs {
                let tail = tails.entry(input).or_insert(true);
                *tail &= is_tail;
            }
        }
        tails
    }

    /// Tensors that are quantized, in the order of their nodes; the graph's input first, if anything reads it.
    ///
    /// A number that a product, a sum or a mean gives is quantized as late as possible: behind the operations on each
    /// number by itself that follow, where the tensor is read by something else or by more than one node.
    fn quantized_tensors(&self) -> Vec<&'g str> {
        let tails = self.tails();
        let input = self
            .graph
            .inputs
            .iter()
            .filter(|input| !self.links.readers(input).is_empty());
        let mut quantized: Vec<&str> = input.map(String::as_str).collect();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let is_real = matches!(
                self.kinds[index],
                Kind::Product { .. } | Kind::Elementwise | Kind::Join | Kind::Pool
            );
            let tensor = node.output.as_str();
            let readers = self.links.readers(tensor);
            let is_output = self.graph.outputs.iter().any(|output| output == tensor);
            let goes_on = match readers {
                [reader] => !is_output && self.kinds[*reader] == Kind::Elementwise,
                _ => false,
            };
            let is_tail = tails.get(tensor).copied().unwrap_or(true);
            if is_real && !goes_on && !is_tail {
                quantized.push(tensor);
            }
        }
        quantized
    }

    /// Nodes that rules can name: those with weights, and those whose numbers are quantized.
    fn layers(&self, origins: &[Option<usize>]) -> Vec<Layer> {
        let mut nodes: BTreeSet<usize> = origins.iter().copied().flatten().collect();
        let products = self.kinds.iter().enumerate();
        nodes.extend(
            products
                .filter(|(_, kind)| matches!(kind, Kind::Product { .. }))
                .map(|(i, _)| i),
        );
        let behind = self.reached(0..self.graph.nodes.len(), |node| {
            self.graph.nodes[node]
                .inputs
                .iter()
                .filter_map(|t| self.links.producers.get(t.as_str()))
                .copied()
                .collect()
        });
        let before = self.reached((0..self.graph.nodes.len()).rev(), |node| {
            self.links.readers(&self.graph.nodes[node].output).to_vec()
        });
        nodes
            .into_iter()
            .map(|node| {
                let is_product = matches!(self.kinds[node], Kind::Product { .. });
                Layer {
                    node,
                    name: self.graph.nodes[node].name.clone(),
                    is_first: is_product && !behind[node],
                    is_last: is_product && !before[node],
                }
            })
            .collect()
    }

    /// Whether a product stands before each node, where `neighbours` are those before it (or the other way round).
    fn reached(
        &self,
        order: impl Iterator<Item = usize>,
        neighbours: impl Fn(usize) -> Vec<usize>,
    ) -> Vec<bool> {
        let mut reached = vec![false; self.graph.nodes.len()];
        for node in order {
            reached[node] = neighbours(node)
                .into_iter()
                .any(|other| reached[other] || matches!(self.kinds[other], Kind::Product { .. }));
        }
        reached
    }

    /// For each quantized tensor the node that its numbers come from; none of the graph's input.
    fn origins(&self, quantized: &[&str]) -> Vec<Option<usize>> {
        let set: BTreeSet<&str> = quantized.iter().copied().collect();
        quantized
            .iter()
            .map(|tensor| self.origin(tensor, &set))
            .collect()
    }

    /// Back over the operations on each number by itself.
    fn origin(&self, tensor: &str, quantized: &BTreeSet<&str>) -> Option<usize> {
        let mut node = *self.links.producers.get(tensor)?;
        while self.kinds[node] == Kind::Elementwise {
            let mut inputs = self.graph.nodes[node].inputs.iter();
            let before = inputs.find_map(|input| {
                let producer = *self.links.producers.get(input.as_str())?;
                let is_real = !quantized.contains(input.as_str())
                    && !matches!(
                        self.kinds[producer],
                        Kind::Constant | Kind::Movement | Kind::Concat
                    );
                is_real.then_some(producer)
            });
            match before {
                Some(before) => node = before,
                None => break,
            }
        }
        Some(node)
    }

    fn activations(
        &self,
        quantized: &[&str],
        origins: &[Option<usize>],
        layers: &[Layer],
        options: &Quantization,
    ) -> Result<Vec<Activation>, QuantizeError> {
        let by_node: HashMap<usize, &Layer> =
            layers.iter().map(|layer| (layer.node, layer)).collect();
        let activation = |(tensor, origin): (&&str, &Option<usize>)| {
            let layer = origin.and_then(|node| by_node.get(&node));
            Ok(Activation {
                tensor: (*tensor).to_owned(),
                layer: layer.map_or(INPUT_LAYER, |layer| &layer.name).to_owned(),
                precision: match layer {
                    Some(layer) => {
                        options.of_activations(&layer.name, layer.is_first, layer.is_last)?
                    }
                    None => options.of_input()?,
                },
            })
        };
        quantized.iter().zip(origins).map(activation).collect()
    }

    fn weights(
        &self,
        layers: &[Layer],
        options: &Quantization,
    ) -> Result<Vec<Weights>, QuantizeError> {
        let mut all = Vec::new();
        for layer in layers {
            let Kind::Product { weights: input } = self.kinds[layer.node] else {
                continue;
            };
            all.push(Weights {
                node: layer.node,
                input,
                axis: self.output_axis(layer.node, input),
                precision: options.of_weights(&layer.name, layer.is_first, layer.is_last)?,
            });
        }
        Ok(all)
    }

    /// The dimension of output channels in the weights of a product.
    fn output_axis(&self, node: usize, input: usize) -> usize {
        let node = &self.graph.nodes[node];
        let rank = self
            .graph
            .shapes
            .get(&node.inputs[input])
            .map_or(0, Vec::len);
        match node.op {
            Op::Gemm {
                transpose_b: true, ..
            }
            | Op::Conv { .. } => 0,
            // Weights to the left of a product have an output for each row, others for each column.
            _ if input == 0 => rank.saturating_sub(2),
            _ => rank.saturating_sub(1),
        }
    }

    /// The quantized tensors whose codes a tensor holds.
    fn sources<'a>(&'a self, tensor: &'a str, index: &HashMap<&str, usize>) -> Vec<usize> {
        let mut sources = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![tensor];
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            if let Some(found) = index.get(tensor) {
                sources.push(*found);
            } else if let Some(node) = self.links.producers.get(tensor)
                && self.kinds[*node] != Kind::Constant
            {
                open.extend(self.graph.nodes[*node].inputs.iter().map(String::as_str));
            }
        }
        sources
    }

    fn groups(&self, activations: &[Activation]) -> Vec<Group> {
        let index: HashMap<&str, usize> = activations
            .iter()
            .enumerate()
            .map(|(i, a)| (a.tensor.as_str(), i))
            .collect();
        let mut steps = Partition::new(activations.len());
        let mut grids = Partition::new(activations.len());
        for (node, kind) in self.graph.nodes.iter().zip(&self.kinds) {
            if !matches!(kind, Kind::Join | Kind::Concat) {
                continue;
            }
            let sources: Vec<usize> = node
                .inputs
                .iter()
                .flat_map(|input| self.sources(input, &index))
                .collect();
            for pair in sources.windows(2) {
                steps.join(pair[0], pair[1]);
                if *kind == Kind::Concat {
                    grids.join(pair[0], pair[1]);
                }
            }
        }
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for members in grids.sets() {
            let group = groups.entry(steps.root(members[0])).or_default();
            group.members.extend(&members);
            group.same_grid.push(members.into_iter().collect());
        }
        groups.into_values().collect()
    }
}

/// Disjoint sets.
struct Partition {
    parents: Vec<usize>,
}

impl Partition {
    fn new(size: usize) -> Self {
        Partition {
            parents: (0..size).collect(),
        }
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.parents[member] != member {
            self.parents[member] = self.parents[self.parents[member]];
            member = self.parents[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn sets(&mut self) -> Vec<Vec<usize>> {
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for member in 0..self.parents.len() {
            sets.entry(self.root(member)).or_default().push(member);
        }
        sets.into_values().collect()
    }
}
