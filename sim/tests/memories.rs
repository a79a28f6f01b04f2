//! The memories alone: the Verilated text of each kind against plain lists of bits, with random words, enables and
//! addresses. Verilator and g++ must be installed.

mod common;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_hdl_core::block::Block;
use xnorforge_hdl::emit::emit;
use xnorforge_hdl::hardware::ConstantMemory;
use xnorforge_hdl::hardware::accelerator::{
    LevelMemory, PlaneStore, RowMemory, SliceMemory, WordMemory,
};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::verilator::VerilatedModel;

/// Cycles of each memory.
const CYCLES: u32 = 3000;

/// Bits of a port or a word, the lowest first.
type Bits = Vec<bool>;

fn number(bits: &[bool]) -> usize {
    let bits = bits.iter().enumerate();
    bits.map(|(place, bit)| usize::from(*bit) << place).sum()
}

fn random(rng: &mut ChaCha8Rng, width: usize) -> Bits {
    (0..width).map(|_| rng.random()).collect()
}

/// The bits of a number.
fn bits(number: usize, width: usize) -> Bits {
    (0..width).map(|place| number >> place & 1 == 1).collect()
}

/// A Verilated memory with ports by name.
struct Rtl {
    model: VerilatedModel,
}

impl Rtl {
    fn new(block: &dyn Block) -> Self {
        let package = emit(block, "// test\n").unwrap();
        Rtl {
            model: common::verilated(&package, 1),
        }
    }

    /// The number of a port, and its width.
    fn port(&self, name: &str) -> (usize, usize) {
        let port = self.model.port(name).unwrap_or_else(|| panic!("no {name}"));
        (port, self.model.ports()[port].width as usize)
    }

    fn width(&self, name: &str) -> usize {
        self.port(name).1
    }

    fn set(&mut self, name: &str, bits: &[bool]) {
        let (port, width) = self.port(name);
        assert_eq!(width, bits.len(), "{name}");
        let words: Vec<u64> = bits.chunks(64).map(|c| number(c) as u64).collect();
        self.model.set(port, &words);
    }

    fn get(&self, name: &str) -> Bits {
        let (port, width) = self.port(name);
        let mut words = vec![0; width.div_ceil(64)];
        self.model.get(port, &mut words);
        (0..width)
            .map(|bit| words[bit / 64] >> (bit % 64) & 1 == 1)
            .collect()
    }

    fn settle(&mut self) {
        self.set("clock", &[false]);
        self.model.eval().unwrap();
    }

    fn edge(&mut self) {
        self.settle();
        self.set("clock", &[true]);
        self.model.eval().unwrap();
    }
}

/// What a memory with a registered read port is beside its ports' widths.
#[derive(Clone, Copy)]
struct Kind {
    /// Ending of the addresses' names.
    address: &'static str,
    /// A word may be read while it is written.
    keeps: bool,
    /// Neighbouring bits that are written together.
    granule: usize,
    /// There is a port that reads 0.
    clears: bool,
}

impl Kind {
    /// Words that are written as a whole, and never read at the same time.
    fn plain(width: usize) -> Self {
        Kind {
            address: "address",
            keeps: false,
            granule: width,
            clears: false,
        }
    }
}

/// A memory with a registered read port: what is read is what was written before, slice by slice, and stays until the
/// next read.
fn check(block: &dyn Block, kind: impl FnOnce(usize) -> Kind, seed: u64) {
    let mut rtl = Rtl::new(block);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (width, slices) = (rtl.width("value"), rtl.width("write"));
    let kind = kind(width);
    let [write_at, read_at] = ["write", "read"].map(|port| format!("{port}_{}", kind.address));
    let address_width = rtl.width(&write_at);
    let places = 1 << address_width;
    let mut memory: Vec<Bits> = vec![vec![false; width]; places];
    let mut expected: Option<Bits> = None;
    let (mut met, mut held) = (0, 0);
    for cycle in 0..CYCLES {
        // At first every word is written, and nothing is read.
        let fills = (cycle as usize) < places;
        let (write, to) = match fills {
            true => (vec![true; slices], cycle as usize),
            false => (random(&mut rng, slices), rng.random_range(0..places)),
        };
        let from = match rng.random_bool(0.3) {
            true => to,
            false => rng.random_range(0..places),
        };
        let meets = from == to && write.contains(&true);
        let read = !fills && rng.random() && (kind.keeps || !meets);
        let clear = kind.clears && rng.random_bool(0.2);
        let value = random(&mut rng, width);
        rtl.set("write", &write);
        rtl.set(&write_at, &bits(to, address_width));
        rtl.set("write_value", &value);
        rtl.set("read", &[read]);
        rtl.set(&read_at, &bits(from, address_width));
        if kind.clears {
            rtl.set("clear", &[clear]);
        }
        rtl.edge();
        if clear {
            expected = Some(vec![false; width]);
        } else if read {
            expected = Some(memory[from].clone());
        }
        for bit in (0..width).filter(|bit| write[bit / kind.granule % slices]) {
            memory[to][bit] = value[bit];
        }
        met += u32::from(meets && read);
        held += u32::from(!read && !clear && expected.is_some());
        if let Some(expected) = &expected {
            assert_eq!(&rtl.get("value"), expected, "seed {seed}, cycle {cycle}");
        }
    }
    println!("seed {seed}: {places} words of {width} bits, {met} read while written, {held} held");
    assert!(held > CYCLES / 8 && (met > CYCLES / 20) == kind.keeps);
}

fn accelerator(columns: u32, lanes: u32, branches: u32) -> AcceleratorDesign {
    let config = ArrayConfig {
        columns,
        lanes,
        activation_bits: 3,
        activation_branches: branches,
        ..ArrayConfig::preset("tiny").unwrap()
    };
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

#[test]
fn words() {
    let keeping = |width| Kind {
        keeps: true,
        ..Kind::plain(width)
    };
    for (seed, words, width) in [(1, 2, 1), (2, 16, 32), (3, 8, 71)] {
        check(&WordMemory::new(words, width), Kind::plain, seed);
        check(&WordMemory::keeping(words, width), keeping, seed);
    }
    let design = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
    let constants = |width| Kind {
        address: "entry",
        ..keeping(width)
    };
    check(&ConstantMemory::new(&design), constants, 4);
}

/// One memory that is written in parts, one memory for each slice, and one slice.
#[test]
fn slices() {
    for (seed, columns, lanes, branches) in [(5, 8, 32, 2), (6, 4, 16, 2), (7, 4, 5, 3)] {
        let design = accelerator(columns, lanes, branches);
        println!("{} slices of {}", design.slices, design.granule_lanes);
        let kind = |width| Kind {
            granule: design.granule_lanes as usize,
            ..Kind::plain(width)
        };
        check(&SliceMemory::new(&design, 8), kind, seed);
    }
}

#[test]
fn words_with_a_clear() {
    let kind = |width| Kind {
        clears: true,
        ..Kind::plain(width)
    };
    for (seed, lanes, branches) in [(8, 16, 2), (9, 5, 1)] {
        let design = accelerator(4, lanes, branches);
        check(&PlaneStore::new(&design, 4), kind, seed);
    }
}

/// Reads come at once, also of what an edge has just written.
#[test]
fn rows() {
    for (seed, words, width) in [(10, 5, 70), (11, 1, 3)] {
        let mut rtl = Rtl::new(&RowMemory::new(words, width));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let entry_width = rtl.width("entry");
        let mut memory: Vec<Option<Bits>> = vec![None; words as usize];
        for cycle in 0..CYCLES {
            let (write, entry) = (rng.random(), rng.random_range(0..words as usize));
            let value = random(&mut rng, width as usize);
            rtl.set("write", &[write]);
            rtl.set("entry", &bits(entry, entry_width));
            rtl.set("write_value", &value);
            rtl.settle();
            for after in [false, true] {
                if let Some(expected) = &memory[entry] {
                    let at = format!("seed {seed}, cycle {cycle}, after the edge: {after}");
                    assert_eq!(&rtl.get("value"), expected, "{at}");
                }
                if !after {
                    rtl.edge();
                    if write {
                        memory[entry] = Some(value.clone());
                    }
                }
            }
        }
        assert!(memory.iter().all(Option::is_some));
    }
}

/// Level b has `channels << b` words, at the channel and the lowest b bits of what was found.
#[test]
fn levels() {
    for (seed, levels, channels, width) in [(12, 4, 4, 9), (13, 1, 2, 1), (14, 8, 2, 21)] {
        let mut rtl = Rtl::new(&LevelMemory::new(levels, channels, width));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (levels, channels, width) = (levels as usize, channels as usize, width as usize);
        let (address_width, channel_width) =
            (rtl.width("write_address"), rtl.width("channel") / levels);
        let words = |level: usize| channels << level;
        let mut memory: Vec<Vec<Option<Bits>>> =
            (0..levels).map(|level| vec![None; words(level)]).collect();
        let mut expected: Vec<Option<Bits>> = vec![None; levels];
        let (mut compared, mut met) = (vec![0; levels], 0);
        for cycle in 0..CYCLES {
            let (write, read) = (random(&mut rng, levels), rng.random());
            let (channel, found) = (
                random(&mut rng, levels * channel_width),
                random(&mut rng, levels * levels),
            );
            let value = random(&mut rng, width);
            let place = |level: usize| {
                let channel = number(&channel[level * channel_width..][..channel_width]);
                channel << level | number(&found[level * levels..][..level])
            };
            // Often what a level reads.
            let to = match rng.random_bool(0.3) {
                true => place(rng.random_range(0..levels)),
                false => rng.random_range(0..1 << address_width),
            };
            rtl.set("write", &write);
            rtl.set("write_address", &bits(to, address_width));
            rtl.set("write_value", &value);
            rtl.set("read", &[read]);
            rtl.set("channel", &channel);
            rtl.set("found", &found);
            rtl.edge();
            let values = rtl.get("value");
            for level in 0..levels {
                let (from, to) = (place(level), to % words(level));
                if read {
                    expected[level] = memory[level][from].clone();
                }
                met += u32::from(read && write[level] && from == to);
                if write[level] {
                    memory[level][to] = Some(value.clone());
                }
                if let Some(expected) = &expected[level] {
                    compared[level] += 1;
                    let found = &values[level * width..][..width];
                    assert_eq!(found, expected, "seed {seed}, cycle {cycle}, level {level}");
                }
            }
        }
        println!("seed {seed}: {compared:?} compared, {met} read while written");
        assert!(compared.iter().all(|n| *n > CYCLES / 2) && met > CYCLES / 10);
    }
}
