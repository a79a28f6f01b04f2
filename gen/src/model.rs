//! What MODEL and `--model` name: an `.onnx`, arrays with a `meta.json`, a topology file, or a built-in network.

use crate::failure::Failure;
use crate::graph;
use crate::imported::{Import, ImportArgs};
use crate::network::Bits;
use std::path::Path;
use xnorforge_import::topology::{self, Topology, Widths, builtin};
use xnorforge_sim::network::{Network, Outline};

/// A model.
#[derive(Debug)]
pub enum Model {
    /// A network with its numbers.
    Network(Network),
    /// A network that was made of operations on floats.
    Imported(Box<Import>),
    /// Networks without weights: one, or one for each layer where layers stand alone.
    Topology(Topology),
}

/// Bits that take the place of a model's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Override {
    /// Of activations and weights.
    pub bits: Option<Bits>,
    /// Of the first layer's weights, and of the last layer's activations and weights: topologies alone.
    pub ends: Option<u32>,
}

impl Model {
    /// Loads what `path` names. A file comes before a built-in network of its name. `samples` are those of
    /// [`Import::read`].
    ///
    /// # Errors
    /// A file that cannot be read or is no model; a name that is neither a file nor a built-in network.
    pub fn load(
        path: &Path,
        with: Override,
        import: &ImportArgs,
        samples: Option<(&Path, Option<&str>)>,
    ) -> Result<Self, Failure> {
        if import.weights.is_some() || extension(path) == "onnx" {
            check_no_bits(path, with)?;
            let import = Import::read(path, import, samples)?;
            return Ok(Model::Imported(Box::new(import)));
        }
        if import.quantize.is_some() {
            return Err(Failure::input(format!(
                "--quantize is for models of floats: an .onnx, or a description with --weights; `{}` is neither",
                path.display()
            )));
        }
        let widths = Widths {
            activation: with.bits.map(|bits| bits.activation),
            weight: with.bits.map(|bits| bits.weight),
            ends: with.ends,
        };
        if ["toml", "csv"].contains(&extension(path).as_str()) {
            let topology = topology::read(path, &widths).map_err(Failure::input)?;
            return Ok(Model::Topology(topology));
        }
        let name = path.display().to_string();
        if !path.exists() {
            if let Some(topology) = builtin::topology(&name, &widths) {
                return topology.map(Model::Topology).map_err(Failure::input);
            }
            if extension(path).is_empty() && path.components().count() == 1 {
                let names: Vec<&str> = builtin::NETWORKS.iter().map(|(name, _)| *name).collect();
                return Err(Failure::input(format!(
                    "there is neither a file nor a built-in network `{name}`; give a file (.npz, .toml, .csv) or one of {}",
                    names.join(", ")
                )));
            }
        }
        if with.ends.is_some() {
            return Err(Failure::input(format!(
                "--first-last-bits goes with a topology or a built-in network; `{name}` says the bits of its layers itself"
            )));
        }
        graph::load(path, with.bits).map(Model::Network)
    }

    /// The model without its numbers: one network, or one for each layer that stands alone.
    ///
    /// # Errors
    /// A model that is not legal.
    pub fn outlines(&self) -> Result<Vec<Outline>, Failure> {
        match self {
            Model::Network(network) => Ok(vec![network.outline().map_err(Failure::input)?]),
            Model::Imported(import) => {
                let outline = import.model.network.outline();
                Ok(vec![outline.map_err(Failure::input)?])
            }
            Model::Topology(topology) => topology.outlines().map_err(Failure::input),
        }
    }

    /// The networks, with random numbers where the model has none.
    ///
    /// # Errors
    /// A model that is not legal, or has more weights than fit.
    pub fn networks(self, seed: u64) -> Result<Vec<Network>, Failure> {
        match self {
            Model::Network(network) => Ok(vec![network]),
            Model::Imported(import) => Ok(vec![import.model.network]),
            Model::Topology(topology) => topology.networks(seed).map_err(Failure::input),
        }
    }

    /// The network, with random numbers where the model has none.
    ///
    /// # Errors
    /// As [`Model::networks`]; layers that stand alone.
    pub fn network(self, seed: u64) -> Result<Network, Failure> {
        match self {
            Model::Network(network) => Ok(network),
            Model::Imported(import) => Ok(import.model.network),
            Model::Topology(topology) => topology.network(seed).map_err(Failure::input),
        }
    }
}

fn check_no_bits(path: &Path, with: Override) -> Result<(), Failure> {
    if with.bits.is_none() && with.ends.is_none() {
        return Ok(());
    }
    Err(Failure::input(format!(
        "--bits and --first-last-bits are for arrays and topologies; `{}` gives the bits of its layers itself, and --quantize those of a model of floats",
        path.display()
    )))
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}
