//! How a command fails: what is printed, and the exit code that scripts depend on.

use crate::area::AreaError;
use crate::io::ArrayError;
use crate::pnr::PnrError;
use crate::synth::SynthError;
use std::fmt;
use xnorforge_hdl::ConfigError;

/// Why a command did not succeed. The kind decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// A check failed: a divergence, wrong integers, an accuracy below what was asked. Exit code 1.
    Check(String),
    /// The input is wrong: an argument, a configuration, a file. Exit code 2.
    Input(anyhow::Error),
    /// An outside tool is missing or failed. Exit code 3.
    Tool(anyhow::Error),
}

impl Failure {
    /// A wrong input, in words.
    pub fn input(message: impl fmt::Display) -> Self {
        Failure::Input(anyhow::anyhow!("{message}"))
    }

    /// A missing or failing tool, in words.
    pub fn tool(message: impl fmt::Display) -> Self {
        Failure::Tool(anyhow::anyhow!("{message}"))
    }

    /// An error that knows its exit code: 3 for a tool, all others for wrong input.
    fn of_exit_code(code: u8, error: impl fmt::Display) -> Self {
        match code {
            3 => Failure::tool(error),
            _ => Failure::input(error),
        }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Check(_) => 1,
            Failure::Input(_) => 2,
            Failure::Tool(_) => 3,
        }
    }

    /// The same failure with what was being done in front of its message.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        match self {
            Failure::Check(message) => Failure::Check(format!("{context}: {message}")),
            Failure::Input(error) => Failure::Input(error.context(context.to_string())),
            Failure::Tool(error) => Failure::Tool(error.context(context.to_string())),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Check(message) => f.write_str(message),
            // The alternate form joins the chain of causes with ": ".
            Failure::Input(error) | Failure::Tool(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Input(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Input(error.into())
    }
}

impl From<AreaError> for Failure {
    fn from(error: AreaError) -> Self {
        Failure::of_exit_code(error.exit_code(), error)
    }
}

impl From<PnrError> for Failure {
    fn from(error: PnrError) -> Self {
        Failure::of_exit_code(error.exit_code(), error)
    }
}

impl From<SynthError> for Failure {
    fn from(error: SynthError) -> Self {
        Failure::of_exit_code(error.exit_code(), error)
    }
}

impl From<ArrayError> for Failure {
    fn from(error: ArrayError) -> Self {
        Failure::Input(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_contract() {
        assert_eq!(Failure::Check(String::new()).exit_code(), 1);
        assert_eq!(Failure::input("x").exit_code(), 2);
        assert_eq!(Failure::tool("x").exit_code(), 3);
    }

    #[test]
    fn context_comes_first() {
        let failure = Failure::input("the cause").context("reading `a`");
        assert_eq!(failure.to_string(), "reading `a`: the cause");
    }
}
