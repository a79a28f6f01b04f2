//! The patch system: activation memories, loaders, patch buffers and max-pool.
//!
//! A word is stored plane by plane: plane i of a word of L lanes in the `L.div_ceil(64)` machine words from
//! `i * L.div_ceil(64)` on. The copies of the activation memory hold the same, so the model keeps one.

use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field};

/// Codes of `docs/accelerator.md`.
const INPUT_RANGE: u8 = 5;
const OUTPUT_RANGE: u8 = 6;
const PATCH_RANGE: u8 = 8;

/// The fields that the patch system reads, as they stand in a descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchFields {
    in_base: i64,
    in_pitch: i64,
    in_last: i64,
    image_pitch: i64,
    line_granules: i64,
    run_granules: i64,
    runs: i64,
    kernel_lines: i64,
    origin_x: i64,
    step_x: i64,
    tap_x: i64,
    out_width: i64,
    out_height: i64,
    pad_code: i64,
    origin_line: i64,
    step_line: i64,
    tap_line: i64,
    chunks: i64,
    groups: i64,
    row_tiles: i64,
    last_rows: i64,
    out_base: i64,
    out_pitch: i64,
    out_last: i64,
    out_granule: i64,
    out_pixel: i64,
}

impl PatchFields {
    /// The fields of a descriptor.
    pub fn new(descriptor: &Descriptor) -> Self {
        let get = |field| descriptor.get(field);
        PatchFields {
            in_base: get(Field::InBase),
            in_pitch: get(Field::InPitch),
            in_last: get(Field::InLast),
            image_pitch: get(Field::ImagePitch),
            line_granules: get(Field::LineGranules),
            run_granules: get(Field::RunGranules),
            runs: get(Field::Runs),
            kernel_lines: get(Field::KernelLines),
            origin_x: get(Field::OriginX),
            step_x: get(Field::StepX),
            tap_x: get(Field::TapX),
            out_width: get(Field::OutWidth),
            out_height: get(Field::OutHeight),
            pad_code: get(Field::PadCode),
            origin_line: get(Field::OriginLine),
            step_line: get(Field::StepLine),
            tap_line: get(Field::TapLine),
            chunks: get(Field::Chunks),
            groups: get(Field::Groups),
            row_tiles: get(Field::RowTiles),
            last_rows: get(Field::LastRows),
            out_base: get(Field::OutBase),
            out_pitch: get(Field::OutPitch),
            out_last: get(Field::OutLast),
            out_granule: get(Field::OutGranule),
            out_pixel: get(Field::OutPixel),
        }
    }
}

/// Inputs of one cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct PatchInputs<'a> {
    /// Drops everything but the memories' contents.
    pub reset: bool,
    /// A COMPUTE begins.
    pub go_compute: bool,
    /// A POOL begins.
    pub go_pool: bool,
    /// The input port writes this word (planes as above) at this address.
    pub input: Option<(u32, &'a [u64])>,
    /// The back end writes a granule to these slices of the word at this address: plane i of G lanes in the
    /// `G.div_ceil(64)` machine words from `i * G.div_ceil(64)` on.
    pub back: Option<(u64, u32, &'a [u64])>,
    /// Half h of the patch buffers has been used.
    pub patch_release: [bool; 2],
    /// The patch buffers read this word.
    pub patch_read: Option<u32>,
}

/// Outputs, functions of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchOutputs<'a> {
    /// Half h of every patch buffer is filled.
    pub patch_full: [bool; 2],
    /// What each row's patch buffer has read last, row after row.
    pub activation: &'a [u64],
    /// The last word of a POOL is written.
    pub pool_finished: bool,
    /// An error's code, or 0.
    pub error: u8,
}

/// Sizes that the model needs, from the design.
#[derive(Clone, Debug)]
struct Sizes {
    planes: usize,
    /// Machine words of a plane, of a word, and of a granule's plane.
    plane_words: usize,
    word_words: usize,
    granule_words: usize,
    slices: i64,
    granule: usize,
    rows: i64,
    ports: usize,
    granule_bits: u32,
    activation_words: i64,
    patch_half_words: i64,
    code_bits: u32,
}

impl Sizes {
    fn new(design: &AcceleratorDesign) -> Self {
        let c = design.design().config();
        let planes = c.activation_branches as usize;
        let plane_words = c.lanes.div_ceil(64) as usize;
        Sizes {
            planes,
            plane_words,
            word_words: planes * plane_words,
            granule_words: design.granule_lanes.div_ceil(64) as usize,
            slices: design.slices.into(),
            granule: design.granule_lanes as usize,
            rows: c.rows.into(),
            ports: design.config().load_ports as usize,
            granule_bits: design.granule_address_width,
            activation_words: design.config().activation_words.into(),
            patch_half_words: design.patch_half_words().into(),
            code_bits: c.activation_branches,
        }
    }

    /// A granule number as the hardware keeps it.
    fn granule_number(&self, value: i64) -> i64 {
        value & ((1 << self.granule_bits) - 1)
    }

    /// A position in a line or of a line, signed.
    fn position(&self, value: i64) -> i64 {
        let unused = 64 - (self.granule_bits + 1);
        value << unused >> unused
    }
}

/// The pixel that is offered, and its row's place.
#[derive(Clone, Debug, Default)]
struct Walker {
    starting: bool,
    running: bool,
    x: i64,
    y: i64,
    gx: i64,
    line: i64,
    image: i64,
    granule: i64,
    tile: i64,
    /// Valid rows of the tile that have not been offered before this one.
    rows_left: i64,
    turn: usize,
    round: usize,
    half: usize,
}

/// A row as a loader takes it.
#[derive(Clone, Debug, Default)]
struct Row {
    gx: i64,
    line: i64,
    image: i64,
    granule: i64,
    /// Which of the loader's buffers; none for an empty row.
    buffer: Option<usize>,
    half: usize,
    is_last: bool,
    is_final: bool,
}

impl Walker {
    fn row(&self, s: &Sizes, fields: &PatchFields) -> Row {
        let empty = s.ports > 1 && self.rows_left == 0;
        Row {
            gx: self.gx,
            line: self.line,
            image: self.image,
            granule: self.granule,
            buffer: (!empty).then_some(self.round),
            half: self.half,
            is_last: empty || self.rows_left + self.turn as i64 <= s.ports as i64,
            is_final: self.rows_left == 1 && self.tile + 1 == fields.row_tiles,
        }
    }

    fn begin(&mut self, fields: &PatchFields, pool: bool, s: &Sizes) {
        *self = Walker {
            running: true,
            gx: fields.origin_x,
            line: fields.origin_line,
            granule: if pool { fields.out_granule } else { 0 },
            ..Walker::default()
        };
        self.enter_tile(fields, s);
    }

    fn enter_tile(&mut self, fields: &PatchFields, s: &Sizes) {
        let is_last = self.tile + 1 == fields.row_tiles;
        self.rows_left = if is_last { fields.last_rows } else { s.rows };
        self.round = 0;
    }

    /// The offered row is taken.
    fn step(&mut self, fields: &PatchFields, pool: bool, s: &Sizes) {
        let row = self.row(s, fields);
        if row.buffer.is_some() {
            self.next_pixel(fields, pool, s);
        }
        let ends_round = self.turn + 1 == s.ports;
        let ends_tile = if pool {
            self.rows_left == 1
        } else {
            row.is_last && ends_round
        };
        self.rows_left = (self.rows_left - 1).max(0);
        if !pool {
            self.turn = if ends_round { 0 } else { self.turn + 1 };
        }
        if ends_tile {
            self.half = 1 - self.half;
            self.tile += 1;
            if self.tile == fields.row_tiles {
                self.running = false;
            }
            self.enter_tile(fields, s);
        } else if ends_round {
            self.round += 1;
        }
    }

    fn next_pixel(&mut self, fields: &PatchFields, pool: bool, s: &Sizes) {
        if pool {
            self.granule = s.granule_number(self.granule + fields.out_pixel);
        }
        self.x += 1;
        self.gx = s.position(self.gx + fields.step_x);
        if self.x < fields.out_width {
            return;
        }
        (self.x, self.gx) = (0, fields.origin_x);
        self.y += 1;
        self.line = s.position(self.line + fields.step_line);
        if self.y < fields.out_height {
            return;
        }
        (self.y, self.line) = (0, fields.origin_line);
        self.image = s.granule_number(self.image + fields.image_pitch);
    }
}

/// Granules that are read together.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    /// Number of the first granule.
    granule: i64,
    count: i64,
    inside: bool,
    /// Where it goes: the granule's place in the patch, or in the output of a POOL.
    place: i64,
    buffer: Option<usize>,
    half: usize,
    /// It is its row's last.
    closes: bool,
    /// It is the last of its half.
    fills: bool,
    first_tap: bool,
    is_final: bool,
}

/// One plane group of a piece on its way from address to patch buffer.
#[derive(Clone, Copy, Debug)]
struct Word {
    piece: Piece,
    /// Counts from 0 in the order of reading.
    group: i64,
    is_last: bool,
}

#[derive(Clone, Debug, Default)]
struct Loader {
    active: bool,
    planned: Option<Piece>,
    claimed: [bool; 2],
    filled: [bool; 2],
    row: Row,
    gx: i64,
    run_gx: i64,
    line: i64,
    place: i64,
    left: i64,
    run: i64,
    kernel_line: i64,
    first_tap: bool,
    issued: Option<Word>,
    read: Option<Word>,
    turned: Option<Word>,
    written: Option<Word>,
    /// What the memory has read last, and the words of `turned` and `written`, before they are rotated.
    value: Vec<u64>,
    turned_value: Vec<u64>,
    written_value: Vec<u64>,
}

impl Loader {
    fn new(s: &Sizes) -> Self {
        let word = vec![0; s.word_words];
        Loader {
            value: word.clone(),
            turned_value: word.clone(),
            written_value: word,
            ..Loader::default()
        }
    }

    fn reset(&mut self) {
        self.active = false;
        self.planned = None;
        (self.claimed, self.filled) = ([false; 2], [false; 2]);
        (self.issued, self.read, self.turned, self.written) = (None, None, None, None);
    }

    /// The piece that begins where the loader stands.
    fn plan(&self, f: &PatchFields, s: &Sizes) -> Piece {
        let is_line = (0..f.image_pitch).contains(&self.line);
        let inside =
            self.row.buffer.is_some() && is_line && (0..f.line_granules).contains(&self.gx);
        let granule = s.granule_number(self.row.image + self.line + self.gx);
        let mut count = (s.slices - self.place % s.slices).min(self.left);
        if is_line && self.gx < 0 {
            count = count.min(-self.gx);
        } else if is_line && self.gx < f.line_granules {
            count = count.min(f.line_granules - self.gx);
        }
        if inside {
            count = count.min(s.slices - granule % s.slices);
        }
        Piece {
            granule,
            count,
            inside,
            place: self.place,
            buffer: self.row.buffer,
            half: self.row.half,
            closes: false,
            fills: false,
            first_tap: self.first_tap,
            is_final: self.row.is_final,
        }
    }

    fn take(&mut self, row: Row, f: &PatchFields, pool: bool) {
        self.active = true;
        (self.gx, self.run_gx, self.line, self.place) = (row.gx, row.gx, row.line, row.granule);
        (self.left, self.run, self.kernel_line) = (f.run_granules, 0, 0);
        self.first_tap = true;
        if row.is_last && !pool {
            self.claimed[row.half] = true;
        }
        self.row = row;
    }

    /// Whether the planned piece is the last of its run, of its line, of its row.
    fn ends(&self, piece: &Piece, f: &PatchFields) -> [bool; 3] {
        if self.row.buffer.is_none() {
            return [true; 3];
        }
        let run = piece.count == self.left;
        let line = run && self.run + 1 == f.runs;
        [run, line, line && self.kernel_line + 1 == f.kernel_lines]
    }

    /// Moves behind the piece that is issued.
    fn pass(&mut self, piece: &Piece, f: &PatchFields, pool: bool, s: &Sizes) {
        let [run_ends, line_ends, _] = self.ends(piece, f);
        self.first_tap = false;
        if !pool {
            self.place += piece.count;
        }
        if line_ends {
            (self.gx, self.run_gx, self.run) = (self.row.gx, self.row.gx, 0);
            self.line = s.position(self.line + f.tap_line);
            self.kernel_line += 1;
        } else if run_ends {
            self.run_gx = s.position(self.run_gx + f.tap_x);
            self.gx = self.run_gx;
            self.run += 1;
        } else {
            self.gx = s.position(self.gx + piece.count);
        }
        self.left = if run_ends {
            f.run_granules
        } else {
            self.left - piece.count
        };
    }

    /// The address of the group that is issued.
    fn address(&self, word: &Word, f: &PatchFields, pool: bool, s: &Sizes) -> i64 {
        let group = if pool {
            f.groups - 1 - word.group
        } else {
            word.group
        };
        f.in_base + group * f.in_pitch + word.piece.granule / s.slices
    }
}

/// A word that a POOL writes: the kept group.
struct Pooled {
    address: i64,
    mask: u64,
    group: usize,
}

#[derive(Clone, Debug, Default)]
struct Pool {
    /// Groups above the least one whose pitch is still to be added.
    climb: i64,
    /// Lanes that are decided, and those of them in which the new code is the larger one.
    decided: Vec<u64>,
    new_wins: Vec<u64>,
    /// The codes kept of the pixel's taps: a word for each group, in the order of reading.
    kept: Vec<Vec<u64>>,
    finished: bool,
}

/// A word that waits in a register before it enters the activation memory.
#[derive(Clone, Debug, Default)]
struct Staged {
    input: bool,
    back: u64,
    address: i64,
    input_value: Vec<u64>,
    back_value: Vec<u64>,
}

/// The patch system, cycle by cycle.
#[derive(Clone, Debug)]
pub struct PatchSystemModel {
    sizes: Sizes,
    memory: Vec<u64>,
    patches: Vec<Vec<u64>>,
    activation: Vec<u64>,
    walker: Walker,
    loaders: Vec<Loader>,
    pool: Pool,
    pooling: bool,
    error: u8,
    staged: Staged,
}

impl PatchSystemModel {
    /// The patch system of a design; its memories hold 0.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let sizes = Sizes::new(design);
        let rows = sizes.rows as usize;
        let word = vec![0; sizes.word_words];
        let patch = vec![0; sizes.word_words * design.config().patch_words as usize];
        PatchSystemModel {
            memory: vec![0; sizes.word_words * design.config().activation_words as usize],
            patches: vec![patch; rows],
            activation: vec![0; sizes.word_words * rows],
            walker: Walker::default(),
            loaders: vec![Loader::new(&sizes); sizes.ports],
            pool: Pool {
                decided: vec![0; sizes.plane_words],
                new_wins: vec![0; sizes.plane_words],
                kept: vec![word.clone(); 16],
                ..Pool::default()
            },
            pooling: false,
            error: 0,
            staged: Staged {
                input_value: word,
                back_value: vec![0; sizes.planes * sizes.granule_words],
                ..Staged::default()
            },
            sizes,
        }
    }

    /// Outputs, functions of registers.
    pub fn outputs(&self) -> PatchOutputs<'_> {
        let full = |half: usize| self.loaders.iter().all(|l| l.filled[half]);
        PatchOutputs {
            patch_full: [full(0), full(1)],
            activation: &self.activation,
            pool_finished: self.pool.finished,
            error: self.error,
        }
    }

    /// The activation memory, word after word.
    pub fn memory(&self) -> &[u64] {
        &self.memory
    }

    /// One clock edge; the fields are those of the descriptor that runs.
    pub fn edge(&mut self, inputs: &PatchInputs<'_>, fields: &PatchFields) {
        let (stop, was_finished) = (self.error != 0, self.pool.finished);
        let error = self.raised(fields);
        let pooled = self.pool_group(fields);
        self.read_patches(inputs);
        for port in 0..self.sizes.ports {
            self.write_patch(port, fields);
        }
        let walker = self.walker.clone();
        for port in 0..self.sizes.ports {
            self.move_words(port, fields);
            self.advance(port, &walker, fields, stop);
            self.loaders[port].release(inputs.patch_release);
        }
        self.start(inputs, fields, was_finished);
        self.write_memory(pooled);
        self.stage(inputs);
        if !stop {
            self.error = error;
        }
        if inputs.reset {
            self.reset();
        }
    }

    fn reset(&mut self) {
        (self.walker.starting, self.walker.running) = (false, false);
        self.loaders.iter_mut().for_each(Loader::reset);
        (self.pool.finished, self.pool.climb) = (false, 0);
        (self.pooling, self.error) = (false, 0);
        (self.staged.input, self.staged.back) = (false, 0);
    }

    /// What an address that is too high raises in this cycle.
    fn raised(&self, f: &PatchFields) -> u8 {
        let s = &self.sizes;
        let past = |port: usize, loader: &Loader| {
            let pool = self.pooling && port == 0;
            let read = loader.issued.as_ref().is_some_and(|word| {
                word.piece.inside && loader.address(word, f, pool, s) > f.in_last
            });
            let written = loader.written.as_ref().is_some_and(|word| {
                !pool && word.piece.place / s.slices + word.group * f.chunks >= s.patch_half_words
            });
            (read, written)
        };
        let past: Vec<_> = (0..).zip(&self.loaders).map(|(p, l)| past(p, l)).collect();
        if past.iter().any(|(read, _)| *read) {
            INPUT_RANGE
        } else if past.iter().any(|(_, written)| *written) {
            PATCH_RANGE
        } else if self.pool_address(f).is_some_and(|a| self.is_outside(a, f)) {
            OUTPUT_RANGE
        } else {
            0
        }
    }

    /// Where a POOL writes in this cycle.
    fn pool_address(&self, f: &PatchFields) -> Option<i64> {
        let word = self.loaders[0].written.as_ref()?;
        (self.pooling && word.piece.closes).then(|| {
            let group = f.groups - 1 - word.group;
            f.out_base + group * f.out_pitch + word.piece.place / self.sizes.slices
        })
    }

    fn is_outside(&self, address: i64, f: &PatchFields) -> bool {
        address > f.out_last || address >= self.sizes.activation_words
    }

    /// Compares one group of a tap with what is kept; gives where the word goes, if it is a pixel's last tap.
    fn pool_group(&mut self, f: &PatchFields) -> Option<Pooled> {
        self.pool.finished = false;
        let word = self.loaders[0].written.filter(|_| self.pooling)?;
        let (planes, words) = (self.sizes.planes, self.sizes.plane_words);
        let new = &self.loaders[0].written_value;
        let Pool {
            decided,
            new_wins,
            kept,
            ..
        } = &mut self.pool;
        let kept = &mut kept[word.group as usize];
        if word.group == 0 {
            decided.fill(0);
        }
        if word.piece.first_tap {
            kept.fill(0);
        }
        for plane in (0..planes).rev() {
            for w in 0..words {
                let (new, old) = (new[plane * words + w], &mut kept[plane * words + w]);
                let decides = (new ^ *old) & !decided[w];
                decided[w] |= decides;
                new_wins[w] = (new_wins[w] & !decides) | (new & decides);
                *old = (new & new_wins[w]) | (*old & !new_wins[w]);
            }
        }
        let piece = word.piece;
        self.pool.finished = piece.closes && word.is_last && piece.is_final;
        let address = self.pool_address(f)?;
        (!self.is_outside(address, f)).then(|| Pooled {
            address,
            mask: self.sizes.mask(&piece, false),
            group: word.group as usize,
        })
    }

    fn read_patches(&mut self, inputs: &PatchInputs<'_>) {
        let Some(address) = inputs.patch_read else {
            return;
        };
        let words = self.sizes.word_words;
        let from = address as usize * words;
        for (patch, value) in self.patches.iter().zip(self.activation.chunks_mut(words)) {
            value.copy_from_slice(&patch[from..from + words]);
        }
    }

    fn write_patch(&mut self, port: usize, f: &PatchFields) {
        let s = &self.sizes;
        let loader = &self.loaders[port];
        let Some(word) = loader.written.filter(|_| !(self.pooling && port == 0)) else {
            return;
        };
        let Some(buffer) = word.piece.buffer else {
            return;
        };
        let place = word.piece.place / s.slices + word.group * f.chunks;
        let address = word.piece.half as i64 * s.patch_half_words + place % s.patch_half_words;
        let from = address as usize * s.word_words;
        let target = &mut self.patches[buffer * s.ports + port][from..from + s.word_words];
        s.write_slices(target, &loader.written_value, s.mask(&word.piece, true));
    }

    /// Moves what is under way by one stage.
    fn move_words(&mut self, port: usize, f: &PatchFields) {
        let pool = self.pooling && port == 0;
        let s = &self.sizes;
        let loader = &mut self.loaders[port];
        let ends = loader.written.filter(|w| w.is_last && w.piece.fills);
        if let Some(word) = ends {
            loader.filled[word.piece.half] = true;
        }
        loader.written = loader.turned;
        if let Some(word) = &loader.turned {
            s.turn(
                word,
                &loader.turned_value,
                &mut loader.written_value,
                f,
                pool,
            );
        }
        loader.turned = loader.read;
        if loader.read.is_some_and(|word| word.piece.inside) {
            loader.turned_value.copy_from_slice(&loader.value);
        }
        loader.read = loader.issued;
        if let Some(word) = loader.issued.filter(|word| word.piece.inside) {
            let address = loader.address(&word, f, pool, s) & (s.activation_words - 1);
            let from = address as usize * s.word_words;
            loader
                .value
                .copy_from_slice(&self.memory[from..from + s.word_words]);
        }
    }

    /// Plans, issues and takes; `walker` is what it was before this edge.
    fn advance(&mut self, port: usize, walker: &Walker, f: &PatchFields, stop: bool) {
        let pool = self.pooling && port == 0;
        let s = &self.sizes;
        let loader = &mut self.loaders[port];
        let free = loader.issued.is_none_or(|word| word.is_last);
        let issues = loader.planned.filter(|_| free && !stop);
        let row_ends = issues.is_some_and(|piece| loader.ends(&piece, f)[2]);
        let offered = walker.running && walker.turn == port;
        let row = walker.row(s, f);
        let may_take = offered && (pool || !loader.claimed[row.half]);
        let takes = may_take && (!loader.active || row_ends);

        loader.issued = match (issues, loader.issued) {
            (Some(piece), _) => Some(Word {
                piece: Piece {
                    closes: row_ends,
                    fills: row_ends && loader.row.is_last && !pool,
                    ..piece
                },
                group: 0,
                is_last: f.groups == 1,
            }),
            (None, Some(word)) if !word.is_last => Some(Word {
                group: word.group + 1,
                is_last: word.group + 2 == f.groups,
                ..word
            }),
            _ => None,
        };
        let plans = loader.active && loader.planned.is_none();
        if plans {
            loader.planned = Some(loader.plan(f, s));
        }
        if let Some(piece) = issues {
            loader.planned = None;
            loader.pass(&piece, f, pool, s);
            loader.active = !row_ends;
        }
        if takes {
            loader.take(row, f, pool);
            self.walker.step(f, self.pooling, &self.sizes);
        }
    }

    /// What a go pulse begins.
    fn start(&mut self, inputs: &PatchInputs<'_>, f: &PatchFields, was_finished: bool) {
        if self.walker.starting && self.pool.climb == 0 {
            self.walker.begin(f, self.pooling, &self.sizes);
        }
        self.pool.climb = (self.pool.climb - 1).max(0);
        if inputs.go_pool {
            self.pool.climb = f.groups - 1;
        }
        self.walker.starting |= inputs.go_compute || inputs.go_pool;
        if inputs.go_compute || inputs.go_pool || was_finished {
            self.pooling = inputs.go_pool;
        }
    }

    /// The word that is staged, or the one that a POOL writes.
    fn write_memory(&mut self, pooled: Option<Pooled>) {
        let s = &self.sizes;
        let word =
            |address: i64| address as usize * s.word_words..(address as usize + 1) * s.word_words;
        if self.staged.input {
            let target = &mut self.memory[word(self.staged.address)];
            target.copy_from_slice(&self.staged.input_value);
        } else if self.staged.back != 0 {
            let target = &mut self.memory[word(self.staged.address)];
            s.write_granule(target, &self.staged.back_value, self.staged.back);
        } else if let Some(pooled) = pooled {
            let target = &mut self.memory[word(pooled.address)];
            s.write_slices(target, &self.pool.kept[pooled.group], pooled.mask);
        }
    }

    fn stage(&mut self, inputs: &PatchInputs<'_>) {
        let s = &self.sizes;
        let memory = s.activation_words - 1;
        (self.staged.input, self.staged.back) = (false, 0);
        if let Some((address, word)) = inputs.input {
            self.staged.input = true;
            self.staged.address = i64::from(address) & memory;
            self.staged.input_value.copy_from_slice(word);
        } else if let Some((slices, address, granule)) = inputs.back {
            self.staged.back = slices;
            self.staged.address = i64::from(address) & memory;
            self.staged.back_value.copy_from_slice(granule);
        }
    }
}

impl Loader {
    fn release(&mut self, patch_release: [bool; 2]) {
        for half in (0..2).filter(|half| patch_release[*half]) {
            (self.claimed[half], self.filled[half]) = (false, false);
        }
    }
}

/// Data.
impl Sizes {
    /// The slices that a piece writes; the last piece of a row also writes what is left of its word.
    fn mask(&self, piece: &Piece, to_end: bool) -> u64 {
        let begin = piece.place % self.slices;
        let end = if to_end && piece.closes {
            self.slices
        } else {
            begin + piece.count
        };
        let below = |slice: i64| u64::MAX.checked_shr(64 - slice as u32).unwrap_or(0);
        below(end) & !below(begin)
    }

    /// A piece's word with its granules at their places; 0 elsewhere.
    fn turn(&self, word: &Word, from: &[u64], to: &mut [u64], f: &PatchFields, pool: bool) {
        to.fill(0);
        let piece = &word.piece;
        let (begin, lanes) = (
            piece.place % self.slices,
            piece.count as usize * self.granule,
        );
        let (begin, source) = (begin as usize, (piece.granule % self.slices) as usize);
        let pad = f.pad_code >> (word.group * i64::from(self.code_bits)).min(63);
        for plane in 0..self.planes {
            let range = plane * self.plane_words..(plane + 1) * self.plane_words;
            let target = &mut to[range.clone()];
            if piece.inside {
                let source = source * self.granule;
                copy_bits(&from[range], source, target, begin * self.granule, lanes);
            } else if !pool && pad >> plane & 1 == 1 {
                set_bits(target, begin * self.granule, lanes);
            }
        }
    }

    fn write_slices(&self, target: &mut [u64], word: &[u64], mask: u64) {
        for slice in (0..self.slices as usize).filter(|slice| mask >> slice & 1 == 1) {
            for plane in 0..self.planes {
                let range = plane * self.plane_words..(plane + 1) * self.plane_words;
                let lane = slice * self.granule;
                copy_bits(
                    &word[range.clone()],
                    lane,
                    &mut target[range],
                    lane,
                    self.granule,
                );
            }
        }
    }

    fn write_granule(&self, target: &mut [u64], granule: &[u64], mask: u64) {
        for slice in (0..self.slices as usize).filter(|slice| mask >> slice & 1 == 1) {
            for plane in 0..self.planes {
                let target = &mut target[plane * self.plane_words..(plane + 1) * self.plane_words];
                let granule =
                    &granule[plane * self.granule_words..(plane + 1) * self.granule_words];
                copy_bits(granule, 0, target, slice * self.granule, self.granule);
            }
        }
    }
}

/// Copies `count` bits.
fn copy_bits(from: &[u64], mut source: usize, to: &mut [u64], mut target: usize, count: usize) {
    let end = target + count;
    while target < end {
        let room = (64 - source % 64).min(64 - target % 64).min(end - target);
        let mask = (u64::MAX >> (64 - room)) << (target % 64);
        let bits = from[source / 64] >> (source % 64) << (target % 64);
        let word = &mut to[target / 64];
        *word = (*word & !mask) | (bits & mask);
        (source, target) = (source + room, target + room);
    }
}

/// Sets `count` bits.
fn set_bits(to: &mut [u64], first: usize, count: usize) {
    for bit in first..first + count {
        to[bit / 64] |= 1 << (bit % 64);
    }
}
