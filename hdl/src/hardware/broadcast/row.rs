//! Processing elements and row units behind the last broadcast stage, and rows of them.

use super::controls::{ElementControls, RowControls};
use super::lines::Spread;
use crate::config::Design;
use crate::hardware::{ProcessingElement, RowSum, grid};
use crate::rtl::prelude::*;

/// Elements that share a copy of an operand. Fewer cost flip-flops, more cost wire between a register and its readers.
pub(super) const OPERAND_SPAN: u32 = 4;

/// One processing element with its place in the drain, behind registers of its own for all control.
#[derive(Clone, Debug, LogicBlock)]
pub struct BroadcastElement {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// As in `PeRow`, a cycle earlier.
    pub advance: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub accumulate: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub first: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub shift: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub clear: Vec<Net<In>>,
    /// As in `PeRow`, a cycle earlier.
    pub load: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub move_drain: Net<In>,
    /// The row's activation words.
    pub activation: Vec<Net<In>>,
    /// The column's weight words.
    pub weight: Vec<Net<In>>,
    /// What stands one step further up the drain.
    pub above: Net<In>,
    /// What this element holds in the drain.
    pub drained: Net<Out>,
    control: ElementControls,
    pe: ProcessingElement,
    drain: EnabledRegister,
    _units: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl BroadcastElement {
    /// An element of a design.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let units = u32::from(design.units().is_some());
        BroadcastElement {
            shape: Shape::new(
                format!("broadcast_element_a{pm}_w{pk}_l{}", c.lanes),
                "A processing element and its place in the drain, behind registers for its control.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            clear: Net::vector(units, 1),
            load: Net::new(1),
            move_drain: Net::new(1),
            activation: Net::vector(pm, c.lanes),
            weight: Net::vector(pk, c.lanes),
            above: Net::new(design.sum_width()),
            drained: Net::new(design.sum_width()),
            control: ElementControls::new(design),
            pe: ProcessingElement::new(design),
            drain: EnabledRegister::new(design.sum_width()),
            _units: units as usize,
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
        }
    }
}

impl Logic for BroadcastElement {
    #[hdl_gen]
    fn update(&mut self) {
        self.control.clock.next = self.clock.val();
        self.control.advance.next = self.advance.val();
        self.control.accumulate.next = self.accumulate.val();
        self.control.first.next = self.first.val();
        self.control.shift.next = self.shift.val();
        self.control.load.next = self.load.val();
        self.control.move_drain.next = self.move_drain.val();
        self.pe.clock.next = self.clock.val();
        self.pe.advance.next = self.control.late_advance.val();
        self.pe.accumulate.next = self.control.late_accumulate.val();
        self.pe.first.next = self.control.late_first.val();
        self.pe.shift.next = self.control.late_shift.val();
        for u in 0..self._units {
            self.control.clear[u].next = self.clear[u].val();
            self.pe.clear[u].next = self.control.late_clear[u].val();
        }
        for m in 0..self._activation_branches {
            self.pe.activation[m].next = self.activation[m].val();
        }
        for k in 0..self._weight_branches {
            self.pe.weight[k].next = self.weight[k].val();
        }
        self.drain.clock.next = self.clock.val();
        self.drain.enable.next = self.control.late_move_drain.val();
        if self.control.late_load.val().any() {
            self.drain.d.next = self.pe.sum.val();
        } else {
            self.drain.d.next = self.above.val();
        }
        self.drained.next = self.drain.q.val();
    }
}

/// One row: its elements, its row unit, and its place in the drain, as `PeRow`, behind the last broadcast stage. Control
/// and activations come a cycle earlier than there, weights and the mode when they do there.
#[derive(Clone, Debug, LogicBlock)]
pub struct BroadcastRow {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// As in `PeRow`, a cycle earlier.
    pub advance: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub accumulate: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub first: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub shift: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub twice: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub clear: Vec<Net<In>>,
    /// As in `PeRow`, a cycle earlier.
    pub load: Net<In>,
    /// As in `PeRow`, a cycle earlier.
    pub move_drain: Net<In>,
    /// The row unit's drain takes something; a cycle earlier.
    pub move_row: Net<In>,
    /// The row's activation words, a cycle earlier.
    pub activation: Vec<Net<In>>,
    /// The same for the row unit.
    pub row_activation: Vec<Net<In>>,
    /// `row_mode` as the row unit takes it.
    pub mode: Net<In>,
    /// The columns' weight words.
    pub weight: Vec<Vec<Net<In>>>,
    /// What the row above holds at the head of its drain.
    pub above: Vec<Net<In>>,
    /// The same, for the row unit.
    pub row_above: Net<In>,
    /// What this row holds at the head of its drain.
    pub drained: Vec<Net<Out>>,
    /// The same, for the row unit.
    pub row_drained: Net<Out>,
    copies: Vec<Spread>,
    row_copies: Vec<Spread>,
    element: Vec<BroadcastElement>,
    control: RowControls,
    row_unit: RowSum,
    row_drain: EnabledRegister,
    _units: usize,
    _one: usize,
    _step: usize,
    _step_end: usize,
    _rest: usize,
    _rest_end: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl BroadcastRow {
    /// A row of a design, of which `drain_columns` columns (a divisor of all) leave in a step.
    pub fn new(design: &Design, drain_columns: u32) -> Self {
        let c = design.config();
        let (sum, row_sum) = (design.sum_width(), design.row_sum_width());
        let pm = c.activation_branches;
        let units = u32::from(design.units().is_some());
        let (step, rest) = (drain_columns as usize, (c.columns - drain_columns) as usize);
        let row_unit = RowSum::new(design);
        BroadcastRow {
            shape: Shape::new(
                format!("broadcast_row_c{}_l{}_d{drain_columns}", c.columns, c.lanes),
                "One row: processing elements, row unit, and its place in the drain, behind the last broadcast stage.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            twice: Net::new(1),
            clear: Net::vector(units, 1),
            load: Net::new(1),
            move_drain: Net::new(1),
            move_row: Net::new(1),
            activation: Net::vector(pm, c.lanes),
            row_activation: Net::vector(pm, c.lanes),
            mode: Net::new(row_unit.mode.next.bits() as u32),
            weight: grid(c.columns, c.weight_branches, c.lanes),
            above: Net::vector(drain_columns, sum),
            row_above: Net::new(row_sum),
            drained: Net::vector(drain_columns, sum),
            row_drained: Net::new(row_sum),
            copies: (0..pm)
                .map(|_| Spread::new(c.lanes, c.columns, OPERAND_SPAN))
                .collect(),
            row_copies: (0..pm).map(|_| Spread::new(c.lanes, 1, 1)).collect(),
            element: (0..c.columns)
                .map(|_| BroadcastElement::new(design))
                .collect(),
            control: RowControls::new(design),
            row_unit,
            row_drain: EnabledRegister::new(row_sum),
            _units: units as usize,
            _one: 1,
            _step: step,
            _step_end: step + 1,
            _rest: rest,
            _rest_end: rest + 1,
            _columns: c.columns as usize,
            _activation_branches: pm as usize,
            _weight_branches: c.weight_branches as usize,
        }
    }
}

impl Logic for BroadcastRow {
    #[hdl_gen]
    fn update(&mut self) {
        for m in 0..self._activation_branches {
            self.copies[m].clock.next = self.clock.val();
            self.copies[m].word.next = self.activation[m].val();
            self.row_copies[m].clock.next = self.clock.val();
            self.row_copies[m].word.next = self.row_activation[m].val();
            for o in 0..self._one {
                self.row_unit.activation[m].next = self.row_copies[m].spread[o].val();
            }
        }
        for c in 0..self._columns {
            self.element[c].clock.next = self.clock.val();
            self.element[c].advance.next = self.advance.val();
            self.element[c].accumulate.next = self.accumulate.val();
            self.element[c].first.next = self.first.val();
            self.element[c].shift.next = self.shift.val();
            self.element[c].load.next = self.load.val();
            self.element[c].move_drain.next = self.move_drain.val();
            for u in 0..self._units {
                self.element[c].clear[u].next = self.clear[u].val();
            }
            for m in 0..self._activation_branches {
                self.element[c].activation[m].next = self.copies[m].spread[c].val();
            }
            for k in 0..self._weight_branches {
                self.element[c].weight[k].next = self.weight[c][k].val();
            }
        }
        for s in self._step..self._step_end {
            for c in 0..self._rest {
                self.element[c].above.next = self.element[c + s].drained.val();
            }
        }
        for s in self._rest..self._rest_end {
            for c in 0..self._step {
                self.element[c + s].above.next = self.above[c].val();
            }
        }
        for c in 0..self._step {
            self.drained[c].next = self.element[c].drained.val();
        }
        self.control.clock.next = self.clock.val();
        self.control.advance.next = self.advance.val();
        self.control.accumulate.next = self.accumulate.val();
        self.control.first.next = self.first.val();
        self.control.shift.next = self.shift.val();
        self.control.twice.next = self.twice.val();
        self.control.load.next = self.load.val();
        self.control.move_row.next = self.move_row.val();
        self.row_unit.clock.next = self.clock.val();
        self.row_unit.advance.next = self.control.late_advance.val();
        self.row_unit.accumulate.next = self.control.late_accumulate.val();
        self.row_unit.first.next = self.control.late_first.val();
        self.row_unit.shift.next = self.control.late_shift.val();
        self.row_unit.twice.next = self.control.late_twice.val();
        self.row_unit.mode.next = self.mode.val();
        self.row_drain.clock.next = self.clock.val();
        self.row_drain.enable.next = self.control.late_move_row.val();
        if self.control.late_load.val().any() {
            self.row_drain.d.next = self.row_unit.sum.val();
        } else {
            self.row_drain.d.next = self.row_above.val();
        }
        self.row_drained.next = self.row_drain.q.val();
    }
}
