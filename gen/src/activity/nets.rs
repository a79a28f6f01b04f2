//! Which nets a design has, and which module drives each: read from the Verilog that this program emits.
//!
//! A net has many names: a register's is that of the output that it leaves by, and of a wire of the module above. It is
//! counted once, where something makes it: names of inputs, of wires that an instance below drives, and of plain copies
//! (`assign a = b;`) do not count. Nor do memories' words, of which a waveform shows the small ones only; what is read of
//! them does.

use std::collections::{BTreeMap, BTreeSet};
use xnorforge_hdl::Package;

/// The modules of a design.
#[derive(Clone, Debug)]
pub struct Nets {
    modules: Vec<Module>,
    top: usize,
}

/// A module's number.
pub type ModuleIndex = usize;

#[derive(Clone, Debug)]
struct Module {
    name: String,
    /// Names that count.
    own: BTreeSet<String>,
    /// The module of each instance of the design's modules.
    instances: BTreeMap<String, ModuleIndex>,
    /// Names of generate blocks.
    blocks: BTreeSet<String>,
}

/// What stands below a module in a hierarchy of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Part of the module itself: a generate block.
    Same,
    /// An instance of a module of the design.
    Module(ModuleIndex),
    /// A primitive of the device: its outputs are nets of the module that it stands in.
    Primitive,
}

impl Nets {
    /// Of a package.
    pub fn new(package: &Package) -> Self {
        let texts: Vec<String> = package.files.iter().map(|f| plain(&f.text)).collect();
        let numbers: BTreeMap<&str, ModuleIndex> = package
            .modules
            .iter()
            .enumerate()
            .map(|(index, module)| (module.name.as_str(), index))
            .collect();
        let declared: Vec<Declared> = texts.iter().map(|text| Declared::new(text)).collect();
        let named = package.modules.iter().zip(&texts).zip(&declared);
        let modules = named.map(|((info, text), own)| {
            let instances = instances(text, &numbers);
            let driven = instances.iter().flat_map(|instance| {
                let outputs = &declared[instance.module].outputs;
                let ports = instance.ports.iter();
                ports
                    .filter(|(port, _)| outputs.contains(port))
                    .flat_map(|(_, net)| identifiers(net))
            });
            let driven: BTreeSet<&str> = driven.collect();
            let makes = |name: &&String| !driven.contains(name.as_str()) && !own.copies(name);
            Module {
                name: info.name.clone(),
                own: own.nets.iter().filter(makes).cloned().collect(),
                instances: instances
                    .iter()
                    .map(|i| (i.name.to_owned(), i.module))
                    .collect(),
                blocks: own.blocks.clone(),
            }
        });
        Nets {
            top: numbers[package.top.as_str()],
            modules: modules.collect(),
        }
    }

    /// How many modules there are.
    pub fn modules(&self) -> usize {
        self.modules.len()
    }

    /// A module's name.
    pub fn name(&self, module: ModuleIndex) -> &str {
        &self.modules[module].name
    }

    /// The top module.
    pub fn top(&self) -> ModuleIndex {
        self.top
    }

    /// What a scope of a waveform is, by its name (`g_row[3]` is a generate block `g_row`).
    pub fn below(&self, module: ModuleIndex, scope: &str) -> Below {
        let module = &self.modules[module];
        match module.instances.get(scope) {
            Some(index) => Below::Module(*index),
            None if module.blocks.contains(base(scope)) => Below::Same,
            None => Below::Primitive,
        }
    }

    /// Whether a name of a module counts.
    pub fn counts(&self, module: ModuleIndex, name: &str) -> bool {
        self.modules[module].own.contains(base(name))
    }
}

/// A name without an index.
fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name).trim_end()
}

/// The text without comments, attributes, and what only simulators and provers read.
fn plain(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut conditions = 0u32;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let line = without(&without(line, "/*", "*/"), "(* ", " *)");
        let start = line.trim_start();
        if start.starts_with("`ifdef") {
            conditions += 1;
        }
        if conditions == 0 && !start.starts_with('`') {
            result.push_str(&line);
            result.push('\n');
        }
        if start.starts_with("`endif") {
            conditions = conditions.saturating_sub(1);
        }
    }
    result
}

/// A line without all that stands between two marks.
fn without(line: &str, begin: &str, end: &str) -> String {
    let mut left = line.to_owned();
    while let Some(from) = left.find(begin)
        && let Some(length) = left[from + begin.len()..].find(end)
    {
        left.replace_range(from..from + begin.len() + length + end.len(), "");
    }
    left
}

/// Names that a module declares.
#[derive(Clone, Debug, Default)]
struct Declared {
    outputs: BTreeSet<String>,
    /// Outputs, wires and registers, without inputs and memories.
    nets: BTreeSet<String>,
    /// Names that are assigned another net's bits.
    copied: BTreeSet<String>,
    /// Names that are assigned something else.
    made: BTreeSet<String>,
    blocks: BTreeSet<String>,
}

impl Declared {
    fn new(text: &str) -> Self {
        let mut declared = Declared::default();
        for line in text.lines() {
            let line = line.trim();
            let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
            match keyword {
                "output" => {
                    if let Some((name, _)) = declaration(rest) {
                        declared.outputs.insert(name.to_owned());
                        declared.nets.insert(name.to_owned());
                    }
                }
                "wire" | "reg" => {
                    let Some((name, after)) = declaration(rest) else {
                        continue;
                    };
                    if !after.starts_with('[') {
                        declared.nets.insert(name.to_owned());
                    }
                    if let Some(value) = after.strip_prefix('=') {
                        declared.assign(name, value);
                    }
                }
                "assign" => {
                    if let Some((target, value)) = rest.split_once(" = ") {
                        declared.assign(base(target.trim()), value);
                    }
                }
                _ => {}
            }
            if let Some((_, block)) = line.split_once("begin : ") {
                declared.blocks.insert(block.trim().to_owned());
            }
        }
        declared
    }

    fn assign(&mut self, name: &str, value: &str) {
        let value = value.trim().trim_end_matches(';');
        let name = name.to_owned();
        match is_net(value) {
            true => self.copied.insert(name),
            false => self.made.insert(name),
        };
    }

    /// Whether a name only has bits of other nets.
    fn copies(&self, name: &str) -> bool {
        self.copied.contains(name) && !self.made.contains(name)
    }
}

/// Name and what follows of `wire [7:0] name = ..;`, without its keyword.
fn declaration(rest: &str) -> Option<(&str, &str)> {
    let mut rest = rest.trim_start();
    for keyword in ["wire ", "reg ", "signed "] {
        rest = rest.strip_prefix(keyword).unwrap_or(rest).trim_start();
    }
    if rest.starts_with('[') {
        rest = rest.split_once(']')?.1.trim_start();
    }
    let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
    (end > 0).then(|| (&rest[..end], rest[end..].trim_start()))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether an expression is a net or some of its bits: `b`, `b[3]`, `b[7:4]`, `b[5*c +: 5]`.
fn is_net(value: &str) -> bool {
    let end = value.find(|c| !is_of_name(c)).unwrap_or(value.len());
    let (name, select) = value.split_at(end);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && (select.is_empty()
            || (select.starts_with('[')
                && select.ends_with(']')
                && select.matches('[').count() == 1))
}

/// The names in an expression.
fn identifiers(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c| !is_of_name(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// An instance of one of the design's modules.
struct Instance<'t> {
    module: ModuleIndex,
    name: &'t str,
    /// Ports and what they are connected to.
    ports: Vec<(String, &'t str)>,
}

fn instances<'t>(text: &'t str, numbers: &BTreeMap<&str, ModuleIndex>) -> Vec<Instance<'t>> {
    let mut found: Vec<Instance<'t>> = Vec::new();
    let mut is_open = false;
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        if let Some(module) = words.next().and_then(|word| numbers.get(word))
            && let Some(name) = words.next()
        {
            found.push(Instance {
                module: *module,
                name,
                ports: Vec::new(),
            });
            is_open = true;
        } else if is_open
            && let Some(instance) = found.last_mut()
            && let Some((port, net)) = line.strip_prefix('.').and_then(|l| l.split_once('('))
        {
            instance.ports.push((port.trim().to_owned(), net));
        }
        is_open &= line != ");";
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations() {
        for (line, name, after) in [
            ("wire [9:0]     sum,", "sum", ","),
            ("[4:0] memory [0:255];", "memory", "[0:255];"),
            ("reg            busy", "busy", ""),
            ("unused = &{1'b0, select};", "unused", "= &{1'b0, select};"),
            ("signed [2:0] low;", "low", ";"),
        ] {
            assert_eq!(declaration(line), Some((name, after)), "{line}");
        }
    }

    #[test]
    fn copies_are_bits_of_one_net() {
        for value in ["b", "b[3]", "b[7:4]", "b[5*c +: 5]"] {
            assert!(is_net(value), "{value}");
        }
        for value in ["~b", "a & b", "{a, b}", "1'b0", "a[0] & b[1]", "s ? a : b"] {
            assert!(!is_net(value), "{value}");
        }
    }

    #[test]
    fn text_for_simulators_is_left_out() {
        let text = "wire a; // wire b;\n(* keep = \"true\" *) reg c;\n`ifdef FORMAL\nreg d;\n`endif\nreg e;\n";
        assert_eq!(plain(text).replace('\n', "|"), "wire a; | reg c;|reg e;|");
    }
}
