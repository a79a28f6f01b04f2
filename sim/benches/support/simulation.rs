//! The array's simulators on one stimulus, and `run()`: cycles per second beside the Verilated RTL.

use super::limit::{COUNTED, Limit};
use super::{rounded, shortest_times, single_thread, table};
use std::hint::black_box;
use std::time::Duration;
use xnorforge_hdl::{ArrayConfig, Design};
use xnorforge_sim::verilator::{ArrayOptions, VerilatedArray, Verilator};
use xnorforge_sim::{
    Beat, Encoding, Gemm, GemmShape, Inputs, Lowered, Model, Precision, Simulator, run,
};

/// Cycles of one measured batch of `step()`.
pub const STEPS: u64 = 1024;
/// Turns of all simulators.
const ROUNDS: usize = 50;

/// Rows, columns and lanes of the arrays on the page; all else as in the preset `small`.
const SIZES: [(u32, u32, u32); 4] = [(4, 4, 64), (8, 8, 64), (16, 16, 256), (32, 32, 256)];

/// The array of a preset.
pub fn design(preset: &str) -> Design {
    ArrayConfig::preset(preset)
        .and_then(|config| config.validate())
        .expect("presets are legal")
}

/// A product of 2-bit operands.
pub fn gemm(rows: u64, columns: u64, elements: u64) -> Gemm {
    let shape = GemmShape {
        rows,
        columns,
        elements,
        activation: Precision::new(Encoding::Bipolar, 2),
        weight: Precision::new(Encoding::Signed, 2),
        classes: 1,
    };
    Gemm::random(&shape, 1).expect("the shape is legal")
}

/// The Verilated RTL of a design, as it ships, with the flags that run fastest.
pub fn rtl(design: &Design) -> VerilatedArray {
    let package = xnorforge_hdl::generate(design).expect("presets can be emitted");
    let verilator = Verilator::find().expect("Verilator and g++ are installed (make setup)");
    let files: Vec<_> = package
        .simulation_files()
        .map(|f| (f.name.clone(), f.text.clone()))
        .collect();
    VerilatedArray::new(&verilator, design, &files, &ArrayOptions::default())
        .expect("the RTL builds")
}

/// A simulator in the middle of an endless stream of tiles.
pub struct Stream<S> {
    simulator: S,
    beats: Vec<Beat>,
    next: usize,
}

impl<S: Simulator> Stream<S> {
    /// Of a stream of 2-bit tiles of its own array.
    pub fn new(design: &Design, simulator: S) -> Self {
        let c = design.config();
        let gemm = gemm(
            2 * u64::from(c.rows),
            c.columns.into(),
            16 * u64::from(c.lanes),
        );
        let lowered = Lowered::new(design, &gemm).expect("the product fits the presets");
        Stream {
            simulator,
            beats: lowered.beats(&lowered.plan().pass(0)).collect(),
            next: 0,
        }
    }

    /// Simulates some cycles.
    pub fn steps(&mut self, cycles: u64) {
        for _ in 0..cycles {
            let inputs = Inputs {
                operand: Some(&self.beats[self.next]),
                result_ready: true,
                ..Inputs::default()
            };
            let outputs = self.simulator.step(&inputs).expect("it never stops");
            if outputs.operand_ready {
                self.next += 1;
                if self.next == self.beats.len() {
                    self.next = 0;
                }
            }
            black_box(outputs);
        }
    }
}

impl Stream<Model> {
    /// Simulates some cycles in which nothing is offered: what a cycle costs beside the operands' work.
    pub fn idle_steps(&mut self, cycles: u64) {
        for _ in 0..cycles {
            let inputs = Inputs {
                result_ready: true,
                ..Inputs::default()
            };
            black_box(self.simulator.step(&inputs).expect("it never stops"));
        }
    }
}

/// The product that `run()` is measured with, and its cycles on a design.
pub fn run_product(design: &Design) -> (Gemm, u64) {
    let gemm = gemm(512, 256, 4096);
    let cycles = run(design, &gemm).expect("the product fits").cycles.cycles;
    (gemm, cycles)
}

/// Measures arrays of several sizes and gives the section of the page.
pub fn section() -> String {
    let arrays = SIZES.map(|(rows, columns, lanes)| {
        let config = ArrayConfig {
            rows,
            columns,
            lanes,
            ..ArrayConfig::default()
        };
        config.validate().expect("legal")
    });
    let rows: Vec<Vec<String>> =
        single_thread().install(|| arrays.iter().flat_map(rows_of).collect());
    let head = [
        "array",
        "simulator",
        "times the RTL",
        "operation pairs/s by the popcount limit",
        "operation pairs/s",
        "cycles/s",
    ];
    format!(
        "### Cycles per second by array size\n\nBit-serial, 2-bit operands, one thread; `step()` and the Verilated RTL on the \
         same stream of tiles. \"Nothing offered\" is what a cycle costs beside the operands' work.\n\n{}",
        table(&head, &rows).replacen("|---|--:|", "|---|---|", 1)
    )
}

/// The simulators of one array, on a thread that never waits for another.
fn rows_of(design: &Design) -> Vec<Vec<String>> {
    let c = design.config();
    let limit = Limit::new();
    let mut stream = Stream::new(design, Model::new(design));
    let mut idle = Stream::new(design, Model::new(design));
    let mut verilated = Stream::new(design, rtl(design));
    let (product, cycles) = run_product(design);
    let mut jobs: [&mut dyn FnMut(); 6] = [
        &mut || verilated.steps(STEPS),
        &mut || stream.steps(STEPS),
        &mut || {
            black_box(run(design, &product).expect("it fits"));
        },
        &mut || limit.count(),
        &mut || limit.ports(),
        &mut || idle.idle_steps(STEPS),
    ];
    let times = shortest_times(ROUNDS, &mut jobs);
    let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    let limit = rate(64 * COUNTED, times[3].min(times[4]));
    let pairs = f64::from(c.rows * c.columns * c.lanes);
    let rtl = rate(STEPS, times[0]);
    [
        ("Verilated RTL", STEPS, times[0]),
        ("`step()`", STEPS, times[1]),
        ("`step()`, nothing offered", STEPS, times[5]),
        ("`run()`", cycles, times[2]),
    ]
    .into_iter()
    .map(|(name, cycles, time)| {
        let rate = rate(cycles, time);
        // Cycles without operands compute nothing.
        let pairs = if name.ends_with("offered") {
            0.0
        } else {
            pairs
        };
        vec![
            format!("{} x {} x {}", c.rows, c.columns, c.lanes),
            name.to_owned(),
            rounded(rate / rtl),
            rounded(rate * pairs / limit),
            rounded(rate * pairs),
            rounded(rate),
        ]
    })
    .collect()
}
