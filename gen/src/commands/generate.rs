//! `xnorforge generate`: the Verilog of an array or of an accelerator with everything that goes with it.

use crate::clock::Clock;
use crate::config::ConfigArgs;
use crate::failure::Failure;
use crate::liberty::{self, LibraryAdders};
use crate::manifest::{self, Manifest};
use crate::output::{self, Files};
use crate::scripts;
use crate::terminal::{Terminal, thousands};
use std::path::{Path, PathBuf};
use xnorforge_hdl::{AcceleratorDesign, Design, EmitError, Package, Target, regmap};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge generate --config default --out build/default
  xnorforge generate --rows 16 --columns 16 --lanes 128 --target xilinx --clock-mhz 300 --out build/big
  xnorforge generate --config default --interface axi --out build/accelerator
  xnorforge generate --config default --target asic --liberty cells.lib --out build/cells

DIR gets rtl/*.v with rtl/files.f (dependency order), constraints/, scripts/ and manifest.json; sim/ with models of the
device's primitives, or of the library's cells, where the Verilog has any, for simulators only; behind AXI also registers/: the register map as C,
Rust, Verilog, SystemRDL and Markdown.";

/// What is generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Interface {
    /// The array alone: operands in, results out
    #[default]
    Array,
    /// The accelerator that runs whole networks, with bare valid/ready streams
    Stream,
    /// The accelerator behind AXI4-Lite and AXI4-Stream
    Axi,
}

impl Interface {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Array => "array",
            Interface::Stream => "stream",
            Interface::Axi => "axi",
        }
    }
}

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// What to generate: the array alone, or the accelerator around it
    #[arg(long, value_enum, default_value_t)]
    interface: Interface,
    /// Folder to write; it appears only when everything succeeded
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Clock frequency in MHz: of the constraints (100 without it), and what structure and broadcast stages are chosen for
    /// where they are left open
    #[arg(long, value_name = "MHZ")]
    clock_mhz: Option<f64>,
    /// Liberty file whose full-adder and half-adder cells the Verilog instantiates, for asic; without it, expressions
    #[arg(long, value_name = "FILE")]
    liberty: Option<PathBuf>,
    /// Replace DIR even if it is empty, or if files in it were changed; never a folder of something else
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// A configuration, a Liberty file or an output folder that will not do.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let (design, clock) = args.config.design_for(args.clock_mhz)?;
    let (design, adders) = match &args.liberty {
        Some(path) => library_cells(&design, path)?,
        None => (design, None),
    };
    output::check_folder(&args.out, args.force)?;
    let (rtl, files) = build(&design, args.interface, &clock, adders.as_ref())?;
    output::write_folder(&args.out, &files, args.force)?;
    terminal.table(
        &["module", ">instances", "what it does"],
        &module_rows(&rtl),
    );
    terminal.line(structure_line(&design));
    if let Some(choice) = &clock.choice {
        terminal.line(choice.line());
    }
    if let Some(adders) = &adders {
        let cells: Vec<&str> = adders.cells().collect();
        let (cells, library) = (cells.join(", "), &adders.library);
        terminal.line(format!("adder cells of the library {library}: {cells}"));
    }
    terminal.line(format!(
        "top module {} and {} more files in {}",
        rtl.top,
        files.len() - rtl.files.len(),
        args.out.display()
    ));
    Ok(())
}

/// The design with the cells of `--liberty`.
fn library_cells(design: &Design, path: &Path) -> Result<(Design, Option<LibraryAdders>), Failure> {
    let target = design.config().target;
    if target != Target::Asic {
        return Err(Failure::input(format!(
            "--liberty is for standard cells, but the target is {target}; add --target asic, or leave --liberty out"
        )));
    }
    let found = liberty::with_adder_cells(design, path).map_err(Failure::input)?;
    if design.units().is_none() {
        tracing::warn!(
            "`--liberty` has no effect: the adders of structure `tree` are expressions; leave it out, or choose structure `adder_cells`"
        );
    }
    Ok(found)
}

/// The units' structure, their sites and latency, and what else was considered.
fn structure_line(design: &Design) -> String {
    let latency = design.latency();
    let Some(units) = design.units() else {
        return format!("structure tree: for any synthesizer, latency {latency}");
    };
    let others: Vec<String> = units
        .alternatives
        .iter()
        .map(|other| format!("{} {}", other.name, other.sites))
        .collect();
    format!(
        "structure {}: {} sites for a processing element, {} for a row unit's popcount, latency {latency}; considered: {}",
        units.structure,
        units.element.sites,
        units.row.sites,
        others.join(", ")
    )
}

fn module_rows(rtl: &Package) -> Vec<Vec<String>> {
    rtl.modules
        .iter()
        .map(|module| {
            vec![
                module.name.clone(),
                thousands(module.instances.into()),
                module.summary.clone(),
            ]
        })
        .collect()
}

/// The Verilog of a design.
///
/// # Errors
/// Sizes of the accelerator that are not legal, where it is asked for; else what the emitter reports: a bug in it,
/// since the configuration is valid.
pub fn emit(design: &Design, interface: Interface) -> Result<Package, Failure> {
    let package = match interface {
        Interface::Array => xnorforge_hdl::generate(design),
        Interface::Stream => xnorforge_hdl::generate_accelerator(&AcceleratorDesign::new(design)?),
        Interface::Axi => xnorforge_hdl::generate_axi(&AcceleratorDesign::new(design)?),
    };
    package.map_err(|e: EmitError| {
        Failure::input(format!(
            "the configuration is valid, but its Verilog cannot be written: {e}; please report this as a bug with the configuration ({}{})",
            design.config().command_flags(),
            design.config().accelerator.command_flags()
        ))
    })
}

/// Everything that `generate` writes for a design, in memory; the same bytes every time. `adders` are the cells of a
/// library that the design has.
///
/// # Errors
/// Those of [`emit`], and a clock out of range.
pub fn build(
    design: &Design,
    interface: Interface,
    clock: &Clock,
    adders: Option<&LibraryAdders>,
) -> Result<(Package, Files), Failure> {
    let rtl = emit(design, interface)?;
    let mut files = scripts::files(&rtl, design.config().target, clock.mhz)?;
    let mut list = String::new();
    for file in &rtl.files {
        list.push_str(&file.name);
        list.push('\n');
        files.insert(format!("rtl/{}", file.name), file.text.clone().into_bytes());
    }
    files.insert("rtl/files.f".to_owned(), list.into_bytes());
    if !rtl.primitives.is_empty() {
        let mut list = String::new();
        for file in &rtl.primitives {
            list.push_str(&file.name);
            list.push('\n');
            files.insert(format!("sim/{}", file.name), file.text.clone().into_bytes());
        }
        files.insert("sim/files.f".to_owned(), list.into_bytes());
    }
    if interface == Interface::Axi {
        for (name, text) in regmap::files(&AcceleratorDesign::new(design)?) {
            files.insert(format!("registers/{name}"), text.into_bytes());
        }
    }
    let manifest = Manifest::new(design, interface, &rtl, clock, adders, &files).bytes();
    files.insert(manifest::FILE_NAME.to_owned(), manifest);
    Ok((rtl, files))
}
