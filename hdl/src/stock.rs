//! RustHDL's own Verilog generator, as an independent oracle for the emitter.
//!
//! The stock generator expands the first index of a path only, so loops and indices are expanded here before it sees
//! a kernel. Its output is large (one module for each instance) and meant for equivalence proofs at small sizes.

use crate::emit::{loop_bounds, substitute_block};
use rust_hdl_core::ast::{
    Verilog, VerilogBlock, VerilogBlockOrConditional, VerilogConditional,
    VerilogExpression as Expression, VerilogStatement as Statement,
};
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block::Block;
use rust_hdl_core::logic::Logic;
use rust_hdl_core::module_defines::ModuleDefines;
use rust_hdl_core::probe::Probe;
use rust_hdl_core::timing::TimingInfo;
use std::collections::BTreeMap;

/// The Verilog that RustHDL's stock generator makes of a block; its top module is named `top`. Elements of vectors are
/// ports and signals of their own: `weight$1$0`.
pub fn generate(block: &dyn Block) -> String {
    let mut probe = Expanding::default();
    block.accept("top", &mut probe);
    probe.inner.defines()
}

/// Hands every visit on, with expanded kernels.
#[derive(Default)]
struct Expanding {
    inner: ModuleDefines,
}

impl Probe for Expanding {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        self.inner.visit_start_scope(name, &Expanded::new(node));
    }
    fn visit_start_namespace(&mut self, name: &str, node: &dyn Block) {
        self.inner.visit_start_namespace(name, node);
    }
    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        self.inner.visit_atom(name, signal);
    }
    fn visit_end_namespace(&mut self, name: &str, node: &dyn Block) {
        self.inner.visit_end_namespace(name, node);
    }
    fn visit_end_scope(&mut self, name: &str, node: &dyn Block) {
        self.inner.visit_end_scope(name, &Expanded::new(node));
    }
}

/// A block whose kernel has no loops and no indices.
struct Expanded<'a> {
    block: &'a dyn Block,
}

impl<'a> Expanded<'a> {
    fn new(block: &'a dyn Block) -> Self {
        Expanded { block }
    }
}

impl Logic for Expanded<'_> {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        match self.block.hdl() {
            Verilog::Combinatorial(block) => Verilog::Combinatorial(expand(&block)),
            Verilog::Custom(text) if self.block.timing().is_empty() => {
                Verilog::Custom(with_packed_ports(self.block, &text))
            }
            other => other,
        }
    }
    fn timing(&self) -> Vec<TimingInfo> {
        self.block.timing()
    }
}

impl Block for Expanded<'_> {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        self.block.accept(name, probe);
    }
}

/// Text of its own names a vector of ports as one packed port. The stock generator has a port for each element, so the
/// packed ones are declared as nets between the two.
fn with_packed_ports(block: &dyn Block, text: &str) -> String {
    let mut ports = VectorPorts::default();
    block.accept("block", &mut ports);
    let mut nets = String::new();
    for (base, vector) in &ports.vectors {
        let elements: Vec<&str> = vector.elements.iter().rev().map(String::as_str).collect();
        let elements = elements.join(", ");
        let range = format!("[{}:0]", vector.width - 1);
        let line = if !vector.is_output {
            format!("wire {range} {base} = {{{elements}}};\n")
        } else {
            let continuous = text.contains(&format!("assign {base} ="));
            let kind = if continuous { "wire" } else { "reg" };
            format!("{kind} {range} {base};\nalways @* {{{elements}}} = {base};\n")
        };
        nets.push_str(&line);
    }
    nets + text
}

/// A vector of ports of one block.
#[derive(Default)]
struct VectorPorts {
    depth: u32,
    vectors: BTreeMap<String, VectorPort>,
}

#[derive(Default)]
struct VectorPort {
    elements: Vec<String>,
    width: usize,
    is_output: bool,
}

impl Probe for VectorPorts {
    fn visit_start_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth += 1;
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let is_output = signal.kind() == AtomKind::OutputParameter;
        let is_port = is_output || signal.kind() == AtomKind::InputParameter;
        if let (1, true, Some((base, _))) = (self.depth, is_port, name.split_once('$')) {
            let vector = self.vectors.entry(base.to_owned()).or_default();
            vector.elements.push(name.to_owned());
            vector.width += signal.bits();
            vector.is_output = is_output;
        }
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth -= 1;
    }
}

fn expand(block: &VerilogBlock) -> VerilogBlock {
    block.iter().flat_map(statement).collect()
}

fn statement(s: &Statement) -> VerilogBlock {
    match s {
        Statement::Loop(l) => {
            let (from, to) = loop_bounds(l);
            (from..to)
                .flat_map(|i| expand(&substitute_block(&l.block, &l.index, i)))
                .collect()
        }
        Statement::Assignment(target, value) => {
            vec![Statement::Assignment(expression(target), expression(value))]
        }
        Statement::SliceAssignment {
            base,
            width,
            offset,
            replacement,
        } => vec![Statement::SliceAssignment {
            base: expression(base),
            width: *width,
            offset: expression(offset),
            replacement: expression(replacement),
        }],
        Statement::If(c) => vec![Statement::If(VerilogConditional {
            test: expression(&c.test),
            then: expand(&c.then),
            otherwise: match &c.otherwise {
                VerilogBlockOrConditional::Block(b) => VerilogBlockOrConditional::Block(expand(b)),
                VerilogBlockOrConditional::Conditional(s) => {
                    VerilogBlockOrConditional::Block(statement(s))
                }
                VerilogBlockOrConditional::None => VerilogBlockOrConditional::None,
            },
        })],
        // A comment ends its line only in the stock generator's own writer, which joins lines.
        Statement::Comment(_) => Vec::new(),
        other => vec![other.clone()],
    }
}

fn expression(e: &Expression) -> Expression {
    let boxed = |e: &Expression| Box::new(expression(e));
    match e {
        // `row[1]$above[0]` is `row$1$above$0` there.
        Expression::Signal(path) => {
            Expression::Signal(path.replace("][", "$").replace('[', "$").replace(']', ""))
        }
        Expression::Cast(e, width) => Expression::Cast(boxed(e), *width),
        Expression::Paren(e) => Expression::Paren(boxed(e)),
        Expression::Binary(a, op, b) => Expression::Binary(boxed(a), op.clone(), boxed(b)),
        Expression::Unary(op, e) => Expression::Unary(op.clone(), boxed(e)),
        Expression::Index(a, b) => Expression::Index(boxed(a), boxed(b)),
        Expression::Slice(a, width, b) => Expression::Slice(boxed(a), *width, boxed(b)),
        other => other.clone(),
    }
}
