//! `xnorforge activity`: counts of a run's toggles. Verilator and g++ must be installed.

mod common;

use common::{CASE, Folder};
use serde_json::Value;

fn report(folder: &Folder, arguments: &str) -> Value {
    folder.succeed(&format!("activity {arguments} --json report.json"));
    serde_json::from_str(&folder.read("report.json")).unwrap()
}

fn number(report: &Value, field: &str) -> u64 {
    report[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {report}"))
}

/// A field of the kinds of modules, added up.
fn sum(report: &Value, field: &str) -> u64 {
    let kinds = report["kinds"].as_array().unwrap();
    kinds.iter().map(|kind| number(kind, field)).sum()
}

fn kind<'r>(report: &'r Value, name: &str) -> &'r Value {
    let kinds = report["kinds"].as_array().unwrap();
    kinds.iter().find(|kind| kind["kind"] == name).unwrap()
}

/// Weights are random, so with activations that never change it is weights and sums that toggle.
#[test]
fn data_that_stands_still_toggles_less() {
    let folder = Folder::new();
    let header = "{'descr': '|i1', 'fortran_order': False, 'shape': (6, 40), }";
    folder.write("still.npy", common::npy_with_header(header, &[1; 240]));
    let work = "--config tiny --gemm 6x40x3 --bits 1x1";
    let random = report(&folder, work);
    let still = report(&folder, &format!("{work} --input still.npy"));
    assert_eq!(number(&random, "cycles"), number(&still, "cycles"));
    assert_eq!(number(&random, "toggles"), sum(&random, "toggles"));
    assert_eq!(sum(&random, "net_bits"), sum(&still, "net_bits"));
    let row = |report: &Value| number(kind(report, "row_pairs"), "toggles");
    assert!(
        row(&still) * 4 < row(&random),
        "{} {}",
        row(&still),
        row(&random)
    );
    assert!(number(&still, "toggles") < number(&random, "toggles"));
    // A net of an element's accumulator: 2 x 3 elements and 2 row units.
    assert_eq!(number(kind(&random, "accumulator"), "instances"), 8);
}

/// Cycles are those of the network's runs alone; energy is what the coefficients say.
#[test]
fn a_networks_cycles_and_the_energy_of_a_users_coefficients() {
    let folder = Folder::new();
    folder.write(
        "fj.toml",
        "source = \"a test\"\ndefault_fj = 2.0\n[kinds_fj]\naccumulator = 0.5\n",
    );
    let work = format!(
        "--config small --rows 2 --columns 4 --lanes 16 --drain-columns 1 --load-ports 1 --target generic \
         --model {CASE}/model.npz --input {CASE}/test.npz --inputs 2"
    );
    folder.succeed(&format!("simulate {work} --json simulated.json"));
    let simulated: Value = serde_json::from_str(&folder.read("simulated.json")).unwrap();
    let found = report(&folder, &format!("{work} --coefficients fj.toml"));
    assert_eq!(found["cycles"], simulated["total"]["cycles"]);
    assert_eq!(
        2 * number(&found, "binary_operation_pairs"),
        number(&simulated["total"], "operations")
    );
    let accumulators = number(kind(&found, "accumulator"), "toggles");
    let expected =
        2.0 * (number(&found, "toggles") - accumulators) as f64 + 0.5 * accumulators as f64;
    let energy = found["switching_energy_fj"].as_f64().unwrap();
    assert!(
        (energy / expected - 1.0).abs() < 1e-12,
        "{energy} {expected}"
    );
    assert_eq!(found["coefficients"]["source"], "a test");
}

#[test]
fn bad_input_is_one_error() {
    let folder = Folder::new();
    folder.write("no_source.toml", "default_fj = 1.0\n");
    folder.write("some.toml", "source = \"x\"\n[parts_fj]\nelements = 1.0\n");
    folder.write("part.toml", "source = \"x\"\n[parts_fj]\nelement = 1.0\n");
    let work = "activity --config tiny --gemm 2x8x2";
    let report = folder.failures(
        2,
        &[
            "activity --config tiny",
            "activity --config tiny --gemm 2x8",
            &format!("{work} --coefficients missing.toml"),
            &format!("{work} --coefficients no_source.toml"),
            &format!("{work} --coefficients part.toml"),
            &format!("{work} --coefficients some.toml"),
        ],
    );
    insta::assert_snapshot!(report);
}

/// The points of an exploration with the report of a run, and the line with what was said.
fn scaled(folder: &Folder, arguments: &str) -> Value {
    folder.succeed(&format!(
        "explore {arguments} --activity report.json --out out --force"
    ));
    serde_json::from_str(&folder.read("out/points.json")).unwrap()
}

/// Toggles of other arrays, scaled from one that was counted, are near what is counted there.
#[test]
fn toggles_scale_to_other_arrays() {
    let folder = Folder::new();
    folder.write("fj.toml", "source = \"a test\"\ndefault_fj = 2.0\n");
    let work = "--config small --drain-columns 1 --load-ports 1 --gemm 16x96x8 --bits 2x1";
    let larger = report(&folder, &format!("{work} --rows 4 --columns 2 --lanes 32"));
    let run = report(
        &folder,
        &format!("{work} --rows 2 --columns 2 --lanes 16 --coefficients fj.toml"),
    );
    assert_eq!(run["ran"], "array");
    let axes = "--sweep-rows 2,4 --sweep-columns 2 --sweep-lanes 16,32 --sweep-activation-branches 1 --sweep-weight-branches 1";
    let explored = scaled(&folder, &format!("{work} {axes} --front cycles,energy_uj"));
    let points = explored["points"].as_array().unwrap();
    let of = |rows: u64, lanes: u64| {
        let mut points = points.iter();
        let point = points.find(|p| p["rows"] == rows && p["lanes"] == lanes);
        &point.unwrap()["switching"]
    };
    let near = |found: &Value, expected: f64, percent: f64| {
        let off = 100.0 * (found.as_f64().unwrap() / expected - 1.0);
        assert!(off.abs() < percent, "{found} {expected}: {off} %");
    };
    // The same array: but for the cycle of the reset.
    let same = of(2, 16);
    near(&same["toggles"], number(&run, "toggles") as f64, 0.1);
    near(
        &same["energy_uj"],
        run["switching_energy_fj"].as_f64().unwrap() / 1e9,
        0.1,
    );
    near(
        &of(4, 32)["toggles"],
        number(&larger, "toggles") as f64,
        12.0,
    );
    assert!(folder.read("out/points.csv").contains("energy_uj"));
    assert!(folder.read("out/report.html").contains("a test"));
    let energy = points
        .iter()
        .map(|p| p["switching"]["energy_uj"].as_f64().unwrap());
    let least = energy.fold(f64::INFINITY, f64::min);
    let limited = scaled(
        &folder,
        &format!("{work} {axes} --constraint energy_uj={least}"),
    );
    assert_eq!(limited["points_past_constraints"], 3);
}

#[test]
fn reports_that_say_nothing_of_the_sweep_are_refused() {
    let folder = Folder::new();
    let run = report(&folder, "--config tiny --gemm 6x40x3 --bits 1x1");
    assert!(run["coefficients"].is_null());
    let sweep = "explore --config tiny --gemm 6x40x3 --bits 1x1";
    let case = format!("explore --config small --model {CASE}/model.npz --inputs 1");
    for (arguments, named) in [
        (
            format!("{sweep} --activity report.json --target ecp5"),
            "--target ecp5",
        ),
        (
            format!("{case} --activity report.json --target generic"),
            "array alone",
        ),
        (
            format!("{sweep} --activity report.json --constraint energy_uj=1"),
            "--coefficients",
        ),
        (
            format!("{sweep} --constraint energy_uj=1"),
            "--activity FILE",
        ),
        (format!("{sweep} --front cycles,toggles"), "--activity FILE"),
        (format!("{sweep} --activity nothing.json"), "nothing.json"),
    ] {
        let error = folder.failures(2, &[&arguments]);
        assert!(error.contains(named), "{arguments}: {error}");
    }
}
