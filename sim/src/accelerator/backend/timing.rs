//! When tiles enter and leave the drain: the recurrence of `docs/accelerator.md`, without a cycle of simulation.

use xnorforge_hdl::AcceleratorDesign;

/// What the recurrence needs to know about a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackDescriptor {
    /// The cycle of `go_compute`.
    pub go: u64,
    /// Plane groups that are read of the residual tensor, if there is one.
    pub residual_groups: Option<u32>,
    /// Plane groups that are written.
    pub out_groups: u32,
}

/// When a tile goes through the back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackTile {
    /// The cycle in which its sums stand complete in the accumulators.
    pub done: u64,
    /// The cycle in which the drain takes it; the array stands still from `done` until then.
    pub load: u64,
    /// The cycle in which its last columns leave the drain.
    pub end: u64,
    /// The cycle in which the last plane group of its last row is written.
    pub written: u64,
}

/// The recurrence over the tiles of a descriptor, for a result stream that is always ready.
#[derive(Clone, Debug)]
pub struct BackTiming {
    steps: u64,
    latency: u64,
    /// From a row's place to the cycle in which it can go to the drain.
    read: u64,
    out_groups: u64,
    /// Cycle from which the next row's place can be given, and of the last row's first step.
    given: u64,
    row: Option<u64>,
    end: u64,
}

impl BackTiming {
    /// The recurrence of a descriptor, before its first tile.
    pub fn new(d: &AcceleratorDesign, descriptor: &BackDescriptor) -> Self {
        let groups = d.design().activation_groups;
        BackTiming {
            given: descriptor.go + 1,
            ..BackTiming::of_sizes(
                d.drain_steps.into(),
                (d.step_delay() + d.epilogue_stages()).into(),
                descriptor.residual_groups.map(u64::from),
                descriptor.out_groups.clamp(1, groups).into(),
            )
        }
    }

    /// The same from its sizes, with go in cycle 0: steps of a row, cycles from a step to its codes, plane groups that are read of
    /// the residual tensor and that are written, no more than the array has.
    pub(crate) fn of_sizes(
        steps: u64,
        latency: u64,
        residual_groups: Option<u64>,
        out_groups: u64,
    ) -> Self {
        BackTiming {
            steps,
            latency,
            read: residual_groups.map_or(1, |n| 2 + n),
            out_groups,
            given: 1,
            row: None,
            end: 0,
        }
    }

    /// The first cycle in which the drain can take a tile.
    pub(crate) fn free_from(&self) -> u64 {
        self.end
    }

    /// Where it stands, seen from a cycle: the next row's place, the last row's first step, the end.
    pub(crate) fn relative(&self, to: u64) -> [i64; 3] {
        [self.given, self.row.unwrap_or(0), self.end].map(|at| at as i64 - to as i64)
    }

    /// Moves on by a number of cycles.
    pub(crate) fn shift(&mut self, cycles: u64) {
        self.given += cycles;
        self.row = self.row.map(|row| row + cycles);
        self.end += cycles;
    }

    /// The next tile: its sums stand complete in cycle `done`, and `rows` of its rows are valid.
    pub fn tile(&mut self, done: u64, rows: u32) -> BackTile {
        let load = done.max(self.end);
        for rows_left in (0..u64::from(rows)).rev() {
            let before = (self.given, self.row);
            let free = self.row.map_or(0, |row| row + self.steps - 1);
            let take = (self.given + self.read).max(free);
            let spaced = self.row.map_or(0, |row| row + self.out_groups);
            self.row = Some((take + 1).max(load + 1).max(spaced));
            self.given = take.max(load + 1);
            // Past `load`, nothing but the row before counts: what two rows have in common, all others have.
            if let Some(period) = self.period(before).filter(|_| before.0 > load) {
                self.given += rows_left * period;
                self.row = self.row.map(|row| row + rows_left * period);
                break;
            }
        }
        self.end = self.row.map_or(load, |row| row + self.steps - 1);
        BackTile {
            done,
            load,
            end: self.end,
            written: self.end + self.latency + self.out_groups,
        }
    }

    /// Cycles from row to row, if place and first step have moved on alike.
    fn period(&self, before: (u64, Option<u64>)) -> Option<u64> {
        let given = self.given - before.0;
        (self.row? - before.1? == given).then_some(given)
    }

    /// The cycle of `compute_finished`, after the last tile.
    pub fn finished(&self) -> u64 {
        self.end + self.latency + self.out_groups + 2
    }
}
