//! What was verified here before: one line for each image, kept for longer than a run.
//!
//! It is a second line of defence (the policy is the first): a tag that was verified and is now
//! unsigned, a signer that used to bind its signatures and now shows one that does not, a
//! repository whose revision goes back. One file for each repository, appended to under a lock,
//! bounded; a fresh machine has no memory.
//!
//! A repository is remembered under the name that its images are signed for, so that it is the same
//! one through every mirror. Who signed it first and whose signatures bind are facts about the
//! repository, which no later image takes back: forgetting all of it does.

use super::Locations;
use super::folder::{Folder, name_of};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Tag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SeenLine", into = "SeenLine")]
pub struct Seen {
    /// The repository, canonical.
    pub repository: String,
    /// The tag; none for an image that was named by digest alone.
    pub tag: Option<String>,
    /// What was verified.
    pub digest: Digest,
    /// Who signed.
    pub signers: Signers,
    /// Who of the signers is the first one of the repository, where that one is to be the only one.
    pub pinned: Option<FirstSigner>,
    /// The highest revision, where the image is the description of a luet repository.
    pub revision: Option<u64>,
    /// When, in seconds since 1970.
    pub seconds: i64,
}

/// The line of a [`Seen`], field by field. Every event reads all lines about its repository, and
/// serde reads flattened fields at a third of the speed.
#[derive(Serialize, Deserialize)]
struct SeenLine {
    repository: String,
    tag: Option<String>,
    digest: Digest,
    signer: String,
    fingerprint: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<RememberedSource>,
    binds: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<RememberedSigner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<FirstSigner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    seconds: i64,
}

impl From<SeenLine> for Seen {
    fn from(line: SeenLine) -> Self {
        let SeenLine { repository, tag, digest, pinned, revision, seconds, .. } = line;
        let key = SignerKey { fingerprint: line.fingerprint, source: line.source };
        let first = RememberedSigner { name: line.signer, key, binds: line.binds };
        let signers = Signers { first, others: line.others };
        Self { repository, tag, digest, signers, pinned, revision, seconds }
    }
}

impl From<Seen> for SeenLine {
    fn from(seen: Seen) -> Self {
        let Seen { repository, tag, digest, signers, pinned, revision, seconds } = seen;
        let Signers { first: RememberedSigner { name: signer, key, binds }, others } = signers;
        let SignerKey { fingerprint, source } = key;
        Self {
            repository,
            tag,
            digest,
            signer,
            fingerprint,
            source,
            binds,
            others,
            pinned,
            revision,
            seconds,
        }
    }
}

/// Everybody whose signature of an image counted: at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signers {
    /// Whose signature was found first. 1.0.0-alpha.1 wrote nobody else.
    #[serde(flatten)]
    pub first: RememberedSigner,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<RememberedSigner>,
}

impl Signers {
    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = &RememberedSigner> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Someone whose signature counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedSigner {
    /// Who it is, as the policy named it.
    #[serde(rename = "signer")]
    pub name: String,
    /// What stands for the signer.
    #[serde(flatten)]
    pub key: SignerKey,
    /// Whether a signature of theirs claimed repository and tag.
    pub binds: bool,
}

/// What stands for a signer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SignerKey {
    /// The fingerprint of the key, or what stands for a certificate's issuer and name. That was all
    /// that 1.0.0-alpha.1 knew.
    pub fingerprint: Digest,
    /// The repository that a workflow ran for, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RememberedSource>,
}

/// The repository that a workflow ran for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RememberedSource {
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its number, by the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The number of its owner, by the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// The first signer of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSigner {
    /// What stands for the signer.
    #[serde(flatten)]
    pub key: SignerKey,
    /// Who it is, for people.
    pub name: String,
}

/// What is known of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRepository {
    /// The newest of each tag, in the order in which they were seen.
    pub seen: Vec<Seen>,
    /// The first signer, where that one alone counts. It is the repository's and no tag's: no later
    /// image takes its place.
    pub first: Option<FirstSigner>,
    /// Whose signatures named repository and tag. Only forgetting everything makes it fewer.
    pub binders: BTreeSet<SignerKey>,
}

impl KnownRepository {
    /// Puts together what lines come to.
    fn of(lines: Vec<Line>) -> Self {
        let (mut first, mut binders, mut from) = (None, BTreeSet::new(), 0);
        for (line, next) in lines.iter().zip(1..) {
            match line {
                Line::Seen(seen) => {
                    // A later one is the same, of whom more may be known.
                    first = seen.pinned.clone().or(first);
                    add(&mut binders, &seen.signers);
                }
                Line::First(signer) => first = Some(signer.clone()),
                Line::Binders(known) => binders.extend(known.iter().cloned()),
                Line::Forget { tag: None } => {
                    (first, binders, from) = (None, BTreeSet::new(), next)
                }
                Line::Forget { tag: Some(_) } => {}
            }
        }
        // The last line about a tag counts.
        let (mut tags, mut seen) = (BTreeSet::new(), Vec::new());
        for line in lines.into_iter().skip(from).rev() {
            match line {
                Line::Seen(found) if tags.insert(found.tag.clone()) => seen.push(*found),
                Line::Forget { tag } => drop(tags.insert(tag)),
                Line::Seen(_) | Line::First(_) | Line::Binders(_) => {}
            }
        }
        seen.reverse();
        Self { seen, first, binders }
    }
}

/// Adds those who bind, up to a bound, for what is added stays. Returns one for whom there is no
/// room.
fn add<'a>(
    binders: &mut BTreeSet<SignerKey>,
    signers: &'a Signers,
) -> Option<&'a RememberedSigner> {
    let mut left_out = None;
    for signer in signers.iter().filter(|signer| signer.binds) {
        if binders.len() < limits::MEMORY_BINDERS {
            binders.insert(signer.key.clone());
        } else if !binders.contains(&signer.key) {
            left_out = Some(signer);
        }
    }
    left_out
}

/// A line: something that was seen, who was the first signer and who binds in lines that are gone,
/// or the wish to forget.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Seen(Box<Seen>),
    First(FirstSigner),
    Binders(BTreeSet<SignerKey>),
    Forget { tag: Option<String> },
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
    /// `state`: no directory can be used.
    pub fn open(locations: &Locations) -> Result<Self, Failure> {
        let place = place(locations).ok_or_else(|| {
            Failure::new(Class::State, "this user has no directory to keep state in")
        })?;
        Ok(Self { folder: Folder::open(place)?.within("seen")?.durable() })
    }

    /// Opens the memory where there is one; a machine that never verified anything has none.
    ///
    /// # Errors
    /// `state`: there is one, and it cannot be used: what it knows must not be forgotten.
    pub fn open_existing(locations: &Locations) -> Result<Option<Self>, Failure> {
        match place(locations) {
            Some(place) if !place.symlink_metadata().as_ref().is_err_and(is_absent) => {
                Self::open(locations).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns what is known of a repository.
    ///
    /// # Errors
    /// `state`: the file cannot be read, or was not written by this program.
    pub fn of(&self, repository: &Repository) -> Result<KnownRepository, Failure> {
        Ok(self.read(&file_name(repository))?.0)
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
            all.extend(self.read(&name)?.0.seen);
        }
        Ok(all)
    }

    /// Remembers something. `recognizes` says whether a first signer who is remembered is the one
    /// who is here; of that one is kept what is known now. What is known already, but for the time,
    /// is not written again. Of the revisions the highest stays: one that went back, and was let
    /// pass, does not become the measure for the next.
    ///
    /// # Errors
    /// `state`: it could not be written; nothing is lost of what was there. `identity`: another
    /// signer was pinned meanwhile. `limit`: all else is remembered, but not that a signer binds,
    /// for too many do.
    pub fn remember(
        &self,
        repository: &Repository,
        seen: &Seen,
        recognizes: impl Fn(&SignerKey, &SignerKey) -> bool,
    ) -> Result<(), Failure> {
        let name = file_name(repository);
        let _lock = self.folder.lock(&lock_name(&name), limits::LOCK)?;
        let (KnownRepository { seen: known, first, mut binders }, size) = self.read(&name)?;
        if let (Some(found), Some(first)) = (&seen.pinned, &first)
            && !recognizes(&first.key, &found.key)
        {
            let (found, first) = (&found.name, &first.name);
            return Err(Failure::new(
                Class::Identity,
                format!(
                    "signed by `{found}`, but the first signer of `{repository}` here was `{first}`"
                ),
            )
            .hint(format!("when this is meant: `luet-cosign seen forget --all {repository}`")));
        }
        let highest = known
            .iter()
            .filter(|known| known.tag == seen.tag)
            .filter_map(|known| known.revision)
            .max();
        let seen = &Seen { revision: seen.revision.max(highest), ..seen.clone() };
        let known_binders = binders.len();
        let left_out = add(&mut binders, &seen.signers).map(|signer| {
            let (binder, most) = (&signer.name, limits::MEMORY_BINDERS);
            Failure::new(
                Class::Limit,
                format!(
                    "that `{binder}` names repository and tag: {most} signers of `{repository}` do"
                ),
            )
        });
        if !known.iter().any(|known| Seen { seconds: seen.seconds, ..known.clone() } == *seen) {
            // A power cut may take back that one more tag was verified by a known signer, and nothing
            // else: waiting for the disk would cost each package of an install.
            let pins = seen.pinned.is_some() && seen.pinned != first;
            let binds = binders.len() > known_binders;
            let synced = pins || binds || seen.revision.is_some() || known.is_empty();
            let kept = known.into_iter().filter(|known| known.tag != seen.tag);
            let kept = kept.chain([seen.clone()]).collect();
            let first = seen.pinned.clone().or(first);
            let known = KnownRepository { seen: kept, first, binders };
            self.write(&name, &Line::Seen(Box::new(seen.clone())), known, size, synced)?;
        }
        left_out.map_or(Ok(()), Err)
    }

    /// Forgets a tag, or with `None` everything of a repository, its first signer and who binds
    /// among it. Returns how many images that was.
    ///
    /// # Errors
    /// As [`Self::remember`].
    pub fn forget(&self, repository: &Repository, tag: Option<&Tag>) -> Result<usize, Failure> {
        let name = file_name(repository);
        let _lock = self.folder.lock(&lock_name(&name), limits::LOCK)?;
        let (mut known, size) = self.read(&name)?;
        let tag = tag.map(ToString::to_string);
        let before = known.seen.len();
        let nothing = match &tag {
            Some(_) => {
                known.seen.retain(|known| known.tag != tag);
                known.seen.len() == before
            }
            None => std::mem::take(&mut known) == KnownRepository::default(),
        };
        let count = before - known.seen.len();
        if !nothing {
            self.write(&name, &Line::Forget { tag }, known, size, true)?;
        }
        Ok(count)
    }

    /// Appends a line to a file of `size` bytes; where it would grow too large, rewrites it: what
    /// is known with the line, without the oldest.
    fn write(
        &self,
        name: &str,
        line: &Line,
        known: KnownRepository,
        size: usize,
        synced: bool,
    ) -> Result<(), Failure> {
        let line = to_json(line)?;
        let limit = usize::try_from(limits::MEMORY_BYTES).unwrap_or(usize::MAX);
        if size + line.len() < limit {
            return self.folder.append(name, &line, synced);
        }
        let first = known.first.map(Line::First);
        let binders = (!known.binders.is_empty()).then_some(Line::Binders(known.binders));
        let (first, binders) =
            (first.as_ref().map(to_json).transpose()?, binders.as_ref().map(to_json).transpose()?);
        let lines: Vec<String> = known
            .seen
            .into_iter()
            .map(|seen| to_json(&Line::Seen(Box::new(seen))))
            .collect::<Result<_, _>>()?;
        // Half of it, so that the next write is an append again.
        let mut total: usize = lines.iter().map(|line| line.len() + 1).sum();
        let mut from = 0;
        while total > limit / 2 && from + 1 < lines.len() {
            total -= lines.get(from).map_or(0, |line| line.len() + 1);
            from += 1;
        }
        // Of binders the first ones stay. Of the first signer the last line counts, and an older one
        // may know less.
        let lines = binders.iter().chain(lines.iter().skip(from)).chain(&first);
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        self.folder.replace(name, text.as_bytes())
    }

    /// Returns what is known, and how many bytes say so.
    fn read(&self, name: &str) -> Result<(KnownRepository, usize), Failure> {
        let broken = |what: &str| {
            Failure::new(Class::State, format!("`{}` {what}", self.folder.path().join(name).display()))
                .hint("see what is remembered with `luet-cosign seen list`; remove the file to forget all of it")
        };
        let bytes = self.folder.read_up_to(name, limits::MEMORY_BYTES)?.unwrap_or_default();
        // What is behind the last line end was never finished.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = std::str::from_utf8(bytes.get(..whole).unwrap_or_default())
            .map_err(|_| broken("is not UTF-8"))?;
        let parse = |line| {
            serde_json::from_str(line).map_err(|error| {
                broken(&format!("has a line that this program did not write: {error}"))
            })
        };
        let lines = text.lines().map(parse).collect::<Result<_, _>>()?;
        Ok((KnownRepository::of(lines), bytes.len()))
    }
}

fn to_json(line: &Line) -> Result<String, Failure> {
    serde_json::to_string(line)
        .map_err(|error| Failure::new(Class::Internal, format!("a line of memory: {error}")))
}

/// Returns where the memory lies, or will: the first place that is this user's own. Whether it can
/// be used, or is there at all, does not matter: passing over one that cannot be used would forget
/// what is in it.
pub(super) fn place(locations: &Locations) -> Option<&Path> {
    let user = rustix::process::geteuid().as_raw();
    locations.state.iter().map(PathBuf::as_path).find(|path| {
        let owner = path
            .ancestors()
            .map(Path::metadata)
            .find(|found| !found.as_ref().is_err_and(is_absent));
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
        let memory =
            Memory::open(&Locations { state: vec![top.path().join("state")], runs: Vec::new() })
                .unwrap();
        (top, memory, "quay.io/a/b".parse().unwrap())
    }

    fn key(name: &str) -> SignerKey {
        SignerKey { fingerprint: Digest::of(name.as_bytes()), source: None }
    }

    fn same(known: &SignerKey, found: &SignerKey) -> bool {
        known.fingerprint == found.fingerprint
    }

    fn signer(name: &str, binds: bool) -> RememberedSigner {
        RememberedSigner { name: name.to_owned(), key: key(name), binds }
    }

    fn seen(tag: &str, what: &str) -> Seen {
        Seen {
            repository: "quay.io/a/b".to_owned(),
            tag: Some(tag.to_owned()),
            digest: Digest::of(what.as_bytes()),
            signers: Signers { first: signer("acme", true), others: Vec::new() },
            pinned: None,
            revision: None,
            seconds: 1,
        }
    }

    #[test]
    fn the_newest_of_each_tag_is_known() {
        let (_top, memory, repository) = setup();
        for (tag, what) in [("a", "1"), ("b", "1"), ("a", "2")] {
            memory.remember(&repository, &seen(tag, what), same).unwrap();
        }
        assert_eq!(memory.of(&repository).unwrap().seen, [seen("b", "1"), seen("a", "2")]);
        assert_eq!(memory.of(&"quay.io/a/c".parse().unwrap()).unwrap(), KnownRepository::default());
        assert_eq!(memory.all().unwrap().len(), 2);
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let (_top, memory, repository) = setup();
        memory.remember(&repository, &seen("a", "1"), same).unwrap();
        memory.remember(&repository, &seen("b", "1"), same).unwrap();
        assert_eq!(memory.forget(&repository, Some(&"a".parse().unwrap())).unwrap(), 1);
        assert_eq!(memory.of(&repository).unwrap().seen, [seen("b", "1")]);
        assert_eq!(memory.forget(&repository, None).unwrap(), 1);
        assert_eq!(memory.forget(&repository, None).unwrap(), 0);
        assert_eq!(memory.of(&repository).unwrap().seen, []);
    }

    #[test]
    fn a_line_that_a_kill_left_unfinished_is_dropped() {
        let (_top, memory, repository) = setup();
        memory.remember(&repository, &seen("a", "1"), same).unwrap();
        let path = memory.folder.path().join(file_name(&repository));
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&whole[..cut]);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(memory.of(&repository).unwrap().seen, [seen("a", "1")], "{cut}");
            memory.remember(&repository, &seen("b", "1"), same).unwrap();
            assert_eq!(memory.of(&repository).unwrap().seen.len(), 2, "{cut}");
        }
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_and_not_an_empty_memory() {
        let (_top, memory, repository) = setup();
        for text in ["x\n", "{}\n", "\u{0}\n"] {
            memory.folder.replace(&file_name(&repository), text.as_bytes()).unwrap();
            assert_eq!(
                memory.of(&repository).map_err(|failure| failure.class()),
                Err(Class::State)
            );
            assert!(memory.remember(&repository, &seen("a", "1"), same).is_err());
        }
    }

    #[test]
    fn the_first_signer_stays_until_all_is_forgotten() {
        let (_top, memory, repository) = setup();
        let signer = |name: &str| FirstSigner { key: key(name), name: name.to_owned() };
        let by = |name: &str, tag: &str| Seen { pinned: Some(signer(name)), ..seen(tag, name) };
        memory.remember(&repository, &by("alice", "a"), same).unwrap();
        memory.remember(&repository, &seen("a", "by a key"), same).unwrap();
        memory.forget(&repository, Some(&"a".parse().unwrap())).unwrap();
        // So many that the file is rewritten.
        let room = usize::try_from(limits::MEMORY_BYTES).unwrap();
        for round in ["1", "2"] {
            let mut text = memory
                .folder
                .read_up_to(&file_name(&repository), limits::MEMORY_BYTES)
                .unwrap()
                .unwrap();
            let lines = (0..4_000).map(|number| {
                to_json(&Line::Seen(Box::new(seen(&format!("t{number}"), round)))).unwrap() + "\n"
            });
            lines.for_each(|line| {
                if text.len() + line.len() < room {
                    text.extend(line.bytes())
                }
            });
            memory.folder.replace(&file_name(&repository), &text).unwrap();
            memory.remember(&repository, &seen("newest", round), same).unwrap();
            assert!(
                !memory.of(&repository).unwrap().seen.contains(&seen("t0", round)),
                "it was rewritten"
            );
        }
        assert_eq!(memory.of(&repository).unwrap().first, Some(signer("alice")));
        assert_eq!(
            memory.remember(&repository, &by("eve", "b"), same).map_err(|failure| failure.class()),
            Err(Class::Identity)
        );
        memory.forget(&repository, None).unwrap();
        assert_eq!(memory.of(&repository).unwrap().first, None);
        memory.remember(&repository, &by("eve", "b"), same).unwrap();
    }

    /// What 1.0.0-alpha.1 wrote, also where the file is rewritten.
    #[test]
    fn who_binds_is_known_from_every_line_until_all_is_forgotten() {
        let (_top, memory, repository) = setup();
        let recorded = include_str!("../../tests/keyless/seen-1.0.0-alpha.1.jsonl");
        let name = file_name(&repository);
        memory.folder.replace(&name, recorded.as_bytes()).unwrap();
        let known = memory.of(&repository).unwrap();
        let binders: Vec<String> =
            known.binders.iter().map(|binder| binder.fingerprint.short()).collect();
        assert_eq!(binders, ["ec31305b2912", "fa8c70c69dbe"]);
        assert_eq!(known.first.unwrap().name, "dev@example.com (issuer https://issuer.example)");
        let revisions: Vec<_> = known.seen.iter().map(|seen| seen.revision).collect();
        assert_eq!(revisions, [Some(12), None]);
        let others = vec![signer("other", false), signer("third", true)];
        let signers = Signers { first: signer("acme", true), others };
        memory.remember(&repository, &Seen { signers, ..seen("c", "1") }, same).unwrap();
        memory.forget(&repository, Some(&"c".parse().unwrap())).unwrap();
        let known = memory.of(&repository).unwrap();
        for (signer, binds) in [("acme", true), ("other", false), ("third", true)] {
            assert_eq!(known.binders.contains(&key(signer)), binds, "{signer}");
        }
        assert_eq!(known.binders.len(), 4);
        fill(&memory, &name);
        memory.remember(&repository, &seen("newest", "1"), same).unwrap();
        assert!(!memory.of(&repository).unwrap().seen.contains(&seen("t0", "1")), "rewritten");
        assert_eq!(memory.of(&repository).unwrap().binders, known.binders);
        memory.forget(&repository, None).unwrap();
        assert_eq!(memory.of(&repository).unwrap(), KnownRepository::default());
    }

    #[test]
    fn who_binds_is_bounded_and_nobody_makes_room_for_another() {
        let (_top, memory, repository) = setup();
        let by = |number: usize, tag: &str| Seen {
            signers: Signers { first: signer(&number.to_string(), true), others: Vec::new() },
            ..seen(tag, "1")
        };
        let lines: String = (0..limits::MEMORY_BINDERS)
            .map(|number| to_json(&Line::Seen(Box::new(by(number, "a")))).unwrap() + "\n")
            .collect();
        memory.folder.replace(&file_name(&repository), lines.as_bytes()).unwrap();
        let all = memory.of(&repository).unwrap().binders;
        assert_eq!(all.len(), limits::MEMORY_BINDERS);
        let more = limits::MEMORY_BINDERS + 1;
        for _ in 0..2 {
            let refused = memory.remember(&repository, &by(more, "b"), same);
            assert_eq!(refused.map_err(|failure| failure.class()), Err(Class::Limit));
        }
        let known = memory.of(&repository).unwrap();
        assert_eq!(known.binders, all);
        assert!(known.seen.contains(&by(more, "b")), "all else is remembered");
        memory.remember(&repository, &by(0, "c"), same).unwrap();
        fill(&memory, &file_name(&repository));
        memory.remember(&repository, &seen("newest", "1"), same).unwrap_err();
        assert_eq!(memory.of(&repository).unwrap().binders, all);
    }

    /// Fills the file, so that the next line makes it be rewritten.
    fn fill(memory: &Memory, name: &str) {
        let room = usize::try_from(limits::MEMORY_BYTES).unwrap();
        let mut text = memory.folder.read_up_to(name, limits::MEMORY_BYTES).unwrap().unwrap();
        for number in 0_u32.. {
            let line =
                to_json(&Line::Seen(Box::new(seen(&format!("t{number}"), "1")))).unwrap() + "\n";
            if text.len() + line.len() >= room {
                break;
            }
            text.extend(line.bytes());
        }
        memory.folder.replace(name, &text).unwrap();
    }

    #[test]
    fn memory_stays_bounded_and_keeps_the_newest() {
        let (_top, memory, repository) = setup();
        let lines: String = (0..4_000)
            .map(|number| {
                to_json(&Line::Seen(Box::new(seen(&format!("t{number}"), "1")))).unwrap() + "\n"
            })
            .collect();
        let room = usize::try_from(limits::MEMORY_BYTES).unwrap();
        let lines = &lines[..lines[..room - 10].rfind('\n').unwrap() + 1];
        memory.folder.replace(&file_name(&repository), lines.as_bytes()).unwrap();
        memory.remember(&repository, &seen("newest", "1"), same).unwrap();
        let known = memory.of(&repository).unwrap().seen;
        assert_eq!(known.last(), Some(&seen("newest", "1")));
        assert!(known.len() > 1_000 && known.len() < 3_000, "{}", known.len());
    }
}
