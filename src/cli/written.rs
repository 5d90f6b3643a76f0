//! Files that a command writes because the user named them: each is replaced whole or not at all.
//!
//! Everything that can go wrong is tried before the work begins: a directory that is not there, two
//! options with one file, an output that is the input.

use crate::class::{Class, Failure};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A place for a file, made ready.
#[derive(Debug)]
pub(super) struct Output {
    option: &'static str,
    named: PathBuf,
    place: PathBuf,
    ready: Ready,
}

#[derive(Debug)]
enum Ready {
    /// To be written beside its place, in this directory and with this mode, and then put there. Nothing
    /// is there yet: a person who is asked for a password may end the program with Ctrl-C.
    Beside(PathBuf, u32),
    /// A pipe or a terminal, which is written to as it is.
    Stream(File),
}

impl Output {
    /// Makes a file ready, where an option names one.
    ///
    /// # Errors
    /// `usage`: it cannot be written there.
    pub(super) fn open(
        option: &'static str,
        named: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let Some(named) = named else { return Ok(None) };
        let failed = |why: &dyn std::fmt::Display| {
            let message = format!("{option} `{}` cannot be written: {why}", named.display());
            Failure::new(Class::Usage, message)
                .hint("name a file in a directory that you can write to")
        };
        // What a link names is replaced, not the link. (What /dev/stdout names has no path.)
        let is_file = named.metadata().is_ok_and(|found| found.is_file());
        let place = if named.is_symlink() && (is_file || !named.exists()) {
            named.canonicalize().map_err(|error| failed(&error))?
        } else {
            named.to_owned()
        };
        let ready = match place.metadata() {
            Ok(found) if found.is_dir() => return Err(failed(&"it is a directory")),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(&place);
                Ready::Stream(file.map_err(|error| failed(&error))?)
            }
            _ => {
                let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
                // Signatures are for everybody to read, where the file that was there is not other.
                let mode = place.metadata().map_or(0o644, |found| found.mode() & 0o777);
                beside(&folder, mode).map_err(|error| failed(&error))?;
                Ready::Beside(folder, mode)
            }
        };
        Ok(Some(Self { option, named: named.to_owned(), place, ready }))
    }

    /// Refuses files of which one is another, or the one that is read.
    ///
    /// # Errors
    /// `usage`: two are one.
    pub(super) fn check_apart(outputs: &[&Self], input: Option<&Path>) -> Result<(), Failure> {
        for (number, output) in outputs.iter().enumerate() {
            let place = output.location();
            if input.is_some_and(|input| same(&output.place, input)) {
                return Err(Failure::new(
                    Class::Usage,
                    format!(
                        "{} `{}` is the file to be signed",
                        output.option,
                        output.named.display()
                    ),
                )
                .hint("name another file"));
            }
            let earlier = outputs.iter().take(number).find(|earlier| earlier.location() == place);
            if let (Some(earlier), Some(_)) = (earlier, &place) {
                return Err(Failure::new(
                    Class::Usage,
                    format!(
                        "{} and {} name the same file, `{}`",
                        earlier.option,
                        output.option,
                        output.named.display()
                    ),
                )
                .hint("name two files"));
            }
        }
        Ok(())
    }

    /// Returns the name, as it was given.
    pub(super) fn named(&self) -> &Path {
        &self.named
    }

    /// Where a file will lie; none of a stream, to which several may write.
    fn location(&self) -> Option<PathBuf> {
        let Ready::Beside(folder, _) = &self.ready else { return None };
        let folder = folder.canonicalize().ok()?;
        Some(folder.join(self.place.file_name()?))
    }

    /// Writes files: first the content of all, then each into its place.
    ///
    /// # Errors
    /// `usage`: one could not be written. Those that are not in their place by then are as they
    /// were.
    pub(super) fn write_all(outputs: Vec<(Self, &[u8])>) -> Result<(), Failure> {
        let failed = |named: &Path, error: &std::io::Error| {
            Failure::new(
                Class::Usage,
                format!("`{}` could not be written: {error}", named.display()),
            )
            .hint("free some space there, or name another directory")
        };
        let mut ready = Vec::new();
        for (output, bytes) in outputs {
            let file = match &output.ready {
                Ready::Beside(folder, mode) => beside(folder, *mode)
                    .and_then(|mut file| {
                        file.write_all(bytes)?;
                        file.as_file().sync_all()?;
                        Ok(Some(file))
                    })
                    .map_err(|error| failed(&output.named, &error))?,
                Ready::Stream(_) => None,
            };
            ready.push((output, file, bytes));
        }
        for (output, file, bytes) in ready {
            let Self { named, place, ready, .. } = output;
            match (file, ready) {
                (Some(file), _) => file.persist(&place).map(drop).map_err(|lost| lost.error),
                (None, Ready::Stream(mut stream)) => stream.write_all(bytes),
                (None, Ready::Beside(..)) => Ok(()),
            }
            .map_err(|error| failed(&named, &error))?;
        }
        Ok(())
    }
}

/// Makes an empty file in a directory, which is gone when it is dropped.
fn beside(folder: &Path, mode: u32) -> std::io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(".luet-cosign-").tempfile_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn open(path: &Path) -> Result<Output, Failure> {
        Output::open("--bundle", Some(path)).map(Option::unwrap)
    }

    #[test]
    fn a_file_is_as_it_was_until_all_are_written() {
        let top = tempfile::tempdir().unwrap();
        let (old, new) = (top.path().join("old"), top.path().join("new"));
        std::fs::write(&old, "before").unwrap();
        let outputs = [open(&old).unwrap(), open(&new).unwrap()];
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before");
        assert!(!new.exists());
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1, "nothing is there yet");
        drop(outputs);
        let outputs = vec![(open(&old).unwrap(), &b"1"[..]), (open(&new).unwrap(), b"2")];
        Output::write_all(outputs).unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "2");
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_said_before_anything_is_done() {
        let top = tempfile::tempdir().unwrap();
        for path in [top.path().join("not/there"), top.path().to_owned()] {
            assert_eq!(open(&path).unwrap_err().class(), Class::Usage, "{}", path.display());
        }
    }

    #[test]
    fn links_are_followed_and_stay() {
        let top = tempfile::tempdir().unwrap();
        let (file, link) = (top.path().join("file"), top.path().join("link"));
        std::fs::write(&file, "before").unwrap();
        symlink("file", &link).unwrap();
        Output::write_all(vec![(open(&link).unwrap(), b"after")]).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "after");
    }

    #[test]
    fn one_file_is_never_two() {
        let top = tempfile::tempdir().unwrap();
        let (file, link) = (top.path().join("file"), top.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        symlink("file", &link).unwrap();
        let (first, second) = (open(&file).unwrap(), open(&link).unwrap());
        assert!(Output::check_apart(&[&first, &second], None).is_err());
        assert!(Output::check_apart(&[&first], Some(&link)).is_err());
        let other = open(&top.path().join("other")).unwrap();
        Output::check_apart(&[&first, &other], Some(Path::new("-"))).unwrap();
    }
}
