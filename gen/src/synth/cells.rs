//! Standard cells: mapping to a Liberty file with Yosys and ABC, timing with OpenSTA.

use super::{Family, Request, SynthError, Toolbox};
use crate::area::netlist::{Bit, Cell, Module};
use crate::area::{self, file_error};
use crate::liberty::{Library, LibraryCell};
use crate::pnr::{PnrError, clock_port};
use crate::tools::Found;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What a run's copy of the Liberty file is called: Yosys' script cannot quote any name that a file may have.
const LIBERTY: &str = "cells.lib";
/// Load of an output while ABC sizes gates, in fF: a few inverters of most libraries.
const LOAD: f64 = 20.0;

/// How fast a netlist of standard cells is. Wires and clock trees take no time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellTiming {
    /// What computed it.
    pub method: Method,
    /// Longest delay from edge to edge, in ns.
    pub delay_ns: f64,
    /// Its reciprocal, in MHz.
    pub fmax_mhz: f64,
    /// The register or input where the path starts.
    pub from: Option<String>,
    /// The register or output where it ends.
    pub to: Option<String>,
    /// Cells on it, the register that it starts from among them.
    pub levels: Option<u64>,
}

/// What computed a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Static timing analysis: clock-to-output, gates by load and slope, setup.
    OpenSta,
    /// ABC's estimate while mapping: gates between registers, without clock-to-output and setup.
    Abc,
    /// The same of a design that instantiates cells of the library, which ABC does not look into: the longest stretch of
    /// gates between registers and these cells. The frequency is only a bound: none is higher.
    AbcStretches,
}

/// The commands that map to the cells; the design may instantiate some. [`prepare`] writes the files that they read. With
/// constraints ABC inserts buffers, sizes gates for the frequency, and prints the delay.
pub(super) fn synthesis(top: &str, flat: bool, clock_mhz: f64) -> String {
    let picoseconds = 1e6 / clock_mhz;
    let flatten = if flat { " -flatten" } else { "" };
    // OpenSTA reads no concatenation on the left of an assignment: nets are split, so that only ports have assignments,
    // and these are of one range each.
    format!(
        "read_liberty -lib -ignore_redef -ignore_miss_func -ignore_miss_dir -ignore_miss_data_latch {LIBERTY}\n\
         synth{flatten} -top {top}\n\
         dfflibmap -liberty {LIBERTY}\n\
         tee -q -o abc.log abc -D {picoseconds:.0} -liberty {LIBERTY} -constr abc.constr\n\
         splitnets\n\
         opt_clean -purge\n\
         write_verilog -noattr -noexpr -simple-lhs netlist.v"
    )
}

/// Puts what [`synthesis`] reads in `folder`; nothing for other families.
pub(super) fn prepare(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
) -> Result<(), SynthError> {
    let (Family::Asic, Some(path), Some(library)) =
        (request.family, request.liberty, &toolbox.library)
    else {
        return Ok(());
    };
    let copy = folder.join(LIBERTY);
    fs::copy(path, &copy).map_err(|e| file_error(path, e))?;
    // `check` has seen that there is an inverter.
    let driver = library.inverter().unwrap_or_default();
    let constraints = folder.join("abc.constr");
    let text = format!("set_driving_cell {driver}\nset_load {LOAD}\n");
    fs::write(&constraints, text).map_err(|e| file_error(&constraints, e))?;
    Ok(())
}

/// The delay of the mapped design in `folder`.
pub(super) fn time(
    toolbox: &Toolbox,
    request: &Request<'_>,
    library: &Library,
    module: &Module,
    folder: &Path,
) -> Result<CellTiming, SynthError> {
    let top = &request.verilog.top;
    check_registers(top, library, module)?;
    let is_gate = |cell: &Cell| {
        let found = library.cell(&cell.kind);
        found.is_some_and(|found| found.flip_flop.is_none())
    };
    // ABC times gates alone.
    if toolbox.sta.is_none() && !module.cells.values().any(is_gate) {
        return Err(no_path(top));
    }
    match &toolbox.sta {
        Some(sta) => by_sta(sta, request, library, module, folder),
        None => {
            let timing = by_abc(&toolbox.yosys, folder)?;
            Ok(match has_boxes(library, module) {
                true => CellTiming {
                    method: Method::AbcStretches,
                    ..timing
                },
                false => timing,
            })
        }
    }
}

/// Whether there are cells that ABC does not map to: those of several outputs.
fn has_boxes(library: &Library, module: &Module) -> bool {
    let mut cells = module.cells.values();
    cells.any(|cell| match library.cell(&cell.kind) {
        Some(cell) => cell.flip_flop.is_none() && !cell.latch && cell.outputs.len() > 1,
        None => false,
    })
}

/// The nets at a library cell's clock pin.
fn clock_nets(library: &Library, cell: &Cell) -> Vec<Option<u32>> {
    let clock = library.cell(&cell.kind).and_then(LibraryCell::clock);
    let bit = clock.and_then(|(pin, _)| cell.pin(pin, 0));
    bit.map(Bit::net).into_iter().collect()
}

fn by_sta(
    sta: &Found,
    request: &Request<'_>,
    library: &Library,
    module: &Module,
    folder: &Path,
) -> Result<CellTiming, SynthError> {
    let top = &request.verilog.top;
    let clock = clock_port(top, module, &|cell| clock_nets(library, cell))?;
    let path = folder.join("sta.tcl");
    let text = sta_script(top, clock, 1000.0 / request.clock_mhz)?;
    fs::write(&path, text).map_err(|e| file_error(&path, e))?;
    let run = sta
        .invoke(folder, "sta.log")
        .args(["-no_splash", "-no_init", "-exit", "sta.tcl"])
        .time_limit(request.time_limit)
        .run()?;
    let log = run.read_log().map_err(|e| file_error(&run.log, e))?;
    let timing = read_sta(&log).map_err(|reason| SynthError::Log {
        tool: sta.tool.name,
        version: sta.version.clone(),
        path: run.log,
        reason,
    })?;
    timing.ok_or_else(|| no_path(top))
}

/// Refuses what neither tool times as [`crate::pnr`] does: registers must take the rising edge.
fn check_registers(top: &str, library: &Library, module: &Module) -> Result<(), SynthError> {
    let clock = |what: &str| {
        Err(PnrError::Clock {
            top: top.to_owned(),
            what: what.to_owned(),
        }
        .into())
    };
    for cell in module.cells.values() {
        let Some(found) = library.cell(&cell.kind) else {
            // Neither a cell nor a note of Yosys: what the library has no cell for.
            if cell.kind.starts_with("$_DLATCH") || cell.kind.starts_with("$_SR_") {
                return clock("some registers are latches");
            }
            if cell.kind.starts_with("$_") {
                return Err(SynthError::NoCell {
                    top: top.to_owned(),
                    kind: cell.kind.clone(),
                });
            }
            continue;
        };
        if found.latch {
            return clock("some registers are latches");
        }
        match (&found.flip_flop, found.clock()) {
            (None, _) | (_, Some((_, true))) => {}
            (_, Some((_, false))) => return clock("some registers take the falling edge"),
            (_, None) => return clock("several pins clock some registers"),
        }
    }
    Ok(())
}

fn no_path(top: &str) -> SynthError {
    SynthError::NoPath {
        top: top.to_owned(),
    }
}

/// OpenSTA's script. Inputs change at the clock's edge, and outputs are taken at it, as between registers.
fn sta_script(top: &str, clock: Option<&str>, period_ns: f64) -> Result<String, SynthError> {
    let (source, name) = match clock {
        Some(name) => {
            // It stands in a script.
            area::check_name("clock port", name)?;
            (format!(" [get_ports {name}]"), name)
        }
        None => Default::default(),
    };
    Ok(format!(
        "read_liberty {LIBERTY}
read_verilog netlist.v
link_design {top}
set_cmd_units -time ns
create_clock -name clock -period {period_ns}{source}
foreach port [all_inputs] {{
    if {{[get_property $port full_name] ne \"{name}\"}} {{
        set_input_delay 0 -clock clock $port
    }}
}}
set_output_delay 0 -clock clock [all_outputs]
report_checks -path_delay max -fields {{fanout}} -digits 4
puts \"worst slack [worst_slack -max] of {period_ns} ns\"
"
    ))
}

/// What OpenSTA says of the longest path; none if no path goes through a cell.
fn read_sta(log: &str) -> Result<Option<CellTiming>, String> {
    if let Some(line) = log.lines().find(|l| l.starts_with("Error")) {
        return Err(line.to_owned());
    }
    let line = log
        .lines()
        .find_map(|l| l.strip_prefix("worst slack "))
        .ok_or("it has no slack")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [slack, "of", period, "ns"] = words[..] else {
        return Err(format!("its slack is `{line}`"));
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| !n.is_nan());
    let (period, slack) = number(period)
        .zip(number(slack))
        .ok_or_else(|| format!("its slack is `{line}`"))?;
    let delay = period - slack;
    if delay > 1e9 {
        return Err(format!("its slack is `{line}`"));
    }
    // Slack is a number of 24 bits, so that no path, or one without cells, is near the period; or it is infinite.
    if delay < (1e-6 * period).max(1e-4) {
        return Ok(None);
    }
    let name = |label: &str| {
        let line = log.lines().find_map(|l| l.strip_prefix(label))?;
        Some(line.split_whitespace().next()?.to_owned())
    };
    // A line of the path names a pin and, in brackets, its cell; the end is another register's clock.
    let arrival = log.lines().take_while(|l| !l.contains("data arrival time"));
    let pins = arrival.filter(|l| l.contains('/') && l.ends_with(')'));
    Ok(Some(CellTiming {
        method: Method::OpenSta,
        delay_ns: delay,
        fmax_mhz: 1000.0 / delay,
        from: name("Startpoint: "),
        to: name("Endpoint: "),
        // The clock pin of the first register and the data pin of the last one are no further cells.
        levels: (pins.count() as u64).checked_sub(2),
    }))
}

fn by_abc(yosys: &Found, folder: &Path) -> Result<CellTiming, SynthError> {
    let path = folder.join("abc.log");
    let log = fs::read(&path).map_err(|e| file_error(&path, e))?;
    read_abc(&String::from_utf8_lossy(&log)).ok_or_else(|| SynthError::Log {
        tool: yosys.tool.name,
        version: yosys.version.clone(),
        path,
        reason: "ABC states no delay; has the design any gate?".to_owned(),
    })
}

fn read_abc(log: &str) -> Option<CellTiming> {
    let line = log.lines().rfind(|l| l.contains("Delay = "))?;
    let delay = line.split("Delay = ").nth(1)?.split_whitespace().next()?;
    let delay_ns = delay
        .parse::<f64>()
        .ok()
        .filter(|d| *d > 0.0 && d.is_finite())?
        / 1000.0;
    Some(CellTiming {
        method: Method::Abc,
        delay_ns,
        fmax_mhz: 1000.0 / delay_ns,
        from: None,
        to: None,
        levels: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STA: &str = "\
Startpoint: _1_ (rising edge-triggered flip-flop clocked by clock)
Endpoint: _3_ (rising edge-triggered flip-flop clocked by clock)
   0.00    0.00   clock network delay (ideal)
   0.00    0.00 ^ _1_/CLK (DFFPOSX1)
   0.20    0.20 v _1_/Q (DFFPOSX1)
   0.16    0.37 ^ _2_/Y (MUX2X1)
   0.00    0.37 ^ _3_/D (DFFPOSX1)
           0.37   data arrival time
           1.00 ^ _3_/CLK (DFFPOSX1)
worst slack 0.5 of 1 ns
";

    #[test]
    fn a_log_of_opensta() {
        let timing = read_sta(STA).unwrap().unwrap();
        assert_eq!((timing.delay_ns, timing.fmax_mhz), (0.5, 2000.0));
        assert_eq!(timing.from.as_deref(), Some("_1_"));
        assert_eq!(
            (timing.to.as_deref(), timing.levels),
            (Some("_3_"), Some(2))
        );
    }

    #[test]
    fn logs_that_say_nothing() {
        for log in [
            "worst slack 1e+30 of 1 ns",
            "worst slack INF of 1 ns",
            "worst slack 4.0 of 4 ns",
            "worst slack 3.3333332538604736 of 3.3333333333333335 ns",
        ] {
            assert_eq!(read_sta(log), Ok(None), "{log}");
        }
        for log in [
            "",
            "worst slack x",
            "worst slack NaN of 1 ns",
            "worst slack -INF of 1 ns",
            "Error: cells.lib line 1, syntax error\nworst slack 0.5 of 1 ns",
        ] {
            assert!(read_sta(log).is_err(), "{log}");
        }
        assert!(read_abc("ABC: + stime -p").is_none());
        assert!(read_abc("Delay = 0.00 ps").is_none());
    }

    #[test]
    fn registers_without_a_cell_are_refused() {
        let module = |kind: &str| {
            let text = format!(
                r#"{{"cells": {{"r": {{"type": "{kind}", "connections": {{"C": [2]}}}}}}}}"#
            );
            serde_json::from_str::<Module>(&text).unwrap()
        };
        let library = Library::parse(
            r#"library (l) { cell (F) { ff (IQ, IQN) { next_state : "D"; clocked_on : "C & E"; }
                pin (C) { direction : input; } pin (E) { direction : input; }
                pin (D) { direction : input; } pin (Q) { direction : output; function : "IQ"; } } }"#,
        )
        .unwrap();
        for (kind, expected) in [
            ("$_DFFSR_PPP_", "needs a `$_DFFSR_PPP_`"),
            ("$_DLATCH_P_", "are latches"),
            ("F", "several pins clock"),
        ] {
            let error = check_registers("m", &library, &module(kind)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(check_registers("m", &library, &module("$scopeinfo")).is_ok());
    }

    #[test]
    fn a_log_of_abc() {
        let timing = read_abc(
            "ABC: WireLoad = \"none\"  Area = 9 ( 96.9 %)   Delay =  1859.38 ps  (  3.4 %)",
        )
        .unwrap();
        assert!((timing.delay_ns - 1.85938).abs() < 1e-9);
        assert_eq!(timing.method, Method::Abc);
    }
}
