//! The C driver: it compiles without a host, drives the Verilated registers, and packs as the documentation says.

use crate::host::{FLAGS, Hardware, SOURCES, converse, folder};
use crate::port::{Rtl, designs};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::process::Command;
use xnorforge_hdl::regmap::{REGISTERS, register};
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig};
use xnorforge_sim::accelerator::{AxiLiteInputs, RESPONSE_OKAY};

// Of `xnf_result`.
const OK: u64 = 0;
const ARGUMENT: u64 = 1;
const BUS: u64 = 2;
const IDENTITY: u64 = 3;
const VERSION: u64 = 4;
const BUSY: u64 = 5;
const TIMEOUT: u64 = 6;
const ACCELERATOR: u64 = 7;
const STOPPED: u64 = 8;
const SPACE: u64 = 9;
const DATA: u64 = 10;

/// The Verilated registers in front of a core that is nothing but its handshakes: it is busy for some cycles after a
/// start, and ends as it is told.
struct Registers {
    rtl: Rtl,
    core: AxiLiteInputs,
    /// Cycles that a run or a clearing takes.
    cycles: u32,
    left: u32,
    clearing_left: u32,
    /// How the next run ends.
    error: u8,
    pushed: Vec<(usize, Vec<u8>, bool)>,
    results: VecDeque<(bool, Vec<u8>)>,
    /// Reads that fail, from now on.
    broken: bool,
    /// What is read instead.
    instead: Option<(u32, u32)>,
}

impl Registers {
    fn new(design: &AcceleratorDesign) -> Self {
        Registers {
            rtl: Rtl::new(design, 5),
            core: AxiLiteInputs::default(),
            cycles: 100,
            left: 0,
            clearing_left: 0,
            error: 0,
            pushed: Vec::new(),
            results: VecDeque::new(),
            broken: false,
            instead: None,
        }
    }

    /// One cycle of the core, after one of the registers.
    fn core_cycle(&mut self) {
        let outputs = self.rtl.outputs();
        self.core.done = false;
        if outputs.soft_reset {
            (self.left, self.core.busy, self.core.error) = (0, false, 0);
        } else if outputs.start {
            self.left = self.cycles;
            (self.core.busy, self.core.error) = (true, 0);
        } else if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.core.busy = false;
                self.core.error = self.error;
                self.core.done = self.error == 0;
            }
        }
        if outputs.counter_clear {
            self.clearing_left = self.cycles;
        }
        self.clearing_left = self.clearing_left.saturating_sub(1);
        self.core.counter_clearing = self.clearing_left > 0;
        self.core.counter_value = 0x1000_0000 | outputs.counter_address;
    }

    fn cycle(&mut self, bus: AxiLiteInputs) {
        self.rtl.edge(&AxiLiteInputs {
            busy: self.core.busy,
            done: self.core.done,
            error: self.core.error,
            layer: self.core.layer,
            counter_clearing: self.core.counter_clearing,
            counter_value: self.core.counter_value,
            ..bus
        });
        self.core_cycle();
    }
}

impl Hardware for Registers {
    fn read(&mut self, offset: u32) -> (i32, u32) {
        if self.broken {
            return (-5, 0);
        }
        if let Some((at, value)) = self.instead
            && at == offset
        {
            return (0, value);
        }
        let (mut taken, mut answer) = (false, None);
        while answer.is_none() {
            let outputs = self.rtl.outputs();
            answer = outputs.read_response;
            let bus = AxiLiteInputs {
                read_address: (!taken).then_some(offset),
                rready: true,
                ..AxiLiteInputs::default()
            };
            taken |= outputs.arready;
            self.cycle(bus);
        }
        let (value, response) = answer.unwrap();
        ((response != RESPONSE_OKAY).into(), value)
    }

    fn write(&mut self, offset: u32, value: u32) -> i32 {
        let (mut address, mut data, mut answer) = (false, false, None);
        while answer.is_none() {
            let outputs = self.rtl.outputs();
            answer = outputs.write_response;
            let bus = AxiLiteInputs {
                write_address: (!address).then_some(offset),
                write_data: (!data).then_some((value, 0xf)),
                bready: true,
                ..AxiLiteInputs::default()
            };
            address |= outputs.awready;
            data |= outputs.wready;
            self.cycle(bus);
        }
        (answer != Some(RESPONSE_OKAY)).into()
    }

    fn push(&mut self, stream: usize, bytes: &[u8], last: bool) -> i32 {
        self.pushed.push((stream, bytes.to_vec(), last));
        0
    }

    fn pop(&mut self, capacity: usize) -> (i32, bool, Vec<u8>) {
        let (last, bytes) = self.results.pop_front().expect("results");
        assert!(bytes.len() <= capacity);
        (0, last, bytes)
    }

    fn idle(&mut self) {
        for _ in 0..10 {
            self.cycle(AxiLiteInputs::default());
        }
    }
}

#[test]
fn it_compiles_without_a_host() {
    let target = tempfile::tempdir().unwrap();
    for source in SOURCES {
        for optimize in ["-O0", "-O2", "-Os"] {
            let object = target.path().join("driver.o");
            let output = Command::new("gcc")
                .args(FLAGS)
                .args([optimize, "-c", source, "-o"])
                .arg(&object)
                .current_dir(folder())
                .output()
                .expect("gcc");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && errors.is_empty(), "{errors}");
            // The four functions that a freestanding GCC may always call.
            let symbols = Command::new("nm")
                .arg("-u")
                .arg(&object)
                .output()
                .expect("nm");
            for symbol in String::from_utf8_lossy(&symbols.stdout).lines() {
                let name = symbol.trim().trim_start_matches("U ");
                let allowed = ["memcpy", "memset", "memmove", "memcmp", "__stack_chk_fail"];
                assert!(allowed.contains(&name), "{source} needs {name}");
            }
        }
    }
}

#[test]
fn it_reads_every_size() {
    for design in designs() {
        let report = converse(&mut Registers::new(&design), "sizes", &[]);
        assert_eq!(report.one("open"), OK);
        for register in REGISTERS {
            let Some(value) = register.constant else {
                continue;
            };
            if !["id", "version"].contains(&register.name) {
                let value = u64::from(value(&design));
                assert_eq!(report.one(register.name), value, "{}", register.name);
            }
        }
    }
}

#[test]
fn it_refuses_what_is_no_accelerator_of_its_kind() {
    let design = &designs()[0];
    for (name, value, result) in [
        ("id", 0xffff_ffff, IDENTITY),
        ("version", 0x0002_0000, VERSION),
        // A newer minor version has only more in it.
        ("version", 0x0001_0007, OK),
    ] {
        let mut hardware = Registers::new(design);
        hardware.instead = Some((register(name).offset, value));
        assert_eq!(converse(&mut hardware, "", &[]).one("open"), result);
    }
    let mut hardware = Registers::new(design);
    hardware.broken = true;
    assert_eq!(converse(&mut hardware, "", &[]).one("open"), BUS);
}

#[test]
fn runs_end_well_in_time_or_not() {
    let mut hardware = Registers::new(&designs()[0]);
    let run = |hardware: &mut Registers, commands: &str| converse(hardware, commands, &[]);
    let report = run(
        &mut hardware,
        "wait 1 start 7 3 wait 1000 status interrupts interrupts",
    );
    assert_eq!(report.all("wait"), [STOPPED, OK]);
    assert_eq!(report.one("start"), OK);
    assert_eq!((report.one("busy"), report.one("done")), (0, 1));
    assert_eq!(report.all("interrupts"), [1, 0]);
    let outputs = hardware.rtl.outputs();
    assert_eq!((outputs.start_address, outputs.runs), (7, 3));

    (hardware.error, hardware.core.layer) = (12, 5);
    let report = run(
        &mut hardware,
        "enable_interrupts 2 start 0 1 start 0 1 wait 2 wait 1000 status interrupts error_name 12",
    );
    assert_eq!(report.all("start"), [OK, BUSY]);
    assert_eq!(report.all("wait"), [TIMEOUT, ACCELERATOR]);
    assert_eq!((report.one("error"), report.one("layer")), (12, 5));
    assert_eq!(report.one("done"), 0);
    assert_eq!(report.one("interrupts"), 2);
    assert_eq!(report.one("weight_early"), 12);

    let report = run(
        &mut hardware,
        "start 0 1 soft_reset wait 1000 status bus_errors",
    );
    assert_eq!(report.one("soft_reset"), OK);
    assert_eq!(report.one("wait"), STOPPED);
    assert_eq!((report.one("error"), report.one("bus_errors")), (0, 0));
}

#[test]
fn arguments_out_of_range_never_reach_the_bus() {
    let design = &designs()[0];
    let words = design.config().program_words;
    let commands = format!(
        "start {words} 1 start 0 0 start 0 65536 counter {} 0 counter 0 8 bus_errors",
        design.config().layers
    );
    let report = converse(&mut Registers::new(design), &commands, &[]);
    assert_eq!(report.all("start"), [ARGUMENT; 3]);
    assert_eq!(report.all("read_counter"), [ARGUMENT; 2]);
    assert_eq!(report.one("bus_errors"), 0);
    for (commands, data) in [
        ("load 6 0 0 0", &[0u8; 4][..]),
        ("load 0 16 0 0", &[0; 4]),
        ("load 0 0 256 0", &[0; 4]),
        ("load 0 0 0 0", &[0; 5]),
        ("load 0 0 0 0", &[]),
    ] {
        let mut hardware = Registers::new(design);
        let report = converse(&mut hardware, commands, &[data]);
        assert_eq!(report.one("load"), ARGUMENT, "{commands}");
        assert!(hardware.pushed.is_empty());
    }
    let mut hardware = Registers::new(design);
    let report = converse(&mut hardware, "push 0 1 push 1 1", &[&[0; 8], &[0; 7]]);
    assert_eq!(report.all("push"), [ARGUMENT; 2]);
    assert!(hardware.pushed.is_empty());
}

#[test]
fn counters_are_read_and_cleared() {
    let mut hardware = Registers::new(&designs()[0]);
    let commands = "counter 0 0 counter 31 7 counter 3 5 clear_counters 1000 clear_counters 2";
    let report = converse(&mut hardware, commands, &[]);
    assert_eq!(report.all("read_counter"), [OK; 3]);
    assert_eq!(
        report.all("cycles"),
        [0x1000_0000, 0x1000_00ff, 0x1000_001d]
    );
    assert_eq!(report.all("clear_counters"), [OK, TIMEOUT]);
    let report = converse(&mut hardware, "counter 0 0 start 0 1", &[]);
    assert_eq!(report.all("read_counter"), [BUSY]);
    assert_eq!(report.all("start"), [BUSY]);
}

#[test]
fn packets_and_images_reach_the_program_stream() {
    let mut hardware = Registers::new(&designs()[0]);
    let data: Vec<u8> = (1..=8).collect();
    let report = converse(&mut hardware, "load 3 2 1 0x55", &[&data]);
    assert_eq!(report.one("load"), OK);
    let head = vec![0, 0, 1, 0x32, 0x55, 0, 0, 0];
    assert_eq!(hardware.pushed, [(0, head, false), (0, data, true)]);

    let packet = |words: &[u32]| -> Vec<u8> {
        let length = [words.len() as u32];
        let all = length.iter().chain(words);
        all.flat_map(|w| w.to_le_bytes()).collect()
    };
    let (first, second) = (packet(&[0, 0, 9]), packet(&[0x1000_0000, 4, 5, 6]));
    let image = [first.clone(), second.clone()].concat();
    hardware.pushed.clear();
    let report = converse(&mut hardware, "load_image", &[&image]);
    assert_eq!(report.one("load_image"), OK);
    let sent = [first, second].map(|p| (0, p[4..].to_vec(), true));
    assert_eq!(hardware.pushed, sent);

    for damaged in [
        &image[..image.len() - 1],
        &image[..17],
        &packet(&[0, 0])[..],
        &[0xff; 12],
    ] {
        hardware.pushed.clear();
        let report = converse(&mut hardware, "load_image", &[damaged]);
        assert_eq!(report.one("load_image"), DATA);
        assert!(hardware.pushed.is_empty());
    }
}

#[test]
fn results_come_in_pieces() {
    let mut hardware = Registers::new(&designs()[0]);
    let values: [i32; 5] = [i32::MIN, -1, 0, 1, i32::MAX];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    hardware.results = [
        (false, bytes[..4].to_vec()),
        (true, bytes[4..].to_vec()),
        (false, bytes[..8].to_vec()),
        (false, vec![1, 2, 3]),
    ]
    .into();
    let report = converse(&mut hardware, "pop 10 pop 2 pop 1", &[]);
    assert_eq!(report.all("pop"), [OK, OK, DATA]);
    assert_eq!(report.all("last"), [1, 0, 0]);
    assert_eq!(report.bytes, [bytes.clone(), bytes[..8].to_vec(), vec![]]);
}

/// Arrays whose words, granules and stream are of all kinds.
fn shapes() -> Vec<AcceleratorDesign> {
    [
        (8, 64, 1, 1, 64),
        (3, 7, 2, 3, 8),
        (5, 40, 3, 2, 16),
        (2, 130, 1, 2, 128),
        (1, 1, 1, 1, 1024),
    ]
    .map(|(columns, lanes, pm, pk, stream_bits)| {
        let config = ArrayConfig {
            rows: 3,
            columns,
            lanes,
            activation_branches: pm,
            weight_branches: pk,
            reduction_max: 64,
            popcount_stages: 1,
            accelerator: AcceleratorConfig {
                stream_bits,
                ..AcceleratorConfig::default()
            },
            ..ArrayConfig::default()
        };
        AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
    })
    .into()
}

/// A memory word on a stream: whole transfers, bit 0 first.
fn word_on_stream(bits: &[bool], stream_bits: usize) -> Vec<u8> {
    let mut bytes = vec![0; bits.len().div_ceil(stream_bits) * stream_bits / 8];
    for (place, bit) in bits.iter().enumerate() {
        bytes[place / 8] |= u8::from(*bit) << (place % 8);
    }
    bytes
}

/// "Tensors in memory" of docs/accelerator.md: every bit of every word asked which number it belongs to.
fn tensor(
    design: &AcceleratorDesign,
    (pixels, channels): (usize, usize),
    bits: u32,
    codes: &[u8],
) -> Vec<u8> {
    let c = design.design().config();
    let (columns, lanes) = (c.columns as usize, c.lanes as usize);
    let (slices, pm) = (design.slices as usize, c.activation_branches as usize);
    let pixel_granules = channels.div_ceil(columns);
    let pitch = (pixels * pixel_granules).div_ceil(slices);
    let mut stream = Vec::new();
    for word in 0..pitch * (bits as usize).div_ceil(pm) {
        let (group, first) = (word / pitch, word % pitch * slices);
        let bit = |place: usize| {
            let (plane, lane) = (group * pm + place / lanes, place % lanes);
            let granule = first + lane / (lanes / slices);
            let channel = granule % pixel_granules * columns + lane % (lanes / slices);
            let pixel = granule / pixel_granules;
            let is_there =
                lane % (lanes / slices) < columns && channel < channels && pixel < pixels;
            is_there && u32::from(codes[pixel * channels + channel]) >> plane & 1 == 1
        };
        let word: Vec<bool> = (0..lanes * pm).map(bit).collect();
        stream.extend(word_on_stream(&word, design.config().stream_bits as usize));
    }
    stream
}

#[test]
fn tensors_are_packed_as_they_stand_in_memory() {
    let mut rng = ChaCha8Rng::seed_from_u64(77);
    for design in shapes() {
        let mut hardware = Registers::new(&design);
        for (pixels, channels, bits) in [(1, 1, 1), (7, 5, 4), (12, 17, 3), (2, 40, 8)] {
            let codes: Vec<u8> = (0..pixels * channels)
                .map(|_| rng.random::<u8>() & (255 >> (8 - bits)))
                .collect();
            let commands = format!("pack_tensor {pixels} {channels} {bits}");
            let report = converse(&mut hardware, &commands, &[&codes]);
            assert_eq!((report.one("lay_out"), report.one("pack_tensor")), (OK, OK));
            let expected = tensor(&design, (pixels, channels), bits, &codes);
            assert_eq!(
                report.bytes[0],
                expected,
                "{} {commands}",
                design.top_name()
            );
        }
        let words = u64::from(design.config().activation_words * design.slices) + 1;
        let report = converse(&mut hardware, &format!("pack_tensor {words} 1 1"), &[&[]]);
        assert_eq!(report.one("lay_out"), SPACE);
    }
}

/// "Patch buffer, weight bank" of docs/accelerator.md, likewise.
fn weights(
    design: &AcceleratorDesign,
    (columns, elements): (usize, usize),
    bits: u32,
    codes: &[u8],
) -> Vec<u8> {
    let c = design.design().config();
    let (width, lanes, pk) = (
        c.columns as usize,
        c.lanes as usize,
        c.weight_branches as usize,
    );
    let mut stream = Vec::new();
    for tile in 0..columns.div_ceil(width) {
        for group in 0..(bits as usize).div_ceil(pk) {
            for chunk in 0..elements.div_ceil(lanes) {
                for column in tile * width..(tile + 1) * width {
                    let bit = |place: usize| {
                        let (plane, element) =
                            (group * pk + place / lanes, chunk * lanes + place % lanes);
                        let is_there = column < columns && element < elements;
                        !is_there || u32::from(codes[column * elements + element]) >> plane & 1 == 1
                    };
                    let word: Vec<bool> = (0..lanes * pk).map(bit).collect();
                    stream.extend(word_on_stream(&word, design.config().stream_bits as usize));
                }
            }
        }
    }
    stream
}

#[test]
fn weights_are_packed_as_they_stand_in_memory() {
    let mut rng = ChaCha8Rng::seed_from_u64(78);
    for design in shapes() {
        let mut hardware = Registers::new(&design);
        for (columns, elements, bits) in [(1usize, 1usize, 1u32), (9, 20, 4), (4, 131, 3)] {
            let codes: Vec<u8> = (0..columns * elements)
                .map(|_| rng.random::<u8>() & (255 >> (8 - bits)))
                .collect();
            let commands = format!("pack_weights {columns} {elements} {bits}");
            let report = converse(&mut hardware, &commands, &[&codes]);
            let needed = columns.div_ceil(design.design().config().columns as usize)
                * (bits as usize).div_ceil(design.design().config().weight_branches as usize)
                * elements.div_ceil(design.design().config().lanes as usize);
            if needed > design.config().weight_words as usize {
                assert_eq!(report.one("pack_weights"), SPACE);
                continue;
            }
            assert_eq!(report.one("pack_weights"), OK);
            let expected = weights(&design, (columns, elements), bits, &codes);
            assert!(
                report.bytes[0] == expected,
                "{} {commands}",
                design.top_name()
            );
        }
    }
}

#[test]
fn results_are_put_in_order() {
    for design in shapes() {
        let c = design.design().config();
        let (rows, columns) = (c.rows as usize, c.columns as usize);
        let (pixels, channels) = (7, 11);
        let mut stream: Vec<i32> = Vec::new();
        for row_tile in (0..pixels).step_by(rows) {
            for column_tile in (0..channels).step_by(columns) {
                for pixel in row_tile..pixels.min(row_tile + rows) {
                    let last = channels.min(column_tile + columns);
                    stream.extend(
                        (column_tile..last).map(|channel| (pixel * channels + channel) as i32),
                    );
                }
            }
        }
        let bytes: Vec<u8> = stream.iter().flat_map(|v| v.to_le_bytes()).collect();
        let commands = format!("unpack_results {pixels} {channels}");
        let report = converse(&mut Registers::new(&design), &commands, &[&bytes]);
        let ordered: Vec<u8> = (0..(pixels * channels) as i32)
            .flat_map(i32::to_le_bytes)
            .collect();
        assert_eq!(report.bytes[0], ordered);
    }
}
