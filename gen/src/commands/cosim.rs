//! `xnorforge cosim`: the model and the Verilated RTL in lockstep, and both against the reference encoder.

mod network;

use super::generate::Interface;
use crate::config::{ConfigArgs, read_text};
use crate::engine::{self, Check, PRODUCT};
use crate::failure::Failure;
use crate::lockstep::{Ending, Rig, Schedule, verilog_files};
use crate::terminal::{Terminal, quoted, thousands};
use crate::workload::{DataArgs, WorkArgs};
use std::path::{Path, PathBuf};
use xnorforge_hdl::Design;
use xnorforge_hdl::emit::VerilogFile;
use xnorforge_sim::{Divergence, Driven, Gemm, StallPlan, encoder};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge cosim --config tiny --gemm 5x23x7 --bits 2x2 --stall 0.3
  xnorforge cosim --config default --model testbenches/cases/a_mlp_odd_w2a2/model.npz \\
      --input testbenches/cases/a_mlp_odd_w2a2/test.npz --inputs 20

--model runs the whole network on the accelerator, --gemm one product on the array. Every output is compared in every
cycle, and every result with the reference. The first difference ends the run
with exit code 1, and the one command that repeats it is printed. Needs verilator and g++.";

/// Longest Verilog file that --rtl reads, in bytes.
const VERILOG_BYTES_MAX: u64 = 64 << 20;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Probability of a stall at each port in each cycle (0 up to, not including, 1)
    #[arg(long, value_name = "P", default_value_t = 0.2)]
    stall: f64,
    /// Stop after so many cycles
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    cycles: Option<u64>,
    /// Images that the accelerator takes in one run of its program; as many as fit, without it
    #[arg(long, value_name = "COUNT", requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Where the waveform (VCD) of the cycles before a divergence goes
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Simulate the Verilog of a folder that `generate` wrote, instead of fresh Verilog
    #[arg(long, value_name = "DIR")]
    rtl: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Wrong input, a missing tool, a divergence.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    terminal.line(format!("seed {}", args.data.seed));
    if !(0.0..1.0).contains(&args.stall) {
        return Err(Failure::input(format!(
            "--stall {} is out of range: 0 up to, not including, 1; choose a probability in that range",
            args.stall
        )));
    }
    if let Some(model) = &args.work.model {
        return network::run(args, model, terminal);
    }
    let design = args.config.design()?;
    let gemm = args.data.operands(args.work.product(design.config())?)?;
    let files = match &args.rtl {
        Some(folder) => with_primitives(read_rtl(folder)?),
        None => verilog_files(&super::generate::emit(&design, Interface::Array)?),
    };
    let rig = Rig::new(&design, files)?;
    terminal.note("building the Verilated RTL (it is kept in the cache folder)");
    rig.build()?;
    let session = Session {
        args,
        terminal,
        design: &design,
        rig,
    };
    session.run(&gemm)
}

/// One run of the command.
struct Session<'a> {
    args: &'a Args,
    terminal: &'a Terminal,
    design: &'a Design,
    rig: Rig,
}

impl Session<'_> {
    fn run(&self, gemm: &Gemm) -> Result<(), Failure> {
        let stall = self.args.stall;
        let schedule = Schedule {
            stalls: StallPlan {
                operand: stall,
                constant: stall,
                result: stall,
                seed: self.args.data.seed,
            },
            cycles_max: self.args.cycles,
        };
        match self.rig.run(gemm, &schedule)? {
            Ending::CyclesReached => {
                self.terminal.line(format!(
                    "stopped after {} cycles as --cycles says: no difference so far, results not complete",
                    thousands(self.args.cycles.unwrap_or_default().into())
                ));
                Ok(())
            }
            Ending::Diverged(divergence) => Err(self.divergence(gemm, &schedule, &divergence)),
            Ending::Done(driven) => self.check(gemm, &driven),
        }
    }

    /// Results against the reference encoder's.
    fn check(&self, gemm: &Gemm, driven: &Driven) -> Result<(), Failure> {
        let shape = gemm.shape();
        let row = vec![
            PRODUCT.to_owned(),
            format!("{}x{}x{}", shape.rows, shape.elements, shape.columns),
            thousands(driven.cycles().into()),
            "equal in every cycle".to_owned(),
        ];
        let columns = ["layer", "PxNxQ", ">cycles", "model and RTL"];
        self.terminal.table(&columns, &[row]);
        let (name, columns) = (format!("{PRODUCT}_acc"), gemm.weights().vectors());
        let check = Check::new(&name, columns, &driven.results, &encoder::gemm(gemm));
        let compared = check.compared;
        engine::require_equal(&[check], "the reference encoder")?;
        self.terminal.line(format!(
            "{} results equal to the reference encoder's",
            thousands(compared.into())
        ));
        Ok(())
    }

    /// All that a divergence needs to be looked into.
    fn divergence(&self, gemm: &Gemm, schedule: &Schedule, divergence: &Divergence) -> Failure {
        let wave = match &self.args.wave {
            None => "none; add --wave FILE for the cycles before it".to_owned(),
            Some(path) => {
                let written = self.rig.write_wave(gemm, schedule, divergence, path);
                match written {
                    Ok(window) => format!(
                        "{} (cycles {} to {})",
                        path.display(),
                        window.first_cycle,
                        window.last_cycle
                    ),
                    Err(failure) => format!("none: {failure}"),
                }
            }
        };
        Failure::Check(format!(
            "layer `{PRODUCT}`: {divergence}\n  configuration: {}\n  seed: {}\n  waveform: {wave}\n  repeat: {}",
            self.design.config().command_flags(),
            self.args.data.seed,
            repeat_command(self.args, &self.design.config().command_flags())
        ))
    }
}

/// The command that repeats this run, from any folder that its relative paths start in.
fn repeat_command(args: &Args, configuration: &str) -> String {
    let (work, data) = (&args.work, &args.data);
    let mut words = vec!["xnorforge cosim".to_owned(), configuration.to_owned()];
    let mut path = |flag: &str, path: &Option<PathBuf>| {
        if let Some(path) = path {
            words.push(format!("{flag} {}", quoted(&path.display().to_string())));
        }
    };
    path("--model", &work.model);
    path("--input", &data.input);
    path("--rtl", &args.rtl);
    path("--wave", &args.wave);
    if let Some(size) = work.gemm {
        words.push(format!(
            "--gemm {}x{}x{} --activation-encoding {} --weight-encoding {}",
            size.p, size.n, size.q, work.activation_encoding, work.weight_encoding
        ));
    }
    if let Some(bits) = work.bits {
        words.push(format!("--bits {}x{}", bits.activation, bits.weight));
    }
    if let Some(bits) = work.first_last_bits {
        words.push(format!("--first-last-bits {bits}"));
    }
    if let Some(key) = &data.input_key {
        words.push(format!("--input-key {}", quoted(key)));
    }
    if let Some(inputs) = data.inputs {
        words.push(format!("--inputs {inputs}"));
    }
    if let Some(cycles) = args.cycles {
        words.push(format!("--cycles {cycles}"));
    }
    if let Some(batch) = args.batch {
        words.push(format!("--batch {batch}"));
    }
    words.push(format!("--seed {} --stall {}", data.seed, args.stall));
    words.join(" ")
}

/// The Verilog files of a generated folder, in the order of its `rtl/files.f`.
fn read_rtl(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let rtl = folder.join("rtl");
    read_text(&rtl.join("files.f"), VERILOG_BYTES_MAX)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|name| {
            // A name with a folder in it could lead anywhere.
            if Path::new(name).components().count() != 1 || name.contains("..") {
                return Err(Failure::input(format!(
                    "`{}` names \"{name}\", which is no plain file name; generate the folder again",
                    rtl.join("files.f").display()
                )));
            }
            let text = read_text(&rtl.join(name), VERILOG_BYTES_MAX)?;
            Ok((name.to_owned(), text))
        })
        .collect()
}

/// The files, after the models of the device primitives in them. The folder may have models of its own; those of this
/// program are known to be right.
fn with_primitives(files: Vec<(String, String)>) -> Vec<(String, String)> {
    let files = files
        .into_iter()
        .map(|(name, text)| VerilogFile { name, text });
    let files: Vec<VerilogFile> = files.collect();
    let models = xnorforge_hdl::fabric::primitives::models(&files);
    models
        .into_iter()
        .chain(files)
        .map(|file| (file.name, file.text))
        .collect()
}
