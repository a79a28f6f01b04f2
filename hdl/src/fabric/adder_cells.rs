//! Names of a standard-cell library's adders.

/// Why a cell cannot be used as an adder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdderCellError {
    /// A name that Verilog would have to escape.
    #[error(
        "{what} `{name}` of adder cell `{cell}` is not a Verilog identifier of letters, digits, `_` and `$`; leave the cell out"
    )]
    Name {
        /// The cell.
        cell: String,
        /// `name` or `pin`.
        what: &'static str,
        /// The name.
        name: String,
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
        let pins = inputs.iter().map(String::as_str).chain([sum, carry]);
        let names = std::iter::once(("name", name)).chain(pins.map(|pin| ("pin", pin)));
        for (what, text) in names {
            if !is_identifier(text) {
                return Err(AdderCellError::Name {
                    cell: name.to_owned(),
                    what,
                    name: text.to_owned(),
                });
            }
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
        format!("{} u_adder_{number} ({});", self.name, pins.join(", "))
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

fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}
