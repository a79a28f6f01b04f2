//! The netlists of a design's units, built once for each shape.

use super::ports::{ElementPorts, RowPorts, element_tables, row_tables};
use super::{Structure, lattice, xilinx};
use crate::config::Target;
use crate::fabric::lattice::{Family, Objective};
use crate::fabric::{
    Accumulator, AdderCells, Bit, Controls, Counted, Dialect, Heap, Netlist, Source, Unit,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Shapes whose units are kept; a search over more begins anew.
const CACHED_SHAPES: usize = 256;

/// All that the netlists of a design's units depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnitShape {
    /// Lanes of a word.
    pub lanes: u32,
    /// Activation branches: groups of the heap.
    pub activation_branches: u32,
    /// Weight branches: planes of a processing element's heap.
    pub weight_branches: u32,
    /// Width of the accumulator's adding part.
    pub high_width: u32,
    /// Width of the accumulator's finished part.
    pub low_width: u32,
    /// Distances by which the accumulator may shift.
    pub shift_amounts: Vec<u32>,
    /// Whether any schedule shifts; without, the finished part stays 0.
    pub shifts: bool,
    /// Pipeline stages of the popcount, where the structure leaves the choice; 0: its own number.
    pub stages: u32,
}

impl UnitShape {
    /// Pairs of lanes.
    pub fn pairs(&self) -> u32 {
        self.lanes.div_ceil(2)
    }

    /// Bit-planes of a row unit.
    pub fn row_planes(&self) -> u32 {
        match self.weight_branches {
            1 => 1,
            more => more + 1,
        }
    }

    /// What a processing element counts.
    pub fn element_heap(&self) -> Heap {
        Heap {
            groups: self.activation_branches,
            planes: self.weight_branches,
            pairs: self.pairs(),
        }
    }

    /// What a row unit counts.
    pub fn row_heap(&self) -> Heap {
        Heap {
            planes: self.row_planes(),
            ..self.element_heap()
        }
    }
}

/// A shape that a structure cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StructureError(pub String);

/// The netlist of one of the array's units.
///
/// A processing element's is popcount and accumulator: inputs `advance`, `accumulate`, `first`, `clear`, `shift`,
/// `activation`, `weight`; output `sum`. A row unit's is the popcount alone: inputs `advance`, `mode` (the mode's two bits
/// for each pair, delayed like its operands) and `activation`; output `count`. Words are packed branch by branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitNetlist {
    /// The netlist.
    pub netlist: Netlist,
    /// For each pair of lanes, how many cycles after the beat its operands must arrive.
    pub arrival: Vec<u32>,
    /// Cycles from a beat's entry to its count.
    pub latency: u32,
    /// Sites of the device that it takes, by the structure's own account.
    pub sites: u64,
}

/// A structure that was considered, and the sites that its processing element takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Its name, with a variant after a slash where there are some.
    pub name: String,
    /// Sites of its processing element.
    pub sites: u64,
}

/// The units of a design as netlists of device primitives.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceUnits {
    /// The structure; never `auto` or `tree`.
    pub structure: Structure,
    /// Whose primitives they are.
    pub dialect: Dialect,
    /// The processing element.
    pub element: UnitNetlist,
    /// The row unit's popcount.
    pub row: UnitNetlist,
    /// Every structure of the target that can take the shape, the chosen one among them.
    pub alternatives: Vec<Alternative>,
}

impl fmt::Debug for DeviceUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceUnits")
            .field("structure", &self.structure)
            .field("dialect", &self.dialect)
            .field("latency", &self.latency())
            .finish_non_exhaustive()
    }
}

impl DeviceUnits {
    /// The units of a shape: those of `structure`, or with [`Structure::Auto`] those of the target's structure whose
    /// processing element takes the fewest sites.
    ///
    /// # Errors
    /// A shape that the structure cannot take; with `auto`, that none of the target can take.
    pub fn new(
        target: Target,
        structure: Structure,
        shape: &UnitShape,
    ) -> Result<Arc<Self>, StructureError> {
        type Cache = HashMap<(Target, Structure, UnitShape), Arc<DeviceUnits>>;
        static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);
        let key = (target, structure, shape.clone());
        let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(units) = lock().get(&key) {
            return Ok(units.clone());
        }
        let units = Arc::new(choose(target, structure, shape)?);
        let mut cache = lock();
        if cache.len() >= CACHED_SHAPES {
            cache.clear();
        }
        cache.insert(key, units.clone());
        Ok(units)
    }

    /// The same units with full and half adders printed as a library's cells; what they compute, and when, stays.
    pub fn with_adder_cells(&self, cells: &AdderCells) -> Self {
        let mut units = self.clone();
        for netlist in [&mut units.element.netlist, &mut units.row.netlist] {
            netlist.use_adder_cells(cells.used_by(netlist));
        }
        units
    }

    /// The library's cells that the units instantiate.
    pub fn adder_cells(&self) -> AdderCells {
        let [element, row] = [&self.element.netlist, &self.row.netlist].map(Netlist::adder_cells);
        AdderCells {
            full: element.full.clone().or_else(|| row.full.clone()),
            half: element.half.clone().or_else(|| row.half.clone()),
        }
    }

    /// Cycles from a beat's entry to its count.
    pub fn latency(&self) -> u32 {
        self.element.latency.max(self.row.latency)
    }

    /// For each pair of lanes, by how many cycles the array's edge delays the operands of processing elements. One that is
    /// faster than the row unit gets its operands later: that costs registers at the edge alone.
    pub fn element_delay(&self) -> Vec<u32> {
        let late = self.latency() - self.element.latency;
        self.element.arrival.iter().map(|a| a + late).collect()
    }

    /// The same for the operands of row units.
    pub fn row_delay(&self) -> Vec<u32> {
        self.row.arrival.clone()
    }

    /// Cycles by which a row unit's count waits for those of the processing elements.
    pub fn row_padding(&self) -> u32 {
        self.latency() - self.row.latency
    }
}

fn choose(
    target: Target,
    structure: Structure,
    shape: &UnitShape,
) -> Result<DeviceUnits, StructureError> {
    let candidates = match structure {
        Structure::Auto => Structure::compared_by_auto(target),
        _ => &[structure],
    };
    let mut built = Vec::new();
    let mut refused = StructureError(format!("target {target} has no structure of its own"));
    for candidate in candidates {
        match build(target, *candidate, shape) {
            Ok(units) => built.push(units),
            Err(error) => refused = error,
        }
    }
    let alternatives: Vec<Alternative> =
        built.iter().flat_map(|u| u.alternatives.clone()).collect();
    let smallest = built.into_iter().min_by_key(|units| units.element.sites);
    smallest
        .map(|units| DeviceUnits {
            alternatives,
            ..units
        })
        .ok_or(refused)
}

fn build(
    target: Target,
    structure: Structure,
    shape: &UnitShape,
) -> Result<DeviceUnits, StructureError> {
    let xilinx_dialect = match target {
        Target::Ultrascale => Dialect::UltraScale,
        _ => Dialect::SevenSeries,
    };
    let (dialect, (element, mut alternatives), row) = match structure {
        Structure::PairChain => (
            xilinx_dialect,
            (xilinx::pair_chain_element(shape)?, Vec::new()),
            xilinx::pair_chain_row(shape)?,
        ),
        Structure::PairRows => (
            xilinx_dialect,
            xilinx::pair_rows_element(shape)?,
            xilinx::pair_rows_row(shape)?,
        ),
        Structure::AdderChains | Structure::AdderLuts | Structure::AdderCells => {
            let (dialect, family) = match target {
                Target::Ecp5 => (Dialect::Ecp5, Family::Ecp5),
                Target::Ice40 => (Dialect::Ice40, Family::Ice40),
                _ => (Dialect::Generic, Family::Cells),
            };
            let objective = match structure {
                Structure::AdderLuts => Objective::Clock,
                _ => Objective::Area,
            };
            (
                dialect,
                (lattice::element(family, objective, shape), Vec::new()),
                lattice::row(family, objective, shape),
            )
        }
        Structure::Auto | Structure::Tree => {
            return Err(StructureError(format!(
                "structure {structure} is no netlist of target {target}"
            )));
        }
    };
    if alternatives.is_empty() {
        alternatives.push(Alternative {
            name: structure.name().to_owned(),
            sites: element.sites,
        });
    }
    Ok(DeviceUnits {
        structure,
        dialect,
        element,
        row,
        alternatives,
    })
}

/// A netlist whose nets leave the names of the module around it alone.
fn named(output: &str) -> Netlist {
    let mut netlist = Netlist::new();
    for name in [output, "clock", "unused"] {
        netlist.reserve(name);
    }
    netlist
}

/// A unit's netlist with its ports, and when its operands arrive; what it takes is not counted yet.
pub(super) struct Built {
    pub netlist: Netlist,
    arrival: Vec<u32>,
    latency: u32,
}

impl Built {
    /// The finished unit.
    pub fn with_sites(self, sites: u64) -> UnitNetlist {
        UnitNetlist {
            netlist: self.netlist,
            arrival: self.arrival,
            latency: self.latency,
            sites,
        }
    }
}

/// Builds a processing element; `build` adds popcount and accumulator.
pub(super) fn element_unit(
    shape: &UnitShape,
    build: impl FnOnce(&mut Netlist, &Source<'_>, &Controls, &Accumulator) -> Unit,
) -> Built {
    let mut netlist = named("sum");
    let ports = ElementPorts::new(&mut netlist, shape);
    let source = Source {
        pins: &|group, plane, pair| ports.pins(shape, group, plane, pair),
        tables: &element_tables(shape),
    };
    let (shift, amounts) = match shape.shifts {
        true => (ports.shift.clone(), shape.shift_amounts.clone()),
        false => Default::default(),
    };
    let controls = Controls {
        advance: ports.advance,
        accumulate: ports.accumulate,
        first: ports.first,
        clear: ports.clear,
        shift,
    };
    let accumulator = Accumulator {
        high_width: shape.high_width,
        low_width: shape.low_width,
        amounts,
    };
    let unit = build(&mut netlist, &source, &controls, &accumulator);
    netlist.output("sum", &unit.sum);
    Built {
        netlist,
        arrival: unit.arrival,
        latency: unit.latency,
    }
}

/// Builds a row unit's popcount; `build` adds it behind the given enable.
pub(super) fn row_unit(
    shape: &UnitShape,
    build: impl FnOnce(&mut Netlist, &Source<'_>, Bit) -> Counted,
) -> Built {
    let mut netlist = named("count");
    let ports = RowPorts::new(&mut netlist, shape);
    let source = Source {
        pins: &|group, _plane, pair| ports.pins(shape, group, pair),
        tables: &row_tables(shape),
    };
    let counted = build(&mut netlist, &source, ports.advance);
    netlist.output("count", &counted.count);
    Built {
        netlist,
        arrival: counted.arrival,
        latency: counted.latency,
    }
}
