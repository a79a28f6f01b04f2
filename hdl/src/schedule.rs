//! The schedule of branch pairs, and the bounds that widths follow from.
//!
//! A tile is one pass of the array: `rows` x `columns` dot products. Its beats walk the groups of branch
//! pairs in *rising* significance, and for each group pair all chunks of the reduction dimension. When the
//! significance rises by s, the accumulator first moves its s lowest bits, which nothing can change any
//! more, into a register of finished bits. It therefore adds at the width of one significance level, not of
//! the whole sum (see `docs/adr/0003-least-significant-branch-first.md`).

use crate::config::ArrayConfig;
use std::collections::BTreeSet;

/// One pair of branch groups in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPair {
    /// Which group of activation branches: branches `group * activation_branches ..`.
    pub activation_group: u32,
    /// Which group of weight branches.
    pub weight_group: u32,
    /// Significance of the pair: the exponent of its power of two.
    pub significance: u32,
    /// By how much the accumulator shifts before it adds the first beat of this pair; 0 for the first pair.
    pub shift: u32,
}

/// Group pairs in rising significance, from the significances of the groups.
///
/// Pairs of equal significance come in the order of the activation groups. For binary-weighted operands the
/// significance of group g is `g * branches`; for `ternary` both branches have significance 0.
pub fn group_pairs(activation: &[u32], weight: &[u32]) -> Vec<GroupPair> {
    let mut pairs: Vec<GroupPair> = (0u32..)
        .zip(activation)
        .flat_map(|(m, s)| {
            (0u32..).zip(weight).map(move |(k, t)| GroupPair {
                activation_group: m,
                weight_group: k,
                significance: s + t,
                shift: 0,
            })
        })
        .collect();
    pairs.sort_by_key(|p| p.significance);
    let mut previous = pairs.first().map_or(0, |p| p.significance);
    for pair in &mut pairs {
        pair.shift = pair.significance - previous;
        previous = pair.significance;
    }
    pairs
}

/// Significances of `groups` groups of `branches` binary-weighted branches each.
pub fn binary_significances(groups: u32, branches: u32) -> Vec<u32> {
    (0..groups).map(|g| g * branches).collect()
}

/// What every schedule of a configuration stays within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Every distance by which an accumulator shifts at some precision, rising; never empty.
    pub shift_amounts: Vec<u32>,
    /// The largest total shift.
    pub shift_max: u32,
    /// The largest value of the adding part of a processing element's accumulator.
    pub high_max: u128,
    /// The largest magnitude of the epilogue's bracket (architecture, section 1).
    pub bracket_max: u128,
}

/// All group significances that an operand may have at run time: each precision, and `ternary` where single
/// branches are scheduled (elsewhere it is re-encoded as `signed`).
fn operand_significances(bits: u32, branches: u32) -> Vec<Vec<u32>> {
    let mut all: Vec<Vec<u32>> = (1..=bits.div_ceil(branches))
        .map(|groups| binary_significances(groups, branches))
        .collect();
    if branches == 1 && bits >= 2 {
        all.push(vec![0, 0]);
    }
    all
}

/// Bounds over every precision that the configuration can run.
pub(crate) fn bounds(config: &ArrayConfig, pairs: u32) -> Bounds {
    let chunks = u128::from(config.reduction_max.div_ceil(config.lanes));
    let group_max = |branches: u32| (1u128 << branches) - 1;
    let beats_max = chunks
        * u128::from(pairs)
        * group_max(config.activation_branches)
        * group_max(config.weight_branches);
    let mut amounts = BTreeSet::new();
    let (mut shift_max, mut high_max) = (0, 0u128);
    for activation in operand_significances(config.activation_bits, config.activation_branches) {
        for weight in operand_significances(config.weight_bits, config.weight_branches) {
            let (mut high, mut total) = (0u128, 0);
            for pair in group_pairs(&activation, &weight) {
                if pair.shift > 0 {
                    amounts.insert(pair.shift);
                }
                total += pair.shift;
                high = (high >> pair.shift) + beats_max;
                high_max = high_max.max(high);
            }
            shift_max = shift_max.max(total);
        }
    }
    if amounts.is_empty() {
        amounts.insert(1);
    }
    let widest = |bits: u32, branches: u32| group_max(bits.div_ceil(branches) * branches);
    let bracket_max = 4
        * widest(config.activation_bits, config.activation_branches)
        * widest(config.weight_bits, config.weight_branches)
        * u128::from(config.reduction_max);
    Bounds {
        shift_amounts: amounts.into_iter().collect(),
        shift_max,
        high_max,
        bracket_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two branches of weight 1 are `ternary`, which only single branches can do.
    #[test]
    fn ternary_is_scheduled_branch_by_branch() {
        assert_eq!(operand_significances(1, 1), [[0]]);
        assert_eq!(
            operand_significances(2, 1),
            [vec![0], vec![0, 1], vec![0, 0]]
        );
        assert_eq!(operand_significances(4, 2), [vec![0], vec![0, 2]]);
    }

    #[test]
    fn pairs_rise_and_shift_by_the_difference() {
        let pairs = group_pairs(&[0, 1], &[0, 1]);
        let seen: Vec<_> = pairs
            .iter()
            .map(|p| (p.activation_group, p.weight_group, p.significance, p.shift))
            .collect();
        assert_eq!(
            seen,
            [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 1, 0), (1, 1, 2, 1)]
        );
    }

    #[test]
    fn ternary_never_shifts() {
        assert!(group_pairs(&[0, 0], &[0, 0]).iter().all(|p| p.shift == 0));
    }

    #[test]
    fn bit_serial_needs_one_shift_distance() {
        let config = ArrayConfig::default();
        assert_eq!(bounds(&config, 32).shift_amounts, [1]);
    }

    #[test]
    fn bounds_hold_for_every_schedule_run_by_hand() {
        // 2 x 2 bits, one lane pair, one chunk: levels hold 1, 2, 1 pairs.
        let config = ArrayConfig {
            activation_bits: 2,
            weight_bits: 2,
            lanes: 2,
            reduction_max: 2,
            ..ArrayConfig::default()
        };
        // ternary x ternary adds four times at one significance.
        assert_eq!(bounds(&config, 1).high_max, 4);
        assert_eq!(bounds(&config, 1).shift_max, 2);
    }
}
