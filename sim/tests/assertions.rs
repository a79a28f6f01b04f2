//! Assertions in the emitted RTL: what breaks one ends the simulation with an error that names it; without `SIMULATION` the
//! same RTL runs on.

mod common;

use xnorforge_hdl::{ArrayConfig, Design, generate};
use xnorforge_sim::verilator::{ArrayOptions, Assertions};
use xnorforge_sim::{Beat, Inputs, Simulator, SimulatorError, VerilatedArray};

fn design() -> Design {
    let config = ArrayConfig {
        rows: 1,
        columns: 1,
        lanes: 4,
        activation_bits: 2,
        weight_bits: 2,
        reduction_max: 8,
        constant_entries: 2,
        ..ArrayConfig::default()
    };
    config.validate().unwrap()
}

/// The RTL, with a text in the module whose name begins so replaced.
fn rtl(assertions: Assertions, fault: Option<(&str, &str, &str)>) -> VerilatedArray {
    let design = design();
    let mut files: Vec<(String, String)> = generate(&design)
        .unwrap()
        .simulation_files()
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect();
    if let Some((module, from, to)) = fault {
        let (_, text) = files
            .iter_mut()
            .find(|(name, _)| name.starts_with(module))
            .unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {module}");
        *text = text.replacen(from, to, 1);
    }
    let verilator = common::verilator().with_assertions(assertions);
    VerilatedArray::new(&verilator, &design, &files, &ArrayOptions::default()).unwrap()
}

/// Offers beats of one endless tile, in which every bit counts.
fn endless_tile(rtl: &mut VerilatedArray) -> Result<(), SimulatorError> {
    for cycle in 0..60 {
        let beat = Beat {
            first: cycle == 0,
            activation: vec![0b1111],
            weight: vec![0b1111],
            entry: vec![0],
            ..Beat::default()
        };
        rtl.step(&Inputs {
            operand: Some(&beat),
            result_ready: true,
            ..Inputs::default()
        })?;
    }
    Ok(())
}

/// The label of the assertion that ended a run.
fn label(ran: Result<(), SimulatorError>) -> String {
    let message = match ran {
        Err(SimulatorError::Rtl(message)) => message,
        other => panic!("no assertion fails: {other:?}"),
    };
    let label = message
        .split_once("assertion ")
        .and_then(|(_, rest)| rest.split_once(" fails in "));
    label
        .unwrap_or_else(|| panic!("no label: {message}"))
        .0
        .to_owned()
}

#[test]
fn a_tile_that_is_too_long_overflows_an_accumulator() {
    assert_eq!(
        label(endless_tile(&mut rtl(Assertions::On, None))),
        "accumulator_overflow"
    );
    endless_tile(&mut rtl(Assertions::Off, None)).unwrap();
}

#[test]
fn broken_registers_are_named() {
    for (expected, module, from, to) in [
        (
            "spill_behind_main",
            "xnf_skid_buffer",
            "spill_valid <= some_valid & ~main_ready;",
            "spill_valid <= 1'd1;",
        ),
        (
            "rows_left",
            "xnf_drain_control",
            "busy <= loads ? 1'd1 : ",
            "busy <= (remaining != 1'd1) | loads ? 1'd1 : ",
        ),
    ] {
        let fault = Some((module, from, to));
        let mut rtl = rtl(Assertions::On, fault);
        assert_eq!(label(one_tile(&mut rtl)), expected, "{from}");
    }
}

/// One beat that is a whole tile, then nothing.
fn one_tile(rtl: &mut VerilatedArray) -> Result<(), SimulatorError> {
    let beat = Beat {
        first: true,
        last: true,
        activation: vec![0b0110],
        weight: vec![0b0011],
        entry: vec![0],
        ..Beat::default()
    };
    for cycle in 0..20 {
        rtl.step(&Inputs {
            operand: (cycle == 0).then_some(&beat),
            result_ready: true,
            ..Inputs::default()
        })?;
    }
    Ok(())
}
