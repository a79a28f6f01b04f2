//! Counts and accumulators for fabrics of 4-input LUTs with carry chains, ECP5 and iCE40, and for standard cells.
//!
//! A pair bit takes all four pins of a LUT, so nothing else is in it; what remains is one full adder for each pair of lanes
//! but a few.
//! - *LUTs*: a full adder is two LUTs (parity and majority), and its path is short.
//! - *Chains*: a full adder is one chain position, after one position that puts a third bit into the carry. The same
//!   position shows the carry of the chain before it (a *barrier*: its own sum is 0, so no carry passes), and short chains
//!   stand back to back without waste.
//! - *Absorbed majorities*, ECP5 only: the LUT of a CCU2C position has four pins, and three of them can be the majority of
//!   three bits. So the full adder below is one LUT, its parity.
//!
//! Which of them, and how many pairs enter at each level, is chosen by computed cost; see `Schedule`.

mod accumulator;
mod cells;
mod ecp5;
mod ice40;

use super::heap::{Counted, Heap, Source};
use super::netlist::{Bit, Netlist};
use super::schedule::{Addend, Chain, Node, Operation, Rules, Schedule};
use super::unit::{Accumulator, Controls, Unit};
use accumulator::State;

/// Truth table of the parity of three bits.
const PARITY: u64 = 0x96;
/// Truth table of the majority of three bits.
const MAJORITY: u64 = 0xe8;

/// A family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Lattice ECP5: LUT4, CCU2C.
    Ecp5,
    /// Lattice iCE40: SB_LUT4, SB_CARRY.
    Ice40,
    /// Standard cells with full and half adders.
    Cells,
}

/// What to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Objective {
    /// Sites or logic cells: adders are chains.
    Area,
    /// Time: adders are LUTs, and only the accumulator is a chain.
    Clock,
}

/// Where registers stand. A level of logic is a pair bit or an adder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registers {
    /// After every so many levels; at least 1.
    EveryLevels(u32),
    /// After so many stages of as equal a number of levels as can be; at least 1, and no more than there are levels.
    Stages(u32),
}

/// How a structure is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// What to save.
    pub objective: Objective,
    /// Where registers stand.
    pub registers: Registers,
    /// Largest `arrival`: for how many cycles the array's edge may have to delay an operand.
    pub skew: u32,
    /// Positions of chains that stand back to back at most; timing analysis sees a path through all of them. None: 10 on
    /// ECP5, 12 on iCE40.
    pub chain_positions: Option<u32>,
    /// What it costs an element to delay the four operands of a pair by one cycle, in thousandths of a site. The registers
    /// stand at the array's edge, so each of R x C elements pays (2/R + 2/C) flip-flops.
    pub delay_cost: u32,
}

impl Options {
    /// The defaults for an objective.
    pub fn new(objective: Objective) -> Self {
        Options {
            objective,
            registers: Registers::EveryLevels(1),
            skew: 8,
            chain_positions: None,
            delay_cost: 50,
        }
    }
}

/// Counts `heap`.
pub fn count(
    netlist: &mut Netlist,
    family: Family,
    heap: &Heap,
    source: &Source,
    advance: Bit,
    options: &Options,
) -> Counted {
    let schedule = cheapest(family, heap, false, options);
    let built = Builder::new(netlist, family, &schedule, options).run(heap, source, advance);
    Counted {
        count: built.count,
        arrival: built.arrival,
        latency: built.latency,
    }
}

/// Counts `heap` and accumulates the counts.
///
/// # Panics
/// If `controls.shift` has not one bit for each of `shape.amounts`.
pub fn unit(
    netlist: &mut Netlist,
    family: Family,
    heap: &Heap,
    source: &Source,
    controls: &Controls,
    shape: &Accumulator,
    options: &Options,
) -> Unit {
    assert_eq!(
        controls.shift.len(),
        shape.amounts.len(),
        "one shift control for each distance"
    );
    // The carry of an iCE40 position cannot know of `first`, so that a carry into the lowest would be lost there.
    let spare = family != Family::Ice40 || !shape.amounts.is_empty();
    let schedule = cheapest(family, heap, spare, options);
    let built =
        Builder::new(netlist, family, &schedule, options).run(heap, source, controls.advance);
    netlist.comment("The accumulator.");
    let state = State::new(netlist, controls, shape, built.count, built.spare);
    match family {
        Family::Ecp5 => ecp5::accumulate(netlist, &state),
        Family::Ice40 => ice40::accumulate(netlist, &state),
        Family::Cells => cells::accumulate(netlist, &state),
    }
    Unit {
        sum: state.sum,
        arrival: built.arrival,
        latency: built.latency,
    }
}

/// The cheapest schedule: sites, the registers in which bits wait, and the delays at the array's edge.
fn cheapest(family: Family, heap: &Heap, spare: bool, options: &Options) -> Schedule {
    let all = heap.pairs.max(1);
    let mut rates: Vec<u32> = (1..=16)
        .chain((1..=16).map(|levels| all.div_ceil(levels)))
        .filter(|rate| *rate <= all)
        .collect();
    if family == Family::Cells {
        // Late bits save nothing there, and what is not registered would ripple.
        rates = vec![all];
    }
    rates.sort_unstable();
    rates.dedup();
    // A stage has at least so many levels.
    let levels = match options.registers {
        Registers::Stages(_) => 1,
        Registers::EveryLevels(levels) => levels.max(1),
    };
    let within = |rate: u32| (all.div_ceil(rate) - 1) / levels <= options.skew;
    let chains = options.objective == Objective::Area && family != Family::Cells;
    let final_chains: &[bool] = match family {
        Family::Cells => &[false],
        _ if chains => &[true],
        _ => &[false, true],
    };
    let plan = |rate, final_chain| {
        let rules = Rules {
            chains,
            absorb: chains && family == Family::Ecp5,
            final_chain,
            spare,
            rate,
        };
        let mut schedule = Schedule::new(heap, rules);
        if family != Family::Cells {
            schedule.defer(heap, options.skew.saturating_mul(levels));
        }
        (cost(family, heap, &schedule, options), schedule)
    };
    // The rate of all pairs at once has no skew.
    let mut best = plan(all, final_chains[0]);
    for rate in rates.into_iter().filter(|rate| within(*rate)) {
        for &final_chain in final_chains {
            let other = plan(rate, final_chain);
            if other.0 < best.0 {
                best = other;
            }
        }
    }
    best.1
}

/// Thousandths of a site.
fn cost(family: Family, heap: &Heap, schedule: &Schedule, options: &Options) -> u64 {
    let luts = schedule
        .operations
        .iter()
        .filter(|(_, operation)| !matches!(operation, Operation::Chain(_)))
        .count() as u64;
    let positions: u64 = groups(family, schedule, options)
        .iter()
        .map(|group| {
            let slots = slot_count(group) as u64;
            match family {
                Family::Ecp5 => slots.next_multiple_of(2),
                Family::Ice40 | Family::Cells => slots,
            }
        })
        .sum();
    let timing = Timing::new(schedule, options);
    let waiting: u64 = schedule
        .level
        .iter()
        .zip(&timing.last_use)
        .map(|(level, last)| u64::from((last - timing.stage(*level)).saturating_sub(1)))
        .sum();
    // A flip-flop behind a LUT costs nothing; one behind a flip-flop takes a logic cell of iCE40, half a slice's spare of ECP5.
    let wait = match family {
        Family::Ecp5 => 100,
        Family::Ice40 | Family::Cells => 1000,
    };
    let planes = u64::from(heap.groups + heap.planes) * u64::from(options.delay_cost) / 2;
    let delays: u64 = schedule
        .entry
        .iter()
        .map(|level| u64::from(timing.stage(*level)) * planes)
        .sum();
    (heap.bits() + luts + positions) * 1000 + waiting * wait + delays
}

/// When things are registered.
struct Timing {
    /// Levels of logic.
    levels: u32,
    /// Stages that the schedule takes.
    stages: u32,
    /// For each node, the last stage that reads it.
    last_use: Vec<u32>,
}

impl Timing {
    fn new(schedule: &Schedule, options: &Options) -> Self {
        let all = schedule.last_level() + 1;
        let (levels, stages) = match options.registers {
            Registers::Stages(stages) => (all, stages.clamp(1, all)),
            Registers::EveryLevels(each) => {
                let each = each.max(1);
                (all.next_multiple_of(each), all.div_ceil(each))
            }
        };
        let mut timing = Timing {
            levels,
            stages,
            last_use: Vec::new(),
        };
        let mut last_use: Vec<u32> = schedule.level.iter().map(|l| timing.stage(*l)).collect();
        for (level, operation) in &schedule.operations {
            let stage = timing.stage(*level);
            operation.read(&mut |node| {
                let last = &mut last_use[node.index()];
                *last = (*last).max(stage);
            });
        }
        let results = schedule.result.iter().flatten().chain(&schedule.spare);
        results.for_each(|node| last_use[node.index()] = stages);
        timing.last_use = last_use;
        timing
    }

    fn stage(&self, level: u32) -> u32 {
        level * self.stages / self.levels
    }
}

/// Chains that stand back to back. They may be of different levels: no carry passes a barrier.
fn groups<'a>(family: Family, schedule: &'a Schedule, options: &Options) -> Vec<Vec<&'a Chain>> {
    let limit = options.chain_positions.unwrap_or(match family {
        Family::Ice40 => 12,
        Family::Ecp5 | Family::Cells => 10,
    });
    let mut groups: Vec<Vec<&Chain>> = Vec::new();
    for (_, operation) in &schedule.operations {
        let Operation::Chain(chain) = operation else {
            continue;
        };
        if let Some(group) = groups.last_mut() {
            group.push(chain);
            if slot_count(group) as u32 <= limit {
                continue;
            }
            group.pop();
        }
        groups.push(vec![chain]);
    }
    groups
}

/// Positions that chains take back to back, with the barriers between them.
fn slot_count(group: &[&Chain]) -> usize {
    let positions: usize = group.iter().map(|chain| chain.positions.len()).sum();
    let entry = usize::from(group.first().is_some_and(|chain| chain.inject.is_some()));
    let exit = usize::from(group.last().is_some_and(|chain| chain.export.is_some()));
    entry + positions + group.len().saturating_sub(1) + exit
}

/// The second addend of a position, as nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Nothing,
    Plain(Bit),
    Majority([Bit; 3]),
}

/// A position of a chain of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Shows the carry of the chain below, and starts the next one.
    Barrier {
        inject: Option<Bit>,
        export: Option<Bit>,
    },
    /// A full adder.
    Add { plain: Bit, other: Other, sum: Bit },
}

/// What a builder made.
struct Built {
    count: Vec<Bit>,
    spare: Option<Bit>,
    arrival: Vec<u32>,
    latency: u32,
}

/// Puts a schedule into a netlist.
struct Builder<'a> {
    netlist: &'a mut Netlist,
    family: Family,
    schedule: &'a Schedule,
    options: &'a Options,
    timing: Timing,
    /// For each node, its net and that net delayed by 1, 2, ... stages.
    nets: Vec<Vec<Bit>>,
}

impl<'a> Builder<'a> {
    fn new(
        netlist: &'a mut Netlist,
        family: Family,
        schedule: &'a Schedule,
        options: &'a Options,
    ) -> Self {
        Builder {
            timing: Timing::new(schedule, options),
            nets: vec![Vec::new(); schedule.level.len()],
            netlist,
            family,
            schedule,
            options,
        }
    }

    fn run(mut self, heap: &Heap, source: &Source, advance: Bit) -> Built {
        for stage in 0..self.timing.stages {
            self.wires(stage, heap);
            self.pair_bits(stage, heap, source);
            self.counters(stage);
            self.registers(stage, advance);
        }
        self.chains();
        let end = self.timing.stages;
        let result = self.schedule.result.iter();
        let mut count: Vec<Bit> = result
            .map(|node| node.map_or(Bit::ZERO, |node| self.net(node, end)))
            .collect();
        let mut spare = self.schedule.spare.map(|node| self.net(node, end));
        if self.family == Family::Cells {
            for bit in count.iter_mut().chain(&mut spare) {
                *bit = cells::inverted(self.netlist, *bit);
            }
        }
        Built {
            count,
            spare,
            arrival: self
                .schedule
                .entry
                .iter()
                .map(|level| self.timing.stage(*level))
                .collect(),
            latency: end,
        }
    }

    /// The nets of everything that a stage makes.
    fn wires(&mut self, stage: u32, heap: &Heap) {
        let bits = heap.bits() as usize;
        let made = |range: std::ops::Range<usize>| -> Vec<usize> {
            range
                .filter(|node| self.timing.stage(self.schedule.level[*node]) == stage)
                .collect()
        };
        let (pairs, sums) = (made(0..bits), made(bits..self.schedule.level.len()));
        self.netlist.comment(format!("Stage {stage}."));
        for (name, nodes) in [("pair", pairs), ("sum", sums)] {
            let wires = self.netlist.wires(&format!("{name}_{stage}"), nodes.len());
            for (node, wire) in nodes.into_iter().zip(wires) {
                self.nets[node].push(wire);
            }
        }
    }

    fn pair_bits(&mut self, stage: u32, heap: &Heap, source: &Source) {
        for node in 0..heap.bits() as u32 {
            if self.timing.stage(self.schedule.level[node as usize]) != stage {
                continue;
            }
            let (row, pair) = (node / heap.pairs, node % heap.pairs);
            let (group, plane) = (row / heap.planes, row % heap.planes);
            let inputs = (source.pins)(group, plane, pair).to_vec();
            let table = match self.family {
                Family::Cells => !source.tables[plane as usize],
                _ => source.tables[plane as usize],
            };
            self.netlist.cell(super::netlist::Cell::Lut {
                inputs,
                table: table.into(),
                output: self.nets[node as usize][0],
            });
        }
    }

    /// Adders of LUTs.
    fn counters(&mut self, stage: u32) {
        let schedule = self.schedule;
        if self.family == Family::Cells {
            return cells::counters(self, stage);
        }
        for (level, operation) in &schedule.operations {
            if self.timing.stage(*level) != stage {
                continue;
            }
            let (inputs, output, table) = match operation {
                Operation::Parity { inputs, output } => (inputs, output, PARITY),
                Operation::Majority { inputs, output } => (inputs, output, MAJORITY),
                Operation::Chain(_) => continue,
            };
            // With two inputs the third reads as 0.
            let size = 1u64 << inputs.len();
            let inputs = inputs.iter().map(|node| self.net(*node, stage)).collect();
            self.netlist.cell(super::netlist::Cell::Lut {
                inputs,
                table: table & ((1 << size) - 1),
                output: self.nets[output.index()][0],
            });
        }
    }

    /// All chains.
    fn chains(&mut self) {
        for group in groups(self.family, self.schedule, self.options) {
            let slots = self.slots(&group);
            match self.family {
                Family::Ecp5 => ecp5::chain(self.netlist, &slots),
                Family::Ice40 => ice40::chain(self.netlist, &slots),
                Family::Cells => {}
            }
        }
    }

    /// Chains back to back as positions of the device.
    fn slots(&self, group: &[&Chain]) -> Vec<Slot> {
        let mut slots = Vec::with_capacity(slot_count(group));
        let mut export = None;
        for (k, chain) in group.iter().enumerate() {
            let level = self.schedule.level[chain.positions[0].sum.index()];
            let net = |node: Node| self.net(node, self.timing.stage(level));
            let inject = chain.inject.map(net);
            if k > 0 || inject.is_some() {
                slots.push(Slot::Barrier { inject, export });
            }
            slots.extend(chain.positions.iter().map(|position| Slot::Add {
                plain: net(position.plain),
                other: match position.other {
                    Addend::Nothing => Other::Nothing,
                    Addend::Plain(node) => Other::Plain(net(node)),
                    Addend::Majority(nodes) => Other::Majority(nodes.map(net)),
                },
                sum: net(position.sum),
            }));
            export = chain.export.map(net);
        }
        if export.is_some() {
            slots.push(Slot::Barrier {
                inject: None,
                export,
            });
        }
        slots
    }

    /// Registers between a stage and the next, for all that is read later.
    fn registers(&mut self, stage: u32, advance: Bit) {
        let waiting: Vec<usize> = (0..self.nets.len())
            .filter(|&node| !self.nets[node].is_empty() && self.timing.last_use[node] > stage)
            .collect();
        let d: Vec<Bit> = waiting
            .iter()
            .map(|&node| *self.nets[node].last().unwrap_or(&Bit::ZERO))
            .collect();
        if d.is_empty() {
            return;
        }
        let q = self
            .netlist
            .register(&format!("held_{stage}"), &d, advance, Bit::ZERO);
        for (node, q) in waiting.into_iter().zip(q) {
            self.nets[node].push(q);
        }
    }

    /// A node's net in a stage.
    fn net(&self, node: Node, stage: u32) -> Bit {
        let made = self.timing.stage(self.schedule.level[node.index()]);
        self.nets[node.index()][(stage - made) as usize]
    }
}
