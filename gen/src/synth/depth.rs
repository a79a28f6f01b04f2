//! The longest path of a netlist in cells, where no open tool can say how long it takes.

use crate::area::netlist::{Cell, Module};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// The longest path from a register or an input to a register or an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Cells on it; each carry cell counts, as in a vendor's report of logic levels.
    pub levels: u64,
    /// The same by type.
    pub cells: BTreeMap<String, u64>,
}

/// One output bit of a cell and the nets that it depends on.
struct Gate<'m> {
    cell: &'m str,
    kind: &'m str,
    inputs: Vec<u32>,
    output: u32,
}

/// The longest path; the name of a cell of a loop if there is one.
pub(super) fn longest(module: &Module) -> Result<Depth, String> {
    let gates = gates(module);
    let driver: HashMap<u32, usize> = gates
        .iter()
        .enumerate()
        .map(|(index, gate)| (gate.output, index))
        .collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); gates.len()];
    let mut waiting = vec![0usize; gates.len()];
    for (index, gate) in gates.iter().enumerate() {
        for driver in gate.inputs.iter().filter_map(|net| driver.get(net)) {
            readers[*driver].push(index);
            waiting[index] += 1;
        }
    }
    let mut level = vec![1u64; gates.len()];
    let mut before: Vec<Option<usize>> = vec![None; gates.len()];
    let mut ready: Vec<usize> = (0..gates.len()).filter(|i| waiting[*i] == 0).collect();
    let mut done = 0;
    while let Some(index) = ready.pop() {
        done += 1;
        for &reader in &readers[index] {
            // Two bits of one carry cell are one cell of the path.
            let step = u64::from(gates[reader].cell != gates[index].cell);
            if before[reader].is_none() || level[index] + step > level[reader] {
                level[reader] = level[index] + step;
                before[reader] = Some(index);
            }
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    if done < gates.len() {
        let stuck = waiting.iter().position(|n| *n > 0);
        return Err(stuck.map_or_else(String::new, |i| gates[i].cell.to_owned()));
    }
    // The first of equal ones, so that every run gives the same.
    let mut at = (0..gates.len()).max_by_key(|i| (level[*i], std::cmp::Reverse(*i)));
    let mut depth = Depth::default();
    let mut last = "";
    while let Some(index) = at {
        if gates[index].cell != last {
            depth.levels += 1;
            *depth.cells.entry(gates[index].kind.to_owned()).or_insert(0) += 1;
            last = gates[index].cell;
        }
        at = before[index];
    }
    Ok(depth)
}

/// Every output bit of every cell that is no register, memory or multiplier.
fn gates(module: &Module) -> Vec<Gate<'_>> {
    let mut gates = Vec::new();
    for (name, cell) in &module.cells {
        if !is_combinational(cell) {
            continue;
        }
        for (port, index, net) in cell.output_bits() {
            gates.push(Gate {
                cell: name,
                kind: &cell.kind,
                inputs: reads(cell, port, index),
                output: net,
            });
        }
    }
    gates
}

/// The nets that a bit of an output depends on. Within a carry cell a bit depends on the positions up to its own alone:
/// chains that share a cell are not one path.
fn reads(cell: &Cell, port: &str, index: usize) -> Vec<u32> {
    let up_to = |port: &str, positions: usize| -> Vec<u32> {
        (0..positions)
            .filter_map(|i| cell.pin(port, i)?.net())
            .collect()
    };
    match (cell.kind.as_str(), port) {
        ("CARRY4" | "CARRY8", "O" | "CO") => {
            // The sum bit takes its own S, and what comes before; the carry its own DI as well.
            let own = usize::from(port == "CO");
            [
                up_to("S", index + 1),
                up_to("DI", index + own),
                up_to("CI", 1),
                up_to("CYINIT", 1),
                up_to("CI_TOP", 1),
            ]
            .concat()
        }
        ("LUT6_2", "O5") => (0..5).filter_map(|i| cell.net(&format!("I{i}"))).collect(),
        _ => read_addresses(cell).unwrap_or_else(|| cell.input_nets()),
    }
}

/// Nets at the read addresses of a memory in LUTs, if the cell is one: what is written waits for a clock.
fn read_addresses(cell: &Cell) -> Option<Vec<u32>> {
    let ports: &[&str] = match cell.kind.as_str() {
        "RAM32M" | "RAM64M" => &["ADDRA", "ADDRB", "ADDRC", "ADDRD"],
        "RAM32X1D" | "RAM64X1D" | "RAM128X1D" => {
            &["DPRA", "DPRA0", "DPRA1", "DPRA2", "DPRA3", "DPRA4", "DPRA5"]
        }
        "RAM16SDP1" | "RAM16SDP2" | "RAM16SDP4" => &["RAD"],
        "MISTRAL_MLAB" => &["B1ADDR"],
        _ => return None,
    };
    let bits = ports.iter().flat_map(|port| {
        let bits = cell.connections.get(*port).into_iter().flatten();
        bits.filter_map(|bit| bit.net())
    });
    Some(bits.collect())
}

/// Cells through which a path goes on. Memories in blocks and multipliers end it, as registers do: what they take is not
/// known here.
fn is_combinational(cell: &Cell) -> bool {
    let kind = cell.kind.as_str();
    ["LUT", "MUX", "MISTRAL_ALUT"]
        .iter()
        .any(|prefix| kind.starts_with(prefix))
        || matches!(kind, "INV" | "CARRY4" | "CARRY8" | "ALU" | "MISTRAL_NOT")
        || read_addresses(cell).is_some()
        || (kind.starts_with("$_")
            && !["$_DFF", "$_SDFF", "$_ALDFF", "$_DLATCH", "$_SR", "$_FF"]
                .iter()
                .any(|prefix| kind.starts_with(prefix)))
}
