//! N05 to N10, N13 and N19: who is shown a pass, who is asked for one, and where an upload may go.

use crate::cases::Cases;
use crate::network::{ask, guarded, log_in};
use crate::world::{LAX, REPO, World, class_of, untouched};
use serde_json::json;
use testkit::client::logged_in;
use testkit::http::Answer;
use testkit::registry::{Auth, Options, TestRegistry};
use testkit::{Sink, certificates};

pub(crate) fn cases(cases: &mut Cases) {
    realms(cases);
    tokens(cases);
    stored_credentials(cases);
    uploads(cases);
}

/// A registry that sends everybody to this realm for a token.
fn sending_to(realm: &str) -> World {
    let world = log_in(World::signed(), ToOwned::to_owned);
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    world.registry.rule("GET", "/v2/*", move |call| {
        (call.request.header("authorization") != Some("Bearer x"))
            .then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    });
    world
}

/// N05 to N07: realms.
fn realms(cases: &mut Cases) {
    cases.add("N05", "a realm on another host", "auth", || {
        let sink = Sink::start();
        untouched(&sink, sending_to(&format!("{}/token", sink.url())).install())
    });
    cases.add("N05", "a realm on another host, and nobody logged in", "auth", || {
        let sink = Sink::start();
        let mut world = sending_to(&format!("{}/token", sink.url()));
        world.plugin.unset("DOCKER_CONFIG");
        untouched(&sink, world.install())
    });
    for (what, entry, expected) in [
        ("that the policy names", "localhost", ""),
        ("whose suffix the policy names", "host", "auth"),
        ("with another port than the policy names", "localhost:1", "auth"),
    ] {
        cases.add("N05", format!("a realm on a host {what}"), expected, move || {
            let sink = Sink::answering(|_| Answer::new(200).json(r#"{"token":"x"}"#));
            let world = sending_to(&format!("{}/token", sink.url()));
            let path = world.plugin.path("policy.yaml");
            let mut policy = std::fs::read_to_string(&path).unwrap();
            policy.push_str(&format!(
                "registries:\n  - {{host: \"{}\", auth_hosts: [\"{entry}\"]}}\n",
                world.registry.host()
            ));
            world.plugin.write("policy.yaml", policy);
            let class = world.install();
            assert_eq!(sink.0.requests().is_empty(), !expected.is_empty(), "asked or not: {class}");
            class
        });
    }
    for (what, host) in
        [("the registry's own host", "registry.test"), ("another host", "localhost")]
    {
        cases.add("N06", format!("a realm in plain http on {what}"), "auth", move || {
            let sink = Sink::start();
            let challenge =
                format!("Bearer realm=\"http://{host}:{}/token\"", sink.0.address().port());
            let registry = TestRegistry::with(Options {
                tls: Some(certificates::good()),
                ..Options::default()
            });
            registry.always(
                "GET",
                "/v2/*",
                Answer::new(401).header("WWW-Authenticate", &challenge),
            );
            let name = format!("registry.test:{}", registry.server().address().port());
            untouched(
                &sink,
                ask(&registry, "registry.test", |config| config.credentials = logged_in(&name)),
            )
        });
    }
    for (what, realm) in [
        ("a user", "http://user@127.0.0.1:1/token"),
        ("a user and a password", "http://user:password@127.0.0.1:1/token"),
        ("the registry's name as a user", "http://127.0.0.1@localhost:1/token"),
        ("a fragment", "http://localhost:1/token#127.0.0.1"),
        ("a blank", "http://127.0.0.1:1/to ken"),
        ("no scheme", "//localhost:1/token"),
        ("a path alone", "/token"),
        ("nothing", ""),
        ("a file", "file:///etc/passwd"),
        ("ftp", "ftp://127.0.0.1/token"),
        ("a script", "javascript:alert(1)"),
    ] {
        cases.add("N07", format!("a realm with {what}"), "auth", move || {
            sending_to(realm).install()
        });
    }
    // To a URL a backslash is a slash, so this is a path on the registry's own host, where nothing
    // listens.
    cases.add("N07", "a realm with a backslash", "net", || {
        sending_to("http://127.0.0.1:1\\\\@localhost:1/token").install()
    });
    cases.add("N07", "a realm of 1 MiB", "net", || {
        sending_to(&format!("http://127.0.0.1/{}", "x".repeat(1 << 20))).install()
    });
    cases.add("N07", "parameters in service and scope", "auth", || {
        let world = World::signed();
        let host = world.registry.host();
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",service=\"s&scope=repository:evil:push#\",scope=\"repository:evil:push\"");
        world.registry.always("GET", "/v2/*", Answer::new(401).header("WWW-Authenticate", &challenge));
        world.registry.always("GET", "/token*", Answer::new(200).json(r#"{"token":"x"}"#));
        let class = world.install();
        let token = world.registry.requests().into_iter().find(|request| request.path() == "/token").unwrap();
        assert_eq!(token.query("scope").as_deref(), Some("repository:acme/packages:pull"));
        assert_eq!(token.target.matches("scope=").count(), 1);
        class
    });
}

/// N08 and N09: the token service.
fn tokens(cases: &mut Cases) {
    for status in [301, 302, 303, 307, 308] {
        cases.add("N08", format!("it redirects by {status}"), "auth", move || {
            let sink = Sink::start();
            let world = guarded();
            world.registry.always(
                "GET",
                "/token*",
                Answer::redirect(status, &format!("{}/token", sink.url())),
            );
            untouched(&sink, world.install())
        });
    }
    for (what, answer, expected) in [
        ("null", Answer::new(200).json("null"), "auth"),
        ("no token", Answer::new(200).json("{}"), "auth"),
        ("a number", Answer::new(200).json(r#"{"token":1}"#), "auth"),
        (
            "a line end in the token",
            Answer::new(200).json(r#"{"token":"x\r\nX-Injected: y"}"#),
            "auth",
        ),
        ("a blank in the token", Answer::new(200).json(r#"{"token":"x y"}"#), "auth"),
        (
            "a token of 1 MiB",
            Answer::new(200).json(&format!(r#"{{"token":"{}"}}"#, "x".repeat(1 << 20))),
            "limit",
        ),
        ("an endless body", Answer::new(200).endless("{\"token\":"), "limit"),
        ("a web page", Answer::html(200), "auth"),
        ("an empty body", Answer::new(200), "auth"),
        (
            "a token that the registry does not take",
            Answer::new(200).json(r#"{"token":"worthless"}"#),
            "auth",
        ),
        ("403", Answer::new(403), "auth"),
        ("500", Answer::new(500), "registry"),
        ("a reset", Answer::reset(), "net"),
    ] {
        cases.add("N09", format!("it answers with {what}"), expected, move || {
            let world = guarded();
            world.registry.always("GET", "/token*", answer.clone());
            world.install()
        });
    }
}

/// N10 and N19: what is stored for whom, and helpers that are no names of helpers.
fn stored_credentials(cases: &mut Cases) {
    type Key = fn(&str) -> String;
    let keys: [(&str, Key, &str); 14] = [
        ("the registry", |host| host.to_owned(), ""),
        ("its URL", |host| format!("https://{host}"), ""),
        ("its URL of version 2", |host| format!("http://{host}/v2/"), ""),
        ("a path above the image's", |host| format!("{host}/acme"), ""),
        ("the image's repository", |host| format!("{host}/{REPO}"), ""),
        ("another repository", |host| format!("{host}/other"), "auth"),
        ("a name that begins alike", |host| format!("{host}/acm"), "auth"),
        ("the host without its port", |_| "127.0.0.1".to_owned(), "auth"),
        ("another port", |host| format!("{host}0"), "auth"),
        ("another name of the host", |host| host.replace("127.0.0.1", "localhost"), "auth"),
        ("a suffix behind the host", |host| format!("{host}.evil.example"), "auth"),
        ("a host that ends alike", |host| format!("x{host}"), "auth"),
        ("a wildcard", |_| "*".to_owned(), "auth"),
        ("a user before the host", |host| format!("https://user@{host}"), "auth"),
    ];
    for (what, key, expected) in keys {
        cases.add("N10", format!("stored under {what}"), expected, move || {
            let options =
                Options { auth: Auth::basic("user", "password-canary"), ..Options::default() };
            log_in(World::with(options, LAX).sign(), key).install()
        });
    }
    for name in ["../evil", "/bin/sh", "a b", "evil;x", "$(touch marker)", "", "A", "-x"] {
        cases.add(
            "N19",
            format!("a helper called `{name}`"),
            if name.is_empty() { "auth" } else { "secret" },
            move || {
                let options =
                    Options { auth: Auth::basic("user", "password-canary"), ..Options::default() };
                let mut world = World::with(options, LAX).sign();
                let config = json!({"credHelpers": {world.registry.host(): name}}).to_string();
                world.plugin.write("config.json", config);
                world.plugin.write("docker-credential-evil", "#!/bin/sh\ntouch \"$HOME/marker\"\n");
                let folder = world.plugin.path("").display().to_string();
                world.plugin.set("DOCKER_CONFIG", &folder);
                let class = world.install();
                assert!(
                    !world.plugin.path("marker").exists()
                        && !world.plugin.path("home/marker").exists()
                );
                class
            },
        );
    }
}

/// N13: where an upload is to go.
fn uploads(cases: &mut Cases) {
    type Target = fn(&Sink) -> String;
    let targets: [(&str, Target); 4] = [
        ("another host", |sink| format!("{}/upload", sink.url())),
        ("another port", |sink| format!("http://{}/upload", sink.0.host())),
        ("another host without a scheme", |sink| {
            format!("//localhost:{}/upload", sink.0.address().port())
        }),
        ("another scheme", |sink| format!("https://{}/upload", sink.0.host())),
    ];
    for (what, target) in targets {
        for event in ["before", "after"] {
            cases.add(
                "N13",
                format!("{event} the push, the upload is sent to {what}"),
                "auth",
                move || {
                    let sink = Sink::start();
                    let world = pushing(guarded());
                    world.registry.always(
                        "POST",
                        "/v2/*",
                        Answer::new(202).header("Location", &target(&sink)),
                    );
                    let name = world.registry.name(&format!("{REPO}:new"));
                    world.registry.push_image(REPO, "new", &[&world.layer]);
                    untouched(
                        &sink,
                        class_of(&if event == "before" {
                            world.plugin.pre_push(&name)
                        } else {
                            world.plugin.post_push(&name)
                        }),
                    )
                },
            );
        }
    }
    cases.add("N13", "the upload is sent where a user is in the URL", "auth", || {
        let world = pushing(guarded());
        let location =
            format!("http://user:password@{}/v2/{REPO}/blobs/uploads/1", world.registry.host());
        world.registry.always("POST", "/v2/*", Answer::new(202).header("Location", &location));
        class_of(&world.plugin.pre_push(&world.name()))
    });
    for status in [301, 302, 307, 308] {
        cases.add("N13", format!("the upload is redirected by {status}"), "registry", move || {
            let sink = Sink::start();
            let world = pushing(guarded());
            world.registry.rule("PUT", "/v2/*", {
                let location = format!("{}/upload", sink.url());
                move |_| Some(Answer::redirect(status, &location))
            });
            let name = world.registry.name(&format!("{REPO}:new"));
            world.registry.push_image(REPO, "new", &[&world.layer]);
            untouched(&sink, class_of(&world.plugin.post_push(&name)))
        });
    }
}

/// A world whose plugin has a key to sign with.
fn pushing(mut world: World) -> World {
    let key = world.plugin.path("acme.key").display().to_string();
    world.plugin.set("COSIGN_KEY_LOCATION", &key);
    world.plugin.set("LUET_COSIGN_ENGINE", "registry");
    world
}
