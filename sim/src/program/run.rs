//! Whole networks at the host's speed: the results of a program and its cycles, layer by layer.

use super::timing::{Cause, Cycles, EntryCycles, entry_cycles};
use super::{Program, ProgramError};
use crate::network::{Network, Operation, Shape, Tensor, execute};
use serde::Serialize;

/// What a run of a network gives and takes.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkReport {
    /// What the network gives.
    pub outputs: Vec<Tensor>,
    /// Each layer.
    pub layers: Vec<LayerReport>,
    /// Cycles of descriptors that belong to no layer: input, and weights where they stream.
    pub other: Cycles,
    /// Cycles of the whole run.
    pub cycles: u64,
    /// Cycles of taking resident weights, once; 0 where they stream.
    pub load_cycles: u64,
    /// Bytes on the streams in each run.
    pub bytes: StreamBytes,
}

/// Bytes on the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamBytes {
    /// Resident weights, once.
    pub resident_weights: u64,
    /// Weights in each run.
    pub weights: u64,
    /// Input in each run.
    pub input: u64,
    /// Results in each run.
    pub results: u64,
}

/// A layer of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Cycles by cause; none for a layer that no output needs.
    pub cycles: Cycles,
    /// What takes most of them.
    pub bound: Cause,
    /// Multiply-accumulates, those of padded taps included.
    pub macs: u64,
    /// Binary operation pairs: MACs x activation bits x weight bits (BOPs).
    pub binary_pairs: u64,
    /// Operations: an xnor and an add for each binary operation pair.
    pub operations: u64,
    /// `binary_pairs` divided by what the array could do in the layer's cycles; 0 to 1.
    pub utilization: f64,
}

/// Runs a network: the results that its program gives, and how long it takes.
///
/// # Errors
/// [`ProgramError`]: a network that is no entry of the program, or an input that does not fit.
pub fn run(
    program: &Program,
    network: &Network,
    input: &Tensor,
) -> Result<NetworkReport, ProgramError> {
    let entry = program
        .entry(&network.name)
        .ok_or_else(|| ProgramError::NoEntry(network.name.clone()))?;
    let input_beats = entry.input_beats(input)?;
    let outputs = execute::outputs(network, input)?;
    let design = program.design();
    let EntryCycles { layers, other } = entry_cycles(design, entry, network.layers.len());
    let load = program.entry(super::LOAD_WEIGHTS);
    let packets = |entry: &super::Entry| entry.weights.iter().map(|beats| beats.bytes()).sum();
    let reports = layer_reports(program, network, input.images, &layers)?;
    Ok(NetworkReport {
        cycles: other.total() + layers.iter().map(Cycles::total).sum::<u64>(),
        outputs,
        layers: reports,
        other,
        load_cycles: load.map_or(0, |entry| entry_cycles(design, entry, 0).total()),
        bytes: StreamBytes {
            resident_weights: load.map_or(0, packets),
            weights: packets(entry),
            input: input_beats.bytes(),
            results: 4 * entry.result_values(),
        },
    })
}

fn layer_reports(
    program: &Program,
    network: &Network,
    images: usize,
    cycles: &[Cycles],
) -> Result<Vec<LayerReport>, ProgramError> {
    let types = network.check()?;
    let capacity = program.design().design().config().binary_pairs_per_cycle() as f64;
    let mut reports = Vec::new();
    for (index, (layer, cycles)) in network.layers.iter().zip(cycles).enumerate() {
        let (_, activation) = network.read_type(layer, &types);
        let (macs, weight_bits) = macs(&layer.operation, images, types[index].shape);
        let binary_pairs = macs * u64::from(activation.bits) * weight_bits;
        let total = cycles.total();
        reports.push(LayerReport {
            name: layer.name.clone(),
            cycles: *cycles,
            bound: cycles.bound(),
            macs,
            binary_pairs,
            operations: 2 * binary_pairs,
            utilization: if total == 0 {
                0.0
            } else {
                binary_pairs as f64 / (capacity * total as f64)
            },
        });
    }
    Ok(reports)
}

/// Multiply-accumulates of a layer, and bits of its weights.
fn macs(operation: &Operation, images: usize, output: Shape) -> (u64, u64) {
    let results = images as u64 * output.len() as u64;
    match operation {
        Operation::MaxPool(_) => (0, 0),
        Operation::SumPool(window) => {
            let taps = u64::from(window.kernel.0) * u64::from(window.kernel.1);
            (results * taps, 1)
        }
        Operation::Convolution(convolution) => {
            let weights = &convolution.weights;
            let macs = results * weights.elements() as u64;
            (macs, u64::from(weights.bits()))
        }
    }
}
