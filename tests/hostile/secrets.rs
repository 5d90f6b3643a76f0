//! No secret in any output: every command and every event, where all goes well and where it does
//! not, as text and as JSON, with COSIGN_DEBUG. Keys, passwords, tokens and URLs are canaries; what
//! the program writes to its own folders is looked at as well.

use crate::world::{World, pair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;
use std::process::Output;
use testkit::certificates::{self, AUTHORITY};
use testkit::http::Answer;
use testkit::registry::{Auth, Options};
use testkit::{Canary, PASSWORD, envelope};

const SECRET: &str = "cAnary7+e/9!kQ~xW3:zP";

type Make = fn() -> World;

/// What may go wrong, or not.
const WORLDS: [(&str, Make); 6] = [
    ("all is well", || logged_in(guarded()).sign()),
    ("nothing is signed", || logged_in(guarded())),
    ("the password is refused", || {
        let options = Options { auth: Auth::token("user", "another"), ..Options::default() };
        logged_in(World::with(options, "trust: [acme]"))
    }),
    ("the registry echoes what it got", || {
        let world = logged_in(guarded()).sign();
        world.registry.rule("*", "/v2/*", |call| {
            let shown = call.request.header("authorization")?.to_owned();
            let text =
                json!({"errors": [{"code": "DENIED", "message": shown, "detail": {"got": shown}}]})
                    .to_string();
            Some(Answer::new(403).header("X-Echo", &shown).json(&text))
        });
        world
    }),
    ("the registry sends us to URLs with secrets", || {
        let world = logged_in(guarded()).sign();
        let location = format!("https://user:{SECRET}@localhost:1/x?token={SECRET}#{SECRET}");
        world.registry.rule("*", "/v2/*", move |call| {
            call.request.header("authorization")?;
            Some(
                Answer::redirect(307, &location)
                    .header("WWW-Authenticate", &format!("Bearer realm=\"{location}\"")),
            )
        });
        world
    }),
    ("nothing that was named can be used", || {
        let mut world = logged_in(guarded()).sign();
        world.plugin.write(
            "acme.key",
            format!("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{SECRET}\n"),
        );
        world.plugin.write("config.json", format!("{{\"auths\":{{\"x\":{{\"auth\":\"{SECRET}\"}}"));
        world.plugin.set(
            "ACME_KEY",
            &format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                STANDARD.encode(SECRET)
            ),
        );
        world.plugin.set("COSIGN_PASSWORD", SECRET);
        world
    }),
];

fn guarded() -> World {
    World::with(
        Options { auth: Auth::token("user", SECRET), ..Options::default() },
        "trust: [acme]",
    )
}

/// Puts a secret wherever one may stand.
fn logged_in(mut world: World) -> World {
    let auth = STANDARD.encode(format!("user:{SECRET}"));
    let other = json!({"identitytoken": SECRET, "auth": STANDARD.encode("<token>:")});
    let config = json!({"auths": {world.registry.host(): {"auth": auth}, "other.example": other}})
        .to_string();
    world.plugin.write("config.json", config);
    let folder = world.plugin.path("").display().to_string();
    let key = world.plugin.path("acme.key").display().to_string();
    for (name, value) in [
        ("DOCKER_CONFIG", folder.as_str()),
        ("COSIGN_KEY_LOCATION", &key),
        ("COSIGN_PASSWORD", PASSWORD),
        ("ACME_KEY", &pair("acme").private_pem),
        ("LUET_COSIGN_ENGINE", "registry"),
        ("HTTPS_PROXY", &format!("http://proxy:{}@127.0.0.1:1", "cAnary7+e%2F9!kQ~xW3%3AzP")),
        ("LUET_COSIGN_TIMEOUT", "10"),
    ] {
        world.plugin.set(name, value);
    }
    world
}

/// Every command, with what it takes. `URL` stands for a URL with a password and a token in it,
/// `IMAGE` for the image.
const COMMANDS: [&[&str]; 27] = [
    &["verify", "IMAGE"],
    &["verify", "--key", "acme.pub", "IMAGE"],
    &["verify", "--key", "URL", "IMAGE"],
    &["verify", "--key", "env://ACME_KEY", "IMAGE"],
    &["verify", "--output", "text", "IMAGE"],
    &["check", "IMAGE"],
    &["sign", "IMAGE"],
    &["sign", "--format", "both", "IMAGE"],
    &["sign", "--key", "env://ACME_KEY", "IMAGE"],
    &["sign", "--key", "URL", "IMAGE"],
    &["triangulate", "IMAGE"],
    &["triangulate", "--type", "digest", "IMAGE"],
    &["public-key", "--key", "env://ACME_KEY"],
    &["public-key", "--key", "acme.key"],
    &["generate-key-pair", "--output-key-prefix", "new"],
    &["import-key-pair", "--key", "env://ACME_KEY", "--output-key-prefix", "imported"],
    &["policy", "lint"],
    &["policy", "explain", "IMAGE"],
    &["policy", "from-env"],
    &["seen", "list"],
    &["seen", "forget", "IMAGE"],
    &["doctor"],
    &["metadata"],
    &["version"],
    &["completions", "bash"],
    &["man"],
    &["run", "--", "install", "-y", "x/y"],
];

const EVENTS: [&str; 4] =
    ["image.pre.push", "image.post.push", "image.pre.unpack", "image.post.unpack"];

/// Everything that must not be seen: the secret, the password of the key, and the key itself, line
/// by line.
fn canaries() -> Vec<Canary> {
    let key = pair("acme")
        .private_pem
        .lines()
        .filter(|line| !line.starts_with("-----") && line.len() >= 16);
    [SECRET, PASSWORD].into_iter().chain(key).map(Canary::new).collect()
}

/// Runs everything once in a world; returns how many outputs were looked at.
fn look(world: &World, what: &str, canaries: &[Canary]) -> usize {
    let image = world.name();
    let url = format!("https://user:{SECRET}@127.0.0.1:1/key.pub?token={SECRET}");
    let mut outputs = 0;
    let mut check = |of: &str, output: &Output| {
        for (stream, bytes) in
            [("standard output", &output.stdout), ("standard error", &output.stderr)]
        {
            for canary in canaries {
                let form = canary.found_in(bytes);
                assert_eq!(
                    form,
                    None,
                    "{what}: `{of}` shows a secret {form:?} on {stream}:\n{}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
        outputs += 1;
    };
    for event in EVENTS {
        let dest = world.dest();
        let data = if event.contains("push") {
            json!({"ImageName": image})
        } else {
            json!({"Image": image, "Dest": dest})
        };
        check(event, &world.plugin.raw().args([event, &envelope(event, &data)]).output().unwrap());
    }
    for command in COMMANDS {
        for json in [false, true] {
            let named = |word: &&str| match *word {
                "IMAGE" => image.clone(),
                "URL" => url.clone(),
                "new" | "imported" => format!("{word}{json}{}", unused(world)),
                word => word.to_owned(),
            };
            let arguments: Vec<String> = json
                .then(|| "--json".to_owned())
                .into_iter()
                .chain(command.iter().map(named))
                .collect();
            check(&arguments.join(" "), &world.plugin.run(&arguments));
        }
    }
    for folder in ["state", "run", "tmp", "home"] {
        for (path, bytes) in files(&world.plugin.path(folder)) {
            for canary in canaries {
                assert_eq!(
                    canary.found_in(&bytes),
                    None,
                    "{what}: {} holds a secret",
                    path.display()
                );
            }
        }
    }
    outputs
}

/// Returns a number that no file of the world has in its name yet.
fn unused(world: &World) -> usize {
    std::fs::read_dir(world.plugin.path("")).unwrap().count()
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
    found
}

#[test]
fn no_secret_is_in_any_output() {
    let canaries = canaries();
    let outputs = std::sync::atomic::AtomicUsize::new(0);
    // Each world twice: by a policy file and by the environment alone, where the key lies behind a
    // URL with a password.
    crate::in_parallel(WORLDS.len() * 4, WORLDS.len() * 4, |number| {
        let (name, make) = WORLDS[number % WORLDS.len()];
        let mut world = make();
        let debug = if (number / WORLDS.len()).is_multiple_of(2) { "0" } else { "1" };
        world.plugin.set("COSIGN_DEBUG", debug);
        let by_environment = number / WORLDS.len() >= 2;
        if by_environment {
            world.plugin.set("LUET_COSIGN_POLICY", "");
            world.plugin.set(
                "COSIGN_PUBLIC_KEY_LOCATION",
                &format!("https://user:{SECRET}@127.0.0.1:1/key.pub?token={SECRET}"),
            );
        }
        let what = format!(
            "{name}, COSIGN_DEBUG={debug}, {}",
            if by_environment { "environment" } else { "policy" }
        );
        if number == 0 {
            // Silence proves nothing where nothing happens.
            for command in
                [["sign", &world.name()], ["verify", &world.name()], ["check", &world.name()]]
            {
                assert_eq!(world.plugin.run(command).status.code(), Some(0), "{command:?}");
            }
        }
        outputs.fetch_add(look(&world, &what, &canaries), std::sync::atomic::Ordering::Relaxed);
    });
    println!("secrets: {} outputs, 0 hits", outputs.into_inner());
}

/// A key that is fetched by a URL with a password works, and is kept for the run under a name that
/// does not know the password.
#[test]
fn a_key_behind_a_url_with_a_password_leaves_no_trace_of_it() {
    let canary = Canary::new("kEycanary42");
    let public = pair("acme").public_pem.clone();
    let server = testkit::Server::start_tls(certificates::good(), move |_| {
        Answer::new(200).body(public.clone())
    });
    let mut world = World::strict().sign();
    let authority = world.plugin.write("ca.pem", AUTHORITY).display().to_string();
    world.plugin.set("SSL_CERT_FILE", &authority);
    world.plugin.set("LUET_COSIGN_POLICY", "");
    let url = format!(
        "https://user:{0}@127.0.0.1:{1}/key.pub?token={0}",
        canary.text(),
        server.address().port()
    );
    world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", &url);
    for debug in ["0", "1"] {
        world.plugin.set("COSIGN_DEBUG", debug);
        let reply = world.plugin.pre_unpack(&world.name(), &world.dest());
        assert_eq!(
            (reply.error.as_str(), canary.found_in(reply.stdout.as_bytes())),
            ("", None),
            "{reply:?}"
        );
    }
    assert_eq!(server.requests().len(), 1, "once in a run");
    for (path, bytes) in files(&world.plugin.path("run")) {
        let name = path.display().to_string();
        assert_eq!(
            (canary.found_in(&bytes), canary.found_in(name.as_bytes())),
            (None, None),
            "{name}"
        );
    }
}

#[test]
fn the_canary_is_seen_in_every_form() {
    let canary = Canary::new(SECRET);
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        format!("before {SECRET} behind"),
        format!("user:{SECRET}"),
        format!("x={}", "cAnary7%2Be%2F9%21kQ~xW3%3AzP"),
        format!("x={}", "cAnary7%2Be%2F9%21kQ%7ExW3%3AzP"),
        hex.to_uppercase(),
        hex,
    ] {
        assert!(canary.found_in(text.as_bytes()).is_some(), "{text}");
        let encoded = STANDARD.encode(&text);
        assert!(
            !text.contains(SECRET) || canary.found_in(encoded.as_bytes()).is_some(),
            "{encoded}"
        );
    }
    assert_eq!(canary.found_in(b"cAnary"), None);
}
