//! Descriptors: what a program of the accelerator is made of. One table of fields serves the RTL, the models, the
//! compiler and the documentation (`docs/accelerator.md`).

use super::config::AcceleratorDesign;
use crate::config::bits_for;

/// Words of 32 bits of a descriptor.
pub const DESCRIPTOR_WORDS: u32 = 48;

/// What a descriptor asks for (`Field::Opcode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Opcode {
    /// Ends a run of the program.
    End = 0,
    /// A convolution or a fully connected layer, or a part of one.
    Compute = 1,
    /// Max-pool.
    Pool = 2,
    /// Takes a tensor from the input stream.
    Input = 3,
    /// Takes weights from the weight stream.
    Weights = 4,
}

impl Opcode {
    /// The opcode of a number.
    pub fn of(number: u32) -> Option<Self> {
        [
            Opcode::End,
            Opcode::Compute,
            Opcode::Pool,
            Opcode::Input,
            Opcode::Weights,
        ]
        .into_iter()
        .find(|opcode| *opcode as u32 == number)
    }
}

/// How results are requantized (`Field::Mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Not at all.
    Raw = 0,
    /// By counting thresholds.
    Thresholds = 1,
    /// By a multiplication and an addition.
    Affine = 2,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident $text:literal $word:literal [$high:literal:$low:literal] $signed:literal $width:expr;)*) => {
        /// A field of a descriptor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($(#[$doc])* $name,)*
        }

        impl Field {
            /// Every field, in the order of their places.
            pub const ALL: &'static [Field] = &[$(Field::$name),*];

            /// Its name in the RTL and in messages.
            pub fn name(self) -> &'static str {
                match self { $(Field::$name => $text,)* }
            }

            /// Which word of the descriptor it stands in.
            pub fn word(self) -> u32 {
                match self { $(Field::$name => $word,)* }
            }

            /// Its lowest bit in that word.
            pub fn low(self) -> u32 {
                match self { $(Field::$name => $low,)* }
            }

            /// Bits that the descriptor reserves for it.
            pub fn bits(self) -> u32 {
                match self { $(Field::$name => $high - $low + 1,)* }
            }

            /// Whether it is two's complement.
            pub fn is_signed(self) -> bool {
                match self { $(Field::$name => $signed,)* }
            }

            /// Bits of it that a design keeps: at most `bits`. A value that needs more is refused (error `field`).
            pub fn width(self, design: &AcceleratorDesign) -> u32 {
                let width: fn(&AcceleratorDesign) -> u32 = match self { $(Field::$name => $width,)* };
                width(design).clamp(1, self.bits())
            }
        }
    };
}

fields! {
    /// What to do: an [`Opcode`].
    Opcode "opcode" 0 [3:0] false |_| 4;
    /// Dispatch only when the weight port is idle.
    WaitWeights "wait_weights" 0 [4:4] false |_| 1;
    /// Codes go to the activation memory.
    ToActivation "to_activation" 0 [5:5] false |_| 1;
    /// Codes go to the residual memory.
    ToResidual "to_residual" 0 [6:6] false |_| 1;
    /// Values go to the result stream.
    ToStream "to_stream" 0 [7:7] false |_| 1;
    /// A [`Mode`].
    Mode "mode" 0 [9:8] false |_| 2;
    /// The residual table's value is added before requantization.
    ResidualBefore "residual_before" 0 [10:10] false |_| 1;
    /// The residual table's value is added after requantization.
    ResidualAfter "residual_after" 0 [11:11] false |_| 1;
    /// The shift rounds ties to even.
    RoundEven "round_even" 0 [12:12] false |_| 1;
    /// TLAST on the descriptor's last result.
    StreamLast "stream_last" 0 [13:13] false |_| 1;
    /// Performance-counter set.
    Layer "layer" 0 [31:24] false |d| d.layer_width;
    /// Word address of the least plane group that is read.
    InBase "in_base" 1 [31:0] false |d| d.activation_address_width;
    /// Words between plane groups of the input.
    InPitch "in_pitch" 2 [31:0] false |d| d.activation_address_width;
    /// Highest word address that may be read.
    InLast "in_last" 3 [31:0] false |d| d.activation_address_width;
    /// Granules of an input image.
    ImagePitch "image_pitch" 4 [31:0] false |d| d.granule_address_width;
    /// Granules of an input line.
    LineGranules "line_granules" 5 [31:0] false |d| d.granule_address_width;
    /// Granules of a run.
    RunGranules "run_granules" 6 [15:0] false |_| 16;
    /// Runs of a kernel line.
    Runs "runs" 6 [23:16] false |_| 8;
    /// Kernel lines.
    KernelLines "kernel_lines" 6 [31:24] false |_| 8;
    /// Granule position in its line of the first run of output x = 0.
    OriginX "origin_x" 7 [31:0] true |d| d.granule_address_width + 1;
    /// Granules from an output pixel's first run to the next one's.
    StepX "step_x" 8 [31:0] false |d| d.granule_address_width;
    /// Granules from run to run.
    TapX "tap_x" 9 [31:0] false |d| d.granule_address_width;
    /// Input lines.
    InHeight "in_height" 10 [15:0] false |_| 16;
    /// Output pixels of a line.
    OutWidth "out_width" 10 [31:16] false |_| 16;
    /// Output lines.
    OutHeight "out_height" 11 [15:0] false |_| 16;
    /// Input line of kernel line 0 of output line 0.
    OriginY "origin_y" 11 [31:16] true |_| 16;
    /// Stride in y.
    StepY "step_y" 12 [7:0] false |_| 8;
    /// Dilation in y.
    TapY "tap_y" 12 [15:8] false |_| 8;
    /// Plane bits of a padded tap.
    PadCode "pad_code" 12 [23:16] false |_| 8;
    /// `origin_y * line_granules`.
    OriginLine "origin_line" 13 [31:0] true |d| d.granule_address_width + 1;
    /// `step_y * line_granules`.
    StepLine "step_line" 14 [31:0] false |d| d.granule_address_width;
    /// `tap_y * line_granules`.
    TapLine "tap_line" 15 [31:0] false |d| d.granule_address_width;
    /// Chunks of the reduction.
    Chunks "chunks" 16 [15:0] false |d| d.patch_half_width + 1;
    /// Plane groups that are read.
    Groups "groups" 16 [19:16] false |_| 4;
    /// Row tiles.
    RowTiles "row_tiles" 17 [31:0] false |d| d.granule_address_width;
    /// Column tiles.
    ColumnTiles "column_tiles" 18 [15:0] false |_| 16;
    /// Valid rows of the last row tile.
    LastRows "last_rows" 18 [31:16] false |d| d.design().row_counter_width;
    /// First entry of the schedule.
    ScheduleBase "schedule_base" 19 [15:0] false |d| d.schedule_address_width;
    /// Entries of the schedule.
    ScheduleSteps "schedule_steps" 19 [31:16] false |d| d.schedule_address_width + 1;
    /// First weight address.
    WeightBase "weight_base" 20 [31:0] false |d| d.weight_address_width;
    /// Words of a column tile.
    WeightTile "weight_tile" 21 [31:0] false |d| d.weight_address_width;
    /// Highest weight address that may be read (COMPUTE) or is written (WEIGHTS).
    WeightLast "weight_last" 22 [31:0] false |d| d.weight_address_width;
    /// Right shift that aligns a tile's sums.
    Align "align" 23 [7:0] false |d| d.design().align_width;
    /// log2(d_x * d_w).
    ResultShift "result_shift" 23 [9:8] false |_| 2;
    /// Thresholds: bits of the code.
    Levels "levels" 23 [15:12] false |_| 4;
    /// Arithmetic right shift after requantization.
    Shift "shift" 23 [21:16] false |d| bits_for((d.product_width - 1).into());
    /// First column constant.
    ConstantBase "constant_base" 24 [31:0] false |d| d.constant_address_width;
    /// Constants from a border class in x to the next.
    ClassXPitch "class_x_pitch" 25 [31:0] false |d| d.constant_address_width;
    /// Constants from a border class in y to the next.
    ClassYPitch "class_y_pitch" 26 [31:0] false |d| d.constant_address_width;
    /// Output lines at the top that have border classes of their own.
    YLead "y_lead" 27 [15:0] false |_| 16;
    /// First output line at the bottom that has a border class of its own; the classes rise from it on. 0: none.
    YTrail "y_trail" 27 [31:16] false |_| 16;
    /// As `y_lead`, in x.
    XLead "x_lead" 28 [15:0] false |_| 16;
    /// As `y_trail`, in x.
    XTrail "x_trail" 28 [31:16] false |_| 16;
    /// First word of the thresholds or affine parameters.
    ChannelBase "channel_base" 29 [31:0] false |d| d.channel_address_width;
    /// First entry of the residual table.
    TableBase "table_base" 30 [31:0] false |d| d.table_address_width;
    /// Added after the shift.
    Offset "offset" 31 [31:0] true |_| 16;
    /// Least code.
    CodeMin "code_min" 32 [7:0] false |_| 8;
    /// Greatest code.
    CodeMax "code_max" 32 [15:8] false |_| 8;
    /// Plane groups that are written.
    OutGroups "out_groups" 32 [19:16] false |_| 4;
    /// First word of the output.
    OutBase "out_base" 33 [31:0] false |d| d.output_address_width;
    /// Words between plane groups of the output.
    OutPitch "out_pitch" 34 [31:0] false |d| d.output_address_width;
    /// Highest word address that may be written.
    OutLast "out_last" 35 [31:0] false |d| d.output_address_width;
    /// Granule index of the first output pixel.
    OutGranule "out_granule" 36 [31:0] false |d| d.granule_address_width;
    /// Granules from output pixel to output pixel.
    OutPixel "out_pixel" 37 [31:0] false |d| d.granule_address_width;
    /// First word of the residual tensor.
    ResidualBase "residual_base" 38 [31:0] false |d| d.residual_address_width;
    /// Words between plane groups of the residual tensor.
    ResidualPitch "residual_pitch" 39 [23:0] false |d| d.residual_address_width;
    /// Plane groups of the residual tensor.
    ResidualGroups "residual_groups" 39 [27:24] false |_| 4;
    /// Valid columns of the last column tile.
    LastColumns "last_columns" 40 [15:0] false |d| bits_for(d.design().config().columns.into());
}

/// When a field's range counts: what else the descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In every descriptor.
    Always,
    /// In COMPUTE and POOL.
    Patches,
    /// In COMPUTE.
    Compute,
    /// In COMPUTE with thresholds.
    Thresholds,
    /// In COMPUTE that writes codes.
    Codes,
    /// In COMPUTE that adds a residual.
    Residual,
}

/// The values that a field may have, where its width alone does not say so. Error `field` otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRange {
    /// Which descriptors it holds for.
    pub when: When,
    /// Least value.
    pub min: u32,
    /// Greatest value.
    pub max: u32,
}

impl Field {
    /// The range of a field, beyond what its width says. Counts must not be 0.
    pub fn range(self, design: &AcceleratorDesign) -> Option<FieldRange> {
        let c = design.design().config();
        let full = u32::MAX >> (32 - self.width(design));
        let (when, min, max) = match self {
            Field::Mode => (When::Always, 0, 2),
            Field::RunGranules
            | Field::Runs
            | Field::KernelLines
            | Field::InHeight
            | Field::OutWidth
            | Field::OutHeight
            | Field::RowTiles => (When::Patches, 1, full),
            Field::Groups => (When::Patches, 1, design.design().activation_groups),
            Field::LastRows => (When::Patches, 1, c.rows),
            Field::Chunks | Field::ColumnTiles | Field::ScheduleSteps => (When::Compute, 1, full),
            Field::LastColumns => (When::Compute, 1, c.columns),
            Field::ResultShift => (When::Compute, 0, 2),
            Field::Levels => (When::Thresholds, 1, design.config().threshold_bits),
            Field::OutGroups => (When::Codes, 1, design.design().activation_groups),
            Field::ResidualGroups => (When::Residual, 1, design.design().activation_groups),
            _ => return None,
        };
        Some(FieldRange { when, min, max })
    }
}

/// A descriptor as its words; fields that are not set are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    words: [u32; DESCRIPTOR_WORDS as usize],
}

impl Descriptor {
    /// A descriptor with nothing but its opcode.
    pub fn new(opcode: Opcode) -> Self {
        let mut descriptor = Descriptor {
            words: [0; DESCRIPTOR_WORDS as usize],
        };
        descriptor.words[0] = opcode as u32;
        descriptor
    }

    /// The descriptor that these words are.
    pub fn from_words(words: [u32; DESCRIPTOR_WORDS as usize]) -> Self {
        Descriptor { words }
    }

    /// Its words.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// A field's value, sign-extended where it is signed.
    pub fn get(&self, field: Field) -> i64 {
        let raw = u64::from(self.words[field.word() as usize] >> field.low());
        let unused = 64 - field.bits();
        if field.is_signed() {
            ((raw << unused) as i64) >> unused
        } else {
            ((raw << unused) >> unused) as i64
        }
    }

    /// Sets a field, if `value` fits the width that the design keeps of it; gives whether it does.
    #[must_use]
    pub fn set(&mut self, design: &AcceleratorDesign, field: Field, value: i64) -> bool {
        let width = field.width(design);
        let fits = if field.is_signed() {
            (-(1i64 << (width - 1))..1i64 << (width - 1)).contains(&value)
        } else {
            (0..1i64 << width).contains(&value)
        };
        if fits {
            let mask = (u64::MAX >> (64 - field.bits())) as u32;
            let word = &mut self.words[field.word() as usize];
            *word &= !(mask << field.low());
            *word |= (value as u32 & mask) << field.low();
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArrayConfig;

    #[test]
    fn no_two_fields_share_a_bit() {
        let mut taken = [0u32; DESCRIPTOR_WORDS as usize];
        for field in Field::ALL {
            let mask = ((u64::MAX >> (64 - field.bits())) as u32) << field.low();
            let word = &mut taken[field.word() as usize];
            assert_eq!(*word & mask, 0, "{}", field.name());
            *word |= mask;
        }
    }

    #[test]
    fn fields_keep_their_values_and_refuse_others() {
        let design = ArrayConfig::default().validate().unwrap();
        let design = AcceleratorDesign::new(&design).unwrap();
        for field in Field::ALL {
            let width = field.width(&design);
            let (low, high) = if field.is_signed() {
                (-(1i64 << (width - 1)), (1i64 << (width - 1)) - 1)
            } else {
                (0, (1i64 << width) - 1)
            };
            for value in [low, high] {
                let mut descriptor = Descriptor::new(Opcode::End);
                assert!(descriptor.set(&design, *field, value), "{}", field.name());
                assert_eq!(descriptor.get(*field), value, "{}", field.name());
            }
            let mut descriptor = Descriptor::new(Opcode::End);
            assert!(!descriptor.set(&design, *field, high + 1));
            assert!(!descriptor.set(&design, *field, low - 1));
        }
    }
}
