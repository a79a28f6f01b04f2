//! What two of a kind gave in one cycle, compared output by output.

use crate::simulator::{Divergence, SimulatorError};
use std::fmt::Debug;

/// Outputs that can be told apart.
pub(super) trait Signals: PartialEq {
    /// Every output with its name, in the order in which a difference is looked for.
    fn signals(&self) -> Vec<(&'static str, &dyn Debug)>;
}

/// The outputs of both, where they agree; `names` are those of the first and of the second one.
///
/// # Errors
/// [`SimulatorError::Divergence`] with the first output that differs.
pub(super) fn agreed<'o, O: Signals>(
    cycle: u64,
    names: &[String; 2],
    left: &'o O,
    right: &O,
) -> Result<&'o O, SimulatorError> {
    if left == right {
        return Ok(left);
    }
    let (signal, values) = difference(left, right);
    let [left_name, right_name] = names.clone();
    let [left_value, right_value] = values;
    Err(SimulatorError::Divergence(Box::new(Divergence {
        cycle,
        signal: signal.to_owned(),
        left: (left_name, left_value),
        right: (right_name, right_value),
    })))
}

/// The first signal that differs, and its two values.
fn difference<O: Signals>(left: &O, right: &O) -> (&'static str, [String; 2]) {
    let pairs = left.signals().into_iter().zip(right.signals());
    pairs
        .map(|((signal, left), (_, right))| (signal, [format!("{left:?}"), format!("{right:?}")]))
        .find(|(_, [left, right])| left != right)
        .unwrap_or(("outputs", Default::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accelerator::{AxiOutputs, CoreOutputs};

    fn message<O: Signals>(left: &O, right: &O) -> String {
        let names = ["model", "RTL"].map(str::to_owned);
        agreed(7, &names, left, right).err().unwrap().to_string()
    }

    #[test]
    fn the_first_output_that_differs_is_named_with_both_values() {
        let left = CoreOutputs {
            error: 3,
            counter_value: 5,
            ..CoreOutputs::default()
        };
        let right = CoreOutputs::default();
        assert_eq!(
            message(&left, &right),
            "divergence in cycle 7: `error` is 3 in the model and 0 in the RTL"
        );
        let left = AxiOutputs {
            read_response: Some((9, 2)),
            ..AxiOutputs::default()
        };
        assert_eq!(
            message(&left, &AxiOutputs::default()),
            "divergence in cycle 7: `s_axil_r` is Some((9, 2)) in the model and None in the RTL"
        );
    }

    #[test]
    fn equal_outputs_are_given_back() {
        let outputs = CoreOutputs::default();
        let names = Default::default();
        let given = agreed(0, &names, &outputs, &CoreOutputs::default()).unwrap();
        assert_eq!(*given, outputs);
    }
}
