//! Structures of device primitives do what their one-line specifications say: in simulation, and proven with Yosys.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::fabric::seven_series::{self, Accumulator, Controls, Unit};
use xnorforge_hdl::fabric::{Bit, Counted, Heap, Netlist, PAIR_TABLE, Simulation, Source};

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
    assert!(arrival.iter().all(|a| *a <= latency), "{lanes}");
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
