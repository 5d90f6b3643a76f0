//! What is unpacked is what was verified: hosts, a registry that lies to one of its clients, and
//! the plugin in between.
//!
//! Every attack stops the host with exit 2 before anything is in its cache or its root, and the
//! text names the file. Where nothing is wrong, nothing is said.

use crate::{Shared, trial};
use e2e::layers::{self, Change};
use e2e::machine::{Seen, walk};
use e2e::registry::Image;
use e2e::world::{METADATA, noise, pack};
use e2e::{Host, Liar, Lie, Machine, Maker, Registry, Who, World, scratch, tools};
use libtest_mimic::Trial;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BEER: &str = "beer-toolchain-1.0";
const YIP: &str = "yip-toolchain-1.0";

type Check = (&'static str, fn(&mut Case<'_>));

/// For each maker of signatures.
const FOR_EACH_MAKER: &[Check] = &[
    ("another-manifest-for-the-host", other_manifest_for_host),
    ("another-manifest-for-the-plugin", other_manifest_for_plugin),
    ("another-signed-image-of-the-metadata-for-the-host", other_metadata_for_host),
    ("other-layer-bytes-for-the-host", other_bytes_for_host),
    ("other-layer-bytes-for-both", other_bytes_for_all),
    ("other-layer-bytes-in-the-storage", other_bytes_in_storage),
    ("a-mirror-writes-an-evil-file-and-breaks-off", evil_mirror),
    ("a-mirror-writes-an-evil-file-and-breaks-off-by-repo", evil_mirror_by_flag),
    ("a-mirror-has-no-layers", mirror_without_layers),
    ("an-old-repository-is-denied", rollback_denied),
    ("an-old-repository-is-warned-of", rollback_warned),
    ("dest-changed-an-extra-file", |case| case.dest_changed("extra", "usr/bin/extra")),
    ("dest-changed-another-content", |case| case.dest_changed("change", "usr/bin/beer.*content")),
    ("dest-changed-a-missing-file", |case| case.dest_changed("missing", "etc/beer.conf.*missing")),
    ("dest-changed-a-mode", |case| case.dest_changed("mode", "etc/beer.conf.*0?666")),
    ("dest-changed-setuid", |case| case.dest_changed("setuid", "usr/bin/beer.*4755")),
    ("dest-changed-a-link", |case| case.dest_changed("link", "usr/bin/ale.*/tmp/evil")),
    ("dest-changed-an-owner", |case| case.dest_changed("owner", "usr/bin/beer.*1000")),
    ("dest-changed-a-file-became-a-link", |case| {
        case.dest_changed("replaced", "usr/bin/beer.*link")
    }),
    ("dest-changed-another-directory", |case| case.dest_changed("moved", "another directory")),
    ("a-filled-target-under-attack-is-left", filled_target_attacked),
    ("an-empty-target-under-attack-is-emptied", empty_target_attacked),
    ("no-alarm-a-plain-install", |case| case.silent_install(None)),
    ("no-alarm-the-tag-moves-after-the-pre-event", moving_tag),
    ("no-alarm-an-honest-mirror-breaks-off", broken_mirror),
    ("no-alarm-a-filled-target", filled_target),
    ("no-alarm-lost-and-found", only_lost_found),
    ("no-alarm-dest-on-tmpfs", on_tmpfs),
    // Right are those that a fresh file gets there, which on a machine without SELinux is none.
    ("dest-changed-labels", |case| case.dest_changed("label", "usr/bin/beer.*security.selinux")),
];

/// Once for each host.
const ONCE: &[Check] = &[
    ("another-repository-s-metadata", other_repository),
    ("a-signed-package-under-another-tag", other_package),
    ("a-signed-package-under-another-tag-without-claims-bind-tag-required", other_package_required),
    ("a-signed-package-its-claims-hidden", other_package_remembered),
    ("other-layers-after-the-push", swapped_after_push),
    ("no-alarm-16-downloads-behind-one-slow-link", slow_link),
];

pub fn trials(hosts: &[Host], shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for host in hosts {
        for maker in [Maker::Ours, Maker::Cosign2] {
            for (name, run) in FOR_EACH_MAKER {
                // luet has its own syntax for `--repo`, without mirrors.
                if matches!(host, Host::Real(_)) && name.ends_with("by-repo") {
                    continue;
                }
                let (name, host) =
                    (format!("unpack::{}::{}::{name}", host.name(), maker.name()), host.clone());
                trials.push(trial(name, shared, move |shared| {
                    run(&mut Case::new(&shared.world, &host, maker));
                }));
            }
        }
        for (name, run) in ONCE {
            let (name, host) = (format!("unpack::{}::{name}", host.name()), host.clone());
            trials.push(trial(name, shared, move |shared| {
                run(&mut Case::new(&shared.world, &host, Maker::Ours));
            }));
        }
    }
    trials
}

/// A registry behind a liar, with a signed repository; and a machine that trusts its signer.
struct Case<'w> {
    world: &'w World,
    host: &'w Host,
    maker: Maker,
    liar: Liar,
    registry: Registry,
    machine: Machine,
}

impl<'w> Case<'w> {
    fn new(world: &'w World, host: &'w Host, maker: Maker) -> Self {
        let registry = Registry::docker();
        let liar = Liar::before(registry.address());
        let case = Self { world, host, maker, liar, registry, machine: world.machine() };
        case.publish(&case.acme());
        case
    }

    /// Publishes both packages there, signed.
    fn publish(&self, address: &str) {
        self.world.publish(&self.world.packages(), address, &[BEER, YIP], self.maker);
    }

    fn acme(&self) -> String {
        format!("{}/{}/acme", self.liar.address(), self.maker.name())
    }

    /// Publishes the same as a second address, and returns it.
    fn mirror(&self) -> String {
        let address = format!("{}/{}/mirror", self.liar.address(), self.maker.name());
        self.publish(&address);
        address
    }

    fn image(&self, tag: &str) -> Image {
        Image::new(&format!("{}:{tag}", self.acme()))
    }

    /// Where clients ask for the manifest of a tag.
    fn manifest_path(&self, tag: &str) -> String {
        format!("/v2/{}/acme/manifests/{tag}", self.maker.name())
    }

    /// Where they ask for the layer of the package.
    fn layer_path(&self) -> String {
        format!("/v2/{}/acme/blobs/{}", self.maker.name(), self.image(BEER).layer())
    }

    fn honest_layer(&self) -> Vec<u8> {
        let image = self.image(BEER);
        image.blob(&image.layer())
    }

    /// An image with another content of one file beside the honest one, unsigned.
    fn push_evil(&self) {
        let evil = layers::evil(&self.honest_layer(), Change::Content("usr/bin/beer"));
        self.image(BEER).swap("evil", &evil);
    }

    fn install(&self, addresses: &[&str]) -> Seen {
        self.machine.install(self.host, addresses, &["toolchain/beer"])
    }

    #[track_caller]
    fn assert_refused(&self, seen: &Seen, class: &str, text: &str) {
        seen.was_refused(class, text);
        self.machine.assert_nothing_got_in();
    }

    /// Asserts that the whole package is in the root, as it was made.
    #[track_caller]
    fn assert_beer(&self, seen: &Seen) {
        seen.exited(0);
        let (beer, root) = (self.world.beer(), self.machine.root());
        for path in walk(&beer) {
            let there = root.join(path.strip_prefix(&beer).expect("below"));
            let (made, found) = (
                path.symlink_metadata().expect("an entry"),
                there
                    .symlink_metadata()
                    .unwrap_or_else(|error| panic!("{}: {error}", there.display())),
            );
            assert_eq!(found.mode(), made.mode(), "{}", there.display());
            if made.is_symlink() {
                assert_eq!(fs::read_link(&there).ok(), fs::read_link(&path).ok());
            } else {
                assert_eq!(fs::read(&there).ok(), fs::read(&path).ok(), "{}", there.display());
            }
        }
        assert_eq!(self.machine.installed().len(), walk(&beer).len(), "more than the package");
    }

    /// The plugin on `PATH` meddles before it is itself: `EVENT|WHAT`.
    fn meddle(&mut self, what: &str) {
        let (event, what) = what.split_once('|').expect("an event");
        let plugin = self.world.plugin().display();
        let meddler = env!("CARGO_BIN_EXE_meddler");
        self.machine.program(
            "luet-cosign",
            &format!(
                "#!/bin/sh\n[ \"$1\" != {event} ] || exec \"{meddler}\" \"$@\"\nexec \"{plugin}\" \"$@\"\n"
            ),
        );
        self.machine.set("MEDDLE", format!("{event}|:{BEER}|{what}"));
        self.machine.set("MEDDLED", self.meddled());
        self.machine.set("REAL", self.world.plugin());
    }

    fn meddled(&self) -> PathBuf {
        self.machine.path("meddled")
    }

    #[track_caller]
    fn assert_meddled(&self) {
        assert!(self.meddled().exists(), "nobody meddled");
    }

    fn dest_changed(&mut self, what: &str, text: &str) {
        self.meddle(&format!("image.post.unpack|{what}"));
        let seen = self.install(&[&self.acme()]);
        self.assert_meddled();
        self.assert_refused(&seen, "tree", text);
    }

    /// Installs without a word.
    fn silent_install(&mut self, meddle: Option<&str>) {
        if let Some(meddle) = meddle {
            self.meddle(meddle);
        }
        let seen = self.install(&[&self.acme()]);
        self.assert_beer(&seen);
        seen.said_nothing();
        if meddle.is_some() {
            self.assert_meddled();
        }
    }

    /// Puts a policy in force that trusts the key for one repository, with more rules.
    fn policy(&mut self, scope: &str, rules: serde_json::Value) {
        let mut repository = json!({"name": "acme", "scope": scope, "trust": ["acme"]});
        for (key, value) in rules.as_object().expect("rules") {
            repository[key] = value.clone();
        }
        let policy = json!({
            "version": 1,
            "defaults": {"unmatched": "deny", "unsigned": "deny"},
            "signers": {"acme": {"key": self.world.key("acme.pub")}},
            "repositories": [repository],
        });
        let path = self.machine.path("policy.yaml");
        fs::write(&path, policy.to_string()).expect("a file");
        self.machine.set("LUET_COSIGN_POLICY", path);
    }
}

// ---- Host and plugin are told different manifests.

fn other_manifest_for_host(case: &mut Case<'_>) {
    case.push_evil();
    case.liar.tell([Lie::other(Who::Host, &case.manifest_path(BEER), &case.manifest_path("evil"))]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "tree", "usr/bin/beer.*content");
}

fn other_manifest_for_plugin(case: &mut Case<'_>) {
    case.push_evil();
    case.liar.tell([Lie::other(
        Who::Plugin,
        &case.manifest_path(BEER),
        &case.manifest_path("evil"),
    )]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "unsigned", BEER);
}

/// Both images are signed and of this name, and each client is told another one: only what the host
/// got counts.
fn other_metadata_for_host(case: &mut Case<'_>) {
    let other = case.manifest_path("repository.yaml");
    case.liar.tell([Lie::other(Who::Host, &case.manifest_path("tree.tar.gz"), &other)]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "tree", "");
}

// ---- Other bytes of a layer under the right manifest.

fn other_bytes(case: &Case<'_>, who: Who) -> Seen {
    let evil = layers::evil(&case.honest_layer(), Change::Content("usr/bin/beer"));
    case.liar.tell([Lie::body(who, &case.layer_path(), &evil)]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    seen
}

fn other_bytes_for_host(case: &mut Case<'_>) {
    let seen = other_bytes(case, Who::Host);
    case.assert_refused(&seen, "tree", "usr/bin/beer.*content");
}

/// Where the plugin is not told the right bytes either, it cannot know which file differs.
fn other_bytes_for_all(case: &mut Case<'_>) {
    let seen = other_bytes(case, Who::Anyone);
    case.assert_refused(&seen, "digest", "beer-toolchain-1.0|layer");
}

fn other_bytes_in_storage(case: &mut Case<'_>) {
    let evil = layers::evil(&case.honest_layer(), Change::Content("usr/bin/beer"));
    let stored = case.registry.stored(&case.image(BEER).layer());
    assert!(stored.is_file(), "the registry keeps its blobs elsewhere");
    fs::write(stored, evil).expect("a file");
    let seen = case.install(&[&case.acme()]);
    case.assert_refused(&seen, "digest", "beer-toolchain-1.0|layer");
}

// ---- Mirrors.

/// The first mirror writes a file and breaks off; the second is honest, and the host goes on in the
/// same directory.
fn evil_mirror(case: &mut Case<'_>) {
    let mirror = case.mirror();
    let evil = layers::evil(&case.honest_layer(), Change::First("usr/bin/evil"));
    case.liar.tell([Lie::cut(Who::Host, &case.layer_path(), &evil, 40_000)]);
    let seen = case.install(&[&case.acme(), &mirror]);
    case.liar.assert_lied();
    seen.said("[Ff]ailed downloading");
    case.assert_refused(&seen, "tree", "usr/bin/evil.*(should not|not in|extra|unexpected|more)");
}

fn evil_mirror_by_flag(case: &mut Case<'_>) {
    let mirror = case.mirror();
    let evil = layers::evil(&case.honest_layer(), Change::First("usr/bin/evil"));
    case.liar.tell([Lie::cut(Who::Host, &case.layer_path(), &evil, 40_000)]);
    case.machine.configure("acme", &[]);
    let repositories = format!("a={},a={mirror}", case.acme());
    let root = case.machine.root().display().to_string();
    let words = ["install", "--plugin", "luet-cosign", "-y", "toolchain/beer"];
    let flags = ["--repo", &repositories, "--root", &root];
    let seen = case.machine.host(case.host, &[&words[..], &flags].concat());
    case.liar.assert_lied();
    case.assert_refused(&seen, "tree", "usr/bin/evil");
}

/// The mirror breaks off in the middle of a file; the second writes it all once more.
fn broken_mirror(case: &mut Case<'_>) {
    let mirror = case.mirror();
    case.liar.tell([Lie::cut(Who::Host, &case.layer_path(), &case.honest_layer(), 40_000)]);
    let seen = case.install(&[&case.acme(), &mirror]);
    case.liar.assert_lied();
    case.assert_beer(&seen);
    seen.said("[Ff]ailed downloading");
}

/// The host takes layers that cannot be had for an empty image: go-containerregistry's `Extract`
/// ends its archive well, whatever happened before.
fn mirror_without_layers(case: &mut Case<'_>) {
    let mirror = case.mirror();
    case.liar.tell([Lie::gone(Who::Host, &case.layer_path())]);
    let seen = case.install(&[&case.acme(), &mirror]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "tree", "usr/bin/beer.*missing");
}

// ---- An old repository.yaml.

/// The machine has seen revision 2; then the registry shows revision 1 again, which was signed.
fn rolled_back(case: &mut Case<'_>, rule: &str) -> Seen {
    let old: Vec<(String, String)> =
        METADATA.iter().map(|tag| (case.manifest_path(tag), case.image(tag).digest())).collect();
    let image = case.image("repository.yaml");
    let first = layers::content_of(&image.blob(&image.layer()), "repository.yaml");
    let first = String::from_utf8(first).expect("UTF-8");
    let second = first.replace("\nrevision: 1\n", "\nrevision: 2\n");
    assert_ne!(first, second, "no revision: {first}");
    image.push(&[layers::of_file("repository.yaml", second.as_bytes())]);
    case.maker.sign(&case.world.machine(), &case.world.key("acme.key"), &[image.to_string()]);

    case.policy(&case.acme(), json!({"rollback": rule}));
    case.machine.install(case.host, &[&case.acme()], &["toolchain/yip"]).exited(0);
    fs::remove_dir_all(case.machine.root().join("usr")).expect("the package");
    case.liar.tell(
        old.iter().map(|(path, digest)| Lie::other(Who::Anyone, path, &case.manifest_path(digest))),
    );
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    seen.said("repository.yaml. is revision 1, but revision 2 was seen");
    seen
}

fn rollback_denied(case: &mut Case<'_>) {
    let seen = rolled_back(case, "deny");
    seen.was_refused("rollback", "");
    assert!(!case.machine.root().join("usr/bin/beer").exists(), "it was installed");
}

fn rollback_warned(case: &mut Case<'_>) {
    let seen = rolled_back(case, "warn");
    case.assert_beer(&seen);
    seen.said("warning: ");
}

// ---- Signed, but something else.

/// An image of another repository, with its signature, is served here.
fn other_repository(case: &mut Case<'_>) {
    let address = format!("{}/binding/repository", case.liar.address());
    case.publish(&address);
    let (from, to) = (case.image("repository.yaml"), Image::new(&format!("{address}:other")));
    from.copy(&to);
    from.signature_tag().copy(&to.signature_tag());
    let path = |tag| format!("/v2/binding/repository/manifests/{tag}");
    case.liar.tell([Lie::other(Who::Anyone, &path("repository.yaml"), &path("other"))]);
    let seen = case.install(&[&address]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "binding", "ours/acme");
}

fn other_package(case: &mut Case<'_>) {
    let lie = Lie::other(Who::Anyone, &case.manifest_path(BEER), &case.manifest_path(YIP));
    case.liar.tell([lie]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "binding", YIP);
}

/// The same without claims: a signature of cosign says nothing about names, so only a rule or the
/// memory can refuse it. All else here has claims, so the package alone can be what is refused.
fn other_package_required(case: &mut Case<'_>) {
    let address = format!("{}/required/acme", case.liar.address());
    case.world.publish(&case.world.packages(), &address, &[BEER], Maker::Ours);
    let yip = format!("{address}:{YIP}");
    Maker::Cosign2.sign(&case.world.machine(), &case.world.key("acme.key"), &[yip]);
    case.policy(&address, json!({"bind_tag": "required"}));
    let path = |tag| format!("/v2/required/acme/manifests/{tag}");
    case.liar.tell([Lie::other(Who::Anyone, &path(BEER), &path(YIP))]);
    let seen = case.install(&[&address]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "binding", BEER);
}

/// This signer named repository and tag here before. Now its signature is hidden and one without
/// claims is shown.
fn other_package_remembered(case: &mut Case<'_>) {
    case.machine.install(case.host, &[&case.acme()], &["toolchain/yip"]).exited(0);
    fs::remove_dir_all(case.machine.root()).expect("the root");
    fs::create_dir(case.machine.root()).expect("a directory");
    let plain = Image::new(&format!("{}/binding/plain:{BEER}", case.liar.address()));
    case.image(BEER).copy(&plain);
    let key = case.world.key("acme.key");
    Maker::Cosign2.sign(&case.world.machine(), &key, &[plain.to_string()]);
    let signature = plain.signature_tag();
    let other = |kind: &str, reference: &str| {
        let here = format!("/v2/ours/acme/{kind}/{reference}");
        Lie::other(Who::Anyone, &here, &format!("/v2/binding/plain/{kind}/{reference}"))
    };
    case.liar.tell([other("manifests", &signature.reference), other("blobs", &signature.layer())]);
    let seen = case.install(&[&case.acme()]);
    case.liar.assert_lied();
    case.assert_refused(&seen, "binding", BEER);
}

// ---- Other layers after the push.

/// After buildah pushed an image someone puts a manifest with the same configuration and other
/// layers there.
fn swapped_after_push(case: &mut Case<'_>) {
    let liar = case.liar.address();
    let address = format!("{liar}/pushed/acme");
    let evil = case.machine.path("evil.gz");
    fs::write(&evil, layers::evil(&case.honest_layer(), Change::Content("usr/bin/beer")))
        .expect("a file");
    let (buildah, meddler) = (tools::program("buildah"), env!("CARGO_BIN_EXE_meddler"));
    case.machine.use_buildah(&[&liar]);
    case.machine.program(
        "buildah",
        &format!(
            "#!/bin/sh\n'{}' \"$@\" || exit\ncase \"$1 $2\" in\n\"push {address}:{BEER}\") \
             '{meddler}' --swap \"$2\" {BEER} '{}' >&2 ;;\nesac\n",
            buildah.display(),
            evil.display()
        ),
    );
    case.machine.set("MEDDLED", case.meddled());
    case.machine.set("COSIGN_KEY_LOCATION", case.world.key("acme.key"));
    case.machine.configure("acme", &[]);
    let tree = case.machine.path("tree").display().to_string();
    fs::create_dir(&tree).expect("a directory");
    let packages = case.world.packages().display().to_string();
    let seen = case.machine.host(
        case.host,
        &[
            "create-repo",
            "--plugin",
            "luet-cosign",
            "--type",
            "docker",
            "--push-images",
            "--backend",
            "buildah",
            "--from-metadata",
            "--tree",
            &tree,
            "--packages",
            &packages,
            "--output",
            &address,
            "--name",
            "acme",
        ],
    );
    case.assert_meddled();
    seen.was_refused("digest", BEER);
    let image = Image::new(&format!("{address}:{BEER}"));
    assert!(!image.signature_tag().exists(), "it was signed");
}

// ---- No false alarm.

/// The tag moves after the pre event: the host has its manifest by then, and the digest is what is
/// compared.
fn moving_tag(case: &mut Case<'_>) {
    case.push_evil();
    let lie = Lie::other(Who::Anyone, &case.manifest_path(BEER), &case.manifest_path("evil"));
    case.liar.tell([lie.after(case.meddled())]);
    case.silent_install(Some("image.pre.unpack|then"));
    // From now on the tag is another image, for everybody.
    assert_eq!(case.image(BEER).digest(), case.image("evil").digest(), "the tag did not move");
}

fn on_tmpfs(case: &mut Case<'_>) {
    const TMPFS: u64 = 0x0102_1994;
    let memory = scratch::in_memory();
    let kind = rustix::fs::statfs(memory.path()).expect("a file system").f_type;
    assert_eq!(u64::try_from(kind).ok(), Some(TMPFS), "/dev/shm is not a tmpfs");
    case.machine.unpack_in(memory.path());
    case.silent_install(None);
}

/// Files, a directory that the image has as well, and what mkfs leaves.
fn filled_target(case: &mut Case<'_>) {
    let target = case.machine.path("target");
    for folder in ["usr/bin", "home/me"] {
        fs::create_dir_all(target.join(folder)).expect("a directory");
        fs::write(target.join(folder).join("mine"), "mine").expect("a file");
    }
    lost_and_found(&target);
    symlink("nowhere", target.join("home/me/link")).expect("a link");
    let fifo = target.join("home/me/fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a fifo");
    let seen = case.machine.unpack(case.host, &case.image(BEER).to_string(), &target);
    seen.exited(0);
    seen.said_nothing();
    let (made, found) = (case.world.beer().join("usr/bin/beer"), target.join("usr/bin/beer"));
    assert_eq!(fs::read(found).ok(), fs::read(made).ok());
    assert_eq!(fs::read(target.join("home/me/mine")).ok().as_deref(), Some(&b"mine"[..]));
}

fn lost_and_found(target: &Path) {
    let folder = target.join("lost+found");
    fs::create_dir_all(&folder).expect("a directory");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a mode");
}

fn only_lost_found(case: &mut Case<'_>) {
    let target = case.machine.path("target");
    lost_and_found(&target);
    let seen = case.machine.unpack(case.host, &case.image(BEER).to_string(), &target);
    seen.exited(0);
    seen.said_nothing();
}

/// Unpacks while the host is told another manifest.
fn attacked(case: &Case<'_>, target: &Path) -> Seen {
    case.push_evil();
    case.liar.tell([Lie::other(Who::Host, &case.manifest_path(BEER), &case.manifest_path("evil"))]);
    let seen = case.machine.unpack(case.host, &case.image(BEER).to_string(), target);
    case.liar.assert_lied();
    seen
}

/// A filled target is no loophole either, and it is left as it is.
fn filled_target_attacked(case: &mut Case<'_>) {
    let target = case.machine.path("target");
    fs::create_dir(&target).expect("a directory");
    fs::write(target.join("mine"), "mine").expect("a file");
    attacked(case, &target).was_refused("tree", "usr/bin/beer.*content");
    assert_eq!(fs::read(target.join("mine")).ok().as_deref(), Some(&b"mine"[..]));
}

fn empty_target_attacked(case: &mut Case<'_>) {
    let target = case.machine.path("target");
    fs::create_dir(&target).expect("a directory");
    attacked(case, &target).was_refused("tree", "");
    assert_eq!(fs::read_dir(&target).expect("a directory").count(), 0, "it was not emptied");
}

/// 16 packages at once through one link: each download takes far longer than an answer may, and all
/// move on. Signed by cosign, so the plugin streams every layer through the same link once more.
fn slow_link(case: &mut Case<'_>) {
    const COUNT: usize = 16;
    let packages = case.machine.path("packages");
    let content = |number: usize| noise(number as u64 + 100, 100_000);
    let tags: Vec<String> = (0..COUNT).map(|number| format!("p{number}-slow-1.0")).collect();
    let names: Vec<String> = (0..COUNT).map(|number| format!("slow/p{number}")).collect();
    for number in 0..COUNT {
        let folder = case.machine.path(&format!("content{number}"));
        fs::create_dir_all(folder.join("usr/share")).expect("a directory");
        fs::write(folder.join(format!("usr/share/p{number}")), content(number)).expect("a file");
        pack(case.world, &format!("slow/p{number}@1.0"), &folder, &packages);
    }
    let plain = format!("{}/slow/acme", case.registry.address());
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    case.world.publish(&packages, &plain, &tags, Maker::Cosign2);

    let slow = Liar::slow(case.registry.address(), 200_000);
    case.machine.concurrency = COUNT;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let address = format!("{}/slow/acme", slow.address());
    let seen = case.machine.install(case.host, &[&address], &names);
    seen.exited(0);
    seen.said_nothing();
    for number in 0..COUNT {
        let path = case.machine.root().join(format!("usr/share/p{number}"));
        assert_eq!(fs::read(path).ok(), Some(content(number)));
    }
}
