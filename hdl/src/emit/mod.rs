//! The emitter: a design as Verilog-2005, one module for each distinct block.
//!
//! [`generate`] reads a [`StreamArray`] by a RustHDL `Probe` and prints it. Before, for the kernel
//!
//! ```text
//! for c in 0..self._columns {
//!     self.pe[c].activation[m].next = self.activation[m].val();
//! }
//! ```
//!
//! and after, in `xnf_pe_row_c8_l64.v`:
//!
//! ```text
//! generate
//!     for (c = 0; c < 8; c = c + 1) begin : g_pe_c
//!         xnf_processing_element_a1_w1_l64 u_pe (
//!             .activation (activation),
//! ```
//!
//! Widths are exact, parentheses full, ranges always printed; the same design gives the same bytes.

mod collect;
mod ir;
mod module;
pub mod names;
mod print;

pub(crate) use module::{loop_bounds, substitute_block};

use crate::accelerator::{AcceleratorConfig, AcceleratorDesign};
use crate::config::{ArrayConfig, Design};
use crate::hardware::StreamArray;
use crate::hardware::accelerator::{Accelerator, AxiAccelerator};
use crate::hardware::broadcast::BroadcastArray;
use collect::{Collector, Scope};
use module::NetKind;
use rust_hdl_core::block::Block;
use rust_hdl_core::check_error::check_all;
use rust_hdl_core::top_wrap::TopWrap;
use serde::Serialize;
use std::collections::HashMap;

/// Marks the inputs of an array's top as driven from outside. A macro, since two tops have the same ports.
macro_rules! connect_inputs {
    ($top:expr) => {{
        use rust_hdl_core::logic::Logic;
        let top = &mut $top;
        top.clock.connect();
        for net in [
            &mut top.reset,
            &mut top.operand_valid,
            &mut top.operand_first,
            &mut top.operand_last,
            &mut top.operand_shift,
            &mut top.operand_row_mode,
            &mut top.operand_align,
            &mut top.operand_result_shift,
            &mut top.operand_entry,
            &mut top.constant_write,
            &mut top.constant_entry,
            &mut top.result_ready,
        ]
        .into_iter()
        .chain(top.operand_activation.iter_mut().flatten())
        .chain(top.operand_weight.iter_mut().flatten())
        .chain(&mut top.constant_value)
        {
            net.connect();
        }
    }};
}

/// Prefix of every module's name.
pub const PREFIX: &str = "xnf_";

/// Why a design cannot be emitted. A validated configuration never meets these; they guard the kernels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// A kernel uses something that has no meaning as wiring.
    #[error("the emitter does not support {0}")]
    Unsupported(String),
    /// A port's name is no Verilog identifier.
    #[error("module `{module}`: port name `{name}` is reserved or no Verilog identifier")]
    Name {
        /// The module.
        module: String,
        /// The port.
        name: String,
    },
    /// RustHDL's own checks fail.
    #[error("RustHDL's design checks fail: {0}")]
    Check(String),
}

impl EmitError {
    fn unsupported(what: impl std::fmt::Display) -> Self {
        EmitError::Unsupported(what.to_string())
    }
}

/// One Verilog file: one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerilogFile {
    /// File name, `<module>.v`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Direction of a port, seen from the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PortDirection {
    /// Driven from outside.
    Input,
    /// Driven by the module.
    Output,
}

/// One port of the top module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Direction.
    pub direction: PortDirection,
    /// Width in bits.
    pub width: u32,
}

/// One emitted module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleInfo {
    /// Name.
    pub name: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// How often it stands in the whole design.
    pub instances: u64,
}

/// A design as Verilog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The top module.
    pub top: String,
    /// One file for each module, each after those that it uses.
    pub files: Vec<VerilogFile>,
    /// The modules, in the same order.
    pub modules: Vec<ModuleInfo>,
    /// The top module's ports, in their order.
    pub ports: Vec<Port>,
    /// Simulation models of the device's primitives, or of a library's adder cells, that the files instantiate. No tool for
    /// the device wants them.
    pub primitives: Vec<VerilogFile>,
}

impl Package {
    /// All that a simulator reads: the primitives' models, then the files.
    pub fn simulation_files(&self) -> impl Iterator<Item = &VerilogFile> {
        self.primitives.iter().chain(&self.files)
    }
}

/// Emits the array of a design.
///
/// # Errors
/// [`EmitError`] if a kernel cannot be emitted; this would be a bug in this crate.
pub fn generate(design: &Design) -> Result<Package, EmitError> {
    check(design)?;
    if design.broadcast_stages() > 0 {
        return emit(&BroadcastArray::new(design), &header(design));
    }
    emit(&StreamArray::new(design), &header(design))
}

/// Emits the accelerator's core of a design.
///
/// # Errors
/// As [`generate`].
pub fn generate_accelerator(design: &AcceleratorDesign) -> Result<Package, EmitError> {
    check_accelerator(design)?;
    emit(
        &Accelerator::new(design),
        &accelerator_header(design, "stream"),
    )
}

/// Emits the accelerator of a design behind AXI4-Lite and AXI4-Stream ports.
///
/// # Errors
/// As [`generate`].
pub fn generate_axi(design: &AcceleratorDesign) -> Result<Package, EmitError> {
    check_axi(design)?;
    emit(
        &AxiAccelerator::new(design),
        &accelerator_header(design, "axi"),
    )
}

/// Emits any block as the top of a package, each file beginning with `header`.
///
/// # Errors
/// As [`generate`].
pub fn emit(block: &dyn Block, header: &str) -> Result<Package, EmitError> {
    let root = Collector::collect(block)?;
    let mut emitter = Emitter {
        header,
        files: Vec::new(),
        modules: Vec::new(),
        by_shape: HashMap::new(),
        names: names::Names::default(),
    };
    let (top, ports) = emitter.module(&root, 1)?;
    Ok(Package {
        top,
        primitives: crate::fabric::primitives::models(&emitter.files),
        files: emitter.files,
        modules: emitter.modules,
        ports,
    })
}

/// Runs RustHDL's checks (connections, loops, writes to inputs) on the design with at most 2 x 2 elements: the kernels
/// are the same at every size, and the checks are slow at large ones.
fn check(design: &Design) -> Result<(), EmitError> {
    let c = design.config();
    let small = ArrayConfig {
        rows: c.rows.min(2),
        columns: c.columns.min(2),
        ..c.clone()
    };
    let small = small
        .validate()
        .map_err(|e| EmitError::Check(e.to_string()))?;
    if small.broadcast_stages() > 0 {
        let mut top = TopWrap::new(BroadcastArray::new(&small));
        connect_inputs!(top.uut);
        return checked(top);
    }
    let mut top = TopWrap::new(StreamArray::new(&small));
    connect_inputs!(top.uut);
    checked(top)
}

fn checked<B: Block>(mut top: TopWrap<B>) -> Result<(), EmitError> {
    top.connect_all();
    check_all(&top).map_err(|e| EmitError::Check(format!("{e:?}")))
}

/// A design with at most 2 x 2 elements for each load port and drained column.
fn small_accelerator(design: &AcceleratorDesign) -> Result<AcceleratorDesign, EmitError> {
    let (array, c) = (design.design().config(), design.config());
    let few = |count: u32, ports: u32| ports.min(2) * (count / ports).min(2);
    let small = ArrayConfig {
        rows: few(array.rows, c.load_ports),
        columns: few(array.columns, c.drain_columns),
        accelerator: AcceleratorConfig {
            load_ports: c.load_ports.min(2),
            drain_columns: c.drain_columns.min(2),
            ..c.clone()
        },
        ..array.clone()
    };
    small
        .validate()
        .and_then(|design| AcceleratorDesign::new(&design))
        .map_err(|e| EmitError::Check(e.to_string()))
}

/// As [`check`], on a small design.
fn check_accelerator(design: &AcceleratorDesign) -> Result<(), EmitError> {
    let mut top = TopWrap::new(Accelerator::new(&small_accelerator(design)?));
    connect_accelerator_inputs(&mut top.uut);
    top.connect_all();
    check_all(&top).map_err(|e| EmitError::Check(format!("{e:?}")))
}

/// As [`check`], on a small design.
fn check_axi(design: &AcceleratorDesign) -> Result<(), EmitError> {
    let mut top = TopWrap::new(AxiAccelerator::new(&small_accelerator(design)?));
    connect_axi_inputs(&mut top.uut);
    top.connect_all();
    check_all(&top).map_err(|e| EmitError::Check(format!("{e:?}")))
}

/// Marks the inputs of the top with AMBA ports as driven from outside.
fn connect_axi_inputs(top: &mut AxiAccelerator) {
    use rust_hdl_core::logic::Logic;
    top.aclk.connect();
    for net in [
        &mut top.aresetn,
        &mut top.s_axil_awvalid,
        &mut top.s_axil_awaddr,
        &mut top.s_axil_awprot,
        &mut top.s_axil_wvalid,
        &mut top.s_axil_wdata,
        &mut top.s_axil_wstrb,
        &mut top.s_axil_bready,
        &mut top.s_axil_arvalid,
        &mut top.s_axil_araddr,
        &mut top.s_axil_arprot,
        &mut top.s_axil_rready,
        &mut top.s_axis_program_tvalid,
        &mut top.s_axis_program_tdata,
        &mut top.s_axis_program_tlast,
        &mut top.s_axis_weight_tvalid,
        &mut top.s_axis_weight_tdata,
        &mut top.s_axis_weight_tlast,
        &mut top.s_axis_input_tvalid,
        &mut top.s_axis_input_tdata,
        &mut top.s_axis_input_tlast,
        &mut top.m_axis_result_tready,
    ] {
        net.connect();
    }
}

/// Marks the core's inputs as driven from outside.
fn connect_accelerator_inputs(top: &mut Accelerator) {
    use rust_hdl_core::logic::Logic;
    top.clock.connect();
    for net in [
        &mut top.reset,
        &mut top.start,
        &mut top.start_address,
        &mut top.runs,
        &mut top.program_valid,
        &mut top.program_data,
        &mut top.program_last,
        &mut top.weight_valid,
        &mut top.weight_data,
        &mut top.weight_last,
        &mut top.input_valid,
        &mut top.input_data,
        &mut top.input_last,
        &mut top.result_ready,
        &mut top.counter_clear,
        &mut top.counter_address,
    ] {
        net.connect();
    }
}

/// What stands first in every file of an accelerator.
fn accelerator_header(design: &AcceleratorDesign, interface: &str) -> String {
    let c = design.design().config();
    let regenerate = format!(
        "{}{} --interface {interface}{}",
        c.command_flags(),
        c.accelerator.command_flags(),
        liberty_flag(design.design())
    );
    header_text(&c.accelerator_hash(), &regenerate)
}

/// What stands first in every file.
fn header(design: &Design) -> String {
    let c = design.config();
    let regenerate = c.command_flags() + liberty_flag(design);
    header_text(&c.hash(), &regenerate)
}

/// The flag that gives the adder cells, if there are any.
fn liberty_flag(design: &Design) -> &'static str {
    match design.adder_cells().is_empty() {
        true => "",
        false => " --liberty FILE",
    }
}

fn header_text(hash: &str, flags: &str) -> String {
    format!(
        "// SPDX-License-Identifier: Apache-2.0 OR MIT\n\
         // Generated by xnorforge {}; do not edit.\n\
         // Configuration {hash}\n\
         // Regenerate: xnorforge generate {flags} --out DIR\n",
        env!("CARGO_PKG_VERSION"),
    )
}

struct Emitter<'h> {
    header: &'h str,
    files: Vec<VerilogFile>,
    modules: Vec<ModuleInfo>,
    /// Content (the module's text under a neutral name) to index in `modules`.
    by_shape: HashMap<String, usize>,
    names: names::Names,
}

impl Emitter<'_> {
    /// Emits a scope's children, then the scope, unless an equal module is there; gives its name and ports.
    fn module(&mut self, scope: &Scope, instances: u64) -> Result<(String, Vec<Port>), EmitError> {
        let built = module::build(scope)?;
        let mut children = HashMap::new();
        for instance in &built.instances {
            let count: u64 = instance.dims.iter().map(|d| u64::from(*d)).product();
            let (name, _) = self.module(instance.scope, instances * count)?;
            children.insert(std::ptr::from_ref(instance.scope), name);
        }
        let child_name = |scope: &Scope| {
            children
                .get(&std::ptr::from_ref(scope))
                .cloned()
                .ok_or_else(|| EmitError::unsupported("a child that was not emitted"))
        };
        let ports = built
            .nets
            .iter()
            .filter_map(|net| {
                let direction = match net.kind {
                    NetKind::Input => PortDirection::Input,
                    NetKind::Output => PortDirection::Output,
                    _ => return None,
                };
                Some(Port {
                    name: net.name.clone(),
                    direction,
                    width: print::port_width(net),
                })
            })
            .collect();
        let wanted = format!("{PREFIX}{}", scope.module_name);
        let content = print::print(&built, &wanted, &child_name)?;
        if let Some(index) = self.by_shape.get(&content) {
            let module = &mut self.modules[*index];
            module.instances += instances;
            return Ok((module.name.clone(), ports));
        }
        let name = self.names.unique(&wanted);
        let body = if name == wanted {
            content.clone()
        } else {
            print::print(&built, &name, &child_name)?
        };
        self.by_shape.insert(content, self.modules.len());
        self.files.push(VerilogFile {
            name: format!("{name}.v"),
            text: format!(
                "{}//\n// {}\n\n`default_nettype none\n\n{body}\n`default_nettype wire\n",
                self.header, scope.summary
            ),
        });
        self.modules.push(ModuleInfo {
            name: name.clone(),
            summary: scope.summary.clone(),
            instances,
        });
        Ok((name, ports))
    }
}
