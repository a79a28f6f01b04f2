//! The cycle-accurate model of the back end: the array with its drain, the epilogue, the packer, the residual memory and
//! the result port, as `docs/accelerator.md` describes them.
//!
//! The epilogue is a line of values that all move together, so the model computes a value when it leaves the drain and
//! lets the result travel. Memories must therefore be loaded while nothing is under way, which the program port makes
//! sure of.

mod fields;
mod lane;
mod packer;
mod rows;
mod timing;
mod waiting;

use crate::kernel::{BLOCK, GROUP, Tile, dispatched};
use crate::model::accumulators::Accumulators;
use crate::model::operands::{Geometry, Pipe};
use crate::simulator::Beat;
use fields::{BackFields, Mode};
use lane::{Lane, LaneInput};
use packer::{Packer, ResultPort, Transfer};
use rows::{Reader, TileRows, Walker};
use std::collections::VecDeque;
use waiting::StepBuffer;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::Descriptor;

pub use timing::{BackDescriptor, BackTile, BackTiming};

/// Stages of the epilogue in which something is looked at (`docs/accelerator.md`).
const TABLE_EARLY_STAGE: usize = 2;
const CHANNEL_STAGE: usize = 4;
const VALUE_STAGE: usize = 5;

/// Error codes.
const OUTPUT_RANGE: u8 = 6;
const TABLE_RANGE: u8 = 9;

/// A memory of the epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackMemory {
    /// Column constants: `{fall, constant}`.
    Constant,
    /// Thresholds of a level.
    Threshold,
    /// Affine words: `{addend, multiplier}`.
    Affine,
    /// The residual table, of all lanes at once.
    Table,
}

/// One write to a memory of the epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackLoad {
    /// Which memory.
    pub memory: BackMemory,
    /// Threshold level.
    pub level: u32,
    /// Lane: a column modulo `drain_columns`.
    pub lane: u32,
    /// Address in the memory.
    pub address: u32,
    /// The word, in its lowest bits.
    pub value: u64,
}

/// A beat at the array. Of the [`Beat`], `align`, `result_shift` and `entry` do not count: the descriptor has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackBeat {
    /// The operands; `entry` holds a number for each row.
    pub beat: Beat,
    /// The tile is of the last column tile.
    pub last_column: bool,
    /// The tile is of the last row tile.
    pub last_row: bool,
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug)]
pub struct BackEndInputs<'a> {
    /// `reset`.
    pub reset: bool,
    /// `go_compute`.
    pub go_compute: bool,
    /// The descriptor whose fields stand at the ports.
    pub descriptor: &'a Descriptor,
    /// A write to a memory, if any.
    pub load: Option<&'a BackLoad>,
    /// The beat that stands at the array, if any; it must stand until `advance`.
    pub operand: Option<&'a BackBeat>,
    /// `result_ready`.
    pub result_ready: bool,
}

/// The outputs that stand during one cycle; functions of registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackEndOutputs {
    /// The array moves.
    pub advance: bool,
    /// Bit s writes slice s of a word of the activation memory.
    pub back_write: u64,
    /// Which word; 0 when nothing is written.
    pub back_address: u32,
    /// A slice of each plane, plane p and lane l at bit `p * granule_lanes + l`; empty when nothing is written.
    pub back_value: Vec<u64>,
    /// A transfer of results stands.
    pub result_valid: bool,
    /// Its values and which of them are valid; empty when none stands.
    pub result: Vec<(i32, bool)>,
    /// It is the last one that the descriptor marks.
    pub result_last: bool,
    /// The array stands still.
    pub drain_stall: bool,
    /// It does so because the result stream is not ready.
    pub output_stall: bool,
    /// Every result of the descriptor is written or taken.
    pub compute_finished: bool,
    /// Error code, or 0.
    pub back_error: u8,
}

/// Why the array does not move in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackStall {
    /// It moves.
    None,
    /// The drain holds it up.
    Drain,
    /// The result stream does.
    Output,
}

impl BackEndOutputs {
    /// Why the array does not move.
    pub fn stall(&self) -> BackStall {
        match (self.drain_stall, self.output_stall) {
            (false, _) => BackStall::None,
            (true, false) => BackStall::Drain,
            (true, true) => BackStall::Output,
        }
    }
}

/// Whether a tile is of the last column tile, and of the last row tile.
#[derive(Clone, Copy, Debug, Default)]
struct TileFlags {
    last_column: bool,
    last_row: bool,
}

/// The tile that waits in the accumulators, and the one in the drain.
#[derive(Clone, Debug)]
struct Drain {
    done: bool,
    done_flags: TileFlags,
    busy: bool,
    flags: TileFlags,
    rows: u32,
    rows_left: u32,
    column: u32,
    /// Steps until a row may begin, so that its plane groups find their turn.
    gap: u32,
    elements: Vec<Tile>,
    row_sums: Vec<[u64; GROUP]>,
}

/// What leaves the drain in one step.
#[derive(Clone, Debug)]
struct Step {
    values: Vec<(i32, bool)>,
    codes: Vec<u8>,
    granule: u32,
    row_end: bool,
    final_end: bool,
    final_value: bool,
    constant_past: bool,
    channel_past: bool,
    table_past: bool,
}

/// Sizes that never change.
#[derive(Clone, Debug)]
struct Sizes {
    rows: u32,
    columns: u32,
    lanes: u32,
    spaced: bool,
    channel_words: u32,
    constant_words: u32,
    table_late_stage: usize,
}

/// The wires between the parts in one cycle; functions of registers.
#[derive(Clone, Copy, Debug)]
struct Flow {
    /// The epilogue moves.
    flow: bool,
    /// The drain may step: as `flow`, or with broadcast stages that there is a credit.
    drain_flow: bool,
    /// With broadcast stages: the buffer gives a step to the epilogue.
    out: bool,
    step: bool,
    row_end: bool,
    tile_end: bool,
    load: bool,
    advance: bool,
}

/// The back end, one clock cycle at a time.
#[derive(Clone, Debug)]
pub struct BackEndModel {
    geometry: Geometry,
    sizes: Sizes,
    fields: BackFields,
    pipe: Pipe,
    /// Flags of the beats in the pipe, youngest first.
    pipe_flags: VecDeque<TileFlags>,
    accumulators: Accumulators,
    drain: Drain,
    walker: Walker,
    reader: Reader,
    channel: u32,
    tile_channel: u32,
    lanes: Vec<Lane>,
    /// With broadcast stages: steps that are under way to the epilogue.
    buffer: Option<StepBuffer>,
    /// Stage s of the epilogue is at s - 1.
    epilogue: VecDeque<Option<Step>>,
    packer: Packer,
    port: ResultPort,
    finishing: bool,
    finished: bool,
    error: u8,
}

impl BackEndModel {
    /// The back end of a design, as after reset; its memories hold 0.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let geometry = Geometry::new(d.design());
        let c = d.design().config();
        let Accumulators { elements, rows } = Accumulators::new(&geometry);
        BackEndModel {
            sizes: Sizes {
                rows: c.rows,
                columns: c.columns,
                lanes: d.config().drain_columns,
                spaced: d.rows_are_spaced(),
                channel_words: d.config().channel_words,
                constant_words: d.config().constant_words,
                table_late_stage: d.requantization_stages() as usize + 3,
            },
            fields: BackFields::default(),
            pipe: Pipe::new(d.design().latency() as usize, &geometry),
            pipe_flags: vec![TileFlags::default(); d.design().latency() as usize].into(),
            accumulators: Accumulators::new(&geometry),
            drain: Drain {
                done: false,
                done_flags: TileFlags::default(),
                busy: false,
                flags: TileFlags::default(),
                rows: 0,
                rows_left: 0,
                column: 0,
                gap: 0,
                elements,
                row_sums: rows,
            },
            walker: Walker::new(d),
            reader: Reader::new(d),
            channel: 0,
            tile_channel: 0,
            lanes: vec![Lane::new(d); d.config().drain_columns as usize],
            buffer: StepBuffer::of(d),
            epilogue: vec![None; d.epilogue_stages() as usize].into(),
            packer: Packer::new(d),
            port: ResultPort::default(),
            finishing: false,
            finished: false,
            error: 0,
            geometry,
        }
    }

    fn flow(&self) -> Flow {
        let (d, s) = (&self.drain, &self.sizes);
        let flow = self.port.has_room();
        let may_start = !s.spaced || d.column != 0 || d.gap <= 1;
        let drain_flow = self.buffer.as_ref().map_or(flow, StepBuffer::has_credit);
        let step = d.busy && drain_flow && self.reader.current && may_start;
        let row_end = step && d.column + s.lanes == s.columns;
        let tile_end = row_end && d.rows_left == 1;
        let can_load = !d.busy || tile_end;
        Flow {
            flow,
            drain_flow,
            out: flow && self.buffer.as_ref().is_some_and(StepBuffer::has_step),
            step,
            row_end,
            tile_end,
            load: d.done && can_load,
            advance: !d.done || can_load,
        }
    }

    /// What stands at the outputs.
    pub fn outputs(&self) -> BackEndOutputs {
        let flow = self.flow();
        let mut outputs = BackEndOutputs {
            advance: flow.advance,
            result_valid: self.port.main.is_some(),
            drain_stall: !flow.advance,
            output_stall: !flow.advance && !flow.drain_flow,
            compute_finished: self.finished,
            back_error: self.error,
            ..BackEndOutputs::default()
        };
        if let Some(transfer) = &self.port.main {
            outputs.result.clone_from(&transfer.values);
            outputs.result_last = transfer.last;
        }
        if flow.flow
            && self.fields.to_activation
            && let Some(write) = self.packer.write(&self.fields)
        {
            outputs.back_write = 1 << write.slice;
            outputs.back_address = write.address;
            outputs.back_value = write.value;
        }
        outputs
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &BackEndInputs<'_>) {
        let flow = self.flow();
        self.fields = BackFields::of(inputs.descriptor);
        self.set_error(&flow);
        self.finish(&flow, inputs.result_ready);
        let given = self.give(&flow);
        let written = self.packer.write(&self.fields);
        let stepping = flow.step.then(|| self.leave_drain(&flow));
        let entering = match &mut self.buffer {
            Some(buffer) => buffer.edge(&flow, stepping, &self.fields),
            None => stepping,
        };
        if flow.flow {
            self.move_epilogue(entering);
        }
        self.reader
            .edge(flow.step, flow.row_end, given, &self.fields);
        if let Some(write) = written.filter(|_| flow.flow && self.fields.to_residual) {
            let memory = &mut self.reader.memory;
            memory.write(write.address, write.slice, &write.value);
        }
        self.move_drain(&flow);
        if flow.advance {
            self.move_array(inputs.operand);
        }
        if let Some(load) = inputs.load {
            self.load(load);
        }
        if inputs.go_compute {
            self.go();
        }
        if inputs.reset {
            self.reset();
        }
    }

    /// The walker gives a place, if it has one and it can be taken.
    fn give(&mut self, flow: &Flow) -> Option<rows::Place> {
        if !self.reader.ready(flow.row_end) || !self.walker.has_place() {
            return None;
        }
        let tile = TileRows {
            rows: self.drain.rows,
            last_column: self.drain.flags.last_column,
        };
        Some(self.walker.give(tile, &self.fields))
    }

    /// Results move on by one stage; what leaves the last one goes to the packer, and to the result port.
    fn move_epilogue(&mut self, entering: Option<Step>) {
        let leaving = self.epilogue.back().and_then(Option::as_ref);
        let codes = leaving.map(|step| packer::Codes {
            codes: &step.codes,
            granule: step.granule,
            row_end: step.row_end,
        });
        self.packer.edge(codes, &self.fields);
        self.epilogue.pop_back();
        self.epilogue.push_front(entering);
    }

    /// What is offered to the result port.
    fn offered(&self) -> Option<Transfer> {
        let raw = self.fields.mode == Mode::Raw;
        let step = if raw {
            self.epilogue[VALUE_STAGE - 1].as_ref()?
        } else {
            self.epilogue.back()?.as_ref()?
        };
        if !self.fields.to_stream || !step.values[0].1 {
            return None;
        }
        let code = |(value, code): (&(i32, bool), &u8)| {
            (if raw { value.0 } else { i32::from(*code) }, value.1)
        };
        Some(Transfer {
            values: step.values.iter().zip(&step.codes).map(code).collect(),
            last: step.final_value && self.fields.stream_last,
        })
    }

    /// The result port, and whether all is done.
    fn finish(&mut self, flow: &Flow, result_ready: bool) {
        let finishes = self.finishing && !self.packer.is_busy() && self.port.main.is_none();
        let last = self.epilogue.back().and_then(Option::as_ref);
        let ends = flow.flow && last.is_some_and(|step| step.final_end);
        self.finishing = (self.finishing && !finishes) || ends;
        self.finished = finishes;
        let offered = if flow.flow { self.offered() } else { None };
        self.port.edge(offered, result_ready);
    }

    /// The first error stays.
    fn set_error(&mut self, flow: &Flow) {
        if self.error != 0 {
            return;
        }
        let f = &self.fields;
        let at = |stage: usize| self.epilogue[stage - 1].as_ref();
        let table_stage = if f.adds_late {
            self.sizes.table_late_stage
        } else {
            TABLE_EARLY_STAGE
        };
        let constant = match &self.buffer {
            Some(buffer) => flow.out && buffer.oldest().is_some_and(|step| step.constant_past),
            None => flow.step && self.constant_past(),
        };
        let channel = at(CHANNEL_STAGE).is_some_and(|s| s.channel_past) && f.mode != Mode::Raw;
        let table = f.uses_residual && at(table_stage).is_some_and(|s| s.table_past);
        if self.packer.is_past(f) {
            self.error = OUTPUT_RANGE;
        } else if constant || channel || table {
            self.error = TABLE_RANGE;
        }
    }

    fn constant_past(&self) -> bool {
        self.reader.place.constant >= self.sizes.constant_words.max(2)
    }

    /// The columns that leave the drain, with all that becomes of them.
    fn leave_drain(&mut self, flow: &Flow) -> Step {
        let (d, f) = (&self.drain, &self.fields);
        let row = (d.rows - d.rows_left) as usize;
        let mut values = Vec::with_capacity(self.lanes.len());
        let mut codes = Vec::with_capacity(self.lanes.len());
        let mut table_past = false;
        for (lane, column) in self.lanes.iter().zip(d.column..) {
            let keep = !d.flags.last_column || column < f.last_columns;
            let (sum, row_sum) = self.sums(row, column as usize);
            let input = LaneInput {
                sum,
                row_sum,
                constant: self.reader.place.constant,
                channel: self.channel,
                residual: self.reader.codes[column as usize],
                keep,
            };
            let result = lane.result(&input, f);
            values.push((result.value as i32, keep));
            codes.push(result.code);
            table_past |= result.table_past;
        }
        let final_row = d.flags.last_column && d.flags.last_row && d.rows_left == 1;
        let step = Step {
            values,
            codes,
            granule: self.reader.place.granule,
            row_end: flow.row_end,
            final_end: flow.row_end && final_row,
            final_value: final_row && d.column + self.sizes.lanes >= f.last_columns,
            constant_past: self.constant_past(),
            channel_past: self.channel >= self.sizes.channel_words.max(2),
            table_past,
        };
        self.count_channel(flow);
        step
    }

    fn sums(&self, row: usize, column: usize) -> (u64, u64) {
        let g = &self.geometry;
        let tile = &self.drain.elements[column / BLOCK * g.groups + row / GROUP];
        let row_sum = self.drain.row_sums[row / GROUP][row % GROUP];
        (
            tile[row % GROUP][column % BLOCK] & g.sum_mask,
            row_sum & g.row_sum_mask,
        )
    }

    fn count_channel(&mut self, flow: &Flow) {
        let mask = 2 * self.sizes.channel_words - 1;
        if flow.tile_end {
            self.tile_channel = if self.drain.flags.last_column {
                self.fields.channel_base
            } else {
                (self.channel + 1) & mask
            };
        }
        self.channel = if flow.row_end {
            self.tile_channel
        } else {
            (self.channel + 1) & mask
        };
    }

    fn move_drain(&mut self, flow: &Flow) {
        let (d, s) = (&mut self.drain, &self.sizes);
        if flow.drain_flow && s.spaced {
            if flow.step && d.column == 0 {
                d.gap = self.fields.out_groups;
            } else if d.gap > 1 {
                d.gap -= 1;
            }
        }
        if flow.row_end {
            d.column = 0;
            d.rows_left -= 1;
            d.busy = !flow.tile_end;
        } else if flow.step {
            d.column += s.lanes;
        }
        if flow.load {
            d.busy = true;
            d.flags = d.done_flags;
            d.rows = if d.flags.last_row {
                self.fields.last_rows
            } else {
                s.rows
            };
            d.rows_left = d.rows;
            d.elements.copy_from_slice(&self.accumulators.elements);
            d.row_sums.copy_from_slice(&self.accumulators.rows);
            self.walker.load();
        }
    }

    fn move_array(&mut self, operand: Option<&BackBeat>) {
        let flags = self.pipe_flags.pop_back().unwrap_or_default();
        let beat = self.pipe.oldest();
        self.drain.done = beat.valid && beat.last;
        self.drain.done_flags = flags;
        add_beat(&mut self.accumulators, &self.pipe, &self.geometry);
        self.pipe.advance(operand.map(|o| &o.beat), &self.geometry);
        self.pipe_flags
            .push_front(operand.map_or_else(TileFlags::default, |o| TileFlags {
                last_column: o.last_column,
                last_row: o.last_row,
            }));
    }

    fn load(&mut self, load: &BackLoad) {
        if load.memory == BackMemory::Table {
            self.lanes.iter_mut().for_each(|lane| lane.load(load));
        } else if let Some(lane) = self.lanes.get_mut(load.lane as usize) {
            lane.load(load);
        }
    }

    /// A descriptor begins.
    fn go(&mut self) {
        self.walker.go();
        self.reader.reset();
        self.channel = self.fields.channel_base;
        self.tile_channel = self.fields.channel_base;
    }

    fn reset(&mut self) {
        self.pipe.reset();
        self.drain.done = false;
        self.drain.busy = false;
        self.drain.column = 0;
        self.drain.gap = 0;
        self.walker.reset();
        self.reader.reset();
        if let Some(buffer) = &mut self.buffer {
            buffer.reset();
        }
        self.epilogue.iter_mut().for_each(|stage| *stage = None);
        self.packer.reset();
        self.port = ResultPort::default();
        self.finishing = false;
        self.finished = false;
        self.error = 0;
    }
}

dispatched! {
    /// Adds the beat that leaves the popcounts' pipelines.
    fn add_beat(accumulators: &mut Accumulators, pipe: &Pipe, geometry: &Geometry) {
        let beat = pipe.oldest();
        if beat.valid {
            accumulators.add(beat, geometry);
        }
    }
}
