//! How many compressors of which size at each weight: exact.

use super::Finish;
use std::collections::HashMap;

/// How many positions of each size add bits of one weight, and how many bits remain for the last adder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// `steps[k]`: positions that add k + 1 bits to a carry.
    pub(super) steps: [u32; 4],
    pub(super) keep: u32,
}

impl Level {
    fn positions(&self) -> u32 {
        self.steps.iter().sum()
    }

    /// Bits of the next weight that they make.
    fn made(&self) -> u32 {
        self.steps[0] + self.steps[1] + 2 * (self.steps[2] + self.steps[3])
    }

    /// Positions without a pair bit.
    pub(super) fn compressors(&self) -> u32 {
        self.positions() - self.steps[0]
    }
}

/// The least compressors for `bits` bits of weight `2^level`, and what is above: exact, by dynamic programming over
/// weights and numbers of bits. `more` bits of weight 2 come from elsewhere.
fn balance(
    finish: Finish,
    width: usize,
    (level, bits): (usize, u32),
    more: u32,
    known: &mut HashMap<(usize, u32), (u32, Vec<Level>)>,
) -> (u32, Vec<Level>) {
    if level == width {
        // Bits of weights above the largest count are always 0.
        return (0, Vec::new());
    }
    if let Some(found) = known.get(&(level, bits)) {
        return found.clone();
    }
    let mut best = (u32::MAX, Vec::new());
    for choice in choices(bits, finish.capacity(level, false)) {
        let bits = choice.made() + if level == 0 { more } else { 0 };
        let (above, levels) = balance(finish, width, (level + 1, bits), more, known);
        // A host costs no site, but none is better than one; fewer bits in the last adder make its chain shorter.
        let cost = above.saturating_add(64 * choice.compressors() + choice.steps[0]);
        if cost < best.0 {
            best = (
                cost,
                std::iter::once(choice)
                    .chain(levels.iter().copied())
                    .collect(),
            );
        }
    }
    known.insert((level, bits), best.clone());
    best
}

/// All ways to bring `bits` bits of one weight down to at most `capacity`.
fn choices(bits: u32, capacity: u32) -> impl Iterator<Item = Level> {
    let small = (0..3)
        .flat_map(|one| (0..2).flat_map(move |two| (0..2).map(move |three| [one, two, three])));
    small.flat_map(move |[one, two, three]| {
        (0..=capacity).filter_map(move |keep| {
            let rest = bits.checked_sub(keep + one + 2 * two + 3 * three)?;
            let level = Level {
                steps: [one, two, three, rest / 4],
                keep,
            };
            // A position leaves at least its sum.
            (rest % 4 == 0 && (keep > 0 || level.positions() == 0)).then_some(level)
        })
    })
}

/// One candidate: what happens at each weight.
pub(super) struct Recipe {
    pub(super) absorbed: u32,
    pub(super) levels: Vec<Level>,
}

pub(super) fn recipes(pairs: u32, finish: Finish) -> Vec<Recipe> {
    let width = crate::config::bits_for(pairs.into()) as usize;
    let mut known = HashMap::new();
    let mut all = Vec::new();
    for keep in 1..=finish.capacity(0, true).min(pairs) {
        // Compressors of weight 1 pay only where guests' places would stay empty, in small counts.
        for (two, four) in [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (0, 3), (0, 4)] {
            let Some(rest) = pairs.checked_sub(keep + 2 * two + 4 * four) else {
                continue;
            };
            if rest % 2 != 0 {
                continue;
            }
            let lowest = Level {
                steps: [0, two, 0, four],
                keep,
            };
            let absorbed = rest / 2;
            let bits = absorbed + lowest.made();
            let (_, above) = balance(finish, width, (1, bits), 0, &mut known);
            let levels = std::iter::once(lowest).chain(above).collect();
            all.push(Recipe { absorbed, levels });
        }
    }
    all
}

/// The recipe for bits that exist already: `sums` of weight 1 and `carries` of weight 2.
pub(super) fn recipe_of_bits(finish: Finish, sums: u32, carries: u32, max: u32) -> Recipe {
    let width = crate::config::bits_for(max.into()) as usize;
    let (_, levels) = balance(finish, width, (0, sums), carries, &mut HashMap::new());
    Recipe {
        absorbed: 0,
        levels,
    }
}
