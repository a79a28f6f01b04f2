//! One processing element.

use super::{BranchAccumulator, ElementUnit, XnorPopcount};
use crate::config::Design;
use crate::rtl::prelude::*;

/// One processing element: XNOR, popcount, accumulator. It is multiplied by thousands, so nothing signed, no row enable
/// and no constant enters it; row units and column constants carry those. Where the design has netlists, one of them is
/// all of it.
#[derive(Clone, Debug, LogicBlock)]
pub struct ProcessingElement {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcount's pipeline move.
    pub advance: Net<In>,
    /// The count that leaves the pipeline belongs to a beat, and the pipeline moves.
    pub accumulate: Net<In>,
    /// That beat is its tile's first.
    pub first: Net<In>,
    /// `accumulate` and `first`; only netlists take it.
    pub clear: Vec<Net<In>>,
    /// That beat's shift, one-hot.
    pub shift: Net<In>,
    /// One word of lanes for each activation branch.
    pub activation: Vec<Net<In>>,
    /// One word of lanes for each weight branch.
    pub weight: Vec<Net<In>>,
    /// The accumulator.
    pub sum: Net<Out>,
    popcount: Vec<XnorPopcount>,
    accumulator: Vec<BranchAccumulator>,
    unit: Vec<ElementUnit>,
    _trees: usize,
    _units: usize,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl ProcessingElement {
    /// The element of a design.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let units: Vec<ElementUnit> = design
            .units()
            .map(|units| ElementUnit::new(design, units))
            .into_iter()
            .collect();
        let (count, trees) = (units.len(), 1 - units.len());
        ProcessingElement {
            shape: Shape::new(
                format!("processing_element_a{pm}_w{pk}_l{}", c.lanes),
                "One processing element: XNOR, popcount, accumulator.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            clear: Net::vector(count as u32, 1),
            shift: Net::new(design.shift_amounts.len() as u32),
            activation: Net::vector(pm, c.lanes),
            weight: Net::vector(pk, c.lanes),
            sum: Net::new(design.sum_width()),
            popcount: (0..trees).map(|_| XnorPopcount::new(design)).collect(),
            accumulator: (0..trees)
                .map(|_| {
                    BranchAccumulator::new(
                        design.accumulator_high_width,
                        design.accumulator_low_width,
                        design.count_width,
                        &design.shift_amounts,
                    )
                })
                .collect(),
            unit: units,
            _trees: trees,
            _units: count,
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
        }
    }
}

impl Logic for ProcessingElement {
    #[hdl_gen]
    fn update(&mut self) {
        for t in 0..self._trees {
            self.popcount[t].clock.next = self.clock.val();
            self.popcount[t].advance.next = self.advance.val();
            for m in 0..self._activation_branches {
                self.popcount[t].activation[m].next = self.activation[m].val();
            }
            for k in 0..self._weight_branches {
                self.popcount[t].weight[k].next = self.weight[k].val();
            }
            self.accumulator[t].clock.next = self.clock.val();
            self.accumulator[t].accumulate.next = self.accumulate.val();
            self.accumulator[t].first.next = self.first.val();
            self.accumulator[t].shift.next = self.shift.val();
            self.accumulator[t].count.next = self.popcount[t].count.val();
            self.sum.next = self.accumulator[t].sum.val();
        }
        for u in 0..self._units {
            self.unit[u].clock.next = self.clock.val();
            self.unit[u].advance.next = self.advance.val();
            self.unit[u].accumulate.next = self.accumulate.val();
            self.unit[u].first.next = self.first.val();
            self.unit[u].clear.next = self.clear[u].val();
            self.unit[u].shift.next = self.shift.val();
            for m in 0..self._activation_branches {
                self.unit[u].activation[m].next = self.activation[m].val();
            }
            for k in 0..self._weight_branches {
                self.unit[u].weight[k].next = self.weight[k].val();
            }
            self.sum.next = self.unit[u].sum.val();
        }
    }
}
