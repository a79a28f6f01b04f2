//! Bits for each layer: the least loss within limits on cycles, binary operation pairs and parameter bytes.
//!
//! What each layer loses at each number of bits comes from a table; the loss of a network is taken as their sum, as
//! everywhere where layers are measured one at a time. What it costs is not estimated: a layer's share is the difference
//! that its bits make to the whole network, by the same formulas as of every point.
//!
//! Few choices are all computed as a whole: the best of them is the optimum. For more, shares that add up make a
//! multiple-choice knapsack. It is solved group by group: of all choices for the layers so far, one that is no better in
//! any cost or in the loss than another is left out, and so is one that can keep a limit with no choice of the rest.
//! Layers that read the same tensor are one group, as the tensor has the bits of the one that asks for most. Shares add
//! up exactly in binary operation pairs, but not always in cycles: a layer's time may depend on the bits of the next one,
//! and weights may stream. So this finds good choices and proves nothing about the rest: each result is computed as a
//! whole, these are the numbers that are reported, and the best one is called the best that was found.

use super::network;
use super::point::Networks;
use crate::failure::Failure;
use crate::terminal::thousands;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::BITS_MAX;
use xnorforge_import::topology::{Kind, Source, Topology};
use xnorforge_sim::Encoding;
use xnorforge_sim::forecast::Memo;
use xnorforge_sim::network::{Outline, Work};

/// Longest table of losses in bytes.
pub const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Most partial choices that are kept after a layer: where cycles alone are weighed against the loss, and where other
/// limits make every one a rival of every other.
const LABELS_MAX: [usize; 2] = [200_000, 4_000];
/// Largest cost that is computed with.
const COST_MAX: u128 = i64::MAX as u128 / 4;
/// Most choices for all layers that are computed as a whole, each of them.
const WHOLE_MAX: u128 = 1024;
/// Most choices of layers that read the same tensor and are chosen for together.
const GROUP_MAX: usize = 4096;
/// Largest loss of a layer: sums of losses stay numbers.
const LOSS_MAX: f64 = 1e12;
/// Most results of the curve that are computed as a whole.
const CURVE_MAX: usize = 64;

/// Limits on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Cycles of all inputs.
    pub cycles: Option<u64>,
    /// Binary operation pairs of all inputs (BOPs).
    pub binary_operation_pairs: Option<u64>,
    /// Bytes of packed parameters.
    pub parameter_bytes: Option<u64>,
}

impl Limits {
    /// In the order of [`Costs`].
    fn all(&self) -> [(&'static str, Option<u64>); 3] {
        [
            ("cycles", self.cycles),
            ("binary_operation_pairs", self.binary_operation_pairs),
            ("parameter_bytes", self.parameter_bytes),
        ]
    }

    /// Takes a limit as text, `cycles=1000000` for example.
    ///
    /// # Errors
    /// Another text.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let wrong = || {
            format!(
                "\"{text}\" is no limit; write cycles=COUNT, binary_operation_pairs=COUNT or parameter_bytes=COUNT"
            )
        };
        let (name, limit) = text.split_once('=').ok_or_else(wrong)?;
        let limit = limit.trim().replace('_', "").parse().map_err(|_| wrong())?;
        let field = match name.trim() {
            "cycles" => &mut self.cycles,
            "binary_operation_pairs" => &mut self.binary_operation_pairs,
            "parameter_bytes" => &mut self.parameter_bytes,
            _ => return Err(wrong()),
        };
        *field = Some(limit);
        Ok(())
    }

    fn are_kept(&self, costs: &Costs) -> bool {
        let limits = self.all().into_iter().zip(costs.0);
        limits.into_iter().all(|((_, limit), cost)| {
            limit.is_none_or(|limit| i128::from(cost) <= i128::from(limit))
        })
    }
}

/// Cycles, binary operation pairs and parameter bytes; differences of them as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Costs([i64; 3]);

impl Costs {
    fn plus(self, other: Self) -> Self {
        Costs(std::array::from_fn(|i| {
            self.0[i].saturating_add(other.0[i])
        }))
    }

    fn minus(self, other: Self) -> Self {
        Costs(std::array::from_fn(|i| {
            self.0[i].saturating_sub(other.0[i])
        }))
    }

    fn least(self, other: Self) -> Self {
        Costs(std::array::from_fn(|i| self.0[i].min(other.0[i])))
    }
}

/// A choice for a layer: bits of what it reads and of its weights, and what it loses.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Choice {
    /// Bits of the activations.
    pub activation_bits: u32,
    /// Bits of the weights.
    pub weight_bits: u32,
    /// What the network loses if this layer alone has these bits.
    pub loss: f64,
}

/// A row of a table of losses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    layer: String,
    activation_bits: u32,
    weight_bits: u32,
    loss: f64,
}

/// The TOML form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsFile {
    sensitivity: Vec<Row>,
}

/// What each layer loses at each number of bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sensitivity {
    /// Choices by layer.
    pub layers: BTreeMap<String, Vec<Choice>>,
}

impl Sensitivity {
    /// Reads a table: CSV with the columns layer, activation_bits, weight_bits and loss, or TOML with
    /// `[[sensitivity]]` tables of these keys.
    ///
    /// # Errors
    /// Text that is no such table; bits or a loss out of range; a choice that comes twice.
    pub fn parse(text: &str, is_toml: bool) -> Result<Self, String> {
        let rows: Vec<Row> = if is_toml {
            let file: RowsFile =
                toml::from_str(text).map_err(|e| e.message().replace('\n', " "))?;
            file.sensitivity
        } else {
            let mut reader = csv::ReaderBuilder::new()
                .trim(csv::Trim::All)
                .from_reader(text.as_bytes());
            let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
            rows.map_err(|e| {
                format!("{e}; the columns are layer,activation_bits,weight_bits,loss")
            })?
        };
        let mut sensitivity = Sensitivity::default();
        for (index, row) in rows.into_iter().enumerate() {
            sensitivity
                .add(row)
                .map_err(|e| format!("row {}: {e}", index + 1))?;
        }
        match sensitivity.layers.is_empty() {
            true => Err("the table is empty; give at least one row".to_owned()),
            false => Ok(sensitivity),
        }
    }

    fn add(&mut self, row: Row) -> Result<(), String> {
        for (name, bits) in [
            ("activation_bits", row.activation_bits),
            ("weight_bits", row.weight_bits),
        ] {
            if !(1..=BITS_MAX).contains(&bits) {
                return Err(format!("{name} = {bits} is out of range: 1..={BITS_MAX}"));
            }
        }
        if !row.loss.is_finite() || row.loss.abs() > LOSS_MAX {
            return Err(format!(
                "loss = {} is no number from -{LOSS_MAX:e} to {LOSS_MAX:e}",
                row.loss
            ));
        }
        let choices = self.layers.entry(row.layer).or_default();
        let bits = |c: &Choice| (c.activation_bits, c.weight_bits);
        let choice = Choice {
            activation_bits: row.activation_bits,
            weight_bits: row.weight_bits,
            loss: row.loss,
        };
        if choices.iter().any(|other| bits(other) == bits(&choice)) {
            return Err("the same layer and bits came before".to_owned());
        }
        choices.push(choice);
        Ok(())
    }
}

/// A model whose layers can have other bits.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Activations and weights of a topology.
    Topology(Topology),
    /// The weights of a model that has its numbers.
    Outline(Box<Outline>),
}

impl Subject {
    /// Name and bits of each layer with weights.
    fn layers(&self) -> Vec<(String, [u32; 2])> {
        match self {
            Subject::Topology(topology) => {
                let layers = topology.layers.iter().filter(|l| l.kind.has_weights());
                layers
                    .map(|l| (l.name.clone(), [l.activation.bits, l.weight.bits]))
                    .collect()
            }
            Subject::Outline(outline) => outline
                .layers
                .iter()
                .filter_map(|l| Some((l.name.clone(), [l.activation.bits, l.weight()?.bits])))
                .collect(),
        }
    }

    /// Layers with weights, those that read the same tensor together; indices as of [`Subject::layers`].
    fn groups(&self) -> Vec<Vec<usize>> {
        match self {
            Subject::Topology(topology) => {
                let mut groups: BTreeMap<Source, Vec<usize>> = BTreeMap::new();
                let with_weights = topology.layers.iter().filter(|l| l.kind.has_weights());
                let mut alone = Vec::new();
                for (index, layer) in with_weights.enumerate() {
                    match layer.sources.first() {
                        Some(source) => {
                            let tensor = tensor(topology, *source);
                            groups.entry(tensor).or_default().push(index);
                        }
                        None => alone.push(vec![index]),
                    }
                }
                alone.extend(groups.into_values());
                alone
            }
            // Its activations stay as they are.
            Subject::Outline(_) => (0..self.layers().len()).map(|index| vec![index]).collect(),
        }
    }

    /// The outlines with bits for each layer with weights.
    fn with(&self, bits: &[[u32; 2]]) -> Result<Vec<Outline>, Failure> {
        let mut bits = bits.iter();
        match self {
            Subject::Topology(topology) => {
                let mut topology = topology.clone();
                let with_weights = topology.layers.iter_mut().filter(|l| l.kind.has_weights());
                for (layer, [activation, weight]) in with_weights.zip(bits) {
                    set_bits(&mut layer.activation, *activation);
                    set_bits(&mut layer.weight, *weight);
                }
                topology.outlines().map_err(Failure::input)
            }
            Subject::Outline(outline) => {
                let mut outline = outline.clone();
                for layer in &mut outline.layers {
                    if let Work::Convolution { weight, .. } = &mut layer.work
                        && let Some([activation, bits]) = bits.next()
                    {
                        if *activation != layer.activation.bits {
                            return Err(Failure::input(format!(
                                "--sensitivity: layer `{}` reads {} bits, and the model has its thresholds for them: give rows with activation_bits = {} alone, or a topology",
                                layer.name, layer.activation.bits, layer.activation.bits
                            )));
                        }
                        set_bits(weight, *bits);
                    }
                }
                Ok(vec![*outline])
            }
        }
    }
}

/// The tensor that decides the bits of `source`: pools and the like pass on what those behind them ask for.
fn tensor(topology: &Topology, mut source: Source) -> Source {
    while let Source::Layer(index) = source
        && let Some(layer) = topology.layers.get(index)
        && matches!(layer.kind, Kind::MaxPool(_) | Kind::Flatten)
        && let Some(before) = layer.sources.first()
    {
        source = *before;
    }
    source
}

/// Other bits, where the encoding has them: a ternary number has two.
fn set_bits(precision: &mut xnorforge_sim::Precision, bits: u32) {
    if precision.encoding == Encoding::Ternary && bits != precision.bits {
        precision.encoding = Encoding::Signed;
    }
    precision.bits = bits;
}

/// Bits for every layer, and what the network takes with them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// What it is.
    pub name: String,
    /// Bits of activations and weights of each layer.
    pub bits: Vec<[u32; 2]>,
    /// Sum of the layers' losses; none where the table does not hold one of them.
    pub loss: Option<f64>,
    /// Cycles of all inputs.
    pub cycles: u64,
    /// Binary operation pairs of all inputs.
    pub binary_operation_pairs: u64,
    /// Bytes of packed parameters.
    pub parameter_bytes: u64,
    /// The command that generates the accelerator for it.
    pub command: String,
}

impl Assignment {
    /// Bits layer by layer, runs of equal ones together.
    pub fn bits_text(&self) -> String {
        let mut text: Vec<String> = Vec::new();
        for run in self.bits.chunk_by(|a, b| a == b) {
            let [activation, weight] = run[0];
            text.push(match run.len() {
                1 => format!("{activation}x{weight}"),
                count => format!("{count} of {activation}x{weight}"),
            });
        }
        text.join(", ")
    }
}

/// The choice of bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Layers with weights.
    pub layers: Vec<String>,
    /// What had to be kept.
    pub limits: Limits,
    /// The least loss within the limits.
    pub best: Assignment,
    /// The least loss for each number of cycles, fewest cycles first.
    pub curve: Vec<Assignment>,
    /// Choices by rule: uniform, falling from the first layer to the last, and 8 bits at both ends.
    pub presets: Vec<Assignment>,
    /// Whether `best` is the optimum of the table, and why.
    pub guarantee: String,
}

/// A partial choice.
#[derive(Clone, Copy, Debug)]
struct Label {
    costs: Costs,
    loss: f64,
    /// The label of the layer before, and the choice.
    before: u32,
    choice: u32,
}

/// What assignments are computed with.
struct Evaluator<'a> {
    subject: &'a Subject,
    base: &'a ArrayConfig,
    inputs: u32,
    layers: Vec<String>,
    choices: Vec<Vec<Choice>>,
}

impl Evaluator<'_> {
    fn costs(&self, bits: &[[u32; 2]]) -> Result<(Costs, String), Failure> {
        let networks = Networks::new(self.subject.with(bits)?, self.inputs);
        let mut memos: Vec<Memo> = networks.memos();
        let point = network::point(
            &networks,
            &mut memos,
            self.base.clone(),
            &Default::default(),
        );
        let point = point.map_err(|e| Failure::input(format!("--sensitivity: {e}")))?;
        let layers = || networks.outlines.iter().flat_map(|outline| &outline.layers);
        let pairs: u128 = layers().map(|layer| layer.binary_pairs()).sum();
        let bytes: u64 = layers().map(|layer| layer.parameter_bytes()).sum();
        let pairs = pairs * u128::from(self.inputs);
        let costs = [point.cycles.into(), pairs, bytes.into()];
        if costs.iter().any(|cost: &u128| *cost > COST_MAX) {
            return Err(Failure::input(format!(
                "--sensitivity: the network takes more than {} cycles or binary operation pairs; lower --inputs",
                thousands(COST_MAX)
            )));
        }
        Ok((Costs(costs.map(|cost| cost as i64)), point.command))
    }

    fn assignment(&self, name: &str, bits: Vec<[u32; 2]>) -> Result<Assignment, Failure> {
        let (Costs([cycles, pairs, bytes]), command) = self.costs(&bits)?;
        let losses = bits.iter().zip(&self.choices).map(|(bits, choices)| {
            let of = |c: &&Choice| [c.activation_bits, c.weight_bits] == *bits;
            choices.iter().find(of).map(|choice| choice.loss)
        });
        Ok(Assignment {
            name: name.to_owned(),
            loss: losses.sum(),
            bits,
            cycles: cycles as u64,
            binary_operation_pairs: pairs as u64,
            parameter_bytes: bytes as u64,
            command,
        })
    }

    fn bits(&self, picks: &[u32]) -> Vec<[u32; 2]> {
        let picks = picks.iter().zip(&self.choices);
        picks
            .map(|(pick, choices)| {
                let choice = choices[*pick as usize];
                [choice.activation_bits, choice.weight_bits]
            })
            .collect()
    }

    /// What each choice of each group adds to the cheapest choice of all.
    fn shares(
        &self,
        groups: &[Group],
        picks: &[u32],
        all: Costs,
    ) -> Result<Vec<Vec<Costs>>, Failure> {
        let of_option = |group: &Group, option: &Vec<u32>| {
            let mut picks = picks.to_vec();
            group.put(option, &mut picks);
            let (costs, _) = self.costs(&self.bits(&picks))?;
            Ok(costs.minus(all))
        };
        let of_group = |group: &Group| {
            let options = group.options.iter();
            options.map(|option| of_option(group, option)).collect()
        };
        groups.iter().map(of_group).collect()
    }

    /// The layers that are chosen for together, and all their choices.
    fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for layers in self.subject.groups() {
            let counts = layers.iter().map(|layer| self.choices[*layer].len());
            if counts.fold(1, usize::saturating_mul) <= GROUP_MAX {
                groups.push(Group::new(layers, &self.choices));
            } else {
                let alone = layers.into_iter().map(|layer| vec![layer]);
                groups.extend(alone.map(|layer| Group::new(layer, &self.choices)));
            }
        }
        groups
    }
}

/// Layers that are chosen for together.
struct Group {
    layers: Vec<usize>,
    /// A choice for each of them.
    options: Vec<Vec<u32>>,
    /// What each option loses.
    losses: Vec<f64>,
}

impl Group {
    fn new(layers: Vec<usize>, choices: &[Vec<Choice>]) -> Self {
        let counts: Vec<u32> = layers.iter().map(|l| choices[*l].len() as u32).collect();
        let options = combinations(&counts);
        let loss = |option: &Vec<u32>| {
            let picks = layers.iter().zip(option);
            picks
                .map(|(l, pick)| choices[*l][*pick as usize].loss)
                .sum()
        };
        Group {
            losses: options.iter().map(loss).collect(),
            options,
            layers,
        }
    }

    fn put(&self, option: &[u32], picks: &mut [u32]) {
        for (layer, pick) in self.layers.iter().zip(option) {
            picks[*layer] = *pick;
        }
    }
}

/// All combinations of a choice for each count.
fn combinations(counts: &[u32]) -> Vec<Vec<u32>> {
    counts.iter().fold(vec![Vec::new()], |all, count| {
        let next = |picks: Vec<u32>| (0..*count).map(move |c| [picks.clone(), vec![c]].concat());
        all.into_iter().flat_map(next).collect()
    })
}

/// Chooses bits for the layers of a model on an accelerator.
///
/// # Errors
/// A table that does not fit the model; limits that nothing keeps: the tightest one, and the nearest choice.
pub fn choose(
    subject: &Subject,
    sensitivity: &Sensitivity,
    base: &ArrayConfig,
    inputs: u32,
    limits: Limits,
) -> Result<Chosen, Failure> {
    let layers = subject.layers();
    check_names(sensitivity, &layers)?;
    let choices = layers
        .iter()
        .map(|(name, bits)| match sensitivity.layers.get(name) {
            Some(choices) => choices.clone(),
            // A layer that the table does not know stays as it is.
            None => vec![Choice {
                activation_bits: bits[0],
                weight_bits: bits[1],
                loss: 0.0,
            }],
        });
    let evaluator = Evaluator {
        subject,
        base,
        inputs,
        choices: choices.collect(),
        layers: layers.into_iter().map(|(name, _)| name).collect(),
    };
    // Shares are differences to the fewest bits of every layer.
    let fewest = |choices: &Vec<Choice>| {
        let bits = |i: &usize| choices[*i].activation_bits * choices[*i].weight_bits;
        (0..choices.len()).min_by_key(bits).unwrap_or(0) as u32
    };
    let picks: Vec<u32> = evaluator.choices.iter().map(fewest).collect();
    let (start, _) = evaluator.costs(&evaluator.bits(&picks))?;
    let groups = evaluator.groups();
    let shares = evaluator.shares(&groups, &picks, start)?;
    let proposed = Proposed::new(&evaluator, &groups, &shares, &picks, start, &limits);
    let is_kept = |found: &Assignment| limits.are_kept(&costs_of(found));
    let mut curve = Vec::new();
    let mut best: Option<Assignment> = None;
    // With rising loss: the first that keeps the limits as a whole is the best one.
    for (at, picks) in proposed.picks.iter().enumerate() {
        let is_sample = proposed.is_all || at.is_multiple_of(proposed.picks.len() / CURVE_MAX + 1);
        if best.is_some() && !is_sample {
            continue;
        }
        let found = evaluator.assignment("chosen", evaluator.bits(picks))?;
        if best.is_none() && is_kept(&found) {
            best = Some(found.clone());
        }
        curve.push(found);
    }
    let Some(best) = best else {
        return Err(nothing_keeps(&curve, proposed.is_all, &limits));
    };
    curve.retain(is_kept);
    curve.sort_by_key(|found| found.cycles);
    // Where other costs have limits, more cycles may be spent without losing less.
    let mut least = f64::INFINITY;
    curve.retain(|found| {
        let loss = found.loss.unwrap_or(f64::INFINITY);
        let is_less = loss < least;
        least = least.min(loss);
        is_less
    });
    Ok(Chosen {
        presets: presets(&evaluator)?,
        guarantee: guarantee(proposed.is_all, proposed.picks.len()),
        layers: evaluator.layers,
        limits,
        best,
        curve,
    })
}

fn costs_of(assignment: &Assignment) -> Costs {
    Costs([
        assignment.cycles as i64,
        assignment.binary_operation_pairs as i64,
        assignment.parameter_bytes as i64,
    ])
}

fn guarantee(is_all: bool, count: usize) -> String {
    let count = thousands(count as u128);
    if is_all {
        format!("optimal: all {count} choices of bits in the table were computed as a whole")
    } else {
        format!(
            "the best found: the layers' shares of the costs proposed {count} choices, and the first of them that keeps the limits as a whole was taken; shares need not add up (a layer's time depends on the bits of the next one, weights may stream), so that none of the others is better is not proven"
        )
    }
}

/// Choices that are computed as a whole, with rising loss.
struct Proposed {
    picks: Vec<Vec<u32>>,
    /// Whether these are all that there are.
    is_all: bool,
}

impl Proposed {
    fn new(
        evaluator: &Evaluator<'_>,
        groups: &[Group],
        shares: &[Vec<Costs>],
        fewest: &[u32],
        start: Costs,
        limits: &Limits,
    ) -> Self {
        let counts: Vec<u32> = evaluator.choices.iter().map(|c| c.len() as u32).collect();
        let all = counts.iter().map(|count| u128::from(*count));
        let is_all = all.fold(1, u128::saturating_mul) <= WHOLE_MAX;
        let mut picks = if is_all {
            combinations(&counts)
        } else {
            let losses: Vec<Vec<f64>> = groups.iter().map(|g| g.losses.clone()).collect();
            let of_groups = knapsack(&losses, shares, start, limits).into_iter();
            // Shares that do not add up may hide that these keep the limits.
            let least = (0..3).map(|cost| {
                let of_group = |shares: &Vec<Costs>| {
                    let least = (0..shares.len()).min_by_key(|o| shares[*o].0[cost]);
                    least.unwrap_or(0) as u32
                };
                shares.iter().map(of_group).collect::<Vec<u32>>()
            });
            let of_layers = |options: Vec<u32>| {
                let mut picks = fewest.to_vec();
                for (group, option) in groups.iter().zip(options) {
                    group.put(&group.options[option as usize], &mut picks);
                }
                picks
            };
            let mut picks: Vec<Vec<u32>> = of_groups.chain(least).map(of_layers).collect();
            picks.push(fewest.to_vec());
            picks
        };
        let loss = |picks: &Vec<u32>| -> f64 {
            let picks = picks.iter().zip(&evaluator.choices);
            picks
                .map(|(pick, choices)| choices[*pick as usize].loss)
                .sum()
        };
        picks.sort_by_cached_key(|picks| Loss(loss(picks)));
        Proposed { picks, is_all }
    }
}

/// A loss in the order of numbers.
#[derive(PartialEq)]
struct Loss(f64);

impl Eq for Loss {}

impl PartialOrd for Loss {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Loss {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn check_names(sensitivity: &Sensitivity, layers: &[(String, [u32; 2])]) -> Result<(), Failure> {
    let unknown = sensitivity
        .layers
        .keys()
        .find(|name| !layers.iter().any(|(layer, _)| layer == *name));
    match unknown {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = layers.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::input(format!(
                "--sensitivity: no layer with weights is called `{name}`; there are {}",
                names.join(", ")
            )))
        }
    }
}

/// All choices that no other beats in cycles, loss and the costs that have limits, within the limits.
fn knapsack(
    choices: &[Vec<f64>],
    shares: &[Vec<Costs>],
    start: Costs,
    limits: &Limits,
) -> Vec<Vec<u32>> {
    // The least that the layers from each one on add.
    let mut rest = vec![Costs::default(); choices.len() + 1];
    for layer in (0..choices.len()).rev() {
        let least = shares[layer].iter().copied().reduce(Costs::least);
        rest[layer] = rest[layer + 1].plus(least.unwrap_or_default());
    }
    let counts = limits
        .all()
        .map(|(name, limit)| name == "cycles" || limit.is_some());
    let mut steps: Vec<Vec<Label>> = vec![vec![Label {
        costs: start,
        loss: 0.0,
        before: 0,
        choice: 0,
    }]];
    for layer in 0..choices.len() {
        let mut labels = Vec::new();
        for (before, label) in steps[layer].iter().enumerate() {
            for (choice, (loss, share)) in choices[layer].iter().zip(&shares[layer]).enumerate() {
                let costs = label.costs.plus(*share);
                // The least that the rest adds may be below 0 only by rounding of shares that do not add up.
                if limits.are_kept(&costs.plus(rest[layer + 1])) {
                    labels.push(Label {
                        costs,
                        loss: label.loss + loss,
                        before: before as u32,
                        choice: choice as u32,
                    });
                }
            }
        }
        let mut labels = undominated(labels, counts);
        let most = LABELS_MAX[usize::from(counts != [true, false, false])];
        if labels.len() > most {
            let step = labels.len().div_ceil(most);
            let last = labels.len() - 1;
            let mut at = 0;
            labels.retain(|_| {
                at += 1;
                (at - 1) % step == 0 || at - 1 == last
            });
        }
        steps.push(labels);
    }
    let last = steps.last().map_or(&[] as &[Label], |labels| labels);
    let mut order: Vec<u32> = (0..last.len() as u32).collect();
    order.sort_by(|a, b| last[*a as usize].loss.total_cmp(&last[*b as usize].loss));
    let picks = order.into_iter().map(|mut at| {
        let mut picks = vec![0; choices.len()];
        for layer in (0..choices.len()).rev() {
            let label = steps[layer + 1][at as usize];
            picks[layer] = label.choice;
            at = label.before;
        }
        picks
    });
    picks.collect()
}

/// The labels that no other beats in loss and all costs that count.
fn undominated(mut labels: Vec<Label>, counts: [bool; 3]) -> Vec<Label> {
    labels.sort_by(|a, b| a.costs.0.cmp(&b.costs.0).then(a.loss.total_cmp(&b.loss)));
    let counted = |label: &Label, i: usize| if counts[i] { label.costs.0[i] } else { 0 };
    let mut kept: Vec<Label> = Vec::new();
    let is_flat = counts == [true, false, false];
    for label in labels {
        // By rising cycles: in two dimensions the last one that was kept has the least loss so far.
        let rivals = if is_flat && !kept.is_empty() {
            &kept[kept.len() - 1..]
        } else {
            &kept[..]
        };
        let is_beaten = rivals.iter().any(|other| {
            other.loss <= label.loss && (0..3).all(|i| counted(other, i) <= counted(&label, i))
        });
        if !is_beaten {
            kept.push(label);
        }
    }
    kept
}

/// Why none of the choices that were computed keeps all limits, and the nearest of them.
fn nothing_keeps(tried: &[Assignment], is_all: bool, limits: &Limits) -> Failure {
    let excess = |found: &Assignment| {
        let limits = limits.all().into_iter().zip(costs_of(found).0);
        let ratios =
            limits.filter_map(|((_, limit), cost)| Some(cost as f64 / limit?.max(1) as f64));
        ratios.fold(0.0, f64::max)
    };
    let Some(nearest) = tried.iter().min_by(|a, b| excess(a).total_cmp(&excess(b))) else {
        return Failure::input("the table gives no choice of bits");
    };
    let least = |cost: usize| tried.iter().map(|a| costs_of(a).0[cost]).min().unwrap_or(0);
    let kept_by_none = limits
        .all()
        .into_iter()
        .enumerate()
        .filter_map(|(cost, (name, limit))| Some((name, limit?, least(cost))))
        .filter(|(_, limit, least)| i128::from(*least) > i128::from(*limit))
        .max_by(|a, b| {
            let ratio = |x: &(&str, u64, i64)| x.2 as f64 / x.1.max(1) as f64;
            ratio(a).total_cmp(&ratio(b))
        });
    let why = match kept_by_none {
        Some((name, limit, least)) => format!(
            "the tightest is {name} <= {}: the least is {}",
            thousands(limit.into()),
            thousands(least.max(0) as u128)
        ),
        None => "each limit is kept by some choice, but they conflict together".to_owned(),
    };
    Failure::input(format!(
        "{} for the {} layers keeps all limits; {why}; the nearest takes {} cycles, {} binary operation pairs and {} parameter bytes ({}); raise a limit, give the table fewer bits, or take a larger array",
        if is_all {
            "no choice of bits"
        } else {
            "no choice of bits that was found"
        },
        nearest.bits.len(),
        thousands(nearest.cycles.into()),
        thousands(nearest.binary_operation_pairs.into()),
        thousands(nearest.parameter_bytes.into()),
        nearest.bits_text()
    ))
}

/// Choices by rule. Layers that have fewer choices take what comes nearest.
fn presets(evaluator: &Evaluator<'_>) -> Result<Vec<Assignment>, Failure> {
    let mut bits: Vec<u32> = evaluator
        .choices
        .iter()
        .flatten()
        .map(|c| c.weight_bits)
        .collect();
    bits.sort_unstable();
    bits.dedup();
    let (least, most) = (bits[0], bits[bits.len() - 1]);
    let count = evaluator.choices.len();
    let nearest = |wanted: &dyn Fn(usize) -> u32| -> Vec<[u32; 2]> {
        let layers = evaluator.choices.iter().enumerate();
        layers
            .map(|(layer, choices)| {
                let wanted = wanted(layer);
                let far = |c: &&Choice| {
                    c.weight_bits.abs_diff(wanted) + c.activation_bits.abs_diff(wanted)
                };
                let choice = choices.iter().min_by_key(far);
                choice.map_or([wanted; 2], |c| [c.activation_bits, c.weight_bits])
            })
            .collect()
    };
    let mut presets = Vec::new();
    for bits in &bits {
        presets.push(evaluator.assignment(&format!("uniform {bits}"), nearest(&|_| *bits))?);
    }
    let falling = |layer: usize| {
        let share = layer as f64 / (count.max(2) - 1) as f64;
        (f64::from(most) - share * f64::from(most - least)).round() as u32
    };
    presets.push(evaluator.assignment(&format!("falling {most} to {least}"), nearest(&falling))?);
    for bits in bits.iter().filter(|bits| **bits < most) {
        let ends = |layer: usize| {
            if layer == 0 || layer + 1 == count {
                BITS_MAX
            } else {
                *bits
            }
        };
        presets.push(evaluator.assignment(&format!("ends at 8, else {bits}"), nearest(&ends))?);
    }
    Ok(presets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_knapsack_finds_what_trying_everything_finds() {
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let layers = rng.random_range(1..=5);
            let (mut choices, mut shares) = (Vec::new(), Vec::new());
            for _ in 0..layers {
                let count = rng.random_range(1..=4);
                let loss = |_| f64::from(rng.random_range(0..20));
                choices.push((0..count).map(loss).collect::<Vec<f64>>());
                let share = |_| Costs([0; 3].map(|_: i32| rng.random_range(0..20)));
                shares.push((0..count).map(share).collect::<Vec<_>>());
            }
            let mut limit = || rng.random_bool(0.6).then(|| rng.random_range(5..60));
            let limits = Limits {
                cycles: limit(),
                binary_operation_pairs: limit(),
                parameter_bytes: limit(),
            };
            let total = |picks: &Vec<u32>| {
                let picks = picks.iter().enumerate();
                picks.fold((Costs::default(), 0.0), |(costs, loss), (layer, pick)| {
                    let pick = *pick as usize;
                    (costs.plus(shares[layer][pick]), loss + choices[layer][pick])
                })
            };
            let counts: Vec<u32> = choices.iter().map(|c| c.len() as u32).collect();
            let least = combinations(&counts)
                .iter()
                .map(total)
                .filter(|(costs, _)| limits.are_kept(costs))
                .map(|(_, loss)| loss)
                .reduce(f64::min);
            let solved = knapsack(&choices, &shares, Costs::default(), &limits);
            let found = solved.first().map(|picks| {
                assert!(limits.are_kept(&total(picks).0), "seed {seed}");
                total(picks).1
            });
            assert_eq!(found, least, "seed {seed}");
        }
    }

    #[test]
    fn tables_in_both_forms() {
        let csv = "layer,activation_bits,weight_bits,loss\na, 2, 2, 0.5\na,2,4,0.1\nb,2,2,0\n";
        let toml = "sensitivity = [{ layer = \"a\", activation_bits = 2, weight_bits = 2, loss = 0.5 },\n\
                    { layer = \"a\", activation_bits = 2, weight_bits = 4, loss = 0.1 },\n\
                    { layer = \"b\", activation_bits = 2, weight_bits = 2, loss = 0.0 }]";
        let table = Sensitivity::parse(csv, false).unwrap();
        assert_eq!(table.layers["a"].len(), 2);
        assert_eq!(table, Sensitivity::parse(toml, true).unwrap());
        for wrong in [
            "",
            "layer,loss\na,1\n",
            "layer,activation_bits,weight_bits,loss\na,0,2,1\n",
            "layer,activation_bits,weight_bits,loss\na,2,9,1\n",
            "layer,activation_bits,weight_bits,loss\na,2,2,nan\n",
            "layer,activation_bits,weight_bits,loss\na,2,2,1\na,2,2,2\n",
        ] {
            assert!(Sensitivity::parse(wrong, false).is_err(), "{wrong}");
        }
    }

    /// Two convolutions of one tensor, whose bits are those of the one that asks for more.
    const FORK: &str = r#"
        network = { name = "n", input = [8, 8, 8], input_bits = 2 }
        layer = [
            { name = "a", kind = "conv", out_channels = 64, kernel = 1 },
            { name = "b", kind = "conv", out_channels = 16, kernel = 1 },
            { name = "c", kind = "conv", out_channels = 16, kernel = 1, input = "a" },
            { name = "s", kind = "add", inputs = ["b", "c"] },
            { name = "d", kind = "conv", out_channels = 4, kernel = 1 },
        ]"#;

    fn fork(limits: Limits) -> Result<Chosen, Failure> {
        let widths = xnorforge_import::topology::Widths::default();
        let topology = xnorforge_import::topology::description::parse(FORK, &widths).unwrap();
        let mut table = String::from("layer,activation_bits,weight_bits,loss\n");
        for (layer, scale) in [("b", 8), ("c", 5), ("d", 3)] {
            for bits in [1, 2, 4] {
                table += &format!("{layer},{bits},{bits},{}\n", scale * (4 - bits));
            }
        }
        let table = Sensitivity::parse(&table, false).unwrap();
        let base = ArrayConfig::preset("small").unwrap();
        choose(&Subject::Topology(topology), &table, &base, 1, limits)
    }

    #[test]
    fn few_choices_are_all_computed_and_readers_of_a_tensor_are_a_group() {
        let all = fork(Limits::default()).unwrap();
        assert!(all.guarantee.starts_with("optimal"), "{}", all.guarantee);
        assert_eq!(all.best.loss, Some(0.0));
        let least = &all.curve[0];
        let limits = Limits {
            cycles: Some(u64::MAX),
            parameter_bytes: Some(least.parameter_bytes),
            ..Limits::default()
        };
        let found = fork(limits).unwrap().best;
        assert!(found.parameter_bytes <= least.parameter_bytes);
        let error = fork(Limits {
            cycles: Some(1),
            ..limits
        });
        let error = format!("{:?}", error.unwrap_err());
        assert!(error.contains("nearest"), "{error}");
        let widths = xnorforge_import::topology::Widths::default();
        let topology = xnorforge_import::topology::description::parse(FORK, &widths).unwrap();
        let groups = Subject::Topology(topology).groups();
        assert!(groups.contains(&vec![1, 2]), "{groups:?}");
    }

    #[test]
    fn more_choices_are_not_called_optimal() {
        assert!(!guarantee(false, 9).contains("optimal"));
    }

    #[test]
    fn limits_that_conflict_together_are_said_to() {
        let of = |cycles, parameter_bytes| Assignment {
            name: String::new(),
            bits: vec![[1, 1]],
            loss: Some(0.0),
            cycles,
            binary_operation_pairs: 1,
            parameter_bytes,
            command: String::new(),
        };
        let limits = Limits {
            cycles: Some(10),
            parameter_bytes: Some(10),
            ..Limits::default()
        };
        let error = nothing_keeps(&[of(5, 30), of(12, 5)], true, &limits);
        let error = format!("{error:?}");
        assert!(error.contains("conflict together"), "{error}");
        assert!(error.contains("12 cycles"), "{error}");
    }
}
