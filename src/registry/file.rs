//! Reads a small regular file, whole, under a cap. Never waits: what is not a regular file is refused
//! before it is read.

use crate::class::{Class, Failure};
use crate::limits;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Returns the content of `path`, or nothing where there is no such file.
///
/// # Errors
/// `secret` for a file that is there and cannot be read, is not regular, or is larger than
/// [`limits::CONFIG_BYTES`].
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::new(Class::Secret, format!("`{}` cannot be read: {why}", path.display()))
    };
    let file = match rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(file) => File::from(file),
        Err(error) => {
            let error = std::io::Error::from(error);
            return match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
                _ => Err(bad(&error)),
            };
        }
    };
    if !file.metadata().map_err(|error| bad(&error))?.is_file() {
        return Err(bad(&"it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limits::CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(|error| bad(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::CONFIG_BYTES {
        return Err(bad(&format!("it is larger than {} bytes", limits::CONFIG_BYTES)));
    }
    Ok(Some(bytes))
}
