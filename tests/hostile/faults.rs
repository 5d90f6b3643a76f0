//! F01 to F06, F12 and F13: registries and networks that fail, signals, and too little memory. F09
//! is in `places`.

use crate::cases::Cases;
use crate::events::{answered, shell};
use crate::world::{Place, World, class_of_result};
use serde_json::json;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::client::{client_with, reference, run};
use testkit::http::{Answer, Gate, Server};
use testkit::registry::{MANIFEST, TestRegistry};
use testkit::{Sink, envelope};

const PLACES: [(&str, Place); 3] =
    [("the image", Place::Tag), ("signatures", Place::Sig), ("a payload", Place::Blobs)];

pub(crate) fn cases(cases: &mut Cases) {
    waits(cases);
    passing(cases);
    slow(cases);
    unreachable(cases);
    lengths(cases);
    circles(cases);
    signals(cases);
    memory(cases);
}

/// F01: what a registry asks to wait for.
fn waits(cases: &mut Cases) {
    for (what, value) in [
        ("one second", "1"),
        ("nothing", "0"),
        ("a negative number", "-1"),
        ("a date", "Wed, 21 Oct 2099 07:28:00 GMT"),
        ("a word", "soon"),
        ("more than any number", "99999999999999999999999"),
    ] {
        for status in [429, 503] {
            cases.add("F01", format!("{status}, and to wait for {what}"), "", move || {
                let world = World::signed();
                world.registry.in_turn(
                    "GET",
                    &world.pattern(Place::Sig),
                    vec![Answer::new(status).header("Retry-After", value)],
                );
                world.install()
            });
        }
    }
    for value in ["31", "1000000000", "18446744073709551615"] {
        cases.add(
            "F01",
            format!("to wait for {value} s, which is too long"),
            "registry",
            move || {
                let mut world = World::signed()
                    .serve(Place::Sig, Answer::new(429).header("Retry-After", value));
                world.plugin.set("LUET_COSIGN_TIMEOUT", "5");
                let since = Instant::now();
                let class = world.install();
                assert!(
                    since.elapsed() < Duration::from_secs(20),
                    "a wait beyond the deadline was begun"
                );
                assert_eq!(world.registry.count(".sig"), 1);
                class
            },
        );
    }
}

/// F02: faults that pass, and faults that do not.
fn passing(cases: &mut Cases) {
    let cut = || {
        Answer::new(200)
            .header("Content-Type", MANIFEST)
            .body("{\"schemaVersion\":2")
            .header("Content-Length", "100")
    };
    let faults = [
        ("429", Answer::error(429, "TOOMANYREQUESTS"), "registry"),
        ("500", Answer::new(500), "registry"),
        ("502 HTML", Answer::html(502), "registry"),
        ("503", Answer::new(503), "registry"),
        ("504", Answer::new(504), "registry"),
        ("truncated", cut().cut(10), "net"),
        ("truncated by a reset", cut().cut_and_reset(10), "net"),
        (
            "half a chunk",
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
            "net",
        ),
        ("half a head", Answer::raw("HTTP/1.1 200 OK\r\nContent-Le"), "net"),
        ("reset", Answer::reset(), "net"),
        ("closed", Answer::close(), "net"),
    ];
    for (what, fault, class) in faults {
        for (name, place) in PLACES {
            let twice = fault.clone();
            cases.add("F02", format!("{name}: {what}, twice"), "", move || {
                let world = World::signed();
                world.registry.in_turn(
                    "GET",
                    &world.pattern(place),
                    vec![twice.clone(), twice.clone()],
                );
                world.install()
            });
            let always = fault.clone();
            cases.add("F02", format!("{name}: {what}, always"), class, move || {
                let world = World::signed().serve(place, always.clone());
                let class = world.install();
                let pattern = world.pattern(place);
                let asked = world.registry.count(pattern.trim_end_matches('*'));
                // The tag is a prefix of nothing else here; each place is asked three times, and no
                // more.
                assert_eq!(asked, 3, "{:?}", world.registry.lines());
                class
            });
        }
    }
}

/// F03: peers that take their time.
fn slow(cases: &mut Cases) {
    let drip = Duration::from_millis(50);
    let answers = [
        ("nothing", Answer::new(200).delay(Duration::from_secs(60))),
        (
            "a byte at a time",
            Answer::new(200).header("Content-Type", MANIFEST).body(" ".repeat(4000)).drip(drip),
        ),
        (
            "a head, a byte at a time",
            Answer::raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(4000))).drip(drip),
        ),
        ("an error, a byte at a time", Answer::new(503).body(" ".repeat(4000)).drip(drip)),
    ];
    for (what, answer) in answers {
        for (name, place) in [("the image", Place::Tag), ("signatures", Place::Sig)] {
            let answer = answer.clone();
            cases.add("F03", format!("{name}: {what}"), "net", move || {
                let mut world = World::lax().serve(place, answer.clone());
                world.plugin.set("LUET_COSIGN_TIMEOUT", "1");
                let since = Instant::now();
                let class = world.install();
                // The second that the matrix allows, and what a busy machine takes to start a
                // process.
                assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
                class
            });
        }
    }
}

/// F04: hosts that are not there.
fn unreachable(cases: &mut Cases) {
    for (what, image) in [
        // Bound and let go: a port where nobody listens.
        ("nobody listens", format!("{}/a/b:1", Server::start(|_| Answer::new(200)).host())),
        ("a name that does not exist", "no-such-host.invalid/a/b:1".to_owned()),
    ] {
        cases.add("F04", what, "net", move || {
            let mut world = World::lax();
            let path = world.plugin.path("policy.yaml");
            let policy =
                std::fs::read_to_string(&path).unwrap().replace(&world.registry.name("**"), "*");
            world.plugin.write("policy.yaml", policy);
            world.plugin.set("LUET_COSIGN_TIMEOUT", "5");
            world.install_named(&image)
        });
    }
    for (what, last, expected) in
        [("and one that answers", true, ""), ("and none that answers", false, "net")]
    {
        cases.add("F04", format!("fifty addresses, {what}"), expected, move || {
            let registry = TestRegistry::start();
            registry.push_image("a/b", "1", &[b"layer"]);
            let port = registry.server().address().port();
            let mut addresses: Vec<SocketAddr> =
                (2..51).map(|n| SocketAddr::from(([127, 0, 0, n], port))).collect();
            addresses.extend(last.then(|| registry.server().address()));
            let name = format!("registry.test:{port}");
            let client = client_with(|config| {
                config.hosts.insert("registry.test".into(), addresses);
                config.http_registries.push(name.parse().unwrap());
            });
            class_of_result(run(client.resolve(&reference(&format!("{name}/a/b:1")))))
        });
    }
}

/// F05: lengths that are not those of the body.
fn lengths(cases: &mut Cases) {
    type Bend = fn(Answer) -> Answer;
    let bends: [(&str, &str, Bend); 6] = [
        ("shorter, honestly", "digest", |answer| answer.body("short")),
        ("longer, honestly", "digest", |answer| {
            let longer = [answer.bytes(), b"!"].concat();
            answer.body(longer)
        }),
        ("longer, in pieces", "digest", |answer| {
            let longer = [answer.bytes(), b"!"].concat();
            answer.body(longer).chunked()
        }),
        ("closed early", "net", |answer| answer.cut(3)),
        ("closed early, in pieces", "net", |answer| answer.chunked().cut(3)),
        ("two lengths", "net", |_| {
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nlayer")
        }),
    ];
    for (what, expected, bend) in bends {
        cases.add("F05", format!("a payload: {what}"), expected, move || {
            World::signed().bend(Place::Blobs, bend).install()
        });
    }
}

/// F06: redirects without an end.
fn circles(cases: &mut Cases) {
    for (name, place) in PLACES {
        cases.add("F06", format!("{name}: to itself"), "net", move || {
            let world = World::signed();
            world.registry.rule("GET", &format!("{}*", world.pattern(place)), |call| {
                Some(Answer::redirect(302, &call.request.target))
            });
            world.install()
        });
        cases.add("F06", format!("{name}: between two hosts"), "net", move || {
            let world = World::signed();
            let back = format!("http://{}", world.registry.host());
            let sink = Sink::answering(move |request| {
                Answer::redirect(302, &format!("{back}{}", request.target))
            });
            let there = sink.url();
            world.registry.rule("GET", &world.pattern(place), move |call| {
                Some(Answer::redirect(302, &format!("{there}{}", call.request.target)))
            });
            let class = world.install();
            assert!(sink.0.requests().len() <= 3);
            class
        });
    }
    for (hops, expected) in [(5, ""), (6, "net")] {
        cases.add("F06", format!("{hops} redirects"), expected, move || {
            let world = World::signed();
            let image = world.image.manifest.clone();
            world.registry.rule("GET", &format!("{}*", world.pattern(Place::Tag)), move |call| {
                let hop: usize =
                    call.request.query("hop").and_then(|hop| hop.parse().ok()).unwrap_or(0);
                let arrived =
                    || Answer::new(200).header("Content-Type", MANIFEST).body(image.clone());
                Some(if hop < hops {
                    Answer::redirect(302, &format!("?hop={}", hop + 1))
                } else {
                    arrived()
                })
            });
            world.install()
        });
    }
}

/// F12: signals while a request waits for its answer.
fn signals(cases: &mut Cases) {
    for (name, signal) in [
        ("SIGTERM", rustix::process::Signal::TERM),
        ("SIGINT", rustix::process::Signal::INT),
        ("SIGHUP", rustix::process::Signal::HUP),
    ] {
        for request in [1, 3] {
            cases.add("F12", format!("{name} at request {request}"), "no answer", move || {
                let gate = Gate::default();
                let world = World::signed();
                let held = gate.clone();
                world.registry.rule("GET", "*", move |call| {
                    (call.nth == request).then(|| call.good().hold(&held))
                });
                let text = envelope(
                    "image.pre.unpack",
                    &json!({"Image": world.name(), "Dest": world.dest()}),
                );
                // What the tests were started with (`nohup`, a shell's `&`) may ignore these, and
                // programs inherit that.
                let mut command = world.plugin.raw_of("/usr/bin/env");
                command.args([
                    "--default-signal=TERM,INT,HUP",
                    env!("CARGO_BIN_EXE_luet-cosign"),
                    "image.pre.unpack",
                    &text,
                ]);
                let child = command.stdout(Stdio::piped()).spawn().unwrap();
                world.registry.server().wait_for(request);
                let id =
                    rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
                rustix::process::kill_process(id, signal).unwrap();
                let output = child.wait_with_output().unwrap();
                assert_eq!(
                    (output.status.signal(), output.stdout.is_empty()),
                    (Some(signal.as_raw()), true)
                );
                gate.open();
                let class = answered(&output);
                assert_eq!(world.install(), "", "the next event is right");
                class
            });
        }
    }
}

/// F13: little memory. It verifies, or it gives no answer; never a wrong one.
fn memory(cases: &mut Cases) {
    for (kibibytes, expected) in [(262_144, ""), (16_384, "no answer")] {
        for (what, signed) in [("a signed image", true), ("an unsigned image", false)] {
            let expected = if expected.is_empty() && !signed { "unsigned" } else { expected };
            cases.add("F13", format!("{what} in {kibibytes} KiB"), expected, move || {
                let world = if signed { World::signed() } else { World::strict() };
                let text = envelope(
                    "image.pre.unpack",
                    &json!({"Image": world.name(), "Dest": world.dest()}),
                );
                answered(&shell(
                    &world,
                    &format!(r#"ulimit -v {kibibytes}; exec "$0" "$@""#),
                    &["image.pre.unpack", &text],
                ))
            });
        }
    }
}
