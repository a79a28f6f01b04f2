//! Chains that end: layers with thresholds, or with a multiplication and a shift.

use super::Lowering;
use super::chain::{
    Evaluator, Lattice, Staircase, Step, difference, direction, float, line, staircase,
};
use super::elementwise::on_grid;
use super::error::{Found, Refusal, refuse, require};
use super::number::{Numbers, Rational, at, round, to_f64, whole};
use super::value::{Chain, Coded, Codes, Feature, Grid, Mixed, Source};
use super::work::Work;
use crate::graph::Round;
use crate::model::Fold;
use num_traits::{Signed, Zero};
use xnorforge_sim::network::{
    Layer, Output, Place, Read, Requantize, Rescale, Residual, Rounding, TensorId, step_of_number,
};

/// Most thresholds of a channel before a multiplication is tried.
const THRESHOLDS_FEW: i64 = 15;
/// Bits of an affine multiplier, without the sign.
const MULTIPLIER_BITS: i64 = 15;
/// Most bits of a shift; addends keep below 2^46 with it.
const SHIFT_MAX: i64 = 40;
/// Most bits of an addend or table entry.
const ADDEND_BITS: i64 = 45;

/// What folding a chain into a layer cost in exactness.
#[derive(Default)]
struct Exactness {
    steps_max: i64,
    wrong: u64,
    float: u64,
}

impl Lowering<'_> {
    /// A quantized feature as codes; makes its layer if there is none yet. `index` is the node that needs it.
    pub(super) fn close(&mut self, index: usize, mut feature: Feature) -> Found<Feature> {
        let Some(grid) = feature.grid.clone() else {
            return self.not_quantized(&feature);
        };
        match feature.source.clone() {
            Source::Codes(_) => Ok(feature),
            Source::Input(quantizer, names) => {
                let coded = self.coded(&grid)?;
                let quantizer = quantizer.map(|mut quantizer| {
                    (quantizer.low, quantizer.high) = (grid.low, grid.high);
                    quantizer
                });
                let rule = (coded.factor, coded.addend);
                self.input_rule(&feature, quantizer, rule, coded.precision)?;
                for name in &names {
                    self.rule(name, TensorId::Input, false);
                }
                feature.source = Source::Codes(Codes {
                    tensor: TensorId::Input,
                    precision: coded.precision,
                });
                feature.grid = Some(coded.grid(&grid));
                Ok(feature)
            }
            Source::Chain(chain) => {
                let closed = self.closed(index, &feature, *chain, grid);
                closed.map_err(|mut refusal| {
                    // What is wrong with a layer is its quantizer's matter, not that of the node that reads it.
                    if let (None, Source::Chain(chain)) = (refusal.node, &feature.source) {
                        refusal.node = chain.nodes.last().copied();
                    }
                    refusal
                })
            }
        }
    }

    fn not_quantized<T>(&self, feature: &Feature) -> Found<T> {
        let node = match &feature.source {
            Source::Chain(chain) => chain.nodes.last(),
            _ => None,
        };
        let name = node.map_or(self.input_name, |n| self.graph.nodes[*n].name.as_str());
        refuse(
            "inputs",
            format!("what `{name}` gives comes to it without a quantizer"),
            "put a Quant between them",
        )
    }

    fn coded(&self, grid: &Grid) -> Found<Coded> {
        match Coded::of(grid) {
            Some(coded) => Ok(coded),
            None => refuse(
                "bits",
                format!(
                    "integers {}..={} need more than 8 bits",
                    grid.low, grid.high
                ),
                "quantize activations to at most 8 bits",
            ),
        }
    }

    fn closed(
        &mut self,
        index: usize,
        feature: &Feature,
        chain: Chain,
        grid: Grid,
    ) -> Found<Feature> {
        if let Some((codes, same)) = unchanged(&chain, &grid, &self.work) {
            if same.scale == grid.scale && same.offset == grid.offset {
                for name in &chain.names {
                    self.rule(name, codes.tensor, false);
                }
            }
            return Ok(Feature {
                source: Source::Codes(codes),
                grid: Some(same),
                ..feature.clone()
            });
        }
        let coded = self.coded(&grid)?;
        let mirrored = self.mirrored(&chain)?;
        let (requantize, residual, exactness) = match &chain.mixed {
            Some(mixed) => {
                require(
                    mirrored.is_empty() && chain.pools.is_empty(),
                    "inputs",
                    || "a max-pool stands between a residual and its quantizer".to_owned(),
                    "quantize before pooling",
                )?;
                self.affine_residual(&chain, mixed, &grid, coded)?
            }
            None => counted(&chain, &grid, coded, &mirrored, &self.work),
        };
        self.folded(&chain, exactness)?;
        let node = &self.graph.nodes[chain.product.node];
        let layer = Layer {
            name: node.name.clone(),
            input: Read::from(chain.product.input),
            operation: chain.product.operation.clone(),
            residual,
            output: Output::Codes(requantize),
        };
        let numbers = coded.grid(&grid);
        let scale = numbers.scale.iter().map(to_f64).collect();
        let mut tensor = self.push(chain.product.node, layer, chain.product.shape, scale)?;
        for name in &chain.accumulators {
            self.rule(name, tensor, true);
        }
        for pool in &chain.pools {
            tensor = self.pooled(pool.node, tensor, pool.window)?;
        }
        let codes = Codes {
            tensor,
            precision: coded.precision,
        };
        if !mirrored.is_empty() {
            return self.turned_back(index, feature, &chain, codes, &grid, coded, &mirrored);
        }
        for name in &chain.names {
            self.rule(name, tensor, false);
        }
        Ok(Feature {
            source: Source::Codes(codes),
            grid: Some(numbers),
            ..feature.clone()
        })
    }

    /// Channels that fall behind a max-pool: their codes are made rising, so that the largest is the right one. Empty if none
    /// falls.
    fn mirrored(&self, chain: &Chain) -> Found<Vec<bool>> {
        let Some(first) = chain.pools.first() else {
            return Ok(Vec::new());
        };
        let mut mirrored = Vec::new();
        for channel in 0..chain.lattices.len() {
            let units = (chain.pools.len() + 1) * (chain.steps.len() + 1);
            self.work.take(units as u64);
            if self.work.is_spent() {
                break;
            }
            let falls = |at: usize| direction(&chain.steps[at..], channel) < 0;
            let is_falling = falls(first.at);
            if let Some(pool) = chain.pools.iter().find(|pool| falls(pool.at) != is_falling) {
                return refuse(
                    "inputs",
                    format!(
                        "channel {channel} falls between the max-pool `{}` and the one before it",
                        self.graph.nodes[pool.node].name
                    ),
                    "quantize between the two",
                );
            }
            mirrored.push(is_falling);
        }
        if mirrored.iter().any(|m| *m) {
            Ok(mirrored)
        } else {
            Ok(Vec::new())
        }
    }

    /// One more layer, which turns the channels round that were mirrored for a max-pool.
    #[allow(clippy::too_many_arguments)] // all are parts of one closed chain
    fn turned_back(
        &mut self,
        index: usize,
        feature: &Feature,
        chain: &Chain,
        codes: Codes,
        grid: &Grid,
        coded: Coded,
        mirrored: &[bool],
    ) -> Found<Feature> {
        let numbers = coded.grid(grid);
        let (mut back, stepped) = on_grid(index, codes, &numbers, feature.shape);
        let high = stepped.high;
        let by_channel = |turned: i64, straight: i64| {
            let list = mirrored
                .iter()
                .map(|m| whole(if *m { turned } else { straight }));
            Numbers::of_rationals(list.collect())
        };
        back.steps.push(Step::Multiply(by_channel(-1, 1)));
        back.steps.push(Step::Add(by_channel(high, 0)));
        back.steps.push(Step::Round {
            how: Round::HalfEven,
            low: 0,
            high,
        });
        back.names = chain.names.clone();
        back.product = std::rc::Rc::new(super::value::Product {
            node: chain.nodes.last().copied().unwrap_or(index),
            identity: None,
            input: codes.tensor,
            operation: back.product.operation.clone(),
            shape: feature.shape,
        });
        let turned = Grid {
            low: grid.low,
            high: grid.high,
            scale: grid.scale.clone(),
            offset: grid.offset.clone(),
        };
        // From counts to the integers of the grid again.
        back.steps
            .push(Step::Add(Numbers::of_rationals(vec![whole(grid.low)])));
        back.steps.push(Step::Round {
            how: Round::HalfEven,
            low: grid.low,
            high: grid.high,
        });
        self.closed(index, feature, back, turned)
    }

    /// Records how exact a layer is.
    fn folded(&mut self, chain: &Chain, exactness: Exactness) -> Found<()> {
        let layer = self.graph.nodes[chain.product.node].name.clone();
        let Exactness {
            steps_max,
            wrong,
            float,
        } = exactness;
        if self.options.exact && (wrong > 0 || steps_max > 0) {
            return Err(Box::new(Refusal {
                node: chain.nodes.last().copied(),
                field: "",
                reason: String::new(),
                fix: String::new(),
                inexact: Some((layer, steps_max, wrong)),
            }));
        }
        let mut nodes: Vec<usize> = chain.nodes.clone();
        nodes.dedup();
        let name = |n: &usize| self.graph.nodes[*n].name.clone();
        self.folds.push(Fold {
            layer,
            nodes: nodes.iter().map(name).collect(),
            is_exact: wrong == 0 && steps_max == 0,
            steps_max,
            accumulators_wrong: wrong,
            accumulators_f32: float,
        });
        Ok(())
    }

    /// Accumulators as an output of the network: layer, scale and offset.
    pub(super) fn raw(
        &mut self,
        node: usize,
        feature: Feature,
    ) -> Found<(TensorId, Vec<Rational>, Vec<Rational>)> {
        let Source::Chain(chain) = feature.source else {
            return self.not_quantized(&feature);
        };
        require(
            chain.mixed.is_none() && chain.pools.is_empty(),
            "output",
            || {
                "a max-pool or a residual of another scale stands before it, without a quantizer"
                    .to_owned()
            },
            "put a Quant before the output",
        )?;
        let (mut scale, mut offset) = (Vec::new(), Vec::new());
        for channel in 0..chain.lattices.len() {
            let found =
                line(&chain.steps, channel, &self.work).filter(|(factor, _)| !factor.is_zero());
            let Some((factor, addend)) = found else {
                return refuse(
                    "output",
                    format!("channel {channel} is no multiple of its accumulator plus a constant"),
                    "end the network with a product, or put a Quant before the output",
                );
            };
            offset.push(addend / &factor);
            scale.push(factor);
        }
        if scale.iter().all(|s| *s == scale[0]) && offset.iter().all(|o| *o == offset[0]) {
            scale.truncate(1);
            offset.truncate(1);
        }
        let product = &chain.product;
        let layer = Layer {
            name: self.graph.nodes[product.node].name.clone(),
            input: Read::from(product.input),
            operation: product.operation.clone(),
            residual: chain.before.clone(),
            output: Output::Raw,
        };
        let reals = scale.iter().map(to_f64).collect();
        let tensor = self.push(product.node, layer, product.shape, reals)?;
        for name in &chain.accumulators {
            self.rule(name, tensor, true);
        }
        let output = &self.graph.nodes[node].output;
        self.rule(&output.clone(), tensor, false);
        self.folded(&chain, Exactness::default())?;
        Ok((tensor, scale, offset))
    }

    /// A multiplication and a table for a residual of another unit than the accumulator's, and how far it is off.
    fn affine_residual(
        &self,
        chain: &Chain,
        mixed: &Mixed,
        grid: &Grid,
        coded: Coded,
    ) -> Found<(Requantize, Option<Residual>, Exactness)> {
        let channels = channel_count(chain);
        let mut lines = Vec::new();
        for channel in 0..channels {
            lines.push(integer_line(chain, mixed, channel, &self.work)?);
        }
        let after = &lines[0].2;
        require(
            lines.iter().all(|(_, _, a)| a == after),
            "inputs",
            || "what follows the sum scales its channels differently".to_owned(),
            "quantize the sum with one scale before it is scaled per channel",
        )?;
        let grid = &clipped(chain, mixed, grid, channels, &self.work);
        let reals: Vec<Rational> = mixed.reals.iter().map(|r| r * after).collect();
        let shift = shift_of(&lines, &reals);
        let power = Rational::from_integer(num_bigint::BigInt::from(1) << shift as usize);
        let nearest = |v: &Rational| round(&(v * &power), Round::HalfEven, -(1 << 46), 1 << 46);
        let requantize = Requantize {
            rescale: Rescale::Affine {
                multipliers: spread(&lines, chain.lattices.len(), |l| nearest(&l.0)),
                addends: spread(&lines, chain.lattices.len(), |l| nearest(&l.1)),
                shift: shift as u32,
                rounding: rounding_of(chain),
            },
            ..requantizer(grid, coded, -grid.low)
        };
        let residual = Residual {
            tensor: mixed.tensor,
            table: reals.iter().map(nearest).collect(),
            place: Place::After,
        };
        let mut exactness = Exactness::default();
        for channel in 0..channels {
            let times = (chain.lattices.len() / channels) as u64;
            compare(
                chain,
                mixed,
                grid,
                channel,
                &requantize,
                &residual,
                times,
                &mut exactness,
                &self.work,
            );
        }
        Ok((requantize, Some(residual), exactness))
    }
}

/// Source and grid of a chain that changes no number.
fn unchanged(chain: &Chain, grid: &Grid, work: &Work) -> Option<(Codes, Grid)> {
    let (codes, from) = chain.product.identity.as_ref()?;
    if chain.has_residual() || !chain.pools.is_empty() {
        return None;
    }
    for (channel, lattice) in chain.lattices.iter().enumerate() {
        let mut evaluator = Evaluator::new(&chain.steps, channel, work);
        for k in 0..lattice.count {
            let number = lattice.at(k);
            let integer = evaluator.integer(number).clamp(grid.low, grid.high);
            if evaluator.undecided > 0 || grid.real(channel, integer) != from.real(channel, number)
            {
                return None;
            }
        }
    }
    Some((*codes, from.clone()))
}

/// A requantization without its rule: `lift` is added to integers to give counts from 0.
fn requantizer(grid: &Grid, coded: Coded, lift: i64) -> Requantize {
    let precision = coded.precision;
    let low = step_of_number(precision, coded.number(grid.low));
    let high = step_of_number(precision, coded.number(grid.high));
    Requantize {
        precision,
        rescale: Rescale::Thresholds {
            thresholds: Vec::new(),
            falling: Vec::new(),
        },
        offset: lift + low,
        low,
        high,
    }
}

/// Thresholds of every channel, or a multiplication where there are many and it gives the same.
fn counted(
    chain: &Chain,
    grid: &Grid,
    coded: Coded,
    mirrored: &[bool],
    work: &Work,
) -> (Requantize, Option<Residual>, Exactness) {
    let (low, high, repeat) = match &chain.after {
        Some(after) => (after.low, after.high, after.repeat),
        None => (grid.low, grid.high, 1),
    };
    let mut exactness = Exactness::default();
    let mut channels: Vec<Stairs> = Vec::with_capacity(chain.lattices.len());
    for (channel, lattice) in chain.lattices.iter().enumerate() {
        let mut evaluator = Evaluator::new(&chain.steps, channel, work);
        let mut exact = staircase(lattice.count, |k| {
            evaluator.integer(lattice.at(k)).clamp(low, high)
        });
        let mut rough = staircase(lattice.count, |k| {
            (float(&chain.steps, channel, lattice.at(k)) as i64).clamp(low, high)
        });
        exactness.float += difference(lattice.count, &exact, &rough).0;
        if evaluator.undecided > 0 {
            exactness.steps_max = exactness.steps_max.max(evaluator.undecided);
            exactness.wrong += 1;
        }
        if mirrored.get(channel) == Some(&true) {
            for stair in exact.iter_mut().chain(&mut rough) {
                stair.1 = low + high - stair.1;
            }
        }
        channels.push(Stairs::new(*lattice, &exact, low, high));
    }
    let count = high - low;
    // A table behind a multiplication is added in front of its shift, and to integers that nothing has clamped yet.
    let affine = (count > THRESHOLDS_FEW && chain.after.is_none())
        .then(|| affine(&channels))
        .flatten();
    let rescale = affine.unwrap_or_else(|| Rescale::Thresholds {
        falling: channels.iter().map(|c| c.is_falling).collect(),
        thresholds: channels.into_iter().map(|c| c.repeated(repeat)).collect(),
    });
    // Counts of thresholds are from 0; the least integer of the grid is where its numbers begin.
    let lift = match &chain.after {
        Some(after) => after.repeat * after.low - grid.low,
        None => 0,
    };
    let requantize = Requantize {
        rescale,
        ..requantizer(grid, coded, lift)
    };
    let residual = chain.before.clone().or_else(|| {
        chain.after.as_ref().map(|after| Residual {
            tensor: after.tensor,
            table: after.table.clone(),
            place: Place::After,
        })
    });
    // Of odd integers, too, one integer of the grid is one step.
    (requantize, residual, exactness)
}

/// The thresholds of a channel.
struct Stairs {
    lattice: Lattice,
    /// As many as there are steps; past the greatest accumulator where a step is never made.
    thresholds: Vec<i64>,
    is_falling: bool,
}

impl Stairs {
    fn new(lattice: Lattice, stairs: &Staircase, low: i64, high: i64) -> Self {
        let (first, last) = (stairs[0].1, stairs[stairs.len() - 1].1);
        let is_falling = last < first;
        let level = |value: i64| {
            if is_falling {
                high - value
            } else {
                value - low
            }
        };
        let never = lattice.last() + 1;
        // At least one threshold is there, though a constant has none.
        let count = (high - low).max(1);
        let thresholds = (1..=count)
            .map(|k| {
                let at = stairs.partition_point(|s| level(s.1) < k);
                stairs.get(at).map_or(never, |s| lattice.at(s.0))
            })
            .collect();
        Stairs {
            lattice,
            thresholds,
            is_falling,
        }
    }

    /// Every threshold several times, so that each step counts as many.
    fn repeated(self, times: i64) -> Vec<i64> {
        let each = |t| std::iter::repeat_n(t, times as usize);
        self.thresholds.into_iter().flat_map(each).collect()
    }

    /// What `v * multiplier + addend` must be for the steps to be met: for each k, the last accumulator below step k and the
    /// first one on it, in rising order of steps.
    fn edges(&self) -> Vec<(i64, Option<i64>, Option<i64>)> {
        let count = self.thresholds.len();
        let edge = |k: usize| {
            let threshold = if self.is_falling {
                self.thresholds[count - k]
            } else {
                self.thresholds[k - 1]
            };
            let lattice = &self.lattice;
            let reached = (threshold <= lattice.last()).then_some(threshold);
            let below = reached.map_or(lattice.last(), |t| t - lattice.step);
            let before = (threshold > lattice.base).then_some(below);
            if self.is_falling {
                (k as i64, reached, before)
            } else {
                (k as i64, before, reached)
            }
        };
        (1..=count).map(edge).collect()
    }

    /// An addend with which `(v * multiplier + addend) >> shift` makes the same steps.
    fn addend(&self, multiplier: i64, shift: i64) -> Option<i64> {
        let (mut least, mut greatest) = (i128::MIN, i128::MAX);
        for (k, below, on) in self.edges() {
            let level = i128::from(k) << shift;
            let product = |v: i64| i128::from(v) * i128::from(multiplier);
            if let Some(on) = on {
                least = least.max(level - product(on));
            }
            if let Some(below) = below {
                greatest = greatest.min(level - 1 - product(below));
            }
        }
        if least > greatest {
            return None;
        }
        let middle = match (least == i128::MIN, greatest == i128::MAX) {
            (true, true) => 0,
            (true, false) => greatest,
            (false, true) => least,
            (false, false) => least + (greatest - least) / 2,
        };
        let addend = i64::try_from(middle).ok()?;
        (addend.unsigned_abs() < 1 << ADDEND_BITS).then_some(addend)
    }

    /// Steps for each accumulator, as far as they can be seen.
    fn slope(&self) -> f64 {
        let lattice = &self.lattice;
        let met = |t: &&i64| **t > lattice.base && **t <= lattice.last();
        let inside: Vec<i64> = self.thresholds.iter().filter(met).copied().collect();
        let slope = match (inside.first(), inside.last()) {
            (Some(first), Some(last)) if first < last => {
                (inside.len() - 1) as f64 / (last - first) as f64
            }
            (Some(_), _) => 1.0 / lattice.step as f64,
            _ => 0.0,
        };
        if self.is_falling { -slope } else { slope }
    }
}

/// A multiplication and a shift that make exactly the steps of all channels, if there is one.
fn affine(channels: &[Stairs]) -> Option<Rescale> {
    let steepest = channels.iter().map(|c| c.slope().abs()).fold(0.0, f64::max);
    if steepest <= 0.0 {
        return None;
    }
    let room = (MULTIPLIER_BITS as f64 - steepest.log2()).floor() as i64;
    let room = room.min(SHIFT_MAX + 1);
    for shift in [room - 1, room - 2, room - 3] {
        if shift < 0 {
            continue;
        }
        if let Some(found) = channels
            .iter()
            .map(|c| multiplier(c, shift))
            .collect::<Option<Vec<_>>>()
        {
            let (multipliers, addends) = found.into_iter().unzip();
            return Some(Rescale::Affine {
                multipliers,
                addends,
                shift: shift as u32,
                rounding: Rounding::Floor,
            });
        }
    }
    None
}

fn multiplier(channel: &Stairs, shift: i64) -> Option<(i64, i64)> {
    let ideal = (channel.slope() * (1i64 << shift) as f64).round() as i64;
    let limit = (1 << MULTIPLIER_BITS) - 1;
    // The slope seen between whole accumulators is off by a little; multipliers around it are tried.
    let reach = (ideal.abs() / 64).clamp(4, 256);
    (0..=2 * reach)
        .map(|i| ideal + if i % 2 == 0 { i / 2 } else { -(i + 1) / 2 })
        .filter(|m| m.abs() <= limit)
        .find_map(|m| channel.addend(m, shift).map(|a| (m, a)))
}

/// How many channels of a chain with a residual differ: 1 if none does.
fn channel_count(chain: &Chain) -> usize {
    let all = chain.lattices.len();
    let is_alike = chain.lattices.iter().all(|l| *l == chain.lattices[0])
        && chain.steps.iter().all(Step::is_uniform);
    if is_alike { 1 } else { all }
}

/// A channel's integer before it is rounded: factor of the accumulator, addend, factor of the residual.
fn integer_line(
    chain: &Chain,
    mixed: &Mixed,
    channel: usize,
    work: &Work,
) -> Found<(Rational, Rational, Rational)> {
    let (before, behind) = chain.steps.split_at(mixed.at);
    let Some((factor, addend)) = line(before, channel, work) else {
        return refuse(
            "inputs",
            "the sum's accumulators are clipped before it, and the scales do not fit each other",
            "quantize both inputs of the sum",
        );
    };
    // Clamps are done by the ends of the steps.
    let is_linear = |step: &&Step| !matches!(step, Step::Clamp { .. } | Step::Round { .. });
    let linear: Vec<Step> = behind.iter().filter(is_linear).cloned().collect();
    match line(&linear, channel, work).filter(|_| is_rounded_once(behind)) {
        Some((f, a)) => Ok((factor * &f, addend * &f + a, f)),
        None => refuse(
            "inputs",
            "the scales of the sum do not fit each other, and no single uniform quantizer follows it",
            "quantize the sum with one Quant",
        ),
    }
}

/// Whether steps round once; whole numbers may be added behind that, and the sum clamped.
fn is_rounded_once(steps: &[Step]) -> bool {
    let is_round = |s: &Step| matches!(s, Step::Round { .. });
    let Some(first) = steps.iter().position(is_round) else {
        return false;
    };
    steps[first + 1..].iter().all(|step| match step {
        Step::Round { .. } => true,
        Step::Add(c) => c.exact.iter().all(num_rational::Ratio::is_integer),
        _ => false,
    })
}

/// The grid within what the clamps in front of the quantizer leave, where that is the same in all channels.
fn clipped(chain: &Chain, mixed: &Mixed, grid: &Grid, channels: usize, work: &Work) -> Grid {
    let far = super::chain::UNBOUNDED;
    let ends = (0..channels).map(|channel| {
        let mut evaluator = Evaluator::new(&chain.steps[mixed.at..], channel, work);
        let ends = [-far, far].map(|v| evaluator.integer(v).clamp(grid.low, grid.high));
        (ends[0].min(ends[1]), ends[0].max(ends[1]))
    });
    let ends: Vec<(i64, i64)> = ends.collect();
    let (low, high) = ends[0];
    if ends.iter().any(|e| *e != ends[0]) {
        return grid.clone();
    }
    Grid {
        low,
        high,
        ..grid.clone()
    }
}

/// The largest shift with which multipliers, addends and table entries fit.
fn shift_of(lines: &[(Rational, Rational, Rational)], reals: &[Rational]) -> i64 {
    let bits = |v: &Rational| {
        if v.is_zero() {
            -64
        } else {
            to_f64(&v.abs()).log2().floor() as i64 + 1
        }
    };
    let factor = lines.iter().map(|l| bits(&l.0)).max().unwrap_or(0);
    let addend = lines.iter().map(|l| bits(&l.1)).max().unwrap_or(0);
    let table = reals.iter().map(bits).max().unwrap_or(0);
    let shift = (MULTIPLIER_BITS - factor)
        .min(ADDEND_BITS - addend.max(table))
        .clamp(0, SHIFT_MAX);
    // A factor just below a power of two is rounded up to it.
    let limit = whole((1 << MULTIPLIER_BITS) - 1) / whole(1 << shift);
    let is_past = lines.iter().any(|l| l.0.abs() > limit);
    (shift - i64::from(is_past)).max(0)
}

fn rounding_of(chain: &Chain) -> Rounding {
    let how = chain.steps.iter().rev().find_map(|step| match step {
        Step::Round { how, .. } => Some(*how),
        _ => None,
    });
    match how {
        Some(Round::HalfEven) | None => Rounding::HalfEven,
        Some(Round::Floor) => Rounding::Floor,
        Some(_) => Rounding::HalfUp,
    }
}

fn spread<T>(lines: &[T], channels: usize, value: impl Fn(&T) -> i64) -> Vec<i64> {
    (0..channels).map(|c| value(at(lines, c))).collect()
}

/// Compares a layer with what its chain gives, for every number of the residual and every accumulator of a channel.
#[allow(clippy::too_many_arguments)] // all are parts of one layer
fn compare(
    chain: &Chain,
    mixed: &Mixed,
    grid: &Grid,
    channel: usize,
    requantize: &Requantize,
    residual: &Residual,
    times: u64,
    exactness: &mut Exactness,
    work: &Work,
) {
    let Rescale::Affine {
        multipliers,
        addends,
        shift,
        rounding,
    } = &requantize.rescale
    else {
        return;
    };
    let lattice = chain.lattices[channel];
    for (real, entry) in mixed.reals.iter().zip(&residual.table) {
        if work.is_spent() {
            return;
        }
        let mut steps = chain.steps.clone();
        let added = Step::Add(Numbers::of_rationals(vec![real.clone()]));
        steps.insert(mixed.at, added);
        let mut evaluator = Evaluator::new(&steps, channel, work);
        let exact = staircase(lattice.count, |k| {
            evaluator.integer(lattice.at(k)).clamp(grid.low, grid.high)
        });
        let found = staircase(lattice.count, |k| {
            let scaled = lattice.at(k) * multipliers[channel] + addends[channel] + entry;
            rounding.shift(scaled, *shift).clamp(grid.low, grid.high)
        });
        let rough = staircase(lattice.count, |k| {
            (float(&steps, channel, lattice.at(k)) as i64).clamp(grid.low, grid.high)
        });
        let (wrong, most) = difference(lattice.count, &exact, &found);
        exactness.wrong += wrong * times;
        exactness.steps_max = exactness.steps_max.max(most).max(evaluator.undecided);
        exactness.float += difference(lattice.count, &exact, &rough).0 * times;
    }
}
