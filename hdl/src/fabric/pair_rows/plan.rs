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
    /// Roles of the columns.
    pub(super) fn roles(&self) -> Vec<Role> {
        let mut over = self.extra.is_some();
        self.columns
            .iter()
            .map(|column| {
                let operands = column.operands();
                let role = match (column.absorbed.is_some(), operands, over) {
                    (true, ..) => Role::Absorb,
                    (_, 3.., _) | (_, 2, true) => Role::Three,
                    (_, 2, false) => Role::Two,
                    (_, 1, true) => Role::Over,
                    _ => Role::Pass,
                };
                over = role == Role::Three;
                role
            })
            .collect()
    }

    /// Whether a position of its own must inject the carry in: the first position takes it through the bypass pin, which
    /// then cannot be its data as well.
    pub(super) fn barrier(&self, roles: &[Role]) -> bool {
        self.carry_in.is_some() && !matches!(roles[0], Role::Absorb | Role::Two)
    }
}

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

    /// All adders, the accumulator's last.
    pub(super) fn all_adders(&self) -> impl Iterator<Item = &Adder> {
        self.adders
            .iter()
            .chain(self.accumulator.iter().map(|a| &a.adder))
    }

    /// LUT6_2 sites: each position of a chain takes one, and so does each pair bit that is made for a register
    /// unless it is hosted. A position without anything to host takes its site all the same.
    pub(super) fn sites(&self) -> u64 {
        let (mut working, mut passing) = (0, 0);
        for adder in &self.adders {
            let roles = adder.roles();
            let passes = roles.iter().filter(|r| **r == Role::Pass).count();
            working += roles.len() - passes;
            passing += passes + usize::from(adder.barrier(&roles));
        }
        if let Some(accumulator) = &self.accumulator {
            let roles = accumulator.adder.roles();
            let hosts = accumulator.hosts(&roles).filter(|h| *h).count();
            working += roles.len() - hosts;
            passing += hosts;
        }
        working as u64 + self.hosted().max(passing as u64)
    }
}

impl Accumulator {
    /// For each position whether it can host: those that `first` clears have one pin too many.
    pub(super) fn hosts<'a>(&'a self, roles: &'a [Role]) -> impl Iterator<Item = bool> + 'a {
        roles
            .iter()
            .enumerate()
            .map(|(i, role)| i >= self.cleared && *role == Role::Pass)
    }
}
