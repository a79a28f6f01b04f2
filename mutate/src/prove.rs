//! Proofs by Yosys that a fault changes nothing.

use crate::instrument::{all_ports, mutated};
use crate::sites::{Key, sites};
use crate::statements::read;
use anyhow::{Context, Result, anyhow};
use std::fmt::Write;
use std::process::Command;
use xnorforge_hdl::Package;

/// Whether Yosys proves for every module with the fault in some designs that outputs and next states are the same from
/// equal states and inputs.
///
/// # Errors
/// Yosys cannot be started, or no module can have the fault.
pub fn is_equivalent(packages: &[Package], key: &Key) -> Result<bool> {
    let mut modules = 0;
    for package in packages {
        let ports = all_ports(package.simulation_files().map(|f| f.text.as_str()));
        for file in &package.files {
            let module = read(&file.text, &ports).map_err(|e| anyhow!("{}: {e}", file.name))?;
            if !sites(&module).iter().any(|site| site.key == *key) {
                continue;
            }
            modules += 1;
            let faulty = mutated(&file.text, &ports, key).map_err(|e| anyhow!(e))?;
            if !proved(package, &file.name, &module.name, &faulty)? {
                return Ok(false);
            }
        }
    }
    Ok(modules > 0)
}

fn proved(package: &Package, file: &str, module: &str, faulty: &str) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let mut names = String::new();
    for f in package.simulation_files() {
        std::fs::write(folder.path().join(&f.name), &f.text)?;
        if f.name != file {
            write!(names, " {}", f.name)?;
        }
    }
    std::fs::write(folder.path().join("faulty.v"), faulty)?;
    // Registers and the ports of instances become ports of equal names; what an optimization would drop or rename makes
    // the proof fail.
    let prepare = |own: &str, name: &str| {
        format!(
            "read_verilog {own}\nread_verilog -lib{names}\nhierarchy -top {module}\nproc\nopt_expr -keepdc\n\
             memory -nomap\nmemory_map\nopt_clean\nexpose -evert -dff {module}\nexpose -evert-dff -dff {module}\n\
             rename {module} {name}\ndesign -stash {name}\n"
        )
    };
    let script = format!(
        "{}{}design -copy-from gold -as gold gold\ndesign -copy-from gate -as gate gate\n\
         miter -equiv -flatten -make_outputs gold gate miter\nhierarchy -top miter\n\
         sat -verify -prove trigger 0 -timeout 60 miter\n",
        prepare(file, "gold"),
        prepare("faulty.v", "gate")
    );
    std::fs::write(folder.path().join("proof.ys"), script)?;
    let output = Command::new("yosys")
        .args(["-Q", "-T", "-q", "-s", "proof.ys"])
        .current_dir(folder.path())
        .output()
        .context("yosys")?;
    Ok(output.status.success())
}
