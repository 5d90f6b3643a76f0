//! The push record: what this user's build engines pushed within a day, so that it can be signed
//! later by someone who did not see it happen.
//!
//! It says what the engine said, about one tag of one repository, and nothing else vouches for
//! that. What it does not have, or cannot be read of it, was not pushed: a record that is lost only
//! means that less can be signed. One file for each repository, appended to under a lock, bounded.

use super::Locations;
use super::folder::{Folder, name_of};
use super::memory::place;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Tag};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is known of an image that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The engine pushed a manifest with this digest.
    Manifest(Digest),
    /// The engine pushed an image with this configuration, and knows no more.
    Config(Digest),
    /// No engine was asked: the registry served this right after the push, and its word was to be
    /// taken.
    Served(Digest),
}

/// One thing that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRecord {
    /// The repository, canonical.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What is known of it: manifests of which it is one, and a configuration that it has.
    pub words: Vec<Word>,
    /// When, in seconds since 1970.
    pub seconds: i64,
}

impl PushRecord {
    /// Returns whether this can be what was pushed: one of the manifests that are known, where some
    /// are; an image with the configuration that is known, where one is.
    #[must_use]
    pub fn may_be(&self, manifest: &Digest, config: Option<&Digest>) -> bool {
        let mut manifests = self.words.iter().filter_map(|word| match word {
            Word::Manifest(digest) | Word::Served(digest) => Some(digest),
            Word::Config(_) => None,
        });
        let known = manifests.clone().next().is_some();
        let listed = manifests.any(|known| known == manifest);
        let same = self.configs().all(|known| Some(known) == config);
        !self.words.is_empty() && (listed || !known) && same
    }

    /// Returns the configuration that an engine named, which says nothing of the layers.
    pub fn configs(&self) -> impl Iterator<Item = &Digest> {
        self.words.iter().filter_map(|word| match word {
            Word::Config(digest) => Some(digest),
            Word::Manifest(_) | Word::Served(_) => None,
        })
    }

    /// Returns whether no engine was asked.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.words.iter().any(|word| matches!(word, Word::Served(_)))
    }
}

/// The record of this user.
#[derive(Debug)]
pub struct Pushes {
    folder: Folder,
}

impl Pushes {
    /// Opens the record.
    ///
    /// # Errors
    /// `state`: no directory can be used.
    pub fn open(locations: &Locations) -> Result<Self, Failure> {
        let place = place(locations).ok_or_else(|| {
            Failure::new(Class::State, "this user has no directory to keep state in")
        })?;
        Ok(Self { folder: Folder::open(place)?.within("pushes")? })
    }

    /// Notes what was pushed, and forgets what is older than a day.
    ///
    /// # Errors
    /// `state`: it could not be written.
    pub fn note(
        &self,
        repository: &Repository,
        tag: &Tag,
        words: Vec<Word>,
        now: i64,
    ) -> Result<(), Failure> {
        let push = PushRecord {
            repository: repository.to_string(),
            tag: tag.to_string(),
            words,
            seconds: now,
        };
        let line = to_json(&push)?;
        let name = file_name(repository);
        let _lock = self.folder.lock(&lock_name(&name), limits::LOCK)?;
        // One that cannot be read is begun again.
        let bytes = self.folder.read_up_to(&name, limits::PUSHES_BYTES).ok().flatten();
        let bytes = bytes.unwrap_or_default();
        let limit = usize::try_from(limits::PUSHES_BYTES).unwrap_or(usize::MAX);
        let oldest = lines(&bytes).next();
        let stale = oldest.is_some_and(|push| !is_fresh(&push, now));
        if bytes.len() + line.len() < limit && !stale && !bytes.is_empty() {
            return self.folder.append(&name, &line, false);
        }
        let kept: Vec<String> = lines(&bytes)
            .filter(|push| is_fresh(push, now))
            .map(|push| to_json(&push))
            .chain([Ok(line)])
            .collect::<Result<_, _>>()?;
        // Half of it, so that the next write is an append again.
        let mut total: usize = kept.iter().map(|line| line.len() + 1).sum();
        let mut from = 0;
        while total > limit / 2 && from + 1 < kept.len() {
            total -= kept.get(from).map_or(0, |line| line.len() + 1);
            from += 1;
        }
        let text: String = kept.iter().skip(from).map(|line| format!("{line}\n")).collect();
        self.folder.replace(&name, text.as_bytes())
    }

    /// Returns what was pushed to a repository within a day, the oldest first.
    ///
    /// # Errors
    /// `state`: the record cannot be read.
    pub fn of(&self, repository: &Repository, now: i64) -> Result<Vec<PushRecord>, Failure> {
        let bytes = self.folder.read_up_to(&file_name(repository), limits::PUSHES_BYTES)?;
        let name = repository.to_string();
        let of_it = |push: &PushRecord| push.repository == name && is_fresh(push, now);
        Ok(lines(&bytes.unwrap_or_default()).filter(of_it).collect())
    }
}

fn is_fresh(push: &PushRecord, now: i64) -> bool {
    let age = now.saturating_sub(push.seconds);
    // A clock that was put back by more than moments knows no ages.
    (-seconds(limits::PUSH_SKEW)..=seconds(limits::PUSH_AGE)).contains(&age)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the whole lines that are ours.
fn lines(bytes: &[u8]) -> impl Iterator<Item = PushRecord> + '_ {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole = bytes.get(..whole).unwrap_or_default();
    whole.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

fn to_json(push: &PushRecord) -> Result<String, Failure> {
    serde_json::to_string(push)
        .map_err(|error| Failure::new(Class::Internal, format!("a line of the record: {error}")))
}

fn file_name(repository: &Repository) -> String {
    format!("pushes-{}", name_of(&[repository.to_string().as_bytes()]))
}

/// One of 256 locks, so that their number stays bounded.
fn lock_name(name: &str) -> String {
    format!("lock-{}", name.get(7..9).unwrap_or("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_500_000;
    const DAY: i64 = 86_400;

    fn setup() -> (tempfile::TempDir, Pushes, Repository) {
        let top = tempfile::tempdir().unwrap();
        let locations = Locations { state: vec![top.path().join("state")], runs: Vec::new() };
        (top, Pushes::open(&locations).unwrap(), "quay.io/a/b".parse().unwrap())
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn word(text: &str) -> Vec<Word> {
        vec![Word::Manifest(Digest::of(text.as_bytes()))]
    }

    fn tags(pushes: &Pushes, repository: &Repository, now: i64) -> Vec<String> {
        pushes.of(repository, now).unwrap().into_iter().map(|push| push.tag).collect()
    }

    #[test]
    fn what_was_pushed_is_known_for_a_day_and_in_its_own_repository() {
        let (_top, pushes, repository) = setup();
        pushes.note(&repository, &tag("1"), word("1"), NOW).unwrap();
        pushes.note(&repository, &tag("2"), word("2"), NOW + 10).unwrap();
        assert_eq!(tags(&pushes, &repository, NOW + 20), ["1", "2"]);
        assert_eq!(pushes.of(&repository, NOW).unwrap()[0].words, word("1"));
        assert_eq!(tags(&pushes, &repository, NOW + DAY + 5), ["2"]);
        assert!(tags(&pushes, &repository, NOW - 311).is_empty());
        assert!(tags(&pushes, &"quay.io/a/c".parse().unwrap(), NOW).is_empty());
        pushes.note(&repository, &tag("3"), word("3"), NOW + DAY + 5).unwrap();
        let text = std::fs::read(pushes.folder.path().join(file_name(&repository))).unwrap();
        assert_eq!(lines(&text).count(), 2, "what is old goes");
    }

    #[test]
    fn all_who_know_something_have_to_agree() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let push = |words: &[Word]| PushRecord {
            repository: String::new(),
            tag: String::new(),
            words: words.to_vec(),
            seconds: NOW,
        };
        let (a, b, config) = (digest("a"), digest("b"), digest("config"));
        let docker = push(&[Word::Manifest(a), Word::Manifest(config)]);
        assert!(docker.may_be(&a, Some(&config)) && docker.may_be(&a, None));
        assert!(!docker.may_be(&b, Some(&config)));
        let buildah = push(&[Word::Config(config)]);
        assert!(buildah.may_be(&a, Some(&config)) && !buildah.may_be(&a, Some(&b)));
        assert!(!buildah.may_be(&a, None));
        let both = push(&[Word::Manifest(a), Word::Config(config)]);
        assert!(both.may_be(&a, Some(&config)));
        assert!(!both.may_be(&b, Some(&config)) && !both.may_be(&a, Some(&b)));
        assert!(!push(&[]).may_be(&a, Some(&config)));
        assert!(push(&[Word::Served(a)]).is_served());
    }

    #[test]
    fn another_repository_s_file_in_this_one_s_place_says_nothing() {
        let (_top, pushes, repository) = setup();
        let other: Repository = "quay.io/a/c".parse().unwrap();
        pushes.note(&other, &tag("1"), word("1"), NOW).unwrap();
        let folder = pushes.folder.path();
        std::fs::copy(folder.join(file_name(&other)), folder.join(file_name(&repository))).unwrap();
        assert!(tags(&pushes, &repository, NOW).is_empty());
    }

    #[test]
    fn what_is_torn_or_not_ours_says_nothing_and_the_rest_stays() {
        let (_top, pushes, repository) = setup();
        pushes.note(&repository, &tag("1"), word("1"), NOW).unwrap();
        let path = pushes.folder.path().join(file_name(&repository));
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"nonsense\n{\"repository\":\"quay.io/a/b\",\"tag\":\"2\"");
        std::fs::write(&path, text).unwrap();
        assert_eq!(tags(&pushes, &repository, NOW), ["1"]);
        pushes.note(&repository, &tag("3"), word("3"), NOW).unwrap();
        assert_eq!(tags(&pushes, &repository, NOW), ["1", "3"]);
    }

    #[test]
    fn the_record_stays_bounded_and_keeps_the_newest() {
        let (_top, pushes, repository) = setup();
        let path = pushes.folder.path().join(file_name(&repository));
        let push = |number: usize| PushRecord {
            repository: repository.to_string(),
            tag: format!("t{number}"),
            words: word("x"),
            seconds: NOW,
        };
        let limit = usize::try_from(limits::PUSHES_BYTES).unwrap();
        let line = to_json(&push(1)).unwrap().len() + 1;
        let text: String =
            (0..limit / line - 10).map(|n| to_json(&push(n)).unwrap() + "\n").collect();
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        for number in 0..60 {
            pushes.note(&repository, &tag(&format!("n{number}")), word("y"), NOW).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < limits::PUSHES_BYTES);
        let kept = tags(&pushes, &repository, NOW);
        assert_eq!(kept.iter().filter(|tag| tag.starts_with('n')).count(), 60);
    }
}
