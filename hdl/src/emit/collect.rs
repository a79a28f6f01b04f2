//! Reads a RustHDL design, by a `Probe`, into a tree of scopes.
//!
//! Children of one `Vec` are one design: only the first is read, and the others are compared with it by the
//! shapes of all atoms below them (their modules' names and constants among them).

use super::EmitError;
use crate::rtl::{ASSERTION, REGISTER_TIMING, SHAPE, WAIVER};
use rust_hdl_core::ast::Verilog;
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block::Block;
use rust_hdl_core::probe::Probe;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What a net is in its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Input,
    Output,
    Local,
    Constant(u64),
}

/// An atom of a scope: one signal, or one element of a vector of signals.
#[derive(Clone, Debug)]
pub(super) struct AtomShape {
    pub base: String,
    pub index: Vec<u32>,
    pub width: u32,
    pub kind: Kind,
    pub is_clock: bool,
    pub waiver: Option<String>,
}

/// A block of the design.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub base: String,
    pub index: Vec<u32>,
    pub module_name: String,
    pub summary: String,
    pub atoms: Vec<AtomShape>,
    pub children: Vec<Scope>,
    pub code: Verilog,
    pub is_register: bool,
    /// The label, if this is an assertion.
    pub assertion: Option<String>,
    pub shape: u64,
}

struct Frame {
    scope: Scope,
    hasher: DefaultHasher,
    /// Only hash: a sibling stands for this one.
    skip: bool,
}

/// The probe. [`Collector::collect`] runs it.
#[derive(Default)]
pub(super) struct Collector {
    frames: Vec<Frame>,
    root: Option<Scope>,
    error: Option<EmitError>,
}

/// "weight$3$0" as "weight" and [3, 0].
fn split_name(name: &str) -> (String, Vec<u32>) {
    let mut parts = name.split('$');
    let base = parts.next().unwrap_or_default().to_owned();
    (base, parts.filter_map(|p| p.parse().ok()).collect())
}

impl Collector {
    pub fn collect(design: &dyn Block) -> Result<Scope, EmitError> {
        let mut collector = Collector::default();
        design.accept("top", &mut collector);
        if let Some(error) = collector.error {
            return Err(error);
        }
        collector
            .root
            .ok_or_else(|| EmitError::unsupported("the design has no block"))
    }
}

fn literal_value(atom: &dyn Atom) -> u64 {
    // A literal prints as <bits>'h<digits> or <bits>'b<digits>.
    let text = format!("{:x}", atom.verilog());
    let digits = text.split_once("'h").map_or("0", |(_, d)| d);
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

impl Probe for Collector {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        let (base, index) = split_name(name);
        let parent_skips = self.frames.last().is_some_and(|f| f.skip);
        let skip = parent_skips
            || self
                .frames
                .last()
                .is_some_and(|f| f.scope.children.iter().any(|c| c.base == base) && !is_leaf(node));
        let mut scope = Scope {
            base,
            index,
            ..Scope::default()
        };
        if !skip {
            scope.is_register = is_leaf(node);
            scope.code = node.hdl();
        }
        self.frames.push(Frame {
            scope,
            hasher: DefaultHasher::new(),
            skip,
        });
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let type_name = signal.descriptor().name;
        let kind = match signal.kind() {
            AtomKind::InputParameter => Kind::Input,
            AtomKind::OutputParameter => Kind::Output,
            AtomKind::LocalSignal => Kind::Local,
            AtomKind::Constant => Kind::Constant(literal_value(signal)),
            other => {
                self.error.get_or_insert(EmitError::unsupported(format!(
                    "signal `{name}` of kind {other:?}"
                )));
                return;
            }
        };
        (name, signal.bits(), kind, &type_name).hash(&mut frame.hasher);
        if frame.skip {
            return;
        }
        if let Some(shape) = type_name.strip_prefix(SHAPE) {
            let (name, summary) = shape.split_once(": ").unwrap_or((shape, ""));
            frame.scope.module_name = name.to_owned();
            frame.scope.summary = summary.to_owned();
            return;
        }
        if let Some(label) = type_name.strip_prefix(ASSERTION) {
            frame.scope.assertion = Some(label.to_owned());
            return;
        }
        let (base, index) = split_name(name);
        frame.scope.atoms.push(AtomShape {
            base,
            index,
            width: signal.bits() as u32,
            kind,
            is_clock: type_name == "clock",
            waiver: type_name.strip_prefix(WAIVER).map(str::to_owned),
        });
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        let Some(mut frame) = self.frames.pop() else {
            return;
        };
        frame.scope.shape = frame.hasher.finish();
        let Some(parent) = self.frames.last_mut() else {
            self.root = Some(frame.scope);
            return;
        };
        let scope = frame.scope;
        (&scope.base, &scope.index, scope.shape).hash(&mut parent.hasher);
        if frame.skip && !parent.skip {
            let first = parent.scope.children.iter().find(|c| c.base == scope.base);
            if first.is_some_and(|first| first.shape != scope.shape) {
                self.error.get_or_insert(EmitError::unsupported(format!(
                    "`{}` holds blocks of different shapes",
                    scope.base
                )));
            }
        }
        parent.scope.children.push(scope);
    }
}

/// A register: it has no module of its own.
fn is_leaf(node: &dyn Block) -> bool {
    node.timing().iter().any(|t| t.name == REGISTER_TIMING)
}
