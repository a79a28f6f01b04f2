//! Which channel's parameters a value needs.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Address of the parameters of the value in stage 4 of the epilogue: it counts the steps of a row, begins each row of a
/// tile again where the tile began, and each row tile at the base.
#[derive(Clone, Debug, LogicBlock)]
pub struct ChannelCounter {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A descriptor begins.
    pub go: Net<In>,
    /// Values leave stage 4.
    pub step: Net<In>,
    /// They are their row's last.
    pub row_end: Net<In>,
    /// They are their tile's last.
    pub tile_end: Net<In>,
    /// They are their row tile's last.
    pub column_end: Net<In>,
    /// Field of the descriptor.
    pub channel_base: Net<In>,
    /// The address; one bit wider than the memory's, to show that it lies past the end.
    pub channel: Net<Out>,
    present: EnabledRegister,
    tile: EnabledRegister,
    restarts: Net<Local>,
    before: Net<Local>,
    distance: Net<Local>,
    after: Net<Local>,
    none: Constant,
    one: Constant,
    _width: usize,
}

impl ChannelCounter {
    /// The counter of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let width = d.channel_address_width + 1;
        ChannelCounter {
            shape: Shape::new(
                "channel_counter",
                "Address of the parameters of the value in stage 4 of the epilogue.",
            ),
            clock: Signal::default(),
            go: Net::new(1),
            step: Net::new(1),
            row_end: Net::new(1),
            tile_end: Net::new(1),
            column_end: Net::new(1),
            channel_base: Net::new(Field::ChannelBase.width(d)),
            channel: Net::new(width),
            present: EnabledRegister::new(width),
            tile: EnabledRegister::new(width),
            restarts: Net::new(1),
            before: Net::new(width),
            distance: Net::new(width),
            after: Net::new(width),
            none: Constant::new(width, 0),
            one: Constant::new(width, 1),
            _width: width as usize,
        }
    }
}

impl Logic for ChannelCounter {
    #[hdl_gen]
    fn update(&mut self) {
        self.restarts.next = self.go.val() | self.column_end.val();
        if self.restarts.val().any() {
            self.before.next = bits_resize(self.channel_base.val(), self._width);
            self.distance.next = self.none.val();
        } else if (self.row_end.val() & (!self.tile_end.val())).any() {
            self.before.next = self.tile.q.val();
            self.distance.next = self.none.val();
        } else {
            self.before.next = self.present.q.val();
            self.distance.next = self.one.val();
        }
        self.after.next = self.before.val() + self.distance.val();
        self.present.clock.next = self.clock.val();
        self.present.enable.next = self.go.val() | self.step.val();
        self.present.d.next = self.after.val();
        self.tile.clock.next = self.clock.val();
        self.tile.enable.next = self.go.val() | (self.step.val() & self.tile_end.val());
        self.tile.d.next = self.after.val();
        self.channel.next = self.present.q.val();
    }
}
