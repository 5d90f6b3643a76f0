//! Images that real cosigns signed against a real Sigstore: `tests/data/cosign-images`,
//! whose table says what is right.

use testkit::{Options, Plugin, Reply, TestRegistry, vectors};

const REPO: &str = "acme/packages";
/// Who signed most of them.
const DEV: (&str, &str) = ("dev@example.com", "http://127.0.0.1:8888");
/// The workflow that signed one.
const WORKFLOW: (&str, &str) = (
    "https://github.com/acme/pkgs/.github/workflows/release.yml@refs/heads/main",
    "http://127.0.0.1:8888/gha",
);

/// Asks the event about an image, as someone who wants this identity.
fn install(name: &str, shape: &str, (subject, issuer): (&str, &str)) -> Reply {
    let registry =
        TestRegistry::with(Options { referrers: shape == "referrers", ..Options::default() });
    vectors::push(&registry, REPO, name, shape);
    let root = vectors::folder().join("trust/trusted_root.json").canonicalize().unwrap();
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"))
        .env("COSIGN_EXPERIMENTAL", "1")
        .env("COSIGN_TRUSTED_ROOT", root.to_str().unwrap())
        .env("COSIGN_CERTIFICATE_IDENTITY", subject)
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", issuer);
    plugin.pre_unpack(&registry.name(&format!("{REPO}:1")), &plugin.dest("dest"))
}

#[test]
fn every_image_has_the_verdict_of_the_table() {
    let signed = [
        "c2leg", "c2root", "c3leg", "c3b1", "c3b1t", "c3b2", "c3tuf", "c2b1", "both1", "mix1",
        "twob",
    ];
    for shape in ["referrers", "tagfallback"] {
        for name in signed {
            // This one was signed in one shape only.
            if (name, shape) == ("c3tuf", "tagfallback") {
                install(name, shape, DEV).assert_refused("unsigned");
                continue;
            }
            install(name, shape, DEV).assert_silent_success();
            for wrong in [
                ("eve2@example.com", DEV.1),
                (DEV.0, "http://127.0.0.1:8888/gha"),
                ("Dev@example.com", DEV.1),
                ("dev@example", DEV.1),
            ] {
                install(name, shape, wrong).assert_refused("identity");
            }
        }
        install("gha", shape, WORKFLOW).assert_silent_success();
        install("gha", shape, DEV).assert_refused("identity");
        // An attestation by the right signer, which cosign 2.6.4 and 3.1.2 take for a signature.
        install("att2", shape, DEV).assert_refused("unsigned");
        install("key2", shape, DEV).assert_refused("identity");
        install("unsigned", shape, DEV).assert_refused("unsigned");
    }
}
