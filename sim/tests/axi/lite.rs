//! The block `AxiLite`: its model against its Verilated text, every output in every cycle, and its protocol by
//! transactions in every order.

use crate::port::{Answers, Order, Rtl, TOGETHER, designs, transact};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::regmap::{REGISTERS, register};
use xnorforge_sim::accelerator::{
    AxiLiteInputs, AxiLiteModel, AxiLiteOutputs, RESPONSE_ERROR, RESPONSE_OKAY,
};

/// Random accesses: mostly of registers, and mostly right.
fn address(rng: &mut ChaCha8Rng) -> u32 {
    match rng.random_range(0..10) {
        0 => rng.random_range(0..0x1000),
        1 => rng.random_range(0..0x100),
        2 => REGISTERS.choose(rng).unwrap().offset | rng.random_range(0..4),
        _ => rng.random_range(0x7c / 4..0xa4 / 4) * 4,
    }
}

fn data(rng: &mut ChaCha8Rng) -> (u32, u8) {
    let data = match rng.random_range(0..3) {
        0 => rng.random(),
        _ => rng.random_range(0..16),
    };
    let strobes = if rng.random_bool(0.9) {
        0xf
    } else {
        rng.random_range(0..16)
    };
    (data, strobes)
}

/// A new offer on a channel without one.
fn offer<T>(now: &mut Option<T>, chance: f64, rng: &mut ChaCha8Rng, new: fn(&mut ChaCha8Rng) -> T) {
    if now.is_none() && rng.random_bool(chance) {
        *now = Some(new(rng));
    }
}

/// What the core does in a cycle of a random test.
fn core(inputs: &mut AxiLiteInputs, layers: u32, rng: &mut ChaCha8Rng) {
    inputs.busy ^= rng.random_bool(0.05);
    inputs.counter_clearing ^= rng.random_bool(0.02);
    inputs.done = rng.random_bool(0.05);
    if rng.random_bool(0.05) {
        inputs.error = if rng.random() { rng.random() } else { 0 };
    }
    inputs.layer = rng.random_range(0..layers) as u8;
    inputs.counter_value = rng.random();
}

/// Offers that were taken end; others stay, as AXI asks of a master.
fn end_offers(inputs: &mut AxiLiteInputs, outputs: &AxiLiteOutputs) {
    if outputs.awready {
        inputs.write_address = None;
    }
    if outputs.wready {
        inputs.write_data = None;
    }
    if outputs.arready {
        inputs.read_address = None;
    }
}

/// What AXI asks of a slave's answers: each belongs to a request, and stands still until it is taken.
#[derive(Default)]
struct Protocol {
    addresses: u32,
    data: u32,
    write_answers: u32,
    reads: u32,
    read_answers: u32,
    write_stands: Option<u8>,
    read_stands: Option<(u32, u8)>,
}

impl Protocol {
    fn cycle(&mut self, inputs: &AxiLiteInputs, outputs: &AxiLiteOutputs) {
        if self.write_stands.is_some() {
            assert_eq!(outputs.write_response, self.write_stands);
        }
        if self.read_stands.is_some() {
            assert_eq!(outputs.read_response, self.read_stands);
        }
        self.write_answers += u32::from(outputs.write_response.is_some() && inputs.bready);
        self.read_answers += u32::from(outputs.read_response.is_some() && inputs.rready);
        assert!(self.write_answers <= self.addresses.min(self.data));
        assert!(self.read_answers <= self.reads);
        self.addresses += u32::from(outputs.awready && inputs.write_address.is_some());
        self.data += u32::from(outputs.wready && inputs.write_data.is_some());
        self.reads += u32::from(outputs.arready && inputs.read_address.is_some());
        self.write_stands = outputs.write_response.filter(|_| !inputs.bready);
        self.read_stands = outputs.read_response.filter(|_| !inputs.rready);
        if inputs.reset {
            *self = Protocol::default();
        }
    }
}

#[test]
fn the_model_is_the_rtl_in_every_cycle() {
    for (number, design) in designs().iter().enumerate() {
        let seed = 31_000 + number as u64;
        println!("seed {seed}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut rtl, mut model) = (Rtl::new(design, seed as u32), AxiLiteModel::new(design));
        let mut inputs = AxiLiteInputs::default();
        let (mut chance, mut protocol) = ([0.5; 5], Protocol::default());
        for cycle in 0..30_000 {
            let outputs = model.outputs();
            assert_eq!(rtl.outputs(), outputs, "seed {seed}, cycle {cycle}");
            if cycle % 200 == 0 {
                chance = std::array::from_fn(|_| *[0.02, 0.3, 0.9, 1.0].choose(&mut rng).unwrap());
            }
            inputs.reset = rng.random_bool(0.001);
            offer(&mut inputs.write_address, chance[0], &mut rng, address);
            offer(&mut inputs.write_data, chance[1], &mut rng, data);
            offer(&mut inputs.read_address, chance[2], &mut rng, address);
            inputs.bready = rng.random_bool(chance[3]);
            inputs.rready = rng.random_bool(chance[4]);
            core(&mut inputs, design.config().layers, &mut rng);
            protocol.cycle(&inputs, &outputs);
            rtl.edge(&inputs);
            model.edge(&inputs);
            end_offers(&mut inputs, &outputs);
        }
    }
}

fn offset(name: &str) -> u32 {
    register(name).offset
}

fn write(rtl: &mut Rtl, core: &AxiLiteInputs, name: &str, value: u32) -> u8 {
    let read = offset("id");
    transact(rtl, core, (offset(name), value, 0xf), read, TOGETHER).write
}

fn read(rtl: &mut Rtl, core: &AxiLiteInputs, name: &str) -> u32 {
    // The write beside it is one of what stands there anyway.
    let order = Order {
        read_address: 8,
        ..TOGETHER
    };
    let answers = transact(
        rtl,
        core,
        (offset("bus_error"), 0, 0xf),
        offset(name),
        order,
    );
    assert_eq!(answers.read.1, RESPONSE_OKAY, "{name}");
    answers.read.0
}

#[test]
fn every_order_of_the_channels_gives_the_same_answers() {
    let design = &designs()[0];
    let (mut rtl, core) = (Rtl::new(design, 1), AxiLiteInputs::default());
    let mut number = 0u32;
    for address in 0..5 {
        for data in 0..5 {
            for write_response in [0, 2, 7] {
                for read_address in 0..5 {
                    for read_response in [0, 3, 9] {
                        number += 1;
                        let order = Order {
                            address,
                            data,
                            write_response,
                            read_address,
                            read_response,
                        };
                        let value = number & 0xffff;
                        let request = (offset("runs"), value, 0xf);
                        let answers = transact(&mut rtl, &core, request, offset("rows"), order);
                        let rows = design.design().config().rows;
                        let expected = Answers {
                            write: RESPONSE_OKAY,
                            read: (rows, RESPONSE_OKAY),
                        };
                        assert_eq!(answers, expected, "{order:?}");
                        assert_eq!(u32::from(rtl.outputs().runs), value, "{order:?}");
                    }
                }
            }
        }
    }
    println!("{number} orders");
}

#[test]
fn every_word_of_the_address_space_is_what_the_map_says() {
    for design in designs() {
        let (mut rtl, core) = (Rtl::new(&design, 2), AxiLiteInputs::default());
        for word in 0..1024 {
            let found = REGISTERS.iter().find(|r| r.word() == word);
            let request = (4 * word, 0, 0xf);
            let order = Order {
                read_address: 0,
                address: 9,
                data: 9,
                ..TOGETHER
            };
            let answers = transact(&mut rtl, &core, request, 4 * word, order);
            let (value, can_read, can_write) = match found {
                Some(r) => {
                    let value = r.constant.map_or(r.reset(), |value| value(&design));
                    (Some(value), true, r.is_writable())
                }
                None => (Some(0), false, false),
            };
            // Wrong accesses before this one show in `bus_error`.
            let value = value.filter(|_| found.is_none_or(|r| r.name != "bus_error"));
            let response = |good| if good { RESPONSE_OKAY } else { RESPONSE_ERROR };
            assert_eq!(answers.read.1, response(can_read), "word {word:#x}");
            assert_eq!(answers.write, response(can_write), "word {word:#x}");
            if let Some(value) = value {
                assert_eq!(answers.read.0, value, "word {word:#x}");
            }
        }
    }
}

#[test]
fn wrong_accesses_change_nothing_and_say_why() {
    let (mut rtl, idle) = (Rtl::new(&designs()[0], 3), AxiLiteInputs::default());
    let busy = AxiLiteInputs { busy: true, ..idle };
    let clearing = AxiLiteInputs {
        counter_clearing: true,
        ..idle
    };
    let runs = offset("runs");
    for (core, request, flag) in [
        (&idle, (0xffc, 5, 0xf), "write_address"),
        (&idle, (offset("status"), 5, 0xf), "write_address"),
        (&idle, (offset("rows"), 5, 0xf), "write_address"),
        (&idle, (runs, 5, 0b0111), "write_strobe"),
        (&idle, (runs, 5, 0), "write_strobe"),
        (&busy, (runs, 5, 0xf), "write_locked"),
        (&busy, (offset("start_address"), 5, 0xf), "write_locked"),
        (&busy, (offset("control"), 1, 0xf), "write_locked"),
        (&busy, (offset("control"), 4, 0xf), "write_locked"),
        (&clearing, (offset("control"), 5, 0xf), "write_locked"),
    ] {
        let answers = transact(&mut rtl, core, request, offset("id"), TOGETHER);
        assert_eq!(answers.write, RESPONSE_ERROR, "{request:?}");
        let mask = register("bus_error").field(flag).mask();
        assert_eq!(read(&mut rtl, core, "bus_error"), mask, "{request:?}");
        assert_eq!(write(&mut rtl, core, "bus_error", mask), RESPONSE_OKAY);
        assert_eq!(read(&mut rtl, core, "bus_error"), 0);
        let outputs = rtl.outputs();
        assert_eq!((outputs.runs, outputs.start_address), (1, 0), "{request:?}");
    }
    let answers = transact(&mut rtl, &idle, (runs, 7, 0xf), 0x800, TOGETHER);
    assert_eq!(answers.read, (0, RESPONSE_ERROR));
    let mask = register("bus_error").field("read_address").mask();
    assert_eq!(read(&mut rtl, &idle, "bus_error"), mask);
    // What is allowed while busy.
    assert_eq!(write(&mut rtl, &busy, "control", 2), RESPONSE_OKAY);
    assert_eq!(write(&mut rtl, &busy, "counter_select", 9), RESPONSE_OKAY);
    assert_eq!(rtl.outputs().counter_address, 9);
}

#[test]
fn starting_and_ending_show_in_status_and_interrupt() {
    let (mut rtl, idle) = (Rtl::new(&designs()[0], 4), AxiLiteInputs::default());
    let pulse = |rtl: &mut Rtl, inputs: AxiLiteInputs| rtl.edge(&inputs);
    let status = |name| register("status").field(name).mask();
    assert_eq!(write(&mut rtl, &idle, "interrupt_enable", 3), RESPONSE_OKAY);
    assert_eq!(read(&mut rtl, &idle, "status"), 0);
    pulse(&mut rtl, AxiLiteInputs { done: true, ..idle });
    assert_eq!(read(&mut rtl, &idle, "status"), status("done"));
    assert!(rtl.outputs().irq);
    assert_eq!(write(&mut rtl, &idle, "interrupt_status", 1), RESPONSE_OKAY);
    assert_eq!(read(&mut rtl, &idle, "interrupt_status"), 0);
    assert!(!rtl.outputs().irq);
    // A start ends `done`; the pulse is one cycle long.
    let request = (offset("control"), 1, 0xf);
    let mut starts = 0;
    for cycle in 0..8 {
        rtl.edge(&AxiLiteInputs {
            write_address: (cycle == 0).then_some(request.0),
            write_data: (cycle == 0).then_some((request.1, request.2)),
            bready: true,
            ..idle
        });
        starts += u32::from(rtl.outputs().start);
    }
    assert_eq!(starts, 1);
    assert_eq!(read(&mut rtl, &idle, "status"), 0);
    // An error raises the interrupt once, however long its code stands.
    let failed = AxiLiteInputs {
        error: 7,
        layer: 3,
        ..idle
    };
    assert_eq!(read(&mut rtl, &failed, "status"), 7 << 8 | 3 << 24);
    assert!(rtl.outputs().irq);
    assert_eq!(
        write(&mut rtl, &failed, "interrupt_status", 3),
        RESPONSE_OKAY
    );
    assert_eq!(read(&mut rtl, &failed, "interrupt_status"), 0);
    assert!(!rtl.outputs().irq);
}

/// Whoever polls `status` must find a run either under way or ended, in whatever cycle the read falls.
#[test]
fn status_is_busy_until_it_is_done() {
    let mut rtl = Rtl::new(&designs()[0], 6);
    let idle = AxiLiteInputs::default();
    let mask = |name| register("status").field(name).mask();
    let (mut busy, mut done) = (0, 0);
    for end in 2..12 {
        assert_eq!(write(&mut rtl, &idle, "control", 1), RESPONSE_OKAY);
        let mut answer = None;
        for cycle in 0..16 {
            let outputs = rtl.outputs();
            answer = answer.or(outputs.read_response);
            rtl.edge(&AxiLiteInputs {
                busy: cycle < end,
                done: cycle == end,
                read_address: (cycle == 5).then_some(offset("status")),
                rready: true,
                ..idle
            });
        }
        let (status, _) = answer.expect("an answer");
        assert!(
            status == mask("busy") || status == mask("done"),
            "{end}: {status:#x}"
        );
        busy += u32::from(status == mask("busy"));
        done += u32::from(status == mask("done"));
    }
    assert!(busy > 2 && done > 2, "{busy} {done}");
}
