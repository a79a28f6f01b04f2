//! Cycles and utilization of a GEMM on a design, as closed formulas over its shape; no data needed.

use crate::gemm::GemmShape;
use crate::lower::{LowerError, Pass, Plan};
use serde::Serialize;
use std::fmt;
use xnorforge_hdl::{Design, timing};

/// What holds back an array that streams tile after tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Its processing elements: they take a beat in every cycle.
    Compute,
    /// Its result port: a tile has fewer beats than the array has rows.
    Drain,
}

impl Bound {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Drain => "drain",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Cycles of a GEMM on a design and how well they are used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CycleReport {
    /// Cycles from the first constant write to the last result, both included, summed over the passes.
    pub cycles: u64,
    /// Of these, cycles that write column constants.
    pub constant_cycles: u64,
    /// Passes.
    pub passes: u64,
    /// Tiles.
    pub tiles: u64,
    /// Beats, all tiles together.
    pub beats: u64,
    /// Binary operation pairs that the product needs: MACs x activation bits x weight bits.
    pub binary_pairs: u64,
    /// Operations: an xnor and an add for each binary operation pair.
    pub operations: u64,
    /// `binary_pairs` divided by what the array could do in `cycles`; 0 to 1.
    pub utilization: f64,
    /// What bounds the steady state.
    pub bound: Bound,
}

impl CycleReport {
    /// The report of a shape on a design.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn of_shape(design: &Design, shape: &GemmShape) -> Result<Self, LowerError> {
        Plan::new(design, shape).map(|plan| Self::of_plan(design, &plan))
    }

    /// The report of a plan, which was made for `design`.
    pub fn of_plan(design: &Design, plan: &Plan) -> Self {
        let c = design.config();
        let tile_beats = plan.tile_beats();
        let pass_cycles =
            |pass: &Pass| pass.entries + timing::total_cycles(design, pass.tiles, tile_beats);
        // All passes but the last are alike.
        let (first, last) = (plan.pass(0), plan.pass(plan.pass_count() - 1));
        let cycles = (plan.pass_count() - 1) * pass_cycles(&first) + pass_cycles(&last);
        let capacity = c.binary_pairs_per_cycle() as f64;
        let binary_pairs = plan.shape().binary_pairs();
        CycleReport {
            cycles,
            constant_cycles: plan.column_tiles() * u64::from(plan.shape().classes),
            passes: plan.pass_count(),
            tiles: plan.tiles(),
            beats: plan.tiles() * tile_beats,
            binary_pairs,
            operations: 2 * binary_pairs,
            utilization: binary_pairs as f64 / (capacity * cycles as f64),
            bound: if timing::tile_period(design, tile_beats) > tile_beats {
                Bound::Drain
            } else {
                Bound::Compute
            },
        }
    }
}
