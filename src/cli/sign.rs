//! `sign`.

use super::arguments::{Sign, SignFormat};
use super::images::{annotations, http, signature};
use super::{Outcome, Streams, prompt};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location, Trusted};
use crate::push;
use crate::session::{Connections, Options};
use crate::signer::Signer;
use crate::trust::PrivateKey;
use serde_json::{Value, json};

/// The variable that names the key where no flag does.
const KEY_VARIABLE: &str = "COSIGN_KEY_LOCATION";

pub(super) fn sign(
    command: &Sign,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    if command.tlog_upload {
        return Err(Failure::new(
            Class::Unsupported,
            "signing into a transparency log is not in this version",
        )
        .hint("leave --tlog-upload away"));
    }
    let location = match (&command.key, environment.text(KEY_VARIABLE)?) {
        (Some(key), _) => Location::parse("--key", key)?,
        (None, Some(key)) => Location::parse(KEY_VARIABLE, key)?,
        (None, None) => {
            return Err(Failure::new(Class::Secret, "no key to sign with")
                .hint("give --key, or set COSIGN_KEY_LOCATION"));
        }
    };
    let pem = location
        .read(environment, Trusted::NotOthers)?
        .ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    let annotations = annotations(&command.annotations)?;
    let password = prompt::password(environment, false)?;
    let signer = Signer::opening(move || {
        PrivateKey::open(&pem, &password).map_err(|failure| failure.within(format!("`{location}`")))
    });
    let format = format(command);
    let options = Options {
        policy: None,
        http: http(&command.images, command.network.allow_http_registry)?,
        ..Options::default()
    };
    let (attached, warning) = Connections::run(environment, &options, async |connections| {
        let mut all = Vec::new();
        for image in &command.images {
            connections.client().renew();
            for attached in
                push::sign(connections, image, &signer, &annotations, format, command.recursive)
                    .await?
            {
                all.push((image.clone(), attached));
            }
        }
        Ok((all, connections.warning()))
    })?;
    warning.iter().for_each(|warning| streams.note(warning));
    let mut documents: Vec<Value> = Vec::new();
    for (image, attached) in &attached {
        let digest = attached.signature.image();
        let already = attached.already;
        streams.note(if already {
            format!("already signed: {image} ({digest})")
        } else {
            format!("signed {image} ({digest})")
        });
        documents.push(json!({"image": image, "already": already, "signature": signature(&attached.signature, image)}));
    }
    if as_json {
        streams.json(json!({"signed": documents}))?;
    }
    Ok(0)
}

fn format(command: &Sign) -> push::SignFormat {
    match (command.format, command.new_bundle_format) {
        (_, Some(true)) | (SignFormat::Bundle, _) => push::SignFormat::Bundle,
        (_, Some(false)) | (SignFormat::Legacy, _) => push::SignFormat::Legacy,
        (SignFormat::Auto, None) => push::SignFormat::Auto,
        (SignFormat::Both, None) => push::SignFormat::Both,
    }
}
