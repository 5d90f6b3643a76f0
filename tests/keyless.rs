//! Keyless signatures of images: what cosign writes is read in every form, and what is wrong in one
//! place is refused for that. At the library with a Sigstore in this process, and at the real
//! binary and a registry in this process.

// `attacks` is there once for each type of key (`p384`, `p521`).
#![allow(
    clippy::duplicate_mod,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

#[path = "keyless/advisories.rs"]
mod advisories;
#[path = "keyless/attacks.rs"]
mod attacks;
#[path = "keyless/authorities.rs"]
mod authorities;
#[path = "keyless/events.rs"]
mod events;
#[path = "keyless/expressions.rs"]
mod expressions;
#[path = "keyless/identities.rs"]
mod identities;
#[path = "keyless/logged_keys.rs"]
mod logged_keys;
#[path = "keyless/long_keys.rs"]
mod long_keys;
#[path = "keyless/mutation.rs"]
mod mutation;
#[path = "keyless/p384.rs"]
mod p384;
#[path = "keyless/p521.rs"]
mod p521;
#[path = "keyless/pins.rs"]
mod pins;
#[path = "keyless/remembered.rs"]
mod remembered;
#[path = "keyless/vectors.rs"]
mod vectors;
#[path = "keyless/work.rs"]
mod work;

use jiff::Timestamp;
use luet_cosign::class::Failure;
use luet_cosign::name::Digest;
use luet_cosign::trust::{
    Allowance, Authority, CertificateLog, Checker, Held, Identity, Requirements, TextMatcher,
    TrustedRoot, TrustedRoots, VerifiedSignature, check_bundle,
};
use luet_cosign::wire::{Bundle, BundleSource, Signatures};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::OnceLock;
use testkit::sigstore::{LogKind, Signature, Signing, Sigstore};

/// The image that everything here is about.
const IMAGE: &str = "sha256:36909925fd20749255704b523256927a5a2da6584250575b44e1b14dc4a3275c";
/// Who signs where nothing else is said.
const DEV: (&str, &str) = ("dev@example.com", "https://issuer.example");

fn sigstore() -> &'static Sigstore {
    static SIGSTORE: OnceLock<Sigstore> = OnceLock::new();
    SIGSTORE.get_or_init(Sigstore::new)
}

fn image() -> Digest {
    IMAGE.parse().unwrap()
}

fn named((subject, issuer): (&str, &str)) -> Identity {
    Identity::Named {
        issuer: TextMatcher::Exact(issuer.to_owned()),
        subject: TextMatcher::Exact(subject.to_owned()),
    }
}

fn glob(text: &str) -> Result<TextMatcher, Failure> {
    TextMatcher::glob(text, &mut Allowance::default())
}

fn regexp(text: &str) -> Result<TextMatcher, Failure> {
    TextMatcher::regexp(text, &mut Allowance::default())
}

fn prefix(text: &str) -> Result<TextMatcher, Failure> {
    TextMatcher::prefix(text, &mut Allowance::default())
}

/// In which form a signature is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Legacy,
    BundleV1,
    BundleV2,
}

impl Form {
    const ALL: [Self; 3] = [Self::Legacy, Self::BundleV1, Self::BundleV2];

    /// Begins to sign in the log that this form takes.
    fn signing(self, sigstore: &Sigstore) -> Signing<'_> {
        if self == Self::BundleV2 { sigstore.sign().log(LogKind::V2) } else { sigstore.sign() }
    }

    /// Signs the image in this form.
    fn sign(self, signing: Signing<'_>) -> Signature {
        if self == Self::Legacy { signing.legacy(IMAGE) } else { signing.image(IMAGE) }
    }

    fn judge(self, signature: &Signature, judge: &Judge) -> Result<VerifiedSignature, Failure> {
        match self {
            Self::Legacy => judge.legacy(&layer(signature), signature.payload()),
            Self::BundleV1 | Self::BundleV2 => judge.bundle(&signature.bundle()),
        }
    }
}

/// Begins to sign with a fresh key of the usual type. `p384` and `p521` have functions of their own
/// by this name, so that everything in `attacks` is held for their keys as well.
fn begin(form: Form, sigstore: &Sigstore) -> Signing<'_> {
    form.signing(sigstore)
}

/// The descriptor of a signature in a `.sig` manifest.
fn layer(signature: &Signature) -> Value {
    json!({
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": signature.payload().len(),
        "digest": Digest::of(signature.payload()).to_string(),
        "annotations": signature.annotations(),
    })
}

/// Our own checker, with a root and whom it trusts.
struct Judge {
    authorities: Vec<Authority>,
    root: Value,
    certificate_log: CertificateLog,
}

impl Judge {
    fn new() -> Self {
        Self::of([Authority::of_identity(named(DEV))])
    }

    fn of(authorities: impl Into<Vec<Authority>>) -> Self {
        Self {
            authorities: authorities.into(),
            root: sigstore().trusted_root(),
            certificate_log: CertificateLog::Required,
        }
    }

    fn with<T>(
        &self,
        check: impl FnOnce(&Checker<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut roots = TrustedRoots::default();
        roots.insert(
            None,
            TrustedRoot::parse(self.root.to_string().as_bytes(), "of the test")
                .map(|root| Arc::new(root.at(Timestamp::now()))),
        );
        let requirements = Requirements::default();
        check(&Checker {
            roots,
            certificate_log: self.certificate_log,
            ..Checker::new(&self.authorities, &requirements)
        })
    }

    fn legacy(&self, layer: &Value, payload: &[u8]) -> Result<VerifiedSignature, Failure> {
        let signatures = Signatures::parse(json!({"layers": [layer]}).to_string().as_bytes())?;
        let candidate = signatures.candidates().next().unwrap()?;
        self.with(|checker| {
            Held::check(&candidate, checker)?.check_claims(payload, &image(), checker)
        })
    }

    fn bundle(&self, bundle: &Value) -> Result<VerifiedSignature, Failure> {
        let bundle = Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)?;
        self.with(|checker| Ok(check_bundle(&bundle, &image(), checker)?.expect("a signature")))
    }
}

/// The class of a refusal; `verified` where there is none.
fn class(verdict: &Result<VerifiedSignature, Failure>) -> &'static str {
    verdict.as_ref().map_or_else(|failure| failure.class().word(), |_| "verified")
}
