//! The C++ text of the shim: `shim.cpp` with the parts that depend on the ports filled in.

use std::fmt::Write;
use xnorforge_hdl::emit::Port;

/// The header that every C++ file of a build includes first.
pub(super) const RUNTIME_HEADER: &str = include_str!("runtime.h");

const TEMPLATE: &str = include_str!("shim.cpp");

/// The shim for these ports; a port's number is its index.
pub(super) fn text(ports: &[Port]) -> String {
    let (mut checks, mut sets, mut gets) = (String::new(), String::new(), String::new());
    for (number, port) in ports.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(checks, "{}", check(port));
        let _ = writeln!(sets, "        case {number}: {} break;", set(port));
        let _ = writeln!(gets, "        case {number}: {} break;", get(port));
    }
    TEMPLATE
        .replace("// @PORT CHECKS@\n", &checks)
        .replace("        // @SET PORTS@\n", &sets)
        .replace("        // @GET PORTS@\n", &gets)
}

/// The C++ type that Verilator gives a port of this width.
fn cpp_type(width: u32) -> String {
    match width {
        0..=8 => "CData".to_owned(),
        9..=16 => "SData".to_owned(),
        17..=32 => "IData".to_owned(),
        33..=64 => "QData".to_owned(),
        _ => format!("VlWide<{}>", width.div_ceil(32)),
    }
}

fn check(port: &Port) -> String {
    format!(
        "static_assert(std::is_same<std::remove_reference<decltype(Vmodel::{0})>::type, {1}>::value, \"{0} is not {2} bits wide\");",
        port.name,
        cpp_type(port.width),
        port.width
    )
}

fn set(port: &Port) -> String {
    if port.width > 64 {
        format!(
            "set_wide(model.{}, words, {:#x}u);",
            port.name,
            top_mask(port)
        )
    } else {
        format!(
            "set_scalar(model.{}, words, {:#x}ull);",
            port.name,
            mask(port)
        )
    }
}

fn get(port: &Port) -> String {
    if port.width > 64 {
        format!(
            "get_wide(model.{}, words, {:#x}u);",
            port.name,
            top_mask(port)
        )
    } else {
        format!("words[0] = model.{} & {:#x}ull;", port.name, mask(port))
    }
}

/// The valid bits of a port of up to 64 bits.
fn mask(port: &Port) -> u64 {
    u64::MAX >> (64 - port.width)
}

/// The valid bits of the highest of a wide port's 32-bit words.
fn top_mask(port: &Port) -> u32 {
    u32::MAX >> ((32 - port.width % 32) % 32)
}

#[cfg(test)]
mod tests {
    use super::super::source::{input, output};
    use super::*;

    #[test]
    fn masks_keep_exactly_the_ports_bits() {
        assert_eq!(mask(&input("a", 1)), 1);
        assert_eq!(mask(&input("a", 33)), 0x1_ffff_ffff);
        assert_eq!(mask(&input("a", 64)), u64::MAX);
        assert_eq!(top_mask(&input("a", 65)), 1);
        assert_eq!(top_mask(&input("a", 96)), u32::MAX);
        assert_eq!(top_mask(&input("a", 130)), 3);
    }

    #[test]
    fn every_marker_of_the_template_is_filled_in() {
        let text = text(&[input("a", 7), output("q", 130)]);
        assert!(!text.contains('@'));
        assert!(text.contains("case 0: set_scalar(model.a, words, 0x7full); break;"));
        assert!(text.contains("case 1: get_wide(model.q, words, 0x3u); break;"));
    }
}
