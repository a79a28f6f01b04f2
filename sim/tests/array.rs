//! `VerilatedArray`, lockstep and the waveform of a divergence, on a module that has the array's ports but only
//! hands out, bit by bit, what came in at them. Verilator and g++ must be installed.

mod common;

use common::verilator;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;
use xnorforge_hdl::emit::{Port, PortDirection};
use xnorforge_hdl::{ArrayConfig, Design};
use xnorforge_sim::verilator::{
    ArrayOptions, TraceWindow, VerilatedArray, VerilatedArrayError, array_ports,
};
use xnorforge_sim::wave::{WaveError, divergence_waveform};
use xnorforge_sim::{
    Beat, ConstantWrite, Divergence, Inputs, Lockstep, Outputs, RowMode, Simulator, SimulatorError,
};

/// The operand ports in the order in which the echo hands them out, the lowest bits first.
const ECHOED: [&str; 11] = [
    "operand_first",
    "operand_last",
    "operand_shift",
    "operand_row_mode",
    "operand_activation",
    "operand_weight",
    "operand_align",
    "operand_result_shift",
    "operand_entry",
    "constant_entry_seen",
    "constant_value_seen",
];

fn width(design: &Design, name: &str) -> u32 {
    let name = name.trim_end_matches("_seen");
    let port = array_ports(design).into_iter().find(|p| p.name == name);
    port.unwrap().width
}

/// Verilog of a module with the array's ports: it takes a beat, then gives all bits of it and of the constant written
/// last as results. `twist` is put in the place of the value that it gives.
fn echo(design: &Design, twist: &str) -> Vec<(String, String)> {
    let top = design.top_name();
    let ports: Vec<String> = array_ports(design)
        .iter()
        .map(
            |Port {
                 name,
                 direction,
                 width,
             }| {
                let direction = match direction {
                    PortDirection::Input => "input ",
                    PortDirection::Output => "output",
                };
                format!("    {direction} wire [{}:0] {name}", width - 1)
            },
        )
        .collect();
    let step = width(design, "result_value");
    let bits: u32 = ECHOED.iter().map(|name| width(design, name)).sum();
    let steps = bits.div_ceil(step);
    let echoed: Vec<&str> = ECHOED.iter().rev().copied().collect();
    let text = format!(
        "module {top} (\n{ports}\n);
    reg [{seen}:0] seen;
    reg [15:0] left;
    reg [15:0] beats;
    reg [{entry}:0] constant_entry_seen;
    reg [{value}:0] constant_value_seen;
    assign operand_ready = left == 16'd0;
    assign result_valid = left != 16'd0;
    assign result_last = left == 16'd1;
    assign result_value = {twist};
    wire unused = &{{1'b0, beats}};
    always @(posedge clock) begin
        if (constant_write) begin
            constant_entry_seen <= constant_entry;
            constant_value_seen <= constant_value;
        end
        if (reset) begin
            left <= 16'd0;
            beats <= 16'd0;
        end else if (operand_valid && operand_ready) begin
            seen <= {{ {zeros}'d0, {echoed} }};
            left <= 16'd{steps};
            beats <= beats + 16'd1;
        end else if (result_valid && result_ready) begin
            seen <= seen >> {step};
            left <= left - 16'd1;
        end
    end
endmodule\n",
        ports = ports.join(",\n"),
        seen = steps * step,
        entry = width(design, "constant_entry") - 1,
        value = width(design, "constant_value") - 1,
        zeros = steps * step - bits + 1,
        echoed = echoed.join(", "),
    );
    vec![(format!("{top}.v"), text)]
}

/// The value that a right echo gives.
fn straight(design: &Design) -> String {
    format!("seen[{}:0]", width(design, "result_value") - 1)
}

/// One wrong bit, from the fourth beat on.
fn twisted(design: &Design) -> String {
    format!(
        "{} ^ {{ {}'d0, beats >= 16'd4 }}",
        straight(design),
        width(design, "result_value") - 1
    )
}

/// What the echo does, in Rust, one bit at a time.
struct Echo {
    design: Design,
    seen: Vec<bool>,
    constant: ConstantWrite,
    outputs: Outputs,
    cycle: u64,
}

impl Echo {
    fn new(design: &Design) -> Self {
        Echo {
            design: design.clone(),
            seen: Vec::new(),
            constant: ConstantWrite::default(),
            outputs: Outputs::default(),
            cycle: 0,
        }
    }

    fn take(&mut self, beat: &Beat) {
        let c = self.design.config();
        let mut bits = Vec::new();
        let mut put = |value: u64, width: u32| {
            bits.extend((0..width).map(|bit| value >> bit & 1 == 1));
        };
        put(beat.first.into(), 1);
        put(beat.last.into(), 1);
        let shifts = self.design.shift_amounts.len() as u32;
        put(beat.shift.map_or(0, |index| 1 << index), shifts);
        put(beat.row_mode as u64, 2);
        for words in [&beat.activation, &beat.weight] {
            for branch in words.chunks(c.lanes.div_ceil(64) as usize) {
                for lane in 0..c.lanes {
                    put(branch[lane as usize / 64] >> (lane % 64), 1);
                }
            }
        }
        put(beat.align.into(), self.design.align_width);
        put(beat.result_shift.into(), 2);
        for entry in &beat.entry {
            put((*entry).into(), self.design.entry_width);
        }
        put(self.constant.entry.into(), self.design.entry_width);
        for value in &self.constant.value {
            put(*value as u64, self.design.result_width);
        }
        let step = (c.columns * self.design.result_width) as usize;
        bits.resize(bits.len().next_multiple_of(step), false);
        self.seen = bits;
    }
}

impl Simulator for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        let width = self.design.result_width as usize;
        let step = self.design.config().columns as usize * width;
        self.outputs = Outputs {
            operand_ready: self.seen.is_empty(),
            result_valid: !self.seen.is_empty(),
            result_last: self.seen.len() == step,
            result: self.seen[..step.min(self.seen.len())]
                .chunks(width)
                .map(|bits| {
                    let sign = if bits[width - 1] { -1i64 << width } else { 0 };
                    bits.iter()
                        .rev()
                        .fold(0, |value, bit| value << 1 | i64::from(*bit))
                        | sign
                })
                .collect(),
        };
        match inputs.operand {
            _ if inputs.reset => self.seen.clear(),
            Some(beat) if self.outputs.operand_ready => self.take(beat),
            _ if inputs.result_ready && self.outputs.result_valid => {
                self.seen.drain(..step);
            }
            _ => {}
        }
        if let Some(write) = inputs.constant {
            self.constant = write.clone();
        }
        self.cycle += 1;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}

fn random_words(rng: &mut ChaCha8Rng, branches: u32, lanes: u32) -> Vec<u64> {
    let mut words = Vec::new();
    for _ in 0..branches {
        for first in (0..lanes).step_by(64) {
            words.push(rng.random::<u64>() & (u64::MAX >> (64 - (lanes - first).min(64))));
        }
    }
    words
}

fn random_beat(design: &Design, rng: &mut ChaCha8Rng) -> Beat {
    let c = design.config();
    let shifts = design.shift_amounts.len() as u32;
    Beat {
        first: rng.random(),
        last: true,
        shift: rng.random::<bool>().then(|| rng.random_range(0..shifts)),
        row_mode: [RowMode::Odd, RowMode::OddAndSum, RowMode::NotBoth][rng.random_range(0..3)],
        activation: random_words(rng, c.rows * c.activation_branches, c.lanes),
        weight: random_words(rng, c.columns * c.weight_branches, c.lanes),
        align: rng.random_range(0..1 << design.align_width),
        result_shift: rng.random_range(0..4),
        entry: (0..c.rows)
            .map(|_| rng.random_range(0..c.constant_entries))
            .collect(),
    }
}

fn random_constant(design: &Design, rng: &mut ChaCha8Rng) -> ConstantWrite {
    let c = design.config();
    let half = 1i64 << (design.result_width - 1);
    ConstantWrite {
        entry: rng.random_range(0..c.constant_entries),
        value: (0..c.columns)
            .map(|_| rng.random_range(-half..half))
            .collect(),
    }
}

/// Random beats, constants and stalls; stops at a divergence.
fn exercise(
    simulator: &mut dyn Simulator,
    design: &Design,
    seed: u64,
) -> Result<Option<Divergence>, SimulatorError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut beat = random_beat(design, &mut rng);
    for cycle in 0..2000 {
        let constant =
            (cycle == 1 || rng.random_ratio(1, 10)).then(|| random_constant(design, &mut rng));
        let offered = cycle > 1 && rng.random_ratio(3, 4);
        let inputs = Inputs {
            reset: cycle == 0 || cycle == 1000,
            operand: offered.then_some(&beat),
            constant: constant.as_ref(),
            result_ready: rng.random_ratio(3, 4),
        };
        match simulator.step(&inputs) {
            Err(SimulatorError::Divergence(divergence)) => return Ok(Some(*divergence)),
            Err(error) => return Err(error),
            Ok(outputs) => {
                if offered && outputs.operand_ready {
                    beat = random_beat(design, &mut rng);
                }
            }
        }
    }
    Ok(None)
}

fn design(rows: u32, columns: u32, lanes: u32, branches: (u32, u32)) -> Design {
    let config = ArrayConfig {
        rows,
        columns,
        lanes,
        activation_branches: branches.0,
        weight_branches: branches.1,
        popcount_stages: 1,
        ..ArrayConfig::default()
    };
    config.validate().unwrap()
}

#[test]
fn every_bit_of_every_port_arrives() {
    let seed = 7;
    println!("seed {seed}");
    let verilator = verilator();
    for design in [
        design(1, 1, 1, (1, 1)),
        design(3, 2, 5, (2, 3)),
        design(2, 5, 70, (1, 2)),
        design(2, 3, 128, (2, 1)),
    ] {
        let files = echo(&design, &straight(&design));
        let rtl =
            VerilatedArray::new(&verilator, &design, &files, &ArrayOptions::default()).unwrap();
        let mut pair = Lockstep::new(Echo::new(&design), rtl);
        assert_eq!(exercise(&mut pair, &design, seed).unwrap(), None);
        assert_eq!(pair.right().cycle(), 2000);
    }
}

#[test]
fn a_divergence_gets_a_waveform_of_the_cycles_before_it() {
    let verilator = verilator();
    let design = design(3, 2, 5, (2, 3));
    let files = echo(&design, &twisted(&design));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fault.vcd");
    let run = |trace: Option<TraceWindow>, seed| -> Result<_, VerilatedArrayError> {
        let options = ArrayOptions { seed: 3, trace };
        let rtl = VerilatedArray::new(&verilator, &design, &files, &options)?;
        let mut pair = Lockstep::new(Echo::new(&design), rtl);
        Ok(exercise(&mut pair, &design, seed)?)
    };
    let divergence = run(None, 1).unwrap().unwrap();
    assert_eq!(divergence.signal, "result_value[0]");
    assert_eq!((&*divergence.left.0, &*divergence.right.0), ("echo", "RTL"));
    let window = divergence_waveform(&divergence, 5, &path, |window| run(Some(window), 1)).unwrap();
    assert_eq!(window.last_cycle, divergence.cycle);
    let text = fs::read_to_string(&path).unwrap();
    for port in array_ports(&design) {
        assert!(text.contains(&format!(" {}", port.name)), "{}", port.name);
    }
    let times: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.parse().ok())
        .collect();
    let expected: Vec<u64> = (2 * (divergence.cycle - 5)..=2 * divergence.cycle + 1).collect();
    assert_eq!(times, expected);

    // Another stimulus is another run: that is noticed.
    let other = divergence_waveform(&divergence, 5, &path, |window| run(Some(window), 2));
    assert!(matches!(other, Err(WaveError::NotRepeated { .. })));
    let nowhere = Path::new("/nowhere/fault.vcd");
    let error = divergence_waveform(&divergence, 5, nowhere, |window| run(Some(window), 1));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("/nowhere/fault.vcd")
    );
}

#[test]
fn verilog_of_another_configuration_is_refused() {
    let (wide, narrow) = (design(2, 2, 6, (1, 1)), design(2, 2, 6, (1, 2)));
    let files = echo(&narrow, &straight(&narrow));
    let error = VerilatedArray::new(&verilator(), &wide, &files, &ArrayOptions::default());
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("port `operand_shift` of `xnf_array_r2_c2_l6`"),
        "{message}"
    );
    assert!(message.contains("emit the Verilog again from the same configuration"));
}
