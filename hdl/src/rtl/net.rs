//! Signals and constants of a width chosen at run time.

use super::word::Word;
use rust_hdl_core::ast::VerilogLiteral;
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block::Block;
use rust_hdl_core::constraint::PinConstraint;
use rust_hdl_core::direction::{Direction, In, Local, Out};
use rust_hdl_core::logic::Logic;
use rust_hdl_core::probe::Probe;
use rust_hdl_core::signal::get_signal_id;
use rust_hdl_core::synth::VCDValue;
use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeKind};
use std::marker::PhantomData;

/// Begins the type name of a net that carries a lint waiver; the reason follows.
pub(crate) const WAIVER: &str = "waiver: ";
/// Begins the type name of a module's shape; the name, a colon and the summary follow.
pub(crate) const SHAPE: &str = "shape: ";

/// A signal of a width chosen at run time: an input (`Net<In>`), an output (`Net<Out>`) or a local (`Net<Local>`)
/// of a block. Kernels write `next` and read `val()`, as with RustHDL's own signals.
#[derive(Clone, Debug)]
pub struct Net<D: Direction> {
    /// The value that the kernel assigns.
    pub next: Word,
    val: Word,
    changed: bool,
    claimed: bool,
    id: usize,
    waiver: Option<&'static str>,
    direction: PhantomData<D>,
}

impl<D: Direction> Net<D> {
    /// A net of `width` bits, all zero.
    pub fn new(width: u32) -> Self {
        let zero = Word::zero(width as usize);
        Net {
            next: zero.clone(),
            val: zero,
            changed: false,
            claimed: false,
            id: get_signal_id(),
            waiver: None,
            direction: PhantomData,
        }
    }

    /// A net some bits of which nothing reads, for the reason given.
    pub fn partly_unused(width: u32, reason: &'static str) -> Self {
        Net {
            waiver: Some(reason),
            ..Net::new(width)
        }
    }

    /// `count` nets of `width` bits.
    pub fn vector(count: u32, width: u32) -> Vec<Self> {
        (0..count).map(|_| Net::new(width)).collect()
    }
}

impl Net<In> {
    /// The settled value.
    pub fn val(&self) -> Word {
        self.val.clone()
    }
}

impl Net<Out> {
    /// The value assigned last.
    pub fn val(&self) -> Word {
        self.next.clone()
    }
}

impl Net<Local> {
    /// The value assigned last.
    pub fn val(&self) -> Word {
        self.next.clone()
    }
}

pub(super) fn descriptor(name: String, width: usize) -> TypeDescriptor {
    TypeDescriptor {
        name,
        kind: TypeKind::Bits(width),
    }
}

/// A literal of the word's value. RustHDL's literals choose their width by type, so words of up to 64 bits come as
/// 64 bits; the emitter takes the width from the atom instead.
pub(super) fn literal(word: &Word) -> VerilogLiteral {
    if word.bits() <= 64 {
        word.to_u64().into()
    } else {
        0u64.into()
    }
}

pub(super) fn vcd_value(word: &Word) -> VCDValue {
    let bits = (0..word.bits()).rev().map(|i| word.get_bit(i).into());
    VCDValue::Vector(bits.collect())
}

impl<D: Direction> Atom for Net<D> {
    fn bits(&self) -> usize {
        self.next.bits()
    }
    fn connected(&self) -> bool {
        self.claimed
    }
    fn changed(&self) -> bool {
        self.changed
    }
    fn kind(&self) -> AtomKind {
        D::KIND
    }
    fn descriptor(&self) -> TypeDescriptor {
        let name = match self.waiver {
            Some(reason) => format!("{WAIVER}{reason}"),
            None => "word".to_owned(),
        };
        descriptor(name, self.bits())
    }
    fn vcd(&self) -> VCDValue {
        vcd_value(&self.val)
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        literal(&self.val)
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        Vec::new()
    }
}

impl<D: Direction> Logic for Net<D> {
    fn update(&mut self) {}
    fn connect(&mut self) {
        self.claimed = true;
    }
}

impl<D: Direction> Block for Net<D> {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {
        assert_eq!(
            self.val.bits(),
            self.next.bits(),
            "a kernel assigned a value of another width"
        );
        self.changed = self.val != self.next;
        if self.changed {
            self.val = self.next.clone();
        }
    }
    fn has_changed(&self) -> bool {
        self.changed
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

/// A constant of a width chosen at run time. The emitter prints it as a sized literal where it is used.
#[derive(Clone, Debug)]
pub struct Constant {
    value: Word,
    id: usize,
}

impl Constant {
    /// The number `value` in `width` bits, at most 64.
    pub fn new(width: u32, value: u64) -> Self {
        assert!(width <= 64, "constants have at most 64 bits");
        Constant {
            value: Word::new(width as usize, value),
            id: get_signal_id(),
        }
    }

    /// The value.
    pub fn val(&self) -> Word {
        self.value.clone()
    }
}

/// Names the module that a block becomes. The name tells the shape: two blocks of one type with the same name are
/// the same hardware.
#[derive(Clone, Debug)]
pub struct Shape {
    name: String,
    summary: String,
    id: usize,
}

impl Shape {
    /// A module name, without the design's prefix, and one sentence that says what the module does.
    pub fn new(name: impl Into<String>, summary: impl Into<String>) -> Self {
        Shape {
            name: name.into(),
            summary: summary.into(),
            id: get_signal_id(),
        }
    }
}

macro_rules! constant_atom {
    ($type:ty, $name:expr, $value:expr) => {
        impl Atom for $type {
            fn bits(&self) -> usize {
                $value(self).bits()
            }
            fn connected(&self) -> bool {
                true
            }
            fn changed(&self) -> bool {
                false
            }
            fn kind(&self) -> AtomKind {
                AtomKind::Constant
            }
            fn descriptor(&self) -> TypeDescriptor {
                descriptor($name(self), $value(self).bits())
            }
            fn vcd(&self) -> VCDValue {
                vcd_value(&$value(self))
            }
            fn id(&self) -> usize {
                self.id
            }
            fn verilog(&self) -> VerilogLiteral {
                literal(&$value(self))
            }
            fn constraints(&self) -> Vec<PinConstraint> {
                Vec::new()
            }
        }
        impl Logic for $type {
            fn update(&mut self) {}
        }
        impl Block for $type {
            fn connect_all(&mut self) {}
            fn update_all(&mut self) {}
            fn has_changed(&self) -> bool {
                false
            }
            fn accept(&self, name: &str, probe: &mut dyn Probe) {
                probe.visit_atom(name, self);
            }
        }
    };
}

pub(super) use constant_atom;

constant_atom!(
    Constant,
    |_: &Constant| "word".to_owned(),
    |c: &Constant| c.value.clone()
);
constant_atom!(
    Shape,
    |s: &Shape| format!("{SHAPE}{}: {}", s.name, s.summary),
    |_: &Shape| Word::zero(1)
);
