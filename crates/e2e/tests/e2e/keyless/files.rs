//! Files in every form, and what each judge says of them.

use super::{Case, FULCIO_URL, REKOR1_URL, Signer, Who, case, our_verdict, their_verdict};
use crate::Shared as All;
use e2e::machine::succeed;
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Who made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Cosign2,
    Cosign3,
    Python,
    Ours,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A signature and a certificate.
    Files,
    /// cosign's first bundle.
    Old,
    /// Sigstore's.
    New,
}

const JUDGES: [&str; 4] = ["cosign2", "cosign3", "python", "ours"];

/// A file: who signed it how, by which signing configuration; and what the judges say of it. `-`: it
/// cannot be asked.
type Row = (&'static str, Maker, Form, &'static str, Signer, &'static str);

const DEV: Signer = Signer::Dev;
const JOB: Signer = Signer::Job;
const LATE: &str = "no-time ok ok ok";

const FILES: [Row; 23] = [
    ("c2_files", Maker::Cosign2, Form::Files, "rekor1", DEV, "ok ok - ok"),
    ("c3_files", Maker::Cosign3, Form::Files, "rekor1", DEV, "ok ok - ok"),
    ("py_files", Maker::Python, Form::Files, "rekor1-tsa", DEV, "ok ok - ok"),
    ("c2_old", Maker::Cosign2, Form::Old, "rekor1", DEV, "ok ok - ok"),
    ("c3_old", Maker::Cosign3, Form::Old, "rekor1", DEV, "ok ok - ok"),
    ("c2_new1", Maker::Cosign2, Form::New, "rekor1", DEV, "ok ok ok ok"),
    ("c2_new1_tsa", Maker::Cosign2, Form::New, "rekor1-tsa", DEV, "ok ok ok ok"),
    ("c2_new2_tsa", Maker::Cosign2, Form::New, "rekor2-tsa", DEV, LATE),
    ("c3_new1", Maker::Cosign3, Form::New, "rekor1", DEV, "ok ok ok ok"),
    ("c3_new1_tsa", Maker::Cosign3, Form::New, "rekor1-tsa", DEV, "ok ok ok ok"),
    ("c3_new2_tsa", Maker::Cosign3, Form::New, "rekor2-tsa", DEV, LATE),
    ("py_new1", Maker::Python, Form::New, "rekor1", DEV, "ok ok ok ok"),
    ("py_new1_tsa", Maker::Python, Form::New, "rekor1-tsa", DEV, "ok ok ok ok"),
    ("py_new2_tsa", Maker::Python, Form::New, "rekor2-tsa", DEV, LATE),
    ("us_files", Maker::Ours, Form::Files, "rekor1", DEV, "ok ok - ok"),
    ("us_old", Maker::Ours, Form::Old, "rekor1", DEV, "ok ok - ok"),
    ("us_new1", Maker::Ours, Form::New, "rekor1", DEV, "ok ok ok ok"),
    ("us_new1_tsa", Maker::Ours, Form::New, "rekor1-tsa", DEV, "ok ok ok ok"),
    ("us_new2_tsa", Maker::Ours, Form::New, "rekor2-tsa", DEV, LATE),
    ("us_job_new2", Maker::Ours, Form::New, "rekor2-tsa", JOB, LATE),
    ("job_new1", Maker::Cosign3, Form::New, "rekor1", JOB, "ok ok ok ok"),
    ("job_new2_tsa", Maker::Python, Form::New, "rekor2-tsa", JOB, LATE),
    // Not logged.
    ("unlogged_files", Maker::Cosign2, Form::Files, "none", DEV, "no-log no-log - tlog"),
];

pub fn trials(shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (file, _, form, _, signer, says) in FILES {
        let name = |what: &str| format!("files::{file}::{what}");
        trials.push(case(name("is-made"), shared, move |case| {
            case.signed(file);
        }));
        for (judge, says) in JUDGES.iter().zip(says.split(' ')).filter(|(_, says)| *says != "-") {
            trials.push(case(name(judge), shared, move |case| {
                let folder = case.signed(file);
                assert_eq!(judged(case, judge, &folder, form, &signer.who(), "blob"), says);
            }));
        }
        if !says.ends_with("ok") {
            continue;
        }
        // What cosign's scripts look for.
        trials.push(case(name("verified-ok"), shared, move |case| {
            let folder = case.signed(file);
            let mut command = ours(case, &folder, form, &signer.who(), "blob");
            let output = command.output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.lines().any(|line| line == "Verified OK"), "{said}");
            assert!(output.stdout.is_empty(), "it wrote to its output");
        }));
        trials.push(case(name("strangers"), shared, move |case| {
            let folder = case.signed(file);
            for stranger in signer.strangers() {
                let word = judged(case, "ours", &folder, form, &stranger, "blob");
                assert_eq!(word, "identity", "{stranger:?}");
            }
        }));
        trials.push(case(name("a-changed-file"), shared, move |case| {
            let folder = case.signed(file);
            let word = judged(case, "ours", &folder, form, &signer.who(), "changed");
            assert!(["digest", "signature", "binding", "tlog"].contains(&&*word), "{word}");
        }));
    }
    // Nothing else says when it was signed, so without the log nobody knows whether the certificate
    // was valid.
    trials.push(case("files::c2_files::a-log-that-does-not-answer".into(), shared, |case| {
        let folder = case.signed("c2_files");
        let mut command = case.ours(&["verify-blob", "--rekor-url", "http://127.0.0.1:9"]);
        command.current_dir(&folder).args(["--signature", "sig", "--certificate", "pem"]);
        command.arg("--trusted-root").arg(case.trusted_root()).args(DEV.who().options());
        assert_eq!(our_verdict(command.arg("blob")).0, "net");
    }));
    trials
}

impl Case<'_> {
    /// The directory of a signed file, made once: `blob`; `changed`, which is another; and what was
    /// written beside it.
    fn signed(&self, name: &str) -> PathBuf {
        let (_, maker, form, config, signer, _) =
            *FILES.iter().find(|row| row.0 == name).expect("such a file");
        let folder = self.once(&format!("file {name}"), || {
            let folder = self.path(&format!("files/{name}"));
            std::fs::create_dir_all(&folder).expect("a directory");
            let mut blob = e2e::world::noise(name.len() as u64, 100_000);
            blob.extend_from_slice(name.as_bytes());
            std::fs::write(folder.join("blob"), &blob).expect("a file");
            blob.push(b'\n');
            std::fs::write(folder.join("changed"), &blob).expect("a file");
            // sigstore-python 4.5.1 does not read the very first entry of a log: its bundle leaves
            // the index out, as Protobuf's JSON does where a number is 0.
            self.image(0, "c3_bundle1");
            self.image(0, "c3_bundle2_tsa");
            let elsewhere = self.elsewhere();
            let mut command = elsewhere.sign_file(maker, form, config, signer);
            succeed(command.current_dir(&folder));
            folder.to_str().expect("UTF-8").to_owned()
        });
        folder.into()
    }

    fn sign_file(&self, maker: Maker, form: Form, config: &str, signer: Signer) -> Command {
        let config_file = self.sigstore.trust(&format!("{config}.json"));
        let token = ["--identity-token", &self.token(signer)].map(ToOwned::to_owned);
        let output: &[&str] = match (maker, form) {
            (Maker::Python, _) => {
                &["--bundle", "new", "--signature", "sig", "--certificate", "pem"]
            }
            (_, Form::Files) => &["--output-signature", "sig", "--output-certificate", "pem"],
            (_, Form::Old) => &["--bundle", "old"],
            (_, Form::New) => &["--bundle", "new"],
        };
        let mut command = match maker {
            Maker::Python => self.python(config, &["sign"]),
            Maker::Ours => self.ours(&["sign-blob", "-y"]),
            Maker::Cosign2 => self.cosign("cosign2", &["sign-blob", "-y"]),
            Maker::Cosign3 => self.cosign("cosign3", &["sign-blob", "-y"]),
        };
        if maker != Maker::Python {
            command.arg("--trusted-root").arg(self.trusted_root());
        }
        match (maker, form) {
            (Maker::Python, _) => {}
            (Maker::Ours, Form::Old) => {
                command.arg("--signing-config").arg(config_file).arg("--new-bundle-format=false");
            }
            (Maker::Ours, _) => {
                command.arg("--signing-config").arg(config_file);
            }
            (_, Form::New) => {
                command.arg("--signing-config").arg(config_file).arg("--new-bundle-format");
            }
            (..) => {
                command.args(["--fulcio-url", FULCIO_URL, "--rekor-url", REKOR1_URL]);
                if maker == Maker::Cosign3 {
                    command.args(["--use-signing-config=false", "--new-bundle-format=false"]);
                }
                if config == "none" {
                    command.arg("--tlog-upload=false");
                }
            }
        }
        command.args(token).args(output).arg("blob");
        command
    }
}

/// The words by which every verifier is told where the signature is.
fn evidence(form: Form) -> &'static [&'static str] {
    match form {
        Form::Files => &["--signature", "sig", "--certificate", "pem", "--rekor-url", REKOR1_URL],
        Form::Old => &["--bundle", "old"],
        Form::New => &["--bundle", "new"],
    }
}

fn ours(case: &Case<'_>, folder: &Path, form: Form, who: &Who, file: &str) -> Command {
    let mut command = case.ours(&["verify-blob", "--trusted-root"]);
    command.current_dir(folder).arg(case.trusted_root());
    command.args(evidence(form)).args(who.options()).arg(file);
    command
}

/// What a judge says, in one word. The cosigns take a root file for new bundles only.
fn judged(
    case: &Case<'_>,
    judge: &str,
    folder: &Path,
    form: Form,
    who: &Who,
    file: &str,
) -> String {
    match judge {
        "ours" => our_verdict(&mut ours(case, folder, form, who, file)).0,
        "python" => {
            let words = ["verify", "identity", "--offline", "--bundle", "new"];
            let mut command = case.python("rekor1-tsa", &words);
            command.args(["--cert-identity", &who.subject, "--cert-oidc-issuer", &who.issuer]);
            their_verdict(command.current_dir(folder).arg(file))
        }
        cosign => {
            let mut command = case.cosign(cosign, &["verify-blob"]);
            command.current_dir(folder).args(evidence(form)).args(who.options());
            if form == Form::New {
                command.arg("--new-bundle-format").arg("--trusted-root").arg(case.trusted_root());
            } else {
                case.by_variables(&mut command);
            }
            their_verdict(command.arg(file))
        }
    }
}
