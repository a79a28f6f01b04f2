//! The thresholds of one drained column.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// The memories of all threshold levels: level b holds `channel_words << b` words, at `{channel, found so far (b bits)}`.
/// One write port, one registered read port each, written so that synthesizers infer RAM; a read of a word while it is
/// written gives the old value.
#[derive(Clone, Debug, LogicBlock)]
pub struct LevelMemory {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes a level at this edge.
    pub write: Vec<Net<In>>,
    /// Where.
    pub write_address: Net<In>,
    /// What.
    pub write_value: Net<In>,
    /// Reads all levels at this edge.
    pub read: Net<In>,
    /// From which channel.
    pub channel: Vec<Net<In>>,
    /// What was found so far; level b has no use for the bits from b up.
    pub found: Vec<Net<In>>,
    /// What was read last.
    pub value: Vec<Net<Out>>,
    _memory: Vec<Vec<Word>>,
}

impl LevelMemory {
    /// `levels` levels for `channels` channels (a power of two, at least 2), of thresholds of `width` bits.
    pub fn new(levels: u32, channels: u32, width: u32) -> Self {
        let address = channels.ilog2() + levels - 1;
        LevelMemory {
            shape: Shape::new(
                format!("level_memory_b{levels}_d{channels}_w{width}"),
                "Thresholds of all levels; a read while writing gives the old value.",
            ),
            clock: Signal::default(),
            write: Net::vector(levels, 1),
            write_address: Net::new(address),
            write_value: Net::new(width),
            read: Net::new(1),
            channel: Net::vector(levels, channels.ilog2()),
            found: Net::vector(levels, levels),
            value: Net::vector(levels, width),
            _memory: (0..levels)
                .map(|level| vec![Word::zero(width as usize); (channels as usize) << level])
                .collect(),
        }
    }

    fn level_text(&self, level: usize) -> String {
        let words = self._memory[level].len();
        let (own, channel) = (words.ilog2() as usize, self.channel[level].val().bits());
        let (width, levels) = (self.write_value.val().bits(), self._memory.len());
        let mut address = format!("channel[{} +: {channel}]", level * channel);
        if level > 0 {
            address = format!("{{{address}, found[{} +: {level}]}}", level * levels);
        }
        format!(
            "    (* no_rw_check *)
    reg  [{}:0] memory_{level} [0:{}];
    wire [{}:0] address_{level} = {address};
    wire unused_{level} = &{{1'b0, found[{} +: {}]}};

    always @(posedge clock) begin
        if (write[{level}]) begin
            memory_{level}[write_address[{}:0]] <= write_value;
        end
        if (read) begin
            value[{} +: {width}] <= memory_{level}[address_{level}];
        end
    end
",
            width - 1,
            words - 1,
            own - 1,
            level * levels + level,
            levels - level,
            own - 1,
            level * width,
        )
    }
}

impl Logic for LevelMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        for (level, memory) in self._memory.iter_mut().enumerate() {
            let found = self.found[level].val().to_u64() & ((1 << level) - 1);
            let from = (self.channel[level].val().to_u64() << level | found) as usize;
            let to = self.write_address.val().to_u64() as usize % memory.len();
            if self.read.val().any() {
                self.value[level].next = memory[from].clone();
            }
            if self.write[level].val().any() {
                memory[to] = self.write_value.val();
            }
        }
    }

    fn connect(&mut self) {
        self.value.iter_mut().for_each(Logic::connect);
    }

    fn hdl(&self) -> Verilog {
        let levels: Vec<String> = (0..self._memory.len())
            .map(|level| self.level_text(level))
            .collect();
        Verilog::Custom(levels.join("\n"))
    }
}
