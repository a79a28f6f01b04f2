//! Pools, and how a kernel moves over a feature map.

use super::shapes::{check_size, from_vec};
use super::{Problem, Tensor};
use crate::graph::Sweep;
use ndarray::ArrayD;

/// Data of a two-dimensional operation; one-dimensional ones have one line.
pub struct FeatureMaps<'a> {
    /// Numbers in C order.
    pub numbers: &'a [f32],
    /// Images.
    pub images: usize,
    /// Channels.
    pub channels: usize,
    /// Lines.
    pub height: usize,
    /// Pixels of a line.
    pub width: usize,
    /// Whether the data have a dimension for lines.
    has_lines: bool,
}

impl<'a> FeatureMaps<'a> {
    /// Data `[N, C, H, W]` or `[N, C, L]`.
    pub fn new(x: &'a Tensor) -> Result<Self, Problem> {
        let rank = || Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: "[N, C, H, W] or [N, C, L]".to_owned(),
        };
        let (images, channels, height, width) = match *x.shape() {
            [n, c, h, w] => (n, c, h, w),
            [n, c, l] => (n, c, 1, l),
            _ => return Err(rank()),
        };
        Ok(FeatureMaps {
            numbers: x.as_slice().ok_or_else(rank)?,
            images,
            channels,
            height,
            width,
            has_lines: x.ndim() == 4,
        })
    }

    /// One channel of one image.
    pub fn plane(&self, image: usize, channel: usize) -> &'a [f32] {
        let size = self.height * self.width;
        let start = (image * self.channels + channel) * size;
        &self.numbers[start..start + size]
    }

    /// Shape of a result with this many channels, lines and pixels.
    pub fn result_shape(&self, channels: usize, height: usize, width: usize) -> Vec<usize> {
        if self.has_lines {
            vec![self.images, channels, height, width]
        } else {
            vec![self.images, channels, width]
        }
    }

    /// Lines and pixels of what a sweep gives.
    pub fn output(&self, sweep: &Sweep) -> Result<(usize, usize), Problem> {
        let [top, left, bottom, right] = sweep.pads;
        let size = |input: usize, pads: u32, kernel: u32, stride: u32, dilation: u32| {
            let extent = u64::from(dilation) * u64::from(kernel.checked_sub(1)?) + 1;
            let room = (input as u64 + u64::from(pads)).checked_sub(extent)?;
            (dilation > 0).then_some(())?;
            usize::try_from(room.checked_div(stride.into())? + 1).ok()
        };
        let (kernel, stride, dilation) = (sweep.kernel, sweep.stride, sweep.dilation);
        let lines = top
            .checked_add(bottom)
            .and_then(|pads| size(self.height, pads, kernel.0, stride.0, dilation.0));
        let pixels = left
            .checked_add(right)
            .and_then(|pads| size(self.width, pads, kernel.1, stride.1, dilation.1));
        lines.zip(pixels).ok_or(Problem::Window {
            kernel,
            stride,
            dilation,
            size: (self.height, self.width),
            pads: sweep.pads,
        })
    }
}

/// The taps of one output in one direction that are not in the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// The first one's number in the kernel.
    pub first: usize,
    /// Its place in the input.
    pub place: usize,
    /// How many.
    pub count: usize,
}

/// A kernel in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    kernel: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    size: usize,
}

impl Line {
    /// A sweep over `maps`, from top to bottom and from left to right.
    pub fn both(sweep: &Sweep, maps: &FeatureMaps<'_>) -> (Line, Line) {
        let [top, left, ..] = sweep.pads;
        let line = |kernel, stride, dilation, pad, size| Line {
            kernel,
            stride,
            dilation,
            pad,
            size,
        };
        let (kernel, stride, dilation) = (sweep.kernel, sweep.stride, sweep.dilation);
        (
            line(kernel.0, stride.0, dilation.0, top, maps.height),
            line(kernel.1, stride.1, dilation.1, left, maps.width),
        )
    }

    /// The taps of an output. They are neighbours in the kernel: the padding is before and behind the input.
    pub fn taps(&self, output: usize) -> Taps {
        let (dilation, pad) = (u64::from(self.dilation), u64::from(self.pad));
        let start = output as u64 * u64::from(self.stride);
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let place = start + first * dilation - pad;
        let room = (self.size as u64).saturating_sub(place).div_ceil(dilation);
        let count = room.min(u64::from(self.kernel).saturating_sub(first));
        Taps {
            first: first as usize,
            place: place as usize,
            count: count as usize,
        }
    }
}

/// Reduces each window's numbers, without padded taps, to one.
fn pool(
    x: &Tensor,
    sweep: &Sweep,
    reduce: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Result<ArrayD<f32>, Problem> {
    let maps = FeatureMaps::new(x)?;
    let (height, width) = maps.output(sweep)?;
    let shape = maps.result_shape(maps.channels, height, width);
    let mut numbers = Vec::with_capacity(check_size(&shape)?);
    let (vertical, horizontal) = Line::both(sweep, &maps);
    let (down, right) = (sweep.dilation.0 as usize, sweep.dilation.1 as usize);
    let pixels: Vec<Taps> = (0..width).map(|ox| horizontal.taps(ox)).collect();
    for index in 0..maps.images * maps.channels {
        let plane = maps.plane(index / maps.channels, index % maps.channels);
        for lines in (0..height).map(|oy| vertical.taps(oy)) {
            for pixels in &pixels {
                let mut window = (0..lines.count).flat_map(|i| {
                    let start = (lines.place + i * down) * maps.width + pixels.place;
                    (0..pixels.count).map(move |j| plane[start + j * right])
                });
                numbers.push(reduce(&mut window));
            }
        }
    }
    Ok(from_vec(&shape, numbers))
}

/// A window that is all padding gives the least float, as ONNX Runtime does.
pub fn max_pool(x: &Tensor, sweep: &Sweep) -> Result<ArrayD<f32>, Problem> {
    pool(x, sweep, |window| {
        window.fold(f32::MIN, |largest, v| if v > largest { v } else { largest })
    })
}

/// Sums in 64 bits; a window that is all padding gives 0.
pub fn average_pool(
    x: &Tensor,
    sweep: &Sweep,
    count_include_pad: bool,
) -> Result<ArrayD<f32>, Problem> {
    let taps = u64::from(sweep.kernel.0) * u64::from(sweep.kernel.1);
    pool(x, sweep, |window| {
        let (sum, count) = window.fold((0.0, 0u64), |(sum, count), v| {
            (sum + f64::from(v), count + 1)
        });
        let divisor = if count_include_pad { taps } else { count };
        (sum / divisor.max(1) as f64) as f32
    })
}

pub fn global_average_pool(x: &Tensor) -> Result<ArrayD<f32>, Problem> {
    let maps = FeatureMaps::new(x)?;
    let size = maps.height * maps.width;
    if size == 0 {
        return Err(Problem::Rank {
            what: "data",
            shape: x.shape().to_vec(),
            expected: "feature maps of at least one pixel".to_owned(),
        });
    }
    let mean = |plane: &[f32]| {
        let sum: f64 = plane.iter().copied().map(f64::from).sum();
        (sum / size as f64) as f32
    };
    let numbers = maps.numbers.chunks_exact(size).map(mean).collect();
    Ok(from_vec(&maps.result_shape(maps.channels, 1, 1), numbers))
}
