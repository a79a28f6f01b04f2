//! Runs the C driver on the host (`driver/tests/host.c`): its bus is a conversation with this process.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What stands behind the driver's bus. The numbers that the functions give are the driver's: 0 is success.
pub trait Hardware {
    fn read(&mut self, offset: u32) -> (i32, u32);
    fn write(&mut self, offset: u32, value: u32) -> i32;
    fn push(&mut self, stream: usize, bytes: &[u8], last: bool) -> i32;
    /// At most `capacity` bytes, and whether TLAST came with the last one.
    fn pop(&mut self, capacity: usize) -> (i32, bool, Vec<u8>);
    fn idle(&mut self);
}

/// What the driver has reported.
#[derive(Debug, Default)]
pub struct Report {
    values: Vec<(String, u64)>,
    pub bytes: Vec<Vec<u8>>,
}

impl Report {
    /// The values reported under a name, in order.
    pub fn all(&self, name: &str) -> Vec<u64> {
        let found = self.values.iter().filter(|(n, _)| n == name);
        found.map(|(_, value)| *value).collect()
    }

    /// The only value reported under a name.
    pub fn one(&self, name: &str) -> u64 {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "`{name}` in {:?}", self.values);
        all[0]
    }
}

/// The driver's folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../driver")
}

/// The driver's own sources.
pub const SOURCES: [&str; 2] = ["xnorforge.c", "xnorforge_tensor.c"];

/// Every warning is an error; the sources must do without a host.
pub const FLAGS: [&str; 9] = [
    "-std=c99",
    "-ffreestanding",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Werror",
];

/// The driver with its host program, built once with the sanitizers of undefined behaviour and of addresses.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let target = tempfile::tempdir().unwrap();
        let path = target.path().join("host");
        let status = Command::new("gcc")
            .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-g"])
            .args(["-fsanitize=undefined,address", "-fno-sanitize-recover=all"])
            .args(SOURCES)
            .arg("tests/host.c")
            .arg("-o")
            .arg(&path)
            .current_dir(folder())
            .status()
            .expect("gcc");
        assert!(status.success());
        (target, path)
    });
    path
}

fn hex(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        _ => bytes.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn number(text: &str) -> u32 {
    u32::from_str_radix(text, 16).unwrap()
}

/// Runs the driver's host program with these commands; `data` is what it asks for, in order.
pub fn converse(hardware: &mut dyn Hardware, commands: &str, data: &[&[u8]]) -> Report {
    let mut child = Command::new(program())
        .args(commands.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut replies = child.stdin.take().unwrap();
    let requests = BufReader::new(child.stdout.take().unwrap());
    let (mut report, mut data) = (Report::default(), data.iter());
    for request in requests.lines() {
        let request = request.unwrap();
        let words: Vec<&str> = request.split(' ').collect();
        let reply = match words[..] {
            ["R", offset] => {
                let (status, value) = hardware.read(number(offset));
                format!("{status} {value:x}")
            }
            ["W", offset, value] => hardware.write(number(offset), number(value)).to_string(),
            ["P", stream, last, data] => hardware
                .push(number(stream) as usize, &bytes(data), last == "1")
                .to_string(),
            ["G", capacity] => {
                let (status, last, data) = hardware.pop(number(capacity) as usize);
                format!("{status} {} {}", u8::from(last), hex(&data))
            }
            ["I"] => {
                hardware.idle();
                "0".to_owned()
            }
            ["D"] => format!("0 {}", hex(data.next().expect("data for the driver"))),
            ["=", name, value] => {
                report.values.push((name.to_owned(), number(value).into()));
                continue;
            }
            ["O", data] => {
                report.bytes.push(bytes(data));
                continue;
            }
            _ => panic!("the driver says `{request}`"),
        };
        writeln!(replies, "{reply}").unwrap();
    }
    drop(replies);
    assert!(child.wait().unwrap().success(), "{commands}");
    assert!(data.next().is_none(), "{commands}: data are left");
    report
}
