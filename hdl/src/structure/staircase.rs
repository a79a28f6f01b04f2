//! A chain of small adders.

use super::accumulator;
use super::units::{RowUnit, Unit, UnitShape, element_unit, row_unit};
use crate::fabric::{Bit, Counted, Heap, Netlist, Source};

pub(super) fn element(shape: &UnitShape) -> Unit {
    element_unit(shape, |netlist, ports, source| {
        let counted = count(netlist, &shape.element_heap(), source, ports.advance);
        let sum = accumulator::accumulate(netlist, shape, ports, &counted.count);
        let summed = Counted {
            count: sum,
            ..counted
        };
        (summed, netlist.cells().count() as u64)
    })
}

pub(super) fn row(shape: &UnitShape) -> RowUnit {
    row_unit(shape, |netlist, ports, source| {
        let counted = count(netlist, &shape.row_heap(), source, ports.advance);
        (counted, netlist.cells().count() as u64)
    })
}

/// Pairs that a stage adds.
const PAIRS: u32 = 2;

/// Counts a heap in a chain: each stage adds two pairs of lanes to what comes from the stage before.
fn count(netlist: &mut Netlist, heap: &Heap, source: &Source<'_>, advance: Bit) -> Counted {
    let width = heap.count_width() as usize;
    let stages = heap.pairs.div_ceil(PAIRS);
    let mut total: Vec<Bit> = Vec::new();
    for stage in 0..stages {
        let mut columns: Vec<Vec<Bit>> = vec![Vec::new(); width];
        for (column, bit) in columns.iter_mut().zip(&total) {
            column.push(*bit);
        }
        for pair in stage * PAIRS..((stage + 1) * PAIRS).min(heap.pairs) {
            for group in 0..heap.groups {
                for plane in 0..heap.planes {
                    let pins = (source.pins)(group, plane, pair);
                    let table = source.tables[plane as usize].into();
                    let bit = netlist.lut("bit", &pins, table);
                    columns[(group + plane) as usize].push(bit);
                }
            }
        }
        let sum = add(netlist, columns);
        total = netlist.register("total", &sum, advance, Bit::ZERO);
    }
    Counted {
        count: total,
        arrival: (0..heap.pairs).map(|pair| pair / PAIRS).collect(),
        latency: stages,
    }
}

/// The sum of weighted bits, `columns[i]` at 2^i, modulo 2^columns: full adders, column by column.
pub(super) fn add(netlist: &mut Netlist, mut columns: Vec<Vec<Bit>>) -> Vec<Bit> {
    let mut sum = Vec::with_capacity(columns.len());
    for i in 0..columns.len() {
        let mut bits = std::mem::take(&mut columns[i]);
        while bits.len() > 1 {
            let taken: Vec<Bit> = bits.drain(..bits.len().min(3)).collect();
            let (parity, carry): (u64, u64) = match taken.len() {
                3 => (0x96, 0xe8),
                _ => (0x6, 0x8),
            };
            bits.push(netlist.lut("sum", &taken, parity));
            if let Some(next) = columns.get_mut(i + 1) {
                next.push(netlist.lut("carry", &taken, carry));
            }
        }
        sum.push(bits.first().copied().unwrap_or(Bit::ZERO));
    }
    sum
}
