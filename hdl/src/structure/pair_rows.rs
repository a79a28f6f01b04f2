//! Units of pair rows, for Xilinx 7 series and UltraScale+.

use super::accumulator;
use super::units::{Alternative, RowUnit, Unit, UnitShape, element_unit, row_unit};
use crate::fabric::{
    AccumulatorControls, Bit, Counted, Finish, pair_rows, pair_rows_accumulated, pair_rows_choice,
};

/// The processing element, and what the best of every kind of pair rows would take.
pub(super) fn element(shape: &UnitShape) -> (Unit, Vec<Alternative>) {
    let heap = shape.element_heap();
    let finish = match shape.shifts {
        true => Finish::Count,
        false => Finish::Accumulate {
            width: shape.high_width,
        },
    };
    let choice = pair_rows_choice(&heap, finish);
    let mut extra = 0;
    let unit = element_unit(shape, |netlist, ports, source| {
        if shape.shifts {
            let counted = pair_rows(netlist, &heap, source, ports.advance);
            let (sum, sites) = accumulator::in_carry_chain(netlist, shape, ports, &counted.count);
            extra = u64::from(sites);
            let summed = Counted {
                count: sum,
                ..counted
            };
            return (summed, choice.chosen.sites + extra);
        }
        let controls = AccumulatorControls {
            accumulate: ports.accumulate,
            first: ports.first,
            clear: ports.clear,
        };
        let width = shape.high_width;
        let summed = pair_rows_accumulated(netlist, &heap, source, ports.advance, &controls, width);
        let low = vec![Bit::ZERO; shape.low_width as usize];
        let summed = Counted {
            count: [low, summed.count].concat(),
            ..summed
        };
        (summed, choice.chosen.sites)
    });
    let alternatives = choice.alternatives.iter().map(|other| Alternative {
        name: format!("pair_rows/{}", other.name),
        sites: other.sites + extra,
    });
    (unit, alternatives.collect())
}

/// The row unit's popcount.
pub(super) fn row(shape: &UnitShape) -> RowUnit {
    let heap = shape.row_heap();
    let sites = pair_rows_choice(&heap, Finish::Count).chosen.sites;
    row_unit(shape, |netlist, ports, source| {
        (pair_rows(netlist, &heap, source, ports.advance), sites)
    })
}
