//! Many at once, and killed on the way: nothing is lost, nothing is half, no verdict is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use testkit::{Gate, PASSWORD, Plugin, TestRegistry, layer, make_keys, unpack};

const REPO: &str = "acme/packages";

fn world() -> (TestRegistry, Plugin) {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    let keys = make_keys(&plugin, "acme");
    let plugin = plugin
        .env("COSIGN_KEY_LOCATION", keys.private.to_str().unwrap())
        .env("COSIGN_PUBLIC_KEY_LOCATION", keys.public.to_str().unwrap())
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("LUET_COSIGN_ENGINE", "registry");
    (TestRegistry::start(), plugin)
}

fn signatures(registry: &TestRegistry, digest: &str) -> Vec<Value> {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let Some((_, bytes)) = registry.manifest(REPO, &tag) else { return Vec::new() };
    serde_json::from_slice::<Value>(&bytes).unwrap()["layers"].as_array().unwrap().clone()
}

#[test]
fn of_fifty_signers_at_once_none_is_lost() {
    let (registry, plugin) = world();
    let image = registry.push_image(REPO, "a", &[&layer(&[("a", b"a")])]);
    let name = registry.name(&format!("{REPO}:a"));
    let children: Vec<_> = (0..50)
        .map(|number| {
            let mut command = plugin.raw();
            command
                .args(["sign", "-a", &format!("number={number}"), &name])
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let layers = signatures(&registry, &image.digest);
    assert_eq!(layers.len(), 50);
    let mut numbers: Vec<u64> = layers
        .iter()
        .map(|layer| {
            let payload = registry.blob(REPO, layer["digest"].as_str().unwrap()).unwrap();
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            payload["optional"]["number"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<u64>>());
}

#[test]
fn sixty_four_installs_at_once_half_of_them_hostile_give_no_wrong_verdict() {
    let (registry, plugin) = world();
    let content = |number: usize| layer(&[("usr/bin/tool", format!("tool {number}").as_bytes())]);
    for number in 0..8 {
        registry.push_image(REPO, &format!("t{number}"), &[&content(number)]);
        assert_eq!(plugin.post_push(&registry.name(&format!("{REPO}:t{number}"))).error, "");
    }
    registry.push_image(REPO, "unsigned", &[&content(99)]);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (registry, plugin, content) = (&registry, &plugin, &content);
            scope.spawn(move || {
                let which = number % 8;
                let image = registry.name(&format!("{REPO}:t{which}"));
                let dest = plugin.dest(&format!("dest{number}"));
                match number / 8 {
                    // Not signed at all.
                    0 => plugin
                        .pre_unpack(&registry.name(&format!("{REPO}:unsigned")), &dest)
                        .assert_refused("unsigned"),
                    // Unpacked without being asked.
                    1 => plugin.post_unpack(&image, &dest).assert_refused("policy"),
                    kind => {
                        assert_eq!(plugin.pre_unpack(&image, &dest).error, "");
                        unpack(&content(if kind == 2 { which + 1 } else { which }), &dest);
                        if kind == 3 {
                            std::fs::write(dest.join("evil"), "x").unwrap();
                        }
                        let reply = plugin.post_unpack(&image, &dest);
                        if kind < 4 {
                            reply.assert_refused("tree")
                        } else {
                            assert_eq!(reply.error, "")
                        }
                    }
                }
            });
        }
    });
    let seen = plugin.run(["seen", "list", "--json"]);
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["seen"].as_array().unwrap().len(), 8, "{seen}");
}

#[test]
fn a_signer_that_is_killed_leaves_nothing_half_and_the_next_one_finishes() {
    let (registry, plugin) = world();
    let image = registry.push_image(REPO, "a", &[&layer(&[("a", b"a")])]);
    let name = registry.name(&format!("{REPO}:a"));
    // Killed while each of its requests waits for the answer, one after another.
    for number in 1..40 {
        let gate = Gate::default();
        let held = gate.clone();
        registry.rule("*", "*", move |call| (call.nth == number).then(|| call.good().hold(&held)));
        let before = registry.requests().len();
        let mut child = plugin
            .raw()
            .args(["sign", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let finished = loop {
            if registry.requests().len() >= before + number {
                break false;
            }
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            std::thread::yield_now();
        };
        let _ = child.kill();
        child.wait().unwrap();
        gate.open();
        assert!(signatures(&registry, &image.digest).len() <= 1);
        if finished {
            break;
        }
    }
    assert_eq!(plugin.run(["sign", &name]).status.code(), Some(0));
    assert_eq!(signatures(&registry, &image.digest).len(), 1);
    assert_eq!(plugin.run(["verify", &name]).status.code(), Some(0));
}

#[test]
fn an_event_that_is_killed_decides_nothing_and_the_next_one_is_right() {
    let (registry, plugin) = world();
    let content = layer(&[("usr/bin/tool", b"tool")]);
    registry.push_image(REPO, "a", &[&content]);
    let image = registry.name(&format!("{REPO}:a"));
    assert_eq!(plugin.post_push(&image).error, "");
    for number in 0..60 {
        let dest = plugin.dest(&format!("dest{number}"));
        let kill = |event: &str, dest: &Path| {
            let data = serde_json::json!({"Image": image, "Dest": dest});
            let mut command = plugin.raw();
            command
                .args([event, &testkit::envelope(event, &data)])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // Somewhere on its way: after more and more turns of this thread.
            (0..number * 40).for_each(|_| std::thread::yield_now());
            let _ = child.kill();
            child.wait().unwrap();
        };
        kill("image.pre.unpack", &dest);
        assert_eq!(plugin.pre_unpack(&image, &dest).error, "");
        unpack(&content, &dest);
        kill("image.post.unpack", &dest);
        assert_eq!(plugin.post_unpack(&image, &dest).error, "");
    }
    let seen = plugin.run(["seen", "list", "--json"]);
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["seen"].as_array().unwrap().len(), 1, "{seen}");
}
