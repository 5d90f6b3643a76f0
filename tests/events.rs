//! The protocol, at the real binary: what hosts sent, and what no host should send.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use testkit::{Plugin, Reply, envelope};

const IGNORED: &str = r#"{"state":"","data":"","error":""}"#;
const OURS: [&str; 4] =
    ["image.pre.unpack", "image.post.unpack", "image.pre.push", "image.post.push"];

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"))
}

fn unpack(image: &str, dest: &str) -> Value {
    json!({"Image": image, "Dest": dest})
}

#[track_caller]
fn check(envelope: &str, class: &str) {
    plugin().send("image.pre.unpack", envelope).assert_refused(class);
}

#[test]
fn events_that_are_not_ours_are_answered_unread() {
    let plugin = plugin();
    for event in [
        "package.install",
        "image.pre.pull",
        "image.pre.build",
        "agent.boot",
        "init.provider.info",
        "x.y",
        "image.pre.unpack.more",
    ] {
        for payload in ["", "not JSON", "{}", r#"{"name":"other"}"#] {
            assert_eq!(plugin.send(event, payload).stdout, IGNORED, "{event} {payload}");
        }
        assert_eq!(plugin.send_on_input(event, &vec![b'x'; 4 << 20]).stdout, IGNORED, "{event}");
        let without = plugin.raw().arg(event).output().unwrap();
        assert_eq!(
            (without.status.code(), without.stdout.as_slice()),
            (Some(0), IGNORED.as_bytes())
        );
    }
}

#[test]
fn an_event_that_is_not_ours_opens_nothing_and_needs_nothing() {
    let own = plugin();
    let output = own.raw().env_clear().arg("package.install").current_dir("/").output().unwrap();
    assert_eq!(output.stdout, IGNORED.as_bytes());
}

#[test]
fn data_may_be_text_or_an_object() {
    let plugin = plugin();
    let data = unpack("Not A Name", "/tmp");
    let name = "image.pre.unpack";
    for envelope in [
        json!({"name": name, "data": data.to_string(), "file": ""}),
        json!({"name": name, "data": data}),
        json!({"data": data}),
        json!({"name": name, "data": data.to_string(), "file": null, "unknown": [1]}),
        json!({"name": "", "data": data}),
    ] {
        // It was understood: what is wrong is the name of the image.
        plugin.send(name, &envelope.to_string()).assert_refused("reference");
        plugin.send_on_input(name, envelope.to_string().as_bytes()).assert_refused("reference");
    }
}

#[test]
fn bad_envelopes_are_events_that_cannot_be_understood() {
    for envelope in [
        "",
        "x",
        "{",
        "[]",
        "null",
        "{}",
        "{}{}",
        r#"{"data":""}"#,
        r#"{"data":null}"#,
        r#"{"data":7}"#,
        r#"{"data":[]}"#,
        r#"{"data":"x"}"#,
        r#"{"data":"{}"}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"Image":"a"}}"#,
        r#"{"data":{"Image":7,"Dest":"/tmp"}}"#,
        r#"{"data":{"Image":"","Dest":"/tmp"}}"#,
        r#"{"data":{"Image":"a","Dest":"relative"}}"#,
        r#"{"data":{"Image":"a","Dest":""}}"#,
        r#"{"data":{"Image":"a","Dest":"/tmp"},"data":{"Image":"b","Dest":"/tmp"}}"#,
        r#"{"data":{"Image":"a","Image":"b","Dest":"/tmp"}}"#,
        r#"{"data":"{\"Image\":\"a\",\"Image\":\"b\",\"Dest\":\"/tmp\"}"}"#,
        r#"{"name":"image.post.unpack","data":{"Image":"a","Dest":"/tmp"}}"#,
        r#"{"name":7,"data":{"Image":"a","Dest":"/tmp"}}"#,
        "\u{feff}{}",
    ] {
        check(envelope, "event");
    }
    check(&format!("{}{}", "[".repeat(60_000), "]".repeat(60_000)), "event");
}

#[test]
fn names_from_outside_are_never_read_by_a_shell_or_a_terminal() {
    let plugin = plugin();
    let marker = plugin.path("marker");
    // Everything passes unlooked, so only the name can be refused.
    let skipping = self::plugin().env("COSIGN_SKIP", ".*");
    for image in [
        format!("$(touch {})", marker.display()),
        format!("a;touch {}", marker.display()),
        format!("`touch {}`", marker.display()),
        "a\nb".to_owned(),
        "a\u{1b}[2Jb".to_owned(),
        "\u{202e}a".to_owned(),
        "-x".to_owned(),
        "--help".to_owned(),
        "quаy.io/a/b".to_owned(),
        "a".repeat(20_000),
        "a/../b".to_owned(),
        "http://a/b".to_owned(),
    ] {
        for event in OURS {
            let data = if event.contains("push") {
                json!({"ImageName": image})
            } else {
                unpack(&image, "/tmp")
            };
            let reply = skipping.send(event, &envelope(event, &data));
            assert_eq!(reply.exit, Some(0), "{reply:?}");
            assert!(
                ["reference", "policy", "secret"].contains(&reply.class()),
                "{event} {reply:?}"
            );
            assert!(
                !reply.error.contains(['\u{1b}', '\u{202e}']) && reply.error.len() < 10_000,
                "{reply:?}"
            );
        }
    }
    assert!(!marker.exists());
}

#[test]
fn too_much_on_standard_input_is_refused_and_not_kept() {
    let plugin = plugin();
    let mut large = br#"{"data":""#.to_vec();
    large.resize(2 << 20, b'x');
    plugin.send_on_input("image.pre.unpack", &large).assert_refused("event");
    plugin.send_on_input("image.pre.unpack", &[0xff, 0xfe]).assert_refused("event");
    plugin.send_on_input("image.pre.unpack", b"").assert_refused("event");
}

/// The payload's file, as go-pluggable makes it: private, called `pluggable*`, in the directory for
/// temporary files.
fn payload_file(plugin: &Plugin, name: &str, content: &[u8]) -> PathBuf {
    let path = plugin.path("tmp").join(name);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(content).unwrap();
    path
}

fn through(plugin: &Plugin, path: &Path) -> Reply {
    let envelope = json!({"name": "image.pre.unpack", "data": "", "file": path}).to_string();
    plugin.send("image.pre.unpack", &envelope)
}

#[test]
fn a_large_payload_comes_through_a_file() {
    let plugin = plugin();
    let mut data = unpack("Not A Name", "/tmp");
    data["More"] = json!("x".repeat(20_000));
    let path = payload_file(&plugin, "pluggable123", data.to_string().as_bytes());
    through(&plugin, &path).assert_refused("reference");
    let both = json!({"data": data, "file": path}).to_string();
    plugin.send("image.pre.unpack", &both).assert_refused("event");
}

#[test]
fn only_a_file_that_the_host_can_have_made_is_read() {
    let plugin = plugin();
    let content = unpack("Not A Name", "/tmp").to_string();
    let good = payload_file(&plugin, "pluggable1", content.as_bytes());
    let tmp = plugin.path("tmp");
    let named = payload_file(&plugin, "other", content.as_bytes());
    let open = payload_file(&plugin, "pluggable2", content.as_bytes());
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let twice = payload_file(&plugin, "pluggable3", content.as_bytes());
    std::fs::hard_link(&twice, tmp.join("second")).unwrap();
    let link = tmp.join("pluggable4");
    symlink(&good, &link).unwrap();
    let fifo = tmp.join("pluggable5");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let folder = tmp.join("pluggable6");
    std::fs::create_dir(&folder).unwrap();
    let elsewhere = plugin.write("pluggable7", &content);
    let large = payload_file(&plugin, "pluggable8", &vec![b' '; (1 << 20) + 1]);
    for path in [
        named,
        open,
        twice,
        link,
        fifo,
        folder,
        elsewhere,
        large,
        tmp.join("../tmp/pluggable1"),
        tmp.join("pluggable-missing"),
        PathBuf::from("pluggable1"),
        PathBuf::from("/etc/shadow"),
        PathBuf::from("/proc/self/environ"),
        PathBuf::from("/dev/zero"),
    ] {
        let reply = through(&plugin, &path);
        reply.assert_refused("event");
        assert!(!reply.error.contains("Not A Name") && !reply.error.contains("root:"), "{reply:?}");
    }
    through(&plugin, &good).assert_refused("reference");
}

#[test]
fn exactly_one_object_leaves_and_nothing_else() {
    for event in OURS {
        let reply = plugin().send(event, "{}");
        let mut documents = serde_json::Deserializer::from_str(&reply.stdout).into_iter::<Value>();
        assert!(documents.next().unwrap().unwrap().is_object());
        assert!(documents.next().is_none());
        assert_eq!(reply.stderr, "");
    }
}

#[test]
fn an_answer_that_cannot_be_written_stops_the_host() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for event in ["package.install", "image.pre.unpack"] {
        let own = plugin();
        let status = own
            .raw()
            .args([event, "{}"])
            .stdout(full.try_clone().unwrap())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_ne!(status.code(), Some(0), "{event}");
    }
}

#[test]
fn a_hostile_environment_changes_nothing_but_the_text() {
    let data = envelope("image.pre.unpack", &unpack("quay.io/a/b:c", "/tmp"));
    let own = plugin();
    let mut command = own.raw();
    command
        .args(["image.pre.unpack", &data])
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full");
    for name in ["HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
        command.env(name, "relative/../x");
    }
    let answer: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert!(answer["error"].as_str().unwrap().starts_with("policy: "), "{answer}");
    for (name, value) in
        [("COSIGN_EXPERIMENTAL", "maybe"), ("LUET_COSIGN_TIMEOUT", "soon"), ("COSIGN_DEBUG", "2")]
    {
        let reply = plugin().env(name, value).send("image.pre.unpack", &data);
        reply.assert_refused("usage");
        assert!(reply.error.contains(name));
    }
    plugin().env("COSIGN_SKIP", "[").send("image.pre.unpack", &data).assert_refused("policy");
}

#[test]
fn recorded_calls_of_the_real_luet_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/luet-events");
    let mut calls = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let call: Value = serde_json::from_str(line).unwrap();
            replay(&call);
            calls += 1;
        }
    }
    assert_eq!(calls, 321);
}

/// Replays one call. Nothing listens where the recorded images lay, so ours end in a refusal that
/// shows they were understood.
fn replay(call: &Value) {
    let plugin =
        plugin().env("LUET_COSIGN_SIGN", "off").env("COSIGN_SKIP", "localhost:5100/demo/.*");
    let event = call["argv"][0].as_str().unwrap();
    let mut payload = call["argv"][1].as_str().unwrap().to_owned();
    if let Some(file) = call.get("file") {
        let path =
            payload_file(&plugin, "pluggable42", file["content"].as_str().unwrap().as_bytes());
        payload = payload.replace(file["path"].as_str().unwrap(), path.to_str().unwrap());
    }
    let mut dest = None;
    if event == "image.pre.unpack" || event == "image.post.unpack" {
        // Dest is a directory that was there then.
        let mut envelope: Value = serde_json::from_str(&payload).unwrap();
        let mut data: Value = serde_json::from_str(envelope["data"].as_str().unwrap()).unwrap();
        dest = Some((data["Image"].as_str().unwrap().to_owned(), plugin.dest("dest")));
        data["Dest"] = json!(dest.as_ref().unwrap().1);
        envelope["data"] = json!(data.to_string());
        payload = envelope.to_string();
    }
    match event {
        "image.post.unpack" => {
            let (image, dest) = dest.unwrap();
            plugin.send(event, &payload).assert_refused("policy");
            assert_eq!(plugin.pre_unpack(&image, &dest).error, "");
            plugin.send(event, &payload).assert_silent_success();
        }
        "image.pre.unpack" => assert_eq!(plugin.send(event, &payload).error, ""),
        "image.pre.push" | "image.post.push" => {
            plugin.send(event, &payload).assert_silent_success()
        }
        _ => assert_eq!(plugin.send(event, &payload).stdout, IGNORED),
    }
}
