//! Cycles of a COMPUTE without walking through its tiles one by one.
//!
//! The recurrence is that of `docs/accelerator.md` ([`crate::accelerator::compute_timing`] walks through it in full): a
//! system of sums and maxima with little state, driven by the pieces of each row tile. Three things make it short:
//!
//! - **Patches that are always there.** Where loading a row tile takes no longer, in the worst case, than computing or
//!   draining one, no tile waits for its patch any more, and the rest is an arithmetic series ([`Engine::overlapped`]).
//! - **Patches that are always late.** Where loading a row tile takes longer, in the best case, than all that is done with
//!   one, the rest is the sum of all pieces ([`Engine::skip_late`]).
//! - **Periods.** Elsewhere tiles are walked through, but what is the same again is not: between the borders of a feature
//!   map pieces repeat from line to line, and from image to image. A state that stood before the same pieces, but for the
//!   cycle, gives the same cycles again: whole periods are added at once ([`Engine::skip_periods`]). Where all rows load
//!   as many pieces, every tile is such a period. So are the column tiles of a row tile ([`Array::column_tiles`]).
//!
//! All of them are exact; tests hold them to the plain recurrence.

use super::pieces::Pieces;
use crate::accelerator::BackTiming;
use crate::accelerator::compute_timing::ComputeCycles;
use crate::accelerator::load_timing::{FIRST_OFFER, TO_FLAG, TO_ISSUE, piece_cycles};
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;

/// All that the cycles of a COMPUTE depend on, beside its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ComputeShape {
    /// Rows of the array.
    pub rows: u64,
    /// Loaders.
    pub ports: u64,
    /// Output pixels of all images.
    pub pixels: u64,
    /// Plane groups that are read.
    pub groups: u64,
    /// Column tiles.
    pub column_tiles: u64,
    /// Beats of a tile.
    pub beats: u64,
    /// Cycles from a beat to its count.
    pub popcount_latency: u64,
    /// Steps in which a row is drained.
    pub drain_steps: u64,
    /// Plane groups that are written, no more than the packer has.
    pub out_groups: u64,
    /// Plane groups of the residual, if there is one.
    pub residual_groups: Option<u64>,
    /// Stages of the epilogue.
    pub latency: u64,
}

impl ComputeShape {
    fn row_tiles(&self) -> u64 {
        self.pixels.div_ceil(self.rows)
    }

    /// Row tiles all of whose rows are valid.
    fn full_tiles(&self) -> u64 {
        self.pixels / self.rows
    }

    /// Valid rows of a row tile.
    fn rows_of(&self, tile: u64) -> u64 {
        self.rows.min(self.pixels - tile * self.rows)
    }

    /// Beats of a row tile.
    fn row_tile_beats(&self) -> u64 {
        self.column_tiles * self.beats
    }

    /// Cycles from a row tile's first move to that in which its first sums are complete.
    fn until_sums(&self) -> u64 {
        self.beats + self.popcount_latency + 2
    }

    fn back(&self) -> BackTiming {
        BackTiming::of_sizes(
            self.drain_steps,
            self.latency,
            self.residual_groups,
            self.out_groups,
        )
    }
}

/// Tiles after which no series is looked for any more.
const SERIES_TILES: u64 = 8;
/// States of one phase that are kept: a period of the cycles may take several of the pieces'.
const SNAPSHOTS_MAX: usize = 4;

/// Cycles of a COMPUTE.
pub(crate) fn compute_cycles(shape: &ComputeShape, pieces: &Pieces) -> ComputeCycles {
    let steady = Steady::new(shape);
    let mut engine = Engine::new(shape, pieces);
    while engine.tile < shape.row_tiles() {
        engine.row_tile();
        if let Some(steady) = steady.as_ref().filter(|_| engine.tile <= SERIES_TILES) {
            if let Some(cycles) = engine.overlapped(steady) {
                return cycles;
            }
            engine.skip_late(steady);
        }
        engine.skip_periods();
    }
    engine.cycles()
}

/// A drain that takes each tile in the same time, however closely tiles follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steady {
    /// Where the drain stands after a tile, seen from the cycle that takes it: the last is the end.
    full: [i64; 3],
    /// The same of a tile with the rows of the last row tile.
    last: [i64; 3],
}

impl Steady {
    /// The times of the drain do not fall when tiles follow more closely, so what is the same for a tile alone and for
    /// one right after another is the same for all.
    fn new(shape: &ComputeShape) -> Option<Self> {
        let idle = 1000;
        let last_rows = shape.rows_of(shape.row_tiles() - 1);
        let mut back = shape.back();
        let profile = |back: &mut BackTiming, done, rows: u64| {
            let load = back.tile(done, rows as u32).load;
            back.relative(load)
        };
        let rows = if shape.row_tiles() > 1 {
            shape.rows
        } else {
            last_rows
        };
        let full = profile(&mut back, idle, rows);
        let is_steady = profile(&mut back, 0, rows) == full;
        let last = profile(&mut shape.back(), idle, last_rows);
        let follows =
            profile(&mut back, 0, last_rows) == last && profile(&mut back, 0, last_rows) == last;
        (is_steady && follows).then_some(Steady { full, last })
    }

    /// Cycles in which the drain is busy with a tile.
    fn drain(profile: &[i64; 3]) -> u64 {
        profile[2] as u64
    }
}

/// The loaders, up to a row tile.
#[derive(Clone, Debug)]
struct Loaders {
    offer: u64,
    /// The cycle in which each loader issues the last piece that it has taken.
    issued: SmallVec<[Option<u64>; 4]>,
    /// The first cycles in which the halves of the patch buffer can be taken.
    free: [u64; 2],
    /// A number of pixels, and the pieces before them: those of the last row tile's end.
    before: (u64, u64),
}

impl Loaders {
    /// Pieces of a row tile's pixels.
    fn pieces(&mut self, pieces: &Pieces, first: u64, end: u64) -> u64 {
        let before = match self.before {
            (pixels, known) if pixels == first => known,
            _ => pieces.before(first),
        };
        self.before = (end, pieces.before(end));
        self.before.1 - before
    }

    /// The cycle in which a row tile is seen to be there.
    fn row_tile(&mut self, shape: &ComputeShape, pieces: &Pieces, tile: u64) -> u64 {
        let valid = shape.rows_of(tile);
        let first = tile * shape.rows;
        let free = self.free[(tile % 2) as usize];
        let m = piece_cycles(shape.groups);
        if shape.ports == 1 {
            // Behind its first row a loader takes each row with the last piece of the one before.
            let count = self.pieces(pieces, first, first + valid);
            let last = self.issued[0];
            let take = self.offer.max(free).max(last.unwrap_or(0));
            let issue = (take + TO_ISSUE).max(last.map_or(0, |last| last + m));
            self.issued[0] = Some(issue + (count - 1) * m);
            self.offer = 0;
        } else {
            self.rows(shape, pieces.from(first), valid, free);
        }
        let last = self.issued.iter().flatten().max().copied().unwrap_or(0);
        last + shape.groups + TO_FLAG
    }

    fn rows(
        &mut self,
        shape: &ComputeShape,
        mut pieces: impl Iterator<Item = u64>,
        valid: u64,
        free: u64,
    ) {
        let m = piece_cycles(shape.groups);
        for row in 0..valid.next_multiple_of(shape.ports) {
            let last = &mut self.issued[(row % shape.ports) as usize];
            let take = self.offer.max(free).max(last.unwrap_or(0));
            let first = (take + TO_ISSUE).max(last.map_or(0, |last| last + m));
            let count = if row < valid {
                pieces.next().unwrap_or(1)
            } else {
                1
            };
            *last = Some(first + (count - 1) * m);
            self.offer = take + 1;
        }
    }
}

/// Array and drain, up to a row tile.
#[derive(Clone, Debug)]
struct Array {
    back: BackTiming,
    /// The move in which the last beat's addresses stand at the memories.
    last: u64,
    /// Cycles without a move up to that move, and in all.
    stalled: u64,
    stalled_in_all: u64,
    /// Stalls behind that move: the move that follows each of them, and its cycles.
    ahead: VecDeque<(u64, u64)>,
    /// Cycles in which the compute engine waited for a patch.
    waited: u64,
    /// The cycle in which the last row tile began.
    began: u64,
    /// The cycle in which the drain took the last tile.
    load: u64,
    /// Whether the last row tile began in the cycle in which its patch was there, and its first sums were taken at once.
    is_late: bool,
}

impl Array {
    /// The cycle of the last move.
    fn now(&self) -> u64 {
        self.last + self.stalled
    }

    fn pass(&mut self, number: u64) {
        while let Some((_, cycles)) = self.ahead.front().filter(|(at, _)| *at <= number) {
            self.stalled += cycles;
            self.ahead.pop_front();
        }
    }

    /// The first move from the last one on whose cycle is not before `cycle`.
    fn first(&mut self, cycle: u64) -> u64 {
        let mut first = self.last;
        loop {
            self.pass(first);
            let at = first + self.stalled;
            if at >= cycle {
                return first;
            }
            let next = self.ahead.front().map_or(u64::MAX, |(next, _)| *next);
            first = (first + cycle - at).min(next);
        }
    }

    fn row_tile(&mut self, shape: &ComputeShape, full: u64, rows: u64) {
        let enters = self.first(full);
        self.waited += enters - self.last;
        self.began = enters + self.stalled;
        let is_prompt = self.began == full && self.ahead.is_empty();
        self.last = enters + shape.row_tile_beats();
        let first = self.column_tiles(shape, enters, rows);
        self.is_late = is_prompt && first == full + shape.until_sums();
        self.pass(self.last);
    }

    /// The column tiles of a row tile that begins with move `enters`; gives the cycle in which the drain takes the first.
    fn column_tiles(&mut self, shape: &ComputeShape, enters: u64, rows: u64) -> u64 {
        let tiles = shape.column_tiles;
        let (mut first, mut before) = (None, None);
        for tile in 1..=tiles {
            let at = enters + tile * shape.beats + shape.popcount_latency + 2;
            let done = at + self.stalled_in_all;
            self.load = self.back.tile(done, rows as u32).load;
            let stall = self.load - done;
            self.stall(at, stall);
            first = first.or(Some(self.load));
            let profile = Some(self.back.relative(self.load));
            if profile == before {
                // The sums of each further tile are complete a tile's beats after those before are taken.
                self.repeat(shape, at, tiles - tile);
                break;
            }
            before = profile;
        }
        first.unwrap_or(self.load)
    }

    /// `cycles` pass before move `number`.
    fn stall(&mut self, number: u64, cycles: u64) {
        if cycles > 0 {
            self.ahead.push_back((number, cycles));
            self.stalled_in_all += cycles;
        }
    }

    /// `rest` further tiles, each as the one whose stall stands before move `at`.
    fn repeat(&mut self, shape: &ComputeShape, at: u64, rest: u64) {
        if rest == 0 {
            return;
        }
        let taken = self.load + shape.beats;
        let stall = self.back.free_from().saturating_sub(taken);
        let step = shape.beats + stall;
        self.back.shift(rest * step);
        self.load += rest * step;
        if stall == 0 {
            return;
        }
        // Those up to the last move pass before anything asks for them: one stall is as good as all.
        let behind = rest.min((shape.popcount_latency + 2).div_ceil(shape.beats));
        let passed = rest - behind;
        self.stall(at + passed * shape.beats, passed * stall);
        for tile in passed + 1..=rest {
            self.stall(at + tile * shape.beats, stall);
        }
    }
}

/// Where a COMPUTE stands before a row tile, seen from the cycle of the last move, and the sums that go on.
#[derive(Clone, Debug)]
struct Snapshot {
    tile: u64,
    state: SmallVec<[i64; 12]>,
    sums: Sums,
}

/// What grows from tile to tile.
#[derive(Clone, Copy, Debug)]
struct Sums {
    now: u64,
    last: u64,
    waited: u64,
}

/// The states that stood before the same pieces.
#[derive(Clone, Debug, Default)]
struct Seen {
    phase: Option<(u64, u64)>,
    snapshots: VecDeque<Snapshot>,
}

impl Seen {
    fn clear(&mut self) {
        self.phase = None;
        self.snapshots.clear();
    }
}

/// A COMPUTE on its way.
#[derive(Clone, Debug)]
struct Engine<'a> {
    shape: &'a ComputeShape,
    pieces: &'a Pieces,
    /// The row tile that comes next.
    tile: u64,
    loaders: Loaders,
    array: Array,
    /// Of the lines between the borders of one image, and of whole images.
    lines: Seen,
    line_image: u64,
    images: Seen,
}

impl<'a> Engine<'a> {
    fn new(shape: &'a ComputeShape, pieces: &'a Pieces) -> Self {
        Engine {
            shape,
            pieces,
            tile: 0,
            loaders: Loaders {
                offer: FIRST_OFFER,
                issued: smallvec![None; shape.ports as usize],
                free: [0; 2],
                before: (0, 0),
            },
            array: Array {
                back: shape.back(),
                last: 0,
                stalled: 0,
                stalled_in_all: 0,
                ahead: VecDeque::new(),
                waited: 0,
                began: 0,
                load: 0,
                is_late: false,
            },
            lines: Seen::default(),
            line_image: 0,
            images: Seen::default(),
        }
    }

    fn row_tile(&mut self) {
        let full = self.loaders.row_tile(self.shape, self.pieces, self.tile);
        let rows = self.shape.rows_of(self.tile);
        self.array.row_tile(self.shape, full, rows);
        // The half is released in the cycle after the last move; it can be taken in the one after that.
        self.loaders.free[(self.tile % 2) as usize] = self.array.now() + 2;
        self.tile += 1;
    }

    fn cycles(&self) -> ComputeCycles {
        ComputeCycles {
            finished: self.array.back.finished(),
            busy: self.shape.row_tiles() * self.shape.row_tile_beats(),
            load: self.array.waited,
            drain: self.array.stalled_in_all,
        }
    }

    /// Whether the drain has come to the profile of its tiles.
    fn is_steady(&self, steady: &Steady) -> bool {
        self.array.back.relative(self.array.load) == steady.full
    }

    /// All that is left, where no row tile waits for its patch any more.
    fn overlapped(&self, steady: &Steady) -> Option<ComputeCycles> {
        let shape = self.shape;
        let left = shape.row_tiles() - self.tile;
        if left == 0 || !self.is_steady(steady) {
            return None;
        }
        let drain = Steady::drain(&steady.full);
        let interval = shape.beats.max(drain);
        let stall = interval - shape.beats;
        let behind = (shape.popcount_latency + 2).div_ceil(shape.beats) as usize;
        let stalls_alike = stall == 0
            || (self.array.ahead.len() == behind
                && self.array.ahead.iter().all(|(_, cycles)| *cycles == stall));
        // The next row tile goes by what the last one took, all others by what each of them takes.
        let shortest = (self.array.now() - self.array.began).min(shape.column_tiles * interval);
        if !stalls_alike || self.slowest_load() > shortest {
            return None;
        }
        let full = shape.full_tiles() - self.tile;
        let mut load = self.array.load + full * shape.column_tiles * interval;
        let mut end = load + drain;
        if left > full {
            let drain = Steady::drain(&steady.last);
            load += interval + (shape.column_tiles - 1) * shape.beats.max(drain);
            end = load + drain;
        }
        let moves = left * shape.row_tile_beats();
        Some(ComputeCycles {
            finished: end + shape.latency + shape.out_groups + 2,
            busy: shape.row_tiles() * shape.row_tile_beats(),
            load: self.array.waited,
            drain: self.array.stalled_in_all + load - self.array.load - moves,
        })
    }

    /// Cycles in which a row tile is there at the latest, from that in which the one before has begun.
    fn slowest_load(&self) -> u64 {
        let shape = self.shape;
        let row = piece_cycles(shape.groups) * self.pieces.most;
        let rounds = shape.rows.div_ceil(shape.ports);
        // Its half is free two cycles after that. In the slowest round every loader has the longest row.
        let issued = 2 + (rounds - 1) * row.max(shape.ports) + shape.ports - 1 + row;
        issued + shape.groups + TO_FLAG
    }

    /// Skips the row tiles that come after all that is done with the one before.
    fn skip_late(&mut self, steady: &Steady) {
        let shape = self.shape;
        let count = shape.full_tiles().saturating_sub(self.tile);
        if shape.ports > 1 || count == 0 || !self.array.is_late || !self.is_steady(steady) {
            return;
        }
        let m = piece_cycles(shape.groups);
        let free = self.loaders.free[(self.tile % 2) as usize];
        if self.loaders.issued[0].is_none_or(|last| free + TO_ISSUE > last + m) {
            return;
        }
        let interval = shape.beats.max(Steady::drain(&steady.full));
        let work = shape.until_sums() + shape.column_tiles * interval + 8;
        if m * shape.rows * self.pieces.least < work {
            return;
        }
        let (first, end) = (self.tile * shape.rows, (self.tile + count) * shape.rows);
        let cycles = m * (self.pieces.before(end) - self.pieces.before(first));
        let stalls = count * (shape.column_tiles - 1) * (interval - shape.beats);
        let moves = cycles - stalls;
        let waited = moves - count * shape.row_tile_beats();
        self.advance(count, cycles, moves, waited);
    }

    /// Moves everything on by a number of row tiles in which the state comes round.
    fn advance(&mut self, tiles: u64, cycles: u64, moves: u64, waited: u64) {
        let Loaders {
            offer,
            issued,
            free,
            ..
        } = &mut self.loaders;
        *offer += cycles;
        issued.iter_mut().flatten().for_each(|at| *at += cycles);
        free.iter_mut().for_each(|at| *at += cycles);
        if tiles % 2 == 1 {
            free.swap(0, 1);
        }
        let array = &mut self.array;
        array.back.shift(cycles);
        array.load += cycles;
        array.began += cycles;
        array.last += moves;
        array.stalled += cycles - moves;
        array.stalled_in_all += cycles - moves;
        array.ahead.iter_mut().for_each(|(at, _)| *at += moves);
        array.waited += waited;
        self.tile += tiles;
    }

    /// Skips the periods that are left of the lines between two borders, or of the images.
    fn skip_periods(&mut self) {
        let (shape, pieces) = (self.shape, self.pieces);
        if self.tile < 2 || self.tile >= shape.full_tiles() {
            return;
        }
        if pieces.least == pieces.most {
            // All tiles are alike: one phase.
            let seen = std::mem::take(&mut self.images);
            self.images = self.skip(seen, (0, 0), shape.full_tiles());
            return;
        }
        let pixel = self.tile * shape.rows;
        let image = pixel / pieces.image_pixels();
        if shape.pixels > pieces.image_pixels() {
            let seen = std::mem::take(&mut self.images);
            self.images = self.skip(seen, pieces.image_phase(pixel), shape.full_tiles());
        }
        let pixel = self.tile * shape.rows;
        let of_image = |line: u64| image * pieces.image_pixels() + line * pieces.width();
        let inside = of_image(pieces.interior.first)..of_image(pieces.interior.end);
        if self.line_image != image {
            self.lines.clear();
            self.line_image = image;
        }
        if inside.contains(&pixel) {
            let seen = std::mem::take(&mut self.lines);
            self.lines = self.skip(seen, pieces.line_phase(pixel), inside.end / shape.rows);
        }
    }

    /// Skips the periods that fit before row tile `end`, if the state is one that was seen before in this phase.
    fn skip(&mut self, mut seen: Seen, phase: (u64, u64), end: u64) -> Seen {
        if *seen.phase.get_or_insert(phase) != phase || end <= self.tile {
            return seen;
        }
        let here = self.snapshot();
        let before = seen.snapshots.iter().rev();
        let found = before.clone().find(|s| s.state == here.state);
        if let Some(before) = found {
            let tiles = here.tile - before.tile;
            let count = (end - self.tile) / tiles;
            let grown = |of: fn(&Sums) -> u64| count * (of(&here.sums) - of(&before.sums));
            let (cycles, moves) = (grown(|s| s.now), grown(|s| s.last));
            self.advance(count * tiles, cycles, moves, grown(|s| s.waited));
            seen.clear();
            return seen;
        }
        if seen.snapshots.len() == SNAPSHOTS_MAX {
            seen.snapshots.pop_front();
        }
        seen.snapshots.push_back(here);
        seen
    }

    fn snapshot(&self) -> Snapshot {
        let array = &self.array;
        let now = array.now();
        let from_now = |at: u64| at as i64 - now as i64;
        let mut state = SmallVec::from_slice(&array.back.relative(now));
        state.push(from_now(self.loaders.free[((self.tile + 1) % 2) as usize]));
        state.push(from_now(self.loaders.free[(self.tile % 2) as usize]));
        state.extend(self.loaders.issued.iter().flatten().map(|at| from_now(*at)));
        if self.shape.ports > 1 {
            state.push(from_now(self.loaders.offer));
        }
        for (at, cycles) in &array.ahead {
            state.extend([(at - array.last) as i64, *cycles as i64]);
        }
        Snapshot {
            tile: self.tile,
            state,
            sums: Sums {
                now,
                last: array.last,
                waited: array.waited,
            },
        }
    }
}
