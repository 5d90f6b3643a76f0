//! Which credential is for which repository, and files and helpers that are broken (N10, N19).

use luet_cosign::class::Class;
use luet_cosign::registry::{Credential, CredentialScope, CredentialSources};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use testkit::client::*;

const BASE64_USER_PASSWORD: &str = "dXNlcjpwYXNzd29yZA==";

fn write(folder: &TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn docker(folder: &TempDir, text: &str) -> CredentialSources {
    CredentialSources {
        docker_config: Some(write(folder, "config.json", text)),
        ..CredentialSources::default()
    }
}

fn helper(folder: &TempDir, name: &str, script: &str) {
    let path =
        write(folder, &format!("docker-credential-{name}"), &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn helper_path(folder: &Path) -> std::ffi::OsString {
    std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap()
}

fn found(sources: &CredentialSources, name: &str) -> Option<String> {
    sources.find(&repository(name)).unwrap().map(|held| match held.credential {
        Credential::Password { username, password } => format!("{username}:{}", *password),
        Credential::IdentityToken(token) => format!("identity {}", *token),
        Credential::RegistryToken(token) => format!("registry {}", *token),
    })
}

#[test]
fn a_credential_is_for_exactly_the_registry_that_it_is_stored_under() {
    for (key, name, expected) in [
        ("ghcr.io", "ghcr.io/a/b", true),
        ("GHCR.io", "ghcr.io/a/b", true),
        ("ghcr.io:443", "ghcr.io/a/b", true),
        ("ghcr.io", "ghcr.io:443/a/b", true),
        ("ghcr.io.", "ghcr.io/a/b", true),
        ("https://ghcr.io", "ghcr.io/a/b", true),
        ("https://ghcr.io/v2/", "ghcr.io/a/b", true),
        ("http://ghcr.io", "ghcr.io/a/b", true),
        ("https://ghcr.io/v1/", "ghcr.io/a/b", true),
        ("ghcr.io", "ghcr.io:8443/a/b", false),
        ("ghcr.io:8443", "ghcr.io/a/b", false),
        ("ghcr.io", "ghcr.io.evil.example/a/b", false),
        ("ghcr.io", "xghcr.io/a/b", false),
        ("ghcr.io", "x.ghcr.io/a/b", false),
        ("x.ghcr.io", "ghcr.io/a/b", false),
        ("ghcr", "ghcr.io/a/b", false),
        ("io", "ghcr.io/a/b", false),
        ("", "ghcr.io/a/b", false),
        ("*", "ghcr.io/a/b", false),
        ("*.io", "ghcr.io/a/b", false),
        ("https://", "ghcr.io/a/b", false),
        ("https://user@ghcr.io", "ghcr.io/a/b", false),
        ("https://index.docker.io/v1/", "alpine", true),
        ("index.docker.io/v1/", "docker.io/library/alpine", true),
        ("index.docker.io", "mudler/luet", true),
        ("docker.io", "registry-1.docker.io/mudler/luet", true),
        ("registry-1.docker.io", "mudler/luet", true),
        ("auth.docker.io", "mudler/luet", false),
        ("127.0.0.1:5000", "127.0.0.1:5000/a", true),
        ("127.0.0.1", "127.0.0.1:5000/a", false),
        ("localhost:5000", "127.0.0.1:5000/a", false),
        ("[::1]:5000", "[::1]:5000/a", true),
        ("ghcr.io/a", "ghcr.io/a/b", true),
        ("ghcr.io/a/b", "ghcr.io/a/b", true),
        ("ghcr.io/a/", "ghcr.io/a/b", true),
        ("ghcr.io/a/b/c", "ghcr.io/a/b", false),
        ("ghcr.io/a", "ghcr.io/ab", false),
        ("ghcr.io/a/b", "ghcr.io/a/bc", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sources =
            docker(&folder, &json!({"auths": {key: {"auth": BASE64_USER_PASSWORD}}}).to_string());
        assert_eq!(found(&sources, name).is_some(), expected, "{key} {name}");
    }
}

#[test]
fn the_longest_path_wins() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |name: &str| json!({"username": name, "password": "x"});
    let text = json!({"auths": {"quay.io/a/b": entry("ab"), "quay.io": entry("host"), "quay.io/a": entry("a")}}).to_string();
    let sources = CredentialSources {
        podman_auth: vec![write(&folder, "auth.json", &text)],
        ..CredentialSources::default()
    };
    for (name, expected) in [
        ("quay.io/a/b", "ab:x"),
        ("quay.io/a/b/c", "ab:x"),
        ("quay.io/a/c", "a:x"),
        ("quay.io/b", "host:x"),
    ] {
        assert_eq!(found(&sources, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn every_form_of_entry_is_read() {
    for (entry, expected) in [
        (json!({"auth": BASE64_USER_PASSWORD}), Some("user:password")),
        (json!({"auth": "dXNlcjpwYXNzOndvcmQ="}), Some("user:pass:word")),
        (json!({"auth": "dXNlcjo="}), Some("user:")),
        (json!({"auth": "dXNlcjpwYXNzd29yZAA="}), Some("user:password")),
        (json!({"username": "user", "password": "password"}), Some("user:password")),
        (json!({"auth": BASE64_USER_PASSWORD, "identitytoken": "t"}), Some("identity t")),
        (json!({"auth": BASE64_USER_PASSWORD, "registrytoken": "t"}), Some("registry t")),
        (json!({"username": "<token>", "password": "t"}), Some("identity t")),
        (json!({"auth": "PHRva2VuPjp0"}), Some("identity t")),
        (json!({"auth": BASE64_USER_PASSWORD, "email": "x@example.com"}), Some("user:password")),
        (json!({}), None),
        (json!({"auth": ""}), None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sources = docker(&folder, &json!({"auths": {"quay.io": entry}}).to_string());
        assert_eq!(found(&sources, "quay.io/a/b").as_deref(), expected, "{entry}");
    }
}

#[test]
fn a_file_that_is_broken_is_named_and_not_shown() {
    for text in [
        "{",
        "[]",
        "null",
        r#"{"auths":[]}"#,
        r#"{"auths":{"quay.io":"canary"}}"#,
        r#"{"auths":{"quay.io":{"auth":1}}}"#,
        r#"{"auths":{"quay.io":{"auth":"canary!"}}}"#,
        r#"{"auths":{"quay.io":{"auth":"Y2FuYXJ5"}}}"#,
        r#"{"auths":{"quay.io":{"auth":"//79"}}}"#,
        r#"{"auths":{"quay.io":{"auth":"dXNlcjpwYXNzd29yZA"}}}"#,
        r#"{"credsStore":1}"#,
        r#"{"credHelpers":{"quay.io":null}}"#,
        "canary",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sources = docker(&folder, text);
        let failure = sources.find(&repository("quay.io/a/b")).expect_err(text);
        assert_eq!(failure.class(), Class::Secret, "{text}");
        assert!(
            failure.message().contains("config.json") && !failure.text().contains("canary"),
            "{}",
            failure.text()
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_no_fault_and_one_that_is_no_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: std::path::PathBuf| CredentialSources {
        docker_config: Some(path),
        ..CredentialSources::default()
    };
    assert_eq!(found(&at(folder.path().join("missing/config.json")), "quay.io/a"), None);
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    for path in [folder.path().to_owned(), pipe, "/dev/zero".into()] {
        let failure = at(path).find(&repository("quay.io/a")).unwrap_err();
        assert_eq!(failure.class(), Class::Secret);
        assert!(failure.message().contains("not a regular file"), "{failure}");
    }
    let large = write(&folder, "large", &" ".repeat(5 << 20));
    assert_eq!(class(at(large).find(&repository("quay.io/a"))), Class::Secret);
}

#[test]
fn sources_are_asked_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let entry =
        |name: &str| json!({"auths": {"quay.io": {"username": name, "password": "x"}}}).to_string();
    let mut sources = docker(&folder, &entry("docker"));
    sources.podman_auth = vec![
        write(&folder, "1.json", &entry("podman-1")),
        write(&folder, "2.json", &entry("podman-2")),
    ];
    sources.explicit.push(
        (CredentialScope::Registry("quay.io".parse().unwrap()), password("luet", "x")).into(),
    );
    assert_eq!(found(&sources, "quay.io/a").as_deref(), Some("luet:x"));
    sources.explicit.clear();
    assert_eq!(found(&sources, "quay.io/a").as_deref(), Some("docker:x"));
    sources.docker_config = None;
    assert_eq!(found(&sources, "quay.io/a").as_deref(), Some("podman-1:x"));
    assert_eq!(found(&sources, "ghcr.io/a"), None);
}

#[test]
fn what_the_host_says_is_for_a_repository_and_below() {
    let sources = CredentialSources {
        explicit: vec![
            (CredentialScope::Registry("quay.io".parse().unwrap()), password("all", "x")).into(),
            (CredentialScope::Repository(repository("quay.io/a")), password("a", "x")).into(),
            (CredentialScope::Repository(repository("quay.io/a/b")), password("first", "x")).into(),
            (CredentialScope::Repository(repository("quay.io/a/b")), password("second", "x"))
                .into(),
        ],
        ..CredentialSources::default()
    };
    for (name, expected) in [
        ("quay.io/x", Some("all:x")),
        ("quay.io/ab", Some("all:x")),
        ("quay.io/a/x", Some("a:x")),
        ("quay.io/a/b", Some("first:x")),
        ("quay.io/a/b/c", Some("first:x")),
        ("ghcr.io/a/b", None),
        ("quay.io:8443/a/b", None),
    ] {
        assert_eq!(found(&sources, name).as_deref(), expected, "{name}");
    }
}

#[test]
fn a_helper_is_asked_for_its_registry_and_the_store_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let echo = |name: &str| {
        format!("read s; printf '{{\"Username\":\"{name}\",\"Secret\":\"%s\"}}' \"$1 $s\"")
    };
    helper(&folder, "one", &echo("one"));
    helper(&folder, "all", &echo("all"));
    let mut sources = docker(&folder, r#"{"credsStore":"all","credHelpers":{"quay.io":"one"}}"#);
    sources.helper_path = helper_path(folder.path());
    assert_eq!(found(&sources, "quay.io/a/b").as_deref(), Some("one:get quay.io"));
    assert_eq!(found(&sources, "ghcr.io/a/b").as_deref(), Some("all:get ghcr.io"));
    assert_eq!(found(&sources, "alpine").as_deref(), Some("all:get https://index.docker.io/v1/"));
}

#[test]
fn a_helper_that_knows_nothing_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    helper(&folder, "x", "echo 'credentials not found in native keychain'; exit 1");
    let mut sources = docker(&folder, r#"{"credsStore":"x"}"#);
    sources.helper_path = helper_path(folder.path());
    assert_eq!(found(&sources, "quay.io/a/b"), None);
    helper(&folder, "x", "echo '{\"Username\":\"\",\"Secret\":\"\"}'");
    assert_eq!(found(&sources, "quay.io/a/b"), None);
    helper(&folder, "x", "echo '{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"t\"}'");
    assert_eq!(found(&sources, "quay.io/a/b").as_deref(), Some("identity t"));
}

#[test]
fn a_helper_that_is_broken_is_secret_and_not_shown() {
    for script in [
        "exit 1",
        "echo canary; exit 1",
        "echo canary",
        "echo '[]'",
        "echo '{\"Username\":\"canary\"}'",
        "kill -9 $$",
        "head -c 5000000 /dev/zero",
    ] {
        let folder = tempfile::tempdir().unwrap();
        helper(&folder, "x", script);
        let mut sources = docker(&folder, r#"{"credsStore":"x"}"#);
        sources.helper_path = helper_path(folder.path());
        let failure = sources.find(&repository("quay.io/a/b")).expect_err(script);
        assert_eq!(failure.class(), Class::Secret, "{script}");
        assert!(!failure.text().contains("canary"), "{}", failure.text());
    }
}

#[test]
fn a_helper_is_a_plain_name_found_on_the_path_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    helper(&folder, "x", &format!("touch {}/ran", folder.path().display()));
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    for name in [
        "../x",
        "x y",
        "x;id",
        ".x",
        "x/../x",
        "/bin/sh",
        "x\n",
        "$(id)",
        "-x\0",
        "é",
        &"x".repeat(65),
    ] {
        let mut sources = docker(&folder, &json!({"credsStore": name}).to_string());
        sources.helper_path = helper_path(folder.path());
        let failure = sources.find(&repository("quay.io/a/b")).expect_err(name);
        assert_eq!(failure.class(), Class::Secret, "{name}");
        assert!(failure.message().contains("is not the name of a credential helper"), "{failure}");
    }
    // The directory of the helper, from where this test runs.
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    let relative = format!("{up}{}", folder.path().strip_prefix("/").unwrap().display());
    assert!(Path::new(&relative).join("docker-credential-x").is_file());
    for path in ["", ".", "/nonexistent", &relative] {
        let mut sources = docker(&folder, r#"{"credsStore":"x"}"#);
        sources.helper_path = path.into();
        assert_eq!(class(sources.find(&repository("quay.io/a/b"))), Class::Secret, "{path}");
    }
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn a_broken_file_matters_only_where_credentials_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let open = testkit::TestRegistry::start();
    open.push_image("a/b", "1", &[b"layer"]);
    let client = client_with(|config| config.credentials = docker(&folder, "{"));
    assert!(run(client.resolve(&reference(&open.name("a/b:1")))).is_ok());
    let guarded = testkit::TestRegistry::with(testkit::Options {
        auth: testkit::Auth::anonymous(),
        ..testkit::Options::default()
    });
    guarded.push_image("a/b", "1", &[b"layer"]);
    assert_eq!(class(run(client.resolve(&reference(&guarded.name("a/b:1"))))), Class::Secret);
}

#[test]
fn a_file_that_is_empty_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", " \n", "{}"] {
        assert_eq!(found(&docker(&folder, text), "quay.io/a"), None, "{text:?}");
    }
}

#[test]
fn a_helper_may_have_dots_and_capitals_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let script = "printf '{\"Username\":\"u\",\"Secret\":\"s\"}'";
    for name in ["ecr-login", "gcloud.Beta", "ACR_env", "acr.2"] {
        helper(&folder, name, script);
        let config = json!({"credHelpers": {"quay.io": name}}).to_string();
        let mut sources = docker(&folder, &config);
        sources.helper_path = helper_path(folder.path());
        assert_eq!(found(&sources, "quay.io/a").as_deref(), Some("u:s"), "{name}");
    }
    for name in ["../x", "a/b", ".hidden", "a b", "a;b", ""] {
        let config = json!({"credHelpers": {"quay.io": name}}).to_string();
        let mut sources = docker(&folder, &config);
        sources.helper_path = helper_path(folder.path());
        let asked = sources.find(&repository("quay.io/a"));
        // An empty name is none.
        assert_eq!(asked.is_ok(), name.is_empty(), "{name}");
    }
}

#[test]
fn where_a_credential_was_found_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let from = |sources: &CredentialSources| {
        sources.find(&repository("quay.io/a")).unwrap().map(|held| held.from.to_string())
    };
    let entry = json!({"auths": {"quay.io": {"username": "bob", "password": "x"}}}).to_string();
    let path = folder.path().join("config.json");
    assert_eq!(from(&docker(&folder, &entry)), Some(format!("`{}`", path.display())));
    helper(&folder, "x", "printf '{\"Username\":\"u\",\"Secret\":\"s\"}'");
    let mut sources = docker(&folder, &json!({"credsStore": "x"}).to_string());
    sources.helper_path = helper_path(folder.path());
    let expected = format!("the helper `docker-credential-x`, which `{}` names", path.display());
    assert_eq!(from(&sources), Some(expected));
    sources.explicit.push(
        (CredentialScope::Registry("quay.io".parse().unwrap()), password("luet", "x")).into(),
    );
    assert_eq!(from(&sources).as_deref(), Some("the host"));
}

#[test]
fn a_credential_that_is_refused_is_named_by_user_and_file() {
    use testkit::{Auth, Options, TestRegistry};
    let folder = tempfile::tempdir().unwrap();
    for auth in [Auth::basic("user", "right"), Auth::token("user", "right")] {
        let registry = TestRegistry::with(Options { auth, ..Options::default() });
        registry.push_image("a/b", "1", &[b"layer"]);
        for (username, shown) in [("bob", "user `bob`"), ("ghp_0123456789canary", "a user")] {
            let entry = json!({"username": username, "password": "password-canary"});
            let text = json!({"auths": {registry.host(): entry}}).to_string();
            let client = client_with(|config| config.credentials = docker(&folder, &text));
            let failure = run(client.resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
            assert_eq!(failure.class(), Class::Auth);
            let path = folder.path().join("config.json");
            let whom = format!("{shown} from `{}`", path.display());
            assert!(failure.message().contains(&whom), "{failure}");
            let login = format!("`docker login {}`", registry.host());
            assert!(failure.the_hint().contains(&login), "{}", failure.text());
            assert!(!failure.text().contains("canary"), "{}", failure.text());
        }
    }
    // Nobody is logged in: the files that were looked into are named.
    let registry = TestRegistry::with(Options {
        auth: testkit::Auth::basic("user", "right"),
        ..Options::default()
    });
    let client = client_with(|config| config.credentials = docker(&folder, "{}"));
    let failure = run(client.resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
    assert!(failure.text().contains("looked in `"), "{}", failure.text());
}
