//! Patches of a feature map as bit-planes: each pixel is packed once, and a patch is put together from its bits.

use super::{Shape, Tensor, Window};
use crate::gemm::Precision;
use crate::multiply::PAIRED;
use crate::packed::{BitPlanes, Padding, StoredForm};
use rayon::prelude::*;
use std::ops::Range;

/// Pixels that one thread packs at a time.
const PIXELS: usize = 256;

/// The patches that one product of a convolution reads, some channels of the input.
pub(super) struct Patches<'a> {
    window: &'a Window,
    images: Shape,
    shape: Shape,
    form: StoredForm,
    channels: usize,
    /// Bits of all pixels, [`PIXELS`] in each part, one chunk for all channels.
    parts: Vec<BitPlanes>,
    /// Bits of a pixel outside of the feature map.
    outside: BitPlanes,
}

impl<'a> Patches<'a> {
    /// Packs `channels` of all pixels. `shape` is that of the output, `pad` what taps outside of the feature map hold.
    pub fn pack(
        input: &Tensor,
        precision: Precision,
        channels: Range<usize>,
        window: &'a Window,
        shape: Shape,
        pad: i32,
    ) -> Self {
        let form = StoredForm::native(precision);
        let count = channels.len();
        let lanes = count.next_multiple_of(64);
        let pack =
            |values: &[i32]| BitPlanes::pack_values(values, count, &form, lanes, Padding::Zeros);
        let pixels = input.shape.channels as usize;
        let parts = input.values.par_chunks(PIXELS * pixels).map(|part| {
            let mut values = Vec::with_capacity(part.len() / pixels * count);
            for pixel in part.chunks_exact(pixels) {
                values.extend(pixel[channels.clone()].iter().map(|v| *v as i32));
            }
            pack(&values)
        });
        Patches {
            window,
            images: input.shape,
            shape,
            channels: count,
            parts: parts.collect(),
            outside: pack(&vec![pad; count]),
            form,
        }
    }

    /// The patches of some neighbouring output pixels: kernel line, tap, channel.
    pub fn rows(&self, rows: Range<usize>) -> BitPlanes {
        let (kh, kw) = self.window.kernel;
        let elements = (kh * kw) as usize * self.channels;
        let mut patches = BitPlanes::empty(rows.len(), elements, &self.form, PAIRED);
        for (vector, row) in rows.enumerate() {
            let (image, y, x) = self.place(row);
            let taps = (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx)));
            for (tap, (ky, kx)) in taps.enumerate() {
                let (line, pixel) = (self.window.line(y, ky), self.window.pixel(x, kx));
                let (planes, index) = self.pixel(image, line, pixel);
                for plane in 0..planes.planes() {
                    let to = patches.plane_mut(vector, plane);
                    put_bits(to, tap * self.channels, planes.plane(index, plane));
                }
            }
        }
        patches
    }

    /// Image, line and pixel of a row.
    fn place(&self, row: usize) -> (usize, u32, u32) {
        let (height, width) = (self.shape.height as usize, self.shape.width as usize);
        let (line, x) = (row / width, row % width);
        (line / height, (line % height) as u32, x as u32)
    }

    /// Where the bits of a pixel of the input are.
    fn pixel(&self, image: usize, y: i64, x: i64) -> (&BitPlanes, usize) {
        let (height, width) = (i64::from(self.images.height), i64::from(self.images.width));
        if !(0..height).contains(&y) || !(0..width).contains(&x) {
            return (&self.outside, 0);
        }
        let index = (image * height as usize + y as usize) * width as usize + x as usize;
        (&self.parts[index / PIXELS], index % PIXELS)
    }
}

/// Puts bits at bit `at` of words that are 0 there; bits past the last one are 0.
#[inline]
fn put_bits(words: &mut [u64], at: usize, bits: &[u64]) {
    let (first, shift) = (at / 64, at % 64);
    if shift == 0 {
        words[first..first + bits.len()].copy_from_slice(bits);
        return;
    }
    for (i, bits) in bits.iter().enumerate() {
        words[first + i] |= bits << shift;
        let rest = bits >> (64 - shift);
        if rest != 0 {
            words[first + i + 1] |= rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_put_anywhere() {
        for count in [1usize, 3, 63, 64, 65, 100, 128] {
            let bit = |i: usize| (i * i + i / 3) % 5 < 2;
            let mut bits = vec![0u64; count.div_ceil(64)];
            for i in (0..count).filter(|i| bit(*i)) {
                bits[i / 64] |= 1 << (i % 64);
            }
            let mut words = vec![0; (5 * count).div_ceil(64)];
            for piece in 0..5 {
                put_bits(&mut words, piece * count, &bits);
            }
            for i in 0..words.len() * 64 {
                let expected = i < 5 * count && bit(i % count);
                assert_eq!(
                    words[i / 64] >> (i % 64) & 1 == 1,
                    expected,
                    "{count} bits, {i}"
                );
            }
        }
    }
}
