//! The epilogue without stalls: whoever lets a row in has room for it behind.

use super::lines::{DelayLine, Spread};
use crate::config::Design;
use crate::hardware::ConstantMemory;
use crate::rtl::prelude::*;
use crate::timing::FLOW_STAGES;

/// Columns that share a copy of what all columns need.
const SHARED_SPAN: u32 = 4;

/// One column: `value = (4 * (sum >> align) + constant - 2 * row) >>> result_shift`, one step in each cycle.
#[derive(Clone, Debug, LogicBlock)]
pub struct FlowColumn {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The column's drained sum.
    pub sum: Net<In>,
    /// Its alignment, a cycle later.
    pub align: Net<In>,
    /// The constant's entry, two cycles later.
    pub entry: Net<In>,
    /// The aligned sum of the row unit, four cycles later.
    pub row_aligned: Net<In>,
    /// log2(d_x * d_w), five cycles later.
    pub result_shift: Net<In>,
    /// Writes a constant.
    pub constant_write: Net<In>,
    /// Where.
    pub constant_entry: Net<In>,
    /// What.
    pub constant_value: Net<In>,
    /// The result, six cycles later.
    pub value: Net<Out>,
    constant: ConstantMemory,
    sum_1: PlainRegister,
    align_2: PlainRegister,
    aligned_2: PlainRegister,
    aligned_3: PlainRegister,
    bracket_4: PlainRegister,
    bracket_5: PlainRegister,
    value_6: PlainRegister,
    sign_1: Net<Local>,
    sign_2: Net<Local>,
    sign_bit: Constant,
    top_1: Constant,
    top_2: Constant,
    none: Constant,
    on: Constant,
    one: Constant,
    two: Constant,
    _low: usize,
    _result_width: usize,
}

impl FlowColumn {
    /// A column of a design.
    pub fn new(design: &Design) -> Self {
        let width = design.result_width;
        let (sum, align, entry) = (design.sum_width(), design.align_width, design.entry_width);
        FlowColumn {
            shape: Shape::new(
                format!("flow_column_s{sum}_w{width}"),
                "value = (4 * (sum >> align) + constant - 2 * row) >>> result_shift, in six stages that never stall.",
            ),
            clock: Signal::default(),
            sum: Net::new(sum),
            align: Net::new(align),
            entry: Net::new(entry),
            row_aligned: Net::new(design.row_sum_width()),
            result_shift: Net::new(2),
            constant_write: Net::new(1),
            constant_entry: Net::new(entry),
            constant_value: Net::new(width),
            value: Net::new(width),
            constant: ConstantMemory::new(design),
            sum_1: PlainRegister::new(sum),
            align_2: PlainRegister::new(align),
            aligned_2: PlainRegister::new(sum),
            aligned_3: PlainRegister::new(sum),
            bracket_4: PlainRegister::new(width),
            bracket_5: PlainRegister::new(width),
            value_6: PlainRegister::new(width),
            sign_1: Net::new(width),
            sign_2: Net::new(width),
            sign_bit: Constant::new(width, 1 << (width - 1)),
            top_1: Constant::new(width, 1 << (width - 1)),
            top_2: Constant::new(width, 3 << (width - 2)),
            none: Constant::new(width, 0),
            on: Constant::new(1, 1),
            one: Constant::new(32, 1),
            two: Constant::new(32, 2),
            _low: 2,
            _result_width: width as usize,
        }
    }
}

impl Logic for FlowColumn {
    #[hdl_gen]
    fn update(&mut self) {
        self.sum_1.clock.next = self.clock.val();
        self.sum_1.d.next = self.sum.val();

        // Two steps of the alignment: by 0 to 3, then by multiples of 4.
        self.aligned_2.clock.next = self.clock.val();
        self.aligned_2.d.next = self.sum_1.q.val() >> bits_resize(self.align.val(), self._low);
        self.align_2.clock.next = self.clock.val();
        self.align_2.d.next = (self.align.val() >> self.two.val()) << self.two.val();
        self.aligned_3.clock.next = self.clock.val();
        self.aligned_3.d.next = self.aligned_2.q.val() >> self.align_2.q.val();

        self.constant.clock.next = self.clock.val();
        self.constant.write.next = self.constant_write.val();
        self.constant.write_entry.next = self.constant_entry.val();
        self.constant.write_value.next = self.constant_value.val();
        self.constant.read.next = self.on.val();
        self.constant.read_entry.next = self.entry.val();

        self.bracket_4.clock.next = self.clock.val();
        self.bracket_4.d.next = (bits_resize(self.aligned_3.q.val(), self._result_width)
            << self.two.val())
            + self.constant.value.val();
        self.bracket_5.clock.next = self.clock.val();
        self.bracket_5.d.next = self.bracket_4.q.val()
            - (bits_resize(self.row_aligned.val(), self._result_width) << self.one.val());

        if self.bracket_5.q.val() >= self.sign_bit.val() {
            self.sign_1.next = self.top_1.val();
            self.sign_2.next = self.top_2.val();
        } else {
            self.sign_1.next = self.none.val();
            self.sign_2.next = self.none.val();
        }
        self.value_6.clock.next = self.clock.val();
        if self.result_shift.val().get_bit(1) {
            self.value_6.d.next = (self.bracket_5.q.val() >> self.two.val()) | self.sign_2.val();
        } else if self.result_shift.val().get_bit(0) {
            self.value_6.d.next = (self.bracket_5.q.val() >> self.one.val()) | self.sign_1.val();
        } else {
            self.value_6.d.next = self.bracket_5.q.val();
        }
        self.value.next = self.value_6.q.val();
    }
}

/// The epilogue of all columns, and what they share. A row that stands at its inputs stands at its outputs
/// [`FLOW_STAGES`] cycles later.
#[derive(Clone, Debug, LogicBlock)]
pub struct FlowEpilogue {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears the valids.
    pub reset: Net<In>,
    /// A row leaves the drain; as many cycles before its sums as there are broadcast stages.
    pub row_leaves: Net<In>,
    /// With it: the row is its tile's last.
    pub last_row: Net<In>,
    /// With the sums: their alignment.
    pub align: Net<In>,
    /// With the sums: log2(d_x * d_w).
    pub result_shift: Net<In>,
    /// With the sums: the constant entry.
    pub entry: Net<In>,
    /// The columns' sums.
    pub sum: Vec<Net<In>>,
    /// The row unit's sum.
    pub row_sum: Net<In>,
    /// Writes the constants of one entry.
    pub constant_write: Net<In>,
    /// Which entry.
    pub constant_entry: Net<In>,
    /// One constant for each column.
    pub constant_value: Vec<Net<In>>,
    /// A row of results is there.
    pub out_valid: Net<Out>,
    /// It is its tile's last.
    pub out_last: Net<Out>,
    /// The results.
    pub out_value: Vec<Net<Out>>,
    column: Vec<FlowColumn>,
    valid_line: Vec<ResetRegister>,
    last_line: DelayLine,
    align_1: Spread,
    row_align_1: PlainRegister,
    entry_1: PlainRegister,
    entry_2: Spread,
    row_1: PlainRegister,
    row_align_2: PlainRegister,
    row_2: PlainRegister,
    row_3: PlainRegister,
    row_4: Spread,
    shift_line: DelayLine,
    shift_5: Spread,
    two: Constant,
    _low: usize,
    _one: usize,
    _stages: usize,
    _last_stage: usize,
    _columns: usize,
}

impl FlowEpilogue {
    /// The epilogue of a design with broadcast stages.
    pub fn new(design: &Design) -> Self {
        let columns = design.config().columns;
        let width = design.result_width;
        let (align, entry) = (design.align_width, design.entry_width);
        let row_sum = design.row_sum_width();
        let stages = design.broadcast_stages() + FLOW_STAGES;
        FlowEpilogue {
            shape: Shape::new(
                format!("flow_epilogue_c{columns}_w{width}_d{stages}"),
                "From sums to results, in stages that never stall.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            row_leaves: Net::new(1),
            last_row: Net::new(1),
            align: Net::new(align),
            result_shift: Net::new(2),
            entry: Net::new(entry),
            sum: Net::vector(columns, design.sum_width()),
            row_sum: Net::new(row_sum),
            constant_write: Net::new(1),
            constant_entry: Net::new(entry),
            constant_value: Net::vector(columns, width),
            out_valid: Net::new(1),
            out_last: Net::new(1),
            out_value: Net::vector(columns, width),
            column: (0..columns).map(|_| FlowColumn::new(design)).collect(),
            valid_line: ResetRegister::vector(stages, 1),
            last_line: DelayLine::new(stages, 1),
            align_1: Spread::new(align, columns, SHARED_SPAN),
            row_align_1: PlainRegister::new(align),
            entry_1: PlainRegister::new(entry),
            entry_2: Spread::new(entry, columns, SHARED_SPAN),
            row_1: PlainRegister::new(row_sum),
            row_align_2: PlainRegister::new(align),
            row_2: PlainRegister::new(row_sum),
            row_3: PlainRegister::new(row_sum),
            row_4: Spread::new(row_sum, columns, SHARED_SPAN),
            shift_line: DelayLine::new(4, 2),
            shift_5: Spread::new(2, columns, SHARED_SPAN),
            two: Constant::new(32, 2),
            _low: 2,
            _one: 1,
            _stages: stages as usize,
            _last_stage: stages as usize - 1,
            _columns: columns as usize,
        }
    }
}

impl Logic for FlowEpilogue {
    #[hdl_gen]
    fn update(&mut self) {
        for s in 0..self._stages {
            self.valid_line[s].clock.next = self.clock.val();
            self.valid_line[s].reset.next = self.reset.val();
        }
        for s in 0..self._one {
            self.valid_line[s].d.next = self.row_leaves.val();
        }
        for s in 0..self._last_stage {
            self.valid_line[s + 1].d.next = self.valid_line[s].q.val();
        }
        for s in self._last_stage..self._stages {
            self.out_valid.next = self.valid_line[s].q.val();
        }
        self.last_line.clock.next = self.clock.val();
        self.last_line.word.next = self.last_row.val();
        self.out_last.next = self.last_line.delayed.val();

        self.align_1.clock.next = self.clock.val();
        self.align_1.word.next = self.align.val();
        self.entry_1.clock.next = self.clock.val();
        self.entry_1.d.next = self.entry.val();
        self.entry_2.clock.next = self.clock.val();
        self.entry_2.word.next = self.entry_1.q.val();
        self.shift_line.clock.next = self.clock.val();
        self.shift_line.word.next = self.result_shift.val();
        self.shift_5.clock.next = self.clock.val();
        self.shift_5.word.next = self.shift_line.delayed.val();

        self.row_align_1.clock.next = self.clock.val();
        self.row_align_1.d.next = self.align.val();
        self.row_1.clock.next = self.clock.val();
        self.row_1.d.next = self.row_sum.val();
        self.row_2.clock.next = self.clock.val();
        self.row_align_2.clock.next = self.clock.val();
        self.row_2.d.next = self.row_1.q.val() >> bits_resize(self.row_align_1.q.val(), self._low);
        self.row_align_2.d.next = (self.row_align_1.q.val() >> self.two.val()) << self.two.val();
        self.row_3.clock.next = self.clock.val();
        self.row_3.d.next = self.row_2.q.val() >> self.row_align_2.q.val();
        self.row_4.clock.next = self.clock.val();
        self.row_4.word.next = self.row_3.q.val();

        for c in 0..self._columns {
            self.column[c].clock.next = self.clock.val();
            self.column[c].sum.next = self.sum[c].val();
            self.column[c].align.next = self.align_1.spread[c].val();
            self.column[c].entry.next = self.entry_2.spread[c].val();
            self.column[c].row_aligned.next = self.row_4.spread[c].val();
            self.column[c].result_shift.next = self.shift_5.spread[c].val();
            self.column[c].constant_write.next = self.constant_write.val();
            self.column[c].constant_entry.next = self.constant_entry.val();
            self.column[c].constant_value.next = self.constant_value[c].val();
            self.out_value[c].next = self.column[c].value.val();
        }
    }
}
