//! Arrays that were placed and routed.

use xnorforge_hdl::{Structure, Target};

/// Part and tools of all measurements.
pub const SOURCE: &str =
    "LFE5U-85F, speed grade 6; Yosys 0.23, nextpnr-ecp5 0.11.1.0.post826, one run for 400 MHz";

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

/// `xnorforge synth --rows R --columns C --lanes L --activation-bits M --weight-bits M --target ecp5 --structure S
/// --broadcast-stages B`, with M = 4 where accumulators shift and 1 where they do not.
pub(super) const MEASURED: &[Measured] = &[
    ecp5(4, 16, true, Structure::AdderChains, 0, 107.0),
    ecp5(4, 16, true, Structure::AdderChains, 2, 185.1),
    ecp5(4, 16, true, Structure::AdderLuts, 3, 185.4),
    ecp5(4, 16, false, Structure::AdderChains, 0, 102.6),
    ecp5(4, 16, false, Structure::AdderChains, 2, 231.2),
];

/// A square array on ECP5.
const fn ecp5(
    rows: u32,
    lanes: u32,
    shifts: bool,
    structure: Structure,
    broadcast_stages: u32,
    mhz: f64,
) -> Measured {
    Measured {
        target: Target::Ecp5,
        rows,
        columns: rows,
        lanes,
        shifts,
        structure,
        broadcast_stages,
        mhz,
    }
}
