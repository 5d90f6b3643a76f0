//! What keeps a registry from being reached is told by its cause: TLS, one by one, and proxies.

use luet_cosign::class::{Class, Failure};
use luet_cosign::registry::{Proxies, RegistryConfig};
use rustls::ServerConfig;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use testkit::certificates::{
    self, AUTHORITY, OWN, OWN_EXPIRED, OWN_FOR_CLIENTS, OWN_MISNAMED, Own,
};
use testkit::client::*;
use testkit::{Answer, Options, Server, TestRegistry};

fn https(tls: Arc<ServerConfig>) -> TestRegistry {
    let registry = TestRegistry::with(Options { tls: Some(tls), ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    registry
}

/// Asks for an image at this address under a name, with a file of authorities.
fn ask(
    address: SocketAddr,
    host: &str,
    authorities: &[u8],
    change: impl FnOnce(&mut RegistryConfig),
) -> (Result<(), Failure>, u64) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authorities).unwrap();
    let client = client_with(|config| {
        config.ca_file = Some(file.path().to_owned());
        config.hosts.insert("registry.test".into(), vec!["127.0.0.1:0".parse().unwrap()]);
        change(config);
    });
    let found = run(client.resolve(&reference(&format!("{host}:{}/a/b:1", address.port()))));
    (found.map(drop), client.requests())
}

fn refused(address: SocketAddr, host: &str, authorities: &[u8]) -> Failure {
    let (found, requests) = ask(address, host, authorities, |_| {});
    let failure = found.unwrap_err();
    assert_eq!(failure.class(), Class::Net, "{failure}");
    assert_eq!(requests, 1, "asking again changes nothing: {failure}");
    failure
}

/// A server that answers the first bytes with these, whatever they are.
fn answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut first = [0; 1024];
            let _ = stream.read(&mut first);
            let _ = stream.write_all(bytes);
            // What was not read would reset the connection before the answer is.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while stream.read(&mut first).is_ok_and(|read| read > 0) {}
        }
    });
    address
}

const AUTHORITY_HINT: &str = "SSL_CERT_FILE";

#[test]
fn each_cause_of_tls_has_its_own_sentence_and_way_out() {
    let servers = [
        https(certificates::expired()),
        https(certificates::not_yet()),
        https(certificates::misnamed()),
        https(certificates::wants_client()),
    ];
    let [expired, not_yet, misnamed, wants_client] = &servers;
    // As Go's servers answer what is not HTTP.
    let plain = answers(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n");
    let foreign = https(certificates::good());
    // Alerts of a server that speaks no more than TLS 1.1: `protocol_version`.
    let old = answers(&[0x15, 3, 1, 0, 2, 2, 70]);
    for (address, authorities, says, way_out) in [
        (expired.server().address(), AUTHORITY, "ended on 2021-01-01", "renew"),
        (not_yet.server().address(), AUTHORITY, "begins on 2100-01-01", "set the clock"),
        (
            misnamed.server().address(),
            AUTHORITY,
            "for `elsewhere.example`, not for this name",
            "use a name",
        ),
        (
            wants_client.server().address(),
            AUTHORITY,
            "wants a certificate of its clients",
            "without one",
        ),
        (plain, AUTHORITY, "speaks no TLS", "LUET_COSIGN_HTTP_REGISTRIES="),
        (old, AUTHORITY, "expected TLS 1.2 or 1.3", "updated"),
        (foreign.server().address(), OWN.pem, "not trusted here", AUTHORITY_HINT),
    ] {
        let failure = refused(address, "registry.test", authorities);
        assert!(failure.message().contains(says), "{says}: {failure}");
        assert!(failure.the_hint().contains(way_out), "{}", failure.text());
        assert_eq!(
            failure.the_hint().contains(AUTHORITY_HINT),
            way_out == AUTHORITY_HINT,
            "{}",
            failure.text()
        );
    }
}

#[test]
fn the_hint_about_plain_http_works_as_it_is_written() {
    let plain = TestRegistry::start();
    plain.push_image("a/b", "1", &[b"layer"]);
    let address = plain.server().address();
    // This one closes the connection instead of answering.
    let (found, _) = ask(address, "registry.test", AUTHORITY, |_| {});
    let failure = found.unwrap_err();
    assert!(failure.message().contains("closed the connection"), "{failure}");
    let hint = failure.the_hint();
    let named = hint.split("LUET_COSIGN_HTTP_REGISTRIES=").nth(1).unwrap();
    let named = named.split([',', ' ']).next().unwrap().to_owned();
    let (found, _) = ask(address, "registry.test", AUTHORITY, |config| {
        config.http_registries.push(named.parse().unwrap());
    });
    assert_eq!(found, Ok(()), "{named}");
}

/// A certificate that is marked as an authority's, at a server that shows it.
fn own(own: &Own, host: &str, authorities: &[u8]) -> Result<(), String> {
    let registry = https(own.server());
    let (found, _) = ask(registry.server().address(), host, authorities, |_| {});
    found.map_err(|failure| failure.message())
}

#[test]
fn a_certificate_that_was_named_byte_for_byte_is_accepted() {
    let both = [AUTHORITY, OWN.pem].concat();
    for host in ["registry.test", "127.0.0.1", "localhost"] {
        assert_eq!(own(&OWN, host, OWN.pem), Ok(()), "{host}");
        assert_eq!(own(&OWN, host, &both), Ok(()), "{host}");
    }
    // By `ca` of this registry, and of no other.
    let registry = https(OWN.server());
    let extra = |port: u16| {
        let address = registry.server().address();
        ask(address, "registry.test", AUTHORITY, |config| {
            let name = format!("registry.test:{port}");
            config.extra_ca.insert(name.parse().unwrap(), Ok(OWN.pem.to_vec()));
        })
        .0
    };
    let port = registry.server().address().port();
    assert_eq!(extra(port), Ok(()));
    assert!(extra(port.wrapping_add(1).max(1)).is_err());
}

#[test]
fn one_that_was_not_named_or_does_not_fit_is_not() {
    for (certificate, host, authorities, says) in [
        // Another one of the same name and kind is not this one.
        (&OWN, "registry.test", OWN_MISNAMED.pem, "not trusted here"),
        (&OWN, "registry.test", AUTHORITY, "not trusted here"),
        (&OWN, "a.b.hosts.test", OWN.pem, "not for this name"),
        (&OWN_MISNAMED, "registry.test", OWN_MISNAMED.pem, "for `elsewhere.example`"),
        (&OWN_EXPIRED, "registry.test", OWN_EXPIRED.pem, "ended on 2021-01-01"),
        (&OWN_FOR_CLIENTS, "registry.test", OWN_FOR_CLIENTS.pem, "TLS failed"),
    ] {
        let registry = https(certificate.server());
        let (found, _) = ask(registry.server().address(), host, authorities, |config| {
            config.hosts.insert("a.b.hosts.test".into(), vec!["127.0.0.1:0".parse().unwrap()]);
        });
        let failure = found.unwrap_err();
        assert_eq!(failure.class(), Class::Net);
        assert!(failure.message().contains(says), "{says}: {failure}");
        assert_eq!(registry.requests().len(), 0, "{says}");
    }
}

#[test]
fn of_two_tries_on_loopback_the_more_telling_one_is_shown() {
    for (tls, says) in [
        (certificates::expired(), "ended on 2021-01-01"),
        (certificates::wants_client(), "wants a certificate of its clients"),
        (OWN.server(), "not trusted here"),
    ] {
        let registry = https(tls);
        let (found, _) = ask(registry.server().address(), "127.0.0.1", AUTHORITY, |_| {});
        let failure = found.unwrap_err();
        assert!(failure.message().contains(says), "{says}: {failure}");
    }
    // What speaks neither: the first.
    let (found, _) = ask(answers(b"SSH-2.0-x\r\n"), "127.0.0.1", AUTHORITY, |_| {});
    let failure = found.unwrap_err();
    assert!(!failure.message().contains("TLS"), "{failure}");
}

#[test]
fn loopback_that_sends_plain_http_on_to_tls_at_the_same_port_is_followed_with_its_pass() {
    // As Harbor's and GitLab's nginx answer what is not TLS: 301 to https at the same port. The
    // scripted server speaks one or the other, so this one says where to go and stays plain.
    let registry = TestRegistry::start();
    let host = registry.host();
    registry.always(
        "GET",
        "*",
        Answer::redirect(301, &format!("https://{host}/v2/a/b/manifests/1")),
    );
    let (found, requests) = ask(registry.server().address(), "127.0.0.1", AUTHORITY, |_| {});
    // It was asked in TLS, as a registry and not as someone else it sent us to.
    let failure = found.unwrap_err();
    assert!(failure.message().contains("sends us to"), "{failure}");
    assert!(requests > 1, "{requests}");
}

/// Asks a registry in https through what `HTTPS_PROXY` names.
fn through(proxy: &str) -> (Failure, u64) {
    let registry = https(certificates::good());
    let (found, requests) =
        ask(registry.server().address(), "registry.test", AUTHORITY, |config| {
            config.proxies = Proxies {
                https: Some(proxy.to_owned()),
                https_variable: "https_proxy",
                ..Proxies::default()
            };
        });
    (found.unwrap_err(), requests)
}

#[test]
fn what_fails_at_a_proxy_is_told_of_the_proxy_and_its_variable() {
    const TRIES: u64 = luet_cosign::limits::TRIES as u64;
    for (status, user, says, way_out, tries) in [
        (403, "", "does not allow it (403)", "have it allowed there", 1),
        (
            407,
            "",
            "wants a user and a password (407)",
            "before the host: `USER:PASSWORD@127.0.0.1:",
            1,
        ),
        (407, "user:canary@", "refused the user and password", "correct them in https_proxy", 1),
        (404, "", "made no tunnel (404)", "names a proxy", 1),
        (503, "", "could not reach it (503)", "NO_PROXY", TRIES),
    ] {
        let proxy = Server::start(move |_| Answer::new(status));
        let (failure, requests) = through(&format!("http://{user}{}", proxy.host()));
        assert_eq!(failure.class(), Class::Net, "{failure}");
        let named = format!("the proxy `http://{}` (https_proxy)", proxy.host());
        assert!(failure.message().contains(&named), "{failure}");
        assert!(failure.message().contains(says), "{failure}");
        assert!(failure.the_hint().contains(way_out), "{}", failure.text());
        assert!(!failure.text().contains("canary"), "{}", failure.text());
        assert!(!failure.text().contains("SSL_CERT_FILE"), "{}", failure.text());
        assert_eq!(requests, tries, "{status}");
        assert!(proxy.requests().iter().all(|request| request.method == "CONNECT"));
    }
    // Nobody is there, and someone who is not a proxy.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (failure, _) = through(&format!("http://{nobody}"));
    assert!(
        failure.message().contains("(https_proxy) cannot be reached: Connection refused"),
        "{failure}"
    );
    let (failure, requests) = through(&format!("http://{}", answers(b"SSH-2.0-x\r\n")));
    assert!(failure.message().contains("(https_proxy) answers something that is not HTTP"));
    assert_eq!(requests, 1);
}

#[test]
fn a_variable_that_names_no_proxy_is_an_error_before_anything_is_sent() {
    for (proxy, says) in [
        ("socks5://user:canary@127.0.0.1:1080", "names a proxy of the kind `socks5`"),
        ("ht tp://user:canary@x", "is not a proxy URL"),
        ("http://user:canary@:3128", "is not a proxy URL"),
    ] {
        let (failure, requests) = through(proxy);
        assert_eq!((failure.class(), requests), (Class::Usage, 0), "{failure}");
        assert!(failure.message().starts_with("https_proxy "), "{failure}");
        assert!(failure.message().contains(says), "{failure}");
        assert!(!failure.text().contains("canary"), "{}", failure.text());
    }
}

#[test]
fn a_proxy_for_plain_http_that_wants_a_password_is_named() {
    let proxy = Server::start(|_| Answer::new(407));
    let client = client_with(|config| {
        config.proxies.http = Some(proxy.host());
        config.http_registries.push("plain.test:5000".parse().unwrap());
    });
    let failure = run(client.resolve(&reference("plain.test:5000/a/b:1"))).unwrap_err();
    assert_eq!((failure.class(), client.requests()), (Class::Net, 1), "{failure}");
    assert!(failure.message().contains("(HTTP_PROXY) wants a user and a password"), "{failure}");
}
