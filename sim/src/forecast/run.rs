//! The cycles of a run from its stages: `crate::program::timing` without descriptors.
//!
//! Blocks of column tiles whose weights stream are alike but for the last one of a part. Their cycles repeat as soon as
//! the weight port stands as it stood before the block before, so a part takes a few steps however many blocks it has.

use super::check::Weights;
use super::compute::{ComputeShape, compute_cycles};
use super::mapping::{MappedPart, MappedProduct, MappedStage, MappedWork, Mapping};
use super::{CYCLES_AT_FIRST, CYCLES_MAX, Forecast, LayerForecast, Memo};
use crate::accelerator::compute_timing::ComputeCycles;
use crate::accelerator::load_timing::pool_cycles_of;
use crate::program::timing::{Cause, FETCH, INPUT, REWIND, WEIGHTS};
use xnorforge_hdl::AcceleratorDesign;

/// A run on its way.
pub(super) struct Run<'a> {
    memo: &'a mut Memo,
    design: &'a AcceleratorDesign,
    mapping: &'a Mapping,
    weights: Weights,
    /// The last cycle that is counted.
    now: u64,
    /// The first cycle in which the weight port is idle.
    weights_idle: u64,
    /// The layer whose counters count; none for descriptors of no layer.
    set: Option<usize>,
    forecast: Forecast,
}

/// Equal blocks of a part that follow one another.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    stage: &'a MappedStage,
    product: &'a MappedProduct,
    part: &'a MappedPart,
    /// Column tiles of each, and how many there are.
    tiles: u64,
    count: u64,
}

impl<'a> Run<'a> {
    pub fn new(
        memo: &'a mut Memo,
        design: &'a AcceleratorDesign,
        mapping: &'a Mapping,
        weights: Weights,
        layers: usize,
    ) -> Self {
        Run {
            memo,
            design,
            mapping,
            weights,
            now: 0,
            weights_idle: 0,
            set: None,
            forecast: Forecast {
                layers: vec![LayerForecast::default(); layers],
                other: LayerForecast::default(),
                is_resident: weights.is_resident,
            },
        }
    }

    pub fn run(mut self) -> Forecast {
        let mapping = self.mapping;
        self.pass(Cause::Control, REWIND);
        let blocks: Vec<Blocks<'a>> = match self.weights.is_resident {
            true => Vec::new(),
            false => self.streamed_blocks(),
        };
        if let Some(first) = blocks.first() {
            self.stream(first);
        }
        self.input();
        let mut next = 0;
        for stage in &mapping.stages {
            match &stage.work {
                MappedWork::Pool { taps, descriptors } => self.pool(stage, *taps, *descriptors),
                MappedWork::Product(product) if self.weights.is_resident => {
                    self.resident(stage, product);
                }
                MappedWork::Product(_) => {
                    while let Some(of_stage) = blocks.get(next)
                        && std::ptr::eq(of_stage.stage, stage)
                    {
                        next += 1;
                        self.streamed(*of_stage, blocks.get(next));
                    }
                }
            }
            self.results(stage);
        }
        self.fetch(None);
        self.forecast
    }

    fn counted(&mut self, layer: Option<usize>) -> &mut LayerForecast {
        match layer {
            Some(layer) => &mut self.forecast.layers[layer],
            None => &mut self.forecast.other,
        }
    }

    fn pass(&mut self, cause: Cause, cycles: u64) {
        let set = self.set;
        self.counted(set).cycles.add(cause, cycles);
        self.now += cycles;
    }

    /// The cycles before a descriptor of a layer is judged.
    fn fetch(&mut self, layer: Option<usize>) {
        let [before, after] = FETCH;
        self.pass(Cause::Control, before);
        self.set = layer;
        self.pass(Cause::Control, after);
    }

    fn wait_for_weights(&mut self) {
        self.pass(Cause::Weights, self.weights_idle.saturating_sub(self.now));
    }

    fn beats(&self, width: u32) -> u64 {
        width.div_ceil(self.design.config().stream_bits).into()
    }

    fn input(&mut self) {
        self.fetch(None);
        let [first, finished] = INPUT;
        let words = self.mapping.input_words;
        let beats = words * self.beats(self.design.word_width);
        self.pass(Cause::Input, first + beats - 1 + finished + 1);
        let bits = words * u64::from(self.design.word_width);
        self.forecast.other.input_bytes += bits.div_ceil(8);
    }

    fn pool(&mut self, stage: &MappedStage, taps: u64, descriptors: u64) {
        let cycles = pool_cycles_of(stage.pixels * taps, stage.groups) + 1;
        for _ in 0..descriptors {
            self.fetch(stage.layer);
            self.pass(Cause::Pool, cycles);
        }
    }

    fn results(&mut self, stage: &MappedStage) {
        let channels = match &stage.work {
            MappedWork::Product(product) if stage.streams => product.channels,
            _ => return,
        };
        self.counted(stage.layer).result_bytes += 4 * stage.pixels * channels;
    }

    fn resident(&mut self, stage: &MappedStage, product: &MappedProduct) {
        for part in &product.parts {
            let cycles = self.compute(stage, product, part, part.tiles);
            for _ in 0..part.count {
                self.fetch(stage.layer);
                self.pass_compute(&cycles);
            }
        }
    }

    fn pass_compute(&mut self, cycles: &ComputeCycles) {
        let ComputeCycles {
            busy, load, drain, ..
        } = *cycles;
        self.pass(Cause::Busy, busy);
        self.pass(Cause::Load, load);
        self.pass(Cause::Drain, drain);
        self.pass(Cause::Control, cycles.total() - busy - load - drain);
    }

    fn compute(
        &mut self,
        stage: &MappedStage,
        product: &MappedProduct,
        part: &MappedPart,
        tiles: u64,
    ) -> ComputeCycles {
        let array = self.design.design();
        let c = array.config();
        let shape = ComputeShape {
            rows: c.rows.into(),
            ports: self.design.config().load_ports.into(),
            pixels: stage.pixels,
            groups: stage.groups,
            column_tiles: tiles,
            beats: product.steps * part.chunks,
            popcount_latency: array.latency().into(),
            drain_steps: self.design.drain_steps.into(),
            out_groups: stage.out_groups.clamp(1, array.activation_groups.into()),
            residual_groups: product.residual_groups,
            latency: (self.design.step_delay() + self.design.epilogue_stages()).into(),
        };
        let known = &mut self.memo.cycles;
        if known.len() >= CYCLES_MAX {
            known.clear();
        } else if known.capacity() == 0 {
            known.reserve(CYCLES_AT_FIRST);
        }
        *known
            .entry((part.pieces_id, shape))
            .or_insert_with(|| compute_cycles(&shape, &part.pieces))
    }

    /// As many column tiles as half of the weight memory holds in each block; the last one of a part takes the rest.
    fn streamed_blocks(&self) -> Vec<Blocks<'a>> {
        let half = u64::from(self.design.config().weight_words / 2);
        let mut blocks = Vec::new();
        for stage in &self.mapping.stages {
            let MappedWork::Product(product) = &stage.work else {
                continue;
            };
            for part in &product.parts {
                let tiles = (half / part.tile_words).min(part.tiles);
                let (count, rest) = (part.tiles / tiles, part.tiles % tiles);
                let of = |tiles, count| Blocks {
                    stage,
                    product,
                    part,
                    tiles,
                    count,
                };
                if rest == 0 {
                    blocks.push(of(tiles, count * part.count));
                } else {
                    for _ in 0..part.count {
                        blocks.extend([of(tiles, count), of(rest, 1)]);
                    }
                }
            }
        }
        blocks
    }

    /// Sends the weights of the first of some blocks on their way.
    fn stream(&mut self, blocks: &Blocks<'_>) {
        self.fetch(None);
        self.wait_for_weights();
        let columns = u64::from(self.design.design().config().columns);
        let words = blocks.tiles * blocks.part.tile_words * columns;
        let [first, idle] = WEIGHTS;
        let beats = words * self.beats(self.design.weight_width);
        self.weights_idle = self.now + 1 + first + beats - 1 + idle;
        let bits = words * u64::from(self.design.weight_width);
        self.counted(blocks.stage.layer).weight_bytes += bits.div_ceil(8);
    }

    /// Computes blocks, each beside the streaming of the next one.
    fn streamed(&mut self, blocks: Blocks<'_>, next: Option<&Blocks<'_>>) {
        let cycles = self.compute(blocks.stage, blocks.product, blocks.part, blocks.tiles);
        let mut left = blocks.count;
        let mut waits_before = None;
        while left > 1 {
            let waits = self.weights_idle.saturating_sub(self.now);
            if self.set == blocks.stage.layer && waits_before == Some(waits) {
                self.repeat(&blocks, &cycles, left - 1);
                left = 1;
                break;
            }
            waits_before = (self.set == blocks.stage.layer).then_some(waits);
            self.stream(&blocks);
            self.fetch(blocks.stage.layer);
            self.pass_compute(&cycles);
            left -= 1;
        }
        debug_assert_eq!(left, 1);
        if let Some(next) = next {
            self.stream(next);
        }
        self.fetch(blocks.stage.layer);
        if next.is_none() {
            self.wait_for_weights();
        }
        self.pass_compute(&cycles);
    }

    /// Blocks that take what the one before took: one is counted, and all others as it.
    fn repeat(&mut self, blocks: &Blocks<'_>, cycles: &ComputeCycles, count: u64) {
        let layer = blocks.stage.layer;
        let before = (*self.counted(layer), self.forecast.other, self.now);
        self.stream(blocks);
        self.fetch(layer);
        self.pass_compute(cycles);
        let grown = self.now - before.2;
        let more = count - 1;
        self.counted(layer).grow(&before.0, more);
        if layer.is_some() {
            self.forecast.other.grow(&before.1, more);
        }
        self.now += more * grown;
        self.weights_idle += more * grown;
    }
}

impl LayerForecast {
    /// Adds what has come since `before` so many times more.
    fn grow(&mut self, before: &Self, times: u64) {
        for cause in Cause::ALL {
            let grown = self.cycles.of(cause) - before.cycles.of(cause);
            self.cycles.add(cause, times * grown);
        }
        for (value, before) in [
            (&mut self.weight_bytes, before.weight_bytes),
            (&mut self.input_bytes, before.input_bytes),
            (&mut self.result_bytes, before.result_bytes),
        ] {
            *value += times * (*value - before);
        }
    }
}
