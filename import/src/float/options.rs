//! Which precision each layer gets: defaults, exceptions for the first and the last layers, and rules by name.
//!
//! ```toml
//! [input]
//! bits = 8
//!
//! [weights]
//! bits = 2
//! encoding = "bipolar"
//! calibration = "mean_squared_error"
//!
//! [activations]
//! bits = 2
//! calibration = { percentile = 99.9 }
//!
//! [last.weights]
//! bits = 8
//!
//! [[layer]]
//! name = "layer1.*"
//! weights = { encoding = "ternary" }
//! activations = { bits = 4 }
//! ```

use serde::{Deserialize, Serialize};

/// Most bits of a quantized number.
pub const BITS_MAX: u32 = 8;
/// Longest precision file in bytes.
pub const OPTIONS_BYTES_MAX: usize = 1 << 20;

/// Options that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The text is no TOML or JSON, or holds other fields than these.
    #[error("the precision file is not valid {format}{place}: {reason}")]
    Parse {
        /// `TOML` or `JSON`.
        format: &'static str,
        /// Where, as ` at line 3`.
        place: String,
        /// What the parser says.
        reason: String,
    },
    /// A value out of range.
    #[error("{table}.{field} = {value}: {rule}")]
    Value {
        /// Which table of the file, or which layer it is for.
        table: String,
        /// Which field.
        field: &'static str,
        /// What was found.
        value: String,
        /// What is allowed, and what to do.
        rule: String,
    },
    /// A rule for layers that do not exist.
    #[error("layer[{index}].name = \"{pattern}\": no layer has such a name; there are {names}")]
    Pattern {
        /// Which rule, from 0.
        index: usize,
        /// Its pattern.
        pattern: String,
        /// Names that exist.
        names: String,
    },
}

/// How numbers are encoded. In an activation's numbers, the step is the scale of all of them; in weights, of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Activations that are never negative: `unsigned`; all others and weights: `bipolar`.
    #[default]
    Auto,
    /// Odd integers from -(2^bits - 1) to 2^bits - 1 (Sun et al., arXiv 1905.13389).
    Bipolar,
    /// 0 to 2^bits - 1.
    Unsigned,
    /// Two's complement; weights without the least integer, so that they are symmetric.
    Signed,
    /// -1, 0 and 1.
    Ternary,
}

/// How a scale is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// The extreme values are the ends of the range.
    MinMax,
    /// So many percent of the magnitudes are within the range.
    Percentile(f64),
    /// The mean of the squared errors is least, of the scales that were tried; never more than with the extremes. For ternary
    /// weights it is the least of all thresholds and scales (the problem of Li et al., Ternary Weight Networks,
    /// arXiv 1605.04711, solved exactly).
    #[default]
    #[serde(alias = "mse")]
    MeanSquaredError,
}

/// Precision of weights. What is missing is taken from the table that it makes an exception of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Bits, 1 to [`BITS_MAX`]; 4 by default. 2 of ternary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Encoding; bipolar by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How scales are found; mean squared error by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Whether each output channel has its own scale; yes by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_channel: Option<bool>,
}

/// Precision of activations. What is missing is taken from the table that it makes an exception of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Activations {
    /// Bits, 1 to [`BITS_MAX`]; 4 by default, 8 of the input. 2 of ternary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Encoding; automatic by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How the scale is found; mean squared error by default, the extremes of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// Precision of a layer: its weights, and what it gives (behind its bias, batch norm and activation function).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerPrecision {
    /// Its weights.
    pub weights: Weights,
    /// What it gives.
    pub activations: Activations,
}

/// A rule for layers by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRule {
    /// Name of the node (convolution, product, addition, average pool); `*` stands for any text and `?` for one character.
    pub name: String,
    /// Their weights.
    #[serde(default)]
    pub weights: Weights,
    /// What they give.
    #[serde(default)]
    pub activations: Activations,
}

/// How a float graph is quantized. Later tables are exceptions of earlier ones: the defaults, `first` and `last`, then the
/// rules of `layer` in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantization {
    /// The graph's input.
    pub input: Activations,
    /// All weights.
    pub weights: Weights,
    /// All activations.
    pub activations: Activations,
    /// Layers with weights that no other such layer stands before.
    pub first: LayerPrecision,
    /// Layers with weights that no other such layer stands behind.
    pub last: LayerPrecision,
    /// Rules by name; `layer` in files.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerRule>,
}

/// A precision with nothing missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Bits.
    pub bits: u32,
    /// Encoding.
    pub encoding: Encoding,
    /// How the scale is found.
    pub calibration: Calibration,
    /// Whether each channel has its own scale (weights).
    pub per_channel: bool,
}

impl Quantization {
    /// Reads a TOML file's text.
    ///
    /// # Errors
    /// [`OptionsError`] for another syntax, unknown fields and values out of range.
    pub fn from_toml(text: &str) -> Result<Self, OptionsError> {
        let parsed = check_length(text, "TOML").and_then(|()| {
            toml::from_str(text).map_err(|e| OptionsError::Parse {
                format: "TOML",
                place: e.span().map_or(String::new(), |span| {
                    let before = text.bytes().take(span.start);
                    format!(" at line {}", 1 + before.filter(|b| *b == b'\n').count())
                }),
                reason: one_line(e.message()),
            })
        });
        parsed.and_then(Self::checked)
    }

    /// Reads a JSON file's text.
    ///
    /// # Errors
    /// As [`Quantization::from_toml`].
    pub fn from_json(text: &str) -> Result<Self, OptionsError> {
        let parsed = check_length(text, "JSON").and_then(|()| {
            serde_json::from_str(text).map_err(|e| OptionsError::Parse {
                format: "JSON",
                place: String::new(),
                reason: one_line(&e.to_string()),
            })
        });
        parsed.and_then(Self::checked)
    }

    fn checked(self) -> Result<Self, OptionsError> {
        self.validate().map(|()| self)
    }

    /// Checks every table by itself.
    ///
    /// # Errors
    /// [`OptionsError::Value`] for the first value out of range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        check_activations("input", &self.input)?;
        check_weights("weights", &self.weights)?;
        check_activations("activations", &self.activations)?;
        for (name, layer) in [("first", &self.first), ("last", &self.last)] {
            check_weights(&format!("{name}.weights"), &layer.weights)?;
            check_activations(&format!("{name}.activations"), &layer.activations)?;
        }
        for (index, rule) in self.layers.iter().enumerate() {
            let place = format!("layer[{index}] (\"{}\")", rule.name);
            check_weights(&format!("{place}.weights"), &rule.weights)?;
            check_activations(&format!("{place}.activations"), &rule.activations)?;
        }
        Ok(())
    }

    /// Checks that every rule is for a layer that exists.
    ///
    /// # Errors
    /// [`OptionsError::Pattern`] for the first one that is not.
    pub fn check_names(&self, names: &[&str]) -> Result<(), OptionsError> {
        const SHOWN: usize = 12;
        for (index, rule) in self.layers.iter().enumerate() {
            if names.iter().any(|name| matches(&rule.name, name)) {
                continue;
            }
            let shown: Vec<String> = names
                .iter()
                .take(SHOWN)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = match names.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return Err(OptionsError::Pattern {
                index,
                pattern: rule.name.clone(),
                names: if names.is_empty() {
                    "no layers".to_owned()
                } else {
                    shown.join(", ") + &more
                },
            });
        }
        Ok(())
    }

    /// Precision of the input.
    ///
    /// # Errors
    /// [`OptionsError::Value`] for bits that the encoding does not have.
    pub fn of_input(&self) -> Result<Precision, OptionsError> {
        let start = Precision {
            bits: 8,
            encoding: Encoding::Auto,
            calibration: Calibration::MinMax,
            per_channel: false,
        };
        finish("input", start.with(&self.input))
    }

    /// Precision of the weights of a layer.
    ///
    /// # Errors
    /// [`OptionsError::Value`] for bits that the encoding does not have.
    pub fn of_weights(
        &self,
        layer: &str,
        is_first: bool,
        is_last: bool,
    ) -> Result<Precision, OptionsError> {
        let mut precision = Precision {
            bits: 4,
            encoding: Encoding::Auto,
            calibration: Calibration::default(),
            per_channel: true,
        };
        let ends = [(is_first, &self.first), (is_last, &self.last)];
        let ends = ends
            .iter()
            .filter(|(is_end, _)| *is_end)
            .map(|(_, layer)| &layer.weights);
        let rules = self.layers.iter().filter(|rule| matches(&rule.name, layer));
        let tables = std::iter::once(&self.weights)
            .chain(ends)
            .chain(rules.map(|rule| &rule.weights));
        for table in tables {
            let other = Activations {
                bits: table.bits,
                encoding: table.encoding,
                calibration: table.calibration,
            };
            precision = precision.with(&other);
            precision.per_channel = table.per_channel.unwrap_or(precision.per_channel);
        }
        if precision.encoding == Encoding::Auto {
            precision.encoding = Encoding::Bipolar;
        }
        finish(&format!("layer `{layer}`: weights"), precision)
    }

    /// Precision of what a layer gives.
    ///
    /// # Errors
    /// [`OptionsError::Value`] for bits that the encoding does not have.
    pub fn of_activations(
        &self,
        layer: &str,
        is_first: bool,
        is_last: bool,
    ) -> Result<Precision, OptionsError> {
        let mut precision = Precision {
            bits: 4,
            encoding: Encoding::Auto,
            calibration: Calibration::default(),
            per_channel: false,
        }
        .with(&self.activations);
        for (is_end, end) in [(is_first, &self.first), (is_last, &self.last)] {
            if is_end {
                precision = precision.with(&end.activations);
            }
        }
        for rule in self.layers.iter().filter(|rule| matches(&rule.name, layer)) {
            precision = precision.with(&rule.activations);
        }
        finish(&format!("layer `{layer}`: activations"), precision)
    }
}

impl Precision {
    /// With the exceptions of a table.
    fn with(mut self, table: &Activations) -> Self {
        if table.encoding == Some(Encoding::Ternary) {
            self.bits = 2;
        }
        self.bits = table.bits.unwrap_or(self.bits);
        self.encoding = table.encoding.unwrap_or(self.encoding);
        self.calibration = table.calibration.unwrap_or(self.calibration);
        self
    }
}

/// Checks bits against an encoding that came from another table.
fn finish(place: &str, precision: Precision) -> Result<Precision, OptionsError> {
    check_bits(place, Some(precision.bits), Some(precision.encoding))?;
    Ok(precision)
}

fn check_length(text: &str, format: &'static str) -> Result<(), OptionsError> {
    if text.len() <= OPTIONS_BYTES_MAX {
        return Ok(());
    }
    Err(OptionsError::Parse {
        format,
        place: String::new(),
        reason: format!(
            "it has {} bytes, the limit is {OPTIONS_BYTES_MAX}",
            text.len()
        ),
    })
}

fn check_weights(table: &str, weights: &Weights) -> Result<(), OptionsError> {
    if weights.encoding == Some(Encoding::Unsigned) {
        return Err(OptionsError::Value {
            table: table.to_owned(),
            field: "encoding",
            value: "\"unsigned\"".to_owned(),
            rule: "weights have both signs; use \"bipolar\", \"signed\" or \"ternary\"".to_owned(),
        });
    }
    check_bits(table, weights.bits, weights.encoding)?;
    check_calibration(table, weights.calibration)
}

fn check_activations(table: &str, activations: &Activations) -> Result<(), OptionsError> {
    check_bits(table, activations.bits, activations.encoding)?;
    check_calibration(table, activations.calibration)
}

fn check_bits(
    table: &str,
    bits: Option<u32>,
    encoding: Option<Encoding>,
) -> Result<(), OptionsError> {
    let Some(bits) = bits else { return Ok(()) };
    let rule = match encoding {
        _ if !(1..=BITS_MAX).contains(&bits) => format!("bits are 1 to {BITS_MAX}"),
        Some(Encoding::Ternary) if bits != 2 => {
            "ternary numbers have 2 bits; leave bits out or choose another encoding".to_owned()
        }
        Some(Encoding::Signed) if bits < 2 => {
            "signed numbers have at least 2 bits; use encoding \"bipolar\" for 1 bit".to_owned()
        }
        _ => return Ok(()),
    };
    Err(OptionsError::Value {
        table: table.to_owned(),
        field: "bits",
        value: bits.to_string(),
        rule,
    })
}

fn check_calibration(table: &str, calibration: Option<Calibration>) -> Result<(), OptionsError> {
    match calibration {
        Some(Calibration::Percentile(percent)) if !(percent > 0.0 && percent <= 100.0) => {
            Err(OptionsError::Value {
                table: table.to_owned(),
                field: "calibration.percentile",
                value: percent.to_string(),
                rule: "a percentile is above 0 and at most 100; 99.9 is usual".to_owned(),
            })
        }
        _ => Ok(()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a name fits a pattern, in which `*` stands for any text and `?` for one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and where what it stands for ends: only the last one ever has to grow.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(c), _) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            (_, Some((at, end))) => {
                star = Some((at, end + 1));
                (p, n) = (at + 1, end + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("conv1", "conv1", true),
            ("conv1", "conv10", false),
            ("conv?", "conv1", true),
            ("conv?", "conv", false),
            ("*", "", true),
            ("layer1.*", "layer1.0.conv1", true),
            ("*conv*2", "layer1.conv1.conv2", true),
            ("*conv*3", "layer1.conv1.conv2", false),
            ("a*b*c", "abcbc", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn later_tables_are_exceptions() {
        let options = Quantization::from_toml(
            r#"
            [weights]
            bits = 3
            [last]
            weights = { bits = 8 }
            [[layer]]
            name = "fc*"
            weights = { encoding = "ternary", per_channel = false }
            [[layer]]
            name = "fc2"
            weights = { encoding = "signed", bits = 5, calibration = { percentile = 99 } }
            "#,
        )
        .unwrap();
        let first = options.of_weights("conv1", true, false).unwrap();
        assert_eq!((first.bits, first.encoding), (3, Encoding::Bipolar));
        let ternary = options.of_weights("fc1", false, true).unwrap();
        assert_eq!((ternary.bits, ternary.encoding), (2, Encoding::Ternary));
        assert!(!ternary.per_channel);
        let last = options.of_weights("fc2", false, true).unwrap();
        assert_eq!((last.bits, last.encoding), (5, Encoding::Signed));
        assert_eq!(last.calibration, Calibration::Percentile(99.0));
        assert_eq!(options.of_activations("fc2", false, true).unwrap().bits, 4);
        assert_eq!(options.of_input().unwrap().bits, 8);
    }

    #[test]
    fn json_is_the_same() {
        let toml =
            Quantization::from_toml("activations = { bits = 2, calibration = \"mse\" }").unwrap();
        let text = serde_json::to_string(&toml).unwrap();
        assert_eq!(Quantization::from_json(&text).unwrap(), toml);
        let short = r#"{"activations": {"bits": 2, "calibration": "mse"}}"#;
        assert_eq!(Quantization::from_json(short).unwrap(), toml);
    }
}
