//! Plain http, TLS, proxies and names (N11, N12, N16).

use luet_cosign::class::Class;
use luet_cosign::registry::{Client, Proxies, RegistryConfig};
use rustls::ServerConfig;
use std::sync::Arc;
use testkit::certificates::{self, AUTHORITY};
use testkit::client::*;
use testkit::{Answer, Auth, Options, Server, TestRegistry};

fn https(tls: Arc<ServerConfig>) -> TestRegistry {
    let registry = TestRegistry::with(Options { tls: Some(tls), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    registry
}

fn authority() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), AUTHORITY).unwrap();
    file
}

/// Asks for `HOST:PORT/a/b:1`, with the test's authority, after `change`.
fn ask(
    registry: &TestRegistry,
    host: &str,
    change: impl FnOnce(&mut RegistryConfig),
) -> Result<(), Class> {
    let ca = authority();
    let client = client_with(|config| {
        config.ca_file = Some(ca.path().to_owned());
        config.hosts.insert("registry.test".into(), vec!["127.0.0.1:0".parse().unwrap()]);
        change(config);
    });
    let name = format!("{host}:{}/a/b:1", registry.server().address().port());
    run(client.resolve(&reference(&name))).map(drop).map_err(|failure| failure.class())
}

#[test]
fn a_registry_elsewhere_is_spoken_to_over_tls() {
    assert_eq!(ask(&https(certificates::good()), "registry.test", |_| {}), Ok(()));
}

#[test]
fn plain_http_is_spoken_only_where_it_is_allowed() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    assert_eq!(ask(&registry, "registry.test", |_| {}), Err(Class::Net));
    assert_eq!(registry.requests().len(), 0);
    let port = registry.server().address().port();
    assert_eq!(
        ask(&registry, "registry.test", |config| config
            .http_registries
            .push("registry.test".parse().unwrap())),
        Err(Class::Net)
    );
    let other = format!("registry.test:{}", port.wrapping_add(1).max(1));
    assert_eq!(
        ask(&registry, "registry.test", |config| config
            .http_registries
            .push(other.parse().unwrap())),
        Err(Class::Net)
    );
    assert_eq!(registry.requests().len(), 0);
    let exact = format!("registry.test:{port}");
    assert_eq!(
        ask(&registry, "registry.test", |config| config
            .http_registries
            .push(exact.parse().unwrap())),
        Ok(())
    );
}

#[test]
fn a_registry_that_is_said_to_be_plain_is_never_tried_otherwise() {
    let registry = https(certificates::good());
    let exact = format!("registry.test:{}", registry.server().address().port());
    assert_eq!(
        ask(&registry, "registry.test", |config| config
            .http_registries
            .push(exact.parse().unwrap())),
        Err(Class::Net)
    );
}

#[test]
fn loopback_may_be_plain_or_not() {
    for host in ["127.0.0.1", "localhost"] {
        let plain = TestRegistry::start();
        plain.push_image("a/b", "1", &[b"layer"]);
        assert_eq!(ask(&plain, host, |_| {}), Ok(()));
        assert_eq!(plain.requests().len(), 1);
        assert_eq!(ask(&https(certificates::good()), host, |_| {}), Ok(()));
    }
}

#[test]
fn loopback_over_tls_is_remembered() {
    let registry = https(certificates::good());
    let ca = authority();
    let client = client_with(|config| config.ca_file = Some(ca.path().to_owned()));
    run(async {
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        let before = client.requests();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        assert_eq!(client.requests(), before + 1);
    });
}

#[test]
fn a_loopback_server_that_says_it_wants_tls_gets_it() {
    // Go's servers answer plain http on a TLS port with 400; this one speaks both on one port, as
    // those seem to.
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.always(
        "GET",
        "*",
        Answer::new(400).body("Client sent an HTTP request to an HTTPS server.\n"),
    );
    assert_eq!(ask(&registry, "127.0.0.1", |_| {}), Err(Class::Registry));
    assert_eq!(registry.count("manifests"), 1);
}

#[test]
fn a_certificate_that_does_not_hold_ends_it() {
    for (name, tls, host) in [
        ("expired", certificates::expired(), "registry.test"),
        ("another name", certificates::misnamed(), "registry.test"),
        ("a name beyond the wildcard", certificates::good(), "a.b.hosts.test"),
    ] {
        let registry = https(tls);
        let found = ask(&registry, host, |config| {
            drop(config.hosts.insert(host.into(), vec!["127.0.0.1:0".parse().unwrap()]))
        });
        assert_eq!(found, Err(Class::Net), "{name}");
        assert_eq!(registry.requests().len(), 0, "{name}");
    }
}

#[test]
fn an_authority_that_is_not_trusted_ends_it_with_a_hint() {
    let registry = https(certificates::good());
    let client = client_with(|config| {
        drop(config.hosts.insert("registry.test".into(), vec!["127.0.0.1:0".parse().unwrap()]))
    });
    let name = format!("registry.test:{}/a/b:1", registry.server().address().port());
    let failure = run(client.resolve(&reference(&name))).unwrap_err();
    assert_eq!(failure.class(), Class::Net);
    assert!(failure.the_hint().contains("SSL_CERT_FILE"), "{}", failure.text());
    assert_eq!(client.requests(), 1, "a certificate does not get better by asking again");
}

#[test]
fn a_tls_failure_never_falls_back_to_plain_http() {
    let registry = https(certificates::expired());
    assert_eq!(ask(&registry, "registry.test", |_| {}), Err(Class::Net));
    let received = registry.server().received();
    assert!(!received.windows(4).any(|window| window == b"GET "));
}

#[test]
fn an_extra_authority_is_for_one_registry() {
    let registry = https(certificates::good());
    let name = format!("registry.test:{}", registry.server().address().port());
    let extra = |host: String| {
        ask(&registry, "registry.test", |config| {
            config.ca_file = None;
            config.extra_ca.insert(host.parse().unwrap(), Ok(AUTHORITY.to_vec()));
        })
    };
    assert_eq!(extra(name), Ok(()));
    assert_eq!(extra("registry.test".into()), Err(Class::Net));
}

#[test]
fn an_authority_file_that_cannot_be_used_is_named() {
    let registry = https(certificates::good());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    for path in [
        folder.path().join("missing.pem"),
        folder.path().to_owned(),
        at("empty.pem", ""),
        at("text.pem", "no certificate"),
        at("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        assert_eq!(
            ask(&registry, "registry.test", |config| config.ca_file = Some(path.clone())),
            Err(Class::Net),
            "{}",
            path.display()
        );
    }
}

#[test]
fn certificate_authorities_are_not_read_for_plain_http() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    assert_eq!(
        ask(&registry, "127.0.0.1", |config| config.ca_file = Some("/nonexistent/ca.pem".into())),
        Ok(())
    );
}

#[test]
fn a_host_that_a_url_reads_as_an_address_is_no_name() {
    for host in ["0x7f.1", "2130706433:5000", "0177.0.0.1", "127.1:5000", "1.2.3.4.5:5000"] {
        let client = client();
        assert_eq!(
            class(run(client.resolve(&reference(&format!("{host}/a/b:1"))))),
            Class::Reference,
            "{host}"
        );
        assert_eq!(client.requests(), 0, "{host}");
    }
}

/// A proxy that answers for every host itself.
fn proxy() -> Server {
    Server::start(|request| match request.header("authorization") {
        None => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => Answer::new(404),
    })
}

fn through(proxy: &Server, no_proxy: &str) -> (Client, luet_cosign::name::Reference) {
    let client = client_with(|config| {
        config.proxies = Proxies {
            http: Some(format!("http://proxy-user:proxy-canary@{}", proxy.host())),
            https: None,
            no_proxy: Some(no_proxy.into()),
            ..Proxies::default()
        };
        config.http_registries.push("plain.test:5000".parse().unwrap());
        config.hosts.insert("plain.test".into(), vec!["127.0.0.1:1".parse().unwrap()]);
        config.credentials = logged_in("plain.test:5000");
    });
    (client, reference("plain.test:5000/a/b:1"))
}

#[test]
fn credentials_do_not_pass_a_proxy_in_the_clear() {
    let proxy = proxy();
    let (client, name) = through(&proxy, "");
    let failure = run(client.resolve(&name)).unwrap_err();
    assert_eq!(failure.class(), Class::Auth);
    assert!(!failure.text().contains("canary"));
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].target, "http://plain.test:5000/v2/a/b/manifests/1");
    assert!(
        requests[0].header("authorization").is_none()
            && requests[0].header("proxy-authorization").is_some()
    );
}

#[test]
fn credentials_for_a_token_do_not_pass_a_proxy_in_the_clear_either() {
    let proxy = Server::start(|_| {
        Answer::new(401).header("WWW-Authenticate", "Bearer realm=\"http://plain.test:5000/token\"")
    });
    let (client, name) = through(&proxy, "");
    assert_eq!(class(run(client.resolve(&name))), Class::Auth);
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn no_proxy_is_heeded() {
    let proxy = proxy();
    for entry in ["plain.test", "*", ".test", "plain.test:5000"] {
        let (client, name) = through(&proxy, entry);
        assert_eq!(class(run(client.resolve(&name))), Class::Net, "{entry}");
    }
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn loopback_is_never_reached_through_a_proxy() {
    let proxy = proxy();
    let registry = TestRegistry::with(Options {
        auth: Auth::basic("user", "password-canary"),
        ..Options::default()
    });
    registry.push_image("a/b", "1", &[b"layer"]);
    let client = client_with(|config| {
        config.proxies.http = Some(format!("http://{}", proxy.host()));
        config.credentials = logged_in(&registry.host());
    });
    assert!(run(client.resolve(&reference(&registry.name("a/b:1")))).is_ok());
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn https_goes_through_a_tunnel() {
    let proxy = Server::start(|_| Answer::new(502));
    let registry = https(certificates::good());
    let found = ask(&registry, "registry.test", |config| {
        config.proxies.https = Some(format!("http://{}", proxy.host()))
    });
    assert_eq!(found, Err(Class::Net));
    let requests = proxy.requests();
    assert!(
        !requests.is_empty() && requests.iter().all(|request| request.method == "CONNECT"),
        "{requests:?}"
    );
}

#[test]
fn the_registry_sees_who_we_are_and_nothing_more() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    let client = client_with(|config| config.version = "9.8.7".into());
    run(client.resolve(&reference(&registry.name("a/b:1")))).unwrap();
    let names: Vec<_> =
        registry.requests()[0].headers.iter().map(|(name, _)| name.clone()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, ["accept", "host", "user-agent"], "{names:?}");
    assert_eq!(registry.requests()[0].header("user-agent"), Some("luet-cosign/9.8.7"));
}
