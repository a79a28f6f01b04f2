//! The layers of a model as a table and as JSON.

use crate::manifest::{GENERATOR, Generator};
use crate::terminal::{Terminal, thousands};
use serde::Serialize;
use std::collections::BTreeMap;
use xnorforge_sim::Precision;
use xnorforge_sim::network::{LayerOutline, Outline, Rule, Shape, TensorId};

/// Name of the JSON report.
const SCHEMA: &str = "xnorforge-inspect";
/// Raised when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// A further column, of what an outline does not know.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading, and its key in JSON.
    pub name: &'static str,
    /// A cell for each layer of all networks, in order; `-` is shown for none.
    pub cells: Vec<Option<String>>,
}

/// The layers of one or more networks, and their sums.
#[derive(Debug)]
pub struct Inspection {
    layers: Vec<Row>,
    total: Counts,
    columns: Vec<Column>,
}

/// A layer.
#[derive(Debug, Serialize)]
struct Row {
    network: String,
    name: String,
    kind: &'static str,
    /// Height, width and channels.
    input: [u32; 3],
    output: [u32; 3],
    activation: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<Precision>,
    /// Of the output; none for raw accumulators.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Precision>,
    /// What is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    residual: Option<String>,
    /// Thresholds of a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<usize>,
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    extra: BTreeMap<&'static str, String>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    macs: u128,
    binary_operation_pairs: u128,
    weights: u64,
    parameter_bytes: u64,
    float_bytes: u64,
}

/// The report.
#[derive(Serialize)]
pub struct Json<'a> {
    schema: &'static str,
    schema_version: u32,
    generator: Generator,
    operations_per_binary_operation_pair: u32,
    layers: Vec<WithRatios<'a, Row>>,
    total: WithRatios<'a, Counts>,
}

/// Counts, and what follows from them.
#[derive(Serialize)]
struct WithRatios<'a, T> {
    #[serde(flatten)]
    row: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    reduction_from_32_bits: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reduction_from_8_bits: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<f64>,
}

impl Inspection {
    /// Of networks, with further columns.
    pub fn new(outlines: &[Outline], columns: Vec<Column>) -> Self {
        let mut layers: Vec<Row> = Vec::new();
        for outline in outlines {
            for layer in &outline.layers {
                let index = layers.len();
                let extra = columns.iter().filter_map(|column| {
                    let cell = column.cells.get(index).cloned().flatten()?;
                    Some((column.name, cell))
                });
                layers.push(Row::new(outline, layer, extra.collect()));
            }
        }
        let mut total = Counts::default();
        for Row { counts, .. } in &layers {
            total.macs += counts.macs;
            total.binary_operation_pairs += counts.binary_operation_pairs;
            total.weights += counts.weights;
            total.parameter_bytes += counts.parameter_bytes;
            total.float_bytes += counts.float_bytes;
        }
        Inspection {
            layers,
            total,
            columns,
        }
    }

    /// Prints the table.
    pub fn print(&self, terminal: &Terminal) {
        let mut headings = vec![
            "layer",
            "kind",
            "input",
            "output",
            "activations",
            "weights",
            ">thresholds",
        ];
        headings.extend(self.columns.iter().map(|column| column.name));
        headings.extend([
            ">MACs",
            ">BOPs",
            ">from 32",
            ">from 8",
            ">parameter bytes",
            ">compression",
        ]);
        let mut rows: Vec<Vec<String>> = self.layers.iter().map(|row| self.cells(row)).collect();
        let mut sum = vec!["total".to_owned()];
        sum.resize(7 + self.columns.len(), String::new());
        sum.extend(self.total.cells());
        rows.push(sum);
        terminal.table(&headings, &rows);
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let shape = |[height, width, channels]: [u32; 3]| format!("{height}x{width}x{channels}");
        let precision = |p: Precision| format!("{} {}", p.encoding, p.bits);
        let mut cells = vec![
            row.name.clone(),
            match &row.residual {
                Some(residual) => format!("{} + {residual}", row.kind),
                None => row.kind.to_owned(),
            },
            shape(row.input),
            shape(row.output),
            precision(row.activation),
            row.weight.map_or("-".to_owned(), precision),
            row.thresholds
                .map_or("none".to_owned(), |count| count.to_string()),
        ];
        for column in &self.columns {
            let cell = row.extra.get(column.name).cloned();
            cells.push(cell.unwrap_or_else(|| "-".to_owned()));
        }
        cells.extend(row.counts.cells());
        cells
    }

    /// The same for other programs.
    pub fn json(&self) -> Json<'_> {
        let layers = self.layers.iter();
        Json {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR,
            operations_per_binary_operation_pair: 2,
            layers: layers.map(|row| row.counts.ratios(row)).collect(),
            total: self.total.ratios(&self.total),
        }
    }
}

impl Row {
    fn new(outline: &Outline, layer: &LayerOutline, extra: BTreeMap<&'static str, String>) -> Self {
        let shape = |s: Shape| [s.height, s.width, s.channels];
        Row {
            network: outline.name.clone(),
            name: layer.name.clone(),
            kind: layer.kind(),
            input: shape(layer.input_shape),
            output: shape(layer.output_shape),
            activation: layer.activation,
            weight: layer.weight(),
            result: layer.output_precision(),
            residual: layer.residual.map(|(tensor, _)| match tensor {
                TensorId::Input => "input".to_owned(),
                TensorId::Layer(index) => outline.layers[index].name.clone(),
            }),
            thresholds: match layer.rule {
                Rule::Thresholds { count, .. } => Some(count),
                Rule::Raw | Rule::Affine { .. } => None,
            },
            counts: Counts {
                macs: layer.macs(),
                binary_operation_pairs: layer.binary_pairs(),
                weights: layer.weights(),
                parameter_bytes: layer.parameter_bytes(),
                float_bytes: layer.float_bytes(),
            },
            extra,
        }
    }
}

impl Counts {
    /// How many times fewer binary operation pairs these are than with `bits` bits on both sides.
    fn reduction_from(&self, bits: u128) -> Option<f64> {
        ratio(self.macs * bits * bits, self.binary_operation_pairs)
    }

    /// Against the same weights as 32-bit floats.
    fn compression(&self) -> Option<f64> {
        ratio(self.float_bytes.into(), self.parameter_bytes.into())
    }

    fn ratios<'a, T>(&self, row: &'a T) -> WithRatios<'a, T> {
        WithRatios {
            row,
            reduction_from_32_bits: self.reduction_from(32),
            reduction_from_8_bits: self.reduction_from(8),
            compression: self.compression(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let times =
            |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        [
            thousands(self.macs),
            thousands(self.binary_operation_pairs),
            times(self.reduction_from(32)),
            times(self.reduction_from(8)),
            thousands(self.parameter_bytes.into()),
            times(self.compression()),
        ]
    }
}

fn ratio(whole: u128, part: u128) -> Option<f64> {
    (part > 0).then(|| whole as f64 / part as f64)
}
