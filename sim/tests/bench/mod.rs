//! The files that `testbenches/stream_array_tb.v` reads: widths, passes, constant writes, beats, expected results.

pub mod icarus;

use std::fmt::Write;
use std::path::Path;
use xnorforge_hdl::Design;
use xnorforge_sim::lower::Pass;
use xnorforge_sim::{Beat, ConstantWrite, Gemm, Lowered, encoder};

/// A number of any width, lowest bit first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    /// The low `width` bits of a number, above what is there.
    fn push(&mut self, value: u64, width: u32) {
        self.0.extend((0..width).map(|bit| value >> bit & 1 == 1));
    }

    /// As one line for `$readmemh`.
    fn line(&self, text: &mut String) {
        for digit in self.0.chunks(4).rev() {
            let value = digit
                .iter()
                .rev()
                .fold(0, |v, bit| v << 1 | u32::from(*bit));
            write!(text, "{value:x}").expect("a string takes everything");
        }
        text.push('\n');
    }
}

/// The vectors of some products, one after the other, with their counts.
pub struct Bench {
    design: Design,
    top: String,
    passes: String,
    writes: String,
    beats: String,
    expected: String,
    values: usize,
}

impl Bench {
    /// Lowers the products for a design whose emitted top module is `top`.
    pub fn new(design: &Design, top: &str, products: &[Gemm]) -> Self {
        let mut bench = Bench {
            design: design.clone(),
            top: top.to_owned(),
            passes: String::new(),
            writes: String::new(),
            beats: String::new(),
            expected: String::new(),
            values: 0,
        };
        for gemm in products {
            let lowered = Lowered::new(design, gemm).expect("the product fits the design");
            let results = encoder::gemm(gemm);
            for pass in lowered.plan().passes() {
                bench.pass(&lowered, &pass, &results);
            }
        }
        bench
    }

    /// What the bench prints of a run that passes, up to its cycles.
    pub fn counts(&self) -> String {
        let lines = |text: &String| text.lines().count();
        format!(
            "{} passes, {} writes, {} beats, {} results, {} values",
            lines(&self.passes),
            lines(&self.writes),
            lines(&self.beats),
            lines(&self.expected),
            self.values
        )
    }

    /// Writes all files into a folder.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        for (name, text) in [
            ("stream_array_tb.vh", &self.header()),
            ("passes.hex", &self.passes),
            ("writes.hex", &self.writes),
            ("beats.hex", &self.beats),
            ("expected.hex", &self.expected),
        ] {
            std::fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    fn header(&self) -> String {
        let (d, c) = (&self.design, self.design.config());
        let lines = |text: &String| text.lines().count() as u32;
        let mut text = format!("`define XNF_TOP {}\n", self.top);
        for (name, value) in [
            ("ROWS", c.rows),
            ("COLUMNS", c.columns),
            ("RESULT", d.result_width),
            ("SHIFT", d.shift_amounts.len() as u32),
            ("ALIGN", d.align_width),
            ("ENTRY", d.entry_width),
            ("ACTIVATION", c.rows * c.activation_branches * c.lanes),
            ("WEIGHT", c.columns * c.weight_branches * c.lanes),
            ("HANG", 1000 + 4 * (c.rows + d.latency())),
            ("PASSES", lines(&self.passes)),
            ("WRITES", lines(&self.writes)),
            ("BEATS", lines(&self.beats)),
            ("RESULTS", lines(&self.expected)),
        ] {
            writeln!(text, "`define XNF_{name} {value}").expect("a string takes everything");
        }
        text
    }

    fn pass(&mut self, lowered: &Lowered, pass: &Pass, results: &[i64]) {
        let rows = u64::from(self.design.config().rows);
        let mut counts = Bits::default();
        for count in [pass.tiles * rows, pass.beats, pass.entries] {
            counts.push(count, 32);
        }
        counts.line(&mut self.passes);
        for write in lowered.constant_writes(pass) {
            self.constant(&write);
        }
        for beat in lowered.beats(pass) {
            self.beat(&beat);
        }
        for tile in 0..pass.tiles {
            let (row_tile, column_tile) = lowered.tile(pass, tile);
            for row in row_tile * rows..(row_tile + 1) * rows {
                self.result(lowered, row, column_tile, results);
            }
        }
    }

    fn constant(&mut self, write: &ConstantWrite) {
        let mut bits = Bits::default();
        for value in &write.value {
            bits.push(*value as u64, self.design.result_width);
        }
        bits.push(write.entry.into(), self.design.entry_width);
        bits.line(&mut self.writes);
    }

    fn beat(&mut self, beat: &Beat) {
        let d = &self.design;
        let mut bits = Bits::default();
        bits.lanes(&beat.activation, d.config().lanes);
        bits.lanes(&beat.weight, d.config().lanes);
        for entry in &beat.entry {
            bits.push((*entry).into(), d.entry_width);
        }
        bits.push(beat.result_shift.into(), 2);
        bits.push(beat.align.into(), d.align_width);
        bits.push(beat.row_mode as u64, 2);
        let select = beat.shift.map_or(0, |index| 1 << index);
        bits.push(select, d.shift_amounts.len() as u32);
        bits.push(beat.last.into(), 1);
        bits.push(beat.first.into(), 1);
        bits.line(&mut self.beats);
    }

    /// One row of a tile: the results inside P x Q, and which columns those are.
    fn result(&mut self, lowered: &Lowered, row: u64, column_tile: u64, results: &[i64]) {
        let shape = lowered.plan().shape();
        let columns = u64::from(self.design.config().columns);
        let (mut bits, mut inside) = (Bits::default(), Bits::default());
        for column in column_tile * columns..(column_tile + 1) * columns {
            let counts = row < shape.rows && column < shape.columns;
            let value = if counts {
                results[(row * shape.columns + column) as usize]
            } else {
                0
            };
            bits.push(value as u64, self.design.result_width);
            inside.push(counts.into(), 1);
            self.values += usize::from(counts);
        }
        bits.0.append(&mut inside.0);
        bits.line(&mut self.expected);
    }
}

impl Bits {
    /// Branches of `lanes` bits, each in 64-bit words of its own, without gaps.
    fn lanes(&mut self, branches: &[u64], lanes: u32) {
        for branch in branches.chunks_exact(lanes.div_ceil(64) as usize) {
            for (word, lane) in branch.iter().zip((0..lanes).step_by(64)) {
                self.push(*word, (lanes - lane).min(64));
            }
        }
    }
}
