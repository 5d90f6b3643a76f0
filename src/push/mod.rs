//! The flow of pushing: prove before that signing will work, sign after exactly what was pushed.
//!
//! Design: section 6. The host tells the tag; what was pushed under it is for the engine to say (`identify`).

mod attach;
mod identify;
mod preflight;

pub use attach::{Attached, Place};
use identify::Identified;

use crate::class::{Class, Failure};
use crate::config::{Environment, KeyLocation};
use crate::name::{Reference, Repository, Subject};
use crate::registry::ManifestKind;
use crate::session::Session;
use crate::trust::PrivateKey;
use crate::wire::{Claims, Payload};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;

/// What an event of pushing may answer success with: it was prepared, signed, or is not for us to sign.
#[derive(Clone, Debug)]
pub struct Pushed {
    notices: Vec<String>,
    summary: String,
}

impl Pushed {
    fn silently(summary: String) -> Self {
        Self { notices: Vec::new(), summary }
    }

    /// Returns what the user should read although all is well.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Returns in one line what was done.
    #[must_use]
    pub fn summary(&self) -> String {
        self.summary.clone()
    }
}

/// What `LUET_COSIGN_SIGN` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Off,
    Packages,
}

/// Returns whether an image is one that is signed; where not, why.
fn wanted(build_cache: bool, environment: &Environment) -> Result<Option<Pushed>, Failure> {
    let which = match environment.text("LUET_COSIGN_SIGN")? {
        None | Some("packages") => Which::Packages,
        Some("all") => Which::All,
        Some("off") => Which::Off,
        Some(other) => {
            return Err(Failure::new(Class::Usage, format!("LUET_COSIGN_SIGN is `{other}`; expected `packages`, `all` or `off`")));
        }
    };
    Ok(match which {
        Which::Off => Some(Pushed::silently("not signed: LUET_COSIGN_SIGN=off".to_owned())),
        Which::Packages if build_cache => Some(Pushed::silently("not signed: an image of the build cache".to_owned())),
        Which::All | Which::Packages => None,
    })
}

/// Returns the answer where an image is not to be signed at all, before anything is opened.
///
/// # Errors
/// `usage`: `LUET_COSIGN_SIGN` makes no sense.
pub fn not_signed(build_cache: bool, environment: &Environment) -> Result<Option<Pushed>, Failure> {
    wanted(build_cache, environment)
}

/// `image.pre.push`: everything that signing will need is there, or nothing is pushed.
///
/// # Errors
/// `secret`: no key, or it does not open. `auth`, `net`, `registry`: no right to push, or no registry. `policy`: the policy would
/// look for the signature elsewhere.
pub async fn before(session: &Session, image: &str) -> Result<Pushed, Failure> {
    let image: Reference = image.parse()?;
    let signatures_in = signatures_in(session, image.repository())?;
    session.check_place(&image, &signatures_in)?;
    preflight::preflight(session, &image, &signatures_in).await?;
    Ok(Pushed::silently(format!("ready to sign {image}")))
}

/// `image.post.push`: finds what the engine pushed, signs it, and verifies the result with our own checker.
///
/// # Errors
/// `digest`: the registry serves another image under the tag. `registry`, `net`, `auth`, `secret`, `state`: it could not be signed.
/// The image is public by then, so every error says how to sign it by hand.
pub async fn after(session: &Session, image: &str) -> Result<Pushed, Failure> {
    let reference: Reference = image.parse()?;
    // The image is public already: whatever fails now, what is left to do must be said.
    let retry = |failure: Failure| {
        let failure = failure.within(format!("`{reference}` is pushed and NOT signed"));
        failure.detail(format!("when the cause is mended, sign it by hand: luet-cosign sign {reference}"))
    };
    let key = open_key(session).map_err(retry)?;
    let Identified { subject, tree } = identify::identify(session, &reference, image).await.map_err(retry)?;
    let claims = Claims { repository: Some(subject.repository.clone()), tag: reference.tag().cloned(), tree };
    let attached = attach(session, &subject, &claims, &key, &BTreeMap::new()).await.map_err(retry)?;
    let verb = if attached.already { "was signed already" } else { "signed" };
    Ok(Pushed::silently(format!("{verb}: {reference} ({})", subject.digest)))
}

/// `sign`: signs what the registry serves under a name, and where asked every image of an index.
///
/// # Errors
/// As [`after`].
pub async fn sign(
    session: &Session,
    image: &str,
    key: &PrivateKey,
    annotations: &BTreeMap<String, String>,
    recursive: bool,
) -> Result<Vec<Attached>, Failure> {
    let reference: Reference = image.parse()?;
    let manifest = session.client().resolve(&reference).await?;
    let subject = reference.subject(manifest.digest);
    let mut claims = Claims { repository: Some(subject.repository.clone()), tag: reference.tag().cloned(), tree: None };
    if let ManifestKind::Image(image) = &manifest.kind {
        claims.tree = identify::tree_of(session, &reference, image).await?;
    }
    let mut all = vec![attach(session, &subject, &claims, key, annotations).await?];
    if let (true, ManifestKind::Index(index)) = (recursive, &manifest.kind) {
        for entry in &index.manifests {
            let child = reference.subject(entry.digest.parse()?);
            // A child is not what the tag names, so the tag is not claimed for it.
            let claims = Claims { repository: Some(child.repository.clone()), ..Claims::default() };
            all.push(attach(session, &child, &claims, key, annotations).await?);
        }
    }
    Ok(all)
}

async fn attach(
    session: &Session,
    subject: &Subject,
    claims: &Claims,
    key: &PrivateKey,
    annotations: &BTreeMap<String, String>,
) -> Result<Attached, Failure> {
    let mut all = annotations.clone();
    all.extend(claims.annotations());
    let payload = Payload { docker_reference: subject.repository.cosign_name(), manifest_digest: subject.digest, annotations: all };
    let repository = signatures_in(session, &subject.repository)?;
    let place = Place { client: session.client(), repository: &repository, locations: session.locations() };
    place.attach(subject, &payload, key).await
}

/// Returns where signatures of `image` are written: `COSIGN_REPOSITORY`, else beside the image.
fn signatures_in(session: &Session, image: &Repository) -> Result<Repository, Failure> {
    Ok(Session::signature_repository(session.environment())?.unwrap_or_else(|| image.clone()))
}

/// Opens the key that events sign with. An event never asks for a password.
fn open_key(session: &Session) -> Result<PrivateKey, Failure> {
    let environment = session.environment();
    let location: KeyLocation = environment
        .text("COSIGN_KEY_LOCATION")?
        .ok_or_else(|| {
            Failure::new(Class::Secret, "no key to sign with: COSIGN_KEY_LOCATION is not set")
                .hint("set COSIGN_KEY_LOCATION and COSIGN_PASSWORD, or LUET_COSIGN_SIGN=off to push without signing")
        })?
        .parse()?;
    let password = environment.raw("COSIGN_PASSWORD").ok_or_else(|| {
        Failure::new(Class::Secret, "COSIGN_PASSWORD is not set, and an event cannot ask for it")
            .hint("an empty password is a password: `COSIGN_PASSWORD=`")
    })?;
    let pem = location.read(environment)?.ok_or_else(|| Failure::new(Class::Secret, "a private key is never fetched from a URL"))?;
    PrivateKey::open(&pem, password.as_bytes()).map_err(|failure| failure.within(format!("`{location}`")))
}
