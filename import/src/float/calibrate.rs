//! Observes the float graph on sample inputs and chooses the steps of activations.

use super::QuantizeError;
use super::plan::{Group, Plan};
use super::scale::{Grid, Sample, shared_step};
use crate::execute::{Executor, Tensor};
use crate::graph::Graph;
use ndarray::ArrayD;
use std::collections::HashMap;

/// Most numbers of a tensor that are kept for the choice of its step; extremes are those of all numbers.
const SAMPLE_NUMBERS: usize = 1 << 16;

/// Grid and step of each activation of a plan.
///
/// # Errors
/// Those of executing the graph, and [`QuantizeError::NotFinite`].
pub fn activations(
    graph: &Graph,
    executor: &Executor<'_>,
    plan: &Plan,
    inputs: &ArrayD<f32>,
) -> Result<Vec<(Grid, f32)>, QuantizeError> {
    let samples = observe(graph, executor, plan, inputs)?;
    for (activation, sample) in plan.activations.iter().zip(&samples) {
        if let Some(value) = sample.not_finite {
            return Err(QuantizeError::NotFinite {
                layer: activation.layer.clone(),
                tensor: activation.tensor.clone(),
                value,
                fix: "check the sample inputs, weights and batch norms",
            });
        }
    }
    let mut chosen = vec![None; plan.activations.len()];
    for group in &plan.groups {
        for (member, grid, step) in choose(plan, group, &samples) {
            chosen[member] = Some((grid, step));
        }
    }
    let choose_alone = |(member, chosen): (usize, Option<(Grid, f32)>)| {
        chosen.unwrap_or_else(|| (grid_of(plan, member, &samples), 1.0))
    };
    Ok(chosen.into_iter().enumerate().map(choose_alone).collect())
}

fn grid_of(plan: &Plan, member: usize, samples: &[Kept]) -> Grid {
    Grid::of_activations(plan.activations[member].precision, samples[member].least)
}

/// Grids and the one step of a group. Members of one grid get the most bits that one of them asks for, and an encoding that
/// holds the numbers of all; the calibration is that of the first member.
fn choose(plan: &Plan, group: &Group, samples: &[Kept]) -> Vec<(usize, Grid, f32)> {
    let mut grids: Vec<(usize, Grid)> = Vec::new();
    for same in &group.same_grid {
        let least = same
            .iter()
            .map(|member| samples[*member].least)
            .fold(f32::INFINITY, f32::min);
        let most_bits = same
            .iter()
            .max_by_key(|member| plan.activations[**member].precision.bits);
        let Some(widest) = most_bits else { continue };
        let grid = Grid::of_activations(plan.activations[*widest].precision, least);
        grids.extend(same.iter().map(|member| (*member, grid)));
    }
    grids.sort_unstable_by_key(|(member, _)| *member);
    let calibration = plan.activations[group.members.iter().copied().min().unwrap_or(0)]
        .precision
        .calibration;
    let members: Vec<(Sample<'_>, Grid)> = grids
        .iter()
        .map(|(member, grid)| (samples[*member].sample(), *grid))
        .collect();
    // Where all numbers are 0, any step is right.
    let step = shared_step(&members, calibration).unwrap_or(1.0);
    grids
        .into_iter()
        .map(|(member, grid)| (member, grid, step))
        .collect()
}

/// Numbers of a tensor that are kept.
struct Kept {
    values: Vec<f32>,
    least: f32,
    greatest: f32,
    not_finite: Option<f32>,
    seen: u64,
}

impl Kept {
    fn new() -> Self {
        Kept {
            values: Vec::new(),
            least: f32::INFINITY,
            greatest: f32::NEG_INFINITY,
            not_finite: None,
            seen: 0,
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            values: &self.values,
            least: self.least,
            greatest: self.greatest,
        }
    }

    /// Keeps a number out of every `share`, at places without a pattern but the same ones in every run.
    fn push(&mut self, value: f32, share: u64) {
        if !value.is_finite() {
            self.not_finite = Some(value);
        }
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        // Multiplication by 2^64 / golden ratio spreads the numbers of places evenly (Knuth).
        let place = self.seen.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        if (place * share) >> 32 == 0 {
            self.values.push(value);
        }
        self.seen += 1;
    }
}

fn observe(
    graph: &Graph,
    executor: &Executor<'_>,
    plan: &Plan,
    inputs: &ArrayD<f32>,
) -> Result<Vec<Kept>, QuantizeError> {
    let index: HashMap<&str, usize> = plan
        .activations
        .iter()
        .enumerate()
        .map(|(i, a)| (a.tensor.as_str(), i))
        .collect();
    let mut samples: Vec<Kept> = plan.activations.iter().map(|_| Kept::new()).collect();
    let batch = graph
        .inputs
        .first()
        .and_then(|input| graph.shapes.get(input)?.first())
        .copied()
        .unwrap_or(1);
    let batches = inputs.shape().first().copied().unwrap_or(1) / batch.max(1);
    executor.run(inputs, |name, value: &Tensor| {
        if let Some(&member) = index.get(name) {
            let share = (value.len() * batches).div_ceil(SAMPLE_NUMBERS).max(1) as u64;
            value.iter().for_each(|v| samples[member].push(*v, share));
        }
    })?;
    Ok(samples)
}
