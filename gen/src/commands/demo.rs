//! `xnorforge demo`: a trained network on the generated accelerator, hot-swapped from its full precision down to 1 bit,
//! every integer checked.
//!
//! The network is a convolutional one for 8x8 handwritten digits whose weights were trained for all of these precisions
//! together (`examples/models/digits_cnn_hot_swap`; images: UCI Optical Recognition of Handwritten Digits, CC BY 4.0).

use super::generate::{self, Interface};
use crate::accelerate::{self, Compiled, Report};
use crate::clock::Clock;
use crate::core_rig::{self, CoreRig, Ending, Ran};
use crate::engine::{self, Check};
use crate::failure::Failure;
use crate::graph;
use crate::io::ArrayFile;
use crate::output;
use crate::terminal::{Terminal, thousands};
use crate::workload;
use std::path::PathBuf;
use std::time::Instant;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Package};
use xnorforge_sim::accelerator::StreamStalls;
use xnorforge_sim::network::reference::{self, Trace};
use xnorforge_sim::network::{Network, Tensor};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Example:
  xnorforge demo --out build/demo

Generates the Verilog of the `default` accelerator, then runs a trained network for handwritten digits on 200 images:
with the packed kernels, on the cycle-accurate model step by step, and on the Verilated RTL in lockstep with it. The
weights are loaded once; then the same network runs at 4, 3, 2 and 1 bits by reading fewer bit-planes. Every integer is
compared with the reference executor and with those stored at training. Needs verilator and g++.";

const MODEL: &[u8] = include_bytes!("../../../examples/models/digits_cnn_hot_swap/model.npz");
const META: &str = include_str!("../../../examples/models/digits_cnn_hot_swap/meta.json");
const TEST: &[u8] = include_bytes!("../../../examples/models/digits_cnn_hot_swap/test.npz");

/// Bits that are read of every operand, one entry of the program for each; the network has 4.
const BITS: [u32; 4] = [4, 3, 2, 1];

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
    let (rtl, files) = generate::build(&design, Interface::Stream, &Clock::default(), None)?;
    output::write_folder(&args.out, &files, args.force)?;
    let design = AcceleratorDesign::new(&design)?;
    let mut demo = Demo::load(&design, args.inputs as usize)?;

    let mut rows = demo.check_executors(terminal)?;
    terminal.note("stepping the cycle-accurate model");
    let stepped = core_rig::step(&demo.networks, &demo.inputs, None)?;
    rows.push(demo.compare("cycle-accurate model against the reference", &stepped)?);
    demo.check_cycles(&stepped)?;
    if !args.no_rtl {
        rows.push(demo.lockstep(&rtl, terminal)?);
    }
    terminal.table(&["check", ">integers", ">different"], &rows);
    terminal.line("");
    accelerate::print_layers(
        terminal,
        &Report::new(&demo.networks[0], demo.inputs.images),
    );
    terminal.line("");
    demo.print_precisions(terminal);
    demo.print_summary(args, &rtl, terminal);
    Ok(())
}

/// The network at every precision, the images and what must come out.
struct Demo {
    networks: Vec<Compiled>,
    inputs: Tensor,
    stored: ArrayFile,
    labels: Vec<i64>,
    /// By the reference executor, one for each network.
    reference: Vec<Trace>,
}

impl Demo {
    fn load(design: &AcceleratorDesign, count: usize) -> Result<Self, Failure> {
        let model = ArrayFile::from_bytes("model.npz", MODEL)?;
        let network = graph::from_file(&model, Some(("meta.json".to_owned(), META)), None)?;
        let stored = ArrayFile::from_bytes("test.npz", TEST)?;
        let images = stored.read("x_codes")?;
        let inputs = accelerate::input_tensor(&images, &network, Some(count))?;
        let networks = BITS
            .iter()
            .map(|bits| network.reduced(*bits, *bits))
            .collect::<Result<Vec<Network>, _>>()
            .map_err(Failure::input)?;
        Ok(Demo {
            labels: workload::labels_from(&stored, count)?,
            networks: Compiled::all(design, networks, count, None)?,
            inputs,
            stored,
            reference: Vec::new(),
        })
    }

    /// The packed kernels against the stored integers and against the reference, layer by layer.
    fn check_executors(&mut self, terminal: &Terminal) -> Result<Vec<Vec<String>>, Failure> {
        terminal.note("running the packed kernels and the reference executor");
        let (mut stored, mut layers) = (Vec::new(), Vec::new());
        for (index, compiled) in self.networks.iter().enumerate() {
            let network = &compiled.network;
            let found = accelerate::execute(network, &self.inputs)?;
            if index == 0 {
                stored =
                    accelerate::check_expected(&self.stored, &accelerate::stored(network, &found))?;
            } else {
                stored.push(self.check_logits(BITS[index], &found)?);
            }
            let reference = reference::execute(network, &self.inputs).map_err(Failure::input)?;
            layers.extend(network.layers.iter().enumerate().map(|(layer, l)| {
                let (found, expected) = (&found.outputs[layer], &reference.outputs[layer]);
                let name = format!("{} of {}", l.name, network.name);
                Check::new(&name, found.shape.len(), &found.values, &expected.values)
            }));
            self.reference.push(reference);
        }
        Ok(vec![
            row("packed kernels against the stored integers", &stored)?,
            row("packed kernels against the reference, every layer", &layers)?,
        ])
    }

    /// The logits at fewer bits against those that were stored at training.
    fn check_logits(&self, bits: u32, found: &Trace) -> Result<Check, Failure> {
        let logits = found.outputs.last().expect("the network has layers");
        let name = format!("l3_acc_at_{bits}_bits");
        let expected = graph::images(&self.stored.read(&name)?)?;
        let expected = &expected.values[..logits.values.len()];
        Ok(Check::new(
            &name,
            logits.shape.len(),
            &logits.values,
            expected,
        ))
    }

    fn compare(&self, what: &str, ran: &[Ran]) -> Result<Vec<String>, Failure> {
        let mut checks = Vec::new();
        for ((compiled, ran), trace) in self.networks.iter().zip(ran).zip(&self.reference) {
            let expected = trace.of_network(&compiled.network, &self.inputs);
            for (found, expected) in ran.outputs.iter().zip(&expected) {
                let name = &compiled.network.name;
                let columns = found.shape.len();
                checks.push(Check::new(name, columns, &found.values, &expected.values));
            }
        }
        row(what, &checks)
    }

    /// The closed formulas against the cycles that were stepped.
    fn check_cycles(&self, stepped: &[Ran]) -> Result<(), Failure> {
        for (compiled, ran) in self.networks.iter().zip(stepped) {
            let formula = Report::new(compiled, self.inputs.images).total.cycles;
            if ran.cycles != formula {
                return Err(Failure::Check(format!(
                    "{}: the model took {} cycles, the closed formula says {formula}; please report this as a bug",
                    compiled.network.name, ran.cycles
                )));
            }
        }
        Ok(())
    }

    /// The RTL, which must agree with the model in every cycle.
    fn lockstep(&self, rtl: &Package, terminal: &Terminal) -> Result<Vec<String>, Failure> {
        terminal.note("building the Verilated RTL (it is kept in the cache folder)");
        let rig = CoreRig::new(rtl.clone())?;
        rig.build()?;
        let began = Instant::now();
        let ending = rig.run(&self.networks, &self.inputs, &StreamStalls::NONE, None)?;
        let ran = match ending {
            Ending::Done(ran) => ran,
            Ending::Diverged(divergence) => {
                return Err(Failure::Check(format!(
                    "{divergence}; `xnorforge cosim --config default` with this network looks into it"
                )));
            }
            Ending::CyclesReached => unreachable!("no limit is set"),
        };
        terminal.note(format!(
            "stepped model and RTL in lockstep in {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        let cycles: u64 = ran.iter().map(|ran| ran.cycles).sum();
        self.compare(
            &format!(
                "RTL in lockstep, {} cycles, against the reference",
                thousands(cycles.into())
            ),
            &ran,
        )
    }

    fn accuracy(&self, trace: &Trace) -> f64 {
        let logits = trace.outputs.last().expect("the network has layers");
        accelerate::accuracy(logits, &self.labels, workload::first_largest)
    }

    fn print_precisions(&self, terminal: &Terminal) {
        let images = self.inputs.images;
        let rows: Vec<Vec<String>> = self
            .networks
            .iter()
            .zip(&self.reference)
            .zip(BITS)
            .map(|((compiled, trace), bits)| {
                let total = Report::new(compiled, images).total;
                vec![
                    bits.to_string(),
                    format!("{:.4}", self.accuracy(trace)),
                    thousands(total.cycles.into()),
                    format!("{:.0}", total.cycles as f64 / images as f64),
                    thousands(total.operations),
                ]
            })
            .collect();
        terminal.table(
            &[
                ">bits",
                ">accuracy",
                ">cycles",
                ">cycles per image",
                ">operations",
            ],
            &rows,
        );
    }

    fn print_summary(&self, args: &Args, rtl: &Package, terminal: &Terminal) {
        terminal.line(format!(
            "accuracy     {:.4} on {} images",
            self.accuracy(&self.reference[0]),
            self.inputs.images
        ));
        terminal.line(format!(
            "RTL          {}",
            if args.no_rtl {
                "not run (--no-rtl)".to_owned()
            } else {
                format!(
                    "equal to the model in every cycle, {} images at {} precisions, weights loaded once",
                    self.inputs.images,
                    BITS.len()
                )
            }
        ));
        terminal.line(format!(
            "Verilog      {} (top module {})",
            args.out.join("rtl").display(),
            rtl.top
        ));
    }
}

/// A row of checks that must all be equal.
fn row(what: &str, checks: &[Check]) -> Result<Vec<String>, Failure> {
    engine::require_equal(checks, what)?;
    let sum = |count: fn(&Check) -> u64| checks.iter().map(count).sum::<u64>();
    Ok(vec![
        what.to_owned(),
        thousands(sum(|c| c.compared).into()),
        thousands(sum(|c| c.different).into()),
    ])
}
