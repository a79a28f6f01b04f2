//! The array configuration as every command takes it: a preset or a file, and flags that override it.

use crate::failure::Failure;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::Read;
use std::path::Path;
use xnorforge_hdl::config::CONFIG_BYTES_MAX;
use xnorforge_hdl::{ArrayConfig, ConfigError, Design, PRESETS, Target};

/// Flags that choose and change an array configuration.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Array configuration")]
pub struct ConfigArgs {
    /// A preset (tiny, default, large) or a TOML file; the flags below override it
    #[arg(long, value_name = "FILE|PRESET")]
    pub config: Option<String>,
    /// Rows of processing elements: output positions, batch (1..=1024)
    #[arg(long, value_name = "R")]
    pub rows: Option<u32>,
    /// Columns of processing elements: output channels (1..=1024)
    #[arg(long, value_name = "C")]
    pub columns: Option<u32>,
    /// Elements of the reduction dimension taken in each cycle (1..=1024)
    #[arg(long, value_name = "L")]
    pub lanes: Option<u32>,
    /// Most bits of an activation, M (1..=8)
    #[arg(long, value_name = "M")]
    pub activation_bits: Option<u32>,
    /// Most bits of a weight, K (1..=8)
    #[arg(long, value_name = "K")]
    pub weight_bits: Option<u32>,
    /// Activation branches computed in one cycle (1..=M)
    #[arg(long, value_name = "PM")]
    pub activation_branches: Option<u32>,
    /// Weight branches computed in one cycle (1..=K)
    #[arg(long, value_name = "PK")]
    pub weight_branches: Option<u32>,
    /// Longest dot product in elements; accumulator and result widths follow from it
    #[arg(long, value_name = "N")]
    pub reduction_max: Option<u32>,
    /// Width of a processing element's sum in bits; derived when left out, checked when given
    #[arg(long, value_name = "BITS")]
    pub accumulator_width: Option<u32>,
    /// Pipeline registers inside the popcount (at least 1)
    #[arg(long, value_name = "D")]
    pub popcount_stages: Option<u32>,
    /// Entries of the column-constant memory (a power of two in 2..=256)
    #[arg(long, value_name = "E")]
    pub constant_entries: Option<u32>,
    /// Device family that constraints and scripts are written for
    #[arg(long, value_parser = target_parser())]
    pub target: Option<Target>,
}

fn target_parser() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Target::ALL.map(Target::name)).try_map(|name| name.parse::<Target>())
}

impl ConfigArgs {
    /// The configuration: the `default` preset or what `--config` names, with the flags applied.
    ///
    /// # Errors
    /// A file that cannot be read, that is too large, or that is not a configuration; an unknown preset.
    pub fn resolve(&self) -> Result<ArrayConfig, Failure> {
        let mut config = match self.config.as_deref() {
            None => ArrayConfig::default(),
            Some(name) => load(name)?,
        };
        for (field, flag) in [
            (&mut config.rows, self.rows),
            (&mut config.columns, self.columns),
            (&mut config.lanes, self.lanes),
            (&mut config.activation_bits, self.activation_bits),
            (&mut config.weight_bits, self.weight_bits),
            (&mut config.activation_branches, self.activation_branches),
            (&mut config.weight_branches, self.weight_branches),
            (&mut config.reduction_max, self.reduction_max),
            (&mut config.popcount_stages, self.popcount_stages),
            (&mut config.constant_entries, self.constant_entries),
        ] {
            if let Some(value) = flag {
                *field = value;
            }
        }
        config.accumulator_width = self.accumulator_width.or(config.accumulator_width);
        config.target = self.target.unwrap_or(config.target);
        Ok(config)
    }

    /// The validated design.
    ///
    /// # Errors
    /// As [`ConfigArgs::resolve`], and every limit of [`ArrayConfig::validate`].
    pub fn design(&self) -> Result<Design, Failure> {
        Ok(self.resolve()?.validate()?)
    }
}

fn load(name: &str) -> Result<ArrayConfig, Failure> {
    if PRESETS.iter().any(|(preset, _)| *preset == name) {
        return Ok(ArrayConfig::preset(name)?);
    }
    let path = Path::new(name);
    let looks_like_a_preset = path.extension().is_none() && path.components().count() == 1;
    if looks_like_a_preset && !path.exists() {
        return Err(ConfigError::UnknownPreset(name.to_owned()).into());
    }
    let text = read_text(path, CONFIG_BYTES_MAX)?;
    ArrayConfig::from_toml(&text).map_err(|e| Failure::from(e).context(format!("`{name}`")))
}

/// Reads a UTF-8 file of at most `limit` bytes.
///
/// # Errors
/// A file that cannot be read, is longer, or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let name = path.display();
    let cannot = |e: std::io::Error| Failure::input(format!("cannot read `{name}`: {e}"));
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(cannot)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::input(format!(
            "`{name}` is longer than {limit} bytes, the limit for such a file; is it the right one?"
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::input(format!("`{name}` is not UTF-8 text; is it the right file?")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        config: ConfigArgs,
    }

    fn resolve(arguments: &str) -> ArrayConfig {
        let words = std::iter::once("xnorforge").chain(arguments.split_whitespace());
        Command::try_parse_from(words)
            .unwrap()
            .config
            .resolve()
            .unwrap()
    }

    #[test]
    fn flags_override_the_preset() {
        let config = resolve("--config tiny --lanes 7 --target ecp5");
        assert_eq!(
            (config.rows, config.lanes, config.target),
            (2, 7, Target::Ecp5)
        );
    }

    #[test]
    fn flags_reproduce_every_field() {
        let config = ArrayConfig {
            rows: 3,
            columns: 5,
            lanes: 17,
            activation_bits: 3,
            weight_bits: 2,
            activation_branches: 3,
            weight_branches: 2,
            reduction_max: 99,
            accumulator_width: Some(40),
            popcount_stages: 1,
            constant_entries: 4,
            target: Target::Asic,
            ..ArrayConfig::default()
        };
        assert_eq!(resolve(&config.command_flags()), config);
    }
}
