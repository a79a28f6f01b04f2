//! The back end's text, Verilated, beside its model: every output in every cycle, over random descriptors, beats, loads
//! and stalls.

mod common;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::accelerator::{Descriptor, Field, Mode, Opcode};
use xnorforge_hdl::emit::emit;
use xnorforge_hdl::hardware::accelerator::BackEnd;
use xnorforge_hdl::{
    AcceleratorConfig, AcceleratorDesign, ArrayConfig, BroadcastStages, Target, references,
    schedule,
};
use xnorforge_sim::accelerator::{
    BackBeat, BackDescriptor, BackEndInputs, BackEndModel, BackEndOutputs, BackLoad, BackMemory,
    BackTiming,
};
use xnorforge_sim::verilator::VerilatedModel;
use xnorforge_sim::{Beat, RowMode};

/// The fields that are ports of the back end.
const FIELDS: [Field; 37] = [
    Field::ToActivation,
    Field::ToResidual,
    Field::ToStream,
    Field::Mode,
    Field::ResidualBefore,
    Field::ResidualAfter,
    Field::RoundEven,
    Field::StreamLast,
    Field::OutWidth,
    Field::OutHeight,
    Field::LastRows,
    Field::Align,
    Field::ResultShift,
    Field::Levels,
    Field::Shift,
    Field::ConstantBase,
    Field::ClassXPitch,
    Field::ClassYPitch,
    Field::YLead,
    Field::YTrail,
    Field::XLead,
    Field::XTrail,
    Field::ChannelBase,
    Field::TableBase,
    Field::Offset,
    Field::CodeMin,
    Field::CodeMax,
    Field::OutGroups,
    Field::OutBase,
    Field::OutPitch,
    Field::OutLast,
    Field::OutGranule,
    Field::OutPixel,
    Field::ResidualBase,
    Field::ResidualPitch,
    Field::ResidualGroups,
    Field::LastColumns,
];

fn verilated(d: &AcceleratorDesign) -> VerilatedModel {
    let package = emit(&BackEnd::new(d), "").unwrap();
    common::verilated(&package, 1)
}

/// The Verilated text, with ports by name.
struct Rtl {
    model: VerilatedModel,
    design: AcceleratorDesign,
}

impl Rtl {
    fn set_words(&mut self, name: &str, value: &[u64]) {
        let port = self.model.port(name).unwrap_or_else(|| panic!("{name}"));
        let words = self.model.ports()[port].width.div_ceil(64) as usize;
        let mut padded = value.to_vec();
        padded.resize(words, 0);
        self.model.set(port, &padded);
    }

    fn set(&mut self, name: &str, value: u64) {
        self.set_words(name, &[value]);
    }

    fn get_words(&self, name: &str) -> Vec<u64> {
        let port = self.model.port(name).unwrap_or_else(|| panic!("{name}"));
        let mut value = vec![0; self.model.ports()[port].width.div_ceil(64) as usize];
        self.model.get(port, &mut value);
        value
    }

    fn get(&self, name: &str) -> u64 {
        self.get_words(name)[0]
    }

    fn set_inputs(&mut self, inputs: &BackEndInputs<'_>) {
        self.set("reset", inputs.reset.into());
        self.set("go_compute", inputs.go_compute.into());
        for field in FIELDS {
            self.set(field.name(), inputs.descriptor.get(field) as u64);
        }
        let memory = inputs.load.map(|load| load.memory);
        for (port, which) in [
            ("constant_write", BackMemory::Constant),
            ("threshold_write", BackMemory::Threshold),
            ("affine_write", BackMemory::Affine),
            ("table_write", BackMemory::Table),
        ] {
            self.set(port, (memory == Some(which)).into());
        }
        if let Some(load) = inputs.load {
            self.set("load_level", load.level.into());
            self.set("load_lane", load.lane.into());
            self.set("load_address", load.address.into());
            self.set("load_value", load.value);
        }
        self.set("operand_valid", inputs.operand.is_some().into());
        if let Some(operand) = inputs.operand {
            self.set_operand(operand);
        }
        self.set("result_ready", inputs.result_ready.into());
    }

    fn set_operand(&mut self, operand: &BackBeat) {
        let beat = &operand.beat;
        self.set("operand_first", beat.first.into());
        self.set("operand_last", beat.last.into());
        self.set("operand_shift", beat.shift.map_or(0, |i| 1 << i));
        self.set("operand_row_mode", beat.row_mode as u64);
        self.set("operand_last_column", operand.last_column.into());
        self.set("operand_last_row", operand.last_row.into());
        let lanes = self.design.design().config().lanes as usize;
        self.set_words("activation", &packed(&beat.activation, lanes));
        self.set_words("weight", &packed(&beat.weight, lanes));
    }

    fn outputs(&self) -> BackEndOutputs {
        let lanes = self.design.config().drain_columns as usize;
        let (data, keep) = (self.get_words("result_data"), self.get_words("result_keep"));
        let valid = self.get("result_valid") == 1;
        let result = |lane: usize| {
            let value = (data[lane / 2] >> (lane % 2 * 32)) as u32 as i32;
            (value, keep[lane / 64] >> (lane % 64) & 1 == 1)
        };
        let write = self.get("back_write");
        BackEndOutputs {
            advance: self.get("advance") == 1,
            back_write: write,
            back_address: if write == 0 {
                0
            } else {
                self.get("back_address") as u32
            },
            back_value: if write == 0 {
                Vec::new()
            } else {
                self.get_words("back_value")
            },
            result_valid: valid,
            result: (0..lanes * usize::from(valid)).map(result).collect(),
            result_last: valid && self.get("result_last") == 1,
            drain_stall: self.get("drain_stall") == 1,
            output_stall: self.get("output_stall") == 1,
            compute_finished: self.get("compute_finished") == 1,
            back_error: self.get("back_error") as u8,
        }
    }
}

/// Words of lanes, each beginning at a multiple of 64 bits, side by side.
fn packed(words: &[u64], lanes: usize) -> Vec<u64> {
    let each = lanes.div_ceil(64);
    let bits = words.len() / each * lanes;
    let mut packed = vec![0; bits.div_ceil(64)];
    for bit in 0..bits {
        let (word, lane) = (bit / lanes, bit % lanes);
        packed[bit / 64] |= (words[word * each + lane / 64] >> (lane % 64) & 1) << (bit % 64);
    }
    packed
}

/// The model and the text, stepped together.
struct Pair {
    design: AcceleratorDesign,
    model: BackEndModel,
    rtl: Rtl,
    rng: ChaCha8Rng,
    cycle: u64,
    known: bool,
    counts: [u64; 6],
}

impl Pair {
    fn new(config: &ArrayConfig, seed: u64) -> Self {
        let design = AcceleratorDesign::new(&config.validate().unwrap()).unwrap();
        let rtl = Rtl {
            model: verilated(&design),
            design: design.clone(),
        };
        Pair {
            model: BackEndModel::new(&design),
            rtl,
            rng: ChaCha8Rng::seed_from_u64(seed),
            cycle: 0,
            known: false,
            counts: [0; 6],
            design,
        }
    }

    /// One cycle; gives the outputs that stood in it.
    fn step(&mut self, inputs: &BackEndInputs<'_>) -> BackEndOutputs {
        self.rtl.set_inputs(inputs);
        self.rtl.set("clock", 0);
        self.rtl.model.eval().unwrap();
        let outputs = self.model.outputs();
        if self.known {
            assert_eq!(
                self.rtl.outputs(),
                outputs,
                "cycle {}: text and model",
                self.cycle
            );
        }
        self.rtl.set("clock", 1);
        self.rtl.model.eval().unwrap();
        self.model.edge(inputs);
        self.known |= inputs.reset;
        self.cycle += 1;
        for (count, seen) in self.counts.iter_mut().zip([
            outputs.back_write != 0,
            outputs.result_valid && inputs.result_ready,
            outputs.drain_stall,
            outputs.output_stall,
            outputs.compute_finished,
            outputs.back_error != 0,
        ]) {
            *count += u64::from(seen);
        }
        outputs
    }

    fn idle(&mut self, descriptor: &Descriptor, reset: bool) {
        self.step(&BackEndInputs {
            reset,
            go_compute: false,
            descriptor,
            load: None,
            operand: None,
            result_ready: true,
        });
    }

    /// A number of a random magnitude, in `width` bits.
    fn number(&mut self, width: u32) -> u64 {
        let magnitude = self.rng.random_range(1..=width);
        let value = self.rng.random::<i64>() >> (64 - magnitude);
        value as u64 & (u64::MAX >> (64 - width))
    }

    /// Writes every word of every memory.
    fn load_memories(&mut self) {
        let d = self.design.clone();
        let c = d.config();
        let mut all = vec![
            (BackMemory::Constant, 0, c.constant_words, d.constant_width),
            (BackMemory::Affine, 0, c.channel_words, d.affine_width),
            (BackMemory::Table, 0, c.table_words, d.product_width),
        ];
        all.extend((0..c.threshold_bits).map(|level| {
            let width = d.design().result_width;
            (
                BackMemory::Threshold,
                level,
                c.channel_words << level,
                width,
            )
        }));
        for (memory, level, words, width) in all {
            for address in 0..words {
                for lane in 0..c.drain_columns {
                    let load = BackLoad {
                        memory,
                        level,
                        lane,
                        address,
                        value: self.number(width),
                    };
                    self.load(&load);
                }
            }
        }
    }

    /// Writes a word of a memory.
    fn load(&mut self, load: &BackLoad) {
        self.step(&BackEndInputs {
            reset: false,
            go_compute: false,
            descriptor: &Descriptor::new(Opcode::Compute),
            load: Some(load),
            operand: None,
            result_ready: false,
        });
    }

    /// The beats of a tile of a random schedule.
    fn tile(&mut self, last_column: bool, last_row: bool) -> Vec<BackBeat> {
        let design = self.design.design().clone();
        let c = design.config();
        let groups = |most: u32, rng: &mut ChaCha8Rng| rng.random_range(1..=most);
        let activation = groups(design.activation_groups, &mut self.rng);
        let weight = groups(design.weight_groups, &mut self.rng);
        let chunks = self
            .rng
            .random_range(1..=c.reduction_max.div_ceil(c.lanes).min(3));
        let row_mode =
            [RowMode::Odd, RowMode::OddAndSum, RowMode::NotBoth][self.rng.random_range(0..3)];
        let activation = schedule::binary_significances(activation, c.activation_branches);
        let weight = schedule::binary_significances(weight, c.weight_branches);
        let mut tile = self.tile_of(&activation, &weight, chunks, row_mode);
        for beat in &mut tile {
            beat.beat.activation = self.words(c.rows * c.activation_branches, c.lanes);
            beat.beat.weight = self.words(c.columns * c.weight_branches, c.lanes);
            (beat.last_column, beat.last_row) = (last_column, last_row);
        }
        tile
    }

    /// The beats of the last tile, of groups of branches of these significances, without operands.
    fn tile_of(
        &self,
        activation: &[u32],
        weight: &[u32],
        chunks: u32,
        row_mode: RowMode,
    ) -> Vec<BackBeat> {
        let design = self.design.design();
        let c = design.config();
        let pairs = schedule::group_pairs(activation, weight);
        let beats = pairs.len() * chunks as usize;
        (0..beats)
            .map(|beat| {
                let pair = &pairs[beat / chunks as usize];
                let begins = beat % chunks as usize == 0 && pair.shift > 0;
                let shift = design.shift_amounts.iter().position(|a| *a == pair.shift);
                BackBeat {
                    beat: Beat {
                        first: beat == 0,
                        last: beat + 1 == beats,
                        shift: shift.filter(|_| begins).map(|i| i as u32),
                        row_mode,
                        entry: vec![0; c.rows as usize],
                        ..Beat::default()
                    },
                    last_column: true,
                    last_row: true,
                }
            })
            .collect()
    }

    /// A descriptor that sends the results of one full tile to the stream, with these fields beside.
    fn one_tile(&self, fields: &[(Field, i64)]) -> Descriptor {
        let c = self.design.design().config();
        let tile = [
            (Field::ToStream, 1),
            (Field::OutWidth, c.rows.into()),
            (Field::OutHeight, 1),
            (Field::OutGroups, 1),
            (Field::XTrail, 65535),
            (Field::YTrail, 65535),
            (Field::LastColumns, c.columns.into()),
            (Field::LastRows, c.rows.into()),
        ];
        let mut descriptor = Descriptor::new(Opcode::Compute);
        for (field, value) in tile.iter().chain(fields) {
            assert!(
                descriptor.set(&self.design, *field, *value),
                "{}",
                field.name()
            );
        }
        descriptor
    }

    /// The largest sums of elements under row sums of 0, and the largest row sums under sums of 0.
    fn largest_sums(&mut self) {
        let d = self.design.clone();
        let (design, c) = (d.design(), d.design().config());
        let words = c.lanes.div_ceil(64);
        let plane = |word: u32, bit: bool| match bit {
            true => u64::MAX >> (64 - (c.lanes - word * 64).min(64)),
            false => 0,
        };
        let filled = |planes: u32, bit: bool| -> Vec<u64> {
            (0..planes * words).map(|i| plane(i % words, bit)).collect()
        };
        let binary = [
            schedule::binary_significances(design.activation_groups, c.activation_branches),
            schedule::binary_significances(design.weight_groups, c.weight_branches),
        ];
        // Both digits of a ternary number have the same significance, so nothing shifts.
        let ternary = |operand: usize, bits: u32, branches: u32| match (bits, branches) {
            (2.., 1) => vec![0, 0],
            _ => binary[operand].clone(),
        };
        let ternary = [
            ternary(0, c.activation_bits, c.activation_branches),
            ternary(1, c.weight_bits, c.weight_branches),
        ];
        let chunks = (c.reduction_max / c.lanes).max(1);
        let cases = [
            (&binary, true, RowMode::Odd),
            (&binary, false, RowMode::NotBoth),
            (&ternary, true, RowMode::Odd),
            (&ternary, false, RowMode::NotBoth),
        ];
        for ([activation, weight], bit, row_mode) in cases {
            let mut tile = self.tile_of(activation, weight, chunks, row_mode);
            for beat in &mut tile {
                beat.beat.activation = filled(c.rows * c.activation_branches, bit);
                beat.beat.weight = filled(c.columns * c.weight_branches, true);
            }
            let pairs = schedule::group_pairs(activation, weight);
            let shifted: u32 = pairs.iter().map(|pair| pair.shift).sum();
            let align = design.accumulator_low_width - shifted;
            let descriptor = self.one_tile(&[
                (Field::Mode, Mode::Raw as i64),
                (Field::Align, align.into()),
            ]);
            let rates = self.rates();
            assert!(self.run_beats(&descriptor, tile, rates));
        }
    }

    fn words(&mut self, count: u32, lanes: u32) -> Vec<u64> {
        let each = lanes.div_ceil(64);
        (0..count * each)
            .map(|word| {
                let used = (lanes - word % each * 64).min(64);
                self.rng.random::<u64>() >> (64 - used)
            })
            .collect()
    }

    /// Runs a descriptor to its end or to an error; gives whether it came to its end.
    fn run(&mut self, descriptor: &Descriptor, row_tiles: u32, column_tiles: u32) -> bool {
        let rates = self.rates();
        let mut beats = Vec::new();
        for row in 1..=row_tiles {
            for column in 1..=column_tiles {
                beats.extend(self.tile(column == column_tiles, row == row_tiles));
            }
        }
        self.run_beats(descriptor, beats, rates)
    }

    /// How often a beat comes, and how often results are taken.
    fn rates(&mut self) -> [f64; 2] {
        [0, 1].map(|_| [0.2, 0.7, 1.0, 1.0][self.rng.random_range(0..4)])
    }

    /// [`Pair::run`] with these beats and [`Pair::rates`].
    fn run_beats(
        &mut self,
        descriptor: &Descriptor,
        beats: Vec<BackBeat>,
        [valid, ready]: [f64; 2],
    ) -> bool {
        let mut beats = beats.into_iter().peekable();
        let mut offered = false;
        for cycle in 0..200_000 {
            // A beat that was offered stands until it is taken.
            offered |= cycle > 2 && self.rng.random_bool(valid);
            let operand = beats.peek().filter(|_| offered).cloned();
            let result_ready = self.rng.random_bool(ready);
            let outputs = self.step(&BackEndInputs {
                reset: false,
                go_compute: cycle == 0,
                descriptor,
                load: None,
                operand: operand.as_ref(),
                result_ready,
            });
            if outputs.advance && operand.is_some() {
                beats.next();
                offered = false;
            }
            if outputs.compute_finished {
                assert!(beats.peek().is_none());
                return true;
            }
            if outputs.back_error != 0 && self.rng.random_bool(0.1) {
                self.idle(descriptor, true);
                return false;
            }
        }
        panic!("the descriptor does not end: {descriptor:?}");
    }

    /// Writes every granule of the residual memory.
    fn fill_residual(&mut self) {
        let d = self.design.clone();
        let rows = d.design().config().rows;
        let granules = d.residual_granules();
        let mut descriptor = Descriptor::new(Opcode::Compute);
        let row_tiles = granules.div_ceil(rows);
        for (field, value) in [
            (Field::ToResidual, 1),
            (Field::Mode, Mode::Affine as i64),
            (Field::CodeMax, 255),
            (Field::OutWidth, i64::from(granules)),
            (Field::OutHeight, 1),
            (Field::OutGroups, 1),
            (Field::OutPixel, 1),
            (Field::XTrail, 65535),
            (Field::YTrail, 65535),
            (Field::OutLast, i64::from(d.config().residual_words) - 1),
            (Field::LastColumns, i64::from(d.design().config().columns)),
            (
                Field::LastRows,
                i64::from(granules - (row_tiles - 1) * rows),
            ),
        ] {
            assert!(descriptor.set(&d, field, value), "{}", field.name());
        }
        assert!(self.run(&descriptor, row_tiles, 1));
    }

    /// A random descriptor; most of them keep within the memories.
    fn descriptor(&mut self) -> Descriptor {
        let d = self.design.clone();
        let (c, array) = (d.config().clone(), d.design().config().clone());
        let mut descriptor = Descriptor::new(Opcode::Compute);
        let wild = self.rng.random_bool(0.1);
        // Values of all their bits are shifted by any distance, and moved by any offset.
        let [far, aside] = [0, 1].map(|_| self.rng.random_bool(0.3));
        let (words, planes) = (1 << d.output_address_width, d.code_planes.min(8));
        let mode = self.rng.random_range(0..3);
        let activation = self.rng.random_bool(0.6);
        let small = c.activation_words.min(c.residual_words);
        let last = if wild {
            self.rng.random_range(0..words)
        } else {
            small - 1
        };
        let range = |low: u32, high: u32| (i64::from(low), i64::from(high.max(low)));
        let groups = d.design().activation_groups;
        // Where nothing ever shifts, nothing ever writes the finished bits.
        let shifts = array.activation_bits * array.weight_bits > 1;
        let least_align = if shifts {
            0
        } else {
            d.design().accumulator_low_width
        };
        let values = [
            (Field::ToActivation, (activation.into(), activation.into())),
            (Field::ToResidual, range(0, 1)),
            (Field::ToStream, range(0, 1)),
            (Field::Mode, (mode, mode)),
            (Field::ResidualBefore, range(0, 1)),
            (Field::ResidualAfter, range(0, 1)),
            (Field::RoundEven, range(0, 1)),
            (Field::StreamLast, range(0, 1)),
            (Field::OutWidth, range(1, 6)),
            (Field::OutHeight, range(1, 4)),
            (Field::LastRows, range(1, array.rows)),
            (
                Field::Align,
                range(least_align, d.design().accumulator_low_width),
            ),
            (Field::ResultShift, range(0, 2)),
            (Field::Levels, range(1, c.threshold_bits)),
            (
                Field::Shift,
                range(
                    0,
                    if far {
                        (1 << Field::Shift.width(&d)) - 1
                    } else {
                        12
                    },
                ),
            ),
            (Field::ConstantBase, range(0, 20)),
            (Field::ClassXPitch, range(0, 8)),
            (Field::ClassYPitch, range(0, 12)),
            (Field::YLead, range(0, 3)),
            (Field::YTrail, range(0, 5)),
            (Field::XLead, range(0, 3)),
            (Field::XTrail, range(0, 7)),
            (
                Field::ChannelBase,
                range(0, c.channel_words / if wild { 1 } else { 2 } - 1),
            ),
            (
                Field::TableBase,
                range(
                    0,
                    c.table_words
                        - if wild {
                            1
                        } else {
                            c.table_words.min(1 << planes)
                        },
                ),
            ),
            (
                Field::Offset,
                if aside { (-32768, 32767) } else { (-40, 40) },
            ),
            (Field::CodeMin, range(0, 3)),
            (Field::CodeMax, range(1, (1 << planes) - 1)),
            (Field::OutGroups, range(1, groups)),
            (Field::OutBase, range(0, small / 8)),
            (Field::OutPitch, range(0, small / 16)),
            (Field::OutLast, range(last, last)),
            (Field::OutGranule, range(0, d.slices * 2)),
            (Field::OutPixel, range(0, if wild { 100 } else { 3 })),
            (Field::ResidualBase, range(0, c.residual_words - 1)),
            (Field::ResidualPitch, range(0, c.residual_words - 1)),
            (Field::ResidualGroups, range(1, groups)),
            (Field::LastColumns, range(1, array.columns)),
        ];
        for (field, (low, high)) in values {
            let value = self.rng.random_range(low..=high);
            assert!(descriptor.set(&d, field, value), "{}", field.name());
        }
        if self.rng.random_bool(0.4) {
            self.show_lowest_bits(&mut descriptor);
        }
        descriptor
    }

    /// The lowest level, or the rounding of a far shift, shows in the code: all codes are allowed, no count is shifted.
    fn show_lowest_bits(&mut self, descriptor: &mut Descriptor) {
        let d = &self.design;
        let most = (1 << d.code_planes.min(8)) - 1;
        let (shift, offset) = match descriptor.get(Field::Mode) == Mode::Affine as i64 {
            true => (self.rng.random_range(12..=20), most / 2),
            false => (0, 0),
        };
        let levels = match self.rng.random() {
            true => d.config().threshold_bits.into(),
            false => descriptor.get(Field::Levels),
        };
        for (field, value) in [
            (Field::Levels, levels),
            (Field::Shift, shift),
            (Field::Offset, offset),
            (Field::CodeMin, 0),
            (Field::CodeMax, most),
        ] {
            assert!(descriptor.set(d, field, value), "{}", field.name());
        }
    }

    /// Values near every power of two, shifted by all but its last bits and moved into the range of the codes: each bit of a
    /// value counts somewhere.
    fn near_powers_of_two(&mut self) {
        let d = self.design.clone();
        let array = d.design().config().clone();
        let most: i64 = (1 << d.code_planes.min(8)) - 1;
        for power in 0..d.product_width - 1 {
            let shift = self.rng.random_range(power.saturating_sub(15)..=power);
            let sign = if self.rng.random() { 1 } else { -1 };
            let reach = (most << shift).min((1 << power) - 1);
            for address in 0..array.columns.min(d.config().channel_words) {
                for lane in 0..d.config().drain_columns {
                    let addend = sign * ((1 << power) + self.rng.random_range(-reach..=reach));
                    // Nothing is multiplied.
                    let value = (addend as u64) << (d.affine_width - d.product_width);
                    self.load(&BackLoad {
                        memory: BackMemory::Affine,
                        level: 0,
                        lane,
                        address,
                        value: value & (u64::MAX >> (64 - d.affine_width)),
                    });
                }
            }
            let offset = most / 2 - sign * (1 << (power - shift));
            let round_even = self.rng.random_range(0..=1);
            let descriptor = self.one_tile(&[
                (Field::Mode, Mode::Affine as i64),
                (Field::RoundEven, round_even),
                (Field::Shift, shift.into()),
                (Field::Offset, offset.clamp(-32768, 32767)),
                (Field::CodeMax, most),
            ]);
            assert!(self.run(&descriptor, 1, 1));
        }
    }

    fn soak(&mut self, descriptors: u32) {
        let none = Descriptor::new(Opcode::Compute);
        self.idle(&none, true);
        self.idle(&none, true);
        self.load_memories();
        self.fill_residual();
        let mut errors = 0;
        for _ in 0..descriptors {
            let descriptor = self.descriptor();
            let tiles = [0, 1].map(|_| self.rng.random_range(1..=4));
            errors += u32::from(!self.run(&descriptor, tiles[0], tiles[1]));
        }
        self.near_powers_of_two();
        self.largest_sums();
        let [writes, results, drain, output, finished, _] = self.counts;
        println!(
            "{} cycles, {writes} writes, {results} results, {drain} drain stalls, {output} output stalls, {finished} finished, {errors} errors",
            self.cycle
        );
        assert!(
            writes > 0
                && results > 0
                && drain > 0
                && output > 0
                && finished > u64::from(descriptors) / 2
        );
    }
}

fn small() -> AcceleratorConfig {
    AcceleratorConfig {
        activation_words: 64,
        residual_words: 32,
        constant_words: 256,
        channel_words: 128,
        ..ArrayConfig::preset("tiny").unwrap().accelerator
    }
}

fn soak(seed: u64, config: &ArrayConfig, descriptors: u32) {
    println!("seed {seed}, {config:?}");
    Pair::new(config, seed).soak(descriptors);
}

#[test]
fn tiny() {
    let config = ArrayConfig {
        accelerator: small(),
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(1, &config, 300);
}

/// Sums are aligned by shifters.
#[test]
fn without_multipliers() {
    let config = ArrayConfig {
        activation_bits: 2,
        weight_bits: 3,
        target: Target::Ice40,
        accelerator: small(),
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(8, &config, 200);
}

fn preset(name: &str) -> ArrayConfig {
    let preset = ArrayConfig::preset(name).unwrap();
    ArrayConfig {
        accelerator: AcceleratorConfig {
            threshold_bits: 4,
            table_words: 64,
            drain_columns: preset.accelerator.drain_columns,
            ..small()
        },
        ..preset
    }
}

#[test]
fn small_preset() {
    soak(2, &preset("small"), 150);
}

#[test]
fn default_preset() {
    soak(21, &preset("default"), 60);
}

/// As many levels as a code can have, and a plane group for each of its planes, one column to a step.
#[test]
fn eight_levels() {
    let config = ArrayConfig {
        columns: 4,
        lanes: 8,
        activation_bits: 8,
        accelerator: AcceleratorConfig {
            threshold_bits: 8,
            table_words: 256,
            channel_words: 16,
            ..small()
        },
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(10, &config, 150);
}

/// A row in one step: three plane groups are to be written for each, and rows must wait for them.
#[test]
fn rows_in_one_step() {
    let config = ArrayConfig {
        rows: 3,
        columns: 4,
        lanes: 16,
        activation_bits: 3,
        popcount_stages: 2,
        reduction_max: 64,
        accelerator: AcceleratorConfig {
            drain_columns: 4,
            threshold_bits: 3,
            ..small()
        },
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(3, &config, 200);
}

/// Two planes to a group, groups of unequal size, two columns to a step, lanes that no power of two divides.
#[test]
fn planes_in_parallel() {
    let config = ArrayConfig {
        rows: 4,
        columns: 4,
        lanes: 9,
        activation_bits: 5,
        weight_bits: 2,
        activation_branches: 2,
        popcount_stages: 2,
        accelerator: AcceleratorConfig {
            drain_columns: 2,
            load_ports: 2,
            threshold_bits: 5,
            table_words: 64,
            activation_words: 32,
            residual_words: 64,
            ..small()
        },
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(4, &config, 200);
}

/// The grid behind broadcast registers: rows that keep a distance, rows of two steps, rows of one element.
#[test]
fn behind_broadcast_registers() {
    let shape = |stages, columns, drain_columns, bits| ArrayConfig {
        rows: 3,
        columns,
        lanes: 16,
        activation_bits: bits,
        reduction_max: 64,
        broadcast_stages: BroadcastStages::Fixed(stages),
        accelerator: AcceleratorConfig {
            drain_columns,
            threshold_bits: 3,
            ..small()
        },
        ..ArrayConfig::preset("tiny").unwrap()
    };
    for (seed, config) in [
        (7, shape(1, 4, 4, 3)),
        (8, shape(2, 4, 2, 5)),
        (9, shape(4, 1, 1, 2)),
    ] {
        soak(seed, &config, 100);
    }
}

/// The reference accelerators with branches in parallel: more columns to a step than elsewhere, and rows of one step that
/// keep a distance.
#[test]
fn references() {
    for (seed, config) in (11..).zip(&references::accelerators()[2..]) {
        let config = ArrayConfig {
            accelerator: AcceleratorConfig {
                channel_words: 16,
                table_words: 256,
                residual_words: 64,
                // So few that addresses reach into the upper half, and past the end.
                constant_words: 64,
                ..config.accelerator.clone()
            },
            ..config.clone()
        };
        soak(seed, &config, 100);
    }
}

#[test]
fn one_element() {
    let config = ArrayConfig {
        rows: 1,
        columns: 1,
        lanes: 3,
        activation_bits: 1,
        weight_bits: 1,
        accelerator: AcceleratorConfig {
            threshold_bits: 1,
            ..small()
        },
        ..ArrayConfig::preset("tiny").unwrap()
    };
    soak(5, &config, 400);
}

/// The cycles that the recurrence predicts are those of the model: when each tile's last beat is taken, when the last
/// word is written and when the descriptor is finished.
#[test]
fn the_recurrence_is_the_model() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    println!("seed 6");
    let shapes = [(4, 1, 3), (4, 2, 8), (4, 4, 1), (4, 4, 3), (1, 1, 2)];
    let all = shapes
        .iter()
        .flat_map(|shape| [0, 1, 4].map(|stages| (*shape, stages)));
    for ((columns, drain_columns, bits), stages) in all {
        let config = ArrayConfig {
            rows: 3,
            columns,
            lanes: 8,
            activation_bits: bits,
            popcount_stages: 2,
            broadcast_stages: BroadcastStages::Fixed(stages),
            accelerator: AcceleratorConfig {
                drain_columns,
                ..small()
            },
            ..ArrayConfig::preset("tiny").unwrap()
        };
        let d = AcceleratorDesign::new(&config.validate().unwrap()).unwrap();
        for _ in 0..50 {
            predict(&d, &mut rng);
        }
    }
}

/// One descriptor on the model, beats always offered and results always taken, against the recurrence.
fn predict(d: &AcceleratorDesign, rng: &mut ChaCha8Rng) {
    let c = d.design().config();
    let groups = d.design().activation_groups;
    let residual = rng.random_bool(0.5).then(|| rng.random_range(1..=groups));
    let (out_groups, last_rows) = (rng.random_range(1..=groups), rng.random_range(1..=c.rows));
    let tiles = [0, 1].map(|_| rng.random_range(1..=4));
    let mut descriptor = Descriptor::new(Opcode::Compute);
    for (field, value) in [
        (Field::ToActivation, 1),
        (Field::Mode, 1),
        (Field::Levels, 1),
        (Field::ResidualBefore, residual.is_some().into()),
        (Field::ResidualGroups, residual.unwrap_or(1).into()),
        (Field::OutGroups, out_groups.into()),
        (Field::OutWidth, 5),
        (Field::OutHeight, 5),
        (Field::OutLast, i64::from(d.config().activation_words) - 1),
        (Field::LastColumns, c.columns.into()),
        (Field::LastRows, last_rows.into()),
    ] {
        assert!(descriptor.set(d, field, value), "{}", field.name());
    }
    let fields = BackDescriptor {
        go: 0,
        residual_groups: residual,
        out_groups,
    };
    let mut timing = BackTiming::new(d, &fields);
    let mut model = BackEndModel::new(d);
    let stages = u64::from(d.design().latency());
    let idle = BackEndInputs {
        reset: true,
        go_compute: false,
        descriptor: &descriptor,
        load: None,
        operand: None,
        result_ready: true,
    };
    model.edge(&idle);
    model.edge(&BackEndInputs {
        reset: false,
        ..idle
    });
    let mut beats = Vec::new();
    let mut predicted = Vec::new();
    let (mut load, mut written) = (0, 0);
    for tile in 0..tiles[0] * tiles[1] {
        let length = rng.random_range(1..=12);
        let last_row = tile / tiles[1] + 1 == tiles[0];
        for beat in 0..length {
            beats.push(BackBeat {
                beat: Beat {
                    first: beat == 0,
                    last: beat + 1 == length,
                    activation: vec![0; (c.rows * c.activation_branches) as usize],
                    weight: vec![0; (c.columns * c.weight_branches) as usize],
                    entry: vec![0; c.rows as usize],
                    ..Beat::default()
                },
                last_column: tile % tiles[1] + 1 == tiles[1],
                last_row,
            });
        }
        // Beats are offered from cycle 3 on.
        let done = if tile == 0 {
            2 + length + stages + 1
        } else {
            load + length
        };
        let rows = if last_row { last_rows } else { c.rows };
        let seen = timing.tile(done, rows);
        (load, written) = (seen.load, seen.written);
        predicted.extend(seen.done..seen.load);
    }
    let (mut next, mut stalled, mut last_write) = (0, Vec::new(), 0);
    for cycle in 0.. {
        let outputs = model.outputs();
        assert_eq!(outputs.back_error, 0);
        if outputs.drain_stall {
            stalled.push(cycle);
        }
        if outputs.back_write != 0 {
            last_write = cycle;
        }
        let operand = beats.get(next).filter(|_| cycle >= 3);
        model.edge(&BackEndInputs {
            reset: false,
            go_compute: cycle == 0,
            operand,
            ..idle
        });
        next += usize::from(operand.is_some() && outputs.advance);
        if outputs.compute_finished {
            assert_eq!(stalled, predicted, "{fields:?}");
            assert_eq!(
                (last_write, cycle),
                (written, timing.finished()),
                "{fields:?}"
            );
            return;
        }
    }
}
