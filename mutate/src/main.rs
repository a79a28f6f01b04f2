//! Mutation testing of the emitted RTL: faults are put into the Verilog, and the tests of `xnorforge-sim` must find them.
//!
//! `make mutate` runs it and writes `docs/mutation.md`. With `XNORFORGE_MUTANTS` in the environment, which it sets for
//! the tests, the program stands in for Verilator.

mod idle;
mod instrument;
mod population;
mod prove;
mod report;
mod rigs;
mod sites;
mod statements;
mod tokens;
mod wrapper;

use anyhow::{Context, Result, bail};
use clap::Parser;
use population::Population;
use prove::Given;
use report::{Equivalent, Finding, Outcome};
use rigs::{Rig, Setting, Verdict};
use sites::Key;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use xnorforge_hdl::Package;

/// The file of the findings in a work folder.
const FINDINGS: &str = "findings.json";

/// Puts faults into the emitted RTL and counts which of them the tests find.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Faults to draw.
    #[arg(long, default_value_t = 400)]
    faults: usize,
    /// Seed of the draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only modules whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    unit: Vec<String>,
    /// Only tests whose names contain one of these, and faults of the units that they have.
    #[arg(long, value_delimiter = ',')]
    tests: Vec<String>,
    /// Tests that run side by side.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Draw nothing: try the faults again that the lists of this page name.
    #[arg(long, conflicts_with_all = ["faults", "seed"])]
    again: Option<PathBuf>,
    /// Folder of the plan, the findings and the tests' output.
    #[arg(long, default_value = "target/mutate")]
    work: PathBuf,
    /// Keep what an earlier run with the same faults has found out, and run only what survived.
    #[arg(long)]
    resume: bool,
    /// Run nothing: take the findings of earlier runs from these folders, the first that found a fault counting.
    #[arg(long, num_args = 1.., conflicts_with = "resume")]
    report: Vec<PathBuf>,
    /// Write the page to this file.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// `mutate/equivalent.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Faults with the reason why they change nothing that can happen.
    #[serde(default)]
    equivalent: Vec<Equivalent>,
    /// Conditions under which Yosys is to try to prove that faults change nothing.
    #[serde(default)]
    given: Vec<Given>,
}

impl Known {
    /// The file's content; refused if it speaks of what no design has.
    fn read(root: &Path, population: &Population) -> Result<Known> {
        const FIX: &str = "remove it from mutate/equivalent.toml or correct it";
        let text = std::fs::read_to_string(root.join("mutate/equivalent.toml"))?;
        let known: Known = toml::from_str(&text)?;
        for fault in known.equivalent.iter().flat_map(|entry| &entry.faults) {
            let unit = fault.split('`').nth(1).unwrap_or_default();
            let kinds = population.get(sites::family(unit));
            let mut keys = kinds.into_iter().flat_map(|kinds| kinds.values().flatten());
            if !keys.any(|key| report::describe(key) == *fault) {
                bail!("no design has the fault {fault}; {FIX}");
            }
        }
        for Given { unit, .. } in &known.given {
            if !population.contains_key(unit) {
                bail!("no design has the module `{unit}`; {FIX}");
            }
        }
        Ok(known)
    }

    /// Why a fault changes nothing, if the file says so.
    fn reason(&self, key: &Key) -> Option<&str> {
        let name = report::describe(key);
        let entry = self.equivalent.iter().find(|e| e.faults.contains(&name));
        entry.map(|entry| &*entry.reason)
    }
}

fn main() -> Result<ExitCode> {
    if let Some(plan) = std::env::var_os(wrapper::PLAN) {
        let arguments = std::env::args_os().skip(1).collect();
        let status = wrapper::run(Path::new(&plan), arguments)?;
        return Ok(match status.success() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    let options = Options::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let packages = population::references()?;
    let mut all = population::population(&packages)?;
    let known = Known::read(&root, &all)?;
    all.retain(|name, _| options.unit.is_empty() || options.unit.iter().any(|u| name.contains(u)));
    let faults = all.values().flat_map(|g| g.values()).map(Vec::len).sum();
    let keys = match &options.again {
        Some(page) => {
            let text = std::fs::read_to_string(page)
                .with_context(|| format!("cannot read {}", page.display()))?;
            population::listed(&all, &text)
        }
        None => population::sample(&all, options.faults, options.seed),
    };
    println!(
        "seed {}: {} of {faults} faults of {} modules; kinds: {}",
        options.seed,
        keys.len(),
        all.len(),
        report::kinds()
    );
    let work = std::path::absolute(&options.work)?;
    std::fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let results = work.join(FINDINGS);
    let mut findings = match options.report.is_empty() {
        true => measure(&options, &work, &root, &keys)?,
        false => merged(&options.report)?,
    };
    explain(&packages, &mut findings, &known)?;
    std::fs::write(&results, serde_json::to_vec_pretty(&findings)?)?;
    let [found, equivalent, survived] = report::totals(&findings);
    for Finding { key, outcome } in findings.iter().filter(|f| f.outcome.is_open()) {
        println!("{outcome}: {}", report::describe(key));
    }
    println!("{found} found, {equivalent} equivalent, {survived} survived");
    if let Some(page) = &options.page {
        let text = report::page(&findings, options.seed, (all.len(), faults));
        std::fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))?;
    }
    Ok(if survived == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Findings as they are kept.
fn stored(file: &Path) -> Result<Vec<Finding>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Of each fault that some runs have tried, what the first of them found that found anything.
fn merged(folders: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut outcomes: BTreeMap<Key, Outcome> = BTreeMap::new();
    for folder in folders {
        for Finding { key, outcome } in stored(&folder.join(FINDINGS))? {
            match outcomes.get(&key) {
                Some(known) if !known.is_open() => {}
                _ => drop(outcomes.insert(key, outcome)),
            }
        }
    }
    let findings = outcomes.into_iter();
    Ok(findings
        .map(|(key, outcome)| Finding { key, outcome })
        .collect())
}

/// Runs the tests on every fault.
fn measure(options: &Options, work: &Path, root: &Path, keys: &[Key]) -> Result<Vec<Finding>> {
    if keys.is_empty() {
        bail!("no module has such a name, or none of the faults");
    }
    let plan = work.join("plan.json");
    std::fs::write(&plan, serde_json::to_vec_pretty(keys)?)?;
    let setting = Setting {
        plan,
        folder: work.to_owned(),
        root: root.to_owned(),
    };
    let mut rigs = rigs::build(root, &options.tests)?;
    prepare_all(&setting, &mut rigs, options.jobs)?;
    let before = match options.resume {
        true => stored(&work.join(FINDINGS))?,
        false => Vec::new(),
    };
    let mut findings = run_all(&setting, &rigs, keys, &before, options.jobs)?;
    if !options.tests.is_empty() {
        // Of faults that these tests do not have, nothing is said.
        findings.retain(|f| f.outcome != Outcome::Absent);
    }
    Ok(findings)
}

/// Builds all tests' models, and shows what each test has and takes.
fn prepare_all(setting: &Setting, rigs: &mut [Rig], jobs: usize) -> Result<()> {
    let queue = Mutex::new(rigs.iter_mut());
    let work = || -> Result<()> {
        loop {
            let rig = queue.lock().unwrap_or_else(|e| e.into_inner()).next();
            let Some(rig) = rig else { return Ok(()) };
            rig.prepare(setting)?;
            let seconds = rig.time.as_secs_f64();
            println!("{}: {} faults, {seconds:.1} s", rig.name, rig.faults.len());
        }
    };
    on_threads(jobs, work)
}

/// Does the same work on several threads.
fn on_threads(jobs: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a worker ends with a result"))
    })
}

/// Runs the tests of every fault until one finds it; what `before` has found stays.
fn run_all(
    setting: &Setting,
    rigs: &[Rig],
    keys: &[Key],
    before: &[Finding],
    jobs: usize,
) -> Result<Vec<Finding>> {
    let before: HashMap<&Key, &Outcome> = before.iter().map(|f| (&f.key, &f.outcome)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // How often each test has found a fault of each unit.
    let luck: Mutex<HashMap<(String, usize), u32>> = Mutex::default();
    let work = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = keys.get(at) else {
                return Ok(());
            };
            let outcome = match before.get(key) {
                Some(known) if !known.is_open() => (*known).clone(),
                _ => run_one(setting, rigs, key, at as u16 + 1, &luck)?,
            };
            let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
            println!(
                "{} of {}: {}: {outcome}",
                done.len() + 1,
                keys.len(),
                report::describe(key)
            );
            done.push(Finding {
                key: key.clone(),
                outcome,
            });
        }
    };
    on_threads(jobs, work)?;
    let mut findings = done.into_inner().unwrap_or_else(|e| e.into_inner());
    findings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(findings)
}

fn run_one(
    setting: &Setting,
    rigs: &[Rig],
    key: &Key,
    number: u16,
    luck: &Mutex<HashMap<(String, usize), u32>>,
) -> Result<Outcome> {
    let mut order: Vec<usize> = (0..rigs.len())
        .filter(|rig| rigs[*rig].faults.contains(&number))
        .collect();
    if order.is_empty() {
        return Ok(Outcome::Absent);
    }
    {
        let luck = luck.lock().unwrap_or_else(|e| e.into_inner());
        let found = |rig: usize| luck.get(&(key.unit.clone(), rig)).copied().unwrap_or(0);
        order.sort_by_key(|rig| (u32::MAX - found(*rig), rigs[*rig].time));
    }
    for rig in order {
        let name = rigs[rig].name.clone();
        let outcome = match rigs[rig].run(setting, number, None)? {
            Verdict::Passed => continue,
            Verdict::Failed => Outcome::Killed(name),
            Verdict::Endless => Outcome::Endless(name),
        };
        let mut luck = luck.lock().unwrap_or_else(|e| e.into_inner());
        *luck.entry((key.unit.clone(), rig)).or_default() += 1;
        return Ok(outcome);
    }
    Ok(Outcome::Survived)
}

/// Faults that survived are proved equivalent or have a known reason.
fn explain(packages: &[Package], findings: &mut [Finding], known: &Known) -> Result<()> {
    for finding in findings {
        if finding.outcome.is_open()
            && let Some(outcome) = explanation(packages, &finding.key, known)?
        {
            finding.outcome = outcome;
        }
    }
    Ok(())
}

/// Why a fault that no test finds changes nothing, if anybody knows.
fn explanation(packages: &[Package], key: &Key, known: &Known) -> Result<Option<Outcome>> {
    if prove::is_equivalent(packages, key, None)? {
        return Ok(Some(Outcome::Proved));
    }
    if let Some(reason) = known.reason(key) {
        return Ok(Some(Outcome::Explained(reason.to_owned())));
    }
    let unit = sites::family(&key.unit);
    for given in known.given.iter().filter(|given| given.unit == unit) {
        if prove::is_equivalent(packages, key, Some(given))? {
            let Given {
                condition, reason, ..
            } = given;
            let why = format!("Yosys proves it where `{condition}`: {reason}");
            return Ok(Some(Outcome::Explained(why)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_of_designs_that_there_are() {
        let packages = population::references().unwrap();
        let population = population::population(&packages).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Known::read(&root, &population).unwrap();
    }
}
