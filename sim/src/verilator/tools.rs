//! Outside tools: where Verilator and the C++ compiler are, which versions they are, and how they are run.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The command that installs all that the bridge needs on Debian and Ubuntu.
pub const INSTALL: &str = "apt-get install verilator g++ make zlib1g-dev";

/// The first major version of Verilator whose generated code the shim fits.
const VERILATOR_MAJOR_MIN: u32 = 5;

/// Most lines of a log that an error message repeats.
const EXCERPT_LINES: usize = 20;

/// Why a Verilated model could not be made. Each message names the tool or the value, and the fix.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A tool is not installed, or not where the user said.
    #[error("`{tool}` was not found: {searched}; install it with `{INSTALL}`")]
    Missing {
        /// The tool's name.
        tool: &'static str,
        /// Where it was looked for.
        searched: String,
    },
    /// A tool is there but of no use.
    #[error("`{tool}` at {path} cannot be used: {reason}; install a working one with `{INSTALL}`")]
    Unusable {
        /// The tool's name.
        tool: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tool ran and failed: for Verilator, also on a warning, since warnings are errors here.
    #[error("`{tool}` failed ({status}); the full log is {log}:\n{excerpt}")]
    Failed {
        /// The tool's name.
        tool: &'static str,
        /// How it ended.
        status: String,
        /// Its output.
        log: PathBuf,
        /// The lines of the log that matter most.
        excerpt: String,
    },
    /// What was to be built is not well formed.
    #[error("{0}")]
    Source(String),
    /// The top module's ports are not those that were announced.
    #[error(
        "port `{port}` of `{top}` should be {expected}, but the Verilog has {found}; emit the Verilog again from the same configuration"
    )]
    Port {
        /// The port.
        port: String,
        /// The top module.
        top: String,
        /// What was announced.
        expected: String,
        /// What the Verilog has.
        found: String,
    },
    /// The shared library does not load.
    #[error("the Verilated model {path} does not load: {reason}")]
    Load {
        /// The shared library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The cache folder cannot be found or used.
    #[error("{0}; set XNORFORGE_CACHE to a folder that can be written")]
    NoCacheFolder(String),
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ToolError {
    /// For `map_err`: an [`ToolError::Io`] that names what was done to which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| ToolError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Verilator and the C++ compiler: found, asked for their versions, ready to run.
#[derive(Clone, Debug)]
pub struct Toolchain {
    pub(super) verilator: PathBuf,
    pub(super) verilator_version: String,
    pub(super) verilator_root: PathBuf,
    pub(super) compiler: PathBuf,
    pub(super) compiler_identity: String,
}

impl Toolchain {
    /// Finds the tools: `verilator` and `g++` on the `PATH`, or the programs that `XNORFORGE_VERILATOR` and
    /// `XNORFORGE_CXX` name.
    ///
    /// # Errors
    /// [`ToolError::Missing`] or [`ToolError::Unusable`], naming the tool.
    pub fn find() -> Result<Self, ToolError> {
        Self::find_with(|name| std::env::var_os(name))
    }

    /// As [`Toolchain::find`], with `variable` in the place of the process's environment variables.
    ///
    /// # Errors
    /// As [`Toolchain::find`].
    pub fn find_with(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ToolError> {
        let search_path = variable("PATH").unwrap_or_default();
        let verilator = match variable("XNORFORGE_VERILATOR").filter(|name| !name.is_empty()) {
            Some(name) => locate_given("verilator", "XNORFORGE_VERILATOR", &name, &search_path)?,
            None => locate("verilator", OsStr::new("verilator"), &search_path)?,
        };
        let compiler = match variable("XNORFORGE_CXX").filter(|name| !name.is_empty()) {
            Some(name) => locate_given("g++", "XNORFORGE_CXX", &name, &search_path)?,
            None => locate("g++", OsStr::new("g++"), &search_path)?,
        };
        let verilator_version = verilator_version(&verilator)?;
        let verilator_root = verilator_root(&verilator)?;
        let compiler_identity = compiler_identity(&compiler)?;
        Ok(Toolchain {
            verilator,
            verilator_version,
            verilator_root,
            compiler,
            compiler_identity,
        })
    }

    /// The Verilator program.
    pub fn verilator(&self) -> &Path {
        &self.verilator
    }

    /// What `verilator --version` prints: "Verilator 5.006 ..."; builds from a bare source tree print no number.
    pub fn verilator_version(&self) -> &str {
        &self.verilator_version
    }

    /// The C++ compiler.
    pub fn compiler(&self) -> &Path {
        &self.compiler
    }

    /// The compiler's own version line: "gcc version 12.2.0 ...".
    pub fn compiler_version(&self) -> &str {
        self.compiler_identity
            .lines()
            .find(|line| line.contains(" version "))
            .unwrap_or("version unknown")
            .trim()
    }

    /// Verilator's header files and run-time library.
    pub(super) fn include_folder(&self) -> PathBuf {
        self.verilator_root.join("include")
    }
}

/// A tool that a variable names: a path, or a name to look for on the `PATH`.
fn locate_given(
    tool: &'static str,
    variable: &str,
    given: &OsStr,
    search_path: &OsStr,
) -> Result<PathBuf, ToolError> {
    let path = Path::new(given);
    if path.components().count() == 1 && !path.is_absolute() {
        return locate(tool, given, search_path);
    }
    if !is_executable(path) {
        return Err(ToolError::Missing {
            tool,
            searched: format!(
                "{variable} = {} is not a program that can be run",
                path.display()
            ),
        });
    }
    // The build runs in a folder of its own, where a relative path would mean something else.
    std::path::absolute(path).map_err(ToolError::io("find", path))
}

/// A program on the search path.
fn locate(tool: &'static str, name: &OsStr, search_path: &OsStr) -> Result<PathBuf, ToolError> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
        .ok_or_else(|| ToolError::Missing {
            tool,
            searched: format!(
                "no program `{}` in any folder of PATH",
                name.to_string_lossy()
            ),
        })
}

fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        metadata.is_file()
    }
}

/// Runs a tool that only answers a question.
fn ask(tool: &'static str, program: &Path, arguments: &[&str]) -> Result<Output, ToolError> {
    let unusable = |reason: String| ToolError::Unusable {
        tool,
        path: program.to_owned(),
        reason,
    };
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| unusable(e.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(unusable(format!(
        "`{}` ended with {}: {}",
        arguments.join(" "),
        output.status,
        excerpt(&errors)
    )))
}

fn verilator_version(program: &Path) -> Result<String, ToolError> {
    let output = ask("verilator", program, &["--version"])?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = text
        .strip_prefix("Verilator ")
        .and_then(|rest| rest.split('.').next())
        .and_then(|number| number.parse::<u32>().ok());
    match major {
        Some(major) if major < VERILATOR_MAJOR_MIN => Err(ToolError::Unusable {
            tool: "verilator",
            path: program.to_owned(),
            reason: format!("it is \"{text}\", older than version {VERILATOR_MAJOR_MIN}"),
        }),
        _ => Ok(text),
    }
}

fn verilator_root(program: &Path) -> Result<PathBuf, ToolError> {
    let output = ask("verilator", program, &["--getenv", "VERILATOR_ROOT"])?;
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let header = root.join("include").join("verilated.h");
    if header.is_file() {
        return Ok(root);
    }
    Err(ToolError::Unusable {
        tool: "verilator",
        path: program.to_owned(),
        reason: format!("its header {} does not exist", header.display()),
    })
}

/// All that decides what the compiler makes of `-march=native`: its version, its defaults and this machine's
/// instruction sets. `-###` prints the commands that would run, and runs none.
fn compiler_identity(program: &Path) -> Result<String, ToolError> {
    let arguments = ["-march=native", "-###", "-E", "-x", "c++", "/dev/null"];
    let output = ask("g++", program, &arguments)?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// One run of a tool in a build.
pub(super) struct Job<'a> {
    pub(super) tool: &'static str,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// Where it runs.
    pub(super) folder: &'a Path,
    /// Where its output goes; kept only if it fails.
    pub(super) log: PathBuf,
}

impl Job<'_> {
    /// Runs the tool, its output into the log.
    ///
    /// # Errors
    /// [`ToolError::Failed`] with the log's path, or [`ToolError::Io`].
    pub(super) fn run(&self) -> Result<(), ToolError> {
        let io = ToolError::io("write", &self.log);
        let log = File::create(&self.log).map_err(io)?;
        let both = log.try_clone().map_err(ToolError::io("write", &self.log))?;
        tracing::debug!(tool = self.tool, arguments = ?self.arguments, "run");
        let status = Command::new(self.program)
            .args(&self.arguments)
            .current_dir(self.folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .status()
            .map_err(ToolError::io("run", self.program))?;
        if status.success() {
            return Ok(());
        }
        let text = std::fs::read(&self.log).unwrap_or_default();
        Err(ToolError::Failed {
            tool: self.tool,
            status: status.to_string(),
            log: self.log.clone(),
            excerpt: excerpt(&String::from_utf8_lossy(&text)),
        })
    }
}

/// The lines of a log that say what went wrong: those that name an error or a warning, or else the last ones.
fn excerpt(log: &str) -> String {
    let telling: Vec<&str> = log
        .lines()
        .filter(|line| {
            ["%Error", "%Warning", "error:", "undefined reference"]
                .iter()
                .any(|mark| line.contains(mark))
        })
        .take(EXCERPT_LINES)
        .collect();
    if !telling.is_empty() {
        return telling.join("\n");
    }
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(EXCERPT_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_prefers_the_lines_that_name_the_fault() {
        assert_eq!(excerpt("note\na.v:3: error: no\nmore"), "a.v:3: error: no");
        assert_eq!(excerpt("only\ntwo"), "only\ntwo");
        let long: String = (0..50).map(|i| format!("{i}\n")).collect();
        assert_eq!(excerpt(&long).lines().next(), Some("30"));
    }

    #[test]
    fn a_tool_that_is_missing_is_named_with_the_command_that_installs_it() {
        let error = Toolchain::find_with(|_| Some(OsString::new())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`verilator` was not found: no program `verilator` in any folder of PATH; install it with `apt-get install verilator g++ make zlib1g-dev`"
        );
    }
}
