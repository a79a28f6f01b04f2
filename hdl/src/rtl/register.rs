//! Registers: the clocked leaves. RustHDL's AST has no clock edge, so their Verilog is text and their `timing()` names
//! the pins; the emitter draws them into the module that holds them.

use super::net::Net;
use rust_hdl_core::ast::Verilog;
use rust_hdl_core::block;
use rust_hdl_core::clock::Clock;
use rust_hdl_core::direction::{In, Out};
use rust_hdl_core::logic::Logic;
use rust_hdl_core::prelude::LogicBlock;
use rust_hdl_core::probe;
use rust_hdl_core::signal::Signal;
use rust_hdl_core::timing::TimingInfo;

/// The name in `timing()` by which an emitter knows a register.
pub(crate) const REGISTER_TIMING: &str = "xnorforge_register";
/// The pin that lets the register take `d`.
pub(crate) const ENABLE: &str = "enable";
/// The pin that clears the register, before `enable`.
pub(crate) const RESET: &str = "reset";

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, [$($pin:ident),*], $this:ident, $update:expr, $verilog:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, LogicBlock)]
        pub struct $name {
            /// Clock.
            pub clock: Signal<In, Clock>,
            $(
                /// Control pin, one bit.
                pub $pin: Net<In>,
            )*
            /// What it takes.
            pub d: Net<In>,
            /// What it holds.
            pub q: Net<Out>,
        }

        impl $name {
            /// A register of `width` bits.
            pub fn new(width: u32) -> Self {
                $name {
                    clock: Signal::default(),
                    $($pin: Net::new(1),)*
                    d: Net::new(width),
                    q: Net::new(width),
                }
            }

            /// `count` registers of `width` bits.
            pub fn vector(count: u32, width: u32) -> Vec<Self> {
                (0..count).map(|_| Self::new(width)).collect()
            }
        }

        impl Logic for $name {
            fn update(&mut self) {
                if self.clock.pos_edge() {
                    let $this = self;
                    $update
                }
            }

            fn connect(&mut self) {
                self.q.connect();
            }

            fn hdl(&self) -> Verilog {
                Verilog::Custom($verilog.to_owned())
            }

            fn timing(&self) -> Vec<TimingInfo> {
                vec![TimingInfo {
                    name: REGISTER_TIMING.to_owned(),
                    clock: "clock".to_owned(),
                    inputs: vec!["d".to_owned(), $(stringify!($pin).to_owned()),*],
                    outputs: vec!["q".to_owned()],
                }]
            }
        }
    };
}

register!(
    /// Takes `d` at every clock edge. Not reset: for data that nothing reads before it is written.
    PlainRegister,
    [],
    r,
    r.q.next = r.d.val(),
    "always @(posedge clock) q <= d;"
);
register!(
    /// Takes `d` at a clock edge with `enable`. Not reset: for data that nothing reads before it is written.
    EnabledRegister,
    [enable],
    r,
    if r.enable.val().any() {
        r.q.next = r.d.val();
    },
    "always @(posedge clock) if (enable) q <= d;"
);
register!(
    /// Takes `d` at every clock edge, zero at one with `reset`.
    ResetRegister,
    [reset],
    r,
    r.q.next = if r.reset.val().any() {
        super::Word::zero(r.q.next.bits())
    } else {
        r.d.val()
    },
    "always @(posedge clock) if (reset) q <= 0; else q <= d;"
);
register!(
    /// Zero at a clock edge with `reset`, else takes `d` with `enable`.
    EnabledResetRegister,
    [reset, enable],
    r,
    if r.reset.val().any() {
        r.q.next = super::Word::zero(r.q.next.bits());
    } else if r.enable.val().any() {
        r.q.next = r.d.val();
    },
    "always @(posedge clock) if (reset) q <= 0; else if (enable) q <= d;"
);
