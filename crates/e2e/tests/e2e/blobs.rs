//! Files: which type of key signs in which form with which program, and which program reads it; with
//! the real cosign 2 and 3. Holds the table of docs/sign-files.md, cell by cell. And files in a
//! registry: uploaded by us and by cosign, signed, verified, found again.
//!
//! A program that accepts a signature is asked once more about another file, and has to refuse.

use crate::trial;
use e2e::machine::succeed;
use e2e::{Machine, Registry, tools};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

const DOCUMENT: &str = include_str!("../../../../docs/sign-files.md");
const TYPES: [&str; 7] = ["P-256", "P-384", "P-521", "Ed25519", "RSA 2048", "RSA 3072", "RSA 4096"];
const FORMS: [(&str, Form); 3] =
    [("signature", Form::Signature), ("bundle", Form::Bundle), ("old bundle", Form::Old)];
const PROGRAMS: [&str; 3] = ["luet-cosign", "cosign 2", "cosign 3"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `FILE.sig`.
    Signature,
    /// A Sigstore bundle.
    Bundle,
    /// The bundle of cosign 1 and 2.
    Old,
}

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials = vec![trial("blobs::table".to_owned(), shared, |_| {
        assert_eq!(documented().len(), TYPES.len() * FORMS.len() * PROGRAMS.len());
    })];
    for of in TYPES {
        for by in PROGRAMS {
            let name = format!("blobs::{}::{}", slug(of), slug(by));
            trials.push(trial(name, shared, move |shared| signed(shared, of, by)));
        }
    }
    for (name, start) in [
        ("docker-registry", Registry::docker as fn() -> Registry),
        ("olareg", || Registry::olareg(&[])),
    ] {
        let name = format!("blobs::registry::{name}");
        trials.push(trial(name, shared, move |shared| in_a_registry(shared, &start())));
    }
    trials
}

fn slug(text: &str) -> String {
    text.to_lowercase().replace(' ', "-")
}

/// Type, signer and form, to what each reader says of it.
fn documented() -> BTreeMap<(String, String, String), Vec<String>> {
    let mark = "<!-- files: signed -->\n";
    let lines = DOCUMENT.split_once(mark).expect("the table").1;
    let rows = lines.lines().take_while(|line| line.starts_with('|')).skip(2);
    let mut found = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for of in cells[0].split(", ") {
            for by in cells[1].split(", ") {
                for form in cells[2].split(", ") {
                    let key = (of.to_owned(), by.to_owned(), form.to_owned());
                    let verdicts = cells[3..].iter().map(|it| (*it).to_owned()).collect();
                    assert_eq!(found.insert(key, verdicts), None, "is given twice: {row}");
                }
            }
        }
    }
    found
}

fn program(machine: &Machine, name: &str) -> Command {
    let path = match name {
        "luet-cosign" => machine.plugin().to_owned(),
        "cosign 2" => tools::program("cosign2"),
        _ => tools::program("cosign3"),
    };
    machine.command(path)
}

fn signed(shared: &crate::Shared, of: &str, by: &str) {
    let machine = Machine::new(shared.world.plugin());
    fs::write(machine.path("f"), "what is released\n").expect("a file");
    fs::write(machine.path("other"), "something else\n").expect("a file");
    let key = crate::keys::generate(&machine, of);
    fs::write(machine.path("k.pem"), key).expect("a file");
    let import = ["import-key-pair", "--key", "k.pem", "--output-key-prefix", "k"];
    succeed(program(&machine, "luet-cosign").args(import));
    for (name, words) in
        [("root.json", ["trusted-root", "create"]), ("signing.json", ["signing-config", "create"])]
    {
        let text = succeed(program(&machine, "cosign 3").args(words));
        fs::write(machine.path(name), text).expect("a file");
    }
    let mut wrong = Vec::new();
    for (title, form) in FORMS {
        let expected = &documented()[&(of.to_owned(), by.to_owned(), title.to_owned())];
        let seen: Vec<String> = match sign(&machine, by, form) {
            Err(verdict) => vec![verdict; PROGRAMS.len()],
            Ok(()) => PROGRAMS.iter().map(|reader| read(&machine, reader, of, form)).collect(),
        };
        if seen != *expected {
            wrong.push(format!("{of}, {by}, {title}: {seen:?}; the page has {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Signs `f`, so that the signature is in `s`.
fn sign(machine: &Machine, by: &str, form: Form) -> Result<(), String> {
    let _ = fs::remove_file(machine.path("s"));
    let mut command = program(machine, by);
    command.args(["sign-blob", "--key", "k.key", "-y"]);
    let output = if form == Form::Signature { "--output-signature" } else { "--bundle" };
    command.args([output, "s"]);
    match (by, form) {
        ("luet-cosign", Form::Old) => command.arg("--new-bundle-format=false"),
        ("luet-cosign", _) => &mut command,
        ("cosign 2", Form::Bundle) => command.args(["--tlog-upload=false", "--new-bundle-format"]),
        ("cosign 2", _) => command.arg("--tlog-upload=false"),
        (_, Form::Bundle) => {
            command.args(["--signing-config", "signing.json", "--trusted-root", "root.json"])
        }
        _ => command.args([
            "--tlog-upload=false",
            "--use-signing-config=false",
            "--new-bundle-format=false",
        ]),
    };
    let output = command.arg("f").output().expect("it runs");
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let known = [
        ("crypto: requested hash function #0 is unavailable", "panics"),
        ("message is missing artifact digest", "cannot sign"),
        ("accepted signatures do not match threshold", "cannot sign"),
    ];
    let verdict = known.iter().find(|(text, _)| said.contains(text));
    Err(verdict.unwrap_or_else(|| panic!("{command:?}: {said}")).1.to_owned())
}

/// What a program says of `s`.
fn read(machine: &Machine, reader: &str, of: &str, form: Form) -> String {
    let ask = |hash: Option<&str>, file: &str| {
        let mut command = program(machine, reader);
        command.args(["verify-blob", "--key", "k.pub"]);
        command.args([if form == Form::Signature { "--signature" } else { "--bundle" }, "s"]);
        if reader != "luet-cosign" {
            command.arg("--insecure-ignore-tlog");
            match form {
                Form::Bundle => command.args(["--trusted-root", "root.json"]),
                _ if reader == "cosign 3" => command.arg("--new-bundle-format=false"),
                _ => &mut command,
            };
        }
        command.args(hash.map(|hash| format!("--signature-digest-algorithm={hash}"))).arg(file);
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), said.contains("Verified OK"), "{command:?}: {said}");
        let refused = [
            "invalid signature",
            "failed to verify signature",
            "signature: ",
            "crypto/rsa: verification error",
        ];
        let known = output.status.success() || refused.iter().any(|text| said.contains(text));
        assert!(known, "{command:?}: {said}");
        output.status.success()
    };
    let hash = match of {
        "P-384" => Some("sha384"),
        "P-521" => Some("sha512"),
        _ => None,
    };
    let hashes = [None, hash.filter(|_| reader != "luet-cosign")];
    for (number, hash) in hashes.into_iter().enumerate() {
        if (number == 0 || hash.is_some()) && ask(hash, "f") {
            assert!(!ask(hash, "other"), "{reader} takes another file");
            return if hash.is_some() { "H" } else { "+" }.to_owned();
        }
    }
    "invalid".to_owned()
}

// ---- Files in a registry.

/// What is uploaded: a name, and how it begins. Each is of another media type.
const UPLOADED: [(&str, &[u8]); 5] = [
    ("text", b"hello\n"),
    ("program", b"\x7fELF\x02\x01\x01\x00 and more"),
    ("page", b"\n <!doctype html><p>x</p>"),
    ("archive", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    ("nothing", b""),
];

/// Runs a program on `127.0.0.1`, and returns its standard output without the end of line.
#[track_caller]
fn say(machine: &Machine, name: &str, words: &[&str]) -> String {
    let output = succeed(program(machine, name).args(words));
    String::from_utf8(output).expect("UTF-8").trim_end().to_owned()
}

/// The steps of "Verify OCI container image signatures and WASM modules" of 2021: upload, sign,
/// verify, triangulate. By us and by cosign, and each finds what the other left.
fn in_a_registry(shared: &crate::Shared, registry: &Registry) {
    let mut machine = Machine::new(shared.world.plugin());
    machine.set("COSIGN_PASSWORD", e2e::machine::PASSWORD);
    say(&machine, "luet-cosign", &["generate-key-pair"]);
    let root = say(&machine, "cosign 3", &["trusted-root", "create"]);
    fs::write(machine.path("root.json"), root).expect("a file");
    let address = registry.address();
    for (name, bytes) in UPLOADED {
        fs::write(machine.path(name), bytes).expect("a file");
        let images = ["ours", "cosign"].map(|by| format!("{address}/{by}/{name}:1"));
        let places = [("luet-cosign", &images[0]), ("cosign 2", &images[1])]
            .map(|(by, image)| say(&machine, by, &["upload", "blob", "-f", name, image]));
        let digest = |place: &String| place.split_once('@').expect("a digest").1.to_owned();
        assert_eq!(digest(&places[0]), digest(&places[1]), "{name}");
        for (image, place) in images.iter().zip(&places) {
            say(&machine, "luet-cosign", &["sign", "--key", "cosign.key", image]);
            let verify = ["verify", "--key", "cosign.pub"];
            for image in [image, place] {
                say(&machine, "luet-cosign", &[&verify[..], &[image]].concat());
                let free = ["--insecure-ignore-tlog", "--allow-http-registry", image];
                say(&machine, "cosign 2", &[&verify[..], &free].concat());
                say(&machine, "cosign 3", &[&verify[..], &free].concat());
            }
            let signature = say(&machine, "luet-cosign", &["triangulate", image]);
            assert_eq!(signature, say(&machine, "cosign 2", &["triangulate", image]));
            let download = ["download", "signature", image];
            let ours = say(&machine, "luet-cosign", &download);
            assert_eq!(ours.lines().count(), 1);
            for by in ["cosign 2", "cosign 3"] {
                assert_eq!(ours, say(&machine, by, &download), "{by}, {image}");
            }
        }
    }
    // Several at one name, one for each platform.
    let files = ["text:linux/amd64", "program:darwin", "archive:linux/arm64"];
    let files: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
    let upload = |by, image: &str| {
        let annotation = ["-a", "b=2", "-a", "a=1"];
        let words = [&["upload", "blob"], &annotation[..], &files, &[image]].concat();
        succeed(program(&machine, by).args(words));
        succeed(machine.command(tools::program("crane")).args(["digest", image]))
    };
    let images = ["ours", "cosign"].map(|by| format!("{address}/{by}/several:1"));
    assert_eq!(upload("luet-cosign", &images[0]), upload("cosign 2", &images[1]));
    // A bundle is printed as it is.
    let sign = ["sign", "--key", "cosign.key", "--format", "bundle", &images[0]];
    say(&machine, "luet-cosign", &sign);
    let bundles = ["luet-cosign", "cosign 3"].map(|by| {
        let text = say(&machine, by, &["download", "signature", &images[0]]);
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    });
    assert_eq!(bundles[0]["dsseEnvelope"], bundles[1]["dsseEnvelope"]);
    let unsigned = format!("{address}/ours/unsigned:1");
    say(&machine, "luet-cosign", &["upload", "blob", "-f", "page", &unsigned]);
    let mut command = program(&machine, "luet-cosign");
    let output = command.args(["download", "signature", &unsigned]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(10), "{output:?}");
}
