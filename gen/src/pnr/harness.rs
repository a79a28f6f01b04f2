//! What feeds a unit of thousands of ports through four pins.

use super::PnrError;
use crate::area::netlist::{Bit, Cell, Direction, Module, Port};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The harness's module.
pub(super) const TOP: &str = "xnf_pnr_harness";
/// The port of the clock that is measured.
pub(super) const CLOCK: &str = "measured_clock";
/// The port of the clock of the shift registers.
pub(super) const SLOW_CLOCK: &str = "harness_clock";
/// The pin that the shift register is filled from.
pub(super) const SCAN_IN: &str = "scan_in";
/// The pin that everything is folded into.
pub(super) const SCAN_OUT: &str = "scan_out";

/// A harness for a unit.
#[derive(Debug)]
pub(super) struct Harness {
    unit: String,
    /// Name of the unit's clock, if it has registers.
    clock: Option<String>,
    /// Names and widths.
    inputs: Vec<(String, usize)>,
    outputs: Vec<(String, usize)>,
}

impl Harness {
    /// The harness of a mapped module.
    pub(super) fn around(unit: &str, module: &Module) -> Result<Self, PnrError> {
        if module.cells.values().any(takes_the_falling_edge) {
            return Err(PnrError::Clock {
                top: unit.to_owned(),
                what: "some registers take the falling edge".into(),
            });
        }
        let clock = clock_port(unit, module, &clock_nets)?;
        let mut harness = Self {
            unit: unit.to_owned(),
            clock: clock.map(str::to_owned),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        for (name, port) in &module.ports {
            let entry = (name.clone(), port.bits.len());
            match port.direction {
                Direction::Input if Some(name.as_str()) == clock => {}
                Direction::Input => harness.inputs.push(entry),
                Direction::Output => harness.outputs.push(entry),
                Direction::Inout => {
                    return Err(PnrError::Inout {
                        top: unit.to_owned(),
                        port: name.clone(),
                    });
                }
            }
        }
        if harness.outputs.is_empty() {
            return Err(PnrError::NoOutput {
                top: unit.to_owned(),
            });
        }
        Ok(harness)
    }

    /// Its registers: two for each bit in or out.
    pub(super) fn flip_flops(&self) -> u64 {
        2 * (width(&self.inputs) + width(&self.outputs)) as u64
    }

    /// Its LUTs: one for each bit that is folded, but the first.
    pub(super) fn luts(&self) -> u64 {
        (width(&self.outputs) as u64).saturating_sub(1)
    }

    /// Its Verilog. Paths between the two clocks are not timed, so that the shift registers may lie anywhere.
    pub(super) fn verilog(&self) -> String {
        let (inputs, outputs) = (width(&self.inputs).max(1), width(&self.outputs).max(1));
        let mut connections = Vec::new();
        if let Some(clock) = &self.clock {
            connections.push(format!(".\\{clock} ({CLOCK})"));
        }
        connect(&mut connections, "launch", &self.inputs);
        connect(&mut connections, "result", &self.outputs);
        let mut text = String::new();
        let _ = write!(
            text,
            "module {TOP}(input {CLOCK}, input {SLOW_CLOCK}, input {SCAN_IN}, output {SCAN_OUT});
    reg [{i}:0] chain, launch;
    wire [{o}:0] result;
    reg [{o}:0] capture, fold;
    \\{unit} unit({connections});
    always @(posedge {CLOCK}) begin
        launch <= chain;
        capture <= result;
    end
    always @(posedge {SLOW_CLOCK}) begin
        chain <= {{chain, {SCAN_IN}}};
        fold <= {{fold, 1'b0}} ^ capture;
    end
    assign {SCAN_OUT} = fold[{o}];
endmodule
",
            i = inputs - 1,
            o = outputs - 1,
            unit = self.unit,
            connections = connections.join(", "),
        );
        text
    }
}

fn width(ports: &[(String, usize)]) -> usize {
    ports.iter().map(|(_, width)| width).sum()
}

/// Connects ports to the bits of a vector, one after the other.
fn connect(connections: &mut Vec<String>, vector: &str, ports: &[(String, usize)]) {
    let mut low = 0;
    for (name, width) in ports.iter().filter(|(_, width)| *width > 0) {
        connections.push(format!(".\\{name} ({vector}[{}:{low}])", low + width - 1));
        low += width;
    }
}

/// The one input that clocks every register; none of a module without registers. `clock_nets` are the nets at a cell's
/// clock pins, nothing in place of a constant.
pub(crate) fn clock_port<'m>(
    unit: &str,
    module: &'m Module,
    clock_nets: &dyn Fn(&Cell) -> Vec<Option<u32>>,
) -> Result<Option<&'m str>, PnrError> {
    let nets: BTreeSet<Option<u32>> = module.cells.values().flat_map(clock_nets).collect();
    let failure = |what: String| PnrError::Clock {
        top: unit.to_owned(),
        what,
    };
    if nets.len() > 1 {
        return Err(failure(format!("its registers have {} clocks", nets.len())));
    }
    let Some(net) = nets.first() else {
        return Ok(None);
    };
    let is_clock = |port: &&Port| {
        port.direction == Direction::Input
            && matches!(port.bits.as_slice(), [bit] if bit.net().is_some() && bit.net() == *net)
    };
    let mut names = module.ports.iter().filter(|(_, port)| is_clock(port));
    match names.next() {
        Some((name, _)) => Ok(Some(name)),
        None => Err(failure(
            "what clocks its registers is no input of one bit".into(),
        )),
    }
}

/// What is at the clock pins of a cell of an ECP5 or an iCE40.
fn clock_nets(cell: &Cell) -> Vec<Option<u32>> {
    let pins: &[&str] = match cell.kind.as_str() {
        "TRELLIS_FF" => &["CLK"],
        "TRELLIS_DPR16X4" => &["WCK"],
        "DP16KD" => &["CLKA", "CLKB"],
        "PDPW16KD" => &["CLKW", "CLKR"],
        "MULT18X18D" => &["CLK0", "CLK1", "CLK2", "CLK3"],
        "SB_MAC16" => &["CLK"],
        kind if kind.starts_with("SB_DFF") => &["C"],
        kind if kind.starts_with("SB_RAM40_4K") => &["RCLK", "WCLK", "RCLKN", "WCLKN"],
        _ => &[],
    };
    // A pin that is left open, or tied, of a memory or a multiplier clocks nothing.
    pins.iter()
        .filter_map(|pin| cell.pin(pin, 0))
        .filter(|bit| cell.kind.contains("FF") || bit.net().is_some())
        .map(Bit::net)
        .collect()
}

fn takes_the_falling_edge(cell: &Cell) -> bool {
    cell.kind.starts_with("SB_DFFN")
        || cell.kind.starts_with("SB_RAM40_4KN")
        || cell.parameter("CLKMUX") == Some("INV")
}
