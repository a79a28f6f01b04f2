//! Tokens of Verilog: enough of the language for text that this project emits.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Word,
    /// A number, with its size and base where it has them.
    Number,
    /// Anything else.
    Symbol,
}

/// A token: bytes `start .. end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Byte behind the last one.
    pub end: usize,
}

/// Symbols of several characters, longest first.
const SYMBOLS: [&str; 14] = [
    ">>>", "<<<", "===", "!==", "<=", ">=", "==", "!=", "<<", ">>", "&&", "||", "+:", "-:",
];

/// The tokens of a text, without white space, comments, attributes and compiler directives.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(length) = blank(rest, first) {
            at += length;
            continue;
        }
        let (kind, length) = token(rest, first);
        found.push(Token {
            kind,
            start: at,
            end: at + length,
        });
        at += length;
    }
    found
}

/// The length of what is no token, if the text begins with that.
fn blank(rest: &str, first: char) -> Option<usize> {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if first.is_whitespace() {
        Some(first.len_utf8())
    } else if rest.starts_with("`ifdef") {
        // Assertions: no hardware, and nothing to put a fault into.
        Some(until("`endif"))
    } else if rest.starts_with("//") || first == '`' {
        Some(until("\n"))
    } else if rest.starts_with("/*") {
        Some(until("*/"))
    } else if rest.starts_with("(* ") {
        Some(until("*)"))
    } else {
        None
    }
}

fn token(rest: &str, first: char) -> (Kind, usize) {
    let run = |test: fn(char) -> bool| rest.find(|c| !test(c)).unwrap_or(rest.len());
    if first.is_ascii_alphabetic() || first == '_' || first == '$' {
        let length = run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
        return (Kind::Word, length);
    }
    if first.is_ascii_digit() {
        let length = run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '\'');
        return (Kind::Number, length);
    }
    let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
    (
        Kind::Symbol,
        symbol.map_or(first.len_utf8(), |symbol| symbol.len()),
    )
}

/// A sized number: bits, base letter, value. None for others, for unknown digits and for more than 64 bits.
pub fn literal(text: &str) -> Option<(u32, char, u64)> {
    let (bits, value) = text.split_once('\'')?;
    let base = value.chars().next()?.to_ascii_lowercase();
    let radix = match base {
        'b' => 2,
        'd' => 10,
        'h' => 16,
        _ => return None,
    };
    let value = u64::from_str_radix(&value[1..].replace('_', ""), radix).ok()?;
    let bits = bits.parse().ok().filter(|bits| (1..=64).contains(bits))?;
    Some((bits, base, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_attributes_and_directives_are_no_tokens() {
        let text =
            "`timescale 1ns\n(* keep *) reg /* x */ a; // b\nassign q = a <= 4'd3 ? ~b[2+:1] : $c;";
        let words: Vec<&str> = tokens(text).iter().map(|t| &text[t.start..t.end]).collect();
        assert_eq!(
            words.join(" "),
            "reg a ; assign q = a <= 4'd3 ? ~ b [ 2 +: 1 ] : $c ;"
        );
    }

    #[test]
    fn literals_are_read() {
        assert_eq!(literal("13'h1800"), Some((13, 'h', 0x1800)));
        assert_eq!(literal("1'b1"), Some((1, 'b', 1)));
        for other in ["12", "65'd1", "4'bx"] {
            assert_eq!(literal(other), None, "{other}");
        }
    }
}
