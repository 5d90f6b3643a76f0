//! Programs that take what we write, or are given our policy: skopeo with an exported policy, programs
//! that unpack an archive, and Tasks of Tekton.

use crate::trial;
use e2e::machine::{PASSWORD, succeed};
use e2e::registry::Image;
use e2e::{Host, Machine, Maker, Registry, layers, tools};
use libtest_mimic::Trial;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn trials(hosts: &[Host], shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials = vec![
        trial("hosts::skopeo-decides-by-the-exported-policy".into(), shared, exported),
        trial("hosts::tekton".into(), shared, tekton),
        trial("hosts::archives::skopeo".into(), shared, |shared| {
            archived(shared, |machine, archive, target| {
                let name = format!("docker-archive:{}", archive.display());
                let folder = machine.path("layout");
                let to = format!("oci:{}:v1", folder.display());
                succeed(skopeo(machine).args(["--insecure-policy", "copy", &name, &to]));
                unpack_layout(machine, &folder, target);
            });
        }),
        trial("hosts::archives::kairos-agent".into(), shared, |shared| {
            archived(shared, unpack_as_kairos);
        }),
        trial("hosts::archives::buildah".into(), shared, |shared| {
            archived(shared, |machine, archive, target| {
                let buildah = |words: &[&str]| {
                    let output = succeed(machine.command(tools::program("buildah")).args(words));
                    String::from_utf8(output).expect("UTF-8").trim().to_owned()
                };
                let container =
                    buildah(&["from", &format!("docker-archive:{}", archive.display())]);
                let mounted = buildah(&["mount", &container]);
                std::fs::copy(Path::new(&mounted).join("etc/file"), target.join("etc/file"))
                    .expect("the file");
                buildah(&["rm", &container]);
            });
        }),
    ];
    for host in hosts {
        let (name, host) = (format!("hosts::archives::{}", host.name()), host.clone());
        trials.push(trial(name, shared, move |shared| {
            archived(shared, |machine, archive, target| {
                machine.configure("acme", &[]);
                let file = format!("file://{}", archive.display());
                let seen = machine
                    .host(&host, &["util", "unpack", &file, target.to_str().expect("UTF-8")]);
                seen.exited(0);
            });
        }));
    }
    trials
}

fn skopeo(machine: &Machine) -> Command {
    machine.command(tools::program("skopeo"))
}

// ---- skopeo with an exported policy.

/// Signs by a key of its own, and returns the public one.
fn key(machine: &Machine, name: &str) -> std::path::PathBuf {
    let mut command = machine.command(machine.plugin());
    succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(machine.path(name)));
    machine.path(&format!("{name}.key"))
}

/// What we say of an image and what skopeo says are the same, but where a signature is one that it
/// does not read.
fn exported(shared: &crate::Shared) {
    let registry = Registry::docker();
    let address = registry.address();
    let mut machine = Machine::new(shared.world.plugin());
    let (acme, vendor, stranger) =
        (key(&machine, "acme"), key(&machine, "vendor"), key(&machine, "stranger"));
    let rule = |name: &str, what: &str| {
        format!("  - {{name: {name}, scope: [{address}/{name}, '{address}/{name}/**'], {what}}}\n")
    };
    let policy = [
        "version: 1\ndefaults: {unmatched: deny}\n".to_owned(),
        "signers: {acme: {key: acme.pub}, vendor: {key: vendor.pub}}\nrepositories:\n".to_owned(),
        rule("one", "trust: [acme]"),
        rule("either", "trust: [acme, vendor]"),
        rule("both", "trust: {all_of: [acme, vendor]}"),
        rule("never", "unsigned: deny"),
        rule("free", "trust: skip, reason: nobody signs it"),
    ];
    std::fs::write(machine.path("policy.yaml"), policy.concat()).expect("a file");
    machine.set("LUET_COSIGN_POLICY", machine.path("policy.yaml"));
    let export = |words: &[&str]| {
        let mut command = machine.command(machine.plugin());
        command.args(["policy", "export", "--to", "containers", "--output", "out"]).args(words);
        command.output().expect("it runs")
    };
    // Tags are bound, which skopeo cannot: said, and nothing written.
    let refused = export(&[]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{text}");
    for name in ["one", "either", "both"] {
        assert!(text.contains(&format!("rule `{name}`")), "{text}");
    }
    assert!(!text.contains("rule `never`") && !machine.path("out").exists(), "{text}");
    assert!(export(&["--unbound-tags"]).status.success());
    assert_eq!(export(&["--unbound-tags"]).status.code(), Some(2), "it is there already");
    assert!(export(&["--unbound-tags", "--force"]).status.success());

    let push = |name: &str, signers: &[(Maker, &Path)]| {
        let image = format!("{address}/{name}");
        Image::new(&image).push(&[layers::of_file("file", image.as_bytes())]);
        for (maker, key) in signers {
            maker.sign(&machine, key, std::slice::from_ref(&image));
        }
        image
    };
    let (ours, two, three) = (Maker::Ours, Maker::Cosign2, Maker::Cosign3);
    let cases = [
        (push("one/ours:v1", &[(ours, &acme)]), true),
        (push("one/cosign2:v1", &[(two, &acme)]), true),
        (push("one/cosign3:v1", &[(three, &acme)]), true),
        (push("one:v1", &[(ours, &acme)]), true),
        (push("one/stranger-beside:v1", &[(two, &stranger), (ours, &acme)]), true),
        (push("one/unsigned:v1", &[]), false),
        (push("one/stranger:v1", &[(ours, &stranger)]), false),
        (push("one/vendor:v1", &[(ours, &vendor)]), false),
        (push("either/acme:v1", &[(two, &acme)]), true),
        (push("either/vendor:v1", &[(ours, &vendor)]), true),
        (push("either/stranger:v1", &[(ours, &stranger)]), false),
        (push("both/two:v1", &[(ours, &acme), (two, &vendor)]), true),
        (push("both/one:v1", &[(ours, &acme)]), false),
        (push("both/twice:v1", &[(ours, &acme), (two, &acme)]), false),
        (push("never/signed:v1", &[(ours, &acme)]), false),
        (push("free/unsigned:v1", &[]), true),
        (push("elsewhere:v1", &[(ours, &acme)]), false),
    ];
    let verdicts = |image: &str| {
        let mut verify = machine.command(machine.plugin());
        let ours = verify.args(["verify", image]).output().expect("it runs");
        let target = format!("dir:{}", machine.path("copy").display());
        let _ = std::fs::remove_dir_all(machine.path("copy"));
        let theirs = skopeo(&machine)
            .args(["--policy", "out/policy.json", "--registries.d", "out/registries.d", "copy"])
            .args([
                "--src-tls-verify=false",
                "--remove-signatures",
                &format!("docker://{image}"),
                &target,
            ])
            .output()
            .expect("it runs");
        let text = [ours.stderr, theirs.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (ours.status.success(), theirs.status.success(), text)
    };
    for (image, good) in &cases {
        let (ours, theirs, text) = verdicts(image);
        assert_eq!((ours, theirs), (*good, *good), "{image}: {text}");
    }
    // Of another repository: its signature is no signature there.
    let (signed, moved) = (Image::new(&cases[0].0), Image::new(&push("one/moved:v1", &[])));
    signed.copy(&moved);
    signed.signature_tag().copy(&moved.signature_tag());
    let (ours, theirs, text) = verdicts(&moved.to_string());
    assert_eq!((ours, theirs), (false, false), "{text}");
    // A bundle is a form that skopeo does not read: it refuses, and we do not.
    let image = push("one/bundle:v1", &[]);
    let mut sign = machine.command(machine.plugin());
    succeed(sign.args(["sign", "--format", "bundle", "--key"]).arg(&acme).arg(&image));
    let (ours, theirs, text) = verdicts(&image);
    assert_eq!((ours, theirs), (true, false), "{text}");
}

// ---- Archives.

/// Pulls a signed image into a file, and gives that to a program that unpacks it. What it unpacks is what
/// was signed. And nothing is there for it where a layer in the registry's storage is another.
fn archived(shared: &crate::Shared, unpack: impl Fn(&Machine, &Path, &Path)) {
    let registry = Registry::docker();
    let mut machine = shared.world.machine();
    machine.use_buildah(&[registry.address()]);
    let image = Image::new(&format!("{}/acme/os:v1", registry.address()));
    let content = e2e::world::noise(7, 200_000);
    image.push(&[layers::of_file("etc/file", &content), layers::of_file("etc/other", b"other\n")]);
    let name = image.to_string();
    Maker::Cosign2.sign(&machine, &shared.world.key("acme.key"), std::slice::from_ref(&name));
    let pull = |file: &str| {
        let mut command = machine.command(machine.plugin());
        command.args(["pull", &name, file]).output().expect("it runs")
    };
    let pulled = pull("os.tar");
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let target = machine.path("target");
    std::fs::create_dir_all(target.join("etc")).expect("a folder");
    unpack(&machine, &machine.path("os.tar"), &target);
    assert_eq!(std::fs::read(target.join("etc/file")).expect("the file"), content);
    // The manifest stays as it was signed.
    let stored = registry.stored(&image.layer());
    let mut bytes = std::fs::read(&stored).expect("a layer");
    let at = bytes.len() - 1100;
    bytes[at] ^= 1;
    std::fs::write(&stored, bytes).expect("a layer");
    let refused = pull("evil.tar");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("digest: "), "{text}");
    assert!(!machine.path("evil.tar").exists());
}

/// Unpacks a layout with umoci.
fn unpack_layout(machine: &Machine, layout: &Path, target: &Path) {
    let bundle = machine.path("bundle");
    let image = format!("{}:v1", layout.display());
    let mut command = machine.command(tools::program("umoci"));
    succeed(command.args(["unpack", "--image", &image]).arg(&bundle));
    std::fs::copy(bundle.join("rootfs/etc/file"), target.join("etc/file")).expect("the file");
}

/// Reads a docker archive as kairos-agent's `ocifile:` does: `manifest.json` with one image, whose
/// layers are unpacked in their order.
fn unpack_as_kairos(machine: &Machine, archive: &Path, target: &Path) {
    let tar = |file: &Path, folder: &Path| {
        let mut command = machine.command("tar");
        succeed(command.args(["-x", "-f"]).arg(file).arg("-C").arg(folder));
    };
    let folder = machine.path("archive");
    std::fs::create_dir(&folder).expect("a directory");
    tar(archive, &folder);
    let manifest = std::fs::read(folder.join("manifest.json")).expect("manifest.json");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let images = manifest.as_array().expect("images");
    assert_eq!(images.len(), 1, "{manifest}");
    let config = images[0]["Config"].as_str().expect("a configuration");
    assert!(folder.join(config).is_file(), "{manifest}");
    for layer in images[0]["Layers"].as_array().expect("layers") {
        tar(&folder.join(layer.as_str().expect("a layer")), target);
    }
}

// ---- Tekton.

/// Runs the steps of a Task as Tekton does: parameters put in, the environment from secrets, the
/// command in place of the image's own. Of the image nothing but the program is needed.
fn run_task(machine: &Machine, name: &str, parameters: &[(&str, &str)]) -> (bool, String) {
    let path = tools::project().join("examples/tekton").join(name);
    let text = std::fs::read_to_string(path).expect("a Task");
    let task: Value = serde_yaml::from_str(&text).expect("YAML");
    let declared = task["spec"]["params"].as_array().expect("parameters").len();
    assert_eq!(declared, parameters.len(), "{name}");
    let fill = |text: &str| {
        let fill = |text: String, (name, value): &(&str, &str)| {
            text.replace(&format!("$(params.{name})"), value)
        };
        let text = parameters.iter().fold(text.to_owned(), fill);
        assert!(!text.contains("$("), "{text}");
        text
    };
    let words = |value: &Value| {
        let words = value.as_array().cloned().unwrap_or_default();
        words.iter().map(|word| fill(word.as_str().expect("text"))).collect::<Vec<_>>()
    };
    let (mut good, mut said) = (true, String::new());
    for step in task["spec"]["steps"].as_array().expect("steps") {
        assert_eq!(fill(step["image"].as_str().expect("an image")), "luet-cosign@sha256:00");
        assert_eq!(words(&step["command"]), ["/luet-cosign"]);
        let mut command = machine.command(machine.plugin());
        command.env_clear().env("HOME", machine.path("home")).args(words(&step["args"]));
        for variable in step["env"].as_array().expect("an environment") {
            let secret = &variable["valueFrom"]["secretKeyRef"];
            assert_eq!(secret["name"], "signing-secrets");
            let file = machine.path("secret").join(secret["key"].as_str().expect("a key"));
            let value = std::fs::read_to_string(file).expect("a secret");
            command.env(variable["name"].as_str().expect("a name"), value);
        }
        let output = command.output().expect("it runs");
        good &= output.status.success();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (good, said)
}

fn tekton(shared: &crate::Shared) {
    let registry = Registry::olareg(&[]);
    let machine = Machine::new(shared.world.plugin());
    let secret = machine.path("secret");
    std::fs::create_dir(&secret).expect("a folder");
    let mut command = machine.command(machine.plugin());
    succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(secret.join("cosign")));
    std::fs::write(secret.join("cosign.password"), PASSWORD).expect("a file");
    let push = |tag: &str| {
        let image = Image::new(&format!("{}/acme/app:{tag}", registry.address()));
        image.push(&[layers::of_file("file", tag.as_bytes())]);
        image
    };
    let (image, unsigned) = (push("v1"), push("v2"));
    let verify = |image: &str| {
        run_task(
            &machine,
            "verify.yaml",
            &[("image", image), ("luet-cosign", "luet-cosign@sha256:00")],
        )
    };
    let (name, digest) = (image.to_string(), image.digest());
    let (good, said) = verify(&name);
    assert!(!good && said.contains("unsigned: "), "{said}");
    let parameters = [
        ("image", name.as_str()),
        ("digest", digest.as_str()),
        ("luet-cosign", "luet-cosign@sha256:00"),
    ];
    let (good, said) = run_task(&machine, "sign.yaml", &parameters);
    assert!(good, "{said}");
    let (good, said) = verify(&name);
    assert!(good, "{said}");
    // Others read it as well.
    let key = secret.join("cosign.pub");
    for cosign in ["cosign2", "cosign3"] {
        let mut command = machine.command(tools::program(cosign));
        command.args(["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key"]);
        succeed(command.arg(&key).arg(&name));
    }
    let (good, said) = verify(&unsigned.to_string());
    assert!(!good && said.contains("unsigned: ") && said.contains("acme/app:v2"), "{said}");
}
