//! Rows of processing elements, and the grid.

use super::broadcast::BroadcastGrid;
use super::{ArrayEdge, ProcessingElement, RowSum, grid};
use crate::config::Design;
use crate::rtl::prelude::*;

/// One row: its processing elements, its row unit, and its place in the drain.
///
/// The drain is a chain of registers through all elements of row 0, then of row 1 and so on, `drain_columns` of them
/// to a step; with as many as there are columns it is a chain down each column. A finished tile is loaded into it in one
/// cycle and moves towards row 0 while the next tile computes.
#[derive(Clone, Debug, LogicBlock)]
pub struct PeRow {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcounts' pipelines move.
    pub advance: Net<In>,
    /// A beat leaves the pipelines.
    pub accumulate: Net<In>,
    /// It is its tile's first.
    pub first: Net<In>,
    /// Its shift, one-hot.
    pub shift: Net<In>,
    /// Its row count is doubled.
    pub twice: Net<In>,
    /// `accumulate` and `first`; only netlists take it.
    pub clear: Vec<Net<In>>,
    /// `row_mode` as the row unit takes it.
    pub mode: Net<In>,
    /// The drain takes the accumulators' sums.
    pub load: Net<In>,
    /// The drain takes something: the sums, or what is one step further up the chain.
    pub move_drain: Net<In>,
    /// The row unit's drain takes something. Absent where a row leaves in one step: then it is `move_drain`.
    pub move_row: Vec<Net<In>>,
    /// The row's activation words.
    pub activation: Vec<Net<In>>,
    /// The same with the delays of the row unit, where that is a netlist.
    pub row_activation: Vec<Net<In>>,
    /// The columns' weight words.
    pub weight: Vec<Vec<Net<In>>>,
    /// What the row above holds at the head of its drain.
    pub above: Vec<Net<In>>,
    /// The same, for the row unit.
    pub row_above: Net<In>,
    /// What this row holds at the head of its drain: the columns that leave it with the next step.
    pub drained: Vec<Net<Out>>,
    /// The same, for the row unit.
    pub row_drained: Net<Out>,
    pe: Vec<ProcessingElement>,
    row_unit: RowSum,
    drain: Vec<EnabledRegister>,
    row_drain: EnabledRegister,
    _trees: usize,
    _units: usize,
    _step: usize,
    _step_end: usize,
    _rest: usize,
    _rest_end: usize,
    _stepwise: usize,
    _whole: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl PeRow {
    /// A row of a design, of which all columns leave in one step.
    pub fn new(design: &Design) -> Self {
        Self::draining(design, design.config().columns)
    }

    /// A row of a design, of which `drain_columns` columns (a divisor of all) leave in a step.
    pub fn draining(design: &Design, drain_columns: u32) -> Self {
        let c = design.config();
        let (sum, row_sum) = (design.sum_width(), design.row_sum_width());
        let stepwise = drain_columns < c.columns;
        let row_unit = RowSum::new(design);
        let units = u32::from(design.units().is_some());
        let (step, rest) = (drain_columns as usize, (c.columns - drain_columns) as usize);
        PeRow {
            shape: Shape::new(
                format!(
                    "pe_row_c{}_l{}{}",
                    c.columns,
                    c.lanes,
                    drain_suffix(design, drain_columns)
                ),
                "One row: processing elements, row unit, and its place in the drain chain.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            twice: Net::new(1),
            clear: Net::vector(units, 1),
            mode: Net::new(row_unit.mode.next.bits() as u32),
            load: Net::new(1),
            move_drain: Net::new(1),
            move_row: Net::vector(stepwise.into(), 1),
            activation: Net::vector(c.activation_branches, c.lanes),
            row_activation: Net::vector(units * c.activation_branches, c.lanes),
            weight: grid(c.columns, c.weight_branches, c.lanes),
            above: Net::vector(drain_columns, sum),
            row_above: Net::new(row_sum),
            drained: Net::vector(drain_columns, sum),
            row_drained: Net::new(row_sum),
            pe: (0..c.columns)
                .map(|_| ProcessingElement::new(design))
                .collect(),
            row_unit,
            drain: EnabledRegister::vector(c.columns, sum),
            row_drain: EnabledRegister::new(row_sum),
            _trees: 1 - units as usize,
            _units: units as usize,
            _step: step,
            _step_end: step + 1,
            _rest: rest,
            _rest_end: rest + 1,
            _stepwise: stepwise.into(),
            _whole: (!stepwise).into(),
            _columns: c.columns as usize,
            _activation_branches: c.activation_branches as usize,
            _weight_branches: c.weight_branches as usize,
        }
    }
}

/// Tells the modules of drains of different steps apart.
fn drain_suffix(design: &Design, drain_columns: u32) -> String {
    if drain_columns == design.config().columns {
        String::new()
    } else {
        format!("_d{drain_columns}")
    }
}

impl Logic for PeRow {
    #[hdl_gen]
    fn update(&mut self) {
        for c in 0..self._columns {
            self.pe[c].clock.next = self.clock.val();
            self.pe[c].advance.next = self.advance.val();
            self.pe[c].accumulate.next = self.accumulate.val();
            self.pe[c].first.next = self.first.val();
            self.pe[c].shift.next = self.shift.val();
            for u in 0..self._units {
                self.pe[c].clear[u].next = self.clear[u].val();
            }
            for m in 0..self._activation_branches {
                self.pe[c].activation[m].next = self.activation[m].val();
            }
            for k in 0..self._weight_branches {
                self.pe[c].weight[k].next = self.weight[c][k].val();
            }
            self.drain[c].clock.next = self.clock.val();
            self.drain[c].enable.next = self.move_drain.val();
        }
        for s in self._step..self._step_end {
            for c in 0..self._rest {
                if self.load.val().any() {
                    self.drain[c].d.next = self.pe[c].sum.val();
                } else {
                    self.drain[c].d.next = self.drain[c + s].q.val();
                }
            }
        }
        for s in self._rest..self._rest_end {
            for c in 0..self._step {
                if self.load.val().any() {
                    self.drain[c + s].d.next = self.pe[c + s].sum.val();
                } else {
                    self.drain[c + s].d.next = self.above[c].val();
                }
            }
        }
        for c in 0..self._step {
            self.drained[c].next = self.drain[c].q.val();
        }
        self.row_unit.clock.next = self.clock.val();
        self.row_unit.advance.next = self.advance.val();
        self.row_unit.accumulate.next = self.accumulate.val();
        self.row_unit.first.next = self.first.val();
        self.row_unit.shift.next = self.shift.val();
        self.row_unit.twice.next = self.twice.val();
        self.row_unit.mode.next = self.mode.val();
        for _t in 0..self._trees {
            for m in 0..self._activation_branches {
                self.row_unit.activation[m].next = self.activation[m].val();
            }
        }
        for _u in 0..self._units {
            for m in 0..self._activation_branches {
                self.row_unit.activation[m].next = self.row_activation[m].val();
            }
        }
        self.row_drain.clock.next = self.clock.val();
        for i in 0..self._stepwise {
            self.row_drain.enable.next = self.move_row[i].val();
        }
        for _i in 0..self._whole {
            self.row_drain.enable.next = self.move_drain.val();
        }
        if self.load.val().any() {
            self.row_drain.d.next = self.row_unit.sum.val();
        } else {
            self.row_drain.d.next = self.row_above.val();
        }
        self.row_drained.next = self.row_drain.q.val();
    }
}

/// The grid of processing elements: `rows` rows that share the weights, drained through row 0. With broadcast stages all
/// of it is a [`BroadcastGrid`].
#[derive(Clone, Debug, LogicBlock)]
pub struct PeArray {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcounts' pipelines move.
    pub advance: Net<In>,
    /// A beat leaves the pipelines.
    pub accumulate: Net<In>,
    /// It is its tile's first.
    pub first: Net<In>,
    /// Its shift, one-hot.
    pub shift: Net<In>,
    /// Its row count is doubled.
    pub twice: Net<In>,
    /// `row_mode` of the beat that enters.
    pub mode: Net<In>,
    /// The drain takes the accumulators' sums.
    pub load: Net<In>,
    /// The drain takes something.
    pub move_drain: Net<In>,
    /// The row units' drain takes something. Absent where a row leaves in one step.
    pub move_row: Vec<Net<In>>,
    /// One word for each row and activation branch.
    pub activation: Vec<Vec<Net<In>>>,
    /// One word for each column and weight branch.
    pub weight: Vec<Vec<Net<In>>>,
    /// The columns of row 0 that leave the drain with the next step.
    pub drained: Vec<Net<Out>>,
    /// The same, for the row units.
    pub row_drained: Net<Out>,
    border: Vec<ArrayEdge>,
    row: Vec<PeRow>,
    broadcast: Vec<BroadcastGrid>,
    clear: Vec<Net<Local>>,
    taken_shift: Vec<Net<Local>>,
    shift_zero: Constant,
    sum_zero: Constant,
    row_sum_zero: Constant,
    _trees: usize,
    _units: usize,
    _rows: usize,
    _last_row: usize,
    _one: usize,
    _step: usize,
    _stepwise: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _broadcast: usize,
    _words: usize,
}

impl PeArray {
    /// The grid of a design, of which a row leaves the drain in one step.
    pub fn new(design: &Design) -> Self {
        Self::draining(design, design.config().columns)
    }

    /// The grid of a design, of which `drain_columns` columns (a divisor of all) leave the drain in a step.
    pub fn draining(design: &Design, drain_columns: u32) -> Self {
        let c = design.config();
        let (sum, row_sum) = (design.sum_width(), design.row_sum_width());
        let stepwise = drain_columns < c.columns;
        let broadcast = usize::from(design.broadcast_stages() > 0);
        let rows = if broadcast == 1 { 0 } else { c.rows };
        let border: Vec<ArrayEdge> = design
            .units()
            .filter(|_| broadcast == 0)
            .map(|units| ArrayEdge::new(design, units))
            .into_iter()
            .collect();
        let units = border.len();
        PeArray {
            shape: Shape::new(
                format!(
                    "pe_array_r{}_c{}_l{}{}",
                    c.rows,
                    c.columns,
                    c.lanes,
                    drain_suffix(design, drain_columns)
                ),
                "The grid of processing elements; finished tiles drain through row 0.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            twice: Net::new(1),
            mode: Net::new(2),
            load: Net::new(1),
            move_drain: Net::new(1),
            move_row: Net::vector(stepwise.into(), 1),
            activation: grid(c.rows, c.activation_branches, c.lanes),
            weight: grid(c.columns, c.weight_branches, c.lanes),
            drained: Net::vector(drain_columns, sum),
            row_drained: Net::new(row_sum),
            border,
            clear: Net::vector(units as u32, 1),
            taken_shift: Net::vector(units as u32, design.shift_amounts.len() as u32),
            shift_zero: Constant::new(design.shift_amounts.len() as u32, 0),
            row: (0..rows)
                .map(|_| PeRow::draining(design, drain_columns))
                .collect(),
            broadcast: (0..broadcast)
                .map(|_| BroadcastGrid::new(design, drain_columns))
                .collect(),
            sum_zero: Constant::new(sum, 0),
            row_sum_zero: Constant::new(row_sum, 0),
            _trees: 1 - units,
            _units: units,
            _rows: rows as usize,
            _last_row: rows.saturating_sub(1) as usize,
            _one: 1 - broadcast,
            _step: drain_columns as usize,
            _stepwise: stepwise.into(),
            _columns: c.columns as usize,
            _activation_branches: c.activation_branches as usize,
            _weight_branches: c.weight_branches as usize,
            _broadcast: broadcast,
            _words: c.rows as usize,
        }
    }
}

impl Logic for PeArray {
    #[hdl_gen]
    fn update(&mut self) {
        for u in 0..self._units {
            self.clear[u].next = self.accumulate.val() & self.first.val();
            if self.accumulate.val().any() {
                self.taken_shift[u].next = self.shift.val();
            } else {
                self.taken_shift[u].next = self.shift_zero.val();
            }
            self.border[u].clock.next = self.clock.val();
            self.border[u].advance.next = self.advance.val();
            self.border[u].mode.next = self.mode.val();
            for r in 0..self._rows {
                for m in 0..self._activation_branches {
                    self.border[u].activation[r][m].next = self.activation[r][m].val();
                }
            }
            for c in 0..self._columns {
                for k in 0..self._weight_branches {
                    self.border[u].weight[c][k].next = self.weight[c][k].val();
                }
            }
        }
        for r in 0..self._rows {
            self.row[r].clock.next = self.clock.val();
            self.row[r].advance.next = self.advance.val();
            self.row[r].accumulate.next = self.accumulate.val();
            self.row[r].first.next = self.first.val();
            self.row[r].twice.next = self.twice.val();
            self.row[r].load.next = self.load.val();
            self.row[r].move_drain.next = self.move_drain.val();
            for i in 0..self._stepwise {
                self.row[r].move_row[i].next = self.move_row[i].val();
            }
            for _t in 0..self._trees {
                self.row[r].shift.next = self.shift.val();
                self.row[r].mode.next = self.mode.val();
                for m in 0..self._activation_branches {
                    self.row[r].activation[m].next = self.activation[r][m].val();
                }
                for c in 0..self._columns {
                    for k in 0..self._weight_branches {
                        self.row[r].weight[c][k].next = self.weight[c][k].val();
                    }
                }
            }
            for u in 0..self._units {
                self.row[r].clear[u].next = self.clear[u].val();
                self.row[r].shift.next = self.taken_shift[u].val();
                self.row[r].mode.next = self.border[u].pair_mode.val();
                for m in 0..self._activation_branches {
                    self.row[r].activation[m].next = self.border[u].element_activation[r][m].val();
                    self.row[r].row_activation[m].next = self.border[u].row_activation[r][m].val();
                }
                for c in 0..self._columns {
                    for k in 0..self._weight_branches {
                        self.row[r].weight[c][k].next = self.border[u].element_weight[c][k].val();
                    }
                }
            }
        }
        for r in 0..self._last_row {
            for c in 0..self._step {
                self.row[r].above[c].next = self.row[r + 1].drained[c].val();
            }
            self.row[r].row_above.next = self.row[r + 1].row_drained.val();
        }
        for r in self._last_row..self._rows {
            for c in 0..self._step {
                self.row[r].above[c].next = self.sum_zero.val();
            }
            self.row[r].row_above.next = self.row_sum_zero.val();
        }
        for r in 0..self._one {
            for c in 0..self._step {
                self.drained[c].next = self.row[r].drained[c].val();
            }
            self.row_drained.next = self.row[r].row_drained.val();
        }
        for b in 0..self._broadcast {
            self.broadcast[b].clock.next = self.clock.val();
            self.broadcast[b].advance.next = self.advance.val();
            self.broadcast[b].accumulate.next = self.accumulate.val();
            self.broadcast[b].first.next = self.first.val();
            self.broadcast[b].shift.next = self.shift.val();
            self.broadcast[b].twice.next = self.twice.val();
            self.broadcast[b].mode.next = self.mode.val();
            self.broadcast[b].load.next = self.load.val();
            self.broadcast[b].move_drain.next = self.move_drain.val();
            for i in 0..self._stepwise {
                self.broadcast[b].move_row[i].next = self.move_row[i].val();
            }
            for r in 0..self._words {
                for m in 0..self._activation_branches {
                    self.broadcast[b].activation[r][m].next = self.activation[r][m].val();
                }
            }
            for c in 0..self._columns {
                for k in 0..self._weight_branches {
                    self.broadcast[b].weight[c][k].next = self.weight[c][k].val();
                }
            }
            for c in 0..self._step {
                self.drained[c].next = self.broadcast[b].drained[c].val();
            }
            self.row_drained.next = self.broadcast[b].row_drained.val();
        }
    }
}
