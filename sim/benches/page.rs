//! The benchmark page: measures everything in one process and prints it as Markdown.
//!
//! `make bench-page`, or `cargo bench -p xnorforge-sim --bench page -- [--out FILE] [--command XNORFORGE] [--only SECTION] [--size N]`.
//! With `--out`, the text replaces what stands between two marks in the file.

mod support;

use std::process::{Command, ExitCode, Stdio};
use std::{fs, io, path::Path};
use support::{machine, network, products, rounded, shortest_wall_times, simulation, table};

const BEGIN: &str = "<!-- measured: written by `make bench-page` -->\n";
const END: &str = "<!-- end of measured -->\n";

/// Commands that do no heavy work.
const LIGHT: [&[&str]; 4] = [
    &["--help"],
    &["--version"],
    &["encode", "--help"],
    &["inspect", "resnet18"],
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    // `cargo test --benches` only checks that the benches run.
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let size = match option("--size").map(str::parse) {
        None if is_test => 64,
        None => 2048,
        Some(Ok(size @ 1..)) => size,
        Some(_) => {
            eprintln!("--size takes a number from 1 on");
            return ExitCode::from(2);
        }
    };
    let mut sections = vec![format!("Machine: {}.\n", machine::description())];
    let mut add = |name: &str, section: &dyn Fn() -> String| {
        if option("--only").is_none_or(|only| only == name) {
            eprintln!("measuring: {name}");
            sections.push(section());
        }
    };
    add("products", &|| products::section(size));
    if !is_test {
        add("simulation", &simulation::section);
        add("network", &network::section);
        if let Some(command) = option("--command") {
            add("start-up", &|| start_up(command));
        }
    }
    let text = sections.join("\n");
    match option("--out").map(|path| replace(Path::new(path), &text)) {
        None => print!("{text}"),
        Some(Ok(())) => {}
        Some(Err(error)) => {
            eprintln!("the page cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Start-up times of light commands.
fn start_up(command: &str) -> String {
    let rows: Vec<Vec<String>> = LIGHT
        .iter()
        .map(|arguments| {
            let mut job = || {
                let mut child = Command::new(command);
                child
                    .args(*arguments)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let status = child.status().expect("the command can be started");
                assert!(status.success(), "{arguments:?} failed");
            };
            let times = shortest_wall_times(20, &mut [&mut job]);
            let name = format!("`xnorforge {}`", arguments.join(" "));
            vec![name, rounded(1e3 * times[0].as_secs_f64())]
        })
        .collect();
    format!("### Start-up\n\n{}", table(&["command", "ms"], &rows))
}

/// Replaces what stands between the marks, by a new file that is renamed.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let page = fs::read_to_string(path)?;
    let marks = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = marks.ok_or_else(|| io::Error::other("the marks are missing"))?;
    let aside = path.with_extension("new");
    fs::write(&aside, format!("{before}{BEGIN}\n{text}\n{END}{after}"))?;
    fs::rename(aside, path)?;
    Ok(())
}
