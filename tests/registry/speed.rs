//! Requests and round trips are counted, not timed.

use luet_cosign::class::Class;
use luet_cosign::name::Tag;
use luet_cosign::registry::{Client, ManifestKind, Presence, Role};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::certificates::{self, AUTHORITY};
use testkit::client::*;
use testkit::{Auth, Options, Signature, TestRegistry};

/// What verifying one legacy signature asks for: tag; the three places at the same time; the
/// payload.
async fn look(client: &luet_cosign::registry::Client, name: &str) {
    let manifest = client.resolve(&reference(&format!("{name}:1"))).await.unwrap();
    let repository = repository(name);
    let subject =
        luet_cosign::name::Subject { repository: repository.clone(), digest: manifest.digest };
    let (signatures, fallback) =
        (Tag::of_signatures(&manifest.digest), Tag::of_referrers(&manifest.digest));
    let (legacy, listed, fallback) = tokio::join!(
        client.by_tag(&repository, &signatures, Role::Image),
        client.referrers(&subject, Role::Image),
        client.by_tag(&repository, &fallback, Role::Image)
    );
    assert!(listed.is_ok() && matches!(fallback, Ok(Presence::Absent(_))));
    let Ok(Presence::There(legacy)) = legacy else { panic!("no signatures") };
    let ManifestKind::Image(image) = legacy.kind else { panic!("an index") };
    let layer = &image.layers[0];
    let size = u64::try_from(layer.size).unwrap();
    assert_eq!(
        client.blob(&repository, &hash(&layer.digest), size, 1 << 16).await.unwrap(),
        b"payload"
    );
}

fn signed(auth: Auth) -> TestRegistry {
    let registry = TestRegistry::with(Options {
        auth,
        latency: Duration::from_millis(100),
        ..Options::default()
    });
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    registry.push_signatures(
        "a/b",
        &image.digest,
        &[Signature { payload: b"payload".to_vec(), annotations: Vec::new() }],
    );
    registry
}

#[test]
fn a_legacy_signature_takes_five_requests_in_three_round_trips() {
    let registry = signed(Auth::None);
    let client = client();
    run(look(&client, &registry.name("a/b")));
    assert_eq!(
        (registry.requests().len(), registry.round_trips()),
        (5, 3),
        "{:?}",
        registry.lines()
    );
    assert_eq!(client.requests(), 5);
}

#[test]
fn a_token_takes_two_more_and_only_once() {
    let registry = signed(Auth::anonymous());
    let client = client();
    run(look(&client, &registry.name("a/b")));
    assert_eq!(
        (registry.requests().len(), registry.round_trips()),
        (7, 5),
        "{:?}",
        registry.lines()
    );
    assert_eq!(client.requests(), 7);
}

#[test]
fn connections_are_used_again() {
    let registry = signed(Auth::anonymous());
    run(look(&client(), &registry.name("a/b")));
    assert!(registry.server().connections() <= 3, "{}", registry.server().connections());
}

#[test]
fn an_answer_that_was_refused_does_not_cost_the_connection() {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    run(client().resolve(&reference(&registry.name("a/b:1")))).unwrap();
    assert_eq!(registry.server().connections(), 1);
}

#[test]
fn a_client_that_is_made_asks_nothing() {
    let registry = TestRegistry::start();
    assert_eq!(
        client_with(|config| config.credentials = logged_in(&registry.host())).requests(),
        0
    );
    assert_eq!(registry.server().connections(), 0);
}

#[test]
fn clones_share_tokens_and_counts() {
    let registry = TestRegistry::with(Options { auth: Auth::anonymous(), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    run(async {
        let client = client();
        client.clone().resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        assert_eq!(client.requests(), 4);
    });
}

/// A registry with TLS under a name, and a client that trusts it.
fn distant(auth: Auth) -> (TestRegistry, Client, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).unwrap();
    let registry = TestRegistry::with(Options {
        tls: Some(certificates::good()),
        auth,
        latency: Duration::from_millis(200),
        ..Options::default()
    });
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
    });
    let host = format!("registry.test:{}", registry.server().address().port());
    (registry, client, host, folder)
}

#[test]
fn connections_that_will_be_needed_are_open_before_they_are() {
    let (registry, client, host, _folder) = distant(Auth::anonymous());
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    run(async {
        // The first request takes one of them.
        client.ahead(&repository(&format!("{host}/a/b")), 3);
        client.resolve(&reference(&format!("{host}/a/b:1"))).await.unwrap();
        assert_eq!(registry.server().connections(), 3);
        let (name, subject) =
            (repository(&format!("{host}/a/b")), subject(&format!("{host}/a/b"), &image.digest));
        let (a, b) = (tag("1"), tag("2"));
        let (a, b, c) = tokio::join!(
            client.by_tag(&name, &a, Role::Image),
            client.by_tag(&name, &b, Role::Image),
            client.referrers(&subject, Role::Image)
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    });
    assert_eq!(registry.server().connections(), 3);
    // Nothing is sent on a connection for being opened.
    assert_eq!((registry.requests().len(), client.requests()), (6, 6), "{:?}", registry.lines());
}

#[test]
fn the_token_service_that_belongs_to_a_registry_is_connected_to_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).unwrap();
    let tls = || Options { tls: Some(certificates::good()), ..Options::default() };
    let service = TestRegistry::with(tls());
    let realm = format!("registry.test:{}", service.server().address().port());
    let registry = TestRegistry::with(Options {
        auth: Auth::Token {
            user: String::new(),
            password: String::new(),
            identity_token: String::new(),
            anonymous_pull: true,
            realm: format!("https://{realm}/token"),
        },
        latency: Duration::from_millis(200),
        ..tls()
    });
    service.always("GET", "/token*", testkit::Answer::new(200).json(r#"{"token":"t"}"#));
    let host = format!("registry.test:{}", registry.server().address().port());
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        config.hosts.insert("registry.test".into(), vec!["127.0.0.1:0".parse().unwrap()]);
        config.auth_hosts.insert(host.parse().unwrap(), vec![realm.clone()]);
    });
    run(async {
        let name = repository(&format!("{host}/a/b"));
        client.ahead(&name, 1);
        let _ = client.by_tag(&name, &tag("1"), Role::Image).await;
    });
    // One was opened ahead, and used for the token.
    assert_eq!((service.server().connections(), service.requests().len()), (1, 1));
}

#[test]
fn a_connection_that_cannot_be_opened_ahead_changes_nothing() {
    let (registry, _, host, _folder) = distant(Auth::None);
    let client = client_with(|config| {
        config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
    });
    run(async {
        client.ahead(&repository(&format!("{host}/a/b")), 2);
        let failure = client.resolve(&reference(&format!("{host}/a/b:1"))).await.unwrap_err();
        assert_eq!(failure.class(), Class::Net);
        assert!(failure.text().contains("certificate"), "{}", failure.text());
    });
}

#[test]
fn a_connection_that_was_opened_ahead_and_closed_is_made_again() {
    // A server that accepts connections may end them before anything is sent.
    let registry =
        TestRegistry::with(Options { tls: Some(certificates::good()), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    let upstream = registry.server().address();
    let impatient = Impatient::before(upstream, 2);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).unwrap();
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        config.hosts.insert("registry.test".into(), vec![impatient.address]);
    });
    let host = format!("registry.test:{}", impatient.address.port());
    run(async {
        client.ahead(&repository(&format!("{host}/a/b")), 2);
        // Until both are there, and gone.
        while impatient.closed.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        client.resolve(&reference(&format!("{host}/a/b:1"))).await.unwrap();
    });
}

/// Closes the first connections as soon as anything came back on them.
struct Impatient {
    address: SocketAddr,
    closed: Arc<AtomicUsize>,
}

impl Impatient {
    fn before(upstream: SocketAddr, first: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&closed);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (mut client, mut server) =
                    (client.unwrap(), TcpStream::connect(upstream).unwrap());
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    if number < first {
                        let mut bytes = [0; 16 << 10];
                        let length = server.read(&mut bytes).unwrap();
                        client.write_all(&bytes[..length]).unwrap();
                        let _ = client.shutdown(Shutdown::Both);
                        count.fetch_add(1, Ordering::SeqCst);
                    } else {
                        let _ = std::io::copy(&mut server, &mut client);
                    }
                });
            }
        });
        Self { address, closed }
    }
}
