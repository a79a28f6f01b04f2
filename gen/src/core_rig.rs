//! The accelerator's core, cycle by cycle: the model alone, or beside the Verilated RTL in lockstep.

use crate::accelerate::Compiled;
use crate::failure::Failure;
use crate::lockstep::{Bounded, rtl_failure};
use crate::wave::{CoreWave, RecordedCore};
use std::path::Path;
use xnorforge_hdl::Package;
use xnorforge_sim::accelerator::{
    AcceleratorModel, Core, CoreDriver, CoreError, CoreLockstep, StreamStalls, reset,
};
use xnorforge_sim::network::Tensor;
use xnorforge_sim::program::LOAD_WEIGHTS;
use xnorforge_sim::verilator::{
    ArrayOptions, Assertions, TraceWindow, VerilatedAccelerator, VerilatedArrayError,
};
use xnorforge_sim::wave::{CYCLES_BEFORE_DEFAULT, divergence_waveform};
use xnorforge_sim::{Divergence, SimulatorError, Verilator};

/// Cycles without a handshake after which a core hangs: more than any descriptor of a network takes between two.
const HANG_LIMIT: u64 = 50_000_000;

/// What a network gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// The network's outputs for all inputs.
    pub outputs: Vec<Tensor>,
    /// Cycles of all runs, without loading the program and resident weights.
    pub cycles: u64,
    /// Cycles of loading resident weights, once for all networks of a program.
    pub weight_load_cycles: u64,
}

/// Loads a program into a core and runs networks of it, one after the other, on all inputs. The core must have been reset
/// if it is two in lockstep.
///
/// # Errors
/// As [`CoreDriver::run`].
pub fn drive(
    core: &mut dyn Core,
    networks: &[Compiled],
    inputs: &Tensor,
    stalls: &StreamStalls,
) -> Result<Vec<Ran>, CoreError> {
    let Some(Compiled { program, .. }) = networks.first() else {
        return Ok(Vec::new());
    };
    let mut driver = CoreDriver::new(core, stalls, HANG_LIMIT)?;
    driver.load(program)?;
    let weight_load_cycles = match program.entry(LOAD_WEIGHTS) {
        Some(entry) => driver.run(entry, &[])?.cycles,
        None => 0,
    };
    let ran = networks.iter().map(|compiled| {
        let (outputs, cycles) = run_entry(&mut driver, compiled, inputs)?;
        Ok(Ran {
            outputs,
            cycles,
            weight_load_cycles,
        })
    });
    ran.collect()
}

fn run_entry(
    driver: &mut CoreDriver<'_>,
    compiled: &Compiled,
    inputs: &Tensor,
) -> Result<(Vec<Tensor>, u64), CoreError> {
    let runs = compiled.runs(inputs.images) as usize;
    let (mut outputs, mut cycles) = (Vec::new(), 0);
    // A start takes at most 65,535 runs.
    for first in (0..runs).step_by(1 << 15) {
        let batches: Vec<Tensor> = (first..runs.min(first + (1 << 15)))
            .map(|run| compiled.batch(inputs, run))
            .collect();
        let found = driver.run(compiled.entry(), &batches)?;
        cycles += found.cycles;
        for tensors in found.tensors {
            append(&mut outputs, tensors);
        }
    }
    for output in &mut outputs {
        // The last batch was filled up.
        output.images = inputs.images;
        output.values.truncate(inputs.images * output.shape.len());
    }
    Ok((outputs, cycles))
}

fn append(outputs: &mut Vec<Tensor>, tensors: Vec<Tensor>) {
    if outputs.is_empty() {
        *outputs = tensors;
        return;
    }
    for (output, tensor) in outputs.iter_mut().zip(tensors) {
        output.images += tensor.images;
        output.values.extend(tensor.values);
    }
}

/// Runs on the cycle-accurate model alone, with a waveform if there is one.
///
/// # Errors
/// A model that hangs or reports an error: a bug.
///
/// # Panics
/// If there is no network.
pub fn step(
    networks: &[Compiled],
    inputs: &Tensor,
    wave: Option<&mut CoreWave>,
) -> Result<Vec<Ran>, Failure> {
    let design = networks[0].program.design();
    let mut core: Box<dyn Core> = match wave {
        Some(wave) => Box::new(RecordedCore::new(design, wave)),
        None => Box::new(AcceleratorModel::new(design)),
    };
    drive(core.as_mut(), networks, inputs, &StreamStalls::NONE).map_err(failure)
}

/// How a run in lockstep ended.
#[derive(Debug)]
pub enum Ending {
    /// All results came, and model and RTL agreed in every cycle.
    Done(Vec<Ran>),
    /// So many cycles were stepped as asked for, without a difference.
    CyclesReached,
    /// They differ.
    Diverged(Divergence),
}

/// Model and RTL of an accelerator, ready to be stepped side by side.
#[derive(Debug)]
pub struct CoreRig {
    verilator: Verilator,
    package: Package,
}

impl CoreRig {
    /// Finds Verilator.
    ///
    /// # Errors
    /// A missing tool.
    pub fn new(package: Package) -> Result<Self, Failure> {
        Ok(CoreRig {
            verilator: Verilator::find()
                .map_err(Failure::tool)?
                .with_assertions(Assertions::On),
            package,
        })
    }

    /// Builds the Verilated RTL, unless it is in the cache.
    ///
    /// # Errors
    /// A failing tool; Verilog that is not what the configuration says.
    pub fn build(&self) -> Result<(), Failure> {
        self.rtl(0, None).map(drop).map_err(rtl_failure)
    }

    fn rtl(
        &self,
        seed: u64,
        trace: Option<TraceWindow>,
    ) -> Result<VerilatedAccelerator, VerilatedArrayError> {
        let options = ArrayOptions {
            // The low 32 bits will do: correct RTL behaves the same for every seed.
            seed: seed as u32,
            trace,
        };
        VerilatedAccelerator::new(&self.verilator, &self.package, &options)
    }

    /// Runs networks of one program on both, one after the other.
    ///
    /// # Errors
    /// A failing tool, a hang, an error that the core reports.
    ///
    /// # Panics
    /// If there is no network.
    pub fn run(
        &self,
        networks: &[Compiled],
        inputs: &Tensor,
        stalls: &StreamStalls,
        cycles_max: Option<u64>,
    ) -> Result<Ending, Failure> {
        let rtl = self.rtl(stalls.seed, None).map_err(rtl_failure)?;
        lockstep(rtl, networks, inputs, stalls, cycles_max).map_err(failure)
    }

    /// As [`CoreRig::run`] without stalls, with a waveform.
    ///
    /// # Errors
    /// As [`CoreRig::run`].
    ///
    /// # Panics
    /// If there is no network.
    pub fn run_traced(
        &self,
        networks: &[Compiled],
        inputs: &Tensor,
        window: TraceWindow,
    ) -> Result<Ending, Failure> {
        let rtl = self.rtl(0, Some(window)).map_err(rtl_failure)?;
        lockstep(rtl, networks, inputs, &StreamStalls::NONE, None).map_err(failure)
    }

    /// Repeats a run that diverged and writes a waveform of the cycles before the divergence.
    ///
    /// # Errors
    /// A failing tool, or a run that cannot be repeated.
    pub fn write_wave(
        &self,
        networks: &[Compiled],
        inputs: &Tensor,
        stalls: &StreamStalls,
        divergence: &Divergence,
        path: &Path,
    ) -> Result<TraceWindow, Failure> {
        divergence_waveform(divergence, CYCLES_BEFORE_DEFAULT, path, |window| {
            let rtl = self.rtl(stalls.seed, Some(window))?;
            Ok::<_, RepeatError>(match lockstep(rtl, networks, inputs, stalls, None)? {
                Ending::Diverged(divergence) => Some(divergence),
                Ending::Done(_) | Ending::CyclesReached => None,
            })
        })
        .map_err(Failure::tool)
    }
}

/// Why a run could not be repeated.
#[derive(Debug, thiserror::Error)]
enum RepeatError {
    #[error(transparent)]
    Rtl(#[from] VerilatedArrayError),
    #[error(transparent)]
    Core(#[from] CoreError),
}

fn lockstep(
    mut rtl: VerilatedAccelerator,
    networks: &[Compiled],
    inputs: &Tensor,
    stalls: &StreamStalls,
    cycles_max: Option<u64>,
) -> Result<Ending, CoreError> {
    let mut model = AcceleratorModel::new(networks[0].program.design());
    reset(&mut model)?;
    reset(&mut rtl)?;
    let mut pair = Bounded::new(CoreLockstep::new(model, rtl), cycles_max);
    match drive(&mut pair, networks, inputs, stalls) {
        Ok(ran) => Ok(Ending::Done(ran)),
        Err(_) if pair.reached => Ok(Ending::CyclesReached),
        Err(CoreError::Simulator(SimulatorError::Divergence(divergence))) => {
            Ok(Ending::Diverged(*divergence))
        }
        Err(error) => Err(error),
    }
}

fn failure(error: CoreError) -> Failure {
    match error {
        CoreError::Probability { .. } | CoreError::Program(_) | CoreError::Runs(_) => {
            Failure::input(error)
        }
        _ => Failure::Check(error.to_string()),
    }
}
