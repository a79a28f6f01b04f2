//! Moves the slices of a word to their places in a patch.

use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write;

/// Most bits of a rotation that stage 1 takes.
const STAGE_1_BITS: u32 = 2;

/// Widths of the rotation in stage 1 and in stage 2, each at least 1.
pub(super) fn rotation_widths(design: &AcceleratorDesign) -> (u32, u32) {
    let bits = design.slices.ilog2();
    (
        bits.clamp(1, STAGE_1_BITS),
        bits.saturating_sub(STAGE_1_BITS).max(1),
    )
}

/// Rotates every plane of a word by slices, in two registered stages: first by `rotate mod 4` slices (a four-to-one
/// selection is one LUT6), then by the rest, where the pad code is put in and slices are cleared.
#[derive(Clone, Debug, LogicBlock)]
pub struct SliceRotator {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stage 1: the word, one net for each plane.
    pub value: Vec<Net<In>>,
    /// Stage 1: slice s goes to s + `rotate_1`, modulo the slices.
    pub rotate_1: Net<In>,
    /// Stage 1: takes nothing, 0 in every lane.
    pub clear: Net<In>,
    /// Stage 2: slice s goes to s + 4 * `rotate_2`.
    pub rotate_2: Net<In>,
    /// Stage 2: set in every lane of the plane.
    pub pad: Net<In>,
    /// Stage 2: slices that become 0.
    pub zero: Net<In>,
    /// The word two edges later.
    pub rotated: Vec<Net<Out>>,
    _stage: Vec<Word>,
    _planes: usize,
    _slices: usize,
    _granule: usize,
}

impl SliceRotator {
    /// The rotator of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let planes = design.design().config().activation_branches;
        let (slices, granule) = (design.slices, design.granule_lanes);
        let lanes = slices * granule;
        SliceRotator {
            shape: Shape::new(
                format!("slice_rotator_p{planes}_s{slices}_g{granule}"),
                "Rotates the planes of a word by slices, pads and clears, in two stages.",
            ),
            clock: Signal::default(),
            value: Net::vector(planes, lanes),
            rotate_1: Net::new(rotation_widths(design).0),
            clear: Net::new(1),
            rotate_2: Net::new(rotation_widths(design).1),
            pad: Net::new(planes),
            zero: Net::new(slices),
            rotated: Net::vector(planes, lanes),
            _stage: vec![Word::zero(lanes as usize); planes as usize],
            _planes: planes as usize,
            _slices: slices as usize,
            _granule: granule as usize,
        }
    }

    /// A plane whose slices have moved up by `by`, modulo the slices.
    fn rotate(&self, plane: &Word, by: usize) -> Word {
        let lanes = plane.bits();
        let distance = by * self._granule;
        Word::from_bits((0..lanes).map(|lane| plane.get_bit((lane + lanes - distance) % lanes)))
    }

    /// The Verilog of one level: `to` is `from`, rotated by `by` slices where `select` is 1.
    fn level(&self, text: &mut String, from: &str, to: &str, by: usize, select: &str) {
        let (lanes, top) = (self._slices * self._granule, by * self._granule);
        let planes: Vec<String> = (0..self._planes)
            .rev()
            .map(|plane| {
                let (low, split) = (plane * lanes, (plane + 1) * lanes - top);
                format!(
                    "{from}[{}:{low}], {from}[{}:{split}]",
                    split - 1,
                    (plane + 1) * lanes - 1
                )
            })
            .collect();
        let _ = writeln!(
            text,
            "    wire [{}:0] {to} = {select} ? {{{}}} : {from};",
            self._planes * lanes - 1,
            planes.join(", ")
        );
    }
}

impl Logic for SliceRotator {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let by_1 = self.rotate_1.val().to_u64() as usize % self._slices;
        let by_2 = (self.rotate_2.val().to_u64() as usize) << STAGE_1_BITS;
        let (pad, zero) = (self.pad.val(), self.zero.val());
        for m in 0..self._planes {
            let turned = self.rotate(&self._stage[m], by_2 % self._slices);
            self.rotated[m].next = Word::from_bits((0..turned.bits()).map(|lane| {
                (turned.get_bit(lane) | pad.get_bit(m)) & !zero.get_bit(lane / self._granule)
            }));
            let plane = self.value[m].val();
            self._stage[m] = if self.clear.val().any() {
                Word::zero(plane.bits())
            } else {
                self.rotate(&plane, by_1)
            };
        }
    }

    fn connect(&mut self) {
        for plane in &mut self.rotated {
            plane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let width = self._planes * self._slices * self._granule;
        let bits = self._slices.ilog2();
        let mut text = format!("    reg [{}:0] stage;\n", width - 1);
        let (mut first, mut second) = ("value".to_owned(), "stage".to_owned());
        for bit in 0..bits {
            let to = format!("turned_{bit}");
            if bit < STAGE_1_BITS {
                self.level(
                    &mut text,
                    &first,
                    &to,
                    1 << bit,
                    &format!("rotate_1[{bit}]"),
                );
                first = to;
            } else {
                let select = format!("rotate_2[{}]", bit - STAGE_1_BITS);
                self.level(&mut text, &second, &to, 1 << bit, &select);
                second = to;
            }
        }
        let idle = match bits {
            0 => "rotate_1, rotate_2",
            1..=STAGE_1_BITS => "rotate_2",
            _ => "",
        };
        if !idle.is_empty() {
            let _ = writeln!(text, "    wire [0:0] unused = &{{1'b0, {idle}}};");
        }
        let _ = write!(
            text,
            "\n    always @(posedge clock) begin\n        if (clear) begin\n            stage <= {width}'d0;\n        end else begin\n            stage <= {first};\n        end\n"
        );
        for plane in 0..self._planes {
            for slice in 0..self._slices {
                let low = (plane * self._slices + slice) * self._granule;
                let range = format!("[{}:{low}]", low + self._granule - 1);
                let _ = write!(
                    text,
                    "        if (zero[{slice}]) begin\n            rotated{range} <= {g}'d0;\n        end else begin\n            rotated{range} <= {second}{range} | {{{g}{{pad[{plane}]}}}};\n        end\n",
                    g = self._granule
                );
            }
        }
        text.push_str("    end");
        Verilog::Custom(text)
    }
}
