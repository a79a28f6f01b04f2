//! What each cycle of a run goes to: the performance counters of a layer.

use serde::Serialize;

/// The cause that a cycle is counted under; the number is the counter's index (`docs/accelerator.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Cause {
    /// The array takes a beat.
    Busy = 0,
    /// Compute waits for a patch.
    Load = 1,
    /// The array stands still because its drain does.
    Drain = 2,
    /// A descriptor waits for the weight port.
    Weights = 3,
    /// An input is taken from the stream.
    Input = 4,
    /// Fetching descriptors, filling and emptying pipelines.
    Control = 5,
    /// Max-pool.
    Pool = 6,
    /// The array stands still because the result stream is not ready.
    Output = 7,
}

impl Cause {
    /// Every cause, by its number.
    pub const ALL: [Cause; 8] = [
        Cause::Busy,
        Cause::Load,
        Cause::Drain,
        Cause::Weights,
        Cause::Input,
        Cause::Control,
        Cause::Pool,
        Cause::Output,
    ];

    /// Its name in reports and in the register map.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Busy => "busy",
            Cause::Load => "load",
            Cause::Drain => "drain",
            Cause::Weights => "weights",
            Cause::Input => "input",
            Cause::Control => "control",
            Cause::Pool => "pool",
            Cause::Output => "output",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accelerator::config::COUNTERS;

    #[test]
    fn a_number_for_each_counter() {
        assert_eq!(Cause::ALL.len(), COUNTERS as usize);
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
        }
    }
}
