//! The digest of a tree, version 1: one strict text form and the SHA-256 of it. Specification:
//! `docs/tree-digest.md`.

use super::entry::{EntryKind, EntryMetadata, Tree, TreeEntry, Xattr, in_digest, is_label};
use crate::name::Digest;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The first line. Another form is another line.
const HEADER: &str = "luet-cosign-tree-v1\n";

impl Tree {
    /// Returns the digest of the tree, version 1.
    ///
    /// `None` where the form can't say what is there: a directory that no layer lists has no mode
    /// to write down, a socket is not something that an image can hold, and of attributes only
    /// `security.capability` and `user.*` have a place in it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.hash(|_| false)
    }

    /// Returns the digest of a tree that layers make, with the labels in them left out.
    pub(super) fn digest_of_layers(&self) -> Option<Digest> {
        self.hash(is_label)
    }

    fn hash(&self, left_out: fn(&[u8]) -> bool) -> Option<Digest> {
        let mut hasher = Sha256::new();
        hasher.update(HEADER);
        let mut line = String::new();
        for entry in self.entries() {
            line.clear();
            write_line(&mut line, entry, left_out)?;
            hasher.update(&line);
        }
        Some(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Returns the text that [`Tree::digest`] hashes: for tests and for `diff`. `None` where there
    /// is none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut text = HEADER.to_owned();
        for entry in self.entries() {
            write_line(&mut text, entry, |_| false)?;
        }
        Some(text)
    }
}

/// Appends the line of one entry; `None` where it has none.
fn write_line(line: &mut String, entry: &TreeEntry, left_out: fn(&[u8]) -> bool) -> Option<()> {
    let EntryMetadata { mode, uid, gid } = entry.metadata?;
    let letter = match entry.kind {
        EntryKind::BlockDevice { .. } => 'b',
        EntryKind::CharDevice { .. } => 'c',
        EntryKind::Directory => 'd',
        EntryKind::Fifo => 'p',
        EntryKind::File { .. } => 'f',
        EntryKind::Symlink { .. } => 'l',
        EntryKind::Socket => return None,
    };
    line.push(letter);
    line.push(' ');
    escape(line, entry.path.bytes());
    // Writing to a String cannot fail, so the results carry nothing.
    let _ = match &entry.kind {
        EntryKind::Symlink { .. } => write!(line, " - {uid} {gid} "),
        _ => write!(line, " {mode:04o} {uid} {gid}"),
    };
    match &entry.kind {
        EntryKind::BlockDevice { major, minor } | EntryKind::CharDevice { major, minor } => {
            let _ = write!(line, " {major} {minor}");
        }
        EntryKind::File { size, digest } => {
            let _ = write!(line, " {size} {}", digest.hex());
        }
        EntryKind::Symlink { target } => escape(line, target),
        EntryKind::Directory | EntryKind::Fifo | EntryKind::Socket => {}
    }
    for Xattr { name, value } in entry.xattrs.iter().filter(|xattr| !left_out(&xattr.name)) {
        // Left out, an access list or a label that other layer bytes brought would pass as the
        // signed tree.
        if !in_digest(name) {
            return None;
        }
        line.push(' ');
        escape(line, name);
        line.push('=');
        escape(line, value);
    }
    line.push('\n');
    Some(())
}

/// Appends bytes: `A-Z a-z 0-9 - . _ ~ /` as they are, any other as `%` and two upper-case hex
/// digits.
fn escape(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            line.push(char::from(*byte));
        } else {
            let _ = write!(line, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreePath;

    fn entry(path: &[u8], kind: EntryKind) -> TreeEntry {
        let metadata = Some(EntryMetadata { mode: 0o4755, uid: 0, gid: 4_294_967_294 });
        TreeEntry {
            path: TreePath::new(path.to_vec()).unwrap(),
            kind,
            metadata,
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn the_empty_tree_is_the_header() {
        assert_eq!(Tree::default().text().as_deref(), Some("luet-cosign-tree-v1\n"));
        assert_eq!(Tree::default().digest(), Some(Digest::of(b"luet-cosign-tree-v1\n")));
    }

    #[test]
    fn each_kind_has_its_line() {
        let mut file = entry(b"a b\n", EntryKind::File { size: 0, digest: Digest::of(b"") });
        file.xattrs = vec![Xattr { name: (*b"user.=").into(), value: (*b"\0%").into() }];
        let link = entry(b"l", EntryKind::Symlink { target: (*b"../x y").into() });
        let null = entry(b"null", EntryKind::CharDevice { major: 1, minor: 3 });
        let tree = Tree::new(vec![
            null,
            file,
            link,
            entry(b"p", EntryKind::Fifo),
            entry(b"d", EntryKind::Directory),
        ])
        .unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = format!(
            "luet-cosign-tree-v1\nf a%20b%0A 4755 0 4294967294 0 {empty} user.%3D=%00%25\nd d 4755 0 4294967294\n\
             l l - 0 4294967294 ../x%20y\nc null 4755 0 4294967294 1 3\np p 4755 0 4294967294\n"
        );
        assert_eq!(tree.text(), Some(expected.clone()));
        assert_eq!(tree.digest(), Some(Digest::of(expected.as_bytes())));
    }

    #[test]
    fn what_has_no_mode_and_what_is_a_socket_has_no_digest() {
        let mut implied = entry(b"d", EntryKind::Directory);
        implied.metadata = None;
        assert_eq!(Tree::new(vec![implied]).unwrap().digest(), None);
        assert_eq!(Tree::new(vec![entry(b"s", EntryKind::Socket)]).unwrap().text(), None);
        let mut listed = entry(b"d", EntryKind::Directory);
        listed.xattrs =
            vec![Xattr { name: (*b"system.posix_acl_access").into(), value: (*b"x").into() }];
        assert_eq!(Tree::new(vec![listed]).unwrap().digest(), None);
    }
}
