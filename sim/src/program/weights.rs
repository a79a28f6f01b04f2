//! Weights in the words of the weight memories, and the sums of them that column constants need.

use super::ProgramError;
use super::stream::{Beats, insert};
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::network::{Convolution, Shape};
use crate::packed::StoredForm;
use std::collections::HashMap;
use std::ops::Range;
use xnorforge_hdl::AcceleratorDesign;

/// Column tiles that read the same granules of each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Column tiles of the layer.
    pub tiles: Range<u32>,
    /// Granules of a pixel that they read.
    pub granules: Range<u32>,
}

/// How a convolution's weights are cut and stored.
#[derive(Clone, Debug)]
pub(crate) struct WeightPlan {
    pub parts: Vec<Part>,
    /// How a weight is stored.
    pub form: StoredForm,
    /// Column tiles of the layer.
    pub tiles: u32,
}

impl WeightPlan {
    pub fn new(
        design: &AcceleratorDesign,
        name: &str,
        convolution: &Convolution,
        input: Shape,
    ) -> Result<Self, ProgramError> {
        let c = design.design().config();
        let precision = convolution.weights.precision();
        let limit = c.weight_bits;
        if precision.bits > limit {
            return Err(ProgramError::Bits {
                layer: name.to_owned(),
                operand: "weights",
                bits: precision.bits,
                field: "weight_bits",
                limit,
            });
        }
        let cut = Cut::of_convolution(convolution, input, c.columns);
        let precision = if precision.encoding == Encoding::Bipolar && cut.needs_zero() {
            let needed = precision.bits + 1;
            if needed > limit {
                return Err(ProgramError::NoZero {
                    layer: name.to_owned(),
                    columns: c.columns,
                    bits: precision.bits,
                    needed,
                    limit,
                });
            }
            Precision::new(Encoding::Signed, needed)
        } else {
            precision
        };
        Ok(WeightPlan {
            parts: cut.parts(),
            form: StoredForm::for_branches(precision, c.weight_branches),
            tiles: cut.tiles(),
        })
    }
}

/// How channels, groups and granules lie over each other.
pub(crate) struct Cut {
    columns: u32,
    /// Input and output channels.
    inputs: u32,
    outputs: u32,
    inputs_per_group: u32,
    outputs_per_group: u32,
}

impl Cut {
    fn of_convolution(convolution: &Convolution, input: Shape, columns: u32) -> Self {
        Cut::new(
            convolution.outputs(),
            convolution.groups,
            input.channels,
            columns,
        )
    }

    /// The cut of a product of `groups` groups from `inputs` to `outputs` channels.
    pub fn new(outputs: u32, groups: u32, inputs: u32, columns: u32) -> Self {
        Cut {
            columns,
            inputs,
            outputs,
            inputs_per_group: inputs / groups,
            outputs_per_group: outputs / groups,
        }
    }

    /// Column tiles.
    pub fn tiles(&self) -> u32 {
        self.outputs.div_ceil(self.columns)
    }

    /// Groups of a column tile's channels.
    fn groups(&self, tile: u32) -> Range<u32> {
        let first = tile * self.columns;
        let last = (first + self.columns).min(self.outputs) - 1;
        first / self.outputs_per_group..last / self.outputs_per_group + 1
    }

    /// Granules of the channels that those groups read.
    fn granules(&self, tile: u32) -> Range<u32> {
        let groups = self.groups(tile);
        let (first, last) = (
            groups.start * self.inputs_per_group,
            groups.end * self.inputs_per_group - 1,
        );
        first / self.columns..last / self.columns + 1
    }

    /// Whether some column reads a granule with a channel of another group.
    pub fn needs_zero(&self) -> bool {
        (0..self.tiles()).any(|tile| {
            let (groups, granules) = (self.groups(tile), self.granules(tile));
            let channels =
                granules.start * self.columns..(granules.end * self.columns).min(self.inputs);
            let own = groups.start * self.inputs_per_group..groups.end * self.inputs_per_group;
            groups.len() > 1 || channels != own
        })
    }

    /// Column tiles that read the same granules, together.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for tile in 0..self.tiles() {
            let granules = self.granules(tile);
            match parts.last_mut() {
                Some(part) if part.granules == granules => part.tiles.end = tile + 1,
                _ => parts.push(Part {
                    tiles: tile..tile + 1,
                    granules,
                }),
            }
        }
        parts
    }
}

/// Sums of one column's stored weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnSums {
    /// `sum_k 2^t_k * odd(w_k)`: the differing pairs, padding included.
    pub odd: i64,
    /// Sum of the stored v over all lanes of all chunks.
    pub stored: i64,
    /// For each tap, the numbers that are weights, and those in lanes without an element.
    pub taps: Vec<(i64, i64)>,
    /// The numbers in the lanes after the last tap.
    pub tail: i64,
}

/// A part's weights as words.
#[derive(Clone, Debug)]
pub(crate) struct PackedPart {
    /// Chunks of the reduction.
    pub chunks: u32,
    /// Weight groups.
    pub groups: u32,
    /// Column tiles.
    pub tiles: u32,
    /// Host words of all columns at one address.
    address_words: usize,
    /// `[tile][group][chunk][column][host word]`.
    words: Vec<u64>,
    /// One for each of the part's channels.
    pub columns: Vec<ColumnSums>,
}

impl PackedPart {
    /// Packs a part.
    pub fn new(
        design: &AcceleratorDesign,
        convolution: &Convolution,
        input: Shape,
        plan: &WeightPlan,
        part: &Part,
    ) -> Self {
        let c = design.design().config();
        let lanes = Lanes::new(design, convolution, input, plan, part);
        let host = design.weight_width.div_ceil(64) as usize;
        let groups = plan.form.planes() / c.weight_branches;
        let tiles = part.tiles.len() as u32;
        let addresses = (tiles * groups * lanes.chunks) as usize;
        let mut packed = PackedPart {
            chunks: lanes.chunks,
            groups,
            tiles,
            address_words: host * c.columns as usize,
            words: vec![0; addresses * host * c.columns as usize],
            columns: Vec::new(),
        };
        for column in 0..tiles * c.columns {
            let channel = part.tiles.start * c.columns + column;
            let codes = if channel < convolution.outputs() {
                let (codes, sums) = lanes.column(channel);
                packed.columns.push(sums);
                codes
            } else {
                vec![(1 << plan.form.planes()) - 1; (lanes.chunks * c.lanes) as usize]
            };
            packed.store(design, column, &codes);
        }
        packed
    }

    fn store(&mut self, design: &AcceleratorDesign, column: u32, codes: &[u32]) {
        let c = design.design().config();
        let host = self.address_words / c.columns as usize;
        let (tile, column) = (column / c.columns, (column % c.columns) as usize);
        for (chunk, codes) in codes.chunks(c.lanes as usize).enumerate() {
            for group in 0..self.groups {
                let address = ((tile * self.groups + group) * self.chunks) as usize + chunk;
                let word = &mut self.words[address * self.address_words + column * host..][..host];
                for branch in 0..c.weight_branches {
                    let plane = group * c.weight_branches + branch;
                    for (lane, code) in codes.iter().enumerate() {
                        let bit = u64::from(code >> plane & 1);
                        insert(word, branch * c.lanes + lane as u32, 1, bit);
                    }
                }
            }
        }
    }

    /// Words of a column tile.
    pub fn tile_words(&self) -> u32 {
        self.groups * self.chunks
    }

    /// Words of all tiles.
    pub fn len(&self) -> u64 {
        u64::from(self.tiles) * u64::from(self.tile_words())
    }

    /// The words of a column tile's groups from `skip` on.
    fn tile(&self, tile: u32, skip: u32) -> &[u64] {
        let address = tile * self.tile_words() + skip * self.chunks;
        let count = self.tile_words() - skip * self.chunks;
        &self.words[address as usize * self.address_words..][..count as usize * self.address_words]
    }

    /// How many of another part's least significant groups to skip so that it is this one.
    fn skip_in(&self, other: &Self) -> Option<u32> {
        let skip = other.groups.checked_sub(self.groups)?;
        let is_same = (self.chunks, self.tiles) == (other.chunks, other.tiles)
            && (0..self.tiles).all(|tile| self.tile(tile, 0) == other.tile(tile, skip));
        is_same.then_some(skip)
    }

    /// The beats of some tiles, for a WEIGHTS descriptor.
    pub fn beats(&self, design: &AcceleratorDesign, tiles: Range<u32>, beats: &mut Beats) {
        let host = design.weight_width.div_ceil(64) as usize;
        for tile in tiles {
            for word in self.tile(tile, 0).chunks(host) {
                beats.push_word(word, design.weight_width);
            }
        }
    }
}

/// What stands in the lanes of a part's chunks.
struct Lanes<'a> {
    convolution: &'a Convolution,
    form: &'a StoredForm,
    cut: Cut,
    granules: Range<u32>,
    lanes: u32,
    slices: u32,
    granule_lanes: u32,
    chunks: u32,
    /// Number and code in lanes without an element.
    empty: (i64, u32),
}

impl<'a> Lanes<'a> {
    fn new(
        design: &AcceleratorDesign,
        convolution: &'a Convolution,
        input: Shape,
        plan: &'a WeightPlan,
        part: &Part,
    ) -> Self {
        let c = design.design().config();
        let (kh, kw) = convolution.window.kernel;
        let form = &plan.form;
        // A zero takes no part whatever the activation is; `bipolar` has none, and constants take it out.
        let empty = if form.encoding() == Encoding::Bipolar {
            (form.total(), (1 << form.planes()) - 1)
        } else {
            (0, form.code(0))
        };
        Lanes {
            convolution,
            form,
            cut: Cut::of_convolution(convolution, input, c.columns),
            granules: part.granules.clone(),
            lanes: c.lanes,
            slices: design.slices,
            granule_lanes: design.granule_lanes,
            chunks: (kh * kw * part.granules.len() as u32).div_ceil(design.slices),
            empty,
        }
    }

    /// The codes of one channel's lanes, and their sums.
    fn column(&self, channel: u32) -> (Vec<u32>, ColumnSums) {
        let (kh, kw) = self.convolution.window.kernel;
        let mut sums = ColumnSums {
            taps: vec![(0, 0); (kh * kw) as usize],
            ..ColumnSums::default()
        };
        let mut codes = vec![self.empty.1; (self.chunks * self.lanes) as usize];
        for position in 0..self.chunks * self.slices {
            let tap = position / self.granules.len() as u32;
            let granule = self.granules.start + position % self.granules.len() as u32;
            for lane in 0..self.granule_lanes {
                let weight = (tap < kh * kw)
                    .then(|| self.weight(channel, tap, granule, lane))
                    .flatten();
                match weight {
                    Some(weight) => {
                        let at = (position / self.slices * self.lanes
                            + position % self.slices * self.granule_lanes
                            + lane) as usize;
                        codes[at] = self.form.code(weight);
                        sums.taps[tap as usize].0 += i64::from(weight);
                        sums.stored += self.form.stored_value(weight);
                    }
                    None => {
                        let (number, _) = self.empty;
                        sums.stored += self.form.stored_value(number as i32);
                        match sums.taps.get_mut(tap as usize) {
                            Some(tap) => tap.1 += number,
                            None => sums.tail += number,
                        }
                    }
                }
            }
        }
        sums.odd = self.odd(&codes);
        (codes, sums)
    }

    /// The weight in a lane; 0 for a channel of another group, none where there is no channel.
    fn weight(&self, output: u32, tap: u32, granule: u32, lane: u32) -> Option<i32> {
        let channel = granule * self.cut.columns + lane;
        if lane >= self.cut.columns || channel >= self.cut.inputs {
            return None;
        }
        let first = output / self.cut.outputs_per_group * self.cut.inputs_per_group;
        if !(first..first + self.cut.inputs_per_group).contains(&channel) {
            return Some(0);
        }
        let (_, kw) = self.convolution.window.kernel;
        let channel = (channel - first) as usize;
        Some(
            self.convolution
                .weight(output as usize, channel, tap / kw, tap % kw),
        )
    }

    /// The weighted number of pairs of lanes whose bits differ; an odd lane out is paired with a 1.
    fn odd(&self, codes: &[u32]) -> i64 {
        let half = self.lanes.div_ceil(2) as usize;
        let mut odd = 0;
        for chunk in codes.chunks(self.lanes as usize) {
            for (i, first) in chunk[..half].iter().enumerate() {
                let second = chunk.get(half + i).copied().unwrap_or(u32::MAX);
                let differ = first ^ second;
                for plane in 0..self.form.planes() {
                    odd += i64::from(differ >> plane & 1) << self.form.significance(plane);
                }
            }
        }
        odd
    }
}

/// Where a part's weights stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightPlace {
    /// Address of its first tile's least significant group that is read.
    pub base: u64,
    /// Words from tile to tile.
    pub tile: u32,
    /// Highest address.
    pub last: u64,
}

/// Resident weights: parts one after the other, equal ones once. A part at a lower precision, whose planes are the most
/// significant ones of another, shares its words.
#[derive(Default)]
pub(crate) struct WeightStore<'p> {
    parts: Vec<(u64, &'p PackedPart)>,
    /// Parts by chunks and tiles.
    alike: HashMap<(u32, u32), Vec<usize>>,
    words: u64,
}

impl<'p> WeightStore<'p> {
    pub fn add(&mut self, part: &'p PackedPart) -> WeightPlace {
        let alike = self.alike.entry((part.chunks, part.tiles)).or_default();
        for index in alike.iter() {
            let (base, other) = &self.parts[*index];
            if let Some(skip) = part.skip_in(other) {
                return WeightPlace {
                    base: base + u64::from(skip * part.chunks),
                    tile: other.tile_words(),
                    last: base + other.len() - 1,
                };
            }
        }
        alike.push(self.parts.len());
        let base = self.words;
        self.words += part.len();
        let place = WeightPlace {
            base,
            tile: part.tile_words(),
            last: self.words - 1,
        };
        self.parts.push((base, part));
        place
    }

    /// Words of all parts.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// All parts, for one WEIGHTS descriptor.
    pub fn beats(&self, design: &AcceleratorDesign) -> Beats {
        let mut beats = Beats::new(design.config().stream_bits);
        for (_, part) in &self.parts {
            part.beats(design, 0..part.tiles, &mut beats);
        }
        beats
    }
}
