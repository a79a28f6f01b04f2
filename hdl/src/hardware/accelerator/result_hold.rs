//! One transfer of the result stream, held until it is taken.

use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::RESULT_BITS;
use crate::rtl::prelude::*;

/// A register at the result stream's port that an error or a soft reset does not clear: AXI4-Stream lets no transfer
/// that was offered be taken back.
///
/// `in_ready` follows `out_ready` in the same cycle, so that a transfer can pass in every cycle; what stands before it
/// only samples `in_ready`.
#[derive(Clone, Debug, LogicBlock)]
pub struct ResultHold {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// A transfer is offered.
    pub in_valid: Net<In>,
    /// It is taken.
    pub in_ready: Net<Out>,
    /// Its values.
    pub in_data: Vec<Net<In>>,
    /// Which of them are valid.
    pub in_keep: Vec<Net<In>>,
    /// It ends a packet.
    pub in_last: Net<In>,
    /// A transfer is there.
    pub out_valid: Net<Out>,
    /// It is taken.
    pub out_ready: Net<In>,
    /// Its values.
    pub out_data: Vec<Net<Out>>,
    /// Which of their bytes are valid.
    pub out_keep: Vec<Net<Out>>,
    /// It ends a packet.
    pub out_last: Net<Out>,
    full: EnabledResetRegister,
    data: Vec<EnabledRegister>,
    keep: Vec<EnabledRegister>,
    last: EnabledRegister,
    free: Net<Local>,
    all_bytes: Constant,
    no_byte: Constant,
    _values: usize,
}

impl ResultHold {
    /// The register of a design's result stream.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let (values, bytes) = (design.config().drain_columns, RESULT_BITS / 8);
        ResultHold {
            shape: Shape::new(
                format!("result_hold_e{values}"),
                "Holds a transfer of the result stream until it is taken.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            in_valid: Net::new(1),
            in_ready: Net::new(1),
            in_data: Net::vector(values, RESULT_BITS),
            in_keep: Net::vector(values, 1),
            in_last: Net::new(1),
            out_valid: Net::new(1),
            out_ready: Net::new(1),
            out_data: Net::vector(values, RESULT_BITS),
            out_keep: Net::vector(values, bytes),
            out_last: Net::new(1),
            full: EnabledResetRegister::new(1),
            data: EnabledRegister::vector(values, RESULT_BITS),
            keep: EnabledRegister::vector(values, 1),
            last: EnabledRegister::new(1),
            free: Net::new(1),
            all_bytes: Constant::new(bytes, (1 << bytes) - 1),
            no_byte: Constant::new(bytes, 0),
            _values: values as usize,
        }
    }
}

impl Logic for ResultHold {
    #[hdl_gen]
    fn update(&mut self) {
        self.free.next = (!self.full.q.val()) | self.out_ready.val();
        self.in_ready.next = self.free.val();
        self.full.clock.next = self.clock.val();
        self.full.reset.next = self.reset.val();
        self.full.enable.next = self.free.val();
        self.full.d.next = self.in_valid.val();
        self.last.clock.next = self.clock.val();
        self.last.enable.next = self.free.val();
        self.last.d.next = self.in_last.val();
        self.out_valid.next = self.full.q.val();
        for e in 0..self._values {
            self.data[e].clock.next = self.clock.val();
            self.data[e].enable.next = self.free.val();
            self.data[e].d.next = self.in_data[e].val();
            self.out_data[e].next = self.data[e].q.val();
            self.keep[e].clock.next = self.clock.val();
            self.keep[e].enable.next = self.free.val();
            self.keep[e].d.next = self.in_keep[e].val();
            if self.keep[e].q.val().any() {
                self.out_keep[e].next = self.all_bytes.val();
            } else {
                self.out_keep[e].next = self.no_byte.val();
            }
        }
        self.out_last.next = self.last.q.val();
    }
}
