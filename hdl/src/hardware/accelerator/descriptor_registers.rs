//! The registers that hold the running descriptor.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

macro_rules! descriptor_registers {
    ($($name:ident: $field:ident,)*) => {
        /// One register for each field of a descriptor that the hardware uses, as wide as the design keeps it. Word i of a
        /// descriptor is taken at an edge with bit i of `select`.
        #[derive(Clone, Debug, LogicBlock)]
        pub struct DescriptorRegisters {
            shape: Shape,
            /// Clock.
            pub clock: Signal<In, Clock>,
            /// Clears `layer`: cycles before the first descriptor count in set 0.
            pub reset: Net<In>,
            /// Which word is there, one-hot.
            pub select: Net<In>,
            /// The word.
            pub word: Net<In>,
            $(
                /// The field of this name.
                pub $name: Net<Out>,
            )*
        }

        impl DescriptorRegisters {
            /// The registers of a design.
            pub fn new(design: &AcceleratorDesign) -> Self {
                DescriptorRegisters {
                    shape: Shape::new("descriptor_registers", "The fields of the running descriptor."),
                    clock: Signal::default(),
                    reset: Net::new(1),
                    select: Net::new(FIELD_WORDS),
                    word: Net::new(32),
                    $($name: Net::new(Field::$field.width(design)),)*
                }
            }

            /// Every field with its register.
            fn fields(&self) -> Vec<(Field, &Net<Out>)> {
                vec![$((Field::$field, &self.$name),)*]
            }

            fn fields_mut(&mut self) -> Vec<(Field, &mut Net<Out>)> {
                vec![$((Field::$field, &mut self.$name),)*]
            }
        }
    };
}

/// Words of a descriptor that hold fields.
pub(super) const FIELD_WORDS: u32 = 41;

descriptor_registers! {
    opcode: Opcode,
    wait_weights: WaitWeights,
    to_activation: ToActivation,
    to_residual: ToResidual,
    to_stream: ToStream,
    mode: Mode,
    residual_before: ResidualBefore,
    residual_after: ResidualAfter,
    round_even: RoundEven,
    stream_last: StreamLast,
    layer: Layer,
    in_base: InBase,
    in_pitch: InPitch,
    in_last: InLast,
    image_pitch: ImagePitch,
    line_granules: LineGranules,
    run_granules: RunGranules,
    runs: Runs,
    kernel_lines: KernelLines,
    origin_x: OriginX,
    step_x: StepX,
    tap_x: TapX,
    out_width: OutWidth,
    out_height: OutHeight,
    pad_code: PadCode,
    origin_line: OriginLine,
    step_line: StepLine,
    tap_line: TapLine,
    chunks: Chunks,
    groups: Groups,
    row_tiles: RowTiles,
    column_tiles: ColumnTiles,
    last_rows: LastRows,
    schedule_base: ScheduleBase,
    schedule_steps: ScheduleSteps,
    weight_base: WeightBase,
    weight_tile: WeightTile,
    weight_last: WeightLast,
    align: Align,
    result_shift: ResultShift,
    levels: Levels,
    shift: Shift,
    constant_base: ConstantBase,
    class_x_pitch: ClassXPitch,
    class_y_pitch: ClassYPitch,
    y_lead: YLead,
    y_trail: YTrail,
    x_lead: XLead,
    x_trail: XTrail,
    channel_base: ChannelBase,
    table_base: TableBase,
    offset: Offset,
    code_min: CodeMin,
    code_max: CodeMax,
    out_groups: OutGroups,
    out_base: OutBase,
    out_pitch: OutPitch,
    out_last: OutLast,
    out_granule: OutGranule,
    out_pixel: OutPixel,
    residual_base: ResidualBase,
    residual_pitch: ResidualPitch,
    residual_groups: ResidualGroups,
    last_columns: LastColumns,
}

impl Logic for DescriptorRegisters {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let (select, word) = (self.select.val(), self.word.val().to_u64());
        for (field, register) in self.fields_mut() {
            if select.get_bit(field.word() as usize) {
                let width = register.next.bits();
                register.next = Word::new(64, word >> field.low()).resize(width);
            }
        }
        if self.reset.val().any() {
            self.layer.next = Word::zero(self.layer.next.bits());
        }
    }

    fn connect(&mut self) {
        for (_, register) in self.fields_mut() {
            register.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let mut text = "    always @(posedge clock) begin\n".to_owned();
        let fields = self.fields();
        for word in 0..FIELD_WORDS {
            let _ = writeln!(text, "        if (select[{word}]) begin");
            for (field, register) in fields.iter().filter(|(field, _)| field.word() == word) {
                let (low, width) = (field.low(), register.next.bits() as u32);
                let _ = writeln!(
                    text,
                    "            {} <= word[{}:{low}];",
                    field.name(),
                    low + width - 1
                );
            }
            text.push_str("        end\n");
        }
        let _ = write!(
            text,
            "        if (reset) begin\n            layer <= {}'d0;\n        end\n    end",
            self.layer.next.bits()
        );
        Verilog::Custom(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArrayConfig;

    #[test]
    fn fields_have_registers_in_the_order_of_the_table() {
        let design = ArrayConfig::default().validate().unwrap();
        let design = AcceleratorDesign::new(&design).unwrap();
        let registers = DescriptorRegisters::new(&design);
        let fields: Vec<Field> = registers.fields().iter().map(|(field, _)| *field).collect();
        // Lines are counted in granules: the loaders need no line numbers.
        let unused = [Field::InHeight, Field::OriginY, Field::StepY, Field::TapY];
        let used = Field::ALL.iter().filter(|field| !unused.contains(field));
        assert_eq!(fields, used.copied().collect::<Vec<_>>());
        let words = 1 + Field::ALL.iter().map(|field| field.word()).max().unwrap();
        assert_eq!(words, FIELD_WORDS);
    }
}
