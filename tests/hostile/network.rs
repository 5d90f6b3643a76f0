//! N01 to N04, N11, N12, N14 and N16 to N18: where a registry sends us, and what comes back. At the
//! library where a case needs names or addresses of its own (`RegistryConfig::hosts`), else at the
//! real binary.

use crate::cases::Cases;
use crate::world::{LAX, Place, REPO, World, class_of, class_of_result, untouched};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::registry::{Proxies, RegistryConfig};
use rustls::ServerConfig;
use serde_json::json;
use std::sync::Arc;
use testkit::certificates::{self, AUTHORITY};
use testkit::client::{client_with, logged_in, reference, run};
use testkit::http::Answer;
use testkit::registry::{Auth, INDEX, Options, TestRegistry};
use testkit::{Signature, Sink};

const SECRETS: [&str; 3] = ["password-canary", "token-canary", "user:password-canary"];

pub(crate) fn cases(cases: &mut Cases) {
    redirects(cases);
    private_networks(cases);
    encryption(cases);
    strange_urls(cases);
    proxies(cases);
    encodings_and_floods(cases);
}

/// A registry that wants a token, a good signature in it, and a user who is logged in there.
pub(crate) fn guarded() -> World {
    let options = Options { auth: Auth::token("user", "password-canary"), ..Options::default() };
    log_in(World::with(options, LAX).sign(), |host| host.to_owned())
}

/// Stores the password under a name made from the registry's host.
pub(crate) fn log_in(mut world: World, key: impl Fn(&str) -> String) -> World {
    let auth = STANDARD.encode("user:password-canary");
    let config = json!({"auths": {key(&world.registry.host()): {"auth": auth}}}).to_string();
    world.plugin.write("config.json", config);
    let folder = world.plugin.path("").display().to_string();
    world.plugin.set("DOCKER_CONFIG", &folder);
    world
}

/// Once the registry has let us in, sends us on wherever it has what we ask for.
fn sends_on(world: World, place: Place, status: u16, location: &str) -> World {
    let location = location.to_owned();
    world.registry.rule("GET", &world.pattern(place), move |call| {
        (call.good().status() == 200).then(|| Answer::redirect(status, &location))
    });
    world
}

/// A sink with one answer, for what `world` would have answered.
fn store(content: Vec<u8>) -> Sink {
    Sink::answering(move |_| Answer::new(200).body(content.clone()))
}

fn payload(world: &World) -> Vec<u8> {
    world.signature("acme", &world.image.digest, &[]).payload
}

/// N01 to N03: other origins.
fn redirects(cases: &mut Cases) {
    for status in [301, 302, 303, 307, 308] {
        cases.add("N01", format!("a payload elsewhere, by {status}"), "", move || {
            let world = guarded();
            let sink = store(payload(&world));
            let class = sends_on(
                world,
                Place::Blobs,
                status,
                &format!("{}/blob?X-Signature=abc", sink.url()),
            )
            .install();
            sink.assert_clean(&SECRETS);
            assert_eq!(sink.0.requests().len(), 1);
            class
        });
    }
    cases.add("N01", "the same host at another port", "", || {
        let world = guarded();
        let sink = store(payload(&world));
        let class =
            sends_on(world, Place::Blobs, 307, &format!("http://{}/blob", sink.0.host())).install();
        sink.assert_clean(&SECRETS);
        class
    });
    for (what, challenge) in [
        ("a password", "Basic realm=\"x\""),
        ("a token", "Bearer realm=\"http://localhost/token\""),
    ] {
        cases.add("N01", format!("the other host wants {what}"), "auth", move || {
            let sink =
                Sink::answering(move |_| Answer::new(401).header("WWW-Authenticate", challenge));
            let class =
                sends_on(guarded(), Place::Blobs, 307, &format!("{}/blob", sink.url())).install();
            sink.assert_clean(&SECRETS);
            assert_eq!(sink.0.requests().len(), 1, "its challenge is not answered");
            class
        });
    }
    cases.add("N01", "the other host says that it is not there", "registry", || {
        let sink = Sink::answering(|_| Answer::new(404));
        let class =
            sends_on(guarded(), Place::Sig, 307, &format!("{}/manifest", sink.url())).install();
        sink.assert_clean(&SECRETS);
        class
    });
    for hops in [1_usize, 2] {
        cases.add("N02", format!("away and back, {hops} times"), "", move || {
            let world = guarded();
            let content = payload(&world);
            let back = format!("http://{}/v2/{REPO}/again", world.registry.host());
            let sink = Sink::answering(move |_| Answer::redirect(307, &back));
            let away = format!("{}/blob", sink.url());
            let (there, body) = (away.clone(), content);
            world.registry.rule("GET", &format!("/v2/{REPO}/again"), move |call| {
                Some(if call.nth < hops {
                    Answer::redirect(307, &there)
                } else {
                    Answer::new(200).body(body.clone())
                })
            });
            let world = sends_on(world, Place::Blobs, 307, &away);
            let class = world.install();
            let again: Vec<_> = world
                .registry
                .requests()
                .into_iter()
                .filter(|request| request.path().ends_with("/again"))
                .collect();
            assert_eq!(again.len(), hops);
            assert!(
                again.iter().all(|request| request.header("authorization").is_none()),
                "the pass came back: {again:?}"
            );
            sink.assert_clean(&SECRETS);
            class
        });
    }
    cases.add("N02", "from one other host to the next", "", || {
        let world = guarded();
        let last = store(payload(&world));
        let to = format!("http://{}/blob", last.0.host());
        let first = Sink::answering(move |_| Answer::redirect(302, &to));
        let class = sends_on(world, Place::Blobs, 302, &format!("{}/blob", first.url())).install();
        first.assert_clean(&SECRETS);
        last.assert_clean(&SECRETS);
        class
    });
    for (name, place) in
        [("a payload", Place::Blobs), ("the image", Place::Tag), ("signatures", Place::Sig)]
    {
        for (what, host) in [("another host", "localhost"), ("the same host", "127.0.0.1")] {
            cases.add(
                "N03",
                format!("{name} from https to plain http on {what}"),
                "net",
                move || {
                    let sink = Sink::start();
                    let world = over_tls(certificates::good()).sign();
                    let location = format!("http://{host}:{}/x", sink.0.address().port());
                    untouched(&sink, sends_on(world, place, 307, &location).install())
                },
            );
        }
    }
}

/// A registry on loopback that speaks TLS, whose authority is trusted.
fn over_tls(tls: Arc<ServerConfig>) -> World {
    let mut world = World::with(Options { tls: Some(tls), ..Options::default() }, LAX);
    let authority = world.plugin.write("ca.pem", AUTHORITY).display().to_string();
    world.plugin.set("SSL_CERT_FILE", &authority);
    world
}

/// N04: a registry has no business in networks that it is not in.
fn private_networks(cases: &mut Cases) {
    for address in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1:8443",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:169.254.169.254]",
        "0xa9fea9fe",
        "2852039166",
    ] {
        cases.add("N04", format!("a redirect to {address}"), "net", move || {
            sends_on(
                World::signed(),
                Place::Blobs,
                307,
                &format!("https://{address}/latest/meta-data/"),
            )
            .install()
        });
    }
    for address in ["10.0.0.1:0", "169.254.169.254:0", "[fd00::1]:0"] {
        cases.add("N04", format!("a name that leads to {address}"), "net", move || {
            let registry = TestRegistry::start();
            registry.always("GET", "/v2/*", Answer::redirect(307, "https://innocent.example/blob"));
            let client = client_with(|config| {
                drop(config.hosts.insert("innocent.example".into(), vec![address.parse().unwrap()]))
            });
            class_of_result(run(client.resolve(&reference(&registry.name("a/b:1")))))
        });
    }
    cases.add("N04", "a realm inside our network", "net", || {
        let service = testkit::Server::start_tls(certificates::good(), |_| {
            Answer::new(200).json(r#"{"token":"x"}"#)
        });
        let challenge =
            format!("Bearer realm=\"https://inside.test:{}/token\"", service.address().port());
        let registry =
            TestRegistry::with(Options { tls: Some(certificates::good()), ..Options::default() });
        registry.always("GET", "/v2/*", Answer::new(401).header("WWW-Authenticate", &challenge));
        let class = ask(&registry, "registry.test", |config| {
            drop(config.hosts.insert("inside.test".into(), vec![service.address()]))
        });
        assert_eq!(service.connections(), 0);
        class
    });
}

/// Asks the library for `HOST:PORT/a/b:1`, with the test's authority, after `change`.
pub(crate) fn ask(
    registry: &TestRegistry,
    host: &str,
    change: impl FnOnce(&mut RegistryConfig),
) -> String {
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), AUTHORITY).unwrap();
    let client = client_with(|config| {
        config.ca_file = Some(authority.path().to_owned());
        config.hosts.insert(host.into(), vec!["127.0.0.1:0".parse().unwrap()]);
        change(config);
    });
    let name = format!("{host}:{}/a/b:1", registry.server().address().port());
    class_of_result(run(client.resolve(&reference(&name))))
}

/// N11 and N12: plain http and TLS.
fn encryption(cases: &mut Cases) {
    for host in ["registry.test", "registry.local", "192-168-0-1.example"] {
        cases.add("N11", format!("plain http at {host}"), "net", move || {
            let registry = TestRegistry::start();
            registry.push_image("a/b", "1", &[b"layer"]);
            let class = ask(&registry, host, |_| {});
            assert_eq!(registry.requests().len(), 0);
            class
        });
    }
    for (what, port, expected) in
        [("that is named", 0, ""), ("of which another port is named", 1, "net")]
    {
        cases.add("N11", format!("plain http at a registry {what}"), expected, move || {
            let registry = TestRegistry::start();
            registry.push_image("a/b", "1", &[b"layer"]);
            let named = format!(
                "registry.test:{}",
                registry.server().address().port().wrapping_add(port).max(1)
            );
            ask(&registry, "registry.test", |config| {
                config.http_registries.push(named.parse().unwrap())
            })
        });
    }
    type Certificate = fn() -> Arc<ServerConfig>;
    let certificates: [(&str, Certificate, &str); 3] = [
        ("a good one", certificates::good, ""),
        ("an expired one", certificates::expired, "net"),
        ("another host's", certificates::misnamed, "net"),
    ];
    for (what, tls, expected) in certificates {
        cases.add("N12", format!("a certificate: {what}"), expected, move || {
            let world = over_tls(tls()).sign();
            let class = world.install();
            let received = world.registry.server().received();
            // Loopback is tried in plain http first, which is a request without credentials;
            // elsewhere nothing is.
            assert!(!String::from_utf8_lossy(&received).contains("authorization"));
            class
        });
        cases.add(
            "N12",
            format!("a certificate at a host elsewhere: {what}"),
            expected,
            move || {
                let registry =
                    TestRegistry::with(Options { tls: Some(tls()), ..Options::default() });
                registry.push_image("a/b", "1", &[b"layer"]);
                let class = ask(&registry, "registry.test", |_| {});
                assert_eq!(registry.requests().is_empty(), !expected.is_empty());
                class
            },
        );
        cases.add(
            "N12",
            format!("a certificate at the token service: {what}"),
            expected,
            move || {
                let service = testkit::Server::start_tls(tls(), |_| {
                    Answer::new(200).json(r#"{"token":"x"}"#)
                });
                let challenge = format!(
                    "Bearer realm=\"https://registry.test:{}/token\"",
                    service.address().port()
                );
                let registry = TestRegistry::with(Options {
                    tls: Some(certificates::good()),
                    ..Options::default()
                });
                registry.push_image("a/b", "1", &[b"layer"]);
                registry.rule("GET", "/v2/*", move |call| {
                    (call.request.header("authorization") != Some("Bearer x"))
                        .then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
                });
                ask(&registry, "registry.test", |_| {})
            },
        );
    }
    cases.add("N12", "a certificate of an authority that nobody trusts", "net", || {
        let mut world = over_tls(certificates::good()).sign();
        world.plugin.unset("SSL_CERT_FILE");
        world.install()
    });
}

/// N14: what signatures, manifests and configurations name is never fetched.
fn strange_urls(cases: &mut Cases) {
    type Plant = fn(&World, &str);
    let plants: [(&str, Plant); 4] = [
        ("annotations of a signature", |world, url| {
            let mut signature = world.signature("acme", &world.image.digest, &[]);
            for key in [
                "dev.sigstore.cosign/bundle",
                "dev.sigstore.cosign/rekor",
                "org.opencontainers.image.url",
            ] {
                signature.annotations.push((
                    key.to_owned(),
                    json!({"url": url, "SignedEntryTimestamp": url}).to_string(),
                ));
            }
            world.registry.push_signatures(REPO, &world.image.digest, &[signature]);
        }),
        ("the signed payload", |world, url| {
            let signature = crate::world::signature(
                url,
                "acme",
                &world.image.digest,
                &[("url", url), ("issuer", url)],
            );
            world.registry.push_signatures(REPO, &world.image.digest, &[signature]);
        }),
        ("the log entries of a bundle", |world, url| {
            let bundle = crate::world::bundle("acme", &world.image.digest);
            let mut bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
            bundle["verificationMaterial"]["tlogEntries"] =
                json!([{"logId": {"keyId": "AAAA"}, "baseUrl": url}]);
            world.registry.push_referrer(
                REPO,
                &world.image,
                crate::world::BUNDLE,
                bundle.to_string().as_bytes(),
            );
        }),
        ("another signature beside the good one", |world, url| {
            let annotations = vec![
                (crate::world::SIGNATURE.to_owned(), "AAAA".to_owned()),
                ("dev.sigstore.cosign/certificate".to_owned(), url.to_owned()),
                ("dev.sigstore.cosign/chain".to_owned(), url.to_owned()),
            ];
            let stranger = Signature { payload: url.as_bytes().to_vec(), annotations };
            let good = world.signature("acme", &world.image.digest, &[]);
            world.registry.push_signatures(REPO, &world.image.digest, &[stranger, good]);
        }),
    ];
    for (what, plant) in plants {
        cases.add("N14", format!("a URL in {what}"), "", move || {
            let sink = Sink::start();
            let world = World::strict();
            plant(&world, &format!("{}/ssrf", sink.url()));
            untouched(&sink, world.install())
        });
    }
}

/// N16: proxies.
fn proxies(cases: &mut Cases) {
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY"] {
        cases.add("N16", format!("{variable}, and a registry on loopback"), "", move || {
            let sink = Sink::start();
            let mut world = guarded();
            world.plugin.set(variable, &format!("http://proxy:canary@{}", sink.0.host()));
            untouched(&sink, world.install())
        });
    }
    for (what, challenge) in [
        ("a password", "Basic realm=\"x\""),
        ("a token", "Bearer realm=\"http://plain.test:5000/token\""),
    ] {
        cases.add(
            "N16",
            format!("a registry in plain http behind a proxy wants {what}"),
            "auth",
            move || {
                let proxy = Sink::answering(move |_| {
                    Answer::new(401).header("WWW-Authenticate", challenge)
                });
                let client = client_with(|config| {
                    config.proxies = Proxies {
                        http: Some(format!("http://{}", proxy.0.host())),
                        https: None,
                        ..Proxies::default()
                    };
                    config.http_registries.push("plain.test:5000".parse().unwrap());
                    config.credentials = logged_in("plain.test:5000");
                });
                let class =
                    class_of_result(run(client.resolve(&reference("plain.test:5000/a/b:1"))));
                proxy.assert_clean(&SECRETS);
                assert_eq!(proxy.0.requests().len(), 1, "nothing after the challenge");
                class
            },
        );
    }
    cases.add("N16", "a proxy that refuses the tunnel", "net", || {
        let proxy = Sink::answering(|_| Answer::new(502));
        let registry =
            TestRegistry::with(Options { tls: Some(certificates::good()), ..Options::default() });
        ask(&registry, "registry.test", |config| {
            config.proxies.https = Some(format!("http://{}", proxy.0.host()))
        })
    });
}

/// N17 and N18: what no decoder and no parser should see.
fn encodings_and_floods(cases: &mut Cases) {
    for (name, place) in [
        ("the image", Place::Tag),
        ("signatures", Place::Sig),
        ("referrers", Place::Referrers),
        ("a payload", Place::Blobs),
    ] {
        for encoding in ["gzip", "br", "zstd", "deflate", "x-unknown"] {
            cases.add("N17", format!("{name} in {encoding}"), "malformed", move || {
                // Referrers decide only where no good signature was found before.
                let world = if place == Place::Referrers { World::lax() } else { World::signed() };
                world
                    .bend(place, move |answer| answer.header("Content-Encoding", encoding))
                    .install()
            });
        }
        cases.add("N17", format!("{name} in identity"), "", move || {
            World::signed()
                .bend(place, |answer| answer.header("Content-Encoding", "identity"))
                .install()
        });
    }
    let header = |lines: String| {
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\n{lines}Content-Type: {INDEX}\r\nContent-Length: 2\r\n\r\n{{}}"
        ))
    };
    let floods = [
        ("10^4 headers", header((0..10_000).map(|n| format!("X-{n}: y\r\n")).collect())),
        ("a header of 1 MiB", header(format!("X: {}\r\n", "y".repeat(1 << 20)))),
        ("a head that does not end", Answer::raw("HTTP/1.1 200 OK\r\n").endless("X: y\r\n")),
        (
            "a status line of 1 MiB",
            Answer::raw(format!("HTTP/1.1 200 {}\r\n\r\n", "y".repeat(1 << 20))),
        ),
        ("HTTP/2 where 1.1 was spoken", Answer::raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ];
    for (what, answer) in floods {
        for (name, place) in [("the image", Place::Tag), ("referrers", Place::Referrers)] {
            let answer = answer.clone();
            cases.add("N18", format!("{name}: {what}"), "net", move || {
                World::lax().serve(place, answer.clone()).install()
            });
        }
    }
    cases.add("N18", "1xx answers for ever", "net", || {
        let mut world = World::lax()
            .serve(Place::Tag, Answer::raw("").endless("HTTP/1.1 100 Continue\r\n\r\n".repeat(64)));
        world.plugin.set("LUET_COSIGN_TIMEOUT", "1");
        let reply = world.plugin.pre_unpack(&world.name(), &world.dest());
        // Nothing within the HTTP library looks at a timer meanwhile: the watching thread ends the
        // process, and its exit code stops the host.
        if reply.exit == Some(0) {
            return class_of(&reply);
        }
        assert_eq!((reply.exit, reply.stdout.as_str()), (Some(20), ""), "{reply:?}");
        reply.stderr.split(':').next().unwrap_or_default().to_owned()
    });
}
