//! What the sums of an element and of its row, and the column's constant, make of a result.

use crate::Target;
use crate::accelerator::AcceleratorDesign;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// Widest factor that a DSP block multiplies with, sign included.
const FACTOR_BITS: u32 = 18;

/// `4 * (sum >> align) - 2 * (row_sum >> align) + constant`, modulo 2^width, in three stages.
///
/// Sums that are no multiples of `2^align` lose the bits below it first, so that one multiplication by a power of two
/// aligns their difference: subtractor, multiplication and addition are one DSP block and some LUTs for the
/// subtractor. Where DSP blocks are missing or too narrow, both sums are shifted.
#[derive(Clone, Debug, LogicBlock)]
pub struct AlignedBracket {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets all stages move.
    pub enable: Net<In>,
    /// The drained sum of the element.
    pub sum: Net<In>,
    /// The drained sum of the row unit.
    pub row_sum: Net<In>,
    /// Bits of both sums that do not count.
    pub align: Net<In>,
    /// The column's constant, a stage later.
    pub constant: Net<In>,
    /// The bracket, three stages later.
    pub value: Net<Out>,
    _multiplies: bool,
    _difference: i64,
    _held: (i64, u64),
}

impl AlignedBracket {
    /// For a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let design = d.design();
        let width = design.result_width;
        let has_multipliers = !matches!(design.config().target, Target::Ice40 | Target::Asic);
        let factor = (1 << design.align_width) + 1;
        AlignedBracket {
            shape: Shape::new(
                format!("aligned_bracket_w{width}"),
                "4 * (sum >> align) - 2 * (row_sum >> align) + constant in three stages.",
            ),
            clock: Signal::default(),
            enable: Net::new(1),
            sum: Net::new(design.sum_width()),
            row_sum: Net::new(design.row_sum_width()),
            align: Net::new(design.align_width),
            constant: Net::new(width),
            value: Net::new(width),
            _multiplies: has_multipliers && factor <= FACTOR_BITS,
            _difference: 0,
            _held: (0, 0),
        }
    }

    fn widths(&self) -> (usize, usize, usize, usize) {
        (
            self.sum.val().bits(),
            self.row_sum.val().bits(),
            self.align.val().bits(),
            self.value.next.bits(),
        )
    }

    /// One multiplication by `2^(most - align)`, `most` being the greatest shift.
    fn multiplied(&self) -> String {
        let (sum, row, align, width) = self.widths();
        let most = (1 << align) - 1;
        let difference = (sum + 1).max(row) + 1;
        // The bracket stands `low` bits above the product's lowest one.
        let low = most - 1;
        let product = (width + low).max(difference).max(most + 2);
        let (sum_top, row_top, sign) = (sum - 1, row - 1, difference - 1);
        let (product_top, held_top, value_top) = (product - 1, width - 1, width + low - 1);
        let sign_copies = format!("{{{}{{difference[{sign}]}}}}", product - difference);
        let wide_difference = joined(&[(product - difference, &sign_copies), (1, "difference")]);
        let wide_factor = joined(&[zeros(product - most - 1), (1, "factor")]);
        let wide_held = joined(&[zeros(product - width - low), (1, "held"), zeros(low)]);
        let twice_sum = joined(&[zeros(difference - sum - 1), (1, "whole_sum"), zeros(1)]);
        let one_row = joined(&[zeros(difference - row), (1, "whole_row")]);
        format!(
            "    // The sums without the bits below the point, and 2^({most} - align).
    wire [{sum_top}:0] whole_sum = sum & ({{{sum}{{1'b1}}}} << align);
    wire [{row_top}:0] whole_row = row_sum & ({{{row}{{1'b1}}}} << align);
    wire [{most}:0] factor = {{1'b1, {most}'d0}} >> align;
    reg [{sign}:0] difference;
    wire signed [{product_top}:0] wide_difference = {wide_difference};
    wire signed [{product_top}:0] wide_factor = {wide_factor};
    reg signed [{product_top}:0] product;
    reg [{held_top}:0] held;
    reg [{product_top}:0] bracket;
    wire unused = &{{1'b0, bracket}};

    always @* begin
        value = bracket[{value_top}:{low}];
    end

    always @(posedge clock) begin
        if (enable) begin
            difference <= {twice_sum} - {one_row};
            product <= wide_difference * wide_factor;
            held <= constant;
            bracket <= product + {wide_held};
        end
    end"
        )
    }

    /// Two shifts.
    fn shifted(&self) -> String {
        let (sum, row, _, width) = self.widths();
        let wide = width.max(sum + 2).max(row + 1);
        let (sum_top, row_top, top, wide_top) = (sum - 1, row - 1, width - 1, wide - 1);
        let twice_row = joined(&[zeros(wide - row - 1), (1, "aligned_row"), zeros(1)]);
        let four_sums = joined(&[zeros(wide - sum - 2), (1, "held"), zeros(2)]);
        format!(
            "    reg [{sum_top}:0] aligned;
    reg [{row_top}:0] aligned_row;
    reg [{sum_top}:0] held;
    reg [{top}:0] base;
    wire [{wide_top}:0] twice_row = {twice_row};
    wire [{wide_top}:0] four_sums = {four_sums};
    wire unused = &{{1'b0, twice_row, four_sums}};

    always @(posedge clock) begin
        if (enable) begin
            aligned <= sum >> align;
            aligned_row <= row_sum >> align;
            held <= aligned;
            base <= constant - twice_row[{top}:0];
            value <= base + four_sums[{top}:0];
        end
    end"
        )
    }
}

/// So many zeros in Verilog, as a part of [`joined`].
fn zeros(bits: usize) -> (usize, &'static str) {
    (bits, "0")
}

/// Verilog's concatenation of parts; a part with a count of 0 is left out, and so are the braces of one alone.
fn joined(parts: &[(usize, &str)]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .filter(|(bits, _)| *bits > 0)
        .map(|(bits, text)| match *text {
            "0" => format!("{bits}'d0"),
            text => text.to_owned(),
        })
        .collect();
    match texts.as_slice() {
        [text] => text.clone(),
        _ => format!("{{{}}}", texts.join(", ")),
    }
}

impl Logic for AlignedBracket {
    fn update(&mut self) {
        if !self.clock.pos_edge() || !self.enable.val().any() {
            return;
        }
        let align = self.align.val().to_u64();
        let aligned = |word: Word| (word.to_u64() >> align) as i64;
        let width = self.value.next.bits();
        let (difference, constant) = self._held;
        self.value.next =
            Word::new(64, (2 * difference).wrapping_add(constant as i64) as u64).resize(width);
        self._held = (self._difference, self.constant.val().to_u64());
        self._difference = 2 * aligned(self.sum.val()) - aligned(self.row_sum.val());
    }

    fn connect(&mut self) {
        self.value.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(if self._multiplies {
            self.multiplied()
        } else {
            self.shifted()
        })
    }
}
