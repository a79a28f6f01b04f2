//! Runs the command in a folder of its own, and makes array files of any kind.

#![allow(dead_code)] // each test file uses some of it

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The case with stored integers.
pub const CASE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../testbenches/cases/a_mlp_odd_w2a2"
);

/// A folder to run the command in.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A command with these arguments, words split at blanks, that runs in this folder.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xnorforge"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("COLUMNS");
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub fn succeed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments}: {}\n{}",
            output.status,
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Every path below the folder, sorted.
    pub fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.0.path().to_path_buf()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.0.path()).unwrap();
                found.push(name.display().to_string());
                if path.is_dir() {
                    waiting.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Runs each command, checks that it fails with `code` and writes nothing, and gives commands and messages.
    pub fn failures(&self, code: i32, commands: &[&str]) -> String {
        let mut report = String::new();
        for arguments in commands {
            let before = self.listing();
            let output = self.run(arguments);
            self.check_failure(&output, code, arguments, &before);
            writeln!(report, "$ xnorforge {arguments}\n{}", text(&output.stderr)).unwrap();
        }
        report
    }

    fn check_failure(&self, output: &Output, code: i32, arguments: &str, before: &[String]) {
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{arguments}\n{stderr}");
        assert_eq!(self.listing(), before, "{arguments} left something behind");
        assert!(
            !before.iter().any(|name| name.contains(".xnorforge-")),
            "{before:?}"
        );
    }
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A `.npy` with this header text, padded as NumPy does, and this data.
pub fn npy_with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header.to_owned();
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A `.npy` of this type and shape.
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|d| format!("{d}, ")).collect();
    npy_with_header(
        &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}"),
        data,
    )
}

/// An int8 `.npy`.
pub fn npy_i8(shape: &[usize], values: &[i8]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().map(|v| *v as u8).collect();
    npy("|i1", shape, &data)
}

/// An int32 `.npy`.
pub fn npy_i32(shape: &[usize], values: &[i32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("<i4", shape, &data)
}

/// A float64 `.npy`.
pub fn npy_f64(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("<f8", shape, &data)
}

/// A `.npz` of these arrays.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive
            .start_file(format!("{name}.npy"), zip::write::FileOptions::default())
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A 2-layer, 2-bit model with 3 inputs, 2 hidden outputs and 2 outputs, array by array.
pub fn model() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("l1.weight_codes", npy_i8(&[2, 3], &[1, -1, 3, -3, 1, 1])),
        ("l1.thresholds", npy_i32(&[2, 3], &[-4, 0, 4, -2, 0, 2])),
        ("l1.sign", npy_i8(&[2], &[1, -1])),
        ("l2.weight_codes", npy_i8(&[2, 2], &[1, -3, 3, -1])),
    ]
}

/// [`model`] with one array replaced or added.
pub fn model_with(name: &'static str, bytes: Vec<u8>) -> Vec<u8> {
    let mut arrays = model();
    arrays.retain(|(other, _)| *other != name);
    arrays.push((name, bytes));
    npz(&arrays)
}

/// A copy of a folder's files.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}
