//! No false alarm: two hundred varied trees, and the largest ones, signed by two makers and
//! unpacked by several programs, are what was signed.
//!
//! `TREES` says how many (200).

use crate::trial;
use e2e::machine::succeed;
use e2e::registry::{Image, push_layout};
use e2e::world::noise;
use e2e::{Host, Machine, Maker, Registry, World, scratch, tools};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;
use testkit::envelope;

/// The user that is not root.
const NOBODY: u32 = 65_534;

/// The trees, which most trials here share.
#[derive(Default)]
pub struct Shared(OnceLock<Trees>);

impl Shared {
    fn get(&self, world: &World) -> &Trees {
        self.0.get_or_init(|| {
            let count = std::env::var("TREES").unwrap_or_else(|_| "200".to_owned());
            let trees = Trees::make(world, &count);
            trees.sign(world, Maker::Ours);
            trees.sign(world, Maker::Cosign2);
            trees
        })
    }
}

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials = vec![
        trial("unpack::trees::published".into(), shared, |shared| {
            let trees = shared.trees.get(&shared.world);
            for maker in [Maker::Ours, Maker::Cosign2] {
                for tree in &trees.list {
                    assert!(Image::new(&trees.name(tree, maker)).signature_tag().exists());
                }
            }
        }),
        trial("unpack::trees::built-by-buildah".into(), shared, |shared| built(&shared.world)),
        trial("unpack::trees::100-000-files".into(), shared, |shared| large(&shared.world, "many")),
        trial("unpack::trees::1-gib".into(), shared, |shared| large(&shared.world, "huge")),
    ];
    for (name, by) in
        [("host", By::Host), ("user", By::User), ("umoci", By::Umoci), ("tar", By::Tar)]
    {
        for maker in [Maker::Ours, Maker::Cosign2] {
            let name = format!("unpack::trees::{name}::{}", maker.name());
            trials.push(trial(name, shared, move |shared| {
                let trees = shared.trees.get(&shared.world);
                // umoci is slow, and what cosign signed is compared by layers in any case.
                let every = if by == By::Umoci && maker == Maker::Cosign2 { 3 } else { 1 };
                trees.unpack(&mut shared.world.machine(), by, maker, every);
            }));
        }
    }
    trials
}

/// Who unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The stand-in host.
    Host,
    /// The same, not as root.
    User,
    /// Another unpacker, between two events.
    Umoci,
    /// GNU tar, likewise; single layers only.
    Tar,
}

/// Images with what a test has to know of them, in a registry of their own.
struct Trees {
    registry: Registry,
    folder: TempDir,
    list: Vec<Tree>,
}

struct Tree {
    tag: String,
    /// Whether everything in it belongs to [`NOBODY`].
    own: bool,
    layers: u64,
    /// Whether it has a digest of the tree, or its layers decide.
    digest: bool,
}

impl Trees {
    /// Makes them, and pushes them for both makers.
    fn make(world: &World, what: &str) -> Self {
        let folder = scratch::folder();
        let script = tools::project().join("crates/e2e/trees.py");
        let machine = world.machine();
        let mut command = machine.command("python3");
        succeed(command.arg(script).arg(folder.path()).arg(what));
        let list = fs::read(folder.path().join("trees.json")).expect("a list");
        let list: Vec<Value> = serde_json::from_slice(&list).expect("JSON");
        let list = list.iter().map(|tree| Tree {
            tag: tree["tag"].as_str().expect("a tag").to_owned(),
            own: tree["own"] == true,
            layers: tree["layers"].as_u64().expect("a number"),
            digest: tree["tree"] == true,
        });
        let trees = Self { registry: Registry::docker(), list: list.collect(), folder };
        assert!(!trees.list.is_empty(), "there are no trees");
        for maker in [Maker::Ours, Maker::Cosign2] {
            let repository = format!("trees/{}", maker.name());
            push_layout(trees.registry.address(), &repository, &trees.folder.path().join("layout"));
        }
        trees
    }

    fn name(&self, tree: &Tree, maker: Maker) -> String {
        format!("{}/trees/{}:{}", self.registry.address(), maker.name(), tree.tag)
    }

    fn sign(&self, world: &World, maker: Maker) {
        let names: Vec<String> = self.list.iter().map(|tree| self.name(tree, maker)).collect();
        let parts: Vec<&[String]> = names.chunks(25).collect();
        two_at_a_time(&parts, |part| {
            maker.sign(&world.machine(), &world.key("acme.key"), part);
        });
    }

    /// Unpacks every n-th, two at a time, and says how many were found right in which way.
    fn unpack(&self, machine: &mut Machine, by: By, maker: Maker, every: usize) {
        machine.set("COSIGN_DEBUG", "1");
        if by == By::User {
            machine.give_away(NOBODY);
        }
        machine.configure("acme", &[]);
        let target = scratch::folder();
        let fits = |tree: &&Tree| match by {
            By::Host | By::Umoci => true,
            By::User => tree.own,
            By::Tar => tree.layers == 1,
        };
        let list: Vec<&Tree> = self.list.iter().filter(fits).step_by(every).collect();
        assert!(!list.is_empty(), "there are no trees for this");
        let proofs: Mutex<BTreeMap<&str, usize>> = Mutex::default();
        two_at_a_time(&list, |tree| {
            let dest = target.path().join(&tree.tag);
            let text = self.unpack_one(machine, by, &self.name(tree, maker), &tree.tag, &dest);
            let proof = PROOFS.iter().find(|proof| text.contains(**proof));
            let proof = proof.unwrap_or_else(|| panic!("{}: not compared: {text}", tree.tag));
            if tree.digest && maker == Maker::Ours && by != By::User {
                assert_eq!(*proof, PROOFS[0], "{}: {text}", tree.tag);
            }
            remove(&dest);
            *proofs.lock().expect("no panic").entry(proof).or_default() += 1;
        });
        println!("{} images: {:?}", list.len(), proofs.into_inner().expect("no panic"));
    }

    fn unpack_one(&self, machine: &Machine, by: By, image: &str, tag: &str, dest: &Path) -> String {
        fs::DirBuilder::new().mode(0o700).create(dest).expect("a directory");
        let host = || {
            let mut words = vec![Host::StandIn.program().display().to_string()];
            words.extend(["util", "unpack", "--plugin", "luet-cosign", "--config"].map(Into::into));
            words.push(machine.path("luet.yaml").display().to_string());
            words.extend([image.to_owned(), dest.display().to_string()]);
            words
        };
        let run = |words: &[String]| said(machine.command(&words[0]).args(&words[1..]));
        match by {
            By::Host => return run(&host()),
            By::User => {
                chown(dest, Some(NOBODY), Some(NOBODY)).expect("root");
                let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
                return run(&[user.map(Into::into).to_vec(), host()].concat());
            }
            By::Umoci | By::Tar => {}
        }
        event(machine, "image.pre.unpack", image, dest);
        let (folder, dest_text) = (self.folder.path().display(), dest.display().to_string());
        let words = match by {
            By::Umoci => {
                let source = format!("{folder}/layout:{tag}");
                ["umoci", "raw", "unpack", "--image", &source, &dest_text].map(Into::into).to_vec()
            }
            _ => {
                let source = format!("{folder}/{tag}.tar");
                let mut words =
                    ["tar", "-C", &dest_text, "-xpf", &source].map(String::from).to_vec();
                let exact = ["--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner"];
                words.extend(exact.map(Into::into));
                words
            }
        };
        run(&words);
        event(machine, "image.post.unpack", image, dest)
    }
}

/// How a directory was found right, the strongest first.
const PROOFS: [&str; 4] = [
    "equal to the signed tree",
    "equal to the layers as the host",
    "equal to the layers in the OCI",
    "equal to the layers",
];

/// Runs a command that has to end well, and returns all that it said.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// Sends an event as a host does, and returns the state of a good answer.
fn event(machine: &Machine, event: &str, image: &str, dest: &Path) -> String {
    let payload = envelope(event, &json!({"Image": image, "Dest": dest}));
    let answer = succeed(machine.command(machine.plugin()).args([event, &payload]));
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["error"], "", "{event} of {image}");
    answer["state"].as_str().expect("a state").to_owned()
}

/// Does work on two threads; a panic of one is a panic of the trial, when both have ended.
fn two_at_a_time<T: Sync>(list: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

/// Removes a directory, and what nobody but root may enter.
fn remove(folder: &Path) {
    fs::remove_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}

/// Images of 1, 7 and 30 layers as buildah makes them, each of which adds, changes and removes
/// something; and one packed by zstd.
fn built(world: &World) {
    let registry = Registry::docker();
    let mut machine = world.machine();
    machine.use_buildah(&[registry.address()]);
    let name = |number: usize| format!("{}/trees/ours:b{number}", registry.address());
    let buildah = |words: &[&str]| {
        let output = succeed(machine.command(tools::program("buildah")).args(words));
        String::from_utf8(output).expect("UTF-8").trim().to_owned()
    };
    let mut container = buildah(&["from", "scratch"]);
    for number in 1..=31 {
        let content = machine.path(&format!("content{number}"));
        let own = content.join(format!("opt/{number}"));
        fs::create_dir_all(own.join("empty")).expect("a directory");
        fs::write(own.join("file"), noise(number as u64, 3000)).expect("a file");
        fs::hard_link(own.join("file"), own.join("hard")).expect("a link");
        fs::set_permissions(own.join("hard"), fs::Permissions::from_mode(0o4711)).expect("a mode");
        fs::write(content.join("changes"), number.to_string()).expect("a file");
        buildah(&["copy", "-q", &container, content.to_str().expect("UTF-8"), "/"]);
        if number % 5 == 0 {
            let mounted = PathBuf::from(buildah(&["mount", &container]));
            remove(&mounted.join(format!("opt/{}", number - 1)));
        }
        buildah(&["commit", "-q", &container, &name(number)]);
        buildah(&["rm", &container]);
        container = buildah(&["from", &name(number)]);
    }
    for count in [1, 7, 30] {
        buildah(&["push", "-q", &name(count)]);
        let manifest = Image::new(&name(count)).manifest().0;
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(count));
    }
    // buildah takes layers that the registry has, so one that was not pushed before gets zstd.
    buildah(&["push", "-q", "--format", "oci", "--compression-format", "zstd", &name(31)]);
    let manifest = Image::new(&name(31)).manifest().0;
    assert!(String::from_utf8_lossy(&manifest).contains("tar+zstd"), "not zstd");

    let numbers = [1, 7, 30, 31];
    let names: Vec<String> = numbers.iter().map(|number| name(*number)).collect();
    Maker::Ours.sign(&world.machine(), &world.key("acme.key"), &names);
    let list = numbers.map(|number| Tree {
        tag: format!("b{number}"),
        own: false,
        layers: 1,
        digest: true,
    });
    let trees = Trees { registry, folder: scratch::folder(), list: list.into() };
    trees.unpack(&mut world.machine(), By::Host, Maker::Ours, 1);
    by_layers(world, &trees);
}

/// Unpacks all once more, compared by their layers whatever the signature says.
fn by_layers(world: &World, trees: &Trees) {
    let mut machine = world.machine();
    machine.set("LUET_COSIGN_POST_UNPACK", "layers");
    machine.set("COSIGN_DEBUG", "1");
    machine.configure("acme", &[]);
    let target = scratch::in_memory();
    for tree in &trees.list {
        let dest = target.path().join(&tree.tag);
        let image = trees.name(tree, Maker::Ours);
        let text = trees.unpack_one(&machine, By::Host, &image, &tree.tag, &dest);
        assert!(PROOFS[1..].iter().any(|proof| text.contains(proof)), "{}: {text}", tree.tag);
    }
}

/// One image that is large: `many` files, or `huge`.
fn large(world: &World, what: &str) {
    let trees = Trees::make(world, what);
    trees.sign(world, Maker::Ours);
    trees.unpack(&mut world.machine(), By::Host, Maker::Ours, 1);
    by_layers(world, &trees);
}
