//! Counts toggles in a waveform while it is written.

use super::nets::{Below, ModuleIndex, Nets};
use std::collections::HashMap;
use std::io::{self, BufRead};
use vcd::{Command, IdCode, Parser, Scope, ScopeItem, Value};

/// Toggles of each module's nets, in one stretch of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// Cycles.
    pub cycles: u64,
    /// By module, all instances.
    pub toggles: Vec<u64>,
}

/// What a waveform has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Nets of each module in bits, all instances.
    pub bits: Vec<u64>,
    /// The stretches in which `busy` is high, one after the other; one for everything if there is no such signal.
    pub phases: Vec<Phase>,
}

/// A signal of the waveform.
#[derive(Clone, Debug)]
struct Signal {
    module: ModuleIndex,
    /// Empty before its first value.
    value: Vec<Value>,
}

/// Reads a waveform with times as in [`xnorforge_sim::verilator::TraceWindow`]: cycle `c` at `2c` and `2c + 1`.
///
/// `busy` is a net of the top module of one bit; toggles count while it is 1.
///
/// # Errors
/// A waveform that cannot be read, or is none.
pub fn count(waveform: impl BufRead, nets: &Nets, busy: Option<&str>) -> io::Result<Counted> {
    let mut parser = Parser::new(waveform);
    let header = parser.parse_header()?;
    let mut signals = HashMap::new();
    let mut counted = Counted {
        bits: vec![0; nets.modules()],
        phases: Vec::new(),
    };
    let top = top_scope(&header.items)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no scope"))?;
    let busy = match busy {
        None => None,
        Some(name) => {
            let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("no net `{name}`"));
            Some(header_net(top, name).ok_or_else(missing)?)
        }
    };
    list(top, nets.top(), nets, &mut signals, &mut counted.bits);

    let phase = || Phase {
        cycles: 0,
        toggles: vec![0; nets.modules()],
    };
    let mut is_busy = busy.is_none();
    if is_busy {
        counted.phases.push(phase());
    }
    for command in parser {
        match command? {
            Command::Timestamp(time) if time.is_multiple_of(2) && is_busy => {
                if let Some(phase) = counted.phases.last_mut() {
                    phase.cycles += 1;
                }
            }
            Command::ChangeScalar(code, value) => {
                if Some(code) == busy {
                    let was = std::mem::replace(&mut is_busy, value == Value::V1);
                    if is_busy && !was {
                        counted.phases.push(phase());
                    }
                }
                let phase = counted.phases.last_mut().filter(|_| is_busy);
                change(&mut signals, code, &[value], phase);
            }
            Command::ChangeVector(code, value) => {
                let phase = counted.phases.last_mut().filter(|_| is_busy);
                let value: Vec<Value> = value.iter().collect();
                change(&mut signals, code, &value, phase);
            }
            _ => {}
        }
    }
    Ok(counted)
}

/// The scope of the design's top module: the simulator may put one of its own around it.
fn top_scope(items: &[ScopeItem]) -> Option<&Scope> {
    let outer = items.iter().find_map(scope)?;
    Some(outer.items.iter().find_map(scope).unwrap_or(outer))
}

fn scope(item: &ScopeItem) -> Option<&Scope> {
    match item {
        ScopeItem::Scope(scope) => Some(scope),
        _ => None,
    }
}

fn header_net(scope: &Scope, name: &str) -> Option<IdCode> {
    scope.items.iter().find_map(|item| match item {
        ScopeItem::Var(var) if var.reference == name => Some(var.code),
        _ => None,
    })
}

/// Lists the nets that count. One that has several names stands where its first name that counts is.
fn list(
    scope: &Scope,
    module: ModuleIndex,
    nets: &Nets,
    signals: &mut HashMap<IdCode, Signal>,
    bits: &mut [u64],
) {
    for item in &scope.items {
        match item {
            ScopeItem::Var(var) if nets.counts(module, &var.reference) => {
                signals.entry(var.code).or_insert_with(|| {
                    bits[module] += u64::from(var.size);
                    Signal {
                        module,
                        value: Vec::new(),
                    }
                });
            }
            ScopeItem::Scope(inner) => match nets.below(module, &inner.identifier) {
                Below::Same => list(inner, module, nets, signals, bits),
                Below::Module(module) => list(inner, module, nets, signals, bits),
                Below::Primitive => {}
            },
            _ => {}
        }
    }
}

/// Takes a signal's new value; adds the bits that differ to a phase.
fn change(
    signals: &mut HashMap<IdCode, Signal>,
    code: IdCode,
    value: &[Value],
    phase: Option<&mut Phase>,
) {
    let Some(signal) = signals.get_mut(&code) else {
        return;
    };
    if let Some(phase) = phase {
        phase.toggles[signal.module] += differing(&signal.value, value);
    }
    signal.value.clear();
    signal.value.extend_from_slice(value);
}

/// Bits in which two values differ, most significant first; leading zeros may be missing. None if there was no value.
fn differing(before: &[Value], after: &[Value]) -> u64 {
    if before.is_empty() {
        return 0;
    }
    let long = before.len().max(after.len());
    let bit = |value: &[Value], place: usize| match place.checked_sub(long - value.len()) {
        Some(place) => value[place],
        None => Value::V0,
    };
    let differs = (0..long).filter(|place| bit(before, *place) != bit(after, *place));
    differs.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use Value::{V0, V1};
    use xnorforge_hdl::Package;
    use xnorforge_hdl::emit::{ModuleInfo, VerilogFile};

    #[test]
    fn values_without_their_leading_zeros() {
        assert_eq!(differing(&[], &[V1]), 0);
        assert_eq!(differing(&[V1, V0, V1], &[V1]), 1);
        assert_eq!(differing(&[V1], &[V1, V0, V0, V0]), 2);
        assert_eq!(differing(&[V0, V1], &[V0, V1]), 0);
    }

    /// Two registers of two bits in a top that copies one, inverts the other, and has a memory and a LUT.
    fn package() -> Package {
        let cell = "module cell (\n    input  wire       clock,\n    input  wire [1:0] d,\n    output wire [1:0] q\n);\n\
            reg  [1:0] held;\nassign q = held;\n`ifdef FORMAL\nreg past;\n`endif\nendmodule\n";
        let top = "module top (\n    input  wire       clock,\n    input  wire [1:0] in,\n    output wire [1:0] out,\n    output wire busy\n);\n\
            wire [3:0] all;\nwire [1:0] twin;\nwire flag;\nreg [1:0] memory [0:3];\n\
            generate\nfor (c = 0; c < 2; c = c + 1) begin : g_cell\n    cell u_cell (\n        .clock (clock),\n        .d     (in),\n\
            \x20       .q     (all[2*c +: 2])\n    );\nend\nendgenerate\n\
            assign twin = all[1:0];\nassign out = ~all[3:2];\n    LUT1 #(.INIT(2'h1)) u_lut (.I0(in[0]), .O(flag));\nendmodule\n";
        let info = |name: &str, instances| ModuleInfo {
            name: name.to_owned(),
            summary: String::new(),
            instances,
        };
        let file = |name: &str, text: &str| VerilogFile {
            name: format!("{name}.v"),
            text: text.to_owned(),
        };
        Package {
            top: "top".to_owned(),
            files: vec![file("cell", cell), file("top", top)],
            modules: vec![info("cell", 2), info("top", 1)],
            ports: Vec::new(),
            primitives: Vec::new(),
        }
    }

    const HEADER: &str = "$timescale 1ps $end\n$scope module TOP $end\n$scope module top $end\n\
        $var wire 1 ! clock $end\n$var wire 2 # in [1:0] $end\n$var wire 2 $ out [1:0] $end\n$var wire 1 % busy $end\n\
        $var wire 4 & all [3:0] $end\n$var wire 2 ' twin [1:0] $end\n$var wire 1 ( flag $end\n$var wire 2 ) memory[0] [1:0] $end\n\
        $scope module g_cell[0] $end\n$scope module u_cell $end\n$var wire 2 # d [1:0] $end\n$var wire 2 * held [1:0] $end\n\
        $var wire 2 * q [1:0] $end\n$var wire 1 , past $end\n$upscope $end\n$upscope $end\n\
        $scope module g_cell[1] $end\n$scope module u_cell $end\n$var wire 2 # d [1:0] $end\n$var wire 2 + held [1:0] $end\n\
        $var wire 2 + q [1:0] $end\n$upscope $end\n$upscope $end\n\
        $scope module u_lut $end\n$var wire 1 ( O $end\n$upscope $end\n\
        $upscope $end\n$upscope $end\n$enddefinitions $end\n";

    #[test]
    fn each_net_counts_once_where_it_is_made() {
        let nets = Nets::new(&package());
        let changes = "#0\n0!\nb00 #\nb11 $\n1%\nb0000 &\nb00 '\n0(\nb00 )\nb00 *\nb00 +\n0,\n\
            #1\n1!\nb0111 &\nb11 '\nb11 *\nb01 +\nb10 $\n1(\nb11 )\n1,\n#2\n0!\nb01 #\n#3\nb10 *\nb1110 &\n\
            #4\n0%\nb11 $\n";
        let waveform = format!("{HEADER}{changes}");
        let counted = count(waveform.as_bytes(), &nets, None).unwrap();
        // Registers of both cells; `out`, `busy` and the LUT's `flag` of the top.
        assert_eq!(counted.bits, [4, 4]);
        let all = Phase {
            cycles: 3,
            toggles: vec![2 + 1 + 1, 1 + 1 + 1 + 1],
        };
        assert_eq!(counted.phases, [all]);
    }

    #[test]
    fn toggles_count_while_the_design_is_busy() {
        let nets = Nets::new(&package());
        let changes = "#0\n0%\nb00 *\n#1\nb11 *\n#2\n1%\nb10 *\n#3\n#4\n0%\n#5\nb01 *\n#6\n1%\n#7\nb10 *\n#8\n#9\n#10\n0%\n";
        let waveform = format!("{HEADER}{changes}");
        let counted = count(waveform.as_bytes(), &nets, Some("busy")).unwrap();
        let found: Vec<(u64, u64)> = counted
            .phases
            .iter()
            .map(|p| (p.cycles, p.toggles[0]))
            .collect();
        assert_eq!(found, [(1, 1), (2, 2)], "{counted:?}");
        assert!(count(waveform.as_bytes(), &nets, Some("idle")).is_err());
        assert!(count(&b"$scope"[..], &nets, None).is_err());
    }
}
