//! What can go wrong, in one table: the class word, its exit code and its hint.
//!
//! Every error of the program is a [`Failure`] of one [`Class`]. The word is in the `error`
//! that the host prints, in `--json`, and as a heading in `docs/errors.md`, which a test holds
//! against this table.

use std::fmt;

/// Longest text that a failure may show, in bytes: what comes from a registry must not flood a
/// terminal.
const MAX_SHOWN_BYTES: usize = 4096;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident $word:literal $exit:literal $hint:literal;)+) => {
        /// A class of failure. The order is that of the documentation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Class { $($(#[$doc])* $name,)+ }

        impl Class {
            /// Every class, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the stable word, lowercase.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Returns the exit code of the command line.
            #[must_use]
            pub const fn exit(self) -> u8 {
                match self { $(Self::$name => $exit,)+ }
            }

            /// Returns what the reader can do about a failure of this class in general.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)+ }
            }
        }
    };
}

classes! {
    /// A fault of the program that it noticed itself.
    Internal "internal" 1 "please report this with the command and its output";
    /// Files that the program keeps could not be used.
    State "state" 1 "make the state directory writable by this user only, or free some space";
    /// The command line or the environment makes no sense.
    Usage "usage" 2 "see `luet-cosign --help`";
    /// The host sent an event that cannot be understood.
    Event "event" 2 "check that host and plugin speak the same protocol: `luet-cosign version`";
    /// The name of an image is not valid.
    Reference "reference" 2 "write it as `registry/path:tag` or `registry/path@sha256:HEX`, in lower case";
    /// The policy cannot be used.
    Policy "policy" 3 "run `luet-cosign policy lint`";
    /// A key, password or credential cannot be used.
    Secret "secret" 3 "check COSIGN_KEY_LOCATION, COSIGN_PUBLIC_KEY_LOCATION and COSIGN_PASSWORD";
    /// The trusted root of Sigstore cannot be used.
    Trustroot "trustroot" 3 "check COSIGN_TRUSTED_ROOT and the clock of this machine";
    /// Every place where a signature could be answered that there is none.
    Unsigned "unsigned" 10 "have the publisher sign it; see what is there with `luet-cosign check`";
    /// The image itself does not exist.
    NotFound "not-found" 11 "check the name, and that it was pushed";
    /// There are signatures, none by a trusted signer.
    Identity "identity" 12 "see who signed it with `luet-cosign check`, then trust that signer or refuse the image";
    /// Something does not have the shape that its format demands.
    Malformed "malformed" 14 "check that this is the right file or image and that it is complete; if it is, tell its publisher";
    /// Bytes do not have the digest under which they were asked for.
    Digest "digest" 14 "run it again, the answer may have been cut on its way; if it stays, try another mirror";
    /// A signature does not hold.
    Signature "signature" 14 "check that signature, key and what is signed belong together";
    /// A signature was not made when its signer was entitled to.
    Time "time" 14 "check the clock of this machine";
    /// The evidence of the transparency log does not hold.
    Tlog "tlog" 14 "check that the log entry belongs to this signature, and that the trusted root knows its log";
    /// A valid signature of something else.
    Binding "binding" 14 "the signature is for a different image or tag: check the name, and see what is there with `luet-cosign check`";
    /// What was unpacked is not what was verified.
    Tree "tree" 14 "run it again, while nothing else writes there";
    /// A form of signature that this version does not read.
    Unsupported "unsupported" 15 "have it signed in a form from docs/keys.md, or update luet-cosign";
    /// Older than what was seen before, or verified before and now unsigned.
    Rollback "rollback" 16 "when this is meant: `luet-cosign seen forget IMAGE`";
    /// The network did not answer.
    Net "net" 20 "check the network, the proxy and the name of the registry, then run it again";
    /// The registry wants credentials that are not there, or refused them.
    Auth "auth" 20 "log in with `docker login` or `podman login`, or set `auth` in luet's repository";
    /// The registry answered with something that decides nothing.
    Registry "registry" 20 "try again later; if it persists, ask the operator of the registry";
    /// An answer is larger than it may be.
    Limit "limit" 20 "see docs/limits.md";
    /// A bug: the program panicked.
    Bug "bug" 70 "please report this with the command and its output";
}

impl Class {
    /// Returns whether the class means "could not find out", as opposed to "we know that it is
    /// bad".
    #[must_use]
    pub const fn is_inconclusive(self) -> bool {
        matches!(self, Self::Net | Self::Auth | Self::Registry | Self::Limit)
    }

    /// How much a failure of this class says about a signature, the more the higher: of several,
    /// the highest is shown.
    ///
    /// "Could not find out" comes first, for the good signature may be what could not be asked for.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Net | Self::Auth | Self::Registry | Self::Limit => 5,
            Self::Unsupported => 2,
            Self::Identity => 1,
            Self::Unsigned => 0,
            Self::Binding => 4,
            _ => 3,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What went wrong: a class, what was found and expected, at most one hint of its own, and what
/// lies beneath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    class: Class,
    message: String,
    hint: Option<String>,
    details: Vec<String>,
}

impl Failure {
    /// Makes a failure. `message` says what was found and what was expected, in lower case, without
    /// a full stop.
    #[must_use]
    pub fn new(class: Class, message: impl fmt::Display) -> Self {
        Self(Box::new(Parts {
            class,
            message: message.to_string(),
            hint: None,
            details: Vec::new(),
        }))
    }

    /// Replaces the hint of the class by one that fits this case better.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// Adds one line that is shown below the message: one reason of several, or a cause.
    #[must_use]
    pub fn detail(mut self, line: impl fmt::Display) -> Self {
        self.0.details.push(line.to_string());
        self
    }

    /// Puts words before the message: what was being done when it went wrong.
    #[must_use]
    pub fn within(mut self, doing: impl fmt::Display) -> Self {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    /// Names the variable that the value came from: before the message, and as the hint, unless
    /// this failure has one of its own.
    #[must_use]
    pub fn of_variable(mut self, name: &str) -> Self {
        self.0.hint.get_or_insert_with(|| format!("check {name}"));
        self.within(name)
    }

    /// Returns the same failure under another class, for where the place decides what it means.
    #[must_use]
    pub fn as_class(mut self, class: Class) -> Self {
        self.0.class = class;
        self
    }

    /// Returns the class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// Returns the message, one level, made safe for a terminal.
    #[must_use]
    pub fn message(&self) -> String {
        printable(&self.0.message)
    }

    /// Returns the hint: this failure's own, else that of its class.
    #[must_use]
    pub fn the_hint(&self) -> String {
        self.0.hint.as_deref().map_or_else(|| self.0.class.hint().to_owned(), printable)
    }

    /// Returns the hint of this failure's own, where it has one.
    #[must_use]
    pub fn own_hint(&self) -> Option<String> {
        self.0.hint.as_deref().map(printable)
    }

    /// Returns the lines below the message, made safe for a terminal.
    pub fn details(&self) -> impl Iterator<Item = String> + '_ {
        self.0.details.iter().map(|line| printable(line))
    }

    /// Returns class and message in one line, for a list of reasons.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.class(), self.message())
    }

    /// Returns class, message and details in one line, for a list of reasons that has no room
    /// below.
    #[must_use]
    pub fn full_line(&self) -> String {
        self.details().fold(self.line(), |line, detail| format!("{line}; {detail}"))
    }

    /// Returns the whole text that a person reads: first line the verdict, then the details, last
    /// line the hint.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.line();
        for line in self.details() {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text.push_str("\nhint: ");
        text.push_str(&self.the_hint());
        text
    }

    /// Returns the failure as the object that `--json` prints under `error`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "class": self.class().word(),
            "exit": self.class().exit(),
            "message": self.message(),
            "details": self.details().collect::<Vec<_>>(),
            "hint": self.the_hint(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Failure {}

/// Returns `1 signature`, `2 signatures`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Returns a text as YAML in double quotes, which reads back as exactly that, whatever is in it.
#[must_use]
pub fn yaml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' ' => quoted.push(c),
            c if c.is_ascii_graphic() => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// What begins a PEM block (RFC 7468), and the base64 of it and of what cosign's key files hold.
const KEY_MARKS: [&str; 3] = ["-----BEGIN", "LS0tLS1CRUdJTi", "eyJrZGYi"];

/// Returns whether a text that should say where a key lies holds one instead. Such a text must not
/// be shown.
///
/// Those who write `--key "$(cat cosign.key)"` must not find the key in a log.
#[must_use]
pub fn holds_key(text: &str) -> bool {
    KEY_MARKS.iter().any(|mark| text.contains(mark))
}

/// Returns whether a text holds a token that is a JWT, or begins as one: `{"` in base64url, and a good
/// many letters behind it.
#[must_use]
pub fn holds_token(text: &str) -> bool {
    token_start(text).is_some()
}

/// Returns where a token begins.
fn token_start(text: &str) -> Option<usize> {
    let letter = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    text.match_indices("eyJ").map(|(at, _)| at).find(|at| {
        text.get(*at..).is_some_and(|rest| rest.bytes().take_while(letter).count() >= 16)
    })
}

/// Returns whether a character steers a terminal, reorders what is read, or is there without being
/// seen: controls, ends of lines, marks of direction, what joins and separates without width,
/// blanks that are no spaces, fillers, selectors and tags (Unicode 16: General_Category Cc, Cf, Zl
/// and Zp; Default_Ignorable_Code_Point).
#[must_use]
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
        || (c.is_whitespace() && c != ' ')
}

/// Returns what the user named as a place as it may be shown: of a URL neither user nor query nor
/// fragment, which may be passwords and tokens. What is not a URL stays as it is.
#[must_use]
pub fn shown(place: &str) -> String {
    let Some((scheme, rest)) = split_url(place) else { return place.to_owned() };
    let (user, rest) = rest.split_at(user_end(rest));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{}{rest}", if user.is_empty() { "" } else { "***" })
}

/// Returns a text without the users and passwords of the URLs in it.
#[must_use]
pub fn without_users(text: &str) -> String {
    let (mut shown, mut left) = (String::with_capacity(text.len()), text);
    while let Some((before, rest)) = split_url(left) {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '`' | '\'' | '"'));
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let (user, after) = rest.split_at(user_end(word));
        shown.push_str(before);
        shown.push_str(if user.is_empty() { "" } else { "***" });
        left = after;
    }
    shown + left
}

/// Splits a text behind the slashes of the first URL in it. One slash is enough where the scheme
/// cannot be anything else: `https:/user:password@host` is a URL that someone mistyped.
fn split_url(text: &str) -> Option<(&str, &str)> {
    text.match_indices(":/").find_map(|(at, _)| {
        let (scheme, rest) = text.split_at(at + 1);
        let slashes = rest.len() - rest.trim_start_matches('/').len();
        let web = ["http:", "https:"].iter().any(|web| {
            scheme
                .len()
                .checked_sub(web.len())
                .and_then(|start| scheme.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(web))
        });
        (slashes > 1 || web).then(|| text.split_at(at + 1 + slashes))
    })
}

/// Returns where the user of a URL ends, of what follows its slashes; 0 where it names none.
fn user_end(rest: &str) -> usize {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password may have a slash in it that should have been encoded: then what seems to be the
    // port is not a number.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let odd = !authority.starts_with('[') && !port.bytes().all(|c| c.is_ascii_digit());
    authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| odd)).unwrap_or(0)
}

/// Returns `text` with every character escaped that [`hides`].
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns `text` as a failure shows it: [`escaped`], without a key or token that it quotes by
/// accident, without the passwords of URLs, and cut to 4 KiB.
///
/// Text in a failure comes from registries, policies and hosts (docs/threats.md E06).
#[must_use]
pub fn printable(text: &str) -> String {
    let key = KEY_MARKS.iter().filter_map(|mark| text.find(mark)).min();
    let token = token_start(text).filter(|at| key.is_none_or(|key| *at < key));
    let end = token.or(key).unwrap_or(text.len());
    let text = without_users(text.get(..end).unwrap_or_default());
    let cut = text.floor_char_boundary(MAX_SHOWN_BYTES);
    let mut shown = escaped(text.get(..cut).unwrap_or_default());
    if shown.len() > MAX_SHOWN_BYTES {
        shown.truncate(shown.floor_char_boundary(MAX_SHOWN_BYTES));
    }
    if cut < text.len() || shown.len() >= MAX_SHOWN_BYTES {
        shown.push_str(" [cut]");
    }
    if token.is_some() {
        shown.push_str("[a token, not shown]");
    } else if key.is_some() {
        shown.push_str("[a key, not shown]");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_a_terminal() {
        assert_eq!(
            printable("a\x1b[31mb\u{202e}c\nd\u{61c}e"),
            "a\\u{1b}[31mb\\u{202e}c\\u{a}d\\u{61c}e"
        );
        assert!(printable(&"x".repeat(10_000)).len() < 4200);
    }

    #[test]
    fn what_is_not_seen_is_escaped_and_what_is_seen_stays() {
        for c in "\u{85}\u{9b}\u{a0}\u{ad}\u{34f}\u{115f}\u{1160}\u{180b}\u{200b}\u{200d}\u{2003}\u{2029}\u{2066}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fffb}\u{e0001}\u{e007f}\u{e01ef}\t\r\n\u{7f}\0".chars() {
            assert!(hides(c), "{}", c.escape_unicode());
            assert!(printable(&c.to_string()).is_ascii());
        }
        let seen = "quay.io/a/b:1 `é` ß 漢字 한글 עברית 😀 ~";
        assert_eq!(printable(seen), seen);
    }

    #[test]
    fn a_key_that_an_error_quotes_is_not_shown() {
        for key in ["-----BEGIN PRIVATE KEY-----\nc2Vj", "LS0tLS1CRUdJTiBQc2Vj"] {
            assert_eq!(printable(&format!("`{key}` is not a file")), "`[a key, not shown]");
        }
    }

    #[test]
    fn a_url_is_shown_without_user_query_and_fragment() {
        for (place, expected) in [
            ("https://u:pw@h/s?t=X#f", "https://***@h/s"),
            ("https:/u:pw@h/s?t=X", "https:/***@h/s"),
            ("HTTP:///u:pw@h", "HTTP:///***@h"),
            ("docker://token@h:5000/a@sha256:00", "docker://***@h:5000/a@sha256:00"),
            ("https://u:p/w@h/s", "https://***@h/s"),
            ("https://u:p?w@h/s", "https://***@h/s"),
            ("https://u:p w@h/s", "https://***@h/s"),
            ("https://h:443/a@b?t=X", "https://h:443/a@b"),
            ("https://[::1]/a@b", "https://[::1]/a@b"),
            ("/keys/a b?#@c", "/keys/a b?#@c"),
            ("acme/x:1@sha256:00", "acme/x:1@sha256:00"),
        ] {
            assert_eq!(shown(place), expected);
        }
    }

    #[test]
    fn a_password_in_a_url_that_an_error_quotes_is_not_shown() {
        let text = "`https://u:pw@h/s` and https:/u:pw@h: not there, nor `a:/b@c`, `http://x/y@z`";
        let expected =
            "`https://***@h/s` and https:/***@h: not there, nor `a:/b@c`, `http://x/y@z`";
        assert_eq!(printable(text), expected);
    }

    #[test]
    fn a_token_that_a_text_quotes_is_not_shown() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl";
        assert_eq!(printable(&format!("open {token}: no")), "open [a token, not shown]");
        assert!(holds_token(token) && !holds_token("eyJ") && !holds_token("eyJhbG.txt/keys/a"));
        assert_eq!(printable("keyJ and eyJhb are words"), "keyJ and eyJhb are words");
    }

    #[test]
    fn inconclusive_is_exit_20_and_nothing_else_is() {
        for class in Class::ALL {
            assert_eq!(class.is_inconclusive(), class.exit() == 20, "{class}");
        }
    }

    #[test]
    fn the_text_starts_with_the_class_and_ends_with_one_hint() {
        let failure = Failure::new(Class::Unsigned, "no signature on `x`")
            .detail("place: 404")
            .hint("sign it");
        assert_eq!(failure.text(), "unsigned: no signature on `x`\n  place: 404\nhint: sign it");
    }
}
