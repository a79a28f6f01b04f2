//! Changes that keep most of a file's structure, so that they get past the first check: of bytes, of words and numbers, of
//! headers and members with their lengths put right, of fields of protocol buffers at any depth.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use std::io::{Cursor, Read, Write};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What a file is made of.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Words, numbers, lines and brackets.
    Text,
    /// A `.npy`.
    Npy,
    /// A zip of `.npy`.
    Npz,
    /// A length of eight bytes, JSON, data.
    Safetensors,
    /// Fields of protocol buffers.
    Protobuf,
}

const NUMBERS: [&str; 26] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "9",
    "255",
    "256",
    "1024",
    "1025",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999",
    "0.5",
    "1e308",
    "-1e-320",
    "nan",
    "-inf",
];

const PIECES: [&str; 18] = [
    "\0",
    "\u{1b}[31m",
    "\u{202e}",
    "é",
    "\u{1F600}",
    "\r\n",
    "\"\"\"",
    "'''",
    "#",
    "//",
    "\\",
    "\\u0000",
    "..",
    "../",
    "=",
    ",,",
    "\t",
    "\u{feff}",
];

const EDGES: [u64; 12] = [
    0,
    1,
    2,
    127,
    255,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// No file becomes longer.
const BYTES_MAX: usize = 1 << 20;

/// Makes changed files of valid ones.
pub struct Mutator<'c> {
    rng: ChaCha8Rng,
    corpus: &'c [Vec<u8>],
}

impl<'c> Mutator<'c> {
    pub fn new(rng: ChaCha8Rng, corpus: &'c [Vec<u8>]) -> Self {
        Mutator { rng, corpus }
    }

    /// One of the corpus with one to six changes.
    pub fn mutate(&mut self, form: Form) -> Vec<u8> {
        let mut bytes = self.other().to_vec();
        let changes = 1 + self.below(6);
        if let Form::Protobuf = form
            && self.rng.random_bool(0.8)
        {
            return self.protobuf(&bytes, changes);
        }
        for _ in 0..changes {
            bytes.truncate(BYTES_MAX);
            bytes = match form {
                _ if self.rng.random_bool(0.15) => self.bytes(bytes),
                Form::Text => self.text(bytes),
                Form::Npy => self.npy(bytes),
                Form::Npz => self.npz(bytes),
                Form::Safetensors => self.safetensors(bytes),
                Form::Protobuf => self.bytes(bytes),
            };
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn other(&mut self) -> &'c [u8] {
        self.corpus.choose(&mut self.rng).map_or(&[], Vec::as_slice)
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end.max(1))
    }

    fn edge(&mut self) -> u64 {
        let edge = EDGES[self.below(EDGES.len())];
        match self.below(3) {
            0 => edge.wrapping_add(self.below(4) as u64),
            1 => edge.wrapping_sub(self.below(4) as u64),
            _ => edge,
        }
    }

    /// A change that knows nothing of the file.
    fn bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return vec![self.rng.random()];
        }
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(40)).min(bytes.len());
        match self.below(8) {
            0 => bytes[at] = self.rng.random(),
            1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let count = 1 + self.below(12);
                let more: Vec<u8> = (0..count).map(|_| self.rng.random()).collect();
                bytes.splice(at..at, more);
            }
            5 => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, part);
            }
            6 => {
                let width = [1, 2, 4, 8][self.below(4)];
                let value = self.edge().to_le_bytes();
                for (byte, new) in bytes[at..].iter_mut().zip(&value[..width]) {
                    *byte = *new;
                }
            }
            _ => {
                let other = self.other();
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend(&other[from.min(other.len())..]);
            }
        }
        bytes
    }

    fn text(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Ok(text) = String::from_utf8(bytes) else {
            return self.other().to_vec();
        };
        match self.below(10) {
            0..4 => self.words(&text),
            4..6 => self.lines(&text),
            6 => {
                let piece = PIECES[self.below(PIECES.len())];
                self.inserted(&text, piece)
            }
            7 => {
                let (open, close) = [
                    ("[", "]"),
                    ("{", "}"),
                    ("(", ")"),
                    ("{a=", "}"),
                    ("[[", "]]"),
                    ("a.", ""),
                ][self.below(6)];
                let depth = [3, 50, 200, 20_000][self.below(4)];
                let closed = if self.rng.random_bool(0.5) { depth } else { 0 };
                let nested = open.repeat(depth) + "1" + &close.repeat(closed);
                self.inserted(&text, &nested)
            }
            8 => {
                let length = [100, 5000, 70_000][self.below(3)];
                let digit = ["9", "a", "1,", " "][self.below(4)];
                self.inserted(&text, &digit.repeat(length))
            }
            _ => self.bytes(text.into_bytes()),
        }
    }

    fn inserted(&mut self, text: &str, piece: &str) -> Vec<u8> {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        [&text[..at], piece, &text[at..]].concat().into_bytes()
    }

    /// Another number or word in the place of one.
    fn words(&mut self, text: &str) -> Vec<u8> {
        let mut words = split(text);
        let is_word =
            |word: &&str| word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        let places: Vec<usize> = (0..words.len()).filter(|i| is_word(&words[*i])).collect();
        let Some(&at) = places.choose(&mut self.rng) else {
            return text.as_bytes().to_vec();
        };
        let is_number = words[at].starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let others = std::str::from_utf8(self.other()).unwrap_or_default();
        let others: Vec<&str> = split(others).into_iter().filter(is_word).collect();
        words[at] = match self.below(8) {
            0..5 if is_number => NUMBERS[self.below(NUMBERS.len())],
            5 => "",
            6 => NUMBERS[self.below(NUMBERS.len())],
            _ => others.choose(&mut self.rng).copied().unwrap_or("x"),
        };
        words.concat().into_bytes()
    }

    fn lines(&mut self, text: &str) -> Vec<u8> {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let (at, to) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(4) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(to, lines[at]),
            2 => lines.swap(at, to),
            _ => {
                let line = lines[at];
                let count = [2, 100, 5000][self.below(3)].min(BYTES_MAX / line.len().max(1) + 2);
                lines.splice(to..to, std::iter::repeat_n(line, count));
            }
        }
        lines.concat().into_bytes()
    }

    /// Another header, its length put right, or other data.
    fn npy(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Some((header, data)) = npy_parts(&bytes) else {
            return self.bytes(bytes);
        };
        let (mut header, mut data) = (header.to_vec(), data.to_vec());
        match self.below(4) {
            0..3 => header = self.text(header),
            _ => data = self.bytes(data),
        }
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.iter().take(usize::from(u16::MAX)));
        file.extend(data);
        file
    }

    /// Other members, or other bytes of the archive: fields of its own headers among them.
    fn npz(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.rng.random_bool(0.3) {
            let signatures: Vec<usize> = (0..bytes.len().saturating_sub(4))
                .filter(|i| bytes[*i..].starts_with(b"PK"))
                .collect();
            if let Some(at) = signatures.choose(&mut self.rng) {
                let at = at + 4 + self.below(42);
                let width = [1, 2, 4][self.below(3)];
                let value = self.edge().to_le_bytes();
                for (byte, new) in bytes.iter_mut().skip(at).zip(&value[..width]) {
                    *byte = *new;
                }
            }
            return bytes;
        }
        let Some(mut members) = members(&bytes) else {
            return self.bytes(bytes);
        };
        if !members.is_empty() {
            let at = self.below(members.len());
            match self.below(8) {
                0 => drop(members.remove(at)),
                1 => members.push(members[at].clone()),
                2 => {
                    members[at].0 =
                        String::from_utf8_lossy(&self.text(members[at].0.clone().into_bytes()))
                            .into()
                }
                3 => {
                    members[at].0 = [
                        "../../x.npy",
                        "/etc/x.npy",
                        "",
                        "a\0b.npy",
                        "l1.weight_codes.npy",
                    ][self.below(5)]
                    .into()
                }
                4 => members[at].1 = self.bytes(members[at].1.clone()),
                _ => members[at].1 = self.npy(members[at].1.clone()),
            }
        }
        zipped(&members)
    }

    /// Another header, its length put right, or other data.
    fn safetensors(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let length = bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b)) as usize;
        let Some((header, data)) = bytes
            .get(8..)
            .and_then(|rest| rest.split_at_checked(length))
        else {
            return self.bytes(bytes);
        };
        let header = self.text(header.to_vec());
        [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
    }

    fn protobuf(&mut self, bytes: &[u8], changes: usize) -> Vec<u8> {
        let Some(mut message) = fields(bytes, 0) else {
            return self.bytes(bytes.to_vec());
        };
        for _ in 0..changes {
            self.field(&mut message);
        }
        let mut bytes = Vec::new();
        write_fields(&message, &mut bytes);
        bytes
    }

    /// Changes one field, at any depth.
    fn field(&mut self, message: &mut Vec<Field>) {
        if message.is_empty() {
            return;
        }
        let at = self.below(message.len());
        if let Content::Message(inner) = &mut message[at].content
            && self.rng.random_bool(0.85)
        {
            return self.field(inner);
        }
        match self.below(12) {
            0 => drop(message.remove(at)),
            1 => {
                let copy = message[at].clone();
                let to = self.below(message.len() + 1);
                message.insert(to, copy);
            }
            2 => {
                let to = self.below(message.len());
                message.swap(at, to);
            }
            3 => message[at].number = 1 + self.below(24) as u64,
            4 => {
                let depth = [2, 40, 5000][self.below(3)];
                let number = message[at].number;
                for _ in 0..depth {
                    let inner = std::mem::take(message);
                    message.push(Field {
                        number,
                        content: Content::Message(inner),
                    });
                    // Only the field itself goes deeper.
                    if depth > 40 {
                        break;
                    }
                }
            }
            _ => self.content(message, at),
        }
    }

    fn content(&mut self, message: &mut [Field], at: usize) {
        let from = self.below(message.len());
        let other = message[from].content.clone();
        let edge = self.edge();
        match &mut message[at].content {
            Content::Varint(value) => *value = edge,
            Content::Fixed(bytes) => {
                let number = NUMBERS[self.below(NUMBERS.len())]
                    .parse::<f64>()
                    .unwrap_or(0.0);
                *bytes = match bytes.len() {
                    4 => (number as f32).to_le_bytes().to_vec(),
                    _ => number.to_le_bytes().to_vec(),
                };
            }
            Content::Bytes(bytes) => {
                let old = std::mem::take(bytes);
                *bytes = match other {
                    Content::Bytes(other) if self.rng.random_bool(0.5) => other,
                    _ => self.bytes(old),
                };
            }
            Content::Message(inner) => {
                if let Content::Message(other) = other {
                    *inner = other;
                }
            }
        }
    }
}

/// Words and numbers, and every other character alone.
fn split(text: &str) -> Vec<&str> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match is_inside(first) {
            true => rest.find(|c| !is_inside(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(length);
        words.push(word);
        rest = behind;
    }
    words
}

fn npy_parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
    let (length, rest) = rest.split_first_chunk()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
}

type Member = (String, Vec<u8>);

fn members(bytes: &[u8]) -> Option<Vec<Member>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).ok()?;
            let mut content = Vec::new();
            file.by_ref().take(1 << 20).read_to_end(&mut content).ok()?;
            Some((file.name().to_owned(), content))
        })
        .collect()
}

fn zipped(members: &[Member]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = FileOptions::default().compression_method(CompressionMethod::Stored);
        // A name that the writer refuses is left out.
        if archive.start_file(name.as_str(), options).is_ok() {
            archive.write_all(content).expect("in memory");
        }
    }
    archive.finish().expect("in memory").into_inner()
}

/// A field of a message of protocol buffers.
#[derive(Clone, Debug)]
struct Field {
    number: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Varint(u64),
    /// Four or eight bytes.
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// The fields of a message, and those of what can be read as messages inside it; none if it is no message.
fn fields(bytes: &[u8], depth: u32) -> Option<Vec<Field>> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let content = match key & 7 {
            0 => Content::Varint(varint(&mut rest)?),
            1 => Content::Fixed(rest.split_off(..8)?.to_vec()),
            5 => Content::Fixed(rest.split_off(..4)?.to_vec()),
            2 => {
                let length = varint(&mut rest)?.try_into().ok()?;
                let content = rest.split_off(..length)?;
                let is_text = content.iter().all(|b| b.is_ascii_graphic());
                match fields(content, depth + 1).filter(|_| depth < 6 && !is_text) {
                    Some(inner) => Content::Message(inner),
                    None => Content::Bytes(content.to_vec()),
                }
            }
            _ => return None,
        };
        found.push(Field {
            number: key >> 3,
            content,
        });
    }
    Some(found).filter(|_| depth < 7)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn write_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn write_fields(fields: &[Field], bytes: &mut Vec<u8>) {
    for field in fields {
        let mut inner = Vec::new();
        let kind = match &field.content {
            Content::Varint(value) => {
                write_varint(*value, &mut inner);
                0
            }
            Content::Fixed(fixed) => {
                inner.extend(fixed);
                if fixed.len() == 4 { 5 } else { 1 }
            }
            Content::Bytes(content) => {
                write_varint(content.len() as u64, &mut inner);
                inner.extend(content);
                2
            }
            Content::Message(message) => {
                let mut content = Vec::new();
                write_fields(message, &mut content);
                write_varint(content.len() as u64, &mut inner);
                inner.extend(content);
                2
            }
        };
        write_varint(field.number << 3 | kind, bytes);
        bytes.extend(inner);
    }
}
