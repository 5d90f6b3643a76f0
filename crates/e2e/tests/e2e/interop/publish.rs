//! Hosts publish: every push ends signed, every judge accepts it, and it is installed and upgraded.

use super::goods::BOTH;
use super::judges::Judge;
use super::{Case, Named};
use e2e::Machine;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub const PUBLISH: &[Named] = &[
    ("twelve-pushes-all-signed", |case| {
        case.published();
    }),
    ("cosign2-accepts-every-image", |case| every_image(case, Judge::Cosign2)),
    ("cosign3-accepts-every-image", |case| every_image(case, Judge::Cosign3)),
    ("skopeo-accepts-a-package", |case| {
        let package = format!("{}:yip-toolchain-1.0", case.published());
        case.accepts(Judge::Skopeo, "acme", &[&package]);
    }),
    ("verify-accepts-every-image", |case| every_image(case, Judge::Ours)),
    ("verify-by-another-key-finds-nobody-trusted", |case| {
        let image = format!("{}:repository.yaml", case.published());
        case.judged(Judge::Ours, "vendor", &[&image]).exited(12);
    }),
    ("installs-what-it-published", |case| {
        let address = case.published();
        case.installs_silently(&address);
    }),
    ("publishes-a-newer-version-and-upgrades-to-it", upgrades),
];

/// Where one has to log in.
pub const LOGGED_IN: &[Named] =
    &[("installs-with-no-login-but-that-in-luet-s-configuration", |case| {
        let address = case.published();
        std::fs::remove_dir_all(case.machine.path("home/.docker")).expect("docker's login");
        case.trusts("acme");
        let seen = case.install(&[("acme", &address)], &["toolchain/beer"]);
        seen.exited(0);
        seen.said_nothing();
        case.installed(&BOTH[1..]);
    })];

/// Where one is told to wait.
pub const LIMITED: &[Named] = &[("it-was-told-429-on-the-way", |case| {
    every_image(case, Judge::Ours);
    let told = case.place().told.load(Ordering::Relaxed);
    assert!(told > 0, "nobody was told to wait");
})];

impl Case<'_> {
    /// What this host publishes here with this engine, once for all trials that read it: 12 pushes,
    /// all signed by acme.
    pub fn published(&self) -> String {
        let (host, engine) = (self.host.name(), self.engine().name());
        let address = format!("{}/published/{host}-{engine}", self.address());
        let all = &self.all.interop.published;
        let one = Arc::clone(all.lock().expect("a list").entry(address.clone()).or_default());
        one.get_or_init(|| {
            let mut machine = self.machine_here();
            machine.set("COSIGN_KEY_LOCATION", self.goods().key("acme"));
            self.publishes_signed(&machine, &self.goods().packages("v1"), &address);
            self.all_are_signed(&address);
        });
        address
    }

    #[track_caller]
    fn publishes_signed(&self, machine: &Machine, packages: &Path, address: &str) {
        let seen = self.publish(machine, packages, address);
        seen.exited(0);
        seen.said_nothing();
        let pushes = seen.output.matches("Pushed image:").count();
        assert_eq!(pushes, 12, "pushes: {}", seen.output);
    }

    #[track_caller]
    pub fn installs_silently(&mut self, address: &str) {
        self.trusts("acme");
        let seen = self.install(&[("acme", address)], &["toolchain/yip"]);
        seen.exited(0);
        self.installed(&BOTH);
        seen.said("Enabled plugins");
        seen.said_nothing();
    }
}

fn every_image(case: &mut Case<'_>, judge: Judge) {
    let images = case.images(&case.published());
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    case.accepts(judge, "acme", &images);
}

fn upgrades(case: &mut Case<'_>) {
    let address = case.own("upgraded");
    case.has_key("acme");
    case.publishes_signed(&case.machine, &case.goods().packages("v1"), &address);
    case.machine.unset("COSIGN_KEY_LOCATION");
    case.installs_silently(&address);
    case.has_key("acme");
    case.publish(&case.machine, &case.goods().packages("v2"), &address).exited(0);
    case.all_are_signed(&address);
    case.machine.unset("COSIGN_KEY_LOCATION");
    case.machine.configure("acme", &[&address]);
    let seen = case.machine.host(case.host, &["upgrade", "--plugin", "luet-cosign", "-y"]);
    seen.exited(0);
    seen.said_nothing();
    case.installed(&[("usr/bin/yip", "toolchain/yip@1.1"), ("usr/bin/beer", "toolchain/beer@1.0")]);
}

/// Signatures in another repository.
pub const SEPARATE: &[Named] = &[
    ("signs-into-it-and-verifies-from-there", separate),
    ("refuses-one-that-does-not-exist", |case| {
        // Both registries answer for a repository that does not exist as for one that is empty:
        // that is "unsigned".
        let nowhere = format!("{}/no/such/repository", case.address());
        case.machine.set("COSIGN_REPOSITORY", nowhere);
        case.trusts("acme");
        let seen = case.install(&[("acme", &case.made("ours/acme"))], &["toolchain/yip"]);
        case.refused(&seen, "(unsigned|registry)", "");
    }),
];

fn separate(case: &mut Case<'_>) {
    let (address, signatures) = (case.own("separate"), case.own("signatures"));
    case.machine.set("COSIGN_REPOSITORY", &signatures);
    case.has_key("acme");
    case.publishes_signed(&case.machine, &case.goods().packages("v1"), &address);
    let beside = case.tags(&address).into_iter().find(|tag| tag.starts_with("sha256-"));
    assert_eq!(beside, None, "a signature is beside the image");
    let is_signature = |tag: &&String| tag.starts_with("sha256-") && tag.ends_with(".sig");
    let images = case.images(&address);
    assert_eq!(case.tags(&signatures).iter().filter(is_signature).count(), images.len());
    case.machine.unset("COSIGN_KEY_LOCATION");
    case.installs_silently(&address);
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    case.accepts(Judge::Cosign2, "acme", &images);
    case.accepts(Judge::Cosign3, "acme", &images);
    case.machine.unset("COSIGN_REPOSITORY");
    std::fs::remove_dir_all(case.machine.root()).expect("the root");
    std::fs::create_dir(case.machine.root()).expect("a root");
    let seen = case.install(&[("acme", &address)], &["toolchain/yip"]);
    case.refused(&seen, "unsigned", "");
}
