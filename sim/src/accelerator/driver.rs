//! Drives a core through a compiled program: loads it, streams weights and inputs, gathers results.
//!
//! Every stream can be stalled at random. Stalls change when things happen, never what comes out.

use super::{Core, CoreInputs, CoreOutputs, Start, StreamBeat};
use crate::network::Tensor;
use crate::program::{Beats, Entry, Program, ProgramError};
use crate::simulator::SimulatorError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::AcceleratorDesign;
use xnorforge_hdl::accelerator::config::COUNTERS;

/// How often each stream is stalled: probabilities per cycle, drawn anew in every cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamStalls {
    /// No word of a program packet is offered.
    pub program: f64,
    /// No weights are offered.
    pub weight: f64,
    /// No input is offered.
    pub input: f64,
    /// No result is taken.
    pub result: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl StreamStalls {
    /// No stalls at all.
    pub const NONE: StreamStalls = StreamStalls {
        program: 0.0,
        weight: 0.0,
        input: 0.0,
        result: 0.0,
        seed: 0,
    };
}

/// Why a drive failed.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The simulation cannot go on.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// An input does not fit the entry.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A probability outside 0 up to (not including) 1.
    #[error(
        "stall probability of the {stream} stream = {value} is out of range: 0 up to, not including, 1; choose a value in that range"
    )]
    Probability {
        /// The stream.
        stream: &'static str,
        /// What was given.
        value: f64,
    },
    /// Too many inputs at once, or none.
    #[error("runs = {0} is out of range: 1..=65535; give as many inputs, or start more often")]
    Runs(usize),
    /// The core reports an error.
    #[error(
        "cycle {cycle}: the core stops with error {code}; docs/accelerator.md, \"Errors\", says what it means"
    )]
    Code {
        /// Cycle of the simulator.
        cycle: u64,
        /// Its code.
        code: u8,
    },
    /// The core neither takes nor gives anything and does not end.
    #[error("no stream has moved for {cycles} cycles: the core hangs")]
    Hang {
        /// Cycles without progress.
        cycles: u64,
    },
    /// Values after or instead of those that the entry gives.
    #[error("the result stream gave {found} values, but {runs} runs of this entry give {expected}")]
    Results {
        /// What came.
        found: u64,
        /// Runs.
        runs: usize,
        /// What was expected.
        expected: u64,
    },
}

/// Resets a core and clears its counters: all that it shows from now on is defined. Two cores that are to run in lockstep
/// take this first, each by itself.
///
/// # Errors
/// [`SimulatorError`] when the simulation cannot go on.
pub fn reset(core: &mut dyn Core) -> Result<(), SimulatorError> {
    core.step(&CoreInputs {
        reset: true,
        ..CoreInputs::default()
    })?;
    core.step(&CoreInputs {
        counter_clear: true,
        ..CoreInputs::default()
    })?;
    while core.step(&CoreInputs::default())?.counter_clearing {}
    // The last writes of the clear, and the counter that the window shows.
    for _ in 0..3 {
        core.step(&CoreInputs::default())?;
    }
    Ok(())
}

/// What an entry gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreRun {
    /// The tensors of each run.
    pub tensors: Vec<Vec<Tensor>>,
    /// Cycles in which the core was busy.
    pub cycles: u64,
}

/// Beats of a stream that are to go, with TLAST at the end of each packet.
struct Source<'a> {
    packets: Vec<&'a Beats>,
    packet: usize,
    beat: usize,
}

impl<'a> Source<'a> {
    fn new(packets: impl IntoIterator<Item = &'a Beats>) -> Self {
        let packets = packets.into_iter().filter(|beats| !beats.is_empty());
        Source {
            packets: packets.collect(),
            packet: 0,
            beat: 0,
        }
    }

    fn offer(&self) -> Option<StreamBeat<'a>> {
        let packet = self.packets.get(self.packet)?;
        Some(StreamBeat {
            data: packet.beat(self.beat),
            last: self.beat + 1 == packet.len(),
        })
    }

    fn taken(&mut self) {
        self.beat += 1;
        if self
            .packets
            .get(self.packet)
            .is_some_and(|packet| self.beat == packet.len())
        {
            (self.packet, self.beat) = (self.packet + 1, 0);
        }
    }
}

/// A host: drives one core through a program.
pub struct CoreDriver<'a> {
    core: &'a mut dyn Core,
    stalls: StreamStalls,
    rng: ChaCha8Rng,
    hang_limit: u64,
}

impl<'a> CoreDriver<'a> {
    /// A host of a core, which it resets and whose counters it clears. It gives up when nothing moves for `hang_limit`
    /// cycles.
    ///
    /// # Errors
    /// [`CoreError`]: a probability is out of range, or the simulation stops.
    pub fn new(
        core: &'a mut dyn Core,
        stalls: &StreamStalls,
        hang_limit: u64,
    ) -> Result<Self, CoreError> {
        for (stream, value) in [
            ("program", stalls.program),
            ("weight", stalls.weight),
            ("input", stalls.input),
            ("result", stalls.result),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(CoreError::Probability { stream, value });
            }
        }
        reset(core)?;
        Ok(CoreDriver {
            core,
            stalls: *stalls,
            rng: ChaCha8Rng::seed_from_u64(stalls.seed),
            hang_limit,
        })
    }

    /// Resets the core in whatever it does, and clears its counters. Memories keep what they hold, so programs and
    /// resident weights need not be loaded again.
    ///
    /// # Errors
    /// [`CoreError::Simulator`] when the simulation cannot go on.
    pub fn reset(&mut self) -> Result<(), CoreError> {
        Ok(reset(self.core)?)
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<CoreOutputs, CoreError> {
        Ok(self.core.step(inputs)?.clone())
    }

    fn stalls(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }

    /// Sends all packets of a program.
    ///
    /// # Errors
    /// [`CoreError`]: the core refuses one, hangs, or stops.
    pub fn load(&mut self, program: &Program) -> Result<(), CoreError> {
        for packet in program.packets() {
            let words = packet.stream();
            self.send(&words)?;
        }
        // An error stands in the second cycle after the last word.
        for _ in 0..3 {
            let outputs = self.step(&CoreInputs::default())?;
            self.check(&outputs)?;
        }
        Ok(())
    }

    /// Sends one packet of the program stream.
    ///
    /// # Errors
    /// As [`CoreDriver::load`].
    pub fn send(&mut self, packet: &[u32]) -> Result<(), CoreError> {
        let (mut sent, mut idle) = (0, 0);
        while sent < packet.len() {
            let stalled = self.stalls(self.stalls.program);
            let inputs = CoreInputs {
                program: Some((packet[sent], sent + 1 == packet.len())).filter(|_| !stalled),
                ..CoreInputs::default()
            };
            let outputs = self.step(&inputs)?;
            self.check(&outputs)?;
            let moves = !stalled && outputs.program_ready;
            sent += usize::from(moves);
            idle = self.idle(idle, moves)?;
        }
        Ok(())
    }

    fn check(&self, outputs: &CoreOutputs) -> Result<(), CoreError> {
        match outputs.error {
            0 => Ok(()),
            code => Err(CoreError::Code {
                cycle: self.core.cycle(),
                code,
            }),
        }
    }

    fn idle(&self, idle: u64, moves: bool) -> Result<u64, CoreError> {
        let idle = if moves { 0 } else { idle + 1 };
        if idle > self.hang_limit {
            return Err(CoreError::Hang {
                cycles: self.hang_limit,
            });
        }
        Ok(idle)
    }

    /// Runs an entry once for each input; an entry that takes none, once.
    ///
    /// # Errors
    /// [`CoreError`]: an input does not fit, the core reports an error, hangs, or gives too few or too many values.
    pub fn run(&mut self, entry: &Entry, inputs: &[Tensor]) -> Result<CoreRun, CoreError> {
        let runs = if entry.takes_input() { inputs.len() } else { 1 };
        let count = u16::try_from(runs).ok().filter(|runs| *runs > 0);
        let count = count.ok_or(CoreError::Runs(runs))?;
        let beats: Vec<Beats> = inputs
            .iter()
            .filter(|_| entry.takes_input())
            .map(|input| entry.input_beats(input))
            .collect::<Result<_, _>>()?;
        let weights = (0..runs).flat_map(|_| &entry.weights);
        let start = Start {
            address: entry.address,
            runs: count,
        };
        let (values, cycles) = self.flow(start, Source::new(weights), Source::new(&beats))?;
        let expected = entry.result_values() * runs as u64;
        if values.len() as u64 != expected {
            return Err(CoreError::Results {
                found: values.len() as u64,
                runs,
                expected,
            });
        }
        let per_run = entry.result_values() as usize;
        let tensors = (0..runs)
            .map(|run| entry.unpack(&values[run * per_run..][..per_run]))
            .collect::<Result<_, _>>()?;
        Ok(CoreRun { tensors, cycles })
    }

    /// Starts, streams and gathers until the core is done.
    fn flow(
        &mut self,
        start: Start,
        mut weights: Source<'_>,
        mut inputs: Source<'_>,
    ) -> Result<(Vec<i32>, u64), CoreError> {
        let (mut values, mut cycles, mut idle) = (Vec::new(), 0, 0);
        self.step(&CoreInputs {
            start: Some(start),
            ..CoreInputs::default()
        })?;
        loop {
            let weight = weights.offer().filter(|_| !self.stalls(self.stalls.weight));
            let input = inputs.offer().filter(|_| !self.stalls(self.stalls.input));
            let result_ready = !self.stalls(self.stalls.result);
            let outputs = self.step(&CoreInputs {
                weight,
                input,
                result_ready,
                ..CoreInputs::default()
            })?;
            self.check(&outputs)?;
            let mut moves = false;
            if weight.is_some() && outputs.weight_ready {
                weights.taken();
                moves = true;
            }
            if input.is_some() && outputs.input_ready {
                inputs.taken();
                moves = true;
            }
            if let Some(result) = outputs.result.filter(|_| result_ready) {
                values.extend(result.values.into_iter().flatten());
                moves = true;
            }
            cycles += u64::from(outputs.busy);
            if outputs.done {
                return Ok((values, cycles));
            }
            idle = self.idle(idle, moves)?;
        }
    }

    /// The performance counters: of each layer, the [`COUNTERS`] causes.
    ///
    /// # Errors
    /// [`CoreError`]: the simulation stops.
    pub fn counters(&mut self, design: &AcceleratorDesign) -> Result<Vec<[u32; 8]>, CoreError> {
        // The last counts are written two cycles after their own.
        for _ in 0..3 {
            self.step(&CoreInputs::default())?;
        }
        let mut layers = vec![[0; COUNTERS as usize]; design.config().layers as usize];
        for layer in 0..design.config().layers {
            for cause in 0..COUNTERS {
                let inputs = CoreInputs {
                    counter_address: layer * COUNTERS + cause,
                    ..CoreInputs::default()
                };
                self.step(&inputs)?;
                let value = self.step(&inputs)?.counter_value;
                layers[layer as usize][cause as usize] = value;
            }
        }
        Ok(layers)
    }
}
