//! Waveforms (VCD, IEEE 1364-2001, clause 18) of the cycle-accurate models: the ports of the top module and the
//! registers that control the flow.
//!
//! Cycle c begins at time 2c with the clock low, all inputs set and the outputs that stand in it; at 2c + 1 the
//! clock is high. Waveforms of the RTL that `cosim` writes use the same times.

mod array;
mod core;

pub use self::array::{ArrayWave, Recorded};
pub use self::core::{CoreWave, RecordedCore};

use crate::failure::Failure;
use crate::output::NewFile;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use xnorforge_hdl::emit::Port;

/// Cycles that are written at most; the run goes on after them.
pub const CYCLES_MAX: u64 = 100_000;
/// Bits that a register of a model is shown with.
const REGISTER_BITS: u32 = 32;

/// A waveform that is being written.
#[derive(Debug)]
struct Vcd {
    file: BufWriter<NewFile>,
    /// The ports after `clock`, then the registers, in the order of the header.
    signals: Vec<Signal>,
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

impl Signal {
    fn new(name: &str, width: u32) -> Self {
        Signal {
            name: name.to_owned(),
            width: width as usize,
            bits: Vec::new(),
        }
    }
}

impl Vcd {
    /// Begins a waveform; the file appears when it is finished.
    fn create<'n>(
        path: &Path,
        top: &str,
        ports: &[Port],
        registers: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, Failure> {
        let ports = ports.iter().filter(|port| port.name != "clock");
        let mut signals: Vec<Signal> = ports.map(|p| Signal::new(&p.name, p.width)).collect();
        let registers = registers.into_iter();
        signals.extend(registers.map(|name| Signal::new(name, REGISTER_BITS)));
        let mut vcd = Vcd {
            file: BufWriter::new(NewFile::create(path)?),
            signals,
            cycles: 0,
            failed: None,
        };
        let header = vcd.header(top);
        vcd.write(&header);
        Ok(vcd)
    }

    /// Ends the waveform: the file appears. Gives the number of cycles that it holds.
    fn finish(mut self) -> Result<u64, Failure> {
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

    /// Writes one cycle. `port` gives the bits of a port, none where it stays as it was.
    fn record(
        &mut self,
        port: impl Fn(&str) -> Option<Vec<bool>>,
        registers: &[(&'static str, u64)],
    ) {
        if self.cycles < CYCLES_MAX {
            let registers_start = self.signals.len() - registers.len();
            let mut text = format!("#{}\n0{}\n", 2 * self.cycles, code(0));
            for (index, signal) in self.signals.iter_mut().enumerate() {
                let bits = match index.checked_sub(registers_start) {
                    Some(register) => Some(number(registers[register].1, REGISTER_BITS as usize)),
                    None => port(&signal.name),
                };
                let mut bits = bits.unwrap_or_else(|| signal.bits.clone());
                bits.resize(signal.width, false);
                if signal.bits != bits {
                    change(&mut text, &bits, &code(index + 1));
                    signal.bits = bits;
                }
            }
            let _ = writeln!(text, "#{}\n1{}", 2 * self.cycles + 1, code(0));
            self.write(&text);
        }
        self.cycles += 1;
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
    }
}
