//! A host installs what was signed keyless, and publishes so; keys that tell the log.

use super::images::{cosign2, cosign3, new_image};
use super::{Case, FULCIO_URL, REGISTRIES, REKOR1_URL, Signer, TSA_URL, WORKFLOW, Who, case};
use crate::Shared as All;
use e2e::machine::{Seen, succeed};
use e2e::registry::Image;
use e2e::sigstore::TUF;
use e2e::world::METADATA;
use e2e::{Host, tools};
use libtest_mimic::Trial;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

type Sign = fn(&Case<'_>, &str);

/// A repository, who signed it, and how.
const REPOSITORIES: [(&str, Signer, Option<Sign>); 6] = [
    ("legacy", Signer::Dev, Some(|case, image| cosign2(case, Signer::Dev, &[], image))),
    ("bundle1", Signer::Dev, Some(|case, image| cosign3(case, "rekor1", Signer::Dev, image))),
    ("bundle1_tsa", Signer::Dev, Some(|case, it| cosign3(case, "rekor1-tsa", Signer::Dev, it))),
    ("bundle2_tsa", Signer::Dev, Some(|case, it| cosign3(case, "rekor2-tsa", Signer::Dev, it))),
    ("job", Signer::Job, Some(|case, image| cosign3(case, "rekor2-tsa", Signer::Job, image))),
    ("unsigned", Signer::Dev, None),
];

/// A key that tells the log, in this form and in that log; and who asks for that.
const LOGGED: [(&str, &str, &str, &[&str]); 3] = [
    ("rekor1-legacy", "legacy", "rekor1", &["cosign2", "cosign3"]),
    ("rekor1-bundle", "bundle", "rekor1", &["cosign3"]),
    ("rekor2", "auto", "rekor2-tsa", &["cosign3"]),
];

pub fn trials(at: usize, shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let registry = REGISTRIES[at];
    for (repository, signer, sign) in REPOSITORIES {
        let mut add = |what: &str, run: fn(&mut Case<'_>, Signer, &str)| {
            let name = format!("{registry}::luet-host::{repository}::{what}");
            trials.push(case(name, shared, move |case| {
                let address = case.repository(at, repository, sign);
                run(case, signer, &address);
            }));
        };
        add("is-made", |_, _, address| {
            assert!(Image::new(&format!("{address}:repository.yaml")).exists());
        });
        if sign.is_some() {
            add("is-installed", |case, signer, address| case.installs(&signer.who(), address));
            add("is-not-installed-by-another", |case, signer, address| {
                case.refuses(&another(signer), address, "identity");
            });
        } else {
            add("is-not-installed", |case, signer, address| {
                case.refuses(&signer.who(), address, "unsigned");
            });
        }
    }
    let mut add = |what: &str, run: fn(&mut Case<'_>, usize)| {
        trials.push(case(format!("{registry}::{what}"), shared, move |case| run(case, at)));
    };
    add("luet-host::published::is-published", |case, at| {
        case.published(at);
    });
    add("luet-host::published::is-installed", |case, at| {
        let address = case.published(at);
        case.installs(&Signer::Job.who(), &address);
    });
    add("luet-host::published::is-not-installed-by-another", |case, at| {
        let address = case.published(at);
        case.refuses(&another(Signer::Job), &address, "identity");
    });
    add("luet-host::published::cosign2", |case, at| published_says(case, at, "cosign2"));
    add("luet-host::published::cosign3", |case, at| published_says(case, at, "cosign3"));
    add("luet-host::published-by-tuf-alone::is-published", |case, at| {
        case.published_by_tuf(at);
    });
    add("luet-host::published-by-tuf-alone::is-installed", |case, at| {
        let address = case.published_by_tuf(at);
        case.installs(&Signer::Dev.who(), &address);
    });
    add("us_legacy::skopeo", |case, at| skopeo_accepts(case, &case.image(at, "us_legacy")));
    add("us_legacy_tsa::skopeo", |case, at| skopeo_accepts(case, &case.image(at, "us_legacy_tsa")));
    for (name, format, config, judges) in LOGGED {
        let name = format!("{registry}::a-key-is-logged::{name}");
        trials.push(case(name, shared, move |case| {
            logged(case, at, format, config, judges);
        }));
    }
    trials
}

/// Another workflow, or another person.
fn another(signer: Signer) -> Who {
    match signer {
        Signer::Job => Who { subject: WORKFLOW.replace("release", "test"), ..signer.who() },
        _ => Signer::Eve.who(),
    }
}

fn published_says(case: &mut Case<'_>, at: usize, cosign: &str) {
    let image = format!("{}:repository.yaml", case.published(at));
    assert_eq!(case.cosign_says(cosign, &Signer::Job.who(), &image), "ok");
}

impl Case<'_> {
    fn packages(&self) -> PathBuf {
        let packages = self.path("packages");
        self.once("packages", || {
            let content = self.path("content");
            std::fs::create_dir_all(content.join("usr/bin")).expect("a directory");
            std::fs::write(content.join("usr/bin/yip"), "toolchain/yip@1.0\n").expect("a file");
            e2e::world::pack(&self.all.world, "toolchain/yip@1.0", &content, &packages);
            String::new()
        });
        packages
    }

    /// The host publishes a repository there, with more options.
    fn create(&self, address: &str, more: &[&str]) -> Seen {
        let mut command = self.machine.command(tools::program("luet-host"));
        command.arg("create-repo").args(more).args(["--type", "docker", "--push-images"]);
        command.args(["--backend", "none", "--packages"]).arg(self.packages());
        Seen::run(command.args(["--output", address, "--name", "repo"]), "create-repo")
    }

    /// A repository of which everything is signed that an install fetches; made once.
    fn repository(&self, at: usize, name: &str, sign: Option<Sign>) -> String {
        self.once(&format!("{at} repository {name}"), || {
            let elsewhere = self.elsewhere();
            let address = format!("{}/{name}/acme", self.address(at));
            elsewhere.create(&address, &[]).exited(0);
            for tag in METADATA.iter().chain(&["yip-toolchain-1.0"]) {
                let image = Image::new(&format!("{address}:{tag}"));
                let image = Image { reference: image.digest(), ..image }.to_string();
                if let Some(sign) = sign {
                    sign(&elsewhere, &image);
                }
            }
            address
        })
    }

    /// The host with the plugin publishes, with nothing but a token and where the services are.
    fn publishes(&self, address: &str, signer: Signer, variables: &[(&str, &str)]) {
        let mut elsewhere = self.elsewhere();
        let token = self.token(signer);
        elsewhere.machine.set("COSIGN_EXPERIMENTAL", "1");
        elsewhere.machine.set("LUET_COSIGN_ENGINE", "registry");
        elsewhere.machine.set("SIGSTORE_ID_TOKEN", &token);
        for (name, value) in variables {
            elsewhere.machine.set(name, value);
        }
        let seen = elsewhere.create(address, &["--plugin", "luet-cosign"]);
        seen.exited(0);
        assert!(!seen.output.contains(&token), "the token is shown");
        let bad = ["had an error", "was replaced"];
        assert!(!bad.iter().any(|words| seen.output.contains(words)), "{}", seen.output);
    }

    fn published(&self, at: usize) -> String {
        self.once(&format!("{at} published"), || {
            let address = format!("{}/published/acme", self.address(at));
            let root = self.trusted_root();
            let variables = [
                ("COSIGN_TRUSTED_ROOT", root.to_str().expect("UTF-8")),
                ("COSIGN_FULCIO_URL", FULCIO_URL),
                ("COSIGN_REKOR_URL", REKOR1_URL),
                ("COSIGN_TIMESTAMP_SERVER_URL", TSA_URL),
            ];
            self.publishes(&address, Signer::Job, &variables);
            address
        })
    }

    fn published_by_tuf(&self, at: usize) -> String {
        self.once(&format!("{at} published by TUF"), || {
            let address = format!("{}/tuf/acme", self.address(at));
            let (mirror, root) = (format!("http://{TUF}"), self.sigstore.trust("tuf/1.root.json"));
            let variables =
                [("TUF_MIRROR", &*mirror), ("TUF_ROOT_JSON", root.to_str().expect("UTF-8"))];
            self.publishes(&address, Signer::Dev, &variables);
            address
        })
    }

    fn installs(&mut self, who: &Who, address: &str) {
        self.trusts(who);
        let seen = self.machine.install(&Host::StandIn, &[address], &["toolchain/yip"]);
        seen.exited(0);
        assert_eq!(self.machine.installed(), ["usr/bin/yip"]);
        seen.said_nothing();
    }

    fn refuses(&mut self, who: &Who, address: &str, class: &str) {
        self.trusts(who);
        let seen = self.machine.install(&Host::StandIn, &[address], &["toolchain/yip"]);
        seen.was_refused(class, "");
        self.machine.assert_nothing_got_in();
    }
}

/// By the certificate's e-mail address; it knows no workflows. The intermediate comes from the
/// signature.
fn skopeo_accepts(case: &Case<'_>, image: &str) {
    let folder = case.machine.path("skopeo");
    std::fs::create_dir_all(folder.join("registries.d")).expect("a directory");
    let policy = json!({"default": [{
        "type": "sigstoreSigned",
        "rekorPublicKeyPath": case.sigstore.trust("rekor1.pub"),
        "signedIdentity": {"type": "matchRepository"},
        "fulcio": {
            "caPath": case.sigstore.trust("../keys/root.pem"),
            "oidcIssuer": Signer::Dev.issuer(), "subjectEmail": Signer::Dev.identity(),
        },
    }]});
    let attachments = json!({"default-docker": {"use-sigstore-attachments": true}});
    let write = |name: &str, content: String| {
        std::fs::write(folder.join(name), content).expect("a file");
    };
    write("policy.json", policy.to_string());
    write("registries.d/default.yaml", attachments.to_string());
    let mut command = case.machine.command(tools::program("skopeo"));
    command.arg("--policy").arg(folder.join("policy.json"));
    command.arg("--registries.d").arg(folder.join("registries.d"));
    command.arg("--tmpdir").arg(case.machine.path("tmp"));
    command.args(["copy", "--src-tls-verify=false", &format!("docker://{image}")]);
    succeed(command.arg(format!("dir:{}", folder.join("copied").display())));
}

/// A key tells the log, and cosign asks for that.
fn logged(case: &Case<'_>, at: usize, format: &str, config: &str, judges: &[&str]) {
    let image = new_image(&case.address(at), &format!("logged/{format}-{config}"), "logged");
    for _ in ["first", "second"] {
        let mut command = case.ours(&["sign", "--tlog-upload", "--format", format, "--key"]);
        command.arg(case.key("acme.key")).arg("--trusted-root").arg(case.trusted_root());
        command.arg("--signing-config").arg(case.sigstore.trust(&format!("{config}.json")));
        succeed(command.arg(&image));
    }
    for judge in judges {
        let mut command = case.cosign(judge, &["verify", "--allow-http-registry", "--key"]);
        command.arg(case.key("acme.pub")).args(["--rekor-url", REKOR1_URL, "--trusted-root"]);
        succeed(command.arg(case.trusted_root()).arg(&image));
    }
}
