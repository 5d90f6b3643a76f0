//! Rules that want several parties: who signed is counted, and each signer is one party, whatever
//! it signs and however many workflows and names it has.

use super::*;
use luet_cosign::name::Reference;
use luet_cosign::policy::{
    Decision, Document, Evidence, Matched, Pin, PlaceAnswer, PlaceKind, PlaceReport, Policy,
    PolicyOrigin, Remembered, SignatureReport, decide,
};
use luet_cosign::trust::PublicKey;
use luet_cosign::wire::SignerClaims;
use std::collections::BTreeMap;
use testkit::sigstore::Key;
use testkit::{Image, Plugin, Reply, TestRegistry};

const REPO: &str = "acme/packages";

/// Two workflows of one party.
pub(super) const BUILD: &str = "https://ci.example/acme/build.yml@refs/heads/main";
const EXTRA: &str = "https://ci.example/acme/extra.yml@refs/heads/main";
/// A workflow of nobody whom a rule names.
pub(super) const EVE: &str = "https://ci.example/eve/build.yml@refs/heads/main";

fn security() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(Key::p256)
}

fn document(trust: &str) -> String {
    with_rules(&format!("  - {{name: r, scope: '*', trust: {trust}}}\n"))
}

/// `ci` and `wide` are patterns that overlap, `ci` and `again` are one, `security` and `twin` are
/// one key.
pub(super) fn with_rules(rules: &str) -> String {
    format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners:\n\
         \x20 ci: {{keyless: {{issuer: {issuer}, subject_pattern: \"https://ci.example/acme/**\"}}}}\n\
         \x20 again: {{keyless: {{issuer: {issuer}, subject_pattern: \"https://ci.example/acme/**\"}}}}\n\
         \x20 wide: {{keyless: {{issuer: {issuer}, subject_prefix: \"https://ci.example/acme/\"}}}}\n\
         \x20 first: {{keyless: any}}\n\
         \x20 security: {{key: security.pub}}\n\
         \x20 twin: {{key: security.pub}}\n\
         repositories:\n{rules}",
        issuer = DEV.1
    )
}

/// A signature by a workflow, or by the key `security`; with a claim of a tree where one is given.
fn sign(by: &str, image: &str, tree: Option<&str>) -> Signature {
    let claims = SignerClaims {
        tree: tree.map(|tree| Digest::of(tree.as_bytes())),
        ..SignerClaims::default()
    };
    claimed(by, image, &claims)
}

fn claimed(by: &str, image: &str, claims: &SignerClaims) -> Signature {
    // `NAME for N` is the workflow NAME, run for the repository of this number.
    let (by, source) = by.split_once(" for ").unwrap_or((by, ""));
    let signing = if by == "security" {
        sigstore().sign().keyed(security())
    } else if source.is_empty() {
        sigstore().sign().identity(by).issuer(DEV.1)
    } else {
        sigstore().sign().identity(by).issuer(DEV.1).leaf(|leaf| leaf.claim(15, source))
    };
    let signing = claims
        .annotations()
        .into_iter()
        .fold(signing, |signing, (name, value)| signing.annotation(&name, &value));
    signing.legacy(image)
}

/// The rule, and the policy's own authorities as a judge of signatures.
fn rule(trust: &str) -> (Matched, Judge) {
    let document = Document::parse(&document(trust)).unwrap();
    let key = PublicKey::from_pem(security().pem().as_bytes()).unwrap();
    let keys: BTreeMap<_, _> =
        document.signers().iter().map(|signer| (signer.name.clone(), Ok(key.clone()))).collect();
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let origin = PolicyOrigin::File { path: "policy.yaml".to_owned() };
    let (policy, _) = Policy::new(document, origin, keys, now).unwrap();
    let reference: Reference = format!("quay.io/{REPO}:1").parse().unwrap();
    let matched = policy.matching(&reference, now);
    let judge = Judge::of(matched.authorities().to_vec());
    (matched, judge)
}

/// What these signatures come to, each by someone and with the tree that it claims, on a machine
/// that remembers this first signer.
fn decision(trust: &str, signatures: &[(&str, Option<&str>)], first: Option<&str>) -> Decision {
    let (matched, judge) = rule(trust);
    let mut evidence = Evidence::new(matched.reference().clone(), image(), None);
    for kind in PlaceKind::ALL {
        evidence.places.push(PlaceReport {
            kind,
            repository: matched.reference().repository().clone(),
            subject: image(),
            answer: PlaceAnswer::Absent { detail: String::new() },
        });
    }
    for (by, tree) in signatures {
        let signature = sign(by, IMAGE, *tree);
        evidence.signatures.push(SignatureReport {
            place: PlaceKind::SigTag,
            repository: matched.reference().repository().clone(),
            subject: image(),
            format: "legacy".to_owned(),
            outcome: judge.legacy(&layer(&signature), signature.payload()),
        });
    }
    let pins = first.into_iter().map(|first| {
        let signature = sign(first, IMAGE, None);
        let any = Judge::of([Authority::of_identity(Identity::Any)]);
        let signature = any.legacy(&layer(&signature), signature.payload()).unwrap();
        Pin { signer: signature.signer().clone(), name: first.to_owned() }
    });
    evidence.memory = Remembered { pins: pins.collect(), durable: true, ..Remembered::default() };
    let decision = decide(&matched, &evidence);
    // A signer who is not remembered yet has to be looked for everywhere.
    let enough = matched.enough(&evidence) || matched.pins() && evidence.memory.pins.is_empty();
    assert!(enough || word(&decision) != "verified", "enough and decide agree");
    decision
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Verified(_) => "verified",
        Decision::Allowed(_) => "allowed",
        Decision::Refused(failure) => failure.class().word(),
    }
}

/// One workflow that two repositories call is two signers; one whose old certificate leaves out the
/// repository is not a second one.
#[test]
fn who_calls_a_workflow_is_counted_and_not_the_workflow() {
    const TWO: &str = "{at_least: 2, of: [ci, wide]}";
    let (one, other) = (format!("{BUILD} for 1"), format!("{BUILD} for 2"));
    let (old, again) = (BUILD, format!("{} for 1", BUILD.replace("main", "next")));
    for (signatures, expected) in [
        (vec![one.as_str(), other.as_str()], "verified"),
        (vec![&one, &again], "identity"),
        (vec![&one, old], "identity"),
        (vec![old, &one], "identity"),
        (vec![old, &one, &again], "identity"),
        (vec![old, &one, &other], "verified"),
    ] {
        let signatures: Vec<_> = signatures.into_iter().map(|by| (by, None)).collect();
        assert_eq!(word(&decision(TWO, &signatures, None)), expected, "{signatures:?}");
    }
}

/// The attack: two workflows of one party claim another tree, and the other party signed the
/// honest image. What one party claims twice is not what both claim.
#[test]
fn a_tree_counts_only_where_as_many_parties_claim_it_as_the_rule_wants() {
    const BOTH: &str = "{all_of: [ci, security]}";
    for (trust, signatures, expected) in [
        (BOTH, vec![(BUILD, Some("good")), ("security", Some("good"))], Some("good")),
        (BOTH, vec![(BUILD, Some("evil")), (EXTRA, Some("evil")), ("security", None)], None),
        (
            BOTH,
            vec![(BUILD, Some("evil")), (EXTRA, Some("evil")), ("security", Some("good"))],
            None,
        ),
        // A party that claims both does not make the evil one any party's but its own.
        (
            BOTH,
            vec![
                (BUILD, Some("evil")),
                (EXTRA, Some("evil")),
                (EXTRA, Some("good")),
                ("security", Some("good")),
            ],
            Some("good"),
        ),
        // Both are claimed by both: nobody can tell which it is.
        (
            BOTH,
            vec![
                (BUILD, Some("evil")),
                ("security", Some("evil")),
                (BUILD, Some("good")),
                ("security", Some("good")),
            ],
            None,
        ),
        // A stranger's claim is no party's.
        (BOTH, vec![(BUILD, Some("evil")), ("security", None), (EVE, Some("evil"))], None),
        // Overlapping patterns: two workflows may stand for both, one may not.
        ("{all_of: [ci, wide]}", vec![(BUILD, Some("t")), (EXTRA, Some("t"))], Some("t")),
        ("{all_of: [ci, wide]}", vec![(BUILD, Some("t")), (BUILD, Some("t")), (EXTRA, None)], None),
        // One is enough, where one is wanted; not where two differ.
        ("[ci, security]", vec![(BUILD, Some("t")), ("security", None)], Some("t")),
        ("[ci, security]", vec![(BUILD, Some("t")), ("security", Some("u"))], None),
        (
            "{at_least: 2, of: [ci, security, first]}",
            vec![(BUILD, Some("evil")), (EXTRA, Some("evil")), ("security", None)],
            None,
        ),
        // A signer beside a party that is enough claims nothing.
        ("[security, first]", vec![(EVE, Some("evil")), ("security", None)], None),
        ("[security, first]", vec![(EVE, Some("t"))], Some("t")),
    ] {
        let provisional = decision(trust, &signatures, None).into_result().unwrap();
        let expected = expected.map(|tree: &str| Digest::of(tree.as_bytes()));
        assert_eq!(provisional.tree(), expected, "{trust}: {signatures:?}");
    }
}

#[test]
fn each_party_takes_one_signer_and_each_signer_stands_for_one_party() {
    for (trust, signers, expected) in [
        ("{all_of: [ci, security]}", vec![BUILD, "security"], "verified"),
        ("{all_of: [ci, security]}", vec![BUILD, EXTRA], "identity"),
        ("{all_of: [ci, security]}", vec!["security", "security"], "identity"),
        ("{all_of: [ci, wide]}", vec![BUILD, BUILD], "identity"),
        ("{all_of: [ci, wide]}", vec![BUILD, EXTRA], "verified"),
        ("{all_of: [ci, wide, security]}", vec![EXTRA, "security", BUILD], "verified"),
        ("{at_least: 2, of: [ci, security, twin]}", vec!["security"], "identity"),
        // One identity under two names is one party.
        ("{at_least: 2, of: [ci, again, security]}", vec![BUILD, EXTRA], "identity"),
        ("{at_least: 2, of: [ci, again, security]}", vec![BUILD, "security"], "verified"),
        ("{at_least: 2, of: [ci, security, twin]}", vec!["security", BUILD], "verified"),
    ] {
        let signatures: Vec<_> = signers.iter().map(|signer| (*signer, None)).collect();
        assert_eq!(word(&decision(trust, &signatures, None)), expected, "{trust}: {signers:?}");
    }
}

/// Whom the rule names is not also the first signer: a second workflow of theirs does not stand
/// for the first signer.
#[test]
fn whoever_signed_first_is_nobody_whom_the_rule_names() {
    const BOTH: &str = "{all_of: [ci, first]}";
    for (signers, first, expected) in [
        (vec![BUILD, EVE], None, "verified"),
        (vec![BUILD, EVE], Some(EVE), "verified"),
        (vec![BUILD, EVE], Some(DEV.0), "identity"),
        (vec![BUILD, EXTRA], None, "identity"),
        (vec![BUILD, EXTRA], Some(EVE), "identity"),
        (vec![BUILD, EXTRA], Some(EXTRA), "identity"),
        (vec![BUILD, EVE, DEV.0], None, "identity"),
        (vec![BUILD, EVE, DEV.0], Some(DEV.0), "verified"),
    ] {
        let signatures: Vec<_> = signers.iter().map(|signer| (*signer, None)).collect();
        assert_eq!(word(&decision(BOTH, &signatures, first)), expected, "{signers:?} {first:?}");
    }
}

pub(super) struct World {
    pub(super) registry: TestRegistry,
    pub(super) plugin: Plugin,
    dests: std::cell::Cell<usize>,
}

impl World {
    pub(super) fn new(trust: &str) -> Self {
        let mut world = Self::without_policy();
        world.policy(&document(trust));
        world
    }

    pub(super) fn without_policy() -> Self {
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        plugin.write("root.json", sigstore().trusted_root().to_string());
        plugin.write("security.pub", security().pem());
        Self { registry: TestRegistry::start(), plugin, dests: std::cell::Cell::new(0) }
    }

    pub(super) fn policy(&mut self, text: &str) {
        let text = format!("{text}network: {{trusted_root: root.json}}\n");
        let policy = self.plugin.write("policy.yaml", text).display().to_string();
        self.plugin.set("LUET_COSIGN_POLICY", &policy);
    }

    pub(super) fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    fn dest(&self) -> std::path::PathBuf {
        self.dests.set(self.dests.get() + 1);
        self.plugin.dest(&format!("dest{}", self.dests.get()))
    }

    fn push(&self, tag: &str, files: &[u8], signatures: &[(&str, SignerClaims)]) -> Image {
        self.push_to(REPO, tag, files, signatures)
    }

    pub(super) fn push_to(
        &self,
        repository: &str,
        tag: &str,
        files: &[u8],
        signatures: &[(&str, SignerClaims)],
    ) -> Image {
        let image = self.registry.push_image(repository, tag, &[files]);
        let signatures: Vec<_> = signatures
            .iter()
            .map(|(by, claims)| {
                let signature = claimed(by, &image.digest, claims);
                testkit::Signature {
                    payload: signature.payload().to_vec(),
                    annotations: signature.annotations().into_iter().collect(),
                }
            })
            .collect();
        self.registry.push_signatures(repository, &image.digest, &signatures);
        image
    }

    /// Both events, with these files unpacked between them.
    fn install(&self, tag: &str, files: &[u8]) -> Reply {
        self.install_from(REPO, tag, files)
    }

    pub(super) fn install_from(&self, repository: &str, tag: &str, files: &[u8]) -> Reply {
        let name = self.registry.name(&format!("{repository}:{tag}"));
        let dest = self.dest();
        let before = self.plugin.pre_unpack(&name, &dest);
        if !before.error.is_empty() {
            return before;
        }
        testkit::unpack(files, &dest);
        self.plugin.post_unpack(&name, &dest)
    }

    /// The digest that our signer claims of these files.
    fn tree(&self, files: &[u8]) -> SignerClaims {
        let dest = self.dest();
        testkit::unpack(files, &dest);
        let dest = luet_cosign::dest::Dest::open(&dest).unwrap();
        let walked = luet_cosign::dest::walk(&dest, &luet_cosign::dest::WalkOptions::default());
        SignerClaims { tree: walked.unwrap().tree.digest(), ..SignerClaims::default() }
    }
}

/// The same at the real binary: the host unpacked what one of two parties says that it should.
#[test]
fn one_party_of_two_does_not_decide_what_is_unpacked() {
    let world = World::new("{all_of: [ci, security]}");
    let good = testkit::layer(&[("usr/bin/tool", b"a tool")]);
    let evil = testkit::layer(&[("usr/bin/tool", b"evil!!")]);
    let (good_tree, evil_tree) = (world.tree(&good), world.tree(&evil));
    assert!(good_tree.tree.is_some() && good_tree != evil_tree);
    for (tag, by_security) in [("a", SignerClaims::default()), ("b", good_tree.clone())] {
        let signatures =
            [(BUILD, evil_tree.clone()), (EXTRA, evil_tree.clone()), ("security", by_security)];
        world.push(tag, &good, &signatures);
        world.install(tag, &evil).assert_refused("tree");
        world.install(tag, &good).assert_silent_success();
    }
    // What both say needs no request.
    world.push("c", &good, &[(BUILD, good_tree.clone()), ("security", good_tree)]);
    let dest = world.dest();
    world.plugin.pre_unpack(&world.name("c"), &dest).assert_silent_success();
    testkit::unpack(&good, &dest);
    let requests = world.registry.requests().len();
    world.plugin.post_unpack(&world.name("c"), &dest).assert_silent_success();
    assert_eq!(world.registry.requests().len(), requests);
}
