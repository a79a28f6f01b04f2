//! What is counted, from which pins.

use super::netlist::Bit;

/// A weighted heap of bits: its count is `sum_m 2^m sum_p 2^p sum_i bit[m][p][i]`.
///
/// For a processing element a group m is an activation branch, a plane p a weight branch and i a pair of lanes; for a row
/// unit the planes are those of its row term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heap {
    /// Groups m; at least 1.
    pub groups: u32,
    /// Planes p of each group; at least 1.
    pub planes: u32,
    /// Pairs of lanes i; at least 1.
    pub pairs: u32,
}

impl Heap {
    /// The largest count.
    pub fn max(&self) -> u64 {
        ((1u64 << self.groups) - 1) * ((1u64 << self.planes) - 1) * u64::from(self.pairs)
    }

    /// Width of the count in bits.
    pub fn count_width(&self) -> u32 {
        crate::config::bits_for(self.max().into())
    }

    /// Bits in the heap.
    pub fn bits(&self) -> u64 {
        u64::from(self.groups) * u64::from(self.planes) * u64::from(self.pairs)
    }
}

/// Where the bits of a heap come from: each is a function of four operand pins, so that a LUT with a pin to spare can make
/// the bit and use it.
///
/// Pins of bit (m, p, i) arrive `arrival[i]` cycles after their beat enters; a structure chooses `arrival`.
pub struct Source<'a> {
    /// The four pins of bit (group, plane, pair); some may be constants.
    pub pins: &'a dyn Fn(u32, u32, u32) -> [Bit; 4],
    /// For each plane, the truth table over the pins: bit `p0 + 2 p1 + 4 p2 + 8 p3` is the value.
    pub tables: &'a [u16],
}

/// A finished count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The count, least significant bit first; `Heap::count_width` bits, in registers.
    pub count: Vec<Bit>,
    /// For each pair of lanes, how many cycles after the beat enters its pins must carry it; each below `latency`.
    pub arrival: Vec<u32>,
    /// Cycles (with `advance`) from a beat's entry to its count; at least 1.
    pub latency: u32,
}
