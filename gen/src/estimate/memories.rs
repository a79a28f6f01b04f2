//! What memories take: those of a design, and what each takes on a target by the rules that Yosys maps them with.

use super::Hardware;
use xnorforge_hdl::accelerator::config::COUNTERS;
use xnorforge_hdl::{AcceleratorDesign, Target};

/// Memories of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// How many of them.
    pub copies: u32,
    /// Words.
    pub words: u32,
    /// Bits of a word.
    pub width: u32,
    /// Its text asks for block memories.
    pub needs_blocks: bool,
    /// A read of a word that is being written gives the old one: block memories need registers and LUTs around them.
    pub gives_old: bool,
}

/// What a memory takes: places of distributed memories, block memories, and registers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// Places, as [`crate::area::Area::sites`].
    pub places: f64,
    /// Block memories.
    pub blocks: f64,
    /// Flip-flops.
    pub registers: f64,
}

/// The memories of a design.
pub fn of(hardware: Hardware<'_>) -> Vec<Memory> {
    match hardware {
        Hardware::Array(design) => vec![Memory {
            copies: design.config().columns,
            words: design.config().constant_entries,
            width: design.result_width,
            needs_blocks: false,
            gives_old: true,
        }],
        Hardware::Accelerator(design) => of_accelerator(design),
    }
}

fn of_accelerator(a: &AcceleratorDesign) -> Vec<Memory> {
    let (array, c) = (a.design().config(), a.config());
    let memory = |copies, words, width| Memory {
        copies,
        words,
        width,
        needs_blocks: false,
        gives_old: false,
    };
    let of_planes = |copies, words| Memory {
        needs_blocks: true,
        ..memory(copies, words, a.word_width)
    };
    let drain = c.drain_columns;
    let mut memories = vec![
        of_planes(c.load_ports, c.activation_words),
        of_planes(array.rows, c.patch_words),
        // Pooling's store of one row.
        of_planes(1, 256),
        memory(1, a.residual_granules(), a.granule_width()),
        memory(array.columns, c.weight_words, a.weight_width),
        memory(drain, c.constant_words, a.constant_width),
        memory(drain, c.table_words, a.product_width),
        memory(drain, c.channel_words, a.affine_width),
        memory(1, c.program_words, 32),
        memory(1, c.schedule_words, a.schedule_width),
        memory(2, COUNTERS * c.layers, 32),
    ];
    memories.push(memory(
        1,
        array.rows.max(2),
        a.granule_address_width + a.constant_address_width + 1,
    ));
    let width = a.design().result_width;
    memories
        .extend((0..c.threshold_bits).map(|level| memory(drain, c.channel_words << level, width)));
    memories
}

/// Words and bits of a word that a block memory can have.
type Shapes = [(f64, f64)];

/// RAMB18E1 of Xilinx 7.
const RAMB18: &Shapes = &[
    (16384.0, 1.0),
    (8192.0, 2.0),
    (4096.0, 4.0),
    (2048.0, 9.0),
    (1024.0, 18.0),
    (512.0, 36.0),
];
/// RAMB36E1 of Xilinx 7.
const RAMB36: &Shapes = &[
    (32768.0, 1.0),
    (16384.0, 2.0),
    (8192.0, 4.0),
    (4096.0, 9.0),
    (2048.0, 18.0),
    (1024.0, 36.0),
    (512.0, 72.0),
];
/// DP16KD of ECP5.
const DP16KD: &Shapes = &[
    (16384.0, 1.0),
    (8192.0, 2.0),
    (4096.0, 4.0),
    (2048.0, 9.0),
    (1024.0, 18.0),
    (512.0, 36.0),
];
/// SB_RAM40_4K of iCE40.
const RAM40: &Shapes = &[(2048.0, 2.0), (1024.0, 4.0), (512.0, 8.0), (256.0, 16.0)];

/// Fewest blocks, and how many of them stand behind one another for a bit of the word.
fn blocks(shapes: &Shapes, words: f64, width: f64) -> (f64, f64) {
    let tiles = shapes.iter().map(|(depth, bits)| {
        let deep = (words / depth).ceil();
        (deep * (width / bits).ceil(), deep)
    });
    let fewest = tiles.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    fewest.unwrap_or_default()
}

/// LUTs that choose one of `deep` memories for each bit: a multiplexer of four fits a 6-input LUT, one of two a 4-input LUT.
fn selects(deep: f64, width: f64, ways: f64) -> f64 {
    match deep > 1.0 {
        true => width * ((deep - 1.0) / (ways - 1.0)).ceil() + deep,
        false => 0.0,
    }
}

/// What one memory takes.
pub fn taken(target: Target, memory: &Memory) -> Taken {
    let (words, width) = (f64::from(memory.words), f64::from(memory.width));
    let may_be_luts = !memory.needs_blocks;
    let mut taken = match target {
        Target::Xilinx => xilinx(words, width, may_be_luts, memory.gives_old),
        Target::Ecp5 => ecp5(words, width, may_be_luts, memory.gives_old),
        Target::Ice40 => ice40(words, width, memory),
        Target::Generic | Target::Ultrascale | Target::Asic => Taken::default(),
    };
    if memory.gives_old && taken.blocks > 0.0 {
        // The word that was written, the one that was read, and a comparison of their addresses.
        taken.places += width + words.log2().ceil();
        taken.registers += 2.0 * width + words.log2().ceil();
    }
    taken
}

/// Yosys takes the cheaper of distributed and block memories, by its costs: 129 for a RAMB18E1, 257 for a RAMB36E1, 8 for
/// the four LUTs of a RAM32M or RAM64M, and about two for each bit that is chosen between two of them; one where block memories
/// need more around them.
fn xilinx(words: f64, width: f64, may_be_luts: bool, gives_old: bool) -> Taken {
    let (halves, deep_halves) = blocks(RAMB18, words, width);
    let (wholes, deep_wholes) = blocks(RAMB36, words, width);
    let (cost, blocks, deep) = match 129.0 * halves < 257.0 * wholes {
        true => (129.0 * halves, halves, deep_halves),
        false => (257.0 * wholes, wholes, deep_wholes),
    };
    let rows = (words / 64.0).ceil();
    let bits = if words <= 32.0 { 6.0 } else { 3.0 };
    let selecting = width * (rows - 1.0) * if gives_old { 1.0 } else { 2.0 };
    if may_be_luts && rows * width * 8.0 / bits + selecting < cost - 1.0 {
        return Taken {
            places: 4.0 * rows * (width / bits).ceil() + selects(rows, width, 4.0),
            blocks: 0.0,
            registers: width,
        };
    }
    Taken {
        places: selects(deep, width, 4.0),
        blocks,
        registers: 0.0,
    }
}

/// A TRELLIS_DPR16X4 holds 16 words of 4 bits in two slices, and a third one writes it. Up to 20 of them are cheaper than a
/// DP16KD, and some more than one with what `gives_old` takes.
fn ecp5(words: f64, width: f64, may_be_luts: bool, gives_old: bool) -> Taken {
    let (blocks, deep) = blocks(DP16KD, words, width);
    let rows = (words / 16.0).ceil();
    let small = rows * (width / 4.0).ceil();
    let most = if gives_old { 26.0 } else { 20.0 };
    if may_be_luts && small <= most * blocks {
        return Taken {
            places: 6.0 * small + selects(rows, width, 2.5),
            blocks: 0.0,
            registers: width,
        };
    }
    Taken {
        places: selects(deep, width, 2.5),
        blocks,
        registers: 0.0,
    }
}

/// There are no memories in LUTs: up to 64 bits for each block are registers if a block takes registers, too; otherwise up to 64
/// in all.
fn ice40(words: f64, width: f64, memory: &Memory) -> Taken {
    let bits = words * width;
    let most = if memory.gives_old {
        (width / 16.0).ceil()
    } else {
        1.0
    };
    if bits <= 64.0 * most {
        return Taken {
            // A LUT chooses one of two, two of them one of four.
            places: width * ((words - 1.0) * 2.0 / 3.0).ceil() + words,
            blocks: 0.0,
            registers: bits + width,
        };
    }
    let (blocks, deep) = blocks(RAM40, words, width);
    // Enables for parts of a word need blocks of 16 bits, of which narrow words are chosen.
    let places = match memory.needs_blocks && 16 % memory.width == 0 && memory.width < 16 {
        true => 2.0 * selects(blocks, 16.0, 2.5),
        false => selects(deep, width, 2.5),
    };
    Taken {
        places,
        blocks,
        registers: 0.0,
    }
}

/// What all memories of a design take together.
pub fn sum(hardware: Hardware<'_>) -> Taken {
    let target = match hardware {
        Hardware::Array(design) => design.config().target,
        Hardware::Accelerator(design) => design.design().config().target,
    };
    let mut sum = Taken::default();
    for memory in of(hardware) {
        let (each, copies) = (taken(target, &memory), f64::from(memory.copies));
        sum.places += copies * each.places;
        sum.blocks += copies * each.blocks;
        sum.registers += copies * each.registers;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(target: Target, words: u32, width: u32) -> Taken {
        let memory = Memory {
            copies: 1,
            words,
            width,
            needs_blocks: false,
            gives_old: false,
        };
        taken(target, &memory)
    }

    /// As Yosys 0.23 maps `memory[0:words-1]` with one write and one registered read port.
    #[test]
    fn xilinx_memories_are_those_of_yosys() {
        for (words, width, blocks) in [
            (16, 64, 0),
            (64, 64, 0),
            (128, 16, 0),
            (128, 24, 1),
            (256, 9, 0),
            (256, 16, 1),
            (512, 4, 0),
            (512, 9, 1),
            (1024, 64, 2),
            (2048, 24, 3),
            (2048, 36, 2),
            (4096, 24, 3),
            (4096, 64, 8),
            (16384, 4, 2),
            (16384, 9, 4),
            (16384, 16, 8),
        ] {
            let found = xilinx(words.into(), width.into(), true, true);
            assert_eq!(found.blocks, f64::from(blocks), "{words} x {width}");
            assert_eq!(found.registers > 0.0, blocks == 0, "{words} x {width}");
        }
    }

    /// The same.
    #[test]
    fn ecp5_memories_are_those_of_yosys() {
        for (words, width, blocks) in [
            (32, 64, 0),
            (64, 16, 0),
            (64, 24, 1),
            (64, 64, 2),
            (128, 4, 0),
            (128, 9, 1),
            (256, 4, 0),
            (512, 4, 1),
            (1024, 24, 2),
            (2048, 24, 3),
            (4096, 9, 2),
            (4096, 36, 8),
            (16384, 9, 8),
        ] {
            let found = of_size(Target::Ecp5, words, width);
            assert_eq!(found.blocks, f64::from(blocks), "{words} x {width}");
        }
    }

    /// The same.
    #[test]
    fn ice40_memories_are_those_of_yosys() {
        for (words, width, blocks) in [
            (16, 4, 0),
            (16, 9, 1),
            (256, 36, 3),
            (512, 4, 1),
            (512, 36, 5),
            (1024, 9, 3),
            (2048, 64, 32),
            (4096, 24, 24),
        ] {
            let found = of_size(Target::Ice40, words, width);
            assert_eq!(found.blocks, f64::from(blocks), "{words} x {width}");
        }
    }
}
