//! Names that a shell would obey, interrupts at any moment, and disks that are full: what is asked for is there as a whole
//! or not at all, and nothing else is there.
#![cfg(target_os = "linux")]

mod common;

use common::{CASE, Folder, text};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A shell would run what stands in these, an option parser would take some for options, a terminal would obey others.
const NAMES: [&str; 9] = [
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned;",
    "a|touch pwned",
    "a\"b'c\\d&touch pwned",
    "a b\ttouch pwned",
    "line\ntouch pwned\n",
    "\u{1b}[31m\u{7}",
    "*?[!~#",
];

/// A command with this environment variable for the seed of all that is random here.
fn random(name: &str) -> ChaCha8Rng {
    let seed = std::env::var("XNORFORGE_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(1);
    println!("{name}: XNORFORGE_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn in_folder(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command("");
    command.args(arguments);
    command
}

#[test]
fn file_names_are_never_obeyed() {
    for name in NAMES {
        let folder = Folder::new();
        std::fs::create_dir(folder.path(name)).unwrap();
        for file in ["model.npz", "meta.json", "test.npz"] {
            std::fs::copy(Path::new(CASE).join(file), folder.path(name).join(file)).unwrap();
        }
        let (model, test) = (format!("{name}/model.npz"), format!("{name}/test.npz"));
        let (json, out) = (format!("{name}/report.json"), format!("{name}/out"));
        let runs: [&[&str]; 4] = [
            &[
                "simulate", "--model", &model, "--input", &test, "--labels", &test, "--json", &json,
            ],
            &["inspect", &model, "--svg", &json],
            &["generate", "--config", "tiny", "--out", &out],
            &[
                "encode", &test, "--key", "x_codes", "--bits", "2", "--out", &json,
            ],
        ];
        let mut listing = folder.listing();
        for arguments in runs {
            let output = in_folder(&folder, arguments).output().unwrap();
            assert!(
                output.status.success(),
                "{arguments:?}: {}",
                text(&output.stderr)
            );
            let printed = [output.stdout, output.stderr].concat();
            assert!(
                !printed.contains(&0x1b) && !printed.contains(&7),
                "{arguments:?}"
            );
        }
        let expected = [&json, &out, &format!("{out}/manifest.json")];
        listing.extend(expected.map(ToOwned::to_owned));
        let found = folder.listing();
        assert!(
            expected.iter().all(|name| found.contains(name)),
            "{found:?}"
        );
        let inside = |path: &&String| !path.starts_with(&format!("{out}/"));
        let others: Vec<&String> = found.iter().filter(inside).collect();
        assert!(
            others.iter().all(|path| listing.contains(path)),
            "{others:?}"
        );
    }
}

#[test]
fn missing_files_of_such_names_are_named_harmlessly() {
    let folder = Folder::new();
    for name in NAMES {
        for arguments in [["inspect", name], ["generate", "--config"]] {
            let mut command = in_folder(&folder, &arguments);
            if arguments[0] == "generate" {
                command.args([&format!("{name}.toml"), "--out", "out"]);
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
            assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
        }
    }
    assert!(folder.listing().is_empty(), "{:?}", folder.listing());
}

/// Members of an archive never become paths: a model is read from memory, and nothing is unpacked.
#[test]
fn members_of_archives_are_no_paths() {
    let folder = Folder::new();
    let mut arrays = common::model();
    arrays.push(("../../escaped", common::npy_i8(&[1], &[1])));
    arrays.push(("/tmp/escaped", common::npy_i8(&[1], &[1])));
    folder.write("inside/model.npz", common::npz(&arrays));
    let before = folder.listing();
    folder.succeed("inspect inside/model.npz --bits 2x2");
    folder.succeed("encode inside/model.npz --key ../../escaped --bits 1 --out inside/out.npz");
    let mut expected = before;
    expected.push("inside/out.npz".to_owned());
    expected.sort();
    assert_eq!(folder.listing(), expected);
}

#[test]
fn devices_are_written_and_links_are_followed() {
    let folder = Folder::new();
    let output = folder.run("simulate --gemm 2x3x2 --json /dev/stdout --quiet");
    assert!(text(&output.stdout).contains("\"schema\": \"xnorforge-simulate\""));
    folder.succeed("simulate --gemm 2x3x2 --json /dev/null");
    let full = folder.run("simulate --gemm 2x3x2 --json /dev/full");
    assert_eq!(full.status.code(), Some(2));
    assert!(
        text(&full.stderr).contains("cannot write `/dev/full`"),
        "{}",
        text(&full.stderr)
    );

    folder.write("real.json", "old");
    std::os::unix::fs::symlink("real.json", folder.path("link.json")).unwrap();
    folder.succeed("simulate --gemm 2x3x2 --json link.json");
    assert!(
        std::fs::symlink_metadata(folder.path("link.json"))
            .unwrap()
            .is_symlink()
    );
    assert!(folder.read("real.json").contains("xnorforge-simulate"));
}

/// A folder of ours with a link or a pipe in it is not ours any more; reading them could last for ever.
#[test]
fn links_in_a_folder_are_not_read() {
    let folder = Folder::new();
    folder.succeed("generate --config tiny --out out");
    let file = folder.path("out/manifest.json");
    let manifest = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        manifest.replacen(
            "\"files\": [",
            "\"files\": [{\"path\": \"zero\", \"sha256\": \"\"}, ",
            1,
        ),
    )
    .unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path("out/zero")).unwrap();
    let output = folder.run("generate --config tiny --out out");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

/// Runs a command that can write files of at most `blocks` of 512 bytes; more is an error, as on a full disk.
fn run_full(folder: &Folder, blocks: u64, arguments: &str, cache: Option<&Path>) -> Output {
    // The shell is this test's own: it sets the limit, and the signal that would end the process is ignored.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_xnorforge")])
        .args(arguments.split_whitespace())
        .current_dir(folder.path(""));
    if let Some(cache) = cache {
        command.env("XNORFORGE_CACHE", cache);
    }
    command.output().unwrap()
}

#[test]
fn a_full_disk_leaves_outputs_as_they_were() {
    let folder = Folder::new();
    folder.write("x.npy", common::npy_i8(&[1000, 30], &[1; 30_000]));
    let file = "old result";
    folder.write("result", file);
    folder.succeed("generate --config tiny --out ours");
    let listing = folder.listing();
    let manifest = folder.read("ours/manifest.json");
    let mut failed = 0;
    for blocks in [0, 1, 3, 8, 20] {
        for arguments in [
            "generate --config default --out new",
            "generate --config default --out ours",
            "simulate --gemm 64x64x64 --dump --json result",
            "simulate --gemm 4x64x8 --step --wave result",
            "encode x.npy --bits 1 --out result",
            "explore --gemm 64x64x64 --out new",
            "inspect resnet18 --svg result",
        ] {
            let output = run_full(&folder, blocks, arguments, None);
            if output.status.success() {
                // Small enough after all; back to the beginning.
                let _ = std::fs::remove_dir_all(folder.path("new"));
                folder.write("result", file);
                continue;
            }
            failed += 1;
            let stderr = text(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(2),
                "{blocks}: {arguments}: {stderr}"
            );
            assert!(stderr.contains("cannot write"), "{arguments}: {stderr}");
            assert_eq!(folder.listing(), listing, "{blocks}: {arguments}");
            assert_eq!(folder.read("result"), file, "{arguments}");
            assert_eq!(folder.read("ours/manifest.json"), manifest, "{arguments}");
        }
    }
    assert!(failed > 25, "{failed}");
}

/// Starts a command, and interrupts it after a while; whether it was still running.
fn interrupt(mut command: Command, after: Duration, signal: Signal) -> bool {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    if running {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    child.wait().unwrap();
    running
}

#[test]
fn interrupted_commands_leave_whole_outputs_or_none() {
    let mut rng = random("interrupted_commands_leave_whole_outputs_or_none");
    let folder = Folder::new();
    folder.succeed("generate --config default --interface axi --out whole");
    folder.succeed("simulate --gemm 64x256x64 --dump --json whole.json");
    // How long a command may run, whatever the machine does beside it: less if it ended too early to be interrupted, more
    // if it did not.
    let mut longest = Duration::from_millis(100);
    let (mut interrupted, mut absent, mut round) = (0, 0, 0);
    while round < 24 || ((interrupted < 8 || absent < 4) && round < 400) {
        let after = longest.mul_f64(rng.random_range(0.0..1.0));
        let signal = [Signal::INT, Signal::TERM, Signal::KILL][round % 3];
        let (name, arguments) = match round % 2 {
            0 => ("out", "generate --config default --interface axi --out out"),
            _ => (
                "out.json",
                "simulate --gemm 64x256x64 --dump --json out.json",
            ),
        };
        let in_time = interrupt(folder.command(arguments), after, signal);
        interrupted += u32::from(in_time);
        longest = longest.mul_f64(if in_time { 1.3 } else { 0.5 });
        if !folder.path(name).exists() {
            absent += 1;
        } else if round % 2 == 0 {
            for file in folder.listing().iter().filter(|f| f.starts_with("whole/")) {
                let (whole, out) = (
                    folder.path(file),
                    folder.path(&file.replacen("whole", "out", 1)),
                );
                if whole.is_file() && !file.ends_with("manifest.json") {
                    assert_eq!(
                        std::fs::read(whole).unwrap(),
                        std::fs::read(out).unwrap(),
                        "{file}"
                    );
                }
            }
            // What stands there is known as whole, and replaced without force.
            folder.succeed(arguments);
        } else {
            assert_eq!(folder.read("out.json"), folder.read("whole.json"));
        }
        for left in ["out", "out.json"] {
            let path = folder.path(left);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        round += 1;
    }
    println!("{interrupted} of {round} interrupted, {absent} left nothing");
    assert!(interrupted >= 8 && absent >= 4, "{interrupted}, {absent}");
}

const COSIM: &str = "cosim --config tiny --gemm 3x9x2";

/// A cache with Verilator's run-time library, which takes long to compile, and no model.
fn cache(folder: &Folder) -> std::path::PathBuf {
    folder.succeed(COSIM);
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache/runtime");
    let cache = folder.path("cache");
    common::copy_folder(&shared, &cache.join("runtime"));
    cache
}

fn cosim(folder: &Folder, cache: &Path) -> Command {
    let mut command = folder.command(COSIM);
    command.env("XNORFORGE_CACHE", cache);
    command
}

/// Models of the cache, finished and not.
fn models(cache: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(cache.join("models"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn interrupted_builds_do_not_poison_the_cache() {
    let mut rng = random("interrupted_builds_do_not_poison_the_cache");
    let folder = Folder::new();
    let cache = cache(&folder);
    let mut interrupted = 0;
    for round in 0..6 {
        let after = Duration::from_millis(rng.random_range(50..2500));
        let signal = [Signal::INT, Signal::KILL][round % 2];
        // Its compiler goes on, and writes beside the next build.
        interrupted += u32::from(interrupt(cosim(&folder, &cache), after, signal));
    }
    let mut other = cosim(&folder, &cache)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let output = cosim(&folder, &cache).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(other.wait().unwrap().success());
    println!("{interrupted} of 6 interrupted");
    assert!(interrupted >= 2, "{interrupted}");
    let built = models(&cache);
    assert_eq!(
        built.iter().filter(|name| !name.contains('.')).count(),
        1,
        "{built:?}"
    );
}

#[test]
fn a_full_disk_does_not_poison_the_cache() {
    let folder = Folder::new();
    let cache = cache(&folder);
    for blocks in [1, 40, 200] {
        let output = run_full(&folder, blocks, COSIM, Some(&cache));
        assert_eq!(
            output.status.code(),
            Some(3),
            "{blocks}: {}",
            text(&output.stderr)
        );
        let built = models(&cache);
        assert!(
            built.iter().all(|name| name.ends_with(".lock")),
            "{blocks}: {built:?}"
        );
    }
    let output = cosim(&folder, &cache).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_cache_folder_of_any_name_is_only_a_folder() {
    let folder = Folder::new();
    let shared = cache(&folder);
    let before = folder.listing();
    let name = "cache $(touch pwned) `touch pwned` ;touch pwned; \"'&";
    std::fs::rename(&shared, folder.path(name)).unwrap();
    let output = cosim(&folder, &folder.path(name)).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let outside = |path: &&String| !path.starts_with("cache");
    assert_eq!(
        folder.listing().iter().filter(outside).count(),
        before.iter().filter(outside).count()
    );
    assert!(
        !folder
            .listing()
            .iter()
            .any(|path| path.ends_with("pwned") && path != name)
    );
}
