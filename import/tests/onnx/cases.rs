//! The files of real cases.

use std::path::PathBuf;
use xnorforge_import::graph::{Array, Graph};
use xnorforge_import::onnx::{self, Limits};

/// Every file of the cases.
pub fn cases() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testbenches/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("cases")
        .flat_map(|case| std::fs::read_dir(case.expect("a case").path()).expect("a folder"))
        .map(|file| file.expect("a file").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    files.sort();
    files
}

/// A graph in a few lines for each node.
fn outline(graph: &Graph) -> String {
    let shape = |name: &String| format!("{name} {:?}", graph.shapes[name]);
    let list = |names: &[String]| names.iter().map(shape).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "{}: {} -> {}\n",
        graph.name,
        list(&graph.inputs),
        list(&graph.outputs)
    );
    for node in &graph.nodes {
        text += &format!(
            "{} = {:?}\n    of {}\n",
            shape(&node.output),
            node.op,
            list(&node.inputs)
        );
    }
    for (name, array) in &graph.constants {
        let kind = match array {
            Array::F32(_) => "f32",
            Array::F64(_) => "f64",
            Array::I8(_) => "i8",
            Array::U8(_) => "u8",
            Array::I32(_) => "i32",
            Array::I64(_) => "i64",
        };
        text += &format!("constant {name}: {kind} {:?}\n", array.shape());
    }
    for (name, data_type) in &graph.datatypes {
        text += &format!("data type {name}: {data_type}\n");
    }
    text
}

#[test]
fn files_of_the_cases() {
    let files = cases();
    assert_eq!(files.len(), 11, "{files:?}");
    for file in files {
        let graph = onnx::read(&file, &Limits::default())
            .unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let case = file
            .parent()
            .and_then(|folder| folder.file_name())
            .expect("a folder")
            .to_string_lossy();
        let name = format!(
            "{case}_{}",
            file.file_stem().expect("a name").to_string_lossy()
        );
        insta::assert_snapshot!(name, outline(&graph));
    }
}
