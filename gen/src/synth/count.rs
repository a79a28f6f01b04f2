//! Counting cells of any family, module by module.

use super::Family;
use crate::area::Area;
use crate::area::netlist::{Module, Netlist};
use crate::estimate::measure::MEMORIES;
use crate::estimate::sample::kind_of;
use crate::liberty::Library;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a module or a design takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Count {
    /// LUTs (ALUTs on Intel), those of distributed memories not among them; gates where there are no LUTs.
    pub logic: u64,
    /// Places taken, see [`Area::sites`]; none where that is not known.
    pub sites: Option<u64>,
    /// Carry cells.
    pub carry: u64,
    /// Flip-flops, and the latches that take their places.
    pub ff: u64,
    /// Memories in LUTs, of any size.
    pub lut_memories: u64,
    /// Block memories.
    pub bram: u64,
    /// Multiplier blocks.
    pub dsp: u64,
    /// Area in the Liberty file's unit.
    pub cell_area: Option<f64>,
    /// All cells by type.
    pub cells: BTreeMap<String, u64>,
}

/// A module and how often it stands in the design.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleCount {
    /// Its name.
    pub name: String,
    /// How often it stands in the design.
    pub instances: u64,
    /// What one instance takes, without the modules below it.
    pub each: Count,
}

/// The size of modules that an estimate is one of: places (logic where these are not known), or with `of_cells` the area of
/// standard cells, memories excepted, which are macros to the models.
pub fn estimated_size(modules: &[ModuleCount], of_cells: bool) -> f64 {
    modules
        .iter()
        .filter(|module| !of_cells || !MEMORIES.contains(&kind_of(&module.name)))
        .map(|module| module.instances as f64 * module.each.size(of_cells))
        .sum()
}

impl Count {
    /// Area of standard cells, or places (logic where these are not known).
    pub fn size(&self, of_cells: bool) -> f64 {
        match of_cells {
            true => self.cell_area.unwrap_or_default(),
            false => self.sites.unwrap_or(self.logic) as f64,
        }
    }

    /// The same of an area of synthesis.
    pub fn of_area(area: &Area) -> Self {
        Self {
            logic: area.luts,
            sites: Some(area.sites),
            carry: area.carry,
            ff: area.ff,
            lut_memories: lut_memories(&area.cells),
            bram: area.bram,
            dsp: area.dsp,
            cell_area: None,
            cells: area.cells.clone(),
        }
    }

    /// The cells of a netlist's module.
    pub(super) fn of_module(family: Family, module: &Module, library: Option<&Library>) -> Self {
        match (family, library) {
            (Family::Asic, Some(library)) => Self::of_library(module, library),
            (Family::Intel, _) => Self::of_kinds(module, intel),
            (Family::Gowin, _) => Self::of_kinds(module, gowin),
            _ => {
                let area = Area::of_module(family.target(), module);
                let gates = matches!(family, Family::Generic | Family::Asic);
                Self {
                    logic: if gates { area.sites } else { area.luts },
                    sites: (!gates).then_some(area.sites),
                    ..Self::of_area(&area)
                }
            }
        }
    }

    fn of_library(module: &Module, library: &Library) -> Self {
        let cells = module.cell_counts();
        let mut count = Self {
            cell_area: Some(0.0),
            ..Self::default()
        };
        for (kind, number) in &cells {
            // What is not of the library is an instance of a module.
            let Some(cell) = library.cell(kind) else {
                continue;
            };
            if cell.flip_flop.is_some() || cell.latch {
                count.ff += number;
            } else {
                count.logic += number;
            }
            count.cell_area = count
                .cell_area
                .zip(cell.area)
                .map(|(sum, area)| sum + *number as f64 * area);
        }
        Self { cells, ..count }
    }

    fn of_kinds(module: &Module, kind_of: fn(&str) -> Kind) -> Self {
        let cells = module.cell_counts();
        let mut count = Self::default();
        for (cell, number) in &cells {
            match kind_of(cell) {
                Kind::Lut => count.logic += number,
                Kind::Carry => count.carry += number,
                Kind::FlipFlop => count.ff += number,
                Kind::Memory => count.bram += number,
                Kind::Multiplier => count.dsp += number,
                Kind::Other => {}
            }
        }
        count.lut_memories = lut_memories(&cells);
        Self { cells, ..count }
    }
}

fn lut_memories(cells: &BTreeMap<String, u64>) -> u64 {
    let is = |kind: &str| {
        (kind.starts_with("RAM") && !kind.starts_with("RAMB"))
            || matches!(kind, "TRELLIS_DPR16X4" | "MISTRAL_MLAB")
    };
    let chosen = cells.iter().filter(|(kind, _)| is(kind));
    chosen.map(|(_, number)| number).sum()
}

enum Kind {
    Lut,
    Carry,
    FlipFlop,
    Memory,
    Multiplier,
    Other,
}

fn intel(cell: &str) -> Kind {
    match cell {
        "MISTRAL_ALUT_ARITH" => Kind::Carry,
        "MISTRAL_FF" => Kind::FlipFlop,
        "MISTRAL_M10K" | "MISTRAL_M20K" => Kind::Memory,
        _ if cell.starts_with("MISTRAL_ALUT") || cell == "MISTRAL_NOT" => Kind::Lut,
        _ if cell.starts_with("MISTRAL_MUL") => Kind::Multiplier,
        _ => Kind::Other,
    }
}

fn gowin(cell: &str) -> Kind {
    match cell {
        "LUT1" | "LUT2" | "LUT3" | "LUT4" => Kind::Lut,
        "ALU" => Kind::Carry,
        "SP" | "SPX9" | "DP" | "DPB" | "DPX9" | "DPX9B" | "SDP" | "SDPB" | "SDPX9" | "SDPX9B" => {
            Kind::Memory
        }
        "DL" | "DLE" | "DLN" | "DLNE" => Kind::FlipFlop,
        _ if cell.starts_with("DFF") => Kind::FlipFlop,
        _ if cell.starts_with("MULT") => Kind::Multiplier,
        _ => Kind::Other,
    }
}

/// Every module of the design below `top`, each after those that it uses.
pub(super) fn modules(
    netlist: &Netlist,
    top: &str,
    family: Family,
    library: Option<&Library>,
) -> Vec<ModuleCount> {
    let order = users_first(netlist, top);
    let mut instances: BTreeMap<&str, u64> = BTreeMap::from([(top, 1)]);
    for name in &order {
        let times = instances.get(name).copied().unwrap_or(0);
        for (kind, number) in netlist.modules[*name].cell_counts() {
            if let Some((below, _)) = netlist.modules.get_key_value(&kind)
                && !netlist.modules[below].is_library_cell()
            {
                *instances.entry(below.as_str()).or_insert(0) += times * number;
            }
        }
    }
    order
        .into_iter()
        .rev()
        .map(|name| ModuleCount {
            name: name.to_owned(),
            instances: instances.get(name).copied().unwrap_or(0),
            each: Count::of_module(family, &netlist.modules[name], library),
        })
        .collect()
}

/// `top` and the modules below it, each before those that it uses. No module is below itself: Yosys refuses that.
fn users_first<'n>(netlist: &'n Netlist, top: &str) -> Vec<&'n str> {
    let below = |name: &str| -> Vec<&'n str> {
        let kinds = netlist.modules.get(name).map(Module::cell_counts);
        kinds
            .into_iter()
            .flatten()
            .filter_map(|(kind, _)| netlist.modules.get_key_value(&kind))
            .filter(|(_, module)| !module.is_library_cell())
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let mut order: Vec<&str> = Vec::new();
    let Some((top, _)) = netlist.modules.get_key_value(top) else {
        return order;
    };
    // Depth first; a module is placed once all below it are, so that the reverse has users first.
    let mut stack = vec![(top.as_str(), below(top))];
    let mut seen = std::collections::BTreeSet::from([top.as_str()]);
    while let Some((name, waiting)) = stack.last_mut() {
        match waiting.pop() {
            Some(next) => {
                if seen.insert(next) {
                    stack.push((next, below(next)));
                }
            }
            None => {
                order.push(*name);
                stack.pop();
            }
        }
    }
    order.reverse();
    order
}
