//! The readers: valid files for each, and what is done with a changed one.

use super::mutate::Form;
use clap::Parser;
use ndarray::{ArrayD, IxDyn};
use std::fmt::Display;
use std::path::Path;
use xnorforge::activity::Coefficients;
use xnorforge::activity::scale::Reference;
use xnorforge::cli::Cli;
use xnorforge::commands::explore::sweep::SweepArgs;
use xnorforge::config::{ConfigArgs, read_text};
use xnorforge::estimate::Model;
use xnorforge::estimate::sample::Sample;
use xnorforge::{graph, io::ArrayFile, manifest, output, workload};
use xnorforge_hdl::config::CONFIG_BYTES_MAX;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, PRESETS};
use xnorforge_import::float::{self, Arrays, Quantization, describe};
use xnorforge_import::topology::{Topology, TopologyError, Widths, description, scale_sim};
use xnorforge_import::{Graph, Options, lower, onnx};
use xnorforge_sim::network::Network;

const MIB: usize = 1 << 20;
/// Texts and arrays here are at most 1 MiB long. The parser of TOML takes most: some hundred bytes for a byte.
const TEXT_BYTES_MAX: usize = 256 * MIB;

/// A reader of files or of arguments.
pub struct Target {
    pub name: &'static str,
    pub form: Form,
    /// Most bytes that reading one case may take from the allocator, at any time.
    pub bytes_max: usize,
    /// Files that are read without an error.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads a file, in a folder where it may be written; why it is refused.
    pub read: fn(&[u8], &Path) -> Result<(), String>,
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "configuration",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: configurations,
        read: configuration,
    },
    Target {
        name: "sweep",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: sweeps,
        read: sweep,
    },
    Target {
        name: "coefficients",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: || {
            texts(&[
                "source = \"x\"\ndefault_fj = 1.5\n[parts_fj]\nelements = 2\n[kinds_fj]\naccumulator = 0.25\n",
            ])
        },
        read: |bytes, _| {
            let text = std::str::from_utf8(bytes).map_err(said)?;
            Coefficients::parse(text).map(drop)
        },
    },
    Target {
        name: "activity_report",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: || texts(&[include_str!("seeds/activity.json")]),
        read: |bytes, _| {
            let text = std::str::from_utf8(bytes).map_err(said)?;
            Reference::parse(text, xnorforge_hdl::Target::Generic).map(drop)
        },
    },
    Target {
        name: "area_model",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: area_models,
        read: |bytes, _| {
            let text = std::str::from_utf8(bytes).map_err(said)?;
            let sample = Sample::parse(text).map_err(said)?;
            Model::new(&sample).map(drop).map_err(said)
        },
    },
    Target {
        name: "arguments",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: command_lines,
        read: arguments,
    },
    Target {
        name: "npy",
        form: Form::Npy,
        bytes_max: TEXT_BYTES_MAX,
        seeds: npys,
        read: |bytes, folder| arrays(bytes, folder, "a.npy"),
    },
    Target {
        name: "npz",
        form: Form::Npz,
        bytes_max: TEXT_BYTES_MAX,
        seeds: npzs,
        read: |bytes, folder| arrays(bytes, folder, "a.npz"),
    },
    Target {
        name: "labels",
        form: Form::Npy,
        bytes_max: TEXT_BYTES_MAX,
        seeds: label_files,
        read: labels,
    },
    Target {
        name: "safetensors",
        form: Form::Safetensors,
        bytes_max: TEXT_BYTES_MAX,
        seeds: safetensors,
        read: tensors,
    },
    Target {
        name: "description",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: descriptions,
        read: described,
    },
    Target {
        name: "float_options",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: float_options,
        read: options,
    },
    Target {
        name: "network_arrays",
        form: Form::Npz,
        bytes_max: TEXT_BYTES_MAX,
        seeds: || vec![case("a_mlp_odd_w2a2/model.npz"), small_arrays()],
        read: network_arrays,
    },
    Target {
        name: "network_meta",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: || vec![case("a_mlp_odd_w2a2/meta.json")],
        read: network_meta,
    },
    // Constants that are folded: 2^27 numbers of up to eight bytes.
    Target {
        name: "onnx",
        form: Form::Protobuf,
        bytes_max: 1280 * MIB,
        seeds: onnx_files,
        read: onnx_file,
    },
    Target {
        name: "topology",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: topologies,
        read: |bytes, _| topology(bytes, description::parse),
    },
    Target {
        name: "scale_sim",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: scale_sims,
        read: |bytes, _| topology(bytes, |text, widths| scale_sim::parse("t", text, widths)),
    },
    Target {
        name: "manifest",
        form: Form::Text,
        bytes_max: TEXT_BYTES_MAX,
        seeds: manifests,
        read: manifest,
    },
];

/// Readers with the faults that are looked for: they must be found.
pub const BROKEN: &[Target] = &[
    Target {
        name: "panics",
        form: Form::Text,
        bytes_max: MIB,
        seeds: configurations,
        read: |_, _| panic!("broken"),
    },
    Target {
        name: "allocates",
        form: Form::Text,
        bytes_max: MIB,
        seeds: configurations,
        read: |_, _| {
            let taken = vec![1u8; 2 * MIB];
            Err(taken.len().to_string())
        },
    },
    Target {
        name: "hangs",
        form: Form::Text,
        bytes_max: MIB,
        seeds: configurations,
        read: |_, _| loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
    },
    Target {
        name: "refuses",
        form: Form::Text,
        bytes_max: MIB,
        seeds: configurations,
        read: |_, _| Err("no".to_owned()),
    },
];

fn said(error: impl Display) -> String {
    error.to_string()
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(said)
}

/// The start of a sample that ships: as many designs as a fit needs, and two clocks.
fn area_models() -> Vec<Vec<u8>> {
    let text = include_str!("../../data/ice40.json");
    let mut sample: serde_json::Value = serde_json::from_str(text).expect("it ships");
    for (field, count) in [("fitted", 8), ("held_out", 1), ("clocks", 2)] {
        if let Some(list) = sample[field].as_array_mut() {
            list.truncate(count);
        }
    }
    texts(&[&sample.to_string()])
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A file of `testbenches/cases`.
fn case(name: &str) -> Vec<u8> {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/cases/");
    std::fs::read(format!("{cases}{name}")).expect("a file of the repository")
}

fn put(bytes: &[u8], folder: &Path, name: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a folder of this test");
    path
}

// Configurations, sweeps, arguments.

fn configurations() -> Vec<Vec<u8>> {
    PRESETS
        .iter()
        .map(|(_, text)| text.as_bytes().to_vec())
        .collect()
}

fn configuration(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let text = read_text(&put(bytes, folder, "config.toml"), CONFIG_BYTES_MAX).map_err(said)?;
    let config = ArrayConfig::from_toml(&text).map_err(said)?;
    let design = config.validate().map_err(said)?;
    AcceleratorDesign::new(&design).map_err(said)?;
    Ok(())
}

fn sweeps() -> Vec<Vec<u8>> {
    texts(&[
        "rows = [4, 8]\ncolumns = \"4..16+4\"\nlanes = \"8..64x2\"\nactivation_branches = 1\nweight_branches = [1, 2]\n",
        "rows = 7\nlanes = \"1..9,12\"\n",
    ])
}

#[derive(Parser)]
struct Sweep {
    #[command(flatten)]
    sweep: SweepArgs,
}

/// Points of a sweep that a case may take.
const POINTS: u64 = 100_000;

fn sweep(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let path = put(bytes, folder, "sweep.toml");
    let flag = format!("--sweep={}", path.display());
    let parsed = Sweep::try_parse_from(["sweep", &flag]).map_err(said)?;
    let config = ConfigArgs::default();
    let base = config.resolve().map_err(said)?;
    let sweep = parsed.sweep.sweep(&config, &base, (2, 2));
    let axes = sweep.map_err(said)?.axes;
    axes.check(POINTS).map_err(said)?;
    for index in 0..axes.count() as u64 {
        // A point that cannot be built is left out of the table.
        let _ = axes.config(&base, index).validate();
    }
    Ok(())
}

fn command_lines() -> Vec<Vec<u8>> {
    texts(&[
        "simulate\n--config=tiny\n--gemm=4x8x4\n--bits=2x3\n--activation-encoding=unsigned\n--seed=3",
        "explore\n--gemm=16x64x16\n--sweep-rows=1..8x2,3\n--sweep-lanes=8..64+8\n--out=build/x",
        "generate\n--rows=4\n--columns=5\n--lanes=70\n--clock-mhz=12.5\n--target=ice40\n--interface=axi\n--out=o",
        "cosim\n--model=m.onnx\n--quantize=4x4\n--input-precision=bipolar:2\n--stall=0.3\n--inputs=5",
        "encode\nx.npy\n--bits=2\n--encoding=ternary\n--range=tanh\n--out=y.npz",
    ])
}

fn arguments(bytes: &[u8], _: &Path) -> Result<(), String> {
    let lines = text(bytes)?.lines();
    Cli::try_parse_from(std::iter::once("xnorforge").chain(lines)).map_err(said)?;
    Ok(())
}

// Arrays.

/// A `.npy` as NumPy writes it.
fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn npys() -> Vec<Vec<u8>> {
    vec![
        npy("|i1", "False", "(2, 3)", &[1, 255, 3, 4, 5, 6]),
        npy("<i4", "True", "(2, 2)", &[7; 16]),
        npy("<f8", "False", "(3,)", &[63; 24]),
        npy("<f2", "False", "()", &[60; 2]),
        npy(">u2", "False", "(1, 2, 1)", &[0, 1, 0, 2]),
        npy("|b1", "False", "(0, 5)", &[]),
    ]
}

fn zip_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::FileOptions::default();
        archive
            .start_file(format!("{name}.npy"), options)
            .expect("in memory");
        archive.write_all(bytes).expect("in memory");
    }
    archive.finish().expect("in memory").into_inner()
}

fn npzs() -> Vec<Vec<u8>> {
    let all: Vec<(&str, Vec<u8>)> = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .zip(npys())
        .collect();
    vec![
        zip_of(&all),
        zip_of(&all[..1]),
        case("a_mlp_odd_w2a2/model.npz"),
    ]
}

fn arrays(bytes: &[u8], folder: &Path, name: &str) -> Result<(), String> {
    let file = ArrayFile::open(&put(bytes, folder, name)).map_err(said)?;
    let mut first = Ok(());
    for name in file.names() {
        let shape = file.shape(name).map_err(said);
        let array = file.read(name).map_err(said).map(|array| {
            assert_eq!(array.len(), array.shape.iter().product::<usize>());
            assert_eq!(Ok(&array.shape), shape.as_ref());
        });
        let floats = file.read_floats(name).map(drop).map_err(said);
        first = first
            .and(array)
            .and(floats.or_else(|e| match e.contains("float") {
                // Arrays of integers are no floats.
                true => Ok(()),
                false => Err(e),
            }));
    }
    first
}

fn label_files() -> Vec<Vec<u8>> {
    vec![
        npy("|u1", "False", "(6,)", &[0, 1, 2, 3, 4, 9]),
        npy("<i4", "False", "(4,)", &[0; 16]),
    ]
}

fn labels(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let labels = workload::read_labels(&put(bytes, folder, "labels.npy"), 4).map_err(said)?;
    assert_eq!(labels.len(), 4);
    Ok(())
}

fn safetensors() -> Vec<Vec<u8>> {
    let header = r#"{"fc.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"fc.bias":{"dtype":"F16","shape":[2],"data_offsets":[32,36]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    vec![
        [&length[..], header.as_bytes(), &[60; 36]].concat(),
        case("b_cnn_odd_mixed/model.safetensors"),
    ]
}

fn tensors(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let opened = Arrays::from_safetensors("t", bytes.to_vec()).map_err(said)?;
    for name in opened.names() {
        // A type that is no float is refused when it is read.
        let _ = opened.read(&name);
    }
    ArrayFile::open(&put(bytes, folder, "a.safetensors")).map_err(said)?;
    Ok(())
}

// Models.

fn descriptions() -> Vec<Vec<u8>> {
    texts(&[
        r#"
[network]
name = "small"
input = [1, 4, 4]

[[layer]]
kind = "conv"
name = "stem"
out_channels = 2
kernel = 3
padding = 1

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool"
kernel = 2

[[layer]]
kind = "linear"
name = "fc"
"#,
        "network = { name = \"f\", input = [8] }\nlayer = [{ kind = \"linear\", name = \"flat\" }, { kind = \"relu\" }, { kind = \"linear\", name = \"out\" }]\n",
    ])
}

/// Arrays that [`descriptions`] name.
fn described_arrays() -> Vec<u8> {
    let floats = |shape: &str, count: usize| {
        let data: Vec<u8> = (0..count)
            .flat_map(|i| (i as f32 - 3.5).to_le_bytes())
            .collect();
        npy("<f4", "False", shape, &data)
    };
    zip_of(&[
        ("stem.weight", floats("(2, 1, 3, 3)", 18)),
        ("stem.bias", floats("(2,)", 2)),
        ("fc.weight", floats("(3, 8)", 24)),
        ("fc.bias", floats("(3,)", 3)),
        ("flat.weight", floats("(2, 8)", 16)),
        ("out.weight", floats("(2, 2)", 4)),
    ])
}

fn described(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let arrays = Arrays::open(&put(&described_arrays(), folder, "w.npz")).map_err(said)?;
    let graph = describe(text(bytes)?, &arrays).map_err(said)?;
    let shape: Vec<usize> = std::iter::once(2)
        .chain(graph.shapes[&graph.inputs[0]][1..].iter().copied())
        .collect();
    let count: usize = shape.iter().product();
    let values = (0..count).map(|i| (i % 7) as f32 - 3.0).collect();
    let samples = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(said)?;
    let quantized = float::quantize(&graph, &Quantization::default(), &samples).map_err(said)?;
    lowered(&quantized.graph)
}

fn lowered(graph: &Graph) -> Result<(), String> {
    let model = lower(graph, &Options::default()).map_err(said)?;
    model.network.outline().map_err(said)?;
    Ok(())
}

fn float_options() -> Vec<Vec<u8>> {
    texts(&[
        "[input]\nbits = 8\n[weights]\nbits = 3\nencoding = \"signed\"\nper_channel = true\n[activations]\nbits = 4\ncalibration = { percentile = 99.9 }\n[[layer]]\nname = \"conv*\"\nweights = { bits = 2 }\n[last]\nweights = { bits = 8 }\n",
        r#"{"weights": {"bits": 4}, "layer": [{"name": "f?c*", "activations": {"encoding": "unsigned"}}]}"#,
    ])
}

fn options(bytes: &[u8], _: &Path) -> Result<(), String> {
    let text = text(bytes)?;
    let toml = Quantization::from_toml(text);
    let options = toml
        .or_else(|_| Quantization::from_json(text))
        .map_err(said)?;
    options.validate().map_err(said)?;
    for name in [
        "conv1",
        "fc",
        "a very long name of a layer, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        // A pattern may match nothing.
        let _ = options.of_weights(name, false, false);
    }
    Ok(())
}

/// A model of two layers and two bits.
fn small_arrays() -> Vec<u8> {
    let thresholds: Vec<u8> = [-4i32, 0, 4, -2, 0, 2]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    zip_of(&[
        (
            "l1.weight_codes",
            npy("|i1", "False", "(2, 3)", &[1, 255, 3, 253, 1, 1]),
        ),
        ("l1.thresholds", npy("<i4", "False", "(2, 3)", &thresholds)),
        ("l1.sign", npy("|i1", "False", "(2,)", &[1, 255])),
        (
            "l2.weight_codes",
            npy("|i1", "False", "(2, 2)", &[1, 253, 3, 255]),
        ),
    ])
}

/// Numbers of layers and bits do not come from the arrays.
fn network_arrays(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let bits = "2x2".parse().ok();
    let network = graph::load(&put(bytes, folder, "model.npz"), bits).map_err(said)?;
    checked(&network)
}

fn network_meta(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let folder = folder.join("meta");
    std::fs::create_dir_all(&folder).expect("a folder of this test");
    let arrays = case("a_mlp_odd_w2a2/model.npz");
    put(bytes, &folder, "meta.json");
    let network = graph::load(&put(&arrays, &folder, "model.npz"), None).map_err(said)?;
    checked(&network)
}

fn checked(network: &Network) -> Result<(), String> {
    network.check().map_err(said)?;
    network.outline().map_err(said)?;
    Ok(())
}

fn onnx_files() -> Vec<Vec<u8>> {
    vec![
        case("a_mlp_odd_w2a2/model_quant.onnx"),
        case("b_cnn_odd_mixed/model_thr.onnx"),
        case("c2_bv_cnn_w2a2/model.onnx"),
        case("c2_bv_cnn_w2a2/model_qcdq.onnx"),
        case("c2_bv_cnn_w2a2/model_ts.onnx"),
        case("c5_bv_res_w3a3/model_clean.onnx"),
    ]
}

fn onnx_file(bytes: &[u8], _: &Path) -> Result<(), String> {
    let graph = onnx::parse(bytes.to_vec(), None, &onnx::Limits::default()).map_err(said)?;
    lowered(&graph)
}

fn topologies() -> Vec<Vec<u8>> {
    texts(&[r#"
network = { name = "n", input = [3, 6, 6], input_bits = 3 }
layer = [
    { name = "a", kind = "conv", out_channels = 6, kernel = 3, padding = 1 },
    { name = "b", kind = "conv", out_channels = 6, kernel = [3, 3], stride = 1, padding = 1 },
    { name = "sum", kind = "add", inputs = ["b", "a"] },
    { kind = "max_pool", kernel = 2 },
    { kind = "linear", out_features = 5 },
]"#])
}

fn scale_sims() -> Vec<Vec<u8>> {
    texts(&[
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\nConv1, 34, 34, 3, 3, 3, 64, 1,\nConv2, 32, 32, 1, 1, 64, 10, 2,\n",
        "a,6,6,3,3,4,6,1\nb,3,3,1,1,8,4,1",
        "Layer,M,N,K,\nG1,128,64,256,\n",
    ])
}

fn topology(
    bytes: &[u8],
    parse: fn(&str, &Widths) -> Result<Topology, TopologyError>,
) -> Result<(), String> {
    let topology = parse(text(bytes)?, &Widths::default()).map_err(said)?;
    topology.outlines().map_err(said)?;
    topology.shapes().map_err(said)?;
    Ok(())
}

// A folder that is to be replaced.

fn manifests() -> Vec<Vec<u8>> {
    let hash = output::sha256(b"text");
    let text = format!(
        r#"{{"schema": "{}", "files": [{{"path": "a.v", "bytes": 4, "sha256": "{hash}"}}]}}"#,
        manifest::SCHEMA
    );
    vec![text.into_bytes()]
}

fn manifest(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let folder = folder.join("out");
    std::fs::create_dir_all(&folder).expect("a folder of this test");
    put(b"text", &folder, "a.v");
    put(bytes, &folder, manifest::FILE_NAME);
    output::check_folder(&folder, false).map_err(said)
}
