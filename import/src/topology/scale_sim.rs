//! SCALE-Sim topologies (Samajdar et al., arXiv 1811.02883): a CSV of convolutions or of matrix products.
//!
//! ```text
//! Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
//! Conv1,      224,          224,         7,             7,            3,        64,         2,
//! ```
//!
//! ```text
//! Layer, M,   N,    K,
//! fc,    196, 1536, 384,
//! ```
//!
//! Every layer stands alone, with an input of its own. The files are read as SCALE-Sim does: a second stride is that in
//! x; a feature map that the stride does not divide gets one more line or pixel (its output is rounded up, which padding
//! behind the map stands for); in a layer whose name holds `DP`, every filter has one channel and runs on each channel
//! (depthwise). Blanks, empty lines, trailing commas and notes behind a `#` say nothing. A file may go without a header:
//! rows of four fields are products then.

use super::{Input, Kind, Layer, Problem, Source, Topology, TopologyError, Widths};
use csv::{ReaderBuilder, StringRecord, Trim};
use xnorforge_sim::Encoding;
use xnorforge_sim::network::{LAYERS_MAX, Padding, SIZE_MAX, Shape, WINDOW_MAX, Window};

/// Fields of a convolution without the second stride.
const CONVOLUTION_FIELDS: usize = 8;
/// Fields of a product.
const PRODUCT_FIELDS: usize = 4;

/// What the columns mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The second stride and the sparsity stand in these columns, if they are there.
    Convolution {
        stride_x: Option<usize>,
        sparsity: Option<usize>,
    },
    /// Columns of M, N and K.
    Product([usize; 3]),
}

/// Reads the text of a file; `name` becomes the topology's.
///
/// # Errors
/// A [`TopologyError`] with the line.
pub fn parse(name: &str, text: &str, widths: &Widths) -> Result<Topology, TopologyError> {
    let mut topology = Topology {
        name: name.to_owned(),
        inputs: Vec::new(),
        layers: Vec::new(),
    };
    let mut lines = Vec::new();
    let mut form = None;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    for record in reader.records() {
        let record =
            record.map_err(|e| TopologyError::from(Problem::Syntax(format!("no CSV: {e}"))))?;
        let line = record.position().map_or(1, |position| position.line()) as usize;
        let fields = fields(&record);
        if fields.is_empty() {
            continue;
        }
        let at = |problem: Problem| TopologyError::from(problem).at_line(line);
        let known = match form {
            Some(known) => known,
            None => {
                let (found, is_header) = Form::of(&fields).map_err(at)?;
                form = Some(found);
                if is_header {
                    continue;
                }
                found
            }
        };
        if lines.len() == LAYERS_MAX {
            let problem = super::error::check_range(
                "the number of layers",
                LAYERS_MAX as u64 + 1,
                1,
                LAYERS_MAX as u64,
            );
            problem.map_err(at)?;
        }
        let index = lines.len();
        let (shape, kind) = known
            .layer(&fields)
            .map_err(|problem| problem.in_layer(index, fields[0]).at_line(line))?;
        lines.push(line);
        add(&mut topology, fields[0], shape, kind, widths);
    }
    match topology.outlines() {
        Ok(_) => Ok(topology),
        Err(error) => match error.layer.as_ref().map(|(index, _)| lines[*index]) {
            Some(line) => Err(error.at_line(line)),
            None => Err(error),
        },
    }
}

/// What a row says: no notes, no empty fields at the end.
fn fields(record: &StringRecord) -> Vec<&str> {
    let mut fields: Vec<&str> = record.iter().take_while(|f| !f.starts_with('#')).collect();
    while fields.last().is_some_and(|field| field.is_empty()) {
        fields.pop();
    }
    fields
}

fn add(topology: &mut Topology, name: &str, shape: Shape, kind: Kind, widths: &Widths) {
    let activation = Widths::precision(Encoding::Unsigned, widths.activation);
    let source = Source::Input(topology.inputs.len());
    topology.inputs.push(Input {
        shape,
        precision: activation,
    });
    topology.layers.push(Layer {
        name: name.to_owned(),
        sources: vec![source],
        kind,
        activation,
        weight: Widths::precision(Encoding::Signed, widths.weight),
    });
}

impl Form {
    /// The form that the first row shows, and whether it is a header.
    fn of(fields: &[&str]) -> Result<(Self, bool), Problem> {
        let names: Vec<String> = fields.iter().map(|f| f.to_ascii_lowercase()).collect();
        let position = |wanted: &str| names.iter().position(|name| name == wanted);
        if let (Some(m), Some(n), Some(k)) = (position("m"), position("n"), position("k")) {
            return Ok((Form::Product([m, n, k]), true));
        }
        if names.iter().any(|name| name.starts_with("ifmap")) {
            let starts = |what: &str| {
                let mut found = names.iter().skip(CONVOLUTION_FIELDS);
                let found = found.position(|name| name.starts_with(what));
                found.map(|index| CONVOLUTION_FIELDS + index)
            };
            let sparsity = starts("spars");
            let form = Form::Convolution {
                // A ninth number is the second stride even if the header does not say so.
                stride_x: starts("stride")
                    .or((sparsity != Some(CONVOLUTION_FIELDS)).then_some(CONVOLUTION_FIELDS)),
                sparsity,
            };
            return Ok((form, true));
        }
        if fields.len() < 2 || !fields[1].starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Problem::Header(fields.join(", ")));
        }
        let form = match fields.len() {
            PRODUCT_FIELDS => Form::Product([1, 2, 3]),
            _ => Form::Convolution {
                stride_x: Some(CONVOLUTION_FIELDS),
                sparsity: None,
            },
        };
        Ok((form, false))
    }

    /// The input and the layer of a row.
    fn layer(self, fields: &[&str]) -> Result<(Shape, Kind), Problem> {
        match self {
            Form::Convolution { stride_x, sparsity } => {
                check_sparsity(sparsity.and_then(|column| fields.get(column).copied()))?;
                convolution(
                    fields,
                    stride_x.and_then(|column| fields.get(column).copied()),
                )
            }
            Form::Product(columns) => {
                let last = columns.into_iter().max().unwrap_or(0);
                check_fields(fields, last + 1)?;
                let size = |field, column: usize| number(field, fields[column], SIZE_MAX);
                let [m, n, k] = columns;
                let input = Shape::new(size("M", m)?, 1, size("K", k)?);
                let kind = Kind::Conv {
                    outputs: size("N", n)?,
                    window: Window::square(1, 1, 0),
                    groups: 1,
                };
                Ok((input, kind))
            }
        }
    }
}

fn convolution(fields: &[&str], stride_x: Option<&str>) -> Result<(Shape, Kind), Problem> {
    check_fields(fields, CONVOLUTION_FIELDS)?;
    let size = |field, column: usize| number(field, fields[column], SIZE_MAX);
    let (height, width) = (size("IFMAP Height", 1)?, size("IFMAP Width", 2)?);
    let kernel = (size("Filter Height", 3)?, size("Filter Width", 4)?);
    let channels = size("Channels", 5)?;
    let filters = size("Num Filter", 6)?;
    let stride_y = number("Strides", fields[7], WINDOW_MAX)?;
    let stride_x = match stride_x {
        Some(text) => number("the second stride", text, WINDOW_MAX)?,
        None => stride_y,
    };
    let is_depthwise = fields[0].contains("DP");
    let window = Window {
        kernel,
        stride: (stride_y, stride_x),
        dilation: (1, 1),
        padding: Padding {
            bottom: rest(height, kernel.0, stride_y),
            right: rest(width, kernel.1, stride_x),
            ..Padding::default()
        },
    };
    let kind = Kind::Conv {
        outputs: match is_depthwise {
            true => channels.saturating_mul(filters),
            false => filters,
        },
        window,
        groups: if is_depthwise { channels } else { 1 },
    };
    Ok((Shape::new(height, width, channels), kind))
}

/// What is missing behind the map so that the last window, which the stride cuts off, is whole; none for a kernel that
/// does not fit at all.
fn rest(size: u32, kernel: u32, stride: u32) -> u32 {
    match size.checked_sub(kernel) {
        Some(room) => room.next_multiple_of(stride) - room,
        None => 0,
    }
}

fn number(field: &'static str, text: &str, max: u32) -> Result<u32, Problem> {
    let (min, max) = (1, u64::from(max));
    let value: u64 = text.parse().map_err(|_| Problem::NoNumber {
        field,
        value: text.chars().take(32).collect(),
        min,
        max,
    })?;
    super::error::check_range(field, value, min, max)?;
    Ok(value as u32)
}

fn check_fields(fields: &[&str], needed: usize) -> Result<(), Problem> {
    match fields.len() {
        found if found < needed => Err(Problem::Fields { found, needed }),
        _ => Ok(()),
    }
}

/// Refuses weights of which some are left out: N of M, or a share below 1.
fn check_sparsity(text: Option<&str>) -> Result<(), Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let is_dense = match text.split_once(':') {
        Some((n, m)) => n.trim() == m.trim(),
        None => text == "1",
    };
    match is_dense {
        true => Ok(()),
        false => Err(Problem::Sparse(text.chars().take(32).collect())),
    }
}
