//! The ports of units, and the pins of their heaps' bits.

use super::UnitShape;
use crate::fabric::{Bit, Netlist, PAIR_TABLE};

/// Input ports of a processing element's unit.
pub(super) struct ElementPorts {
    pub advance: Bit,
    pub accumulate: Bit,
    pub first: Bit,
    pub clear: Bit,
    pub shift: Vec<Bit>,
    activation: Vec<Bit>,
    weight: Vec<Bit>,
}

impl ElementPorts {
    pub fn new(netlist: &mut Netlist, shape: &UnitShape) -> Self {
        let lanes = shape.lanes as usize;
        let mut one = |name: &str| netlist.input(name, 1)[0];
        ElementPorts {
            advance: one("advance"),
            accumulate: one("accumulate"),
            first: one("first"),
            clear: one("clear"),
            shift: netlist.input("shift", shape.shift_amounts.len()),
            activation: netlist.input("activation", lanes * shape.activation_branches as usize),
            weight: netlist.input("weight", lanes * shape.weight_branches as usize),
        }
    }

    /// Pins (a1, w1, a2, w2) of bit (group, plane, pair). A missing last lane has activation 0 and weight 1.
    pub fn pins(&self, shape: &UnitShape, group: u32, plane: u32, pair: u32) -> [Bit; 4] {
        let lane = |word: &[Bit], branch: u32, lane: u32, missing: Bit| {
            if lane < shape.lanes {
                word[(branch * shape.lanes + lane) as usize]
            } else {
                missing
            }
        };
        let second = shape.pairs() + pair;
        [
            lane(&self.activation, group, pair, Bit::ZERO),
            lane(&self.weight, plane, pair, Bit::ONE),
            lane(&self.activation, group, second, Bit::ZERO),
            lane(&self.weight, plane, second, Bit::ONE),
        ]
    }
}

/// Truth tables of a processing element's planes.
pub(super) fn element_tables(shape: &UnitShape) -> Vec<u16> {
    vec![PAIR_TABLE; shape.weight_branches as usize]
}

/// Input ports of a row unit's popcount.
pub(super) struct RowPorts {
    pub advance: Bit,
    mode: Vec<Bit>,
    activation: Vec<Bit>,
}

impl RowPorts {
    pub fn new(netlist: &mut Netlist, shape: &UnitShape) -> Self {
        let lanes = (shape.lanes * shape.activation_branches) as usize;
        RowPorts {
            advance: netlist.input("advance", 1)[0],
            mode: netlist.input("mode", 2 * shape.pairs() as usize),
            activation: netlist.input("activation", lanes),
        }
    }

    /// Pins (a1, a2, mode0, mode1) of bit (group, any plane, pair).
    pub fn pins(&self, shape: &UnitShape, group: u32, pair: u32) -> [Bit; 4] {
        let lane = |lane: u32| {
            if lane < shape.lanes {
                self.activation[(group * shape.lanes + lane) as usize]
            } else {
                Bit::ZERO
            }
        };
        let mode = 2 * pair as usize;
        [
            lane(pair),
            lane(shape.pairs() + pair),
            self.mode[mode],
            self.mode[mode + 1],
        ]
    }
}

/// Truth tables of a row unit's planes over (a1, a2, mode0, mode1): table `row_mode` in `docs/microarchitecture.md`. With
/// one plane the count is doubled later in modes 1 and 2.
pub(super) fn row_tables(shape: &UnitShape) -> Vec<u16> {
    let planes = shape.row_planes();
    (0..planes).map(|plane| row_table(plane, planes)).collect()
}

fn row_table(plane: u32, planes: u32) -> u16 {
    let mut table = 0;
    for at in 0..16u16 {
        let (a1, a2, mode) = (at & 1, at >> 1 & 1, at >> 2);
        // Weights of all branches together.
        let full = if planes == 1 {
            1
        } else {
            (1 << (planes - 1)) - 1
        };
        let (odd, both) = (a1 ^ a2, a1 & a2);
        // Mode 3 does not occur; it is as mode 2, which looks at its upper bit alone.
        let value: u16 = match (mode, planes) {
            (0, _) => full * odd,
            (1, 1) => odd | both,
            (1, _) => full * odd + a1 + a2,
            (_, 1) => 1 - both,
            (_, _) => 2 * full * (1 - both),
        };
        table |= (value >> plane & 1) << at;
    }
    table
}
