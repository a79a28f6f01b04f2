//! The grid behind broadcast registers.

use super::controls::GridControls;
use super::edge::BroadcastEdge;
use super::lines::{DelayLine, Spread};
use super::row::{BroadcastRow, OPERAND_SPAN};
use crate::config::Design;
use crate::hardware::grid;
use crate::rtl::prelude::*;

/// The grid of processing elements with the ports of `PeArray`, all of whose inputs pass through as many registers without
/// enable as the design has broadcast stages: it does what `PeArray` does, so many cycles later.
///
/// Control fans out as a tree: one register, then one for each row, then one for each element and row unit. Operands pass
/// plain registers, then the array's edge, then a last stage in which a few neighbours share a copy.
#[derive(Clone, Debug, LogicBlock)]
pub struct BroadcastGrid {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcounts' pipelines move.
    pub advance: Net<In>,
    /// A beat leaves the pipelines.
    pub accumulate: Net<In>,
    /// It is its tile's first.
    pub first: Net<In>,
    /// Its row count is doubled.
    pub twice: Net<In>,
    /// The drain takes the accumulators' sums.
    pub load: Net<In>,
    /// The drain takes something.
    pub move_drain: Net<In>,
    /// The leaving beat's shift, one-hot.
    pub shift: Net<In>,
    /// `row_mode` of the beat that enters.
    pub mode: Net<In>,
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
    trunk: Vec<GridControls>,
    branch: Vec<GridControls>,
    edge_advance: Vec<DelayLine>,
    activation_line: Vec<Vec<DelayLine>>,
    weight_line: Vec<Vec<DelayLine>>,
    mode_line: DelayLine,
    border: Vec<BroadcastEdge>,
    weight_copies: Vec<Vec<Spread>>,
    mode_copies: Spread,
    row: Vec<BroadcastRow>,
    clear: Vec<Net<Local>>,
    taken_shift: Net<Local>,
    moves_row: Net<Local>,
    root_advance: Net<Local>,
    root_accumulate: Net<Local>,
    root_first: Net<Local>,
    root_twice: Net<Local>,
    root_load: Net<Local>,
    root_move_drain: Net<Local>,
    root_move_row: Net<Local>,
    root_shift: Net<Local>,
    root_clear: Vec<Net<Local>>,
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
    _whole: usize,
    _trunk: usize,
    _last_trunk: usize,
    _first_trunk: usize,
    _no_trunk: usize,
    _branches: usize,
    _no_branches: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl BroadcastGrid {
    /// The grid of a design with broadcast stages, of which `drain_columns` columns (a divisor of all) leave the drain in a
    /// step.
    pub fn new(design: &Design, drain_columns: u32) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let (sum, row_sum) = (design.sum_width(), design.row_sum_width());
        let shift = design.shift_amounts.len() as u32;
        let stages = design.broadcast_stages();
        // The last stage stands in the rows, the one before it is a register for each row.
        let (lines, trunk) = (stages - 1, stages.saturating_sub(2));
        let branches = stages >= 2;
        let stepwise = drain_columns < c.columns;
        let units = u32::from(design.units().is_some());
        let border: Vec<BroadcastEdge> = design
            .units()
            .map(|units| BroadcastEdge::new(design, units, branches))
            .into_iter()
            .collect();
        let row = BroadcastRow::new(design, drain_columns);
        let mode = row.mode.next.bits() as u32;
        let words = |words: u32, branches: u32| -> Vec<Vec<DelayLine>> {
            let line = || DelayLine::new(lines, c.lanes);
            (0..words)
                .map(|_| (0..branches).map(|_| line()).collect())
                .collect()
        };
        BroadcastGrid {
            shape: Shape::new(
                format!(
                    "broadcast_grid_r{}_c{}_l{}_d{drain_columns}_b{stages}",
                    c.rows, c.columns, c.lanes
                ),
                format!("The grid of processing elements behind {stages} broadcast stages."),
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            twice: Net::new(1),
            load: Net::new(1),
            move_drain: Net::new(1),
            shift: Net::new(shift),
            mode: Net::new(2),
            move_row: Net::vector(stepwise.into(), 1),
            activation: grid(c.rows, pm, c.lanes),
            weight: grid(c.columns, pk, c.lanes),
            drained: Net::vector(drain_columns, sum),
            row_drained: Net::new(row_sum),
            trunk: (0..trunk).map(|_| GridControls::new(design)).collect(),
            branch: (0..c.rows * u32::from(branches))
                .map(|_| GridControls::new(design))
                .collect(),
            edge_advance: (0..units).map(|_| DelayLine::new(trunk, 1)).collect(),
            activation_line: words(c.rows, pm),
            weight_line: words(c.columns, pk),
            mode_line: DelayLine::new(lines, 2),
            border,
            weight_copies: (0..c.columns)
                .map(|_| {
                    (0..pk)
                        .map(|_| Spread::new(c.lanes, c.rows, OPERAND_SPAN))
                        .collect()
                })
                .collect(),
            mode_copies: Spread::new(mode, c.rows, OPERAND_SPAN),
            row: (0..c.rows)
                .map(|_| BroadcastRow::new(design, drain_columns))
                .collect(),
            clear: Net::vector(units, 1),
            taken_shift: Net::new(shift),
            moves_row: Net::new(1),
            root_advance: Net::new(1),
            root_accumulate: Net::new(1),
            root_first: Net::new(1),
            root_twice: Net::new(1),
            root_load: Net::new(1),
            root_move_drain: Net::new(1),
            root_move_row: Net::new(1),
            root_shift: Net::new(shift),
            root_clear: Net::vector(units, 1),
            shift_zero: Constant::new(shift, 0),
            sum_zero: Constant::new(sum, 0),
            row_sum_zero: Constant::new(row_sum, 0),
            _trees: 1 - units as usize,
            _units: units as usize,
            _rows: c.rows as usize,
            _last_row: c.rows as usize - 1,
            _one: 1,
            _step: drain_columns as usize,
            _stepwise: stepwise.into(),
            _whole: (!stepwise).into(),
            _trunk: trunk as usize,
            _last_trunk: trunk.saturating_sub(1) as usize,
            _first_trunk: trunk.min(1) as usize,
            _no_trunk: usize::from(trunk == 0),
            _branches: branches.into(),
            _no_branches: (!branches).into(),
            _columns: c.columns as usize,
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
        }
    }
}

impl Logic for BroadcastGrid {
    #[hdl_gen]
    fn update(&mut self) {
        for _t in 0..self._trees {
            self.taken_shift.next = self.shift.val();
        }
        for u in 0..self._units {
            self.clear[u].next = self.accumulate.val() & self.first.val();
            if self.accumulate.val().any() {
                self.taken_shift.next = self.shift.val();
            } else {
                self.taken_shift.next = self.shift_zero.val();
            }
        }
        for i in 0..self._stepwise {
            self.moves_row.next = self.move_row[i].val();
        }
        for _i in 0..self._whole {
            self.moves_row.next = self.move_drain.val();
        }

        // Control: trunk, a branch for each row, and the last stage in the rows.
        for s in 0..self._trunk {
            self.trunk[s].clock.next = self.clock.val();
        }
        for s in 0..self._first_trunk {
            self.trunk[s].advance.next = self.advance.val();
            self.trunk[s].accumulate.next = self.accumulate.val();
            self.trunk[s].first.next = self.first.val();
            self.trunk[s].twice.next = self.twice.val();
            self.trunk[s].load.next = self.load.val();
            self.trunk[s].move_drain.next = self.move_drain.val();
            self.trunk[s].move_row.next = self.moves_row.val();
            self.trunk[s].shift.next = self.taken_shift.val();
            for u in 0..self._units {
                self.trunk[s].clear[u].next = self.clear[u].val();
            }
        }
        for s in 0..self._last_trunk {
            self.trunk[s + 1].advance.next = self.trunk[s].late_advance.val();
            self.trunk[s + 1].accumulate.next = self.trunk[s].late_accumulate.val();
            self.trunk[s + 1].first.next = self.trunk[s].late_first.val();
            self.trunk[s + 1].twice.next = self.trunk[s].late_twice.val();
            self.trunk[s + 1].load.next = self.trunk[s].late_load.val();
            self.trunk[s + 1].move_drain.next = self.trunk[s].late_move_drain.val();
            self.trunk[s + 1].move_row.next = self.trunk[s].late_move_row.val();
            self.trunk[s + 1].shift.next = self.trunk[s].late_shift.val();
            for u in 0..self._units {
                self.trunk[s + 1].clear[u].next = self.trunk[s].late_clear[u].val();
            }
        }
        for s in self._last_trunk..self._trunk {
            self.root_advance.next = self.trunk[s].late_advance.val();
            self.root_accumulate.next = self.trunk[s].late_accumulate.val();
            self.root_first.next = self.trunk[s].late_first.val();
            self.root_twice.next = self.trunk[s].late_twice.val();
            self.root_load.next = self.trunk[s].late_load.val();
            self.root_move_drain.next = self.trunk[s].late_move_drain.val();
            self.root_move_row.next = self.trunk[s].late_move_row.val();
            self.root_shift.next = self.trunk[s].late_shift.val();
            for u in 0..self._units {
                self.root_clear[u].next = self.trunk[s].late_clear[u].val();
            }
        }
        for _i in 0..self._no_trunk {
            self.root_advance.next = self.advance.val();
            self.root_accumulate.next = self.accumulate.val();
            self.root_first.next = self.first.val();
            self.root_twice.next = self.twice.val();
            self.root_load.next = self.load.val();
            self.root_move_drain.next = self.move_drain.val();
            self.root_move_row.next = self.moves_row.val();
            self.root_shift.next = self.taken_shift.val();
            for u in 0..self._units {
                self.root_clear[u].next = self.clear[u].val();
            }
        }
        for r in 0..self._rows {
            self.row[r].clock.next = self.clock.val();
            for _i in 0..self._branches {
                self.branch[r].clock.next = self.clock.val();
                self.branch[r].advance.next = self.root_advance.val();
                self.branch[r].accumulate.next = self.root_accumulate.val();
                self.branch[r].first.next = self.root_first.val();
                self.branch[r].twice.next = self.root_twice.val();
                self.branch[r].load.next = self.root_load.val();
                self.branch[r].move_drain.next = self.root_move_drain.val();
                self.branch[r].move_row.next = self.root_move_row.val();
                self.branch[r].shift.next = self.root_shift.val();
                self.row[r].advance.next = self.branch[r].late_advance.val();
                self.row[r].accumulate.next = self.branch[r].late_accumulate.val();
                self.row[r].first.next = self.branch[r].late_first.val();
                self.row[r].twice.next = self.branch[r].late_twice.val();
                self.row[r].load.next = self.branch[r].late_load.val();
                self.row[r].move_drain.next = self.branch[r].late_move_drain.val();
                self.row[r].move_row.next = self.branch[r].late_move_row.val();
                self.row[r].shift.next = self.branch[r].late_shift.val();
                for u in 0..self._units {
                    self.branch[r].clear[u].next = self.root_clear[u].val();
                    self.row[r].clear[u].next = self.branch[r].late_clear[u].val();
                }
            }
            for _i in 0..self._no_branches {
                self.row[r].advance.next = self.root_advance.val();
                self.row[r].accumulate.next = self.root_accumulate.val();
                self.row[r].first.next = self.root_first.val();
                self.row[r].twice.next = self.root_twice.val();
                self.row[r].load.next = self.root_load.val();
                self.row[r].move_drain.next = self.root_move_drain.val();
                self.row[r].move_row.next = self.root_move_row.val();
                self.row[r].shift.next = self.root_shift.val();
                for u in 0..self._units {
                    self.row[r].clear[u].next = self.root_clear[u].val();
                }
            }
        }

        // Operands: plain registers, the edge, and the last stage.
        self.mode_line.clock.next = self.clock.val();
        self.mode_line.word.next = self.mode.val();
        self.mode_copies.clock.next = self.clock.val();
        for u in 0..self._units {
            self.edge_advance[u].clock.next = self.clock.val();
            self.edge_advance[u].word.next = self.advance.val();
            self.border[u].clock.next = self.clock.val();
            self.border[u].advance.next = self.edge_advance[u].delayed.val();
            self.border[u].mode.next = self.mode_line.delayed.val();
            self.mode_copies.word.next = self.border[u].pair_mode.val();
        }
        for _t in 0..self._trees {
            self.mode_copies.word.next = self.mode_line.delayed.val();
        }
        for r in 0..self._rows {
            self.row[r].mode.next = self.mode_copies.spread[r].val();
            for m in 0..self._activation_branches {
                self.activation_line[r][m].clock.next = self.clock.val();
                self.activation_line[r][m].word.next = self.activation[r][m].val();
                for u in 0..self._units {
                    self.border[u].activation[r][m].next = self.activation_line[r][m].delayed.val();
                    self.row[r].activation[m].next = self.border[u].element_activation[r][m].val();
                    self.row[r].row_activation[m].next = self.border[u].row_activation[r][m].val();
                }
                for _t in 0..self._trees {
                    self.row[r].activation[m].next = self.activation_line[r][m].delayed.val();
                    self.row[r].row_activation[m].next = self.activation_line[r][m].delayed.val();
                }
            }
        }
        for c in 0..self._columns {
            for k in 0..self._weight_branches {
                self.weight_line[c][k].clock.next = self.clock.val();
                self.weight_line[c][k].word.next = self.weight[c][k].val();
                self.weight_copies[c][k].clock.next = self.clock.val();
                for u in 0..self._units {
                    self.border[u].weight[c][k].next = self.weight_line[c][k].delayed.val();
                    self.weight_copies[c][k].word.next = self.border[u].element_weight[c][k].val();
                }
                for _t in 0..self._trees {
                    self.weight_copies[c][k].word.next = self.weight_line[c][k].delayed.val();
                }
            }
        }
        for r in 0..self._rows {
            for c in 0..self._columns {
                for k in 0..self._weight_branches {
                    self.row[r].weight[c][k].next = self.weight_copies[c][k].spread[r].val();
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
    }
}
