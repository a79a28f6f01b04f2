//! Where the rows of a tile belong: their granule and their border class.

use super::RowMemory;
use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Walks the output pixels, ahead of the drain.
///
/// In a row tile's first column tile it walks on from pixel to pixel, and leaves each row's place in a memory; in
/// the following ones it takes the places from there: a granule further, and `C / E` constants further.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowWalker {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops it.
    pub reset: Net<In>,
    /// A descriptor begins.
    pub go: Net<In>,
    /// A tile enters the drain.
    pub load: Net<In>,
    /// Whoever reads takes a place if there is one.
    pub ready: Net<In>,
    /// Rows of the tile in the drain.
    pub tile_rows: Net<In>,
    /// It is of the last column tile.
    pub tile_last_column: Net<In>,
    /// Field of the descriptor.
    pub out_width: Net<In>,
    /// Field of the descriptor.
    pub out_height: Net<In>,
    /// Field of the descriptor.
    pub x_lead: Net<In>,
    /// Field of the descriptor.
    pub x_trail: Net<In>,
    /// Field of the descriptor.
    pub y_lead: Net<In>,
    /// Field of the descriptor.
    pub y_trail: Net<In>,
    /// Field of the descriptor.
    pub constant_base: Net<In>,
    /// Field of the descriptor.
    pub class_x_pitch: Net<In>,
    /// Field of the descriptor.
    pub class_y_pitch: Net<In>,
    /// Field of the descriptor.
    pub out_granule: Net<In>,
    /// Field of the descriptor.
    pub out_pixel: Net<In>,
    /// A place is given, and taken.
    pub gives: Net<Out>,
    /// The row's granule.
    pub granule: Net<Out>,
    /// Address of the row's first constant; one bit wider than the memory's, to show that it lies past the end.
    pub constant: Net<Out>,
    memory: RowMemory,
    /// No place of this descriptor has been given.
    restart: ResetRegister,
    /// The tile whose rows are given is the one in the drain; else it is the next one, of which only row 0 is known to
    /// exist.
    level: ResetRegister,
    /// Rows given of this tile.
    row: EnabledRegister,
    /// It is of the first column tile.
    first: EnabledRegister,
    /// Pixels given of this line: bit 0 inverted, so that a reset makes it 1.
    x_r: EnabledResetRegister,
    /// Lines begun of this image, held like it.
    y_r: EnabledResetRegister,
    past_x_lead: EnabledRegister,
    past_x_trail: EnabledRegister,
    past_y_lead: EnabledRegister,
    past_y_trail: EnabledRegister,
    /// Constant address of the pixel given last, and of its line.
    pixel_constant: EnabledRegister,
    line_constant: EnabledRegister,
    pixel_granule: EnabledResetRegister,
    clear: Net<Local>,
    takes: Net<Local>,
    wraps: Net<Local>,
    first_now: Net<Local>,
    walks: Net<Local>,
    new_line: Net<Local>,
    new_image: Net<Local>,
    at_x_trail: Net<Local>,
    at_y_trail: Net<Local>,
    x_rises: Net<Local>,
    y_rises: Net<Local>,
    row_before: Net<Local>,
    x: Net<Local>,
    y: Net<Local>,
    constant_before: Net<Local>,
    constant_step: Net<Local>,
    constant_now: Net<Local>,
    granule_before: Net<Local>,
    granule_step: Net<Local>,
    granule_now: Net<Local>,
    no_row: Constant,
    one_row: Constant,
    no_pixel: Constant,
    one_pixel: Constant,
    no_line: Constant,
    one_line: Constant,
    no_constant: Constant,
    row_constants: Constant,
    one_granule: Constant,
    zero: Constant,
    constant_bits: Constant,
    _entry_width: usize,
    _granule_width: usize,
    _constant_width: usize,
    _place_width: usize,
}

impl RowWalker {
    /// The walker of a design.
    pub fn new(d: &AcceleratorDesign) -> Self {
        let rows = d.design().config().rows;
        let field = |f: Field| Net::new(f.width(d));
        let counter = d.design().row_counter_width;
        let granule = d.granule_address_width;
        let constant = d.constant_address_width + 1;
        let memory = RowMemory::new(rows, granule + constant);
        let (x, y) = (Field::OutWidth.width(d), Field::OutHeight.width(d));
        RowWalker {
            shape: Shape::new(
                "row_walker",
                "Where the rows of a tile belong: their granule and their border class.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go: Net::new(1),
            load: Net::new(1),
            ready: Net::new(1),
            tile_rows: Net::new(counter),
            tile_last_column: Net::new(1),
            out_width: field(Field::OutWidth),
            out_height: field(Field::OutHeight),
            x_lead: field(Field::XLead),
            x_trail: field(Field::XTrail),
            y_lead: field(Field::YLead),
            y_trail: field(Field::YTrail),
            constant_base: field(Field::ConstantBase),
            class_x_pitch: field(Field::ClassXPitch),
            class_y_pitch: field(Field::ClassYPitch),
            out_granule: field(Field::OutGranule),
            out_pixel: field(Field::OutPixel),
            gives: Net::new(1),
            granule: Net::new(granule),
            constant: Net::new(constant),
            _entry_width: memory.entry.val().bits(),
            memory,
            restart: ResetRegister::new(1),
            level: ResetRegister::new(1),
            row: EnabledRegister::new(counter),
            first: EnabledRegister::new(1),
            x_r: EnabledResetRegister::new(x),
            y_r: EnabledResetRegister::new(y),
            past_x_lead: EnabledRegister::new(1),
            past_x_trail: EnabledRegister::new(1),
            past_y_lead: EnabledRegister::new(1),
            past_y_trail: EnabledRegister::new(1),
            pixel_constant: EnabledRegister::new(constant),
            line_constant: EnabledRegister::new(constant),
            pixel_granule: EnabledResetRegister::new(granule),
            clear: Net::new(1),
            takes: Net::new(1),
            wraps: Net::new(1),
            first_now: Net::new(1),
            walks: Net::new(1),
            new_line: Net::new(1),
            new_image: Net::new(1),
            at_x_trail: Net::new(1),
            at_y_trail: Net::new(1),
            x_rises: Net::new(1),
            y_rises: Net::new(1),
            row_before: Net::new(counter),
            x: Net::new(x),
            y: Net::new(y),
            constant_before: Net::new(constant),
            constant_step: Net::new(constant),
            constant_now: Net::new(constant),
            granule_before: Net::new(granule),
            granule_step: Net::new(granule),
            granule_now: Net::new(granule),
            no_row: Constant::new(counter, 0),
            one_row: Constant::new(counter, 1),
            no_pixel: Constant::new(x, 0),
            one_pixel: Constant::new(x, 1),
            no_line: Constant::new(y, 0),
            one_line: Constant::new(y, 1),
            no_constant: Constant::new(constant, 0),
            row_constants: Constant::new(
                constant,
                u64::from(d.drain_steps) & ((1 << constant) - 1),
            ),
            one_granule: Constant::new(granule, 1),
            zero: Constant::new(1, 0),
            constant_bits: Constant::new(32, constant.into()),
            _granule_width: granule as usize,
            _constant_width: constant as usize,
            _place_width: (granule + constant) as usize,
        }
    }
}

impl Logic for RowWalker {
    #[hdl_gen]
    fn update(&mut self) {
        self.clear.next = self.reset.val() | self.go.val();
        self.takes.next = self.ready.val() & (self.restart.q.val() | self.level.q.val());
        if self.row.q.val() == self.tile_rows.val() {
            self.wraps.next = !self.zero.val();
        } else {
            self.wraps.next = self.restart.q.val();
        }
        if self.wraps.val().any() {
            self.first_now.next = self.restart.q.val() | self.tile_last_column.val();
            self.row_before.next = self.no_row.val();
        } else {
            self.first_now.next = self.first.q.val();
            self.row_before.next = self.row.q.val();
        }
        self.walks.next = self.takes.val() & self.first_now.val();

        self.restart.clock.next = self.clock.val();
        self.restart.reset.next = self.reset.val();
        self.restart.d.next = self.go.val() | (self.restart.q.val() & (!self.takes.val()));
        self.level.clock.next = self.clock.val();
        self.level.reset.next = self.clear.val();
        self.level.d.next =
            self.load.val() | (self.level.q.val() & (!(self.takes.val() & self.wraps.val())));
        self.row.clock.next = self.clock.val();
        self.row.enable.next = self.takes.val();
        self.row.d.next = self.row_before.val() + self.one_row.val();
        self.first.clock.next = self.clock.val();
        self.first.enable.next = self.takes.val();
        self.first.d.next = self.first_now.val();

        self.x.next = self.x_r.q.val() ^ self.one_pixel.val();
        self.y.next = self.y_r.q.val() ^ self.one_line.val();
        if self.x.val() == self.out_width.val() {
            self.new_line.next = !self.zero.val();
        } else {
            self.new_line.next = self.restart.q.val();
        }
        if self.y.val() == self.out_height.val() {
            self.new_image.next = !self.zero.val();
        } else {
            self.new_image.next = self.restart.q.val();
        }
        self.at_x_trail.next = (self.x.val() == self.x_trail.val()).into();
        self.at_y_trail.next = (self.y.val() == self.y_trail.val()).into();
        self.x_rises.next =
            (!self.past_x_lead.q.val()) | (self.past_x_trail.q.val() | self.at_x_trail.val());
        self.y_rises.next =
            (!self.past_y_lead.q.val()) | (self.past_y_trail.q.val() | self.at_y_trail.val());

        self.past_x_lead.clock.next = self.clock.val();
        self.past_x_lead.enable.next = self.walks.val();
        self.past_x_trail.clock.next = self.clock.val();
        self.past_x_trail.enable.next = self.walks.val();
        if self.new_line.val().any() {
            self.past_x_lead.d.next = (self.x_lead.val() == self.no_pixel.val()).into();
            self.past_x_trail.d.next = self.zero.val();
        } else {
            if self.x.val() == self.x_lead.val() {
                self.past_x_lead.d.next = !self.zero.val();
            } else {
                self.past_x_lead.d.next = self.past_x_lead.q.val();
            }
            self.past_x_trail.d.next = self.past_x_trail.q.val() | self.at_x_trail.val();
        }
        self.x_r.clock.next = self.clock.val();
        self.x_r.reset.next = self.walks.val() & self.new_line.val();
        self.x_r.enable.next = self.walks.val();
        self.x_r.d.next = (self.x.val() + self.one_pixel.val()) ^ self.one_pixel.val();

        self.past_y_lead.clock.next = self.clock.val();
        self.past_y_lead.enable.next = self.walks.val() & self.new_line.val();
        self.past_y_trail.clock.next = self.clock.val();
        self.past_y_trail.enable.next = self.walks.val() & self.new_line.val();
        if self.new_image.val().any() {
            self.past_y_lead.d.next = (self.y_lead.val() == self.no_line.val()).into();
            self.past_y_trail.d.next = self.zero.val();
        } else {
            if self.y.val() == self.y_lead.val() {
                self.past_y_lead.d.next = !self.zero.val();
            } else {
                self.past_y_lead.d.next = self.past_y_lead.q.val();
            }
            self.past_y_trail.d.next = self.past_y_trail.q.val() | self.at_y_trail.val();
        }
        self.y_r.clock.next = self.clock.val();
        self.y_r.reset.next = (self.walks.val() & self.new_line.val()) & self.new_image.val();
        self.y_r.enable.next = self.walks.val() & self.new_line.val();
        self.y_r.d.next = (self.y.val() + self.one_line.val()) ^ self.one_line.val();

        if !self.first_now.val().any() {
            self.constant_before.next = bits_resize(self.memory.value.val(), self._constant_width);
            self.constant_step.next = self.row_constants.val();
        } else if !self.new_line.val().any() {
            self.constant_before.next = self.pixel_constant.q.val();
            if self.x_rises.val().any() {
                self.constant_step.next =
                    bits_resize(self.class_x_pitch.val(), self._constant_width);
            } else {
                self.constant_step.next = self.no_constant.val();
            }
        } else if !self.new_image.val().any() {
            self.constant_before.next = self.line_constant.q.val();
            if self.y_rises.val().any() {
                self.constant_step.next =
                    bits_resize(self.class_y_pitch.val(), self._constant_width);
            } else {
                self.constant_step.next = self.no_constant.val();
            }
        } else {
            self.constant_before.next = bits_resize(self.constant_base.val(), self._constant_width);
            self.constant_step.next = self.no_constant.val();
        }
        self.constant_now.next = self.constant_before.val() + self.constant_step.val();
        self.pixel_constant.clock.next = self.clock.val();
        self.pixel_constant.enable.next = self.walks.val();
        self.pixel_constant.d.next = self.constant_now.val();
        self.line_constant.clock.next = self.clock.val();
        self.line_constant.enable.next = self.walks.val() & self.new_line.val();
        self.line_constant.d.next = self.constant_now.val();

        if !self.first_now.val().any() {
            self.granule_before.next = bits_resize(
                self.memory.value.val() >> self.constant_bits.val(),
                self._granule_width,
            );
            self.granule_step.next = self.one_granule.val();
        } else if self.restart.q.val().any() {
            self.granule_before.next = self.pixel_granule.q.val();
            self.granule_step.next = self.out_granule.val();
        } else {
            self.granule_before.next = self.pixel_granule.q.val();
            self.granule_step.next = self.out_pixel.val();
        }
        self.granule_now.next = self.granule_before.val() + self.granule_step.val();
        self.pixel_granule.clock.next = self.clock.val();
        self.pixel_granule.reset.next = self.go.val();
        self.pixel_granule.enable.next = self.walks.val();
        self.pixel_granule.d.next = self.granule_now.val();

        self.memory.clock.next = self.clock.val();
        self.memory.write.next = self.takes.val();
        self.memory.entry.next = bits_resize(self.row_before.val(), self._entry_width);
        self.memory.write_value.next = (bits_resize(self.granule_now.val(), self._place_width)
            << self.constant_bits.val())
            | bits_resize(self.constant_now.val(), self._place_width);

        self.gives.next = self.takes.val();
        self.granule.next = self.granule_now.val();
        self.constant.next = self.constant_now.val();
    }
}
