//! Running a tool: its log, its time limit, its end.

use super::{Found, ToolError};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time limit of a run that names none.
pub const TIME_LIMIT_DEFAULT: Duration = Duration::from_secs(600);
/// Lines of a log that an error message shows.
const TAIL_LINES: usize = 12;
/// Bytes from a log's end that are read for those lines, or for a version.
const TAIL_BYTES: u64 = 16 * 1024;

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

impl<'a> Invocation<'a> {
    pub(super) fn new(found: &'a Found, folder: &Path, log: &str) -> Self {
        let mut command = Command::new(&found.path);
        command.current_dir(folder);
        Self {
            found,
            command,
            folder: folder.to_owned(),
            log: folder.join(log),
            limit: TIME_LIMIT_DEFAULT,
            products: Vec::new(),
        }
    }

    /// Adds arguments, passed as they are.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds one argument.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
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
        let tool = self.found.tool;
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
pub(super) fn run_logged(
    mut command: Command,
    log: &Path,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
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
    for child in children_of(id) {
        end_descendants(child);
        signal(child, Signal::KILL);
    }
}

/// The processes whose parent is `id`, from the table of all: `children` of a task is not there on every kernel.
#[cfg(target_os = "linux")]
fn children_of(id: u32) -> Vec<u32> {
    let parent_of = |process: u32| -> Option<u32> {
        let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name stands in parentheses and may hold any; state and parent follow the last one.
        let (_, behind) = stat.rsplit_once(')')?;
        behind.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| parent_of(*process) == Some(id))
        .collect()
}

/// The end of a log as text, or nothing if it cannot be read.
pub(super) fn log_end(log: &Path) -> String {
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

pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(empty)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
