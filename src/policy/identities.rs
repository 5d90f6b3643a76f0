//! The identities of keyless signers: `keyless` and `github`.

use super::diagnostic::{Problems, TOO_LARGE};
use super::fields::{self, Fields};
use super::yaml::{Node, Value};
use crate::class::{Class, Failure};
use crate::trust::{Allowance, GithubWorkflow, Identity, Name, TextMatcher};

/// The code of an expression that goes on inside a part of a name.
pub const OPEN_EXPRESSION: &str = "open-expression";

/// The words that are in place of an identity.
const WORDS: &[(&str, Identity)] =
    &[("any", Identity::Any), ("registry-owner", Identity::RegistryOwner)];

/// Names that no pattern for one owner's workflows or addresses should let in.
const HOSTILE: &[Name<'_>] = &[
    Name::Uri("https://github.com/someone-else/evil/.github/workflows/release.yml@refs/heads/main"),
    Name::Uri("https://gitlab.com/someone-else/evil//.gitlab-ci.yml@refs/heads/main"),
    Name::Email("someone-else@evil.example"),
];

/// An issuer that nobody knows, whose word no expression for an issuer should take.
const HOSTILE_ISSUER: &str = "https://someone-else.example";

/// Reads `keyless`: a word, or an issuer and a name.
pub(super) fn keyless(
    node: &Node,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<Identity> {
    if let Value::Scalar(text, _) = &node.value {
        let found =
            WORDS.iter().find(|(word, _)| word == text).map(|(_, identity)| identity.clone());
        if found.is_none() {
            problems
                .error(
                    node.at,
                    "value",
                    format!(
                        "`keyless` is {}; expected an issuer and a subject, or {}",
                        node.kind(),
                        fields::words_of(WORDS)
                    ),
                )
                .help("write `{issuer: https://..., subject: ...}`");
        }
        return found;
    }
    let fields = Fields::open(node, "signers.NAME.keyless.", "`keyless`", problems)?;
    let issuers: &[(&str, Read)] = &[
        ("issuer", exact),
        ("issuer_matches", TextMatcher::cosign),
        ("issuer_regexp", TextMatcher::regexp),
    ];
    let issuer = one_of(&fields, issuers, allowance, problems);
    let forms: &[(&str, Read)] = &[
        ("subject", exact),
        ("subject_prefix", TextMatcher::prefix),
        ("subject_pattern", TextMatcher::glob),
        ("subject_matches", TextMatcher::cosign),
        ("subject_regexp", TextMatcher::regexp),
    ];
    let subject = one_of(&fields, forms, allowance, problems);
    let (issuer, subject) = (issuer?, subject?);
    for hostile in HOSTILE {
        if subject.fits(*hostile) {
            problems.warning(
                node.at,
                "wide-identity",
                format!("`keyless` accepts signatures by anyone, such as `{}`", hostile.as_str()),
            );
            break;
        }
    }
    if issuer.fits(Name::Uri(HOSTILE_ISSUER)) {
        problems
            .warning(
                node.at,
                "wide-issuer",
                format!("`keyless` takes the word of any issuer, such as `{HOSTILE_ISSUER}`"),
            )
            .help("name the issuer: another one can vouch for the same name");
    }
    check_issuer(node, &issuer, problems);
    check_workflow(node, &issuer, &subject, problems);
    let identity = Identity::Named { issuer, subject };
    for warning in identity.warnings() {
        problems
            .warning(node.at, OPEN_EXPRESSION, warning)
            .help("end that part of the name before the wildcard: `acme/.*` in place of `acme.*`");
    }
    Some(identity)
}

/// Warns of an issuer without `https://`: certificates name it with that, so nothing would ever fit.
fn check_issuer(node: &Node, issuer: &TextMatcher, problems: &mut Problems) {
    if let TextMatcher::Exact(text) = issuer
        && !text.starts_with("https://")
    {
        let message = format!("the issuer `{text}` has no `https://`, which certificates have");
        let bare = text.strip_prefix("http://").unwrap_or(text);
        problems.warning(node.at, "never-fits", message).help(format!("write `https://{bare}`"));
    }
}

/// Warns of a subject that no workflow of GitHub has: their names begin with the address of the
/// file, and end with the ref that it was taken from.
fn check_workflow(
    node: &Node,
    issuer: &TextMatcher,
    subject: &TextMatcher,
    problems: &mut Problems,
) {
    const START: &str = "https://github.com/";
    if *issuer != TextMatcher::Exact("https://token.actions.githubusercontent.com".to_owned()) {
        return;
    }
    let start = subject.literal_start();
    let whole = !matches!(subject, TextMatcher::Bordered(_));
    let begins = start.starts_with(START) || START.starts_with(&start);
    let message = if whole && !begins {
        format!("`{start}` begins the name of no workflow of GitHub: they begin with `{START}`")
    } else if matches!(subject, TextMatcher::Exact(text) if !text.contains('@')) {
        format!("`{start}` is the name of no workflow of GitHub: they end with `@` and a ref")
    } else {
        return;
    };
    problems.warning(node.at, "never-fits", message).help(
        "write `github: {repo: OWNER/NAME, workflow: FILE}`, or \
         `subject: https://github.com/OWNER/NAME/.github/workflows/FILE@refs/heads/BRANCH`",
    );
}

/// Reads `github`.
pub(super) fn github(
    node: &Node,
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<Identity> {
    let fields = Fields::open(node, "signers.NAME.github.", "`github`", problems)?;
    let source = fields
        .required("repo", "`github`", problems)
        .and_then(|node| repository(node, "`repo`", problems));
    let another =
        fields.optional("workflow_repo").map(|node| repository(node, "`workflow_repo`", problems));
    let file = fields
        .optional("workflow")
        .and_then(|node| fields::text(node, "`workflow`", problems))
        .map(ToOwned::to_owned);
    let mut pattern = |key: &str| {
        fields
            .optional(key)
            .and_then(|node| expected(node, (key, TextMatcher::glob), allowance, problems))
    };
    let (source_ref, file_ref) = (pattern("ref"), pattern("workflow_ref"));
    let source = source?;
    let repository = another.unwrap_or_else(|| Some(source.clone()))?;
    // A workflow of the same repository runs from the ref that it is for, where nothing else is
    // said; one of another repository has refs of its own.
    let file_ref = file_ref.or_else(|| source_ref.clone().filter(|_| repository == source));
    let workflow = GithubWorkflow { source, source_ref, repository, file, file_ref };
    Some(Identity::Github(Box::new(workflow)))
}

/// Reads `owner/name`.
fn repository(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let text = fields::text(node, what, problems)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [owner, name]
            if [owner, name].iter().all(|part| !part.is_empty() && part.chars().all(plain)) =>
        {
            Some(text.to_owned())
        }
        _ => {
            problems.error(node.at, "value", format!("{what} is `{text}`; expected `owner/name`"));
            None
        }
    }
}

type Read = fn(&str, &mut Allowance) -> Result<TextMatcher, Failure>;

fn exact(text: &str, _: &mut Allowance) -> Result<TextMatcher, Failure> {
    Ok(TextMatcher::Exact(text.to_owned()))
}

/// Reads the one of several keys that is there.
fn one_of(
    fields: &Fields<'_>,
    forms: &[(&str, Read)],
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<TextMatcher> {
    let mut given =
        forms.iter().filter_map(|(key, read)| Some((*key, *read, fields.optional(key)?)));
    match (given.next(), given.next()) {
        (Some((key, read, node)), None) => expected(node, (key, read), allowance, problems),
        (Some((first, ..)), Some((second, ..))) => {
            problems
                .error(
                    fields.at,
                    "conflict",
                    format!("`keyless` has both `{first}` and `{second}`"),
                )
                .help("write two signers");
            None
        }
        (None, _) => {
            let keys: Vec<String> = forms.iter().map(|(key, _)| format!("`{key}`")).collect();
            let message = format!("`keyless` has no {}", keys.join(" or "));
            problems
                .error(fields.at, "missing-key", message)
                .help("a name says nothing without who vouches for it, nor the reverse");
            None
        }
    }
}

fn expected(
    node: &Node,
    (key, read): (&str, Read),
    allowance: &mut Allowance,
    problems: &mut Problems,
) -> Option<TextMatcher> {
    match read(fields::text(node, &format!("`{key}`"), problems)?, allowance) {
        Ok(expected) => Some(expected),
        Err(failure) => {
            let code = if failure.class() == Class::Limit { TOO_LARGE } else { "identity" };
            let problem = problems.error(node.at, code, format!("`{key}`: {}", failure.message()));
            if code == TOO_LARGE {
                problem.help(failure.the_hint());
            }
            None
        }
    }
}
