//! How a network lies on an array of given columns, lanes and branches: what each stage reads, computes and writes, and
//! what it needs of every memory. Nothing of it depends on rows, ports, pipeline registers or the sizes of memories, so
//! that one mapping serves many configurations.

use super::pieces::Pieces;
use crate::accelerator::load_timing::Walk as LoadWalk;
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::network::{Pad, Rule, Window};
use crate::packed::StoredForm;
use crate::program::compile::padded_tap;
use crate::program::constants::Classes;
use crate::program::descriptor::Walk;
use crate::program::layout::{code_offset, stored_planes, stored_precision};
use crate::program::outline_stages::{
    OutlineBuffer, OutlineStage, OutlineStages, Product, ProductFinish, StageWork,
};
use crate::program::placement::Space;
use crate::program::weights::{Cut, Part};
use rustc_hash::FxHashMap;
use std::collections::HashSet;
use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;

/// What a mapping depends on, beside the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MappingKey {
    pub columns: u32,
    pub lanes: u32,
    pub slices: u32,
    pub activation_branches: u32,
    pub weight_branches: u32,
    pub drain_steps: u32,
    pub images: u32,
}

impl MappingKey {
    pub fn new(design: &AcceleratorDesign, images: u32) -> Self {
        let c = design.design().config();
        MappingKey {
            columns: c.columns,
            lanes: c.lanes,
            slices: design.slices,
            activation_branches: c.activation_branches,
            weight_branches: c.weight_branches,
            drain_steps: design.drain_steps,
            images,
        }
    }
}

/// Some column tiles that load the same pieces.
#[derive(Clone, Debug)]
pub(crate) struct MappedPart {
    /// Column tiles.
    pub tiles: u64,
    pub chunks: u64,
    /// Words of a column tile in the weight memory.
    pub tile_words: u64,
    /// Equal parts that follow one another.
    pub count: u64,
    pub pieces: Arc<Pieces>,
    /// Which pieces they are, among all of the memo's.
    pub pieces_id: usize,
}

/// A product on the array.
#[derive(Clone, Debug)]
pub(crate) struct MappedProduct {
    pub parts: Vec<MappedPart>,
    /// Steps of a tile's schedule.
    pub steps: u64,
    /// Plane groups of the residual.
    pub residual_groups: Option<u64>,
    /// Output channels.
    pub channels: u64,
}

/// A stage on the array.
#[derive(Clone, Debug)]
pub(crate) struct MappedStage {
    pub layer: Option<usize>,
    /// Output pixels of all images.
    pub pixels: u64,
    /// Plane groups that are read.
    pub groups: u64,
    /// Plane groups that are written.
    pub out_groups: u64,
    /// Whether it streams results.
    pub streams: bool,
    pub work: MappedWork,
}

/// What it does there.
#[derive(Clone, Debug)]
pub(crate) enum MappedWork {
    Product(MappedProduct),
    /// Taps of a pixel, and descriptors.
    Pool {
        taps: u64,
        descriptors: u64,
    },
}

/// What the stages need; 0 or the least value of what they do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub activation_bits: u32,
    pub weight_bits: u32,
    /// Most chunks of a reduction.
    pub chunks: u64,
    pub threshold_bits: u32,
    pub layers: u64,
    pub patch_words: u64,
    pub schedule_words: u64,
    pub constant_words: u64,
    pub threshold_words: u64,
    pub affine_words: u64,
    pub table_words: u64,
    /// Words of the largest column tile.
    pub tile_words: u64,
    /// Words of all weights, equal ones of sums and copies once.
    pub weight_words: u64,
    /// Greatest value of a descriptor's fields as wide as a granule's number, and greatest magnitude of signed ones.
    pub granule: i64,
    pub granule_signed: i64,
    /// Words between plane groups: most of what is read, written, added.
    pub in_pitch: u64,
    pub out_pitch: u64,
    pub residual_pitch: u64,
    /// Most output pixels.
    pub pixels: u64,
    /// A field of constant width that cannot hold its value: layer, field, value, bits.
    pub misfit: Option<(String, &'static str, i64, u32)>,
    /// A layer that reads branches that do not stand in planes of their own.
    pub planes: Option<(String, u32, u32)>,
}

/// A network on the array.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub stages: Vec<MappedStage>,
    pub needs: Needs,
    /// What the feature maps take.
    pub spaces: Vec<Space>,
    /// Words of the input.
    pub input_words: u64,
}

/// Pieces by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct PiecesMemo {
    known: FxHashMap<(LoadWalk, u32), (usize, Arc<Pieces>)>,
}

/// Pieces that are kept: some hundred bytes to some tens of kilobytes each.
const PIECES_MAX: usize = 1 << 13;

impl PiecesMemo {
    fn get(&mut self, walk: LoadWalk, images: u32, next_id: &mut usize) -> (usize, Arc<Pieces>) {
        if self.known.len() >= PIECES_MAX {
            self.known.clear();
        }
        let entry = self.known.entry((walk, images)).or_insert_with(|| {
            *next_id += 1;
            (*next_id, Arc::new(Pieces::new(&walk, images.into())))
        });
        entry.clone()
    }
}

/// Makes a mapping.
pub(crate) struct Mapper<'a> {
    pub key: MappingKey,
    pub network: &'a OutlineStages,
    pub layers: usize,
    pub pieces: &'a mut PiecesMemo,
    pub next_id: &'a mut usize,
}

/// A schedule's words follow from this.
type ScheduleKey = (u64, u64, Encoding, u64);

#[derive(Default)]
struct Collected {
    needs: Needs,
    schedules: HashSet<ScheduleKey>,
    /// Taps and channels of column tiles of ones that have a place already.
    ones: HashSet<(u64, u32)>,
}

impl Mapper<'_> {
    pub fn map(mut self) -> Mapping {
        let mut collected = Collected::default();
        collected.needs.layers = self.layers as u64 + 1;
        let network = self.network;
        let stages = network
            .stages
            .iter()
            .map(|stage| self.stage(stage, &mut collected))
            .collect();
        let spaces: Vec<Space> = network
            .buffers
            .iter()
            .map(|buffer| Space {
                words: self.pitch(buffer) * self.groups(buffer.precision),
                activation: buffer.activation,
                residual: buffer.residual,
            })
            .collect();
        Mapping {
            stages,
            needs: collected.needs,
            input_words: spaces[0].words,
            spaces,
        }
    }

    /// Plane groups in which numbers are stored.
    fn groups(&self, precision: Precision) -> u64 {
        let branches = self.key.activation_branches;
        u64::from(stored_planes(precision, branches) / branches)
    }

    /// Words of a plane group of a feature map.
    fn pitch(&self, buffer: &OutlineBuffer) -> u64 {
        let granules = u64::from(self.key.images)
            * u64::from(buffer.shape.height)
            * u64::from(buffer.shape.width)
            * u64::from(buffer.shape.channels.div_ceil(self.key.columns));
        granules
            .div_ceil(self.key.slices.into())
            .min(u32::MAX.into())
    }

    fn stage(&mut self, stage: &OutlineStage, to: &mut Collected) -> MappedStage {
        let shape = stage.output_shape;
        let pixels = u64::from(self.key.images) * u64::from(shape.height) * u64::from(shape.width);
        to.needs.pixels = to.needs.pixels.max(pixels);
        self.collect_tensors(stage, to);
        let work = match stage.work {
            StageWork::Pool(window) => self.pool(stage, &window, to),
            StageWork::Product(product) => MappedWork::Product(self.product(stage, &product, to)),
        };
        let output = stage.output.map(|index| self.network.buffers[index]);
        MappedStage {
            layer: stage.layer,
            pixels,
            groups: self.groups(stage.precision),
            out_groups: output.map_or(1, |buffer| self.groups(buffer.precision)),
            streams: stage.stream.is_some(),
            work,
        }
    }

    /// What a stage's feature maps need of the array and of descriptors.
    fn collect_tensors(&self, stage: &OutlineStage, to: &mut Collected) {
        let needs = &mut to.needs;
        let branches = self.key.activation_branches;
        let bits = |precision: Precision| stored_precision(precision).bits;
        let input = &self.network.buffers[stage.input];
        let given = stage.work.output_precision(stage.precision);
        for precision in std::iter::once(stage.precision).chain(given) {
            needs.activation_bits = needs.activation_bits.max(bits(precision));
        }
        let (of, read) = (bits(input.precision), bits(stage.precision));
        let is_alone = of.is_multiple_of(branches) && (of - read).is_multiple_of(branches);
        if read < of && !is_alone {
            needs.planes.get_or_insert((stage.name.clone(), read, of));
        }
        needs.in_pitch = needs.in_pitch.max(self.pitch(input));
        if let Some(output) = stage.output {
            let pitch = self.pitch(&self.network.buffers[output]);
            needs.out_pitch = needs.out_pitch.max(pitch);
        }
        for (field, value, bits) in [
            ("in_height", stage.shape.height, 16),
            ("out_width", stage.output_shape.width, 16),
            ("out_height", stage.output_shape.height, 16),
        ] {
            misfit(needs, &stage.name, field, value.into(), bits);
        }
        let cg = i64::from(stage.output_shape.channels.div_ceil(self.key.columns));
        needs.granule = needs.granule.max(cg);
    }

    /// What a walk needs of descriptors.
    fn collect_walk(&self, stage: &OutlineStage, walk: &Walk, needs: &mut Needs) {
        for value in [
            walk.image_pitch,
            walk.line_granules,
            walk.step_x,
            walk.tap_x,
            walk.step_y * walk.line_granules,
            walk.tap_y * walk.line_granules,
        ] {
            needs.granule = needs.granule.max(value);
        }
        for value in [walk.origin_x, walk.origin_y * walk.line_granules] {
            let magnitude = if value < 0 { -value } else { value + 1 };
            needs.granule_signed = needs.granule_signed.max(magnitude);
        }
        for (field, value, bits) in [
            ("run_granules", walk.run_granules, 16),
            ("runs", walk.runs, 8),
            ("kernel_lines", walk.kernel_lines, 8),
        ] {
            misfit(needs, &stage.name, field, value, bits);
        }
    }

    fn pool(&self, stage: &OutlineStage, window: &Window, to: &mut Collected) -> MappedWork {
        let granules = stage.shape.channels.div_ceil(self.key.columns);
        let piece = (1 << granules.trailing_zeros()).min(self.key.slices);
        let walk = Walk::new(window, stage.shape, stage.output_shape, granules, 0..piece);
        self.collect_walk(stage, &walk, &mut to.needs);
        MappedWork::Pool {
            taps: (walk.runs * walk.kernel_lines) as u64,
            descriptors: u64::from(granules / piece),
        }
    }

    fn product(
        &mut self,
        stage: &OutlineStage,
        product: &Product,
        to: &mut Collected,
    ) -> MappedProduct {
        let channels = stage.output_shape.channels;
        let cut = Cut::new(
            channels,
            product.groups,
            stage.shape.channels,
            self.key.columns,
        );
        let needs_zero =
            product.weight.encoding == Encoding::Bipolar && product.groups > 1 && cut.needs_zero();
        let stored = match needs_zero {
            true => Precision::new(Encoding::Signed, product.weight.bits + 1),
            false => product.weight,
        };
        to.needs.weight_bits = to.needs.weight_bits.max(stored.bits);
        let weight = StoredForm::for_branches(stored, self.key.weight_branches);
        let activation = StoredForm::for_branches(
            stored_precision(stage.precision),
            self.key.activation_branches,
        );
        let weight_groups = u64::from(weight.planes() / self.key.weight_branches);
        let groups = u64::from(activation.planes() / self.key.activation_branches);
        let parts = self.parts(stage, product, &cut, weight_groups, to);
        let steps = weight_groups * groups;
        let chunks = parts.iter().map(|part| part.chunks).max().unwrap_or(1);
        let needs = &mut to.needs;
        needs.chunks = needs.chunks.max(chunks);
        needs.patch_words = needs.patch_words.max(2 * chunks * groups);
        for part in &parts {
            let by_chunks = if steps == 1 { 0 } else { part.chunks };
            let key = (groups, weight_groups, weight.encoding(), by_chunks);
            if to.schedules.insert(key) {
                needs.schedule_words += steps;
            }
        }
        let (_, pad_code) = padded_tap(stage.precision, &activation, product.pad);
        misfit(needs, &stage.name, "pad_code", pad_code.into(), 8);
        misfit(needs, &stage.name, "column_tiles", cut.tiles().into(), 16);
        self.collect_epilogue(stage, product, &cut, [&activation, &weight], needs);
        let residual = product
            .residual
            .map(|(buffer, _)| self.network.buffers[buffer]);
        if let Some(buffer) = residual {
            let planes = stored_planes(buffer.precision, self.key.activation_branches);
            needs.table_words += 1 << planes;
            needs.residual_pitch = needs.residual_pitch.max(self.pitch(&buffer));
        }
        MappedProduct {
            parts,
            steps,
            residual_groups: residual.map(|buffer| self.groups(buffer.precision)),
            channels: channels.into(),
        }
    }

    /// Whether some granule that is read holds lanes of no channel or of another group's; `false` is certain.
    fn cuts_granules(&self, stage: &OutlineStage, product: &Product) -> bool {
        product.groups > 1 || !stage.shape.channels.is_multiple_of(self.key.columns)
    }

    /// Constants, thresholds and the fields that follow from the numbers that are given.
    fn collect_epilogue(
        &self,
        stage: &OutlineStage,
        product: &Product,
        cut: &Cut,
        forms: [&StoredForm; 2],
        needs: &mut Needs,
    ) {
        let words = u64::from(cut.tiles()) * u64::from(self.key.drain_steps);
        let classes = Classes::of_window(&product.window, stage.shape, stage.output_shape);
        let classes = classes[0].len() as u64 * classes[1].len() as u64;
        needs.constant_words += match self.is_uniform(stage, product, forms) {
            true => words,
            false => classes * words,
        };
        match product.finish {
            ProductFinish::Rule(Rule::Raw) => {}
            ProductFinish::Copy | ProductFinish::Rule(Rule::Affine { .. }) => {
                needs.affine_words += words;
            }
            ProductFinish::Rule(Rule::Thresholds { count, .. }) => {
                let levels = (count + 1).next_power_of_two().ilog2();
                needs.threshold_bits = needs.threshold_bits.max(levels);
                needs.threshold_words += words;
            }
        }
        if let Some(given) = stage.work.output_precision(stage.precision) {
            let first = code_offset(given, self.key.activation_branches);
            let last = first + crate::network::steps(given) - 1;
            misfit(needs, &stage.name, "code_max", last, 8);
        }
    }

    /// Whether padded taps add the same as if they were inside, whatever the weights are, so that all border classes have
    /// the same constants.
    fn is_uniform(
        &self,
        stage: &OutlineStage,
        product: &Product,
        [activation, weight]: [&StoredForm; 2],
    ) -> bool {
        let code_zero = (activation.offset() - activation.total()) >> activation.divisor_log2();
        let ((worth, held), _) = padded_tap(stage.precision, activation, product.pad);
        // Lanes without an element hold the weight 0, unless the encoding has none.
        let slices_are_whole = self.key.lanes / self.key.slices == self.key.columns;
        let has_empty_lanes = !slices_are_whole || self.cuts_granules(stage, product);
        let is_empty_zero = weight.encoding() != Encoding::Bipolar;
        let is_bipolar = matches!(product.pad, Pad::Zero) && worth != held;
        !is_bipolar && (is_empty_zero || !has_empty_lanes || held == code_zero)
    }

    /// The parts of a product, equal ones that follow one another together.
    fn parts(
        &mut self,
        stage: &OutlineStage,
        product: &Product,
        cut: &Cut,
        weight_groups: u64,
        to: &mut Collected,
    ) -> Vec<MappedPart> {
        let parts = match product.groups {
            1 => vec![Part {
                tiles: 0..cut.tiles(),
                granules: 0..stage.shape.channels.div_ceil(self.key.columns),
            }],
            _ => cut.parts(),
        };
        let (kh, kw) = product.window.kernel;
        let taps = u64::from(kh) * u64::from(kw);
        let granules = stage.shape.channels.div_ceil(self.key.columns);
        let mut mapped: Vec<MappedPart> = Vec::new();
        for part in parts {
            let walk = Walk::new(
                &product.window,
                stage.shape,
                stage.output_shape,
                granules,
                part.granules.clone(),
            );
            let walk = walk.in_long_runs(&product.window, stage.shape);
            self.collect_walk(stage, &walk, &mut to.needs);
            let chunks = (taps * part.granules.len() as u64).div_ceil(self.key.slices.into());
            let tile_words = weight_groups * chunks;
            let tiles = part.tiles.len() as u64;
            to.needs.tile_words = to.needs.tile_words.max(tile_words);
            let last = stage.output_shape.channels - part.tiles.start * self.key.columns;
            let own = last.min(self.key.columns);
            // Column tiles of ones are alike where they have the same taps and as many channels.
            if !product.is_ones || to.ones.insert((taps, own)) {
                to.needs.weight_words += tiles * tile_words;
            }
            let load = LoadWalk::of_stage(&walk, self.key.slices);
            let load = load.in_first_word(part.granules.start);
            let (pieces_id, pieces) = self.pieces.get(load, self.key.images, self.next_id);
            match mapped.last_mut() {
                Some(before) if before.pieces_id == pieces_id && before.tiles == tiles => {
                    before.count += 1;
                }
                _ => mapped.push(MappedPart {
                    tiles,
                    chunks,
                    tile_words,
                    count: 1,
                    pieces,
                    pieces_id,
                }),
            }
        }
        mapped
    }
}

/// Keeps the first value that a field of constant width does not hold.
fn misfit(needs: &mut Needs, layer: &str, field: &'static str, value: i64, bits: u32) {
    if value >= 1 << bits && needs.misfit.is_none() {
        needs.misfit = Some((layer.to_owned(), field, value, bits));
    }
}
