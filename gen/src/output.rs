//! Files and folders out, all or nothing: everything is made in memory, written beside its destination, and
//! renamed into place.

use crate::failure::Failure;
use crate::manifest;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files to write: relative path with `/`, content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// What may be replaced at the destination of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Nothing,
    Empty,
    /// Ours, with exactly the files that its manifest lists.
    Untouched,
    /// Ours, but files were changed, added or removed since; one of them.
    Changed,
    Foreign,
}

/// Checks, before any long work, that [`write_folder`] may write `folder`.
///
/// # Errors
/// A destination that is not a folder or that must not be replaced; what to do is in the message.
pub fn check_folder(folder: &Path, force: bool) -> Result<(), Failure> {
    let name = folder.display();
    match existing(folder)? {
        Existing::Nothing | Existing::Untouched => Ok(()),
        Existing::Empty | Existing::Changed if force => Ok(()),
        Existing::Empty => Err(Failure::input(format!(
            "`{name}` exists (an empty folder that this program did not write); remove it, choose another --out, or add --force"
        ))),
        Existing::Changed => Err(Failure::input(format!(
            "`{name}` was written by this program, but files in it were changed or added since; save them, then add --force to replace the whole folder"
        ))),
        Existing::Foreign => Err(Failure::input(format!(
            "`{name}` exists and holds no {} of this program, so it is not replaced (not even with --force); choose another --out or remove it yourself",
            manifest::FILE_NAME
        ))),
    }
}

fn existing(folder: &Path) -> Result<Existing, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::input(format!("cannot use `{}` as --out: {e}", folder.display()))
    };
    match std::fs::symlink_metadata(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Existing::Nothing),
        Err(e) => return Err(cannot(e)),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Failure::input(format!(
                "`{}` exists and is not a folder; choose another --out",
                folder.display()
            )));
        }
        Ok(_) => {}
    }
    let present = list_files(folder).map_err(cannot)?;
    if present.is_empty() {
        return Ok(Existing::Empty);
    }
    let Some(listed) = manifest::listed_files(folder) else {
        return Ok(Existing::Foreign);
    };
    let untouched = present.len() == listed.len() + 1
        && listed.iter().all(|(path, hash)| {
            present.contains(path)
                && std::fs::read(folder.join(path)).is_ok_and(|bytes| sha256(&bytes) == *hash)
        });
    Ok(if untouched {
        Existing::Untouched
    } else {
        Existing::Changed
    })
}

/// Every file below `folder`, relative, with `/`; folders without files count as a name ending in `/`, and what is
/// neither file nor folder as one ending in `@`.
fn list_files(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut waiting = vec![(folder.to_path_buf(), String::new())];
    while let Some((path, prefix)) = waiting.pop() {
        let mut empty = true;
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            empty = false;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() {
                files.push(name);
            } else {
                // A link or a pipe is none of ours, and reading one may never end.
                files.push(format!("{name}@"));
            }
        }
        if empty && !prefix.is_empty() {
            files.push(prefix);
        }
    }
    Ok(files)
}

/// Writes a folder all at once: into a temporary sibling first, then renamed. Replaces what
/// [`check_folder`] allows.
///
/// # Errors
/// As [`check_folder`], and any failure to write; the destination is then as it was.
pub fn write_folder(folder: &Path, files: &Files, force: bool) -> Result<(), Failure> {
    check_folder(folder, force)?;
    let aside = write_aside(folder, files)?;
    let (new, old) = (aside.path().join(NEW), aside.path().join("old"));
    swap_in(&new, folder, &old).map_err(|e| cannot_write(folder, &e))
}

/// Writes a folder all at once where there is none.
///
/// # Errors
/// Any failure to write, and a folder with files that is there already; nothing has changed then.
pub fn write_new_folder(folder: &Path, files: &Files) -> Result<(), Failure> {
    let aside = write_aside(folder, files)?;
    std::fs::rename(aside.path().join(NEW), folder).map_err(|e| cannot_write(folder, &e))
}

/// The name of what will be the folder, in the temporary one.
const NEW: &str = "new";

/// Writes the files of a folder into a temporary one beside it.
fn write_aside(folder: &Path, files: &Files) -> Result<tempfile::TempDir, Failure> {
    let parent = parent_of(folder);
    let write = || -> std::io::Result<tempfile::TempDir> {
        std::fs::create_dir_all(&parent)?;
        let aside = tempfile::Builder::new()
            .prefix(".xnorforge-")
            .tempdir_in(&parent)?;
        let new = aside.path().join(NEW);
        std::fs::create_dir(&new)?;
        for (name, bytes) in files {
            let path = new.join(name);
            std::fs::create_dir_all(parent_of(&path))?;
            std::fs::write(&path, bytes)?;
        }
        Ok(aside)
    };
    write().map_err(|e| cannot_write(folder, &e))
}

/// Puts `new` in the place of `folder`; what stood there goes to `old`, and comes back if the swap fails.
fn swap_in(new: &Path, folder: &Path, old: &Path) -> std::io::Result<()> {
    if std::fs::symlink_metadata(folder).is_err() {
        return std::fs::rename(new, folder);
    }
    // At once, where the file system can: an interrupt finds the one or the other.
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, new, CWD, folder, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    std::fs::rename(folder, old)?;
    std::fs::rename(new, folder).inspect_err(|_| {
        // Best effort on a path that was writable a moment ago; the error that matters is the first.
        let _ = std::fs::rename(old, folder);
    })
}

/// A file that is being written beside its destination. A device or a pipe, `/dev/stdout` for example, is written itself.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    place: FilePlace,
}

#[derive(Debug)]
enum FilePlace {
    /// Beside the file that it becomes.
    Aside(tempfile::NamedTempFile),
    /// What cannot be replaced.
    Device(File),
}

impl FilePlace {
    fn file(&mut self) -> &mut File {
        match self {
            FilePlace::Aside(aside) => aside.as_file_mut(),
            FilePlace::Device(file) => file,
        }
    }
}

impl NewFile {
    /// Begins a file; nothing appears at `path` yet.
    ///
    /// # Errors
    /// A destination that is a folder or cannot be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Err(Failure::input(format!(
                "cannot write `{}`: it is a folder; name a file in it",
                path.display()
            )));
        }
        let make = || {
            // A link is followed: the file that it leads to is replaced, not the link.
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            if std::fs::metadata(&path).is_ok_and(|m| !m.is_file()) {
                let file = File::options().write(true).open(&path)?;
                return Ok((path, FilePlace::Device(file)));
            }
            let parent = parent_of(&path);
            std::fs::create_dir_all(&parent)?;
            let mut builder = tempfile::Builder::new();
            let aside = builder.prefix(".xnorforge-").tempfile_in(&parent)?;
            Ok((path, FilePlace::Aside(aside)))
        };
        let (path, place) = make().map_err(|e| cannot_write(path, &e))?;
        Ok(NewFile { path, place })
    }

    /// Puts the file in its place if all was `written`; leaves nothing behind otherwise.
    ///
    /// # Errors
    /// The error in `written`, or one of putting it in place.
    pub fn finish(self, written: std::io::Result<()>) -> Result<(), Failure> {
        let finished = written.and_then(|()| match self.place {
            FilePlace::Device(_) => Ok(()),
            FilePlace::Aside(aside) => {
                share(aside.as_file())?;
                aside.persist(&self.path).map(drop).map_err(|e| e.error)
            }
        });
        finished.map_err(|e| cannot_write(&self.path, &e))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.place.file().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.place.file().flush()
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot write `{}`: {error}", path.display()))
}

/// Checks, before any long work, that [`write_file`] may write `path`. A device or a pipe is not opened for it.
///
/// # Errors
/// A destination that is a folder, or in whose place no file can be made.
pub fn check_file(path: &Path) -> Result<(), Failure> {
    let kind = std::fs::metadata(path).map(|m| m.file_type());
    if kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir()) {
        return Ok(());
    }
    if parent_of(path).is_dir() || path.is_dir() {
        return NewFile::create(path).map(drop);
    }
    // Folders on the way are made when the file is.
    let there = path.ancestors().skip(1).find(|folder| folder.exists());
    let there = match there {
        Some(folder) => folder,
        None => Path::new("."),
    };
    tempfile::tempfile_in(there)
        .map(drop)
        .map_err(|e| cannot_write(path, &e))
}

/// Writes one file all at once.
///
/// # Errors
/// Any failure to write; the destination is then as it was.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = NewFile::create(path)?;
    let written = file.write_all(bytes);
    file.finish(written)
}

/// Temporary files are private to their owner; results are not.
#[cfg(unix)]
fn share(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &File) -> std::io::Result<()> {
    Ok(())
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Files {
        let content = text.as_bytes().to_vec();
        let mut files = Files::from([("rtl/a.v".to_owned(), content)]);
        let entries = manifest::file_entries(&files);
        let manifest = serde_json::json!({ "schema": manifest::SCHEMA, "files": entries });
        files.insert(
            manifest::FILE_NAME.to_owned(),
            manifest.to_string().into_bytes(),
        );
        files
    }

    #[test]
    fn untouched_folders_are_replaced_and_others_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("out");
        write_folder(&folder, &files("one"), false).unwrap();
        write_folder(&folder, &files("two"), false).unwrap();
        assert_eq!(std::fs::read(folder.join("rtl/a.v")).unwrap(), b"two");

        std::fs::write(folder.join("mine.txt"), "mine").unwrap();
        assert!(write_folder(&folder, &files("three"), false).is_err());
        assert_eq!(std::fs::read(folder.join("rtl/a.v")).unwrap(), b"two");
        write_folder(&folder, &files("three"), true).unwrap();
        assert!(!folder.join("mine.txt").exists());

        std::fs::remove_file(folder.join(manifest::FILE_NAME)).unwrap();
        assert!(write_folder(&folder, &files("four"), true).is_err());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn empty_folders_need_force() {
        let parent = tempfile::tempdir().unwrap();
        assert!(write_folder(parent.path(), &files("one"), false).is_err());
    }
}
