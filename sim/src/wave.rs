//! The waveform of a divergence, made after the fact.
//!
//! A model with tracing is slower even while it writes nothing, so co-simulation runs without it. On a divergence
//! the same run is repeated: same configuration, same stimulus, same seeds, but with a tracing build of the RTL
//! that writes a window of cycles, and no more, up to the divergence. Nothing has to be recorded for that, so a run
//! may be of any length; and since everything is deterministic, the repeated run must end in the same divergence,
//! which is checked.

use crate::simulator::Divergence;
use crate::verilator::TraceWindow;
use std::error::Error;
use std::path::Path;

/// Cycles before a divergence that a waveform shows when nothing else is asked for.
pub const CYCLES_BEFORE_DEFAULT: u64 = 256;

/// Why there is no waveform.
#[derive(Debug, thiserror::Error)]
pub enum WaveError {
    /// The repeated run failed: the tracing build, say, or writing the file.
    #[error("the run cannot be repeated for a waveform: {0}")]
    Run(Box<dyn Error + Send + Sync>),
    /// The repeated run went another way.
    #[error(
        "the repeated run does not show the same fault: first {expected}; then {found}. The RTL may depend on registers that it never wrote: run again with another seed of the initial values"
    )]
    NotRepeated {
        /// The divergence of the first run.
        expected: Box<Divergence>,
        /// How the repeated run ended.
        found: String,
    },
}

/// Repeats a run that ended in `divergence` and writes the waveform of its last cycles: the one of the divergence
/// and `cycles_before` more. Returns the window that was written.
///
/// `run` does all that the first run did, with [`ArrayOptions::trace`](crate::verilator::ArrayOptions::trace) set
/// to the window that it is given, and returns the divergence that it ends in; it must drop the array, which
/// completes the file.
///
/// # Errors
/// [`WaveError`]; the file may exist even so.
///
/// ```no_run
/// # use xnorforge_sim::{Inputs, Lockstep, Simulator, SimulatorError, Divergence, verilator::*, wave};
/// # fn example<M: Simulator>(new_model: impl Fn() -> M, design: &xnorforge_hdl::Design, files: &[(String, String)])
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let verilator = Verilator::find()?;
/// let run = |trace: Option<TraceWindow>| -> Result<Option<Divergence>, VerilatedArrayError> {
///     let options = ArrayOptions { seed: 1, trace };
///     let rtl = VerilatedArray::new(&verilator, design, files, &options)?;
///     let mut pair = Lockstep::new(new_model(), rtl);
///     for cycle in 0..1000 {
///         let inputs = Inputs { reset: cycle == 0, result_ready: true, ..Inputs::default() };
///         match pair.step(&inputs) {
///             Err(SimulatorError::Divergence(divergence)) => return Ok(Some(*divergence)),
///             other => other?,
///         };
///     }
///     Ok(None)
/// };
/// if let Some(divergence) = run(None)? {
///     wave::divergence_waveform(&divergence, 256, "fault.vcd".as_ref(), |window| run(Some(window)))?;
/// }
/// # Ok(()) }
/// ```
pub fn divergence_waveform<E: Error + Send + Sync + 'static>(
    divergence: &Divergence,
    cycles_before: u64,
    path: &Path,
    run: impl FnOnce(TraceWindow) -> Result<Option<Divergence>, E>,
) -> Result<TraceWindow, WaveError> {
    let window = TraceWindow {
        path: path.to_owned(),
        first_cycle: divergence.cycle.saturating_sub(cycles_before),
        last_cycle: divergence.cycle,
    };
    match run(window.clone()) {
        Err(error) => Err(WaveError::Run(Box::new(error))),
        Ok(Some(found)) if found == *divergence => Ok(window),
        Ok(found) => Err(WaveError::NotRepeated {
            expected: Box::new(divergence.clone()),
            found: found.map_or("no divergence".to_owned(), |d| d.to_string()),
        }),
    }
}
