//! `xnorforge encode`: the encoder of Sun et al. (arXiv 1905.13389) for a tensor in a file.

use crate::failure::Failure;
use crate::io::{self, Array, ArrayFile, Elements, NewArray, NewElements, index_text};
use crate::output;
use crate::terminal::{Terminal, thousands};
use crate::workload::encoding_parser;
use clap::ValueEnum;
use std::path::PathBuf;
use xnorforge_sim::Encoding;
use xnorforge_sim::encoder::{EncodeError, quantize};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge encode activations.npy --bits 2 --out branches.npz
  xnorforge encode weights.npz --key w1 --bits 4 --range max --out branches.npz
  xnorforge encode pixels.npy --encoding unsigned --bits 8 --out branches.npz

Integers must be values of the encoding. Floats are quantized by the paper's linear quantizer (bipolar only): x is
brought into [-1, 1] as --range says, and its value is the odd integer v for which scale * v is nearest.
The output holds `branches` (uint8, one plane per branch, least significant first; 1 is +1 and 0 is -1), `codes`
(uint8, the branches as one number), `values` (int32) and, for floats, `scale` (float64).";

/// How floats are brought into [-1, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Range {
    /// Values outside are clipped (hard tanh): the paper's activations.
    #[default]
    Clip,
    /// Divided by the largest magnitude; the scale takes it up.
    Max,
    /// tanh(x) divided by its largest magnitude: the paper's weights, as in DoReFa-Net.
    Tanh,
}

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tensor: .npy, or .npz with the array named by --key
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Array of a .npz; not needed if there is only one
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The encoding
    #[arg(long, value_parser = encoding_parser(), default_value = "bipolar")]
    encoding: Encoding,
    /// Bits of a value: the number of branches M (1..=8)
    #[arg(long, value_name = "M")]
    bits: u32,
    /// How floats are brought into [-1, 1]
    #[arg(long, value_enum, default_value_t)]
    range: Range,
    /// File to write, .npz
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, values without a code, an output that cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    args.encoding
        .check_bits(args.bits)
        .map_err(Failure::input)?;
    let file = ArrayFile::open(&args.input)?;
    let array = file.read(&array_name(&file, args.key.as_deref())?)?;
    let (values, scale) = integers(&array, args)?;
    let branches = planes(&array, &values, args.encoding, args.bits)?;
    let bytes = io::npz_bytes(&arrays(&array, values, scale, &branches))
        .map_err(|e| Failure::input(format!("cannot write `{}`: {e}", args.out.display())))?;
    output::write_file(&args.out, &bytes)?;
    terminal.table(
        &["branch", ">significance", ">ones", ">elements"],
        &summary(&branches, &args.encoding.significances(args.bits)),
    );
    if let Some(scale) = scale {
        terminal.line(format!("scale {scale:e}: x is nearest to scale * value"));
    }
    terminal.line(format!("written to {}", args.out.display()));
    Ok(())
}

fn array_name(file: &ArrayFile, key: Option<&str>) -> Result<String, Failure> {
    match (key, file.names().as_slice()) {
        (Some(key), _) => Ok(key.to_owned()),
        (None, [name]) => Ok((*name).to_owned()),
        (None, names) => Err(Failure::input(format!(
            "`{}` holds {} arrays ({}); name one with --key",
            file.name(),
            names.len(),
            names.join(", ")
        ))),
    }
}

/// The integers to encode, and the scale that floats were divided by.
fn integers(array: &Array, args: &Args) -> Result<(Vec<i64>, Option<f64>), Failure> {
    let floats = match &array.elements {
        Elements::Int(values) => return Ok((values.clone(), None)),
        Elements::Float(values) => values,
    };
    if args.encoding != Encoding::Bipolar {
        return Err(Failure::input(format!(
            "{} has dtype `{}`, and the paper's quantizer makes `bipolar` values only; choose --encoding bipolar, or quantize to integers first",
            array.place, array.dtype
        )));
    }
    if let Some(bad) = floats.iter().position(|v| !v.is_finite()) {
        return Err(array
            .value_error(
                bad,
                "only finite numbers can be quantized; clean the tensor",
            )
            .into());
    }
    let (unit, largest) = to_unit(floats, args.range);
    let values = quantize(&unit, args.bits)
        .map_err(|e: EncodeError| Failure::input(format!("{}: {e}", array.place)))?;
    let scale = largest / f64::from((1u32 << args.bits) - 1);
    Ok((values.into_iter().map(i64::from).collect(), Some(scale)))
}

/// Values in [-1, 1], and what 1 stands for.
fn to_unit(values: &[f64], range: Range) -> (Vec<f64>, f64) {
    let divided = |values: Vec<f64>| {
        let largest = values.iter().fold(0.0f64, |max, v| max.max(v.abs()));
        // A tensor of zeros has no scale of its own; 1 keeps it as it is.
        let divisor = if largest > 0.0 { largest } else { 1.0 };
        let unit = values.iter().map(|v| v / divisor).collect();
        (unit, divisor)
    };
    match range {
        Range::Clip => (values.iter().map(|v| v.clamp(-1.0, 1.0)).collect(), 1.0),
        Range::Max => divided(values.to_vec()),
        // Weights are used as they come out of tanh, so their scale is 1.
        Range::Tanh => (divided(values.iter().map(|v| v.tanh()).collect()).0, 1.0),
    }
}

/// One plane for each branch, least significant first.
fn planes(
    array: &Array,
    values: &[i64],
    encoding: Encoding,
    bits: u32,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut planes = vec![Vec::with_capacity(values.len()); bits as usize];
    for (flat, value) in values.iter().enumerate() {
        let branches = encoding.encode(bits, *value).map_err(|e| {
            let index = index_text(flat, &array.shape);
            Failure::input(format!("{}[{index}]: {e}", array.place))
        })?;
        for (plane, branch) in planes.iter_mut().zip(branches) {
            plane.push(u8::from(branch));
        }
    }
    Ok(planes)
}

fn arrays(
    array: &Array,
    values: Vec<i64>,
    scale: Option<f64>,
    planes: &[Vec<u8>],
) -> Vec<NewArray> {
    let codes = (0..values.len())
        .map(|i| {
            let bits = planes.iter().enumerate();
            bits.map(|(branch, plane)| plane[i] << branch).sum()
        })
        .collect();
    let new = |name: &str, shape: Vec<usize>, elements| NewArray {
        name: name.to_owned(),
        shape,
        elements,
    };
    let shape = || array.shape.clone();
    let branch_shape = [&[planes.len()], array.shape.as_slice()].concat();
    let values = values.into_iter().map(|v| v as i32).collect();
    let mut arrays = vec![
        new("branches", branch_shape, NewElements::U8(planes.concat())),
        new("codes", shape(), NewElements::U8(codes)),
        new("values", shape(), NewElements::I32(values)),
    ];
    if let Some(scale) = scale {
        arrays.push(new("scale", Vec::new(), NewElements::F64(vec![scale])));
    }
    arrays
}

fn summary(planes: &[Vec<u8>], significances: &[u32]) -> Vec<Vec<String>> {
    planes
        .iter()
        .zip(significances)
        .enumerate()
        .map(|(branch, (plane, significance))| {
            let ones = plane.iter().filter(|bit| **bit == 1).count();
            vec![
                branch.to_string(),
                (1u32 << significance).to_string(),
                thousands(ones as u128),
                thousands(plane.len() as u128),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(to_unit(&[-2.0, 0.5], Range::Clip), (vec![-1.0, 0.5], 1.0));
        assert_eq!(to_unit(&[-2.0, 0.5], Range::Max), (vec![-1.0, 0.25], 2.0));
        assert_eq!(to_unit(&[0.0], Range::Max), (vec![0.0], 1.0));
        let (unit, one) = to_unit(&[-2.0, 2.0], Range::Tanh);
        assert_eq!((unit, one), (vec![-1.0, 1.0], 1.0));
    }
}
