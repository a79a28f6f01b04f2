//! Prints a netlist as the body of a Verilog module.

use super::adder_cells::AdderCell;
use super::netlist::{Bit, Cell, Item, Netlist, Vector};
use std::fmt::Write as _;

/// Whose primitives stand in the Verilog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Xilinx 7 series: LUT6_2, CARRY4.
    SevenSeries,
    /// Xilinx UltraScale and UltraScale+: LUT6_2, CARRY8.
    UltraScale,
    /// Lattice ECP5: LUT4, CCU2C.
    Ecp5,
    /// Lattice iCE40: SB_LUT4, SB_CARRY.
    Ice40,
    /// Expressions that any tool maps.
    Generic,
}

impl Netlist {
    /// The body of a module whose ports are the netlist's and a clock called `clock`: declarations, cells, registers and
    /// assignments of the outputs. Each line is indented by four spaces.
    pub fn verilog_body(&self, dialect: Dialect) -> String {
        let mut printer = Printer {
            netlist: self,
            dialect,
            text: String::new(),
            instances: 0,
        };
        printer.declarations();
        for item in &self.items {
            printer.item(item);
        }
        for port in &self.outputs {
            let bits = printer.concatenation(&port.bits);
            let _ = writeln!(printer.text, "    assign {} = {bits};", port.name);
        }
        printer.text
    }
}

struct Printer<'a> {
    netlist: &'a Netlist,
    dialect: Dialect,
    text: String,
    instances: u32,
}

impl Printer<'_> {
    fn declarations(&mut self) {
        let registers: std::collections::HashSet<Bit> = self
            .netlist
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Register { q, .. } => Some(q),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        // The bits of a vector may depend on each other, without a loop; only an expression lets Verilator see that.
        let generic = self.dialect == Dialect::Generic;
        if generic {
            self.text.push_str("    // verilator lint_off UNOPTFLAT\n");
        }
        // Behind instances Verilator 5.006 leaves bits of such a vector unsettled, unless it is split; 5.048 does not.
        let cells = &self.netlist.adder_cells;
        let is_split = generic && (cells.full.is_some() || cells.half.is_some());
        for Vector { name, first, width } in &self.netlist.vectors {
            if self.netlist.inputs.iter().any(|port| port.name == *name) {
                continue;
            }
            let kind = if registers.contains(&Bit(*first)) {
                "reg"
            } else {
                "wire"
            };
            let split = match is_split && kind == "wire" && *width > 1 {
                true => " /* verilator split_var */",
                false => "",
            };
            let _ = writeln!(self.text, "    {kind} [{}:0] {name}{split};", width - 1);
            // Segments of a chain follow each other without a barrier where no sum overflows. That holds for all that a
            // pipeline computes, but not for any state: registers begin at 0, as the device's do.
            if kind == "reg" && matches!(self.dialect, Dialect::SevenSeries | Dialect::UltraScale) {
                let _ = writeln!(self.text, "    initial {name} = {width}'d0;");
            }
        }
        if generic {
            self.text.push_str("    // verilator lint_on UNOPTFLAT\n");
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Comment(text) => {
                let _ = writeln!(self.text, "\n    // {text}");
            }
            Item::Cell(cell) => self.cell(cell),
            Item::Register {
                d,
                q,
                enable,
                reset,
            } => self.register(d, q, *enable, *reset),
        }
    }

    fn register(&mut self, d: &[Bit], q: &[Bit], enable: Bit, reset: Bit) {
        let (to, from) = (self.concatenation(q), self.concatenation(d));
        let mut conditions = String::new();
        if reset != Bit::ZERO {
            let _ = write!(
                conditions,
                "if ({}) {to} <= {}'d0; else ",
                self.name(reset),
                q.len()
            );
        }
        if enable != Bit::ONE {
            let _ = write!(conditions, "if ({}) ", self.name(enable));
        }
        let _ = writeln!(
            self.text,
            "    always @(posedge clock) {conditions}{to} <= {from};"
        );
    }

    fn cell(&mut self, cell: &Cell) {
        self.instances += 1;
        let number = self.instances;
        match cell {
            Cell::Lut {
                inputs,
                table,
                output,
            } => self.lut(number, inputs, *table, *output),
            Cell::DualLut {
                inputs,
                upper,
                lower,
                o6,
                o5,
            } => {
                if matches!(self.dialect, Dialect::SevenSeries | Dialect::UltraScale) {
                    let pad = 5 - inputs.len();
                    let init = widen((*upper).into(), inputs.len(), pad) << 32
                        | widen((*lower).into(), inputs.len(), pad);
                    let mut pins = self.pins("I", inputs, 5);
                    pins.extend([
                        ".I5(1'b1)".to_owned(),
                        format!(".O6({})", self.name(*o6)),
                        format!(".O5({})", self.name(*o5)),
                    ]);
                    self.instance("LUT6_2", &format!("64'h{init:016x}"), "lut", number, &pins);
                } else {
                    self.lut(number, inputs, (*upper).into(), *o6);
                    self.instances += 1;
                    self.lut(number + 1, inputs, (*lower).into(), *o5);
                }
            }
            Cell::Carry {
                carry_in,
                select,
                data,
                sum,
                carry,
            } => self.carry(number, *carry_in, select, data, sum, carry),
            Cell::Ccu2c { .. } => self.ccu2c(number, cell),
            Cell::SbCarry {
                addends,
                carry_in,
                carry_out,
            } => {
                let [a, b] = addends.map(|bit| self.name(bit));
                let (c, co) = (self.name(*carry_in), self.name(*carry_out));
                let _ = writeln!(
                    self.text,
                    "    SB_CARRY u_carry_{number} (.I0({a}), .I1({b}), .CI({c}), .CO({co}));"
                );
            }
            Cell::FullAdder { inputs, sum, carry } => {
                let cell = self.netlist.adder_cells.full.as_ref();
                if self.adder(number, cell, inputs, *sum, *carry) {
                    return;
                }
                let [a, b, c] = inputs.map(|bit| self.name(bit));
                let (s, co) = (self.name(*sum), self.name(*carry));
                let _ = writeln!(self.text, "    assign {s} = {a} ^ {b} ^ {c};");
                let _ = writeln!(
                    self.text,
                    "    assign {co} = ({a} & {b}) | ({c} & ({a} | {b}));"
                );
            }
            Cell::HalfAdder { inputs, sum, carry } => {
                let cell = self.netlist.adder_cells.half.as_ref();
                if self.adder(number, cell, inputs, *sum, *carry) {
                    return;
                }
                let [a, b] = inputs.map(|bit| self.name(bit));
                let (s, co) = (self.name(*sum), self.name(*carry));
                let _ = writeln!(self.text, "    assign {s} = {a} ^ {b};");
                let _ = writeln!(self.text, "    assign {co} = {a} & {b};");
            }
        }
    }

    /// A net's name; for none, that of a new one which nothing reads.
    fn net_or_unused(&mut self, bit: Option<Bit>, name: String) -> String {
        if let Some(bit) = bit {
            return self.name(bit);
        }
        let _ = writeln!(self.text, "    // verilator lint_off UNUSED");
        let _ = writeln!(self.text, "    wire {name};");
        let _ = writeln!(self.text, "    // verilator lint_on UNUSED");
        name
    }

    /// Prints an adder as the library's cell, if it has one.
    fn adder(
        &mut self,
        number: u32,
        cell: Option<&AdderCell>,
        inputs: &[Bit],
        sum: Bit,
        carry: Bit,
    ) -> bool {
        let Some(cell) = cell else {
            return false;
        };
        let nets: Vec<String> = inputs.iter().map(|bit| self.name(*bit)).collect();
        let instance = cell.instance(number, &nets, &self.name(sum), &self.name(carry));
        let _ = writeln!(self.text, "    {instance}");
        true
    }

    fn lut(&mut self, number: u32, inputs: &[Bit], table: u64, output: Bit) {
        let size = inputs.len();
        let (kind, first, width) = match self.dialect {
            Dialect::SevenSeries | Dialect::UltraScale => (format!("LUT{size}"), "I", size),
            Dialect::Ecp5 => ("LUT4".to_owned(), "", 4),
            Dialect::Ice40 => ("SB_LUT4".to_owned(), "I", 4),
            Dialect::Generic => {
                let (value, out) = (self.selection(table, inputs), self.name(output));
                let _ = writeln!(self.text, "    assign {out} = {value};");
                return;
            }
        };
        let bits = 1u32 << width;
        let init = widen(table, size, width - size);
        let digits = (bits as usize).div_ceil(4);
        let mut pins = if self.dialect == Dialect::Ecp5 {
            let all = inputs.iter().copied().chain(std::iter::repeat(Bit::ZERO));
            all.zip(["A", "B", "C", "D"])
                .map(|(bit, pin)| format!(".{pin}({})", self.name(bit)))
                .collect()
        } else {
            self.pins(first, inputs, width)
        };
        let (out_pin, parameter) = match self.dialect {
            Dialect::Ecp5 => ("Z", "INIT"),
            Dialect::Ice40 => ("O", "LUT_INIT"),
            _ => ("O", "INIT"),
        };
        pins.push(format!(".{out_pin}({})", self.name(output)));
        let _ = writeln!(
            self.text,
            "    {kind} #(.{parameter}({bits}'h{init:0digits$x})) u_lut_{number} ({});",
            pins.join(", ")
        );
    }

    /// A truth table as selections by one input after the other, the last one first: an unknown input that does not matter
    /// leaves a known value.
    fn selection(&self, table: u64, inputs: &[Bit]) -> String {
        let Some((last, rest)) = inputs.split_last() else {
            return format!("1'b{}", table & 1);
        };
        let half = 1u32 << rest.len();
        let mask = u64::MAX >> (64 - half);
        let (low, high) = (table & mask, table >> half & mask);
        let name = self.name(*last);
        match (low, high) {
            _ if low == high => self.selection(low, rest),
            _ if low == 0 && high == mask => name,
            _ if low == mask && high == 0 => format!("~{name}"),
            _ => format!(
                "({name} ? {} : {})",
                self.selection(high, rest),
                self.selection(low, rest)
            ),
        }
    }

    /// CARRY4s or CARRY8s of one chain. Positions past the end are tied to 0.
    fn carry(
        &mut self,
        number: u32,
        carry_in: Bit,
        select: &[Bit],
        data: &[Bit],
        sum: &[Option<Bit>],
        carry: &[Option<Bit>],
    ) {
        let (kind, size) = match self.dialect {
            Dialect::UltraScale => ("CARRY8", 8),
            _ => ("CARRY4", 4),
        };
        let count = select.len().div_ceil(size);
        let (o, co) = (format!("chain_{number}_o"), format!("chain_{number}_co"));
        let top = count * size - 1;
        let _ = writeln!(self.text, "    // verilator lint_off UNUSED");
        let _ = writeln!(
            self.text,
            "    wire [{top}:0] {o};\n    wire [{top}:0] {co};"
        );
        let _ = writeln!(self.text, "    // verilator lint_on UNUSED");
        for k in 0..count {
            let range = k * size..((k + 1) * size).min(select.len());
            let word = |bits: &[Bit]| {
                let pad = std::iter::repeat_n("1'b0".to_owned(), size - bits.len());
                let names: Vec<String> = pad
                    .chain(bits.iter().rev().map(|b| self.name(*b)))
                    .collect();
                names.join(", ")
            };
            let (s, d) = (word(&select[range.clone()]), word(&data[range]));
            let start = if k == 0 {
                let c = self.name(carry_in);
                match self.dialect {
                    Dialect::UltraScale => format!(".CI({c}), .CI_TOP(1'b0)"),
                    _ => format!(".CI(1'b0), .CYINIT({c})"),
                }
            } else {
                let c = format!("{co}[{}]", k * size - 1);
                match self.dialect {
                    Dialect::UltraScale => format!(".CI({c}), .CI_TOP(1'b0)"),
                    _ => format!(".CI({c}), .CYINIT(1'b0)"),
                }
            };
            let parameter = if self.dialect == Dialect::UltraScale {
                " #(.CARRY_TYPE(\"SINGLE_CY8\"))"
            } else {
                ""
            };
            let (high, low) = ((k + 1) * size - 1, k * size);
            let _ = writeln!(
                self.text,
                "    {kind}{parameter} u_carry_{number}_{k} ({start}, .S({{{s}}}), .DI({{{d}}}), .O({o}[{high}:{low}]), .CO({co}[{high}:{low}]));"
            );
        }
        for (from, bits) in [(&o, sum), (&co, carry)] {
            for (i, bit) in bits.iter().enumerate() {
                if let Some(bit) = bit {
                    let _ = writeln!(self.text, "    assign {} = {from}[{i}];", self.name(*bit));
                }
            }
        }
    }

    fn ccu2c(&mut self, number: u32, cell: &Cell) {
        let Cell::Ccu2c {
            carry_in,
            inputs,
            tables,
            sum,
            carry_out,
        } = cell
        else {
            return;
        };
        // Where D is 1 and the upper half of the table is 0, the sum is 0 and no carry passes: what comes in does not matter,
        // and a constant there would cost the router a position of its own.
        let ignored = carry_in.is_constant() && inputs[0][3] == Bit::ONE && tables[0] >> 8 == 0;
        let carry_in = if ignored {
            "1'bx".to_owned()
        } else {
            self.name(*carry_in)
        };
        let mut pins = vec![format!(".CIN({carry_in})")];
        for (i, bits) in inputs.iter().enumerate() {
            for (bit, pin) in bits.iter().zip(["A", "B", "C", "D"]) {
                pins.push(format!(".{pin}{i}({})", self.name(*bit)));
            }
            let unused = format!("unused_sum_{number}_{i}");
            let out = self.net_or_unused(sum[i], unused);
            pins.push(format!(".S{i}({out})"));
        }
        // nextpnr-ecp5 wants a net at every carry out.
        let out = self.net_or_unused(*carry_out, format!("unused_carry_{number}"));
        pins.push(format!(".COUT({out})"));
        let _ = writeln!(
            self.text,
            "    CCU2C #(.INIT0(16'h{:04x}), .INIT1(16'h{:04x}), .INJECT1_0(\"NO\"), .INJECT1_1(\"NO\")) u_carry_{number} ({});",
            tables[0],
            tables[1],
            pins.join(", ")
        );
    }

    fn instance(&mut self, kind: &str, init: &str, label: &str, number: u32, pins: &[String]) {
        let _ = writeln!(
            self.text,
            "    {kind} #(.INIT({init})) u_{label}_{number} ({});",
            pins.join(", ")
        );
    }

    /// `.I0(a), .I1(b), ...`; pins past the inputs are tied to 0.
    fn pins(&self, prefix: &str, inputs: &[Bit], count: usize) -> Vec<String> {
        (0..count)
            .map(|i| {
                let bit = inputs.get(i).copied().unwrap_or(Bit::ZERO);
                format!(".{prefix}{i}({})", self.name(bit))
            })
            .collect()
    }

    fn name(&self, bit: Bit) -> String {
        self.netlist.name(bit)
    }

    /// Bits side by side, most significant first; runs of one vector as a range.
    fn concatenation(&self, bits: &[Bit]) -> String {
        let mut parts = Vec::new();
        let mut rest = bits;
        while let Some(first) = rest.first() {
            let mut run = 1;
            while rest
                .get(run)
                .is_some_and(|b| self.netlist.follows(*first, *b, run))
            {
                run += 1;
            }
            parts.push(self.netlist.range(*first, run));
            rest = &rest[run..];
        }
        parts.reverse();
        match parts.len() {
            1 => parts.remove(0),
            _ => format!("{{{}}}", parts.join(", ")),
        }
    }
}

/// A truth table of `size` inputs that also takes `more` inputs and ignores them.
fn widen(table: u64, size: usize, more: usize) -> u64 {
    (0..more).fold(table, |table, i| table | table << (1u32 << (size + i)))
}
