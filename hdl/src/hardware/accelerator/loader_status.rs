//! What all loaders say together.

use crate::rtl::prelude::*;
use rust_hdl_core::ast::Verilog;

/// Joins the one-bit outputs of all loaders; combinational.
#[derive(Clone, Debug, LogicBlock)]
pub struct LoaderStatus {
    shape: Shape,
    /// A loader takes the row.
    pub taken: Vec<Net<In>>,
    /// It has filled half 0.
    pub full_0: Vec<Net<In>>,
    /// It has filled half 1.
    pub full_1: Vec<Net<In>>,
    /// It reads past the input.
    pub input_error: Vec<Net<In>>,
    /// It writes past the half.
    pub patch_error: Vec<Net<In>>,
    /// Any loader takes the row.
    pub any_taken: Net<Out>,
    /// All have filled half 0.
    pub all_full_0: Net<Out>,
    /// All have filled half 1.
    pub all_full_1: Net<Out>,
    /// Any loader reads past the input.
    pub any_input_error: Net<Out>,
    /// Any loader writes past the half.
    pub any_patch_error: Net<Out>,
}

impl LoaderStatus {
    /// The status of `ports` loaders.
    pub fn new(ports: u32) -> Self {
        LoaderStatus {
            shape: Shape::new(
                format!("loader_status_f{ports}"),
                "What all loaders say together.",
            ),
            taken: Net::vector(ports, 1),
            full_0: Net::vector(ports, 1),
            full_1: Net::vector(ports, 1),
            input_error: Net::vector(ports, 1),
            patch_error: Net::vector(ports, 1),
            any_taken: Net::new(1),
            all_full_0: Net::new(1),
            all_full_1: Net::new(1),
            any_input_error: Net::new(1),
            any_patch_error: Net::new(1),
        }
    }
}

fn any(nets: &[Net<In>]) -> Word {
    nets.iter().any(|net| net.val().any()).into()
}

fn all(nets: &[Net<In>]) -> Word {
    nets.iter().all(|net| net.val().any()).into()
}

impl Logic for LoaderStatus {
    fn update(&mut self) {
        self.any_taken.next = any(&self.taken);
        self.all_full_0.next = all(&self.full_0);
        self.all_full_1.next = all(&self.full_1);
        self.any_input_error.next = any(&self.input_error);
        self.any_patch_error.next = any(&self.patch_error);
    }

    fn connect(&mut self) {
        self.any_taken.connect();
        self.all_full_0.connect();
        self.all_full_1.connect();
        self.any_input_error.connect();
        self.any_patch_error.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "    always @* begin
        any_taken = |taken;
        all_full_0 = &full_0;
        all_full_1 = &full_1;
        any_input_error = |input_error;
        any_patch_error = |patch_error;
    end"
            .to_owned(),
        )
    }
}
