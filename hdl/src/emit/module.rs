//! From a scope to a module: nets, assignments, registers, instances.
//!
//! A RustHDL kernel is a sequence of statements; a module is a set of continuous assignments. The kernel is executed
//! symbolically: an `if` becomes a selection, an override replaces what it overrides, a loop whose body assigns one
//! element after another stays a loop, any other loop is unrolled. A net that is assigned from itself goes on from what it
//! has been given so far. What has no such meaning (a value read otherwise between two assignments, an element driven twice, an element read and never driven) is refused.

use super::EmitError;
use super::collect::{AtomShape, Kind, Scope};
use super::ir::{Affine, Bits, Expr, NetId, Op};
use crate::rtl::{FAILS, START};
use rust_hdl_core::ast::{
    Verilog, VerilogBlock, VerilogBlockOrConditional, VerilogConditional, VerilogExpression as Ast,
    VerilogLiteral, VerilogLoop, VerilogOp, VerilogOpUnary, VerilogStatement as Statement,
};
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetKind {
    Input,
    Output,
    Wire,
    Register,
}

#[derive(Clone, Debug)]
pub(super) struct Net {
    pub name: String,
    pub dims: Vec<u32>,
    /// Width of one element.
    pub width: u32,
    pub kind: NetKind,
    pub is_clock: bool,
    pub waiver: Option<String>,
}

impl Net {
    pub fn elements(&self) -> u32 {
        self.dims.iter().product()
    }

    pub fn total(&self) -> u32 {
        self.elements() * self.width
    }
}

/// A loop around an assignment: `variable` runs over `from..to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    pub variable: String,
    pub from: u32,
    pub to: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Assign {
    /// When the kernel comes to it: assignments are printed in the kernel's order.
    pub order: u32,
    pub loops: Vec<Loop>,
    pub target: Bits,
    pub value: Expr,
}

/// A register, or a vector of them side by side in one net.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub q: NetId,
    pub d: Expr,
    pub enable: Option<Expr>,
    pub reset: Option<Expr>,
    pub clock: NetId,
}

/// An assertion: no register and no wire of it is there where nobody asks for it.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub label: String,
    pub start: Expr,
    pub fails: Expr,
    pub clock: NetId,
}

/// A child block, or a vector of equal ones.
#[derive(Debug)]
pub(super) struct Instance<'a> {
    pub name: String,
    pub dims: Vec<u32>,
    pub scope: &'a Scope,
    /// Port name, what stands at it (in terms of the instance's own loop variables).
    pub ports: Vec<(String, Expr)>,
    /// Loop variables, one for each dimension.
    pub variables: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Module<'a> {
    pub scope: &'a Scope,
    pub nets: Vec<Net>,
    pub assigns: Vec<Assign>,
    pub registers: Vec<Register>,
    pub instances: Vec<Instance<'a>>,
    pub checks: Vec<Check>,
    /// The kernel's comments, with the order of what follows them.
    pub comments: Vec<(u32, String)>,
}

/// A vector of atoms or blocks that are alike, or a single one.
struct Group<T> {
    base: String,
    /// Path under which kernels name it: the base for a group, base and indices for a single one of unequal ones.
    path: String,
    dims: Vec<u32>,
    first: T,
}

fn group<'t, T>(
    items: &'t [T],
    key: impl Fn(&T) -> (&str, &[u32]),
    alike: impl Fn(&T, &T) -> bool,
) -> Vec<Group<&'t T>> {
    let mut order: Vec<&str> = Vec::new();
    let mut members: HashMap<&str, Vec<&'t T>> = HashMap::new();
    for item in items {
        let base = key(item).0;
        if !members.contains_key(base) {
            order.push(base);
        }
        members.entry(base).or_default().push(item);
    }
    let mut groups = Vec::new();
    for base in order {
        let all = &members[base];
        let rank = key(all[0]).1.len();
        let dims: Vec<u32> = (0..rank)
            .map(|d| {
                1 + all
                    .iter()
                    .filter_map(|i| key(i).1.get(d))
                    .max()
                    .unwrap_or(&0)
            })
            .collect();
        let regular = all.iter().all(|i| alike(all[0], i))
            && dims.iter().product::<u32>() as usize == all.len();
        if regular {
            groups.push(Group {
                base: base.to_owned(),
                path: base.to_owned(),
                dims,
                first: all[0],
            });
            continue;
        }
        for item in all {
            let index: Vec<String> = key(item).1.iter().map(u32::to_string).collect();
            groups.push(Group {
                base: format!("{base}_{}", index.join("_")),
                path: format!("{base}[{}]", index.join("][")),
                dims: Vec::new(),
                first: *item,
            });
        }
    }
    groups
}

/// Where a kernel's name leads.
#[derive(Clone, Debug)]
struct Element {
    net: NetId,
    dims: Vec<u32>,
    width: u32,
}

struct ChildInfo<'a> {
    path: String,
    name: String,
    dims: Vec<u32>,
    scope: &'a Scope,
    /// Port base, net, dimensions within the child, width of an element, whether the child drives it.
    ports: Vec<ChildPort>,
}

struct ChildPort {
    name: String,
    net: NetId,
    dims: Vec<u32>,
    width: u32,
    is_output: bool,
}

struct Builder<'a> {
    scope: &'a Scope,
    nets: Vec<Net>,
    /// Kernel path without indices (or with them, for unequal vectors) to element.
    elements: HashMap<String, Element>,
    constants: HashMap<String, (u32, Vec<u64>)>,
    children: Vec<ChildInfo<'a>>,
    assigns: Vec<Assign>,
    comments: Vec<(u32, String)>,
    loops: Vec<Loop>,
    /// Statements seen so far.
    order: u32,
}

fn strides(dims: &[u32]) -> Vec<u32> {
    let mut strides = vec![1; dims.len()];
    for d in (0..dims.len().saturating_sub(1)).rev() {
        strides[d] = strides[d + 1] * dims[d + 1];
    }
    strides
}

/// Reads a scope into a module.
pub(super) fn build(scope: &Scope) -> Result<Module<'_>, EmitError> {
    let mut builder = Builder {
        scope,
        nets: Vec::new(),
        elements: HashMap::new(),
        constants: HashMap::new(),
        children: Vec::new(),
        assigns: Vec::new(),
        comments: Vec::new(),
        loops: Vec::new(),
        order: 0,
    };
    builder.atoms();
    builder.child_nets();
    if let Verilog::Combinatorial(block) = &scope.code {
        builder.run(block)?;
        builder.finish()
    } else {
        Ok(Module {
            scope,
            nets: builder.nets,
            assigns: Vec::new(),
            registers: Vec::new(),
            instances: Vec::new(),
            checks: Vec::new(),
            comments: Vec::new(),
        })
    }
}

impl<'a> Builder<'a> {
    fn error(&self, what: impl std::fmt::Display) -> EmitError {
        EmitError::unsupported(format!("block `{}`: {what}", self.scope.module_name))
    }

    fn add_net(&mut self, net: Net) -> NetId {
        self.nets.push(net);
        NetId(self.nets.len() - 1)
    }

    fn atoms(&mut self) {
        let groups = group(
            &self.scope.atoms,
            |a: &AtomShape| (&a.base, &a.index),
            |a, b| {
                a.width == b.width
                    && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
            },
        );
        for g in groups {
            let kind = match g.first.kind {
                Kind::Constant(_) => {
                    let values = self.scope.atoms.iter().filter(|a| a.base == g.base);
                    let values = values.filter_map(|a| match a.kind {
                        Kind::Constant(value) => Some(value),
                        _ => None,
                    });
                    self.constants
                        .insert(g.path, (g.first.width, values.collect()));
                    continue;
                }
                Kind::Input => NetKind::Input,
                Kind::Output => NetKind::Output,
                Kind::Local => NetKind::Wire,
            };
            let net = self.add_net(Net {
                name: g.base,
                dims: g.dims.clone(),
                width: g.first.width,
                kind,
                is_clock: g.first.is_clock,
                waiver: g.first.waiver.clone(),
            });
            self.elements.insert(
                g.path,
                Element {
                    net,
                    dims: g.dims,
                    width: g.first.width,
                },
            );
        }
    }

    fn child_nets(&mut self) {
        let scope = self.scope;
        let groups = group(
            &scope.children,
            |c: &Scope| (&c.base, &c.index),
            |a, b| a.shape == b.shape,
        );
        for g in groups {
            let ports = group(
                &g.first.atoms,
                |a: &AtomShape| (&a.base, &a.index),
                |a, b| a.width == b.width,
            );
            let mut child = ChildInfo {
                path: g.path.clone(),
                name: g.base.clone(),
                dims: g.dims.clone(),
                scope: g.first,
                ports: Vec::new(),
            };
            for port in ports {
                if !matches!(port.first.kind, Kind::Input | Kind::Output) {
                    continue;
                }
                let is_output = port.first.kind == Kind::Output;
                let is_q = g.first.is_register && is_output;
                let dims = [g.dims.clone(), port.dims.clone()].concat();
                let net = self.add_net(Net {
                    name: if is_q {
                        g.base.clone()
                    } else {
                        format!("{}_{}", g.base, port.base)
                    },
                    dims: dims.clone(),
                    width: port.first.width,
                    kind: if is_q {
                        NetKind::Register
                    } else {
                        NetKind::Wire
                    },
                    is_clock: port.first.is_clock,
                    // A child that says so has outputs that not every parent reads.
                    waiver: port.first.waiver.clone().filter(|_| is_output),
                });
                self.elements.insert(
                    format!("{}${}", g.path, port.base),
                    Element {
                        net,
                        dims,
                        width: port.first.width,
                    },
                );
                child.ports.push(ChildPort {
                    name: port.base,
                    net,
                    dims: port.dims,
                    width: port.first.width,
                    is_output,
                });
            }
            self.children.push(child);
        }
    }

    /// `row[r]$above[c]$next` as the element and its indices.
    fn resolve(&self, path: &str) -> Result<(Option<&Element>, String, Vec<Affine>), EmitError> {
        let path = path.strip_suffix("$next").unwrap_or(path);
        // An unequal vector's elements are known by their full path, up to a `$`.
        let segments: Vec<&str> = path.split('$').collect();
        let mut key = String::new();
        let mut indices = Vec::new();
        for (i, segment) in segments.iter().enumerate() {
            if i > 0 {
                key.push('$');
            }
            let exact = format!("{key}{segment}");
            let is_known =
                self.elements.contains_key(&exact) || self.children.iter().any(|c| c.path == exact);
            let (base, rest) = segment.split_once('[').unwrap_or((segment, ""));
            if is_known && !rest.is_empty() {
                key = exact;
                continue;
            }
            key.push_str(base);
            if !rest.is_empty() {
                for index in rest.trim_end_matches(']').split("][") {
                    indices.push(self.index(index)?);
                }
            }
        }
        Ok((self.elements.get(&key), key, indices))
    }

    /// `r`, `3` or `r+1`.
    fn index(&self, text: &str) -> Result<Affine, EmitError> {
        let mut sum = Affine::default();
        for part in text.trim_matches(['(', ')']).split('+') {
            let part = part.trim().trim_end_matches("usize");
            let term = match part.parse() {
                Ok(number) => Affine::constant(number),
                Err(_) if self.loops.iter().any(|l| l.variable == part) => Affine::variable(part),
                Err(_) => return Err(self.error(format!("index `{text}`"))),
            };
            sum = sum.plus(&term);
        }
        Ok(sum)
    }

    fn bits(&self, path: &str) -> Result<Bits, EmitError> {
        let (element, _, indices) = self.resolve(path)?;
        let element = element.ok_or_else(|| self.error(format!("unknown signal `{path}`")))?;
        if indices.len() != element.dims.len() {
            return Err(self.error(format!("`{path}` needs {} indices", element.dims.len())));
        }
        let mut offset = Affine::default();
        for (index, stride) in indices.iter().zip(strides(&element.dims)) {
            offset = offset.plus(&index.clone().times(stride * element.width));
        }
        Ok(Bits {
            net: element.net,
            offset,
            width: element.width,
        })
    }

    fn signal(&self, path: &str) -> Result<Expr, EmitError> {
        let (_, key, indices) = self.resolve(path)?;
        let Some((width, values)) = self.constants.get(&key) else {
            return Ok(Expr::Bits(self.bits(path)?));
        };
        let index = match indices.first() {
            None => 0,
            Some(index) => index
                .as_constant()
                .ok_or_else(|| self.error(format!("constant `{path}` in a loop")))?,
        };
        let value = *values
            .get(index as usize)
            .ok_or_else(|| self.error(format!("index of `{path}`")))?;
        Ok(Expr::Literal {
            width: *width,
            value,
        })
    }

    /// A place in a word: a literal, a loop variable, or sums and products of those.
    fn place(&self, e: &Ast) -> Result<Affine, EmitError> {
        Ok(match e {
            Ast::Literal(l) => Affine::constant(literal(l).1 as u32),
            Ast::Signal(name) => self.index(name)?,
            Ast::Paren(e) => self.place(e)?,
            Ast::Binary(a, VerilogOp::Add, b) => self.place(a)?.plus(&self.place(b)?),
            Ast::Binary(a, VerilogOp::Mul, b) => {
                let (a, b) = (self.place(a)?, self.place(b)?);
                match (a.as_constant(), b.as_constant()) {
                    (Some(factor), _) => b.times(factor),
                    (_, Some(factor)) => a.times(factor),
                    _ => return Err(self.error("a product of two loop variables")),
                }
            }
            _ => return Err(self.error("a place that is neither a number nor a loop variable")),
        })
    }

    fn slice(&self, of: &Ast, width: u32, offset: &Ast) -> Result<Expr, EmitError> {
        let place = self.place(offset)?;
        match self.expression(of)? {
            Expr::Bits(mut bits) => {
                bits.offset = bits.offset.plus(&place);
                bits.width = width;
                Ok(Expr::Bits(bits))
            }
            other => match place.as_constant() {
                Some(low) => other.part(low, width),
                None => Err(self.error("a slice of an expression at a variable place")),
            },
        }
    }

    fn expression(&self, e: &Ast) -> Result<Expr, EmitError> {
        Ok(match e {
            Ast::Signal(path) => self.signal(path)?,
            Ast::Literal(l) => {
                let (width, value) = literal(l);
                Expr::Literal { width, value }
            }
            Ast::Paren(e) => self.expression(e)?,
            Ast::Cast(e, width) => self.expression(e)?.resize(*width as u32)?,
            Ast::Index(e, place) => self.slice(e, 1, place)?,
            Ast::Slice(e, width, place) => self.slice(e, *width as u32, place)?,
            Ast::Unary(VerilogOpUnary::Not, e) => Expr::Not(Box::new(self.expression(e)?)),
            Ast::Unary(VerilogOpUnary::Any, e) => {
                let e = self.expression(e)?;
                match e.width() {
                    1 => e,
                    _ => Expr::Any(Box::new(e)),
                }
            }
            Ast::Binary(a, op, b) => {
                let op = operator(op).ok_or_else(|| self.error(format!("operator {op:?}")))?;
                Expr::binary(op, self.expression(a)?, self.expression(b)?)?
            }
            other => return Err(self.error(format!("expression {other:?}"))),
        })
    }

    fn run(&mut self, block: &VerilogBlock) -> Result<(), EmitError> {
        let mut scope = Env::default();
        self.block(block, &mut scope)?;
        self.commit(scope);
        self.assigns.sort_by_key(|a| a.order);
        Ok(())
    }

    /// Turns what a scope has assigned into assignments.
    fn commit(&mut self, env: Env) {
        for (target, value, order) in env.values {
            self.assigns.push(Assign {
                order,
                loops: self.loops.clone(),
                target,
                value,
            });
        }
    }

    fn block(&mut self, block: &VerilogBlock, env: &mut Env) -> Result<(), EmitError> {
        for statement in block {
            self.statement(statement, env)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement, env: &mut Env) -> Result<(), EmitError> {
        self.order += 1;
        env.order = self.order;
        match statement {
            Statement::Assignment(Ast::Signal(path), value) => {
                let (target, value) = (self.bits(path)?, self.expression(value)?);
                self.assign(env, target, value)
            }
            Statement::SliceAssignment {
                base: Ast::Signal(path),
                width,
                offset,
                replacement,
            } => {
                let mut target = self.bits(path)?;
                target.offset = target.offset.plus(&self.place(offset)?);
                target.width = *width as u32;
                let value = self.expression(replacement)?;
                self.assign(env, target, value)
            }
            Statement::If(conditional) => self.conditional(conditional, env),
            Statement::Loop(l) => self.loop_statement(l, env),
            Statement::Macro(block) => self.block(block, env),
            Statement::Comment(text) => {
                self.comments.push((self.order, text.clone()));
                Ok(())
            }
            other => Err(self.error(format!("statement {other:?}"))),
        }
    }

    fn assign(&self, env: &mut Env, target: Bits, value: Expr) -> Result<(), EmitError> {
        if target.width != value.width() {
            return Err(self.error(format!(
                "`{}` has {} bits and is assigned {}",
                self.nets[target.net.0].name,
                target.width,
                value.width()
            )));
        }
        // `x = x | y` goes on from what `x` has been given so far.
        let value = match env.get(&target) {
            Some(before) => value.replace(&target, before),
            None => value,
        };
        env.set(target, value).map_err(|net| {
            self.error(format!(
                "`{}` is read before its last assignment",
                self.nets[net.0].name
            ))
        })
    }

    fn conditional(&mut self, c: &VerilogConditional, env: &mut Env) -> Result<(), EmitError> {
        let test = self.expression(&c.test)?;
        if test.width() != 1 {
            return Err(self.error("a condition of more than one bit"));
        }
        let mut then = env.branch();
        self.block(&c.then, &mut then)?;
        let mut otherwise = env.branch();
        match &c.otherwise {
            VerilogBlockOrConditional::Block(block) => self.block(block, &mut otherwise)?,
            VerilogBlockOrConditional::Conditional(statement) => {
                self.statement(statement, &mut otherwise)?;
            }
            VerilogBlockOrConditional::None => {}
        }
        let mut selected = Vec::new();
        let targets: Vec<Bits> = then
            .values
            .iter()
            .chain(&otherwise.values)
            .map(|(t, _, _)| t.clone())
            .collect();
        for target in targets {
            let before = env.get(&target).cloned();
            let value = |branch: &Env| match (branch.get(&target).cloned(), &before) {
                (Some(value), Some(before)) => Some(value.replace(&target, before)),
                (value, before) => value.or_else(|| before.clone()),
            };
            let (Some(a), Some(b)) = (value(&then), value(&otherwise)) else {
                let name = &self.nets[target.net.0].name;
                return Err(self.error(format!("`{name}` would be a latch")));
            };
            if before.is_some() && env.read.contains_key(&target.net) {
                let name = &self.nets[target.net.0].name;
                return Err(self.error(format!("`{name}` is read before its last assignment")));
            }
            let select = if a == b {
                a
            } else {
                Expr::Select {
                    test: Box::new(test.clone()),
                    then: Box::new(a),
                    otherwise: Box::new(b),
                }
            };
            selected.push((target, select));
        }
        for (target, select) in selected {
            env.force(target, select);
        }
        Ok(())
    }

    fn loop_statement(&mut self, l: &VerilogLoop, env: &mut Env) -> Result<(), EmitError> {
        let (from, to) = loop_bounds(l);
        if from >= to {
            return Ok(());
        }
        self.loops.push(Loop {
            variable: l.index.clone(),
            from,
            to,
        });
        let (assigns, comments) = (self.assigns.len(), self.comments.len());
        let mut body = Env::default();
        let kept = to - from > 1 && self.block(&l.block, &mut body).is_ok() && {
            let variable = &l.index;
            body.values
                .iter()
                .all(|(target, ..)| target.offset.terms.contains_key(variable))
        };
        if kept {
            self.commit(body);
            self.loops.pop();
            return Ok(());
        }
        self.loops.pop();
        self.assigns.truncate(assigns);
        self.comments.truncate(comments);
        for value in from..to {
            let unrolled = substitute_block(&l.block, &l.index, value);
            self.block(&unrolled, env)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Module<'a>, EmitError> {
        for assign in &mut self.assigns {
            while collapse(assign) {}
        }
        self.check_drivers()?;
        let checks = self.take_checks()?;
        self.alias_outputs();
        self.drop_dead();
        let mut registers = Vec::new();
        let mut instances = Vec::new();
        let children = std::mem::take(&mut self.children);
        for child in &children {
            if child.scope.is_register {
                registers.push(self.register(child)?);
            }
        }
        for child in &children {
            if !child.scope.is_register {
                instances.push(self.instance(child)?);
            }
        }
        Ok(Module {
            scope: self.scope,
            nets: self.nets,
            assigns: self.assigns,
            registers,
            instances,
            checks,
            comments: self.comments,
        })
    }

    /// Every bit of a net has at most one driver, and exactly one if it is read or drives a child or a port.
    fn check_drivers(&self) -> Result<(), EmitError> {
        let mut driven: Vec<Vec<bool>> = self
            .nets
            .iter()
            .map(|n| vec![false; n.total() as usize])
            .collect();
        for child in &self.children {
            for port in child.ports.iter().filter(|p| p.is_output) {
                driven[port.net.0].fill(true);
            }
        }
        for assign in &self.assigns {
            let bits = &mut driven[assign.target.net.0];
            let name = &self.nets[assign.target.net.0].name;
            for low in offsets(&assign.target.offset, &assign.loops) {
                for bit in low..low + assign.target.width {
                    match bits.get_mut(bit as usize) {
                        Some(bit) if !*bit => *bit = true,
                        Some(_) => return Err(self.error(format!("`{name}` is driven twice"))),
                        None => return Err(self.error(format!("`{name}` is indexed past its end"))),
                    }
                }
            }
        }
        for (net, bits) in self.nets.iter().zip(&driven) {
            let inputs = net.kind == NetKind::Input;
            let partly = bits.iter().any(|b| *b) && !bits.iter().all(|b| *b);
            let undriven_output = net.kind == NetKind::Output && !bits.iter().all(|b| *b);
            if (inputs && bits.iter().any(|b| *b)) || partly || undriven_output {
                return Err(self.error(format!("`{}` is not driven as it should be", net.name)));
            }
        }
        let undriven = |net: NetId| {
            self.nets[net.0].kind != NetKind::Input && !driven[net.0].iter().any(|b| *b)
        };
        let mut missing = None;
        for assign in &self.assigns {
            assign.value.for_each_bits(&mut |bits| {
                if undriven(bits.net) {
                    missing = Some(bits.net);
                }
            });
        }
        for child in &self.children {
            for port in &child.ports {
                if undriven(port.net) {
                    missing = Some(port.net);
                }
            }
        }
        match missing {
            Some(net) => Err(self.error(format!("`{}` has no driver", self.nets[net.0].name))),
            None => Ok(()),
        }
    }

    fn readers(&self) -> Vec<u32> {
        let mut readers = vec![0; self.nets.len()];
        for assign in &self.assigns {
            assign
                .value
                .for_each_bits(&mut |bits| readers[bits.net.0] += 1);
        }
        readers
    }

    /// A child's output that only feeds one whole net of this module becomes that net.
    fn alias_outputs(&mut self) {
        let readers = self.readers();
        for c in 0..self.children.len() {
            if self.children[c].scope.is_register {
                continue;
            }
            for p in 0..self.children[c].ports.len() {
                let (net, is_output) = {
                    let port = &self.children[c].ports[p];
                    (port.net, port.is_output)
                };
                if !is_output || readers[net.0] != 1 {
                    continue;
                }
                let whole = |bits: &Bits, nets: &[Net]| {
                    bits.offset.as_constant() == Some(0) && bits.width == nets[bits.net.0].total()
                };
                let found = self.assigns.iter().position(|a| {
                    matches!(&a.value, Expr::Bits(b) if b.net == net && whole(b, &self.nets))
                        && whole(&a.target, &self.nets)
                        && a.loops.is_empty()
                        && matches!(
                            self.nets[a.target.net.0].kind,
                            NetKind::Output | NetKind::Wire
                        )
                        && !self.feeds_child(a.target.net)
                });
                if let Some(index) = found {
                    let target = self.assigns.remove(index).target.net;
                    self.children[c].ports[p].net = target;
                }
            }
        }
    }

    fn feeds_child(&self, net: NetId) -> bool {
        self.children
            .iter()
            .any(|c| c.ports.iter().any(|p| p.net == net))
    }

    /// Drops locals that nothing reads, and what feeds only those.
    fn drop_dead(&mut self) {
        loop {
            let readers = self.readers();
            let children = &self.children;
            let nets = &self.nets;
            let before = self.assigns.len();
            let is_dead = |a: &Assign| {
                let net = a.target.net;
                nets[net.0].kind == NetKind::Wire
                    && readers[net.0] == 0
                    && !children
                        .iter()
                        .any(|c| c.ports.iter().any(|p| p.net == net))
            };
            let dead: Vec<bool> = self.assigns.iter().map(is_dead).collect();
            let mut keep = dead.iter().map(|d| !d);
            self.assigns.retain(|_| keep.next().unwrap_or(true));
            if self.assigns.len() == before {
                return;
            }
        }
    }

    /// What drives a whole net, if one expression does: then it can stand in the net's place.
    fn take_driver(&mut self, net: NetId) -> Option<Expr> {
        let total = self.nets[net.0].total();
        let mut drivers = (0..)
            .zip(&self.assigns)
            .filter(|(_, a)| a.target.net == net);
        let (index, assign) = drivers.next()?;
        let whole = drivers.next().is_none()
            && assign.loops.is_empty()
            && assign.target.offset.as_constant() == Some(0)
            && assign.target.width == total;
        whole.then(|| self.remove_assign(index).value)
    }

    fn remove_assign(&mut self, index: usize) -> Assign {
        self.assigns.remove(index)
    }

    fn whole(&self, net: NetId) -> Expr {
        Expr::Bits(Bits {
            net,
            offset: Affine::default(),
            width: self.nets[net.0].total(),
        })
    }

    /// A control pin of a vector of registers, if all of them share it.
    fn shared_pin(&mut self, net: NetId) -> Result<Expr, EmitError> {
        if self.nets[net.0].elements() <= 1 {
            return Ok(match self.take_driver(net) {
                Some(value) => value,
                None => self.whole(net),
            });
        }
        let mut values = Vec::new();
        while let Some(index) = self.assigns.iter().position(|a| a.target.net == net) {
            values.push(self.remove_assign(index).value);
        }
        let value = values
            .pop()
            .ok_or_else(|| self.error("a register without control"))?;
        let mut varies = values.iter().any(|other| *other != value);
        value.for_each_bits(&mut |bits| {
            varies |= !bits.offset.terms.is_empty();
        });
        if varies {
            let name = &self.nets[net.0].name;
            return Err(self.error(format!(
                "`{name}`: registers of one vector with different control"
            )));
        }
        Ok(value)
    }

    /// Takes the assertions out of the module before anything else is decided, so that its text is the same without them.
    fn take_checks(&mut self) -> Result<Vec<Check>, EmitError> {
        let (asserting, children): (Vec<_>, Vec<_>) = std::mem::take(&mut self.children)
            .into_iter()
            .partition(|child| child.scope.assertion.is_some());
        self.children = children;
        asserting.iter().map(|child| self.check(child)).collect()
    }

    fn check(&mut self, child: &ChildInfo<'a>) -> Result<Check, EmitError> {
        let label = child.scope.assertion.clone().unwrap_or_default();
        let mut pin = |name: &str| {
            let port = child.ports.iter().find(|p| p.name == name);
            let driver = port.and_then(|p| self.take_driver(p.net));
            driver.ok_or_else(|| self.error(format!("assertion `{label}`: its pin `{name}`")))
        };
        let (clock, start, fails) = (pin("clock")?, pin(START)?, pin(FAILS)?);
        let Expr::Bits(clock) = clock else {
            return Err(self.error("a clock that is not a signal"));
        };
        Ok(Check {
            label,
            start,
            fails,
            clock: clock.net,
        })
    }

    fn register(&mut self, child: &ChildInfo<'a>) -> Result<Register, EmitError> {
        let pin = |name: &str| child.ports.iter().find(|p| p.name == name).map(|p| p.net);
        let required = |net: Option<NetId>| net.ok_or_else(|| self.error("a register's pin"));
        let (clock, d, q) = (
            required(pin("clock"))?,
            required(pin("d"))?,
            required(pin("q"))?,
        );
        let clock = match self.shared_pin(clock)? {
            Expr::Bits(bits) => bits.net,
            _ => return Err(self.error("a clock that is not a signal")),
        };
        let enable = pin(crate::rtl::ENABLE)
            .map(|n| self.shared_pin(n))
            .transpose()?;
        let reset = pin(crate::rtl::RESET)
            .map(|n| self.shared_pin(n))
            .transpose()?;
        let d = match self.take_driver(d) {
            Some(value) => value,
            None => self.whole(d),
        };
        Ok(Register {
            q,
            d,
            enable,
            reset,
            clock,
        })
    }

    fn instance(&mut self, child: &ChildInfo<'a>) -> Result<Instance<'a>, EmitError> {
        let mut ports = Vec::new();
        let variables: Vec<String> = instance_variables(child, &self.assigns);
        for port in &child.ports {
            let port_total = port.dims.iter().product::<u32>() * port.width;
            let mut offset = Affine::default();
            for (variable, (dim, stride)) in variables
                .iter()
                .zip(child.dims.iter().zip(strides(&child.dims)))
            {
                if *dim > 1 {
                    offset = offset.plus(&Affine::variable(variable).times(stride * port_total));
                }
            }
            let place = Bits {
                net: port.net,
                offset,
                width: port_total,
            };
            let value = if port.is_output {
                Expr::Bits(place)
            } else {
                self.inline(&place, &child.dims, &variables)
                    .unwrap_or(Expr::Bits(place))
            };
            ports.push((port.name.clone(), value));
        }
        Ok(Instance {
            name: child.name.clone(),
            dims: child.dims.clone(),
            scope: child.scope,
            ports,
            variables,
        })
    }

    /// The expression that drives an instance's port, if one simple expression does for all instances.
    fn inline(&mut self, place: &Bits, dims: &[u32], variables: &[String]) -> Option<Expr> {
        let mut drivers = (0..)
            .zip(&self.assigns)
            .filter(|(_, a)| a.target.net == place.net);
        let (index, assign) = drivers.next()?;
        let looping: Vec<(&String, u32)> = variables
            .iter()
            .zip(dims.iter().copied())
            .filter(|(_, d)| *d > 1)
            .collect();
        // A collapsed assignment of the whole net serves every instance its own part.
        if assign.loops.is_empty() && assign.target.width == self.nets[place.net.0].total() {
            if drivers.next().is_some() {
                return None;
            }
            let Expr::Bits(source) = &assign.value else {
                return (looping.is_empty() && is_simple(&assign.value))
                    .then(|| self.remove_assign(index).value);
            };
            let mut bits = source.clone();
            bits.offset = bits.offset.plus(&place.offset);
            bits.width = place.width;
            self.remove_assign(index);
            return Some(Expr::Bits(bits));
        }
        let same_loops = assign.loops.len() == looping.len()
            && assign
                .loops
                .iter()
                .zip(&looping)
                .all(|(l, (_, dim))| l.from == 0 && l.to == *dim);
        if drivers.next().is_some() || !same_loops || assign.target.width != place.width {
            return None;
        }
        let mut renamed = assign.clone();
        for (l, (variable, _)) in assign.loops.iter().zip(&looping) {
            let to = Affine::variable(variable);
            renamed.target.offset = renamed.target.offset.substitute(&l.variable, &to);
            renamed.value = renamed.value.substitute(&l.variable, &to);
        }
        if renamed.target.offset != place.offset || !is_simple(&renamed.value) {
            return None;
        }
        self.remove_assign(index);
        Some(renamed.value)
    }
}

fn is_simple(e: &Expr) -> bool {
    matches!(e, Expr::Bits(_) | Expr::Literal { .. })
}

/// The loop variables of the kernel's assignments to the child, or i, j.
fn instance_variables(child: &ChildInfo<'_>, assigns: &[Assign]) -> Vec<String> {
    let looping = child.dims.iter().filter(|d| **d > 1).count();
    let from_kernel = assigns.iter().find(|a| {
        a.loops.len() == looping && looping > 0 && child.ports.iter().any(|p| p.net == a.target.net)
    });
    let names: Vec<String> = from_kernel.map_or_else(Vec::new, |a| {
        a.loops.iter().map(|l| l.variable.clone()).collect()
    });
    let mut fallback = ["i", "j", "n"].into_iter();
    let mut taken = names.into_iter();
    child
        .dims
        .iter()
        .map(|d| {
            let own = if *d > 1 { taken.next() } else { None };
            own.unwrap_or_else(|| fallback.next().unwrap_or("k").to_owned())
        })
        .collect()
}

/// What one run through a block has assigned so far.
#[derive(Clone, Debug, Default)]
struct Env {
    /// Target, value, and the order of its first assignment.
    values: Vec<(Bits, Expr, u32)>,
    /// The order of the statement at hand.
    order: u32,
    /// Nets read since their last assignment here.
    read: BTreeMap<NetId, ()>,
}

impl Env {
    fn get(&self, target: &Bits) -> Option<&Expr> {
        self.values
            .iter()
            .find(|(t, ..)| t == target)
            .map(|(_, v, _)| v)
    }

    /// A branch sees nothing assigned, so that what it assigns can be told; reads are checked by the caller's.
    fn branch(&self) -> Env {
        Env::default()
    }

    fn note_reads(&mut self, value: &Expr) {
        value.for_each_bits(&mut |bits| {
            self.read.insert(bits.net, ());
        });
    }

    /// Assigns; overriding a value that something has read in between has no meaning as wiring.
    fn set(&mut self, target: Bits, value: Expr) -> Result<(), NetId> {
        if self.get(&target).is_some() && self.read.contains_key(&target.net) {
            return Err(target.net);
        }
        self.note_reads(&value);
        self.force(target, value);
        Ok(())
    }

    fn force(&mut self, target: Bits, value: Expr) {
        self.note_reads(&value);
        match self.values.iter_mut().find(|(t, ..)| *t == target) {
            Some((_, old, _)) => *old = value,
            None => self.values.push((target, value, self.order)),
        }
    }
}

fn operator(op: &VerilogOp) -> Option<Op> {
    Some(match op {
        VerilogOp::Add => Op::Add,
        VerilogOp::Sub => Op::Sub,
        VerilogOp::BitXor => Op::Xor,
        VerilogOp::BitAnd => Op::And,
        VerilogOp::BitOr => Op::Or,
        VerilogOp::Shl => Op::Shl,
        VerilogOp::Shr => Op::Shr,
        VerilogOp::Eq => Op::Eq,
        VerilogOp::Ne => Op::Ne,
        VerilogOp::Lt => Op::Lt,
        VerilogOp::Le => Op::Le,
        VerilogOp::Gt => Op::Gt,
        VerilogOp::Ge => Op::Ge,
        VerilogOp::Mul | VerilogOp::LogicalAnd | VerilogOp::LogicalOr => return None,
    })
}

/// Width and value of a literal, from the way it prints.
pub(super) fn literal(l: &VerilogLiteral) -> (u32, u64) {
    let text = format!("{l:x}");
    let (bits, digits) = text.split_once("'h").unwrap_or(("32", "0"));
    (
        bits.parse().unwrap_or(32),
        u64::from_str_radix(digits, 16).unwrap_or(0),
    )
}

/// The range of a loop.
pub(crate) fn loop_bounds(l: &VerilogLoop) -> (u32, u32) {
    (literal(&l.from).1 as u32, literal(&l.to).1 as u32)
}

/// All places that an offset takes over its loops.
fn offsets(offset: &Affine, loops: &[Loop]) -> Vec<u32> {
    let mut places = vec![offset.constant];
    for l in loops {
        let factor = offset.terms.get(&l.variable).copied().unwrap_or(0);
        places = places
            .iter()
            .flat_map(|p| (l.from..l.to).map(move |v| p + factor * v))
            .collect();
    }
    places
}

/// A loop that copies neighbouring elements to neighbouring elements is one copy.
fn collapse(assign: &mut Assign) -> bool {
    let Expr::Bits(source) = &assign.value else {
        return false;
    };
    let target = &assign.target;
    let found = assign.loops.iter().position(|l| {
        let steps = |bits: &Bits| bits.offset.terms.get(&l.variable) == Some(&bits.width);
        steps(target) && steps(source)
    });
    let Some(index) = found else { return false };
    let l = assign.loops.remove(index);
    let widen = |bits: &Bits| Bits {
        net: bits.net,
        offset: bits
            .offset
            .substitute(&l.variable, &Affine::constant(l.from)),
        width: bits.width * (l.to - l.from),
    };
    let source = widen(source);
    assign.target = widen(&assign.target);
    assign.value = Expr::Bits(source);
    true
}

/// A copy of a block with a number in the place of a loop variable.
pub(crate) fn substitute_block(block: &VerilogBlock, name: &str, value: u32) -> VerilogBlock {
    block
        .iter()
        .map(|s| substitute_statement(s, name, value))
        .collect()
}

fn substitute_statement(statement: &Statement, name: &str, value: u32) -> Statement {
    let expr = |e: &Ast| substitute_expression(e, name, value);
    match statement {
        Statement::Assignment(target, source) => Statement::Assignment(expr(target), expr(source)),
        Statement::SliceAssignment {
            base,
            width,
            offset,
            replacement,
        } => Statement::SliceAssignment {
            base: expr(base),
            width: *width,
            offset: expr(offset),
            replacement: expr(replacement),
        },
        Statement::If(c) => Statement::If(VerilogConditional {
            test: expr(&c.test),
            then: substitute_block(&c.then, name, value),
            otherwise: match &c.otherwise {
                VerilogBlockOrConditional::Block(b) => {
                    VerilogBlockOrConditional::Block(substitute_block(b, name, value))
                }
                VerilogBlockOrConditional::Conditional(s) => {
                    VerilogBlockOrConditional::Conditional(Box::new(substitute_statement(
                        s, name, value,
                    )))
                }
                VerilogBlockOrConditional::None => VerilogBlockOrConditional::None,
            },
        }),
        Statement::Loop(l) => Statement::Loop(VerilogLoop {
            index: l.index.clone(),
            from: l.from.clone(),
            to: l.to.clone(),
            block: substitute_block(&l.block, name, value),
        }),
        Statement::Macro(b) => Statement::Macro(substitute_block(b, name, value)),
        other => other.clone(),
    }
}

fn substitute_expression(e: &Ast, name: &str, value: u32) -> Ast {
    let boxed = |e: &Ast| Box::new(substitute_expression(e, name, value));
    match e {
        Ast::Signal(path) if path == name => Ast::Literal(value.into()),
        Ast::Signal(path) => Ast::Signal(substitute_path(path, name, value)),
        Ast::Cast(e, width) => Ast::Cast(boxed(e), *width),
        Ast::Paren(e) => Ast::Paren(boxed(e)),
        Ast::Binary(a, op, b) => Ast::Binary(boxed(a), op.clone(), boxed(b)),
        Ast::Unary(op, e) => Ast::Unary(op.clone(), boxed(e)),
        Ast::Index(a, b) => Ast::Index(boxed(a), boxed(b)),
        Ast::Slice(a, width, b) => Ast::Slice(boxed(a), *width, boxed(b)),
        other => other.clone(),
    }
}

/// `row[r+1]$above[c]` with r = 2 is `row[3]$above[c]`.
pub(super) fn substitute_path(path: &str, name: &str, value: u32) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        let (index, tail) = after.split_once(']').unwrap_or((after, ""));
        let terms: Vec<&str> = index
            .trim_matches(['(', ')'])
            .split('+')
            .map(str::trim)
            .collect();
        let index = if terms.contains(&name) {
            let known = |t: &&str| {
                if *t == name {
                    Some(value)
                } else {
                    t.parse().ok()
                }
            };
            match terms.iter().map(known).sum::<Option<u32>>() {
                Some(sum) => sum.to_string(),
                None => index.replace(name, &value.to_string()),
            }
        } else {
            index.to_owned()
        };
        out.push_str(&format!("{before}[{index}]"));
        rest = tail;
    }
    out.push_str(rest);
    out
}
