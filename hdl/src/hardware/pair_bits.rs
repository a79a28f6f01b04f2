//! The pair bits of two words: half as many bits to count as there are lanes.

use crate::config::Design;
use crate::rtl::prelude::*;

/// The pair bits of one activation word and one weight word (one branch pair).
///
/// For lanes i and H + i with match_bits x1, x2 (xnor of activation and weight) and o = a1 xor a2,
/// `majority(x1, x2, o)` is one bit B with `x1 + x2 = 2*B + (w1 xor w2) - (a1 xor a2)`: what it leaves out is known
/// from one operand alone. It is the binary relative of Winograd's inner-product identity.
#[derive(Clone, Debug, LogicBlock)]
pub struct PairBits {
    shape: Shape,
    /// Activation bits, one for each lane.
    pub activation: Net<In>,
    /// Weight bits, one for each lane.
    pub weight: Net<In>,
    /// One bit for each pair of lanes.
    pub pair: Net<Out>,
    match_bits: Net<Local>,
    activation_low: Net<Local>,
    activation_high: Net<Local>,
    match_low: Net<Local>,
    match_high: Net<Local>,
    odd: Net<Local>,
    half: Constant,
    _pairs: usize,
}

impl PairBits {
    /// The block for the design's lanes.
    pub fn new(design: &Design) -> Self {
        let (lanes, pairs) = (design.config().lanes, design.pairs);
        PairBits {
            shape: Shape::new(
                format!("pair_bits_l{lanes}"),
                "Pair bits of one activation word and one weight word: majority(x1, x2, a1 ^ a2) for lanes i and H + i.",
            ),
            activation: Net::new(lanes),
            weight: Net::new(lanes),
            pair: Net::new(pairs),
            match_bits: Net::new(lanes),
            activation_low: Net::new(pairs),
            activation_high: Net::new(pairs),
            match_low: Net::new(pairs),
            match_high: Net::new(pairs),
            odd: Net::new(pairs),
            half: Constant::new(32, pairs.into()),
            _pairs: pairs as usize,
        }
    }
}

impl Logic for PairBits {
    #[hdl_gen]
    fn update(&mut self) {
        // a ^ ~w is 1 for a match; a missing last lane reads as 0 on both sides, which is no match.
        self.match_bits.next = self.activation.val() ^ (!self.weight.val());
        self.activation_low.next = bits_resize(self.activation.val(), self._pairs);
        self.activation_high.next =
            bits_resize(self.activation.val() >> self.half.val(), self._pairs);
        self.match_low.next = bits_resize(self.match_bits.val(), self._pairs);
        self.match_high.next = bits_resize(self.match_bits.val() >> self.half.val(), self._pairs);
        self.odd.next = self.activation_low.val() ^ self.activation_high.val();
        self.pair.next = (self.match_low.val() & self.match_high.val())
            | (self.odd.val() & (self.match_low.val() | self.match_high.val()));
    }
}
