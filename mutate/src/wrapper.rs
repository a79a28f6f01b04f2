//! This program in the place of Verilator: it puts the faults of a plan into the Verilog, then calls Verilator.

use crate::instrument::{Plan, all_ports, instrument};
use crate::sites::Key;
use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The environment variable that names the plan's file; with it the program acts as Verilator.
pub const PLAN: &str = "XNORFORGE_MUTANTS";

/// Another one whenever the same plan gives another text.
const FORM: &str = "2";

/// What is tried in turn when Verilator fails: its optimizer of data flow (5.006) ends with an internal error at bits that a
/// fault takes past a net's end, mostly in one of its patterns. Without all of it nets of some netlists do not settle.
const ATTEMPTS: [&str; 2] = [
    "-fno-dfg-peephole-remove-sel-from-lhs-of-concat",
    "-fno-dfg",
];

/// Runs Verilator with these arguments on what it would read, with faults.
///
/// # Errors
/// The plan or a Verilog file cannot be used, or Verilator cannot be started.
pub fn run(plan: &Path, arguments: Vec<OsString>) -> Result<ExitStatus> {
    let text = std::fs::read(plan).with_context(|| format!("cannot read {}", plan.display()))?;
    let keys: Vec<Key> = serde_json::from_slice(&text)?;
    let plan = crate::population::plan(&keys);
    let is_verilog = |a: &&OsString| Path::new(a).extension().is_some_and(|e| e == "v");
    let files: Vec<PathBuf> = arguments
        .iter()
        .filter(is_verilog)
        .map(Into::into)
        .collect();
    put_in(&files, &plan)?;
    // The selections are no clean Verilog.
    let verilator = |more: &[&str]| {
        let mut command = Command::new("verilator");
        command.args(arguments.iter().filter(|a| *a != "-Wall"));
        command.args(more);
        command
    };
    if arguments.iter().any(|a| a == "--version") {
        let output = verilator(&[]).output().context("verilator")?;
        // Part of the key under which a model is kept.
        let digest = Sha256::new().chain_update(&text);
        let digest = digest.chain_update(FORM).chain_update(ATTEMPTS.concat());
        let digest = digest.finalize();
        let name: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
        let version = String::from_utf8_lossy(&output.stdout);
        println!("{} with faults {name}", version.trim());
        return Ok(output.status);
    }
    if files.is_empty() {
        return verilator(&[]).status().context("verilator");
    }
    let lenient = ["-Wno-fatal", "-Wno-lint", "-Wno-style"];
    let mut status = verilator(&lenient).status().context("verilator")?;
    for more in ATTEMPTS {
        if !status.success() {
            let arguments = [&lenient[..], &[more]].concat();
            status = verilator(&arguments).status().context("verilator")?;
        }
    }
    Ok(status)
}

fn put_in(files: &[PathBuf], plan: &Plan) -> Result<()> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let texts: Vec<String> = files.iter().map(read).collect::<Result<_>>()?;
    let ports = all_ports(texts.iter().map(String::as_str));
    for (path, text) in files.iter().zip(&texts) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Models of primitives are not what is tested.
        if !name.starts_with("xnf_") {
            continue;
        }
        let found = instrument(text, &ports, plan).map_err(|e| anyhow!("{name}: {e}"))?;
        if let Some(text) = found {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
