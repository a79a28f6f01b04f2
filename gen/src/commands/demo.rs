//! `xnorforge demo`: a trained network on generated hardware, every integer checked.
//!
//! The network is a 2-bit multilayer perceptron for 8x8 handwritten digits, trained for this project
//! (`testbenches/cases/a_mlp_odd_w2a2`; images: UCI Optical Recognition of Handwritten Digits, CC BY 4.0).

use super::generate;
use crate::engine::{self, Check, Mode, Total};
use crate::failure::Failure;
use crate::io::ArrayFile;
use crate::lockstep::{Ending, Rig, Schedule, verilog_files};
use crate::network;
use crate::output;
use crate::terminal::{Terminal, percent, thousands};
use crate::workload::{self, LayerIntegers, Loaded};
use std::path::PathBuf;
use std::time::Instant;
use xnorforge_hdl::{ArrayConfig, Design, Package};
use xnorforge_sim::{StallPlan, encoder};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge demo --out build/demo

Generates the Verilog of the `default` array, then runs a trained 2-bit network for handwritten digits on 200 images:
on the fast model, on the cycle-accurate model step by step, and on the Verilated RTL in lockstep with it. Every integer
of every layer is compared with the reference encoder and with those stored at training. Needs verilator and g++.";

const MODEL: &[u8] = include_bytes!("../../../testbenches/cases/a_mlp_odd_w2a2/model.npz");
const META: &str = include_str!("../../../testbenches/cases/a_mlp_odd_w2a2/meta.json");
const TEST: &[u8] = include_bytes!("../../../testbenches/cases/a_mlp_odd_w2a2/test.npz");

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the generated Verilog
    #[arg(long, value_name = "DIR", default_value = "build/demo")]
    out: PathBuf,
    /// How many of the 200 images to run
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=200))]
    inputs: u32,
    /// Leave the RTL out: needs no outside tool
    #[arg(long)]
    no_rtl: bool,
    /// Replace DIR even if it is empty, or if files in it were changed; never a folder of something else
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// A missing tool, or any integer that differs.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let design = ArrayConfig::preset("default")?.validate()?;
    output::check_folder(&args.out, args.force)?;
    let (rtl, files) = generate::build(&design, generate::Interface::Array, 100.0)?;
    output::write_folder(&args.out, &files, args.force)?;
    let demo = Demo::load(design, args.inputs as usize)?;

    terminal.note("running on the fast model");
    let (integers, reports) = engine::run(&demo.design, &demo.work, Mode::Run, None, terminal)?;
    let mut rows = vec![demo.row("fast model against the stored integers", {
        engine::check_expected(&demo.stored, &integers)?
    })?];
    terminal.note("computing the reference encoder");
    let reference = demo.reference(terminal)?;
    rows.push(demo.compare(
        "fast model against the reference encoder",
        &integers,
        &reference,
    )?);
    terminal.note("stepping the cycle-accurate model");
    let (stepped, _) = engine::run(&demo.design, &demo.work, Mode::Step, None, terminal)?;
    rows.push(demo.compare(
        "cycle-accurate model against the reference encoder",
        &stepped,
        &reference,
    )?);
    if !args.no_rtl {
        let (from_rtl, cycles) = demo.lockstep(&rtl, terminal)?;
        rows.push(demo.compare(
            &format!(
                "RTL in lockstep, {} cycles, against the reference encoder",
                thousands(cycles.into())
            ),
            &from_rtl,
            &reference,
        )?);
    }

    terminal.table(&["check", ">integers", ">different"], &rows);
    terminal.line("");
    let total = Total::of(&demo.design, &reports);
    engine::print_layers(terminal, &reports, &total);
    terminal.line("");
    demo.print_summary(args, &integers, &total, &rtl, terminal);
    Ok(())
}

/// The network, the images and what must come out.
struct Demo {
    design: Design,
    work: Loaded,
    stored: ArrayFile,
    labels: Vec<i64>,
}

impl Demo {
    fn load(design: Design, count: usize) -> Result<Self, Failure> {
        let model = ArrayFile::from_bytes("model.npz", MODEL)?;
        let network = network::from_file(&model, Some(("meta.json".to_owned(), META)), None)?;
        let stored = ArrayFile::from_bytes("test.npz", TEST)?;
        let images = stored.read("x_codes")?;
        let inputs = workload::input_operand(
            &images,
            network.input_precision(),
            network.inputs(),
            Some(count),
        )?;
        Ok(Demo {
            design,
            labels: workload::labels_from(&stored, count)?,
            work: Loaded::Network { network, inputs },
            stored,
        })
    }

    fn reference(&self, terminal: &Terminal) -> Result<Vec<LayerIntegers>, Failure> {
        let progress = terminal.progress(self.work.shapes().len() as u64, "layers");
        self.work.forward(|_, gemm| {
            let results = encoder::gemm(gemm);
            progress.advance(1);
            Ok(results)
        })
    }

    /// The integers of the RTL, which agreed with the model in every cycle, and those cycles.
    fn lockstep(
        &self,
        rtl: &Package,
        terminal: &Terminal,
    ) -> Result<(Vec<LayerIntegers>, u64), Failure> {
        terminal.note("building the Verilated RTL (it is kept in the cache folder)");
        let rig = Rig::new(&self.design, verilog_files(rtl))?;
        rig.build()?;
        let schedule = Schedule {
            stalls: StallPlan::NONE,
            cycles_max: None,
        };
        let began = Instant::now();
        let mut cycles = 0;
        let integers = self.work.forward(|name, gemm| {
            match rig.run(name, gemm, &schedule)? {
                Ending::Done(driven) => {
                    cycles += driven.cycles();
                    Ok(driven.results)
                }
                Ending::Diverged(divergence) => Err(Failure::Check(format!(
                    "layer `{name}`: {divergence}; `xnorforge cosim --config default` with this network looks into it"
                ))),
                Ending::CyclesReached => unreachable!("the schedule sets no limit"),
            }
        })?;
        terminal.note(format!(
            "stepped model and RTL in lockstep in {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        Ok((integers, cycles))
    }

    fn compare(
        &self,
        what: &str,
        found: &[LayerIntegers],
        reference: &[LayerIntegers],
    ) -> Result<Vec<String>, Failure> {
        self.row(what, engine::compare(found, reference))
    }

    fn row(&self, what: &str, checks: Vec<Check>) -> Result<Vec<String>, Failure> {
        engine::require_equal(&checks, what)?;
        let sum = |count: fn(&Check) -> u64| checks.iter().map(count).sum::<u64>();
        Ok(vec![
            what.to_owned(),
            thousands(sum(|c| c.compared).into()),
            thousands(sum(|c| c.different).into()),
        ])
    }

    fn print_summary(
        &self,
        args: &Args,
        integers: &[LayerIntegers],
        total: &Total,
        rtl: &Package,
        terminal: &Terminal,
    ) {
        let count = self.work.rows();
        let accuracy = workload::accuracy(&integers[integers.len() - 1], &self.labels);
        terminal.line(format!("accuracy     {accuracy:.4} on {count} images"));
        terminal.line(format!(
            "cycles       {} ({:.1} per image), utilization {}",
            thousands(total.cycles.into()),
            total.cycles as f64 / count as f64,
            percent(total.utilization)
        ));
        terminal.line(format!(
            "RTL          {}",
            if args.no_rtl {
                "not run (--no-rtl)".to_owned()
            } else {
                format!("equal to the model in every cycle, {count} images")
            }
        ));
        terminal.line(format!(
            "Verilog      {} (top module {})",
            args.out.join("rtl").display(),
            rtl.top
        ));
    }
}
