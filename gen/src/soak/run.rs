//! One case: built, stepped beside the model, its results compared.

use super::axi::{AxiHost, serve};
use super::case::{Before, Case, NetworkRun, NetworkWork, Product, Work};
use super::stop::StopAfter;
use crate::commands::generate::{Interface, emit};
use crate::lockstep::verilog_files;
use std::panic::{AssertUnwindSafe, catch_unwind};
use xnorforge_hdl::Package;
use xnorforge_sim::accelerator::{
    AcceleratorModel, AxiLockstep, AxiModel, AxiTop, Core, CoreDriver, CoreError, CoreLockstep,
    StreamStalls, reset,
};
use xnorforge_sim::network::{Network, Tensor, reference};
use xnorforge_sim::program::LOAD_WEIGHTS;
use xnorforge_sim::verilator::{
    ArrayOptions, ModelSource, ToolError, TraceWindow, Tracing, VerilatedAccelerator, VerilatedAxi,
    array_source,
};
use xnorforge_sim::{
    Divergence, DriveError, Lockstep, Model, SimulatorError, VerilatedArray, Verilator, drive,
    drive_next, encoder, run,
};

/// Cycles without a handshake after which a core hangs: no descriptor of a drawn network takes as many between two.
const HANG_LIMIT: u64 = 300_000;

/// A change of the Verilog, to see that a soak finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// The module, without `xnf_` and the sizes in its name.
    pub module: String,
    /// The text that is replaced where it occurs first.
    pub from: String,
    /// What stands there instead.
    pub to: String,
}

impl Alteration {
    /// Reads `MODULE:FROM=>TO`.
    ///
    /// # Errors
    /// A text of another form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .and_then(|(module, rest)| Some((module, rest.split_once("=>")?)));
        match parts {
            Some((module, (from, to))) if !module.is_empty() && !from.is_empty() => {
                Ok(Alteration {
                    module: module.to_owned(),
                    from: from.to_owned(),
                    to: to.to_owned(),
                })
            }
            _ => Err("write it as MODULE:FROM=>TO".to_owned()),
        }
    }

    /// Changes the first file of the module that has the text; a design without it stays as it is.
    fn apply(&self, files: &mut [(String, String)]) {
        let prefix = format!("xnf_{}", self.module);
        let file = files
            .iter_mut()
            .find(|(name, text)| name.starts_with(&prefix) && text.contains(&self.from));
        if let Some((_, text)) = file {
            *text = text.replacen(&self.from, &self.to, 1);
        }
    }
}

/// What is wrong with a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In words.
    pub message: String,
    /// The first difference of model and RTL, if that is it.
    pub divergence: Option<Box<Divergence>>,
}

impl Fault {
    pub(super) fn new(message: impl std::fmt::Display) -> Self {
        Fault {
            message: message.to_string(),
            divergence: None,
        }
    }
}

impl From<SimulatorError> for Fault {
    fn from(error: SimulatorError) -> Self {
        let message = error.to_string();
        let divergence = match error {
            SimulatorError::Divergence(divergence) => Some(divergence),
            _ => None,
        };
        Fault {
            message,
            divergence,
        }
    }
}

impl From<DriveError> for Fault {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Simulator(error) => error.into(),
            error => Fault::new(error),
        }
    }
}

impl From<CoreError> for Fault {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Simulator(error) => error.into(),
            error => Fault::new(error),
        }
    }
}

/// The Verilog of a case.
#[derive(Clone, Debug)]
pub struct Rtl {
    /// What was emitted, with the alterations.
    pub source: ModelSource,
}

impl Rtl {
    /// Emits it.
    ///
    /// # Errors
    /// A [`Fault`]: every legal design can be emitted.
    pub fn new(case: &Case, alterations: &[Alteration]) -> Result<Self, Fault> {
        let package: Package = emit(&case.design, case.top).map_err(Fault::new)?;
        let mut source = match case.top {
            Interface::Array => array_source(&case.design, &verilog_files(&package)),
            Interface::Stream | Interface::Axi => ModelSource::of_package(&package),
        };
        for alteration in alterations {
            alteration.apply(&mut source.files);
        }
        Ok(Rtl { source })
    }
}

/// How a case ended.
pub type Verdict = Result<u64, Fault>;

/// Builds the RTL of a case and steps it beside the model. Gives the cycles, or what is wrong; with `trace`, the RTL
/// writes a waveform.
///
/// # Errors
/// A tool that fails for reasons of its own.
pub fn run_case(
    case: &Case,
    rtl: &Rtl,
    verilator: &Verilator,
    trace: Option<TraceWindow>,
) -> Result<Verdict, ToolError> {
    let tracing = trace.as_ref().map_or(Tracing::Off, |_| Tracing::Vcd);
    let library = match verilator.model_once(&rtl.source, tracing) {
        Ok(library) => library,
        Err(error) if is_about_the_verilog(&error) => return Ok(Err(Fault::new(error))),
        Err(error) => return Err(error),
    };
    let options = ArrayOptions {
        // Decides what registers hold before reset.
        seed: case.seed.wrapping_mul(31).wrapping_add(case.number) as u32,
        trace,
    };
    let stepped = catch_unwind(AssertUnwindSafe(|| -> Verdict {
        match &case.work {
            Work::Products(products) => {
                let rtl = VerilatedArray::of_library(&library, &case.design, &options)?;
                let pair = Lockstep::new(Model::new(&case.design), rtl);
                multiply(case, StopAfter::new(pair), products)
            }
            Work::Networks(work) if case.top == Interface::Axi => {
                let rtl = VerilatedAxi::of_library(&library, &options)?;
                behind_axi(AxiModel::new(&work.design), rtl, work)
            }
            Work::Networks(work) => {
                let mut rtl = VerilatedAccelerator::of_library(&library, &options)?;
                let mut model = AcceleratorModel::new(&work.design);
                reset(&mut model)?;
                reset(&mut rtl)?;
                infer(StopAfter::new(CoreLockstep::new(model, rtl)), work)
            }
        }
    }));
    Ok(stepped.unwrap_or_else(|panic| Err(Fault::new(panicked(panic.as_ref())))))
}

/// The networks of a case behind the AXI ports.
fn behind_axi(mut model: AxiModel, mut rtl: VerilatedAxi, work: &NetworkWork) -> Verdict {
    let mut ends = Vec::new();
    let tops: [&mut dyn AxiTop; 2] = [&mut model, &mut rtl];
    for top in tops {
        AxiHost::new(top, &StreamStalls::NONE).begin(&work.design)?;
        ends.push(top.cycle());
    }
    if ends[0] != ends[1] {
        return Err(Fault::new(format!(
            "resetting took {} cycles in the model and {} in the RTL",
            ends[0], ends[1]
        )));
    }
    let mut pair = AxiLockstep::new(model, rtl);
    serve(&mut AxiHost::new(&mut pair, &work.stalls), work)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the model panicked: {}", text.unwrap_or("no message"))
}

/// Whether Verilator complains about a line of the Verilog: a fault of what was emitted, and none of the machine's.
fn is_about_the_verilog(error: &ToolError) -> bool {
    match error {
        ToolError::Source(_) | ToolError::Port { .. } => true,
        ToolError::Failed { tool, excerpt, .. } => {
            *tool == "verilator" && excerpt.lines().any(|line| line.contains(": rtl/"))
        }
        _ => false,
    }
}

/// The products of a case, one after the other on the same array.
fn multiply(
    case: &Case,
    mut pair: StopAfter<Lockstep<Model, VerilatedArray>>,
    products: &[Product],
) -> Verdict {
    for (index, product) in products.iter().enumerate() {
        if let Before::Cut(cycles) = product.before {
            pair.stop().after(cycles);
            let begin = if index == 0 { drive } else { drive_next };
            let cut = begin(&mut pair, &product.lowered, &product.stalls);
            if !pair.stop().take() {
                cut?;
            }
        }
        let driven = match (index, product.before) {
            (1.., Before::Nothing) => drive_next(&mut pair, &product.lowered, &product.stalls)?,
            _ => drive(&mut pair, &product.lowered, &product.stalls)?,
        };
        let expected = encoder::gemm(&product.gemm);
        require_equal("the reference encoder", index, &driven.results, &expected)?;
        let report = run(&case.design, &product.gemm).map_err(Fault::new)?;
        require_equal("`run()`", index, &report.results, &expected)?;
        let stalls = product.stalls;
        let freely = stalls.operand + stalls.constant + stalls.result == 0.0;
        if freely && driven.cycles() != report.cycles.cycles {
            return Err(Fault::new(format!(
                "product {index} took {} cycles, and `run()` says {}",
                driven.cycles(),
                report.cycles.cycles
            )));
        }
    }
    Ok(pair.steps())
}

fn require_equal(whose: &str, index: usize, found: &[i64], expected: &[i64]) -> Result<(), Fault> {
    let pairs = found.iter().zip(expected);
    match pairs.enumerate().find(|(_, (a, b))| a != b) {
        None if found.len() == expected.len() => Ok(()),
        None => Err(Fault::new(format!(
            "job {index} gave {} results in place of {}",
            found.len(),
            expected.len()
        ))),
        Some((at, (a, b))) => Err(Fault::new(format!(
            "result {at} of job {index} is {a}, and {b} by {whose}"
        ))),
    }
}

/// The tensors that a network gave for each input of a run, beside those of the reference executor.
pub(super) fn require_reference(
    index: usize,
    network: &Network,
    run: &NetworkRun,
    given: &[Vec<Tensor>],
) -> Result<(), Fault> {
    for (input, tensors) in run.inputs.iter().zip(given) {
        let trace = reference::execute(network, input).map_err(Fault::new)?;
        for (found, expected) in tensors.iter().zip(trace.of_network(network, input)) {
            require_equal(
                "the reference executor",
                index,
                &found.values,
                &expected.values,
            )?;
        }
    }
    Ok(())
}

/// The networks of a case, one after the other on the same core.
fn infer(mut core: StopAfter<impl Core>, work: &NetworkWork) -> Verdict {
    let stop = core.stop().clone();
    let mut driver = CoreDriver::new(&mut core, &work.stalls, HANG_LIMIT)?;
    driver.load(&work.program)?;
    let mut busy = 0;
    if let Some(entry) = work.program.entry(LOAD_WEIGHTS) {
        busy += driver.run(entry, &[])?.cycles;
    }
    for (index, run) in work.runs.iter().enumerate() {
        let network = &work.networks[run.network];
        let entry = work.program.entry(&network.name);
        let entry = entry.ok_or_else(|| Fault::new("a network without an entry"))?;
        if let Before::Cut(cycles) = run.before {
            stop.after(cycles);
            let cut = driver.run(entry, &run.inputs);
            if !stop.take() {
                cut?;
            }
        }
        if run.before != Before::Nothing {
            driver.reset()?;
            busy = 0;
        }
        let ran = driver.run(entry, &run.inputs)?;
        busy += ran.cycles;
        require_reference(index, network, run, &ran.tensors)?;
    }
    let counters = driver.counters(&work.design)?;
    let counted: u64 = counters.iter().flatten().map(|n| u64::from(*n)).sum();
    if counted != busy {
        return Err(Fault::new(format!(
            "the counters hold {counted} cycles, and the core was busy for {busy}"
        )));
    }
    Ok(core.steps())
}
