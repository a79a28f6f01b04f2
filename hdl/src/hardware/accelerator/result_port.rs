//! The result stream's end of the accelerator.

use crate::accelerator::AcceleratorDesign;
use crate::accelerator::config::RESULT_BITS;
use crate::rtl::prelude::*;

/// One value of a transfer, twice.
#[derive(Clone, Debug, LogicBlock)]
pub struct ResultLane {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The value in front is replaced.
    pub main_ready: Net<In>,
    /// The value behind is replaced.
    pub room: Net<In>,
    /// The value behind moves to the front.
    pub spilled: Net<In>,
    /// The value offered is valid.
    pub in_keep: Net<In>,
    /// It.
    pub in_value: Net<In>,
    /// The value in front is valid.
    pub out_keep: Net<Out>,
    /// It, as wide as the stream.
    pub out_value: Net<Out>,
    main_keep: EnabledRegister,
    main_value: EnabledRegister,
    spill_keep: EnabledRegister,
    spill_value: EnabledRegister,
    sign: Net<Local>,
    top: Constant,
    zero: Constant,
    _one: usize,
    _wide: usize,
    _full: usize,
    _stream_width: usize,
}

impl ResultLane {
    /// A lane of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let width = d.stream_value_width();
        ResultLane {
            shape: Shape::new(
                format!("result_lane_w{width}"),
                "One value of a transfer of results, twice.",
            ),
            clock: Signal::default(),
            main_ready: Net::new(1),
            room: Net::new(1),
            spilled: Net::new(1),
            in_keep: Net::new(1),
            in_value: Net::new(width),
            out_keep: Net::new(1),
            out_value: Net::new(RESULT_BITS),
            main_keep: EnabledRegister::new(1),
            main_value: EnabledRegister::new(width),
            spill_keep: EnabledRegister::new(1),
            spill_value: EnabledRegister::new(width),
            sign: Net::new(1),
            top: Constant::new(32, (width - 1).into()),
            zero: Constant::new(1, 0),
            _one: 1,
            _wide: usize::from(width < RESULT_BITS),
            _full: usize::from(width == RESULT_BITS),
            _stream_width: RESULT_BITS as usize,
        }
    }
}

impl Logic for ResultLane {
    #[hdl_gen]
    fn update(&mut self) {
        self.main_keep.clock.next = self.clock.val();
        self.main_keep.enable.next = self.main_ready.val();
        self.main_value.clock.next = self.clock.val();
        self.main_value.enable.next = self.main_ready.val();
        self.spill_keep.clock.next = self.clock.val();
        self.spill_keep.enable.next = self.room.val();
        self.spill_keep.d.next = self.in_keep.val();
        self.spill_value.clock.next = self.clock.val();
        self.spill_value.enable.next = self.room.val();
        self.spill_value.d.next = self.in_value.val();
        if self.spilled.val().any() {
            self.main_keep.d.next = self.spill_keep.q.val();
            self.main_value.d.next = self.spill_value.q.val();
        } else {
            self.main_keep.d.next = self.in_keep.val();
            self.main_value.d.next = self.in_value.val();
        }
        self.out_keep.next = self.main_keep.q.val();
        for _i in 0..self._wide {
            self.sign.next = bits_resize(self.main_value.q.val() >> self.top.val(), self._one);
            if self.sign.val().any() {
                self.out_value.next = (!(bits_resize(self.zero.val(), self._stream_width))
                    << self.top.val())
                    | bits_resize(self.main_value.q.val(), self._stream_width);
            } else {
                self.out_value.next = bits_resize(self.main_value.q.val(), self._stream_width);
            }
        }
        for _i in 0..self._full {
            self.sign.next = self.zero.val();
            self.out_value.next = bits_resize(self.main_value.q.val(), self._stream_width);
        }
    }
}

/// A two-deep buffer: takes one transfer a cycle for as long as `in_ready`, a register, allows; holds one more when the
/// stream is not ready.
#[derive(Clone, Debug, LogicBlock)]
pub struct ResultPort {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties it.
    pub reset: Net<In>,
    /// A transfer is offered.
    pub in_valid: Net<In>,
    /// It is the last one.
    pub in_last: Net<In>,
    /// Which of its values are valid.
    pub in_keep: Vec<Net<In>>,
    /// Its values, two's complement.
    pub in_value: Vec<Net<In>>,
    /// The stream takes what stands.
    pub out_ready: Net<In>,
    /// There is room.
    pub in_ready: Net<Out>,
    /// A transfer stands.
    pub out_valid: Net<Out>,
    /// It is the last one.
    pub out_last: Net<Out>,
    /// Which of its values are valid.
    pub out_keep: Vec<Net<Out>>,
    /// Its values, as wide as the stream.
    pub out_value: Vec<Net<Out>>,
    main_valid: EnabledResetRegister,
    main_last: EnabledRegister,
    lane: Vec<ResultLane>,
    spill_valid: ResetRegister,
    spill_last: EnabledRegister,
    /// Not `spill_valid`, but for the cycle after reset: as a register it enables all that waits for it without an
    /// inverter.
    room: ResetRegister,
    order: Assertion,
    place: Assertion,
    main_ready: Net<Local>,
    some_valid: Net<Local>,
    spills: Net<Local>,
    _lanes: usize,
}

impl ResultPort {
    /// The port of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let (lanes, width) = (d.config().drain_columns, d.stream_value_width());
        ResultPort {
            shape: Shape::new(
                format!("result_port_e{lanes}_w{width}"),
                "Two-deep buffer at the result stream; in_ready is a register.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            in_valid: Net::new(1),
            in_last: Net::new(1),
            in_keep: Net::vector(lanes, 1),
            in_value: Net::vector(lanes, width),
            out_ready: Net::new(1),
            in_ready: Net::new(1),
            out_valid: Net::new(1),
            out_last: Net::new(1),
            out_keep: Net::vector(lanes, 1),
            out_value: Net::vector(lanes, RESULT_BITS),
            main_valid: EnabledResetRegister::new(1),
            main_last: EnabledRegister::new(1),
            lane: (0..lanes).map(|_| ResultLane::new(d)).collect(),
            spill_valid: ResetRegister::new(1),
            spill_last: EnabledRegister::new(1),
            room: ResetRegister::new(1),
            order: Assertion::new("spill_behind_main"),
            place: Assertion::new("offer_after_reset"),
            main_ready: Net::new(1),
            some_valid: Net::new(1),
            spills: Net::new(1),
            _lanes: lanes as usize,
        }
    }
}

impl Logic for ResultPort {
    #[hdl_gen]
    fn update(&mut self) {
        self.main_ready.next = (!self.main_valid.q.val()) | self.out_ready.val();
        self.some_valid.next = self.spill_valid.q.val() | self.in_valid.val();

        self.main_valid.clock.next = self.clock.val();
        self.main_valid.reset.next = self.reset.val();
        self.main_valid.enable.next = self.main_ready.val();
        self.main_valid.d.next = self.some_valid.val();
        self.spill_valid.clock.next = self.clock.val();
        self.spill_valid.reset.next = self.reset.val();
        self.spills.next = self.some_valid.val() & (!self.main_ready.val());
        self.spill_valid.d.next = self.spills.val();
        self.room.clock.next = self.clock.val();
        self.room.reset.next = self.reset.val();
        self.room.d.next = !self.spills.val();

        self.main_last.clock.next = self.clock.val();
        self.main_last.enable.next = self.main_ready.val();
        self.spill_last.clock.next = self.clock.val();
        self.spill_last.enable.next = self.room.q.val();
        self.spill_last.d.next = self.in_last.val();
        if self.spill_valid.q.val().any() {
            self.main_last.d.next = self.spill_last.q.val();
        } else {
            self.main_last.d.next = self.in_last.val();
        }
        for e in 0..self._lanes {
            self.lane[e].clock.next = self.clock.val();
            self.lane[e].main_ready.next = self.main_ready.val();
            self.lane[e].room.next = self.room.q.val();
            self.lane[e].spilled.next = self.spill_valid.q.val();
            self.lane[e].in_keep.next = self.in_keep[e].val();
            self.lane[e].in_value.next = self.in_value[e].val();
            self.out_keep[e].next = self.lane[e].out_keep.val();
            self.out_value[e].next = self.lane[e].out_value.val();
        }
        self.in_ready.next = self.room.q.val();
        self.out_valid.next = self.main_valid.q.val();
        self.out_last.next = self.main_last.q.val();

        self.order.clock.next = self.clock.val();
        self.order.start.next = self.reset.val();
        self.order.fails.next = self.spill_valid.q.val() & (!self.main_valid.q.val());
        // In the cycle after reset a transfer would be taken without `in_ready`, and so twice.
        self.place.clock.next = self.clock.val();
        self.place.start.next = self.reset.val();
        self.place.fails.next =
            (self.in_valid.val() & (!self.room.q.val())) & (!self.spill_valid.q.val());
    }
}
