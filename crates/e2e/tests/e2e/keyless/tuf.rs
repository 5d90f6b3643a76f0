//! Trust from a TUF repository: refreshed when a signature names a key that is not known yet, and
//! only then.

use super::{Case, REGISTRIES, Signer, case, our_verdict, refused_as_signed};
use crate::Shared as All;
use e2e::machine::succeed;
use e2e::sigstore::{Front, TUF};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub fn trials(at: usize, shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let registry = REGISTRIES[at];
    for (cosign, image) in [("cosign2", "c2_legacy"), ("cosign3", "c3_bundle2_tsa")] {
        trials.push(case(format!("{registry}::tuf::{cosign}"), shared, move |case| {
            case.initialize(cosign);
            let image = case.image(at, image);
            let mut command = case.cosign(cosign, &["verify", "--allow-http-registry"]);
            command.args(["--rekor-url", super::REKOR1_URL]).args(Signer::Dev.who().options());
            assert_eq!(super::their_verdict(command.arg(image)), "ok");
        }));
    }
    for image in ["c2_legacy", "c3_bundle1", "c3_bundle2_tsa"] {
        let mut add = |name: &str, run: fn(&mut Case<'_>, &Front, &str)| {
            let name = format!("{registry}::tuf::{image}::{name}");
            trials.push(case(name, shared, move |case| {
                let image = case.image(at, image);
                let front = Front::before(TUF, |_| None);
                let root = case.sigstore.trust("tuf/1.root.json");
                case.mirrored(&front, &root);
                run(case, &front, &image);
            }));
        };
        add("refreshed-once-kept-and-asked-no-more", |case, front, image| {
            assert_eq!(by_tuf(case, image), "ok");
            let asked = front.requests();
            let different: BTreeSet<&str> =
                asked.iter().map(|request| request.target.as_str()).collect();
            assert!(!asked.is_empty(), "nothing was asked");
            assert_eq!(different.len(), asked.len(), "asked twice: {different:?}");
            assert_eq!(by_tuf(case, image), "ok");
            assert_eq!(front.requests().len(), asked.len(), "asked again");
            case.machine.set("LUET_COSIGN_OFFLINE", "1");
            assert_eq!(by_tuf(case, image), "ok");
            assert_eq!(front.requests().len(), asked.len(), "asked again");
        });
        add("a-repository-of-another-root", |case, front, image| {
            let other = case.other_root();
            case.mirrored(front, &other.with_file_name("tuf/1.root.json"));
            refused_as_signed(&by_tuf(case, image));
        });
        add("nobody-is-asked-where-a-root-is-given", |case, front, image| {
            assert_eq!(case.verify(&Signer::Dev.who(), image), "ok");
            assert_eq!(front.requests().len(), 0, "a root was given, and yet it asked");
        });
        add("an-event", |case, front, image| {
            case.trusts(&Signer::Dev.who());
            case.machine.unset("COSIGN_TRUSTED_ROOT");
            assert_eq!(case.event(image).0, "ok");
            assert!(!front.requests().is_empty());
        });
    }
    trials
}

fn by_tuf(case: &Case<'_>, image: &str) -> String {
    let mut command = case.ours(&["verify"]);
    our_verdict(command.args(Signer::Dev.who().options()).arg(image)).0
}

impl Case<'_> {
    /// We are told where trust comes from.
    pub fn mirrored(&mut self, front: &Front, root: &Path) {
        self.machine.set("TUF_MIRROR", front.url());
        self.machine.set("TUF_ROOT_JSON", root);
    }

    /// A cosign is told where trust comes from.
    pub fn initialize(&self, cosign: &str) {
        let mut command = self.cosign(cosign, &["initialize", "--mirror"]);
        command.arg(format!("http://{TUF}")).arg("--root");
        succeed(command.arg(self.sigstore.trust("tuf/1.root.json")));
    }
}
