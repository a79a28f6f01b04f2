//! Convolution and pooling. One-dimensional ones become two-dimensional ones of one line.

use super::call::Call;
use super::error::{Fault, Name};
use crate::graph::{Op, Sweep};

/// Dimensions of data `[N, C, ...]` with one or two of space, as `[N, C, H, W]`.
struct Map {
    tensor: String,
    shape: [usize; 4],
    is_line: bool,
}

/// Input 0 as a feature map.
fn map(call: &mut Call) -> Result<Map, Fault> {
    let x = call.needed(0, "data")?;
    match *call.shape(x) {
        ref shape if shape.contains(&0) => {
            let problem = format!("dimensions {shape:?} hold no number");
            Err(call.wrong(0, "data", problem, "choose a larger input"))
        }
        [n, c, h, w] => Ok(Map {
            tensor: x.to_owned(),
            shape: [n, c, h, w],
            is_line: false,
        }),
        [n, c, l] => {
            let tensor = call.reshaped(x, vec![n, c, 1, l])?;
            Ok(Map {
                tensor,
                shape: [n, c, 1, l],
                is_line: true,
            })
        }
        ref shape => {
            let problem = format!("dimensions {shape:?}, but [N, C, H, W] or [N, C, L] is needed");
            Err(call.wrong(0, "data", problem, "use one or two dimensions of space"))
        }
    }
}

/// Adds the node; a line gets its dimensions back.
fn emit(
    call: &mut Call,
    op: Op,
    inputs: &[&str],
    is_line: bool,
    shape: [usize; 4],
) -> Result<(), Fault> {
    if is_line {
        emit_reshaped(call, op, inputs, shape, vec![shape[0], shape[1], shape[3]])
    } else {
        call.emit(op, inputs, shape.to_vec())
    }
}

/// Adds the node, and one that gives its result other dimensions.
fn emit_reshaped(
    call: &mut Call,
    op: Op,
    inputs: &[&str],
    shape: [usize; 4],
    target: Vec<usize>,
) -> Result<(), Fault> {
    let (output, element) = (call.output()?, call.element(inputs[0]));
    let plane = call.fresh_tensor(&format!("{output}/plane"));
    call.emit_as(op, inputs, &plane, shape.to_vec(), element)?;
    let node = format!("{}/reshape", call.name);
    let op = Op::Reshape {
        shape: target.clone(),
    };
    call.emit_named(&node, op, &[&plane], output, target, element)
}

/// An attribute with one number for each dimension of space, as height and width.
fn pair(
    call: &Call,
    name: &'static str,
    is_line: bool,
    least: u32,
) -> Result<Option<(u32, u32)>, Fault> {
    let Some(values) = call.attributes.ints(name)? else {
        return Ok(None);
    };
    let number = |value: i64| number(name, value, least);
    match (values, is_line) {
        (&[w], true) => Ok(Some((least.max(1), number(w)?))),
        (&[h, w], false) => Ok(Some((number(h)?, number(w)?))),
        _ => {
            let problem = format!(
                "{} given, {} needed",
                values.len(),
                if is_line { 1 } else { 2 }
            );
            Err(Fault::new(
                name,
                problem,
                "give one for each dimension of space",
            ))
        }
    }
}

fn number(name: &'static str, value: i64, least: u32) -> Result<u32, Fault> {
    let number = u32::try_from(value).ok().filter(|&number| number >= least);
    number.ok_or_else(|| {
        let problem = format!("{value} is out of range: {least}..={}", u32::MAX);
        Fault::new(name, problem, "choose a value in that range")
    })
}

/// Padding as the file gives it.
enum Padding {
    Explicit([u32; 4]),
    SameUpper,
    SameLower,
}

fn padding(call: &Call, is_line: bool) -> Result<Padding, Fault> {
    let amount = |value: i64| number("pads", value, 0);
    let pads = match (call.attributes.ints("pads")?, is_line) {
        (None, _) => None,
        (Some(&[l, r]), true) => Some([0, amount(l)?, 0, amount(r)?]),
        (Some(&[t, l, b, r]), false) => Some([amount(t)?, amount(l)?, amount(b)?, amount(r)?]),
        (Some(pads), _) => {
            let needed = if is_line { 2 } else { 4 };
            let problem = format!("{} given, {needed} needed", pads.len());
            return Err(Fault::new(
                "pads",
                problem,
                "give the numbers before, then those after",
            ));
        }
    };
    let auto = call.attributes.string("auto_pad")?.unwrap_or("NOTSET");
    let is_explicit = matches!(auto, "NOTSET" | "");
    if !is_explicit && pads.is_some_and(|pads| pads != [0; 4]) {
        let problem = format!("`{}` beside pads", Name::new(auto));
        return Err(Fault::new("auto_pad", problem, "give one of the two"));
    }
    match auto {
        "NOTSET" | "" => Ok(Padding::Explicit(pads.unwrap_or_default())),
        "VALID" => Ok(Padding::Explicit([0; 4])),
        "SAME_UPPER" => Ok(Padding::SameUpper),
        "SAME_LOWER" => Ok(Padding::SameLower),
        other => {
            let problem = format!("`{}` is unknown", Name::new(other));
            Err(Fault::new(
                "auto_pad",
                problem,
                "use NOTSET, VALID, SAME_UPPER or SAME_LOWER",
            ))
        }
    }
}

/// Where the last window of a dimension may begin.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// It lies in the padded input.
    Inside,
    /// It begins in the padded input and may leave it; the padding is made as large as that takes.
    Ceil,
}

/// One dimension of a sweep.
struct Line {
    input: usize,
    kernel: u32,
    stride: u32,
    dilation: u32,
}

impl Line {
    /// From first to last tap.
    fn extent(&self) -> u64 {
        (u64::from(self.kernel) - 1) * u64::from(self.dilation) + 1
    }

    /// Padding before and after so that outputs are as many as inputs, divided by the stride.
    fn same(&self, is_upper: bool) -> Result<(u32, u32), Fault> {
        let stride = u64::from(self.stride);
        let outputs = (self.input as u64).div_ceil(stride);
        let span = (outputs - 1) * stride + self.extent();
        let total = span.saturating_sub(self.input as u64);
        let (small, large) = (total / 2, total - total / 2);
        let (before, after) = if is_upper {
            (small, large)
        } else {
            (large, small)
        };
        Ok((
            number("pads", before as i64, 0)?,
            number("pads", after as i64, 0)?,
        ))
    }

    /// How many outputs there are, and the padding after that they need.
    fn outputs(&self, before: u32, after: u32, ends: Ends) -> Result<(usize, u32), Fault> {
        let padded = self.input as u64 + u64::from(before) + u64::from(after);
        let stride = u64::from(self.stride);
        let Some(room) = padded.checked_sub(self.extent()) else {
            let problem = format!(
                "{} taps with dilation {} do not fit {padded} numbers, padding included",
                self.kernel, self.dilation
            );
            return Err(Fault::new(
                "kernel_shape",
                problem,
                "pad more, or choose a smaller kernel",
            ));
        };
        let mut outputs = room / stride + 1;
        let mut after = u64::from(after);
        if ends == Ends::Ceil
            && !room.is_multiple_of(stride)
            && outputs * stride < self.input as u64 + u64::from(before)
        {
            after += stride - room % stride;
            outputs += 1;
        }
        Ok((outputs as usize, number("pads", after as i64, 0)?))
    }
}

/// Kernel, stride, dilation and padding, and the size of the result.
fn sweep(
    call: &Call,
    map: &Map,
    kernel: (u32, u32),
    ends: Ends,
) -> Result<(Sweep, (usize, usize)), Fault> {
    let stride = pair(call, "strides", map.is_line, 1)?.unwrap_or((1, 1));
    let dilation = pair(call, "dilations", map.is_line, 1)?.unwrap_or((1, 1));
    let [_, _, height, width] = map.shape;
    let y = Line {
        input: height,
        kernel: kernel.0,
        stride: stride.0,
        dilation: dilation.0,
    };
    let x = Line {
        input: width,
        kernel: kernel.1,
        stride: stride.1,
        dilation: dilation.1,
    };
    let [top, left, bottom, right] = match padding(call, map.is_line)? {
        Padding::Explicit(pads) => pads,
        same => {
            let is_upper = matches!(same, Padding::SameUpper);
            let ((top, bottom), (left, right)) = (y.same(is_upper)?, x.same(is_upper)?);
            [top, left, bottom, right]
        }
    };
    let (rows, bottom) = y.outputs(top, bottom, ends)?;
    let (columns, right) = x.outputs(left, right, ends)?;
    let pads = [top, left, bottom, right];
    Ok((
        Sweep {
            kernel,
            stride,
            dilation,
            pads,
        },
        (rows, columns),
    ))
}

/// Convolution: inputs data, weights, \[bias\].
pub(super) fn conv(call: &mut Call) -> Result<(), Fault> {
    call.arity(3)?;
    let (x, weights) = (call.needed(0, "data")?, call.needed(1, "weights")?);
    let (data, taps) = (call.shape(x), call.shape(weights));
    if taps.len() != data.len() {
        let problem = format!("dimensions {taps:?} do not fit {data:?} of input 0");
        return Err(call.wrong(1, "weights", problem, WEIGHTS));
    }
    call.check_finite(1, "weights")?;
    let map = map(call)?;
    let shape = match *taps {
        [outputs, channels, length] => vec![outputs, channels, 1, length],
        _ => taps,
    };
    let groups = groups(call, map.shape[1], &shape)?;
    let kernel = kernel(call, &shape, map.is_line)?;
    let (sweep, (rows, columns)) = sweep(call, &map, kernel, Ends::Inside)?;
    let bias = bias(call, shape[0])?;
    let weights = if map.is_line {
        call.reshaped(weights, shape.clone())?
    } else {
        weights.to_owned()
    };
    let inputs = [Some(&*map.tensor), Some(&*weights), bias];
    let inputs: Vec<&str> = inputs.into_iter().flatten().collect();
    let result = [map.shape[0], shape[0], rows, columns];
    emit(
        call,
        Op::Conv { sweep, groups },
        &inputs,
        map.is_line,
        result,
    )
}

/// What weights of a convolution are.
const WEIGHTS: &str = "give [O, C / group, kernel height, kernel width]";

/// The kernel of weights `[O, C / group, kh, kw]`; the attribute may repeat it, but not differ.
fn kernel(call: &Call, weights: &[usize], is_line: bool) -> Result<(u32, u32), Fault> {
    let size = |dim: usize| number("kernel_shape", dim as i64, 1);
    let kernel = (size(weights[2])?, size(weights[3])?);
    match pair(call, "kernel_shape", is_line, 1)? {
        Some(given) if given != kernel => {
            let problem = format!("{given:?}, but the weights are {weights:?}");
            Err(Fault::new(
                "kernel_shape",
                problem,
                "export the model again",
            ))
        }
        _ => Ok(kernel),
    }
}

/// The bias of a convolution, if it has one.
fn bias<'a>(call: &Call<'_, 'a>, outputs: usize) -> Result<Option<&'a str>, Fault> {
    let Some(bias) = call.input(2) else {
        return Ok(None);
    };
    call.check_finite(2, "bias")?;
    let found = call.shape(bias);
    if found != [outputs] {
        let problem = format!("dimensions {found:?} do not fit {outputs} outputs of the weights");
        return Err(call.wrong(2, "bias", problem, format!("give {outputs} numbers")));
    }
    Ok(Some(bias))
}

/// The groups of a convolution of `channels` with weights of a shape.
fn groups(call: &Call, channels: usize, weights: &[usize]) -> Result<u32, Fault> {
    let groups = number("group", call.attributes.int("group")?.unwrap_or(1), 1)?;
    let count = groups as usize;
    if !weights[0].is_multiple_of(count) || !channels.is_multiple_of(count) {
        let problem = format!(
            "{groups} does not divide {channels} channels and {} outputs",
            weights[0]
        );
        return Err(Fault::new("group", problem, "export the model again"));
    }
    if weights[1] != channels / count || weights[0] == 0 {
        let problem =
            format!("dimensions {weights:?} do not fit {channels} channels and group = {groups}");
        return Err(call.wrong(1, "weights", problem, WEIGHTS));
    }
    Ok(groups)
}

/// Kernel of a pool and how it ends.
fn window(call: &Call, map: &Map) -> Result<(Sweep, (usize, usize)), Fault> {
    call.arity(1)?;
    let missing = || Fault::new("kernel_shape", "it is missing", "export the model again");
    let kernel = pair(call, "kernel_shape", map.is_line, 1)?.ok_or_else(missing)?;
    let ends = match call.attributes.flag("ceil_mode")? {
        Some(true) => Ends::Ceil,
        _ => Ends::Inside,
    };
    let (sweep, size) = sweep(call, map, kernel, ends)?;
    let extent = |taps: u32, dilation: u32| (u64::from(taps) - 1) * u64::from(dilation) + 1;
    let [top, left, bottom, right] = sweep.pads.map(u64::from);
    let (y, x) = (
        extent(kernel.0, sweep.dilation.0),
        extent(kernel.1, sweep.dilation.1),
    );
    if top.max(bottom) >= y || left.max(right) >= x {
        let problem = format!("{:?} make windows {kernel:?} of padding alone", sweep.pads);
        return Err(Fault::new(
            "pads",
            problem,
            "pad less than the window's size",
        ));
    }
    Ok((sweep, size))
}

pub(super) fn max_pool(call: &mut Call) -> Result<(), Fault> {
    // The order of indices, which are refused.
    call.attributes.ignore(&["storage_order"]);
    let map = map(call)?;
    let (sweep, (rows, columns)) = window(call, &map)?;
    let shape = [map.shape[0], map.shape[1], rows, columns];
    emit(call, Op::MaxPool(sweep), &[&map.tensor], map.is_line, shape)
}

pub(super) fn average_pool(call: &mut Call) -> Result<(), Fault> {
    let count_include_pad = call.attributes.flag("count_include_pad")?.unwrap_or(false);
    let map = map(call)?;
    let (sweep, (rows, columns)) = window(call, &map)?;
    let given = match padding(call, map.is_line)? {
        Padding::Explicit(pads) => pads,
        _ => sweep.pads,
    };
    if count_include_pad && given != sweep.pads {
        let problem = "windows that leave the padding have no divisor that all runtimes agree on";
        let fix = "set ceil_mode = 0 or count_include_pad = 0";
        return Err(Fault::new("ceil_mode", problem, fix));
    }
    let shape = [map.shape[0], map.shape[1], rows, columns];
    let op = Op::AveragePool {
        sweep,
        count_include_pad,
    };
    emit(call, op, &[&map.tensor], map.is_line, shape)
}

pub(super) fn global_average_pool(call: &mut Call) -> Result<(), Fault> {
    call.arity(1)?;
    let map = map(call)?;
    let shape = [map.shape[0], map.shape[1], 1, 1];
    emit(
        call,
        Op::GlobalAveragePool,
        &[&map.tensor],
        map.is_line,
        shape,
    )
}

/// ReduceMean over all of space, as `x.mean([2, 3])` is exported, is a GlobalAveragePool.
pub(super) fn reduce_mean(call: &mut Call) -> Result<(), Fault> {
    call.arity(2)?;
    call.attributes
        .only("noop_with_empty_axes", 0, "name the axes")?;
    let keeps = call.attributes.flag("keepdims")?.unwrap_or(true);
    let rank = call.shape(call.needed(0, "data")?).len();
    let attribute = call.attributes.ints("axes")?.map(<[i64]>::to_vec);
    let values = call.integers(1, "axes")?.or(attribute);
    let mut axes = super::shapes::axes(&values.unwrap_or_default(), rank, "axes")?;
    axes.sort_unstable();
    if rank < 3 || axes != (2..rank).collect::<Vec<_>>() {
        let problem = format!("the mean over {axes:?} of {rank} dimensions is not supported");
        return Err(Fault::new(
            "axes",
            problem,
            "take it over height and width, [2, 3]",
        ));
    }
    let map = map(call)?;
    let [n, c, _, _] = map.shape;
    if keeps {
        emit(
            call,
            Op::GlobalAveragePool,
            &[&map.tensor],
            map.is_line,
            [n, c, 1, 1],
        )
    } else {
        emit_reshaped(
            call,
            Op::GlobalAveragePool,
            &[&map.tensor],
            [n, c, 1, 1],
            vec![n, c],
        )
    }
}
