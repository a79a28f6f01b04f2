//! `xnorforge inspect`: what a model consists of, as a table, as JSON and as a picture.

mod picture;
mod table;

use crate::failure::Failure;
use crate::imported::ImportArgs;
use crate::manifest::json_bytes;
use crate::model::{Model, Override};
use crate::network::Bits;
use crate::output;
use crate::terminal::Terminal;
use std::path::PathBuf;
pub use table::{Column, Inspection};
use xnorforge_hdl::config::BITS_MAX;
use xnorforge_sim::network::Outline;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge inspect testbenches/cases/a_mlp_odd_w2a2/model.npz
  xnorforge inspect resnet18 --bits 2x2 --first-last-bits 8 --svg build/resnet18.svg

Built-in networks: lenet5, vgg16, resnet18, resnet50, mobilenet-v1, mobilenet-v2, tiny-yolo, deeplab-largefov.
MACs are multiply-accumulates of one input; a BOP is one binary operation pair (xnor and add: 2 operations), and a
MAC of M x K bits takes M*K of them: \"from 32\" and \"from 8\" say how many times fewer that is than with 32 and with 8 bits
on both sides. Parameter bytes hold packed weight bits, 32-bit thresholds and signs; compression is against the same
weights as 32-bit floats.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: .onnx; .npz with l1.weight_codes, ... and meta.json beside it; a topology (.toml, or .csv of SCALE-Sim); or the
    /// name of a built-in network
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Bits of activations and weights: of every layer of an .npz, of those of a topology that say nothing themselves
    #[arg(long, value_name = "MxK")]
    bits: Option<Bits>,
    /// Bits of the first layer's weights and of the last layer's activations and weights, of topologies
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=i64::from(BITS_MAX)))]
    first_last_bits: Option<u32>,
    #[command(flatten)]
    import: ImportArgs,
    /// Write the table as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the network as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A model that cannot be read or is not supported; a file that cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let with = Override {
        bits: args.bits,
        ends: args.first_last_bits,
    };
    let model = Model::load(&args.model, with, &args.import, None)?;
    show(args, &model.outlines()?, columns(&model), terminal)
}

/// What an import knows besides.
fn columns(model: &Model) -> Vec<Column> {
    let Model::Imported(import) = model else {
        return Vec::new();
    };
    let cells = import.model.scales.iter().map(|scales| {
        let least = scales.iter().copied().reduce(f64::min)?;
        let greatest = scales.iter().copied().reduce(f64::max)?;
        Some(match least == greatest {
            true => format!("{least:.4}"),
            false => format!("{least:.4}..{greatest:.4}"),
        })
    });
    vec![Column {
        name: "scale",
        cells: cells.collect(),
    }]
}

/// Prints and writes what is asked for, with columns that only the model's source knows (its scales).
fn show(
    args: &Args,
    outlines: &[Outline],
    columns: Vec<Column>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let inspection = Inspection::new(outlines, columns);
    inspection.print(terminal);
    if let Some(path) = &args.json {
        output::write_file(path, &json_bytes(&inspection.json()))?;
    }
    if let Some(path) = &args.svg {
        output::write_file(path, picture::svg(outlines).as_bytes())?;
    }
    Ok(())
}
