//! A plain interpreter of programs: the pseudo-code of `docs/accelerator.md`, word by word and bit by bit.
//!
//! It knows descriptors, memories and streams, and nothing of networks. The compiler is checked with it, and it in turn
//! says what the hardware has to do; it has no notion of time. It is as slow as it is plain.
//!
//! It takes any program: what the compiler never makes ends in a [`Fault`]. Where the hardware would compute nonsense
//! without an error (a schedule that shifts by several amounts, say), the fault is [`ErrorCode::Field`].

use super::stream::{Beats, Packet, Target, extract, insert};
use super::{Entry, Program, ProgramError};
use crate::network::Tensor;
use std::collections::VecDeque;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::config::MULTIPLIER_BITS;
use xnorforge_hdl::accelerator::{DESCRIPTOR_WORDS, Descriptor, Field, Opcode, When};

/// Words of a descriptor that are read; what lies behind them is never looked at.
const WORDS_READ: usize = 41;

/// The error codes of `docs/accelerator.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// Unknown opcode.
    Opcode = 1,
    /// A descriptor past the end of program memory.
    ProgramRange = 2,
    /// A field out of its range.
    Field = 3,
    /// Input and output ranges overlap.
    Overlap = 4,
    /// A read outside the input's range.
    InputRange = 5,
    /// A write outside the output's range.
    OutputRange = 6,
    /// A weight address outside its range.
    WeightRange = 7,
    /// A patch past half of the patch buffer.
    PatchRange = 8,
    /// Constants, channels, schedule or table past their memories.
    TableRange = 9,
    /// The input stream ends too early.
    InputEarly = 10,
    /// The input stream ends too late.
    InputLate = 11,
    /// The weight stream ends too early.
    WeightEarly = 12,
    /// The weight stream ends too late.
    WeightLate = 13,
    /// The program stream is wrong.
    Load = 14,
}

/// A program that does what no program may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {} ({code:?}) in the descriptor at word {address}", *code as u8)]
pub struct Fault {
    /// The error code.
    pub code: ErrorCode,
    /// Word of program memory at which the descriptor begins.
    pub address: u32,
}

/// Why an entry could not be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// The input or the results do not fit.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program is wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Memories of words of `bits` bits.
#[derive(Clone, Debug)]
struct Memory {
    bits: u32,
    host: usize,
    words: Vec<u64>,
}

impl Memory {
    fn new(words: u32, bits: u32) -> Self {
        let host = bits.div_ceil(64) as usize;
        Memory {
            bits,
            host,
            words: vec![0; words as usize * host],
        }
    }

    fn len(&self) -> u64 {
        (self.words.len() / self.host) as u64
    }

    /// A word, whose address has been checked.
    fn word(&self, address: u64) -> &[u64] {
        &self.words[address as usize * self.host..][..self.host]
    }

    /// A word, if there is one at that address.
    fn get(&self, address: u64) -> Option<&[u64]> {
        (address < self.len()).then(|| self.word(address))
    }

    fn word_mut(&mut self, address: u64) -> &mut [u64] {
        &mut self.words[address as usize * self.host..][..self.host]
    }

    fn bit(&self, address: u64, bit: u32) -> u64 {
        extract(self.word(address), bit, 1)
    }
}

/// An accelerator's state between descriptors.
#[derive(Clone, Debug)]
pub struct Interpreter {
    design: AcceleratorDesign,
    program: Vec<u32>,
    schedule: Vec<u128>,
    /// By lane.
    constants: Vec<Vec<u128>>,
    /// By lane and level.
    thresholds: Vec<Vec<Vec<u128>>>,
    /// By lane.
    affine: Vec<Vec<u128>>,
    table: Vec<u128>,
    /// By column.
    weights: Vec<Memory>,
    activation: Memory,
    residual: Memory,
    weight_stream: VecDeque<Beats>,
    input_stream: VecDeque<Beats>,
    results: Vec<i32>,
}

type Outcome<T = ()> = Result<T, ErrorCode>;

impl Interpreter {
    /// An accelerator with empty memories.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let (c, array) = (design.config(), design.design().config());
        let lanes = c.drain_columns as usize;
        let level = |b: u32| vec![0; (c.channel_words as usize) << b];
        Interpreter {
            program: vec![0; c.program_words as usize],
            schedule: vec![0; c.schedule_words as usize],
            constants: vec![vec![0; c.constant_words as usize]; lanes],
            thresholds: vec![(0..c.threshold_bits).map(level).collect(); lanes],
            affine: vec![vec![0; c.channel_words as usize]; lanes],
            table: vec![0; c.table_words as usize],
            weights: (0..array.columns)
                .map(|_| Memory::new(c.weight_words, design.weight_width))
                .collect(),
            activation: Memory::new(c.activation_words, design.word_width),
            residual: Memory::new(c.residual_words, design.word_width),
            weight_stream: VecDeque::new(),
            input_stream: VecDeque::new(),
            results: Vec::new(),
            design: design.clone(),
        }
    }

    /// An accelerator with a program loaded, and its weights if they are resident.
    ///
    /// # Errors
    /// A [`Fault`] of the program stream or of the entry that takes weights.
    pub fn of_program(program: &Program) -> Result<Self, Fault> {
        let mut interpreter = Interpreter::new(program.design());
        for packet in program.packets() {
            interpreter.load(packet)?;
        }
        if let Some(entry) = program.entry(super::LOAD_WEIGHTS) {
            interpreter.run_alone(entry)?;
        }
        Ok(interpreter)
    }

    /// Takes a packet of the program stream.
    ///
    /// # Errors
    /// [`ErrorCode::Load`]: no such memory, or past its end.
    pub fn load(&mut self, packet: &Packet) -> Result<(), Fault> {
        let fault = Fault {
            code: ErrorCode::Load,
            address: packet.address,
        };
        let (lane, level) = (packet.lane as usize, packet.level as usize);
        if packet.target == Target::Program {
            for (address, word) in (packet.address as usize..).zip(&packet.words) {
                *self.program.get_mut(address).ok_or(fault)? = *word as u32;
            }
            return Ok(());
        }
        let memory = match packet.target {
            Target::Program => None,
            Target::Schedule => Some(&mut self.schedule),
            Target::Constants => self.constants.get_mut(lane),
            Target::Thresholds => self.thresholds.get_mut(lane).and_then(|l| l.get_mut(level)),
            Target::Affine => self.affine.get_mut(lane),
            Target::Table => Some(&mut self.table),
        };
        let memory = memory.ok_or(fault)?;
        for (address, word) in (packet.address as usize..).zip(&packet.words) {
            *memory.get_mut(address).ok_or(fault)? = *word;
        }
        Ok(())
    }

    /// Runs an entry that takes no input, [`super::LOAD_WEIGHTS`], once.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn run_alone(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.weight_stream.extend(entry.weights.clone());
        self.start(entry.address)?;
        self.results.clear();
        Ok(())
    }

    /// Runs an entry once and gives its tensors.
    ///
    /// # Errors
    /// An input that does not fit, or a [`Fault`]; memories keep what was written before it.
    pub fn run(&mut self, entry: &Entry, input: &Tensor) -> Result<Vec<Tensor>, RunError> {
        self.input_stream.push_back(entry.input_beats(input)?);
        self.weight_stream.extend(entry.weights.clone());
        self.start(entry.address)?;
        let results = std::mem::take(&mut self.results);
        Ok(entry.unpack(&results)?)
    }

    /// The words of a tensor that stands in the activation memory now; none if it does not lie in it.
    pub fn activation_words(&self, base: u32, words: u64) -> Option<&[u64]> {
        let (base, host) = (u64::from(base), self.activation.host as u64);
        let end = base
            .checked_add(words)
            .filter(|end| *end <= self.activation.len())?;
        Some(&self.activation.words[(base * host) as usize..(end * host) as usize])
    }

    /// Runs from a word of program memory to END. A fault leaves nothing in the streams.
    fn start(&mut self, start: u32) -> Result<(), Fault> {
        let outcome = self.steps(start);
        if outcome.is_err() {
            self.weight_stream.clear();
            self.input_stream.clear();
            self.results.clear();
        }
        outcome
    }

    fn steps(&mut self, start: u32) -> Result<(), Fault> {
        let mut address = start;
        loop {
            let fault = |code| Fault { code, address };
            let descriptor = self.fetch(address).map_err(fault)?;
            let opcode = Opcode::of(descriptor.get(Field::Opcode) as u32);
            let opcode = opcode.ok_or(fault(ErrorCode::Opcode))?;
            self.check_ranges(&descriptor, opcode).map_err(fault)?;
            let outcome = match opcode {
                Opcode::End => return Ok(()),
                Opcode::Compute => self.compute(&descriptor),
                Opcode::Pool => self.pool(&descriptor),
                Opcode::Input => self.input(&descriptor),
                Opcode::Weights => self.weights(&descriptor),
            };
            outcome.map_err(fault)?;
            address += DESCRIPTOR_WORDS;
        }
    }

    fn fetch(&self, address: u32) -> Outcome<Descriptor> {
        let words = self.program.get(address as usize..);
        let words = words.and_then(|words| words.get(..WORDS_READ));
        let words = words.ok_or(ErrorCode::ProgramRange)?;
        let mut descriptor = Descriptor::new(Opcode::End);
        for field in Field::ALL {
            let raw = u64::from(words[field.word() as usize] >> field.low());
            let unused = 64 - field.bits();
            let value = if field.is_signed() {
                ((raw << unused) as i64) >> unused
            } else {
                ((raw << unused) >> unused) as i64
            };
            if !descriptor.set(&self.design, *field, value) {
                return Err(ErrorCode::Field);
            }
        }
        // A bit that no field keeps.
        if descriptor.words()[..WORDS_READ] != *words {
            return Err(ErrorCode::Field);
        }
        Ok(descriptor)
    }

    /// The ranges of the fields that count for a descriptor.
    fn check_ranges(&self, d: &Descriptor, opcode: Opcode) -> Outcome {
        let compute = opcode == Opcode::Compute;
        let is_set = |field| get(d, field) == 1;
        for field in Field::ALL {
            let Some(range) = field.range(&self.design) else {
                continue;
            };
            let counts = match range.when {
                When::Always => true,
                When::Patches => compute || opcode == Opcode::Pool,
                When::Compute => compute,
                When::Thresholds => compute && get(d, Field::Mode) == 1,
                When::Codes => {
                    compute && (is_set(Field::ToActivation) || is_set(Field::ToResidual))
                }
                When::Residual => {
                    compute && (is_set(Field::ResidualBefore) || is_set(Field::ResidualAfter))
                }
            };
            let legal = u64::from(range.min)..=u64::from(range.max);
            if counts && !legal.contains(&get(d, *field)) {
                return Err(ErrorCode::Field);
            }
        }
        Ok(())
    }

    fn input(&mut self, d: &Descriptor) -> Outcome {
        let (base, last) = (get(d, Field::OutBase), get(d, Field::OutLast));
        if last >= self.activation.len() {
            return Err(ErrorCode::OutputRange);
        }
        let beats = self.input_stream.pop_front();
        let mut beats = Reader::new(beats, ErrorCode::InputEarly, ErrorCode::InputLate);
        for address in base..=last {
            let bits = self.activation.bits;
            beats.take(self.activation.word_mut(address), bits)?;
        }
        beats.finish()
    }

    fn weights(&mut self, d: &Descriptor) -> Outcome {
        let (base, last) = (get(d, Field::WeightBase), get(d, Field::WeightLast));
        let beats = self.weight_stream.pop_front();
        let mut beats = Reader::new(beats, ErrorCode::WeightEarly, ErrorCode::WeightLate);
        for address in base..=last {
            for memory in &mut self.weights {
                if address >= memory.len() {
                    return Err(ErrorCode::WeightRange);
                }
                let bits = memory.bits;
                beats.take(memory.word_mut(address), bits)?;
            }
        }
        beats.finish()
    }

    /// A word of the input tensor, by plane group and granule.
    fn read_address(&self, d: &Descriptor, group: u64, granule: i64) -> Outcome<u64> {
        let slices = u64::from(self.design.slices);
        let granule = u64::try_from(granule).map_err(|_| ErrorCode::InputRange)?;
        let address = get(d, Field::InBase) + group * get(d, Field::InPitch) + granule / slices;
        if address > get(d, Field::InLast) || address >= self.activation.len() {
            return Err(ErrorCode::InputRange);
        }
        Ok(address)
    }

    /// Output pixels of a descriptor.
    fn pixels(&self, d: &Descriptor) -> u64 {
        let rows = u64::from(self.design.design().config().rows);
        (get(d, Field::RowTiles) - 1) * rows + get(d, Field::LastRows)
    }

    /// Calls `visit(tap granule inside or not, its granule number)` for each granule of a pixel's patch, in order.
    fn walk(
        &self,
        d: &Descriptor,
        pixel: u64,
        mut visit: impl FnMut(Option<i64>, u64) -> Outcome,
    ) -> Outcome {
        let (width, height) = (get(d, Field::OutWidth), get(d, Field::OutHeight));
        // Wide enough for every product and sum of fields.
        let field = |field| i128::from(d.get(field));
        let (ox, oy) = (
            i128::from(pixel % width),
            i128::from(pixel / width % height),
        );
        let image = i128::from(pixel / width / height) * field(Field::ImagePitch);
        for ky in 0..field(Field::KernelLines) {
            let iy = field(Field::OriginY) + oy * field(Field::StepY) + ky * field(Field::TapY);
            let line = image
                + field(Field::OriginLine)
                + oy * field(Field::StepLine)
                + ky * field(Field::TapLine);
            for run in 0..field(Field::Runs) {
                let first =
                    field(Field::OriginX) + ox * field(Field::StepX) + run * field(Field::TapX);
                for k in 0..field(Field::RunGranules) {
                    let gx = first + k;
                    let is_inside = (0..field(Field::InHeight)).contains(&iy)
                        && (0..field(Field::LineGranules)).contains(&gx);
                    let granule = is_inside.then(|| i64::try_from(line + gx)).transpose();
                    visit(granule.map_err(|_| ErrorCode::InputRange)?, k as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Loads the patch of one pixel: for each plane group and chunk, a word.
    fn patch(&self, d: &Descriptor, pixel: u64) -> Outcome<Memory> {
        let (slices, lanes) = (u64::from(self.design.slices), self.lanes());
        let (groups, chunks) = (get(d, Field::Groups), get(d, Field::Chunks));
        if groups * chunks > u64::from(self.design.patch_half_words()) {
            return Err(ErrorCode::PatchRange);
        }
        let mut patch = Memory::new((groups * chunks) as u32, self.activation.bits);
        let granule_lanes = self.design.granule_lanes;
        let branches = self.branches();
        let mut j = 0;
        self.walk(d, pixel, |granule, _| {
            if j / slices >= chunks {
                return Err(ErrorCode::PatchRange);
            }
            for group in 0..groups {
                let word = group * chunks + j / slices;
                let to = (j % slices) as u32 * granule_lanes;
                for branch in 0..branches {
                    for lane in 0..granule_lanes {
                        let bit = match granule {
                            Some(q) => {
                                let from = (q as u64 % slices) as u32 * granule_lanes;
                                let address = self.read_address(d, group, q)?;
                                self.activation.bit(address, branch * lanes + from + lane)
                            }
                            None => {
                                let plane = group * u64::from(branches) + u64::from(branch);
                                get(d, Field::PadCode) >> plane & 1
                            }
                        };
                        let at = branch * lanes + to + lane;
                        insert(patch.word_mut(word), at, 1, bit);
                    }
                }
            }
            j += 1;
            Ok(())
        })?;
        Ok(patch)
    }

    fn lanes(&self) -> u32 {
        self.design.design().config().lanes
    }

    fn branches(&self) -> u32 {
        self.design.design().config().activation_branches
    }

    fn compute(&mut self, d: &Descriptor) -> Outcome {
        self.check_overlap(d)?;
        let rows = u64::from(self.design.design().config().rows);
        let pixels = self.pixels(d);
        for row_tile in 0..get(d, Field::RowTiles) {
            let tile = row_tile * rows..pixels.min((row_tile + 1) * rows);
            let patches: Vec<Memory> = tile
                .clone()
                .map(|pixel| self.patch(d, pixel))
                .collect::<Outcome<_>>()?;
            for column_tile in 0..get(d, Field::ColumnTiles) {
                for (pixel, patch) in tile.clone().zip(&patches) {
                    self.row(d, pixel, column_tile, patch)?;
                }
            }
        }
        Ok(())
    }

    fn check_overlap(&self, d: &Descriptor) -> Outcome {
        let meets = get(d, Field::InBase) <= get(d, Field::OutLast)
            && get(d, Field::OutBase) <= get(d, Field::InLast);
        if get(d, Field::ToActivation) == 1 && meets {
            return Err(ErrorCode::Overlap);
        }
        Ok(())
    }

    /// One row of a tile: its results, their requantization, and where they go.
    fn row(&mut self, d: &Descriptor, pixel: u64, column_tile: u64, patch: &Memory) -> Outcome {
        let columns = self.design.design().config().columns;
        let is_last = column_tile + 1 == get(d, Field::ColumnTiles);
        let valid = if is_last {
            get(d, Field::LastColumns) as u32
        } else {
            columns
        };
        let granule = get(d, Field::OutGranule) + pixel * get(d, Field::OutPixel) + column_tile;
        let mut codes = Vec::new();
        for column in 0..valid {
            let (lane, index) = self.channel(column, column_tile);
            let added = self.residual_value(d, granule, column)?;
            let value = self.value(d, pixel, column_tile, column, patch)?;
            let (v1, code) = self.requantize(d, lane, index, value, added)?;
            if get(d, Field::ToStream) == 1 {
                let is_raw = get(d, Field::Mode) == 0;
                self.results.push(if is_raw { v1 } else { code } as i32);
            }
            codes.push(code as u64);
        }
        if get(d, Field::ToActivation) == 1 || get(d, Field::ToResidual) == 1 {
            self.write(d, granule, &codes)?;
        }
        Ok(())
    }

    /// Lane of the drain and channel index of a column.
    fn channel(&self, column: u32, column_tile: u64) -> (usize, u64) {
        let lanes = self.design.config().drain_columns;
        let steps = u64::from(self.design.drain_steps);
        (
            (column % lanes) as usize,
            column_tile * steps + u64::from(column / lanes),
        )
    }

    /// The result of one element of the array.
    fn value(
        &self,
        d: &Descriptor,
        pixel: u64,
        column_tile: u64,
        column: u32,
        patch: &Memory,
    ) -> Outcome<i64> {
        let array = self.design.design();
        let (mut sum, mut row_sum, mut significance) = (0i128, 0i128, 0);
        for step in 0..get(d, Field::ScheduleSteps) {
            let entry = get(d, Field::ScheduleBase) + step;
            let entry = self.schedule.get(entry as usize);
            let entry = *entry.ok_or(ErrorCode::TableRange)?;
            let (patch_bits, weight_bits) = (
                self.design.patch_address_width,
                self.design.weight_address_width,
            );
            let field = |low: u32, bits: u32| (entry >> low) as u64 & ((1 << bits) - 1);
            let row_mode = field(patch_bits + weight_bits, 2);
            let shift =
                entry >> (patch_bits + weight_bits + 2) & ((1 << array.shift_amounts.len()) - 1);
            if shift != 0 {
                significance += array.shift_amounts[shift.trailing_zeros() as usize];
            }
            // Several shifts at once, or past what the accumulator can align again.
            if shift.count_ones() > 1 || significance > array.accumulator_low_width {
                return Err(ErrorCode::Field);
            }
            for chunk in 0..get(d, Field::Chunks) {
                let weight = get(d, Field::WeightBase)
                    + column_tile * get(d, Field::WeightTile)
                    + field(patch_bits, weight_bits)
                    + chunk;
                if weight > get(d, Field::WeightLast) {
                    return Err(ErrorCode::WeightRange);
                }
                let word = self.weights[column as usize].get(weight);
                let weight = word.ok_or(ErrorCode::WeightRange)?;
                let activation = patch.get(field(0, patch_bits) + chunk);
                let activation = activation.ok_or(ErrorCode::PatchRange)?;
                let counts = self.beat(activation, weight, row_mode);
                sum += i128::from(counts[0]) << significance;
                row_sum += i128::from(counts[1]) << significance;
            }
        }
        // The hardware shifts the sums to their place; here they are there already.
        let lost = array.accumulator_low_width as i64 - i64::from(significance);
        if lost != d.get(Field::Align) {
            return Err(ErrorCode::Field);
        }
        let constant = self.constant(d, pixel, column_tile, column)?;
        let value = 4 * sum - 2 * row_sum + i128::from(constant);
        Ok((wrap128(value, array.result_width) as i64) >> d.get(Field::ResultShift))
    }

    /// What a processing element and a row unit count in one beat.
    fn beat(&self, activation: &[u64], weight: &[u64], row_mode: u64) -> [i64; 2] {
        let c = self.design.design().config();
        let half = self.design.design().pairs;
        let bit = |word: &[u64], branch: u32, lane: u32, padding: u64| {
            if lane < c.lanes {
                extract(word, branch * c.lanes + lane, 1)
            } else {
                padding
            }
        };
        let all = (1i64 << c.weight_branches) - 1;
        let mut counts = [0; 2];
        for m in 0..c.activation_branches {
            for lane in 0..half {
                let a1 = bit(activation, m, lane, 0);
                let a2 = bit(activation, m, half + lane, 0);
                for k in 0..c.weight_branches {
                    let w1 = bit(weight, k, lane, 1);
                    let w2 = bit(weight, k, half + lane, 1);
                    let (x1, x2) = (1 ^ a1 ^ w1, 1 ^ a2 ^ w2);
                    counts[0] += i64::from(x1 + x2 + (a1 ^ a2) >= 2) << (m + k);
                }
                let odd = all * (a1 ^ a2) as i64;
                let row = match row_mode {
                    0 => odd,
                    1 => odd + (a1 + a2) as i64,
                    _ => 2 * all * (1 ^ (a1 & a2)) as i64,
                };
                counts[1] += row << m;
            }
        }
        counts
    }

    fn constant_word(
        &self,
        d: &Descriptor,
        pixel: u64,
        column_tile: u64,
        column: u32,
    ) -> Outcome<u128> {
        let (width, height) = (get(d, Field::OutWidth), get(d, Field::OutHeight));
        let (x, y) = (pixel % width, pixel / width % height);
        let class = |at: u64, lead: Field, trail: Field| {
            let trails = |i: u64| get(d, trail) != 0 && i + 1 >= get(d, trail);
            let rises = |i: &u64| *i < get(d, lead) || trails(*i);
            (0..at).filter(rises).count() as u64
        };
        let (lane, index) = self.channel(column, column_tile);
        let address = get(d, Field::ConstantBase)
            + class(y, Field::YLead, Field::YTrail) * get(d, Field::ClassYPitch)
            + class(x, Field::XLead, Field::XTrail) * get(d, Field::ClassXPitch)
            + index;
        let word = self.constants[lane].get(address as usize);
        word.copied().ok_or(ErrorCode::TableRange)
    }

    fn constant(&self, d: &Descriptor, pixel: u64, column_tile: u64, column: u32) -> Outcome<i64> {
        let word = self.constant_word(d, pixel, column_tile, column)?;
        Ok(signed(word, self.design.design().result_width) as i64)
    }

    /// What the residual adds to a column.
    fn residual_value(&self, d: &Descriptor, granule: u64, column: u32) -> Outcome<Added> {
        let mut added = Added::default();
        let (before, after) = (get(d, Field::ResidualBefore), get(d, Field::ResidualAfter));
        if before + after == 0 {
            return Ok(added);
        }
        let slices = u64::from(self.design.slices);
        let lane = (granule % slices) as u32 * self.design.granule_lanes + column;
        let mut code = 0;
        for group in 0..get(d, Field::ResidualGroups) {
            let address = get(d, Field::ResidualBase)
                + group * get(d, Field::ResidualPitch)
                + granule / slices;
            if address >= self.residual.len() {
                return Err(ErrorCode::InputRange);
            }
            for branch in 0..self.branches() {
                let plane = group * u64::from(self.branches()) + u64::from(branch);
                code |= self.residual.bit(address, branch * self.lanes() + lane) << plane;
            }
        }
        let entry = self.table.get((get(d, Field::TableBase) + code) as usize);
        let entry = entry.ok_or(ErrorCode::TableRange)?;
        let value = signed(*entry, self.design.product_width);
        if before == 1 {
            added.before = value;
        }
        if after == 1 {
            added.after = value;
        }
        Ok(added)
    }

    /// v1 and the code.
    fn requantize(
        &self,
        d: &Descriptor,
        lane: usize,
        index: u64,
        value: i64,
        added: Added,
    ) -> Outcome<(i64, i64)> {
        let (width, product) = (self.design.design().result_width, self.design.product_width);
        let v1 = wrap128(i128::from(value) + added.before, product);
        let narrow = wrap128(v1, width);
        let channel = get(d, Field::ChannelBase) + index;
        let v2 = match get(d, Field::Mode) {
            0 => narrow,
            1 => self.count(d, lane, channel, index, narrow)?,
            _ => {
                let word = self.affine[lane].get(channel as usize);
                let word = *word.ok_or(ErrorCode::TableRange)?;
                let multiplier = signed(word, MULTIPLIER_BITS);
                let addend = signed(word >> MULTIPLIER_BITS, product);
                wrap128(v1 * multiplier + addend, product)
            }
        };
        let v3 = wrap128(v2 + added.after, product);
        let shifted = shifted(
            v3,
            get(d, Field::Shift) as u32,
            get(d, Field::RoundEven) == 1,
        );
        let v4 = wrap128(shifted + i128::from(d.get(Field::Offset)), product);
        let (low, high) = (d.get(Field::CodeMin), d.get(Field::CodeMax));
        if low > high {
            return Err(ErrorCode::Field);
        }
        let code = v4.clamp(low.into(), high.into());
        Ok((narrow as i64, code as i64))
    }

    /// How many thresholds a value reaches, by bisection through the levels.
    fn count(
        &self,
        d: &Descriptor,
        lane: usize,
        channel: u64,
        index: u64,
        value: i128,
    ) -> Outcome<i128> {
        let levels = get(d, Field::Levels);
        if channel >= u64::from(self.design.config().channel_words) {
            return Err(ErrorCode::TableRange);
        }
        let mut found = 0;
        for level in 0..levels {
            let memory = self.thresholds[lane].get(level as usize);
            let memory = memory.ok_or(ErrorCode::Field)?;
            let threshold = memory[((channel << level) | found) as usize];
            let threshold = signed(threshold, self.design.design().result_width);
            found = 2 * found + u64::from(value >= threshold);
        }
        // The bit stands beside every constant of the channel; all classes have the same.
        let word = self.constants[lane].get((get(d, Field::ConstantBase) + index) as usize);
        let word = word.ok_or(ErrorCode::TableRange)?;
        let falls = word >> self.design.design().result_width & 1 == 1;
        let top = (1 << levels) - 1;
        Ok(i128::from(if falls { top - found } else { found }))
    }

    /// Writes a granule's codes to the memories.
    fn write(&mut self, d: &Descriptor, granule: u64, codes: &[u64]) -> Outcome {
        let slices = u64::from(self.design.slices);
        let first = (granule % slices) as u32 * self.design.granule_lanes;
        let (lanes, branches) = (self.lanes(), self.branches());
        for group in 0..get(d, Field::OutGroups) {
            let address =
                get(d, Field::OutBase) + group * get(d, Field::OutPitch) + granule / slices;
            for (flag, memory) in [
                (Field::ToActivation, &mut self.activation),
                (Field::ToResidual, &mut self.residual),
            ] {
                if get(d, flag) == 0 {
                    continue;
                }
                if address > get(d, Field::OutLast) || address >= memory.len() {
                    return Err(ErrorCode::OutputRange);
                }
                for branch in 0..branches {
                    let plane = group * u64::from(branches) + u64::from(branch);
                    for lane in 0..self.design.granule_lanes {
                        let code = codes.get(lane as usize).copied().unwrap_or(0);
                        let bit = branch * lanes + first + lane;
                        let value = code.checked_shr(plane as u32).unwrap_or(0);
                        insert(memory.word_mut(address), bit, 1, value & 1);
                    }
                }
            }
        }
        Ok(())
    }

    fn pool(&mut self, d: &Descriptor) -> Outcome {
        self.check_overlap(d)?;
        let count = get(d, Field::RunGranules);
        for pixel in 0..self.pixels(d) {
            let lanes = self.design.granule_lanes as usize;
            let mut largest = vec![vec![0; lanes]; count as usize];
            self.walk(d, pixel, |granule, k| {
                if let Some(q) = granule {
                    for (lane, largest) in largest[k as usize].iter_mut().enumerate() {
                        *largest = self.code(d, q, lane as u32)?.max(*largest);
                    }
                }
                Ok(())
            })?;
            let first = get(d, Field::OutGranule) + pixel * get(d, Field::OutPixel);
            for (k, codes) in largest.iter().enumerate() {
                self.write(d, first + k as u64, codes)?;
            }
        }
        Ok(())
    }

    /// The code in a lane of an input granule.
    fn code(&self, d: &Descriptor, granule: i64, lane: u32) -> Outcome<u64> {
        let slices = u64::from(self.design.slices);
        let lane = (granule as u64 % slices) as u32 * self.design.granule_lanes + lane;
        let mut code = 0;
        for group in 0..get(d, Field::Groups) {
            let address = self.read_address(d, group, granule)?;
            for branch in 0..self.branches() {
                let plane = group * u64::from(self.branches()) + u64::from(branch);
                code |= self.activation.bit(address, branch * self.lanes() + lane) << plane;
            }
        }
        Ok(code)
    }
}

/// What a residual adds, and where.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    before: i128,
    after: i128,
}

/// Memory words out of a packet of beats.
struct Reader {
    beats: Option<Beats>,
    next: usize,
    early: ErrorCode,
    late: ErrorCode,
}

impl Reader {
    fn new(beats: Option<Beats>, early: ErrorCode, late: ErrorCode) -> Self {
        Reader {
            beats,
            next: 0,
            early,
            late,
        }
    }

    fn take(&mut self, word: &mut [u64], bits: u32) -> Outcome {
        let beats = self.beats.as_ref().ok_or(self.early)?;
        for low in (0..bits).step_by(beats.bits() as usize) {
            if self.next == beats.len() {
                return Err(self.early);
            }
            let beat = beats.beat(self.next);
            for part in (0..beats.bits().min(bits - low)).step_by(64) {
                let count = (bits - low - part).min(beats.bits() - part).min(64);
                insert(word, low + part, count, extract(beat, part, count));
            }
            self.next += 1;
        }
        Ok(())
    }

    fn finish(self) -> Outcome {
        match self.beats {
            Some(beats) if self.next < beats.len() => Err(self.late),
            _ => Ok(()),
        }
    }
}

/// A field that is unsigned.
fn get(descriptor: &Descriptor, field: Field) -> u64 {
    descriptor.get(field) as u64
}

fn signed(word: u128, width: u32) -> i128 {
    let unused = 128 - width;
    (word << unused) as i128 >> unused
}

fn wrap128(value: i128, width: u32) -> i128 {
    signed(value as u128, width)
}

/// `value >> shift`; ties to even if asked for.
fn shifted(value: i128, shift: u32, even: bool) -> i128 {
    if !even || shift == 0 {
        return value >> shift;
    }
    let rounded = value + (1 << (shift - 1));
    let is_tie = rounded & ((1 << shift) - 1) == 0;
    let up = rounded >> shift;
    if is_tie { up & !1 } else { up }
}
