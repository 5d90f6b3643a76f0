//! Places of signatures that do not answer: that is never "unsigned", and a rule relaxes only
//! absence. What is signed is installed, unless the place of its signature is the one.

use super::two::TAGS_OF_B;
use super::{At, Case};
use crate::{Shared as All, trial};
use e2e::{Host, http};
use libtest_mimic::Trial;
use std::sync::Arc;
use testkit::{Answer, Request, Server};

const PLACES: [&str; 3] = ["sig", "referrers", "fallback"];
const ANSWERS: [&str; 3] = ["401", "500", "garbage"];

/// Whether a request is for what is at this place.
fn asks_for(request: &Request, place: &str) -> bool {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let Some((rest, last)) = request.path().rsplit_once('/') else { return false };
    let kind = rest.rsplit('/').next().unwrap_or_default();
    let tag = last.strip_prefix("sha256-").filter(|_| kind == "manifests");
    match place {
        "sig" => tag.and_then(|tag| tag.strip_suffix(".sig")).is_some_and(is_digest),
        "fallback" => tag.is_some_and(is_digest),
        _ => kind == "referrers" && last.strip_prefix("sha256:").is_some_and(is_digest),
    }
}

/// A proxy before a registry, with one place that answers wrongly. It is another host than the
/// registry: ours would rightly say that their signatures were made for the one behind it.
fn faulty(upstream: &str, place: &'static str, answer: &'static str) -> Server {
    let upstream = upstream.to_owned();
    Server::start(move |request| {
        if !asks_for(request, place) {
            return http::forward(&upstream, request, &request.target, &[], &[]);
        }
        match answer {
            "401" => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"somewhere\""),
            "500" => Answer::new(500),
            _ => Answer::html(200),
        }
    })
}

pub fn trials(at: At, host: &Host, shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |place, answer, what: &str, run: fn(&mut Case<'_>, &Server, &str)| {
        let name =
            format!("interop::{}::{}::faults::{place}::{answer}::{what}", at.name(), host.name());
        let (own, host) = (name.replace("::", "/"), host.clone());
        trials.push(trial(name, shared, move |shared| {
            let mut case = Case::new(shared, at, &host, None, own);
            case.made("");
            let proxy = faulty(case.place().registry.address(), place, answer);
            run(&mut case, &proxy, if answer == "401" { "auth" } else { "registry" });
            // Without that nothing is proven.
            let asked = proxy.requests().iter().any(|request| asks_for(request, place));
            assert!(asked || place == "referrers", "nobody asked for {place}");
        }));
    };
    for place in PLACES {
        for answer in ANSWERS {
            add(place, answer, "refuses-what-is-unsigned", |case, proxy, class| {
                case.refuses_at(class, &format!("{}/unsigned/acme", proxy.host()));
            });
            let what = "refuses-what-is-unsigned-although-that-is-allowed";
            add(place, answer, what, |case, proxy, class| {
                case.machine.set("LUET_COSIGN_ALLOW_UNSIGNED", format!("{}/**", proxy.host()));
                case.refuses_at(class, &format!("{}/unsigned/acme", proxy.host()));
            });
            if place == "sig" {
                add(place, answer, "refuses-what-is-signed", |case, proxy, class| {
                    case.refuses_at(class, &format!("{}/cosign2/acme", proxy.host()));
                });
            } else {
                add(place, answer, "installs-what-is-signed", |case, proxy, _| {
                    case.installs_silently(&format!("{}/cosign2/acme", proxy.host()));
                });
            }
        }
    }
    add("sig", "500", "refuses-under-a-rule-that-warns", |case, proxy, class| {
        under_a_rule(case, proxy, class, "warn");
    });
    add("sig", "500", "refuses-under-a-rule-that-allows", |case, proxy, class| {
        under_a_rule(case, proxy, class, "allow");
    });
    trials
}

fn under_a_rule(case: &mut Case<'_>, proxy: &Server, class: &str, mode: &str) {
    let address = proxy.host();
    case.policy(
        &format!("{address}/ours/acme"),
        &format!(
            "{{name: b, scope: '{address}/unsigned/**', unsigned: {mode}, reason: never signed, {TAGS_OF_B}}}"
        ),
    );
    let seen = case.install(&[("b", &format!("{address}/unsigned/hobby"))], &["hobby/cake"]);
    case.refused(&seen, class, "");
}
