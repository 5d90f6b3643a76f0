//! The policy: what happens to an image, signed or not.
//!
//! Pure. No file, environment, clock or network: text, keys and the time are passed in. In three
//! stages, each a type that only the one before makes: as written ([`Document::parse`]), with its
//! keys ([`Policy::new`]), decided ([`decide`]). Looking for signatures is another room's: it fills
//! in [`Evidence`], and one pure table says what that comes to. Schema and matching:
//! docs/policy.md.

mod binding;
mod callers;
mod checks;
mod containers;
mod counting;
mod decide;
mod diagnostic;
mod document;
mod environment;
mod evidence;
mod explain;
mod fields;
mod hiding;
mod identities;
mod loaded;
mod matching;
mod mirrors;
mod prospect;
mod reasons;
mod refusal;
mod registries;
mod revision;
mod rules;
mod settings;
mod shown;
mod signers;
mod skip;
mod start;
mod ties;
mod yaml;

pub use binding::Prefix;
pub use containers::{ContainersFiles, ExportTerms};
pub use decide::{
    CountedSigner, Decision, Grounds, Notice, Provisional, decide, decide_local_files,
    decide_without_looking,
};
pub use diagnostic::{Diagnostic, LintLine, Position, Severity, failure, lint_json, lint_lines};
pub use document::{
    Document, KEY_VARIABLE, NetworkSettings, PolicySigner, RegistrySettings, SignerSource,
};
pub use environment::{EnvironmentFacts, ExpectedText, from_env};
pub use evidence::{
    Evidence, Pin, PlaceAnswer, PlaceKind, PlaceReport, Remembered, SeenFact, SignatureReport,
};
pub use explain::{CandidateLine, ExplainedOutcome, Explanation, Setting, explain};
pub use fields::KEYS;
pub use hiding::may_hide;
pub use identities::OPEN_EXPRESSION;
pub use loaded::{Policy, PolicyOrigin};
pub use matching::{Applies, Effective, Matched, RuleNearMiss, Trust};
pub use revision::judge_revision;
pub use rules::{Rule, RuleTarget, TrustNames};
pub use settings::{BindTag, Downgrade, Mode, PostUnpack, Rollback};
pub use start::start;
