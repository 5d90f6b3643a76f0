//! The log: asked where nothing says when a file was signed, believed in nothing, and printed as
//! rekor-cli prints it.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::trust::TrustedRoot;
use luet_cosign::wire::LogAnswer;
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::sigstore::{Content, Entry, Kind};

const FILES: &str = "--certificate f.pem --signature f.sig f";

/// A world whose log answers by this function, which gets the good answer.
fn lying(change: impl Fn(&mut Value) + Send + Sync + 'static) -> World {
    let mut world = World::new();
    world.signed();
    let sigstore = Arc::clone(&world.sigstore);
    world.log = Server::start(move |request| {
        let (status, mut document) =
            sigstore.rekor1.answer(&request.method, &request.target, &request.body);
        change(&mut document);
        Answer::new(status).json(&document.to_string())
    });
    world.plugin.set("COSIGN_REKOR_URL", &url(&world.log, ""));
    world
}

/// The fields of the first entry of an answer.
fn entry(document: &mut Value) -> &mut Value {
    document[0].as_object_mut().unwrap().values_mut().next().unwrap()
}

#[test]
fn the_log_is_asked_once_and_what_it_said_is_kept_and_checked_again() {
    let world = World::new();
    let signature = world.signed();
    let said = world.verify_dev(FILES);
    said.assert_ok();
    let logged = signature.entry.as_ref().unwrap();
    assert!(
        said.stderr.contains(&format!(
            "tlog entry verified with uuid: {} index: {}\n",
            &logged.uuid()[16..],
            logged.index
        )),
        "{said:?}"
    );
    assert_eq!(world.log.requests()[0].target, "/api/v1/log/entries/retrieve");
    world.verify_dev(FILES).assert_ok();
    world.verify_dev(&format!("--offline {FILES}")).assert_ok();
    assert_eq!(world.asked(), 1, "it is kept");
    // What is kept is not trusted: spoilt, it is asked for again, and offline it is nothing.
    let kept = world.plugin.path("state/luet-cosign/log").join(&logged.uuid()[16..]);
    let good = std::fs::read_to_string(&kept).unwrap();
    assert!(good.contains("\"logIndex\":1"), "{good}");
    for spoilt in [good.replace("\"logIndex\":1", "\"logIndex\":2"), "x".to_owned(), String::new()]
    {
        std::fs::write(&kept, spoilt).unwrap();
        world.verify_dev(&format!("--offline {FILES}")).assert_refused("time");
    }
    world.verify_dev(FILES).assert_ok();
    world.verify_dev(&format!("--offline {FILES}")).assert_ok();
    assert_eq!(world.asked(), 2);
}

#[test]
fn off_line_nobody_knows_when_it_was_signed() {
    let mut world = World::new();
    world.signed();
    world.verify_dev(&format!("--offline {FILES}")).assert_refused("time");
    world.plugin.set("LUET_COSIGN_OFFLINE", "1");
    let said = world.verify_dev(FILES);
    said.assert_refused("time");
    assert!(
        said.stderr.contains("LUET_COSIGN_OFFLINE") && said.stderr.contains("--bundle"),
        "{said:?}"
    );
    assert_eq!(world.asked(), 0);
}

#[test]
fn what_was_never_logged_is_tlog_and_a_log_that_is_away_is_net() {
    let world = World::new();
    world.write("f", &world.sigstore.sign().without_log().blob(FILE));
    world.verify_dev(FILES).assert_refused("tlog");
    let said = world.verify_dev(&format!("--rekor-url http://127.0.0.1:9 {FILES}"));
    said.assert_refused("net");
    assert_eq!(said.code, 20);
    world.verify_dev(&format!("--rekor-url http://rekor.example {FILES}")).assert_refused("usage");
}

#[test]
fn a_log_that_stumbles_is_asked_again() {
    let mut world = World::new();
    world.signed();
    let (sigstore, count) = (Arc::clone(&world.sigstore), AtomicUsize::new(0));
    world.log = Server::start(move |request| {
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            return Answer::new(503);
        }
        let (status, document) =
            sigstore.rekor1.answer(&request.method, &request.target, &request.body);
        Answer::new(status).json(&document.to_string())
    });
    world.plugin.set("COSIGN_REKOR_URL", &url(&world.log, ""));
    world.verify_dev(FILES).assert_ok();
    assert_eq!(world.asked(), 3);
}

#[test]
fn the_log_is_believed_in_nothing() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change, &str); 8] = [
        ("no entry", |document| *document = Value::Array(Vec::new()), "tlog"),
        (
            "no promise",
            |document| entry(document)["verification"]["signedEntryTimestamp"] = "".into(),
            "tlog",
        ),
        (
            "another time",
            |document| entry(document)["integratedTime"] = 1_600_000_000.into(),
            "tlog",
        ),
        ("another position", |document| entry(document)["logIndex"] = 7.into(), "tlog"),
        (
            "another tree",
            |document| entry(document)["verification"]["inclusionProof"]["treeSize"] = 99.into(),
            "tlog",
        ),
        (
            "another head",
            |document| entry(document)["verification"]["inclusionProof"]["checkpoint"] = "x".into(),
            "tlog",
        ),
        ("no document", |document| *document = Value::Null, "tlog"),
        (
            "another body",
            |document| {
                let other =
                    STANDARD.encode(r#"{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{}}"#);
                entry(document)["body"] = other.into();
            },
            "tlog",
        ),
    ];
    for (what, change, class) in changes {
        let said = lying(change).verify_dev(FILES);
        assert_eq!(said.class(), class, "{what}: {said:?}");
    }
    // An entry of someone else in front of the right one is passed over; a promise is enough where
    // there is no proof.
    let stranger = Mutex::new(None);
    let world = lying(move |document| {
        let mut first = document[0].clone();
        let fields = first.as_object_mut().unwrap().values_mut().next().unwrap();
        fields["body"] = STANDARD.encode("{}").into();
        *stranger.lock().unwrap() = Some(first.clone());
        document.as_array_mut().unwrap().insert(0, first);
    });
    world.verify_dev(FILES).assert_ok();
    lying(|document| entry(document)["verification"]["inclusionProof"] = Value::Null)
        .verify_dev(FILES)
        .assert_ok();
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let mut world = World::new();
    world.signed();
    world.log = Server::start(|_| Answer::new(200).json("[").endless(" ".repeat(10_000)));
    world.plugin.set("COSIGN_REKOR_URL", &url(&world.log, ""));
    world.verify_dev(FILES).assert_refused("limit");
}

#[test]
fn tlog_get_prints_what_rekor_cli_prints() {
    let world = World::new();
    let signature = world.signed();
    let logged = signature.entry.unwrap();
    let (uuid, index) = (logged.uuid(), logged.index.to_string());
    let body = json_of(std::str::from_utf8(&logged.body).unwrap());
    let pretty =
        serde_json::to_string_pretty(&serde_json::json!({"HashedRekordObj": body["spec"]}))
            .unwrap();
    let (log, time) = (testkit::sigstore::hex(&logged.log), logged.integrated.unwrap());
    let expected = format!(
        "LogID: {log}\nIndex: {index}\nIntegratedTime: {time}\nUUID: {uuid}\nBody: {pretty}\n\n"
    );
    for name in [["--uuid", &uuid], ["--uuid", &uuid[16..]], ["--log-index", &index]] {
        let said = world.run(&["tlog", "get", name[0], name[1]]);
        assert_eq!(
            (said.code, said.stdout.as_str(), said.stderr.as_str()),
            (0, expected.as_str(), ""),
            "{name:?}"
        );
    }
    let document = json_of(&world.run(&["tlog", "get", "--json", "--log-index", &index]).stdout);
    assert_eq!(
        (document["log_index"].as_u64(), document["uuid"].as_str()),
        (Some(logged.index), Some(uuid.as_str()))
    );
    world.run(&["tlog", "get", "--log-index", "999999"]).assert_refused("not-found");
    world.run(&["tlog", "get", "--uuid", "x"]).assert_refused("usage");
    assert_eq!(world.run(&["tlog", "get"]).code, 2);
}

#[test]
fn tlog_get_prints_nothing_that_the_log_does_not_prove() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("position", |entry| entry["logIndex"] = 7.into()),
        ("time", |entry| entry["integratedTime"] = 1_600_000_000.into()),
        ("promise", |entry| entry["verification"]["signedEntryTimestamp"] = "AAAA".into()),
        ("proof", |entry| entry["verification"]["inclusionProof"] = Value::Null),
        ("hash", |entry| {
            entry["verification"]["inclusionProof"]["rootHash"] = "0".repeat(64).into()
        }),
        ("head", |entry| {
            let head = entry["verification"]["inclusionProof"]["checkpoint"]
                .as_str()
                .unwrap()
                .replacen("rekor1", "rekor3", 1);
            entry["verification"]["inclusionProof"]["checkpoint"] = head.into();
        }),
    ];
    for (what, change) in changes {
        let world = lying(move |document| {
            change(document.as_object_mut().unwrap().values_mut().next().unwrap())
        });
        let entries = world.sigstore.rekor1.entries();
        let said = world.run(&["tlog", "get", "--uuid", &entries.last().unwrap().uuid()]);
        said.assert_refused("tlog");
        assert_eq!(said.stdout, "", "{what}");
    }
    let other = World::new();
    let mut world = World::new();
    world.signed();
    let uuid = world.sigstore.rekor1.entries().last().unwrap().uuid();
    world
        .plugin
        .set("COSIGN_TRUSTED_ROOT", other.plugin.path("trusted_root.json").to_str().unwrap());
    world.run(&["tlog", "get", "--uuid", &uuid]).assert_refused("tlog");
}

/// The log signed the head: of another tree it says nothing about this entry.
#[test]
fn the_head_is_of_the_tree_of_the_proof() {
    let sigstore = Sigstore::new();
    let root =
        TrustedRoot::parse(sigstore.trusted_root().to_string().as_bytes(), "of the test").unwrap();
    let check = |entry: &Entry| {
        let answers = LogAnswer::parse_all(entry.answer().to_string().as_bytes()).unwrap();
        root.check_answer(&answers[0]).map(|_| ()).map_err(|rejected| rejected.failure.message())
    };
    let mut entry = sigstore.sign().blob(FILE).entry.unwrap();
    assert_eq!(check(&entry), Ok(()));
    let proof = entry.proof.clone().unwrap();
    for (size, root) in [(proof.size + 1, proof.root), (proof.size, [7; 32])] {
        entry.proof.as_mut().unwrap().checkpoint = sigstore.rekor1.checkpoint(size, &root);
        assert_eq!(check(&entry), Err("a checkpoint of another tree than the proof".to_owned()));
    }
}

/// What the log keeps beside an entry, it did not sign: it is shown where it is what the entry is
/// about, and steers no terminal.
#[test]
fn an_attestation_is_shown_where_the_entry_is_about_it() {
    let shown = |payload: &str, kept: &str| {
        let attestation = json!({"data": STANDARD.encode(kept)});
        let world = lying(move |document| {
            document.as_object_mut().unwrap().values_mut().next().unwrap()["attestation"] =
                attestation.clone()
        });
        let content = Content::Envelope {
            payload_type: "application/vnd.in-toto+json".to_owned(),
            payload: payload.into(),
        };
        let entry = world.sigstore.sign().entry(Kind::Intoto).content(content).entry.unwrap();
        let said = world.run(&["tlog", "get", "--uuid", &entry.uuid()]);
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout
            .split_once("Attestation: ")
            .map(|(_, rest)| rest.split_once("\nIndex: ").unwrap().0.to_owned())
    };
    let statement = "{\n\t\"a\": 1\n}";
    assert_eq!(shown(statement, statement).as_deref(), Some(statement));
    assert_eq!(shown(statement, "{}"), None, "something else");
    assert_eq!(shown("\u{1b}[2K", "\u{1b}[2K"), None, "what clears the line");
    assert_eq!(shown("{}", ""), None, "nothing");
}
