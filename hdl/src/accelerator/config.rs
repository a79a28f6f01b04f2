//! Sizes of the accelerator around the array, and all that follows from them.

use super::descriptor::Field;
use crate::config::{ConfigError, Design, bits_for};
use crate::timing;
use serde::{Deserialize, Serialize};

/// Deepest memory in words.
pub const WORDS_MAX: u32 = 1 << 20;
/// Most slices of a word.
pub const SLICES_MAX: u32 = 64;
/// Most thresholds of a channel, as bits of the code that they make.
pub const THRESHOLD_BITS_MAX: u32 = 8;
/// Widest weight and input stream in bits.
pub const STREAM_BITS_MAX: u32 = 1024;
/// Most columns that leave the drain in one cycle: a packet of the program stream has 8 bits for the number of one.
pub const DRAIN_COLUMNS_MAX: u32 = 256;
/// Most sets of performance counters.
pub const LAYERS_MAX: u32 = 256;
/// Performance counters of a layer.
pub const COUNTERS: u32 = 8;
/// Bits of an affine multiplier (signed).
pub const MULTIPLIER_BITS: u32 = 16;
/// Bits of an address in a packet of the program stream.
pub const LOAD_ADDRESS_BITS: u32 = 24;
/// Fields of which the command lowers those of presets to divisors of the rows or columns.
const FITTED: [&str; 2] = ["drain_columns", "load_ports"];
/// Bits of a value in the result stream.
pub const RESULT_BITS: u32 = 32;

/// Memories and ports of the accelerator: the table `[accelerator]` of a configuration. Every depth is a power of two,
/// in words of the memory that it names. Every field may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcceleratorConfig {
    /// Columns that leave the drain in one cycle. Divides `columns`.
    pub drain_columns: u32,
    /// Copies of the activation memory, each with a loader of its own. Divides `rows`.
    pub load_ports: u32,
    /// Activation memory, in words of lanes x activation branches bits.
    pub activation_words: u32,
    /// Residual memory, in the same words.
    pub residual_words: u32,
    /// Patch buffer of one row, both halves, in the same words.
    pub patch_words: u32,
    /// Weight memory of one column, in words of lanes x weight branches bits.
    pub weight_words: u32,
    /// Column constants of one drained column: layers x border classes x channels / `drain_columns`.
    pub constant_words: u32,
    /// Channels whose thresholds or affine parameters one drained column holds.
    pub channel_words: u32,
    /// Entries of the residual table.
    pub table_words: u32,
    /// Program memory, in words of 32 bits.
    pub program_words: u32,
    /// Steps of all schedules together.
    pub schedule_words: u32,
    /// Sets of performance counters.
    pub layers: u32,
    /// Most bits of a code that thresholds can make.
    pub threshold_bits: u32,
    /// Width of the weight and the input stream, in bits.
    pub stream_bits: u32,
}

impl Default for AcceleratorConfig {
    fn default() -> Self {
        AcceleratorConfig {
            drain_columns: 1,
            load_ports: 1,
            activation_words: 2048,
            residual_words: 512,
            patch_words: 512,
            weight_words: 1024,
            constant_words: 1024,
            channel_words: 512,
            table_words: 256,
            program_words: 2048,
            schedule_words: 256,
            layers: 32,
            threshold_bits: 4,
            stream_bits: 64,
        }
    }
}

/// A validated accelerator: the array's [`Design`] and every width of what stands around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceleratorDesign {
    design: Design,
    config: AcceleratorConfig,
    /// S: slices of a word.
    pub slices: u32,
    /// G: lanes of a slice.
    pub granule_lanes: u32,
    /// Bits of a slice index, at least 1.
    pub slice_width: u32,
    /// Rows that one loader serves.
    pub rows_per_port: u32,
    /// Steps in which a row is drained: columns / `drain_columns`.
    pub drain_steps: u32,
    /// Bits of a word of the activation memory, the residual memory and a patch buffer.
    pub word_width: u32,
    /// Bits of a weight word.
    pub weight_width: u32,
    /// Address of the activation memory.
    pub activation_address_width: u32,
    /// Address of the residual memory.
    pub residual_address_width: u32,
    /// The wider of the two.
    pub output_address_width: u32,
    /// A granule's number in the activation or residual memory.
    pub granule_address_width: u32,
    /// Address of a patch buffer, half included.
    pub patch_address_width: u32,
    /// Address inside one half of it.
    pub patch_half_width: u32,
    /// Address of a weight bank.
    pub weight_address_width: u32,
    /// Address of the column constants.
    pub constant_address_width: u32,
    /// Address of a channel's parameters.
    pub channel_address_width: u32,
    /// Address of the residual table.
    pub table_address_width: u32,
    /// Address of the program memory.
    pub program_address_width: u32,
    /// Address of the schedule memory.
    pub schedule_address_width: u32,
    /// Number of a performance-counter set.
    pub layer_width: u32,
    /// Bits of a requantized value before its shift: a result times a multiplier.
    pub product_width: u32,
    /// Bits of a constant word: `{fall, constant}`.
    pub constant_width: u32,
    /// Bits of an affine word: `{addend, multiplier}`.
    pub affine_width: u32,
    /// Bits of a schedule entry: `{shift, row_mode, weight_offset, patch_offset}`.
    pub schedule_width: u32,
    /// Planes of a code: `activation_groups * activation_branches`, at most 15.
    pub code_planes: u32,
}

fn address_bits(words: u32) -> u32 {
    words.ilog2().max(1)
}

impl AcceleratorDesign {
    /// Checks the sizes that stand in the array's configuration and derives every width.
    ///
    /// # Errors
    /// The first [`ConfigError`] in the order of the fields.
    pub fn new(design: &Design) -> Result<Self, ConfigError> {
        let (array, c) = (design.config(), &design.config().accelerator);
        c.check(array.rows, array.columns)?;
        if array.columns > array.lanes {
            return Err(ConfigError::AcceleratorColumns {
                columns: array.columns,
                lanes: array.lanes,
            });
        }
        if design.result_width > RESULT_BITS {
            return Err(ConfigError::AcceleratorResult {
                bits: design.result_width,
                limit: RESULT_BITS,
            });
        }
        let mut slices = 1;
        while slices < SLICES_MAX
            && array.lanes.is_multiple_of(2 * slices)
            && array.lanes / (2 * slices) >= array.columns
        {
            slices *= 2;
        }
        let activation = address_bits(c.activation_words);
        let residual = address_bits(c.residual_words);
        let product_width = design.result_width + MULTIPLIER_BITS;
        let (patch, weight) = (address_bits(c.patch_words), address_bits(c.weight_words));
        Ok(AcceleratorDesign {
            slices,
            granule_lanes: array.lanes / slices,
            slice_width: bits_for((slices - 1).into()),
            rows_per_port: array.rows / c.load_ports,
            drain_steps: array.columns / c.drain_columns,
            word_width: design.activation_word_width(),
            weight_width: design.weight_word_width(),
            activation_address_width: activation,
            residual_address_width: residual,
            output_address_width: activation.max(residual),
            granule_address_width: activation.max(residual) + slices.ilog2() + 1,
            patch_address_width: patch,
            patch_half_width: (patch - 1).max(1),
            weight_address_width: weight,
            constant_address_width: address_bits(c.constant_words),
            channel_address_width: address_bits(c.channel_words),
            table_address_width: address_bits(c.table_words),
            program_address_width: address_bits(c.program_words),
            schedule_address_width: address_bits(c.schedule_words),
            layer_width: address_bits(c.layers),
            product_width,
            constant_width: design.result_width + 1,
            affine_width: product_width + MULTIPLIER_BITS,
            schedule_width: patch + weight + 2 + design.shift_amounts.len() as u32,
            code_planes: design.activation_groups * array.activation_branches,
            design: design.clone(),
            config: c.clone(),
        })
    }

    /// The array.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The sizes that this was made from.
    pub fn config(&self) -> &AcceleratorConfig {
        &self.config
    }

    /// Words of one half of a patch buffer.
    pub fn patch_half_words(&self) -> u32 {
        self.config.patch_words / 2
    }

    /// Bits of the widest address of a memory that the program stream loads; a packet has room for 24.
    pub fn load_address_width(&self) -> u32 {
        self.program_address_width
            .max(self.schedule_address_width)
            .max(self.lane_address_width())
            .min(LOAD_ADDRESS_BITS)
    }

    /// Bits of the widest memory word that the program stream loads; two of its words hold it.
    pub fn load_value_width(&self) -> u32 {
        [
            RESULT_BITS,
            self.schedule_width,
            self.constant_width,
            self.product_width,
            self.affine_width,
        ]
        .into_iter()
        .fold(0, u32::max)
    }

    /// Bits of a granule: a slice of each plane of a group.
    pub fn granule_width(&self) -> u32 {
        self.design.config().activation_branches * self.granule_lanes
    }

    /// Granules that the residual memory holds, for each plane group.
    pub fn residual_granules(&self) -> u32 {
        self.config.residual_words * self.slices
    }

    /// Bits of the widest address of a lane's memories: constants, thresholds, affine words, table.
    pub fn lane_address_width(&self) -> u32 {
        let thresholds = self.channel_address_width + self.config.threshold_bits - 1;
        self.constant_address_width
            .max(thresholds)
            .max(self.table_address_width)
    }

    /// Whether writing a row's plane groups can take longer than draining it, so that the drain must space rows out.
    pub fn rows_are_spaced(&self) -> bool {
        self.design.activation_groups > self.drain_steps
    }

    /// Bits of the number of the first column of a step.
    pub fn column_width(&self) -> u32 {
        bits_for((self.design.config().columns - self.config.drain_columns).into())
    }

    /// Bits in which the result stream's values are kept before they are widened to [`RESULT_BITS`]: a result, or a code
    /// and a sign.
    pub fn stream_value_width(&self) -> u32 {
        self.design.result_width.max(Field::CodeMax.bits() + 1)
    }

    /// Stages of the epilogue between value and requantized value: the threshold levels, at least the two of the
    /// multiplier.
    pub fn requantization_stages(&self) -> u32 {
        self.config.threshold_bits.max(2)
    }

    /// Stages of the epilogue from the drain to the codes, both ends included (`docs/accelerator.md`).
    pub fn epilogue_stages(&self) -> u32 {
        10 + self.requantization_stages()
    }

    /// Cycles that a step of the drain waits between its control and the epilogue, if nothing is before it: the broadcast
    /// stages and the buffer behind them; 0 without broadcast stages.
    pub fn step_delay(&self) -> u32 {
        match self.design.broadcast_stages() {
            0 => 0,
            stages => stages + timing::BUFFER_STAGES,
        }
    }

    /// Steps that may be under way between the drain and the epilogue: as many as leave the drain until the first one's
    /// credit is back. Without broadcast stages none is.
    pub fn step_credits(&self) -> u32 {
        self.step_delay() + 1
    }

    /// The top module's name, without AXI.
    pub fn top_name(&self) -> String {
        let c = self.design.config();
        format!("xnf_accelerator_r{}_c{}_l{}", c.rows, c.columns, c.lanes)
    }
}

impl AcceleratorConfig {
    /// Every field by its name, in the order of the documentation.
    pub fn fields(&self) -> [(&'static str, u32); 14] {
        [
            ("drain_columns", self.drain_columns),
            ("load_ports", self.load_ports),
            ("activation_words", self.activation_words),
            ("residual_words", self.residual_words),
            ("patch_words", self.patch_words),
            ("weight_words", self.weight_words),
            ("constant_words", self.constant_words),
            ("channel_words", self.channel_words),
            ("table_words", self.table_words),
            ("program_words", self.program_words),
            ("schedule_words", self.schedule_words),
            ("layers", self.layers),
            ("threshold_bits", self.threshold_bits),
            ("stream_bits", self.stream_bits),
        ]
    }

    /// The flags of the `xnorforge` command that stand for it; nothing for fields that have the value they have when left out, but
    /// drained columns and load ports are always there: the command fits those of presets to rows and columns.
    pub fn command_flags(&self) -> String {
        let defaults = AcceleratorConfig::default().fields();
        self.fields()
            .iter()
            .zip(defaults)
            .filter(|(field, default)| FITTED.contains(&field.0) || field.1 != default.1)
            .map(|((name, value), _)| format!(" --{} {value}", name.replace('_', "-")))
            .collect()
    }

    fn check(&self, rows: u32, columns: u32) -> Result<(), ConfigError> {
        for (field, value, of_field, of) in [
            ("drain_columns", self.drain_columns, "columns", columns),
            ("load_ports", self.load_ports, "rows", rows),
        ] {
            if value == 0 || !of.is_multiple_of(value) {
                return Err(ConfigError::NoDivisor {
                    field,
                    value,
                    of_field,
                    of,
                });
            }
        }
        for (field, value, min, max) in [
            ("activation_words", self.activation_words, 2, WORDS_MAX),
            ("residual_words", self.residual_words, 2, WORDS_MAX),
            ("patch_words", self.patch_words, 4, WORDS_MAX),
            ("weight_words", self.weight_words, 2, WORDS_MAX),
            ("constant_words", self.constant_words, 2, WORDS_MAX),
            ("channel_words", self.channel_words, 2, WORDS_MAX),
            ("table_words", self.table_words, 2, WORDS_MAX),
            ("program_words", self.program_words, 64, WORDS_MAX),
            ("schedule_words", self.schedule_words, 2, WORDS_MAX),
            ("layers", self.layers, 2, LAYERS_MAX),
            ("stream_bits", self.stream_bits, 8, STREAM_BITS_MAX),
        ] {
            if !value.is_power_of_two() || !(min..=max).contains(&value) {
                return Err(ConfigError::PowerOfTwo {
                    field,
                    value,
                    min,
                    max,
                    suggestion: value.clamp(min, max).next_power_of_two(),
                });
            }
        }
        if self.drain_columns > DRAIN_COLUMNS_MAX {
            return Err(ConfigError::OutOfRange {
                field: "drain_columns",
                value: self.drain_columns.into(),
                min: 1,
                max: DRAIN_COLUMNS_MAX.into(),
            });
        }
        if !(1..=THRESHOLD_BITS_MAX).contains(&self.threshold_bits) {
            return Err(ConfigError::OutOfRange {
                field: "threshold_bits",
                value: self.threshold_bits.into(),
                min: 1,
                max: THRESHOLD_BITS_MAX.into(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayConfig, BroadcastStages};

    #[test]
    fn every_preset_is_an_accelerator() {
        for (name, _) in crate::PRESETS {
            let design = ArrayConfig::preset(name).unwrap().validate().unwrap();
            let accelerator = AcceleratorDesign::new(&design).unwrap();
            assert_eq!(
                accelerator.slices * accelerator.granule_lanes,
                design.config().lanes
            );
            assert!(accelerator.granule_lanes >= design.config().columns);
        }
    }

    #[test]
    fn sizes_follow_from_the_configuration() {
        let config = ArrayConfig {
            rows: 4,
            columns: 6,
            lanes: 48,
            activation_bits: 3,
            activation_branches: 2,
            broadcast_stages: BroadcastStages::Fixed(3),
            accelerator: AcceleratorConfig {
                drain_columns: 3,
                load_ports: 2,
                activation_words: 256,
                residual_words: 1024,
                patch_words: 64,
                weight_words: 128,
                constant_words: 512,
                channel_words: 32,
                threshold_bits: 3,
                ..AcceleratorConfig::default()
            },
            ..ArrayConfig::default()
        };
        let d = designed(config).unwrap();
        assert_eq!((d.slices, d.granule_lanes, d.slice_width), (8, 6, 3));
        assert_eq!((d.rows_per_port, d.drain_steps), (2, 2));
        assert_eq!(d.output_address_width, 10);
        assert_eq!(d.granule_address_width, 10 + 3 + 1);
        assert_eq!((d.patch_address_width, d.patch_half_width), (6, 5));
        assert_eq!((d.code_planes, d.granule_width()), (4, 12));
        assert_eq!(d.residual_granules(), 8192);
        assert_eq!((d.column_width(), d.epilogue_stages()), (2, 13));
        assert_eq!((d.step_delay(), d.step_credits()), (5, 6));
        assert_eq!((d.lane_address_width(), d.load_address_width()), (9, 11));
        assert_eq!(d.patch_half_words(), 32);
    }

    fn designed(array: ArrayConfig) -> Result<AcceleratorDesign, ConfigError> {
        AcceleratorDesign::new(&array.validate().unwrap())
    }

    fn with(edit: impl FnOnce(&mut AcceleratorConfig)) -> Result<AcceleratorDesign, ConfigError> {
        let mut config = ArrayConfig::default();
        edit(&mut config.accelerator);
        designed(config)
    }

    #[test]
    fn words_have_at_most_64_slices() {
        let config = ArrayConfig {
            columns: 1,
            lanes: 256,
            ..ArrayConfig::default()
        };
        assert_eq!(designed(config).unwrap().slices, 64);
    }

    #[test]
    fn rows_of_more_plane_groups_than_steps_are_spaced() {
        for (drain_columns, spaced) in [(1, false), (2, false), (4, true), (8, true)] {
            let design = with(|c| c.drain_columns = drain_columns).unwrap();
            assert_eq!(design.rows_are_spaced(), spaced);
        }
    }

    #[test]
    fn depths_are_powers_of_two_within_their_range() {
        for (program_words, fits) in [(32, false), (64, true), (96, false), (128, true)] {
            let design = with(|c| c.program_words = program_words);
            let refused = matches!(design, Err(ConfigError::PowerOfTwo { .. }));
            assert_eq!(!refused, fits, "{program_words}");
        }
    }

    #[test]
    fn drained_columns_divide_the_columns() {
        for (drain_columns, fits) in [(0, false), (1, true), (3, false), (4, true), (16, false)] {
            let design = with(|c| c.drain_columns = drain_columns);
            let refused = matches!(design, Err(ConfigError::NoDivisor { .. }));
            assert_eq!(!refused, fits, "{drain_columns}");
        }
    }

    #[test]
    fn a_code_and_its_sign_fit_the_stream_beside_narrow_results() {
        let config = ArrayConfig {
            rows: 1,
            columns: 1,
            lanes: 1,
            activation_bits: 1,
            weight_bits: 1,
            reduction_max: 1,
            ..ArrayConfig::default()
        };
        let d = designed(config).unwrap();
        assert!(d.design().result_width < 9);
        assert_eq!(d.stream_value_width(), 9);
        assert_eq!((d.step_delay(), d.step_credits()), (0, 1));
    }
}
