//! Assertions: what must never be so, said in a kernel and printed where no synthesizer looks.

use super::net::{Net, constant_atom, descriptor, literal, vcd_value};
use super::word::Word;
use rust_hdl_core::ast::{Verilog, VerilogLiteral};
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block;
use rust_hdl_core::block::Block;
use rust_hdl_core::clock::Clock;
use rust_hdl_core::constraint::PinConstraint;
use rust_hdl_core::direction::In;
use rust_hdl_core::logic::Logic;
use rust_hdl_core::prelude::LogicBlock;
use rust_hdl_core::probe;
use rust_hdl_core::probe::Probe;
use rust_hdl_core::signal::{Signal, get_signal_id};
use rust_hdl_core::synth::VCDValue;
use rust_hdl_core::timing::TimingInfo;
use rust_hdl_core::type_descriptor::TypeDescriptor;

/// Begins the type name of an assertion's label; the label follows.
pub(crate) const ASSERTION: &str = "assertion: ";
/// The pin that arms the assertion.
pub(crate) const START: &str = "start";
/// The pin that breaks it.
pub(crate) const FAILS: &str = "fails";

/// Names an assertion.
#[derive(Clone, Debug)]
pub struct Label {
    name: &'static str,
    id: usize,
}

constant_atom!(
    Label,
    |l: &Label| format!("{ASSERTION}{}", l.name),
    |_: &Label| Word::zero(1)
);

/// `fails` must be 0 at every clock edge after the first one with `start`, edges with `start` left out: registers that are
/// not reset hold anything before.
///
/// The emitter prints it under `ifdef FORMAL` as an `assert`, and under `ifdef SIMULATION` as a message with the label and a
/// `$stop`; a synthesizer sees nothing of it. The pins may only read nets that the module has anyhow. RustHDL's own
/// simulation and generator ignore assertions.
#[derive(Clone, Debug, LogicBlock)]
pub struct Assertion {
    label: Label,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Arms it; usually the reset.
    pub start: Net<In>,
    /// What must not be.
    pub fails: Net<In>,
}

impl Assertion {
    /// An assertion with a label, which is a plain identifier.
    pub fn new(label: &'static str) -> Self {
        Assertion {
            label: Label {
                name: label,
                id: get_signal_id(),
            },
            clock: Signal::default(),
            start: Net::new(1),
            fails: Net::new(1),
        }
    }
}

impl Logic for Assertion {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Custom(String::new())
    }

    fn timing(&self) -> Vec<TimingInfo> {
        Vec::new()
    }
}
