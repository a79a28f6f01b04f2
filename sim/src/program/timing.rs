//! Cycles of a program by layer and cause, from its descriptors alone: exactly those that the performance counters count
//! in a run whose streams are always ready (`docs/accelerator.md`, "Cycles of a run").
//!
//! A test holds this to the cycle-accurate model ([`crate::accelerator::AcceleratorModel`]), counter by counter.

use super::Entry;
use crate::accelerator::compute_timing::{ComputeCycles, compute_cycles};
use crate::accelerator::load_timing::pool_cycles;
use serde::Serialize;
use xnorforge_hdl::AcceleratorDesign;
pub use xnorforge_hdl::accelerator::Cause;
use xnorforge_hdl::accelerator::{Descriptor, Field, Opcode};

/// Cycles by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cycles([u64; 8]);

impl Cycles {
    /// Cycles of one cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Cycles of all causes.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What holds the array back: the cause that most of the cycles without a beat go to, if that is a tenth of all; else
    /// [`Cause::Busy`], the computing itself.
    pub fn bound(&self) -> Cause {
        let others = Cause::ALL.into_iter().skip(1);
        let most = others.rev().max_by_key(|cause| self.of(*cause));
        most.filter(|cause| 10 * self.of(*cause) >= self.total())
            .unwrap_or(Cause::Busy)
    }

    pub(crate) fn add(&mut self, cause: Cause, cycles: u64) {
        self.0[cause as usize] += cycles;
    }
}

/// Cycles of an entry, by layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryCycles {
    /// For each layer of the network.
    pub layers: Vec<Cycles>,
    /// Of descriptors that belong to no layer.
    pub other: Cycles,
}

impl EntryCycles {
    /// Cycles of the whole run.
    pub fn total(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(Cycles::total).sum();
        layers + self.other.total()
    }
}

/// Cycles of one run of an entry of a network of `layers` layers: those in which the core is busy, as its performance
/// counters count them, while every stream is ready. The runs of one start follow one another without a cycle between.
pub fn entry_cycles(design: &AcceleratorDesign, entry: &Entry, layers: usize) -> EntryCycles {
    let mut run = Run {
        design,
        now: 0,
        weights_idle: 0,
        set: 0,
        cycles: EntryCycles {
            layers: vec![Cycles::default(); layers],
            other: Cycles::default(),
        },
    };
    run.pass(Cause::Control, REWIND);
    for step in &entry.steps {
        run.step(&step.descriptor);
    }
    run.cycles
}

/// The cycle in which a run begins: the start address is set.
pub(crate) const REWIND: u64 = 1;
/// Cycles from the end of a descriptor to that in which the next one is judged, in two parts: until word 0 has entered
/// the descriptor registers, the counters are those of the descriptor before.
pub(crate) const FETCH: [u64; 2] = [2, 41];
/// From the go pulse of the weight port to its first beat, and from its last one to the first cycle in which it is idle.
pub(crate) const WEIGHTS: [u64; 2] = [1, 2];
/// The same of the input port, to the cycle of `input_finished`.
pub(crate) const INPUT: [u64; 2] = [1, 2];

/// A run as its descriptors pass.
struct Run<'d> {
    design: &'d AcceleratorDesign,
    /// The last cycle that is counted: at first, that before the run; then, that in which a descriptor ends.
    now: u64,
    /// The first cycle in which the weight port is idle.
    weights_idle: u64,
    /// The counter set that counts: field `layer` of the descriptor registers. Every entry ends with set 0.
    set: usize,
    cycles: EntryCycles,
}

impl Run<'_> {
    fn step(&mut self, descriptor: &Descriptor) {
        let [before, after] = FETCH;
        self.pass(Cause::Control, before);
        self.set = descriptor.get(Field::Layer) as usize;
        self.pass(Cause::Control, after);
        let opcode = Opcode::of(descriptor.get(Field::Opcode) as u32);
        if opcode == Some(Opcode::Weights) || descriptor.get(Field::WaitWeights) == 1 {
            // It is judged again in every cycle, last in the first one in which the port is idle.
            self.pass(Cause::Weights, self.weights_idle.saturating_sub(self.now));
        }
        let go = self.now + 1;
        match opcode {
            Some(Opcode::Weights) => {
                let [first, idle] = WEIGHTS;
                let last = go + first + self.weight_beats(descriptor) - 1;
                self.weights_idle = last + idle;
            }
            Some(Opcode::Input) => {
                let [first, finished] = INPUT;
                let last = first + self.input_beats(descriptor) - 1;
                self.pass(Cause::Input, last + finished + 1);
            }
            Some(Opcode::Pool) => {
                self.pass(Cause::Pool, pool_cycles(self.design, descriptor) + 1);
            }
            Some(Opcode::Compute) => self.compute(descriptor),
            Some(Opcode::End) | None => {}
        }
    }

    fn compute(&mut self, descriptor: &Descriptor) {
        let cycles = compute_cycles(self.design, descriptor);
        let ComputeCycles {
            busy, load, drain, ..
        } = cycles;
        self.pass(Cause::Busy, busy);
        self.pass(Cause::Load, load);
        self.pass(Cause::Drain, drain);
        self.pass(Cause::Control, cycles.total() - busy - load - drain);
    }

    fn pass(&mut self, cause: Cause, cycles: u64) {
        let EntryCycles { layers, other } = &mut self.cycles;
        let layer = self.set.checked_sub(1);
        let layer = layer.and_then(|layer| layers.get_mut(layer));
        layer.unwrap_or(other).add(cause, cycles);
        self.now += cycles;
    }

    /// Beats of a memory word.
    fn beats(&self, width: u32) -> u64 {
        width.div_ceil(self.design.config().stream_bits).into()
    }

    fn weight_beats(&self, descriptor: &Descriptor) -> u64 {
        let words = words(descriptor, Field::WeightBase, Field::WeightLast);
        let columns = self.design.design().config().columns;
        words * u64::from(columns) * self.beats(self.design.weight_width)
    }

    fn input_beats(&self, descriptor: &Descriptor) -> u64 {
        words(descriptor, Field::OutBase, Field::OutLast) * self.beats(self.design.word_width)
    }
}

/// Words from an address to another, both included.
fn words(descriptor: &Descriptor, base: Field, last: Field) -> u64 {
    (descriptor.get(last) + 1 - descriptor.get(base)) as u64
}
