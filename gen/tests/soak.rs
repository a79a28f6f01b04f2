//! `xnorforge soak`: it runs clean, finds what is wrong, makes it smaller, and ends when it is told to. Verilator and g++
//! must be installed.
#![cfg(target_os = "linux")]

mod common;

use common::{Folder, text};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Output, Stdio};

/// The last line that begins with these words, without them.
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let found = text
        .lines()
        .rev()
        .find_map(|l| l.trim().strip_prefix(begin));
    found.unwrap_or_else(|| panic!("no line `{begin}`:\n{text}"))
}

/// Runs a command as a shell would take its words.
fn shell(folder: &Folder, words: &str) -> Output {
    let words = words.strip_prefix("xnorforge ").expect("a command of ours");
    let script = format!("\"$0\" {words}");
    let mut command = folder.command("");
    let program = command.get_program().to_owned();
    let cache = format!("{}/cache", env!("CARGO_TARGET_TMPDIR"));
    command = std::process::Command::new("sh");
    command
        .args(["-c", &script])
        .arg(program)
        .current_dir(folder.path(""))
        .env("XNORFORGE_CACHE", cache);
    command.output().unwrap()
}

#[test]
fn cases_run_clean_and_do_not_depend_on_the_number_of_jobs() {
    let folder = Folder::new();
    let run = |jobs: u32| {
        let out = folder.succeed(&format!(
            "soak --seed 3 --configurations 6 --jobs {jobs} --at-most rows=3,columns=3,lanes=20"
        ));
        let summary = line(&out, "6 configurations, ").to_owned();
        assert!(summary.ends_with("seed 3: no difference"), "{out}");
        // All but the last line, which holds the time.
        let lines: Vec<&str> = out.trim_end().lines().collect();
        lines[..lines.len() - 1].join("\n")
    };
    let one = run(1);
    assert_eq!(one, run(2));
    for top in ["array", "stream"] {
        assert!(one.contains(top), "{one}");
    }
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn cases_behind_axi_run_clean() {
    let folder = Folder::new();
    let out = folder
        .succeed("soak --seed 5 --configurations 3 --top axi --at-most rows=3,columns=3,lanes=20");
    assert!(
        line(&out, "3 configurations, ").ends_with("no difference"),
        "{out}"
    );
}

/// A fault in the Verilog is found, repeated by the command that is printed, and shrunk to the least of each size.
#[test]
fn a_fault_is_found_shrunk_and_repeated() {
    let folder = Folder::new();
    let inject = "--inject 'pair_bits:activation ^ ~weight=>activation ^ weight'";
    let limits = "--at-most rows=3,columns=3,lanes=5,reduction-max=7";
    let output = shell(
        &folder,
        &format!(
            "xnorforge soak --seed 2 --configurations 30 --jobs 1 --top array {limits} {inject}"
        ),
    );
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    let number = line(&stdout, "FAILED case ").split(':').next().unwrap();
    let first = line(&stdout, "repeat: ");
    let smallest = line(&stderr, "repeat: ");
    assert!(
        first.contains(&format!("--seed 2 --case {number} --top array")),
        "{first}"
    );
    assert!(
        first.contains(inject) && smallest.contains(inject),
        "{first}\n{smallest}"
    );
    assert_eq!(line(&stderr, "top: "), "array");
    let configuration = line(&stderr, "configuration: ");
    for size in [
        "--rows 1 ",
        "--columns 1 ",
        "--activation-bits 1 ",
        "--weight-bits 1 ",
    ] {
        assert!(configuration.contains(size), "{configuration}");
    }

    let kept = line(&stderr, "waveform and files: ");
    let wave = folder.read(&format!("{kept}/failure.vcd"));
    assert!(wave.contains("$enddefinitions") && wave.contains("operand_valid"));
    let toml = folder.read(&format!("{kept}/configuration.toml"));
    assert!(
        xnorforge_hdl::ArrayConfig::from_toml(&toml)
            .unwrap()
            .validate()
            .is_ok()
    );
    assert!(
        folder
            .read(&format!("{kept}/work.txt"))
            .contains("activations: [")
    );
    assert!(
        folder
            .read(&format!("{kept}/failure.txt"))
            .ends_with(&format!("{smallest}\n"))
    );

    for command in [first, smallest] {
        let again = shell(&folder, &format!("{command} --no-shrink"));
        assert_eq!(
            again.status.code(),
            Some(1),
            "{command}\n{}",
            text(&again.stderr)
        );
        let without = command.replace(inject, "");
        let right = shell(&folder, &without);
        assert!(right.status.success(), "{without}\n{}", text(&right.stderr));
    }
}

/// A fault of the ports around the array.
#[test]
fn faults_around_the_array_are_found() {
    let folder = Folder::new();
    let mut command = folder.command(
        "soak --seed 4 --configurations 4 --jobs 2 --no-shrink --top axi --at-most rows=2,columns=2,lanes=9",
    );
    let inject = "result_hold:free = ~full | out_ready=>free = 1'd1";
    let output = command.args(["--inject", inject]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let kept = line(&stderr, "waveform and files: ");
    let wave = folder.read(&format!("{kept}/failure.vcd"));
    assert!(wave.contains("m_axis_result_tvalid"));
}

#[test]
fn an_interrupt_ends_it_with_the_counts_so_far() {
    let folder = Folder::new();
    let mut child = folder
        .command("soak --seed 6 --minutes 30 --jobs 1 --at-most lanes=8")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut begun = String::new();
    stdout.read_line(&mut begun).unwrap();
    assert_eq!(begun, "seed 6\n");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        line(&rest, "interrupted: ").contains(" configurations"),
        "{rest}"
    );
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn wrong_arguments_and_missing_tools_are_named() {
    let folder = Folder::new();
    let report = folder.failures(
        2,
        &[
            "soak --minutes 0",
            "soak --configurations 0",
            "soak --case 3 --configurations 2",
            "soak --at-most rows=0",
            "soak --at-most row=2",
            "soak --at-most rows",
            "soak --inject pair_bits",
            "soak --jobs 0",
        ],
    );
    for told in [
        "choose a number above 0",
        "cannot be used with",
        "rows=0 is out of range: from 1 on",
        "`row` cannot be limited; choose from runs, ",
        "write it as rows=2",
        "MODULE:FROM=>TO",
    ] {
        assert!(report.contains(told), "{told}:\n{report}");
    }
    let mut command = folder.command("soak --configurations 1");
    let output = command
        .env("XNORFORGE_VERILATOR", "/nowhere/verilator")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("apt-get install verilator"),
        "{output:?}"
    );
    assert_eq!(folder.listing(), Vec::<String>::new());
}
