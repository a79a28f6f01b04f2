//! The full and half adders of a library, found by what they compute, in the Verilog of a design.

use super::{LibertyError, Library};
use serde::Serialize;
use std::path::Path;
use xnorforge_hdl::fabric::{AdderCell, AdderCells};
use xnorforge_hdl::{Design, Structure};

/// Truth tables of parity and carry.
const FULL: [u64; 2] = [0x96, 0xe8];
const HALF: [u64; 2] = [0b0110, 0b1000];

/// The cells of a library that a design's Verilog instantiates, as manifests and reports name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibraryAdders {
    /// Name of the Liberty file, without its folder.
    pub file: String,
    /// Name of the library in it.
    pub library: String,
    /// The full adder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_adder: Option<String>,
    /// The half adder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_adder: Option<String>,
}

impl LibraryAdders {
    /// The cells' names.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        [&self.full_adder, &self.half_adder]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// The design with the adder cells of the library in a Liberty file, and what they are; none if the design has no place for
/// them, or the library no cell. What the library lacks is a warning, and stays an expression.
///
/// # Errors
/// A file that cannot be read or is not Liberty.
pub fn with_adder_cells(
    design: &Design,
    path: &Path,
) -> Result<(Design, Option<LibraryAdders>), LibertyError> {
    let library = Library::read(path)?;
    if design.structure() != Structure::AdderCells {
        return Ok((design.clone(), None));
    }
    if let Some(warning) = library.adder_warning() {
        tracing::warn!("{warning}");
    }
    let design = design.with_adder_cells(&library.adder_cells());
    let used = design.adder_cells();
    let name = |cell: &Option<AdderCell>| cell.as_ref().map(|cell| cell.name().to_owned());
    let adders = LibraryAdders {
        file: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        library: library.name,
        full_adder: name(&used.full),
        half_adder: name(&used.half),
    };
    Ok((design, (!used.is_empty()).then_some(adders)))
}

impl Library {
    /// The smallest full adder and the smallest half adder: cells of two outputs, one the parity and one the carry of
    /// three or two inputs. A cell whose names Verilog would have to escape is none.
    pub fn adder_cells(&self) -> AdderCells {
        AdderCells {
            full: self.adder(3, FULL),
            half: self.adder(2, HALF),
        }
    }

    /// What [`Library::adder_cells`] did not find, for a warning; none if nothing is missing.
    pub fn adder_warning(&self) -> Option<String> {
        let adders = self.adder_cells();
        let missing: Vec<&str> = [
            (adders.full.is_none(), "full-adder"),
            (adders.half.is_none(), "half-adder"),
        ]
        .into_iter()
        .filter_map(|(missing, what)| missing.then_some(what))
        .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the library `{}` has no {} cell; those adders are the expressions of the generic structure",
                self.name,
                missing.join(" and no "),
            )
        })
    }

    fn adder(&self, inputs: usize, [sum, carry]: [u64; 2]) -> Option<AdderCell> {
        let area = |name: &str| self.cells[name].area.unwrap_or(f64::INFINITY);
        self.cells
            .iter()
            .filter(|(_, cell)| cell.inputs.len() == inputs && cell.outputs.len() == 2)
            .filter_map(|(name, cell)| {
                let tables = cell.truth_tables()?;
                let pin = |table| {
                    let at = tables.iter().position(|t| *t == table)?;
                    Some(cell.outputs[at].0.as_str())
                };
                let adder = AdderCell::new(name, &cell.inputs, pin(sum)?, pin(carry)?);
                Some((name, adder.ok()?))
            })
            .min_by(|(a, _), (b, _)| area(a).total_cmp(&area(b)))
            .map(|(_, adder)| adder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL_ADDER: &str = r#"cell (FA) { area : 120;
        pin (A) { direction : input; } pin (B) { direction : input; } pin (C) { direction : input; }
        pin (YC) { direction : output; function : "(((A B)+(B C))+(C A))"; }
        pin (YS) { direction : output; function : "((A^B)^C)"; } }"#;
    const HALF_ADDER: &str = r#"cell (HA) { area : 80;
        pin (A) { direction : input; } pin (B) { direction : input; }
        pin (YS) { direction : output; function : "(A^B)"; }
        pin (YC) { direction : output; function : "(A B)"; } }"#;

    fn library(cells: &[&str]) -> Library {
        Library::parse(&format!("library (tiny) {{ {} }}", cells.join("\n"))).unwrap()
    }

    #[test]
    fn adders_are_found_by_their_functions() {
        let tiny = library(&[FULL_ADDER, HALF_ADDER]);
        let pins = ["A", "B", "C"].map(str::to_owned);
        let cells = tiny.adder_cells();
        assert_eq!(cells.full, AdderCell::new("FA", &pins, "YS", "YC").ok());
        assert_eq!(
            cells.half,
            AdderCell::new("HA", &pins[..2], "YS", "YC").ok()
        );
        assert_eq!(tiny.adder_warning(), None);
    }

    #[test]
    fn the_smallest_adder_is_taken() {
        let larger = FULL_ADDER.replace("FA", "A_LARGE").replace("120", "121");
        let cells = library(&[&larger, FULL_ADDER]).adder_cells();
        assert_eq!(cells.full.unwrap().name(), "FA");
    }

    #[test]
    fn what_is_no_adder_is_named_as_missing() {
        let wrong = FULL_ADDER.replace("(C A)", "(C B)");
        let tiny = library(&[&wrong, HALF_ADDER]);
        assert_eq!(tiny.adder_cells().full, None);
        let warning = tiny.adder_warning().unwrap();
        assert!(
            warning.contains("`tiny` has no full-adder cell"),
            "{warning}"
        );
        let escaped = FULL_ADDER.replace("(FA)", "(\"F A;\")");
        let both = library(&[&escaped]).adder_warning().unwrap();
        assert!(both.contains("full-adder and no half-adder"), "{both}");
    }
}
