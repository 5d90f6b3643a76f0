//! The token goes into one header of one host. It is in no output, in no file, at nobody else's, and
//! follows no redirect.

use super::*;
use testkit::{Answer, Canary, Sink};

/// Everything that is in the directories of the program.
fn files(world: &World) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    fn walk(folder: &std::path::Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if let Ok(bytes) = std::fs::read(&path) {
                found.push((path, bytes));
            }
        }
    }
    let mut found = Vec::new();
    walk(&world.plugin.path(""), &mut found);
    found
}

/// Asserts that the token, or its signature alone, is nowhere but in one header of Fulcio.
#[track_caller]
fn assert_secret(world: &World, token: &str, outputs: &[&Output]) {
    let whole = Canary::new(token);
    let signature = Canary::new(token.rsplit('.').next().unwrap());
    let clean = |bytes: &[u8], what: &str| {
        for canary in [&whole, &signature] {
            assert_eq!(canary.found_in(bytes), None, "in {what}");
        }
    };
    for output in outputs {
        clean(&output.stdout, "the answer");
        clean(&output.stderr, "what is said");
    }
    for (path, bytes) in files(world) {
        clean(&bytes, &path.display().to_string());
        let private = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
        assert!(!private, "a key in {}", path.display());
    }
    for service in [&world.services.rekor1, &world.services.rekor2, &world.services.tsa] {
        clean(&service.server().received(), "what a service got");
    }
    clean(&world.registry.server().received(), "what the registry got");
    for request in world.services.fulcio.requests() {
        clean(&request.body, "a body");
        clean(request.target.as_bytes(), "a URL");
        let holding = |(_, value): &&(String, String)| value.contains(token);
        let headers: Vec<_> = request.headers.iter().filter(holding).collect();
        assert!(headers.iter().all(|(name, _)| name == "authorization"), "{headers:?}");
    }
}

#[test]
fn the_token_is_nowhere_when_all_is_well() {
    for (log, tsa) in [(LogKind::V1, true), (LogKind::V2, true)] {
        let world = World::new(log, tsa);
        let outputs = [world.sign(&[]), world.sign(&["--format", "bundle"])];
        outputs.iter().for_each(assert_good);
        assert_secret(&world, &world.token, &[&outputs[0], &outputs[1]]);
    }
}

#[test]
fn the_token_is_nowhere_when_something_fails() {
    let answers = [
        Answer::new(400).json(r#"{"code":3,"message":"no"}"#),
        Answer::new(403),
        Answer::new(500),
        Answer::new(200).json("{}"),
        Answer::html(200),
        Answer::close(),
    ];
    for which in 0..4 {
        for answer in &answers {
            let world = World::new(if which == 2 { LogKind::V2 } else { LogKind::V1 }, true);
            let answer = answer.clone();
            // One that says back what it got.
            world.services.all()[which].always(move |request, _| {
                let said = request.header("authorization").unwrap_or("").to_owned();
                if answer.status() == 400 {
                    Answer::new(400).json(&json!({"code": 3, "message": said}).to_string())
                } else {
                    answer.clone().header("X-Said", &said)
                }
            });
            let output = world.sign(&[]);
            assert_secret(&world, &world.token, &[&output]);
        }
    }
}

#[test]
fn no_redirect_of_any_service_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        for which in 0..4 {
            let world = World::new(if which == 2 { LogKind::V2 } else { LogKind::V1 }, true);
            let sink = Sink::start();
            let target = format!("{}/api", sink.url());
            world.services.all()[which].always(move |_, _| Answer::redirect(status, &target));
            let output = world.sign(&[]);
            assert_failed(&output, "net", &format!("answered {status}"));
            assert_eq!(sink.0.connections(), 0);
            sink.assert_clean(&[&world.token]);
            world.assert_untouched();
            assert_secret(&world, &world.token, &[&output]);
        }
    }
}
