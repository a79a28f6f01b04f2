//! Cycles of a program by layer and cause, from its descriptors alone.
//!
//! The busy beats of a layer are exact. What stands between them is a recurrence over tiles of three stations that work
//! side by side: the loaders fill the halves of the patch buffers, the array takes the beats of a tile, the drain takes
//! its rows away. [`Latencies`] holds the fixed cycles of each hand-over. Streams are taken to be always ready.
//!
//! ```text
//! filled[t]   = max(filled[t-1], released[t-2]) + cycles of the slowest loader's pieces      row tile t
//! issued[k]   = max(issued[k-1] + stall[k-1], filled of its row tile) + beats                tile k
//! stall[k]    = what drained[k-1] is later than issued[k] + pipeline
//! drained[k]  = max(issued[k] + pipeline, drained[k-1]) + rows * cycles of a row
//! ```

use super::{Entry, Step};
use serde::Serialize;
pub use xnorforge_hdl::accelerator::Cause;
use xnorforge_hdl::accelerator::{Descriptor, Field, Opcode};
use xnorforge_hdl::{AcceleratorDesign, timing};

/// Cycles by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cycles([u64; 8]);

impl Cycles {
    /// Cycles of one cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Cycles of all causes.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What takes most of the cycles.
    pub fn bound(&self) -> Cause {
        let most = Cause::ALL.into_iter().rev().max_by_key(|c| self.of(*c));
        most.expect("there are causes")
    }

    fn add(&mut self, cause: Cause, cycles: u64) {
        self.0[cause as usize] += cycles;
    }

    fn plus(&mut self, other: &Cycles) {
        for (sum, cycles) in self.0.iter_mut().zip(other.0) {
            *sum += cycles;
        }
    }
}

/// Fixed cycles of the hand-overs between the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// From the end of a descriptor, or the start, to the start of the next one's engine.
    pub dispatch: u64,
    /// From an engine's start to a loader's first read.
    pub plan: u64,
    /// From a loader's last read to a half that is filled.
    pub fill: u64,
    /// From a filled half to the first beat at the array.
    pub issue: u64,
    /// From the end of a tile's last row in the drain to the end of a descriptor.
    pub finish: u64,
    /// From the last beat of the input stream to the end of its descriptor.
    pub input: u64,
    /// From the last tap of a max-pool to the end of its descriptor.
    pub pool: u64,
    /// Fewest cycles of a piece.
    pub piece: u64,
}

impl Latencies {
    /// Those of the accelerator's RTL.
    pub const RTL: Latencies = Latencies {
        dispatch: 44,
        plan: 3,
        fill: 3,
        issue: 3,
        finish: 8,
        input: 2,
        pool: 6,
        piece: 2,
    };
}

/// Cycles of an entry, by layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryCycles {
    /// For each layer of the network.
    pub layers: Vec<Cycles>,
    /// Of descriptors that belong to no layer.
    pub other: Cycles,
}

impl EntryCycles {
    /// Cycles of the whole run.
    pub fn total(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(Cycles::total).sum();
        layers + self.other.total()
    }
}

/// Cycles of one run of an entry of a network of `layers` layers.
pub fn entry_cycles(design: &AcceleratorDesign, entry: &Entry, layers: usize) -> EntryCycles {
    let mut clock = Clock {
        design,
        latencies: Latencies::RTL,
        now: 0,
        weights_free: 0,
    };
    let mut report = EntryCycles {
        layers: vec![Cycles::default(); layers],
        other: Cycles::default(),
    };
    let mut packets = entry.weights.iter();
    for step in &entry.steps {
        let beats = match opcode(step) {
            Some(Opcode::Weights) => packets.next().map_or(0, |packet| packet.len() as u64),
            _ => 0,
        };
        let cycles = clock.step(&step.descriptor, beats);
        match step.layer.and_then(|layer| report.layers.get_mut(layer)) {
            Some(layer) => layer.plus(&cycles),
            None => report.other.plus(&cycles),
        }
    }
    report
}

fn opcode(step: &Step) -> Option<Opcode> {
    Opcode::of(step.descriptor.get(Field::Opcode) as u32)
}

fn get(descriptor: &Descriptor, field: Field) -> u64 {
    descriptor.get(field) as u64
}

/// Time as descriptors pass.
struct Clock<'d> {
    design: &'d AcceleratorDesign,
    latencies: Latencies,
    now: u64,
    /// When the weight port is idle.
    weights_free: u64,
}

impl Clock<'_> {
    fn step(&mut self, d: &Descriptor, weight_beats: u64) -> Cycles {
        let mut cycles = Cycles::default();
        let opcode = Opcode::of(d.get(Field::Opcode) as u32);
        self.pass(&mut cycles, Cause::Control, self.latencies.dispatch);
        if opcode == Some(Opcode::Weights) || get(d, Field::WaitWeights) == 1 {
            let wait = self.weights_free.saturating_sub(self.now);
            self.pass(&mut cycles, Cause::Weights, wait);
        }
        match opcode {
            Some(Opcode::Weights) => self.weights_free = self.now + weight_beats,
            Some(Opcode::Input) => {
                let words = get(d, Field::OutLast) + 1 - get(d, Field::OutBase);
                let beats = self
                    .design
                    .word_width
                    .div_ceil(self.design.config().stream_bits);
                let taken = words * u64::from(beats) + self.latencies.input;
                self.pass(&mut cycles, Cause::Input, taken);
            }
            Some(Opcode::Pool) => {
                let taken = self.pool(d);
                self.pass(&mut cycles, Cause::Pool, taken);
            }
            Some(Opcode::Compute) => self.compute(d, &mut cycles),
            Some(Opcode::End) | None => {}
        }
        cycles
    }

    fn pass(&mut self, cycles: &mut Cycles, cause: Cause, count: u64) {
        cycles.add(cause, count);
        self.now += count;
    }

    fn pixels(&self, d: &Descriptor) -> u64 {
        let rows = u64::from(self.design.design().config().rows);
        (get(d, Field::RowTiles) - 1) * rows + get(d, Field::LastRows)
    }

    /// Cycles of a piece in all groups.
    fn piece(&self, d: &Descriptor) -> u64 {
        get(d, Field::Groups).max(self.latencies.piece)
    }

    fn pool(&self, d: &Descriptor) -> u64 {
        let taps = get(d, Field::KernelLines) * get(d, Field::Runs);
        let taps = self.pixels(d) * taps * self.piece(d);
        self.latencies.plan + taps + self.latencies.pool
    }

    /// Cycles in which a loader fills one row of its patch buffers.
    fn row(&self, d: &Descriptor, pixel: u64) -> u64 {
        let slices = i64::from(self.design.slices);
        let (width, height) = (get(d, Field::OutWidth), get(d, Field::OutHeight));
        let (ox, oy) = ((pixel % width) as i64, (pixel / width % height) as i64);
        let line_granules = d.get(Field::LineGranules);
        let (mut pieces, mut j) = (0, 0);
        for ky in 0..d.get(Field::KernelLines) {
            let iy = d.get(Field::OriginY) + oy * d.get(Field::StepY) + ky * d.get(Field::TapY);
            let is_line = (0..d.get(Field::InHeight)).contains(&iy);
            let line = (pixel / width / height) as i64 * d.get(Field::ImagePitch)
                + d.get(Field::OriginLine)
                + oy * d.get(Field::StepLine)
                + ky * d.get(Field::TapLine);
            for run in 0..d.get(Field::Runs) {
                let mut gx =
                    d.get(Field::OriginX) + ox * d.get(Field::StepX) + run * d.get(Field::TapX);
                let mut remaining = d.get(Field::RunGranules);
                while remaining > 0 {
                    let mut n = remaining.min(slices - j % slices);
                    if is_line && gx < 0 {
                        n = n.min(-gx);
                    } else if is_line && gx < line_granules {
                        n = n.min(line_granules - gx);
                        n = n.min(slices - (line + gx) % slices);
                    }
                    pieces += 1;
                    j += n;
                    gx += n;
                    remaining -= n;
                }
            }
        }
        if j % slices != 0 {
            pieces += 1;
        }
        pieces * self.piece(d)
    }

    /// Cycles in which the slowest loader fills its rows of a row tile.
    fn tile_load(&self, d: &Descriptor, row_tile: u64) -> u64 {
        let rows = u64::from(self.design.design().config().rows);
        let per_port = u64::from(self.design.rows_per_port);
        let end = self.pixels(d).min((row_tile + 1) * rows);
        let first = row_tile * rows;
        (first..end)
            .step_by(per_port as usize)
            .map(|port| {
                let rows = port..end.min(port + per_port);
                rows.map(|pixel| self.row(d, pixel)).sum()
            })
            .max()
            .unwrap_or(0)
    }

    fn compute(&mut self, d: &Descriptor, cycles: &mut Cycles) {
        let l = self.latencies;
        let start = self.now;
        let beats = get(d, Field::ScheduleSteps) * get(d, Field::Chunks);
        let pipeline = timing::compute_latency(self.design.design());
        let steps = u64::from(self.design.drain_steps);
        let is_stored = get(d, Field::ToActivation) + get(d, Field::ToResidual) > 0;
        let row = if is_stored {
            steps.max(get(d, Field::OutGroups))
        } else {
            steps
        };
        let (row_tiles, column_tiles) = (get(d, Field::RowTiles), get(d, Field::ColumnTiles));
        let rows = u64::from(self.design.design().config().rows);
        let mut filled = start + l.plan;
        // When the two halves were released last.
        let mut released = [start; 2];
        let (mut issued, mut drained) = (start, start);
        for row_tile in 0..row_tiles {
            let half = (row_tile % 2) as usize;
            filled = filled.max(released[half]) + self.tile_load(d, row_tile);
            let first = filled + l.fill + l.issue;
            if first > issued {
                cycles.add(Cause::Load, first - issued);
                issued = first;
            }
            let is_last = row_tile + 1 == row_tiles;
            let valid = if is_last {
                get(d, Field::LastRows)
            } else {
                rows
            };
            for _ in 0..column_tiles {
                issued += beats;
                cycles.add(Cause::Busy, beats);
                let done = issued + pipeline;
                if drained > done {
                    // The finished tile waits, and all behind it.
                    cycles.add(Cause::Drain, drained - done);
                    issued += drained - done;
                }
                drained = drained.max(done) + valid * row;
            }
            released[half] = issued;
        }
        let end = drained + l.finish;
        cycles.add(Cause::Control, end - issued);
        self.now = end;
    }
}
