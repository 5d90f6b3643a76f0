//! The real binary, against a mirror and a registry in this process: who asks the mirror, and how
//! often.

use super::*;
use testkit::{Plugin, Reply, TestRegistry};

const REPO: &str = "acme/packages";

/// A machine with its plugin, an image, and the mirror of the root that its signer is under.
struct Machine {
    world: World,
    registry: TestRegistry,
    plugin: Plugin,
}

impl Machine {
    /// The image is signed under `signer`; the mirror publishes `published`.
    fn new(signer: &Sigstore, published: &Sigstore) -> Self {
        Self::answering(signer, published, answer)
    }

    fn answering(
        signer: &Sigstore,
        published: &Sigstore,
        answer: impl Fn(&Shared, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let world = World::answering(published, answer);
        let registry = TestRegistry::start();
        let image = registry.push_image(REPO, "1", &[&testkit::layer(&[])]);
        let signature = signer.sign().legacy(&image.digest);
        let layer = testkit::Signature {
            payload: signature.payload().to_vec(),
            annotations: signature.annotations().into_iter().collect(),
        };
        registry.push_signatures(REPO, &image.digest, &[layer]);
        let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        let root = plugin.write("root.json", &world.tuf.first).display().to_string();
        let plugin = plugin
            .env("COSIGN_EXPERIMENTAL", "1")
            .env("COSIGN_CERTIFICATE_IDENTITY", "dev@example.com")
            .env("COSIGN_CERTIFICATE_OIDC_ISSUER", "https://issuer.example")
            .env("TUF_MIRROR", &world.url())
            .env("TUF_ROOT_JSON", &root);
        Self { world, registry, plugin }
    }

    fn check(&self) -> Reply {
        let dest = tempfile::tempdir_in(self.plugin.path("tmp")).unwrap();
        self.plugin.pre_unpack(&self.registry.name(&format!("{REPO}:1")), dest.path())
    }

    /// Forgets when the mirror was asked, as after a minute.
    fn later(&self) {
        for entry in std::fs::read_dir(self.folder()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_str().unwrap().starts_with("asked-") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.plugin.path("state/luet-cosign/roots")
    }

    fn asked(&self) -> usize {
        self.world.asked()
    }

    /// How often someone began to ask: everybody begins with the next root, and asks for the
    /// timestamp once.
    fn times_asked(&self) -> usize {
        self.world
            .server
            .requests()
            .iter()
            .filter(|request| request.path() == "/timestamp.json")
            .count()
    }
}

#[test]
fn a_key_that_is_not_known_yet_costs_one_refresh_and_then_none() {
    let (old, new) = (Sigstore::new(), Sigstore::new());
    let mut machine = Machine::new(&new, &old);
    let refused = machine.check();
    refused.assert_refused("tlog");
    assert!(refused.error.contains("there is no newer one"), "{}", refused.error);
    machine.world.tuf.update(&new.trusted_root());
    machine.later();
    let before = machine.times_asked();
    machine.check().assert_silent_success();
    assert_eq!(machine.times_asked(), before + 1);
    let after = machine.asked();
    machine.check().assert_silent_success();
    assert_eq!(machine.asked(), after, "warm: not one request more");
}

#[test]
fn off_line_nothing_is_asked_and_what_is_kept_counts() {
    let (signer, other) = (Sigstore::new(), Sigstore::new());
    let mut machine = Machine::new(&signer, &signer);
    machine.check().assert_silent_success();
    let after = machine.asked();
    machine.plugin.set("LUET_COSIGN_OFFLINE", "1");
    machine.check().assert_silent_success();
    assert_eq!(machine.asked(), after);

    let mut machine = Machine::new(&other, &signer);
    machine.plugin.set("LUET_COSIGN_OFFLINE", "1");
    machine.check().assert_refused("trustroot");
    assert_eq!(machine.asked(), 0);
}

#[test]
fn sixty_four_processes_ask_once() {
    let (old, new) = (Sigstore::new(), Sigstore::new());
    let mut machine = Machine::new(&new, &old);
    machine.check().assert_refused("tlog");
    machine.world.tuf.update(&new.trusted_root());
    machine.later();
    let before = machine.times_asked();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(|| machine.check())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    replies.iter().for_each(Reply::assert_silent_success);
    assert_eq!(machine.times_asked(), before + 1);
    let names: Vec<String> = std::fs::read_dir(machine.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "the file, its lock and the note: {names:?}");
    machine.check().assert_silent_success();
}

#[test]
fn sixty_four_processes_are_told_once_that_the_mirror_is_down() {
    let signer = Sigstore::new();
    let machine = Machine::answering(&signer, &signer, |_, _| Answer::new(404));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(|| machine.check())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    replies.iter().for_each(|reply| reply.assert_refused("trustroot"));
    assert_eq!(machine.times_asked(), 1);
}

#[test]
fn a_process_that_is_killed_while_it_asks_leaves_nothing_half_done() {
    for name in [
        "/2.root.json",
        "/timestamp.json",
        "/1.snapshot.json",
        "/1.targets.json",
        "trusted_root.json",
    ] {
        let signer = Sigstore::new();
        let gate = testkit::Gate::default();
        let held = gate.clone();
        let machine = Machine::answering(&signer, &signer, move |files, request| {
            let answer = answer(files, request);
            if request.path().ends_with(name) { answer.hold(&held) } else { answer }
        });
        let dest = machine.plugin.dest("killed");
        let event = testkit::envelope(
            "image.pre.unpack",
            &json!({"Image": machine.registry.name(&format!("{REPO}:1")), "Dest": dest}),
        );
        let mut child = machine
            .plugin
            .raw()
            .args(["image.pre.unpack", &event])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let since = std::time::Instant::now();
        while !machine.world.server.requests().iter().any(|request| request.path().ends_with(name))
        {
            assert!(since.elapsed() < Duration::from_secs(20), "{name} was not asked for");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        gate.open();
        machine.check().assert_silent_success();
    }
}

#[test]
fn a_policy_file_makes_the_mirror_inert_but_not_off_line() {
    let signer = Sigstore::new();
    let machine = Machine::new(&signer, &signer);
    let root = machine
        .plugin
        .write("trusted_root.json", signer.trusted_root().to_string())
        .display()
        .to_string();
    let policy = |network: &str| {
        format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners:\n  dev: {{keyless: {{issuer: \"https://issuer.example\", subject: dev@example.com}}}}\n\
             {network}repositories:\n  - {{name: all, scope: \"*\", trust: [dev]}}\n"
        )
    };
    let with =
        |network: &str| machine.plugin.write("policy.yaml", policy(network)).display().to_string();
    let path = with(&format!("network: {{trusted_root: {root}}}\n"));
    let check = |offline: &str| {
        let dest = tempfile::tempdir_in(machine.plugin.path("tmp")).unwrap();
        let event = testkit::envelope(
            "image.pre.unpack",
            &json!({"Image": machine.registry.name(&format!("{REPO}:1")), "Dest": dest.path()}),
        );
        let mut command = machine.plugin.raw();
        command
            .env("LUET_COSIGN_POLICY", &path)
            .env("LUET_COSIGN_OFFLINE", offline)
            .args(["image.pre.unpack", &event]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let named = check("");
    assert!(named.contains(r#""error":"""#), "{named}");
    with("");
    let public = check("1");
    assert!(
        public.contains("that came with this program") && public.contains("LUET_COSIGN_OFFLINE"),
        "{public}"
    );
    assert_eq!(machine.asked(), 0);
}

#[test]
fn a_mirror_that_cannot_be_reached_says_what_may_be_in_the_way() {
    let (signer, published) = (Sigstore::new(), Sigstore::new());
    let machine = Machine::answering(&signer, &published, |files, request| {
        let down = files.lock().unwrap().contains_key("down");
        if down { Answer::reset() } else { answer(files, request) }
    });
    machine.check().assert_refused("tlog");
    machine.later();
    // The same address, where now nobody answers.
    machine.world.tuf.files.lock().unwrap().insert("down".to_owned(), Vec::new());
    let reply = machine.check();
    reply.assert_refused("tlog");
    assert!(
        reply.error.contains("fetched from")
            && reply.error.contains("could not be made newer: net: "),
        "{}",
        reply.error
    );
    assert!(reply.error.contains("a firewall, a proxy or DNS is in the way"), "{}", reply.error);
}

#[test]
fn half_of_the_two_variables_is_an_error() {
    let signer = Sigstore::new();
    for (unset, left) in [("TUF_ROOT_JSON", "TUF_MIRROR"), ("TUF_MIRROR", "TUF_ROOT_JSON")] {
        let mut machine = Machine::new(&signer, &signer);
        machine.plugin.unset(unset);
        let reply = machine.check();
        reply.assert_refused("trustroot");
        assert!(
            reply.error.contains(&format!("{left} is set, and {unset} is not")),
            "{}",
            reply.error
        );
    }
    let mut machine = Machine::new(&signer, &signer);
    machine.plugin.set("TUF_MIRROR", "http://mirror.example/");
    let reply = machine.check();
    reply.assert_refused("trustroot");
    assert!(
        reply.error.contains("plain http, which is accepted on loopback only"),
        "{}",
        reply.error
    );
}

#[test]
fn a_value_that_cannot_be_used_is_told_of_its_variable() {
    let signer = Sigstore::new();
    for (variable, value) in [
        ("TUF_MIRROR", "not a url"),
        ("TUF_MIRROR", "ftp://mirror.example/"),
        ("TUF_ROOT_JSON", "missing.json"),
        ("SIGSTORE_ROOT_FILE", "missing.pem"),
    ] {
        let mut machine = Machine::new(&signer, &signer);
        machine.plugin.set(variable, value);
        let doctor = String::from_utf8(machine.plugin.run(["doctor"]).stdout).unwrap();
        assert!(doctor.contains(&format!("trustroot: {variable}: ")), "{doctor}");
        assert!(doctor.contains(&format!("-> check {variable}\n")), "{doctor}");
    }
}

#[test]
fn a_spoilt_cache_is_fetched_again_with_a_warning() {
    let signer = Sigstore::new();
    let machine = Machine::new(&signer, &signer);
    machine.check().assert_silent_success();
    let kept = std::fs::read_dir(machine.folder()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept
        .filter(|path| path.extension().is_none())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("tuf-"));
    std::fs::write(kept.unwrap(), "half a").unwrap();
    machine.later();
    let reply = machine.check();
    assert_eq!(reply.error, "");
    assert!(
        reply.state.starts_with("warning: what was fetched of `http://127.0.0.1:"),
        "{}",
        reply.state
    );
    machine.check().assert_silent_success();
}

#[test]
fn doctor_says_which_root_is_in_force_and_asks_nothing() {
    let signer = Sigstore::new();
    let mut machine = Machine::new(&signer, &signer);
    let doctor =
        |machine: &Machine| String::from_utf8(machine.plugin.run(["doctor"]).stdout).unwrap();
    assert!(doctor(&machine).contains("there is no trusted root of"));
    assert_eq!(machine.asked(), 0);
    machine.check().assert_silent_success();
    let asked = machine.asked();
    assert!(doctor(&machine).contains("today (updated from `http://"), "{}", doctor(&machine));
    machine.plugin.set("LUET_COSIGN_OFFLINE", "1");
    assert!(doctor(&machine).contains("offline: never updated"));
    assert_eq!(machine.asked(), asked);
    machine.plugin.unset("TUF_MIRROR");
    machine.plugin.unset("TUF_ROOT_JSON");
    assert!(
        doctor(&machine)
            .contains("trusted root: the one that came with this program (of 2026-10-23)")
    );
    machine.plugin.set("COSIGN_TRUSTED_ROOT", "/nowhere.json");
    assert!(doctor(&machine).contains("/nowhere.json"));
}
