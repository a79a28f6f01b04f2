//! Measures Verilog with Yosys: how many LUTs, LUT sites, carry cells, flip-flops and memories it takes.
//!
//! Numbers of synthesis, before place and route. [`measure`] runs one design for one target;
//! [`run_area_report`] runs many and writes them as Markdown tables. [`standard_units`] are those of
//! `docs/area.md`: generated processing elements and row units, beside the elements that most people write.
//! [`arrays`] measures whole arrays.
//!
//! ```no_run
//! use xnorforge::area::{self, Verilog};
//! use xnorforge::tools::{self, Search};
//! use xnorforge_hdl::Target;
//!
//! let yosys = Search::from_environment().find(&tools::YOSYS)?;
//! let verilog = Verilog::new(["popcount.v".into()], "xnf_popcount");
//! let area = area::measure(&yosys, &verilog, Target::Xilinx)?;
//! println!("{} LUTs in {} sites", area.luts, area.sites);
//! # Ok::<(), area::AreaError>(())
//! ```

pub mod arrays;
mod cells;
pub(crate) mod netlist;
pub mod presets;
mod report;
mod sites;
pub mod split;
mod units;

pub use cells::Cells;
pub use report::{run_area_report, table};
pub use units::{
    Origin, Unit, element_unit, naive_parallel_unit, naive_serial_unit, row_unit, standard_units,
};

use crate::tools::{self, Found, ToolError};
use netlist::{Module, Netlist};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xnorforge_hdl::{ConfigError, EmitError, Package, Target};

/// Time limit of one synthesis.
pub const TIME_LIMIT: Duration = Duration::from_secs(1800);

/// One Verilog source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

/// Verilog to synthesize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verilog {
    /// The sources, in dependency order. They are copied aside, so that none may include another.
    pub sources: Vec<Source>,
    /// The top module.
    pub top: String,
    /// Values of parameters of the top module.
    pub parameters: Vec<(String, u64)>,
}

impl Verilog {
    /// Files and their top module, without parameters.
    pub fn new(files: impl IntoIterator<Item = PathBuf>, top: impl Into<String>) -> Self {
        Self {
            sources: files.into_iter().map(Source::File).collect(),
            top: top.into(),
            parameters: Vec::new(),
        }
    }

    /// One source's text and its top module, without parameters.
    pub fn from_text(text: impl Into<String>, top: impl Into<String>) -> Self {
        Self {
            sources: vec![Source::Text(text.into())],
            top: top.into(),
            parameters: Vec::new(),
        }
    }

    /// An emitted design.
    pub fn from_package(package: Package) -> Self {
        let texts = package.files.into_iter().map(|file| file.text);
        Self {
            sources: texts.map(Source::Text).collect(),
            top: package.top,
            parameters: Vec::new(),
        }
    }

    /// The same with one more parameter.
    pub fn with_parameter(mut self, name: impl Into<String>, value: u64) -> Self {
        self.parameters.push((name.into(), value));
        self
    }
}

/// What a design takes on a target. Every count is of cells, not bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Area {
    /// The target.
    pub target: Target,
    /// LUT cells (0 on targets without LUTs).
    pub luts: u64,
    /// Places taken: LUT6_2 sites on Xilinx 7 with small LUTs paired (see [`Area::pairing_is_exact`]), LUT4s and
    /// two for each CCU2C on ECP5, LUT4s on iCE40, gates elsewhere. Distributed memories are included.
    pub sites: u64,
    /// An upper bound of `sites` after placing. Xilinx 7: also a site for each carry position that no LUT
    /// drives; iCE40: logic cells, with a cell of its own for each carry and flip-flop that no LUT takes along.
    pub sites_max: u64,
    /// False if the netlist was so large that not every pair of small LUTs was considered.
    pub pairing_is_exact: bool,
    /// Carry cells: CARRY4, CARRY8, CCU2C (two positions) or SB_CARRY (one position).
    pub carry: u64,
    /// Flip-flops.
    pub ff: u64,
    /// Block memories.
    pub bram: u64,
    /// Multiplier blocks.
    pub dsp: u64,
    /// Area of all cells in the unit of the library that they were mapped to (um2 in most); none without a library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell_area: Option<f64>,
    /// All cells by type.
    pub cells: BTreeMap<String, u64>,
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    /// Yosys is missing, failed or took too long.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A module or parameter name is not a plain Verilog identifier.
    #[error(
        "{what} `{name}` is not a Verilog identifier of letters, digits, `_` and `$`; rename it"
    )]
    Name {
        /// `top module`, `parameter` or `clock port`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A configuration of [`standard_units`] is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A design could not be emitted.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A file could not be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Yosys' netlist is not what was expected.
    #[error("the netlist `{}` of {tool} {version} cannot be used: {reason}", path.display())]
    Netlist {
        /// The tool.
        tool: &'static str,
        /// Its version.
        version: String,
        /// The netlist.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl AreaError {
    /// The command's exit code: 3 for a tool, 2 for input that cannot be used, 1 for a design that cannot be
    /// emitted.
    pub fn exit_code(&self) -> u8 {
        match self {
            AreaError::Tool(_) | AreaError::Netlist { .. } => tools::EXIT_CODE,
            AreaError::Name { .. } | AreaError::File { .. } | AreaError::Config(_) => 2,
            AreaError::Emit(_) => 1,
        }
    }
}

/// The Yosys commands that map a design with top module `top` to `target`.
///
/// `-nowidelut`: multiplexers in front of LUTs make popcounts larger. `-nosrl`: a shift register in a LUT hides
/// flip-flops. `-nodsp`: what is measured is logic. `-abc2`: a second pass of ABC, which newer versions lack.
///
/// # Errors
/// Those of asking Yosys for its options.
pub fn synthesis(yosys: &Found, target: Target, top: &str) -> Result<String, AreaError> {
    Ok(match target {
        Target::Xilinx | Target::Ultrascale => format!(
            "synth_xilinx -family {} -flatten -noiopad -noclkbuf -nowidelut -nosrl -nodsp -top {top}",
            xilinx_family(target)
        ),
        Target::Ecp5 => format!("synth_ecp5 -nowidelut -nodsp -top {top}"),
        Target::Ice40 if has_option(yosys, "synth_ice40", "-abc2")? => {
            format!("synth_ice40 -abc2 -top {top}")
        }
        Target::Ice40 => format!("synth_ice40 -top {top}"),
        Target::Generic => {
            format!("synth -flatten -top {top}; abc -g AND,OR,XOR,MUX; opt_clean")
        }
        Target::Asic => {
            format!("synth -flatten -top {top}; abc -g cmos4,XOR,XNOR,MUX; opt_clean")
        }
    })
}

/// What Yosys calls the families of Xilinx.
pub(crate) fn xilinx_family(target: Target) -> &'static str {
    match target {
        Target::Ultrascale => "xcup",
        _ => "xc7",
    }
}

/// Whether this Yosys' `command` has `option`, by its own help.
fn has_option(yosys: &Found, command: &str, option: &str) -> Result<bool, AreaError> {
    let folder = work_folder()?;
    let run = yosys
        .invoke(folder.path(), "help.log")
        .args(["-p", &format!("help {command}")])
        .run()?;
    let help = run.read_log().map_err(|e| file_error(&run.log, e))?;
    Ok(help.split_whitespace().any(|word| word == option))
}

/// A folder for one run of the tools; gone when dropped.
pub(crate) fn work_folder() -> Result<tempfile::TempDir, AreaError> {
    tempfile::tempdir().map_err(|e| file_error(&std::env::temp_dir(), e))
}

/// Synthesizes `verilog` for `target` and counts what it takes.
///
/// # Errors
/// [`AreaError`].
pub fn measure(yosys: &Found, verilog: &Verilog, target: Target) -> Result<Area, AreaError> {
    let commands = synthesis(yosys, target, &verilog.top)?;
    let mut netlist = synthesize_with(yosys, verilog, &commands)?;
    let module = netlist.modules.remove(&verilog.top).unwrap_or_default();
    Ok(Area::of_module(target, &module))
}

/// Runs Yosys with `commands` in a folder of its own; gives the netlist, the top module in it. When Yosys fails, the
/// folder is kept so that the log that the error names can be read.
fn synthesize_with(yosys: &Found, verilog: &Verilog, commands: &str) -> Result<Netlist, AreaError> {
    let folder = work_folder()?;
    let result = synthesize(yosys, verilog, commands, folder.path(), TIME_LIMIT);
    if let Err(AreaError::Tool(_) | AreaError::Netlist { .. }) = result {
        let _kept = folder.keep();
    }
    result
}

/// Runs Yosys in `folder`, where what it prints (`yosys.log`: errors and warnings), its full log (`synthesis.log`) and its
/// `netlist.json` stay. All names that it sees are relative: the Yosys of PyPI may not see others.
pub(crate) fn synthesize(
    yosys: &Found,
    verilog: &Verilog,
    commands: &str,
    folder: &Path,
    limit: Duration,
) -> Result<Netlist, AreaError> {
    check_names(verilog)?;
    for (i, source) in verilog.sources.iter().enumerate() {
        let copy = folder.join(copy_name(i));
        match source {
            Source::File(file) => fs::copy(file, copy)
                .map(drop)
                .map_err(|e| file_error(file, e)),
            Source::Text(text) => fs::write(&copy, text).map_err(|e| file_error(&copy, e)),
        }?;
    }
    let path = folder.join("area.ys");
    fs::write(&path, script(verilog, commands)).map_err(|e| file_error(&path, e))?;
    yosys
        .invoke(folder, "yosys.log")
        .args(["-q", "-l", "synthesis.log", "-s", "area.ys"])
        .time_limit(limit)
        .produces("netlist.json")
        .run()?;
    let path = folder.join("netlist.json");
    let text = fs::read(&path).map_err(|e| file_error(&path, e))?;
    let unusable = |reason: String| AreaError::Netlist {
        tool: yosys.tool.name,
        version: yosys.version.clone(),
        path: path.clone(),
        reason,
    };
    let netlist: Netlist = serde_json::from_slice(&text).map_err(|e| unusable(e.to_string()))?;
    if !netlist.modules.contains_key(&verilog.top) {
        return Err(unusable(format!("it has no module `{}`", verilog.top)));
    }
    Ok(netlist)
}

pub(crate) fn file_error(path: &Path, source: io::Error) -> AreaError {
    let path = path.to_owned();
    AreaError::File { path, source }
}

/// A copy's name: Yosys' script has no way to quote any name that a file may have.
pub(crate) fn copy_name(index: usize) -> String {
    format!("source_{index}.v")
}

fn script(verilog: &Verilog, synthesis: &str) -> String {
    let mut script = String::new();
    for i in 0..verilog.sources.len() {
        let _ = writeln!(script, "read_verilog {}", copy_name(i));
    }
    if !verilog.parameters.is_empty() {
        // One command: each one derives the module anew, and names change what ABC finds.
        script.push_str("chparam");
        for (name, value) in &verilog.parameters {
            let _ = write!(script, " -set {name} {value}");
        }
        let _ = writeln!(script, " {}", verilog.top);
    }
    let _ = writeln!(script, "{synthesis}");
    script.push_str("write_json netlist.json\n");
    script
}

/// Names end up in Yosys' script, so that nothing but a name may be in them.
fn check_names(verilog: &Verilog) -> Result<(), AreaError> {
    check_name("top module", &verilog.top)?;
    verilog
        .parameters
        .iter()
        .try_for_each(|(name, _)| check_name("parameter", name))
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), AreaError> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let plain = name.starts_with(letter)
        && name
            .chars()
            .all(|c| letter(c) || c.is_ascii_digit() || c == '$');
    plain.then_some(()).ok_or_else(|| AreaError::Name {
        what,
        name: name.to_owned(),
    })
}

impl Area {
    pub(crate) fn of_module(target: Target, module: &Module) -> Self {
        let cells = module.cell_counts();
        let count = |is: fn(&str) -> bool| -> u64 {
            cells.iter().filter(|(k, _)| is(k)).map(|(_, n)| n).sum()
        };
        let memory: u64 = cells.iter().map(|(kind, n)| n * memory_sites(kind)).sum();
        let mut area = Self {
            target,
            luts: 0,
            sites: 0,
            sites_max: 0,
            pairing_is_exact: true,
            carry: count(|k| matches!(k, "CARRY4" | "CARRY8" | "CCU2C" | "SB_CARRY")),
            ff: count(is_flip_flop),
            bram: count(is_block_memory),
            dsp: count(|k| matches!(k, "DSP48E1" | "DSP48E2" | "MULT18X18D" | "SB_MAC16")),
            cell_area: None,
            cells: BTreeMap::new(),
        };
        match target {
            Target::Xilinx | Target::Ultrascale => {
                let found = sites::xilinx(module);
                area.luts = found.luts;
                area.pairing_is_exact = found.exact;
                area.sites = found.luts - found.shared + memory;
                area.sites_max = area.sites + found.passing;
            }
            Target::Ecp5 => {
                area.luts = count(|k| k == "LUT4");
                area.sites = area.luts + 2 * area.carry + memory;
                area.sites_max = area.sites;
            }
            Target::Ice40 => {
                area.luts = count(|k| k == "SB_LUT4");
                area.sites = area.luts;
                area.sites_max = sites::ice40_logic_cells(module);
            }
            Target::Generic | Target::Asic => {
                area.sites = count(|k| !is_flip_flop(k));
                area.sites_max = area.sites;
            }
        }
        Self { cells, ..area }
    }
}

/// LUT sites that a distributed memory takes. An ECP5 memory is two slices and the one that writes them.
fn memory_sites(kind: &str) -> u64 {
    match kind {
        "SRL16E" | "SRLC32E" | "RAM32X1S" | "RAM64X1S" => 1,
        "RAM32X1D" | "RAM64X1D" | "RAM128X1S" => 2,
        "RAM32M" | "RAM64M" | "RAM128X1D" | "RAM256X1S" => 4,
        "TRELLIS_DPR16X4" => 6,
        _ => 0,
    }
}

/// Flip-flops, and the latches that take their places.
fn is_flip_flop(kind: &str) -> bool {
    matches!(
        kind,
        "FDRE" | "FDSE" | "FDCE" | "FDPE" | "LDCE" | "LDPE" | "TRELLIS_FF"
    ) || [
        "FDRE_", "FDSE_", "FDCE_", "FDPE_", "SB_DFF", "$_DFF", "$_SDFF", "$_ALDFF", "$_DLATCH",
    ]
    .iter()
    .any(|prefix| kind.starts_with(prefix))
}

fn is_block_memory(kind: &str) -> bool {
    matches!(kind, "DP16KD" | "PDPW16KD")
        || ["RAMB18", "RAMB36", "SB_RAM40_4K"]
            .iter()
            .any(|prefix| kind.starts_with(prefix))
}

#[cfg(test)]
mod tests;
