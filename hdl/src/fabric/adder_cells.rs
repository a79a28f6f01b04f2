//! Names of a standard-cell library's adders.

use super::netlist::{Cell, Netlist};
use crate::emit::{PREFIX, names};

/// What instances of adder cells are called, before a number.
const INSTANCE: &str = "u_adder_";

/// Why a cell cannot be used as an adder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdderCellError {
    /// A name that cannot stand in the Verilog as it is.
    #[error(
        "{what} `{name}` of adder cell `{cell}` is no Verilog identifier of letters, digits, `_` and `$`, or a reserved word, or begins with `{PREFIX}`; leave the cell out"
    )]
    Name {
        /// The cell.
        cell: String,
        /// `name` or `pin`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two pins of one name.
    #[error("adder cell `{cell}` has two pins `{pin}`; leave the cell out")]
    Twice {
        /// The cell.
        cell: String,
        /// The pin.
        pin: String,
    },
    /// Too few or too many inputs.
    #[error("adder cell `{cell}` has {inputs} inputs; a full adder has 3 and a half adder 2")]
    Inputs {
        /// The cell.
        cell: String,
        /// How many.
        inputs: usize,
    },
}

/// A full or half adder of a library: its name and its pins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdderCell {
    name: String,
    inputs: Vec<String>,
    sum: String,
    carry: String,
}

impl AdderCell {
    /// A cell whose output `sum` is the parity and whose output `carry` is the carry of its inputs.
    ///
    /// # Errors
    /// [`AdderCellError`]; names come from outside and go into Verilog.
    pub fn new(
        name: &str,
        inputs: &[String],
        sum: &str,
        carry: &str,
    ) -> Result<Self, AdderCellError> {
        if !(2..=3).contains(&inputs.len()) {
            return Err(AdderCellError::Inputs {
                cell: name.to_owned(),
                inputs: inputs.len(),
            });
        }
        let pins: Vec<&str> = inputs
            .iter()
            .map(String::as_str)
            .chain([sum, carry])
            .collect();
        let names = std::iter::once(("name", name)).chain(pins.iter().map(|pin| ("pin", *pin)));
        for (what, text) in names {
            if !is_plain(text) {
                return Err(AdderCellError::Name {
                    cell: name.to_owned(),
                    what,
                    name: text.to_owned(),
                });
            }
        }
        let twice = |(at, pin): (usize, &&str)| pins[..at].contains(pin);
        if let Some(at) = pins.iter().enumerate().position(twice) {
            return Err(AdderCellError::Twice {
                cell: name.to_owned(),
                pin: pins[at].to_owned(),
            });
        }
        Ok(AdderCell {
            name: name.to_owned(),
            inputs: inputs.to_vec(),
            sum: sum.to_owned(),
            carry: carry.to_owned(),
        })
    }

    /// The cell's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A model for simulators and proofs: file name and Verilog.
    pub fn model(&self) -> (String, String) {
        let Self {
            name,
            inputs,
            sum,
            carry,
        } = self;
        let ports: Vec<String> = inputs
            .iter()
            .map(|pin| format!("input wire {pin}"))
            .collect();
        let carry_of = match inputs.as_slice() {
            [a, b, c] => format!("({a} & {b}) | ({c} & ({a} | {b}))"),
            _ => inputs.join(" & "),
        };
        let text = format!(
            "// Simulation model of the library's adder cell {name}; not for synthesis.\nmodule {name} (\n    {},\n    output wire {sum},\n    output wire {carry}\n);\n    assign {sum} = {};\n    assign {carry} = {carry_of};\nendmodule\n",
            ports.join(",\n    "),
            inputs.join(" ^ "),
        );
        (format!("{name}.v"), text)
    }

    /// An instance of it.
    pub(super) fn instance(
        &self,
        number: u32,
        inputs: &[String],
        sum: &str,
        carry: &str,
    ) -> String {
        let pins: Vec<String> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|(pin, net)| format!(".{pin}({net})"))
            .chain([
                format!(".{}({sum})", self.sum),
                format!(".{}({carry})", self.carry),
            ])
            .collect();
        format!("{} {INSTANCE}{number} ({});", self.name, pins.join(", "))
    }

    /// The cell of a line that [`AdderCell::instance`] wrote; none of any other line. Its pins stand there in the order
    /// of [`AdderCell::new`].
    fn of_line(line: &str) -> Option<Self> {
        let (name, rest) = line.trim().split_once(' ')?;
        let (number, pins) = rest.strip_prefix(INSTANCE)?.split_once(" (")?;
        number.parse::<u32>().ok()?;
        let pin = |text: &str| Some(text.strip_prefix('.')?.split_once('(')?.0.to_owned());
        let pins: Vec<String> = pins.split(", ").map(pin).collect::<Option<_>>()?;
        let [inputs @ .., sum, carry] = pins.as_slice() else {
            return None;
        };
        Self::new(name, inputs, sum, carry).ok()
    }

    /// The cells that a module's text instantiates, each once.
    pub(super) fn in_text(text: &str) -> Vec<Self> {
        let mut cells: Vec<Self> = Vec::new();
        for cell in text.lines().filter_map(Self::of_line) {
            if cells.iter().all(|other| other.name != cell.name) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// The adders of a library. What it lacks is printed as expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AdderCells {
    /// The full adder.
    pub full: Option<AdderCell>,
    /// The half adder.
    pub half: Option<AdderCell>,
}

impl AdderCells {
    /// Whether there is neither.
    pub fn is_empty(&self) -> bool {
        self.full.is_none() && self.half.is_none()
    }

    /// Those that a netlist would print.
    pub(crate) fn used_by(&self, netlist: &Netlist) -> Self {
        let any = |is: fn(&Cell) -> bool| netlist.cells().any(is);
        let full = any(|cell| matches!(cell, Cell::FullAdder { .. }));
        let half = any(|cell| matches!(cell, Cell::HalfAdder { .. }));
        AdderCells {
            full: self.full.clone().filter(|_| full),
            half: self.half.clone().filter(|_| half),
        }
    }
}

/// Whether a name can stand in the Verilog as it is, and is that of no module of this program.
fn is_plain(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
        && !names::is_reserved(text)
        && !text.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(
        name: &str,
        inputs: &[&str],
        sum: &str,
        carry: &str,
    ) -> Result<AdderCell, AdderCellError> {
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        AdderCell::new(name, &inputs, sum, carry)
    }

    #[test]
    fn names_that_the_verilog_cannot_have() {
        for (name, pins, what) in [
            ("F A", ["A", "B"], "name `F A`"),
            ("assign", ["A", "B"], "name `assign`"),
            ("xnf_array", ["A", "B"], "name `xnf_array`"),
            ("HA", ["1", "B"], "pin `1`"),
            ("HA", ["A", "wire"], "pin `wire`"),
            ("HA", ["A", "A"], "two pins `A`"),
            ("HA", ["A", "S"], "two pins `S`"),
        ] {
            let error = cell(name, &pins, "S", "CO").unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(cell("B", &["A"], "S", "CO").is_err());
    }

    #[test]
    fn cells_are_found_where_they_are_instantiated() {
        let full = cell("FA", &["A", "B", "CI"], "S", "CO").unwrap();
        let half = cell("HA", &["A", "B"], "S", "CO").unwrap();
        let nets = ["x[0]", "1'b0", "y[12]"].map(str::to_owned);
        let text = format!(
            "module unit;\n    {}\n    {}\n    {}\n    unit u_adder_x (.A(a));\nendmodule\n",
            full.instance(3, &nets, "s[0]", "c[0]"),
            half.instance(4, &nets[..2], "s[1]", "c[1]"),
            full.instance(5, &nets, "s[2]", "c[2]"),
        );
        assert_eq!(AdderCell::in_text(&text), [full, half]);
    }
}
