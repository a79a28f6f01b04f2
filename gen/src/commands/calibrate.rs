//! `xnorforge calibrate`: measures a sample of designs with the user's tools, for models of area.

use crate::area::{AreaError, Cells, Verilog};
use crate::clock::{self, MeasuredArray};
use crate::config::read_text;
use crate::estimate::measure::Measurer;
use crate::estimate::sample::{self, BYTES_MAX, Measured, Planned, SCHEMA, SCHEMA_VERSION, Sample};
use crate::failure::Failure;
use crate::liberty;
use crate::output;
use crate::pnr;
use crate::synth::{self, Family, Request, Toolbox};
use crate::terminal::Terminal;
use crate::tools::Search;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xnorforge_hdl::{AcceleratorDesign, Target};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge calibrate --target xilinx --out xilinx.json
  xnorforge calibrate --target asic --liberty cells.lib --points 16 --minutes 30 --out cells.json

Synthesizes the modules of designs around the `small` preset and of random ones with Yosys, and writes what each kind
of module takes. Models of area are fitted to such files: name one with `--area-model FILE` of explore. A quarter of the
designs, all random, is held out of the fit: they tell the model's error. FILE is rewritten after each run of Yosys.";

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
    #[arg(long, value_name = "COUNT", default_value_t = 52, value_parser = clap::value_parser!(u32).range(1..=1000))]
    points: u32,
    /// No run of Yosys begins after so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10000))]
    minutes: u64,
    /// Measure the clock of some arrays, too: ecp5 and ice40 with nextpnr, asic with OpenSTA
    #[arg(long)]
    clocks: bool,
    /// Designs in one run of Yosys, which takes some gigabytes for each
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch: u32,
    /// Seed of the designs' sizes
    #[arg(long, default_value_t = 11)]
    seed: u64,
    /// A file of an earlier run with the same tools: designs that it holds are not measured again
    #[arg(long, value_name = "FILE")]
    extend: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Time limit of each run of a tool that times an array.
const CLOCK_TIME_LIMIT: Duration = Duration::from_secs(1200);

fn parse_target(name: &str) -> Result<Target, String> {
    match name.parse() {
        Ok(Target::Generic) => Err(
            "the generic target has no device to count; choose one of xilinx, ecp5, ice40, asic"
                .into(),
        ),
        Ok(Target::Ultrascale) => Err("no model of ultrascale is fitted: its memories are not known; choose one of xilinx, ecp5, ice40, asic".into()),
        Ok(target) => Ok(target),
        Err(error) => Err(error.to_string()),
    }
}

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
    if args.clocks && args.target == Target::Xilinx {
        return Err(Failure::input(
            "--clocks: no open flow places and times xilinx; leave it out",
        ));
    }
    output::check_file(&args.out)?;
    let yosys = pnr::find_yosys(&Search::from_environment()).map_err(Failure::tool)?;
    let limit = Duration::from_secs(60 * args.minutes);
    let mut measurer = Measurer::new(&yosys, args.target, cells.as_ref(), limit);
    let mut sample = Sample {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION,
        target: args.target,
        tool: format!("{} {}", yosys.tool.name, yosys.version),
        commands: measurer.commands("TOP"),
        library: cells.as_ref().map(|cells| cells.name().to_owned()),
        seed: args.seed,
        quantities: Vec::new(),
        fitted: Vec::new(),
        held_out: Vec::new(),
        clocks: Vec::new(),
        clock_tool: None,
    };
    let known = known(args, &sample)?;
    terminal.note(format!(
        "seed {}: synthesizing the modules of {} designs with {}",
        args.seed, args.points, sample.tool
    ));
    let started = Instant::now();
    let progress = terminal.progress(args.points.into(), "designs");
    let planned = sample::plan(args.target, args.seed, args.points as usize);
    for batch in planned.chunks(args.batch as usize) {
        if started.elapsed() >= limit {
            break;
        }
        let config = |p: &Planned| p.design.design().config().clone();
        let find = |p: &Planned| known.as_ref().and_then(|k| k.find(&config(p)));
        let new: Vec<_> = batch.iter().filter(|p| find(p).is_none()).collect();
        let designs: Vec<_> = new.iter().map(|p| p.design.clone()).collect();
        let mut measured = measure(&mut measurer, &designs, terminal)?.into_iter();
        for planned in batch {
            let measured = find(planned).cloned().or_else(|| measured.next().flatten());
            match planned.is_held_out {
                true => sample.held_out.extend(measured),
                false => sample.fitted.extend(measured),
            }
        }
        // After each run, whole: what was measured stays if this ends early.
        if sample.count() > 0 {
            sample.derive().map_err(Failure::input)?;
            output::write_file(&args.out, sample.to_text().as_bytes())?;
        }
        progress.advance(batch.len() as u64);
    }
    drop(progress);
    if sample.count() == 0 {
        return Err(Failure::tool(
            "no design was measured; what failed is noted above",
        ));
    }
    if args.clocks {
        measure_clocks(args, &mut sample, known.as_ref(), terminal)?;
    } else if let Some(known) = known {
        (sample.clocks, sample.clock_tool) = (known.clocks, known.clock_tool);
    }
    output::write_file(&args.out, sample.to_text().as_bytes())?;
    terminal.line(format!(
        "{} designs in {}",
        sample.count(),
        args.out.display()
    ));
    Ok(())
}

/// Measures designs in one run of Yosys; one by one if that run fails. A design that fails alone, too, is left out.
fn measure(
    measurer: &mut Measurer<'_>,
    designs: &[AcceleratorDesign],
    terminal: &Terminal,
) -> Result<Vec<Option<Measured>>, Failure> {
    let failed = match measurer.measure(designs) {
        Ok(measured) => return Ok(measured.into_iter().map(Some).collect()),
        Err(error @ AreaError::Tool(_)) => error,
        Err(error) => return Err(error.into()),
    };
    if let [design] = designs {
        let flags = design.design().config().command_flags();
        terminal.note(format!("left out: {failed}\n  configuration: {flags}"));
        return Ok(vec![None]);
    }
    terminal.note(format!(
        "{failed}\n  its {} designs follow one by one",
        designs.len()
    ));
    let mut measured = Vec::new();
    for design in designs.chunks(1) {
        measured.extend(measure(measurer, design, terminal)?);
    }
    Ok(measured)
}

/// Places and times arrays, a file whole after each. An array that fails is left out with a note.
fn measure_clocks(
    args: &Args,
    sample: &mut Sample,
    known: Option<&Sample>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let family = Family::from(args.target);
    let planned = clock::plan(args.target);
    let progress = terminal.progress(planned.len() as u64, "clocks");
    for design in &planned {
        let configuration = design.config().clone();
        // As `synth` has it: units of the library's adder cells.
        let design = match &args.liberty {
            Some(path) => {
                &liberty::with_adder_cells(design, path)
                    .map_err(Failure::input)?
                    .0
            }
            None => design,
        };
        let package = xnorforge_hdl::generate(design).map_err(Failure::input)?;
        let verilog = Verilog::from_package(package);
        let request = Request {
            verilog: &verilog,
            family,
            liberty: args.liberty.as_deref(),
            clock_mhz: family.clock_mhz_default(),
            seeds: 3,
            time_limit: CLOCK_TIME_LIMIT.min(Duration::from_secs(60 * args.minutes)),
        };
        let search = Search::from_environment();
        let toolbox = Toolbox::find(&search, family, request.liberty)?;
        sample.clock_tool = Some(toolbox.describe());
        let same_tools = known.filter(|k| k.clock_tool == sample.clock_tool);
        let found =
            same_tools.and_then(|k| k.clocks.iter().find(|c| c.configuration == configuration));
        let clock = match found {
            Some(clock) => Some(clock.clone()),
            None => {
                let folder = tempfile::tempdir().map_err(Failure::input)?;
                let mhz = match synth::run(&toolbox, &request, folder.path(), &|| ()) {
                    Ok(synthesis) => synthesis.timing.fmax_mhz(),
                    Err(error) => {
                        let flags = configuration.command_flags();
                        terminal.note(format!("no clock: {error}\n  configuration: {flags}"));
                        None
                    }
                };
                mhz.map(|mhz| MeasuredArray { configuration, mhz })
            }
        };
        sample.clocks.extend(clock);
        output::write_file(&args.out, sample.to_text().as_bytes())?;
        progress.advance(1);
    }
    Ok(())
}

/// What `--extend` names, if it was measured with the same tools.
fn known(args: &Args, wanted: &Sample) -> Result<Option<Sample>, Failure> {
    let Some(path) = &args.extend else {
        return Ok(None);
    };
    let text = read_text(path, BYTES_MAX)?;
    let known =
        Sample::parse(&text).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))?;
    let is_same = known.target == wanted.target
        && known.tool == wanted.tool
        && known.commands == wanted.commands
        && known.library == wanted.library;
    if is_same {
        return Ok(Some(known));
    }
    Err(Failure::input(format!(
        "`{}` was measured for {} with {}, and not for {} with {}; designs of both do not go together: leave --extend out",
        path.display(),
        known.target,
        known.tool,
        wanted.target,
        wanted.tool
    )))
}
