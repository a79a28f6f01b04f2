//! Bits for each layer: the least loss within limits on cycles, binary operation pairs and parameter bytes.
//!
//! What each layer loses at each number of bits comes from a table; the loss of a network is taken as their sum, as
//! everywhere where layers are measured one at a time. What it costs is not estimated: a layer's share is the difference
//! that its bits make to the whole network, by the same formulas as of every point.
//!
//! Shares that add up make a multiple-choice knapsack. It is solved layer by layer: of all choices for the layers so far,
//! one that is no better in any cost or in the loss than another is left out, for whatever comes after, the other stays
//! ahead; and one that can keep a limit with no choice of the rest is left out too. What remains at the end holds the
//! optimum. Shares add up exactly in binary operation pairs and weights, and in cycles wherever weights are resident and
//! a layer's time does not hang on the bits of the next one. Whether they do is checked on every result: each
//! one is computed as a whole, and these are the numbers that are reported.

use super::network;
use super::point::Networks;
use crate::failure::Failure;
use crate::terminal::thousands;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::BITS_MAX;
use xnorforge_import::topology::Topology;
use xnorforge_sim::Encoding;
use xnorforge_sim::forecast::Memo;
use xnorforge_sim::network::{Outline, Work};

/// Longest table of losses in bytes.
pub const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Most partial choices that are kept after a layer: where cycles alone are weighed against the loss, and where other
/// limits make every one a rival of every other.
const LABELS_MAX: [usize; 2] = [200_000, 4_000];
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
        limits
            .into_iter()
            .all(|((_, limit), cost)| limit.is_none_or(|limit| cost <= limit as i64))
    }
}

/// Cycles, binary operation pairs and parameter bytes; differences of them as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Costs([i64; 3]);

impl Costs {
    fn plus(self, other: Self) -> Self {
        Costs(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    fn minus(self, other: Self) -> Self {
        Costs(std::array::from_fn(|i| self.0[i] - other.0[i]))
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
        if !row.loss.is_finite() {
            return Err(format!("loss = {} is no number", row.loss));
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
        let costs = costs.map(|cost: u128| i64::try_from(cost).unwrap_or(i64::MAX / 4));
        Ok((Costs(costs), point.command))
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

    /// What each choice of each layer adds to the cheapest choice of all.
    fn shares(&self, picks: &[u32], all: Costs) -> Result<Vec<Vec<Costs>>, Failure> {
        let mut shares = Vec::new();
        for (layer, choices) in self.choices.iter().enumerate() {
            let mut of_layer = Vec::new();
            for choice in 0..choices.len() as u32 {
                let mut picks = picks.to_vec();
                picks[layer] = choice;
                let (costs, _) = self.costs(&self.bits(&picks))?;
                of_layer.push(costs.minus(all));
            }
            shares.push(of_layer);
        }
        Ok(shares)
    }
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
    let shares = evaluator.shares(&picks, start)?;
    let front = knapsack(&evaluator.choices, &shares, start, &limits);
    let mut curve = Vec::new();
    let mut best: Option<Assignment> = None;
    let (mut is_separable, mut tried) = (true, 0);
    // Labels come with rising loss: the first that keeps the limits as a whole is the best one.
    for (picks, costs) in &front.picks {
        let is_sample = tried % (front.picks.len() / CURVE_MAX + 1) == 0;
        tried += 1;
        if best.is_some() && !is_sample {
            continue;
        }
        let found = evaluator.assignment("chosen", evaluator.bits(picks))?;
        let whole = costs_of(&found);
        is_separable &= whole == *costs;
        if best.is_none() && limits.are_kept(&whole) {
            best = Some(found.clone());
        }
        curve.push(found);
    }
    let Some(best) = best else {
        return Err(nothing_keeps(&evaluator, &shares, start, &limits));
    };
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
        guarantee: guarantee(is_separable, front.is_thinned),
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

fn guarantee(is_separable: bool, is_thinned: bool) -> String {
    match (is_separable, is_thinned) {
        (true, false) => "optimal: on every result that was computed as a whole the layers' shares add up exactly, and the search over shares leaves out nothing but what is beaten or past a limit".to_owned(),
        (true, true) => format!(
            "near the optimum: shares add up exactly, but there were more than {} partial choices, of which some were dropped",
            thousands(LABELS_MAX[1] as u128)
        ),
        (false, _) => "best of what the layers' shares propose: on this accelerator shares do not add up exactly (weights stream, or a layer's time depends on the bits of the next one), so every result was computed as a whole, and the first within the limits was taken".to_owned(),
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

/// What is left of the knapsack: choices with their predicted costs, least loss first.
struct Solved {
    picks: Vec<(Vec<u32>, Costs)>,
    is_thinned: bool,
}

/// All choices that no other beats in cycles, loss and the costs that have limits, within the limits.
fn knapsack(
    choices: &[Vec<Choice>],
    shares: &[Vec<Costs>],
    start: Costs,
    limits: &Limits,
) -> Solved {
    // The least that the layers from each one on add.
    let mut rest = vec![Costs::default(); choices.len() + 1];
    for layer in (0..choices.len()).rev() {
        let least = shares[layer].iter().copied().reduce(Costs::least);
        rest[layer] = rest[layer + 1].plus(least.unwrap_or_default());
    }
    let counts = limits
        .all()
        .map(|(name, limit)| name == "cycles" || limit.is_some());
    let mut is_thinned = false;
    let mut steps: Vec<Vec<Label>> = vec![vec![Label {
        costs: start,
        loss: 0.0,
        before: 0,
        choice: 0,
    }]];
    for layer in 0..choices.len() {
        let mut labels = Vec::new();
        for (before, label) in steps[layer].iter().enumerate() {
            for (choice, (option, share)) in choices[layer].iter().zip(&shares[layer]).enumerate() {
                let costs = label.costs.plus(*share);
                // The least that the rest adds may be below 0 only by rounding of shares that do not add up.
                if limits.are_kept(&costs.plus(rest[layer + 1])) {
                    labels.push(Label {
                        costs,
                        loss: label.loss + option.loss,
                        before: before as u32,
                        choice: choice as u32,
                    });
                }
            }
        }
        let mut labels = undominated(labels, counts);
        let most = LABELS_MAX[usize::from(counts != [true, false, false])];
        if labels.len() > most {
            is_thinned = true;
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
        let costs = last[at as usize].costs;
        let mut picks = vec![0; choices.len()];
        for layer in (0..choices.len()).rev() {
            let label = steps[layer + 1][at as usize];
            picks[layer] = label.choice;
            at = label.before;
        }
        (picks, costs)
    });
    Solved {
        picks: picks.collect(),
        is_thinned,
    }
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

fn nothing_keeps(
    evaluator: &Evaluator<'_>,
    shares: &[Vec<Costs>],
    start: Costs,
    limits: &Limits,
) -> Failure {
    let least = shares.iter().fold(start, |costs, shares| {
        costs.plus(
            shares
                .iter()
                .copied()
                .reduce(Costs::least)
                .unwrap_or_default(),
        )
    });
    let excess = |(limit, least): &(u64, i64)| *least as f64 / (*limit).max(1) as f64;
    let tightest = limits
        .all()
        .into_iter()
        .zip(least.0)
        .filter_map(|((name, limit), least)| Some((name, (limit?, least))))
        .max_by(|a, b| excess(&a.1).total_cmp(&excess(&b.1)));
    match tightest {
        Some((name, (limit, least))) => Failure::input(format!(
            "no choice of bits for the {} layers keeps all limits; the tightest is {name} <= {}: the fewest bits of the table take {}; raise it, give the table fewer bits, or take a larger array",
            evaluator.layers.len(),
            thousands(limit.into()),
            thousands(least.max(0) as u128)
        )),
        None => Failure::input("the table gives no choice of bits"),
    }
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

    fn all_picks(choices: &[Vec<Choice>]) -> Vec<Vec<u32>> {
        choices.iter().fold(vec![Vec::new()], |all, choices| {
            let next = |picks: Vec<u32>| {
                (0..choices.len() as u32).map(move |c| [picks.clone(), vec![c]].concat())
            };
            all.into_iter().flat_map(next).collect()
        })
    }

    #[test]
    fn the_knapsack_finds_what_trying_everything_finds() {
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let layers = rng.random_range(1..=5);
            let (mut choices, mut shares) = (Vec::new(), Vec::new());
            for _ in 0..layers {
                let count = rng.random_range(1..=4);
                let choice = |rng: &mut ChaCha8Rng| Choice {
                    activation_bits: 1,
                    weight_bits: 1,
                    loss: f64::from(rng.random_range(0..20)),
                };
                choices.push((0..count).map(|_| choice(&mut rng)).collect::<Vec<_>>());
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
                    (
                        costs.plus(shares[layer][pick]),
                        loss + choices[layer][pick].loss,
                    )
                })
            };
            let least = all_picks(&choices)
                .iter()
                .map(total)
                .filter(|(costs, _)| limits.are_kept(costs))
                .map(|(_, loss)| loss)
                .reduce(f64::min);
            let solved = knapsack(&choices, &shares, Costs::default(), &limits);
            let found = solved.picks.first().map(|(picks, costs)| {
                assert_eq!(total(picks).0, *costs, "seed {seed}");
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
}
