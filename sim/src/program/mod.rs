//! Programs of the accelerator: a network compiled for a design, as the images that a driver loads and streams.
//!
//! A [`Program`] holds what is loaded once ([`Program::packets`], by the program stream) and its entry points. An
//! [`Entry`] is started by its address; it says which weights to stream in each run, how an input becomes words of the
//! input stream, and how the values of the result stream become tensors.
//!
//! ```text
//! for packet in program.packets():     program stream <- packet.stream(), TLAST with the last word
//! for each run of an entry:            start_address = entry.address
//!     for packet in entry.weights:     weight stream <- its beats, TLAST with the last one of each packet
//!     if entry.takes_input():          input stream  <- entry.input_beats(input), TLAST with the last one
//!     result stream -> values;         entry.unpack(values)
//! ```
//!
//! Where all weights fit in the weight memories, the first entry, [`LOAD_WEIGHTS`], takes them once, and the others
//! take none.

mod bank;
pub(crate) mod compile;
pub(crate) mod constants;
pub(crate) mod descriptor;
pub mod interpreter;
pub mod layout;
pub(crate) mod outline_stages;
pub(crate) mod placement;
mod requantize;
pub mod run;
mod stage;
pub mod stream;
pub mod timing;
pub(crate) mod weights;

use crate::gemm::Precision;
use crate::network::{LayerError, NetworkError, Shape, Tensor};
pub use layout::TensorLayout;
pub use run::{LayerReport, NetworkReport, run};
pub use stream::{Beats, Packet, Target};
use xnorforge_hdl::accelerator::Descriptor;
use xnorforge_hdl::{AcceleratorDesign, accelerator::DESCRIPTOR_WORDS};

/// Name of the entry that takes resident weights.
pub const LOAD_WEIGHTS: &str = "load_weights";

/// A compiled program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    design: AcceleratorDesign,
    packets: Vec<Packet>,
    entries: Vec<Entry>,
}

impl Program {
    /// The design that it was compiled for.
    pub fn design(&self) -> &AcceleratorDesign {
        &self.design
    }

    /// What the program stream loads before the first start, in any order.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// Every entry point; [`LOAD_WEIGHTS`], if there is one, is the first and must run first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// An entry by name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// What a descriptor does, for reports and timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The descriptor.
    pub descriptor: Descriptor,
    /// Layer of the network that it belongs to; none for INPUT, WEIGHTS and END.
    pub layer: Option<usize>,
}

/// An entry point of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: [`LOAD_WEIGHTS`], or the network's.
    pub name: String,
    /// Where it starts, in words of program memory.
    pub address: u32,
    /// Its descriptors, END included.
    pub steps: Vec<Step>,
    /// What the weight stream takes in each run: one packet for each WEIGHTS descriptor, in order.
    pub weights: Vec<Beats>,
    /// How the input stands in memory; none for [`LOAD_WEIGHTS`].
    pub input: Option<TensorLayout>,
    /// What the result stream gives in each run, in order.
    pub results: Vec<ResultBlock>,
    /// Shape and precision of the tensors that it gives; no precision for raw accumulators.
    pub outputs: Vec<OutputTensor>,
    /// Width of a beat of the input stream.
    stream_bits: u32,
    /// Width of a memory word.
    word_width: u32,
}

/// A tensor that an entry gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTensor {
    /// Images.
    pub images: u32,
    /// Size of each one.
    pub shape: Shape,
    /// How the streamed codes stand for numbers; none where values are numbers themselves.
    pub codes: Option<TensorLayout>,
}

/// What one COMPUTE descriptor gives to the result stream: values in the order row tile, column tile, row, column,
/// only those inside the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultBlock {
    /// Index into [`Entry::outputs`].
    pub output: usize,
    /// First channel.
    pub channel: u32,
    /// Channels.
    pub channels: u32,
    /// R: rows of a tile.
    pub rows: u32,
    /// C: columns of a tile.
    pub columns: u32,
}

impl Entry {
    /// Whether it takes an input in each run.
    pub fn takes_input(&self) -> bool {
        self.input.is_some()
    }

    /// Values that the result stream gives in each run.
    pub fn result_values(&self) -> u64 {
        let values = |block: &ResultBlock| {
            let output = self.outputs.get(block.output);
            output.map_or(0, |o| o.pixels().saturating_mul(block.channels.into()))
        };
        self.results.iter().map(values).fold(0, u64::saturating_add)
    }

    /// The beats of an input, whose numbers must have codes.
    ///
    /// # Errors
    /// An input of another shape or with a number that has no code, and an entry that takes none.
    pub fn input_beats(&self, input: &Tensor) -> Result<Beats, ProgramError> {
        let layout = self.input.as_ref().ok_or(ProgramError::NoInput)?;
        check_input(layout, input)?;
        let mut beats = Beats::new(self.stream_bits);
        for word in layout.pack(input).chunks(layout.host_words()) {
            beats.push_word(word, self.word_width);
        }
        Ok(beats)
    }

    /// The tensors of one run, from the values of its result stream in order, without those that `keep` leaves out.
    ///
    /// # Errors
    /// [`ProgramError::Results`]: another number of values than [`Entry::result_values`].
    pub fn unpack(&self, values: &[i32]) -> Result<Vec<Tensor>, ProgramError> {
        if values.len() as u64 != self.result_values() {
            return Err(ProgramError::Results {
                found: values.len() as u64,
                expected: self.result_values(),
            });
        }
        let is_legal = |block: &ResultBlock| block.fits(&self.outputs);
        if !self.results.iter().all(is_legal) {
            return Err(ProgramError::Blocks);
        }
        let zeros = |output: &OutputTensor| Tensor::zeros(output.images as usize, output.shape);
        let mut tensors: Vec<Tensor> = self.outputs.iter().map(zeros).collect();
        let mut values = values.iter();
        for block in &self.results {
            let output = &self.outputs[block.output];
            let tensor = &mut tensors[block.output];
            block.for_each_place(output, |index| {
                let value = values.next().map_or(0, |value| i64::from(*value));
                tensor.values[index] = match &output.codes {
                    None => value,
                    Some(layout) => layout.number_of_code(value),
                };
            });
        }
        Ok(tensors)
    }
}

impl OutputTensor {
    /// Pixels of all images.
    pub fn pixels(&self) -> u64 {
        let side = u64::from(self.shape.height) * u64::from(self.shape.width);
        side.saturating_mul(self.images.into())
    }
}

impl ResultBlock {
    /// Whether it lies in an output.
    fn fits(&self, outputs: &[OutputTensor]) -> bool {
        let end = self.channel.checked_add(self.channels);
        outputs.get(self.output).is_some_and(|output| {
            end.is_some_and(|end| end <= output.shape.channels) && self.rows > 0 && self.columns > 0
        })
    }

    /// Calls `visit` with the index in the tensor of each value, in the order of the stream.
    fn for_each_place(&self, output: &OutputTensor, mut visit: impl FnMut(usize)) {
        let (pixels, channels) = (output.pixels(), u64::from(output.shape.channels));
        let (rows, columns) = (u64::from(self.rows), u64::from(self.columns));
        for tile in 0..pixels.div_ceil(rows) {
            for first in (0..u64::from(self.channels)).step_by(self.columns as usize) {
                for pixel in tile * rows..pixels.min((tile + 1) * rows) {
                    for column in first..u64::from(self.channels).min(first + columns) {
                        visit((pixel * channels + u64::from(self.channel) + column) as usize);
                    }
                }
            }
        }
    }
}

fn check_input(layout: &TensorLayout, input: &Tensor) -> Result<(), ProgramError> {
    let expected = (layout.images as usize, layout.shape);
    if (input.images, input.shape) != expected
        || input.values.len() != input.images.saturating_mul(input.shape.len())
    {
        return Err(ProgramError::InputShape {
            images: input.images,
            shape: input.shape,
            expected_images: layout.images,
            expected: layout.shape,
        });
    }
    let Precision { encoding, bits } = layout.precision;
    match input.values.iter().find(|v| !encoding.contains(bits, **v)) {
        None => Ok(()),
        Some(value) => match encoding.encode(bits, *value) {
            Ok(_) => Ok(()),
            Err(source) => Err(NetworkError::Ends(LayerError::Code {
                field: "a number of the input",
                source,
            })
            .into()),
        },
    }
}

/// Why a network does not run on an accelerator, or why data does not fit a program. Each message names what, how much
/// is needed and available, and the field of the configuration that helps.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// The network is not legal.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A memory is too small.
    #[error(
        "{what}: {needed} words of the {memory} are needed and {available} are there; raise `accelerator.{field}` to {suggestion}"
    )]
    Memory {
        /// What needs it.
        what: String,
        /// Which memory.
        memory: &'static str,
        /// The field that sizes it.
        field: &'static str,
        /// Words that are needed.
        needed: u64,
        /// Words that there are.
        available: u64,
        /// A value of the field that is enough.
        suggestion: u64,
    },
    /// More bits than the array takes.
    #[error(
        "layer `{layer}`: {operand} have {bits} bits, past the design's `{field}` = {limit}; raise `{field}` or quantize to fewer bits"
    )]
    Bits {
        /// The layer.
        layer: String,
        /// `activations` or `weights`.
        operand: &'static str,
        /// What is needed.
        bits: u32,
        /// The field of the configuration.
        field: &'static str,
        /// Its value.
        limit: u32,
    },
    /// `bipolar` weights that need a zero.
    #[error(
        "layer `{layer}`: its groups share granules of {columns} channels, so that its `bipolar` weights of {bits} bits need a zero and become `signed` of {needed} bits, past `weight_bits` = {limit}; raise `weight_bits`, or let `columns` divide the channels of a group"
    )]
    NoZero {
        /// The layer.
        layer: String,
        /// `columns`.
        columns: u32,
        /// Bits of the weights.
        bits: u32,
        /// Bits of `signed` weights in their place.
        needed: u32,
        /// `weight_bits`.
        limit: u32,
    },
    /// A longer reduction than the array's widths hold.
    #[error(
        "layer `{layer}`: its reduction takes {elements} lanes of memory words, past what `reduction_max` = {limit} holds; raise `reduction_max`"
    )]
    Reduction {
        /// The layer.
        layer: String,
        /// Lanes of all chunks.
        elements: u64,
        /// `reduction_max`.
        limit: u32,
    },
    /// Thresholds that the hardware cannot count.
    #[error(
        "layer `{layer}`: its {thresholds} thresholds need {levels} levels, past `accelerator.threshold_bits` = {limit}; raise `threshold_bits`"
    )]
    Levels {
        /// The layer.
        layer: String,
        /// Thresholds of a channel.
        thresholds: usize,
        /// Levels that they need.
        levels: u32,
        /// `threshold_bits`.
        limit: u32,
    },
    /// A value inside the requantization might not fit.
    #[error(
        "layer `{layer}`, channel {channel}: {what} can reach {magnitude}, past the {limit} that {width} bits hold; {fix}"
    )]
    Value {
        /// The layer.
        layer: String,
        /// The channel.
        channel: usize,
        /// Which value.
        what: &'static str,
        /// Its largest magnitude.
        magnitude: i128,
        /// The largest one that fits.
        limit: i128,
        /// Bits that there are.
        width: u32,
        /// What helps.
        fix: &'static str,
    },
    /// Most significant branches that do not stand in planes of their own.
    #[error(
        "layer `{layer}`: the {bits} most significant of {of} activation branches cannot be read alone: `activation_branches` = {branches} must divide both {of} and the {left} that are left out"
    )]
    Planes {
        /// The layer.
        layer: String,
        /// Branches to read.
        bits: u32,
        /// Branches that are stored.
        of: u32,
        /// Branches that are left out.
        left: u32,
        /// `activation_branches`.
        branches: u32,
    },
    /// A descriptor's field cannot hold its value.
    #[error(
        "{what}: the descriptor's `{field}` would be {value}, which its {bits} bits do not hold; {fix}"
    )]
    Field {
        /// Layer or step.
        what: String,
        /// The field.
        field: &'static str,
        /// The value.
        value: i64,
        /// Bits that the design keeps.
        bits: u32,
        /// What helps.
        fix: &'static str,
    },
    /// No image, or more than there can be.
    #[error("images = {0} is out of range: 1..=65535; choose a value in that range")]
    Images(u32),
    /// Nothing to compile.
    #[error("there is no network to compile; give at least one")]
    NoNetwork,
    /// Two networks of one name.
    #[error("two networks are called `{0}`; entries are found by name: choose another one")]
    Name(String),
    /// A network that was not compiled.
    #[error("the program has no entry `{0}`; compile that network")]
    NoEntry(String),
    /// An entry that takes no input.
    #[error("this entry takes no input; start it without one")]
    NoInput,
    /// An input of another shape.
    #[error(
        "the input has {images} images of {shape}, but the program takes {expected_images} of {expected}"
    )]
    InputShape {
        /// Images given.
        images: usize,
        /// Their shape.
        shape: Shape,
        /// Images that the program was compiled for.
        expected_images: u32,
        /// Their shape.
        expected: Shape,
    },
    /// An entry that was altered.
    #[error(
        "a result block of the entry lies outside its outputs; take the entry as it was compiled"
    )]
    Blocks,
    /// Another number of results.
    #[error("{found} results were taken, but a run of this entry gives {expected}")]
    Results {
        /// What was given.
        found: u64,
        /// What is needed.
        expected: u64,
    },
}

/// Words of program memory that a number of descriptors takes.
pub(crate) fn program_words(descriptors: usize) -> u64 {
    descriptors as u64 * u64::from(DESCRIPTOR_WORDS)
}
