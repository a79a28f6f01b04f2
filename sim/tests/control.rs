//! The accelerator's control blocks: each model against its Verilated text, every output in every cycle, on random
//! stimulus. Verilator and g++ must be installed.

mod common;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_hdl_core::block::Block;
use std::collections::HashMap;
use std::sync::Arc;
use xnorforge_hdl::accelerator::{AcceleratorConfig, AcceleratorDesign, Descriptor, Field, Opcode};
use xnorforge_hdl::hardware::accelerator::{
    ComputeEngine, Counters, DescriptorRegisters, InputPort, ProgramPort, Sequencer, WeightPort,
};
use xnorforge_hdl::{ArrayConfig, emit, references};
use xnorforge_sim::accelerator::{
    ComputeEngineModel, ComputeInputs, CountersInputs, CountersModel, EngineErrors, Go,
    InputPortInputs, InputPortModel, LoadTarget, OperandControl, ProgramPortInputs,
    ProgramPortModel, SequencerInputs, SequencerModel, StreamBeat, WeightPortInputs,
    WeightPortModel,
};
use xnorforge_sim::verilator::VerilatedModel;

fn design(config: ArrayConfig) -> Arc<AcceleratorDesign> {
    Arc::new(AcceleratorDesign::new(&config.validate().unwrap()).unwrap())
}

/// Presets and edges of the sizes.
fn designs() -> Vec<Arc<AcceleratorDesign>> {
    let array = |rows, columns, lanes, bits: u32, branches, accelerator| ArrayConfig {
        rows,
        columns,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        popcount_stages: 1,
        reduction_max: 100,
        accelerator,
        ..ArrayConfig::default()
    };
    let small = AcceleratorConfig {
        activation_words: 8,
        residual_words: 16,
        patch_words: 4,
        weight_words: 8,
        constant_words: 4,
        channel_words: 2,
        table_words: 2,
        program_words: 256,
        schedule_words: 4,
        layers: 2,
        threshold_bits: 2,
        stream_bits: 8,
        ..AcceleratorConfig::default()
    };
    [
        ArrayConfig::preset("tiny").unwrap(),
        ArrayConfig::preset("small").unwrap(),
        array(3, 5, 7, 3, 2, small.clone()),
        array(1, 1, 1, 1, 1, small),
        references::wide_accelerator(),
    ]
    .into_iter()
    .map(design)
    .collect()
}

/// A Verilated block.
struct Rtl {
    model: VerilatedModel,
    /// Number and words of each port.
    ports: HashMap<String, (usize, usize)>,
}

impl Rtl {
    fn new(block: &dyn Block, seed: u32) -> Self {
        let package = emit::emit(block, "// test\n").unwrap();
        let model = common::verilated(&package, seed);
        let ports = (0..).zip(model.ports());
        let ports = ports
            .map(|(number, port)| {
                let words = port.width.div_ceil(64) as usize;
                (port.name.clone(), (number, words))
            })
            .collect();
        Rtl { model, ports }
    }

    fn place(&self, name: &str) -> (usize, usize) {
        let place = self.ports.get(name);
        *place.unwrap_or_else(|| panic!("port {name}"))
    }

    fn set_wide(&mut self, name: &str, value: &[u64]) {
        let (port, words) = self.place(name);
        let mut padded = value.to_vec();
        padded.resize(words, 0);
        self.model.set(port, &padded);
    }

    fn set(&mut self, name: &str, value: impl Into<u64>) {
        let (port, _) = self.place(name);
        self.model.set(port, &[value.into()]);
    }

    fn get_wide(&self, name: &str) -> Vec<u64> {
        let (port, words) = self.place(name);
        let mut value = vec![0; words];
        self.model.get(port, &mut value);
        value
    }

    fn get(&self, name: &str) -> u64 {
        let mut value = [0];
        self.model.get(self.place(name).0, &mut value);
        value[0]
    }

    fn settle(&mut self) {
        self.set("clock", 0u8);
        self.model.eval().unwrap();
    }

    fn edge(&mut self) {
        self.set("clock", 1u8);
        self.model.eval().unwrap();
    }

    fn expect(&self, name: &str, value: impl Into<u64>, at: &At) {
        let value = value.into();
        assert_eq!(self.get(name), value, "RTL {name}, model {value}; {at:?}");
    }

    /// One edge with `reset` and nothing else.
    fn reset(&mut self) {
        self.set("reset", true);
        self.settle();
        self.edge();
        self.set("reset", false);
    }
}

/// Where a comparison stands, for messages.
#[derive(Debug)]
#[allow(dead_code)] // read by Debug
struct At {
    design: usize,
    seed: u64,
    cycle: u32,
}

/// Runs a test on every design with its own seed, which a failure prints.
fn each(run: impl Fn(&Arc<AcceleratorDesign>, &mut ChaCha8Rng, At)) {
    for (number, design) in designs().iter().enumerate() {
        let seed = 7000 + number as u64;
        println!("design {number}, seed {seed}");
        let at = At {
            design: number,
            seed,
            cycle: 0,
        };
        run(design, &mut ChaCha8Rng::seed_from_u64(seed), at);
    }
}

/// Random words of `width` bits.
fn bits(rng: &mut ChaCha8Rng, width: u32) -> Vec<u64> {
    let mut words: Vec<u64> = (0..width.div_ceil(64)).map(|_| rng.random()).collect();
    if !width.is_multiple_of(64) {
        *words.last_mut().unwrap() &= (1 << (width % 64)) - 1;
    }
    words
}

#[test]
fn input_port() {
    each(|design, rng, mut at| {
        let mut rtl = Rtl::new(&InputPort::new(design), 1);
        let mut model = InputPortModel::new(design);
        let stream = design.config().stream_bits;
        let words = design.config().activation_words;
        rtl.reset();
        let (mut base, mut last, mut running, mut finished) = (0, 0, false, 0);
        let (mut errors, mut left) = ([0; 16], 0);
        for cycle in 0..4000 {
            at.cycle = cycle;
            let go = !running && rng.random_bool(0.2);
            if go {
                base = rng.random_range(0..words);
                last = (base + rng.random_range(0..5)).min(words - 1);
                if rng.random_bool(0.1) {
                    last = rng.random_range(0..words);
                }
                left = (last + 1).saturating_sub(base) * design.word_width.div_ceil(stream);
            }
            running |= go;
            let data = bits(rng, stream);
            let beat = rng.random_bool(0.8).then(|| StreamBeat {
                data: &data,
                last: (left == 1) != rng.random_bool(0.02),
            });
            let reset = rng.random_bool(0.005);
            for (name, value) in [
                ("reset", reset.into()),
                ("go_input", go.into()),
                ("out_base", u64::from(base)),
                ("out_last", last.into()),
                ("input_valid", beat.is_some().into()),
                ("input_last", beat.is_some_and(|b| b.last).into()),
            ] {
                rtl.set(name, value);
            }
            rtl.set_wide("input_data", &data);
            rtl.settle();
            let outputs = model.outputs(last);
            rtl.expect("input_ready", outputs.ready, &at);
            rtl.expect("input_write", outputs.write.is_some(), &at);
            rtl.expect("input_finished", outputs.finished, &at);
            rtl.expect("input_error", outputs.error, &at);
            if let Some(write) = outputs.write {
                rtl.expect("input_write_address", write.address, &at);
                assert_eq!(rtl.get_wide("input_write_value"), write.value, "{at:?}");
                assert!((base..=last).contains(&write.address), "{at:?}");
            }
            errors[outputs.error as usize] += 1;
            finished += u32::from(outputs.finished);
            left = left.saturating_sub((outputs.ready && beat.is_some()).into());
            running &= !(outputs.finished || outputs.error != 0 || reset);
            rtl.edge();
            model.edge(&InputPortInputs {
                reset,
                go,
                out_base: base,
                out_last: last,
                beat,
            });
        }
        println!("finished {finished}, errors {errors:?}");
        assert!(finished > 20 && errors[10] > 0 && errors[11] > 0, "{at:?}");
        assert!(words < 4 || errors[6] > 0, "{at:?}");
    });
}

#[test]
fn weight_port() {
    each(|design, rng, mut at| {
        let mut rtl = Rtl::new(&WeightPort::new(design), 1);
        let mut model = WeightPortModel::new(design);
        let stream = design.config().stream_bits;
        let (words, columns) = (
            design.config().weight_words,
            design.design().config().columns,
        );
        rtl.reset();
        let (mut base, mut last, mut left) = (0, 0, 0);
        let (mut errors, mut written) = ([0; 16], 0);
        for cycle in 0..6000 {
            at.cycle = cycle;
            let go = !model.outputs().busy && rng.random_bool(0.2);
            if go {
                base = rng.random_range(0..words);
                last = (base + rng.random_range(0..3)).min(words - 1);
                if rng.random_bool(0.1) {
                    last = rng.random_range(0..words);
                }
                let beats = design.weight_width.div_ceil(stream);
                left = (last + 1).saturating_sub(base) * columns * beats;
            }
            let data = bits(rng, stream);
            let beat = rng.random_bool(0.9).then(|| StreamBeat {
                data: &data,
                last: if left == 1 {
                    rng.random_bool(0.9)
                } else {
                    rng.random_bool(0.003)
                },
            });
            let reset = rng.random_bool(0.002);
            // The descriptor's fields are there with `go` only.
            let field = |rng: &mut ChaCha8Rng, value| {
                if go {
                    value
                } else {
                    rng.random_range(0..words)
                }
            };
            let (weight_base, weight_last) = (field(rng, base), field(rng, last));
            for (name, value) in [
                ("reset", reset.into()),
                ("go_weights", go.into()),
                ("weight_base", u64::from(weight_base)),
                ("weight_last", weight_last.into()),
                ("weight_valid", beat.is_some().into()),
                ("weight_end", beat.is_some_and(|b| b.last).into()),
            ] {
                rtl.set(name, value);
            }
            rtl.set_wide("weight_data", &data);
            rtl.settle();
            let outputs = model.outputs();
            rtl.expect("weight_ready", outputs.ready, &at);
            rtl.expect("weights_busy", outputs.busy, &at);
            rtl.expect("weight_error", outputs.error, &at);
            let mut enables = vec![0; columns.div_ceil(64) as usize];
            if let Some((column, write)) = outputs.write {
                enables[column as usize / 64] = 1 << (column % 64);
                rtl.expect("weight_write_address", write.address, &at);
                assert_eq!(rtl.get_wide("weight_write_value"), write.value, "{at:?}");
                assert!((base..=last).contains(&write.address), "{at:?}");
                written += 1;
            }
            assert_eq!(rtl.get_wide("weight_write"), enables, "{at:?}");
            errors[outputs.error as usize] += 1;
            left = left.saturating_sub((outputs.ready && beat.is_some()).into());
            rtl.edge();
            model.edge(&WeightPortInputs {
                reset,
                go,
                weight_base,
                weight_last,
                beat,
            });
        }
        println!("written {written}, errors {errors:?}");
        assert!(written > 500 && errors[7] > 0 && errors[13] > 0, "{at:?}");
        assert!(errors[12] > 0 || columns == 1, "{at:?}");
    });
}

/// A packet of the program stream, sometimes a wrong one.
fn packet(design: &AcceleratorDesign, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let target = rng.random_range(0..6);
    let level = rng.random_range(0..design.config().threshold_bits);
    let lane = rng.random_range(0..design.config().drain_columns);
    let mut header = (target as u32) << 28 | level << 24 | lane << 16;
    if rng.random_bool(0.1) {
        header = rng.random();
    }
    let target = LoadTarget::ALL[target];
    let words = target.words(design, level);
    let mut address = rng.random_range(0..words) as u32;
    match rng.random_range(0..10) {
        0 => address = rng.random(),
        1 => address = words as u32 - 1,
        2 => address |= 1 << rng.random_range(0..32),
        _ => {}
    }
    let parts = target.width(design).div_ceil(32);
    let mut count = rng.random_range(1..6) * parts;
    if rng.random_bool(0.1) {
        count = rng.random_range(0..3);
    }
    let mut packet = vec![header, address];
    packet.extend((0..count).map(|_| rng.random::<u32>()));
    if rng.random_bool(0.05) {
        packet.truncate(rng.random_range(1..=packet.len()));
    }
    packet
}

#[test]
fn program_port() {
    each(|design, rng, mut at| {
        let mut rtl = Rtl::new(&ProgramPort::new(design), 1);
        let mut model = ProgramPortModel::new(design);
        rtl.reset();
        let mut words: Vec<(u32, bool)> = Vec::new();
        let (mut writes, mut errors) = ([0; 6], 0);
        for cycle in 0..6000 {
            at.cycle = cycle;
            if words.is_empty() {
                let packet = packet(design, rng);
                let last = packet.len() - 1;
                words = packet
                    .into_iter()
                    .enumerate()
                    .map(|(i, w)| (w, i == last))
                    .rev()
                    .collect();
            }
            let accept = rng.random_bool(0.95);
            let word = rng.random_bool(0.9).then(|| *words.last().unwrap());
            let reset = rng.random_bool(0.002);
            for (name, value) in [
                ("reset", u64::from(reset)),
                ("accept", accept.into()),
                ("program_valid", word.is_some().into()),
                ("program_data", word.map_or(0, |w| w.0).into()),
                ("program_last", word.is_some_and(|w| w.1).into()),
            ] {
                rtl.set(name, value);
            }
            rtl.settle();
            let outputs = model.outputs();
            rtl.expect("program_ready", accept, &at);
            rtl.expect("load_error", outputs.error, &at);
            let names = [
                "program_write",
                "schedule_write",
                "constant_write",
                "threshold_write",
                "affine_write",
                "table_write",
            ];
            for (name, target) in names.iter().zip(LoadTarget::ALL) {
                let writes = outputs.write.is_some_and(|write| write.target == target);
                rtl.expect(name, writes, &at);
            }
            if let Some(write) = outputs.write {
                writes[write.target as usize] += 1;
                rtl.expect("load_level", write.level, &at);
                rtl.expect("load_lane", write.lane, &at);
                rtl.expect("load_address", write.address, &at);
                let mask = u64::MAX >> (64 - write.target.width(design));
                assert_eq!(rtl.get("load_value") & mask, write.value & mask, "{at:?}");
            }
            errors += u32::from(outputs.error != 0);
            rtl.edge();
            model.edge(&ProgramPortInputs {
                reset,
                accept,
                word,
            });
            if accept && word.is_some() {
                words.pop();
            }
        }
        println!("writes {writes:?}, errors {errors}");
        assert!(writes.iter().all(|n| *n > 20) && errors > 20, "{at:?}");
    });
}

#[test]
fn counters() {
    each(|design, rng, mut at| {
        let mut rtl = Rtl::new(&Counters::new(design), 1);
        let mut model = CountersModel::new(design);
        rtl.reset();
        let places = 8 * design.config().layers;
        let mut inputs = CountersInputs::default();
        for cycle in 0..10 * places + 4000 {
            at.cycle = cycle;
            // What counts stays for a while, so that one counter is raised in every cycle.
            if rng.random_bool(0.5) {
                inputs.layer = rng.random_range(0..design.config().layers);
                for flag in [
                    &mut inputs.state_compute,
                    &mut inputs.state_pool,
                    &mut inputs.state_input,
                    &mut inputs.state_weights,
                    &mut inputs.weights_busy,
                    &mut inputs.operand_valid,
                    &mut inputs.waiting,
                    &mut inputs.drain_stall,
                    &mut inputs.output_stall,
                ] {
                    *flag = rng.random_bool(0.4);
                }
                inputs.counting = rng.random_bool(0.8);
            }
            inputs.clear = cycle == 0 || (cycle > 3 * places && rng.random_bool(0.0005));
            inputs.reset = cycle > 3 * places && rng.random_bool(0.0005);
            inputs.address = rng.random_range(0..places);
            for (name, value) in [
                ("reset", inputs.reset),
                ("counting", inputs.counting),
                ("state_compute", inputs.state_compute),
                ("state_pool", inputs.state_pool),
                ("state_input", inputs.state_input),
                ("state_weights", inputs.state_weights),
                ("weights_busy", inputs.weights_busy),
                ("operand_valid", inputs.operand_valid),
                ("waiting", inputs.waiting),
                ("drain_stall", inputs.drain_stall),
                ("output_stall", inputs.output_stall),
                ("counter_clear", inputs.clear),
            ] {
                rtl.set(name, value);
            }
            rtl.set("layer", inputs.layer);
            rtl.set("counter_address", inputs.address);
            rtl.settle();
            let (value, clearing) = model.outputs();
            rtl.expect("counter_clearing", clearing, &at);
            // Until the first clear the memory holds anything.
            if cycle > places + 3 {
                rtl.expect("counter_value", value, &at);
            }
            rtl.edge();
            model.edge(&inputs);
        }
    });
}

/// The beats of a COMPUTE in the words of docs/accelerator.md: patch address, weight address, control.
fn expected_beats(
    design: &AcceleratorDesign,
    c: &ComputeInputs,
    schedule: &[u64],
) -> Vec<(u32, u32, OperandControl)> {
    let (patch, weight) = (design.patch_address_width, design.weight_address_width);
    let mut beats = Vec::new();
    for rt in 0..c.row_tiles {
        for ct in 0..c.column_tiles {
            for step in 0..c.schedule_steps {
                let entry = schedule[(c.schedule_base + step) as usize];
                let part = |low, width| ((entry >> low) & ((1u64 << width) - 1)) as u32;
                for chunk in 0..c.chunks {
                    let control = OperandControl {
                        first: step == 0 && chunk == 0,
                        last: step + 1 == c.schedule_steps && chunk + 1 == c.chunks,
                        last_column: ct + 1 == c.column_tiles,
                        last_row: rt + 1 == c.row_tiles,
                        shift: if chunk == 0 {
                            (entry >> (patch + weight + 2)) as u32
                        } else {
                            0
                        },
                        row_mode: part(patch + weight, 2),
                    };
                    let half = rt % 2 * design.patch_half_words();
                    let address = c.weight_base + ct * c.weight_tile + part(patch, weight) + chunk;
                    beats.push((half + part(0, patch) + chunk, address, control));
                }
            }
        }
    }
    beats
}

/// A legal COMPUTE and its schedule.
fn compute_case(design: &AcceleratorDesign, rng: &mut ChaCha8Rng) -> (ComputeInputs, Vec<u64>) {
    let c = design.config();
    let half = design.patch_half_words();
    let chunks = rng.random_range(1..=half.min(4));
    let steps = rng.random_range(1..=c.schedule_words.min(5));
    let column_tiles = rng.random_range(1..=c.weight_words.min(3));
    let weight_tile = rng.random_range(0..=(c.weight_words - chunks) / column_tiles);
    let free = c.weight_words - chunks - (column_tiles - 1) * weight_tile;
    let weight_base = rng.random_range(0..=free);
    let inputs = ComputeInputs {
        chunks,
        row_tiles: rng.random_range(1..6),
        column_tiles,
        schedule_base: rng.random_range(0..=c.schedule_words - steps),
        schedule_steps: steps,
        weight_base,
        weight_tile,
        weight_last: c.weight_words - 1,
        ..ComputeInputs::default()
    };
    let (patch, weight) = (design.patch_address_width, design.weight_address_width);
    let shifts = design.design().shift_amounts.len() as u32;
    let schedule = (0..c.schedule_words)
        .map(|_| {
            let shift = rng.random_range(0..1u64 << shifts);
            let mode = rng.random_range(0..3u64);
            let weight_offset = u64::from(rng.random_range(0..=free - weight_base));
            let patch_offset = u64::from(rng.random_range(0..=half - chunks));
            ((shift << 2 | mode) << weight | weight_offset) << patch | patch_offset
        })
        .collect();
    (inputs, schedule)
}

struct ComputeBench {
    rtl: Rtl,
    model: ComputeEngineModel,
}

impl ComputeBench {
    /// One cycle: compares all outputs, then the edge. Gives the outputs.
    fn step(
        &mut self,
        inputs: &ComputeInputs,
        at: &At,
    ) -> xnorforge_sim::accelerator::ComputeOutputs {
        let pair = |halves: [bool; 2]| u64::from(halves[0]) | u64::from(halves[1]) << 1;
        for (name, value) in [
            ("reset", inputs.reset.into()),
            ("go_compute", inputs.go.into()),
            ("chunks", u64::from(inputs.chunks)),
            ("row_tiles", inputs.row_tiles.into()),
            ("column_tiles", inputs.column_tiles.into()),
            ("schedule_base", inputs.schedule_base.into()),
            ("schedule_steps", inputs.schedule_steps.into()),
            ("weight_base", inputs.weight_base.into()),
            ("weight_tile", inputs.weight_tile.into()),
            ("weight_last", inputs.weight_last.into()),
            ("schedule_write", inputs.schedule.is_some().into()),
            ("load_address", inputs.schedule.map_or(0, |s| s.0).into()),
            ("load_value", inputs.schedule.map_or(0, |s| s.1)),
            ("patch_full", pair(inputs.patch_full)),
            ("advance", inputs.advance.into()),
        ] {
            self.rtl.set(name, value);
        }
        self.rtl.settle();
        let outputs = self.model.outputs();
        let rtl = &self.rtl;
        rtl.expect("patch_release", pair(outputs.release), at);
        rtl.expect("operand_valid", outputs.operand.is_some(), at);
        rtl.expect("waiting", outputs.waiting, at);
        rtl.expect("compute_error", outputs.error, at);
        if let Some((patch, weight)) = outputs.read {
            rtl.expect("patch_read_address", patch, at);
            rtl.expect("weight_read_address", weight, at);
        }
        if let Some(operand) = outputs.operand {
            rtl.expect("operand_first", operand.first, at);
            rtl.expect("operand_last", operand.last, at);
            rtl.expect("operand_last_column", operand.last_column, at);
            rtl.expect("operand_last_row", operand.last_row, at);
            rtl.expect("operand_shift", operand.shift, at);
            rtl.expect("operand_row_mode", operand.row_mode, at);
        }
        self.rtl.edge();
        self.model.edge(inputs);
        outputs
    }
}

#[test]
fn compute_engine() {
    each(|design, rng, mut at| {
        let mut bench = ComputeBench {
            rtl: Rtl::new(&ComputeEngine::new(design), 1),
            model: ComputeEngineModel::new(design),
        };
        bench.rtl.reset();
        let mut errors = [0; 16];
        for case in 0..60 {
            let (mut inputs, schedule) = compute_case(design, rng);
            for (address, value) in schedule.iter().enumerate() {
                inputs.schedule = Some((address as u32, *value));
                bench.step(&inputs, &at);
            }
            inputs.schedule = None;
            let broken = case % 3 == 2;
            if broken {
                match rng.random_range(0..3) {
                    0 => inputs.weight_last = rng.random_range(0..design.config().weight_words),
                    1 => inputs.chunks = design.patch_half_words(),
                    _ => inputs.schedule_base = design.config().schedule_words - 1,
                }
            }
            let beats = if broken {
                Vec::new()
            } else {
                expected_beats(design, &inputs, &schedule)
            };
            let stall = if rng.random_bool(0.5) { 0.0 } else { 0.3 };
            let fill = if rng.random_bool(0.5) { 1.0 } else { 0.1 };
            let mut issued = Vec::new();
            let mut read = None;
            let mut filled = 0;
            let mut failed = false;
            for cycle in 0..2000 {
                at.cycle = cycle;
                inputs.go = cycle == 0;
                inputs.advance = !rng.random_bool(stall);
                inputs.reset = failed;
                let outputs = bench.step(&inputs, &at);
                if failed {
                    break;
                }
                errors[outputs.error as usize] += 1;
                failed = outputs.error != 0;
                // The operands of a read come with the next edge at which the array moves.
                if inputs.advance {
                    if let Some(operand) = outputs.operand {
                        let (patch, weight) = read.expect("operands follow addresses");
                        issued.push((patch, weight, operand));
                    }
                    read = outputs.read;
                }
                for half in 0..2 {
                    inputs.patch_full[half] &= !outputs.release[half];
                }
                let half = filled % 2;
                if filled < inputs.row_tiles as usize
                    && !inputs.patch_full[half]
                    && !outputs.release[half]
                    && rng.random_bool(fill)
                {
                    inputs.patch_full[half] = true;
                    filled += 1;
                }
                if !broken && issued.len() == beats.len() && outputs.operand.is_none() {
                    break;
                }
            }
            inputs.reset = false;
            if !broken {
                assert!(issued == beats, "case {case}, {at:?}");
                // Both halves have been released by now or are about to be.
                inputs.go = false;
                inputs.advance = true;
                bench.step(&inputs, &at);
            }
        }
        println!("errors {errors:?}");
        assert!(errors[7] > 0 && errors[9] > 0, "{at:?}");
        assert!(errors[8] > 0 || design.patch_half_words() == 2, "{at:?}");
    });
}

#[test]
fn full_speed() {
    // Without stalls and with patches at hand, the first beat's operands come 4 cycles after `go`, and the rest follow
    // without a gap.
    let design = design(ArrayConfig::default());
    let mut bench = ComputeBench {
        rtl: Rtl::new(&ComputeEngine::new(&design), 1),
        model: ComputeEngineModel::new(&design),
    };
    bench.rtl.reset();
    let at = At {
        design: 1,
        seed: 0,
        cycle: 0,
    };
    let mut inputs = ComputeInputs {
        chunks: 1,
        row_tiles: 2,
        column_tiles: 3,
        schedule_steps: 2,
        weight_last: 100,
        patch_full: [true; 2],
        advance: true,
        ..ComputeInputs::default()
    };
    for address in 0..2 {
        inputs.schedule = Some((address, 0));
        bench.step(&inputs, &at);
    }
    inputs.schedule = None;
    let mut valid = Vec::new();
    for cycle in 0..20 {
        inputs.go = cycle == 0;
        valid.push(bench.step(&inputs, &at).operand.is_some());
    }
    let expected: Vec<bool> = (0..20).map(|cycle| (4..16).contains(&cycle)).collect();
    assert_eq!(valid, expected);
}

/// A descriptor whose fields are all legal, and the engines' view of it.
fn descriptor(design: &AcceleratorDesign, rng: &mut ChaCha8Rng, opcode: Opcode) -> Descriptor {
    let mut descriptor = Descriptor::new(opcode);
    let is_patches = matches!(opcode, Opcode::Compute | Opcode::Pool);
    for field in Field::ALL.iter().filter(|f| **f != Field::Opcode) {
        let width = field.width(design);
        let (low, high) = match field.range(design) {
            Some(range) => (range.min.into(), i64::from(range.max)),
            None if field.is_signed() => (-(1i64 << (width - 1)), (1i64 << (width - 1)) - 1),
            None => (0, (1i64 << width) - 1),
        };
        assert!(descriptor.set(design, *field, rng.random_range(low..=high)));
    }
    if is_patches {
        // Input below output.
        let c = design.config();
        let words = c.activation_words.min(c.residual_words);
        let middle = rng.random_range(0..words / 2);
        assert!(descriptor.set(design, Field::InBase, 0));
        assert!(descriptor.set(design, Field::InLast, middle.into()));
        assert!(descriptor.set(design, Field::OutBase, (middle + 1).into()));
        assert!(descriptor.set(design, Field::OutLast, (words - 1).into()));
    } else {
        for field in [Field::ToResidual, Field::OutLast] {
            assert!(descriptor.set(design, field, 0));
        }
    }
    descriptor
}

struct SequencerBench {
    rtl: Rtl,
    registers: Rtl,
    model: SequencerModel,
    design: Arc<AcceleratorDesign>,
}

impl SequencerBench {
    /// Behind a reset.
    fn new(design: &Arc<AcceleratorDesign>) -> Self {
        let mut bench = SequencerBench {
            rtl: Rtl::new(&Sequencer::new(design), 1),
            registers: Rtl::new(&DescriptorRegisters::new(design), 2),
            model: SequencerModel::new(design),
            design: design.clone(),
        };
        bench.rtl.reset();
        bench
    }

    fn step(
        &mut self,
        inputs: &SequencerInputs,
        at: &At,
    ) -> xnorforge_sim::accelerator::SequencerOutputs {
        let e = &inputs.errors;
        for (name, value) in [
            ("reset", u64::from(inputs.reset)),
            ("start", inputs.start.into()),
            ("start_address", inputs.start_address.into()),
            ("runs", inputs.runs.into()),
            ("program_write", inputs.program.is_some().into()),
            ("program_address", inputs.program.map_or(0, |p| p.0).into()),
            ("program_value", inputs.program.map_or(0, |p| p.1).into()),
            ("compute_finished", inputs.compute_finished.into()),
            ("pool_finished", inputs.pool_finished.into()),
            ("input_finished", inputs.input_finished.into()),
            ("weights_busy", inputs.weights_busy.into()),
            ("compute_error", e.compute.into()),
            ("back_error", e.back.into()),
            ("patch_error", e.patch.into()),
            ("input_error", e.input.into()),
            ("weight_error", e.weight.into()),
            ("load_error", e.load.into()),
        ] {
            self.rtl.set(name, value);
        }
        for field in Field::ALL {
            // The sequencer's own `runs` is no field.
            if *field != Field::Runs && self.rtl.ports.contains_key(field.name()) {
                self.rtl.set(field.name(), self.registers.get(field.name()));
            }
        }
        self.rtl.settle();
        let outputs = self.model.outputs();
        let rtl = &self.rtl;
        let select = outputs.fetched.map_or(0, |(word, _)| 1u64 << word);
        rtl.expect("fetch_select", select, at);
        if let Some((_, value)) = outputs.fetched {
            rtl.expect("fetch_word", value, at);
        }
        for (name, go) in [
            ("go_compute", Go::Compute),
            ("go_pool", Go::Pool),
            ("go_input", Go::Input),
            ("go_weights", Go::Weights),
        ] {
            rtl.expect(name, outputs.go == Some(go), at);
        }
        rtl.expect("flush", outputs.flush, at);
        rtl.expect("busy", outputs.busy, at);
        rtl.expect("done", outputs.done, at);
        rtl.expect("error", outputs.error, at);
        rtl.expect("state_compute", outputs.state_compute, at);
        rtl.expect("state_pool", outputs.state_pool, at);
        rtl.expect("state_input", outputs.state_input, at);
        rtl.expect("state_weights", outputs.state_weights, at);
        if outputs.go.is_some() {
            let ports = &self.registers.ports;
            let kept = |field: &&Field| ports.contains_key(field.name());
            for field in Field::ALL.iter().filter(kept) {
                self.registers
                    .expect(field.name(), self.model.field(*field), at);
            }
        }
        self.registers.set("select", self.rtl.get("fetch_select"));
        self.registers.set("word", self.rtl.get("fetch_word"));
        self.registers.set("reset", inputs.reset);
        self.registers.settle();
        self.registers.edge();
        self.rtl.edge();
        self.model.edge(inputs);
        outputs
    }

    /// Writes descriptors one after the other.
    fn load(&mut self, start: u32, descriptors: &[Descriptor], at: &At) {
        let words = descriptors.iter().flat_map(|d| d.words().to_vec());
        for (offset, word) in (0..).zip(words) {
            let address = start + offset;
            if address < self.design.config().program_words {
                let inputs = SequencerInputs {
                    program: Some((address, word)),
                    ..SequencerInputs::default()
                };
                self.step(&inputs, at);
            }
        }
    }
}

/// Puts a number at the edge of a field's range, just inside or just outside, or sets a bit that the field does not keep.
fn edge_of_a_field(design: &AcceleratorDesign, words: &mut [u32], rng: &mut ChaCha8Rng) {
    let place = |field: &Field| (field.word() as usize, field.low(), field.bits());
    let narrow = |field: &&Field| field.width(design) < field.bits();
    let narrow: Vec<&Field> = Field::ALL.iter().filter(narrow).collect();
    if rng.random() {
        let field = narrow[rng.random_range(0..narrow.len())];
        let (word, low, bits) = place(field);
        words[word] ^= 1 << (low + rng.random_range(field.width(design)..bits));
        return;
    }
    let ranges = Field::ALL
        .iter()
        .filter_map(|f| Some((f, f.range(design)?)));
    let ranges: Vec<_> = ranges.collect();
    let (field, range) = &ranges[rng.random_range(0..ranges.len())];
    let (word, low, bits) = place(field);
    let mask = u32::MAX >> (32 - bits) << low;
    let edges = [
        range.min.wrapping_sub(1),
        range.min,
        range.max,
        range.max.wrapping_add(1),
    ];
    words[word] = words[word] & !mask | edges[rng.random_range(0..4)] << low & mask;
}

/// Spoils a descriptor: flips bits of its words.
fn spoil(design: &AcceleratorDesign, descriptor: &Descriptor, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut words = descriptor.words().to_vec();
    match rng.random_range(0..10) {
        5.. => edge_of_a_field(design, &mut words, rng),
        // The input reaches into the output.
        3 | 4 => words[Field::InLast.word() as usize] = words[Field::OutLast.word() as usize],
        0 => words[rng.random_range(0..41)] ^= 1 << rng.random_range(0..32),
        1 => words[rng.random_range(0..41)] = 0,
        _ => words[rng.random_range(0..41)] = rng.random(),
    }
    words
}

#[test]
fn sequencer() {
    each(|design, rng, mut at| {
        let mut bench = SequencerBench::new(design);
        for address in 0..design.config().program_words {
            let inputs = SequencerInputs {
                program: Some((address, rng.random())),
                ..SequencerInputs::default()
            };
            bench.step(&inputs, &at);
        }
        let (mut errors, mut done, mut went) = ([0; 16], 0, 0);
        for _ in 0..400 {
            let slots = design.config().program_words / 48;
            let count = rng.random_range(1..=slots.min(4));
            let start = rng.random_range(0..=design.config().program_words - 48 * count);
            let opcodes = [
                Opcode::Compute,
                Opcode::Pool,
                Opcode::Input,
                Opcode::Weights,
            ];
            let mut descriptors: Vec<Descriptor> = (1..count)
                .map(|_| {
                    let opcode = opcodes[rng.random_range(0..4)];
                    descriptor(design, rng, opcode)
                })
                .collect();
            descriptors.push(descriptor(design, rng, Opcode::End));
            bench.load(start, &descriptors, &at);
            if rng.random_bool(0.6) {
                let number = rng.random_range(0..count);
                let words = spoil(design, &descriptors[number as usize], rng);
                for (offset, word) in (0..).zip(words) {
                    let inputs = SequencerInputs {
                        program: Some((start + 48 * number + offset, word)),
                        ..SequencerInputs::default()
                    };
                    bench.step(&inputs, &at);
                }
            }
            let mut inputs = SequencerInputs {
                start: true,
                start_address: start,
                runs: rng.random_range(0..4),
                ..SequencerInputs::default()
            };
            if rng.random_bool(0.1) {
                inputs.start_address = design.config().program_words - rng.random_range(1..48);
            }
            let mut weights = 0;
            for cycle in 0..1500 {
                at.cycle = cycle;
                let outputs = bench.step(&inputs, &at);
                errors[outputs.error as usize] += 1;
                done += u32::from(outputs.done);
                went += u32::from(outputs.go.is_some());
                weights = match outputs.go {
                    Some(Go::Weights) => rng.random_range(0..200),
                    _ if outputs.flush => 0,
                    _ => weights - i32::from(weights > 0),
                };
                let ended =
                    inputs.compute_finished || inputs.pool_finished || inputs.input_finished;
                let now = rng.random_bool(0.2) && !outputs.flush && !ended;
                let ends = |state: bool, go| now && state && outputs.go != Some(go);
                let failing = outputs.busy && rng.random_bool(0.0005);
                inputs = SequencerInputs {
                    compute_finished: ends(outputs.state_compute, Go::Compute),
                    pool_finished: ends(outputs.state_pool, Go::Pool),
                    input_finished: ends(outputs.state_input, Go::Input),
                    weights_busy: weights > 0,
                    // A start while a program runs does nothing.
                    start: outputs.busy && rng.random_bool(0.01),
                    runs: rng.random(),
                    reset: rng.random_bool(0.0002),
                    ..SequencerInputs::default()
                };
                if failing {
                    let code = |rng: &mut ChaCha8Rng| {
                        if rng.random_bool(0.4) {
                            rng.random_range(5..15)
                        } else {
                            0
                        }
                    };
                    inputs.errors = EngineErrors {
                        compute: code(rng),
                        back: code(rng),
                        patch: code(rng),
                        input: code(rng),
                        weight: code(rng),
                        load: code(rng),
                    };
                }
                // A pulse of an engine that is flushed in the same cycle never comes.
                if inputs.reset || inputs.errors != EngineErrors::default() {
                    inputs.compute_finished = false;
                    inputs.pool_finished = false;
                    inputs.input_finished = false;
                }
                if cycle > 2 && !outputs.busy && !outputs.flush {
                    break;
                }
            }
            // Whatever still runs is stopped.
            let inputs = SequencerInputs {
                reset: true,
                ..SequencerInputs::default()
            };
            bench.step(&inputs, &at);
            // What is counted before the next descriptor counts for layer 0.
            bench.registers.expect("layer", 0u64, &at);
        }
        println!("done {done}, went {went}, cycles with errors {errors:?}");
        assert!(done > 20 && went > 100, "{at:?}");
        assert!(
            errors[1] > 0 && errors[2] > 0 && errors[3] > 0 && errors[4] > 0,
            "{at:?}"
        );
    });
}

impl SequencerBench {
    fn write(&mut self, address: u32, word: u32, at: &At) {
        let inputs = SequencerInputs {
            program: Some((address, word)),
            ..SequencerInputs::default()
        };
        self.step(&inputs, at);
    }

    /// Runs the program at address 0 once, with engines that end at once; gives its error.
    fn run(&mut self, at: &mut At) -> u8 {
        let mut inputs = SequencerInputs {
            start: true,
            runs: 1,
            ..SequencerInputs::default()
        };
        let mut error = 0;
        for cycle in 0..1000 {
            at.cycle = cycle;
            let outputs = self.step(&inputs, at);
            error = outputs.error;
            let ended = inputs.compute_finished || inputs.pool_finished || inputs.input_finished;
            let ends =
                |state: bool, go| state && !ended && !outputs.flush && outputs.go != Some(go);
            inputs = SequencerInputs {
                compute_finished: ends(outputs.state_compute, Go::Compute),
                pool_finished: ends(outputs.state_pool, Go::Pool),
                input_finished: ends(outputs.state_input, Go::Input),
                ..SequencerInputs::default()
            };
            if cycle > 2 && !outputs.busy && !outputs.flush {
                break;
            }
        }
        let reset = SequencerInputs {
            reset: true,
            ..SequencerInputs::default()
        };
        self.step(&reset, at);
        error
    }
}

/// Words of a descriptor with a field just inside or just outside an end of its range.
fn edges_of_ranges(design: &AcceleratorDesign, words: &[u32]) -> Vec<(u32, u32)> {
    let ranges = Field::ALL
        .iter()
        .filter_map(|f| Some((f, f.range(design)?)));
    ranges
        .flat_map(|(field, range)| {
            let mask = u32::MAX >> (32 - field.bits()) << field.low();
            let edges = [
                range.min.wrapping_sub(1),
                range.min,
                range.max,
                range.max.wrapping_add(1),
            ];
            let rest = words[field.word() as usize] & !mask;
            edges.map(|edge| (field.word(), rest | edge << field.low() & mask))
        })
        .collect()
}

/// Words of a descriptor with one bit flipped that no field keeps.
fn bits_of_no_field(design: &AcceleratorDesign, words: &[u32]) -> Vec<(u32, u32)> {
    let mut kept = vec![0u32; words.len()];
    for field in Field::ALL {
        kept[field.word() as usize] |= u32::MAX >> (32 - field.width(design)) << field.low();
    }
    let flipped = (0..)
        .zip(words)
        .zip(kept)
        .flat_map(|((word, value), kept)| {
            let free = (0..32)
                .map(|bit| 1 << bit)
                .filter(move |bit| kept & bit == 0);
            free.map(move |bit| (word, value ^ bit))
        });
    flipped.collect()
}

#[test]
fn every_edge_of_a_descriptor() {
    each(|design, rng, mut at| {
        let mut bench = SequencerBench::new(design);
        let end = descriptor(design, rng, Opcode::End);
        let mut all = descriptor(design, rng, Opcode::Compute);
        for field in [Field::Mode, Field::ToActivation, Field::ResidualBefore] {
            assert!(all.set(design, field, 1));
        }
        let [compute, pool] =
            [Opcode::Compute, Opcode::Pool].map(|opcode| descriptor(design, rng, opcode));
        let (mut passed, mut refused) = (0, 0);
        for (number, legal) in [all, compute, pool].into_iter().enumerate() {
            bench.load(0, &[legal, end], &at);
            assert_eq!(bench.run(&mut at), 0, "{legal:?}");
            let mut changes = edges_of_ranges(design, legal.words());
            if number == 0 {
                changes.extend(bits_of_no_field(design, legal.words()));
            }
            for (address, word) in changes {
                bench.write(address, word, &at);
                match bench.run(&mut at) {
                    0 => passed += 1,
                    _ => refused += 1,
                }
                bench.write(address, legal.words()[address as usize], &at);
            }
        }
        println!("{passed} passed, {refused} were refused");
        assert!(passed > 50 && refused > 100, "{at:?}");
    });
}
