//! Waveforms of some of a run's cycles.

use super::build::Tracing;
use super::model::VerilatedModel;
use crate::simulator::SimulatorError;
use std::path::PathBuf;

/// A waveform of some of a run's cycles. In the file, cycle `c` begins at time `2c` with the clock low, all inputs
/// set and the outputs that stand in it; at `2c + 1` the clock is high and the registers have taken their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceWindow {
    /// The VCD file; overwritten if it exists.
    pub path: PathBuf,
    /// The first cycle that is written.
    pub first_cycle: u64,
    /// The last one; later cycles are simulated but not written.
    pub last_cycle: u64,
}

/// Where a waveform stands.
#[derive(Debug)]
pub(super) enum Trace {
    Off,
    Waiting(TraceWindow),
    Open { last_cycle: u64 },
}

impl Trace {
    /// The waveform of a window, or none.
    pub fn new(window: Option<&TraceWindow>) -> Self {
        match window {
            None => Trace::Off,
            Some(window) => Trace::Waiting(window.clone()),
        }
    }

    /// How the model must be built for it.
    pub fn tracing(window: Option<&TraceWindow>) -> Tracing {
        match window {
            None => Tracing::Off,
            Some(_) => Tracing::Vcd,
        }
    }

    /// Opens the file in its first cycle.
    pub fn begin(&mut self, model: &mut VerilatedModel, cycle: u64) -> Result<(), SimulatorError> {
        if let Trace::Waiting(window) = self
            && (window.first_cycle..=window.last_cycle).contains(&cycle)
        {
            model.trace_open(&window.path)?;
            *self = Trace::Open {
                last_cycle: window.last_cycle,
            };
        }
        Ok(())
    }

    /// Writes one half of a cycle.
    pub fn dump(
        &self,
        model: &mut VerilatedModel,
        cycle: u64,
        half: u64,
    ) -> Result<(), SimulatorError> {
        match self {
            Trace::Open { .. } => model.trace_dump(2 * cycle + half),
            Trace::Off | Trace::Waiting(_) => Ok(()),
        }
    }

    /// Closes the file after its last cycle.
    pub fn end(&mut self, model: &mut VerilatedModel, cycle: u64) -> Result<(), SimulatorError> {
        match self {
            Trace::Open { last_cycle } if cycle >= *last_cycle => {
                *self = Trace::Off;
                model.trace_close()
            }
            _ => Ok(()),
        }
    }
}
