//! Clock frequencies of arrays, all from measurements: placed and routed, or timed with a library's delays ([`Clocks`]).
//!
//! One policy holds wherever a frequency is stated:
//! - an array that was measured has the frequency that was measured;
//! - one between measured arrays of the same circuit has an interpolated one, stated with its error ([`Clocks::frequency`]);
//! - any other has none.
//!
//! A choice for a wanted frequency (`--clock-mhz`, [`choose`]) rests on measured arrays alone, and names the one: a
//! configuration is compared with the smallest of them that is at least as large in elements, lanes and branch pairs, whose
//! accumulators shift or do not as its own; what was measured there says which structure and how many broadcast stages reach
//! the frequency. The first that does in the order of cost is taken, else the fastest, with a warning.

mod between;
mod measured;

use crate::failure::Failure;
use crate::scripts;
use measured::{Circuit, Point, size};
use serde::Serialize;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Structure};

pub use between::Frequency;
pub use measured::{Clocks, MeasuredArray, plan};

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
    let clocks = Clocks::shipped(config.target);
    let found = clocks.map_or_else(Found::default, |clocks| pick(clocks, config, wanted_mhz));
    let design = match found.best {
        Some(best) => with_choices_of(config, best).validate()?,
        None => config.validate()?,
    };
    let choice = ClockChoice {
        wanted_mhz,
        structure: design.structure().name(),
        popcount_stages: design.latency(),
        broadcast_stages: design.broadcast_stages(),
        measured: found.best.zip(clocks).map(|(best, clocks)| Evidence {
            array: [best.array.rows, best.array.columns, best.array.lanes],
            mhz: best.mhz,
            source: clocks.source(),
        }),
        warning: found.warning,
    };
    Ok((design, choice))
}

/// What was picked for a frequency.
#[derive(Default)]
struct Found<'c> {
    best: Option<&'c Point>,
    warning: Option<String>,
}

/// The first measured choice that reaches the frequency, or the fastest.
fn pick<'c>(clocks: &'c Clocks, config: &ArrayConfig, wanted_mhz: f64) -> Found<'c> {
    let open = |p: &&Point| {
        let structure = [Structure::Auto, p.circuit.structure].contains(&config.structure);
        let stages = match config.broadcast_stages {
            BroadcastStages::Auto => true,
            BroadcastStages::Fixed(stages) => stages == p.circuit.broadcast_stages,
        };
        structure && stages && fits(config, p)
    };
    let points: Vec<&Point> = clocks.points.iter().filter(open).collect();
    let sizes = || points.iter().map(|p| size(&p.array));
    let asked = size(config);
    let covers = |size: &[u32; 3]| size.iter().zip(&asked).all(|(size, asked)| size >= asked);
    let smallest = sizes().filter(covers).min();
    let Some(reference) = smallest.or(sizes().max()) else {
        return Found {
            best: None,
            warning: Some(format!(
                "nothing was measured for target {} with the given `structure`, `popcount_stages`, `broadcast_stages` and bits: {wanted_mhz} MHz may not be reached",
                config.target
            )),
        };
    };
    let alike = || points.iter().filter(|p| size(&p.array) == reference);
    let reaching = alike()
        .filter(|p| p.mhz >= wanted_mhz)
        .min_by_key(|p| cost(config, p));
    let fastest = alike().max_by(|a, b| a.mhz.total_cmp(&b.mhz));
    let best = reaching.or(fastest).copied();
    Found {
        best,
        warning: best.and_then(|best| warning(config, best, smallest.is_some(), wanted_mhz)),
    }
}

/// The order in which choices are taken: LUT sites of the elements and flip-flops of the broadcast stages in this configuration,
/// small first. Every stage holds at least the operands of the edges.
fn cost(config: &ArrayConfig, point: &Point) -> u64 {
    let design = with_choices_of(config, point).validate().ok();
    let Some(units) = design.as_ref().and_then(Design::units) else {
        return u64::MAX;
    };
    let c = config;
    let [rows, columns] = [c.rows, c.columns].map(u64::from);
    let edges = rows * u64::from(c.activation_branches) + columns * u64::from(c.weight_branches);
    let operands = edges * u64::from(c.lanes);
    rows * columns * units.element.sites + operands * u64::from(point.circuit.broadcast_stages)
}

/// A configuration with the structure and the broadcast stages of a measured array.
fn with_choices_of(config: &ArrayConfig, point: &Point) -> ArrayConfig {
    ArrayConfig {
        structure: point.circuit.structure,
        broadcast_stages: BroadcastStages::Fixed(point.circuit.broadcast_stages),
        ..config.clone()
    }
}

/// Whether the configuration becomes the same circuit: a structure may refuse a shape, and accumulators that shift are
/// another circuit than those that do not.
fn fits(config: &ArrayConfig, point: &Point) -> bool {
    let design = with_choices_of(config, point).validate();
    design.is_ok_and(|design| Circuit::of(&design) == point.circuit)
}

fn warning(config: &ArrayConfig, best: &Point, covered: bool, wanted_mhz: f64) -> Option<String> {
    let on = shape(&best.array);
    if best.mhz < wanted_mhz {
        return Some(format!(
            "`clock_mhz` = {wanted_mhz} is past what was measured for target {}: {} MHz on {on}, with structure {} and {} broadcast stages; expect less than you ask for",
            config.target, best.mhz, best.circuit.structure, best.circuit.broadcast_stages
        ));
    }
    (!covered).then(|| {
        format!(
            "an array of {} is larger than the largest that was measured for target {} ({on}): {wanted_mhz} MHz may not be reached",
            shape(config), config.target
        )
    })
}

/// Rows, columns and lanes, and the branches where there are several.
fn shape(config: &ArrayConfig) -> String {
    let c = config;
    let array = format!("{} x {} x {}", c.rows, c.columns, c.lanes);
    match (c.activation_branches, c.weight_branches) {
        (1, 1) => array,
        (m, k) => format!("{array} with {m} x {k} branches at once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xnorforge_hdl::Target;

    fn row(structure: Structure, rows: u32, broadcast_stages: u32, mhz: f64) -> MeasuredArray {
        MeasuredArray {
            configuration: ArrayConfig {
                structure,
                broadcast_stages: BroadcastStages::Fixed(broadcast_stages),
                ..config(rows)
            },
            mhz,
        }
    }

    fn table() -> Clocks {
        let rows = [
            row(Structure::AdderChains, 4, 0, 150.0),
            row(Structure::AdderChains, 4, 2, 250.0),
            row(Structure::AdderLuts, 4, 0, 160.0),
            row(Structure::AdderLuts, 4, 3, 320.0),
            row(Structure::AdderLuts, 8, 3, 280.0),
        ];
        Clocks::new("a table", &rows).unwrap()
    }

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
        let table = table();
        let found = pick(&table, config, mhz);
        let circuit = found.best.unwrap().circuit;
        (
            circuit.structure,
            circuit.broadcast_stages,
            found.warning.is_some(),
        )
    }

    #[test]
    fn the_cheapest_that_reaches_the_frequency_is_taken() {
        let four = config(4);
        assert_eq!(chosen(&four, 100.0), (Structure::AdderChains, 0, false));
        // Two stages of registers are more than what sixteen elements of adders are larger.
        assert_eq!(chosen(&four, 155.0), (Structure::AdderLuts, 0, false));
        assert_eq!(chosen(&four, 200.0), (Structure::AdderChains, 2, false));
        assert_eq!(chosen(&four, 300.0), (Structure::AdderLuts, 3, false));
        assert_eq!(chosen(&config(3), 100.0), chosen(&four, 100.0));
    }

    #[test]
    fn what_is_cheap_is_so_in_the_configuration_itself() {
        let structure = |rows, columns, lanes| {
            let config = ArrayConfig {
                rows,
                columns,
                lanes,
                target: Target::Ice40,
                ..ArrayConfig::default()
            };
            choose(&config, 40.0).unwrap().1.structure
        };
        assert_eq!(structure(4, 4, 16), "adder_chains");
        // Chains of three pair bits are larger than their adders.
        assert_eq!(structure(2, 3, 5), "adder_luts");
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
            popcount_stages: 1,
            ..config(4)
        };
        let table = table();
        let found = pick(&table, &given, 100.0);
        assert!(found.best.is_none() && found.warning.is_some());
    }

    #[test]
    fn branches_in_parallel_are_larger_than_one_at_a_time() {
        let given = ArrayConfig {
            activation_branches: 2,
            ..config(4)
        };
        let table = table();
        let found = pick(&table, &given, 100.0);
        assert_eq!(
            found.warning.as_deref(),
            Some(
                "an array of 4 x 4 x 16 with 2 x 1 branches at once is larger than the largest that was measured for target ecp5 (8 x 8 x 16): 100 MHz may not be reached"
            )
        );
    }

    #[test]
    fn a_configuration_that_is_none_is_refused() {
        let wrong = ArrayConfig {
            rows: u32::MAX,
            ..config(4)
        };
        assert!(choose(&wrong, 100.0).is_err());
    }

    #[test]
    fn nothing_is_said_of_targets_that_were_not_measured() {
        let given = ArrayConfig {
            target: Target::Xilinx,
            ..config(4)
        };
        let (_, choice) = choose(&given, 300.0).unwrap();
        assert_eq!((choice.measured, choice.warning), (None, None));
    }
}
