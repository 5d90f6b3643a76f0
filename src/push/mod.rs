//! The flow of pushing: prove before that signing will work, sign after exactly what was pushed.
//!
//! The host names only the tag; the engine says what was pushed under it (`identify`).

mod attach;
mod identify;
mod late;
mod own_signer;
mod preflight;
mod rehearse;

pub use attach::{AttachTarget, Attached};
use identify::Identified;
pub use identify::{is_what_was_pushed, tree_of};
pub use own_signer::{is_keyless, own_signer};
pub use preflight::{pushed_in_this_run, signed_in_this_run};
pub use rehearse::{Rehearsed, rehearse};

use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::name::{Digest, Reference, Repository};
use crate::registry::{Descriptor, Manifest, ManifestKind};
use crate::session::{Connections, Session};
use crate::signer::Signer;
use crate::store::{Pushes, Word};
use crate::wire::{Payload, SignerClaims, SubjectDescriptor};
use std::collections::BTreeMap;

/// What an event of pushing may answer success with: it was prepared, signed, or is not for us to
/// sign.
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

/// In which form to sign. Everybody reads legacy signatures; bundles only cosign 3, and this
/// program (docs/keys.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignFormat {
    /// The form that the most verifiers read: legacy, where no log of Rekor v2 is told.
    #[default]
    Auto,
    /// Both. A bundle beside a good legacy signature makes cosign 2.6 without a trusted root refuse
    /// the image.
    Both,
    /// A Sigstore bundle in a referrer.
    Bundle,
    /// A layer of the `.sig` tag.
    Legacy,
}

/// What `LUET_COSIGN_SIGN` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Off,
    Packages,
}

/// Returns the answer where an image is not to be signed at all, before anything is opened.
///
/// # Errors
/// `usage`: `LUET_COSIGN_SIGN` makes no sense.
pub fn not_signed(build_cache: bool, environment: &Environment) -> Result<Option<Pushed>, Failure> {
    let which = match environment.text("LUET_COSIGN_SIGN")? {
        None | Some("packages") => Which::Packages,
        Some("all") => Which::All,
        Some("off") => Which::Off,
        Some(other) => {
            return Err(Failure::new(
                Class::Usage,
                format!("LUET_COSIGN_SIGN is `{other}`; expected `packages`, `all` or `off`"),
            ));
        }
    };
    Ok(match which {
        Which::Off => Some(Pushed::silently("not signed: LUET_COSIGN_SIGN=off".to_owned())),
        Which::Packages if build_cache => {
            Some(Pushed::silently("not signed: an image of the build cache".to_owned()))
        }
        Which::All | Which::Packages => None,
    })
}

/// `image.pre.push`: everything that signing will need is there, or nothing is pushed.
///
/// # Errors
/// `secret`: no key, or it does not open. `auth`, `net`, `registry`: no right to push, or no
/// registry. `policy`: the policy would look for the signature elsewhere, or not accept it, or
/// cannot be used.
pub async fn before(session: &Session, image: &str) -> Result<Pushed, Failure> {
    let image: Reference = image.parse()?;
    let signatures_in = signatures_in(session, image.repository())?;
    let matched = session.policy().matching(&image, session.now());
    matched.would_look_in(&signatures_in)?;
    let notices = preflight::would_accept(session, &matched).await?;
    preflight::engine(session)?;
    preflight::may_push(session, &image, &signatures_in).await?;
    Ok(Pushed { notices, summary: format!("ready to sign {image}") })
}

/// `image.post.push`: finds what the engine pushed, signs it, and verifies the result with our own
/// checker.
///
/// # Errors
/// `digest`: the registry serves another image under the tag. `registry`, `net`, `auth`, `secret`,
/// `state`: it could not be signed. The image is public by then, so the caller adds
/// [`left_unsigned`], also where it does not come to this call.
pub async fn after(connections: &Connections, image: &str) -> Result<Pushed, Failure> {
    let reference: Reference = image.parse()?;
    // A key is opened while the network works.
    let signer = own_signer(connections).await;
    open_ahead(connections, &reference)?;
    // What was pushed is noted first: whatever fails from here on, it can be signed later.
    let (known, signer) = match (identify::ask(connections, &reference, image).await, signer) {
        (Ok(known), signer) => (known, signer),
        // Without a signer it does not matter what was pushed.
        (Err(_), Err(failure)) | (Err(failure), Ok(_)) => return Err(failure),
    };
    let noted = note(connections, &reference, identify::words(&known));
    let unnoted = |failure: Failure| match &noted {
        Ok(()) => failure,
        Err(why) => failure.detail(format!("and it could not be noted for later: {why}")),
    };
    let identified = identify::identify(connections, &reference, &known).await;
    let Identified { subject, tree, vouched } = identified.map_err(unnoted)?;
    if !vouched {
        let _ = note(connections, &reference, vec![Word::Served(subject.digest)]);
    }
    let signer = signer.map_err(unnoted)?;
    let task = Task {
        connections,
        reference: &reference,
        signer: &signer,
        annotations: &BTreeMap::new(),
        docker_reference: None,
        part: Part { tree, index: None },
    };
    let attached = task.sign(&subject, SignFormat::Auto).await.map_err(unnoted)?;
    preflight::note_signed(connections, &reference);
    let already = attached.iter().all(|attached| attached.already);
    let verb = if already { "was signed already" } else { "signed" };
    let mut notices = signer.take_notices();
    if !vouched {
        notices.push(format!(
            "{verb} what the registry serves as `{reference}`, `{}`: no engine was asked (LUET_COSIGN_ENGINE=registry)",
            subject.digest
        ));
    }
    let how: String = attached.iter().map(|attached| attached.how(&signer)).collect();
    Ok(Pushed { notices, summary: format!("{verb}: {reference} ({}){how}", subject.digest) })
}

/// Notes what was pushed, for `sign-repo`.
fn note(connections: &Connections, reference: &Reference, words: Vec<Word>) -> Result<(), Failure> {
    let (Some(tag), false) = (reference.tag(), words.is_empty()) else { return Ok(()) };
    let now = connections.now().as_second();
    Pushes::open(connections.locations())?.note(reference.repository(), tag, words, now)
}

/// Says of a failure of `image.post.push`, whatever failed, that the image is public already, and
/// what is left to do.
#[must_use]
pub fn left_unsigned(image: &str, keyless: bool, failure: Failure) -> Failure {
    let failure = failure.within(format!("`{image}` is pushed and NOT signed"));
    // What is not a reference is not put into a command.
    match image.parse::<Reference>() {
        Ok(reference) => {
            let by = signed_by(keyless);
            failure.detail(format!(
                "after fixing this, sign the rest of the repository with: luet-cosign sign-repo {by} {} (for 24 hours it is known what was pushed); or this image: luet-cosign sign {by} {reference}",
                reference.repository()
            ))
        }
        Err(_) => failure,
    }
}

/// Returns the words of a command that sign as the events do. All of them: what is pasted without
/// its variable must not sign as someone else.
#[must_use]
pub fn signed_by(keyless: bool) -> &'static str {
    if keyless {
        r#"--identity-token "$SIGSTORE_ID_TOKEN" -y"#
    } else {
        r#"--key "$COSIGN_KEY_LOCATION""#
    }
}

/// Returns whether the events of pushing sign images of packages, as far as variables tell.
#[must_use]
pub fn signs(environment: &Environment) -> bool {
    let key = environment.raw("COSIGN_KEY_LOCATION").is_some();
    let asked = key || is_keyless(environment).unwrap_or_default();
    asked && matches!(not_signed(false, environment), Ok(None))
}

/// What `sign` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SignOptions<'a> {
    /// What else is signed.
    pub annotations: &'a BTreeMap<String, String>,
    /// In which form.
    pub format: SignFormat,
    /// Whether the images of an index are signed as well.
    pub recursive: bool,
    /// What the payload of a legacy signature calls the image, where not by its repository.
    pub docker_reference: Option<&'a str>,
}

/// Signs a manifest under a name, which must have been looked at: nothing is asked here of what it
/// is. `tree` is the digest of its tree.
///
/// # Errors
/// `registry`, `net`, `auth`, `state`: the signature could not be attached. Those of the signer.
pub async fn sign_manifest(
    connections: &Connections,
    reference: &Reference,
    manifest: &Manifest,
    tree: Option<Digest>,
    signer: &Signer,
    wanted: &SignOptions<'_>,
) -> Result<Vec<Attached>, Failure> {
    let SignOptions { annotations, format, docker_reference, .. } = *wanted;
    let part = Part { tree, index: None };
    Task { connections, reference, signer, annotations, docker_reference, part }
        .sign(&identify::descriptor(manifest)?, format)
        .await
}

/// `sign`: signs what the registry serves under a name, and where asked every image of an index.
///
/// # Errors
/// As [`after`].
pub async fn sign(
    connections: &Connections,
    image: &str,
    signer: &Signer,
    wanted: &SignOptions<'_>,
) -> Result<Vec<Attached>, Failure> {
    let reference: Reference = image.parse()?;
    if matches!(wanted.format, SignFormat::Legacy | SignFormat::Both) {
        // Before anyone is asked anything.
        signer.check_legacy()?;
    }
    open_ahead(connections, &reference)?;
    let manifest = connections.client().resolve(&reference).await?;
    let tree = tree_of(connections, &reference, &manifest).await?;
    let mut all = sign_manifest(connections, &reference, &manifest, tree, signer, wanted).await?;
    let SignOptions { annotations, format, recursive, docker_reference } = *wanted;
    let reference = &reference;
    let task = |part| Task { connections, reference, signer, annotations, docker_reference, part };
    if let (true, ManifestKind::Index(index)) = (recursive, &manifest.kind) {
        for entry in &index.manifests {
            let Descriptor { digest, size, media_type, .. } = Descriptor::try_from(entry)?;
            // The tag names a child only as part of this index. A signature that did not say so
            // would vouch for whatever index someone puts the child into, under any tag.
            let part = Part { tree: None, index: Some(manifest.digest) };
            let child = SubjectDescriptor { media_type, bytes: size, digest };
            all.extend(task(part).sign(&child, format).await?);
        }
    }
    Ok(all)
}

/// Something that one signer signs under one name.
struct Task<'a> {
    connections: &'a Connections,
    reference: &'a Reference,
    signer: &'a Signer,
    annotations: &'a BTreeMap<String, String>,
    docker_reference: Option<&'a str>,
    part: Part,
}

/// What is claimed of one manifest beside the name.
struct Part {
    /// The digest of its tree.
    tree: Option<Digest>,
    /// The index that it is signed in.
    index: Option<Digest>,
}

impl Task<'_> {
    async fn sign(
        &self,
        subject: &SubjectDescriptor,
        format: SignFormat,
    ) -> Result<Vec<Attached>, Failure> {
        // What the most verifiers read, of what can carry what the log says.
        let format = match format {
            SignFormat::Auto if !self.signer.fits_legacy() => SignFormat::Bundle,
            format => format,
        };
        Ok(match format {
            SignFormat::Auto | SignFormat::Legacy => vec![self.legacy(&subject.digest).await?],
            SignFormat::Bundle => vec![self.bundle(subject).await?],
            SignFormat::Both => {
                vec![self.legacy(&subject.digest).await?, self.bundle(subject).await?]
            }
        })
    }

    async fn legacy(&self, image: &Digest) -> Result<Attached, Failure> {
        let subject = self.reference.subject(*image);
        let payload = Payload {
            docker_reference: self
                .docker_reference
                .map_or_else(|| subject.repository.cosign_name(), ToOwned::to_owned),
            manifest_digest: *image,
            annotations: self.all_annotations(),
        };
        let repository = signatures_in(self.connections, self.reference.repository())?;
        self.place(&repository).attach(&subject, &payload, self.signer).await
    }

    async fn bundle(&self, subject: &SubjectDescriptor) -> Result<Attached, Failure> {
        let repository = signatures_in(self.connections, self.reference.repository())?;
        self.place(&repository).attach_bundle(subject, &self.all_annotations(), self.signer).await
    }

    fn place<'a>(&'a self, repository: &'a Repository) -> AttachTarget<'a> {
        AttachTarget { connections: self.connections, repository }
    }

    /// The annotations that were asked for, and our claims, which win.
    fn all_annotations(&self) -> BTreeMap<String, String> {
        let claims = SignerClaims {
            repository: Some(self.reference.repository().clone()),
            tag: self.reference.tag().cloned(),
            index: self.part.index,
            tree: self.part.tree,
        };
        let mut all = self.annotations.clone();
        all.extend(claims.annotations());
        all
    }
}

/// Opens the connections for the two blobs of a signature while the image is looked at.
fn open_ahead(connections: &Connections, image: &Reference) -> Result<(), Failure> {
    let repository = signatures_in(connections, image.repository())?;
    connections.client().ahead(&repository, 2);
    Ok(())
}

/// Returns where signatures of `image` are written: `COSIGN_REPOSITORY`, else beside the image.
fn signatures_in(connections: &Connections, image: &Repository) -> Result<Repository, Failure> {
    Ok(connections.signature_repository()?.unwrap_or_else(|| image.clone()))
}
