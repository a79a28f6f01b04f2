//! From Verilog to a shared library: Verilator writes C++, the compiler compiles it. No shell, no make, no python.

use super::cache::{Cache, Key, default_cache_folder};
use super::model::Library;
use super::shim;
use super::source::ModelSource;
use super::tools::{Job, ToolError, Toolchain};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Part of every key: raise it when the way of building changes in a manner that no other part of a key shows.
const BUILD_VERSION: &str = "1";

/// The file that a finished build is.
const LIBRARY: &str = "model.so";

/// Flags of Verilator. Every warning is an error. Registers start at random, so that nothing in the RTL can lean
/// on a value that it never wrote. Functions of 1000 statements compile ten times faster than a single one, and run
/// as fast.
const VERILATOR_FLAGS: [&str; 17] = [
    "--cc",
    "-Wall",
    "-O3",
    "--output-split",
    "5000",
    "--output-split-cfuncs",
    "1000",
    "--default-language",
    "1364-2005",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--prefix",
    "Vmodel",
    "--Mdir",
    "cpp",
];

/// Vectors of any legal width appear in waveforms; memories only where they are small, since each word is a signal that
/// is compared in every cycle, and code that takes minutes to compile.
const VERILATOR_TRACE_FLAGS: [&str; 5] = [
    "--trace",
    "--trace-max-width",
    "65536",
    "--trace-max-array",
    "128",
];

/// Optimization of the code that runs in every cycle, and of Verilator's run-time library.
const OPTIMIZE_FAST: &str = "-O2";

/// Optimization of the code that runs once, which Verilator puts into files of its own. Those are linked last, so
/// that the fast code gets its own copies of inline functions.
const OPTIMIZE_SLOW: &str = "-O0";

/// Other flags of the compiler. Nothing but the shim's functions is visible, and no symbol is shared between libraries:
/// all models have the same class names and live in one process.
const COMPILER_FLAGS: [&str; 10] = [
    "-march=native",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-pthread",
    "-w",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
];

const LINKER_FLAGS: [&str; 5] = ["-shared", "-pthread", "-Wl,-Bsymbolic", "-Wl,-z,defs", "-o"];

/// Optimization of a model that is built for a few thousand cycles: compiling takes longer than running.
const OPTIMIZE_SHORT: &str = "-O0";

/// What every unit of such a model begins with, compiled once and kept: reading Verilator's headers takes longer than
/// compiling a small design.
const COMMON_HEADER: &str = "\
#include \"verilated.h\"
#if VM_TRACE
#include \"verilated_vcd_c.h\"
#endif
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
";

/// The name of that header; the compiler finds `<name>.gch` beside it, and reads it as text should that not fit.
const COMMON_HEADER_NAME: &str = "common.h";

/// Bytes of generated C++ from which on a design is compiled in several units side by side. Each unit reads
/// Verilator's headers again, which costs about a second.
const UNIT_BYTES: u64 = 512 * 1024;

/// Whether a model can write waveforms. Tracing costs a third of the speed even when no file is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tracing {
    /// No waveforms; for running.
    #[default]
    Off,
    /// Waveforms in VCD; for replaying the cycles before a fault.
    Vcd,
}

impl Tracing {
    fn verilator_flags(self) -> &'static [&'static str] {
        match self {
            Tracing::Off => &[],
            Tracing::Vcd => &VERILATOR_TRACE_FLAGS,
        }
    }

    fn compiler_flags(self) -> [&'static str; 2] {
        match self {
            Tracing::Off => ["-DVM_TRACE=0", "-DVM_TRACE_VCD=0"],
            Tracing::Vcd => ["-DVM_TRACE=1", "-DVM_TRACE_VCD=1"],
        }
    }
}

/// What Verilator's warnings (`-Wall`) mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Warnings {
    /// A warning fails the build: the RTL that this project emits is free of them.
    #[default]
    Fatal,
    /// Warnings are ignored, for Verilog from elsewhere.
    Ignored,
}

impl Warnings {
    fn verilator_flags(self) -> &'static [&'static str] {
        match self {
            Warnings::Fatal => &[],
            Warnings::Ignored => &["-Wno-fatal"],
        }
    }
}

/// Whether the assertions of the RTL are checked while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Assertions {
    /// They are not there, as in synthesis; for measuring.
    #[default]
    Off,
    /// One that fails ends the simulation with an error that names it (`ifdef SIMULATION`).
    On,
}

impl Assertions {
    fn verilator_flags(self) -> &'static [&'static str] {
        match self {
            Assertions::Off => &[],
            Assertions::On => &["-DSIMULATION"],
        }
    }
}

/// How long a model will run, which decides how well it is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runs {
    /// Many cycles: optimized.
    #[default]
    Long,
    /// Some thousands of cycles: compiled without optimization behind a precompiled header, which takes a fifth of the
    /// time; several times slower to step.
    Short,
}

/// Verilator and a compiler with a cache folder: makes models out of Verilog.
#[derive(Clone, Debug)]
pub struct Verilator {
    tools: Toolchain,
    cache: Cache,
    warnings: Warnings,
    assertions: Assertions,
    runs: Runs,
}

impl Verilator {
    /// With the tools that are installed and the user's cache folder.
    ///
    /// # Errors
    /// A tool is missing or of no use ([`Toolchain::find`]), or there is no cache folder
    /// ([`default_cache_folder`]).
    pub fn find() -> Result<Self, ToolError> {
        Ok(Self::new(Toolchain::find()?, default_cache_folder()?))
    }

    /// With these tools and this cache folder, which is made when it is first used.
    pub fn new(tools: Toolchain, cache_folder: impl Into<PathBuf>) -> Self {
        Verilator {
            tools,
            cache: Cache::new(cache_folder.into()),
            warnings: Warnings::default(),
            assertions: Assertions::default(),
            runs: Runs::default(),
        }
    }

    /// The same, with another meaning of Verilator's warnings.
    pub fn with_warnings(self, warnings: Warnings) -> Self {
        Verilator { warnings, ..self }
    }

    /// The same, with the assertions of the RTL on or off.
    pub fn with_assertions(self, assertions: Assertions) -> Self {
        Verilator { assertions, ..self }
    }

    /// The same, with models that are made for runs of this length.
    pub fn with_runs(self, runs: Runs) -> Self {
        Verilator { runs, ..self }
    }

    /// The tools in use.
    pub fn tools(&self) -> &Toolchain {
        &self.tools
    }

    /// The cache folder in use.
    pub fn cache_folder(&self) -> &Path {
        self.cache.folder()
    }

    /// The model of a design: from the cache if the same Verilog was built before with the same tools and flags
    /// for the same kind of machine, else built (seconds to minutes).
    ///
    /// # Errors
    /// [`ToolError::Failed`] when Verilator finds an error or a warning in the Verilog, or the compiler fails;
    /// [`ToolError::Port`] when the top module's ports differ from `source.ports`; [`ToolError::Source`] for names
    /// that are not plain.
    pub fn model(&self, source: &ModelSource, tracing: Tracing) -> Result<Library, ToolError> {
        source.check()?;
        let shim = shim::text(&source.ports);
        let key = self.model_key(source, &shim, tracing);
        let entry = self.cache.entry("models", &key, |work| {
            tracing::info!(top = %source.top, "building the Verilated model");
            let build = self.build(work, tracing, self.runs);
            let kept = build
                .run(source, &shim)
                .map_err(|e| self.cache.keep_log(e, &key))?;
            // Only what loads is kept: not every linker sees that a disk is full.
            for library in &kept {
                Library::load(library, source.ports.clone())?;
            }
            Ok(kept)
        })?;
        Library::load(&entry.join(LIBRARY), source.ports.clone())
    }

    /// The model of a design for one short run ([`Runs::Short`]). It is not kept; only what all models share comes from
    /// the cache.
    ///
    /// # Errors
    /// As [`Verilator::model`].
    pub fn model_once(&self, source: &ModelSource, tracing: Tracing) -> Result<Library, ToolError> {
        source.check()?;
        let shim = shim::text(&source.ports);
        let work = self.cache.scratch()?;
        let build = self.build(work.path(), tracing, Runs::Short);
        let key = self.model_key(source, &shim, tracing);
        let kept = build
            .run(source, &shim)
            .map_err(|e| self.cache.keep_log(e, &key))?;
        // Where files can be removed while they are in use, the library stays loaded without its file.
        Library::load(&kept[0], source.ports.clone())
    }

    fn build<'a>(&'a self, work: &'a Path, tracing: Tracing, runs: Runs) -> Build<'a> {
        Build {
            tools: &self.tools,
            cache: &self.cache,
            work,
            tracing,
            runs,
            flags: self.verilator_flags(tracing),
        }
    }

    fn verilator_flags(&self, tracing: Tracing) -> Vec<&'static str> {
        VERILATOR_FLAGS
            .iter()
            .chain(self.warnings.verilator_flags())
            .chain(self.assertions.verilator_flags())
            .chain(tracing.verilator_flags())
            .copied()
            .collect()
    }

    fn model_key(&self, source: &ModelSource, shim: &str, tracing: Tracing) -> String {
        let mut key = tools_key(&self.tools, tracing).part(&source.top).part(shim);
        if self.runs == Runs::Short {
            key = key.part(OPTIMIZE_SHORT);
        }
        for flag in self.verilator_flags(tracing) {
            key = key.part(flag);
        }
        for flag in LINKER_FLAGS {
            key = key.part(flag);
        }
        for (name, text) in &source.files {
            key = key.part(name).part(text);
        }
        key.finish()
    }
}

/// The part of a key that a model shares with Verilator's run-time library.
fn tools_key(tools: &Toolchain, tracing: Tracing) -> Key {
    let mut key = Key::default()
        .part(BUILD_VERSION)
        .part(&tools.verilator_version)
        .part(tools.verilator_root.as_os_str().as_encoded_bytes())
        .part(&tools.compiler_identity)
        .part(shim::RUNTIME_HEADER);
    let flags = [OPTIMIZE_FAST, OPTIMIZE_SLOW];
    for flag in flags
        .iter()
        .chain(&COMPILER_FLAGS)
        .chain(&tracing.compiler_flags())
    {
        key = key.part(flag);
    }
    key
}

/// One build, in a folder of its own.
struct Build<'a> {
    tools: &'a Toolchain,
    cache: &'a Cache,
    work: &'a Path,
    tracing: Tracing,
    runs: Runs,
    flags: Vec<&'static str>,
}

impl Build<'_> {
    fn run(&self, source: &ModelSource, shim: &str) -> Result<Vec<PathBuf>, ToolError> {
        self.write("runtime.h", shim::RUNTIME_HEADER)?;
        self.verilate(source)?;
        let header = self.read("cpp/Vmodel.h")?;
        source.check_header(&header)?;
        let units = self.write_units(shim)?;
        let runtime = runtime_files(&self.read("cpp/Vmodel_classes.mk")?);
        // Largest jobs first: the run-time library is long to compile when it is not in the cache yet.
        let mut tasks: Vec<Task> = runtime.into_iter().map(Task::Runtime).collect();
        tasks.extend(units.into_iter().map(Task::Unit));
        let objects = side_by_side(&tasks, |task| match task {
            Task::Runtime(name) => self.runtime_object(name),
            Task::Unit(unit) => self.compile_unit(unit),
        })?;
        let library = self.link(&objects)?;
        Ok(vec![library])
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, ToolError> {
        let path = self.work.join(name);
        fs::write(&path, text).map_err(ToolError::io("write", &path))?;
        Ok(path)
    }

    fn read(&self, name: &str) -> Result<String, ToolError> {
        let path = self.work.join(name);
        fs::read_to_string(&path).map_err(ToolError::io("read", &path))
    }

    fn verilate(&self, source: &ModelSource) -> Result<(), ToolError> {
        let folder = self.work.join("rtl");
        fs::create_dir(&folder).map_err(ToolError::io("create", &folder))?;
        let mut arguments: Vec<OsString> = self.flags.iter().map(Into::into).collect();
        arguments.extend(["--top-module".into(), source.top.as_str().into()]);
        for (name, text) in &source.files {
            let relative = format!("rtl/{name}");
            self.write(&relative, text)?;
            arguments.push(relative.into());
        }
        self.job(
            "verilator",
            &self.tools.verilator,
            arguments,
            "verilator.log",
        )
        .run()
    }

    fn job<'a>(
        &'a self,
        tool: &'static str,
        program: &'a Path,
        arguments: Vec<OsString>,
        log: &str,
    ) -> Job<'a> {
        Job {
            tool,
            program,
            arguments,
            folder: self.work,
            log: self.work.join(log),
        }
    }

    /// Writes the C++ files that are compiled: each includes a share of the generated ones.
    fn write_units(&self, shim: &str) -> Result<Vec<Unit>, ToolError> {
        let all = self.generated_files()?;
        let parts = match self.runs {
            Runs::Short => vec![(all, shim, OPTIMIZE_SHORT)],
            Runs::Long => {
                let (slow, fast): (Vec<_>, Vec<_>) = all
                    .into_iter()
                    .partition(|(name, _)| name.contains("__Slow"));
                vec![(fast, shim, OPTIMIZE_FAST), (slow, "", OPTIMIZE_SLOW)]
            }
        };
        let mut units = Vec::new();
        for (files, first, optimize) in parts {
            for text in shares(&files, first) {
                let name = format!("unit_{}.cpp", units.len());
                self.write(&format!("cpp/{name}"), &text)?;
                units.push(Unit { name, optimize });
            }
        }
        Ok(units)
    }

    /// The C++ files that Verilator wrote with their sizes in bytes, the largest first.
    fn generated_files(&self) -> Result<Vec<(String, u64)>, ToolError> {
        let folder = self.work.join("cpp");
        let list = || -> std::io::Result<Vec<(String, u64)>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".cpp") {
                    files.push((name, entry.metadata()?.len()));
                }
            }
            Ok(files)
        };
        let mut files = list().map_err(ToolError::io("read", &folder))?;
        files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(files)
    }

    fn compile_unit(&self, unit: &Unit) -> Result<PathBuf, ToolError> {
        let object = self.work.join(format!("{}.o", unit.name));
        let source = self.work.join("cpp").join(&unit.name);
        let first = match self.runs {
            Runs::Long => self.work.join("runtime.h"),
            Runs::Short => self.common_header()?,
        };
        self.compile(&Compilation {
            work: self.work,
            source: &source,
            first: Some(&first),
            optimize: unit.optimize,
            object: &object,
        })?;
        Ok(object)
    }

    /// The header that units of a short run begin with, compiled.
    fn common_header(&self) -> Result<PathBuf, ToolError> {
        let key = tools_key(self.tools, self.tracing)
            .part(OPTIMIZE_SHORT)
            .part(COMMON_HEADER)
            .finish();
        let entry = self.cache.shared_entry("headers", &key, |work| {
            let header = work.join(COMMON_HEADER_NAME);
            let text = format!("{}{COMMON_HEADER}", shim::RUNTIME_HEADER);
            fs::write(&header, text).map_err(ToolError::io("write", &header))?;
            let compiled = work.join(format!("{COMMON_HEADER_NAME}.gch"));
            self.compile(&Compilation {
                work,
                source: &header,
                first: None,
                optimize: OPTIMIZE_SHORT,
                object: &compiled,
            })
            .map_err(|e| self.cache.keep_log(e, &key))?;
            Ok(vec![header, compiled])
        })?;
        Ok(entry.join(COMMON_HEADER_NAME))
    }

    /// An object file of Verilator's run-time library, shared by all models of the same tools and flags.
    fn runtime_object(&self, name: &str) -> Result<PathBuf, ToolError> {
        let key = tools_key(self.tools, self.tracing).part(name).finish();
        let object = format!("{name}.o");
        let make = |work: &Path| {
            let header = work.join("runtime.h");
            fs::write(&header, shim::RUNTIME_HEADER).map_err(ToolError::io("write", &header))?;
            let file = self.tools.include_folder().join(format!("{name}.cpp"));
            let target = work.join(&object);
            self.compile(&Compilation {
                work,
                source: &file,
                first: Some(&header),
                optimize: OPTIMIZE_FAST,
                object: &target,
            })
            .map_err(|e| self.cache.keep_log(e, &key))?;
            Ok(vec![target])
        };
        let entry = match self.runs {
            Runs::Long => self.cache.entry("runtime", &key, make)?,
            Runs::Short => self.cache.shared_entry("runtime", &key, make)?,
        };
        Ok(entry.join(object))
    }

    fn compile(&self, what: &Compilation<'_>) -> Result<(), ToolError> {
        let Compilation { work, source, .. } = what;
        let include = self.tools.include_folder();
        let mut arguments: Vec<OsString> = std::iter::once(&what.optimize)
            .chain(&COMPILER_FLAGS)
            .chain(&self.tracing.compiler_flags())
            .map(Into::into)
            .collect();
        if let Some(first) = what.first {
            arguments.extend(["-include".into(), first.into()]);
        }
        for folder in [&work.join("cpp"), &include, &include.join("vltstd")] {
            arguments.extend(["-I".into(), folder.into()]);
        }
        if source.extension().is_some_and(|e| e == "h") {
            arguments.extend(["-x".into(), "c++-header".into()]);
        }
        arguments.extend(["-c".into(), source.into(), "-o".into(), what.object.into()]);
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        Job {
            tool: "g++",
            program: &self.tools.compiler,
            arguments,
            folder: work,
            log: work.join(format!("{name}.log")),
        }
        .run()
    }

    fn link(&self, objects: &[PathBuf]) -> Result<PathBuf, ToolError> {
        let library = self.work.join(LIBRARY);
        let mut arguments: Vec<OsString> = LINKER_FLAGS.iter().map(Into::into).collect();
        arguments.push(library.clone().into());
        arguments.extend(objects.iter().map(Into::into));
        self.job("g++", &self.tools.compiler, arguments, "link.log")
            .run()?;
        Ok(library)
    }
}

/// A call of the compiler.
struct Compilation<'a> {
    /// Where it runs and its log goes.
    work: &'a Path,
    /// What is compiled.
    source: &'a Path,
    /// A header that it begins with.
    first: Option<&'a Path>,
    optimize: &'static str,
    object: &'a Path,
}

enum Task {
    /// A file of Verilator's run-time library.
    Runtime(String),
    /// A file of this design.
    Unit(Unit),
}

/// A C++ file of a design that is compiled.
struct Unit {
    name: String,
    optimize: &'static str,
}

/// Texts that include all of the files, the largest ones first, in shares of about equal size; the first text
/// begins with `first`.
fn shares(files: &[(String, u64)], first: &str) -> Vec<String> {
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let count = bytes.div_ceil(UNIT_BYTES).max(1);
    let mut shares: Vec<(u64, String)> = (0..count).map(|_| (0, String::new())).collect();
    shares[0].1.push_str(first);
    for (name, bytes) in files {
        // Each file goes to the share that is smallest so far.
        if let Some(share) = shares.iter_mut().min_by_key(|share| share.0) {
            share.0 += bytes;
            share.1.push_str(&format!("#include \"{name}\"\n"));
        }
    }
    shares.into_iter().map(|(_, text)| text).collect()
}

/// The files of the run-time library that a design needs, from the lists in the makefile that Verilator wrote:
///
/// ```text
/// VM_GLOBAL_FAST += \
///     verilated \
///     verilated_threads \
/// ```
fn runtime_files(makefile: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut inside = false;
    for line in makefile.lines() {
        let item = line.trim().trim_end_matches('\\').trim();
        if line.starts_with("VM_GLOBAL_") {
            inside = true;
        } else if !line.trim_end().ends_with('\\') {
            inside = false;
        } else if inside && !item.is_empty() {
            files.push(item.to_owned());
        }
    }
    files
}

/// Does the tasks on as many threads as there are processors; results in the tasks' order, or the first error.
fn side_by_side<T: Sync, R: Send>(
    tasks: &[T],
    work: impl Fn(&T) -> Result<R, ToolError> + Sync,
) -> Result<Vec<R>, ToolError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(tasks.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(index) else { break };
                    let result = work(task);
                    let failed = result.is_err();
                    results
                        .lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .push((index, result));
                    if failed {
                        // The others finish what they are at and take nothing new.
                        next.store(tasks.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(|e| e.into_inner());
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_time_files_are_read_from_verilators_makefile() {
        let makefile = "VM_SUPPORT_SLOW += \\\n\tVmodel__Syms \\\n\n# x\nVM_GLOBAL_FAST += \\\n\tverilated \\\n  verilated_threads \\\n\n# y\nVM_GLOBAL_SLOW += \\\n\n\n# end -*- Makefile -*-\n";
        assert_eq!(runtime_files(makefile), ["verilated", "verilated_threads"]);
    }

    #[test]
    fn tasks_keep_their_order_and_the_first_error_counts() {
        let tasks: Vec<u32> = (0..20).collect();
        let doubled = side_by_side(&tasks, |task| Ok(task * 2)).unwrap();
        assert_eq!(doubled, (0..20).map(|i| i * 2).collect::<Vec<_>>());
        let error = side_by_side(&tasks, |task| match task {
            7 => Err(ToolError::Source("seven".into())),
            _ => Ok(()),
        });
        assert_eq!(error.unwrap_err().to_string(), "seven");
    }
}
