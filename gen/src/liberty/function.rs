//! Boolean functions as Liberty writes them: `!A`, `A'`, `A * B`, `A & B`, `A B`, `A ^ B`, `A + B`, `A | B`, brackets.

/// Most inputs of a truth table that fits 64 bits.
const INPUTS_MAX: usize = 6;
/// Deepest nesting of brackets and inversions.
const DEPTH_MAX: usize = 64;

/// The truth table of a function; none if it is of too many inputs, names something else, or cannot be read.
pub(super) fn truth_table(text: &str, inputs: &[String]) -> Option<u64> {
    if inputs.len() > INPUTS_MAX {
        return None;
    }
    let rows = 1u32 << inputs.len();
    let mask = if rows == 64 {
        u64::MAX
    } else {
        (1 << rows) - 1
    };
    let mut parser = Parser {
        rest: text,
        inputs,
        mask,
    };
    let table = parser.sum(0)?;
    parser.rest.trim_start().is_empty().then_some(table)
}

struct Parser<'a> {
    rest: &'a str,
    inputs: &'a [String],
    mask: u64,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes one character if it is one of these.
    fn take(&mut self, any: &[char]) -> bool {
        match self.peek() {
            Some(c) if any.contains(&c) => {
                self.rest = &self.rest[c.len_utf8()..];
                true
            }
            _ => false,
        }
    }

    fn sum(&mut self, depth: usize) -> Option<u64> {
        let mut value = self.product(depth)?;
        while self.take(&['+', '|']) {
            value |= self.product(depth)?;
        }
        Some(value)
    }

    fn product(&mut self, depth: usize) -> Option<u64> {
        let mut value = self.exclusive(depth)?;
        // A blank between two factors is an AND as well.
        while self.take(&['*', '&'])
            || matches!(self.peek(), Some(c) if c == '(' || c == '!' || starts_name(c))
        {
            value &= self.exclusive(depth)?;
        }
        Some(value)
    }

    fn exclusive(&mut self, depth: usize) -> Option<u64> {
        let mut value = self.factor(depth)?;
        while self.take(&['^']) {
            value ^= self.factor(depth)?;
        }
        Some(value)
    }

    fn factor(&mut self, depth: usize) -> Option<u64> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut value = if self.take(&['!']) {
            return Some(!self.factor(depth + 1)? & self.mask);
        } else if self.take(&['(']) {
            let value = self.sum(depth + 1)?;
            self.take(&[')']).then_some(value)?
        } else {
            self.operand()?
        };
        while self.take(&['\'']) {
            value = !value & self.mask;
        }
        Some(value)
    }

    /// A pin or a constant.
    fn operand(&mut self) -> Option<u64> {
        self.peek()?;
        let end = self
            .rest
            .find(|c: char| !(starts_name(c) || matches!(c, '[' | ']')))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name {
            "0" => return Some(0),
            "1" => return Some(self.mask),
            _ => {}
        }
        let index = self.inputs.iter().position(|input| input == name)?;
        let rows = 0..64u32;
        let table = rows
            .filter(|row| row >> index & 1 == 1)
            .map(|row| 1u64 << row);
        Some(table.sum::<u64>() & self.mask)
    }
}

fn starts_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
