//! Numbers that another file holds.
//!
//! A model may come from anywhere, and its names of files with it. So a file is read only if its path is relative, has
//! no `..`, and leads, symbolic links resolved, to a regular file in the folder of the model.

use super::error::{Fault, Name};
use super::proto::TensorProto;
use bytes::Bytes;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// A part of another file.
pub(super) struct Region {
    location: String,
    offset: u64,
    length: Option<u64>,
}

/// Where another file holds the numbers of a constant, if one does.
pub(super) fn region(tensor: &TensorProto) -> Result<Option<Region>, Fault> {
    if tensor.data_location.unwrap_or(0) != EXTERNAL {
        return Ok(None);
    }
    let mut region = Region {
        location: String::new(),
        offset: 0,
        length: None,
    };
    for entry in &tensor.external_data {
        let value = entry.value.as_deref().unwrap_or_default();
        let number = |key: &str| {
            value.parse::<u64>().map_err(|_| {
                let problem = format!("{key} `{}` is no size in bytes", Name::new(value));
                Fault::new("external_data", problem, "export the model again")
            })
        };
        match entry.key.as_deref().unwrap_or_default() {
            "location" => region.location = value.to_owned(),
            "offset" => region.offset = number("offset")?,
            "length" => region.length = Some(number("length")?),
            // A checksum, or something newer: nothing that says where the numbers are.
            _ => {}
        }
    }
    Ok(Some(region))
}

impl Region {
    /// Reads it; `bytes_max` bounds what is read where the file gives no length.
    pub fn read(&self, folder: Option<&Path>, bytes_max: u64) -> Result<Bytes, Fault> {
        let path = self.path(folder)?;
        let fault = |problem: String, fix: &str| {
            let problem = format!("file `{}` {problem}", Name::new(&self.location));
            Fault::new("external_data", problem, fix)
        };
        let unreadable = |error: std::io::Error| {
            fault(
                format!("cannot be read: {error}"),
                "copy it beside the model",
            )
        };
        let metadata = path.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(fault(
                "is no regular file".to_owned(),
                "copy it beside the model",
            ));
        }
        let size = metadata.len();
        let length = self.length.unwrap_or(size.saturating_sub(self.offset));
        if self.offset.checked_add(length).is_none_or(|end| end > size) {
            let problem = format!("has {size} bytes, not {length} from {} on", self.offset);
            return Err(fault(problem, "copy it again, it may be cut"));
        }
        if length > bytes_max {
            let problem = format!("gives {length} bytes, more than the tensor's dims allow");
            return Err(fault(problem, "export the model again"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(self.offset))
            .map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(length)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Ok(bytes.into())
    }

    /// The file, if it lies in the folder.
    fn path(&self, folder: Option<&Path>) -> Result<PathBuf, Fault> {
        let location = Path::new(&self.location);
        let fault = |problem: &str, fix: &str| {
            let problem = format!("file `{}` {problem}", Name::new(&self.location));
            Fault::new("external_data", problem, fix)
        };
        let Some(folder) = folder else {
            let fix = "import the model from its file";
            return Err(fault("is not at hand: the model was given as bytes", fix));
        };
        let fix = "put the file beside the model and name it by a relative path without `..`";
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        // A backslash or a colon would be part of a name here, and a way out of the folder elsewhere.
        if self.location.is_empty()
            || self.location.contains(['\\', ':', '\0'])
            || !location.components().all(is_plain)
        {
            return Err(fault("does not lie in the model's folder", fix));
        }
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let resolve = |path: &Path| {
            path.canonicalize().map_err(|error| {
                fault(
                    &format!("cannot be read: {error}"),
                    "copy it beside the model",
                )
            })
        };
        let path = resolve(&folder.join(location))?;
        if !path.starts_with(resolve(folder)?) {
            return Err(fault(
                "leads out of the model's folder by a symbolic link",
                fix,
            ));
        }
        Ok(path)
    }
}
