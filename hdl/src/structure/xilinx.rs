//! Units for Xilinx 7 series and UltraScale+.

use super::StructureError;
use super::units::{Alternative, Built, UnitNetlist, UnitShape, element_unit, row_unit};
use crate::fabric::pair_rows::{self, Finish};
use crate::fabric::seven_series;

/// The processing element as chains of single pair bits.
///
/// # Errors
/// Branches in parallel; and as [`placed`].
pub(super) fn pair_chain_element(shape: &UnitShape) -> Result<UnitNetlist, StructureError> {
    let heap = shape.element_heap();
    if heap.groups * heap.planes > 1 {
        return Err(StructureError(
            "it counts one branch pair, and `activation_branches` x `weight_branches` is more than one".into(),
        ));
    }
    placed(element_unit(
        shape,
        |netlist, source, controls, accumulator| {
            seven_series::unit(netlist, source, &heap, controls, accumulator)
        },
    ))
}

/// The row unit's popcount as chains of single pair bits; its shape is that of an element of this structure.
///
/// # Errors
/// As [`placed`].
pub(super) fn pair_chain_row(shape: &UnitShape) -> Result<UnitNetlist, StructureError> {
    let heap = shape.row_heap();
    placed(row_unit(shape, |netlist, source, advance| {
        seven_series::count(netlist, source, &heap, advance)
    }))
}

/// The processing element as pair rows, and what the best of every kind of them would take.
///
/// # Errors
/// As [`placed`].
pub(super) fn pair_rows_element(
    shape: &UnitShape,
) -> Result<(UnitNetlist, Vec<Alternative>), StructureError> {
    let heap = shape.element_heap();
    let unit = placed(element_unit(
        shape,
        |netlist, source, controls, accumulator| {
            pair_rows::unit(netlist, source, &heap, controls, accumulator)
        },
    ))?;
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
    Ok((unit, alternatives.collect()))
}

/// The row unit's popcount as pair rows.
///
/// # Errors
/// As [`placed`].
pub(super) fn pair_rows_row(shape: &UnitShape) -> Result<UnitNetlist, StructureError> {
    let heap = shape.row_heap();
    placed(row_unit(shape, |netlist, source, advance| {
        pair_rows::count(netlist, source, &heap, advance)
    }))
}

/// A unit with the LUT6_2 sites that it takes, placed into slices.
///
/// # Errors
/// A netlist that slices cannot hold; a bug of the structure.
fn placed(built: Built) -> Result<UnitNetlist, StructureError> {
    match seven_series::place(&built.netlist) {
        Ok(placement) => Ok(built.with_sites(placement.cost().sites.into())),
        Err(error) => Err(StructureError(format!("slices cannot hold it: {error}"))),
    }
}
