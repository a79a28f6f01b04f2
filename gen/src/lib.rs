//! The parts of the `xnorforge` command, for its tests and for other programs.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the command line: parse, run, exit code |
//! | [`commands`] | one file for each subcommand |
//! | [`config`] | the array configuration as every command takes it |
//! | [`failure`] | how a command fails, and its exit code |
//! | [`io`] | `.npy` and `.npz` files, with limits |
//! | [`network`], [`workload`] | networks, products and their data |
//! | [`scripts`], [`manifest`] | what `generate` writes |
//! | [`output`], [`terminal`] | files, folders and text out |

pub mod cli;
pub mod commands;
pub mod config;
pub mod failure;
pub mod io;
pub mod manifest;
pub mod network;
pub mod output;
pub mod scripts;
pub mod terminal;
pub mod tools;
pub mod workload;
