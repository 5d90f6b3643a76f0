//! Faults by a seed: each try of each request of each run is good, late or broken as a number says,
//! so that a run that fails fails again. From the plan follows what every run must end in: a
//! request with one clean try of three has succeeded, and where one that decides has none, the run
//! "could not find out". Never anything else.

use crate::world::{World, class_of, signature};
use luet_cosign::class::Class;
use luet_cosign::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::http::Answer;

/// Another seed is another two thousand runs.
const SEED: u64 = 0x1ee7_c051;
const AT_ONCE: usize = 64;
/// How many tries of a hundred are broken. With three tries, about one request of eleven has no
/// clean one.
const BROKEN: u64 = 45;
/// And how many come late.
const LATE: u64 = 15;

/// What is asked for. Roles rather than URLs, for those hold digests that differ from one run of
/// this test to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Tag,
    Sig,
    Referrers,
    Fallback,
    Payload,
}

impl Role {
    fn of(path: &str) -> Option<Self> {
        let last = path.rsplit('/').next()?;
        Some(match () {
            () if path.contains("/blobs/") => Self::Payload,
            () if path.contains("/referrers/") => Self::Referrers,
            () if last.ends_with(".sig") => Self::Sig,
            () if last.starts_with("sha256-") => Self::Fallback,
            () if last == "1" => Self::Tag,
            () => return None,
        })
    }
}

/// What is in the repository of a run, what that comes to where everything can be asked, and what
/// decides it.
struct Kind {
    name: &'static str,
    expected: &'static str,
    deciding: &'static [Role],
}

const KINDS: [Kind; 4] = [
    // One good signature is enough: the other places decide nothing.
    Kind { name: "signed", expected: "", deciding: &[Role::Tag, Role::Sig, Role::Payload] },
    Kind {
        name: "unsigned",
        expected: "unsigned",
        deciding: &[Role::Tag, Role::Sig, Role::Referrers, Role::Fallback],
    },
    // A stranger's payload is not fetched.
    Kind {
        name: "stranger",
        expected: "identity",
        deciding: &[Role::Tag, Role::Sig, Role::Referrers, Role::Fallback],
    },
    Kind {
        name: "binding",
        expected: "binding",
        deciding: &[Role::Tag, Role::Sig, Role::Payload, Role::Referrers, Role::Fallback],
    },
];

/// What happens to one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Clean,
    Late,
    Broken(u64),
}

/// SplitMix64: every number its own, evenly spread, and the same everywhere.
fn spread(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fate(run: usize, role: Role, attempt: u32) -> Fate {
    let number = spread(spread(spread(SEED ^ run as u64) ^ role as u64) ^ u64::from(attempt));
    match number % 100 {
        n if n < BROKEN => Fate::Broken(spread(number)),
        n if n < BROKEN + LATE => Fate::Late,
        _ => Fate::Clean,
    }
}

/// Breaks an answer in one of the ways in which networks and registries do.
fn broken(good: Answer, how: u64) -> Answer {
    match how % 11 {
        0 => Answer::reset(),
        1 => Answer::close(),
        2 => Answer::error(429, "TOOMANYREQUESTS"),
        3 => Answer::error(429, "TOOMANYREQUESTS").header("Retry-After", "0"),
        4 => Answer::error(500, "MANIFEST_UNKNOWN"),
        5 => Answer::html(502),
        6 => Answer::new(503),
        7 => Answer::new(504),
        8 => good.body(vec![b' '; 200]).cut(100),
        9 => good.body(vec![b' '; 200]).chunked().cut_and_reset(100),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nContent-Le"),
    }
}

fn plant(world: &World, run: usize, kind: &Kind) {
    let repo = format!("run-{run}/packages");
    let image = world.registry.push_image(&repo, "1", &[&world.layer]);
    let other = testkit::digest(b"another image");
    let signed = match kind.name {
        "signed" => Some(("acme", &image.digest)),
        "stranger" => Some(("stranger", &image.digest)),
        "binding" => Some(("acme", &other)),
        _ => None,
    };
    if let Some((signer, digest)) = signed {
        world.registry.push_signatures(
            &repo,
            &image.digest,
            &[signature(&world.registry.name(&repo), signer, digest, &[])],
        );
    }
}

type Tries = Arc<Mutex<HashMap<(usize, Role), u32>>>;

/// Lets the registry do what the plan says, and counts what it was asked.
fn script(world: &World) -> Tries {
    let tries = Tries::default();
    let counted = Arc::clone(&tries);
    world.registry.rule("GET", "/v2/run-*", move |call| {
        let run = call.request.path().strip_prefix("/v2/run-")?.split('/').next()?.parse().ok()?;
        let role = Role::of(call.request.path())?;
        let attempt = {
            let mut counted = counted.lock().unwrap();
            let attempt = counted.entry((run, role)).or_default();
            *attempt += 1;
            *attempt
        };
        match fate(run, role, attempt) {
            Fate::Clean => None,
            Fate::Late => Some(call.good().delay(Duration::from_millis(3))),
            Fate::Broken(how) => Some(broken(call.good(), how)),
        }
    });
    tries
}

#[test]
fn a_clean_try_in_three_is_enough_and_without_one_nothing_is_found_out() {
    let mut world = World::strict();
    world.plugin.set("LUET_COSIGN_TIMEOUT", "60");
    let count = crate::runs(2_000, 240);
    for run in 0..count {
        plant(&world, run, &KINDS[run % KINDS.len()]);
    }
    let tries = script(&world);

    let undecided = Mutex::new(0);
    crate::in_parallel(AT_ONCE, count, |run| {
        let kind = &KINDS[run % KINDS.len()];
        let has_clean = |role: &Role| {
            (1..=limits::TRIES).any(|attempt| !matches!(fate(run, *role, attempt), Fate::Broken(_)))
        };
        let reply = world
            .plugin
            .pre_unpack(&world.registry.name(&format!("run-{run}/packages:1")), &world.dest());
        let found = class_of(&reply);
        if kind.deciding.iter().all(has_clean) {
            assert_eq!(found, kind.expected, "run {run}, {}: {reply:?}", kind.name);
        } else {
            let inconclusive =
                Class::ALL.iter().any(|class| class.word() == found && class.is_inconclusive());
            assert!(inconclusive, "run {run}, {}, without a clean try: {reply:?}", kind.name);
            *undecided.lock().unwrap() += 1;
        }
    });

    let tries = tries.lock().unwrap();
    assert!(
        tries.values().all(|tries| *tries <= limits::TRIES),
        "a request was tried more often than {} times",
        limits::TRIES
    );
    let undecided = *undecided.lock().unwrap();
    println!(
        "schedules: {count} runs, {} tries, {undecided} without a clean try, 0 false accepts",
        tries.values().sum::<u32>()
    );
    assert!(undecided > count / 20 && undecided < count / 2, "the plan is not worth its name");
}
