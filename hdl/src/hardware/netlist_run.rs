//! A netlist inside a RustHDL block: simulated natively, printed as the body of its module.

use crate::fabric::{Bit, Dialect, Item, Netlist, Simulation};
use crate::rtl::Word;
use std::fmt::Write as _;

/// A netlist that runs as a part of a RustHDL simulation; only one of its 64 stimuli is used.
#[derive(Clone, Debug)]
pub(super) struct NetlistRun {
    simulation: Simulation,
}

impl NetlistRun {
    /// All registers hold 0.
    ///
    /// # Panics
    /// If the netlist is none: a bug of the structure that built it, which its own tests find.
    pub fn new(netlist: &Netlist) -> Self {
        NetlistRun {
            simulation: Simulation::new(netlist).expect("structures build sound netlists"),
        }
    }

    /// Sets an input port to words side by side, the first at the bottom.
    pub fn drive(&mut self, netlist: &Netlist, port: &str, words: &[Word]) {
        let Some(port) = netlist.inputs().iter().find(|p| p.name == port) else {
            return;
        };
        let values = words
            .iter()
            .flat_map(|word| (0..word.bits()).map(|i| word.get_bit(i)));
        for (bit, value) in port.bits.iter().zip(values) {
            self.simulation.set(*bit, if value { !0 } else { 0 });
        }
    }

    /// A clock edge.
    pub fn clock(&mut self) {
        self.simulation.settle();
        self.simulation.clock();
    }

    /// What an output port shows.
    pub fn read(&self, netlist: &Netlist, port: &str) -> Word {
        let bits = netlist.outputs().iter().find(|p| p.name == port);
        let bits = bits.map_or(&[][..], |port| &port.bits);
        Word::from_bits(bits.iter().map(|bit| self.simulation.get(*bit) & 1 == 1))
    }
}

/// The body of the module of a netlist: its Verilog, and a reader for the nets that nothing else reads.
pub(super) fn verilog(netlist: &Netlist, dialect: Dialect) -> String {
    let mut text = netlist.verilog_body(dialect);
    let unread: Vec<String> = unread(netlist)
        .into_iter()
        .map(|bit| netlist.name(bit))
        .collect();
    if !unread.is_empty() {
        let _ = write!(
            text,
            "\n    wire [0:0] unused = &{{1'b0, {}}};\n",
            unread.join(", ")
        );
    }
    text
}

/// Nets that are driven, and that neither a cell nor a register nor an output reads.
fn unread(netlist: &Netlist) -> Vec<Bit> {
    let mut read = vec![false; netlist.nets()];
    let mut driven: Vec<Bit> = Vec::new();
    for port in netlist.inputs() {
        driven.extend(&port.bits);
    }
    for item in netlist.items() {
        match item {
            Item::Cell(cell) => {
                cell.inputs()
                    .iter()
                    .for_each(|bit| read[bit.index()] = true);
                driven.extend(cell.outputs());
            }
            Item::Register {
                d,
                q,
                enable,
                reset,
            } => {
                for bit in d.iter().chain([enable, reset]) {
                    read[bit.index()] = true;
                }
                driven.extend(q);
            }
            Item::Comment(_) => {}
        }
    }
    for bit in netlist.outputs().iter().flat_map(|port| &port.bits) {
        read[bit.index()] = true;
    }
    driven.retain(|bit| !read[bit.index()]);
    driven
}
