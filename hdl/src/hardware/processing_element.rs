//! One processing element.

use super::{BranchAccumulator, XnorPopcount};
use crate::config::Design;
use crate::rtl::prelude::*;

/// One processing element: XNOR, popcount, accumulator. It is multiplied by thousands, so nothing signed, no row enable
/// and no constant enters it; row units and column constants carry those.
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
    /// That beat's shift, one-hot.
    pub shift: Net<In>,
    /// One word of lanes for each activation branch.
    pub activation: Vec<Net<In>>,
    /// One word of lanes for each weight branch.
    pub weight: Vec<Net<In>>,
    /// The accumulator.
    pub sum: Net<Out>,
    popcount: XnorPopcount,
    accumulator: BranchAccumulator,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl ProcessingElement {
    /// The element of a design.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        ProcessingElement {
            shape: Shape::new(
                format!("processing_element_a{pm}_w{pk}_l{}", c.lanes),
                "One processing element: XNOR, popcount, accumulator.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            activation: Net::vector(pm, c.lanes),
            weight: Net::vector(pk, c.lanes),
            sum: Net::new(design.sum_width()),
            popcount: XnorPopcount::new(design),
            accumulator: BranchAccumulator::new(
                design.accumulator_high_width,
                design.accumulator_low_width,
                design.count_width,
                &design.shift_amounts,
            ),
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
        }
    }
}

impl Logic for ProcessingElement {
    #[hdl_gen]
    fn update(&mut self) {
        self.popcount.clock.next = self.clock.val();
        self.popcount.advance.next = self.advance.val();
        for m in 0..self._activation_branches {
            self.popcount.activation[m].next = self.activation[m].val();
        }
        for k in 0..self._weight_branches {
            self.popcount.weight[k].next = self.weight[k].val();
        }
        self.accumulator.clock.next = self.clock.val();
        self.accumulator.accumulate.next = self.accumulate.val();
        self.accumulator.first.next = self.first.val();
        self.accumulator.shift.next = self.shift.val();
        self.accumulator.count.next = self.popcount.count.val();
        self.sum.next = self.accumulator.sum.val();
    }
}
