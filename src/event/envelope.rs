//! The envelope of an event, in every form that a host has ever sent.
//!
//! `{"name","data","file"}`: `data` is a string that holds JSON, or (in the READMEs of old plugins,
//! and newer hosts) an object, or null; over 8 KiB it comes through `file`. The envelope is
//! `argv[2]`, or standard input.

use super::{Event, event_failure};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::limits;
use crate::wire::json;
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// An event of ours with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPayload {
    /// `image.pre.unpack`
    PreUnpack(Unpack),
    /// `image.post.unpack`
    PostUnpack(Unpack),
    /// `image.pre.push`
    PrePush(PushPayload),
    /// `image.post.push`
    PostPush(PushPayload),
    /// `image.post.pull`
    PostPull(PushPayload),
}

/// The payload of the events of unpacking (luet's `UnpackEventData`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpack {
    /// The image, as the host wrote it.
    pub image: String,
    /// Where it is unpacked: an absolute path.
    pub dest: PathBuf,
}

/// The payload of the events of pushing and pulling (luet's `backend.Options`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushPayload {
    /// The image, as the host wrote it.
    pub image: String,
    /// Whether it is an image of the build cache: those have a Dockerfile.
    pub build_cache: bool,
}

/// The envelope, as it was sent.
#[derive(Clone, Debug, Deserialize)]
pub struct EventEnvelope {
    name: Option<String>,
    data: Option<Value>,
    file: Option<String>,
}

#[derive(Deserialize)]
struct UnpackWire {
    #[serde(rename = "Image")]
    image: String,
    #[serde(rename = "Dest")]
    dest: String,
}

#[derive(Deserialize)]
struct PushWire {
    #[serde(rename = "ImageName")]
    image: String,
    #[serde(rename = "DockerFileName", default)]
    dockerfile: Option<String>,
}

impl EventEnvelope {
    /// Returns the payload, where the envelope holds it.
    pub(super) fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// Returns the path of the file that holds the payload, where one does.
    pub(super) fn file(&self) -> Option<&str> {
        self.file.as_deref().filter(|file| !file.is_empty())
    }
}

impl EventPayload {
    /// Reads the payload of `event`.
    ///
    /// # Errors
    /// `event`: none was sent, or it has an unexpected form.
    pub fn read(
        event: Event,
        argument: Option<&OsStr>,
        input: Option<&mut dyn Read>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let bytes = match (argument, input) {
            (Some(argument), _) => argument.as_bytes().to_vec(),
            (None, Some(input)) => bounded(input, limits::EVENT_BYTES, "the event")?,
            (None, None) => {
                return Err(event_failure(
                    "no payload: neither a second argument nor standard input",
                ));
            }
        };
        let envelope: EventEnvelope = json::parse_as(&bytes)
            .map_err(|failure| failure.as_class(Class::Event).within("the event"))?;
        if let Some(name) =
            envelope.name.as_deref().filter(|name| !name.is_empty() && *name != event.name())
        {
            return Err(event_failure(format!(
                "the event is called `{}`, its payload `{name}`",
                event.name()
            )));
        }
        let data = payload(&envelope, environment)?;
        parse(event, data)
    }
}

/// Returns what `data` holds, or the file that stands for it.
fn payload(envelope: &EventEnvelope, environment: &Environment) -> Result<Value, Failure> {
    let inner = |bytes: &[u8]| {
        json::parse(bytes).map_err(|failure| failure.as_class(Class::Event).within("the payload"))
    };
    let file = envelope.file();
    match (&envelope.data, file) {
        (None | Some(Value::Null), None) => Err(event_failure("the event has no payload")),
        (Some(Value::String(text)), None) if text.is_empty() => {
            Err(event_failure("the event has no payload"))
        }
        (Some(Value::String(text)), None) => inner(text.as_bytes()),
        (Some(object @ Value::Object(_)), None) => Ok(object.clone()),
        (Some(_), None) => Err(event_failure("the payload is neither text nor an object")),
        (None | Some(Value::Null), Some(file)) => inner(&read_file(Path::new(file), environment)?),
        (Some(Value::String(text)), Some(file)) if text.is_empty() => {
            inner(&read_file(Path::new(file), environment)?)
        }
        (Some(_), Some(_)) => {
            Err(event_failure("the event has a payload and a file; expected one of them"))
        }
    }
}

fn parse(event: Event, data: Value) -> Result<EventPayload, Failure> {
    let shape = |error: serde_json::Error| {
        event_failure(format!("the payload of `{}`: {error}", event.name()))
    };
    Ok(match event {
        Event::PreUnpack | Event::PostUnpack => {
            let wire: UnpackWire = serde_json::from_value(data).map_err(shape)?;
            let unpack = Unpack { image: named(wire.image)?, dest: dest(wire.dest)? };
            if event == Event::PreUnpack {
                EventPayload::PreUnpack(unpack)
            } else {
                EventPayload::PostUnpack(unpack)
            }
        }
        Event::PrePush | Event::PostPush | Event::PostPull => {
            let wire: PushWire = serde_json::from_value(data).map_err(shape)?;
            let push = PushPayload {
                image: named(wire.image)?,
                build_cache: wire.dockerfile.is_some_and(|name| !name.is_empty()),
            };
            match event {
                Event::PrePush => EventPayload::PrePush(push),
                Event::PostPull => EventPayload::PostPull(push),
                _ => EventPayload::PostPush(push),
            }
        }
    })
}

fn named(image: String) -> Result<String, Failure> {
    if image.is_empty() { Err(event_failure("the event names no image")) } else { Ok(image) }
}

fn dest(text: String) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(&text);
    if path.is_absolute() && !text.contains('\0') {
        Ok(path)
    } else {
        Err(event_failure(format!("`Dest` is `{text}`; expected an absolute path")))
    }
}

fn read_file(path: &Path, environment: &Environment) -> Result<Vec<u8>, Failure> {
    let mut file = open_file(path, environment)?;
    bounded(&mut file, limits::EVENT_FILE_BYTES, "the payload's file")
}

/// Opens the file that holds a large payload. Only what the host itself can have made is: a private
/// file of this user called `pluggable*`, directly in the directory for temporary files. Its content
/// is never shown.
pub(super) fn open_file(path: &Path, environment: &Environment) -> Result<File, Failure> {
    let refused =
        |why: String| event_failure(format!("the payload's file `{}` {why}", path.display()));
    let folder = environment.path("TMPDIR")?.unwrap_or_else(|| PathBuf::from("/tmp"));
    let named = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"pluggable"));
    if !named || path.parent() != Some(folder.as_path()) {
        return Err(refused(format!("is not `{}/pluggable*`", folder.display())));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| refused(format!("could not be opened: {error}")))?;
    let found = file.metadata().map_err(|error| refused(format!("could not be read: {error}")))?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(refused("is not a plain file with one name".to_owned()));
    }
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(refused("is open to other users".to_owned()));
    }
    Ok(file)
}

fn bounded(input: &mut dyn Read, limit: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    input
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| event_failure(format!("{what} could not be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(event_failure(format!("{what} is larger than {limit} bytes")));
    }
    Ok(bytes)
}
