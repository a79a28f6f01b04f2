//! Simulation models of device primitives, written for this project: a few lines each, for simulators that do not have the
//! vendor's. They never belong to what a vendor's tool reads.

use crate::emit::VerilogFile;

/// Name and text of each model.
const MODELS: [(&str, &str); 0] = [];

/// The models of the primitives that `files` instantiate.
pub fn primitives(files: &[VerilogFile]) -> Vec<VerilogFile> {
    let used = |name: &str| {
        let instance = format!("    {name} ");
        files.iter().any(|file| file.text.contains(&instance))
    };
    MODELS
        .iter()
        .filter(|(name, _)| used(name))
        .map(|(name, text)| VerilogFile {
            name: format!("{name}.v"),
            text: (*text).to_owned(),
        })
        .collect()
}
