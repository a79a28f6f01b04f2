//! Decides when the array moves, when a finished tile enters the drain, and when columns leave it.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::config::bits_for;
use crate::rtl::prelude::*;

/// The control between the accumulators and the epilogue: that of the array alone (`DrainControl`), with the number of a
/// tile's rows given at run time and `drain_columns` columns to a step.
///
/// `advance` depends on registers alone, as long as `flow` and `row_ready` do.
#[derive(Clone, Debug, LogicBlock)]
pub struct TileDrain {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears `done` and `busy`.
    pub reset: Net<In>,
    /// A beat leaves the popcounts' pipelines.
    pub valid: Net<In>,
    /// It is its tile's last.
    pub last: Net<In>,
    /// Its tile is of the last column tile.
    pub last_column: Net<In>,
    /// Its tile is of the last row tile.
    pub last_row: Net<In>,
    /// The epilogue moves.
    pub flow: Net<In>,
    /// All that the row needs to leave stands ready.
    pub row_ready: Net<In>,
    /// Rows of the last row tile.
    pub last_rows: Net<In>,
    /// Valid columns of the last column tile.
    pub last_columns: Net<In>,
    /// Plane groups that are written for each row. Absent where they are never more than the steps of a row.
    pub out_groups: Vec<Net<In>>,
    /// The array moves.
    pub advance: Net<Out>,
    /// The drain takes the finished tile.
    pub load: Net<Out>,
    /// The drain takes something.
    pub move_drain: Net<Out>,
    /// The row units' drain takes something.
    pub move_row: Net<Out>,
    /// Columns leave the drain.
    pub step: Net<Out>,
    /// They are their row's last.
    pub row_end: Net<Out>,
    /// They are their tile's last.
    pub tile_end: Net<Out>,
    /// They are the last of their row tile: those of its last column tile.
    pub column_end: Net<Out>,
    /// They are the last of all.
    pub final_end: Net<Out>,
    /// With them the last valid value of all leaves.
    pub final_value: Net<Out>,
    /// The first of them.
    pub column: Net<Out>,
    /// Which of them are valid.
    pub keep: Vec<Net<Out>>,
    /// Rows of the tile in the drain.
    pub tile_rows: Net<Out>,
    /// It is of the last column tile.
    pub tile_last_column: Net<Out>,
    done: EnabledResetRegister,
    done_last_column: EnabledRegister,
    done_last_row: EnabledRegister,
    busy: ResetRegister,
    rows: EnabledRegister,
    rows_left: EnabledRegister,
    column_r: EnabledResetRegister,
    drain_last_column: EnabledRegister,
    drain_last_row: EnabledRegister,
    gap: Vec<EnabledResetRegister>,
    gap_rest: Net<Local>,
    may_start: Net<Local>,
    first_step: Net<Local>,
    steps: Net<Local>,
    last_step: Net<Local>,
    ends_row: Net<Local>,
    final_row: Net<Local>,
    at_last_row: Net<Local>,
    ends_tile: Net<Local>,
    can_load: Net<Local>,
    loads: Net<Local>,
    moves: Net<Local>,
    count: Net<Local>,
    lane_column: Vec<Net<Local>>,
    end_column: Net<Local>,
    all_rows: Constant,
    one_row: Constant,
    last_index: Constant,
    first_index: Constant,
    step_columns: Constant,
    step_end: Constant,
    lane_index: Vec<Constant>,
    one_group: Constant,
    one_bit: Constant,
    zero: Constant,
    one: Constant,
    _lanes: usize,
    _spaced: usize,
    _close: usize,
    _end_width: usize,
}

impl TileDrain {
    /// The control of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let counter = d.design().row_counter_width;
        let (lanes, columns) = (d.config().drain_columns, c.columns);
        let column = bits_for((columns - lanes).into());
        let end = Field::LastColumns.width(d);
        let groups = Field::OutGroups.width(d);
        let spaced = d.rows_are_spaced();
        TileDrain {
            shape: Shape::new(
                format!("tile_drain_r{}_c{columns}_e{lanes}", c.rows),
                "Decides when the array moves, a finished tile enters the drain, and columns leave it.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            valid: Net::new(1),
            last: Net::new(1),
            last_column: Net::new(1),
            last_row: Net::new(1),
            flow: Net::new(1),
            row_ready: Net::new(1),
            last_rows: Net::new(counter),
            last_columns: Net::new(end),
            out_groups: Net::vector(spaced.into(), groups),
            advance: Net::new(1),
            load: Net::new(1),
            move_drain: Net::new(1),
            move_row: Net::partly_unused(1, "where a row is one step, it is move_drain"),
            step: Net::new(1),
            row_end: Net::new(1),
            tile_end: Net::new(1),
            column_end: Net::new(1),
            final_end: Net::new(1),
            final_value: Net::new(1),
            column: Net::new(column),
            keep: Net::vector(lanes, 1),
            tile_rows: Net::new(counter),
            tile_last_column: Net::new(1),
            done: EnabledResetRegister::new(1),
            done_last_column: EnabledRegister::new(1),
            done_last_row: EnabledRegister::new(1),
            busy: ResetRegister::new(1),
            rows: EnabledRegister::new(counter),
            rows_left: EnabledRegister::new(counter),
            column_r: EnabledResetRegister::new(column),
            drain_last_column: EnabledRegister::new(1),
            drain_last_row: EnabledRegister::new(1),
            gap: EnabledResetRegister::vector(spaced.into(), groups),
            gap_rest: Net::new(1),
            may_start: Net::new(1),
            first_step: Net::new(1),
            steps: Net::new(1),
            last_step: Net::new(1),
            ends_row: Net::new(1),
            final_row: Net::new(1),
            at_last_row: Net::new(1),
            ends_tile: Net::new(1),
            can_load: Net::new(1),
            loads: Net::new(1),
            moves: Net::new(1),
            count: Net::new(counter),
            lane_column: Net::vector(lanes, end),
            end_column: Net::new(end),
            all_rows: Constant::new(counter, c.rows.into()),
            one_row: Constant::new(counter, 1),
            last_index: Constant::new(column, (columns - lanes).into()),
            first_index: Constant::new(column, 0),
            // Where a row is one step, the counter stands still.
            step_columns: Constant::new(column, (lanes % columns).into()),
            step_end: Constant::new(end, lanes.into()),
            lane_index: (0..lanes).map(|e| Constant::new(end, e.into())).collect(),
            one_group: Constant::new(groups, 1),
            one_bit: Constant::new(32, 1),
            zero: Constant::new(1, 0),
            one: Constant::new(1, 1),
            _lanes: lanes as usize,
            _spaced: spaced.into(),
            _close: (!spaced).into(),
            _end_width: end as usize,
        }
    }
}

impl Logic for TileDrain {
    #[hdl_gen]
    fn update(&mut self) {
        self.first_step.next = (self.column_r.q.val() == self.first_index.val()).into();
        self.last_step.next = (self.column_r.q.val() == self.last_index.val()).into();
        for i in 0..self._spaced {
            self.gap_rest.next = (self.gap[i].q.val() >> self.one_bit.val()).any().into();
            self.may_start.next = (!self.first_step.val()) | (!self.gap_rest.val());
        }
        for _i in 0..self._close {
            self.gap_rest.next = self.zero.val();
            self.may_start.next = self.one.val();
        }
        self.steps.next =
            ((self.busy.q.val() & self.flow.val()) & self.row_ready.val()) & self.may_start.val();
        self.ends_row.next = self.steps.val() & self.last_step.val();
        self.at_last_row.next = (self.rows_left.q.val() == self.one_row.val()).into();
        self.ends_tile.next = self.ends_row.val() & self.at_last_row.val();
        self.can_load.next = (!self.busy.q.val()) | self.ends_tile.val();
        self.loads.next = self.done.q.val() & self.can_load.val();
        self.moves.next = self.loads.val() | self.ends_row.val();

        self.done.clock.next = self.clock.val();
        self.done.reset.next = self.reset.val();
        self.done.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done.d.next = self.valid.val() & self.last.val();
        self.done_last_column.clock.next = self.clock.val();
        self.done_last_column.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done_last_column.d.next = self.last_column.val();
        self.done_last_row.clock.next = self.clock.val();
        self.done_last_row.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done_last_row.d.next = self.last_row.val();

        self.busy.clock.next = self.clock.val();
        self.busy.reset.next = self.reset.val();
        self.busy.d.next = self.loads.val() | (self.busy.q.val() & (!self.ends_tile.val()));
        if self.done_last_row.q.val().any() {
            self.count.next = self.last_rows.val();
        } else {
            self.count.next = self.all_rows.val();
        }
        self.rows.clock.next = self.clock.val();
        self.rows.enable.next = self.loads.val();
        self.rows.d.next = self.count.val();
        self.rows_left.clock.next = self.clock.val();
        self.rows_left.enable.next = self.moves.val();
        if self.loads.val().any() {
            self.rows_left.d.next = self.count.val();
        } else {
            self.rows_left.d.next = self.rows_left.q.val() - self.one_row.val();
        }
        self.drain_last_column.clock.next = self.clock.val();
        self.drain_last_column.enable.next = self.loads.val();
        self.drain_last_column.d.next = self.done_last_column.q.val();
        self.drain_last_row.clock.next = self.clock.val();
        self.drain_last_row.enable.next = self.loads.val();
        self.drain_last_row.d.next = self.done_last_row.q.val();
        self.column_r.clock.next = self.clock.val();
        self.column_r.reset.next = self.reset.val();
        self.column_r.enable.next = self.steps.val();
        if self.last_step.val().any() {
            self.column_r.d.next = self.first_index.val();
        } else {
            self.column_r.d.next = self.column_r.q.val() + self.step_columns.val();
        }
        for i in 0..self._spaced {
            self.gap[i].clock.next = self.clock.val();
            self.gap[i].reset.next = self.reset.val();
            self.gap[i].enable.next = self.flow.val();
            if (self.steps.val() & self.first_step.val()).any() {
                self.gap[i].d.next = self.out_groups[i].val();
            } else if self.gap_rest.val().any() {
                self.gap[i].d.next = self.gap[i].q.val() - self.one_group.val();
            } else {
                self.gap[i].d.next = self.gap[i].q.val();
            }
        }

        for e in 0..self._lanes {
            self.lane_column[e].next =
                bits_resize(self.column_r.q.val(), self._end_width) + self.lane_index[e].val();
            if self.drain_last_column.q.val().any() {
                self.keep[e].next = (self.lane_column[e].val() < self.last_columns.val()).into();
            } else {
                self.keep[e].next = self.one.val();
            }
        }
        self.end_column.next =
            bits_resize(self.column_r.q.val(), self._end_width) + self.step_end.val();
        self.final_row.next =
            (self.drain_last_column.q.val() & self.drain_last_row.q.val()) & self.at_last_row.val();
        if self.end_column.val() < self.last_columns.val() {
            self.final_value.next = self.zero.val();
        } else {
            self.final_value.next = self.final_row.val();
        }

        self.advance.next = (!self.done.q.val()) | self.can_load.val();
        self.load.next = self.loads.val();
        self.move_drain.next = self.loads.val() | self.steps.val();
        self.move_row.next = self.moves.val();
        self.step.next = self.steps.val();
        self.row_end.next = self.ends_row.val();
        self.tile_end.next = self.ends_tile.val();
        self.column_end.next = self.ends_tile.val() & self.drain_last_column.q.val();
        self.final_end.next = self.ends_row.val() & self.final_row.val();
        self.column.next = self.column_r.q.val();
        self.tile_rows.next = self.rows.q.val();
        self.tile_last_column.next = self.drain_last_column.q.val();
    }
}
