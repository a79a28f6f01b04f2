//! Versions, as tools print them.

use std::fmt;

/// The version of a tool: numbers that compare one by one, so that 5.48 is newer than 5.006.
///
/// ```
/// use xnorforge::tools::Version;
/// let version = Version::parse("Yosys 0.23 (git sha1 7ce5011c24b)").unwrap();
/// assert_eq!(version.to_string(), "0.23");
/// assert!(version.at_least(&[0, 9]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    numbers: Vec<u32>,
}

impl Version {
    /// The first dotted number that stands alone (a leading `v` is fine) in `text`, or else the first
    /// plain one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut plain = None;
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        for word in words {
            let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
            // `nextpnr-0.11.1`: the name in front is of no use.
            let word = match word.split_once('-') {
                Some((name, version))
                    if name.starts_with(|c: char| c.is_ascii_alphabetic())
                        && version.starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    version
                }
                _ => word,
            };
            let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
            let number = word[..end.unwrap_or(word.len())].trim_end_matches('.');
            // `64bit` or `2nd` is no version, but `12.2.0-14` and `0.4_beta` begin with one.
            let cut_off_by_letter = end.is_some_and(|e| word.as_bytes()[e].is_ascii_alphabetic());
            let numbers: Option<Vec<u32>> = number.split('.').map(|n| n.parse().ok()).collect();
            match numbers {
                Some(numbers) if numbers.len() > 1 => return Some(Self::of(number, numbers)),
                Some(numbers) if end.is_none() && !cut_off_by_letter && plain.is_none() => {
                    plain = Some(Self::of(number, numbers));
                }
                _ => {}
            }
        }
        plain
    }

    fn of(text: &str, numbers: Vec<u32>) -> Self {
        let text = text.to_owned();
        Self { text, numbers }
    }

    /// True if this version is `minimum` or newer; missing numbers count as 0.
    pub fn at_least(&self, minimum: &[u32]) -> bool {
        let length = self.numbers.len().max(minimum.len());
        let padded = |n: &[u32]| {
            let mut n = n.to_vec();
            n.resize(length, 0);
            n
        };
        padded(&self.numbers) >= padded(minimum)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A version's numbers as they are written.
pub(super) fn dotted(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(".")
}
