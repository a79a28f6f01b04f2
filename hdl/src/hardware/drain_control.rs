//! Decides when the pipeline moves, when a finished tile enters the drain, and when a row leaves it.

use super::control_stage::entry_word_width;
use crate::config::Design;
use crate::rtl::prelude::*;

/// The control between the accumulators and the epilogue.
///
/// A finished tile waits in the accumulators (`done`) until the drain is empty or its last row leaves; only then
/// does the pipeline stand still. `advance` depends on registers alone.
#[derive(Clone, Debug, LogicBlock)]
pub struct DrainControl {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears `done` and `busy`.
    pub reset: Net<In>,
    /// A beat leaves the popcounts' pipelines.
    pub valid: Net<In>,
    /// It is its tile's last.
    pub last: Net<In>,
    /// Its alignment.
    pub align: Net<In>,
    /// Its log2(d_x * d_w).
    pub result_shift: Net<In>,
    /// Its constant entries, one for each row.
    pub entry: Net<In>,
    /// The epilogue can take a row.
    pub epilogue_ready: Net<In>,
    /// The pipeline moves.
    pub advance: Net<Out>,
    /// The drain takes the finished tile.
    pub load: Net<Out>,
    /// The drain takes something.
    pub move_drain: Net<Out>,
    /// A row leaves the drain.
    pub row_leaves: Net<Out>,
    /// It is the tile's last.
    pub last_row: Net<Out>,
    /// The draining tile's alignment.
    pub row_align: Net<Out>,
    /// The draining tile's log2(d_x * d_w).
    pub row_result_shift: Net<Out>,
    /// The leaving row's constant entry.
    pub row_entry: Net<Out>,
    done: EnabledResetRegister,
    done_align: EnabledRegister,
    done_result_shift: EnabledRegister,
    done_entry: EnabledRegister,
    busy: ResetRegister,
    remaining: EnabledRegister,
    drain_align: EnabledRegister,
    drain_result_shift: EnabledRegister,
    drain_entry: EnabledRegister,
    rows_left: Assertion,
    can_load: Net<Local>,
    loads: Net<Local>,
    moves: Net<Local>,
    leaves: Net<Local>,
    at_last_row: Net<Local>,
    one_row: Constant,
    all_rows: Constant,
    entry_bits: Constant,
    zero: Constant,
    one: Constant,
    _entry_width: usize,
}

impl DrainControl {
    /// The control of a design.
    pub fn new(design: &Design) -> Self {
        let (align, entries) = (design.align_width, entry_word_width(design));
        let (counter, rows) = (design.row_counter_width, design.config().rows);
        DrainControl {
            shape: Shape::new(
                format!("drain_control_r{rows}"),
                "Decides when the pipeline moves, a finished tile enters the drain, and a row leaves it.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            valid: Net::new(1),
            last: Net::new(1),
            align: Net::new(align),
            result_shift: Net::new(2),
            entry: Net::new(entries),
            epilogue_ready: Net::new(1),
            advance: Net::new(1),
            load: Net::new(1),
            move_drain: Net::new(1),
            row_leaves: Net::new(1),
            last_row: Net::new(1),
            row_align: Net::new(align),
            row_result_shift: Net::new(2),
            row_entry: Net::new(design.entry_width),
            done: EnabledResetRegister::new(1),
            done_align: EnabledRegister::new(align),
            done_result_shift: EnabledRegister::new(2),
            done_entry: EnabledRegister::new(entries),
            busy: ResetRegister::new(1),
            remaining: EnabledRegister::new(counter),
            drain_align: EnabledRegister::new(align),
            drain_result_shift: EnabledRegister::new(2),
            drain_entry: EnabledRegister::new(entries),
            rows_left: Assertion::new("rows_left"),
            can_load: Net::new(1),
            loads: Net::new(1),
            moves: Net::new(1),
            leaves: Net::new(1),
            at_last_row: Net::new(1),
            one_row: Constant::new(counter, 1),
            all_rows: Constant::new(counter, rows.into()),
            entry_bits: Constant::new(32, design.entry_width.into()),
            zero: Constant::new(1, 0),
            one: Constant::new(1, 1),
            _entry_width: design.entry_width as usize,
        }
    }
}

impl Logic for DrainControl {
    #[hdl_gen]
    fn update(&mut self) {
        self.leaves.next = self.busy.q.val() & self.epilogue_ready.val();
        self.at_last_row.next = (self.remaining.q.val() == self.one_row.val()).into();
        self.can_load.next = (!self.busy.q.val()) | (self.leaves.val() & self.at_last_row.val());
        self.loads.next = self.done.q.val() & self.can_load.val();
        self.moves.next = self.loads.val() | self.leaves.val();

        self.done.clock.next = self.clock.val();
        self.done.reset.next = self.reset.val();
        self.done.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done.d.next = self.valid.val() & self.last.val();
        self.done_align.clock.next = self.clock.val();
        self.done_align.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done_align.d.next = self.align.val();
        self.done_result_shift.clock.next = self.clock.val();
        self.done_result_shift.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done_result_shift.d.next = self.result_shift.val();
        self.done_entry.clock.next = self.clock.val();
        self.done_entry.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done_entry.d.next = self.entry.val();

        self.busy.clock.next = self.clock.val();
        self.busy.reset.next = self.reset.val();
        if self.loads.val().any() {
            self.busy.d.next = self.one.val();
        } else if (self.leaves.val() & self.at_last_row.val()).any() {
            self.busy.d.next = self.zero.val();
        } else {
            self.busy.d.next = self.busy.q.val();
        }
        self.remaining.clock.next = self.clock.val();
        self.remaining.enable.next = self.moves.val();
        self.drain_entry.clock.next = self.clock.val();
        self.drain_entry.enable.next = self.moves.val();
        if self.loads.val().any() {
            self.remaining.d.next = self.all_rows.val();
            self.drain_entry.d.next = self.done_entry.q.val();
        } else {
            self.remaining.d.next = self.remaining.q.val() - self.one_row.val();
            self.drain_entry.d.next = self.drain_entry.q.val() >> self.entry_bits.val();
        }
        self.drain_align.clock.next = self.clock.val();
        self.drain_align.enable.next = self.loads.val();
        self.drain_align.d.next = self.done_align.q.val();
        self.drain_result_shift.clock.next = self.clock.val();
        self.drain_result_shift.enable.next = self.loads.val();
        self.drain_result_shift.d.next = self.done_result_shift.q.val();

        self.advance.next = (!self.done.q.val()) | self.can_load.val();
        self.load.next = self.loads.val();
        self.move_drain.next = self.moves.val();
        self.row_leaves.next = self.leaves.val();
        self.last_row.next = self.at_last_row.val();
        self.row_align.next = self.drain_align.q.val();
        self.row_result_shift.next = self.drain_result_shift.q.val();
        self.row_entry.next = bits_resize(self.drain_entry.q.val(), self._entry_width);

        self.rows_left.clock.next = self.clock.val();
        self.rows_left.start.next = self.reset.val();
        self.rows_left.fails.next = self.busy.q.val() & (!self.remaining.q.val().any()).into();
    }
}
