//! The block `ResultHold`: its model against its Verilated text, every output in every cycle.

use crate::common::verilated;
use crate::port::design;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::hardware::accelerator::ResultHold;
use xnorforge_hdl::{AcceleratorConfig, emit};
use xnorforge_sim::accelerator::{ResultHoldModel, ResultTransfer};
use xnorforge_sim::verilator::VerilatedModel;

fn set(rtl: &mut VerilatedModel, name: &str, value: &[u64]) {
    let port = rtl.port(name).unwrap();
    rtl.set(port, value);
}

fn get(rtl: &VerilatedModel, name: &str, words: usize) -> Vec<u64> {
    let mut value = vec![0; words];
    rtl.get(rtl.port(name).unwrap(), &mut value);
    value
}

/// Values as a port takes them.
fn packed(values: &[u32]) -> Vec<u64> {
    let pairs = values.chunks(2);
    pairs
        .map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32)
        .collect()
}

fn transfer(rng: &mut ChaCha8Rng, values: u32) -> ResultTransfer {
    ResultTransfer {
        values: (0..values).map(|_| rng.random()).collect(),
        keep: (0..values).map(|_| rng.random()).collect(),
        last: rng.random(),
    }
}

#[test]
fn the_model_is_the_rtl_in_every_cycle() {
    for drain_columns in [1, 4] {
        let accelerator = AcceleratorConfig {
            drain_columns,
            ..AcceleratorConfig::default()
        };
        let design = design("small", accelerator);
        let package = emit::emit(&ResultHold::new(&design), "// test\n").unwrap();
        let seed = 900 + drain_columns;
        println!("seed {seed}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
        let (mut rtl, mut model) = (verilated(&package, seed), ResultHoldModel::new());
        let words = (drain_columns as usize).div_ceil(2);
        for cycle in 0..5000 {
            let reset = cycle == 0 || rng.random_bool(0.01);
            let (is_valid, out_ready) = (rng.random_bool(0.6), rng.random_bool(0.6));
            let offered = transfer(&mut rng, drain_columns);
            let keep = offered.keep.iter().rev();
            let keep = keep.fold(0, |all, bit| all << 1 | u64::from(*bit));
            for (name, value) in [
                ("clock", vec![0]),
                ("reset", vec![reset.into()]),
                ("in_valid", vec![is_valid.into()]),
                ("in_data", packed(&offered.values)),
                ("in_keep", vec![keep]),
                ("in_last", vec![offered.last.into()]),
                ("out_ready", vec![out_ready.into()]),
            ] {
                set(&mut rtl, name, &value);
            }
            rtl.eval().unwrap();
            if cycle > 0 {
                compare(&rtl, &model, out_ready, words);
            }
            set(&mut rtl, "clock", &[1]);
            rtl.eval().unwrap();
            model.edge(reset, is_valid.then_some(&offered), out_ready);
        }
    }
}

fn compare(rtl: &VerilatedModel, model: &ResultHoldModel, out_ready: bool, words: usize) {
    let flag = |name| get(rtl, name, 1)[0] == 1;
    assert_eq!(flag("in_ready"), model.in_ready(out_ready));
    assert_eq!(flag("out_valid"), model.offered().is_some());
    if let Some(held) = model.offered() {
        assert_eq!(get(rtl, "out_data", words), packed(&held.values));
        let bytes = held.keep.iter().rev();
        let bytes = bytes.fold(0, |all, bit| all << 4 | if *bit { 0xf } else { 0 });
        assert_eq!(get(rtl, "out_keep", 1)[0], bytes);
        assert_eq!(flag("out_last"), held.last);
    }
}
