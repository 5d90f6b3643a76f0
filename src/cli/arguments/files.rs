//! What can be typed about files and logs.

use super::{IdentityArgs, KeylessArgs, NetworkArgs};
use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

pub(super) const VERIFY_BLOB: &str = "Examples:
  luet-cosign verify-blob --certificate kubectl.cert --signature kubectl.sig \\
    --certificate-identity krel-staging@k8s-releng-prod.iam.gserviceaccount.com \\
    --certificate-oidc-issuer https://accounts.google.com kubectl
  luet-cosign verify-blob --bundle FILE.sigstore.json --certificate-identity NAME --certificate-oidc-issuer URL FILE
  luet-cosign verify-blob --key cosign.pub --signature FILE.sig FILE
  luet-cosign verify-blob --key cosign.pub --bundle-suffix .sigstore.json *.iso
  luet-cosign verify-blob --key cosign.pub --signature SHA256SUMS.sig --all SHA256SUMS
  COSIGN_EXPERIMENTAL=1 luet-cosign verify-blob --cert FILE.pem --signature FILE.sig FILE   (anyone's: see docs/files.md)";

pub(super) const SIGN_BLOB: &str = "Examples:
  luet-cosign sign-blob --key cosign.key --bundle SHA256SUMS.sigstore.json SHA256SUMS
  luet-cosign sign-blob --key cosign.key --output-signature FILE.sig FILE
  luet-cosign sign-blob --identity-token token.jwt -y --bundle FILE.sigstore.json FILE
  tar c . | COSIGN_PASSWORD=... luet-cosign sign-blob --key cosign.key - > tree.sig";

/// `sign-blob`
#[derive(Debug, Args)]
pub struct SignBlobArgs {
    /// The file, or `-` for standard input. Several are allowed if no output is named
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// The private key: a path or env://VAR (default: COSIGN_KEY_LOCATION)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Write a Sigstore bundle: the signature, and everything needed to verify it
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// With `false`, write the bundle of cosign 1 and 2
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub new_bundle_format: bool,
    /// Write the signature
    #[arg(long, alias = "output", value_name = "FILE")]
    pub output_signature: Option<PathBuf>,
    /// Write the signer's certificate (keyless signatures only)
    #[arg(long, alias = "output-cert", value_name = "FILE")]
    pub output_certificate: Option<PathBuf>,
    /// Write signature and certificate in base64; with `false`, as they are
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub b64: bool,
    /// Signing by a certificate, and logs
    #[command(flatten)]
    pub keyless: KeylessArgs,
}

/// `verify-blob`
#[derive(Clone, Debug, Default, Args)]
#[command(group(ArgGroup::new("subject").required(true).args(["file", "all"])))]
pub struct VerifyBlobArgs {
    /// The file, `-` for standard input, or `ALG:HEX` of a file that is elsewhere (sha256, sha384,
    /// sha512)
    pub file: Option<String>,
    /// Further files, with --bundle-suffix
    #[arg(value_name = "FILE", requires = "bundle_suffix")]
    pub more: Vec<String>,
    /// Verify each FILE with the bundle next to it, named as the file with this suffix
    #[arg(long, value_name = "SUFFIX", conflicts_with_all = ["all", "bundle", "signature", "certificate", "certificate_chain", "rfc3161_timestamp"])]
    pub bundle_suffix: Option<String>,
    /// Verify the signature of this list of digests (SHA256SUMS, FILE.sha256), and every file in it
    #[arg(long, value_name = "LIST")]
    pub all: Option<PathBuf>,
    /// Ignore files of the list that do not exist
    #[arg(long, requires = "all")]
    pub ignore_missing: bool,
    /// The public key: a path, https://... or env://VAR
    #[arg(long, value_name = "KEY", conflicts_with_all = ["certificate", "certificate_identity", "certificate_identity_regexp"])]
    pub key: Option<String>,
    /// The signature: a path, https://..., env://VAR, or the base64 itself
    #[arg(long, value_name = "SIGNATURE")]
    pub signature: Option<String>,
    /// The signer's certificate, PEM or base64 of it: a path, https://... or env://VAR
    #[arg(long, alias = "cert", value_name = "CERTIFICATE")]
    pub certificate: Option<String>,
    /// Intermediate certificates between that one and the trusted root; naming them here does not make
    /// them trusted
    #[arg(long, alias = "cert-chain", value_name = "CERTIFICATES")]
    pub certificate_chain: Option<String>,
    /// Signature and certificate in one file: a Sigstore bundle, or the bundle of cosign 1 and 2
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<String>,
    /// A separate timestamp of the signature, as cosign writes it
    #[arg(long, value_name = "FILE")]
    pub rfc3161_timestamp: Option<String>,
    /// The log to query if nothing says when the file was signed (default: COSIGN_REKOR_URL, else the
    /// public one)
    #[arg(long, value_name = "URL")]
    pub rekor_url: Option<String>,
    /// The expected keyless signers
    #[command(flatten)]
    pub identity: IdentityArgs,
}

pub(super) const VERIFY_BLOB_ATTESTATION: &str = "Examples:
  luet-cosign verify-blob-attestation --type slsaprovenance1 --bundle FILE.sigstore.json \\
    --certificate-identity NAME --certificate-oidc-issuer URL FILE
  luet-cosign verify-blob-attestation --type https://docs.pypi.org/attestations/publish/v1 \\
    --bundle https://pypi.org/integrity/PROJECT/VERSION/FILE/provenance \\
    --certificate-identity NAME --certificate-oidc-issuer https://token.actions.githubusercontent.com FILE
  luet-cosign verify-blob-attestation --type any --bundle attestations.jsonl --key cosign.pub sha512:HEX";

/// `verify-blob-attestation`
#[derive(Clone, Debug, Default, Args)]
#[command(group(ArgGroup::new("about").required(true).args(["file", "digest"])))]
pub struct VerifyBlobAttestationArgs {
    /// The file, `-` for standard input, or `ALG:HEX` of a file that is elsewhere (sha256, sha384,
    /// sha512)
    pub file: Option<String>,
    /// The digest of a file that is elsewhere (cosign's flag; as FILE, `ALG:HEX` says the same)
    #[arg(long, value_name = "HEX")]
    pub digest: Option<String>,
    /// The algorithm of --digest
    #[arg(
        long,
        alias = "digestAlg",
        value_name = "ALG",
        default_value = "sha256",
        requires = "digest"
    )]
    pub digest_alg: String,
    /// The attestation: a Sigstore bundle, cosign 2's bundle, a PyPI attestation, or several, one per
    /// line; a path, https://... or env://VAR
    #[arg(long, alias = "signature", value_name = "BUNDLE")]
    pub bundle: String,
    /// Its required type: slsaprovenance, slsaprovenance02, slsaprovenance1, link, spdx, spdxjson,
    /// cyclonedx, vuln, openvex, custom, or a URI; `any` accepts and prints every type
    #[arg(long = "type", value_name = "TYPE")]
    pub predicate_type: Option<String>,
    /// The public key: a path, https://... or env://VAR
    #[arg(long, value_name = "KEY", conflicts_with_all = ["certificate_identity", "certificate_identity_regexp"])]
    pub key: Option<String>,
    /// The expected keyless signers of attestations
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Whether the attestation must be about the file (cosign's flag; it must)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = true, action = clap::ArgAction::Set, hide = true)]
    pub check_claims: bool,
}

/// `verify-bundle`: the protocol of sigstore-conformance (`docs/cli_protocol.md` there).
#[derive(Clone, Debug, Args)]
pub struct VerifyBundleArgs {
    /// The file, or `ALG:HEX`
    pub file: String,
    /// The bundle
    #[arg(long)]
    pub bundle: String,
    /// The public key
    #[arg(long)]
    pub key: Option<String>,
    /// The expected signer
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// The staging instance, which is not known here: give its --trusted-root
    #[arg(long)]
    pub staging: bool,
}

/// `tlog ...`
#[derive(Clone, Debug, Subcommand)]
pub enum TlogCommand {
    /// Verify an entry, and print it as `rekor-cli get` does
    #[command(
        after_help = "Example:\n  luet-cosign tlog get --log-index 8173886",
        group(ArgGroup::new("entry").required(true).args(["uuid", "log_index"]))
    )]
    Get {
        /// The entry's UUID, with or without the tree ID in front
        #[arg(long, value_name = "HEX")]
        uuid: Option<String>,
        /// The entry's index
        #[arg(long, value_name = "NUMBER")]
        log_index: Option<u64>,
        /// The log (default: COSIGN_REKOR_URL, else the public one)
        #[arg(long, alias = "rekor_server", value_name = "URL")]
        rekor_url: Option<String>,
        /// Use this trusted root (trusted_root.json)
        #[arg(long, value_name = "FILE")]
        trusted_root: Option<PathBuf>,
    },
}

/// `upload ...`
#[derive(Clone, Debug, Subcommand)]
pub enum UploadCommand {
    /// Upload a file as an image of one layer, which is signed and verified like any image
    ///
    /// Prints the name of the image by digest. It is the image that cosign makes of the same file.
    #[command(
        after_help = "Examples:\n  luet-cosign upload blob -f tool quay.io/acme/tool:1.0\n  luet-cosign sign --key cosign.key quay.io/acme/tool:1.0\n  luet-cosign upload blob -f tool-amd64:linux/amd64 -f tool-arm64:linux/arm64 quay.io/acme/tool:1.0"
    )]
    Blob {
        /// The image to create
        image: String,
        /// The file, with its platform if there are several: PATH:OS/ARCH; repeatable
        #[arg(
            short,
            long = "files",
            alias = "file",
            required = true,
            value_name = "PATH[:OS/ARCH]"
        )]
        files: Vec<String>,
        /// Add an annotation to the image; repeatable
        #[arg(short, long, value_name = "KEY=VALUE")]
        annotation: Vec<String>,
        /// The media type of the file (default: what its first bytes look like)
        #[arg(long, value_name = "TYPE")]
        ct: Option<String>,
        /// How registries are reached
        #[command(flatten)]
        network: NetworkArgs,
    },
}

/// `download ...`
#[derive(Clone, Debug, Subcommand)]
pub enum DownloadCommand {
    /// Print the signatures of an image, unverified: one JSON document per line, as cosign prints them
    ///
    /// A Sigstore bundle is printed as it is; a legacy signature as an object with Base64Signature,
    /// Payload, Cert, Chain, Bundle and RFC3161Timestamp. Of certificates there is `Raw` alone.
    #[command(
        after_help = "Example:\n  luet-cosign download signature quay.io/acme/tool:1.0 | jq -r .Payload | base64 -d"
    )]
    Signature {
        /// The image
        image: String,
        /// How registries are reached
        #[command(flatten)]
        network: NetworkArgs,
    },
}
