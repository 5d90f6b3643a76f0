//! Where a registry sends us, and what we take along (N01 to N04, F06).

use luet_cosign::class::Class;
use luet_cosign::registry::{Client, Role};
use testkit::certificates::{self, AUTHORITY};
use testkit::client::*;
use testkit::registry::MANIFEST;
use testkit::{Answer, Auth, Options, Server, Sink, TestRegistry};

const SECRETS: [&str; 3] = ["password-canary", "token-canary", "user:password-canary"];

fn guarded() -> TestRegistry {
    let registry = TestRegistry::with(Options {
        auth: Auth::token("user", "password-canary"),
        ..Options::default()
    });
    registry.push_image("a/b", "1", &[b"layer"]);
    registry
}

fn with_login(registry: &TestRegistry) -> Client {
    client_with(|config| config.credentials = logged_in(&registry.host()))
}

/// Once the registry has let us in, it sends us to `location` for blobs and manifests.
fn sends_on(registry: &TestRegistry, location: &str, status: u16) {
    let location = location.to_owned();
    registry.rule("GET", "/v2/*", move |call| {
        (call.good().status() == 200).then(|| Answer::redirect(status, &location))
    });
}

fn fetch(client: &Client, registry: &TestRegistry) -> Result<Vec<u8>, Class> {
    let digest = hash(&testkit::digest(b"layer"));
    run(client.blob(&repository(&registry.name("a/b")), &digest, 5, 100))
        .map_err(|failure| failure.class())
}

#[test]
fn a_blob_may_lie_elsewhere_and_no_credentials_go_there() {
    for status in [301, 302, 303, 307, 308] {
        let registry = guarded();
        let store = Sink::answering(|_| Answer::new(200).body("layer"));
        sends_on(&registry, &format!("{}/blob?X-Signature=abc", store.url()), status);
        assert_eq!(fetch(&with_login(&registry), &registry).unwrap(), b"layer", "{status}");
        store.assert_clean(&SECRETS);
        assert_eq!(store.0.requests()[0].target, "/blob?X-Signature=abc");
    }
}

#[test]
fn another_port_is_another_origin() {
    let registry = guarded();
    let store = Sink::answering(|_| Answer::new(200).body("layer"));
    sends_on(&registry, &format!("http://{}/blob", store.0.host()), 307);
    assert_eq!(fetch(&with_login(&registry), &registry).unwrap(), b"layer");
    store.assert_clean(&SECRETS);
}

#[test]
fn a_manifest_may_be_redirected_too() {
    let registry = guarded();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let manifest = image.manifest.clone();
    let store = Sink::answering(move |_| {
        Answer::new(200).header("Content-Type", MANIFEST).body(manifest.clone())
    });
    sends_on(&registry, &format!("{}/manifest", store.url()), 307);
    let fetched = run(with_login(&registry).resolve(&reference(&registry.name("a/b:1")))).unwrap();
    assert_eq!(fetched.digest, hash(&image.digest));
    store.assert_clean(&SECRETS);
}

#[test]
fn a_challenge_of_the_other_host_gets_no_answer() {
    let registry = guarded();
    let store = Sink::answering(|request| {
        let realm = format!("http://{}/token", request.header("host").unwrap());
        match request.path() {
            "/token" => Answer::new(200).json(r#"{"token":"x"}"#),
            _ => Answer::new(401).header("WWW-Authenticate", &format!("Bearer realm=\"{realm}\"")),
        }
    });
    sends_on(&registry, &format!("{}/blob", store.url()), 307);
    assert_eq!(fetch(&with_login(&registry), &registry), Err(Class::Auth));
    assert_eq!(store.0.requests().len(), 1);
    store.assert_clean(&SECRETS);
}

#[test]
fn credentials_stay_away_once_the_origin_was_left() {
    let registry = guarded();
    let back = format!("http://{}/v2/a/b/blobs/again", registry.host());
    let store = Sink::answering(move |_| Answer::redirect(307, &back));
    sends_on(&registry, &format!("{}/blob", store.url()), 307);
    registry.always("GET", "/v2/a/b/blobs/again", Answer::new(200).body("layer"));
    assert_eq!(fetch(&with_login(&registry), &registry).unwrap(), b"layer");
    let last = registry.requests().pop().unwrap();
    assert_eq!((last.path(), last.header("authorization")), ("/v2/a/b/blobs/again", None));
    store.assert_clean(&SECRETS);
}

#[test]
fn within_the_origin_credentials_go_along() {
    let registry = guarded();
    registry.rule("GET", "/v2/a/b/blobs/sha256*", |call| {
        (call.good().status() == 200)
            .then(|| Answer::redirect(307, &format!("{}?moved=1", call.request.target)))
            .filter(|_| call.request.query("moved").is_none())
    });
    assert_eq!(fetch(&with_login(&registry), &registry).unwrap(), b"layer");
    let last = registry.requests().pop().unwrap();
    assert!(last.query("moved").is_some() && last.header("authorization").is_some());
}

#[test]
fn five_redirects_are_followed_and_a_sixth_is_not() {
    for (hops, expected) in [(5, Ok(b"layer".to_vec())), (6, Err(Class::Net))] {
        let registry = TestRegistry::start();
        registry.push_image("a/b", "1", &[b"layer"]);
        registry.rule("GET", "/v2/a/b/blobs/*", move |call| {
            let hop: usize =
                call.request.query("hop").and_then(|hop| hop.parse().ok()).unwrap_or(0);
            (hop < hops).then(|| Answer::redirect(302, &format!("?hop={}", hop + 1)))
        });
        assert_eq!(fetch(&client(), &registry), expected, "{hops}");
        assert_eq!(registry.requests().len(), 6, "{hops}");
    }
}

#[test]
fn a_circle_of_redirects_ends() {
    let registry = TestRegistry::start();
    let host = registry.host();
    let store = Sink::answering(move |request| {
        Answer::redirect(302, &format!("http://{host}{}", request.target))
    });
    let url = store.url();
    registry.rule("GET", "/v2/*", move |call| {
        Some(Answer::redirect(302, &format!("{url}{}", call.request.target)))
    });
    assert_eq!(fetch(&client(), &registry), Err(Class::Net));
    assert_eq!(registry.requests().len() + store.0.requests().len(), 6);
}

#[test]
fn a_redirect_into_a_network_that_the_registry_is_not_in_is_refused_unasked() {
    for host in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1:8080",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        for scheme in ["http", "https"] {
            let registry = TestRegistry::start();
            registry.always(
                "GET",
                "/v2/*",
                Answer::redirect(307, &format!("{scheme}://{host}/latest/meta-data/")),
            );
            let client = client_with(|config| {
                // Even where plain http is allowed.
                config.http_registries =
                    ["10.0.0.1:80", "192.168.0.1:8080"].map(|name| name.parse().unwrap()).to_vec();
            });
            assert_eq!(fetch(&client, &registry), Err(Class::Net), "{scheme}://{host}");
            assert_eq!(client.requests(), 1, "{scheme}://{host}");
        }
    }
}

#[test]
fn a_name_that_leads_into_such_a_network_is_refused_where_it_is_resolved() {
    for address in ["10.0.0.1:0", "169.254.169.254:0", "[fd00::1]:0", "[::ffff:192.168.1.1]:0"] {
        let registry = TestRegistry::start();
        registry.always("GET", "/v2/*", Answer::redirect(307, "https://innocent.example/blob"));
        let client = client_with(|config| {
            let public = "203.0.113.1:0".parse().unwrap();
            config.hosts.insert("innocent.example".into(), vec![public, address.parse().unwrap()]);
        });
        let failure = run(client.blob(
            &repository(&registry.name("a/b")),
            &hash(&testkit::digest(b"layer")),
            5,
            100,
        ))
        .unwrap_err();
        assert_eq!(failure.class(), Class::Net, "{address}");
        assert!(failure.message().contains("inside this machine or its network"), "{failure}");
        assert_eq!(client.requests(), 2);
    }
}

fn https_registry() -> (TestRegistry, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).unwrap();
    let registry =
        TestRegistry::with(Options { tls: Some(certificates::good()), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    let name = format!("registry.test:{}/a/b", registry.server().address().port());
    (registry, folder, name)
}

#[test]
fn https_never_leads_to_plain_http() {
    let (registry, folder, name) = https_registry();
    let sink = Sink::answering(|_| Answer::new(200).body("layer"));
    for target in [sink.url(), format!("http://registry.test:{}", sink.0.address().port())] {
        registry.always("GET", "/v2/a/b/blobs/*", Answer::redirect(307, &format!("{target}/blob")));
        let client = client_with(|config| {
            config.ca_file = Some(folder.path().join("ca.pem"));
            config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
            config
                .http_registries
                .push(format!("localhost:{}", sink.0.address().port()).parse().unwrap());
        });
        let blob = run(client.blob(&repository(&name), &hash(&testkit::digest(b"layer")), 5, 100));
        assert_eq!(class(blob), Class::Net, "{target}");
        assert_eq!(sink.0.connections(), 0);
    }
}

#[test]
fn https_may_lead_to_https_elsewhere() {
    let (registry, folder, name) = https_registry();
    let store = Server::start_tls(certificates::good(), |_| Answer::new(200).body("layer"));
    registry.always(
        "GET",
        "/v2/a/b/blobs/*",
        Answer::redirect(307, &format!("https://store.test:{}/blob", store.address().port())),
    );
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        for host in ["registry.test", "store.test"] {
            config.hosts.insert(host.into(), vec!["127.0.0.1:0".parse().unwrap()]);
        }
    });
    assert_eq!(
        run(client.blob(&repository(&name), &hash(&testkit::digest(b"layer")), 5, 100)).unwrap(),
        b"layer"
    );
    assert_eq!(store.requests().len(), 1);
}

#[test]
fn plain_http_leads_only_where_plain_http_is_allowed() {
    let registry = TestRegistry::start();
    registry.always("GET", "/v2/*", Answer::redirect(307, "http://innocent.example/blob"));
    let client = client_with(|config| {
        drop(config.hosts.insert("innocent.example".into(), vec!["127.0.0.1:1".parse().unwrap()]))
    });
    assert_eq!(fetch(&client, &registry), Err(Class::Net));
    assert_eq!(client.requests(), 1);
}

#[test]
fn places_that_are_none_are_refused() {
    for (location, expected) in [
        ("ftp://127.0.0.1/x", Class::Net),
        ("file:///etc/passwd", Class::Net),
        ("data:,layer", Class::Net),
        ("unix:/var/run/docker.sock", Class::Net),
        ("http://user:pw@127.0.0.1:1/x", Class::Net),
        ("http://", Class::Registry),
        ("http://[::1", Class::Registry),
        ("http://x:99999/", Class::Registry),
    ] {
        let registry = TestRegistry::start();
        registry.always("GET", "/v2/*", Answer::redirect(307, location));
        assert_eq!(fetch(&client(), &registry), Err(expected), "{location}");
        assert_eq!(registry.requests().len(), 1, "{location}");
    }
}

#[test]
fn a_secret_in_a_redirect_is_not_in_the_failure() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    let gone = Server::start(|_| Answer::new(200)).host();
    registry.always(
        "GET",
        "/v2/*",
        Answer::redirect(307, &format!("http://{gone}/blob?X-Amz-Signature=signature-canary")),
    );
    let blob = run(client().blob(
        &repository(&registry.name("a/b")),
        &hash(&testkit::digest(b"layer")),
        5,
        100,
    ))
    .unwrap_err();
    assert_eq!(blob.class(), Class::Net);
    assert!(!blob.text().contains("canary") && blob.text().contains(&gone), "{}", blob.text());
}

#[test]
fn a_404_from_where_the_registry_sends_us_is_not_absence() {
    let registry = guarded();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let store = Sink::answering(|_| {
        Answer::new(404)
            .header("Content-Type", "application/xml")
            .body("<Error><Code>NoSuchKey</Code></Error>")
    });
    let location = format!("{}/bucket/x", store.url());
    registry.rule("GET", "/v2/a/b/manifests/*", move |call| {
        (call.good().status() != 401).then(|| Answer::redirect(307, &location))
    });
    let (client, repository) = (with_login(&registry), repository(&registry.name("a/b")));
    let tag = tag("sha256-0.sig");
    for role in [Role::Image, Role::Signatures] {
        let failure = run(client.by_tag(&repository, &tag, role)).unwrap_err();
        assert_eq!(failure.class(), Class::Registry, "{failure}");
        assert!(failure.message().contains("where the registry sent us"), "{failure}");
    }
    let failure = run(client.manifest(&repository, &hash(&image.digest), 1 << 20)).unwrap_err();
    assert_eq!(failure.class(), Class::Registry, "{failure}");
    store.assert_clean(&SECRETS);
}

#[test]
fn a_404_behind_a_redirect_within_the_registry_is_absence() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.always("GET", "/v2/a/b/manifests/x", Answer::redirect(307, "/v2/a/b/manifests/y"));
    let answer =
        run(client().by_tag(&repository(&registry.name("a/b")), &tag("x"), Role::Signatures))
            .unwrap();
    assert!(matches!(answer, luet_cosign::registry::Presence::Absent(_)));
}
