//! One file: a tar archive, of which every byte follows from the plan.

use super::part::{self, Piece, state, unwritten};
use super::plan::{Plan, PlannedFile};
use crate::class::Failure;
use crate::registry::Client;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

pub(super) const BLOCK: u64 = 512;

pub(super) async fn write(
    client: &Client,
    plan: &Plan,
    path: &Path,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(state(path, "is a directory").hint("write oci:DIR for a directory"));
    }
    let beside = part::path(path);
    let mut file = part::open(&beside)?;
    let [layout, index] = plan.documents();
    let docker = plan.docker();
    let entries = std::iter::once(&layout).chain(plan.blobs()).chain([&index, &docker]);
    let mut at = 0_u64;
    for entry in entries {
        at = add(client, &beside, &mut file, at, entry, progress).await?;
    }
    // The end of an archive: two blocks of zeros.
    finish(&mut file, at).map_err(unwritten(&beside))?;
    std::fs::rename(&beside, path).map_err(unwritten(path))
}

fn finish(file: &mut File, at: u64) -> std::io::Result<()> {
    file.set_len(at)?;
    file.set_len(at + 2 * BLOCK)?;
    file.sync_all()
}

/// Writes one entry at `at`, or what of it is missing. Returns where the next begins.
async fn add(
    client: &Client,
    path: &Path,
    file: &mut File,
    at: u64,
    entry: &PlannedFile,
    progress: &dyn Fn(u64),
) -> Result<u64, Failure> {
    let io = unwritten(path);
    let header = header(entry).map_err(&io)?;
    let start = at + BLOCK;
    let padding = (BLOCK - entry.size % BLOCK) % BLOCK;
    let end = start + entry.size;
    let length = file.metadata().map_err(&io)?.len();
    let mut found = [0; 512];
    file.seek(SeekFrom::Start(at)).map_err(&io)?;
    let is_there = length >= start && file.read_exact(&mut found).is_ok() && found == header;
    if !is_there {
        file.set_len(at).map_err(&io)?;
        file.seek(SeekFrom::Start(at)).map_err(&io)?;
        file.write_all(&header).map_err(&io)?;
    }
    let there = if is_there { length.saturating_sub(start) } else { 0 };
    Piece { path, file, start, there }.write(client, entry, progress).await?;
    let length = file.metadata().map_err(&io)?.len();
    if length < end + padding {
        file.set_len(end + padding).map_err(&io)?;
    }
    Ok(end + padding)
}

/// Returns the header of an entry: a plain file that says nothing of this machine.
fn header(entry: &PlannedFile) -> std::io::Result<[u8; 512]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(&entry.name)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(entry.size);
    header.set_cksum();
    Ok(*header.as_bytes())
}
