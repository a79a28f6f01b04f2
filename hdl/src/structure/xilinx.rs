//! Units for Xilinx 7 series and UltraScale+.

use super::StructureError;
use super::ports::ElementPorts;
use super::units::{Alternative, RowUnit, Unit, UnitShape, element_unit, row_unit};
use crate::fabric::pair_rows::{self, Finish};
use crate::fabric::seven_series::{self, Accumulator, Controls};
use crate::fabric::{Cell, Counted, Netlist};
use std::collections::HashSet;

fn controls(ports: &ElementPorts, shape: &UnitShape) -> Controls {
    Controls {
        advance: ports.advance,
        accumulate: ports.accumulate,
        first: ports.first,
        clear: ports.clear,
        shift: match shape.shifts {
            true => ports.shift.clone(),
            false => Vec::new(),
        },
    }
}

fn accumulator(shape: &UnitShape) -> Accumulator {
    Accumulator {
        high_width: shape.high_width,
        low_width: shape.low_width,
        amounts: match shape.shifts {
            true => shape.shift_amounts.clone(),
            false => Vec::new(),
        },
    }
}

/// The processing element as chains of single pair bits.
///
/// # Errors
/// Branches in parallel.
pub(super) fn pair_chain_element(shape: &UnitShape) -> Result<Unit, StructureError> {
    let heap = shape.element_heap();
    if heap.groups * heap.planes > 1 {
        return Err(StructureError(
            "it counts one branch pair, and `activation_branches` x `weight_branches` is more than one".into(),
        ));
    }
    Ok(element_unit(shape, |netlist, ports, source| {
        let (controls, accumulator) = (controls(ports, shape), accumulator(shape));
        let unit = seven_series::unit(netlist, source, &heap, &controls, &accumulator);
        let summed = Counted {
            count: unit.sum,
            arrival: unit.arrival,
            latency: unit.latency,
        };
        (summed, sites(netlist))
    }))
}

/// The row unit's popcount as chains of single pair bits; its shape is that of an element of this structure.
pub(super) fn pair_chain_row(shape: &UnitShape) -> RowUnit {
    row_unit(shape, |netlist, ports, source| {
        let heap = shape.row_heap();
        let counted = seven_series::count(netlist, source, &heap, ports.advance);
        (counted, sites(netlist))
    })
}

/// The processing element as pair rows, and what the best of every kind of them would take.
pub(super) fn pair_rows_element(shape: &UnitShape) -> (Unit, Vec<Alternative>) {
    let heap = shape.element_heap();
    let unit = element_unit(shape, |netlist, ports, source| {
        let (controls, accumulator) = (controls(ports, shape), accumulator(shape));
        let unit = pair_rows::unit(netlist, source, &heap, &controls, &accumulator);
        let summed = Counted {
            count: unit.sum,
            arrival: unit.arrival,
            latency: unit.latency,
        };
        (summed, sites(netlist))
    });
    let finish = match shape.shifts {
        true => Finish::Count,
        false => Finish::Accumulate {
            width: shape.high_width,
        },
    };
    let choice = pair_rows::choice(&heap, finish);
    // What is not a matter of the choice: an accumulator that shifts.
    let rest = unit.sites.saturating_sub(choice.chosen.sites);
    let alternatives = choice.alternatives.iter().map(|other| Alternative {
        name: format!("pair_rows/{}", other.name),
        sites: other.sites + rest,
    });
    (unit, alternatives.collect())
}

/// The row unit's popcount as pair rows.
pub(super) fn pair_rows_row(shape: &UnitShape) -> RowUnit {
    let heap = shape.row_heap();
    row_unit(shape, |netlist, ports, source| {
        let counted = pair_rows::count(netlist, source, &heap, ports.advance);
        (counted, sites(netlist))
    })
}

/// LUT6_2 sites of a netlist, placed into slices. Where the placer gives up: its LUTs, and the positions of carry chains
/// that no LUT of theirs selects.
fn sites(netlist: &Netlist) -> u64 {
    if let Ok(placement) = seven_series::place(netlist) {
        return placement.cost().sites.into();
    }
    let mut selects = HashSet::new();
    let mut count = 0;
    for cell in netlist.cells() {
        match cell {
            Cell::Lut { output, .. } => {
                count += 1;
                selects.insert(*output);
            }
            Cell::DualLut { o6, .. } => {
                count += 1;
                selects.insert(*o6);
            }
            _ => {}
        }
    }
    let carries = netlist.cells().filter_map(|cell| match cell {
        Cell::Carry { select, .. } => Some(select),
        _ => None,
    });
    count + carries.flatten().filter(|s| !selects.contains(s)).count() as u64
}
