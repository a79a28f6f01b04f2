//! `xnorforge inspect`: what a model consists of.

use crate::failure::Failure;
use crate::network::{self, Bits, Layer, Network};
use crate::terminal::{Terminal, thousands};
use std::path::PathBuf;

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
    let network = network::load(&args.model, args.bits)?;
    terminal.table(
        &[
            "layer",
            ">inputs",
            ">outputs",
            "encoding",
            ">bits MxK",
            ">thresholds",
            ">MACs",
            ">BOPs",
            ">parameter bytes",
            ">compression",
        ],
        &rows(&network),
    );
    Ok(())
}

fn rows(network: &Network) -> Vec<Vec<String>> {
    let total = |value: fn(&Layer) -> u128| network.layers.iter().map(value).sum::<u128>();
    let macs = |layer: &Layer| u128::from(layer.shape(1).macs());
    let pairs = |layer: &Layer| u128::from(layer.shape(1).binary_pairs());
    let packed = |layer: &Layer| layer.parameter_bytes().into();
    let float = |layer: &Layer| layer.float_bytes().into();
    let mut rows: Vec<Vec<String>> = network
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.name.clone(),
                layer.inputs().to_string(),
                layer.outputs().to_string(),
                layer.activation.encoding.to_string(),
                format!("{}x{}", layer.activation.bits, layer.weights.bits()),
                layer
                    .requantize
                    .as_ref()
                    .map_or("none".to_owned(), |r| r.thresholds[0].len().to_string()),
                thousands(macs(layer)),
                thousands(pairs(layer)),
                thousands(packed(layer)),
                compression(float(layer), packed(layer)),
            ]
        })
        .collect();
    let mut sum = vec!["total".to_owned()];
    sum.resize(6, String::new());
    sum.extend([
        thousands(total(macs)),
        thousands(total(pairs)),
        thousands(total(packed)),
        compression(total(float), total(packed)),
    ]);
    rows.push(sum);
    rows
}

/// Against the same weights as float32.
fn compression(float: u128, packed: u128) -> String {
    format!("{:.2}x", float as f64 / packed as f64)
}
