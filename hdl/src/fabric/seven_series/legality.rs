//! Places a netlist in the slices of a 7-series device, or says which rule it breaks: the site count of a structure, and the
//! proof that it can be placed at all.
//!
//! A site is a LUT6_2, a carry position and two flip-flops. What is modelled:
//!
//! - S of a carry position is O6 of its own LUT; DI is that LUT's O5 or the bypass pin; CYINIT exists in a slice's lowest
//!   position only and is a constant or that position's bypass pin; positions of a chain follow each other.
//! - The bypass pin is one net: DI, CYINIT and a flip-flop by bypass exclude each other unless they are the same net.
//! - O6 leaves by an output of its own. The sum, the carry and O5 share one other output, and with the second
//!   flip-flop's; the main flip-flop takes O6, the sum, the carry, O5 or the bypass pin, the second one O5 or the bypass pin.
//! - All flip-flops of a slice share enable and reset.
//!
//! Slices of UltraScale and UltraScale+ are two of these with one carry chain and enables of their own for either kind of
//! flip-flop: what fits here fits there, if a chain's place is rounded up to eight positions.

use crate::fabric::{Bit, Cell, Item, Netlist};
use std::collections::HashMap;
use std::fmt;

/// Sites of a slice.
pub const SLICE: usize = 4;

/// A rule that a netlist breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegalityError {
    /// A cell that the device does not have.
    #[error("the device has no {0}")]
    Cell(&'static str),
    /// Too many inputs.
    #[error("the LUT of `{output}` has {inputs} inputs; a site has {limit}")]
    Inputs {
        /// A net that it drives.
        output: String,
        /// Distinct nets.
        inputs: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Two nets at one bypass pin.
    #[error("`{first}` and `{second}` both need the bypass pin of one site")]
    Bypass {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Two nets at one multiplexer output.
    #[error("`{first}` and `{second}` both need the multiplexer output of one site")]
    Output {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A LUT that is the select of two positions.
    #[error("the LUT of `{0}` is the select of two carry positions")]
    Select(String),
}

/// What the main or the second flip-flop of a site takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The upper function.
    O6,
    /// The lower function.
    O5,
    /// The carry position's sum.
    Sum,
    /// The carry position's carry.
    Carry,
    /// The bypass pin.
    Bypass,
}

/// What a site is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Functions of its LUT: 0, 1 or 2.
    pub functions: u32,
    /// Whether its carry position is part of a chain.
    pub carry: bool,
    /// Net at the bypass pin.
    pub bypass: Option<Bit>,
    /// Net at the multiplexer output.
    pub output: Option<Bit>,
    /// What the main flip-flop takes.
    pub main: Option<From>,
    /// What the second flip-flop takes.
    pub second: Option<From>,
}

impl Site {
    /// Whether its LUT or its carry position is in use; if not, it holds flip-flops only.
    pub fn is_logic(&self) -> bool {
        self.functions > 0 || self.carry
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LUT {}", self.functions)?;
        for (on, name) in [
            (self.carry, "carry"),
            (self.bypass.is_some(), "bypass"),
            (self.output.is_some(), "multiplexer output"),
        ] {
            if on {
                write!(f, ", {name}")?;
            }
        }
        for (from, name) in [(self.main, "main FF"), (self.second, "second FF")] {
            if let Some(from) = from {
                write!(f, ", {name} from {from:?}")?;
            }
        }
        Ok(())
    }
}

/// What a netlist takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Sites with a LUT or a carry position in use.
    pub sites: u32,
    /// Sites whose LUT has two functions.
    pub lut6_2: u32,
    /// CARRY4s.
    pub carry4: u32,
    /// Flip-flops.
    pub ff: u32,
    /// Sites that hold flip-flops only: those that found no other place with their enable and reset.
    pub register_sites: u32,
    /// Slices begun.
    pub slices: u32,
}

/// A placed netlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The sites of each slice.
    pub slices: Vec<[Site; SLICE]>,
}

impl Placement {
    /// What it takes.
    pub fn cost(&self) -> Cost {
        let sites = || self.slices.iter().flatten();
        let count = |is: fn(&Site) -> bool| sites().filter(|s| is(s)).count() as u32;
        let slices =
            |is: fn(&Site) -> bool| self.slices.iter().filter(|s| s.iter().any(is)).count() as u32;
        Cost {
            sites: count(Site::is_logic),
            lut6_2: count(|s| s.functions == 2),
            carry4: slices(|s| s.carry),
            ff: count(|s| s.main.is_some()) + count(|s| s.second.is_some()),
            register_sites: count(|s| !s.is_logic() && s.main.is_some()),
            slices: self.slices.len() as u32,
        }
    }
}

/// Places a netlist.
///
/// # Errors
/// [`LegalityError`]: the rule that it breaks.
pub fn place(net: &Netlist) -> Result<Placement, LegalityError> {
    let mut placer = Placer::new(net)?;
    for cell in net.cells() {
        if let Cell::Carry { .. } = cell {
            placer.chain(cell)?;
        }
    }
    for cell in net.cells() {
        placer.free_lut(cell)?;
    }
    placer.outputs()?;
    placer.flip_flops_by_bypass();
    Ok(Placement {
        slices: placer.slices,
    })
}

/// Where a net comes from.
#[derive(Clone, Copy)]
struct Driver {
    /// The site.
    at: (usize, usize),
    from: From,
}

/// A flip-flop: what it takes, and its enable and reset.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FlipFlop {
    d: Bit,
    control: (Bit, Bit),
}

struct Placer<'a> {
    net: &'a Netlist,
    slices: Vec<[Site; SLICE]>,
    /// Enable and reset of each slice, once a flip-flop is in it.
    controls: Vec<Option<(Bit, Bit)>>,
    /// LUTs by a net that they drive, and which are placed.
    luts: HashMap<Bit, &'a Cell>,
    placed: HashMap<Bit, (usize, usize)>,
    /// What drives each net, for those that leave a site.
    drivers: Vec<(Bit, Driver)>,
    /// Flip-flops by what they take, and those that are not placed yet.
    flip_flops: Vec<FlipFlop>,
    /// For each net: pins of LUTs, outputs, enables and the like that read it.
    readers: Vec<u32>,
    /// For each net: flip-flops that take it.
    takers: Vec<u32>,
    /// The last slice for free LUTs, and how many it has.
    open: Option<(usize, usize)>,
}

fn size_checked(net: &Netlist, cell: &Cell) -> Result<(), LegalityError> {
    let (limit, output) = match cell {
        Cell::Lut { output, .. } => (6, *output),
        Cell::DualLut { o6, .. } => (5, *o6),
        _ => return Ok(()),
    };
    let mut inputs: Vec<Bit> = cell
        .inputs()
        .into_iter()
        .filter(|b| !b.is_constant())
        .collect();
    inputs.sort_unstable();
    inputs.dedup();
    if inputs.len() > limit {
        return Err(LegalityError::Inputs {
            output: net.name(output),
            inputs: inputs.len(),
            limit,
        });
    }
    Ok(())
}

impl<'a> Placer<'a> {
    fn new(net: &'a Netlist) -> Result<Self, LegalityError> {
        let mut placer = Placer {
            net,
            slices: Vec::new(),
            controls: Vec::new(),
            luts: HashMap::new(),
            placed: HashMap::new(),
            drivers: Vec::new(),
            flip_flops: Vec::new(),
            readers: vec![0; net.nets()],
            takers: vec![0; net.nets()],
            open: None,
        };
        for item in net.items() {
            match item {
                Item::Cell(cell) => placer.read_cell(cell)?,
                Item::Register {
                    d, enable, reset, ..
                } => {
                    let control = (*enable, *reset);
                    for d in d {
                        placer.takers[d.index()] += 1;
                        placer.flip_flops.push(FlipFlop { d: *d, control });
                    }
                    placer.readers[enable.index()] += 1;
                    placer.readers[reset.index()] += 1;
                }
                Item::Comment(_) => {}
            }
        }
        for bit in net.outputs().iter().flat_map(|port| &port.bits) {
            placer.readers[bit.index()] += 1;
        }
        Ok(placer)
    }

    fn read_cell(&mut self, cell: &'a Cell) -> Result<(), LegalityError> {
        size_checked(self.net, cell)?;
        match cell {
            Cell::Lut { .. } | Cell::DualLut { .. } => {
                for bit in cell.inputs() {
                    self.readers[bit.index()] += 1;
                }
                for bit in cell.outputs() {
                    self.luts.insert(bit, cell);
                }
                Ok(())
            }
            // Its pins are wired inside of its slices.
            Cell::Carry { .. } => Ok(()),
            Cell::Ccu2c { .. } => Err(LegalityError::Cell("CCU2C")),
            Cell::SbCarry { .. } => Err(LegalityError::Cell("SB_CARRY")),
            Cell::FullAdder { .. } => Err(LegalityError::Cell("full adder")),
            Cell::HalfAdder { .. } => Err(LegalityError::Cell("half adder")),
        }
    }

    fn site(&mut self, (slice, site): (usize, usize)) -> &mut Site {
        &mut self.slices[slice][site]
    }

    fn new_slice(&mut self) -> usize {
        self.slices.push([Site::default(); SLICE]);
        self.controls.push(None);
        self.slices.len() - 1
    }

    fn chain(&mut self, cell: &Cell) -> Result<(), LegalityError> {
        let Cell::Carry {
            carry_in,
            select,
            data,
            sum,
            carry,
        } = cell
        else {
            return Ok(());
        };
        for i in 0..select.len() {
            if i % SLICE == 0 {
                self.new_slice();
            }
            let at = (self.slices.len() - 1, i % SLICE);
            self.site(at).carry = true;
            let o5 = self.select(at, select[i])?;
            if o5 != Some(data[i]) {
                self.bypass(at, data[i])?;
            }
            if i == 0 && !carry_in.is_constant() {
                self.bypass(at, *carry_in)?;
            }
            for (net, from) in [(sum[i], From::Sum), (carry[i], From::Carry)] {
                self.drivers
                    .extend(net.map(|net| (net, Driver { at, from })));
            }
        }
        Ok(())
    }

    /// Puts the LUT of a select, or one that passes it, into a site; gives its lower function's net.
    fn select(&mut self, at: (usize, usize), select: Bit) -> Result<Option<Bit>, LegalityError> {
        match self.luts.get(&select).copied() {
            Some(Cell::DualLut { o6, o5, .. }) if *o6 == select => {
                self.put_lut(at, &[(*o6, From::O6), (*o5, From::O5)])?;
                Ok(Some(*o5))
            }
            Some(Cell::Lut { output, .. }) => {
                self.put_lut(at, &[(*output, From::O6)])?;
                Ok(None)
            }
            _ => {
                self.site(at).functions = 1;
                Ok(None)
            }
        }
    }

    fn put_lut(
        &mut self,
        at: (usize, usize),
        outputs: &[(Bit, From)],
    ) -> Result<(), LegalityError> {
        self.site(at).functions = outputs.len() as u32;
        for (net, from) in outputs {
            if self.placed.insert(*net, at).is_some() {
                return Err(LegalityError::Select(self.net.name(*net)));
            }
            self.drivers.push((*net, Driver { at, from: *from }));
        }
        Ok(())
    }

    fn bypass(&mut self, at: (usize, usize), net: Bit) -> Result<(), LegalityError> {
        let first = *self.site(at).bypass.get_or_insert(net);
        if first != net {
            return Err(LegalityError::Bypass {
                first: self.net.name(first),
                second: self.net.name(net),
            });
        }
        Ok(())
    }

    /// A LUT outside of the chains: the next site of the slices for those.
    fn free_lut(&mut self, cell: &Cell) -> Result<(), LegalityError> {
        let outputs: Vec<(Bit, From)> = match cell {
            Cell::Lut { output, .. } => vec![(*output, From::O6)],
            Cell::DualLut { o6, o5, .. } => vec![(*o6, From::O6), (*o5, From::O5)],
            _ => return Ok(()),
        };
        if self.placed.contains_key(&outputs[0].0) {
            return Ok(());
        }
        let (slice, site) = match self.open {
            Some((slice, used)) if used < SLICE => (slice, used),
            _ => (self.new_slice(), 0),
        };
        self.open = Some((slice, site + 1));
        self.put_lut((slice, site), &outputs)
    }

    /// Everything that leaves a site: into its own flip-flops where those can take it, else by its output pins.
    fn outputs(&mut self) -> Result<(), LegalityError> {
        // Sums first: the main flip-flop is theirs, and a slice's enable and reset follow them.
        for pass in [From::Sum, From::O6, From::Carry, From::O5] {
            let drivers: Vec<(Bit, Driver)> = self
                .drivers
                .iter()
                .copied()
                .filter(|(_, driver)| driver.from == pass)
                .collect();
            for (net, driver) in drivers {
                self.output(net, driver)?;
            }
        }
        Ok(())
    }

    fn output(&mut self, net: Bit, driver: Driver) -> Result<(), LegalityError> {
        let at = driver.at;
        let mut outside = self.readers[net.index()] > 0 || self.takers[net.index()] > 1;
        if self.takers[net.index()] >= 1 && !self.takes_own_flip_flop(net, driver) {
            outside = true;
        }
        // O6 has an output of its own.
        if !outside || driver.from == From::O6 {
            return Ok(());
        }
        let first = *self.site(at).output.get_or_insert(net);
        if first != net {
            return Err(LegalityError::Output {
                first: self.net.name(first),
                second: self.net.name(net),
            });
        }
        Ok(())
    }

    /// Whether a flip-flop of the same site takes the net.
    fn takes_own_flip_flop(&mut self, net: Bit, driver: Driver) -> bool {
        let Some(index) = self.flip_flops.iter().position(|ff| ff.d == net) else {
            return false;
        };
        let control = self.flip_flops[index].control;
        let (slice, _) = driver.at;
        if self.controls[slice].is_some_and(|known| known != control) {
            return false;
        }
        let site = self.site(driver.at);
        if site.main.is_none() {
            site.main = Some(driver.from);
        } else if driver.from == From::O5 && site.second.is_none() && site.output.is_none() {
            site.second = Some(driver.from);
            // The second flip-flop leaves by the multiplexer output.
            site.output = Some(net);
        } else {
            return false;
        }
        self.controls[slice] = Some(control);
        self.flip_flops.swap_remove(index);
        true
    }

    /// All other flip-flops: by a free bypass pin of a slice with their enable and reset, in sites with logic before idle
    /// ones, else in sites of their own.
    fn flip_flops_by_bypass(&mut self) {
        let mut waiting = std::mem::take(&mut self.flip_flops);
        waiting.sort_by_key(|ff| (ff.control, ff.d));
        waiting.retain(|ff| !self.place_flip_flop(ff, Site::is_logic));
        for ff in waiting {
            if !self.place_flip_flop(&ff, |_| true) {
                self.new_slice();
                self.place_flip_flop(&ff, |_| true);
            }
        }
    }

    /// Whether a site that is `wanted` takes it.
    fn place_flip_flop(&mut self, ff: &FlipFlop, wanted: fn(&Site) -> bool) -> bool {
        for (slice, control) in self.slices.iter_mut().zip(&mut self.controls) {
            if control.is_some_and(|known| known != ff.control) {
                continue;
            }
            let mut sites = slice.iter_mut().filter(|site| wanted(site));
            if sites.any(|site| take_by_bypass(site, ff.d)) {
                *control = Some(ff.control);
                return true;
            }
        }
        false
    }
}

fn take_by_bypass(site: &mut Site, d: Bit) -> bool {
    if site.bypass.is_some_and(|net| net != d) {
        return false;
    }
    if site.main.is_none() {
        site.main = Some(From::Bypass);
    } else if site.second.is_none() && site.output.is_none() {
        site.second = Some(From::Bypass);
        site.output = Some(d);
    } else {
        return false;
    }
    site.bypass = Some(d);
    true
}
