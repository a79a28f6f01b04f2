//! A two-deep buffer that keeps the result port's ready out of the array's timing.

use crate::config::Design;
use crate::rtl::prelude::*;

/// Takes one row of results a cycle for as long as `in_ready`, a register, allows; holds one more when the port
/// is not taken.
#[derive(Clone, Debug, LogicBlock)]
pub struct SkidBuffer {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// A row is offered.
    pub in_valid: Net<In>,
    /// It is its tile's last.
    pub in_last: Net<In>,
    /// Its results.
    pub in_value: Vec<Net<In>>,
    /// Whoever reads takes the row.
    pub out_ready: Net<In>,
    /// There is room.
    pub in_ready: Net<Out>,
    /// A row is there.
    pub out_valid: Net<Out>,
    /// It is its tile's last.
    pub out_last: Net<Out>,
    /// Its results.
    pub out_value: Vec<Net<Out>>,
    main_valid: EnabledResetRegister,
    main_last: EnabledRegister,
    main_value: Vec<EnabledRegister>,
    spill_valid: ResetRegister,
    spill_last: EnabledRegister,
    spill_value: Vec<EnabledRegister>,
    order: Assertion,
    main_ready: Net<Local>,
    some_valid: Net<Local>,
    room: Net<Local>,
    _columns: usize,
}

impl SkidBuffer {
    /// The buffer of a design's result port.
    pub fn new(design: &Design) -> Self {
        let (columns, width) = (design.config().columns, design.result_width);
        SkidBuffer {
            shape: Shape::new(
                format!("skid_buffer_c{columns}_w{width}"),
                "Two-deep buffer at the result port; in_ready is a register.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            in_valid: Net::new(1),
            in_last: Net::new(1),
            in_value: Net::vector(columns, width),
            out_ready: Net::new(1),
            in_ready: Net::new(1),
            out_valid: Net::new(1),
            out_last: Net::new(1),
            out_value: Net::vector(columns, width),
            main_valid: EnabledResetRegister::new(1),
            main_last: EnabledRegister::new(1),
            main_value: EnabledRegister::vector(columns, width),
            spill_valid: ResetRegister::new(1),
            spill_last: EnabledRegister::new(1),
            spill_value: EnabledRegister::vector(columns, width),
            order: Assertion::new("spill_behind_main"),
            main_ready: Net::new(1),
            some_valid: Net::new(1),
            room: Net::new(1),
            _columns: columns as usize,
        }
    }
}

impl Logic for SkidBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        self.room.next = !self.spill_valid.q.val();
        self.main_ready.next = (!self.main_valid.q.val()) | self.out_ready.val();
        self.some_valid.next = self.spill_valid.q.val() | self.in_valid.val();

        self.main_valid.clock.next = self.clock.val();
        self.main_valid.reset.next = self.reset.val();
        self.main_valid.enable.next = self.main_ready.val();
        self.main_valid.d.next = self.some_valid.val();
        self.spill_valid.clock.next = self.clock.val();
        self.spill_valid.reset.next = self.reset.val();
        self.spill_valid.d.next = self.some_valid.val() & (!self.main_ready.val());

        self.main_last.clock.next = self.clock.val();
        self.main_last.enable.next = self.main_ready.val();
        self.spill_last.clock.next = self.clock.val();
        self.spill_last.enable.next = self.room.val();
        self.spill_last.d.next = self.in_last.val();
        if self.spill_valid.q.val().any() {
            self.main_last.d.next = self.spill_last.q.val();
        } else {
            self.main_last.d.next = self.in_last.val();
        }
        for c in 0..self._columns {
            self.main_value[c].clock.next = self.clock.val();
            self.main_value[c].enable.next = self.main_ready.val();
            self.spill_value[c].clock.next = self.clock.val();
            self.spill_value[c].enable.next = self.room.val();
            self.spill_value[c].d.next = self.in_value[c].val();
            if self.spill_valid.q.val().any() {
                self.main_value[c].d.next = self.spill_value[c].q.val();
            } else {
                self.main_value[c].d.next = self.in_value[c].val();
            }
            self.out_value[c].next = self.main_value[c].q.val();
        }
        self.in_ready.next = self.room.val();
        self.out_valid.next = self.main_valid.q.val();
        self.out_last.next = self.main_last.q.val();

        self.order.clock.next = self.clock.val();
        self.order.start.next = self.reset.val();
        self.order.fails.next = self.spill_valid.q.val() & (!self.main_valid.q.val());
    }
}
