//! A waveform (VCD, IEEE 1364-2001, clause 18) of the cycle-accurate model: the ports of the top module and the
//! registers that control the flow.
//!
//! Cycle c begins at time 2c with the clock low, all inputs set and the outputs that stand in it; at 2c + 1 the
//! clock is high. Waveforms of the RTL that `cosim` writes use the same times.

use crate::failure::Failure;
use crate::output::NewFile;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use xnorforge_hdl::Design;
use xnorforge_sim::verilator::array_ports;
use xnorforge_sim::{Beat, ConstantWrite, Inputs, Model, Outputs, Simulator, SimulatorError};

/// Cycles that are written at most; the run goes on after them.
pub const CYCLES_MAX: u64 = 100_000;
/// Bits that a register of the model is shown with.
const REGISTER_BITS: u32 = 32;

/// A waveform that is being written.
#[derive(Debug)]
pub struct Wave {
    file: BufWriter<NewFile>,
    /// The ports after `clock`, then the registers, in the order of the header.
    signals: Vec<Signal>,
    /// Lanes, and bits of an entry and of a result: to pack values into ports.
    lanes: usize,
    entry_width: usize,
    result_width: usize,
    cycles: u64,
    failed: Option<io::Error>,
}

/// A signal and its value, least significant bit first.
#[derive(Debug)]
struct Signal {
    name: String,
    width: usize,
    bits: Vec<bool>,
}

impl Wave {
    /// Begins a waveform; the file appears when it is finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path, design: &Design) -> Result<Self, Failure> {
        let signal = |name: &str, width: u32| Signal {
            name: name.to_owned(),
            width: width as usize,
            bits: Vec::new(),
        };
        let ports = array_ports(design);
        let mut signals: Vec<Signal> = ports
            .iter()
            .filter(|port| port.name != "clock")
            .map(|port| signal(&port.name, port.width))
            .collect();
        let registers = Model::new(design).control_registers();
        signals.extend(registers.map(|(name, _)| signal(name, REGISTER_BITS)));
        let mut wave = Wave {
            file: BufWriter::new(NewFile::create(path)?),
            signals,
            lanes: design.config().lanes as usize,
            entry_width: design.entry_width as usize,
            result_width: design.result_width as usize,
            cycles: 0,
            failed: None,
        };
        let header = wave.header(&design.top_name());
        wave.write(&header);
        Ok(wave)
    }

    /// Ends the waveform: the file appears. Gives the number of cycles that it holds.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(mut self) -> Result<u64, Failure> {
        let cycles = self.cycles.min(CYCLES_MAX);
        self.write(&format!("#{}\n", 2 * cycles));
        let flushed = match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.flush(),
        };
        let (file, _) = self.file.into_parts();
        file.finish(flushed)?;
        Ok(cycles)
    }

    fn header(&self, top: &str) -> String {
        let mut text = format!("$timescale 1 ns $end\n$scope module {top} $end\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "$var wire 1 {} clock $end", code(0));
        for (index, signal) in self.signals.iter().enumerate() {
            let (width, name) = (signal.width, &signal.name);
            let _ = match width {
                1 => writeln!(text, "$var wire 1 {} {name} $end", code(index + 1)),
                _ => writeln!(
                    text,
                    "$var wire {width} {} {name} [{}:0] $end",
                    code(index + 1),
                    width - 1
                ),
            };
        }
        text + "$upscope $end\n$enddefinitions $end\n"
    }

    /// Writes one cycle.
    fn record(&mut self, inputs: &Inputs<'_>, outputs: &Outputs, registers: [(&str, u64); 9]) {
        if self.cycles < CYCLES_MAX {
            let values = self.values(inputs, outputs, registers);
            let mut text = format!("#{}\n0{}\n", 2 * self.cycles, code(0));
            for (index, bits) in values.into_iter().enumerate() {
                if self.signals[index].bits != bits {
                    change(&mut text, &bits, &code(index + 1));
                    self.signals[index].bits = bits;
                }
            }
            let _ = writeln!(text, "#{}\n1{}", 2 * self.cycles + 1, code(0));
            self.write(&text);
        }
        self.cycles += 1;
    }

    /// The value of every signal, in their order; `operand_` data stay as they were while nothing is offered.
    fn values(
        &self,
        inputs: &Inputs<'_>,
        outputs: &Outputs,
        registers: [(&str, u64); 9],
    ) -> Vec<Vec<bool>> {
        let registers_start = self.signals.len() - registers.len();
        self.signals
            .iter()
            .enumerate()
            .map(|(index, signal)| {
                let mut bits = match index.checked_sub(registers_start) {
                    Some(register) => number(registers[register].1, REGISTER_BITS as usize),
                    None => self
                        .port(&signal.name, inputs, outputs)
                        .unwrap_or_else(|| signal.bits.clone()),
                };
                bits.resize(signal.width, false);
                bits
            })
            .collect()
    }

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

    /// Writes text; the first error is kept for the end.
    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(text.as_bytes()).err();
        }
    }
}

/// The identifier code of a signal: printable characters, as short as can be.
fn code(mut index: usize) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from(b'!' + (index % 94) as u8));
        index /= 94;
        if index == 0 {
            return text;
        }
    }
}

/// One value change; leading zeros are left out, as the format allows.
fn change(text: &mut String, bits: &[bool], code: &str) {
    let digit = |bit: &bool| if *bit { '1' } else { '0' };
    if let [bit] = bits {
        text.push(digit(bit));
    } else {
        let significant = bits.iter().rposition(|bit| *bit).map_or(1, |top| top + 1);
        text.push('b');
        text.extend(bits[..significant].iter().rev().map(digit));
        text.push(' ');
    }
    text.push_str(code);
    text.push('\n');
}

/// A number as `width` bits.
fn number(value: u64, width: usize) -> Vec<bool> {
    (0..width.min(64))
        .map(|bit| value >> bit & 1 == 1)
        .collect()
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
    wave: &'a mut Wave,
    outputs: Outputs,
}

impl<'a> Recorded<'a> {
    /// A model of `design` that writes to `wave`, which was made for the same design.
    pub fn new(design: &Design, wave: &'a mut Wave) -> Self {
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
        self.wave.record(inputs, &self.outputs, registers);
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
    fn codes_are_printable_and_distinct() {
        let codes: std::collections::BTreeSet<String> = (0..10_000).map(code).collect();
        assert_eq!(codes.len(), 10_000);
        assert!(
            codes
                .iter()
                .all(|c| c.bytes().all(|b| b.is_ascii_graphic()))
        );
    }

    #[test]
    fn values_are_most_significant_bit_first() {
        let mut text = String::new();
        change(&mut text, &number(6, 8), "!");
        change(&mut text, &[true], "\"");
        change(&mut text, &number(0, 8), "#");
        assert_eq!(text, "b110 !\n1\"\nb0 #\n");
        assert_eq!(packed(&[-1, 1], 3), [true, true, true, true, false, false]);
        assert_eq!(lanes(&[5, 2], 3), [true, false, true, false, true, false]);
    }
}
