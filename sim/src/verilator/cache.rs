//! The cache of built models: entries found by content, built aside, locked, and checked before use.
//!
//! An entry is a folder `<kind>/<key>` with files and their SHA-256 digests in `digests`. It is made in a
//! temporary folder beside it and renamed, so it is there as a whole or not at all; a file lock keeps two
//! processes from making the same one; an entry whose files do not match their digests is made again. A compiler
//! that outlives the process that started it writes to a folder that no other process uses.

use super::tools::ToolError;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file of an entry that lists the digests of the others.
const DIGESTS: &str = "digests";

/// The file of a scratch folder that is locked while it is in use.
const SCRATCH_LOCK: &str = "lock";

/// The folder in which built models are kept: `XNORFORGE_CACHE`, or else the user's cache folder.
///
/// # Errors
/// [`ToolError::NoCacheFolder`] when neither is known.
pub fn default_cache_folder() -> Result<PathBuf, ToolError> {
    if let Some(folder) = std::env::var_os("XNORFORGE_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    directories::ProjectDirs::from("", "", "xnorforge")
        .map(|folders| folders.cache_dir().to_owned())
        .ok_or_else(|| {
            ToolError::NoCacheFolder("this user has no home folder to keep models in".into())
        })
}

/// A key: SHA-256 over parts, each with its length, so that no two lists of parts give the same bytes.
#[derive(Clone, Default)]
pub(super) struct Key(Sha256);

impl Key {
    pub(super) fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    pub(super) fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A cache folder.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// Entries that this process has found intact, or made: [`Cache::shared_entry`].
    known: Arc<Mutex<HashSet<PathBuf>>>,
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Cache {
            known: Arc::default(),
            folder,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The entry's folder; made by `make` in a folder of its own if it is missing or damaged. `make` returns the
    /// files to keep.
    pub(super) fn entry(
        &self,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<Vec<PathBuf>, ToolError>,
    ) -> Result<PathBuf, ToolError> {
        // The loader and the compiler run elsewhere, where a relative path would mean something else.
        let root = std::path::absolute(&self.folder)
            .map_err(|e| ToolError::NoCacheFolder(e.to_string()))?;
        let shelf = root.join(kind);
        let entry = shelf.join(key);
        if is_intact(&entry) {
            return Ok(entry);
        }
        fs::create_dir_all(&shelf).map_err(|e| {
            ToolError::NoCacheFolder(format!("cannot create {}: {e}", shelf.display()))
        })?;
        let _lock = lock(&shelf.join(format!("{key}.lock")))?;
        // Another process may have made it while this one waited.
        if is_intact(&entry) {
            return Ok(entry);
        }
        if entry.exists() {
            tracing::warn!(entry = %entry.display(), "a cached build is damaged; it is made again");
            fs::remove_dir_all(&entry).map_err(ToolError::io("remove", &entry))?;
        }
        let work = work_folder(&shelf, key)?;
        let kept = make(work.path())?;
        let finished = finish(work.path(), &kept)?;
        fs::rename(&finished, &entry).map_err(ToolError::io("create", &entry))?;
        Ok(entry)
    }

    /// As [`Cache::entry`], for what thousands of builds share: its digests are checked once in a process.
    pub(super) fn shared_entry(
        &self,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<Vec<PathBuf>, ToolError>,
    ) -> Result<PathBuf, ToolError> {
        let name = Path::new(kind).join(key);
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        if known.contains(&name) {
            let root = std::path::absolute(&self.folder)
                .map_err(|e| ToolError::NoCacheFolder(e.to_string()))?;
            return Ok(root.join(name));
        }
        let entry = self.entry(kind, key, make)?;
        known.insert(name);
        Ok(entry)
    }

    /// A folder for a build that is not kept. It goes with the value; those that killed processes left behind are
    /// removed here.
    pub(super) fn scratch(&self) -> Result<Scratch, ToolError> {
        let root = std::path::absolute(&self.folder)
            .map_err(|e| ToolError::NoCacheFolder(e.to_string()))?;
        let shelf = root.join("scratch");
        fs::create_dir_all(&shelf).map_err(|e| {
            ToolError::NoCacheFolder(format!("cannot create {}: {e}", shelf.display()))
        })?;
        remove_abandoned(&shelf)?;
        let folder = tempfile::Builder::new()
            .prefix("build-")
            .tempdir_in(&shelf)
            .map_err(ToolError::io("create a folder in", &shelf))?;
        let lock = lock(&folder.path().join(SCRATCH_LOCK))?;
        Ok(Scratch {
            folder,
            _lock: lock,
        })
    }

    /// Keeps the log of a failed build and points the error to it.
    pub(super) fn keep_log(&self, error: ToolError, key: &str) -> ToolError {
        let ToolError::Failed {
            tool,
            status,
            log,
            excerpt,
        } = error
        else {
            return error;
        };
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        let folder = self.folder.join("logs");
        let kept = folder.join(format!("{}-{name}", &key[..16]));
        let copied = fs::create_dir_all(&folder).and_then(|()| fs::copy(&log, &kept));
        ToolError::Failed {
            tool,
            status,
            log: if copied.is_ok() { kept } else { log },
            excerpt,
        }
    }
}

/// A folder of its own for a build; locked as long as it is in use.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the scratch folders whose locks nobody holds.
fn remove_abandoned(shelf: &Path) -> Result<(), ToolError> {
    let entries = fs::read_dir(shelf).map_err(ToolError::io("read", shelf))?;
    for entry in entries.flatten() {
        // One without a lock is being made.
        let Ok(lock) = File::open(entry.path().join(SCRATCH_LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            // A tool of the killed process may still write there; what stays goes the next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// A folder to build in, removed when it is dropped. The key is locked, so others of it were left behind by processes
/// that were killed; they are removed.
fn work_folder(shelf: &Path, key: &str) -> Result<tempfile::TempDir, ToolError> {
    let prefix = format!("{key}.build-");
    let entries = fs::read_dir(shelf).map_err(ToolError::io("read", shelf))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // A tool of the killed process may still write there; what stays goes the next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(shelf)
        .map_err(ToolError::io("create a folder in", shelf))
}

/// Takes a file lock, waiting for it; it is given back when the file is dropped, or when the process ends.
fn lock(path: &Path) -> Result<File, ToolError> {
    let file = File::create(path).map_err(ToolError::io("create", path))?;
    loop {
        match file.lock() {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            result => {
                result.map_err(ToolError::io("lock", path))?;
                return Ok(file);
            }
        }
    }
}

/// Moves the kept files into a folder of their own, with their digests.
fn finish(work: &Path, kept: &[PathBuf]) -> Result<PathBuf, ToolError> {
    let finished = work.join("finished");
    fs::create_dir(&finished).map_err(ToolError::io("create", &finished))?;
    let mut digests = String::new();
    for file in kept {
        let name = file.file_name().unwrap_or_default();
        let target = finished.join(name);
        fs::rename(file, &target).map_err(ToolError::io("move", file))?;
        let digest = digest(&target).map_err(ToolError::io("read", &target))?;
        // Writing to a String cannot fail.
        let _ = writeln!(digests, "{digest}  {}", name.to_string_lossy());
    }
    let list = finished.join(DIGESTS);
    fs::write(&list, digests).map_err(ToolError::io("write", &list))?;
    Ok(finished)
}

/// Whether an entry is there and every file of it is what was made.
fn is_intact(entry: &Path) -> bool {
    let Ok(digests) = fs::read_to_string(entry.join(DIGESTS)) else {
        return false;
    };
    let mut lines = digests.lines().peekable();
    lines.peek().is_some()
        && lines.all(|line| {
            line.split_once("  ").is_some_and(|(expected, name)| {
                digest(&entry.join(name)).is_ok_and(|found| found == expected)
            })
        })
}

fn digest(path: &Path) -> std::io::Result<String> {
    Ok(hexadecimal(&Sha256::digest(fs::read(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |parts: &[&str]| {
            parts
                .iter()
                .fold(Key::default(), |key, part| key.part(part))
                .finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
        assert_eq!(key(&["a"]), key(&["a"]));
    }

    #[test]
    fn an_entry_is_made_once_and_again_when_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let made = Cell::new(0);
        let entry = || {
            cache
                .entry("kind", "key", |work| {
                    made.set(made.get() + 1);
                    let file = work.join("file");
                    fs::write(&file, "text").unwrap();
                    Ok(vec![file])
                })
                .unwrap()
        };
        let first = entry();
        assert_eq!((entry(), made.get()), (first.clone(), 1));
        for damage in [&b"texx"[..], b"", b"text and more"] {
            let before = made.get();
            fs::write(first.join("file"), damage).unwrap();
            entry();
            assert_eq!(made.get(), before + 1);
            assert_eq!(fs::read(first.join("file")).unwrap(), b"text");
        }
        fs::remove_file(first.join("file")).unwrap();
        fs::write(first.join(DIGESTS), "").unwrap();
        entry();
        assert_eq!(made.get(), 5);
    }

    #[test]
    fn scratch_folders_go_and_those_of_killed_processes_too() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let abandoned = folder.path().join("scratch/build-abandoned");
        fs::create_dir_all(&abandoned).unwrap();
        fs::write(abandoned.join(SCRATCH_LOCK), "").unwrap();
        let first = cache.scratch().unwrap();
        assert!(!abandoned.exists() && first.path().exists());
        let second = cache.scratch().unwrap();
        assert!(first.path().exists() && first.path() != second.path());
        drop((first, second));
        let left = fs::read_dir(folder.path().join("scratch")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_shared_entry_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let entry = || {
            let make = |work: &Path| {
                let file = work.join("file");
                fs::write(&file, "text").unwrap();
                Ok(vec![file])
            };
            cache.shared_entry("kind", "key", make).unwrap()
        };
        assert_eq!(entry(), entry());
        assert_eq!(entry(), folder.path().join("kind/key"));
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_a_killed_one_does_not_hinder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let failed = cache.entry("kind", "key", |_| Err(ToolError::Source("no".into())));
        assert!(failed.is_err());
        let left: Vec<_> = fs::read_dir(folder.path().join("kind"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["key.lock"]);

        let left = folder.path().join("kind/key.build-1/finished");
        fs::create_dir_all(&left).unwrap();
        let made = cache.entry("kind", "key", |work| {
            assert!(!left.exists() && work != left.parent().unwrap());
            let file = work.join("file");
            fs::write(&file, "text").unwrap();
            Ok(vec![file])
        });
        assert!(made.unwrap().join("file").exists());
    }
}
