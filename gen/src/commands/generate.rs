//! `xnorforge generate`: an array's Verilog with everything that goes with it.

use crate::config::ConfigArgs;
use crate::failure::Failure;
use crate::manifest::{self, Manifest};
use crate::output::{self, Files};
use crate::scripts;
use crate::terminal::{Terminal, thousands};
use std::path::PathBuf;
use xnorforge_hdl::{Design, EmitError, Package};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge generate --config default --out build/default
  xnorforge generate --rows 16 --columns 16 --lanes 128 --target xilinx --clock-mhz 300 --out build/big

DIR gets rtl/*.v with rtl/files.f (dependency order), constraints/, scripts/ and manifest.json.";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Folder to write; it appears only when everything succeeded
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Clock frequency of the constraints in MHz
    #[arg(long, value_name = "MHZ", default_value_t = 100.0)]
    clock_mhz: f64,
    /// Replace DIR even if it is empty, or if files in it were changed; never a folder of something else
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// A configuration or an output folder that will not do.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let design = args.config.design()?;
    output::check_folder(&args.out, args.force)?;
    let (rtl, files) = build(&design, args.clock_mhz)?;
    output::write_folder(&args.out, &files, args.force)?;
    terminal.table(
        &["module", ">instances", "what it does"],
        &module_rows(&rtl),
    );
    terminal.line(format!(
        "top module {} and {} more files in {}",
        rtl.top,
        files.len() - rtl.files.len(),
        args.out.display()
    ));
    Ok(())
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
/// What the emitter reports: a bug in it, since the configuration is valid.
pub fn emit(design: &Design) -> Result<Package, Failure> {
    xnorforge_hdl::generate(design).map_err(|e: EmitError| {
        Failure::input(format!(
            "the configuration is valid, but its Verilog cannot be written: {e}; please report this as a bug with the configuration ({})",
            design.config().command_flags()
        ))
    })
}

/// Everything that `generate` writes for a design, in memory; the same bytes every time.
///
/// # Errors
/// What the emitter reports, or a clock out of range.
pub fn build(design: &Design, clock_mhz: f64) -> Result<(Package, Files), Failure> {
    let rtl = emit(design)?;
    let mut files = scripts::files(&rtl, design.config().target, clock_mhz)?;
    let mut list = String::new();
    for file in &rtl.files {
        list.push_str(&file.name);
        list.push('\n');
        files.insert(format!("rtl/{}", file.name), file.text.clone().into_bytes());
    }
    files.insert("rtl/files.f".to_owned(), list.into_bytes());
    let manifest = Manifest::new(design, &rtl, clock_mhz, &files).bytes();
    files.insert(manifest::FILE_NAME.to_owned(), manifest);
    Ok((rtl, files))
}
