//! Lockstep co-simulation: two simulators, the same inputs, every output compared in every cycle.
//!
//! The result is a simulator itself, so whatever drives one array drives a pair of them. It stops at the first
//! difference; [`wave`](crate::wave) then makes a waveform of the cycles before it.

use crate::simulator::{Divergence, Inputs, Outputs, Simulator, SimulatorError};

/// Two simulators in lockstep, "left" and "right".
///
/// `operand_ready` and `result_valid` are compared in every cycle, `result_last` and the results whenever a result
/// is valid. Only before the clock edge of a first reset is nothing compared: registers hold anything then.
#[derive(Debug)]
pub struct Lockstep<A, B> {
    left: A,
    right: B,
    names: [String; 2],
    cycle: u64,
}

impl<A: Simulator, B: Simulator> Lockstep<A, B> {
    /// Two simulators that have not been stepped yet, or equally far.
    pub fn new(left: A, right: B) -> Self {
        Lockstep {
            names: [left.name().to_owned(), right.name().to_owned()],
            left,
            right,
            cycle: 0,
        }
    }

    /// The first simulator.
    pub fn left(&self) -> &A {
        &self.left
    }

    /// The second simulator.
    pub fn right(&self) -> &B {
        &self.right
    }

    /// Both simulators.
    pub fn into_parts(self) -> (A, B) {
        (self.left, self.right)
    }
}

impl<A: Simulator, B: Simulator> Simulator for Lockstep<A, B> {
    fn name(&self) -> &str {
        "lockstep"
    }

    /// One cycle of both. The outputs are those of the first one.
    ///
    /// # Errors
    /// [`SimulatorError::Divergence`] at the first difference, with the cycle as [`Simulator::cycle`] counts it:
    /// 0 for the first step. Errors of either simulator as they are.
    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        let left = self.left.step(inputs)?;
        let right = self.right.step(inputs)?;
        let cycle = self.cycle;
        self.cycle += 1;
        let unknown = cycle == 0 && inputs.reset;
        if left == right || unknown {
            return Ok(left);
        }
        let (signal, values) = difference(left, right);
        let [left_name, right_name] = &self.names;
        let [left_value, right_value] = values;
        Err(SimulatorError::Divergence(Box::new(Divergence {
            cycle,
            signal,
            left: (left_name.clone(), left_value),
            right: (right_name.clone(), right_value),
        })))
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}

/// The first signal in which two different outputs differ, and its two values.
fn difference(left: &Outputs, right: &Outputs) -> (String, [String; 2]) {
    for (signal, a, b) in [
        ("operand_ready", left.operand_ready, right.operand_ready),
        ("result_valid", left.result_valid, right.result_valid),
        ("result_last", left.result_last, right.result_last),
    ] {
        if a != b {
            return (
                signal.to_owned(),
                [a, b].map(|bit| u8::from(bit).to_string()),
            );
        }
    }
    let columns = left.result.iter().zip(&right.result);
    for (column, (a, b)) in columns.enumerate() {
        if a != b {
            return (
                format!("result_value[{column}]"),
                [a, b].map(i64::to_string),
            );
        }
    }
    (
        "number of columns".to_owned(),
        [left, right].map(|outputs| outputs.result.len().to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a list of outputs, one in each cycle.
    struct Script {
        name: &'static str,
        outputs: Vec<Outputs>,
        cycle: u64,
    }

    impl Script {
        fn new(name: &'static str, outputs: Vec<Outputs>) -> Self {
            Script {
                name,
                outputs,
                cycle: 0,
            }
        }
    }

    impl Simulator for Script {
        fn name(&self) -> &str {
            self.name
        }

        fn step(&mut self, _: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
            self.cycle += 1;
            self.outputs
                .get(self.cycle as usize - 1)
                .ok_or(SimulatorError::Hang { cycles: self.cycle })
        }

        fn cycle(&self) -> u64 {
            self.cycle
        }
    }

    fn ready(operand_ready: bool) -> Outputs {
        Outputs {
            operand_ready,
            ..Outputs::default()
        }
    }

    fn result(result: &[i64]) -> Outputs {
        Outputs {
            result_valid: true,
            result: result.to_vec(),
            ..Outputs::default()
        }
    }

    fn message(left: Vec<Outputs>, right: Vec<Outputs>, reset: bool) -> String {
        let mut pair = Lockstep::new(Script::new("model", left), Script::new("RTL", right));
        loop {
            let inputs = Inputs {
                reset: reset && pair.cycle() == 0,
                ..Inputs::default()
            };
            if let Err(error) = pair.step(&inputs) {
                return error.to_string();
            }
        }
    }

    #[test]
    fn the_first_difference_is_named_with_cycle_and_both_values() {
        assert_eq!(
            message(
                vec![ready(true), ready(true)],
                vec![ready(true), ready(false)],
                false
            ),
            "divergence in cycle 1: `operand_ready` is 1 in the model and 0 in the RTL"
        );
        assert_eq!(
            message(vec![result(&[1, -2, 3])], vec![result(&[1, 2, 4])], false),
            "divergence in cycle 0: `result_value[1]` is -2 in the model and 2 in the RTL"
        );
        assert_eq!(
            message(vec![result(&[1])], vec![ready(false)], false),
            "divergence in cycle 0: `result_valid` is 1 in the model and 0 in the RTL"
        );
    }

    #[test]
    fn nothing_is_compared_before_the_first_reset_and_all_after_it() {
        assert_eq!(
            message(
                vec![ready(true), ready(true)],
                vec![ready(false), ready(false)],
                true
            ),
            "divergence in cycle 1: `operand_ready` is 1 in the model and 0 in the RTL"
        );
    }

    #[test]
    fn equal_simulators_go_on_and_their_errors_pass_through() {
        let outputs = vec![ready(true), result(&[5, -5])];
        assert_eq!(
            message(outputs.clone(), outputs, false),
            "no operand was taken and no result given for 3 cycles: the array hangs"
        );
    }
}
