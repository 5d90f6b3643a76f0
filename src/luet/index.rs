//! What a luet repository says of itself: `repository.yaml`, and the index of its packages in
//! `repository.meta.yaml`.
//!
//! Source: luet `pkg/installer/repository.go`, `repository_docker.go`,
//! `pkg/api/core/types/package.go`. An index can have tens of megabytes, so it is read event by
//! event and nothing of it is kept but names. luet reads these files through JSON: it resolves
//! anchors, takes the last of two keys of one name and does not tell `name` from `NAME`. What two
//! readers could read as two things is refused.

use crate::class::{Class, Failure, shown};
use crate::limits;
use crate::name::{Digest, Tag};
use serde_yaml::granit_parser::{Event, Parser};
use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

/// The tag, and the file in its image, of the description of a repository.
pub const DESCRIPTION: &str = "repository.yaml";
/// How the tags of its snapshots end.
pub const SNAPSHOT: &str = "-repository.yaml";
/// The file that holds the index, within the archive that the description names.
pub const INDEX: &str = "repository.meta.yaml";
/// The key of that archive in the description.
pub const META: &str = "meta";

/// What a repository's description says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// It is one more with each publication.
    pub revision: String,
    /// When it was published, as text.
    pub last_update: String,
    /// The files that the repository consists of beside its packages, in the order in which they
    /// are named.
    pub files: Vec<RepositoryFile>,
}

/// One of these files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFile {
    /// `tree`, `meta` or `compilertree`.
    pub key: String,
    /// Its name, from which the tag of its image is made.
    pub name: String,
    /// Its digest, where the description has one.
    pub sha256: Option<Digest>,
}

/// A package of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its version.
    pub version: String,
}

impl Description {
    /// Returns the file with a key.
    #[must_use]
    pub fn file(&self, key: &str) -> Option<&RepositoryFile> {
        self.files.iter().find(|file| file.key == key)
    }
}

impl Package {
    /// Returns the tag of its image.
    ///
    /// # Errors
    /// `reference`: it can be none.
    pub fn image(&self) -> Result<Tag, Failure> {
        tag(&format!("{}-{}-{}", self.name, self.category, self.version))
    }

    /// Returns the tag of the image of its `*.metadata.yaml`.
    ///
    /// # Errors
    /// `reference`: it can be none.
    pub fn metadata(&self) -> Result<Tag, Failure> {
        tag(&format!("{}-{}-{}.metadata.yaml", self.name, self.category, self.version))
    }
}

/// Returns the tag that luet makes of the name of a file (`SanitizeImageString`).
///
/// # Errors
/// `reference`: it can be none.
pub fn tag(name: &str) -> Result<Tag, Failure> {
    name.replace('+', "-").parse()
}

/// Reads a `repository.yaml`.
///
/// # Errors
/// `malformed`: it is none, or one that two readers could read as two things. `limit`: it is too
/// large.
pub fn read_description(text: impl Read) -> Result<Description, Failure> {
    let mut description = Description::default();
    walk(text, DESCRIPTION, &mut |path, value| {
        let Some(value) = value else { return Ok(()) };
        match path {
            [Step::Key(key)] if is(key, "revision")? => once(&mut description.revision, value),
            [Step::Key(key)] if is(key, "last_update")? => {
                once(&mut description.last_update, value)
            }
            [Step::Key(files), Step::Key(key), rest @ ..] if is(files, "repo_files")? => {
                if !description.files.iter().any(|file| file.key == *key) {
                    if description.files.len() >= limits::REPOSITORY_FILES {
                        return Err(too_many("files", limits::REPOSITORY_FILES));
                    }
                    let file = RepositoryFile { key: key.clone(), ..RepositoryFile::default() };
                    description.files.push(file);
                }
                let file = description.files.iter_mut().find(|file| file.key == *key);
                let Some(file) = file else { return Ok(()) };
                match rest {
                    [Step::Key(key)] if is(key, "filename")? => once(&mut file.name, value),
                    [Step::Key(sums), Step::Key(kind)]
                        if is(sums, "checksums")? && is(kind, "sha256")? =>
                    {
                        if file.sha256.is_some() {
                            return Err(twice("sha256"));
                        }
                        file.sha256 = Some(format!("sha256:{value}").parse()?);
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    })?;
    if let Some(file) = description.files.iter().find(|file| file.name.is_empty()) {
        return Err(malformed(&format!("the file `{}` has no name", shown(&file.key))));
    }
    Ok(description)
}

/// Reads a `repository.meta.yaml` and hands out its packages in order.
///
/// # Errors
/// As [`read_description`]; those of `take`.
pub fn read_index(
    text: impl Read,
    mut take: impl FnMut(Package) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut current: Option<(usize, Package)> = None;
    let mut complete = 0;
    let mut finish = |current: Option<(usize, Package)>, complete: &mut usize| {
        let Some((at, package)) = current else { return Ok(()) };
        if at != *complete || package.name.is_empty() || package.version.is_empty() {
            return Err(malformed(&format!(
                "entry {} of the index names no package",
                *complete + 1
            )));
        }
        *complete += 1;
        if *complete > limits::REPOSITORY_PACKAGES {
            return Err(too_many("packages", limits::REPOSITORY_PACKAGES));
        }
        take(package)
    };
    walk(text, INDEX, &mut |path, value| {
        let [Step::Key(index), rest @ ..] = path else { return Ok(()) };
        if !is(index, "index")? {
            return Ok(());
        }
        let [Step::Item(at), rest @ ..] = rest else {
            // `index: null` is an empty one, and a list is told when it begins.
            return match (rest, value) {
                ([], None | Some("" | "~" | "null")) => Ok(()),
                _ => Err(malformed("the index is not a list")),
            };
        };
        if current.as_ref().is_none_or(|(current, _)| current != at) {
            finish(current.take(), &mut complete)?;
            current = Some((*at, Package::default()));
        }
        let (Some((_, package)), Some(value)) = (&mut current, value) else { return Ok(()) };
        let [Step::Key(spec), Step::Key(of), Step::Key(key)] = rest else { return Ok(()) };
        if is(spec, "compilationspec")? && is(of, "package")? {
            name_of(package, key, value)?;
        }
        Ok(())
    })?;
    finish(current, &mut complete)
}

/// What `luet build` leaves beside a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageMetadata {
    /// The package.
    pub package: Package,
    /// Where its archive was when it was built.
    pub path: String,
}

/// Reads a `*.metadata.yaml`. Its fields have other names than those of the index.
///
/// # Errors
/// As [`read_description`].
pub fn read_metadata(text: impl Read) -> Result<PackageMetadata, Failure> {
    let mut metadata = PackageMetadata::default();
    walk(text, "metadata.yaml", &mut |path, value| {
        let Some(value) = value else { return Ok(()) };
        match path {
            [Step::Key(key)] if is(key, "path")? => once(&mut metadata.path, value),
            [Step::Key(spec), Step::Key(of), Step::Key(key)]
                if is(spec, "compilespec")? && is(of, "package")? =>
            {
                name_of(&mut metadata.package, key, value)
            }
            _ => Ok(()),
        }
    })?;
    if metadata.package.name.is_empty() || metadata.package.version.is_empty() {
        return Err(malformed("it names no package"));
    }
    Ok(metadata)
}

fn name_of(package: &mut Package, key: &str, value: &str) -> Result<(), Failure> {
    if is(key, "name")? {
        once(&mut package.name, value)
    } else if is(key, "category")? {
        once(&mut package.category, value)
    } else if is(key, "version")? {
        once(&mut package.version, value)
    } else {
        Ok(())
    }
}

/// Returns whether a key is the one that is meant; one that only luet takes for it is refused.
fn is(key: &str, name: &str) -> Result<bool, Failure> {
    if key == name {
        return Ok(true);
    }
    // Go folds two letters beyond ASCII as well; this makes `s` and `k` of them.
    let folded = key.to_uppercase().to_lowercase();
    if folded == name {
        return Err(malformed(&format!("the key `{}` is also written for `{name}`", shown(key))));
    }
    Ok(false)
}

fn once(field: &mut String, value: &str) -> Result<(), Failure> {
    if !field.is_empty() {
        return Err(twice(value));
    }
    value.clone_into(field);
    Ok(())
}

fn twice(value: &str) -> Failure {
    malformed(&format!("a key is set twice, once to `{}`", shown(value)))
}

fn malformed(what: &str) -> Failure {
    Failure::new(Class::Malformed, what)
}

fn too_many(what: &str, most: usize) -> Failure {
    Failure::new(Class::Limit, format!("more than {most} {what}"))
}

/// One step on the way to a value.
#[derive(Debug)]
enum Step {
    Key(String),
    Item(usize),
}

/// A mapping or a list that is open.
enum Frame {
    /// The step with the current key follows, where a key was read.
    Mapping {
        has_key: bool,
    },
    Sequence {
        next: usize,
    },
}

/// Takes a value by its path: its text, or nothing where a list or mapping begins.
type Take<'a> = &'a mut dyn FnMut(&[Step], Option<&str>) -> Result<(), Failure>;

/// Goes through a document and hands out each value with its path.
fn walk(text: impl Read, what: &str, take: Take<'_>) -> Result<(), Failure> {
    let trouble = Rc::new(RefCell::new(None));
    let characters = Characters::new(text, Rc::clone(&trouble));
    let walked = events(Parser::new_from_iter(characters), take);
    // The document ends where the reader fails, so that comes first.
    match (trouble.take(), walked) {
        (Some(failure), _) => Err(failure),
        (None, walked) => walked.map_err(|failure| failure.within(format!("`{what}`"))),
    }
}

fn events<T: Iterator<Item = char>>(
    parser: Parser<'static, serde_yaml::granit_parser::BufferedInput<T>>,
    take: Take<'_>,
) -> Result<(), Failure> {
    let (mut frames, mut path): (Vec<Frame>, Vec<Step>) = (Vec::new(), Vec::new());
    let mut documents = 0;
    for event in parser {
        let (event, _) = event.map_err(|error| malformed(&format!("no YAML: {}", error.info())))?;
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(malformed("a second document"));
                }
            }
            Event::Alias(_) => return Err(malformed("an alias")),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                return Err(malformed("an anchor"));
            }
            Event::Scalar(text, ..) => {
                if let Some(Frame::Mapping { has_key: has_key @ false }) = frames.last_mut() {
                    if text == "<<" {
                        return Err(malformed("a merge key"));
                    }
                    *has_key = true;
                    path.push(Step::Key(text.into_owned()));
                } else {
                    begin(&mut frames, &mut path)?;
                    take(&path, Some(&text))?;
                    end(&mut frames, &mut path);
                }
            }
            Event::MappingStart(..) => {
                begin(&mut frames, &mut path)?;
                take(&path, None)?;
                frames.push(Frame::Mapping { has_key: false });
            }
            Event::SequenceStart(..) => {
                begin(&mut frames, &mut path)?;
                take(&path, None)?;
                frames.push(Frame::Sequence { next: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                end(&mut frames, &mut path);
            }
            _ => {}
        }
        if frames.len() > limits::DEPTH {
            return Err(Failure::new(
                Class::Limit,
                format!("nested deeper than {}", limits::DEPTH),
            ));
        }
    }
    Ok(())
}

/// A value begins: in a list it has a number; in a mapping its key was read.
fn begin(frames: &mut [Frame], path: &mut Vec<Step>) -> Result<(), Failure> {
    match frames.last_mut() {
        Some(Frame::Sequence { next }) => {
            path.push(Step::Item(*next));
            *next += 1;
            Ok(())
        }
        Some(Frame::Mapping { has_key: false }) => Err(malformed("a key that is not text")),
        Some(Frame::Mapping { .. }) | None => Ok(()),
    }
}

/// A value ends, and with it the step to it.
fn end(frames: &mut [Frame], path: &mut Vec<Step>) {
    match frames.last_mut() {
        Some(Frame::Mapping { has_key }) => {
            *has_key = false;
            path.pop();
        }
        Some(Frame::Sequence { .. }) => {
            path.pop();
        }
        None => {}
    }
}

/// The characters of a text that is read piece by piece. It ends where the reader fails, and says
/// why in `trouble`.
struct Characters<R> {
    reader: R,
    /// Bytes that were read, from `start` on not handed out.
    bytes: Vec<u8>,
    start: usize,
    /// Up to where they are known to be UTF-8.
    valid: usize,
    read: u64,
    trouble: Rc<RefCell<Option<Failure>>>,
}

/// What is read of a text at once.
const PIECE: usize = 16 << 10;

impl<R: Read> Characters<R> {
    fn new(reader: R, trouble: Rc<RefCell<Option<Failure>>>) -> Self {
        Self { reader, bytes: Vec::new(), start: 0, valid: 0, read: 0, trouble }
    }

    /// Reads on; `false` at the end.
    fn fill(&mut self) -> Result<bool, Failure> {
        // What is left is the beginning of a character.
        self.bytes.drain(..self.start);
        self.start = 0;
        loop {
            let kept = self.bytes.len();
            self.bytes.resize(kept + PIECE, 0);
            let read = match self.reader.read(self.bytes.get_mut(kept..).unwrap_or_default()) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    let told =
                        error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()).cloned();
                    return Err(told.unwrap_or_else(|| malformed(&error.to_string())));
                }
            };
            self.bytes.truncate(kept + read);
            self.read = self.read.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            if self.read > limits::REPOSITORY_BYTES {
                let most = limits::REPOSITORY_BYTES;
                return Err(Failure::new(Class::Limit, format!("more than {most} bytes")));
            }
            self.valid = match std::str::from_utf8(&self.bytes) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(malformed("it is not UTF-8")),
            };
            if self.valid > 0 {
                return Ok(true);
            }
            if read == 0 {
                let whole = self.bytes.is_empty();
                return if whole { Ok(false) } else { Err(malformed("it is not UTF-8")) };
            }
        }
    }
}

impl<R: Read> Iterator for Characters<R> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.start >= self.valid {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    *self.trouble.borrow_mut() = Some(failure);
                    return None;
                }
            }
        }
        // One character has at most four bytes; looking at more would cost the square of a piece.
        let end = self.valid.min(self.start + 4);
        let bytes = self.bytes.get(self.start..end)?;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        };
        let character = text.chars().next()?;
        self.start += character.len_utf8();
        Some(character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(text: &str) -> Result<Vec<String>, Class> {
        let mut all = Vec::new();
        let take = |package: Package| {
            all.push(package.image()?.to_string());
            Ok(())
        };
        read_index(text.as_bytes(), take).map_err(|failure| failure.class())?;
        Ok(all)
    }

    const INDEX: &str = "index:
- checksums:
    sha256: abc
  compilationspec:
    package:
      category: toolchain
      name: yip
      requires:
      - name: other
        category: x
        version: '>=0'
      version: \"1.0+3\"
    image: alpine
  dependencies:
  - compilationspec:
      package: {name: dependency, version: 1}
  files: [a, 'b: c']
- compilationspec: {package: {name: beer, category: '', version: \"1.10\"}}
";

    #[test]
    fn packages_are_read_with_the_tags_that_luet_makes() {
        assert_eq!(packages(INDEX).unwrap(), ["yip-toolchain-1.0-3", "beer--1.10"]);
        let package = Package { name: "a".into(), category: "b".into(), version: "1+2".into() };
        assert_eq!(package.metadata().unwrap().as_str(), "a-b-1-2.metadata.yaml");
        for empty in ["{}", "index: []", "index:", "", "other: 1"] {
            assert_eq!(packages(empty), Ok(Vec::new()), "{empty}");
        }
    }

    #[test]
    fn pieces_of_any_length_come_to_the_same() {
        struct Drip<'a>(&'a [u8], usize);
        impl Read for Drip<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.0.len().min(self.1).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let text = INDEX.replace("alpine", "älpíne-漢-\u{1f600}");
        for length in 1..9 {
            let mut count = 0;
            read_index(Drip(text.as_bytes(), length), |_| {
                count += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(count, 2, "{length}");
        }
    }

    #[test]
    fn an_index_with_two_meanings_is_refused() {
        let one = "{compilationspec: {package: {name: a, version: 1}}}";
        for text in [
            "index: [{}]".to_owned(),
            format!("index: [{{}}, {one}]"),
            format!("index: [{one}, 5]"),
            "index: [{compilationspec: {package: {version: 1}}}]".to_owned(),
            "index: [{compilationspec: {package: {name: a, name: b, version: 1}}}]".to_owned(),
            "index: [{compilationspec: {package: {name: a, NAME: b, version: 1}}}]".to_owned(),
            "index: [{compilationspec: {package: {name: a, ver\u{17f}ion: b, version: 1}}}]"
                .to_owned(),
            format!("index: [&x {one}, *x]"),
            format!("Index: [{one}]"),
            format!("index: [{one}]\n---\nindex: []"),
            "index: [{compilationspec: {package: {<<: {name: a}, version: 1}}}]".to_owned(),
            "index: text".to_owned(),
            "index: {a: {b: c}}".to_owned(),
            "index: [".to_owned(),
            "? [a]\n: b".to_owned(),
        ] {
            assert_eq!(packages(&text), Err(Class::Malformed), "{text}");
        }
        let bytes = [b"index: \"".as_slice(), &[0xff], b"\""].concat();
        let read = read_index(bytes.as_slice(), |_| Ok(()));
        assert_eq!(read.map_err(|failure| failure.class()), Err(Class::Malformed));
        let deep = "[".repeat(limits::DEPTH + 1) + &"]".repeat(limits::DEPTH + 1);
        assert_eq!(packages(&deep), Err(Class::Limit));
    }

    #[test]
    fn a_description_names_its_files_with_their_digests() {
        let hex = "a".repeat(64);
        let text = format!(
            "name: acme\nrevision: 12\nlast_update: \"1753200000\"\nrepo_files:\n  tree: {{filename: tree.tar.gz, checksums: {{sha256: {hex}}}}}\n  meta:\n    compressiontype: none\n    filename: repository.meta.yaml.tar\n"
        );
        let found = read_description(text.as_bytes()).unwrap();
        assert_eq!((found.revision.as_str(), found.last_update.as_str()), ("12", "1753200000"));
        let tree = found.file("tree").unwrap();
        assert_eq!(
            (tree.name.as_str(), tree.sha256),
            ("tree.tar.gz", Some(format!("sha256:{hex}").parse().unwrap()))
        );
        assert_eq!(found.file(META).unwrap().sha256, None);
        for text in [
            "repo_files: {meta: {filename: a, FileName: b}}",
            "repo_files: {meta: {compressiontype: none}}",
            "repo_files: {meta: {filename: a, filename: b}}",
            "REPO_FILES: {meta: {filename: a}}",
            "repo_files: {meta: {filename: a, checksums: {sha256: nonsense}}}",
        ] {
            let found = read_description(text.as_bytes());
            assert!(found.is_err(), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_luet_build_leaves_is_read_by_its_own_names() {
        let text = "path: /src/build/yip-toolchain-1.0.package.tar.zst\ncompilespec:\n  package:\n    name: yip\n    category: toolchain\n    version: \"1.0\"\nruntime: {name: x, version: 2}\n";
        let found = read_metadata(text.as_bytes()).unwrap();
        assert_eq!(found.path, "/src/build/yip-toolchain-1.0.package.tar.zst");
        assert_eq!(found.package.image().unwrap().as_str(), "yip-toolchain-1.0");
        assert!(read_metadata("{}".as_bytes()).is_err());
    }
}
