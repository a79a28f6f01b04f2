//! The command line: parse, run, exit code.

use crate::commands;
use crate::failure::Failure;
use crate::terminal::{Color, Terminal, printable};
use clap::{Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const AFTER_HELP: &str = "\
Try it:
  xnorforge demo                                       a trained network on generated hardware, checked three ways
  xnorforge generate --config tiny --out build/tiny    the Verilog of a small array
  xnorforge doctor                                     which outside tools are found

Exit codes: 0 done, 1 a check failed, 2 the input is wrong, 3 an outside tool is missing or failed.";

/// Generates, simulates and explores XNOR-popcount hardware for low-bit neural networks.
#[derive(Debug, Parser)]
#[command(name = "xnorforge", version, about, after_help = AFTER_HELP, max_term_width = 120)]
pub struct Cli {
    /// Print no notes and no progress, only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// Say more on standard error; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the digits demonstration: a trained network on generated hardware, every integer checked
    #[command(after_help = commands::demo::EXAMPLE)]
    Demo(commands::demo::Args),
    /// Write an array's Verilog, constraints, scripts and manifest
    #[command(after_help = commands::generate::EXAMPLE)]
    Generate(commands::generate::Args),
    /// Run a network or a product cycle-accurately
    #[command(after_help = commands::simulate::EXAMPLE)]
    Simulate(Box<commands::simulate::Args>),
    /// Step the model and the Verilated RTL together, stop at the first difference
    #[command(after_help = commands::cosim::EXAMPLE)]
    Cosim(Box<commands::cosim::Args>),
    /// Count how often the nets of a design change while it runs a network or a product
    #[command(after_help = commands::activity::EXAMPLE)]
    Activity(Box<commands::activity::Args>),
    /// Step model and RTL together on random designs and work, for as long as asked for
    #[command(after_help = commands::soak::EXAMPLE)]
    Soak(commands::soak::Args),
    /// Compare array shapes and branch parallelism for a workload
    #[command(after_help = commands::explore::EXAMPLE)]
    Explore(Box<commands::explore::Args>),
    /// Split an array file into its {-1, +1} branches
    #[command(after_help = commands::encode::EXAMPLE)]
    Encode(commands::encode::Args),
    /// Show a model's layers: shapes, bits, operations, parameter bytes
    #[command(after_help = commands::inspect::EXAMPLE)]
    Inspect(commands::inspect::Args),
    /// Show which outside tools are found and how to install the others
    #[command(after_help = commands::doctor::EXAMPLE)]
    Doctor(commands::doctor::Args),
    /// Measure processing elements with Yosys, the usual ones beside the generated ones
    #[command(after_help = commands::area::EXAMPLE)]
    Area(commands::area::Args),
    /// Measure random designs with your Yosys, for the models of area
    #[command(after_help = commands::calibrate::EXAMPLE)]
    Calibrate(commands::calibrate::Args),
    /// Synthesize, place and route a design with outside tools: area by module, frequency, critical path
    #[command(after_help = commands::synth::EXAMPLE)]
    Synth(Box<commands::synth::Args>),
}

/// Parses the process's arguments, runs the command, prints its failure.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli);
    let terminal = Terminal::new(cli.quiet, cli.color);
    match run(cli.command, &terminal).and_then(|()| terminal.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, cli.color);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, terminal),
        Command::Generate(args) => commands::generate::run(&args, terminal),
        Command::Simulate(args) => commands::simulate::run(&args, terminal),
        Command::Cosim(args) => commands::cosim::run(&args, terminal),
        Command::Activity(args) => commands::activity::run(&args, terminal),
        Command::Soak(args) => commands::soak::run(&args, terminal),
        Command::Explore(args) => commands::explore::run(&args, terminal),
        Command::Encode(args) => commands::encode::run(&args, terminal),
        Command::Inspect(args) => commands::inspect::run(&args, terminal),
        Command::Doctor(args) => commands::doctor::run(&args, terminal),
        Command::Area(args) => commands::area::run(&args, terminal),
        Command::Calibrate(args) => commands::calibrate::run(&args, terminal),
        Command::Synth(args) => commands::synth::run(&args, terminal),
    }
}

fn log_to_stderr(cli: &Cli) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(cli.color.enabled(std::io::stderr().is_terminal()))
        .without_time()
        .with_target(false)
        .init();
}

fn report(failure: &Failure, color: Color) {
    let mut stderr = std::io::stderr().lock();
    let label = if color.enabled(stderr.is_terminal()) {
        "\u{1b}[1;31merror\u{1b}[0m"
    } else {
        "error"
    };
    // The exit code still tells the failure if nobody reads standard error.
    let _ = writeln!(stderr, "{label}: {}", printable(&failure.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            assert!(
                help.is_some_and(|h| h.contains(&format!("xnorforge {name}"))),
                "{name}"
            );
        }
    }
}
