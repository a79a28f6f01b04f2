//! From the requantized value to the code: shift, rounding, offset, clamp.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Bits of a shifted value that are kept: a sign and 16 bits, which the offset and the clamp cannot tell from more, and
/// the bit below the point.
const KEPT: u32 = 18;
/// Bits of the sum of a kept value and the offset.
const SUM: u32 = KEPT;

/// An arithmetic right shift by some of the bits of a distance: keeps the lowest bits of the result, and says whether the
/// others were no copies of the sign and whether a 1 fell out at the bottom.
#[derive(Clone, Debug, LogicBlock)]
pub struct ShiftStep {
    shape: Shape,
    /// What is shifted.
    pub value: Net<In>,
    /// Its sign.
    pub negative: Net<In>,
    /// By how much; only this step's bits count.
    pub amount: Net<In>,
    /// The lowest bits of the result.
    pub kept: Net<Out>,
    /// The others are no copies of the sign.
    pub over: Net<Out>,
    /// A 1 fell out.
    pub sticky: Net<Out>,
    distance: Net<Local>,
    extended: Net<Local>,
    moved: Net<Local>,
    upper_sign: Net<Local>,
    fill: Net<Local>,
    upper: Net<Local>,
    upper_mask: Net<Local>,
    lower_mask: Net<Local>,
    mask: Constant,
    width: Constant,
    upper_place: Constant,
    no_fill: Constant,
    all_fill: Constant,
    no_upper: Constant,
    all_upper: Constant,
    all_lower: Constant,
    _extended_width: usize,
    _kept_width: usize,
    _upper_width: usize,
    _lower_width: usize,
}

/// `width` ones, at most 64.
fn ones(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

impl ShiftStep {
    /// From `width` to `kept` bits, by the bits of `mask` in a distance of `amount_width` bits. All widths and the
    /// largest distance are at most 64.
    pub fn new(width: u32, kept: u32, amount_width: u32, mask: u64) -> Self {
        let mask = mask & ones(amount_width);
        let reach = (mask as u32).max(1);
        let upper = width - kept + 1;
        ShiftStep {
            shape: Shape::new(
                format!("shift_step_w{width}_k{kept}"),
                "Arithmetic right shift by some bits of a distance, with overflow and sticky bit.",
            ),
            value: Net::new(width),
            negative: Net::new(1),
            amount: Net::new(amount_width),
            kept: Net::new(kept),
            over: Net::new(1),
            sticky: Net::new(1),
            distance: Net::new(amount_width),
            extended: Net::new(width + reach),
            moved: Net::partly_unused(width + reach, "the upper bits are checked before the shift"),
            upper_sign: Net::new(upper),
            fill: Net::new(reach),
            upper: Net::new(upper),
            upper_mask: Net::new(upper),
            lower_mask: Net::new(reach),
            mask: Constant::new(amount_width, mask),
            width: Constant::new(32, width.into()),
            upper_place: Constant::new(32, (kept - 1).into()),
            no_fill: Constant::new(reach, 0),
            all_fill: Constant::new(reach, ones(reach)),
            no_upper: Constant::new(upper, 0),
            all_upper: Constant::new(upper, ones(upper)),
            all_lower: Constant::new(reach, ones(reach)),
            _extended_width: (width + reach) as usize,
            _kept_width: kept as usize,
            _upper_width: upper as usize,
            _lower_width: reach as usize,
        }
    }
}

impl Logic for ShiftStep {
    #[hdl_gen]
    fn update(&mut self) {
        self.distance.next = self.amount.val() & self.mask.val();
        if self.negative.val().any() {
            self.fill.next = self.all_fill.val();
            self.upper_sign.next = self.all_upper.val();
        } else {
            self.fill.next = self.no_fill.val();
            self.upper_sign.next = self.no_upper.val();
        }
        self.extended.next = (bits_resize(self.fill.val(), self._extended_width)
            << self.width.val())
            | bits_resize(self.value.val(), self._extended_width);
        self.moved.next = self.extended.val() >> self.distance.val();
        self.kept.next = bits_resize(self.moved.val(), self._kept_width);

        self.upper.next = bits_resize(
            self.value.val() >> self.upper_place.val(),
            self._upper_width,
        ) ^ self.upper_sign.val();
        self.upper_mask.next = self.all_upper.val() << self.distance.val();
        self.over.next = (self.upper.val() & self.upper_mask.val()).any().into();
        self.lower_mask.next = self.all_lower.val() << self.distance.val();
        self.sticky.next = (bits_resize(self.value.val(), self._lower_width)
            & (!self.lower_mask.val()))
        .any()
        .into();
    }
}

/// `code = clamp((value >>> shift, ties to even if wanted) + offset)` in four stages.
#[derive(Clone, Debug, LogicBlock)]
pub struct RoundingShift {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets all stages move.
    pub enable: Net<In>,
    /// The requantized value, two's complement.
    pub value: Net<In>,
    /// Field of the descriptor.
    pub shift: Net<In>,
    /// Field of the descriptor.
    pub round_even: Net<In>,
    /// Field of the descriptor.
    pub offset: Net<In>,
    /// Field of the descriptor.
    pub code_min: Net<In>,
    /// Field of the descriptor.
    pub code_max: Net<In>,
    /// The code in the last stage is kept; else it becomes 0.
    pub keep: Net<In>,
    /// The code.
    pub code: Net<Out>,
    coarse: ShiftStep,
    medium: ShiftStep,
    fine: ShiftStep,
    kept_1: EnabledRegister,
    negative_1: EnabledRegister,
    over_1: EnabledRegister,
    sticky_1: EnabledRegister,
    whole_2: EnabledRegister,
    negative_2: EnabledRegister,
    over_2: EnabledRegister,
    round_2: EnabledRegister,
    sum_3: EnabledRegister,
    negative_3: EnabledRegister,
    over_3: EnabledRegister,
    code_4: EnabledResetRegister,
    negative: Net<Local>,
    rounds: Net<Local>,
    odd_or_more: Net<Local>,
    carried: Net<Local>,
    whole_sign: Net<Local>,
    offset_sign: Net<Local>,
    whole: Net<Local>,
    wide_offset: Net<Local>,
    sum_sign: Net<Local>,
    low: Net<Local>,
    beyond: Net<Local>,
    below: Net<Local>,
    above: Net<Local>,
    clears: Net<Local>,
    one_place: Constant,
    sign_place: Constant,
    whole_top: Constant,
    sum_top: Constant,
    offset_top: Constant,
    offset_place: Constant,
    code_place: Constant,
    sum_place: Constant,
    one: Constant,
    zero: Constant,
    _value_width: usize,
    _whole_width: usize,
    _sum_width: usize,
    _carried_width: usize,
    _code_width: usize,
    _beyond_width: usize,
    _one_bit: usize,
}

impl RoundingShift {
    /// For a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        // One bit below the point.
        let width = d.product_width + 1;
        let amount = Field::Shift.width(d);
        let (coarse_kept, medium_kept) = (width.min(KEPT + 15), width.min(KEPT + 3));
        let (offset, code) = (Field::Offset.width(d), Field::CodeMax.width(d));
        let beyond = SUM - 1 - code;
        RoundingShift {
            shape: Shape::new(
                format!("rounding_shift_w{}", d.product_width),
                "code = clamp((value >>> shift, ties to even if wanted) + offset) in four stages.",
            ),
            clock: Signal::default(),
            enable: Net::new(1),
            value: Net::new(d.product_width),
            shift: Net::new(amount),
            round_even: Net::new(1),
            offset: Net::new(offset),
            code_min: Net::new(code),
            code_max: Net::new(code),
            keep: Net::new(1),
            code: Net::new(code),
            coarse: ShiftStep::new(width, coarse_kept, amount, 48),
            medium: ShiftStep::new(coarse_kept, medium_kept, amount, 12),
            fine: ShiftStep::new(medium_kept, KEPT, amount, 3),
            kept_1: EnabledRegister::new(medium_kept),
            negative_1: EnabledRegister::new(1),
            over_1: EnabledRegister::new(1),
            sticky_1: EnabledRegister::new(1),
            whole_2: EnabledRegister::new(KEPT - 1),
            negative_2: EnabledRegister::new(1),
            over_2: EnabledRegister::new(1),
            round_2: EnabledRegister::new(1),
            sum_3: EnabledRegister::new(SUM),
            negative_3: EnabledRegister::new(1),
            over_3: EnabledRegister::new(1),
            code_4: EnabledResetRegister::new(code),
            negative: Net::new(1),
            rounds: Net::new(1),
            odd_or_more: Net::new(1),
            carried: Net::partly_unused(SUM + 1, "the lowest bit only makes the carry"),
            whole_sign: Net::new(1),
            offset_sign: Net::new(1),
            whole: Net::new(SUM + 1),
            wide_offset: Net::new(SUM + 1),
            sum_sign: Net::new(1),
            low: Net::new(code),
            beyond: Net::new(beyond),
            below: Net::new(1),
            above: Net::new(1),
            clears: Net::new(1),
            one_place: Constant::new(32, 1),
            sign_place: Constant::new(32, (d.product_width - 1).into()),
            whole_top: Constant::new(32, (KEPT - 2).into()),
            sum_top: Constant::new(32, (SUM - 1).into()),
            offset_top: Constant::new(32, (offset - 1).into()),
            offset_place: Constant::new(32, (offset + 1).into()),
            code_place: Constant::new(32, code.into()),
            sum_place: Constant::new(32, SUM.into()),
            one: Constant::new(1, 1),
            zero: Constant::new(1, 0),
            _value_width: width as usize,
            _whole_width: KEPT as usize - 1,
            _sum_width: SUM as usize,
            _carried_width: SUM as usize + 1,
            _code_width: code as usize,
            _beyond_width: beyond as usize,
            _one_bit: 1,
        }
    }
}

impl Logic for RoundingShift {
    #[hdl_gen]
    fn update(&mut self) {
        self.negative.next = bits_resize(self.value.val() >> self.sign_place.val(), self._one_bit);
        self.coarse.value.next =
            bits_resize(self.value.val(), self._value_width) << self.one_place.val();
        self.coarse.negative.next = self.negative.val();
        self.coarse.amount.next = self.shift.val();
        self.medium.value.next = self.coarse.kept.val();
        self.medium.negative.next = self.negative.val();
        self.medium.amount.next = self.shift.val();
        self.kept_1.clock.next = self.clock.val();
        self.kept_1.enable.next = self.enable.val();
        self.kept_1.d.next = self.medium.kept.val();
        self.negative_1.clock.next = self.clock.val();
        self.negative_1.enable.next = self.enable.val();
        self.negative_1.d.next = self.negative.val();
        self.over_1.clock.next = self.clock.val();
        self.over_1.enable.next = self.enable.val();
        self.over_1.d.next = self.coarse.over.val() | self.medium.over.val();
        self.sticky_1.clock.next = self.clock.val();
        self.sticky_1.enable.next = self.enable.val();
        self.sticky_1.d.next = self.coarse.sticky.val() | self.medium.sticky.val();

        self.fine.value.next = self.kept_1.q.val();
        self.fine.negative.next = self.negative_1.q.val();
        self.fine.amount.next = self.shift.val();
        self.odd_or_more.next = (self.sticky_1.q.val() | self.fine.sticky.val())
            | bits_resize(self.fine.kept.val() >> self.one_place.val(), self._one_bit);
        self.rounds.next =
            bits_resize(self.fine.kept.val(), self._one_bit) & self.odd_or_more.val();
        self.whole_2.clock.next = self.clock.val();
        self.whole_2.enable.next = self.enable.val();
        self.whole_2.d.next = bits_resize(
            self.fine.kept.val() >> self.one_place.val(),
            self._whole_width,
        );
        self.negative_2.clock.next = self.clock.val();
        self.negative_2.enable.next = self.enable.val();
        self.negative_2.d.next = self.negative_1.q.val();
        self.over_2.clock.next = self.clock.val();
        self.over_2.enable.next = self.enable.val();
        self.over_2.d.next = self.over_1.q.val() | self.fine.over.val();
        self.round_2.clock.next = self.clock.val();
        self.round_2.enable.next = self.enable.val();
        self.round_2.d.next = self.rounds.val() & self.round_even.val();

        // Both operands end in a bit that makes the rounding a carry.
        self.whole_sign.next =
            bits_resize(self.whole_2.q.val() >> self.whole_top.val(), self._one_bit);
        self.whole.next = (bits_resize(self.whole_sign.val(), self._carried_width)
            << self.sum_place.val())
            | ((bits_resize(self.whole_2.q.val(), self._carried_width) << self.one_place.val())
                | bits_resize(self.one.val(), self._carried_width));
        self.offset_sign.next =
            bits_resize(self.offset.val() >> self.offset_top.val(), self._one_bit);
        if self.offset_sign.val().any() {
            self.wide_offset.next = (!(bits_resize(self.zero.val(), self._carried_width))
                << self.offset_place.val())
                | ((bits_resize(self.offset.val(), self._carried_width) << self.one_place.val())
                    | bits_resize(self.round_2.q.val(), self._carried_width));
        } else {
            self.wide_offset.next = (bits_resize(self.offset.val(), self._carried_width)
                << self.one_place.val())
                | bits_resize(self.round_2.q.val(), self._carried_width);
        }
        self.carried.next = self.whole.val() + self.wide_offset.val();
        self.sum_3.clock.next = self.clock.val();
        self.sum_3.enable.next = self.enable.val();
        self.sum_3.d.next =
            bits_resize(self.carried.val() >> self.one_place.val(), self._sum_width);
        self.negative_3.clock.next = self.clock.val();
        self.negative_3.enable.next = self.enable.val();
        self.negative_3.d.next = self.negative_2.q.val();
        self.over_3.clock.next = self.clock.val();
        self.over_3.enable.next = self.enable.val();
        self.over_3.d.next = self.over_2.q.val();

        self.low.next = bits_resize(self.sum_3.q.val(), self._code_width);
        self.beyond.next = bits_resize(
            self.sum_3.q.val() >> self.code_place.val(),
            self._beyond_width,
        );
        self.sum_sign.next = bits_resize(self.sum_3.q.val() >> self.sum_top.val(), self._one_bit);
        if self.over_3.q.val().any() {
            self.below.next = self.negative_3.q.val();
            self.above.next = !self.negative_3.q.val();
        } else if self.sum_sign.val().any() {
            self.below.next = self.one.val();
            self.above.next = self.zero.val();
        } else if self.beyond.val().any() {
            self.below.next = self.zero.val();
            self.above.next = self.one.val();
        } else {
            self.below.next = (self.low.val() < self.code_min.val()).into();
            self.above.next = (self.low.val() > self.code_max.val()).into();
        }
        self.clears.next = self.enable.val() & (!self.keep.val());
        self.code_4.clock.next = self.clock.val();
        self.code_4.reset.next = self.clears.val();
        self.code_4.enable.next = self.enable.val();
        if self.below.val().any() {
            self.code_4.d.next = self.code_min.val();
        } else if self.above.val().any() {
            self.code_4.d.next = self.code_max.val();
        } else {
            self.code_4.d.next = self.low.val();
        }
        self.code.next = self.code_4.q.val();
    }
}
