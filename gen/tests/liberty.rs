//! `--liberty`: adder cells of a library in the Verilog.

mod common;

use common::{Folder, text};
use serde_json::Value;

/// A library of adders alone, its pins not in the usual order.
const ADDERS: &str = r#"library (two_adders) {
    cell (FA) { area : 120;
        pin (S) { direction : output; function : "A ^ B ^ CI"; }
        pin (CO) { direction : output; function : "(A B) + (CI (A + B))"; }
        pin (CI) { direction : input; } pin (A) { direction : input; } pin (B) { direction : input; } }
    cell (HA) { area : 80;
        pin (CO) { direction : output; function : "A B"; } pin (S) { direction : output; function : "A ^ B"; }
        pin (A) { direction : input; } pin (B) { direction : input; } } }"#;

/// Wide enough for half adders.
const CONFIG: &str = "--config tiny --lanes 12 --target asic";

fn manifest(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{name}/manifest.json"))).unwrap()
}

/// Lines of the folder's Verilog with an instance of the cell.
fn instances(folder: &Folder, name: &str, cell: &str) -> usize {
    let list = folder.read(&format!("{name}/rtl/files.f"));
    let files = list
        .lines()
        .map(|file| folder.read(&format!("{name}/rtl/{file}")));
    let start = format!("    {cell} u_adder_");
    files
        .map(|text| text.lines().filter(|l| l.starts_with(&start)).count())
        .sum()
}

#[test]
fn adder_cells_stand_in_the_verilog_and_simulate() {
    let folder = Folder::new();
    folder.write("lib/adders.lib", ADDERS);
    folder.write("adders.lib", ADDERS);
    let output = folder.succeed(&format!(
        "generate {CONFIG} --liberty lib/adders.lib --out cells"
    ));
    assert!(
        output.contains("adder cells of the library two_adders: FA, HA"),
        "{output}"
    );
    folder.succeed(&format!("generate {CONFIG} --out expressions"));
    let (cells, expressions) = (manifest(&folder, "cells"), manifest(&folder, "expressions"));
    assert_eq!(
        cells["adder_cells"],
        serde_json::json!({
            "file": "adders.lib", "library": "two_adders", "full_adder": "FA", "half_adder": "HA"
        })
    );
    assert_eq!(expressions["adder_cells"], Value::Null);
    // They are no part of the configuration, and change neither ports nor cycles.
    for part in [
        "configuration",
        "configuration_sha256",
        "ports",
        "structure",
    ] {
        assert_eq!(cells[part], expressions[part], "{part}");
    }
    assert_eq!(cells["latencies_cycles"], expressions["latencies_cycles"]);
    assert!(instances(&folder, "cells", "FA") > 2);
    assert!(instances(&folder, "cells", "HA") > 0);
    assert_eq!(instances(&folder, "expressions", "FA"), 0);
    assert_eq!(folder.read("cells/sim/files.f"), "FA.v\nHA.v\n");
    assert!(!folder.path("expressions/sim").exists());
    // The manifest's command, beside the Liberty file.
    let command = cells["command"].as_str().unwrap();
    let again = command.strip_prefix("xnorforge ").unwrap();
    folder.succeed(&again.replace("DIR", "again"));
    assert_eq!(
        folder.read("cells/manifest.json"),
        folder.read("again/manifest.json")
    );
    let tools = folder.run("doctor --require verilator --require g++");
    if !tools.status.success() {
        return eprintln!("verilator or g++ is missing: co-simulation is not tested here");
    }
    let work = format!("{CONFIG} --gemm 5x23x7 --bits 2x2 --weight-encoding signed --seed 3");
    let output = folder.succeed(&format!("cosim {work} --stall 0.3 --rtl cells"));
    assert!(output.contains("35 results equal"), "{output}");
}

/// What a library lacks stays an expression, and is named.
#[test]
fn missing_adders_are_named() {
    let folder = Folder::new();
    folder.write("none.lib", "library (none) { cell (A) { area : 1; } }");
    folder.write("half.lib", ADDERS.replace("A ^ B ^ CI", "A ^ B"));
    // A name that would be a module of the design's own.
    folder.write("ours.lib", ADDERS.replace("(FA)", "(xnf_adder)"));
    folder.succeed(&format!("generate {CONFIG} --out plain"));
    for (file, full, half) in [
        ("none.lib", 0, false),
        ("half.lib", 0, true),
        ("ours.lib", 0, true),
    ] {
        let found = folder.run(&format!(
            "generate {CONFIG} --liberty {file} --out {file}.out"
        ));
        let message = text(&found.stderr);
        assert!(found.status.success(), "{message}");
        assert!(message.contains("no full-adder"), "{message}");
        assert_eq!(message.contains("no half-adder"), !half, "{message}");
        let name = format!("{file}.out");
        assert_eq!(instances(&folder, &name, "FA"), full);
        assert_eq!(instances(&folder, &name, "HA") > 0, half);
    }
    // Without any adder, it is the folder without a library.
    assert_eq!(
        folder.read("none.lib.out/manifest.json"),
        folder.read("plain/manifest.json")
    );
    let found = folder.run(&format!(
        "generate {CONFIG} --structure tree --liberty half.lib --out tree"
    ));
    let message = text(&found.stderr);
    assert!(found.status.success(), "{message}");
    assert!(message.contains("`--liberty` has no effect"), "{message}");
}

#[test]
fn bad_files_are_refused() {
    let folder = Folder::new();
    folder.write("not.lib", "module m; endmodule");
    folder.write("cut.lib", ADDERS.split_once("cell (HA)").unwrap().0);
    folder.write("adders.lib", ADDERS);
    let report = folder.failures(
        2,
        &[
            "generate --config tiny --target asic --liberty no.lib --out out",
            "generate --config tiny --target asic --liberty not.lib --out out",
            "generate --config tiny --target asic --liberty cut.lib --out out",
            "generate --config tiny --target xilinx --liberty adders.lib --out out",
        ],
    );
    for part in [
        "cannot read the Liberty file `no.lib`",
        "line 1 is not Liberty",
        "is not Liberty: the file ends inside the group",
        "the target is xilinx; add --target asic, or leave --liberty out",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}
