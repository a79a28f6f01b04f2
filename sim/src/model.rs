//! The cycle-accurate model of the array: every register of `docs/microarchitecture.md`, updated as there.
//!
//! It computes as the hardware does, through pair bits, row terms and column constants, and never through the
//! reference encoder. Counts are made on whole words when a beat reaches the accumulators. Registers that hold
//! rows are moved by index or by swapping buffers; nothing is allocated after the first cycles.
//!
//! ```
//! use xnorforge_hdl::ArrayConfig;
//! use xnorforge_sim::{Inputs, Model, Simulator};
//! let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
//! let mut model = Model::new(&design);
//! let outputs = model.step(&Inputs::default()).unwrap();
//! assert!(outputs.operand_ready && !outputs.result_valid);
//! ```

use crate::kernel::{
    ActivationGroup, ActivationPair, BLOCK, GROUP, Significances, WeightPair, dispatched, sum_pairs,
};
use crate::packed::low_mask;
use crate::pairs::PairSplit;
use crate::simulator::{Beat, ConstantWrite, Inputs, Outputs, RowMode, Simulator, SimulatorError};
use xnorforge_hdl::Design;
use xnorforge_hdl::config::BITS_MAX;

/// The array, one clock cycle at a time.
#[derive(Clone, Debug)]
pub struct Model {
    geometry: Geometry,
    cycle: u64,
    pipe: Pipe,
    accumulators: Accumulators,
    done: Done,
    drain: Drain,
    memory: Vec<i64>,
    e1: Epilogue1,
    e2: Epilogue2,
    skid: Skid,
    outputs: Outputs,
}

/// Sizes and widths that never change.
#[derive(Clone, Debug)]
struct Geometry {
    rows: usize,
    columns: usize,
    /// Groups of four rows.
    groups: usize,
    /// Blocks of eight columns.
    blocks: usize,
    activation_branches: usize,
    weight_branches: usize,
    /// Words of one branch of one operand on the port.
    port_words: usize,
    split: PairSplit,
    shift_amounts: Vec<u32>,
    low_width: u32,
    sum_mask: u64,
    row_sum_mask: u64,
    align_mask: u32,
    entry_mask: u32,
    result_width: u32,
}

/// One register of the popcount's pipeline, with the operands still uncounted.
#[derive(Clone, Debug, Default)]
struct Stage {
    valid: bool,
    first: bool,
    last: bool,
    shift: u32,
    row_mode: RowMode,
    align: u32,
    result_shift: u32,
    entry: Vec<u32>,
    /// `[group of rows][branch][word]`; rows past the last one are 0.
    activation: Vec<ActivationGroup>,
    /// `[block of columns][branch][word]`.
    weight: Vec<WeightPair>,
}

/// The D stages, as a ring: stage 1 is at `newest`.
#[derive(Clone, Debug)]
struct Pipe {
    stages: Vec<Stage>,
    newest: usize,
}

/// Accumulators as `{high, low}`, one for each processing element and each row unit.
#[derive(Clone, Debug)]
struct Accumulators {
    /// `[row][column]`, padded to whole groups and blocks.
    elements: Vec<u64>,
    rows: Vec<u64>,
}

/// `done` and the registers beside it.
#[derive(Clone, Debug, Default)]
struct Done {
    valid: bool,
    align: u32,
    result_shift: u32,
    entry: Vec<u32>,
}

/// The drain. Rows stay where they are; `remaining` says which one is at its head.
#[derive(Clone, Debug)]
struct Drain {
    busy: bool,
    remaining: usize,
    align: u32,
    result_shift: u32,
    entry: Vec<u32>,
    elements: Vec<u64>,
    rows: Vec<u64>,
}

/// First register of the epilogue.
#[derive(Clone, Debug, Default)]
struct Epilogue1 {
    valid: bool,
    last: bool,
    shift: u32,
    row: u64,
    sum: Vec<u64>,
    constant: Vec<i64>,
}

/// Second register of the epilogue.
#[derive(Clone, Debug, Default)]
struct Epilogue2 {
    valid: bool,
    last: bool,
    shift: u32,
    value: Vec<i64>,
}

/// The skid buffer at the result port.
#[derive(Clone, Debug, Default)]
struct Skid {
    main_valid: bool,
    main_last: bool,
    main: Vec<i64>,
    spill_valid: bool,
    spill_last: bool,
    spill: Vec<i64>,
}

impl Model {
    /// The array of a design, as after reset.
    pub fn new(design: &Design) -> Self {
        let geometry = Geometry::new(design);
        let g = &geometry;
        let padded = g.groups * GROUP * g.blocks * BLOCK;
        let stage = Stage {
            entry: vec![0; g.rows],
            activation: vec![[[0; 3]; GROUP]; g.groups * g.activation_branches * g.split.words],
            weight: vec![[[0; BLOCK]; 2]; g.weight_branches * g.blocks * g.split.words],
            ..Stage::default()
        };
        Model {
            cycle: 0,
            pipe: Pipe {
                stages: vec![stage; design.config().popcount_stages as usize],
                newest: 0,
            },
            accumulators: Accumulators {
                elements: vec![0; padded],
                rows: vec![0; g.rows],
            },
            done: Done {
                entry: vec![0; g.rows],
                ..Done::default()
            },
            drain: Drain {
                busy: false,
                remaining: 0,
                align: 0,
                result_shift: 0,
                entry: vec![0; g.rows],
                elements: vec![0; padded],
                rows: vec![0; g.rows],
            },
            memory: vec![0; design.config().constant_entries as usize * g.columns],
            e1: Epilogue1 {
                sum: vec![0; g.columns],
                constant: vec![0; g.columns],
                ..Epilogue1::default()
            },
            e2: Epilogue2 {
                value: vec![0; g.columns],
                ..Epilogue2::default()
            },
            skid: Skid {
                main: vec![0; g.columns],
                spill: vec![0; g.columns],
                ..Skid::default()
            },
            outputs: Outputs::default(),
            geometry,
        }
    }

    /// The registers that control the flow, by their names in the RTL, for messages and waveforms.
    pub fn control_registers(&self) -> [(&'static str, u64); 9] {
        [
            ("done", self.done.valid.into()),
            ("busy", self.drain.busy.into()),
            ("remaining", self.drain.remaining as u64),
            ("e1_valid", self.e1.valid.into()),
            ("e2_valid", self.e2.valid.into()),
            ("main_valid", self.skid.main_valid.into()),
            ("main_last", self.skid.main_last.into()),
            ("spill_valid", self.skid.spill_valid.into()),
            ("stages_valid", self.pipe.valid_mask()),
        ]
    }

    fn set_outputs(&mut self, operand_ready: bool) {
        let out = &mut self.outputs;
        out.operand_ready = operand_ready;
        out.result_valid = self.skid.main_valid;
        out.result_last = self.skid.main_valid && self.skid.main_last;
        out.result.clear();
        if self.skid.main_valid {
            out.result.extend_from_slice(&self.skid.main);
        }
    }

    fn write_constant(&mut self, write: &ConstantWrite) {
        let g = &self.geometry;
        let entry = (write.entry & g.entry_mask) as usize;
        self.memory[entry * g.columns..][..g.columns].copy_from_slice(&write.value);
    }

    fn reset(&mut self) {
        for stage in &mut self.pipe.stages {
            stage.valid = false;
        }
        self.done.valid = false;
        self.drain.busy = false;
        self.e1.valid = false;
        self.e2.valid = false;
        self.skid.main_valid = false;
        self.skid.spill_valid = false;
    }
}

dispatched! {
    /// The clock edge. Each part reads registers upstream of it only before they change, so the parts are
    /// updated from the result port backwards.
    fn clock_edge(model: &mut Model, flow: &Flow, inputs: &Inputs<'_>) {
        let g = &model.geometry;
        model.skid.edge(&model.e2, inputs.result_ready);
        if flow.e2_ready {
            model.e2.edge(&model.e1, g);
        }
        if flow.drain_ready {
            model.e1.valid = flow.row_leaves;
            if flow.row_leaves {
                model.e1.take(&model.drain, &model.memory, g);
            }
        }
        if flow.load {
            model.drain.load(&model.done, &model.accumulators, g);
        } else if flow.row_leaves {
            model.drain.remaining -= 1;
            model.drain.busy = !flow.last_row;
        }
        if flow.advance {
            let beat = model.pipe.oldest();
            if beat.valid {
                model.accumulators.add(beat, g);
            }
            model.done.edge(beat);
            model.pipe.advance(inputs.operand, g);
        }
        if let Some(write) = inputs.constant {
            model.write_constant(write);
        }
    }
}

/// The wires between the parts in one cycle; functions of registers alone.
struct Flow {
    e2_ready: bool,
    drain_ready: bool,
    row_leaves: bool,
    last_row: bool,
    load: bool,
    advance: bool,
}

impl Flow {
    fn of(model: &Model) -> Self {
        let skid_ready = !model.skid.spill_valid;
        let e2_ready = !model.e2.valid || skid_ready;
        let drain_ready = !model.e1.valid || e2_ready;
        let row_leaves = model.drain.busy && drain_ready;
        let last_row = model.drain.remaining == 1;
        let can_load = !model.drain.busy || (row_leaves && last_row);
        Flow {
            e2_ready,
            drain_ready,
            row_leaves,
            last_row,
            load: model.done.valid && can_load,
            advance: !model.done.valid || can_load,
        }
    }
}

impl Simulator for Model {
    fn name(&self) -> &str {
        "model"
    }

    /// One cycle; never fails.
    ///
    /// # Panics
    /// If the buffers of a beat or a constant have not the lengths of the design.
    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        let flow = Flow::of(self);
        self.set_outputs(flow.advance);
        clock_edge(self, &flow, inputs);
        if inputs.reset {
            self.reset();
        }
        self.cycle += 1;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}

impl Geometry {
    fn new(design: &Design) -> Self {
        let c = design.config();
        Geometry {
            rows: c.rows as usize,
            columns: c.columns as usize,
            groups: (c.rows as usize).div_ceil(GROUP),
            blocks: (c.columns as usize).div_ceil(BLOCK),
            activation_branches: c.activation_branches as usize,
            weight_branches: c.weight_branches as usize,
            port_words: c.lanes.div_ceil(64) as usize,
            split: PairSplit::new(c.lanes as usize),
            shift_amounts: design.shift_amounts.clone(),
            low_width: design.accumulator_low_width,
            sum_mask: low_mask(design.sum_width() as usize),
            row_sum_mask: low_mask(design.row_sum_width() as usize),
            align_mask: low_mask(design.align_width as usize) as u32,
            entry_mask: low_mask(design.entry_width as usize) as u32,
            result_width: design.result_width,
        }
    }

    /// Where the words of one branch of a group of rows begin.
    #[inline(always)]
    fn activation_at(&self, group: usize, branch: usize) -> usize {
        (group * self.activation_branches + branch) * self.split.words
    }

    /// Where the words of one branch of a block of columns begin.
    #[inline(always)]
    fn weight_at(&self, block: usize, branch: usize) -> usize {
        (block * self.weight_branches + branch) * self.split.words
    }

    /// The lowest `result_width` bits of a number, as two's complement.
    #[inline(always)]
    fn wrap(&self, value: i64) -> i64 {
        let unused = 64 - self.result_width;
        value << unused >> unused
    }
}

impl Stage {
    /// Takes what stands at the operand port.
    #[inline(always)]
    fn take(&mut self, operand: Option<&Beat>, g: &Geometry) {
        self.valid = operand.is_some();
        let Some(beat) = operand else { return };
        self.first = beat.first;
        self.last = beat.last;
        self.shift = beat
            .shift
            .map_or(0, |index| g.shift_amounts[index as usize]);
        self.row_mode = beat.row_mode;
        if beat.last {
            self.align = beat.align & g.align_mask;
            self.result_shift = beat.result_shift;
            self.entry.copy_from_slice(&beat.entry);
        }
        self.take_activation(&beat.activation, g);
        self.take_weight(&beat.weight, g);
    }

    #[inline(always)]
    fn take_activation(&mut self, words: &[u64], g: &Geometry) {
        let branches = g.rows * g.activation_branches;
        assert_eq!(
            words.len(),
            branches * g.port_words,
            "words of the activation port"
        );
        for row in 0..g.rows {
            for m in 0..g.activation_branches {
                let word =
                    &words[(row * g.activation_branches + m) * g.port_words..][..g.port_words];
                let pairs =
                    &mut self.activation[g.activation_at(row / GROUP, m)..][..g.split.words];
                g.split
                    .activation(word, |j, pair| pairs[j][row % GROUP] = pair);
            }
        }
    }

    #[inline(always)]
    fn take_weight(&mut self, words: &[u64], g: &Geometry) {
        let branches = g.columns * g.weight_branches;
        assert_eq!(
            words.len(),
            branches * g.port_words,
            "words of the weight port"
        );
        for column in 0..g.columns {
            for k in 0..g.weight_branches {
                let word =
                    &words[(column * g.weight_branches + k) * g.port_words..][..g.port_words];
                let pairs = &mut self.weight[g.weight_at(column / BLOCK, k)..][..g.split.words];
                g.split.weight(word, |j, [not_w1, differ]| {
                    pairs[j][0][column % BLOCK] = not_w1;
                    pairs[j][1][column % BLOCK] = differ;
                });
            }
        }
    }
}

impl Pipe {
    /// Stage D.
    fn oldest(&self) -> &Stage {
        &self.stages[(self.newest + self.stages.len() - 1) % self.stages.len()]
    }

    /// Every stage moves on; the buffers of stage D become those of stage 1.
    #[inline(always)]
    fn advance(&mut self, operand: Option<&Beat>, g: &Geometry) {
        let depth = self.stages.len();
        self.newest = (self.newest + depth - 1) % depth;
        self.stages[self.newest].take(operand, g);
    }

    /// Bit d is the valid bit of stage d + 1.
    fn valid_mask(&self) -> u64 {
        let depth = self.stages.len();
        (0..depth).fold(0, |mask, d| {
            mask | u64::from(self.stages[(self.newest + d) % depth].valid) << d
        })
    }
}

impl Accumulators {
    #[inline(always)]
    fn add(&mut self, beat: &Stage, g: &Geometry) {
        if beat.first || beat.shift > 0 {
            let low = if beat.first {
                low_mask(g.low_width as usize)
            } else {
                u64::MAX
            };
            shift_all(&mut self.elements, beat.shift, g.sum_mask, low);
            shift_all(&mut self.rows, beat.shift, g.row_sum_mask, low);
        }
        add_counts(&mut self.elements, beat, g);
        add_row_counts(&mut self.rows, beat, g);
        debug_assert!(
            self.elements.iter().all(|sum| sum & !g.sum_mask == 0)
                && self.rows.iter().all(|sum| sum & !g.row_sum_mask == 0),
            "an accumulator overflows: the beats are no tile of a lowered GEMM"
        );
    }
}

/// `{high, low} >> shift`, and `high` cleared where `keep` says so. The bits past the accumulator's width are
/// dropped first: the RTL never had them.
#[inline(always)]
fn shift_all(sums: &mut [u64], shift: u32, width_mask: u64, keep: u64) {
    for sum in sums {
        *sum = (*sum & width_mask) >> shift & keep;
    }
}

/// Adds the counts of one beat to the adding part of every processing element's accumulator.
#[inline(always)]
fn add_counts(sums: &mut [u64], beat: &Stage, g: &Geometry) {
    // Within a group, branch m weighs 2^m; the group's own significance is in the shifts.
    const EXPONENTS: [u32; BITS_MAX as usize] = [0, 1, 2, 3, 4, 5, 6, 7];
    let significances = Significances {
        activation: &EXPONENTS[..g.activation_branches],
        weight: &EXPONENTS[..g.weight_branches],
    };
    let mut counts = [[0; BLOCK]; GROUP];
    for block in 0..g.blocks {
        let columns = &beat.weight[g.weight_at(block, 0)..g.weight_at(block + 1, 0)];
        for group in 0..g.groups {
            let rows = &beat.activation[g.activation_at(group, 0)..g.activation_at(group + 1, 0)];
            sum_pairs(rows, columns, significances, &mut counts);
            for (row, counts) in (group * GROUP..).zip(&counts) {
                let sums = &mut sums[(row * g.blocks + block) * BLOCK..][..BLOCK];
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum = sum.wrapping_add(count << g.low_width);
                }
            }
        }
    }
}

/// Adds the row units' counts of one beat.
#[inline(always)]
fn add_row_counts(sums: &mut [u64], beat: &Stage, g: &Geometry) {
    for (group, sums) in sums.chunks_mut(GROUP).enumerate() {
        for m in 0..g.activation_branches {
            let branch = &beat.activation[g.activation_at(group, m)..][..g.split.words];
            for (sum, count) in sums.iter_mut().zip(row_counts(branch, beat.row_mode, g)) {
                *sum = sum.wrapping_add(count << (m as u32 + g.low_width));
            }
        }
    }
}

/// What four row units make of one activation branch.
#[inline(always)]
fn row_counts(branch: &[ActivationGroup], mode: RowMode, g: &Geometry) -> [u64; GROUP] {
    let odd = || count_rows(branch, |[_, _, differ]| differ.count_ones());
    let weights = (1u64 << g.weight_branches) - 1;
    match mode {
        RowMode::Odd => odd().map(|odd| weights * odd),
        RowMode::OddAndSum => {
            let (odd, ones) = (
                odd(),
                count_rows(branch, |[a1, a2, _]| a1.count_ones() + a2.count_ones()),
            );
            std::array::from_fn(|row| weights * odd[row] + ones[row])
        }
        RowMode::NotBoth => {
            let both = count_rows(branch, |[a1, a2, _]| (a1 & a2).count_ones());
            both.map(|both| 2 * weights * (g.split.half as u64 - both))
        }
    }
}

/// Sums a count over the words of four rows.
#[inline(always)]
fn count_rows(branch: &[ActivationGroup], count: impl Fn(&ActivationPair) -> u32) -> [u64; GROUP] {
    let mut counts = [0; GROUP];
    for group in branch {
        for (sum, pair) in counts.iter_mut().zip(group) {
            *sum += u64::from(count(pair));
        }
    }
    counts
}

impl Done {
    #[inline(always)]
    fn edge(&mut self, beat: &Stage) {
        self.valid = beat.valid && beat.last;
        if self.valid {
            self.align = beat.align;
            self.result_shift = beat.result_shift;
            self.entry.copy_from_slice(&beat.entry);
        }
    }
}

impl Drain {
    #[inline(always)]
    fn load(&mut self, done: &Done, sums: &Accumulators, g: &Geometry) {
        self.busy = true;
        self.remaining = g.rows;
        self.align = done.align;
        self.result_shift = done.result_shift;
        self.entry.copy_from_slice(&done.entry);
        for (taken, sum) in self.elements.iter_mut().zip(&sums.elements) {
            *taken = sum & g.sum_mask;
        }
        for (taken, sum) in self.rows.iter_mut().zip(&sums.rows) {
            *taken = sum & g.row_sum_mask;
        }
    }
}

impl Epilogue1 {
    /// Takes the drain's head.
    #[inline(always)]
    fn take(&mut self, drain: &Drain, memory: &[i64], g: &Geometry) {
        let row = g.rows - drain.remaining;
        let sums = &drain.elements[row * g.blocks * BLOCK..][..g.columns];
        for (taken, sum) in self.sum.iter_mut().zip(sums) {
            *taken = sum >> drain.align;
        }
        self.row = drain.rows[row] >> drain.align;
        let entry = (drain.entry[row] & g.entry_mask) as usize;
        self.constant
            .copy_from_slice(&memory[entry * g.columns..][..g.columns]);
        self.shift = drain.result_shift;
        self.last = drain.remaining == 1;
    }
}

impl Epilogue2 {
    #[inline(always)]
    fn edge(&mut self, e1: &Epilogue1, g: &Geometry) {
        self.valid = e1.valid;
        if !e1.valid {
            return;
        }
        self.shift = e1.shift;
        self.last = e1.last;
        // All sums have at most 62 bits; two's complement makes wrapping harmless before the cut to E bits.
        let row = (e1.row as i64).wrapping_mul(2);
        for ((value, sum), constant) in self.value.iter_mut().zip(&e1.sum).zip(&e1.constant) {
            let sum = (*sum as i64).wrapping_mul(4);
            *value = g.wrap(sum.wrapping_add(*constant).wrapping_sub(row));
        }
    }
}

impl Skid {
    #[inline(always)]
    fn edge(&mut self, e2: &Epilogue2, result_ready: bool) {
        let main_ready = !self.main_valid || result_ready;
        let has_input = self.spill_valid || e2.valid;
        if main_ready {
            self.main_valid = has_input;
            if self.spill_valid {
                std::mem::swap(&mut self.main, &mut self.spill);
                self.main_last = self.spill_last;
            } else if e2.valid {
                shift_right(&mut self.main, e2);
                self.main_last = e2.last;
            }
        } else if !self.spill_valid && e2.valid {
            shift_right(&mut self.spill, e2);
            self.spill_last = e2.last;
        }
        self.spill_valid = has_input && !main_ready;
    }
}

#[inline(always)]
fn shift_right(taken: &mut [i64], e2: &Epilogue2) {
    for (taken, value) in taken.iter_mut().zip(&e2.value) {
        *taken = value >> e2.shift;
    }
}
