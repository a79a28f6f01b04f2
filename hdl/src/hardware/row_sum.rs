//! The row unit: what a row's results need to know about the activations alone.

use super::{BranchAccumulator, PopcountTree, RowPopcount};
use crate::config::Design;
use crate::popcount::PopcountPlan;
use crate::rtl::prelude::*;

/// The pair values of one activation word, as bit-planes (table `row_mode` in `docs/microarchitecture.md`).
///
/// With one weight branch per beat the three values {xor, 2*or, 2*nand} are one plane, doubled later; with more,
/// the value has `weight_branches + 1` planes.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowPairs {
    shape: Shape,
    /// `row_mode`: 0, 1 or 2.
    pub mode: Net<In>,
    /// Activation bits, one for each lane.
    pub activation: Net<In>,
    /// One word of pairs for each plane.
    pub plane: Vec<Net<Out>>,
    activation_low: Net<Local>,
    activation_high: Net<Local>,
    odd: Net<Local>,
    both: Net<Local>,
    not_both: Net<Local>,
    single: Net<Local>,
    lowest: Net<Local>,
    second: Net<Local>,
    middle: Net<Local>,
    highest: Net<Local>,
    half: Constant,
    zero: Constant,
    _pairs: usize,
    _serial: usize,
    _first: usize,
    _second: usize,
    _top: usize,
    _planes: usize,
}

impl RowPairs {
    /// The block for the design's lanes and weight branches.
    pub fn new(design: &Design) -> Self {
        let (lanes, pairs, planes) = (design.config().lanes, design.pairs, design.row_planes);
        let parallel = usize::from(planes > 1);
        let local = || Net::new(pairs);
        RowPairs {
            shape: Shape::new(
                format!("row_pairs_p{planes}_l{lanes}"),
                "Pair values of one activation word, as the row unit counts them.",
            ),
            mode: Net::new(2),
            activation: Net::new(lanes),
            plane: Net::vector(planes, pairs),
            activation_low: local(),
            activation_high: local(),
            odd: local(),
            both: local(),
            not_both: local(),
            single: local(),
            lowest: local(),
            second: local(),
            middle: local(),
            highest: local(),
            half: Constant::new(32, pairs.into()),
            zero: Constant::new(1, 0),
            _pairs: pairs as usize,
            _serial: 1 - parallel,
            _first: parallel,
            _second: 2 * parallel,
            _top: parallel * (planes as usize - 1),
            _planes: parallel * planes as usize,
        }
    }
}

impl Logic for RowPairs {
    #[hdl_gen]
    fn update(&mut self) {
        self.activation_low.next = bits_resize(self.activation.val(), self._pairs);
        self.activation_high.next =
            bits_resize(self.activation.val() >> self.half.val(), self._pairs);
        self.odd.next = self.activation_low.val() ^ self.activation_high.val();
        self.both.next = self.activation_low.val() & self.activation_high.val();
        self.not_both.next = !(self.activation_low.val() & self.activation_high.val());
        if self.mode.val().get_bit(1) {
            self.single.next = self.not_both.val();
            self.lowest.next = bits_resize(self.zero.val(), self._pairs);
            self.second.next = self.not_both.val();
            self.middle.next = self.not_both.val();
            self.highest.next = self.not_both.val();
        } else if self.mode.val().get_bit(0) {
            self.single.next = self.odd.val() | self.both.val();
            self.lowest.next = bits_resize(self.zero.val(), self._pairs);
            self.second.next = self.both.val();
            self.middle.next = bits_resize(self.zero.val(), self._pairs);
            self.highest.next = self.odd.val();
        } else {
            self.single.next = self.odd.val();
            self.lowest.next = self.odd.val();
            self.second.next = self.odd.val();
            self.middle.next = self.odd.val();
            self.highest.next = bits_resize(self.zero.val(), self._pairs);
        }
        for p in 0..self._serial {
            self.plane[p].next = self.single.val();
        }
        for p in 0..self._first {
            self.plane[p].next = self.lowest.val();
        }
        for p in self._first..self._second {
            self.plane[p].next = self.second.val();
        }
        for p in self._second..self._top {
            self.plane[p].next = self.middle.val();
        }
        for p in self._top..self._planes {
            self.plane[p].next = self.highest.val();
        }
    }
}

/// The row unit: the same schedule and accumulator as a processing element, over activations alone. There is one in
/// each row, so its cost is shared by all columns. Where the design has netlists, its popcount is one, and the count waits
/// until those of the processing elements are there.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowSum {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcount's pipeline move.
    pub advance: Net<In>,
    /// As in a processing element.
    pub accumulate: Net<In>,
    /// As in a processing element.
    pub first: Net<In>,
    /// As in a processing element.
    pub shift: Net<In>,
    /// Doubles the count: `row_mode` of the beat that leaves the pipeline was not 0, and it has one plane.
    pub twice: Net<In>,
    /// `row_mode` of the beat that enters; for a netlist that of each pair of lanes, delayed like the lanes.
    pub mode: Net<In>,
    /// One word of lanes for each activation branch.
    pub activation: Vec<Net<In>>,
    /// The accumulator.
    pub sum: Net<Out>,
    pairs: Vec<RowPairs>,
    tree: Vec<PopcountTree>,
    unit: Vec<RowPopcount>,
    pad: Vec<EnabledRegister>,
    count: Net<Local>,
    accumulator: BranchAccumulator,
    _trees: usize,
    _units: usize,
    _at_once: usize,
    _first_wait: usize,
    _last_wait: usize,
    _waits: usize,
    one: Constant,
    _branches: usize,
    _planes: usize,
    _count_width: usize,
}

impl RowSum {
    /// The row unit of a design.
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        let plan = PopcountPlan::new(design.pairs, design.row_planes, c.activation_branches);
        let count_width = design.row_count_width;
        let tree_width = plan.count_width();
        let units: Vec<RowPopcount> = design
            .units()
            .map(|units| RowPopcount::new(design, units))
            .into_iter()
            .collect();
        let (count, trees) = (units.len(), 1 - units.len());
        let waits = design.units().map_or(0, |units| units.row_padding());
        let mode_width = match count {
            0 => 2,
            _ => 2 * design.pairs,
        };
        RowSum {
            shape: Shape::new(
                format!(
                    "row_sum_a{}_p{}_l{}",
                    c.activation_branches, design.row_planes, c.lanes
                ),
                "Row unit: the row term of the results, from the activations alone.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            twice: Net::new(1),
            mode: Net::new(mode_width),
            activation: Net::vector(c.activation_branches, c.lanes),
            sum: Net::new(design.row_sum_width()),
            pairs: (0..c.activation_branches * trees as u32)
                .map(|_| RowPairs::new(design))
                .collect(),
            tree: (0..trees)
                .map(|_| PopcountTree::new(plan.clone(), design.latency()))
                .collect(),
            unit: units,
            pad: EnabledRegister::vector(waits, tree_width),
            count: Net::new(tree_width),
            _trees: trees,
            _units: count,
            _at_once: if waits == 0 { count } else { 0 },
            _first_wait: count.min(waits as usize),
            _last_wait: waits.saturating_sub(1) as usize,
            _waits: waits as usize,
            accumulator: BranchAccumulator::new(
                design.row_high_width,
                design.accumulator_low_width,
                count_width,
                &design.shift_amounts,
            ),
            one: Constant::new(1, 1),
            _branches: c.activation_branches as usize,
            _planes: design.row_planes as usize,
            _count_width: count_width as usize,
        }
    }
}

impl Logic for RowSum {
    #[hdl_gen]
    fn update(&mut self) {
        for t in 0..self._trees {
            for m in 0..self._branches {
                self.pairs[m].mode.next = self.mode.val();
                self.pairs[m].activation.next = self.activation[m].val();
                for p in 0..self._planes {
                    self.tree[t].plane[m][p].next = self.pairs[m].plane[p].val();
                }
            }
            self.tree[t].clock.next = self.clock.val();
            self.tree[t].advance.next = self.advance.val();
            self.count.next = self.tree[t].count.val();
        }
        for u in 0..self._units {
            self.unit[u].clock.next = self.clock.val();
            self.unit[u].advance.next = self.advance.val();
            self.unit[u].mode.next = self.mode.val();
            for m in 0..self._branches {
                self.unit[u].activation[m].next = self.activation[m].val();
            }
        }
        for s in 0..self._waits {
            self.pad[s].clock.next = self.clock.val();
            self.pad[s].enable.next = self.advance.val();
        }
        for s in 0..self._first_wait {
            self.pad[s].d.next = self.unit[s].count.val();
        }
        for s in 0..self._last_wait {
            self.pad[s + 1].d.next = self.pad[s].q.val();
        }
        for s in self._last_wait..self._waits {
            self.count.next = self.pad[s].q.val();
        }
        for u in 0..self._at_once {
            self.count.next = self.unit[u].count.val();
        }
        self.accumulator.clock.next = self.clock.val();
        self.accumulator.accumulate.next = self.accumulate.val();
        self.accumulator.first.next = self.first.val();
        self.accumulator.shift.next = self.shift.val();
        if self.twice.val().any() {
            self.accumulator.count.next =
                bits_resize(self.count.val(), self._count_width) << self.one.val();
        } else {
            self.accumulator.count.next = bits_resize(self.count.val(), self._count_width);
        }
        self.sum.next = self.accumulator.sum.val();
    }
}
