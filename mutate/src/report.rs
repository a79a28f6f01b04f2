//! `docs/mutation.md`: what was drawn, what was found, and why the rest changes nothing.

use crate::sites::{Key, Operator, family};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A test found it.
    Killed(String),
    /// A test did not end with it.
    Endless(String),
    /// Yosys proves that it changes nothing.
    Proved,
    /// It changes nothing that can happen, for this reason.
    Explained(String),
    /// No test found it.
    Survived,
    /// No test has a design with it.
    Absent,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Killed(test) => write!(f, "found by {test}"),
            Outcome::Endless(test) => write!(f, "{test} does not end"),
            Outcome::Proved => f.write_str("equivalent by proof"),
            Outcome::Explained(reason) => write!(f, "equivalent: {reason}"),
            Outcome::Survived => f.write_str("survived"),
            Outcome::Absent => f.write_str("in no test"),
        }
    }
}

impl Outcome {
    /// Column of the tables: found, equivalent, survived.
    fn column(&self) -> usize {
        match self {
            Outcome::Killed(_) | Outcome::Endless(_) => 0,
            Outcome::Proved | Outcome::Explained(_) => 1,
            Outcome::Survived | Outcome::Absent => 2,
        }
    }

    /// Whether nothing speaks for the tests: neither has one found the fault, nor is it known to change nothing.
    pub fn is_open(&self) -> bool {
        self.column() == 2
    }
}

/// A fault and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The fault.
    pub key: Key,
    /// What became of it.
    pub outcome: Outcome,
}

/// Faults that are known to change nothing, from `mutate/equivalent.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivalent {
    /// Which ones, as a page lists them ([`describe`]).
    pub faults: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Counts of found, equivalent and surviving faults.
type Counts = [usize; 3];

fn row(text: &mut String, name: &str, counts: &Counts) {
    let [found, equivalent, survived] = counts;
    let all = found + equivalent + survived;
    let rate = match found + survived {
        0 => "-".to_owned(),
        real => format!("{:.1} %", 100.0 * *found as f64 / real as f64),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| {name} | {all} | {found} | {equivalent} | {survived} | {rate} |"
    );
}

/// Counts of all findings.
pub fn totals(findings: &[Finding]) -> Counts {
    let mut counts = [0; 3];
    for finding in findings {
        counts[finding.outcome.column()] += 1;
    }
    counts
}

fn table<'f>(
    text: &mut String,
    head: &str,
    findings: &'f [Finding],
    name: impl Fn(&'f Finding) -> String,
) {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for finding in findings {
        counts.entry(name(finding)).or_default()[finding.outcome.column()] += 1;
    }
    let _ = writeln!(
        text,
        "| {head} | faults | found | equivalent | survived | found of those that change something |\n|---|--:|--:|--:|--:|--:|"
    );
    for (name, counts) in &counts {
        row(text, name, counts);
    }
    row(text, "**all**", &totals(findings));
    text.push('\n');
}

/// What the page says of a fault.
pub fn describe(key: &Key) -> String {
    format!(
        "`{}`: {} {} of `{}` (occurrence {})",
        key.unit, key.operator, key.ordinal, key.expression, key.occurrence
    )
}

/// The page.
pub fn page(findings: &[Finding], seed: u64, population: (usize, usize)) -> String {
    let mut text = include_str!("page.md")
        .replace("@COUNT@", &findings.len().to_string())
        .replace("@SEED@", &seed.to_string())
        .replace("@MODULES@", &population.0.to_string())
        .replace("@FAULTS@", &population.1.to_string());
    text.push_str("\n## By kind\n\n");
    table(&mut text, "kind", findings, |f| f.key.operator.to_string());
    text.push_str("## By module\n\n");
    table(&mut text, "module", findings, |f| {
        format!("`{}`", family(&f.key.unit))
    });
    text.push_str("## By the test that found it first\n\n| test | faults |\n|---|--:|\n");
    let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        if let Outcome::Killed(test) | Outcome::Endless(test) = &finding.outcome {
            *tests.entry(test).or_default() += 1;
        }
    }
    for (test, count) in tests {
        let _ = writeln!(text, "| `{test}` | {count} |");
    }
    let proved = findings.iter().filter(|f| f.outcome == Outcome::Proved);
    text.push_str("\n## Equivalent by proof\n\nYosys proves that outputs and next states are the same from all equal states and inputs; it knows what primitives do.\n\n");
    for finding in proved {
        let _ = writeln!(text, "- {}", describe(&finding.key));
    }
    text.push_str("\n## Equivalent for a reason\n\n");
    for finding in findings {
        if let Outcome::Explained(reason) = &finding.outcome {
            let _ = writeln!(text, "- {}: {reason}", describe(&finding.key));
        }
    }
    let open = [
        (Outcome::Survived, "Survivors"),
        (Outcome::Absent, "In no test's design"),
    ];
    for (outcome, title) in open {
        let these = findings.iter().filter(|f| f.outcome == outcome);
        let lines: Vec<String> = these.map(|f| format!("- {}\n", describe(&f.key))).collect();
        if !lines.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}", lines.concat());
        }
    }
    text
}

/// The kinds, for the page's head.
pub fn kinds() -> String {
    let names: Vec<String> = Operator::ALL.iter().map(Operator::to_string).collect();
    names.join(", ")
}
