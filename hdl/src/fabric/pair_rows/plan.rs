//! What is added where: adders, their positions and the bits between them, before any net exists.

/// A pair bit of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairBit {
    pub(super) group: u32,
    pub(super) plane: u32,
    pub(super) pair: u32,
}

/// A registered bit: its place in [`Plan::bits`].
pub(super) type Id = usize;

/// A registered bit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registered {
    /// The first cycle in which the register holds it.
    pub(super) time: u32,
    /// The pair bit that a LUT makes for it alone; `None` if it is an adder's sum.
    pub(super) hosted: Option<PairBit>,
}

/// One weight of an adder.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// A pair bit that the position's LUT makes and adds.
    pub(super) absorbed: Option<PairBit>,
    /// Registered bits to add: at most 3, at most 1 beside an absorbed bit.
    pub(super) addends: Vec<Id>,
    /// The accumulator's own bit is an addend too.
    pub(super) state: bool,
    /// The sum.
    pub(super) sum: Id,
}

impl Column {
    /// Addends without what comes from the position below.
    pub(super) fn operands(&self) -> usize {
        self.addends.len() + usize::from(self.absorbed.is_some()) + usize::from(self.state)
    }
}

/// One carry chain: adds up to three bits of each weight.
///
/// Three addends of a weight become their parity, which the chain adds, and their majority (`over`), which the
/// next position adds: a ternary adder, one LUT6_2 for each weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Adder {
    /// The cycle in which it adds; its sums are registered from the next on.
    pub(super) time: u32,
    /// One more bit of the lowest weight, into the carry.
    pub(super) carry_in: Option<Id>,
    /// One more bit of the lowest weight, in the place of the majority from below.
    pub(super) extra: Option<Id>,
    /// Rising weights.
    pub(super) columns: Vec<Column>,
    /// The majority of the column with this number is registered here, not added by the next position.
    pub(super) spill: Option<(usize, Id)>,
}

/// What the LUT and the data pin of a position do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// At most one addend: the LUT's second output is free for a pair bit.
    Pass,
    /// A pair bit and at most one addend.
    Absorb,
    /// Two addends; the LUT's second output is one of them.
    Two,
    /// One addend and the majority from below.
    Over,
    /// Three addends, or two and the majority from below; the second output is their majority.
    Three,
}

impl Adder {
    /// The bits that it makes: sums of rising weights, then the majority that it registers.
    pub(super) fn registered(&self) -> impl Iterator<Item = Id> {
        let sums = self.columns.iter().map(|column| column.sum);
        sums.chain(self.spill.map(|(_, id)| id))
    }

    /// Roles of the columns.
    pub(super) fn roles(&self) -> Vec<Role> {
        let mut over = self.extra.is_some();
        self.columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let operands = column.operands();
                let role = match (column.absorbed.is_some(), operands, over) {
                    (true, ..) => Role::Absorb,
                    (_, 3.., _) | (_, 2, true) => Role::Three,
                    (_, 2, false) => Role::Two,
                    (_, 1, true) => Role::Over,
                    _ => Role::Pass,
                };
                over = role == Role::Three && self.spill.is_none_or(|(at, _)| at != i);
                role
            })
            .collect()
    }

    /// Whether a carry in must come from a position below: from a bypass pin it would take the pin that the first
    /// position's data needs.
    fn needs_position_for_carry_in(&self, roles: &[Role]) -> bool {
        !matches!(roles[0], Role::Absorb | Role::Two)
    }

    /// Whether the highest position only passes a carry out: its data is free to be the next chain's carry in.
    fn is_barrier(&self, roles: &[Role]) -> bool {
        let over = match roles.len() {
            1 => self.extra.is_some(),
            n => roles[n - 2] == Role::Three && self.spill.is_none_or(|(at, _)| at != n - 2),
        };
        let highest = &self.columns[roles.len() - 1];
        roles[roles.len() - 1] == Role::Pass && highest.operands() == 0 && !over
    }
}

/// One adder's place in a row of carry cells that several adders share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its number.
    pub(super) adder: usize,
    /// A position of its own below it injects its carry in.
    pub(super) barrier: bool,
}

/// Positions of carry chains that follow each other at most: bounds the time that a carry could take.
const RUN_MAX: usize = 32;

/// A whole structure.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// All registered bits.
    pub(super) bits: Vec<Registered>,
    /// Adders, earliest first.
    pub(super) adders: Vec<Adder>,
    /// For each pair, the cycle in which its operands are consumed.
    pub(super) arrival: Vec<u32>,
    /// The result: for each weight its bit, if it can be 1.
    pub(super) result: Vec<Option<Id>>,
    /// The cycle from which the result is complete, or in which the accumulator adds.
    pub(super) latency: u32,
    /// The accumulator's adder, if it has one; its sums are the accumulator.
    pub(super) accumulator: Option<Accumulator>,
}

/// An accumulator that adds the last numbers itself.
#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    /// The adder; every column has the state.
    pub(super) adder: Adder,
    /// Columns that `first` clears; those above are only incremented and reset.
    pub(super) cleared: usize,
}

impl Plan {
    /// A new registered bit.
    pub(super) fn bit(&mut self, time: u32, hosted: Option<PairBit>) -> Id {
        self.bits.push(Registered { time, hosted });
        self.bits.len() - 1
    }

    /// Pair bits that a LUT makes for a register alone.
    pub(super) fn hosted(&self) -> u64 {
        self.bits.iter().filter(|b| b.hosted.is_some()).count() as u64
    }

    /// LUT6_2 sites: each position of a chain takes one, and so does each pair bit that is made for a register
    /// unless it is hosted. A position without anything to host takes its site all the same.
    pub(super) fn sites(&self) -> u64 {
        let (mut working, mut passing) = (0, 0);
        for adder in &self.adders {
            let roles = adder.roles();
            let passes = roles.iter().filter(|r| **r == Role::Pass).count();
            working += roles.len() - passes;
            passing += passes;
        }
        passing += self
            .runs()
            .iter()
            .flatten()
            .filter(|placed| placed.barrier)
            .count();
        if let Some(accumulator) = &self.accumulator {
            let roles = accumulator.adder.roles();
            let hosts = accumulator.hosts(&roles).filter(|h| *h).count();
            working += roles.len() - hosts;
            passing += hosts + accumulator.padding();
        }
        working as u64 + self.hosted().max(passing as u64)
    }

    /// Sites that hold flip-flops only, at most: registers that find no place beside the logic.
    ///
    /// A site has two flip-flops. The second one of a ternary position is lost, because the majority takes its output;
    /// those of the accumulator's sites have other controls.
    pub(super) fn register_sites(&self) -> u64 {
        let mut last: Vec<u32> = self.bits.iter().map(|bit| bit.time).collect();
        let mut ternary = 0;
        for adder in &self.adders {
            ternary += adder.roles().iter().filter(|r| **r == Role::Three).count() as u64;
            let ends = adder.carry_in.iter().chain(&adder.extra);
            for id in ends.chain(adder.columns.iter().flat_map(|c| &c.addends)) {
                last[*id] = last[*id].max(adder.time);
            }
        }
        for id in self.result.iter().flatten() {
            last[*id] = last[*id].max(self.latency);
        }
        let kept = self.bits.iter().zip(last);
        let mut registers: u64 = kept.map(|(bit, last)| u64::from(last - bit.time + 1)).sum();
        let mut others = 0;
        if let Some(Accumulator { adder, .. }) = &self.accumulator {
            others = adder.columns.len() as u64;
            registers -= others;
            let addends = adder.columns.iter().flat_map(|c| &c.addends);
            registers += addends
                .map(|id| u64::from(adder.time - self.bits[*id].time))
                .sum::<u64>();
        }
        let room = 2 * self.sites().saturating_sub(others) - ternary;
        registers.saturating_sub(room).div_ceil(2)
    }

    /// Which adders (without the accumulator's) follow each other in one row of carry cells.
    ///
    /// Nothing leaves an adder at its top, so any other may follow it. One with a carry in follows a position that only
    /// passes a carry out, whose data injects the carry; or it begins a run, from the bypass pin or from a barrier.
    pub(super) fn runs(&self) -> Vec<Vec<Placed>> {
        // Waiting adders, the earliest last: without a carry in, with one, with one that a bypass pin cannot give.
        let mut waiting: [Vec<usize>; 3] = Default::default();
        let roles: Vec<Vec<Role>> = self.adders.iter().map(Adder::roles).collect();
        for (i, adder) in self.adders.iter().enumerate().rev() {
            let class = match (adder.carry_in, adder.needs_position_for_carry_in(&roles[i])) {
                (None, _) => 0,
                (_, false) => 1,
                (_, true) => 2,
            };
            waiting[class].push(i);
        }
        let mut runs: Vec<Vec<Placed>> = Vec::new();
        // Positions of the run, and whether its last one can inject a carry.
        let mut state: Option<(usize, bool)> = None;
        loop {
            let (order, begins) = match state {
                Some((length, true)) if length < RUN_MAX => ([2, 1, 0].as_slice(), false),
                Some((length, false)) if length < RUN_MAX => ([0].as_slice(), false),
                _ => ([1, 0, 2].as_slice(), true),
            };
            let next = order
                .iter()
                .find_map(|class| Some((*class, waiting[*class].pop()?)));
            let Some((class, adder)) = next else {
                if begins {
                    return runs;
                }
                state = None;
                continue;
            };
            let placed = Placed {
                adder,
                barrier: begins && class == 2,
            };
            let length = self.adders[adder].columns.len() + usize::from(placed.barrier);
            let before = if begins { 0 } else { state.map_or(0, |s| s.0) };
            if begins {
                runs.push(Vec::new());
            }
            runs.last_mut().into_iter().for_each(|run| run.push(placed));
            state = Some((
                before + length,
                self.adders[adder].is_barrier(&roles[adder]),
            ));
        }
    }
}

/// Positions whose flip-flops share their control signals.
const CONTROL_GROUP: usize = 4;

impl Accumulator {
    /// Positions below the first one, so that those with a reset and those without share no slice. They can host.
    pub(super) fn padding(&self) -> usize {
        if self.cleared == self.adder.columns.len() {
            return 0;
        }
        self.cleared.next_multiple_of(CONTROL_GROUP) - self.cleared
    }

    /// For each position whether it can host: those that `first` clears have one pin too many.
    pub(super) fn hosts<'a>(&'a self, roles: &'a [Role]) -> impl Iterator<Item = bool> + 'a {
        roles
            .iter()
            .enumerate()
            .map(|(i, role)| i >= self.cleared && *role == Role::Pass)
    }
}
