//! Proofs about the emitted Verilog with Yosys, ABC and Z3: `make formal`. The wrappers with the specifications are in
//! `testbenches/formal`; what is proven, how and how long it takes is in `docs/formal.md`, which this writes.

mod engine;
mod properties;
mod property;
mod report;

use property::{Checked, PropertySet};
use std::sync::Mutex;

/// Names the file that the table is written to.
const OUT: &str = "XNORFORGE_FORMAL_OUT";
/// Only sets whose wrapper has this in its name.
const ONLY: &str = "XNORFORGE_FORMAL_ONLY";

/// Runs all checks on as many threads as there are cores, the results in their order.
fn run(sets: &[PropertySet]) -> Vec<Checked<'_>> {
    let checks: Vec<_> = sets.iter().flat_map(PropertySet::checks).collect();
    let results = Mutex::new(Vec::new());
    let next = Mutex::new(checks.into_iter().enumerate());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no thread panics here").next();
                    let Some((index, check)) = taken else { break };
                    let checked = Checked::run(check);
                    println!("{}", report::line(&checked));
                    results
                        .lock()
                        .expect("no thread panics here")
                        .push((index, checked));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("all threads have ended");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, checked)| checked).collect()
}

/// All proofs and their witnesses; `make formal` runs it.
#[test]
#[ignore = "minutes of proofs: make formal"]
fn formal_properties() {
    let mut sets = properties::all();
    if let Ok(only) = std::env::var(ONLY) {
        sets.retain(|set| set.top().contains(&only));
    }
    let results = run(&sets);
    let wrong: Vec<String> = results
        .iter()
        .filter(|checked| !checked.is_right())
        .map(report::explanation)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    if let Ok(path) = std::env::var(OUT) {
        std::fs::write(&path, report::page(&results)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

/// Every wrapper belongs to a property, so that none is forgotten.
#[test]
fn every_wrapper_is_used() {
    let sets = properties::all();
    let used: Vec<&str> = sets
        .iter()
        .flat_map(|set| set.rules.iter().copied().chain(set.wrapper))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/formal");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "v") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(used.contains(&name), "{name}.v belongs to no property");
        }
    }
}
