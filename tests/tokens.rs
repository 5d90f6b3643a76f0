//! Identity tokens and the services of a CI that make them: real sockets, good and evil ones, and
//! where a secret must not arrive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use luet_cosign::class::{Class, Failure};
use luet_cosign::config::Environment;
use luet_cosign::oidc::{IdentityToken, TokenOptions, TokenSource};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use testkit::client::{client, client_with, run};
use testkit::http::{Answer, Request, Server};
use testkit::{Canary, Sink};

/// The secret by which a job asks.
const REQUEST_SECRET: &str = "request-Canary-7f31";

/// A token whose signature is a canary.
fn jwt() -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = json!({
        "iss": "https://token.actions.githubusercontent.com", "aud": "sigstore", "sub": "repo:acme/pkgs:ref:refs/heads/main",
        "job_workflow_ref": "acme/pkgs/.github/workflows/publish.yml@refs/heads/main",
        "exp": 1_900_000_000, "nbf": 1_700_000_000,
    });
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256"}"#),
        part(&claims.to_string()),
        part("signature-Canary-51c2")
    )
}

fn github(url: &str) -> Environment {
    Environment::from_pairs([
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_SECRET),
    ])
}

fn ask(environment: &Environment) -> Result<IdentityToken, Failure> {
    let source = TokenSource::find(environment, &TokenOptions::default())?.expect("a source");
    run(source.token(&client()))
}

/// Panics where a failure shows a secret in any form.
fn assert_secretive(failure: &Failure) {
    let seen = format!("{}{failure:?}{}", failure.text(), failure.json());
    for secret in [REQUEST_SECRET, "signature-Canary-51c2", &jwt()] {
        assert_eq!(Canary::new(secret).found_in(seen.as_bytes()), None, "{seen}");
    }
}

fn good(request: &Request) -> Answer {
    assert_eq!(request.header("authorization"), Some(format!("bearer {REQUEST_SECRET}").as_str()));
    assert_eq!((request.method.as_str(), request.path()), ("GET", "/token"));
    assert_eq!(request.query("audience").as_deref(), Some("sigstore"));
    assert_eq!(request.query("api-version").as_deref(), Some("2.0"));
    Answer::new(200).json(&json!({"count": 5, "value": jwt()}).to_string())
}

#[test]
fn github_is_asked_as_its_documentation_says() {
    let server = Server::start(good);
    let token = ask(&github(&format!("http://{}/token?api-version=2.0", server.host()))).unwrap();
    assert_eq!(token.secret(), jwt());
    assert_eq!(
        token.identity().unwrap().name,
        "https://github.com/acme/pkgs/.github/workflows/publish.yml@refs/heads/main"
    );
    assert_eq!(server.requests().len(), 1);
    assert!(!format!("{token:?}").contains("acme"));
}

#[test]
fn each_token_of_a_service_is_a_fresh_one() {
    let server = Server::start(good);
    let environment = github(&format!("http://{}/token?api-version=2.0", server.host()));
    let source = TokenSource::find(&environment, &TokenOptions::default()).unwrap().unwrap();
    assert!(source.origin().renewable);
    let client = client();
    run(async {
        source.token(&client).await.unwrap();
        source.token(&client).await.unwrap();
    });
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_permission_that_is_missing_is_named_at_once() {
    for status in [401, 403, 404, 400] {
        let server = Server::start(move |_| {
            Answer::new(status).json(&json!({"message": REQUEST_SECRET}).to_string())
        });
        let failure = ask(&github(&format!("http://{}/token?a=b", server.host()))).unwrap_err();
        assert_eq!(failure.class(), Class::Auth);
        let text = failure.text();
        assert!(text.contains("id-token: write") && text.contains(&status.to_string()), "{text}");
        assert_eq!(server.requests().len(), 1, "asked again");
        assert_secretive(&failure);
    }
    let without = Environment::from_pairs([("GITHUB_ACTIONS", "true")]);
    let failure = ask(&without).unwrap_err();
    assert_eq!(failure.class(), Class::Auth);
    assert!(failure.text().contains("id-token: write") && failure.text().contains("fork"));
}

#[test]
fn what_says_later_is_asked_three_times_and_its_status_is_told() {
    for status in [500, 502, 503, 429] {
        let server = Server::start(move |_| Answer::html(status));
        let failure = ask(&github(&format!("http://{}/token", server.host()))).unwrap_err();
        assert_eq!(failure.class(), Class::Net);
        assert!(failure.text().contains(&status.to_string()), "{}", failure.text());
        assert_eq!(server.requests().len(), 3);
    }
    let server = Server::start(|request| {
        if request.number < 3 {
            Answer::new(503)
        } else {
            Answer::new(200).json(&json!({"value": jwt()}).to_string())
        }
    });
    ask(&github(&format!("http://{}/token", server.host()))).unwrap();
    let server = Server::start(|request| {
        if request.number < 3 {
            Answer::reset()
        } else {
            Answer::new(200).json(&json!({"value": jwt()}).to_string())
        }
    });
    ask(&github(&format!("http://{}/token", server.host()))).unwrap();
}

#[test]
fn an_answer_that_is_no_token_is_said_to_be_none_and_not_shown() {
    let piece = jwt()[..40].to_owned();
    for body in [
        "<html>".to_owned(),
        "{}".to_owned(),
        r#"{"value":""}"#.to_owned(),
        r#"{"value":7}"#.to_owned(),
        json!({"value": piece}).to_string(),
        json!({"other": jwt()}).to_string(),
        jwt(),
    ] {
        let answer = body.clone();
        let server = Server::start(move |_| Answer::new(200).json(&answer));
        let failure = ask(&github(&format!("http://{}/token", server.host()))).unwrap_err();
        assert_eq!(failure.class(), Class::Auth, "{body}");
        assert_secretive(&failure);
        assert!(!failure.text().contains(&piece), "{}", failure.text());
    }
    let server = Server::start(|_| Answer::new(200).json("{").endless(vec![b' '; 4096]));
    let failure = ask(&github(&format!("http://{}/token", server.host()))).unwrap_err();
    assert_eq!(failure.class(), Class::Limit);
}

#[test]
fn a_service_that_hangs_is_not_waited_for() {
    let server = Server::start(|_| Answer::new(200).delay(Duration::from_secs(600)));
    let environment = github(&format!("http://{}/token", server.host()));
    let source = TokenSource::find(&environment, &TokenOptions::default()).unwrap().unwrap();
    let client = client_with(|config| config.times.idle = Duration::from_millis(50));
    let failure = run(source.token(&client)).unwrap_err();
    assert_eq!(failure.class(), Class::Net);
    assert_secretive(&failure);
}

#[test]
fn no_redirect_of_any_code_takes_the_secret_elsewhere() {
    for status in [301, 302, 303, 307, 308] {
        for buildkite in [false, true] {
            let sink = Sink::start();
            let there = format!("{}/steal", sink.url());
            let server = Server::start(move |_| Answer::redirect(status, &there));
            let base = format!("http://{}", server.host());
            let environment = if buildkite {
                Environment::from_pairs([
                    ("BUILDKITE_AGENT_ACCESS_TOKEN", REQUEST_SECRET),
                    ("BUILDKITE_AGENT_ENDPOINT", base.as_str()),
                    ("BUILDKITE_JOB_ID", "0190-ab"),
                ])
            } else {
                github(&format!("{base}/token"))
            };
            let failure = ask(&environment).unwrap_err();
            assert_eq!(failure.class(), Class::Net, "{status}");
            assert!(failure.text().contains("redirect"), "{}", failure.text());
            assert_secretive(&failure);
            assert_eq!(server.requests().len(), 1, "{status}");
            assert!(sink.0.requests().is_empty(), "{status}");
            sink.assert_clean(&[REQUEST_SECRET]);
        }
    }
}

#[test]
fn the_secret_of_a_job_is_sent_to_no_host_in_the_clear() {
    let failure = ask(&github("http://actions.example/token")).unwrap_err();
    assert_eq!(failure.class(), Class::Usage);
    assert!(failure.text().contains("is not https"), "{}", failure.text());
    assert_secretive(&failure);
}

#[test]
fn buildkite_s_agent_is_asked_as_the_agent_itself_asks() {
    let server = Server::start(|request| {
        assert_eq!(
            request.header("authorization"),
            Some(format!("Token {REQUEST_SECRET}").as_str())
        );
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/v3/jobs/0190-ab/oidc/tokens")
        );
        assert_eq!(request.body, br#"{"audience":"sigstore"}"#);
        Answer::new(201).json(&json!({"token": jwt()}).to_string())
    });
    let environment = |job: &str| {
        Environment::from_pairs([
            ("BUILDKITE_AGENT_ACCESS_TOKEN", REQUEST_SECRET.to_owned()),
            ("BUILDKITE_AGENT_ENDPOINT", format!("http://{}/v3", server.host())),
            ("BUILDKITE_JOB_ID", job.to_owned()),
        ])
    };
    assert_eq!(ask(&environment("0190-ab")).unwrap().secret(), jwt());
    assert_eq!(ask(&environment("../x")).unwrap_err().class(), Class::Usage);
}

#[test]
fn circleci_s_program_is_asked_for_another_audience_and_given_no_secret_of_ours() {
    let top = tempfile::tempdir().unwrap();
    let script = |body: &str| {
        let path = top.path().join("circleci");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:/usr/bin:/bin", top.path().display());
    let environment = Environment::from_pairs([
        ("CIRCLECI", "true"),
        ("PATH", path.as_str()),
        ("COSIGN_PASSWORD", "password-Canary"),
    ]);
    script(&format!(
        r#"[ "$*" = 'run oidc get --root-issuer --claims {{"aud":"sigstore"}}' ] && [ -z "$COSIGN_PASSWORD" ] && [ "$CIRCLECI" = true ] && echo {}"#,
        jwt()
    ));
    assert_eq!(ask(&environment).unwrap().secret(), jwt());
    for body in [
        format!("echo {}; exit 1", jwt()),
        "echo no".to_owned(),
        "head -c 100000 /dev/zero".to_owned(),
    ] {
        script(&body);
        let failure = ask(&environment).unwrap_err();
        assert_eq!(failure.class(), Class::Auth, "{body}");
        assert_secretive(&failure);
    }
    let nowhere = Environment::from_pairs([("CIRCLECI", "true"), ("PATH", "/nowhere")]);
    assert!(ask(&nowhere).unwrap_err().text().contains("is not on PATH"));
}

#[test]
fn a_token_for_someone_else_is_refused_before_anyone_sees_it() {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let foreign = format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"RS256"}"#),
        part(
            r#"{"iss":"https://gitlab.com","aud":"https://vault.example","ci_config_ref_uri":"gitlab.com/a"}"#
        )
    );
    let environment =
        Environment::from_pairs([("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", &foreign)]);
    let failure = ask(&environment).unwrap_err();
    assert_eq!(failure.class(), Class::Auth);
    let text = failure.text();
    assert!(text.contains("https://vault.example") && text.contains("id_tokens"), "{text}");
}
