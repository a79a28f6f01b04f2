//! The ports that load: inputs, weights, and programs with their parameters.

use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;

/// A beat of a stream: data, bit 0 first, and whether TLAST goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamBeat<'a> {
    /// The data, `width.div_ceil(64)` words.
    pub data: &'a [u64],
    /// TLAST.
    pub last: bool,
}

/// A write to a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordWrite<'a> {
    /// Where.
    pub address: u32,
    /// What, bit 0 first.
    pub value: &'a [u64],
}

/// Puts the beats of a word together.
#[derive(Clone, Debug)]
struct Assembler {
    beats: u32,
    stream_bits: u32,
    width: u32,
    beat: u32,
    value: Vec<u64>,
}

impl Assembler {
    fn new(width: u32, stream_bits: u32) -> Self {
        let beats = width.div_ceil(stream_bits);
        Assembler {
            beats,
            stream_bits,
            width,
            beat: 0,
            value: vec![0; width.div_ceil(64) as usize],
        }
    }

    /// Takes a beat; gives whether it completes the word.
    fn take(&mut self, data: &[u64]) -> bool {
        let first = self.beat * self.stream_bits;
        for bit in first..self.width.min(first + self.stream_bits) {
            let source = (bit - first) as usize;
            let (word, place) = (bit as usize / 64, bit % 64);
            self.value[word] &= !(1 << place);
            self.value[word] |= (data[source / 64] >> (source % 64) & 1) << place;
        }
        self.beat += 1;
        let completes = self.beat == self.beats;
        if completes {
            self.beat = 0;
        }
        completes
    }
}

/// A packet on its way into a range of addresses.
#[derive(Clone, Debug)]
struct Packet {
    active: bool,
    begun: bool,
    ended: bool,
    address: u32,
    last_address: u32,
    word: Assembler,
    /// The address of the word that stands in `word`, if it is written in this cycle.
    writes: Option<u32>,
    error: u8,
}

/// What is wrong with the end of a packet, as error codes.
struct PacketErrors {
    range: u8,
    early: u8,
    late: u8,
}

impl Packet {
    fn new(width: u32, stream_bits: u32) -> Self {
        Packet {
            active: false,
            begun: false,
            ended: false,
            address: 0,
            last_address: 0,
            word: Assembler::new(width, stream_bits),
            writes: None,
            error: 0,
        }
    }

    fn in_range(&self) -> bool {
        self.address <= self.last_address
    }

    fn ready(&self) -> bool {
        self.active && self.in_range() && !self.ended
    }

    fn go(&mut self, base: u32) {
        self.active = true;
        self.begun = false;
        self.ended = false;
        self.address = base;
        self.word.beat = 0;
    }

    /// One clock edge; gives whether the packet has ended well. `address_step` is 1 where a whole word moves the address.
    fn edge(&mut self, beat: Option<StreamBeat<'_>>, moves: bool, errors: &PacketErrors) -> bool {
        let (ready, in_range) = (self.ready(), self.in_range());
        let finished = self.active && !in_range && self.ended;
        self.error = match (self.active, in_range, self.ended, self.begun) {
            (true, true, true, _) => errors.early,
            (true, false, false, false) => errors.range,
            (true, false, false, true) => errors.late,
            _ => 0,
        };
        self.active = ready;
        self.writes = None;
        if let Some(beat) = beat.filter(|_| ready) {
            self.begun = true;
            self.ended = beat.last;
            if self.word.take(beat.data) {
                self.writes = Some(self.address);
                self.address += u32::from(moves);
            }
        }
        finished
    }

    fn reset(&mut self) {
        self.active = false;
        self.writes = None;
        self.error = 0;
    }
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputPortInputs<'a> {
    /// `reset`.
    pub reset: bool,
    /// `go_input`.
    pub go: bool,
    /// Descriptor field.
    pub out_base: u32,
    /// Descriptor field.
    pub out_last: u32,
    /// The beat that is offered.
    pub beat: Option<StreamBeat<'a>>,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPortOutputs<'a> {
    /// `input_ready`.
    pub ready: bool,
    /// `input_write` with its address and value.
    pub write: Option<WordWrite<'a>>,
    /// `input_finished`.
    pub finished: bool,
    /// `input_error`.
    pub error: u8,
}

/// Takes a tensor from the input stream.
#[derive(Clone, Debug)]
pub struct InputPortModel {
    packet: Packet,
    finished: bool,
}

impl InputPortModel {
    /// The port after reset.
    pub fn new(design: &AcceleratorDesign) -> Self {
        InputPortModel {
            packet: Packet::new(design.word_width, design.config().stream_bits),
            finished: false,
        }
    }

    /// What stands in this cycle. `out_last` is the descriptor's.
    pub fn outputs(&self, out_last: u32) -> InputPortOutputs<'_> {
        let p = &self.packet;
        InputPortOutputs {
            ready: p.active && p.address <= out_last && !p.ended,
            write: p.writes.map(|address| WordWrite {
                address,
                value: &p.word.value,
            }),
            finished: self.finished,
            error: p.error,
        }
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &InputPortInputs<'_>) {
        const ERRORS: PacketErrors = PacketErrors {
            range: 6,
            early: 10,
            late: 11,
        };
        self.packet.last_address = inputs.out_last;
        self.finished = self.packet.edge(inputs.beat, true, &ERRORS);
        if inputs.go {
            self.packet.go(inputs.out_base);
        }
        if inputs.reset {
            self.packet.reset();
            self.finished = false;
        }
    }
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightPortInputs<'a> {
    /// `reset`.
    pub reset: bool,
    /// `go_weights`.
    pub go: bool,
    /// Descriptor field.
    pub weight_base: u32,
    /// Descriptor field.
    pub weight_last: u32,
    /// The beat that is offered.
    pub beat: Option<StreamBeat<'a>>,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightPortOutputs<'a> {
    /// `weight_ready`.
    pub ready: bool,
    /// The column that is written, with address and value.
    pub write: Option<(u32, WordWrite<'a>)>,
    /// `weights_busy`.
    pub busy: bool,
    /// `weight_error`.
    pub error: u8,
}

/// Takes weights from the weight stream.
#[derive(Clone, Debug)]
pub struct WeightPortModel {
    columns: u32,
    packet: Packet,
    column: u32,
    write_column: u32,
}

impl WeightPortModel {
    /// The port after reset.
    pub fn new(design: &AcceleratorDesign) -> Self {
        WeightPortModel {
            columns: design.design().config().columns,
            packet: Packet::new(design.weight_width, design.config().stream_bits),
            column: 0,
            write_column: 0,
        }
    }

    /// What stands in this cycle.
    pub fn outputs(&self) -> WeightPortOutputs<'_> {
        let p = &self.packet;
        let write = |address| WordWrite {
            address,
            value: p.word.value.as_slice(),
        };
        WeightPortOutputs {
            ready: p.ready(),
            write: p.writes.map(|address| (self.write_column, write(address))),
            busy: p.active,
            error: p.error,
        }
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &WeightPortInputs<'_>) {
        const ERRORS: PacketErrors = PacketErrors {
            range: 7,
            early: 12,
            late: 13,
        };
        let is_last = self.column + 1 == self.columns;
        self.packet.edge(inputs.beat, is_last, &ERRORS);
        self.write_column = self.column;
        if self.packet.writes.is_some() {
            self.column = if is_last { 0 } else { self.column + 1 };
        }
        if inputs.go {
            self.packet.go(inputs.weight_base);
            self.packet.last_address = inputs.weight_last;
            self.column = 0;
        }
        if inputs.reset {
            self.packet.reset();
        }
    }
}

/// What a packet of the program stream loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadTarget {
    /// The program memory.
    Program = 0,
    /// The schedule memory.
    Schedule = 1,
    /// The constants of a lane.
    Constants = 2,
    /// The thresholds of a level and lane.
    Thresholds = 3,
    /// The affine parameters of a lane.
    Affine = 4,
    /// The residual table of all lanes.
    Table = 5,
}

impl LoadTarget {
    /// The targets, in the order of their numbers.
    pub const ALL: [LoadTarget; 6] = [
        LoadTarget::Program,
        LoadTarget::Schedule,
        LoadTarget::Constants,
        LoadTarget::Thresholds,
        LoadTarget::Affine,
        LoadTarget::Table,
    ];

    /// Bits of a word of the memory.
    pub fn width(self, design: &AcceleratorDesign) -> u32 {
        match self {
            LoadTarget::Program => 32,
            LoadTarget::Schedule => design.schedule_width,
            LoadTarget::Constants => design.constant_width,
            LoadTarget::Thresholds => design.design().result_width,
            LoadTarget::Affine => design.affine_width,
            LoadTarget::Table => design.product_width,
        }
    }

    /// Words of the memory, of those that an address of 24 bits reaches.
    pub fn words(self, design: &AcceleratorDesign, level: u32) -> u64 {
        let c = design.config();
        let words = match self {
            LoadTarget::Program => c.program_words,
            LoadTarget::Schedule => c.schedule_words,
            LoadTarget::Constants => c.constant_words,
            LoadTarget::Thresholds => return (u64::from(c.channel_words) << level).min(1 << 24),
            LoadTarget::Affine => c.channel_words,
            LoadTarget::Table => c.table_words,
        };
        words.into()
    }
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramPortInputs {
    /// `reset`.
    pub reset: bool,
    /// `accept`.
    pub accept: bool,
    /// The word that is offered, with TLAST.
    pub word: Option<(u32, bool)>,
}

/// A write of a memory word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadWrite {
    /// Which memory.
    pub target: LoadTarget,
    /// Threshold level.
    pub level: u32,
    /// Drained column.
    pub lane: u32,
    /// Where.
    pub address: u32,
    /// What; bits past the memory's width mean nothing.
    pub value: u64,
}

/// The outputs that stand during one cycle, beside `program_ready`, which is `accept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramPortOutputs {
    /// A write.
    pub write: Option<LoadWrite>,
    /// `load_error`.
    pub error: u8,
}

/// How far a packet has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Address,
    Data,
    Skip,
}

/// Loads programs and parameters.
#[derive(Clone, Debug)]
pub struct ProgramPortModel {
    design: Arc<AcceleratorDesign>,
    place: Place,
    target: LoadTarget,
    level: u32,
    lane: u32,
    address: u64,
    low: Option<u32>,
    outputs: ProgramPortOutputs,
}

impl ProgramPortModel {
    /// The port after reset.
    pub fn new(design: &Arc<AcceleratorDesign>) -> Self {
        ProgramPortModel {
            design: design.clone(),
            place: Place::Header,
            target: LoadTarget::Program,
            level: 0,
            lane: 0,
            address: 0,
            low: None,
            outputs: ProgramPortOutputs::default(),
        }
    }

    /// What stands in this cycle.
    pub fn outputs(&self) -> ProgramPortOutputs {
        self.outputs
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &ProgramPortInputs) {
        self.outputs = ProgramPortOutputs::default();
        if let Some((word, last)) = inputs.word.filter(|_| inputs.accept) {
            let ok = match self.place {
                Place::Skip => true,
                Place::Header => self.header(word) && !last,
                Place::Address => {
                    self.address = word.into();
                    self.place = Place::Data;
                    !last
                }
                Place::Data => self.data(word, last),
            };
            if !ok {
                self.outputs.error = 14;
                self.place = Place::Skip;
            }
            if last {
                self.place = Place::Header;
            }
            if self.place != Place::Data {
                self.low = None;
            }
        }
        if inputs.reset {
            self.outputs = ProgramPortOutputs::default();
            self.place = Place::Header;
            self.low = None;
        }
    }

    fn header(&mut self, word: u32) -> bool {
        (self.level, self.lane) = (word >> 24 & 15, word >> 16 & 255);
        self.place = Place::Address;
        let c = self.design.config();
        let target = LoadTarget::ALL.get((word >> 28) as usize);
        self.target = target.copied().unwrap_or(LoadTarget::Program);
        target.is_some() && self.level < c.threshold_bits && self.lane < c.drain_columns
    }

    /// A word of data; false if something is wrong.
    fn data(&mut self, word: u32, last: bool) -> bool {
        if self.low.is_none() && self.target.width(&self.design) > 32 {
            self.low = Some(word);
            return !last;
        }
        if self.address >= self.target.words(&self.design, self.level) {
            return false;
        }
        let value = match self.low.take() {
            Some(low) => u64::from(word) << 32 | u64::from(low),
            None => word.into(),
        };
        self.outputs.write = Some(LoadWrite {
            target: self.target,
            level: self.level,
            lane: self.lane,
            address: self.address as u32,
            value,
        });
        self.address += 1;
        true
    }
}
