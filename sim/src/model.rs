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

use crate::kernel::{ActivationPair, BLOCK, WeightPair, count_pairs};
use crate::packed::low_mask;
use crate::pairs::PairSplit;
use crate::simulator::{Beat, ConstantWrite, Inputs, Outputs, RowMode, Simulator, SimulatorError};
use multiversion::multiversion;
use xnorforge_hdl::Design;

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
    /// `[row][branch][word]`.
    activation: Vec<ActivationPair>,
    /// `[branch][block of columns][word]`.
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
    /// `[row][column]`, columns padded to whole blocks.
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
        let padded = g.rows * g.blocks * BLOCK;
        let stage = Stage {
            entry: vec![0; g.rows],
            activation: vec![[0; 2]; g.rows * g.activation_branches * g.split.words],
            // Weights of 1 keep the counts of the columns that only fill the last block in range.
            weight: vec![
                [[u64::MAX; BLOCK], [0; BLOCK]];
                g.weight_branches * g.blocks * g.split.words
            ],
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

    /// The clock edge. Each part reads registers downstream of it only before they change, so the parts are
    /// updated from the result port backwards.
    fn edge(&mut self, flow: &Flow, inputs: &Inputs<'_>) {
        self.skid.edge(&self.e2, inputs.result_ready);
        if flow.e2_ready {
            self.e2.edge(&self.e1, &self.geometry);
        }
        if flow.drain_ready {
            self.e1.valid = flow.row_leaves;
            if flow.row_leaves {
                self.e1.take(&self.drain, &self.memory, &self.geometry);
            }
        }
        if flow.load {
            self.drain
                .load(&self.done, &self.accumulators, &self.geometry);
        } else if flow.row_leaves {
            self.drain.remaining -= 1;
            self.drain.busy = !flow.last_row;
        }
        if flow.advance {
            let beat = self.pipe.oldest();
            if beat.valid {
                self.accumulators.add(beat, &self.geometry);
            }
            self.done.edge(beat);
            self.pipe.advance(inputs.operand, &self.geometry);
        }
        if let Some(write) = inputs.constant {
            self.write_constant(write);
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
        self.edge(&flow, inputs);
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

    /// The lowest `result_width` bits of a number, as two's complement.
    #[inline(always)]
    fn wrap(&self, value: i64) -> i64 {
        let unused = 64 - self.result_width;
        value << unused >> unused
    }
}

impl Stage {
    /// Takes what stands at the operand port.
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

    fn take_activation(&mut self, words: &[u64], g: &Geometry) {
        assert_eq!(
            words.len(),
            g.rows * g.activation_branches * g.port_words,
            "words of the activation port"
        );
        let pairs = self.activation.chunks_exact_mut(g.split.words);
        for (pairs, word) in pairs.zip(words.chunks_exact(g.port_words)) {
            for (j, pair) in pairs.iter_mut().enumerate() {
                *pair = g.split.activation(word, j);
            }
        }
    }

    fn take_weight(&mut self, words: &[u64], g: &Geometry) {
        assert_eq!(
            words.len(),
            g.columns * g.weight_branches * g.port_words,
            "words of the weight port"
        );
        for (index, word) in words.chunks_exact(g.port_words).enumerate() {
            let (column, branch) = (index / g.weight_branches, index % g.weight_branches);
            let block = branch * g.blocks + column / BLOCK;
            let pairs = &mut self.weight[block * g.split.words..][..g.split.words];
            for (j, pair) in pairs.iter_mut().enumerate() {
                let [w1, ow] = g.split.weight(word, j);
                pair[0][column % BLOCK] = w1;
                pair[1][column % BLOCK] = ow;
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
        add_counts(&mut self.elements, &beat.activation, &beat.weight, g);
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
fn shift_all(sums: &mut [u64], shift: u32, width_mask: u64, keep: u64) {
    for sum in sums {
        *sum = (*sum & width_mask) >> shift & keep;
    }
}

/// Adds the counts of one beat to the adding part of every processing element's accumulator.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx512vpopcntdq+bmi1+bmi2+popcnt",
    "x86_64+avx2+bmi1+bmi2+popcnt",
    "x86_64+popcnt",
))]
fn add_counts(
    sums: &mut [u64],
    activation: &[ActivationPair],
    weight: &[WeightPair],
    g: &Geometry,
) {
    const TALL: usize = 4;
    let tall = g.rows / TALL * TALL;
    for block in 0..g.blocks {
        for row in (0..tall).step_by(TALL) {
            add_block::<TALL>(sums, activation, weight, g, row, block);
        }
        for row in tall..g.rows {
            add_block::<1>(sums, activation, weight, g, row, block);
        }
    }
}

/// Adds the counts of `ROWS` rows by one block of columns.
#[inline(always)]
fn add_block<const ROWS: usize>(
    sums: &mut [u64],
    activation: &[ActivationPair],
    weight: &[WeightPair],
    g: &Geometry,
    row: usize,
    block: usize,
) {
    let words = g.split.words;
    let mut totals = [[0; BLOCK]; ROWS];
    for m in 0..g.activation_branches {
        let rows: [&[ActivationPair]; ROWS] = std::array::from_fn(|r| {
            &activation[((row + r) * g.activation_branches + m) * words..][..words]
        });
        for k in 0..g.weight_branches {
            let columns = &weight[(k * g.blocks + block) * words..][..words];
            let counts = count_pairs(rows, columns);
            for (totals, counts) in totals.iter_mut().zip(&counts) {
                for (total, count) in totals.iter_mut().zip(counts) {
                    *total += count << (m + k);
                }
            }
        }
    }
    for (r, totals) in totals.iter().enumerate() {
        let sums = &mut sums[((row + r) * g.blocks + block) * BLOCK..][..BLOCK];
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = sum.wrapping_add(total << g.low_width);
        }
    }
}

/// Adds the row units' counts of one beat.
fn add_row_counts(sums: &mut [u64], beat: &Stage, g: &Geometry) {
    let row_words = g.activation_branches * g.split.words;
    let weights = (1u64 << g.weight_branches) - 1;
    for (sum, row) in sums.iter_mut().zip(beat.activation.chunks_exact(row_words)) {
        let mut count = 0;
        for (m, branch) in row.chunks_exact(g.split.words).enumerate() {
            let total = |f: fn(u64, u64) -> u32| -> u64 {
                branch.iter().map(|[a1, oa]| u64::from(f(*a1, *oa))).sum()
            };
            count += match beat.row_mode {
                RowMode::Odd => weights * total(|_, oa| oa.count_ones()),
                RowMode::OddAndSum => {
                    let ones = total(|a1, oa| a1.count_ones() + (a1 ^ oa).count_ones());
                    weights * total(|_, oa| oa.count_ones()) + ones
                }
                RowMode::NotBoth => {
                    let both = total(|a1, oa| (a1 & !oa).count_ones());
                    2 * weights * (g.split.half as u64 - both)
                }
            } << m;
        }
        *sum = sum.wrapping_add(count << g.low_width);
    }
}

impl Done {
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

fn shift_right(taken: &mut [i64], e2: &Epilogue2) {
    for (taken, value) in taken.iter_mut().zip(&e2.value) {
        *taken = value >> e2.shift;
    }
}
