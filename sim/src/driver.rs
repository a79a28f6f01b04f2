//! Drives a simulator through a lowered GEMM: reset, constants, beats, results.
//!
//! Every port can be stalled at random. Stalls change when things happen, never what comes out; a test holds
//! the model to that.

use crate::lower::{Lowered, Pass};
use crate::simulator::{Beat, ConstantWrite, Inputs, Simulator, SimulatorError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How often each port is stalled: probabilities per cycle, drawn anew in every cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StallPlan {
    /// No beat is offered.
    pub operand: f64,
    /// No constant is written.
    pub constant: f64,
    /// No result is taken.
    pub result: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl StallPlan {
    /// No stalls at all.
    pub const NONE: StallPlan = StallPlan {
        operand: 0.0,
        constant: 0.0,
        result: 0.0,
        seed: 0,
    };

    fn check(&self) -> Result<(), DriveError> {
        let ports = [
            ("operand", self.operand),
            ("constant", self.constant),
            ("result", self.result),
        ];
        match ports.into_iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
            None => Ok(()),
            Some((port, value)) => Err(DriveError::Probability { port, value }),
        }
    }
}

impl Default for StallPlan {
    fn default() -> Self {
        StallPlan::NONE
    }
}

/// Why a drive failed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The simulation cannot go on.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// A probability outside 0 up to (not including) 1.
    #[error(
        "stall probability of the {port} port = {value} is out of range: 0 up to, not including, 1; choose a value in that range"
    )]
    Probability {
        /// The port.
        port: &'static str,
        /// What was given.
        value: f64,
    },
    /// `result_last` came with a row that is not a tile's last one, or did not come with it.
    #[error("cycle {cycle}: result_last = {found} with row {row} of a tile of {rows} rows")]
    ResultLast {
        /// Cycle of the simulator.
        cycle: u64,
        /// Row of the tile.
        row: u64,
        /// Rows of a tile.
        rows: u64,
        /// What the simulator gave.
        found: bool,
    },
}

/// What a drive gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driven {
    /// `P x Q` results, row by row.
    pub results: Vec<i64>,
    /// Cycles from the first constant write to the last result, both included, of each pass.
    pub pass_cycles: Vec<u64>,
}

impl Driven {
    /// Cycles of all passes.
    pub fn cycles(&self) -> u64 {
        self.pass_cycles.iter().sum()
    }
}

/// Resets a simulator and runs a lowered GEMM on it.
///
/// # Errors
/// [`DriveError`]: the simulator stops or hangs, `result_last` is wrong, or a probability is.
pub fn drive(
    simulator: &mut dyn Simulator,
    lowered: &Lowered,
    stalls: &StallPlan,
) -> Result<Driven, DriveError> {
    stalls.check()?;
    let reset = Inputs {
        reset: true,
        ..Inputs::default()
    };
    simulator.step(&reset)?;
    drive_next(simulator, lowered, stalls)
}

/// Runs a lowered GEMM on a simulator that has been reset and is empty: after [`drive`], say.
///
/// # Errors
/// As [`drive`].
pub fn drive_next(
    simulator: &mut dyn Simulator,
    lowered: &Lowered,
    stalls: &StallPlan,
) -> Result<Driven, DriveError> {
    stalls.check()?;
    let shape = lowered.plan().shape();
    let mut driver = Driver {
        lowered,
        stalls,
        rng: ChaCha8Rng::seed_from_u64(stalls.seed),
        hang_limit: hang_limit(lowered),
        results: vec![0; (shape.rows * shape.columns) as usize],
    };
    let pass_cycles = lowered
        .plan()
        .passes()
        .map(|pass| driver.pass(simulator, &pass))
        .collect::<Result<_, _>>()?;
    Ok(Driven {
        results: driver.results,
        pass_cycles,
    })
}

/// Cycles without stalls and without progress after which an array can only hang: far more than its latency.
fn hang_limit(lowered: &Lowered) -> u64 {
    let design = lowered.design();
    1000 + 4 * u64::from(design.config().rows + design.latency())
}

struct Driver<'a> {
    lowered: &'a Lowered,
    stalls: &'a StallPlan,
    rng: ChaCha8Rng,
    hang_limit: u64,
    results: Vec<i64>,
}

impl Driver<'_> {
    /// Runs one pass; the array is empty before and after. Gives its cycles.
    fn pass(&mut self, simulator: &mut dyn Simulator, pass: &Pass) -> Result<u64, DriveError> {
        let start = simulator.cycle();
        for write in self.lowered.constant_writes(pass) {
            self.write(simulator, &write)?;
        }
        let rows = u64::from(self.lowered.design().config().rows);
        let result_count = pass.tiles * rows;
        let (mut sent, mut taken, mut idle) = (0, 0, 0);
        let mut beat = Beat::default();
        self.lowered.fill_beat(pass, 0, &mut beat);
        while taken < result_count {
            let offers = sent < pass.beats && !self.stalls(self.stalls.operand);
            let result_ready = !self.stalls(self.stalls.result);
            let cycle = simulator.cycle();
            let outputs = simulator.step(&Inputs {
                operand: offers.then_some(&beat),
                result_ready,
                ..Inputs::default()
            })?;
            let beat_moves = offers && outputs.operand_ready;
            let result_moves = result_ready && outputs.result_valid;
            if result_moves {
                let row = taken % rows;
                if outputs.result_last != (row + 1 == rows) {
                    return Err(DriveError::ResultLast {
                        cycle,
                        row,
                        rows,
                        found: outputs.result_last,
                    });
                }
                self.store(pass, taken / rows, row, &outputs.result);
                taken += 1;
            }
            if beat_moves {
                sent += 1;
                if sent < pass.beats {
                    self.lowered.fill_beat(pass, sent, &mut beat);
                }
            }
            // A cycle that the driver itself stalls says nothing about the array.
            let could_move = result_ready && (offers || sent == pass.beats);
            idle = match (beat_moves || result_moves, could_move) {
                (true, _) => 0,
                (false, true) => idle + 1,
                (false, false) => idle,
            };
            if idle > self.hang_limit {
                return Err(SimulatorError::Hang { cycles: idle }.into());
            }
        }
        Ok(simulator.cycle() - start)
    }

    /// Writes one constant, after as many stalls as the plan draws.
    fn write(
        &mut self,
        simulator: &mut dyn Simulator,
        write: &ConstantWrite,
    ) -> Result<(), DriveError> {
        loop {
            let is_stalled = self.stalls(self.stalls.constant);
            simulator.step(&Inputs {
                constant: (!is_stalled).then_some(write),
                result_ready: true,
                ..Inputs::default()
            })?;
            if !is_stalled {
                return Ok(());
            }
        }
    }

    fn stalls(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }

    /// Keeps the part of a row of results that lies inside P x Q.
    fn store(&mut self, pass: &Pass, tile: u64, row: u64, values: &[i64]) {
        let c = self.lowered.design().config();
        let shape = self.lowered.plan().shape();
        let (row_tile, column_tile) = self.lowered.tile(pass, tile);
        let p = row_tile * u64::from(c.rows) + row;
        if p >= shape.rows {
            return;
        }
        let q = column_tile * u64::from(c.columns);
        let count = u64::from(c.columns).min(shape.columns - q) as usize;
        let start = (p * shape.columns + q) as usize;
        self.results[start..start + count].copy_from_slice(&values[..count]);
    }
}
