//! Units for ECP5, iCE40 and standard cells.

use super::units::{Built, UnitNetlist, UnitShape, element_unit, row_unit};
use crate::fabric::lattice::{self, Family, Objective, Options, Registers};
use crate::fabric::{Cell, Item, Netlist};
use std::collections::HashSet;

fn options(objective: Objective, shape: &UnitShape) -> Options {
    let own = Options::new(objective);
    Options {
        registers: match shape.stages {
            0 => own.registers,
            stages => Registers::Stages(stages),
        },
        ..own
    }
}

/// The processing element.
pub(super) fn element(family: Family, objective: Objective, shape: &UnitShape) -> UnitNetlist {
    let (options, heap) = (options(objective, shape), shape.element_heap());
    counted(
        family,
        element_unit(shape, |netlist, source, controls, accumulator| {
            lattice::unit(
                netlist,
                family,
                &heap,
                source,
                controls,
                accumulator,
                &options,
            )
        }),
    )
}

/// The row unit's popcount.
pub(super) fn row(family: Family, objective: Objective, shape: &UnitShape) -> UnitNetlist {
    let (options, heap) = (options(objective, shape), shape.row_heap());
    counted(
        family,
        row_unit(shape, |netlist, source, advance| {
            lattice::count(netlist, family, &heap, source, advance, &options)
        }),
    )
}

fn counted(family: Family, built: Built) -> UnitNetlist {
    let sites = sites(family, &built.netlist);
    built.with_sites(sites)
}

/// What a netlist takes. Of standard cells, how many adders and other functions; else LUT sites: ECP5's LUTs and half
/// CCU2Cs; iCE40's logic cells, where a carry shares the cell of the LUT with its addends, and a flip-flop that of the LUT
/// in front of it.
fn sites(family: Family, netlist: &Netlist) -> u64 {
    let luts = netlist.cells().filter(|c| matches!(c, Cell::Lut { .. }));
    let luts: Vec<&Cell> = luts.collect();
    match family {
        Family::Ecp5 => {
            let carries = netlist.cells().filter(|c| matches!(c, Cell::Ccu2c { .. }));
            luts.len() as u64 + 2 * carries.count() as u64
        }
        Family::Cells => netlist.cells().count() as u64,
        Family::Ice40 => {
            (luts.len() + lone_carries(netlist, &luts) + lone_flip_flops(netlist, &luts)) as u64
        }
    }
}

fn lone_carries(netlist: &Netlist, luts: &[&Cell]) -> usize {
    let places: HashSet<_> = luts
        .iter()
        .map(|lut| lut.inputs())
        .filter(|inputs| inputs.len() == 4)
        .map(|inputs| [inputs[1], inputs[2], inputs[3]])
        .collect();
    netlist
        .cells()
        .filter(|cell| match cell {
            Cell::SbCarry {
                addends, carry_in, ..
            } => !places.contains(&[addends[0], addends[1], *carry_in]),
            _ => false,
        })
        .count()
}

fn lone_flip_flops(netlist: &Netlist, luts: &[&Cell]) -> usize {
    let mut free: HashSet<_> = luts.iter().flat_map(|lut| lut.outputs()).collect();
    let registers = netlist.items().iter().filter_map(|item| match item {
        Item::Register { d, .. } => Some(d),
        _ => None,
    });
    registers.flatten().filter(|d| !free.remove(d)).count()
}
