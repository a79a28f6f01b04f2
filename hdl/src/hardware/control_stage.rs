//! One stage of the control pipeline that runs beside the popcounts.

use crate::config::Design;
use crate::rtl::prelude::*;

/// A beat's control, delayed by one cycle in which the pipeline moves.
#[derive(Clone, Debug, LogicBlock)]
pub struct ControlStage {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Clears `stage_valid`.
    pub reset: Net<In>,
    /// Lets the stage take its inputs.
    pub advance: Net<In>,
    /// The beat is there.
    pub valid: Net<In>,
    /// First beat of its tile.
    pub first: Net<In>,
    /// Last beat of its tile.
    pub last: Net<In>,
    /// Shift, one-hot.
    pub shift: Net<In>,
    /// The row count is doubled.
    pub twice: Net<In>,
    /// Alignment of the tile's sums.
    pub align: Net<In>,
    /// log2(d_x * d_w).
    pub result_shift: Net<In>,
    /// Constant entries, one for each row.
    pub entry: Net<In>,
    /// `valid`, delayed.
    pub stage_valid: Net<Out>,
    /// `first`, delayed.
    pub stage_first: Net<Out>,
    /// `last`, delayed.
    pub stage_last: Net<Out>,
    /// `shift`, delayed.
    pub stage_shift: Net<Out>,
    /// `twice`, delayed.
    pub stage_twice: Net<Out>,
    /// `align`, delayed.
    pub stage_align: Net<Out>,
    /// `result_shift`, delayed.
    pub stage_result_shift: Net<Out>,
    /// `entry`, delayed.
    pub stage_entry: Net<Out>,
    valid_r: EnabledResetRegister,
    first_r: EnabledRegister,
    last_r: EnabledRegister,
    shift_r: EnabledRegister,
    twice_r: EnabledRegister,
    align_r: EnabledRegister,
    result_shift_r: EnabledRegister,
    entry_r: EnabledRegister,
}

impl ControlStage {
    /// A stage of a design.
    pub fn new(design: &Design) -> Self {
        let shift = design.shift_amounts.len() as u32;
        let (align, entry) = (design.align_width, entry_word_width(design));
        ControlStage {
            shape: Shape::new(
                "control_stage",
                "One stage of the control pipeline beside the popcounts.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            advance: Net::new(1),
            valid: Net::new(1),
            first: Net::new(1),
            last: Net::new(1),
            shift: Net::new(shift),
            twice: Net::new(1),
            align: Net::new(align),
            result_shift: Net::new(2),
            entry: Net::new(entry),
            stage_valid: Net::new(1),
            stage_first: Net::new(1),
            stage_last: Net::new(1),
            stage_shift: Net::new(shift),
            stage_twice: Net::new(1),
            stage_align: Net::new(align),
            stage_result_shift: Net::new(2),
            stage_entry: Net::new(entry),
            valid_r: EnabledResetRegister::new(1),
            first_r: EnabledRegister::new(1),
            last_r: EnabledRegister::new(1),
            shift_r: EnabledRegister::new(shift),
            twice_r: EnabledRegister::new(1),
            align_r: EnabledRegister::new(align),
            result_shift_r: EnabledRegister::new(2),
            entry_r: EnabledRegister::new(entry),
        }
    }
}

/// Width of the word that holds one constant entry for each row.
pub(super) fn entry_word_width(design: &Design) -> u32 {
    design.config().rows * design.entry_width
}

impl Logic for ControlStage {
    #[hdl_gen]
    fn update(&mut self) {
        self.valid_r.clock.next = self.clock.val();
        self.valid_r.reset.next = self.reset.val();
        self.valid_r.enable.next = self.advance.val();
        self.valid_r.d.next = self.valid.val();
        self.stage_valid.next = self.valid_r.q.val();
        self.first_r.clock.next = self.clock.val();
        self.first_r.enable.next = self.advance.val();
        self.first_r.d.next = self.first.val();
        self.stage_first.next = self.first_r.q.val();
        self.last_r.clock.next = self.clock.val();
        self.last_r.enable.next = self.advance.val();
        self.last_r.d.next = self.last.val();
        self.stage_last.next = self.last_r.q.val();
        self.shift_r.clock.next = self.clock.val();
        self.shift_r.enable.next = self.advance.val();
        self.shift_r.d.next = self.shift.val();
        self.stage_shift.next = self.shift_r.q.val();
        self.twice_r.clock.next = self.clock.val();
        self.twice_r.enable.next = self.advance.val();
        self.twice_r.d.next = self.twice.val();
        self.stage_twice.next = self.twice_r.q.val();
        self.align_r.clock.next = self.clock.val();
        self.align_r.enable.next = self.advance.val();
        self.align_r.d.next = self.align.val();
        self.stage_align.next = self.align_r.q.val();
        self.result_shift_r.clock.next = self.clock.val();
        self.result_shift_r.enable.next = self.advance.val();
        self.result_shift_r.d.next = self.result_shift.val();
        self.stage_result_shift.next = self.result_shift_r.q.val();
        self.entry_r.clock.next = self.clock.val();
        self.entry_r.enable.next = self.advance.val();
        self.entry_r.d.next = self.entry.val();
        self.stage_entry.next = self.entry_r.q.val();
    }
}
