//! What each layer loses at each number of weight bits, measured: one layer at a time is quantized to so many bits, all
//! other weights to 8, activations as `--quantize` says, and the outputs on the calibration inputs are compared with those of
//! the float model.
//!
//! The loss is noise: the squared error of the outputs divided by their squares, less what is there when all weights
//! have 8 bits.

use super::precision::{Choice, Sensitivity};
use crate::failure::Failure;
use crate::imported::{FloatModel, ImportArgs};
use crate::terminal::Terminal;
use rayon::prelude::*;
use std::path::Path;
use xnorforge_hdl::config::BITS_MAX;
use xnorforge_import::float::options::{LayerRule, Weights};
use xnorforge_import::float::{self, ErrorReport, Quantization};
use xnorforge_sim::network::Outline;

/// Weight bits that are tried.
const BITS: [u32; 6] = [1, 2, 3, 4, 6, 8];

/// Measures the layers of a float model, whose quantized form has this outline.
///
/// # Errors
/// A model that is not quantized here, or cannot be.
pub fn measure(
    path: &Path,
    args: &ImportArgs,
    outline: &Outline,
    terminal: &Terminal,
) -> Result<Sensitivity, Failure> {
    let model = FloatModel::read(path, args)?;
    let of_all = |bits| {
        let mut options = model.options.clone();
        options.weights.bits = Some(bits);
        options.first.weights.bits = None;
        options.last.weights.bits = None;
        options
            .layers
            .iter_mut()
            .for_each(|rule| rule.weights.bits = None);
        options
    };
    let start = noise(&model, &of_all(BITS_MAX))?;
    let layers: Vec<(String, u32)> = outline
        .layers
        .iter()
        .filter(|layer| layer.weight().is_some())
        .map(|layer| (layer.name.clone(), layer.activation.bits))
        .collect();
    let tries: Vec<(&(String, u32), u32)> = layers
        .iter()
        .flat_map(|layer| BITS.map(|bits| (layer, bits)))
        .collect();
    let progress = terminal.progress(tries.len() as u64, "layers and bits");
    let losses: Result<Vec<f64>, Failure> = tries
        .par_iter()
        .map(|((layer, _), bits)| {
            let mut options = of_all(BITS_MAX);
            options.layers.push(LayerRule {
                name: layer.clone(),
                weights: Weights {
                    bits: Some(*bits),
                    ..Weights::default()
                },
                activations: Default::default(),
            });
            let noise = noise(&model, &options);
            progress.advance(1);
            Ok((noise? - start).max(0.0))
        })
        .collect();
    let mut sensitivity = Sensitivity::default();
    for (((layer, activation_bits), bits), loss) in tries.into_iter().zip(losses?) {
        let choices = sensitivity.layers.entry(layer.clone()).or_default();
        choices.push(Choice {
            activation_bits: *activation_bits,
            weight_bits: bits,
            loss,
        });
    }
    Ok(sensitivity)
}

/// The noise of the outputs: squared error divided by squares.
fn noise(model: &FloatModel, options: &Quantization) -> Result<f64, Failure> {
    let quantized = float::quantize(&model.graph, options, &model.samples);
    let quantized = quantized.map_err(Failure::input)?;
    let report = float::error_report(&quantized, &model.samples, None).map_err(Failure::input)?;
    Ok(output_noise(&report))
}

/// Of the output that is worst.
fn output_noise(report: &ErrorReport) -> f64 {
    let outputs = report.layers.iter().filter(|layer| layer.role.is_none());
    let noise = outputs.map(|layer| layer.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0)));
    noise.fold(0.0, f64::max)
}
