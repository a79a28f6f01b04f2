//! Compiles and runs the bench in Icarus Verilog.

#![allow(dead_code)] // each test file uses its part

use super::Bench;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use xnorforge_hdl::Package;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbenches/stream_array_tb.v")
}

/// Runs a tool in a folder and gives all that it printed. A missing or failing tool fails the test.
pub fn tool(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{name}: {e}; Icarus Verilog is needed: run scripts/setup"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {text}");
    text
}

/// A bench with its vectors, compiled together with RTL.
pub struct Compiled {
    /// Where it stands.
    pub folder: TempDir,
}

impl Compiled {
    /// Compiles the bench with Verilog files (name and text), and models that stand elsewhere; with `warnings` the compiler
    /// must have nothing to say.
    pub fn new<'f>(
        bench: &Bench,
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        models: &[&str],
        warnings: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        bench.write(folder.path()).unwrap();
        let source = source();
        let mut arguments = vec!["-g2005", "-s", "stream_array_tb", "-I", "."];
        if warnings {
            arguments.push("-Wall");
        }
        arguments.extend(["-o", "bench.vvp", source.to_str().unwrap()]);
        arguments.extend(models);
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
            arguments.push(name);
        }
        let messages = tool(folder.path(), "iverilog", &arguments);
        assert!(!warnings || messages.is_empty(), "{messages}");
        Compiled { folder }
    }

    /// Everything that a run prints.
    pub fn run(&self, plusargs: &[&str]) -> String {
        let arguments = [&["-n", "bench.vvp"], plusargs].concat();
        tool(self.folder.path(), "vvp", &arguments)
    }
}

/// The files of a package as a simulator reads them.
pub fn texts(rtl: &Package) -> Vec<(&str, &str)> {
    let files = rtl.simulation_files();
    files.map(|f| (f.name.as_str(), f.text.as_str())).collect()
}
