//! What outside tools make of a whole design: area module by module, and how fast it is, as far as open tools can say.
//!
//! | family | area | speed |
//! |---|---|---|
//! | ecp5, ice40 | Yosys | placed and routed by nextpnr ([`crate::pnr`]) |
//! | asic | Yosys with a Liberty file | static timing by OpenSTA; without it, ABC's estimate |
//! | xilinx, intel, gowin, generic | Yosys | cells on the longest path, no frequency |
//!
//! The modules' table comes from a synthesis that keeps the hierarchy, the total from one that does not: it is usually
//! a little smaller.

mod cells;
mod count;
mod depth;

pub use cells::{CellTiming, Method};
pub use count::{Count, ModuleCount, estimated_size};
pub use depth::Depth;

use crate::area::{self, AreaError, Verilog};
use crate::liberty::{LibertyError, Library};
use crate::pnr::{self, Options, Part, Placed, PnrError, ToolUsed};
use crate::tools::{self, Found, OPENSTA, Search, ToolError};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xnorforge_hdl::Target;

/// What works for standard cells, in MHz.
const CELLS_CLOCK_MHZ: f64 = 250.0;

/// A family of devices, or cells, to synthesize for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Gates of no technology
    Generic,
    /// Xilinx 7 series
    Xilinx,
    /// Xilinx UltraScale+
    Ultrascale,
    /// Lattice ECP5
    Ecp5,
    /// Lattice iCE40
    Ice40,
    /// Standard cells of a Liberty file
    Asic,
    /// Intel Cyclone V, from generic Verilog
    Intel,
    /// Gowin LittleBee, from generic Verilog
    Gowin,
}

impl Family {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Intel => "intel",
            Family::Gowin => "gowin",
            other => other.target().name(),
        }
    }

    /// The target whose Verilog it takes.
    pub fn target(self) -> Target {
        match self {
            Family::Generic | Family::Intel | Family::Gowin => Target::Generic,
            Family::Xilinx => Target::Xilinx,
            Family::Ultrascale => Target::Ultrascale,
            Family::Ecp5 => Target::Ecp5,
            Family::Ice40 => Target::Ice40,
            Family::Asic => Target::Asic,
        }
    }

    /// The part that an open flow places it on.
    pub fn part(self) -> Option<Part> {
        match self {
            Family::Ecp5 => Some(Part::Ecp5),
            Family::Ice40 => Some(Part::Ice40),
            _ => None,
        }
    }

    /// What placing and mapping work for where nothing else is asked for, in MHz.
    pub fn clock_mhz_default(self) -> f64 {
        self.part()
            .map_or(CELLS_CLOCK_MHZ, |part| part.clock_mhz_default())
    }

    /// Steps that a run of [`run`] tells of.
    pub fn steps(self, seeds: u32) -> u64 {
        match self {
            Family::Ecp5 | Family::Ice40 => 3 + u64::from(seeds),
            Family::Asic => 3,
            _ => 2,
        }
    }

    /// The Yosys commands for a top module, flat or with its hierarchy; only those for cells heed the frequency.
    ///
    /// `-nowidelut`: multiplexers in front of LUTs make popcounts larger. `-nosrl`: a shift register in a LUT hides
    /// flip-flops. No pads: a design of this program stands inside another.
    pub fn synthesis(self, top: &str, flat: bool, clock_mhz: f64) -> String {
        let hierarchy = if flat { "" } else { " -noflatten" };
        // These two keep the hierarchy unless told otherwise.
        let flatten = if flat { " -flatten" } else { "" };
        match self {
            Family::Generic => {
                format!("synth{flatten} -top {top}; abc -g AND,OR,XOR,MUX; opt_clean")
            }
            Family::Xilinx | Family::Ultrascale => format!(
                "synth_xilinx -family {}{flatten} -noiopad -noclkbuf -nowidelut -nosrl -top {top}",
                area::xilinx_family(self.target())
            ),
            Family::Ecp5 => format!("synth_ecp5{hierarchy} -nowidelut -top {top}"),
            Family::Ice40 => format!("synth_ice40{hierarchy} -top {top}"),
            Family::Asic => cells::synthesis(top, flat, clock_mhz),
            Family::Intel => {
                format!("synth_intel_alm -family cyclonev{hierarchy} -noiopad -noclkbuf -top {top}")
            }
            Family::Gowin => format!("synth_gowin{hierarchy} -nowidelut -noiopads -top {top}"),
        }
    }
}

impl From<Target> for Family {
    fn from(target: Target) -> Self {
        match target {
            Target::Generic => Family::Generic,
            Target::Xilinx => Family::Xilinx,
            Target::Ultrascale => Family::Ultrascale,
            Target::Ecp5 => Family::Ecp5,
            Target::Ice40 => Family::Ice40,
            Target::Asic => Family::Asic,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a design is synthesized.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The design.
    pub verilog: &'a Verilog,
    /// What for.
    pub family: Family,
    /// The Liberty file, for [`Family::Asic`].
    pub liberty: Option<&'a Path>,
    /// The frequency to work for, in MHz.
    pub clock_mhz: f64,
    /// Runs of the placer.
    pub seeds: u32,
    /// Time limit of each run of a tool.
    pub time_limit: Duration,
}

/// The tools of a run, and the cells.
#[derive(Clone, Debug)]
pub struct Toolbox {
    yosys: Found,
    nextpnr: Option<Found>,
    sta: Option<Found>,
    library: Option<Library>,
}

impl Toolbox {
    /// Finds what a family needs, and checks its Liberty file, before anything runs.
    ///
    /// # Errors
    /// A missing tool; a Liberty file that is missing, cannot be read, or lacks cells.
    pub fn find(
        search: &Search,
        family: Family,
        liberty: Option<&Path>,
    ) -> Result<Self, SynthError> {
        let library = match (family, liberty) {
            (Family::Asic, None) => return Err(SynthError::NoLiberty),
            (Family::Asic, Some(path)) => {
                let library = Library::read(path)?;
                library.check()?;
                Some(library)
            }
            _ => None,
        };
        let sta = match (family, search.find(&OPENSTA)) {
            (Family::Asic, Ok(sta)) => Some(sta),
            // Without it there is still ABC's estimate; a broken one is no reason to go on quietly.
            (Family::Asic, Err(ToolError::Missing { .. })) => None,
            (Family::Asic, Err(error)) => return Err(error.into()),
            _ => None,
        };
        let (yosys, nextpnr) = match family.part() {
            Some(part) => {
                let found = pnr::Tools::find(search, part)?;
                (found.yosys, Some(found.nextpnr))
            }
            None => (pnr::find_yosys(search)?, None),
        };
        Ok(Self {
            yosys,
            nextpnr,
            sta,
            library,
        })
    }

    /// The cells, for standard cells.
    pub fn library(&self) -> Option<&Library> {
        self.library.as_ref()
    }

    /// The tools' names and versions in one line.
    pub fn describe(&self) -> String {
        let used = self.used();
        let tools: Vec<String> = used
            .iter()
            .map(|tool| format!("{} {}", tool.name, tool.version))
            .collect();
        tools.join(", ")
    }

    /// The tools' names and versions.
    pub fn used(&self) -> Vec<ToolUsed> {
        [Some(&self.yosys), self.nextpnr.as_ref(), self.sta.as_ref()]
            .into_iter()
            .flatten()
            .map(ToolUsed::from)
            .collect()
    }
}

/// What the tools made of a design.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Synthesis {
    /// What for.
    pub family: Family,
    /// The top module.
    pub top: String,
    /// The tools.
    pub tools: Vec<ToolUsed>,
    /// The Yosys commands of the total.
    pub commands: String,
    /// Each module with its hierarchy kept, the top last.
    pub modules: Vec<ModuleCount>,
    /// The whole design, flat.
    pub total: Count,
    /// How fast it is.
    pub timing: Timing,
}

/// How fast a design is, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Placed and routed.
    PlaceAndRoute(Placed),
    /// By the cells' delays, without wires.
    Cells(CellTiming),
    /// Cells on the longest path: no frequency.
    Depth(Depth),
}

impl Timing {
    /// Highest frequency in MHz, where one is known.
    pub fn fmax_mhz(&self) -> Option<f64> {
        match self {
            Timing::PlaceAndRoute(placed) => Some(placed.fmax_mhz()),
            Timing::Cells(timing) => {
                (timing.method != Method::AbcStretches).then_some(timing.fmax_mhz)
            }
            Timing::Depth(_) => None,
        }
    }
}

/// Why a synthesis failed.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// Yosys failed, or its input cannot be used.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// Place and route failed, or the design cannot be measured.
    #[error(transparent)]
    Pnr(#[from] PnrError),
    /// The Liberty file cannot be used.
    #[error(transparent)]
    Liberty(#[from] LibertyError),
    /// A tool is missing, failed or took too long.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Standard cells without a library.
    #[error(
        "the asic family needs the cells to map to: add `--liberty FILE`, the .lib file of a standard-cell library"
    )]
    NoLiberty,
    /// Something that the library has no cell for, as a tri-state driver or a register with set and reset.
    #[error(
        "module `{top}` needs a `{kind}` (Yosys' name), for which the library has no cell; change the module, or choose another library"
    )]
    NoCell {
        /// The module.
        top: String,
        /// The cell as Yosys names it.
        kind: String,
    },
    /// A design of standard cells whose outputs are inputs or constants.
    #[error(
        "module `{top}` has no path through a gate, so it has no frequency; give one that computes something"
    )]
    NoPath {
        /// The module.
        top: String,
    },
    /// A netlist with a loop of cells, which has no longest path.
    #[error("module `{top}` has a combinational loop through `{cell}`; break it with a register")]
    Loop {
        /// The module.
        top: String,
        /// A cell of it.
        cell: String,
    },
    /// A tool's answer is not what was expected.
    #[error("the log `{}` of {tool} {version} cannot be used: {reason}", path.display())]
    Log {
        /// The tool.
        tool: &'static str,
        /// Its version.
        version: String,
        /// The log.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl SynthError {
    /// The command's exit code: 3 for a tool, 2 for input that cannot be used.
    pub fn exit_code(&self) -> u8 {
        match self {
            SynthError::Area(error) => error.exit_code(),
            SynthError::Pnr(error) => error.exit_code(),
            SynthError::Tool(_) | SynthError::Log { .. } => tools::EXIT_CODE,
            SynthError::Liberty(_)
            | SynthError::NoLiberty
            | SynthError::NoCell { .. }
            | SynthError::NoPath { .. }
            | SynthError::Loop { .. } => 2,
        }
    }
}

/// Synthesizes a design in `folder`, where all that the tools read and wrote stays: `modules` with the hierarchy,
/// `top` without. `step` is called after each of the [`Family::steps`].
///
/// # Errors
/// [`SynthError`].
pub fn run(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
    step: &(dyn Fn() + Sync),
) -> Result<Synthesis, SynthError> {
    let modules = modules(toolbox, request, folder)?;
    step();
    let (total, timing) = whole(toolbox, request, folder, step)?;
    let (family, top) = (request.family, request.verilog.top.as_str());
    let commands = family.synthesis(top, true, request.clock_mhz);
    Ok(Synthesis {
        family,
        top: top.to_owned(),
        tools: toolbox.used(),
        commands: commands.replace('\n', "; "),
        modules,
        total,
        timing,
    })
}

/// The first half of [`run`]: each module with the hierarchy kept, the top last.
///
/// # Errors
/// [`SynthError`].
pub fn modules(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
) -> Result<Vec<ModuleCount>, SynthError> {
    count_modules(toolbox, request, &subfolder(folder, "modules")?)
}

/// The second half of [`run`]: the whole design, flat, and how fast it is.
///
/// # Errors
/// [`SynthError`].
pub fn whole(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
    step: &(dyn Fn() + Sync),
) -> Result<(Count, Timing), SynthError> {
    let (family, top) = (request.family, request.verilog.top.as_str());
    let flat = subfolder(folder, "top")?;
    let commands = family.synthesis(top, true, request.clock_mhz);
    match (family.part(), &toolbox.nextpnr) {
        (Some(part), Some(nextpnr)) => {
            let tools = pnr::Tools {
                yosys: toolbox.yosys.clone(),
                nextpnr: nextpnr.clone(),
            };
            let options = Options {
                clock_mhz: request.clock_mhz,
                time_limit: request.time_limit,
                commands: Some(commands.clone()),
                ..Options::new(part).with_seeds(request.seeds)
            };
            let placed = pnr::measure_in(&tools, request.verilog, &options, &flat, step)?;
            Ok((Count::of_area(&placed.area), Timing::PlaceAndRoute(placed)))
        }
        _ => without_placement(toolbox, request, &flat, step),
    }
}

fn subfolder(folder: &Path, name: &str) -> Result<PathBuf, AreaError> {
    let path = folder.join(name);
    fs::create_dir_all(&path).map_err(|e| area::file_error(&path, e))?;
    Ok(path)
}

fn count_modules(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
) -> Result<Vec<ModuleCount>, SynthError> {
    cells::prepare(toolbox, request, folder)?;
    let top = &request.verilog.top;
    let netlist = area::synthesize(
        &toolbox.yosys,
        request.verilog,
        &request.family.synthesis(top, false, request.clock_mhz),
        folder,
        request.time_limit,
    )?;
    Ok(count::modules(
        &netlist,
        top,
        request.family,
        toolbox.library.as_ref(),
    ))
}

/// The total of a family that no open flow places.
fn without_placement(
    toolbox: &Toolbox,
    request: &Request<'_>,
    folder: &Path,
    step: &(dyn Fn() + Sync),
) -> Result<(Count, Timing), SynthError> {
    cells::prepare(toolbox, request, folder)?;
    let top = &request.verilog.top;
    let mut netlist = area::synthesize(
        &toolbox.yosys,
        request.verilog,
        &request.family.synthesis(top, true, request.clock_mhz),
        folder,
        request.time_limit,
    )?;
    step();
    let module = netlist.modules.remove(top).unwrap_or_default();
    let total = Count::of_module(request.family, &module, toolbox.library.as_ref());
    let timing = match &toolbox.library {
        Some(library) => {
            let timing = cells::time(toolbox, request, library, &module, folder)?;
            step();
            Timing::Cells(timing)
        }
        None => Timing::Depth(depth::longest(&module).map_err(|cell| SynthError::Loop {
            top: top.clone(),
            cell,
        })?),
    };
    Ok((total, timing))
}

#[cfg(test)]
mod tests;
