//! Who says what a signature is worth, and what each of them makes of the others' work.

use super::goods::{copy_signed, text};
use super::{Case, Named};
use e2e::machine::{Seen, succeed};
use e2e::registry::Image;
use e2e::{Machine, Maker, tools};
use serde_json::{Value, json};

/// A program that judges images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    Ours,
    Cosign2,
    Cosign3,
    Skopeo,
}

impl Case<'_> {
    /// What a judge says of images, with a key.
    pub fn judged(&self, judge: Judge, key: &str, images: &[&str]) -> Seen {
        let (machine, key) = (&self.machine, self.goods().public(key));
        let mut command = match judge {
            Judge::Ours => machine.command(machine.plugin()),
            Judge::Cosign2 => machine.command(tools::program("cosign2")),
            Judge::Cosign3 => machine.command(tools::program("cosign3")),
            Judge::Skopeo => return skopeo(machine, text(&key), images),
        };
        command.arg("verify").arg("--key").arg(key).arg("--insecure-ignore-tlog");
        if judge != Judge::Ours {
            command.arg("--allow-http-registry");
        }
        Seen::run(command.args(images), &format!("{judge:?} on {images:?}"))
    }

    #[track_caller]
    pub fn accepts(&self, judge: Judge, key: &str, images: &[&str]) {
        let seen = self.judged(judge, key, images);
        seen.exited(0);
        if judge == Judge::Ours {
            assert_eq!(payloads(&seen.output), images.len(), "{}", seen.output);
        }
    }
}

/// How many images cosign's JSON names, so that scripts with jq go on working.
fn payloads(output: &str) -> usize {
    let arrays = output.lines().filter(|line| line.starts_with('['));
    arrays
        .map(|line| {
            let payloads: Vec<Value> = serde_json::from_str(line).expect("an array of payloads");
            let digest = |it: &Value| {
                let digest = it["critical"]["image"]["docker-manifest-digest"].as_str();
                digest.is_some_and(|digest| digest.starts_with("sha256:"))
            };
            usize::from(!payloads.is_empty() && payloads.iter().all(digest))
        })
        .sum()
}

/// skopeo copies an image by a policy that trusts one key.
fn skopeo(machine: &Machine, key: &str, images: &[&str]) -> Seen {
    let folder = machine.path("skopeo");
    std::fs::create_dir_all(folder.join("registries.d")).expect("a directory");
    let file = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).expect("a file");
        path
    };
    let attachments = json!({"default-docker": {"use-sigstore-attachments": true}});
    file("registries.d/default.yaml", attachments.to_string());
    let signed = json!([{
        "type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"},
    }]);
    let policy = json!({
        "default": [{"type": "reject"}], "transports": {"docker": {"": signed}},
    });
    let policy = file("policy.json", policy.to_string());
    let [image] = images else { panic!("skopeo copies one image") };
    let mut command = machine.command(tools::program("skopeo"));
    command.arg("--policy").arg(policy).arg("--registries.d").arg(folder.join("registries.d"));
    command.arg("--tmpdir").arg(machine.path("tmp"));
    command.args(["copy", "--src-tls-verify=false", &format!("docker://{image}")]);
    command.arg(format!("dir:{}", folder.join("copied").display()));
    Seen::run(&mut command, &format!("skopeo copies {image}"))
}

pub const PEERS: &[Named] = &[
    ("repositories-are-made", |case| {
        for (path, key) in [("ours", "acme"), ("cosign2", "acme"), ("stranger", "stranger")] {
            let images = case.images(&case.made(&format!("{path}/acme")));
            let metadata = format!("{}:repository.yaml", case.made(&format!("{path}/acme")));
            assert!(images.len() >= 8);
            case.accepts(Judge::Cosign2, key, &[&metadata]);
        }
    }),
    ("cosign2-accepts-sign", |case| peer(case, Judge::Cosign2, "ours")),
    ("cosign3-accepts-sign", |case| peer(case, Judge::Cosign3, "ours")),
    ("skopeo-accepts-sign", |case| peer(case, Judge::Skopeo, "ours")),
    ("verify-accepts-cosign2", |case| peer(case, Judge::Ours, "cosign2")),
    ("verify-accepts-cosign3", |case| peer(case, Judge::Ours, "cosign3")),
    ("a-key-of-cosign3-signs-beside-another-and-both-hold", two_signers),
    ("signing-again-changes-nothing", signs_once),
    ("triangulate-names-the-tag-that-cosign-names", triangulates),
];

fn peer(case: &mut Case<'_>, judge: Judge, maker: &str) {
    case.accepts(
        judge,
        "acme",
        &[&format!("{}:repository.yaml", case.made(&format!("{maker}/acme")))],
    );
}

fn two_signers(case: &mut Case<'_>) {
    let image = format!("{}:1", case.own("two"));
    copy_signed(&format!("{}:repository.yaml", case.made("cosign2/acme")), &image);
    Maker::Ours.sign(&case.machine, &case.goods().key("vendor"), std::slice::from_ref(&image));
    for key in ["acme", "vendor"] {
        for judge in [Judge::Ours, Judge::Cosign2, Judge::Cosign3] {
            case.accepts(judge, key, &[&image]);
        }
    }
}

fn signs_once(case: &mut Case<'_>) {
    let image = Image::new(&format!("{}:1", case.own("once")));
    Image::new(&format!("{}:repository.yaml", case.made("unsigned/acme"))).copy(&image);
    let sign = || {
        Maker::Ours.sign(&case.machine, &case.goods().key("acme"), &[image.to_string()]);
        image.signature_tag().digest()
    };
    assert_eq!(sign(), sign(), "the signatures changed");
}

fn triangulates(case: &mut Case<'_>) {
    let image = Image::new(&format!("{}:repository.yaml", case.made("ours/acme")));
    let image = Image { reference: image.digest(), ..image }.to_string();
    let mut ours = case.machine.command(case.machine.plugin());
    let mut cosign = case.machine.command(tools::program("cosign2"));
    let named = succeed(ours.args(["triangulate", &image]));
    let expected = succeed(cosign.args(["triangulate", "--allow-http-registry", &image]));
    assert_eq!(named, expected);
}
