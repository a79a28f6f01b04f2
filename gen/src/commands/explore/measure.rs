//! What each layer loses at each number of weight bits, measured: one layer at a time is quantized to so many bits, all
//! other weights to 8 (ternary ones have 2), activations as `--quantize` says, and the outputs on the calibration inputs are compared with those of
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
use xnorforge_sim::Encoding;
use xnorforge_sim::network::Outline;

/// Weight bits that are tried.
const BITS: [u32; 6] = [1, 2, 3, 4, 6, BITS_MAX];

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
    let most = |encoding| bits_of(encoding).last().copied().unwrap_or(BITS_MAX);
    let encodings: Vec<Encoding> = outline
        .layers
        .iter()
        .filter_map(|layer| Some(layer.weight()?.encoding))
        .collect();
    // Weights of all layers are given one number of bits.
    let all_bits = encodings.iter().map(|e| most(*e)).min().unwrap_or(BITS_MAX);
    if encodings.iter().any(|e| most(*e) != all_bits) {
        return Err(Failure::input(
            "--sensitivity measure: some layers have ternary weights and others have not; give all one encoding, or give a table",
        ));
    }
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
    let start = noise(&model, &of_all(all_bits))?;
    let layers: Vec<(String, u32, Encoding)> = outline
        .layers
        .iter()
        .filter_map(|layer| {
            let encoding = layer.weight()?.encoding;
            Some((layer.name.clone(), layer.activation.bits, encoding))
        })
        .collect();
    let tries: Vec<(&(String, u32, Encoding), u32)> = layers
        .iter()
        .flat_map(|layer| bits_of(layer.2).into_iter().map(move |bits| (layer, bits)))
        .collect();
    let progress = terminal.progress(tries.len() as u64, "layers and bits");
    let losses: Result<Vec<f64>, Failure> = tries
        .par_iter()
        .map(|((layer, ..), bits)| {
            let mut options = of_all(all_bits);
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
    for (((layer, activation_bits, _), bits), loss) in tries.into_iter().zip(losses?) {
        let choices = sensitivity.layers.entry(layer.clone()).or_default();
        choices.push(Choice {
            activation_bits: *activation_bits,
            weight_bits: bits,
            loss,
        });
    }
    Ok(sensitivity)
}

/// The bits that an encoding has, of those that are tried.
fn bits_of(encoding: Encoding) -> Vec<u32> {
    let is_legal = |bits: &u32| match encoding {
        Encoding::Bipolar | Encoding::Unsigned => true,
        Encoding::Signed => *bits >= 2,
        Encoding::Ternary => *bits == 2,
    };
    BITS.into_iter().filter(is_legal).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_an_encoding_has() {
        assert_eq!(bits_of(Encoding::Bipolar), BITS);
        assert_eq!(bits_of(Encoding::Signed)[0], 2);
        assert_eq!(bits_of(Encoding::Ternary), [2]);
    }
}
