//! The table of what is proven.

use crate::engine::Verdict;
use crate::property::Checked;
use std::fmt::Write as _;

/// One line for the terminal.
pub fn line(checked: &Checked<'_>) -> String {
    let mark = if checked.is_right() { "ok  " } else { "FAIL" };
    let method = checked.check.method();
    format!(
        "{mark} {:>6.1} s  {:<9} {:<16} {}: {}",
        checked.took.as_secs_f64(),
        method.name(),
        method.depth(),
        checked.check.set.of,
        checked.check.what()
    )
}

/// Why a check is not as it should be.
pub fn explanation(checked: &Checked<'_>) -> String {
    let check = &checked.check;
    let said = match &checked.verdict {
        Verdict::Holds => "it holds, and should not".to_owned(),
        Verdict::Fails => "it fails, and should not".to_owned(),
        Verdict::Unknown(said) => format!("no answer:\n{said}"),
    };
    format!(
        "{} (top {}): {}: {said}",
        check.set.of,
        check.set.top(),
        check.what()
    )
}

fn result(checked: &Checked<'_>) -> &'static str {
    match (checked.check.witness.is_some(), &checked.verdict) {
        (false, Verdict::Holds) => "holds",
        (true, Verdict::Holds) => "reached",
        (_, Verdict::Fails) => "fails, as it should",
        (_, Verdict::Unknown(_)) => "unknown",
    }
}

/// The page for `docs/formal.md`.
pub fn page(results: &[Checked<'_>]) -> String {
    let mut text = include_str!("../../../testbenches/formal/page.md").to_owned();
    text.push_str(
        "\n| design | property | method | cycles | result | seconds |\n|---|---|---|--:|---|--:|\n",
    );
    for checked in results {
        let method = checked.check.method();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.1} |",
            checked.check.set.of,
            checked.check.what(),
            method.name(),
            method.depth(),
            result(checked),
            checked.took.as_secs_f64()
        );
    }
    text
}
