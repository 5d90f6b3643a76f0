//! Publishing: signing by certificates and into logs, with the services of a whole Sigstore in this
//! process. What they answer wrongly is never written; what fails says what to do; the token reaches
//! one host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use serde_json::{Value, json};
use std::process::Output;
use testkit::sigstore::Services;
use testkit::sigstore::log::LogKind;
use testkit::{Image, Plugin, TestRegistry, layer};

#[path = "publish/events.rs"]
mod events;
#[path = "publish/faults.rs"]
mod faults;
#[path = "publish/files.rs"]
mod files;
#[path = "publish/forms.rs"]
mod forms;
#[path = "publish/mutation.rs"]
mod mutation;
#[path = "publish/secrets.rs"]
mod secrets;
#[path = "publish/services.rs"]
mod services;
#[path = "publish/tampered.rs"]
mod tampered;
#[path = "publish/when.rs"]
mod when;

pub(crate) const REPO: &str = "acme/packages";
pub(crate) const WHO: &str = "dev@example.com";

/// A Sigstore, a registry with an image, and the program.
pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) registry: TestRegistry,
    pub(crate) plugin: Plugin,
    pub(crate) image: Image,
    pub(crate) name: String,
    pub(crate) token: String,
}

impl World {
    /// The services are those of a signing configuration with a log of this kind.
    pub(crate) fn new(log: LogKind, tsa: bool) -> Self {
        let services = Services::start();
        let registry = TestRegistry::start();
        let image = registry.push_image(REPO, "a", &[&layer(&[("a", b"a")])]);
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        let config = services.signing_config(log, tsa);
        plugin.write("signing.json", config.to_string());
        plugin.write("root.json", services.sigstore.trusted_root().to_string());
        let token = services.token(WHO, &json!({}));
        let name = registry.name(&format!("{REPO}:a"));
        Self { services, registry, plugin, image, name, token }
    }

    /// `sign -y` by the token, with the signing configuration, and more.
    pub(crate) fn sign(&self, more: &[&str]) -> Output {
        self.sign_as(&self.token, more)
    }

    pub(crate) fn sign_as(&self, token: &str, more: &[&str]) -> Output {
        let mut command = self.plugin.raw();
        command.args(["sign", "-y", "--identity-token", token]);
        command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"]);
        command.args(more).arg(&self.name).output().unwrap()
    }

    /// `verify` for the identity of the token.
    pub(crate) fn verify(&self) -> Output {
        let mut command = self.plugin.raw();
        command.args(["verify", "--trusted-root", "root.json", "--certificate-identity", WHO]);
        let issuer = testkit::sigstore::services::ISSUER;
        command.args(["--certificate-oidc-issuer", issuer, &self.name]).output().unwrap()
    }

    /// The layers under the `.sig` tag.
    pub(crate) fn layers(&self) -> Vec<Value> {
        let tag = format!("{}.sig", self.image.digest.replace(':', "-"));
        let Some((_, bytes)) = self.registry.manifest(REPO, &tag) else { return Vec::new() };
        serde_json::from_slice::<Value>(&bytes).unwrap()["layers"].as_array().unwrap().clone()
    }

    /// Asserts that nothing was written to the registry, nor begun to be.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        let written: Vec<_> = self
            .registry
            .lines()
            .into_iter()
            .filter(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "))
            .collect();
        assert!(written.is_empty(), "{written:?}");
    }

    /// How many requests a log got that add an entry.
    pub(crate) fn logged(&self) -> usize {
        let adds = |service: &testkit::sigstore::services::Service| {
            let added = |request: &&testkit::Request| {
                request.method == "POST" && request.path().ends_with("/log/entries")
            };
            service.requests().iter().filter(added).count()
        };
        adds(&self.services.rekor1) + adds(&self.services.rekor2)
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub(crate) fn assert_good(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// Asserts that it failed with this class, and says this.
#[track_caller]
pub(crate) fn assert_failed(output: &Output, class: &str, words: &str) {
    let text = said(output);
    assert!(!output.status.success(), "it was done: {text}");
    assert!(text.starts_with(&format!("error: {class}: ")), "expected {class}: {text}");
    assert!(text.contains(words), "expected `{words}`: {text}");
    assert!(text.contains("\nhint: "), "no hint: {text}");
}
