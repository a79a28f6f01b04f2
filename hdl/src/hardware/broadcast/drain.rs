//! Decides when the pipeline moves, when a finished tile enters the drain, and when a row leaves it, by credits.

use super::credits::Credits;
use crate::config::Design;
use crate::rtl::prelude::*;
use crate::timing;

/// What `DrainControl` decides, with credits in place of an epilogue that is ready: a row leaves the drain if there will be
/// room for it. Nothing else of the tile is here, so that little hangs on `advance`.
#[derive(Clone, Debug, LogicBlock)]
pub struct CreditDrain {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears `done` and `busy`, and gives all credits back.
    pub reset: Net<In>,
    /// A beat leaves the popcounts' pipelines.
    pub valid: Net<In>,
    /// It is its tile's last.
    pub last: Net<In>,
    /// A row has left the buffer.
    pub taken: Net<In>,
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
    credits: Credits,
    done: EnabledResetRegister,
    busy: ResetRegister,
    remaining: EnabledRegister,
    at_last: EnabledRegister,
    can_load: Net<Local>,
    loads: Net<Local>,
    moves: Net<Local>,
    leaves: Net<Local>,
    ends: Net<Local>,
    one_row: Constant,
    two_rows: Constant,
    all_rows: Constant,
    single: Constant,
}

impl CreditDrain {
    /// The control of a design with broadcast stages.
    pub fn new(design: &Design) -> Self {
        let (counter, rows) = (design.row_counter_width, design.config().rows);
        CreditDrain {
            shape: Shape::new(
                format!("credit_drain_r{rows}_b{}", design.broadcast_stages()),
                "Decides when the pipeline moves, a finished tile enters the drain, and a row leaves it.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            valid: Net::new(1),
            last: Net::new(1),
            taken: Net::new(1),
            advance: Net::new(1),
            load: Net::new(1),
            move_drain: Net::new(1),
            row_leaves: Net::new(1),
            last_row: Net::new(1),
            credits: Credits::new(timing::row_credits(design)),
            done: EnabledResetRegister::new(1),
            busy: ResetRegister::new(1),
            remaining: EnabledRegister::new(counter),
            at_last: EnabledRegister::new(1),
            can_load: Net::new(1),
            loads: Net::new(1),
            moves: Net::new(1),
            leaves: Net::new(1),
            ends: Net::new(1),
            one_row: Constant::new(counter, 1),
            // A counter of one bit counts a single row and never stands at two.
            two_rows: Constant::new(counter, if rows == 1 { 0 } else { 2 }),
            all_rows: Constant::new(counter, rows.into()),
            single: Constant::new(1, u64::from(rows == 1)),
        }
    }
}

impl Logic for CreditDrain {
    #[hdl_gen]
    fn update(&mut self) {
        self.leaves.next = self.busy.q.val() & self.credits.credit.val();
        self.ends.next = self.leaves.val() & self.at_last.q.val();
        self.can_load.next = (!self.busy.q.val()) | self.ends.val();
        self.loads.next = self.done.q.val() & self.can_load.val();
        self.moves.next = self.loads.val() | self.leaves.val();

        self.credits.clock.next = self.clock.val();
        self.credits.reset.next = self.reset.val();
        self.credits.take.next = self.leaves.val();
        self.credits.give.next = self.taken.val();
        self.done.clock.next = self.clock.val();
        self.done.reset.next = self.reset.val();
        self.done.enable.next = (!self.done.q.val()) | self.can_load.val();
        self.done.d.next = self.valid.val() & self.last.val();
        self.busy.clock.next = self.clock.val();
        self.busy.reset.next = self.reset.val();
        self.busy.d.next = self.loads.val() | (self.busy.q.val() & (!self.ends.val()));
        self.remaining.clock.next = self.clock.val();
        self.remaining.enable.next = self.moves.val();
        self.at_last.clock.next = self.clock.val();
        self.at_last.enable.next = self.moves.val();
        if self.loads.val().any() {
            self.remaining.d.next = self.all_rows.val();
            self.at_last.d.next = self.single.val();
        } else {
            self.remaining.d.next = self.remaining.q.val() - self.one_row.val();
            self.at_last.d.next = (self.remaining.q.val() == self.two_rows.val()).into();
        }

        self.advance.next = (!self.done.q.val()) | self.can_load.val();
        self.load.next = self.loads.val();
        self.move_drain.next = self.moves.val();
        self.row_leaves.next = self.leaves.val();
        self.last_row.next = self.at_last.q.val();
    }
}
