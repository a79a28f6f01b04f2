//! The two ways out: granules of planes to the memories, transfers to the result stream.

use super::fields::BackFields;
use xnorforge_hdl::AcceleratorDesign;

/// What arrives at the packer in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes<'a> {
    pub codes: &'a [u8],
    pub granule: u32,
    pub row_end: bool,
}

/// One write of a granule of a plane group.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub address: u32,
    pub slice: u32,
    pub value: Vec<u64>,
}

/// Gathers the codes of a row and writes them, plane group by plane group.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    gathered: Vec<u8>,
    /// The row that is written, and which of its groups is next.
    row: Vec<u8>,
    group: Option<u32>,
    address: u64,
    slice: u32,
    slices: u32,
    groups: u32,
    branches: u32,
    granule_lanes: u32,
    granule_width: u32,
    activation_words: u64,
    residual_words: u64,
    /// One past the highest address that can be told.
    address_end: u64,
}

impl Packer {
    pub fn new(d: &AcceleratorDesign) -> Self {
        Packer {
            gathered: Vec::new(),
            row: Vec::new(),
            group: None,
            address: 0,
            slice: 0,
            slices: d.slices,
            groups: d.design().activation_groups,
            branches: d.design().config().activation_branches,
            granule_lanes: d.granule_lanes,
            granule_width: d.granule_width(),
            activation_words: d.config().activation_words.into(),
            residual_words: d.config().residual_words.into(),
            address_end: 4 << d.output_address_width,
        }
    }

    /// Something is still to be written.
    pub fn is_busy(&self) -> bool {
        self.group.is_some()
    }

    fn is_outside(&self, f: &BackFields) -> bool {
        self.address > u64::from(f.out_last)
            || (f.to_activation && self.address >= self.activation_words)
            || (f.to_residual && self.address >= self.residual_words)
    }

    /// What would be written lies past the range.
    pub fn is_past(&self, f: &BackFields) -> bool {
        self.is_busy() && self.is_outside(f) && (f.to_activation || f.to_residual)
    }

    /// What is written in this cycle.
    pub fn write(&self, f: &BackFields) -> Option<Write> {
        let group = self.group?;
        if self.is_outside(f) {
            return None;
        }
        let mut value = vec![0; self.granule_width.div_ceil(64) as usize];
        for (column, code) in self.row.iter().enumerate() {
            for branch in 0..self.branches {
                let plane = group * self.branches + branch;
                let bit = (branch * self.granule_lanes) as usize + column;
                value[bit / 64] |= (u64::from(*code) >> plane & 1) << (bit % 64);
            }
        }
        Some(Write {
            address: self.address as u32,
            slice: self.slice,
            value,
        })
    }

    /// One clock edge at which the epilogue moves.
    pub fn edge(&mut self, codes: Option<Codes<'_>>, f: &BackFields) {
        if let Some(group) = self.group {
            let next = group + 1;
            self.group = (next < f.out_groups.min(self.groups)).then_some(next);
            self.address = (self.address + u64::from(f.out_pitch)) % self.address_end;
        }
        let Some(codes) = codes else { return };
        self.gathered.extend_from_slice(codes.codes);
        if codes.row_end {
            std::mem::swap(&mut self.row, &mut self.gathered);
            self.gathered.clear();
            self.group = Some(0);
            let word = u64::from(codes.granule / self.slices);
            self.address = (u64::from(f.out_base) + word) % self.address_end;
            self.slice = codes.granule % self.slices;
        }
    }

    pub fn reset(&mut self) {
        self.group = None;
        self.gathered.clear();
    }
}

/// What the result stream takes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub values: Vec<(i32, bool)>,
    pub last: bool,
}

/// The two-deep buffer at the result stream.
#[derive(Clone, Debug, Default)]
pub(super) struct ResultPort {
    pub main: Option<Transfer>,
    spill: Option<Transfer>,
}

impl ResultPort {
    pub fn has_room(&self) -> bool {
        self.spill.is_none()
    }

    pub fn edge(&mut self, offered: Option<Transfer>, ready: bool) {
        if self.main.is_none() || ready {
            self.main = self.spill.take().or(offered);
        } else if offered.is_some() {
            self.spill = offered;
        }
    }
}
