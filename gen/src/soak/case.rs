//! The cases: what is drawn from a seed and a number, within limits.

use super::limits::{Knob, Limits};
use crate::commands::generate::Interface;
use crate::config::divisor_up_to;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::{
    AcceleratorConfig, AcceleratorDesign, ArrayConfig, BroadcastStages, Design, Structure, Target,
};
use xnorforge_sim::accelerator::StreamStalls;
use xnorforge_sim::network::{Network, Tensor};
use xnorforge_sim::program::Program;
use xnorforge_sim::random::networks::{
    NetworkLimits, random_input, random_network_within, reduced,
};
use xnorforge_sim::random::{Data, is_of_random_size, pick, random_broadcast, random_gemm_of};
use xnorforge_sim::{Gemm, Lowered, StallPlan};

/// Draws before a case is given up. Half of the configurations and networks that are drawn are legal.
const TRIES: u32 = 64;

/// Networks that are drawn for one accelerator.
const NETWORK_TRIES: u32 = 12;

/// What happens before a product or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It follows the one before without a reset.
    Nothing,
    /// The array, or the core, is reset.
    Reset,
    /// It is begun, reset after so many cycles in the middle of its work, and begun again.
    Cut(u64),
}

/// A product on the array.
#[derive(Clone, Debug)]
pub struct Product {
    /// What happens before it.
    pub before: Before,
    /// The product.
    pub gemm: Gemm,
    /// The same, as beats.
    pub lowered: Lowered,
    /// Stalls of the ports.
    pub stalls: StallPlan,
}

/// A run of one of a program's networks.
#[derive(Clone, Debug)]
pub struct NetworkRun {
    /// What happens before it.
    pub before: Before,
    /// Index of the network.
    pub network: usize,
    /// An input for each time that the program is run.
    pub inputs: Vec<Tensor>,
}

/// Networks on the accelerator.
#[derive(Clone, Debug)]
pub struct NetworkWork {
    /// The accelerator.
    pub design: AcceleratorDesign,
    /// The networks; those after the first one read fewer bits of the same weights.
    pub networks: Vec<Network>,
    /// All of them, compiled.
    pub program: Program,
    /// The runs, in order.
    pub runs: Vec<NetworkRun>,
    /// Stalls of the streams.
    pub stalls: StreamStalls,
}

/// What a case does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Products, one after the other.
    Products(Vec<Product>),
    /// Networks, one after the other.
    Networks(Box<NetworkWork>),
}

/// A design and what it does.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed of the whole soak.
    pub seed: u64,
    /// The number of the case.
    pub number: u64,
    /// Which top module.
    pub top: Interface,
    /// The array's design.
    pub design: Design,
    /// What it does.
    pub work: Work,
}

impl Case {
    /// The case of a seed and a number, of one kind of top module if that is given, within limits; none if nothing within
    /// them can be drawn.
    pub fn draw(seed: u64, number: u64, only: Option<Interface>, limits: &Limits) -> Option<Case> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let drawn = match rng.random_range(0..10) {
            0..5 => Interface::Array,
            5..8 => Interface::Stream,
            _ => Interface::Axi,
        };
        let top = only.unwrap_or(drawn);
        let attempt = |[mut sizes, mut work]: [ChaCha8Rng; 2], limits: &Limits| {
            let (design, work) = match top {
                Interface::Array => {
                    let design = draw_array(&mut sizes, limits)?;
                    let work = draw_products(&design, &mut work, limits)?;
                    (design, work)
                }
                Interface::Stream | Interface::Axi => {
                    let design = draw_accelerator(&mut sizes, limits)?;
                    let work = draw_networks(&design, &mut work, limits)?;
                    (design, work)
                }
            };
            Some(Case {
                seed,
                number,
                top,
                design,
                work,
            })
        };
        // The first draw that is legal without limits is the case; within limits it is the same one, made smaller.
        (0..TRIES).find_map(|_| {
            // Generators of their own: a limit on the one changes no draw of the other.
            let generators = [(); 2].map(|()| ChaCha8Rng::from_seed(rng.random()));
            let case = attempt(generators.clone(), &Limits::default())?;
            Some(match limits.is_empty() {
                true => Some(case),
                false => attempt(generators, limits),
            })
        })?
    }

    /// The values of everything that can be made smaller.
    pub fn sizes(&self) -> Vec<(Knob, u32)> {
        let c = self.design.config();
        let mut sizes = vec![
            (Knob::Rows, c.rows),
            (Knob::Columns, c.columns),
            (Knob::Lanes, c.lanes),
            (Knob::ActivationBranches, c.activation_branches),
            (Knob::WeightBranches, c.weight_branches),
            (Knob::ActivationBits, c.activation_bits),
            (Knob::WeightBits, c.weight_bits),
            (Knob::ReductionMax, c.reduction_max),
            (Knob::ConstantEntries, c.constant_entries),
        ];
        if c.popcount_stages > 0 {
            sizes.push((Knob::PopcountStages, c.popcount_stages));
        }
        sizes.push((Knob::BroadcastStages, self.design.broadcast_stages()));
        let resets = |before: Before| before != Before::Nothing;
        match &self.work {
            Work::Products(products) => sizes.extend([
                (Knob::Runs, products.len() as u32),
                (
                    Knob::Resets,
                    products.iter().any(|p| resets(p.before)).into(),
                ),
                (Knob::Stalls, products.iter().any(stalls).into()),
            ]),
            Work::Networks(work) => {
                let a = work.design.config();
                let first = &work.networks[0];
                let images = work.runs.iter().flat_map(|run| &run.inputs);
                sizes.extend([
                    (Knob::Runs, work.runs.len() as u32),
                    (
                        Knob::Resets,
                        work.runs.iter().any(|r| resets(r.before)).into(),
                    ),
                    (
                        Knob::Stalls,
                        (work.stalls != no_stalls(&work.stalls)).into(),
                    ),
                    (Knob::Layers, first.layers.len() as u32),
                    (Knob::Networks, work.networks.len() as u32),
                    (
                        Knob::Images,
                        images.map(|i| i.images as u32).max().unwrap_or(1),
                    ),
                    (Knob::Side, first.input.height.max(first.input.width)),
                    (Knob::Channels, channels(first)),
                    (Knob::DrainColumns, a.drain_columns),
                    (Knob::LoadPorts, a.load_ports),
                    (Knob::StreamBits, a.stream_bits),
                    (Knob::ThresholdBits, a.threshold_bits),
                ]);
            }
        }
        sizes.sort();
        sizes
    }

    /// What was drawn, for whoever looks into a failure.
    pub fn describe(&self) -> String {
        match &self.work {
            Work::Products(products) => products
                .iter()
                .map(|p| {
                    let shape = p.gemm.shape();
                    format!(
                        "before: {:?}\nstalls: {:?}\nshape: {shape:?}\nbias: {:?}\nclasses: {:?}\nactivations: {:?}\nweights: {:?}\n\n",
                        p.before,
                        p.stalls,
                        p.gemm.bias(),
                        p.gemm.classes(),
                        p.gemm.activations().values(),
                        p.gemm.weights().values(),
                    )
                })
                .collect(),
            Work::Networks(work) => {
                let mut text = format!("stalls: {:?}\n\n", work.stalls);
                for network in &work.networks {
                    text += &format!("{network:#?}\n\n");
                }
                for entry in work.program.entries() {
                    text += &format!("entry {} at word {}\n", entry.name, entry.address);
                    for step in &entry.steps {
                        text += &format!("{:?}\n", step.descriptor);
                    }
                }
                for packet in work.program.packets() {
                    text += &format!("\npacket {:08x?}", packet.stream());
                }
                for run in &work.runs {
                    text += &format!("\n\n{run:?}");
                }
                text + "\n"
            }
        }
    }
}

fn stalls(product: &Product) -> bool {
    let plan = product.stalls;
    plan.operand + plan.constant + plan.result > 0.0
}

fn no_stalls(stalls: &StreamStalls) -> StreamStalls {
    StreamStalls {
        seed: stalls.seed,
        ..StreamStalls::NONE
    }
}

/// The most channels of a network's input and outputs.
fn channels(network: &Network) -> u32 {
    let shapes = network.check().unwrap_or_default();
    let outputs = shapes.iter().map(|layer| layer.shape.channels);
    outputs.fold(network.input.channels, u32::max)
}

/// A target and one of its structures, what `auto` makes of it included.
fn draw_structure(rng: &mut ChaCha8Rng) -> (Target, Structure) {
    let target = pick(rng, &Target::ALL);
    let structure = match rng.random_range(0..10) {
        0..4 => Structure::Tree,
        4..6 => Structure::Auto,
        _ => *Structure::of_target(target)
            .choose(rng)
            .unwrap_or(&Structure::Tree),
    };
    (target, structure)
}

/// Sizes of the array that both tops share; edges (1 row, 1 column, 1 lane, 1 bit) come up often.
fn draw_config(rng: &mut ChaCha8Rng, limits: &Limits) -> ArrayConfig {
    let (target, structure) = draw_structure(rng);
    let bits = |rng: &mut ChaCha8Rng| pick(rng, &[1, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 8]);
    let (m, k) = (bits(rng), bits(rng));
    let (m, k) = (
        limits.bound(Knob::ActivationBits, m),
        limits.bound(Knob::WeightBits, k),
    );
    let serial = rng.random_bool(0.5);
    let (pm, pk): (u32, u32) = (rng.random_range(1..=8), rng.random_range(1..=8));
    let branches = |drawn: u32, bits: u32, knob| match serial {
        true => 1,
        false => limits.bound(knob, 1 + drawn % bits),
    };
    ArrayConfig {
        target,
        structure,
        activation_bits: m,
        weight_bits: k,
        activation_branches: branches(pm, m, Knob::ActivationBranches).min(m),
        weight_branches: branches(pk, k, Knob::WeightBranches).min(k),
        rows: limits.bound(Knob::Rows, pick(rng, &[1, 1, 2, 3, 4, 5, 7, 8, 9, 16])),
        columns: limits.bound(Knob::Columns, pick(rng, &[1, 1, 2, 3, 4, 5, 7, 8, 9, 17])),
        lanes: limits.bound(
            Knob::Lanes,
            pick(
                rng,
                &[
                    1, 1, 2, 3, 5, 8, 16, 31, 33, 63, 64, 65, 100, 127, 128, 130, 256,
                ],
            ),
        ),
        reduction_max: limits.bound(Knob::ReductionMax, pick(rng, &[1, 2, 7, 64, 300, 1000])),
        // The structures of Xilinx have no choice.
        popcount_stages: match (structure, target) {
            (Structure::Tree, _) => limits.bound(Knob::PopcountStages, rng.random_range(1..=4)),
            (_, Target::Xilinx | Target::Ultrascale) => 0,
            _ => limits.bound(Knob::PopcountStages, rng.random_range(0..=4)),
        },
        constant_entries: 1
            << limits
                .bound(Knob::ConstantEntries, 1 << rng.random_range(1..=5))
                .ilog2(),
        broadcast_stages: BroadcastStages::Fixed(
            limits.bound(Knob::BroadcastStages, random_broadcast(rng).count()),
        ),
        ..ArrayConfig::default()
    }
}

/// The design, with as many popcount stages as the tree has ranks for.
fn validated(mut config: ArrayConfig, rng: &mut ChaCha8Rng) -> Option<Design> {
    if !is_of_random_size(&config, rng) {
        return None;
    }
    loop {
        match config.validate() {
            Ok(design) => return Some(design),
            Err(_) if config.popcount_stages > 1 => config.popcount_stages -= 1,
            Err(_) => return None,
        }
    }
}

fn draw_array(rng: &mut ChaCha8Rng, limits: &Limits) -> Option<Design> {
    let config = draw_config(rng, limits);
    let wider = rng.random_bool(0.15).then(|| rng.random_range(1..=3));
    let design = validated(config, rng)?;
    let Some(wider) = wider else {
        return Some(design);
    };
    // A wider accumulator than is needed is legal too.
    let config = ArrayConfig {
        accumulator_width: Some(
            design.accumulator_high_width + design.accumulator_low_width + wider,
        ),
        ..design.config().clone()
    };
    config.validate().ok().or(Some(design))
}

fn draw_accelerator(rng: &mut ChaCha8Rng, limits: &Limits) -> Option<Design> {
    let array = draw_config(rng, limits);
    let lanes = array.lanes;
    let (rows, columns) = (array.rows.min(8), array.columns.min(lanes).min(9));
    let [drained, ports] = [(); 2].map(|()| rng.random_range(1..=9));
    let config = ArrayConfig {
        rows,
        columns,
        reduction_max: limits.bound(Knob::ReductionMax, 3000),
        accelerator: AcceleratorConfig {
            drain_columns: divisor_up_to(limits.bound(Knob::DrainColumns, drained), &[columns]),
            load_ports: divisor_up_to(limits.bound(Knob::LoadPorts, ports), &[rows]),
            activation_words: 1 << 13,
            residual_words: 1 << 13,
            patch_words: 1 << 12,
            weight_words: 1 << rng.random_range(5..=10),
            constant_words: 1 << 14,
            channel_words: 1 << 8,
            table_words: 1 << 11,
            program_words: 1 << 13,
            schedule_words: 1 << 10,
            layers: 16,
            threshold_bits: limits.bound(Knob::ThresholdBits, pick(rng, &[2, 4, 4, 8])),
            stream_bits: 1
                << limits
                    .bound(Knob::StreamBits, 1 << rng.random_range(3..=8))
                    .ilog2(),
        },
        ..array
    };
    let design = validated(config, rng)?;
    AcceleratorDesign::new(&design).ok().map(|_| design)
}

fn draw_data(rng: &mut ChaCha8Rng) -> Data {
    match rng.random_range(0..10) {
        0 => Data::Lowest,
        1 => Data::Highest,
        _ => Data::Random,
    }
}

fn draw_level(rng: &mut ChaCha8Rng) -> f64 {
    pick(rng, &[0.0, 0.0, 0.1, 0.5, 0.9])
}

fn draw_before(rng: &mut ChaCha8Rng, cycles: u64, limits: &Limits) -> Before {
    let cut = rng.random_range(1..=cycles.max(1));
    match rng.random_range(0..10) {
        _ if limits.of(Knob::Resets) == 0 => Before::Nothing,
        0..3 => Before::Cut(cut),
        3..5 => Before::Reset,
        _ => Before::Nothing,
    }
}

fn draw_products(design: &Design, rng: &mut ChaCha8Rng, limits: &Limits) -> Option<Work> {
    let count = limits.bound(Knob::Runs, rng.random_range(1..=4));
    let products = (0..count).map(|_| {
        let mut rng = ChaCha8Rng::from_seed(rng.random());
        let data = draw_data(&mut rng);
        let [operand, constant, result] = [(); 3].map(|()| draw_level(&mut rng));
        let seed = rng.random();
        let gemm = random_gemm_of(design, data, &mut rng);
        let lowered = Lowered::new(design, &gemm).ok()?;
        let plan = lowered.plan();
        let before = draw_before(&mut rng, plan.tiles() * plan.tile_beats() + 20, limits);
        let stalls = match limits.of(Knob::Stalls) {
            0 => StallPlan {
                seed,
                ..StallPlan::NONE
            },
            _ => StallPlan {
                operand,
                constant,
                result,
                seed,
            },
        };
        Some(Product {
            before,
            gemm,
            lowered,
            stalls,
        })
    });
    products.collect::<Option<Vec<_>>>().map(Work::Products)
}

fn draw_networks(design: &Design, rng: &mut ChaCha8Rng, limits: &Limits) -> Option<Work> {
    let design = AcceleratorDesign::new(design).ok()?;
    let stalls = draw_stream_stalls(rng, limits);
    let count = limits.bound(Knob::Runs, rng.random_range(1..=3));
    let images = limits.bound(Knob::Images, rng.random_range(1..=2));
    let has_two = limits.of(Knob::Networks) > 1 && rng.random_bool(0.7);
    let within = NetworkLimits {
        layers: limits.of(Knob::Layers) as usize,
        side: limits.of(Knob::Side),
        channels: limits.of(Knob::Channels),
        data: draw_data(rng),
    };
    // Many networks do not fit the accelerator that was drawn; its build costs more than another network.
    let (networks, program) = (0..NETWORK_TRIES).find_map(|_| {
        let mut rng = ChaCha8Rng::from_seed(rng.random());
        let (network, _) = random_network_within(&mut rng, &design, images as usize, &within);
        let fewer = has_two.then(|| reduced(&mut rng, &network));
        compile(&design, images, network, fewer)
    })?;
    let runs = (0..count as usize).map(|index| {
        let mut rng = ChaCha8Rng::from_seed(rng.random());
        let network = index % networks.len();
        let repeats = rng.random_range(1..=2);
        NetworkRun {
            before: draw_before(&mut rng, 2000, limits),
            network,
            inputs: (0..repeats)
                .map(|_| random_input(&mut rng, &networks[network], images as usize))
                .collect(),
        }
    });
    let runs = runs.collect();
    Some(Work::Networks(Box::new(NetworkWork {
        design,
        networks,
        program,
        runs,
        stalls,
    })))
}

fn draw_stream_stalls(rng: &mut ChaCha8Rng, limits: &Limits) -> StreamStalls {
    let [program, weight, input, result] = [(); 4].map(|()| draw_level(rng));
    let stalls = StreamStalls {
        program: program.min(0.5),
        weight,
        input,
        result,
        seed: rng.random(),
    };
    match limits.of(Knob::Stalls) {
        0 => no_stalls(&stalls),
        _ => stalls,
    }
}

/// The program of a network, and of one that reads fewer bits if both fit; none if the first one does not.
fn compile(
    design: &AcceleratorDesign,
    images: u32,
    network: Network,
    fewer: Option<Network>,
) -> Option<(Vec<Network>, Program)> {
    if let Some(fewer) = fewer
        && let Ok(program) = Program::compile_all(design, images, &[&network, &fewer])
    {
        return Some((vec![network, fewer], program));
    }
    let program = Program::compile(design, images, &network).ok()?;
    Some((vec![network], program))
}
