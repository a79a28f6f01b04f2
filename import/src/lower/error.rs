//! Why a graph cannot be lowered.

use xnorforge_sim::network::NetworkError;

/// What stands between a graph and a network of integers. Each message names the node, its operator, the field, the reason
/// and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LowerError {
    /// An operation that has no exact place in a network of integers, or an input that it needs is not legal.
    #[error("node `{node}` ({operator}): {field}: {reason}; {fix}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: &'static str,
        /// Which input or attribute.
        field: &'static str,
        /// What is wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// An input or output of the graph that a network cannot have.
    #[error("the graph's {field} `{tensor}`: {reason}; {fix}")]
    Ends {
        /// `input` or `output`.
        field: &'static str,
        /// Its name.
        tensor: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// A fold that is not exact, where that was asked for.
    #[error(
        "node `{node}` ({operator}): folding into layer `{layer}` is not exact: {wrong} accumulators give another integer, up to {steps} steps off; choose scales whose ratio is a power of two, or allow inexact folds"
    )]
    Inexact {
        /// The node that closes the chain.
        node: String,
        /// Its operator.
        operator: &'static str,
        /// The layer.
        layer: String,
        /// The largest error.
        steps: i64,
        /// How many accumulators are wrong.
        wrong: u64,
    },
    /// A network that is past a limit of the accelerator.
    #[error("node `{node}` ({operator}): {source}")]
    Network {
        /// The node whose layer it is.
        node: String,
        /// Its operator.
        operator: &'static str,
        /// The limit.
        source: Box<NetworkError>,
    },
    /// A network whose ends are past a limit.
    #[error(transparent)]
    NetworkEnds(Box<NetworkError>),
}

/// A refusal on its way to the place that knows the node.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The node, where it is another one than the one that is looked at.
    pub node: Option<usize>,
    pub field: &'static str,
    pub reason: String,
    pub fix: String,
    /// Layer, steps and count of a fold that is not exact.
    pub inexact: Option<(String, i64, u64)>,
}

/// A result of one step of lowering.
pub(crate) type Found<T> = Result<T, Box<Refusal>>;

/// Refuses.
pub(crate) fn refuse<T>(
    field: &'static str,
    reason: impl Into<String>,
    fix: impl Into<String>,
) -> Found<T> {
    Err(Box::new(Refusal {
        node: None,
        field,
        reason: reason.into(),
        fix: fix.into(),
        inexact: None,
    }))
}

/// Refuses if a condition does not hold.
pub(crate) fn require(
    is_legal: bool,
    field: &'static str,
    reason: impl FnOnce() -> String,
    fix: &str,
) -> Found<()> {
    if is_legal {
        Ok(())
    } else {
        refuse(field, reason(), fix)
    }
}
