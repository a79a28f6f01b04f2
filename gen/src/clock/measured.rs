//! Arrays that were placed and routed.

use xnorforge_hdl::{Structure, Target};

/// Part and tools of all measurements.
pub const SOURCE: &str = "nextpnr";

/// One array and its frequency: 4 x 4 bits, one branch pair at a time, or 1 x 1 bits where nothing shifts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub target: Target,
    pub rows: u32,
    pub columns: u32,
    pub lanes: u32,
    /// Whether its accumulators shift.
    pub shifts: bool,
    pub structure: Structure,
    pub broadcast_stages: u32,
    pub mhz: f64,
}

impl Measured {
    /// Structures in the order of their size.
    pub fn structure_cost(&self) -> u32 {
        (self.structure == Structure::AdderLuts).into()
    }
}

pub(super) const MEASURED: &[Measured] = &[];
