//! Which type of key signs in which form with which program, and which program reads it: with the
//! real cosign 2 and 3, skopeo and openssl, at a registry that lists referrers and at one that does
//! not. Holds the tables of docs/keys.md, cell by cell.
//!
//! A refusal is a cell only where the program says why, in words that are known here ([`reason`]).
//! A program that accepts is asked once more with another key of the same type, and has to refuse
//! that one. Where a cell has changed, the trial says what was seen; then look why, and write it.

use crate::trial;
use e2e::machine::succeed;
use e2e::registry::Image;
use e2e::{Machine, Registry, World, layers, scratch, tools};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

const TYPES: [&str; 7] = ["P-256", "P-384", "P-521", "Ed25519", "RSA 2048", "RSA 3072", "RSA 4096"];
const REGISTRIES: [&str; 2] = ["docker-registry", "olareg"];
const DOCUMENT: &str = include_str!("../../../../docs/keys.md");

/// What a program that accepts the right key may say of a stranger's.
const REFUSALS: [&str; 2] = ["invalid", "not found"];

/// Who signs, in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Ours(&'static str),
    Cosign2,
    /// Its signature in a referrer.
    Cosign2Referrer,
    Cosign3,
    Cosign3Bundle,
    Cosign3Attestation,
    Skopeo,
    /// What cosign makes with a key service of AWS or Google; made here by openssl.
    Service,
}

impl Signer {
    /// Its name in the tables.
    fn title(self) -> &'static str {
        match self {
            Self::Ours(_) => "luet-cosign",
            Self::Cosign2 => "cosign 2",
            Self::Cosign2Referrer => "cosign 2 `--registry-referrers-mode=oci-1-1`",
            Self::Cosign3 | Self::Cosign3Bundle | Self::Cosign3Attestation => "cosign 3",
            Self::Skopeo => "skopeo",
            Self::Service => "a key service (PSS)",
        }
    }

    /// Its part of a trial's name.
    fn name(self) -> &'static str {
        match self {
            Self::Ours(_) => "ours",
            Self::Cosign2 => "cosign2",
            Self::Cosign2Referrer => "cosign2-as-a-referrer",
            Self::Cosign3 | Self::Cosign3Bundle | Self::Cosign3Attestation => "cosign3",
            Self::Skopeo => "skopeo",
            Self::Service => "a-key-service",
        }
    }
}

const LEGACY: [Signer; 6] = [
    Signer::Ours("legacy"),
    Signer::Cosign2,
    Signer::Cosign3,
    Signer::Skopeo,
    Signer::Cosign2Referrer,
    Signer::Service,
];
const BUNDLE: [Signer; 2] = [Signer::Ours("bundle"), Signer::Cosign3Bundle];

/// An image that several signed, or one in several forms: the row, the trial, and who signs with
/// which key.
type Several = (&'static str, &'static str, &'static [(Signer, &'static str)]);

const SEVERAL: [Several; 7] = [
    (
        "legacy by a stranger and by acme",
        "legacy-by-a-stranger-and-by-acme",
        &[(Signer::Cosign3, "stranger"), (Signer::Cosign3, "p-256")],
    ),
    (
        "legacy by acme, bundle by a stranger",
        "legacy-by-acme-bundle-by-a-stranger",
        &[(Signer::Cosign3, "p-256"), (Signer::Cosign3Bundle, "stranger")],
    ),
    (
        "legacy by a stranger, bundle by acme",
        "legacy-by-a-stranger-bundle-by-acme",
        &[(Signer::Cosign3, "stranger"), (Signer::Cosign3Bundle, "p-256")],
    ),
    (
        "bundles by a stranger and by acme",
        "bundles-by-a-stranger-and-by-acme",
        &[(Signer::Cosign3Bundle, "stranger"), (Signer::Cosign3Bundle, "p-256")],
    ),
    (
        "legacy by acme, attestation by acme",
        "legacy-by-acme-attestation-by-acme",
        &[(Signer::Cosign3, "p-256"), (Signer::Cosign3Attestation, "p-256")],
    ),
    (
        "legacy and bundle by acme (luet-cosign `--format both`)",
        "legacy-and-bundle-by-acme",
        &[(Signer::Ours("both"), "p-256")],
    ),
    (
        "an attestation by acme, nothing else",
        "an-attestation-by-acme",
        &[(Signer::Cosign3Attestation, "p-256")],
    ),
];

/// Who reads: its column, and the reader.
const READERS: [(&str, Reader); 5] = [
    ("luet-cosign", Reader::Ours),
    ("cosign 2", Reader::Cosign2),
    ("cosign 2 `--trusted-root`", Reader::Cosign2Root),
    ("cosign 3", Reader::Cosign3),
    ("skopeo", Reader::Skopeo),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Ours,
    Cosign2,
    Cosign2Root,
    Cosign3,
    Skopeo,
}

/// A form of files with a private key: the row, the trial, and which types have it.
type Form = (&'static str, &'static str, fn(&str) -> bool);

const FORMS: [Form; 8] = [
    ("`PRIVATE KEY` (PKCS#8)", "pkcs8", |_| true),
    ("`EC PRIVATE KEY` (SEC1)", "sec1", is_ec),
    ("`EC PRIVATE KEY` behind `EC PARAMETERS`", "sec1-behind-parameters", is_ec),
    ("`RSA PRIVATE KEY` (PKCS#1)", "pkcs1", is_rsa),
    ("`ENCRYPTED PRIVATE KEY`: PBKDF2", "pbkdf2", |_| true),
    ("`ENCRYPTED PRIVATE KEY`: scrypt", "scrypt", |_| true),
    ("`ENCRYPTED PRIVATE KEY`: PBES1", "pbes1", |_| true),
    ("`Proc-Type: 4,ENCRYPTED`", "proc-type", |of| is_ec(of) || is_rsa(of)),
];

fn is_ec(of: &str) -> bool {
    of.starts_with("P-")
}

fn is_rsa(of: &str) -> bool {
    of.starts_with("RSA")
}

/// The type as part of a name.
fn slug(of: &str) -> String {
    of.to_lowercase().replace(' ', "-")
}

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials = vec![trial("keys::every-cell-has-a-trial".into(), shared, |_| {
        hold_tables();
    })];
    for of in TYPES {
        for (form, name, fits) in FORMS {
            if fits(of) {
                let name = format!("keys::files::{name}::{}", slug(of));
                trials.push(trial(name, shared, move |shared| import(shared, form, of)));
            }
        }
        for (at, registry) in REGISTRIES.iter().enumerate() {
            for (table, signers) in [("legacy", &LEGACY[..]), ("bundle", &BUNDLE)] {
                for signer in signers.iter().filter(|signer| signs(**signer, of)) {
                    let name =
                        format!("keys::{registry}::{table}::{}::{}", slug(of), signer.name());
                    trials.push(trial(name, shared, move |shared| {
                        signed(shared, at, table, of, *signer);
                    }));
                }
            }
        }
    }
    for (at, registry) in REGISTRIES.iter().enumerate() {
        for (row, name, signers) in SEVERAL {
            let name = format!("keys::{registry}::several::{name}");
            trials.push(trial(name, shared, move |shared| several(shared, at, row, signers)));
        }
    }
    trials
}

/// A key service that makes PSS has RSA keys.
fn signs(signer: Signer, of: &str) -> bool {
    signer != Signer::Service || is_rsa(of)
}

// ---- The tables.

type Cells = BTreeMap<(Vec<String>, String), String>;

/// The cells of a table of docs/keys.md: labels of the row and reader, to the verdict. A label may
/// be a list.
fn documented(table: &str) -> Cells {
    let mark = format!("<!-- keys: {table} -->\n");
    let lines = DOCUMENT.split_once(&mark).unwrap_or_else(|| panic!("no {mark}")).1;
    let mut rows = lines.lines().take_while(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim().trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    });
    let header = rows.next().expect("a header");
    let labels = if table == "both" { 1 } else { 2 };
    let mut found = Cells::new();
    for row in rows.skip(1) {
        let lists: Vec<Vec<&str>> = row[..labels]
            .iter()
            .map(|cell| if labels == 1 { vec![cell.as_str()] } else { cell.split(", ").collect() })
            .collect();
        for first in &lists[0] {
            for second in lists.get(1).unwrap_or(&vec![""]) {
                let key: Vec<String> =
                    [*first, *second].iter().take(labels).map(|it| (*it).to_owned()).collect();
                for (reader, verdict) in header[labels..].iter().zip(&row[labels..]) {
                    let before = found.insert((key.clone(), reader.clone()), verdict.clone());
                    assert_eq!(before, None, "{key:?}, {reader}: is given twice");
                }
            }
        }
    }
    found
}

/// Every row of the document is one that is tried, and the other way round.
fn hold_tables() {
    let mut tried: BTreeMap<&str, BTreeSet<Vec<String>>> = BTreeMap::new();
    let mut add = |table, labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        tried.entry(table).or_default().insert(labels);
    };
    for of in TYPES {
        for (form, _, fits) in FORMS {
            if fits(of) {
                add("files", &[form, of]);
            }
        }
        for (table, signers) in [("legacy", &LEGACY[..]), ("bundle", &BUNDLE)] {
            for signer in signers.iter().filter(|signer| signs(**signer, of)) {
                add(table, &[of, signer.title()]);
            }
        }
    }
    for (row, ..) in SEVERAL {
        add("both", &[row]);
    }
    for (table, rows) in tried {
        let cells = documented(table);
        let documented: BTreeSet<_> = cells.keys().map(|(labels, _)| labels.clone()).collect();
        assert_eq!(documented, rows, "{table}");
        let readers: BTreeSet<_> = cells.keys().map(|(_, reader)| reader.as_str()).collect();
        let expected = match table {
            "files" => vec!["luet-cosign", "cosign 2", "cosign 3"],
            "both" => READERS[..4].iter().map(|(title, _)| *title).collect(),
            _ => READERS.iter().map(|(title, _)| *title).collect(),
        };
        assert_eq!(readers, expected.into_iter().collect(), "{table}");
    }
}

/// What was seen, held to one row.
struct Row {
    cells: Cells,
    labels: Vec<String>,
    wrong: Vec<String>,
}

impl Row {
    fn of(table: &str, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Self { cells: documented(table), labels, wrong: Vec::new() }
    }

    fn saw(&mut self, reader: &str, verdict: &str) {
        let key = (self.labels.clone(), reader.to_owned());
        let expected = self.cells.get(&key).map_or("no such cell", String::as_str);
        if verdict != expected {
            self.wrong.push(format!("{reader}: {verdict}; docs/keys.md has {expected}"));
        }
    }

    #[track_caller]
    fn end(self) {
        assert!(self.wrong.is_empty(), "{:?}: {:#?}", self.labels, self.wrong);
    }
}

// ---- Keys, and what signers and readers need beside them.

#[derive(Default)]
pub struct Shared(OnceLock<Keys>);

struct Keys {
    folder: TempDir,
    registries: [Registry; 2],
}

impl Shared {
    fn get(&self, world: &World) -> &Keys {
        self.0.get_or_init(|| Keys::make(world))
    }
}

impl Keys {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of each type a key and a stranger's, by openssl; the first is imported by this program
    /// (`TYPE.ours.key`) and by cosign 3 (`TYPE.cosign3.key`).
    fn make(world: &World) -> Self {
        let registries = [Registry::docker(), Registry::olareg(&[])];
        let keys = Self { folder: scratch::folder(), registries };
        let machine = Machine::new(world.plugin());
        let write = |name: &str, bytes: &[u8]| fs::write(keys.path(name), bytes).expect("a file");
        for of in TYPES {
            let name = slug(of);
            for (name, imported) in [(name.clone(), true), (format!("{name}.stranger"), false)] {
                let pem = format!("{name}.pem");
                write(&pem, &generate(&machine, of));
                let pem = keys.path(&pem);
                let public = openssl(&machine, &["pkey", "-pubout", "-in", text(&pem)], b"");
                write(&format!("{name}.pub"), &public);
                write(&format!("{name}.pub.json"), &policy(&keys.path(&format!("{name}.pub"))));
                for (by, suffix) in
                    [(machine.plugin(), "ours"), (&*tools::program("cosign3"), "cosign3")]
                {
                    if imported {
                        let prefix = keys.path(&format!("{name}.{suffix}"));
                        let mut command = machine.command(by);
                        command.args(["import-key-pair", "--key"]).arg(&pem);
                        succeed(command.arg("--output-key-prefix").arg(prefix));
                    }
                }
            }
        }
        let cosign3 =
            |words: &[&str]| succeed(machine.command(tools::program("cosign3")).args(words));
        let stranger = keys.path("stranger.ours");
        cosign3(&["generate-key-pair", "--output-key-prefix", text(&stranger)]);
        // Without a log, a timestamp, or a root from the network.
        write("signing.json", &cosign3(&["signing-config", "create"]));
        write("root.json", &cosign3(&["trusted-root", "create"]));
        write("predicate.json", br#"{"x": 1}"#);
        write("passphrase", e2e::machine::PASSWORD.as_bytes());
        write("anything.json", br#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
        fs::create_dir(keys.path("registries.d")).expect("a directory");
        let attachments = b"default-docker:\n  use-sigstore-attachments: true\n";
        write("registries.d/default.yaml", attachments);
        keys
    }

    /// A new image, by digest.
    fn image(&self, registry: usize, name: &str) -> Image {
        let image = Image::new(&format!("{}/{name}:1", self.registries[registry].address()));
        image.push(&[layers::of_file("file", b"content\n")]);
        Image { reference: image.digest(), ..image }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn openssl(machine: &Machine, words: &[&str], input: &[u8]) -> Vec<u8> {
    let file = machine.path("input");
    fs::write(&file, input).expect("a file");
    let mut command = machine.command(tools::program("openssl"));
    command.args(words).stdin(fs::File::open(file).expect("a file"));
    succeed(&mut command)
}

pub fn generate(machine: &Machine, of: &str) -> Vec<u8> {
    let bits = format!("rsa_keygen_bits:{}", of.trim_start_matches("RSA "));
    let curve = format!("ec_paramgen_curve:{of}");
    let words = match of {
        "Ed25519" => vec!["genpkey", "-algorithm", "ED25519"],
        of if is_rsa(of) => vec!["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", &bits],
        _ => vec!["genpkey", "-algorithm", "EC", "-pkeyopt", &curve],
    };
    openssl(machine, &words, b"")
}

/// A policy of skopeo that trusts one key.
fn policy(public: &Path) -> Vec<u8> {
    let signed = serde_json::json!([{
        "type": "sigstoreSigned", "keyPath": public, "signedIdentity": {"type": "matchRepository"},
    }]);
    let policy = serde_json::json!({
        "default": [{"type": "reject"}], "transports": {"docker": {"": signed}},
    });
    policy.to_string().into_bytes()
}

// ---- Files.

/// The PKCS#8 of a type, in another form.
fn written(machine: &Machine, form: &str, of: &str, pem: &Path) -> Vec<u8> {
    let pem = text(pem);
    let run = |words: &[&str]| openssl(machine, words, b"");
    let encrypted = |words: &[&str]| {
        run(&[&["pkcs8", "-in", pem, "-topk8", "-passout", "pass:pw"], words].concat())
    };
    match form {
        form if form.contains("PKCS#8") => fs::read(pem).expect("a key"),
        form if form.contains("4,ENCRYPTED") && is_ec(of) => {
            run(&["ec", "-in", pem, "-aes256", "-passout", "pass:pw"])
        }
        form if form.contains("4,ENCRYPTED") => {
            run(&["rsa", "-in", pem, "-traditional", "-aes256", "-passout", "pass:pw"])
        }
        form if form.contains("PARAMETERS") => {
            [run(&["ecparam", "-name", of]), run(&["ec", "-in", pem])].concat()
        }
        form if form.contains("SEC1") => run(&["ec", "-in", pem]),
        form if form.contains("PKCS#1") => run(&["rsa", "-in", pem, "-traditional"]),
        form if form.contains("PBKDF2") => {
            encrypted(&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"])
        }
        form if form.contains("scrypt") => encrypted(&["-scrypt"]),
        _ => encrypted(&["-v1", "PBE-SHA1-3DES"]),
    }
}

/// Who imports a file. That the right key came out shows in its public half.
fn import(shared: &crate::Shared, form: &str, of: &str) {
    let keys = shared.keys.get(&shared.world);
    let machine = Machine::new(shared.world.plugin());
    let pem = machine.path("in.pem");
    let name = slug(of);
    fs::write(&pem, written(&machine, form, of, &keys.path(&format!("{name}.pem"))))
        .expect("a file");
    let mut row = Row::of("files", &[form, of]);
    for (title, program) in [
        ("luet-cosign", machine.plugin().to_owned()),
        ("cosign 2", tools::program("cosign2")),
        ("cosign 3", tools::program("cosign3")),
    ] {
        let out = machine.path(&title.replace(' ', ""));
        let mut command = machine.command(program);
        command.args(["import-key-pair", "--key"]).arg(&pem).arg("--output-key-prefix").arg(&out);
        let verdict = match accepts(&mut command) {
            Ok(()) => {
                let same = fs::read(out.with_extension("pub")).ok()
                    == fs::read(keys.path(&format!("{name}.pub"))).ok();
                if same { "+".to_owned() } else { "another key".to_owned() }
            }
            Err(_) if out.with_extension("key").exists() => "refused, but written".to_owned(),
            Err(said) => reason(&said),
        };
        row.saw(title, &verdict);
    }
    row.end();
}

// ---- Who signs.

/// Signs an image with a key of the fixture. cosign and skopeo sign with the key file that this
/// program wrote, and it signs with the one of cosign 3.
fn sign(
    keys: &Keys,
    machine: &Machine,
    signer: Signer,
    key: &str,
    image: &Image,
) -> Result<(), String> {
    let name = image.to_string();
    let ours = keys.path(&format!("{key}.ours.key")).display().to_string();
    let theirs = keys.path(&format!("{key}.cosign3.key")).display().to_string();
    let path = |name: &str| keys.path(name).display().to_string();
    let without_log = ["--tlog-upload=false", "--allow-http-registry", "-y"];
    let (signing, root) = (path("signing.json"), path("root.json"));
    let by_root =
        ["--signing-config", &signing, "--trusted-root", &root, "--allow-http-registry", "-y"];
    let mut command = machine.command(match signer {
        Signer::Ours(_) => machine.plugin().to_owned(),
        Signer::Cosign2 | Signer::Cosign2Referrer => tools::program("cosign2"),
        Signer::Skopeo => tools::program("skopeo"),
        Signer::Service => return sign_as_a_service(keys, machine, key, image),
        _ => tools::program("cosign3"),
    });
    match signer {
        Signer::Ours(format) => command.args(["sign", "--key", &theirs, &name, "--format", format]),
        Signer::Cosign2 => command.args(["sign", "--key", &ours]).args(without_log).arg(&name),
        Signer::Cosign2Referrer => command
            .env("COSIGN_EXPERIMENTAL", "1")
            .args(["sign", "--key", &ours])
            .args(without_log)
            .args(["--registry-referrers-mode=oci-1-1", &name]),
        Signer::Cosign3 => command
            .args(["sign", "--key", &ours])
            .args(["--use-signing-config=false", "--new-bundle-format=false"])
            .args(without_log)
            .arg(&name),
        Signer::Cosign3Bundle => command.args(["sign", "--key", &ours]).args(by_root).arg(&name),
        Signer::Cosign3Attestation => command
            .args(["attest", "--key", &ours, "--predicate", &path("predicate.json")])
            .args(by_root)
            .arg(&name),
        Signer::Skopeo => {
            let repository = format!("{}/{}", image.address, image.path);
            skopeo(&mut command, keys, machine, &path("anything.json"))
                .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
                .args(["--sign-by-sigstore-private-key", &ours])
                .args(["--sign-passphrase-file", &path("passphrase")])
                .arg(format!("docker://{repository}:1"))
                .arg(format!("docker://{repository}:signed"))
        }
        Signer::Service => &mut command,
    };
    accepts(&mut command)
}

/// The beginning of a copy by skopeo.
fn skopeo<'c>(
    command: &'c mut Command,
    keys: &Keys,
    machine: &Machine,
    policy: &str,
) -> &'c mut Command {
    let registries = keys.path("registries.d");
    command.arg("--registries.d").arg(registries).args(["--policy", policy]);
    command.arg("--tmpdir").arg(machine.path("tmp")).args(["copy", "-q"])
}

fn sign_as_a_service(
    keys: &Keys,
    machine: &Machine,
    key: &str,
    image: &Image,
) -> Result<(), String> {
    use base64::Engine as _;
    let name = image.to_string();
    let cosign2 = || machine.command(tools::program("cosign2"));
    let bytes = succeed(cosign2().args(["generate", "--allow-http-registry", &name]));
    let (payload, file) = (machine.path("payload"), machine.path("signature"));
    fs::write(&payload, &bytes).expect("a file");
    let pem = keys.path(&format!("{key}.pem"));
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    let words = [&["dgst", "-sha256"], &pss[..], &["-sign", text(&pem), text(&payload)]].concat();
    let signature = openssl(machine, &words, b"");
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    fs::write(&file, signature).expect("a file");
    let mut command = cosign2();
    command.args(["attach", "signature", "--payload", text(&payload), "--signature", text(&file)]);
    accepts(command.args(["--allow-http-registry", &name]))
}

// ---- Who reads.

/// Runs a command; what it said, where it refused.
fn accepts(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn read(
    keys: &Keys,
    machine: &Machine,
    reader: Reader,
    public: &str,
    image: &Image,
    more: &[&str],
) -> Result<(), String> {
    let (name, key) = (image.to_string(), keys.path(public).display().to_string());
    let root = keys.path("root.json").display().to_string();
    let plain = ["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key", &key, &name];
    let mut command = match reader {
        Reader::Ours => {
            let mut command = machine.command(machine.plugin());
            command.args(["verify", "--key", &key, &name]);
            command
        }
        Reader::Cosign2 | Reader::Cosign2Root => {
            let mut command = machine.command(tools::program("cosign2"));
            command.args(plain);
            command
        }
        Reader::Cosign3 => {
            let mut command = machine.command(tools::program("cosign3"));
            command.args(plain);
            command
        }
        Reader::Skopeo => {
            let copied = machine.path("copied");
            let _ = fs::remove_dir_all(&copied);
            let mut command = machine.command(tools::program("skopeo"));
            skopeo(&mut command, keys, machine, &format!("{key}.json"))
                .args(["--src-tls-verify=false", &format!("docker://{name}")])
                .arg(format!("dir:{}", copied.display()));
            command
        }
    };
    if reader == Reader::Cosign2Root {
        command.args(["--trusted-root", &root]);
    }
    accepts(command.args(more))
}

/// Why a program refused, in the words of the tables; its own words where they are not known.
fn reason(said: &str) -> String {
    let known: [(&[&str], &str); 5] = [
        (&["trusted root is required when using new bundle format"], "no root"),
        (
            &["no signatures found", "A signature was required, but no signature exists"],
            "not found",
        ),
        (
            &[
                "invalid signature when validating ASN.1",
                "failed to verify signature",
                "crypto/rsa: verification error",
                "error: identity: ",
            ],
            "invalid",
        ),
        (&["error: unsigned: "], "unsigned"),
        (&["error: unsupported: ", "unsupported private key"], "-"),
    ];
    let found = known.iter().find(|(words, _)| words.iter().any(|word| said.contains(word)));
    if let Some((_, verdict)) = found {
        return (*verdict).to_owned();
    }
    // cosign 2 and 3: `error parsing EC private key`.
    match said.split_once("error parsing ") {
        Some((_, rest)) if rest.contains(" private key") => "-".to_owned(),
        _ => format!("for no known reason: {said}"),
    }
}

/// Asks plainly, then with the options that could help. A stranger's key must not pass in the same
/// way.
fn ask(
    keys: &Keys,
    machine: &Machine,
    (title, reader): (&str, Reader),
    of: &str,
    image: &Image,
    row: &mut Row,
) {
    let name = slug(of);
    let hash = match of {
        "P-384" => Some("--signature-digest-algorithm=sha384"),
        "P-521" => Some("--signature-digest-algorithm=sha512"),
        _ => None,
    };
    let cosign = matches!(reader, Reader::Cosign2 | Reader::Cosign2Root | Reader::Cosign3);
    let hash = hash.filter(|_| cosign);
    let referrers = (reader == Reader::Cosign2).then_some("--experimental-oci11");
    let mut tries: Vec<(&str, Vec<&str>)> = vec![("+", Vec::new())];
    tries.extend(hash.map(|flag| ("H", vec![flag])));
    tries.extend(referrers.map(|flag| ("O", vec![flag])));
    tries.extend(hash.zip(referrers).map(|(hash, referrers)| ("O and H", vec![hash, referrers])));
    let mut first = None;
    for (word, flags) in tries {
        match read(keys, machine, reader, &format!("{name}.pub"), image, &flags) {
            Err(said) => {
                first.get_or_insert(said);
            }
            Ok(()) => {
                row.saw(title, word);
                let stranger = format!("{name}.stranger.pub");
                let verdict = match read(keys, machine, reader, &stranger, image, &flags) {
                    Ok(()) => "accepts it".to_owned(),
                    Err(said) => reason(&said),
                };
                if !REFUSALS.contains(&verdict.as_str()) {
                    row.wrong.push(format!("{title}: a stranger's key: {verdict}"));
                }
                return;
            }
        }
    }
    row.saw(title, &reason(&first.expect("one try")));
}

fn signed(shared: &crate::Shared, registry: usize, table: &str, of: &str, signer: Signer) {
    let keys = shared.keys.get(&shared.world);
    let machine = Machine::new(shared.world.plugin());
    let image = keys.image(registry, &format!("{table}/{}-{}", slug(of), signer.name()));
    let mut row = Row::of(table, &[of, signer.title()]);
    match sign(keys, &machine, signer, &slug(of), &image) {
        Ok(()) => {
            for reader in READERS {
                ask(keys, &machine, reader, of, &image, &mut row);
            }
        }
        // The signer has verified its own signature. Nobody can read what it did not push.
        Err(said) => {
            let refused = said.contains("accepted signatures do not match threshold");
            let verdict = if refused { "cannot sign".to_owned() } else { reason(&said) };
            for (title, _) in READERS {
                row.saw(title, &verdict);
            }
        }
    }
    row.end();
}

fn several(shared: &crate::Shared, registry: usize, name: &str, signers: &[(Signer, &str)]) {
    let keys = shared.keys.get(&shared.world);
    let machine = Machine::new(shared.world.plugin());
    let at = SEVERAL.iter().position(|(row, ..)| *row == name).expect("a row");
    let image = keys.image(registry, &format!("several/n{at}"));
    for (signer, key) in signers {
        sign(keys, &machine, *signer, key, &image)
            .unwrap_or_else(|said| panic!("{signer:?}: {said}"));
    }
    let mut row = Row::of("both", &[name]);
    for reader in &READERS[..4] {
        ask(keys, &machine, *reader, "P-256", &image, &mut row);
    }
    row.end();
}
