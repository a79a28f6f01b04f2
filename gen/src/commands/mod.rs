//! One file for each subcommand: its arguments, an example for its help, and what it does.

pub mod activity;
pub mod area;
pub mod calibrate;
pub mod cosim;
pub mod demo;
pub mod doctor;
pub mod encode;
pub mod explore;
pub mod generate;
pub mod inspect;
pub mod simulate;
pub mod soak;
pub mod synth;
