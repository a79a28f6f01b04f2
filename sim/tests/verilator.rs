//! The Verilator bridge on a small module of hand-written Verilog. Verilator and g++ must be installed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use xnorforge_hdl::emit::{Port, PortDirection};
use xnorforge_sim::SimulatorError;
use xnorforge_sim::verilator::{
    Library, ModelSource, ToolError, Toolchain, Tracing, VerilatedModel, Verilator,
};

const BRIDGE: &str = include_str!("data/bridge.v");
const WIDTHS: [u32; 7] = [1, 7, 32, 33, 64, 65, 130];

fn port(name: &str, direction: PortDirection, width: u32) -> Port {
    Port {
        name: name.to_owned(),
        direction,
        width,
    }
}

fn input(name: &str, width: u32) -> Port {
    port(name, PortDirection::Input, width)
}

fn output(name: &str, width: u32) -> Port {
    port(name, PortDirection::Output, width)
}

fn bridge() -> ModelSource {
    let mut ports = vec![input("clock", 1), input("reset", 1), input("end_how", 2)];
    ports.extend(WIDTHS.map(|width| input(&format!("a{width}"), width)));
    ports.extend(WIDTHS.map(|width| output(&format!("sum{width}"), width)));
    ports.push(output("inverse", 130));
    source("bridge", BRIDGE, ports)
}

/// A module small enough to be built many times.
fn small(body: &str) -> ModelSource {
    let text = format!(
        "module copier (input wire clock, input wire [3:0] a, output reg [3:0] q);\n{body}\nendmodule\n"
    );
    let ports = vec![input("clock", 1), input("a", 4), output("q", 4)];
    source("copier", &text, ports)
}

const COPY: &str = "always @(posedge clock) q <= a;";

fn source(top: &str, text: &str, ports: Vec<Port>) -> ModelSource {
    ModelSource {
        files: vec![(format!("{top}.v"), text.to_owned())],
        top: top.to_owned(),
        ports,
    }
}

fn tools() -> Toolchain {
    Toolchain::find().expect("Verilator and g++ are installed")
}

/// The cache that tests share, also between runs: Verilator's run-time library takes long to compile.
fn shared() -> Verilator {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verilator-cache");
    Verilator::new(tools(), folder)
}

/// A cache of a test's own that holds nothing but Verilator's run-time library.
fn private(tools: Toolchain) -> (Verilator, tempfile::TempDir) {
    static RUNTIME: OnceLock<PathBuf> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let shared = shared();
        shared.model(&small(COPY), Tracing::Off).unwrap();
        shared.cache_folder().join("runtime")
    });
    let folder = tempfile::tempdir().unwrap();
    copy(runtime, &folder.path().join("runtime"));
    (Verilator::new(tools, folder.path()), folder)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(name)).unwrap();
        } else if !name.ends_with(".build") {
            copy(&entry.path(), &to.join(name));
        }
    }
}

/// Drives and reads ports by name; values of up to 130 bits as three words.
struct Bench {
    model: VerilatedModel,
}

impl Bench {
    fn new(library: &Library, seed: u32) -> Self {
        Bench {
            model: library.start(seed).unwrap(),
        }
    }

    fn set(&mut self, name: &str, value: [u64; 3]) {
        let port = self.model.port(name).unwrap();
        let words = self.model.ports()[port].width.div_ceil(64) as usize;
        self.model.set(port, &value[..words]);
    }

    fn get(&self, name: &str) -> [u64; 3] {
        let port = self.model.port(name).unwrap();
        let words = self.model.ports()[port].width.div_ceil(64) as usize;
        let mut value = [0; 3];
        self.model.get(port, &mut value[..words]);
        value
    }

    fn clock(&mut self) -> Result<(), SimulatorError> {
        for level in [0, 1] {
            self.set("clock", [level, 0, 0]);
            self.model.eval()?;
        }
        Ok(())
    }
}

/// Addition modulo 2^width.
fn add(a: [u64; 3], b: [u64; 3], width: u32) -> [u64; 3] {
    let mut carry = 0;
    std::array::from_fn(|i| {
        let sum = u128::from(a[i]) + u128::from(b[i]) + carry;
        carry = sum >> 64;
        sum as u64 & mask(width, i)
    })
}

fn mask(width: u32, word: usize) -> u64 {
    match width.saturating_sub(64 * word as u32) {
        0 => 0,
        bits => u64::MAX >> (64 - bits.min(64)),
    }
}

#[test]
fn every_width_goes_in_and_out_exactly() {
    let seed = 20_240_501;
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bench = Bench::new(&shared().model(&bridge(), Tracing::Off).unwrap(), 1);
    bench.set("reset", [1, 0, 0]);
    bench.clock().unwrap();
    bench.set("reset", [0; 3]);
    let mut sums = [[0; 3]; WIDTHS.len()];
    for cycle in 0..2000 {
        for (sum, width) in sums.iter_mut().zip(WIDTHS) {
            // All words random: the bits past the port's width must be ignored.
            let value: [u64; 3] = if cycle % 10 == 0 {
                [u64::MAX; 3]
            } else {
                rng.random()
            };
            bench.set(&format!("a{width}"), value);
            let clean = std::array::from_fn(|i| value[i] & mask(width, i));
            assert_eq!(bench.get(&format!("a{width}")), clean);
            *sum = add(*sum, clean, width);
        }
        bench.clock().unwrap();
        for (sum, width) in sums.iter().zip(WIDTHS) {
            assert_eq!(
                bench.get(&format!("sum{width}")),
                *sum,
                "cycle {cycle}, width {width}"
            );
        }
        let a = bench.get("a130");
        let inverse = std::array::from_fn(|i| !a[i] & mask(130, i));
        assert_eq!(bench.get("inverse"), inverse);
    }
}

#[test]
fn stop_and_finish_are_errors_that_stay() {
    let library = shared().model(&bridge(), Tracing::Off).unwrap();
    for (how, messages) in [
        (1, ["$stop", "bridge.v:47; it printed: end by stop"]),
        (2, ["$finish", "bridge.v:50"]),
    ] {
        let mut bench = Bench::new(&library, 1);
        bench.clock().unwrap();
        bench.set("end_how", [how, 0, 0]);
        let first = bench.clock().unwrap_err().to_string();
        for message in messages {
            assert!(first.contains(message), "{first}");
        }
        bench.set("end_how", [0; 3]);
        assert_eq!(bench.clock().unwrap_err().to_string(), first);
    }
    // Another instance of the same library is not touched.
    Bench::new(&library, 1).clock().unwrap();
}

#[test]
fn registers_start_at_random_as_the_seed_says() {
    let library = shared().model(&bridge(), Tracing::Off).unwrap();
    let start = |seed| Bench::new(&library, seed).get("sum130");
    assert_eq!(start(1), start(1));
    assert_ne!(start(1), start(2));
    assert_ne!(start(0), [0; 3]);
    assert_eq!(start(u32::MAX)[2] & !3, 0);
}

#[test]
fn several_models_live_side_by_side_and_on_other_threads() {
    let verilator = shared();
    let copy = verilator.model(&small(COPY), Tracing::Off).unwrap();
    let invert = verilator
        .model(&small("always @(posedge clock) q <= ~a;"), Tracing::Off)
        .unwrap();
    let mut benches = [&copy, &invert, &copy, &invert].map(|library| Bench::new(library, 1));
    for value in 0..16 {
        for (index, bench) in benches.iter_mut().enumerate() {
            bench.set("a", [value, 0, 0]);
            bench.clock().unwrap();
            let expected = if index % 2 == 0 { value } else { !value & 15 };
            assert_eq!(bench.get("q")[0], expected);
        }
    }
    // Each goes on in a thread of its own, while this one makes and drops more.
    std::thread::scope(|scope| {
        for (index, mut bench) in benches.into_iter().enumerate() {
            scope.spawn(move || {
                for value in (0..16).cycle().take(10_000) {
                    bench.set("a", [value, 0, 0]);
                    bench.clock().unwrap();
                    let expected = if index % 2 == 0 { value } else { !value & 15 };
                    assert_eq!(bench.get("q")[0], expected);
                }
            });
        }
        for seed in 0..100 {
            Bench::new(&copy, seed).clock().unwrap();
        }
    });
}

#[test]
fn a_waveform_holds_the_signals_of_its_window() {
    let library = shared().model(&bridge(), Tracing::Vcd).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("window.vcd");
    let mut bench = Bench::new(&library, 1);
    bench.set("reset", [1, 0, 0]);
    bench.clock().unwrap();
    bench.set("reset", [0; 3]);
    bench.set("a130", [1, 0, 0]);
    for cycle in 0..10u64 {
        if cycle == 5 {
            bench.model.trace_open(&path).unwrap();
        }
        for level in [0, 1] {
            bench.set("clock", [level, 0, 0]);
            bench.model.eval().unwrap();
            bench.model.trace_dump(2 * cycle + level).unwrap();
        }
        if cycle == 6 {
            bench.model.trace_close().unwrap();
        }
    }
    let text = fs::read_to_string(&path).unwrap();
    for signal in [
        "clock",
        "end_how [1:0]",
        "a130 [129:0]",
        "sum7 [6:0]",
        "sum130 [129:0]",
    ] {
        assert!(
            text.contains(&format!(" {signal} $end")),
            "{signal}\n{text}"
        );
    }
    let times: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(times, ["#10", "#11", "#12", "#13"]);
    // Five cycles have been added before the window begins, one more by time 11.
    assert!(
        text.contains(&format!("b{:0>130b} ", 5)) || text.contains("b101 "),
        "{text}"
    );
}

#[test]
fn a_waveform_that_cannot_be_written_is_an_error() {
    let verilator = shared();
    let library = verilator.model(&bridge(), Tracing::Vcd).unwrap();
    let mut bench = Bench::new(&library, 1);
    let error = bench
        .model
        .trace_open(Path::new("/nowhere/x.vcd"))
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/x.vcd"), "{error}");
    bench.clock().unwrap();
    let library = verilator.model(&bridge(), Tracing::Off).unwrap();
    let mut bench = Bench::new(&library, 1);
    let error = bench.model.trace_open(Path::new("x.vcd")).unwrap_err();
    assert!(error.to_string().contains("no tracing"), "{error}");
}

/// Tools whose Verilator writes a line into a file before it runs: each build is one line with `--cc`.
fn counting_tools(folder: &Path) -> (Toolchain, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let log = folder.join("calls");
    let program = folder.join("verilator");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\nexec '{}' \"$@\"\n",
        log.display(),
        tools().verilator().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let tools = Toolchain::find_with(|name| match name {
        "XNORFORGE_VERILATOR" => Some(OsString::from(&program)),
        _ => std::env::var_os(name),
    })
    .unwrap();
    (tools, log)
}

fn builds(log: &Path) -> usize {
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter(|line| line.contains("--cc")).count()
}

#[test]
fn a_model_is_built_once_and_again_when_anything_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, log) = counting_tools(folder.path());
    let (verilator, _cache) = private(tools);
    let run = |source: &ModelSource| {
        let mut bench = Bench::new(&verilator.model(source, Tracing::Off).unwrap(), 1);
        bench.set("a", [5, 0, 0]);
        bench.clock().unwrap();
        bench.get("q")[0]
    };
    assert_eq!((run(&small(COPY)), builds(&log)), (5, 1));
    assert_eq!((run(&small(COPY)), builds(&log)), (5, 1));
    let changed = small("always @(posedge clock) q <= ~a;");
    assert_eq!((run(&changed), builds(&log)), (10, 2));
    assert_eq!((run(&small(COPY)), builds(&log)), (5, 2));
}

#[test]
fn a_damaged_cache_entry_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, log) = counting_tools(folder.path());
    let (verilator, _cache) = private(tools);
    let source = small(COPY);
    let path = verilator
        .model(&source, Tracing::Off)
        .unwrap()
        .path()
        .to_owned();
    fs::write(&path, b"not a shared library").unwrap();
    let mut bench = Bench::new(&verilator.model(&source, Tracing::Off).unwrap(), 1);
    bench.set("a", [9, 0, 0]);
    bench.clock().unwrap();
    assert_eq!((bench.get("q")[0], builds(&log)), (9, 2));
}

const CHILD_CACHE: &str = "XNORFORGE_TEST_CHILD_CACHE";
const CHILD_VERILATOR: &str = "XNORFORGE_TEST_CHILD_VERILATOR";

/// Not a test of its own: what the processes of the next test run.
#[test]
fn child_process() {
    let Some(cache) = std::env::var_os(CHILD_CACHE) else {
        return;
    };
    let tools = Toolchain::find_with(|name| match name {
        "XNORFORGE_VERILATOR" => std::env::var_os(CHILD_VERILATOR),
        _ => std::env::var_os(name),
    })
    .unwrap();
    let verilator = Verilator::new(tools, cache);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let library = verilator.model(&small(COPY), Tracing::Off).unwrap();
                let mut bench = Bench::new(&library, 1);
                bench.set("a", [3, 0, 0]);
                bench.clock().unwrap();
                assert_eq!(bench.get("q")[0], 3);
            });
        }
    });
}

#[test]
fn processes_and_threads_that_build_the_same_model_build_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let (tools, log) = counting_tools(folder.path());
    let (verilator, _cache) = private(tools);
    let children: Vec<_> = (0..3)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_process"])
                .env(CHILD_CACHE, verilator.cache_folder())
                .env(CHILD_VERILATOR, verilator.tools().verilator())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(builds(&log), 1);
}

#[test]
fn lint_problems_are_errors_with_their_text_and_a_log() {
    let (verilator, _cache) = private(tools());
    let error = verilator
        .model(
            &small("wire [7:0] wide = {4'd0, a};\nalways @(posedge clock) q <= wide;"),
            Tracing::Off,
        )
        .unwrap_err();
    let ToolError::Failed {
        tool, log, excerpt, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*tool, "verilator");
    assert!(excerpt.contains("WIDTH"), "{excerpt}");
    assert!(fs::read_to_string(log).unwrap().contains("WIDTH"));
    let error = verilator
        .model(&small("not Verilog"), Tracing::Off)
        .unwrap_err();
    assert!(error.to_string().contains("syntax error"), "{error}");
}

#[test]
fn systemverilog_is_refused() {
    let (verilator, _cache) = private(tools());
    let source = small("logic x;\nalways @(posedge clock) begin x <= a[0]; q <= {a[3:1], x}; end");
    assert!(verilator.model(&source, Tracing::Off).is_err());
}

#[test]
fn ports_that_differ_from_the_verilog_are_named() {
    let (verilator, _cache) = private(tools());
    let error = |change: &dyn Fn(&mut Vec<Port>)| {
        let mut source = small(COPY);
        change(&mut source.ports);
        verilator
            .model(&source, Tracing::Off)
            .unwrap_err()
            .to_string()
    };
    assert!(error(&|ports| ports[1].width = 5).starts_with(
        "port `a` of `copier` should be an input of 5 bits, but the Verilog has an input of 4 bits"
    ));
    assert!(error(&|ports| ports.push(input("b", 1))).contains("the Verilog has no such port"));
    assert!(error(&|ports| drop(ports.pop())).contains(
        "port `q` of `copier` should be absent, but the Verilog has an output of 4 bits"
    ));
    assert!(error(&|ports| ports[0].name = "a\"; evil".into()).contains("not a simple identifier"));
}

#[test]
fn missing_tools_are_named() {
    let empty = Toolchain::find_with(|name| (name == "PATH").then(OsString::new)).unwrap_err();
    let ToolError::Missing { tool, .. } = empty else {
        panic!("{empty}");
    };
    assert_eq!(tool, "verilator");
    let wrong = Toolchain::find_with(|name| match name {
        "XNORFORGE_VERILATOR" => Some("/nowhere/verilator".into()),
        _ => std::env::var_os(name),
    });
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "`verilator` was not found: XNORFORGE_VERILATOR = /nowhere/verilator is not a program that can be run; install it with `apt-get install verilator g++ make zlib1g-dev`"
    );
    // Verilator alone is not enough.
    let verilator = tools().verilator().to_owned();
    let error = Toolchain::find_with(|name| match name {
        "XNORFORGE_VERILATOR" => Some(verilator.clone().into()),
        _ => None,
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("`g++` was not found") && error.contains("apt-get install"),
        "{error}"
    );
}

#[test]
fn a_verilator_that_is_too_old_or_broken_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (text, message) in [
        ("echo Verilator 4.038 2020-07-11", "older than version 5"),
        ("exit 3", "`--version` ended with exit status: 3"),
    ] {
        let program = folder.path().join("verilator");
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Toolchain::find_with(|name| match name {
            "XNORFORGE_VERILATOR" => Some(program.clone().into()),
            _ => std::env::var_os(name),
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains(message), "{error}");
    }
}
