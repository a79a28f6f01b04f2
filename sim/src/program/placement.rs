//! Where feature maps stand in the activation and the residual memory.

use super::layout::TensorLayout;

/// First and last time at which a buffer holds something, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lifetime {
    pub first: usize,
    pub last: usize,
}

impl Lifetime {
    fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A feature map in memory; one that stands in both memories has the same address in both.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    pub layout: TensorLayout,
    /// When it is needed in the activation memory.
    pub activation: Option<Lifetime>,
    /// When it is needed in the residual memory.
    pub residual: Option<Lifetime>,
}

/// What placing a buffer needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub words: u64,
    /// As in [`Buffer`].
    pub activation: Option<Lifetime>,
    pub residual: Option<Lifetime>,
}

impl Space {
    fn conflicts(&self, other: &Self) -> bool {
        let meet =
            |a: Option<Lifetime>, b: Option<Lifetime>| a.zip(b).is_some_and(|(a, b)| a.meets(b));
        meet(self.activation, other.activation) || meet(self.residual, other.residual)
    }
}

/// Words that buffers take, from address 0 to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub activation: u64,
    pub residual: u64,
}

/// Gives every buffer a base: that of [`arrange`].
pub(crate) fn place(buffers: &mut [Buffer], available: Extent) -> Extent {
    let spaces: Vec<Space> = buffers
        .iter()
        .map(|buffer| Space {
            words: buffer.layout.words(),
            activation: buffer.activation,
            residual: buffer.residual,
        })
        .collect();
    let (bases, extent) = arrange(&spaces, available);
    for (buffer, base) in buffers.iter_mut().zip(bases) {
        // A base past 2^32 lies past every memory: the extent says so.
        buffer.layout.base = u32::try_from(base).unwrap_or(u32::MAX);
    }
    extent
}

/// Where every space begins, and what all of them take. Several orders are tried, each one first fit; the first whose
/// extent lies within `available` is taken, else the one that comes nearest, so that the caller can say how much is
/// missing.
pub(crate) fn arrange(spaces: &[Space], available: Extent) -> (Vec<u64>, Extent) {
    let size = |i: &usize| std::cmp::Reverse(spaces[*i].words);
    let by_time: Vec<usize> = (0..spaces.len()).collect();
    let mut by_size = by_time.clone();
    by_size.sort_by_key(size);
    let mut residuals_first = by_size.clone();
    residuals_first.sort_by_key(|i| spaces[*i].residual.is_none());
    let excess = |extent: &Extent| {
        extent.activation.saturating_sub(available.activation)
            + extent.residual.saturating_sub(available.residual)
    };
    [by_time, by_size, residuals_first]
        .iter()
        .map(|order| first_fit(spaces, order))
        .min_by_key(|(_, extent)| excess(extent))
        .expect("there are three orders")
}

fn first_fit(spaces: &[Space], order: &[usize]) -> (Vec<u64>, Extent) {
    let mut bases = vec![0; spaces.len()];
    let mut extent = Extent {
        activation: 0,
        residual: 0,
    };
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for (placed, index) in order.iter().enumerate() {
        let space = &spaces[*index];
        taken.clear();
        taken.extend(
            order[..placed]
                .iter()
                .filter(|other| spaces[**other].conflicts(space))
                .map(|other| (bases[*other], bases[*other] + spaces[*other].words)),
        );
        taken.sort_unstable();
        let mut base = 0;
        for (start, end) in &taken {
            if base + space.words <= *start {
                break;
            }
            base = base.max(*end);
        }
        bases[*index] = base;
        for (is_there, extent) in [
            (space.activation.is_some(), &mut extent.activation),
            (space.residual.is_some(), &mut extent.residual),
        ] {
            if is_there {
                *extent = (*extent).max(base + space.words);
            }
        }
    }
    (bases, extent)
}
