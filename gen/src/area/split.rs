//! What a whole design takes, module by module: the hierarchy is kept, so that a change of one module shows in one
//! row.

use super::{Area, AreaError, Cells, Verilog, synthesize, synthesize_with, work_folder};
use crate::synth::Family;
use crate::tools::Found;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Package, Target, generate_accelerator};

/// One module of a design.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleArea {
    /// Its name.
    pub name: String,
    /// How often it stands in the design.
    pub instances: u64,
    /// Whether it belongs to the grid of processing elements.
    pub in_array: bool,
    /// What one instance takes, without the modules below it.
    pub area: Area,
}

/// The share of a design that is not the grid of processing elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The target.
    pub target: Target,
    /// Every module, in the order of the package.
    pub modules: Vec<ModuleArea>,
}

impl Split {
    /// LUTs of the modules that `choose` picks, all instances.
    pub fn luts(&self, choose: impl Fn(&ModuleArea) -> bool) -> u64 {
        self.sum(choose, |area| area.luts)
    }

    /// What the modules that `choose` picks take, all instances.
    pub fn sum(&self, choose: impl Fn(&ModuleArea) -> bool, count: impl Fn(&Area) -> u64) -> u64 {
        let chosen = self.modules.iter().filter(|module| choose(module));
        chosen.map(|m| m.instances * count(&m.area)).sum()
    }

    /// LUTs outside of the grid divided by all LUTs. Distributed memories are not LUTs of logic and not counted.
    pub fn share_around(&self) -> f64 {
        self.luts(|m| !m.in_array) as f64 / self.luts(|_| true) as f64
    }
}

/// Yosys commands that keep the hierarchy and may use multiplier blocks. For devices they are those of `xnorforge synth`;
/// gates of no technology are left as Yosys makes them.
pub(crate) fn synthesis(target: Target, top: &str) -> String {
    match target {
        Target::Generic | Target::Asic => format!("synth -top {top}"),
        // No frequency: only standard cells heed it.
        device => Family::from(device).synthesis(top, false, 0.0),
    }
}

/// Synthesizes a package with its hierarchy. `array` is the module that is the grid of processing elements.
///
/// # Errors
/// As [`super::measure`].
pub fn split(
    yosys: &Found,
    package: &Package,
    array: &str,
    target: Target,
) -> Result<Split, AreaError> {
    let verilog = Verilog::from_package(package.clone());
    let mut netlist = synthesize_with(yosys, &verilog, &synthesis(target, &verilog.top))?;
    let below = descendants(package, array);
    let modules = package.modules.iter().filter_map(|module| {
        let netlist = netlist.modules.remove(&module.name)?;
        Some(ModuleArea {
            in_array: below.contains(&module.name.as_str()),
            name: module.name.clone(),
            instances: module.instances,
            area: Area::of_module(target, &netlist),
        })
    });
    Ok(Split {
        target,
        modules: modules.collect(),
    })
}

/// What each module takes, without those below it, by any commands that keep the hierarchy. Modules that describe cells, and
/// those that are left out of synthesis as black boxes, are not among them.
///
/// # Errors
/// As [`super::measure`].
pub(crate) fn modules(
    yosys: &Found,
    verilog: &Verilog,
    commands: &str,
    target: Target,
    cells: Option<&Cells>,
    limit: Duration,
) -> Result<BTreeMap<String, Area>, AreaError> {
    let folder = work_folder()?;
    if let Some(cells) = cells {
        cells.copy_to(folder.path())?;
    }
    let netlist = synthesize(yosys, verilog, commands, folder.path(), limit);
    if let Err(AreaError::Tool(_) | AreaError::Netlist { .. }) = netlist {
        // The log that the error names can be read.
        let _kept = folder.keep();
    }
    let modules = netlist?.modules.into_iter();
    let designed = modules.filter(|(_, module)| !module.is_library_cell());
    let area = |module| match cells {
        Some(cells) => cells.count_module(&module),
        None => Area::of_module(target, &module),
    };
    Ok(designed
        .map(|(name, module)| (name, area(module)))
        .collect())
}

/// `root` and every module below it, by the instances in their texts.
pub(super) fn descendants<'p>(package: &'p Package, root: &str) -> Vec<&'p str> {
    let texts: BTreeMap<&str, &str> = package
        .files
        .iter()
        .map(|file| (file.name.trim_end_matches(".v"), file.text.as_str()))
        .collect();
    let mut found: Vec<&str> = texts.keys().copied().filter(|name| *name == root).collect();
    let mut next = 0;
    while let Some(text) = found.get(next).and_then(|name| texts.get(name)) {
        for line in text.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            if let Some((name, _)) = texts.get_key_value(first)
                && !found.contains(name)
            {
                found.push(name);
            }
        }
        next += 1;
    }
    found
}

/// The split as Markdown: modules outside of the grid, the grid in one row, the sum.
pub fn table(split: &Split) -> String {
    let mut text = String::from(
        "| module | instances | LUTs each | LUTs | sites | FF | block RAM | DSP |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut row = |name: &str, instances: u64, each: String, chosen: &[&ModuleArea]| {
        let sum = |count: fn(&Area) -> u64| -> u64 {
            chosen.iter().map(|m| m.instances * count(&m.area)).sum()
        };
        let _ = writeln!(
            text,
            "| {name} | {instances} | {each} | {} | {} | {} | {} | {} |",
            sum(|a| a.luts),
            sum(|a| a.sites),
            sum(|a| a.ff),
            sum(|a| a.bram),
            sum(|a| a.dsp)
        );
    };
    let (array, around): (Vec<&ModuleArea>, Vec<&ModuleArea>) =
        split.modules.iter().partition(|m| m.in_array);
    for module in &around {
        row(
            &format!("`{}`", module.name),
            module.instances,
            module.area.luts.to_string(),
            &[*module],
        );
    }
    row("the grid of processing elements", 1, "-".into(), &array);
    let all: Vec<&ModuleArea> = split.modules.iter().collect();
    row("**everything**", 1, "-".into(), &all);
    let sites = split.sum(|m| !m.in_array, |a| a.sites);
    let _ = writeln!(
        text,
        "\nOutside of the grid: {} LUTs, {:.1} % of all; {sites} sites, {:.1} % of all.",
        split.luts(|m| !m.in_array),
        100.0 * split.share_around(),
        100.0 * sites as f64 / split.sum(|_| true, |a| a.sites) as f64
    );
    text
}

/// Begins the name of the module that is the grid of processing elements.
const GRID: &str = "xnf_pe_array";

/// The presets of the section of `docs/area.md` about what stands around the grid.
const REPORTED: [&str; 2] = ["default", "small"];

/// The section of `docs/area.md` about what stands around the grid of accelerators on Xilinx 7.
///
/// # Errors
/// As [`split`].
pub fn report(yosys: &Found) -> Result<String, AreaError> {
    let mut text = format!(
        "\n## The accelerator around the array\n\nOn xilinx: `{}`. The hierarchy is kept, so every module is counted as it stands;\nLUTs are those of logic, a LUT6_2 two of them; sites hold distributed memories too.\n",
        synthesis(Target::Xilinx, "TOP")
    );
    for preset in REPORTED {
        let config = ArrayConfig {
            target: Target::Xilinx,
            ..ArrayConfig::preset(preset)?
        };
        let design = AcceleratorDesign::new(&config.validate()?)?;
        let package = generate_accelerator(&design)?;
        let mut names = package.modules.iter().map(|module| module.name.clone());
        let grid = names
            .find(|name| name.starts_with(GRID))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "\n### `{preset}`: {} x {} x {}, drained columns: {}, load ports: {}\n\n{}",
            config.rows,
            config.columns,
            config.lanes,
            design.config().drain_columns,
            design.config().load_ports,
            table(&split(yosys, &package, &grid, Target::Xilinx)?).trim_end()
        );
    }
    Ok(text)
}
