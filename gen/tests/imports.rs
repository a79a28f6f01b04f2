//! Every `.onnx` of the cases end to end: imported, then on the reference executor, on the cycle-accurate model and on the
//! Verilated RTL in lockstep with it, all 200 images each. The integers of every layer are checked where the importer is
//! (`import/tests/cases.rs`). Verilator and g++ must be installed.

use clap::Parser;
use std::path::{Path, PathBuf};
use xnorforge::accelerate::{Compiled, Report};
use xnorforge::core_rig::{self, CoreRig, Ending};
use xnorforge::imported::LoadedModel;
use xnorforge::workload::{DataArgs, WorkArgs, read_labels};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::accelerator::StreamStalls;
use xnorforge_sim::network::reference;

/// The flags of `simulate` that say what is run.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    data: DataArgs,
}

/// A file, more flags, the accuracy of the network in floats (400 test images) and the one that its README states for the
/// 200 stored inputs.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

const CASES: [Case; 11] = [
    ("a_mlp_odd_w2a2/model_quant.onnx", &[], "0.9850", "0.9850"),
    (
        "a_mlp_odd_w2a2/model_thr.onnx",
        &["--input-precision", "bipolar:2"],
        "0.9850",
        "0.9850",
    ),
    ("b_cnn_odd_mixed/model_quant.onnx", &[], "0.9900", "0.9550"),
    (
        "b_cnn_odd_mixed/model_thr.onnx",
        &["--input-precision", "bipolar:4"],
        "0.9900",
        "0.9550",
    ),
    ("c2_bv_cnn_w2a2/model.onnx", &[], "0.9975", "0.9750"),
    ("c2_bv_cnn_w2a2/model_clean.onnx", &[], "0.9975", "0.9750"),
    ("c2_bv_cnn_w2a2/model_ts.onnx", &[], "0.9975", "0.9750"),
    ("c2_bv_cnn_w2a2/model_qcdq.onnx", &[], "0.9975", "0.9750"),
    ("c5_bv_res_w3a3/model.onnx", &[], "0.9925", "0.9800"),
    ("c5_bv_res_w3a3/model_clean.onnx", &[], "0.9925", "0.9800"),
    ("c5_bv_res_w3a3/model_ts.onnx", &[], "0.9925", "0.9800"),
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Accuracy by the reference executor, by the model and by the RTL, whose integers are all equal.
fn accuracies(design: &AcceleratorDesign, rig: &CoreRig, case: &Case) -> [f64; 3] {
    let (file, flags, ..) = case;
    let model = root("testbenches/cases").join(file);
    let test = model.with_file_name("test.npz").display().to_string();
    let flags = ["test", "--input", test.as_str()]
        .into_iter()
        .chain(flags.iter().copied());
    let model = model.display().to_string();
    let flags = Flags::parse_from(flags.chain(["--model", &model]));

    let loaded = LoadedModel::load(Path::new(&model), &flags.work, &flags.data).unwrap();
    let import = loaded.import.as_ref().unwrap();
    assert!(
        import.model.folds.iter().all(|fold| fold.is_exact),
        "{file}"
    );
    let inputs = loaded.inputs(&flags.data).unwrap();
    let labels = read_labels(Path::new(&test), inputs.images).unwrap();
    assert_eq!(inputs.images, 200, "{file}");

    let trace = reference::execute(&loaded.network, &inputs).unwrap();
    let expected = trace.of_network(&loaded.network, &inputs);
    let network = loaded.network.clone();
    let compiled = [Compiled::new(design, network, inputs.images, None).unwrap()];
    let stepped = core_rig::step(&compiled, &inputs, None).unwrap();
    assert_eq!(stepped[0].outputs, expected, "{file}: model");
    let cycles = Report::new(&compiled[0], inputs.images).total.cycles;
    assert_eq!(stepped[0].cycles, cycles, "{file}: closed formula");
    let ending = rig.run(&compiled, &inputs, &StreamStalls::NONE, None);
    let Ending::Done(ran) = ending.unwrap() else {
        panic!("{file}: model and RTL differ");
    };
    assert_eq!(ran[0].outputs, expected, "{file}: RTL");
    [&expected, &stepped[0].outputs, &ran[0].outputs]
        .map(|outputs| loaded.accuracy(&outputs[0], &labels))
}

#[test]
fn every_onnx_file_gives_its_accuracy_in_reference_model_and_rtl() {
    let design = ArrayConfig::preset("default").unwrap().validate().unwrap();
    let design = AcceleratorDesign::new(&design).unwrap();
    let rig = CoreRig::new(xnorforge_hdl::generate_accelerator(&design).unwrap()).unwrap();
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    for case in &CASES {
        let (file, _, float, expected) = case;
        let found = accuracies(&design, &rig, case).map(|accuracy| format!("{accuracy:.4}"));
        assert_eq!(found, [*expected; 3], "{file}");
        let row = format!(
            "| `{file}` | {float} | {expected} | {} |",
            found.join(" | ")
        );
        println!("{row}");
        assert!(readme.contains(&row), "README.md lacks the row\n{row}");
    }
}

/// The examples' models: accuracy as the training's own check computed it, by the reference executor.
#[test]
fn the_examples_import_with_their_accuracy() {
    for folder in std::fs::read_dir(root("examples/models")).unwrap() {
        let folder = folder.unwrap().path();
        let meta = std::fs::read_to_string(folder.join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
        let stored = ["int_first200", "qonnx_first200"].map(|key| meta["accuracy"][key].as_f64());
        let stored = stored[0].or(stored[1]).unwrap();
        for file in std::fs::read_dir(&folder).unwrap() {
            let model = file.unwrap().path();
            if model
                .extension()
                .is_none_or(|extension| extension != "onnx")
            {
                continue;
            }
            assert_eq!(accuracy_of(&model), stored, "{}", model.display());
        }
    }
}

fn accuracy_of(model: &Path) -> f64 {
    let test = model.with_file_name("test.npz");
    let mut flags = vec!["test".into(), "--model".into(), model.display().to_string()];
    flags.extend(["--input".into(), test.display().to_string()]);
    let flags = Flags::parse_from(flags);
    let loaded = LoadedModel::load(model, &flags.work, &flags.data).unwrap();
    let inputs = loaded.inputs(&flags.data).unwrap();
    let labels = read_labels(&test, inputs.images).unwrap();
    let trace = reference::execute(&loaded.network, &inputs).unwrap();
    let outputs = trace.of_network(&loaded.network, &inputs);
    loaded.accuracy(&outputs[0], &labels)
}
