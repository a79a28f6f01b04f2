//! The control of the beats that are in the popcounts' pipelines.

use crate::config::Design;
use crate::rtl::prelude::*;

/// A beat's control, delayed by the popcounts' pipeline stages. What rows need behind the drain waits in `TileQueue`.
#[derive(Clone, Debug, LogicBlock)]
pub struct BeatLine {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// Lets it move.
    pub advance: Net<In>,
    /// A beat enters.
    pub valid: Net<In>,
    /// First beat of its tile.
    pub first: Net<In>,
    /// Last beat of its tile.
    pub last: Net<In>,
    /// Shift, one-hot.
    pub shift: Net<In>,
    /// The row count is doubled.
    pub twice: Net<In>,
    /// A beat leaves.
    pub leaves_valid: Net<Out>,
    /// As `first`.
    pub leaves_first: Net<Out>,
    /// As `last`.
    pub leaves_last: Net<Out>,
    /// As `shift`.
    pub leaves_shift: Net<Out>,
    /// As `twice`.
    pub leaves_twice: Net<Out>,
    valid_r: Vec<EnabledResetRegister>,
    first_r: Vec<EnabledRegister>,
    last_r: Vec<EnabledRegister>,
    shift_r: Vec<EnabledRegister>,
    twice_r: Vec<EnabledRegister>,
    _one: usize,
    _last_stage: usize,
    _stages: usize,
}

impl BeatLine {
    /// The line of a design.
    pub fn new(design: &Design) -> Self {
        let stages = design.latency();
        let shift = design.shift_amounts.len() as u32;
        BeatLine {
            shape: Shape::new(
                format!("beat_line_d{stages}"),
                "Control of the beats that are in the popcounts' pipelines.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            advance: Net::new(1),
            valid: Net::new(1),
            first: Net::new(1),
            last: Net::new(1),
            shift: Net::new(shift),
            twice: Net::new(1),
            leaves_valid: Net::new(1),
            leaves_first: Net::new(1),
            leaves_last: Net::new(1),
            leaves_shift: Net::new(shift),
            leaves_twice: Net::new(1),
            valid_r: EnabledResetRegister::vector(stages, 1),
            first_r: EnabledRegister::vector(stages, 1),
            last_r: EnabledRegister::vector(stages, 1),
            shift_r: EnabledRegister::vector(stages, shift),
            twice_r: EnabledRegister::vector(stages, 1),
            _one: 1,
            _last_stage: stages as usize - 1,
            _stages: stages as usize,
        }
    }
}

impl Logic for BeatLine {
    #[hdl_gen]
    fn update(&mut self) {
        for s in 0..self._stages {
            self.valid_r[s].clock.next = self.clock.val();
            self.valid_r[s].reset.next = self.reset.val();
            self.valid_r[s].enable.next = self.advance.val();
            self.first_r[s].clock.next = self.clock.val();
            self.first_r[s].enable.next = self.advance.val();
            self.last_r[s].clock.next = self.clock.val();
            self.last_r[s].enable.next = self.advance.val();
            self.shift_r[s].clock.next = self.clock.val();
            self.shift_r[s].enable.next = self.advance.val();
            self.twice_r[s].clock.next = self.clock.val();
            self.twice_r[s].enable.next = self.advance.val();
        }
        for s in 0..self._one {
            self.valid_r[s].d.next = self.valid.val();
            self.first_r[s].d.next = self.first.val();
            self.last_r[s].d.next = self.last.val();
            self.shift_r[s].d.next = self.shift.val();
            self.twice_r[s].d.next = self.twice.val();
        }
        for s in 0..self._last_stage {
            self.valid_r[s + 1].d.next = self.valid_r[s].q.val();
            self.first_r[s + 1].d.next = self.first_r[s].q.val();
            self.last_r[s + 1].d.next = self.last_r[s].q.val();
            self.shift_r[s + 1].d.next = self.shift_r[s].q.val();
            self.twice_r[s + 1].d.next = self.twice_r[s].q.val();
        }
        for s in self._last_stage..self._stages {
            self.leaves_valid.next = self.valid_r[s].q.val();
            self.leaves_first.next = self.first_r[s].q.val();
            self.leaves_last.next = self.last_r[s].q.val();
            self.leaves_shift.next = self.shift_r[s].q.val();
            self.leaves_twice.next = self.twice_r[s].q.val();
        }
    }
}
