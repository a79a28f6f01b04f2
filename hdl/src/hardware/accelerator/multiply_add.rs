//! The affine step of requantization.

use crate::accelerator::config::MULTIPLIER_BITS;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// `value * multiplier + addend`, modulo 2^width, in two stages; written so that synthesizers infer one DSP block.
#[derive(Clone, Debug, LogicBlock)]
pub struct MultiplyAdd {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets both stages move.
    pub enable: Net<In>,
    /// Holds the result at 0.
    pub clear: Net<In>,
    /// The value, two's complement.
    pub factor: Net<In>,
    /// The multiplier, two's complement.
    pub multiplier: Net<In>,
    /// The addend.
    pub addend: Net<In>,
    /// The result.
    pub value: Net<Out>,
    _product: Word,
    _addend: Word,
}

impl MultiplyAdd {
    /// For values of `width` bits; the result has [`MULTIPLIER_BITS`] more.
    pub fn new(width: u32) -> Self {
        let product = width + MULTIPLIER_BITS;
        MultiplyAdd {
            shape: Shape::new(
                format!("multiply_add_w{width}"),
                "factor * multiplier + addend in two stages.",
            ),
            clock: Signal::default(),
            enable: Net::new(1),
            clear: Net::new(1),
            factor: Net::new(width),
            multiplier: Net::new(MULTIPLIER_BITS),
            addend: Net::new(product),
            value: Net::new(product),
            _product: Word::zero(product as usize),
            _addend: Word::zero(product as usize),
        }
    }
}

/// The number that a word of up to 64 bits holds in two's complement.
fn signed(word: &Word) -> i64 {
    let unused = 64 - word.bits();
    ((word.to_u64() << unused) as i64) >> unused
}

impl Logic for MultiplyAdd {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let width = self.value.next.bits();
        if self.clear.val().any() {
            self.value.next = Word::zero(width);
        } else if self.enable.val().any() {
            self.value.next = self._product.clone() + self._addend.clone();
        }
        if self.enable.val().any() {
            // At most 32 + 16 bits.
            let product = signed(&self.factor.val()) * signed(&self.multiplier.val());
            self._product = Word::new(64, product as u64).resize(width);
            self._addend = self.addend.val();
        }
    }

    fn connect(&mut self) {
        self.value.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, factor) = (self.value.next.bits(), self.factor.val().bits());
        let (high, more) = (width - 1, width - factor);
        Verilog::Custom(format!(
            "    wire signed [{high}:0] wide_factor = {{{{{more}{{factor[{}]}}}}, factor}};
    wire signed [{high}:0] wide_multiplier = {{{{{factor}{{multiplier[{}]}}}}, multiplier}};
    reg  signed [{high}:0] product;
    reg         [{high}:0] held_addend;

    always @(posedge clock) begin
        if (enable) begin
            product <= wide_factor * wide_multiplier;
            held_addend <= addend;
        end
        if (clear) begin
            value <= {width}'d0;
        end else if (enable) begin
            value <= product + held_addend;
        end
    end",
            factor - 1,
            MULTIPLIER_BITS - 1
        ))
    }
}
