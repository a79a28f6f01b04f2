//! A popcount without pair bits: it counts the matches themselves, so that no row and column terms are needed at an
//! array's edge.

use super::chain::{majority, parity, table};
use super::schedule::{Plan, plan_ripples};
use super::structure::count_bits;
use crate::fabric::{Bit, Cell, Counted, Netlist};

/// Full adders in one ripple at most: how many cycles late a beat's last lanes arrive.
const LENGTH_MAX: u32 = 8;

/// Where matches come from: each is a function of two pins.
pub struct Matches<'a> {
    /// The two pins of a lane.
    pub pins: &'a dyn Fn(u32) -> [Bit; 2],
    /// The truth table over them: bit `p0 + 2 p1` is the value; `0b1001` for a match of two bits.
    pub table: u8,
    /// Lanes; at least 1.
    pub lanes: u32,
}

/// Counts matches. A site is a full adder of two matches and a running sum, five pins; running sums go from cycle to
/// cycle, and the carries into compressors. `arrival` is that of lanes i and `ceil(lanes / 2) + i`.
///
/// # Panics
/// If there is no lane.
pub fn count_matches(net: &mut Netlist, source: &Matches, advance: Bit) -> Counted {
    assert!(source.lanes > 0, "no lane");
    let pairs = source.lanes.div_ceil(2);
    let candidates =
        (1..=LENGTH_MAX.min(pairs)).map(|length| Ripples::new(pairs, length, source.lanes));
    let ripples = candidates
        .min_by_key(|r| (r.plan.sites(), r.plan.depth()))
        .expect("a length of 1 is always possible");
    net.comment("ripples of full adders");
    let mut sums: Vec<Option<Bit>> = vec![None; ripples.groups as usize];
    let mut carries = Vec::new();
    for row in 0..pairs.div_ceil(ripples.groups) {
        let first = row * ripples.groups;
        let in_row = first..pairs.min(first + ripples.groups);
        let luts: Vec<[Bit; 2]> = in_row
            .clone()
            .map(|pair| full_adder(net, source, pair, sums[(pair - first) as usize]))
            .collect();
        let d: Vec<Bit> = luts.iter().flatten().copied().collect();
        let held = net.register(&format!("ripple_{}", row + 1), &d, advance, Bit::ZERO);
        for (pair, [sum, carry]) in in_row.zip(held.as_chunks().0) {
            sums[(pair - first) as usize] = Some(*sum);
            carries.push(*carry);
        }
    }
    carries.extend(sums.into_iter().flatten());
    let count = count_bits(net, &ripples.plan, &carries, advance);
    Counted {
        count,
        arrival: (0..pairs).map(|pair| pair / ripples.groups).collect(),
        latency: ripples.plan.depth() + 1,
    }
}

/// Ripples side by side: pair p is in row `p / groups`.
struct Ripples {
    groups: u32,
    plan: Plan,
}

impl Ripples {
    fn new(pairs: u32, length: u32, lanes: u32) -> Self {
        let groups = pairs.div_ceil(length);
        let carries = (0..pairs).map(|pair| (pair / groups + 1, 1));
        // A running sum is complete after its ripple's last row.
        let sums = (0..groups).map(|group| ((pairs - 1 - group) / groups + 1, 0));
        let bits: Vec<(u32, usize)> = carries.chain(sums).collect();
        Ripples {
            groups,
            plan: plan_ripples(&bits, lanes),
        }
    }
}

/// Sum and carry of the two matches of a pair and of what came before.
fn full_adder(net: &mut Netlist, source: &Matches, pair: u32, before: Option<Bit>) -> [Bit; 2] {
    let other = pair + source.lanes.div_ceil(2);
    let mut inputs = (source.pins)(pair).to_vec();
    if other < source.lanes {
        inputs.extend((source.pins)(other));
    }
    let pins = inputs.len();
    inputs.extend(before);
    let matched = |v: u32| u32::from(source.table >> (v & 3) & 1);
    let bits = |v: u32| {
        let second = if pins == 4 { matched(v >> 2) } else { 0 };
        matched(v) | second << 1 | (v >> pins & 1) << 2
    };
    let [o6, o5] = ["sum", "carry"].map(|name| net.wire(name));
    net.cell(Cell::DualLut {
        upper: table(inputs.len(), |v| parity(bits(v))),
        lower: table(inputs.len(), |v| majority(bits(v))),
        inputs,
        o6,
        o5,
    });
    [o6, o5]
}
