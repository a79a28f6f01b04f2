//! `cosim --model`: a whole network on the accelerator's model and on its RTL in lockstep.

use super::{Args, read_rtl, repeat_command};
use crate::accelerate::Compiled;
use crate::commands::generate::{self, Interface};
use crate::core_rig::{CoreRig, Ending, Ran};
use crate::engine::{self, Check};
use crate::failure::Failure;
use crate::imported::LoadedModel;
use crate::terminal::{Terminal, thousands};
use std::path::Path;
use xnorforge_hdl::emit::VerilogFile;
use xnorforge_hdl::fabric::primitives;
use xnorforge_hdl::{AcceleratorDesign, Package};
use xnorforge_sim::Divergence;
use xnorforge_sim::accelerator::StreamStalls;
use xnorforge_sim::network::{Tensor, reference};

/// Runs the command.
///
/// # Errors
/// Wrong input, a missing tool, a divergence, results that are not the reference's.
pub fn run(args: &Args, model: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let design = args.config.accelerator_design()?;
    let loaded = LoadedModel::load(model, &args.work, &args.data)?;
    let inputs = loaded.inputs(&args.data)?;
    let network = loaded.network.clone();
    let compiled = [Compiled::new(&design, network, inputs.images, args.batch)?];
    let rig = CoreRig::new(package(&design, args.rtl.as_deref())?)?;
    terminal.note("building the Verilated RTL (it is kept in the cache folder)");
    rig.build()?;
    let stalls = StreamStalls {
        program: args.stall,
        weight: args.stall,
        input: args.stall,
        result: args.stall,
        seed: args.data.seed,
    };
    terminal.note("stepping model and RTL in lockstep");
    match rig.run(&compiled, &inputs, &stalls, args.cycles)? {
        Ending::CyclesReached => {
            terminal.line(format!(
                "stopped after {} cycles as --cycles says: no difference so far, results not complete",
                thousands(args.cycles.unwrap_or_default().into())
            ));
            Ok(())
        }
        Ending::Diverged(divergence) => {
            let wave = args.wave.as_deref().map(|path| {
                let written = rig.write_wave(&compiled, &inputs, &stalls, &divergence, path);
                (path, written)
            });
            Err(diverged(args, &design, &divergence, wave))
        }
        Ending::Done(ran) => report(terminal, &compiled[0], &inputs, &ran[0]),
    }
}

/// The RTL: fresh, or that of a generated folder.
fn package(design: &AcceleratorDesign, folder: Option<&Path>) -> Result<Package, Failure> {
    let mut package = generate::emit(design.design(), Interface::Stream)?;
    if let Some(folder) = folder {
        package.files = read_rtl(folder)?
            .into_iter()
            .map(|(name, text)| VerilogFile { name, text })
            .collect();
        package.primitives = primitives::models(&package.files);
    }
    Ok(package)
}

fn report(
    terminal: &Terminal,
    compiled: &Compiled,
    inputs: &Tensor,
    ran: &Ran,
) -> Result<(), Failure> {
    terminal.table(
        &["network", ">inputs", ">runs", ">cycles", "model and RTL"],
        &[vec![
            compiled.network.name.clone(),
            thousands(inputs.images as u128),
            thousands(compiled.runs(inputs.images).into()),
            thousands((ran.cycles + ran.weight_load_cycles).into()),
            "equal in every cycle".to_owned(),
        ]],
    );
    let trace = reference::execute(&compiled.network, inputs).map_err(Failure::input)?;
    let expected = trace.of_network(&compiled.network, inputs);
    let checks: Vec<Check> = ran
        .outputs
        .iter()
        .zip(&expected)
        .enumerate()
        .map(|(index, (found, expected))| {
            let name = format!("output {index}");
            Check::new(&name, found.shape.len(), &found.values, &expected.values)
        })
        .collect();
    engine::require_equal(&checks, "the reference executor")?;
    let compared: u64 = checks.iter().map(|check| check.compared).sum();
    terminal.line(format!(
        "{} results equal to the reference executor's",
        thousands(compared.into())
    ));
    Ok(())
}

/// All that a divergence needs to be looked into.
fn diverged(
    args: &Args,
    design: &AcceleratorDesign,
    divergence: &Divergence,
    wave: Option<(
        &Path,
        Result<xnorforge_sim::verilator::TraceWindow, Failure>,
    )>,
) -> Failure {
    let wave = match wave {
        None => "none; add --wave FILE for the cycles before it".to_owned(),
        Some((path, Ok(window))) => format!(
            "{} (cycles {} to {})",
            path.display(),
            window.first_cycle,
            window.last_cycle
        ),
        Some((_, Err(failure))) => format!("none: {failure}"),
    };
    let config = design.design().config();
    let flags = config.command_flags() + &config.accelerator.command_flags();
    Failure::Check(format!(
        "{divergence}\n  configuration: {flags}\n  seed: {}\n  waveform: {wave}\n  repeat: {}",
        args.data.seed,
        repeat_command(args, &flags)
    ))
}
