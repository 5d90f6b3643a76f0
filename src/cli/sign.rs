//! `sign`: by a key, or by a certificate for the identity in a token.
//!
//! The second makes name and image public, for ever, so it is done only with a token that was named and
//! a yes: `-y`, or on a terminal. No variable says yes.

use super::arguments::{FormArgs, KeylessArgs, SignArgs, SignFormatArg};
use super::images::{annotations, signature};
use super::layers_read::LayersRead;
use super::{Outcome, Streams, prompt, signing_key};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location};
use crate::oidc::{self, TokenSource};
use crate::push;
use crate::session::{Connections, SessionOptions};
use crate::signer::{ServiceOptions, Signer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The variable that names the key where no flag does.
const KEY_VARIABLE: &str = "COSIGN_KEY_LOCATION";

/// By what is signed.
pub(super) enum By {
    Key(Signer),
    Token(TokenSource),
}

pub(super) fn sign(
    command: &SignArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let annotations = annotations(&command.annotations)?;
    let (key, free) = (command.key.as_deref(), prompt::StandardInput::Free);
    let by = by(key, &command.keyless, free, environment, streams)?;
    let wanted = push::SignOptions {
        annotations: &annotations,
        format: format(&command.form),
        recursive: command.recursive,
        docker_reference: command.sign_container_identity.as_deref(),
    };
    let options = SessionOptions {
        trusted_root: command.keyless.trusted_root.clone(),
        ..command.network.options(&command.images)?
    };
    let mut notes = Vec::new();
    let (attached, warning) = Connections::run(environment, &options, async |connections| {
        let signer = open(by, &command.keyless, connections).await?;
        let _shown = LayersRead::show(!as_json, connections.client().streamed());
        let mut all = Vec::new();
        for image in &command.images {
            connections.client().renew();
            for attached in push::sign(connections, image, &signer, &wanted).await? {
                let how = attached.how(&signer);
                all.push((image.clone(), attached, how));
            }
        }
        notes = signer.take_notices();
        notes.extend(connections.roots().warnings());
        Ok((all, connections.warning()))
    })?;
    for note in notes.into_iter().chain(warning) {
        streams.note(note);
    }
    let mut documents: Vec<Value> = Vec::new();
    for (image, attached, how) in &attached {
        let digest = attached.signature.image();
        let already = attached.already;
        let verb = if already { "already signed:" } else { "signed" };
        streams.note(format!("{verb} {image} ({digest}){how}"));
        documents.push(json!({"image": image, "already": already, "signature": signature(&attached.signature, image)}));
    }
    if as_json {
        streams.json(json!({"signed": documents}))?;
    }
    Ok(0)
}

/// Finds by what is signed. A key that is named wins.
pub(super) fn by(
    key: Option<&str>,
    keyless: &KeylessArgs,
    input: prompt::StandardInput,
    environment: &Environment,
    streams: &mut Streams,
) -> Result<By, Failure> {
    let named = keyless.identity_token.is_some() || keyless.oidc_provider.is_some();
    let location = match (key, environment.text(KEY_VARIABLE)?) {
        (Some(key), _) => Some(Location::parse("--key", key)?),
        (None, Some(_)) if named => None,
        (None, Some(key)) => Some(Location::parse(KEY_VARIABLE, key)?),
        (None, None) => None,
    };
    if let Some(location) = location {
        return signing_key::opening(location, input, environment, streams).map(By::Key);
    }
    if keyless.tlog_upload == Some(false) {
        return Err(Failure::new(Class::Usage, "no key, and a keyless signature must be in a log")
            .hint("give --key, or leave --tlog-upload=false away"));
    }
    let asked = oidc::TokenOptions {
        token: keyless.identity_token.clone().map(Zeroizing::new),
        provider: keyless.oidc_provider.as_deref().map(str::parse).transpose()?,
    };
    let source = TokenSource::find(environment, &asked).map_err(|failure| {
        if named {
            failure
        } else {
            failure.detail("and no key is named: --key, or COSIGN_KEY_LOCATION")
        }
    })?;
    let source = source.ok_or_else(|| {
        Failure::new(Class::Secret, "no key to sign with, and no identity token")
            .hint("give --key KEY or set COSIGN_KEY_LOCATION; to sign as a person or job: --identity-token TOKEN")
    })?;
    if !keyless.yes && !prompt::is_possible() {
        return Err(Failure::new(
            Class::Usage,
            format!("signing with the identity token from {} publishes name and image permanently, and there is no terminal to confirm that on", source.origin().name),
        )
        .hint("add `-y` where that is meant, or sign with a key: --key KEY"));
    }
    Ok(By::Token(source))
}

pub(super) async fn open(
    by: By,
    keyless: &KeylessArgs,
    connections: &Connections,
) -> Result<Signer, Failure> {
    let services = ServiceOptions {
        fulcio: keyless.fulcio_url.clone(),
        rekor: keyless.rekor_url.clone(),
        tsa: keyless.timestamp_server_url.clone(),
        signing_config: keyless.signing_config.clone(),
    };
    match by {
        By::Key(signer) if keyless.tlog_upload == Some(true) => {
            signer.telling_a_log(connections, &services).await
        }
        By::Key(signer) => Ok(signer),
        By::Token(source) => {
            let signer = Signer::keyless(source, connections, &services).await?;
            if !keyless.yes {
                agree(&signer, connections).await?;
            }
            Ok(signer)
        }
    }
}

/// Says what becomes public, and asks.
async fn agree(signer: &Signer, connections: &Connections) -> Result<(), Failure> {
    let expected = signer.expected(connections).await?;
    let who = expected.map_or_else(|| "this job".to_owned(), |expected| expected.to_string());
    let notice = format!(
        "The name {who}\nand the digests of what is signed become public in a log of certificates and a log\nof signatures, also for private images. Nobody can take them back."
    );
    // A person may take their time.
    let _pause = connections.client().pause();
    if prompt::confirm(&notice, "Sign? [y/N] ")? {
        return Ok(());
    }
    Err(Failure::new(Class::Usage, "nothing was signed: the answer was not yes")
        .hint("answer `y`, or sign with a key, which makes nothing public: --key KEY"))
}

pub(super) fn format(form: &FormArgs) -> push::SignFormat {
    match (form.format, form.new_bundle_format) {
        (_, Some(true)) | (SignFormatArg::Bundle, _) => push::SignFormat::Bundle,
        (_, Some(false)) | (SignFormatArg::Legacy, _) => push::SignFormat::Legacy,
        (SignFormatArg::Auto, None) => push::SignFormat::Auto,
        (SignFormatArg::Both, None) => push::SignFormat::Both,
    }
}
