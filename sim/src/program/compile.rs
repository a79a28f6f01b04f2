//! The compiler: networks and a design in, a program out.

use super::bank::Bank;
use super::constants::{Classes, Constants, Terms};
use super::descriptor::{Fields, Walk};
use super::layout::{TensorLayout, stored_planes, stored_precision};
use super::placement::{Extent, place};
use super::requantize::{Channel, Epilogue};
use super::stage::{Stage, Stages, Work, stages};
use super::stream::{Beats, Packet, Target};
use super::weights::{PackedPart, WeightPlace, WeightPlan, WeightStore};
use super::{Entry, LOAD_WEIGHTS, Program, ProgramError, ResultBlock, Step, program_words};
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::lower::ScheduleStep;
use crate::network::{Network, Pad, Place, Window};
use crate::packed::StoredForm;
use std::ops::Range;
use xnorforge_hdl::accelerator::{Descriptor, Field, Mode, Opcode};
use xnorforge_hdl::{AcceleratorDesign, schedule};

/// Most images of a run.
const IMAGES_MAX: u32 = 65_535;

impl Program {
    /// Compiles a network for `images` images in each run.
    ///
    /// # Errors
    /// A [`ProgramError`] for a network that is not legal, that the design cannot compute, or that does not fit its
    /// memories.
    pub fn compile(
        design: &AcceleratorDesign,
        images: u32,
        network: &Network,
    ) -> Result<Self, ProgramError> {
        Self::compile_all(design, images, &[network])
    }

    /// Compiles several networks into one program, an entry for each. Equal weights stand in memory once, and weights
    /// that are the most significant branches of others (hot swap: [`crate::network::Convolution::truncated`]) stand in
    /// theirs; so do equal constants, thresholds and schedules.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_all(
        design: &AcceleratorDesign,
        images: u32,
        networks: &[&Network],
    ) -> Result<Self, ProgramError> {
        check_request(images, networks)?;
        let mut memories = Memories::new(design);
        let mut lowered = Vec::new();
        for network in networks {
            lowered.push(memories.lower(images, network)?);
        }
        memories.check()?;
        let residency = Residency::new(design, &lowered);
        let mut entries = Vec::new();
        entries.extend(residency.load_entry(design)?);
        for (network, places) in lowered.iter().zip(residency.places) {
            entries.push(Emitter::new(design, network).entry(places)?);
        }
        let descriptors: Vec<Descriptor> = entries
            .iter_mut()
            .scan(0, |address, entry| {
                entry.address = *address;
                *address += program_words(entry.steps.len()) as u32;
                Some(entry.steps.iter().map(|step| step.descriptor))
            })
            .flatten()
            .collect();
        check_memory(
            || "the program".to_owned(),
            "program memory",
            "program_words",
            program_words(descriptors.len()),
            design.config().program_words,
        )?;
        Ok(Program {
            packets: memories.packets(&descriptors),
            design: design.clone(),
            entries,
        })
    }
}

fn check_request(images: u32, networks: &[&Network]) -> Result<(), ProgramError> {
    if !(1..=IMAGES_MAX).contains(&images) {
        return Err(ProgramError::Images(images));
    }
    if networks.is_empty() {
        return Err(ProgramError::NoNetwork);
    }
    for (index, network) in networks.iter().enumerate() {
        let is_taken = networks[..index].iter().any(|n| n.name == network.name);
        if is_taken || network.name == LOAD_WEIGHTS {
            return Err(ProgramError::Name(network.name.clone()));
        }
    }
    Ok(())
}

/// Refuses more words than a memory has.
pub(crate) fn check_memory(
    what: impl FnOnce() -> String,
    memory: &'static str,
    field: &'static str,
    needed: u64,
    available: u32,
) -> Result<(), ProgramError> {
    if needed <= u64::from(available) {
        return Ok(());
    }
    Err(ProgramError::Memory {
        what: what(),
        memory,
        field,
        needed,
        available: available.into(),
        suggestion: needed.next_power_of_two(),
    })
}

/// A network with everything but addresses of weights.
#[derive(Debug)]
pub(crate) struct LoweredNetwork<'n> {
    pub network: &'n Network,
    pub stages: Stages<'n>,
    /// One for each stage that is a product.
    pub products: Vec<Option<LoweredProduct>>,
}

/// A product with everything but addresses of weights.
#[derive(Debug)]
pub(crate) struct LoweredProduct {
    pub plan: WeightPlan,
    pub parts: Vec<PackedPart>,
    pub constants: Constants,
    pub epilogue: Epilogue,
    /// Address and steps of the schedule of each part.
    pub schedules: Vec<(u64, u64)>,
    pub align: u32,
    pub result_shift: u32,
    pub constant_base: u64,
    pub channel_base: u64,
    pub table_base: u64,
    pub pad_code: u32,
}

/// The memories that are loaded with the program.
struct Memories<'d> {
    design: &'d AcceleratorDesign,
    schedule: Bank<u128>,
    constants: Bank<u128>,
    thresholds: Bank<Channel>,
    affine: Bank<Channel>,
    tables: Bank<i64>,
}

impl<'d> Memories<'d> {
    fn new(design: &'d AcceleratorDesign) -> Self {
        let lanes = design.config().drain_columns;
        Memories {
            design,
            schedule: Bank::new(1),
            constants: Bank::new(lanes),
            thresholds: Bank::new(lanes),
            affine: Bank::new(lanes),
            tables: Bank::new(1),
        }
    }

    fn check(&self) -> Result<(), ProgramError> {
        let c = self.design.config();
        for (what, memory, field, needed, available) in [
            (
                "the schedules",
                "schedule memory",
                "schedule_words",
                self.schedule.len(),
                c.schedule_words,
            ),
            (
                "the column constants",
                "constant memory",
                "constant_words",
                self.constants.len(),
                c.constant_words,
            ),
            (
                "the thresholds",
                "threshold memory",
                "channel_words",
                self.thresholds.len(),
                c.channel_words,
            ),
            (
                "the affine parameters",
                "affine memory",
                "channel_words",
                self.affine.len(),
                c.channel_words,
            ),
            (
                "the residual tables",
                "table memory",
                "table_words",
                self.tables.len(),
                c.table_words,
            ),
        ] {
            check_memory(|| what.to_owned(), memory, field, needed, available)?;
        }
        Ok(())
    }

    fn lower<'n>(
        &mut self,
        images: u32,
        network: &'n Network,
    ) -> Result<LoweredNetwork<'n>, ProgramError> {
        let design = self.design;
        check_memory(
            || format!("`{}`", network.name),
            "performance counters",
            "layers",
            network.layers.len() as u64 + 1,
            design.config().layers,
        )?;
        let mut stages = stages(design, images, network)?;
        check_pixels(&stages)?;
        let available = Extent {
            activation: design.config().activation_words.into(),
            residual: design.config().residual_words.into(),
        };
        let extent = place(&mut stages.buffers, available);
        let what = || format!("the feature maps of `{}` of {images} images", network.name);
        check_memory(
            what,
            "activation memory",
            "activation_words",
            extent.activation,
            design.config().activation_words,
        )?;
        check_memory(
            what,
            "residual memory",
            "residual_words",
            extent.residual,
            design.config().residual_words,
        )?;
        let mut products = Vec::new();
        for stage in &stages.stages {
            check_planes(design, stage, &stages.buffers[stage.input].layout)?;
            products.push(self.lower_product(&stages, stage)?);
        }
        Ok(LoweredNetwork {
            network,
            stages,
            products,
        })
    }

    fn lower_product(
        &mut self,
        stages: &Stages<'_>,
        stage: &Stage<'_>,
    ) -> Result<Option<LoweredProduct>, ProgramError> {
        let Work::Product {
            convolution,
            finish,
            residual,
        } = &stage.work
        else {
            return Ok(None);
        };
        let (design, array) = (self.design, self.design.design());
        let c = array.config();
        let plan = WeightPlan::new(design, &stage.name, convolution, stage.shape)?;
        let activation =
            StoredForm::for_branches(stored_precision(stage.precision), c.activation_branches);
        check_reduction(design, stage, &plan, &activation)?;
        let parts: Vec<PackedPart> = plan
            .parts
            .iter()
            .map(|part| PackedPart::new(design, convolution, stage.shape, &plan, part))
            .collect();
        let (pad, pad_code) = padded_tap(stage.precision, &activation, convolution.pad);
        let terms = |part: &PackedPart| Terms {
            activation: &activation,
            weight: &plan.form,
            lanes: u64::from(part.chunks) * u64::from(c.lanes),
            pairs: u64::from(part.chunks) * u64::from(array.pairs),
            pad,
        };
        let result_shift = activation.divisor_log2() + plan.form.divisor_log2();
        let residual =
            residual.map(|(buffer, residual)| (residual, stages.buffers[buffer].layout.precision));
        let epilogue = Epilogue::new(
            design,
            &stage.name,
            convolution,
            stage.precision,
            result_shift,
            *finish,
            residual,
        )?;
        let columns: Vec<_> = parts
            .iter()
            .flat_map(|part| part.columns.iter().map(|column| (column, terms(part))))
            .collect();
        let classes = Classes::of_window(&convolution.window, stage.shape, stage.output_shape);
        self.check_constants(stage, &plan, &classes)?;
        let constants = Constants::new(
            array,
            classes,
            stage.output_shape,
            &columns,
            convolution.bias.as_deref(),
        );
        drop(columns);
        let (steps, align) = tile_schedule(design, &activation, &plan.form);
        let schedules = parts
            .iter()
            .map(|part| {
                let words = schedule_words(design, &steps, part.chunks);
                (self.schedule.add(vec![words]), steps.len() as u64)
            })
            .collect();
        Ok(Some(LoweredProduct {
            constant_base: self.add_constants(&plan, &constants, &epilogue),
            channel_base: self.add_channels(&plan, &epilogue),
            table_base: match &epilogue.table {
                Some((table, _)) => self.tables.add(vec![table.clone()]),
                None => 0,
            },
            plan,
            parts,
            constants,
            epilogue,
            schedules,
            align,
            result_shift,
            pad_code,
        }))
    }

    /// Refuses more border classes than can ever fit, before they are computed.
    fn check_constants(
        &self,
        stage: &Stage<'_>,
        plan: &WeightPlan,
        classes: &[Classes; 2],
    ) -> Result<(), ProgramError> {
        let words = classes[0].len() as u64
            * classes[1].len() as u64
            * u64::from(plan.tiles)
            * u64::from(self.design.drain_steps);
        // Classes that turn out alike are merged; a layer a hundred times too large is not worth the attempt.
        let limit = self.design.config().constant_words;
        if words > 100 * u64::from(limit) {
            let what = || format!("layer `{}`", stage.name);
            check_memory(what, "constant memory", "constant_words", words, limit)?;
        }
        Ok(())
    }

    /// Words of `values(channel)` for the drain's lanes, tile by tile.
    fn by_lane<T>(&self, tiles: u32, values: impl Fn(usize) -> T) -> Vec<Vec<T>> {
        let lanes = self.design.config().drain_columns;
        (0..lanes)
            .map(|lane| {
                (0..tiles * self.design.drain_steps)
                    .map(|index| values((index * lanes + lane) as usize))
                    .collect()
            })
            .collect()
    }

    fn add_constants(
        &mut self,
        plan: &WeightPlan,
        constants: &Constants,
        epilogue: &Epilogue,
    ) -> u64 {
        let width = self.design.design().result_width;
        let channels = epilogue.falling.len();
        let mut lanes = vec![Vec::new(); self.design.config().drain_columns as usize];
        for class in constants.values.chunks(channels) {
            let words = self.by_lane(plan.tiles, |channel| {
                let value = class.get(channel).copied().unwrap_or(0);
                let falls = epilogue.falling.get(channel).copied().unwrap_or(false);
                truncated(value.into(), width) | u128::from(falls) << width
            });
            for (lane, words) in lanes.iter_mut().zip(words) {
                lane.extend(words);
            }
        }
        self.constants.add(lanes)
    }

    fn add_channels(&mut self, plan: &WeightPlan, epilogue: &Epilogue) -> u64 {
        let words = self.by_lane(plan.tiles, |channel| {
            epilogue
                .channels
                .get(channel)
                .cloned()
                .unwrap_or(Channel::None)
        });
        match epilogue.mode {
            Mode::Raw => 0,
            Mode::Thresholds => self.thresholds.add(words),
            Mode::Affine => self.affine.add(words),
        }
    }

    /// Everything that the program stream loads.
    fn packets(&self, descriptors: &[Descriptor]) -> Vec<Packet> {
        let design = self.design;
        let program = descriptors.iter().flat_map(Descriptor::words);
        let mut packets = vec![Packet {
            target: Target::Program,
            level: 0,
            lane: 0,
            address: 0,
            width: 32,
            words: program.map(|word| u128::from(*word)).collect(),
        }];
        let mut add = |target, level, lane: usize, width, words: Vec<u128>| {
            if !words.is_empty() {
                packets.push(Packet {
                    target,
                    level,
                    lane: lane as u32,
                    address: 0,
                    width,
                    words,
                });
            }
        };
        let schedule = self.schedule.lanes()[0].clone();
        add(Target::Schedule, 0, 0, design.schedule_width, schedule);
        for (lane, words) in self.constants.lanes().iter().enumerate() {
            let width = design.constant_width;
            add(Target::Constants, 0, lane, width, words.clone());
        }
        for (lane, channels) in self.thresholds.lanes().iter().enumerate() {
            for level in 0..design.config().threshold_bits {
                let words = threshold_words(design, channels, level);
                let width = design.design().result_width;
                add(Target::Thresholds, level, lane, width, words);
            }
        }
        for (lane, channels) in self.affine.lanes().iter().enumerate() {
            let words = channels.iter().map(|channel| affine_word(design, channel));
            let width = design.affine_width;
            add(Target::Affine, 0, lane, width, words.collect());
        }
        let table = self.tables.lanes()[0].iter();
        let words = table.map(|value| truncated(i128::from(*value), design.product_width));
        add(Target::Table, 0, 0, design.product_width, words.collect());
        packets
    }
}

fn truncated(value: i128, width: u32) -> u128 {
    value as u128 & (u128::MAX >> (128 - width))
}

/// One level of the thresholds of a lane's channels: word `channel << level | found`.
fn threshold_words(design: &AcceleratorDesign, channels: &[Channel], level: u32) -> Vec<u128> {
    let width = design.design().result_width;
    let levels = |list: &Vec<i64>| (list.len() + 1).ilog2();
    let is_used = channels
        .iter()
        .any(|channel| matches!(channel, Channel::Thresholds(list) if levels(list) > level));
    if !is_used {
        return Vec::new();
    }
    let mut words = Vec::with_capacity(channels.len() << level);
    for channel in channels {
        for found in 0..1usize << level {
            words.push(match channel {
                Channel::Thresholds(list) if levels(list) > level => {
                    let half = 1usize << (levels(list) - 1 - level);
                    truncated(list[(2 * found + 1) * half - 1].into(), width)
                }
                _ => 0,
            });
        }
    }
    words
}

fn affine_word(design: &AcceleratorDesign, channel: &Channel) -> u128 {
    match channel {
        Channel::Affine { multiplier, addend } => {
            let bits = xnorforge_hdl::accelerator::config::MULTIPLIER_BITS;
            truncated((*multiplier).into(), bits) | truncated(*addend, design.product_width) << bits
        }
        Channel::None | Channel::Thresholds(_) => 0,
    }
}

/// Refuses more pixels than a descriptor counts.
fn check_pixels(stages: &Stages<'_>) -> Result<(), ProgramError> {
    for stage in &stages.stages {
        let images = u64::from(stages.buffers[0].layout.images);
        let shape = stage.output_shape;
        let pixels = images * u64::from(shape.height) * u64::from(shape.width);
        if pixels > u64::from(u32::MAX) {
            return Err(ProgramError::Field {
                what: format!("layer `{}`", stage.name),
                field: Field::RowTiles.name(),
                value: pixels as i64,
                bits: 32,
                fix: "run fewer images at a time",
            });
        }
    }
    Ok(())
}

/// Refuses numbers of more bits than the array takes, and branches that cannot be read alone.
fn check_planes(
    design: &AcceleratorDesign,
    stage: &Stage<'_>,
    input: &TensorLayout,
) -> Result<(), ProgramError> {
    let c = design.design().config();
    let bits = |precision: Precision| stored_precision(precision).bits;
    let given = stage.work.output_precision(stage.precision);
    for precision in std::iter::once(stage.precision).chain(given) {
        if bits(precision) > c.activation_bits {
            return Err(ProgramError::Bits {
                layer: stage.name.clone(),
                operand: "activations",
                bits: bits(precision),
                field: "activation_bits",
                limit: c.activation_bits,
            });
        }
    }
    let (of, read) = (bits(input.precision), bits(stage.precision));
    let branches = c.activation_branches;
    let is_alone = of.is_multiple_of(branches) && (of - read).is_multiple_of(branches);
    if read < of && !is_alone {
        return Err(ProgramError::Planes {
            layer: stage.name.clone(),
            bits: read,
            of,
            left: of - read,
            branches,
        });
    }
    Ok(())
}

/// Refuses a reduction past the array's widths or half of a patch buffer.
fn check_reduction(
    design: &AcceleratorDesign,
    stage: &Stage<'_>,
    plan: &WeightPlan,
    activation: &StoredForm,
) -> Result<(), ProgramError> {
    let c = design.design().config();
    let Work::Product { convolution, .. } = &stage.work else {
        return Ok(());
    };
    let (kh, kw) = convolution.window.kernel;
    let taps = u64::from(kh) * u64::from(kw);
    let granules = plan.parts.iter().map(|part| part.granules.len() as u64);
    let granules = taps * granules.max().unwrap_or(1);
    let chunks = granules.div_ceil(design.slices.into());
    let limit = c.reduction_max;
    if chunks > u64::from(limit.div_ceil(c.lanes)) {
        return Err(ProgramError::Reduction {
            layer: stage.name.clone(),
            elements: chunks * u64::from(c.lanes),
            limit,
        });
    }
    let groups = u64::from(activation.planes() / c.activation_branches);
    check_memory(
        || format!("layer `{}`, both halves", stage.name),
        "patch buffer of a row",
        "patch_words",
        2 * chunks * groups,
        design.config().patch_words,
    )
}

/// What a padded tap is worth and what it holds, and its code.
pub(crate) fn padded_tap(precision: Precision, form: &StoredForm, pad: Pad) -> ((i64, i64), u32) {
    match pad {
        // `bipolar` has no zero: code 0 stands for its least number.
        Pad::Zero if precision.encoding == Encoding::Bipolar => ((0, -form.total()), 0),
        Pad::Zero => ((0, 0), form.code(0)),
        Pad::Number(number) => ((number, number), form.code(number as i32)),
    }
}

/// The steps of a tile and the shift that aligns its sums.
fn tile_schedule(
    design: &AcceleratorDesign,
    activation: &StoredForm,
    weight: &StoredForm,
) -> (Vec<ScheduleStep>, u32) {
    let array = design.design();
    let c = array.config();
    let pairs = schedule::group_pairs(
        &activation.group_significances(c.activation_branches),
        &weight.group_significances(c.weight_branches),
    );
    let shifts: u32 = pairs.iter().map(|pair| pair.shift).sum();
    let steps = pairs
        .into_iter()
        .map(|pair| ScheduleStep::new(array, pair, weight.encoding()))
        .collect();
    (steps, array.accumulator_low_width - shifts)
}

/// Schedule entries `{shift, row_mode, weight_offset, patch_offset}`.
fn schedule_words(design: &AcceleratorDesign, steps: &[ScheduleStep], chunks: u32) -> Vec<u128> {
    let weight_low = design.patch_address_width;
    let mode_low = weight_low + design.weight_address_width;
    steps
        .iter()
        .map(|step| {
            let shift = step.shift.map_or(0, |index| 1u128 << index);
            shift << (mode_low + 2)
                | (step.row_mode as u128) << mode_low
                | u128::from(step.pair.weight_group * chunks) << weight_low
                | u128::from(step.pair.activation_group * chunks)
        })
        .collect()
}

/// Where every part's weights stand; nowhere for one that streams in each run.
struct Residency<'p> {
    store: Option<WeightStore<'p>>,
    /// For each network, stage and part.
    places: Vec<Option<Vec<Vec<WeightPlace>>>>,
}

impl<'p> Residency<'p> {
    fn new(design: &AcceleratorDesign, networks: &'p [LoweredNetwork<'_>]) -> Self {
        let mut store = WeightStore::default();
        let mut places = Vec::new();
        for network in networks {
            let stages = network.products.iter();
            let stages = stages.map(|product| match product {
                Some(product) => product.parts.iter().map(|part| store.add(part)).collect(),
                None => Vec::new(),
            });
            places.push(Some(stages.collect()));
        }
        if store.words() > u64::from(design.config().weight_words) {
            return Residency {
                store: None,
                places: vec![None; networks.len()],
            };
        }
        Residency {
            store: Some(store),
            places,
        }
    }

    /// The entry that takes resident weights.
    fn load_entry(&self, design: &AcceleratorDesign) -> Result<Option<Entry>, ProgramError> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let mut weights = Fields::new(design, Opcode::Weights, "the weights");
        weights.set(Field::WeightBase, 0)?;
        weights.set(Field::WeightLast, store.words() as i64 - 1)?;
        let mut end = Fields::new(design, Opcode::End, "the end");
        // The run is over when the last weight is written, not when its taking has begun.
        end.set(Field::WaitWeights, 1)?;
        let steps = [weights, end].map(|fields| Step {
            descriptor: fields.finish(),
            layer: None,
        });
        Ok(Some(Entry {
            name: LOAD_WEIGHTS.to_owned(),
            address: 0,
            steps: steps.to_vec(),
            weights: vec![store.beats(design)],
            input: None,
            results: Vec::new(),
            outputs: Vec::new(),
            stream_bits: design.config().stream_bits,
            word_width: design.word_width,
        }))
    }
}

/// A COMPUTE descriptor to be: some column tiles of a part of a stage.
#[derive(Clone, Debug)]
struct Block {
    stage: usize,
    part: usize,
    /// Column tiles of the layer.
    tiles: Range<u32>,
    place: WeightPlace,
}

/// Writes a network's descriptors.
struct Emitter<'a> {
    design: &'a AcceleratorDesign,
    lowered: &'a LoweredNetwork<'a>,
    steps: Vec<Step>,
    weights: Vec<Beats>,
    results: Vec<ResultBlock>,
}

impl<'a> Emitter<'a> {
    fn new(design: &'a AcceleratorDesign, lowered: &'a LoweredNetwork<'a>) -> Self {
        Emitter {
            design,
            lowered,
            steps: Vec::new(),
            weights: Vec::new(),
            results: Vec::new(),
        }
    }

    fn entry(mut self, places: Option<Vec<Vec<WeightPlace>>>) -> Result<Entry, ProgramError> {
        let streams = places.is_none();
        let blocks = match places {
            Some(places) => self.resident_blocks(&places),
            None => self.streamed_blocks()?,
        };
        if let Some(first) = blocks.first().filter(|_| streams) {
            self.weights(first)?;
        }
        self.input()?;
        let last_stream = self.last_stream();
        for stage in 0..self.lowered.stages.stages.len() {
            if self.lowered.products[stage].is_none() {
                self.pool(stage)?;
            }
            let of_stage = blocks.iter().enumerate().filter(|(_, b)| b.stage == stage);
            for (index, block) in of_stage {
                // WEIGHTS waits for the one before, so the weights of this block are there after it.
                let next = blocks.get(index + 1).filter(|_| streams);
                if let Some(next) = next {
                    self.weights(next)?;
                }
                let is_last_of_stage = blocks.get(index + 1).is_none_or(|b| b.stage != stage);
                let flags = Flags {
                    wait_weights: streams && next.is_none(),
                    stream_last: is_last_of_stage && last_stream == Some(stage),
                };
                self.compute(block, flags)?;
            }
        }
        let end = Fields::new(self.design, Opcode::End, "the end").finish();
        self.push(end, None);
        let stages = &self.lowered.stages;
        Ok(Entry {
            name: self.lowered.network.name.clone(),
            address: 0,
            steps: self.steps,
            weights: self.weights,
            input: Some(stages.buffers[0].layout.clone()),
            results: self.results,
            outputs: stages.outputs.clone(),
            stream_bits: self.design.config().stream_bits,
            word_width: self.design.word_width,
        })
    }

    fn push(&mut self, descriptor: Descriptor, layer: Option<usize>) {
        self.steps.push(Step { descriptor, layer });
    }

    /// The last stage that streams results.
    fn last_stream(&self) -> Option<usize> {
        let stages = &self.lowered.stages.stages;
        stages.iter().rposition(|stage| stage.stream.is_some())
    }

    fn product(&self, stage: usize) -> &'a LoweredProduct {
        self.lowered.products[stage]
            .as_ref()
            .expect("blocks belong to products")
    }

    fn resident_blocks(&self, places: &[Vec<WeightPlace>]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (stage, places) in places.iter().enumerate() {
            for (part, place) in places.iter().enumerate() {
                blocks.push(Block {
                    stage,
                    part,
                    tiles: self.product(stage).plan.parts[part].tiles.clone(),
                    place: *place,
                });
            }
        }
        blocks
    }

    /// Blocks of column tiles that fit in half of the weight memory, in one half and the other by turns.
    fn streamed_blocks(&self) -> Result<Vec<Block>, ProgramError> {
        let half = self.design.config().weight_words / 2;
        let mut blocks: Vec<Block> = Vec::new();
        for (stage, product) in self.lowered.products.iter().enumerate() {
            let Some(product) = product else { continue };
            for (part, packed) in product.parts.iter().enumerate() {
                let tile = packed.tile_words();
                let name = &self.lowered.stages.stages[stage].name;
                check_memory(
                    || format!("a column tile of layer `{name}`, double buffered"),
                    "weight memory of a column",
                    "weight_words",
                    2 * u64::from(tile),
                    self.design.config().weight_words,
                )?;
                let tiles = product.plan.parts[part].tiles.clone();
                let step = (half / tile) as usize;
                for first in tiles.clone().step_by(step) {
                    let end = (first + step as u32).min(tiles.end);
                    let base = u64::from(half) * (blocks.len() as u64 % 2);
                    let words = u64::from(end - first) * u64::from(tile);
                    blocks.push(Block {
                        stage,
                        part,
                        tiles: first..end,
                        place: WeightPlace {
                            base,
                            tile,
                            last: base + words - 1,
                        },
                    });
                }
            }
        }
        Ok(blocks)
    }

    fn fields(&self, opcode: Opcode, stage: usize) -> Fields<'a> {
        let name = &self.lowered.stages.stages[stage].name;
        Fields::new(self.design, opcode, &format!("layer `{name}`"))
    }

    fn weights(&mut self, block: &Block) -> Result<(), ProgramError> {
        let product = self.product(block.stage);
        let mut fields = self.fields(Opcode::Weights, block.stage);
        fields.set(Field::WeightBase, block.place.base as i64)?;
        fields.set(Field::WeightLast, block.place.last as i64)?;
        self.push(fields.finish(), None);
        let first = product.plan.parts[block.part].tiles.start;
        let tiles = block.tiles.start - first..block.tiles.end - first;
        let mut beats = Beats::new(self.design.config().stream_bits);
        product.parts[block.part].beats(self.design, tiles, &mut beats);
        self.weights.push(beats);
        Ok(())
    }

    fn input(&mut self) -> Result<(), ProgramError> {
        let layout = &self.lowered.stages.buffers[0].layout;
        let mut fields = Fields::new(self.design, Opcode::Input, "the input");
        fields.set(Field::OutBase, layout.base.into())?;
        fields.set(
            Field::OutLast,
            i64::from(layout.base) + layout.words() as i64 - 1,
        )?;
        self.push(fields.finish(), None);
        Ok(())
    }

    /// What a stage reads: all of a window's taps, some granules of each pixel.
    fn set_reading(
        &self,
        fields: &mut Fields<'_>,
        stage: &Stage<'_>,
        window: &Window,
        granules: Range<u32>,
    ) -> Result<(), ProgramError> {
        let layout = &self.lowered.stages.buffers[stage.input].layout;
        let branches = self.design.design().config().activation_branches;
        let groups = stored_planes(stage.precision, branches) / branches;
        let base = i64::from(layout.base);
        let skipped = i64::from(layout.groups - groups) * i64::from(layout.pitch);
        fields.set(Field::InBase, base + skipped)?;
        fields.set(Field::InPitch, layout.pitch.into())?;
        fields.set(Field::InLast, base + layout.words() as i64 - 1)?;
        fields.set(Field::Groups, groups.into())?;
        let walk = Walk::new(
            window,
            stage.shape,
            stage.output_shape,
            layout.pixel_granules,
            granules,
        );
        match stage.work {
            Work::Product { .. } => walk.in_long_runs(window, stage.shape),
            Work::Pool(_) => walk,
        }
        .set(fields)?;
        let rows = u64::from(self.design.design().config().rows);
        let shape = stage.output_shape;
        let pixels = u64::from(layout.images) * u64::from(shape.height) * u64::from(shape.width);
        let tiles = pixels.div_ceil(rows);
        fields.set(Field::RowTiles, tiles as i64)?;
        fields.set(Field::LastRows, (pixels - (tiles - 1) * rows) as i64)?;
        fields.set(
            Field::Layer,
            stage.layer.map_or(0, |layer| layer as i64 + 1),
        )
    }

    /// Where a stage writes.
    fn set_writing(
        &self,
        fields: &mut Fields<'_>,
        stage: &Stage<'_>,
        granule: u32,
    ) -> Result<(), ProgramError> {
        let columns = self.design.design().config().columns;
        let pixel = stage.output_shape.channels.div_ceil(columns);
        fields.set(Field::OutGranule, granule.into())?;
        fields.set(Field::OutPixel, pixel.into())?;
        fields.set(Field::OutGroups, 1)?;
        let Some(buffer) = stage
            .output
            .map(|index| &self.lowered.stages.buffers[index])
        else {
            return Ok(());
        };
        let layout = &buffer.layout;
        fields.set(Field::ToActivation, buffer.activation.is_some().into())?;
        fields.set(Field::ToResidual, buffer.residual.is_some().into())?;
        fields.set(Field::OutGroups, layout.groups.into())?;
        fields.set(Field::OutBase, layout.base.into())?;
        fields.set(Field::OutPitch, layout.pitch.into())?;
        fields.set(
            Field::OutLast,
            i64::from(layout.base) + layout.words() as i64 - 1,
        )
    }

    /// One POOL for each piece of a pixel's granules that never crosses a word.
    fn pool(&mut self, index: usize) -> Result<(), ProgramError> {
        let stage = &self.lowered.stages.stages[index];
        let Work::Pool(window) = &stage.work else {
            return Ok(());
        };
        let layout = &self.lowered.stages.buffers[stage.input].layout;
        let granules = layout.pixel_granules;
        let piece = (1 << granules.trailing_zeros()).min(self.design.slices);
        for first in (0..granules).step_by(piece as usize) {
            let mut fields = self.fields(Opcode::Pool, index);
            self.set_reading(&mut fields, stage, window, first..first + piece)?;
            self.set_writing(&mut fields, stage, first)?;
            self.push(fields.finish(), stage.layer);
        }
        Ok(())
    }

    fn compute(&mut self, block: &Block, flags: Flags) -> Result<(), ProgramError> {
        let stage = &self.lowered.stages.stages[block.stage];
        let product = self.product(block.stage);
        let Work::Product { convolution, .. } = &stage.work else {
            return Ok(());
        };
        let c = self.design.design().config();
        let part = &product.plan.parts[block.part];
        let packed = &product.parts[block.part];
        let mut fields = self.fields(Opcode::Compute, block.stage);
        self.set_reading(
            &mut fields,
            stage,
            &convolution.window,
            part.granules.clone(),
        )?;
        self.set_writing(&mut fields, stage, block.tiles.start)?;
        self.set_epilogue(&mut fields, block, stage)?;
        let (schedule_base, schedule_steps) = product.schedules[block.part];
        let first = block.tiles.start * c.columns;
        let channels = (block.tiles.end * c.columns).min(convolution.outputs()) - first;
        let tiles = block.tiles.len() as u32;
        for (field, value) in [
            (Field::WaitWeights, i64::from(flags.wait_weights)),
            (Field::ToStream, i64::from(stage.stream.is_some())),
            (Field::StreamLast, i64::from(flags.stream_last)),
            (Field::PadCode, product.pad_code.into()),
            (Field::Chunks, packed.chunks.into()),
            (Field::ColumnTiles, tiles.into()),
            (
                Field::LastColumns,
                (channels - (tiles - 1) * c.columns).into(),
            ),
            (Field::ScheduleBase, schedule_base as i64),
            (Field::ScheduleSteps, schedule_steps as i64),
            (Field::WeightBase, block.place.base as i64),
            (Field::WeightTile, block.place.tile.into()),
            (Field::WeightLast, block.place.last as i64),
            (Field::Align, product.align.into()),
            (Field::ResultShift, product.result_shift.into()),
        ] {
            fields.set(field, value)?;
        }
        self.push(fields.finish(), stage.layer);
        if let Some(output) = stage.stream {
            self.results.push(ResultBlock {
                output,
                channel: first,
                channels,
                rows: c.rows,
                columns: c.columns,
            });
        }
        Ok(())
    }

    /// Constants, requantization and residual.
    fn set_epilogue(
        &self,
        fields: &mut Fields<'_>,
        block: &Block,
        stage: &Stage<'_>,
    ) -> Result<(), ProgramError> {
        let product = self.product(block.stage);
        let epilogue = &product.epilogue;
        let steps = i64::from(self.design.drain_steps);
        let skipped = i64::from(block.tiles.start) * steps;
        let class = i64::from(product.plan.tiles) * steps;
        let [y, x] = &product.constants.classes;
        let adds = |place| epilogue.table.as_ref().is_some_and(|(_, at)| *at == place);
        let channel_base = match epilogue.mode {
            Mode::Raw => 0,
            Mode::Thresholds | Mode::Affine => product.channel_base as i64 + skipped,
        };
        for (field, value) in [
            (Field::Mode, epilogue.mode as i64),
            (Field::ResidualBefore, adds(Place::Before).into()),
            (Field::ResidualAfter, adds(Place::After).into()),
            (Field::RoundEven, epilogue.round_even.into()),
            (Field::Levels, epilogue.levels.into()),
            (Field::Shift, epilogue.shift.into()),
            (Field::ConstantBase, product.constant_base as i64 + skipped),
            (Field::ClassXPitch, if x.len() > 1 { class } else { 0 }),
            (
                Field::ClassYPitch,
                if y.len() > 1 {
                    class * x.len() as i64
                } else {
                    0
                },
            ),
            (Field::YLead, y.lead.into()),
            (Field::YTrail, y.trail.into()),
            (Field::XLead, x.lead.into()),
            (Field::XTrail, x.trail.into()),
            (Field::ChannelBase, channel_base),
            (Field::TableBase, product.table_base as i64),
            (Field::Offset, epilogue.offset),
            (Field::CodeMin, epilogue.code_min),
            (Field::CodeMax, epilogue.code_max),
        ] {
            fields.set(field, value)?;
        }
        if let Work::Product {
            residual: Some((buffer, _)),
            ..
        } = &stage.work
        {
            let layout = &self.lowered.stages.buffers[*buffer].layout;
            fields.set(Field::ResidualBase, layout.base.into())?;
            fields.set(Field::ResidualPitch, layout.pitch.into())?;
            fields.set(Field::ResidualGroups, layout.groups.into())?;
        }
        Ok(())
    }
}

/// Flags of a COMPUTE descriptor that depend on its neighbours.
#[derive(Clone, Copy, Debug)]
struct Flags {
    wait_weights: bool,
    stream_last: bool,
}
