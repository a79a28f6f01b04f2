//! What every Verilated top module with one clock has in common: the two halves of a cycle, their waveform, and streams.

use super::model::VerilatedModel;
use super::trace::{Trace, TraceWindow};
use crate::accelerator::StreamBeat;
use crate::simulator::SimulatorError;

/// A running model with its clock. In each cycle: set the inputs, [`Clocked::settle`], read the outputs that stand before
/// the edge, [`Clocked::edge`].
#[derive(Debug)]
pub(super) struct Clocked {
    /// Its ports.
    pub model: VerilatedModel,
    clock: usize,
    trace: Trace,
    cycle: u64,
}

impl Clocked {
    /// A model that has not been clocked, by the number of its clock's port.
    pub fn new(model: VerilatedModel, clock: usize, window: Option<&TraceWindow>) -> Self {
        Clocked {
            model,
            clock,
            trace: Trace::new(window),
            cycle: 0,
        }
    }

    /// Cycles so far.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// One clock edge outside of the count of cycles and of the waveform.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when the model stops.
    pub fn uncounted_edge(&mut self) -> Result<(), SimulatorError> {
        self.level(false)?;
        self.level(true)
    }

    /// The first half of a cycle: the inputs take effect while the clock is low.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when the model stops, or when the waveform cannot be opened.
    pub fn settle(&mut self) -> Result<(), SimulatorError> {
        self.trace.begin(&mut self.model, self.cycle)?;
        self.level(false)
    }

    /// The second half: the clock edge, and the next cycle begins.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when the model stops, or when the waveform cannot be written.
    pub fn edge(&mut self) -> Result<(), SimulatorError> {
        self.trace.dump(&mut self.model, self.cycle, 0)?;
        self.level(true)?;
        self.trace.dump(&mut self.model, self.cycle, 1)?;
        self.trace.end(&mut self.model, self.cycle)?;
        self.cycle += 1;
        Ok(())
    }

    fn level(&mut self, level: bool) -> Result<(), SimulatorError> {
        self.model.set(self.clock, &[level.into()]);
        self.model.eval()
    }
}

/// Numbers of a stream's ports.
#[derive(Debug)]
pub(super) struct Stream {
    pub valid: usize,
    pub ready: usize,
    pub data: usize,
    pub last: usize,
}

impl Stream {
    /// The ports whose names begin with `prefix`, by a function that gives their numbers.
    pub fn new(port: impl Fn(&str) -> usize, prefix: &str) -> Self {
        let port = |name: &str| port(&format!("{prefix}{name}"));
        Stream {
            valid: port("valid"),
            ready: port("ready"),
            data: port("data"),
            last: port("last"),
        }
    }

    /// Offers a beat. Without one, data keep the last one: what is not valid must not matter.
    pub fn offer(&self, model: &mut VerilatedModel, beat: Option<StreamBeat<'_>>) {
        model.set(self.valid, &[beat.is_some().into()]);
        if let Some(beat) = beat {
            model.set(self.data, beat.data);
            model.set(self.last, &[beat.last.into()]);
        }
    }

    /// Offers a word as a beat, with TLAST.
    pub fn offer_word(&self, model: &mut VerilatedModel, word: Option<(u32, bool)>) {
        let word = word.map(|(word, last)| ([u64::from(word)], last));
        let beat = word
            .as_ref()
            .map(|(data, last)| StreamBeat { data, last: *last });
        self.offer(model, beat);
    }
}
