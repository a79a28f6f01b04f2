//! The emitted RTL in Icarus Verilog, a four-state simulator: every register is X until reset, every payload that is
//! not offered is X, and the bench `testbenches/stream_array_tb.v` checks each result, each handshake and that no X or
//! Z comes out.
//!
//! The vectors come from [`Lowered`], the expected results from the reference encoder alone. Every case prints its
//! seed. `XNORFORGE_ICARUS_SEED` is the first seed (default 1).
//!
//! `write_bench` is for use by hand (`testbenches/README.md`): it writes the vectors of one configuration.

mod bench;
mod common;

use bench::Bench;
use bench::icarus::{Compiled, texts};
use common::random_gemm;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use xnorforge_hdl::{ArrayConfig, BroadcastStages, Design, Package, Structure, Target};
use xnorforge_sim::{Gemm, run};

/// Random products that a bench streams one after the other, without a reset between them.
const PRODUCTS: usize = 4;

fn preset(name: &str) -> Design {
    ArrayConfig::preset(name).unwrap().validate().unwrap()
}

fn design(edit: impl FnOnce(&mut ArrayConfig)) -> Design {
    let mut config = ArrayConfig::preset("tiny").unwrap();
    edit(&mut config);
    config.validate().unwrap()
}

fn products(design: &Design, seed: u64) -> Vec<Gemm> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..PRODUCTS)
        .map(|_| random_gemm(design, &mut rng))
        .collect()
}

fn first_seed() -> u64 {
    std::env::var("XNORFORGE_ICARUS_SEED").map_or(1, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("XNORFORGE_ICARUS_SEED = {text} is not a number"))
    })
}

/// Without stalls, where the cycles are those of the model, and with three seeds of stalls.
fn check(design: &Design, seed: u64) {
    let products = products(design, seed);
    let rtl = xnorforge_hdl::generate(design).unwrap();
    let bench = Bench::new(design, &rtl.top, &products);
    let compiled = Compiled::new(&bench, texts(&rtl), &[], true);
    let cycles: u64 = products
        .iter()
        .map(|gemm| run(design, gemm).unwrap().cycles.cycles)
        .sum();
    let context = format!("{}, seed {seed}", rtl.top);
    println!("{context}: {}", bench.counts());
    assert_eq!(
        compiled.run(&["+stalls=0"]),
        format!("PASS: {}, {cycles} cycles\n", bench.counts()),
        "{context}"
    );
    for stalls in seed..seed + 3 {
        let text = compiled.run(&[&format!("+seed={stalls}")]);
        print!("{context}, +seed={stalls}: {text}");
        let passed = format!("PASS: {}, ", bench.counts());
        assert!(text.starts_with(&passed), "{context}: {text}");
        assert_eq!(text.lines().count(), 1, "{context}: {text}");
    }
}

#[test]
fn the_tiny_preset_passes() {
    check(&preset("tiny"), first_seed());
}

#[test]
fn parallel_branches_pass() {
    let design = design(|c| {
        (c.rows, c.columns, c.lanes) = (3, 2, 6);
        (c.activation_bits, c.activation_branches) = (4, 2);
        (c.weight_bits, c.weight_branches) = (3, 3);
        c.popcount_stages = 2;
        c.constant_entries = 4;
    });
    check(&design, first_seed());
}

#[test]
fn one_processing_element_of_one_lane_passes() {
    let design = design(|c| {
        (c.rows, c.columns, c.lanes) = (1, 1, 1);
        (c.activation_bits, c.weight_bits) = (1, 1);
    });
    check(&design, first_seed());
}

#[test]
fn odd_lanes_across_words_pass() {
    let design = design(|c| {
        (c.rows, c.columns, c.lanes) = (4, 5, 67);
        (c.activation_bits, c.weight_bits) = (3, 2);
        c.reduction_max = 200;
        c.popcount_stages = 3;
        c.constant_entries = 8;
    });
    check(&design, first_seed());
}

/// The grid behind broadcast registers: unknown operands of idle cycles stay away from results.
#[test]
fn broadcast_stages_pass() {
    for (stages, target) in [(1, Target::Generic), (2, Target::Ecp5), (4, Target::Xilinx)] {
        let design = design(|c| {
            (c.rows, c.columns, c.lanes) = (3, 2, 9);
            (c.activation_bits, c.weight_bits) = (2, 3);
            c.broadcast_stages = BroadcastStages::Fixed(stages);
            c.target = target;
            if target != Target::Generic {
                c.popcount_stages = 0;
            }
        });
        check(&design, first_seed());
    }
}

/// Netlists of primitives, with this project's models of them: what starts unknown becomes known as in the device.
#[test]
fn every_structure_passes() {
    for target in Target::ALL {
        for structure in Structure::of_target(target) {
            // Chains of pair rows stand end to end without a barrier where no sum overflows; the bench's unknown operands
            // do not know that, and their carries would reach known sums. Verilator runs those (`cosim.rs`).
            let most = if *structure == Structure::PairRows {
                1
            } else {
                2
            };
            for branches in 1..=most {
                let config = ArrayConfig {
                    lanes: 13,
                    target,
                    structure: *structure,
                    activation_branches: branches,
                    weight_branches: branches,
                    ..ArrayConfig::preset("tiny").unwrap()
                };
                // A structure may be for one branch pair only.
                if let Ok(design) = config.validate() {
                    println!("{target} {structure}, {branches} branches");
                    check(&design, first_seed());
                }
            }
        }
    }
}

/// One fault: in which module, what text, what instead, and what the bench's line must say.
struct Fault {
    name: &'static str,
    module: &'static str,
    from: &'static str,
    to: &'static str,
    verdict: &'static str,
}

/// At least one for every check of the bench.
const FAULTS: [Fault; 12] = [
    Fault {
        name: "a flipped operator in the pair bits",
        module: "pair_bits",
        from: "(match_low & match_high) |",
        to: "(match_low | match_high) |",
        verdict: " in result ",
    },
    Fault {
        name: "a register without its reset",
        module: "drain_control",
        from: "done <= 1'd0;",
        to: "done <= done;",
        verdict: " result_valid: expected 0 or 1, found x",
    },
    Fault {
        name: "a ready from a register without reset",
        module: "array_r",
        from: "assign operand_ready = drain_advance;",
        to: "assign operand_ready = drain_advance & leaves_first;",
        verdict: " operand_ready: expected 0 or 1, found x",
    },
    Fault {
        name: "a valid without its reset",
        module: "skid_buffer",
        from: "main_valid <= 1'd0;",
        to: "main_valid <= main_valid;",
        verdict: " result_valid: expected 0 or 1, found x",
    },
    Fault {
        name: "sums that are never cleared",
        module: "accumulator",
        from: "first ?",
        to: "1'd0 ?",
        verdict: "bits that are not 0 or 1",
    },
    Fault {
        name: "an undriven last",
        module: "skid_buffer",
        from: "assign out_last = main_last;",
        to: "assign out_last = 1'bz;",
        verdict: " result_last: expected 0 or 1, found z",
    },
    Fault {
        name: "last with every row",
        module: "skid_buffer",
        from: "assign out_last = main_last;",
        to: "assign out_last = main_valid;",
        verdict: " result_last: expected 0, found 1: in the wrong row",
    },
    Fault {
        name: "a result that does not wait",
        module: "skid_buffer",
        from: "if (main_ready) begin\n            main_last <=",
        to: "if (1'd1) begin\n            main_last <=",
        verdict: "changed before result_ready",
    },
    Fault {
        name: "a valid that does not wait",
        module: "skid_buffer",
        from: "assign main_ready = ~main_valid | out_ready;",
        to: "assign main_ready = 1'd1;",
        verdict: "before result_ready",
    },
    Fault {
        name: "a ready that depends on the valid",
        module: "array_r",
        from: "assign operand_ready = drain_advance;",
        to: "assign operand_ready = drain_advance & operand_valid;",
        verdict: " operand_ready: expected 0, found 1: moved with an input",
    },
    Fault {
        name: "a result without a tile",
        module: "skid_buffer",
        from: "main_valid <= some_valid;",
        to: "main_valid <= 1'd1;",
        verdict: " result_valid: expected 0, found 1: a result of no tile",
    },
    Fault {
        name: "a drain that never ends",
        module: "drain_control",
        from: "assign leaves = busy & epilogue_ready;",
        to: "assign leaves = 1'd0;",
        verdict: "the array hangs",
    },
];

/// RTL with one fault in it.
fn broken(rtl: &Package, fault: &Fault) -> Package {
    let mut rtl = rtl.clone();
    let prefix = format!("xnf_{}", fault.module);
    let file = rtl
        .files
        .iter_mut()
        .find(|f| f.name.starts_with(&prefix) && f.text.contains(fault.from))
        .unwrap_or_else(|| panic!("{}: no `{}` in {prefix}", fault.name, fault.from));
    file.text = file.text.replacen(fault.from, fault.to, 1);
    rtl
}

#[test]
fn broken_rtl_fails_with_cycle_and_signal() {
    let seed = 1; // not another: its stalls must meet every fault
    println!("seed {seed}");
    let design = preset("tiny");
    let rtl = xnorforge_hdl::generate(&design).unwrap();
    let bench = Bench::new(&design, &rtl.top, &products(&design, seed));
    for fault in &FAULTS {
        let compiled = Compiled::new(&bench, texts(&broken(&rtl, fault)), &[], true);
        let text = compiled.run(&[&format!("+seed={seed}")]);
        print!("{}: {text}", fault.name);
        assert!(text.starts_with("FAIL cycle "), "{}: {text}", fault.name);
        assert!(text.contains(fault.verdict), "{}: {text}", fault.name);
        assert_eq!(text.lines().count(), 1, "{}: {text}", fault.name);
    }
}

#[test]
fn missing_vectors_fail() {
    let design = preset("tiny");
    let rtl = xnorforge_hdl::generate(&design).unwrap();
    let bench = Bench::new(&design, &rtl.top, &products(&design, 1));
    let compiled = Compiled::new(&bench, texts(&rtl), &[], true);
    for file in ["passes.hex", "writes.hex", "beats.hex", "expected.hex"] {
        let path = compiled.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        let found = compiled.run(&[]);
        assert!(
            found.contains(&format!(": {file}: expected a number")),
            "{found}"
        );
        assert!(!found.contains("PASS"), "{found}");
        std::fs::write(&path, text).unwrap();
    }
    assert!(compiled.run(&[]).starts_with("PASS"));
}

#[test]
#[ignore = "writes a folder for use by hand; testbenches/README.md"]
fn write_bench() {
    let variable = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set; see testbenches/README.md"))
    };
    let (config, out) = (
        variable("XNORFORGE_BENCH_CONFIG"),
        variable("XNORFORGE_BENCH_OUT"),
    );
    let config = match std::fs::read_to_string(&config) {
        Ok(text) => ArrayConfig::from_toml(&text),
        Err(_) => ArrayConfig::preset(&config),
    };
    let design = config
        .and_then(|c| c.validate())
        .unwrap_or_else(|e| panic!("{e}"));
    let rtl = xnorforge_hdl::generate(&design).unwrap();
    let bench = Bench::new(&design, &rtl.top, &products(&design, first_seed()));
    std::fs::create_dir_all(&out).unwrap_or_else(|e| panic!("{out}: {e}"));
    bench
        .write(Path::new(&out))
        .unwrap_or_else(|e| panic!("{out}: {e}"));
    println!("{}: {} in {out}", rtl.top, bench.counts());
}
