//! The files of an exploration: CSV, JSON and one offline page.

use super::plots::{self, Heat};
use super::precision::{Assignment, Chosen};
use super::synthesized::{MeasuredArea, Synthesized};
use super::{Exploration, Point};
use crate::estimate::Estimate;
use crate::failure::Failure;
use crate::manifest::{self, GENERATOR, json_bytes};
use crate::output::Files;
use crate::terminal::{percent, thousands};
use serde_json::json;
use std::error::Error;
use std::fmt::Write as _;
use xnorforge_hdl::ArrayConfig;
use xnorforge_sim::Precision;

/// Name of the JSON report.
const SCHEMA: &str = "xnorforge-explore";
/// Raised when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;
/// Points of the table on the page.
const PAGE_ROWS_MAX: usize = 500;

const PAGE: &str = include_str!("report.html");

/// Every file, with a manifest that marks the folder as ours.
///
/// # Errors
/// A plot that cannot be drawn; none is expected.
pub fn files(base: &ArrayConfig, exploration: &Exploration) -> Result<Files, Failure> {
    let cannot = |what: &str, e: &dyn std::fmt::Display| {
        Failure::input(format!("the {what} of the exploration cannot be made: {e}"))
    };
    let points = json!({
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "generator": GENERATOR,
        "base_configuration": base,
        "operations_per_binary_operation_pair": 2,
        "layers": exploration.layers,
        "points_left_out": exploration.left_out.as_ref().map_or(0, |(count, _)| *count),
        "constraints": exploration.constraints,
        "points_past_constraints": exploration.dropped,
        "front": exploration.front,
        "clock_mhz": exploration.around.clock_mhz,
        "bytes_per_cycle": exploration.around.bytes_per_cycle,
        "area_model": exploration.around.model.map(|model| json!({
            "target": model.target(),
            "source": model.source(),
            "cross_validated": model.cross_validated(),
            "held_out": model.held_out(),
        })),
        "activity": exploration.around.activity.map(|activity| json!({
            "ran": activity.ran,
            "coefficients_source": activity.source,
        })),
        "search": exploration.searched,
        "bits": exploration.chosen,
        "points": exploration.points,
    });
    let page = page(exploration).map_err(|e| cannot("page", &e))?;
    let mut files = Files::from([
        ("points.json".to_owned(), json_bytes(&points)),
        (
            "points.csv".to_owned(),
            csv(exploration).map_err(|e| cannot("table", &e))?,
        ),
        ("report.html".to_owned(), page.into_bytes()),
    ]);
    if let Some(chosen) = &exploration.chosen {
        let table = bits_csv(chosen).map_err(|e| cannot("table of bits", &e))?;
        files.insert("bits.csv".to_owned(), table);
    }
    let manifest = json!({
        "schema": manifest::SCHEMA,
        "schema_version": manifest::SCHEMA_VERSION,
        "generator": GENERATOR,
        "kind": "explore",
        "files": manifest::file_entries(&files),
    });
    files.insert(manifest::FILE_NAME.to_owned(), json_bytes(&manifest));
    Ok(files)
}

/// A column of `points.csv` and its value at a point.
type Column = (&'static str, fn(&Point) -> String);

/// What a model estimates.
const ESTIMATE: [Column; 8] = [
    ("luts", |p| estimate(p, |e| Some(e.luts))),
    ("flip_flops", |p| estimate(p, |e| Some(e.flip_flops))),
    ("carries", |p| estimate(p, |e| Some(e.carries))),
    ("block_rams", |p| estimate(p, |e| Some(e.block_rams))),
    ("multipliers", |p| estimate(p, |e| Some(e.multipliers))),
    ("cell_area", |p| estimate(p, |e| e.cell_area)),
    ("estimate_error_percent", |p| {
        estimate(p, |e| Some(e.error_percent))
    }),
    ("estimate_error_worst_percent", |p| {
        estimate(p, |e| Some(e.error_worst_percent))
    }),
];

/// What is scaled from a counted run.
const SWITCHING: [Column; 2] = [
    ("toggles", |p| text(p.switching.map(|s| s.toggles))),
    ("energy_uj", |p| text(p.switching.and_then(|s| s.energy_uj))),
];

/// What outside tools made of it.
const SYNTHESIS: [Column; 8] = [
    ("synthesized_luts", |p| area(p, |a| Some(a.luts))),
    ("synthesized_flip_flops", |p| {
        area(p, |a| Some(a.flip_flops))
    }),
    ("synthesized_block_rams", |p| {
        area(p, |a| Some(a.block_rams))
    }),
    ("synthesized_cell_area", |p| area(p, |a| a.cell_area)),
    ("estimate_off_percent", |p| {
        synthesized(p, |s| text(s.estimate_off_percent))
    }),
    ("synthesized_fmax_mhz", |p| {
        synthesized(p, |s| text(s.fmax_mhz))
    }),
    ("synthesized_levels", |p| synthesized(p, |s| text(s.levels))),
    ("synthesis_failed", |p| {
        synthesized(p, |s| text(s.failed.as_ref()))
    }),
];

fn estimate(point: &Point, of: fn(&Estimate) -> Option<f64>) -> String {
    text(point.estimate.as_ref().and_then(of))
}

fn synthesized(point: &Point, of: fn(&Synthesized) -> String) -> String {
    point.synthesized.as_ref().map_or(String::new(), of)
}

fn area(point: &Point, of: fn(&MeasuredArea) -> Option<f64>) -> String {
    let area = point.synthesized.as_ref().and_then(|s| s.area.as_ref());
    text(area.and_then(of))
}

fn csv(exploration: &Exploration) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let layers = exploration.layers.iter();
    let header = [
        "rows",
        "columns",
        "lanes",
        "activation_branches",
        "weight_branches",
        "drain_columns",
        "load_ports",
        "binary_operation_pairs_per_cycle",
        "cycles",
        "utilization",
        "effective_pairs_per_cycle",
        "bound",
        "stream_bytes",
        "memory_bits",
        "cycles_at_bandwidth",
        "frames_per_second",
        "is_pareto",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(layers.map(|layer| format!("cycles_{}", layer.name)))
    .chain(["configuration_sha256".to_owned(), "command".to_owned()]);
    let points = &exploration.points;
    let groups = [
        (points.iter().any(|p| p.estimate.is_some()), &ESTIMATE[..]),
        (exploration.around.activity.is_some(), &SWITCHING[..]),
        (
            points.iter().any(|p| p.synthesized.is_some()),
            &SYNTHESIS[..],
        ),
    ];
    let groups = groups.into_iter().filter(|(is_there, _)| *is_there);
    let further: Vec<&Column> = groups.flat_map(|(_, columns)| columns).collect();
    let names = further.iter().map(|(name, _)| (*name).to_owned());
    writer.write_record(header.chain(names))?;
    for p in &exploration.points {
        let fields = [
            p.rows.to_string(),
            p.columns.to_string(),
            p.lanes.to_string(),
            p.activation_branches.to_string(),
            p.weight_branches.to_string(),
            p.drain_columns.to_string(),
            p.load_ports.to_string(),
            p.binary_operation_pairs_per_cycle.to_string(),
            p.cycles.to_string(),
            p.utilization.to_string(),
            p.effective_pairs_per_cycle.to_string(),
            p.bound.to_string(),
            p.stream_bytes.to_string(),
            text(p.memory_bits),
            text(p.cycles_at_bandwidth),
            text(p.frames_per_second),
            p.is_pareto.to_string(),
        ];
        let layers = p.layer_cycles.iter().map(ToString::to_string);
        let last = [p.configuration_sha256.clone(), p.command.clone()];
        let further = further.iter().map(|(_, value)| value(p));
        writer.write_record(fields.into_iter().chain(layers).chain(last).chain(further))?;
    }
    Ok(writer.into_inner()?)
}

/// A value, or nothing.
fn text(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Bits of each layer: what was chosen, and the presets.
fn bits_csv(chosen: &Chosen) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let all: Vec<&Assignment> = std::iter::once(&chosen.best)
        .chain(&chosen.presets)
        .chain(&chosen.curve)
        .collect();
    let costs = [
        "name",
        "loss",
        "cycles",
        "binary_operation_pairs",
        "parameter_bytes",
    ];
    let header = costs.map(str::to_owned).into_iter().chain(
        chosen
            .layers
            .iter()
            .flat_map(|l| [format!("activation_bits_{l}"), format!("weight_bits_{l}")]),
    );
    writer.write_record(header.chain(["command".to_owned()]))?;
    for (index, a) in all.into_iter().enumerate() {
        let name = match index > chosen.presets.len() {
            true => "curve",
            false => &a.name,
        };
        let costs = [
            name.to_owned(),
            text(a.loss),
            a.cycles.to_string(),
            a.binary_operation_pairs.to_string(),
            a.parameter_bytes.to_string(),
        ];
        let bits = a.bits.iter().flatten().map(ToString::to_string);
        writer.write_record(costs.into_iter().chain(bits).chain([a.command.clone()]))?;
    }
    Ok(writer.into_inner()?)
}

fn page(exploration: &Exploration) -> Result<String, Box<dyn Error>> {
    let layers: Vec<String> = exploration
        .layers
        .iter()
        .map(|layer| {
            let [rows, elements, columns] = layer.shape;
            let weight = layer.weight.map_or(String::new(), |weight| {
                format!(" x {} {} bits", weight.encoding, weight.bits)
            });
            let Precision { encoding, bits } = layer.activation;
            let activation = match layer.weight {
                Some(_) => format!("{encoding} {bits}"),
                None => format!("{encoding} {bits} bits"),
            };
            format!(
                "{} ({rows}x{elements}x{columns}, {activation}{weight})",
                escaped(&layer.name)
            )
        })
        .collect();
    let left_out = exploration
        .left_out
        .as_ref()
        .map_or(String::new(), |(count, reason)| {
            format!(
                "<p>{} points were left out because the array cannot be built; the first: {}</p>",
                thousands((*count).into()),
                escaped(reason)
            )
        });
    let cycles_heading = match exploration.around.bytes_per_cycle {
        Some(_) => "cycles at bandwidth",
        None => "cycles",
    };
    let values = [
        (
            "generator",
            format!("{} {}", GENERATOR.name, GENERATOR.version),
        ),
        ("count", thousands(exploration.points.len() as u128)),
        ("layers", layers.join(", ")),
        ("left_out", left_out),
        ("search", escaped(&search_text(exploration))),
        ("front_metrics", front_text(exploration)),
        ("front_plot", plots::front(&exploration.points)?),
        ("bar_plot", plots::utilization(&exploration.points)?),
        ("heat_plots", heat_plots(&exploration.points)?),
        ("layer_plots", layer_plots(exploration)?),
        ("bits", bits_section(exploration)?),
        ("synthesized", synthesized_section(exploration)),
        (
            "area",
            [
                exploration.around.model.map(super::model_text),
                exploration.around.activity.map(super::activity_text),
            ]
            .into_iter()
            .flatten()
            .map(|text| format!("<p>{}.</p>", escaped(&text)))
            .collect(),
        ),
        ("cycles_heading", cycles_heading.to_owned()),
        (
            "switching_heading",
            match exploration.around.activity {
                Some(_) => "<th>toggles (scaled)</th><th>uJ (scaled)</th>".to_owned(),
                None => String::new(),
            },
        ),
        ("rows", table_rows(exploration)),
        ("rows_max", thousands(PAGE_ROWS_MAX as u128)),
    ];
    Ok(values.iter().fold(PAGE.to_owned(), |page, (name, value)| {
        page.replace(&format!("{{{{{name}}}}}"), value)
    }))
}

fn search_text(exploration: &Exploration) -> String {
    let searched = &exploration.searched;
    let constraints: Vec<String> = exploration
        .constraints
        .iter()
        .map(ToString::to_string)
        .collect();
    let constraints = match constraints.is_empty() {
        true => String::new(),
        false => format!(
            " Constraints: {}; {} points do not keep them.",
            constraints.join(", "),
            thousands(exploration.dropped.into())
        ),
    };
    format!(
        "Search: {}; {} of {} points were looked at; {}.{constraints}",
        searched.method,
        thousands(searched.evaluated.into()),
        thousands(searched.points.into()),
        searched.guarantee
    )
}

fn front_text(exploration: &Exploration) -> String {
    let names: Vec<&str> = exploration
        .front
        .iter()
        .map(|metric| metric.name())
        .collect();
    names.join(", ")
}

/// A section with a heading; nothing without a picture.
fn section(heading: &str, text: &str, pictures: &[String]) -> String {
    match pictures.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>{heading}</h2>\n<p>{text}</p>\n{}\n",
            pictures.join("\n")
        ),
    }
}

fn heat_plots(points: &[Point]) -> Result<String, Box<dyn Error>> {
    let maps = [
        Heat::new(points, ["rows", "columns"], |p| [p.rows, p.columns]),
        Heat::new(points, ["activation branches", "weight branches"], |p| {
            [p.activation_branches, p.weight_branches]
        }),
    ];
    let pictures: Result<Vec<String>, _> = maps.iter().flatten().map(Heat::draw).collect();
    Ok(section(
        "Heat maps",
        "The fewest cycles of all points with these two values; the darker, the fewer.",
        &pictures?,
    ))
}

/// Bars of the layers and the roofline, of the fastest point.
fn layer_plots(exploration: &Exploration) -> Result<String, Box<dyn Error>> {
    let Some(point) = exploration.points.iter().min_by_key(|p| p.bounded_cycles()) else {
        return Ok(String::new());
    };
    let mut sections = section(
        "Layers",
        &format!(
            "The fastest point, {}. Hatches, colours and labels say what bounds a layer: computing, loading of patches, draining, streaming of weights, bandwidth to the outside, and so on. <code>{}</code>",
            point.label(),
            escaped(&point.command)
        ),
        &[plots::layers(point, &exploration.layers)?],
    );
    if let Some(bandwidth) = exploration.around.bytes_per_cycle {
        sections += &section(
            "Roofline",
            "The fastest point. Flat: what the array can do; rising: what the streams bring. Layers without bytes on a stream, whose weights are resident, have no place on it.",
            &[plots::roofline(point, &exploration.layers, bandwidth)?],
        );
    }
    Ok(sections)
}

fn bits_section(exploration: &Exploration) -> Result<String, Box<dyn Error>> {
    let Some(chosen) = &exploration.chosen else {
        return Ok(String::new());
    };
    let mut rows = String::new();
    for a in std::iter::once(&chosen.best).chain(&chosen.presets) {
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            escaped(&a.name),
            a.loss.map_or("-".to_owned(), |loss| format!("{loss:.4}")),
            thousands(a.cycles.into()),
            thousands(a.binary_operation_pairs.into()),
            thousands(a.parameter_bytes.into()),
            a.bits_text(),
            escaped(&a.command)
        );
    }
    let table = format!(
        "<div class=\"scroll\"><table><thead><tr><th>bits</th><th>loss</th><th>cycles</th><th>binary operation pairs</th><th>parameter bytes</th><th>activations x weights</th><th>command</th></tr></thead><tbody>\n{rows}</tbody></table></div>"
    );
    Ok(section(
        "Bits of each layer",
        &format!(
            "On the base configuration. Line: the least loss for each number of cycles; ring: what was chosen; triangles: choices by rule. {} All bits are in bits.csv.",
            escaped(&chosen.guarantee)
        ),
        &[plots::precision(chosen)?, table],
    ))
}

/// What outside tools made of points, beside the estimates.
fn synthesized_section(exploration: &Exploration) -> String {
    let measured = exploration
        .points
        .iter()
        .filter_map(|p| Some((p, p.synthesized.as_ref()?)));
    let mut measured: Vec<_> = measured.collect();
    measured.sort_by_key(|(p, _)| (!p.is_pareto, p.bounded_cycles()));
    let Some((_, first)) = measured.first() else {
        return String::new();
    };
    let number =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| thousands(value as u128));
    let size = match exploration.has_cell_areas() {
        true => "cell area",
        false => "LUTs",
    };
    let mut rows = String::new();
    for (p, s) in &measured {
        let area = s.area;
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            p.label(),
            thousands(p.bounded_cycles().into()),
            super::estimated(p, |e| e.cell_area.or(Some(e.luts))),
            number(area.map(|a| a.size())),
            s.estimate_off_percent
                .map_or("-".to_owned(), |off| format!("{off:+.1} %")),
            number(area.map(|a| a.flip_flops)),
            number(area.map(|a| a.block_rams)),
            super::speed_text(s).unwrap_or_else(|| "-".to_owned()),
            match &s.failed {
                Some(failed) => format!("failed: {}", escaped(failed)),
                None => escaped(&s.command),
            }
        );
    }
    format!(
        "<h2>Synthesized points</h2>\n<p>With {}. Areas are the modules' sum, as estimates are; MHz: placed and routed, or timed by the cells' delays, or else the cells on the longest path.</p>\n<div class=\"scroll\"><table><thead><tr><th>array</th><th>cycles</th><th>{size} (estimate)</th><th>{size} (synthesized)</th><th>estimate off</th><th>FF</th><th>block RAM</th><th>MHz</th><th>command</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        escaped(&first.tools)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn table_rows(exploration: &Exploration) -> String {
    let switching = |p: &Point| match exploration.around.activity {
        None => String::new(),
        Some(_) => {
            let cell = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3e}"));
            let toggles = cell(p.switching.map(|s| s.toggles));
            let energy = cell(p.switching.and_then(|s| s.energy_uj));
            format!("<td>{toggles}</td><td>{energy}</td>")
        }
    };
    let mut sorted: Vec<&Point> = exploration.points.iter().collect();
    sorted.sort_by_key(|p| (!p.is_pareto, p.cycles));
    let mut rows = String::new();
    for p in sorted.into_iter().take(PAGE_ROWS_MAX) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            rows,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}x{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}<td><code>{}</code></td></tr>",
            if p.is_pareto { " class=\"front\"" } else { "" },
            p.rows,
            p.columns,
            p.lanes,
            p.activation_branches,
            p.weight_branches,
            thousands(p.binary_operation_pairs_per_cycle.into()),
            thousands(p.bounded_cycles().into()),
            percent(p.utilization),
            p.bound,
            super::estimated(p, |e| Some(e.luts)),
            super::estimated(p, |e| Some(e.block_rams)),
            switching(p),
            escaped(&p.command)
        );
    }
    rows
}
