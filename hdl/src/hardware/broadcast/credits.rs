//! Credits for rows that are under way between the drain and the buffer behind it.

use crate::rtl::prelude::*;

/// Counts what is under way: `take` puts one more there (only with `credit`), `give` says that one has left. The count is
/// a bar of ones, so that `credit` is a register.
#[derive(Clone, Debug, LogicBlock)]
pub struct Credits {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Nothing is under way.
    pub reset: Net<In>,
    /// One more is under way.
    pub take: Net<In>,
    /// One has left.
    pub give: Net<In>,
    /// One may be taken; a function of registers.
    pub credit: Net<Out>,
    /// Something is under way; a function of registers.
    pub some: Net<Out>,
    used: EnabledResetRegister,
    one_place: Constant,
    top_place: Constant,
    lowest: Constant,
    _one: usize,
}

impl Credits {
    /// `count` credits, at least 2.
    pub fn new(count: u32) -> Self {
        Credits {
            shape: Shape::new(
                format!("credits_n{count}"),
                "Credits for what is under way to a buffer.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            take: Net::new(1),
            give: Net::new(1),
            credit: Net::partly_unused(1, "a buffer behind credits has room"),
            some: Net::partly_unused(1, "only a buffer asks"),
            used: EnabledResetRegister::new(count),
            one_place: Constant::new(32, 1),
            top_place: Constant::new(32, (count - 1).into()),
            lowest: Constant::new(count, 1),
            _one: 1,
        }
    }
}

impl Logic for Credits {
    #[hdl_gen]
    fn update(&mut self) {
        self.used.clock.next = self.clock.val();
        self.used.reset.next = self.reset.val();
        self.used.enable.next = self.take.val() ^ self.give.val();
        if self.take.val().any() {
            self.used.d.next = (self.used.q.val() << self.one_place.val()) | self.lowest.val();
        } else {
            self.used.d.next = self.used.q.val() >> self.one_place.val();
        }
        self.some.next = bits_resize(self.used.q.val(), self._one);
        self.credit.next = !(bits_resize(self.used.q.val() >> self.top_place.val(), self._one));
    }
}
