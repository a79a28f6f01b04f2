//! The tests that must find the faults: those of `xnorforge-sim` that run Verilated RTL beside its model.

use crate::instrument::{MUTANT, SEEN};
use crate::wrapper::PLAN;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Test files, their tests, and what bounds them.
const TESTS: [(&str, &[&str]); 7] = [
    (
        "cosim",
        &[
            "rtl_equals_the_model_on_random_configurations",
            "rtl_equals_the_model_on_every_structure",
            "rtl_equals_the_model_behind_broadcast_registers",
            "rtl_equals_the_model_with_one_finished_bit",
        ],
    ),
    ("memories", &["words", "slices", "rows", "levels"]),
    (
        "control",
        &[
            "input_port",
            "weight_port",
            "program_port",
            "counters",
            "compute_engine",
            "sequencer",
            "every_edge_of_a_descriptor",
        ],
    ),
    (
        "patches",
        &[
            "tiny",
            "small",
            "many_slices",
            "branches_in_parallel",
            "load_ports",
        ],
    ),
    (
        "back_end",
        &[
            "tiny",
            "small_preset",
            "without_multipliers",
            "eight_levels",
            "planes_in_parallel",
            "one_element",
            "behind_broadcast_registers",
            "references",
        ],
    ),
    ("axi", &["lite::", "hold::", "top::"]),
    (
        "accelerator",
        &["random_networks_in_lockstep", "references_in_lockstep"],
    ),
];

/// Random configurations of `cosim`.
const COSIM_CASES: &str = "16";

/// A test.
#[derive(Clone, Debug)]
pub struct Rig {
    /// Its file and name.
    pub name: String,
    program: PathBuf,
    filter: String,
    /// Numbers of the faults that its designs have.
    pub faults: BTreeSet<u16>,
    /// How long it takes without a fault.
    pub time: Duration,
}

/// How a run of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It found nothing.
    Passed,
    /// It failed.
    Failed,
    /// It did not end.
    Endless,
}

/// Where the plan is, and what acts as Verilator.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The plan.
    pub plan: PathBuf,
    /// A folder for notes.
    pub folder: PathBuf,
    /// The workspace.
    pub root: PathBuf,
}

/// Builds the tests and gives those whose names contain one of `filters`, or all.
///
/// # Errors
/// Cargo fails.
pub fn build(root: &Path, filters: &[String]) -> Result<Vec<Rig>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--message-format=json", "--workspace"]);
    for (file, _) in TESTS {
        cargo.args(["--test", file]);
    }
    let output = cargo
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    if !output.status.success() {
        bail!("the tests of xnorforge-sim do not build");
    }
    let mut programs = BTreeMap::new();
    for line in output.stdout.split(|b| *b == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else {
            continue;
        };
        let package = message["package_id"].as_str().unwrap_or_default();
        if !package.contains("xnorforge-sim@") {
            continue;
        }
        if let (Some(name), Some(program)) = (
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            programs.insert(name.to_owned(), PathBuf::from(program));
        }
    }
    let mut rigs = Vec::new();
    for (file, tests) in TESTS {
        let program = programs
            .get(file)
            .with_context(|| format!("no test {file}"))?;
        rigs.extend(tests.iter().map(|test| Rig {
            name: format!("{file} {test}"),
            program: program.clone(),
            filter: (*test).to_owned(),
            faults: BTreeSet::new(),
            time: Duration::ZERO,
        }));
    }
    rigs.retain(|rig| filters.is_empty() || filters.iter().any(|f| rig.name.contains(f)));
    Ok(rigs)
}

impl Rig {
    /// Runs the test with a fault, 0 for none.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, setting: &Setting, mutant: u16, seen: Option<&Path>) -> Result<Verdict> {
        let mut command = Command::new(&self.program);
        command
            .arg(&self.filter)
            .current_dir(setting.root.join("sim"))
            .env("XNORFORGE_VERILATOR", std::env::current_exe()?)
            .env("XNORFORGE_COSIM_CASES", COSIM_CASES)
            .env(PLAN, &setting.plan)
            .env(MUTANT, mutant.to_string())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(seen) = seen {
            command.env(SEEN, seen);
            let log = setting
                .folder
                .join(format!("{}.log", self.name.replace([' ', ':'], "_")));
            command.stdout(std::fs::File::create(log)?);
        }
        let mut child = command.spawn().with_context(|| self.name.clone())?;
        // Only runs with a fault may not end; the first one builds the models.
        let limit = (mutant != 0).then(|| 10 * self.time + Duration::from_secs(20));
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(match status.success() {
                    true => Verdict::Passed,
                    false => Verdict::Failed,
                });
            }
            if limit.is_some_and(|limit| start.elapsed() > limit) {
                child.kill()?;
                child.wait()?;
                return Ok(Verdict::Endless);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Builds the models, and runs the test without a fault: it must pass, and shows which faults it has.
    ///
    /// # Errors
    /// It fails.
    pub fn prepare(&mut self, setting: &Setting) -> Result<()> {
        let name = self.name.replace([' ', ':'], "_");
        let seen = setting.folder.join(format!("{name}.faults"));
        let _ = std::fs::remove_file(&seen);
        if self.run(setting, 0, Some(&seen))? != Verdict::Passed {
            bail!(
                "{} fails without a fault; its output is in {}",
                self.name,
                setting.folder.display()
            );
        }
        let text = std::fs::read_to_string(&seen).unwrap_or_default();
        let numbers = text.split_whitespace().map(str::parse);
        self.faults = numbers
            .collect::<Result<_, _>>()
            .context("the numbers of faults in a simulation")?;
        let start = Instant::now();
        if self.run(setting, 0, None)? != Verdict::Passed {
            bail!("{} fails without a fault", self.name);
        }
        self.time = start.elapsed();
        Ok(())
    }
}
