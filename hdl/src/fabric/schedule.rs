//! The order in which a heap of bits is compressed, on fabrics whose counters are chains of full adders and 4-input LUTs.
//!
//! Time is counted in *levels* of logic; a fabric puts registers after every few of them. Bits enter over several levels,
//! so many pairs of lanes at a time: the running sums then meet fresh bits, which is what lets a chain be longer than one
//! position. The greedy way below is run for many rates, and the cheapest schedule is taken: it is deterministic and quick,
//! and not proved to be optimal. Each full adder reduces the bits by one, so their number is fixed, 26 for 31 bits; what a
//! schedule can save is what stands between them. `docs/area.md` gives the distance from that floor.

use super::heap::Heap;

/// A bit of the schedule. The first `Heap::bits` are the heap's, in the order of (group, plane, pair).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node(pub(super) u32);

impl Node {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The second addend of a chain position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addend {
    /// None: the position adds one bit and the carry.
    Nothing,
    /// A bit.
    Plain(Node),
    /// The carry of three bits of the weight below, made inside the position.
    Majority([Node; 3]),
}

/// One full adder of a chain: `plain + other + carry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) plain: Node,
    pub(super) other: Addend,
    pub(super) sum: Node,
}

/// Full adders of rising weight, the carry of each going into the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Carry into the first position.
    pub(super) inject: Option<Node>,
    pub(super) positions: Vec<Position>,
    /// Carry out of the last position, where it can be 1.
    pub(super) export: Option<Node>,
}

/// One thing to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// The exclusive or of two or three bits.
    Parity { inputs: Vec<Node>, output: Node },
    /// The carry of two or three bits.
    Majority { inputs: Vec<Node>, output: Node },
    /// A chain.
    Chain(Chain),
}

impl Operation {
    /// Visits the bits that it reads.
    pub(super) fn read(&self, visit: &mut dyn FnMut(Node)) {
        match self {
            Operation::Parity { inputs, .. } | Operation::Majority { inputs, .. } => {
                inputs.iter().for_each(|node| visit(*node));
            }
            Operation::Chain(chain) => {
                chain.inject.iter().for_each(|node| visit(*node));
                for position in &chain.positions {
                    visit(position.plain);
                    match position.other {
                        Addend::Nothing => {}
                        Addend::Plain(node) => visit(node),
                        Addend::Majority(nodes) => nodes.into_iter().for_each(&mut *visit),
                    }
                }
            }
        }
    }
}

/// What the fabric's adders can do, and how fast bits enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Full adders are chain positions; otherwise pairs of LUTs.
    pub(super) chains: bool,
    /// A chain position can make the carry of three bits that it adds.
    pub(super) absorb: bool,
    /// The last two rows are added by a chain even where the rest are LUTs.
    pub(super) final_chain: bool,
    /// One bit of weight 1 may be left beside the count.
    pub(super) spare: bool,
    /// Pairs of lanes that enter at each level.
    pub(super) rate: u32,
}

/// A schedule: operations by level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The level at which each pair of lanes' bits are made.
    pub(super) entry: Vec<u32>,
    /// The level at which each node is made.
    pub(super) level: Vec<u32>,
    /// Operations with their levels, in order.
    pub(super) operations: Vec<(u32, Operation)>,
    /// The count, by weight; `None` where it is always 0.
    pub(super) result: Vec<Option<Node>>,
    /// A bit of weight 1 that is not in the count.
    pub(super) spare: Option<Node>,
}

impl Schedule {
    /// Schedules `heap` by `rules`.
    pub(super) fn new(heap: &Heap, rules: Rules) -> Self {
        Planner::new(heap, rules).run()
    }

    /// Lets pairs of lanes enter when they are first used, but not after `latest`: waiting costs an element more than a
    /// delay at the array's edge.
    pub(super) fn defer(&mut self, heap: &Heap, latest: u32) {
        let mut first_use = vec![latest + 1; heap.pairs as usize];
        for (level, operation) in &self.operations {
            operation.read(&mut |node| {
                if node.index() < heap.bits() as usize {
                    let first = &mut first_use[node.index() % heap.pairs as usize];
                    *first = (*first).min(*level);
                }
            });
        }
        // What is read only as the result stays where it is.
        for node in self.result.iter().flatten().chain(&self.spare) {
            if node.index() < heap.bits() as usize {
                first_use[node.index() % heap.pairs as usize] = 0;
            }
        }
        for (node, level) in self.level.iter_mut().take(heap.bits() as usize).enumerate() {
            let pair = node % heap.pairs as usize;
            *level = (*level).max(first_use[pair].saturating_sub(1));
            self.entry[pair] = *level;
        }
    }

    /// The last level in use.
    pub(super) fn last_level(&self) -> u32 {
        self.level.iter().copied().max().unwrap_or(0)
    }
}

struct Planner<'a> {
    heap: &'a Heap,
    rules: Rules,
    schedule: Schedule,
    /// For each weight, the bits that can be used at this level.
    columns: Vec<Vec<Node>>,
    /// Bits made at this level.
    made: Vec<(usize, Node)>,
    entered: u32,
    now: u32,
}

impl<'a> Planner<'a> {
    fn new(heap: &'a Heap, rules: Rules) -> Self {
        let width = heap.count_width() as usize;
        Planner {
            heap,
            rules,
            schedule: Schedule {
                entry: vec![0; heap.pairs as usize],
                level: vec![0; heap.bits() as usize],
                operations: Vec::new(),
                result: vec![None; width],
                spare: None,
            },
            columns: vec![Vec::new(); width],
            made: Vec::new(),
            entered: 0,
            now: 0,
        }
    }

    fn run(mut self) -> Schedule {
        self.enter();
        while !self.finished() {
            self.now += 1;
            for (weight, node) in std::mem::take(&mut self.made) {
                self.columns[weight].push(node);
            }
            if self.two_rows() && (self.rules.chains || self.rules.final_chain) {
                self.last_chain();
            } else if self.rules.chains {
                self.chains();
            } else {
                self.counters();
            }
            self.enter();
        }
        if self.columns[0].len() == 2 {
            self.schedule.spare = self.columns[0].pop();
        }
        for (weight, column) in self.columns.iter().enumerate() {
            self.schedule.result[weight] = column.first().copied();
        }
        self.schedule
    }

    /// Lets the next pairs of lanes in.
    fn enter(&mut self) {
        let end = self.heap.pairs.min(self.entered + self.rules.rate);
        for pair in self.entered..end {
            self.schedule.entry[pair as usize] = self.now;
            for group in 0..self.heap.groups {
                for plane in 0..self.heap.planes {
                    let node = Node((group * self.heap.planes + plane) * self.heap.pairs + pair);
                    self.schedule.level[node.index()] = self.now;
                    self.made.push(((group + plane) as usize, node));
                }
            }
        }
        self.entered = end;
    }

    fn node(&mut self, weight: usize) -> Node {
        let node = Node(self.schedule.level.len() as u32);
        self.schedule.level.push(self.now);
        self.made.push((weight, node));
        node
    }

    fn add(&mut self, operation: Operation) {
        self.schedule.operations.push((self.now, operation));
    }

    fn width(&self) -> usize {
        self.columns.len()
    }

    /// How many bits a column may keep in the end.
    fn kept(&self, weight: usize) -> usize {
        1 + usize::from(weight == 0 && self.rules.spare)
    }

    /// Whether everything entered and the columns, with what was just made, are the result.
    fn finished(&mut self) -> bool {
        if self.entered < self.heap.pairs {
            return false;
        }
        let mut height: Vec<usize> = self.columns.iter().map(Vec::len).collect();
        self.made
            .iter()
            .for_each(|(weight, _)| height[*weight] += 1);
        let done = (0..self.width()).all(|w| height[w] <= self.kept(w));
        if done {
            for (weight, node) in std::mem::take(&mut self.made) {
                self.columns[weight].push(node);
            }
        }
        done
    }

    /// Whether one chain finishes: everything entered, and two bits at most in each column (three where it starts).
    fn two_rows(&self) -> bool {
        if self.entered < self.heap.pairs || !self.made.is_empty() {
            return false;
        }
        let first = (0..self.width()).find(|&w| self.columns[w].len() > self.kept(w));
        first.is_some_and(|first| {
            self.columns[first].len() <= 3 && self.columns[first + 1..].iter().all(|c| c.len() <= 2)
        })
    }

    /// Adds the last two rows.
    fn last_chain(&mut self) {
        let Some(first) = (0..self.width()).find(|&w| self.columns[w].len() > self.kept(w)) else {
            return;
        };
        let inject = (self.columns[first].len() == 3).then(|| self.columns[first].remove(0));
        let mut chain = Chain {
            inject,
            positions: Vec::new(),
            export: None,
        };
        let mut weight = first;
        while weight < self.width() {
            let mut bits = std::mem::take(&mut self.columns[weight]).into_iter();
            let Some(plain) = bits.next() else {
                chain.export = Some(self.node(weight));
                break;
            };
            let other = bits.next().map_or(Addend::Nothing, Addend::Plain);
            let sum = self.node(weight);
            chain.positions.push(Position { plain, other, sum });
            weight += 1;
        }
        self.add(Operation::Chain(chain));
    }

    fn take(&mut self, weight: usize, count: usize) -> Vec<Node> {
        self.columns[weight].drain(..count).collect()
    }

    /// Starts a chain wherever three bits of one weight are, and goes on upwards while it adds two more bits.
    fn chains(&mut self) {
        for start in 0..self.width() {
            while self.columns[start].len() >= 3 {
                let bits = self.take(start, 3);
                let sum = self.node(start);
                let mut chain = Chain {
                    inject: Some(bits[0]),
                    positions: vec![Position {
                        plain: bits[1],
                        other: Addend::Plain(bits[2]),
                        sum,
                    }],
                    export: None,
                };
                self.extend(&mut chain, start + 1);
                self.add(Operation::Chain(chain));
            }
        }
    }

    fn extend(&mut self, chain: &mut Chain, mut weight: usize) {
        while weight < self.width() {
            let here = self.columns[weight].len();
            let other = if self.rules.absorb && here >= 1 && self.columns[weight - 1].len() >= 3 {
                let inputs = self.take(weight - 1, 3);
                let output = self.node(weight - 1);
                let three = [inputs[0], inputs[1], inputs[2]];
                self.add(Operation::Parity { inputs, output });
                Addend::Majority(three)
            } else if here >= 2 {
                Addend::Plain(self.columns[weight].remove(1))
            } else {
                chain.export = Some(self.node(weight));
                return;
            };
            let plain = self.columns[weight].remove(0);
            let sum = self.node(weight);
            chain.positions.push(Position { plain, other, sum });
            weight += 1;
        }
    }

    /// Full adders wherever three bits of one weight are; once everything has entered, a half adder at the lowest column
    /// that has too many.
    fn counters(&mut self) {
        for weight in 0..self.width() {
            while self.columns[weight].len() >= 3 {
                let bits = self.take(weight, 3);
                self.counter(weight, bits);
            }
        }
        if self.entered == self.heap.pairs {
            let made_at = |w: usize| self.made.iter().filter(|(weight, _)| *weight == w).count();
            let lowest =
                (0..self.width()).find(|&w| self.columns[w].len() + made_at(w) > self.kept(w));
            if let Some(weight) = lowest
                && self.columns[weight].len() == 2
            {
                let bits = self.take(weight, 2);
                self.counter(weight, bits);
            }
        }
    }

    fn counter(&mut self, weight: usize, inputs: Vec<Node>) {
        let output = self.node(weight);
        self.add(Operation::Parity {
            inputs: inputs.clone(),
            output,
        });
        if weight + 1 < self.width() {
            let output = self.node(weight + 1);
            self.add(Operation::Majority { inputs, output });
        }
    }
}
