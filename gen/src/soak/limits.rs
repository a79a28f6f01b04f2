//! Upper bounds on what cases draw: how a failing case is made smaller, and how the smaller one is named on the command
//! line.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Something of a case that can be made smaller. The order is that of shrinking: what makes a run shorter and plainer
/// first, then the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// Products, or runs of a program.
    Runs,
    /// Soft resets, also in the middle of work: 0 or 1.
    Resets,
    /// Random stalls at the ports: 0 or 1.
    Stalls,
    /// Layers of a network.
    Layers,
    /// Networks in one program: 1, or 2 with one that reads fewer bits of the same weights.
    Networks,
    /// Images of a run.
    Images,
    /// Height and width of a network's input.
    Side,
    /// Channels of a network's input and of its convolutions.
    Channels,
    /// `rows`.
    Rows,
    /// `columns`.
    Columns,
    /// `lanes`.
    Lanes,
    /// `activation_branches`.
    ActivationBranches,
    /// `weight_branches`.
    WeightBranches,
    /// `activation_bits`.
    ActivationBits,
    /// `weight_bits`.
    WeightBits,
    /// `reduction_max`.
    ReductionMax,
    /// `popcount_stages`.
    PopcountStages,
    /// `broadcast_stages`.
    BroadcastStages,
    /// `constant_entries`.
    ConstantEntries,
    /// `accelerator.drain_columns`.
    DrainColumns,
    /// `accelerator.load_ports`.
    LoadPorts,
    /// `accelerator.stream_bits`.
    StreamBits,
    /// `accelerator.threshold_bits`.
    ThresholdBits,
}

impl Knob {
    /// Every knob, in the order of shrinking.
    pub const ALL: [Knob; 23] = [
        Knob::Runs,
        Knob::Resets,
        Knob::Stalls,
        Knob::Layers,
        Knob::Networks,
        Knob::Images,
        Knob::Side,
        Knob::Channels,
        Knob::Rows,
        Knob::Columns,
        Knob::Lanes,
        Knob::ActivationBranches,
        Knob::WeightBranches,
        Knob::ActivationBits,
        Knob::WeightBits,
        Knob::ReductionMax,
        Knob::PopcountStages,
        Knob::BroadcastStages,
        Knob::ConstantEntries,
        Knob::DrainColumns,
        Knob::LoadPorts,
        Knob::StreamBits,
        Knob::ThresholdBits,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Knob::Runs => "runs",
            Knob::Resets => "resets",
            Knob::Stalls => "stalls",
            Knob::Layers => "layers",
            Knob::Networks => "networks",
            Knob::Images => "images",
            Knob::Side => "side",
            Knob::Channels => "channels",
            Knob::Rows => "rows",
            Knob::Columns => "columns",
            Knob::Lanes => "lanes",
            Knob::ActivationBranches => "activation-branches",
            Knob::WeightBranches => "weight-branches",
            Knob::ActivationBits => "activation-bits",
            Knob::WeightBits => "weight-bits",
            Knob::ReductionMax => "reduction-max",
            Knob::PopcountStages => "popcount-stages",
            Knob::BroadcastStages => "broadcast-stages",
            Knob::ConstantEntries => "constant-entries",
            Knob::DrainColumns => "drain-columns",
            Knob::LoadPorts => "load-ports",
            Knob::StreamBits => "stream-bits",
            Knob::ThresholdBits => "threshold-bits",
        }
    }

    /// Its least value.
    pub fn least(self) -> u32 {
        match self {
            Knob::Resets | Knob::Stalls | Knob::BroadcastStages => 0,
            Knob::ConstantEntries => 2,
            Knob::StreamBits => 8,
            _ => 1,
        }
    }
}

/// Upper bounds; none for what is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<Knob, u32>);

/// Why a text is no list of limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No such name.
    #[error("`{0}` cannot be limited; choose from {names}", names = Knob::ALL.map(Knob::name).join(", "))]
    Name(String),
    /// Not `name=number`.
    #[error("`{0}` is no limit; write it as rows=2, several with commas between them")]
    Form(String),
    /// Below what there can be.
    #[error("{name}={value} is out of range: from {least} on; choose a value in that range")]
    Range {
        /// The name.
        name: &'static str,
        /// What was given.
        value: u32,
        /// The least value.
        least: u32,
    },
}

impl Limits {
    /// The bound of something, or no bound at all.
    pub fn of(&self, knob: Knob) -> u32 {
        self.0.get(&knob).copied().unwrap_or(u32::MAX)
    }

    /// A value within its bound.
    pub fn bound(&self, knob: Knob, value: u32) -> u32 {
        value.min(self.of(knob))
    }

    /// The same limits with another one.
    #[must_use]
    pub fn with(&self, knob: Knob, value: u32) -> Self {
        let mut limits = self.clone();
        limits.0.insert(knob, value);
        limits
    }

    /// Without those that a case stays below anyway: `sizes` are the values without any limit.
    #[must_use]
    pub fn without_idle(&self, sizes: &[(Knob, u32)]) -> Self {
        let binds = |(knob, limit): &(&Knob, &u32)| {
            sizes.iter().any(|(k, value)| k == *knob && value > *limit)
        };
        Limits(self.0.iter().filter(binds).map(|(k, v)| (*k, *v)).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (knob, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}={value}", knob.name())?;
        }
        Ok(())
    }
}

impl FromStr for Limits {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let mut limits = BTreeMap::new();
        for part in text.split(',') {
            let form = || LimitError::Form(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let knob = Knob::ALL.into_iter().find(|knob| knob.name() == name);
            let knob = knob.ok_or_else(|| LimitError::Name(name.to_owned()))?;
            let value: u32 = value.parse().map_err(|_| form())?;
            if value < knob.least() {
                return Err(LimitError::Range {
                    name: knob.name(),
                    value,
                    least: knob.least(),
                });
            }
            limits.insert(knob, value);
        }
        Ok(Limits(limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_printed() {
        let limits: Limits = "rows=2,stalls=0,activation-bits=1".parse().unwrap();
        assert_eq!(limits.to_string(), "stalls=0,rows=2,activation-bits=1");
        assert_eq!(limits.to_string().parse(), Ok(limits.clone()));
        assert_eq!(limits.bound(Knob::Rows, 9), 2);
        assert_eq!(limits.bound(Knob::Columns, 9), 9);
        let sizes = [(Knob::Rows, 2), (Knob::Stalls, 1)];
        assert_eq!(limits.without_idle(&sizes).to_string(), "stalls=0");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        let error = |text: &str| text.parse::<Limits>().unwrap_err().to_string();
        assert!(error("row=1").starts_with("`row` cannot be limited; choose from runs, "));
        assert_eq!(
            error("rows=0"),
            "rows=0 is out of range: from 1 on; choose a value in that range"
        );
        for text in ["", "rows", "rows=", "rows=-1", "rows=1,"] {
            assert!(error(text).contains("is no limit"), "{text}");
        }
    }
}
