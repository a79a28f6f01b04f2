//! The array configuration as every command takes it: a preset or a file, and flags that override it.

use crate::clock::{self, Clock};
use crate::failure::Failure;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::Read;
use std::path::Path;
use xnorforge_hdl::config::CONFIG_BYTES_MAX;
use xnorforge_hdl::{
    AcceleratorConfig, AcceleratorDesign, ArrayConfig, BroadcastStages, ConfigError, Design,
    PRESETS, Structure, Target,
};

/// Flags that choose and change an array configuration.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Array configuration")]
pub struct ConfigArgs {
    /// A preset (tiny, small, default, large) or a TOML file; the flags below override it [default: default]
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
    /// Pipeline registers inside the popcount of structure tree; chosen when left out, fixed by the other structures
    #[arg(long, value_name = "D")]
    pub popcount_stages: Option<u32>,
    /// Registers between the control and the grid, for the clock of large arrays (0..=4, or auto: as --clock-mhz needs)
    #[arg(long, value_name = "B")]
    pub broadcast_stages: Option<BroadcastStages>,
    /// Entries of the column-constant memory (a power of two in 2..=256)
    #[arg(long, value_name = "E")]
    pub constant_entries: Option<u32>,
    /// Device family: whose primitives the processing elements are made of, and which constraints and scripts are written
    #[arg(long, value_parser = target_parser())]
    pub target: Option<Target>,
    /// Structure of the processing elements: auto (the target's smallest), tree (any target), or one of the target's own
    #[arg(long, value_parser = structure_parser())]
    pub structure: Option<Structure>,
    /// Memories and ports of the accelerator.
    #[command(flatten)]
    pub accelerator: AcceleratorArgs,
}

/// Flags for the table `[accelerator]`.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Accelerator configuration (depths are powers of two)")]
pub struct AcceleratorArgs {
    /// Columns that leave the array's drain in one cycle (must divide the columns; a preset's number is lowered to a divisor)
    #[arg(long, value_name = "E")]
    pub drain_columns: Option<u32>,
    /// Copies of the activation memory, each with a loader (must divide the rows; a preset's number is lowered to a divisor)
    #[arg(long, value_name = "F")]
    pub load_ports: Option<u32>,
    /// Activation memory, in words of lanes x activation branches bits
    #[arg(long, value_name = "WORDS")]
    pub activation_words: Option<u32>,
    /// Residual memory, in the same words
    #[arg(long, value_name = "WORDS")]
    pub residual_words: Option<u32>,
    /// Patch buffer of a row, both halves, in the same words
    #[arg(long, value_name = "WORDS")]
    pub patch_words: Option<u32>,
    /// Weight memory of a column, in words of lanes x weight branches bits
    #[arg(long, value_name = "WORDS")]
    pub weight_words: Option<u32>,
    /// Column constants of a drained column
    #[arg(long, value_name = "WORDS")]
    pub constant_words: Option<u32>,
    /// Channels whose thresholds or affine parameters a drained column holds
    #[arg(long, value_name = "WORDS")]
    pub channel_words: Option<u32>,
    /// Entries of the residual table
    #[arg(long, value_name = "WORDS")]
    pub table_words: Option<u32>,
    /// Program memory, in words of 32 bits
    #[arg(long, value_name = "WORDS")]
    pub program_words: Option<u32>,
    /// Steps of all schedules together
    #[arg(long, value_name = "WORDS")]
    pub schedule_words: Option<u32>,
    /// Sets of performance counters
    #[arg(long, value_name = "COUNT")]
    pub layers: Option<u32>,
    /// Most bits of a code that thresholds can make (1..=8)
    #[arg(long, value_name = "BITS")]
    pub threshold_bits: Option<u32>,
    /// Width of the weight and the input stream in bits
    #[arg(long, value_name = "BITS")]
    pub stream_bits: Option<u32>,
}

impl AcceleratorArgs {
    fn apply(&self, config: &mut AcceleratorConfig) {
        for (field, flag) in [
            (&mut config.drain_columns, self.drain_columns),
            (&mut config.load_ports, self.load_ports),
            (&mut config.activation_words, self.activation_words),
            (&mut config.residual_words, self.residual_words),
            (&mut config.patch_words, self.patch_words),
            (&mut config.weight_words, self.weight_words),
            (&mut config.constant_words, self.constant_words),
            (&mut config.channel_words, self.channel_words),
            (&mut config.table_words, self.table_words),
            (&mut config.program_words, self.program_words),
            (&mut config.schedule_words, self.schedule_words),
            (&mut config.layers, self.layers),
            (&mut config.threshold_bits, self.threshold_bits),
            (&mut config.stream_bits, self.stream_bits),
        ] {
            *field = flag.unwrap_or(*field);
        }
    }
}

fn target_parser() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Target::ALL.map(Target::name)).try_map(|name| name.parse::<Target>())
}

fn structure_parser() -> impl TypedValueParser<Value = Structure> {
    PossibleValuesParser::new(Structure::ALL.map(Structure::name))
        .try_map(|name| name.parse::<Structure>())
}

impl ConfigArgs {
    /// The configuration: the `default` preset or what `--config` names, with the flags applied, and a preset's ports fitted
    /// to its rows and columns ([`ConfigArgs::fitted_ports`]).
    ///
    /// # Errors
    /// A file that cannot be read, that is too large, or that is not a configuration; an unknown preset.
    pub fn resolve(&self) -> Result<ArrayConfig, Failure> {
        let mut config = load(self.base())?;
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
            *field = flag.unwrap_or(*field);
        }
        config.accumulator_width = self.accumulator_width.or(config.accumulator_width);
        config.target = self.target.unwrap_or(config.target);
        config.structure = self.structure.unwrap_or(config.structure);
        config.broadcast_stages = self.broadcast_stages.unwrap_or(config.broadcast_stages);
        self.accelerator.apply(&mut config.accelerator);
        let fitted = self.fitted_ports(&config, &[config.columns], &[config.rows]);
        let ports = &mut config.accelerator;
        (ports.drain_columns, ports.load_ports) = fitted;
        Ok(config)
    }

    /// The drained columns and load ports of a configuration, for all of some columns and rows: its own, but where they are a
    /// preset's and not a flag's, the largest number up to that which divides them all.
    pub fn fitted_ports(&self, config: &ArrayConfig, columns: &[u32], rows: &[u32]) -> (u32, u32) {
        let fit = |flag: Option<u32>, own: u32, numbers: &[u32]| match flag {
            None if is_preset(self.base()) => divisor_up_to(own, numbers),
            _ => own,
        };
        let (flags, ports) = (&self.accelerator, &config.accelerator);
        (
            fit(flags.drain_columns, ports.drain_columns, columns),
            fit(flags.load_ports, ports.load_ports, rows),
        )
    }

    /// What the flags override.
    fn base(&self) -> &str {
        self.config.as_deref().unwrap_or("default")
    }

    /// The validated design.
    ///
    /// # Errors
    /// As [`ConfigArgs::resolve`], and every limit of [`ArrayConfig::validate`].
    pub fn design(&self) -> Result<Design, Failure> {
        let design = self.resolve()?.validate()?;
        warn(&design);
        Ok(design)
    }

    /// The validated design, and the clock that it is for. A frequency that is asked for settles what the configuration
    /// leaves open ([`crate::clock::choose`]).
    ///
    /// # Errors
    /// As [`ConfigArgs::design`], and a frequency out of range.
    pub fn design_for(&self, clock_mhz: Option<f64>) -> Result<(Design, Clock), Failure> {
        let Some(mhz) = clock_mhz else {
            return Ok((self.design()?, Clock::default()));
        };
        let (design, choice) = clock::choose(&self.resolve()?, mhz)?;
        warn(&design);
        if let Some(warning) = &choice.warning {
            tracing::warn!("{warning}");
        }
        let choice = Some(choice);
        Ok((design, Clock { mhz, choice }))
    }

    /// The validated accelerator.
    ///
    /// # Errors
    /// As [`ConfigArgs::design`], and every limit of [`AcceleratorDesign::new`].
    pub fn accelerator_design(&self) -> Result<AcceleratorDesign, Failure> {
        Ok(AcceleratorDesign::new(&self.design()?)?)
    }
}

fn warn(design: &Design) {
    for warning in design.warnings() {
        tracing::warn!("{warning}");
    }
}

fn is_preset(name: &str) -> bool {
    PRESETS.iter().any(|(preset, _)| *preset == name)
}

/// The largest number up to `limit` (at least 1) that divides all of `numbers`.
pub(crate) fn divisor_up_to(limit: u32, numbers: &[u32]) -> u32 {
    let divides_all = |d: &u32| numbers.iter().all(|n| n.is_multiple_of(*d));
    let limit = numbers.iter().fold(limit, |limit, n| limit.min(*n));
    (1..=limit).rev().find(divides_all).unwrap_or(1)
}

fn load(name: &str) -> Result<ArrayConfig, Failure> {
    if is_preset(name) {
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
    fn ports_of_a_preset_fit_other_rows_and_columns() {
        let ports = |line: &str| {
            let ports = resolve(line).accelerator;
            (ports.drain_columns, ports.load_ports)
        };
        assert_eq!(ports(""), (2, 2));
        assert_eq!(ports("--columns 9 --rows 7"), (1, 1));
        assert_eq!(ports("--config large --columns 12 --rows 6"), (6, 3));
        assert_eq!(ports("--columns 12 --drain-columns 5"), (5, 2));
    }

    #[test]
    fn ports_of_a_file_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "columns = 8\n[accelerator]\ndrain_columns = 4\n").unwrap();
        let config = resolve(&format!("--config {} --columns 6", file.display()));
        assert_eq!(config.accelerator.drain_columns, 4);
    }

    /// [`AcceleratorConfig::command_flags`] leaves out what every preset but `tiny` and `large` has.
    #[test]
    fn flags_reproduce_every_preset() {
        for (name, _) in PRESETS {
            let config = ArrayConfig::preset(name).unwrap();
            let flags = config.command_flags() + &config.accelerator.command_flags();
            assert_eq!(resolve(&flags).accelerator, config.accelerator, "{name}");
            assert_eq!(resolve(&flags).hash(), config.hash(), "{name}");
        }
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
            broadcast_stages: BroadcastStages::Fixed(3),
            constant_entries: 4,
            target: Target::Asic,
            structure: Structure::Tree,
            accelerator: AcceleratorConfig {
                drain_columns: 5,
                load_ports: 3,
                activation_words: 64,
                residual_words: 32,
                patch_words: 16,
                weight_words: 128,
                constant_words: 8,
                channel_words: 4,
                table_words: 2,
                program_words: 256,
                schedule_words: 512,
                layers: 16,
                threshold_bits: 3,
                stream_bits: 32,
            },
        };
        let flags = config.command_flags() + &config.accelerator.command_flags();
        assert_eq!(resolve(&flags), config);
    }
}
