//! Dockerfile.example, built as a newcomer would after changing the three names in it.

use super::{Case, Named};
use e2e::machine::{Seen, succeed};
use e2e::tools;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

pub const EXAMPLE: &[Named] = &[
    ("builds-from-what-is-signed", |case| {
        let tag = case.own("derived") + ":1";
        derive(case, &tag, "ours/acme", "toolchain/yip", &[]).exited(0);
        case.engine().push(&case.machine, &tag);
        assert_eq!(files(case, &tag)["usr/bin/yip"], b"toolchain/yip@1.0");
    }),
    ("does-not-build-from-what-is-unsigned", |case| {
        let tag = case.own("derived") + ":1";
        let seen = derive(case, &tag, "partly/unsigned", "toolchain/yip", &[]);
        fails(&seen, "had an error: unsigned: ");
    }),
    ("does-not-build-without-packages", |case| {
        let tag = case.own("derived") + ":1";
        let seen = derive(case, &tag, "ours/acme", "", &[]);
        fails(&seen, "name the packages to install");
    }),
    ("target-bare-leaves-nothing-of-ours", bare),
];

#[track_caller]
fn fails(seen: &Seen, text: &str) {
    assert_ne!(seen.code, Some(0), "the build went well");
    seen.said(text);
}

fn bare(case: &mut Case<'_>) {
    let tag = case.own("derived") + ":1";
    derive(case, &tag, "ours/acme", "toolchain/yip", &["--target", "bare"]).exited(0);
    case.engine().push(&case.machine, &tag);
    let files = files(case, &tag);
    assert_eq!(files["usr/bin/yip"], b"toolchain/yip@1.0");
    let ours = |path: &&String| {
        path.contains("luet-cosign") || path.contains("acme.pub") || path.starts_with("run/")
    };
    let left: Vec<_> = files.keys().filter(ours).collect();
    assert!(left.is_empty(), "left: {left:?}");
    // Not all of the configuration: its history has the command, with the variables that were set
    // for it alone.
    let config: Value =
        serde_json::from_str(&case.crane(&case.machine, &["config", &tag])).expect("JSON");
    let environment = config["config"]["Env"].to_string();
    assert!(environment.contains("PATH="), "{config}");
    assert!(!environment.contains("LUET_PLUGIN") && !environment.contains("COSIGN"), "{config}");
}

/// What an image consists of: each path, without `./` or a last `/`, and its content.
fn files(case: &Case<'_>, image: &str) -> BTreeMap<String, Vec<u8>> {
    let archive =
        succeed(case.machine.command(tools::program("crane")).args(["export", image, "-"]));
    let mut archive = tar::Archive::new(archive.as_slice());
    let entries = archive.entries().expect("an archive");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            (path, content)
        })
        .collect()
}

fn derive(case: &mut Case<'_>, tag: &str, from: &str, packages: &str, more: &[&str]) -> Seen {
    let (base, plugin) = make_bases(case, from);
    let context = case.machine.path("context");
    std::fs::create_dir(&context).expect("a directory");
    std::fs::copy(case.goods().public("acme"), context.join("acme.pub")).expect("the key");
    let example = tools::project().join("Dockerfile.example");
    std::fs::copy(example, context.join("Dockerfile")).expect("the example");
    let arguments =
        [format!("BASE={base}"), format!("PLUGIN={plugin}"), format!("PACKAGES={packages}")];
    let mut options: Vec<&str> = more.to_vec();
    for argument in &arguments {
        options.extend(["--build-arg", argument]);
    }
    case.engine().build(&case.machine, tag, &context, &options)
}

/// The base image of a derivative (a shell and the host), and the image that carries the plugin.
fn make_bases(case: &Case<'_>, from: &str) -> (String, String) {
    let made = |name: &str, tag: &str, files: &[(&str, &Path)], dockerfile: &str| {
        let folder = case.machine.path(name);
        std::fs::create_dir(&folder).expect("a directory");
        for (name, path) in files {
            std::fs::copy(path, folder.join(name)).expect("a file");
        }
        std::fs::write(folder.join("Dockerfile"), dockerfile).expect("a file");
        case.engine().build(&case.machine, tag, &folder, &[]).exited(0);
    };
    let luet = case.machine.path("base.yaml");
    let repository = format!(
        "logging: {{enable_emoji: false, color: false}}\n\
         repositories: [{{name: acme, type: docker, enable: true, urls: ['{}']}}]\n",
        case.made(from)
    );
    std::fs::write(&luet, repository).expect("a file");
    let (base, plugin) = (case.own("base") + ":1", case.own("plugin") + ":1");
    let (busybox, host) = (tools::program("busybox"), case.host.program());
    made(
        "base",
        &base,
        &[("busybox", &busybox), ("luet", &host), ("luet.yaml", &luet)],
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY luet /usr/bin/luet\n\
         COPY luet.yaml /etc/luet/luet.yaml\n",
    );
    made(
        "plugin",
        &plugin,
        &[("luet-cosign", case.machine.plugin())],
        "FROM scratch\nCOPY luet-cosign /usr/bin/luet-cosign\n",
    );
    case.engine().push(&case.machine, &plugin);
    let digest = case.crane(&case.machine, &["digest", &plugin]);
    let (repository, _) = plugin.rsplit_once(':').expect("a tag");
    (base, format!("{repository}@{}", digest.trim()))
}
