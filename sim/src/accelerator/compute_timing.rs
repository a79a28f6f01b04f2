//! Cycles of a COMPUTE, tile by tile: loaders, array and drain, each of which waits for the others.
//!
//! The array and the compute engine have a time of their own, which counts *moves*: cycles with `advance`. In it all is
//! regular; a tile that waits for the drain puts cycles without a move between two moves. Loaders and drain keep the
//! core's time.

use super::load_timing::full_cycles;
use super::{BackDescriptor, BackTiming};
use std::collections::VecDeque;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field};

/// Cycles of a COMPUTE, for streams that are always ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputeCycles {
    /// The cycle of `compute_finished`; the go pulse stands in cycle 0.
    pub finished: u64,
    /// Cycles in which the array accepts a beat.
    pub busy: u64,
    /// Cycles in which the array moves, and the compute engine waits for a patch.
    pub load: u64,
    /// Cycles in which the array stands still because of the drain.
    pub drain: u64,
}

impl ComputeCycles {
    /// Cycles from the go pulse to `compute_finished`, both included.
    pub fn total(&self) -> u64 {
        self.finished + 1
    }
}

/// Cycles of a COMPUTE.
pub fn compute_cycles(design: &AcceleratorDesign, descriptor: &Descriptor) -> ComputeCycles {
    let mut tiles = Tiles::new(design, descriptor);
    full_cycles(design, descriptor, |tile, full| tiles.row_tile(tile, full));
    let mut cycles = tiles.cycles;
    cycles.finished = tiles.back.finished();
    cycles
}

/// From moves to cycles. Questions come in rising order of moves.
#[derive(Clone, Debug, Default)]
struct Moves {
    /// Cycles without a move before the move that was asked for last, and in all.
    stalled: u64,
    stalled_in_all: u64,
    /// Stalls after the move that was asked for last: the move that follows them, and their cycles.
    ahead: VecDeque<(u64, u64)>,
}

impl Moves {
    /// `cycles` pass before move `number`, which no stall follows yet.
    fn stall(&mut self, number: u64, cycles: u64) {
        if cycles > 0 {
            self.ahead.push_back((number, cycles));
            self.stalled_in_all += cycles;
        }
    }

    /// The cycle of a move.
    fn cycle(&mut self, number: u64) -> u64 {
        while let Some((_, cycles)) = self.ahead.front().filter(|(at, _)| *at <= number) {
            self.stalled += cycles;
            self.ahead.pop_front();
        }
        number + self.stalled
    }

    /// The cycle of a move that follows all stalls.
    fn last_cycle(&self, number: u64) -> u64 {
        number + self.stalled_in_all
    }

    /// The first move from `number` on whose cycle is not before `cycle`.
    fn first(&mut self, number: u64, cycle: u64) -> u64 {
        let mut first = number;
        loop {
            let at = self.cycle(first);
            if at >= cycle {
                return first;
            }
            // No further than to the next stall: what it takes is not known to `at`.
            let next = self.ahead.front().map_or(u64::MAX, |(next, _)| *next);
            first = (first + cycle - at).min(next);
        }
    }
}

/// The tiles of a COMPUTE, one row tile after the other.
struct Tiles {
    row_tiles: u64,
    column_tiles: u64,
    rows: u64,
    last_rows: u64,
    beats: u64,
    latency: u64,
    moves: Moves,
    back: BackTiming,
    /// The move in which the last beat's addresses stand at the memories; at first, that before the first entry is there.
    last: u64,
    cycles: ComputeCycles,
}

impl Tiles {
    fn new(design: &AcceleratorDesign, descriptor: &Descriptor) -> Self {
        let get = |field| descriptor.get(field) as u64;
        let adds_residual = get(Field::ResidualBefore) + get(Field::ResidualAfter) > 0;
        let back = BackDescriptor {
            go: 0,
            residual_groups: adds_residual.then(|| get(Field::ResidualGroups) as u32),
            out_groups: get(Field::OutGroups) as u32,
        };
        let config = design.design().config();
        Tiles {
            row_tiles: get(Field::RowTiles),
            column_tiles: get(Field::ColumnTiles),
            rows: config.rows.into(),
            last_rows: get(Field::LastRows),
            beats: get(Field::ScheduleSteps) * get(Field::Chunks),
            latency: design.design().latency().into(),
            moves: Moves::default(),
            back: BackTiming::new(design, &back),
            last: 0,
            cycles: ComputeCycles::default(),
        }
    }

    /// The row tile whose patches are seen to be there in cycle `full`; gives the cycle in which it releases its half.
    fn row_tile(&mut self, row_tile: u64, full: u64) -> u64 {
        // The first beat enters when the last one of the row tile before leaves, or later.
        let enters = self.moves.first(self.last, full);
        self.cycles.load += enters - self.last;
        let rows = if row_tile + 1 == self.row_tiles {
            self.last_rows
        } else {
            self.rows
        };
        for tile in 1..=self.column_tiles {
            // Its last beat is at the array in the move after the one in which its addresses stand.
            let last_beat = enters + tile * self.beats + 1;
            self.drain(last_beat, rows as u32);
        }
        let beats = self.column_tiles * self.beats;
        self.cycles.busy += beats;
        self.last = enters + beats;
        self.moves.cycle(self.last) + 1
    }

    /// The tile whose last beat the array accepts in move `last_beat`.
    fn drain(&mut self, last_beat: u64, rows: u32) {
        let summed = last_beat + self.latency;
        let done = self.moves.last_cycle(summed) + 1;
        let stall = self.back.tile(done, rows).load - done;
        self.moves.stall(summed + 1, stall);
        self.cycles.drain += stall;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_stand_between_moves() {
        let mut moves = Moves::default();
        moves.stall(5, 10);
        moves.stall(7, 2);
        assert_eq!([3, 4].map(|n| moves.cycle(n)), [3, 4]);
        assert_eq!(moves.last_cycle(8), 20);
        // Cycles 5 to 14 are without a move, and 17 and 18.
        assert_eq!(moves.clone().first(4, 5), 5);
        assert_eq!(moves.clone().first(4, 15), 5);
        assert_eq!(moves.clone().first(4, 16), 6);
        assert_eq!(moves.clone().first(4, 17), 7);
        assert_eq!(moves.clone().first(4, 25), 13);
        assert_eq!(moves.clone().first(8, 3), 8);
        assert_eq!([5, 6, 7].map(|n| moves.cycle(n)), [15, 16, 19]);
    }
}
