//! The sequencer with the descriptor's registers.

use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{DESCRIPTOR_WORDS, Descriptor, Field, Opcode, When};

/// Words of a descriptor that are read.
const FIELD_WORDS: u32 = 41;
/// Words from a descriptor to the next.
const PITCH: u32 = 48;

/// The engines' error codes in one cycle, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineErrors {
    /// Compute engine.
    pub compute: u8,
    /// What stands behind the array.
    pub back: u8,
    /// Patch system.
    pub patch: u8,
    /// Input port.
    pub input: u8,
    /// Weight port.
    pub weight: u8,
    /// Program port.
    pub load: u8,
}

impl EngineErrors {
    /// The one that is kept if several come at once.
    fn first(&self) -> u8 {
        [
            self.compute,
            self.back,
            self.patch,
            self.input,
            self.weight,
            self.load,
        ]
        .into_iter()
        .find(|code| *code != 0)
        .unwrap_or(0)
    }
}

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequencerInputs {
    /// `reset`.
    pub reset: bool,
    /// `start`.
    pub start: bool,
    /// `start_address`.
    pub start_address: u32,
    /// `runs`.
    pub runs: u16,
    /// A word that is written to the program memory: address, value.
    pub program: Option<(u32, u32)>,
    /// `compute_finished`.
    pub compute_finished: bool,
    /// `pool_finished`.
    pub pool_finished: bool,
    /// `input_finished`.
    pub input_finished: bool,
    /// `weights_busy`.
    pub weights_busy: bool,
    /// The engines' error codes.
    pub errors: EngineErrors,
}

/// An engine that starts in this cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// `go_compute`.
    Compute,
    /// `go_pool`.
    Pool,
    /// `go_input`.
    Input,
    /// `go_weights`.
    Weights,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencerOutputs {
    /// The word of a descriptor that is there: number, value.
    pub fetched: Option<(u32, u32)>,
    /// `go_compute`, `go_pool`, `go_input` or `go_weights`.
    pub go: Option<Go>,
    /// `flush`.
    pub flush: bool,
    /// `busy`.
    pub busy: bool,
    /// `done`.
    pub done: bool,
    /// `error`.
    pub error: u8,
    /// `state_compute`.
    pub state_compute: bool,
    /// `state_pool`.
    pub state_pool: bool,
    /// `state_input`.
    pub state_input: bool,
    /// `state_weights`.
    pub state_weights: bool,
}

/// Fetches descriptors, checks them and starts the engines.
#[derive(Clone, Debug)]
pub struct SequencerModel {
    design: Arc<AcceleratorDesign>,
    memory: Vec<u32>,
    /// The descriptor's registers, as whole words.
    words: [u32; FIELD_WORDS as usize],
    /// The program memory's output.
    value: u32,
    busy: bool,
    done: bool,
    first_address: u32,
    runs_left: u16,
    rewind: bool,
    address: u32,
    /// Cycle of the fetch: word `n` is read in cycle n.
    fetch: Option<u32>,
    refused: bool,
    past: bool,
    pending: bool,
    go: Option<Go>,
    /// The engine that runs.
    runs: Option<Go>,
    error: u8,
    flush: bool,
}

impl SequencerModel {
    /// The sequencer after reset. Its memory and the descriptor's registers, which reset leaves alone, hold 0.
    pub fn new(design: &Arc<AcceleratorDesign>) -> Self {
        SequencerModel {
            memory: vec![0; design.config().program_words as usize],
            design: design.clone(),
            words: [0; FIELD_WORDS as usize],
            value: 0,
            busy: false,
            done: false,
            first_address: 0,
            runs_left: 0,
            rewind: false,
            address: 0,
            fetch: None,
            refused: false,
            past: false,
            pending: false,
            go: None,
            runs: None,
            error: 0,
            flush: false,
        }
    }

    /// A field of the descriptor's registers: the bits that the design keeps, not sign-extended.
    pub fn field(&self, field: Field) -> u32 {
        let mask = u32::MAX >> (32 - field.width(&self.design));
        (self.words[field.word() as usize] >> field.low()) & mask
    }

    /// The same, sign-extended if the field is signed.
    pub fn value(&self, field: Field) -> i64 {
        let (value, width) = (i64::from(self.field(field)), field.width(&self.design));
        if field.is_signed() && value >> (width - 1) != 0 {
            value - (1 << width)
        } else {
            value
        }
    }

    /// The descriptor in the registers.
    pub fn descriptor(&self) -> Descriptor {
        let mut words = [0; DESCRIPTOR_WORDS as usize];
        words[..self.words.len()].copy_from_slice(&self.words);
        Descriptor::from_words(words)
    }

    fn opcode(&self) -> Option<Opcode> {
        Opcode::of(self.field(Field::Opcode))
    }

    fn flag(&self, field: Field) -> bool {
        self.field(field) != 0
    }

    fn for_weights(&self) -> bool {
        let waits = self.flag(Field::WaitWeights) || self.opcode() == Some(Opcode::Weights);
        self.pending && waits
    }

    /// What stands in this cycle.
    pub fn outputs(&self) -> SequencerOutputs {
        SequencerOutputs {
            fetched: match self.fetch {
                Some(cycle) if cycle > 0 => Some((cycle - 1, self.value)),
                _ => None,
            },
            go: self.go,
            flush: self.flush,
            busy: self.busy,
            done: self.done,
            error: self.error,
            state_compute: self.runs == Some(Go::Compute),
            state_pool: self.runs == Some(Go::Pool),
            state_input: self.runs == Some(Go::Input),
            state_weights: self.for_weights(),
        }
    }

    fn holds(&self, when: When) -> bool {
        let compute = self.opcode() == Some(Opcode::Compute);
        let any = |a, b| self.flag(a) || self.flag(b);
        match when {
            When::Always => true,
            When::Patches => compute || self.opcode() == Some(Opcode::Pool),
            When::Compute => compute,
            When::Thresholds => compute && self.field(Field::Mode) == 1,
            When::Codes => compute && any(Field::ToActivation, Field::ToResidual),
            When::Residual => compute && any(Field::ResidualBefore, Field::ResidualAfter),
        }
    }

    /// Whether a word of a descriptor is out of its fields' ranges.
    fn refuses(&self, number: u32, word: u32) -> bool {
        let mut rest = word;
        let mut refused = false;
        for field in Field::ALL.iter().filter(|field| field.word() == number) {
            let (bits, width) = (field.bits(), field.width(&self.design));
            let value = (word >> field.low()) & (u32::MAX >> (32 - bits));
            rest &= !(u32::MAX >> (32 - bits) << field.low());
            let wide = i64::from(value);
            let fits = if field.is_signed() {
                let signed = wide - ((wide >> (bits - 1)) << bits);
                (-(1i64 << (width - 1))..1 << (width - 1)).contains(&signed)
            } else {
                wide < 1 << width
            };
            let kept = value & (u32::MAX >> (32 - width));
            refused |= !fits
                || field.range(&self.design).is_some_and(|range| {
                    self.holds(range.when) && !(range.min..=range.max).contains(&kept)
                });
        }
        refused || rest != 0
    }

    fn writes_past(&self) -> bool {
        let c = self.design.config();
        let last = self.field(Field::OutLast);
        let activation = self.flag(Field::ToActivation) || self.opcode() == Some(Opcode::Input);
        (activation && last >= c.activation_words)
            || (self.flag(Field::ToResidual) && last >= c.residual_words)
    }

    fn overlaps(&self) -> bool {
        let patches = matches!(self.opcode(), Some(Opcode::Compute | Opcode::Pool));
        patches
            && self.flag(Field::ToActivation)
            && self.field(Field::InBase) <= self.field(Field::OutLast)
            && self.field(Field::OutBase) <= self.field(Field::InLast)
    }

    /// The code of what is wrong with the descriptor or the start.
    fn own_error(&self) -> u8 {
        if self.rewind && self.runs_left == 0 {
            3
        } else if !self.pending {
            0
        } else if self.past {
            2
        } else if self.opcode().is_none() {
            1
        } else if self.refused {
            3
        } else if self.overlaps() {
            4
        } else if self.writes_past() {
            6
        } else {
            0
        }
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &SequencerInputs) {
        let error = match self.own_error() {
            0 => inputs.errors.first(),
            own => own,
        };
        let takes_error = error != 0 && self.error == 0;
        let starts = inputs.start && !self.busy && !self.flush && error == 0;
        let goes = self.pending && !(self.for_weights() && inputs.weights_busy);
        let ends = goes && self.opcode() == Some(Opcode::End);
        let begins = self.rewind
            || inputs.compute_finished
            || inputs.pool_finished
            || inputs.input_finished
            || (goes && self.opcode() == Some(Opcode::Weights));
        let last_run = self.runs_left == 0;

        self.edge_error(inputs, takes_error, starts, error);
        let go = match self.opcode() {
            Some(Opcode::Compute) if goes => Some(Go::Compute),
            Some(Opcode::Pool) if goes => Some(Go::Pool),
            Some(Opcode::Input) if goes => Some(Go::Input),
            Some(Opcode::Weights) if goes => Some(Go::Weights),
            _ => None,
        };
        self.edge_fetch(begins, goes);
        if let Some((address, value)) = inputs.program {
            self.memory[address as usize] = value;
        }
        if starts {
            self.runs_left = inputs.runs;
            self.first_address = inputs.start_address;
        } else if self.rewind {
            self.runs_left = self.runs_left.wrapping_sub(1);
        }
        self.edge_state(inputs, go);
        self.rewind = starts || (ends && !last_run);
        self.done = ends && last_run && !takes_error;
        self.busy = starts || (self.busy && !(ends && last_run));
        self.go = go.filter(|_| !takes_error);
        let flushing = std::mem::replace(&mut self.flush, takes_error && !inputs.reset);
        if inputs.reset || flushing {
            self.clear();
        }
        if inputs.reset {
            let bits = u32::MAX >> (32 - Field::Layer.bits()) << Field::Layer.low();
            self.words[Field::Layer.word() as usize] &= !bits;
        }
    }

    fn edge_error(&mut self, inputs: &SequencerInputs, takes: bool, starts: bool, error: u8) {
        if inputs.reset || starts {
            self.error = 0;
        } else if takes {
            self.error = error;
        }
    }

    /// The fetch: reads, and takes what was read.
    fn edge_fetch(&mut self, begins: bool, goes: bool) {
        let arrives = self.fetch.filter(|cycle| *cycle > 0);
        if let Some(cycle) = arrives {
            self.refused |= self.refuses(cycle - 1, self.value);
            self.words[(cycle - 1) as usize] = self.value;
        }
        if self.fetch == Some(0) {
            self.refused = false;
        }
        let reads = self.fetch.filter(|cycle| *cycle < FIELD_WORDS);
        if let Some(cycle) = reads {
            let words = self.design.config().program_words;
            self.value = self.memory[(self.address % words) as usize];
            let is_last = cycle == FIELD_WORDS - 1;
            if is_last {
                self.past = self.address >= words;
            }
            self.address += if is_last { PITCH - cycle } else { 1 };
            self.address %= 2 * words;
        }
        if self.rewind {
            self.address = self.first_address;
        }
        self.pending = (self.pending && !goes) || self.fetch == Some(FIELD_WORDS);
        self.fetch = match self.fetch {
            _ if begins => Some(0),
            Some(cycle) if cycle < FIELD_WORDS => Some(cycle + 1),
            _ => None,
        };
    }

    fn edge_state(&mut self, inputs: &SequencerInputs, go: Option<Go>) {
        let finished = match self.runs {
            Some(Go::Compute) => inputs.compute_finished,
            Some(Go::Pool) => inputs.pool_finished,
            Some(Go::Input) => inputs.input_finished,
            _ => false,
        };
        if finished {
            self.runs = None;
        }
        if let Some(go) = go.filter(|go| *go != Go::Weights) {
            self.runs = Some(go);
        }
    }

    /// What reset and a flush clear.
    fn clear(&mut self) {
        self.busy = false;
        self.done = false;
        self.rewind = false;
        self.fetch = None;
        self.pending = false;
        self.go = None;
        self.runs = None;
    }
}
