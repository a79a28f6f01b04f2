//! `xnorforge simulate`: a network or a product on the cycle-accurate model.

mod network;

use crate::config::ConfigArgs;
use crate::engine::{self, Check, LayerReport, Mode, Total};
use crate::failure::Failure;
use crate::io::ArrayFile;
use crate::manifest::{GENERATOR, Generator, json_bytes};
use crate::output;
use crate::terminal::{Terminal, thousands};
use crate::wave::ArrayWave;
use crate::workload::{DataArgs, WorkArgs};
use serde::Serialize;
use std::path::{Path, PathBuf};
use xnorforge_hdl::ArrayConfig;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge simulate --gemm 64x512x128 --bits 2x2
  xnorforge simulate --config large --model resnet18 --inputs 1
  xnorforge simulate --config default --model testbenches/cases/a_mlp_odd_w2a2/model.npz \\
      --input testbenches/cases/a_mlp_odd_w2a2/test.npz --labels testbenches/cases/a_mlp_odd_w2a2/test.npz \\
      --expected testbenches/cases/a_mlp_odd_w2a2/test.npz --json build/report.json

Cycles run from the first column constant to the last result of each layer. One binary operation pair (xnor and add)
counts as 2 operations; utilization is the share of the array's that the product needs.";

/// Name of the JSON report.
const SCHEMA: &str = "xnorforge-simulate";
/// Raised when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Step every register through every cycle, instead of whole products with the same results and cycles
    #[arg(long)]
    step: bool,
    /// Waveform (VCD) of the ports and control registers, the first 100,000 cycles
    #[arg(long, value_name = "FILE", requires = "step")]
    wave: Option<PathBuf>,
    /// Images that the accelerator takes in one run of its program; as many as fit, without it
    #[arg(long, value_name = "COUNT", requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Class labels: .npy, or .npz with an array `labels`; gives the accuracy
    #[arg(long, value_name = "FILE", requires = "model")]
    labels: Option<PathBuf>,
    /// Exit code 1 if the accuracy (0 to 1) is lower
    #[arg(long, value_name = "SHARE", requires = "labels")]
    accuracy_min: Option<f64>,
    /// Integers that must come out: .npz with l1_acc, l1_act, l2_acc, ..., or with arrays that have the names of tensors of
    /// an .onnx; exit code 1 if one differs
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the integers of every layer into --json
    #[arg(long, requires = "json")]
    dump: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    schema_version: u32,
    generator: Generator,
    configuration: &'a ArrayConfig,
    configuration_sha256: String,
    mode: Mode,
    inputs: usize,
    seed: u64,
    operations_per_binary_operation_pair: u32,
    layers: [Layer<'a>; 1],
    total: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<&'a [Check]>,
}

#[derive(Serialize)]
struct Layer<'a> {
    #[serde(flatten)]
    report: &'a LayerReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    accumulators: Option<Vec<&'a [i64]>>,
}

/// Runs the command.
///
/// # Errors
/// Wrong input; integers or an accuracy that are not as asked.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(model) = &args.work.model {
        return network::run(args, model, terminal);
    }
    let design = args.config.design()?;
    let gemm = args.data.operands(args.work.product(design.config())?)?;
    let expected = args.expected.as_deref().map(ArrayFile::open).transpose()?;
    let mode = if args.step { Mode::Step } else { Mode::Run };
    let mut wave = match &args.wave {
        Some(path) => Some(ArrayWave::create(path, &design)?),
        None => None,
    };
    let (results, report) = engine::run(&design, &gemm, mode, wave.as_mut())?;
    if let (Some(wave), Some(path)) = (wave, &args.wave) {
        print_wave(terminal, wave.finish()?, path);
    }
    let columns = gemm.weights().vectors();
    let checks = expected
        .map(|file| engine::check_expected(&file, columns, &results).map(|check| [check]))
        .transpose()?;
    let checks = checks.as_ref().map(<[Check; 1]>::as_slice);

    engine::print(terminal, &report);
    print_checks(terminal, checks.unwrap_or_default());
    if let Some(path) = &args.json {
        let json = Report {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR,
            configuration: design.config(),
            configuration_sha256: design.config().hash(),
            mode,
            inputs: gemm.activations().vectors(),
            seed: args.data.seed,
            operations_per_binary_operation_pair: 2,
            layers: [Layer {
                report: &report,
                accumulators: args.dump.then(|| results.chunks(columns).collect()),
            }],
            total: Total::from(&report),
            checks,
        };
        output::write_file(path, &json_bytes(&json))?;
    }
    engine::require_equal(checks.unwrap_or_default(), "--expected")
}

fn print_accuracy(terminal: &Terminal, accuracy: f64, inputs: usize) {
    terminal.line(format!("accuracy {accuracy:.4} on {inputs} inputs"));
}

fn print_wave(terminal: &Terminal, cycles: u64, path: &Path) {
    terminal.note(format!(
        "{} cycles in {}",
        thousands(cycles.into()),
        path.display()
    ));
}

fn print_checks(terminal: &Terminal, checks: &[Check]) {
    for check in checks {
        let verdict = match check.different {
            0 => "all equal".to_owned(),
            different => format!("{} DIFFER", thousands(different.into())),
        };
        terminal.line(format!(
            "{}: {} integers checked, {verdict}",
            check.array,
            thousands(check.compared.into())
        ));
    }
}

fn require_accuracy(accuracy: Option<f64>, minimum: Option<f64>) -> Result<(), Failure> {
    match (accuracy, minimum) {
        (Some(accuracy), Some(minimum)) if accuracy < minimum => Err(Failure::Check(format!(
            "the accuracy is {accuracy:.4}, below the {minimum:.4} that --accuracy-min asks for"
        ))),
        _ => Ok(()),
    }
}
