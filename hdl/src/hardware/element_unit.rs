//! The units whose structure is a netlist of device primitives.

use super::netlist_run::{self, NetlistRun};
use crate::config::Design;
use crate::rtl::prelude::*;
use crate::structure::DeviceUnits;
use rust_hdl_core::ast::Verilog;
use std::sync::Arc;

/// Popcount and accumulator of one processing element, as a netlist.
#[derive(Clone, Debug, LogicBlock)]
pub struct ElementUnit {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the popcount's pipeline move.
    pub advance: Net<In>,
    /// The count that leaves the pipeline belongs to a beat, and the pipeline moves.
    pub accumulate: Net<In>,
    /// That beat is its tile's first.
    pub first: Net<In>,
    /// `accumulate` and `first`.
    pub clear: Net<In>,
    /// That beat's shift, one-hot, and 0 without `accumulate`.
    pub shift: Net<In>,
    /// One word of lanes for each activation branch, each lane delayed by its pair's arrival.
    pub activation: Vec<Net<In>>,
    /// One word of lanes for each weight branch, each lane delayed by its pair's arrival.
    pub weight: Vec<Net<In>>,
    /// The accumulator.
    pub sum: Net<Out>,
    _units: Arc<DeviceUnits>,
    _run: Option<NetlistRun>,
}

impl ElementUnit {
    /// The unit of a design that has netlists.
    pub fn new(design: &Design, units: &Arc<DeviceUnits>) -> Self {
        let c = design.config();
        let element = &units.element;
        ElementUnit {
            shape: Shape::new(
                format!(
                    "{}_a{}_w{}_l{}",
                    units.structure, c.activation_branches, c.weight_branches, c.lanes
                ),
                format!(
                    "Popcount and accumulator of a processing element: structure {}, {} sites, latency {}.",
                    units.structure, element.sites, element.latency
                ),
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            accumulate: Net::new(1),
            first: Net::new(1),
            clear: Net::new(1),
            shift: Net::new(design.shift_amounts.len() as u32),
            activation: Net::vector(c.activation_branches, c.lanes),
            weight: Net::vector(c.weight_branches, c.lanes),
            sum: Net::new(design.sum_width()),
            _units: units.clone(),
            _run: None,
        }
    }
}

fn words(nets: &[Net<In>]) -> Vec<Word> {
    nets.iter().map(Net::<In>::val).collect()
}

impl Logic for ElementUnit {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let netlist = &self._units.element.netlist;
        let run = self._run.get_or_insert_with(|| NetlistRun::new(netlist));
        for (port, net) in [
            ("advance", &self.advance),
            ("accumulate", &self.accumulate),
            ("first", &self.first),
            ("clear", &self.clear),
            ("shift", &self.shift),
        ] {
            run.drive(netlist, port, &[net.val()]);
        }
        run.drive(netlist, "activation", &words(&self.activation));
        run.drive(netlist, "weight", &words(&self.weight));
        run.clock();
        self.sum.next = run.read(netlist, "sum");
    }

    fn connect(&mut self) {
        self.sum.connect();
    }

    fn hdl(&self) -> Verilog {
        let units = &self._units;
        Verilog::Custom(netlist_run::verilog(&units.element.netlist, units.dialect))
    }
}

/// Popcount of one row unit, as a netlist.
#[derive(Clone, Debug, LogicBlock)]
pub struct RowPopcount {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the pipeline move.
    pub advance: Net<In>,
    /// `row_mode` for each pair of lanes, delayed by its arrival.
    pub mode: Net<In>,
    /// One word of lanes for each activation branch, each lane delayed by its pair's arrival.
    pub activation: Vec<Net<In>>,
    /// The count.
    pub count: Net<Out>,
    _units: Arc<DeviceUnits>,
    _run: Option<NetlistRun>,
}

impl RowPopcount {
    /// The popcount of a design that has netlists.
    pub fn new(design: &Design, units: &Arc<DeviceUnits>) -> Self {
        let c = design.config();
        let row = &units.row;
        let output = row.netlist.outputs().iter().find(|p| p.name == "count");
        RowPopcount {
            shape: Shape::new(
                format!(
                    "{}_row_a{}_p{}_l{}",
                    units.structure, c.activation_branches, design.row_planes, c.lanes
                ),
                format!(
                    "Popcount of a row unit: structure {}, {} sites, latency {}.",
                    units.structure, row.sites, row.latency
                ),
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            mode: Net::new(2 * design.pairs),
            activation: Net::vector(c.activation_branches, c.lanes),
            count: Net::new(output.map_or(1, |port| port.bits.len() as u32)),
            _units: units.clone(),
            _run: None,
        }
    }
}

impl Logic for RowPopcount {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let netlist = &self._units.row.netlist;
        let run = self._run.get_or_insert_with(|| NetlistRun::new(netlist));
        run.drive(netlist, "advance", &[self.advance.val()]);
        run.drive(netlist, "mode", &[self.mode.val()]);
        run.drive(netlist, "activation", &words(&self.activation));
        run.clock();
        self.count.next = run.read(netlist, "count");
    }

    fn connect(&mut self) {
        self.count.connect();
    }

    fn hdl(&self) -> Verilog {
        let units = &self._units;
        Verilog::Custom(netlist_run::verilog(&units.row.netlist, units.dialect))
    }
}
