//! The operands inside the model: the popcount's pipeline registers, and the shapes that all parts share.

use crate::kernel::{ActivationGroup, BLOCK, GROUP, WeightPair};
use crate::packed::low_mask;
use crate::pairs::PairSplit;
use crate::simulator::{Beat, RowMode};
use xnorforge_hdl::Design;

/// Sizes and widths that never change.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub rows: usize,
    pub columns: usize,
    /// Groups of four rows.
    pub groups: usize,
    /// Blocks of eight columns.
    pub blocks: usize,
    pub activation_branches: usize,
    pub weight_branches: usize,
    pub split: PairSplit,
    shift_amounts: Vec<u32>,
    pub low_width: u32,
    pub sum_mask: u64,
    pub row_sum_mask: u64,
    align_mask: u32,
    pub entry_mask: u32,
    result_width: u32,
}

impl Geometry {
    pub fn new(design: &Design) -> Self {
        let c = design.config();
        Geometry {
            rows: c.rows as usize,
            columns: c.columns as usize,
            groups: (c.rows as usize).div_ceil(GROUP),
            blocks: (c.columns as usize).div_ceil(BLOCK),
            activation_branches: c.activation_branches as usize,
            weight_branches: c.weight_branches as usize,
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
    pub fn wrap(&self, value: i64) -> i64 {
        let unused = 64 - self.result_width;
        value << unused >> unused
    }
}

/// One register of the popcount's pipeline, with the operands still uncounted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage {
    pub valid: bool,
    pub first: bool,
    pub last: bool,
    pub shift: u32,
    pub row_mode: RowMode,
    pub align: u32,
    pub result_shift: u32,
    pub entry: Vec<u32>,
    /// `[group of rows][branch][word]`; rows past the last one are 0.
    activation: Vec<ActivationGroup>,
    /// `[block of columns][branch][word]`; columns past the last one are weights of 0.
    weight: Vec<WeightPair>,
}

impl Stage {
    fn new(g: &Geometry) -> Self {
        let words = g.split.words;
        Stage {
            entry: vec![0; g.rows],
            activation: vec![[[0; 2]; GROUP]; g.groups * g.activation_branches * words],
            weight: vec![[[0; BLOCK]; 2]; g.blocks * g.weight_branches * words],
            ..Stage::default()
        }
    }

    /// The words of one branch of a group of rows.
    #[inline(always)]
    pub fn activation(&self, g: &Geometry, group: usize, branch: usize) -> &[ActivationGroup] {
        let index = group * g.activation_branches + branch;
        &self.activation[index * g.split.words..][..g.split.words]
    }

    /// The words of one branch of a block of columns.
    #[inline(always)]
    pub fn weight(&self, g: &Geometry, block: usize, branch: usize) -> &[WeightPair] {
        let index = block * g.weight_branches + branch;
        &self.weight[index * g.split.words..][..g.split.words]
    }

    /// Takes what stands at the operand port.
    #[inline(always)]
    fn take(&mut self, operand: Option<&Beat>, g: &Geometry) {
        self.valid = operand.is_some();
        let Some(beat) = operand else { return };
        self.first = beat.first;
        self.last = beat.last;
        let shift = beat.shift.map(|index| g.shift_amounts[index as usize]);
        self.shift = shift.unwrap_or(0);
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
    fn take_activation(&mut self, port: &[u64], g: &Geometry) {
        let words = g.activation_branches * g.split.port_words;
        assert_eq!(port.len(), g.rows * words, "words of the activation port");
        let groups = self
            .activation
            .chunks_exact_mut(g.activation_branches * g.split.words);
        for (group, port) in groups.zip(port.chunks(GROUP * words)) {
            for (m, branch) in group.chunks_exact_mut(g.split.words).enumerate() {
                let word = |i| strided(&port[m * g.split.port_words + i..], words);
                for (j, pairs) in branch.iter_mut().enumerate() {
                    *pairs = g.split.activation(j, word);
                }
            }
        }
    }

    #[inline(always)]
    fn take_weight(&mut self, port: &[u64], g: &Geometry) {
        let words = g.weight_branches * g.split.port_words;
        assert_eq!(port.len(), g.columns * words, "words of the weight port");
        let blocks = self
            .weight
            .chunks_exact_mut(g.weight_branches * g.split.words);
        for (block, port) in blocks.zip(port.chunks(BLOCK * words)) {
            for (k, branch) in block.chunks_exact_mut(g.split.words).enumerate() {
                let word = |i| strided(&port[k * g.split.port_words + i..], words);
                for (j, pairs) in branch.iter_mut().enumerate() {
                    *pairs = g.split.weight(j, word);
                }
            }
        }
    }
}

/// Every `stride`-th word, 0 past the end.
#[inline(always)]
fn strided<const N: usize>(words: &[u64], stride: usize) -> [u64; N] {
    match words.first_chunk() {
        // One load, where the general case takes one for each word.
        Some(side_by_side) if stride == 1 => *side_by_side,
        _ => std::array::from_fn(|i| words.get(i * stride).copied().unwrap_or(0)),
    }
}

/// The D stages, as a ring.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    stages: Vec<Stage>,
    /// Where stage D is; stage 1 follows it.
    oldest: usize,
}

impl Pipe {
    pub fn new(depth: usize, g: &Geometry) -> Self {
        Pipe {
            stages: vec![Stage::new(g); depth],
            oldest: 0,
        }
    }

    /// Stage D.
    #[inline(always)]
    pub fn oldest(&self) -> &Stage {
        &self.stages[self.oldest]
    }

    /// Every stage moves on; the buffers of stage D become those of stage 1.
    #[inline(always)]
    pub fn advance(&mut self, operand: Option<&Beat>, g: &Geometry) {
        self.stages[self.oldest].take(operand, g);
        self.oldest += 1;
        if self.oldest == self.stages.len() {
            self.oldest = 0;
        }
    }

    /// Makes every stage invalid.
    pub fn reset(&mut self) {
        for stage in &mut self.stages {
            stage.valid = false;
        }
    }

    /// Bit d is the valid bit of stage d + 1.
    pub fn valid_mask(&self) -> u64 {
        let (after, before) = self.stages.split_at(self.oldest);
        let oldest_first = before.iter().chain(after);
        oldest_first.fold(0, |mask, stage| mask << 1 | u64::from(stage.valid))
    }
}
