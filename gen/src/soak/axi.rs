//! A host of the accelerator behind AXI: random waits on every channel, streams that flow beside accesses of registers,
//! soft and hard resets in the middle of work.

use super::case::{Before, NetworkRun, NetworkWork};
use super::run::{Fault, Verdict, require_reference};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::{Descriptor, Opcode};
use xnorforge_hdl::regmap::register;
use xnorforge_sim::accelerator::{
    AxiInputs, AxiOutputs, AxiTop, LoadTarget, RESPONSE_OKAY, StreamBeat, StreamStalls,
};
use xnorforge_sim::network::Network;
use xnorforge_sim::program::{Beats, Entry, LOAD_WEIGHTS};

/// Cycles after which the end of a run will not come any more.
const PATIENCE: u64 = 3_000_000;

/// Cycles of an access after which no answer will come.
const ACCESS_PATIENCE: u32 = 1000;

/// A stream to the accelerator. What is offered stands until it is taken.
#[derive(Default)]
struct Stream {
    beats: VecDeque<(Vec<u64>, bool)>,
    is_offered: bool,
}

impl Stream {
    fn push(&mut self, beats: &Beats) {
        let last = beats.len().saturating_sub(1);
        let all = (0..beats.len()).map(|index| (beats.beat(index).to_vec(), index == last));
        self.beats.extend(all);
    }

    /// Offers the next beat, unless the stream is stalled.
    fn offer(&mut self, stalls: f64, rng: &mut ChaCha8Rng) {
        self.is_offered |= !self.beats.is_empty() && !rng.random_bool(stalls);
    }

    fn beat(&self) -> Option<StreamBeat<'_>> {
        let (data, last) = self.beats.front().filter(|_| self.is_offered)?;
        Some(StreamBeat { data, last: *last })
    }

    fn edge(&mut self, ready: bool) {
        if self.is_offered && ready {
            self.beats.pop_front();
            self.is_offered = false;
        }
    }

    /// Forgets what was not taken, as a host does after a reset.
    fn clear(&mut self) {
        *self = Stream::default();
    }
}

/// A write that is under way: what is left to do, and how long each channel still waits.
#[derive(Clone, Copy)]
struct Write {
    address: Option<u32>,
    data: Option<(u32, u8)>,
    waits: [u32; 3],
}

/// A read that is under way.
#[derive(Clone, Copy)]
struct Read {
    address: Option<u32>,
    waits: [u32; 2],
}

/// The host.
pub struct AxiHost<'a> {
    top: &'a mut dyn AxiTop,
    rng: ChaCha8Rng,
    stalls: StreamStalls,
    program: Stream,
    weight: Stream,
    input: Stream,
    write: Option<Write>,
    read: Option<Read>,
    /// The last answers.
    written: Option<u8>,
    read_back: Option<(u32, u8)>,
    results: Vec<i32>,
    cycles: u64,
}

impl<'a> AxiHost<'a> {
    /// A host of a top module.
    pub fn new(top: &'a mut dyn AxiTop, stalls: &StreamStalls) -> Self {
        AxiHost {
            top,
            rng: ChaCha8Rng::seed_from_u64(stalls.seed),
            stalls: *stalls,
            program: Stream::default(),
            weight: Stream::default(),
            input: Stream::default(),
            write: None,
            read: None,
            written: None,
            read_back: None,
            results: Vec::new(),
            cycles: 0,
        }
    }

    /// Cycles so far.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// One cycle; `reset` is a hard one.
    fn cycle(&mut self, reset: bool) -> Result<AxiOutputs, Fault> {
        let (stalls, rng) = (self.stalls, &mut self.rng);
        self.program.offer(stalls.program, rng);
        self.weight.offer(stalls.weight, rng);
        self.input.offer(stalls.input, rng);
        let result_ready = !rng.random_bool(stalls.result);
        let write = self.write.as_ref();
        let read = self.read.as_ref();
        let word = self.program.beat();
        let inputs = AxiInputs {
            reset,
            write_address: write.filter(|w| w.waits[0] == 0).and_then(|w| w.address),
            write_data: write.filter(|w| w.waits[1] == 0).and_then(|w| w.data),
            bready: write.is_some_and(|w| w.waits[2] == 0),
            read_address: read.filter(|r| r.waits[0] == 0).and_then(|r| r.address),
            rready: read.is_some_and(|r| r.waits[1] == 0),
            program: word.map(|beat| (beat.data[0] as u32, beat.last)),
            weight: self.weight.beat(),
            input: self.input.beat(),
            result_ready,
        };
        let outputs = self.top.step(&inputs)?.clone();
        self.cycles += 1;
        self.program.edge(outputs.program_ready);
        self.weight.edge(outputs.weight_ready);
        self.input.edge(outputs.input_ready);
        if let Some(result) = outputs.result.as_ref().filter(|_| result_ready) {
            let kept = result.values.iter().zip(&result.keep);
            let kept = kept.filter(|(_, keep)| **keep);
            self.results.extend(kept.map(|(value, _)| *value as i32));
        }
        self.edge_write(&outputs);
        self.edge_read(&outputs);
        Ok(outputs)
    }

    fn edge_write(&mut self, outputs: &AxiOutputs) {
        let Some(write) = &mut self.write else { return };
        if outputs.awready && write.waits[0] == 0 {
            write.address = None;
        }
        if outputs.wready && write.waits[1] == 0 {
            write.data = None;
        }
        if let Some(response) = outputs.write_response.filter(|_| write.waits[2] == 0) {
            self.written = Some(response);
            self.write = None;
            return;
        }
        for wait in &mut write.waits {
            *wait = wait.saturating_sub(1);
        }
    }

    fn edge_read(&mut self, outputs: &AxiOutputs) {
        let Some(read) = &mut self.read else { return };
        if outputs.arready && read.waits[0] == 0 {
            read.address = None;
        }
        if let Some(response) = outputs.read_response.filter(|_| read.waits[1] == 0) {
            self.read_back = Some(response);
            self.read = None;
            return;
        }
        for wait in &mut read.waits {
            *wait = wait.saturating_sub(1);
        }
    }

    fn waits<const N: usize>(&mut self) -> [u32; N] {
        let most = match self.stalls.result + self.stalls.input > 0.0 {
            true => 5,
            false => 0,
        };
        [(); N].map(|()| self.rng.random_range(0..=most))
    }

    fn begin_read(&mut self, address: u32) {
        self.read = Some(Read {
            address: Some(address),
            waits: self.waits(),
        });
    }

    /// Writes a register and gives the answer.
    fn access(&mut self, address: u32, data: u32, strobes: u8) -> Result<u8, Fault> {
        self.write = Some(Write {
            address: Some(address),
            data: Some((data, strobes)),
            waits: self.waits(),
        });
        self.written = None;
        for _ in 0..ACCESS_PATIENCE {
            self.cycle(false)?;
            if let Some(response) = self.written.take() {
                return Ok(response);
            }
        }
        Err(Fault::new(format!(
            "the write of {address:#x} is not answered"
        )))
    }

    fn set(&mut self, name: &str, data: u32) -> Result<(), Fault> {
        match self.access(register(name).offset, data, 0xf)? {
            RESPONSE_OKAY => Ok(()),
            response => Err(Fault::new(format!(
                "the write of {data:#x} to `{name}` is answered with {response}"
            ))),
        }
    }

    fn get(&mut self, name: &str) -> Result<u32, Fault> {
        // A read that was begun for its own sake ends first.
        self.wait_for_read(name)?;
        self.begin_read(register(name).offset);
        self.read_back = None;
        self.wait_for_read(name)?;
        match self.read_back.take() {
            Some((value, RESPONSE_OKAY)) => Ok(value),
            other => Err(Fault::new(format!("the read of `{name}` gives {other:?}"))),
        }
    }

    fn wait_for_read(&mut self, name: &str) -> Result<(), Fault> {
        for _ in 0..ACCESS_PATIENCE {
            if self.read.is_none() {
                return Ok(());
            }
            self.cycle(false)?;
        }
        Err(Fault::new(format!("the read of `{name}` is not answered")))
    }

    fn status(&mut self, field: &str) -> Result<bool, Fault> {
        Ok(self.get("status")? & register("status").field(field).mask() != 0)
    }

    fn control(&mut self, field: &str) -> Result<(), Fault> {
        self.set("control", register("control").field(field).mask())
    }

    /// Resets it, clears its counters and runs an empty program: all that registers can show from now on is defined. Two
    /// that are to run in lockstep take this first, each by itself.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn begin(&mut self, design: &AcceleratorDesign) -> Result<(), Fault> {
        self.cycle(true)?;
        self.control("counter_clear")?;
        while self.status("clearing")? {
            self.patience()?;
        }
        self.load(&empty_program(design))?;
        self.set("start_address", 0)?;
        self.control("start")?;
        while !self.status("done")? {
            self.patience()?;
        }
        self.set("interrupt_status", 0b11)
    }

    fn patience(&self) -> Result<(), Fault> {
        match self.cycles < PATIENCE {
            true => Ok(()),
            false => Err(Fault::new(format!(
                "no end within {PATIENCE} cycles: the accelerator hangs"
            ))),
        }
    }

    /// Sends a packet of the program stream.
    fn load(&mut self, words: &[u32]) -> Result<(), Fault> {
        let mut beats = Beats::new(32);
        for word in words {
            beats.push_word(&[u64::from(*word)], 32);
        }
        self.program.push(&beats);
        while !self.program.beats.is_empty() {
            self.cycle(false)?;
            self.patience()?;
        }
        Ok(())
    }

    fn start(&mut self, entry: &Entry, runs: u32) -> Result<(), Fault> {
        self.set("start_address", entry.address)?;
        self.set("runs", runs)?;
        self.control("start")
    }

    /// Accesses that change nothing: reads of anything, writes that are refused.
    fn disturb(&mut self) -> Result<(), Fault> {
        if self.read.is_none() && self.rng.random_bool(0.05) {
            let address = match self.rng.random_range(0..4) {
                0 => self.rng.random_range(0..0x1000),
                _ => 4 * self.rng.random_range(0..0xa4 / 4),
            };
            self.begin_read(address);
        }
        if self.rng.random_bool(0.01) {
            // A register that cannot be written, and one with too few strobes.
            let (name, strobes) =
                [("rows", 0xf), ("status", 0xf), ("runs", 0x7)][self.rng.random_range(0..3)];
            let response = self.access(register(name).offset, 5, strobes)?;
            if response == RESPONSE_OKAY {
                return Err(Fault::new(format!("a wrong write of `{name}` is taken")));
            }
        }
        Ok(())
    }

    /// Streams and waits for the end of what was started, for at most so many cycles; gives whether it came.
    fn wait(&mut self, cycles: u64) -> Result<bool, Fault> {
        let end = self.cycles + cycles;
        while self.cycles < end {
            for _ in 0..self.rng.random_range(1..60) {
                self.cycle(false)?;
                self.disturb()?;
            }
            let status = self.get("status")?;
            let field = |name| register("status").field(name);
            let error = (status & field("error").mask()) >> field("error").low;
            if error != 0 {
                return Err(Fault::new(format!(
                    "the accelerator stops with error {error}"
                )));
            }
            if status & field("done").mask() != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends what is running, by the register or by the pin, and forgets what was to be streamed and what came.
    fn stop(&mut self, hard: bool) -> Result<(), Fault> {
        if hard {
            // Nothing is under way any more after a reset of the port.
            (self.write, self.read) = (None, None);
            for stream in [&mut self.program, &mut self.weight, &mut self.input] {
                stream.clear();
            }
            self.cycle(true)?;
        } else {
            self.control("soft_reset")?;
            for stream in [&mut self.program, &mut self.weight, &mut self.input] {
                stream.clear();
            }
        }
        // A transfer that was offered before a soft reset stands until it is taken.
        while self.status("busy")? || self.cycle(false)?.result.is_some() {
            self.patience()?;
        }
        self.results.clear();
        Ok(())
    }

    fn stream(&mut self, entry: &Entry, inputs: &[Beats], runs: usize) {
        for _ in 0..runs {
            for packet in entry.weights.iter().filter(|beats| !beats.is_empty()) {
                self.weight.push(packet);
            }
        }
        for beats in inputs.iter().filter(|beats| !beats.is_empty()) {
            self.input.push(beats);
        }
    }
}

/// The packet that loads a program of END alone.
fn empty_program(design: &AcceleratorDesign) -> Vec<u32> {
    let header = (LoadTarget::Program as u32) << 28;
    let mut words = vec![header, 0];
    words.extend(Descriptor::new(Opcode::End).words());
    debug_assert!(words.len() <= design.config().program_words as usize);
    words
}

/// The networks of a case behind the AXI ports, one after the other.
pub fn serve(host: &mut AxiHost<'_>, work: &NetworkWork) -> Verdict {
    for packet in work.program.packets() {
        host.load(&packet.stream())?;
    }
    let enabled = host.rng.random_range(0..4);
    host.set("interrupt_enable", enabled)?;
    if let Some(entry) = work.program.entry(LOAD_WEIGHTS) {
        host.stream(entry, &[], 1);
        host.start(entry, 1)?;
        finish(host)?;
    }
    for (index, run) in work.runs.iter().enumerate() {
        let network = &work.networks[run.network];
        let entry = work.program.entry(&network.name);
        let entry = entry.ok_or_else(|| Fault::new("a network without an entry"))?;
        let beats = run.inputs.iter().map(|input| entry.input_beats(input));
        let beats: Vec<Beats> = beats.collect::<Result<_, _>>().map_err(Fault::new)?;
        let runs = beats.len();
        match run.before {
            Before::Nothing => {}
            Before::Reset => host.stop(true)?,
            Before::Cut(cycles) => {
                host.stream(entry, &beats, runs);
                host.start(entry, runs as u32)?;
                host.wait(cycles)?;
                let hard = host.rng.random_bool(0.5);
                host.stop(hard)?;
            }
        }
        host.stream(entry, &beats, runs);
        host.start(entry, runs as u32)?;
        finish(host)?;
        let results = std::mem::take(&mut host.results);
        compare(index, network, run, entry, &results)?;
    }
    Ok(host.cycles())
}

/// Waits for the end of a run and takes the results that still stand.
fn finish(host: &mut AxiHost<'_>) -> Result<(), Fault> {
    if !host.wait(PATIENCE)? {
        return Err(Fault::new(format!(
            "no end within {PATIENCE} cycles: the accelerator hangs"
        )));
    }
    for _ in 0..2 {
        while host.cycle(false)?.result.is_some() {
            host.patience()?;
        }
    }
    Ok(())
}

fn compare(
    index: usize,
    network: &Network,
    run: &NetworkRun,
    entry: &Entry,
    results: &[i32],
) -> Result<(), Fault> {
    let per_run = entry.result_values() as usize;
    if results.len() != per_run * run.inputs.len() {
        return Err(Fault::new(format!(
            "run {index} gave {} results in place of {}",
            results.len(),
            per_run * run.inputs.len()
        )));
    }
    let tensors = results
        .chunks(per_run.max(1))
        .map(|values| entry.unpack(values))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Fault::new)?;
    require_reference(index, network, run, &tensors)
}
