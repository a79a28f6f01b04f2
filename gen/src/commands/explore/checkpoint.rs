//! What a long sweep has found so far, beside its folder: an interrupted one goes on there.
//!
//! The file `.DIR.points` holds a line with the sweep's identity, then one for each point in order, with its index; so does
//! `.DIR.synthesized` for the points that tools have synthesized. What is not whole, or of another sweep or version, is not
//! used. The file is locked while a sweep writes it, and a file that
//! does not begin as ours do is left alone.

use crate::failure::Failure;
use crate::manifest::GENERATOR;
use crate::output::sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Raised whenever the formulas or the form of the points change: what was found by others is not used.
const SCHEMA: u32 = 3;
/// How the first line of every such file begins.
const MARK: &str = "xnorforge explore, points so far: ";

/// What was found for the points of a sweep so far; nobody else writes it as long as this lives.
#[derive(Debug)]
pub struct Checkpoint<T> {
    path: PathBuf,
    file: File,
    known: Vec<T>,
}

/// A checkpoint that nothing is added to any more.
#[derive(Debug)]
pub struct Closed {
    path: PathBuf,
    _locked: File,
}

impl<T: Serialize + DeserializeOwned> Checkpoint<T> {
    /// The checkpoint `.DIR.KIND` of a sweep of `count` points whose result goes to `folder`, DIR; `identity` is all that they
    /// follow from.
    ///
    /// # Errors
    /// A file that cannot be written, that another run has locked, or that is none of ours.
    pub fn open(folder: &Path, kind: &str, identity: &str, count: u64) -> Result<Self, Failure> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!(".{name}.{kind}"));
        let wrong = |e: &str| {
            Failure::input(format!(
                "`{}`, which holds what the sweep has found so far: {e}",
                path.display()
            ))
        };
        let mut file = open(&path).map_err(|e| wrong(&e.to_string()))?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                return Err(wrong(
                    "another run with the same --out has locked it; wait for that run, or choose another --out",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(wrong(&format!("it cannot be locked: {e}"))),
        }
        if !path.exists() {
            return Err(wrong("another run has just finished with it; run again"));
        }
        let identity = format!(
            "{} {} {SCHEMA} {identity}",
            GENERATOR.name, GENERATOR.version
        );
        let first = format!("{MARK}{}\n", sha256(identity.as_bytes()));
        let known = restore(&mut file, &first, count).map_err(|e| wrong(&e.to_string()))?;
        Ok(Checkpoint { path, file, known })
    }

    /// What was there, in order.
    pub fn take_known(&mut self) -> Vec<T> {
        std::mem::take(&mut self.known)
    }

    /// Adds what was found for points, the first of which has the index `first`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, first: u64, results: &[T]) -> Result<(), Failure> {
        self.try_append(first, results).map_err(|e| {
            Failure::input(format!(
                "cannot write `{}`, which holds what the sweep has found so far: {e}",
                self.path.display()
            ))
        })
    }

    fn try_append(&mut self, first: u64, results: &[T]) -> std::io::Result<()> {
        let mut writer = BufWriter::new(&self.file);
        for (index, result) in (first..).zip(results) {
            writeln!(writer, "{}", serde_json::to_string(&(index, result))?)?;
        }
        writer.flush()
    }

    /// The file stays, and stays locked, until it is removed.
    pub fn close(self) -> Closed {
        Closed {
            path: self.path,
            _locked: self.file,
        }
    }
}

impl Closed {
    /// Removes the file: the sweep is done.
    pub fn remove(self) {
        // One that stays does no harm. The lock is given back after this.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

/// Reads the points up to the first that is not whole or not in its place, and cuts off what comes behind them.
fn restore<T: DeserializeOwned>(
    file: &mut File,
    first: &str,
    count: u64,
) -> std::io::Result<Vec<T>> {
    let mut reader = BufReader::new(&*file);
    let mut begin = Vec::new();
    reader.read_until(b'\n', &mut begin)?;
    // Also the start of a line that was being written.
    let is_ours = begin.starts_with(MARK.as_bytes()) || MARK.as_bytes().starts_with(&begin);
    if !is_ours {
        return Err(std::io::Error::other(
            "it is another file; move it away, or choose another --out",
        ));
    }
    let mut known = Vec::new();
    let mut length = first.len() as u64;
    let is_this = begin == first.as_bytes();
    let mut line = String::new();
    while is_this && (known.len() as u64) < count {
        line.clear();
        let is_read = reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0);
        if !is_read || !line.ends_with('\n') {
            break;
        }
        match serde_json::from_str::<(u64, T)>(&line) {
            Ok((index, result)) if known.len() as u64 == index => known.push(result),
            _ => break,
        }
        length += line.len() as u64;
    }
    if is_this {
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
    } else {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(first.as_bytes())?;
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::explore::point::Point;

    type Results = Result<Point, String>;

    #[test]
    fn an_interrupted_sweep_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let open = |identity| Checkpoint::<Results>::open(&out, "points", identity, 9);
        let result = |text: &str| Results::Err(text.to_owned());
        let mut checkpoint = open("a sweep").unwrap();
        assert!(checkpoint.take_known().is_empty());
        checkpoint.append(0, &[result("a"), result("b")]).unwrap();
        checkpoint.append(2, &[result("c")]).unwrap();
        let message = format!("{:?}", open("a sweep").unwrap_err());
        assert!(message.contains("locked"), "{message}");
        let path = checkpoint.path.clone();
        drop(checkpoint);
        // The last line was being written.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let mut checkpoint = open("a sweep").unwrap();
        assert_eq!(checkpoint.take_known(), vec![result("a"), result("b")]);
        // A line that is not in its place hides what comes behind it.
        checkpoint.append(2, &[result("d")]).unwrap();
        checkpoint.append(2, &[result("d")]).unwrap();
        drop(checkpoint);
        assert_eq!(open("a sweep").unwrap().take_known().len(), 3);
        assert!(open("another").unwrap().take_known().is_empty());
        open("another").unwrap().close().remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_someone_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".out.points");
        std::fs::write(&path, "mine\n").unwrap();
        let out = folder.path().join("out");
        assert!(Checkpoint::<Results>::open(&out, "points", "a sweep", 9).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
    }
}
