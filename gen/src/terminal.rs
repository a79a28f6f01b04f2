//! What the user sees: results on standard output, progress and notes on standard error.

use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell as Flag;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On terminals only, and not when `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour what goes to a stream that is (or is not) a terminal.
    pub fn enabled(self, is_terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// The terminal of one run of the command.
#[derive(Debug)]
pub struct Terminal {
    quiet: bool,
    color: Color,
    /// The reader of standard output went away (`| head`): print nothing more, finish the work.
    closed: Flag<bool>,
}

impl Terminal {
    /// A terminal that is quiet (no notes, no progress) or not, and coloured or not.
    pub fn new(quiet: bool, color: Color) -> Self {
        Terminal {
            quiet,
            color,
            closed: Flag::new(false),
        }
    }

    /// Prints one line of results to standard output.
    pub fn line(&self, text: impl std::fmt::Display) {
        if self.closed.get() {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .is_err()
        {
            self.closed.set(true);
        }
    }

    /// Prints a note to standard error, unless quiet.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            // Nobody reads standard error any more: nothing is lost with the note.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Prints a table to standard output. `columns` are the headings; one that begins with `>` is right-aligned.
    pub fn table(&self, columns: &[&str], rows: &[Vec<String>]) {
        let styled = self.color.enabled(std::io::stdout().is_terminal());
        self.line(render_table(columns, rows, styled));
    }

    /// A progress bar that shows itself once the work takes longer than a second.
    pub fn progress(&self, total: u64, what: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} [{bar:32}] {human_pos}/{human_len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(what.to_owned());
        Progress {
            bar,
            started: Instant::now(),
            wanted: !self.quiet,
        }
    }
}

/// A progress bar; cleared when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    wanted: bool,
}

impl Progress {
    /// `count` more are done.
    pub fn advance(&self, count: u64) {
        if self.wanted && self.bar.is_hidden() && self.started.elapsed() > Duration::from_secs(1) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A table as text.
fn render_table(columns: &[&str], rows: &[Vec<String>], styled: bool) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Disabled);
    if styled {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        columns
            .iter()
            .map(|name| Cell::new(name.trim_start_matches('>')).add_attribute(Attribute::Bold)),
    );
    for row in rows {
        table.add_row(row);
    }
    for (index, name) in columns.iter().enumerate() {
        if let (true, Some(column)) = (name.starts_with('>'), table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A whole number with a separator between thousands.
pub fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of one as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(1234567), "1,234,567");
    }

    #[test]
    fn plain_tables_hold_no_escapes() {
        let text = render_table(&["name", ">count"], &[vec!["a".into(), "12".into()]], false);
        assert!(text.contains("name") && !text.contains('\u{1b}'));
    }
}
