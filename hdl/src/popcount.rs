//! The structure of a popcount, as a plan that the hardware, its simulation and the timing all read.
//!
//! A popcount adds `activation_branches` groups. A group adds `pairs` rows, one for each pair of lanes; a row
//! is a number of `planes` bits (one for each weight branch), and group m weighs 2^m. All of it is one
//! weighted heap, reduced rank by rank:
//!
//! - one plane: rank 1 turns three bits at a time into a two-bit number (full adders); each later rank adds
//!   numbers two by two, and every adder takes one more of the remaining bits as its carry-in, so that
//!   2^n - 1 bits need no adder wider than its result;
//! - several planes: each rank adds rows two by two;
//! - then the groups are added two by two with their weights.
//!
//! Measured with Yosys 0.23 in `docs/area.md`.

/// How one rank makes the numbers of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Three bits become one two-bit number.
    FullAdders {
        /// Numbers that come out, of two bits each.
        numbers: u32,
    },
    /// Two numbers, and with `carry_in` one more bit, become one number; a last odd number passes through.
    Adders {
        /// Numbers that go in.
        numbers_in: u32,
        /// Their width.
        width_in: u32,
        /// Numbers that come out.
        numbers_out: u32,
        /// Their width.
        width_out: u32,
        /// The first of the group's bits used as a carry-in, if these adders take one.
        carry_in: Option<u32>,
    },
    /// Group totals, each of weight 2^`weight` relative to the one before, are added two by two.
    Merge {
        /// Widths of the totals that come out: every two of those that go in, and a last odd one.
        widths_out: Vec<u32>,
        /// Distance in significance of neighbouring totals.
        weight: u32,
    },
}

impl Rank {
    /// Widths of the numbers that leave the rank: of each group's, or after a merge of all.
    pub fn output_widths(&self) -> Vec<u32> {
        match self {
            Rank::FullAdders { numbers } => vec![2; *numbers as usize],
            Rank::Adders {
                numbers_out,
                width_out,
                ..
            } => vec![*width_out; *numbers_out as usize],
            Rank::Merge { widths_out, .. } => widths_out.clone(),
        }
    }
}

/// The plan of a popcount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopcountPlan {
    /// Rows (pairs of lanes) of each group.
    pub pairs: u32,
    /// Bits of each row.
    pub planes: u32,
    /// Groups; group m weighs 2^m.
    pub groups: u32,
    /// With one plane, the group's bits padded with zeros to what the adders take.
    pub bits: u32,
    ranks: Vec<Rank>,
    count_width: u32,
}

fn width_of(max: u64) -> u32 {
    crate::config::bits_for(max.into())
}

impl PopcountPlan {
    /// Plans a popcount of `groups` groups of `pairs` rows of `planes` bits. All three are at least 1.
    pub fn new(pairs: u32, planes: u32, groups: u32) -> Self {
        let mut ranks = Vec::new();
        let row_max = (1u64 << planes) - 1;
        let total_max = row_max * u64::from(pairs);
        let mut bits = pairs;
        let (mut numbers, mut width, mut number_max, mut carry) = (pairs, planes, row_max, None);
        if planes == 1 && pairs > 1 {
            numbers = (pairs + 1).div_ceil(4);
            bits = 4 * numbers - 1;
            (width, number_max, carry) = (2, 3, Some(3 * numbers));
            ranks.push(Rank::FullAdders { numbers });
        }
        while numbers > 1 {
            let sums = numbers / 2;
            number_max = (2 * number_max + u64::from(carry.is_some())).min(total_max);
            let (numbers_out, width_out) = (sums + numbers % 2, width_of(number_max));
            ranks.push(Rank::Adders {
                numbers_in: numbers,
                width_in: width,
                numbers_out,
                width_out,
                carry_in: carry,
            });
            carry = carry.map(|first| first + sums);
            (numbers, width) = (numbers_out, width_out);
        }
        let mut totals = vec![total_max; groups as usize];
        let mut weight = 1;
        while totals.len() > 1 {
            totals = totals
                .chunks(2)
                .map(|pair| pair[0] + pair.get(1).map_or(0, |high| high << weight))
                .collect();
            ranks.push(Rank::Merge {
                widths_out: totals.iter().map(|max| width_of(*max)).collect(),
                weight,
            });
            weight *= 2;
        }
        let count_width = width_of(totals[0]);
        PopcountPlan {
            pairs,
            planes,
            groups,
            bits,
            ranks,
            count_width,
        }
    }

    /// The ranks in order.
    pub fn rank_list(&self) -> &[Rank] {
        &self.ranks
    }

    /// Ranks of adders; at least 1, so that one pipeline register always has its place at the output.
    pub fn ranks(&self) -> u32 {
        (self.ranks.len() as u32).max(1)
    }

    /// Pipeline registers that suit the popcount where nobody asks for a number: one for every three ranks.
    pub fn stages(&self) -> u32 {
        self.ranks().div_ceil(3)
    }

    /// Width of the count.
    pub fn count_width(&self) -> u32 {
        self.count_width
    }

    /// After which ranks the pipeline registers stand (1-based, rising; the last is always the last rank).
    pub fn register_ranks(&self, stages: u32) -> Vec<u32> {
        (1..=stages)
            .map(|stage| (self.ranks() * stage).div_ceil(stages))
            .collect()
    }

    /// The count, by running the plan on numbers: `rows[group][pair]` is a number of `planes` bits.
    ///
    /// This is what the simulation of the hardware calls; tests compare it with a plain sum.
    pub fn count(&self, rows: &[Vec<u64>]) -> u64 {
        let totals: Vec<u64> = rows.iter().map(|group| self.group_total(group)).collect();
        let mut totals = totals;
        for rank in &self.ranks {
            if let Rank::Merge { weight, .. } = rank {
                totals = totals
                    .chunks(2)
                    .map(|pair| pair[0] + pair.get(1).map_or(0, |high| high << weight))
                    .collect();
            }
        }
        totals[0]
    }

    fn group_total(&self, rows: &[u64]) -> u64 {
        let mut bits = rows.to_vec();
        bits.resize(self.bits as usize, 0);
        let mut numbers = bits.clone();
        for rank in &self.ranks {
            match rank {
                Rank::FullAdders { numbers: n } => {
                    let n = *n as usize;
                    numbers = (0..n)
                        .map(|i| bits[i] + bits[n + i] + bits[2 * n + i])
                        .collect();
                }
                Rank::Adders { carry_in, .. } => {
                    numbers = numbers
                        .chunks(2)
                        .enumerate()
                        .map(|(i, pair)| match (pair, carry_in) {
                            ([a, b], Some(first)) => a + b + bits[*first as usize + i],
                            ([a, b], None) => a + b,
                            (rest, _) => rest[0],
                        })
                        .collect();
                }
                Rank::Merge { .. } => {}
            }
        }
        numbers[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn every_plan_counts_what_a_plain_sum_counts() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for pairs in (1..40).chain([63, 64, 65, 127, 128, 129, 512]) {
            for (planes, groups) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 5), (9, 8)] {
                let plan = PopcountPlan::new(pairs, planes, groups);
                for fill in 0..3 {
                    let rows: Vec<Vec<u64>> = (0..groups)
                        .map(|_| {
                            (0..pairs)
                                .map(|_| match fill {
                                    0 => 0,
                                    1 => (1 << planes) - 1,
                                    _ => rng.random_range(0..1 << planes),
                                })
                                .collect()
                        })
                        .collect();
                    let expected: u64 = rows
                        .iter()
                        .enumerate()
                        .map(|(m, group)| group.iter().sum::<u64>() << m)
                        .sum();
                    let count = plan.count(&rows);
                    assert_eq!(count, expected, "{pairs} {planes} {groups}");
                    assert!(width_of(count) <= plan.count_width());
                }
            }
        }
    }

    #[test]
    fn registers_end_at_the_output() {
        let plan = PopcountPlan::new(32, 1, 1);
        for stages in 1..=plan.ranks() {
            let ranks = plan.register_ranks(stages);
            assert_eq!(ranks.last(), Some(&plan.ranks()));
            assert!(ranks.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
