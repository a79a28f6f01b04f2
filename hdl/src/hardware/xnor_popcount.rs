//! The XNOR and popcount of one processing element.

use super::{PairBits, PopcountTree, grid};
use crate::config::Design;
use crate::popcount::PopcountPlan;
use crate::rtl::prelude::*;

/// Counts the pair bits of `activation_branches` x `weight_branches` branch pairs in one weighted heap:
/// `count = sum_mk 2^(m+k) * sum_i B_mk,i`, `Design::latency` cycles later.
#[derive(Clone, Debug, LogicBlock)]
pub struct XnorPopcount {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the pipeline move.
    pub advance: Net<In>,
    /// One word of lanes for each activation branch.
    pub activation: Vec<Net<In>>,
    /// One word of lanes for each weight branch.
    pub weight: Vec<Net<In>>,
    /// The weighted count of pair bits.
    pub count: Net<Out>,
    pair_bits: Vec<Vec<PairBits>>,
    tree: PopcountTree,
    _activation_branches: usize,
    _weight_branches: usize,
}

impl XnorPopcount {
    /// The block for the design's lanes, branches and stages.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let (pm, pk) = (c.activation_branches, c.weight_branches);
        let plan = PopcountPlan::new(design.pairs, pk, pm);
        XnorPopcount {
            shape: Shape::new(
                format!("xnor_popcount_a{pm}_w{pk}_l{}", c.lanes),
                "XNOR and popcount of all branch pairs of one cycle, as one weighted count of pair bits.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            activation: Net::vector(pm, c.lanes),
            weight: Net::vector(pk, c.lanes),
            count: Net::new(plan.count_width()),
            pair_bits: (0..pm)
                .map(|_| (0..pk).map(|_| PairBits::new(design)).collect())
                .collect(),
            tree: PopcountTree::new(plan, design.latency()),
            _activation_branches: pm as usize,
            _weight_branches: pk as usize,
        }
    }
}

impl Logic for XnorPopcount {
    #[hdl_gen]
    fn update(&mut self) {
        for m in 0..self._activation_branches {
            for k in 0..self._weight_branches {
                self.pair_bits[m][k].activation.next = self.activation[m].val();
                self.pair_bits[m][k].weight.next = self.weight[k].val();
                self.tree.plane[m][k].next = self.pair_bits[m][k].pair.val();
            }
        }
        self.tree.clock.next = self.clock.val();
        self.tree.advance.next = self.advance.val();
        self.count.next = self.tree.count.val();
    }
}

/// Planes of `groups` x `planes` words of `pairs` bits, as a tree takes them.
pub(super) fn planes(plan: &PopcountPlan) -> Vec<Vec<Net<In>>> {
    grid(plan.groups, plan.planes, plan.pairs)
}
