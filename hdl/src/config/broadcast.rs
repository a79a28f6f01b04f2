//! The field `broadcast_stages`: a number or `auto`.

use super::ConfigError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How many registers without enable stand between the control and the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BroadcastStages {
    /// As many as the wanted clock needs; none where no clock is asked for.
    #[default]
    Auto,
    /// This many.
    Fixed(u32),
}

impl BroadcastStages {
    /// The number of stages.
    pub fn count(self) -> u32 {
        match self {
            BroadcastStages::Auto => 0,
            BroadcastStages::Fixed(stages) => stages,
        }
    }

    /// The same hardware always as the same value: no stages are [`BroadcastStages::Auto`].
    pub fn canonical(self) -> Self {
        match self {
            BroadcastStages::Fixed(0) => BroadcastStages::Auto,
            other => other,
        }
    }

    /// Whether the number is left open.
    pub fn is_auto(&self) -> bool {
        *self == BroadcastStages::Auto
    }
}

impl fmt::Display for BroadcastStages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastStages::Auto => f.pad("auto"),
            BroadcastStages::Fixed(stages) => stages.fmt(f),
        }
    }
}

impl FromStr for BroadcastStages {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "auto" => Ok(BroadcastStages::Auto),
            number => number
                .parse()
                .map(BroadcastStages::Fixed)
                .map_err(|_| ConfigError::BroadcastStages(number.to_owned())),
        }
    }
}

impl Serialize for BroadcastStages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            BroadcastStages::Auto => serializer.serialize_str("auto"),
            BroadcastStages::Fixed(stages) => serializer.serialize_u32(*stages),
        }
    }
}

impl<'de> Deserialize<'de> for BroadcastStages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = BroadcastStages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of stages or \"auto\"")
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
                u32::try_from(value)
                    .map(BroadcastStages::Fixed)
                    .map_err(|_| E::custom(ConfigError::BroadcastStages(value.to_string())))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
                u64::try_from(value)
                    .map_err(|_| E::custom(ConfigError::BroadcastStages(value.to_string())))
                    .and_then(|value| self.visit_u64(value))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
