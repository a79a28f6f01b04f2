//! `manifest.json`: what `generate` wrote, for which configuration, and the command that writes it again.

use crate::clock::{Clock, ClockChoice};
use crate::commands::generate::Interface;
use crate::estimate::{self, Estimate, Hardware};
use crate::liberty::LibraryAdders;
use crate::output::{Files, sha256};
use crate::terminal::quoted;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use xnorforge_hdl::emit::{ModuleInfo, Port};
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig, Design, Package, timing};

/// Name of the manifest in a generated folder.
pub const FILE_NAME: &str = "manifest.json";
/// What marks a folder as written by this program.
pub const SCHEMA: &str = "xnorforge-manifest";
/// Raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest manifest that is read, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// The manifest.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name and version of this program.
    pub generator: Generator,
    /// The command that writes the same folder.
    pub command: String,
    /// What was generated: `array`, `stream` or `axi`.
    pub interface: &'static str,
    /// Every field of the configuration.
    pub configuration: ArrayConfig,
    /// [`ArrayConfig::hash`], or [`ArrayConfig::accelerator_hash`] of an accelerator.
    pub configuration_sha256: String,
    /// Clock frequency of the constraints in MHz.
    pub clock_mhz: f64,
    /// What was chosen for that frequency; absent where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_choice: Option<&'a ClockChoice>,
    /// The top module's name.
    pub top: &'a str,
    /// Every module, each after those that it uses.
    pub modules: &'a [ModuleInfo],
    /// Ports of the top module.
    pub ports: &'a [Port],
    /// Derived widths, in bits.
    pub widths_bits: Widths,
    /// Latencies, in cycles.
    pub latencies_cycles: Latencies,
    /// Registers without enable between the control and the grid.
    pub broadcast_stages: u32,
    /// The units' structure.
    pub structure: StructureEntry,
    /// The adder cells of a library in the Verilog; absent where adders are expressions or a device's primitives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adder_cells: Option<&'a LibraryAdders>,
    /// What a model estimates that the design takes; absent without a model of the target, and past its sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateEntry>,
    /// Binary operation pairs (xnor and add: 2 operations each) in one cycle.
    pub binary_operation_pairs_per_cycle: u64,
    /// Every other file of the folder.
    pub files: Vec<FileEntry>,
}

/// This program.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Generator {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// This program, as reports name it.
pub const GENERATOR: Generator = Generator {
    name: "xnorforge",
    version: env!("CARGO_PKG_VERSION"),
};

/// Derived widths.
#[derive(Debug, Serialize)]
pub struct Widths {
    count: u32,
    accumulator: u32,
    row_accumulator: u32,
    result: u32,
    constant_entry: u32,
}

/// Latencies from `timing.rs`.
#[derive(Debug, Serialize)]
pub struct Latencies {
    /// From the acceptance of a tile's last beat to its complete sums.
    compute: u64,
    /// From complete sums to the first row at the result port.
    drain: u64,
    /// Rows of results per tile; one leaves per cycle.
    rows: u64,
    /// From the first beat to the last result of a tile of one beat, both included.
    shortest_tile: u64,
}

/// The structure of processing elements and row units.
#[derive(Debug, Serialize)]
pub struct StructureEntry {
    /// Its name.
    name: &'static str,
    /// Pipeline registers of the popcount.
    latency: u32,
    /// How many pairs of lanes reach the processing elements after so many cycles, from 0 up.
    arrival_histogram: Vec<u32>,
    /// What the generator knows of the netlists; absent for `tree`, which is left to the synthesizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    netlists: Option<NetlistEntry>,
}

/// Sites by the structures' own account: LUT sites of an FPGA.
#[derive(Debug, Serialize)]
struct NetlistEntry {
    /// Of one processing element: popcount and accumulator.
    element_sites: u64,
    /// Of one row unit's popcount.
    row_sites: u64,
    /// Every structure of the target that can take the shape, with the sites of its processing element.
    alternatives: BTreeMap<String, u64>,
}

impl StructureEntry {
    fn new(design: &Design) -> Self {
        let arrival = design.arrival();
        let last = arrival.iter().max().copied().unwrap_or_default();
        let count = |cycle: u32| arrival.iter().filter(|a| **a == cycle).count() as u32;
        StructureEntry {
            name: design.structure().name(),
            latency: design.latency(),
            arrival_histogram: (0..=last).map(count).collect(),
            netlists: design.units().map(|units| NetlistEntry {
                element_sites: units.element.sites,
                row_sites: units.row.sites,
                alternatives: units
                    .alternatives
                    .iter()
                    .map(|other| (other.name.clone(), other.sites))
                    .collect(),
            }),
        }
    }
}

/// An estimate, and what it was fitted to.
#[derive(Debug, Serialize)]
pub struct EstimateEntry {
    source: &'static str,
    #[serde(flatten)]
    estimate: Estimate,
}

/// One file.
#[derive(Debug, Serialize)]
pub struct FileEntry {
    /// Relative path, with `/`.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: String,
}

impl<'a> Manifest<'a> {
    /// The manifest of `files`, generated for `design` with the `adders` that it has.
    pub fn new(
        design: &'a Design,
        interface: Interface,
        rtl: &'a Package,
        clock: &'a Clock,
        adders: Option<&'a LibraryAdders>,
        files: &Files,
    ) -> Self {
        let config = design.config();
        let product = [
            config.rows,
            config.columns,
            config.lanes,
            config.activation_branches,
            config.weight_branches,
        ];
        Manifest {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR,
            command: regenerate_command(config, interface, clock, adders),
            interface: interface.name(),
            configuration: match interface {
                // The array does not depend on the sizes around it.
                Interface::Array => ArrayConfig {
                    accelerator: AcceleratorConfig::default(),
                    ..config.canonical()
                },
                Interface::Stream | Interface::Axi => config.canonical(),
            },
            configuration_sha256: match interface {
                Interface::Array => config.hash(),
                Interface::Stream | Interface::Axi => config.accelerator_hash(),
            },
            clock_mhz: clock.mhz,
            clock_choice: clock.choice.as_ref(),
            top: &rtl.top,
            modules: &rtl.modules,
            ports: &rtl.ports,
            widths_bits: Widths {
                count: design.count_width,
                accumulator: design.sum_width(),
                row_accumulator: design.row_sum_width(),
                result: design.result_width,
                constant_entry: design.entry_width,
            },
            latencies_cycles: Latencies {
                compute: timing::compute_latency(design),
                drain: timing::drain_latency(design),
                rows: config.rows.into(),
                shortest_tile: timing::total_cycles(design, 1, 1),
            },
            broadcast_stages: design.broadcast_stages(),
            structure: StructureEntry::new(design),
            adder_cells: adders,
            estimate: estimate(design, interface),
            binary_operation_pairs_per_cycle: product.iter().map(|v| u64::from(*v)).product(),
            files: file_entries(files),
        }
    }

    /// The bytes of the file: indented JSON with a newline at its end.
    pub fn bytes(&self) -> Vec<u8> {
        json_bytes(self)
    }
}

/// What the model of the target estimates.
fn estimate(design: &Design, interface: Interface) -> Option<EstimateEntry> {
    let model = estimate::model(design.config().target)?;
    let estimate = match interface {
        Interface::Array => model.estimate(Hardware::Array(design)).ok()?,
        Interface::Stream => return None,
        Interface::Axi => {
            let accelerator = AcceleratorDesign::new(design).ok()?;
            model.estimate(Hardware::Accelerator(&accelerator)).ok()?
        }
    };
    Some(EstimateEntry {
        source: model.source(),
        estimate,
    })
}

/// Any report as indented JSON with a newline at its end.
pub fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(value).expect("reports are structures with text keys");
    bytes.push(b'\n');
    bytes
}

/// The command that generates the same folder again; where a library's cells are in it, beside the Liberty file.
pub fn regenerate_command(
    config: &ArrayConfig,
    interface: Interface,
    clock: &Clock,
    adders: Option<&LibraryAdders>,
) -> String {
    let accelerator = match interface {
        Interface::Array => String::new(),
        Interface::Stream | Interface::Axi => format!(
            "{} --interface {}",
            config.accelerator.command_flags(),
            interface.name()
        ),
    };
    let liberty = adders.map_or_else(String::new, |adders| {
        format!(" --liberty {}", quoted(&adders.file))
    });
    // A frequency settles what is left open, so one that nobody asked for is left out.
    let frequency = match &clock.choice {
        Some(choice) => format!(" --clock-mhz {}", choice.wanted_mhz),
        None => String::new(),
    };
    format!(
        "xnorforge generate {}{accelerator}{liberty}{frequency} --out DIR",
        config.command_flags()
    )
}

/// Entries for files, in the order of their paths.
pub fn file_entries(files: &Files) -> Vec<FileEntry> {
    files
        .iter()
        .map(|(path, bytes)| FileEntry {
            path: path.clone(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        })
        .collect()
}

/// Path and hash of each file that the manifest in `folder` lists; none if there is no manifest of ours.
pub fn listed_files(folder: &Path) -> Option<Vec<(String, String)>> {
    let path = folder.join(FILE_NAME);
    if std::fs::metadata(&path).ok()?.len() > BYTES_MAX {
        return None;
    }
    let manifest: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    if manifest.get("schema")?.as_str()? != SCHEMA {
        return None;
    }
    manifest
        .get("files")?
        .as_array()?
        .iter()
        .map(|entry| {
            let text = |key| Some(entry.get(key)?.as_str()?.to_owned());
            Some((text("path")?, text("sha256")?))
        })
        .collect()
}
