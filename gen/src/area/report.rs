//! `docs/area.md`: every unit in one table for each target, and whole arrays.

use super::{Area, AreaError, Cells, Origin, Unit, measure, synthesis};
use crate::tools::Found;
use rayon::prelude::*;
use std::fmt::Write as _;
use xnorforge_hdl::Target;

/// Measures all units, as many at a time as there are processors, and writes the report: what was run, and
/// a [`table`] for each target. It depends on the units, the library and the version of Yosys alone. Without a
/// library, standard cells are counted as gates.
///
/// # Errors
/// The first unit's that failed.
pub fn run_area_report(
    yosys: &Found,
    units: &[Unit],
    cells: Option<&Cells>,
) -> Result<String, AreaError> {
    let areas = units
        .par_iter()
        .map(|unit| measure_unit(yosys, unit, cells))
        .collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<(&Unit, Option<&Area>)> =
        units.iter().zip(areas.iter().map(Option::as_ref)).collect();
    let mut text = format!(
        "# Area\n\nWritten by `xnorforge area` (`make area`) with {} {}: synthesis, before place and route.\n\n{LEGEND}",
        yosys.tool.name, yosys.version
    );
    for target in Target::ALL {
        let rows: Vec<_> = rows.iter().filter(|(u, _)| u.target == target).collect();
        if rows.is_empty() {
            continue;
        }
        let commands = match (target, cells) {
            (Target::Asic, Some(_)) => Cells::synthesis("TOP"),
            _ => synthesis(yosys, target, "TOP")?,
        };
        let _ = writeln!(text, "\n## Units: {target}\n\n`{commands}`");
        if let (Target::Asic, Some(cells)) = (target, cells) {
            let name = cells.name();
            let _ = writeln!(text, "\nAreas are those of the library `{name}`, in um2.");
        }
        text.push('\n');
        let rows: Vec<_> = rows.into_iter().copied().collect();
        text.push_str(&table(&rows));
    }
    if areas.iter().flatten().any(|area| !area.pairing_is_exact) {
        text.push_str(RESTRICTED);
    }
    Ok(text)
}

fn measure_unit(
    yosys: &Found,
    unit: &Unit,
    cells: Option<&Cells>,
) -> Result<Option<Area>, AreaError> {
    let Origin::Verilog(verilog) = &unit.origin else {
        return Ok(None);
    };
    tracing::info!(structure = %unit.structure, target = %unit.target, lanes = unit.lanes, "measuring");
    match (unit.target, cells) {
        (Target::Asic, Some(cells)) => cells.measure(yosys, verilog),
        _ => measure(yosys, verilog, unit.target),
    }
    .map(Some)
}

const LEGEND: &str = "\
Each table has, for one target, whole processing elements with their accumulators: those that `structure = \"auto\"` makes
first, each with the row unit that completes the sums of all elements in its row, then the other structures by name, then
the element that most people write, through the same commands. Dot products have up to 4096 elements.

- *Sites*: xilinx, LUT6_2 sites, where two LUTs with at most five inputs between them count once; which ones share is a
  maximum matching, legal beside carry chains: an estimate of what a vendor's packer does. ecp5, LUT4s and two for each CCU2C;
  ice40, LUT4s; asic, cells without flip-flops.
- *At most*: xilinx, also a site for each carry position that no LUT drives; ice40, logic cells when carries and
  flip-flops share none.
- *Carry*: CARRY4, CCU2C or SB_CARRY cells.
- *Per operation*: sites (area, flip-flops included, where there is one) divided by binary operation pairs (an XNOR and its
  share of the sum) per cycle: lanes times branch pairs.

The naive elements hold operand registers of their own (a flip-flop for each operand bit); the generated array has them at
its edge, see below. This touches the columns FF, area and, on ice40, *at most*. BISMO's row is not measured: its authors
publish 1.17 LUTs for each lane and 44.1 for each unit, by Vivado, and 120.1 more for each result.
";

const RESTRICTED: &str = "
(*) So many LUTs that only pairs likely to fit were considered: the true number of sites is no larger.
";

/// The Markdown table of one target: a heading, and one row for each unit.
pub fn table(rows: &[(&Unit, Option<&Area>)]) -> String {
    let areas = rows.iter().filter_map(|(_, area)| *area);
    let has_cells = areas.clone().any(|area| area.cell_area.is_some());
    let has_luts = areas.clone().any(|area| area.luts > 0);
    let mut text = String::from("| structure | lanes |");
    let mut rule = String::from("|---|--:|");
    let mut column = |name: &str| {
        let _ = write!(text, " {name} |");
        rule.push_str("--:|");
    };
    let places: &[&str] = match has_luts {
        true => &["LUTs", "sites", "at most", "carry"],
        false => &["cells"],
    };
    places.iter().for_each(|name| column(name));
    column("FF");
    if has_cells {
        column("area");
    }
    column("per operation");
    let _ = writeln!(text, "\n{rule}");
    for (unit, area) in rows {
        let structure = unit.structure.replace('|', "\\|");
        let _ = write!(text, "| {structure} | {} |", unit.lanes);
        let numbers = match (&unit.origin, area) {
            (Origin::Published(luts), _) => vec![
                format!("{luts:.0}"),
                "-".into(),
                "-".into(),
                "-".into(),
                "-".into(),
                ratio(*luts, unit.operations),
            ],
            (_, Some(area)) => numbers(unit, area, has_luts, has_cells),
            (_, None) => Vec::new(),
        };
        for number in numbers {
            let _ = write!(text, " {number} |");
        }
        text.push('\n');
    }
    text
}

fn numbers(unit: &Unit, area: &Area, has_luts: bool, has_cells: bool) -> Vec<String> {
    let mark = if area.pairing_is_exact { "" } else { " (*)" };
    let mut numbers = Vec::new();
    if has_luts {
        numbers.push(area.luts.to_string());
    }
    numbers.push(format!("{}{mark}", area.sites));
    if has_luts {
        numbers.push(area.sites_max.to_string());
        numbers.push(area.carry.to_string());
    }
    numbers.push(area.ff.to_string());
    if has_cells {
        let text = area.cell_area.map(|cells| format!("{cells:.0}"));
        numbers.push(text.unwrap_or_else(|| "-".into()));
    }
    let places = area.cell_area.unwrap_or(area.sites as f64);
    numbers.push(ratio(places, unit.operations));
    numbers
}

/// What one operation takes, to two digits after the point, or none where it is tens.
pub(super) fn ratio(places: f64, operations: u64) -> String {
    if operations == 0 {
        return "-".to_owned();
    }
    let each = places / operations as f64;
    match each < 20.0 {
        true => format!("{each:.2}"),
        false => format!("{each:.0}"),
    }
}
