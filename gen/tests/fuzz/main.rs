//! Every reader of files and of arguments, on valid input with random changes: no panic, no hang, and no more memory than
//! the reader's bound.
//!
//! A child process of this test reads case after case and names each before it begins. Its allocator refuses what is past
//! the bound, which ends the child, as a panic does; the parent ends it when a case takes too long. Each case has a
//! generator of its own, so that seed and number repeat it:
//!
//! ```text
//! XNORFORGE_FUZZ_SEED=1 XNORFORGE_FUZZ_CASE=17 cargo test -p xnorforge --test fuzz npy -- --nocapture
//! ```

mod mutate;
mod targets;

use cap::Cap;
use mutate::Mutator;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::alloc::System;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use targets::{BROKEN, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// A case that takes longer hangs, on a loaded machine and without optimization too.
const CASE_TIME_MAX: Duration = Duration::from_secs(30);
/// Cases of a target in a quick run.
const QUICK_CASES: u64 = 400;

/// Tell the child its work.
const TARGET: &str = "XNORFORGE_FUZZ_TARGET";
const SEED: &str = "XNORFORGE_FUZZ_SEED";
const CASES: &str = "XNORFORGE_FUZZ_CASES";
const CASE: &str = "XNORFORGE_FUZZ_CASE";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Not a test of its own: the child process.
#[test]
fn child() {
    let Ok(name) = std::env::var(TARGET) else {
        return;
    };
    let mut targets = TARGETS.iter().chain(BROKEN);
    let target = targets.find(|t| t.name == name).expect("a target");
    let (seed, cases) = (number(SEED).unwrap_or(1), number(CASES).unwrap_or(0));
    let numbers = match number(CASE) {
        Some(case) => case..case + 1,
        None => 0..cases,
    };
    let corpus = (target.seeds)();
    let folder = tempfile::tempdir().expect("a folder");
    let mut stdout = std::io::stdout().lock();
    for number in numbers {
        // What is announced is flushed: a line of the child is the last word about a case that ends it.
        writeln!(stdout, "\ncase {number}").expect("the parent listens");
        let input = case(target, &corpus, seed, number);
        let limit = ALLOCATOR.allocated() + target.bytes_max;
        ALLOCATOR
            .set_limit(limit)
            .expect("a limit above what is in use");
        let result = (target.read)(&input, folder.path());
        ALLOCATOR.set_limit(usize::MAX).expect("no limit");
        if let Err(error) = result {
            assert!(number as usize >= corpus.len(), "a valid file: {error}");
        }
    }
    writeln!(stdout, "\nend").expect("the parent listens");
}

/// A case: the first of them are the seeds as they are, which must be read without an error.
fn case(target: &Target, corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    if let Some(valid) = corpus.get(number as usize) {
        return valid.clone();
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(number);
    Mutator::new(generator, corpus).mutate(target.form)
}

/// Runs a child over `cases` cases; how it failed, if it did.
fn fuzz(target: &Target, seed: u64, cases: u64, time_max: Duration) -> Result<(), String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture"])
        .env(TARGET, target.name)
        .env(SEED, seed.to_string())
        .env(CASES, cases.to_string())
        // A trace allocates: at the limit that is a second failure inside the first.
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test runs");
    let result = watch(&mut child, time_max);
    // An error means that it has ended by itself.
    let _ = child.kill();
    child.wait().expect("the child ends");
    result.map_err(|(case, what)| {
        format!(
            "{what} in case {case} of {}; repeat it with {SEED}={seed} {CASE}={case}",
            target.name
        )
    })
}

/// Listens to a child until it ends; the case that it was at, and what happened, if that is not the end of its work.
fn watch(child: &mut Child, time_max: Duration) -> Result<(), (String, String)> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let stdout = BufReader::new(stdout.take().expect("a pipe"));
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What was read until an error is all there is.
        let _ = stderr.take().expect("a pipe").read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut case = "none".to_owned();
    let hangs = loop {
        match lines.recv_timeout(time_max) {
            Ok(line) if line == "end" => return Ok(()),
            Ok(line) => case = line.strip_prefix("case ").map_or(case, str::to_owned),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    if hangs {
        let _ = child.kill();
        return Err((case, format!("nothing for {time_max:?}")));
    }
    reader.join().expect("the reader ends");
    let status = child.wait().expect("the child ends");
    let text = errors.join().expect("the reader ends");
    Err((case, format!("{status}: {}", text.trim())))
}

fn quick(name: &str) {
    let target = TARGETS.iter().find(|t| t.name == name).expect("a target");
    let seed = number(SEED).unwrap_or(1);
    println!("{name}: seed {seed}");
    fuzz(target, seed, QUICK_CASES, CASE_TIME_MAX).unwrap_or_else(|error| panic!("{error}"));
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            quick(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    configuration sweep coefficients activity_report area_model arguments npy npz labels safetensors description float_options network_arrays
    network_meta onnx topology scale_sim manifest
}

/// What the tests lean on: the allocator's limit, the watch, the seeds that are read.
#[test]
fn readers_that_panic_hang_or_take_too_much_are_caught() {
    let expected = [
        "broken",
        "memory allocation of 2097152 bytes failed",
        "nothing for",
        "a valid file",
    ];
    for (target, expected) in BROKEN.iter().zip(expected) {
        let time_max = match target.name {
            "hangs" => Duration::from_secs(5),
            _ => CASE_TIME_MAX,
        };
        let error = fuzz(target, 1, 10, time_max).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("in case 0"),
            "{error}"
        );
    }
}

/// Other seeds for `XNORFORGE_SOAK_SECONDS` (60), all targets in turn.
#[test]
#[ignore = "long; make soak runs it"]
fn soak_every_reader() {
    let seconds = number("XNORFORGE_SOAK_SECONDS").unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    for seed in number(SEED).unwrap_or(2).. {
        for target in TARGETS {
            println!("{}: seed {seed}", target.name);
            fuzz(target, seed, QUICK_CASES, CASE_TIME_MAX)
                .unwrap_or_else(|error| panic!("{error}"));
            if Instant::now() > end {
                return;
            }
        }
    }
}
