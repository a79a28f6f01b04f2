//! The array's edge: between the operands as they are accepted, and the grid that takes each pair of lanes at its own time.

use super::lane_skew::Tap;
use super::{LaneSkew, grid};
use crate::config::Design;
use crate::rtl::prelude::*;
use crate::structure::DeviceUnits;

/// Delays the operands of every row and column, lane by lane, by what the units' structure asks for. All processing
/// elements of a row, and all of a column, share these registers.
#[derive(Clone, Debug, LogicBlock)]
pub struct ArrayEdge {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets everything move.
    pub advance: Net<In>,
    /// `row_mode` of the beat that enters.
    pub mode: Net<In>,
    /// One word for each row and activation branch of the beat that enters.
    pub activation: Vec<Vec<Net<In>>>,
    /// One word for each column and weight branch of the beat that enters.
    pub weight: Vec<Vec<Net<In>>>,
    /// For row units: `row_mode` of each pair of lanes.
    pub pair_mode: Net<Out>,
    /// For processing elements: the rows' words.
    pub element_activation: Vec<Vec<Net<Out>>>,
    /// For row units: the rows' words.
    pub row_activation: Vec<Vec<Net<Out>>>,
    /// For processing elements: the columns' words.
    pub element_weight: Vec<Vec<Net<Out>>>,
    mode_skew: LaneSkew,
    row_skew: Vec<Vec<LaneSkew>>,
    column_skew: Vec<Vec<LaneSkew>>,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _element: usize,
    _element_end: usize,
    _row: usize,
    _row_end: usize,
}

/// Lanes i and H + i, each with the delay of pair i.
pub(super) fn lane_taps(lanes: u32, delay: &[u32]) -> Vec<Tap> {
    let pair = |lane: u32| (lane % lanes.div_ceil(2)) as usize;
    (0..lanes)
        .map(|bit| Tap {
            bit,
            delay: delay[pair(bit)],
        })
        .collect()
}

/// Both bits of the mode for each pair.
pub(super) fn mode_taps(delay: &[u32]) -> Vec<Tap> {
    delay
        .iter()
        .flat_map(|delay| [0, 1].map(|bit| Tap { bit, delay: *delay }))
        .collect()
}

impl ArrayEdge {
    /// The edge of a design whose units are these netlists.
    pub fn new(design: &Design, units: &DeviceUnits) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let (element, row) = (units.element_delay(), units.row_delay());
        let mut activation_taps = vec![lane_taps(c.lanes, &element)];
        if row != element {
            activation_taps.push(lane_taps(c.lanes, &row));
        }
        let row_output = activation_taps.len() - 1;
        let weight_taps = vec![lane_taps(c.lanes, &element)];
        let skew = |what: &str, taps: &Vec<Vec<Tap>>| {
            LaneSkew::new(&format!("{what}_l{}", c.lanes), c.lanes, taps.clone())
        };
        ArrayEdge {
            shape: Shape::new(
                format!("array_edge_r{}_c{}_l{}", c.rows, c.columns, c.lanes),
                format!(
                    "Delays the operands for structure {}: {}.",
                    units.structure,
                    "each pair of lanes reaches all units of its row or column at the same time"
                ),
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            mode: Net::new(2),
            activation: grid(c.rows, pm, c.lanes),
            weight: grid(c.columns, pk, c.lanes),
            pair_mode: Net::new(2 * design.pairs),
            element_activation: grid(c.rows, pm, c.lanes),
            row_activation: grid(c.rows, pm, c.lanes),
            element_weight: grid(c.columns, pk, c.lanes),
            mode_skew: LaneSkew::new("mode", 2, vec![mode_taps(&row)]),
            row_skew: (0..c.rows)
                .map(|_| {
                    (0..pm)
                        .map(|_| skew("activation", &activation_taps))
                        .collect()
                })
                .collect(),
            column_skew: (0..c.columns)
                .map(|_| (0..pk).map(|_| skew("weight", &weight_taps)).collect())
                .collect(),
            _rows: c.rows as usize,
            _columns: c.columns as usize,
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
            _element: 0,
            _element_end: 1,
            _row: row_output,
            _row_end: row_output + 1,
        }
    }
}

impl Logic for ArrayEdge {
    #[hdl_gen]
    fn update(&mut self) {
        self.mode_skew.clock.next = self.clock.val();
        self.mode_skew.advance.next = self.advance.val();
        self.mode_skew.word.next = self.mode.val();
        for s in self._element..self._element_end {
            self.pair_mode.next = self.mode_skew.delayed[s].val();
        }
        for r in 0..self._rows {
            for m in 0..self._activation_branches {
                self.row_skew[r][m].clock.next = self.clock.val();
                self.row_skew[r][m].advance.next = self.advance.val();
                self.row_skew[r][m].word.next = self.activation[r][m].val();
                for s in self._element..self._element_end {
                    self.element_activation[r][m].next = self.row_skew[r][m].delayed[s].val();
                }
                for s in self._row..self._row_end {
                    self.row_activation[r][m].next = self.row_skew[r][m].delayed[s].val();
                }
            }
        }
        for c in 0..self._columns {
            for k in 0..self._weight_branches {
                self.column_skew[c][k].clock.next = self.clock.val();
                self.column_skew[c][k].advance.next = self.advance.val();
                self.column_skew[c][k].word.next = self.weight[c][k].val();
                for s in self._element..self._element_end {
                    self.element_weight[c][k].next = self.column_skew[c][k].delayed[s].val();
                }
            }
        }
    }
}
