//! `xnorforge area`: the area of processing elements, measured with Yosys.

use super::generate;
use crate::area::{AreaError, Unit, Verilog, naive_units, run_area_report};
use crate::failure::Failure;
use crate::output;
use crate::terminal::Terminal;
use crate::tools::{Search, YOSYS};
use std::path::{Path, PathBuf};
use xnorforge_hdl::{ArrayConfig, Target};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge area --out docs/area.md

Synthesizes the generated processing element and the usual ones for each target, some minutes in all, and writes a
Markdown table. Needs yosys.";

/// The processing elements to compare with, as most people write them.
const NAIVE: [(&str, &str); 2] = [
    (
        "naive_bit_serial_pe.v",
        include_str!("../../../testbenches/naive/naive_bit_serial_pe.v"),
    ),
    (
        "naive_multibit_pe.v",
        include_str!("../../../testbenches/naive/naive_multibit_pe.v"),
    ),
];

/// Targets, lanes and branches in one cycle (of either operand) of the generated elements: those of
/// [`naive_units`].
const GENERATED: [(Target, u32, u32); 8] = [
    (Target::Xilinx, 64, 1),
    (Target::Xilinx, 128, 1),
    (Target::Xilinx, 256, 1),
    (Target::Ecp5, 64, 1),
    (Target::Ice40, 64, 1),
    (Target::Asic, 64, 1),
    (Target::Xilinx, 64, 2),
    (Target::Xilinx, 64, 4),
];

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write; standard output without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A missing or failing Yosys, a file that cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let yosys = Search::from_environment()
        .find(&YOSYS)
        .map_err(Failure::tool)?;
    let folder = tempfile::tempdir()
        .map_err(|e| Failure::input(format!("cannot make a temporary folder: {e}")))?;
    let mut units = generated_units(folder.path())?;
    for (name, text) in NAIVE {
        write(&folder.path().join(name), text)?;
    }
    units.extend(naive_units(folder.path()));
    terminal.note(format!(
        "synthesizing {} structures with {} {}; this takes some minutes",
        units.len(),
        yosys.tool.name,
        yosys.version
    ));
    let report = run_area_report(&yosys, &units).map_err(failure)?;
    match &args.out {
        None => terminal.line(report.trim_end()),
        Some(path) => {
            output::write_file(path, report.as_bytes())?;
            terminal.line(format!("written to {}", path.display()));
        }
    }
    Ok(())
}

fn failure(error: AreaError) -> Failure {
    match error.exit_code() {
        3 => Failure::tool(error),
        _ => Failure::input(error),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|e| Failure::input(format!("cannot write `{}`: {e}", path.display())))
}

/// The generated processing elements, their Verilog written below `folder`. Accumulators hold a reduction of 4096
/// elements of up to 8 x 8 bits, as wide as the usual ones.
fn generated_units(folder: &Path) -> Result<Vec<Unit>, Failure> {
    GENERATED
        .into_iter()
        .map(|(target, lanes, branches)| {
            let config = ArrayConfig {
                rows: 1,
                columns: 1,
                lanes,
                activation_bits: 8,
                weight_bits: 8,
                activation_branches: branches,
                weight_branches: branches,
                reduction_max: 4096,
                target,
                ..ArrayConfig::default()
            };
            generated_unit(folder, &config)
        })
        .collect()
}

fn generated_unit(folder: &Path, config: &ArrayConfig) -> Result<Unit, Failure> {
    let design = config.validate()?;
    let rtl = generate::emit(&design)?;
    let folder = folder.join(config.hash());
    std::fs::create_dir_all(&folder)
        .map_err(|e| Failure::input(format!("cannot make `{}`: {e}", folder.display())))?;
    let mut files = Vec::new();
    for file in &rtl.files {
        let path = folder.join(&file.name);
        write(&path, &file.text)?;
        files.push(path);
    }
    let top = rtl
        .modules
        .iter()
        .map(|module| module.name.as_str())
        .find(|name| name.starts_with("xnf_processing_element_"))
        .ok_or_else(|| Failure::input("the generated Verilog has no processing element"))?;
    let pairs = config.activation_branches * config.weight_branches;
    Ok(Unit {
        structure: format!(
            "XnorForge, {}x{} branches, {}-bit accumulator",
            config.activation_branches,
            config.weight_branches,
            design.sum_width()
        ),
        target: config.target,
        lanes: config.lanes,
        operations: u64::from(config.lanes) * u64::from(pairs),
        verilog: Verilog::new(files, top),
    })
}
