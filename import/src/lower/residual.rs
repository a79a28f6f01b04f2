//! Sums of two activations.

use super::Lowering;
use super::chain::{Evaluator, Lattice, Step, gcd, rational_line};
use super::elementwise::on_grid;
use super::error::{Found, refuse, require};
use super::number::{Numbers, Rational, integer, whole};
use super::value::{After, Chain, Feature, Grid, Mixed, Source, common_unit};
use super::work::Work;
use crate::graph::{Node, Op};
use num_traits::{Signed, Zero};
use std::rc::Rc;
use xnorforge_sim::network::{Place, Residual, TensorId, number_of_step, step_of_number, steps};

/// Most integers of a sum of quantized numbers: those of 8 bits.
const INTEGERS_MAX: i64 = 256;
/// Most thresholds of a channel.
const THRESHOLDS_MAX: i64 = 255;
/// Largest magnitude of a table's entry.
const ENTRY_MAX: i64 = 1 << 40;

/// A tensor of codes as something to look up.
struct Table {
    tensor: TensorId,
    /// What each number of the encoding adds, from the least up.
    reals: Vec<Rational>,
    /// Steps of the encoding that occur: least and greatest.
    range: (usize, usize),
}

impl Table {
    /// The reals that occur.
    fn occurring(&self) -> &[Rational] {
        &self.reals[self.range.0..=self.range.1]
    }
}

impl Lowering<'_> {
    /// The sum or difference of two activations.
    pub(super) fn sum(&mut self, index: usize, node: &Node) -> Found<Feature> {
        let mut a = self.operand(index, node, 0)?;
        let mut b = self.operand(index, node, 1)?;
        if node.op == Op::Sub {
            b = self.apply(index, b, Step::Negate)?;
        }
        require(
            a.shape == b.shape && a.layout == b.layout,
            "inputs",
            || format!("feature maps of {} and {} are added", a.shape, b.shape),
            "give both the same dimensions",
        )?;
        // A table needs codes; accumulators are kept where one of the two has them.
        let mut tables = (table(&a, &self.work), table(&b, &self.work));
        if tables.0.is_none() && tables.1.is_none() {
            if b.grid.is_some() {
                b = self.close(index, b)?;
            } else if a.grid.is_some() {
                a = self.close(index, a)?;
            }
            tables = (table(&a, &self.work), table(&b, &self.work));
        }
        let prefers_first = is_product(&a);
        match tables {
            (_, Some(table)) if prefers_first => self.added(index, a, &b, table),
            (Some(table), _) => self.added(index, b, &a, table),
            (None, Some(table)) => self.added(index, a, &b, table),
            (None, None) => refuse(
                "inputs",
                "neither of the two activations is quantized (with one scale for all channels)",
                "put a Quant in front of one of them",
            ),
        }
    }

    /// An input that one residual can still be added to.
    fn operand(&mut self, index: usize, node: &Node, input: usize) -> Found<Feature> {
        let mut feature = self.feature(node, input)?;
        if feature.border.is_some() {
            return self.border_refused(&feature);
        }
        if matches!(feature.source, Source::Input(..)) {
            (feature, _) = self.as_codes(index, node, input, feature)?;
        }
        if let Source::Chain(chain) = &feature.source
            && (chain.has_residual() || !chain.pools.is_empty())
        {
            feature = self.close(index, feature)?;
        }
        Ok(feature)
    }

    /// A feature plus what a table makes of the codes of another.
    fn added(
        &mut self,
        index: usize,
        main: Feature,
        other: &Feature,
        table: Table,
    ) -> Found<Feature> {
        let mut main = self.as_chain(index, main);
        if let Some(grid) = &main.grid {
            if let Some(sum) = sum_of_integers(grid, &table) {
                let Source::Chain(chain) = &mut main.source else {
                    return self.border_refused(&main);
                };
                chain.after = Some(After {
                    low: grid.low,
                    high: grid.high,
                    ..sum.after
                });
                chain.names.clear();
                note(chain, index, other);
                main.grid = Some(sum.grid);
                return Ok(main);
            }
            // The integers have no common unit: both go through a multiplication.
            main = self.close(index, main)?;
            main = self.opened(index, main)?;
        }
        let Source::Chain(chain) = &mut main.source else {
            return self.border_refused(&main);
        };
        note(chain, index, other);
        if let Some((residual, constant, lattices)) = whole_accumulators(chain, &table, &self.work)
        {
            chain.before = Some(residual);
            chain.lattices = Rc::new(lattices);
            if !constant.is_zero() {
                chain
                    .steps
                    .push(Step::Add(Numbers::of_rationals(vec![constant])));
            }
            return Ok(main);
        }
        chain.mixed = Some(Mixed {
            tensor: table.tensor,
            reals: table.reals,
            at: chain.steps.len(),
        });
        Ok(main)
    }

    /// A feature as a chain, with its integers if it has them.
    fn as_chain(&self, index: usize, mut feature: Feature) -> Feature {
        if let (Source::Codes(codes), Some(grid)) = (&feature.source, &feature.grid) {
            let (chain, stepped) = on_grid(index, *codes, grid, feature.shape);
            feature.source = Source::Chain(Box::new(chain));
            feature.grid = Some(stepped);
        }
        feature
    }
}

/// Adds the nodes of a folded operand.
fn note(chain: &mut Chain, index: usize, other: &Feature) {
    if let Source::Chain(other) = &other.source {
        chain.nodes.extend(other.nodes.iter().copied());
    }
    chain.nodes.push(index);
}

/// Whether a feature has accumulators of its own.
fn is_product(feature: &Feature) -> bool {
    match &feature.source {
        Source::Chain(chain) => chain.product.identity.is_none(),
        _ => false,
    }
}

/// What a feature is as a function of codes, the same in all channels.
fn table(feature: &Feature, work: &Work) -> Option<Table> {
    let (codes, from, chain) = match &feature.source {
        Source::Codes(codes) => (*codes, feature.grid.clone()?, None),
        Source::Chain(chain) => {
            let (codes, from) = chain.product.identity.clone()?;
            (codes, from, Some(chain))
        }
        Source::Input(..) => return None,
    };
    let is_one = |grid: &Grid| grid.channels() == 1;
    let is_uniform = feature.grid.as_ref().is_none_or(is_one)
        && chain.is_none_or(|c| c.steps.iter().all(Step::is_uniform));
    if !is_uniform {
        return None;
    }
    let all = 0..steps(codes.precision);
    let numbers = all.map(|s| number_of_step(codes.precision, s));
    let reals: Option<Vec<Rational>> = match (chain, &feature.grid) {
        (None, Some(grid)) => Some(numbers.map(|n| grid.real(0, n)).collect()),
        (Some(chain), Some(grid)) => {
            let mut evaluator = Evaluator::new(&chain.steps, 0, work);
            let reals = numbers
                .map(|n| grid.real(0, evaluator.integer(n).clamp(grid.low, grid.high)))
                .collect();
            (evaluator.undecided == 0).then_some(reals)
        }
        (Some(chain), None) => {
            let (factor, addend) = rational_line(&chain.steps, 0, work)?;
            Some(numbers.map(|n| whole(n) * &factor + &addend).collect())
        }
        (None, None) => None,
    };
    let step = |n: i64| step_of_number(codes.precision, n) as usize;
    Some(Table {
        tensor: codes.tensor,
        reals: reals?,
        range: (step(from.low), step(from.high)),
    })
}

struct Sum {
    after: After,
    grid: Grid,
}

/// The sum of two quantized numbers as integers of a common unit, if that has at most 8 bits.
fn sum_of_integers(grid: &Grid, table: &Table) -> Option<Sum> {
    let is_one = grid.channels() == 1 && grid.scale[0].is_positive();
    let scale = grid.scale.first().filter(|_| is_one)?;
    let offset = &grid.offset[0];
    let occurring = table.occurring();
    let first = &occurring[0];
    let apart: Vec<Rational> = occurring.iter().map(|r| r - first).collect();
    let unit = common_unit(std::iter::once(scale).chain(&apart));
    let repeat =
        integer(&(scale / &unit)).filter(|m| m * (grid.high - grid.low) <= THRESHOLDS_MAX)?;
    // Where the residual's zero is a multiple of the unit, the sum's integers are those of the file.
    let zero = if (first / &unit).is_integer() {
        Rational::zero()
    } else {
        first.clone()
    };
    let entry =
        |real: &Rational| integer(&((real - &zero) / &unit)).filter(|e| e.abs() <= ENTRY_MAX);
    let entries: Vec<i64> = occurring.iter().map(entry).collect::<Option<_>>()?;
    let (least, greatest) = (entries.iter().min()?, entries.iter().max()?);
    let low = repeat * grid.low + least;
    let high = repeat * grid.high + greatest;
    if high - low >= INTEGERS_MAX {
        return None;
    }
    // Numbers that never occur add anything.
    let all = table.reals.iter().map(|r| entry(r).unwrap_or(0)).collect();
    Some(Sum {
        after: After {
            repeat,
            low: grid.low,
            high: grid.high,
            tensor: table.tensor,
            table: all,
        },
        grid: Grid {
            low,
            high,
            offset: vec![offset * whole(repeat) + zero / &unit],
            scale: vec![unit],
        },
    })
}

/// A residual in whole accumulators, the real that is left over, and the accumulators with it.
fn whole_accumulators(
    chain: &Chain,
    table: &Table,
    work: &Work,
) -> Option<(Residual, Rational, Vec<Lattice>)> {
    let (unit, _) = rational_line(&chain.steps, 0, work).filter(|(unit, _)| !unit.is_zero())?;
    for channel in 1..chain.lattices.len() {
        if chain.steps.iter().all(Step::is_uniform) {
            break;
        }
        if rational_line(&chain.steps, channel, work)?.0 != unit {
            return None;
        }
    }
    let occurring = table.occurring();
    let zero = if (&occurring[0] / &unit).is_integer() {
        Rational::zero()
    } else {
        occurring[0].clone()
    };
    let entry =
        |real: &Rational| integer(&((real - &zero) / &unit)).filter(|e| e.abs() <= ENTRY_MAX);
    let entries: Vec<i64> = occurring.iter().map(entry).collect::<Option<_>>()?;
    let (least, greatest) = (*entries.iter().min()?, *entries.iter().max()?);
    let apart = entries.iter().fold(0, |g, e| gcd(g, e - least));
    let lattices = chain.lattices.iter().map(|lattice| {
        let step = if lattice.count > 1 {
            gcd(apart, lattice.step)
        } else {
            apart
        };
        Lattice::new(lattice.base + least, lattice.last() + greatest, step)
    });
    let residual = Residual {
        tensor: table.tensor,
        table: table.reals.iter().map(|r| entry(r).unwrap_or(0)).collect(),
        place: Place::Before,
    };
    Some((residual, zero, lattices.collect()))
}
