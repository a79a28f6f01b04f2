//! The parts of the `xnorforge` command, for its tests and for other programs.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the command line: parse, run, exit code |
//! | [`commands`] | one file for each subcommand |
//! | [`config`] | the array configuration as every command takes it |
//! | [`failure`] | how a command fails, and its exit code |
//! | [`io`] | `.npy` and `.npz` files, with limits |
//! | [`accelerate`] | networks on the accelerator, layer by layer |
//! | [`core_rig`] | the accelerator's core cycle by cycle, model and RTL |
//! | [`graph`] | networks with convolutions, for the accelerator |
//! | [`imported`] | models of `--model` with their inputs and outputs; import of `.onnx` |
//! | [`model`] | what `--model` and MODEL name: a file or a built-in network |
//! | [`network`], [`workload`] | fully connected networks, products and their data |
//! | [`scripts`], [`manifest`] | what `generate` writes |
//! | [`output`], [`terminal`] | files, folders and text out |
//! | [`engine`] | runs work on a design, reports cycles, checks integers |
//! | [`lockstep`] | the model and the Verilated RTL side by side |
//! | [`soak`] | random cases, model and RTL in lockstep, shrunk where they fail |
//! | [`wave`] | waveforms of the model |
//! | [`tools`] | finds and runs outside tools (Yosys, Verilator, Icarus Verilog, ...) |
//! | [`estimate`] | estimates area by models that are fitted to measured samples |
//! | [`area`] | measures Verilog with Yosys: LUTs, sites, carry chains, flip-flops |
//! | [`clock`] | structure and broadcast stages for a wanted frequency, from measured arrays |
//! | [`liberty`] | Liberty files: cells, areas, functions, what is missing |
//! | [`pnr`] | places and routes Verilog with nextpnr: frequency, critical path, cells |
//! | [`synth`] | whole designs through the tools: area by module, timing |

pub mod accelerate;
pub mod activity;
pub mod area;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod core_rig;
pub mod engine;
pub mod estimate;
pub mod failure;
pub mod graph;
pub mod imported;
pub mod liberty;
pub mod lockstep;
pub mod manifest;
pub mod model;
pub mod network;
pub mod output;
pub mod pnr;
pub mod scripts;
pub mod soak;
pub mod synth;
pub mod terminal;
pub mod tools;
pub mod wave;
pub mod workload;

pub use xnorforge_import::npy as io;
