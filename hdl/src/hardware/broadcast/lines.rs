//! Registers without enable that carry words to the grid: one behind the other, and side by side.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Attributes of a register that stands for itself: synthesizers shall neither merge it with its twins nor make it part of a
/// shift register in LUTs.
pub(super) const ALONE: &str = "(* keep = \"true\", shreg_extract = \"no\" *)";
/// The same for Yosys, which heeds `keep` at the block that makes the flip-flops, and merges them in spite of it at the
/// register.
pub(super) const ALWAYS: &str = "(* keep = \"true\" *)\n    always @(posedge clock) begin";

/// Delays a word by a fixed number of clock cycles, 0 or more.
#[derive(Clone, Debug, LogicBlock)]
pub struct DelayLine {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The word.
    pub word: Net<In>,
    /// The word of `stages` cycles before.
    pub delayed: Net<Out>,
    /// The words of the cycles before, the youngest first.
    _history: VecDeque<Word>,
}

impl DelayLine {
    /// `stages` registers of `width` bits.
    pub fn new(stages: u32, width: u32) -> Self {
        DelayLine {
            shape: Shape::new(
                format!("delay_line_d{stages}_w{width}"),
                "Registers without enable, one behind the other.",
            ),
            clock: Signal::default(),
            word: Net::new(width),
            delayed: Net::new(width),
            _history: vec![Word::zero(width as usize); stages as usize].into(),
        }
    }
}

impl Logic for DelayLine {
    fn update(&mut self) {
        let word = self.word.val();
        if self.clock.pos_edge() && !self._history.is_empty() {
            self._history.pop_back();
            self._history.push_front(word.clone());
        }
        self.delayed.next = self._history.back().cloned().unwrap_or(word);
    }

    fn connect(&mut self) {
        self.delayed.connect();
    }

    fn hdl(&self) -> Verilog {
        let stages = self._history.len();
        if stages == 0 {
            return Verilog::Custom(
                "    wire [0:0] unused = &{1'b0, clock};\n\n    assign delayed = word;".to_owned(),
            );
        }
        let top = self.word.val().bits() - 1;
        let mut text = String::new();
        for stage in 1..=stages {
            let _ = writeln!(text, "    {ALONE} reg [{top}:0] stage_{stage};");
        }
        let _ = write!(text, "\n    {ALWAYS}\n        stage_1 <= word;\n");
        for stage in 2..=stages {
            let _ = writeln!(text, "        stage_{stage} <= stage_{};", stage - 1);
        }
        let _ = write!(text, "    end\n\n    assign delayed = stage_{stages};");
        Verilog::Custom(text)
    }
}

/// One register stage from a word to many places: every `span` of them have a register of their own.
#[derive(Clone, Debug, LogicBlock)]
pub struct Spread {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The word.
    pub word: Net<In>,
    /// The word of the cycle before, for each place.
    pub spread: Vec<Net<Out>>,
    _span: u32,
}

impl Spread {
    /// From a word of `width` bits to `places` places, `span` of which share a register.
    pub fn new(width: u32, places: u32, span: u32) -> Self {
        Spread {
            shape: Shape::new(
                format!("spread_n{places}_s{span}_w{width}"),
                "One register stage from a word to many places; a few neighbours share a register.",
            ),
            clock: Signal::default(),
            word: Net::new(width),
            spread: Net::vector(places, width),
            _span: span,
        }
    }
}

impl Logic for Spread {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let word = self.word.val();
            for place in &mut self.spread {
                place.next = word.clone();
            }
        }
    }

    fn connect(&mut self) {
        for place in &mut self.spread {
            place.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let places = self.spread.len() as u32;
        let top = self.word.val().bits() - 1;
        let copies = places.div_ceil(self._span);
        let mut text = String::new();
        for copy in 0..copies {
            let _ = writeln!(text, "    {ALONE} reg [{top}:0] copy_{copy};");
        }
        let _ = write!(text, "\n    {ALWAYS}\n");
        for copy in 0..copies {
            let _ = writeln!(text, "        copy_{copy} <= word;");
        }
        let parts: Vec<String> = (0..copies)
            .rev()
            .map(|copy| match self._span.min(places - copy * self._span) {
                1 => format!("copy_{copy}"),
                shared => format!("{{{shared}{{copy_{copy}}}}}"),
            })
            .collect();
        let _ = write!(
            text,
            "    end\n\n    assign spread = {{{}}};",
            parts.join(", ")
        );
        Verilog::Custom(text)
    }
}
