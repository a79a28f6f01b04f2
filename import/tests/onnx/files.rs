//! Files: their size, and external data that stay in the model's folder.

use super::build::{Build, external};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use xnorforge_import::graph::{Array, Graph};
use xnorforge_import::onnx::{self, Limits, OnnxError};

/// A folder with a folder `model` in it, `weights.bin` of 1.0, 2.0, 3.0 there, and `secret.bin` beside it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = [1f32, 2.0, 3.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::create_dir_all(folder.path().join("model/inner")).expect("a folder");
    for file in ["model/weights.bin", "model/inner/weights.bin", "secret.bin"] {
        fs::write(folder.path().join(file), &bytes).expect("a file");
    }
    folder
}

fn read(folder: &Path, entries: &[(&str, &str)]) -> Result<Graph, OnnxError> {
    let model = Build::new(&[1, 2]).tensor(external("c", &[2], entries));
    let model = model.node("Add", &["x", "c"], "y", &[]).output("y");
    let path = folder.join("model/model.onnx");
    fs::write(&path, model.bytes()).expect("a file");
    onnx::read(&path, &Limits::default())
}

#[test]
fn external_data() {
    let folder = folder();
    for (entries, values) in [
        (
            &[("location", "weights.bin"), ("length", "8")][..],
            [1.0, 2.0],
        ),
        (&[("location", "weights.bin"), ("offset", "4")], [2.0, 3.0]),
        (
            &[
                ("location", "./inner/weights.bin"),
                ("offset", "4"),
                ("length", "8"),
                ("checksum", "0"),
            ],
            [2.0, 3.0],
        ),
    ] {
        let graph = read(folder.path(), entries).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            graph.constants["c"],
            Array::F32(ndarray::arr1(&values).into_dyn().into_shared())
        );
    }
}

#[test]
fn external_data_that_are_refused() {
    let folder = folder();
    let absolute = folder.path().join("model/weights.bin");
    let absolute = absolute.to_str().expect("UTF-8").to_owned();
    let mut text = String::new();
    for entries in [
        &[][..],
        &[("location", "../secret.bin"), ("length", "8")],
        &[("location", "inner/../../secret.bin"), ("length", "8")],
        &[("location", &absolute), ("length", "8")],
        &[("location", "..\\secret.bin"), ("length", "8")],
        &[("location", "missing.bin")],
        &[("location", "inner")],
        &[("location", "weights.bin")],
        &[("location", "weights.bin"), ("length", "4")],
        &[("location", "weights.bin"), ("length", "80")],
        &[
            ("location", "weights.bin"),
            ("offset", "18446744073709551615"),
            ("length", "8"),
        ],
        &[("location", "weights.bin"), ("offset", "100")],
        &[("location", "weights.bin"), ("length", "many")],
    ] {
        let error = read(folder.path(), entries)
            .expect_err("it is refused")
            .to_string();
        text += &format!("{}\n", error.replace(&absolute, "/FOLDER/weights.bin"));
    }
    insta::assert_snapshot!(text);
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_folder() {
    let folder = folder();
    let model = folder.path().join("model");
    std::os::unix::fs::symlink("../secret.bin", model.join("link.bin")).expect("a link");
    std::os::unix::fs::symlink("..", model.join("up")).expect("a link");
    std::os::unix::fs::symlink("inner/weights.bin", model.join("inside.bin")).expect("a link");
    for location in ["link.bin", "up/secret.bin"] {
        let error = read(folder.path(), &[("location", location), ("length", "8")])
            .expect_err("it is refused");
        assert!(
            error
                .to_string()
                .contains("leads out of the model's folder"),
            "{error}"
        );
    }
    read(
        folder.path(),
        &[("location", "inside.bin"), ("length", "8")],
    )
    .expect("it stays inside");
    // A pipe without a writer would block for ever.
    let pipe = model.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        let error = read(folder.path(), &[("location", "pipe"), ("length", "8")])
            .expect_err("it is refused");
        assert!(error.to_string().contains("is no regular file"), "{error}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder();
    let limits = Limits {
        file_bytes: 11,
        ..Limits::default()
    };
    let error = |path: &str, limits: &Limits| {
        let path = folder.path().join(path);
        let error = onnx::read(&path, limits)
            .expect_err("it is refused")
            .to_string();
        error.replace(&*folder.path().to_string_lossy(), "/FOLDER")
    };
    let default = Limits::default();
    insta::assert_snapshot!(
        [
            error("missing.onnx", &default),
            error("model", &default),
            error("model/weights.bin", &limits),
            error("model/weights.bin", &default),
        ]
        .join("\n")
    );
}
