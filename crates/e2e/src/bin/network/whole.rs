//! What a publisher and a user wait for as a whole: a keyless signature, a repository that is
//! verified, an install.
//!
//! Fulcio, log and timestamp authority are on this machine, without the network: what is counted is
//! the registry.

use super::report::Report;
use super::{Peer, Place, TOKEN_HERE};
use e2e::sigstore::{FULCIO, REKOR1};
use e2e::world::pack;
use e2e::{Host, Sigstore, Tokens, tools};
use std::process::Command;

/// Packages of an install, and what the host fetches beside them.
const PACKAGES: usize = 10;
const METADATA: usize = 3;
/// What the two events of one image may add, in round trips.
const EVENTS: f64 = 4.6;

impl Place<'_> {
    pub fn sign_keyless(&self, report: &mut Report) {
        let sigstore = self.bench.services.get_or_init(Sigstore::start);
        let root = sigstore.trust("trusted_root.json");
        let signer = |program: Option<&'static str>, words: &'static [&'static str]| {
            let root = root.clone();
            move || {
                let (image, _) = self.push();
                let mut command = program.map_or_else(|| self.ours(), |name| self.program(name));
                command.args(["sign", "-y"]).args(words).arg("--trusted-root").arg(&root);
                command.args(["--fulcio-url", &format!("http://{FULCIO}")]);
                command.args(["--rekor-url", &format!("http://{REKOR1}")]);
                command.args(["--identity-token", &sigstore.person("email=dev@acme.example")]);
                command.arg(image);
                command
            }
        };
        let old = &["--use-signing-config=false", "--new-bundle-format=false"];
        let mut peers: [Peer<'_>; 2] = [
            ("cosign2", Box::new(signer(Some("cosign2"), &[]))),
            ("cosign3", Box::new(signer(Some("cosign3"), old))),
        ];
        let ours = signer(None, &["--format", "legacy"]);
        // One more than with a key: nothing is written before the certificate's signature was checked.
        self.row(report, "sign keyless, legacy", Some(10.5), ours, &mut peers);
    }

    /// One command for all images of a repository, beside a loop over them.
    pub fn verify_repository(&self, report: &mut Report) {
        let (address, names) = self.publish(PACKAGES);
        let ours = || {
            let mut command = self.ours();
            command.args(["verify-repo", "--key"]).arg(self.key("acme.pub"));
            command.arg(&address);
            command
        };
        let looped = || {
            let mut command = Command::new("sh");
            let verify = "for image; do cosign2 verify --insecure-ignore-tlog --key \"$KEY\" \"$image\" || exit 1; done";
            command.args(["-c", verify, "sh"]).args(&names);
            command.env("KEY", self.key("acme.pub")).env("PATH", tools::path());
            command.env("SSL_CERT_FILE", self.bench.world.path("authority.pem"));
            command
        };
        let mut peers: [Peer<'_>; 1] = [("cosign2 in a loop", Box::new(looped))];
        // The images are verified several at a time: a fifth of what each alone would take, and the list of tags.
        let alone = 4.3 * f64::from(u32::try_from(names.len()).expect("few"));
        let budget = self.with_token(alone / 5.0 + 2.0);
        self.row(report, &format!("verify-repo, {} images", names.len()), budget, ours, &mut peers);
    }

    /// A repository of so many packages, signed: its address, and its images.
    fn publish(&self, count: usize) -> (String, Vec<String>) {
        let path = self.bench.fresh();
        let packages = self.bench.world.path(&format!("packages-{}", path.replace('/', "-")));
        for number in 0..count {
            let content = self.bench.world.path(&format!("content-{number}"));
            std::fs::create_dir_all(content.join("usr/share")).expect("a directory");
            let name = format!("p{number}");
            std::fs::write(content.join("usr/share").join(&name), &name).expect("a file");
            pack(&self.bench.world, &format!("bench/{name}@1.0"), &content, &packages);
        }
        let plain = format!("{}/{path}", self.upstream);
        let mut publish = self.program("luet-host");
        publish.args(["create-repo", "--type", "docker", "--push-images", "--backend", "none"]);
        publish.arg("--packages").arg(&packages).args(["--output", &plain, "--name", "bench"]);
        self.prepare(&mut publish);
        let address = format!("{}/{path}", self.wan.address());
        let tags = self.program("crane").args(["ls", &plain]).output().expect("crane runs").stdout;
        let tags = String::from_utf8(tags).expect("tags are text");
        let images: Vec<String> = tags.lines().map(|tag| format!("{address}:{tag}")).collect();
        // Packages and their metadata, what makes the repository, and that once more under this day's name.
        assert_eq!(images.len(), 2 * (count + METADATA + 1), "{images:?}");
        self.prepare(self.ours().args(["sign", "--key"]).arg(self.key("acme.key")).args(&images));
        (address, images)
    }

    /// The host installs, with the plugin and without.
    pub fn install(&self, report: &mut Report) {
        let (address, _) = self.publish(PACKAGES);
        let names: Vec<String> = (0..PACKAGES).map(|number| format!("bench/p{number}")).collect();

        // Every machine installs once; it is gone only after the measurement.
        let machines = std::cell::RefCell::new(Vec::new());
        let install = |with: bool| {
            let (machines, address, names) = (&machines, &address, &names);
            move || {
                let machine = self.bench.machine();
                machine.configure("bench", &[address]);
                let mut command = machine.command(Host::StandIn.program());
                command.args(["install", "-y"]).args(names);
                if with {
                    command.args(["--plugin", "luet-cosign"]);
                }
                command.arg("--config").arg(machine.path("luet.yaml"));
                machines.borrow_mut().push(machine);
                command
            }
        };
        let alone = self.measure(self.bench.runs, install(false));
        let images = f64::from(u32::try_from(PACKAGES + METADATA).expect("few"));
        let tokens = if self.tokens == Tokens::None { 0.0 } else { TOKEN_HERE };
        let share = alone.trips + images * EVENTS + tokens + 0.1 * alone.trips;
        let with = self.measure(self.bench.runs, install(true));
        let place = self.name();
        let what = format!("install of {PACKAGES} packages");
        report.row(&place, &what, Some(share), with, &[("without the plugin", alone)]);
    }
}
