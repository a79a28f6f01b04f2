//! The fields of a COMPUTE descriptor that the back end reads.

use xnorforge_hdl::accelerator::{Descriptor, Field};

/// How results are requantized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Raw,
    Thresholds,
    Affine,
}

/// The fields, as numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct BackFields {
    pub to_activation: bool,
    pub to_residual: bool,
    pub to_stream: bool,
    pub stream_last: bool,
    pub mode: Mode,
    /// The residual is added before requantization, and not after it.
    pub adds_early: bool,
    pub adds_late: bool,
    pub uses_residual: bool,
    pub round_even: bool,
    pub out_width: u32,
    pub out_height: u32,
    pub last_rows: u32,
    pub last_columns: u32,
    pub align: u32,
    pub result_shift: u32,
    pub levels: u32,
    pub shift: u32,
    pub constant_base: u32,
    pub class_x_pitch: u32,
    pub class_y_pitch: u32,
    pub x_lead: u32,
    pub x_trail: u32,
    pub y_lead: u32,
    pub y_trail: u32,
    pub channel_base: u32,
    pub table_base: u32,
    pub offset: i32,
    pub code_min: u8,
    pub code_max: u8,
    pub out_groups: u32,
    pub out_base: u32,
    pub out_pitch: u32,
    pub out_last: u32,
    pub out_granule: u32,
    pub out_pixel: u32,
    pub residual_base: u32,
    pub residual_pitch: u32,
    pub residual_groups: u32,
}

impl BackFields {
    pub fn of(descriptor: &Descriptor) -> Self {
        let number = |field| descriptor.get(field) as u32;
        let flag = |field| descriptor.get(field) != 0;
        let (early, late) = (flag(Field::ResidualBefore), flag(Field::ResidualAfter));
        BackFields {
            to_activation: flag(Field::ToActivation),
            to_residual: flag(Field::ToResidual),
            to_stream: flag(Field::ToStream),
            stream_last: flag(Field::StreamLast),
            mode: match descriptor.get(Field::Mode) {
                1 => Mode::Thresholds,
                2 => Mode::Affine,
                _ => Mode::Raw,
            },
            adds_early: early && !late,
            adds_late: late,
            uses_residual: early || late,
            round_even: flag(Field::RoundEven),
            out_width: number(Field::OutWidth),
            out_height: number(Field::OutHeight),
            last_rows: number(Field::LastRows),
            last_columns: number(Field::LastColumns),
            align: number(Field::Align),
            result_shift: number(Field::ResultShift).min(2),
            levels: number(Field::Levels),
            shift: number(Field::Shift),
            constant_base: number(Field::ConstantBase),
            class_x_pitch: number(Field::ClassXPitch),
            class_y_pitch: number(Field::ClassYPitch),
            x_lead: number(Field::XLead),
            x_trail: number(Field::XTrail),
            y_lead: number(Field::YLead),
            y_trail: number(Field::YTrail),
            channel_base: number(Field::ChannelBase),
            table_base: number(Field::TableBase),
            offset: descriptor.get(Field::Offset) as i32,
            code_min: number(Field::CodeMin) as u8,
            code_max: number(Field::CodeMax) as u8,
            out_groups: number(Field::OutGroups),
            out_base: number(Field::OutBase),
            out_pitch: number(Field::OutPitch),
            out_last: number(Field::OutLast),
            out_granule: number(Field::OutGranule),
            out_pixel: number(Field::OutPixel),
            residual_base: number(Field::ResidualBase),
            residual_pitch: number(Field::ResidualPitch),
            residual_groups: number(Field::ResidualGroups),
        }
    }
}
