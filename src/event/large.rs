//! Payloads that hold the index of a whole repository: read past, and not kept. The events that have
//! one only inform, so a payload that cannot be read is none.

use super::PluginCall;
use super::envelope::{EventEnvelope, open_file};
use crate::config::Environment;
use crate::limits;
use crate::wire::json;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Reads what is wanted of the payload.
pub(super) fn read<T: DeserializeOwned>(
    call: &mut PluginCall<'_>,
    environment: &Environment,
) -> Option<T> {
    let bytes = match (call.arguments.get(1), call.input.as_mut()) {
        (Some(argument), _) => OsString::as_os_str(argument).as_bytes().to_vec(),
        (None, Some(input)) => {
            let mut bytes = Vec::new();
            input.take(limits::EVENT_BYTES).read_to_end(&mut bytes).ok()?;
            bytes
        }
        (None, None) => return None,
    };
    let envelope: EventEnvelope = json::parse_as(&bytes).ok()?;
    if let Some(file) = envelope.file() {
        let file = open_file(Path::new(file), environment).ok()?;
        return serde_json::from_reader(BufReader::new(file.take(limits::INSTALL_BYTES))).ok();
    }
    match envelope.data()? {
        Value::String(text) => serde_json::from_str(text).ok(),
        object => serde_json::from_value(object.clone()).ok(),
    }
}
