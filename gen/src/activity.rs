//! Switching activity: how often the nets of a design change while it runs a network, module by module.
//!
//! The RTL runs in lockstep with the model, and the waveform of the Verilated RTL is counted while it is written. Every net
//! is counted once, where something makes it ([`nets`]). The simulation has no delays: a net changes once in a cycle at
//! most for each half of the clock, and glitches do not show. What a toggle costs depends on the device and on wires that
//! only a layout has; so counts compare designs and parts of a design, and are energy only with coefficients whose
//! source the user names ([`Coefficients`]).

pub mod count;
pub mod nets;
pub mod scale;

use crate::estimate::features::{Part, part_of};
use crate::estimate::sample::kind_of;
use count::{Counted, count};
use nets::Nets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use xnorforge_hdl::Package;
use xnorforge_sim::verilator::TraceWindow;

/// Bytes that are read of a waveform at once.
const READ_BYTES: usize = 1 << 20;

/// Runs `run` with the waveform that it shall write, and counts toggles meanwhile. Nothing is written to a disk.
///
/// `busy` is as in [`count()`].
///
/// # Errors
/// The waveform cannot be read.
///
/// # Panics
/// If counting panics: a bug.
pub fn watch<R>(
    nets: &Nets,
    busy: Option<&str>,
    run: impl FnOnce(TraceWindow) -> R,
) -> io::Result<(R, Counted)> {
    let (reader, writer) = io::pipe()?;
    let window = TraceWindow {
        path: PathBuf::from(format!("/dev/fd/{}", writer.as_raw_fd())),
        first_cycle: 0,
        last_cycle: u64::MAX,
    };
    std::thread::scope(|scope| {
        let counting = scope.spawn(move || {
            let mut reader = BufReader::with_capacity(READ_BYTES, reader);
            let counted = count(&mut reader, nets, busy);
            // The simulation must not wait for a reader that is gone.
            io::copy(&mut reader, &mut io::sink())?;
            counted
        });
        let result = run(window);
        // The last writer: the waveform ends, even if it was never begun.
        drop(writer);
        let counted = counting.join().expect("counting does not panic");
        Ok((result, counted?))
    })
}

/// The toggles of all modules of a kind ([`kind_of`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindActivity {
    /// The kind.
    pub kind: String,
    /// The part of the design that it belongs to.
    pub part: Part,
    /// Instances.
    pub instances: u64,
    /// Nets in bits.
    pub net_bits: u64,
    /// Changes of a bit of a net.
    pub toggles: u64,
    /// Switching energy in femtojoule, with coefficients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_fj: Option<f64>,
}

/// The switching activity of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Cycles that were counted.
    pub cycles: u64,
    /// By kind of module, most toggles first.
    pub kinds: Vec<KindActivity>,
}

impl Activity {
    /// Of some phases of what was counted.
    pub fn new(package: &Package, counted: &Counted, phases: std::ops::RangeFrom<usize>) -> Self {
        let phases = counted.phases.get(phases).unwrap_or_default();
        let mut kinds: BTreeMap<&str, KindActivity> = BTreeMap::new();
        for (index, module) in package.modules.iter().enumerate() {
            let kind = kind_of(&module.name);
            let entry = kinds.entry(kind).or_insert_with(|| KindActivity {
                kind: kind.to_owned(),
                // A test holds that every kind has a part.
                part: part_of(kind).unwrap_or(Part::Control),
                instances: 0,
                net_bits: 0,
                toggles: 0,
                energy_fj: None,
            });
            entry.instances += module.instances;
            entry.net_bits += counted.bits[index];
            entry.toggles += phases.iter().map(|phase| phase.toggles[index]).sum::<u64>();
        }
        let mut kinds: Vec<KindActivity> = kinds.into_values().collect();
        kinds.sort_by(|a, b| b.toggles.cmp(&a.toggles).then_with(|| a.kind.cmp(&b.kind)));
        Activity {
            cycles: phases.iter().map(|phase| phase.cycles).sum(),
            kinds,
        }
    }

    /// All toggles.
    pub fn toggles(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.toggles).sum()
    }

    /// Net bits and toggles of each part, in the order of reports.
    pub fn parts(&self) -> Vec<(Part, u64, u64)> {
        let sum = |part: Part| {
            let kinds = self.kinds.iter().filter(|kind| kind.part == part);
            kinds.fold((part, 0, 0), |(_, bits, toggles), kind| {
                (part, bits + kind.net_bits, toggles + kind.toggles)
            })
        };
        Part::ALL.into_iter().map(sum).collect()
    }

    /// Switching energy of the run in femtojoule, once coefficients were applied.
    pub fn energy_fj(&self) -> Option<f64> {
        self.kinds.iter().map(|kind| kind.energy_fj).sum()
    }

    /// Applies coefficients.
    ///
    /// # Errors
    /// A kind with nets that has no coefficient, with the text of [`Coefficients::of`].
    pub fn apply(&mut self, coefficients: &Coefficients) -> Result<(), String> {
        for kind in &mut self.kinds {
            let each = match kind.net_bits {
                0 => 0.0,
                _ => coefficients.of(&kind.kind, kind.part)?,
            };
            kind.energy_fj = Some(each * kind.toggles as f64);
        }
        Ok(())
    }
}

/// What a toggle costs, by the user's own source: a library's data, a measurement, a publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    /// Where the numbers come from; printed beside every result.
    pub source: String,
    /// Femtojoule for each toggle of a net's bit, where nothing below says otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_fj: Option<f64>,
    /// By part of the design (`elements`, `row_units`, ..).
    #[serde(default)]
    pub parts_fj: BTreeMap<String, f64>,
    /// By kind of module (`accumulator`, `word_memory`, ..); before the part's.
    #[serde(default)]
    pub kinds_fj: BTreeMap<String, f64>,
}

impl Coefficients {
    /// Reads coefficients in TOML.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: Coefficients = toml::from_str(text).map_err(|e| e.to_string())?;
        if parsed.source.trim().is_empty() {
            return Err("`source` is empty; say where the numbers come from".to_owned());
        }
        let parts = parsed.parts_fj.iter().map(|(name, value)| {
            match Part::ALL.into_iter().find(|part| part.key() == name) {
                Some(_) => check(&format!("parts_fj.{name}"), *value),
                None => Err(format!(
                    "`parts_fj.{name}` is no part of a design; the parts are {}",
                    Part::ALL.map(Part::key).join(", ")
                )),
            }
        });
        let kinds = parsed.kinds_fj.iter().map(|(name, value)| match part_of(name) {
            Some(_) => check(&format!("kinds_fj.{name}"), *value),
            None => Err(format!(
                "`kinds_fj.{name}` is no kind of module; a report without --coefficients lists the kinds"
            )),
        });
        let default = parsed
            .default_fj
            .iter()
            .map(|value| check("default_fj", *value));
        default
            .chain(parts)
            .chain(kinds)
            .collect::<Result<(), _>>()?;
        Ok(parsed)
    }

    /// Femtojoule for each toggle in a module.
    ///
    /// # Errors
    /// There is none for it.
    pub fn of(&self, kind: &str, part: Part) -> Result<f64, String> {
        let part = part.key();
        let found = self.kinds_fj.get(kind).or_else(|| self.parts_fj.get(part));
        found.copied().or(self.default_fj).ok_or_else(|| {
            format!(
                "there is no coefficient for modules of kind `{kind}`; add `kinds_fj.{kind}`, `parts_fj.{part}` or `default_fj`"
            )
        })
    }
}

fn check(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(format!("`{name}` is {value}; femtojoules are at least 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_coefficient_is_taken() {
        let text = "source = \"a library\"\ndefault_fj = 1\n[parts_fj]\nelements = 2.5\n[kinds_fj]\naccumulator = 4\n";
        let coefficients = Coefficients::parse(text).unwrap();
        assert_eq!(coefficients.of("accumulator", Part::Elements), Ok(4.0));
        assert_eq!(coefficients.of("popcount", Part::Elements), Ok(2.5));
        assert_eq!(coefficients.of("epilogue", Part::Drain), Ok(1.0));
    }

    #[test]
    fn the_example_can_be_read() {
        let text = include_str!("../../examples/energy/osu018.toml");
        let coefficients = Coefficients::parse(text).unwrap();
        assert!(coefficients.source.contains("OpenSTA"));
        assert_eq!(coefficients.of("accumulator", Part::Elements), Ok(170.0));
    }

    #[test]
    fn coefficients_that_say_too_little_or_nonsense_are_refused() {
        for (text, named) in [
            ("default_fj = 1", "source"),
            ("source = \" \"", "source"),
            ("source = \"x\"\ndefault_fj = -1", "default_fj"),
            (
                "source = \"x\"\n[parts_fj]\nelement = 1",
                "parts_fj.element",
            ),
            (
                "source = \"x\"\n[kinds_fj]\nnothing = 1",
                "kinds_fj.nothing",
            ),
            ("source = \"x\"\ndefault_fj = nan", "default_fj"),
            ("source = \"x\"\nother = 1", "other"),
        ] {
            let error = Coefficients::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
        let coefficients = Coefficients::parse("source = \"x\"").unwrap();
        let error = coefficients.of("accumulator", Part::Elements).unwrap_err();
        assert!(error.contains("kinds_fj.accumulator"), "{error}");
    }
}
