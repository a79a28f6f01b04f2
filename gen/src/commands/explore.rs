//! `xnorforge explore`: array shapes, branch parallelism and bits compared for a workload.
//!
//! Cycles come from the closed formulas that `simulate` reports too; area is estimated by a model of the target. A product runs on the array
//! alone, a network on the accelerator around it, whose memories and widths grow where the network needs more than the
//! base configuration has: the command of each point says how large they are.

mod checkpoint;
mod measure;
mod metric;
mod network;
mod plots;
mod point;
mod precision;
mod report;
mod search;
pub mod sweep;
mod synthesized;

use crate::activity::scale::{self, Ran, Reference};
use crate::config::{ConfigArgs, read_text};
use crate::estimate::sample::{self, Sample, SampleError};
use crate::estimate::{Estimate, Model as AreaModel};
use crate::failure::Failure;
use crate::model::Model;
use crate::output;
use crate::terminal::{Terminal, percent, thousands};
use crate::workload::{INPUTS_DEFAULT, WorkArgs};
use checkpoint::{Checkpoint, Closed};
use metric::{Constraint, Given, Metric};
use point::{Layer, Networks, Point, Surroundings, Work};
use precision::{Chosen, Sensitivity, Subject};
use search::{Found, Method, Searched, Space};
use std::path::{Path, PathBuf};
use sweep::{Sweep, SweepArgs};
use synthesized::{SynthArgs, Synthesized};
use xnorforge_hdl::{ArrayConfig, Target};

/// Shown below the help.
pub const EXAMPLE: &str = "\
Examples:
  xnorforge explore --gemm 3136x576x64 --bits 2x2 --sweep-rows 4..32x2 --sweep-columns 4..32x2 --sweep-lanes 32,64,128
  xnorforge explore --model testbenches/cases/a_mlp_odd_w2a2/model.npz --inputs 200 --sweep sweep.toml --out build/explore
  xnorforge explore --config large --model resnet18 --bits 2x2 --inputs 1 --sweep-lanes 128,256 --out build/resnet18
  xnorforge explore --model resnet18 --inputs 1 --constraint cycles=9000000 --clock-mhz 200 --bytes-per-cycle 4
  xnorforge explore --config large --model resnet18 --inputs 1 --sensitivity losses.csv --limit cycles=6000000
  xnorforge explore --config tiny --gemm 64x64x16 --target ecp5 --synth 3 --time-limit 300 --out build/synthesized

A range is a list of numbers (4,8,16), of steps (8..64+8 adds 8, 8..64x2 doubles, 1..4 counts), or a mix. In --sweep FILE
(TOML), the keys are rows, columns, lanes, activation_branches, weight_branches, drain_columns and load_ports, each with a
list or such a text; clock_mhz, bytes_per_cycle, front; and the tables constraints and precision.
A point on the front is one that no other beats in both cycles and binary operation pairs per cycle (xnor and add: 2
operations each), or in what --front says. DIR gets report.html, points.csv and points.json.";

/// Most points that are all looked at, unless --search or --points-max says more.
pub const POINTS_MAX: u64 = 100_000;
/// Points that a guided search looks at.
const EVALUATIONS_MAX: u64 = 200_000;
/// What stands for a table of losses that is measured.
const MEASURE: &str = "measure";
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
    /// How points are chosen
    #[arg(long, value_enum, default_value_t)]
    search: Method,
    /// Most points of the sweep
    #[arg(long, value_name = "COUNT", default_value_t = POINTS_MAX, value_parser = clap::value_parser!(u64).range(1..))]
    points_max: u64,
    /// Most points that a guided search looks at
    #[arg(long, value_name = "COUNT", default_value_t = EVALUATIONS_MAX, value_parser = clap::value_parser!(u64).range(1..))]
    evaluations_max: u64,
    /// What each layer loses at each number of bits (CSV: layer,activation_bits,weight_bits,loss; or TOML), or `measure`, for a
    /// model of floats with --quantize and --calibration: bits are chosen for each layer, on the base configuration
    #[arg(long, value_name = "FILE|measure", requires = "model")]
    sensitivity: Option<PathBuf>,
    /// A limit on the choice of bits, cycles=1000000 for example; may be repeated: cycles, binary_operation_pairs,
    /// parameter_bytes
    #[arg(long = "limit", value_name = "COST=LIMIT", requires = "sensitivity")]
    limits: Vec<String>,
    /// Estimate area by a model of this file of `calibrate`, in place of the one that ships with the program
    #[arg(long, value_name = "FILE")]
    area_model: Option<PathBuf>,
    /// Scale toggles, and energy where it has coefficients, from this report of `activity --json`, for the metrics toggles and
    /// energy_uj; it must be of the same target, of a product for products and of a network for networks
    #[arg(long, value_name = "FILE")]
    activity: Option<PathBuf>,
    #[command(flatten)]
    synth: SynthArgs,
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

/// What an exploration found.
#[derive(Debug)]
pub struct Exploration {
    /// Each layer.
    pub layers: Vec<Layer>,
    /// The points that keep the constraints, smallest arrays first.
    pub points: Vec<Point>,
    /// Points left out because the array cannot be built, and why the first of them.
    pub left_out: Option<(u64, String)>,
    /// What points had to keep, and how many did not.
    pub constraints: Vec<Constraint>,
    /// Points that did not keep them.
    pub dropped: u64,
    /// What the front is made of.
    pub front: Vec<Metric>,
    /// What is outside.
    pub around: Surroundings,
    /// How points were chosen.
    pub searched: Searched,
    /// Bits of each layer, where they were chosen.
    pub chosen: Option<Chosen>,
    /// Files that an interrupted run would need.
    pub checkpoints: Vec<Closed>,
}

type PointCheckpoint = Checkpoint<Result<Point, String>>;

impl Exploration {
    /// Whether what was synthesized is stated as an area of standard cells.
    fn has_cell_areas(&self) -> bool {
        let synthesized = self.points.iter().filter_map(|p| p.synthesized.as_ref());
        let mut areas = synthesized.filter_map(|s| s.area);
        areas.any(|area| area.cell_area.is_some())
    }
}

/// What is explored, and for the choice of bits.
struct Task {
    work: Work,
    subject: Option<Subject>,
}

impl Task {
    fn load(args: &Args, base: &ArrayConfig) -> Result<Self, Failure> {
        let Some(path) = &args.work.model else {
            return Ok(Task {
                work: Work::Product(args.work.product(base)?),
                subject: None,
            });
        };
        let model = Model::load(path, args.work.overrides(), &args.work.import, None)?;
        let inputs = args.inputs.unwrap_or(INPUTS_DEFAULT as u32);
        let outlines = model.outlines()?;
        let subject = match model {
            Model::Topology(topology) => Some(Subject::Topology(topology)),
            _ => outlines
                .first()
                .cloned()
                .map(|o| Subject::Outline(Box::new(o))),
        };
        Ok(Task {
            work: Work::Networks(Networks::new(outlines, inputs)),
            subject,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// Wrong input; no point that can be built or keeps the constraints.
pub fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let base = args.config.resolve()?;
    if let Some(folder) = &args.out {
        output::check_folder(folder, args.force)?;
    }
    let task = Task::load(args, &base)?;
    let mut sweep = args.sweep.sweep(&args.config, &base, task.work.bits())?;
    if let Some(path) = &args.area_model {
        sweep.around.model = Some(read_model(path, base.target)?);
    }
    if let Some(path) = &args.activity {
        sweep.around.activity = Some(read_activity(path, base.target, &task.work)?);
    }
    let given = Given {
        target: base.target.name(),
        has_model: sweep.around.model.is_some(),
        has_clock: sweep.around.clock_mhz.is_some(),
        has_memories: matches!(task.work, Work::Networks(_)),
        has_activity: sweep.around.activity.is_some(),
        has_energy: sweep.around.activity.is_some_and(|a| a.source.is_some()),
    };
    for constraint in &sweep.constraints {
        constraint.check(&given)?;
    }
    for metric in &sweep.front {
        metric.check("--front", &given)?;
    }
    if args.sensitivity.is_none() && sweep.precision.is_some() {
        return Err(Failure::input(
            "[precision] limits the choice of bits, which needs --sensitivity FILE (or measure); add it, or leave [precision] out",
        ));
    }
    let synthesis = args.synth.prepare(&base, sweep.around.clock_mhz)?;
    let chosen = choose(args, &task, &base, &sweep, terminal)?;
    let method = method(args, &sweep)?;
    let count = sweep.axes.count();
    let mut checkpoint = match &args.out {
        // Short sweeps are done before one would miss them.
        Some(folder) if method == Method::Exhaustive && count > STRETCH.into() => {
            let identity = identity(&base, &task.work, &sweep);
            Some(Checkpoint::open(folder, "points", &identity, count as u64)?)
        }
        _ => None,
    };
    let space = Space {
        base: &base,
        axes: &sweep.axes,
        work: &task.work,
        around: &sweep.around,
    };
    let limits = SearchLimits {
        method,
        evaluations_max: args.evaluations_max,
    };
    let mut exploration = explore(&space, &sweep, &limits, checkpoint.as_mut(), terminal)?;
    exploration.chosen = chosen;
    exploration
        .checkpoints
        .extend(checkpoint.map(Checkpoint::close));
    let order = order(&exploration.points, args.objective);
    if let Some(synthesis) = synthesis {
        let out = args.out.as_deref();
        synthesis.run(&base, &task.work, &mut exploration, &order, out, terminal)?;
    }
    print(&exploration, &order, terminal);
    if let Some(folder) = &args.out {
        let files = report::files(&base, &exploration)?;
        output::write_folder(folder, &files, args.force)?;
        terminal.line(format!(
            "{} points in {}",
            thousands(exploration.points.len() as u128),
            folder.join("report.html").display()
        ));
    }
    exploration.checkpoints.into_iter().for_each(Closed::remove);
    Ok(())
}

/// A model of the user's. It lives as long as the program: points refer to it.
fn read_model(path: &Path, target: Target) -> Result<&'static AreaModel, Failure> {
    let wrong = |e: SampleError| Failure::input(format!("`{}`: {e}", path.display()));
    let text = read_text(path, sample::BYTES_MAX)?;
    let sample = Sample::parse(&text).map_err(wrong)?;
    if sample.target != target {
        return Err(wrong(SampleError::Target {
            found: sample.target,
            wanted: target,
        }));
    }
    let model = AreaModel::new(&sample).map_err(wrong)?;
    Ok(Box::leak(Box::new(model)))
}

/// A run that was counted. It lives as long as the program: points refer to it.
fn read_activity(path: &Path, target: Target, work: &Work) -> Result<&'static Reference, Failure> {
    let wrong = |e: String| Failure::input(format!("`{}`: {e}", path.display()));
    let text = read_text(path, scale::REPORT_BYTES_MAX)?;
    let reference = Reference::parse(&text, target).map_err(wrong)?;
    match (work, reference.ran) {
        (Work::Product(_), Ran::Array) | (Work::Networks(_), Ran::Accelerator) => {
            Ok(Box::leak(Box::new(reference)))
        }
        (Work::Product(_), Ran::Accelerator) => Err(wrong(
            "it is of a network on an accelerator, which says nothing of an array alone; make one with --gemm".into(),
        )),
        (Work::Networks(_), Ran::Array) => Err(wrong(
            "it is of a product on an array alone, which says nothing of an accelerator; make one with --model".into(),
        )),
    }
}

/// All that the points of a sweep follow from.
fn identity(base: &ArrayConfig, work: &Work, sweep: &Sweep) -> String {
    let work = match work {
        Work::Product(shape) => format!("{shape:?}"),
        Work::Networks(networks) => format!("{:?} {}", networks.outlines, networks.inputs),
    };
    format!("{base:?} {work} {:?} {:?}", sweep.axes, sweep.around)
}

/// Chooses bits where a table of losses is given, or measured.
fn choose(
    args: &Args,
    task: &Task,
    base: &ArrayConfig,
    sweep: &Sweep,
    terminal: &Terminal,
) -> Result<Option<Chosen>, Failure> {
    let (Some(path), Some(subject), Work::Networks(networks)) =
        (&args.sensitivity, &task.subject, &task.work)
    else {
        return Ok(None);
    };
    let sensitivity = match (path.to_str() == Some(MEASURE), &args.work.model, subject) {
        (true, Some(model), Subject::Outline(outline)) => {
            measure::measure(model, &args.work.import, outline, terminal)?
        }
        (true, ..) => {
            return Err(Failure::input(
                "--sensitivity measure is for models of floats that are quantized here: an .onnx, or a description with --weights; give a table",
            ));
        }
        (false, ..) => read_sensitivity(path)?,
    };
    let mut limits = sweep.precision.unwrap_or_default();
    for limit in &args.limits {
        limits
            .set(limit)
            .map_err(|e| Failure::input(format!("--limit: {e}")))?;
    }
    precision::choose(subject, &sensitivity, base, networks.inputs, limits).map(Some)
}

fn read_sensitivity(path: &Path) -> Result<Sensitivity, Failure> {
    let is_toml = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let text = read_text(path, precision::TABLE_BYTES_MAX)?;
    Sensitivity::parse(&text, is_toml)
        .map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
}

/// How points are chosen: all of them, unless there are more than that.
fn method(args: &Args, sweep: &Sweep) -> Result<Method, Failure> {
    let count = sweep.axes.count();
    sweep.axes.check(match args.search {
        // A guided search looks at few of them.
        Method::Guided => u64::MAX,
        Method::Auto | Method::Exhaustive => args.points_max,
    })?;
    Ok(match args.search {
        Method::Auto if count > POINTS_MAX.into() => Method::Guided,
        Method::Auto => Method::Exhaustive,
        chosen => chosen,
    })
}

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
struct SearchLimits {
    method: Method,
    evaluations_max: u64,
}

/// Looks at the points of the sweep. The result does not depend on the number of threads.
///
/// # Errors
/// No point that can be built, or that keeps the constraints.
fn explore(
    space: &Space<'_>,
    sweep: &Sweep,
    limits: &SearchLimits,
    checkpoint: Option<&mut PointCheckpoint>,
    terminal: &Terminal,
) -> Result<Exploration, Failure> {
    let Found {
        points,
        left_out,
        searched,
    } = match limits.method {
        Method::Guided => search::guided(
            space,
            &sweep.front,
            &sweep.constraints,
            limits.evaluations_max,
            terminal,
        )?,
        Method::Auto | Method::Exhaustive => {
            let (results, searched) = exhaustive(space, checkpoint, terminal)?;
            Found::new(results, searched)
        }
    };
    check_found(&points, left_out.as_ref(), &searched, &sweep.constraints)?;
    let (points, dropped) = search::sorted(points, &sweep.front, &sweep.constraints)?;
    Ok(Exploration {
        layers: space.work.layers(),
        points,
        left_out,
        constraints: sweep.constraints.clone(),
        dropped,
        front: sweep.front.clone(),
        around: sweep.around,
        searched,
        chosen: None,
        checkpoints: Vec::new(),
    })
}

/// Refuses a search that found nothing, and says no more than it knows.
fn check_found(
    points: &[Point],
    left_out: Option<&(u64, String)>,
    searched: &Searched,
    constraints: &[Constraint],
) -> Result<(), Failure> {
    let is_met = |point: &Point| {
        constraints
            .iter()
            .all(|constraint| constraint.is_met(point))
    };
    if points.iter().any(is_met) {
        return Ok(());
    }
    let first = left_out.map_or(String::new(), |(_, reason)| {
        format!("; the first that cannot be built: {reason}")
    });
    let message = match (searched.is_complete, points.is_empty()) {
        (false, _) => format!(
            "the search was stopped when it had looked at {} of {} points, and none of these can be built and keeps the constraints; others may; narrow the sweep, or raise --evaluations-max{first}",
            thousands(searched.evaluated.into()),
            thousands(searched.points.into())
        ),
        // The constraints tell which one is the tightest.
        (true, false) => return Ok(()),
        (true, true) if constraints.is_empty() || searched.method == "exhaustive" => format!(
            "none of the {} points can be built{first}",
            thousands(searched.points.into())
        ),
        (true, true) => format!(
            "none of the {} points can be built and keeps the constraints; relax them or widen the sweep{first}",
            thousands(searched.points.into())
        ),
    };
    Err(Failure::input(message))
}

/// Points between two entries of the checkpoint.
const STRETCH: u64 = 1 << 14;

/// Every point; what an interrupted run had found is taken from its checkpoint.
fn exhaustive(
    space: &Space<'_>,
    mut checkpoint: Option<&mut PointCheckpoint>,
    terminal: &Terminal,
) -> Result<(search::Results, Searched), Failure> {
    let count = space.axes.count() as u64;
    let progress = terminal.progress(count, "points");
    let mut results = match &mut checkpoint {
        Some(checkpoint) => checkpoint.take_known(),
        None => Vec::new(),
    };
    if !results.is_empty() {
        terminal.note(format!(
            "goes on after {} points of an interrupted run",
            thousands(results.len() as u128)
        ));
        progress.advance(results.len() as u64);
    }
    while (results.len() as u64) < count {
        let first = results.len() as u64;
        let indices: Vec<u64> = (first..count.min(first + STRETCH)).collect();
        let found = space.evaluate(&indices, |count| progress.advance(count));
        if let Some(checkpoint) = &mut checkpoint {
            checkpoint.append(first, &found)?;
        }
        results.extend(found);
    }
    drop(progress);
    let searched = Searched {
        method: "exhaustive",
        points: count,
        evaluated: count,
        guarantee: "every point was looked at: the front is complete and exact".to_owned(),
        is_complete: true,
    };
    Ok((results, searched))
}

/// Places of the points as the table has them.
fn order(points: &[Point], objective: Objective) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let size = |p: &Point| p.binary_operation_pairs_per_cycle;
    match objective {
        Objective::Cycles => {
            order.sort_by_key(|i| (points[*i].bounded_cycles(), size(&points[*i])));
        }
        Objective::Utilization => {
            let utilization = |i: &usize| points[*i].utilization;
            order.sort_by(|a, b| utilization(b).total_cmp(&utilization(a)));
        }
        Objective::Product => order.sort_by_key(|i| {
            u128::from(points[*i].bounded_cycles()) * u128::from(size(&points[*i]))
        }),
    }
    // The front first: it is what the sweep is for.
    order.sort_by_key(|i| !points[*i].is_pareto);
    order
}

fn print(exploration: &Exploration, order: &[usize], terminal: &Terminal) {
    let points: Vec<&Point> = order.iter().map(|i| &exploration.points[*i]).collect();
    let columns = columns(exploration);
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = points
        .iter()
        .take(TABLE_ROWS_MAX)
        .map(|point| columns.iter().map(|(_, cell)| cell(point)).collect())
        .collect();
    terminal.table(&headings, &rows);
    if points.len() > TABLE_ROWS_MAX {
        terminal.line(format!(
            "{} more points; --out DIR writes all of them",
            points.len() - TABLE_ROWS_MAX
        ));
    }
    if exploration.dropped > 0 {
        terminal.line(format!(
            "{} points left out because they do not keep the constraints",
            thousands(exploration.dropped.into())
        ));
    }
    if let Some((count, reason)) = &exploration.left_out {
        terminal.line(format!(
            "{} points left out because the array cannot be built; the first: {reason}",
            thousands((*count).into())
        ));
    }
    if let Some(model) = exploration.around.model {
        terminal.line(model_text(model));
    }
    if let Some(activity) = exploration.around.activity {
        terminal.line(activity_text(activity));
    }
    let mut estimates = exploration
        .points
        .iter()
        .filter_map(|p| p.estimate.as_ref());
    if let Some(source) = estimates.find_map(|e| e.clock_source.as_ref()) {
        terminal.line(format!("frequencies were measured with {source}"));
    }
    let mut reasons = exploration
        .points
        .iter()
        .filter_map(|p| p.not_estimated.as_ref());
    if let Some(first) = reasons.next() {
        terminal.line(format!(
            "{} points have no estimate; the first: {first}",
            thousands(1 + reasons.count() as u128)
        ));
    }
    for point in points {
        if let Some(failed) = point.synthesized.as_ref().and_then(|s| s.failed.as_ref()) {
            terminal.line(format!("{}: {failed}", point.label()));
        }
    }
    if exploration.searched.method == "guided" {
        terminal.line(format!(
            "looked at {} of {} points: {}",
            thousands(exploration.searched.evaluated.into()),
            thousands(exploration.searched.points.into()),
            exploration.searched.guarantee
        ));
    }
    if let Some(chosen) = &exploration.chosen {
        print_chosen(chosen, terminal);
    }
}

/// What estimates are, and how far off.
fn model_text(model: &AreaModel) -> String {
    let error = model.error();
    format!(
        "area is estimated for {}, by a fit to {}; on {} measurements that it had not seen it was {:.1} % off in the mean, {:.1} % at worst",
        model.target(),
        model.source(),
        error.measurements,
        error.mean_percent,
        error.worst_percent
    )
}

/// What scaled toggles and energy are.
fn activity_text(activity: &Reference) -> String {
    let scaled = "toggles are scaled from the run of --activity by what each part of a design does: they compare points, see docs/activity.md for how far off they are";
    match &activity.source {
        Some(source) => {
            format!("{scaled}; energy is that of nets alone, by coefficients of \"{source}\"")
        }
        None => scaled.to_owned(),
    }
}

type Column = (&'static str, fn(&Point) -> String);

/// The columns of the table; those that no point has a value for are missing.
fn columns(exploration: &Exploration) -> Vec<Column> {
    let mut columns: Vec<Column> = vec![
        ("front", |p| if p.is_pareto { "*" } else { "" }.to_owned()),
        (">rows", |p| p.rows.to_string()),
        (">columns", |p| p.columns.to_string()),
        (">lanes", |p| p.lanes.to_string()),
        (">branches", |p| {
            format!("{}x{}", p.activation_branches, p.weight_branches)
        }),
        (">pairs/cycle", |p| {
            thousands(p.binary_operation_pairs_per_cycle.into())
        }),
        (">cycles", |p| thousands(p.cycles.into())),
        (">utilization", |p| percent(p.utilization)),
        ("bound", |p| p.bound.to_string()),
    ];
    let has = |of: fn(&Point) -> bool| exploration.points.iter().any(of);
    let differs = |of: fn(&Point) -> u32| {
        let mut values = exploration.points.iter().map(of);
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    if differs(|p| p.drain_columns) {
        columns.insert(5, (">drained", |p| p.drain_columns.to_string()));
    }
    if differs(|p| p.load_ports) {
        columns.insert(5, (">ports", |p| p.load_ports.to_string()));
    }
    if has(|p| p.cycles_at_bandwidth.is_some()) {
        columns.push((">cycles at bandwidth", |p| {
            thousands(p.bounded_cycles().into())
        }));
    }
    if has(|p| p.frames_per_second.is_some()) {
        columns.push((">frames/s", |p| {
            format!("{:.1}", p.frames_per_second.unwrap_or_default())
        }));
    }
    if has(|p| p.estimate.is_some()) {
        columns.push((">LUTs (estimate)", |p| {
            p.estimate.as_ref().map_or("-".to_owned(), |e| {
                format!("{} +-{:.1} %", thousands(e.luts as u128), e.error_percent)
            })
        }));
        columns.push((">FF", |p| estimated(p, |e| Some(e.flip_flops))));
        columns.push((">block RAM", |p| estimated(p, |e| Some(e.block_rams))));
        if has(|p| p.estimate.as_ref().is_some_and(|e| e.clock_mhz.is_some())) {
            columns.push((">MHz (estimate)", |p| {
                p.estimate.as_ref().map_or("-".to_owned(), clock_text)
            }));
        }
        if has(|p| p.estimate.as_ref().is_some_and(|e| e.cell_area.is_some())) {
            columns.push((">cell area", |p| estimated(p, |e| e.cell_area)));
        }
    }
    if has(|p| p.switching.is_some()) {
        columns.push((">toggles (scaled)", |p| {
            p.switching
                .map_or("-".to_owned(), |s| format!("{:.3e}", s.toggles))
        }));
    }
    if has(|p| p.switching.is_some_and(|s| s.energy_uj.is_some())) {
        columns.push((">uJ (scaled)", |p| {
            let energy = p.switching.and_then(|s| s.energy_uj);
            energy.map_or("-".to_owned(), |uj| format!("{uj:.3e}"))
        }));
    }
    if has(|p| p.synthesized.is_some()) {
        let heading = match exploration.has_cell_areas() {
            true => ">cell area (synthesized)",
            false => ">LUTs (synthesized)",
        };
        columns.push((heading, |p| synthesized(p, luts_text)));
        columns.push((">FF (synthesized)", |p| {
            synthesized(p, |s| s.area.map(|a| thousands(a.flip_flops as u128)))
        }));
        columns.push((">MHz (synthesized)", |p| synthesized(p, speed_text)));
    }
    columns
}

fn synthesized(point: &Point, of: fn(&Synthesized) -> Option<String>) -> String {
    let value = point.synthesized.as_ref().and_then(of);
    value.unwrap_or_else(|| "-".to_owned())
}

/// What synthesis found beside how far the estimate is from it; the area of standard cells.
fn luts_text(synthesized: &Synthesized) -> Option<String> {
    let area = synthesized.area?;
    let size = thousands(area.size() as u128);
    Some(match synthesized.estimate_off_percent {
        Some(off) => format!("{size}, estimate {off:+.1} %"),
        None => size,
    })
}

/// A frequency, or the cells on the longest path; `failed` where a tool has failed.
fn speed_text(synthesized: &Synthesized) -> Option<String> {
    match (synthesized.fmax_mhz, synthesized.levels) {
        (Some(mhz), _) => Some(format!("{mhz:.1}")),
        (None, Some(levels)) => Some(format!("{levels} cells")),
        (None, None) => synthesized.failed.as_ref().map(|_| "failed".to_owned()),
    }
}

fn clock_text(estimate: &Estimate) -> String {
    match (estimate.clock_mhz, estimate.clock_error_percent) {
        (Some(mhz), Some(error)) => format!("{mhz:.0} +-{error:.0} %"),
        (Some(mhz), None) => format!("{mhz:.0} measured"),
        (None, _) => "-".to_owned(),
    }
}

fn estimated(point: &Point, of: fn(&Estimate) -> Option<f64>) -> String {
    let value = point.estimate.as_ref().and_then(of);
    value.map_or("-".to_owned(), |value| thousands(value as u128))
}

fn print_chosen(chosen: &Chosen, terminal: &Terminal) {
    let row = |name: &str, a: &precision::Assignment| {
        vec![
            name.to_owned(),
            a.loss.map_or("-".to_owned(), |loss| format!("{loss:.4}")),
            thousands(a.cycles.into()),
            thousands(a.binary_operation_pairs.into()),
            thousands(a.parameter_bytes.into()),
            a.bits_text(),
        ]
    };
    let best = row("chosen", &chosen.best);
    let presets = chosen.presets.iter().map(|a| row(&a.name, a));
    let rows: Vec<Vec<String>> = std::iter::once(best).chain(presets).collect();
    terminal.table(
        &[
            "bits",
            ">loss",
            ">cycles",
            ">binary operation pairs",
            ">parameter bytes",
            "activations x weights, layer by layer",
        ],
        &rows,
    );
    terminal.line(&chosen.guarantee);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::sweep::Axes;
    use super::*;
    use crate::terminal::Color;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use xnorforge_sim::{Encoding, Gemm, GemmShape, Precision};

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

    fn sweep(axes: Axes) -> Sweep {
        Sweep {
            axes,
            constraints: Vec::new(),
            front: vec![Metric::Cycles, Metric::PairsPerCycle],
            around: Surroundings::default(),
            precision: None,
        }
    }

    /// Explores by a method.
    pub fn explore_by(
        method: Method,
        base: &ArrayConfig,
        sweep: &Sweep,
        work: &Work,
    ) -> Exploration {
        let terminal = Terminal::new(true, Color::Never);
        let space = Space {
            base,
            axes: &sweep.axes,
            work,
            around: &sweep.around,
        };
        let limits = SearchLimits {
            method,
            evaluations_max: 1_000_000,
        };
        explore(&space, sweep, &limits, None, &terminal).unwrap()
    }

    /// Explores every point.
    pub fn explore_all(base: &ArrayConfig, axes: Axes, work: &Work) -> Exploration {
        explore_by(Method::Exhaustive, base, &sweep(axes), work)
    }

    #[test]
    fn a_guided_search_finds_the_same_front() {
        for (seed, shape) in [shape(64, 64, 64), shape(9, 300, 40), shape(500, 20, 3)]
            .into_iter()
            .enumerate()
        {
            let sweep = sweep(Axes {
                rows: (1..=12).collect(),
                columns: vec![1, 2, 3, 5, 8],
                lanes: vec![1, 7, 16, 64, 100],
                activation_branches: vec![1, 2],
                weight_branches: vec![1, 2, 3],
                drain_columns: vec![1],
                load_ports: vec![1],
            });
            let work = Work::Product(shape);
            let base = ArrayConfig::default();
            let front = |method| {
                let found = explore_by(method, &base, &sweep, &work);
                let front = found.points.iter().filter(|p| p.is_pareto);
                let mut front: Vec<(u64, u64)> = front
                    .map(|p| (p.binary_operation_pairs_per_cycle, p.cycles))
                    .collect();
                front.dedup();
                (front, found.searched.evaluated)
            };
            let (all, guided) = (front(Method::Exhaustive), front(Method::Guided));
            assert_eq!(all.0, guided.0, "shape {seed}");
            assert!(guided.1 < all.1, "shape {seed}: {} of {}", guided.1, all.1);
        }
    }

    fn small_axes() -> Axes {
        Axes {
            rows: vec![1, 2, 5],
            columns: vec![1, 3],
            lanes: vec![1, 7, 64],
            activation_branches: vec![1, 2],
            weight_branches: vec![1, 3],
            drain_columns: vec![1],
            load_ports: vec![1],
        }
    }

    #[test]
    fn cycles_are_those_of_a_run() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let layer = shape(11, 50, 6);
        let found = explore_all(&ArrayConfig::default(), small_axes(), &Work::Product(layer));
        for _ in 0..12 {
            let point = &found.points[rng.random_range(0..found.points.len())];
            let config = point.config(&ArrayConfig::default());
            let design = config.validate().unwrap();
            let gemm = Gemm::random(&layer, 7).unwrap();
            let run = xnorforge_sim::run(&design, &gemm).unwrap();
            assert_eq!(point.cycles, run.cycles.cycles, "seed 7: {}", point.command);
        }
    }

    #[test]
    fn arrays_past_the_limits_are_not_looked_at() {
        let sweep = sweep(Axes {
            rows: vec![1, 2, 512, 1024],
            columns: vec![1, 4, 512, 1024],
            lanes: vec![1, 64, 512, 1024],
            activation_branches: vec![1, 2],
            weight_branches: vec![1, 2],
            drain_columns: vec![1],
            load_ports: vec![1],
        });
        let work = Work::Product(shape(2000, 2000, 2000));
        let base = ArrayConfig::default();
        let found = |method| explore_by(method, &base, &sweep, &work);
        let (all, guided) = (found(Method::Exhaustive), found(Method::Guided));
        let front = |found: &Exploration| {
            let front = found.points.iter().filter(|p| p.is_pareto);
            let front = front.map(|p| (p.binary_operation_pairs_per_cycle, p.cycles));
            let mut front: Vec<(u64, u64)> = front.collect();
            front.dedup();
            front
        };
        assert_eq!(front(&all), front(&guided));
        assert!(all.left_out.is_some());
        assert_eq!(guided.searched.evaluated as usize, guided.points.len());
    }

    #[test]
    fn a_search_that_was_stopped_says_nothing_about_the_rest() {
        let of = |is_complete| Searched {
            method: "guided",
            points: 9,
            evaluated: 2,
            guarantee: String::new(),
            is_complete,
        };
        let message = |is_complete| {
            let error = check_found(&[], None, &of(is_complete), &[]).unwrap_err();
            format!("{error:?}")
        };
        assert!(message(true).contains("none of the 9 points"));
        assert!(message(false).contains("was stopped"));
        assert!(!message(false).contains("none of the 9 points"));
    }

    #[test]
    fn threads_do_not_matter() {
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let work = Work::Product(shape(9, 70, 9));
                explore_all(&ArrayConfig::default(), small_axes(), &work)
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
        let work = Work::Product(shape(64, 64, 64));
        let found = explore_all(&ArrayConfig::default(), small_axes(), &work);
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
