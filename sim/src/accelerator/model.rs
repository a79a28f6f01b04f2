//! The cycle-accurate model of the accelerator's core: the models of its blocks, wired as the RTL wires the blocks.

use super::{
    BackBeat, BackEndInputs, BackEndModel, BackEndOutputs, BackLoad, BackMemory,
    ComputeEngineModel, ComputeInputs, ComputeOutputs, Core, CoreInputs, CoreOutputs,
    CountersInputs, CountersModel, EngineErrors, Go, InputPortInputs, InputPortModel, LoadTarget,
    LoadWrite, PatchFields, PatchInputs, PatchSystemModel, ProgramPortInputs, ProgramPortModel,
    SequencerInputs, SequencerModel, SequencerOutputs, Transfer, WeightPortInputs, WeightPortModel,
};
use crate::program::stream::extract;
use crate::simulator::{RowMode, SimulatorError};
use std::sync::Arc;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Field};

/// How planes stand in a packed word, and in words of their own.
#[derive(Clone, Copy, Debug)]
struct Planes {
    count: u32,
    lanes: u32,
}

impl Planes {
    /// Words of 64 bits that hold one plane.
    fn words(self) -> usize {
        self.lanes.div_ceil(64) as usize
    }

    /// Each plane in words of its own.
    fn split(self, packed: &[u64], planes: &mut [u64]) {
        for (plane, words) in (0..self.count).zip(planes.chunks_mut(self.words())) {
            for (part, word) in (0..).zip(words) {
                let bits = (self.lanes - 64 * part).min(64);
                *word = extract(packed, plane * self.lanes + 64 * part, bits);
            }
        }
    }

    /// A packed word on its way to words of its own.
    fn split_new(self, packed: &[u64]) -> Vec<u64> {
        let mut planes = vec![0; self.count as usize * self.words()];
        self.split(packed, &mut planes);
        planes
    }
}

/// The core, one clock cycle at a time.
#[derive(Clone, Debug)]
pub struct AcceleratorModel {
    design: Arc<AcceleratorDesign>,
    sequencer: SequencerModel,
    program_port: ProgramPortModel,
    weight_port: WeightPortModel,
    input_port: InputPortModel,
    engine: ComputeEngineModel,
    patches: PatchSystemModel,
    back: BackEndModel,
    counters: CountersModel,
    /// The weights of each column, each plane of a word in words of its own.
    banks: Vec<Vec<u64>>,
    /// The fields as they stood with the last `go`: no engine reads them before the next one.
    descriptor: Descriptor,
    patch_fields: PatchFields,
    /// What stands at the array.
    operand: BackBeat,
    operand_valid: bool,
    cycle: u64,
    outputs: CoreOutputs,
    back_outputs: BackEndOutputs,
}

impl AcceleratorModel {
    /// The core of a design, as after reset; its memories hold 0.
    pub fn new(design: &AcceleratorDesign) -> Self {
        let design = Arc::new(design.clone());
        let (array, c) = (design.design().config(), design.config());
        let weights = Planes {
            count: array.weight_branches,
            lanes: array.lanes,
        };
        let bank = weights.count as usize * weights.words() * c.weight_words as usize;
        let sequencer = SequencerModel::new(&design);
        let descriptor = sequencer.descriptor();
        let mut operand = BackBeat::default();
        operand.beat.entry = vec![0; array.rows as usize];
        AcceleratorModel {
            program_port: ProgramPortModel::new(&design),
            weight_port: WeightPortModel::new(&design),
            input_port: InputPortModel::new(&design),
            engine: ComputeEngineModel::new(&design),
            patches: PatchSystemModel::new(&design),
            back: BackEndModel::new(&design),
            counters: CountersModel::new(&design),
            banks: vec![vec![0; bank]; array.columns as usize],
            patch_fields: PatchFields::new(&descriptor),
            descriptor,
            operand,
            operand_valid: false,
            cycle: 0,
            outputs: CoreOutputs::default(),
            back_outputs: BackEndOutputs::default(),
            sequencer,
            design,
        }
    }

    /// The activation memory: each plane of a word in `lanes.div_ceil(64)` words of its own.
    pub fn activation_memory(&self) -> &[u64] {
        self.patches.memory()
    }

    /// The registers that control the flow, by their names in `docs/accelerator.md`, for messages and waveforms.
    pub fn control_registers(&self) -> [(&'static str, u64); 6] {
        let state = self.sequencer.outputs();
        [
            ("layer", self.sequencer.field(Field::Layer).into()),
            ("opcode", self.sequencer.field(Field::Opcode).into()),
            ("state_compute", state.state_compute.into()),
            ("state_pool", state.state_pool.into()),
            ("state_input", state.state_input.into()),
            ("state_weights", state.state_weights.into()),
        ]
    }

    fn weight_planes(&self) -> Planes {
        let array = self.design.design().config();
        Planes {
            count: array.weight_branches,
            lanes: array.lanes,
        }
    }

    fn activation_planes(&self) -> Planes {
        let array = self.design.design().config();
        Planes {
            count: array.activation_branches,
            lanes: array.lanes,
        }
    }

    fn granule_planes(&self) -> Planes {
        Planes {
            count: self.design.design().config().activation_branches,
            lanes: self.design.granule_lanes,
        }
    }

    fn set_outputs(&mut self, sequencer: &SequencerOutputs) {
        let (counter_value, counter_clearing) = self.counters.outputs();
        let back = &self.back_outputs;
        let value = |(value, kept): &(i32, bool)| kept.then_some(*value);
        self.outputs = CoreOutputs {
            busy: sequencer.busy,
            done: sequencer.done,
            error: sequencer.error,
            layer: self.sequencer.field(Field::Layer) as u8,
            program_ready: !sequencer.busy,
            weight_ready: self.weight_port.outputs().ready,
            input_ready: self.input_ready(),
            result: back.result_valid.then(|| Transfer {
                values: back.result.iter().map(value).collect(),
                last: back.result_last,
            }),
            counter_clearing,
            counter_value,
        };
    }

    fn out_last(&self) -> u32 {
        self.sequencer.field(Field::OutLast)
    }

    fn input_ready(&self) -> bool {
        self.input_port.outputs(self.out_last()).ready
    }

    /// The sequencer's inputs; all come from registers.
    fn sequencer_inputs(
        &self,
        inputs: &CoreInputs<'_>,
        engine: &ComputeOutputs,
    ) -> SequencerInputs {
        let patches = self.patches.outputs();
        let input = self.input_port.outputs(self.out_last());
        let weight = self.weight_port.outputs();
        let load = self.program_port.outputs();
        let start = inputs.start;
        SequencerInputs {
            reset: inputs.reset,
            start: start.is_some(),
            start_address: start.map_or(0, |start| start.address),
            runs: start.map_or(0, |start| start.runs),
            program: load
                .write
                .filter(|write| write.target == LoadTarget::Program)
                .map(|write| (write.address, write.value as u32)),
            compute_finished: self.back_outputs.compute_finished,
            pool_finished: patches.pool_finished,
            input_finished: input.finished,
            weights_busy: weight.busy,
            errors: EngineErrors {
                compute: engine.error,
                back: self.back_outputs.back_error,
                patch: patches.error,
                input: input.error,
                weight: weight.error,
                load: load.error,
            },
        }
    }

    fn edge_counters(
        &mut self,
        inputs: &CoreInputs<'_>,
        sequencer: &SequencerOutputs,
        engine: &ComputeOutputs,
    ) {
        self.counters.edge(&CountersInputs {
            reset: inputs.reset,
            counting: sequencer.busy,
            layer: self.sequencer.field(Field::Layer),
            state_compute: sequencer.state_compute,
            state_pool: sequencer.state_pool,
            state_input: sequencer.state_input,
            state_weights: sequencer.state_weights,
            weights_busy: self.weight_port.outputs().busy,
            operand_valid: engine.operand.is_some(),
            waiting: engine.waiting,
            drain_stall: self.back_outputs.drain_stall,
            output_stall: self.back_outputs.output_stall,
            clear: inputs.counter_clear,
            address: inputs.counter_address,
        });
    }

    fn edge_patches(
        &mut self,
        reset: bool,
        go: Option<Go>,
        engine: &ComputeOutputs,
        input: Option<(u32, Vec<u64>)>,
    ) {
        let back = &self.back_outputs;
        let granule = (back.back_write != 0).then(|| {
            let value = self.granule_planes().split_new(&back.back_value);
            (back.back_write, back.back_address, value)
        });
        let read = engine.read.filter(|_| back.advance);
        self.patches.edge(
            &PatchInputs {
                reset,
                go_compute: go == Some(Go::Compute),
                go_pool: go == Some(Go::Pool),
                input: input
                    .as_ref()
                    .map(|(address, word)| (*address, word.as_slice())),
                back: granule
                    .as_ref()
                    .map(|(slices, address, value)| (*slices, *address, value.as_slice())),
                patch_release: engine.release,
                patch_read: read.map(|(patch, _)| patch),
            },
            &self.patch_fields,
        );
    }

    /// The weights that the next operands need, and, with the rows' words, the beat that they are part of.
    fn read_weights(&mut self, engine: &ComputeOutputs) {
        let Some((_, address)) = engine.read.filter(|_| self.back_outputs.advance) else {
            return;
        };
        let planes = self.weight_planes();
        let words = planes.count as usize * planes.words();
        let weight = &mut self.operand.beat.weight;
        weight.clear();
        for bank in &self.banks {
            weight.extend_from_slice(&bank[address as usize * words..][..words]);
        }
    }

    /// What stands at the array after this edge.
    fn set_operand(&mut self) {
        let Some(control) = self.engine.outputs().operand else {
            self.operand_valid = false;
            return;
        };
        self.operand_valid = true;
        let operand = &mut self.operand;
        operand.last_column = control.last_column;
        operand.last_row = control.last_row;
        let beat = &mut operand.beat;
        beat.first = control.first;
        beat.last = control.last;
        beat.shift = (control.shift != 0).then(|| control.shift.trailing_zeros());
        beat.row_mode = match control.row_mode {
            0 => RowMode::Odd,
            1 => RowMode::OddAndSum,
            _ => RowMode::NotBoth,
        };
        let activation = self.patches.outputs().activation;
        beat.activation.clear();
        beat.activation.extend_from_slice(activation);
    }

    fn write_weights(&mut self, column: u32, address: u32, value: &[u64]) {
        let planes = self.weight_planes();
        let words = planes.count as usize * planes.words();
        let place = &mut self.banks[column as usize][address as usize * words..][..words];
        planes.split(value, place);
    }

    fn compute_inputs(
        &self,
        reset: bool,
        go: Option<Go>,
        load: Option<LoadWrite>,
    ) -> ComputeInputs {
        let field = |field| self.sequencer.field(field);
        ComputeInputs {
            reset,
            go: go == Some(Go::Compute),
            chunks: field(Field::Chunks),
            row_tiles: field(Field::RowTiles),
            column_tiles: field(Field::ColumnTiles),
            schedule_base: field(Field::ScheduleBase),
            schedule_steps: field(Field::ScheduleSteps),
            weight_base: field(Field::WeightBase),
            weight_tile: field(Field::WeightTile),
            weight_last: field(Field::WeightLast),
            schedule: load
                .filter(|write| write.target == LoadTarget::Schedule)
                .map(|write| (write.address, write.value)),
            patch_full: self.patches.outputs().patch_full,
            advance: self.back_outputs.advance,
        }
    }

    fn edge_ports(&mut self, reset: bool, inputs: &CoreInputs<'_>, sequencer: &SequencerOutputs) {
        let field = |field| self.sequencer.field(field);
        let (weight_base, weight_last) = (field(Field::WeightBase), field(Field::WeightLast));
        let (out_base, out_last) = (field(Field::OutBase), field(Field::OutLast));
        let go = |go| sequencer.go == Some(go);
        self.weight_port.edge(&WeightPortInputs {
            reset,
            go: go(Go::Weights),
            weight_base,
            weight_last,
            beat: inputs.weight,
        });
        self.input_port.edge(&InputPortInputs {
            reset,
            go: go(Go::Input),
            out_base,
            out_last,
            beat: inputs.input,
        });
        self.program_port.edge(&ProgramPortInputs {
            reset: inputs.reset,
            accept: !sequencer.busy,
            word: inputs.program,
        });
    }

    fn edge(&mut self, inputs: &CoreInputs<'_>, sequencer: &SequencerOutputs) {
        let engine = self.engine.outputs();
        let reset = inputs.reset || sequencer.flush;
        if sequencer.go.is_some() {
            self.descriptor = self.sequencer.descriptor();
            self.patch_fields = PatchFields::new(&self.descriptor);
        }
        let load = self.program_port.outputs().write;
        let planes = self.activation_planes();
        let input = self.input_port.outputs(self.out_last()).write;
        let input = input.map(|write| (write.address, planes.split_new(write.value)));
        let weight = self.weight_port.outputs().write;
        let weight = weight.map(|(column, w)| (column, w.address, w.value.to_vec()));
        let compute = self.compute_inputs(reset, sequencer.go, load);
        let control = self.sequencer_inputs(inputs, &engine);

        self.edge_counters(inputs, sequencer, &engine);
        let back_load = load.and_then(back_load);
        self.back.edge(&BackEndInputs {
            reset,
            go_compute: compute.go,
            descriptor: &self.descriptor,
            load: back_load.as_ref(),
            operand: Some(&self.operand).filter(|_| self.operand_valid),
            result_ready: inputs.result_ready,
        });
        self.read_weights(&engine);
        self.edge_patches(reset, sequencer.go, &engine, input);
        self.engine.edge(&compute);
        self.set_operand();
        if let Some((column, address, value)) = weight {
            self.write_weights(column, address, &value);
        }
        self.edge_ports(reset, inputs, sequencer);
        self.sequencer.edge(&control);
    }
}

/// A write of the program port to a memory of the back end.
fn back_load(write: LoadWrite) -> Option<BackLoad> {
    let memory = match write.target {
        LoadTarget::Program | LoadTarget::Schedule => return None,
        LoadTarget::Constants => BackMemory::Constant,
        LoadTarget::Thresholds => BackMemory::Threshold,
        LoadTarget::Affine => BackMemory::Affine,
        LoadTarget::Table => BackMemory::Table,
    };
    Some(BackLoad {
        memory,
        level: write.level,
        lane: write.lane,
        address: write.address,
        value: write.value,
    })
}

impl Core for AcceleratorModel {
    fn name(&self) -> &str {
        "model"
    }

    /// One cycle; never fails.
    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        self.back_outputs = self.back.outputs();
        let sequencer = self.sequencer.outputs();
        self.set_outputs(&sequencer);
        self.edge(inputs, &sequencer);
        self.cycle += 1;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}
