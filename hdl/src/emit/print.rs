//! From a module to text.

use super::EmitError;
use super::collect::Scope;
use super::ir::{Affine, Bits, Expr, NetId};
use super::module::{Assign, Check, Instance, Loop, Module, Net, NetKind, Register};
use super::names::{Names, is_identifier};
use rust_hdl_core::ast::Verilog;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The names of a module's nets and instances as they are printed.
struct Printer<'m, 'a> {
    module: &'m Module<'a>,
    names: Vec<String>,
    used: BTreeSet<NetId>,
    out: String,
    /// Genvar and block names.
    space: Names,
    genvars: BTreeSet<String>,
}

/// A statement made of an assertion's label and of what must not be.
type CheckText = fn(&str, &str) -> String;

/// Prints a module named `name`; `child_name` gives the module names of its children.
pub(super) fn print(
    module: &Module<'_>,
    name: &str,
    child_name: &dyn Fn(&Scope) -> Result<String, EmitError>,
) -> Result<String, EmitError> {
    let mut space = Names::default();
    let mut names = Vec::new();
    for net in &module.nets {
        let is_port = matches!(net.kind, NetKind::Input | NetKind::Output);
        if is_port && !is_identifier(&net.name) {
            return Err(EmitError::Name {
                module: name.to_owned(),
                name: net.name.clone(),
            });
        }
        names.push(if is_port {
            space.unique(&net.name)
        } else {
            String::new()
        });
    }
    let mut printer = Printer {
        module,
        names,
        used: BTreeSet::new(),
        out: String::new(),
        space,
        genvars: BTreeSet::new(),
    };
    printer.note_used();
    printer.name_nets();
    printer.header(name);
    if let Verilog::Custom(text) = &module.scope.code {
        printer.line(text.trim_end());
    } else {
        printer.declarations();
        printer.assigns();
        printer.instances(child_name)?;
        printer.registers()?;
        printer.checks()?;
    }
    let body = printer.out.trim_end();
    Ok(format!("{body}\nendmodule\n"))
}

/// One net of a port list.
pub(super) fn port_width(net: &Net) -> u32 {
    net.total()
}

impl Printer<'_, '_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn note_used(&mut self) {
        let mut used = BTreeSet::new();
        let mut note = |bits: &Bits| {
            used.insert(bits.net);
        };
        for assign in &self.module.assigns {
            note(&assign.target);
            assign.value.for_each_bits(&mut note);
        }
        for instance in &self.module.instances {
            for (_, value) in &instance.ports {
                value.for_each_bits(&mut note);
            }
        }
        for register in &self.module.registers {
            for value in [
                Some(&register.d),
                register.enable.as_ref(),
                register.reset.as_ref(),
            ]
            .into_iter()
            .flatten()
            {
                value.for_each_bits(&mut note);
            }
        }
        used.extend(self.module.registers.iter().map(|r| r.q));
        self.used = used;
    }

    fn name_nets(&mut self) {
        for (i, net) in self.module.nets.iter().enumerate() {
            if self.names[i].is_empty() && self.used.contains(&NetId(i)) {
                self.names[i] = self.space.unique(&net.name);
            }
        }
    }

    fn header(&mut self, name: &str) {
        let module = self.module;
        // Text of its own assigns an output either in an `always` block or continuously.
        let is_reg = |name: &str| match &module.scope.code {
            Verilog::Custom(text) => !text.contains(&format!("assign {name} =")),
            _ => false,
        };
        let ports: Vec<(String, &Option<String>)> = module
            .nets
            .iter()
            .zip(&self.names)
            .filter_map(|(net, name)| {
                let direction = match (net.kind, is_reg(name)) {
                    (NetKind::Input, _) => "input  wire",
                    (NetKind::Output, true) => "output reg ",
                    (NetKind::Output, false) => "output wire",
                    _ => return None,
                };
                let range = if net.is_clock {
                    String::new()
                } else {
                    range(net)
                };
                Some((format!("    {direction} {range:<9} {name}"), &net.waiver))
            })
            .collect();
        self.line(&format!("module {name} ("));
        for (i, (port, waiver)) in ports.iter().enumerate() {
            if let Some(reason) = waiver {
                self.line(&format!(
                    "    /* verilator lint_off UNUSEDSIGNAL */ // {reason}"
                ));
            }
            let comma = if i + 1 < ports.len() { "," } else { "" };
            self.line(&format!("{port}{comma}"));
            if waiver.is_some() {
                self.line("    /* verilator lint_on UNUSEDSIGNAL */");
            }
        }
        self.line(");");
    }

    fn declarations(&mut self) {
        let module = self.module;
        let mut text = String::new();
        let mut waiver = None;
        for (i, net) in module.nets.iter().enumerate() {
            let keyword = match net.kind {
                NetKind::Wire => "wire",
                NetKind::Register => "reg ",
                _ => continue,
            };
            if !self.used.contains(&NetId(i)) {
                continue;
            }
            if net.waiver != waiver {
                if waiver.is_some() {
                    text.push_str("    /* verilator lint_on UNUSEDSIGNAL */\n");
                }
                if let Some(reason) = &net.waiver {
                    let _ = writeln!(
                        text,
                        "    /* verilator lint_off UNUSEDSIGNAL */ // {reason}"
                    );
                }
                waiver.clone_from(&net.waiver);
            }
            let _ = writeln!(text, "    {keyword} {:<9} {};", range(net), self.names[i]);
        }
        if waiver.is_some() {
            text.push_str("    /* verilator lint_on UNUSEDSIGNAL */\n");
        }
        let variables: BTreeSet<&String> = module
            .assigns
            .iter()
            .flat_map(|a| a.loops.iter().map(|l| &l.variable))
            .chain(module.instances.iter().flat_map(|i| {
                i.variables
                    .iter()
                    .zip(&i.dims)
                    .filter(|(_, d)| **d > 1)
                    .map(|(v, _)| v)
            }))
            .collect();
        for variable in variables {
            let name = self.space.unique(variable);
            let _ = writeln!(text, "    genvar {name};");
            self.genvars.insert(variable.clone());
            // A loop variable that meets a signal of its name would be renamed here and not where it is used.
            debug_assert_eq!(&name, variable);
        }
        self.out.push_str(&text);
        if !text.is_empty() {
            self.line("");
        }
    }

    fn assigns(&mut self) {
        let mut printed = 0;
        let module = self.module;
        let mut comments = module.comments.iter().peekable();
        let mut block = 0;
        while printed < module.assigns.len() {
            let order = module.assigns[printed].order;
            while let Some((_, text)) = comments.next_if(|(at, _)| *at <= order) {
                let text = format!("    // {text}");
                self.line(&text);
            }
            let loops = &module.assigns[printed].loops;
            let next_comment = comments.peek().map_or(u32::MAX, |(at, _)| *at);
            let end = (printed..module.assigns.len())
                .find(|i| {
                    let assign = &module.assigns[*i];
                    assign.loops != *loops || assign.order >= next_comment
                })
                .unwrap_or(module.assigns.len());
            let group = &module.assigns[printed..end];
            if loops.is_empty() {
                for assign in group {
                    let text = self.assign(assign);
                    self.line(&format!("    {text}"));
                }
            } else {
                self.generate_loop(loops, group, &mut block);
            }
            printed = end;
        }
        if printed > 0 {
            self.line("");
        }
    }

    fn generate_loop(&mut self, loops: &[Loop], group: &[Assign], block: &mut usize) {
        self.line("    generate");
        for (depth, l) in loops.iter().enumerate() {
            let label = self.space.unique(&format!("g_{}_{}", l.variable, block));
            *block += 1;
            let text = format!(
                "{}for ({v} = {}; {v} < {}; {v} = {v} + 1) begin : {label}",
                indent(depth + 2),
                l.from,
                l.to,
                v = l.variable
            );
            self.line(&text);
        }
        for assign in group {
            let text = format!("{}{}", indent(loops.len() + 2), self.assign(assign));
            self.line(&text);
        }
        for depth in (0..loops.len()).rev() {
            self.line(&format!("{}end", indent(depth + 2)));
        }
        self.line("    endgenerate");
    }

    fn assign(&self, assign: &Assign) -> String {
        let target = self.bits(&assign.target);
        format!("assign {target} = {};", self.top(&assign.value))
    }

    fn bits(&self, bits: &Bits) -> String {
        let net = &self.module.nets[bits.net.0];
        let name = &self.names[bits.net.0];
        let total = net.total();
        if bits.width == total {
            return name.clone();
        }
        match (bits.offset.as_constant(), bits.width) {
            (Some(low), 1) => format!("{name}[{low}]"),
            (Some(low), width) => format!("{name}[{}:{low}]", low + width - 1),
            (None, 1) => format!("{name}[{}]", affine(&bits.offset)),
            (None, width) => format!("{name}[{} +: {width}]", affine(&bits.offset)),
        }
    }

    /// An expression where no parentheses are needed around it.
    fn top(&self, e: &Expr) -> String {
        match e {
            Expr::Binary(op, a, b) => format!("{} {} {}", self.sub(a), op.symbol(), self.sub(b)),
            Expr::Select {
                test,
                then,
                otherwise,
            } => format!(
                "{} ? {} : {}",
                self.sub(test),
                self.sub(then),
                self.sub(otherwise)
            ),
            other => self.sub(other),
        }
    }

    /// An expression as an operand.
    fn sub(&self, e: &Expr) -> String {
        match e {
            Expr::Bits(bits) => self.bits(bits),
            Expr::Literal { width, value } if *value > 9 => format!("{width}'h{value:x}"),
            Expr::Literal { width, value } => format!("{width}'d{value}"),
            Expr::Not(e) => format!("~{}", self.sub(e)),
            Expr::Any(e) => format!("(|{})", self.sub(e)),
            Expr::Concat(parts) => {
                let parts: Vec<String> = parts.iter().map(|p| self.top(p)).collect();
                format!("{{{}}}", parts.join(", "))
            }
            other => format!("({})", self.top(other)),
        }
    }

    fn instances(
        &mut self,
        child_name: &dyn Fn(&Scope) -> Result<String, EmitError>,
    ) -> Result<(), EmitError> {
        let module = self.module;
        for instance in &module.instances {
            let module_name = child_name(instance.scope)?;
            self.instance(instance, &module_name);
        }
        Ok(())
    }

    fn instance(&mut self, instance: &Instance<'_>, module_name: &str) {
        let loops: Vec<(&String, u32)> = instance
            .variables
            .iter()
            .zip(instance.dims.iter().copied())
            .filter(|(_, d)| *d > 1)
            .collect();
        if !loops.is_empty() {
            self.line("    generate");
        }
        for (depth, (variable, dim)) in loops.iter().enumerate() {
            let label = self
                .space
                .unique(&format!("g_{}_{variable}", instance.name));
            let text = format!(
                "{}for ({v} = 0; {v} < {dim}; {v} = {v} + 1) begin : {label}",
                indent(depth + 2),
                v = variable
            );
            self.line(&text);
        }
        let depth = if loops.is_empty() { 1 } else { loops.len() + 2 };
        let name = self.space.unique(&instance_name(&instance.name));
        self.line(&format!("{}{module_name} {name} (", indent(depth)));
        let longest = instance
            .ports
            .iter()
            .map(|(n, _)| n.len())
            .max()
            .unwrap_or(0);
        let ports: Vec<String> = instance
            .ports
            .iter()
            .map(|(port, value)| {
                format!(
                    "{}.{port:<longest$} ({})",
                    indent(depth + 1),
                    self.top(value)
                )
            })
            .collect();
        self.line(&ports.join(",\n"));
        self.line(&format!("{});", indent(depth)));
        for depth in (0..loops.len()).rev() {
            self.line(&format!("{}end", indent(depth + 2)));
        }
        if !loops.is_empty() {
            self.line("    endgenerate");
        }
        self.line("");
    }

    /// All registers in one clocked block: first those that are reset, then those that are not.
    fn registers(&mut self) -> Result<(), EmitError> {
        let module = self.module;
        let Some(first) = module.registers.first() else {
            return Ok(());
        };
        if module.registers.iter().any(|r| r.clock != first.clock) {
            return Err(EmitError::unsupported("two clocks in one block"));
        }
        let clock = self.names[first.clock.0].clone();
        let (reset, free): (Vec<_>, Vec<_>) =
            module.registers.iter().partition(|r| r.reset.is_some());
        self.line(&format!("    always @(posedge {clock}) begin"));
        for (signal, group) in self.by(&reset, |r| r.reset.as_ref()) {
            self.line(&format!("        if ({signal}) begin"));
            for register in &group {
                let width = module.nets[register.q.0].total();
                let text = format!("{} <= {width}'d0;", self.names[register.q.0]);
                self.line(&format!("            {text}"));
            }
            self.line("        end else begin");
            self.enabled(&group, 3);
            self.line("        end");
        }
        self.enabled(&free, 2);
        self.line("    end");
        Ok(())
    }

    /// Assertions, for formal tools and for simulators; nothing else sees them.
    fn checks(&mut self) -> Result<(), EmitError> {
        let module = self.module;
        if module.checks.is_empty() {
            return Ok(());
        }
        for check in &module.checks {
            self.reads_only_used(check)?;
        }
        let name = self.space.unique("asserting");
        let kinds: [(&str, CheckText); 2] = [
            ("`ifdef FORMAL", |label, fails| {
                format!("assert (~({fails})); // {label}")
            }),
            ("`elsif SIMULATION", |label, fails| {
                format!(
                    "if ({fails}) begin $display(\"assertion {label} fails in %m\"); $stop; end"
                )
            }),
        ];
        self.line("");
        for (condition, statement) in kinds {
            self.line(condition);
            self.check_group(&name, statement);
        }
        self.line("`endif");
        Ok(())
    }

    /// One register that tells since when the assertions hold, for each signal that starts some.
    fn check_group(&mut self, name: &str, statement: CheckText) {
        let module = self.module;
        let mut starts: Vec<(NetId, String)> = Vec::new();
        for check in &module.checks {
            let start = (check.clock, self.top(&check.start));
            if !starts.contains(&start) {
                starts.push(start);
            }
        }
        for (i, (clock, start)) in starts.iter().enumerate() {
            let register = match i {
                0 => name.to_owned(),
                i => format!("{name}_{i}"),
            };
            self.line(&format!("    reg            {register};"));
            self.line(&format!("    initial {register} = 1'd0;"));
            let clock_name = self.names[clock.0].clone();
            self.line(&format!("    always @(posedge {clock_name}) begin"));
            self.line(&format!("        if ({start}) begin"));
            self.line(&format!("            {register} <= 1'd1;"));
            self.line(&format!("        end else if ({register}) begin"));
            for check in &module.checks {
                if check.clock == *clock && self.top(&check.start) == *start {
                    let text = statement(&check.label, &self.top(&check.fails));
                    self.line(&format!("            {text}"));
                }
            }
            self.line("        end");
            self.line("    end");
        }
    }

    /// An assertion must not keep nets alive that the hardware has not.
    fn reads_only_used(&self, check: &Check) -> Result<(), EmitError> {
        let mut unused = None;
        for value in [&check.start, &check.fails] {
            value.for_each_bits(&mut |bits: &Bits| {
                if !self.used.contains(&bits.net) {
                    unused = Some(bits.net);
                }
            });
        }
        match unused {
            Some(net) => Err(EmitError::unsupported(format!(
                "assertion `{}`: nothing else reads `{}`",
                check.label, self.module.nets[net.0].name
            ))),
            None => Ok(()),
        }
    }

    /// Registers grouped by a control signal, in the order in which each signal is first met.
    fn by<'r>(
        &self,
        registers: &[&'r Register],
        signal: impl Fn(&'r Register) -> Option<&'r Expr>,
    ) -> Vec<(String, Vec<&'r Register>)> {
        let mut groups: Vec<(String, Vec<&Register>)> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for register in registers {
            let text = signal(register).map_or_else(String::new, |e| self.top(e));
            let at = *index.entry(text.clone()).or_insert_with(|| {
                groups.push((text, Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(register);
        }
        groups
    }

    fn enabled(&mut self, registers: &[&Register], depth: usize) {
        for (signal, group) in self.by(registers, |r| r.enable.as_ref()) {
            let depth = if signal.is_empty() {
                depth
            } else {
                self.line(&format!("{}if ({signal}) begin", indent(depth)));
                depth + 1
            };
            for register in &group {
                let text = format!("{} <= {};", self.names[register.q.0], self.top(&register.d));
                self.line(&format!("{}{text}", indent(depth)));
            }
            if !signal.is_empty() {
                self.line(&format!("{}end", indent(depth - 1)));
            }
        }
    }
}

fn range(net: &Net) -> String {
    format!("[{}:0]", net.total() - 1)
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

/// `pe` as `u_pe`: instances are told from nets at a glance, and never collide with them.
fn instance_name(name: &str) -> String {
    format!("u_{name}")
}

fn affine(offset: &Affine) -> String {
    let mut terms: Vec<String> = offset
        .terms
        .iter()
        .map(|(name, factor)| match factor {
            1 => name.clone(),
            factor => format!("{factor}*{name}"),
        })
        .collect();
    if offset.constant > 0 || terms.is_empty() {
        terms.push(offset.constant.to_string());
    }
    terms.join(" + ")
}
