//! What a host installs from one repository, and what it does not.

use super::goods::BOTH;
use super::judges::Judge;
use super::{Case, Named};

pub const INSTALL: &[Named] = &[
    ("signed-by-ours", |case| case.installs_silently(&case.made("ours/acme"))),
    ("signed-by-cosign2", |case| case.installs_silently(&case.made("cosign2/acme"))),
    ("signed-by-cosign3", |case| case.installs_silently(&case.made("cosign3/acme"))),
];

pub const REFUSED: &[Named] = &[
    ("an-unsigned-repository", |case| case.refuses("unsigned", "unsigned/acme")),
    ("one-unsigned-package", |case| case.refuses("unsigned", "partly/unsigned")),
    ("an-unsigned-upgrade-and-what-was-there-stays", |case| {
        case.installs_silently(&case.made("ours/acme"));
        case.machine.configure("acme", &[&case.made("unsigned/newer")]);
        let seen = case.machine.host(case.host, &["upgrade", "--plugin", "luet-cosign", "-y"]);
        seen.was_refused("unsigned", "");
        case.installed(&BOTH);
    }),
    ("a-repository-signed-by-another-key", |case| case.refuses("identity", "stranger/acme")),
    ("one-package-signed-by-another-key", |case| case.refuses("identity", "partly/stranger")),
    ("a-signature-that-was-made-for-other-bytes", |case| case.refuses("binding", "partly/other")),
    // With no key and no policy there is no way to be right: that is said, and it is no reason to let
    // anything in.
    ("without-a-key", |case| {
        let seen = case.install(&[("acme", &case.made("ours/acme"))], &["toolchain/yip"]);
        case.refused(&seen, "(policy|secret|usage)", "COSIGN_PUBLIC_KEY_LOCATION");
    }),
    ("verify-exits-by-the-reason", |case| {
        let codes = [
            (10, "unsigned/acme:repository.yaml"),
            (11, "unsigned/acme:no-such-tag"),
            (12, "stranger/acme:repository.yaml"),
            (14, "partly/other:yip-toolchain-1.0"),
        ];
        for (code, image) in codes {
            case.judged(Judge::Ours, "acme", &[&case.made(image)]).exited(code);
        }
    }),
];

impl Case<'_> {
    #[track_caller]
    pub fn refuses(&mut self, class: &str, path: &str) {
        let address = self.made(path);
        self.refuses_at(class, &address);
    }

    #[track_caller]
    pub fn refuses_at(&mut self, class: &str, address: &str) {
        self.trusts("acme");
        let seen = self.install(&[("acme", address)], &["toolchain/yip"]);
        self.refused(&seen, class, "");
    }
}
