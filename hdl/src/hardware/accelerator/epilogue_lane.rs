//! From sums to codes: one of the columns that leave the drain together.

use super::{AlignedBracket, LevelMemory, MultiplyAdd, RoundingShift, WordMemory};
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// One lane of the epilogue, in stages that move together (`docs/accelerator.md`): alignment and column constant, row
/// term, result shift, residual table, thresholds beside the affine step, shift, rounding, offset, clamp.
#[derive(Clone, Debug, LogicBlock)]
pub struct EpilogueLane {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets all stages move.
    pub flow: Net<In>,
    /// The drained sum.
    pub sum: Net<In>,
    /// The column is valid.
    pub keep: Net<In>,
    /// Address of its constant.
    pub constant: Net<In>,
    /// The drained sum of the row unit.
    pub row_sum: Net<In>,
    /// The residual code, as stage 1 holds it.
    pub residual: Net<In>,
    /// Address of the channel's parameters in stage 4, and in as many stages after it as there are threshold levels,
    /// less one.
    pub channel: Vec<Net<In>>,
    /// Which threshold levels are used.
    pub level_used: Vec<Net<In>>,
    /// The result stream gets v1.
    pub raw: Net<In>,
    /// Thresholds are not counted.
    pub no_thresholds: Net<In>,
    /// The affine step is not taken.
    pub no_affine: Net<In>,
    /// The residual is not added before requantization.
    pub no_early: Net<In>,
    /// The residual is not added after it.
    pub no_late: Net<In>,
    /// The residual is added after requantization.
    pub adds_late: Net<In>,
    /// Field of the descriptor.
    pub align: Net<In>,
    /// Field of the descriptor.
    pub result_shift: Net<In>,
    /// Field of the descriptor.
    pub table_base: Net<In>,
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
    /// Writes a column constant.
    pub constant_write: Net<In>,
    /// Writes a threshold, of the level given.
    pub threshold_write: Vec<Net<In>>,
    /// Writes an affine word.
    pub affine_write: Net<In>,
    /// Writes a table entry.
    pub table_write: Net<In>,
    /// Where.
    pub load_address: Net<In>,
    /// What.
    pub load_value: Net<In>,
    /// What the result stream gets: v1, in stage 5, or the code, in the last stage.
    pub stream_value: Net<Out>,
    /// Its column is valid.
    pub stream_keep: Net<Out>,
    /// The code's planes, in the last stage; 0 if the column is not valid.
    pub planes: Net<Out>,
    /// The table address that stands lies past the table.
    pub table_past: Net<Out>,
    constants: WordMemory,
    table_memory: WordMemory,
    affine_memory: WordMemory,
    levels: LevelMemory,
    product: MultiplyAdd,
    rounding: RoundingShift,
    bracket_3: AlignedBracket,
    bracket_4: EnabledRegister,
    residual_4: EnabledResetRegister,
    sum_5: EnabledRegister,
    value_line: Vec<EnabledRegister>,
    found: Vec<EnabledRegister>,
    count: Vec<EnabledResetRegister>,
    residual_line: Vec<EnabledRegister>,
    table_address: EnabledRegister,
    residual_after: EnabledResetRegister,
    result: EnabledRegister,
    fall_line: Vec<EnabledRegister>,
    keep_line: Vec<EnabledRegister>,
    value_at: Vec<Net<Local>>,
    above: Vec<Net<Local>>,
    found_at: Vec<Net<Local>>,
    found_next: Vec<Net<Local>>,
    used: Net<Local>,
    count_next: Net<Local>,
    counted: Net<Local>,
    bracket_sign: Net<Local>,
    sign_1: Net<Local>,
    sign_2: Net<Local>,
    divided: Net<Local>,
    residual_now: Net<Local>,
    falls: Net<Local>,
    value_keep: Net<Local>,
    code_keep: Net<Local>,
    value_sign: Net<Local>,
    value_wide: Net<Local>,
    affine_channel: Net<Local>,
    affine_value: Net<Local>,
    requantized: Net<Local>,
    sign_bit: Constant,
    top_1: Constant,
    top_2: Constant,
    none: Constant,
    one: Constant,
    two: Constant,
    constant_top: Constant,
    value_top: Constant,
    zero: Constant,
    addend_place: Constant,
    table_top: Constant,
    level_bit: Vec<Constant>,
    one_count: Constant,
    no_count: Constant,
    _one: usize,
    _levels: usize,
    _last_level: usize,
    _counts: usize,
    _last_count: usize,
    _affine_at: usize,
    _affine_end: usize,
    _residual_stages: usize,
    _last_residual: usize,
    _fall_stages: usize,
    _last_fall: usize,
    _stages: usize,
    _last_stage: usize,
    _before_last: usize,
    _planes: usize,
    _stream_width: usize,
    _wide: usize,
    _exact: usize,
    _value_stage: usize,
    _value_end: usize,
    _one_bit: usize,
    _result_width: usize,
    _product_width: usize,
    _multiplier_width: usize,
    _constant_address: usize,
    _constant_width: usize,
    _channel_address: usize,
    _level_address: usize,
    _table_address: usize,
    _table_sum: usize,
    _table_past: usize,
}

impl EpilogueLane {
    /// A lane of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (design, c) = (d.design(), d.config());
        let (width, product) = (design.result_width, d.product_width);
        let levels = c.threshold_bits;
        let requantization = d.requantization_stages();
        let stages = d.epilogue_stages();
        let field = |f: Field| Net::new(f.width(d));
        let table_sum = d.code_planes.max(d.table_address_width) + 1;
        let residual_stages = requantization + 1;
        let fall_stages = 3 + levels;
        let affine_at = requantization as usize - 2;
        EpilogueLane {
            shape: Shape::new(
                format!("epilogue_lane_s{}_w{width}_b{levels}", design.sum_width()),
                "From sums to codes: one of the columns that leave the drain together.",
            ),
            clock: Signal::default(),
            flow: Net::new(1),
            sum: Net::new(design.sum_width()),
            keep: Net::new(1),
            constant: Net::new(d.constant_address_width),
            row_sum: Net::new(design.row_sum_width()),
            residual: Net::new(d.code_planes),
            channel: Net::vector(levels, d.channel_address_width),
            level_used: Net::vector(levels, 1),
            raw: Net::new(1),
            no_thresholds: Net::new(1),
            no_affine: Net::new(1),
            no_early: Net::new(1),
            no_late: Net::new(1),
            adds_late: Net::new(1),
            align: field(Field::Align),
            result_shift: field(Field::ResultShift),
            table_base: field(Field::TableBase),
            shift: field(Field::Shift),
            round_even: field(Field::RoundEven),
            offset: field(Field::Offset),
            code_min: field(Field::CodeMin),
            code_max: field(Field::CodeMax),
            constant_write: Net::new(1),
            threshold_write: Net::vector(levels, 1),
            affine_write: Net::new(1),
            table_write: Net::new(1),
            load_address: Net::new(d.lane_address_width()),
            load_value: Net::new(d.affine_width),
            stream_value: Net::new(d.stream_value_width()),
            stream_keep: Net::new(1),
            planes: Net::new(d.code_planes),
            table_past: Net::new(1),
            constants: WordMemory::new(c.constant_words, d.constant_width),
            table_memory: WordMemory::new(c.table_words, product),
            affine_memory: WordMemory::new(c.channel_words, d.affine_width),
            levels: LevelMemory::new(levels, c.channel_words, width),
            product: MultiplyAdd::new(width),
            rounding: RoundingShift::new(d),
            bracket_3: AlignedBracket::new(d),
            bracket_4: EnabledRegister::new(width),
            residual_4: EnabledResetRegister::new(width),
            sum_5: EnabledRegister::new(width),
            value_line: EnabledRegister::vector(levels - 1, width),
            found: EnabledRegister::vector(levels - 1, levels),
            count: EnabledResetRegister::vector(requantization - levels + 1, levels),
            residual_line: EnabledRegister::vector(residual_stages, d.code_planes),
            table_address: EnabledRegister::new(table_sum),
            residual_after: EnabledResetRegister::new(product),
            result: EnabledRegister::new(product),
            fall_line: EnabledRegister::vector(fall_stages, 1),
            keep_line: EnabledRegister::vector(stages, 1),
            value_at: Net::vector(levels, width),
            above: Net::vector(levels, levels),
            found_at: Net::vector(levels, levels),
            found_next: Net::vector(levels, levels),
            used: Net::new(levels),
            count_next: Net::new(levels),
            counted: Net::new(levels),
            bracket_sign: Net::new(1),
            sign_1: Net::new(width),
            sign_2: Net::new(width),
            divided: Net::new(width),
            residual_now: Net::new(d.code_planes),
            falls: Net::new(1),
            value_keep: Net::new(1),
            code_keep: Net::new(1),
            value_sign: Net::new(1),
            value_wide: Net::new(d.stream_value_width()),
            affine_channel: Net::new(d.channel_address_width),
            affine_value: Net::new(width),
            requantized: Net::new(product),
            sign_bit: Constant::new(width, 1 << (width - 1)),
            top_1: Constant::new(width, 1 << (width - 1)),
            top_2: Constant::new(width, 3 << (width - 2)),
            none: Constant::new(width, 0),
            one: Constant::new(32, 1),
            two: Constant::new(32, 2),
            value_top: Constant::new(32, (width - 1).into()),
            zero: Constant::new(1, 0),
            constant_top: Constant::new(32, width.into()),
            addend_place: Constant::new(32, (d.affine_width - product).into()),
            table_top: Constant::new(32, d.table_address_width.into()),
            level_bit: (0..levels).map(|b| Constant::new(levels, 1 << b)).collect(),
            one_count: Constant::new(levels, 1),
            no_count: Constant::new(levels, 0),
            _one: 1,
            _levels: levels as usize,
            _last_level: levels as usize - 1,
            _counts: (requantization - levels + 1) as usize,
            _last_count: (requantization - levels) as usize,
            _affine_at: affine_at,
            _affine_end: affine_at + 1,
            _residual_stages: residual_stages as usize,
            _last_residual: residual_stages as usize - 1,
            _fall_stages: fall_stages as usize,
            _last_fall: fall_stages as usize - 1,
            _stages: stages as usize,
            _last_stage: stages as usize - 1,
            _before_last: stages as usize - 2,
            _planes: d.code_planes as usize,
            _stream_width: d.stream_value_width() as usize,
            _wide: usize::from(d.stream_value_width() > width),
            _exact: usize::from(d.stream_value_width() == width),
            _value_stage: 4,
            _value_end: 5,
            _one_bit: 1,
            _result_width: width as usize,
            _product_width: product as usize,
            _multiplier_width: (d.affine_width - product) as usize,
            _constant_address: d.constant_address_width as usize,
            _constant_width: d.constant_width as usize,
            _channel_address: d.channel_address_width as usize,
            _level_address: (d.channel_address_width + levels - 1) as usize,
            _table_address: d.table_address_width as usize,
            _table_sum: table_sum as usize,
            _table_past: (table_sum - d.table_address_width) as usize,
        }
    }
}

impl Logic for EpilogueLane {
    #[hdl_gen]
    fn update(&mut self) {
        // Stage 1: the column's constant.
        self.constants.clock.next = self.clock.val();
        self.constants.write.next = self.constant_write.val();
        self.constants.write_address.next =
            bits_resize(self.load_address.val(), self._constant_address);
        self.constants.write_value.next = bits_resize(self.load_value.val(), self._constant_width);
        self.constants.read.next = self.flow.val();
        self.constants.read_address.next = self.constant.val();
        // Stages 1 to 3: the bracket.
        self.bracket_3.clock.next = self.clock.val();
        self.bracket_3.enable.next = self.flow.val();
        self.bracket_3.sum.next = self.sum.val();
        self.bracket_3.row_sum.next = self.row_sum.val();
        self.bracket_3.align.next = self.align.val();
        self.bracket_3.constant.next = bits_resize(self.constants.value.val(), self._result_width);

        // Stage 4 waits for what the table says of the residual code.
        self.bracket_4.clock.next = self.clock.val();
        self.bracket_4.enable.next = self.flow.val();
        self.bracket_4.d.next = self.bracket_3.value.val();
        self.residual_4.clock.next = self.clock.val();
        self.residual_4.reset.next = self.no_early.val();
        self.residual_4.enable.next = self.flow.val();
        self.residual_4.d.next = bits_resize(self.table_memory.value.val(), self._result_width);

        // Stage 5: v1, the bracket divided by d_x * d_w and the residual. The division costs no LUT before the adder.
        self.bracket_sign.next = bits_resize(
            self.bracket_4.q.val() >> self.value_top.val(),
            self._one_bit,
        );
        if self.bracket_sign.val().any() {
            self.sign_1.next = self.top_1.val();
            self.sign_2.next = self.top_2.val();
        } else {
            self.sign_1.next = self.none.val();
            self.sign_2.next = self.none.val();
        }
        if self.result_shift.val().get_bit(1) {
            self.divided.next = (self.bracket_4.q.val() >> self.two.val()) | self.sign_2.val();
        } else if self.result_shift.val().get_bit(0) {
            self.divided.next = (self.bracket_4.q.val() >> self.one.val()) | self.sign_1.val();
        } else {
            self.divided.next = self.bracket_4.q.val();
        }
        self.sum_5.clock.next = self.clock.val();
        self.sum_5.enable.next = self.flow.val();
        self.sum_5.d.next = self.residual_4.q.val() + self.divided.val();

        // One threshold level in each of the following stages.
        self.levels.clock.next = self.clock.val();
        self.levels.write_address.next = bits_resize(self.load_address.val(), self._level_address);
        self.levels.write_value.next = bits_resize(self.load_value.val(), self._result_width);
        self.levels.read.next = self.flow.val();
        for b in 0..self._one {
            self.value_at[b].next = self.sum_5.q.val();
            self.found_at[b].next = self.no_count.val();
            self.levels.found[b].next = self.no_count.val();
        }
        for b in 0..self._last_level {
            self.value_line[b].clock.next = self.clock.val();
            self.value_line[b].enable.next = self.flow.val();
            self.value_line[b].d.next = self.value_at[b].val();
            self.value_at[b + 1].next = self.value_line[b].q.val();
            self.found[b].clock.next = self.clock.val();
            self.found[b].enable.next = self.flow.val();
            self.found[b].d.next = self.found_next[b].val();
            self.found_at[b + 1].next = self.found[b].q.val();
            self.levels.found[b + 1].next = self.found_next[b].val();
        }
        for b in 0..self._levels {
            self.levels.write[b].next = self.threshold_write[b].val();
            self.levels.channel[b].next = self.channel[b].val();
            // Two's complement is compared with the sign bit turned round on both sides.
            if (self.value_at[b].val() ^ self.sign_bit.val())
                < (self.levels.value[b].val() ^ self.sign_bit.val())
            {
                self.above[b].next = self.no_count.val();
            } else {
                self.above[b].next = self.one_count.val();
            }
            if self.level_used[b].val().any() {
                self.found_next[b].next =
                    (self.found_at[b].val() << self.one.val()) | self.above[b].val();
            } else {
                self.found_next[b].next = self.found_at[b].val();
            }
        }
        self.used.next = self.no_count.val();
        for b in 0..self._levels {
            if self.level_used[b].val().any() {
                self.used.next = self.used.val() | self.level_bit[b].val();
            }
        }
        for i in 0..self._one {
            self.fall_line[i].d.next = bits_resize(
                self.constants.value.val() >> self.constant_top.val(),
                self._one_bit,
            );
        }
        for i in 0..self._fall_stages {
            self.fall_line[i].clock.next = self.clock.val();
            self.fall_line[i].enable.next = self.flow.val();
        }
        for i in 0..self._last_fall {
            self.fall_line[i + 1].d.next = self.fall_line[i].q.val();
        }
        for i in self._last_fall..self._fall_stages {
            self.falls.next = self.fall_line[i].q.val();
        }
        for b in self._last_level..self._levels {
            if self.falls.val().any() {
                self.count_next.next = self.found_next[b].val() ^ self.used.val();
            } else {
                self.count_next.next = self.found_next[b].val();
            }
        }
        for i in 0..self._counts {
            self.count[i].clock.next = self.clock.val();
            self.count[i].reset.next = self.no_thresholds.val();
            self.count[i].enable.next = self.flow.val();
        }
        for i in 0..self._one {
            self.count[i].d.next = self.count_next.val();
        }
        for i in 0..self._last_count {
            self.count[i + 1].d.next = self.count[i].q.val();
        }

        // Beside the last levels, the affine step.
        for i in self._affine_at..self._affine_end {
            self.affine_channel.next = self.channel[i].val();
            self.affine_value.next = self.value_at[i].val();
        }
        self.affine_memory.clock.next = self.clock.val();
        self.affine_memory.write.next = self.affine_write.val();
        self.affine_memory.write_address.next =
            bits_resize(self.load_address.val(), self._channel_address);
        self.affine_memory.write_value.next = self.load_value.val();
        self.affine_memory.read.next = self.flow.val();
        self.affine_memory.read_address.next = self.affine_channel.val();
        self.product.clock.next = self.clock.val();
        self.product.enable.next = self.flow.val();
        self.product.clear.next = self.no_affine.val();
        self.product.factor.next = self.affine_value.val();
        self.product.multiplier.next =
            bits_resize(self.affine_memory.value.val(), self._multiplier_width);
        self.product.addend.next = bits_resize(
            self.affine_memory.value.val() >> self.addend_place.val(),
            self._product_width,
        );

        // The residual code meets the table early or late.
        for i in 0..self._residual_stages {
            self.residual_line[i].clock.next = self.clock.val();
            self.residual_line[i].enable.next = self.flow.val();
        }
        for i in 0..self._one {
            self.residual_line[i].d.next = self.residual.val();
        }
        for i in 0..self._last_residual {
            self.residual_line[i + 1].d.next = self.residual_line[i].q.val();
        }
        for i in self._last_residual..self._residual_stages {
            if self.adds_late.val().any() {
                self.residual_now.next = self.residual_line[i].q.val();
            } else {
                self.residual_now.next = self.residual.val();
            }
        }
        self.table_address.clock.next = self.clock.val();
        self.table_address.enable.next = self.flow.val();
        self.table_address.d.next = bits_resize(self.residual_now.val(), self._table_sum)
            + bits_resize(self.table_base.val(), self._table_sum);
        self.table_past.next = bits_resize(
            self.table_address.q.val() >> self.table_top.val(),
            self._table_past,
        )
        .any()
        .into();
        self.table_memory.clock.next = self.clock.val();
        self.table_memory.write.next = self.table_write.val();
        self.table_memory.write_address.next =
            bits_resize(self.load_address.val(), self._table_address);
        self.table_memory.write_value.next =
            bits_resize(self.load_value.val(), self._product_width);
        self.table_memory.read.next = self.flow.val();
        self.table_memory.read_address.next =
            bits_resize(self.table_address.q.val(), self._table_address);
        self.residual_after.clock.next = self.clock.val();
        self.residual_after.reset.next = self.no_late.val();
        self.residual_after.enable.next = self.flow.val();
        self.residual_after.d.next = self.table_memory.value.val();

        // Of the product and the count, one at most is not 0.
        for i in self._last_count..self._counts {
            self.counted.next = self.count[i].q.val();
        }
        self.requantized.next =
            self.product.value.val() | bits_resize(self.counted.val(), self._product_width);
        self.result.clock.next = self.clock.val();
        self.result.enable.next = self.flow.val();
        self.result.d.next = self.requantized.val() + self.residual_after.q.val();

        for i in 0..self._stages {
            self.keep_line[i].clock.next = self.clock.val();
            self.keep_line[i].enable.next = self.flow.val();
        }
        for i in 0..self._one {
            self.keep_line[i].d.next = self.keep.val();
        }
        for i in 0..self._last_stage {
            self.keep_line[i + 1].d.next = self.keep_line[i].q.val();
        }
        for i in self._value_stage..self._value_end {
            self.value_keep.next = self.keep_line[i].q.val();
        }
        for i in self._before_last..self._last_stage {
            self.rounding.keep.next = self.keep_line[i].q.val();
        }
        for i in self._last_stage..self._stages {
            self.code_keep.next = self.keep_line[i].q.val();
        }
        self.rounding.clock.next = self.clock.val();
        self.rounding.enable.next = self.flow.val();
        self.rounding.value.next = self.result.q.val();
        self.rounding.shift.next = self.shift.val();
        self.rounding.round_even.next = self.round_even.val();
        self.rounding.offset.next = self.offset.val();
        self.rounding.code_min.next = self.code_min.val();
        self.rounding.code_max.next = self.code_max.val();
        self.planes.next = bits_resize(self.rounding.code.val(), self._planes);

        for _i in 0..self._wide {
            self.value_sign.next =
                bits_resize(self.sum_5.q.val() >> self.value_top.val(), self._one_bit);
            if self.value_sign.val().any() {
                self.value_wide.next = (!(bits_resize(self.zero.val(), self._stream_width))
                    << self.value_top.val())
                    | bits_resize(self.sum_5.q.val(), self._stream_width);
            } else {
                self.value_wide.next = bits_resize(self.sum_5.q.val(), self._stream_width);
            }
        }
        for _i in 0..self._exact {
            self.value_sign.next = self.zero.val();
            self.value_wide.next = bits_resize(self.sum_5.q.val(), self._stream_width);
        }
        if self.raw.val().any() {
            self.stream_value.next = self.value_wide.val();
            self.stream_keep.next = self.value_keep.val();
        } else {
            self.stream_value.next = bits_resize(self.rounding.code.val(), self._stream_width);
            self.stream_keep.next = self.code_keep.val();
        }
    }
}
