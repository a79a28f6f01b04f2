//! Proofs by Yosys that a fault changes nothing.

use crate::instrument::{all_ports, mutated};
use crate::sites::{Key, sites};
use crate::statements::read;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xnorforge_hdl::Package;

/// Bits of memories that a proof takes: each is a register to it.
const MEMORY_BITS: u64 = 4096;

/// How long a proof may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A condition on ports and registers of a unit that holds in every state which a design can reach.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The module without its sizes.
    pub unit: String,
    /// The condition, in SystemVerilog.
    pub condition: String,
    /// Why it holds.
    pub reason: String,
}

/// Whether Yosys proves for every module with the fault in some designs that outputs and next states are the same from
/// equal states and inputs, or from those with a condition.
///
/// # Errors
/// Yosys cannot be started, or a module's text cannot be read.
pub fn is_equivalent(packages: &[Package], key: &Key, given: Option<&Given>) -> Result<bool> {
    // Designs share modules, and one proof does for all copies.
    let mut proven = BTreeSet::new();
    for package in packages {
        let ports = all_ports(package.simulation_files().map(|f| f.text.as_str()));
        for file in &package.files {
            let module = read(&file.text, &ports).map_err(|e| anyhow!("{}: {e}", file.name))?;
            if !sites(&module).iter().any(|site| site.key == *key) {
                continue;
            }
            let text = file
                .text
                .split_once("\nmodule")
                .map_or("", |(_, text)| text);
            if !proven.insert((module.name.clone(), text.to_owned())) {
                continue;
            }
            if memory_bits(&file.text) > MEMORY_BITS {
                return Ok(false);
            }
            let faulty = mutated(&file.text, &ports, key).map_err(|e| anyhow!(e))?;
            if !proved(package, &file.name, &module.name, &faulty, given)? {
                return Ok(false);
            }
        }
    }
    Ok(!proven.is_empty())
}

/// Bits of all memories that a module declares: `reg [HIGH:0] NAME [0:LAST];`.
fn memory_bits(text: &str) -> u64 {
    let memory = |line: &str| {
        let (range, name) = line
            .trim()
            .strip_prefix("reg")?
            .trim()
            .strip_prefix('[')?
            .split_once(":0]")?;
        let last = name.split_once("[0:")?.1.strip_suffix("];")?;
        Some((range.parse::<u64>().ok()? + 1) * (last.parse::<u64>().ok()? + 1))
    };
    text.lines().filter_map(memory).sum()
}

/// A module's text that takes a condition for granted.
fn granted(text: &str, given: Option<&Given>) -> String {
    let end = text.rfind("endmodule").unwrap_or(text.len());
    let (body, rest) = text.split_at(end);
    match given {
        Some(Given { condition, .. }) => {
            format!("{body}    always @* assume ({condition});\n{rest}")
        }
        None => text.to_owned(),
    }
}

fn proved(
    package: &Package,
    file: &str,
    module: &str,
    faulty: &str,
    given: Option<&Given>,
) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let (mut blocks, mut models) = (String::new(), String::new());
    for f in package.simulation_files() {
        let text = match f.name == file {
            true => granted(&f.text, given),
            false => f.text.clone(),
        };
        std::fs::write(folder.path().join(&f.name), text)?;
        // Of primitives the proof knows what they do; other modules are only wired up.
        let names = match f.name.starts_with("xnf_") {
            true => &mut blocks,
            false => &mut models,
        };
        if f.name != file {
            write!(names, " {}", f.name)?;
        }
    }
    std::fs::write(folder.path().join("faulty.v"), granted(faulty, given))?;
    let language = if given.is_some() { "-sv " } else { "" };
    let read = |option: &str, names: &str| match names {
        "" => String::new(),
        _ => format!("read_verilog {option}{names}\n"),
    };
    // Registers and the ports of instances become ports of equal names; what an optimization would drop or rename makes
    // the proof fail.
    let prepare = |own: &str, name: &str| {
        format!(
            "read_verilog {language}{own}\n{}{}hierarchy -top {module}\nproc\nflatten\nopt_expr -keepdc\n\
             memory -nomap\nmemory_map\nopt_clean\nexpose -evert -dff {module}\nexpose -evert-dff -dff {module}\n\
             rename {module} {name}\ndesign -stash {name}\n",
            read("", &models),
            read("-lib", &blocks),
        )
    };
    let script = format!(
        "{}{}design -copy-from gold -as gold gold\ndesign -copy-from gate -as gate gate\n\
         miter -equiv -flatten -make_outputs gold gate miter\nhierarchy -top miter\n\
         sat -verify {}-prove trigger 0 miter\n",
        prepare(file, "gold"),
        prepare("faulty.v", "gate"),
        if given.is_some() { "-set-assumes " } else { "" },
    );
    std::fs::write(folder.path().join("proof.ys"), script)?;
    let mut yosys = Command::new("yosys")
        .args(["-Q", "-T", "-q", "-s", "proof.ys"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("yosys")?;
    let start = Instant::now();
    loop {
        if let Some(status) = yosys.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > PATIENCE {
            yosys.kill()?;
            yosys.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_measured() {
        let text = "    reg [3:0] memory [0:7];\n    reg  [12:0] memory_0 [0:63];\n    reg  [9:0]     held;\n    wire [5:0] a = m[0:3];\n";
        assert_eq!(memory_bits(text), 32 + 13 * 64);
    }
}
