//! What signatures may ask for: evidence that takes long to check is refused before any of it is
//! checked, and does not keep anyone from finding the good signature beside it.

use super::*;
use luet_cosign::limits;
use luet_cosign::trust::Budget;
use testkit::{Options, Plugin, TestRegistry};

const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
const ENTRIES: &str = "/verificationMaterial/tlogEntries";

/// Puts so many lines before the log's own, each by the log's name and key, and wrong: every one of
/// them has to be checked.
fn heavier(mut bundle: Value, lines: usize) -> Value {
    let text = bundle.pointer(CHECKPOINT).unwrap().as_str().unwrap().to_owned();
    let (head, signatures) = text.split_once("\n\n").unwrap();
    let own = signatures.lines().next().unwrap();
    let at = own.len() - 12;
    let other = if own.as_bytes()[at] == b'A' { "B" } else { "A" };
    let wrong = format!("{}{other}{}\n", &own[..at], &own[at + 1..]).repeat(lines);
    *bundle.pointer_mut(CHECKPOINT).unwrap() = json!(format!("{head}\n\n{wrong}{signatures}"));
    bundle
}

fn good() -> Value {
    sigstore().sign().image(IMAGE).bundle()
}

#[test]
fn witnesses_are_welcome_up_to_the_limit_of_lines() {
    let lines = good().pointer(CHECKPOINT).unwrap().as_str().unwrap().lines().count();
    for (more, expected) in [
        (0, "verified"),
        (limits::CHECKPOINT_LINES - lines, "verified"),
        (limits::CHECKPOINT_LINES - lines + 1, "limit"),
        (5_000, "limit"),
    ] {
        assert_eq!(class(&Judge::new().bundle(&heavier(good(), more))), expected, "{more}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_any_of_it_is_checked() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 5] = [
        ("a long checkpoint", |bundle| {
            let text = format!("{}\n\n", "x".repeat(limits::CHECKPOINT_BYTES));
            *bundle.pointer_mut(CHECKPOINT).unwrap() = json!(text);
        }),
        ("many hashes", |bundle| {
            let proof = &mut bundle.pointer_mut(ENTRIES).unwrap()[0]["inclusionProof"];
            proof["hashes"] = json!(vec!["AAAA"; limits::PROOF_HASHES + 1]);
        }),
        ("a long timestamp", |bundle| {
            let token = "A".repeat(limits::TOKEN_BYTES + 4);
            bundle["verificationMaterial"]["timestampVerificationData"] =
                json!({"rfc3161Timestamps": [{"signedTimestamp": token}]});
        }),
        ("a long certificate", |bundle| {
            bundle["verificationMaterial"]["certificate"]["rawBytes"] =
                json!("A".repeat(limits::TOKEN_BYTES + 4));
        }),
        ("many entries that are small each", |bundle| {
            let mut entry = bundle.pointer(ENTRIES).unwrap()[0].clone();
            let text = "x\n".repeat(limits::CHECKPOINT_LINES);
            entry["inclusionProof"]["checkpoint"]["envelope"] = json!(text);
            *bundle.pointer_mut(ENTRIES).unwrap() = json!(vec![entry; limits::BUNDLE_EVIDENCE]);
        }),
    ];
    for (what, change) in changes {
        let mut bundle = good();
        change(&mut bundle);
        assert_eq!(class(&Judge::new().bundle(&bundle)), "limit", "{what}");
    }
}

#[test]
fn a_good_signature_is_found_behind_as_many_of_the_worst_as_are_looked_at() {
    let text =
        |bundle: &Value| Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry);
    // Refused by the crate at its first entry, and paid for as if all were checked.
    let lines = good().pointer(CHECKPOINT).unwrap().as_str().unwrap().lines().count();
    let mut worst = heavier(good(), limits::CHECKPOINT_LINES - lines);
    let entry = worst.pointer(ENTRIES).unwrap()[0].clone();
    let each = limits::CHECKPOINT_LINES + 1;
    *worst.pointer_mut(ENTRIES).unwrap() =
        json!(vec![entry; (limits::SIGNATURE_CHECKS - 4) / each]);
    let (worst, honest) = (text(&worst).unwrap(), text(&good()).unwrap());
    assert!(worst.checks() + each > limits::SIGNATURE_CHECKS, "{}", worst.checks());
    Judge::new()
        .with(|checker| {
            for _ in 0..limits::REFERRERS {
                check_bundle(&worst, &image(), checker).map(|_| ()).unwrap_err();
            }
            assert!(check_bundle(&honest, &image(), checker)?.is_some());
            // And there is an end.
            let used = checker.budget.spend(limits::IMAGE_CHECKS, 0);
            assert_eq!(used.unwrap_err().class().word(), "limit");
            while checker.budget.spend(1, 0).is_ok() {}
            let refused = check_bundle(&honest, &image(), checker).unwrap_err();
            assert_eq!(refused.failure.class().word(), "limit");
            Ok(())
        })
        .unwrap();
}

#[test]
fn legacy_signatures_are_paid_for_as_well() {
    let signature = sigstore().sign().legacy(IMAGE);
    let manifest = json!({"layers": [layer(&signature)]}).to_string();
    let signatures = Signatures::parse(manifest.as_bytes()).unwrap();
    let candidate = signatures.candidates().next().unwrap().unwrap();
    Judge::new()
        .with(|checker| {
            Held::check(&candidate, checker)?;
            while checker.budget.spend(1, 0).is_ok() {}
            let refused = Held::check(&candidate, checker).map(|_| ()).unwrap_err();
            assert_eq!(refused.failure.class().word(), "limit");
            Ok(())
        })
        .unwrap();
    assert!(Budget::default().spend(candidate.evidence.checks(), 0).is_ok());
}

#[test]
fn six_heavy_bundles_do_not_hide_the_good_one() {
    let registry = TestRegistry::with(Options::default());
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    let root = plugin.write("root.json", sigstore().trusted_root().to_string());
    let plugin = plugin
        .env("COSIGN_EXPERIMENTAL", "1")
        .env("COSIGN_TRUSTED_ROOT", &root.display().to_string())
        .env("COSIGN_CERTIFICATE_IDENTITY", DEV.0)
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    for lines in 4_000..4_006 {
        let bundle = heavier(sigstore().sign().image(&image.digest).bundle(), lines);
        registry.push_referrer("a/b", &image, kind, bundle.to_string().as_bytes());
    }
    let name = registry.name("a/b:1");
    plugin.pre_unpack(&name, &plugin.dest("dest1")).assert_refused("limit");
    let bundle = sigstore().sign().image(&image.digest).bundle();
    registry.push_referrer("a/b", &image, kind, bundle.to_string().as_bytes());
    plugin.pre_unpack(&name, &plugin.dest("dest2")).assert_silent_success();
}

#[test]
fn long_bundles_of_strangers_do_not_hide_the_good_one() {
    let registry = TestRegistry::with(Options { referrers: false, ..Options::default() });
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    let root = plugin.write("root.json", sigstore().trusted_root().to_string());
    let plugin = plugin
        .env("COSIGN_EXPERIMENTAL", "1")
        .env("COSIGN_TRUSTED_ROOT", &root.display().to_string())
        .env("COSIGN_CERTIFICATE_IDENTITY", DEV.0)
        .env("COSIGN_CERTIFICATE_OIDC_ISSUER", DEV.1);
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let junk = |number: usize, bytes: usize| {
        let make = |pad: usize| {
            json!({
                "mediaType": kind,
                "verificationMaterial": {"publicKey": {"hint": format!("{number}{}", "x".repeat(pad))}},
                "dsseEnvelope": {"payload": "e30=", "payloadType": "x", "signatures": [{"sig": "AAAA"}]},
            })
            .to_string()
        };
        make(bytes.saturating_sub(make(0).len()))
    };
    let sizes = [
        vec![1 << 20; 63],
        (9..20).rev().map(|shift| 1 << shift).collect(),
        vec![4096; 30],
        vec![300; 20],
    ];
    let mut list: Vec<String> = Vec::new();
    for (number, size) in sizes.concat().iter().enumerate() {
        list.push(registry.push_referrer("a/b", &image, kind, junk(number, *size).as_bytes()));
    }
    let good = sigstore().sign().image(&image.digest).bundle();
    list.push(registry.push_referrer("a/b", &image, kind, good.to_string().as_bytes()));
    assert!(list.len() < limits::REFERRERS, "{}", list.len());
    let entries: Vec<(&str, usize)> = list.iter().map(|digest| (digest.as_str(), 700)).collect();
    registry.push_fallback("a/b", &image.digest, &entries);
    let name = registry.name("a/b:1");
    plugin.pre_unpack(&name, &plugin.dest("dest1")).assert_silent_success();
}
