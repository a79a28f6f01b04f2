//! The `xnorforge` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    xnorforge::cli::main()
}
