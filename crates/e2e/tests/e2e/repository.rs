//! Whole repositories: published by a host, verified and signed by one command.

use crate::{Shared, trial};
use e2e::machine::{Seen, succeed, walk};
use e2e::registry::Image;
use e2e::world::pack;
use e2e::{Host, Machine, Registry, World, scratch};
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

type Check = (&'static str, fn(&mut Case<'_>));

const CHECKS: &[Check] = &[
    ("signed-while-it-was-published", signed_while_published),
    ("signed-after-an-unsigned-publish", signed_after),
    ("a-planted-image-is-not-signed", planted),
    ("two-tags-of-one-image", two_tags),
    ("a-registry-that-is-trusted", trusted),
    ("what-is-built-on-is-verified", build_inputs),
];

/// How many packages are published.
const PACKAGES: usize = 40;

pub fn trials(hosts: &[Host], shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for host in hosts {
        for kind in ["docker-registry", "olareg"] {
            for (name, run) in CHECKS {
                let name = format!("repository::{}::{kind}::{name}", host.name());
                let host = host.clone();
                trials.push(trial(name, shared, move |shared| {
                    let registry = match kind {
                        "olareg" => Registry::olareg(&[]),
                        _ => Registry::docker(),
                    };
                    run(&mut Case::new(&shared.world, &host, registry));
                }));
            }
        }
    }
    trials
}

/// A registry, a machine that publishes there, and what it publishes.
struct Case<'w> {
    world: &'w World,
    host: &'w Host,
    machine: Machine,
    folder: TempDir,
    address: String,
    // Ends last.
    registry: Registry,
}

impl<'w> Case<'w> {
    fn new(world: &'w World, host: &'w Host, registry: Registry) -> Self {
        let mut machine = world.machine();
        let address = format!("{}/acme/packages", registry.address());
        machine.set("COSIGN_KEY_LOCATION", world.key("acme.key"));
        machine.push_as(host, registry.address());
        let case = Self { world, host, machine, folder: scratch::folder(), address, registry };
        for number in 0..PACKAGES {
            let content = case.folder.path().join(format!("p{number}"));
            std::fs::create_dir_all(content.join("usr/bin")).expect("a directory");
            let text = format!("package {number}\n");
            std::fs::write(content.join(format!("usr/bin/p{number}")), text).expect("a file");
            pack(world, &format!("test/p{number}@1.0+{number}"), &content, &case.build());
        }
        case
    }

    fn build(&self) -> PathBuf {
        self.folder.path().join("build")
    }

    fn tag(number: usize) -> String {
        format!("p{number}-test-1.0-{number}")
    }

    /// `create-repo`, with the plugin or without.
    fn publish(&self, plugin: bool) -> Seen {
        let words: &[&str] = if plugin { &["--plugin", "luet-cosign"] } else { &[] };
        self.machine.create_repo(self.host, &self.build(), &self.address, words)
    }

    /// A command about the repository.
    fn run(&self, words: &[&str]) -> Ran {
        let mut command = self.machine.command(self.machine.plugin());
        let output = command.args(words).arg(&self.address).output().expect("it runs");
        Ran {
            code: output.status.code(),
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn verify(&self) -> Ran {
        let key = self.world.key("acme.pub");
        self.run(&["verify-repo", "--key", key.to_str().expect("UTF-8")])
    }

    fn sign(&self) -> Ran {
        let build = self.build();
        self.run(&["sign-repo", "--from", build.to_str().expect("UTF-8")])
    }

    /// Puts the image of one tag under another.
    fn copy(&self, from: &str, to: &str) {
        let image = |tag: &str| Image::new(&format!("{}:{tag}", self.address));
        image(from).copy(&image(to));
    }

    /// Installs packages from there, on another machine.
    fn install(&self, packages: &[&str]) -> (Machine, Seen) {
        let machine = self.world.machine();
        let seen = machine.install(self.host, &[&self.address], packages);
        (machine, seen)
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    text: String,
    errors: String,
}

impl Ran {
    #[track_caller]
    fn came_to(&self, code: i32, last: &str) {
        let said = self.text.lines().last().unwrap_or_default();
        assert!(
            self.code == Some(code) && said.contains(last),
            "expected exit {code} and `{last}`; found exit {:?}\n{}\n{}",
            self.code,
            self.text,
            self.errors
        );
    }

    /// The last line about an image.
    #[track_caller]
    fn line(&self, tag: &str) -> &str {
        let name = format!("/acme/packages:{tag}");
        let is = |line: &&str| {
            line.split_whitespace().any(|word| word.trim_end_matches(':').ends_with(&name))
        };
        self.text.lines().rfind(is).unwrap_or_else(|| panic!("nothing about {tag}: {}", self.text))
    }
}

fn signed_while_published(case: &mut Case<'_>) {
    let published = case.publish(true);
    published.exited(0);
    assert!(!published.output.contains("NOT signed"), "{published:?}");
    case.verify().came_to(0, "88 images: 88 verified");
    case.sign().came_to(0, "88 images: 0 signed, 88 signed already");
    case.install(&["test/p3"]).1.exited(0);
}

/// luet skips what the registry has: "already present". Then one command signs it.
fn signed_after(case: &mut Case<'_>) {
    case.publish(false).exited(0);
    case.verify().came_to(10, "0 verified, 88 refused (unsigned 88)");
    let published = case.publish(true);
    published.exited(0);
    let (build, address) = (case.build(), &case.address);
    published.said(&format!(
        r#"80 of 88 images are NOT signed .*: luet-cosign sign-repo --key "\$COSIGN_KEY_LOCATION" --from {} {address}"#,
        build.display()
    ));
    let (_machine, seen) = case.install(&["test/p3"]);
    seen.was_refused("unsigned", "p3-test-1.0-3");
    // The first publish left a snapshot of its own, which is not of this state.
    case.verify().came_to(10, "8 verified, 80 refused (unsigned 80)");
    case.sign().came_to(0, "88 images: 80 signed, 8 signed already");
    case.verify().came_to(0, "88 images: 88 verified");
    let (machine, seen) = case.install(&["test/p3"]);
    seen.exited(0);
    assert_eq!(machine.installed(), ["usr/bin/p3"]);
}

fn planted(case: &mut Case<'_>) {
    case.publish(false).exited(0);
    case.publish(true).exited(0);
    let (planted, honest) = (Case::tag(7), Case::tag(8));
    case.copy(&honest, &planted);
    let signed = case.sign();
    signed.came_to(12, "79 signed, 8 signed already, 1 NOT signed (nothing vouches for 1)");
    assert!(signed.line(&planted).starts_with("NOT signed "), "{}", signed.line(&planted));
    let verified = case.verify();
    // The honest one's signature names another tag.
    verified.came_to(14, "87 verified, 1 refused (binding 1)");
    assert!(verified.line(&planted).starts_with("binding "), "{}", verified.line(&planted));
    let (machine, seen) = case.install(&["test/p7"]);
    seen.was_refused("binding", &planted);
    machine.assert_nothing_got_in();
}

fn two_tags(case: &mut Case<'_>) {
    case.publish(true).exited(0);
    let (one, other) = (Case::tag(1), Case::tag(2));
    case.copy(&one, &other);
    case.verify().came_to(14, "87 verified, 1 refused (binding 1)");
    // What is there is the other package, so nothing vouches for it under this name.
    case.sign().came_to(12, "0 signed, 87 signed already, 1 NOT signed");
    let sign = case.run(&["sign-repo", "--trust-registry"]);
    sign.came_to(0, "1 signed, 87 signed already");
    assert!(sign.line(&other).contains("nothing vouched for it"), "{}", sign.line(&other));
    case.verify().came_to(0, "88 images: 88 verified");
}

fn trusted(case: &mut Case<'_>) {
    case.publish(false).exited(0);
    case.run(&["sign-repo"]).came_to(12, "88 NOT signed (nothing vouches for 88)");
    case.run(&["sign-repo", "--trust-registry"]).came_to(0, "88 signed, 0 signed already");
    case.verify().came_to(0, "88 images: 88 verified");
}

/// `create-repo` pulls the description of the repository that is there.
fn build_inputs(case: &mut Case<'_>) {
    for path in walk(&case.build()) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        if !name.starts_with("p0-") {
            std::fs::remove_file(&path).expect("a file");
        }
    }
    if matches!(case.host, Host::StandIn) {
        case.machine.use_buildah(&[case.registry.address()]);
        case.machine.set("LUET_COSIGN_ENGINE", "");
    }
    case.machine.set("LUET_COSIGN_BUILD_INPUTS", "verify");
    let words = ["--plugin", "luet-cosign", "--backend", "buildah"];
    let publish =
        |case: &Case<'_>| case.machine.create_repo(case.host, &case.build(), &case.address, &words);
    publish(case).exited(0);
    // Now there is a description. What buildah pushed it keeps under another digest, and pulls no more:
    // what the hint says is enough.
    publish(case).was_refused("digest", "repository.yaml");
    succeed(case.machine.command("buildah").args(["rmi", "--all", "--force"]));
    let again = publish(case);
    again.exited(0);
    again.said("creating revision 2");
    case.copy(&Case::tag(0), "repository.yaml");
    publish(case).was_refused("binding", "repository.yaml");
    let unsigned = Image::new(&format!("{}:repository.yaml", case.address));
    unsigned.push(&[]);
    publish(case).was_refused("unsigned", "repository.yaml");
    case.machine.set("LUET_COSIGN_BUILD_INPUTS", "off");
    assert!(!publish(case).output.contains("had an error"));
}
