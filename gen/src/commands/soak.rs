//! `xnorforge soak`: random configurations and work, the RTL beside the model in every cycle.

use super::generate::Interface;
use crate::failure::Failure;
use crate::output;
use crate::soak::{self, Alteration, Case, Failed, Limits, Options, Outcome, Rtl, Tally};
use crate::terminal::{Terminal, quoted, thousands};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use xnorforge_sim::Verilator;
use xnorforge_sim::verilator::{TraceWindow, Warnings};
use xnorforge_sim::wave::CYCLES_BEFORE_DEFAULT;

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge soak --minutes 10 --seed 7
  xnorforge soak --configurations 200 --jobs 1
  xnorforge soak --seed 7 --case 31                              one case again
  xnorforge soak --seed 7 --case 31 --at-most rows=2,stalls=0    the same, smaller
  xnorforge soak --inject 'pair_bits:activation ^ ~weight=>activation ^ weight'    does it find this?

A case is a random design (every target and structure, edges of every size) with random work: products on the array, or
networks on the accelerator, in every encoding, with stalls on all ports, resets in the middle and changes of precision.
The RTL is stepped beside the model, every output compared in every cycle, and every result with the reference. The first
failure ends the run with exit code 1: the command that repeats it is printed, then the one of the smallest case that still
fails, and its waveform is kept. Ctrl-C ends the run with the counts so far. Needs verilator and g++.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin no case after so many minutes; 10, unless --configurations or --case is given
    #[arg(long, value_name = "N", value_parser = minutes)]
    minutes: Option<f64>,
    /// Seed of everything that is random
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Stop after so many cases
    #[arg(long, value_name = "N", conflicts_with = "case", value_parser = clap::value_parser!(u64).range(1..))]
    configurations: Option<u64>,
    /// Run exactly this case of the seed
    #[arg(long, value_name = "K")]
    case: Option<u64>,
    /// Number of the first case
    #[arg(long, value_name = "K", default_value_t = 0, conflicts_with = "case")]
    first: u64,
    /// Only designs with this top module
    #[arg(long, value_enum)]
    top: Option<Interface>,
    /// Lower what cases draw, for example rows=2,stalls=0
    #[arg(long, value_name = "NAME=VALUE,..")]
    at_most: Option<Limits>,
    /// Folder in which a failing case is kept, in a folder of its own; nothing is written without a failure
    #[arg(long, value_name = "DIR", default_value = "soak-failures")]
    out: PathBuf,
    /// Cases side by side; as many as processors, when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Do not look for a smaller case that fails
    #[arg(long)]
    no_shrink: bool,
    /// Replace text in the emitted Verilog of a module, to see that the fault is found; may be given several times
    #[arg(long, value_name = "MODULE:FROM=>TO", value_parser = Alteration::parse)]
    inject: Vec<Alteration>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 100_000.0 => Ok(minutes),
        _ => Err("choose a number above 0 and up to 100000".to_owned()),
    }
}

impl Args {
    fn options(&self) -> Options {
        let bounded = self.configurations.is_some() || self.case.is_some();
        let minutes = self.minutes.or((!bounded).then_some(10.0));
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            seed: self.seed,
            time: minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes)),
            configurations: self.configurations.or(self.case.map(|_| 1)),
            first: self.case.unwrap_or(self.first),
            jobs: match self.case {
                Some(_) => 1,
                None => self.jobs.map_or_else(cores, usize::from),
            },
            top: self.top,
            limits: self.at_most.clone().unwrap_or_default(),
            alterations: self.inject.clone(),
        }
    }

    /// The command that repeats a case.
    fn command(&self, number: u64, limits: &Limits) -> String {
        let mut words = format!("xnorforge soak --seed {} --case {number}", self.seed);
        if let Some(top) = self.top {
            words += &format!(" --top {}", top.name());
        }
        if !limits.is_empty() {
            words += &format!(" --at-most {limits}");
        }
        for a in &self.inject {
            let text = format!("{}:{}=>{}", a.module, a.from, a.to);
            words += &format!(" --inject {}", quoted(&text));
        }
        words
    }
}

/// Runs the command.
///
/// # Errors
/// A missing tool; a case that fails.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let options = args.options();
    let verilator = Verilator::find().map_err(Failure::tool)?;
    let verilator = match args.inject.is_empty() {
        true => verilator,
        // An injected fault may leave a signal without a use.
        false => verilator.with_warnings(Warnings::Ignored),
    };
    let interrupted = interrupts()?;
    terminal.line(format!("seed {}", options.seed));
    let outcome = many(&options, &verilator, &interrupted, terminal)?;
    let Some(failed) = &outcome.failed else {
        if args.case.is_some() && outcome.tally.all.cases == 0 {
            return Err(Failure::input(format!(
                "nothing legal can be drawn for case {} within --at-most {}; raise a limit",
                options.first, options.limits
            )));
        }
        print(
            terminal,
            &options,
            &outcome,
            interrupted.load(Ordering::Relaxed),
        );
        return Ok(());
    };
    print_kinds(terminal, &outcome.tally);
    terminal.line(format!(
        "FAILED case {}: {}",
        failed.case.number, failed.fault.message
    ));
    terminal.line(format!(
        "repeat: {}",
        args.command(failed.case.number, &options.limits)
    ));
    let session = Session {
        args,
        options: &options,
        verilator: &verilator,
        interrupted: &interrupted,
        terminal,
    };
    Err(session.report(failed)?)
}

/// Set by the first interrupt; the second one ends the process at once.
fn interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|e| Failure::input(format!("interrupts cannot be taken: {e}")))?;
    Ok(interrupted)
}

fn many(
    options: &Options,
    verilator: &Verilator,
    interrupted: &AtomicBool,
    terminal: &Terminal,
) -> Result<Outcome, Failure> {
    let total = match (options.configurations, options.time) {
        (Some(count), _) => count,
        (None, time) => time.map_or(0, |time| time.as_secs()),
    };
    let what = match options.configurations {
        Some(_) => "soak, cases",
        None => "soak, seconds",
    };
    let bar = terminal.progress(total, what);
    let shown = AtomicU64::new(0);
    let progress = |tally: &Tally| {
        let now = match options.configurations {
            Some(_) => tally.all.cases + tally.skipped,
            None => tally.seconds as u64,
        };
        let before = shown.fetch_max(now, Ordering::Relaxed);
        bar.advance(now.saturating_sub(before));
        bar.message(format!(
            "{what} ({} configurations)",
            tally.configurations()
        ));
    };
    soak::soak(options, verilator, interrupted, &progress).map_err(Failure::tool)
}

fn print_kinds(terminal: &Terminal, tally: &Tally) {
    let rows: Vec<Vec<String>> = tally
        .by_kind
        .iter()
        .map(|((top, target, structure), count)| {
            vec![
                (*top).to_owned(),
                (*target).to_owned(),
                (*structure).to_owned(),
                thousands(count.cases.into()),
                thousands(count.cycles.into()),
            ]
        })
        .collect();
    let columns = ["top", "target", "structure", ">cases", ">cycles"];
    terminal.table(&columns, &rows);
}

fn print(terminal: &Terminal, options: &Options, outcome: &Outcome, interrupted: bool) {
    let tally = &outcome.tally;
    print_kinds(terminal, tally);
    let repeated = match tally.repeated {
        0 => String::new(),
        count => format!(", {} more runs of one of them", thousands(count.into())),
    };
    let ended = if interrupted { "interrupted: " } else { "" };
    terminal.line(format!(
        "{ended}{} configurations{repeated}, {} cycles in lockstep, {:.0} s, seed {}: no difference",
        thousands(tally.configurations().into()),
        thousands(tally.all.cycles.into()),
        tally.seconds,
        options.seed,
    ));
}

/// What a failure needs.
struct Session<'a> {
    args: &'a Args,
    options: &'a Options,
    verilator: &'a Verilator,
    interrupted: &'a AtomicBool,
    terminal: &'a Terminal,
}

impl Session<'_> {
    /// Shrinks a failing case, keeps it, and says all about it.
    fn report(&self, failed: &Failed) -> Result<Failure, Failure> {
        let number = failed.case.number;
        let limits = match self.args.no_shrink {
            true => self.options.limits.clone(),
            false => self.shrink(failed),
        };
        let again = soak::repeat(self.options, self.verilator, number, &limits);
        let smallest = again.map_err(Failure::tool)?.ok_or_else(|| {
            Failure::Check(format!(
                "case {number} failed ({}), but passes when it is repeated: the RTL may depend on registers that it never wrote",
                failed.fault.message
            ))
        })?;
        let command = self.args.command(number, &limits);
        let kept = self.keep(&smallest, &command)?;
        let c = smallest.case.design.config();
        Ok(Failure::Check(format!(
            "case {number}: {}\n  smallest case that fails: {}\n  top: {}\n  configuration: {}{}\n  repeat: {command}\n  waveform and files: {}",
            failed.fault.message,
            smallest.fault.message,
            smallest.case.top.name(),
            c.command_flags(),
            c.accelerator.command_flags(),
            kept.display(),
        )))
    }

    fn shrink(&self, failed: &Failed) -> Limits {
        let number = failed.case.number;
        self.terminal
            .note("looking for a smaller case that fails (Ctrl-C ends the search)");
        let sizes = failed.case.sizes();
        let limits = soak::shrink(&self.options.limits, sizes, |limits| {
            if self.interrupted.load(Ordering::Relaxed) {
                return None;
            }
            let failed = soak::repeat(self.options, self.verilator, number, limits);
            failed.ok().flatten().map(|failed| failed.case.sizes())
        });
        // Of the case without any limit: what it stays below by itself need not be said.
        let (seed, top) = (self.options.seed, self.options.top);
        match Case::draw(seed, number, top, &Limits::default()) {
            Some(whole) => limits.without_idle(&whole.sizes()),
            None => limits,
        }
    }

    /// Writes the case's folder: configuration, Verilog, work, waveform.
    fn keep(&self, failed: &Failed, command: &str) -> Result<PathBuf, Failure> {
        let case = &failed.case;
        let name = format!("seed-{}-case-{}", case.seed, case.number);
        let folder = free_folder(&self.args.out, &name);
        let rtl = Rtl::new(case, &self.options.alterations).ok();
        let mut files = output::Files::new();
        let mut put = |name: &str, text: String| files.insert(name.to_owned(), text.into_bytes());
        put("configuration.toml", case.design.config().to_toml());
        put("work.txt", case.describe());
        put(
            "failure.txt",
            format!("{}\n{command}\n", failed.fault.message),
        );
        for (name, text) in rtl.iter().flat_map(|rtl| &rtl.source.files) {
            put(&format!("rtl/{name}"), text.clone());
        }
        if let Some(wave) = rtl.as_ref().and_then(|rtl| self.wave(failed, rtl)) {
            files.insert("failure.vcd".to_owned(), wave);
        }
        output::write_new_folder(&folder, &files)?;
        Ok(folder)
    }

    /// The waveform of the cycles before a difference, if there is one.
    fn wave(&self, failed: &Failed, rtl: &Rtl) -> Option<Vec<u8>> {
        let last_cycle = failed.fault.divergence.as_ref()?.cycle;
        let folder = tempfile::tempdir().ok()?;
        let window = TraceWindow {
            path: folder.path().join("failure.vcd"),
            first_cycle: last_cycle.saturating_sub(CYCLES_BEFORE_DEFAULT),
            last_cycle,
        };
        let path = window.path.clone();
        let verdict = soak::record(failed, rtl, self.verilator, window);
        if let Err(error) = verdict {
            tracing::warn!("there is no waveform: {error}");
        }
        std::fs::read(&path).ok()
    }
}

/// A folder of this name, or with a number behind it if there is one already.
fn free_folder(parent: &Path, name: &str) -> PathBuf {
    let numbered = (2u32..).map(|number| parent.join(format!("{name}-{number}")));
    std::iter::once(parent.join(name))
        .chain(numbered)
        .find(|folder| std::fs::symlink_metadata(folder).is_err())
        .expect("numbers do not end")
}
