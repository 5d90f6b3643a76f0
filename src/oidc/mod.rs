//! Identity tokens: where they come from, what they claim, who would sign with them, and why Fulcio
//! would not take one.
//!
//! A token is a secret that anyone can sign with as this job while it counts. It is never shown,
//! never written, and goes into one header of one host: that is not done here, but with
//! [`IdentityToken::secret`]. No one is ever asked to log in. Specifications: RFC 7519, and what
//! each CI documents.

mod circleci;
mod claims;
mod identity;
mod issuers;
mod service;
mod source;
mod token;

pub use claims::{TokenClaims, is_clearly_a_token};
pub use identity::ExpectedIdentity;
pub use issuers::Issuers;
pub use source::{Provider, TokenOptions, TokenSource, no_source};
pub use token::{AUDIENCE, IdentityToken, TokenOrigin};

#[cfg(test)]
mod testing;
