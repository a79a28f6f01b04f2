//! The netlist: vectors of bits, cells and registers.

use super::adder_cells::AdderCells;
use std::collections::HashMap;

/// A net of one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bit(pub(super) u32);

impl Bit {
    /// Constant 0.
    pub const ZERO: Bit = Bit(0);
    /// Constant 1.
    pub const ONE: Bit = Bit(1);

    /// Whether it is [`Bit::ZERO`] or [`Bit::ONE`].
    pub fn is_constant(self) -> bool {
        self.0 < 2
    }

    /// Its place in tables that hold one entry for each net.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Truth table of a pair bit over the pins (a1, w1, a2, w2): `majority(xnor(a1, w1), xnor(a2, w2), a1 ^ a2)`.
pub const PAIR_TABLE: u16 = pair_table();

const fn pair_table() -> u16 {
    let (mut table, mut at) = (0, 0);
    while at < 16 {
        let (a1, w1, a2, w2) = (at & 1, at >> 1 & 1, at >> 2 & 1, at >> 3 & 1);
        let (x1, x2, o) = (1 ^ a1 ^ w1, 1 ^ a2 ^ w2, a1 ^ a2);
        if x1 + x2 + o >= 2 {
            table |= 1 << at;
        }
        at += 1;
    }
    table
}

/// A combinational cell. Truth tables are indexed by the inputs, input 0 in bit 0 of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A LUT of up to six inputs.
    Lut {
        /// Inputs; 1 to 6 (4 on fabrics of 4-input LUTs).
        inputs: Vec<Bit>,
        /// Truth table.
        table: u64,
        /// Output.
        output: Bit,
    },
    /// Both halves of a LUT6_2: two functions of the same up to five inputs.
    DualLut {
        /// Inputs; 1 to 5.
        inputs: Vec<Bit>,
        /// Truth table of `o6`.
        upper: u32,
        /// Truth table of `o5`.
        lower: u32,
        /// Output that may also drive a carry position's select.
        o6: Bit,
        /// Output that may also drive the same position's data.
        o5: Bit,
    },
    /// A chain of multiplexer carries (CARRY4, CARRY8): `sum = select ^ carry`, next carry `select ? carry : data`.
    Carry {
        /// Carry into position 0.
        carry_in: Bit,
        /// Selects, one for each position.
        select: Vec<Bit>,
        /// Data, one for each position.
        data: Vec<Bit>,
        /// Sums that are used.
        sum: Vec<Option<Bit>>,
        /// Carries out of positions that are used.
        carry: Vec<Option<Bit>>,
    },
    /// One CCU2C: two positions with a 4-input LUT each. `sum = lut ^ carry`, next carry `lut ? carry : lut2`, where lut2
    /// is the same table at C = D = 0.
    Ccu2c {
        /// Carry into position 0; a constant becomes an injected carry.
        carry_in: Bit,
        /// Inputs A, B, C, D of both positions.
        inputs: [[Bit; 4]; 2],
        /// Truth tables of both positions.
        tables: [u16; 2],
        /// Sums that are used.
        sum: [Option<Bit>; 2],
        /// The carry out, if it is used.
        carry_out: Option<Bit>,
    },
    /// One SB_CARRY: majority of its inputs.
    SbCarry {
        /// The two addends, which the LUT of the same logic cell has at I1 and I2.
        addends: [Bit; 2],
        /// Carry in, which that LUT has at I3.
        carry_in: Bit,
        /// Carry out.
        carry_out: Bit,
    },
    /// A full adder cell of a standard-cell library.
    FullAdder {
        /// Addends.
        inputs: [Bit; 3],
        /// Sum.
        sum: Bit,
        /// Carry.
        carry: Bit,
    },
    /// A half adder cell of a standard-cell library.
    HalfAdder {
        /// Addends.
        inputs: [Bit; 2],
        /// Sum.
        sum: Bit,
        /// Carry.
        carry: Bit,
    },
}

impl Cell {
    /// All inputs, constants among them.
    pub fn inputs(&self) -> Vec<Bit> {
        match self {
            Cell::Lut { inputs, .. } | Cell::DualLut { inputs, .. } => inputs.clone(),
            Cell::Carry {
                carry_in,
                select,
                data,
                ..
            } => std::iter::once(carry_in)
                .chain(select)
                .chain(data)
                .copied()
                .collect(),
            Cell::Ccu2c {
                carry_in, inputs, ..
            } => std::iter::once(carry_in)
                .chain(inputs.iter().flatten())
                .copied()
                .collect(),
            Cell::SbCarry {
                addends, carry_in, ..
            } => vec![addends[0], addends[1], *carry_in],
            Cell::FullAdder { inputs, .. } => inputs.to_vec(),
            Cell::HalfAdder { inputs, .. } => inputs.to_vec(),
        }
    }

    /// All outputs that are used.
    pub fn outputs(&self) -> Vec<Bit> {
        match self {
            Cell::Lut { output, .. } => vec![*output],
            Cell::DualLut { o6, o5, .. } => vec![*o6, *o5],
            Cell::Carry { sum, carry, .. } => sum.iter().chain(carry).flatten().copied().collect(),
            Cell::Ccu2c { sum, carry_out, .. } => {
                sum.iter().chain([carry_out]).flatten().copied().collect()
            }
            Cell::SbCarry { carry_out, .. } => vec![*carry_out],
            Cell::FullAdder { sum, carry, .. } | Cell::HalfAdder { sum, carry, .. } => {
                vec![*sum, *carry]
            }
        }
    }
}

/// One thing in a netlist, in the order in which it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A remark in front of what follows.
    Comment(String),
    /// A cell.
    Cell(Cell),
    /// Registers with a common enable and a common synchronous reset, which goes before the enable.
    Register {
        /// What they take.
        d: Vec<Bit>,
        /// What they hold.
        q: Vec<Bit>,
        /// They take `d` only with this; [`Bit::ONE`] for always.
        enable: Bit,
        /// They become 0 with this; [`Bit::ZERO`] for never.
        reset: Bit,
    },
}

/// A port: its name and its bits, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Bits.
    pub bits: Vec<Bit>,
}

/// What is wrong with a netlist: an error of the structure that built it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetlistError {
    /// A net with no driver or more than one.
    #[error("net `{name}` has {drivers} drivers")]
    Drivers {
        /// The net.
        name: String,
        /// How many.
        drivers: usize,
    },
    /// Combinational feedback.
    #[error("net `{name}` depends on itself without a register between")]
    Loop {
        /// A net of the loop.
        name: String,
    },
}

/// A vector of nets with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) first: u32,
    pub(super) width: u32,
}

/// A netlist of device primitives with one clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netlist {
    pub(super) vectors: Vec<Vector>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) items: Vec<Item>,
    pub(super) adder_cells: AdderCells,
    /// Names in use, and for each the last number that was appended to it.
    names: HashMap<String, u32>,
}

impl Netlist {
    /// An empty netlist.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many nets there are, the two constants included: the length of a table with one entry for each net.
    pub fn nets(&self) -> usize {
        self.vectors
            .last()
            .map_or(2, |v| (v.first + v.width) as usize)
    }

    /// `width` new nets called `name[0]`, `name[1]`, ... A name that is taken gets a number.
    pub fn wires(&mut self, name: &str, width: usize) -> Vec<Bit> {
        let first = self.nets() as u32;
        let unique = self.unique(name);
        if width > 0 {
            self.vectors.push(Vector {
                name: unique,
                first,
                width: width as u32,
            });
        }
        (first..first + width as u32).map(Bit).collect()
    }

    /// The name, or with a number the first that no vector and no output port has; taken from now on.
    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut number = self.names.get(name).copied().unwrap_or(0);
        while self.names.contains_key(&unique) {
            number += 1;
            unique = format!("{name}_{}", number + 1);
        }
        self.names.insert(name.to_owned(), number);
        self.names.entry(unique.clone()).or_insert(0);
        unique
    }

    /// One new net.
    pub fn wire(&mut self, name: &str) -> Bit {
        self.wires(name, 1)[0]
    }

    /// An input port.
    pub fn input(&mut self, name: &str, width: usize) -> Vec<Bit> {
        let bits = self.wires(name, width);
        self.inputs.push(Port {
            name: name.to_owned(),
            bits: bits.clone(),
        });
        bits
    }

    /// Keeps a name from the nets: that of something around the netlist.
    pub fn reserve(&mut self, name: &str) {
        self.unique(name);
    }

    /// An output port that shows `bits`. Nets of that name get a number.
    pub fn output(&mut self, name: &str, bits: &[Bit]) {
        self.outputs.push(Port {
            name: name.to_owned(),
            bits: bits.to_vec(),
        });
        let unique = self.unique(name);
        let is_input = self.inputs.iter().any(|port| port.name == name);
        let inner = self.vectors.iter_mut().find(|v| v.name == name);
        if let (Some(vector), false) = (inner, is_input) {
            vector.name = unique;
        }
    }

    /// A remark in the Verilog, in front of what follows.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.items.push(Item::Comment(text.into()));
    }

    /// Adds a cell.
    pub fn cell(&mut self, cell: Cell) {
        self.items.push(Item::Cell(cell));
    }

    /// A LUT; gives its output.
    pub fn lut(&mut self, name: &str, inputs: &[Bit], table: u64) -> Bit {
        let output = self.wire(name);
        self.cell(Cell::Lut {
            inputs: inputs.to_vec(),
            table,
            output,
        });
        output
    }

    /// Registers called `name`; gives what they hold.
    pub fn register(&mut self, name: &str, d: &[Bit], enable: Bit, reset: Bit) -> Vec<Bit> {
        let q = self.wires(name, d.len());
        self.register_onto(d, &q, enable, reset);
        q
    }

    /// Registers whose outputs exist already, for feedback.
    pub fn register_onto(&mut self, d: &[Bit], q: &[Bit], enable: Bit, reset: Bit) {
        self.items.push(Item::Register {
            d: d.to_vec(),
            q: q.to_vec(),
            enable,
            reset,
        });
    }

    /// Has full and half adders printed as instances of a library's cells.
    pub fn use_adder_cells(&mut self, cells: AdderCells) {
        self.adder_cells = cells;
    }

    /// The library's cells that full and half adders are printed as.
    pub fn adder_cells(&self) -> &AdderCells {
        &self.adder_cells
    }

    /// Everything in it, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Its cells.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.items.iter().filter_map(|item| match item {
            Item::Cell(cell) => Some(cell),
            _ => None,
        })
    }

    /// Input ports.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Output ports.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Flip-flops.
    pub fn flip_flops(&self) -> usize {
        self.items
            .iter()
            .map(|item| match item {
                Item::Register { q, .. } => q.len(),
                _ => 0,
            })
            .sum()
    }

    fn vector_of(&self, bit: Bit) -> &Vector {
        &self.vectors[self.vectors.partition_point(|v| v.first <= bit.0) - 1]
    }

    /// A net's name as Verilog writes it.
    pub fn name(&self, bit: Bit) -> String {
        if bit.is_constant() {
            return format!("1'b{}", bit.0);
        }
        let vector = self.vector_of(bit);
        format!("{}[{}]", vector.name, bit.0 - vector.first)
    }

    /// Whether `bit` stands `distance` above `first` in the same vector.
    pub(super) fn follows(&self, first: Bit, bit: Bit, distance: usize) -> bool {
        !first.is_constant()
            && bit.0 == first.0 + distance as u32
            && std::ptr::eq(self.vector_of(first), self.vector_of(bit))
    }

    /// `count` bits from `first` upwards as Verilog writes them.
    pub(super) fn range(&self, first: Bit, count: usize) -> String {
        if count == 1 {
            return self.name(first);
        }
        let vector = self.vector_of(first);
        let low = first.0 - vector.first;
        format!("{}[{}:{low}]", vector.name, low + count as u32 - 1)
    }
}
