//! The registers of the AXI4-Lite port.

use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::config::COUNTERS;
use xnorforge_hdl::regmap::{REGISTERS, register};

/// OKAY: the access is done.
pub const RESPONSE_OKAY: u8 = 0b00;
/// SLVERR: it is refused.
pub const RESPONSE_ERROR: u8 = 0b10;
/// `wstrb` of a write of all four bytes.
const WHOLE: u8 = 0b1111;

/// The inputs of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AxiLiteInputs {
    /// `reset`.
    pub reset: bool,
    /// The address on the write-address channel, if one is offered.
    pub write_address: Option<u32>,
    /// Data and strobes on the write-data channel, if some are offered.
    pub write_data: Option<(u32, u8)>,
    /// `bready`.
    pub bready: bool,
    /// The address on the read-address channel, if one is offered.
    pub read_address: Option<u32>,
    /// `rready`.
    pub rready: bool,
    /// The core is busy.
    pub busy: bool,
    /// It has finished a program in this cycle.
    pub done: bool,
    /// Its error code.
    pub error: u8,
    /// The layer at hand.
    pub layer: u8,
    /// It clears its counters.
    pub counter_clearing: bool,
    /// The counter that it shows.
    pub counter_value: u32,
}

/// The outputs that stand during one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AxiLiteOutputs {
    /// `awready`.
    pub awready: bool,
    /// `wready`.
    pub wready: bool,
    /// `bresp`, where `bvalid`.
    pub write_response: Option<u8>,
    /// `arready`.
    pub arready: bool,
    /// `rdata` and `rresp`, where `rvalid`.
    pub read_response: Option<(u32, u8)>,
    /// `irq`.
    pub irq: bool,
    /// `start`.
    pub start: bool,
    /// `soft_reset`.
    pub soft_reset: bool,
    /// `counter_clear`.
    pub counter_clear: bool,
    /// `start_address`.
    pub start_address: u32,
    /// `runs`.
    pub runs: u16,
    /// `counter_address`.
    pub counter_address: u32,
}

/// A transfer of the result stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultTransfer {
    /// One value for each drained column.
    pub values: Vec<u32>,
    /// Which of them are valid.
    pub keep: Vec<bool>,
    /// `last`: it ends a packet.
    pub last: bool,
}

/// The block `ResultHold`, cycle by cycle.
#[derive(Clone, Debug, Default)]
pub struct ResultHoldModel {
    held: Option<ResultTransfer>,
}

impl ResultHoldModel {
    /// Nothing is held.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is offered at the port in this cycle.
    pub fn offered(&self) -> Option<&ResultTransfer> {
        self.held.as_ref()
    }

    /// `in_ready`, which follows `out_ready`.
    pub fn in_ready(&self, out_ready: bool) -> bool {
        self.held.is_none() || out_ready
    }

    /// One clock edge: `transfer` is what the core offers.
    pub fn edge(&mut self, reset: bool, transfer: Option<&ResultTransfer>, out_ready: bool) {
        if reset {
            self.held = None;
        } else if self.in_ready(out_ready) {
            self.held = transfer.cloned();
        }
    }
}

/// What a word of the address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Constant(u32),
    Control,
    Status,
    StartAddress,
    Runs,
    InterruptEnable,
    InterruptStatus,
    BusError,
    CounterSelect,
    CounterValue,
}

fn place(name: &str) -> Place {
    match name {
        "control" => Place::Control,
        "status" => Place::Status,
        "start_address" => Place::StartAddress,
        "runs" => Place::Runs,
        "interrupt_enable" => Place::InterruptEnable,
        "interrupt_status" => Place::InterruptStatus,
        "bus_error" => Place::BusError,
        "counter_select" => Place::CounterSelect,
        "counter_value" => Place::CounterValue,
        _ => unreachable!("every register of the map that is no constant is listed above"),
    }
}

/// What is fixed when a model is made.
#[derive(Debug)]
struct Map {
    /// What stands at each word address.
    places: Vec<(u32, Place)>,
    start_address_mask: u32,
    select_mask: u32,
}

/// The block `AxiLite`, cycle by cycle.
#[derive(Clone, Debug)]
pub struct AxiLiteModel {
    map: Arc<Map>,
    registers: Registers,
}

#[derive(Clone, Copy, Debug)]
struct Registers {
    address: Option<u32>,
    data: Option<(u32, u8)>,
    write_response: Option<u8>,
    read_address: Option<u32>,
    read_response: Option<(u32, u8)>,
    start: bool,
    soft_reset: bool,
    counter_clear: bool,
    start_address: u32,
    runs: u16,
    counter_select: u32,
    interrupt_enable: u32,
    interrupt_status: u32,
    has_ended: bool,
    had_error: bool,
    irq: bool,
    bus_error: u32,
}

impl Registers {
    fn new() -> Self {
        Registers {
            address: None,
            data: None,
            write_response: None,
            read_address: None,
            read_response: None,
            start: false,
            soft_reset: false,
            counter_clear: false,
            start_address: 0,
            runs: 1,
            counter_select: 0,
            interrupt_enable: 0,
            interrupt_status: 0,
            has_ended: false,
            had_error: false,
            irq: false,
            bus_error: 0,
        }
    }
}

/// The one-bit mask of a field.
fn bit(name: &str, field: &str) -> u32 {
    register(name).field(field).mask()
}

impl AxiLiteModel {
    /// The registers of a design, after reset.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let places = REGISTERS.iter().map(|r| {
            let constant = r.constant.map(|value| Place::Constant(value(design)));
            (r.word(), constant.unwrap_or_else(|| place(r.name)))
        });
        let c = design.config();
        AxiLiteModel {
            map: Arc::new(Map {
                places: places.collect(),
                start_address_mask: c.program_words - 1,
                select_mask: c.layers * COUNTERS - 1,
            }),
            registers: Registers::new(),
        }
    }

    /// What stands in this cycle.
    pub fn outputs(&self) -> AxiLiteOutputs {
        let r = &self.registers;
        AxiLiteOutputs {
            awready: r.address.is_none(),
            wready: r.data.is_none(),
            write_response: r.write_response,
            arready: r.read_address.is_none(),
            read_response: r.read_response,
            irq: r.irq,
            start: r.start,
            soft_reset: r.soft_reset,
            counter_clear: r.counter_clear,
            start_address: r.start_address,
            runs: r.runs,
            counter_address: r.counter_select,
        }
    }

    /// One clock edge.
    pub fn edge(&mut self, inputs: &AxiLiteInputs) {
        if inputs.reset {
            self.registers = Registers::new();
            return;
        }
        let now = self.registers;
        self.take(&now, inputs);
        self.carry_out_write(&now, inputs);
        self.carry_out_read(&now, inputs);
        // Last, so that what happens stays where it is cleared in the same cycle.
        self.events(&now, inputs);
    }

    /// The handshakes of the five channels; pulses end.
    fn take(&mut self, now: &Registers, inputs: &AxiLiteInputs) {
        let next = &mut self.registers;
        (next.start, next.soft_reset, next.counter_clear) = (false, false, false);
        if now.address.is_none() {
            next.address = inputs.write_address;
        }
        if now.data.is_none() {
            next.data = inputs.write_data;
        }
        if now.read_address.is_none() {
            next.read_address = inputs.read_address;
        }
        if inputs.bready {
            next.write_response = None;
        }
        if inputs.rready {
            next.read_response = None;
        }
    }

    /// What the core reports.
    fn events(&mut self, now: &Registers, inputs: &AxiLiteInputs) {
        let next = &mut self.registers;
        next.irq = now.interrupt_status & now.interrupt_enable != 0;
        next.had_error = inputs.error != 0;
        if inputs.done {
            next.has_ended = true;
            next.interrupt_status |= bit("interrupt_status", "done");
        }
        if inputs.error != 0 && !now.had_error {
            next.interrupt_status |= bit("interrupt_status", "error");
        }
    }

    fn carry_out_write(&mut self, now: &Registers, inputs: &AxiLiteInputs) {
        let (Some(address), Some((data, strobes)), None) =
            (now.address, now.data, now.write_response)
        else {
            return;
        };
        let place = self.place(address);
        let next = &mut self.registers;
        (next.address, next.data) = (None, None);
        let busy = inputs.busy || inputs.counter_clearing || now.start || now.counter_clear;
        let (start, clear) = (bit("control", "start"), bit("control", "counter_clear"));
        let faults = [
            (
                "write_address",
                matches!(
                    place,
                    None | Some(Place::Constant(_) | Place::Status | Place::CounterValue)
                ),
            ),
            ("write_strobe", strobes != WHOLE),
            (
                "write_locked",
                busy && match place {
                    Some(Place::StartAddress | Place::Runs) => true,
                    Some(Place::Control) => data & (start | clear) != 0,
                    _ => false,
                },
            ),
        ];
        let mut response = RESPONSE_OKAY;
        for (name, _) in faults.iter().filter(|(_, is_wrong)| *is_wrong) {
            response = RESPONSE_ERROR;
            next.bus_error |= bit("bus_error", name);
        }
        next.write_response = Some(response);
        if response == RESPONSE_OKAY
            && let Some(place) = place
        {
            self.write(place, data);
        }
    }

    fn write(&mut self, place: Place, data: u32) {
        let next = &mut self.registers;
        match place {
            Place::Control => {
                next.start = data & bit("control", "start") != 0;
                next.soft_reset = data & bit("control", "soft_reset") != 0;
                next.counter_clear = data & bit("control", "counter_clear") != 0;
                next.has_ended &= !next.start;
            }
            Place::StartAddress => next.start_address = data & self.map.start_address_mask,
            Place::Runs => next.runs = data as u16,
            Place::InterruptEnable => next.interrupt_enable = data & 0b11,
            Place::InterruptStatus => next.interrupt_status &= !data,
            Place::BusError => next.bus_error &= !data,
            Place::CounterSelect => next.counter_select = data & self.map.select_mask,
            Place::Constant(_) | Place::Status | Place::CounterValue => {}
        }
    }

    fn carry_out_read(&mut self, now: &Registers, inputs: &AxiLiteInputs) {
        let (Some(address), None) = (now.read_address, now.read_response) else {
            return;
        };
        self.registers.read_address = None;
        self.registers.read_response = Some(match self.place(address) {
            Some(place) => (self.read(place, now, inputs), RESPONSE_OKAY),
            None => {
                self.registers.bus_error |= bit("bus_error", "read_address");
                (0, RESPONSE_ERROR)
            }
        });
    }

    fn read(&self, place: Place, now: &Registers, inputs: &AxiLiteInputs) -> u32 {
        match place {
            Place::Constant(value) => value,
            Place::Control => 0,
            Place::Status => [
                ("busy", u32::from(inputs.busy || now.start)),
                ("done", u32::from(now.has_ended || inputs.done)),
                (
                    "clearing",
                    u32::from(inputs.counter_clearing || now.counter_clear),
                ),
                ("error", inputs.error.into()),
                ("layer", inputs.layer.into()),
            ]
            .iter()
            .map(|(name, value)| value << register("status").field(name).low)
            .sum(),
            Place::StartAddress => now.start_address,
            Place::Runs => now.runs.into(),
            Place::InterruptEnable => now.interrupt_enable,
            Place::InterruptStatus => now.interrupt_status,
            Place::BusError => now.bus_error,
            Place::CounterSelect => now.counter_select,
            Place::CounterValue => inputs.counter_value,
        }
    }

    /// What stands at a byte address.
    fn place(&self, address: u32) -> Option<Place> {
        let found = self
            .map
            .places
            .iter()
            .find(|(word, _)| *word == address / 4);
        found.map(|(_, place)| *place)
    }
}
