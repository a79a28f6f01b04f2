//! `xnorforge explore` as a user runs it: constraints, searches, bits of each layer, and the page in a browser.

mod common;

use common::{Folder, npy_f64, npz, text};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Three convolutions, one of which adds, a pool and a fully connected layer.
const TOPOLOGY: &str = r#"
network = { name = "small", input = [3, 12, 12], input_bits = 8 }
layer = [
    { name = "a", kind = "conv", out_channels = 16, kernel = 3, padding = 1 },
    { name = "b", kind = "conv", out_channels = 16, kernel = 3, padding = 1 },
    { name = "sum", kind = "add", inputs = ["b", "a"] },
    { kind = "max_pool", kernel = 2 },
    { name = "c", kind = "conv", out_channels = 32, kernel = 3, padding = 1 },
    { name = "d", kind = "linear", out_features = 10 },
]
"#;

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).unwrap()
}

fn front(report: &Value) -> Vec<(u64, u64)> {
    let points = report["points"].as_array().unwrap().iter();
    let number = |p: &Value, name: &str| p[name].as_u64().unwrap();
    let front = points.filter(|p| p["is_pareto"] == true);
    let mut front: Vec<(u64, u64)> = front
        .map(|p| {
            (
                number(p, "binary_operation_pairs_per_cycle"),
                number(p, "cycles"),
            )
        })
        .collect();
    front.dedup();
    front
}

#[test]
fn a_guided_search_finds_the_front_of_an_exhaustive_one() {
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    let sweep = "--sweep-rows 1..16 --sweep-columns 2..16+2 --sweep-lanes 16,32,48,64 --sweep-drain-columns 1,2 \
                 --sweep-load-ports 1,2";
    let mut fronts = Vec::new();
    for method in ["exhaustive", "guided"] {
        folder.succeed(&format!(
            "explore --model small.toml --inputs 1 {sweep} --search {method} --out {method}"
        ));
        let report = json(&folder, &format!("{method}/points.json"));
        assert_eq!(report["search"]["method"], method);
        let evaluated = report["search"]["evaluated"].as_u64().unwrap();
        fronts.push((front(&report), evaluated));
    }
    assert!(fronts[0].0.len() > 5);
    assert_eq!(fronts[0].0, fronts[1].0);
    assert!(
        fronts[1].1 < fronts[0].1,
        "{} of {}",
        fronts[1].1,
        fronts[0].1
    );
}

#[test]
fn points_keep_the_constraints_or_the_nearest_is_named() {
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    folder.write(
        "sweep.toml",
        "rows = [4, 8, 16]\ncolumns = [8, 16]\nlanes = [32, 64]\nclock_mhz = 100\nbytes_per_cycle = 2.5\n\
         front = [\"cycles\", \"memory_bits\"]\n[constraints]\npairs_per_cycle = 8192\nframes_per_second = 10\n",
    );
    folder.succeed("explore --model small.toml --inputs 1 --sweep sweep.toml --out out");
    let report = json(&folder, "out/points.json");
    let points = report["points"].as_array().unwrap();
    assert!(!points.is_empty() && report["points_past_constraints"].as_u64() > Some(0));
    for point in points {
        assert!(point["binary_operation_pairs_per_cycle"].as_u64() <= Some(8192));
        assert!(point["frames_per_second"].as_f64() >= Some(10.0));
        assert!(point["cycles_at_bandwidth"].as_u64() >= point["cycles"].as_u64());
        assert!(point.get("estimate").is_none());
    }
    let impossible =
        "explore --model small.toml --inputs 1 --sweep sweep.toml --constraint cycles=10 --out no";
    let message = folder.failures(2, &[impossible]);
    for part in [
        "the tightest is cycles <= 10",
        "0 of them keep",
        "the nearest point is",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    folder.write("precision.toml", "[precision]\ncycles = 5\n");
    let refused = folder.failures(
        2,
        &[
            "explore --gemm 8x8x8 --constraint luts=100",
            "explore --gemm 8x8x8 --constraint frames_per_second=1",
            "explore --gemm 8x8x8 --constraint cycles=0",
            "explore --gemm 8x8x8 --front cycles,memory_bits",
            "explore --gemm 8x8x8 --constraint memory_bits=100",
            "explore --gemm 8x8x8 --front cycles,frames_per_second",
            "explore --gemm 8x8x8 --sweep precision.toml",
            "explore --gemm 8x8x8 --constraint speed=1",
            "explore --gemm 8x8x8 --sweep-rows 1..400 --sweep-columns 1..400 --front cycles,utilization --points-max 10000000",
        ],
    );
    for part in [
        "no model of the target",
        "add --clock-mhz",
        "no positive number",
        "--front: a product runs on an array alone",
        "memory_bits <= 100: a product runs on an array alone",
        "--front: frames per second need a clock",
        "needs --sensitivity",
        "take --search exhaustive",
        "is no metric",
        "a guided search finds the front of cycles and pairs_per_cycle alone",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

/// Losses that fall with bits, more for later layers.
fn losses() -> String {
    let mut text = "layer,activation_bits,weight_bits,loss\n".to_owned();
    for (index, layer) in ["a", "b", "c", "d"].iter().enumerate() {
        for bits in [1, 2, 4, 8] {
            let loss = (index + 1) as f64 / f64::from(bits * bits);
            // The first layer reads the input's bits.
            let activation = if index == 0 { 8 } else { bits };
            text += &format!("{layer},{activation},{bits},{loss}\n");
        }
    }
    text
}

#[test]
fn bits_are_chosen_within_limits() {
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    folder.write("losses.csv", losses());
    let run = "explore --model small.toml --inputs 1 --sensitivity losses.csv --sweep-rows 8 --sweep-columns 8 --sweep-lanes 64";
    folder.succeed(&format!("{run} --limit parameter_bytes=9000 --out out"));
    let report = json(&folder, "out/points.json");
    let bits = &report["bits"];
    let best = &bits["best"];
    assert!(best["parameter_bytes"].as_u64() <= Some(9000), "{best}");
    // No choice by rule within the limit loses less.
    for preset in bits["presets"].as_array().unwrap() {
        let is_allowed = preset["parameter_bytes"].as_u64() <= Some(9000);
        if let (true, Some(loss)) = (is_allowed, preset["loss"].as_f64()) {
            assert!(best["loss"].as_f64().unwrap() <= loss + 1e-12, "{preset}");
        }
    }
    assert!(folder.read("out/bits.csv").lines().count() > 5);
    let message = folder.failures(2, &[&format!("{run} --limit cycles=5 --out no")]);
    assert!(message.contains("the tightest is cycles <= 5"), "{message}");
    folder.write(
        "other.csv",
        "layer,activation_bits,weight_bits,loss\nz,2,2,1\n",
    );
    let other = "explore --model small.toml --sensitivity other.csv";
    let message = folder.failures(2, &[other]);
    assert!(
        message.contains("no layer with weights is called `z`"),
        "{message}"
    );
}

#[test]
fn losses_are_measured_on_a_model_of_floats() {
    let folder = Folder::new();
    let floats = |count: usize, seed: usize| -> Vec<f64> {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 1000) as f64 / 500.0 - 1.0;
        (0..count).map(number).collect()
    };
    folder.write(
        "net.toml",
        "[network]\nname = \"net\"\ninput = [16]\n[[layer]]\nkind = \"linear\"\nname = \"one\"\n\
         [[layer]]\nkind = \"relu\"\n[[layer]]\nkind = \"linear\"\nname = \"two\"\n",
    );
    let arrays = [
        ("one.weight", npy_f64(&[12, 16], &floats(192, 1))),
        ("two.weight", npy_f64(&[5, 12], &floats(60, 2))),
    ];
    folder.write("net.npz", npz(&arrays));
    folder.write("x.npy", npy_f64(&[32, 16], &floats(512, 3)));
    let run = "explore --model net.toml --weights net.npz --quantize 4x4 --calibration x.npy --inputs 1 --sweep-rows 8 \
               --sweep-columns 8 --sweep-lanes 64 --sensitivity measure";
    folder.succeed(&format!("{run} --limit parameter_bytes=790 --out out"));
    let bits = &json(&folder, "out/points.json")["bits"];
    let loss = |name: &str| {
        let presets = bits["presets"].as_array().unwrap().iter();
        let found = presets.clone().find(|p| p["name"] == name);
        found.unwrap()["loss"].as_f64().unwrap()
    };
    assert!(loss("uniform 1") > loss("uniform 3") && loss("uniform 3") > loss("uniform 8"));
    assert_eq!(loss("uniform 8"), 0.0);
    assert!(bits["best"]["parameter_bytes"].as_u64() <= Some(790));
    let message = folder.failures(2, &["explore --model resnet18 --sensitivity measure"]);
    assert!(message.contains("models of floats"), "{message}");
}

#[test]
fn vgg16_takes_no_weights() {
    let folder = Folder::new();
    folder.succeed(
        "explore --config default --model vgg16 --inputs 1 --sweep-rows 16,32 --sweep-columns 16 --sweep-lanes 256 --out out",
    );
    assert!(!front(&json(&folder, "out/points.json")).is_empty());
}

/// The browser that draws the page; without one the test passes, unless everything must be there.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no Chromium: scripts/setup --second-tools installs it"
        );
        println!("no Chromium: the page is not drawn");
    }
    found
}

#[test]
fn the_page_is_drawn_by_a_browser_without_errors() {
    let Some(browser) = browser() else { return };
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    folder.write("losses.csv", losses());
    folder.succeed(
        "explore --model small.toml --inputs 1 --sensitivity losses.csv --sweep-rows 4,8,16 --sweep-columns 4,8,16 \
         --sweep-lanes 32,64 --bytes-per-cycle 2 --clock-mhz 100 --out out",
    );
    let page = format!("file://{}", folder.path("out/report.html").display());
    let drawn = |flag: &str| {
        let output = Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path("profile").display()
            ))
            .args([
                "--virtual-time-budget=1000",
                "--window-size=1100,3000",
                flag,
                &page,
            ])
            .current_dir(folder.path("."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let log = text(&output.stderr);
        assert!(!log.contains("CONSOLE"), "{log}");
        text(&output.stdout)
    };
    let dom = drawn("--dump-dom");
    assert_eq!(
        dom.matches("<svg").count(),
        7,
        "front, bars, two maps, layers, roofline, bits"
    );
    for heading in ["Heat maps", "Layers", "Roofline", "Bits of each layer"] {
        assert!(dom.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(!dom.contains("NaN") && !dom.contains("Infinity"));
    drawn("--screenshot=page.png");
    let picture = std::fs::read(folder.path("page.png")).unwrap();
    // A blank page of this size compresses to a few kilobytes.
    assert!(picture.len() > 60_000, "{} bytes", picture.len());
}

/// Yosys, or nothing where it is not installed; in CI it is.
#[cfg(unix)]
fn yosys() -> Option<xnorforge::tools::Found> {
    let found = xnorforge::tools::Search::from_environment().find(&xnorforge::tools::YOSYS);
    if let Err(missing) = &found {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found.ok()
}

/// A program that runs another one, after the shell commands `mood`, which may end it, or not end.
#[cfg(unix)]
fn moody(folder: &Folder, name: &str, real: &std::path::Path, mood: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    folder.write(
        name,
        format!("#!/bin/sh\n{mood}\nexec \"{}\" \"$@\"\n", real.display()),
    );
    let path = folder.path(name);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Temporary folders of a run that is killed stay, so they are made in the test's own.
#[cfg(unix)]
fn with_yosys(folder: &Folder, arguments: &str, yosys: &std::path::Path) -> std::process::Output {
    let mut command = folder.command(arguments);
    command.env("TMPDIR", folder.path(""));
    command.env("XNORFORGE_YOSYS", yosys).output().unwrap()
}

/// Points whose tools fail or take too long are marked; the others are measured, and what was measured stays.
#[cfg(unix)]
#[test]
fn points_are_synthesized_and_failures_marked() {
    let Some(yosys) = yosys() else { return };
    let folder = Folder::new();
    let sweep = "explore --gemm 16x32x8 --config tiny --reduction-max 1024 --target xilinx --sweep-rows 1 --sweep-columns 1,2 \
                 --sweep-lanes 8 --sweep-activation-branches 1 --sweep-weight-branches 1";
    let synth = format!("{sweep} --synth 2 --time-limit 20 --out out");
    // The hierarchy of the smaller array is synthesized, its whole fails.
    let mood =
        "grep -q ' -flatten .*r1_c1' area.ys 2>/dev/null && { echo 'ERROR: out of mood'; exit 1; }";
    let failing = moody(&folder, "failing", &yosys.path, mood);
    let output = with_yosys(&folder, &synth, &failing);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("out of mood"), "{output:?}");
    let report = json(&folder, "out/points.json");
    let points = report["points"].as_array().unwrap();
    let of =
        |columns: u64| &points.iter().find(|p| p["columns"] == columns).unwrap()["synthesized"];
    assert!(of(2)["failed"].is_null(), "{}", of(2));
    assert!(of(2)["levels"].as_u64().unwrap() > 1);
    assert!(of(1)["failed"].as_str().unwrap().contains("out of mood"));
    assert!(of(1)["levels"].is_null());
    for columns in [1, 2] {
        let luts = of(columns)["area"]["luts"].as_f64().unwrap();
        assert!(luts > 10.0);
        let off = of(columns)["estimate_off_percent"].as_f64().unwrap();
        assert!(off.abs() < 15.0, "{off}");
    }
    assert!(folder.read("out/points.csv").contains("synthesis_failed"));
    assert!(
        folder
            .read("out/report.html")
            .contains("Synthesized points")
    );
    assert!(!folder.path(".out.synthesized").exists());
    // The command says the same.
    let command = of(2)["command"].as_str().unwrap().to_owned();
    // `synth --clock-mhz` chooses what is left open.
    assert!(command.contains("--structure pair_") && command.contains("--broadcast-stages 0"));
    let arguments = command.strip_prefix("xnorforge ").unwrap();
    folder.succeed(&format!("{arguments} --json again.json"));
    let again = json(&folder, "again.json");
    assert_eq!(
        again["synthesis"]["timing"]["depth"]["levels"],
        of(2)["levels"]
    );

    // A tool that does not end.
    let idle = moody(&folder, "idle", &yosys.path, "test -e area.ys && sleep 60");
    let synth = format!("{sweep} --synth 1 --time-limit 1 --out idle_out");
    let output = with_yosys(&folder, &synth, &idle);
    assert!(
        text(&output.stdout).contains("did not finish within 1 s"),
        "{output:?}"
    );
}

/// What was synthesized before an interrupt is not synthesized again.
#[cfg(unix)]
#[test]
fn an_interrupted_synthesis_goes_on() {
    let Some(yosys) = yosys() else { return };
    let folder = Folder::new();
    let synth = "explore --gemm 16x32x8 --config tiny --reduction-max 1024 --target xilinx --sweep-rows 1 --sweep-columns 1,2 --sweep-lanes 8 \
                 --sweep-activation-branches 1 --sweep-weight-branches 1 --synth 2 --out out";
    // Each run of Yosys leaves a line; the third one, of the second point, ends its parent as a lost machine would.
    let runs = folder.path("runs");
    let mood = format!(
        "if test -e area.ys; then echo run >> {0}; test $(wc -l < {0}) -eq 3 && {{ kill -9 $PPID; exit 1; }}; fi",
        runs.display()
    );
    let deadly = moody(&folder, "deadly", &yosys.path, &mood);
    let output = with_yosys(&folder, synth, &deadly);
    assert!(!output.status.success());
    assert!(!folder.path("out").exists());
    assert!(folder.path(".out.synthesized").exists());
    let output = with_yosys(&folder, synth, &deadly);
    assert!(output.status.success(), "{output:?}");
    // Two for the first point, one that was lost, and two for the second.
    assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), 5);
    let report = json(&folder, "out/points.json");
    let points = report["points"].as_array().unwrap().iter();
    assert_eq!(
        points
            .filter(|p| p["synthesized"]["levels"].is_u64())
            .count(),
        2
    );
    assert!(!folder.path(".out.synthesized").exists());
}

#[test]
fn synthesis_of_points_is_refused_where_it_cannot_be() {
    let folder = Folder::new();
    let product = "explore --gemm 16x32x8 --config tiny --synth 1";
    for (flags, expected) in [
        ("--target asic", "add `--liberty FILE`"),
        (
            "--target xilinx --liberty cells.lib",
            "--liberty is for standard cells",
        ),
        (
            "--target xilinx --seeds 3",
            "--seeds is for targets that are placed",
        ),
    ] {
        let output = folder.run(&format!("{product} {flags}"));
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(
            text(&output.stderr).contains(expected),
            "{flags}: {output:?}"
        );
    }
    let output = folder.run("explore --gemm 16x32x8 --config tiny --seeds 3");
    assert_eq!(output.status.code(), Some(2));
    let mut command = folder.command(&format!("{product} --target xilinx"));
    let output = command
        .env("PATH", "")
        .env("XNORFORGE_VENV", "nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}
