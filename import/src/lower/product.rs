//! Convolutions and matrix products.

use super::Lowering;
use super::chain::{Lattice, Step, gcd};
use super::error::{Found, refuse, require};
use super::number::{Numbers, Rational, at, exact, integer, round, to_f32, whole, zip};
use super::value::{
    Axis, Border, Chain, Codes, Feature, Grid, Layout, Product, Source, distance, length,
};
use super::weights::{encoded, operand};
use crate::graph::{Node, Op, Round, Sweep};
use num_traits::{One, Zero};
use xnorforge_sim::gemm::Operand;
use xnorforge_sim::network::{Convolution, Operation, Pad, Padding, SIZE_MAX, Shape, Window};

/// Largest magnitude of an integer bias.
const BIAS_MAX: i64 = 1 << 40;

/// The window of a sweep.
pub(super) fn window(sweep: &Sweep) -> Window {
    let [top, left, bottom, right] = sweep.pads;
    Window {
        kernel: sweep.kernel,
        stride: sweep.stride,
        dilation: sweep.dilation,
        padding: Padding {
            top,
            left,
            bottom,
            right,
        },
    }
}

/// A window with a border taken in.
pub(super) fn widened(mut window: Window, border: Option<&Border>) -> Window {
    if let Some(border) = border {
        let [top, left, bottom, right] = border.pads;
        let padding = &mut window.padding;
        padding.top = padding.top.saturating_add(top);
        padding.left = padding.left.saturating_add(left);
        padding.bottom = padding.bottom.saturating_add(bottom);
        padding.right = padding.right.saturating_add(right);
    }
    window
}

/// The shape that a window makes of another, with so many channels.
pub(super) fn swept(window: &Window, shape: Shape, channels: u32) -> Found<Shape> {
    // Strides of 0 and empty kernels are refused here as well.
    match window.output(shape) {
        Some((height, width)) => Ok(Shape::new(height, width, channels)),
        None => refuse(
            "kernel_shape",
            format!(
                "a kernel of {:?} does not fit the padded input of {shape}",
                window.kernel
            ),
            "pad more or choose a smaller kernel",
        ),
    }
}

/// The layout of what a window gives, in the same order of dimensions.
pub(super) fn images_layout(rank: usize, shape: Shape) -> Found<Layout> {
    match Layout::channels_first(rank, shape) {
        Some(layout) => Ok(layout),
        None => refuse(
            "x",
            format!("it has {rank} dimensions"),
            "give it 3 or 4, batch and channels first",
        ),
    }
}

/// Checks that dimensions are batch, channels, (height,) width.
pub(super) fn expect_images(feature: &Feature, rank_min: usize) -> Found<usize> {
    let rank = feature.layout.0.len();
    let is_legal = rank >= rank_min
        && Layout::channels_first(rank, feature.shape).as_ref() == Some(&feature.layout)
        && (rank != 3 || feature.shape.height == 1)
        && (rank != 2 || feature.shape.height * feature.shape.width == 1);
    require(
        is_legal,
        "x",
        || "its dimensions are not batch, channels, height, width".to_owned(),
        "transpose to channels first in front of it",
    )?;
    Ok(rank)
}

impl Lowering<'_> {
    pub(super) fn convolution(
        &mut self,
        index: usize,
        node: &Node,
        sweep: &Sweep,
        groups: u32,
    ) -> Found<Feature> {
        let (feature, codes) = self.codes(index, node, 0)?;
        let rank = expect_images(&feature, 3)?;
        let weights = self.weights_of(node, 1)?;
        let shape = weights.integers.shape().to_vec();
        let (values, scale) = operand(&weights, 0)?;
        let groups_max = feature.shape.channels;
        let (kh, kw) = (sweep.kernel.0 as usize, sweep.kernel.1 as usize);
        require(
            groups >= 1 && groups_max.is_multiple_of(groups) && shape.len() >= 2,
            "group",
            || format!("{groups} groups of {groups_max} channels, weights of shape {shape:?}"),
            "choose a divisor of the channels",
        )?;
        require(
            kh.max(kw) <= SIZE_MAX as usize,
            "kernel_shape",
            || format!("a kernel of {:?} is larger than {SIZE_MAX}", sweep.kernel),
            "choose a smaller kernel",
        )?;
        let taps = (groups_max / groups) as usize * kh * kw;
        let outputs = shape[0];
        require(
            values.len() == outputs * taps && (outputs as u32).is_multiple_of(groups),
            "W",
            || {
                format!(
                    "it has shape {shape:?} where {groups} groups of {groups_max} channels meet a kernel of {:?}",
                    sweep.kernel
                )
            },
            "give [outputs, inputs / groups, kernel height, kernel width]",
        )?;
        let weights = encoded(values, outputs, taps)?;
        let bias = self.optional(node, 2, outputs as u32)?;
        let window = widened(window(sweep), feature.border.as_ref());
        let own = feature.border.is_some() && sweep.pads != [0; 4];
        let convolution = Convolution {
            window,
            groups,
            weights,
            bias: None,
            pad: self.padded(&feature, codes, &window, own)?,
        };
        let shape = swept(&convolution.window, feature.shape, outputs as u32)?;
        let layout = images_layout(rank, shape)?;
        let product = Multiplied {
            convolution,
            scale,
            bias,
            shape,
            layout,
        };
        self.multiplied(index, &feature, codes, product)
    }

    /// A list for each output channel, if the input is there.
    fn optional(&self, node: &Node, input: usize, channels: u32) -> Found<Option<Numbers>> {
        if node.inputs.get(input).is_none_or(String::is_empty) {
            return Ok(None);
        }
        self.channel_list(node, input, "bias", channels).map(Some)
    }

    /// What padded taps hold: zero where the real zero is the number 0 or has no code at all.
    fn padded(&self, feature: &Feature, codes: Codes, window: &Window, own: bool) -> Found<Pad> {
        let Some(grid) = &feature.grid else {
            return Ok(Pad::Zero);
        };
        if window.padding == Padding::default() {
            return Ok(Pad::Zero);
        }
        let zero = Rational::zero();
        let value = feature
            .border
            .as_ref()
            .map_or(&zero, |border| &border.value);
        require(
            !own || value.is_zero(),
            "pads",
            || "both the layer and the Pad in front of it pad, with other numbers".to_owned(),
            "pad once",
        )?;
        if value.is_zero() && grid.offset.iter().all(Zero::is_zero) {
            return Ok(Pad::Zero);
        }
        // A number of the padding is the one whose 32-bit float it is, as the file's own dequantization gives it.
        let number = |c: usize| {
            let near = value / at(&grid.scale, c) - at(&grid.offset, c);
            let near = round(&near, Round::HalfEven, -256, 256);
            let real = grid.real(c, near);
            (real == *value || to_f32(&real) == to_f32(value)).then_some(near)
        };
        let first = number(0);
        let is_same = (0..grid.channels()).all(|c| number(c) == first);
        let precision = codes.precision;
        match first.filter(|n| is_same && precision.encoding.contains(precision.bits, *n)) {
            Some(number) => Ok(Pad::Number(number)),
            None => refuse(
                "pads",
                format!(
                    "the padding's number is no code of the input (`{}` of {} bits)",
                    precision.encoding, precision.bits
                ),
                "choose a zero point that is an integer in the range, or pad with 0",
            ),
        }
    }

    /// A matrix product by constants.
    pub(super) fn dense(&mut self, index: usize, node: &Node) -> Found<Feature> {
        require(
            self.is_feature(node, 0) && !self.is_feature(node, 1),
            "inputs",
            || "it multiplies other things than an activation by constant weights".to_owned(),
            "put the activation first and the weights second",
        )?;
        let (alpha, beta, is_transposed) = match &node.op {
            Op::Gemm {
                alpha,
                beta,
                transpose_a,
                transpose_b,
            } => {
                require(
                    !transpose_a,
                    "transA",
                    || "the batch becomes the columns".to_owned(),
                    "give the activation as [batch, features]",
                )?;
                (*alpha, *beta, *transpose_b)
            }
            _ => (1.0, 1.0, false),
        };
        let (feature, codes) = self.codes(index, node, 0)?;
        if feature.border.is_some() {
            return self.border_refused(&feature);
        }
        let weights = self.weights_of(node, 1)?;
        let shape = weights.integers.shape().to_vec();
        let rank = feature.layout.0.len();
        let held = feature.layout.0[rank - 1].clone();
        let inner: usize = held.iter().map(|a| length(*a, feature.shape)).product();
        let axis = usize::from(!is_transposed);
        require(
            shape.len() == 2 && shape[1 - axis] == inner && rank >= 2,
            "B",
            || format!("weights of shape {shape:?} meet {inner} features"),
            "give [features, outputs] (or the reverse with transB)",
        )?;
        let outputs = shape[axis];
        let (values, scale) = operand(&weights, axis)?;
        let (convolution, shape) = dense_window(&feature, &held, values, outputs)?;
        let mut layout = feature.layout.clone();
        layout.0[rank - 1] = Layout::new(&[Axis::Channel], shape).0.remove(0);
        let factor = |v: f32| {
            exact(v).map_or_else(
                || {
                    refuse(
                        "alpha",
                        format!("{v} is not finite"),
                        "give a finite factor",
                    )
                },
                Ok,
            )
        };
        let (alpha, beta) = (factor(alpha)?, factor(beta)?);
        let bias = self
            .optional(node, 2, outputs as u32)?
            .map(|bias| scaled(bias, &beta));
        require(
            !alpha.is_zero(),
            "alpha",
            || "it is 0".to_owned(),
            "give another factor",
        )?;
        let product = Multiplied {
            convolution,
            scale: scale.iter().map(|s| s * &alpha).collect(),
            bias,
            shape,
            layout,
        };
        self.multiplied(index, &feature, codes, product)
    }

    /// A chain that begins with a product.
    fn multiplied(
        &mut self,
        index: usize,
        feature: &Feature,
        codes: Codes,
        product: Multiplied,
    ) -> Found<Feature> {
        let Some(grid) = &feature.grid else {
            return self.border_refused(feature);
        };
        let Multiplied {
            mut convolution,
            scale,
            bias,
            shape,
            layout,
        } = product;
        let per_group = feature.shape.channels / convolution.groups;
        let scales = input_scale(grid, &convolution, per_group)?;
        let unit = zip(&scale, &scales.0, |w, x| w * x);
        // The real x is scale * (number + offset): the offset's part is constant.
        let constant: Vec<Rational> = (0..convolution.outputs() as usize)
            .map(|o| {
                let sum: i64 = convolution
                    .weights
                    .vector(o)
                    .iter()
                    .map(|w| i64::from(*w))
                    .sum();
                whole(sum) * at(&scales.1, o)
            })
            .collect();
        let mut integers: Vec<Option<i64>> = vec![Some(0); constant.len()];
        let mut rest = constant;
        if let Some(bias) = &bias {
            rest = (0..rest.len())
                .map(|o| &rest[o] + bias.at(o) / at(&unit, o))
                .collect();
        }
        for (found, addend) in integers.iter_mut().zip(&rest) {
            *found = integer(addend).filter(|b| b.abs() <= BIAS_MAX);
        }
        let mut steps = vec![Step::Multiply(Numbers::of_rationals(unit.clone()))];
        // Whole biases are added to the accumulators; otherwise all are added behind them.
        match integers.into_iter().collect::<Option<Vec<i64>>>() {
            Some(all) if all.iter().all(|b| *b == 0) => {}
            Some(all) => convolution.bias = Some(all),
            None => {
                let reals = (0..rest.len()).map(|o| &rest[o] * at(&unit, o)).collect();
                steps.push(Step::Add(Numbers::of_rationals(reals)));
            }
        }
        let lattices = lattices(&convolution, grid, distance(codes.precision));
        let product = Product {
            node: index,
            input: codes.tensor,
            operation: Operation::Convolution(convolution),
            shape,
            identity: None,
        };
        Ok(Feature {
            shape,
            layout,
            source: Source::Chain(Box::new(Chain::new(product, lattices, steps))),
            grid: None,
            border: None,
        })
    }
}

/// A product before its chain begins.
struct Multiplied {
    convolution: Convolution,
    /// Of the weights.
    scale: Vec<Rational>,
    bias: Option<Numbers>,
    shape: Shape,
    layout: Layout,
}

fn scaled(bias: Numbers, factor: &Rational) -> Numbers {
    if factor.is_one() {
        return bias;
    }
    Numbers::of_rationals(bias.exact.iter().map(|v| v * factor).collect())
}

/// A product as a convolution: over a whole feature map, or over each pixel's channels.
fn dense_window(
    feature: &Feature,
    held: &[Axis],
    values: Vec<i32>,
    outputs: usize,
) -> Found<(Convolution, Shape)> {
    let shape = feature.shape;
    let inner = values.len() / outputs.max(1);
    let is_whole = inner == shape.len();
    let is_pixel = inner == shape.channels as usize && !held.iter().any(|a| *a != Axis::Channel);
    require(
        is_whole || is_pixel,
        "A",
        || "its last dimension holds neither a whole feature map nor the channels".to_owned(),
        "flatten it, or put the channels last",
    )?;
    let values = if is_whole {
        reordered(&values, held, shape)
    } else {
        values
    };
    let weights: Operand = encoded(values, outputs, inner)?;
    let mut convolution = Convolution::dense(shape, weights);
    if !is_whole {
        convolution.window = Window::square(1, 1, 0);
    }
    let (height, width) = if is_whole {
        (1, 1)
    } else {
        (shape.height, shape.width)
    };
    Ok((convolution, Shape::new(height, width, outputs as u32)))
}

/// Vectors of weights in the order channel, line, pixel, from the order of the flattened dimension.
fn reordered(values: &[i32], held: &[Axis], shape: Shape) -> Vec<i32> {
    let stride = |axis: Axis| {
        let place = held.iter().position(|a| *a == axis);
        place.map_or(0, |p| {
            held[p + 1..].iter().map(|a| length(*a, shape)).product()
        })
    };
    let strides = [Axis::Channel, Axis::Height, Axis::Width].map(stride);
    let mut result = Vec::with_capacity(values.len());
    for vector in values.chunks(shape.len()) {
        for c in 0..shape.channels as usize {
            for y in 0..shape.height as usize {
                for x in 0..shape.width as usize {
                    result.push(vector[c * strides[0] + y * strides[1] + x * strides[2]]);
                }
            }
        }
    }
    result
}

/// Scale and offset of what each output channel reads: one, or one for each where channels stay apart.
fn input_scale(
    grid: &Grid,
    convolution: &Convolution,
    per_group: u32,
) -> Found<(Vec<Rational>, Vec<Rational>)> {
    let outputs = convolution.outputs() as usize;
    let is_one = |list: &[Rational]| list.iter().all(|v| *v == list[0]);
    if is_one(&grid.scale) && is_one(&grid.offset) {
        return Ok((grid.scale[..1].to_vec(), grid.offset[..1].to_vec()));
    }
    let outputs_per_group = outputs / convolution.groups as usize;
    let mut lists = (Vec::new(), Vec::new());
    for output in 0..outputs {
        let first = output / outputs_per_group * per_group as usize;
        let group = first..first + per_group as usize;
        let is_alike = |list: &[Rational]| group.clone().all(|c| at(list, c) == at(list, first));
        require(
            is_alike(&grid.scale) && is_alike(&grid.offset),
            "x",
            || "the scale of the activations differs between channels that are summed".to_owned(),
            "quantize activations with one scale; scales per channel suit weights",
        )?;
        lists.0.push(at(&grid.scale, first).clone());
        lists.1.push(at(&grid.offset, first).clone());
    }
    Ok(lists)
}

/// The accumulators that each output channel can have.
fn lattices(convolution: &Convolution, grid: &Grid, distance: i64) -> Vec<Lattice> {
    let (mut low, mut high, mut step) = (grid.low, grid.high, distance);
    if let Pad::Number(number) = convolution.pad {
        step = gcd(step, number - low);
        (low, high) = (low.min(number), high.max(number));
    }
    let is_padded =
        convolution.window.padding != Padding::default() && convolution.pad == Pad::Zero;
    let channel = |output: usize| {
        let bias = convolution.bias.as_ref().map_or(0, |bias| bias[output]);
        let (mut least, mut greatest, mut apart) = (bias, bias, 0);
        for weight in convolution.weights.vector(output) {
            let weight = i64::from(*weight);
            let (mut first, mut last) = (weight * low, weight * high);
            if first > last {
                (first, last) = (last, first);
            }
            apart = gcd(apart, weight * step);
            if is_padded {
                apart = gcd(apart, weight * low);
                (first, last) = (first.min(0), last.max(0));
            }
            least += first;
            greatest += last;
        }
        Lattice::new(least, greatest, apart)
    };
    (0..convolution.outputs() as usize).map(channel).collect()
}
