//! A netlist as Yosys' `write_json` writes it: the part that counting needs.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// All modules of a design.
#[derive(Debug, Deserialize)]
pub(crate) struct Netlist {
    pub(crate) modules: BTreeMap<String, Module>,
}

/// One module. Maps are sorted by name, so that everything computed from them is the same on every run.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Module {
    #[serde(default)]
    pub(crate) ports: BTreeMap<String, Port>,
    #[serde(default)]
    pub(crate) cells: BTreeMap<String, Cell>,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
}

/// A port of a module.
#[derive(Debug, Deserialize)]
pub(crate) struct Port {
    pub(crate) direction: Direction,
    pub(crate) bits: Vec<Bit>,
}

/// A cell.
#[derive(Debug, Deserialize)]
pub(crate) struct Cell {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) port_directions: BTreeMap<String, Direction>,
    pub(crate) connections: BTreeMap<String, Vec<Bit>>,
    #[serde(default)]
    parameters: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Input,
    Output,
    Inout,
}

/// What a pin is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bit {
    /// A net, by its number.
    Net(u32),
    /// A constant: `0`, `1`, `x` or `z`.
    Constant(String),
}

impl Bit {
    /// The net, unless it is a constant.
    pub(crate) fn net(&self) -> Option<u32> {
        match self {
            Bit::Net(net) => Some(*net),
            Bit::Constant(_) => None,
        }
    }
}

impl Cell {
    /// What bit `index` of a port is connected to.
    pub(crate) fn pin(&self, port: &str, index: usize) -> Option<&Bit> {
        self.connections.get(port)?.get(index)
    }

    /// The text of a parameter; none of one that is a number, or is not there.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }

    /// The net at a port's only bit.
    pub(crate) fn net(&self, port: &str) -> Option<u32> {
        self.pin(port, 0)?.net()
    }

    /// Every output bit that drives a net: port, index, net.
    pub(crate) fn output_bits(&self) -> impl Iterator<Item = (&str, usize, u32)> {
        self.connections
            .iter()
            .filter(|(port, _)| self.port_directions.get(*port) == Some(&Direction::Output))
            .flat_map(|(port, bits)| {
                bits.iter()
                    .enumerate()
                    .filter_map(|(i, bit)| Some((port.as_str(), i, bit.net()?)))
            })
    }

    /// The distinct nets at inputs, sorted.
    pub(crate) fn input_nets(&self) -> Vec<u32> {
        let mut nets: Vec<u32> = self.nets(Direction::Input).collect();
        nets.sort_unstable();
        nets.dedup();
        nets
    }

    fn nets(&self, direction: Direction) -> impl Iterator<Item = u32> + '_ {
        self.connections
            .iter()
            .filter(move |(port, _)| self.port_directions.get(*port) == Some(&direction))
            .flat_map(|(_, bits)| bits.iter().filter_map(Bit::net))
    }
}

impl Module {
    /// How many pins read each net: inputs of cells and outputs of the module.
    pub(crate) fn fanout(&self) -> HashMap<u32, u32> {
        let mut fanout = HashMap::new();
        let cells = self.cells.values().flat_map(|c| c.nets(Direction::Input));
        let ports = self
            .ports
            .values()
            .filter(|port| port.direction != Direction::Input)
            .flat_map(|port| port.bits.iter().filter_map(Bit::net));
        for net in cells.chain(ports) {
            *fanout.entry(net).or_insert(0) += 1;
        }
        fanout
    }

    /// Whether it only describes a cell of the device, and is no part of the design.
    pub(crate) fn is_library_cell(&self) -> bool {
        ["blackbox", "whitebox"]
            .iter()
            .any(|name| self.attributes.contains_key(*name))
    }

    /// How many cells of each kind.
    pub(crate) fn cell_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        // Newer versions of Yosys note where a flattened module was; that is no cell.
        let cells = self.cells.values().filter(|c| c.kind != "$scopeinfo");
        for cell in cells {
            *counts.entry(cell.kind.clone()).or_insert(0) += 1;
        }
        counts
    }
}
