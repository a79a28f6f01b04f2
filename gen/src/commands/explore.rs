//! `xnorforge explore`: array shapes and branch parallelism compared for a workload.
//!
//! Cycles come from the closed formulas that `simulate` reports too; no point is estimated. A product runs on the array
//! alone, a network on the accelerator around it, whose memories and widths grow where the network needs more than the
//! base configuration has: the command of each point says how large they are.

mod network;
mod report;
pub mod sweep;

use crate::config::ConfigArgs;
use crate::engine;
use crate::failure::Failure;
use crate::model::Model;
use crate::output;
use crate::terminal::{Terminal, percent, thousands};
use crate::workload::{INPUTS_DEFAULT, WorkArgs};
use rayon::prelude::*;
use serde::Serialize;
use std::path::PathBuf;
use sweep::{Axes, SweepArgs};
use xnorforge_hdl::ArrayConfig;
use xnorforge_hdl::config::{BITS_MAX, DIMENSION_MAX};
use xnorforge_hdl::popcount::PopcountPlan;
use xnorforge_sim::network::{Network, Outline};
use xnorforge_sim::{CycleReport, GemmShape, Precision};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge explore --gemm 3136x576x64 --bits 2x2 --sweep-rows 4..32x2 --sweep-columns 4..32x2 --sweep-lanes 32,64,128
  xnorforge explore --model testbenches/cases/a_mlp_odd_w2a2/model.npz --inputs 200 --sweep sweep.toml --out build/explore
  xnorforge explore --config large --model resnet18 --bits 2x2 --inputs 1 --sweep-lanes 128,256 --out build/resnet18

A range is a list of numbers (4,8,16), of steps (8..64+8 adds 8, 8..64x2 doubles, 1..4 counts), or a mix. In --sweep FILE
(TOML), the keys are rows, columns, lanes, activation_branches and weight_branches, each with a list or such a text.
A point on the front is one that no other beats in both cycles and binary operation pairs per cycle (xnor and add: 2
operations each). DIR gets report.html, points.csv and points.json.";

/// Most points of one exploration.
pub const POINTS_MAX: u64 = 100_000;
/// Points of the table on the terminal.
const TABLE_ROWS_MAX: usize = 40;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    work: WorkArgs,
    /// Inputs that a network runs on; as many of them in one run of its program as fit
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    inputs: Option<u32>,
    #[command(flatten)]
    sweep: SweepArgs,
    /// What the table is sorted by
    #[arg(long, value_enum, default_value_t)]
    objective: Objective,
    /// Folder for report.html, points.csv and points.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace DIR even if it is empty, or if files in it were changed; never a folder of something else
    #[arg(long)]
    force: bool,
}

/// What is best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Objective {
    /// Fewest cycles.
    #[default]
    Cycles,
    /// Highest utilization.
    Utilization,
    /// Fewest cycles times binary operation pairs per cycle.
    Product,
}

/// One point: a design and what the work takes on it.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Lanes.
    pub lanes: u32,
    /// Activation branches in one cycle.
    pub activation_branches: u32,
    /// Weight branches in one cycle.
    pub weight_branches: u32,
    /// Binary operation pairs in one cycle: the size of the array.
    pub binary_operation_pairs_per_cycle: u64,
    /// Clock cycles of all layers.
    pub cycles: u64,
    /// Share of the array's binary operation pairs that the work needs, 0 to 1.
    pub utilization: f64,
    /// Binary operation pairs of the work per cycle.
    pub effective_pairs_per_cycle: f64,
    /// What bounds most of the cycles.
    pub bound: &'static str,
    /// Cycles of each layer; of networks, first those of taking the input.
    pub layer_cycles: Vec<u64>,
    /// Whether no other point beats this one in both cycles and binary operation pairs per cycle.
    pub is_pareto: bool,
    /// The configuration's hash.
    pub configuration_sha256: String,
    /// The command that generates this point's Verilog.
    pub command: String,
}

/// A layer of the work, for all inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Rows, elements of the reduction and columns of the product.
    pub shape: [u64; 3],
    /// Encoding and bits of the activations.
    pub activation: Precision,
    /// Encoding and bits of the weights; none for pools and for the input.
    pub weight: Option<Precision>,
}

/// What is run at each point.
#[derive(Clone, Debug)]
pub enum Work {
    /// One product, on the array alone.
    Product(GemmShape),
    /// Networks one after the other, on the accelerator.
    Networks {
        /// The networks.
        networks: Vec<Network>,
        /// The same without numbers.
        outlines: Vec<Outline>,
        /// Images that each of them runs on.
        inputs: u32,
    },
}

impl Work {
    fn load(args: &Args, base: &ArrayConfig) -> Result<Self, Failure> {
        let Some(path) = &args.work.model else {
            return Ok(Work::Product(args.work.product(base)?));
        };
        let model = Model::load(path, args.work.overrides(), &args.work.import, None)?;
        Ok(Work::Networks {
            outlines: model.outlines()?,
            // Cycles do not depend on weights; any will do.
            networks: model.networks(0)?,
            inputs: args.inputs.unwrap_or(INPUTS_DEFAULT as u32),
        })
    }

    /// The layers, in the order of [`Point::layer_cycles`].
    pub fn layers(&self) -> Vec<Layer> {
        match self {
            Work::Product(shape) => vec![Layer {
                name: engine::PRODUCT.to_owned(),
                shape: [shape.rows, shape.elements, shape.columns],
                activation: shape.activation,
                weight: Some(shape.weight),
            }],
            Work::Networks {
                outlines, inputs, ..
            } => outlines
                .iter()
                .flat_map(|outline| network::layers(outline, *inputs))
                .collect(),
        }
    }

    /// Bits of activations and weights of the layer with the most multiply-accumulates.
    fn bits(&self) -> (u32, u32) {
        let layers = self.layers().into_iter().filter_map(|layer| {
            let macs: u128 = layer.shape.iter().map(|size| u128::from(*size)).product();
            Some((macs, layer.activation.bits, layer.weight?.bits))
        });
        let most = layers.max_by_key(|(macs, ..)| *macs);
        most.map_or((1, 1), |(_, activation, weight)| (activation, weight))
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Each layer.
    pub layers: Vec<Layer>,
    /// The points, smallest arrays first.
    pub points: Vec<Point>,
    /// Points left out because the array cannot be built, and why the first of them.
    pub left_out: Option<(u64, String)>,
}

/// Runs the command.
///
/// # Errors
/// Wrong input; no point that can be built.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let base = args.config.resolve()?;
    if let Some(folder) = &args.out {
        output::check_folder(folder, args.force)?;
    }
    let work = Work::load(args, &base)?;
    let axes = args.sweep.axes(&base, work.bits())?;
    let exploration = explore(&base, &axes, &work, terminal)?;
    print(&exploration, args.objective, terminal);
    if let Some(folder) = &args.out {
        output::write_folder(folder, &report::files(&base, &exploration)?, args.force)?;
        terminal.line(format!(
            "{} points in {}",
            thousands(exploration.points.len() as u128),
            folder.join("report.html").display()
        ));
    }
    Ok(())
}

/// Computes every point of the sweep. The result does not depend on the number of threads.
///
/// # Errors
/// No point that can be built.
pub fn explore(
    base: &ArrayConfig,
    axes: &Axes,
    work: &Work,
    terminal: &Terminal,
) -> Result<Exploration, Failure> {
    let configs = axes.configs(base);
    let progress = terminal.progress(configs.len() as u64, "points");
    let results: Vec<Result<Point, String>> = configs
        .into_par_iter()
        .map(|config| {
            let point = point(fit_stages(config), work);
            progress.advance(1);
            point
        })
        .collect();
    drop(progress);
    let (mut points, mut left_out) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(point) => points.push(point),
            Err(reason) => left_out.get_or_insert((0u64, reason)).0 += 1,
        }
    }
    if let (true, Some((count, reason))) = (points.is_empty(), &left_out) {
        return Err(Failure::input(format!(
            "none of the {count} points can be built; the first: {reason}"
        )));
    }
    points.sort_by_key(|p| (p.binary_operation_pairs_per_cycle, p.cycles));
    mark_front(&mut points);
    Ok(Exploration {
        layers: work.layers(),
        points,
        left_out,
    })
}

/// One point, or why it cannot be built.
fn point(config: ArrayConfig, work: &Work) -> Result<Point, String> {
    match work {
        Work::Product(shape) => product(&config, shape),
        Work::Networks {
            networks, inputs, ..
        } => network::point(config, networks, *inputs),
    }
}

/// A product on the array.
fn product(config: &ArrayConfig, shape: &GemmShape) -> Result<Point, String> {
    let design = config.validate().map_err(|e| e.to_string())?;
    let report =
        CycleReport::of_shape(&design, shape).map_err(|e| engine::lower_error(e).to_string())?;
    let spent = Spent {
        layers: vec![report.cycles],
        binary_pairs: report.binary_pairs.into(),
        bound: report.bound.name(),
    };
    Ok(Point {
        configuration_sha256: config.hash(),
        command: format!("xnorforge generate {} --out DIR", config.command_flags()),
        ..Point::new(config, spent)
    })
}

/// A small popcount has fewer ranks of adders than the base configuration may have pipeline registers.
fn fit_stages(config: ArrayConfig) -> ArrayConfig {
    let branches = [config.activation_branches, config.weight_branches];
    let is_legal = (1..=DIMENSION_MAX).contains(&config.lanes)
        && branches.iter().all(|b| (1..=BITS_MAX).contains(b));
    if !is_legal {
        return config;
    }
    let pairs = config.lanes.div_ceil(2);
    let ranks =
        PopcountPlan::new(pairs, config.weight_branches, config.activation_branches).ranks();
    ArrayConfig {
        popcount_stages: config.popcount_stages.min(ranks),
        ..config
    }
}

/// What the work takes at a point.
struct Spent {
    /// Cycles of each layer.
    layers: Vec<u64>,
    /// Binary operation pairs of all layers.
    binary_pairs: u128,
    /// What bounds most of the cycles.
    bound: &'static str,
}

impl Point {
    /// All but the configuration's hash and the command.
    fn new(config: &ArrayConfig, spent: Spent) -> Self {
        let cycles: u64 = spent.layers.iter().sum();
        let effective = spent.binary_pairs as f64 / cycles as f64;
        let size = config.binary_pairs_per_cycle();
        Point {
            rows: config.rows,
            columns: config.columns,
            lanes: config.lanes,
            activation_branches: config.activation_branches,
            weight_branches: config.weight_branches,
            binary_operation_pairs_per_cycle: size,
            cycles,
            utilization: effective / size as f64,
            effective_pairs_per_cycle: effective,
            bound: spent.bound,
            layer_cycles: spent.layers,
            is_pareto: false,
            configuration_sha256: String::new(),
            command: String::new(),
        }
    }
}

/// Marks the points that no other beats. `points` are sorted by size, then cycles.
fn mark_front(points: &mut [Point]) {
    let mut fewest = u64::MAX;
    let mut size = 0;
    for point in points {
        let is_tie = point.cycles == fewest && point.binary_operation_pairs_per_cycle == size;
        point.is_pareto = point.cycles < fewest || is_tie;
        if point.cycles < fewest {
            fewest = point.cycles;
            size = point.binary_operation_pairs_per_cycle;
        }
    }
}

fn print(exploration: &Exploration, objective: Objective, terminal: &Terminal) {
    let mut points: Vec<&Point> = exploration.points.iter().collect();
    let size = |p: &Point| p.binary_operation_pairs_per_cycle;
    match objective {
        Objective::Cycles => points.sort_by_key(|p| (p.cycles, size(p))),
        Objective::Utilization => points.sort_by(|a, b| b.utilization.total_cmp(&a.utilization)),
        Objective::Product => {
            points.sort_by_key(|p| u128::from(p.cycles) * u128::from(size(p)));
        }
    }
    // The front first: it is what the sweep is for.
    points.sort_by_key(|p| !p.is_pareto);
    let rows: Vec<Vec<String>> = points.iter().take(TABLE_ROWS_MAX).map(|p| row(p)).collect();
    terminal.table(
        &[
            "front",
            ">rows",
            ">columns",
            ">lanes",
            ">branches",
            ">pairs/cycle",
            ">cycles",
            ">utilization",
            "bound",
        ],
        &rows,
    );
    if points.len() > TABLE_ROWS_MAX {
        terminal.line(format!(
            "{} more points; --out DIR writes all of them",
            points.len() - TABLE_ROWS_MAX
        ));
    }
    if let Some((count, reason)) = &exploration.left_out {
        terminal.line(format!(
            "{} points left out because the array cannot be built; the first: {reason}",
            thousands((*count).into())
        ));
    }
}

fn row(point: &Point) -> Vec<String> {
    vec![
        if point.is_pareto { "*" } else { "" }.to_owned(),
        point.rows.to_string(),
        point.columns.to_string(),
        point.lanes.to_string(),
        format!("{}x{}", point.activation_branches, point.weight_branches),
        thousands(point.binary_operation_pairs_per_cycle.into()),
        thousands(point.cycles.into()),
        percent(point.utilization),
        point.bound.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Color;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use xnorforge_sim::{Encoding, Gemm, Precision};

    fn shape(rows: u64, elements: u64, columns: u64) -> GemmShape {
        GemmShape {
            rows,
            columns,
            elements,
            activation: Precision::new(Encoding::Bipolar, 2),
            weight: Precision::new(Encoding::Signed, 3),
            classes: 1,
        }
    }

    fn small_axes() -> Axes {
        Axes {
            rows: vec![1, 2, 5],
            columns: vec![1, 3],
            lanes: vec![1, 7, 64],
            activation_branches: vec![1, 2],
            weight_branches: vec![1, 3],
        }
    }

    #[test]
    fn cycles_are_those_of_a_run() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let terminal = Terminal::new(true, Color::Never);
        let layer = shape(11, 50, 6);
        let found = explore(
            &ArrayConfig::default(),
            &small_axes(),
            &Work::Product(layer),
            &terminal,
        )
        .unwrap();
        for _ in 0..12 {
            let point = &found.points[rng.random_range(0..found.points.len())];
            let config = fit_stages(ArrayConfig {
                rows: point.rows,
                columns: point.columns,
                lanes: point.lanes,
                activation_branches: point.activation_branches,
                weight_branches: point.weight_branches,
                ..ArrayConfig::default()
            });
            let design = config.validate().unwrap();
            let gemm = Gemm::random(&layer, 7).unwrap();
            let run = xnorforge_sim::run(&design, &gemm).unwrap();
            assert_eq!(point.cycles, run.cycles.cycles, "seed 7: {}", point.command);
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let terminal = Terminal::new(true, Color::Never);
                let work = Work::Product(shape(9, 70, 9));
                explore(&ArrayConfig::default(), &small_axes(), &work, &terminal)
                    .unwrap()
                    .points
                    .iter()
                    .map(|p| p.command.clone())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(found(1), found(3));
    }

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let terminal = Terminal::new(true, Color::Never);
        let work = Work::Product(shape(64, 64, 64));
        let found = explore(&ArrayConfig::default(), &small_axes(), &work, &terminal).unwrap();
        for point in &found.points {
            let beaten = found.points.iter().any(|other| {
                let size = |p: &Point| p.binary_operation_pairs_per_cycle;
                let no_worse = other.cycles <= point.cycles && size(other) <= size(point);
                no_worse && (other.cycles < point.cycles || size(other) < size(point))
            });
            assert_eq!(point.is_pareto, !beaten, "{}", point.command);
        }
    }
}
