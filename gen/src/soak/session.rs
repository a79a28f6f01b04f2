//! Many cases on several threads, until the time is over, enough are done, one fails, or somebody interrupts.

use super::case::Case;
use super::limits::Limits;
use super::run::{Alteration, Fault, Rtl, Verdict, run_case};
use crate::commands::generate::Interface;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use xnorforge_sim::Verilator;
use xnorforge_sim::verilator::{ToolError, TraceWindow};

/// What a soak runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// No case begins after this time.
    pub time: Option<Duration>,
    /// So many cases.
    pub configurations: Option<u64>,
    /// The first case.
    pub first: u64,
    /// Cases side by side.
    pub jobs: usize,
    /// Cases of this top module only.
    pub top: Option<Interface>,
    /// What all cases stay below.
    pub limits: Limits,
    /// Changes of the Verilog.
    pub alterations: Vec<Alteration>,
}

/// Cases of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Cases.
    pub cases: u64,
    /// Cycles in lockstep.
    pub cycles: u64,
}

impl Count {
    fn add(&mut self, cycles: u64) {
        self.cases += 1;
        self.cycles += cycles;
    }
}

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All that passed.
    pub all: Count,
    /// The same, by top module, target and structure.
    pub by_kind: BTreeMap<(&'static str, &'static str, &'static str), Count>,
    /// Cases whose Verilog another one had already.
    pub repeated: u64,
    /// Numbers for which nothing legal was drawn.
    pub skipped: u64,
    /// How long it took.
    pub seconds: f64,
    designs: HashSet<[u8; 32]>,
}

/// A case that failed.
#[derive(Debug)]
pub struct Failed {
    /// The case.
    pub case: Box<Case>,
    /// What is wrong.
    pub fault: Fault,
}

/// How a soak ended.
#[derive(Debug)]
pub struct Outcome {
    /// What passed.
    pub tally: Tally,
    /// The case that failed, of the lowest number if there were several.
    pub failed: Option<Failed>,
}

#[derive(Default)]
struct Shared {
    tally: Tally,
    failed: Option<Failed>,
    tool: Option<ToolError>,
}

/// Runs cases until `options` say so, one fails, or `interrupted` is set. `progress` is called after each case, from any
/// thread.
///
/// # Errors
/// A tool that fails for reasons of its own.
pub fn soak(
    options: &Options,
    verilator: &Verilator,
    interrupted: &AtomicBool,
    progress: &(dyn Fn(&Tally) + Sync),
) -> Result<Outcome, ToolError> {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let stopped = AtomicBool::new(false);
    let shared = Mutex::new(Shared::default());
    let over = || {
        interrupted.load(Ordering::Relaxed)
            || stopped.load(Ordering::Relaxed)
            || options.time.is_some_and(|time| start.elapsed() >= time)
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while !over() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if options.configurations.is_some_and(|count| index >= count) {
                        break;
                    }
                    let number = options.first + index;
                    let result = one(options, verilator, number);
                    let mut shared = lock(&shared);
                    if keep(&mut shared, result, interrupted) {
                        stopped.store(true, Ordering::Relaxed);
                    }
                    shared.tally.seconds = start.elapsed().as_secs_f64();
                    progress(&shared.tally);
                }
            });
        }
    });
    let shared = shared.into_inner().unwrap_or_else(|e| e.into_inner());
    match (shared.failed, shared.tool) {
        (None, Some(error)) => Err(error),
        (failed, _) => Ok(Outcome {
            tally: shared.tally,
            failed,
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// How one number went; nothing was drawn without a case.
struct One {
    case: Case,
    digest: [u8; 32],
    verdict: Verdict,
}

fn one(options: &Options, verilator: &Verilator, number: u64) -> Result<Option<One>, ToolError> {
    let Some(case) = Case::draw(options.seed, number, options.top, &options.limits) else {
        return Ok(None);
    };
    let rtl = match Rtl::new(&case, &options.alterations) {
        Ok(rtl) => rtl,
        Err(fault) => {
            return Ok(Some(One {
                case,
                digest: [0; 32],
                verdict: Err(fault),
            }));
        }
    };
    let mut digest = Sha256::new();
    for (name, text) in &rtl.source.files {
        digest.update(name);
        digest.update(text);
    }
    let verdict = run_case(&case, &rtl, verilator, None)?;
    Ok(Some(One {
        case,
        digest: digest.finalize().into(),
        verdict,
    }))
}

/// Puts a result into the tally; gives whether the soak ends.
fn keep(
    shared: &mut Shared,
    result: Result<Option<One>, ToolError>,
    interrupted: &AtomicBool,
) -> bool {
    match result {
        // An interrupt reaches the tools too.
        Err(_) if was_interrupted(interrupted) => true,
        Err(error) => {
            shared.tool.get_or_insert(error);
            true
        }
        Ok(None) => {
            shared.tally.skipped += 1;
            false
        }
        Ok(Some(One {
            case,
            verdict: Err(fault),
            ..
        })) => {
            let is_first = |failed: &Failed| case.number < failed.case.number;
            if shared.failed.as_ref().is_none_or(is_first) {
                shared.failed = Some(Failed {
                    case: Box::new(case),
                    fault,
                });
            }
            true
        }
        Ok(Some(One {
            case,
            verdict: Ok(cycles),
            digest,
        })) => {
            let tally = &mut shared.tally;
            let c = case.design.config();
            let structure = match case.design.units() {
                Some(units) => units.structure.name(),
                None => "tree",
            };
            tally.all.add(cycles);
            let kind = (case.top.name(), c.target.name(), structure);
            tally.by_kind.entry(kind).or_default().add(cycles);
            if !tally.designs.insert(digest) {
                tally.repeated += 1;
            }
            false
        }
    }
}

/// Whether somebody interrupts; the signal may reach a tool a moment before this process.
fn was_interrupted(interrupted: &AtomicBool) -> bool {
    for _ in 0..20 {
        if interrupted.load(Ordering::Relaxed) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

impl Tally {
    /// Different designs that were run.
    pub fn configurations(&self) -> u64 {
        self.all.cases - self.repeated
    }
}

/// Runs a case within limits.
///
/// # Errors
/// A tool that fails for reasons of its own.
pub fn repeat(
    options: &Options,
    verilator: &Verilator,
    number: u64,
    limits: &Limits,
) -> Result<Option<Failed>, ToolError> {
    let options = Options {
        limits: limits.clone(),
        ..options.clone()
    };
    let one = one(&options, verilator, number)?;
    Ok(one.and_then(|one| {
        let fault = one.verdict.err()?;
        Some(Failed {
            case: Box::new(one.case),
            fault,
        })
    }))
}

/// Repeats a failing case with a waveform of the cycles in `window`.
///
/// # Errors
/// A tool that fails for reasons of its own.
pub fn record(
    failed: &Failed,
    rtl: &Rtl,
    verilator: &Verilator,
    window: TraceWindow,
) -> Result<Verdict, ToolError> {
    run_case(&failed.case, rtl, verilator, Some(window))
}
