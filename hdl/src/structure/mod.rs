//! Which structure the units of a design have: the popcount and accumulator of a processing element, and the popcount of
//! a row unit.
//!
//! [`Structure::Tree`] is an expression that any synthesizer maps ([`crate::hardware::PopcountTree`]). The others are
//! netlists of a device's primitives ([`crate::fabric`]); [`DeviceUnits`] holds those of one design. A structure decides
//! the popcount's latency and when each pair of lanes must arrive; the array's edge delays the operands accordingly.

mod lattice;
mod ports;
mod units;
mod xilinx;

pub use units::{Alternative, DeviceUnits, StructureError, UnitNetlist, UnitShape};

use crate::config::{ConfigError, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The structure of the units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// The target's smallest by computed cost.
    #[default]
    Auto,
    /// Full adders, then adders with carry-ins, as expressions for any synthesizer; `popcount_stages` registers. All that
    /// `generic` has.
    Tree,
    /// Xilinx: carry chains whose LUTs make the pair bits that they add; for one branch pair in a cycle.
    PairChain,
    /// Xilinx: the same with a row of pair bits, of several weights, at a time; for branches in parallel.
    PairRows,
    /// ECP5 and iCE40: full adders in carry chains that stand back to back.
    AdderChains,
    /// ECP5 and iCE40: full adders in LUTs, for a high clock.
    AdderLuts,
    /// Standard cells: full and half adders over inverted pair bits.
    AdderCells,
}

impl Structure {
    /// Every structure, in the order of the documentation.
    pub const ALL: [Structure; 7] = [
        Structure::Auto,
        Structure::Tree,
        Structure::PairChain,
        Structure::PairRows,
        Structure::AdderChains,
        Structure::AdderLuts,
        Structure::AdderCells,
    ];

    /// The name used in configuration files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Structure::Auto => "auto",
            Structure::Tree => "tree",
            Structure::PairChain => "pair_chain",
            Structure::PairRows => "pair_rows",
            Structure::AdderChains => "adder_chains",
            Structure::AdderLuts => "adder_luts",
            Structure::AdderCells => "adder_cells",
        }
    }

    /// The netlist structures that `auto` compares; `tree` where there are none.
    pub fn compared_by_auto(target: Target) -> &'static [Structure] {
        Structure::of_target(target)
    }

    /// The netlist structures of a target.
    pub fn of_target(target: Target) -> &'static [Structure] {
        match target {
            Target::Generic => &[],
            Target::Xilinx | Target::Ultrascale => &[Structure::PairChain, Structure::PairRows],
            Target::Ecp5 | Target::Ice40 => &[Structure::AdderChains, Structure::AdderLuts],
            Target::Asic => &[Structure::AdderCells],
        }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Structure {
    type Err = ConfigError;
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Structure::ALL
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| ConfigError::UnknownStructure(name.to_owned()))
    }
}
