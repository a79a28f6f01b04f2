//! The syntax of Liberty: groups `name (arguments) { .. }`, attributes `name : value ;` and `name (arguments) ;`.
//!
//! One pass without recursion, so that no file makes the stack overflow; what is not about cells is skipped.

use super::{FlipFlop, LibertyError, Library, LibraryCell};

/// Deepest nesting of groups.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'t> {
    /// A name, a number or a text in quotes (without them).
    Word(&'t str),
    /// One of `(){}:;,` or an operator.
    Sign(char),
}

struct Tokens<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Tokens<'t> {
    fn skip(&mut self, bytes: usize) -> &'t str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.bytes().filter(|b| *b == b'\n').count();
        self.rest = rest;
        skipped
    }

    fn error(&self, what: impl Into<String>) -> LibertyError {
        LibertyError::Syntax {
            line: self.line,
            what: what.into(),
        }
    }

    /// Skips blanks, comments, and line ends that a backslash joins.
    fn skip_blanks(&mut self) -> Result<(), LibertyError> {
        loop {
            let blank = |c: char| c.is_whitespace() || c == '\\';
            let end = self.rest.find(|c| !blank(c)).unwrap_or(self.rest.len());
            self.skip(end);
            if self.rest.starts_with("/*") {
                let end = self
                    .rest
                    .find("*/")
                    .ok_or_else(|| self.error("a comment does not end"))?;
                self.skip(end + 2);
            } else if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(end);
            } else {
                return Ok(());
            }
        }
    }

    /// The next token; none at the end.
    fn next(&mut self) -> Result<Option<Token<'t>>, LibertyError> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if first == '"' {
            let end = self.rest[1..]
                .find('"')
                .ok_or_else(|| self.error("a text in quotes does not end"))?;
            let text = self.skip(end + 2);
            return Ok(Some(Token::Word(&text[1..=end])));
        }
        let in_word = |c: char| c.is_alphanumeric() || "_.-+[]$#%<>@!'".contains(c);
        let end = self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len());
        if end > 0 {
            return Ok(Some(Token::Word(self.skip(end))));
        }
        match first {
            '(' | ')' | '{' | '}' | ':' | ';' | ',' | '*' | '/' | '^' | '&' | '|' | '=' => {
                self.skip(first.len_utf8());
                Ok(Some(Token::Sign(first)))
            }
            _ => Err(self.error(format!("`{}` is no part of it", first.escape_default()))),
        }
    }

    fn peek(&mut self) -> Result<Option<Token<'t>>, LibertyError> {
        let (rest, line) = (self.rest, self.line);
        let token = self.next()?;
        (self.rest, self.line) = (rest, line);
        Ok(token)
    }

    /// The words up to a closing bracket, which is taken.
    fn arguments(&mut self) -> Result<Vec<&'t str>, LibertyError> {
        let mut words = Vec::new();
        let mut open = 1;
        loop {
            match self.next()? {
                Some(Token::Word(word)) => words.push(word),
                Some(Token::Sign('(')) => open += 1,
                Some(Token::Sign(')')) => {
                    open -= 1;
                    if open == 0 {
                        return Ok(words);
                    }
                }
                Some(Token::Sign('{' | '}' | ';')) | None => {
                    return Err(self.error("a bracket `(` does not close"));
                }
                Some(Token::Sign(_)) => {}
            }
        }
    }

    /// The first word of a value. It ends at `;`, or without one at the end of its line.
    fn value(&mut self) -> Result<&'t str, LibertyError> {
        let value = match self.next()? {
            Some(Token::Word(value)) => value,
            // An expression; none that matters here is one.
            Some(Token::Sign('(')) => "",
            _ => return Err(self.error("`:` without a value after it")),
        };
        let line = self.line;
        loop {
            match self.peek()? {
                None | Some(Token::Sign('}')) => return Ok(value),
                Some(Token::Sign(';')) => {
                    self.next()?;
                    return Ok(value);
                }
                Some(_) => {
                    self.skip_blanks()?;
                    if self.line != line {
                        return Ok(value);
                    }
                    self.next()?;
                }
            }
        }
    }
}

/// A library's groups around what is read.
struct Reader {
    library: Library,
    found: bool,
    /// Names of the groups that are open.
    open: Vec<String>,
    /// The cell that is open, and its name.
    cell: Option<(String, LibraryCell)>,
    /// Pins that the open `pin` group is about; direction and function once they are known.
    pins: Vec<String>,
    direction: String,
    function: Option<String>,
}

/// Reads a file.
pub(super) fn library(text: &str) -> Result<Library, LibertyError> {
    let mut tokens = Tokens {
        rest: text,
        line: 1,
    };
    let mut reader = Reader {
        library: Library::default(),
        found: false,
        open: Vec::new(),
        cell: None,
        pins: Vec::new(),
        direction: String::new(),
        function: None,
    };
    while let Some(token) = tokens.next()? {
        match token {
            Token::Sign('}') => {
                if reader.open.is_empty() {
                    return Err(tokens.error("`}` closes nothing"));
                }
                reader.close();
            }
            Token::Sign(';') => {}
            Token::Word(name) => statement(&mut tokens, &mut reader, name)?,
            Token::Sign(sign) => {
                return Err(tokens.error(format!("`{sign}` where a statement begins")));
            }
        }
    }
    if !reader.open.is_empty() {
        return Err(tokens.error(format!(
            "the file ends inside the group `{}`",
            reader.open.join(" > ")
        )));
    }
    if !reader.found {
        return Err(tokens.error("there is no `library` group"));
    }
    Ok(reader.library)
}

/// What follows a name: a group, or an attribute of either form.
fn statement(tokens: &mut Tokens<'_>, reader: &mut Reader, name: &str) -> Result<(), LibertyError> {
    match tokens.next()? {
        Some(Token::Sign(':')) => {
            let value = tokens.value()?;
            reader.attribute(name, value);
        }
        Some(Token::Sign('(')) => {
            let arguments = tokens.arguments()?;
            match tokens.peek()? {
                Some(Token::Sign('{')) => {
                    tokens.next()?;
                    if reader.open.len() == DEPTH_MAX {
                        return Err(
                            tokens.error(format!("groups are nested deeper than {DEPTH_MAX}"))
                        );
                    }
                    reader.open(name, &arguments);
                }
                Some(Token::Sign(';')) => {
                    tokens.next()?;
                }
                _ => {}
            }
        }
        _ => {
            let name: String = name.chars().take(40).collect();
            return Err(tokens.error(format!("`{name}` is followed by neither `:` nor `(`")));
        }
    }
    Ok(())
}

impl Reader {
    fn open(&mut self, name: &str, arguments: &[&str]) {
        let first = || {
            arguments
                .first()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        match (self.open.len(), name) {
            (0, "library") => {
                self.library.name = first();
                self.found = true;
            }
            (1, "cell") => self.cell = Some((first(), LibraryCell::default())),
            (2, "pin") => {
                self.pins = arguments.iter().map(ToString::to_string).collect();
                self.direction.clear();
                self.function = None;
            }
            (2, "ff" | "ff_bank") => {
                if let Some((_, cell)) = &mut self.cell {
                    cell.flip_flop = Some(FlipFlop::default());
                }
            }
            (2, "latch" | "latch_bank") => {
                if let Some((_, cell)) = &mut self.cell {
                    cell.latch = true;
                }
            }
            _ => {}
        }
        self.open.push(name.to_owned());
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let inner = self.open.last().map_or("", String::as_str);
        let Some((_, cell)) = &mut self.cell else {
            return;
        };
        match (self.open.len(), inner, name) {
            (2, "cell", "area") => {
                let area: Option<f64> = value.parse().ok();
                cell.area = area.filter(|area| area.is_finite() && *area >= 0.0);
            }
            (3, "pin", "direction") => self.direction = value.to_owned(),
            (3, "pin", "function") => self.function = Some(value.to_owned()),
            (3, "ff" | "ff_bank", "next_state" | "clocked_on") => {
                if let Some(flip_flop) = &mut cell.flip_flop {
                    match name {
                        "next_state" => flip_flop.next_state = value.to_owned(),
                        _ => flip_flop.clocked_on = value.to_owned(),
                    }
                }
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let name = self.open.pop().unwrap_or_default();
        match (self.open.len(), name.as_str()) {
            (2, "pin") => {
                let (pins, function) = (std::mem::take(&mut self.pins), self.function.take());
                let Some((_, cell)) = &mut self.cell else {
                    return;
                };
                match self.direction.as_str() {
                    "input" => cell.inputs.extend(pins),
                    "output" => cell
                        .outputs
                        .extend(pins.into_iter().map(|pin| (pin, function.clone()))),
                    _ => {}
                }
            }
            (1, "cell") => self.library.cells.extend(self.cell.take()),
            _ => {}
        }
    }
}
