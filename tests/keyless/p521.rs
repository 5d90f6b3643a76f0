//! The attacks once more, on certificates for ECDSA P-521, which a checker of ours checks.

use super::*;
use testkit::sigstore::Key;

#[path = "attacks.rs"]
mod attacks;

/// Begins to sign with a fresh key. It lives as long as the tests do, for a signature borrows it.
fn begin(form: Form, sigstore: &Sigstore) -> Signing<'_> {
    form.signing(sigstore).with_key(Box::leak(Box::new(Key::p521())))
}
