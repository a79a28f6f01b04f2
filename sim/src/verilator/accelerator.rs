//! The Verilated RTL of an accelerator's core as a [`Core`].

use super::array::{ArrayOptions, VerilatedArrayError};
use super::build::Verilator;
use super::clocked::{Clocked, Stream};
use super::model::{Library, VerilatedModel};
use super::source::{ModelSource, words};
use super::trace::Trace;
use crate::accelerator::{Core, CoreInputs, CoreOutputs, Transfer};
use crate::simulator::SimulatorError;
use xnorforge_hdl::Package;

/// Numbers of the top module's ports.
#[derive(Debug)]
struct Ports {
    clock: usize,
    reset: usize,
    start: usize,
    start_address: usize,
    runs: usize,
    busy: usize,
    done: usize,
    error: usize,
    layer: usize,
    program: Stream,
    weight: Stream,
    input: Stream,
    result: Stream,
    result_keep: usize,
    counter_clear: usize,
    counter_clearing: usize,
    counter_address: usize,
    counter_value: usize,
}

impl Ports {
    fn new(model: &VerilatedModel) -> Self {
        let port = |name: &str| {
            model
                .port(name)
                .expect("a package of `generate_accelerator` has every port that is used here")
        };
        Ports {
            clock: port("clock"),
            reset: port("reset"),
            start: port("start"),
            start_address: port("start_address"),
            runs: port("runs"),
            busy: port("busy"),
            done: port("done"),
            error: port("error"),
            layer: port("layer"),
            program: Stream::new(port, "program_"),
            weight: Stream::new(port, "weight_"),
            input: Stream::new(port, "input_"),
            result: Stream::new(port, "result_"),
            result_keep: port("result_keep"),
            counter_clear: port("counter_clear"),
            counter_clearing: port("counter_clearing"),
            counter_address: port("counter_address"),
            counter_value: port("counter_value"),
        }
    }
}

/// The Verilated RTL of an accelerator's core.
#[derive(Debug)]
pub struct VerilatedAccelerator {
    rtl: Clocked,
    ports: Ports,
    outputs: CoreOutputs,
    data: Vec<u64>,
    keep: Vec<u64>,
}

impl VerilatedAccelerator {
    /// Builds the model of a package of [`xnorforge_hdl::generate_accelerator`] (or takes it from the cache) and starts
    /// it; it is not reset yet.
    ///
    /// # Errors
    /// [`VerilatedArrayError::Tool`] when it cannot be built, [`VerilatedArrayError::Simulator`] when it stops at once.
    ///
    /// # Panics
    /// If the package is of something else.
    pub fn new(
        verilator: &Verilator,
        package: &Package,
        options: &ArrayOptions,
    ) -> Result<Self, VerilatedArrayError> {
        let source = ModelSource::of_package(package);
        let library = verilator.model(&source, Trace::tracing(options.trace.as_ref()))?;
        Ok(Self::of_library(&library, options)?)
    }

    /// Starts a model of [`ModelSource::of_package`], as [`VerilatedAccelerator::new`] does.
    ///
    /// # Errors
    /// [`SimulatorError`] when it stops at once.
    ///
    /// # Panics
    /// If the library is one of something else.
    pub fn of_library(library: &Library, options: &ArrayOptions) -> Result<Self, SimulatorError> {
        let model = library.start(options.seed)?;
        let ports = Ports::new(&model);
        let buffer = |port: usize| vec![0; words(&model.ports()[port])];
        Ok(VerilatedAccelerator {
            outputs: CoreOutputs::default(),
            data: buffer(ports.result.data),
            keep: buffer(ports.result_keep),
            rtl: Clocked::new(model, ports.clock, options.trace.as_ref()),
            ports,
        })
    }

    fn drive(&mut self, inputs: &CoreInputs<'_>) {
        let (p, model) = (&self.ports, &mut self.rtl.model);
        let bit = |value: bool| [u64::from(value)];
        model.set(p.reset, &bit(inputs.reset));
        model.set(p.start, &bit(inputs.start.is_some()));
        if let Some(start) = inputs.start {
            model.set(p.start_address, &[start.address.into()]);
            model.set(p.runs, &[start.runs.into()]);
        }
        p.program.offer_word(model, inputs.program);
        p.weight.offer(model, inputs.weight);
        p.input.offer(model, inputs.input);
        model.set(p.result.ready, &bit(inputs.result_ready));
        model.set(p.counter_clear, &bit(inputs.counter_clear));
        model.set(p.counter_address, &[inputs.counter_address.into()]);
    }

    fn read(&mut self) {
        let (p, model) = (&self.ports, &self.rtl.model);
        let bit = |port| model.word(port) != 0;
        self.outputs = CoreOutputs {
            busy: bit(p.busy),
            done: bit(p.done),
            error: model.word(p.error) as u8,
            layer: model.word(p.layer) as u8,
            program_ready: bit(p.program.ready),
            weight_ready: bit(p.weight.ready),
            input_ready: bit(p.input.ready),
            result: None,
            counter_clearing: bit(p.counter_clearing),
            counter_value: model.word(p.counter_value) as u32,
        };
        if bit(p.result.valid) {
            model.get(p.result.data, &mut self.data);
            model.get(p.result_keep, &mut self.keep);
            let lanes = model.ports()[p.result_keep].width as usize;
            let value = |lane: usize| {
                let kept = self.keep[lane / 64] >> (lane % 64) & 1 == 1;
                kept.then_some((self.data[lane / 2] >> (32 * (lane % 2))) as u32 as i32)
            };
            self.outputs.result = Some(Transfer {
                values: (0..lanes).map(value).collect(),
                last: bit(p.result.last),
            });
        }
    }
}

impl Core for VerilatedAccelerator {
    fn name(&self) -> &str {
        "RTL"
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        self.drive(inputs);
        self.rtl.settle()?;
        self.read();
        self.rtl.edge()?;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.rtl.cycle()
    }
}
