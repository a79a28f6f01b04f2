//! Steps between the drain of a grid with broadcast stages and the epilogue.

use super::fields::BackFields;
use super::{Flow, Step};
use std::collections::VecDeque;
use xnorforge_hdl::AcceleratorDesign;

/// Steps under way, the oldest first.
#[derive(Clone, Debug)]
pub(super) struct StepBuffer {
    cycle: u64,
    /// The cycle in which a step left the drain, and the step.
    steps: VecDeque<(u64, Step)>,
    credits: usize,
    /// Cycles from the drain to the buffer's port.
    delay: u64,
    spaced: bool,
    /// The step given last does not end its row.
    in_row: bool,
    /// Moves of the epilogue until a row may begin.
    gap: u32,
}

impl StepBuffer {
    /// The buffer of a design; none without broadcast stages.
    pub fn of(d: &AcceleratorDesign) -> Option<Self> {
        let credits = d.step_credits() as usize;
        (d.step_delay() > 0).then(|| StepBuffer {
            cycle: 0,
            steps: VecDeque::with_capacity(credits),
            credits,
            delay: d.step_delay().into(),
            spaced: d.rows_are_spaced(),
            in_row: false,
            gap: 0,
        })
    }

    /// The drain may step.
    pub fn has_credit(&self) -> bool {
        self.steps.len() < self.credits
    }

    /// The oldest step.
    pub fn oldest(&self) -> Option<&Step> {
        self.steps.front().map(|(_, step)| step)
    }

    /// A step stands at the port, and may go.
    pub fn has_step(&self) -> bool {
        let arrived = |(left, _): &(u64, Step)| self.cycle - left >= self.delay;
        let may_start = !self.spaced || self.in_row || self.gap <= 1;
        may_start && self.steps.front().is_some_and(arrived)
    }

    /// The clock edge: a step comes from the drain or none; gives the step that goes to the epilogue.
    pub fn edge(
        &mut self,
        flow: &Flow,
        stepping: Option<Step>,
        fields: &BackFields,
    ) -> Option<Step> {
        if flow.flow && self.spaced {
            if flow.out && !self.in_row {
                self.gap = fields.out_groups;
            } else if self.gap > 1 {
                self.gap -= 1;
            }
        }
        let given = if flow.out {
            self.steps.pop_front().map(|(_, step)| step)
        } else {
            None
        };
        if let Some(step) = &given {
            self.in_row = !step.row_end;
        }
        self.steps.extend(stepping.map(|step| (self.cycle, step)));
        self.cycle += 1;
        given
    }

    pub fn reset(&mut self) {
        self.steps.clear();
        self.in_row = false;
        self.gap = 0;
    }
}
