//! No credential reaches another origin: every way in which a registry can point somewhere else,
//! times every kind of credential, times every kind of "somewhere else". The other origin records
//! all bytes that it gets, TLS taken off.
//!
//! One boundary is the host, not the origin: a token service at another port of the registry's own
//! host is asked with the stored password (docs/policy.md, `auth_hosts`), for the registry itself
//! could ask for that password in a `Basic` challenge. So realms are not tried at another port.

use luet_cosign::limits;
use luet_cosign::registry::{Client, Credential, Role};
use testkit::certificates::{self, AUTHORITY};
use testkit::client::{config, hash, repository, run, subject, tag, with_credential};
use testkit::http::{Answer, Request, Server};
use testkit::registry::{Auth, Options, TestRegistry, digest};
use testkit::{Canary, Sink};

const SECRET: &str = "cAnary7+e/9!kQ~xW3:zP";
const LAYER: &[u8] = b"layer";

/// How a registry points somewhere else, once it has let us in.
struct Lure {
    name: &'static str,
    method: &'static str,
    pattern: &'static str,
    /// Given the base of the other origin.
    answer: fn(&str) -> Answer,
    /// What the other origin says.
    other: fn(&Request) -> Answer,
    /// Whether the other origin is asked at all, as for a blob that is in a store.
    followed: bool,
    /// Whether it comes before anyone was let in.
    early: bool,
    /// The origin that it does not lead to.
    not_to: &'static str,
}

fn serve(_: &Request) -> Answer {
    Answer::new(200).body(LAYER)
}

fn lures() -> Vec<Lure> {
    const BLOBS: &str = "/v2/a/b/blobs/sha256*";
    let lure = |name, method, pattern, answer, followed| Lure {
        name,
        method,
        pattern,
        answer,
        other: serve,
        followed,
        early: false,
        not_to: "",
    };
    let redirect: fn(&str) -> Answer =
        |base| Answer::redirect(307, &format!("{base}/x?X-Signature=abc"));
    let mut lures = vec![
        lure(
            "a blob, by 301",
            "GET",
            BLOBS,
            |base| Answer::redirect(301, &format!("{base}/x")),
            true,
        ),
        lure(
            "a blob, by 302",
            "GET",
            BLOBS,
            |base| Answer::redirect(302, &format!("{base}/x")),
            true,
        ),
        lure(
            "a blob, by 303",
            "GET",
            BLOBS,
            |base| Answer::redirect(303, &format!("{base}/x")),
            true,
        ),
        lure("a blob, by 307", "GET", BLOBS, redirect, true),
        lure(
            "a blob, by 308",
            "GET",
            BLOBS,
            |base| Answer::redirect(308, &format!("{base}/x")),
            true,
        ),
        lure("a manifest", "GET", "/v2/a/b/manifests/*", redirect, true),
        lure("a list of referrers", "GET", "/v2/a/b/referrers/*", redirect, true),
        lure("whether a blob is there", "HEAD", BLOBS, redirect, true),
        lure(
            "the next page of referrers",
            "GET",
            "/v2/a/b/referrers/*",
            |base| referrers(&format!("<{base}/more>; rel=\"next\"")),
            false,
        ),
        lure(
            "a redirect with a user in it",
            "GET",
            BLOBS,
            |base| Answer::redirect(307, &base.replace("://", "://user:x@")),
            false,
        ),
        lure(
            "an upload",
            "POST",
            "/v2/*",
            |base| Answer::new(202).header("Location", &format!("{base}/upload")),
            false,
        ),
        lure("an upload that is begun elsewhere", "POST", "/v2/*", redirect, false),
        lure("an upload that is finished elsewhere", "PUT", "/v2/a/b/blobs/*", redirect, false),
        lure("a manifest that is pushed", "PUT", "/v2/a/b/manifests/*", redirect, false),
    ];
    let relative: fn(&str) -> Answer =
        |base| Answer::redirect(307, base.split_once(':').unwrap().1);
    lures.push(Lure {
        not_to: "another scheme",
        ..lure("a blob, without a scheme", "GET", BLOBS, relative, true)
    });
    let password: fn(&Request) -> Answer =
        |_| Answer::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
    let token: fn(&Request) -> Answer = |request| {
        let host = request.header("host").unwrap_or_default();
        Answer::new(401).header(
            "WWW-Authenticate",
            &format!("Bearer realm=\"http://{host}/token\",service=\"s\""),
        )
    };
    let challenges = [("a password", password), ("a token", token)];
    lures.extend(challenges.map(|(name, other)| Lure {
        name,
        other,
        ..lure("", "GET", BLOBS, redirect, true)
    }));
    let realm: fn(&str) -> Answer = |base| {
        Answer::new(401)
            .header("WWW-Authenticate", &format!("Bearer realm=\"{base}/token\",service=\"s\""))
    };
    lures.extend([
        Lure {
            early: true,
            not_to: "another port",
            ..lure("the realm of a first challenge", "GET", "/v2/*", realm, false)
        },
        Lure {
            early: true,
            not_to: "another port",
            ..lure("the realm of a challenge to a push", "POST", "/v2/*", realm, false)
        },
        Lure {
            early: true,
            not_to: "another port",
            ..lure("the token service's redirect", "*", "/token*", redirect, false)
        },
    ]);
    lures
}

fn referrers(link: &str) -> Answer {
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    Answer::new(200)
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")
        .header("Link", link)
        .body(index)
}

/// A credential, and a registry that takes it.
struct Guard {
    name: &'static str,
    credential: fn() -> Credential,
    auth: fn() -> Auth,
}

fn guards() -> [Guard; 4] {
    let password =
        || Credential::Password { username: "user".into(), password: SECRET.to_owned().into() };
    let by_token = || Auth::Token {
        user: "user".into(),
        password: SECRET.into(),
        identity_token: SECRET.into(),
        anonymous_pull: false,
        realm: String::new(),
    };
    [
        Guard { name: "a password", credential: password, auth: || Auth::basic("user", SECRET) },
        Guard { name: "a password for tokens", credential: password, auth: by_token },
        Guard {
            name: "an identity token",
            credential: || Credential::IdentityToken(SECRET.to_owned().into()),
            auth: by_token,
        },
        Guard {
            name: "a token of the registry",
            credential: || Credential::RegistryToken(SECRET.to_owned().into()),
            auth: || Auth::None,
        },
    ]
}

/// Somewhere else: another name, another port, or another scheme.
fn origins(other: fn(&Request) -> Answer) -> [(&'static str, Sink, String); 3] {
    let (name, port) = (Sink::answering(other), Sink::answering(other));
    let scheme = Sink(Server::start_tls(certificates::good(), other));
    let urls = [
        name.url(),
        format!("http://{}", port.0.host()),
        format!("https://localhost:{}", scheme.0.address().port()),
    ];
    let [by_name, by_port, by_scheme] = urls;
    [
        ("another host", name, by_name),
        ("another port", port, by_port),
        ("another scheme", scheme, by_scheme),
    ]
}

/// Asks for everything that there is to ask for. What comes of it does not matter: some of it must
/// fail.
fn ask_for_everything(client: &Client, registry: &TestRegistry) {
    let repository = repository(&registry.name("a/b"));
    run(async {
        let _ = client.by_tag(&repository, &tag("1"), Role::Image).await;
        let _ = client.referrers(&subject(&registry.name("a/b"), &digest(b"x")), Role::Image).await;
        let _ = client.blob(&repository, &hash(&digest(LAYER)), 5, 100).await;
        let _ = client.may_push(&repository).await;
        let _ = client.put_blob(&repository, LAYER).await;
        let _ = client.put_blob(&repository, b"new").await;
        // One that is worth asking for before it is sent.
        let large = vec![0; limits::BLOB_AT_ONCE_BYTES + 1];
        let _ = client.put_blob(&repository, &large).await;
        let _ = client
            .put_manifest(
                &repository,
                Some(&tag("2")),
                "application/vnd.oci.image.manifest.v1+json",
                b"{}",
            )
            .await;
    });
}

#[test]
fn no_credential_reaches_another_origin() {
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), AUTHORITY).unwrap();
    // What the registry's own token service gives out is as secret as what is stored.
    let canaries = [Canary::new(SECRET), Canary::new("token-canary-")];
    let mut cases = 0;
    let mut reached = 0;
    for lure in lures() {
        for guard in guards() {
            for (origin, sink, base) in origins(lure.other) {
                if lure.not_to == origin {
                    continue;
                }
                let what = format!("{}, with {}, to {origin}", lure.name, guard.name);
                let registry =
                    TestRegistry::with(Options { auth: (guard.auth)(), ..Options::default() });
                registry.push_image("a/b", "1", &[LAYER]);
                let (answer, early) = ((lure.answer)(&base), lure.early);
                registry.rule(lure.method, lure.pattern, move |call| {
                    (early || call.good().status() != 401).then(|| answer.clone())
                });
                if matches!((guard.auth)(), Auth::None) {
                    let challenge = format!("Bearer realm=\"http://{}/token\"", registry.host());
                    let shown = format!("Bearer {SECRET}");
                    registry.rule("*", "/v2/*", move |call| {
                        let refusal = Answer::new(401).header("WWW-Authenticate", &challenge);
                        (call.request.header("authorization") != Some(&shown)).then_some(refusal)
                    });
                }
                let mut config = config();
                config.credentials = with_credential(&registry.host(), (guard.credential)());
                config.ca_file = Some(authority.path().to_owned());
                ask_for_everything(&Client::new(config), &registry);

                let received = sink.0.received();
                for canary in &canaries {
                    let form = canary.found_in(&received);
                    assert_eq!(form, None, "{what}: `{}` arrived {form:?}", canary.text());
                }
                let text = String::from_utf8_lossy(&received).to_ascii_lowercase();
                assert!(
                    !text.contains("authorization:") && !text.contains("cookie:"),
                    "{what}: {text}"
                );
                assert_eq!(
                    !sink.0.requests().is_empty(),
                    lure.followed,
                    "{what}: {:?}",
                    registry.lines()
                );
                assert!(
                    canaries[0].found_in(&registry.server().received()).is_some() || lure.early,
                    "{what}: nobody was asked to log in"
                );
                cases += 1;
                reached += usize::from(lure.followed);
            }
        }
    }
    println!(
        "credentials: {cases} cases, {reached} of them reached the other origin, 0 secrets there"
    );
    assert!(cases >= 80);
}

/// What is in a URL of the user's goes to that URL's host, and not to where it sends us.
#[test]
fn credentials_in_the_url_of_a_key_stay_with_its_host() {
    let canary = Canary::new("kEycanary42");
    for status in [301, 302, 303, 307, 308] {
        let sink = Sink(Server::start_tls(certificates::good(), serve));
        let there = format!("https://localhost:{}/key.pub", sink.0.address().port());
        let first =
            Server::start_tls(certificates::good(), move |_| Answer::redirect(status, &there));
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), AUTHORITY).unwrap();
        let mut config = config();
        config.ca_file = Some(authority.path().to_owned());
        let url = format!(
            "https://user:{0}@127.0.0.1:{1}/key.pub?token={0}",
            canary.text(),
            first.address().port()
        );
        let failure = run(Client::new(config).download(&url, 100)).unwrap_err();
        assert_eq!(canary.found_in(failure.text().as_bytes()), None, "{}", failure.text());
        assert!(
            canary.found_in(&first.received()).is_some(),
            "the host that the user named is asked"
        );
        assert_eq!(sink.0.connections(), 0, "a host inside our network");
    }
}
