//! Waveforms of the array.

use super::{Vcd, number};
use crate::failure::Failure;
use std::path::Path;
use xnorforge_hdl::Design;
use xnorforge_sim::verilator::array_ports;
use xnorforge_sim::{Beat, ConstantWrite, Inputs, Model, Outputs, Simulator, SimulatorError};

/// A waveform of an array that is being written.
#[derive(Debug)]
pub struct ArrayWave {
    vcd: Vcd,
    format: Format,
}

/// Sizes that values are packed into ports by.
#[derive(Clone, Copy, Debug)]
struct Format {
    lanes: usize,
    /// Bits of an entry.
    entry_width: usize,
    /// Bits of a result.
    result_width: usize,
}

impl ArrayWave {
    /// Begins a waveform; the file appears when it is finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path, design: &Design) -> Result<Self, Failure> {
        let registers = Model::new(design).control_registers();
        let names = registers.iter().map(|(name, _)| *name);
        Ok(ArrayWave {
            vcd: Vcd::create(path, &design.top_name(), &array_ports(design), names)?,
            format: Format {
                lanes: design.config().lanes as usize,
                entry_width: design.entry_width as usize,
                result_width: design.result_width as usize,
            },
        })
    }

    /// Ends the waveform: the file appears. Gives the number of cycles that it holds.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<u64, Failure> {
        self.vcd.finish()
    }
}

impl Format {
    /// The bits of a port; none while it holds nothing of meaning.
    fn port(&self, name: &str, inputs: &Inputs<'_>, outputs: &Outputs) -> Option<Vec<bool>> {
        let bit = |value: bool| Some(vec![value]);
        match name {
            "reset" => bit(inputs.reset),
            "operand_valid" => bit(inputs.operand.is_some()),
            "operand_ready" => bit(outputs.operand_ready),
            "constant_write" => bit(inputs.constant.is_some()),
            "result_ready" => bit(inputs.result_ready),
            "result_valid" => bit(outputs.result_valid),
            "result_last" => bit(outputs.result_last),
            "result_value" if outputs.result_valid => {
                Some(packed(&outputs.result, self.result_width))
            }
            _ => inputs
                .operand
                .and_then(|beat| self.operand(name, beat))
                .or_else(|| inputs.constant.and_then(|write| self.constant(name, write))),
        }
    }

    fn operand(&self, name: &str, beat: &Beat) -> Option<Vec<bool>> {
        Some(match name {
            "operand_first" => vec![beat.first],
            "operand_last" => vec![beat.last],
            "operand_shift" => number(beat.shift.map_or(0, |index| 1 << index), 64),
            "operand_row_mode" => number(beat.row_mode as u64, 2),
            "operand_activation" => lanes(&beat.activation, self.lanes),
            "operand_weight" => lanes(&beat.weight, self.lanes),
            "operand_align" => number(beat.align.into(), 32),
            "operand_result_shift" => number(beat.result_shift.into(), 2),
            "operand_entry" => {
                let entries: Vec<i64> = beat.entry.iter().map(|e| i64::from(*e)).collect();
                packed(&entries, self.entry_width)
            }
            _ => return None,
        })
    }

    fn constant(&self, name: &str, write: &ConstantWrite) -> Option<Vec<bool>> {
        match name {
            "constant_entry" => Some(number(write.entry.into(), 32)),
            "constant_value" => Some(packed(&write.value, self.result_width)),
            _ => None,
        }
    }
}

/// Values of `width` bits each, without gaps.
fn packed(values: &[i64], width: usize) -> Vec<bool> {
    values
        .iter()
        .flat_map(|value| number(*value as u64, width))
        .collect()
}

/// Words of `lanes` lanes each, 64 in a number, without gaps.
fn lanes(words: &[u64], lanes: usize) -> Vec<bool> {
    words
        .chunks(lanes.div_ceil(64))
        .flat_map(|branch| (0..lanes).map(|lane| branch[lane / 64] >> (lane % 64) & 1 == 1))
        .collect()
}

/// The model with a waveform of what it does.
pub struct Recorded<'a> {
    model: Model,
    wave: &'a mut ArrayWave,
    outputs: Outputs,
}

impl<'a> Recorded<'a> {
    /// A model of `design` that writes to `wave`, which was made for the same design.
    pub fn new(design: &Design, wave: &'a mut ArrayWave) -> Self {
        Recorded {
            model: Model::new(design),
            wave,
            outputs: Outputs::default(),
        }
    }
}

impl Simulator for Recorded<'_> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        // The registers as they stand before the clock edge, as the outputs do.
        let registers = self.model.control_registers();
        self.outputs.clone_from(self.model.step(inputs)?);
        let ArrayWave { vcd, format } = &mut *self.wave;
        vcd.record(|name| format.port(name, inputs, &self.outputs), &registers);
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.model.cycle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_packed_without_gaps() {
        assert_eq!(packed(&[-1, 1], 3), [true, true, true, true, false, false]);
        assert_eq!(lanes(&[5, 2], 3), [true, false, true, false, true, false]);
    }
}
