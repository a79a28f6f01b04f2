//! What the user sees: results on standard output, progress and notes on standard error.

use crate::failure::Failure;
use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
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
    /// Why nothing more is printed to standard output. A reader that went away (`| head`) is no failure: the work
    /// goes on without it.
    stopped: RefCell<Option<io::Error>>,
}

impl Terminal {
    /// A terminal that is quiet (no notes, no progress) or not, and coloured or not.
    pub fn new(quiet: bool, color: Color) -> Self {
        Terminal {
            quiet,
            color,
            stopped: RefCell::new(None),
        }
    }

    /// Prints one line of results to standard output.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.print(&printable(&text.to_string()));
    }

    fn print(&self, text: &str) {
        let mut stopped = self.stopped.borrow_mut();
        if stopped.is_none() {
            let mut stdout = io::stdout().lock();
            *stopped = writeln!(stdout, "{text}")
                .and_then(|()| stdout.flush())
                .err();
        }
    }

    /// Fails if results could not be printed, other than for want of a reader.
    ///
    /// # Errors
    /// A standard output that cannot be written, a full disk for example.
    pub fn finish(&self) -> Result<(), Failure> {
        match self.stopped.take() {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::input(format!(
                "cannot write to standard output: {e}"
            ))),
            _ => Ok(()),
        }
    }

    /// Prints a note to standard error, unless quiet.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            // Nobody reads standard error any more: nothing is lost with the note.
            let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
        }
    }

    /// Prints a table to standard output. `columns` are the headings; one that begins with `>` is right-aligned.
    pub fn table(&self, columns: &[&str], rows: &[Vec<String>]) {
        let styled = self.color.enabled(io::stdout().is_terminal());
        self.print(&render_table(columns, rows, styled));
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
    /// What is being done, from now on.
    pub fn message(&self, what: String) {
        self.bar.set_message(what);
    }

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

/// Text without what a terminal would obey: names come from files, and may hold anything. Lines stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match is_obeyed(c) {
            true => result.extend(c.escape_default()),
            false => result.push(c),
        }
    }
    Cow::Owned(result)
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
        table.add_row(row.iter().map(|cell| printable(cell)));
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

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
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

    #[test]
    fn names_of_files_do_not_steer_the_terminal() {
        let name = "a\u{1b}]0;title\u{7}\u{9b}31mb".to_owned();
        let text = render_table(&["name"], std::slice::from_ref(&vec![name]), false);
        assert!(text.contains("a\\u{1b}]0;title\\u{7}\\u{9b}31mb"), "{text}");
        assert_eq!(printable("two\nlines, \tä"), "two\nlines, \tä");
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("a/b-1.npz"), "a/b-1.npz");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
