//! What is wrong with an ONNX file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Longest name that an error repeats in full, in characters.
const NAME_MAX: usize = 120;

/// Why a file cannot be imported. Every text is one line that names what is wrong, where, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is larger than the limit.
    #[error("{what} = {value} is more than {max}; {fix}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How much of it there is.
        value: u64,
        /// The limit.
        max: u64,
        /// What helps.
        fix: &'static str,
    },
    /// The bytes are no ONNX model.
    #[error("no ONNX model, or a truncated one: {0}; export or copy it again")]
    Decode(prost::DecodeError),
    /// Something that belongs to no node.
    #[error("{field}: {problem}; {fix}")]
    Graph {
        /// The field of the file.
        field: String,
        /// What is wrong.
        problem: String,
        /// What helps.
        fix: String,
    },
    /// An operator that is not supported.
    #[error("node `{node}`: operator `{operator}` of domain `{domain}` is not supported; {fix}")]
    Unsupported {
        /// The node.
        node: Name,
        /// Its operator.
        operator: Name,
        /// The operator set.
        domain: Name,
        /// What helps.
        fix: String,
    },
    /// A node is wrong.
    #[error("node `{node}` ({operator}), {field}: {problem}; {fix}")]
    Node {
        /// The node.
        node: Name,
        /// Its operator.
        operator: Name,
        /// The attribute or input.
        field: String,
        /// What is wrong.
        problem: String,
        /// What helps.
        fix: String,
    },
}

/// A name out of a file, kept so that it stays in one line whatever it holds: control characters are escaped, and the
/// middle of long names is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Keeps the name.
    pub fn new(name: &str) -> Name {
        let escaped =
            |name: &str| -> String { name.chars().flat_map(char::escape_debug).collect() };
        // As many bytes are as many characters at most.
        if name.len() <= NAME_MAX || name.chars().count() <= NAME_MAX {
            return Name(escaped(name));
        }
        let start: String = name.chars().take(NAME_MAX / 2).collect();
        let end: String = name.chars().rev().take(NAME_MAX / 2).collect();
        let end: String = end.chars().rev().collect();
        Name(format!("{}...{}", escaped(&start), escaped(&end)))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a part of a node; the node's name is added where it is known.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub field: String,
    pub problem: String,
    pub fix: String,
}

impl Fault {
    pub fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (field, problem, fix) = (field.into(), problem.into(), fix.into());
        Fault {
            field,
            problem,
            fix,
        }
    }

    pub fn in_graph(self) -> OnnxError {
        let Fault {
            field,
            problem,
            fix,
        } = self;
        OnnxError::Graph {
            field,
            problem,
            fix,
        }
    }

    pub fn in_node(self, node: &str, operator: &str) -> OnnxError {
        let Fault {
            field,
            problem,
            fix,
        } = self;
        let (node, operator) = (Name::new(node), Name::new(operator));
        OnnxError::Node {
            node,
            operator,
            field,
            problem,
            fix,
        }
    }
}
