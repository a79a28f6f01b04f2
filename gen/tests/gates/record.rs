//! What a host does with a core, and what the core must answer, cycle by cycle, from the cycle-accurate model.

use xnorforge_hdl::emit::{Port, PortDirection};
use xnorforge_hdl::{AcceleratorDesign, Package};
use xnorforge_sim::SimulatorError;
use xnorforge_sim::accelerator::{
    AcceleratorModel, Core, CoreDriver, CoreInputs, CoreOutputs, StreamBeat, StreamStalls, reset,
};
use xnorforge_sim::network::{Network, Tensor, reference};
use xnorforge_sim::program::{LOAD_WEIGHTS, Program};

/// Cycles without a handshake after which the model hangs.
const HANG_LIMIT: u64 = 100_000;

/// Cycles of a core as the bench reads them.
pub struct Recording {
    /// Bits of all inputs but the clock.
    pub inputs: u32,
    /// Bits of all outputs.
    pub outputs: u32,
    /// Binary `{which outputs count, outputs, inputs}`, the last port first.
    pub cycles: Vec<String>,
}

struct Recorder<'p> {
    model: AcceleratorModel,
    ports: &'p [Port],
    /// Cycles so far; outputs count behind the first reset, and counters once they are cleared.
    cycles: Vec<String>,
    counters_known: bool,
}

/// A value of a port: bits, lowest first; none where nothing is offered or nothing counts.
type Bits = Option<Vec<bool>>;

fn bits(value: u64, width: u32) -> Vec<bool> {
    (0..width)
        .map(|bit| bit < 64 && value >> bit & 1 == 1)
        .collect()
}

fn words(data: &[u64], width: u32) -> Vec<bool> {
    let bit = |bit: u32| data[bit as usize / 64] >> (bit % 64) & 1 == 1;
    (0..width).map(bit).collect()
}

/// What an input port gets.
fn input(port: &Port, inputs: &CoreInputs<'_>) -> Bits {
    let of = |value: u64| Some(bits(value, port.width));
    let stream = |beat: Option<StreamBeat<'_>>, part: &str| match (part, beat) {
        ("valid", beat) => of(beat.is_some().into()),
        ("last", Some(beat)) => of(beat.last.into()),
        (_, Some(beat)) => Some(words(beat.data, port.width)),
        (_, None) => None,
    };
    match port.name.as_str() {
        "reset" => of(inputs.reset.into()),
        "start" => of(inputs.start.is_some().into()),
        "start_address" => inputs.start.and_then(|start| of(start.address.into())),
        "runs" => inputs.start.and_then(|start| of(start.runs.into())),
        "program_valid" => of(inputs.program.is_some().into()),
        "program_data" => inputs.program.and_then(|(word, _)| of(word.into())),
        "program_last" => inputs.program.and_then(|(_, last)| of(last.into())),
        "result_ready" => of(inputs.result_ready.into()),
        "counter_clear" => of(inputs.counter_clear.into()),
        "counter_address" => of(inputs.counter_address.into()),
        name => match name.split_once('_') {
            Some(("weight", part)) => stream(inputs.weight, part),
            Some(("input", part)) => stream(inputs.input, part),
            _ => panic!("input {name}"),
        },
    }
}

/// What an output port must give, with what of it counts.
fn output(port: &Port, outputs: &CoreOutputs, counters_known: bool) -> (Vec<bool>, Vec<bool>) {
    let all = |value: u64| (bits(value, port.width), vec![true; port.width as usize]);
    let none = || (bits(0, port.width), bits(0, port.width));
    let result = outputs.result.as_ref();
    match port.name.as_str() {
        "busy" => all(outputs.busy.into()),
        "done" => all(outputs.done.into()),
        "error" => all(outputs.error.into()),
        "layer" => all(outputs.layer.into()),
        "program_ready" => all(outputs.program_ready.into()),
        "weight_ready" => all(outputs.weight_ready.into()),
        "input_ready" => all(outputs.input_ready.into()),
        "result_valid" => all(result.is_some().into()),
        "counter_clearing" => all(outputs.counter_clearing.into()),
        "counter_value" if counters_known => all(outputs.counter_value.into()),
        "result_last" => result.map_or_else(none, |transfer| all(transfer.last.into())),
        "result_keep" => result.map_or_else(none, |transfer| {
            let keep: Vec<bool> = transfer.values.iter().map(Option::is_some).collect();
            let counts = vec![true; keep.len()];
            (keep, counts)
        }),
        "result_data" => result.map_or_else(none, |transfer| {
            let values = transfer.values.iter();
            let value = values
                .clone()
                .flat_map(|v| bits(u64::from(v.unwrap_or(0) as u32), 32));
            let counts = values.flat_map(|v| [v.is_some(); 32]);
            (value.collect(), counts.collect())
        }),
        "counter_value" => none(),
        name => panic!("output {name}"),
    }
}

impl Core for Recorder<'_> {
    fn name(&self) -> &str {
        "recorder"
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        let first = self.cycles.is_empty();
        let outputs = self.model.step(inputs)?;
        let (mut sent, mut expected, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for port in self.ports.iter().filter(|port| port.name != "clock") {
            match port.direction {
                PortDirection::Input => {
                    let value = input(port, inputs);
                    let unknown = vec!['x'; port.width as usize];
                    let digit = |bit: bool| if bit { '1' } else { '0' };
                    sent.extend(value.map_or(unknown, |v| v.into_iter().map(digit).collect()));
                }
                PortDirection::Output => {
                    let (value, count) = output(port, outputs, self.counters_known);
                    expected.extend(value);
                    counts.extend(count.into_iter().map(|count| count && !first));
                }
            }
        }
        let digits = |bits: &[bool]| -> String {
            let digit = |bit: &bool| if *bit { '1' } else { '0' };
            bits.iter().rev().map(digit).collect()
        };
        let sent: String = sent.into_iter().rev().collect();
        self.cycles
            .push(format!("{}{}{sent}", digits(&counts), digits(&expected)));
        Ok(outputs)
    }

    fn cycle(&self) -> u64 {
        self.model.cycle()
    }
}

/// Runs a network on the model, with stalls at every stream, and records the cycles; its results are those of the reference.
pub fn record(
    design: &AcceleratorDesign,
    package: &Package,
    network: &Network,
    images: &Tensor,
) -> Recording {
    let program = Program::compile(design, images.images as u32, network).unwrap();
    let mut recorder = Recorder {
        model: AcceleratorModel::new(design),
        ports: &package.ports,
        cycles: Vec::new(),
        counters_known: false,
    };
    reset(&mut recorder).unwrap();
    recorder.counters_known = true;
    let stalls = StreamStalls {
        program: 0.05,
        weight: 0.05,
        input: 0.3,
        result: 0.5,
        seed: 1,
    };
    let mut driver = CoreDriver::new(&mut recorder, &stalls, HANG_LIMIT).unwrap();
    driver.load(&program).unwrap();
    if let Some(entry) = program.entry(LOAD_WEIGHTS) {
        driver.run(entry, &[]).unwrap();
    }
    let entry = program.entry(&network.name).unwrap();
    let found = driver.run(entry, std::slice::from_ref(images)).unwrap();
    let trace = reference::execute(network, images).unwrap();
    assert_eq!(found.tensors, [trace.of_network(network, images)]);
    driver.counters(design).unwrap();
    let width = |direction: PortDirection| {
        let ports = package.ports.iter();
        let of = ports.filter(|p| p.direction == direction && p.name != "clock");
        of.map(|port| port.width).sum()
    };
    Recording {
        inputs: width(PortDirection::Input),
        outputs: width(PortDirection::Output),
        cycles: recorder.cycles,
    }
}
