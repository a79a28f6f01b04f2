//! A network as a picture: layers as boxes from top to bottom, what they read as arrows.
//!
//! A layer stands below all that it reads. Chains run straight down a lane; where a tensor has several readers, the one
//! with the longest way to the end (residuals not counted) stays in its lane, and the others go to lanes on its right until they join again. A
//! residual that skips layers of its own lane runs beside them.

use std::collections::BTreeMap;
use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Definitions, Group, Marker, Path, Rectangle, Style, Text, Title};
use xnorforge_sim::Precision;
use xnorforge_sim::network::{LayerOutline, Outline, TensorId, Work};

/// Width and height of a box, in pixels.
const BOX: (f64, f64) = (210.0, 54.0);
/// Distance of the boxes of a lane.
const GAP_Y: f64 = 26.0;
/// Distance of lanes, in which residuals run.
const GAP_X: f64 = 60.0;
/// Distance of lines that run beside each other.
const TRACK: f64 = 14.0;
/// Around everything.
const MARGIN: f64 = 24.0;
/// Height of the line that says the network's name.
const HEADING: f64 = 30.0;
/// How far lines that enter and leave at the same side stand above and below its middle.
const PORT: f64 = 10.0;
/// Radius of bends.
const BEND: f64 = 8.0;
/// Networks beside each other, before the next line begins.
const NETWORKS_PER_LINE: usize = 6;
/// Characters of a name that fit in a box.
const NAME_CHARACTERS: usize = 28;

const STYLE: &str = "\
text { font-family: Helvetica, Arial, sans-serif; font-size: 11px; fill: #1f2933; text-anchor: middle; }
text.name { font-size: 13px; font-weight: bold; }
text.heading { font-size: 16px; font-weight: bold; text-anchor: start; }
rect { stroke-width: 1.2px; rx: 5px; }
rect.tensor { fill: #ffffff; stroke: #52606d; }
rect.convolution { fill: #e3f0fb; stroke: #3572a5; }
rect.depthwise { fill: #e6f6f4; stroke: #2c8a7d; }
rect.dense { fill: #ece8fb; stroke: #6246b8; }
rect.pool { fill: #fdf2d8; stroke: #b7841a; }
rect.add { fill: #fbe6e2; stroke: #b5432e; }
path.edge { fill: none; stroke: #52606d; stroke-width: 1.4px; }
path.residual { fill: none; stroke: #b5432e; stroke-width: 1.8px; }
path.tip { fill: #52606d; }
path.residual-tip { fill: #b5432e; }";

/// Networks as one SVG document.
pub fn svg(outlines: &[Outline]) -> String {
    let pictures: Vec<Picture> = outlines.iter().map(Picture::new).collect();
    let mut group = Group::new();
    let (mut right, mut bottom) = (0.0f64, 0.0f64);
    for line in pictures.chunks(NETWORKS_PER_LINE) {
        let (mut x, top) = (MARGIN, bottom + MARGIN);
        for picture in line {
            group = group.add(picture.draw(x, top));
            let (width, height) = picture.size();
            x += width + GAP_X;
            right = right.max(x - GAP_X + MARGIN);
            bottom = bottom.max(top + height);
        }
    }
    let (width, height) = (right, bottom + MARGIN);
    Document::new()
        .set("width", width)
        .set("height", height)
        .set("viewBox", (0, 0, width, height))
        .add(Style::new(STYLE))
        .add(Definitions::new().add(tip("tip")).add(tip("residual-tip")))
        .add(
            Rectangle::new()
                .set("width", width)
                .set("height", height)
                .set("style", "fill: #ffffff"),
        )
        .add(group)
        .to_string()
        + "\n"
}

/// The tip of an arrow.
fn tip(name: &str) -> Marker {
    let shape = Data::new()
        .move_to((0, 0))
        .line_to((8, 4))
        .line_to((0, 8))
        .close();
    Marker::new()
        .set("id", name)
        .set("viewBox", "0 0 8 8")
        .set("refX", 8)
        .set("refY", 4)
        .set("markerWidth", 8)
        .set("markerHeight", 8)
        .set("markerUnits", "userSpaceOnUse")
        .set("orient", "auto")
        .add(Path::new().set("class", name).set("d", shape))
}

/// A box: the input, a layer, or an output.
#[derive(Clone, Debug, PartialEq)]
struct Node {
    name: String,
    lines: Vec<String>,
    class: &'static str,
    rank: usize,
    lane: usize,
}

/// An arrow between boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    is_residual: bool,
    /// Which line beside its lane it takes, if it goes around boxes.
    track: Option<usize>,
}

/// A network with places for its boxes.
#[derive(Clone, Debug)]
struct Picture {
    heading: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl Picture {
    fn new(outline: &Outline) -> Self {
        let (nodes, edges) = graph(outline);
        let mut picture = Picture {
            heading: outline.name.clone(),
            nodes,
            edges,
        };
        picture.set_ranks();
        picture.set_lanes();
        picture.set_tracks();
        picture
    }

    /// A box stands below all that it reads.
    fn set_ranks(&mut self) {
        // Every edge leads to a later node.
        for to in 0..self.nodes.len() {
            let before = self.edges.iter().filter(|edge| edge.to == to);
            let rank = before.map(|edge| self.nodes[edge.from].rank + 1).max();
            self.nodes[to].rank = rank.unwrap_or(0);
        }
    }

    /// Who reads each box: of several, the first has the longest way to the end, residuals not counted, and reads it as its
    /// input where two are equally far.
    fn readers(&self) -> Vec<Vec<usize>> {
        let mut height = vec![0; self.nodes.len()];
        for edge in self.edges.iter().rev().filter(|edge| !edge.is_residual) {
            height[edge.from] = height[edge.from].max(height[edge.to] + 1);
        }
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            readers[edge.from].push((height[edge.to], !edge.is_residual, edge.to));
        }
        let sorted = readers
            .into_iter()
            .map(|mut list: Vec<(usize, bool, usize)>| {
                list.sort_by_key(|(height, is_input, to)| {
                    (std::cmp::Reverse((*height, *is_input)), *to)
                });
                list.into_iter().map(|(_, _, to)| to).collect()
            });
        sorted.collect()
    }

    /// The heir of a box stays in its lane; others take the leftmost lane that is free until they are read.
    fn set_lanes(&mut self) {
        let readers = self.readers();
        let mut inputs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for edge in &self.edges {
            inputs.entry(edge.to).or_default().push(edge.from);
        }
        // Ranks that are taken in each lane.
        let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
        for index in 0..self.nodes.len() {
            let of = inputs.get(&index).map_or(&[][..], Vec::as_slice);
            let heir_of = of
                .iter()
                .find(|from| readers[**from].first() == Some(&index));
            let last = readers[index].iter().map(|to| self.nodes[*to].rank).max();
            let above = of.iter().map(|from| self.nodes[*from].rank).min();
            let rank = self.nodes[index].rank;
            // The lines to and from the box run in its lane.
            let span = (above.unwrap_or(rank), last.unwrap_or(rank));
            let lane = match heir_of {
                Some(from) => self.nodes[*from].lane,
                None => {
                    let is_free = |lane: &Vec<(usize, usize)>| {
                        lane.iter()
                            .all(|(from, to)| *to <= span.0 || span.1 <= *from)
                    };
                    let free = taken.iter().position(is_free);
                    free.unwrap_or(taken.len())
                }
            };
            if lane == taken.len() {
                taken.push(Vec::new());
            }
            taken[lane].push(span);
            self.nodes[index].lane = lane;
        }
    }

    /// Lines that go around boxes of their lane run beside it, each pair that overlaps on different tracks.
    fn set_tracks(&mut self) {
        let mut taken: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for index in 0..self.edges.len() {
            if !self.goes_around(&self.edges[index]) {
                continue;
            }
            let Edge { from, to, .. } = self.edges[index];
            let lane = self.nodes[from].lane;
            let span = (self.nodes[from].rank, self.nodes[to].rank);
            let track = (0..self.edges.len()).find(|track| {
                let spans = taken.get(&(lane, *track));
                let mut spans = spans.into_iter().flatten();
                spans.all(|(from, to)| *to <= span.0 || span.1 <= *from)
            });
            let track = track.unwrap_or(0);
            taken.entry((lane, track)).or_default().push(span);
            self.edges[index].track = Some(track);
        }
    }

    /// Whether an edge stays in its lane and has boxes between its ends.
    fn goes_around(&self, edge: &Edge) -> bool {
        let (from, to) = (&self.nodes[edge.from], &self.nodes[edge.to]);
        let is_between =
            |node: &Node| node.lane == from.lane && (from.rank + 1..to.rank).contains(&node.rank);
        from.lane == to.lane && self.nodes.iter().any(is_between)
    }

    /// Room on the right of a lane.
    fn gap(&self, lane: usize) -> f64 {
        let mine = self
            .edges
            .iter()
            .filter(|e| self.nodes[e.from].lane == lane);
        let tracks = mine.filter_map(|edge| edge.track).max();
        GAP_X.max(tracks.map_or(0.0, |track| (track + 3) as f64 * TRACK))
    }

    fn lanes(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| node.lane + 1)
            .max()
            .unwrap_or(0)
    }

    /// Left side of a lane.
    fn lane_x(&self, lane: usize) -> f64 {
        (0..lane).map(|lane| BOX.0 + self.gap(lane)).sum()
    }

    fn size(&self) -> (f64, f64) {
        let last = self.lanes().saturating_sub(1);
        let has_tracks = self.edges.iter().any(|edge| edge.track.is_some());
        let room = if has_tracks { self.gap(last) } else { 0.0 };
        let ranks = self.nodes.iter().map(|node| node.rank + 1).max();
        let height = ranks.unwrap_or(0) as f64 * (BOX.1 + GAP_Y) - GAP_Y;
        (self.lane_x(last) + BOX.0 + room, HEADING + height)
    }

    fn draw(&self, x: f64, y: f64) -> Group {
        let place = format!("translate({x} {y})");
        let mut group = Group::new().set("transform", place).add(
            Text::new(shortened(&self.heading, 2 * NAME_CHARACTERS))
                .set("class", "heading")
                .set("y", 14),
        );
        for edge in &self.edges {
            group = group.add(self.draw_edge(edge));
        }
        for node in &self.nodes {
            group = group.add(self.draw_node(node));
        }
        group
    }

    /// Left upper corner of a box.
    fn corner(&self, node: &Node) -> (f64, f64) {
        let y = HEADING + node.rank as f64 * (BOX.1 + GAP_Y);
        (self.lane_x(node.lane), y)
    }

    fn draw_node(&self, node: &Node) -> Group {
        let (x, y) = self.corner(node);
        let frame = Rectangle::new()
            .set("class", node.class)
            .set("x", x)
            .set("y", y)
            .set("width", BOX.0)
            .set("height", BOX.1);
        let line = |text: &str, class: &str, at: f64| {
            Text::new(text)
                .set("class", class)
                .set("x", x + BOX.0 / 2.0)
                .set("y", y + at)
        };
        let mut group = Group::new()
            .add(Title::new(shortened(&node.name, usize::MAX)))
            .add(frame)
            .add(line(&shortened(&node.name, NAME_CHARACTERS), "name", 17.0));
        for (text, at) in node.lines.iter().zip([32.0, 46.0]) {
            group = group.add(line(text, "detail", at));
        }
        group
    }

    fn draw_edge(&self, edge: &Edge) -> Path {
        let (from, to) = (&self.nodes[edge.from], &self.nodes[edge.to]);
        let ((from_x, from_y), (to_x, to_y)) = (self.corner(from), self.corner(to));
        let (center, middle) = (BOX.0 / 2.0, BOX.1 / 2.0);
        let leaves = (from_x + BOX.0, from_y + middle + PORT);
        let enters = (to_x + BOX.0, to_y + middle - PORT);
        let points = match edge.track {
            Some(track) => {
                let x = leaves.0 + (track + 1) as f64 * TRACK;
                vec![leaves, (x, leaves.1), (x, enters.1), enters]
            }
            None if from.lane == to.lane => {
                vec![(from_x + center, from_y + BOX.1), (to_x + center, to_y)]
            }
            None if from.lane < to.lane => {
                let x = to_x + center;
                vec![leaves, (x, leaves.1), (x, to_y)]
            }
            None => {
                let x = from_x + center;
                vec![(x, from_y + BOX.1), (x, enters.1), enters]
            }
        };
        let (class, tip) = match edge.is_residual {
            true => ("residual", "url(#residual-tip)"),
            false => ("edge", "url(#tip)"),
        };
        Path::new()
            .set("class", class)
            .set("marker-end", tip)
            .set("d", bent(&points))
    }
}

/// A line through points with round corners.
fn bent(points: &[(f64, f64)]) -> Data {
    let mut data = Data::new().move_to(points[0]);
    for window in points.windows(3) {
        let [before, corner, after] = [window[0], window[1], window[2]];
        data = data
            .line_to(towards(corner, before))
            .quadratic_curve_to((corner, towards(corner, after)));
    }
    data.line_to(points[points.len() - 1])
}

/// The point of a bend's radius from `from` to `to`.
fn towards(from: (f64, f64), to: (f64, f64)) -> (f64, f64) {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x.hypot(y).max(1.0);
    let share = (BEND / length).min(0.5);
    (from.0 + share * x, from.1 + share * y)
}

/// Boxes and arrows of a network: the input, the layers, and the outputs.
fn graph(outline: &Outline) -> (Vec<Node>, Vec<Edge>) {
    let node = |name: &str, lines: Vec<String>, class| Node {
        name: name.to_owned(),
        lines,
        class,
        rank: 0,
        lane: 0,
    };
    let edge = |from: TensorId, to: usize, is_residual| Edge {
        from: match from {
            TensorId::Input => 0,
            TensorId::Layer(index) => index + 1,
        },
        to,
        is_residual,
        track: None,
    };
    let shape = format!("{} · {}", shape(&outline.input), bits(outline.precision));
    let mut nodes = vec![node("input", vec![shape], "tensor")];
    let mut edges = Vec::new();
    for layer in &outline.layers {
        edges.push(edge(layer.input.tensor, nodes.len(), false));
        if let Some((tensor, _)) = layer.residual {
            edges.push(edge(tensor, nodes.len(), true));
        }
        nodes.push(node(&layer.name, lines(layer), class(layer)));
    }
    for output in &outline.outputs {
        edges.push(edge(*output, nodes.len(), false));
        let kind = match outline.tensor_precision(*output) {
            Some(precision) => bits(precision),
            None => "accumulators".to_owned(),
        };
        nodes.push(node("output", vec![kind], "tensor"));
    }
    (nodes, edges)
}

fn class(layer: &LayerOutline) -> &'static str {
    match layer.kind() {
        "fully connected" => "dense",
        "depthwise" | "grouped" => "depthwise",
        "add" => "add",
        "convolution" => "convolution",
        _ => "pool",
    }
}

/// What stands below a layer's name: what it computes; its output and its bits.
fn lines(layer: &LayerOutline) -> Vec<String> {
    let window = layer.work.window();
    let pair = |(y, x): (u32, u32)| match y == x {
        true => y.to_string(),
        false => format!("{y}x{x}"),
    };
    let mut work = format!("{} {}x{}", layer.kind(), window.kernel.0, window.kernel.1);
    if window.stride != (1, 1) {
        work += &format!(", stride {}", pair(window.stride));
    }
    if window.dilation != (1, 1) {
        work += &format!(", dilation {}", pair(window.dilation));
    }
    if let (Work::Convolution { groups, .. }, "grouped") = (layer.work, layer.kind()) {
        work += &format!(", {groups} groups");
    }
    let bits = match layer.weight() {
        Some(weight) => format!("{}x{} bits", layer.activation.bits, weight.bits),
        None => bits(layer.activation),
    };
    vec![work, format!("{} · {bits}", shape(&layer.output_shape))]
}

fn shape(shape: &xnorforge_sim::network::Shape) -> String {
    format!("{}x{}x{}", shape.height, shape.width, shape.channels)
}

fn bits(precision: Precision) -> String {
    match precision.bits {
        1 => "1 bit".to_owned(),
        bits => format!("{bits} bits"),
    }
}

/// At most so many characters, and none that an XML file may not hold.
fn shortened(text: &str, most: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.chars().count() <= most {
        return text;
    }
    let start: String = text.chars().take(most - 1).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use xnorforge_import::topology::{Widths, builtin};

    fn picture(name: &str) -> Picture {
        let topology = builtin::topology(name, &Widths::default());
        let outlines = topology.unwrap().unwrap().outlines().unwrap();
        Picture::new(&outlines[0])
    }

    fn place(picture: &Picture, name: &str) -> (usize, usize) {
        let node = picture.nodes.iter().find(|node| node.name == name).unwrap();
        (node.rank, node.lane)
    }

    #[test]
    fn a_chain_runs_straight_down() {
        let picture = picture("vgg16");
        for (rank, node) in picture.nodes.iter().enumerate() {
            assert_eq!((node.rank, node.lane), (rank, 0), "{}", node.name);
        }
        assert!(picture.edges.iter().all(|edge| edge.track.is_none()));
    }

    #[test]
    fn shortcuts_stand_beside_the_lane_that_goes_on() {
        let picture = picture("resnet18");
        assert_eq!(place(&picture, "layer2.0.conv1"), (7, 0));
        assert_eq!(place(&picture, "layer2.0.downsample"), (7, 1));
        assert_eq!(place(&picture, "layer2.0.conv2"), (8, 0));
        assert_eq!(place(&picture, "fc").1, 0);
        assert_eq!(picture.lanes(), 2);
        // Residuals without a convolution go around the one in between.
        let around = picture.edges.iter().filter(|edge| edge.track.is_some());
        assert_eq!(around.clone().count(), 5);
        assert!(around.into_iter().all(|edge| edge.is_residual));
    }

    #[test]
    fn no_two_boxes_share_a_place_and_every_edge_leads_down() {
        for (name, _) in builtin::NETWORKS {
            let picture = picture(name);
            let mut places: Vec<_> = picture.nodes.iter().map(|n| (n.rank, n.lane)).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), picture.nodes.len(), "{name}");
            for edge in &picture.edges {
                let rank = |index: usize| picture.nodes[index].rank;
                assert!(rank(edge.from) < rank(edge.to), "{name}");
            }
        }
    }

    #[test]
    fn names_are_text_and_nothing_else() {
        let topology = builtin::topology("lenet5", &Widths::default());
        let mut outline = topology.unwrap().unwrap().outlines().unwrap().remove(0);
        outline.layers[0].name = "<a&b>\u{1}".to_owned();
        let text = svg(&[outline]);
        assert!(text.contains("&lt;a&amp;b&gt;") && !text.contains('\u{1}'));
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }
}
