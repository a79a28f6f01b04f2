//! The cycle-accurate model of the array: every register of `docs/microarchitecture.md`, updated as there.
//!
//! It computes as the hardware does, through pair bits, row terms and column constants, and never through the
//! reference encoder. Counts are made on whole words when a beat reaches the accumulators. Registers that hold
//! rows are moved by index or by swapping buffers, and data registers whose valid bit is 0 are left alone:
//! nothing reads them. No cycle allocates.
//!
//! ```
//! use xnorforge_hdl::ArrayConfig;
//! use xnorforge_sim::{Inputs, Model, Simulator};
//! let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
//! let mut model = Model::new(&design);
//! let outputs = model.step(&Inputs::default()).unwrap();
//! assert!(outputs.operand_ready && !outputs.result_valid);
//! ```

pub(crate) mod accumulators;
mod buffer;
mod drain;
pub(crate) mod operands;

use crate::kernel::dispatched;
use crate::simulator::{Inputs, Outputs, Simulator, SimulatorError};
use accumulators::Accumulators;
use buffer::RowBuffer;
use drain::{ConstantMemory, Done, Drain, Epilogue1, Epilogue2, Skid};
use operands::{Geometry, Pipe};
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
    memory: ConstantMemory,
    way_out: WayOut,
    outputs: Outputs,
}

/// What stands between the drain and the result port.
#[derive(Clone, Debug)]
enum WayOut {
    /// Without broadcast stages: an epilogue that stalls, and the skid buffer.
    Stalling {
        e1: Epilogue1,
        e2: Epilogue2,
        skid: Skid,
    },
    /// With them.
    Buffered(RowBuffer),
}

impl WayOut {
    fn new(design: &Design, g: &Geometry) -> Self {
        if design.broadcast_stages() > 0 {
            return WayOut::Buffered(RowBuffer::new(design, g));
        }
        WayOut::Stalling {
            e1: Epilogue1::new(g),
            e2: Epilogue2::new(g),
            skid: Skid::new(g),
        }
    }

    /// The row at the result port, if there is one, and whether it is its tile's last.
    fn main<'a>(&'a self, g: &Geometry) -> Option<(&'a [i64], bool)> {
        match self {
            WayOut::Stalling { skid, .. } => {
                skid.main_valid.then(|| (skid.main(g), skid.main_last))
            }
            WayOut::Buffered(buffer) => buffer.main(g),
        }
    }

    fn reset(&mut self) {
        match self {
            WayOut::Stalling { e1, e2, skid } => {
                e1.valid = false;
                e2.valid = false;
                skid.main_valid = false;
                skid.spill_valid = false;
            }
            WayOut::Buffered(buffer) => buffer.reset(),
        }
    }
}

impl Model {
    /// The array of a design, as after reset.
    pub fn new(design: &Design) -> Self {
        let geometry = Geometry::new(design);
        let g = &geometry;
        let c = design.config();
        Model {
            cycle: 0,
            pipe: Pipe::new(design.latency() as usize, g),
            accumulators: Accumulators::new(g),
            done: Done::new(g),
            drain: Drain::new(g),
            memory: ConstantMemory::new(c.constant_entries as usize, g),
            way_out: WayOut::new(design, g),
            outputs: Outputs {
                result: Vec::with_capacity(g.columns),
                ..Outputs::default()
            },
            geometry,
        }
    }

    /// The registers that control the flow, by their names in `docs/microarchitecture.md`, for messages and
    /// waveforms. Bit d of `stages_valid` is the valid bit of stage d + 1.
    pub fn control_registers(&self) -> Vec<(&'static str, u64)> {
        let mut registers = vec![
            ("stages_valid", self.pipe.valid_mask()),
            ("done", self.done.valid.into()),
            ("busy", self.drain.busy.into()),
            ("remaining", self.drain.remaining as u64),
        ];
        match &self.way_out {
            WayOut::Stalling { e1, e2, skid } => registers.extend([
                ("e1_valid", e1.valid.into()),
                ("e2_valid", e2.valid.into()),
                ("main_valid", skid.main_valid.into()),
                ("main_last", skid.main_last.into()),
                ("spill_valid", skid.spill_valid.into()),
            ]),
            WayOut::Buffered(buffer) => registers.extend([
                ("rows_under_way", buffer.len() as u64),
                ("main_valid", buffer.main_valid.into()),
            ]),
        }
        registers
    }

    fn set_outputs(&mut self, operand_ready: bool) {
        let out = &mut self.outputs;
        out.operand_ready = operand_ready;
        let main = self.way_out.main(&self.geometry);
        out.result_valid = main.is_some();
        out.result_last = main.is_some_and(|(_, last)| last);
        out.result.clear();
        if let Some((row, _)) = main {
            out.result.extend_from_slice(row);
        }
    }

    fn reset(&mut self) {
        self.pipe.reset();
        self.done.valid = false;
        self.drain.busy = false;
        self.way_out.reset();
    }
}

/// The wires between the parts in one cycle; functions of registers alone.
struct Flow {
    e2_ready: bool,
    drain_ready: bool,
    row_leaves: bool,
    load: bool,
    advance: bool,
}

impl Flow {
    fn of(model: &Model) -> Self {
        let (e2_ready, drain_ready) = match &model.way_out {
            WayOut::Stalling { e1, e2, skid } => {
                let skid_ready = !skid.spill_valid;
                let e2_ready = !e2.valid || skid_ready;
                (e2_ready, !e1.valid || e2_ready)
            }
            WayOut::Buffered(buffer) => (true, buffer.has_credit()),
        };
        let row_leaves = model.drain.busy && drain_ready;
        let last_row = model.drain.remaining == 1;
        let can_load = !model.drain.busy || (row_leaves && last_row);
        Flow {
            e2_ready,
            drain_ready,
            row_leaves,
            load: model.done.valid && can_load,
            advance: !model.done.valid || can_load,
        }
    }
}

dispatched! {
    /// The clock edge. Each part reads registers upstream of it only before they change, so the parts are
    /// updated from the result port backwards.
    fn clock_edge(model: &mut Model, flow: &Flow, inputs: &Inputs<'_>) {
        let g = &model.geometry;
        match &mut model.way_out {
            WayOut::Stalling { e1, e2, skid } => {
                skid.edge(e2, inputs.result_ready);
                if flow.e2_ready {
                    e2.edge(e1, g);
                }
                if flow.drain_ready {
                    e1.valid = flow.row_leaves;
                    if flow.row_leaves {
                        e1.take(&model.drain, &model.memory, g);
                    }
                }
            }
            WayOut::Buffered(buffer) => {
                let leaving = flow.row_leaves.then_some(&model.drain);
                let ready = inputs.result_ready;
                buffer.edge(model.cycle, leaving, &model.memory, ready, g);
            }
        }
        if flow.load {
            model.drain.load(&model.done, &model.accumulators, g);
        } else if flow.row_leaves {
            model.drain.row_leaves();
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
            model.memory.write(write, g);
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
    /// If the buffers of a beat or a constant have not the lengths of the design. With debug assertions also
    /// if an accumulator overflows, which no tile of a [`crate::Lowered`] product makes happen.
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
