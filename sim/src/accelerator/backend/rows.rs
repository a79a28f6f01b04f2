//! Which row leaves the drain next: its place, and its residual codes.

use super::fields::BackFields;
use xnorforge_hdl::AcceleratorDesign;

/// Where a row belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Its granule.
    pub granule: u32,
    /// Address of its first constant; one bit wider than the memory's.
    pub constant: u32,
}

/// Walks the output pixels in the order in which rows leave.
#[derive(Clone, Debug)]
pub(super) struct Walker {
    restart: bool,
    /// The tile whose rows are given is the one in the drain.
    level: bool,
    row: u32,
    first_column: bool,
    /// The pixel given last, in its image, and the constants of its line.
    x: u32,
    y: u32,
    pixel: Place,
    line_constant: u32,
    /// Where the rows of the row tile belong.
    places: Vec<Place>,
    drain_steps: u32,
    granule_mask: u32,
    constant_mask: u32,
}

/// What the walker sees of the tile in the drain.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileRows {
    pub rows: u32,
    pub last_column: bool,
}

impl Walker {
    pub fn new(d: &AcceleratorDesign) -> Self {
        Walker {
            restart: false,
            level: false,
            row: 0,
            first_column: false,
            x: 0,
            y: 0,
            pixel: Place::default(),
            line_constant: 0,
            places: vec![Place::default(); d.design().config().rows as usize],
            drain_steps: d.drain_steps,
            granule_mask: (1 << d.granule_address_width) - 1,
            constant_mask: (2 << d.constant_address_width) - 1,
        }
    }

    /// Whether a place is given if one can be taken.
    pub fn has_place(&self) -> bool {
        self.restart || self.level
    }

    /// Gives the next row's place.
    pub fn give(&mut self, tile: TileRows, f: &BackFields) -> Place {
        if self.restart || self.row == tile.rows {
            self.first_column = self.restart || tile.last_column;
            self.row = 0;
            self.level = false;
        }
        let place = if self.first_column {
            self.walk(f);
            self.pixel
        } else {
            let before = self.places[self.row as usize];
            Place {
                granule: (before.granule + 1) & self.granule_mask,
                constant: (before.constant + self.drain_steps) & self.constant_mask,
            }
        };
        self.places[self.row as usize] = place;
        self.row += 1;
        self.restart = false;
        place
    }

    /// To the next pixel.
    fn walk(&mut self, f: &BackFields) {
        if self.restart {
            self.pixel.granule = f.out_granule;
            (self.x, self.y) = (0, 0);
            self.line_constant = f.constant_base;
            self.pixel.constant = f.constant_base;
            return;
        }
        let trails = |at: u32, trail: u32| trail != 0 && at + 1 >= trail;
        let rises = |at: u32, lead: u32, trail: u32| at < lead || trails(at, trail);
        self.pixel.granule = (self.pixel.granule + f.out_pixel) & self.granule_mask;
        if self.x + 1 != f.out_width {
            if rises(self.x, f.x_lead, f.x_trail) {
                self.pixel.constant += f.class_x_pitch;
            }
            self.x += 1;
        } else {
            if self.y + 1 != f.out_height {
                if rises(self.y, f.y_lead, f.y_trail) {
                    self.line_constant += f.class_y_pitch;
                }
                self.y += 1;
            } else {
                self.line_constant = f.constant_base;
                self.y = 0;
            }
            self.x = 0;
            self.line_constant &= self.constant_mask;
            self.pixel.constant = self.line_constant;
        }
        self.pixel.constant &= self.constant_mask;
    }

    /// A tile enters the drain.
    pub fn load(&mut self) {
        self.level = true;
    }

    /// A descriptor begins.
    pub fn go(&mut self) {
        self.restart = true;
        self.level = false;
    }

    pub fn reset(&mut self) {
        self.restart = false;
        self.level = false;
    }
}

/// The residual memory: granules of a slice of each plane, plane p and lane l at bit `p * lanes + l`.
#[derive(Clone, Debug)]
pub(super) struct ResidualMemory {
    granules: Vec<Vec<u64>>,
    slices: u32,
}

impl ResidualMemory {
    fn new(d: &AcceleratorDesign) -> Self {
        let words = d.granule_width().div_ceil(64) as usize;
        ResidualMemory {
            granules: vec![vec![0; words]; d.residual_granules() as usize],
            slices: d.slices,
        }
    }

    pub fn write(&mut self, word: u32, slice: u32, value: &[u64]) {
        let at = (word * self.slices + slice) as usize;
        self.granules[at].copy_from_slice(value);
    }

    fn read(&self, granule: u64) -> &[u64] {
        &self.granules[(granule % self.granules.len() as u64) as usize]
    }
}

/// The row in the drain, and the one that is read ahead.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// A place is held.
    held: bool,
    /// All is there that its row needs.
    read: bool,
    next: Place,
    /// A read was issued for the next row's first plane group.
    issued: bool,
    /// The plane group of the next row that arrives, and what arrives.
    arriving: Option<u32>,
    data: Vec<u64>,
    next_codes: Vec<u32>,
    pub current: bool,
    pub place: Place,
    /// Residual codes of the row in the drain.
    pub codes: Vec<u32>,
    pub memory: ResidualMemory,
    branches: u32,
    lanes: u32,
    groups: u32,
    constant_mask: u32,
}

impl Reader {
    pub fn new(d: &AcceleratorDesign) -> Self {
        let c = d.design().config();
        let columns = c.columns as usize;
        Reader {
            held: false,
            read: false,
            next: Place::default(),
            issued: false,
            arriving: None,
            data: vec![0; d.granule_width().div_ceil(64) as usize],
            next_codes: vec![0; columns],
            current: false,
            place: Place::default(),
            codes: vec![0; columns],
            memory: ResidualMemory::new(d),
            branches: c.activation_branches,
            lanes: d.granule_lanes,
            groups: d.design().activation_groups,
            constant_mask: (2 << d.constant_address_width) - 1,
        }
    }

    fn takes(&self, row_end: bool) -> bool {
        self.read && (!self.current || row_end)
    }

    /// Whether a place can be taken.
    pub fn ready(&self, row_end: bool) -> bool {
        !self.held || self.takes(row_end)
    }

    /// One clock edge: `step` leaves the drain, it is its row's last, a place is given.
    pub fn edge(&mut self, step: bool, row_end: bool, given: Option<Place>, f: &BackFields) {
        let takes = self.takes(row_end);
        if takes {
            self.place = self.next;
            self.codes.copy_from_slice(&self.next_codes);
        } else if step {
            self.place.constant = (self.place.constant + 1) & self.constant_mask;
        }
        self.current = takes || (self.current && !row_end);
        let completes = self.arrive(f);
        self.read = (self.read && !takes) || completes;
        self.held = given.is_some() || (self.held && !takes);
        if let Some(place) = given {
            self.next = place;
            self.read = !f.uses_residual;
            self.issued = f.uses_residual;
            self.next_codes.fill(0);
        }
    }

    /// Takes the group that arrives, and reads the next one; whether it was the last.
    fn arrive(&mut self, f: &BackFields) -> bool {
        let mut completes = false;
        if let Some(group) = self.arriving.take() {
            self.latch(group);
            completes = group + 1 == f.residual_groups;
            if !completes && group + 1 < self.groups {
                self.arriving = Some(group + 1);
            }
        } else if std::mem::take(&mut self.issued) {
            self.arriving = Some(0);
        }
        if let Some(group) = self.arriving {
            let word = u64::from(f.residual_base) + u64::from(group) * u64::from(f.residual_pitch);
            let granule = word * u64::from(self.memory.slices) + u64::from(self.next.granule);
            self.data.copy_from_slice(self.memory.read(granule));
        }
        completes
    }

    fn latch(&mut self, group: u32) {
        for (column, code) in self.next_codes.iter_mut().enumerate() {
            for plane in 0..self.branches {
                let bit = (plane * self.lanes) as usize + column;
                let bit = (self.data[bit / 64] >> (bit % 64) & 1) as u32;
                *code |= bit << (group * self.branches + plane);
            }
        }
    }

    pub fn reset(&mut self) {
        self.held = false;
        self.read = false;
        self.current = false;
        self.issued = false;
        self.arriving = None;
    }
}
