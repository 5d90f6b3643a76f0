//! No secret in any output: every command and every event, where all goes well and where it does
//! not, as text and as JSON, with COSIGN_DEBUG. Keys, passwords, tokens and URLs are canaries; what
//! the program writes to its own directories is looked at as well.

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
            // What is traced is all that is said to others: as text, and beside JSON.
            let form: &[&str] = if json { &["--json", "--trace"] } else { &["--trace"] };
            let arguments: Vec<String> = form
                .iter()
                .map(|word| (*word).to_owned())
                .chain(command.iter().map(named))
                .collect();
            check(&arguments.join(" "), &world.plugin.run(&arguments));
        }
    }
    for folder in ["state", "tmp", "home"] {
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
    // Each world twice: by a policy file and by the environment alone, where the key is behind a
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
    for (path, bytes) in files(&world.plugin.path("state")) {
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

/// Looks at both streams, and at what an event would make the host print.
fn assert_shows_none(what: &str, output: &Output, canaries: &[Canary]) {
    for bytes in [&output.stdout, &output.stderr] {
        for canary in canaries {
            let form = canary.found_in(bytes);
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(form, None, "{what} shows a key {form:?}:\n{text}");
        }
    }
}

/// The ways in which a key gets into the place of its location: `$(cat cosign.key)`, the base64 of
/// it, its body in one line, `env://` with the value in the place of the name.
fn misplaced() -> Vec<String> {
    let pem = pair("acme").private_pem.to_string();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    vec![
        pem.clone(),
        STANDARD.encode(&pem),
        body.clone(),
        format!("{body}\n"),
        format!("env://{pem}"),
        format!("env://{body}"),
        format!("https://{pem}"),
        format!("file://{body}"),
        format!("{body}://"),
    ]
}

#[test]
fn a_key_in_any_variable_is_never_shown() {
    let canaries = canaries();
    let forms = misplaced();
    let keys = ["COSIGN_KEY_LOCATION", "COSIGN_PUBLIC_KEY_LOCATION"];
    // A PEM block in every variable, whatever it is for; every other form where a key is named.
    let cases: Vec<(&str, &String)> = luet_cosign::config::VARIABLES
        .iter()
        .flat_map(|variable| {
            let forms = if keys.contains(&variable.name) { &forms[..] } else { &forms[..1] };
            forms.iter().map(|form| (variable.name, form))
        })
        .collect();
    assert!(cases.len() > 40);
    crate::in_parallel(cases.len(), cases.len(), |number| {
        let (name, form) = cases[number];
        let mut world = logged_in(guarded());
        world.plugin.set("LUET_COSIGN_POLICY", "");
        world.plugin.set("COSIGN_PUBLIC_KEY_LOCATION", "acme.pub");
        world.plugin.set("COSIGN_DEBUG", "1");
        world.plugin.set(name, form);
        let image = world.name();
        // Signing opens a key, which takes its time: only where a key is what is misplaced.
        let signs = keys.contains(&name);
        for event in EVENTS.into_iter().filter(|event| signs || event.contains("unpack")) {
            let data = if event.contains("push") {
                json!({"ImageName": image})
            } else {
                json!({"Image": image, "Dest": world.dest()})
            };
            let output = world.plugin.raw().args([event, &envelope(event, &data)]).output();
            assert_shows_none(&format!("{name}, {event}"), &output.unwrap(), &canaries);
        }
        for command in [
            &["--json", "verify", &image][..],
            &["doctor"],
            &["policy", "from-env"],
            &["policy", "lint"],
        ] {
            let output = world.plugin.run(command);
            assert_shows_none(&format!("{name}, {command:?}"), &output, &canaries);
        }
        if signs {
            let output = world.plugin.run(if name == keys[0] {
                ["sign", image.as_str()]
            } else {
                ["policy", "lint"]
            });
            assert_shows_none(&format!("{name}, by hand"), &output, &canaries);
            assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        }
    });
}

#[test]
fn a_key_behind_any_option_is_never_shown() {
    use clap::CommandFactory as _;
    fn commands(
        of: &clap::Command,
        path: &[String],
        found: &mut Vec<(Vec<String>, clap::Command)>,
    ) {
        for command in of.get_subcommands() {
            let path: Vec<String> =
                path.iter().cloned().chain([command.get_name().to_owned()]).collect();
            commands(command, &path, found);
            if command.get_subcommands().next().is_none() {
                found.push((path, command.clone()));
            }
        }
    }
    let mut all = Vec::new();
    commands(&luet_cosign::cli::Arguments::command(), &[], &mut all);
    let canaries = canaries();
    let forms = misplaced();
    let world = logged_in(guarded());
    let mut outputs = 0;
    for (path, command) in &all {
        for argument in
            command.get_arguments().filter(|argument| argument.get_action().takes_values())
        {
            let long = argument.get_long();
            let named = long.is_some_and(|long| long.contains("key"));
            for form in if named { &forms[..] } else { &forms[..1] } {
                let mut spellings = vec![match long {
                    Some(long) => vec![format!("--{long}={form}")],
                    None => vec![form.clone()],
                }];
                if let Some(long) = long {
                    spellings.push(vec![format!("--{long}"), form.clone()]);
                }
                for spelling in spellings {
                    let rest = command
                        .get_arguments()
                        .filter(|other| {
                            other.is_positional() && other.get_id() != argument.get_id()
                        })
                        .map(|_| world.name());
                    let line: Vec<String> =
                        path.iter().cloned().chain(spelling).chain(rest).collect();
                    let output = world.plugin.run(&line);
                    assert_shows_none(&path.join(" "), &output, &canaries);
                    assert_ne!(output.status.code(), Some(0), "{path:?} {:?}", argument.get_id());
                    outputs += 1;
                }
            }
        }
    }
    assert!(outputs > 100, "{outputs}");
}

/// A file of secrets that is not what was expected: what is wrong is said, and none of it quoted.
#[test]
fn what_a_key_file_holds_is_never_quoted() {
    let canary = Canary::new(SECRET);
    let world = logged_in(guarded());
    let sealed = |body: &str| {
        let body = STANDARD.encode(body);
        format!(
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{body}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
        )
    };
    for (number, content) in [
        sealed(&format!(r#"{{"kdf":"{SECRET}"}}"#)),
        sealed(&format!(r#"{{"kdf":{{"name":"{SECRET}"}}}}"#)),
        sealed(&format!(r#"{{"{SECRET}":1,"{SECRET}":2}}"#)),
        sealed(&format!(
            r#"{{"kdf":{{"name":"{SECRET}","params":{{"N":65536,"r":8,"p":1}},"salt":""}},"cipher":{{"name":"{SECRET}","nonce":""}},"ciphertext":"{SECRET}"}}"#
        )),
        format!("-----BEGIN {SECRET}-----\nAAAA\n-----END {SECRET}-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{SECRET}: x\n\nAAAA\n-----END PRIVATE KEY-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END {SECRET}-----\n"),
        SECRET.to_owned(),
    ]
    .iter()
    .enumerate()
    {
        world.plugin.write("odd.key", content);
        for command in [
            &["sign", "--key", "odd.key", &world.name()][..],
            &["verify", "--key", "odd.key", &world.name()],
            &["public-key", "--key", "odd.key"],
            &["import-key-pair", "--key", "odd.key", "-o", "imported"],
        ] {
            let output = world.plugin.run(command);
            let refused = matches!(output.status.code(), Some(3 | 15));
            assert!(refused, "{number}: {command:?}: {output:?}");
            let shown = [output.stdout.as_slice(), &output.stderr].concat();
            let text = String::from_utf8_lossy(&shown);
            assert_eq!(canary.found_in(&shown), None, "{number}: {command:?}: {text}");
        }
    }
}

/// What the plugin starts is not its own: it gets no key and no password, in whatever variable they
/// stand.
#[test]
fn an_engine_that_is_asked_inherits_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = logged_in(guarded()).sign();
    let seen = world.plugin.path("seen");
    let script = format!("#!/bin/sh\nenv >{}\nexit 1\n", seen.display());
    std::fs::create_dir(world.plugin.path("bin")).unwrap();
    let buildah = world.plugin.write("bin/buildah", script);
    std::fs::set_permissions(buildah, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", world.plugin.path("bin").display());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("LUET_COSIGN_ENGINE", "buildah"),
        ("COSIGN_KEY_LOCATION", "env://ACME_KEY"),
        ("ANOTHER", &pair("acme").private_pem),
        ("STORAGE_DRIVER", "vfs"),
    ] {
        world.plugin.set(name, value);
    }
    // The proxy's password stays: it is buildah's as much as ours.
    world.plugin.unset("HTTPS_PROXY");
    let reply = world.plugin.post_push(&world.name());
    assert!(!reply.error.is_empty());
    let inherited = std::fs::read(seen).unwrap();
    for canary in canaries() {
        assert_eq!(canary.found_in(&inherited), None, "{}", String::from_utf8_lossy(&inherited));
    }
    assert!(String::from_utf8(inherited).unwrap().contains("STORAGE_DRIVER=vfs"));
}

/// Another process of the same user reads no memory and no environment of a command that holds a
/// key: the kernel gives its directory in /proc to root.
#[test]
fn a_command_that_waits_for_a_password_cannot_be_looked_into() {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let mut world = logged_in(guarded());
    world.plugin.unset("COSIGN_PASSWORD");
    let root = rustix::process::geteuid().is_root();
    let image = world.name();
    for command in [
        &["sign", "--key", "env://ACME_KEY", &image][..],
        &["public-key", "--key", "env://ACME_KEY"],
        &["import-key-pair", "--key", "env://ACME_KEY", "-o", "new"],
        &["generate-key-pair", "--output-key-prefix", "made"],
    ] {
        let mut program = world.plugin.raw();
        if root {
            // Of root everything in /proc belongs to root.
            program.uid(65_534).gid(65_534).current_dir("/");
        }
        let child = program
            .args(command)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        // Another user cannot start it where the build is in a private directory.
        let Ok(mut child) = child else { return };
        let folder = format!("/proc/{}/environ", child.id());
        // It is hardened before it reads the password, and that is what it waits for.
        let mut hidden = false;
        for _ in 0..1_000_000 {
            match std::fs::metadata(&folder) {
                Ok(found) if found.uid() == 0 => hidden = true,
                Ok(_) => {}
                Err(_) => break,
            }
            if hidden || child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = child.stdin.take().unwrap().write_all(b"x\n");
        let _ = child.wait();
        assert!(hidden, "{command:?}");
    }
}
