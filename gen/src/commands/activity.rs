//! `xnorforge activity`: how often the nets of a design change while it works.

use super::generate::{self, Interface};
use crate::accelerate::{Compiled, Report as NetworkReport};
use crate::activity::nets::Nets;
use crate::activity::scale::{Ran, SCHEMA, SCHEMA_VERSION};
use crate::activity::{Activity, Coefficients, watch};
use crate::config::{ConfigArgs, read_text};
use crate::core_rig::{self, CoreRig};
use crate::engine::lower_error;
use crate::failure::Failure;
use crate::imported::LoadedModel;
use crate::lockstep::{self, Rig, verilog_files};
use crate::manifest::{GENERATOR, Generator, json_bytes};
use crate::output;
use crate::terminal::{Terminal, percent, thousands};
use crate::workload::{DataArgs, WorkArgs};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use xnorforge_hdl::{ArrayConfig, Package};
use xnorforge_sim::program::timing::Cause;
use xnorforge_sim::{CycleReport, Divergence};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge activity --config tiny --gemm 16x64x12 --bits 2x2
  xnorforge activity --config small --model testbenches/cases/a_mlp_odd_w2a2/model.npz \\
      --input testbenches/cases/a_mlp_odd_w2a2/test.npz --inputs 4
  xnorforge activity --config tiny --gemm 16x64x12 --coefficients femtojoules.toml

The RTL runs in lockstep with the model, without stalls, and every change of a bit of a net is counted, module by module.
Counts compare designs, bits and networks; they are no energy. A file of coefficients makes them one:

  source = \"where the numbers come from\"   # printed beside the result
  default_fj = 1.0                         # femtojoule for each toggle
  [parts_fj]
  elements = 0.8                           # of a part of the design
  [kinds_fj]
  accumulator = 1.2                        # of a kind of module

Clock trees, what memories take inside, glitches and leakage are in none of these numbers. Needs verilator and g++.";

/// Longest file of coefficients, in bytes.
const COEFFICIENTS_BYTES_MAX: u64 = 1 << 20;
/// A net of the core's top module: 1 while a program runs.
const BUSY: &str = "busy";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Images that the accelerator takes in one run of its program; as many as fit, without it
    #[arg(long, value_name = "COUNT", requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// What a toggle costs, in TOML (below), for an estimate of switching energy
    #[arg(long, value_name = "FILE")]
    coefficients: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What ran, and how its nets changed.
struct Watched {
    ran: Ran,
    configuration: ArrayConfig,
    package: Package,
    inputs: u64,
    /// Cycles in which the array takes operands, and results of products.
    beats: u64,
    results: u64,
    binary_operation_pairs: u128,
    activity: Activity,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    schema_version: u32,
    generator: Generator,
    ran: Ran,
    configuration: &'a ArrayConfig,
    configuration_sha256: String,
    top: &'a str,
    seed: u64,
    inputs: u64,
    beats: u64,
    results: u64,
    binary_operation_pairs: u128,
    toggles: u64,
    toggles_per_cycle: f64,
    toggles_per_binary_operation_pair: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    coefficients: Option<&'a Coefficients>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switching_energy_fj: Option<f64>,
    #[serde(flatten)]
    activity: &'a Activity,
}

/// Runs the command.
///
/// # Errors
/// Wrong input, a missing tool, a divergence.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(path) = &args.json {
        output::check_file(path)?;
    }
    let coefficients = args.coefficients.as_deref().map(read_coefficients);
    let coefficients = coefficients.transpose()?;
    let mut watched = match &args.work.model {
        Some(model) => watch_network(args, model, terminal)?,
        None => watch_product(args, terminal)?,
    };
    if let (Some(coefficients), Some(path)) = (&coefficients, &args.coefficients) {
        let applied = watched.activity.apply(coefficients);
        applied.map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))?;
    }
    print(terminal, &watched, coefficients.as_ref());
    let Some(path) = &args.json else {
        return Ok(());
    };
    let (activity, pairs) = (&watched.activity, watched.binary_operation_pairs);
    let report = Report {
        schema: SCHEMA,
        schema_version: SCHEMA_VERSION,
        generator: GENERATOR,
        ran: watched.ran,
        configuration: &watched.configuration,
        configuration_sha256: watched.configuration.hash(),
        top: &watched.package.top,
        seed: args.data.seed,
        inputs: watched.inputs,
        beats: watched.beats,
        results: watched.results,
        binary_operation_pairs: pairs,
        toggles: activity.toggles(),
        toggles_per_cycle: activity.toggles() as f64 / activity.cycles.max(1) as f64,
        toggles_per_binary_operation_pair: activity.toggles() as f64 / pairs.max(1) as f64,
        coefficients: coefficients.as_ref(),
        switching_energy_fj: activity.energy_fj(),
        activity,
    };
    output::write_file(path, &json_bytes(&report))
}

fn read_coefficients(path: &Path) -> Result<Coefficients, Failure> {
    let text = read_text(path, COEFFICIENTS_BYTES_MAX)?;
    Coefficients::parse(&text).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
}

/// A product on the array.
fn watch_product(args: &Args, terminal: &Terminal) -> Result<Watched, Failure> {
    let design = args.config.design()?;
    let gemm = args.data.operands(args.work.product(design.config())?)?;
    let package = generate::emit(&design, Interface::Array)?;
    let rig = Rig::new(&design, verilog_files(&package))?;
    terminal.note("building the Verilated RTL with waveforms (it is kept in the cache folder)");
    let nets = Nets::new(&package);
    let (ending, counted) =
        watch(&nets, None, |window| rig.run_traced(&gemm, window)).map_err(unreadable)?;
    match ending? {
        lockstep::Ending::Done(_) => {}
        lockstep::Ending::Diverged(divergence) => return Err(diverged(&divergence)),
        lockstep::Ending::CyclesReached => return Err(unfinished()),
    }
    Ok(Watched {
        ran: Ran::Array,
        configuration: design.config().clone(),
        activity: Activity::new(&package, &counted, 0..),
        package,
        inputs: gemm.shape().rows,
        beats: CycleReport::of_shape(&design, &gemm.shape())
            .map_err(lower_error)?
            .beats,
        results: gemm.shape().rows * gemm.shape().columns,
        binary_operation_pairs: gemm.shape().binary_pairs().into(),
    })
}

/// A network on the accelerator.
fn watch_network(args: &Args, model: &Path, terminal: &Terminal) -> Result<Watched, Failure> {
    let design = args.config.accelerator_design()?;
    let loaded = LoadedModel::load(model, &args.work, &args.data)?;
    let inputs = loaded.inputs(&args.data)?;
    let network = loaded.network.clone();
    let compiled = [Compiled::new(&design, network, inputs.images, args.batch)?];
    let package = generate::emit(design.design(), Interface::Stream)?;
    let nets = Nets::new(&package);
    let rig = CoreRig::new(package.clone())?;
    terminal.note("building the Verilated RTL with waveforms (it is kept in the cache folder)");
    let (ending, counted) = watch(&nets, Some(BUSY), |window| {
        rig.run_traced(&compiled, &inputs, window)
    })
    .map_err(unreadable)?;
    let ran = match ending? {
        core_rig::Ending::Done(ran) => ran,
        core_rig::Ending::Diverged(divergence) => return Err(diverged(&divergence)),
        core_rig::Ending::CyclesReached => return Err(unfinished()),
    };
    // Loading resident weights is a run of its own, once for a program, and not counted.
    let loads = usize::from(ran[0].weight_load_cycles > 0);
    let report = NetworkReport::new(&compiled[0], inputs.images);
    let busy = report
        .layers
        .iter()
        .map(|layer| layer.causes.get(&Cause::Busy));
    let beats = busy.flatten().sum();
    Ok(Watched {
        ran: Ran::Accelerator,
        configuration: design.design().config().clone(),
        activity: Activity::new(&package, &counted, loads..),
        package,
        inputs: inputs.images as u64,
        beats,
        results: inputs.images as u64 * loaded.network.outline().map_err(Failure::input)?.results(),
        binary_operation_pairs: report.total.operations / 2,
    })
}

fn unreadable(error: io::Error) -> Failure {
    Failure::tool(format!(
        "the waveform of the Verilated RTL cannot be read: {error}"
    ))
}

fn diverged(divergence: &Divergence) -> Failure {
    Failure::Check(format!(
        "model and RTL differ, so nothing was counted: {divergence}; `xnorforge cosim` with the same arguments has the details"
    ))
}

fn unfinished() -> Failure {
    Failure::Check("the run did not end".to_owned())
}

fn print(terminal: &Terminal, watched: &Watched, coefficients: Option<&Coefficients>) {
    let activity = &watched.activity;
    let (cycles, all) = (
        activity.cycles.max(1) as f64,
        activity.toggles().max(1) as f64,
    );
    let row = |name: &str, bits: u64, toggles: u64| {
        vec![
            name.to_owned(),
            thousands(bits.into()),
            format!("{:.1}", toggles as f64 / cycles),
            format!("{:.3}", toggles as f64 / (bits.max(1) as f64 * cycles)),
            percent(toggles as f64 / all),
        ]
    };
    let parts = activity
        .parts()
        .into_iter()
        .filter(|(_, bits, _)| *bits > 0);
    let parts: Vec<_> = parts
        .map(|(part, bits, toggles)| row(part.name(), bits, toggles))
        .collect();
    let columns = [">net bits", ">toggles/cycle", ">of a bit", ">share"];
    let table = |name, rows: &[Vec<String>]| {
        let columns: Vec<&str> = [name].into_iter().chain(columns).collect();
        terminal.table(&columns, rows);
    };
    table("part", &parts);
    let kinds = activity.kinds.iter().filter(|kind| kind.toggles > 0);
    let kinds: Vec<_> = kinds
        .map(|kind| row(&kind.kind, kind.net_bits, kind.toggles))
        .collect();
    table("kind of module", &kinds);
    terminal.line(format!(
        "{} toggles in {} cycles, {:.3} for each binary operation pair",
        thousands(activity.toggles().into()),
        thousands(activity.cycles.into()),
        activity.toggles() as f64 / watched.binary_operation_pairs.max(1) as f64,
    ));
    if let (Some(coefficients), Some(energy)) = (coefficients, activity.energy_fj()) {
        terminal.line(format!(
            "switching energy of nets by coefficients of \"{}\": {:.4} nJ, {:.4} nJ for each input, {:.3} fJ for each binary operation pair; \
             clock trees, memories' insides, glitches and leakage are not in it",
            coefficients.source,
            energy / 1e6,
            energy / 1e6 / watched.inputs.max(1) as f64,
            energy / watched.binary_operation_pairs.max(1) as f64,
        ));
    } else {
        terminal.line(
            "toggles compare designs, bits and networks; energy needs coefficients (--coefficients FILE)",
        );
    }
}
