//! `--clock-mhz`: structure and broadcast stages for a wanted frequency, from arrays that were placed and routed.
//!
//! Nothing is estimated. A configuration is compared with the measured arrays of its target that are at least as large, the
//! smallest of them, whose accumulators shift or do not as its own; what was measured there says which structure and how many broadcast stages reach the frequency. The
//! first that does in the order of cost is taken, else the fastest, with a warning.

mod measured;

use crate::failure::Failure;
use crate::scripts;
use measured::{MEASURED, Measured};
use serde::Serialize;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Structure, Target};

pub use measured::SOURCE;

/// What was chosen for a frequency, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClockChoice {
    /// The frequency that was asked for, in MHz.
    pub wanted_mhz: f64,
    /// Structure of the units.
    pub structure: &'static str,
    /// Pipeline registers of the popcount: those of the structure.
    pub popcount_stages: u32,
    /// Broadcast stages.
    pub broadcast_stages: u32,
    /// What the choice rests on; absent where nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Evidence>,
    /// Why it may not be enough; absent if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The array that a choice rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Rows, columns and lanes.
    pub array: [u32; 3],
    /// Its frequency after placing and routing, in MHz.
    pub mhz: f64,
    /// Part and tools.
    pub source: &'static str,
}

/// The clock of the constraints, and what was chosen for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// Frequency in MHz.
    pub mhz: f64,
    /// What was chosen for it; none where no frequency was asked for.
    pub choice: Option<ClockChoice>,
}

impl Default for Clock {
    /// What constraints say where nothing is asked for.
    fn default() -> Self {
        Clock {
            mhz: 100.0,
            choice: None,
        }
    }
}

impl ClockChoice {
    /// A line for the summary of a command.
    pub fn line(&self) -> String {
        let chosen = format!(
            "for {} MHz: structure {}, {} popcount stages, {} broadcast stages",
            self.wanted_mhz, self.structure, self.popcount_stages, self.broadcast_stages
        );
        match &self.measured {
            Some(Evidence { array, mhz, source }) => format!(
                "{chosen}; {mhz} MHz measured on {} x {} x {} ({source})",
                array[0], array[1], array[2]
            ),
            None => format!("{chosen}; nothing was measured for it"),
        }
    }
}

/// Settles what the configuration leaves open, `structure` and `broadcast_stages`, for a frequency.
///
/// # Errors
/// A message for a frequency out of range, and a configuration that is not valid.
pub fn choose(config: &ArrayConfig, wanted_mhz: f64) -> Result<(Design, ClockChoice), Failure> {
    scripts::check_clock(wanted_mhz)?;
    let found = pick(MEASURED, config, wanted_mhz);
    let settled = match found.best {
        Some(best) => ArrayConfig {
            structure: best.structure,
            broadcast_stages: BroadcastStages::Fixed(best.broadcast_stages),
            ..config.clone()
        },
        None => config.clone(),
    };
    let design = settled.validate()?;
    let choice = ClockChoice {
        wanted_mhz,
        structure: design.structure().name(),
        popcount_stages: design.latency(),
        broadcast_stages: design.broadcast_stages(),
        measured: found.best.map(|best| Evidence {
            array: [best.rows, best.columns, best.lanes],
            mhz: best.mhz,
            source: SOURCE,
        }),
        warning: found.warning,
    };
    Ok((design, choice))
}

struct Found {
    best: Option<Measured>,
    warning: Option<String>,
}

/// The first measured choice that reaches the frequency, or the fastest.
fn pick(table: &[Measured], config: &ArrayConfig, wanted_mhz: f64) -> Found {
    let target = config.target;
    let open = |m: &&Measured| {
        let structure = [Structure::Auto, m.structure].contains(&config.structure);
        let stages = match config.broadcast_stages {
            BroadcastStages::Auto => true,
            BroadcastStages::Fixed(stages) => stages == m.broadcast_stages,
        };
        // Measured with the registers that the structure chooses for itself.
        let registers = config.popcount_stages == 0;
        m.target == target && structure && stages && registers && fits(config, m)
    };
    let rows: Vec<&Measured> = table.iter().filter(open).collect();
    let covers = |m: &&&Measured| {
        m.rows * m.columns >= config.rows * config.columns && m.lanes >= config.lanes
    };
    let size = |m: &&Measured| (m.rows * m.columns, m.lanes);
    let smallest = rows.iter().filter(covers).map(size).min();
    let largest = rows.iter().map(size).max();
    let Some(reference) = smallest.or(largest) else {
        return Found {
            best: None,
            warning: measured_target(table, target).then(|| {
                format!(
                    "nothing was measured for target {target} with the given `structure`, `popcount_stages`, `broadcast_stages` and bits: {wanted_mhz} MHz may not be reached"
                )
            }),
        };
    };
    let alike = || rows.iter().filter(|m| size(m) == reference);
    let reaching = alike()
        .filter(|m| m.mhz >= wanted_mhz)
        .min_by_key(|m| (m.structure_cost(), m.broadcast_stages));
    let fastest = alike().max_by(|a, b| a.mhz.total_cmp(&b.mhz));
    let best = reaching.or(fastest).map(|m| **m);
    Found {
        best,
        warning: warning(config, best, smallest.is_some(), wanted_mhz),
    }
}

/// A structure may refuse a shape, and accumulators that shift are another circuit than those that do not.
fn fits(config: &ArrayConfig, measured: &Measured) -> bool {
    let asked = ArrayConfig {
        structure: measured.structure,
        broadcast_stages: BroadcastStages::Fixed(measured.broadcast_stages),
        ..config.clone()
    };
    asked
        .validate()
        .is_ok_and(|design| design.shifts == measured.shifts)
}

fn measured_target(table: &[Measured], target: Target) -> bool {
    table.iter().any(|m| m.target == target)
}

fn warning(
    config: &ArrayConfig,
    best: Option<Measured>,
    covered: bool,
    wanted_mhz: f64,
) -> Option<String> {
    let best = best?;
    let on = format!("{} x {} x {}", best.rows, best.columns, best.lanes);
    if best.mhz < wanted_mhz {
        return Some(format!(
            "`clock_mhz` = {wanted_mhz} is past what was measured for target {}: {} MHz on {on}, with structure {} and {} broadcast stages; expect less than you ask for",
            best.target, best.mhz, best.structure, best.broadcast_stages
        ));
    }
    (!covered).then(|| {
        format!(
            "an array of {} x {} x {} is larger than the largest that was measured for target {} ({on}): {wanted_mhz} MHz may not be reached",
            config.rows, config.columns, config.lanes, best.target
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn row(structure: Structure, rows: u32, broadcast_stages: u32, mhz: f64) -> Measured {
        Measured {
            target: Target::Ecp5,
            rows,
            columns: rows,
            lanes: 16,
            shifts: true,
            structure,
            broadcast_stages,
            mhz,
        }
    }

    const TABLE: [Measured; 5] = [
        row(Structure::AdderChains, 4, 0, 150.0),
        row(Structure::AdderChains, 4, 2, 250.0),
        row(Structure::AdderLuts, 4, 0, 160.0),
        row(Structure::AdderLuts, 4, 3, 320.0),
        row(Structure::AdderLuts, 8, 3, 280.0),
    ];

    fn config(rows: u32) -> ArrayConfig {
        ArrayConfig {
            rows,
            columns: rows,
            lanes: 16,
            target: Target::Ecp5,
            ..ArrayConfig::default()
        }
    }

    fn chosen(config: &ArrayConfig, mhz: f64) -> (Structure, u32, bool) {
        let found = pick(&TABLE, config, mhz);
        let best = found.best.unwrap();
        (
            best.structure,
            best.broadcast_stages,
            found.warning.is_some(),
        )
    }

    #[test]
    fn the_cheapest_that_reaches_the_frequency_is_taken() {
        let four = config(4);
        assert_eq!(chosen(&four, 100.0), (Structure::AdderChains, 0, false));
        assert_eq!(chosen(&four, 155.0), (Structure::AdderChains, 2, false));
        assert_eq!(chosen(&four, 300.0), (Structure::AdderLuts, 3, false));
        assert_eq!(chosen(&config(3), 100.0), chosen(&four, 100.0));
    }

    #[test]
    fn what_is_out_of_reach_gets_the_fastest_and_a_warning() {
        assert_eq!(chosen(&config(4), 400.0), (Structure::AdderLuts, 3, true));
        assert_eq!(chosen(&config(16), 200.0), (Structure::AdderLuts, 3, true));
    }

    #[test]
    fn what_is_given_stays() {
        let given = ArrayConfig {
            broadcast_stages: BroadcastStages::Fixed(0),
            ..config(4)
        };
        assert_eq!(chosen(&given, 155.0), (Structure::AdderLuts, 0, false));
        let given = ArrayConfig {
            structure: Structure::AdderChains,
            ..config(4)
        };
        assert_eq!(chosen(&given, 300.0), (Structure::AdderChains, 2, true));
        let given = ArrayConfig {
            target: Target::Xilinx,
            ..config(4)
        };
        assert!(pick(&TABLE, &given, 300.0).best.is_none());
    }

    #[test]
    fn the_table_that_ships_is_sound() {
        for row in MEASURED {
            assert!(Structure::of_target(row.target).contains(&row.structure));
            assert!(row.mhz > 10.0 && row.mhz < 1000.0);
            let config = ArrayConfig {
                rows: row.rows,
                columns: row.columns,
                lanes: row.lanes,
                activation_bits: if row.shifts { 4 } else { 1 },
                weight_bits: if row.shifts { 4 } else { 1 },
                target: row.target,
                ..ArrayConfig::default()
            };
            assert!(fits(&config, row));
        }
    }
}
