//! Convolutions and matrix products, accumulated in 64 bits and rounded once.

use super::shapes::{broadcast, check_size, from_vec};
use super::windows::{FeatureMaps, Line, Taps};
use super::{Problem, Tensor};
use crate::graph::Sweep;
use ndarray::{Array2, ArrayD, ArrayView2, Ix2, s};

/// Most numbers of one block of patches, unless one patch alone has more: a few megabytes.
const BLOCK_NUMBERS: usize = 1 << 19;

/// A convolution as products of the weights and blocks of patches (im2col).
pub fn convolution(
    x: &Tensor,
    weights: &Tensor,
    bias: Option<&Tensor>,
    sweep: &Sweep,
    groups: u32,
) -> Result<ArrayD<f32>, Problem> {
    let maps = FeatureMaps::new(x)?;
    let kernels = Kernels::new(x, weights, bias, sweep, groups)?;
    let (height, width) = maps.output(sweep)?;
    let shape = maps.result_shape(kernels.outputs, height, width);
    let mut numbers = vec![0.0; check_size(&shape)?];
    let (vertical, horizontal) = Line::both(sweep, &maps);
    let patches = Patches {
        maps: &maps,
        sweep,
        lines: (0..height).map(|oy| vertical.taps(oy)).collect(),
        pixels: (0..width).map(|ox| horizontal.taps(ox)).collect(),
    };
    let positions = height * width;
    let block = (BLOCK_NUMBERS / kernels.taps().max(1)).clamp(1, positions.max(1));
    for image in 0..maps.images {
        let start = image * kernels.outputs * positions;
        let image_numbers = &mut numbers[start..start + kernels.outputs * positions];
        for group in 0..kernels.groups {
            for first in (0..positions).step_by(block) {
                let range = first..positions.min(first + block);
                let columns = patches.columns(image, kernels.channels(group), range.clone());
                let sums = kernels.of_group(group).dot(&columns);
                for (row, output) in sums.rows().into_iter().zip(kernels.outputs_of(group)) {
                    let bias = kernels.bias[output];
                    let target = &mut image_numbers[output * positions..][range.clone()];
                    target
                        .iter_mut()
                        .zip(row)
                        .for_each(|(t, sum)| *t = (sum + bias) as f32);
                }
            }
        }
    }
    Ok(from_vec(&shape, numbers))
}

/// Weights of a convolution, one row for each output channel.
struct Kernels {
    rows: Array2<f64>,
    bias: Vec<f64>,
    outputs: usize,
    groups: usize,
    channels_of_group: usize,
}

impl Kernels {
    fn new(
        x: &Tensor,
        weights: &Tensor,
        bias: Option<&Tensor>,
        sweep: &Sweep,
        groups: u32,
    ) -> Result<Self, Problem> {
        let mismatch = |rule| Problem::Mismatch {
            what: "weights",
            shape: weights.shape().to_vec(),
            other: "its data",
            other_shape: x.shape().to_vec(),
            rule,
        };
        let (outputs, channels_of_group, kernel) = match *weights.shape() {
            [o, c, h, w] if x.ndim() == 4 => (o, c, (h, w)),
            [o, c, l] if x.ndim() == 3 => (o, c, (1, l)),
            _ => {
                return Err(mismatch(
                    "weights are [O, C / groups, kh, kw], or [O, C / groups, k] of data [N, C, L]",
                ));
            }
        };
        let groups = groups as usize;
        if groups == 0 || channels_of_group.checked_mul(groups) != Some(x.shape()[1]) {
            return Err(mismatch(
                "dimension 1 of the data is that of the weights times the groups",
            ));
        }
        if outputs % groups != 0 {
            return Err(mismatch(
                "dimension 0 of the weights is a multiple of the groups",
            ));
        }
        if kernel != (sweep.kernel.0 as usize, sweep.kernel.1 as usize) {
            return Err(mismatch(
                "the last dimensions of the weights are the kernel",
            ));
        }
        if let Some(bias) = bias.filter(|bias| bias.shape() != [outputs]) {
            return Err(Problem::Mismatch {
                what: "bias",
                shape: bias.shape().to_vec(),
                other: "its weights",
                other_shape: weights.shape().to_vec(),
                rule: "it holds one number for each output channel",
            });
        }
        let taps = channels_of_group * kernel.0 * kernel.1;
        Ok(Kernels {
            rows: matrix(weights.iter(), outputs, taps),
            bias: match bias {
                Some(bias) => bias.iter().copied().map(f64::from).collect(),
                None => vec![0.0; outputs],
            },
            outputs,
            groups,
            channels_of_group,
        })
    }

    fn taps(&self) -> usize {
        self.rows.ncols()
    }

    /// Input channels of a group.
    fn channels(&self, group: usize) -> std::ops::Range<usize> {
        group * self.channels_of_group..(group + 1) * self.channels_of_group
    }

    /// Output channels of a group.
    fn outputs_of(&self, group: usize) -> std::ops::Range<usize> {
        let size = self.outputs / self.groups;
        group * size..(group + 1) * size
    }

    fn of_group(&self, group: usize) -> ArrayView2<'_, f64> {
        self.rows.slice(s![self.outputs_of(group), ..])
    }
}

/// Where a kernel reads.
struct Patches<'a> {
    maps: &'a FeatureMaps<'a>,
    sweep: &'a Sweep,
    /// Taps of each output line.
    lines: Vec<Taps>,
    /// Taps of each output pixel of a line.
    pixels: Vec<Taps>,
}

impl Patches<'_> {
    /// One column for each output position, its elements in the order of the weights; padded taps are 0.
    fn columns(
        &self,
        image: usize,
        channels: std::ops::Range<usize>,
        positions: std::ops::Range<usize>,
    ) -> Array2<f64> {
        let (kh, kw) = (self.sweep.kernel.0 as usize, self.sweep.kernel.1 as usize);
        let mut columns = Array2::zeros((channels.len() * kh * kw, positions.len()));
        for (row, mut column) in columns.rows_mut().into_iter().enumerate() {
            let (channel, ky, kx) = (row / (kh * kw), row / kw % kh, row % kw);
            let plane = self.maps.plane(image, channels.start + channel);
            for (target, position) in column.iter_mut().zip(positions.clone()) {
                let (oy, ox) = (position / self.pixels.len(), position % self.pixels.len());
                let y = place(self.lines[oy], ky, self.sweep.dilation.0);
                let x = place(self.pixels[ox], kx, self.sweep.dilation.1);
                if let (Some(y), Some(x)) = (y, x) {
                    *target = f64::from(plane[y * self.maps.width + x]);
                }
            }
        }
        columns
    }
}

/// Where a tap of the kernel reads, if not in the padding.
fn place(taps: Taps, tap: usize, dilation: u32) -> Option<usize> {
    let index = tap.checked_sub(taps.first)?;
    (index < taps.count).then(|| taps.place + index * dilation as usize)
}

fn matrix<'a>(numbers: impl Iterator<Item = &'a f32>, rows: usize, columns: usize) -> Array2<f64> {
    let numbers: Vec<f64> = numbers.copied().map(f64::from).collect();
    Array2::from_shape_vec((rows, columns), numbers).expect("rows times columns numbers")
}

/// A general matrix product.
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f64,
    /// Factor of the addend.
    pub beta: f64,
    /// Whether A is transposed.
    pub transpose_a: bool,
    /// Whether B is transposed.
    pub transpose_b: bool,
}

impl Gemm {
    /// `alpha * A' * B' + beta * C`.
    pub fn apply(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: Option<&Tensor>,
    ) -> Result<ArrayD<f32>, Problem> {
        let (a, b) = (two(a, "A")?, two(b, "B")?);
        let a = if self.transpose_a {
            a.reversed_axes()
        } else {
            a
        };
        let b = if self.transpose_b {
            b.reversed_axes()
        } else {
            b
        };
        let mut sums = product(a.view(), b.view())?;
        sums.mapv_inplace(|sum| sum * self.alpha);
        if let Some(c) = c {
            let wide = c.mapv(f64::from);
            let addend = wide
                .broadcast(sums.raw_dim())
                .ok_or_else(|| Problem::Mismatch {
                    what: "C",
                    shape: c.shape().to_vec(),
                    other: "the product's shape",
                    other_shape: sums.shape().to_vec(),
                    rule: "it is broadcast to that shape",
                })?;
            sums.scaled_add(self.beta, &addend);
        }
        Ok(sums.mapv(|sum| sum as f32).into_dyn())
    }
}

fn two(operand: &Tensor, what: &'static str) -> Result<Array2<f64>, Problem> {
    let wide = operand.mapv(f64::from).into_owned();
    wide.into_dimensionality::<Ix2>()
        .map_err(|_| Problem::Rank {
            what,
            shape: operand.shape().to_vec(),
            expected: "two dimensions".to_owned(),
        })
}

fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>, Problem> {
    if a.ncols() != b.nrows() {
        return Err(Problem::Mismatch {
            what: "A",
            shape: a.shape().to_vec(),
            other: "its B",
            other_shape: b.shape().to_vec(),
            rule: "columns of A are rows of B",
        });
    }
    check_size(&[a.nrows(), b.ncols()])?;
    Ok(a.dot(&b))
}

/// NumPy's `matmul`: the last two dimensions are matrices, the others are broadcast; a vector is a row as A and a
/// column as B.
pub fn matrix_product(a: &Tensor, b: &Tensor) -> Result<ArrayD<f32>, Problem> {
    if a.ndim() == 0 || b.ndim() == 0 {
        let scalar = if a.ndim() == 0 { a } else { b };
        return Err(Problem::Rank {
            what: "operand",
            shape: scalar.shape().to_vec(),
            expected: "at least one dimension".to_owned(),
        });
    }
    let mut a_shape = a.shape().to_vec();
    let mut b_shape = b.shape().to_vec();
    let (is_row, is_column) = (a.ndim() == 1, b.ndim() == 1);
    if is_row {
        a_shape.insert(0, 1);
    }
    if is_column {
        b_shape.push(1);
    }
    let (a_batch, a_matrix) = a_shape.split_at(a_shape.len() - 2);
    let (b_batch, b_matrix) = b_shape.split_at(b_shape.len() - 2);
    let batch = broadcast(a_batch, b_batch).filter(|_| a_matrix[1] == b_matrix[0]);
    let batch = batch.ok_or_else(|| Problem::Mismatch {
        what: "A",
        shape: a.shape().to_vec(),
        other: "its B",
        other_shape: b.shape().to_vec(),
        rule: "the last dimension of A is the last but one of B, those before are broadcast",
    })?;
    let mut shape = [batch.as_slice(), &[a_matrix[0], b_matrix[1]]].concat();
    let mut numbers = Vec::with_capacity(check_size(&shape)?);
    let a = Matrices::new(a, &a_shape);
    let b = Matrices::new(b, &b_shape);
    for index in 0..batch.iter().product() {
        let sums = a.at(index, &batch).dot(&b.at(index, &batch));
        numbers.extend(sums.iter().map(|sum| *sum as f32));
    }
    if is_column {
        shape.pop();
    }
    if is_row {
        shape.remove(shape.len() - 1 - usize::from(!is_column));
    }
    Ok(from_vec(&shape, numbers))
}

/// An operand of [`matrix_product`]: matrices in the order of its leading dimensions.
struct Matrices {
    numbers: Vec<f64>,
    batch: Vec<usize>,
    rows: usize,
    columns: usize,
}

impl Matrices {
    fn new(operand: &Tensor, shape: &[usize]) -> Self {
        let (batch, matrix) = shape.split_at(shape.len() - 2);
        Matrices {
            numbers: operand.iter().copied().map(f64::from).collect(),
            batch: batch.to_vec(),
            rows: matrix[0],
            columns: matrix[1],
        }
    }

    /// The matrix at a flat index of the broadcast leading dimensions.
    fn at(&self, index: usize, batch: &[usize]) -> ArrayView2<'_, f64> {
        let missing = batch.len() - self.batch.len();
        let (mut rest, mut own, mut stride) = (index, 0, 1);
        for (axis, size) in batch.iter().enumerate().rev() {
            let position = rest % size;
            rest /= size;
            let own_size = axis.checked_sub(missing).map_or(1, |axis| self.batch[axis]);
            own += if own_size == 1 { 0 } else { position * stride };
            stride *= own_size;
        }
        let size = self.rows * self.columns;
        let numbers = &self.numbers[own * size..(own + 1) * size];
        ArrayView2::from_shape((self.rows, self.columns), numbers)
            .expect("as many numbers as a matrix has")
    }
}
