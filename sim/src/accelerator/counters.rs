//! The performance counters.

use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::config::COUNTERS;

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersInputs {
    /// `reset`.
    pub reset: bool,
    /// `counting`.
    pub counting: bool,
    /// `layer`.
    pub layer: u32,
    /// `state_compute`.
    pub state_compute: bool,
    /// `state_pool`.
    pub state_pool: bool,
    /// `state_input`.
    pub state_input: bool,
    /// `state_weights`.
    pub state_weights: bool,
    /// `weights_busy`.
    pub weights_busy: bool,
    /// `operand_valid`.
    pub operand_valid: bool,
    /// `waiting`.
    pub waiting: bool,
    /// `drain_stall`.
    pub drain_stall: bool,
    /// `output_stall`.
    pub output_stall: bool,
    /// `counter_clear`.
    pub clear: bool,
    /// `counter_address`.
    pub address: u32,
}

impl CountersInputs {
    /// The cause that this cycle counts for.
    fn cause(&self) -> u32 {
        if self.state_weights && self.weights_busy {
            return 3;
        }
        if self.state_input {
            return 4;
        }
        if self.state_pool {
            return 6;
        }
        match (self.output_stall, self.drain_stall) {
            _ if !self.state_compute => 5,
            (true, _) => 7,
            (_, true) => 2,
            _ if self.operand_valid => 0,
            _ if self.waiting => 1,
            _ => 5,
        }
    }
}

/// One counter of 32 bits for each layer and cause.
#[derive(Clone, Debug)]
pub struct CountersModel {
    counts: Vec<u32>,
    /// The place that is read, and the one that is written.
    reads: Option<u32>,
    writes: Option<u32>,
    /// The place that a clear has come to.
    clears: Option<u32>,
    erases: Option<u32>,
    value: u32,
}

impl CountersModel {
    /// The counters after reset, all 0. (In hardware they hold anything until they are cleared.)
    pub fn new(design: &AcceleratorDesign) -> Self {
        CountersModel {
            counts: vec![0; (COUNTERS * design.config().layers) as usize],
            reads: None,
            writes: None,
            clears: None,
            erases: None,
            value: 0,
        }
    }

    /// `counter_value` and `counter_clearing` in this cycle.
    pub fn outputs(&self) -> (u32, bool) {
        (self.value, self.clears.is_some())
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &CountersInputs) {
        self.value = self.counts[inputs.address as usize];
        if let Some(place) = self.erases {
            self.counts[place as usize] = 0;
        } else if let Some(place) = self.writes {
            let count = &mut self.counts[place as usize];
            *count = count.wrapping_add(1);
        }
        self.writes = self.reads.filter(|_| !inputs.reset);
        self.erases = self.clears.filter(|_| !inputs.reset);
        let counts = inputs.counting && !inputs.clear && self.clears.is_none();
        let place = inputs.layer * COUNTERS + inputs.cause();
        self.reads = Some(place).filter(|_| counts && !inputs.reset);
        self.clears = match self.clears {
            _ if inputs.reset => None,
            _ if inputs.clear => Some(0),
            Some(place) if place + 1 < self.counts.len() as u32 => Some(place + 1),
            _ => None,
        };
    }
}
