//! The presets on every target: what whole arrays take and how fast they are, beside BISMO's published model and beside
//! naive elements, all but the published one measured by the same tools.

use super::report::ratio;
use super::{AreaError, Cells, Origin, TIME_LIMIT, Unit, measure, naive_serial_unit, units};
use crate::estimate::measure::Measurer;
use crate::estimate::sample::Counts;
use crate::pnr::{self, Options, Part, PnrError};
use crate::tools::{Found, Search, ToolError};
use std::fmt::Write as _;
use xnorforge_hdl::{ArrayConfig, Design, PRESETS, Target, generate};

/// A preset on a target.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetArea {
    /// The preset.
    pub preset: &'static str,
    /// The array.
    pub design: Design,
    /// All of it, module by module.
    pub counts: Counts,
    /// As many naive elements as it has, without anything around them.
    pub naive: Counts,
    /// Placed and routed, or why not.
    pub fmax: Result<f64, &'static str>,
}

/// LUTs by the published model of BISMO (Umuroglu et al., 2019) for an array of as many dot-product units.
pub fn bismo_luts(rows: u32, columns: u32, lanes: u32) -> f64 {
    f64::from(rows * columns) * (1.17 * f64::from(lanes) + 44.1 + 120.1)
}

/// LUTs of a part that an array may take and still be placed and routed three times, with its harness, in minutes.
fn places_max(part: Part) -> f64 {
    match part {
        Part::Ecp5 => 20_000.0,
        Part::Ice40 => 5_000.0,
    }
}

fn fmax(
    search: &Search,
    design: &Design,
    counts: Counts,
) -> Result<Result<f64, &'static str>, PnrError> {
    let Some(part) = Part::of_target(design.config().target) else {
        return Ok(Err(match design.config().target {
            Target::Asic => "not timed",
            _ => "no open flow",
        }));
    };
    let places = counts.sites.max(counts.flip_flops);
    if places > places_max(part) {
        return Ok(Err(match places > part.capacity().0 as f64 {
            true => "too large",
            false => "not placed",
        }));
    }
    let tools = match pnr::Tools::find(search, part) {
        Ok(tools) => tools,
        Err(ToolError::Missing { .. }) => return Ok(Err("no nextpnr")),
        Err(error) => return Err(error.into()),
    };
    let verilog = super::Verilog::from_package(generate(design).map_err(AreaError::from)?);
    let options = Options::new(part).with_seeds(3);
    Ok(match pnr::measure(&tools, &verilog, &options) {
        Ok(placed) => Ok(placed.fmax_mhz()),
        Err(PnrError::DoesNotFit { .. }) => Err("too large"),
        // The other rows are worth having.
        Err(error) => {
            tracing::warn!(%error, "no clock");
            Err(match error {
                PnrError::Router { .. } | PnrError::Tool(ToolError::TimedOut { .. }) => "time-out",
                _ => "failed",
            })
        }
    })
}

/// Measures every preset on every target; standard cells where there is a library.
///
/// # Errors
/// The first that failed.
pub fn measure_presets(
    search: &Search,
    yosys: &Found,
    cells: Option<&Cells>,
) -> Result<Vec<PresetArea>, PnrError> {
    let mut areas = Vec::new();
    for target in [Target::Xilinx, Target::Ecp5, Target::Ice40, Target::Asic] {
        let cells = cells.filter(|_| target == Target::Asic);
        if target == Target::Asic && cells.is_none() {
            continue;
        }
        let mut measurer = Measurer::new(yosys, target, cells, TIME_LIMIT);
        for (preset, _) in PRESETS {
            let config = ArrayConfig {
                target,
                ..ArrayConfig::preset(preset).map_err(AreaError::from)?
            };
            let design = config.validate().map_err(AreaError::from)?;
            tracing::info!(preset, %target, "measuring");
            let package = generate(&design).map_err(AreaError::from)?;
            let kinds = measurer.measure_packages(vec![package])?;
            let counts: Counts = kinds.into_iter().flat_map(|k| k.into_values()).sum();
            areas.push(PresetArea {
                preset,
                counts,
                naive: naive(yosys, cells, &design)?,
                fmax: fmax(search, &design, counts)?,
                design,
            });
        }
    }
    Ok(areas)
}

/// A naive element, as often as the array has elements.
fn naive(yosys: &Found, cells: Option<&Cells>, design: &Design) -> Result<Counts, AreaError> {
    let c = design.config();
    let unit: Unit = naive_serial_unit(c.target, c.lanes, units::naive_width(design));
    let Origin::Verilog(verilog) = &unit.origin else {
        return Ok(Counts::default());
    };
    let area = match cells {
        Some(cells) => cells.measure(yosys, verilog)?,
        None => measure(yosys, verilog, c.target)?,
    };
    Ok(Counts::from(&area) * f64::from(c.rows * c.columns))
}

/// The section about presets.
///
/// # Errors
/// As [`measure_presets`].
pub fn report(search: &Search, yosys: &Found, cells: Option<&Cells>) -> Result<String, PnrError> {
    let areas = measure_presets(search, yosys, cells)?;
    Ok(format!("{INTRODUCTION}{}", table(&areas)))
}

const INTRODUCTION: &str = "
## Presets

The arrays of the presets behind streams, edges, drain and epilogue included, module by module. *LUT*: sites as above (asic: area of
cells without memories). *Per operation*: of one binary operation pair in a cycle. *Naive*: as many bit-serial elements that sum
XNOR bits in a loop, alone; *BISMO*: 1.17 LUTs for each lane, 44.1 for each dot-product unit and 120.1 for each result, its authors'
model of Vivado's LUTs, for as many units. Clocks: median of three runs of nextpnr in a harness (`docs/synth.md`), without broadcast
stages, of arrays that it places in minutes; binary operations per second (an XNOR and an addition: two for each pair) are those of
that clock and the array full.

";

/// The Markdown table.
pub fn table(areas: &[PresetArea]) -> String {
    let mut text = String::from(
        "| preset | target | array | LUT | FF | BRAM | MHz | binary operations/s | LUT per operation | naive, per operation | BISMO, per operation |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for area in areas {
        let c = area.design.config();
        let pairs = c.binary_pairs_per_cycle();
        let size = |counts: &Counts| match c.target {
            Target::Asic => counts.cell_area,
            _ => counts.sites,
        };
        let (clock, speed) = match area.fmax {
            Ok(mhz) => (
                format!("{mhz:.0}"),
                format!("{:.2e}", 2e6 * mhz * pairs as f64),
            ),
            Err(reason) => (reason.to_owned(), "-".to_owned()),
        };
        let bismo = match c.target {
            Target::Asic => "-".to_owned(),
            _ => ratio(bismo_luts(c.rows, c.columns, c.lanes), pairs),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} x {} x {} | {:.0} | {:.0} | {:.0} | {clock} | {speed} | {} | {} | {bismo} |",
            area.preset,
            c.target,
            c.rows,
            c.columns,
            c.lanes,
            size(&area.counts),
            area.counts.flip_flops,
            area.counts.block_rams,
            ratio(size(&area.counts), pairs),
            ratio(size(&area.naive), pairs),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bismo_is_its_published_model() {
        assert!((bismo_luts(1, 1, 64) - 239.08).abs() < 1e-9);
        assert_eq!(bismo_luts(8, 8, 64), 64.0 * bismo_luts(1, 1, 64));
    }

    #[test]
    fn a_row_says_what_is_not_known() {
        let config = ArrayConfig {
            target: Target::Xilinx,
            ..ArrayConfig::default()
        };
        let area = PresetArea {
            preset: "small",
            design: config.validate().unwrap(),
            counts: Counts {
                sites: 4096.0,
                flip_flops: 100.0,
                ..Counts::default()
            },
            naive: Counts {
                sites: 8192.0,
                ..Counts::default()
            },
            fmax: Err("no open flow"),
        };
        let text = table(&[area]);
        let row = "| `small` | xilinx | 8 x 8 x 64 | 4096 | 100 | 0 | no open flow | - | 1.00 | 2.00 | 3.74 |";
        assert!(text.ends_with(&format!("{row}\n")), "{text}");
    }
}
