//! Keys beside certificates, patterns, and other roots.

use super::{Case, REGISTRIES, Signer, case, our_verdict, refused_as_signed};
use crate::Shared as All;
use libtest_mimic::Trial;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The key's signature counts for whoever trusts the key, wherever the other one lies: the image,
/// who judges with `--key`, and what is said.
const BY_KEY: [(&str, &str, &str); 8] = [
    ("key_beside", "cosign2", "key"),
    ("key_beside", "cosign3", "key"),
    ("key_beside", "ours", "ok"),
    ("beside_key", "cosign2", "ok"),
    ("beside_key", "cosign3", "ok"),
    ("beside_key", "ours", "ok"),
    ("c2_legacy", "ours", "identity"),
    ("c3_bundle1", "ours", "identity"),
];

/// Patterns of identities and issuers, and what we say.
const PATTERNS: [(&str, &str, &str, &str); 3] = [
    ("a-pattern", r"^dev@example\.com$", r"^http://127\.0\.0\.1:8888$", "ok"),
    ("another-pattern", r"^eve@example\.com$", r"^http://127\.0\.0\.1:8888$", "identity"),
    ("another-pattern-of-issuers", r"^dev@example\.com$", "^https://", "identity"),
];

pub fn trials(at: usize, shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let registry = REGISTRIES[at];
    for (image, program, says) in BY_KEY {
        let name = format!("{registry}::{image}::by-key::{program}");
        trials.push(case(name, shared, move |case| {
            assert_eq!(case.says_by_key(program, &case.image(at, image)), says);
        }));
    }
    for image in ["c2_legacy", "c3_bundle2_tsa"] {
        for (name, subject, issuer, says) in PATTERNS {
            let name = format!("{registry}::{image}::{name}");
            trials.push(case(name, shared, move |case| {
                let mut command = case.ours(&["verify", "--trusted-root"]);
                command.arg(case.trusted_root()).args(["--certificate-identity-regexp", subject]);
                command.args(["--certificate-oidc-issuer-regexp", issuer]);
                assert_eq!(our_verdict(command.arg(case.image(at, image))).0, says);
            }));
        }
        let mut add = |name: &str, run: fn(&mut Case<'_>, &str)| {
            let name = format!("{registry}::{image}::{name}");
            trials.push(case(name, shared, move |case| {
                let image = case.image(at, image);
                run(case, &image);
            }));
        };
        add("another-root-with-the-same-names", |case, image| {
            let mut command = case.ours(&["verify", "--trusted-root"]);
            command.arg(case.other_root()).args(Signer::Dev.who().options()).arg(image);
            refused_as_signed(&our_verdict(&mut command).0);
        });
        // Without a word about who may have signed, nobody may; the text names who did.
        add("an-event-without-an-identity", |case, image| {
            case.trusts(&Signer::Dev.who());
            case.machine.unset("COSIGN_CERTIFICATE_IDENTITY");
            case.machine.unset("COSIGN_CERTIFICATE_OIDC_ISSUER");
            let (class, said) = case.event(image);
            assert_eq!(class, "identity", "{said}");
            let named = said.lines().any(|line| {
                line.contains(Signer::Dev.identity()) && line.contains(Signer::Dev.issuer())
            });
            assert!(named, "it does not name the signer: {said}");
        });
        // The root that is built in does not know this Sigstore; asking outside is not possible
        // here, and ends soon.
        add("an-event-with-the-public-root", |case, image| {
            case.trusts(&Signer::Dev.who());
            case.machine.unset("COSIGN_TRUSTED_ROOT");
            let began = Instant::now();
            refused_as_signed(&case.event(image).0);
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        });
    }
    trials
}
