//! Forecasts from outlines against the cycles of compiled programs, which other tests hold to the cycle-accurate model.

mod common;

use common::networks::{random_accelerator, random_network, random_precision, reduced};
use common::random_broadcast;
use common::resnet::resnet18;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::accelerator::AcceleratorConfig;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::forecast::{Forecast, Forecaster, Memo};
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Padding, Read, Requantize, Rescale, Shape,
    TensorId, Window, number_of_step, steps,
};
use xnorforge_sim::program::timing::{Cycles, entry_cycles};
use xnorforge_sim::program::{Program, ProgramError};
use xnorforge_sim::{Encoding, Operand, Precision};

/// Compares forecast and program on a design as it is; gives whether the network runs on it.
fn compare(
    memo: &mut Memo,
    design: &AcceleratorDesign,
    network: &Network,
    images: u32,
    what: &str,
) -> bool {
    let forecaster = Forecaster::new(&network.outline().unwrap());
    let forecast = forecaster.cycles(memo, design, images);
    let program = match Program::compile(design, images, network) {
        Ok(program) => program,
        // It depends on numbers.
        Err(ProgramError::Value { .. }) => return false,
        Err(error) => {
            let same = forecast.is_err_and(|e| {
                std::mem::discriminant(&e) == std::mem::discriminant(&error)
                    || matches!(error, ProgramError::NoZero { .. })
            });
            assert!(same, "{what}: {error}");
            return false;
        }
    };
    let forecast = forecast.unwrap_or_else(|error| panic!("{what}: {error}"));
    let entry = program.entry(&network.name).unwrap();
    let cycles = entry_cycles(design, entry, network.layers.len());
    let layers: Vec<Cycles> = forecast.layers.iter().map(|layer| layer.cycles).collect();
    assert_eq!(layers, cycles.layers, "{what}");
    assert_eq!(forecast.other.cycles, cycles.other, "{what}");
    assert_eq!(forecast.total(), cycles.total(), "{what}");
    let results: u64 = forecast.layers.iter().map(|layer| layer.result_bytes).sum();
    let results = results + forecast.other.result_bytes;
    assert_eq!(results, 4 * entry.result_values(), "{what}");
    true
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    let first: u64 = std::env::var("XNORFORGE_SEED").map_or(0, |s| s.parse().unwrap());
    first..first + count
}

#[test]
fn random_networks_on_designs_as_they_are() {
    let mut ran = 0;
    for seed in seeds(400) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_accelerator(&mut rng);
        let images = rng.random_range(1..=3);
        let (network, _) = random_network(&mut rng, &design, images);
        let low = reduced(&mut rng, &network);
        let mut memo = Memo::default();
        for network in [&network, &low] {
            let what = format!(
                "seed {seed}: {:?}, {images} images of {network:?}",
                design.design().config()
            );
            ran += u32::from(compare(&mut memo, &design, network, images as u32, &what));
        }
    }
    println!("{ran} of 800 ran");
    assert!(ran > 500, "{ran}");
}

#[test]
fn random_networks_on_designs_that_are_made_to_fit() {
    let mut ran = 0;
    for seed in seeds(200) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_accelerator(&mut rng);
        let (network, _) = random_network(&mut rng, &design, 1);
        let small = ArrayConfig {
            reduction_max: 16,
            accelerator: AcceleratorConfig {
                activation_words: 2,
                residual_words: 2,
                patch_words: 4,
                weight_words: 2,
                constant_words: 2,
                channel_words: 2,
                table_words: 2,
                program_words: 64,
                schedule_words: 2,
                layers: 2,
                threshold_bits: 1,
                ..design.config().clone()
            },
            ..design.design().config().clone()
        };
        let forecaster = Forecaster::new(&network.outline().unwrap());
        let mut memo = Memo::default();
        let Ok(sized) = forecaster.sized(&mut memo, &small) else {
            continue;
        };
        let what = format!("seed {seed}: {:?}: {network:?}", sized.design().config());
        let fits = compare(&mut memo, &sized, &network, 1, &what);
        let program = Program::compile(&sized, 1, &network);
        assert!(
            fits || matches!(program, Err(ProgramError::Value { .. })),
            "{what}"
        );
        ran += u32::from(fits);
        let images = forecaster.images(&mut memo, &sized, 9).unwrap();
        let most = |images| match Program::compile(&sized, images, &network) {
            Ok(_) => true,
            Err(ProgramError::Memory { .. } | ProgramError::Field { .. }) => false,
            Err(error) => matches!(error, ProgramError::Value { .. }),
        };
        assert!(most(images) && (images == 9 || !most(images + 1)), "{what}");
    }
    println!("{ran} of 200 ran");
    assert!(ran > 100, "{ran}");
}

/// A large array with whatever pipeline, drain and loaders it can have.
fn large_design(rng: &mut ChaCha8Rng) -> AcceleratorDesign {
    loop {
        let rows = *[1, 2, 3, 4, 6, 8, 12, 16, 30, 64].choose(rng).unwrap();
        let columns = *[1, 2, 3, 4, 6, 8, 16, 32].choose(rng).unwrap();
        let divisors = |of: u32| (1..=of).filter(move |d| of.is_multiple_of(*d));
        let drain = divisors(columns).collect::<Vec<u32>>();
        let ports = divisors(rows).collect::<Vec<u32>>();
        let config = ArrayConfig {
            rows,
            columns,
            lanes: *[7, 16, 32, 64, 128, 256, 1024].choose(rng).unwrap(),
            activation_bits: 8,
            weight_bits: 8,
            activation_branches: *[1, 1, 2, 4, 8].choose(rng).unwrap(),
            weight_branches: *[1, 1, 2, 4, 8].choose(rng).unwrap(),
            reduction_max: 8192,
            popcount_stages: rng.random_range(1..=5),
            broadcast_stages: random_broadcast(&mut rng.clone()),
            accelerator: AcceleratorConfig {
                drain_columns: *drain.choose(rng).unwrap(),
                load_ports: if rng.random_bool(0.6) {
                    1
                } else {
                    *ports.choose(rng).unwrap()
                },
                activation_words: 1 << 20,
                residual_words: 1 << 20,
                patch_words: 1 << 14,
                weight_words: 1 << rng.random_range(6..=14),
                constant_words: 1 << 18,
                channel_words: 1 << 12,
                table_words: 1 << 12,
                program_words: 1 << 20,
                schedule_words: 1 << 12,
                layers: 16,
                threshold_bits: 8,
                stream_bits: 1 << rng.random_range(3..=8),
            },
            ..ArrayConfig::default()
        };
        if let Ok(design) = config.validate().and_then(|d| AcceleratorDesign::new(&d)) {
            return design;
        }
    }
}

fn precision(rng: &mut ChaCha8Rng) -> Precision {
    random_precision(rng, 8)
}

/// Two layers, the second of which may add what the first gives, on a large feature map.
fn large_network(rng: &mut ChaCha8Rng) -> Network {
    let channels = *[1, 3, 8, 16, 20, 32].choose(rng).unwrap();
    let input = Shape::new(rng.random_range(1..=40), rng.random_range(1..=60), channels);
    let given = precision(rng);
    let mut network = Network {
        name: "large".to_owned(),
        input,
        precision: given,
        layers: Vec::new(),
        outputs: vec![TensorId::Layer(1)],
    };
    let (mut shape, mut read) = (input, given);
    for index in 0..2 {
        let outputs = *[1, 4, 8, 24, 64].choose(rng).unwrap();
        let kernel = *[1, 1, 3, 3, 5, 7].choose(rng).unwrap();
        let window = loop {
            let window = Window {
                kernel: (kernel, *[kernel, kernel, 1].choose(rng).unwrap()),
                stride: (rng.random_range(1..=2), rng.random_range(1..=2)),
                dilation: (1, *[1, 1, 1, 2].choose(rng).unwrap()),
                padding: Padding::all(rng.random_range(0..=kernel / 2)),
            };
            if window.output(shape).is_some() {
                break window;
            }
            if shape.height < kernel || shape.width < 2 * kernel {
                break Window::square(1, 1, 0);
            }
        };
        let groups = match shape.channels {
            c if rng.random_bool(0.2) && outputs % c == 0 => c,
            _ => 1,
        };
        let elements = shape.channels / groups * window.kernel.0 * window.kernel.1;
        let weight = precision(rng);
        let weights = Operand::random("weights", weight, outputs as usize, elements as usize, rng);
        let (height, width) = window.output(shape).unwrap();
        let next = precision(rng);
        let thresholds = vec![vec![0; steps(next) as usize - 1]; outputs as usize];
        let output = Requantize::new(
            next,
            Rescale::Thresholds {
                thresholds,
                falling: vec![false; outputs as usize],
            },
        );
        let pad = match rng.random_bool(0.7) {
            true => Pad::Zero,
            false => Pad::Number(number_of_step(read, rng.random_range(0..steps(read)))),
        };
        network.layers.push(Layer {
            name: format!("l{index}"),
            input: Read::from(if index == 0 {
                TensorId::Input
            } else {
                TensorId::Layer(0)
            }),
            operation: Operation::Convolution(Convolution {
                window,
                groups,
                weights: weights.unwrap(),
                bias: None,
                pad,
            }),
            residual: None,
            output: if index == 0 || rng.random_bool(0.5) {
                Output::Codes(output)
            } else {
                Output::Raw
            },
        });
        (shape, read) = (Shape::new(height, width, outputs), next);
    }
    let same = network.input == shape;
    if same || rng.random_bool(0.3) {
        add_something(rng, &mut network, shape);
    }
    network
}

/// A third layer that adds the second one's numbers to those of a copy of them.
fn add_something(rng: &mut ChaCha8Rng, network: &mut Network, shape: Shape) {
    let Output::Codes(codes) = &network.layers[1].output else {
        return;
    };
    let numbers = codes.precision;
    let one = Precision::new(Encoding::Unsigned, 1);
    let channels = shape.channels as usize;
    network.layers.push(Layer {
        name: "sum".to_owned(),
        input: Read::from(TensorId::Layer(1)),
        operation: Operation::Convolution(Convolution {
            window: Window::square(1, 1, 0),
            groups: 1,
            weights: Operand::random("weights", one, channels, channels, rng).unwrap(),
            bias: None,
            pad: Pad::Zero,
        }),
        residual: Some(xnorforge_sim::network::Residual {
            tensor: TensorId::Layer(1),
            table: vec![0; steps(numbers) as usize],
            place: *[
                xnorforge_sim::network::Place::Before,
                xnorforge_sim::network::Place::After,
            ]
            .choose(rng)
            .unwrap(),
        }),
        output: Output::Raw,
    });
    network.outputs = vec![TensorId::Layer(2)];
}

#[test]
fn large_feature_maps() {
    let (mut ran, mut sums) = (0, [0u64; 8]);
    for seed in seeds(300) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = large_design(&mut rng);
        let network = large_network(&mut rng);
        let images = *[1, 1, 2, 5, 9].choose(&mut rng).unwrap();
        let config = design.design().config();
        let what = format!(
            "seed {seed}: {} --{:?}, {images} images of {}",
            config.command_flags(),
            config.accelerator,
            describe(&network)
        );
        let mut memo = Memo::default();
        if compare(&mut memo, &design, &network, images, &what) {
            ran += 1;
            let outline = network.outline().unwrap();
            let forecast = Forecaster::new(&outline).cycles(&mut memo, &design, images);
            add(&mut sums, &forecast.unwrap());
        }
    }
    println!("{ran} of 300 ran, cycles by cause {sums:?}");
    assert!(ran > 150, "{ran}");
}

fn describe(network: &Network) -> String {
    let layers = network.outline().unwrap().layers;
    format!("{} {:?} {layers:?}", network.input, network.precision)
}

fn add(sums: &mut [u64; 8], forecast: &Forecast) {
    for (cause, sum) in xnorforge_sim::program::timing::Cause::ALL
        .into_iter()
        .zip(sums)
    {
        let layers = forecast.layers.iter().map(|layer| layer.cycles.of(cause));
        *sum += layers.sum::<u64>();
    }
}

#[test]
fn a_residual_network_on_presets_and_their_neighbours() {
    let network = resnet18(18, 64, 2, 2);
    let mut memo = Memo::default();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let forecaster = Forecaster::new(&network.outline().unwrap());
    let mut ran = 0;
    for index in 0..12 {
        let base = ArrayConfig::preset(["default", "large"][index % 2]).unwrap();
        let mut config = ArrayConfig {
            rows: *[4, 8, 14, 16, 32].choose(&mut rng).unwrap(),
            columns: *[8, 16, 32].choose(&mut rng).unwrap(),
            lanes: *[64, 128, 256].choose(&mut rng).unwrap(),
            activation_branches: *[1, 2].choose(&mut rng).unwrap(),
            weight_branches: *[1, 2].choose(&mut rng).unwrap(),
            ..base
        };
        config.accelerator.drain_columns = *[1, 4, 8].choose(&mut rng).unwrap();
        config.accelerator.load_ports = *[1, 2].choose(&mut rng).unwrap();
        let design = forecaster.sized(&mut memo, &config).unwrap();
        let what = design.design().config().command_flags();
        ran += u32::from(compare(&mut memo, &design, &network, 1, &what));
    }
    assert_eq!(ran, 12);
}
