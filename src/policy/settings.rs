//! The settings that are one word of a closed list.

/// What to do with an image. For `defaults.unmatched`: one that no rule is about; for `unsigned`:
/// one without a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Refuse it.
    Deny,
    /// Let it pass and warn.
    Warn,
    /// Let it pass and say so.
    Allow,
}

/// What was verified here before and may not be unsigned now: `defaults.downgrade`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Downgrade {
    /// Nothing.
    Off,
    /// The same tag of the same repository.
    #[default]
    Tag,
    /// Any image of the same repository.
    Repo,
}

/// Whether a signature must be for this repository and tag: `bind_tag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BindTag {
    /// What it names is not compared.
    Off,
    /// What it names must be right; it may name nothing, unless its signer is known to name them.
    #[default]
    IfPresent,
    /// It must name them, and they must be right.
    Required,
}

/// What happens where the revision of a luet repository goes back: `rollback`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rollback {
    /// Nothing.
    Off,
    /// Warn.
    #[default]
    Warn,
    /// Refuse it.
    Deny,
}

/// How what was unpacked is held against what was signed: `post_unpack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PostUnpack {
    /// By the signed digest of the tree, and by the layers where that does not say yes.
    #[default]
    Auto,
    /// By the signed digest of the tree only.
    Tree,
    /// By the layers only.
    Layers,
    /// Not at all.
    Off,
}

/// Gives each setting the table of its words, and [`word`](Mode::word).
macro_rules! words {
    ($($setting:ident: $($word:literal $value:ident),+;)+) => {
        $(impl $setting {
            /// The words, in the order of the documentation.
            pub(super) const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),+];

            /// Returns the word in the policy.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }
        })+
    };
}

words! {
    Mode: "deny" Deny, "warn" Warn, "allow" Allow;
    Downgrade: "off" Off, "tag" Tag, "repo" Repo;
    BindTag: "off" Off, "if-present" IfPresent, "required" Required;
    Rollback: "off" Off, "warn" Warn, "deny" Deny;
    PostUnpack: "auto" Auto, "tree" Tree, "layers" Layers, "off" Off;
}
