//! Walks the output pixels of a layer and hands them to the loaders.

use crate::accelerator::{AcceleratorDesign, Field};
use crate::rtl::prelude::*;

/// Offers one output pixel at a time, in the order image, y, x: where its first run begins, the place that its row has
/// in the tile, and which loader's turn it is.
///
/// The last row tile is filled up to a multiple of the load ports by rows that are `empty`, so that every loader
/// finishes every tile. All outputs are functions of registers; the pixel moves on in the cycle in which a loader
/// takes it.
#[derive(Clone, Debug, LogicBlock)]
pub struct PixelWalker {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Stops the walk.
    pub reset: Net<In>,
    /// Begins one; the descriptor's fields are stable from now on.
    pub go: Net<In>,
    /// The walk does not begin yet.
    pub hold: Net<In>,
    /// Max-pool: all pixels are loader 0's. From the cycle after `go`.
    pub pool: Net<In>,
    /// The loader whose turn it is takes the pixel.
    pub taken: Net<In>,
    /// The descriptor's field.
    pub origin_x: Net<In>,
    /// The descriptor's field.
    pub step_x: Net<In>,
    /// The descriptor's field.
    pub origin_line: Net<In>,
    /// The descriptor's field.
    pub step_line: Net<In>,
    /// The descriptor's field.
    pub image_pitch: Net<In>,
    /// The descriptor's field.
    pub out_width: Net<In>,
    /// The descriptor's field.
    pub out_height: Net<In>,
    /// The descriptor's field.
    pub row_tiles: Net<In>,
    /// The descriptor's field.
    pub last_rows: Net<In>,
    /// The descriptor's field.
    pub out_granule: Net<In>,
    /// The descriptor's field.
    pub out_pixel: Net<In>,
    /// The walk begins: the cycle before its first pixel is there.
    pub begins: Net<Out>,
    /// A pixel is there.
    pub valid: Net<Out>,
    /// The loader that may take it, one-hot.
    pub turn: Net<Out>,
    /// Granule position in its line of the first run.
    pub gx: Net<Out>,
    /// First granule of kernel line 0, counted from the image's.
    pub line: Net<Out>,
    /// First granule of the image.
    pub image: Net<Out>,
    /// Max-pool: the granule that is written. 0 otherwise.
    pub granule: Net<Out>,
    /// Which of the loader's rows, one-hot; 0 if the row is empty.
    pub select: Net<Out>,
    /// The half of the patch buffers.
    pub half: Net<Out>,
    /// The tile's last row of this loader.
    pub last: Net<Out>,
    /// Nothing is loaded for this row.
    pub empty: Net<Out>,
    /// The walk's last pixel.
    pub final_pixel: Net<Out>,
    starting: ResetRegister,
    running: EnabledResetRegister,
    gx_r: EnabledRegister,
    // Pixels begun of the line, lines of the image, tiles of all and the one to come: bit 0 inverted, so that a reset
    // makes it 1.
    x_r: EnabledResetRegister,
    line_r: EnabledRegister,
    y_r: EnabledResetRegister,
    image_r: EnabledResetRegister,
    granule_r: EnabledResetRegister,
    tiles_r: EnabledResetRegister,
    last_tile: EnabledRegister,
    rows_left: EnabledRegister,
    turn_r: EnabledRegister,
    round_r: EnabledRegister,
    last_round_r: EnabledRegister,
    half_r: EnabledResetRegister,
    begin: Net<Local>,
    step: Net<Local>,
    load_x: Net<Local>,
    load_y: Net<Local>,
    next_line: Net<Local>,
    last_x: Net<Local>,
    last_y: Net<Local>,
    next_last_tile: Net<Local>,
    next_tile: Net<Local>,
    tile_begins: Net<Local>,
    few: Net<Local>,
    one_left: Net<Local>,
    none_left: Net<Local>,
    last_round: Net<Local>,
    first_turn: Net<Local>,
    last_turn: Net<Local>,
    tile_rows: Net<Local>,
    gx_base: Net<Local>,
    gx_step: Net<Local>,
    line_base: Net<Local>,
    line_step: Net<Local>,
    x: Net<Local>,
    y: Net<Local>,
    tiles: Net<Local>,
    granule_step: Net<Local>,
    position_zero: Constant,
    one_pixel: Constant,
    one_line: Constant,
    one_tile: Constant,
    all_rows: Constant,
    one_row: Constant,
    no_row: Constant,
    ports: Constant,
    several: Constant,
    last_port: Constant,
    by_one: Constant,
    one: Constant,
    no_select: Constant,
    _position: usize,
    _rows_wide: usize,
    _ports: usize,
    _rounds: usize,
}

impl PixelWalker {
    /// The walker of a design.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let field = |field: Field| Net::new(field.width(design));
        let (ports, rounds) = (design.config().load_ports, design.rows_per_port);
        let granule = design.granule_address_width;
        let (position, counter) = (granule + 1, design.design().row_counter_width);
        let (x, y) = (
            Field::OutWidth.width(design),
            Field::OutHeight.width(design),
        );
        let tiles = Field::RowTiles.width(design);
        let rows = u64::from(design.design().config().rows);
        PixelWalker {
            shape: Shape::new(
                format!("pixel_walker_f{ports}_r{rows}"),
                "Walks the output pixels and hands them to the loaders.",
            ),
            clock: Signal::default(),
            reset: Net::new(1),
            go: Net::new(1),
            hold: Net::new(1),
            pool: Net::new(1),
            taken: Net::new(1),
            origin_x: field(Field::OriginX),
            step_x: field(Field::StepX),
            origin_line: field(Field::OriginLine),
            step_line: field(Field::StepLine),
            image_pitch: field(Field::ImagePitch),
            out_width: field(Field::OutWidth),
            out_height: field(Field::OutHeight),
            row_tiles: field(Field::RowTiles),
            last_rows: field(Field::LastRows),
            out_granule: field(Field::OutGranule),
            out_pixel: field(Field::OutPixel),
            begins: Net::new(1),
            valid: Net::new(1),
            turn: Net::new(ports),
            gx: Net::new(position),
            line: Net::new(position),
            image: Net::new(granule),
            granule: Net::new(granule),
            select: Net::new(rounds),
            half: Net::new(1),
            last: Net::new(1),
            empty: Net::new(1),
            final_pixel: Net::new(1),
            starting: ResetRegister::new(1),
            running: EnabledResetRegister::new(1),
            gx_r: EnabledRegister::new(position),
            x_r: EnabledResetRegister::new(x),
            line_r: EnabledRegister::new(position),
            y_r: EnabledResetRegister::new(y),
            image_r: EnabledResetRegister::new(granule),
            granule_r: EnabledResetRegister::new(granule),
            tiles_r: EnabledResetRegister::new(tiles),
            last_tile: EnabledRegister::new(1),
            rows_left: EnabledRegister::new(counter),
            turn_r: EnabledRegister::new(ports),
            round_r: EnabledRegister::new(rounds),
            last_round_r: EnabledRegister::new(1),
            half_r: EnabledResetRegister::new(1),
            begin: Net::new(1),
            step: Net::new(1),
            load_x: Net::new(1),
            load_y: Net::new(1),
            next_line: Net::new(1),
            last_x: Net::new(1),
            last_y: Net::new(1),
            next_last_tile: Net::new(1),
            next_tile: Net::new(1),
            tile_begins: Net::new(1),
            few: Net::new(1),
            one_left: Net::new(1),
            none_left: Net::new(1),
            last_round: Net::new(1),
            first_turn: Net::new(1),
            last_turn: Net::new(1),
            tile_rows: Net::new(counter),
            gx_base: Net::new(position),
            gx_step: Net::new(position),
            line_base: Net::new(position),
            line_step: Net::new(position),
            x: Net::new(x),
            y: Net::new(y),
            tiles: Net::new(tiles),
            granule_step: Net::new(granule),
            position_zero: Constant::new(position, 0),
            one_pixel: Constant::new(x, 1),
            one_line: Constant::new(y, 1),
            one_tile: Constant::new(tiles, 1),
            all_rows: Constant::new(counter, rows),
            one_row: Constant::new(counter, 1),
            no_row: Constant::new(counter, 0),
            ports: Constant::new(counter + 1, ports.into()),
            several: Constant::new(1, (ports > 1).into()),
            last_port: Constant::new(32, (ports - 1).into()),
            by_one: Constant::new(32, 1),
            one: Constant::new(1, 1),
            no_select: Constant::new(1, 0),
            _position: position as usize,
            _rows_wide: counter as usize + 1,
            _ports: ports as usize,
            _rounds: rounds as usize,
        }
    }
}

impl Logic for PixelWalker {
    #[hdl_gen]
    fn update(&mut self) {
        self.starting.clock.next = self.clock.val();
        self.starting.reset.next = self.reset.val();
        self.starting.d.next = self.go.val() | (self.starting.q.val() & self.hold.val());
        self.begin.next = self.starting.q.val() & (!self.hold.val());

        // Counting up costs nothing, and comparing less than loading a counter that counts down.
        self.x.next = self.x_r.q.val() ^ self.one_pixel.val();
        self.y.next = self.y_r.q.val() ^ self.one_line.val();
        self.tiles.next = self.tiles_r.q.val() ^ self.one_tile.val();
        self.last_x.next = (self.x.val() == self.out_width.val()).into();
        self.last_y.next = (self.y.val() == self.out_height.val()).into();
        self.next_last_tile.next = (self.tiles.val() == self.row_tiles.val()).into();

        // Rows of the tile, in rounds of one row for each loader.
        self.first_turn.next = bits_resize(self.turn_r.q.val(), 1);
        self.last_turn.next = bits_resize(self.turn_r.q.val() >> self.last_port.val(), 1);
        self.few.next =
            (bits_resize(self.rows_left.q.val(), self._rows_wide) <= self.ports.val()).into();
        self.one_left.next = (self.rows_left.q.val() == self.one_row.val()).into();
        self.none_left.next =
            self.several.val() & (self.rows_left.q.val() == self.no_row.val()).into();
        if self.first_turn.val().any() {
            self.last_round.next = self.few.val();
        } else {
            self.last_round.next = self.last_round_r.q.val();
        }
        if self.pool.val().any() {
            self.next_tile.next = self.taken.val() & self.one_left.val();
        } else {
            self.next_tile.next = (self.taken.val() & self.last_round.val()) & self.last_turn.val();
        }
        self.tile_begins.next = self.begin.val() | self.next_tile.val();
        self.running.clock.next = self.clock.val();
        self.running.reset.next = self.reset.val();
        self.running.enable.next = self.tile_begins.val();
        self.running.d.next = self.begin.val() | (!self.last_tile.q.val());
        self.half_r.clock.next = self.clock.val();
        self.half_r.reset.next = self.begin.val();
        self.half_r.enable.next = self.next_tile.val();
        self.half_r.d.next = !self.half_r.q.val();

        self.tiles_r.clock.next = self.clock.val();
        self.tiles_r.reset.next = self.go.val();
        self.tiles_r.enable.next = self.tile_begins.val();
        self.tiles_r.d.next = (self.tiles.val() + self.one_tile.val()) ^ self.one_tile.val();
        self.last_tile.clock.next = self.clock.val();
        self.last_tile.enable.next = self.tile_begins.val();
        self.last_tile.d.next = self.next_last_tile.val();
        if self.next_last_tile.val().any() {
            self.tile_rows.next = self.last_rows.val();
        } else {
            self.tile_rows.next = self.all_rows.val();
        }
        self.rows_left.clock.next = self.clock.val();
        self.rows_left.enable.next = self.begin.val() | self.taken.val();
        if self.tile_begins.val().any() {
            self.rows_left.d.next = self.tile_rows.val();
        } else if self.none_left.val().any() {
            self.rows_left.d.next = self.no_row.val();
        } else {
            self.rows_left.d.next = self.rows_left.q.val() - self.one_row.val();
        }
        self.last_round_r.clock.next = self.clock.val();
        self.last_round_r.enable.next = self.first_turn.val();
        self.last_round_r.d.next = self.few.val();
        self.turn_r.clock.next = self.clock.val();
        self.turn_r.enable.next = self.begin.val() | (self.taken.val() & (!self.pool.val()));
        if self.begin.val().any() {
            self.turn_r.d.next = bits_resize(self.one.val(), self._ports);
        } else {
            self.turn_r.d.next = (self.turn_r.q.val() << self.by_one.val())
                | (self.turn_r.q.val() >> self.last_port.val());
        }
        self.round_r.clock.next = self.clock.val();
        self.round_r.enable.next =
            self.tile_begins.val() | (self.taken.val() & self.last_turn.val());
        if self.tile_begins.val().any() {
            self.round_r.d.next = bits_resize(self.one.val(), self._rounds);
        } else {
            self.round_r.d.next = self.round_r.q.val() << self.by_one.val();
        }

        // The pixel's place. A selection before the adder costs no LUT of its own.
        self.step.next = self.begin.val() | (self.taken.val() & (!self.none_left.val()));
        self.load_x.next = self.begin.val() | self.last_x.val();
        self.load_y.next = self.begin.val() | self.last_y.val();
        self.next_line.next = self.step.val() & self.load_x.val();
        if self.load_x.val().any() {
            self.gx_base.next = self.origin_x.val();
            self.gx_step.next = self.position_zero.val();
        } else {
            self.gx_base.next = self.gx_r.q.val();
            self.gx_step.next = bits_resize(self.step_x.val(), self._position);
        }
        self.gx_r.clock.next = self.clock.val();
        self.gx_r.enable.next = self.step.val();
        self.gx_r.d.next = self.gx_base.val() + self.gx_step.val();
        self.x_r.clock.next = self.clock.val();
        self.x_r.reset.next = self.next_line.val();
        self.x_r.enable.next = self.step.val();
        self.x_r.d.next = (self.x.val() + self.one_pixel.val()) ^ self.one_pixel.val();
        if self.load_y.val().any() {
            self.line_base.next = self.origin_line.val();
            self.line_step.next = self.position_zero.val();
        } else {
            self.line_base.next = self.line_r.q.val();
            self.line_step.next = bits_resize(self.step_line.val(), self._position);
        }
        self.line_r.clock.next = self.clock.val();
        self.line_r.enable.next = self.next_line.val();
        self.line_r.d.next = self.line_base.val() + self.line_step.val();
        self.y_r.clock.next = self.clock.val();
        self.y_r.reset.next = self.next_line.val() & self.load_y.val();
        self.y_r.enable.next = self.next_line.val();
        self.y_r.d.next = (self.y.val() + self.one_line.val()) ^ self.one_line.val();
        self.image_r.clock.next = self.clock.val();
        self.image_r.reset.next = self.begin.val();
        self.image_r.enable.next = self.next_line.val() & self.last_y.val();
        self.image_r.d.next = self.image_r.q.val() + self.image_pitch.val();
        // It stands at 0 before the first pixel.
        if self.begin.val().any() {
            self.granule_step.next = self.out_granule.val();
        } else {
            self.granule_step.next = self.out_pixel.val();
        }
        self.granule_r.clock.next = self.clock.val();
        self.granule_r.reset.next = !self.pool.val();
        self.granule_r.enable.next = self.step.val();
        self.granule_r.d.next = self.granule_r.q.val() + self.granule_step.val();

        self.begins.next = self.begin.val();
        self.valid.next = self.running.q.val();
        self.turn.next = self.turn_r.q.val();
        self.gx.next = self.gx_r.q.val();
        self.line.next = self.line_r.q.val();
        self.image.next = self.image_r.q.val();
        self.granule.next = self.granule_r.q.val();
        if self.none_left.val().any() {
            self.select.next = bits_resize(self.no_select.val(), self._rounds);
        } else {
            self.select.next = self.round_r.q.val();
        }
        self.half.next = self.half_r.q.val();
        self.last.next = self.last_round.val();
        self.empty.next = self.none_left.val();
        self.final_pixel.next = self.last_tile.q.val() & self.one_left.val();
    }
}
