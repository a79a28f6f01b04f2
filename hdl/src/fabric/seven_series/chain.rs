//! Carry chains whose LUTs do more than feed them: the positions that every structure for Xilinx is made of.
//!
//! A position is one LUT6_2 (O6 and O5, functions of the same five pins) and one carry multiplexer: S is O6, DI is O5 or a
//! net through the bypass pin. It gives `S ^ carry` and passes `S ? carry : DI`.

use crate::fabric::{Bit, Cell, Netlist};

/// A bit that is not made yet: a function of four pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The pins; some may be constants.
    pub pins: [Bit; 4],
    /// Its truth table over them.
    pub table: u16,
}

impl Fresh {
    fn value(&self, pins: u32) -> bool {
        self.table >> (pins & 15) & 1 == 1
    }
}

/// A fresh bit that a position's spare output O5 makes, and the net that it drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The bit.
    pub fresh: Fresh,
    /// The net, driven by nothing else.
    pub onto: Bit,
}

/// The truth table of a function of `size` inputs.
pub fn table(size: usize, function: impl Fn(u32) -> bool) -> u32 {
    (0..1u32 << size)
        .filter(|at| function(*at))
        .fold(0, |table, at| table | 1 << at)
}

/// Whether two or more of the lowest three bits are 1.
pub fn majority(bits: u32) -> bool {
    (bits & 7).count_ones() >= 2
}

/// Whether an odd number of bits is 1.
pub fn parity(bits: u32) -> bool {
    bits.count_ones() & 1 == 1
}

/// A chain under construction, from its lowest position upwards.
#[derive(Clone, Debug)]
pub struct Chain {
    carry_in: Bit,
    select: Vec<Bit>,
    data: Vec<Bit>,
    sum: Vec<Option<Bit>>,
    carry: Vec<Option<Bit>>,
}

impl Chain {
    /// A chain whose lowest position takes `carry_in`: a constant, or a net through that position's bypass pin, which then
    /// cannot be its DI.
    pub fn new(carry_in: Bit) -> Self {
        Chain {
            carry_in,
            select: Vec::new(),
            data: Vec::new(),
            sum: Vec::new(),
            carry: Vec::new(),
        }
    }

    /// Positions so far.
    pub fn len(&self) -> usize {
        self.select.len()
    }

    /// Whether it has no position yet.
    pub fn is_empty(&self) -> bool {
        self.select.is_empty()
    }

    /// A position with a LUT of one function; gives its sum. Without `data`, DI is 0 through the bypass pin.
    pub fn select_by(&mut self, net: &mut Netlist, inputs: &[Bit], upper: u32, data: Bit) -> Bit {
        let select = net.lut("select", inputs, upper.into());
        self.push(net, select, data)
    }

    /// A position with a LUT of two functions whose lower one leaves as `lower` (a fresh net if it is `None`); gives the
    /// sum and the net of the lower function. Without `data`, DI is the lower function.
    pub fn position(
        &mut self,
        net: &mut Netlist,
        inputs: &[Bit],
        (upper, lower): (u32, u32),
        onto: Option<Bit>,
        data: Option<Bit>,
    ) -> (Bit, Bit) {
        let o6 = net.wire("select");
        let o5 = onto.unwrap_or_else(|| net.wire("lower"));
        net.cell(Cell::DualLut {
            inputs: inputs.to_vec(),
            upper,
            lower,
            o6,
            o5,
        });
        (self.push(net, o6, data.unwrap_or(o5)), o5)
    }

    /// A barrier at the bottom of a chain, whose carry in is 0: only starts the next position with `inject`, as a slice
    /// cannot where that position needs its bypass pin.
    pub fn start(&mut self, net: &mut Netlist, inject: Bit, guest: Option<Guest>) {
        let select = match guest {
            Some(Guest { fresh, onto }) => {
                let o6 = net.wire("select");
                net.cell(Cell::DualLut {
                    inputs: fresh.pins.to_vec(),
                    upper: 0,
                    lower: fresh.table.into(),
                    o6,
                    o5: onto,
                });
                o6
            }
            None => Bit::ZERO,
        };
        self.select.push(select);
        self.data.push(inject);
        self.sum.push(None);
        self.carry.push(None);
    }

    fn push(&mut self, net: &mut Netlist, select: Bit, data: Bit) -> Bit {
        let sum = net.wire("sum");
        self.select.push(select);
        self.data.push(data);
        self.sum.push(Some(sum));
        self.carry.push(None);
        sum
    }

    /// *Absorb*: makes `fresh` and adds it to `y` and the carry. Five pins; the bypass pin stays free.
    pub fn absorb(&mut self, net: &mut Netlist, fresh: &Fresh, y: Bit) -> Bit {
        let [a, b, c, d] = fresh.pins;
        let upper = table(5, |v| fresh.value(v) ^ (v >> 4 == 1));
        let lower = table(5, |v| v >> 4 == 1);
        self.position(net, &[a, b, c, d, y], (upper, lower), None, None)
            .0
    }

    /// *Host*: adds `x` to the carry, and makes a guest on the spare output.
    pub fn host(&mut self, net: &mut Netlist, x: Bit, guest: Option<Guest>) -> Bit {
        let Some(Guest { fresh, onto }) = guest else {
            return self.select_by(net, &[x], 0b10, Bit::ZERO);
        };
        let [a, b, c, d] = fresh.pins;
        let upper = table(5, |v| v >> 4 == 1);
        let lower = table(5, |v| fresh.value(v));
        self.position(
            net,
            &[a, b, c, d, x],
            (upper, lower),
            Some(onto),
            Some(Bit::ZERO),
        )
        .0
    }

    /// *Barrier*: gives the carry of the position below, and starts the next position with `inject`. Its LUT makes a
    /// guest.
    pub fn barrier(&mut self, net: &mut Netlist, inject: Bit, guest: Option<Guest>) -> Bit {
        match guest {
            Some(Guest { fresh, onto }) => {
                let lower = table(4, |v| fresh.value(v));
                self.position(net, &fresh.pins, (0, lower), Some(onto), Some(inject))
                    .0
            }
            None => self.push(net, Bit::ZERO, inject),
        }
    }

    /// *Compress*: adds up to four bits to the carry. Gives the sum, and, from three bits up, a second carry beside the
    /// chain's own. Two bits keep the bypass pin free.
    pub fn compress(&mut self, net: &mut Netlist, bits: &[Bit]) -> (Bit, Option<Bit>) {
        match *bits {
            [x] => (self.host(net, x, None), None),
            [x, y] => {
                let luts = (table(2, parity), table(2, |v| v >> 1 == 1));
                (self.position(net, &[x, y], luts, None, None).0, None)
            }
            [.., last] => {
                let size = bits.len();
                let below = (1u32 << (size - 1)) - 1;
                let luts = (table(size, parity), table(size, |v| majority(v & below)));
                let (sum, carry) = self.position(net, bits, luts, None, Some(last));
                (sum, Some(carry))
            }
            [] => (self.barrier(net, Bit::ZERO, None), None),
        }
    }

    /// The carry out of the position added last, through its site's multiplexer output.
    pub fn carry_out(&mut self, net: &mut Netlist) -> Bit {
        match self.carry.last_mut() {
            Some(last) => *last.get_or_insert_with(|| net.wire("carry")),
            None => self.carry_in,
        }
    }

    /// Adds the finished chain to the netlist.
    pub fn finish(self, net: &mut Netlist) {
        if self.select.is_empty() {
            return;
        }
        net.cell(Cell::Carry {
            carry_in: self.carry_in,
            select: self.select,
            data: self.data,
            sum: self.sum,
            carry: self.carry,
        });
    }
}
