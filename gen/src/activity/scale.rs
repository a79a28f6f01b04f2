//! Switching activity of other designs, from that of one which was run: for comparisons over a sweep.
//!
//! Each part of a design switches with the work that it does, and the work is known (of networks whole runs count, also where
//! the last one has fewer images):
//!
//! | part | work |
//! |---|---|
//! | elements | beats x rows x columns x lanes x branch pairs |
//! | row units | beats x rows x lanes x activation branches |
//! | edge, patches, memories | beats x lanes x (rows x activation branches + columns x weight branches) |
//! | drain and epilogue | results |
//! | control | cycles |
//!
//! A beat is a cycle in which the array takes operands, padding included. What
//! changes from numbers to numbers, and with the structure of the units, is taken as in the run that was counted:
//! `docs/activity.md` says how far off that is.

use super::{Activity, Coefficients};
use crate::estimate::features::Part;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xnorforge_hdl::{ArrayConfig, Target};

/// Name of the reports of `xnorforge activity`.
pub const SCHEMA: &str = "xnorforge-activity";
/// Raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;
/// Longest report that is read, in bytes.
pub const REPORT_BYTES_MAX: u64 = 1 << 20;

/// Whether an array alone ran, or an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ran {
    /// A product on the array.
    Array,
    /// A network on the accelerator.
    Accelerator,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Cycles in which the array takes operands.
    pub beats: u64,
    /// Results of products.
    pub results: u64,
    /// Cycles.
    pub cycles: u64,
}

impl Done {
    /// The work of a part of a design.
    fn of(&self, part: Part, config: &ArrayConfig) -> f64 {
        let [rows, columns, lanes, pm, pk] = [
            config.rows,
            config.columns,
            config.lanes,
            config.activation_branches,
            config.weight_branches,
        ]
        .map(f64::from);
        let beats = self.beats as f64;
        match part {
            Part::Elements => beats * rows * columns * lanes * pm * pk,
            Part::RowUnits => beats * rows * lanes * pm,
            Part::Edge | Part::Patches | Part::Memories => {
                beats * lanes * (rows * pm + columns * pk)
            }
            Part::Drain => self.results as f64,
            Part::Control => self.cycles as f64,
        }
    }
}

/// What matters of a report.
#[derive(Debug, Deserialize)]
struct Report {
    schema: String,
    schema_version: u32,
    configuration: ArrayConfig,
    ran: Ran,
    beats: u64,
    results: u64,
    #[serde(default)]
    coefficients: Option<Coefficients>,
    #[serde(flatten)]
    activity: Activity,
}

/// A run that others are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What ran.
    pub ran: Ran,
    /// Where the coefficients of its energy come from, if it has any.
    pub source: Option<String>,
    /// For a unit of work: toggles, and femtojoule.
    parts: BTreeMap<Part, [f64; 2]>,
}

/// An estimate of what a design switches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Switching {
    /// Changes of a net's bit, for all inputs.
    pub toggles: f64,
    /// Energy of them in microjoule, where the measured run has coefficients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_uj: Option<f64>,
}

impl Reference {
    /// Reads a report of `xnorforge activity --json` for a target.
    ///
    /// # Errors
    /// What is wrong with it, with the name of the field.
    pub fn parse(text: &str, wanted: Target) -> Result<Self, String> {
        let report: Report = serde_json::from_str(text).map_err(|e| {
            format!("it is no report of `xnorforge activity --json`: {e}; make one")
        })?;
        if report.schema != SCHEMA || report.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "`schema` is {} {}, but {SCHEMA} {SCHEMA_VERSION} is read; make a new one",
                report.schema, report.schema_version
            ));
        }
        let config = &report.configuration;
        if config.target != wanted {
            return Err(format!(
                "it was made for {}, and the sweep is for {wanted}; make one with --target {wanted}",
                config.target
            ));
        }
        config.validate().map_err(|e| e.to_string())?;
        let done = Done {
            beats: report.beats,
            results: report.results,
            cycles: report.activity.cycles,
        };
        for (name, value) in [
            ("beats", done.beats),
            ("results", done.results),
            ("cycles", done.cycles),
        ] {
            if value == 0 {
                return Err(format!("`{name}` is 0: nothing was run"));
            }
        }
        let mut parts: BTreeMap<Part, [f64; 2]> = BTreeMap::new();
        for kind in &report.activity.kinds {
            let work = done.of(kind.part, config);
            let energy_fj = kind.energy_fj.unwrap_or_default();
            if !(energy_fj.is_finite() && energy_fj >= 0.0) {
                return Err(format!(
                    "`energy_fj` of {} is {energy_fj}; femtojoules are at least 0",
                    kind.kind
                ));
            }
            let [toggles, energy] = parts.entry(kind.part).or_default();
            *toggles += kind.toggles as f64 / work;
            *energy += energy_fj / work;
        }
        let has_energy = report.activity.energy_fj().is_some();
        let coefficients = report.coefficients.filter(|_| has_energy);
        Ok(Reference {
            ran: report.ran,
            source: coefficients.map(|coefficients| coefficients.source),
            parts,
        })
    }

    /// What a design switches while it does this.
    pub fn of(&self, config: &ArrayConfig, done: &Done) -> Switching {
        let mut sums = [0.0; 2];
        for (part, each) in &self.parts {
            let work = done.of(*part, config);
            sums = [0, 1].map(|i| sums[i] + each[i] * work);
        }
        Switching {
            toggles: sums[0].round(),
            energy_uj: self.source.as_ref().map(|_| sums[1] / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn report() -> Value {
        json!({
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "ran": "array",
            "configuration": ArrayConfig::default(),
            "beats": 10,
            "results": 4,
            "cycles": 30,
            "coefficients": { "source": "a library", "default_fj": 2.0 },
            "kinds": [
                { "kind": "a", "part": "elements", "instances": 1, "net_bits": 9, "toggles": 1000, "energy_fj": 2000.0 },
                { "kind": "b", "part": "drain", "instances": 1, "net_bits": 9, "toggles": 80, "energy_fj": 160.0 },
                { "kind": "c", "part": "control", "instances": 1, "net_bits": 9, "toggles": 60, "energy_fj": 120.0 },
            ],
        })
    }

    #[test]
    fn the_run_itself_is_as_it_was_and_others_are_scaled() {
        let reference = Reference::parse(&report().to_string(), Target::Generic).unwrap();
        let config = ArrayConfig::default();
        let done = Done {
            beats: 10,
            results: 4,
            cycles: 30,
        };
        let same = reference.of(&config, &done);
        assert_eq!(same.toggles, 1140.0);
        assert!((same.energy_uj.unwrap() - 2280e-9).abs() < 1e-15);
        let larger = ArrayConfig {
            rows: 2 * config.rows,
            ..config
        };
        let longer = Done { cycles: 60, ..done };
        assert_eq!(
            reference.of(&larger, &longer).toggles,
            2000.0 + 80.0 + 120.0
        );
    }

    #[test]
    fn without_coefficients_there_is_no_energy() {
        let mut report = report();
        report.as_object_mut().unwrap().remove("coefficients");
        let reference = Reference::parse(&report.to_string(), Target::Generic).unwrap();
        assert_eq!(reference.source, None);
        let switching = reference.of(&ArrayConfig::default(), &Done::default());
        assert_eq!(switching.energy_uj, None);
    }

    #[test]
    fn reports_that_will_not_do_are_refused_by_field() {
        for (field, value, named) in [
            ("schema", json!("other"), "schema"),
            ("schema_version", json!(9), "schema"),
            ("ran", json!("nothing"), "nothing"),
            ("beats", json!(0), "beats"),
            ("results", json!(0), "results"),
            ("cycles", json!(-1), "-1"),
            ("configuration", json!(3), "expected"),
        ] {
            let mut report = report();
            report[field] = value;
            let error = Reference::parse(&report.to_string(), Target::Generic).unwrap_err();
            assert!(error.contains(named), "{field}: {error}");
        }
        let error = Reference::parse(&report().to_string(), Target::Ecp5).unwrap_err();
        assert!(error.contains("--target ecp5"), "{error}");
        let mut report = report();
        report["kinds"][0]["energy_fj"] = json!(-1.0);
        let error = Reference::parse(&report.to_string(), Target::Generic).unwrap_err();
        assert!(error.contains("energy_fj"), "{error}");
    }
}
