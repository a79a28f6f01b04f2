//! The second part: ternary adders that merge what the chains leave.

use super::plan::{Accumulator, Adder, Column, Id, Plan, Role};

/// How the adders of a level take bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Merging {
    /// An adder takes as many bits of a weight as it can, not only as many as the level's goal asks.
    pub(super) eager: bool,
    /// Levels aim at `last * ratio^k` bits of each weight.
    pub(super) ratio: u32,
    /// A majority that no other bit joins goes into a register where the goal allows it, instead of through a position
    /// of its own.
    pub(super) spill: bool,
}

/// An adder that is being laid out, from low weights to high.
struct Growing {
    adder: Adder,
    over: bool,
    carry: bool,
}

impl Growing {
    /// Bits that it may still take at this weight.
    fn room(&self, taken: usize) -> usize {
        3 - taken
    }
}

/// Adds until every weight below `width` has at most `goal` bits. Gives the weights' bits and the cycle from which
/// all of them are registered; every level takes one cycle.
pub(super) fn merge(
    plan: &mut Plan,
    mut columns: Vec<Vec<Id>>,
    width: usize,
    goal: usize,
    merging: Merging,
) -> (Vec<Vec<Id>>, u32) {
    columns.resize(width, Vec::new());
    let ready = |plan: &Plan, columns: &[Vec<Id>]| {
        columns
            .iter()
            .flatten()
            .map(|id| plan.bits[*id].time)
            .max()
            .unwrap_or(1)
    };
    loop {
        let time = ready(plan, &columns);
        let highest = columns.iter().map(Vec::len).max().unwrap_or(0);
        if highest <= goal {
            return (columns, time);
        }
        columns = level(
            plan,
            columns,
            time,
            target(highest, goal, merging.ratio),
            merging,
        );
    }
}

/// The goal of the next level: the largest of the series below what there is.
fn target(highest: usize, goal: usize, ratio: u32) -> usize {
    let mut target = goal;
    loop {
        let next = if target == 1 {
            3
        } else {
            target * ratio as usize / 2
        };
        if next >= highest {
            return target;
        }
        target = next;
    }
}

fn level(
    plan: &mut Plan,
    mut columns: Vec<Vec<Id>>,
    time: u32,
    goal: usize,
    merging: Merging,
) -> Vec<Vec<Id>> {
    let width = columns.len();
    let mut sums: Vec<Vec<Id>> = vec![Vec::new(); width];
    let mut growing: Vec<Growing> = Vec::new();
    for weight in 0..width {
        let mut raw = std::mem::take(&mut columns[weight]);
        let shares = shares(&growing, raw.len(), goal, merging.eager);
        let mut height = growing.len() + raw.len() - shares.iter().sum::<usize>();
        for (adder, share) in growing.iter_mut().zip(shares) {
            let spills = merging.spill && adder.over && share == 0 && adder.adder.spill.is_none();
            if spills && height + usize::from(adder.carry) <= goal {
                height += usize::from(adder.carry);
                let spilled = plan.bit(time + 1, None);
                sums[weight].push(spilled);
                adder.spill(spilled);
                if !adder.carry {
                    continue;
                }
            }
            let column = Column {
                addends: raw.split_off(raw.len() - share),
                sum: plan.bit(time + 1, None),
                ..Column::default()
            };
            sums[weight].push(column.sum);
            adder.take(column);
        }
        while raw.len() > 1 && raw.len() + sums[weight].len() > goal {
            let begun = begin(plan, &mut raw, time);
            sums[weight].push(begun.adder.columns[0].sum);
            growing.push(begun);
        }
        sums[weight].extend(raw);
        growing.retain_mut(|adder| {
            let done = !adder.over && !adder.carry;
            if done {
                plan.adders.push(std::mem::take(&mut adder.adder));
            }
            !done
        });
    }
    plan.adders.extend(growing.into_iter().map(|g| g.adder));
    sums
}

/// How many of `raw` bits each running adder takes.
fn shares(growing: &[Growing], raw: usize, goal: usize, eager: bool) -> Vec<usize> {
    let mut left = raw;
    // One bit beside a carry costs nothing.
    let mut shares: Vec<usize> = growing
        .iter()
        .map(|adder| {
            let take = usize::from(!adder.over && left > 0);
            left -= take;
            take
        })
        .collect();
    for (adder, share) in growing.iter().zip(&mut shares) {
        let room = adder.room(*share).min(left);
        // Two bits and more are worth a LUT of their own.
        let needed = (growing.len() + left).saturating_sub(goal);
        let take = if eager && room >= 2 {
            room
        } else {
            room.min(needed)
        };
        // What is a ternary position anyway takes all that it can.
        let take = if take > 0 { room } else { 0 };
        *share += take;
        left -= take;
    }
    shares
}

/// An adder that begins with up to five of `raw`.
fn begin(plan: &mut Plan, raw: &mut Vec<Id>, time: u32) -> Growing {
    let addends = raw.split_off(raw.len() - raw.len().min(3));
    let mut growing = Growing {
        adder: Adder {
            time,
            extra: raw.pop(),
            ..Adder::default()
        },
        over: false,
        carry: false,
    };
    growing.adder.carry_in = raw.pop();
    growing.over = growing.adder.extra.is_some();
    growing.carry = growing.adder.carry_in.is_some();
    growing.take(Column {
        addends,
        sum: plan.bit(time + 1, None),
        ..Column::default()
    });
    growing
}

impl Growing {
    /// Registers the majority from below.
    fn spill(&mut self, bit: Id) {
        self.over = false;
        self.adder.spill = Some((self.adder.columns.len() - 1, bit));
    }

    /// One weight more.
    fn take(&mut self, column: Column) {
        let operands = column.operands() + usize::from(self.over);
        let ternary = operands >= 3;
        // A ternary position adds the parity, the majority from below and the carry; the others their operands and the
        // carry.
        let added = if ternary {
            1 + usize::from(self.over)
        } else {
            operands
        };
        self.carry = added + usize::from(self.carry) >= 2;
        self.over = ternary;
        self.adder.columns.push(column);
    }
}

/// Adds at most two bits of each weight to an accumulator of `width` bits, of which the lowest `cleared` are
/// cleared by `first`.
pub(super) fn accumulate(
    plan: &mut Plan,
    columns: Vec<Vec<Id>>,
    cleared: usize,
    width: usize,
    time: u32,
) {
    let mut columns = columns;
    columns.resize(width, Vec::new());
    let columns: Vec<Column> = columns
        .into_iter()
        .map(|addends| Column {
            addends,
            state: true,
            sum: plan.bit(time + 1, None),
            ..Column::default()
        })
        .collect();
    plan.result = columns.iter().map(|c| Some(c.sum)).collect();
    plan.latency = time;
    let adder = Adder {
        time,
        columns,
        ..Adder::default()
    };
    let roles = adder.roles();
    // The majority of the highest weight may reach above it.
    let top = roles
        .iter()
        .rposition(|r| *r != Role::Pass)
        .map_or(0, |i| i + 1);
    plan.accumulator = Some(Accumulator {
        adder,
        cleared: cleared.max(top),
    });
}
