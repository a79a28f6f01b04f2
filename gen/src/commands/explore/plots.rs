//! The pictures of a report, as SVG. Colours are those of Okabe and Ito, which colour-blind readers tell apart; nothing is
//! told by colour alone: markers, hatches, line styles and labels say the same, in print too.

use super::metric::number;
use super::point::{Layer, Point};
use super::precision::Chosen;
use crate::terminal::thousands;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plain<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// An SVG, or why it cannot be drawn.
pub type Drawn = Result<String, Box<dyn Error>>;

/// Pixels of a plot.
const SIZE: (u32, u32) = (900, 460);
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(140, 148, 156);
const GRID: RGBColor = RGBColor(225, 228, 232);
/// Points of the front that the bar chart shows.
const BARS_MAX: usize = 24;
/// Layers that the chart of layers shows.
const LAYERS_MAX: usize = 48;
/// Values of an axis that a heat map shows.
const HEAT_MAX: usize = 16;

/// Draws on white.
fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>) -> Drawn {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        draw(&root)?;
        root.present().map_err(|e| e.to_string())?;
    }
    // A page scales pictures by their view boxes.
    Ok(svg)
}

/// A range around values on a logarithmic axis.
fn log_range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low > high {
        return 0.5..2.0;
    }
    0.8 * low.max(1e-9)..1.3 * high.max(1e-9)
}

/// Cycles against the size of the array, both logarithmic: the front a line with dots, all other points crosses.
pub fn front(points: &[Point]) -> Drawn {
    let size = |p: &Point| p.binary_operation_pairs_per_cycle as f64;
    let cycles = |p: &Point| p.bounded_cycles() as f64;
    drawn(SIZE, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(110)
            .build_cartesian_2d(
                log_range(points.iter().map(size)).log_scale(),
                log_range(points.iter().map(cycles)).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc("binary operation pairs per cycle")
            .y_desc("cycles")
            .x_label_formatter(&|v| thousands(v.round() as u128))
            .y_label_formatter(&|v| thousands(v.round() as u128))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .max_light_lines(0)
            .bold_line_style(GRID)
            .draw()?;
        let others = points.iter().filter(|p| !p.is_pareto).take(5000);
        chart.draw_series(others.map(|p| Cross::new((size(p), cycles(p)), 3, GREY)))?;
        let front = points.iter().filter(|p| p.is_pareto);
        let front: Vec<(f64, f64)> = front.map(|p| (size(p), cycles(p))).collect();
        chart.draw_series(LineSeries::new(front.iter().copied(), BLUE.stroke_width(2)))?;
        chart.draw_series(front.iter().map(|at| Circle::new(*at, 5, BLUE.filled())))?;
        Ok(())
    })
}

/// Utilization of the points of the front.
pub fn utilization(points: &[Point]) -> Drawn {
    let front: Vec<&Point> = points
        .iter()
        .filter(|p| p.is_pareto)
        .take(BARS_MAX)
        .collect();
    drawn(SIZE, |root| {
        let mut chart = ChartBuilder::on(root)
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
            .bold_line_style(GRID)
            .draw()?;
        let left = |index: usize| index as f64;
        chart.draw_series(front.iter().enumerate().map(|(index, p)| {
            Rectangle::new(
                [
                    (left(index) + 0.15, 0.0),
                    (left(index) + 0.85, 100.0 * p.utilization),
                ],
                RGBColor(150, 195, 230).filled(),
            )
        }))?;
        let style = ("sans-serif", 15)
            .into_font()
            .transform(FontTransform::Rotate270)
            .color(&BLACK);
        chart.draw_series(
            front
                .iter()
                .enumerate()
                .map(|(index, p)| Text::new(p.label(), (left(index) + 0.4, 2.0), style.clone())),
        )?;
        Ok(())
    })
}

/// Values of two axes, and the fewest cycles for each pair of them.
pub struct Heat {
    /// What the axes are, down and across.
    pub names: [&'static str; 2],
    /// Their values.
    pub values: [Vec<u32>; 2],
    cycles: BTreeMap<[u32; 2], u64>,
}

impl Heat {
    /// The fewest cycles of all points with the same two values; none where one of them never changes or there are too
    /// many to read.
    pub fn new(
        points: &[Point],
        names: [&'static str; 2],
        of: fn(&Point) -> [u32; 2],
    ) -> Option<Self> {
        let mut cycles: BTreeMap<[u32; 2], u64> = BTreeMap::new();
        for point in points {
            let found = point.bounded_cycles();
            let least = cycles.entry(of(point)).or_insert(found);
            *least = found.min(*least);
        }
        let values = [0, 1].map(|axis| {
            let mut values: Vec<u32> = cycles.keys().map(|pair| pair[axis]).collect();
            values.sort_unstable();
            values.dedup();
            values
        });
        let is_readable = values.iter().all(|v| v.len() <= HEAT_MAX) && cycles.len() > 1;
        is_readable.then_some(Heat {
            names,
            values,
            cycles,
        })
    }

    /// The map: the darker a cell, the fewer cycles; the number stands in it.
    pub fn draw(&self) -> Drawn {
        let [down, across] = &self.values;
        let height = 90 + 34 * (down.len() as u32 + 1);
        let log = |cycles: u64| (cycles.max(1) as f64).ln();
        let low = self
            .cycles
            .values()
            .map(|c| log(*c))
            .fold(f64::INFINITY, f64::min);
        let high = self.cycles.values().map(|c| log(*c)).fold(0.0, f64::max);
        drawn((SIZE.0, height), |root| {
            let mut chart = ChartBuilder::on(root)
                .margin(12)
                .x_label_area_size(36)
                .y_label_area_size(36)
                .build_cartesian_2d(-0.6..across.len() as f64, -0.8..down.len() as f64)?;
            heat_axes(&mut chart, self)?;
            for ([y, x], cycles) in &self.cycles {
                let (Ok(x), Ok(y)) = (across.binary_search(x), down.binary_search(y)) else {
                    continue;
                };
                let (x, y) = (x as f64, y as f64);
                let share = if high > low {
                    (high - log(*cycles)) / (high - low)
                } else {
                    0.5
                };
                let (color, ink) = shade(share);
                let cell = [(x, y), (x + 1.0, y + 1.0)];
                chart.draw_series([
                    Rectangle::new(cell, color.filled()),
                    Rectangle::new(cell, WHITE.stroke_width(1)),
                ])?;
                let style = ("sans-serif", 13).into_font().color(&ink);
                let text = Text::new(short(*cycles), (x + 0.08, y + 0.66), style);
                chart.draw_series([text])?;
            }
            Ok(())
        })
    }
}

/// The values of both axes, in a row and a column of their own beside the cells.
fn heat_axes(chart: &mut Plain<'_, '_>, heat: &Heat) -> Result<(), Box<dyn Error>> {
    let [down, across] = &heat.values;
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_axes()
        .x_desc(heat.names[1])
        .y_desc(heat.names[0])
        .x_labels(0)
        .y_labels(0)
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    let style = ("sans-serif", 15).into_font().color(&BLACK);
    let below = across.iter().enumerate().map(|(index, value)| {
        Text::new(
            value.to_string(),
            (index as f64 + 0.4, -0.15),
            style.clone(),
        )
    });
    chart.draw_series(below)?;
    let beside = down.iter().enumerate().map(|(index, value)| {
        Text::new(
            value.to_string(),
            (-0.5, index as f64 + 0.68),
            style.clone(),
        )
    });
    chart.draw_series(beside)?;
    Ok(())
}

/// From light to dark in one hue, and the ink that is read on it.
fn shade(share: f64) -> (RGBColor, RGBColor) {
    let mix = |light: f64, dark: f64| (light + share * (dark - light)).round() as u8;
    let color = RGBColor(mix(235.0, 8.0), mix(243.0, 64.0), mix(250.0, 118.0));
    (color, if share > 0.5 { WHITE } else { BLACK })
}

/// A count in a few characters.
fn short(count: u64) -> String {
    let count = count as f64;
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if count >= unit {
            let value = count / unit;
            let digits = if value < 10.0 {
                2
            } else if value < 100.0 {
                1
            } else {
                0
            };
            return format!("{value:.digits$} {name}");
        }
    }
    format!("{count}")
}

/// Lines of a hatch across a bar, by what bounds the layer: rising, falling or upright, and how far apart.
fn hatch(bound: &str) -> Option<(f64, f64)> {
    match bound {
        "compute" => None,
        "load" => Some((0.8, 9.0)),
        "drain" => Some((-0.8, 9.0)),
        "weights" => Some((0.0, 6.0)),
        "bandwidth" => Some((0.0, 12.0)),
        "pool" => Some((0.8, 18.0)),
        _ => Some((-0.8, 18.0)),
    }
}

fn bound_color(bound: &str) -> RGBColor {
    match bound {
        "compute" => BLUE,
        "load" => RGBColor(230, 159, 0),
        "drain" => RGBColor(86, 180, 233),
        "weights" => RGBColor(204, 121, 167),
        "bandwidth" => VERMILION,
        "pool" => RGBColor(0, 158, 115),
        _ => RGBColor(170, 176, 184),
    }
}

/// The cycles of each layer at a point; hatch, colour and label say what bounds it.
pub fn layers(point: &Point, layers: &[Layer]) -> Drawn {
    let count = layers.len().min(LAYERS_MAX);
    let height = 90 + 22 * count as u32;
    let most = point
        .layer_cycles
        .iter()
        .take(count)
        .max()
        .copied()
        .unwrap_or(1);
    let right = 1.25 * most.max(1) as f64;
    drawn((SIZE.0, height), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(170)
            .build_cartesian_2d(0.0..right, 0.0..count as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_desc("cycles")
            .x_label_formatter(&|v| short(*v as u64))
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 17))
            .max_light_lines(0)
            .bold_line_style(GRID)
            .draw()?;
        let per_pixel = right / f64::from(SIZE.0 - 170 - 24);
        for index in 0..count {
            let (cycles, bound) = (point.layer_cycles[index] as f64, &point.layer_bounds[index]);
            let low = (count - 1 - index) as f64;
            let bar = [(0.0, low + 0.15), (cycles, low + 0.85)];
            chart.draw_series([
                Rectangle::new(bar, bound_color(bound).mix(0.75).filled()),
                Rectangle::new(bar, BLACK.stroke_width(1)),
            ])?;
            if let Some((slope, apart)) = hatch(bound) {
                let lean = slope * 15.0 * per_pixel;
                let lines = (1..).map(|i| f64::from(i) * apart * per_pixel);
                let lines = lines.take_while(|x| x.max(x + lean) < cycles).take(400);
                let lines = lines.filter(|x| x + lean > 0.0);
                chart.draw_series(lines.map(|x| {
                    PathElement::new(
                        vec![(x, low + 0.15), (x + lean, low + 0.85)],
                        BLACK.mix(0.6),
                    )
                }))?;
            }
            let text = format!("{} {}", short(cycles as u64), bound);
            let style = ("sans-serif", 13).into_font().color(&BLACK);
            chart.draw_series([Text::new(
                text,
                (cycles + 5.0 * per_pixel, low + 0.78),
                style,
            )])?;
        }
        layer_names(root, height, layers, count)
    })
}

fn layer_names(
    root: &Area<'_>,
    height: u32,
    layers: &[Layer],
    count: usize,
) -> Result<(), Box<dyn Error>> {
    // The plot's area, as the chart leaves it: margins and labels taken off.
    let (top, bottom) = (12.0, f64::from(height) - 12.0 - 48.0);
    let step = (bottom - top) / count as f64;
    for (index, layer) in layers.iter().take(count).enumerate() {
        let y = top + step * (index as f64 + 0.5) - 7.0;
        let name: String = layer.name.chars().take(24).collect();
        let style = ("sans-serif", 14).into_font().color(&BLACK);
        root.draw(&Text::new(name, (12, y as i32), style))?;
    }
    Ok(())
}

/// Binary operation pairs per cycle against pairs for each byte on the streams: the roofs of a point, and where its layers
/// stand. Layers without bytes have no place on it.
pub fn roofline(point: &Point, layers: &[Layer], bytes_per_cycle: f64) -> Drawn {
    let peak = point.binary_operation_pairs_per_cycle as f64;
    let placed: Vec<(String, f64, f64)> = placed(point, layers);
    let ridge = peak / bytes_per_cycle;
    let xs = placed
        .iter()
        .map(|(_, x, _)| *x)
        .chain([ridge / 8.0, ridge * 8.0]);
    let ys = placed.iter().map(|(_, _, y)| *y).chain([peak, peak / 16.0]);
    let (x, y) = (log_range(xs), log_range(ys));
    drawn(SIZE, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(110)
            .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
        chart
            .configure_mesh()
            .x_desc("binary operation pairs for each byte on the streams")
            .y_desc("pairs per cycle")
            .x_label_formatter(&|v| number(v.round()))
            .y_label_formatter(&|v| number(v.round()))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .max_light_lines(0)
            .bold_line_style(GRID)
            .draw()?;
        let low = x.start.max(y.start / bytes_per_cycle);
        chart.draw_series([
            PathElement::new(vec![(ridge, peak), (x.end, peak)], BLUE.stroke_width(3)),
            PathElement::new(
                vec![(low, low * bytes_per_cycle), (ridge, peak)],
                VERMILION.stroke_width(3),
            ),
        ])?;
        let style = ("sans-serif", 14).into_font().color(&BLACK);
        chart.draw_series(
            placed
                .iter()
                .map(|(_, x, y)| Circle::new((*x, *y), 4, BLACK.filled())),
        )?;
        chart.draw_series(placed.iter().map(|(name, x, y)| {
            EmptyElement::at((*x, *y)) + Text::new(name.clone(), (7, -7), style.clone())
        }))?;
        let roof = format!("array: {} pairs per cycle", thousands(peak as u128));
        let slope = format!("streams: {} bytes per cycle", number(bytes_per_cycle));
        chart.draw_series([
            EmptyElement::at((ridge, peak)) + Text::new(roof, (8, 6), style.clone()),
            EmptyElement::at((low, low * bytes_per_cycle))
                + Text::new(slope, (12, -16), style.clone()),
        ])?;
        Ok(())
    })
}

/// Layers with bytes on the streams, and the whole: pairs for each byte, and pairs per cycle.
fn placed(point: &Point, layers: &[Layer]) -> Vec<(String, f64, f64)> {
    let at = |name: &str, pairs: f64, bytes: u64, cycles: u64| {
        let is_there = pairs > 0.0 && bytes > 0 && cycles > 0;
        is_there.then(|| (name.to_owned(), pairs / bytes as f64, pairs / cycles as f64))
    };
    let all: f64 = layers.iter().map(|layer| layer.binary_pairs() as f64).sum();
    let of_layers = layers.iter().enumerate().filter_map(|(index, layer)| {
        let (bytes, cycles) = (point.layer_stream_bytes[index], point.layer_cycles[index]);
        at(&layer.name, layer.binary_pairs() as f64, bytes, cycles)
    });
    let whole = at(
        "all layers",
        all,
        point.stream_bytes,
        point.bounded_cycles(),
    );
    of_layers.take(LAYERS_MAX).chain(whole).collect()
}

/// Loss against cycles: the best choices of bits a line with dots, presets triangles with names.
pub fn precision(chosen: &Chosen) -> Drawn {
    let loss = |a: &super::precision::Assignment| a.loss.unwrap_or_default();
    let all = || {
        let presets = chosen.presets.iter().filter(|a| a.loss.is_some());
        chosen.curve.iter().chain(presets)
    };
    let low = all().map(loss).fold(f64::INFINITY, f64::min);
    let high = all().map(loss).fold(f64::NEG_INFINITY, f64::max);
    let space = 0.1 * (high - low).max(1e-9);
    drawn(SIZE, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(110)
            .build_cartesian_2d(
                log_range(all().map(|a| a.cycles as f64)).log_scale(),
                low - space..high + space,
            )?;
        chart
            .configure_mesh()
            .x_desc("cycles")
            .y_desc("loss (sum of the layers' losses)")
            .x_label_formatter(&|v| thousands(v.round() as u128))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .max_light_lines(0)
            .bold_line_style(GRID)
            .draw()?;
        let curve: Vec<(f64, f64)> = chosen
            .curve
            .iter()
            .map(|a| (a.cycles as f64, loss(a)))
            .collect();
        chart.draw_series(LineSeries::new(curve.iter().copied(), BLUE.stroke_width(2)))?;
        chart.draw_series(curve.iter().map(|at| Circle::new(*at, 3, BLUE.filled())))?;
        let best = (chosen.best.cycles as f64, loss(&chosen.best));
        chart.draw_series([Circle::new(best, 8, BLACK.stroke_width(2))])?;
        let style = ("sans-serif", 14).into_font().color(&BLACK);
        for preset in chosen.presets.iter().filter(|a| a.loss.is_some()) {
            let at = (preset.cycles as f64, loss(preset));
            chart.draw_series([TriangleMarker::new(at, 6, VERMILION.filled())])?;
            chart.draw_series([
                EmptyElement::at(at) + Text::new(preset.name.clone(), (8, -7), style.clone())
            ])?;
        }
        Ok(())
    })
}
