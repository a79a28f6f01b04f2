//! Networks without weights, for exploration: what layers there are, of which shapes and precisions.
//!
//! A [`Topology`] comes from a description in TOML ([`description`]), from a SCALE-Sim topology ([`scale_sim`]), or from
//! a table of well-known networks ([`builtin`]). [`Topology::outlines`] says what the accelerator makes of it, and
//! [`Topology::network`] fills that with random weights and thresholds.
//!
//! ```
//! use xnorforge_import::topology::{Widths, builtin};
//! let lenet = builtin::topology("lenet5", &Widths::default()).unwrap().unwrap();
//! let outline = &lenet.outlines().unwrap()[0];
//! assert_eq!(outline.layers.iter().map(|layer| layer.macs()).sum::<u128>(), 416_520);
//! ```

pub mod builtin;
pub mod description;
mod error;
mod lowering;
mod random;
pub mod scale_sim;

pub use error::{Problem, TopologyError};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use xnorforge_sim::network::{Shape, Window};
use xnorforge_sim::{Encoding, Precision};

/// Largest topology file in bytes.
pub const BYTES_MAX: u64 = 1 << 20;
/// Most characters of a name.
pub const NAME_MAX: usize = 100;
/// Most weights of a network that is filled with random numbers.
pub const WEIGHTS_MAX: u64 = 1 << 28;
/// Bits of activations and weights where nothing says otherwise.
pub const BITS_DEFAULT: u32 = 2;
/// Bits of the input of a built-in network: those of an image.
pub const IMAGE_BITS: u32 = 8;

/// A network without weights. It is checked by [`Topology::outlines`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Its name.
    pub name: String,
    /// Inputs: one, or one for each layer where layers stand alone.
    pub inputs: Vec<Input>,
    /// Layers, each after those that it reads.
    pub layers: Vec<Layer>,
}

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Size of one image.
    pub shape: Shape,
    /// Encoding and bits of its numbers.
    pub precision: Precision,
}

/// Where a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// From an input, by index.
    Input(usize),
    /// From a layer, by index.
    Layer(usize),
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its name, for messages and reports.
    pub name: String,
    /// What it reads: one tensor, or two and more for [`Kind::Add`].
    pub sources: Vec<Source>,
    /// What it computes.
    pub kind: Kind,
    /// Encoding and bits of the activations that it reads. A tensor has the most bits that any of its readers asks for;
    /// the others read its most significant branches. [`Kind::MaxPool`] and [`Kind::Flatten`] pass on what those behind
    /// them ask for.
    pub activation: Precision,
    /// Encoding and bits of its weights, if it has any.
    pub weight: Precision,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A convolution.
    Conv {
        /// Output channels.
        outputs: u32,
        /// How the kernel moves.
        window: Window,
        /// Groups; as many as input channels for a depthwise convolution.
        groups: u32,
    },
    /// A fully connected layer on all numbers of what it reads.
    Linear {
        /// Output features.
        outputs: u32,
    },
    /// The largest number of a window.
    MaxPool(Window),
    /// The mean of a window.
    AveragePool(Window),
    /// The mean of each channel.
    GlobalAveragePool,
    /// The sum of tensors of one shape.
    Add,
    /// All numbers in one list; read by fully connected layers alone.
    Flatten,
}

impl Kind {
    /// Its name in a description.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Conv { .. } => "conv",
            Kind::Linear { .. } => "linear",
            Kind::MaxPool(_) => "max_pool",
            Kind::AveragePool(_) => "average_pool",
            Kind::GlobalAveragePool => "global_average_pool",
            Kind::Add => "add",
            Kind::Flatten => "flatten",
        }
    }

    /// Whether it has weights.
    pub fn has_weights(&self) -> bool {
        matches!(self, Kind::Conv { .. } | Kind::Linear { .. })
    }
}

/// Bits that take the place of a topology's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    /// Bits of activations.
    pub activation: Option<u32>,
    /// Bits of weights.
    pub weight: Option<u32>,
    /// Bits of the first layer's weights, and of the last layer's activations and weights, as most low-bit networks
    /// keep them. The first layer reads the input with the input's own bits anyway.
    pub ends: Option<u32>,
}

impl Widths {
    /// `encoding` with `given` bits, else with [`BITS_DEFAULT`] or the only number that it has.
    fn precision(encoding: Encoding, given: Option<u32>) -> Precision {
        Precision::new(encoding, given.unwrap_or(BITS_DEFAULT))
    }
}

/// Reads a topology file by its extension: `.toml` is a description, `.csv` a SCALE-Sim topology.
///
/// # Errors
/// A [`TopologyError`] for a file that cannot be read, that is larger than [`BYTES_MAX`], or that is no topology.
pub fn read(path: &Path, widths: &Widths) -> Result<Topology, TopologyError> {
    let file = path.display().to_string();
    let text = read_text(path).map_err(|problem| problem.in_file(&file))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_csv = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let topology = match is_csv {
        true => scale_sim::parse(&stem, &text, widths),
        false => description::parse(&text, widths),
    };
    topology.map_err(|error| error.in_file(&file))
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let unreadable = |e: std::io::Error| Problem::Unreadable(e.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let mut limited = file.take(BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Problem::TooLarge);
    }
    Ok(text)
}

impl Topology {
    /// Gives the first and the last layer with weights `bits` bits: [`Widths::ends`].
    fn widen_ends(&mut self, bits: u32) {
        let with_weights = |layer: &&mut Layer| layer.kind.has_weights();
        if let Some(first) = self.layers.iter_mut().find(with_weights) {
            first.weight.bits = bits;
        }
        if let Some(last) = self.layers.iter_mut().rfind(with_weights) {
            last.weight.bits = bits;
            last.activation.bits = bits;
        }
    }
}
