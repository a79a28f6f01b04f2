//! The weight memories.

use super::{WordMemory, WordPlanes};
use crate::accelerator::AcceleratorDesign;
use crate::hardware::grid;
use crate::rtl::prelude::*;

/// A memory of weights for each column. All are read at the same address.
#[derive(Clone, Debug, LogicBlock)]
pub struct WeightBanks {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes a word, one bit for each column.
    pub write: Net<In>,
    /// Where.
    pub write_address: Net<In>,
    /// What.
    pub write_value: Net<In>,
    /// Reads a word of every column.
    pub read: Net<In>,
    /// From where.
    pub read_address: Net<In>,
    /// What was read last: one word for each column and weight branch.
    pub weight: Vec<Vec<Net<Out>>>,
    bank: Vec<WordMemory>,
    planes: Vec<WordPlanes>,
    _columns: usize,
    _branches: usize,
}

impl WeightBanks {
    /// The banks of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let (columns, branches, lanes) = (c.columns, c.weight_branches, c.lanes);
        let words = d.config().weight_words;
        WeightBanks {
            shape: Shape::new(
                format!("weight_banks_c{columns}_d{words}_w{}", d.weight_width),
                "A memory of weights for each column.",
            ),
            clock: Signal::default(),
            write: Net::new(columns),
            write_address: Net::new(d.weight_address_width),
            write_value: Net::new(d.weight_width),
            read: Net::new(1),
            read_address: Net::new(d.weight_address_width),
            weight: grid(columns, branches, lanes),
            bank: (0..columns)
                .map(|_| WordMemory::new(words, d.weight_width))
                .collect(),
            planes: (0..columns)
                .map(|_| WordPlanes::new(branches, lanes))
                .collect(),
            _columns: columns as usize,
            _branches: branches as usize,
        }
    }
}

impl Logic for WeightBanks {
    #[hdl_gen]
    fn update(&mut self) {
        for c in 0..self._columns {
            self.bank[c].clock.next = self.clock.val();
            self.bank[c].write.next = self.write.val().get_bit(c).into();
            self.bank[c].write_address.next = self.write_address.val();
            self.bank[c].write_value.next = self.write_value.val();
            self.bank[c].read.next = self.read.val();
            self.bank[c].read_address.next = self.read_address.val();
            self.planes[c].word.next = self.bank[c].value.val();
            for k in 0..self._branches {
                self.weight[c][k].next = self.planes[c].plane[k].val();
            }
        }
    }
}
