//! `simulate --model`: a whole network on the accelerator.

use super::{
    Args, SCHEMA, SCHEMA_VERSION, print_accuracy, print_checks, print_wave, require_accuracy,
};
use crate::accelerate::{self, Compiled, LayerReport, Report, Total};
use crate::commands::generate::{self, Interface};
use crate::core_rig;
use crate::engine::{self, Check, Mode};
use crate::failure::Failure;
use crate::graph;
use crate::imported::{ImportReport, LoadedModel, print_errors};
use crate::io::ArrayFile;
use crate::manifest::{GENERATOR, Generator, json_bytes};
use crate::output;
use crate::terminal::Terminal;
use crate::wave::CoreWave;
use crate::workload;
use serde::Serialize;
use std::path::Path;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::reference::Trace;
use xnorforge_sim::network::{Operation, Output, Tensor};

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    schema_version: u32,
    generator: Generator,
    configuration: &'a ArrayConfig,
    configuration_sha256: String,
    mode: Mode,
    inputs: usize,
    seed: u64,
    operations_per_binary_operation_pair: u32,
    input: &'a LayerReport,
    layers: Vec<Layer<'a>>,
    total: &'a Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<ImportReport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<&'a [Check]>,
}

#[derive(Serialize)]
struct Layer<'a> {
    #[serde(flatten)]
    report: &'a LayerReport,
    /// One list for each input, in the order channel, line, pixel.
    #[serde(skip_serializing_if = "Option::is_none")]
    accumulators: Option<Vec<Vec<i64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<Vec<i64>>>,
}

/// Runs the command.
///
/// # Errors
/// Wrong input; integers or an accuracy that are not as asked.
pub fn run(args: &Args, model: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let design = args.config.accelerator_design()?;
    let loaded = LoadedModel::load(model, &args.work, &args.data)?;
    let inputs = loaded.inputs(&args.data)?;
    let labels = args.labels.as_deref();
    let labels = labels
        .map(|path| workload::read_labels(path, inputs.images))
        .transpose()?;
    let expected = args.expected.as_deref().map(ArrayFile::open).transpose()?;
    let network = loaded.network.clone();
    let compiled = Compiled::new(&design, network, inputs.images, args.batch)?;
    let trace = accelerate::execute(&compiled.network, &inputs)?;
    let report = Report::new(&compiled, inputs.images);
    if args.step {
        terminal.note("stepping the cycle-accurate model");
        let mut wave = match &args.wave {
            Some(path) => Some(create_wave(path, &design)?),
            None => None,
        };
        check_step(&compiled, &inputs, &trace, &report, wave.as_mut())?;
        if let (Some(wave), Some(path)) = (wave, &args.wave) {
            print_wave(terminal, wave.finish()?, path);
        }
    }
    let checks = expected
        .map(|file| accelerate::check_expected(&file, &loaded.stored(&inputs, &trace)))
        .transpose()?;
    let labels = labels.as_deref();
    let outputs = trace.of_network(&compiled.network, &inputs);
    let accuracy = labels
        .zip(outputs.last())
        .map(|(labels, scores)| loaded.accuracy(scores, labels));
    let import = loaded.import.as_ref();
    let float = import
        .map(|import| import.float_report(&args.data, inputs.images, labels))
        .transpose()?
        .flatten();

    if let Some(import) = import {
        import.print(terminal);
        terminal.line("");
    }
    if let Some(float) = &float {
        print_errors(terminal, float);
        terminal.line("");
    }

    accelerate::print_layers(terminal, &report);
    terminal.line("");
    accelerate::print_causes(terminal, &report);
    if let Some(accuracy) = accuracy {
        print_accuracy(terminal, accuracy, inputs.images);
    }
    print_checks(terminal, checks.as_deref().unwrap_or_default());
    if let Some(path) = &args.json {
        let config = design.design().config();
        let json = Json {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR,
            configuration: config,
            configuration_sha256: config.accelerator_hash(),
            mode: if args.step { Mode::Step } else { Mode::Run },
            inputs: inputs.images,
            seed: args.data.seed,
            operations_per_binary_operation_pair: 2,
            input: &report.input,
            layers: layers(&compiled, &report, &trace, args.dump),
            total: &report.total,
            accuracy,
            import: import.map(|import| import.report(float.as_ref())),
            checks: checks.as_deref(),
        };
        output::write_file(path, &json_bytes(&json))?;
    }
    engine::require_equal(checks.as_deref().unwrap_or_default(), "--expected")?;
    require_accuracy(accuracy, args.accuracy_min)
}

fn create_wave(path: &Path, design: &AcceleratorDesign) -> Result<CoreWave, Failure> {
    let package = generate::emit(design.design(), Interface::Stream)?;
    CoreWave::create(path, design, &package.top, &package.ports)
}

/// Holds the integers and cycles of `run()` to the model, every cycle of which is stepped.
fn check_step(
    compiled: &Compiled,
    inputs: &Tensor,
    trace: &Trace,
    report: &Report,
    wave: Option<&mut CoreWave>,
) -> Result<(), Failure> {
    let ran = &core_rig::step(std::slice::from_ref(compiled), inputs, wave)?[0];
    let bug = "please report this as a bug with the configuration and the model";
    if ran.outputs != trace.of_network(&compiled.network, inputs) {
        return Err(Failure::Check(format!(
            "the stepped model's results are not those of the packed kernels; {bug}"
        )));
    }
    let (stepped, formula) = (
        (ran.weight_load_cycles, ran.cycles),
        (report.total.weight_load_cycles, report.total.cycles),
    );
    if stepped != formula {
        return Err(Failure::Check(format!(
            "the model took {} cycles of loading weights and {} of running, the closed formulas say {} and {}; {bug}",
            stepped.0, stepped.1, formula.0, formula.1
        )));
    }
    Ok(())
}

fn layers<'a>(
    compiled: &Compiled,
    report: &'a Report,
    trace: &Trace,
    dump: bool,
) -> Vec<Layer<'a>> {
    let layers = compiled.network.layers.iter().zip(&report.layers);
    layers
        .enumerate()
        .map(|(index, (layer, report))| {
            let has_codes = matches!(
                (&layer.operation, &layer.output),
                (Operation::MaxPool(_), _) | (_, Output::Codes(_))
            );
            Layer {
                report,
                accumulators: dump.then(|| planes(&trace.accumulators[index])),
                codes: (dump && has_codes).then(|| planes(&trace.outputs[index])),
            }
        })
        .collect()
}

/// The numbers of each image in the order channel, line, pixel, as model files have them.
fn planes(tensor: &Tensor) -> Vec<Vec<i64>> {
    let channels = tensor.shape.channels as usize;
    let images = tensor.values.chunks_exact(tensor.shape.len());
    images.map(|image| graph::planes(image, channels)).collect()
}
