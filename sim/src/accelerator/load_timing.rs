//! Cycles of loading, as the recurrence of `docs/accelerator.md`: for reports, and for runs that do not step.

use crate::program::descriptor;
use std::collections::HashMap;
use std::rc::Rc;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field};

/// Cycles from an issued piece to the next one.
pub fn piece_cycles(groups: u64) -> u64 {
    groups.max(2)
}

/// Cycles from the issue of a tile's last piece to that in which its flag is seen, without the piece's groups.
pub(crate) const TO_FLAG: u64 = 4;
/// The cycle in which the first row is offered; the go pulse stands in cycle 0.
pub(crate) const FIRST_OFFER: u64 = 2;
/// Cycles from the taking of a row to the issue of its first piece.
pub(crate) const TO_ISSUE: u64 = 2;

/// Multiples of `of` in `low..high`.
fn multiples(low: i64, high: i64, of: i64) -> i64 {
    (high - 1).div_euclid(of) - (low - 1).div_euclid(of)
}

/// Pieces of `count` granules from place `j` on: a new one begins at every word of the patch and, in the feature map
/// (from granule `q` on), at every word of the memory.
fn segment_pieces(slices: i64, j: i64, q: Option<i64>, count: i64) -> i64 {
    if count <= 0 {
        return 0;
    }
    let patch = multiples(j + 1, j + count, slices);
    let memory = match q {
        Some(q) if (q - j) % slices != 0 => multiples(q + 1, q + count, slices),
        _ => 0,
    };
    1 + patch + memory
}

/// How the loaders walk over a feature map (`docs/accelerator.md`, "Loading patches").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    slices: i64,
    run_granules: i64,
    runs: i64,
    kernel_lines: i64,
    line_granules: i64,
    image_pitch: i64,
    origin_x: i64,
    step_x: i64,
    tap_x: i64,
    origin_line: i64,
    step_line: i64,
    tap_line: i64,
    out_width: i64,
    out_height: i64,
}

impl Walk {
    fn new(design: &AcceleratorDesign, descriptor: &Descriptor) -> Self {
        let get = |field| descriptor.get(field);
        Walk {
            slices: design.slices.into(),
            run_granules: get(Field::RunGranules),
            runs: get(Field::Runs),
            kernel_lines: get(Field::KernelLines),
            line_granules: get(Field::LineGranules),
            image_pitch: get(Field::ImagePitch),
            origin_x: get(Field::OriginX),
            step_x: get(Field::StepX),
            tap_x: get(Field::TapX),
            origin_line: get(Field::OriginLine),
            step_line: get(Field::StepLine),
            tap_line: get(Field::TapLine),
            out_width: get(Field::OutWidth),
            out_height: get(Field::OutHeight),
        }
    }

    /// The walk of a stage over words of `slices` slices.
    pub fn of_stage(walk: &descriptor::Walk, slices: u32) -> Self {
        Walk {
            slices: slices.into(),
            run_granules: walk.run_granules,
            runs: walk.runs,
            kernel_lines: walk.kernel_lines,
            line_granules: walk.line_granules,
            image_pitch: walk.image_pitch,
            origin_x: walk.origin_x,
            step_x: walk.step_x,
            tap_x: walk.tap_x,
            origin_line: walk.origin_y * walk.line_granules,
            step_line: walk.step_y * walk.line_granules,
            tap_line: walk.tap_y * walk.line_granules,
            out_width: walk.out_width,
            out_height: walk.out_height,
        }
    }

    /// A walk with as many pieces that reads from a pixel's first word on; this one reads from granule `first` on. Granules
    /// of a pixel lie inside together, and pieces end where words do.
    pub fn in_first_word(self, first: u32) -> Self {
        let first = i64::from(first);
        Walk {
            origin_x: self.origin_x - (first - first % self.slices),
            ..self
        }
    }

    /// Output pixels of a line, and lines of an image.
    pub fn out_size(&self) -> (u64, u64) {
        (self.out_width as u64, self.out_height as u64)
    }

    /// By how many slices the granules of an image lie behind those of the one before.
    pub fn image_slices(&self) -> u64 {
        self.image_pitch.rem_euclid(self.slices) as u64
    }

    /// Lines of the kernel.
    pub fn kernel_line_count(&self) -> usize {
        self.kernel_lines as usize
    }

    /// Slices of a word.
    pub fn slices(&self) -> u64 {
        self.slices as u64
    }

    /// The first granules, in their image, of the lines that the kernel's lines read for output line `y`.
    fn kernel_lines(&self, y: i64) -> impl Iterator<Item = i64> {
        let walk = *self;
        let first = walk.origin_line + y * walk.step_line;
        (0..walk.kernel_lines).map(move |line| first + line * walk.tap_line)
    }

    fn is_inside(&self, line: i64) -> bool {
        (0..self.image_pitch).contains(&line)
    }

    /// Pieces of the row of output pixel `x` of line `y` of an image: O(1) for each run of the kernel.
    pub fn pieces(&self, x: i64, y: i64, image: i64) -> u64 {
        let (run, width, slices) = (self.run_granules, self.line_granules, self.slices);
        let (mut j, mut pieces) = (0, 0);
        for line in self.kernel_lines(y) {
            for tap in 0..self.runs {
                if self.is_inside(line) {
                    let gx = self.origin_x + x * self.step_x + tap * self.tap_x;
                    let before = (-gx).clamp(0, run);
                    let inside = (width - gx).clamp(0, run) - before;
                    let q = image * self.image_pitch + line + gx + before;
                    pieces += segment_pieces(slices, j, None, before)
                        + segment_pieces(slices, j + before, Some(q), inside)
                        + segment_pieces(slices, j + before + inside, None, run - before - inside);
                } else {
                    pieces += segment_pieces(slices, j, None, run);
                }
                j += run;
            }
        }
        pieces as u64
    }

    /// What the pieces of an output line depend on, beside x.
    pub fn line_kind(&self, y: i64, image: i64) -> LineKind {
        let is_inside = |line: &i64| self.is_inside(*line);
        let before = self.kernel_lines(y).take_while(|line| !is_inside(line));
        let first = image * self.image_pitch + self.origin_line + y * self.step_line;
        LineKind {
            slice: first.rem_euclid(self.slices),
            before: before.count(),
            inside: self.kernel_lines(y).filter(is_inside).count(),
        }
    }
}

/// Output lines of one kind have the same pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LineKind {
    /// Slice of the first granule that kernel line 0 reads, as if it were inside.
    pub slice: i64,
    /// Kernel lines before the first one that is inside, and those inside, which follow one another.
    pub before: usize,
    pub inside: usize,
}

/// The pieces of a COMPUTE's rows, one after the other; each kind of output line is looked at once.
struct RowPieces {
    walk: Walk,
    kinds: HashMap<LineKind, Rc<[u64]>>,
    /// The line of the row that comes next, the next one, and the pixel in the line.
    line: Rc<[u64]>,
    x: usize,
    y: i64,
    image: i64,
}

impl RowPieces {
    fn new(design: &AcceleratorDesign, descriptor: &Descriptor) -> Self {
        RowPieces {
            walk: Walk::new(design, descriptor),
            kinds: HashMap::new(),
            line: Rc::default(),
            x: 0,
            y: 0,
            image: 0,
        }
    }

    fn next(&mut self) -> u64 {
        if self.x == self.line.len() {
            self.next_line();
        }
        self.x += 1;
        self.line[self.x - 1]
    }

    fn next_line(&mut self) {
        let (walk, y, image) = (self.walk, self.y, self.image);
        let line = self
            .kinds
            .entry(walk.line_kind(y, image))
            .or_insert_with(|| {
                let pixels = 0..walk.out_width.max(1);
                pixels.map(|x| walk.pieces(x, y, image)).collect()
            });
        (self.line, self.x) = (line.clone(), 0);
        self.y += 1;
        if self.y >= walk.out_height {
            (self.y, self.image) = (0, image + 1);
        }
    }
}

/// For each row tile of a COMPUTE, the cycle in which all loaders' flags of its half are seen set; the go pulse stands
/// in cycle 0. `released(tile, full)` tells in which cycle, `full` or later, the tile's half is released.
pub fn full_cycles(
    design: &AcceleratorDesign,
    descriptor: &Descriptor,
    mut released: impl FnMut(u64, u64) -> u64,
) -> Vec<u64> {
    let g = |field| descriptor.get(field) as u64;
    let ports = u64::from(design.config().load_ports);
    let rows = u64::from(design.design().config().rows);
    let (tiles, groups) = (g(Field::RowTiles), g(Field::Groups));
    let mut pieces_of_rows = RowPieces::new(design, descriptor);
    let mut full: Vec<u64> = Vec::new();
    let mut free = vec![0];
    let mut offer = FIRST_OFFER;
    let mut issued = vec![None; ports as usize];
    for tile in 0..tiles {
        let valid = if tile + 1 == tiles {
            g(Field::LastRows)
        } else {
            rows
        };
        let half_is_free = if tile < 2 { 0 } else { free[tile as usize - 1] };
        for row in 0..valid.next_multiple_of(ports) {
            let last: &mut Option<u64> = &mut issued[(row % ports) as usize];
            let take = offer.max(half_is_free).max(last.unwrap_or(0));
            let first = last.map_or(0, |last| last + piece_cycles(groups));
            let pieces = if row < valid {
                pieces_of_rows.next()
            } else {
                1
            };
            *last = Some((take + TO_ISSUE).max(first) + (pieces - 1) * piece_cycles(groups));
            offer = take + 1;
        }
        let last = issued.iter().flatten().max().copied().unwrap_or(0);
        full.push(last + groups + TO_FLAG);
        free.push(released(tile, last + groups + TO_FLAG) + 1);
    }
    full
}

/// The cycle of a POOL's `pool_finished`; the go pulse stands in cycle 0.
pub fn pool_cycles(design: &AcceleratorDesign, descriptor: &Descriptor) -> u64 {
    let g = |field| descriptor.get(field) as u64;
    let rows = u64::from(design.design().config().rows);
    let pixels = (g(Field::RowTiles) - 1) * rows + g(Field::LastRows);
    let taps = pixels * g(Field::KernelLines) * g(Field::Runs);
    pool_cycles_of(taps, g(Field::Groups))
}

/// The same of a POOL of so many taps, for all its pixels, that reads `groups` plane groups.
pub(crate) fn pool_cycles_of(taps: u64, groups: u64) -> u64 {
    let first = FIRST_OFFER + TO_ISSUE + groups - 1;
    first + (taps - 1) * piece_cycles(groups) + groups + TO_FLAG
}
