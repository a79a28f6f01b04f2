//! Structures of device primitives do what their one-line specifications say: in simulation, and proven with Yosys.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::fabric::seven_series::{self, Matches};
use xnorforge_hdl::fabric::{
    Accumulator, Bit, Controls, Counted, Dialect, Heap, Item, Netlist, PAIR_TABLE, Simulation,
    Source, Unit,
};

/// Operands of a popcount as ports: activations and weights, lanes i and H + i paired.
struct Operands {
    activation: Vec<Bit>,
    weight: Vec<Bit>,
    pairs: usize,
}

impl Operands {
    fn new(net: &mut Netlist, lanes: usize) -> Self {
        Operands {
            activation: net.input("activation", lanes),
            weight: net.input("weight", lanes),
            pairs: lanes.div_ceil(2),
        }
    }

    fn pins(&self, pair: usize) -> [Bit; 4] {
        let other = pair + self.pairs;
        [
            self.activation[pair],
            self.weight[pair],
            self.activation.get(other).copied().unwrap_or(Bit::ZERO),
            self.weight.get(other).copied().unwrap_or(Bit::ONE),
        ]
    }

    /// Sets pair `pair` of all stimuli; gives its pair bits.
    fn set(&self, simulation: &mut Simulation, pair: usize, words: [u64; 4]) {
        for (bit, word) in self.pins(pair).into_iter().zip(words) {
            if !bit.is_constant() {
                simulation.set(bit, word);
            }
        }
    }
}

fn heap(lanes: usize) -> Heap {
    Heap {
        groups: 1,
        planes: 1,
        pairs: lanes.div_ceil(2) as u32,
    }
}

/// The four words of a pair: random, all match, none match, or one pattern.
fn words(random: &mut ChaCha8Rng, kind: u32) -> [u64; 4] {
    let (a1, a2, w1, w2) = (
        random.random(),
        random.random(),
        random.random(),
        random.random(),
    );
    match kind {
        0 => [a1, a1, a2, a2],
        1 => [a1, !a1, a2, !a2],
        2 => [0, 0, 0, 0],
        3 => [!0, !0, !0, !0],
        _ => [a1, w1, a2, w2],
    }
}

/// Pair bits by their definition.
fn pair_bit([a1, w1, a2, w2]: [u64; 4]) -> u64 {
    let (x1, x2, odd) = (!(a1 ^ w1), !(a2 ^ w2), a1 ^ a2);
    (x1 & x2) | (odd & (x1 | x2))
}

/// One beat for all stimuli: words of each pair, and its counts.
struct Beat {
    words: Vec<[u64; 4]>,
    counts: [u64; 64],
}

fn beat(random: &mut ChaCha8Rng, lanes: usize) -> Beat {
    let pairs = lanes.div_ceil(2);
    let kind = random.random_range(0..8);
    let mut words: Vec<[u64; 4]> = (0..pairs).map(|_| words(random, kind)).collect();
    if lanes % 2 == 1 {
        let last = words.last_mut().unwrap();
        (last[2], last[3]) = (0, !0);
    }
    let mut counts = [0; 64];
    for word in &words {
        let bits = pair_bit(*word);
        (0..64).for_each(|t| counts[t] += bits >> t & 1);
    }
    Beat { words, counts }
}

/// Feeds pair i of the beat that entered `arrival[i]` cycles ago.
fn feed(
    simulation: &mut Simulation,
    operands: &Operands,
    arrival: &[u32],
    beats: &[Beat],
    now: usize,
) {
    for (pair, late) in arrival.iter().enumerate() {
        if let Some(beat) = now.checked_sub(*late as usize).and_then(|n| beats.get(n)) {
            operands.set(simulation, pair, beat.words[pair]);
        }
    }
}

fn all_lanes() -> impl Iterator<Item = usize> {
    (1..=70).chain([127, 128, 129, 256, 1024])
}

#[test]
fn counts_are_the_sums_of_pair_bits() {
    for lanes in all_lanes() {
        let mut net = Netlist::new();
        let operands = Operands::new(&mut net, lanes);
        let advance = net.input("advance", 1)[0];
        let source = Source {
            pins: &|_, _, i| operands.pins(i as usize),
            tables: &[PAIR_TABLE],
        };
        let Counted {
            count,
            arrival,
            latency,
        } = seven_series::count(&mut net, &source, &heap(lanes), advance);
        assert_eq!(count.len() as u32, heap(lanes).count_width());
        assert!(arrival.iter().all(|a| *a < latency), "{lanes}");
        let mut simulation = Simulation::new(&net).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(lanes as u64);
        let beats: Vec<Beat> = (0..24).map(|_| beat(&mut random, lanes)).collect();
        for now in 0..beats.len() {
            // A cycle without `advance` changes nothing, whatever the operands are.
            simulation.set(advance, 0);
            feed(
                &mut simulation,
                &operands,
                &arrival,
                &beats,
                (now + 7) % beats.len(),
            );
            simulation.settle();
            simulation.clock();
            simulation.set(advance, !0);
            feed(&mut simulation, &operands, &arrival, &beats, now);
            simulation.settle();
            simulation.clock();
            if let Some(entered) = (now + 1).checked_sub(latency as usize) {
                for t in 0..64 {
                    let expected = beats[entered].counts[t as usize];
                    assert_eq!(
                        simulation.number(&count, t),
                        expected,
                        "{lanes} lanes, beat {entered}"
                    );
                }
            }
        }
    }
}

/// The variant without pair bits.
#[test]
fn matches_are_counted() {
    for lanes in all_lanes() {
        let mut net = Netlist::new();
        let operands = Operands::new(&mut net, lanes);
        let advance = net.input("advance", 1)[0];
        let source = Matches {
            pins: &|i| [operands.activation[i as usize], operands.weight[i as usize]],
            table: 0b1001,
            lanes: lanes as u32,
        };
        let Counted {
            count,
            arrival,
            latency,
        } = seven_series::count_matches(&mut net, &source, advance);
        assert!(arrival.iter().all(|a| *a < latency), "{lanes}");
        let mut simulation = Simulation::new(&net).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(lanes as u64);
        let beats: Vec<Beat> = (0..30).map(|_| beat(&mut random, lanes)).collect();
        simulation.set(advance, !0);
        for now in 0..beats.len() {
            feed(&mut simulation, &operands, &arrival, &beats, now);
            simulation.settle();
            simulation.clock();
            let Some(entered) = (now + 1).checked_sub(latency as usize) else {
                continue;
            };
            for t in 0..64 {
                let word =
                    |[a1, w1, a2, w2]: &[u64; 4]| (!(a1 ^ w1) >> t & 1) + (!(a2 ^ w2) >> t & 1);
                // The lane that pads an odd number does not match.
                let expected: u64 = beats[entered].words.iter().map(word).sum();
                assert_eq!(simulation.number(&count, t), expected, "{lanes} lanes");
            }
        }
        let cost = seven_series::place(&net).unwrap().cost();
        if [8, 16, 32, 48, 64, 100, 128, 200, 256, 512, 1024].contains(&lanes) {
            println!("{lanes} lanes, no pair bits: {cost:?}, latency {latency}");
        }
    }
}

/// The accumulator by its definition: adding part and finished bits.
#[derive(Clone, Copy, Default)]
struct Model {
    state: u64,
}

impl Model {
    fn step(&mut self, spec: &Accumulator, first: bool, shift: Option<u32>, count: u64) {
        let shifted = self.state >> shift.unwrap_or(0);
        let base = if first { 0 } else { shifted >> spec.low_width };
        let high = (base + count) & ((1 << spec.high_width) - 1);
        let from = if shift.is_some() { shifted } else { self.state };
        let low = from & ((1 << spec.low_width) - 1);
        self.state = high << spec.low_width | low;
    }
}

fn specifications(lanes: usize) -> Vec<Accumulator> {
    let width = heap(lanes).count_width();
    let spec = |high_width, low_width, amounts: &[u32]| Accumulator {
        high_width,
        low_width,
        amounts: amounts.to_vec(),
    };
    vec![
        spec(width + 12, 1, &[]),
        spec(width, 1, &[]),
        spec(width + 5, 6, &[1]),
        spec(width + 3, 3, &[2]),
        spec(width + 4, 6, &[1, 2]),
        spec(width + 4, 9, &[1, 2, 3]),
        spec(width + 2, 12, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ]
}

#[test]
fn units_accumulate_as_the_behavioural_accumulator() {
    for lanes in all_lanes() {
        for spec in specifications(lanes) {
            check_unit(lanes, &spec);
        }
    }
}

fn check_unit(lanes: usize, spec: &Accumulator) {
    let mut net = Netlist::new();
    let operands = Operands::new(&mut net, lanes);
    let controls = Controls {
        advance: net.input("advance", 1)[0],
        accumulate: net.input("accumulate", 1)[0],
        first: net.input("first", 1)[0],
        clear: net.input("clear", 1)[0],
        shift: net.input("shift", spec.amounts.len()),
    };
    let source = Source {
        pins: &|_, _, i| operands.pins(i as usize),
        tables: &[PAIR_TABLE],
    };
    let Unit {
        sum,
        arrival,
        latency,
    } = seven_series::unit(&mut net, &source, &heap(lanes), &controls, spec);
    assert_eq!(sum.len() as u32, spec.high_width + spec.low_width);
    assert!(arrival.iter().all(|a| *a < latency), "{lanes}");
    let mut simulation = Simulation::new(&net).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(lanes as u64);
    let beats: Vec<Beat> = (0..20).map(|_| beat(&mut random, lanes)).collect();
    let mut models = [Model::default(); 64];
    let mut started = false;
    for now in 0..beats.len() {
        let beat = now.checked_sub(latency as usize);
        // A cycle in which the pipeline stands: nothing but `advance`, `accumulate` and what comes with it decides.
        let moves = [false, true];
        for moves in moves {
            let live = moves && beat.is_some() && random.random_range(0..5) > 0;
            let first = live && (!started || random.random_range(0..6) == 0);
            let which = random.random_range(0..=spec.amounts.len());
            let shift = (live && which > 0).then(|| which - 1);
            let word = |on: bool| if on { !0u64 } else { 0 };
            simulation.set(controls.advance, word(moves));
            simulation.set(controls.accumulate, word(live));
            simulation.set(
                controls.first,
                word(if live { first } else { random.random() }),
            );
            simulation.set(controls.clear, word(live && first));
            for (i, bit) in controls.shift.iter().enumerate() {
                simulation.set(*bit, word(shift == Some(i)));
            }
            feed(&mut simulation, &operands, &arrival, &beats, now);
            simulation.settle();
            simulation.clock();
            if live {
                let amount = shift.map(|i| spec.amounts[i]);
                for (t, model) in models.iter_mut().enumerate() {
                    model.step(spec, first, amount, beats[beat.unwrap()].counts[t]);
                }
                started = true;
            }
            if started {
                for (t, model) in models.iter().enumerate() {
                    let found = simulation.number(&sum, t as u32);
                    assert_eq!(found, model.state, "{lanes} lanes, {spec:?}, cycle {now}");
                }
            }
        }
    }
}

/// A unit's netlist with its ports: inputs as [`check_unit`] has them, and the sum as `sum`.
fn unit_netlist(lanes: usize, spec: &Accumulator) -> (Netlist, Unit) {
    let mut net = Netlist::new();
    let operands = Operands::new(&mut net, lanes);
    let controls = Controls {
        advance: net.input("advance", 1)[0],
        accumulate: net.input("accumulate", 1)[0],
        first: net.input("first", 1)[0],
        clear: net.input("clear", 1)[0],
        shift: net.input("shift", spec.amounts.len()),
    };
    let source = Source {
        pins: &|_, _, i| operands.pins(i as usize),
        tables: &[PAIR_TABLE],
    };
    let unit = seven_series::unit(&mut net, &source, &heap(lanes), &controls, spec);
    net.output("sum", &unit.sum);
    (net, unit)
}

fn count_netlist(lanes: usize) -> (Netlist, Counted) {
    let mut net = Netlist::new();
    let operands = Operands::new(&mut net, lanes);
    let advance = net.input("advance", 1)[0];
    let source = Source {
        pins: &|_, _, i| operands.pins(i as usize),
        tables: &[PAIR_TABLE],
    };
    let counted = seven_series::count(&mut net, &source, &heap(lanes), advance);
    net.output("count", &counted.count);
    (net, counted)
}

/// Every structure can be placed, in as many sites as its schedule says, which are never fewer than the bound.
#[test]
fn every_site_is_legal_and_counted() {
    use xnorforge_hdl::fabric::seven_series::schedule::{Finish, bound, plan};
    for lanes in (1..=130).chain([200, 256, 512, 1023, 1024]) {
        let pairs = heap(lanes).pairs;
        let (net, _) = count_netlist(lanes);
        let count = seven_series::place(&net).unwrap().cost();
        let planned = plan(pairs, Finish::Count);
        assert_eq!(count.sites, planned.sites(), "{lanes} lanes");
        assert!(count.sites >= bound(pairs, Finish::Count), "{lanes} lanes");
        assert_eq!(count.ff as usize, net.flip_flops());

        let width = heap(lanes).count_width() + 12;
        let spec = Accumulator {
            high_width: width,
            low_width: 1,
            amounts: vec![],
        };
        let (net, _) = unit_netlist(lanes, &spec);
        let single = seven_series::place(&net).unwrap().cost();
        let finish = Finish::Accumulate { width };
        assert_eq!(single.sites, plan(pairs, finish).sites(), "{lanes} lanes");
        assert!(single.sites >= bound(pairs, finish), "{lanes} lanes");

        let shifting = Accumulator {
            high_width: width,
            low_width: 6,
            amounts: vec![1],
        };
        let (net, _) = unit_netlist(lanes, &shifting);
        let shifting = seven_series::place(&net).unwrap().cost();
        assert_eq!(shifting.sites, count.sites + width, "{lanes} lanes");
        if [8, 16, 32, 48, 64, 100, 128, 200, 256, 512].contains(&lanes) {
            println!(
                "{lanes} lanes: count {count:?}\n  single level {single:?}\n  shifting {shifting:?}"
            );
        }
    }
}

/// Runs Yosys on files in a folder of their own: whether its proof succeeds. `None` where it is not installed, but in CI
/// everything is.
fn yosys(files: &[(&str, &str)], script: &str) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let run = std::process::Command::new("yosys")
        .args(["-Q", "-T", "-q", "-p", script])
        .current_dir(folder.path())
        .output();
    let output = match run {
        Err(e) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: yosys: {e} (make setup)");
            return None;
        }
        run => run.unwrap_or_else(|e| panic!("yosys: {e} (make setup)")),
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let refuted = said.contains("proof did fail") || said.contains("model found");
    assert!(output.status.success() || refuted, "{script}\n{said}");
    Some(output.status.success())
}

/// Ports of a netlist as a module header.
fn header(net: &Netlist) -> String {
    let port = |kind: &'static str| {
        move |p: &xnorforge_hdl::fabric::Port| format!("{kind} [{}:0] {}", p.bits.len() - 1, p.name)
    };
    let inputs = net
        .inputs()
        .iter()
        .filter(|p| !p.bits.is_empty())
        .map(port("input"));
    let outputs = net.outputs().iter().map(port("output"));
    let all: Vec<String> = inputs.chain(outputs).collect();
    format!("(input clock, {});", all.join(", "))
}

/// The specification of a count, in Verilog: each pair bit by its definition, late by what its arrival leaves of the
/// latency, and their sum as `total`.
fn specified_count(lanes: usize, arrival: &[u32], latency: u32) -> String {
    let mut text = String::new();
    let mut terms = Vec::new();
    for (i, arrival) in arrival.iter().enumerate() {
        let other = i + lanes.div_ceil(2);
        let (a2, w2) = match other < lanes {
            true => (format!("activation[{other}]"), format!("weight[{other}]")),
            false => ("1'b0".to_owned(), "1'b1".to_owned()),
        };
        let late = latency - arrival;
        text += &format!(
            "wire a_{i} = activation[{i}], b_{i} = {a2}, x_{i} = ~(a_{i} ^ weight[{i}]), y_{i} = ~(b_{i} ^ {w2});\n\
             wire p_{i} = (x_{i} & y_{i}) | ((a_{i} ^ b_{i}) & (x_{i} | y_{i}));\n\
             reg [{late}:1] d_{i};\n\
             always @(posedge clock) if (advance) d_{i} <= {{d_{i}, p_{i}}};\n"
        );
        terms.push(format!("{{31'd0, d_{i}[{late}]}}"));
    }
    text + &format!("wire [31:0] total = {};\n", terms.join(" + "))
}

/// Whether Yosys proves that `design`, a module of that name and what it needs, is what `specified` says; `None` without
/// Yosys. The pipeline's content follows from the inputs of the last `latency` cycles in which it moves; then one more cycle
/// is looked at, with any state before it in which both agree: not only what follows from the registers' initial values.
fn proven(design: &str, specified: &str, latency: u32) -> Option<bool> {
    let mut files = vec![("design.v", design), ("specified.v", specified)];
    files.extend(xnorforge_hdl::fabric::primitives::XILINX);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let script = format!(
        "read_verilog {}; prep -flatten -top design; setattr -unset init w:*; design -stash d; \
         read_verilog specified.v; prep -flatten -top specified; design -stash s; \
         design -copy-from d design; design -copy-from s specified; \
         miter -equiv -flatten design specified miter; hierarchy -top miter; \
         sat -verify -seq {} -prove-skip {} -set-at {} trigger 0 -set in_advance 1 -prove trigger 0 miter",
        names.join(" "),
        latency + 2,
        latency + 1,
        latency + 1,
    );
    yosys(&files, &script)
}

/// As [`proven`], in every dialect that Xilinx' tools or any tool may read.
fn prove(design: impl Fn(Dialect) -> String, specified: &str, latency: u32) -> Option<()> {
    for dialect in [Dialect::SevenSeries, Dialect::UltraScale, Dialect::Generic] {
        let proven = proven(&design(dialect), specified, latency)?;
        assert!(proven, "{dialect:?}:\n{specified}");
    }
    Some(())
}

/// With `advance`: without it, all registers of the pipeline hold, which is looked at directly.
#[test]
fn counts_are_proven() {
    for lanes in [1, 2, 3, 6, 9, 12, 17, 24] {
        println!("{lanes} lanes");
        let (net, counted) = count_netlist(lanes);
        let advance = net.inputs()[2].bits[0];
        for item in net.items() {
            if let Item::Register { enable, reset, .. } = item {
                assert_eq!((*enable, *reset), (advance, Bit::ZERO));
            }
        }
        let head = header(&net);
        let design = |dialect| {
            format!(
                "module design{head}\n{}endmodule\n",
                net.verilog_body(dialect)
            )
        };
        let specified = |value: &str| {
            let body = specified_count(lanes, &counted.arrival, counted.latency);
            format!("module specified{head}\n{body}assign count = {value};\nendmodule\n")
        };
        if prove(design, &specified("total"), counted.latency).is_none() {
            return;
        }
        // The proof can fail: by one bit, in one case.
        let wrong = specified("total ^ (total == 1)");
        let verdict = proven(&design(Dialect::SevenSeries), &wrong, counted.latency);
        assert_eq!(verdict, Some(false));
    }
}

/// The ports of both sides of a unit's proof: a shift is a number here, so that it is one-hot by construction.
fn unit_header(lanes: usize, width: u32) -> String {
    format!(
        "(input clock, input [{0}:0] activation, weight, input advance, accumulate, first, input [3:0] distance, \
         output [{1}:0] sum);\n",
        lanes - 1,
        width - 1
    )
}

/// The unit under its controls.
fn unit_design(lanes: usize, net: &Netlist, spec: &Accumulator, dialect: Dialect) -> String {
    let shift: Vec<String> = (1..=spec.amounts.len())
        .rev()
        .map(|i| format!("accumulate & (distance == {i})"))
        .collect();
    let shift = match shift.len() {
        0 => String::new(),
        _ => format!(", .shift({{{}}})", shift.join(", ")),
    };
    format!(
        "module unit{}\n{}endmodule\nmodule design{}\
         unit u_unit (.clock(clock), .activation(activation), .weight(weight), .advance(advance), \
         .accumulate(accumulate), .first(first), .clear(accumulate & first){shift}, .sum(sum));\nendmodule\n",
        header(net),
        net.verilog_body(dialect),
        unit_header(lanes, spec.high_width + spec.low_width),
    )
}

/// The behavioural accumulator behind the specified count.
fn unit_specified(lanes: usize, unit: &Unit, spec: &Accumulator) -> String {
    let (low, top) = (spec.low_width, spec.high_width + spec.low_width - 1);
    let distances = (1..).zip(&spec.amounts);
    let shifted = distances.fold("state".to_owned(), |rest, (i, amount)| {
        format!("distance == {i} ? state >> {amount} : ({rest})")
    });
    let shifts = spec.amounts.len();
    let sum = match shifts {
        0 => format!("{{state[{top}:{low}], {low}'d0}}"),
        _ => "state".to_owned(),
    };
    let below = low - 1;
    format!(
        "module specified{}{}reg [{top}:0] state;\nwire [{top}:0] shifted = {shifted};\n\
         always @(posedge clock) if (accumulate) begin\n\
         state[{top}:{low}] <= (first ? 0 : shifted >> {low}) + total;\n\
         if (distance > 0 && distance <= {shifts}) state[{below}:0] <= shifted[{below}:0];\nend\n\
         assign sum = {sum};\nendmodule\n",
        unit_header(lanes, top + 1),
        specified_count(lanes, &unit.arrival, unit.latency),
    )
}

#[test]
fn units_are_proven() {
    for (lanes, high_width, low_width, amounts) in [
        (2, 5, 1, vec![]),
        (9, 8, 1, vec![]),
        (16, 9, 1, vec![]),
        (3, 5, 3, vec![1]),
        (16, 7, 3, vec![1]),
        (6, 5, 4, vec![1, 2]),
        (6, 6, 4, vec![1, 2, 3]),
    ] {
        println!("{lanes} lanes, high {high_width}, low {low_width}, shifts {amounts:?}");
        let spec = Accumulator {
            high_width,
            low_width,
            amounts,
        };
        let (net, unit) = unit_netlist(lanes, &spec);
        let design = |dialect| unit_design(lanes, &net, &spec, dialect);
        let specified = unit_specified(lanes, &unit, &spec);
        if prove(design, &specified, unit.latency).is_none() {
            return;
        }
        let wrong = specified.replace("first ?", "first & activation[0] ?");
        let verdict = proven(&design(Dialect::SevenSeries), &wrong, unit.latency);
        assert_eq!(verdict, Some(false));
    }
}
