//! What a model is made of: Verilog files, a top module, and the ports that it is expected to have.

use super::tools::ToolError;
use std::collections::BTreeSet;
use xnorforge_hdl::Package;
use xnorforge_hdl::emit::{Port, PortDirection};

/// Widest port in bits; wider vectors are past what Verilog tools must accept (IEEE 1364-2001, 3.3.1).
const PORT_BITS_MAX: u32 = 65536;

/// An input of `width` bits.
pub(super) fn input(name: &str, width: u32) -> Port {
    Port {
        name: name.to_owned(),
        direction: PortDirection::Input,
        width,
    }
}

/// An output of `width` bits.
pub(super) fn output(name: &str, width: u32) -> Port {
    Port {
        name: name.to_owned(),
        direction: PortDirection::Output,
        width,
    }
}

/// Words of 64 bits that hold a port's value.
pub(super) fn words(port: &Port) -> usize {
    port.width.div_ceil(64) as usize
}

/// "an input of 7 bits", for messages.
fn describe(port: &Port) -> String {
    let direction = match port.direction {
        PortDirection::Input => "an input",
        PortDirection::Output => "an output",
    };
    let plural = if port.width == 1 { "" } else { "s" };
    format!("{direction} of {} bit{plural}", port.width)
}

/// The Verilog of a design and what is expected of its top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSource {
    /// File names (no folders) and their texts, in the order in which Verilator reads them.
    pub files: Vec<(String, String)>,
    /// The top module's name.
    pub top: String,
    /// All ports of the top module. A port that is missing here or in the Verilog is an error.
    pub ports: Vec<Port>,
}

impl ModelSource {
    /// The whole package, with the models of device primitives that it instantiates.
    pub fn of_package(package: &Package) -> Self {
        let files = package.simulation_files();
        ModelSource {
            files: files.map(|f| (f.name.clone(), f.text.clone())).collect(),
            top: package.top.clone(),
            ports: package.ports.clone(),
        }
    }

    /// Checks everything that ends up in a command line, a file name or the shim's text.
    pub(super) fn check(&self) -> Result<(), ToolError> {
        let refuse = |message: String| Err(ToolError::Source(message));
        if !is_identifier(&self.top) {
            return refuse(format!(
                "top module \"{}\" is not a simple identifier; rename it",
                self.top
            ));
        }
        if self.files.is_empty() {
            return refuse(
                "there is no Verilog file to build a model of; give at least one".into(),
            );
        }
        let mut names = BTreeSet::new();
        for (name, _) in &self.files {
            if !is_file_name(name) {
                return refuse(format!(
                    "Verilog file name \"{name}\" is not a plain name; use letters, digits, `_`, `-` and `.`, beginning with a letter, a digit or `_`"
                ));
            }
            if !names.insert(name.as_str()) {
                return refuse(format!(
                    "Verilog file name \"{name}\" occurs twice; rename one"
                ));
            }
        }
        let mut names = BTreeSet::new();
        for port in &self.ports {
            let name = &port.name;
            // Verilator spells `__` and C++ keywords differently in C++; the shim doesn't follow it there.
            if !is_identifier(name) || name.contains("__") {
                return refuse(format!(
                    "port \"{name}\" is not a simple identifier without `__`; rename it"
                ));
            }
            if !(1..=PORT_BITS_MAX).contains(&port.width) {
                return refuse(format!(
                    "port `{name}` is {} bits wide, out of 1..={PORT_BITS_MAX}; change its width",
                    port.width
                ));
            }
            if !names.insert(name.as_str()) {
                return refuse(format!("port `{name}` occurs twice; rename one"));
            }
        }
        Ok(())
    }

    /// Compares the ports with those in the header that Verilator wrote for the top module.
    pub(super) fn check_header(&self, header: &str) -> Result<(), ToolError> {
        let found = header_ports(header);
        let mismatch = |port: &str, expected: String, found: String| {
            Err(ToolError::Port {
                port: port.to_owned(),
                top: self.top.clone(),
                expected,
                found,
            })
        };
        for port in &self.ports {
            match found.iter().find(|other| other.name == port.name) {
                None => return mismatch(&port.name, describe(port), "no such port".into()),
                Some(other) if other != port => {
                    return mismatch(&port.name, describe(port), describe(other));
                }
                Some(_) => {}
            }
        }
        for other in &found {
            if !self.ports.iter().any(|port| port.name == other.name) {
                return mismatch(&other.name, "absent".into(), describe(other));
            }
        }
        Ok(())
    }
}

/// The ports in a header of Verilator's: lines such as `VL_INW(&b,129,0,5);`.
fn header_ports(header: &str) -> Vec<Port> {
    header.lines().filter_map(header_port).collect()
}

fn header_port(line: &str) -> Option<Port> {
    let (kind, rest) = line.trim().split_once('(')?;
    let direction = if kind.starts_with("VL_OUT") {
        PortDirection::Output
    } else if kind.starts_with("VL_IN") && !kind.starts_with("VL_INOUT") {
        PortDirection::Input
    } else {
        return None;
    };
    let mut fields = rest.trim_end_matches([';', ')']).split(',');
    let name = fields.next()?.trim_start_matches('&').to_owned();
    let high: i64 = fields.next()?.trim().parse().ok()?;
    let low: i64 = fields.next()?.trim().parse().ok()?;
    let width = u32::try_from((high - low).abs() + 1).ok()?;
    Some(Port {
        name,
        direction,
        width,
    })
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_file_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_verilators_header() {
        let header = "    // PORTS\n    VL_IN8(&clock,0,0);\n    VL_INW(&b,129,0,5);\n    VL_OUT64(&q,32,0);\n    VL_INOUT8(&z,0,0);\n";
        assert_eq!(
            header_ports(header),
            [input("clock", 1), input("b", 130), output("q", 33),]
        );
    }

    #[test]
    fn names_that_could_harm_are_refused() {
        for name in ["", "../a.v", "-o", ".v", "a b.v", "a/b.v", "a\"b"] {
            assert!(!is_file_name(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a.b", "ü"] {
            assert!(!is_identifier(name), "{name}");
        }
        assert!(is_file_name("xnf_top.v") && is_identifier("xnf_top"));
    }
}
