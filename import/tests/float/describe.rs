//! Float networks from arrays.

use crate::common::array;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use xnorforge_import::float::{Arrays, describe};
use xnorforge_import::npy::{NewArray, NewElements, npz_bytes};
use xnorforge_import::{Observe, Op, execute};

/// A `.safetensors` file of these arrays.
fn safetensors(arrays: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Weights of a convolution in 16 bits, of a batch norm in 32 and 64 bits, and of a linear layer.
fn arrays() -> Arrays {
    let half: Vec<u8> = [1.0, -1.0]
        .iter()
        .flat_map(|v| f16::from_f32(*v).to_le_bytes())
        .collect();
    let brain: Vec<u8> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        .iter()
        .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
        .collect();
    let mean: Vec<u8> = [1.0f64, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = safetensors(&[
        ("stem.weight", Dtype::F16, &[2, 1, 1, 1], half),
        ("stem.bias", Dtype::F32, &[2], f32s(&[0.0, 10.0])),
        ("bn1.weight", Dtype::F32, &[2], f32s(&[2.0, 1.0])),
        ("bn1.bias", Dtype::F32, &[2], f32s(&[0.0, 1.0])),
        ("bn1.running_mean", Dtype::F64, &[2], mean),
        ("bn1.running_var", Dtype::F32, &[2], f32s(&[4.0, 1.0])),
        (
            "bn1.num_batches_tracked",
            Dtype::I64,
            &[],
            7i64.to_le_bytes().to_vec(),
        ),
        ("fc.weight", Dtype::BF16, &[1, 8], brain),
    ]);
    Arrays::from_safetensors("weights.safetensors", bytes).unwrap()
}

const NETWORK: &str = r#"
[network]
name = "small"
input = [1, 2, 2]

[[layer]]
kind = "conv"
name = "conv1"
weights = "stem"
out_channels = 2
kernel = 1

[[layer]]
kind = "batch_norm"
name = "bn1"
epsilon = 0

[[layer]]
kind = "relu"

[[layer]]
kind = "add"
name = "sum"
inputs = ["relu3", "bn1"]

[[layer]]
kind = "linear"
name = "fc"
"#;

#[test]
fn networks_from_safetensors() {
    let graph = describe(NETWORK, &arrays()).unwrap();
    assert_eq!(graph.outputs, ["fc"]);
    assert_eq!(graph.shapes["conv1"], [1, 2, 2, 2]);
    assert!(matches!(graph.nodes[4].op, Op::Flatten { axis: 1 }));
    let x = array(&[1, 1, 2, 2], &[0.0, 1.0, 2.0, 3.0]);
    let values = execute(&graph, &x, Observe::All).unwrap();
    // Channel 0: x - 1. Channel 1: 10 - x + 1.
    let bn = [-1.0, 0.0, 1.0, 2.0, 11.0, 10.0, 9.0, 8.0];
    assert_eq!(values["bn1"], array(&[1, 2, 2, 2], &bn));
    let sum = [-1.0, 0.0, 2.0, 4.0, 22.0, 20.0, 18.0, 16.0];
    assert_eq!(values["sum"], array(&[1, 2, 2, 2], &sum));
    let expected: f32 = sum.iter().zip(1..).map(|(v, i)| v * i as f32).sum();
    assert_eq!(values["fc"], array(&[1, 1], &[expected]));
}

#[test]
fn networks_from_npz() {
    let weights = NewArray {
        name: "linear1.weight".into(),
        shape: vec![2, 3],
        elements: NewElements::F64(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.npz");
    std::fs::write(&path, npz_bytes(&[weights]).unwrap()).unwrap();
    let arrays = Arrays::open(&path).unwrap();
    let text = "[network]\nname = \"n\"\ninput = [3]\n[[layer]]\nkind = \"linear\"\n[[layer]]\nkind = \"clip\"\nlow = 0\nhigh = 20";
    let graph = describe(text, &arrays).unwrap();
    let x = array(&[2, 3], &[1.0, 1.0, 1.0, -1.0, 0.0, 2.0]);
    let values = execute(&graph, &x, Observe::Outputs).unwrap();
    assert_eq!(values["clip2"], array(&[2, 2], &[6.0, 15.0, 5.0, 8.0]));
}

#[test]
fn wrong_descriptions_are_refused() {
    let arrays = arrays();
    let network = |layers: &str| format!("[network]\nname = \"n\"\ninput = [1, 4, 4]\n{layers}");
    let layer = |fields: &str| network(&format!("[[layer]]\n{fields}"));
    let texts = [
        "[network]".to_owned(),
        "[network]\nname = \"n\"\ninput = [1, 2]".to_owned(),
        "[network]\nname = \"n\"\ninput = [1, 0, 2]".to_owned(),
        "[network]\nname = \"n\"\ninput = [4000000000, 4000000000, 4000000000]".to_owned(),
        network("[[layer]]\nkind = \"lstm\""),
        layer("kind = \"relu\"\nweight_bits = 3"),
        layer("kind = \"relu\"\nkernel = 3"),
        layer("kind = \"max_pool\""),
        layer("kind = \"max_pool\"\nkernel = 5"),
        layer("kind = \"max_pool\"\nkernel = 2\nstride = 0"),
        layer("kind = \"max_pool\"\nkernel = [1, 2, 3]"),
        layer("kind = \"max_pool\"\nkernel = [1, 2, 3, 4]"),
        layer("kind = \"max_pool\"\nkernel = 2\npadding = 4000000000"),
        layer("kind = \"conv\""),
        layer("kind = \"conv\"\nweights = \"fc\""),
        layer("kind = \"conv\"\nweights = \"stem\"\nkernel = 3"),
        layer("kind = \"conv\"\nweights = \"stem\"\nout_channels = 3"),
        layer("kind = \"conv\"\nweights = \"stem\"\ngroups = 2"),
        layer("kind = \"conv\"\nweights = \"stem\"\ngroups = 0"),
        layer("kind = \"linear\"\nweights = \"fc\""),
        layer("kind = \"batch_norm\"\nweights = \"bn1\""),
        layer("kind = \"batch_norm\"\nweights = \"bn1\"\nepsilon = -1.0"),
        layer("kind = \"clip\"\nlow = 1.0\nhigh = 0.0"),
        layer("kind = \"relu\"\nname = \"input\""),
        layer("kind = \"relu\"\ninput = \"relu2\""),
        layer("kind = \"add\""),
        layer("kind = \"add\"\ninput = \"input\"\ninputs = [\"input\", \"input\"]"),
        network("[[layer]]\nkind = \"flatten\"\n[[layer]]\nkind = \"global_average_pool\""),
        network(
            "[[layer]]\nkind = \"flatten\"\n[[layer]]\nkind = \"add\"\ninputs = [\"flatten1\", \"input\"]",
        ),
    ];
    let mut found = String::new();
    for text in texts {
        found += &format!("{}\n", describe(&text, &arrays).unwrap_err());
    }
    let error = arrays.read("bn1.num_batches_tracked").unwrap_err();
    found += &format!("{error}\n");
    for bytes in [vec![], vec![255; 16], b"\x02\0\0\0\0\0\0\0{}x".to_vec()] {
        found += &format!(
            "{}\n",
            Arrays::from_safetensors("bad.safetensors", bytes).unwrap_err()
        );
    }
    insta::assert_snapshot!(found);
}

/// Every truncation and many changed bytes of a small file are read or refused, never a panic.
#[test]
fn damaged_safetensors_never_panic() {
    let bytes = safetensors(&[
        ("a", Dtype::F32, &[2], f32s(&[1.0, 2.0])),
        ("b", Dtype::F16, &[1], vec![0, 0]),
    ]);
    let read = |bytes: Vec<u8>| {
        if let Ok(arrays) = Arrays::from_safetensors("fuzz", bytes) {
            for name in arrays.names() {
                let _ = arrays.read(&name);
            }
        }
    };
    for length in 0..bytes.len() {
        read(bytes[..length].to_vec());
    }
    for position in 0..bytes.len() {
        for value in [0, b'9', b'-', 0x7f, 0xff, bytes[position] ^ 0x10] {
            let mut damaged = bytes.clone();
            damaged[position] = value;
            read(damaged);
        }
    }
}
