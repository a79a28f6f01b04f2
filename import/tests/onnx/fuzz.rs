//! Bytes from anywhere: no panic, no endless work, no unbounded memory.

use super::build::Build;
use super::cases::cases;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use std::time::{Duration, Instant};
use xnorforge_import::onnx::proto::{AttributeProto, ModelProto};
use xnorforge_import::onnx::{self, Limits};
use xnorforge_import::{Options, lower};

/// Small enough that a thousand files in a row take no time.
const LIMITS: Limits = Limits {
    file_bytes: 1 << 20,
    fields: 1 << 16,
    stored_numbers: 1 << 20,
    folded_numbers: 1 << 20,
};

/// No file of that size takes longer, on a loaded machine and without optimization.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Reads bytes; an error must be one line, and a graph consistent. It is lowered too.
fn check(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let start = Instant::now();
    match onnx::parse(bytes, None, &LIMITS) {
        Err(error) => {
            let text = error.to_string();
            prop_assert!(!text.contains('\n') && text.len() < 2000, "{text:?}");
        }
        Ok(graph) => {
            for (index, node) in graph.nodes.iter().enumerate() {
                for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                    prop_assert!(graph.shapes.contains_key(input), "no shape of {input}");
                    let before = graph
                        .producer(input)
                        .is_none_or(|producer| producer < index);
                    prop_assert!(before, "{input} is read before it is given");
                }
            }
            for (name, array) in &graph.constants {
                prop_assert_eq!(&graph.shapes[name], array.shape());
            }
            if let Err(error) = lower(&graph, &Options::default()) {
                let text = error.to_string();
                prop_assert!(!text.contains('\n') && text.len() < 2000, "{text:?}");
            }
        }
    }
    prop_assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    Ok(())
}

/// A change of one place of a file.
#[derive(Clone, Debug)]
enum Change {
    Set(u8),
    Flip(u32),
    Cut,
    Drop(usize),
    Insert(Vec<u8>),
    Copy(usize, usize),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let edge = prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff]);
    let change = prop_oneof![
        4 => edge.prop_map(Change::Set),
        4 => any::<u8>().prop_map(Change::Set),
        4 => (0..8u32).prop_map(Change::Flip),
        1 => Just(Change::Cut),
        2 => (1..40usize).prop_map(Change::Drop),
        2 => prop::collection::vec(any::<u8>(), 1..12).prop_map(Change::Insert),
        2 => (any::<u16>(), 1..200usize).prop_map(|(from, count)| Change::Copy(from.into(), count)),
    ];
    (any::<prop::sample::Index>(), change)
}

fn apply(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, Change)]) {
    for (index, change) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = index.index(bytes.len());
        let until = |count: usize| (at + count).min(bytes.len());
        match change {
            Change::Set(value) => bytes[at] = *value,
            Change::Flip(bit) => bytes[at] ^= 1 << bit,
            Change::Cut => bytes.truncate(at),
            Change::Drop(count) => drop(bytes.drain(at..until(*count))),
            Change::Insert(more) => drop(bytes.splice(at..at, more.iter().copied())),
            Change::Copy(from, count) => {
                let from = from % bytes.len();
                let part = bytes[from..(from + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// A change of a number or a name of a model that stays well-formed, so that it gets past the decoder.
#[derive(Clone, Debug)]
enum Edit {
    Dim(prop::sample::Index, i64),
    Int(prop::sample::Index, i64),
    Ints(prop::sample::Index, prop::sample::Index, i64),
    Float(prop::sample::Index, f32),
    Rename(prop::sample::Index, prop::sample::Index),
    Operator(prop::sample::Index, prop::sample::Index),
    DropInput(prop::sample::Index),
    Type(prop::sample::Index, i32),
    Numbers(prop::sample::Index, Vec<u8>),
}

const NUMBERS: [i64; 14] = [
    0,
    1,
    2,
    3,
    7,
    -1,
    -2,
    64,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    i64::MAX,
    i64::MIN,
];

const OPERATORS: [&str; 46] = [
    "Conv",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "Relu",
    "Clip",
    "Sign",
    "Neg",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Flatten",
    "Reshape",
    "Transpose",
    "Concat",
    "Pad",
    "Identity",
    "Cast",
    "Quant",
    "BipolarQuant",
    "Trunc",
    "MultiThreshold",
    "QuantizeLinear",
    "DequantizeLinear",
    "Shape",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Range",
    "ConstantOfShape",
    "Where",
    "Equal",
    "Min",
    "Max",
    "Sqrt",
    "Round",
    "Dropout",
    "ReduceMean",
    "Sum",
    "Size",
];

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    let number = || prop::sample::select(&NUMBERS[..]);
    let float = prop::sample::select(vec![
        0.0,
        -1.0,
        0.5,
        8.0,
        9.0,
        33.0,
        f32::NAN,
        f32::INFINITY,
        f32::MIN_POSITIVE,
    ]);
    prop_oneof![
        (index(), number()).prop_map(|(at, value)| Edit::Dim(at, value)),
        (index(), number()).prop_map(|(at, value)| Edit::Int(at, value)),
        (index(), index(), number()).prop_map(|(at, i, value)| Edit::Ints(at, i, value)),
        (index(), float).prop_map(|(at, value)| Edit::Float(at, value)),
        (index(), index()).prop_map(|(at, to)| Edit::Rename(at, to)),
        (index(), index()).prop_map(|(at, to)| Edit::Operator(at, to)),
        index().prop_map(Edit::DropInput),
        (index(), 0..27).prop_map(|(at, value)| Edit::Type(at, value)),
        (index(), prop::collection::vec(any::<u8>(), 0..64))
            .prop_map(|(at, bytes)| Edit::Numbers(at, bytes)),
    ]
}

fn edited(model: &mut ModelProto, edit: &Edit) {
    let Some(graph) = model.graph.as_mut() else {
        return;
    };
    fn pick<'a, T>(items: &'a mut [T], index: &prop::sample::Index) -> Option<&'a mut T> {
        if items.is_empty() {
            None
        } else {
            Some(index.get_mut(items))
        }
    }
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|node| [&node.input[..], &node.output[..]].concat())
        .collect();
    let mut attributes: Vec<&mut AttributeProto> = match edit {
        Edit::Int(..) | Edit::Ints(..) => graph
            .node
            .iter_mut()
            .flat_map(|node| &mut node.attribute)
            .collect(),
        _ => Vec::new(),
    };
    match edit {
        Edit::Dim(at, value) => {
            if let Some(tensor) = pick(&mut graph.initializer, at) {
                match tensor.dims.first_mut() {
                    Some(dim) => *dim = *value,
                    None => tensor.dims.push(*value),
                }
            }
        }
        Edit::Int(at, value) => {
            if let Some(attribute) = pick(&mut attributes, at) {
                attribute.i = Some(*value);
            }
        }
        Edit::Ints(at, i, value) => {
            if let Some(attribute) = pick(&mut attributes, at)
                && let Some(number) = pick(&mut attribute.ints, i)
            {
                *number = *value;
            }
        }
        Edit::Float(at, value) => {
            if let Some(tensor) = pick(&mut graph.initializer, at) {
                tensor.raw_data = Some(value.to_le_bytes().to_vec().into());
            }
        }
        Edit::Rename(at, to) => {
            let mut inputs: Vec<&mut String> = graph
                .node
                .iter_mut()
                .flat_map(|node| &mut node.input)
                .collect();
            if let Some(input) = pick(&mut inputs, at) {
                **input = to.get(&names).clone();
            }
        }
        Edit::Operator(at, to) => {
            if let Some(node) = pick(&mut graph.node, at) {
                let operator = *to.get(&OPERATORS);
                let is_custom = matches!(
                    operator,
                    "Quant" | "BipolarQuant" | "Trunc" | "MultiThreshold"
                );
                node.op_type = Some(operator.to_owned());
                node.domain = Some(
                    if is_custom {
                        "qonnx.custom_op.general"
                    } else {
                        ""
                    }
                    .to_owned(),
                );
                node.attribute.clear();
            }
        }
        Edit::DropInput(at) => {
            if let Some(node) = pick(&mut graph.node, at) {
                node.input.pop();
            }
        }
        Edit::Type(at, value) => {
            if let Some(tensor) = pick(&mut graph.initializer, at) {
                tensor.data_type = Some(*value);
            }
        }
        Edit::Numbers(at, bytes) => {
            if let Some(tensor) = pick(&mut graph.initializer, at) {
                tensor.dims = vec![bytes.len() as i64];
                tensor.data_type = Some(3);
                tensor.raw_data = Some(bytes.clone().into());
            }
        }
    }
}

/// The real files, and a model with constants to fold.
fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = cases()
        .into_iter()
        .map(|path| std::fs::read(path).expect("a file"))
        .collect();
    let folding = Build::new(&[1, 2, 3, 4])
        .integers("zero", &[1], &[0])
        .integers("three", &[3], &[1, 2, -1])
        .node("Shape", &["x"], "shape", &[])
        .node("Gather", &["shape", "zero"], "batch", &[])
        .node(
            "Concat",
            &["batch", "three"],
            "target",
            &[super::build::int("axis", 0)],
        )
        .node("Slice", &["target", "zero", "batch", "zero"], "part", &[])
        .node("ConstantOfShape", &["part"], "filled", &[])
        .node("Expand", &["filled", "part"], "wide", &[])
        .node("Reshape", &["x", "target"], "r", &[])
        .node("Add", &["r", "wide"], "y", &[])
        .output("y");
    assert!(folding.parse().is_ok());
    files.push(folding.bytes());
    files
}

fn run(cases: u32, seed: u64) -> Result<(), String> {
    use prost::Message;
    let files = files();
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    let failed = |error: &dyn std::fmt::Display| format!("seed {seed}: {error}");
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    TestRunner::new(config.clone())
        .run(&bytes, check)
        .map_err(|error| failed(&error))?;
    let changes = (
        any::<prop::sample::Index>(),
        prop::collection::vec(change(), 1..8),
    );
    TestRunner::new(config.clone())
        .run(&changes, |(file, changes)| {
            let mut bytes = file.get(&files).clone();
            apply(&mut bytes, &changes);
            check(bytes)
        })
        .map_err(|error| failed(&error))?;
    let edits = (
        any::<prop::sample::Index>(),
        prop::collection::vec(edit(), 1..6),
    );
    TestRunner::new(config)
        .run(&edits, |(file, edits)| {
            let mut model = ModelProto::decode(&file.get(&files)[..]).expect("a model");
            edits.iter().for_each(|edit| edited(&mut model, edit));
            check(model.encode_to_vec())
        })
        .map_err(|error| failed(&error))
}

/// A few hundred files of each kind, from the seed in `XNORFORGE_FUZZ_SEED` or 1.
#[test]
fn random_and_changed_files() {
    let seed = std::env::var("XNORFORGE_FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("seed {seed}");
    run(400, seed).unwrap_or_else(|error| panic!("{error}"));
}

/// For `XNORFORGE_SOAK_SECONDS` (60): other seeds.
#[test]
#[ignore = "long; make soak runs it"]
fn soak_random_and_changed_files() {
    let seconds = std::env::var("XNORFORGE_SOAK_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    for seed in 2.. {
        println!("seed {seed} (XNORFORGE_FUZZ_SEED={seed} repeats a part)");
        run(2000, seed).unwrap_or_else(|error| panic!("{error}"));
        if Instant::now() > end {
            break;
        }
    }
}
