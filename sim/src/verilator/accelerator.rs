//! The Verilated RTL of an accelerator's core as a [`Core`].

use super::array::{ArrayOptions, VerilatedArrayError};
use super::build::Verilator;
use super::model::{Library, VerilatedModel};
use super::source::{ModelSource, words};
use super::trace::Trace;
use crate::accelerator::{Core, CoreInputs, CoreOutputs, StreamBeat, Transfer};
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

/// The ports of a stream.
#[derive(Debug)]
struct Stream {
    valid: usize,
    ready: usize,
    data: usize,
    last: usize,
}

impl Ports {
    fn new(model: &VerilatedModel) -> Self {
        let port = |name: &str| {
            model
                .port(name)
                .expect("a package of `generate_accelerator` has every port that is used here")
        };
        let stream = |name: &str| Stream {
            valid: port(&format!("{name}_valid")),
            ready: port(&format!("{name}_ready")),
            data: port(&format!("{name}_data")),
            last: port(&format!("{name}_last")),
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
            program: stream("program"),
            weight: stream("weight"),
            input: stream("input"),
            result: stream("result"),
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
    model: VerilatedModel,
    ports: Ports,
    trace: Trace,
    cycle: u64,
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
        let window = options.trace.as_ref();
        let model = library.start(options.seed)?;
        let ports = Ports::new(&model);
        let buffer = |port: usize| vec![0; words(&model.ports()[port])];
        Ok(VerilatedAccelerator {
            trace: Trace::new(window),
            cycle: 0,
            outputs: CoreOutputs::default(),
            data: buffer(ports.result.data),
            keep: buffer(ports.result_keep),
            ports,
            model,
        })
    }

    fn set(&mut self, port: usize, value: impl Into<u64>) {
        self.model.set(port, &[value.into()]);
    }

    fn get(&self, port: usize) -> u64 {
        let mut word = [0];
        self.model.get(port, &mut word);
        word[0]
    }

    fn drive(&mut self, inputs: &CoreInputs<'_>) {
        let p = &self.ports;
        let (model, bit) = (&mut self.model, |value: bool| [u64::from(value)]);
        model.set(p.reset, &bit(inputs.reset));
        model.set(p.start, &bit(inputs.start.is_some()));
        if let Some(start) = inputs.start {
            model.set(p.start_address, &[start.address.into()]);
            model.set(p.runs, &[start.runs.into()]);
        }
        // Without a beat, data keep the last one: what is not valid must not matter.
        model.set(p.program.valid, &bit(inputs.program.is_some()));
        if let Some((word, last)) = inputs.program {
            model.set(p.program.data, &[word.into()]);
            model.set(p.program.last, &bit(last));
        }
        offer(model, &p.weight, inputs.weight);
        offer(model, &p.input, inputs.input);
        model.set(p.result.ready, &bit(inputs.result_ready));
        model.set(p.counter_clear, &bit(inputs.counter_clear));
        model.set(p.counter_address, &[inputs.counter_address.into()]);
    }

    fn read(&mut self) {
        let p = &self.ports;
        let bit = |port| self.get(port) != 0;
        let outputs = CoreOutputs {
            busy: bit(p.busy),
            done: bit(p.done),
            error: self.get(p.error) as u8,
            program_ready: bit(p.program.ready),
            weight_ready: bit(p.weight.ready),
            input_ready: bit(p.input.ready),
            result: None,
            counter_clearing: bit(p.counter_clearing),
            counter_value: self.get(p.counter_value) as u32,
        };
        let (valid, last) = (bit(p.result.valid), bit(p.result.last));
        self.outputs = outputs;
        if valid {
            self.model.get(p.result.data, &mut self.data);
            self.model.get(p.result_keep, &mut self.keep);
            let lanes = self.model.ports()[p.result_keep].width as usize;
            let value = |lane: usize| {
                let kept = self.keep[lane / 64] >> (lane % 64) & 1 == 1;
                kept.then_some((self.data[lane / 2] >> (32 * (lane % 2))) as u32 as i32)
            };
            self.outputs.result = Some(Transfer {
                values: (0..lanes).map(value).collect(),
                last,
            });
        }
    }
}

fn offer(model: &mut VerilatedModel, stream: &Stream, beat: Option<StreamBeat<'_>>) {
    model.set(stream.valid, &[beat.is_some().into()]);
    if let Some(beat) = beat {
        model.set(stream.data, beat.data);
        model.set(stream.last, &[beat.last.into()]);
    }
}

impl Core for VerilatedAccelerator {
    fn name(&self) -> &str {
        "RTL"
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        self.trace.begin(&mut self.model, self.cycle)?;
        self.drive(inputs);
        self.set(self.ports.clock, false);
        self.model.eval()?;
        self.read();
        self.trace.dump(&mut self.model, self.cycle, 0)?;
        self.set(self.ports.clock, true);
        self.model.eval()?;
        self.trace.dump(&mut self.model, self.cycle, 1)?;
        self.trace.end(&mut self.model, self.cycle)?;
        self.cycle += 1;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}
