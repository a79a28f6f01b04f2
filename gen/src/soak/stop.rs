//! Ends a drive in the middle of its work.

use std::cell::Cell;
use std::rc::Rc;
use xnorforge_sim::accelerator::{Core, CoreInputs, CoreOutputs};
use xnorforge_sim::{Inputs, Outputs, Simulator, SimulatorError};

/// When to stop; shared with whoever drives.
#[derive(Clone, Debug, Default)]
pub struct Stop(Rc<State>);

#[derive(Debug, Default)]
struct State {
    left: Cell<Option<u64>>,
    reached: Cell<bool>,
}

impl Stop {
    /// From now on, after so many cycles.
    pub fn after(&self, cycles: u64) {
        self.0.left.set(Some(cycles));
        self.0.reached.set(false);
    }

    /// Whether it stopped; it does not stop any more.
    pub fn take(&self) -> bool {
        self.0.left.set(None);
        self.0.reached.take()
    }

    fn check(&self) -> Result<(), SimulatorError> {
        match self.0.left.get() {
            None => Ok(()),
            Some(0) => {
                self.0.reached.set(true);
                Err(SimulatorError::Hang { cycles: 0 })
            }
            Some(left) => {
                self.0.left.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

/// A simulator or a core that can be stopped. A stop looks like a hang to its driver; [`Stop::take`] tells.
#[derive(Debug)]
pub struct StopAfter<S> {
    inner: S,
    stop: Stop,
    steps: u64,
}

impl<S> StopAfter<S> {
    /// One that does not stop yet.
    pub fn new(inner: S) -> Self {
        StopAfter {
            inner,
            stop: Stop::default(),
            steps: 0,
        }
    }

    /// When it stops.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Cycles that it made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn next(&mut self) -> Result<&mut S, SimulatorError> {
        self.stop.check()?;
        self.steps += 1;
        Ok(&mut self.inner)
    }
}

impl<S: Simulator> Simulator for StopAfter<S> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        self.next()?.step(inputs)
    }

    fn cycle(&self) -> u64 {
        self.inner.cycle()
    }
}

impl<C: Core> Core for StopAfter<C> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn step(&mut self, inputs: &CoreInputs<'_>) -> Result<&CoreOutputs, SimulatorError> {
        self.next()?.step(inputs)
    }

    fn cycle(&self) -> u64 {
        self.inner.cycle()
    }
}
