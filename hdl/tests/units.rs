//! The netlists of units against their specification: every structure of every target counts what plain loops count, and
//! accumulates as `docs/microarchitecture.md` says, with operands that arrive when the structure asks for them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::fabric::{Netlist, Simulation};
use xnorforge_hdl::structure::DeviceUnits;
use xnorforge_hdl::{ArrayConfig, Design, Structure, Target};

/// Stimuli of a simulation that are checked; it runs 64.
const CHECKED: [u32; 3] = [0, 31, 63];
/// Cycles of a run.
const CYCLES: usize = 60;

fn shapes() -> Vec<ArrayConfig> {
    let shape = |lanes, bits: (u32, u32), branches: (u32, u32)| ArrayConfig {
        rows: 1,
        columns: 1,
        lanes,
        activation_bits: bits.0,
        weight_bits: bits.1,
        activation_branches: branches.0,
        weight_branches: branches.1,
        reduction_max: 300,
        constant_entries: 2,
        ..ArrayConfig::default()
    };
    let mut all: Vec<ArrayConfig> = (1..=18).map(|lanes| shape(lanes, (1, 1), (1, 1))).collect();
    for lanes in [33, 64, 127, 256] {
        all.push(shape(lanes, (1, 1), (1, 1)));
        all.push(shape(lanes, (4, 4), (1, 1)));
    }
    for lanes in [1, 2, 7, 16] {
        all.push(shape(lanes, (2, 2), (2, 2)));
        all.push(shape(lanes, (4, 4), (4, 4)));
        all.push(shape(lanes, (8, 1), (3, 1)));
        all.push(shape(lanes, (1, 8), (1, 8)));
        all.push(shape(lanes, (5, 3), (2, 2)));
    }
    all
}

/// Every structure of every target at every shape.
fn each(check: impl Fn(&Design, &DeviceUnits, &mut ChaCha8Rng)) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for target in Target::ALL {
        for structure in Structure::of_target(target) {
            let mut taken = 0;
            for shape in shapes() {
                let config = ArrayConfig {
                    target,
                    structure: *structure,
                    ..shape
                };
                // A structure may refuse a shape.
                let Ok(design) = config.validate() else {
                    continue;
                };
                let units = design.units().expect("a structure of netlists").clone();
                assert_eq!(units.structure, *structure);
                check(&design, &units, &mut rng);
                taken += 1;
            }
            println!("{target} {structure}: {taken} shapes");
            assert!(taken > 0, "{target} {structure} takes no shape");
        }
    }
}

/// One beat: words of 64 stimuli for each operand bit, and the controls.
#[derive(Clone, Default)]
struct Beat {
    activation: Vec<u64>,
    weight: Vec<u64>,
    mode: u64,
    valid: bool,
    first: bool,
    shift: Option<usize>,
}

impl Beat {
    fn random(design: &Design, fill: usize, rng: &mut ChaCha8Rng) -> Self {
        let word = |bits: u32, rng: &mut ChaCha8Rng| -> Vec<u64> {
            (0..bits)
                .map(|_| match fill % 4 {
                    0 => 0,
                    1 => !0,
                    _ => rng.random(),
                })
                .collect()
        };
        let first = rng.random_bool(0.3);
        Beat {
            activation: word(design.activation_word_width(), rng),
            weight: match fill % 8 {
                4 => vec![0; design.weight_word_width() as usize],
                5 => vec![!0; design.weight_word_width() as usize],
                _ => word(design.weight_word_width(), rng),
            },
            mode: rng.random_range(0..3),
            valid: rng.random_bool(0.8),
            first,
            // No schedule shifts before a tile's first beat.
            shift: (design.shifts && !first && rng.random_bool(0.4))
                .then(|| rng.random_range(0..design.shift_amounts.len())),
        }
    }

    fn bit(words: &[u64], index: u32, stimulus: u32) -> u64 {
        words[index as usize] >> stimulus & 1
    }

    /// What a processing element counts.
    fn count(&self, design: &Design, stimulus: u32) -> u64 {
        let c = design.config();
        let mut count = 0;
        for m in 0..c.activation_branches {
            for k in 0..c.weight_branches {
                for i in 0..design.pairs {
                    let lane = |lane: u32| match lane < c.lanes {
                        true => (
                            Self::bit(&self.activation, m * c.lanes + lane, stimulus),
                            Self::bit(&self.weight, k * c.lanes + lane, stimulus),
                        ),
                        false => (0, 1),
                    };
                    let ((a1, w1), (a2, w2)) = (lane(i), lane(design.pairs + i));
                    let matches = u64::from(a1 == w1) + u64::from(a2 == w2) + (a1 ^ a2);
                    count += u64::from(matches >= 2) << (m + k);
                }
            }
        }
        count
    }

    /// What a row unit counts; with one plane half of it where the mode is not 0.
    fn row_count(&self, design: &Design, stimulus: u32) -> u64 {
        let c = design.config();
        let full = (1u64 << c.weight_branches) - 1;
        let mut count = 0;
        for m in 0..c.activation_branches {
            for i in 0..design.pairs {
                let lane = |lane: u32| match lane < c.lanes {
                    true => Self::bit(&self.activation, m * c.lanes + lane, stimulus),
                    false => 0,
                };
                let (a1, a2) = (lane(i), lane(design.pairs + i));
                count += match self.mode {
                    0 => full * (a1 ^ a2),
                    1 => full * (a1 ^ a2) + a1 + a2,
                    _ => 2 * full * (1 - (a1 & a2)),
                } << m;
            }
        }
        let halved = design.row_planes == 1 && self.mode != 0;
        count >> u32::from(halved)
    }
}

struct Run {
    simulation: Simulation,
    netlist: Netlist,
}

impl Run {
    fn new(netlist: &Netlist) -> Self {
        Run {
            simulation: Simulation::new(netlist).unwrap_or_else(|e| panic!("{e}")),
            netlist: netlist.clone(),
        }
    }

    fn set(&mut self, port: &str, values: impl IntoIterator<Item = u64>) {
        let Some(port) = self.netlist.inputs().iter().find(|p| p.name == port) else {
            return;
        };
        let values: Vec<u64> = values.into_iter().collect();
        assert_eq!(values.len(), port.bits.len(), "{}", port.name);
        for (bit, value) in port.bits.iter().zip(values) {
            self.simulation.set(*bit, value);
        }
    }

    fn get(&self, port: &str, stimulus: u32) -> u64 {
        let port = self.netlist.outputs().iter().find(|p| p.name == port);
        let bits = &port.expect("an output").bits;
        self.simulation.number(bits, stimulus)
    }

    fn clock(&mut self) {
        self.simulation.settle();
        self.simulation.clock();
    }
}

/// Beats that entered, the youngest first; `at(delay)` is the one of `delay` cycles ago.
struct Pipe(Vec<Beat>);

impl Pipe {
    fn new(design: &Design, latency: u32, rng: &mut ChaCha8Rng) -> Self {
        let idle = || Beat {
            valid: false,
            ..Beat::random(design, 2, rng)
        };
        Pipe(
            std::iter::repeat_with(idle)
                .take(latency as usize + 1)
                .collect(),
        )
    }

    fn enter(&mut self, beat: Beat) {
        self.0.pop();
        self.0.insert(0, beat);
    }

    /// Words whose lane i comes from the beat that entered `delay[pair of i]` cycles ago.
    fn delayed<'a>(
        &'a self,
        lanes: u32,
        delay: &'a [u32],
        word: impl Fn(&'a Beat) -> &'a [u64] + 'a,
    ) -> impl Iterator<Item = u64> + 'a {
        let bits = word(&self.0[0]).len() as u32;
        let pair = move |bit: u32| ((bit % lanes) % lanes.div_ceil(2)) as usize;
        (0..bits).map(move |bit| word(&self.0[delay[pair(bit)] as usize])[bit as usize])
    }
}

fn all(value: bool) -> [u64; 1] {
    [if value { !0 } else { 0 }]
}

fn mask(value: u64, width: u32) -> u64 {
    value & ((1 << width) - 1)
}

/// The accumulator of the specification: {high, low}.
fn accumulate(design: &Design, state: u64, beat: &Beat, count: u64) -> u64 {
    let low = design.accumulator_low_width;
    let shifted = state >> beat.shift.map_or(0, |s| design.shift_amounts[s]);
    let base = if beat.first { 0 } else { shifted >> low };
    let high = mask(base + count, design.accumulator_high_width);
    high << low | mask(shifted, low)
}

#[test]
fn elements_count_and_accumulate() {
    each(|design, units, rng| {
        let c = design.config();
        let latency = units.element.latency;
        assert!(units.element.arrival.iter().all(|a| *a < latency), "{c:?}");
        let mut run = Run::new(&units.element.netlist);
        let mut pipe = Pipe::new(design, latency, rng);
        let mut sums = [0; CHECKED.len()];
        // A tile's first beat comes before all others.
        let mut begun = false;
        let mut next = Beat::random(design, 2, rng);
        for cycle in 0..CYCLES + latency as usize {
            let advance = rng.random_bool(0.8);
            pipe.0[0] = next.clone();
            let leaving = pipe.0[latency as usize].clone();
            let accumulates = advance && leaving.valid;
            let delay = &units.element.arrival;
            run.set("advance", all(advance));
            run.set("accumulate", all(accumulates));
            run.set("first", all(leaving.first));
            run.set("clear", all(accumulates && leaving.first));
            let selected = |s| accumulates && leaving.shift == Some(s);
            run.set(
                "shift",
                (0..design.shift_amounts.len()).map(|s| all(selected(s))[0]),
            );
            run.set(
                "activation",
                pipe.delayed(c.lanes, delay, |b| &b.activation),
            );
            run.set("weight", pipe.delayed(c.lanes, delay, |b| &b.weight));
            run.clock();
            for (sum, stimulus) in sums.iter_mut().zip(CHECKED) {
                if accumulates {
                    *sum = accumulate(design, *sum, &leaving, leaving.count(design, stimulus));
                }
                let (found, low) = (run.get("sum", stimulus), design.accumulator_low_width);
                if begun || (accumulates && leaving.first) {
                    assert_eq!(found >> low, *sum >> low, "cycle {cycle} {units:?} {c:?}");
                    // Finished bits of the tile before are shifted out; until then they are whatever they were.
                    assert_eq!(
                        mask(found, low),
                        mask(*sum, low),
                        "cycle {cycle} {units:?} {c:?}"
                    );
                }
            }
            begun |= accumulates && leaving.first;
            if advance {
                pipe.enter(next);
                next = Beat::random(design, cycle, rng);
            }
        }
        assert!(begun, "no tile began");
    });
}

#[test]
fn row_units_count() {
    each(|design, units, rng| {
        let c = design.config();
        let (latency, delay) = (units.row.latency, &units.row.arrival);
        assert!(delay.iter().all(|a| *a < latency), "{c:?}");
        let mut run = Run::new(&units.row.netlist);
        let mut pipe = Pipe::new(design, latency, rng);
        let mut moved = 0;
        for cycle in 0..CYCLES + 2 * latency as usize {
            let advance = rng.random_bool(0.8);
            pipe.0[0] = Beat::random(design, cycle, rng);
            run.set("advance", all(advance));
            run.set(
                "activation",
                pipe.delayed(c.lanes, delay, |b| &b.activation),
            );
            let mode = |pair: u32| pipe.0[delay[pair as usize] as usize].mode;
            let modes = (0..design.pairs).flat_map(|pair| [mode(pair) & 1, mode(pair) >> 1]);
            run.set(
                "mode",
                modes.map(|bit| all(bit == 1)[0]).collect::<Vec<_>>(),
            );
            run.clock();
            if !advance {
                continue;
            }
            let entered = pipe.0[0].clone();
            pipe.enter(entered);
            moved += 1;
            // The beat that entered `latency` cycles ago has just been counted; before it stands what was never entered.
            if moved > latency {
                let counted = &pipe.0[latency as usize];
                for stimulus in CHECKED {
                    assert_eq!(
                        run.get("count", stimulus),
                        counted.row_count(design, stimulus),
                        "cycle {cycle} {units:?} {c:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn stages_are_those_asked_for_or_refused() {
    let latency = |target, structure, popcount_stages| {
        let config = ArrayConfig {
            rows: 2,
            columns: 2,
            lanes: 24,
            target,
            structure,
            popcount_stages,
            ..ArrayConfig::default()
        };
        config
            .validate()
            .map(|design| design.latency())
            .map_err(|error| error.to_string())
    };
    for (target, structure) in [
        (Target::Generic, Structure::Auto),
        (Target::Ecp5, Structure::AdderChains),
        (Target::Ecp5, Structure::AdderLuts),
        (Target::Ice40, Structure::Auto),
        (Target::Asic, Structure::AdderCells),
        (Target::Asic, Structure::Auto),
    ] {
        for stages in 1..=3 {
            let found = latency(target, structure, stages);
            assert_eq!(found, Ok(stages), "{target} {structure}");
        }
        let refused = latency(target, structure, 1000).unwrap_err();
        let expected = "`popcount_stages` = 1000 is past the ";
        assert!(
            refused.starts_with(expected),
            "{target} {structure}: {refused}"
        );
    }
    let refused = latency(Target::Xilinx, Structure::PairRows, 2).unwrap_err();
    assert!(
        refused
            .starts_with("`popcount_stages` = 2 has no meaning with `structure` = \"pair_rows\""),
        "{refused}"
    );
}
