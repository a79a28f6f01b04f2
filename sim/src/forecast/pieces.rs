//! How many pieces the rows of a product load, for any run of rows, from sums that are made once.
//!
//! The pieces of an output line depend on which kernel lines lie inside the feature map and on the slice at which its
//! granules begin, so a map has few kinds of lines. Each kind is counted once; everything else is a sum of those.

use crate::accelerator::load_timing::{LineKind, Walk};
use std::collections::HashMap;

/// Output lines between which nothing changes but the slice at which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interior {
    /// The first of an image, and the first behind them.
    pub first: u64,
    pub end: u64,
}

/// The pieces of every row that a product loads.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    width: u64,
    height: u64,
    /// For each kind of line: pieces of its first pixels, none to all.
    kinds: Vec<Box<[u32]>>,
    /// For each image of a period and each of its lines: the kind, and the pieces of the lines before.
    lines: Vec<(u32, u64)>,
    /// Pieces of the images of a period before each one, and of all of them.
    images: Vec<u64>,
    /// Lines that lie inside with all that they read.
    pub interior: Interior,
    /// Fewest and most pieces of a row.
    pub least: u64,
    pub most: u64,
}

impl Pieces {
    /// Counts the pieces of `images` images.
    pub fn new(walk: &Walk, images: u64) -> Self {
        let (width, height) = walk.out_size();
        let period = images.min(period_of(walk.image_slices(), walk.slices()));
        let mut known: HashMap<LineKind, u32> = HashMap::new();
        let mut pieces = Pieces {
            width,
            height,
            kinds: Vec::new(),
            lines: Vec::new(),
            images: vec![0],
            interior: interior(walk, height),
            least: u64::MAX,
            most: 0,
        };
        for image in 0..period {
            let mut sum = 0;
            for y in 0..height {
                let (y, image) = (y as i64, image as i64);
                let kind = *known.entry(walk.line_kind(y, image)).or_insert_with(|| {
                    pieces.count(walk, y, image);
                    pieces.kinds.len() as u32 - 1
                });
                pieces.lines.push((kind, sum));
                sum += u64::from(pieces.kinds[kind as usize][width as usize]);
            }
            pieces.images.push(pieces.images[image as usize] + sum);
        }
        pieces
    }

    fn count(&mut self, walk: &Walk, y: i64, image: i64) {
        let mut sums = vec![0];
        for x in 0..self.width {
            let count = walk.pieces(x as i64, y, image);
            self.least = self.least.min(count);
            self.most = self.most.max(count);
            sums.push(sums[x as usize] + count as u32);
        }
        self.kinds.push(sums.into());
    }

    /// Output pixels of an image.
    pub fn image_pixels(&self) -> u64 {
        self.width * self.height
    }

    /// Output pixels of a line.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// What the pieces of all following pixels of an image depend on: the kind of line, and the place in it; of a pixel
    /// in the interior.
    pub fn line_phase(&self, pixel: u64) -> (u64, u64) {
        let (image, rest) = (pixel / self.image_pixels(), pixel % self.image_pixels());
        let (kind, _) = self.line(image, rest / self.width);
        (kind.into(), rest % self.width)
    }

    /// What the pieces of all following images depend on: the image in the period, and the place in it.
    pub fn image_phase(&self, pixel: u64) -> (u64, u64) {
        let image = pixel / self.image_pixels();
        (image % self.period(), pixel % self.image_pixels())
    }

    fn period(&self) -> u64 {
        self.images.len() as u64 - 1
    }

    fn line(&self, image: u64, y: u64) -> (u32, u64) {
        self.lines[((image % self.period()) * self.height + y) as usize]
    }

    /// Pieces of the first `pixels` pixels of all images.
    pub fn before(&self, pixels: u64) -> u64 {
        let (image, rest) = (pixels / self.image_pixels(), pixels % self.image_pixels());
        let period = self.period();
        let all = (image / period) * self.images[period as usize];
        let images = all + self.images[(image % period) as usize];
        if rest == 0 {
            return images;
        }
        let (kind, lines) = self.line(image, rest / self.width);
        images + lines + u64::from(self.kinds[kind as usize][(rest % self.width) as usize])
    }

    /// The pieces of the pixels from `first` on, one by one.
    pub fn from(&self, first: u64) -> impl Iterator<Item = u64> {
        let (mut image, rest) = (first / self.image_pixels(), first % self.image_pixels());
        let (mut y, mut x) = (rest / self.width, (rest % self.width) as usize);
        let mut kind = &self.kinds[self.line(image, y).0 as usize];
        std::iter::from_fn(move || {
            if x as u64 == self.width {
                (x, y) = (0, y + 1);
                if y == self.height {
                    (y, image) = (0, image + 1);
                }
                kind = &self.kinds[self.line(image, y).0 as usize];
            }
            x += 1;
            Some(u64::from(kind[x] - kind[x - 1]))
        })
    }
}

/// After how many steps of `step` modulo `of` one comes round.
fn period_of(step: u64, of: u64) -> u64 {
    let (mut a, mut b) = (of, step % of);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    of / a
}

/// The lines of an image all of whose kernel lines lie inside.
fn interior(walk: &Walk, height: u64) -> Interior {
    let inside = |y: &u64| {
        let kind = walk.line_kind(*y as i64, 0);
        kind.before == 0 && kind.inside == walk.kernel_line_count()
    };
    let first = (0..height).find(inside).unwrap_or(height);
    let end = (first..height).find(|y| !inside(y)).unwrap_or(height);
    Interior { first, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_round() {
        assert_eq!(period_of(0, 8), 1);
        assert_eq!(period_of(6, 8), 4);
        assert_eq!(period_of(5, 8), 8);
        assert_eq!(period_of(3, 1), 1);
    }
}
