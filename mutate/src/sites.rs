//! Every fault that a module's text can be given.

use crate::idle;
use crate::statements::{Module, Role, Slot};
use crate::tokens::{Kind, literal};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// An operator instead of another: `&` and `|`, `+` and `-`, `<` and `<=`, ..
    Operation,
    /// A `~` lost.
    Negation,
    /// A number one higher or lower: counters, limits, reset values, padding.
    OffByOne,
    /// The two values of a selection exchanged.
    Selection,
    /// A condition inverted, always true or always false: resets and enables lost.
    Condition,
    /// Bits one place higher or lower.
    Slice,
    /// Operands or neighbours of a concatenation exchanged.
    Swap,
    /// The highest or lowest bit of a value stuck.
    Stuck,
    /// A register that keeps its value: an update or a reset lost.
    Hold,
    /// An input of an instance at a constant, or with its neighbour's signal.
    Wiring,
    /// A bit of a look-up table.
    LutBit,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 11] = [
        Operator::Operation,
        Operator::Negation,
        Operator::OffByOne,
        Operator::Selection,
        Operator::Condition,
        Operator::Slice,
        Operator::Swap,
        Operator::Stuck,
        Operator::Hold,
        Operator::Wiring,
        Operator::LutBit,
    ];
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Operation => "operation",
            Operator::Negation => "negation",
            Operator::OffByOne => "off by one",
            Operator::Selection => "selection",
            Operator::Condition => "condition",
            Operator::Slice => "slice",
            Operator::Swap => "swap",
            Operator::Stuck => "stuck bit",
            Operator::Hold => "hold",
            Operator::Wiring => "wiring",
            Operator::LutBit => "LUT bit",
        })
    }
}

/// Which fault it is, in all modules of a unit: a fault of the generator's. Numbers do not count, since they follow from
/// the sizes; in netlists of primitives everything counts, and the unit is one module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The module without its sizes; a netlist's with them.
    pub unit: String,
    /// The expression and what it is for.
    pub expression: String,
    /// Which of equal expressions.
    pub occurrence: u32,
    /// The kind of fault.
    pub operator: Operator,
    /// Which of the faults of that kind.
    pub ordinal: u32,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The expression.
    Replace(String),
    /// A bit of a look-up table: its inputs, highest first, and their value.
    Flip {
        /// The inputs.
        inputs: Vec<String>,
        /// Their value.
        index: u32,
    },
}

/// A fault that can be put into a module.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub key: Key,
    /// The expression, as a number of [`Module::slots`].
    pub slot: usize,
    /// What becomes of it.
    pub change: Change,
}

/// A module's name without its sizes: `xnf_word_memory` of `xnf_word_memory_d64_w45`.
pub fn family(name: &str) -> &str {
    let is_size = |part: &str| {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_lowercase());
        part.len() == digits.len() + 1
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let mut name = name;
    while let Some((head, tail)) = name.rsplit_once('_') {
        if !is_size(tail) {
            break;
        }
        name = head;
    }
    name
}

/// Whether a module is a netlist of one size, of which no other module is a copy.
pub fn is_netlist(text: &str) -> bool {
    text.lines()
        .take_while(|line| !line.starts_with("module"))
        .any(|line| line.contains(": structure "))
}

/// All faults of a module.
pub fn sites(module: &Module<'_>) -> Vec<Site> {
    let netlist = is_netlist(module.text);
    let unit = match netlist {
        true => module.name.clone(),
        false => family(&module.name).to_owned(),
    };
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut all = Vec::new();
    for (number, slot) in module.slots.iter().enumerate() {
        let expression = description(module, slot, netlist);
        let occurrence = seen.entry(expression.clone()).or_default();
        let mut ordinals: HashMap<Operator, u32> = HashMap::new();
        for (operator, change) in changes(module, slot) {
            let ordinal = ordinals.entry(operator).or_default();
            // What changes nothing keeps its number: in a module of another size it may be a fault.
            all.extend(change.map(|change| Site {
                key: Key {
                    unit: unit.clone(),
                    expression: expression.clone(),
                    occurrence: *occurrence,
                    operator,
                    ordinal: *ordinal,
                },
                slot: number,
                change,
            }));
            *ordinal += 1;
        }
        *occurrence += 1;
    }
    all
}

/// The expression with what it is for; numbers only in netlists.
fn description(module: &Module<'_>, slot: &Slot, exact: bool) -> String {
    let text = |range: &Range<usize>| {
        let words = range.clone().map(|t| match module.tokens[t].kind {
            Kind::Number if !exact => "#",
            _ => module.word(t),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let value = text(&slot.tokens);
    match &slot.role {
        Role::Value {
            target,
            is_register: false,
        } => format!("{} = {value}", text(target)),
        Role::Value { target, .. } => format!("{} <= {value}", text(target)),
        Role::Condition => format!("if ({value})"),
        Role::Input { port, .. } | Role::LutOutput { port, .. } if exact => {
            format!("{} .{port}({value})", module.instance_name(slot.statement))
        }
        Role::Input { port, .. } | Role::LutOutput { port, .. } => format!(".{port}({value})"),
    }
}

/// All changes of an expression; none in the place of one that changes nothing by construction.
fn changes(module: &Module<'_>, slot: &Slot) -> Vec<(Operator, Option<Change>)> {
    if let Role::LutOutput { instance, port } = &slot.role {
        return lut_bits(module, *instance, port);
    }
    let edits = Edits { module, slot };
    let whole = module.span(&slot.tokens);
    let in_tokens = edits.of_tokens().into_iter();
    let mut found: Vec<(Operator, String, bool)> = in_tokens
        .map(|(operator, text)| (operator, text, false))
        .collect();
    match &slot.role {
        Role::Value {
            target,
            is_register,
        } => {
            if let Some(width) = target_width(module, target) {
                found.extend(stuck(whole, width).map(|(place, level, text)| {
                    let idle = idle::bit(whole, place) == Some(level);
                    (Operator::Stuck, text, idle)
                }));
            }
            if *is_register {
                found.push((Operator::Hold, module.span(target).to_owned(), false));
            }
        }
        Role::Condition => {
            for text in [format!("!({whole})"), "1'b0".into(), "1'b1".into()] {
                found.push((Operator::Condition, text, false));
            }
        }
        Role::Input {
            instance,
            port,
            width,
        } => {
            for (level, bit) in [(false, "1'b0"), (true, "1'b1")] {
                let text = format!("{{{width}{{{bit}}}}}");
                found.push((Operator::Wiring, text, idle::is_all(whole, level)));
            }
            let other = neighbour(module, *instance, port, *width, whole);
            found.extend(other.map(|text| (Operator::Wiring, text, false)));
            if idle::table_ignores(module, slot.statement, *instance, port) {
                found.iter_mut().for_each(|(.., idle)| *idle = true);
            }
        }
        Role::LutOutput { .. } => {}
    }
    found.retain(|(_, text, _)| text != whole);
    let changes = found.into_iter();
    changes
        .map(|(operator, text, idle)| (operator, (!idle).then_some(Change::Replace(text))))
        .collect()
}

/// The width of what is assigned: a net, or a part of one with constant bounds.
fn target_width(module: &Module<'_>, target: &Range<usize>) -> Option<u32> {
    let width = *module.widths.get(module.word(target.start))?;
    let number = |token: usize| module.word(token).parse::<u32>().ok();
    let last = target.end - 1;
    match target.len() {
        1 => Some(width),
        // A word of a memory, or a single bit.
        4 => Some(if module.word(target.start) == "memory" {
            width
        } else {
            1
        }),
        // Several ranges or a computed one: only the last matters.
        _ if module.word(last - 2) == "+:" => number(last - 1),
        _ if module.word(last - 2) == ":" => {
            Some(number(last - 3)?.abs_diff(number(last - 1)?) + 1)
        }
        _ => None,
    }
}

/// Highest and lowest bit at 0 and at 1: place, level, value.
fn stuck(value: &str, width: u32) -> impl Iterator<Item = (u32, bool, String)> {
    let rest = width - 1;
    let mask = move |place: u32, one: &str, others: &str| match (rest, place) {
        (0, _) => one.to_owned(),
        (_, 0) => format!("{{{{{rest}{{{others}}}}}, {one}}}"),
        _ => format!("{{{one}, {{{rest}{{{others}}}}}}}"),
    };
    let places = std::iter::once(rest).chain((rest > 0).then_some(0));
    places.flat_map(move |place| {
        let low = format!("({value}) & {}", mask(place, "1'b0", "1'b1"));
        let high = format!("({value}) | {}", mask(place, "1'b1", "1'b0"));
        [(place, false, low), (place, true, high)]
    })
}

/// What the next input of the same width is connected to.
fn neighbour(
    module: &Module<'_>,
    instance: usize,
    port: &str,
    width: u32,
    whole: &str,
) -> Option<String> {
    let mates: Vec<(&str, &str)> = module
        .slots
        .iter()
        .filter_map(|slot| match &slot.role {
            Role::Input {
                instance: i,
                port,
                width: w,
            } if *i == instance && *w == width => Some((port.as_str(), module.span(&slot.tokens))),
            _ => None,
        })
        .collect();
    let own = mates.iter().position(|(name, _)| *name == port)?;
    let mut others = mates[own + 1..].iter().chain(&mates[..own]);
    let (_, text) = others.find(|(_, text)| *text != whole)?;
    Some((*text).to_owned())
}

/// Every bit of a look-up table that its constant inputs let matter.
fn lut_bits(module: &Module<'_>, instance: usize, output: &str) -> Vec<(Operator, Option<Change>)> {
    let mut inputs: Vec<(&str, &str)> = module
        .slots
        .iter()
        .filter_map(|slot| match &slot.role {
            Role::Input {
                instance: i, port, ..
            } if *i == instance => Some((port.as_str(), module.span(&slot.tokens))),
            _ => None,
        })
        .collect();
    inputs.sort();
    // The last input of a pair of tables chooses between them, and is 1.
    if ["O5", "O6"].contains(&output) {
        inputs.truncate(5);
    }
    let inputs: Vec<String> = inputs
        .iter()
        .rev()
        .map(|(_, text)| (*text).to_owned())
        .collect();
    let reachable = |index: &u32| {
        let bits = inputs.iter().rev().enumerate();
        bits.into_iter().all(|(place, text)| match text.as_str() {
            "1'b0" => index >> place & 1 == 0,
            "1'b1" => index >> place & 1 == 1,
            _ => true,
        })
    };
    (0..1 << inputs.len())
        .filter(reachable)
        .map(|index| {
            let inputs = inputs.clone();
            (Operator::LutBit, Some(Change::Flip { inputs, index }))
        })
        .collect()
}

struct Edits<'m> {
    module: &'m Module<'m>,
    slot: &'m Slot,
}

impl Edits<'_> {
    fn word(&self, token: usize) -> &str {
        self.module.word(token)
    }

    /// The expression with some of its tokens replaced.
    fn with(&self, changes: &[(Range<usize>, &str)]) -> String {
        let mut parts = Vec::new();
        let mut at = self.slot.tokens.start;
        for (tokens, text) in changes {
            parts.push(self.module.span(&(at..tokens.start)));
            parts.push(text);
            at = tokens.end;
        }
        parts.push(self.module.span(&(at..self.slot.tokens.end)));
        parts.join(" ")
    }

    fn one(&self, token: usize, text: &str) -> String {
        self.with(&[(token..token + 1, text)])
    }

    /// Whether a value ends with a token, so that an operator behind it has two operands.
    fn ends_value(&self, token: usize) -> bool {
        self.slot.tokens.contains(&token)
            && (self.module.tokens[token].kind != Kind::Symbol
                || [")", "]", "}"].contains(&self.word(token)))
    }

    fn of_tokens(&self) -> Vec<(Operator, String)> {
        let mut found = Vec::new();
        for token in self.slot.tokens.clone() {
            let word = self.word(token);
            let binary = token > 0 && self.ends_value(token - 1);
            match self.module.tokens[token].kind {
                Kind::Number => found.extend(self.number(token)),
                Kind::Word => {}
                Kind::Symbol if word == "~" => {
                    found.push((Operator::Negation, self.one(token, "")));
                }
                Kind::Symbol if word == "[" && binary => found.extend(self.slice(token)),
                Kind::Symbol if word == "{" => found.extend(self.concatenation(token)),
                Kind::Symbol if word == "?" => found.push(self.selection(token)),
                Kind::Symbol => {
                    if let Some(other) = other_operator(word, binary) {
                        found.push((Operator::Operation, self.one(token, other)));
                    }
                    if binary && ["-", "<", ">", "<=", ">="].contains(&word) {
                        found.extend(self.exchanged(token));
                    }
                }
            }
        }
        found
    }

    /// A sized number one higher and one lower.
    fn number(&self, token: usize) -> Vec<(Operator, String)> {
        // Counts of replications and bounds of ranges are not sized.
        let Some((bits, base, value)) = literal(self.word(token)) else {
            return Vec::new();
        };
        let mask = u64::MAX >> (64 - bits);
        let mut values = vec![value.wrapping_add(1) & mask, value.wrapping_sub(1) & mask];
        values.dedup();
        let texts = values.into_iter().map(|value| match base {
            'h' => format!("{bits}'h{value:x}"),
            'b' => format!("{bits}'b{value:b}"),
            _ => format!("{bits}'d{value}"),
        });
        texts
            .map(|text| (Operator::OffByOne, self.one(token, &text)))
            .collect()
    }

    /// Bits `[high:low]` or `[bit]` of a net one place lower, else one place higher.
    fn slice(&self, open: usize) -> Option<(Operator, String)> {
        let number = |token: usize| self.word(token).parse::<u32>().ok();
        let width = *self.module.widths.get(self.word(open - 1))?;
        let high = number(open + 1)?;
        let (low, close) = match (self.word(open + 2), self.word(open + 4)) {
            ("]", _) => (high, open + 2),
            (":", "]") => (number(open + 3)?, open + 4),
            _ => return None,
        };
        let (high_to, low_to) = match low {
            1.. => (high - 1, low - 1),
            0 if high + 1 < width => (high + 1, low + 1),
            0 => return None,
        };
        let text = match high == low {
            true => format!("[{high_to}]"),
            false => format!("[{high_to}:{low_to}]"),
        };
        Some((Operator::Slice, self.with(&[(open..close + 1, &text)])))
    }

    /// The tokens that close a bracket, or end of the expression.
    fn skip(&self, open: usize) -> usize {
        let mut depth = 0;
        for token in open..self.slot.tokens.end {
            match self.word(token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return token;
            }
        }
        self.slot.tokens.end
    }

    /// The first two parts of a concatenation exchanged.
    fn concatenation(&self, open: usize) -> Option<(Operator, String)> {
        let end = self.skip(open);
        let mut commas = Vec::new();
        let mut token = open + 1;
        while token < end {
            match self.word(token) {
                "," => commas.push(token),
                "(" | "[" | "{" => token = self.skip(token),
                _ => {}
            }
            token += 1;
        }
        let first = *commas.first()?;
        let (a, b) = (
            open + 1..first,
            first + 1..commas.get(1).copied().unwrap_or(end),
        );
        let (a_text, b_text) = (self.module.span(&a), self.module.span(&b));
        if a_text == b_text {
            return None;
        }
        Some((Operator::Swap, self.with(&[(a, b_text), (b, a_text)])))
    }

    /// `condition ? a : b` with the condition inverted.
    fn selection(&self, mark: usize) -> (Operator, String) {
        let mut start = mark;
        let mut depth = 0;
        while start > self.slot.tokens.start {
            match self.word(start - 1) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => break,
                "(" | "[" | "{" => depth -= 1,
                "," | "?" | ":" if depth == 0 => break,
                _ => {}
            }
            start -= 1;
        }
        let condition = format!("!({})", self.module.span(&(start..mark)));
        (Operator::Selection, self.with(&[(start..mark, &condition)]))
    }

    /// The operands of an operator exchanged.
    fn exchanged(&self, sign: usize) -> Option<(Operator, String)> {
        let left = self.operand_before(sign)..sign;
        let right = sign + 1..self.operand_after(sign + 1);
        let (a, b) = (self.module.span(&left), self.module.span(&right));
        if a == b || a.is_empty() || b.is_empty() {
            return None;
        }
        Some((Operator::Swap, self.with(&[(left, b), (right, a)])))
    }

    /// The first token of the operand that ends before a token.
    fn operand_before(&self, end: usize) -> usize {
        let (mut at, mut depth) = (end, 0);
        while at > self.slot.tokens.start {
            let word = self.word(at - 1);
            match word {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => break,
                "(" | "[" | "{" => depth -= 1,
                _ if depth == 0 && at < end && !self.joins(at - 1, at) => break,
                _ => {}
            }
            at -= 1;
        }
        at
    }

    /// Whether two neighbouring tokens belong to one operand: a name and its range, a sign and its value.
    fn joins(&self, first: usize, second: usize) -> bool {
        self.word(second) == "["
            || (self.word(first) == "~" && !(first > 0 && self.ends_value(first - 1)))
    }

    /// The token behind the operand that begins with a token.
    fn operand_after(&self, start: usize) -> usize {
        let mut at = start;
        while ["~", "|", "&"].contains(&self.word(at)) {
            at += 1;
        }
        at = match self.word(at) {
            "(" | "{" => self.skip(at) + 1,
            _ => at + 1,
        };
        while at < self.slot.tokens.end && self.word(at) == "[" {
            at = self.skip(at) + 1;
        }
        at.min(self.slot.tokens.end)
    }
}

/// What is written by mistake for an operator.
fn other_operator(word: &str, binary: bool) -> Option<&'static str> {
    Some(match (word, binary) {
        ("&", _) => "|",
        ("|", _) => "&",
        ("^", true) => "|",
        ("+", true) => "-",
        ("-", true) => "+",
        ("*", true) => "+",
        ("==", _) => "!=",
        ("!=", _) => "==",
        ("<", _) => "<=",
        ("<=", _) => "<",
        (">", _) => ">=",
        (">=", _) => ">",
        (">>", _) => "<<",
        ("<<", _) => ">>",
        (">>>", _) => ">>",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statements::{Ports, ports, read};

    fn changes_of(statement: &str) -> Vec<String> {
        let text = format!(
            "module m (input clock, input [3:0] a, input [3:0] b, output [3:0] q);\nreg [3:0] r;\n{statement}\nendmodule\n"
        );
        let lut = ports("module LUT2 #(parameter I = 0) (input I0, input I1, output O);").unwrap();
        let module = read(&text, &Ports::from([lut])).unwrap();
        let texts = sites(&module).into_iter().map(|site| {
            let text = match site.change {
                Change::Replace(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
                Change::Flip { inputs, index } => format!("{{{}}} == {index}", inputs.join(", ")),
            };
            format!("{}: {text}", site.key.operator)
        });
        texts.collect()
    }

    #[test]
    fn values_change_in_every_way() {
        assert_eq!(
            changes_of("assign q = a[2:1] < b ? {a[0], 3'd7} : ~b;"),
            [
                "slice: a [1:0] < b ? {a[0], 3'd7} : ~b",
                "operation: a[2:1] <= b ? {a[0], 3'd7} : ~b",
                "swap: b < a[2:1] ? {a[0], 3'd7} : ~b",
                "selection: !(a[2:1] < b) ? {a[0], 3'd7} : ~b",
                "swap: a[2:1] < b ? { 3'd7 , a[0] } : ~b",
                "slice: a[2:1] < b ? {a [1] , 3'd7} : ~b",
                "off by one: a[2:1] < b ? {a[0], 3'd0 } : ~b",
                "off by one: a[2:1] < b ? {a[0], 3'd6 } : ~b",
                "negation: a[2:1] < b ? {a[0], 3'd7} : b",
                "stuck bit: (a[2:1] < b ? {a[0], 3'd7} : ~b) & {1'b0, {3{1'b1}}}",
                "stuck bit: (a[2:1] < b ? {a[0], 3'd7} : ~b) | {1'b1, {3{1'b0}}}",
                "stuck bit: (a[2:1] < b ? {a[0], 3'd7} : ~b) & {{3{1'b1}}, 1'b0}",
                "stuck bit: (a[2:1] < b ? {a[0], 3'd7} : ~b) | {{3{1'b0}}, 1'b1}",
            ]
        );
    }

    #[test]
    fn registers_hold_and_conditions_stick() {
        assert_eq!(
            changes_of("always @(posedge clock) if (|a) r[0] <= b[0] - a[0];"),
            [
                "operation: & a",
                "condition: !(|a)",
                "condition: 1'b0",
                "condition: 1'b1",
                "slice: b [1] - a[0]",
                "operation: b[0] + a[0]",
                "swap: a[0] - b[0]",
                "slice: b[0] - a [1]",
                "stuck bit: (b[0] - a[0]) & 1'b0",
                "stuck bit: (b[0] - a[0]) | 1'b1",
                "hold: r[0]",
            ]
        );
    }

    #[test]
    fn look_up_tables_flip_where_their_inputs_reach() {
        let found = changes_of("LUT2 #(.I(4'h6)) u_1 (.I0(a[0]), .I1(1'b1), .O(q[0]));");
        let flips: Vec<&String> = found.iter().filter(|t| t.starts_with("LUT")).collect();
        assert_eq!(
            flips,
            ["LUT bit: {1'b1, a[0]} == 2", "LUT bit: {1'b1, a[0]} == 3"]
        );
        assert!(found.contains(&"wiring: 1'b1".to_owned()));
    }

    #[test]
    fn what_changes_nothing_is_no_fault_but_keeps_its_number() {
        let of = |statement: &str| -> Vec<(u32, String)> {
            let text = format!(
                "module m (input clock, input a, output [1:0] q);\n{statement}\nendmodule\n"
            );
            let lut = "module LUT2 #(parameter I = 0) (input I0, input I1, output O);";
            let module = read(&text, &ports(lut).into_iter().collect()).unwrap();
            let all = sites(&module).into_iter();
            let found = all.filter_map(|site| match site.change {
                Change::Replace(text) => Some((site.key.ordinal, text.trim().to_owned())),
                Change::Flip { .. } => None,
            });
            found.collect()
        };
        let reset = of("always @(posedge clock) q <= 2'd2;");
        let stuck = [(1, "2'd1"), (0, "2'd3")];
        assert!(
            stuck
                .iter()
                .all(|(ordinal, text)| reset.contains(&(*ordinal, (*text).into())))
        );
        let of_bits: Vec<&str> = reset
            .iter()
            .filter(|(_, t)| t.contains('('))
            .map(|(_, t)| &**t)
            .collect();
        assert_eq!(
            of_bits,
            ["(2'd2) & {1'b0, {1{1'b1}}}", "(2'd2) | {{1{1'b0}}, 1'b1}"]
        );
        // A table of its first input alone.
        let table = of("LUT2 #(.I(4'ha)) u_1 (.I0(a), .I1(1'b0), .O(q[0]));");
        let texts: Vec<&str> = table.iter().map(|(_, t)| &**t).collect();
        assert_eq!(texts, ["{1{1'b0}}", "{1{1'b1}}", "1'b0"]);
        // The lower constant of an input that is already low; the number of the other stays.
        let and = of("LUT2 #(.I(4'h8)) u_1 (.I0(1'b1), .I1(1'b0), .O(q[0]));");
        assert!(and.contains(&(1, "{1{1'b1}}".to_owned())), "{and:?}");
    }

    #[test]
    fn sizes_are_no_part_of_a_family() {
        for (name, expected) in [
            ("xnf_word_memory_d64_w45", "xnf_word_memory"),
            ("xnf_axi_lite", "xnf_axi_lite"),
            ("xnf_pe_array_r2_c3_l5", "xnf_pe_array"),
        ] {
            assert_eq!(family(name), expected);
        }
    }
}
