//! Constraints and scripts for outside tools, from the templates in `/constraints`.

use crate::area;
use crate::failure::Failure;
use crate::manifest::GENERATOR;
use crate::output::Files;
use xnorforge_hdl::{Package, Target};

/// Slowest and fastest clock that constraints are written for, in MHz.
pub const CLOCK_MHZ_RANGE: std::ops::RangeInclusive<f64> = 0.001..=10_000.0;

/// One template: which target it is for (none: all of them), where it goes, and its text.
struct Template {
    target: Option<Target>,
    path: &'static str,
    text: &'static str,
}

macro_rules! template {
    ($target:expr, $path:literal, $file:literal) => {
        Template {
            target: $target,
            path: $path,
            text: include_str!(concat!("../../constraints/", $file)),
        }
    };
}

const TEMPLATES: [Template; 13] = [
    template!(None, "constraints/{{top}}.sdc", "clock.sdc"),
    template!(
        Some(Target::Generic),
        "scripts/yosys_generic.ys",
        "generic/yosys.ys"
    ),
    template!(
        Some(Target::Xilinx),
        "constraints/{{top}}.xdc",
        "xilinx/array.xdc"
    ),
    template!(
        Some(Target::Xilinx),
        "scripts/vivado.tcl",
        "xilinx/vivado.tcl"
    ),
    template!(
        Some(Target::Xilinx),
        "scripts/yosys_xilinx.ys",
        "xilinx/yosys.ys"
    ),
    template!(
        Some(Target::Ecp5),
        "constraints/{{top}}.lpf",
        "ecp5/array.lpf"
    ),
    template!(Some(Target::Ecp5), "scripts/yosys_ecp5.ys", "ecp5/yosys.ys"),
    template!(
        Some(Target::Ecp5),
        "scripts/nextpnr_ecp5.txt",
        "ecp5/nextpnr.txt"
    ),
    template!(
        Some(Target::Ice40),
        "constraints/{{top}}.pcf",
        "ice40/array.pcf"
    ),
    template!(
        Some(Target::Ice40),
        "scripts/yosys_ice40.ys",
        "ice40/yosys.ys"
    ),
    template!(
        Some(Target::Ice40),
        "scripts/nextpnr_ice40.txt",
        "ice40/nextpnr.txt"
    ),
    template!(
        Some(Target::Asic),
        "scripts/yosys_asic.tcl",
        "asic/yosys.tcl"
    ),
    template!(Some(Target::Asic), "scripts/sta.tcl", "asic/sta.tcl"),
];

/// The parts that Vivado's script takes where nobody names one.
const SEVEN_SERIES_PART: &str = "xc7a200tfbg676-2";
const ULTRASCALE_PART: &str = "xcku5p-ffvb676-2-e";

/// The constraint and script files of a target; `generic` Verilog runs anywhere and gets those of every target.
///
/// # Errors
/// A clock outside [`CLOCK_MHZ_RANGE`].
pub fn files(rtl: &Package, target: Target, clock_mhz: f64) -> Result<Files, Failure> {
    check_clock(clock_mhz)?;
    let values = placeholders(rtl, target, clock_mhz);
    Ok(TEMPLATES
        .iter()
        .filter(|template| match template.target {
            None => true,
            Some(Target::Xilinx) if target == Target::Ultrascale => true,
            Some(t) => t == target || target == Target::Generic,
        })
        .map(|template| {
            let text = fill(template.text, &values);
            (fill(template.path, &values), text.into_bytes())
        })
        .collect())
}

/// Checks a frequency.
///
/// # Errors
/// One outside [`CLOCK_MHZ_RANGE`].
pub fn check_clock(clock_mhz: f64) -> Result<(), Failure> {
    if CLOCK_MHZ_RANGE.contains(&clock_mhz) {
        return Ok(());
    }
    Err(Failure::input(format!(
        "`clock_mhz` = {clock_mhz} is out of range: {}..={}; choose a frequency in MHz in that range",
        CLOCK_MHZ_RANGE.start(),
        CLOCK_MHZ_RANGE.end()
    )))
}

fn placeholders(rtl: &Package, target: Target, clock_mhz: f64) -> Vec<(&'static str, String)> {
    let [part, other_part, devices] = match target {
        Target::Ultrascale => [ULTRASCALE_PART, SEVEN_SERIES_PART, "UltraScale+"],
        _ => [SEVEN_SERIES_PART, ULTRASCALE_PART, "7 series"],
    };
    let period_ns = 1000.0 / clock_mhz;
    let paths: Vec<String> = rtl
        .files
        .iter()
        .map(|file| format!("rtl/{}", file.name))
        .collect();
    let reads: Vec<String> = paths
        .iter()
        .map(|path| format!("read_verilog {path}"))
        .collect();
    vec![
        ("top", rtl.top.clone()),
        ("clock", clock_port(rtl).to_owned()),
        ("clock_mhz", clock_mhz.to_string()),
        ("clock_period_ns", format!("{period_ns:.3}")),
        ("half_period_ns", format!("{:.3}", period_ns / 2.0)),
        ("io_delay_ns", format!("{:.3}", period_ns / 5.0)),
        ("clock_period_ps", format!("{:.0}", 1000.0 * period_ns)),
        ("read_verilog", reads.join("\n")),
        ("verilog_list", paths.join(" ")),
        ("xilinx_part", part.to_owned()),
        ("other_xilinx_part", other_part.to_owned()),
        ("xilinx_devices", devices.to_owned()),
        ("xilinx_family", area::xilinx_family(target).to_owned()),
        (
            "generator",
            format!("{} {}", GENERATOR.name, GENERATOR.version),
        ),
    ]
}

/// The clock's port: `aclk` behind AXI, as the AMBA specifications name it.
fn clock_port(rtl: &Package) -> &str {
    match rtl.ports.iter().any(|port| port.name == "aclk") {
        true => "aclk",
        false => "clock",
    }
}

fn fill(template: &str, values: &[(&str, String)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use xnorforge_hdl::emit::VerilogFile;

    fn rtl() -> Package {
        Package {
            top: "xnf_top".into(),
            modules: Vec::new(),
            ports: Vec::new(),
            primitives: Vec::new(),
            files: ["xnf_leaf.v", "xnf_top.v"]
                .map(|name| VerilogFile {
                    name: name.into(),
                    text: String::new(),
                })
                .into(),
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        let files = files(&rtl(), Target::Generic, 250.0).unwrap();
        assert_eq!(files.len(), 13);
        for (path, bytes) in &files {
            let text = String::from_utf8_lossy(bytes);
            assert!(
                !path.contains("{{") && !text.contains("{{"),
                "{path}:\n{text}"
            );
        }
        let xdc = String::from_utf8_lossy(&files["constraints/xnf_top.xdc"]);
        assert!(xdc.contains("-period 4.000"), "{xdc}");
    }

    #[test]
    fn a_target_gets_only_its_own() {
        let files = files(&rtl(), Target::Ice40, 100.0).unwrap();
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "constraints/xnf_top.pcf",
                "constraints/xnf_top.sdc",
                "scripts/nextpnr_ice40.txt",
                "scripts/yosys_ice40.ys"
            ]
        );
    }

    #[test]
    fn absurd_clocks_are_refused() {
        for clock in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(files(&rtl(), Target::Generic, clock).is_err());
        }
    }
}
