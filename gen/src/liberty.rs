//! Liberty files, as far as choosing cells needs them: names, areas, functions, flip-flops.
//!
//! A Liberty file comes from somewhere else, so nothing about it is taken for granted: its size, nesting and syntax are
//! limited and checked here, and [`Library::check`] names what synthesis would miss before any tool runs.
//!
//! ```
//! use xnorforge::liberty::Library;
//! let text = r#"library (tiny) { cell (INV) { area : 2.5;
//!     pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } } }"#;
//! let library = Library::parse(text).unwrap();
//! assert_eq!(library.cell("INV").unwrap().area, Some(2.5));
//! assert!(library.check().unwrap_err().to_string().contains("a D flip-flop"));
//! ```

mod adders;
mod function;
mod parse;

pub use adders::{LibraryAdders, with_adder_cells};

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes. Libraries with many corners of tables stay below it.
pub const BYTES_MAX: u64 = 512 << 20;

/// A library of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Cells by name.
    pub cells: BTreeMap<String, LibraryCell>,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LibraryCell {
    /// Area in the library's unit, which Liberty does not state (um2 in most).
    pub area: Option<f64>,
    /// Names of its inputs, in the order of the file.
    pub inputs: Vec<String>,
    /// Names of its outputs and their functions, as the file states them.
    pub outputs: Vec<(String, Option<String>)>,
    /// Set if it has an `ff` group.
    pub flip_flop: Option<FlipFlop>,
    /// It has a `latch` group.
    pub latch: bool,
}

/// A cell's `ff` group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlipFlop {
    /// What it takes at the edge.
    pub next_state: String,
    /// The edge.
    pub clocked_on: String,
}

/// Why a Liberty file cannot be used. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum LibertyError {
    /// It cannot be read.
    #[error("cannot read the Liberty file `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is longer than [`BYTES_MAX`].
    #[error(
        "the Liberty file `{}` is longer than {BYTES_MAX} bytes, the limit; is it the right file?",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not Liberty.
    #[error("line {line} is not Liberty: {what}; give the .lib file of a standard-cell library")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Cells are missing that every design needs.
    #[error("the library `{library}` ({cells} cells) lacks {}; choose one that has {}", missing.join(", "), if missing.len() == 1 { "it" } else { "them" })]
    Missing {
        /// The library.
        library: String,
        /// How many cells it has.
        cells: usize,
        /// What is missing.
        missing: Vec<&'static str>,
    },
}

impl Library {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LibertyError`], but not [`LibertyError::Missing`].
    pub fn read(path: &Path) -> Result<Self, LibertyError> {
        let error = |source| LibertyError::File {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .map_err(error)?
            .take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(error)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(LibertyError::TooLarge {
                path: path.to_owned(),
            });
        }
        // Comments may be in any encoding; names and functions are ASCII.
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`LibertyError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, LibertyError> {
        parse::library(text)
    }

    /// The cell of this name.
    pub fn cell(&self, name: &str) -> Option<&LibraryCell> {
        self.cells.get(name)
    }

    /// The smallest inverter's name.
    pub fn inverter(&self) -> Option<&str> {
        self.smallest(|cell| cell.truth_table(1) == Some(0b01))
    }

    /// Checks that every design can be mapped: a D flip-flop, an inverter, and a gate of two inputs that makes every
    /// function with it.
    ///
    /// # Errors
    /// [`LibertyError::Missing`].
    pub fn check(&self) -> Result<(), LibertyError> {
        let gate = |cell: &LibraryCell| {
            // AND, NAND, OR, NOR, and those with one input inverted: an odd number of ones.
            matches!(cell.truth_table(2), Some(table) if table.count_ones() % 2 == 1)
        };
        let mut missing = Vec::new();
        for (there, what) in [
            (
                self.cells.values().any(LibraryCell::is_plain_flip_flop),
                "a D flip-flop (a cell whose `ff` group has one pin as `next_state` and one as `clocked_on`)",
            ),
            (
                self.inverter().is_some(),
                "an inverter (function `!A` of one input)",
            ),
            (
                self.smallest(gate).is_some(),
                "a gate of two inputs (AND, NAND, OR or NOR)",
            ),
        ] {
            if !there {
                missing.push(what);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(LibertyError::Missing {
            library: self.name.clone(),
            cells: self.cells.len(),
            missing,
        })
    }

    fn smallest(&self, is: impl Fn(&LibraryCell) -> bool) -> Option<&str> {
        let area = |cell: &LibraryCell| cell.area.unwrap_or(f64::INFINITY);
        self.cells
            .iter()
            .filter(|(_, cell)| is(cell))
            .min_by(|(_, a), (_, b)| area(a).total_cmp(&area(b)))
            .map(|(name, _)| name.as_str())
    }
}

impl LibraryCell {
    /// The truth table of a gate of one output and this many inputs (at most 6): bit i is its value where the inputs,
    /// the first one least significant, are the number i. None for any other cell.
    pub fn truth_table(&self, inputs: usize) -> Option<u64> {
        let [(_, Some(function))] = self.outputs.as_slice() else {
            return None;
        };
        if self.flip_flop.is_some() || self.latch || self.inputs.len() != inputs {
            return None;
        }
        function::truth_table(function, &self.inputs)
    }

    /// The truth tables of every output, of a cell without memory; none for other cells.
    pub fn truth_tables(&self) -> Option<Vec<u64>> {
        if self.flip_flop.is_some() || self.latch {
            return None;
        }
        let table = |(_, function): &(String, Option<String>)| {
            function::truth_table(function.as_deref()?, &self.inputs)
        };
        self.outputs.iter().map(table).collect()
    }

    /// The input that clocks it, and whether its rising edge does; none of a cell without an `ff` group, or one that
    /// several pins clock.
    pub fn clock(&self) -> Option<(&str, bool)> {
        let clocked_on = &self.flip_flop.as_ref()?.clocked_on;
        self.inputs.iter().find_map(|pin| {
            match function::truth_table(clocked_on, std::slice::from_ref(pin))? {
                0b10 => Some((pin.as_str(), true)),
                0b01 => Some((pin.as_str(), false)),
                _ => None,
            }
        })
    }

    /// Whether it takes one input, or its inverse, at one edge of one input.
    pub fn is_plain_flip_flop(&self) -> bool {
        let pin = |expression: &str| {
            let name: String = expression
                .chars()
                .filter(|c| !matches!(c, '(' | ')' | '!' | '\'' | ' ' | '\t'))
                .collect();
            self.inputs.contains(&name)
        };
        self.flip_flop
            .as_ref()
            .is_some_and(|ff| pin(&ff.next_state) && pin(&ff.clocked_on))
    }
}

#[cfg(test)]
mod tests;
