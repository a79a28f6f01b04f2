//! Lowering of a GEMM onto an array: what every beat and every column constant holds.
//!
//! [`Plan`] is the part that needs no data: stored forms, schedule, tiles and passes. [`Lowered`] adds the
//! bit-planes and the column constants and makes the beats one by one. Rules and formulas are those of
//! `docs/microarchitecture.md`.

use crate::encoder::Encoding;
use crate::gemm::{Gemm, GemmError, GemmShape, Precision};
use crate::packed::{BitPlanes, Padding, StoredForm, TapMask, low_mask};
use crate::pairs::PairSplit;
use crate::simulator::{Beat, ConstantWrite, RowMode};
use std::ops::Range;
use xnorforge_hdl::schedule::{self, GroupPair};
use xnorforge_hdl::{Design, timing};

/// Why a GEMM does not run on a design. Each message names the field, the value, the limit and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LowerError {
    /// The GEMM itself is not legal.
    #[error(transparent)]
    Gemm(#[from] GemmError),
    /// More bits than the design takes.
    #[error(
        "{operand} have {bits} bits, past the design's `{field}` = {limit}; raise `{field}` or quantize to fewer bits"
    )]
    Bits {
        /// `activations` or `weights`.
        operand: &'static str,
        /// What was given.
        bits: u32,
        /// The field of the configuration.
        field: &'static str,
        /// Its value.
        limit: u32,
    },
    /// A longer reduction than the design's widths hold.
    #[error(
        "the reduction has {elements} elements, past the design's `reduction_max` = {limit}; raise `reduction_max` or split the product"
    )]
    Reduction {
        /// What was given.
        elements: u64,
        /// The limit.
        limit: u32,
    },
    /// More border classes than constant entries.
    #[error(
        "{classes} border classes need as many constant entries, past the design's `constant_entries` = {limit}; raise `constant_entries`"
    )]
    Classes {
        /// What was given.
        classes: u32,
        /// The limit.
        limit: u32,
    },
    /// A result might not fit.
    #[error(
        "column {column} can reach {magnitude} inside the epilogue, past the {limit} that the design's result width of {width} bits holds; lower the bias or raise `reduction_max`"
    )]
    Result {
        /// The column.
        column: usize,
        /// The largest magnitude of d_x * d_w * result.
        magnitude: i128,
        /// The largest one that fits.
        limit: i128,
        /// `result_width`.
        width: u32,
    },
}

/// One step of a tile's schedule: a group pair and what its beats carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleStep {
    /// The group pair.
    pub pair: GroupPair,
    /// Index of the pair's shift into `Design::shift_amounts`, or none.
    pub shift: Option<u32>,
    /// What the row units count.
    pub row_mode: RowMode,
}

/// One pass: the column tiles whose constants the memory holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The pass's column tiles.
    pub column_tiles: Range<u64>,
    /// Entries of the constant memory that it writes.
    pub entries: u64,
    /// Tiles that it computes.
    pub tiles: u64,
    /// Beats that it streams.
    pub beats: u64,
}

/// How a GEMM of some shape runs on a design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    shape: GemmShape,
    activation: StoredForm,
    weight: StoredForm,
    steps: Vec<ScheduleStep>,
    align: u32,
    chunks: u64,
    row_tiles: u64,
    column_tiles: u64,
    column_tiles_per_pass: u64,
}

impl Plan {
    /// Plans a shape.
    ///
    /// # Errors
    /// A [`LowerError`] for a shape that is not legal or that the design cannot run.
    pub fn new(design: &Design, shape: &GemmShape) -> Result<Self, LowerError> {
        shape.check()?;
        let c = design.config();
        check_bits(
            "activations",
            shape.activation,
            "activation_bits",
            c.activation_bits,
        )?;
        check_bits("weights", shape.weight, "weight_bits", c.weight_bits)?;
        if shape.elements > u64::from(c.reduction_max) {
            return Err(LowerError::Reduction {
                elements: shape.elements,
                limit: c.reduction_max,
            });
        }
        if shape.classes > c.constant_entries {
            return Err(LowerError::Classes {
                classes: shape.classes,
                limit: c.constant_entries,
            });
        }
        let activation = StoredForm::for_branches(shape.activation, c.activation_branches);
        let weight = StoredForm::for_branches(shape.weight, c.weight_branches);
        let pairs = schedule::group_pairs(
            &activation.group_significances(c.activation_branches),
            &weight.group_significances(c.weight_branches),
        );
        let shifts: u32 = pairs.iter().map(|p| p.shift).sum();
        Ok(Plan {
            shape: *shape,
            steps: pairs
                .into_iter()
                .map(|pair| ScheduleStep::new(design, pair, weight.encoding()))
                .collect(),
            align: design.accumulator_low_width - shifts,
            chunks: shape.elements.div_ceil(c.lanes.into()),
            row_tiles: shape.rows.div_ceil(c.rows.into()),
            column_tiles: shape.columns.div_ceil(c.columns.into()),
            column_tiles_per_pass: (c.constant_entries / shape.classes).into(),
            activation,
            weight,
        })
    }

    /// Plans a product, and refuses it if its weights and bias could make a result that does not fit.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and [`LowerError::Result`].
    pub fn of_gemm(design: &Design, gemm: &Gemm) -> Result<Self, LowerError> {
        let plan = Self::new(design, &gemm.shape())?;
        check_results(design, &plan, gemm)?;
        Ok(plan)
    }

    /// The shape.
    pub fn shape(&self) -> &GemmShape {
        &self.shape
    }

    /// How activations are stored.
    pub fn activation(&self) -> &StoredForm {
        &self.activation
    }

    /// How weights are stored.
    pub fn weight(&self) -> &StoredForm {
        &self.weight
    }

    /// The steps of a tile's schedule.
    pub fn steps(&self) -> &[ScheduleStep] {
        &self.steps
    }

    /// The right shift that aligns a tile's sums (`operand_align`).
    pub fn align(&self) -> u32 {
        self.align
    }

    /// log2(d_x * d_w) (`operand_result_shift`).
    pub fn result_shift(&self) -> u32 {
        self.activation.divisor_log2() + self.weight.divisor_log2()
    }

    /// Chunks of the reduction.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Tiles along the rows of the result.
    pub fn row_tiles(&self) -> u64 {
        self.row_tiles
    }

    /// Tiles along the columns of the result.
    pub fn column_tiles(&self) -> u64 {
        self.column_tiles
    }

    /// Tiles of the whole product.
    pub fn tiles(&self) -> u64 {
        self.row_tiles * self.column_tiles
    }

    /// Beats of one tile.
    pub fn tile_beats(&self) -> u64 {
        timing::tile_beats(self.chunks, self.steps.len() as u64, 1)
    }

    /// Passes of the product.
    pub fn pass_count(&self) -> u64 {
        self.column_tiles.div_ceil(self.column_tiles_per_pass)
    }

    /// One pass.
    pub fn pass(&self, index: u64) -> Pass {
        let start = (index * self.column_tiles_per_pass).min(self.column_tiles);
        let end = (start + self.column_tiles_per_pass).min(self.column_tiles);
        let tiles = (end - start) * self.row_tiles;
        Pass {
            column_tiles: start..end,
            entries: (end - start) * u64::from(self.shape.classes),
            tiles,
            beats: tiles * self.tile_beats(),
        }
    }

    /// Every pass in order.
    pub fn passes(&self) -> impl Iterator<Item = Pass> {
        (0..self.pass_count()).map(|index| self.pass(index))
    }
}

impl ScheduleStep {
    pub(crate) fn new(design: &Design, pair: GroupPair, weights: Encoding) -> Self {
        let shift = (pair.shift > 0).then(|| {
            let index = design.shift_amounts.iter().position(|s| *s == pair.shift);
            index.expect("a design holds the shifts of every precision that it takes") as u32
        });
        ScheduleStep {
            pair,
            shift,
            row_mode: match weights {
                Encoding::Unsigned => RowMode::NotBoth,
                Encoding::Signed if pair.weight_group == 0 => RowMode::OddAndSum,
                Encoding::Signed | Encoding::Bipolar | Encoding::Ternary => RowMode::Odd,
            },
        }
    }
}

fn check_bits(
    operand: &'static str,
    precision: Precision,
    field: &'static str,
    limit: u32,
) -> Result<(), LowerError> {
    if precision.bits <= limit {
        return Ok(());
    }
    Err(LowerError::Bits {
        operand,
        bits: precision.bits,
        field,
        limit,
    })
}

/// A GEMM ready to stream: its plan, its bit-planes and its column constants.
#[derive(Clone, Debug)]
pub struct Lowered {
    design: Design,
    plan: Plan,
    activations: BitPlanes,
    weights: BitPlanes,
    /// Class by class, one constant for each of the Q columns.
    constants: Vec<i64>,
    class_of_row: Vec<u32>,
}

impl Lowered {
    /// Lowers a GEMM.
    ///
    /// # Errors
    /// Those of [`Plan::of_gemm`].
    pub fn new(design: &Design, gemm: &Gemm) -> Result<Self, LowerError> {
        let plan = Plan::of_gemm(design, gemm)?;
        let lanes = design.config().lanes as usize;
        let mut activations =
            BitPlanes::pack(gemm.activations(), plan.activation(), lanes, Padding::Zeros);
        let mut class_of_row = vec![0; gemm.activations().vectors()];
        if let Some(classes) = gemm.classes() {
            let masks: Vec<TapMask> = classes
                .valid
                .iter()
                .map(|valid| TapMask::pack(valid, lanes))
                .collect();
            for (row, class) in classes.of_row.iter().enumerate() {
                activations.clear_invalid(row, &masks[*class as usize]);
            }
            class_of_row.clone_from(&classes.of_row);
        }
        let weights = BitPlanes::pack(gemm.weights(), plan.weight(), lanes, Padding::Ones);
        Ok(Lowered {
            constants: column_constants(design, &plan, gemm, &weights),
            design: design.clone(),
            plan,
            activations,
            weights,
            class_of_row,
        })
    }

    /// The design that this was lowered for.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The constant of each of the Q columns for a border class (0 without borders), wrapped to
    /// `result_width` bits.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn constants(&self, class: u32) -> &[i64] {
        let columns = self.plan.shape.columns as usize;
        &self.constants[class as usize * columns..][..columns]
    }

    /// The writes that a pass begins with: entry `slot * classes + class` for its slot-th column tile.
    pub fn constant_writes(&self, pass: &Pass) -> impl Iterator<Item = ConstantWrite> {
        let columns = self.design.config().columns as usize;
        let classes = self.plan.shape.classes;
        let tiles = pass.column_tiles.clone();
        (0u32..).zip(tiles).flat_map(move |(slot, tile)| {
            (0..classes).map(move |class| {
                let constants = self.constants(class);
                let from = tile as usize * columns;
                let to = (from + columns).min(constants.len());
                let mut value = constants[from..to].to_vec();
                value.resize(columns, 0);
                ConstantWrite {
                    entry: slot * classes + class,
                    value,
                }
            })
        })
    }

    /// The beats of a pass, made one by one.
    pub fn beats(&self, pass: &Pass) -> impl Iterator<Item = Beat> {
        let pass = pass.clone();
        (0..pass.beats).map(move |index| {
            let mut beat = Beat::default();
            self.fill_beat(&pass, index, &mut beat);
            beat
        })
    }

    /// Writes beat `index` of a pass into `beat`, whose buffers are used again.
    ///
    /// # Panics
    /// If the pass has no such beat.
    pub fn fill_beat(&self, pass: &Pass, index: u64, beat: &mut Beat) {
        assert!(index < pass.beats, "a pass has {} beats", pass.beats);
        let (tile, in_tile) = (
            index / self.plan.tile_beats(),
            index % self.plan.tile_beats(),
        );
        let (step, chunk) = (in_tile / self.plan.chunks, in_tile % self.plan.chunks);
        let step = &self.plan.steps[step as usize];
        let (row_tile, column_tile) = self.tile(pass, tile);
        beat.first = in_tile == 0;
        beat.last = in_tile + 1 == self.plan.tile_beats();
        beat.shift = step.shift.filter(|_| chunk == 0);
        beat.row_mode = step.row_mode;
        beat.align = self.plan.align;
        beat.result_shift = self.plan.result_shift();
        let slot = (column_tile - pass.column_tiles.start) as u32;
        self.fill_words(step, row_tile, column_tile, chunk as usize, beat);
        self.fill_entries(slot, row_tile, &mut beat.entry);
    }

    /// Row tile and column tile of a pass's tile, in the order in which they stream.
    pub fn tile(&self, pass: &Pass, tile: u64) -> (u64, u64) {
        (
            tile % self.plan.row_tiles,
            pass.column_tiles.start + tile / self.plan.row_tiles,
        )
    }

    fn fill_words(
        &self,
        step: &ScheduleStep,
        row_tile: u64,
        column_tile: u64,
        chunk: usize,
        beat: &mut Beat,
    ) {
        let c = self.design.config();
        let lanes = c.lanes as usize;
        for (words, planes, padding, group, branches, tile, size, vectors) in [
            (
                &mut beat.activation,
                &self.activations,
                Padding::Zeros,
                step.pair.activation_group,
                c.activation_branches,
                row_tile,
                c.rows,
                self.plan.shape.rows,
            ),
            (
                &mut beat.weight,
                &self.weights,
                Padding::Ones,
                step.pair.weight_group,
                c.weight_branches,
                column_tile,
                c.columns,
                self.plan.shape.columns,
            ),
        ] {
            words.clear();
            let first_plane = (group * branches) as usize;
            let start = tile * u64::from(size);
            for vector in start..start + u64::from(size) {
                for plane in first_plane..first_plane + branches as usize {
                    if vector < vectors {
                        words.extend_from_slice(planes.chunk(vector as usize, plane, chunk));
                    } else {
                        words.extend((0..lanes).step_by(64).map(|lane| match padding {
                            Padding::Zeros => 0,
                            Padding::Ones => low_mask((lanes - lane).min(64)),
                        }));
                    }
                }
            }
        }
    }

    fn fill_entries(&self, slot: u32, row_tile: u64, entries: &mut Vec<u32>) {
        let rows = self.design.config().rows as usize;
        let first = row_tile as usize * rows;
        let base = slot * self.plan.shape.classes;
        entries.clear();
        let classes = self.class_of_row[first..].iter().take(rows);
        entries.extend(classes.map(|class| base + class));
        entries.resize(rows, base);
    }
}

/// Refuses a GEMM with a column in which `d_x * d_w * result` could leave the result's width.
fn check_results(design: &Design, plan: &Plan, gemm: &Gemm) -> Result<(), LowerError> {
    let x = gemm.activations();
    let (min, max) = x.encoding().range(x.bits());
    let x_max = i128::from(min.abs().max(max));
    let limit = (1i128 << (design.result_width - 1)) - 1;
    for column in 0..gemm.weights().vectors() {
        let weights = gemm.weights().vector(column).iter();
        let weights: u32 = weights.map(|w| w.unsigned_abs()).sum();
        let bias = gemm.bias().map_or(0, |bias| i128::from(bias[column]).abs());
        let magnitude = (x_max * i128::from(weights) + bias) << plan.result_shift();
        if magnitude > limit {
            return Err(LowerError::Result {
                column,
                magnitude,
                limit,
                width: design.result_width,
            });
        }
    }
    Ok(())
}

/// The column constants of every border class, class by class.
///
/// They are wrapped to `result_width` bits: the epilogue adds modulo 2^E, so a constant need only be right
/// modulo 2^E for a result that fits to be exact.
fn column_constants(design: &Design, plan: &Plan, gemm: &Gemm, weights: &BitPlanes) -> Vec<i64> {
    let (x, w) = (&plan.activation, &plan.weight);
    let n = i128::from(plan.shape.elements);
    let (fx, fw) = (i128::from(x.total()), i128::from(w.total()));
    let (zx, zw) = (i128::from(x.offset()), i128::from(w.offset()));
    let pairs = i128::from(design.pairs) * i128::from(plan.chunks);
    let both = if w.encoding() == Encoding::Unsigned {
        4 * fx * fw * pairs
    } else {
        0
    };
    let fixed = -fx * fw * n - zw * fx * n + n * zx * zw + both;

    let split = PairSplit::new(design.config().lanes as usize);
    let columns = gemm.weights().vectors();
    let base: Vec<i128> = (0..columns)
        .map(|q| {
            let values = gemm.weights().vector(q);
            let stored: i64 = values.iter().map(|value| w.stored_value(*value)).sum();
            let bias = gemm.bias().map_or(0, |bias| i128::from(bias[q]));
            let odd = fx * weighted_odd(&split, w, weights, q);
            2 * odd + fixed + zx * i128::from(stored) + (bias << plan.result_shift())
        })
        .collect();
    let wrap = |value: i128| wrap_to(value, design.result_width);
    let Some(classes) = gemm.classes() else {
        return base.into_iter().map(wrap).collect();
    };
    // An invalid tap is fed as code 0, the value -Fx, and taken out again.
    let classes = classes.valid.iter().flat_map(|valid| {
        base.iter().enumerate().map(move |(q, base)| {
            let values = gemm.weights().vector(q).iter().zip(valid);
            let invalid: i64 = values
                .map(|(w, v)| if *v { 0 } else { i64::from(*w) })
                .sum();
            base + ((fx * i128::from(invalid)) << plan.result_shift())
        })
    });
    classes.map(wrap).collect()
}

/// sum_k 2^t_k * odd(w_k): the differing pairs of a column's stored words, padding included.
fn weighted_odd(split: &PairSplit, form: &StoredForm, weights: &BitPlanes, column: usize) -> i128 {
    (0..form.planes())
        .map(|plane| {
            let mut odd = 0;
            for chunk in 0..weights.chunks() {
                let word = weights.chunk(column, plane as usize, chunk);
                for j in 0..split.words {
                    let [_, [differ]] = split.weight(j, |i| [word[i]]);
                    odd += u64::from(differ.count_ones());
                }
            }
            i128::from(odd) << form.significance(plane)
        })
        .sum()
}

/// A number modulo 2^`width`, as two's complement of that width.
fn wrap_to(value: i128, width: u32) -> i64 {
    let unused = 128 - width;
    (value << unused >> unused) as i64
}
