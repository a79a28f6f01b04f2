//! Where the expressions of a module are: of assignments, conditions and connections.

use crate::tokens::{Kind, Token, tokens};
use std::collections::HashMap;
use std::ops::Range;

/// A port of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Whether it is an input.
    pub is_input: bool,
    /// Its width in bits.
    pub width: u32,
}

/// The ports of modules, by module and name.
pub type Ports = HashMap<String, HashMap<String, Port>>;

/// What an expression is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The value of an assignment.
    Value {
        /// Tokens of what is assigned.
        target: Range<usize>,
        /// Whether it is a register's (`<=`).
        is_register: bool,
    },
    /// The condition of an `if`.
    Condition,
    /// What an input of an instance is connected to.
    Input {
        /// The instance's number in the module.
        instance: usize,
        /// The port.
        port: String,
        /// Its width in bits.
        width: u32,
    },
    /// What an output of a look-up table is connected to.
    LutOutput {
        /// The instance's number in the module.
        instance: usize,
        /// The port.
        port: String,
    },
}

/// An expression of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is for.
    pub role: Role,
    /// Its tokens.
    pub tokens: Range<usize>,
    /// First token of the statement that it belongs to.
    pub statement: usize,
}

/// A module that was read.
#[derive(Debug)]
pub struct Module<'t> {
    /// Its text.
    pub text: &'t str,
    /// Its name.
    pub name: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// Byte behind the port list.
    pub body: usize,
    /// Widths of its nets; of memories, of a word.
    pub widths: HashMap<String, u32>,
    /// Its expressions.
    pub slots: Vec<Slot>,
}

impl Module<'_> {
    /// A token's text.
    pub fn word(&self, token: usize) -> &str {
        self.tokens
            .get(token)
            .map_or("", |t| &self.text[t.start..t.end])
    }

    /// Tokens of the parameters of the instance that begins with a token; if it has none, an empty range at its name.
    pub fn parameters(&self, instance: usize) -> Range<usize> {
        let start = instance + 1;
        if self.word(start) != "#" {
            return start..start;
        }
        // No parameter is an expression with brackets of its own: the list ends with the second `)` in a row.
        let ends = |t: &usize| (self.word(t - 1), self.word(*t)) == (")", ")");
        let end = (start + 2..self.tokens.len()).find(ends);
        start + 2..end.unwrap_or(self.tokens.len())
    }

    /// The name of the instance that begins with a token.
    pub fn instance_name(&self, instance: usize) -> &str {
        let parameters = self.parameters(instance);
        self.word(parameters.end + usize::from(!parameters.is_empty()))
    }

    /// The text of some tokens, with all that stands between them.
    pub fn span(&self, tokens: &Range<usize>) -> &str {
        match tokens.is_empty() {
            true => "",
            false => &self.text[self.tokens[tokens.start].start..self.tokens[tokens.end - 1].end],
        }
    }
}

/// The ports of the first module in a text.
pub fn ports(text: &str) -> Option<(String, HashMap<String, Port>)> {
    let reader = Reader::new(text);
    let (name, ports, _) = reader.header()?;
    Some((name, ports))
}

/// Reads the first module of a text, or says which token it does not know.
///
/// # Errors
/// A text that is not of the form which this project emits.
pub fn read<'t>(text: &'t str, ports: &Ports) -> Result<Module<'t>, String> {
    let mut reader = Reader::new(text);
    let (name, own, body) = reader.header().ok_or("no module with a list of ports")?;
    reader.widths = own.iter().map(|(n, p)| (n.clone(), p.width)).collect();
    reader.at = body;
    reader.body(ports)?;
    let body = reader.tokens[body - 1].end;
    Ok(Module {
        text,
        name,
        body,
        tokens: reader.tokens,
        widths: reader.widths,
        slots: reader.slots,
    })
}

struct Reader<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    widths: HashMap<String, u32>,
    slots: Vec<Slot>,
    instances: usize,
    /// Inside an `always` block; elsewhere an `if` is of the generator's.
    in_always: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Reader {
            text,
            tokens: tokens(text),
            at: 0,
            widths: HashMap::new(),
            slots: Vec::new(),
            instances: 0,
            in_always: false,
        }
    }

    fn word(&self, token: usize) -> &'t str {
        self.tokens
            .get(token)
            .map_or("", |t| &self.text[t.start..t.end])
    }

    fn is_name(&self, token: usize) -> bool {
        self.tokens.get(token).is_some_and(|t| t.kind == Kind::Word)
    }

    /// The token that closes the bracket which token `open` opens.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for token in open..self.tokens.len() {
            match self.word(token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return token;
            }
        }
        self.tokens.len()
    }

    /// The first of some tokens from `from` on that is outside brackets.
    fn find(&self, from: usize, words: &[&str]) -> usize {
        let mut token = from;
        while token < self.tokens.len() && !words.contains(&self.word(token)) {
            token = match self.word(token) {
                "(" | "[" | "{" => self.closing(token) + 1,
                _ => token + 1,
            };
        }
        token
    }

    /// The width of a range `[high:low]` at a token, and the token behind it; 1 without a range.
    fn range(&self, at: usize) -> (u32, usize) {
        if self.word(at) != "[" {
            return (1, at);
        }
        let number = |token| self.word(token).parse::<u32>();
        let width = match (number(at + 1), number(at + 3)) {
            (Ok(high), Ok(low)) => high.abs_diff(low) + 1,
            _ => 1,
        };
        (width, self.closing(at) + 1)
    }

    /// The module's name, its ports, and the token behind its list of ports.
    fn header(&self) -> Option<(String, HashMap<String, Port>, usize)> {
        let start = (0..self.tokens.len()).find(|t| self.word(*t) == "module")?;
        let name = self.word(start + 1).to_owned();
        let mut open = start + 2;
        if self.word(open) == "#" {
            open = self.closing(open + 1) + 1;
        }
        let end = self.closing(open);
        let mut ports = HashMap::new();
        let mut at = open + 1;
        while at < end {
            let is_input = self.word(at) == "input";
            let mut width_at = at + 1;
            while ["wire", "reg", "signed"].contains(&self.word(width_at)) {
                width_at += 1;
            }
            let (width, mut name_at) = self.range(width_at);
            // Models of primitives list several names behind one direction.
            while name_at < end && self.is_name(name_at) {
                ports.insert(self.word(name_at).to_owned(), Port { is_input, width });
                name_at += 1;
                if self.word(name_at) == ","
                    && !["input", "output"].contains(&self.word(name_at + 1))
                {
                    name_at += 1;
                }
            }
            at = name_at.max(at) + 1;
        }
        Some((name, ports, end + 2))
    }

    fn slot(&mut self, role: Role, tokens: Range<usize>, statement: usize) {
        self.slots.push(Slot {
            role,
            tokens,
            statement,
        });
    }

    fn body(&mut self, ports: &Ports) -> Result<(), String> {
        while self.at < self.tokens.len() {
            let (at, word) = (self.at, self.word(self.at));
            self.at = match word {
                "endmodule" => return Ok(()),
                ";" | "end" | "else" | "generate" | "endgenerate" | "endcase" => at + 1,
                "begin" if self.word(at + 1) == ":" => at + 3,
                "begin" => at + 1,
                "wire" | "reg" | "genvar" | "integer" => self.declaration(),
                "assign" => {
                    self.in_always = false;
                    self.assignment(at, at + 1)
                }
                "always" => {
                    self.in_always = true;
                    match self.word(at + 2) {
                        "(" => self.closing(at + 2) + 1,
                        _ => at + 3,
                    }
                }
                "if" => self.condition(),
                "for" => self.closing(at + 1) + 1,
                "case" => self.closing(at + 1) + 1,
                "initial" | "localparam" | "parameter" => self.find(at, &[";"]) + 1,
                "default" => at + 2,
                "{" => self.assignment(at, at),
                _ if self.tokens[at].kind == Kind::Number => self.find(at, &[":"]) + 1,
                _ if !self.is_name(at) => return Err(format!("`{word}` begins no statement")),
                _ if self.is_name(at + 1) || self.word(at + 1) == "#" => self.instance(ports),
                _ => self.assignment(at, at),
            };
        }
        Err("no endmodule".into())
    }

    fn declaration(&mut self) -> usize {
        self.in_always = false;
        let start = self.at;
        let mut at = start + 1;
        if self.word(at) == "signed" {
            at += 1;
        }
        let (width, mut at) = self.range(at);
        let name = self.word(at).to_owned();
        let end = self.find(at, &[";"]);
        while at < end {
            if self.is_name(at) {
                self.widths.insert(self.word(at).to_owned(), width);
            }
            if self.word(at + 1) == "=" {
                if !name.starts_with("unused") {
                    let role = Role::Value {
                        target: at..at + 1,
                        is_register: false,
                    };
                    self.slot(role, at + 2..end, start);
                }
                break;
            }
            at = self.find(at, &[",", ";"]) + 1;
        }
        end + 1
    }

    /// An assignment whose target begins at a token.
    fn assignment(&mut self, statement: usize, target: usize) -> usize {
        let sign = self.find(target, &["=", "<="]);
        let end = self.find(sign, &[";"]);
        let role = Role::Value {
            target: target..sign,
            is_register: self.word(sign) == "<=",
        };
        self.slot(role, sign + 1..end, statement);
        end + 1
    }

    fn condition(&mut self) -> usize {
        let end = self.closing(self.at + 1);
        if self.in_always {
            self.slot(Role::Condition, self.at + 2..end, self.at);
        }
        end + 1
    }

    fn instance(&mut self, ports: &Ports) -> usize {
        self.in_always = false;
        let (start, kind) = (self.at, self.word(self.at));
        let mut at = start + 1;
        if self.word(at) == "#" {
            at = self.closing(at + 1) + 1;
        }
        let open = at + 1;
        let end = self.closing(open);
        let known = ports.get(kind);
        at = open + 1;
        while at < end {
            let (name, from) = (self.word(at + 1), at + 2);
            let to = self.closing(from);
            let port = known.and_then(|ports| ports.get(name)).copied();
            let tokens = from + 1..to;
            match port {
                Some(port) if port.is_input && name != "clock" => {
                    let role = Role::Input {
                        instance: self.instances,
                        port: name.to_owned(),
                        width: port.width,
                    };
                    self.slot(role, tokens, start);
                }
                Some(port) if !port.is_input && kind.contains("LUT") && !tokens.is_empty() => {
                    let role = Role::LutOutput {
                        instance: self.instances,
                        port: name.to_owned(),
                    };
                    self.slot(role, tokens, start);
                }
                _ => {}
            }
            at = self.find(to, &[","]).min(end) + 1;
        }
        self.instances += 1;
        end + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "module top (\n    input  wire           clock,\n    input  wire [3:0]     a,\n    output reg  [3:0]     q\n);\n    reg [1:0] memory [0:7];\n    wire [3:0] next = a + 4'd1;\n    wire unused = &{1'b0, a};\n    genvar i;\n    generate\n        for (i = 0; i < 2; i = i + 1) begin : g_i\n            child u (.clock(clock), .in(a[i]), .out(next[i]));\n        end\n    endgenerate\n    always @(posedge clock) begin\n        if (a[0] & a[1]) begin\n            q <= next;\n            memory[a[2:0]][1:0] <= a[1:0];\n        end else begin\n            q <= 4'd0;\n        end\n    end\nendmodule\n";

    fn all() -> Ports {
        let child = "module child(input clock, input in, output out); endmodule";
        HashMap::from([ports(child).unwrap(), ports(TEXT).unwrap()])
    }

    #[test]
    fn ports_are_read() {
        let all = all();
        let width = |port: &str| all["top"][port].width;
        assert_eq!((width("clock"), width("a"), width("q")), (1, 4, 4));
        assert!(all["child"]["in"].is_input && !all["child"]["out"].is_input);
        let lut = "module L #(parameter [1:0] I = 0) (input A, B, output Z);";
        let (_, lut) = ports(lut).unwrap();
        assert!(lut["A"].is_input && lut["B"].is_input && !lut["Z"].is_input);
    }

    #[test]
    fn every_expression_is_found_once() {
        let module = read(TEXT, &all()).unwrap();
        let slots: Vec<&str> = module
            .slots
            .iter()
            .map(|s| module.span(&s.tokens))
            .collect();
        assert_eq!(
            slots,
            ["a + 4'd1", "a[i]", "a[0] & a[1]", "next", "a[1:0]", "4'd0"]
        );
        assert_eq!(module.widths["memory"], 2);
    }

    #[test]
    fn instances_have_names_behind_their_parameters() {
        let text = "module m (input a); child u_1 (.in(a)); child #(.N(2), .T(\"x\")) u_2 (.in(a)); endmodule";
        let module = read(text, &all()).unwrap();
        let names: Vec<&str> = module
            .slots
            .iter()
            .map(|slot| module.instance_name(slot.statement))
            .collect();
        assert_eq!(names, ["u_1", "u_2"]);
    }

    #[test]
    fn unknown_text_is_refused() {
        let text = "module m (input a); +; endmodule";
        assert_eq!(
            read(text, &Ports::new()).unwrap_err(),
            "`+` begins no statement"
        );
    }
}
