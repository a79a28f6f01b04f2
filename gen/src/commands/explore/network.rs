//! Points of networks: the accelerator is made as large as they need, and closed formulas give the cycles, from shapes
//! alone.

use super::point::{Layer, Networks, Point, Spent, SpentLayer, Surroundings};
use crate::accelerate::bound_name;
use crate::estimate::Hardware;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::forecast::{LayerForecast, Memo};
use xnorforge_sim::network::Outline;
use xnorforge_sim::program::timing::Cause;

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
pub fn point(
    networks: &Networks,
    memos: &mut [Memo],
    config: ArrayConfig,
    around: &Surroundings,
) -> Result<Point, String> {
    let design = sized(networks, memos, config)?;
    let mut spent = Spent {
        layers: Vec::new(),
        binary_pairs: 0,
        beats: 0,
        results: 0,
        inputs: networks.inputs,
    };
    for ((forecaster, outline), memo) in networks
        .forecasters
        .iter()
        .zip(&networks.outlines)
        .zip(memos)
    {
        let images = forecaster.images(memo, &design, networks.inputs);
        let images = images.map_err(|e| e.to_string())?;
        let runs = u64::from(networks.inputs.div_ceil(images));
        let forecast = forecaster.cycles(memo, &design, images);
        let forecast = forecast.map_err(|e| e.to_string())?;
        let all = std::iter::once(&forecast.other).chain(&forecast.layers);
        spent.layers.extend(all.map(|layer| of_runs(layer, runs)));
        let beats = forecast.layers.iter().map(|l| l.cycles.of(Cause::Busy));
        spent.beats += runs * beats.sum::<u64>();
        spent.results += u64::from(networks.inputs) * outline.results();
        let pairs = outline.layers.iter().map(|layer| layer.binary_pairs());
        spent.binary_pairs += u128::from(networks.inputs) * pairs.sum::<u128>();
    }
    let config = design.design().config();
    let (estimate, not_estimated) = around.estimate(Hardware::Accelerator(&design));
    Ok(Point {
        memory_bits: Some(memory_bits(&design)),
        estimate,
        not_estimated,
        configuration_sha256: config.accelerator_hash(),
        command: format!(
            "xnorforge generate {}{} --interface axi --out DIR",
            config.command_flags(),
            config.accelerator.command_flags()
        ),
        ..Point::new(config, spent, around)
    })
}

fn of_runs(layer: &LayerForecast, runs: u64) -> SpentLayer {
    SpentLayer {
        cycles: runs * layer.cycles.total(),
        bound: bound_name(layer.cycles.bound()),
        stream_bytes: runs * layer.stream_bytes(),
    }
}

/// The accelerator with what every network needs at least, one image at a time.
///
/// # Errors
/// As [`point`].
pub fn sized(
    networks: &Networks,
    memos: &mut [Memo],
    mut config: ArrayConfig,
) -> Result<AcceleratorDesign, String> {
    let mut design = None;
    for (forecaster, memo) in networks.forecasters.iter().zip(memos) {
        let sized = forecaster.sized(memo, &config).map_err(|e| e.to_string())?;
        config = sized.design().config().clone();
        design = Some(sized);
    }
    design.ok_or_else(|| "there is no network".to_owned())
}

/// Bits of all memories of an accelerator: depths times widths times copies.
pub fn memory_bits(design: &AcceleratorDesign) -> u64 {
    let (array, c) = (design.design().config(), design.config());
    let bits = |copies: u32, words: u32, width: u32| {
        u64::from(copies) * u64::from(words) * u64::from(width)
    };
    let e = c.drain_columns;
    let result = design.design().result_width;
    bits(c.load_ports, c.activation_words, design.word_width)
        + bits(1, c.residual_words, design.word_width)
        + bits(array.rows, c.patch_words, design.word_width)
        + bits(array.columns, c.weight_words, design.weight_width)
        + bits(e, c.constant_words, design.constant_width)
        + bits(e * ((1 << c.threshold_bits) - 1), c.channel_words, result)
        + bits(e, c.channel_words, design.affine_width)
        + bits(e, c.table_words, design.product_width)
        + bits(1, c.program_words, 32)
        + bits(1, c.schedule_words, design.schedule_width)
}

#[cfg(test)]
mod tests {
    use super::super::point::Work;
    use super::super::sweep::Axes;
    use super::super::tests::explore_all;
    use super::*;
    use crate::accelerate::{Compiled, Report, random_inputs};
    use crate::core_rig;
    use xnorforge_import::topology::{Topology, Widths, description, scale_sim};
    use xnorforge_sim::network::Network;

    const NETWORK: &str = r#"
        network = { name = "n", input = [3, 6, 6], input_bits = 3 }
        layer = [
            { name = "a", kind = "conv", out_channels = 6, kernel = 3, padding = 1 },
            { name = "b", kind = "conv", out_channels = 6, kernel = 3, padding = 1 },
            { name = "sum", kind = "add", inputs = ["b", "a"] },
            { kind = "max_pool", kernel = 2 },
            { kind = "linear", out_features = 5 },
        ]"#;

    fn of(topology: &Topology, inputs: u32) -> Networks {
        Networks::new(topology.outlines().unwrap(), inputs)
    }

    fn axes() -> Axes {
        Axes {
            rows: vec![1, 4],
            columns: vec![2, 3],
            lanes: vec![6, 16],
            activation_branches: vec![1, 2],
            weight_branches: vec![1, 2],
            drain_columns: vec![1],
            load_ports: vec![1],
        }
    }

    fn design(networks: &Networks, config: ArrayConfig) -> Result<AcceleratorDesign, String> {
        sized(networks, &mut networks.memos(), config)
    }

    #[test]
    fn cycles_are_those_that_the_model_takes() {
        let topology = description::parse(NETWORK, &Widths::default()).unwrap();
        let networks = of(&topology, 3);
        let network: Network = topology.network(3).unwrap();
        let base = ArrayConfig::preset("tiny").unwrap();
        let found = explore_all(&base, axes(), &Work::Networks(networks.clone()));
        assert!(found.points.len() >= 8, "{:?}", found.left_out);
        for point in found.points.iter().step_by(3) {
            let design = design(&networks, point.config(&base)).unwrap();
            let compiled = Compiled::new(&design, network.clone(), 3, None).unwrap();
            let report = Report::new(&compiled, 3);
            let bounds: Vec<&str> = std::iter::once(&report.input)
                .chain(&report.layers)
                .map(|layer| layer.bound)
                .collect();
            assert_eq!(point.layer_bounds, bounds, "{}", point.command);
            let input = random_inputs(&network, Some(3), 3);
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
            let networks = of(&topology, 2);
            let base = ArrayConfig::preset("small").unwrap();
            let around = Surroundings::default();
            let point = point(&networks, &mut networks.memos(), base, &around);
            point.unwrap().cycles
        };
        assert_eq!(cycles(&rows.join("\n")), cycles(rows[0]) + cycles(rows[1]));
    }

    #[test]
    fn sizes_grow_to_what_is_needed_and_no_further() {
        let topology = |text| scale_sim::parse("t", text, &Widths::default()).unwrap();
        let networks = of(&topology("a,64,64,3,3,64,64,1"), 1);
        let base = ArrayConfig::preset("small").unwrap();
        let sized = design(&networks, base.clone()).unwrap();
        // 4096 pixels of two words each: activations of 2 bits in a word of 64 lanes.
        assert_eq!(sized.config().activation_words, 8192);
        assert_eq!(sized.design().config().rows, base.rows);
        let wide = of(&topology("a,1024,1024,1,1,255,1,1"), 1);
        let error = design(&wide, base).unwrap_err();
        assert!(error.contains("activation_words"), "{error}");
    }

    #[test]
    fn a_narrow_outside_takes_what_its_bytes_take() {
        let topology = description::parse(NETWORK, &Widths::default()).unwrap();
        let networks = of(&topology, 1);
        let at = |bytes_per_cycle| {
            let around = Surroundings {
                clock_mhz: Some(100.0),
                bytes_per_cycle,
                ..Surroundings::default()
            };
            let base = ArrayConfig::preset("tiny").unwrap();
            point(&networks, &mut networks.memos(), base, &around).unwrap()
        };
        let (free, narrow) = (at(None), at(Some(0.001)));
        assert_eq!(free.cycles, narrow.cycles);
        assert_eq!(free.cycles_at_bandwidth, None);
        assert!(narrow.cycles_at_bandwidth.unwrap() > narrow.cycles);
        assert!(narrow.layer_bounds.iter().any(|bound| bound == "bandwidth"));
        assert!(narrow.frames_per_second < free.frames_per_second);
        // A byte in a cycle is more than any layer of this one asks for.
        assert_eq!(at(Some(1e6)).cycles_at_bandwidth, Some(free.cycles));
    }
}
