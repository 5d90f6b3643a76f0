//! Anonymous tokens that the processes of one run share (L): who is shown one, and when none is
//! kept. Each client here is one process of the run.

use luet_cosign::class::Class;
use luet_cosign::registry::Client;
use luet_cosign::store::{Folder, Handoffs, Locations};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use testkit::client::*;
use testkit::{Answer, Auth, Options, TestRegistry};

/// The directory of a run, in a directory that vanishes.
struct Run {
    _top: tempfile::TempDir,
    locations: Locations,
}

impl Run {
    fn begin() -> Self {
        let top = tempfile::tempdir().unwrap();
        let folder = |name: &str| vec![top.path().join(name)];
        let locations = Locations { state: folder("state"), runs: folder("runs") };
        Self { _top: top, locations }
    }

    fn process(&self) -> Client {
        client_with(|config| config.run = Some(self.locations.clone()))
    }

    fn folder(&self) -> Folder {
        Handoffs::open(&self.locations).unwrap().folder().clone()
    }

    fn kept(&self) -> Vec<String> {
        let mut names = self.folder().names(100).unwrap();
        names.retain(|name| name.starts_with("token-"));
        names
    }

    /// Changes the only token that is kept.
    fn forge(&self, change: impl FnOnce(&mut Value)) {
        let [name] = self.kept().try_into().unwrap();
        let mut document: Value =
            serde_json::from_slice(&self.folder().read(&name).unwrap().unwrap()).unwrap();
        change(&mut document);
        self.folder().replace(&name, document.to_string().as_bytes()).unwrap();
    }
}

fn open_to_all() -> TestRegistry {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    for name in ["a/b", "c/d"] {
        registry.push_image(name, "1", &[b"layer"]);
    }
    registry
}

fn resolve(client: &Client, registry: &TestRegistry, name: &str) -> Result<(), Class> {
    run(client.resolve(&reference(&registry.name(name))))
        .map(drop)
        .map_err(|failure| failure.class())
}

/// Resolves, and returns which requests that took, and how many of them showed anything.
fn resolved(client: &Client, registry: &TestRegistry, name: &str) -> (usize, usize) {
    let before = registry.requests().len();
    assert_eq!(resolve(client, registry, name), Ok(()));
    let made = registry.requests().split_off(before);
    (made.len(), made.iter().filter(|request| request.header("authorization").is_some()).count())
}

/// Refused, the token, and once more.
const WITH_A_NEW_TOKEN: (usize, usize) = (3, 1);
const WITH_THE_KEPT_ONE: (usize, usize) = (1, 1);

#[test]
fn the_next_process_of_the_run_shows_the_token_that_was_given() {
    let (registry, run) = (open_to_all(), Run::begin());
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_THE_KEPT_ONE);
    assert_eq!(run.kept().len(), 1);
}

#[test]
fn without_a_run_nothing_is_kept() {
    let (registry, run) = (open_to_all(), Run::begin());
    assert_eq!(resolved(&client(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    assert_eq!(run.kept().len(), 0);
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    assert_eq!(resolved(&client(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
}

#[test]
fn a_kept_token_is_for_one_repository_of_one_registry() {
    let (registry, other, run) = (open_to_all(), open_to_all(), Run::begin());
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    assert_eq!(resolved(&run.process(), &registry, "c/d:1"), WITH_A_NEW_TOKEN);
    assert_eq!(resolved(&run.process(), &other, "a/b:1"), WITH_A_NEW_TOKEN);
    assert_eq!(run.kept().len(), 3);
}

#[test]
fn a_token_that_lies_in_the_place_of_another_is_not_shown() {
    let (registry, other, run) = (open_to_all(), open_to_all(), Run::begin());
    resolved(&run.process(), &registry, "a/b:1");
    let [first] = run.kept().try_into().unwrap();
    let path = |name: &str| run.folder().path().join(name);
    for (there, name) in [(&registry, "c/d:1"), (&other, "a/b:1")] {
        let before = run.kept();
        resolved(&run.process(), there, name);
        let second = run.kept().into_iter().find(|name| !before.contains(name)).unwrap();
        std::fs::copy(path(&first), path(&second)).unwrap();
        assert_eq!(resolved(&run.process(), there, name), WITH_A_NEW_TOKEN, "{name}");
    }
}

#[test]
fn a_kept_token_that_says_anything_else_is_none() {
    let (registry, run) = (open_to_all(), Run::begin());
    let elsewhere = "https://registry.test/token";
    for (key, value) in [
        ("version", json!(2)),
        ("origin", json!("https://registry.test")),
        ("repository", json!("registry.test/a/b")),
        ("scope", json!("repository:a/b:pull,push")),
        ("realm", json!("http://registry.test/token")),
        ("realm", json!("file:///etc/passwd")),
        ("realm", json!(format!("{elsewhere}#x"))),
        ("until", json!(0)),
        ("until", json!(u64::MAX)),
        ("until", json!(-1)),
        ("token", json!("a b")),
        ("token", json!("")),
        ("more", json!(1)),
    ] {
        resolved(&run.process(), &registry, "a/b:1");
        run.forge(|document| document[key] = value.clone());
        let found = resolved(&run.process(), &registry, "a/b:1");
        assert_eq!(found, WITH_A_NEW_TOKEN, "{key}: {value}");
    }
}

#[test]
fn a_token_that_others_can_write_is_none() {
    let (registry, run) = (open_to_all(), Run::begin());
    resolved(&run.process(), &registry, "a/b:1");
    let [name] = run.kept().try_into().unwrap();
    let path = run.folder().path().join(name);
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o666).unwrap();
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_A_NEW_TOKEN);
    }
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_kept_token_that_has_ended_is_renewed_once() {
    let (registry, run) = (open_to_all(), Run::begin());
    resolved(&run.process(), &registry, "a/b:1");
    registry.expire_tokens();
    // Refused with the kept one, the token, and once more.
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), (3, 2));
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), WITH_THE_KEPT_ONE);
    registry.expire_tokens();
    registry.rule("GET", "/token*", |_| Some(Answer::new(200).json(r#"{"token":"worthless"}"#)));
    let before = registry.requests().len();
    assert_eq!(resolve(&run.process(), &registry, "a/b:1"), Err(Class::Auth));
    assert_eq!(registry.requests().len() - before, 3);
}

#[test]
fn a_kept_token_that_is_answered_with_403_is_renewed() {
    let (registry, run) = (open_to_all(), Run::begin());
    resolved(&run.process(), &registry, "a/b:1");
    registry.expire_tokens();
    registry.rule("GET", "/v2/a/b/manifests/*", |call| {
        let shown = call.request.header("authorization").is_some();
        (shown && call.nth == 1).then(|| Answer::error(403, "DENIED"))
    });
    assert_eq!(resolved(&run.process(), &registry, "a/b:1"), (4, 2));
}

#[test]
fn no_token_is_kept_or_shown_where_credentials_are_in_force() {
    let (registry, run) = (open_to_all(), Run::begin());
    let logged_in = || {
        client_with(|config| {
            config.run = Some(run.locations.clone());
            config.credentials = with_credential(&registry.host(), password("user", "password"));
        })
    };
    // The token request shows the password, the last one the token.
    assert_eq!(resolved(&logged_in(), &registry, "a/b:1"), (3, 2));
    assert_eq!(run.kept().len(), 0);
    resolved(&run.process(), &registry, "a/b:1");
    assert_eq!(run.kept().len(), 1);
    assert_eq!(resolved(&logged_in(), &registry, "a/b:1"), (3, 2));
}

#[test]
fn only_a_token_to_pull_is_kept() {
    let (registry, run) = (open_to_all(), Run::begin());
    registry.rule("GET", "/token*", |call| {
        let scope = call.request.query("scope").unwrap_or_default();
        scope.contains("push").then(|| Answer::new(200).json(r#"{"token":"writer"}"#))
    });
    let name = repository(&registry.name("a/b"));
    let _ = testkit::client::run(run.process().may_push(&name));
    assert!(registry.count("push") > 0);
    assert_eq!(run.kept().len(), 0);
}

#[test]
fn a_token_says_how_long_it_is_good_for() {
    for (says, kept) in [
        ("", true),
        (r#","expires_in":300"#, true),
        (r#","expires_in":300000000000"#, true),
        (r#","expires_in":"300""#, true),
        (r#","expires_in":null"#, true),
        (r#","expires_in":-1"#, true),
        (r#","expires_in":10"#, false),
        (r#","expires_in":0"#, false),
    ] {
        let (registry, run) = (open_to_all(), Run::begin());
        registry.rule("GET", "/token*", move |_| {
            Some(Answer::new(200).json(&format!(r#"{{"token":"t"{says}}}"#)))
        });
        registry.rule("GET", "/v2/*", |call| {
            (call.request.header("authorization") == Some("Bearer t"))
                .then(|| Answer::error(404, "MANIFEST_UNKNOWN"))
        });
        assert_eq!(resolve(&run.process(), &registry, "a/b:1"), Err(Class::NotFound), "{says}");
        assert_eq!(run.kept().len(), usize::from(kept), "{says}");
    }
}
