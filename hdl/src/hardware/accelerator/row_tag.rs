//! Carries a row's granule beside the epilogue.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;

/// Holds a row's granule for as many steps as a row has, from the row's last step on: rows do not end closer to each
/// other, so that one register does for all stages that lie between.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowTag {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets the rows.
    pub reset: Net<In>,
    /// The epilogue moves.
    pub flow: Net<In>,
    /// A row ends.
    pub row_end: Net<In>,
    /// Its granule.
    pub granule: Net<In>,
    /// The row ended as many steps ago as a row has.
    pub next_row_end: Net<Out>,
    /// Its granule.
    pub next_granule: Net<Out>,
    line: Vec<EnabledResetRegister>,
    held: EnabledRegister,
    _one: usize,
    _steps: usize,
    _last_step: usize,
}

impl RowTag {
    /// A tag of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (steps, width) = (d.drain_steps, d.granule_address_width);
        RowTag {
            shape: Shape::new("row_tag", "Carries a row's granule beside the epilogue."),
            clock: Signal::default(),
            reset: Net::new(1),
            flow: Net::new(1),
            row_end: Net::new(1),
            granule: Net::new(width),
            next_row_end: Net::new(1),
            next_granule: Net::new(width),
            line: EnabledResetRegister::vector(steps, 1),
            held: EnabledRegister::new(width),
            _one: 1,
            _steps: steps as usize,
            _last_step: steps as usize - 1,
        }
    }
}

impl Logic for RowTag {
    #[hdl_gen]
    fn update(&mut self) {
        for s in 0..self._steps {
            self.line[s].clock.next = self.clock.val();
            self.line[s].reset.next = self.reset.val();
            self.line[s].enable.next = self.flow.val();
        }
        for s in 0..self._one {
            self.line[s].d.next = self.row_end.val();
        }
        for s in 0..self._last_step {
            self.line[s + 1].d.next = self.line[s].q.val();
        }
        for s in self._last_step..self._steps {
            self.next_row_end.next = self.line[s].q.val();
        }
        self.held.clock.next = self.clock.val();
        self.held.enable.next = self.flow.val() & self.row_end.val();
        self.held.d.next = self.granule.val();
        self.next_granule.next = self.held.q.val();
    }
}
