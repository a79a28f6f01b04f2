//! `xnorforge calibrate`: measures a sample of designs with the user's tools, for models of area.

use crate::area::{AreaError, Cells};
use crate::estimate::measure::Measurer;
use crate::estimate::sample::{self, SCHEMA, SCHEMA_VERSION, Sample};
use crate::failure::Failure;
use crate::output;
use crate::pnr;
use crate::terminal::Terminal;
use crate::tools::Search;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xnorforge_hdl::Target;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge calibrate --target xilinx --out xilinx.json
  xnorforge calibrate --target asic --liberty cells.lib --points 16 --minutes 30 --out cells.json

Draws designs of random sizes, synthesizes their modules with Yosys, and writes what each kind of module takes. The
models of area are fitted to such files: name one with `--area-model FILE` of explore, synth and generate. A quarter of
the designs is held out of the fit; the error that estimates are printed with is measured on them.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to synthesize for
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    target: Target,
    /// Standard cells to map to (asic)
    #[arg(long, value_name = "FILE")]
    liberty: Option<PathBuf>,
    /// Designs to measure, at most
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    points: u32,
    /// No run of Yosys begins after so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10000))]
    minutes: u64,
    /// Designs in one run of Yosys
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch: u32,
    /// Seed of the designs' sizes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn parse_target(name: &str) -> Result<Target, String> {
    match name.parse() {
        Ok(Target::Generic) => Err("the generic target has no device to count; choose one of xilinx, ecp5, ice40, asic".into()),
        Ok(target) => Ok(target),
        Err(error) => Err(error.to_string()),
    }
}

/// Every so many designs, one is held out of the fit.
const HELD_OUT: usize = 4;

/// Runs the command.
///
/// # Errors
/// A missing or failing Yosys, a Liberty file that is missing or cannot be used, a file that cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let cells = match (args.target, &args.liberty) {
        (Target::Asic, None) => {
            return Err(Failure::input(
                "the asic target needs the cells to map to: add `--liberty FILE`, the .lib file of a standard-cell library",
            ));
        }
        (Target::Asic, Some(path)) => Some(Cells::read(path).map_err(Failure::input)?),
        (target, Some(_)) => {
            return Err(Failure::input(format!(
                "--liberty is for standard cells, but the target is {target}; add --target asic, or leave --liberty out"
            )));
        }
        (_, None) => None,
    };
    output::check_file(&args.out)?;
    let yosys = pnr::find_yosys(&Search::from_environment()).map_err(Failure::tool)?;
    let limit = Duration::from_secs(60 * args.minutes);
    let mut measurer = Measurer::new(&yosys, args.target, cells.as_ref(), limit);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    terminal.note(format!(
        "seed {}: synthesizing the modules of up to {} designs with {} {}",
        args.seed, args.points, yosys.tool.name, yosys.version
    ));
    let started = Instant::now();
    let progress = terminal.progress(args.points.into(), "designs");
    let mut measured = Vec::new();
    while measured.len() < args.points as usize && started.elapsed() < limit {
        let count = (args.points as usize - measured.len()).min(args.batch as usize);
        let designs: Vec<_> = (0..count).map(|_| sample::draw(&mut rng, args.target)).collect();
        measured.extend(measurer.measure(&designs).map_err(failure)?);
        progress.advance(count as u64);
    }
    drop(progress);
    let count = measured.len();
    let (mut fitted, mut held_out) = (Vec::new(), Vec::new());
    for (i, design) in measured.into_iter().enumerate() {
        match i % HELD_OUT == HELD_OUT - 1 {
            true => held_out.push(design),
            false => fitted.push(design),
        }
    }
    let sample = Sample {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION,
        target: args.target,
        tool: format!("{} {}", yosys.tool.name, yosys.version),
        commands: measurer.commands("TOP"),
        library: cells.as_ref().map(|cells| cells.name().to_owned()),
        seed: args.seed,
        fitted,
        held_out,
    };
    output::write_file(&args.out, sample.to_text().as_bytes())?;
    terminal.line(format!("{count} designs in {}", args.out.display()));
    Ok(())
}

fn failure(error: AreaError) -> Failure {
    match error.exit_code() {
        3 => Failure::tool(error),
        _ => Failure::input(error),
    }
}
