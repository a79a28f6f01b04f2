//! Fields of descriptors, set one by one with an error that says whose they are.

use super::ProgramError;
use crate::network::{Shape, Window};
use std::ops::Range;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field, Opcode};

/// A descriptor in the making.
pub(crate) struct Fields<'d> {
    design: &'d AcceleratorDesign,
    what: String,
    descriptor: Descriptor,
}

impl<'d> Fields<'d> {
    pub fn new(design: &'d AcceleratorDesign, opcode: Opcode, what: &str) -> Self {
        Fields {
            design,
            what: what.to_owned(),
            descriptor: Descriptor::new(opcode),
        }
    }

    pub fn set(&mut self, field: Field, value: i64) -> Result<(), ProgramError> {
        if self.descriptor.set(self.design, field, value) {
            return Ok(());
        }
        Err(ProgramError::Field {
            what: self.what.clone(),
            field: field.name(),
            value,
            bits: field.width(self.design),
            fix: fix(field),
        })
    }

    pub fn finish(self) -> Descriptor {
        self.descriptor
    }
}

/// What makes a field's value smaller, or the field wider.
fn fix(field: Field) -> &'static str {
    match field {
        Field::PadCode | Field::CodeMin | Field::CodeMax => {
            "choose `activation_branches` so that it divides the bits of the numbers"
        }
        Field::InHeight | Field::OutWidth | Field::OutHeight => "choose a smaller feature map",
        Field::RunGranules | Field::Runs | Field::KernelLines => "choose a smaller kernel",
        Field::Offset => "choose an offset of 16 bits",
        Field::Shift => "choose a smaller shift",
        Field::WeightTile => "raise `accelerator.weight_words`",
        _ => "raise `accelerator.activation_words`, or run fewer images at a time",
    }
}

/// How the loaders walk over a feature map (`docs/accelerator.md`, "Loading patches").
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub image_pitch: i64,
    pub line_granules: i64,
    pub run_granules: i64,
    pub runs: i64,
    pub kernel_lines: i64,
    pub origin_x: i64,
    pub step_x: i64,
    pub tap_x: i64,
    pub in_height: i64,
    pub out_width: i64,
    pub out_height: i64,
    pub origin_y: i64,
    pub step_y: i64,
    pub tap_y: i64,
}

impl Walk {
    /// The walk of a window over pixels of `pixel` granules, of which `granules` are read, tap by tap.
    pub fn new(
        window: &Window,
        input: Shape,
        output: Shape,
        pixel: u32,
        granules: Range<u32>,
    ) -> Self {
        let [cg, first, count] =
            [pixel, granules.start, granules.end - granules.start].map(i64::from);
        let (height, width) = (i64::from(input.height), i64::from(input.width));
        let (kh, kw) = (i64::from(window.kernel.0), i64::from(window.kernel.1));
        Walk {
            image_pitch: height * width * cg,
            line_granules: width * cg,
            run_granules: count,
            runs: kw,
            kernel_lines: kh,
            origin_x: first - i64::from(window.padding.left) * cg,
            step_x: i64::from(window.stride.1) * cg,
            tap_x: i64::from(window.dilation.1) * cg,
            in_height: height,
            out_width: output.width.into(),
            out_height: output.height.into(),
            origin_y: -i64::from(window.padding.top),
            step_y: window.stride.0.into(),
            tap_y: window.dilation.0.into(),
        }
    }

    /// The same walk in as few runs as a patch allows.
    pub fn in_long_runs(self, window: &Window, input: Shape) -> Self {
        let reads_all = self.run_granules * i64::from(input.width) == self.line_granules;
        let whole = Window {
            stride: window.stride,
            ..Window::whole(input)
        };
        if reads_all && *window == whole {
            // A fully connected layer: the feature map is one pixel.
            return Walk {
                line_granules: self.image_pitch,
                run_granules: self.image_pitch,
                runs: 1,
                kernel_lines: 1,
                in_height: 1,
                step_x: 0,
                tap_x: 0,
                ..self
            };
        }
        if reads_all && window.dilation.1 == 1 {
            // The taps of a line stand side by side.
            return Walk {
                run_granules: self.runs * self.run_granules,
                runs: 1,
                tap_x: 0,
                ..self
            };
        }
        self
    }

    pub fn set(&self, fields: &mut Fields<'_>) -> Result<(), ProgramError> {
        for (field, value) in [
            (Field::ImagePitch, self.image_pitch),
            (Field::LineGranules, self.line_granules),
            (Field::RunGranules, self.run_granules),
            (Field::Runs, self.runs),
            (Field::KernelLines, self.kernel_lines),
            (Field::OriginX, self.origin_x),
            (Field::StepX, self.step_x),
            (Field::TapX, self.tap_x),
            (Field::InHeight, self.in_height),
            (Field::OutWidth, self.out_width),
            (Field::OutHeight, self.out_height),
            (Field::OriginY, self.origin_y),
            (Field::StepY, self.step_y),
            (Field::TapY, self.tap_y),
            (Field::OriginLine, self.origin_y * self.line_granules),
            (Field::StepLine, self.step_y * self.line_granules),
            (Field::TapLine, self.tap_y * self.line_granules),
        ] {
            fields.set(field, value)?;
        }
        Ok(())
    }
}
