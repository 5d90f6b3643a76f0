//! Archives made entry by entry, directories made from the same entries, and a small deterministic
//! generator.

use luet_cosign::class::{Class, Failure};
use luet_cosign::dest::{self, Dest, Walked};
use luet_cosign::name::Digest;
use luet_cosign::tree::{
    self, EntryKind, EntryMetadata, Layer, Limits, Terms, Tree, TreeEntry, TreePath, Xattr,
};
use rustix::fs::{AtFlags, CWD, FileType, Mode, XattrFlags};
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One entry, for an archive and for a directory.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn item(name: impl AsRef<[u8]>, kind: u8, mode: u32) -> Item {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = name.as_ref().to_vec();
    Item {
        name,
        kind,
        mode,
        uid,
        gid,
        link: Vec::new(),
        data: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
    Item { data: data.as_ref().to_vec(), ..item(name, b'0', 0o644) }
}

pub(crate) fn directory(name: impl AsRef<[u8]>) -> Item {
    item(name, b'5', 0o755)
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item { link: target.as_ref().to_vec(), ..item(name, b'2', 0o777) }
}

pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item { link: target.as_ref().to_vec(), ..item(name, b'1', 0o644) }
}

pub(crate) fn device(name: impl AsRef<[u8]>, kind: u8, major: u32, minor: u32) -> Item {
    Item { device: (major, minor), ..item(name, kind, 0o600) }
}

pub(crate) fn fifo(name: impl AsRef<[u8]>) -> Item {
    item(name, b'6', 0o600)
}

impl Item {
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    pub(crate) fn xattr(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.xattrs.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The block of the entry, its checksum right.
    pub(crate) fn header(&self) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        let bytes = header.as_mut_bytes();
        bytes[..self.name.len().min(100)].copy_from_slice(&self.name[..self.name.len().min(100)]);
        bytes[157..157 + self.link.len().min(100)]
            .copy_from_slice(&self.link[..self.link.len().min(100)]);
        bytes[156] = self.kind;
        header.set_mode(self.mode);
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        header.set_size(self.data.len() as u64);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        header.set_cksum();
        header
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        if self.name.len() > 100 {
            records.push((b"path".to_vec(), self.name.clone()));
        }
        if self.link.len() > 100 {
            records.push((b"linkpath".to_vec(), self.link.clone()));
        }
        records.extend(
            self.xattrs
                .iter()
                .map(|(name, value)| ([b"SCHILY.xattr.", &name[..]].concat(), value.clone())),
        );
        let records: Vec<(&[u8], &[u8])> =
            records.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let mut bytes = if records.is_empty() { Vec::new() } else { pax(b'x', &records) };
        bytes.extend_from_slice(self.header().as_bytes());
        bytes.extend(padded(&self.data));
        bytes
    }
}

/// An extended header.
pub(crate) fn pax(kind: u8, records: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..9)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length)
            .unwrap();
        data.extend(format!("{length} ").bytes());
        data.extend([key, &b"="[..], value, b"\n"].concat());
    }
    extension(kind, &data)
}

/// A header with data that says something about the next entry.
pub(crate) fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
    let item = Item { data: data.to_vec(), ..item("PaxHeaders.0/x", kind, 0o644) };
    [&item.header().as_bytes()[..], &padded(data)].concat()
}

pub(crate) fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(512), 0);
    data
}

pub(crate) const END: [u8; 1024] = [0; 1024];

pub(crate) fn archive(items: &[Item]) -> Vec<u8> {
    raw(&items.iter().map(Item::bytes).collect::<Vec<_>>())
}

pub(crate) fn raw(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), END.to_vec()].concat()
}

pub(crate) fn read(bytes: &[u8]) -> Result<Layer, Failure> {
    tree::read_layer(bytes, Limits::default())
}

pub(crate) fn layer(items: &[Item]) -> Layer {
    read(&archive(items)).unwrap()
}

/// Asserts that reading fails with `class` and a text that holds `word`.
pub(crate) fn refused(bytes: &[u8], class: Class, word: &str) {
    let failure = read(bytes).expect_err(word);
    assert_eq!(failure.class(), class, "{}", failure.text());
    assert!(failure.text().contains(word), "`{word}` is not in: {}", failure.text());
}

pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes the entries in a directory, in their order, with plain system calls.
pub(crate) fn make(dir: &Path, items: &[Item]) {
    for item in items {
        make_one(&dir.join(OsStr::from_bytes(&item.name)), dir, item);
    }
}

fn make_one(path: &Path, dir: &Path, item: &Item) {
    match item.kind {
        b'0' => std::fs::write(path, &item.data).unwrap(),
        b'1' => std::fs::hard_link(dir.join(OsStr::from_bytes(&item.link)), path).unwrap(),
        b'2' => std::os::unix::fs::symlink(OsStr::from_bytes(&item.link), path).unwrap(),
        b'5' => std::fs::create_dir(path).unwrap(),
        kind => {
            let kind = match kind {
                b'3' => FileType::CharacterDevice,
                b'4' => FileType::BlockDevice,
                _ => FileType::Fifo,
            };
            let device = rustix::fs::makedev(item.device.0, item.device.1);
            rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
        }
    }
    if root() {
        let (uid, gid) = (rustix::fs::Uid::from_raw(item.uid), rustix::fs::Gid::from_raw(item.gid));
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    for (name, value) in &item.xattrs {
        rustix::fs::lsetxattr(path, &name[..], value, XattrFlags::empty()).unwrap();
    }
    if item.kind != b'2' {
        rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(item.mode), AtFlags::empty()).unwrap();
    }
}

pub(crate) fn open(dir: &Path) -> Dest {
    Dest::open(dir).unwrap()
}

pub(crate) fn walk(dir: &Path) -> Walked {
    dest::walk(&open(dir), &dest::WalkOptions { threads: NonZero::new(3), ..Default::default() })
        .unwrap()
}

/// A fresh directory on the file system of the build, which keeps attributes; /tmp may not.
pub(crate) fn fresh() -> (tempfile::TempDir, PathBuf) {
    let keeper = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = keeper.path().join("dest");
    std::fs::create_dir(&dir).unwrap();
    (keeper, dir)
}

/// Reads the text of a tree (docs/tree-digest.md).
pub(crate) fn parse(text: &str) -> Tree {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("luet-cosign-tree-v1"));
    Tree::new(lines.map(parse_line).collect()).unwrap()
}

fn parse_line(line: &str) -> TreeEntry {
    let fields: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u32>().unwrap();
    let (kind, rest) = match fields[0] {
        "d" => (EntryKind::Directory, 5),
        "p" => (EntryKind::Fifo, 5),
        "f" => (
            EntryKind::File {
                size: fields[5].parse().unwrap(),
                digest: format!("sha256:{}", fields[6]).parse::<Digest>().unwrap(),
            },
            7,
        ),
        "l" => (EntryKind::Symlink { target: unescape(fields[5]).into() }, 6),
        "c" => (EntryKind::CharDevice { major: number(5), minor: number(6) }, 7),
        "b" => (EntryKind::BlockDevice { major: number(5), minor: number(6) }, 7),
        other => panic!("{other}"),
    };
    let mode = if fields[2] == "-" { 0o777 } else { u16::from_str_radix(fields[2], 8).unwrap() };
    let xattr = |field: &&str| {
        let (name, value) = field.split_once('=').unwrap();
        Xattr { name: unescape(name).into(), value: unescape(value).into() }
    };
    TreeEntry {
        path: TreePath::new(unescape(fields[1])).unwrap(),
        kind,
        metadata: Some(EntryMetadata { mode, uid: number(3), gid: number(4) }),
        xattrs: fields[rest..].iter().map(xattr).collect(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    bytes
}

/// A trees' difference as lines, for assertions.
pub(crate) fn lines(expected: &Tree, found: &Tree, terms: &Terms) -> Vec<String> {
    tree::difference(expected, found, terms).lines().collect()
}

/// Numbers that look random and are always the same (`SplitMix64`).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// An access list that lets user 1000 in, of an object whose mode gives its group `group`.
pub(crate) fn access_list(owner: u16, group: u16, other: u16) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, permissions, id) in
        [(1, owner, !0), (2, group, 1000), (4, group, !0), (0x10, group, !0), (0x20, other, !0_u32)]
    {
        bytes.extend(
            [&u16::to_le_bytes(tag)[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat(),
        );
    }
    bytes
}
