//! Points through the outside tools: what Yosys, and nextpnr or OpenSTA, make of the first points of the table.
//!
//! A tool that fails or takes too long marks its point, with what it said, and the others go on. With `--out` an interrupted
//! run goes on behind the last point that was synthesized.

use super::checkpoint::Checkpoint;
use super::point::{Point, Surroundings, Work};
use super::{Exploration, network};
use crate::area::Verilog;
use crate::commands::generate::{Interface, emit};
use crate::failure::Failure;
use crate::liberty;
use crate::output;
use crate::synth::{self, Count, Family, Request, SynthError, Timing, Toolbox};
use crate::terminal::{Terminal, quoted};
use crate::tools::Search;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design};

/// Arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct SynthArgs {
    /// Synthesize the first COUNT points of the table, too, one after the other: ecp5 and ice40 are placed and routed, cells
    /// timed; a point whose tools fail or take too long is marked
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    synth: Option<u32>,
    /// Liberty file of the standard cells, for --synth on asic
    #[arg(long, value_name = "FILE", requires = "synth")]
    liberty: Option<PathBuf>,
    /// Runs of the placer with different seeds, for --synth on ecp5 and ice40; the frequency is their median (1..=99)
    #[arg(long, value_name = "N", default_value_t = 1, requires = "synth", value_parser = clap::value_parser!(u32).range(1..=99))]
    seeds: u32,
    /// Time limit of each run of a tool for --synth, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "synth", value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
}

/// What the tools made of a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Synthesized {
    /// Names and versions of the tools.
    pub tools: String,
    /// What it takes, module by module with the hierarchy kept, as the estimate; none if that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<MeasuredArea>,
    /// The size that an estimate is one of: LUTs, or the area of cells without memories, which are macros to the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimated_size: Option<f64>,
    /// How far the estimate is from that, in percent of it: of LUTs, or of the cells' area.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimate_off_percent: Option<f64>,
    /// Highest frequency in MHz: placed and routed, or timed by the cells' delays.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fmax_mhz: Option<f64>,
    /// Cells on the longest path, where no open tool gives a frequency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub levels: Option<u64>,
    /// What failed or took too long, in the tool's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
    /// The command that does it again and shows all of it.
    pub command: String,
}

/// Area of synthesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredArea {
    /// LUTs as estimates count them; gates of standard cells.
    pub luts: f64,
    /// Flip-flops.
    pub flip_flops: f64,
    /// Block memories.
    pub block_rams: f64,
    /// Area in the Liberty file's unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cell_area: Option<f64>,
}

impl MeasuredArea {
    fn add(&mut self, instances: u64, each: &Count) {
        let all = |count: u64| (instances * count) as f64;
        self.luts += instances as f64 * each.size(false);
        self.flip_flops += all(each.ff);
        self.block_rams += all(each.bram);
        if let Some(area) = each.cell_area {
            *self.cell_area.get_or_insert(0.0) += instances as f64 * area;
        }
    }

    /// The cells' area, or LUTs.
    pub fn size(&self) -> f64 {
        self.cell_area.unwrap_or(self.luts)
    }
}

/// The tools, found before anything else is done.
pub struct Synthesis<'a> {
    args: &'a SynthArgs,
    points: usize,
    family: Family,
    clock_mhz: f64,
    toolbox: Toolbox,
    tools: String,
    /// Of the Liberty file's bytes: another library of the same name is another one.
    liberty_sha256: Option<String>,
}

impl SynthArgs {
    /// What `--synth` asks for, if it is there.
    ///
    /// # Errors
    /// A missing tool; flags that do not go with the target; a Liberty file that cannot be used.
    pub fn prepare(
        &self,
        base: &ArrayConfig,
        clock_mhz: Option<f64>,
    ) -> Result<Option<Synthesis<'_>>, Failure> {
        let Some(points) = self.synth else {
            return Ok(None);
        };
        let family = Family::from(base.target);
        if self.liberty.is_some() && family != Family::Asic {
            return Err(Failure::input(format!(
                "--liberty is for standard cells, but the target is {family}; add --target asic, or leave --liberty out"
            )));
        }
        if self.seeds > 1 && family.part().is_none() {
            return Err(Failure::input(format!(
                "--seeds is for targets that are placed (ecp5, ice40), but the target is {family}; leave --seeds out"
            )));
        }
        let clock_mhz = clock_mhz.unwrap_or_else(|| family.clock_mhz_default());
        crate::scripts::check_clock(clock_mhz)?;
        let toolbox = Toolbox::find(&Search::from_environment(), family, self.liberty.as_deref())?;
        let hash = |path: &PathBuf| {
            let bytes = std::fs::read(path);
            let bytes = bytes.map_err(|e| format!("cannot read `{}`: {e}", path.display()));
            bytes.map(|bytes| output::sha256(&bytes))
        };
        let liberty_sha256 = self.liberty.as_ref().map(hash).transpose();
        Ok(Some(Synthesis {
            args: self,
            points: points as usize,
            family,
            clock_mhz,
            tools: toolbox.describe(),
            toolbox,
            liberty_sha256: liberty_sha256.map_err(Failure::input)?,
        }))
    }
}

impl Synthesis<'_> {
    /// Synthesizes the points at the first of some places, in this order.
    ///
    /// # Errors
    /// A file of an interrupted run that cannot be read or written; a folder that cannot be made.
    pub fn run(
        &self,
        base: &ArrayConfig,
        work: &Work,
        exploration: &mut Exploration,
        order: &[usize],
        out: Option<&Path>,
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        let order = &order[..order.len().min(self.points)];
        let commands: Vec<&str> = order
            .iter()
            .map(|index| exploration.points[*index].command.as_str())
            .collect();
        let identity = format!(
            "synthesis {commands:?} {} {} {:?} {:?} {}",
            self.tools, self.clock_mhz, self.args, self.liberty_sha256, base.target
        );
        let mut checkpoint = match out {
            Some(out) => Some(Checkpoint::open(
                out,
                "synthesized",
                &identity,
                order.len() as u64,
            )?),
            None => None,
        };
        let known: Vec<Synthesized> = match &mut checkpoint {
            Some(checkpoint) => checkpoint.take_known(),
            None => Vec::new(),
        };
        terminal.note(format!(
            "synthesizing {} points for {} with {}",
            order.len() - known.len(),
            self.family,
            self.tools
        ));
        let progress = terminal.progress(order.len() as u64, "synthesized");
        let mut known = known.into_iter();
        for (done, index) in order.iter().enumerate() {
            let point = &mut exploration.points[*index];
            let mut synthesized = match known.next() {
                Some(synthesized) => synthesized,
                None => {
                    let synthesized = self.point(base, work, point)?;
                    if let Some(checkpoint) = &mut checkpoint {
                        checkpoint.append(done as u64, std::slice::from_ref(&synthesized))?;
                    }
                    synthesized
                }
            };
            synthesized.estimate_off_percent =
                self.off_percent(point, &synthesized, &exploration.around);
            point.synthesized = Some(synthesized);
            progress.advance(1);
        }
        drop(progress);
        exploration
            .checkpoints
            .extend(checkpoint.map(Checkpoint::close));
        Ok(())
    }

    fn point(
        &self,
        base: &ArrayConfig,
        work: &Work,
        point: &Point,
    ) -> Result<Synthesized, Failure> {
        let (design, interface) = hardware(base, work, point)?;
        let mut synthesized = Synthesized {
            tools: self.tools.clone(),
            command: self.command(&design, interface),
            ..Synthesized::default()
        };
        let design = match &self.args.liberty {
            Some(path) => {
                liberty::with_adder_cells(&design, path)
                    .map_err(Failure::input)?
                    .0
            }
            None => design,
        };
        let verilog = Verilog::from_package(emit(&design, interface)?);
        let request = Request {
            verilog: &verilog,
            family: self.family,
            liberty: self.args.liberty.as_deref(),
            clock_mhz: self.clock_mhz,
            seeds: self.args.seeds,
            time_limit: Duration::from_secs(self.args.time_limit),
        };
        let folder = tempfile::Builder::new()
            .prefix("xnorforge-explore-")
            .tempdir()
            .map_err(|e| Failure::input(format!("cannot make a temporary folder: {e}")))?;
        synthesized.failed = self
            .measure(&request, folder.path(), &mut synthesized)
            .err()
            .map(|error| one_line(&error.to_string(), folder.path()));
        Ok(synthesized)
    }

    /// What does it again. Structure and broadcast stages are named: `synth` would choose others for the clock.
    fn command(&self, design: &Design, interface: Interface) -> String {
        let config = ArrayConfig {
            structure: design.structure(),
            broadcast_stages: BroadcastStages::Fixed(design.broadcast_stages()),
            ..design.config().clone()
        };
        let mut command = format!("xnorforge synth {}", config.command_flags());
        if interface == Interface::Axi {
            command += &format!("{} --interface axi", config.accelerator.command_flags());
        }
        if let Some(liberty) = &self.args.liberty {
            command += &format!(" --liberty {}", quoted(&liberty.display().to_string()));
        }
        if self.args.seeds > 1 {
            command += &format!(" --seeds {}", self.args.seeds);
        }
        format!(
            "{command} --clock-mhz {} --time-limit {}",
            self.clock_mhz, self.args.time_limit
        )
    }

    /// How far a point's estimate is from what was found, where both are of the same library.
    fn off_percent(
        &self,
        point: &Point,
        synthesized: &Synthesized,
        around: &Surroundings,
    ) -> Option<f64> {
        let library = self.toolbox.library().map(|library| library.name.as_str());
        let is_same =
            library.is_none() || around.model.and_then(|model| model.library()) == library;
        let (estimate, measured) = (point.estimate.as_ref()?, synthesized.estimated_size?);
        let estimated = estimate.cell_area.unwrap_or(estimate.luts);
        (is_same && measured > 0.0).then(|| 100.0 * (estimated - measured) / measured)
    }

    /// Area first: it stays if what follows fails.
    fn measure(
        &self,
        request: &Request<'_>,
        folder: &Path,
        synthesized: &mut Synthesized,
    ) -> Result<(), SynthError> {
        let mut area = MeasuredArea::default();
        let modules = synth::modules(&self.toolbox, request, folder)?;
        for module in &modules {
            area.add(module.instances, &module.each);
        }
        synthesized.area = Some(area);
        let of_cells = self.family == Family::Asic;
        synthesized.estimated_size = Some(synth::estimated_size(&modules, of_cells));
        let (_, timing) = synth::whole(&self.toolbox, request, folder, &|| ())?;
        synthesized.fmax_mhz = timing.fmax_mhz();
        synthesized.levels = match timing {
            Timing::Depth(depth) => Some(depth.levels),
            _ => None,
        };
        Ok(())
    }
}

/// The hardware of a point: what its command generates.
fn hardware(
    base: &ArrayConfig,
    work: &Work,
    point: &Point,
) -> Result<(Design, Interface), Failure> {
    let config = point.config(base);
    match work {
        Work::Product(_) => Ok((config.validate()?, Interface::Array)),
        Work::Networks(networks) => {
            let sized = network::sized(networks, &mut networks.memos(), config);
            let design = sized.map_err(Failure::input)?;
            Ok((design.design().clone(), Interface::Axi))
        }
    }
}

/// An error on one line, without the folder that is gone.
fn one_line(message: &str, folder: &Path) -> String {
    let message = message.replace(&format!("{}/", folder.display()), "");
    let lines = message.lines().map(str::trim).filter(|l| !l.is_empty());
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() {
            text += if text.ends_with(':') { " " } else { "; " };
        }
        text += line;
    }
    const LENGTH_MAX: usize = 600;
    if let Some((end, _)) = text.char_indices().nth(LENGTH_MAX) {
        text.truncate(end);
        text += " ..";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_without_the_folder() {
        let text = one_line(
            "yosys failed; its log is `/tmp/x/top/yosys.log` and ends:\n  ERROR: no\n\n",
            Path::new("/tmp/x"),
        );
        assert_eq!(
            text,
            "yosys failed; its log is `top/yosys.log` and ends: ERROR: no"
        );
        assert!(one_line(&"é".repeat(2000), Path::new("/tmp/x")).ends_with("é .."));
    }

    #[test]
    fn areas_are_sums_over_instances() {
        let mut area = MeasuredArea::default();
        let each = Count {
            logic: 3,
            sites: Some(2),
            ff: 5,
            bram: 1,
            ..Count::default()
        };
        area.add(4, &each);
        area.add(
            1,
            &Count {
                logic: 7,
                cell_area: Some(1.5),
                ..Count::default()
            },
        );
        let expected = MeasuredArea {
            luts: 15.0,
            flip_flops: 20.0,
            block_rams: 4.0,
            cell_area: Some(1.5),
        };
        assert_eq!(area, expected);
    }
}
