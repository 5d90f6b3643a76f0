//! Files that cosign 2.6.4 and 3.1.2 signed in a real Sigstore:
//! `tests/data/cosign-images/blobs`.

use super::*;

const ISSUER: &str = "http://127.0.0.1:8888";

fn at(path: &str) -> String {
    std::fs::canonicalize(shared("cosign-images").join(path)).unwrap().display().to_string()
}

pub(super) fn bundles() -> [&'static str; 7] {
    ["b.c2leg", "b.c2nb", "b.c2nb2", "b.c3.sc1", "b.c3.sc1tsa", "b.c3.sc2", "b.c3leg"]
}

#[test]
fn what_cosign_signed_is_verified_and_is_nobody_else_s() {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"))
        .env("LUET_COSIGN_OFFLINE", "1")
        .env("COSIGN_TRUSTED_ROOT", &at("trust/trusted_root.json"));
    for name in bundles() {
        let bundle = at(&format!("blobs/{name}.json"));
        let verify = |identity: &str, issuer: &str, file: &str| {
            let words = [
                "verify-blob",
                "--bundle",
                &bundle,
                "--certificate-identity",
                identity,
                "--certificate-oidc-issuer",
                issuer,
                file,
            ];
            Said::from(plugin.run(words))
        };
        let file = at("blobs/blob");
        verify("dev@example.com", ISSUER, &file).assert_ok();
        for (identity, issuer) in [
            ("eve@example.com", ISSUER),
            ("dev@example.com.evil.example", ISSUER),
            ("DEV@example.com", ISSUER),
            ("dev@example.com", "http://127.0.0.1:8888/gha"),
        ] {
            verify(identity, issuer, &file).assert_refused("identity");
        }
        verify("dev@example.com", ISSUER, &at("blobs/b.sig")).assert_refused("signature");
    }
}

#[test]
fn the_two_files_of_cosign_2_need_the_log() {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"))
        .env("COSIGN_TRUSTED_ROOT", &at("trust/trusted_root.json"));
    let words = |extra: &'static str| {
        let files = [
            "verify-blob".to_owned(),
            "--signature".to_owned(),
            at("blobs/b.sig"),
            "--certificate".to_owned(),
            at("blobs/b.crt"),
        ];
        let who = [
            "--certificate-identity=dev@example.com".to_owned(),
            format!("--certificate-oidc-issuer={ISSUER}"),
        ];
        files.into_iter().chain(who).chain([extra.to_owned(), at("blobs/blob")]).collect::<Vec<_>>()
    };
    Said::from(plugin.run(words("--offline"))).assert_refused("time");
    // The entry is the one of b.c2leg.json: cosign wrote the three at once.
    let said: Said = plugin
        .run(
            words("--offline").into_iter().chain(["--bundle".to_owned(), at("blobs/b.c2leg.json")]),
        )
        .into();
    said.assert_ok();
}
