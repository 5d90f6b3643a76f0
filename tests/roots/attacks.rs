//! Attacks on the way of a newer root (docs/threats.md T01 to T07): each is refused, leaves
//! nothing behind, and the next good update works.

use super::*;
use luet_cosign::class::Class;
use serde_json::{Value, json};
use testkit::sigstore::Key;
use testkit::sigstore::tuf::envelope;

const PAST: &str = "2020-01-01T00:00:00Z";

/// Prepares a machine that has version 2 of everything, publishes what `spoil` makes of version 3,
/// and expects that it is refused.
#[track_caller]
fn refused(class: Class, words: &str, spoil: impl FnOnce(&mut Tuf, &Value)) {
    refused_by(class, words, answer, spoil);
}

#[track_caller]
fn refused_by(
    class: Class,
    words: &str,
    answer: impl Fn(&Shared, &Request) -> Answer + Send + Sync + 'static,
    spoil: impl FnOnce(&mut Tuf, &Value),
) {
    let (old, evil, good) = (Sigstore::new(), Sigstore::new(), Sigstore::new());
    let mut world = World::answering(&old, answer);
    world.tuf.update(&old.trusted_root());
    assert!(knows(&world.roots(), &old));
    let kept = world.kept();
    let next = world.tuf.would_be(&good.trusted_root());

    spoil(&mut world.tuf, &evil.trusted_root());
    world.later();
    let roots = world.roots();
    assert!(!knows(&roots, &evil));
    let Refreshed::Failed(failure) = refresh(&roots) else { panic!("it was taken") };
    assert_eq!(failure.class(), class, "{}", failure.text());
    assert!(failure.text().contains(words), "{}", failure.text());
    assert!(!knows(&roots, &evil) && knows(&roots, &old), "what was in force stays");
    assert_eq!(world.kept(), kept, "nothing is left behind");

    *world.tuf.files.lock().unwrap() = next;
    world.later();
    let roots = world.roots();
    load(&roots);
    assert!(matches!(refresh(&roots), Refreshed::Newer));
    assert!(knows(&roots, &good), "the next good update works");
}

#[test]
fn a_role_that_goes_back_is_refused() {
    refused(Class::Trustroot, "rollback detected for timestamp", |tuf, evil| {
        tuf.update(evil);
        tuf.timestamp.version = 1;
        tuf.publish();
    });
    refused(Class::Trustroot, "rollback detected for snapshot", |tuf, evil| {
        tuf.update(evil);
        tuf.snapshot.version = 1;
        tuf.publish();
    });
    refused(Class::Trustroot, "rollback detected for targets", |tuf, evil| {
        tuf.update(evil);
        tuf.targets.version = 1;
        tuf.publish();
    });
}

#[test]
fn parts_of_two_versions_are_refused() {
    refused(Class::Trustroot, "targets.json", |tuf, evil| {
        let before = tuf.get("2.targets.json").unwrap();
        tuf.update(evil);
        tuf.put("3.targets.json", before);
    });
    refused(Class::Trustroot, "snapshot.json", |tuf, evil| {
        let before = tuf.get("2.snapshot.json").unwrap();
        tuf.update(evil);
        tuf.put("3.snapshot.json", before);
    });
}

#[test]
fn a_role_that_expired_is_refused() {
    for role in ["timestamp", "snapshot", "targets"] {
        refused(Class::Trustroot, &format!("{role} metadata expired at {PAST}"), |tuf, evil| {
            let expires = match role {
                "timestamp" => &mut tuf.timestamp.expires,
                "snapshot" => &mut tuf.snapshot.expires,
                _ => &mut tuf.targets.expires,
            };
            PAST.clone_into(expires);
            tuf.update(evil);
        });
    }
    refused(Class::Trustroot, "root metadata expired", |tuf, evil| {
        PAST.clone_into(&mut tuf.root.expires);
        tuf.rotate();
        tuf.update(evil);
    });
}

#[test]
fn a_root_that_does_not_follow_is_refused() {
    refused(Class::Trustroot, "root version must increment by one", |tuf, evil| {
        tuf.rotate();
        tuf.rotate();
        let third = tuf.get("3.root.json").unwrap();
        tuf.put("2.root.json", third);
        tuf.update(evil);
    });
    refused(Class::Trustroot, "root version must increment by one", |tuf, evil| {
        tuf.put("2.root.json", tuf.first.clone());
        tuf.update(evil);
    });
}

#[test]
fn a_root_that_the_old_and_the_new_keys_did_not_both_sign_is_refused() {
    let next = |tuf: &mut Tuf| {
        let old =
            std::mem::replace(&mut tuf.root.keys, vec![Key::p256(), Key::p256(), Key::p256()]);
        tuf.root.version = 2;
        old
    };
    refused(Class::Trustroot, "signature threshold not met for role root", |tuf, _| {
        next(tuf);
        tuf.put("2.root.json", tuf.root_by(&[]));
    });
    refused(Class::Trustroot, "signature threshold not met for role root", |tuf, _| {
        next(tuf);
        tuf.put("2.root.json", tuf.root_by(&tuf.root.keys.iter().collect::<Vec<_>>()));
    });
    refused(Class::Trustroot, "signature threshold not met for role root", |tuf, _| {
        let old = next(tuf);
        tuf.put("2.root.json", tuf.root_by(&old.iter().collect::<Vec<_>>()));
    });
    refused(Class::Trustroot, "signature threshold not met for role root: 1/2", |tuf, _| {
        let old = next(tuf);
        tuf.put("2.root.json", tuf.root_by(&[&old[0], &tuf.root.keys[0], &tuf.root.keys[1]]));
    });
}

#[test]
fn a_threshold_cannot_be_cheated() {
    refused(Class::Trustroot, "threshold 0", |tuf, _| {
        let old = std::mem::replace(&mut tuf.root.keys, vec![Key::p256()]);
        tuf.root.version = 2;
        tuf.root.threshold = 0;
        tuf.put("2.root.json", tuf.root_by(&old.iter().collect::<Vec<_>>()));
    });
    // One signature twice does not make two.
    refused(Class::Trustroot, "duplicate signature", |tuf, _| {
        let old = std::mem::replace(&mut tuf.root.keys, vec![Key::p256(), Key::p256()]);
        tuf.root.version = 2;
        tuf.put(
            "2.root.json",
            tuf.root_by(&[&old[0], &old[0], &tuf.root.keys[0], &tuf.root.keys[1]]),
        );
    });
    // One key under two names does not either, however it is written.
    for spelling in
        [|pem: &str| pem.to_owned(), |pem: &str| format!("\n{}", pem.replace('\n', "\r\n"))]
    {
        refused(Class::Trustroot, "duplicate signature key id twin for role root", |tuf, _| {
            let old = std::mem::replace(&mut tuf.root.keys, vec![Key::p256()]);
            tuf.root.version = 2;
            let mut root: Value = serde_json::from_slice(&tuf.root_by(&[])).unwrap();
            let name = root["signed"]["roles"]["root"]["keyids"][0].as_str().unwrap().to_owned();
            let mut twin = root["signed"]["keys"][&name].clone();
            twin["keyval"]["public"] = json!(spelling(twin["keyval"]["public"].as_str().unwrap()));
            root["signed"]["keys"]["twin"] = twin;
            root["signed"]["roles"]["root"]["keyids"] = json!([name, "twin"]);
            let signers: Vec<&Key> = old.iter().chain(&tuf.root.keys).collect();
            let mut root: Value =
                serde_json::from_slice(&envelope(root["signed"].take(), &signers)).unwrap();
            let mut signature = root["signatures"].as_array().unwrap().last().unwrap().clone();
            signature["keyid"] = json!("twin");
            root["signatures"].as_array_mut().unwrap().push(signature);
            tuf.put("2.root.json", root.to_string());
        });
    }
    refused(Class::Trustroot, "invalid", |tuf, _| {
        let root = String::from_utf8(tuf.first.clone())
            .unwrap()
            .replace("\"threshold\":2", "\"threshold\":-1");
        tuf.put("2.root.json", root);
    });
}

#[test]
fn roots_without_end_are_refused() {
    refused(Class::Trustroot, "256 root rotations", |tuf, _| {
        for _ in 0..257 {
            tuf.rotate();
        }
    });
}

#[test]
fn metadata_by_strangers_is_refused() {
    for role in ["timestamp", "snapshot", "targets"] {
        refused(
            Class::Trustroot,
            &format!("signature threshold not met for role {role}"),
            |tuf, evil| {
                let keys = match role {
                    "timestamp" => &mut tuf.timestamp.keys,
                    "snapshot" => &mut tuf.snapshot.keys,
                    _ => &mut tuf.targets.keys,
                };
                *keys = vec![Key::p256()];
                tuf.update(evil);
            },
        );
    }
}

#[test]
fn a_target_that_is_not_the_one_that_was_signed_is_refused() {
    refused(Class::Trustroot, "", |tuf, evil| {
        tuf.update(evil);
        let name = tuf
            .files
            .lock()
            .unwrap()
            .keys()
            .find(|name| name.contains(&testkit::digest(&tuf.target)[7..]))
            .unwrap()
            .clone();
        let mut other = tuf.target.clone();
        let last = other.len() - 2;
        other[last] ^= 1;
        tuf.put(&name, other);
    });
    refused(Class::Limit, "more than", |tuf, evil| {
        tuf.claimed = Some(
            json!({"length": 10, "hashes": {"sha256": testkit::digest(evil.to_string().as_bytes())[7..]}}),
        );
        tuf.update(evil);
    });
    refused(Class::Trustroot, "exceeds configured max", |tuf, evil| {
        tuf.claimed = Some(
            json!({"length": 1_u64 << 40, "hashes": {"sha256": testkit::digest(evil.to_string().as_bytes())[7..]}}),
        );
        tuf.update(evil);
    });
}

#[test]
fn what_is_signed_and_no_trusted_root_is_refused() {
    refused(Class::Trustroot, "media type", |tuf, _| {
        tuf.update(&json!({"mediaType": "text/plain"}))
    });
    refused(Class::Trustroot, "", |tuf, evil| {
        let mut root = evil.clone();
        root["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] =
            json!("AAAA");
        tuf.update(&root);
    });
}

#[test]
fn names_that_lead_elsewhere_are_never_asked_for() {
    for hash in ["../../evil", "/evil", "//evil.example/x", "a/../../b", "a\0b", "%2e%2e/x", "a?x"]
    {
        refused(Class::Malformed, "names a file", |tuf, evil| {
            tuf.claimed =
                Some(json!({"length": evil.to_string().len(), "hashes": {"sha256": hash}}));
            tuf.update(evil);
        });
    }
}

#[test]
fn a_portal_that_answers_in_the_mirror_s_place_is_recognised() {
    refused(Class::Trustroot, "a firewall or portal", |tuf, _| {
        tuf.put("timestamp.json", "<!DOCTYPE html><html>log in</html>")
    });
    refused(Class::Trustroot, "a firewall or portal", |tuf, _| {
        tuf.put("2.root.json", "<!DOCTYPE html><html>log in</html>")
    });
}

#[test]
fn metadata_without_end_is_cut_off() {
    let endless = |files: &Shared, request: &Request| {
        let spoilt = files.lock().unwrap().contains_key("spoilt");
        if spoilt && request.path() == "/timestamp.json" {
            Answer::new(200).endless(" ".repeat(4096))
        } else {
            answer(files, request)
        }
    };
    refused_by(Class::Limit, "more than", endless, |tuf, _| tuf.put("spoilt", ""));
}

#[test]
fn a_mirror_that_sends_us_to_plain_http_or_home_is_not_followed() {
    for target in [
        "http://127.0.0.1:1/timestamp.json",
        "http://mirror.example/timestamp.json",
        "https://127.0.0.1:1/timestamp.json",
    ] {
        let redirecting = move |files: &Shared, request: &Request| {
            let spoilt = files.lock().unwrap().contains_key("spoilt");
            if spoilt && request.path() == "/timestamp.json" {
                Answer::redirect(302, target)
            } else {
                answer(files, request)
            }
        };
        refused_by(Class::Net, "", redirecting, |tuf, _| tuf.put("spoilt", ""));
    }
}

#[test]
fn a_mirror_that_breaks_off_anywhere_leaves_nothing_behind() {
    for name in [
        "/2.root.json",
        "/timestamp.json",
        "/3.snapshot.json",
        "/3.targets.json",
        "trusted_root.json",
    ] {
        let breaking = move |files: &Shared, request: &Request| {
            let spoilt = files.lock().unwrap().contains_key("spoilt");
            if spoilt && request.path().ends_with(name) {
                Answer::reset()
            } else {
                answer(files, request)
            }
        };
        refused_by(
            Class::Net,
            "a firewall, a proxy or DNS is in the way",
            breaking,
            |tuf, evil| {
                tuf.update(evil);
                tuf.put("spoilt", "");
            },
        );
    }
}

#[test]
fn no_credentials_go_to_a_mirror() {
    let sigstore = Sigstore::new();
    let world = World::new(&sigstore);
    assert!(knows(&world.roots(), &sigstore));
    for request in world.server.requests() {
        for header in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(request.header(header), None);
        }
    }
}

#[test]
fn another_first_root_is_another_repository() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    assert!(knows(&world.roots(), &sigstore));
    // The same address with a root of someone else: what is kept of the first does not count, nor
    // what the mirror serves.
    world.tuf.first = Tuf::new(&sigstore.trusted_root()).first;
    world.offline = true;
    assert!(load(&world.roots()).get(None).is_err());
    world.offline = false;
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert!(
        failure.text().contains("another first root than the pinned one"),
        "{}",
        failure.text()
    );
}

#[test]
fn a_pinned_root_that_did_not_sign_itself_is_none() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    let signed: Value = serde_json::from_slice(&world.tuf.first).unwrap();
    for bytes in [
        envelope(signed["signed"].clone(), &[&Key::p256()]),
        b"{}".to_vec(),
        b"x".to_vec(),
        Vec::new(),
    ] {
        world.tuf.first = bytes;
        assert!(load(&world.roots()).get(None).is_err());
    }
    assert!(world.kept().values().all(Vec::is_empty), "nothing but a lock is left");
}

#[test]
fn many_roots_in_a_row_are_followed_and_proven_again() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    for _ in 0..5 {
        world.tuf.rotate();
    }
    world.tuf.publish();
    assert!(knows(&world.roots(), &sigstore));
    world.offline = true;
    assert!(knows(&world.roots(), &sigstore), "from what is kept");
}
