//! From sums to results: alignment, column constant, row term, division by d_x * d_w.

use super::ConstantMemory;
use crate::config::Design;
use crate::rtl::prelude::*;

/// One column of the epilogue: `value = (4 * (sum >> align) + constant - 2 * row_term) >>> result_shift`, in two
/// stages.
#[derive(Clone, Debug, LogicBlock)]
pub struct EpilogueColumn {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stage 1 takes a row.
    pub take_row: Net<In>,
    /// Stage 2 takes what stage 1 holds.
    pub take_aligned: Net<In>,
    /// The column's drained sum.
    pub sum: Net<In>,
    /// Its alignment.
    pub align: Net<In>,
    /// The constant's entry.
    pub entry: Net<In>,
    /// Twice the aligned row term, as stage 1 holds it.
    pub row_term: Net<In>,
    /// log2(d_x * d_w) of what stage 2 holds.
    pub result_shift: Net<In>,
    /// Writes a constant.
    pub constant_write: Net<In>,
    /// Where.
    pub constant_entry: Net<In>,
    /// What.
    pub constant_value: Net<In>,
    /// The result of what stage 2 holds, in two's complement.
    pub value: Net<Out>,
    constant: ConstantMemory,
    aligned: EnabledRegister,
    bracket: EnabledRegister,
    sign_1: Net<Local>,
    sign_2: Net<Local>,
    sign_bit: Constant,
    top_1: Constant,
    top_2: Constant,
    none: Constant,
    one: Constant,
    two: Constant,
    _result_width: usize,
}

impl EpilogueColumn {
    /// A column of a design.
    pub fn new(design: &Design) -> Self {
        let width = design.result_width;
        let (sum, align, entry) = (design.sum_width(), design.align_width, design.entry_width);
        EpilogueColumn {
            shape: Shape::new(
                format!("epilogue_column_s{sum}_w{width}"),
                "value = (4 * (sum >> align) + constant - row_term) >>> result_shift, in two stages.",
            ),
            clock: Signal::default(),
            take_row: Net::new(1),
            take_aligned: Net::new(1),
            sum: Net::new(sum),
            align: Net::new(align),
            entry: Net::new(entry),
            row_term: Net::new(width),
            result_shift: Net::new(2),
            constant_write: Net::new(1),
            constant_entry: Net::new(entry),
            constant_value: Net::new(width),
            value: Net::new(width),
            constant: ConstantMemory::new(design),
            aligned: EnabledRegister::new(sum),
            bracket: EnabledRegister::new(width),
            sign_1: Net::new(width),
            sign_2: Net::new(width),
            sign_bit: Constant::new(width, 1 << (width - 1)),
            top_1: Constant::new(width, 1 << (width - 1)),
            top_2: Constant::new(width, 3 << (width - 2)),
            none: Constant::new(width, 0),
            one: Constant::new(32, 1),
            two: Constant::new(32, 2),
            _result_width: width as usize,
        }
    }
}

impl Logic for EpilogueColumn {
    #[hdl_gen]
    fn update(&mut self) {
        self.constant.clock.next = self.clock.val();
        self.constant.write.next = self.constant_write.val();
        self.constant.write_entry.next = self.constant_entry.val();
        self.constant.write_value.next = self.constant_value.val();
        self.constant.read.next = self.take_row.val();
        self.constant.read_entry.next = self.entry.val();

        self.aligned.clock.next = self.clock.val();
        self.aligned.enable.next = self.take_row.val();
        self.aligned.d.next = self.sum.val() >> self.align.val();

        self.bracket.clock.next = self.clock.val();
        self.bracket.enable.next = self.take_aligned.val();
        self.bracket.d.next = ((bits_resize(self.aligned.q.val(), self._result_width)
            << self.two.val())
            + self.constant.value.val())
            - self.row_term.val();

        if self.bracket.q.val() >= self.sign_bit.val() {
            self.sign_1.next = self.top_1.val();
            self.sign_2.next = self.top_2.val();
        } else {
            self.sign_1.next = self.none.val();
            self.sign_2.next = self.none.val();
        }
        if self.result_shift.val().get_bit(1) {
            self.value.next = (self.bracket.q.val() >> self.two.val()) | self.sign_2.val();
        } else if self.result_shift.val().get_bit(0) {
            self.value.next = (self.bracket.q.val() >> self.one.val()) | self.sign_1.val();
        } else {
            self.value.next = self.bracket.q.val();
        }
    }
}

/// The epilogue of all columns, and the row term that they share.
#[derive(Clone, Debug, LogicBlock)]
pub struct Epilogue {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears both stages' valids.
    pub reset: Net<In>,
    /// A row leaves the drain.
    pub row_leaves: Net<In>,
    /// It is its tile's last.
    pub last_row: Net<In>,
    /// Its alignment.
    pub align: Net<In>,
    /// Its log2(d_x * d_w).
    pub result_shift: Net<In>,
    /// Its constant entry.
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
    /// What takes the results has room.
    pub out_ready: Net<In>,
    /// A row may leave the drain.
    pub ready: Net<Out>,
    /// A row of results is there.
    pub out_valid: Net<Out>,
    /// It is its tile's last.
    pub out_last: Net<Out>,
    /// The results.
    pub out_value: Vec<Net<Out>>,
    column: Vec<EpilogueColumn>,
    e1_valid: EnabledResetRegister,
    e1_last: EnabledRegister,
    e1_shift: EnabledRegister,
    e1_row: EnabledRegister,
    e2_valid: EnabledResetRegister,
    e2_last: EnabledRegister,
    e2_shift: EnabledRegister,
    e1_ready: Net<Local>,
    e2_ready: Net<Local>,
    take_aligned: Net<Local>,
    row_term: Net<Local>,
    one: Constant,
    _columns: usize,
    _result_width: usize,
}

impl Epilogue {
    /// The epilogue of a design.
    pub fn new(design: &Design) -> Self {
        let columns = design.config().columns;
        let width = design.result_width;
        Epilogue {
            shape: Shape::new(
                format!("epilogue_c{columns}_w{width}"),
                "From sums to results: alignment, column constants, row term, division.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            row_leaves: Net::new(1),
            last_row: Net::new(1),
            align: Net::new(design.align_width),
            result_shift: Net::new(2),
            entry: Net::new(design.entry_width),
            sum: Net::vector(columns, design.sum_width()),
            row_sum: Net::new(design.row_sum_width()),
            constant_write: Net::new(1),
            constant_entry: Net::new(design.entry_width),
            constant_value: Net::vector(columns, width),
            out_ready: Net::new(1),
            ready: Net::new(1),
            out_valid: Net::new(1),
            out_last: Net::new(1),
            out_value: Net::vector(columns, width),
            column: (0..columns).map(|_| EpilogueColumn::new(design)).collect(),
            e1_valid: EnabledResetRegister::new(1),
            e1_last: EnabledRegister::new(1),
            e1_shift: EnabledRegister::new(2),
            e1_row: EnabledRegister::new(design.row_sum_width()),
            e2_valid: EnabledResetRegister::new(1),
            e2_last: EnabledRegister::new(1),
            e2_shift: EnabledRegister::new(2),
            e1_ready: Net::new(1),
            e2_ready: Net::new(1),
            take_aligned: Net::new(1),
            row_term: Net::new(width),
            one: Constant::new(32, 1),
            _columns: columns as usize,
            _result_width: width as usize,
        }
    }
}

impl Logic for Epilogue {
    #[hdl_gen]
    fn update(&mut self) {
        self.e2_ready.next = (!self.e2_valid.q.val()) | self.out_ready.val();
        self.e1_ready.next = (!self.e1_valid.q.val()) | self.e2_ready.val();
        self.take_aligned.next = self.e1_valid.q.val() & self.e2_ready.val();

        self.e1_valid.clock.next = self.clock.val();
        self.e1_valid.reset.next = self.reset.val();
        self.e1_valid.enable.next = self.e1_ready.val();
        self.e1_valid.d.next = self.row_leaves.val();
        self.e1_last.clock.next = self.clock.val();
        self.e1_last.enable.next = self.row_leaves.val();
        self.e1_last.d.next = self.last_row.val();
        self.e1_shift.clock.next = self.clock.val();
        self.e1_shift.enable.next = self.row_leaves.val();
        self.e1_shift.d.next = self.result_shift.val();
        self.e1_row.clock.next = self.clock.val();
        self.e1_row.enable.next = self.row_leaves.val();
        self.e1_row.d.next = self.row_sum.val() >> self.align.val();

        self.e2_valid.clock.next = self.clock.val();
        self.e2_valid.reset.next = self.reset.val();
        self.e2_valid.enable.next = self.e2_ready.val();
        self.e2_valid.d.next = self.e1_valid.q.val();
        self.e2_last.clock.next = self.clock.val();
        self.e2_last.enable.next = self.take_aligned.val();
        self.e2_last.d.next = self.e1_last.q.val();
        self.e2_shift.clock.next = self.clock.val();
        self.e2_shift.enable.next = self.take_aligned.val();
        self.e2_shift.d.next = self.e1_shift.q.val();

        self.row_term.next = bits_resize(self.e1_row.q.val(), self._result_width) << self.one.val();
        for c in 0..self._columns {
            self.column[c].clock.next = self.clock.val();
            self.column[c].take_row.next = self.row_leaves.val();
            self.column[c].take_aligned.next = self.take_aligned.val();
            self.column[c].sum.next = self.sum[c].val();
            self.column[c].align.next = self.align.val();
            self.column[c].entry.next = self.entry.val();
            self.column[c].row_term.next = self.row_term.val();
            self.column[c].result_shift.next = self.e2_shift.q.val();
            self.column[c].constant_write.next = self.constant_write.val();
            self.column[c].constant_entry.next = self.constant_entry.val();
            self.column[c].constant_value.next = self.constant_value[c].val();
            self.out_value[c].next = self.column[c].value.val();
        }
        self.ready.next = self.e1_ready.val();
        self.out_valid.next = self.e2_valid.q.val();
        self.out_last.next = self.e2_last.q.val();
    }
}
