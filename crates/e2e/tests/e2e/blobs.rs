//! Files: which type of key signs in which form with which program, and which program reads it; with
//! the real cosign 2 and 3. Holds the table of docs/sign-files.md, cell by cell. And files in a
//! registry: uploaded by us and by cosign, signed, verified, found again.
//!
//! A program that accepts a signature is asked once more about another file, and has to refuse.

use crate::trial;
use e2e::machine::succeed;
use e2e::{Machine, tools};
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
                    assert_eq!(found.insert(key, verdicts), None, "stands there twice: {row}");
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

/// Signs `f`, so that the signature lies in `s`.
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
