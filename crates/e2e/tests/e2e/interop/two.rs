//! Two repositories: A signed by acme, and B by whom its rule says.

use super::goods::BOTH;
use super::{Case, Named};
use e2e::machine::Seen;

pub const TAGS_OF_B: &str = "tags: ['cake-*', 'repository.*', 'tree.*']";

pub const TWO: &[Named] = &[
    ("b-unsigned-no-rule-for-it", |case| {
        let seen = two_repositories(case, "unsigned/hobby", "");
        case.refused(&seen, "[a-z-]+", "had an error: [a-z-]+: .*unsigned/hobby");
    }),
    ("b-unsigned-its-rule-denies", |case| {
        let seen = two_repositories(case, "unsigned/hobby", "trust: [acme], unsigned: deny");
        case.refused(&seen, "unsigned", "");
    }),
    ("b-unsigned-its-rule-warns", |case| {
        let rule = format!("unsigned: warn, {TAGS_OF_B}");
        let seen = two_repositories(case, "unsigned/hobby", &rule);
        with_cake(case, &seen);
        seen.said("warning: .*unsigned/hobby:cake-hobby-1.0. is not signed; rule .b.");
    }),
    ("b-unsigned-its-rule-allows", |case| {
        let rule = format!("unsigned: allow, reason: never signed, {TAGS_OF_B}");
        let seen = two_repositories(case, "unsigned/hobby", &rule);
        with_cake(case, &seen);
    }),
    ("b-unsigned-allowed-by-the-variable", |case| {
        let seen = allowed_by_variable(case, "ours/acme");
        with_cake(case, &seen);
        seen.said(
            "warning: .*unsigned/hobby:repository.yaml. is not signed.*LUET_COSIGN_ALLOW_UNSIGNED",
        );
    }),
    // What the variable allows for B is not allowed for A.
    ("a-unsigned-although-b-is-allowed", |case| {
        let seen = allowed_by_variable(case, "unsigned/acme");
        case.refused(&seen, "unsigned", "");
    }),
    ("b-signed-by-a-stranger-its-rule-names-trust", |case| {
        let rule = format!("trust: [acme], unsigned: allow, reason: not all signed, {TAGS_OF_B}");
        let seen = two_repositories(case, "stranger/hobby", &rule);
        case.refused(&seen, "identity", "");
    }),
    ("b-signed-by-a-stranger-its-rule-names-none", |case| {
        let rule = format!("unsigned: allow, reason: never signed, {TAGS_OF_B}");
        let seen = two_repositories(case, "stranger/hobby", &rule);
        with_cake(case, &seen);
        seen.said("warning: .*stranger");
    }),
    // B comes first, and has a package of A's name.
    ("b-offers-a-package-of-a-s-name-outside-its-tags", |case| {
        let (a, b) = (case.made("ours/acme"), case.made("unsigned/pretender"));
        case.policy(&a, &format!("{{name: b, scope: '{b}', unsigned: warn, {TAGS_OF_B}}}"));
        let seen = case.install(&[("b", &b), ("a", &a)], &["toolchain/yip", "hobby/cake"]);
        let text = "had an error: [a-z-]+: .*unsigned/pretender:yip-toolchain-9.0";
        case.refused(&seen, "[a-z-]+", text);
    }),
];

impl Case<'_> {
    /// acme signs A; for B there is another rule, or none.
    pub fn policy(&mut self, a: &str, rule: &str) {
        let path = self.machine.path("policy.yaml");
        let more = if rule.is_empty() { String::new() } else { format!("  - {rule}\n") };
        let key = self.goods().public("acme");
        let policy = format!(
            "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\n\
             signers:\n  acme: {{key: {}}}\n\
             repositories:\n  - {{name: a, scope: '{a}', trust: [acme]}}\n{more}",
            key.display()
        );
        std::fs::write(&path, policy).expect("a file");
        self.machine.set("LUET_COSIGN_POLICY", path);
    }
}

/// Installs yip of A and cake of B.
fn two_repositories(case: &mut Case<'_>, path_of_b: &str, rule: &str) -> Seen {
    let (a, b) = (case.made("ours/acme"), case.made(path_of_b));
    let rule = match rule {
        "" => String::new(),
        rule => format!("{{name: b, scope: '{b}', {rule}}}"),
    };
    case.policy(&a, &rule);
    case.install(&[("a", &a), ("b", &b)], &["toolchain/yip", "hobby/cake"])
}

fn allowed_by_variable(case: &mut Case<'_>, path_of_a: &str) -> Seen {
    let (a, b) = (case.made(path_of_a), case.made("unsigned/hobby"));
    case.trusts("acme");
    case.machine.set("LUET_COSIGN_ALLOW_UNSIGNED", &b);
    case.install(&[("a", &a), ("b", &b)], &["toolchain/yip", "hobby/cake"])
}

#[track_caller]
fn with_cake(case: &Case<'_>, seen: &Seen) {
    seen.exited(0);
    case.installed(&[BOTH[0], BOTH[1], ("usr/bin/cake", "hobby/cake@1.0")]);
}
