//! How many places of the device a netlist's LUTs take: LUT sites of Xilinx 7, logic cells of iCE40.
//!
//! A Xilinx LUT site (LUT6_2) holds one function of six inputs, or two functions that have at most five inputs
//! between them. Which LUTs share a site is a maximum matching. Carry chains restrict it: the LUT that drives
//! S of a carry position sits in that position's site, and its second output is the position's DI, so it
//! shares its site with the LUT that drives that DI and nothing else, or with no one. A position whose S is a constant or
//! a net has its first output free for that, and hosts the LUT of its DI on the second. A LUT6_2 that stands in the
//! design as such is a site of its own, with its position if its O6 drives an S. A real placer may share
//! a few more; it also has reasons (control sets, congestion) to share fewer.

use super::netlist::{Bit, Cell, Module};
use petgraph::graph::{NodeIndex, UnGraph};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Inputs that two functions of one site may have between them.
const SHARED_INPUTS_MAX: usize = 5;
/// Carry cells and how many positions they have.
const CARRIES: [(&str, usize); 2] = [("CARRY4", 4), ("CARRY8", 8)];
/// Up to this many LUTs the matching is over every pair that fits; above, edges are restricted.
const EXACT_LUTS_MAX: usize = 3000;
/// With restricted edges, the most LUTs on one net that are all compared with each other.
const NET_LUTS_MAX: usize = 32;

/// The LUTs of a netlist for Xilinx 7 and how they share sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct XilinxSites {
    /// LUT cells, inverters among them.
    pub(super) luts: u64,
    /// Sites that two LUTs share.
    pub(super) shared: u64,
    /// Carry positions in use whose S no LUT drives and whose site hosts no LUT for their DI: they only pass a carry
    /// or a net, and take a site too.
    pub(super) passing: u64,
    /// Whether every pair that fits was considered; otherwise `shared` is a lower bound.
    pub(super) exact: bool,
}

/// A LUT: its distinct input nets, sorted, and its output.
struct Lut {
    inputs: Vec<u32>,
    output: Option<u32>,
}

/// The LUT6_2s of a netlist: their functions in use, and what their upper outputs drive.
struct DualLuts {
    functions: u64,
    sites: u64,
    upper: HashSet<u32>,
}

impl DualLuts {
    fn new(module: &Module) -> Self {
        let fanout = module.fanout();
        let cells = || module.cells.values().filter(|c| c.kind == "LUT6_2");
        let used = |cell: &Cell, port| cell.net(port).is_some_and(|net| fanout.contains_key(&net));
        let functions = |cell| u64::from(used(cell, "O6")) + u64::from(used(cell, "O5"));
        Self {
            // One without a function in use still takes its site.
            functions: cells().map(|cell| functions(cell).max(1)).sum(),
            sites: cells().count() as u64,
            upper: cells().filter_map(|cell| cell.net("O6")).collect(),
        }
    }
}

/// Counts LUTs and shared sites of a netlist made by `synth_xilinx -family xc7`.
pub(super) fn xilinx(module: &Module) -> XilinxSites {
    let dual = DualLuts::new(module);
    let luts: Vec<Lut> = module
        .cells
        .values()
        .filter_map(|cell| {
            let output = match cell.kind.as_str() {
                "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" | "INV" => cell.net("O"),
                _ => return None,
            };
            let inputs = cell.input_nets();
            Some(Lut { inputs, output })
        })
        .collect();
    let chains = Chains::new(module, &luts, &dual.upper);
    let free: Vec<&[u32]> = luts
        .iter()
        .enumerate()
        .filter(|(i, lut)| !chains.taken.contains(i) && lut.inputs.len() <= SHARED_INPUTS_MAX)
        .map(|(_, lut)| lut.inputs.as_slice())
        .collect();
    let exact = free.len() <= EXACT_LUTS_MAX;
    let matched = if exact {
        match_all(&free)
    } else {
        match_restricted(&free)
    };
    XilinxSites {
        luts: luts.len() as u64 + dual.functions,
        shared: (chains.pairs + matched) as u64 + dual.functions - dual.sites,
        passing: chains.passing,
        exact,
    }
}

/// What the carry chains decide about LUTs.
struct Chains {
    /// LUTs whose site is settled: those that drive an S, and the partners that drive the same position's DI.
    taken: HashSet<usize>,
    /// How many of them have such a partner.
    pairs: usize,
    /// Positions in use without a LUT.
    passing: u64,
}

impl Chains {
    /// `settled`: nets of LUT6_2s, which settle the first position whose S they drive.
    fn new(module: &Module, luts: &[Lut], settled: &HashSet<u32>) -> Self {
        let fanout = module.fanout();
        let read = |bit: Option<&Bit>| {
            bit.and_then(Bit::net)
                .is_some_and(|net| fanout.contains_key(&net))
        };
        let driver: HashMap<u32, usize> = luts
            .iter()
            .enumerate()
            .filter_map(|(i, lut)| Some((lut.output?, i)))
            .collect();
        let driver_of = |bit: Option<&Bit>| driver.get(&bit?.net()?).copied();
        let positions: Vec<(Option<&Bit>, Option<&Bit>)> = module
            .cells
            .values()
            .filter_map(|cell| {
                let carry = CARRIES.iter().find(|(kind, _)| cell.kind == *kind)?;
                Some((cell, carry.1))
            })
            .flat_map(|(cell, size)| {
                let used = (0..size)
                    .rev()
                    .find(|&i| read(cell.pin("O", i)) || read(cell.pin("CO", i)))
                    .map_or(0, |last| last + 1);
                (0..used).map(|i| (cell.pin("S", i), cell.pin("DI", i)))
            })
            .collect();
        // All the S first: a LUT that drives an S somewhere is no partner elsewhere.
        let mut taken = HashSet::new();
        let mut settled = settled.clone();
        let mut passes = Vec::new();
        let mut hosts = Vec::new();
        for &(select, data) in &positions {
            match driver_of(select) {
                None if select
                    .and_then(Bit::net)
                    .is_some_and(|s| settled.remove(&s)) => {}
                Some(lut) if taken.insert(lut) => hosts.push((lut, data)),
                _ => passes.push((select, data)),
            }
        }
        // The LUT that drives DI and nothing else sits in the position's site, on its second output.
        let mut partner = |first: &[u32], data: Option<&Bit>| {
            let alone = data.and_then(Bit::net).and_then(|net| fanout.get(&net)) == Some(&1);
            driver_of(data)
                .is_some_and(|lut| alone && fit(first, &luts[lut].inputs) && taken.insert(lut))
        };
        let pairs = hosts
            .iter()
            .filter(|(host, data)| partner(&luts[*host].inputs, *data))
            .count();
        let hosting = passes.iter().filter(|(select, data)| {
            let select: Vec<u32> = select.and_then(Bit::net).into_iter().collect();
            partner(&select, *data)
        });
        let passing = passes.len() as u64 - hosting.count() as u64;
        Self {
            taken,
            pairs,
            passing,
        }
    }
}

/// Whether two sorted input sets have at most five nets between them.
fn fit(a: &[u32], b: &[u32]) -> bool {
    let common = a.iter().filter(|net| b.contains(net)).count();
    a.len() + b.len() - common <= SHARED_INPUTS_MAX
}

/// The most disjoint pairs over all that fit.
fn match_all(luts: &[&[u32]]) -> usize {
    let edges = (0..luts.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    maximum_matching(luts.len(), edges.filter(|&(i, j)| fit(luts[i], luts[j]))).0
}

/// Many disjoint pairs, quickly: the most over pairs that share a net of few readers, then as many as
/// possible of the rest by their numbers of inputs alone.
fn match_restricted(luts: &[&[u32]]) -> usize {
    let mut readers: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, inputs) in luts.iter().enumerate() {
        for &net in *inputs {
            readers.entry(net).or_default().push(i);
        }
    }
    let mut edges: Vec<(usize, usize)> = readers
        .values()
        .flat_map(|on_net| {
            // A net that many LUTs read (an enable) says little; neighbours in the netlist are likely partners.
            on_net.iter().enumerate().flat_map(|(k, &j)| {
                on_net[k + 1..]
                    .iter()
                    .take(NET_LUTS_MAX - 1)
                    .map(move |&i| (i, j))
            })
        })
        .filter(|&(i, j)| fit(luts[i], luts[j]))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let (pairs, matched) = maximum_matching(luts.len(), edges.into_iter());
    let rest = luts.iter().zip(matched).filter(|(_, matched)| !matched);
    pairs + match_by_size(rest.map(|(inputs, _)| inputs.len()))
}

/// The most disjoint pairs whose sizes add up to at most five: the largest takes the largest that fits.
fn match_by_size(sizes: impl Iterator<Item = usize>) -> usize {
    let mut count = [0usize; SHARED_INPUTS_MAX + 1];
    for size in sizes {
        count[size] += 1;
    }
    let mut pairs = 0;
    for large in (0..=SHARED_INPUTS_MAX).rev() {
        for small in (0..=large.min(SHARED_INPUTS_MAX - large)).rev() {
            let made = if small == large {
                count[large] / 2
            } else {
                count[large].min(count[small])
            };
            count[large] -= made;
            count[small] -= made;
            pairs += made;
        }
    }
    pairs
}

/// The size of a maximum matching, and which nodes are in it.
fn maximum_matching(
    nodes: usize,
    edges: impl Iterator<Item = (usize, usize)>,
) -> (usize, Vec<bool>) {
    let mut graph = UnGraph::<(), (), usize>::default();
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (i, j) in edges {
        graph.add_edge(NodeIndex::new(i), NodeIndex::new(j), ());
    }
    let matching = petgraph::algo::maximum_matching(&graph);
    let matched = (0..nodes)
        .map(|i| matching.contains_node(NodeIndex::new(i)))
        .collect();
    (matching.len(), matched)
}

/// Logic cells that a netlist for iCE40 takes at most.
///
/// A logic cell holds one LUT, the carry whose I0 and I1 are that LUT's I1 and I2 (nextpnr's rule), and the
/// flip-flop that the LUT drives alone. Every LUT, every carry without such a LUT and every flip-flop without such a LUT is
/// counted; carries and flip-flops may still share cells, so it is an upper bound.
pub(super) fn ice40_logic_cells(module: &Module) -> u64 {
    let fanout = module.fanout();
    let mut luts = 0;
    let mut hosts: HashMap<[Option<&Bit>; 2], u64> = HashMap::new();
    let mut outputs = HashSet::new();
    for lut in module.cells.values().filter(|c| c.kind == "SB_LUT4") {
        luts += 1;
        let key = ["I1", "I2"].map(|port| lut.pin(port, 0));
        *hosts.entry(key).or_insert(0) += 1;
        outputs.extend(lut.net("O"));
    }
    let mut alone = 0;
    for cell in module.cells.values() {
        if cell.kind == "SB_CARRY" {
            let key = ["I0", "I1"].map(|port| cell.pin(port, 0));
            match hosts.get_mut(&key) {
                Some(left) if *left > 0 => *left -= 1,
                _ => alone += 1,
            }
        } else if cell.kind.starts_with("SB_DFF") {
            let packs = cell
                .net("D")
                .is_some_and(|net| outputs.contains(&net) && fanout[&net] == 1);
            alone += u64::from(!packs);
        }
    }
    luts + alone
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn module(cells: Value) -> Module {
        serde_json::from_value(json!({ "cells": cells })).unwrap()
    }

    fn lut(inputs: &[u32], output: u32) -> Value {
        let mut connections = json!({ "O": [output] });
        let mut directions = json!({ "O": "output" });
        for (i, net) in inputs.iter().enumerate() {
            connections[format!("I{i}")] = json!([net]);
            directions[format!("I{i}")] = json!("input");
        }
        json!({
            "type": format!("LUT{}", inputs.len()),
            "port_directions": directions,
            "connections": connections,
        })
    }

    /// One CARRY4 whose outputs O are nets 1000..=1003.
    fn carry4(select: Value, data: Value) -> Value {
        json!({
            "type": "CARRY4",
            "port_directions": {
                "S": "input", "DI": "input", "CI": "input", "CYINIT": "input", "O": "output", "CO": "output",
            },
            "connections": {
                "S": select, "DI": data, "CI": ["0"], "CYINIT": ["0"],
                "O": [1000, 1001, 1002, 1003], "CO": [1004, 1005, 1006, 1007],
            },
        })
    }

    fn register(data: u32) -> Value {
        json!({
            "type": "FDRE",
            "port_directions": { "D": "input", "Q": "output" },
            "connections": { "D": [data], "Q": [data + 10_000] },
        })
    }

    #[test]
    fn luts_pair_when_they_have_five_inputs_between_them() {
        for (a, b, shared) in [
            (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5], 1),
            (vec![1, 2, 3], vec![4, 5], 1),
            (vec![1, 2, 3], vec![4, 5, 6], 0),
            (vec![1, 2, 3, 4], vec![3, 4, 5], 1),
            (vec![1, 2, 3, 4, 5, 6], vec![1], 0),
            // Two pins on one net are one input.
            (vec![1, 1, 2, 3, 4], vec![5], 1),
        ] {
            let found = xilinx(&module(json!({ "a": lut(&a, 100), "b": lut(&b, 101) })));
            assert_eq!((found.luts, found.shared), (2, shared), "{a:?} {b:?}");
            assert!(found.exact);
        }
    }

    /// A path of four: a greedy choice of the middle edge would leave two LUTs alone.
    #[test]
    fn the_matching_is_maximum() {
        let cells = json!({
            "a": lut(&[1, 2, 3, 4, 5], 100),
            "b": lut(&[2, 3, 4, 5], 101),
            "c": lut(&[2, 3, 6], 102),
            "d": lut(&[6, 7, 8, 2], 103),
        });
        assert_eq!(xilinx(&module(cells)).shared, 2);
    }

    #[test]
    fn the_lut_of_a_carry_shares_only_with_the_lut_of_the_same_position() {
        // Each of the three would fit a site with any other.
        let shared = |select: Value, data: Value, readers: Value| {
            let mut cells = json!({
                "s": lut(&[1, 2, 3], 100),
                "d": lut(&[1, 2], 101),
                "carry": carry4(select, data),
                "register": register(1000),
            });
            for (i, reader) in readers.as_array().unwrap().iter().enumerate() {
                cells[format!("reader{i}")] = reader.clone();
            }
            xilinx(&module(cells)).shared
        };
        let first = |net: Value| json!([net, "0", "0", "0"]);
        assert_eq!(shared(first(json!(100)), first(json!(101)), json!([])), 1);
        // A second reader of `d` needs an output of the site that the sum has: `d` sits elsewhere, `s` alone.
        let twice = json!([register(101)]);
        assert_eq!(shared(first(json!(100)), first(json!(101)), twice), 0);
        // There it shares with a third LUT.
        let third = json!([register(101), lut(&[1, 2, 3], 102)]);
        assert_eq!(shared(first(json!(100)), first(json!(101)), third), 1);
        // `d` drives the DI of another position.
        let other = json!(["0", 101, "0", "0"]);
        assert_eq!(shared(first(json!(100)), other, json!([register(1001)])), 0);
        // No carry decides: any two share.
        assert_eq!(shared(first(json!("0")), first(json!("0")), json!([])), 1);
    }

    #[test]
    fn positions_without_a_lut_are_counted_up_to_the_last_one_in_use() {
        let found = xilinx(&module(json!({
            "s": lut(&[1, 2], 100),
            "carry": carry4(json!([100, 7, "0", "0"]), json!([1, 7, "0", "0"])),
            "register": register(1002),
        })));
        assert_eq!(found.passing, 2);
        let unused = xilinx(&module(json!({
            "carry": carry4(json!([1, 2, 3, 4]), json!([1, 2, 3, 4])),
        })));
        assert_eq!(unused.passing, 0);
    }

    fn lut6_2(inputs: &[u32], o6: u32, o5: u32) -> Value {
        let mut cell = lut(inputs, o6);
        cell["type"] = json!("LUT6_2");
        let connections = cell["connections"].as_object_mut().unwrap();
        connections.remove("O");
        connections.insert("O6".into(), json!([o6]));
        connections.insert("O5".into(), json!([o5]));
        cell["port_directions"]["O6"] = json!("output");
        cell["port_directions"]["O5"] = json!("output");
        cell
    }

    /// A LUT6_2 with both functions in use, one whose O6 drives the S of a position, and that position's neighbour, whose
    /// S is a constant.
    #[test]
    fn a_lut6_2_is_a_site_with_its_position() {
        let module = module(json!({
            "a": lut6_2(&[1, 2, 3, 4, 5], 100, 101),
            "s": lut6_2(&[1, 2, 3, 4], 102, 103),
            "carry": carry4(json!([102, "0", "0", "0"]), json!([103, 7, "0", "0"])),
            "r0": register(100), "r1": register(101), "r2": register(1000), "r3": register(1001),
        }));
        let found = xilinx(&module);
        assert_eq!((found.luts - found.shared, found.passing), (2, 1));
        assert_eq!(found.luts, 4);
    }

    #[test]
    fn a_carry8_has_eight_positions() {
        let mut carry = carry4(
            json!([9, 9, 9, 9, 9, 9, 9, 9]),
            json!([9, 9, 9, 9, 9, 9, 9, 9]),
        );
        carry["type"] = json!("CARRY8");
        carry["connections"]["O"] = json!([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007]);
        carry["connections"]["CO"] = json!([1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017]);
        let found = xilinx(&module(json!({ "carry": carry, "r": register(1006) })));
        assert_eq!(found.passing, 7);
    }

    #[test]
    fn an_inverter_is_a_lut() {
        let inverter = json!({
            "type": "INV",
            "port_directions": { "I": "input", "O": "output" },
            "connections": { "I": [1], "O": [2] },
        });
        let found = xilinx(&module(
            json!({ "a": inverter, "b": lut(&[3, 4, 5, 6], 7) }),
        ));
        assert_eq!((found.luts, found.shared), (2, 1));
    }

    #[test]
    fn sizes_pair_largest_first() {
        for (sizes, pairs) in [
            (vec![5, 5], 0),
            (vec![4, 1, 3, 2], 2),
            (vec![3, 3, 2, 2, 1], 2),
            (vec![2, 2, 2], 1),
            (vec![5, 0], 1),
            (vec![4, 4, 1], 1),
            (vec![], 0),
        ] {
            assert_eq!(match_by_size(sizes.iter().copied()), pairs, "{sizes:?}");
        }
    }

    /// On pairs that share nets, and on LUTs that share nothing, the restricted way finds as many.
    #[test]
    fn restricted_edges_find_what_all_edges_find_on_plain_structures() {
        let full_adders: Vec<Vec<u32>> = (0..200)
            .flat_map(|i| {
                [
                    vec![3 * i, 3 * i + 1, 3 * i + 2],
                    vec![3 * i, 3 * i + 1, 3 * i + 2],
                ]
            })
            .collect();
        let disjoint: Vec<Vec<u32>> = (0..100)
            .map(|i| (0..1 + i % 4).map(|k| 10 * i + k).collect())
            .collect();
        for luts in [full_adders, disjoint] {
            let luts: Vec<&[u32]> = luts.iter().map(Vec::as_slice).collect();
            assert_eq!(match_restricted(&luts), match_all(&luts));
        }
    }

    #[test]
    fn a_logic_cell_of_ice40_holds_lut_carry_and_register() {
        let lut = |output: u32| {
            json!({
                "type": "SB_LUT4",
                "port_directions": { "I0": "input", "I1": "input", "I2": "input", "I3": "input", "O": "output" },
                "connections": { "I0": ["0"], "I1": [1], "I2": [2], "I3": [3], "O": [output] },
            })
        };
        let carry = |i0: u32| {
            json!({
                "type": "SB_CARRY",
                "port_directions": { "I0": "input", "I1": "input", "CI": "input", "CO": "output" },
                "connections": { "I0": [i0], "I1": [2], "CI": [3], "CO": [50 + i0] },
            })
        };
        let flip_flop = |data: u32| {
            json!({
                "type": "SB_DFFE",
                "port_directions": { "D": "input", "Q": "output" },
                "connections": { "D": [data], "Q": [data + 100] },
            })
        };
        let one = module(json!({ "l": lut(10), "c": carry(1), "f": flip_flop(10) }));
        assert_eq!(ice40_logic_cells(&one), 1);
        // A second carry with the same inputs, one with others, and a flip-flop that no LUT drives.
        let more = module(json!({
            "l": lut(10), "c": carry(1), "c2": carry(1), "c3": carry(4), "f": flip_flop(10), "g": flip_flop(11),
        }));
        assert_eq!(ice40_logic_cells(&more), 4);
    }
}
