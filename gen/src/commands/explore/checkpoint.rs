//! What a long sweep has found so far, beside its folder: an interrupted one goes on there.
//!
//! The file `.DIR.points` holds a line with the sweep's identity, then one for each point in order. What is not whole, or
//! of another sweep or version, is not used.

use super::search::Results;
use crate::failure::Failure;
use crate::manifest::GENERATOR;
use crate::output::sha256;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The points of a sweep so far.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    identity: String,
    /// Whether the file holds whole lines of this sweep alone.
    is_whole: Cell<bool>,
}

impl Checkpoint {
    /// The checkpoint of a sweep whose result goes to `folder`; `identity` is all that its points follow from.
    pub fn beside(folder: &Path, identity: &str) -> Self {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let identity = format!("{} {} {identity}", GENERATOR.name, GENERATOR.version);
        Checkpoint {
            path: folder.with_file_name(format!(".{name}.points")),
            identity: sha256(identity.as_bytes()),
            is_whole: Cell::new(false),
        }
    }

    /// The points that are there, in order, up to the first that is not whole.
    pub fn read(&self) -> Results {
        let Ok(file) = File::open(&self.path) else {
            return Vec::new();
        };
        let mut lines = BufReader::new(file).lines().map_while(Result::ok);
        if lines.next().as_ref() != Some(&self.identity) {
            return Vec::new();
        }
        lines
            .map_while(|line| serde_json::from_str(&line).ok())
            .collect()
    }

    /// Adds points behind those that [`Checkpoint::read`] gives.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&self, results: &Results) -> Result<(), Failure> {
        self.try_append(results).map_err(|e| {
            Failure::input(format!(
                "cannot write `{}`, which holds what the sweep has found so far: {e}",
                self.path.display()
            ))
        })
    }

    fn try_append(&self, results: &Results) -> std::io::Result<()> {
        if let Some(parent) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let mut writer = if self.is_whole.get() {
            BufWriter::new(OpenOptions::new().append(true).open(&self.path)?)
        } else {
            // What is there and not whole, or of another sweep, would hide what comes behind it.
            let known = self.read();
            let mut writer = BufWriter::new(File::create(&self.path)?);
            writeln!(writer, "{}", self.identity)?;
            for result in &known {
                writeln!(writer, "{}", serde_json::to_string(result)?)?;
            }
            writer
        };
        for result in results {
            writeln!(writer, "{}", serde_json::to_string(result)?)?;
        }
        writer.flush()?;
        self.is_whole.set(true);
        Ok(())
    }

    /// Removes the file: the sweep is done.
    pub fn remove(&self) {
        // Without a file there is nothing to remove, and one that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_sweep_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let checkpoint = Checkpoint::beside(&out, "a sweep");
        assert!(checkpoint.read().is_empty());
        let result = |text: &str| Err(text.to_owned());
        checkpoint.append(&vec![result("a"), result("b")]).unwrap();
        checkpoint.append(&vec![result("c")]).unwrap();
        assert_eq!(checkpoint.read().len(), 3);
        // The last line was being written.
        let bytes = std::fs::read(&checkpoint.path).unwrap();
        std::fs::write(&checkpoint.path, &bytes[..bytes.len() - 4]).unwrap();
        let checkpoint = Checkpoint::beside(&out, "a sweep");
        assert_eq!(checkpoint.read().len(), 2);
        checkpoint.append(&vec![result("d")]).unwrap();
        assert_eq!(
            checkpoint.read(),
            vec![result("a"), result("b"), result("d")]
        );
        assert!(Checkpoint::beside(&out, "another").read().is_empty());
        checkpoint.remove();
        assert!(checkpoint.read().is_empty());
    }
}
