//! The files of an exploration: CSV, JSON and one offline page.

use super::{Exploration, Point};
use crate::failure::Failure;
use crate::manifest::{self, GENERATOR, json_bytes};
use crate::output::Files;
use crate::terminal::{percent, thousands};
use plotters::prelude::*;
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
/// Points of the front that the bar chart shows.
const BARS_MAX: usize = 24;
/// Pixels of a plot.
const PLOT_SIZE: (u32, u32) = (900, 460);

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

fn csv(exploration: &Exploration) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let layers = exploration.layers.iter();
    let header = [
        "rows",
        "columns",
        "lanes",
        "activation_branches",
        "weight_branches",
        "binary_operation_pairs_per_cycle",
        "cycles",
        "utilization",
        "effective_pairs_per_cycle",
        "bound",
        "is_pareto",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(layers.map(|layer| format!("cycles_{}", layer.name)))
    .chain(["configuration_sha256".to_owned(), "command".to_owned()]);
    writer.write_record(header)?;
    for p in &exploration.points {
        let fields = [
            p.rows.to_string(),
            p.columns.to_string(),
            p.lanes.to_string(),
            p.activation_branches.to_string(),
            p.weight_branches.to_string(),
            p.binary_operation_pairs_per_cycle.to_string(),
            p.cycles.to_string(),
            p.utilization.to_string(),
            p.effective_pairs_per_cycle.to_string(),
            p.bound.to_owned(),
            p.is_pareto.to_string(),
        ];
        let layers = p.layer_cycles.iter().map(ToString::to_string);
        let last = [p.configuration_sha256.clone(), p.command.clone()];
        writer.write_record(fields.into_iter().chain(layers).chain(last))?;
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
    let values = [
        (
            "generator",
            format!("{} {}", GENERATOR.name, GENERATOR.version),
        ),
        ("count", thousands(exploration.points.len() as u128)),
        ("layers", layers.join(", ")),
        ("left_out", left_out),
        ("front_plot", front_plot(&exploration.points)?),
        ("bar_plot", bar_plot(&exploration.points)?),
        ("rows", table_rows(&exploration.points)),
        ("rows_max", thousands(PAGE_ROWS_MAX as u128)),
    ];
    Ok(values.iter().fold(PAGE.to_owned(), |page, (name, value)| {
        page.replace(&format!("{{{{{name}}}}}"), value)
    }))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn table_rows(points: &[Point]) -> String {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by_key(|p| (!p.is_pareto, p.cycles));
    let mut rows = String::new();
    for p in sorted.into_iter().take(PAGE_ROWS_MAX) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            rows,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}x{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            if p.is_pareto { " class=\"front\"" } else { "" },
            p.rows,
            p.columns,
            p.lanes,
            p.activation_branches,
            p.weight_branches,
            thousands(p.binary_operation_pairs_per_cycle.into()),
            thousands(p.cycles.into()),
            percent(p.utilization),
            p.bound,
            escaped(&p.command)
        );
    }
    rows
}

/// Cycles against the size of the array, both logarithmic, with the front as a line.
fn front_plot(points: &[Point]) -> Result<String, Box<dyn Error>> {
    let size = |p: &Point| p.binary_operation_pairs_per_cycle as f64;
    let cycles = |p: &Point| p.cycles as f64;
    let bounds = |value: &dyn Fn(&Point) -> f64| {
        let low = points.iter().map(value).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(value).fold(1.0, f64::max);
        0.8 * low.min(high)..1.25 * high
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, PLOT_SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(110)
            .build_cartesian_2d(bounds(&size).log_scale(), bounds(&cycles).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("binary operation pairs per cycle")
            .y_desc("cycles")
            .x_label_formatter(&|v| thousands(v.round() as u128))
            .y_label_formatter(&|v| thousands(v.round() as u128))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .max_light_lines(0)
            .bold_line_style(RGBColor(225, 228, 232))
            .draw()?;
        let others = points.iter().filter(|p| !p.is_pareto);
        chart.draw_series(
            others.map(|p| Circle::new((size(p), cycles(p)), 3, RGBColor(150, 160, 170).filled())),
        )?;
        let front: Vec<(f64, f64)> = points
            .iter()
            .filter(|p| p.is_pareto)
            .map(|p| (size(p), cycles(p)))
            .collect();
        let blue = RGBColor(20, 90, 180);
        chart.draw_series(LineSeries::new(front.iter().copied(), blue.stroke_width(2)))?;
        chart.draw_series(front.iter().map(|at| Circle::new(*at, 5, blue.filled())))?;
        root.present()?;
    }
    Ok(svg)
}

/// Utilization of the points of the front.
fn bar_plot(points: &[Point]) -> Result<String, Box<dyn Error>> {
    let front: Vec<&Point> = points
        .iter()
        .filter(|p| p.is_pareto)
        .take(BARS_MAX)
        .collect();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, PLOT_SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(110)
            .build_cartesian_2d(0.0..front.len() as f64, 0.0..100.0)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .x_desc("points of the front, smallest array first: rows x columns x lanes / branches")
            .y_desc("utilization in %")
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .max_light_lines(0)
            .bold_line_style(RGBColor(225, 228, 232))
            .draw()?;
        let left = |index: usize| index as f64;
        chart.draw_series(front.iter().enumerate().map(|(index, p)| {
            Rectangle::new(
                [
                    (left(index) + 0.15, 0.0),
                    (left(index) + 0.85, 100.0 * p.utilization),
                ],
                RGBColor(140, 180, 230).filled(),
            )
        }))?;
        let style = ("sans-serif", 15)
            .into_font()
            .transform(FontTransform::Rotate270)
            .color(&BLACK);
        chart.draw_series(front.iter().enumerate().map(|(index, p)| {
            let label = format!(
                "{}x{}x{} / {}x{}",
                p.rows, p.columns, p.lanes, p.activation_branches, p.weight_branches
            );
            Text::new(label, (left(index) + 0.4, 2.0), style.clone())
        }))?;
        root.present()?;
    }
    Ok(svg)
}
