//! `xnorforge inspect`: what a model consists of.

use crate::accelerate;
use crate::failure::Failure;
use crate::graph;
use crate::network::Bits;
use crate::terminal::{Terminal, thousands};
use std::path::PathBuf;
use xnorforge_sim::network::{Network, Output, Requantize, Rescale};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge inspect testbenches/cases/a_mlp_odd_w2a2/model.npz

MACs are multiply-accumulates of one input; a BOP is one binary operation pair (xnor and add: 2 operations), and a
MAC of M x K bits takes M*K of them. Parameter bytes hold packed weight bits, 32-bit thresholds and signs.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: .npz with l1.weight_codes, ... and meta.json beside it
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Bits of activations and weights of every layer, if there is no meta.json
    #[arg(long, value_name = "MxK")]
    bits: Option<Bits>,
}

/// Runs the command.
///
/// # Errors
/// A model that cannot be read or is not supported.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let network = graph::load(&args.model, args.bits)?;
    terminal.table(
        &[
            "layer",
            "kind",
            "output",
            "encoding",
            ">bits MxK",
            ">thresholds",
            ">MACs",
            ">BOPs",
            ">parameter bytes",
            ">compression",
        ],
        &rows(&network)?,
    );
    Ok(())
}

/// What a row counts.
#[derive(Default)]
struct Counts {
    macs: u128,
    pairs: u128,
    packed: u64,
    float: u64,
}

fn rows(network: &Network) -> Result<Vec<Vec<String>>, Failure> {
    let mut total = Counts::default();
    let mut rows = Vec::new();
    for summary in accelerate::summaries(network).map_err(Failure::input)? {
        let macs: u128 = summary.weight.map_or(0, |_| summary.macs());
        let weight_bits = summary.weight.map_or(0, |w| w.bits);
        let counts = Counts {
            macs,
            pairs: macs * u128::from(summary.activation.bits * weight_bits),
            packed: accelerate::parameter_bytes(summary.layer),
            float: accelerate::float_bytes(summary.layer),
        };
        let [height, width, channels] = summary.output;
        let mut row = vec![
            summary.layer.name.clone(),
            summary.kind.to_owned(),
            format!("{height}x{width}x{channels}"),
            summary.activation.encoding.to_string(),
            match summary.weight {
                Some(weight) => format!("{}x{}", summary.activation.bits, weight.bits),
                None => summary.activation.bits.to_string(),
            },
            thresholds(&summary.layer.output),
        ];
        row.extend(counts.cells());
        rows.push(row);
        total.macs += counts.macs;
        total.pairs += counts.pairs;
        total.packed += counts.packed;
        total.float += counts.float;
    }
    let mut sum = vec!["total".to_owned()];
    sum.resize(6, String::new());
    sum.extend(total.cells());
    rows.push(sum);
    Ok(rows)
}

impl Counts {
    fn cells(&self) -> [String; 4] {
        [
            thousands(self.macs),
            thousands(self.pairs),
            thousands(self.packed.into()),
            match self.packed {
                0 => "-".to_owned(),
                // Against the same weights as float32.
                packed => format!("{:.2}x", self.float as f64 / packed as f64),
            },
        ]
    }
}

fn thresholds(output: &Output) -> String {
    match output {
        Output::Codes(Requantize {
            rescale: Rescale::Thresholds { thresholds, .. },
            ..
        }) => thresholds.first().map_or(0, Vec::len).to_string(),
        _ => "none".to_owned(),
    }
}
