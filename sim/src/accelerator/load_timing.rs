//! Cycles of loading, as the recurrence of `docs/accelerator.md`: for reports, and for runs that do not step.

use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field};

/// Cycles from an issued piece to the next one.
pub fn piece_cycles(groups: u64) -> u64 {
    groups.max(2)
}

/// Cycles from the issue of a tile's last piece to that in which its flag is seen, without the piece's groups.
const TO_FLAG: u64 = 4;
/// The cycle in which the first row is offered; the go pulse stands in cycle 0.
const FIRST_OFFER: u64 = 2;
/// Cycles from the taking of a row to the issue of its first piece.
const TO_ISSUE: u64 = 2;

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

/// Pieces of the row that loads output pixel `pixel` of a COMPUTE: O(1) for each run of the kernel.
pub fn row_pieces(design: &AcceleratorDesign, descriptor: &Descriptor, pixel: u64) -> u64 {
    let g = |field| descriptor.get(field);
    let (slices, pixel) = (i64::from(design.slices), pixel as i64);
    let (ox, rest) = (pixel % g(Field::OutWidth), pixel / g(Field::OutWidth));
    let (oy, image) = (rest % g(Field::OutHeight), rest / g(Field::OutHeight));
    let (run, width) = (g(Field::RunGranules), g(Field::LineGranules));
    let (mut j, mut pieces) = (0, 0);
    for ky in 0..g(Field::KernelLines) {
        let line = g(Field::OriginLine) + oy * g(Field::StepLine) + ky * g(Field::TapLine);
        let in_line = (0..g(Field::ImagePitch)).contains(&line);
        let origin = image * g(Field::ImagePitch) + line;
        for tap in 0..g(Field::Runs) {
            let gx = g(Field::OriginX) + ox * g(Field::StepX) + tap * g(Field::TapX);
            if in_line {
                let before = (-gx).clamp(0, run);
                let inside = (width - gx).clamp(0, run) - before;
                let q = origin + gx + before;
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
                row_pieces(design, descriptor, tile * rows + row)
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
    let groups = g(Field::Groups);
    let first = FIRST_OFFER + TO_ISSUE + groups - 1;
    first + (taps - 1) * piece_cycles(groups) + groups + TO_FLAG
}
