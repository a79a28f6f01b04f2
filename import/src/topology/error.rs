//! What is wrong with a topology.

use std::fmt;
use xnorforge_sim::EncodeError;
use xnorforge_sim::network::{NetworkError, Shape};

/// An error, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyError {
    /// The file.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// Index and name of the layer.
    pub layer: Option<(usize, String)>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "`{file}`: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some((_, name)) = &self.layer {
            write!(f, "layer `{name}`: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for TopologyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

impl TopologyError {
    /// The same with the file's name.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// The same with a line, if it has none.
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

/// What is wrong, with the field, its value, the limit and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The file is too large.
    #[error(
        "it is larger than {} bytes, the limit of a topology; describe fewer layers",
        super::BYTES_MAX
    )]
    TooLarge,
    /// The text is not well formed, or has keys that do not exist.
    #[error("{0}")]
    Syntax(String),
    /// A number lies outside its range.
    #[error("{field} = {value} is out of range: {min}..={max}; choose a value in that range")]
    Range {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// A text that is no number.
    #[error("{field} = \"{value}\" is no whole number; write one in {min}..={max}")]
    NoNumber {
        /// The field.
        field: &'static str,
        /// What was given.
        value: String,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// A field is missing.
    #[error("`{field}` is missing; {fix}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What to give.
        fix: &'static str,
    },
    /// A field that means nothing there.
    #[error("`{field}` means nothing for a layer of kind \"{kind}\"; remove it")]
    Foreign {
        /// The field.
        field: &'static str,
        /// The layer's kind.
        kind: &'static str,
    },
    /// A name that cannot be shown.
    #[error("the name has {0} characters or some that are not printable; give 1 to {max} printable ones", max = super::NAME_MAX)]
    Name(usize),
    /// A name that stands for two things.
    #[error("the name is that of {0} too; choose another one")]
    NameTaken(String),
    /// A tensor that does not exist yet.
    #[error(
        "it reads `{0}`, which is neither \"input\" nor a layer before it; order the layers so that it is"
    )]
    NoSuchInput(String),
    /// Not as many tensors as a layer reads.
    #[error("a layer of kind \"{kind}\" reads {needed}, and {found} are given; change `inputs`")]
    InputCount {
        /// The layer's kind.
        kind: &'static str,
        /// How many it reads, in words.
        needed: &'static str,
        /// How many were given.
        found: usize,
    },
    /// Tensors from different inputs.
    #[error("it reads tensors that come from different inputs; a network has one input")]
    ManyInputs,
    /// The network has more than one input.
    #[error("it has {0} inputs, each with layers of its own; take its networks one by one")]
    NotOneNetwork(usize),
    /// A kernel that does not fit.
    #[error(
        "a kernel of {kernel:?} (y, x) with dilation {dilation:?} is larger than the padded input of {shape}; pad more or choose a smaller kernel"
    )]
    Kernel {
        /// Size of the kernel.
        kernel: (u32, u32),
        /// Distance of its taps.
        dilation: (u32, u32),
        /// The input, without padding.
        shape: Shape,
    },
    /// A window of a pool that holds padding alone.
    #[error("the window of output (y, x) = ({y}, {x}) lies in the padding altogether; pad less")]
    EmptyWindow {
        /// Output line.
        y: u32,
        /// Output pixel.
        x: u32,
    },
    /// Groups that do not divide the channels.
    #[error(
        "{groups} groups do not divide {channels} {what} channels; choose a divisor of both input and output channels"
    )]
    Groups {
        /// What was given.
        groups: u32,
        /// Channels.
        channels: u32,
        /// `input` or `output`.
        what: &'static str,
    },
    /// Tensors of different shapes are added.
    #[error("it adds tensors of {first} and of {other}; both must have one shape")]
    Shapes {
        /// Shape of the first one.
        first: Shape,
        /// Shape of another one.
        other: Shape,
    },
    /// A list of numbers where a feature map is needed.
    #[error(
        "it reads the flattened `{0}` as a feature map; fully connected layers alone read that: remove `flatten`"
    )]
    Flattened(String),
    /// An encoding at a precision that does not exist.
    #[error("{field}: {source}")]
    Precision {
        /// The field.
        field: &'static str,
        /// Why not.
        source: EncodeError,
    },
    /// Two readers want different encodings.
    #[error(
        "its output is read as `{first}` and as `{other}` (by `{reader}`); give both readers the same activation encoding"
    )]
    Encodings {
        /// One encoding.
        first: xnorforge_sim::Encoding,
        /// Another encoding.
        other: xnorforge_sim::Encoding,
        /// Who wants that.
        reader: String,
    },
    /// An input of another encoding than its reader wants.
    #[error(
        "it reads the input as `{wanted}`, which is `{found}`; set `input_encoding`, or the layer's `activation_encoding`"
    )]
    InputEncoding {
        /// What the reader wants.
        wanted: xnorforge_sim::Encoding,
        /// What the input has.
        found: xnorforge_sim::Encoding,
    },
    /// The header of a CSV is unknown.
    #[error(
        "the header \"{0}\" is neither that of convolutions (Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides) nor that of products (Layer, M, N, K)"
    )]
    Header(String),
    /// A row of a CSV is too short.
    #[error("the row has {found} fields and needs {needed}; add what is missing")]
    Fields {
        /// What was given.
        found: usize,
        /// What is needed.
        needed: usize,
    },
    /// Sparse weights.
    #[error(
        "sparsity {0} is not supported, the hardware computes every weight; write 1:1 or leave the column out"
    )]
    Sparse(String),
    /// There are no layers.
    #[error("there are no layers; describe at least one")]
    Empty,
    /// What else a network may not be.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Problem {
    /// The error of a whole file.
    pub fn in_file(self, file: &str) -> TopologyError {
        TopologyError::from(self).in_file(file)
    }

    /// The error of a layer.
    pub fn in_layer(self, index: usize, name: &str) -> TopologyError {
        TopologyError {
            layer: Some((index, name.to_owned())),
            ..TopologyError::from(self)
        }
    }
}

impl From<Problem> for TopologyError {
    fn from(problem: Problem) -> Self {
        TopologyError {
            file: None,
            line: None,
            layer: None,
            problem: Box::new(problem),
        }
    }
}

/// Refuses a number outside its range.
pub(crate) fn check_range(
    field: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), Problem> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Problem::Range {
        field,
        value,
        min,
        max,
    })
}
