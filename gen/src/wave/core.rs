//! Waveforms of the accelerator's core.

use super::{Vcd, number};
use crate::failure::Failure;
use std::path::Path;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::emit::Port;
use xnorforge_sim::SimulatorError;
use xnorforge_sim::accelerator::{
    AcceleratorModel, Core, CoreInputs, CoreOutputs, StreamBeat, Transfer,
};

/// A waveform of an accelerator's core that is being written.
#[derive(Debug)]
pub struct CoreWave(Vcd);

impl CoreWave {
    /// Begins a waveform of a design whose top module has this name and these ports; the file appears when it is finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(
        path: &Path,
        design: &AcceleratorDesign,
        top: &str,
        ports: &[Port],
    ) -> Result<Self, Failure> {
        let registers = AcceleratorModel::new(design).control_registers();
        let names = registers.iter().map(|(name, _)| *name);
        Ok(CoreWave(Vcd::create(path, top, ports, names)?))
    }

    /// Ends the waveform: the file appears. Gives the number of cycles that it holds.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<u64, Failure> {
        self.0.finish()
    }
}

/// The bits of a port; none while it holds nothing of meaning.
fn port(name: &str, inputs: &CoreInputs<'_>, outputs: &CoreOutputs) -> Option<Vec<bool>> {
    let bit = |value: bool| Some(vec![value]);
    let word = |value: u32| Some(number(value.into(), 32));
    match name {
        "reset" => bit(inputs.reset),
        "start" => bit(inputs.start.is_some()),
        "start_address" => inputs.start.and_then(|start| word(start.address)),
        "runs" => inputs.start.and_then(|start| word(start.runs.into())),
        "busy" => bit(outputs.busy),
        "done" => bit(outputs.done),
        "error" => word(outputs.error.into()),
        "program_valid" => bit(inputs.program.is_some()),
        "program_ready" => bit(outputs.program_ready),
        "program_data" => inputs.program.and_then(|(value, _)| word(value)),
        "program_last" => inputs.program.and_then(|(_, last)| bit(last)),
        "weight_ready" => bit(outputs.weight_ready),
        "input_ready" => bit(outputs.input_ready),
        "result_ready" => bit(inputs.result_ready),
        "counter_clear" => bit(inputs.counter_clear),
        "counter_clearing" => bit(outputs.counter_clearing),
        "counter_address" => word(inputs.counter_address),
        "counter_value" => word(outputs.counter_value),
        _ => match name.split_once('_')? {
            ("weight", signal) => beat(signal, inputs.weight),
            ("input", signal) => beat(signal, inputs.input),
            ("result", signal) => result(signal, outputs.result.as_ref()),
            _ => None,
        },
    }
}

fn beat(signal: &str, beat: Option<StreamBeat<'_>>) -> Option<Vec<bool>> {
    match signal {
        "valid" => Some(vec![beat.is_some()]),
        "last" => beat.map(|beat| vec![beat.last]),
        "data" => beat.map(|beat| {
            beat.data
                .iter()
                .flat_map(|word| number(*word, 64))
                .collect()
        }),
        _ => None,
    }
}

fn result(signal: &str, transfer: Option<&Transfer>) -> Option<Vec<bool>> {
    let values = |transfer: &Transfer| -> Vec<bool> {
        let values = transfer.values.iter();
        values
            .flat_map(|value| number(u64::from(value.unwrap_or(0) as u32), 32))
            .collect()
    };
    match signal {
        "valid" => Some(vec![transfer.is_some()]),
        "last" => transfer.map(|transfer| vec![transfer.last]),
        "keep" => transfer.map(|t| t.values.iter().map(Option::is_some).collect()),
        "data" => transfer.map(values),
        _ => None,
    }
}

/// The model with a waveform of what it does.
#[derive(Debug)]
pub struct RecordedCore<'a> {
    model: AcceleratorModel,
    wave: &'a mut CoreWave,
    outputs: CoreOutputs,
}

impl<'a> RecordedCore<'a> {
    /// A model of `design` that writes to `wave`, which was made for the same design.
    pub fn new(design: &AcceleratorDesign, wave: &'a mut CoreWave) -> Self {
        RecordedCore {
            model: AcceleratorModel::new(design),
            wave,
            outputs: CoreOutputs::default(),
        }
    }
}

impl Core for RecordedCore<'_> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        // The registers as they stand before the clock edge, as the outputs do.
        let registers = self.model.control_registers();
        self.outputs.clone_from(self.model.step(inputs)?);
        let outputs = &self.outputs;
        self.wave
            .0
            .record(|name| port(name, inputs, outputs), &registers);
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.model.cycle()
    }
}
