//! The accumulator of a processing element and of a row unit.

use crate::rtl::prelude::*;

/// Adds counts of rising significance.
///
/// When the significance rises, the lowest bits of the adding part can change no more: they move into the part that
/// only shifts. So the adder is as wide as one level of significance, not as the whole sum (ADR 0003).
///
/// After a tile, `sum` shifted right by the total shift not taken is the weighted sum of its counts.
#[derive(Clone, Debug, LogicBlock)]
pub struct BranchAccumulator {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Adds `count` at this edge.
    pub accumulate: Net<In>,
    /// Starts from zero.
    pub first: Net<In>,
    /// One-hot: by which of the design's distances to shift first; none for no shift.
    pub shift: Net<In>,
    /// What to add.
    pub count: Net<In>,
    /// Adding part above, finished bits below.
    pub sum: Net<Out>,
    high: EnabledRegister,
    low: EnabledRegister,
    state: Net<Local>,
    shifted: Net<Local>,
    base: Net<Local>,
    shifting: Net<Local>,
    amount: Vec<Constant>,
    low_bits: Constant,
    zero: Constant,
    no_overflow: Assertion,
    one_shift: Assertion,
    highest: Constant,
    one_amount: Constant,
    _amounts: usize,
    _carried_width: usize,
    _high_width: usize,
    _low_width: usize,
    _width: usize,
}

impl BranchAccumulator {
    /// An accumulator with an adding part of `high_width` bits, `low_width` finished bits and the shift distances
    /// given, for counts of `count_width` bits.
    pub fn new(high_width: u32, low_width: u32, count_width: u32, amounts: &[u32]) -> Self {
        let width = high_width + low_width;
        let carried_width = high_width.max(count_width) + 1;
        let amount_names: Vec<String> = amounts.iter().map(u32::to_string).collect();
        BranchAccumulator {
            shape: Shape::new(
                format!(
                    "accumulator_h{high_width}_l{low_width}_c{count_width}_s{}",
                    amount_names.join("_")
                ),
                "Adds counts of rising significance; finished bits leave the adding part at the bottom.",
            ),
            clock: Signal::default(),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(amounts.len() as u32),
            count: Net::new(count_width),
            sum: Net::new(width),
            high: EnabledRegister::new(high_width),
            low: EnabledRegister::new(low_width),
            state: Net::new(width),
            shifted: Net::new(width),
            base: Net::new(high_width),
            shifting: Net::new(1),
            amount: amounts
                .iter()
                .map(|a| Constant::new(32, (*a).into()))
                .collect(),
            low_bits: Constant::new(32, low_width.into()),
            zero: Constant::new(high_width, 0),
            no_overflow: Assertion::new("accumulator_overflow"),
            one_shift: Assertion::new("shift_one_hot"),
            highest: Constant::new(carried_width, (1 << high_width) - 1),
            one_amount: Constant::new(amounts.len() as u32, 1),
            _amounts: amounts.len(),
            _carried_width: carried_width as usize,
            _high_width: high_width as usize,
            _low_width: low_width as usize,
            _width: width as usize,
        }
    }
}

impl Logic for BranchAccumulator {
    #[hdl_gen]
    fn update(&mut self) {
        self.state.next = (bits_resize(self.high.q.val(), self._width) << self.low_bits.val())
            | bits_resize(self.low.q.val(), self._width);
        self.shifted.next = self.state.val();
        for i in 0..self._amounts {
            if self.shift.val().get_bit(i) {
                self.shifted.next = self.state.val() >> self.amount[i].val();
            }
        }
        if self.first.val().any() {
            self.base.next = self.zero.val();
        } else {
            self.base.next =
                bits_resize(self.shifted.val() >> self.low_bits.val(), self._high_width);
        }
        self.shifting.next = self.shift.val().any().into();
        self.high.clock.next = self.clock.val();
        self.high.enable.next = self.accumulate.val();
        self.high.d.next = self.base.val() + bits_resize(self.count.val(), self._high_width);
        self.low.clock.next = self.clock.val();
        self.low.enable.next = self.accumulate.val() & self.shifting.val();
        self.low.d.next = bits_resize(self.shifted.val(), self._low_width);
        self.sum.next = self.state.val();

        self.no_overflow.clock.next = self.clock.val();
        self.no_overflow.start.next = self.accumulate.val() & self.first.val();
        self.no_overflow.fails.next = self.accumulate.val()
            & ((bits_resize(self.base.val(), self._carried_width)
                + bits_resize(self.count.val(), self._carried_width))
                > self.highest.val())
            .into();
        self.one_shift.clock.next = self.clock.val();
        self.one_shift.start.next = self.accumulate.val() & self.first.val();
        self.one_shift.fails.next = self.accumulate.val()
            & (self.shift.val() & (self.shift.val() - self.one_amount.val()))
                .any()
                .into();
    }
}
