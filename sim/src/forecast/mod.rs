//! Cycles of whole networks on many configurations, without weights and without a program.
//!
//! A [`Forecaster`] is made of a network's [`Outline`]. For a configuration it gives the cycles of every layer by cause:
//! those that [`crate::program::timing`] finds in the descriptors that the compiler makes, which are those of the
//! cycle-accurate model while no stream stalls. It is fast for two reasons: a COMPUTE takes a short sum instead of a walk
//! through its tiles (`compute`), and what several configurations have in common is found once and kept in a
//! [`Memo`]: how the network lies on columns, lanes and branches; the pieces that a layer loads; a layer's cycles by all
//! that they depend on.
//!
//! ```
//! use xnorforge_hdl::ArrayConfig;
//! use xnorforge_sim::forecast::{Forecaster, Memo};
//! # use xnorforge_sim::network::{LayerOutline, Outline, Pad, Read, Rule, Shape, TensorId, Window, Work};
//! # use xnorforge_sim::{Encoding, Precision};
//! # let precision = Precision::new(Encoding::Unsigned, 2);
//! # let outline = Outline {
//! #     name: "one".to_owned(),
//! #     input: Shape::new(8, 8, 16),
//! #     precision,
//! #     layers: vec![LayerOutline {
//! #         name: "l".to_owned(),
//! #         input: Read::from(TensorId::Input),
//! #         input_shape: Shape::new(8, 8, 16),
//! #         activation: precision,
//! #         work: Work::Convolution {
//! #             window: Window::square(3, 1, 1),
//! #             groups: 1,
//! #             weight: Precision::new(Encoding::Bipolar, 1),
//! #             has_bias: false,
//! #             pad: Pad::Zero,
//! #         },
//! #         residual: None,
//! #         rule: Rule::Raw,
//! #         output_shape: Shape::new(8, 8, 4),
//! #     }],
//! #     outputs: vec![TensorId::Layer(0)],
//! # };
//! let forecaster = Forecaster::new(&outline);
//! let mut memo = Memo::default();
//! let design = forecaster.sized(&mut memo, &ArrayConfig::default())?;
//! let forecast = forecaster.cycles(&mut memo, &design, 1)?;
//! assert_eq!(forecast.total(), forecast.other.cycles.total() + forecast.layers[0].cycles.total());
//! # Ok::<(), xnorforge_sim::forecast::ForecastError>(())
//! ```
//!
//! What it cannot see without numbers, it takes as usual: that no two layers have the same weights (the compiler stores
//! such once), that biases and tables of residuals are small enough for the array's widths, and that the constants of
//! border classes differ. Memories that are sized here are therefore large enough, and sometimes larger than the
//! compiler's least.

mod check;
mod compute;
mod mapping;
mod pieces;
mod run;

use crate::network::Outline;
use crate::program::ProgramError;
use crate::program::outline_stages::OutlineStages;
use crate::program::timing::Cycles;
use check::Weights;
use compute::ComputeShape;
use mapping::{Mapper, Mapping, MappingKey, PiecesMemo};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xnorforge_hdl::config::ConfigError;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Design};

/// Most images of a run that [`Forecaster::images`] looks for.
pub const IMAGES_MAX: u32 = 256;

/// Mappings that are kept, of some kilobytes each.
const MAPPINGS_MAX: usize = 1 << 11;
/// Cycles of layers that are kept, of some hundred bytes each.
const CYCLES_MAX: usize = 1 << 17;
/// Cycles of layers that there is room for from the start: growing a table costs as much as filling it.
const CYCLES_AT_FIRST: usize = 1 << 13;
/// Designs that are kept, of some hundred bytes each.
const DESIGNS_MAX: usize = 1 << 13;

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// The configuration is not legal.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network does not run on it.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// What forecasts have in common; one for each thread. It serves one network at a time: with another one, what
/// depends on the network is forgotten.
#[derive(Debug, Default)]
pub struct Memo {
    /// The forecaster that it served last.
    owner: Option<u64>,
    designs: FxHashMap<ArrayConfig, Option<Arc<Design>>>,
    mappings: FxHashMap<MappingKey, Arc<Mapping>>,
    pieces: PiecesMemo,
    next_id: usize,
    cycles: FxHashMap<(usize, ComputeShape), crate::accelerator::compute_timing::ComputeCycles>,
    /// Feature maps' places by mapping and memory sizes of the configuration.
    sizes: FxHashMap<(MappingKey, [u32; 2]), [u64; 2]>,
}

/// What a layer takes in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerForecast {
    /// Cycles by cause.
    pub cycles: Cycles,
    /// Bytes of its weights that the weight stream brings; 0 where weights are resident.
    pub weight_bytes: u64,
    /// Bytes on the input stream.
    pub input_bytes: u64,
    /// Bytes on the result stream.
    pub result_bytes: u64,
}

impl LayerForecast {
    /// Bytes on all streams.
    pub fn stream_bytes(&self) -> u64 {
        self.weight_bytes + self.input_bytes + self.result_bytes
    }

    /// The cycles that the streams' bytes take at `bytes_per_cycle` from and to the outside.
    pub fn bandwidth_cycles(&self, bytes_per_cycle: f64) -> u64 {
        (self.stream_bytes() as f64 / bytes_per_cycle).ceil() as u64
    }
}

/// What a network takes in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// For each layer of the network.
    pub layers: Vec<LayerForecast>,
    /// The input, and cycles of what belongs to no layer. Where weights stream, the cycles of waiting for them count here
    /// or in the layer that waits, their bytes in the layer whose they are.
    pub other: LayerForecast,
    /// Whether weights are loaded once and stay.
    pub is_resident: bool,
}

impl Forecast {
    /// Cycles of the whole run.
    pub fn total(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.cycles.total()).sum();
        layers + self.other.cycles.total()
    }
}

/// A network whose cycles are asked for.
#[derive(Clone, Debug)]
pub struct Forecaster {
    /// No other network's.
    id: u64,
    name: String,
    layers: usize,
    stages: OutlineStages,
}

impl Forecaster {
    /// Of the outline of a legal network ([`crate::network::Network::outline`] and
    /// `xnorforge_import::topology::Topology::outlines` give no other).
    pub fn new(outline: &Outline) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Forecaster {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: outline.name.clone(),
            layers: outline.layers.len(),
            stages: OutlineStages::new(outline),
        }
    }

    /// The cycles of one run of `images` images on a design as it is.
    ///
    /// # Errors
    /// Those that the compiler would have, but for [`ProgramError::Value`], which depends on numbers.
    pub fn cycles(
        &self,
        memo: &mut Memo,
        design: &AcceleratorDesign,
        images: u32,
    ) -> Result<Forecast, ProgramError> {
        let mapping = self.mapping(memo, design, images);
        let weights = self.check(memo, &mapping, design, images)?;
        Ok(run::Run::new(memo, design, &mapping, weights, self.layers).run())
    }

    /// The configuration with memories and widths as large as one image needs, where they are smaller.
    ///
    /// # Errors
    /// A configuration that is not legal; a network that needs more than the largest.
    pub fn sized(
        &self,
        memo: &mut Memo,
        config: &ArrayConfig,
    ) -> Result<AcceleratorDesign, ForecastError> {
        let mut config = config.clone();
        loop {
            let design = memo.design(&config)?;
            let mapping = self.mapping(memo, &design, 1);
            // Every turn makes a field larger, and every field has a limit.
            if !self.grow(memo, &mapping, &design, &mut config)? {
                return Ok(design);
            }
        }
    }

    /// The most images that one run can have on a design, at most `inputs` and [`IMAGES_MAX`].
    ///
    /// # Errors
    /// As [`Forecaster::cycles`], of one image.
    pub fn images(
        &self,
        memo: &mut Memo,
        design: &AcceleratorDesign,
        inputs: u32,
    ) -> Result<u32, ProgramError> {
        let fits = |memo: &mut Memo, images| {
            let mapping = self.mapping(memo, design, images);
            self.check(memo, &mapping, design, images)
        };
        fits(memo, 1)?;
        let (mut best, mut too_many) = (1, inputs.min(IMAGES_MAX) + 1);
        // A larger batch never needs less memory.
        while best + 1 < too_many {
            let middle = best.midpoint(too_many);
            match fits(memo, middle) {
                Ok(Weights { .. }) => best = middle,
                Err(ProgramError::Memory { .. } | ProgramError::Field { .. }) => too_many = middle,
                Err(other) => return Err(other),
            }
        }
        Ok(best)
    }

    fn mapping(&self, memo: &mut Memo, design: &AcceleratorDesign, images: u32) -> Arc<Mapping> {
        let key = MappingKey::new(design, images);
        memo.serve(self.id);
        if let Some(mapping) = memo.mappings.get(&key) {
            return mapping.clone();
        }
        let mapping = Mapper {
            key,
            network: &self.stages,
            layers: self.layers,
            pieces: &mut memo.pieces,
            next_id: &mut memo.next_id,
        };
        let mapping = Arc::new(mapping.map());
        if memo.mappings.len() >= MAPPINGS_MAX {
            memo.mappings.clear();
        }
        memo.mappings.insert(key, mapping.clone());
        mapping
    }
}

impl Memo {
    fn serve(&mut self, network: u64) {
        if self.owner.replace(network) != Some(network) {
            self.mappings.clear();
            self.sizes.clear();
        }
    }

    /// What [`ArrayConfig::validate`] and [`AcceleratorDesign::new`] give.
    fn design(&mut self, config: &ArrayConfig) -> Result<AcceleratorDesign, ConfigError> {
        let element = ArrayConfig {
            rows: 1,
            columns: 1,
            accelerator: Default::default(),
            ..config.clone()
        };
        if self.designs.len() >= DESIGNS_MAX {
            self.designs.clear();
        }
        let known = self.designs.entry(element).or_insert_with_key(|element| {
            let design = element.validate();
            design.ok().map(Arc::new)
        });
        let design = match known {
            Some(known) => {
                known.resized(config.rows, config.columns, config.accelerator.clone())?
            }
            // The first error in the order of the fields.
            None => config.validate()?,
        };
        AcceleratorDesign::new(&design)
    }
}
