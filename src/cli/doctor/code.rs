//! The words for what `doctor` looks at. docs/doctor.md has a section for each.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a finding is about; the same from version to version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word.
            pub(super) const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    /// The variable PATH.
    Path = "path",
    /// Which program luet finds as the plugin.
    Plugin = "plugin",
    /// Who can replace it.
    PluginWritable = "plugin-writable",
    /// Whether luet loads it.
    PluginLoaded = "plugin-loaded",
    /// What of luet's configuration counts, and can be read.
    LuetConfiguration = "luet-configuration",
    /// The policy.
    Policy = "policy",
    /// The trusted root.
    TrustedRoot = "trusted-root",
    /// Variables without effect.
    Variables = "variables",
    /// luet's repositories.
    Repositories = "repositories",
    /// luet's caches.
    Caches = "caches",
    /// Where files are kept.
    State = "state",
    /// Whether owners of files are compared.
    Owners = "owners",
    /// What it takes to sign a push.
    Push = "push",
    /// containerd's settings.
    ContainerdConfiguration = "containerd-configuration",
    /// The verifiers that containerd runs.
    ContainerdVerifiers = "containerd-verifiers",
    /// The policy, as containerd's verifier uses it.
    ContainerdPolicy = "containerd-policy",
    /// Images that containerd loads from files.
    ContainerdPreloaded = "containerd-preloaded",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_a_section_for_each_code_and_no_other() {
        let document = include_str!("../../../docs/doctor.md");
        let sections: Vec<&str> = document
            .lines()
            .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
            .collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(sections, codes);
    }
}
