//! RustHDL at sizes chosen at run time: values, signals, constants and registers that know their own width.
//!
//! RustHDL's own signals carry their width in a const generic. Its kernels, however, are translated
//! syntactically, so fields of any type will do that offer `next`, `val()` and the operators; the types here do,
//! and implement RustHDL's `Atom`, `Logic` and `Block` (ADR 0001).

mod assertion;
mod net;
mod register;
mod word;

pub use assertion::Assertion;
pub(crate) use assertion::{ASSERTION, FAILS, START};
pub use net::{Constant, Net, Shape};
pub(crate) use net::{SHAPE, WAIVER};
pub(crate) use register::{ENABLE, REGISTER_TIMING, RESET};
pub use register::{EnabledRegister, EnabledResetRegister, PlainRegister, ResetRegister};
pub use word::{Word, bits_resize};

/// What kernels need in scope: RustHDL's prelude with this crate's signals.
pub mod prelude {
    pub use super::{
        Assertion, Constant, EnabledRegister, EnabledResetRegister, Net, PlainRegister,
        ResetRegister, Shape, Word, bits_resize,
    };
    pub use rust_hdl_core::prelude::{
        Block, Clock, In, Local, Logic, LogicBlock, Out, Probe, Signal, Verilog, ast, block,
        hdl_gen, logic, probe,
    };
}
