//! Which root is in force, and when it is made newer.

use super::*;
use luet_cosign::class::Class;
use luet_cosign::sigstore::EMBEDDED;
use sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

/// Who updates the crate updates the date: what was fetched between the two would else be taken for
/// newer.
#[test]
fn the_embedded_root_is_the_one_of_its_date() {
    let digest = testkit::digest(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes());
    assert_eq!(digest, "sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66");
    assert_eq!(EMBEDDED.to_string(), "2026-10-23T00:00:00Z");
}

/// Settings of a machine that nobody configured.
fn public(world: &World) -> Settings {
    Settings {
        default: RootSource::Repository { mirror: Ok(None), pieces: Ok(Pieces::default()) },
        ..world.settings()
    }
}

#[test]
fn off_line_with_an_empty_home_the_embedded_root_is_in_force() {
    let world = World { offline: true, ..World::new(&Sigstore::new()) };
    let roots = ProcessRoots::new(public(&world));
    assert!(
        load(&roots)
            .get(None)
            .unwrap()
            .name()
            .contains("that came with this program (of 2026-10-23)")
    );
    assert!(matches!(refresh(&roots), Refreshed::Failed(_)));
    assert!(world.kept().is_empty(), "reading makes nothing");
    assert!(!world.state.path().join("luet-cosign").exists());
}

#[test]
fn an_unknown_authority_is_asked_for_once_and_then_known_to_all() {
    let (old, new) = (Sigstore::new(), Sigstore::new());
    let mut world = World::new(&old);
    assert!(knows(&world.roots(), &old), "the first use fetches it");
    world.tuf.update(&new.trusted_root());
    world.later();
    let before = world.asked();
    let roots = world.roots();
    assert!(!knows(&roots, &new));
    assert_eq!(world.asked(), before, "a warm cache asks nothing");
    assert!(matches!(refresh(&roots), Refreshed::Newer));
    assert!(knows(&roots, &new) && !knows(&roots, &old), "the newest root alone counts");
    let after = world.asked();
    assert!(matches!(refresh(&roots), Refreshed::Newer));
    let next = world.roots();
    assert!(knows(&next, &new));
    assert_eq!(world.asked(), after, "one process asks once, and the next not at all");
    assert!(load(&next).get(None).unwrap().name().ends_with(" today"));
}

#[test]
fn nothing_is_asked_off_line() {
    let old = Sigstore::new();
    let mut world = World::new(&old);
    assert!(knows(&world.roots(), &old));
    let before = world.asked();
    world.later();
    world.offline = true;
    let roots = world.roots();
    assert!(knows(&roots, &old));
    let Refreshed::Failed(failure) = refresh(&roots) else { panic!("offline") };
    assert!(failure.message().contains("LUET_COSIGN_OFFLINE"), "{}", failure.text());
    assert_eq!(world.asked(), before);
}

#[test]
fn off_line_a_repository_of_which_nothing_is_kept_is_no_root() {
    let world = World { offline: true, ..World::new(&Sigstore::new()) };
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert_eq!(failure.class(), Class::Trustroot);
    assert!(
        failure.the_hint().contains("without LUET_COSIGN_OFFLINE and --offline"),
        "{}",
        failure.text()
    );
    assert_eq!(world.asked(), 0);
    assert!(world.roots().describe().is_err());
}

#[test]
fn what_was_fetched_long_ago_is_in_force_and_its_age_is_told() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    world.tuf.timestamp.expires = (world.now + SignedDuration::from_hours(24 * 7)).to_string();
    world.tuf.publish();
    assert!(knows(&world.roots(), &sigstore));
    world.now += SignedDuration::from_hours(24 * 400);
    let roots = world.roots();
    assert!(knows(&roots, &sigstore), "that the metadata expired limits the fetching, not the use");
    assert!(load(&roots).get(None).unwrap().name().ends_with("400 days ago"));
    let Refreshed::Failed(failure) = refresh(&roots) else { panic!("the mirror is out of date") };
    assert_eq!(failure.class(), Class::Trustroot);
    assert!(failure.the_hint().contains("the clock of this machine says"), "{}", failure.text());
    let told = roots.explain(
        &Refreshed::Failed(failure),
        luet_cosign::class::Failure::new(Class::Identity, "unknown"),
    );
    assert!(told.text().contains("400 days ago"), "{}", told.text());
    assert_eq!(told.class(), Class::Identity, "the verdict stays what it was");
}

#[test]
fn a_clock_before_the_program_asks_nothing_and_says_why() {
    let mut world = World::new(&Sigstore::new());
    world.now = Timestamp::UNIX_EPOCH;
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert_eq!(failure.class(), Class::Trustroot);
    assert!(
        failure.text().contains("says 1970-01-01, which is before this program was made"),
        "{}",
        failure.text()
    );
    assert_eq!(failure.the_hint(), "set the clock of this machine");
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_clock_far_ahead_finds_everything_expired_and_says_so() {
    let mut world = World::new(&Sigstore::new());
    world.tuf.timestamp.expires = (world.now + SignedDuration::from_hours(24 * 7)).to_string();
    world.tuf.publish();
    world.now = "2100-01-01T00:00:00Z".parse().unwrap();
    let failure = load(&world.roots()).get(None).unwrap_err();
    assert_eq!(failure.class(), Class::Trustroot);
    assert!(
        failure.the_hint().contains("the clock of this machine says 2100-01-01"),
        "{}",
        failure.text()
    );
}

#[test]
fn a_mirror_that_is_down_leaves_the_verdict_and_is_asked_once_a_minute() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    assert!(knows(&world.roots(), &sigstore));
    let kept = world.kept();
    world.server = Server::start(|_| Answer::new(503));
    let mirror = TufMirror { url: world.url(), root: world.tuf.first.clone() };
    // The same repository, at an address where nothing answers: what is kept is that of the first.
    let first = world.file();
    let settings = Settings {
        default: RootSource::Repository { mirror: Ok(Some(mirror)), pieces: Ok(Pieces::default()) },
        ..world.settings()
    };
    let failure = load(&ProcessRoots::new(settings.clone())).get(None).unwrap_err();
    assert!(
        failure.the_hint().contains("a firewall, a proxy or DNS is in the way"),
        "{}",
        failure.text()
    );
    let asked = world.asked();
    let again = load(&ProcessRoots::new(settings)).get(None).unwrap_err();
    assert_eq!(
        (world.asked(), again.text()),
        (asked, failure.text()),
        "the next process is told the same, and asks nothing"
    );
    assert_eq!(kept[&first], std::fs::read(&first).unwrap());
}

#[test]
fn a_folder_that_cannot_be_written_costs_requests_and_nothing_else() {
    let sigstore = Sigstore::new();
    let world = World::new(&sigstore);
    std::fs::write(world.state.path().join("luet-cosign"), "in the way").unwrap();
    let roots = world.roots();
    assert!(knows(&roots, &sigstore));
    assert!(
        roots.warnings().iter().any(|warning| warning.contains("cannot be kept")),
        "{:?}",
        roots.warnings()
    );
}

#[test]
fn a_spoilt_cache_is_never_believed() {
    let (sigstore, evil) = (Sigstore::new(), Sigstore::new());
    let world = World::new(&sigstore);
    assert!(knows(&world.roots(), &sigstore));
    let file = world.file();
    let good = std::fs::read(&file).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let mut swapped: serde_json::Value = serde_json::from_str(&text).unwrap();
    swapped["files"]["targets/trusted_root.json"] = json!(evil.trusted_root().to_string());
    let mut dropped: serde_json::Value = serde_json::from_str(&text).unwrap();
    dropped["files"].as_object_mut().unwrap().remove("timestamp.json");
    let mut dated: serde_json::Value = serde_json::from_str(&text).unwrap();
    dated["fetched"] = json!("3500-01-01T00:00:00Z");
    let mut version: serde_json::Value = serde_json::from_str(&text).unwrap();
    version["version"] = json!(2);
    let half = good[..good.len() / 2].to_vec();
    let spoilt = [swapped, dropped, dated, version].map(|value| value.to_string().into_bytes());
    for bytes in spoilt.into_iter().chain([half, Vec::new(), b"null".to_vec(), vec![0xff; 64]]) {
        std::fs::write(&file, &bytes).unwrap();
        let offline = Settings { offline: true, ..world.settings() };
        let roots = ProcessRoots::new(offline);
        assert!(load(&roots).get(None).is_err(), "{}", String::from_utf8_lossy(&bytes));
        assert!(roots.warnings()[0].contains("is not used"), "{:?}", roots.warnings());
    }
}

/// What is kept of the public repository is held against the root that came with the program:
/// nobody here can sign for that, so whatever is there is passed over, and the embedded root is
/// in force.
#[test]
fn a_spoilt_cache_of_the_public_repository_leaves_the_embedded_root() {
    let sigstore = Sigstore::new();
    let mut world = World::new(&sigstore);
    assert!(knows(&world.roots(), &sigstore));
    let bytes = std::fs::read(world.file()).unwrap();
    world.offline = true;
    let id = {
        let public = sigstore::trust_root::SigstoreInstance::PublicGood;
        let root = testkit::digest(public.tuf_root());
        testkit::digest(format!("{}\n{root}", public.tuf_url()).as_bytes()).replace("sha256:", "")
    };
    std::fs::write(world.file().parent().unwrap().join(format!("tuf-{id}")), bytes).unwrap();
    let roots = ProcessRoots::new(public(&world));
    assert!(load(&roots).get(None).unwrap().name().contains("came with this program"));
    assert_eq!(roots.warnings().len(), 1, "{:?}", roots.warnings());
}

#[test]
fn a_document_of_the_user_s_is_never_made_newer() {
    let sigstore = Sigstore::new();
    let world = World::new(&sigstore);
    let document = RootSource::Document {
        name: "x.json".to_owned(),
        bytes: Ok(sigstore.trusted_root().to_string().into_bytes()),
    };
    let named = BTreeMap::from([("other".to_owned(), document.clone())]);
    let roots = ProcessRoots::new(Settings { default: document, named, ..world.settings() });
    assert!(knows(&roots, &sigstore));
    assert!(matches!(refresh(&roots), Refreshed::Fixed));
    let name = "other".to_owned();
    assert!(run(roots.load([Some(&name)])).get(Some(&name)).is_ok());
    // A root of a name says nothing of the default one, which nobody needed.
    let only_named = ProcessRoots::new(Settings {
        named: BTreeMap::from([(
            name.clone(),
            RootSource::Document {
                name: "x".to_owned(),
                bytes: Ok(sigstore.trusted_root().to_string().into_bytes()),
            },
        )]),
        ..world.settings()
    });
    assert!(run(only_named.load([Some(&name)])).get(Some(&name)).is_ok());
    assert!(matches!(refresh(&only_named), Refreshed::Fixed));
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_repository_that_python_tuf_made_is_read() {
    let folder = testkit::vectors::folder().join("tuf");
    let mut world = World::new(&Sigstore::new());
    world.tuf.files.lock().unwrap().clear();
    for sub in ["", "targets/"] {
        for entry in std::fs::read_dir(folder.join(sub))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_file())
        {
            world.tuf.put(
                &format!("{sub}{}", entry.file_name().to_str().unwrap()),
                std::fs::read(entry.path()).unwrap(),
            );
        }
    }
    world.tuf.first = std::fs::read(folder.join("1.root.json")).unwrap();
    assert!(load(&world.roots()).get(None).is_ok());
    world.offline = true;
    assert!(load(&world.roots()).get(None).is_ok(), "and read again from what is kept");
}
