//! `xnorforge area`: the area of processing elements, measured with Yosys.

use crate::area::{Cells, arrays, presets, run_area_report, split, standard_units};
use crate::failure::Failure;
use crate::output;
use crate::terminal::Terminal;
use crate::tools::{Found, Search, YOSYS};
use std::path::PathBuf;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge area --out docs/area.md
  xnorforge area --liberty cells.lib
  xnorforge area --presets
  xnorforge area --accelerator

Synthesizes generated processing elements and naive ones for each target, whole arrays, and the `default` and
`small` accelerators module by module, some minutes in all, and writes Markdown tables. Needs yosys.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write; standard output without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Only the section about presets
    #[arg(long)]
    presets: bool,

    /// Only the section about what stands around the array in accelerators
    #[arg(long, conflicts_with_all = ["presets", "liberty"])]
    accelerator: bool,

    /// Map standard cells to this Liberty file and sum up their areas; without it they are counted as gates
    #[arg(long, value_name = "FILE")]
    liberty: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A missing or failing Yosys, a Liberty file that cannot be used, a file that cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let yosys = Search::from_environment()
        .find(&YOSYS)
        .map_err(Failure::tool)?;
    let cells = args.liberty.as_deref().map(Cells::read).transpose();
    let cells = cells.map_err(Failure::input)?;
    if args.presets {
        let report = presets(&yosys, cells.as_ref())?;
        return write(args, &report, terminal);
    }
    if args.accelerator {
        let report = split::report(&yosys)?;
        return write(args, &report, terminal);
    }
    let adders = cells.as_ref().map(Cells::adders);
    let units = standard_units(adders.as_ref())?;
    terminal.note(format!(
        "synthesizing {} structures with {} {}; this takes some minutes",
        units.len(),
        yosys.tool.name,
        yosys.version
    ));
    let report = run_area_report(&yosys, &units, cells.as_ref())?
        + &arrays::report(&yosys)?
        + &split::report(&yosys)?
        + &presets(&yosys, cells.as_ref())?;
    write(args, &report, terminal)
}

fn presets(yosys: &Found, cells: Option<&Cells>) -> Result<String, Failure> {
    Ok(presets::report(&Search::from_environment(), yosys, cells)?)
}

fn write(args: &Args, report: &str, terminal: &Terminal) -> Result<(), Failure> {
    match &args.out {
        None => terminal.line(report.trim_end()),
        Some(path) => {
            output::write_file(path, report.as_bytes())?;
            terminal.line(format!("written to {}", path.display()));
        }
    }
    Ok(())
}
