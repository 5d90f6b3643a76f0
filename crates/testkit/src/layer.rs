//! Layers as luet's packages have them, and what a host makes of them on disk.

use std::path::Path;

/// Returns an archive of files that belong to this user, parents included.
pub fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let header = |kind, size: usize, mode| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(u64::try_from(size).unwrap());
        header.set_mode(mode);
        header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        header.set_gid(u64::from(rustix::process::getegid().as_raw()));
        header
    };
    for (path, content) in files {
        let parents: Vec<&Path> = Path::new(path)
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
            .collect();
        for parent in parents.into_iter().rev() {
            builder
                .append_data(
                    &mut header(tar::EntryType::Directory, 0, 0o755),
                    parent,
                    std::io::empty(),
                )
                .unwrap();
        }
        builder
            .append_data(&mut header(tar::EntryType::Regular, content.len(), 0o644), path, *content)
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// Unpacks a layer as a host does: modes and, for root, owners as the layer says.
pub fn unpack(layer: &[u8], dest: &Path) {
    let mut archive = tar::Archive::new(layer);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_mask(0);
    archive.unpack(dest).unwrap();
}
