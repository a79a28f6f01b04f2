//! The Verilated RTL of an array as a [`Simulator`]: beats packed into the ports of `docs/microarchitecture.md`.

use super::build::Verilator;
use super::clocked::Clocked;
use super::model::{Library, VerilatedModel};
use super::source::{ModelSource, input, output, words};
use super::tools::ToolError;
use super::trace::{Trace, TraceWindow};
use crate::simulator::{Beat, ConstantWrite, Inputs, Outputs, Simulator, SimulatorError};
use xnorforge_hdl::Design;
use xnorforge_hdl::emit::Port;

/// The ports of the array's top module, in the order of the table in `docs/microarchitecture.md`.
pub fn array_ports(design: &Design) -> Vec<Port> {
    let c = design.config();
    vec![
        input("clock", 1),
        input("reset", 1),
        input("operand_valid", 1),
        output("operand_ready", 1),
        input("operand_first", 1),
        input("operand_last", 1),
        input("operand_shift", design.shift_amounts.len() as u32),
        input("operand_row_mode", 2),
        input(
            "operand_activation",
            c.rows * design.activation_word_width(),
        ),
        input("operand_weight", c.columns * design.weight_word_width()),
        input("operand_align", design.align_width),
        input("operand_result_shift", 2),
        input("operand_entry", c.rows * design.entry_width),
        input("constant_write", 1),
        input("constant_entry", design.entry_width),
        input("constant_value", c.columns * design.result_width),
        output("result_valid", 1),
        input("result_ready", 1),
        output("result_last", 1),
        output("result_value", c.columns * design.result_width),
    ]
}

/// What the model of an array is built from; `files` are the names and texts of the RTL that was emitted for `design`.
pub fn array_source(design: &Design, files: &[(String, String)]) -> ModelSource {
    ModelSource {
        files: files.to_vec(),
        top: design.top_name(),
        ports: array_ports(design),
    }
}

/// How a [`VerilatedArray`] or a [`super::VerilatedAccelerator`] runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayOptions {
    /// Decides the registers' values before reset. Correct RTL behaves the same for every seed.
    pub seed: u32,
    /// Writes a waveform; the model is then built with tracing.
    pub trace: Option<TraceWindow>,
}

/// Numbers of the top module's ports.
#[derive(Debug)]
struct Ports {
    clock: usize,
    reset: usize,
    operand_valid: usize,
    operand_ready: usize,
    operand_first: usize,
    operand_last: usize,
    operand_shift: usize,
    operand_row_mode: usize,
    operand_activation: usize,
    operand_weight: usize,
    operand_align: usize,
    operand_result_shift: usize,
    operand_entry: usize,
    constant_write: usize,
    constant_entry: usize,
    constant_value: usize,
    result_valid: usize,
    result_ready: usize,
    result_last: usize,
    result_value: usize,
}

impl Ports {
    fn new(model: &VerilatedModel) -> Self {
        let port = |name| {
            model
                .port(name)
                .expect("`array_ports` lists every port that is used here")
        };
        Ports {
            clock: port("clock"),
            reset: port("reset"),
            operand_valid: port("operand_valid"),
            operand_ready: port("operand_ready"),
            operand_first: port("operand_first"),
            operand_last: port("operand_last"),
            operand_shift: port("operand_shift"),
            operand_row_mode: port("operand_row_mode"),
            operand_activation: port("operand_activation"),
            operand_weight: port("operand_weight"),
            operand_align: port("operand_align"),
            operand_result_shift: port("operand_result_shift"),
            operand_entry: port("operand_entry"),
            constant_write: port("constant_write"),
            constant_entry: port("constant_entry"),
            constant_value: port("constant_value"),
            result_valid: port("result_valid"),
            result_ready: port("result_ready"),
            result_last: port("result_last"),
            result_value: port("result_value"),
        }
    }
}

/// The Verilated RTL of an array.
#[derive(Debug)]
pub struct VerilatedArray {
    rtl: Clocked,
    ports: Ports,
    lanes: u32,
    result_width: u32,
    entry_width: u32,
    outputs: Outputs,
    // Packed values on their way to the ports, so that no cycle allocates.
    activation: Vec<u64>,
    weight: Vec<u64>,
    entry: Vec<u64>,
    constant: Vec<u64>,
    result: Vec<u64>,
}

impl VerilatedArray {
    /// Builds the model (or takes it from the cache), starts it and resets it: cycle 0 is the first one after reset.
    ///
    /// `files` are the names and texts of the RTL that was emitted for `design`.
    ///
    /// # Errors
    /// [`VerilatedArrayError::Tool`] when it cannot be built, [`VerilatedArrayError::Simulator`] when it stops at
    /// once or a waveform cannot be written.
    pub fn new(
        verilator: &Verilator,
        design: &Design,
        files: &[(String, String)],
        options: &ArrayOptions,
    ) -> Result<Self, VerilatedArrayError> {
        let window = options.trace.as_ref();
        let source = array_source(design, files);
        let library = verilator.model(&source, Trace::tracing(window))?;
        Ok(Self::of_library(&library, design, options)?)
    }

    /// Starts a model of [`array_source`] and resets it, as [`VerilatedArray::new`] does.
    ///
    /// # Errors
    /// [`SimulatorError`] when it stops at once, or when it has no tracing and a waveform is asked for.
    ///
    /// # Panics
    /// If the library is one of something else.
    pub fn of_library(
        library: &Library,
        design: &Design,
        options: &ArrayOptions,
    ) -> Result<Self, SimulatorError> {
        let model = library.start(options.seed)?;
        let ports = Ports::new(&model);
        let buffer = |port: usize| vec![0; words(&model.ports()[port])];
        let mut array = VerilatedArray {
            lanes: design.config().lanes,
            result_width: design.result_width,
            entry_width: design.entry_width,
            outputs: Outputs::default(),
            activation: buffer(ports.operand_activation),
            weight: buffer(ports.operand_weight),
            entry: buffer(ports.operand_entry),
            constant: buffer(ports.constant_value),
            result: buffer(ports.result_value),
            rtl: Clocked::new(model, ports.clock, options.trace.as_ref()),
            ports,
        };
        array.reset()?;
        Ok(array)
    }

    /// One clock edge with `reset`, outside of the count of cycles.
    fn reset(&mut self) -> Result<(), SimulatorError> {
        self.drive(&Inputs {
            reset: true,
            ..Inputs::default()
        });
        self.rtl.uncounted_edge()
    }

    fn drive(&mut self, inputs: &Inputs<'_>) {
        let (model, ports) = (&mut self.rtl.model, &self.ports);
        model.set(ports.reset, &[inputs.reset.into()]);
        model.set(ports.result_ready, &[inputs.result_ready.into()]);
        model.set(ports.operand_valid, &[inputs.operand.is_some().into()]);
        model.set(ports.constant_write, &[inputs.constant.is_some().into()]);
        // Without a beat or a write, its ports keep the last one: what is not valid must not matter.
        if let Some(beat) = inputs.operand {
            self.drive_beat(beat);
        }
        if let Some(write) = inputs.constant {
            self.drive_constant(write);
        }
    }

    fn drive_beat(&mut self, beat: &Beat) {
        let (model, ports) = (&mut self.rtl.model, &self.ports);
        let shifts = model.ports()[ports.operand_shift].width;
        let shift = beat.shift.map_or(0, |index| {
            assert!(index < shifts, "a beat shifts by a known amount");
            1 << index
        });
        model.set(ports.operand_first, &[beat.first.into()]);
        model.set(ports.operand_last, &[beat.last.into()]);
        model.set(ports.operand_shift, &[shift]);
        model.set(ports.operand_row_mode, &[beat.row_mode as u64]);
        model.set(
            ports.operand_activation,
            packed_lanes(&mut self.activation, &beat.activation, self.lanes),
        );
        model.set(
            ports.operand_weight,
            packed_lanes(&mut self.weight, &beat.weight, self.lanes),
        );
        model.set(ports.operand_align, &[beat.align.into()]);
        model.set(ports.operand_result_shift, &[beat.result_shift.into()]);
        // Only a tile's last beat says which constants its rows take.
        if beat.last {
            let entries = beat.entry.iter().map(|entry| u64::from(*entry));
            pack(&mut self.entry, self.entry_width, entries);
            model.set(ports.operand_entry, &self.entry);
        }
    }

    fn drive_constant(&mut self, write: &ConstantWrite) {
        let values = write.value.iter().map(|value| *value as u64);
        pack(&mut self.constant, self.result_width, values);
        let (model, ports) = (&mut self.rtl.model, &self.ports);
        model.set(ports.constant_entry, &[write.entry.into()]);
        model.set(ports.constant_value, &self.constant);
    }

    fn read(&mut self) {
        let (model, ports) = (&self.rtl.model, &self.ports);
        let bit = |port| model.word(port) != 0;
        self.outputs.operand_ready = bit(ports.operand_ready);
        self.outputs.result_valid = bit(ports.result_valid);
        self.outputs.result_last = false;
        self.outputs.result.clear();
        if self.outputs.result_valid {
            self.outputs.result_last = bit(ports.result_last);
            model.get(ports.result_value, &mut self.result);
            let width = self.result_width;
            let columns = model.ports()[ports.result_value].width / width;
            let results = (0..columns).map(|column| signed(&self.result, column * width, width));
            self.outputs.result.extend(results);
        }
    }
}

impl Simulator for VerilatedArray {
    fn name(&self) -> &str {
        "RTL"
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        self.drive(inputs);
        self.rtl.settle()?;
        self.read();
        self.rtl.edge()?;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.rtl.cycle()
    }
}

/// Why a [`VerilatedArray`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VerilatedArrayError {
    /// It could not be built.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It stopped at once.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
}

/// The bits of all branches without gaps, as the operand ports take them. `branches` holds each branch in words of
/// its own; when the lanes fill them that is the same thing, and nothing is copied.
fn packed_lanes<'a>(buffer: &'a mut [u64], branches: &'a [u64], lanes: u32) -> &'a [u64] {
    if lanes.is_multiple_of(64) {
        return branches;
    }
    let words = lanes.div_ceil(64) as usize;
    let bits = branches.len() / words * lanes as usize;
    assert_eq!(bits.div_ceil(64), buffer.len(), "words for every branch");
    buffer.fill(0);
    let mut offset = 0;
    for branch in branches.chunks_exact(words) {
        let mut left = lanes;
        for word in branch {
            let width = left.min(64);
            put(buffer, offset, width, *word);
            offset += width;
            left -= width;
        }
    }
    buffer
}

/// Packs values of `width` bits one after the other.
fn pack(buffer: &mut [u64], width: u32, values: impl ExactSizeIterator<Item = u64>) {
    assert_eq!(
        (values.len() as u64 * u64::from(width)).div_ceil(64),
        buffer.len() as u64,
        "a value for every row or column"
    );
    buffer.fill(0);
    for (index, value) in values.enumerate() {
        put(buffer, index as u32 * width, width, value);
    }
}

/// Adds the low `width` bits (1..=64) of `value` at bit `offset`, where `buffer` still holds zeros.
#[inline]
fn put(buffer: &mut [u64], offset: u32, width: u32, value: u64) {
    let value = value & (u64::MAX >> (64 - width));
    let (word, bit) = ((offset / 64) as usize, offset % 64);
    buffer[word] |= value << bit;
    if bit + width > 64 {
        buffer[word + 1] |= value >> (64 - bit);
    }
}

/// The two's complement number of `width` bits (1..=64) at bit `offset`.
#[inline]
fn signed(buffer: &[u64], offset: u32, width: u32) -> i64 {
    let (word, bit) = ((offset / 64) as usize, offset % 64);
    let mut value = buffer[word] >> bit;
    if bit + width > 64 {
        value |= buffer[word + 1] << (64 - bit);
    }
    let unused = 64 - width;
    ((value << unused) as i64) >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_packed_without_gaps() {
        let mut buffer = [u64::MAX; 1];
        let packed = packed_lanes(&mut buffer, &[0b10101, 0b11111, 0b00001], 5);
        assert_eq!(packed[0], 0b00001_11111_10101);
        // 70 lanes: two words for each branch, of which the second one holds 6 lanes.
        let branches = [u64::MAX, 0x3f, 1, 0x20];
        let mut buffer = [0; 3];
        packed_lanes(&mut buffer, &branches, 70);
        assert_eq!(buffer, [u64::MAX, 0x3f | 1 << 6, 0x20 << 6]);
        let mut buffer = [0; 2];
        assert_eq!(packed_lanes(&mut buffer, &[7, 9], 64), [7, 9]);
    }

    #[test]
    fn bits_past_the_lanes_never_reach_a_neighbour() {
        let mut buffer = [0; 1];
        assert_eq!(packed_lanes(&mut buffer, &[u64::MAX, 0], 3), [0b111]);
    }

    #[test]
    fn what_is_packed_can_be_read_back_with_its_sign() {
        for width in [1, 2, 7, 31, 32, 33, 62, 63, 64u32] {
            let highest = i64::MAX >> (64 - width);
            let values = [-1, 0, highest, -highest - 1, highest / 3, -highest / 5];
            let bits = values.len() as u32 * width;
            let mut buffer = vec![u64::MAX; bits.div_ceil(64) as usize];
            pack(&mut buffer, width, values.iter().map(|v| *v as u64));
            for (index, value) in values.iter().enumerate() {
                let read = signed(&buffer, index as u32 * width, width);
                assert_eq!(read, *value, "width {width}");
            }
        }
    }
}
