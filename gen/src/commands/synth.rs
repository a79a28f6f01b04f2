//! `xnorforge synth`: what outside tools make of a design.

use crate::area::Verilog;
use crate::failure::Failure;
use crate::pnr::{self, Options, Part, PnrError};
use crate::terminal::Terminal;
use crate::tools::Search;
use std::path::PathBuf;
use std::time::Duration;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge synth --verilog popcount.v --top popcount --target ecp5 --seeds 3";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Verilog file to measure; repeat it for more
    #[arg(long, value_name = "FILE", required = true)]
    verilog: Vec<PathBuf>,
    /// Top module of the files
    #[arg(long, value_name = "NAME")]
    top: String,
    /// ecp5 or ice40
    #[arg(long)]
    target: String,
    /// Runs of the placer; the frequency is their median
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u32,
    /// Frequency that the placer is asked to reach, in MHz
    #[arg(long, value_name = "MHZ")]
    clock_mhz: Option<f64>,
    /// Time limit of each run of a tool, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    time_limit: u64,
}

/// Runs the command.
///
/// # Errors
/// A tool that is missing or fails, a module that cannot be measured.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let part = match args.target.as_str() {
        "ecp5" => Part::Ecp5,
        "ice40" => Part::Ice40,
        other => {
            return Err(Failure::input(format!(
                "--target {other}: choose ecp5 or ice40"
            )));
        }
    };
    let mut options = Options::new(part).with_seeds(args.seeds);
    options.clock_mhz = args.clock_mhz.unwrap_or(options.clock_mhz);
    options.time_limit = Duration::from_secs(args.time_limit);
    let tools = pnr::Tools::find(&Search::from_environment(), part).map_err(Failure::tool)?;
    let verilog = Verilog::new(args.verilog.iter().cloned(), &args.top);
    let placed = pnr::measure(&tools, &verilog, &options).map_err(failure)?;
    let (low, high) = placed.fmax_range_mhz();
    let path = &placed.median().path;
    let area = &placed.area;
    terminal.line(format!(
        "{}: {:.1} MHz ({low:.1} to {high:.1}), {} LUTs, {} sites, {} carry, {} FF, {} block memories",
        args.top, placed.fmax_mhz(), area.luts, area.sites, area.carry, area.ff, area.bram
    ));
    terminal.line(format!(
        "critical path: {} -> {}, {} levels, logic {:.2} ns, wires {:.2} ns",
        path.from,
        path.to,
        path.levels(),
        path.logic_ns,
        path.routing_ns
    ));
    Ok(())
}

fn failure(error: PnrError) -> Failure {
    match error.exit_code() {
        3 => Failure::tool(error),
        _ => Failure::input(error),
    }
}
