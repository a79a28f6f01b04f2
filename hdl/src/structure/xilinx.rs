//! Units for Xilinx 7 series and UltraScale+.

use super::StructureError;
use super::units::{Alternative, UnitNetlist, UnitShape, element_unit, row_unit};
use crate::fabric::pair_rows::{self, Finish};
use crate::fabric::seven_series;
use crate::fabric::{Cell, Netlist};
use std::collections::HashSet;

/// The processing element as chains of single pair bits.
///
/// # Errors
/// Branches in parallel.
pub(super) fn pair_chain_element(shape: &UnitShape) -> Result<UnitNetlist, StructureError> {
    let heap = shape.element_heap();
    if heap.groups * heap.planes > 1 {
        return Err(StructureError(
            "it counts one branch pair, and `activation_branches` x `weight_branches` is more than one".into(),
        ));
    }
    Ok(element_unit(
        shape,
        |netlist, source, controls, accumulator| {
            let unit = seven_series::unit(netlist, source, &heap, controls, accumulator);
            (unit, sites(netlist))
        },
    ))
}

/// The row unit's popcount as chains of single pair bits; its shape is that of an element of this structure.
pub(super) fn pair_chain_row(shape: &UnitShape) -> UnitNetlist {
    row_unit(shape, |netlist, source, advance| {
        let heap = shape.row_heap();
        let counted = seven_series::count(netlist, source, &heap, advance);
        (counted, sites(netlist))
    })
}

/// The processing element as pair rows, and what the best of every kind of them would take.
pub(super) fn pair_rows_element(shape: &UnitShape) -> (UnitNetlist, Vec<Alternative>) {
    let heap = shape.element_heap();
    let unit = element_unit(shape, |netlist, source, controls, accumulator| {
        let unit = pair_rows::unit(netlist, source, &heap, controls, accumulator);
        (unit, sites(netlist))
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
pub(super) fn pair_rows_row(shape: &UnitShape) -> UnitNetlist {
    let heap = shape.row_heap();
    row_unit(shape, |netlist, source, advance| {
        let counted = pair_rows::count(netlist, source, &heap, advance);
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
