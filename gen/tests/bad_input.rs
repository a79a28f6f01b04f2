//! Every kind of wrong input: one clear message, the exit code of the contract, nothing half-written.

mod common;

use common::{
    CASE, Folder, model, model_with, npy, npy_f64, npy_i8, npy_i32, npy_with_header, npz,
};

macro_rules! assert_failures {
    ($folder:expr, $code:expr, $commands:expr $(,)?) => {
        insta::assert_snapshot!($folder.failures($code, $commands))
    };
}

#[test]
fn configuration_flags() {
    assert_failures!(
        Folder::new(),
        2,
        &[
            "generate --out out --rows 0",
            "generate --out out --lanes 1025",
            "generate --out out --columns 4294967296",
            "generate --out out --rows 1024 --columns 1024 --lanes 1024",
            "generate --out out --rows 128 --columns 1 --lanes 1024",
            "generate --out out --activation-bits 0",
            "generate --out out --weight-bits 9",
            "generate --out out --activation-branches 5",
            "generate --out out --weight-branches 0",
            "generate --out out --accumulator-width 12",
            "generate --out out --popcount-stages 99",
            "generate --out out --broadcast-stages 5",
            "generate --out out --broadcast-stages many",
            "generate --out out --constant-entries 3",
            "generate --out out --reduction-max 1048577",
            "generate --out out --target vax",
            "generate --out out --structure carousel",
            "generate --out out --structure pair_rows",
            "generate --out out --target xilinx --structure pair_chain --weight-branches 2",
            "generate --out out --clock-mhz 0",
            "generate --out out --clock-mhz nan",
            "generate --out out --rows",
            "generate",
        ],
    );
}

#[test]
fn configuration_files() {
    let folder = Folder::new();
    folder.write("unknown_key.toml", "rows = 4\nrowz = 4\n");
    folder.write("wrong_type.toml", "rows = 4\nlanes = \"many\"\n");
    folder.write("negative.toml", "rows = -1\n");
    folder.write("structure.toml", "structure = \"carousel\"\n");
    folder.write("stages.toml", "broadcast_stages = \"many\"\n");
    folder.write("negative_stages.toml", "broadcast_stages = -1\n");
    folder.write("not_toml.toml", "rows == 4\n");
    folder.write("binary.toml", [0xff, 0xfe, 0x00]);
    folder.write("long.toml", "#".repeat(70_000));
    assert_failures!(
        folder,
        2,
        &[
            "generate --out out --config unknown_key.toml",
            "generate --out out --config wrong_type.toml",
            "generate --out out --config negative.toml",
            "generate --out out --config structure.toml",
            "generate --out out --config stages.toml",
            "generate --out out --config negative_stages.toml",
            "generate --out out --config not_toml.toml",
            "generate --out out --config binary.toml",
            "generate --out out --config long.toml",
            "generate --out out --config missing.toml",
            "generate --out out --config huge",
            "generate --out out --config .",
        ],
    );
}

#[test]
fn output_folders() {
    let folder = Folder::new();
    folder.write("file", "");
    folder.write("foreign/mine.txt", "mine");
    folder.write("foreign_manifest/manifest.json", "{\"schema\": \"other\"}");
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.succeed("generate --config tiny --out changed");
    folder.write("changed/mine.txt", "mine");
    assert_failures!(
        folder,
        2,
        &[
            "generate --config tiny --out file",
            "generate --config tiny --out file/below",
            "generate --config tiny --out foreign",
            "generate --config tiny --out foreign --force",
            "generate --config tiny --out foreign_manifest --force",
            "generate --config tiny --out empty",
            "generate --config tiny --out changed",
            "explore --gemm 4x4x4 --out foreign --force",
            "simulate --gemm 4x4x4 --json file/below.json",
            "simulate --gemm 4x4x4 --json empty",
            "demo --no-rtl --out foreign",
        ],
    );
}

#[test]
fn array_files() {
    let folder = Folder::new();
    folder.write("empty.npy", "");
    folder.write("text.npy", "hello, world");
    folder.write("zip.npz", "PK\x03\x04 and then nothing of a zip");
    let good = npy_i8(&[2, 3], &[1; 6]);
    folder.write("truncated.npy", &good[..good.len() - 1]);
    folder.write("cut_header.npy", &good[..20]);
    folder.write("longer.npy", [good.as_slice(), &[1]].concat());
    let packed = npz(&[("a", good)]);
    folder.write("truncated.npz", &packed[..packed.len() / 2]);
    folder.write("text_array.npy", npy("<U4", &[1], &[0; 16]));
    folder.write("object.npy", npy("|O", &[1], b"pickle"));
    folder.write("huge.npy", npy("<f8", &[1 << 20, 1 << 20], &[]));
    folder.write("just_too_large.npy", npy("|i1", &[(32 << 20) + 1], &[]));
    folder.write("zero_times_huge.npy", npy("|i1", &[0, 1 << 40], &[]));
    let header = |text: &str| npy_with_header(text, &[]);
    folder.write(
        "overflow.npy",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296), }"),
    );
    folder.write(
        "negative.npy",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }"),
    );
    folder.write(
        "nested.npy",
        header(&format!(
            "{{'descr': '<f8', 'fortran_order': False, 'shape': {}, }}",
            "(".repeat(5000)
        )),
    );
    folder.write(
        "structured.npy",
        header("{'descr': [('a', '<i4'), ('b', '<f8')], 'fortran_order': False, 'shape': (1,), }"),
    );
    folder.write(
        "missing_key.npy",
        header("{'descr': '<f8', 'shape': (1,), }"),
    );
    let mut long_header = b"\x93NUMPY\x02\x00".to_vec();
    long_header.extend(u32::MAX.to_le_bytes());
    folder.write("long_header.npy", long_header);
    folder.write("version.npy", b"\x93NUMPY\x09\x00\x00\x00");
    let names = folder.listing();
    let commands: Vec<String> = names
        .iter()
        .chain([&"missing.npy".to_owned(), &".".to_owned()])
        .map(|name| format!("encode {name} --bits 2 --out out.npz"))
        .collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    assert_failures!(folder, 2, &commands);
}

#[test]
fn values_outside_the_encoding() {
    let folder = Folder::new();
    folder.write("even.npy", npy_i8(&[2, 2], &[1, -1, 2, 3]));
    folder.write("large.npy", npy_i8(&[2, 2], &[1, -1, 1, 5]));
    folder.write("nan.npy", npy_f64(&[2], &[0.5, f64::NAN]));
    folder.write("float.npy", npy_f64(&[2], &[0.5, 0.25]));
    folder.write(
        "two.npz",
        npz(&[("a", npy_i8(&[1], &[1])), ("b", npy_i8(&[1], &[1]))]),
    );
    assert_failures!(
        folder,
        2,
        &[
            "encode even.npy --bits 2 --out out.npz",
            "encode large.npy --bits 2 --out out.npz",
            "encode large.npy --bits 2 --encoding unsigned --out out.npz",
            "encode large.npy --bits 2 --encoding ternary --out out.npz",
            "encode large.npy --bits 3 --encoding ternary --out out.npz",
            "encode large.npy --bits 9 --out out.npz",
            "encode large.npy --bits 0 --out out.npz",
            "encode large.npy --bits 2 --encoding roman --out out.npz",
            "encode nan.npy --bits 2 --out out.npz",
            "encode float.npy --bits 2 --encoding signed --out out.npz",
            "encode two.npz --bits 2 --out out.npz",
            "encode two.npz --key c --bits 2 --out out.npz",
        ],
    );
}

#[test]
fn models() {
    let folder = Folder::new();
    let mut commands = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        folder.write(&format!("{name}.npz"), bytes);
        commands.push(format!("inspect {name}.npz --bits 2x2"));
    };
    add("no_layers", npz(&[("a", npy_i8(&[1], &[1]))]));
    add(
        "gap",
        model_with("l4.weight_codes", npy_i8(&[1, 2], &[1, 1])),
    );
    add(
        "even",
        model_with("l1.weight_codes", npy_i8(&[2, 3], &[1, -1, 3, -3, 0, 1])),
    );
    add(
        "too_large",
        model_with("l2.weight_codes", npy_i8(&[2, 2], &[1, 1, 1, 5])),
    );
    add(
        "float",
        model_with("l1.weight_codes", npy_f64(&[2, 3], &[1.0; 6])),
    );
    add(
        "vector",
        model_with("l1.weight_codes", npy_i8(&[6], &[1; 6])),
    );
    add("empty", model_with("l1.weight_codes", npy_i8(&[0, 3], &[])));
    add(
        "convolution",
        model_with("l1.weight_codes", npy_i8(&[2, 1, 1, 3], &[1; 6])),
    );
    add(
        "chain",
        model_with("l2.weight_codes", npy_i8(&[2, 3], &[1; 6])),
    );
    add(
        "few_thresholds",
        model_with("l1.thresholds", npy_i32(&[2, 2], &[0; 4])),
    );
    add("sign", model_with("l1.sign", npy_i8(&[2], &[1, 0])));
    let mut arrays = model();
    arrays.retain(|(name, _)| *name != "l1.thresholds");
    add("no_thresholds", npz(&arrays));
    folder.write("no_meta/model.npz", npz(&model()));
    for (name, meta) in [
        ("bad_meta", "{"),
        (
            "meta_bits",
            r#"{"layers": [{"weight_bits": 2, "act_in_bits": 40}, {"weight_bits": 2, "act_in_bits": 2}]}"#,
        ),
        ("meta_count", r#"{"layers": []}"#),
        (
            "meta_kind",
            r#"{"layers": [{"kind": "conv", "weight_bits": 2, "act_in_bits": 2}, {"weight_bits": 2, "act_in_bits": 2}]}"#,
        ),
        (
            "meta_encoding",
            r#"{"encoding": "two's complement", "layers": []}"#,
        ),
    ] {
        folder.write(&format!("{name}/model.npz"), npz(&model()));
        folder.write(&format!("{name}/meta.json"), meta);
        commands.push(format!("inspect {name}/model.npz"));
    }
    commands.push("inspect no_meta/model.npz".to_owned());
    commands.push("inspect no_meta/model.npz --bits 2".to_owned());
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    assert_failures!(folder, 2, &commands);
}

#[test]
fn work_and_data() {
    let folder = Folder::new();
    folder.write("model.npz", npz(&model()));
    folder.write("wide.npy", npy_i8(&[2, 4], &[1; 8]));
    folder.write("even.npy", npy_i8(&[2, 3], &[1, 1, 1, 1, 2, 1]));
    folder.write("float.npy", npy_f64(&[2, 3], &[1.0; 6]));
    folder.write(
        "several.npz",
        npz(&[
            ("a", npy_i8(&[2, 3], &[1; 6])),
            ("b", npy_i8(&[1, 3], &[1; 3])),
        ]),
    );
    folder.write("good.npy", npy_i8(&[2, 3], &[1; 6]));
    folder.write("one_label.npy", npy_i8(&[1], &[1]));
    folder.write("no_labels.npz", npz(&[("a", npy_i8(&[2], &[1, 1]))]));
    folder.write("other.npz", npz(&[("x1", npy_i8(&[1], &[1]))]));
    folder.write("misfit.npz", npz(&[("l1_acc", npy_i32(&[2, 3], &[0; 6]))]));
    assert_failures!(
        folder,
        2,
        &[
            "simulate",
            "simulate --gemm 4x4x4 --model model.npz",
            "simulate --gemm 0x4x4",
            "simulate --gemm 4x4",
            "simulate --gemm 18446744073709551615x18446744073709551615x4",
            "simulate --gemm 1000000x1000000x1000000",
            "simulate --gemm 99999999999999999999x1x1",
            "simulate --gemm 4x4x4 --bits 9x9",
            "simulate --gemm 4x4x4 --bits 5x2",
            "simulate --gemm 4x5000x4",
            "simulate --gemm 4x4x4 --weight-encoding ternary --bits 2x3",
            "simulate --gemm 4x4x4 --config tiny --rows 0",
            "simulate --gemm 4x3x4 --bits 2x2 --input wide.npy",
            "simulate --gemm 4x3x4 --bits 2x2 --input good.npy",
            "simulate --model model.npz --bits 2x2 --activation-bits 1",
            "simulate --model model.npz --bits 2x2 --input wide.npy",
            "simulate --model model.npz --bits 2x2 --input even.npy",
            "simulate --model model.npz --bits 2x2 --input float.npy",
            "simulate --model model.npz --bits 2x2 --input several.npz",
            "simulate --model model.npz --bits 2x2 --input several.npz --input-key c",
            "simulate --model model.npz --bits 2x2 --input good.npy --inputs 0",
            "simulate --model model.npz --bits 2x2 --input good.npy --labels one_label.npy",
            "simulate --model model.npz --bits 2x2 --input good.npy --labels no_labels.npz",
            "simulate --model model.npz --bits 2x2 --input good.npy --expected other.npz",
            "simulate --model model.npz --bits 2x2 --input good.npy --expected misfit.npz",
            "simulate --model missing.npz",
            "cosim --gemm 4x4x4 --stall 1.5",
            "cosim --gemm 4x4x4 --stall nan",
            "cosim --gemm 4x4x4 --rtl missing",
        ],
    );
}

#[test]
fn topologies() {
    let folder = Folder::new();
    folder.write("syntax.toml", "[network\n");
    folder.write("empty.toml", "[network]\nname = \"n\"\ninput = [1, 8, 8]\n");
    folder.write(
        "kernel.toml",
        "[network]\nname = \"n\"\ninput = [1, 8, 8]\n[[layer]]\nname = \"a\"\nkind = \"max_pool\"\nkernel = 9\n",
    );
    folder.write("row.csv", "Layer, M, N, K,\na, 1, 2,\n");
    folder.write("binary.toml", [0xff, 0xfe, 0x00]);
    folder.write("large.csv", vec![b'x'; (1 << 20) + 1]);
    assert_failures!(
        folder,
        2,
        &[
            "inspect syntax.toml",
            "inspect empty.toml",
            "inspect kernel.toml",
            "inspect row.csv",
            "inspect binary.toml",
            "inspect large.csv",
            "inspect missing.toml",
            "inspect alexnet",
            "inspect resnet18 --first-last-bits 9",
        ],
    );
}

#[test]
fn imports() {
    let folder = Folder::new();
    let case = CASE.replace("a_mlp_odd_w2a2", "c2_bv_cnn_w2a2");
    let onnx = std::fs::read(format!("{case}/model_clean.onnx")).unwrap();
    folder.write("good.onnx", &onnx);
    folder.write("truncated.onnx", &onnx[..onnx.len() / 2]);
    folder.write("text.onnx", "no protobuf");
    folder.write("empty.onnx", "");
    folder.write("directory.onnx/file", "");
    folder.write("flat.npy", npy_f64(&[3, 5], &[0.5; 15]));
    folder.write("nan.npy", npy_f64(&[1, 64], &[f64::NAN; 64]));
    folder.write("codes.npy", npy_i8(&[1, 64], &[77; 64]));
    folder.write("damaged.safetensors", "\u{8}");
    folder.write(
        "net.toml",
        "[network]\nname = \"net\"\ninput = [4]\n[[layer]]\nkind = \"linear\"\nname = \"fc\"\n",
    );
    folder.write("fc.npz", npz(&[("fc.weight", npy_f64(&[2, 3], &[0.5; 6]))]));
    folder.write(
        "good.npz",
        npz(&[("fc.weight", npy_f64(&[2, 4], &[0.5; 8]))]),
    );
    folder.write("x.npy", npy_f64(&[2, 4], &[0.25; 8]));
    folder.write("bits.toml", "[weights]\nbits = 9\n");
    folder.write("names.json", "{\"layer\": [{\"name\": \"conv*\"}]}");
    let float = "simulate --model net.toml --weights good.npz";
    assert_failures!(
        folder,
        2,
        &[
            "simulate --model missing.onnx",
            "simulate --model directory.onnx",
            "simulate --model empty.onnx",
            "simulate --model text.onnx",
            "simulate --model truncated.onnx",
            "simulate --model good.onnx --bits 2x2",
            "simulate --model good.onnx --quantize 2x2 --input flat.npy",
            "simulate --model good.onnx --quantize 2x2",
            "simulate --model good.onnx --input flat.npy",
            "simulate --model good.onnx --input nan.npy",
            "simulate --model good.onnx --input codes.npy",
            "simulate --model good.onnx --input-precision bipolar",
            "simulate --model good.onnx --input-precision unsigned:9",
            "simulate --model resnet18 --quantize 2x2 --input x.npy",
            "simulate --model net.toml --weights good.npz",
            "simulate --model net.toml --weights damaged.safetensors --quantize 2x2 --input x.npy",
            "simulate --model net.toml --weights fc.npz --quantize 2x2 --input x.npy",
            &format!("{float} --quantize 2x2"),
            &format!("{float} --quantize 2x9 --input x.npy"),
            &format!("{float} --quantize 2 --input x.npy"),
            &format!("{float} --quantize missing.toml --input x.npy"),
            &format!("{float} --quantize bits.toml --input x.npy"),
            &format!("{float} --quantize names.json --input x.npy"),
            &format!("{float} --quantize 2x2 --calibration flat.npy"),
            "inspect truncated.onnx",
        ],
    );
}

#[test]
fn sweeps() {
    let folder = Folder::new();
    folder.write("unknown.toml", "rows = [1]\ncolums = [1]\n");
    folder.write("range.toml", "rows = \"8..4\"\n");
    folder.write("type.toml", "rows = 1.5\n");
    folder.write("empty.toml", "rows = []\n");
    assert_failures!(
        folder,
        2,
        &[
            "explore --gemm 4x4x4 --sweep-rows 1..1024 --sweep-columns 1..1024 --sweep-lanes 1..1024 --out out",
            "explore --gemm 4x4x4 --sweep-rows 0..4294967295 --out out",
            "explore --gemm 4x4x4 --sweep-rows abc --out out",
            "explore --gemm 4x4x4 --sweep-rows 0 --out out",
            "explore --gemm 4x5000x4 --out out",
            "explore --gemm 4x4x4 --sweep unknown.toml --out out",
            "explore --gemm 4x4x4 --sweep range.toml --out out",
            "explore --gemm 4x4x4 --sweep type.toml --out out",
            "explore --gemm 4x4x4 --sweep empty.toml --out out",
            "explore --gemm 4x4x4 --sweep missing.toml --out out",
            "explore --model alexnet --out out",
            "explore --model resnet18 --first-last-bits 0 --out out",
            "explore --gemm 4x4x4 --first-last-bits 8 --out out",
            "explore --out out",
        ],
    );
}

#[test]
fn checks_that_fail() {
    let folder = Folder::new();
    folder.write(
        "wrong.npz",
        npz(&[("l1_acc", npy_i32(&[1, 128], &[7; 128]))]),
    );
    let model = format!("--model {CASE}/model.npz --input {CASE}/test.npz");
    let report = folder.failures(
        1,
        &[
            &format!("simulate {model} --inputs 1 --expected wrong.npz"),
            &format!("simulate {model} --labels {CASE}/test.npz --accuracy-min 0.99"),
        ],
    );
    insta::assert_snapshot!(report.replace(CASE, "CASE"));
}

#[test]
fn missing_tools() {
    let folder = Folder::new();
    let mut report = String::new();
    for arguments in [
        "cosim --config tiny --gemm 4x4x4 --bits 2x2",
        "doctor --require yosys",
    ] {
        let output = folder
            .command(arguments)
            .env("PATH", "")
            .env_remove("XNORFORGE_VERILATOR")
            .env_remove("XNORFORGE_YOSYS")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments}");
        report += &format!(
            "$ xnorforge {arguments}\n{}\n",
            common::text(&output.stderr)
        );
    }
    let output = folder.run("doctor --require make-coffee");
    assert_eq!(output.status.code(), Some(2));
    report += &common::text(&output.stderr);
    insta::assert_snapshot!(report);
}
