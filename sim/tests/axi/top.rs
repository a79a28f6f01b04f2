//! The whole top module, Verilated, behind the C driver.

use crate::common::networks::{random_accelerator, random_network};
use crate::common::verilated;
use crate::host::{Hardware, Report, converse};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use xnorforge_hdl::accelerator::{Descriptor, Field, Opcode};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, generate_axi};
use xnorforge_sim::accelerator::{RESPONSE_OKAY, program_image, stream_bytes};
use xnorforge_sim::network::reference;
use xnorforge_sim::program::{Entry, LOAD_WEIGHTS, Program};
use xnorforge_sim::verilator::VerilatedModel;

/// Cycles after which nothing comes any more.
const PATIENCE: u32 = 200_000;

/// The names of the streams' ports, in the driver's order.
const STREAMS: [&str; 3] = ["program", "weight", "input"];

/// A stream to the accelerator: what is to be sent, and whether its first transfer is offered.
#[derive(Default)]
struct Stream {
    transfers: VecDeque<(Vec<u64>, bool)>,
    is_offered: bool,
}

/// What the master of the registers does in a cycle.
#[derive(Clone, Copy, Default)]
struct Bus {
    write_address: Option<u32>,
    write_data: Option<u32>,
    read_address: Option<u32>,
}

/// The Verilated top module with queues at its streams, which stall at random.
struct Top {
    model: VerilatedModel,
    streams: [Stream; 3],
    /// Values of the result stream; whether TLAST came with it.
    results: VecDeque<([u8; 4], bool)>,
    rng: ChaCha8Rng,
    /// How often streams move.
    flow: f64,
}

impl Top {
    fn new(design: &AcceleratorDesign, seed: u64) -> Self {
        let mut top = Top {
            model: verilated(&generate_axi(design).unwrap(), seed as u32),
            streams: Default::default(),
            results: VecDeque::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            flow: 0.7,
        };
        top.set("aresetn", &[0]);
        top.clock();
        top.set("aresetn", &[1]);
        top
    }

    fn set(&mut self, name: &str, value: &[u64]) {
        let port = self.model.port(name).unwrap();
        self.model.set(port, value);
    }

    fn get(&self, name: &str) -> Vec<u64> {
        let port = self.model.port(name).unwrap();
        let mut value = vec![0; self.model.ports()[port].width.div_ceil(64) as usize];
        self.model.get(port, &mut value);
        value
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name)[0] == 1
    }

    fn clock(&mut self) {
        for level in [0, 1] {
            self.set("aclk", &[level]);
            self.model.eval().unwrap();
        }
    }

    /// One cycle.
    fn cycle(&mut self, bus: Bus) {
        for (name, value) in [
            ("s_axil_awvalid", bus.write_address.is_some().into()),
            ("s_axil_awaddr", bus.write_address.unwrap_or(0)),
            ("s_axil_wvalid", bus.write_data.is_some().into()),
            ("s_axil_wdata", bus.write_data.unwrap_or(0)),
            ("s_axil_wstrb", 0xf),
            ("s_axil_bready", 1),
            ("s_axil_arvalid", bus.read_address.is_some().into()),
            ("s_axil_araddr", bus.read_address.unwrap_or(0)),
            ("s_axil_rready", 1),
        ] {
            self.set(name, &[value.into()]);
        }
        for number in 0..STREAMS.len() {
            self.offer(number);
        }
        let ready = self.rng.random_bool(self.flow);
        self.set("m_axis_result_tready", &[ready.into()]);
        if ready && self.flag("m_axis_result_tvalid") {
            self.take_results();
        }
        self.clock();
    }

    /// Offers a stream's first transfer, and takes it off the queue if it goes at this edge.
    fn offer(&mut self, number: usize) {
        let name = STREAMS[number];
        let starts = self.rng.random_bool(self.flow);
        let stream = &mut self.streams[number];
        stream.is_offered |= starts && !stream.transfers.is_empty();
        let is_offered = stream.is_offered;
        self.set(&format!("s_axis_{name}_tvalid"), &[is_offered.into()]);
        if !is_offered {
            return;
        }
        let (data, last) = self.streams[number].transfers[0].clone();
        self.set(&format!("s_axis_{name}_tdata"), &data);
        self.set(&format!("s_axis_{name}_tlast"), &[last.into()]);
        if self.flag(&format!("s_axis_{name}_tready")) {
            let stream = &mut self.streams[number];
            stream.transfers.pop_front();
            stream.is_offered = false;
        }
    }

    /// Forgets what was not taken, as a host does after an error.
    fn drop_streams(&mut self) {
        self.streams = Default::default();
    }

    fn take_results(&mut self) {
        let (data, keep) = (
            self.get("m_axis_result_tdata"),
            self.get("m_axis_result_tkeep"),
        );
        let last = self.flag("m_axis_result_tlast");
        let port = self.model.port("m_axis_result_tdata").unwrap();
        let values = self.model.ports()[port].width as usize / 32;
        let mut taken = Vec::new();
        for value in 0..values {
            let kept = keep[value / 16] >> (value % 16 * 4) & 0xf;
            assert!(kept == 0 || kept == 0xf, "TKEEP {kept:x}");
            if kept == 0xf {
                let word = (data[value / 2] >> (value % 2 * 32)) as u32;
                taken.push((word.to_le_bytes(), false));
            }
        }
        taken.last_mut().expect("a transfer holds a value").1 = last;
        self.results.extend(taken);
    }
}

impl Hardware for Top {
    fn read(&mut self, offset: u32) -> (i32, u32) {
        let mut bus = Bus {
            read_address: Some(offset),
            ..Bus::default()
        };
        loop {
            let taken = self.flag("s_axil_arready");
            if self.flag("s_axil_rvalid") {
                let (value, response) = (self.get("s_axil_rdata")[0], self.get("s_axil_rresp")[0]);
                self.cycle(bus);
                return ((response != u64::from(RESPONSE_OKAY)).into(), value as u32);
            }
            self.cycle(bus);
            bus.read_address = bus.read_address.filter(|_| !taken);
        }
    }

    fn write(&mut self, offset: u32, value: u32) -> i32 {
        let mut bus = Bus {
            write_address: Some(offset),
            write_data: Some(value),
            ..Bus::default()
        };
        loop {
            let (address, data) = (self.flag("s_axil_awready"), self.flag("s_axil_wready"));
            if self.flag("s_axil_bvalid") {
                let response = self.get("s_axil_bresp")[0];
                self.cycle(bus);
                return (response != u64::from(RESPONSE_OKAY)).into();
            }
            self.cycle(bus);
            bus.write_address = bus.write_address.filter(|_| !address);
            bus.write_data = bus.write_data.filter(|_| !data);
        }
    }

    fn push(&mut self, stream: usize, bytes: &[u8], last: bool) -> i32 {
        let port = format!("s_axis_{}_tdata", STREAMS[stream]);
        let port = self.model.port(&port).unwrap();
        let width = self.model.ports()[port].width as usize;
        let transfers: Vec<&[u8]> = bytes.chunks(width / 8).collect();
        for (number, transfer) in transfers.iter().enumerate() {
            let mut words = vec![0u64; width.div_ceil(64)];
            for (i, byte) in transfer.iter().enumerate() {
                words[i / 8] |= u64::from(*byte) << (i % 8 * 8);
            }
            let ends = last && number + 1 == transfers.len();
            self.streams[stream].transfers.push_back((words, ends));
        }
        // The program stream is the one whose end the driver relies on.
        let mut cycles = 0;
        while stream == 0 && !self.streams[stream].transfers.is_empty() && cycles < PATIENCE {
            self.cycle(Bus::default());
            cycles += 1;
        }
        (cycles == PATIENCE).into()
    }

    fn pop(&mut self, capacity: usize) -> (i32, bool, Vec<u8>) {
        let mut bytes = Vec::new();
        for _ in 0..PATIENCE {
            while bytes.len() + 4 <= capacity
                && let Some((value, last)) = self.results.pop_front()
            {
                bytes.extend(value);
                if last {
                    return (0, true, bytes);
                }
            }
            if !bytes.is_empty() {
                return (0, false, bytes);
            }
            self.cycle(Bus::default());
        }
        (1, false, bytes)
    }

    fn idle(&mut self) {
        for _ in 0..20 {
            self.cycle(Bus::default());
        }
    }
}

fn tiny() -> AcceleratorDesign {
    let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
    AcceleratorDesign::new(&design).unwrap()
}

/// Descriptors as bytes of the program stream.
fn program(descriptors: &[Descriptor]) -> Vec<u8> {
    let words = descriptors.iter().flat_map(|d| d.words().to_vec());
    words.flat_map(u32::to_le_bytes).collect()
}

/// A layer whose number has a 1 in its highest and in its lowest bit.
const LAYER: u8 = 5;

/// INPUT of `words` words in [`LAYER`], then END.
fn input_program(design: &AcceleratorDesign, words: u32) -> Vec<u8> {
    let mut input = Descriptor::new(Opcode::Input);
    assert!(input.set(design, Field::OutLast, i64::from(words) - 1));
    assert!(input.set(design, Field::Layer, LAYER.into()));
    program(&[input, Descriptor::new(Opcode::End)])
}

/// Bytes of so many words on the input stream.
fn words(design: &AcceleratorDesign, words: u32) -> Vec<u8> {
    let stream = design.config().stream_bits;
    vec![0x5a; (words * design.word_width.div_ceil(stream) * stream / 8) as usize]
}

/// What the driver gives for a command that succeeds.
const OK: u64 = 0;
const TIMEOUT: u64 = 6;
const ACCELERATOR: u64 = 7;
const STOPPED: u64 = 8;

fn run(top: &mut Top, commands: &str, data: &[Vec<u8>]) -> Report {
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    converse(top, commands, &data)
}

#[test]
fn a_program_runs_and_its_cycles_are_counted() {
    let design = tiny();
    let mut top = Top::new(&design, 11);
    let input = words(&design, 4);
    let beats = input.len() as u64 * 8 / u64::from(design.config().stream_bits);
    let commands = "clear_counters 100000 load 0 0 0 0 enable_interrupts 1 push 2 1 push 2 1 start 0 2 wait 1000 \
                    status interrupts bus_errors counter 5 4 counter 5 5 counter 5 0 counter 0 4";
    let report = run(
        &mut top,
        commands,
        &[input_program(&design, 4), input.clone(), input],
    );
    for name in ["open", "clear_counters", "load", "start", "wait"] {
        assert_eq!(report.one(name), OK, "{name}");
    }
    assert_eq!((report.one("done"), report.one("error")), (1, 0));
    assert_eq!((report.one("interrupts"), report.one("bus_errors")), (1, 0));
    let cycles = report.all("cycles");
    assert!(cycles[0] >= 2 * beats && cycles[1] > 0, "{cycles:?}");
    assert_eq!(cycles[2..], [0, 0]);
}

#[test]
fn errors_end_a_run_and_the_next_one_is_well() {
    let design = tiny();
    let mut top = Top::new(&design, 12);
    let mut unknown = Descriptor::new(Opcode::Input);
    assert!(unknown.set(&design, Field::Opcode, 9));
    let load = run(
        &mut top,
        "load 0 0 0 0 load 0 0 0 96",
        &[input_program(&design, 4), program(&[unknown])],
    );
    assert_eq!(load.all("load"), [OK; 2]);
    let name = |code: u64| format!("error_name {code}");
    for (commands, sent, code, layer) in [
        // TLAST with the last of three words, and of five.
        ("push 2 1 start 0 1", Some(3), 10, LAYER),
        ("push 2 1 start 0 1", Some(5), 11, LAYER),
        ("start 96 1", None, 1, 0),
    ] {
        let sent: Vec<Vec<u8>> = sent.iter().map(|count| words(&design, *count)).collect();
        let commands = format!("{commands} wait 1000 status interrupts {}", name(code));
        let report = run(&mut top, &commands, &sent);
        assert_eq!(report.one("wait"), ACCELERATOR);
        assert_eq!((report.one("error"), report.one("done")), (code, 0));
        assert_eq!(report.one("layer"), u64::from(layer));
        assert_eq!(report.one("interrupts"), 2);
        top.drop_streams();
        let good = "push 2 1 start 0 1 wait 1000 status bus_errors interrupts";
        let report = run(&mut top, good, &[words(&design, 4)]);
        assert_eq!((report.one("wait"), report.one("error")), (OK, 0));
        assert_eq!((report.one("interrupts"), report.one("bus_errors")), (1, 0));
    }
}

#[test]
fn a_soft_reset_ends_a_run_that_waits() {
    let design = tiny();
    let mut top = Top::new(&design, 13);
    let commands = "load 0 0 0 0 start 0 1 wait 20 soft_reset wait 20 status push 2 1 start 0 1 wait 1000 bus_errors";
    let report = run(
        &mut top,
        commands,
        &[input_program(&design, 4), words(&design, 4)],
    );
    assert_eq!(report.all("wait"), [TIMEOUT, STOPPED, OK]);
    assert_eq!((report.one("busy"), report.one("done")), (0, 0));
    assert_eq!(report.one("bus_errors"), 0);
}

/// One network behind the driver: loaded as an image, its weights and inputs streamed, its results popped.
fn run_network(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let design = random_accelerator(&mut rng);
    let (network, input) = random_network(&mut rng, &design, 2);
    let Ok(program) = Program::compile(&design, 2, &network) else {
        println!("seed {seed}: does not fit");
        return;
    };
    println!("seed {seed}: {:?}", design.design().config());
    let expected = reference::execute(&network, &input)
        .unwrap()
        .of_network(&network, &input);
    let mut top = Top::new(&design, seed);
    let mut commands = "load_image".to_owned();
    let mut data = vec![program_image(&program)];
    if let Some(entry) = program.entry(LOAD_WEIGHTS) {
        push_weights(entry, &mut commands, &mut data);
        commands += &format!(" start {} 1 wait 100000", entry.address);
    }
    let entry = program.entry(&network.name).unwrap();
    for _ in 0..2 {
        push_weights(entry, &mut commands, &mut data);
        commands += " push 2 1";
        data.push(stream_bytes(&entry.input_beats(&input).unwrap()));
        commands += &format!(
            " start {} 1 pop {} wait 1000",
            entry.address,
            entry.result_values()
        );
    }
    let report = run(&mut top, &(commands + " status bus_errors"), &data);
    for name in ["load_image", "push", "start", "pop", "wait"] {
        let results = report.all(name);
        let status = ["error", "layer"].map(|field| report.one(field));
        assert!(
            results.iter().all(|r| *r == OK),
            "seed {seed}: {name} gives {results:?}; error and layer {status:?}"
        );
    }
    assert_eq!(report.one("bus_errors"), 0);
    for bytes in &report.bytes {
        let values = bytes
            .chunks(4)
            .map(|v| i32::from_le_bytes(v.try_into().unwrap()));
        let values: Vec<i32> = values.collect();
        assert_eq!(entry.unpack(&values).unwrap(), expected, "seed {seed}");
    }
}

fn push_weights(entry: &Entry, commands: &mut String, data: &mut Vec<Vec<u8>>) {
    for packet in &entry.weights {
        *commands += " push 1 1";
        data.push(stream_bytes(packet));
    }
}

#[test]
fn networks_give_what_the_reference_gives() {
    for seed in 500..504 {
        run_network(seed);
    }
}
