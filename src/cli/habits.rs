//! What people and scripts type who know cosign: one table of options for all commands, and one of
//! commands that are none here.
//!
//! What an option asks for that is so in any case is taken and means nothing. What would make the
//! program say yes where it says no, or leave something out that was asked for, is an error that
//! says why: a script must not go on in the belief that it got it. Options that do something are
//! fields of their commands (`arguments`), and come before this table. docs/cosign.md lists both.

use crate::class::{Class, Failure};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// One option.
struct Habit {
    name: &'static str,
    /// The name of the argument, which no field of a command has.
    id: &'static str,
    takes: Takes,
    /// The commands that take it, by all their words.
    on: &'static [&'static str],
    answer: Answer,
}

/// What is behind an option.
#[derive(Clone, Copy)]
enum Takes {
    /// Nothing, `=true` or `=false`.
    Bool,
    /// Anything.
    Text,
    /// A number.
    Number,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// What comes of an option.
#[derive(Clone, Copy)]
enum Answer {
    /// Whatever it says, it is so already, or nothing here depends on it.
    Taken,
    /// It is so already where it says this; anything else is refused.
    Only(&'static str, Refusal),
    /// It cannot be had.
    Never(Refusal),
}

/// Why something is not done, and what to do instead.
#[derive(Clone, Copy)]
struct Refusal {
    why: &'static str,
    instead: &'static str,
}

const fn refusal(why: &'static str, instead: &'static str) -> Refusal {
    Refusal { why, instead }
}

const IMAGES: &[&str] = &[
    "check",
    "download signature",
    "pull",
    "sign",
    "sign-repo",
    "triangulate",
    "upload blob",
    "verify",
    "verify-repo",
];
const SIGNED: &[&str] = &["sign", "sign-blob", "sign-repo"];
/// What writes signatures into registries.
const WRITTEN: &[&str] = &["sign", "sign-repo"];
const VERIFIED: &[&str] =
    &["check", "pull", "verify", "verify-blob", "verify-blob-attestation", "verify-repo"];
/// What reads signatures from registries.
const READ: &[&str] = &["check", "pull", "verify", "verify-repo"];
const BOTH: &[&str] =
    &["sign", "sign-blob", "sign-repo", "verify", "verify-blob", "verify-repo", "pull"];
const HARDWARE: Answer = Answer::Never(refusal(
    "keys in hardware are not read",
    "export the public key into a file and name that with --key",
));
const CLIENT_CERTIFICATES: Answer = Answer::Never(refusal(
    "client certificates are not supported",
    "use credentials: `docker login`, or --registry-username and --registry-password",
));

const IN_REGISTRY: Answer = Answer::Never(refusal(
    "the signature of an image is read where it is published, with its certificate",
    "leave it out; --certificate-identity says whose signature counts",
));
const OUT_OF_REGISTRY: Answer = Answer::Never(refusal(
    "the signature is written to the registry only",
    "`luet-cosign download signature IMAGE` prints it afterwards",
));
const OWN_CERTIFICATES: Answer = Answer::Never(refusal(
    "signing certificates of your own are not supported",
    "sign with --key alone, or without a key by --identity-token",
));

macro_rules! habit {
    ($name:literal, $takes:expr, $on:expr, $answer:expr $(,)?) => {
        Habit {
            name: $name,
            id: concat!("cosign-", $name, "-", stringify!($on)),
            takes: $takes,
            on: $on,
            answer: $answer,
        }
    };
}

/// The options, in the order of the documentation.
const HABITS: &[Habit] = &[
    habit!("new-bundle-format", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("use-signed-timestamps", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("experimental-oci11", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("insecure-ignore-tlog", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("private-infrastructure", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("max-workers", Takes::Number, VERIFIED, Answer::Taken),
    habit!("enforce-sct", Takes::Bool, VERIFIED, Answer::Taken),
    habit!("rekor-url", Takes::Text, VERIFIED, Answer::Taken),
    habit!(
        "signature-digest-algorithm",
        Takes::OneOf(&["sha224", "sha256", "sha384", "sha512"]),
        VERIFIED,
        Answer::Taken
    ),
    habit!(
        "check-claims",
        Takes::Bool,
        VERIFIED,
        Answer::Only(
            "true",
            refusal(
                "without checking claims, a signature may belong to any other image",
                "leave the option out",
            ),
        )
    ),
    // The proof in the certificate is checked, and a certificate without one is refused.
    habit!("sct", Takes::Text, VERIFIED, Answer::Taken),
    habit!("certificate", Takes::Text, READ, IN_REGISTRY),
    habit!("certificate-chain", Takes::Text, READ, IN_REGISTRY),
    habit!("signature", Takes::Text, READ, IN_REGISTRY),
    habit!(
        "local-image",
        Takes::Bool,
        &["verify"],
        Answer::Only(
            "false",
            refusal(
                "the directories that `cosign save` writes are not read",
                "verify the image in its registry",
            ),
        )
    ),
    habit!(
        "attachment",
        Takes::Text,
        &["sign", "verify"],
        Answer::Never(refusal(
            "attached SBOMs are not signed or verified as such",
            "name the attachment by its own tag, as an image",
        ))
    ),
    habit!(
        "payload",
        Takes::Text,
        &["sign", "verify"],
        Answer::Never(refusal(
            "the payload is made and read here, never given",
            "use sign-blob or verify-blob for a payload in a file",
        ))
    ),
    habit!("sk", Takes::Bool, BOTH, HARDWARE),
    habit!("slot", Takes::Text, BOTH, HARDWARE),
    habit!(
        "k8s-keychain",
        Takes::Bool,
        IMAGES,
        Answer::Only(
            "false",
            refusal(
                "Kubernetes is not asked for credentials",
                "give them with --registry-token, or in a file as `docker login` writes it",
            ),
        )
    ),
    habit!("registry-client-cert", Takes::Text, IMAGES, CLIENT_CERTIFICATES),
    habit!("registry-client-key", Takes::Text, IMAGES, CLIENT_CERTIFICATES),
    habit!(
        "registry-server-name",
        Takes::Text,
        IMAGES,
        Answer::Never(refusal(
            "a registry must have a certificate for its own name",
            "name the registry as its certificate does",
        ))
    ),
    habit!(
        "registry-referrers-mode",
        Takes::OneOf(&["legacy", "oci-1-1"]),
        WRITTEN,
        Answer::Only(
            "legacy",
            refusal(
                "legacy signatures are written under their tag only",
                "use --format bundle, which writes a referrer",
            ),
        )
    ),
    habit!("use-signing-config", Takes::Bool, SIGNED, Answer::Taken),
    habit!("record-creation-timestamp", Takes::Bool, WRITTEN, Answer::Taken),
    // Nobody is sent to a browser: the token that is given says all of it.
    habit!("oidc-issuer", Takes::Text, SIGNED, Answer::Taken),
    habit!("oidc-client-id", Takes::Text, SIGNED, Answer::Taken),
    habit!("oidc-redirect-url", Takes::Text, SIGNED, Answer::Taken),
    habit!(
        "oidc-disable-ambient-providers",
        Takes::Bool,
        SIGNED,
        Answer::Only(
            "false",
            refusal(
                "where no token is named, the one that a CI gives is taken",
                "name the token with --identity-token, which comes before all others",
            ),
        )
    ),
    habit!(
        "insecure-skip-verify",
        Takes::Bool,
        SIGNED,
        Answer::Only(
            "false",
            refusal("what services answer is always checked before it is written", "leave it out"),
        )
    ),
    habit!(
        "issue-certificate",
        Takes::Bool,
        SIGNED,
        Answer::Only(
            "false",
            refusal(
                "a certificate is issued for a key of its own only",
                "leave --key out, and name a token with --identity-token",
            ),
        )
    ),
    habit!(
        "signing-algorithm",
        Takes::Text,
        SIGNED,
        Answer::Only(
            "ecdsa-sha2-256-nistp256",
            refusal("the key decides; without one it is ECDSA P-256", "leave it out"),
        )
    ),
    habit!("certificate", Takes::Text, SIGNED, OWN_CERTIFICATES),
    habit!("certificate-chain", Takes::Text, SIGNED, OWN_CERTIFICATES),
    habit!("timestamp-client-cert", Takes::Text, SIGNED, CLIENT_CERTIFICATES),
    habit!("timestamp-client-key", Takes::Text, SIGNED, CLIENT_CERTIFICATES),
    habit!("output-signature", Takes::Text, WRITTEN, OUT_OF_REGISTRY),
    habit!("output-certificate", Takes::Text, WRITTEN, OUT_OF_REGISTRY),
    habit!("output-payload", Takes::Text, WRITTEN, OUT_OF_REGISTRY),
    habit!("bundle", Takes::Text, WRITTEN, OUT_OF_REGISTRY),
    habit!(
        "rfc3161-timestamp",
        Takes::Text,
        &["sign-blob"],
        Answer::Never(refusal(
            "a timestamp is written into the bundle only",
            "use --bundle FILE, which holds it",
        ))
    ),
    habit!(
        "upload",
        Takes::Bool,
        WRITTEN,
        Answer::Only(
            "true",
            refusal(
                "a signature that is not written to the registry verifies nothing",
                "use sign-blob to sign a file",
            ),
        )
    ),
];

/// Commands of cosign that are none here, with who does it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("attach", "use `cosign attach`; `luet-cosign sign` attaches what it signs by itself"),
    ("attest", "use `cosign attest`: this program does not write attestations"),
    ("attest-blob", "use `cosign attest-blob`: this program does not write attestations"),
    (
        "attestation",
        "use `cosign download attestation IMAGE`; for files there is `luet-cosign verify-blob-attestation`",
    ),
    (
        "clean",
        "use `crane delete \"$(luet-cosign triangulate IMAGE)\"`, which removes the legacy signatures of IMAGE",
    ),
    (
        "copy",
        "use `skopeo copy --all` or `crane copy`, for the image and for the tag that `luet-cosign triangulate IMAGE` prints",
    ),
    ("dockerfile", "name the images themselves: `luet-cosign verify IMAGE...`"),
    ("env", "use `luet-cosign metadata`, which lists the variables"),
    (
        "initialize",
        "nothing to do: the trusted root came with the program and is renewed by itself; for a mirror set TUF_MIRROR and TUF_ROOT_JSON (docs/trust.md)",
    ),
    ("load", "use `skopeo copy oci:DIR docker://IMAGE` or `crane push`"),
    (
        "login",
        "use `docker login`, `podman login` or `crane auth login`: their credentials are read",
    ),
    (
        "logout",
        "use the tool that stored the credentials: `docker logout`, `podman logout` or `crane auth logout`",
    ),
    ("manifest", "name the images themselves: `luet-cosign verify IMAGE...`"),
    ("piv-tool", "use cosign: keys in hardware are not read here"),
    ("pkcs11-tool", "use cosign: keys in hardware are not read here"),
    ("save", "use `skopeo copy docker://IMAGE oci:DIR` or `crane pull`"),
    ("sbom", "use `cosign download sbom IMAGE`"),
    ("signing-config", "use `cosign signing-config` to write one"),
    (
        "tree",
        "use `luet-cosign check IMAGE` for its signatures, `oras discover IMAGE` for everything attached to it",
    ),
    (
        "trusted-root",
        "use `cosign trusted-root create` to write one, and `--trusted-root FILE` to judge by it",
    ),
    (
        "verify-attestation",
        "use `cosign verify-attestation`; for files there is `luet-cosign verify-blob-attestation`",
    ),
    ("wasm", "use `luet-cosign upload blob`, which takes any file, or `cosign upload wasm`"),
];

impl Habit {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.id).long(self.name).hide(true).action(ArgAction::Set);
        match self.takes {
            Takes::Bool => argument
                .num_args(0..=1)
                .default_missing_value("true")
                .require_equals(true)
                .value_parser(["true", "false"]),
            Takes::Text => argument,
            Takes::Number => argument.value_parser(number),
            Takes::OneOf(words) => argument.value_parser(words.to_vec()),
        }
    }

    fn check(&self, value: &str) -> Result<(), Failure> {
        let Refusal { why, instead } = match self.answer {
            Answer::Taken => return Ok(()),
            Answer::Only(good, _) if good == value => return Ok(()),
            // Who asks for nothing is refused nothing.
            Answer::Never(_) if matches!(self.takes, Takes::Bool) && value == "false" => {
                return Ok(());
            }
            Answer::Only(_, refusal) | Answer::Never(refusal) => refusal,
        };
        let shown = match self.takes {
            Takes::Text => String::new(),
            _ => format!("={value}"),
        };
        Err(Failure::new(Class::Usage, format!("--{}{shown}: {why}", self.name)).hint(instead))
    }
}

/// Reads a number and leaves it as it is written.
fn number(text: &str) -> Result<String, std::num::ParseIntError> {
    text.parse::<u32>().map(|_| text.to_owned())
}

/// Adds the options to the commands that take them, but for those that a command has already.
pub(super) fn added(mut command: Command) -> Command {
    for habit in HABITS {
        for path in habit.on {
            command = with(command, path, habit);
        }
    }
    command
}

/// Adds one option to the command of these words.
fn with(command: Command, path: &str, habit: &Habit) -> Command {
    let (name, rest) = path.split_once(' ').unwrap_or((path, ""));
    if command.find_subcommand(name).is_none() {
        return command;
    }
    command.mut_subcommand(name, |command| match rest {
        "" if has(&command, habit.name) => command,
        "" => command.arg(habit.argument()),
        _ => with(command, rest, habit),
    })
}

/// Returns what was typed for the innermost command.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

fn has(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|argument| {
        argument.get_long() == Some(name)
            || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

/// Refuses what was typed and cannot be had.
///
/// # Errors
/// `usage`: why, and what to do instead.
pub(super) fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let matches = innermost(matches);
    for habit in HABITS {
        if let Ok(Some(value)) = matches.try_get_one::<String>(habit.id) {
            habit.check(value)?;
        }
    }
    Ok(())
}

/// Whether the command was told to ask nobody but registries.
pub(super) fn is_offline(matches: &ArgMatches) -> bool {
    let matches = innermost(matches);
    matches!(matches.try_get_one::<bool>("offline"), Ok(Some(true)))
        && matches.value_source("offline") == Some(ValueSource::CommandLine)
}

/// Returns the failure for a command that is one of cosign's and none of ours.
pub(super) fn elsewhere(error: &clap::Error) -> Option<Failure> {
    let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    else {
        return None;
    };
    let (name, instead) = ELSEWHERE.iter().find(|(known, _)| known == name)?;
    let message = format!("`{name}` is a command of cosign that this program does not have");
    Some(Failure::new(Class::Usage, message).hint(*instead))
}

/// Takes the tip back that an unknown option could be meant as a word: the word would be the name
/// of an image, or of a file.
pub(super) fn without_tip(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn command() -> Command {
        added(super::super::Arguments::command())
    }

    #[test]
    fn every_habit_belongs_to_a_command_and_disturbs_none() {
        let command = command();
        command.clone().debug_assert();
        for habit in HABITS {
            for name in habit.on {
                let found = name.split(' ').try_fold(&command, |at, name| at.find_subcommand(name));
                assert!(found.is_some(), "{name}");
            }
        }
        let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        for pair in ELSEWHERE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{}", pair[1].0);
        }
        assert!(ELSEWHERE.iter().any(|(name, _)| !names.contains(name)));
    }

    #[test]
    fn the_document_lists_all_of_it() {
        let document = include_str!("../../docs/cosign.md");
        let options = HABITS.iter().map(|habit| format!("--{}", habit.name));
        let commands = ELSEWHERE.iter().map(|(name, _)| format!("{name}`"));
        for text in options.chain(commands) {
            assert!(document.contains(&text), "docs/cosign.md has no {text}");
        }
    }

    #[test]
    fn what_would_loosen_is_an_error_and_what_is_so_is_taken() {
        let outcome = |words: &str| {
            let words = format!("luet-cosign {words}");
            command()
                .try_get_matches_from(words.split(' '))
                .map_err(|error| error.to_string())
                .and_then(|matches| check(&matches).map_err(|failure| failure.text()))
        };
        for words in [
            "verify --new-bundle-format --experimental-oci11=true --max-workers 10 a",
            "verify --check-claims=true --rekor-url https://r.example --use-signed-timestamps a",
            "verify --sk=false --local-image=false --signature-digest-algorithm sha512 a",
            "verify-blob --max-workers=3 --check-claims --key k --signature s f",
            "verify-blob --sct s.json --key k --signature s f",
            "download signature --k8s-keychain=false a",
            "verify-repo --insecure-ignore-tlog --offline --max-workers 4 --new-bundle-format a",
            "pull --private-infrastructure --experimental-oci11 a b.tar",
            "check --insecure-ignore-tlog=true --offline a",
            "sign-repo --use-signing-config --new-bundle-format --upload=true a",
            "sign-blob --oidc-issuer https://i.example --issue-certificate=false f",
            "sign --registry-referrers-mode legacy --use-signing-config=false --upload a",
        ] {
            assert_eq!(outcome(words), Ok(()), "{words}");
        }
        for (words, why) in [
            ("verify --check-claims=false a", "any other image"),
            ("verify --signature s a", "where it is published"),
            ("sign-repo --output-signature s a", "download signature"),
            ("sign-blob --certificate c f", "certificates of your own"),
            ("verify-repo --check-claims=false a", "any other image"),
            ("pull --sk a b", "hardware"),
            ("verify --sk a", "hardware"),
            ("download signature --k8s-keychain a", "Kubernetes"),
            ("upload blob -f f --registry-client-cert c a", "client certificates"),
            ("sign --upload=false a", "verifies nothing"),
            ("sign --registry-referrers-mode oci-1-1 a", "--format bundle"),
            ("verify --max-workers many a", "invalid"),
            ("verify --signature-digest-algorithm md5 a", "sha256"),
        ] {
            let refused = outcome(words).unwrap_err();
            assert!(refused.contains(why), "{words}: {refused}");
        }
    }

    #[test]
    fn an_unknown_option_is_never_turned_into_an_image() {
        let parsed = command().try_get_matches_from(["luet-cosign", "verify", "--identity", "f"]);
        let text = without_tip(parsed.unwrap_err()).to_string();
        assert!(!text.contains("as a value"), "{text}");
    }
}
