//! The commands doing what they are for.

mod common;

use common::{CASE, Folder, copy_folder, npy_f64, npy_i8, npz, text};
use serde_json::Value;
use std::process::Stdio;
use xnorforge::io::{ArrayFile, Elements};

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).unwrap()
}

#[test]
fn generate_writes_what_its_manifest_says_and_the_same_bytes_again() {
    let folder = Folder::new();
    folder.succeed("generate --config tiny --clock-mhz 50 --out a");
    folder.succeed("generate --config tiny --clock-mhz 50 --out new/folder/b");
    let manifest = json(&folder, "a/manifest.json");
    assert_eq!(
        folder.read("a/manifest.json"),
        folder.read("new/folder/b/manifest.json")
    );
    let files = manifest["files"].as_array().unwrap();
    for file in files {
        let path = file["path"].as_str().unwrap();
        let bytes = std::fs::read(folder.path(&format!("a/{path}"))).unwrap();
        assert_eq!(file["sha256"], xnorforge::output::sha256(&bytes), "{path}");
        assert_eq!(
            bytes,
            std::fs::read(folder.path(&format!("new/folder/b/{path}"))).unwrap()
        );
    }
    let top = manifest["top"].as_str().unwrap();
    let list = folder.read("a/rtl/files.f");
    assert_eq!(list.lines().last().unwrap(), format!("{top}.v"));
    assert!(
        folder
            .read(&format!("a/rtl/{top}.v"))
            .contains(&format!("module {top}"))
    );
    assert!(
        folder
            .read(&format!("a/constraints/{top}.sdc"))
            .contains("-period 20.000")
    );
    assert!(
        !folder
            .listing()
            .iter()
            .any(|name| name.contains(".xnorforge"))
    );
}

#[test]
fn the_regenerate_command_gives_the_same_folder() {
    let folder = Folder::new();
    folder.succeed("generate --config tiny --target ecp5 --accumulator-width 30 --out a");
    let manifest = json(&folder, "a/manifest.json");
    let command = manifest["command"].as_str().unwrap();
    let arguments = command
        .strip_prefix("xnorforge ")
        .unwrap()
        .replace("DIR", "b");
    folder.succeed(&arguments);
    assert_eq!(
        folder.read("a/manifest.json"),
        folder.read("b/manifest.json")
    );
}

#[test]
fn generate_writes_the_accelerator_with_and_without_axi() {
    let folder = Folder::new();
    for (interface, top) in [
        ("stream", "xnf_accelerator"),
        ("axi", "xnf_axi_accelerator"),
    ] {
        folder.succeed(&format!(
            "generate --config tiny --interface {interface} --weight-words 64 --out {interface}"
        ));
        let manifest = json(&folder, &format!("{interface}/manifest.json"));
        assert_eq!(manifest["interface"], interface);
        assert_eq!(manifest["configuration"]["accelerator"]["weight_words"], 64);
        assert!(manifest["top"].as_str().unwrap().starts_with(top));
        let command = manifest["command"].as_str().unwrap();
        let again = command.strip_prefix("xnorforge ").unwrap();
        folder.succeed(&again.replace("DIR", "again --force"));
        assert_eq!(
            folder.read(&format!("{interface}/manifest.json")),
            folder.read("again/manifest.json")
        );
    }
    let sdc = folder.read("axi/constraints/xnf_axi_accelerator_r2_c3_l5.sdc");
    assert!(sdc.contains("[get_ports aclk]"), "{sdc}");
    assert!(folder.path("axi/registers/xnorforge_registers.h").exists());
}

#[test]
fn cosim_runs_a_convolutional_network_under_stalls() {
    let folder = Folder::new();
    let case = CASE.replace("a_mlp_odd_w2a2", "b_cnn_odd_mixed");
    let output = folder.succeed(&format!(
        "cosim --config default --model {case}/model.npz --input {case}/test.npz --inputs 5 --batch 2 --stall 0.3 --seed 3"
    ));
    assert!(
        output.contains("50 results equal to the reference executor's"),
        "{output}"
    );
}

#[test]
fn simulate_takes_safetensors_as_npz() {
    let folder = Folder::new();
    for name in ["model.npz", "model.safetensors", "meta.json"] {
        let bytes = std::fs::read(format!("{CASE}/{name}")).unwrap();
        folder.write(name, bytes);
    }
    let flags = format!("--input {CASE}/test.npz --inputs 9 --dump");
    folder.succeed(&format!(
        "simulate --model model.npz {flags} --json npz.json"
    ));
    folder.succeed(&format!(
        "simulate --model model.safetensors {flags} --json tensors.json"
    ));
    let [npz, tensors] = ["npz.json", "tensors.json"].map(|name| json(&folder, name));
    assert_eq!(npz["layers"], tensors["layers"]);
}

/// A description of two layers and its floats: scores are the sums of two features each.
fn write_float_model(folder: &Folder) {
    folder.write("net.toml", FLOAT_MODEL);
    let identity =
        |n: usize| -> Vec<f64> { (0..n * n).map(|i| f64::from(i / n == i % n)).collect() };
    let sums = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    folder.write(
        "floats.npz",
        npz(&[
            ("hidden.weight", npy_f64(&[4, 4], &identity(4))),
            ("hidden.bias", npy_f64(&[4], &[0.0, 0.5, 0.0, -0.25])),
            ("scores.weight", npy_f64(&[2, 4], &sums)),
        ]),
    );
    let inputs = [
        0.9, 0.8, 0.1, 0.0, 0.1, 0.0, 0.9, 0.7, 0.3, 0.2, 0.0, 0.1, 0.0, 0.1, 1.0, 1.0,
    ];
    folder.write(
        "samples.npz",
        npz(&[
            ("x", npy_f64(&[4, 4], &inputs)),
            ("labels", npy_i8(&[4], &[0, 1, 0, 1])),
        ]),
    );
}

const FLOAT_MODEL: &str = r#"
[network]
name = "sums"
input = [4]

[[layer]]
kind = "linear"
name = "hidden"

[[layer]]
kind = "relu"

[[layer]]
kind = "linear"
name = "scores"
"#;

#[test]
fn simulate_quantizes_a_model_of_floats() {
    let folder = Folder::new();
    write_float_model(&folder);
    let noise = |bits: u32| -> f64 {
        let output = folder.succeed(&format!(
            "simulate --activation-bits 8 --weight-bits 8 --threshold-bits 8 --model net.toml --weights floats.npz --quantize {bits}x{bits} --input samples.npz --labels samples.npz --exact --step --json {bits}.json"
        ));
        assert!(output.contains("accuracy in floats 1.0000"), "{output}");
        assert!(output.contains("folds proven exact"), "{output}");
        let report = json(&folder, &format!("{bits}.json"));
        assert_eq!(report["accuracy"], 1.0);
        let layers = report["import"]["float"]["layers"].as_array().unwrap();
        let scores = layers.iter().find(|l| l["layer"] == "output").unwrap();
        scores["mean_squared_error"].as_f64().unwrap()
    };
    let errors = [3, 5, 8].map(noise);
    assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
    assert!(errors[2] < 1e-3, "{errors:?}");
}

#[test]
fn simulate_compares_the_tensors_of_an_onnx_file() {
    let case = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/models/digits_cnn_mixed"
    );
    let output = Folder::new().succeed(&format!(
        "simulate --model {case}/model_quant.onnx --input {case}/test.npz --inputs 20 --expected {case}/test.npz"
    ));
    for array in ["l1_acc", "l1_act", "l1_pool", "l3_act", "l4_acc"] {
        let line = output.lines().find(|line| line.starts_with(array)).unwrap();
        assert!(line.ends_with("all equal"), "{line}");
    }
}

#[test]
fn inspect_shows_the_scales_of_an_import() {
    let case = CASE.replace("a_mlp_odd_w2a2", "c5_bv_res_w3a3");
    insta::assert_snapshot!(Folder::new().succeed(&format!("inspect {case}/model.onnx")));
}

#[test]
fn generate_replaces_its_own_folder_and_force_one_that_was_changed() {
    let folder = Folder::new();
    folder.succeed("generate --config tiny --out a");
    folder.succeed("generate --config tiny --lanes 6 --out a");
    assert_eq!(
        json(&folder, "a/manifest.json")["configuration"]["lanes"],
        6
    );
    folder.write("a/mine.txt", "mine");
    folder.succeed("generate --config tiny --out a --force");
    assert!(!folder.path("a/mine.txt").exists());
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.succeed("generate --config tiny --out empty --force");
}

#[test]
fn simulate_gives_the_stored_integers_and_accuracy_in_both_modes() {
    let folder = Folder::new();
    let command = format!(
        "simulate --config default --model {CASE}/model.npz --input {CASE}/test.npz --labels {CASE}/test.npz --expected {CASE}/test.npz"
    );
    folder.succeed(&format!("{command} --json run.json --dump"));
    folder.succeed(&format!("{command} --step --json step.json --dump"));
    let (run, mut step) = (json(&folder, "run.json"), json(&folder, "step.json"));
    assert_eq!(run["accuracy"], 0.985);
    assert_eq!(run["schema_version"], 1);
    assert_eq!(run["layers"].as_array().unwrap().len(), 3);
    assert_eq!(run["layers"][1]["shape"], serde_json::json!([200, 128, 64]));
    assert_eq!(run["checks"].as_array().unwrap().len(), 5);
    assert_eq!(step["mode"], "step");
    step["mode"] = "run".into();
    assert!(run == step, "run and step differ");
}

#[test]
fn simulate_dumps_what_the_products_say() {
    let folder = Folder::new();
    folder.write("x.npy", npy_i8(&[2, 3], &[1, -1, 3, -3, 1, 1]));
    folder.write("model.npz", npz(&common::model()));
    folder.write(
        "meta.json",
        r#"{"layers": [{"weight_bits": 2, "act_in_bits": 2}, {"weight_bits": 2, "act_in_bits": 2}]}"#,
    );
    folder.succeed("simulate --config tiny --model model.npz --input x.npy --json out.json --dump");
    let report = json(&folder, "out.json");
    // By hand: rows (1, -1, 3) and (-3, 1, 1) with weights (1, -1, 3) and (-3, 1, 1).
    assert_eq!(
        report["layers"][0]["accumulators"],
        serde_json::json!([[11, -1], [-1, 11]])
    );
    // Thresholds -4, 0, 4 upwards; -2, 0, 2 downwards.
    assert_eq!(
        report["layers"][0]["codes"],
        serde_json::json!([[3, 1], [-1, -3]])
    );
    assert_eq!(
        report["layers"][1]["accumulators"],
        serde_json::json!([[0, 8], [8, 0]])
    );
}

#[test]
fn every_encoding_runs_in_both_modes() {
    let folder = Folder::new();
    for encoding in ["bipolar", "unsigned", "signed", "ternary"] {
        let command = format!(
            "simulate --config tiny --gemm 5x23x7 --bits 2x2 --activation-encoding {encoding} --weight-encoding signed --seed 9"
        );
        folder.succeed(&format!("{command} --json run.json --dump"));
        folder.succeed(&format!("{command} --json step.json --dump --step"));
        let (run, step) = (json(&folder, "run.json"), json(&folder, "step.json"));
        assert_eq!(run["layers"], step["layers"], "{encoding}");
    }
}

#[test]
fn simulate_writes_a_waveform_of_every_cycle() {
    let folder = Folder::new();
    folder.write("x.npy", npy_i8(&[2, 5], &[1, 1, 1, 1, 1, -1, 1, -1, 1, -1]));
    let command = "simulate --config tiny --gemm 2x5x3 --bits 1x1 --input x.npy";
    folder.succeed(&format!(
        "{command} --step --wave one.vcd --json one.json --dump"
    ));
    folder.succeed(&format!("{command} --json run.json --dump"));
    assert_eq!(
        json(&folder, "one.json")["layers"],
        json(&folder, "run.json")["layers"]
    );
    let wave = folder.read("one.vcd");
    let cycles = json(&folder, "one.json")["total"]["cycles"]
        .as_u64()
        .unwrap();
    // One cycle of reset goes before.
    assert_eq!(
        wave.lines().last(),
        Some(format!("#{}", 2 * (cycles + 1)).as_str())
    );
    insta::assert_snapshot!(wave);
}

/// What a network's result stream carries in a waveform: the data of each cycle with `result_valid` and `result_ready`.
fn results_of(wave: &str) -> Vec<i64> {
    let mut names = std::collections::HashMap::new();
    let mut values: std::collections::HashMap<&str, i64> = std::collections::HashMap::new();
    let mut results = Vec::new();
    for line in wave.lines() {
        if let Some(definition) = line.strip_prefix("$var wire ") {
            let words: Vec<&str> = definition.split(' ').collect();
            names.insert(words[1], words[2]);
        } else if let Some(time) = line.strip_prefix('#') {
            let is_high = time.parse::<u64>().unwrap() % 2 == 1;
            let value = |name: &str| values.get(name).copied().unwrap_or(0);
            if is_high && value("result_valid") & value("result_ready") == 1 {
                results.push(i64::from(value("result_data") as u32 as i32));
            }
        } else if let Some((bits, code)) = line.strip_prefix('b').and_then(|l| l.split_once(' ')) {
            // Buses of the streams of inputs are wider than 64 bits.
            values.insert(names[code], i64::from_str_radix(bits, 2).unwrap_or(0));
        } else if let Some(name) = names.get(line.get(1..).unwrap_or_default()) {
            values.insert(name, i64::from(line.starts_with('1')));
        }
    }
    results
}

#[test]
fn simulate_writes_a_waveform_of_a_network() {
    let folder = Folder::new();
    folder.succeed(&format!(
        "simulate --config small --model {CASE}/model.npz --input {CASE}/test.npz --inputs 1 --step --wave one.vcd --json one.json --dump"
    ));
    let report = json(&folder, "one.json");
    let expected = &report["layers"][2]["accumulators"][0];
    let expected: Vec<i64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(expected.len(), 10);
    assert_eq!(results_of(&folder.read("one.vcd")), expected);
}

#[test]
fn explore_agrees_with_simulate_at_every_point_that_is_looked_at() {
    let folder = Folder::new();
    let work = "--gemm 13x70x9 --bits 2x3 --weight-encoding signed";
    folder.write(
        "sweep.toml",
        "rows = [2, 5]\ncolumns = \"3..6x2\"\nlanes = \"16..48+16\"\nactivation_branches = [1, 2]\n",
    );
    folder.succeed(&format!(
        "explore {work} --sweep sweep.toml --sweep-weight-branches 1,3 --out out"
    ));
    let report = json(&folder, "out/points.json");
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 48);
    assert_eq!(folder.read("out/points.csv").lines().count(), 49);
    for point in points.iter().step_by(7) {
        let command = point["command"].as_str().unwrap();
        let flags = command.strip_prefix("xnorforge generate ").unwrap();
        let flags = flags.strip_suffix(" --out DIR").unwrap();
        folder.succeed(&format!("simulate {flags} {work} --json one.json"));
        let one = json(&folder, "one.json");
        assert_eq!(one["total"]["cycles"], point["cycles"], "{command}");
        assert_eq!(one["configuration_sha256"], point["configuration_sha256"]);
    }
    // One offline page: the only address in it is the name of the SVG format.
    let page = folder.read("out/report.html");
    assert!(page.contains("<svg") && !page.contains("{{"));
    assert!(
        !page
            .replace("http://www.w3.org/2000/svg", "")
            .contains("http")
    );
    folder.succeed(&format!("explore {work} --sweep sweep.toml --out out"));
}

#[test]
fn encode_splits_into_branches_that_add_up() {
    let folder = Folder::new();
    folder.write("x.npy", npy_i8(&[2, 2], &[-3, -1, 1, 3]));
    folder.succeed("encode x.npy --bits 2 --out out.npz");
    let file = ArrayFile::open(&folder.path("out.npz")).unwrap();
    let ints = |name: &str| file.read(name).unwrap().ints().unwrap().to_vec();
    assert_eq!(file.names(), ["branches", "codes", "values"]);
    assert_eq!(file.shape("branches").unwrap(), [2, 2, 2]);
    assert_eq!(ints("branches"), [0, 1, 0, 1, 0, 0, 1, 1]);
    assert_eq!(ints("codes"), [0, 1, 2, 3]);
    assert_eq!(ints("values"), [-3, -1, 1, 3]);
}

#[test]
fn encode_quantizes_floats_as_the_paper_does() {
    let folder = Folder::new();
    folder.write(
        "x.npz",
        npz(&[("w", npy_f64(&[4], &[-4.0, -0.5, 0.6, 2.0]))]),
    );
    folder.succeed("encode x.npz --bits 2 --range max --out out.npz");
    let file = ArrayFile::open(&folder.path("out.npz")).unwrap();
    // -1, -0.125, 0.15, 0.5 among -1, -1/3, 1/3, 1.
    assert_eq!(file.read("values").unwrap().ints().unwrap(), [-3, -1, 1, 1]);
    let scale = file.read("scale").unwrap();
    assert_eq!(scale.elements, Elements::Float(vec![4.0 / 3.0]));
    folder.succeed("encode x.npz --bits 2 --out clipped.npz");
    let file = ArrayFile::open(&folder.path("clipped.npz")).unwrap();
    assert_eq!(file.read("values").unwrap().ints().unwrap(), [-3, -1, 1, 3]);
}

#[test]
fn explore_agrees_with_simulate_for_every_kind_of_network() {
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    folder.write("one.csv", "a, 6, 6, 3, 3, 4, 6, 1,\n");
    let convolutions = format!("{CASE}/../b_cnn_odd_mixed/model.npz");
    for model in ["small.toml", "one.csv", "lenet5", &convolutions] {
        let sweep =
            "--sweep-rows 4,8 --sweep-columns 6 --sweep-lanes 48 --sweep-activation-branches 1";
        folder.succeed(&format!(
            "explore --config default --model {model} --inputs 3 {sweep} --sweep-weight-branches 1 --out out"
        ));
        let report = json(&folder, "out/points.json");
        let points = report["points"].as_array().unwrap();
        assert_eq!(points.len(), 2, "{model}");
        for point in points {
            let command = point["command"].as_str().unwrap();
            let flags = command.strip_prefix("xnorforge generate ").unwrap();
            let flags = flags.strip_suffix(" --interface axi --out DIR").unwrap();
            folder.succeed(&format!(
                "simulate {flags} --model {model} --inputs 3 --json one.json"
            ));
            let one = json(&folder, "one.json");
            assert_eq!(
                one["total"]["cycles"], point["cycles"],
                "{model}: {command}"
            );
            assert_eq!(one["configuration_sha256"], point["configuration_sha256"]);
            let layers: Vec<&Value> = std::iter::once(&one["input"])
                .chain(one["layers"].as_array().unwrap())
                .collect();
            for (index, layer) in layers.iter().enumerate() {
                assert_eq!(layer["cycles"], point["layer_cycles"][index], "{model}");
                assert_eq!(layer["name"], report["layers"][index]["name"]);
            }
        }
    }
}

/// A topology with a residual, a pool and a fully connected layer.
const TOPOLOGY: &str = r#"
[network]
name = "small"
input = [3, 8, 8]
input_bits = 4

[[layer]]
name = "a"
kind = "conv"
out_channels = 8
kernel = 3
padding = 1

[[layer]]
name = "b"
kind = "conv"
out_channels = 8
kernel = 3
padding = 1
weight_bits = 3

[[layer]]
name = "sum"
kind = "add"
inputs = ["b", "a"]

[[layer]]
name = "pool"
kind = "max_pool"
kernel = 2

[[layer]]
name = "out"
kind = "linear"
out_features = 10
"#;

/// SCALE-Sim layers: one of them depthwise.
const SCALE_SIM: &str = "\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 10, 10, 3, 3, 3, 8, 2,
DP2, 6, 6, 3, 3, 8, 1, 1,
FC, 1, 1, 1, 1, 64, 10, 1,
";

#[test]
fn inspect_shows_topologies_and_built_in_networks() {
    let folder = Folder::new();
    folder.write("small.toml", TOPOLOGY);
    folder.write("layers.csv", SCALE_SIM);
    let mut report = String::new();
    for arguments in [
        "inspect small.toml",
        "inspect layers.csv --bits 4x4",
        "inspect lenet5 --bits 1x2 --first-last-bits 8",
    ] {
        report += &format!("$ xnorforge {arguments}\n{}\n", folder.succeed(arguments));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn inspect_writes_json_and_a_picture() {
    let folder = Folder::new();
    folder.succeed("inspect resnet18 --json out.json --svg out.svg");
    let report = json(&folder, "out.json");
    let total = &report["total"];
    assert_eq!(total["macs"], 1_814_073_344u64);
    assert_eq!(total["weights"], 11_678_912);
    // The image has 8 bits: 118,013,952 of the MACs take 8 x 2 pairs, all others 2 x 2.
    let pairs = 4 * 1_814_073_344u64 + 12 * 118_013_952;
    assert_eq!(total["binary_operation_pairs"], pairs);
    let reduction = total["reduction_from_8_bits"].as_f64().unwrap();
    assert!((reduction - 64.0 * 1_814_073_344.0 / pairs as f64).abs() < 1e-9);
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers[3]["name"], "layer1.0.conv2");
    assert_eq!(layers[3]["residual"], "maxpool");
    let picture = folder.read("out.svg");
    assert_eq!(picture.matches("class=\"residual\"").count(), 8);
    for layer in layers {
        assert!(picture.contains(layer["name"].as_str().unwrap()));
    }
}

#[test]
fn inspect_shows_the_layers() {
    let output = Folder::new().succeed(&format!("inspect {CASE}/model.npz"));
    insta::assert_snapshot!(output);
}

#[test]
fn doctor_lists_every_tool_and_succeeds() {
    let output = Folder::new().succeed("doctor");
    for tool in ["yosys", "verilator", "g++", "iverilog", "nextpnr-ice40"] {
        assert!(output.contains(tool), "{output}");
    }
}

#[test]
fn demo_without_rtl_needs_no_tool() {
    let folder = Folder::new();
    let output = folder
        .command("demo --no-rtl --inputs 24")
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("on 24 images") && stdout.contains("not run"),
        "{stdout}"
    );
    assert!(folder.path("build/demo/manifest.json").exists());
}

#[test]
fn quiet_runs_say_nothing_on_standard_error() {
    let output = Folder::new().run("demo --no-rtl --inputs 1 --quiet");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = Folder::new();
    let mut child = folder
        .command("simulate --gemm 4x4x4 --json out.json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert!(folder.path("out.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let folder = Folder::new();
    let output = folder.command("doctor").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn help_has_an_example_for_every_command() {
    let folder = Folder::new();
    for name in [
        "demo", "generate", "simulate", "cosim", "explore", "encode", "inspect", "doctor",
    ] {
        let help = folder.succeed(&format!("{name} --help"));
        assert!(help.contains(&format!("  xnorforge {name}")), "{name}");
    }
}

/// Whether co-simulation is possible here.
fn has_verilator(folder: &Folder) -> bool {
    let found = folder
        .run("doctor --require verilator --require g++")
        .status
        .success();
    if !found {
        eprintln!("verilator or g++ is missing: co-simulation is not tested here");
    }
    found
}

#[test]
fn cosim_agrees_and_finds_a_fault_that_it_can_repeat() {
    let folder = Folder::new();
    if !has_verilator(&folder) {
        return;
    }
    let work = "--config tiny --gemm 5x23x7 --bits 2x2 --weight-encoding signed";
    let output = folder.succeed(&format!("cosim {work} --seed 5 --stall 0.3"));
    assert!(output.starts_with("seed 5\n"), "{output}");
    assert!(output.contains("35 results equal"), "{output}");

    let output = folder.succeed(&format!("cosim {work} --cycles 20"));
    assert!(output.contains("stopped after 20 cycles"), "{output}");

    folder.succeed("generate --config tiny --out good");
    copy_folder(&folder.path("good"), &folder.path("bad"));
    let epilogue = "bad/rtl/xnf_drain_control_r2.v";
    let faulty = folder
        .read(epilogue)
        .replacen("assign last_row = ", "assign last_row = !", 1);
    assert_ne!(
        faulty,
        folder.read(epilogue),
        "the fault is not in the Verilog"
    );
    folder.write(epilogue, faulty);
    folder.succeed(&format!("cosim {work} --rtl good"));
    let found = folder.run(&format!("cosim {work} --rtl bad --seed 5 --wave fault.vcd"));
    let message = text(&found.stderr);
    assert_eq!(found.status.code(), Some(1), "{message}");
    for part in [
        "divergence in cycle",
        "configuration: --rows 2",
        "seed: 5",
        "waveform: fault.vcd",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(folder.read("fault.vcd").starts_with("$"));
    let repeat = message
        .lines()
        .find_map(|l| l.trim().strip_prefix("repeat: xnorforge "));
    let again = folder.run(repeat.unwrap());
    assert_eq!(text(&again.stderr), message);

    // What breaks an assertion of the RTL is named.
    copy_folder(&folder.path("good"), &folder.path("broken"));
    let buffer = folder
        .listing()
        .into_iter()
        .find(|name| name.starts_with("broken/rtl/xnf_skid_buffer"))
        .expect("the array has a skid buffer");
    let from = "spill_valid <= some_valid & ~main_ready;";
    let faulty = folder
        .read(&buffer)
        .replacen(from, "spill_valid <= 1'd1;", 1);
    assert_ne!(faulty, folder.read(&buffer));
    folder.write(&buffer, faulty);
    let found = folder.run(&format!("cosim {work} --rtl broken --seed 5"));
    let message = text(&found.stderr);
    assert_eq!(found.status.code(), Some(1), "{message}");
    assert!(
        message.contains("assertion spill_behind_main fails in"),
        "{message}"
    );
}

/// The shipped structure of each FPGA family: the manifest names it, models of its primitives stand beside the RTL and not
/// in it, and array and folder co-simulate.
#[test]
fn each_family_gets_its_own_structure() {
    let folder = Folder::new();
    let simulates = has_verilator(&folder);
    for target in ["xilinx", "ecp5", "ice40"] {
        let config = format!("--config tiny --lanes 12 --target {target}");
        let output = folder.succeed(&format!("generate {config} --out {target}"));
        let manifest = json(&folder, &format!("{target}/manifest.json"));
        let structure = &manifest["structure"];
        let name = structure["name"].as_str().unwrap();
        assert_ne!(name, "tree", "{target}");
        assert!(output.contains(&format!("structure {name}: ")), "{output}");
        let sites = structure["netlists"]["element_sites"].as_u64().unwrap();
        let others = structure["netlists"]["alternatives"].as_object().unwrap();
        let least = others.values().map(|sites| sites.as_u64().unwrap()).min();
        assert_eq!(Some(sites), least, "{target}");
        let arrivals = structure["arrival_histogram"].as_array().unwrap();
        let pairs: u64 = arrivals.iter().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(pairs, 6, "{target}");
        let models = folder.read(&format!("{target}/sim/files.f"));
        assert!(models.lines().count() > 0, "{target}");
        let rtl = folder.read(&format!("{target}/rtl/files.f"));
        for model in models.lines() {
            assert!(!rtl.lines().any(|file| file == model), "{target}: {model}");
            let module = format!("module {} ", model.trim_end_matches(".v"));
            let text = folder.read(&format!("{target}/sim/{model}"));
            assert!(text.contains(&module), "{target}: {model}");
        }
        let tree =
            format!("generate {config} --structure tree --popcount-stages 1 --out {target}_tree");
        assert!(folder.succeed(&tree).contains("structure tree: "));
        if simulates {
            let work = format!("{config} --gemm 5x23x7 --bits 2x2 --weight-encoding signed");
            folder.succeed(&format!("cosim {work} --stall 0.3 --rtl {target}"));
        }
    }
}

/// Pipeline registers that `auto` has no use for are named, not taken.
#[test]
fn stages_without_effect_are_named() {
    let folder = Folder::new();
    let found = folder.run("generate --config tiny --target xilinx --popcount-stages 1 --out a");
    let message = text(&found.stderr);
    assert!(found.status.success(), "{message}");
    assert!(
        message.contains("`popcount_stages` = 1 has no effect"),
        "{message}"
    );
}

/// A structure by name fixes its latency: registers for it are refused.
#[test]
fn stages_of_a_structure_by_name_are_refused() {
    let folder = Folder::new();
    let command =
        "generate --config tiny --target xilinx --structure pair_rows --popcount-stages 1 --out a";
    let found = folder.run(command);
    let message = text(&found.stderr);
    assert_eq!(found.status.code(), Some(2), "{message}");
    assert!(
        message.contains("`popcount_stages` = 1 has no meaning"),
        "{message}"
    );
}

/// A frequency settles what is left open; the manifest says what, why, and how to do it again.
#[test]
fn a_clock_chooses_and_says_why() {
    let folder = Folder::new();
    let command = "generate --config tiny --target ecp5";
    let found = folder.run(&format!("{command} --clock-mhz 5000 --out a"));
    let message = text(&found.stderr);
    assert!(found.status.success(), "{message}");
    assert!(
        message.contains("`clock_mhz` = 5000 is past what was measured for target ecp5"),
        "{message}"
    );
    let manifest = json(&folder, "a/manifest.json");
    let choice = &manifest["clock_choice"];
    assert_eq!(choice["wanted_mhz"], 5000.0);
    assert_eq!(choice["broadcast_stages"], manifest["broadcast_stages"]);
    assert!(choice["measured"]["mhz"].as_f64().unwrap() < 5000.0);
    let again = manifest["command"].as_str().unwrap();
    let again = again.strip_prefix("xnorforge ").unwrap();
    folder.succeed(&again.replace("DIR", "b"));
    assert_eq!(
        folder.read("a/manifest.json"),
        folder.read("b/manifest.json")
    );
    let found = folder.run(&format!("{command} --clock-mhz 20 --out c"));
    assert_eq!(text(&found.stderr), "");
    let slow = json(&folder, "c/manifest.json");
    assert_eq!(slow["clock_choice"]["broadcast_stages"], 0);
    folder.succeed(&format!("{command} --out d"));
    let plain = json(&folder, "d/manifest.json");
    assert!(plain.get("clock_choice").is_none());
    assert_eq!(plain["clock_mhz"], 100.0);
}

/// The grid behind registers runs in lockstep from the command, and its manifest counts the cycles.
#[test]
fn broadcast_stages_are_a_flag() {
    let folder = Folder::new();
    let config = "--config tiny --broadcast-stages 3";
    folder.succeed(&format!("generate {config} --out a"));
    let manifest = json(&folder, "a/manifest.json");
    assert_eq!(manifest["broadcast_stages"], 3);
    assert_eq!(manifest["configuration"]["broadcast_stages"], 3);
    assert_eq!(manifest["latencies_cycles"]["drain"], 12);
    let work = format!("{config} --gemm 5x23x7 --bits 2x2");
    folder.succeed(&format!("cosim {work} --stall 0.3 --rtl a"));
}
