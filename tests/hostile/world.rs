//! One registry, one policy, one plugin: where a case happens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::class::{Class, Failure};
use luet_cosign::trust::PrivateKey;
use luet_cosign::wire;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::http::Answer;
use testkit::registry::{Image, Options, Signature, TestRegistry};
use testkit::{PASSWORD, Plugin, Reply, Sink, layer, unpack};

pub(crate) const REPO: &str = "acme/packages";
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A key pair, opened: opening is what scrypt makes slow.
pub(crate) struct Pair {
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
    pub(crate) key: PrivateKey,
}

/// The key that worlds trust (`acme`), and one that nobody trusts (`stranger`).
pub(crate) fn pair(name: &str) -> &'static Pair {
    static PAIRS: OnceLock<[Pair; 2]> = OnceLock::new();
    let pairs = PAIRS.get_or_init(|| {
        [(); 2].map(|()| {
            let pair = PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
            let key = PrivateKey::open(pair.private_pem.as_bytes(), PASSWORD.as_bytes()).unwrap();
            Pair { private_pem: pair.private_pem.to_string(), public_pem: pair.public_pem, key }
        })
    });
    &pairs[usize::from(name != "acme")]
}

/// A place that a registry is asked about an image, and what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The tag of the image itself.
    Tag,
    Sig,
    Referrers,
    Fallback,
    Blobs,
}

pub(crate) struct World {
    pub(crate) registry: TestRegistry,
    pub(crate) plugin: Plugin,
    pub(crate) image: Image,
    /// The content of the one layer.
    pub(crate) layer: Vec<u8>,
    dests: AtomicUsize,
}

impl World {
    /// An image without signatures, which a rule refuses as such.
    pub(crate) fn strict() -> Self {
        Self::with(Options::default(), "trust: [acme], unsigned: deny")
    }

    /// An image without signatures, which a rule lets be unsigned: the setting that a hidden
    /// signature would profit from.
    pub(crate) fn lax() -> Self {
        Self::with(Options::default(), LAX)
    }

    /// Each with a good legacy signature.
    pub(crate) fn signed() -> Self {
        Self::lax().sign()
    }

    pub(crate) fn with(options: Options, rule: &str) -> Self {
        let registry = TestRegistry::with(options);
        let layer = layer(&[("usr/bin/tool", b"a tool")]);
        let image = registry.push_image(REPO, "1", &[&layer]);
        let world = Self { registry, plugin: plugin(), image, layer, dests: AtomicUsize::new(0) };
        world.rule(rule)
    }

    /// Replaces the one rule of the policy.
    pub(crate) fn rule(mut self, rule: &str) -> Self {
        let scope = self.registry.name("**");
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  acme: {{key: acme.pub}}\nrepositories:\n  - {{name: r, scope: \"{scope}\", {rule}}}\n"
        );
        let path = self.plugin.write("policy.yaml", text).display().to_string();
        self.plugin.set("LUET_COSIGN_POLICY", &path);
        self
    }

    /// Adds a good legacy signature.
    pub(crate) fn sign(self) -> Self {
        self.sign_as("acme", &[])
    }

    /// Adds a legacy signature of the image, by `signer` and with claims.
    pub(crate) fn sign_as(self, signer: &str, claims: &[(&str, &str)]) -> Self {
        let signature = self.signature(signer, &self.image.digest, claims);
        self.put(&[signature])
    }

    /// Puts legacy signatures under the image's `.sig` tag, whatever they are of.
    pub(crate) fn put(self, signatures: &[Signature]) -> Self {
        self.registry.push_signatures(REPO, &self.image.digest, signatures);
        self
    }

    pub(crate) fn signature(
        &self,
        signer: &str,
        digest: &str,
        claims: &[(&str, &str)],
    ) -> Signature {
        signature(&self.registry.name(REPO), signer, digest, claims)
    }

    /// Attaches a bundle by `signer` about this image as a referrer; returns its digest.
    pub(crate) fn attach(&self, signer: &str) -> String {
        self.registry.push_referrer(REPO, &self.image, BUNDLE, &bundle(signer, &self.image.digest))
    }

    pub(crate) fn name(&self) -> String {
        self.registry.name(&format!("{REPO}:1"))
    }

    pub(crate) fn pattern(&self, place: Place) -> String {
        let hex = self.image.digest.replace(':', "-");
        match place {
            Place::Tag => format!("/v2/{REPO}/manifests/1"),
            Place::Sig => format!("/v2/{REPO}/manifests/{hex}.sig"),
            Place::Referrers => format!("/v2/{REPO}/referrers/*"),
            Place::Fallback => format!("/v2/{REPO}/manifests/{hex}"),
            Place::Blobs => format!("/v2/{REPO}/blobs/*"),
        }
    }

    /// Lets a place give one answer for good.
    pub(crate) fn serve(self, place: Place, answer: Answer) -> Self {
        self.registry.always("GET", &self.pattern(place), answer);
        self
    }

    /// Lets a place give the good answer, changed.
    pub(crate) fn bend(
        self,
        place: Place,
        change: impl Fn(Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.registry.rule("GET", &self.pattern(place), move |call| Some(change(call.good())));
        self
    }

    /// Returns a fresh directory to unpack into.
    pub(crate) fn dest(&self) -> std::path::PathBuf {
        self.plugin.dest(&format!("dest{}", self.dests.fetch_add(1, Ordering::Relaxed)))
    }

    /// Sends `image.pre.unpack`, and returns the class that it ended in.
    pub(crate) fn install(&self) -> String {
        self.install_named(&self.name())
    }

    pub(crate) fn install_named(&self, image: &str) -> String {
        class_of(&self.plugin.pre_unpack(image, &self.dest()))
    }

    /// Sends both events, with what `content` leaves on disk between them; returns the class of the
    /// second.
    pub(crate) fn install_and_unpack(&self, content: impl Fn(&std::path::Path)) -> String {
        let dest = self.dest();
        let pre = self.plugin.pre_unpack(&self.name(), &dest);
        assert_eq!(class_of(&pre), "", "the pre event: {pre:?}");
        content(&dest);
        class_of(&self.plugin.post_unpack(&self.name(), &dest))
    }

    /// Does what an honest host does between the two events.
    pub(crate) fn unpack(&self, dest: &std::path::Path) {
        unpack(&self.layer, dest);
    }
}

pub(crate) const LAX: &str = "trust: [acme], unsigned: allow, reason: a test";

/// A plugin with the keys of both signers in its directory.
pub(crate) fn plugin() -> Plugin {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    for name in ["acme", "stranger"] {
        plugin.write(&format!("{name}.key"), &pair(name).private_pem);
        plugin.write(&format!("{name}.pub"), &pair(name).public_pem);
    }
    // No case waits for a server that never answers longer than this.
    plugin.env("LUET_COSIGN_TIMEOUT", "20").env("COSIGN_PASSWORD", PASSWORD)
}

/// Reads an answer to an event: its class, or nothing for a success. What every answer must be is
/// asserted.
pub(crate) fn class_of(reply: &Reply) -> String {
    assert_eq!(
        reply.exit,
        Some(0),
        "an answer must be exit 0, or the host throws it away: {reply:?}"
    );
    assert!(
        !reply.stdout.bytes().any(|byte| byte.is_ascii_control()),
        "what a terminal would obey: {reply:?}"
    );
    if reply.error.is_empty() {
        return String::new();
    }
    assert!(reply.error.contains("\nhint: "), "{reply:?}");
    let class = Class::ALL.iter().find(|class| class.word() == reply.class());
    class.unwrap_or_else(|| panic!("no class: {reply:?}")).word().to_owned()
}

/// Reads a result of the library in the same way.
pub(crate) fn class_of_result<T>(result: Result<T, Failure>) -> String {
    result.err().map(|failure| failure.class().word().to_owned()).unwrap_or_default()
}

/// Returns a legacy signature as cosign makes it.
pub(crate) fn signature(
    name: &str,
    signer: &str,
    digest: &str,
    claims: &[(&str, &str)],
) -> Signature {
    let annotations: BTreeMap<String, String> =
        claims.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let payload = wire::Payload {
        docker_reference: name.to_owned(),
        manifest_digest: digest.parse().unwrap(),
        annotations,
    };
    signed(signer, payload.to_bytes())
}

/// Signs any bytes as the payload of a legacy signature.
pub(crate) fn signed(signer: &str, payload: Vec<u8>) -> Signature {
    let encoded = STANDARD.encode(pair(signer).key.sign(&payload).unwrap());
    Signature { payload, annotations: vec![(SIGNATURE.to_owned(), encoded)] }
}

/// Returns a bundle with a statement about `digest`.
pub(crate) fn bundle(signer: &str, digest: &str) -> Vec<u8> {
    let statement = wire::write_statement(&digest.parse().unwrap(), &BTreeMap::new());
    let key = &pair(signer).key;
    let signed = key.signed(&wire::statement_to_sign(&statement)).unwrap();
    wire::write_bundle(&statement, &signed)
}

/// A sink that must stay silent: returns `class` once nobody ever connected to it.
pub(crate) fn untouched(sink: &Sink, class: String) -> String {
    assert_eq!(sink.0.connections(), 0, "someone came: {:?}", sink.0.requests());
    class
}
