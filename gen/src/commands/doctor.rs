//! `xnorforge doctor`: which outside tools are found.

use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::tools::{Found, Search, Tool, ToolError};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge doctor
  xnorforge doctor --require yosys --require verilator

Generating Verilog and simulating need no outside tool; co-simulation needs verilator and g++.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End with exit code 3 unless this tool is found; may be repeated
    #[arg(long, value_name = "TOOL")]
    require: Vec<String>,
}

/// A tool and what the search for it gave.
type Survey = (&'static Tool, Result<Found, ToolError>);

/// Runs the command.
///
/// # Errors
/// A required tool that is unknown, or is not found.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let survey = Search::from_environment().survey();
    check_names(&args.require, &survey)?;
    let rows: Vec<Vec<String>> = survey.iter().map(row).collect();
    terminal.table(&["tool", "version", "for", "where, or what to do"], &rows);
    for (tool, found) in survey {
        if args.require.iter().any(|name| name == tool.name) {
            found.map_err(Failure::tool)?;
        }
    }
    Ok(())
}

fn check_names(required: &[String], survey: &[Survey]) -> Result<(), Failure> {
    let names: Vec<&str> = survey.iter().map(|(tool, _)| tool.name).collect();
    match required.iter().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Failure::input(format!(
            "--require {name}: no such tool is known; choose one of {}",
            names.join(", ")
        ))),
    }
}

fn row((tool, found): &Survey) -> Vec<String> {
    let (version, place) = match found {
        Ok(found) => (found.version.clone(), found.path.display().to_string()),
        Err(ToolError::Missing { tool }) => ("missing".to_owned(), tool.install.to_owned()),
        Err(error) => ("unusable".to_owned(), error.to_string()),
    };
    vec![
        tool.name.to_owned(),
        version,
        tool.purpose.to_owned(),
        place,
    ]
}
