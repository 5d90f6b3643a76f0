//! Who is shown what: challenges, tokens, realms (N05 to N10).

use luet_cosign::class::Class;
use luet_cosign::registry::{Client, Credential, Role};
use testkit::certificates::{self, AUTHORITY};
use testkit::client::*;
use testkit::{Answer, Auth, Options, Server, Sink, TestRegistry};

fn guarded(auth: Auth) -> TestRegistry {
    let registry = TestRegistry::with(Options { auth, ..Options::default() });
    registry.push_image("a/b", "1", &[b"layer"]);
    registry
}

fn resolve(client: &Client, registry: &TestRegistry) -> Result<(), Class> {
    run(client.resolve(&reference(&registry.name("a/b:1"))))
        .map(drop)
        .map_err(|failure| failure.class())
}

fn with_login(registry: &TestRegistry) -> Client {
    client_with(|config| config.credentials = logged_in(&registry.host()))
}

/// A registry that sends everybody to this realm.
fn sending_to(realm: &str) -> TestRegistry {
    let registry = TestRegistry::start();
    registry.always(
        "GET",
        "/v2/*",
        Answer::error(401, "UNAUTHORIZED")
            .header("WWW-Authenticate", &format!("Bearer realm=\"{realm}\",service=\"s\"")),
    );
    registry
}

#[test]
fn a_request_goes_out_bare_until_the_registry_asks() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    assert_eq!(resolve(&with_login(&registry), &registry), Ok(()));
    assert!(registry.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_password_opens_a_registry_that_wants_one() {
    let registry = guarded(Auth::basic("user", "password-canary"));
    assert_eq!(resolve(&with_login(&registry), &registry), Ok(()));
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn a_password_is_shown_once_it_is_known_to_be_wanted() {
    let registry = guarded(Auth::basic("user", "password-canary"));
    let client = with_login(&registry);
    run(async {
        for _ in 0..3 {
            client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        }
    });
    assert_eq!(registry.requests().len(), 4);
}

#[test]
fn a_password_that_is_refused_is_sent_once() {
    let registry = guarded(Auth::basic("user", "another"));
    assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth));
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn a_password_that_is_no_longer_good_is_not_sent_again() {
    let registry = guarded(Auth::basic("user", "password-canary"));
    let client = with_login(&registry);
    assert_eq!(resolve(&client, &registry), Ok(()));
    registry.always(
        "GET",
        "*",
        Answer::new(401).header("WWW-Authenticate", "Basic realm=\"test\""),
    );
    assert_eq!(resolve(&client, &registry), Err(Class::Auth));
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn without_a_password_there_is_nothing_to_show() {
    let registry = guarded(Auth::basic("user", "password"));
    assert_eq!(resolve(&client(), &registry), Err(Class::Auth));
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_token_is_got_with_the_password_and_shown_in_its_place() {
    let registry = guarded(Auth::token("user", "password-canary"));
    assert_eq!(resolve(&with_login(&registry), &registry), Ok(()));
    let requests = registry.requests();
    assert_eq!(
        requests.iter().map(|request| request.path()).collect::<Vec<_>>(),
        ["/v2/a/b/manifests/1", "/token", "/v2/a/b/manifests/1"]
    );
    assert_eq!(requests[1].query("scope").as_deref(), Some("repository:a/b:pull"));
    assert_eq!(requests[1].query("service").as_deref(), Some("test registry"));
    assert!(requests[1].header("authorization").is_some_and(|shown| shown.starts_with("Basic ")));
    assert!(
        requests[2]
            .header("authorization")
            .is_some_and(|shown| shown.starts_with("Bearer token-canary-"))
    );
}

#[test]
fn a_token_to_pull_may_be_had_without_a_name() {
    let registry = guarded(Auth::anonymous());
    assert_eq!(resolve(&client(), &registry), Ok(()));
    assert!(registry.requests()[1].header("authorization").is_none());
}

#[test]
fn an_identity_token_is_exchanged_in_the_body_of_a_post() {
    let registry = guarded(Auth::token("user", "password"));
    let token = Credential::IdentityToken("identity-canary".to_owned().into());
    let client =
        client_with(|config| config.credentials = with_credential(&registry.host(), token));
    assert_eq!(resolve(&client, &registry), Ok(()));
    let requests = registry.requests();
    assert_eq!((requests[1].method.as_str(), requests[1].target.as_str()), ("POST", "/token"));
    assert!(requests.iter().all(|request| !request.target.contains("canary")));
}

#[test]
fn a_token_of_the_registry_is_shown_as_it_is() {
    let registry = TestRegistry::start();
    registry.push_image("a/b", "1", &[b"layer"]);
    registry.rule("GET", "/v2/*", |call| {
        let refusal = Answer::new(401)
            .header("WWW-Authenticate", "Bearer realm=\"http://127.0.0.1:1/token\"");
        (call.request.header("authorization") != Some("Bearer registry-canary")).then_some(refusal)
    });
    let token = Credential::RegistryToken("registry-canary".to_owned().into());
    let client =
        client_with(|config| config.credentials = with_credential(&registry.host(), token));
    assert_eq!(resolve(&client, &registry), Ok(()));
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn a_token_is_used_until_it_ends_and_then_renewed() {
    let registry = guarded(Auth::anonymous());
    let client = client();
    run(async {
        let name = reference(&registry.name("a/b:1"));
        client.resolve(&name).await.unwrap();
        client.resolve(&name).await.unwrap();
        assert_eq!(registry.requests().len(), 4);
        registry.expire_tokens();
        client.resolve(&name).await.unwrap();
        assert_eq!(registry.requests().len(), 7);
    });
    assert_eq!(registry.count("/token"), 2);
}

#[test]
fn a_registry_that_refuses_its_own_token_is_not_asked_for_ever() {
    let registry = guarded(Auth::anonymous());
    registry.rule("GET", "/token*", |_| Some(Answer::new(200).json(r#"{"token":"worthless"}"#)));
    assert_eq!(resolve(&client(), &registry), Err(Class::Auth));
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn requests_at_the_same_time_share_one_token() {
    let registry = guarded(Auth::anonymous());
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let (name, subject) =
        (repository(&registry.name("a/b")), subject(&registry.name("a/b"), &image.digest));
    run(async {
        let client = client();
        let (a, b) = (tag("1"), tag("2"));
        let (a, b, c) = tokio::join!(
            client.by_tag(&name, &a, Role::Image),
            client.by_tag(&name, &b, Role::Image),
            client.referrers(&subject, Role::Image)
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    });
    assert_eq!(registry.count("/token"), 1, "{:?}", registry.lines());
}

#[test]
fn tokens_are_per_repository() {
    let registry = guarded(Auth::anonymous());
    registry.push_image("c/d", "1", &[b"layer"]);
    run(async {
        let client = client();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        client.resolve(&reference(&registry.name("c/d:1"))).await.unwrap();
    });
    let scopes: Vec<_> =
        registry.requests().iter().filter_map(|request| request.query("scope")).collect();
    assert_eq!(scopes, ["repository:a/b:pull", "repository:c/d:pull"]);
}

#[test]
fn a_wrong_password_at_the_token_service_is_auth() {
    let registry = guarded(Auth::token("user", "another"));
    assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth));
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn a_token_service_that_fails_for_a_while_is_asked_again() {
    let registry = guarded(Auth::anonymous());
    registry.in_turn("GET", "/token*", vec![Answer::new(503), Answer::reset()]);
    assert_eq!(resolve(&client(), &registry), Ok(()));
    let registry = guarded(Auth::anonymous());
    registry.always("GET", "/token*", Answer::new(503));
    assert_eq!(resolve(&client(), &registry), Err(Class::Registry));
}

#[test]
fn only_a_plain_token_in_a_small_answer_is_taken() {
    for (name, answer, expected) in [
        ("access_token", Answer::new(200).json(r#"{"access_token":"x"}"#), None),
        ("token wins", Answer::new(200).json(r#"{"token":"x","access_token":"y"}"#), None),
        ("empty token", Answer::new(200).json(r#"{"token":"","access_token":"x"}"#), None),
        ("null", Answer::new(200).json("null"), Some(Class::Auth)),
        ("null token", Answer::new(200).json(r#"{"token":null}"#), Some(Class::Auth)),
        ("no token", Answer::new(200).json("{}"), Some(Class::Auth)),
        (
            "both empty",
            Answer::new(200).json(r#"{"token":"","access_token":""}"#),
            Some(Class::Auth),
        ),
        ("a number", Answer::new(200).json(r#"{"token":1}"#), Some(Class::Auth)),
        ("newline", Answer::new(200).json(r#"{"token":"x\r\nX-Injected: y"}"#), Some(Class::Auth)),
        ("blank", Answer::new(200).json(r#"{"token":"x y"}"#), Some(Class::Auth)),
        ("not ASCII", Answer::new(200).json(r#"{"token":"é"}"#), Some(Class::Auth)),
        ("NUL", Answer::new(200).json(r#"{"token":"x\u0000"}"#), Some(Class::Auth)),
        ("not JSON", Answer::new(200).body("token"), Some(Class::Auth)),
        ("HTML", Answer::html(200), Some(Class::Auth)),
        ("201", Answer::new(201).json(r#"{"token":"x"}"#), Some(Class::Auth)),
        ("400", Answer::new(400), Some(Class::Auth)),
        ("403", Answer::new(403), Some(Class::Auth)),
        ("404", Answer::new(404), Some(Class::Auth)),
        (
            "1 MiB",
            Answer::new(200).json(&format!(r#"{{"token":"{}"}}"#, "x".repeat(1 << 20))),
            Some(Class::Limit),
        ),
        ("endless", Answer::new(200).endless("{\"token\":"), Some(Class::Limit)),
    ] {
        let registry = TestRegistry::start();
        registry.push_image("a/b", "1", &[b"layer"]);
        let realm = format!("Bearer realm=\"http://{}/token\"", registry.host());
        registry.rule("GET", "/v2/*", move |call| {
            (call.request.header("authorization") != Some("Bearer x"))
                .then(|| Answer::new(401).header("WWW-Authenticate", &realm))
        });
        registry.always("GET", "/token*", answer);
        assert_eq!(resolve(&client(), &registry).err(), expected, "{name}");
        let shown = if expected.is_none() { 2 } else { 1 };
        assert_eq!(registry.count("/v2/"), shown, "a bad token is not shown: {name}");
    }
}

#[test]
fn a_token_service_that_redirects_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let sink = Sink::start();
        let registry = guarded(Auth::token("user", "password-canary"));
        registry.always(
            "GET",
            "/token*",
            Answer::redirect(status, &format!("{}/token", sink.url())),
        );
        assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth), "{status}");
        assert_eq!(sink.0.connections(), 0, "{status}");
    }
}

#[test]
fn credentials_do_not_go_to_a_realm_elsewhere() {
    let sink = Sink::start();
    let registry = sending_to(&format!("{}/token", sink.url()));
    assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth));
    assert_eq!(sink.0.connections(), 0);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_realm_elsewhere_on_plain_http_is_not_even_asked_without_a_name() {
    let sink = Sink::start();
    let registry = sending_to(&format!("{}/token", sink.url()));
    assert_eq!(resolve(&client(), &registry), Err(Class::Auth));
    assert_eq!(sink.0.connections(), 0);
}

#[test]
fn a_realm_that_is_named_for_the_registry_may_see_its_credentials() {
    for by_port in [false, true] {
        let service = Sink::answering(|_| Answer::new(200).json(r#"{"token":"x"}"#));
        let registry = sending_to(&format!("{}/token", service.url()));
        registry.push_image("a/b", "1", &[b"layer"]);
        registry.rule("GET", "/v2/*", |call| {
            (call.request.header("authorization") == Some("Bearer x")).then(|| call.good())
        });
        let port = service.0.address().port();
        let client = client_with(|config| {
            config.credentials = logged_in(&registry.host());
            let entry = if by_port { format!("localhost:{port}") } else { "localhost".into() };
            config.auth_hosts.insert(registry.host().parse().unwrap(), vec![entry]);
        });
        assert_eq!(resolve(&client, &registry), Ok(()));
        assert!(service.0.requests()[0].header("authorization").is_some());
    }
}

#[test]
fn a_realm_that_is_named_for_another_registry_may_not() {
    let sink = Sink::start();
    let registry = sending_to(&format!("{}/token", sink.url()));
    let client = client_with(|config| {
        config.credentials = logged_in(&registry.host());
        config.auth_hosts.insert("quay.io".parse().unwrap(), vec!["localhost".into()]);
        let other = sink.0.address().port().wrapping_add(1).max(1);
        config.auth_hosts.insert(
            registry.host().parse().unwrap(),
            vec![format!("localhost:{other}"), "host".into(), "xlocalhost".into()],
        );
    });
    assert_eq!(resolve(&client, &registry), Err(Class::Auth));
    assert_eq!(sink.0.connections(), 0);
}

#[test]
fn a_realm_that_could_mislead_gets_nothing() {
    let sink = Sink::start();
    let (sink_host, port) = (sink.url().replace("http://", ""), sink.0.address().port());
    for realm in [
        format!("http://127.0.0.1@{sink_host}/token"),
        format!("http://user:password@127.0.0.1:{port}/token"),
        format!("http://{sink_host}/token#127.0.0.1"),
        format!("http://127.0.0.1\\@{sink_host}/token"),
        format!("http://127.0.0.1.{sink_host}/token"),
        format!("//{sink_host}/token"),
        "ftp://127.0.0.1/token".into(),
        "file:///etc/passwd".into(),
        "javascript:alert(1)".into(),
        "token".into(),
        "/token".into(),
        String::new(),
        format!("http://127.0.0.1:{port}/to ken"),
        format!("http://127.0.0.1:{port}/token\u{e9}"),
        "http://[::1".into(),
        format!("http:///{sink_host}/token"),
    ] {
        let registry = sending_to(&realm);
        assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth), "{realm}");
        sink.assert_clean(&["password-canary"]);
        assert_eq!(registry.requests().len(), 1, "{realm}");
    }
}

#[test]
fn a_challenge_that_cannot_be_read_is_auth() {
    for challenge in [
        "",
        "Negotiate",
        "Digest realm=\"x\"",
        "Bearer",
        "Bearer service=\"x\"",
        "Bearer realm=\"unterminated",
        "\"",
        "Bearer realm",
    ] {
        let registry = TestRegistry::start();
        registry.always("GET", "*", Answer::new(401).header("WWW-Authenticate", challenge));
        assert_eq!(resolve(&with_login(&registry), &registry), Err(Class::Auth), "{challenge}");
        assert_eq!(registry.requests().len(), 1, "{challenge}");
    }
}

#[test]
fn what_a_challenge_names_cannot_add_parameters() {
    let registry = TestRegistry::start();
    let challenge = format!(
        "Bearer realm=\"http://{}/token?x=1\",service=\"s&scope=repository:evil:push#\",scope=\"repository:evil/other:push\"",
        registry.host()
    );
    registry.always("GET", "/v2/*", Answer::new(401).header("WWW-Authenticate", &challenge));
    registry.always("GET", "/token*", Answer::new(200).json(r#"{"token":"x"}"#));
    assert_eq!(resolve(&client(), &registry), Err(Class::Auth));
    let token = &registry.requests()[1];
    assert_eq!(token.query("x").as_deref(), Some("1"));
    assert_eq!(token.query("service").as_deref(), Some("s&scope=repository:evil:push#"));
    assert_eq!(token.query("scope").as_deref(), Some("repository:a/b:pull"));
    assert_eq!(token.target.matches("scope=").count(), 1, "{}", token.target);
}

fn tls(options: Options, auth: Auth) -> (TestRegistry, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).unwrap();
    let registry = TestRegistry::with(Options { tls: Some(certificates::good()), auth, ..options });
    registry.push_image("a/b", "1", &[b"layer"]);
    (registry, folder)
}

#[test]
fn an_https_registry_cannot_send_credentials_to_plain_http() {
    let sink = Sink::start();
    for host in ["registry.test", "localhost"] {
        let realm = format!("http://{host}:{}/token", sink.0.address().port());
        let auth = Auth::Token {
            user: "user".into(),
            password: "password-canary".into(),
            identity_token: String::new(),
            anonymous_pull: true,
            realm,
        };
        let (registry, folder) = tls(Options::default(), auth);
        let name = format!("registry.test:{}", registry.server().address().port());
        let client = client_with(|config| {
            config.ca_file = Some(folder.path().join("ca.pem"));
            config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
            config.credentials = logged_in(&name);
            config.auth_hosts.insert(name.parse().unwrap(), vec!["localhost".into()]);
            config
                .http_registries
                .push(format!("localhost:{}", sink.0.address().port()).parse().unwrap());
        });
        assert_eq!(
            class(run(client.resolve(&reference(&format!("{name}/a/b:1"))))),
            Class::Auth,
            "{host}"
        );
        assert_eq!(sink.0.connections(), 0);
    }
}

#[test]
fn docker_hub_has_its_token_service_on_another_host() {
    let auth = Auth::Token {
        user: "user".into(),
        password: "password-canary".into(),
        identity_token: String::new(),
        anonymous_pull: false,
        realm: "https://auth.docker.io/token".into(),
    };
    let (registry, folder) = tls(Options::default(), auth);
    registry.push_image("library/alpine", "3", &[b"layer"]);
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        for host in ["registry-1.docker.io", "auth.docker.io"] {
            config.hosts.insert(host.into(), vec![registry.server().address()]);
        }
        config.credentials = logged_in("docker.io");
    });
    run(client.resolve(&reference("alpine:3"))).unwrap();
    let hosts: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.header("host").unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["registry-1.docker.io", "auth.docker.io", "registry-1.docker.io"]);
}

#[test]
fn a_foreign_realm_inside_our_network_is_not_asked_for_a_token() {
    let service =
        Server::start_tls(certificates::good(), |_| Answer::new(200).json(r#"{"token":"x"}"#));
    let auth = Auth::Token {
        user: String::new(),
        password: String::new(),
        identity_token: String::new(),
        anonymous_pull: true,
        realm: format!("https://inside.test:{}/token", service.address().port()),
    };
    let (registry, folder) = tls(Options::default(), auth);
    let name = format!("registry.test:{}", registry.server().address().port());
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
        config.hosts.insert("inside.test".into(), vec![service.address()]);
    });
    assert_eq!(class(run(client.resolve(&reference(&format!("{name}/a/b:1"))))), Class::Net);
    assert_eq!(service.connections(), 0);
    // With a password it is not even a question of where it lies.
    let client = client_with(|config| {
        config.ca_file = Some(folder.path().join("ca.pem"));
        config.hosts.insert("registry.test".into(), vec![registry.server().address()]);
        config.hosts.insert("inside.test".into(), vec!["203.0.113.1:1".parse().unwrap()]);
        config.credentials = logged_in(&name);
    });
    assert_eq!(class(run(client.resolve(&reference(&format!("{name}/a/b:1"))))), Class::Auth);
    assert_eq!(client.requests(), 1);
}

#[test]
fn a_pass_for_pulling_becomes_one_for_pushing_without_a_refused_request() {
    let registry = guarded(Auth::token("user", "password-canary"));
    let client = with_login(&registry);
    run(async {
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        client.put_blob(&repository(&registry.name("a/b")), b"new").await.unwrap();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
    });
    let scopes: Vec<_> =
        registry.requests().iter().filter_map(|request| request.query("scope")).collect();
    assert_eq!(scopes, ["repository:a/b:pull", "repository:a/b:pull,push"]);
    assert_eq!(registry.requests().len(), 7, "{:?}", registry.lines());
}

#[test]
fn no_secret_is_in_any_failure() {
    let registry = guarded(Auth::token("user", "another"));
    let failure =
        run(with_login(&registry).resolve(&reference(&registry.name("a/b:1")))).unwrap_err();
    assert!(!failure.text().contains("canary") && !format!("{failure:?}").contains("canary"));
    let registry = guarded(Auth::token("user", "password-canary"));
    let client = with_login(&registry);
    assert_eq!(resolve(&client, &registry), Ok(()));
    let shown = format!("{client:?} {client:#?}");
    assert!(!shown.contains("canary") && !shown.contains("cGFzc3dvcmQ"), "{shown}");
}
