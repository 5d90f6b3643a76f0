//! The keys and certificates of the services, made by openssl.

use crate::machine::succeed;
use crate::tools;
use std::path::Path;

/// Of the keys that must have one: Fulcio and the CT log take no others.
pub const PASSWORD: &str = "pw";

/// Makes all of them: what is secret in `keys`, what others may know in `trust`.
#[track_caller]
pub fn make(keys: &Path, trust: &Path) {
    for folder in [keys, trust] {
        std::fs::create_dir_all(folder).expect("a directory");
    }
    for_fulcio(keys, trust);
    for_logs(keys, trust);
    for_timestamps(keys, trust);
    openssl(keys, &["genrsa", "-out", "oidc.key", "2048"]);
}

#[track_caller]
fn for_fulcio(keys: &Path, trust: &Path) {
    authority(keys, "root", "local-fulcio-root", 1);
    certificate(
        keys,
        ["plain", "local-fulcio-intermediate", "P-384", "root"],
        &[
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            "keyUsage=critical,keyCertSign,cRLSign",
            "extendedKeyUsage=codeSigning",
        ],
    );
    chain(keys, ["plain.pem", "root.pem"], &trust.join("fulcio.pem"));
    let password = format!("pass:{PASSWORD}");
    let encrypted = ["-topk8", "-v2", "aes-256-cbc", "-passout", &password];
    openssl(keys, &[&["pkcs8"], &encrypted[..], &["-in", "plain.key", "-out", "int.key"]].concat());
}

#[track_caller]
fn for_logs(keys: &Path, trust: &Path) {
    let public = |log: &str| {
        let out = trust.join(format!("{log}.pub"));
        let key = format!("{log}.key");
        openssl(keys, &["pkey", "-in", &key, "-pubout", "-out", out.to_str().expect("UTF-8")]);
    };
    for log in ["ctlog", "rekor1"] {
        let (sec1, key) = (format!("{log}.sec1"), format!("{log}.key"));
        openssl(keys, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &sec1]);
        openssl(keys, &["pkcs8", "-topk8", "-nocrypt", "-in", &sec1, "-out", &key]);
        public(log);
    }
    // ct_server refuses a PEM that is not encrypted, and PKCS #8.
    let password = format!("pass:{PASSWORD}");
    let encrypted = ["-aes256", "-passout", &password, "-out", "ctlog.enc.key"];
    openssl(keys, &[&["ec", "-in", "ctlog.sec1"], &encrypted[..]].concat());
    openssl(keys, &["genpkey", "-algorithm", "ed25519", "-out", "rekor2.key"]);
    public("rekor2");
}

#[track_caller]
fn for_timestamps(keys: &Path, trust: &Path) {
    authority(keys, "tsaroot", "local-tsa-root", 0);
    certificate(
        keys,
        ["tsa", "local-tsa", "P-256", "tsaroot"],
        &[
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=critical,timeStamping",
        ],
    );
    chain(keys, ["tsa.pem", "tsaroot.pem"], &trust.join("tsa.pem"));
}

/// A self-signed authority.
#[track_caller]
fn authority(keys: &Path, name: &str, common_name: &str, depth: u8) {
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    let subject = format!("/O=local.sigstore/CN={common_name}");
    let constraints = format!("basicConstraints=critical,CA:TRUE,pathlen:{depth}");
    #[rustfmt::skip]
    let words = [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes",
        "-keyout", &key, "-out", &pem, "-days", "3650", "-sha384", "-subj", &subject,
        "-addext", &constraints, "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    ];
    openssl(keys, &words);
}

/// A certificate of an authority, with these extensions.
#[track_caller]
fn certificate(keys: &Path, [name, common_name, curve, issuer]: [&str; 4], extensions: &[&str]) {
    let file = |kind: &str| format!("{name}.{kind}");
    let (key, request, pem) = (file("key"), file("csr"), file("pem"));
    let (curve, subject) =
        (format!("ec_paramgen_curve:{curve}"), format!("/O=local.sigstore/CN={common_name}"));
    #[rustfmt::skip]
    let words = [
        "req", "-new", "-newkey", "ec", "-pkeyopt", &curve, "-nodes", "-keyout", &key,
        "-out", &request, "-subj", &subject,
    ];
    openssl(keys, &words);
    let own = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"];
    let lines: String =
        extensions.iter().chain(&own).map(|extension| format!("{extension}\n")).collect();
    std::fs::write(keys.join(file("ext")), lines).expect("a file");
    #[rustfmt::skip]
    let words = [
        "x509", "-req", "-in", &request, "-CA", &format!("{issuer}.pem"),
        "-CAkey", &format!("{issuer}.key"), "-CAcreateserial", "-days", "3000", "-sha384",
        "-extfile", &file("ext"), "-out", &pem,
    ];
    openssl(keys, &words);
}

fn chain(keys: &Path, certificates: [&str; 2], to: &Path) {
    let read = |name: &str| std::fs::read_to_string(keys.join(name)).expect("a certificate");
    std::fs::write(to, certificates.map(read).concat()).expect("a file");
}

#[track_caller]
fn openssl(folder: &Path, words: &[&str]) {
    succeed(tools::command("openssl").args(words).current_dir(folder));
}
