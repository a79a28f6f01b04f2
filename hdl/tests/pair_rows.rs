//! Pair rows: every structure counts what its one-line specification says, for all shapes and sizes.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::process::Command;
use xnorforge_hdl::fabric::pair_rows::Finish;
use xnorforge_hdl::fabric::seven_series;
use xnorforge_hdl::fabric::{
    Accumulator, Bit, Controls, Dialect, Heap, Item, Netlist, PAIR_TABLE, Simulation, Source,
    pair_rows, primitives,
};

/// Bits of four operand pins: for each (group, plane, pair) where they stand in the input.
struct Operands {
    heap: Heap,
    activation: Vec<Vec<Bit>>,
    weight: Vec<Vec<Bit>>,
    lanes: u32,
}

impl Operands {
    fn new(netlist: &mut Netlist, heap: Heap, lanes: u32) -> Self {
        let mut ports = |name: &str, count: u32| -> Vec<Vec<Bit>> {
            (0..count)
                .map(|m| netlist.input(&format!("{name}{m}"), lanes as usize))
                .collect()
        };
        Operands {
            heap,
            activation: ports("activation", heap.groups),
            weight: ports("weight", heap.planes),
            lanes,
        }
    }

    fn pins(&self, group: u32, plane: u32, pair: u32) -> [Bit; 4] {
        let (a, w) = (
            &self.activation[group as usize],
            &self.weight[plane as usize],
        );
        let second = pair + self.heap.pairs;
        let (a2, w2) = if second < self.lanes {
            (a[second as usize], w[second as usize])
        } else {
            (Bit::ZERO, Bit::ONE)
        };
        [a[pair as usize], w[pair as usize], a2, w2]
    }

    /// All bits, in the order in which they were made.
    fn bits(&self) -> Vec<Bit> {
        let words = self.activation.iter().chain(&self.weight);
        words.flatten().copied().collect()
    }
}

/// Pair rows with their operands at ports: a count (output `count`) or an accumulator (output `sum`).
struct Built {
    netlist: Netlist,
    operands: Operands,
    controls: Controls,
    result: Vec<Bit>,
    arrival: Vec<u32>,
    latency: u32,
}

impl Built {
    fn new(heap: Heap, lanes: u32, finish: Finish) -> Self {
        let mut netlist = Netlist::new();
        let [advance, accumulate, first, clear] =
            ["advance", "accumulate", "first", "clear"].map(|name| netlist.input(name, 1)[0]);
        let controls = Controls {
            advance,
            accumulate,
            first,
            clear,
            shift: Vec::new(),
        };
        let operands = Operands::new(&mut netlist, heap, lanes);
        let source = Source {
            pins: &|m, p, i| operands.pins(m, p, i),
            tables: &vec![PAIR_TABLE; heap.planes as usize],
        };
        let (result, arrival, latency) = match finish {
            Finish::Count => {
                let counted = pair_rows::count(&mut netlist, &source, &heap, advance);
                netlist.output("count", &counted.count);
                (counted.count, counted.arrival, counted.latency)
            }
            Finish::Accumulate { width } => {
                let accumulator = Accumulator {
                    high_width: width,
                    low_width: 0,
                    amounts: Vec::new(),
                };
                let unit = pair_rows::unit(&mut netlist, &source, &heap, &controls, &accumulator);
                netlist.output("sum", &unit.sum);
                (unit.sum, unit.arrival, unit.latency)
            }
        };
        Built {
            netlist,
            operands,
            controls,
            result,
            arrival,
            latency,
        }
    }
}

fn heap(groups: u32, planes: u32, lanes: u32) -> Heap {
    Heap {
        groups,
        planes,
        pairs: lanes.div_ceil(2),
    }
}

/// Values of the operands in one beat, 64 stimuli.
type Beat = Vec<u64>;

/// What a beat counts in each stimulus.
fn specification(operands: &Operands, ports: &[Bit], beat: &Beat) -> [u64; 64] {
    let value = |bit: Bit| match bit {
        Bit::ZERO => 0,
        Bit::ONE => !0,
        _ => beat[ports.binary_search(&bit).unwrap()],
    };
    let Heap {
        groups,
        planes,
        pairs,
    } = operands.heap;
    let mut count = [0u64; 64];
    for m in 0..groups {
        for p in 0..planes {
            for i in 0..pairs {
                let [a1, w1, a2, w2] = operands.pins(m, p, i).map(value);
                let (x1, x2, o) = (!(a1 ^ w1), !(a2 ^ w2), a1 ^ a2);
                let b = (x1 & x2) | (o & (x1 | x2));
                for (t, count) in count.iter_mut().enumerate() {
                    *count += (b >> t & 1) << (m + p);
                }
            }
        }
    }
    count
}

/// Beats of random operands, all zeros, all ones, and equal words among them.
fn beats(rng: &mut ChaCha8Rng, ports: &[Bit], count: usize) -> Vec<Beat> {
    (0..count)
        .map(|b| {
            ports
                .iter()
                .map(|_| match b % 4 {
                    0 => 0,
                    1 => !0,
                    _ => rng.next_u64() | if b % 8 == 3 { rng.next_u64() } else { 0 },
                })
                .collect()
        })
        .collect()
}

/// Runs `netlist` with `advance` at random; each port bit carries the beat that its pair's arrival asks for. Calls `check` with
/// the number of the beat that is complete.
struct Runner {
    simulation: Simulation,
    ports: Vec<Bit>,
    arrival: Vec<u32>,
    beats: Vec<Beat>,
    cycle: usize,
}

impl Runner {
    fn new(built: &Built, beats: Vec<Beat>) -> Self {
        let operands = &built.operands;
        let ports = operands.bits();
        let lanes = operands.lanes as usize;
        let arrival = (0..ports.len())
            .map(|i| built.arrival[(i % lanes) % operands.heap.pairs as usize])
            .collect();
        Runner {
            simulation: Simulation::new(&built.netlist).unwrap(),
            ports,
            arrival,
            beats,
            cycle: 0,
        }
    }

    /// Presents the operands of this cycle.
    fn present(&mut self) {
        for (i, bit) in self.ports.iter().enumerate() {
            let beat = self.cycle.checked_sub(self.arrival[i] as usize);
            let value = beat.and_then(|b| self.beats.get(b)).map_or(0, |b| b[i]);
            self.simulation.set(*bit, value);
        }
    }
}

fn check_count(groups: u32, planes: u32, lanes: u32) {
    let built = Built::new(heap(groups, planes, lanes), lanes, Finish::Count);
    let operands = &built.operands;
    let shape = operands.heap;
    assert_eq!(built.result.len(), shape.count_width() as usize);
    assert_eq!(built.arrival.len(), shape.pairs as usize);
    assert!(built.arrival.iter().all(|a| *a < built.latency));
    let seed = u64::from(groups * 100_000 + planes * 10_000 + lanes);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ports = operands.bits();
    let all = beats(&mut rng, &ports, 8);
    let expected: Vec<[u64; 64]> = all
        .iter()
        .map(|b| specification(operands, &ports, b))
        .collect();
    let mut runner = Runner::new(&built, all);
    while runner.cycle < 8 + built.latency as usize {
        let go = rng.random_bool(0.8);
        runner.present();
        let advance = built.controls.advance;
        runner.simulation.set(advance, if go { !0 } else { 0 });
        runner.simulation.settle();
        if let Some(expected) = runner
            .cycle
            .checked_sub(built.latency as usize)
            .map(|b| expected[b])
        {
            for (t, expected) in (0..).zip(expected) {
                let count = runner.simulation.number(&built.result, t);
                assert_eq!(
                    count, expected,
                    "({groups},{planes}) lanes {lanes} cycle {}, stimulus {t}",
                    runner.cycle
                );
            }
        }
        runner.simulation.clock();
        runner.cycle += usize::from(go);
    }
}

/// The accumulator that follows a count, 64 stimuli.
fn check_accumulator(groups: u32, planes: u32, lanes: u32, more: u32) {
    let shape = heap(groups, planes, lanes);
    let width = shape.count_width() + more;
    let built = Built::new(shape, lanes, Finish::Accumulate { width });
    let (operands, controls) = (&built.operands, &built.controls);
    assert_eq!(built.result.len(), width as usize);
    assert!(built.arrival.iter().all(|a| *a <= built.latency));
    let seed = u64::from(groups * 100_000 + planes * 10_000 + lanes + 7 * more);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ports = operands.bits();
    let all = beats(&mut rng, &ports, 12);
    let expected: Vec<[u64; 64]> = all
        .iter()
        .map(|b| specification(operands, &ports, b))
        .collect();
    let mut runner = Runner::new(&built, all);
    let mask = (1u64 << width) - 1;
    let mut sum: Option<[u64; 64]> = None;
    while runner.cycle < 12 + built.latency as usize {
        let go = rng.random_bool(0.8);
        let beat = runner.cycle.checked_sub(built.latency as usize);
        // A bubble counts nothing, but the first beat must start a tile.
        let valid = go && beat.is_some_and(|b| b == 0 || rng.random_bool(0.8));
        let starts = if beat == Some(0) {
            !0
        } else {
            rng.next_u64() & rng.next_u64()
        };
        runner.present();
        let word = |b: bool| if b { !0 } else { 0 };
        runner.simulation.set(controls.advance, word(go));
        runner.simulation.set(controls.accumulate, word(valid));
        runner.simulation.set(controls.first, starts);
        runner.simulation.set(controls.clear, starts & word(valid));
        runner.simulation.settle();
        if let Some(sum) = sum {
            for (t, sum) in (0..).zip(sum) {
                assert_eq!(
                    runner.simulation.number(&built.result, t),
                    sum,
                    "({groups},{planes}) lanes {lanes}"
                );
            }
        }
        if let (true, Some(beat)) = (valid, beat) {
            let mut next = sum.unwrap_or([0; 64]);
            for (t, next) in next.iter_mut().enumerate() {
                let kept = if starts >> t & 1 == 1 { 0 } else { *next };
                *next = (kept + expected[beat][t]) & mask;
            }
            sum = Some(next);
        }
        runner.simulation.clock();
        runner.cycle += usize::from(go);
    }
}

/// A row unit's bits: pins (a1, a2, mode0, mode1), another table for each plane.
fn check_tables(groups: u32, lanes: u32, tables: &[u16]) {
    let shape = heap(groups, tables.len() as u32, lanes);
    let mut netlist = Netlist::new();
    let advance = netlist.input("advance", 1)[0];
    let pins: Vec<Vec<Bit>> = (0..shape.groups * shape.pairs)
        .map(|i| netlist.input(&format!("pair{i}"), 4))
        .collect();
    let at = |m: u32, i: u32| {
        let mut bits: [Bit; 4] = pins[(m * shape.pairs + i) as usize][..].try_into().unwrap();
        if lanes % 2 == 1 && i + 1 == shape.pairs {
            bits[1] = Bit::ZERO;
        }
        bits
    };
    let source = Source {
        pins: &|m, _, i| at(m, i),
        tables,
    };
    let counted = pair_rows::count(&mut netlist, &source, &shape, advance);
    netlist.output("count", &counted.count);
    let mut simulation = Simulation::new(&netlist).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(groups * 1000 + lanes));
    simulation.set(advance, !0);
    // Operands that stay as long as the latency need no skew.
    for _ in 0..4 {
        let mut expected = [0u64; 64];
        for bit in pins.iter().flatten() {
            simulation.set(*bit, rng.next_u64());
        }
        for (t, expected) in (0..64u32).zip(&mut expected) {
            for (m, i) in (0..groups).flat_map(|m| (0..shape.pairs).map(move |i| (m, i))) {
                let index = simulation.number(&at(m, i), t);
                for (p, table) in tables.iter().enumerate() {
                    *expected += u64::from(table >> index & 1) << (m as usize + p);
                }
            }
        }
        simulation.settle();
        (0..counted.latency).for_each(|_| simulation.clock());
        for (t, expected) in (0..).zip(expected) {
            let count = simulation.number(&counted.count, t);
            assert_eq!(
                count, expected,
                "{groups} groups, lanes {lanes}, {tables:04x?}"
            );
        }
    }
}

#[test]
fn counts_any_tables() {
    // Planes of a row unit for two weight branches: 3 * (a1 ^ a2), plus a1 + a2, or 6 * not (a1 & a2).
    let planes: Vec<u16> = (0..3)
        .map(|p| {
            (0..16u16)
                .filter(|at| {
                    let (a, b, mode) = (at & 1, at >> 1 & 1, at >> 2);
                    let value = match mode {
                        0 => 3 * (a ^ b),
                        1 => 3 * (a ^ b) + a + b,
                        _ => 6 * (1 ^ (a & b)),
                    };
                    value >> p & 1 == 1
                })
                .fold(0, |table, at| table | 1 << at)
        })
        .collect();
    for lanes in [1, 2, 3, 16, 31, 64] {
        for groups in [1, 2, 4] {
            check_tables(groups, lanes, &planes);
            check_tables(groups, lanes, &[0x8000, 0x7fff, 0, 0xffff, 0x1234]);
        }
    }
}

/// Every structure fits the device's slices, takes the sites that its choice says, and has no register whose enable is not
/// `advance` but the accumulator's.
#[test]
fn structures_fit_slices_and_take_the_sites_that_they_say() {
    for (groups, planes, lanes) in [
        (1, 1, 1),
        (1, 1, 33),
        (2, 1, 64),
        (2, 2, 15),
        (3, 5, 8),
        (4, 4, 32),
        (8, 8, 10),
    ] {
        let shape = heap(groups, planes, lanes);
        let width = shape.count_width() + 9;
        for finish in [Finish::Count, Finish::Accumulate { width }] {
            let built = Built::new(shape, lanes, finish);
            let (netlist, controls) = (&built.netlist, &built.controls);
            let accumulated = match finish {
                Finish::Count => 0,
                Finish::Accumulate { width } => width as usize,
            };
            let cost = seven_series::place(netlist).unwrap().cost();
            let choice = pair_rows::choice(&shape, finish);
            // A pair bit without a host may still share a site with another one: only with few pins.
            assert!(
                u64::from(cost.sites) <= choice.chosen.sites,
                "{shape:?} {finish:?}: {cost:?}, {choice:?}"
            );
            assert!(
                choice
                    .alternatives
                    .iter()
                    .all(|a| a.sites + a.register_sites
                        >= choice.chosen.sites + choice.chosen.register_sites)
            );
            let others: usize = netlist
                .items()
                .iter()
                .map(|item| match item {
                    Item::Register { q, enable, .. } if *enable != controls.advance => q.len(),
                    _ => 0,
                })
                .sum();
            assert_eq!(others, accumulated, "{shape:?} {finish:?}");
        }
    }
}

/// The one-line specification in Verilog: every pair's weighted sum, late by what is left of the latency, added up.
fn specification_verilog(built: &Built) -> String {
    let operands = &built.operands;
    let Heap {
        groups,
        planes,
        pairs,
    } = operands.heap;
    let name = |bit: Bit| built.netlist.name(bit);
    let mut text = String::new();
    let mut terms = Vec::new();
    for i in 0..pairs {
        let mut sum = Vec::new();
        for (m, p) in (0..groups).flat_map(|m| (0..planes).map(move |p| (m, p))) {
            let [a1, w1, a2, w2] = operands.pins(m, p, i).map(name);
            let (x1, x2, o) = (
                format!("{{{a1} ~^ {w1}}}"),
                format!("{{{a2} ~^ {w2}}}"),
                format!("({a1} ^ {a2})"),
            );
            sum.push(format!(
                "((32'd0 + (({x1} & {x2}) | ({o} & ({x1} | {x2})))) << {})",
                m + p
            ));
        }
        let _ = writeln!(text, "  wire [31:0] pair_{i}_0 = {};", sum.join(" + "));
        let late = built.latency - built.arrival[i as usize];
        for t in 0..late {
            let next = t + 1;
            let _ = writeln!(
                text,
                "  reg [31:0] pair_{i}_{next};\n  always @(posedge clock) pair_{i}_{next} <= pair_{i}_{t};"
            );
        }
        terms.push(format!("pair_{i}_{late}"));
    }
    let _ = writeln!(text, "  wire [31:0] expected = {};", terms.join(" + "));
    text
}

/// Proves a netlist with Yosys: `check` declares `good`, which must be 1 from cycle `skip` on, whatever the operands were.
fn prove(netlist: &Netlist, check: &str, flags: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let (mut header, mut pins, mut wires) = (
        vec!["input clock".to_owned()],
        vec![".clock(clock)".to_owned()],
        String::new(),
    );
    let mut free = vec!["input clock".to_owned()];
    for (ports, direction) in [(netlist.inputs(), "input"), (netlist.outputs(), "output")] {
        for port in ports {
            let declared = format!("[{}:0] {}", port.bits.len() - 1, port.name);
            header.push(format!("{direction} {declared}"));
            pins.push(format!(".{0}({0})", port.name));
            match direction {
                "input" if port.name == "advance" => {
                    wires.push_str("  wire [0:0] advance = 1'b1;\n")
                }
                "input" if port.name == "clear" => {
                    wires.push_str("  wire [0:0] clear = accumulate & first;\n")
                }
                "input" => free.push(format!("input {declared}")),
                _ => {
                    let _ = writeln!(wires, "  wire {declared};");
                }
            }
        }
    }
    let _ = writeln!(
        text,
        "module dut ({});\n{}endmodule",
        header.join(", "),
        netlist.verilog_body(Dialect::SevenSeries)
    );
    let _ = writeln!(
        text,
        "module top ({}, output good);\n{wires}  dut dut ({});\n{check}endmodule",
        free.join(", "),
        pins.join(", ")
    );
    std::fs::write(folder.path().join("proof.v"), text).unwrap();
    let mut files = vec!["proof.v"];
    for (name, model) in primitives::XILINX {
        std::fs::write(folder.path().join(name), model).unwrap();
        files.push(name);
    }
    let script = format!(
        "read_verilog {}; hierarchy -top top; proc; flatten; setattr -unset init w:*; opt -full; techmap; opt -fast; sat -verify -prove good 1 {flags} top",
        files.join(" ")
    );
    let output = Command::new("yosys")
        .args(["-Q", "-T", "-p", &script])
        .current_dir(folder.path())
        .output()
        .expect("Yosys is installed (apt-get install yosys)");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}\n{log}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        log.contains("SUCCESS!") || log.contains("Induction step proven"),
        "{log}"
    );
}

/// From any state: after `latency` cycles the count is that of the specification.
fn prove_count(groups: u32, planes: u32, lanes: u32) {
    let built = Built::new(heap(groups, planes, lanes), lanes, Finish::Count);
    let mut check = specification_verilog(&built);
    check.push_str("  assign good = count == expected;\n");
    let flags = format!("-seq {} -prove-skip {}", built.latency + 1, built.latency);
    prove(&built.netlist, &check, &flags);
}

/// By induction: sums that are equal stay equal.
fn prove_accumulator(groups: u32, planes: u32, lanes: u32, more: u32) {
    let shape = heap(groups, planes, lanes);
    let width = shape.count_width() + more;
    let built = Built::new(shape, lanes, Finish::Accumulate { width });
    let mut check = specification_verilog(&built);
    let _ = write!(
        check,
        "  reg [{0}:0] model;\n  always @(posedge clock) if (accumulate) model <= (first ? {width}'d0 : model) + expected[{0}:0];\n  assign good = sum == model;\n",
        width - 1
    );
    let flags = format!("-tempinduct -set-init-zero -maxsteps {}", built.latency + 3);
    prove(&built.netlist, &check, &flags);
}

#[test]
fn counts_are_proven() {
    for (groups, planes, lanes) in [
        (1, 1, 1),
        (1, 1, 9),
        (2, 1, 8),
        (1, 2, 7),
        (2, 2, 4),
        (4, 2, 2),
        (2, 4, 3),
        (3, 3, 2),
        (3, 4, 1),
    ] {
        prove_count(groups, planes, lanes);
    }
}

#[test]
fn accumulators_are_proven() {
    for (groups, planes, lanes, more) in [(1, 1, 2, 0), (2, 1, 8, 3), (2, 2, 6, 5), (4, 4, 2, 4)] {
        prove_accumulator(groups, planes, lanes, more);
    }
}

const SHAPES: [(u32, u32); 7] = [(2, 1), (1, 2), (2, 2), (4, 2), (2, 4), (4, 4), (8, 8)];

#[test]
fn counts_every_shape() {
    for groups in 1..=8 {
        for planes in 1..=8 {
            for lanes in [1, 4, 11] {
                check_count(groups, planes, lanes);
            }
        }
    }
}

#[test]
fn counts_every_small_number_of_lanes() {
    for lanes in 1..=70 {
        check_count(2, 1, lanes);
        check_count(3, 2, lanes);
    }
}

#[test]
fn counts_many_lanes() {
    for (groups, planes) in SHAPES {
        for lanes in [64, 127, 128, 129] {
            check_count(groups, planes, lanes);
        }
    }
}

#[test]
fn accumulates_every_shape() {
    for groups in 1..=8 {
        for planes in 1..=8 {
            for lanes in [2, 9] {
                check_accumulator(groups, planes, lanes, (groups + planes) % 5);
            }
        }
    }
    for (groups, planes) in SHAPES {
        check_accumulator(groups, planes, 64, 8);
    }
}

#[test]
#[ignore]
fn soak_counts_and_accumulates_the_largest() {
    for (groups, planes) in SHAPES {
        for lanes in [256, 1024] {
            check_count(groups, planes, lanes);
            check_accumulator(groups, planes, lanes, 9);
        }
    }
}
