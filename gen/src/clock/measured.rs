//! Arrays whose clock was measured: those that ship with the program, and those of a sample.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use xnorforge_hdl::{AcceleratorConfig, ArrayConfig, BroadcastStages, Design, Structure, Target};

/// An array whose clock was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredArray {
    /// Its configuration.
    pub configuration: ArrayConfig,
    /// Highest frequency.
    pub mhz: f64,
}

/// What a clock depends on beside sizes. Arrays that differ in it are other circuits, and say nothing about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circuit {
    target: Target,
    pub structure: Structure,
    pub broadcast_stages: u32,
    /// Whether accumulators shift.
    shifts: bool,
    /// Whether the popcount has the registers that its structure chooses.
    own_stages: bool,
}

impl Circuit {
    pub fn of(design: &Design) -> Self {
        let config = design.config();
        let own = ArrayConfig {
            popcount_stages: 0,
            ..config.clone()
        };
        Circuit {
            target: config.target,
            structure: design.structure(),
            broadcast_stages: design.broadcast_stages(),
            shifts: design.shifts,
            own_stages: config.canonical().popcount_stages == own.canonical().popcount_stages,
        }
    }
}

/// What a clock falls with: elements (the wires around them), lanes and branch pairs (the way through one). The configuration
/// need not be a valid one.
pub(super) fn size(config: &ArrayConfig) -> [u32; 3] {
    let c = config;
    [
        c.rows.saturating_mul(c.columns),
        c.lanes,
        c.activation_branches.saturating_mul(c.weight_branches),
    ]
}

/// A measured array, as others are compared with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Nothing of it is left open ([`settled`]).
    pub array: ArrayConfig,
    pub circuit: Circuit,
    pub mhz: f64,
}

/// The array of a design, with what its configuration left open and without what is around it.
fn settled(design: &Design) -> ArrayConfig {
    ArrayConfig {
        structure: design.structure(),
        broadcast_stages: BroadcastStages::Fixed(design.broadcast_stages()),
        popcount_stages: design.latency(),
        accelerator: AcceleratorConfig::default(),
        ..design.config().clone()
    }
}

/// Measured arrays of one target: the one place where frequencies come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Clocks {
    source: String,
    pub(super) points: Vec<Point>,
}

impl Clocks {
    /// Arrays and what measured them; none where an array is not valid or a frequency no positive number.
    pub fn new(source: impl Into<String>, arrays: &[MeasuredArray]) -> Option<Self> {
        let point = |measured: &MeasuredArray| {
            let design = measured.configuration.validate().ok()?;
            let is_frequency = measured.mhz.is_finite() && measured.mhz > 0.0;
            is_frequency.then(|| Point {
                array: settled(&design),
                circuit: Circuit::of(&design),
                mhz: measured.mhz,
            })
        };
        Some(Clocks {
            source: source.into(),
            points: arrays.iter().map(point).collect::<Option<_>>()?,
        })
    }

    /// Those of a target that ship with the program; none where nothing was measured.
    pub fn shipped(target: Target) -> Option<&'static Clocks> {
        static SHIPPED: LazyLock<Vec<(Target, Option<Clocks>)>> = LazyLock::new(|| {
            let clocks = |table: &Table| {
                let arrays: Vec<MeasuredArray> = table.arrays().collect();
                (table.target, Clocks::new(table.source, &arrays))
            };
            TABLES.iter().map(clocks).collect()
        });
        let (_, clocks) = SHIPPED.iter().find(|(of, _)| *of == target)?;
        clocks.as_ref()
    }

    /// Device and tools.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The frequency of an array in MHz, if it was measured itself.
    pub(super) fn find(&self, design: &Design) -> Option<f64> {
        let array = settled(design);
        let found = self.points.iter().find(|point| point.array == array);
        found.map(|point| point.mhz)
    }
}

/// Square arrays of one branch pair at a time that ship, of one target.
struct Table {
    target: Target,
    /// Part and tools.
    source: &'static str,
    /// Side, lanes, bits of both operands (accumulators of one bit never shift), structure, broadcast stages, MHz. `xnorforge synth
    /// --rows SIDE --columns SIDE --lanes LANES --activation-bits BITS --weight-bits BITS --target TARGET --structure STRUCTURE
    /// --broadcast-stages STAGES` measures one again.
    rows: &'static [(u32, u32, u32, Structure, u32, f64)],
}

const TABLES: [Table; 2] = [
    Table {
        target: Target::Ecp5,
        source: "LFE5U-85F, speed grade 6; Yosys 0.23, nextpnr-ecp5 0.11.1.0.post826, one run for 400 MHz",
        rows: &[
            (4, 16, 4, Structure::AdderChains, 0, 107.0),
            (4, 16, 4, Structure::AdderChains, 2, 185.1),
            (4, 16, 4, Structure::AdderLuts, 3, 185.4),
            (4, 16, 1, Structure::AdderChains, 0, 102.6),
            (4, 16, 1, Structure::AdderChains, 2, 231.2),
        ],
    },
    Table {
        target: Target::Ice40,
        source: "iCE40 HX8K; Yosys 0.23, nextpnr-ice40 0.11.1 with router2, one run for 300 MHz",
        rows: &[
            (4, 16, 4, Structure::AdderChains, 0, 83.3),
            (4, 16, 4, Structure::AdderChains, 2, 123.7),
            (4, 16, 4, Structure::AdderLuts, 0, 69.8),
            (4, 16, 4, Structure::AdderLuts, 3, 120.0),
            (4, 16, 1, Structure::AdderChains, 0, 82.9),
            (4, 16, 1, Structure::AdderChains, 2, 129.1),
            (4, 16, 1, Structure::AdderLuts, 2, 121.2),
        ],
    },
];

impl Table {
    fn arrays(&self) -> impl Iterator<Item = MeasuredArray> + '_ {
        self.rows.iter().map(
            |&(side, lanes, bits, structure, stages, mhz)| MeasuredArray {
                configuration: ArrayConfig {
                    target: self.target,
                    rows: side,
                    columns: side,
                    lanes,
                    activation_bits: bits,
                    weight_bits: bits,
                    structure,
                    broadcast_stages: BroadcastStages::Fixed(stages),
                    ..ArrayConfig::default()
                },
                mhz,
            },
        )
    }
}

/// Arrays of a target to measure: small enough to be placed, with everything that limits a clock.
pub fn plan(target: Target) -> Vec<Design> {
    let shapes = [
        (2, 16, 1),
        (2, 64, 1),
        (2, 128, 1),
        (4, 16, 1),
        (4, 64, 1),
        (2, 16, 2),
        (2, 32, 2),
        (4, 32, 1),
    ];
    let design = |(side, lanes, branches): (u32, u32, u32)| {
        let config = ArrayConfig {
            target,
            rows: side,
            columns: side,
            lanes,
            activation_branches: branches,
            weight_branches: branches,
            ..ArrayConfig::default()
        };
        config.validate().ok()
    };
    let pairs =
        |(side, lanes, branches): &(u32, u32, u32)| side * side * branches * branches * lanes;
    shapes
        .into_iter()
        .filter(|shape| target != Target::Ice40 || pairs(shape) <= ICE40_PAIRS_MAX)
        .filter_map(design)
        .collect()
}

/// Binary operation pairs in a cycle of the largest array that is placed on an iCE40 HX8K in reasonable time: the next one fills
/// 94 % of it.
const ICE40_PAIRS_MAX: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_that_ship_are_sound() {
        for table in &TABLES {
            let clocks = Clocks::shipped(table.target).unwrap();
            assert_eq!(clocks.points.len(), table.rows.len());
            for (row, point) in table.rows.iter().zip(&clocks.points) {
                let (side, lanes, bits, structure, stages, mhz) = *row;
                assert_eq!(size(&point.array), [side * side, lanes, 1]);
                assert_eq!(point.circuit.structure, structure);
                assert_eq!(point.circuit.broadcast_stages, stages);
                assert_eq!(point.circuit.shifts, bits > 1);
                assert!(point.circuit.own_stages);
                assert_eq!(point.mhz, mhz);
                assert!((10.0..1000.0).contains(&mhz));
            }
        }
        assert!(Clocks::shipped(Target::Xilinx).is_none());
    }

    #[test]
    fn an_array_is_the_measured_one_however_it_was_asked_for() {
        let clocks = Clocks::shipped(Target::Ecp5).unwrap();
        let asked = ArrayConfig {
            target: Target::Ecp5,
            rows: 4,
            columns: 4,
            lanes: 16,
            broadcast_stages: BroadcastStages::Fixed(2),
            ..ArrayConfig::default()
        };
        // The area decides for chains.
        assert_eq!(clocks.find(&asked.validate().unwrap()), Some(185.1));
        let other = ArrayConfig {
            reduction_max: 64,
            ..asked
        };
        assert_eq!(clocks.find(&other.validate().unwrap()), None);
    }

    #[test]
    fn arrays_that_are_none_are_refused() {
        let array = |lanes, mhz| MeasuredArray {
            configuration: ArrayConfig {
                lanes,
                ..ArrayConfig::default()
            },
            mhz,
        };
        assert!(Clocks::new("tools", &[array(16, 100.0)]).is_some());
        for bad in [array(0, 100.0), array(16, 0.0), array(16, f64::NAN)] {
            assert!(Clocks::new("tools", &[bad]).is_none());
        }
    }
}
