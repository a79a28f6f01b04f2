//! What a design takes, estimated in microseconds: models fitted to runs of outside tools, with their error.
//!
//! A model is fitted when the program starts, to a [`Sample`]: designs whose modules Yosys synthesized one by one. What the
//! generator knows exactly (netlists of primitives, instances, registers of the edge, memories) enters as such; least
//! squares find what a bit of the rest takes ([`features`]). The error that stands beside each estimate is that of designs
//! that the fit never saw. Beyond the sizes of the sample there is no number, and the reason in its place.
//!
//! ```
//! use xnorforge::estimate::{self, Hardware};
//! use xnorforge_hdl::{ArrayConfig, Target};
//!
//! let config = ArrayConfig { target: Target::Ecp5, ..ArrayConfig::default() };
//! let design = config.validate()?;
//! if let Some(model) = estimate::model(config.target) {
//!     match model.estimate(Hardware::Array(&design)) {
//!         Ok(estimate) => println!("{:.0} LUTs +-{:.1} %", estimate.luts, estimate.error_percent),
//!         Err(reason) => println!("{reason}"),
//!     }
//! }
//! # Ok::<(), xnorforge_hdl::ConfigError>(())
//! ```

pub mod features;
pub mod fit;
pub mod measure;
pub mod memories;
pub mod quantities;
pub mod sample;

use crate::clock::{Clocks, Frequency};
use features::Part;
use fit::{Fit, Observation};
use quantities::Quantities;
use sample::{Counts, Derived, Measured, Sample, SampleError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use xnorforge_hdl::config::Target;
use xnorforge_hdl::{AcceleratorDesign, Design, Structure};

/// What is estimated: the array alone, or with the accelerator around it.
#[derive(Clone, Copy, Debug)]
pub enum Hardware<'d> {
    /// The array behind streams.
    Array(&'d Design),
    /// The accelerator behind AXI.
    Accelerator(&'d AcceleratorDesign),
}

impl Hardware<'_> {
    fn is_accelerator(self) -> bool {
        matches!(self, Hardware::Accelerator(_))
    }

    fn array(&self) -> &Design {
        match self {
            Hardware::Array(design) => design,
            Hardware::Accelerator(design) => design.design(),
        }
    }
}

/// What a design takes on a target, as a model estimates it. Counts are those of synthesis, module by module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Lookup tables as vendors count them ([`crate::area::Area::sites`]): LUT6 sites on Xilinx 7, LUT4s and two for each CCU2C
    /// on ECP5, LUT4s on iCE40, distributed memories included. With standard cells, cells without flip-flops.
    pub luts: f64,
    /// Flip-flops.
    pub flip_flops: f64,
    /// Carry cells.
    pub carries: f64,
    /// Blocks of memory.
    pub block_rams: f64,
    /// Multiplier blocks.
    pub multipliers: f64,
    /// Area of standard cells in the library's unit, without memories.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cell_area: Option<f64>,
    /// Mean error of `luts` (of `cell_area` where there is one) in percent, on designs that the model was not fitted to.
    pub error_percent: f64,
    /// The worst of them.
    pub error_worst_percent: f64,
    /// Clock frequency in MHz, where the array itself was measured or lies between measured ones ([`crate::clock`]).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_mhz: Option<f64>,
    /// Mean error of `clock_mhz` in percent, where it is interpolated; absent where the array itself was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_error_percent: Option<f64>,
    /// Device and tools that `clock_mhz` was measured with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_source: Option<String>,
}

/// Why there is no estimate: a design unlike those of the sample.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutOfRange {
    /// A size past those of the sample.
    #[error(
        "the model was fitted to designs with {what} of {min} to {max}, and this one has {value}; measure it with `xnorforge synth`"
    )]
    Size {
        /// The size.
        what: &'static str,
        /// Of the design.
        value: f64,
        /// Smallest of the sample.
        min: f64,
        /// Largest of the sample.
        max: f64,
    },
    /// A structure that the sample does not have.
    #[error(
        "the model was fitted to designs of other structures than `{0}`; measure it with `xnorforge synth`"
    )]
    Structure(Structure),
}

/// How far estimates are from measurements, in percent of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Error {
    /// Mean of the magnitudes.
    pub mean_percent: f64,
    /// Largest magnitude.
    pub worst_percent: f64,
    /// Measurements: an array and an accelerator of each design.
    pub measurements: usize,
}

impl Error {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let errors = pairs
            .iter()
            .map(|(estimated, measured)| 100.0 * (estimated - measured).abs() / measured.max(1.0));
        let errors: Vec<f64> = errors.collect();
        Error {
            mean_percent: errors.iter().sum::<f64>() / errors.len().max(1) as f64,
            worst_percent: errors.iter().copied().fold(0.0, f64::max),
            measurements: errors.len(),
        }
    }
}

/// Sizes that an estimate needs to lie within those of the sample.
const RANGED: [&str; 10] = [
    "rows",
    "columns",
    "lanes",
    "pm",
    "pk",
    "result",
    "drain",
    "ports",
    "levels",
    "granule_address",
];

/// A model of one target.
#[derive(Clone, PartialEq)]
pub struct Model {
    target: Target,
    source: String,
    fit: Fit,
    library: Option<String>,
    clocks: Option<Clocks>,
    ranges: Vec<(usize, f64, f64)>,
    structures: Vec<Structure>,
    /// Each measured design was estimated by a fit to the others.
    cross_validated: Error,
    /// Of designs that no fit saw.
    held_out: Error,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("source", &self.source)
            .field("cross_validated", &self.cross_validated)
            .field("held_out", &self.held_out)
            .finish_non_exhaustive()
    }
}

/// Groups of designs for cross-validation.
const FOLDS: usize = 8;

impl Model {
    /// Fits a model to a sample.
    ///
    /// # Errors
    /// A sample with designs that this program cannot make, with modules that it does not know, or with too few designs.
    pub fn new(sample: &Sample) -> Result<Self, SampleError> {
        let is_known = sample.has_these_quantities();
        let (fitted, structures) = observe(&sample.fitted, is_known)?;
        let (held_out, of_held_out) = observe(&sample.held_out, is_known)?;
        if fitted.len() < FOLDS {
            return Err(SampleError::Format(format!(
                "it has {} designs, and a fit needs {FOLDS}",
                fitted.len()
            )));
        }
        let fit = Fit::new(&fitted.iter().flatten().collect::<Vec<_>>());
        let is_cells = sample.target == Target::Asic;
        let size = |counts: Counts| match is_cells {
            true => counts.cell_area,
            false => counts.sites,
        };
        let pair = |fit: &Fit, o: &Observation| {
            let estimated = fit.total(&o.quantities, o.is_accelerator);
            (size(estimated), size(o.total()))
        };
        let mut crossed = Vec::new();
        for fold in 0..FOLDS {
            let (inside, outside): (Vec<_>, Vec<_>) =
                (0..fitted.len()).partition(|i| i % FOLDS == fold);
            let others: Vec<&Observation> = outside.iter().flat_map(|i| &fitted[*i]).collect();
            let fit = Fit::new(&others);
            crossed.extend(
                inside
                    .iter()
                    .flat_map(|i| &fitted[*i])
                    .map(|o| pair(&fit, o)),
            );
        }
        // Designs of a structure that the fit never saw are refused, so they have no error.
        let held = held_out.iter().zip(&of_held_out);
        let held = held.filter(|(_, structure)| structures.contains(structure));
        let held: Vec<_> = held
            .flat_map(|(both, _)| both)
            .map(|o| pair(&fit, o))
            .collect();
        let count = sample.fitted.len();
        Ok(Model {
            target: sample.target,
            source: format!(
                "{count} designs through {}{}",
                sample.tool,
                sample
                    .library
                    .as_ref()
                    .map_or(String::new(), |l| format!(" with {l}"))
            ),
            library: sample.library.clone(),
            clocks: clocks(sample),
            structures,
            ranges: ranges(fitted.iter().chain(&held_out).flatten()),
            fit,
            cross_validated: Error::of(&crossed),
            held_out: Error::of(&held),
        })
    }

    /// Its target.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What it was fitted to, for reports.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The library of standard cells that its areas are of.
    pub fn library(&self) -> Option<&str> {
        self.library.as_deref()
    }

    /// Its error on each measured design when fitted to the others (`FOLDS` groups).
    pub fn cross_validated(&self) -> Error {
        self.cross_validated
    }

    /// Its error on random designs that no fit saw.
    pub fn held_out(&self) -> Error {
        self.held_out
    }

    /// The error that stands beside estimates: the larger of the two.
    pub fn error(&self) -> Error {
        let (a, b) = (self.cross_validated, self.held_out);
        Error {
            mean_percent: a.mean_percent.max(b.mean_percent),
            worst_percent: a.worst_percent.max(b.worst_percent),
            measurements: a.measurements + b.measurements,
        }
    }

    /// What a design takes.
    ///
    /// # Errors
    /// A size past those that the model was fitted to.
    pub fn estimate(&self, hardware: Hardware<'_>) -> Result<Estimate, OutOfRange> {
        let counts = self.parts(hardware)?.into_values().sum::<Counts>();
        let error = self.error();
        // The accelerator has paths of its own, which were not measured.
        let clocks = self.clocks.as_ref().filter(|_| !hardware.is_accelerator());
        let clock = clocks.and_then(|clocks| clocks.frequency(hardware.array()));
        let source = clocks
            .filter(|_| clock.is_some())
            .map(Clocks::source)
            .filter(|source| !source.is_empty());
        Ok(Estimate {
            luts: counts.sites.round(),
            flip_flops: counts.flip_flops.round(),
            carries: counts.carries.round(),
            block_rams: counts.block_rams.round(),
            multipliers: counts.multipliers.round(),
            cell_area: (self.target == Target::Asic).then_some(counts.cell_area.round()),
            error_percent: error.mean_percent,
            error_worst_percent: error.worst_percent,
            clock_mhz: clock.map(Frequency::mhz),
            clock_error_percent: clock.and_then(Frequency::error_percent),
            clock_source: source.map(str::to_owned),
        })
    }

    /// What each part of a design takes.
    ///
    /// # Errors
    /// As [`Model::estimate`].
    pub fn parts(&self, hardware: Hardware<'_>) -> Result<BTreeMap<Part, Counts>, OutOfRange> {
        let structure = hardware.array().structure();
        if !self.structures.contains(&structure) {
            return Err(OutOfRange::Structure(structure));
        }
        let quantities = quantities::of(hardware);
        self.check(&quantities, hardware.is_accelerator())?;
        Ok(self.fit.parts(&quantities, hardware.is_accelerator()))
    }

    fn check(&self, quantities: &Quantities, is_accelerator: bool) -> Result<(), OutOfRange> {
        for (index, min, max) in &self.ranges {
            let value = quantities[*index];
            // An array has none of the accelerator's sizes.
            let is_known = (*min..=*max).contains(&value) || (value == 0.0 && !is_accelerator);
            if !is_known {
                return Err(OutOfRange::Size {
                    what: quantities::NAMES[*index].1,
                    value,
                    min: *min,
                    max: *max,
                });
            }
        }
        Ok(())
    }
}

/// The measured arrays of a sample; those that ship for its target where it has none.
fn clocks(sample: &Sample) -> Option<Clocks> {
    if sample.clocks.is_empty() {
        return Clocks::shipped(sample.target).cloned();
    }
    let source = sample.clock_tool.clone().unwrap_or_default();
    Clocks::new(source, &sample.clocks)
}

/// Both designs of each measurement, and the structure of its units.
fn observe(
    measured: &[Measured],
    is_known: bool,
) -> Result<(Vec<[Observation; 2]>, Vec<Structure>), SampleError> {
    let observe = |m: &Measured| {
        let derived = match &m.derived {
            Some(derived) if is_known => derived.clone(),
            _ => Derived::new(&m.configuration)?,
        };
        let observation = |values: &[f64], is_accelerator, kinds| {
            let quantities = Quantities::try_from(values).map_err(|_| {
                SampleError::Format("a design has not as many quantities as there are names".into())
            })?;
            Observation::new(quantities, is_accelerator, kinds).map_err(|kind| {
                SampleError::Format(format!(
                    "a design of it: modules of kind `{kind}` are not known"
                ))
            })
        };
        let pair = [
            observation(&derived.array, false, &m.array)?,
            observation(&derived.accelerator, true, &m.accelerator)?,
        ];
        Ok((pair, derived.structure))
    };
    let observed: Result<Vec<_>, SampleError> = measured.iter().map(observe).collect();
    Ok(observed?.into_iter().unzip())
}

fn ranges<'o>(observations: impl Iterator<Item = &'o Observation>) -> Vec<(usize, f64, f64)> {
    let seen: Vec<&Observation> = observations.filter(|o| o.is_accelerator).collect();
    let range = |name: &&str| {
        let index = quantities::index(name)?;
        let values = seen.iter().map(|o| o.quantities[index]);
        let ends = |(min, max): (f64, f64), value: f64| (min.min(value), max.max(value));
        let (min, max) = values.fold((f64::INFINITY, 0.0), ends);
        Some((index, min, max))
    };
    RANGED.iter().filter_map(range).collect()
}

/// The samples that ship with the program, as `make calibrate` writes them.
const SAMPLES: [(Target, &str); 4] = [
    (Target::Xilinx, include_str!("../data/xilinx.json")),
    (Target::Ecp5, include_str!("../data/ecp5.json")),
    (Target::Ice40, include_str!("../data/ice40.json")),
    (Target::Asic, include_str!("../data/asic.json")),
];

/// The model of a target that ships with the program, if there is one.
pub fn model(target: Target) -> Option<&'static Model> {
    static MODELS: [OnceLock<Option<Model>>; SAMPLES.len()] =
        [const { OnceLock::new() }; SAMPLES.len()];
    let index = SAMPLES.iter().position(|(of, _)| *of == target)?;
    // A test holds that each is one.
    let fit = || Model::new(&Sample::parse(SAMPLES[index].1).ok()?).ok();
    MODELS[index].get_or_init(fit).as_ref()
}
