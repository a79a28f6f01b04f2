//! What a tile's rows need behind the drain: it waits beside the popcounts, not in them.

use super::lines::DelayLine;
use crate::config::Design;
use crate::hardware::accelerator::WordMemory;
use crate::hardware::control_stage::entry_word_width;
use crate::rtl::prelude::*;

/// Alignment, result shift and constant entries of the tiles under way. A small memory takes them with a tile's last beat;
/// the drain's loads read them in the same order. Rows find theirs as many cycles after they have left the drain as the
/// design has broadcast stages: when their sums stand there.
#[derive(Clone, Debug, LogicBlock)]
pub struct TileQueue {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Forgets the tiles.
    pub reset: Net<In>,
    /// A tile's last beat is accepted.
    pub accept: Net<In>,
    /// Its alignment.
    pub align: Net<In>,
    /// Its log2(d_x * d_w).
    pub result_shift: Net<In>,
    /// Its constant entries, one for each row.
    pub entry: Net<In>,
    /// The drain takes the oldest tile.
    pub load: Net<In>,
    /// The drain takes something.
    pub move_drain: Net<In>,
    /// Alignment of the row whose sums stand at the drain's end.
    pub row_align: Net<Out>,
    /// Its log2(d_x * d_w).
    pub row_result_shift: Net<Out>,
    /// Its constant entry.
    pub row_entry: Net<Out>,
    write: ResetRegister,
    align_w: PlainRegister,
    result_shift_w: PlainRegister,
    entry_w: PlainRegister,
    write_r: EnabledResetRegister,
    read_r: EnabledResetRegister,
    aligns: WordMemory,
    result_shifts: WordMemory,
    entries: WordMemory,
    load_r: PlainRegister,
    move_r: PlainRegister,
    drain_align: EnabledRegister,
    drain_result_shift: EnabledRegister,
    drain_entry: EnabledRegister,
    align_line: DelayLine,
    result_shift_line: DelayLine,
    entry_line: DelayLine,
    one: Constant,
    on: Constant,
    entry_bits: Constant,
    _entry_width: usize,
}

impl TileQueue {
    /// The queue of a design with broadcast stages.
    pub fn new(design: &Design) -> Self {
        let (align, entries) = (design.align_width, entry_word_width(design));
        // One tile for each stage of the popcount at most, and one that waits in the accumulators.
        let words = (design.latency() + 1).next_power_of_two();
        let address = words.ilog2();
        let lines = design.broadcast_stages() - 1;
        TileQueue {
            shape: Shape::new(
                format!("tile_queue_d{words}_b{}", design.broadcast_stages()),
                "Alignment, result shift and constant entries of the tiles under way.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            accept: Net::new(1),
            align: Net::new(align),
            result_shift: Net::new(2),
            entry: Net::new(entries),
            load: Net::new(1),
            move_drain: Net::new(1),
            row_align: Net::new(align),
            row_result_shift: Net::new(2),
            row_entry: Net::new(design.entry_width),
            write: ResetRegister::new(1),
            align_w: PlainRegister::new(align),
            result_shift_w: PlainRegister::new(2),
            entry_w: PlainRegister::new(entries),
            write_r: EnabledResetRegister::new(address),
            read_r: EnabledResetRegister::new(address),
            aligns: WordMemory::new(words, align),
            result_shifts: WordMemory::new(words, 2),
            entries: WordMemory::new(words, entries),
            load_r: PlainRegister::new(1),
            move_r: PlainRegister::new(1),
            drain_align: EnabledRegister::new(align),
            drain_result_shift: EnabledRegister::new(2),
            drain_entry: EnabledRegister::new(entries),
            align_line: DelayLine::new(lines, align),
            result_shift_line: DelayLine::new(lines, 2),
            entry_line: DelayLine::new(lines, design.entry_width),
            one: Constant::new(address, 1),
            on: Constant::new(1, 1),
            entry_bits: Constant::new(32, design.entry_width.into()),
            _entry_width: design.entry_width as usize,
        }
    }
}

impl Logic for TileQueue {
    #[hdl_gen]
    fn update(&mut self) {
        self.write.clock.next = self.clock.val();
        self.write.reset.next = self.reset.val();
        self.write.d.next = self.accept.val();
        self.align_w.clock.next = self.clock.val();
        self.align_w.d.next = self.align.val();
        self.result_shift_w.clock.next = self.clock.val();
        self.result_shift_w.d.next = self.result_shift.val();
        self.entry_w.clock.next = self.clock.val();
        self.entry_w.d.next = self.entry.val();
        self.write_r.clock.next = self.clock.val();
        self.write_r.reset.next = self.reset.val();
        self.write_r.enable.next = self.write.q.val();
        self.write_r.d.next = self.write_r.q.val() + self.one.val();
        self.read_r.clock.next = self.clock.val();
        self.read_r.reset.next = self.reset.val();
        self.read_r.enable.next = self.load.val();
        self.read_r.d.next = self.read_r.q.val() + self.one.val();

        // The oldest tile is read in every cycle, so that it stands there in the cycle after its load.
        self.aligns.clock.next = self.clock.val();
        self.aligns.write.next = self.write.q.val();
        self.aligns.write_address.next = self.write_r.q.val();
        self.aligns.write_value.next = self.align_w.q.val();
        self.aligns.read.next = self.on.val();
        self.aligns.read_address.next = self.read_r.q.val();
        self.result_shifts.clock.next = self.clock.val();
        self.result_shifts.write.next = self.write.q.val();
        self.result_shifts.write_address.next = self.write_r.q.val();
        self.result_shifts.write_value.next = self.result_shift_w.q.val();
        self.result_shifts.read.next = self.on.val();
        self.result_shifts.read_address.next = self.read_r.q.val();
        self.entries.clock.next = self.clock.val();
        self.entries.write.next = self.write.q.val();
        self.entries.write_address.next = self.write_r.q.val();
        self.entries.write_value.next = self.entry_w.q.val();
        self.entries.read.next = self.on.val();
        self.entries.read_address.next = self.read_r.q.val();

        self.load_r.clock.next = self.clock.val();
        self.load_r.d.next = self.load.val();
        self.move_r.clock.next = self.clock.val();
        self.move_r.d.next = self.move_drain.val();
        self.drain_align.clock.next = self.clock.val();
        self.drain_align.enable.next = self.load_r.q.val();
        self.drain_align.d.next = self.aligns.value.val();
        self.drain_result_shift.clock.next = self.clock.val();
        self.drain_result_shift.enable.next = self.load_r.q.val();
        self.drain_result_shift.d.next = self.result_shifts.value.val();
        self.drain_entry.clock.next = self.clock.val();
        self.drain_entry.enable.next = self.move_r.q.val();
        if self.load_r.q.val().any() {
            self.drain_entry.d.next = self.entries.value.val();
        } else {
            self.drain_entry.d.next = self.drain_entry.q.val() >> self.entry_bits.val();
        }
        self.align_line.clock.next = self.clock.val();
        self.align_line.word.next = self.drain_align.q.val();
        self.row_align.next = self.align_line.delayed.val();
        self.result_shift_line.clock.next = self.clock.val();
        self.result_shift_line.word.next = self.drain_result_shift.q.val();
        self.row_result_shift.next = self.result_shift_line.delayed.val();
        self.entry_line.clock.next = self.clock.val();
        self.entry_line.word.next = bits_resize(self.drain_entry.q.val(), self._entry_width);
        self.row_entry.next = self.entry_line.delayed.val();
    }
}
