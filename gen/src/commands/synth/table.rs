//! A synthesis as text: tables by module, the total, the timing.

use crate::estimate::{Estimate, OutOfRange};
use crate::pnr::{Path, Placed, StepKind};
use crate::synth::{CellTiming, Count, Depth, Family, Method, Synthesis, Timing, estimated_size};
use crate::terminal::{Terminal, thousands};

/// Prints everything; `estimate` beside the total, where there is a model, or why there is none.
pub(super) fn print(
    terminal: &Terminal,
    synthesis: &Synthesis,
    estimate: Option<&Result<Estimate, OutOfRange>>,
) {
    let columns = Columns::of(synthesis);
    let mut rows: Vec<Vec<String>> = synthesis
        .modules
        .iter()
        .map(|module| columns.row(&module.name, Some(module.instances), &module.each))
        .collect();
    rows.push(columns.row("all of it, flat", None, &synthesis.total));
    if let Some(Ok(estimate)) = estimate {
        rows.push(columns.estimate(estimate));
    }
    terminal.table(&columns.heading(), &rows);
    match estimate {
        Some(Ok(estimate)) => terminal.line(estimate_line(synthesis, estimate)),
        Some(Err(reason)) => terminal.line(format!("no estimate: {reason}")),
        None => {}
    }
    terminal.line("");
    match &synthesis.timing {
        Timing::PlaceAndRoute(placed) => placed_lines(terminal, placed),
        Timing::Cells(timing) => terminal.line(cell_line(timing)),
        Timing::Depth(depth) => terminal.line(depth_line(synthesis.family, depth)),
    }
}

/// Which columns say something about this design.
struct Columns {
    logic: &'static str,
    sites: bool,
    area: bool,
    carry: bool,
    lut_memories: bool,
    bram: bool,
    dsp: bool,
}

impl Columns {
    fn of(synthesis: &Synthesis) -> Self {
        let total = &synthesis.total;
        let any = |count: fn(&Count) -> u64| {
            count(total) > 0
                || synthesis
                    .modules
                    .iter()
                    .any(|module| count(&module.each) > 0)
        };
        Self {
            logic: match synthesis.family {
                Family::Generic | Family::Asic => ">gates each",
                Family::Intel => ">ALUTs each",
                _ => ">LUTs each",
            },
            sites: total.sites.is_some(),
            area: total.cell_area.is_some(),
            carry: any(|c| c.carry),
            lut_memories: any(|c| c.lut_memories),
            bram: any(|c| c.bram),
            dsp: any(|c| c.dsp),
        }
    }

    fn heading(&self) -> Vec<&'static str> {
        let mut heading = vec!["module", ">instances", self.logic];
        for (shown, name) in [
            (self.sites, ">sites"),
            (self.area, ">area"),
            (self.carry, ">carry"),
            (true, ">FF"),
            (self.lut_memories, ">LUT RAM"),
            (self.bram, ">block RAM"),
            (self.dsp, ">DSP"),
        ] {
            if shown {
                heading.push(name);
            }
        }
        heading
    }

    /// The estimate as a row: it knows no LUT cells, and counts distributed memories as places.
    fn estimate(&self, estimate: &Estimate) -> Vec<String> {
        let number = |value: f64| thousands(value as u128);
        let logic = if self.sites {
            "-".into()
        } else {
            number(estimate.luts)
        };
        let mut row = vec!["estimate".to_owned(), String::new(), logic];
        for (shown, text) in [
            (self.sites, number(estimate.luts)),
            (
                self.area,
                estimate.cell_area.map_or("-".into(), |a| format!("{a:.1}")),
            ),
            (self.carry, number(estimate.carries)),
            (true, number(estimate.flip_flops)),
            (self.lut_memories, "-".to_owned()),
            (self.bram, number(estimate.block_rams)),
            (self.dsp, number(estimate.multipliers)),
        ] {
            if shown {
                row.push(text);
            }
        }
        row
    }

    fn row(&self, name: &str, instances: Option<u64>, count: &Count) -> Vec<String> {
        let number = |n: u64| thousands(n.into());
        let mut row = vec![
            name.to_owned(),
            instances.map(number).unwrap_or_default(),
            number(count.logic),
        ];
        for (shown, text) in [
            (self.sites, count.sites.map(number).unwrap_or_default()),
            (
                self.area,
                count.cell_area.map_or("-".into(), |a| format!("{a:.1}")),
            ),
            (self.carry, number(count.carry)),
            (true, number(count.ff)),
            (self.lut_memories, number(count.lut_memories)),
            (self.bram, number(count.bram)),
            (self.dsp, number(count.dsp)),
        ] {
            if shown {
                row.push(text);
            }
        }
        row
    }
}

/// How far the estimate is from the modules' sum, which it is an estimate of, and from the flat total.
fn estimate_line(synthesis: &Synthesis, estimate: &Estimate) -> String {
    let of_cells = estimate.cell_area.is_some();
    let sum = estimated_size(&synthesis.modules, of_cells);
    let estimated = estimate.cell_area.unwrap_or(estimate.luts);
    let off = |measured: f64| 100.0 * (estimated - measured) / measured.max(1.0);
    format!(
        "the estimate is of the modules' sum, {}: {:+.1} %; of the flat total: {:+.1} %; on designs that the model had not seen it was {:.1} % off in the mean, {:.1} % at worst",
        thousands(sum as u128),
        off(sum),
        off(synthesis.total.size(of_cells)),
        estimate.error_percent,
        estimate.error_worst_percent
    )
}

fn placed_lines(terminal: &Terminal, placed: &Placed) {
    let (low, high) = placed.fmax_range_mhz();
    let spread = match placed.runs.len() {
        1 => "one run of the placer".to_owned(),
        runs => format!("median of {runs} runs, {low:.1} to {high:.1}"),
    };
    terminal.line(format!(
        "{:.1} MHz on the {} ({spread}), placed for {} MHz",
        placed.fmax_mhz(),
        placed.part.describe(),
        placed.clock_mhz
    ));
    let run = placed.median();
    let used: Vec<String> = run
        .used
        .iter()
        .map(|(kind, usage)| format!("{kind} {} of {}", usage.used, usage.available))
        .collect();
    terminal.line(format!(
        "on the part, with the harness ({} FF of it): {}",
        thousands(placed.harness_ff.into()),
        used.join(", ")
    ));
    terminal.line(path_line(&run.path));
}

fn path_line(path: &Path) -> String {
    let longest = path
        .steps
        .iter()
        .filter(|step| step.kind == StepKind::Wire)
        .max_by(|a, b| a.delay_ns.total_cmp(&b.delay_ns));
    let wire = longest.map_or_else(String::new, |wire| {
        format!(
            "; its longest wire `{}`, {:.2} ns over {} tiles",
            wire.net.as_deref().unwrap_or("-"),
            wire.delay_ns,
            wire.tiles
        )
    });
    format!(
        "critical path: {} to {}, {} levels, {:.2} ns in cells and {:.2} ns on wires{wire}",
        path.from,
        path.to,
        path.levels(),
        path.logic_ns,
        path.routing_ns
    )
}

fn cell_line(timing: &CellTiming) -> String {
    let ends = match (&timing.from, &timing.to, timing.levels) {
        (Some(from), Some(to), Some(levels)) => format!(", from {from} to {to}, {levels} cells"),
        _ => String::new(),
    };
    match timing.method {
        Method::OpenSta => format!(
            "{:.1} MHz by OpenSTA: {:.3} ns{ends}; wires and clock tree take no time here",
            timing.fmax_mhz, timing.delay_ns
        ),
        Method::Abc => format!(
            "{:.1} MHz by ABC's estimate: {:.3} ns of gates between registers, without clock-to-output and setup (install OpenSTA for both)",
            timing.fmax_mhz, timing.delay_ns
        ),
        Method::AbcStretches => format!(
            "at most {:.1} MHz by ABC's estimate: {:.3} ns in the longest stretch of gates between registers and adder cells, which it does not time (install OpenSTA for whole paths)",
            timing.fmax_mhz, timing.delay_ns
        ),
    }
}

fn depth_line(family: Family, depth: &Depth) -> String {
    let cells: Vec<String> = depth
        .cells
        .iter()
        .map(|(kind, number)| format!("{number} {kind}"))
        .collect();
    format!(
        "longest path: {} cells ({}); no open flow places and times {family}, so no frequency is given",
        depth.levels,
        cells.join(", ")
    )
}
