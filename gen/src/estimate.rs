//! Where models of area, clock and energy plug in. What no model says is left out of reports; no number is made up.
//!
//! A model is fitted to runs of outside tools and says how far its estimates are from such runs. Until one is there for
//! a target, [`model`] gives none, columns of estimates are missing, and constraints on them are refused.

pub mod measure;
pub mod quantities;
pub mod sample;

use serde::{Deserialize, Serialize};
use xnorforge_hdl::config::Target;
use xnorforge_hdl::{AcceleratorDesign, Design};

/// What is estimated: the array alone, or with the accelerator around it.
#[derive(Clone, Copy, Debug)]
pub enum Hardware<'d> {
    /// The array.
    Array(&'d Design),
    /// The accelerator behind its ports.
    Accelerator(&'d AcceleratorDesign),
}

/// What a design takes on a target, as a model estimates it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Lookup tables.
    pub luts: f64,
    /// Flip-flops.
    pub flip_flops: f64,
    /// Positions of carry chains.
    pub carries: f64,
    /// Blocks of memory.
    pub block_rams: f64,
    /// Mean error of such estimates in percent, on configurations that the model was not fitted to.
    pub error_percent: f64,
    /// Clock frequency, where place and route or static timing stand behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<f64>,
    /// Energy of a cycle in picojoule, where coefficients of the target stand behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_energy_pj: Option<f64>,
}

/// A model of one target.
pub trait AreaModel: Sync {
    /// What it was fitted to, for reports.
    fn source(&self) -> &str;

    /// What a design takes; none where the model does not reach.
    fn estimate(&self, hardware: Hardware<'_>) -> Option<Estimate>;
}

/// The model of a target, if there is one.
pub fn model(_target: Target) -> Option<&'static dyn AreaModel> {
    None
}
