//! Registers that delay the lanes of a word by different numbers of cycles.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Where one bit of an output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Bit of the word.
    pub bit: u32,
    /// By how many cycles (with `advance`) it is delayed.
    pub delay: u32,
}

/// Delays the bits of a word. There is one such block for each word at the array's edge, so skew costs registers once for
/// a row or a column, and no LUT.
#[derive(Clone, Debug, LogicBlock)]
pub struct LaneSkew {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the delayed bits move.
    pub advance: Net<In>,
    /// The word.
    pub word: Net<In>,
    /// Its delayed bits; one output for each list of taps.
    pub delayed: Vec<Net<Out>>,
    _taps: Vec<Vec<Tap>>,
    /// The words of the cycles before, the youngest first.
    _history: VecDeque<Word>,
}

impl LaneSkew {
    /// The delays of a word of `width` bits, with one output for each list of `taps`; `what` names the module. All lists
    /// are equally long.
    pub fn new(what: &str, width: u32, taps: Vec<Vec<Tap>>) -> Self {
        let depth = taps
            .iter()
            .flatten()
            .map(|tap| tap.delay)
            .max()
            .unwrap_or(0);
        let bits = taps.first().map_or(1, Vec::len) as u32;
        LaneSkew {
            shape: Shape::new(
                format!("skew_{what}"),
                "Delays each pair of lanes by the cycles after which the popcounts take it.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            word: Net::new(width),
            delayed: Net::vector(taps.len() as u32, bits),
            _history: vec![Word::zero(width as usize); depth as usize].into(),
            _taps: taps,
        }
    }

    /// The bits of the word that are delayed by `stage` cycles or more, in their order.
    fn held(&self, stage: u32) -> Vec<u32> {
        let taps = self._taps.iter().flatten();
        let mut bits: Vec<u32> = taps.filter(|t| t.delay >= stage).map(|t| t.bit).collect();
        bits.sort_unstable();
        bits.dedup();
        bits
    }

    /// Bits of the word, each after some stages, most significant first; runs of neighbours as a range.
    fn concatenation(&self, taps: &[Tap]) -> String {
        let places: Vec<(u32, usize)> = taps
            .iter()
            .map(|tap| match tap.delay {
                0 => (0, tap.bit as usize),
                stage => {
                    let held = self.held(stage);
                    (stage, held.binary_search(&tap.bit).unwrap_or_default())
                }
            })
            .collect();
        let mut parts = Vec::new();
        let mut rest = &places[..];
        while let Some((stage, first)) = rest.first().copied() {
            let run = rest
                .iter()
                .enumerate()
                .take_while(|(i, place)| **place == (stage, first + i))
                .count();
            let name = match stage {
                0 => "word".to_owned(),
                stage => format!("late_{stage}"),
            };
            parts.push(match run {
                1 => format!("{name}[{first}]"),
                _ => format!("{name}[{}:{first}]", first + run - 1),
            });
            rest = &rest[run..];
        }
        parts.reverse();
        match parts.len() {
            1 => parts.remove(0),
            _ => format!("{{{}}}", parts.join(", ")),
        }
    }
}

impl Logic for LaneSkew {
    fn update(&mut self) {
        let word = self.word.val();
        if self.clock.pos_edge() && self.advance.val().any() && !self._history.is_empty() {
            self._history.pop_back();
            self._history.push_front(word.clone());
        }
        for (delayed, taps) in self.delayed.iter_mut().zip(&self._taps) {
            delayed.next = Word::from_bits(taps.iter().map(|tap| match tap.delay {
                0 => word.get_bit(tap.bit as usize),
                stage => self._history[stage as usize - 1].get_bit(tap.bit as usize),
            }));
        }
    }

    fn connect(&mut self) {
        for net in &mut self.delayed {
            net.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let mut text = String::new();
        let depth = self._history.len() as u32;
        for stage in 1..=depth {
            // A shift register in LUTs would cost what the skew is meant to save: the attributes are for Yosys and for Vivado.
            let _ = writeln!(
                text,
                "    (* keep = \"true\", shreg_extract = \"no\" *) reg [{}:0] late_{stage};",
                self.held(stage).len() - 1
            );
        }
        if depth == 0 {
            let _ = writeln!(text, "    wire [0:0] unused = &{{1'b0, clock, advance}};");
        } else {
            text.push_str("\n    always @(posedge clock) begin\n        if (advance) begin\n");
            for stage in 1..=depth {
                let before = |bit: &u32| Tap {
                    bit: *bit,
                    delay: stage - 1,
                };
                let taps: Vec<Tap> = self.held(stage).iter().map(before).collect();
                let from = self.concatenation(&taps);
                let _ = writeln!(text, "            late_{stage} <= {from};");
            }
            text.push_str("        end\n    end\n");
        }
        let all: Vec<Tap> = self._taps.iter().flatten().copied().collect();
        let _ = writeln!(text, "\n    assign delayed = {};", self.concatenation(&all));
        Verilog::Custom(text)
    }
}
