//! Feature maps in words of the activation memory (`docs/accelerator.md`, "Tensors in memory").

use super::stream::{extract, insert};
use crate::encoder::Encoding;
use crate::gemm::Precision;
use crate::network::{Shape, Tensor, number_of_step, step_of_number};
use xnorforge_hdl::AcceleratorDesign;

/// How a feature map stands in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorLayout {
    /// Images.
    pub images: u32,
    /// Size of each one.
    pub shape: Shape,
    /// Encoding and bits of its numbers.
    pub precision: Precision,
    /// cg: granules of a pixel.
    pub pixel_granules: u32,
    /// Words of one plane group.
    pub pitch: u32,
    /// Plane groups.
    pub groups: u32,
    /// First word; 0 until memory is allocated.
    pub base: u32,
    /// C: channels of a granule.
    columns: u32,
    /// S: slices of a word.
    slices: u32,
    /// G: lanes of a slice.
    granule_lanes: u32,
    /// L.
    lanes: u32,
    /// PM.
    branches: u32,
}

/// The precision in which numbers are stored: `ternary` becomes 2-bit `signed`, the others keep their encoding.
pub fn stored_precision(precision: Precision) -> Precision {
    match precision.encoding {
        Encoding::Ternary => Precision::new(Encoding::Signed, 2),
        _ => precision,
    }
}

/// Planes of a stored number: its bits, widened to a multiple of the branches computed in a cycle.
pub fn stored_planes(precision: Precision, branches: u32) -> u32 {
    stored_precision(precision).bits.next_multiple_of(branches)
}

/// The stored code of a number's step: by how much the least number's code is above 0.
pub fn code_offset(precision: Precision, branches: u32) -> i64 {
    let planes = stored_planes(precision, branches);
    let half = |bits: u32| 1i64 << (bits - 1);
    match precision.encoding {
        Encoding::Unsigned => 0,
        // -1 as a `signed` number.
        Encoding::Ternary => half(planes) - 1,
        Encoding::Signed | Encoding::Bipolar => half(planes) - half(precision.bits),
    }
}

impl TensorLayout {
    /// The layout of a feature map, nowhere yet.
    pub fn new(
        design: &AcceleratorDesign,
        images: u32,
        shape: Shape,
        precision: Precision,
    ) -> Self {
        let array = design.design().config();
        let pixel_granules = shape.channels.div_ceil(array.columns);
        let granules = u64::from(images)
            * u64::from(shape.height)
            * u64::from(shape.width)
            * u64::from(pixel_granules);
        // A map past 2^32 words is past every memory; it is refused when memory is allocated.
        let pitch = granules.div_ceil(design.slices.into());
        TensorLayout {
            images,
            shape,
            precision,
            pixel_granules,
            pitch: u32::try_from(pitch).unwrap_or(u32::MAX),
            groups: stored_planes(precision, array.activation_branches) / array.activation_branches,
            base: 0,
            columns: array.columns,
            slices: design.slices,
            granule_lanes: design.granule_lanes,
            lanes: array.lanes,
            branches: array.activation_branches,
        }
    }

    /// Words of all plane groups.
    pub fn words(&self) -> u64 {
        u64::from(self.pitch) * u64::from(self.groups)
    }

    /// Pixels of all images.
    pub fn pixels(&self) -> u64 {
        u64::from(self.images) * u64::from(self.shape.height) * u64::from(self.shape.width)
    }

    /// 64-bit words that hold one memory word.
    pub fn host_words(&self) -> usize {
        (self.lanes * self.branches).div_ceil(64) as usize
    }

    /// Number of the code that stands in memory.
    pub fn number_of_code(&self, code: i64) -> i64 {
        let step = code - code_offset(self.precision, self.branches);
        number_of_step(self.precision, step)
    }

    /// The code of a number.
    pub fn code_of_number(&self, number: i64) -> i64 {
        step_of_number(self.precision, number) + code_offset(self.precision, self.branches)
    }

    /// Word (relative to the base, plane group 0) and first lane of a channel of a pixel.
    fn place(&self, pixel: usize, channel: u32) -> (usize, u32) {
        let granule =
            pixel as u64 * u64::from(self.pixel_granules) + u64::from(channel / self.columns);
        let slice = (granule % u64::from(self.slices)) as u32;
        let lane = slice * self.granule_lanes + channel % self.columns;
        ((granule / u64::from(self.slices)) as usize, lane)
    }

    /// The tensor's words in rising order, `host_words` of the host for each; numbers must have codes.
    pub fn pack(&self, tensor: &Tensor) -> Vec<u64> {
        let host = self.host_words();
        let mut words = vec![0; self.words() as usize * host];
        let channels = self.shape.channels as usize;
        for (index, number) in tensor.values.iter().enumerate() {
            let (word, lane) = self.place(index / channels, (index % channels) as u32);
            let code = self.code_of_number(*number);
            for plane in 0..self.groups * self.branches {
                let at = (plane / self.branches * self.pitch) as usize + word;
                let bit = plane % self.branches * self.lanes + lane;
                insert(
                    &mut words[at * host..][..host],
                    bit,
                    1,
                    (code >> plane & 1) as u64,
                );
            }
        }
        words
    }

    /// The tensor of words as [`TensorLayout::pack`] gives them.
    pub fn unpack(&self, words: &[u64]) -> Tensor {
        let host = self.host_words();
        let mut tensor = Tensor::zeros(self.images as usize, self.shape);
        let channels = self.shape.channels as usize;
        for (index, number) in tensor.values.iter_mut().enumerate() {
            let (word, lane) = self.place(index / channels, (index % channels) as u32);
            let mut code = 0;
            for plane in 0..self.groups * self.branches {
                let at = (plane / self.branches * self.pitch) as usize + word;
                let bit = plane % self.branches * self.lanes + lane;
                code |= (extract(&words[at * host..][..host], bit, 1) as i64) << plane;
            }
            *number = self.number_of_code(code);
        }
        tensor
    }
}
