//! Images in every form, and what each judge says of them.

use super::{Case, FULCIO_URL, REGISTRIES, REKOR1_URL, Signer, TSA_URL, Who};
use super::{case, our_verdict, their_verdict};
use crate::Shared as All;
use e2e::layers;
use e2e::machine::succeed;
use e2e::registry::Image;
use libtest_mimic::Trial;
use std::sync::Arc;

/// An image, who made its signatures, and what the judges say of it. Of the words:
///
/// - `no-root`: cosign reads a bundle only with a whole trusted root
/// - `no-tsa`: with `--use-signed-timestamps` cosign 2 wants one
/// - `no-time`: cosign 2 takes no other time than the log's
///
/// Where a bundle lies, both cosigns look at nothing else: `both`, `beside_key` and `strange`.
struct Row {
    name: &'static str,
    make: fn(&Case<'_>, &str),
    signer: Signer,
    /// One word for each of [`JUDGES`].
    says: &'static str,
}

const JUDGES: [&str; 7] = [
    "cosign2-env",
    "cosign2-root",
    "cosign2-tsa",
    "cosign3-env",
    "cosign3-root",
    "ours-env",
    "ours-root",
];

const fn row(
    name: &'static str,
    signer: Signer,
    says: &'static str,
    make: fn(&Case<'_>, &str),
) -> Row {
    Row { name, make, signer, says }
}

const DEV: Signer = Signer::Dev;
const JOB: Signer = Signer::Job;
const ALL_OK: &str = "ok ok ok ok ok ok ok";
const BUNDLE: &str = "no-root ok no-tsa no-root ok ok ok";
const STAMPED: &str = "no-root ok ok no-root ok ok ok";
const BUNDLE2: &str = "no-root no-time ok no-root ok tlog ok";

const IMAGES: [Row; 29] = [
    row("c2_legacy", DEV, ALL_OK, |case, image| cosign2(case, DEV, &[], image)),
    row("c2_legacy_tsa", DEV, ALL_OK, |case, image| {
        cosign2(case, DEV, &["--timestamp-server-url", TSA_URL], image);
    }),
    row("c3_legacy", DEV, ALL_OK, cosign3_legacy),
    row("c2_bundle1", DEV, BUNDLE, |case, image| {
        cosign2(case, DEV, &["--new-bundle-format"], image);
    }),
    row("c2_bundle1_tsa", DEV, STAMPED, |case, image| {
        cosign2(case, DEV, &["--new-bundle-format", "--timestamp-server-url", TSA_URL], image);
    }),
    row("c3_bundle1", DEV, BUNDLE, |case, image| cosign3(case, "rekor1", DEV, image)),
    row("c3_bundle1_tsa", DEV, STAMPED, |case, image| cosign3(case, "rekor1-tsa", DEV, image)),
    row("c3_bundle2_tsa", DEV, BUNDLE2, |case, image| cosign3(case, "rekor2-tsa", DEV, image)),
    row("job_legacy", JOB, ALL_OK, |case, image| cosign2(case, JOB, &[], image)),
    row("job_bundle1", JOB, BUNDLE, |case, image| cosign3(case, "rekor1", JOB, image)),
    row("job_bundle2_tsa", JOB, BUNDLE2, |case, image| cosign3(case, "rekor2-tsa", JOB, image)),
    row("both", DEV, "no-root no-time ok no-root ok ok ok", |case, image| {
        cosign2(case, DEV, &[], image);
        cosign3(case, "rekor2-tsa", DEV, image);
    }),
    row("us_legacy", DEV, ALL_OK, |case, image| ours(case, "rekor1", DEV, &[], image)),
    row("us_legacy_tsa", DEV, ALL_OK, |case, image| ours(case, "rekor1-tsa", DEV, &[], image)),
    row("us_bundle1", DEV, BUNDLE, |case, image| {
        ours(case, "rekor1", DEV, &["--format", "bundle"], image);
    }),
    row("us_bundle1_tsa", DEV, STAMPED, |case, image| {
        ours(case, "rekor1-tsa", DEV, &["--format", "bundle"], image);
    }),
    row("us_bundle2_tsa", DEV, BUNDLE2, |case, image| ours(case, "rekor2-tsa", DEV, &[], image)),
    row("us_both", DEV, STAMPED, |case, image| {
        ours(case, "rekor1-tsa", DEV, &["--format", "both"], image);
    }),
    row("us_job_legacy", JOB, ALL_OK, |case, image| ours(case, "rekor1-tsa", JOB, &[], image)),
    row("us_job_bundle2", JOB, BUNDLE2, |case, image| ours(case, "rekor2-tsa", JOB, &[], image)),
    row("two", DEV, BUNDLE, |case, image| {
        cosign3(case, "rekor1", Signer::Eve, image);
        cosign3(case, "rekor1", DEV, image);
    }),
    row("strange", DEV, "no-root identity no-tsa no-root identity ok ok", |case, image| {
        cosign2(case, DEV, &[], image);
        cosign3(case, "rekor1", Signer::Eve, image);
    }),
    row("key_beside", DEV, BUNDLE, |case, image| {
        let key = case.key("acme.key");
        let mut command = case.cosign("cosign2", &["sign", "-y", "--allow-http-registry", "--key"]);
        command.arg(key).arg("--trusted-root").arg(case.trusted_root());
        succeed(command.args(["--rekor-url", REKOR1_URL, image]));
        cosign3(case, "rekor1", DEV, image);
    }),
    row("beside_key", DEV, "no-root key key no-root key ok ok", |case, image| {
        cosign2(case, DEV, &[], image);
        let key = case.key("acme.key");
        let mut command = case.cosign("cosign3", &["sign", "-y", "--allow-http-registry", "--key"]);
        command.arg(key).arg("--trusted-root").arg(case.trusted_root()).arg("--signing-config");
        succeed(command.arg(case.sigstore.trust("rekor1.json")).arg(image));
    }),
    row("attested", DEV, "no-root ok no-tsa no-root ok unsigned unsigned", attested),
    row("unlogged", DEV, "no-log no-log no-log no-log no-log tlog tlog", |case, image| {
        cosign2(case, DEV, &["--timestamp-server-url", TSA_URL, "--tlog-upload=false"], image);
    }),
    row("c3_tuf", DEV, BUNDLE, |case, image| {
        case.initialize("cosign3");
        let mut command = case.cosign("cosign3", &["sign", "-y", "--allow-http-registry"]);
        succeed(command.args(["--identity-token", &case.token(DEV), image]));
    }),
    row("moved", DEV, "binding binding binding binding binding binding binding", moved),
    row(
        "unsigned",
        DEV,
        "unsigned unsigned unsigned unsigned unsigned unsigned unsigned",
        |_, image| assert!(Image::new(image).exists()),
    ),
];

pub fn trials(at: usize, shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for row in &IMAGES {
        let name = |what: &str| format!("{}::{}::{what}", REGISTRIES[at], row.name);
        trials.push(case(name("is-made"), shared, move |case| {
            case.image(at, row.name);
        }));
        for (judge, says) in JUDGES.iter().zip(row.says.split(' ')) {
            trials.push(case(name(judge), shared, move |case| {
                let image = case.image(at, row.name);
                assert_eq!(case.judged(judge, &row.signer.who(), &image), says);
            }));
        }
        let last = row.says.rsplit(' ').next().expect("a word");
        trials.push(case(name("an-event"), shared, move |case| {
            let image = case.image(at, row.name);
            case.trusts(&row.signer.who());
            assert_eq!(case.event(&image).0, last);
        }));
        // Who is not the signer is told so, unless there is no signature at all. Of a signature that
        // was made for another image too: who made it comes first.
        let word = if matches!(last, "ok" | "binding") { "identity" } else { last };
        trials.push(case(name("strangers"), shared, move |case| {
            let image = case.image(at, row.name);
            for stranger in row.signer.strangers() {
                assert_eq!(case.verify(&stranger, &image), word, "{stranger:?}");
            }
        }));
        trials.push(case(name("strangers-by-event"), shared, move |case| {
            let image = case.image(at, row.name);
            for stranger in row.signer.strangers() {
                let mut elsewhere = case.elsewhere();
                elsewhere.trusts(&stranger);
                assert_eq!(elsewhere.event(&image).0, word, "{stranger:?}");
            }
        }));
    }
    trials
}

impl Case<'_> {
    /// An image by its name, by digest; made once.
    pub fn image(&self, at: usize, name: &str) -> String {
        let row = IMAGES.iter().find(|row| row.name == name).expect("such an image");
        self.once(&format!("{at} {name}"), || {
            let image = new_image(&self.address(at), &format!("{name}/image"), name);
            // On a machine of its own: the one that asks first may be set up already.
            (row.make)(&self.elsewhere(), &image);
            image
        })
    }

    /// What a judge says of an image, in one word. `env` is the trust of the SIGSTORE_ variables.
    fn judged(&self, judge: &str, who: &Who, image: &str) -> String {
        let (program, trust) = judge.split_once('-').expect("PROGRAM-TRUST");
        let mut command = match program {
            "ours" => self.ours(&["verify"]),
            cosign => {
                self.cosign(cosign, &["verify", "--allow-http-registry", "--rekor-url", REKOR1_URL])
            }
        };
        command.args(who.options());
        if trust == "env" {
            self.by_variables(&mut command);
        } else {
            command.arg("--trusted-root").arg(self.trusted_root());
        }
        if trust == "tsa" {
            command.arg("--use-signed-timestamps");
        }
        command.arg(image);
        if program == "ours" { our_verdict(&mut command).0 } else { their_verdict(&mut command) }
    }

    /// What a cosign with a trusted root says.
    pub fn cosign_says(&self, cosign: &str, who: &Who, image: &str) -> String {
        self.judged(&format!("{cosign}-root"), who, image)
    }

    /// What one of them says who trusts a key.
    pub fn says_by_key(&self, program: &str, image: &str) -> String {
        let key = self.key("acme.pub");
        if program == "ours" {
            let mut command = self.ours(&["verify", "--key"]);
            return our_verdict(command.arg(key).arg(image)).0;
        }
        let mut command = self.cosign(program, &["verify", "--allow-http-registry", "--key"]);
        their_verdict(command.arg(key).arg("--trusted-root").arg(self.trusted_root()).arg(image))
    }
}

/// Pushes an image with one file, and returns its name by digest.
pub fn new_image(address: &str, path: &str, content: &str) -> String {
    let image = Image::new(&format!("{address}/{path}:1"));
    image.push(&[layers::of_file("file", content.as_bytes())]);
    Image { reference: image.digest(), ..image }.to_string()
}

// ---- Who signs.

pub fn cosign2(case: &Case<'_>, signer: Signer, words: &[&str], image: &str) {
    let mut command = case.cosign("cosign2", &["sign", "-y", "--allow-http-registry"]);
    command.arg("--trusted-root").arg(case.trusted_root());
    command.args(["--fulcio-url", FULCIO_URL, "--rekor-url", REKOR1_URL]);
    succeed(command.args(["--identity-token", &case.token(signer)]).args(words).arg(image));
}

fn cosign3_legacy(case: &Case<'_>, image: &str) {
    let mut command = case.cosign("cosign3", &["sign", "-y", "--allow-http-registry"]);
    command.arg("--trusted-root").arg(case.trusted_root()).args(["--fulcio-url", FULCIO_URL]);
    command.args(["--use-signing-config=false", "--new-bundle-format=false"]);
    let token = case.token(DEV);
    succeed(command.args(["--rekor-url", REKOR1_URL, "--identity-token", &token, image]));
}

pub fn cosign3(case: &Case<'_>, config: &str, signer: Signer, image: &str) {
    let mut command = case.cosign("cosign3", &["sign", "-y", "--allow-http-registry"]);
    command.arg("--trusted-root").arg(case.trusted_root()).arg("--signing-config");
    command.arg(case.sigstore.trust(&format!("{config}.json")));
    succeed(command.args(["--identity-token", &case.token(signer), image]));
}

/// Twice, for the second time must find the first.
fn ours(case: &Case<'_>, config: &str, signer: Signer, words: &[&str], image: &str) {
    for time in ["first", "second"] {
        let mut command = case.ours(&["sign", "-y", "--trusted-root"]);
        command.arg(case.trusted_root()).arg("--signing-config");
        command.arg(case.sigstore.trust(&format!("{config}.json")));
        command.args(["--identity-token", &case.token(signer)]).args(words).arg(image);
        let (word, seen) = our_verdict(&mut command);
        assert_eq!(word, "ok");
        let already = seen.output.lines().any(|line| line.starts_with("already signed:"));
        assert_eq!(already, time == "second", "{time}: {}", seen.output);
    }
}

fn attested(case: &Case<'_>, image: &str) {
    let predicate = case.machine.path("predicate");
    let builder = r#"{"builder": {"id": "https://example.com/builder"}}"#;
    std::fs::write(&predicate, builder).expect("a file");
    let mut command = case.cosign("cosign3", &["attest", "-y", "--allow-http-registry"]);
    command.arg("--trusted-root").arg(case.trusted_root()).args(["--type", "custom"]);
    command.arg("--predicate").arg(predicate).arg("--signing-config");
    command.arg(case.sigstore.trust("rekor1.json"));
    succeed(command.args(["--identity-token", &case.token(DEV), image]));
}

/// The signature of another image.
fn moved(case: &Case<'_>, image: &str) {
    let here = Image::new(image);
    let other = new_image(&here.address, "moved/other", "moved from");
    cosign2(case, DEV, &[], &other);
    Image::new(&other).signature_tag().copy(&here.signature_tag());
}
