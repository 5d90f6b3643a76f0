//! Pushes that fail: the host is stopped, and nothing is signed.

use super::{Case, Named};
use e2e::Registry;
use e2e::machine::Seen;
use e2e::tools;
use serde_json::json;

pub const PUSH: &[Named] = &[
    ("no-key-nothing-is-pushed", |case| case.not_pushed("(secret|usage|policy)")),
    ("wrong-password-nothing-is-pushed", |case| {
        case.has_key("acme");
        case.machine.set("COSIGN_PASSWORD", "wrong");
        case.not_pushed("secret");
    }),
    ("not-logged-in-nothing-is-pushed", |case| {
        let closed = Registry::docker_for("ci:secret");
        case.not_pushed_to(closed.address(), "refused", None, "ci:secret");
    }),
    ("may-read-but-not-write-nothing-is-pushed", |case| {
        let shared = shared();
        case.not_pushed_to(shared.address(), "images", Some("reader:secret"), "writer:secret");
    }),
    ("may-write-images-but-not-signatures-nothing-is-pushed", |case| {
        // The engine could push, but the signature could not be.
        let shared = shared();
        case.machine.set("COSIGN_REPOSITORY", format!("{}/signatures", shared.address()));
        case.not_pushed_to(shared.address(), "images", Some("writer:secret"), "writer:secret");
    }),
    ("someone-else-moved-the-tag-refused-nothing-is-signed", moved),
    ("the-registry-as-engine-trusts-the-tag-and-says-so", trusts_the_tag),
];

/// A registry where one user may only read, and another write anything but signatures.
fn shared() -> Registry {
    let rules = json!([
        {"repo": "images/*", "members": ["reader"], "access": ["read"]},
        {"repo": "images/*", "members": ["writer"], "access": ["read", "write", "delete"]},
        {"repo": "signatures", "members": ["reader", "writer"], "access": ["read"]},
        {"repo": "", "members": ["reader", "writer"], "access": ["read"]},
    ]);
    Registry::olareg_for(&["reader:secret", "writer:secret"], &rules)
}

impl Case<'_> {
    fn push(&self, address: &str) -> Seen {
        self.publish(&self.machine, &self.goods().packages("v1"), address)
    }

    #[track_caller]
    fn not_pushed(&mut self, class: &str) {
        let address = self.own("refused");
        let seen = self.push(&address);
        seen.was_refused(class, "");
        assert!(!seen.output.contains("Pushed image"), "{}", seen.output);
        self.has_no_tags(&address);
    }

    /// Nothing gets to another registry, with this login; the other one sees all that is there.
    #[track_caller]
    fn not_pushed_to(&mut self, registry: &str, path: &str, login: Option<&str>, other: &str) {
        self.has_key("acme");
        if let Some(login) = login {
            self.machine.log_in(registry, login);
        }
        if self.engine() == e2e::Engine::Buildah {
            std::fs::remove_dir_all(self.machine.path("buildah")).expect("buildah's directory");
            self.machine.use_buildah(&[registry]);
        }
        let address = format!("{registry}/{path}/pushed");
        let seen = self.push(&address);
        seen.was_refused("auth", "");
        assert!(!seen.output.contains("Pushed image"), "{}", seen.output);
        self.machine.log_in(registry, other);
        self.has_no_tags(&address);
    }

    #[track_caller]
    fn has_no_tags(&self, address: &str) {
        let mut crane = self.machine.command(tools::program("crane"));
        let seen = Seen::run(crane.args(["ls", address]), "crane ls");
        let unknown = seen.output.contains("NAME_UNKNOWN") || seen.output.contains("404");
        let empty = seen.code == Some(0) && seen.output.trim().is_empty();
        assert!(unknown || empty, "tags exist: {seen:?}");
    }
}

/// After each push of the engine someone else moves the tag.
fn moved(case: &mut Case<'_>) {
    let (address, evil) = (case.own("moved"), case.made("unsigned/acme") + ":beer-toolchain-1.0");
    let (engine, crane) = (case.engine().program(), tools::program("crane"));
    case.machine.program(
        case.engine().name(),
        &format!(
            "#!/bin/sh\n\"{}\" \"$@\" || exit\nif [ \"$1\" = push ] && [ $# = 2 ]; then\n\
             \"{}\" copy \"{evil}\" \"$2\" >/dev/null 2>&1\nfi\n",
            engine.display(),
            crane.display()
        ),
    );
    case.has_key("acme");
    case.push(&address).was_refused("digest", "");
    let signed = case.tags(&address).into_iter().find(|tag| tag.ends_with(".sig"));
    assert_eq!(signed, None, "something was signed");
}

fn trusts_the_tag(case: &mut Case<'_>) {
    let address = case.own("trusting");
    case.has_key("acme");
    case.machine.set("LUET_COSIGN_ENGINE", "registry");
    let seen = case.push(&address);
    seen.exited(0);
    seen.said("state reported");
    case.all_are_signed(&address);
}
