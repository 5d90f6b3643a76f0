//! E01 to E15: a host that sends what no host should, and an environment that helps nobody.

use crate::cases::Cases;
use crate::world::{Place, World, class_of, plugin};
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use testkit::{Gate, Plugin, Reply, envelope};

const EVENT: &str = "image.pre.unpack";
/// What an event that did not answer ends in: the host takes that for a crash, and stops.
const SILENT: &str = "no answer";

pub(crate) fn cases(cases: &mut Cases) {
    envelopes(cases);
    payload_files(cases);
    names(cases);
    directories(cases);
    endings(cases);
    surroundings(cases);
    orders(cases);
}

fn data(image: &str, dest: &Path) -> Value {
    json!({"Image": image, "Dest": dest})
}

/// E01, E02, E04 and E05: the envelope.
fn envelopes(cases: &mut Cases) {
    let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
    let envelopes = [
        ("E01", "nothing", String::new()),
        ("E01", "no JSON", "x".to_owned()),
        ("E01", "half of it", r#"{"data":{"Image":"a""#.to_owned()),
        ("E01", "two documents", "{}{}".to_owned()),
        ("E01", "a list", "[]".to_owned()),
        ("E01", "a byte order mark", "\u{feff}{}".to_owned()),
        ("E01", "a depth of 60,000", deep),
        (
            "E01",
            "a key twice",
            r#"{"data":{"Image":"a","Dest":"/tmp"},"data":{"Image":"b","Dest":"/tmp"}}"#.to_owned(),
        ),
        (
            "E01",
            "a key twice within",
            r#"{"data":{"Image":"a","Image":"b","Dest":"/tmp"}}"#.to_owned(),
        ),
        (
            "E01",
            "a key twice within text",
            r#"{"data":"{\"Image\":\"a\",\"Image\":\"b\",\"Dest\":\"/tmp\"}"}"#.to_owned(),
        ),
        ("E01", "a number for a name", r#"{"data":{"Image":7,"Dest":"/tmp"}}"#.to_owned()),
        ("E02", "no data and no file", r#"{"name":"image.pre.unpack"}"#.to_owned()),
        (
            "E02",
            "empty data and an empty file",
            r#"{"name":"image.pre.unpack","data":"","file":""}"#.to_owned(),
        ),
        ("E02", "null", r#"{"data":null,"file":null}"#.to_owned()),
        ("E02", "an empty object", r#"{"data":{}}"#.to_owned()),
        (
            "E05",
            "another event's name",
            r#"{"name":"image.post.unpack","data":{"Image":"a","Dest":"/tmp"}}"#.to_owned(),
        ),
        (
            "E05",
            "a name with a blank behind it",
            r#"{"name":"image.pre.unpack ","data":{"Image":"a","Dest":"/tmp"}}"#.to_owned(),
        ),
        (
            "E05",
            "a name that is a number",
            r#"{"name":7,"data":{"Image":"a","Dest":"/tmp"}}"#.to_owned(),
        ),
    ];
    for (row, what, text) in envelopes {
        cases.add(row, format!("{what}, on standard input"), "event", {
            let text = text.clone();
            move || class_of(&plugin().send_on_input(EVENT, text.as_bytes()))
        });
        // The kernel takes no argument of 128 KiB.
        if text.len() < 100_000 {
            cases.add(row, format!("{what}, as an argument"), "event", move || {
                class_of(&plugin().send(EVENT, &text))
            });
        }
    }
    cases.add("E01", "bytes that are no text", "event", || {
        class_of(&plugin().send_on_input(EVENT, &[0xff, 0xfe]))
    });
    for megabytes in [2, 64] {
        cases.add("E01", format!("{megabytes} MiB"), "event", move || {
            let mut large = br#"{"data":""#.to_vec();
            large.resize(megabytes << 20, b'x');
            class_of(&plugin().send_on_input(EVENT, &large))
        });
    }
    cases.add("E02", "an argument, and something else on standard input", "", || {
        let world = World::signed();
        let text = envelope(EVENT, &data(&world.name(), &world.dest()));
        let mut child = world
            .plugin
            .raw()
            .args([EVENT, &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"not even JSON");
        answered(&child.wait_with_output().unwrap())
    });
    for event in ["package.install", "image.pre.pull", "agent.boot", "image.pre.unpack.more"] {
        cases.add("E04", event, "", move || {
            let plugin = plugin();
            for payload in ["", "no JSON", "{}", r#"{"name":"other"}"#] {
                assert_eq!(
                    plugin.send(event, payload).stdout,
                    r#"{"state":"","data":"","error":""}"#
                );
            }
            assert!(
                std::fs::read_dir(plugin.path("state")).unwrap().next().is_none(),
                "something was initialised"
            );
            String::new()
        });
    }
    cases.add("E05", "no event at all", "usage", || {
        let output = plugin().raw().output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"".as_slice()));
        "usage".to_owned()
    });
}

/// The class of an answer; "no answer" where the exit code says so, and nothing was written that a
/// host could take for a yes.
pub(crate) fn answered(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The host stops on another exit, and on an empty answer (docs/events.md). Rust
    // opens /dev/null in the place of a closed descriptor, so a process cannot tell that nobody can
    // read its answer, and exits with 0.
    if output.status.code() != Some(0) || text.is_empty() {
        assert!(!text.contains("\"error\":\"\""), "a yes with exit {:?}: {text}", output.status);
        return SILENT.to_owned();
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["error"].as_str().unwrap().split(':').next().unwrap().to_owned()
}

/// A payload's file as go-pluggable makes it: private, called `pluggable*`, in the directory for
/// temporary files.
fn payload_file(plugin: &Plugin, name: &str, content: &[u8]) -> PathBuf {
    let path = plugin.path("tmp").join(name);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap()
        .write_all(content)
        .unwrap();
    path
}

fn through(plugin: &Plugin, path: &Path) -> Reply {
    plugin.send(EVENT, &json!({"name": EVENT, "data": "", "file": path}).to_string())
}

/// E03 and E15: the payload's file.
fn payload_files(cases: &mut Cases) {
    const CONTENT: &[u8] = br#"{"Image":"Not A Name","Dest":"/tmp"}"#;
    type Plant = fn(&Plugin) -> PathBuf;
    let plants: [(&str, Plant); 16] = [
        ("another name", |plugin| payload_file(plugin, "other", CONTENT)),
        ("readable by others", |plugin| {
            let path = payload_file(plugin, "pluggable2", CONTENT);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            path
        }),
        ("two names", |plugin| {
            let path = payload_file(plugin, "pluggable3", CONTENT);
            std::fs::hard_link(&path, plugin.path("tmp/second")).unwrap();
            path
        }),
        ("a link", |plugin| {
            let path = plugin.path("tmp/pluggable4");
            symlink(payload_file(plugin, "pluggable1", CONTENT), &path).unwrap();
            path
        }),
        ("a pipe", |plugin| {
            let (path, mode) =
                (plugin.path("tmp/pluggable5"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
            path
        }),
        ("a socket", |plugin| {
            let path = plugin.path("tmp/pluggable6");
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            path
        }),
        ("a directory", |plugin| {
            let path = plugin.path("tmp/pluggable7");
            std::fs::create_dir(&path).unwrap();
            path
        }),
        ("another directory", |plugin| plugin.write("pluggable8", CONTENT)),
        ("a way round", |plugin| {
            payload_file(plugin, "pluggable9", CONTENT);
            plugin.path("tmp/../tmp/pluggable9")
        }),
        ("larger than 1 MiB", |plugin| {
            payload_file(plugin, "pluggable10", &vec![b' '; (1 << 20) + 1])
        }),
        ("empty", |plugin| payload_file(plugin, "pluggable11", b"")),
        ("missing", |plugin| plugin.path("tmp/pluggable12")),
        ("relative", |_| PathBuf::from("pluggable13")),
        ("/etc/shadow", |_| PathBuf::from("/etc/shadow")),
        ("/proc/self/environ", |_| PathBuf::from("/proc/self/environ")),
        ("/dev/zero", |_| PathBuf::from("/dev/zero")),
    ];
    for (what, plant) in plants {
        cases.add("E03", what, "event", move || {
            let plugin = plugin();
            let reply = through(&plugin, &plant(&plugin));
            assert!(
                !reply.error.contains("Not A Name") && !reply.error.contains("root:"),
                "its content is shown: {reply:?}"
            );
            class_of(&reply)
        });
    }
    cases.add("E02", "data and a file", "event", || {
        let plugin = plugin();
        let path = payload_file(&plugin, "pluggable1", CONTENT);
        class_of(
            &plugin.send(
                EVENT,
                &json!({"data": data("a", Path::new("/tmp")), "file": path}).to_string(),
            ),
        )
    });
    for (what, signed, expected) in
        [("of a signed image", true, ""), ("of an unsigned one", false, "unsigned")]
    {
        cases.add("E15", format!("a payload of 20 KB, {what}"), expected, move || {
            let world = if signed { World::strict().sign() } else { World::strict() };
            let mut data = data(&world.name(), &world.dest());
            data["More"] = json!("x".repeat(20_000));
            let path = payload_file(&world.plugin, "pluggable1", data.to_string().as_bytes());
            class_of(&through(&world.plugin, &path))
        });
    }
}

/// E06: names that are commands, or steer a terminal, elsewhere. Nothing is looked at, so only the
/// name can be refused.
fn names(cases: &mut Cases) {
    for (what, image) in [
        ("a command", "$(touch marker)".to_owned()),
        ("two commands", "a;touch marker".to_owned()),
        ("a command in backticks", "`touch marker`".to_owned()),
        ("a line end", "quay.io/a/b:c\nd".to_owned()),
        ("NUL", "quay.io/a/b\0".to_owned()),
        ("an escape sequence", "a\u{1b}[2Jb".to_owned()),
        ("text from right to left", "\u{202e}a".to_owned()),
        ("a letter that looks like another", "quаy.io/a/b".to_owned()),
        ("20 KB", "a".repeat(20_000)),
        ("a flag", "--help".to_owned()),
        ("a way up", "quay.io/a/../b".to_owned()),
        ("a scheme", "https://quay.io/a/b".to_owned()),
        ("a user", "user:password@quay.io/a/b".to_owned()),
        ("a query", "quay.io/a/b?x=1".to_owned()),
    ] {
        cases.add("E06", what, "reference", move || {
            let plugin = plugin().env("COSIGN_SKIP", ".*");
            let dest = plugin.dest("dest");
            let reply = plugin.pre_unpack(&image, &dest);
            assert!(
                !reply.error.contains(['\u{1b}', '\u{202e}', '\0']) && reply.error.len() < 10_000,
                "{reply:?}"
            );
            assert!(!plugin.path("marker").exists());
            class_of(&reply)
        });
    }
    // Luet asks nobody before it unpacks a file of its own, so an event before that is not an event of
    // luet's.
    cases.add("E06", "a file of luet's own, before it is unpacked", "reference", || {
        World::lax().install_named("file:///etc/passwd")
    });
}

/// E07: where the image is to be unpacked.
fn directories(cases: &mut Cases) {
    type Plant = fn(&World) -> String;
    let plants: [(&str, &str, Plant); 6] = [
        ("relative", "event", |_| "relative/dest".to_owned()),
        ("empty", "event", |_| String::new()),
        ("missing", "tree", |world| world.plugin.path("missing").display().to_string()),
        ("a link to a directory", "tree", |world| {
            let path = world.plugin.path("link");
            symlink(world.dest(), &path).unwrap();
            path.display().to_string()
        }),
        ("a file", "tree", |world| world.plugin.write("file", "x").display().to_string()),
        ("the root of the machine", "event", |_| "/".to_owned()),
    ];
    for (what, expected, plant) in plants {
        cases.add("E07", what, expected, move || {
            let world = World::signed();
            let dest = plant(&world);
            class_of(
                &world
                    .plugin
                    .send(EVENT, &envelope(EVENT, &json!({"Image": world.name(), "Dest": dest}))),
            )
        });
    }
}

/// E08 to E10: what becomes of the answer.
fn endings(cases: &mut Cases) {
    // Killed while a request waits for its answer: the tag, the three places, the payload.
    for number in 1..=5 {
        cases.add("E08", format!("killed at request {number}"), SILENT, move || {
            let gate = Gate::default();
            let world = World::signed();
            let held = gate.clone();
            world.registry.rule("GET", "*", move |call| {
                (call.nth == number).then(|| call.good().hold(&held))
            });
            let text = envelope(EVENT, &data(&world.name(), &world.dest()));
            let mut child = world
                .plugin
                .raw()
                .args([EVENT, &text])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            world.registry.server().wait_for(number);
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            gate.open();
            assert!(output.stdout.is_empty(), "an answer before every check was done");
            answered(&output)
        });
    }
    let redirections = [
        ("standard output closed", ">&-"),
        ("standard output and error closed", ">&- 2>&-"),
        ("everything closed", "<&- >&- 2>&-"),
        ("a full disk behind standard output", ">/dev/full"),
        ("nobody at the other end of the pipe", "| :"),
    ];
    for (what, redirection) in redirections {
        for (kind, signed) in [("a yes", true), ("a no", false)] {
            let pipe = redirection.starts_with('|');
            cases.add("E09", format!("{what}, for {kind}"), SILENT, move || {
                let world = if signed { World::signed() } else { World::strict() };
                // Where the reader is gone first, waiting for its end makes sure of that.
                let script = if pipe {
                    r#"exec 3> >(:); wait $!; "$0" "$@" >&3"#.to_owned()
                } else {
                    format!(r#""$0" "$@" {redirection}"#)
                };
                answered(&shell(
                    &world,
                    &script,
                    &[EVENT, &envelope(EVENT, &data(&world.name(), &world.dest()))],
                ))
            });
        }
    }
    cases.add("E09", "standard input closed", "", || {
        let world = World::signed();
        answered(&shell(
            &world,
            r#""$0" "$@" <&-"#,
            &[EVENT, &envelope(EVENT, &data(&world.name(), &world.dest()))],
        ))
    });
    cases.add("E10", "a thousand reasons", "identity", || {
        let world = World::strict();
        let stranger = crate::world::signed("stranger", vec![b'x'; 1000]);
        let world = world.put(&vec![stranger; 1000]);
        let reply = world.plugin.pre_unpack(&world.name(), &world.dest());
        assert!(
            reply.stdout.len() < 64 << 10 && reply.stderr.is_empty(),
            "{} bytes",
            reply.stdout.len()
        );
        class_of(&reply)
    });
    cases.add("E10", "a policy with a thousand mistakes", "policy", || {
        let world = World::strict();
        let rules: String = (0..1000)
            .map(|n| format!("  - {{name: r{n}, scope: Wrong*{n}, unknown: x}}\n"))
            .collect();
        world.plugin.write(
            "policy.yaml",
            format!("version: 1\ndefaults: {{unmatched: deny}}\nrepositories:\n{rules}"),
        );
        let reply = world.plugin.pre_unpack(&world.name(), &world.dest());
        assert!(
            reply.stdout.len() < 64 << 10 && reply.stderr.is_empty(),
            "{} bytes",
            reply.stdout.len()
        );
        class_of(&reply)
    });
}

/// Runs the plugin by a shell, which can do to descriptors and limits what this test's own process
/// cannot undo.
pub(crate) fn shell(world: &World, script: &str, arguments: &[&str]) -> Output {
    let plugin = world.plugin.raw();
    let variables: Vec<_> = plugin
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(script)
        .arg(plugin.get_program())
        .args(arguments)
        .env_clear()
        .envs(variables);
    command.stdin(Stdio::null()).output().unwrap()
}

/// E11 and E13: the environment.
fn surroundings(cases: &mut Cases) {
    for (name, value) in [
        ("HOME", "relative"),
        ("HOME", "/nonexistent"),
        ("TMPDIR", "relative/../x"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
        ("LD_LIBRARY_PATH", "/nonexistent"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("COSIGN_INSECURE_IGNORE_SCT", "1"),
        ("COSIGN_EXPERIMENTAL", "0"),
    ] {
        cases.add("E11", format!("{name}={value}"), "", move || {
            let mut world = World::signed();
            world.plugin.set(name, value);
            let reply = world.plugin.pre_unpack(&world.name(), &world.dest());
            assert_eq!(reply.stderr, "", "{reply:?}");
            class_of(&reply)
        });
    }
    for (name, value, expected) in [
        ("LUET_COSIGN_TIMEOUT", "soon", "usage"),
        ("COSIGN_DEBUG", "2", "usage"),
        ("LUET_COSIGN_POLICY", "/nonexistent/policy.yaml", "policy"),
        ("LUET_COSIGN_POLICY", "relative.yaml", "policy"),
    ] {
        cases.add("E11", format!("{name}={value}, which is looked at"), expected, move || {
            let mut world = World::signed();
            world.plugin.set(name, value);
            class_of(&world.plugin.pre_unpack(&world.name(), &world.dest()))
        });
    }
    for (what, name, expected) in [
        ("a name that is not text", None, ""),
        ("a value that is not text", Some("XDG_CONFIG_HOME"), "usage"),
    ] {
        cases.add("E11", what, expected, move || {
            let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
            let world = World::signed();
            let text = envelope(EVENT, &data(&world.name(), &world.dest()));
            let name = name.map_or(odd, std::ffi::OsStr::new);
            answered(&world.plugin.raw().args([EVENT, &text]).env(name, odd).output().unwrap())
        });
    }
    cases.add("E13", "not on the PATH of the host", "", || {
        let output = plugin().run(["doctor"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("PATH"), "{text}");
        String::new()
    });
}

/// E12 and E14: many events, and events without the one before.
fn orders(cases: &mut Cases) {
    cases.add("E12", "sixteen at once, half of them of an unsigned image", "", || {
        let world = World::strict().sign();
        world.registry.push_image(crate::world::REPO, "unsigned", &[b"unsigned"]);
        let unsigned = world.registry.name("acme/packages:unsigned");
        crate::in_parallel(16, 16, |number| {
            let (image, expected) =
                if number % 2 == 0 { (world.name(), "") } else { (unsigned.clone(), "unsigned") };
            assert_eq!(world.install_named(&image), expected);
        });
        String::new()
    });
    cases.add("E14", "unpacked without being asked", "policy", || {
        let world = World::signed();
        class_of(&world.plugin.post_unpack(&world.name(), &world.dest()))
    });
    cases.add("E14", "asked for one image, unpacked another", "policy", || {
        let world = World::signed();
        let dest = world.dest();
        assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "");
        class_of(&world.plugin.post_unpack(&world.registry.name("acme/packages:2"), &dest))
    });
    cases.add("E14", "asked for one directory, unpacked into another", "policy", || {
        let world = World::signed();
        assert_eq!(world.install(), "");
        class_of(&world.plugin.post_unpack(&world.name(), &world.dest()))
    });
    cases.add("E14", "refused, and unpacked nevertheless", "policy", || {
        let world = World::strict();
        let dest = world.dest();
        assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "unsigned");
        class_of(&world.plugin.post_unpack(&world.name(), &dest))
    });
    cases.add("E14", "could not be asked, and unpacked nevertheless", "policy", || {
        let world = World::lax().serve(Place::Sig, testkit::Answer::new(503));
        let dest = world.dest();
        assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "registry");
        class_of(&world.plugin.post_unpack(&world.name(), &dest))
    });
    cases.add("E14", "a file, and no rule for files", "policy", || {
        let world = World::signed();
        class_of(&world.plugin.post_unpack("file:///var/image.tar", &world.dest()))
    });
    cases.add("E14", "a file, and a rule for files", "", || {
        let world = World::signed();
        let path = world.plugin.path("policy.yaml");
        let mut policy = std::fs::read_to_string(&path).unwrap();
        policy.push_str("  - {name: files, scope: \"file://**\", trust: skip, reason: a test}\n");
        world.plugin.write("policy.yaml", policy);
        class_of(&world.plugin.post_unpack("file:///var/image.tar", &world.dest()))
    });
}
