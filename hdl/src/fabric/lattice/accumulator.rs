//! What the accumulators of all families have in common: registers, shifts and the mask.

use crate::fabric::netlist::{Bit, Netlist};
use crate::fabric::unit::{Accumulator, Controls};

/// An accumulator under construction: what both families read.
pub(super) struct State<'a> {
    pub(super) controls: &'a Controls,
    pub(super) shape: &'a Accumulator,
    /// The count, at most as wide as the adding part.
    pub(super) count: Vec<Bit>,
    /// One more bit to add.
    pub(super) spare: Option<Bit>,
    /// The accumulator, the finished bits at the bottom.
    pub(super) sum: Vec<Bit>,
}

impl<'a> State<'a> {
    /// The registers of an accumulator that adds `count` and `spare`.
    pub(super) fn new(
        netlist: &mut Netlist,
        controls: &'a Controls,
        shape: &'a Accumulator,
        mut count: Vec<Bit>,
        spare: Option<Bit>,
    ) -> Self {
        count.truncate(shape.high_width as usize);
        let low = if shape.amounts.is_empty() {
            vec![Bit::ZERO; shape.low_width as usize]
        } else {
            netlist.wires("low", shape.low_width as usize)
        };
        let high = netlist.wires("high", shape.high_width as usize);
        let sum: Vec<Bit> = low.into_iter().chain(high).collect();
        State {
            controls,
            shape,
            count,
            spare,
            sum,
        }
    }

    /// The adding part.
    pub(super) fn high(&self) -> &[Bit] {
        &self.sum[self.shape.low_width as usize..]
    }

    /// The finished bits.
    pub(super) fn low(&self) -> &[Bit] {
        &self.sum[..self.shape.low_width as usize]
    }

    /// Bit `at` of the sum shifted by a distance.
    pub(super) fn shifted(&self, at: usize, distance: u32) -> Bit {
        let from = at.saturating_add(distance as usize);
        self.sum.get(from).copied().unwrap_or(Bit::ZERO)
    }

    /// Bit `at` of the sum after the first `amounts` shifts have chosen.
    pub(super) fn chosen(&self, netlist: &mut Netlist, at: usize, amounts: usize) -> Bit {
        let shifts = self.shape.amounts.iter().zip(&self.controls.shift);
        shifts
            .take(amounts)
            .fold(self.sum[at], |bit, (distance, shift)| {
                netlist.lut(
                    "shifted",
                    &[bit, self.shifted(at, *distance), *shift],
                    CHOOSE,
                )
            })
    }

    /// Bit `i` of the adding part before the count is added: shifted, and 0 with `first`. One LUT for each distance.
    pub(super) fn base(&self, netlist: &mut Netlist, i: usize) -> Bit {
        let at = i + self.shape.low_width as usize;
        let amounts = self.shape.amounts.len();
        let bit = self.chosen(netlist, at, amounts - 1);
        let other = self.shifted(at, self.shape.amounts[amounts - 1]);
        let (shift, first) = (self.controls.shift[amounts - 1], self.controls.first);
        netlist.lut("base", &[bit, other, shift, first], CHOOSE)
    }

    /// The registers of the finished bits: they take the shifted sum when it shifts.
    pub(super) fn finish_low(&self, netlist: &mut Netlist) {
        if self.shape.amounts.is_empty() || self.low().is_empty() {
            return;
        }
        let amounts = self.shape.amounts.len();
        let d: Vec<Bit> = (0..self.low().len())
            .map(|at| match self.shape.amounts.as_slice() {
                [distance] => self.shifted(at, *distance),
                _ => self.chosen(netlist, at, amounts),
            })
            .collect();
        let enable = self.shifting(netlist);
        netlist.register_onto(&d, self.low(), enable, Bit::ZERO);
    }

    /// Whether any shift is on, in LUTs of four.
    fn shifting(&self, netlist: &mut Netlist) -> Bit {
        let mut bits = self.controls.shift.clone();
        while bits.len() > 1 {
            let rest = bits.split_off(bits.len().min(4));
            let table = (1u64 << (1 << bits.len())) - 2;
            let any = netlist.lut("shifting", &bits, table);
            bits = rest;
            bits.push(any);
        }
        bits[0]
    }
}

/// Truth table over (x, y, s, t): `t ? 0 : s ? y : x`; the lower half over (x, y, s).
const CHOOSE: u64 = 0xca;
