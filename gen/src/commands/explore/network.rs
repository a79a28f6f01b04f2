//! Points of networks: the accelerator is made as large as they need, and its closed formulas give the cycles.

use super::{Layer, Point, Spent};
use crate::accelerate::{Compiled, LayerReport, Report};
use std::collections::BTreeMap;
use xnorforge_hdl::accelerator::config::WORDS_MAX;
use xnorforge_hdl::config::{BITS_MAX, REDUCTION_MAX};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::{Network, Outline};
use xnorforge_sim::program::{Program, ProgramError};

/// Input and layers of a network for `inputs` images, in the order of [`Point::layer_cycles`].
pub fn layers(outline: &Outline, inputs: u32) -> Vec<Layer> {
    let pixels = u64::from(outline.input.height) * u64::from(outline.input.width);
    let input = Layer {
        name: "input".to_owned(),
        shape: [u64::from(inputs) * pixels, 0, outline.input.channels.into()],
        activation: outline.precision,
        weight: None,
    };
    let layers = outline.layers.iter().map(|layer| {
        let [pixels, elements, channels] = layer.gemm();
        Layer {
            name: layer.name.clone(),
            shape: [u64::from(inputs) * pixels, elements, channels],
            activation: layer.activation,
            weight: layer.weight(),
        }
    });
    std::iter::once(input).chain(layers).collect()
}

/// A point, or why it cannot be built.
///
/// # Errors
/// The message of a configuration or a network that does not go together with the other.
pub fn point(config: ArrayConfig, networks: &[Network], inputs: u32) -> Result<Point, String> {
    let design = sized(config, networks)?;
    let mut reports: Vec<LayerReport> = Vec::new();
    for network in networks {
        let compiled = Compiled::new(&design, network.clone(), inputs as usize, None);
        let compiled = compiled.map_err(|e| e.to_string())?;
        let Report { input, layers, .. } = Report::new(&compiled, inputs as usize);
        reports.push(input);
        reports.extend(layers);
    }
    let mut bounds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for report in &reports {
        *bounds.entry(report.bound).or_default() += report.cycles;
    }
    let most = bounds.into_iter().max_by_key(|(_, cycles)| *cycles);
    let spent = Spent {
        binary_pairs: reports.iter().map(|r| r.binary_operation_pairs).sum(),
        bound: most.map_or("compute", |(bound, _)| bound),
        layers: reports.into_iter().map(|report| report.cycles).collect(),
    };
    let config = design.design().config();
    Ok(Point {
        configuration_sha256: config.accelerator_hash(),
        command: format!(
            "xnorforge generate {}{} --interface axi --out DIR",
            config.command_flags(),
            config.accelerator.command_flags()
        ),
        ..Point::new(config, spent)
    })
}

/// The accelerator with what every network needs at least, one image at a time.
fn sized(mut config: ArrayConfig, networks: &[Network]) -> Result<AcceleratorDesign, String> {
    for network in networks {
        loop {
            let design = config.validate().map_err(|e| e.to_string())?;
            let design = AcceleratorDesign::new(&design).map_err(|e| e.to_string())?;
            match Program::compile(&design, 1, network) {
                Ok(_) => break,
                // Every turn makes one field larger, and every field has a limit.
                Err(e) if grow(&mut config, &e) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }
    let design = config.validate().map_err(|e| e.to_string())?;
    AcceleratorDesign::new(&design).map_err(|e| e.to_string())
}

/// Makes what was too small as large as it must be; whether that helped.
fn grow(config: &mut ArrayConfig, error: &ProgramError) -> bool {
    let accelerator = &mut config.accelerator;
    let (field, needed, limit) = match error {
        ProgramError::Memory {
            field, suggestion, ..
        } => {
            let field = match *field {
                "activation_words" => &mut accelerator.activation_words,
                "residual_words" => &mut accelerator.residual_words,
                "patch_words" => &mut accelerator.patch_words,
                "weight_words" => &mut accelerator.weight_words,
                "constant_words" => &mut accelerator.constant_words,
                "channel_words" => &mut accelerator.channel_words,
                "table_words" => &mut accelerator.table_words,
                "program_words" => &mut accelerator.program_words,
                "schedule_words" => &mut accelerator.schedule_words,
                "layers" => &mut accelerator.layers,
                _ => return false,
            };
            (field, *suggestion, WORDS_MAX)
        }
        ProgramError::Levels { levels, .. } => (
            &mut accelerator.threshold_bits,
            u64::from(*levels),
            BITS_MAX,
        ),
        ProgramError::Bits { field, bits, .. } => match *field {
            "activation_bits" => (&mut config.activation_bits, u64::from(*bits), BITS_MAX),
            _ => (&mut config.weight_bits, u64::from(*bits), BITS_MAX),
        },
        ProgramError::NoZero { needed, .. } => {
            (&mut config.weight_bits, u64::from(*needed), BITS_MAX)
        }
        ProgramError::Reduction { elements, .. } => {
            (&mut config.reduction_max, *elements, REDUCTION_MAX)
        }
        _ => return false,
    };
    let can_grow = needed > u64::from(*field) && needed <= u64::from(limit);
    if can_grow {
        *field = needed as u32;
    }
    can_grow
}

#[cfg(test)]
mod tests {
    use super::super::{Work, explore, sweep::Axes};
    use super::*;
    use crate::core_rig;
    use crate::terminal::{Color, Terminal};
    use xnorforge_import::topology::{Widths, description, scale_sim};

    const NETWORK: &str = r#"
        network = { name = "n", input = [3, 6, 6], input_bits = 3 }
        layer = [
            { name = "a", kind = "conv", out_channels = 6, kernel = 3, padding = 1 },
            { name = "b", kind = "conv", out_channels = 6, kernel = 3, padding = 1 },
            { name = "sum", kind = "add", inputs = ["b", "a"] },
            { kind = "max_pool", kernel = 2 },
            { kind = "linear", out_features = 5 },
        ]"#;

    fn work(networks: Vec<Network>, inputs: u32) -> Work {
        Work::Networks {
            outlines: networks.iter().map(|n| n.outline().unwrap()).collect(),
            networks,
            inputs,
        }
    }

    fn axes() -> Axes {
        Axes {
            rows: vec![1, 4],
            columns: vec![2, 3],
            lanes: vec![6, 16],
            activation_branches: vec![1, 2],
            weight_branches: vec![1, 2],
        }
    }

    #[test]
    fn cycles_are_those_that_the_model_takes() {
        let topology = description::parse(NETWORK, &Widths::default()).unwrap();
        let networks = topology.networks(3).unwrap();
        let terminal = Terminal::new(true, Color::Never);
        let base = ArrayConfig::preset("tiny").unwrap();
        let found = explore(&base, &axes(), &work(networks.clone(), 3), &terminal).unwrap();
        assert!(found.points.len() >= 8, "{:?}", found.left_out);
        for point in found.points.iter().step_by(3) {
            let config = super::super::fit_stages(ArrayConfig {
                rows: point.rows,
                columns: point.columns,
                lanes: point.lanes,
                activation_branches: point.activation_branches,
                weight_branches: point.weight_branches,
                ..base.clone()
            });
            let design = sized(config, &networks).unwrap();
            let compiled = Compiled::new(&design, networks[0].clone(), 3, None).unwrap();
            let input = crate::accelerate::random_inputs(&networks[0], Some(3), 3);
            let ran = core_rig::step(&[compiled], &input, None).unwrap();
            assert_eq!(point.cycles, ran[0].cycles, "{}", point.command);
            assert_eq!(point.layer_cycles.len(), found.layers.len());
        }
    }

    #[test]
    fn layers_that_stand_alone_run_one_after_the_other() {
        let rows = ["a,6,6,3,3,4,6,1", "b,3,3,1,1,8,4,1"];
        let cycles = |text: &str| {
            let topology = scale_sim::parse("t", text, &Widths::default()).unwrap();
            let networks = topology.networks(1).unwrap();
            let base = ArrayConfig::preset("default").unwrap();
            point(base, &networks, 2).unwrap().cycles
        };
        assert_eq!(cycles(&rows.join("\n")), cycles(rows[0]) + cycles(rows[1]));
    }

    #[test]
    fn sizes_grow_to_what_is_needed_and_no_further() {
        let text = "a,64,64,3,3,64,64,1";
        let topology = scale_sim::parse("t", text, &Widths::default()).unwrap();
        let networks = topology.networks(1).unwrap();
        let base = ArrayConfig::preset("default").unwrap();
        let design = sized(base.clone(), &networks).unwrap();
        // 4096 pixels of two words each: activations of 2 bits in a word of 64 lanes.
        assert_eq!(design.config().activation_words, 8192);
        assert_eq!(design.design().config().rows, base.rows);
        let wide = scale_sim::parse("t", "a,1024,1024,1,1,255,1,1", &Widths::default()).unwrap();
        let error = sized(base, &wide.networks(1).unwrap()).unwrap_err();
        assert!(error.contains("activation_words"), "{error}");
    }
}
