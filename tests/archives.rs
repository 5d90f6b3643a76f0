//! `pull` and `verify oci:DIR`, `verify docker-archive:FILE` at the real binary, against a registry in
//! this process: what is written is what was verified, whole or not at all, and what is read has one
//! meaning.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::{Answer, Image, PASSWORD, Plugin, TestRegistry, make_keys};

const REPO: &str = "acme/os";

struct World {
    registry: TestRegistry,
    plugin: Plugin,
}

fn world() -> World {
    let world = World {
        registry: TestRegistry::start(),
        plugin: Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")),
    };
    make_keys(&world.plugin, "acme");
    make_keys(&world.plugin, "stranger");
    world.policy("{name: os, scope: HOST/acme/**, trust: [acme]}");
    let policy = world.plugin.path("policy.yaml").display().to_string();
    World { plugin: world.plugin.env("LUET_COSIGN_POLICY", &policy), ..world }
}

/// What a command came to.
#[derive(Debug)]
struct Ran {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn succeeded(&self) -> &Self {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    fn refused(&self, class: &str) -> &Self {
        assert!(self.stderr.contains(&format!("error: {class}: ")), "{class}: {self:?}");
        assert_ne!(self.exit, Some(0), "{self:?}");
        self
    }
}

/// Bytes that do not pack.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(count).collect()
}

impl World {
    fn policy(&self, rules: &str) {
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny}}\nsigners: {{acme: {{key: acme.pub}}}}\nrepositories:\n  - {rules}\n"
        );
        self.plugin.write("policy.yaml", text.replace("HOST", &self.registry.host()));
    }

    fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.plugin.path(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.plugin.raw().args(arguments).env("COSIGN_PASSWORD", PASSWORD).output();
        let output = output.unwrap();
        Ran {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn sign(&self, key: &str, name: &str) {
        let key = self.path(&format!("{key}.key")).display().to_string();
        self.run(&["sign", "--key", &key, name]).succeeded();
    }

    /// An image of three layers, the last of some size.
    fn push(&self, tag: &str) -> Image {
        let (one, two) =
            (testkit::layer(&[("one", tag.as_bytes())]), testkit::layer(&[("two", b"2")]));
        let three = testkit::layer(&[("three", &noise(400_000))]);
        self.registry.push_image(REPO, tag, &[&one, &two, &three])
    }

    fn signed(&self, tag: &str) -> Image {
        let image = self.push(tag);
        self.sign("acme", &self.name(tag));
        image
    }

    fn pull(&self, tag: &str, to: &str) -> Ran {
        self.run(&["pull", &self.name(tag), to])
    }

    /// Pulls with signatures, and returns the archive as it was written.
    fn archived(&self, tag: &str, to: &str) {
        self.run(&["pull", "--signatures", &self.name(tag), to]).succeeded();
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["verify"], arguments].concat())
    }

    /// What comes with the archives: parts that were left.
    fn parts(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".part")).collect()
    }
}

#[test]
fn what_is_pulled_is_what_was_verified_in_both_forms() {
    let world = world();
    let image = world.signed("v1");
    let said = world.pull("v1", "os.tar");
    assert!(said.succeeded().stdout.contains(&image.digest), "{said:?}");
    world.pull("v1", "oci:os").succeeded();
    let layer = &image.layers[2];
    let blob = world.registry.blob(REPO, layer).unwrap();
    let path = world.path("os/blobs/sha256").join(layer.strip_prefix("sha256:").unwrap());
    assert_eq!(std::fs::read(path).unwrap(), blob);
    let mut archive = tar::Archive::new(std::fs::File::open(world.path("os.tar")).unwrap());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names.first().map(String::as_str), Some("oci-layout"));
    assert_eq!(names.last().map(String::as_str), Some("manifest.json"));
    assert_eq!(names.len(), 8, "layout, manifest, configuration, three layers, index, docker's");
    assert_eq!(world.parts(), Vec::<String>::new());
    // The same image is the same file.
    let first = std::fs::read(world.path("os.tar")).unwrap();
    world.pull("v1", "os.tar").succeeded();
    assert_eq!(std::fs::read(world.path("os.tar")).unwrap(), first);
    world.pull("v1", "oci:os").succeeded();
}

#[test]
fn nothing_is_written_of_what_is_refused_and_what_was_there_stays() {
    let world = world();
    world.signed("v1");
    world.pull("v1", "os.tar").succeeded();
    world.pull("v1", "oci:os").succeeded();
    let before = std::fs::read(world.path("os.tar")).unwrap();
    world.push("unsigned");
    world.push("stranger");
    world.sign("stranger", &world.name("stranger"));
    for (tag, class) in
        [("unsigned", "unsigned"), ("stranger", "identity"), ("nowhere", "not-found")]
    {
        for to in ["os.tar", "oci:os", "new.tar", "oci:new"] {
            world.pull(tag, to).refused(class);
        }
    }
    assert_eq!(std::fs::read(world.path("os.tar")).unwrap(), before);
    assert!(world.path("os/index.json").exists());
    assert!(!world.path("new.tar").exists() && !world.path("new").exists());
    assert_eq!(world.parts(), Vec::<String>::new());
}

#[test]
fn another_layer_behind_a_good_signature_is_never_written() {
    let world = world();
    let image = world.signed("v1");
    let good = world.registry.blob(REPO, &image.layers[2]).unwrap();
    let (mut other, mut garbled) = (good.clone(), good.clone());
    let middle = good.len() / 2;
    other[middle] ^= 1;
    garbled.reverse();
    let cut = good[..middle].to_vec();
    let longer = [good.as_slice(), b"more"].concat();
    for (what, bytes) in [("other", other), ("garbled", garbled), ("cut", cut), ("longer", longer)]
    {
        let pattern = format!("*blobs/{}*", image.layers[2]);
        world.registry.always("GET", &pattern, Answer::new(200).body(bytes));
        for to in ["os.tar", "oci:os"] {
            let ran = world.pull("v1", to);
            ran.refused("digest");
            assert!(!world.path("os.tar").exists() && !world.path("os").exists(), "{what}");
            assert_eq!(world.parts(), Vec::<String>::new(), "{what}");
        }
    }
}

/// Breaks the line within the third layer, for good.
fn breaks(world: &World, image: &Image) {
    let good = world.registry.blob(REPO, &image.layers[2]).unwrap();
    let pattern = format!("*blobs/{}*", image.layers[2]);
    world.registry.rule("GET", &pattern, move |call| {
        let begins = call.request.header("range").is_none();
        Some(if begins {
            Answer::new(200).body(good.clone()).cut(200_000)
        } else {
            Answer::new(503)
        })
    });
}

/// Gives the layer again, the rest of it where that is asked for. Returns how often.
fn fixes(world: &World, image: &Image) {
    let good = world.registry.blob(REPO, &image.layers[2]).unwrap();
    let pattern = format!("*blobs/{}*", image.layers[2]);
    world.registry.rule("GET", &pattern, move |call| {
        let range = call.request.header("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        Some(match range {
            None => Answer::new(200).body(good.clone()),
            Some(from) => Answer::new(206)
                .header("content-range", &format!("bytes {from}-{}/{}", good.len() - 1, good.len()))
                .body(good[from..].to_vec()),
        })
    });
}

#[test]
fn what_broke_off_is_gone_on_with() {
    let world = world();
    let image = world.signed("v1");
    world.pull("v1", "whole.tar").succeeded();
    for (to, name) in [("os.tar", "os.tar.part"), ("oci:os", "os.part")] {
        breaks(&world, &image);
        assert_eq!(world.pull("v1", to).exit, Some(20));
        assert_eq!(world.parts(), [name], "what came is kept");
        fixes(&world, &image);
        let before = world.registry.requests().len();
        world.pull("v1", to).succeeded();
        let requests = world.registry.requests();
        let blobs: Vec<_> = requests[before..]
            .iter()
            .filter(|request| request.target.contains("/blobs/"))
            .collect();
        let asked: Vec<_> =
            blobs.iter().map(|request| (&request.target, request.header("range"))).collect();
        assert!(asked.iter().any(|(_, range)| range.is_some()), "{to}: {asked:?}");
        let first = asked.iter().any(|(target, _)| target.contains(&image.layers[0]));
        assert!(!first, "{to}: {asked:?}");
        assert_eq!(world.parts(), Vec::<String>::new());
    }
    let read = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert_eq!(read("os.tar"), read("whole.tar"));
    // Nothing that is there is believed.
    breaks(&world, &image);
    assert_eq!(world.pull("v1", "again.tar").exit, Some(20));
    let mut part = read("again.tar.part");
    let end = part.len() - 1_000;
    part[end] ^= 1;
    std::fs::write(world.path("again.tar.part"), part).unwrap();
    fixes(&world, &image);
    world.pull("v1", "again.tar").succeeded();
    assert_eq!(read("again.tar"), read("whole.tar"));
}

#[test]
fn a_part_of_another_image_or_of_someone_else_is_not_used() {
    let world = world();
    let image = world.signed("v1");
    world.pull("v1", "whole.tar").succeeded();
    world.signed("v2");
    breaks(&world, &image);
    assert_eq!(world.pull("v2", "os.tar").exit, Some(20), "the large layer is the same");
    fixes(&world, &image);
    world.pull("v1", "os.tar").succeeded();
    let read = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert_eq!(read("os.tar"), read("whole.tar"));
    // After a refusal nothing is left beside it.
    breaks(&world, &image);
    assert_eq!(world.pull("v2", "other.tar").exit, Some(20));
    world.push("unsigned");
    world.pull("unsigned", "other.tar").refused("unsigned");
    assert_eq!(world.parts(), Vec::<String>::new());
    // Nor is a link followed.
    fixes(&world, &image);
    std::fs::write(world.path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink("precious", world.path("link.tar.part")).unwrap();
    world.pull("v1", "link.tar").refused("state");
    assert_eq!(read("precious"), b"precious");
}

#[test]
fn a_folder_with_anything_else_in_it_is_never_replaced() {
    let world = world();
    world.signed("v1");
    std::fs::create_dir(world.path("home")).unwrap_or_default();
    std::fs::create_dir(world.path("mine")).unwrap();
    std::fs::write(world.path("mine/letter"), "dear").unwrap();
    world.pull("v1", "oci:mine").refused("state");
    assert!(world.path("mine/letter").exists());
    world.pull("v1", "mine").refused("state");
    world.pull("v1", "dir:mine").refused("usage");
    std::fs::create_dir(world.path("empty")).unwrap();
    world.pull("v1", "oci:empty").succeeded();
}

#[test]
fn of_an_index_the_platform_is_taken_that_was_asked_for() {
    let world = world();
    let (amd, arm) = (world.push("amd"), world.push("arm"));
    let index =
        world.registry.push_index(REPO, "multi", &[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    world.sign("acme", &world.name("multi"));
    let name = world.name("multi");
    let said = world.run(&["pull", "--platform", "linux/arm64", "--signatures", &name, "oci:os"]);
    assert!(said.succeeded().stdout.contains(&arm.digest), "{said:?}");
    let verified = world.verify(&["oci:os"]);
    assert!(verified.succeeded().stdout.contains(&index), "the index was signed: {verified:?}");
    world.run(&["pull", "--platform", "linux/riscv64", &name, "no.tar"]).refused("not-found");
    world.run(&["pull", "--platform", "arm64", &name, "no.tar"]).refused("usage");
    // Where one image of it is signed, it is that one or none.
    world.registry.push_index(REPO, "child", &[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
    let other = world.registry.push_index("acme/other", "child", &[(&amd, "linux/amd64")]);
    assert_ne!(other, index);
}

#[test]
fn an_archive_verifies_without_a_network_as_its_image_does() {
    let world = world();
    world.signed("v1");
    world.archived("v1", "os.tar");
    world.archived("v1", "oci:os");
    let key = world.path("acme.pub").display().to_string();
    let stranger = world.path("stranger.pub").display().to_string();
    let before = world.registry.requests().len();
    for archive in ["docker-archive:os.tar", "oci:os"] {
        world.verify(&[archive]).succeeded();
        world.verify(&["--key", &key, archive]).succeeded();
        world.verify(&["--key", &stranger, archive]).refused("identity");
        world.verify(&["--as", &world.name("v1"), archive]).succeeded();
        world.verify(&["--as", &world.name("v2"), archive]).refused("binding");
        let pinned = world.registry.name(&format!("{REPO}@sha256:{}", "0".repeat(64)));
        world.verify(&["--as", &pinned, archive]).refused("digest");
    }
    world.run(&["pull", &world.name("v1"), "bare.tar"]).succeeded();
    let pulled = world.registry.requests().len();
    world.verify(&["docker-archive:bare.tar"]).refused("unsigned");
    world.verify(&["--as", "x/y:z", &world.name("v1")]).refused("usage");
    world.verify(&["oci:nowhere"]).refused("not-found");
    assert!(before < pulled);
    assert_eq!(world.registry.requests().len(), pulled, "only `pull` asked anyone");
}

#[test]
fn the_name_in_an_archive_chooses_only_rules_that_demand_a_signature() {
    let world = world();
    world.signed("v1");
    world.push("unsigned");
    world.policy("{name: os, scope: HOST/acme/**, trust: [acme], unsigned: allow, reason: tests}");
    world.run(&["pull", "--signatures", &world.name("unsigned"), "oci:os"]).succeeded();
    world.verify(&["oci:os"]).refused("unsigned");
    let said = world.verify(&["--as", &world.name("unsigned"), "oci:os"]);
    assert!(said.succeeded().stderr.contains("Nothing was verified"), "{said:?}");
    world.policy("{name: os, scope: HOST/acme/**, trust: skip, reason: tests}");
    world.verify(&["oci:os"]).refused("policy");
    world.verify(&["--as", &world.name("unsigned"), "oci:os"]).succeeded();
    world.policy("{name: other, scope: a.example/acme/**, trust: [acme]}");
    world.verify(&["oci:os"]).refused("policy");
}

/// Changes the file of an archive in a directory.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_folder_that_another_reader_could_read_otherwise_is_refused() {
    let world = world();
    let image = world.signed("v1");
    let evil = world.push("evil");
    let layer = image.layers[2].strip_prefix("sha256:").unwrap();
    type Change<'a> = Box<dyn Fn(&Path) + 'a>;
    let blob = |folder: &Path| folder.join("blobs/sha256").join(layer);
    let cases: Vec<(&str, &str, Change<'_>)> = vec![
        (
            "garbled",
            "digest",
            Box::new(|folder| {
                let mut bytes = std::fs::read(blob(folder)).unwrap();
                bytes[1000] ^= 1;
                std::fs::write(blob(folder), bytes).unwrap();
            }),
        ),
        ("cut", "digest", Box::new(|folder| std::fs::write(blob(folder), "short").unwrap())),
        ("missing", "digest", Box::new(|folder| std::fs::remove_file(blob(folder)).unwrap())),
        (
            "a link",
            "malformed",
            Box::new(|folder| {
                std::fs::rename(blob(folder), folder.join("../aside")).unwrap();
                std::os::unix::fs::symlink("../../../aside", blob(folder)).unwrap();
            }),
        ),
        (
            "something else",
            "malformed",
            Box::new(|folder| {
                std::fs::write(folder.join("manifest.json"), "[]").unwrap();
            }),
        ),
        (
            "a blob of nothing",
            "malformed",
            Box::new(|folder| {
                let bytes = b"evil";
                let name = testkit::digest(bytes);
                let path = folder.join("blobs/sha256").join(name.strip_prefix("sha256:").unwrap());
                std::fs::write(path, bytes).unwrap();
            }),
        ),
        (
            "two images",
            "malformed",
            Box::new(|folder| {
                let (media_type, bytes) = world.registry.manifest(REPO, &evil.digest).unwrap();
                let hex = evil.digest.strip_prefix("sha256:").unwrap();
                std::fs::write(folder.join("blobs/sha256").join(hex), &bytes).unwrap();
                change(&folder.join("index.json"), |index| {
                    index["manifests"].as_array_mut().unwrap().push(
                    json!({"mediaType": media_type, "digest": evil.digest, "size": bytes.len()}),
                );
                });
            }),
        ),
        (
            "the image of another",
            "digest",
            Box::new(|folder| {
                change(&folder.join("index.json"), |index| {
                    index["manifests"][0]["digest"] = json!(evil.digest);
                });
            }),
        ),
        (
            "a signature with a name",
            "malformed",
            Box::new(|folder| {
                change(&folder.join("index.json"), |index| {
                    index["manifests"][1]["annotations"]["io.containerd.image.name"] =
                        json!("x/y:z");
                });
            }),
        ),
        (
            "two names",
            "malformed",
            Box::new(|folder| {
                change(&folder.join("index.json"), |index| {
                    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] =
                        json!("v2");
                });
            }),
        ),
        (
            "another version",
            "malformed",
            Box::new(|folder| {
                std::fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"2.0.0\"}")
                    .unwrap();
            }),
        ),
    ];
    for (number, (what, class, change)) in cases.iter().enumerate() {
        let name = format!("oci{number}");
        world.archived("v1", &format!("oci:{name}"));
        world.verify(&[&format!("oci:{name}")]).succeeded();
        change(&world.path(&name));
        let ran = world.verify(&[&format!("oci:{name}")]);
        assert!(ran.stderr.contains(&format!("error: {class}: ")), "{what}: {ran:?}");
    }
}

/// Makes an archive again, of files that were changed.
fn rewritten(from: &Path, to: &Path, change: impl FnOnce(&mut Vec<(tar::Header, Vec<u8>)>)) {
    let mut archive = tar::Archive::new(std::fs::File::open(from).unwrap());
    let mut entries: Vec<(tar::Header, Vec<u8>)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (entry.header().clone(), bytes)
        })
        .collect();
    change(&mut entries);
    let mut builder = tar::Builder::new(std::fs::File::create(to).unwrap());
    for (mut header, bytes) in entries {
        header.set_size(bytes.len().try_into().unwrap());
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    builder.finish().unwrap();
}

#[test]
fn a_file_that_docker_could_read_otherwise_is_refused() {
    let world = world();
    let image = world.signed("v1");
    world.archived("v1", "os.tar");
    type Entries = Vec<(tar::Header, Vec<u8>)>;
    let docker = |entries: &mut Entries, change: fn(&mut Value)| {
        let (_, bytes) = entries.last_mut().unwrap();
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        change(&mut value);
        *bytes = value.to_string().into_bytes();
    };
    let mut number = 0;
    let mut check = |class: &str, change: &dyn Fn(&mut Entries)| {
        number += 1;
        let name = format!("changed{number}.tar");
        rewritten(&world.path("os.tar"), &world.path(&name), |entries| change(entries));
        let ran = world.verify(&[&format!("docker-archive:{name}")]);
        if class.is_empty() {
            ran.succeeded();
        } else {
            ran.refused(class);
        }
    };
    check("", &|_| {});
    check("malformed", &|entries| docker(entries, |value| value[0]["Layers"] = json!([])));
    check("malformed", &|entries| {
        docker(entries, |value| value[0]["Layers"].as_array_mut().unwrap().swap(0, 1));
    });
    check("malformed", &|entries| {
        docker(entries, |value| value[0]["RepoTags"] = json!(["registry.k8s.io/pause:3.10"]));
    });
    check("malformed", &|entries| {
        docker(entries, |value| {
            let again = value[0].clone();
            value.as_array_mut().unwrap().push(again);
        });
    });
    check("malformed", &|entries| {
        docker(entries, |value| value[0]["Config"] = json!("blobs/sha256/x"));
    });
    // A second file of one name: some readers take the first, others the last.
    let twice = |entries: &mut Entries| entries.push(entries[3].clone());
    check("malformed", &twice);
    check("malformed", &|entries| {
        let mut header = tar::Header::new_ustar();
        header.set_path("repositories").unwrap();
        header.set_mode(0o644);
        entries.push((header, b"{}".to_vec()));
    });
    check("malformed", &|entries| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_path("blobs/sha256/link").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        entries.push((header, Vec::new()));
    });
    check("malformed", &|entries| {
        let mut header = tar::Header::new_gnu();
        header.set_path("oci-layout").unwrap();
        entries[0].0 = header;
    });
    let digest = image.layers[2].strip_prefix("sha256:").unwrap().to_owned();
    check("digest", &|entries| {
        let found = entries
            .iter_mut()
            .find(|(header, _)| header.path().unwrap().to_str().unwrap().ends_with(&digest));
        found.unwrap().1[5_000] ^= 1;
    });
    let whole = std::fs::read(world.path("os.tar")).unwrap();
    for (name, bytes, class) in [
        ("cut.tar", whole[..whole.len() - 2_000].to_vec(), "malformed"),
        ("more.tar", [whole.as_slice(), whole.as_slice()].concat(), "malformed"),
        ("empty.tar", Vec::new(), "malformed"),
        ("zeros.tar", vec![0; 10_240], "malformed"),
    ] {
        std::fs::write(world.path(name), bytes).unwrap();
        world.verify(&[&format!("docker-archive:{name}")]).refused(class);
    }
}

#[test]
fn several_images_are_pulled_by_a_list() {
    let world = world();
    world.signed("v1");
    world.signed("v2");
    world.push("unsigned");
    let list = format!(
        "# images of the node\n{} one.tar\n\n  {}\toci:two\n{} three.tar\n",
        world.name("v1"),
        world.name("v2"),
        world.name("unsigned")
    );
    world.plugin.write("list", list);
    let ran = world.run(&["pull", "--from-file", "list"]);
    assert_eq!(ran.exit, Some(10), "{ran:?}");
    assert!(world.path("one.tar").exists() && world.path("two/index.json").exists());
    assert!(!world.path("three.tar").exists() && ran.stderr.contains("unsigned"));
    let ran = world.run(&["pull", "--json", "--from-file", "list"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let verified: Vec<&Value> =
        document["images"].as_array().unwrap().iter().map(|image| &image["verified"]).collect();
    assert_eq!(verified, [&json!(true), &json!(true), &json!(false)]);
    for text in ["a\n", "a b c\n", "", "x/y:z one.tar\nx/y:w one.tar\n"] {
        world.plugin.write("bad", text);
        world.run(&["pull", "--from-file", "bad"]).refused("usage");
    }
}
