//! Registers that carry the grid's control: a tree whose leaves stand beside the elements.

use super::lines::{ALONE, ALWAYS};
use crate::config::Design;
use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;
use std::fmt::Write as _;

macro_rules! controls {
    ($(#[$doc:meta])* $name:ident, $module:literal, $summary:literal, $clears:expr, [$($pin:ident $late:ident),*]) => {
        $(#[$doc])*
        #[derive(Clone, Debug, LogicBlock)]
        pub struct $name {
            shape: Shape,
            /// Clock.
            pub clock: Signal<In, Clock>,
            $(
                /// As the grid's pin of this name.
                pub $pin: Net<In>,
            )*
            /// As the grid's pin of this name.
            pub shift: Net<In>,
            /// `accumulate` and `first`; only netlists take it.
            pub clear: Vec<Net<In>>,
            $(
                /// The same, a cycle later.
                pub $late: Net<Out>,
            )*
            /// The same, a cycle later.
            pub late_shift: Net<Out>,
            /// The same, a cycle later.
            pub late_clear: Vec<Net<Out>>,
        }

        impl $name {
            /// The registers of a design.
            pub fn new(design: &Design) -> Self {
                let shift = design.shift_amounts.len() as u32;
                let clears: fn(&Design) -> u32 = $clears;
                let clears = clears(design);
                $name {
                    shape: Shape::new($module, $summary),
                    clock: Signal::default(),
                    $($pin: Net::new(1),)*
                    shift: Net::new(shift),
                    clear: Net::vector(clears, 1),
                    $($late: Net::new(1),)*
                    late_shift: Net::new(shift),
                    late_clear: Net::vector(clears, 1),
                }
            }

            /// Names and widths of the pins.
            fn pins(&self) -> Vec<(&'static str, usize)> {
                let mut pins = vec![$((stringify!($pin), 1),)*];
                pins.push(("shift", self.shift.val().bits()));
                pins.extend(self.clear.iter().map(|_| ("clear", 1)));
                pins
            }
        }

        impl Logic for $name {
            fn update(&mut self) {
                if !self.clock.pos_edge() {
                    return;
                }
                $(self.$late.next = self.$pin.val();)*
                self.late_shift.next = self.shift.val();
                for (late, clear) in self.late_clear.iter_mut().zip(&self.clear) {
                    late.next = clear.val();
                }
            }

            fn connect(&mut self) {
                $(self.$late.connect();)*
                self.late_shift.connect();
                for late in &mut self.late_clear {
                    late.connect();
                }
            }

            fn hdl(&self) -> Verilog {
                Verilog::Custom(verilog(&self.pins()))
            }
        }
    };
}

fn verilog(pins: &[(&str, usize)]) -> String {
    let mut text = String::new();
    for (name, width) in pins {
        let _ = writeln!(text, "    {ALONE} reg [{}:0] held_{name};", width - 1);
    }
    let _ = write!(text, "\n    {ALWAYS}\n");
    for (name, _) in pins {
        let _ = writeln!(text, "        held_{name} <= {name};");
    }
    text.push_str("    end\n");
    for (name, _) in pins {
        let _ = write!(text, "\n    assign late_{name} = held_{name};");
    }
    text
}

/// One clear where the units are netlists.
fn clears(design: &Design) -> u32 {
    design.units().is_some().into()
}

controls!(
    /// All control of the grid: the trunk of the tree, and a branch for each row.
    GridControls,
    "grid_controls",
    "One register stage of the grid's control.",
    clears,
    [
        accumulate late_accumulate,
        advance late_advance,
        first late_first,
        load late_load,
        move_drain late_move_drain,
        move_row late_move_row,
        twice late_twice
    ]
);
controls!(
    /// The control of one processing element and its place in the drain.
    ElementControls,
    "element_controls",
    "Last register stage of a processing element's control.",
    clears,
    [
        accumulate late_accumulate,
        advance late_advance,
        first late_first,
        load late_load,
        move_drain late_move_drain
    ]
);
controls!(
    /// The control of one row unit and its place in the drain.
    RowControls,
    "row_controls",
    "Last register stage of a row unit's control.",
    |_| 0,
    [
        accumulate late_accumulate,
        advance late_advance,
        first late_first,
        load late_load,
        move_row late_move_row,
        twice late_twice
    ]
);
