//! What was verified here before: one line for each image, kept for longer than a run.
//!
//! It is a second line of defence (the policy is the first): a tag that was verified and is now unsigned, a signer that used
//! to bind its signatures and now shows one that does not, a repository whose revision goes back. One file for each
//! repository, appended to under a lock, bounded; a fresh machine has no memory. Source: `reference/policy.md` 4.7.

use super::Locations;
use super::folder::{Folder, name_of};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Tag};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The repository, canonical.
    pub repository: String,
    /// The tag; none for an image that was named by digest alone.
    pub tag: Option<String>,
    /// What was verified.
    pub digest: Digest,
    /// Who signed, as the policy named it.
    pub signer: String,
    /// The fingerprint of the key.
    pub fingerprint: Digest,
    /// Whether the signature claimed repository and tag.
    pub binds: bool,
    /// The highest revision, where the image is the description of a luet repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When, in seconds since 1970.
    pub seconds: i64,
}

/// A line: something that was seen, or the wish to forget.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Seen(Seen),
    Forget { tag: Option<String> },
}

/// A line, read no further than is needed to know which lines count: an event asks about one image, and hundreds may be known.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LineHead<'a> {
    #[serde(borrow)]
    Seen(Head<'a>),
    Forget {
        #[serde(borrow)]
        tag: Option<Text<'a>>,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    repository: Text<'a>,
    #[serde(borrow)]
    tag: Option<Text<'a>>,
    #[serde(borrow)]
    fingerprint: Text<'a>,
    binds: bool,
}

impl Head<'_> {
    fn is_of(&self, repository: &str, tag: Option<&str>) -> bool {
        self.tag.as_ref().map(|tag| &*tag.0) == tag && self.repository.0 == repository
    }
}

/// Borrowed, unless there is something escaped in it.
#[derive(Clone, Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A line that counts.
struct Kept<'a> {
    head: Head<'a>,
    line: &'a str,
}

/// What is known of one repository, as one image needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// What was seen under the tag.
    pub tag: Option<Seen>,
    /// What was seen last in the repository.
    pub newest: Option<Seen>,
    /// The fingerprints of those whose signatures claimed repository and tag.
    pub binders: BTreeSet<Digest>,
}

/// The memory of this machine, or of this user.
#[derive(Debug)]
pub struct Memory {
    folder: Folder,
}

impl Memory {
    /// Opens the memory.
    ///
    /// # Errors
    /// `state`: no folder can be used.
    pub fn open(locations: &Locations) -> Result<Self, Failure> {
        let place = place(locations).ok_or_else(|| Failure::new(Class::State, "this user has no folder to keep state in"))?;
        Ok(Self { folder: Folder::open(place)?.within("seen")?.durable() })
    }

    /// Opens the memory where there is one; a machine that never verified anything has none.
    ///
    /// # Errors
    /// `state`: there is one, and it cannot be used: what it knows must not be forgotten.
    pub fn open_existing(locations: &Locations) -> Result<Option<Self>, Failure> {
        match place(locations) {
            Some(place) if !place.symlink_metadata().as_ref().is_err_and(is_absent) => Self::open(locations).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns what is known of a repository: the newest of each tag, in the order in which they were first seen.
    ///
    /// # Errors
    /// `state`: the file cannot be read, or was not written by this program.
    pub fn of(&self, repository: &Repository) -> Result<Vec<Seen>, Failure> {
        self.read(&file_name(repository))
    }

    /// Returns what is known of a repository and one of its tags.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn recall(&self, repository: &Repository, tag: Option<&Tag>) -> Result<Recalled, Failure> {
        let name = file_name(repository);
        let text = self.text(&name)?;
        let kept = self.kept(&name, &text)?;
        let whole = |kept: Option<&Kept<'_>>| kept.map(|kept| self.whole(&name, kept)).transpose();
        let binders: HashSet<&Text<'_>> = kept.iter().filter(|kept| kept.head.binds).map(|kept| &kept.head.fingerprint).collect();
        let fingerprint = |text: &Text<'_>| text.0.parse().map_err(|failure: Failure| self.broken(&name, &failure.message()));
        Ok(Recalled {
            tag: match tag {
                Some(tag) => whole(find(&kept, &repository.to_string(), Some(tag.as_str())))?,
                None => None,
            },
            newest: whole(kept.last())?,
            binders: binders.into_iter().map(fingerprint).collect::<Result<_, _>>()?,
        })
    }

    /// Returns everything that is known.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn all(&self) -> Result<Vec<Seen>, Failure> {
        let mut names = self.folder.names(usize::MAX)?;
        names.retain(|name| name.starts_with("seen-") && !name.ends_with(".lock"));
        names.sort();
        let mut all = Vec::new();
        for name in names {
            all.extend(self.read(&name)?);
        }
        Ok(all)
    }

    /// Remembers something. What is known already, but for the time, is not written again. Of the revisions the highest
    /// stays: one that went back, and was let pass, does not become the measure for the next.
    ///
    /// # Errors
    /// `state`: it could not be written; nothing is lost of what was there.
    pub fn remember(&self, repository: &Repository, seen: &Seen) -> Result<(), Failure> {
        let name = file_name(repository);
        let _lock = self.folder.lock(&lock_name(&name), limits::LOCK)?;
        let text = self.text(&name)?;
        let kept = self.kept(&name, &text)?;
        let known = find(&kept, &seen.repository, seen.tag.as_deref()).map(|kept| self.whole(&name, kept)).transpose()?;
        let seen = &Seen { revision: seen.revision.max(known.as_ref().and_then(|known| known.revision)), ..seen.clone() };
        if known.is_some_and(|known| Seen { seconds: seen.seconds, ..known } == *seen) {
            return Ok(());
        }
        self.write(&name, &Line::Seen(seen.clone()), |known| !same_place(known, seen), Some(seen))
    }

    /// Forgets a tag, or with `None` everything of a repository. Returns how much that was.
    ///
    /// # Errors
    /// As [`Self::remember`].
    pub fn forget(&self, repository: &Repository, tag: Option<&Tag>) -> Result<usize, Failure> {
        let name = file_name(repository);
        let _lock = self.folder.lock(&lock_name(&name), limits::LOCK)?;
        let known = self.read(&name)?;
        let tag = tag.map(ToString::to_string);
        let count = known.iter().filter(|known| tag.is_none() || known.tag == tag).count();
        if count > 0 {
            let keeps = |known: &Seen| tag.is_some() && known.tag != tag;
            self.write(&name, &Line::Forget { tag: tag.clone() }, keeps, None)?;
        }
        Ok(count)
    }

    /// Appends a line; where the file would grow too large, writes it anew without what is out of date, the oldest first.
    fn write(&self, name: &str, line: &Line, keeps: impl Fn(&Seen) -> bool, newest: Option<&Seen>) -> Result<(), Failure> {
        let line = to_json(line)?;
        let size = self.folder.read_up_to(name, limits::MEMORY_BYTES)?.map_or(0, |bytes| bytes.len());
        let limit = usize::try_from(limits::MEMORY_BYTES).unwrap_or(usize::MAX);
        if size + line.len() < limit {
            return self.folder.append(name, &line);
        }
        let mut lines: Vec<String> = Vec::new();
        for seen in self.read(name)?.into_iter().filter(keeps).chain(newest.cloned()) {
            lines.push(to_json(&Line::Seen(seen))?);
        }
        // Half of it, so that the next write is an append again.
        let mut total: usize = lines.iter().map(|line| line.len() + 1).sum();
        let mut from = 0;
        while total > limit / 2 && from + 1 < lines.len() {
            total -= lines.get(from).map_or(0, |line| line.len() + 1);
            from += 1;
        }
        let text: String = lines.iter().skip(from).map(|line| format!("{line}\n")).collect();
        self.folder.replace(name, text.as_bytes())
    }

    fn read(&self, name: &str) -> Result<Vec<Seen>, Failure> {
        let text = self.text(name)?;
        self.kept(name, &text)?.iter().map(|kept| self.whole(name, kept)).collect()
    }

    /// Returns the lines of a file. What stands behind the last line end was never finished.
    fn text(&self, name: &str) -> Result<String, Failure> {
        let mut bytes = self.folder.read_up_to(name, limits::MEMORY_BYTES)?.unwrap_or_default();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        String::from_utf8(bytes).map_err(|_| self.broken(name, "is not UTF-8"))
    }

    /// Returns the lines that count, the oldest first: the newest of each tag, unless it was forgotten since.
    fn kept<'a>(&self, name: &str, text: &'a str) -> Result<Vec<Kept<'a>>, Failure> {
        let (mut kept, mut seen, mut forgotten, mut all_forgotten) = (Vec::new(), HashSet::new(), HashSet::new(), false);
        for line in text.lines().rev() {
            let head = match self.parse(name, line)? {
                LineHead::Seen(head) => head,
                LineHead::Forget { tag } => {
                    all_forgotten |= tag.is_none();
                    forgotten.insert(tag);
                    continue;
                }
            };
            let out_of_date = all_forgotten || forgotten.contains(&head.tag);
            if seen.insert((head.tag.clone(), head.repository.clone())) && !out_of_date {
                kept.push(Kept { head, line });
            }
        }
        kept.reverse();
        Ok(kept)
    }

    fn whole(&self, name: &str, kept: &Kept<'_>) -> Result<Seen, Failure> {
        match self.parse(name, kept.line)? {
            Line::Seen(seen) => Ok(seen),
            Line::Forget { .. } => Err(self.broken(name, "has a line that is two in one")),
        }
    }

    fn parse<'a, T: Deserialize<'a>>(&self, name: &str, line: &'a str) -> Result<T, Failure> {
        serde_json::from_str(line).map_err(|error| self.broken(name, &format!("has a line that is none of ours: {error}")))
    }

    fn broken(&self, name: &str, what: &str) -> Failure {
        Failure::new(Class::State, format!("`{}` {what}", self.folder.path().join(name).display()))
            .hint("see what is remembered with `luet-cosign seen list`; remove the file to forget all of it")
    }
}

fn find<'a, 'b>(kept: &'b [Kept<'a>], repository: &str, tag: Option<&str>) -> Option<&'b Kept<'a>> {
    kept.iter().find(|kept| kept.head.is_of(repository, tag))
}

/// Whether the newer takes the place of the older.
fn same_place(known: &Seen, seen: &Seen) -> bool {
    known.repository == seen.repository && known.tag == seen.tag
}

fn to_json(line: &Line) -> Result<String, Failure> {
    serde_json::to_string(line).map_err(|error| Failure::new(Class::Internal, format!("a line of memory: {error}")))
}

/// Returns where the memory lies, or will: the first place that is this user's own. Whether it can be used, or is there at all,
/// does not matter: passing over one that cannot be used would forget what is in it.
fn place(locations: &Locations) -> Option<&Path> {
    let user = rustix::process::geteuid().as_raw();
    locations.state.iter().map(PathBuf::as_path).find(|path| {
        let owner = path.ancestors().map(Path::metadata).find(|found| !found.as_ref().is_err_and(is_absent));
        owner.is_some_and(|found| !found.is_ok_and(|found| found.uid() != user))
    })
}

/// Whatever is not plainly "not there" is there.
fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn file_name(repository: &Repository) -> String {
    format!("seen-{}", name_of(&[repository.to_string().as_bytes()]))
}

/// One of 256 locks, so that their number stays bounded.
fn lock_name(name: &str) -> String {
    format!("lock-{}", name.get(5..7).unwrap_or("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (tempfile::TempDir, Memory, Repository) {
        let top = tempfile::tempdir().unwrap();
        let memory = Memory::open(&Locations { state: vec![top.path().join("state")], runs: Vec::new() }).unwrap();
        (top, memory, "quay.io/a/b".parse().unwrap())
    }

    fn seen(tag: &str, what: &str) -> Seen {
        Seen {
            repository: "quay.io/a/b".to_owned(),
            tag: Some(tag.to_owned()),
            digest: Digest::of(what.as_bytes()),
            signer: "acme".to_owned(),
            fingerprint: Digest::of(b"key"),
            binds: true,
            revision: None,
            seconds: 1,
        }
    }

    #[test]
    fn the_newest_of_each_tag_is_known() {
        let (_top, memory, repository) = setup();
        for (tag, what) in [("a", "1"), ("b", "1"), ("a", "2")] {
            memory.remember(&repository, &seen(tag, what)).unwrap();
        }
        assert_eq!(memory.of(&repository).unwrap(), [seen("b", "1"), seen("a", "2")]);
        assert_eq!(memory.of(&"quay.io/a/c".parse().unwrap()).unwrap(), []);
        assert_eq!(memory.all().unwrap().len(), 2);
    }

    #[test]
    fn what_one_tag_needs_is_recalled() {
        let (_top, memory, repository) = setup();
        let (a, b): (Tag, Tag) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(memory.recall(&repository, Some(&a)).unwrap(), Recalled::default());
        let other = |tag: &str| Seen { fingerprint: Digest::of(b"other"), ..seen(tag, "1") };
        let unbound = Seen { binds: false, ..other("b") };
        for line in [other("a"), seen("a", "2"), unbound.clone()] {
            memory.remember(&repository, &line).unwrap();
        }
        // Of each tag the newest line counts, also for who binds.
        let binders = BTreeSet::from([Digest::of(b"key")]);
        let expected = |tag| Recalled { tag, newest: Some(unbound.clone()), binders: binders.clone() };
        assert_eq!(memory.recall(&repository, Some(&a)).unwrap(), expected(Some(seen("a", "2"))));
        assert_eq!(memory.recall(&repository, None).unwrap(), expected(None));
        memory.forget(&repository, Some(&b)).unwrap();
        let expected = Recalled { tag: None, newest: Some(seen("a", "2")), binders };
        assert_eq!(memory.recall(&repository, Some(&b)).unwrap(), expected);
        memory.forget(&repository, None).unwrap();
        memory.remember(&repository, &other("b")).unwrap();
        assert_eq!(memory.of(&repository).unwrap(), [other("b")]);
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let (_top, memory, repository) = setup();
        memory.remember(&repository, &seen("a", "1")).unwrap();
        memory.remember(&repository, &seen("b", "1")).unwrap();
        assert_eq!(memory.forget(&repository, Some(&"a".parse().unwrap())).unwrap(), 1);
        assert_eq!(memory.of(&repository).unwrap(), [seen("b", "1")]);
        assert_eq!(memory.forget(&repository, None).unwrap(), 1);
        assert_eq!(memory.forget(&repository, None).unwrap(), 0);
        assert_eq!(memory.of(&repository).unwrap(), []);
    }

    #[test]
    fn a_line_that_a_kill_left_unfinished_is_dropped() {
        let (_top, memory, repository) = setup();
        memory.remember(&repository, &seen("a", "1")).unwrap();
        let path = memory.folder.path().join(file_name(&repository));
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&whole[..cut]);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(memory.of(&repository).unwrap(), [seen("a", "1")], "{cut}");
            memory.remember(&repository, &seen("b", "1")).unwrap();
            assert_eq!(memory.of(&repository).unwrap().len(), 2, "{cut}");
        }
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_and_not_an_empty_memory() {
        let (_top, memory, repository) = setup();
        for text in ["x\n", "{}\n", "\u{0}\n"] {
            memory.folder.replace(&file_name(&repository), text.as_bytes()).unwrap();
            assert_eq!(memory.of(&repository).map_err(|failure| failure.class()), Err(Class::State));
            assert_eq!(memory.recall(&repository, None).map_err(|failure| failure.class()), Err(Class::State));
            assert!(memory.remember(&repository, &seen("a", "1")).is_err());
        }
    }

    #[test]
    fn memory_stays_bounded_and_keeps_the_newest() {
        let (_top, memory, repository) = setup();
        let lines: String = (0..4_000).map(|number| to_json(&Line::Seen(seen(&format!("t{number}"), "1"))).unwrap() + "\n").collect();
        let room = usize::try_from(limits::MEMORY_BYTES).unwrap();
        let lines = &lines[..lines[..room - 10].rfind('\n').unwrap() + 1];
        memory.folder.replace(&file_name(&repository), lines.as_bytes()).unwrap();
        memory.remember(&repository, &seen("newest", "1")).unwrap();
        let known = memory.of(&repository).unwrap();
        assert_eq!(known.last(), Some(&seen("newest", "1")));
        assert!(known.len() > 1_000 && known.len() < 3_000, "{}", known.len());
    }
}
