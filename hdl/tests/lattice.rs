//! The structures for ECP5 and iCE40 against their one-line specifications.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::fabric::lattice::{self, Family, Objective, Options, Registers};
use xnorforge_hdl::fabric::{
    Accumulator, Bit, Cell, Controls, Heap, Netlist, PAIR_TABLE, Simulation, Source,
};

const FAMILIES: [Family; 3] = [Family::Ecp5, Family::Ice40, Family::Cells];
const OBJECTIVES: [Objective; 2] = [Objective::Area, Objective::Clock];

/// Operand words as input ports: one for each group and each plane.
struct Operands {
    activation: Vec<Vec<Bit>>,
    weight: Vec<Vec<Bit>>,
    lanes: usize,
}

impl Operands {
    fn new(netlist: &mut Netlist, groups: u32, planes: u32, lanes: u32) -> Self {
        let mut words = |name: &str, count: u32| -> Vec<Vec<Bit>> {
            (0..count)
                .map(|i| netlist.input(&format!("{name}_{i}"), lanes as usize))
                .collect()
        };
        Operands {
            activation: words("activation", groups),
            weight: words("weight", planes),
            lanes: lanes as usize,
        }
    }

    fn half(&self) -> usize {
        self.lanes.div_ceil(2)
    }

    fn pins(&self, group: u32, plane: u32, pair: u32) -> [Bit; 4] {
        let (a, w) = (
            &self.activation[group as usize],
            &self.weight[plane as usize],
        );
        let (low, high) = (pair as usize, pair as usize + self.half());
        let of = |word: &[Bit], missing| word.get(high).copied().unwrap_or(missing);
        [a[low], w[low], of(a, Bit::ZERO), of(w, Bit::ONE)]
    }
}

/// The pair bit as the issue defines it.
fn pair_bit(pins: [bool; 4]) -> u64 {
    let [a1, w1, a2, w2] = pins;
    let (x1, x2, o) = (a1 == w1, a2 == w2, a1 != a2);
    u64::from(u8::from(x1) + u8::from(x2) + u8::from(o) >= 2)
}

/// A beat: the bits of all operand words, 64 stimuli at a time.
type Beat = Vec<Vec<u64>>;

fn random_beat(random: &mut ChaCha8Rng, words: usize, lanes: usize, edge: u32) -> Beat {
    (0..words)
        .map(|word| {
            (0..lanes)
                .map(|_| match edge {
                    0 => 0,
                    1 => !0,
                    // All activations 0 against all weights 1 and the other way round.
                    2 => 0u64.wrapping_sub((word % 2) as u64),
                    _ => random.random(),
                })
                .collect()
        })
        .collect()
}

fn count_of(operands: &Operands, heap: &Heap, beat: &Beat, t: u32) -> u64 {
    let bit = |word: usize, lane: usize| beat[word][lane] >> t & 1 == 1;
    let groups = operands.activation.len();
    let mut total = 0;
    for m in 0..heap.groups as usize {
        for p in 0..heap.planes as usize {
            for i in 0..operands.half() {
                let high = i + operands.half();
                let pins = if high < operands.lanes {
                    [
                        bit(m, i),
                        bit(groups + p, i),
                        bit(m, high),
                        bit(groups + p, high),
                    ]
                } else {
                    [bit(m, i), bit(groups + p, i), false, true]
                };
                total += pair_bit(pins) << (m + p);
            }
        }
    }
    total
}

/// Sets the operands so that each pair of lanes shows the beat that entered `arrival` cycles ago.
fn show(
    simulation: &mut Simulation,
    operands: &Operands,
    arrival: &[u32],
    beats: &[Beat],
    cycle: usize,
) {
    for (word, bits) in operands
        .activation
        .iter()
        .chain(&operands.weight)
        .enumerate()
    {
        for (lane, bit) in bits.iter().enumerate() {
            let pair = lane % operands.half();
            let beat = cycle.checked_sub(arrival[pair] as usize);
            let value = beat
                .and_then(|b| beats.get(b))
                .map_or(0, |beat| beat[word][lane]);
            simulation.set(*bit, value);
        }
    }
}

struct Case {
    family: Family,
    groups: u32,
    planes: u32,
    lanes: u32,
    options: Options,
}

fn check_count(case: &Case, random: &mut ChaCha8Rng) {
    let mut netlist = Netlist::new();
    let advance = netlist.input("advance", 1)[0];
    let operands = Operands::new(&mut netlist, case.groups, case.planes, case.lanes);
    let heap = Heap {
        groups: case.groups,
        planes: case.planes,
        pairs: case.lanes.div_ceil(2),
    };
    let tables = vec![PAIR_TABLE; case.planes as usize];
    let source = Source {
        pins: &|m, p, i| operands.pins(m, p, i),
        tables: &tables,
    };
    let counted = lattice::count(
        &mut netlist,
        case.family,
        &heap,
        &source,
        advance,
        &case.options,
    );
    assert_eq!(counted.count.len() as u32, heap.count_width());
    assert!(counted.arrival.iter().all(|a| *a < counted.latency));
    assert!(counted.arrival.iter().all(|a| *a <= case.options.skew));
    let mut simulation = Simulation::new(&netlist).unwrap();
    let words = (case.groups + case.planes) as usize;
    let beats: Vec<Beat> = (0..6)
        .map(|edge| random_beat(random, words, case.lanes as usize, edge))
        .collect();
    simulation.set(advance, !0);
    for cycle in 0..beats.len() + counted.latency as usize {
        show(&mut simulation, &operands, &counted.arrival, &beats, cycle);
        simulation.settle();
        // Registers that may not move keep their values.
        simulation.set(advance, 0);
        simulation.settle();
        simulation.clock();
        simulation.set(advance, !0);
        simulation.settle();
        simulation.clock();
        let Some(done) = (cycle + 1).checked_sub(counted.latency as usize) else {
            continue;
        };
        let Some(beat) = beats.get(done) else { break };
        for t in [0, 1, 31, 63] {
            assert_eq!(
                simulation.number(&counted.count, t),
                count_of(&operands, &heap, beat, t),
                "{:?} groups {} planes {} lanes {} {:?}",
                case.family,
                case.groups,
                case.planes,
                case.lanes,
                case.options,
            );
        }
    }
}

#[test]
fn counts_are_exact() {
    let seed = 0x1a77;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let lanes = (1..=70).chain([127, 128, 129, 256]);
    for lanes in lanes {
        for family in FAMILIES {
            for objective in OBJECTIVES {
                let options = Options {
                    registers: match lanes % 5 {
                        1 => Registers::Stages(1),
                        2 => Registers::Stages(3),
                        4 => Registers::Stages(100),
                        _ => Registers::EveryLevels(1 + lanes % 3),
                    },
                    skew: [8, 0, 3][lanes as usize % 3],
                    ..Options::new(objective)
                };
                let (groups, planes) = (1, 1);
                check_count(
                    &Case {
                        family,
                        groups,
                        planes,
                        lanes,
                        options,
                    },
                    &mut random,
                );
            }
        }
    }
}

#[test]
fn counts_of_several_branches_are_exact() {
    let seed = 0x1a78;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (groups, planes, lanes) in [
        (1, 2, 7),
        (2, 1, 16),
        (2, 2, 33),
        (3, 2, 20),
        (4, 4, 16),
        (1, 8, 9),
        (8, 8, 4),
        (4, 4, 1),
    ] {
        for family in FAMILIES {
            for objective in OBJECTIVES {
                let options = Options::new(objective);
                check_count(
                    &Case {
                        family,
                        groups,
                        planes,
                        lanes,
                        options,
                    },
                    &mut random,
                );
            }
        }
    }
}

/// What [`BranchAccumulator`](xnorforge_hdl::hardware::BranchAccumulator) says.
fn accumulate(shape: &Accumulator, sum: u64, first: bool, shift: usize, count: u64) -> u64 {
    let mask = |bits: u32| (1u64 << bits) - 1;
    let low_width = shape.low_width;
    let shifted = if shift > 0 {
        sum >> shape.amounts[shift - 1]
    } else {
        sum
    };
    let base = if first { 0 } else { shifted >> low_width };
    let low = if shift > 0 { shifted } else { sum } & mask(low_width);
    ((base + count) & mask(shape.high_width)) << low_width | low
}

fn check_unit(case: &Case, shape: &Accumulator, random: &mut ChaCha8Rng) {
    let mut netlist = Netlist::new();
    let [advance, accumulate_pin, first, clear] =
        ["advance", "accumulate", "first", "clear"].map(|name| netlist.input(name, 1)[0]);
    let shift = netlist.input("shift", shape.amounts.len());
    let operands = Operands::new(&mut netlist, case.groups, case.planes, case.lanes);
    let heap = Heap {
        groups: case.groups,
        planes: case.planes,
        pairs: case.lanes.div_ceil(2),
    };
    let tables = vec![PAIR_TABLE; case.planes as usize];
    let source = Source {
        pins: &|m, p, i| operands.pins(m, p, i),
        tables: &tables,
    };
    let controls = Controls {
        advance,
        accumulate: accumulate_pin,
        first,
        clear,
        shift: shift.clone(),
    };
    let unit = lattice::unit(
        &mut netlist,
        case.family,
        &heap,
        &source,
        &controls,
        shape,
        &case.options,
    );
    assert_eq!(unit.sum.len() as u32, shape.high_width + shape.low_width);
    let mut simulation = Simulation::new(&netlist).unwrap();
    let words = (case.groups + case.planes) as usize;
    let beats: Vec<Beat> = (0..40)
        .map(|edge| random_beat(random, words, case.lanes as usize, edge))
        .collect();
    let mut expected = [0u64; 64];
    simulation.set(advance, !0);
    for cycle in 0..beats.len() + unit.latency as usize {
        show(&mut simulation, &operands, &unit.arrival, &beats, cycle);
        let done = cycle.checked_sub(unit.latency as usize);
        // A fifth of the beats are bubbles, as often a tile starts; the first beat does.
        let adds = done.is_some() && random.random_range(0..5) > 0;
        let starts = done == Some(0) || random.random_range(0..5) == 0;
        let adds = adds || done == Some(0);
        let shifts = match shape.amounts.len() {
            0 => 0,
            n if adds => random.random_range(0..=n),
            _ => 0,
        };
        simulation.set(accumulate_pin, if adds { !0 } else { 0 });
        simulation.set(first, if starts { !0 } else { 0 });
        simulation.set(clear, if adds && starts { !0 } else { 0 });
        for (i, bit) in shift.iter().enumerate() {
            simulation.set(*bit, if shifts == i + 1 { !0 } else { 0 });
        }
        simulation.settle();
        simulation.clock();
        if !adds {
            continue;
        }
        let Some(beat) = done.and_then(|done| beats.get(done)) else {
            continue;
        };
        for t in 0..64 {
            let count = count_of(&operands, &heap, beat, t);
            let expected = &mut expected[t as usize];
            *expected = accumulate(shape, *expected, starts, shifts, count);
            assert_eq!(
                simulation.number(&unit.sum, t),
                *expected,
                "{:?} {shape:?} lanes {} first {starts} shift {shifts}",
                case.family,
                case.lanes,
            );
        }
    }
}

#[test]
fn units_accumulate_exactly() {
    let seed = 0x1a79;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shapes = [
        (12, 0, vec![]),
        (5, 0, vec![]),
        (16, 3, vec![]),
        (10, 4, vec![1]),
        (3, 2, vec![2]),
        (11, 5, vec![1, 3]),
        (9, 6, vec![1, 2, 3, 4, 6]),
    ];
    for (high_width, low_width, amounts) in shapes {
        let shape = Accumulator {
            high_width,
            low_width,
            amounts,
        };
        for (groups, planes, lanes) in [(1, 1, 64), (1, 1, 62), (1, 1, 5), (2, 2, 8), (1, 1, 2)] {
            for family in FAMILIES {
                for objective in OBJECTIVES {
                    let options = Options::new(objective);
                    check_unit(
                        &Case {
                            family,
                            groups,
                            planes,
                            lanes,
                            options,
                        },
                        &shape,
                        &mut random,
                    );
                }
            }
        }
    }
}

/// LUT sites of ECP5; logic cells of iCE40, where a carry without a LUT over the same addends takes one; LUT-like functions
/// and adders of cells.
fn sites(netlist: &Netlist) -> usize {
    let hosts: std::collections::HashSet<[Bit; 2]> = netlist
        .cells()
        .filter_map(|cell| match cell {
            Cell::Lut { inputs, .. } if inputs.len() == 4 => Some([inputs[1], inputs[2]]),
            _ => None,
        })
        .collect();
    let cells = netlist.cells().map(|cell| match cell {
        Cell::Ccu2c { .. } => 2,
        Cell::SbCarry { addends, .. } => usize::from(!hosts.contains(addends)),
        _ => 1,
    });
    cells.sum()
}

/// Sizes that documents and decisions rely on: a change that makes one larger has to say why.
#[test]
fn counts_are_as_small_as_they_were() {
    let all = [32, 64, 128, 256];
    for (family, objective, most) in [
        (Family::Ecp5, Objective::Area, [39, 78, 163, 338]),
        (Family::Ecp5, Objective::Clock, [46, 94, 190, 386]),
        (Family::Ice40, Objective::Area, [41, 83, 170, 345]),
        (Family::Ice40, Objective::Clock, [45, 95, 191, 383]),
        // A pair bit for each two lanes, the adders, two gates for each half adder, an inverter for each bit of the count.
        (Family::Cells, Objective::Area, [40, 76, 140, 274]),
    ] {
        for (lanes, most) in all.into_iter().zip(most) {
            let mut netlist = Netlist::new();
            let advance = netlist.input("advance", 1)[0];
            let operands = Operands::new(&mut netlist, 1, 1, lanes);
            let heap = Heap {
                groups: 1,
                planes: 1,
                pairs: lanes / 2,
            };
            let source = Source {
                pins: &|m, p, i| operands.pins(m, p, i),
                tables: &[PAIR_TABLE],
            };
            let options = Options::new(objective);
            lattice::count(&mut netlist, family, &heap, &source, advance, &options);
            let sites = sites(&netlist);
            assert!(sites <= most, "{family:?} {objective:?} {lanes}: {sites}");
        }
    }
}
