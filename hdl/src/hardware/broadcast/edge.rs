//! The array's edge between the broadcast stages.

use super::lines::Spread;
use crate::config::Design;
use crate::hardware::array_edge::{lane_taps, mode_taps};
use crate::hardware::{LaneSkew, grid};
use crate::rtl::prelude::*;
use crate::structure::DeviceUnits;

/// Delays the operands of every row and column, lane by lane, as `ArrayEdge` does; each word's registers have an enable of
/// their own.
#[derive(Clone, Debug, LogicBlock)]
pub struct BroadcastEdge {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets everything move; a cycle earlier where there is a stage for it.
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
    row_enable: Vec<Spread>,
    column_enable: Vec<Spread>,
    mode_enable: Vec<Spread>,
    mode_skew: LaneSkew,
    row_skew: Vec<Vec<LaneSkew>>,
    column_skew: Vec<Vec<LaneSkew>>,
    _copies: usize,
    _direct: usize,
    _rows: usize,
    _columns: usize,
    _activation_branches: usize,
    _weight_branches: usize,
    _element: usize,
    _element_end: usize,
    _row: usize,
    _row_end: usize,
}

impl BroadcastEdge {
    /// The edge of a design whose units are these netlists; with `copies` every enable has a register.
    pub fn new(design: &Design, units: &DeviceUnits, copies: bool) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let (element, row) = (units.element_delay(), units.row_delay());
        let mut activation_taps = vec![lane_taps(c.lanes, &element)];
        if row != element {
            activation_taps.push(lane_taps(c.lanes, &row));
        }
        let row_output = activation_taps.len() - 1;
        let weight_taps = vec![lane_taps(c.lanes, &element)];
        let spreads = |places: u32| {
            (0..u32::from(copies))
                .map(|_| Spread::new(1, places, 1))
                .collect()
        };
        let skews = |what: &str, words: u32, branches: u32, taps: &Vec<_>| {
            let skew = || LaneSkew::new(&format!("{what}_l{}", c.lanes), c.lanes, taps.clone());
            (0..words)
                .map(|_| (0..branches).map(|_| skew()).collect())
                .collect()
        };
        BroadcastEdge {
            shape: Shape::new(
                format!("broadcast_edge_r{}_c{}_l{}", c.rows, c.columns, c.lanes),
                format!(
                    "Delays the operands for structure {} between the broadcast stages.",
                    units.structure
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
            row_enable: spreads(c.rows),
            column_enable: spreads(c.columns),
            mode_enable: spreads(1),
            mode_skew: LaneSkew::new("mode", 2, vec![mode_taps(&row)]),
            row_skew: skews("activation", c.rows, pm, &activation_taps),
            column_skew: skews("weight", c.columns, pk, &weight_taps),
            _copies: copies.into(),
            _direct: (!copies).into(),
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

impl Logic for BroadcastEdge {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._copies {
            self.row_enable[i].clock.next = self.clock.val();
            self.row_enable[i].word.next = self.advance.val();
            self.column_enable[i].clock.next = self.clock.val();
            self.column_enable[i].word.next = self.advance.val();
            self.mode_enable[i].clock.next = self.clock.val();
            self.mode_enable[i].word.next = self.advance.val();
            for s in self._element..self._element_end {
                self.mode_skew.advance.next = self.mode_enable[i].spread[s].val();
            }
        }
        for _i in 0..self._direct {
            self.mode_skew.advance.next = self.advance.val();
        }
        self.mode_skew.clock.next = self.clock.val();
        self.mode_skew.word.next = self.mode.val();
        for s in self._element..self._element_end {
            self.pair_mode.next = self.mode_skew.delayed[s].val();
        }
        for r in 0..self._rows {
            for m in 0..self._activation_branches {
                self.row_skew[r][m].clock.next = self.clock.val();
                for i in 0..self._copies {
                    self.row_skew[r][m].advance.next = self.row_enable[i].spread[r].val();
                }
                for _i in 0..self._direct {
                    self.row_skew[r][m].advance.next = self.advance.val();
                }
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
                for i in 0..self._copies {
                    self.column_skew[c][k].advance.next = self.column_enable[i].spread[c].val();
                }
                for _i in 0..self._direct {
                    self.column_skew[c][k].advance.next = self.advance.val();
                }
                self.column_skew[c][k].word.next = self.weight[c][k].val();
                for s in self._element..self._element_end {
                    self.element_weight[c][k].next = self.column_skew[c][k].delayed[s].val();
                }
            }
        }
    }
}
