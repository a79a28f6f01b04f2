//! Model and Verilated RTL in lockstep through the driver, with what a user needs when they differ: where, and
//! a waveform.

use crate::engine::{PRODUCT, lower_error};
use crate::failure::Failure;
use std::path::Path;
use xnorforge_hdl::{Design, Package};
use xnorforge_sim::accelerator::{Core, CoreInputs, CoreOutputs};
use xnorforge_sim::verilator::{
    ArrayOptions, Assertions, ToolError, TraceWindow, VerilatedArrayError,
};
use xnorforge_sim::wave::{CYCLES_BEFORE_DEFAULT, divergence_waveform};
use xnorforge_sim::{
    Divergence, DriveError, Driven, Gemm, Inputs, Lockstep, Lowered, Model, Outputs, Simulator,
    SimulatorError, StallPlan, VerilatedArray, Verilator, drive,
};

/// The RTL of a design, ready to be stepped beside the model.
#[derive(Debug)]
pub struct Rig {
    design: Design,
    verilator: Verilator,
    files: Vec<(String, String)>,
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Stalls of the ports, and their seed.
    pub stalls: StallPlan,
    /// Stops after so many cycles.
    pub cycles_max: Option<u64>,
}

/// How a run in lockstep ended.
#[derive(Debug)]
pub enum Ending {
    /// All results came, and model and RTL agreed in every cycle.
    Done(Driven),
    /// So many cycles were stepped as the schedule allows, without a difference.
    CyclesReached,
    /// They differ.
    Diverged(Divergence),
}

impl Rig {
    /// Finds Verilator.
    ///
    /// # Errors
    /// A missing tool.
    pub fn new(design: &Design, files: Vec<(String, String)>) -> Result<Self, Failure> {
        Ok(Rig {
            design: design.clone(),
            verilator: Verilator::find()
                .map_err(Failure::tool)?
                .with_assertions(Assertions::On),
            files,
        })
    }

    /// Builds the Verilated RTL, unless it is in the cache; the first run does so otherwise.
    ///
    /// # Errors
    /// A failing tool; Verilog that is not what the configuration says.
    pub fn build(&self) -> Result<(), Failure> {
        VerilatedArray::new(
            &self.verilator,
            &self.design,
            &self.files,
            &ArrayOptions::default(),
        )
        .map(drop)
        .map_err(rtl_failure)
    }

    /// Drives a product through both.
    ///
    /// # Errors
    /// A product that does not fit, a failing tool, a hang.
    pub fn run(&self, gemm: &Gemm, schedule: &Schedule) -> Result<Ending, Failure> {
        let lowered = Lowered::new(&self.design, gemm).map_err(lower_error)?;
        self.drive(&lowered, schedule, None)
            .map_err(RigError::failure)
    }

    /// As [`Rig::run`] without stalls, with a waveform.
    ///
    /// # Errors
    /// As [`Rig::run`].
    pub fn run_traced(&self, gemm: &Gemm, window: TraceWindow) -> Result<Ending, Failure> {
        let lowered = Lowered::new(&self.design, gemm).map_err(lower_error)?;
        let schedule = Schedule {
            stalls: StallPlan::NONE,
            cycles_max: None,
        };
        self.drive(&lowered, &schedule, Some(window))
            .map_err(RigError::failure)
    }

    /// Repeats a run that diverged and writes a waveform of the cycles before the divergence.
    ///
    /// # Errors
    /// A failing tool, or a run that cannot be repeated.
    pub fn write_wave(
        &self,
        gemm: &Gemm,
        schedule: &Schedule,
        divergence: &Divergence,
        path: &Path,
    ) -> Result<TraceWindow, Failure> {
        let lowered = Lowered::new(&self.design, gemm).map_err(lower_error)?;
        divergence_waveform(divergence, CYCLES_BEFORE_DEFAULT, path, |window| {
            Ok::<_, RigError>(match self.drive(&lowered, schedule, Some(window))? {
                Ending::Diverged(divergence) => Some(divergence),
                Ending::Done(_) | Ending::CyclesReached => None,
            })
        })
        .map_err(Failure::tool)
    }

    fn drive(
        &self,
        lowered: &Lowered,
        schedule: &Schedule,
        trace: Option<TraceWindow>,
    ) -> Result<Ending, RigError> {
        let options = ArrayOptions {
            // The low 32 bits will do: correct RTL behaves the same for every seed.
            seed: schedule.stalls.seed as u32,
            trace,
        };
        let rtl = VerilatedArray::new(&self.verilator, &self.design, &self.files, &options)?;
        let lockstep = Lockstep::new(Model::new(&self.design), rtl);
        let mut pair = Bounded::new(lockstep, schedule.cycles_max);
        match drive(&mut pair, lowered, &schedule.stalls) {
            Ok(driven) => Ok(Ending::Done(driven)),
            Err(_) if pair.reached => Ok(Ending::CyclesReached),
            Err(DriveError::Simulator(SimulatorError::Divergence(divergence))) => {
                Ok(Ending::Diverged(*divergence))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Files of a package, as the Verilator bridge takes them.
pub fn verilog_files(rtl: &Package) -> Vec<(String, String)> {
    rtl.simulation_files()
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect()
}

/// Why a run in lockstep failed, other than by a divergence.
#[derive(Debug, thiserror::Error)]
enum RigError {
    #[error(transparent)]
    Array(#[from] VerilatedArrayError),
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl RigError {
    fn failure(self) -> Failure {
        match self {
            RigError::Array(e) => rtl_failure(e),
            RigError::Drive(e @ DriveError::Probability { .. }) => Failure::input(e),
            RigError::Drive(e) => Failure::Check(format!("layer `{PRODUCT}`: {e}")),
        }
    }
}

/// Why Verilated RTL cannot be made or stepped.
pub(crate) fn rtl_failure(error: VerilatedArrayError) -> Failure {
    match error {
        // The Verilog is not what the configuration says: wrong input, no fault of the tool.
        VerilatedArrayError::Tool(e @ (ToolError::Source(_) | ToolError::Port { .. })) => {
            Failure::input(e)
        }
        VerilatedArrayError::Tool(e) => Failure::tool(e),
        VerilatedArrayError::Simulator(e) => Failure::Check(e.to_string()),
    }
}

/// A simulator or a core that stops after a number of cycles.
pub(crate) struct Bounded<S> {
    inner: S,
    cycles_max: u64,
    /// Whether it stopped.
    pub reached: bool,
}

impl<S> Bounded<S> {
    pub fn new(inner: S, cycles_max: Option<u64>) -> Self {
        Bounded {
            inner,
            cycles_max: cycles_max.unwrap_or(u64::MAX),
            reached: false,
        }
    }

    /// The inner one for a step in cycle `cycle` of it, or an error that ends the drive; `reached` tells it from a real
    /// hang.
    fn next(&mut self, cycle: impl Fn(&S) -> u64) -> Result<&mut S, SimulatorError> {
        if cycle(&self.inner) >= self.cycles_max {
            self.reached = true;
            return Err(SimulatorError::Hang {
                cycles: self.cycles_max,
            });
        }
        Ok(&mut self.inner)
    }
}

impl<S: Simulator> Simulator for Bounded<S> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        self.next(S::cycle)?.step(inputs)
    }

    fn cycle(&self) -> u64 {
        self.inner.cycle()
    }
}

impl<C: Core> Core for Bounded<C> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        self.next(C::cycle)?.step(inputs)
    }

    fn cycle(&self) -> u64 {
        self.inner.cycle()
    }
}
