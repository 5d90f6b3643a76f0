//! What can be typed. Help texts are part of the interface: imperative first line, an example for
//! each command.

mod files;
mod hosts;
mod repository;

pub(super) use files::{
    DownloadCommand, SignBlobArgs, TlogCommand, UploadCommand, VerifyBlobArgs,
    VerifyBlobAttestationArgs, VerifyBundleArgs,
};
pub(super) use hosts::{InstallShimArgs, PullArgs};
pub(super) use repository::{SignRepoArgs, VerifyRepoArgs, WalkArgs};

use crate::archive::ArchivePlace;
use crate::class::{Class, Failure};
use crate::name::{Reference, Registry};
use crate::policy::ExpectedText;
use crate::registry::Credential;
use crate::session::{SessionOptions, WantedIdentity};
use crate::trust::{self, Allowance, CertificateLog, RunClaims};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

const EXAMPLES: &str = "Examples:
  luet install --plugin luet-cosign -y toolchain/yip
  luet-cosign run -- luet install -y toolchain/yip
  luet-cosign verify --key cosign.pub quay.io/acme/packages:repository.yaml
  luet-cosign check quay.io/acme/packages:repository.yaml
  luet-cosign verify-blob --bundle FILE.sigstore.json --certificate-identity NAME --certificate-oidc-issuer URL FILE

Exit codes: 0 verified or allowed, 1 this machine's files, 2 usage, 3 policy or key, 10 unsigned,
11 no such image, 12 no signature by a trusted signer, 14 broken or for something else,
15 unsupported format, 16 rollback, 20 could not find out, 70 a bug.
`luet-cosign metadata` prints them all.";

/// Sign images when a package manager pushes them, verify them when it unpacks them
///
/// As a plugin, the host runs it once per event: `luet install --plugin luet-cosign ...`.
/// As a command, it does the same by hand.
#[derive(Debug, Parser)]
#[command(name = "luet-cosign", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Print one JSON document, with a version field
    #[arg(long, global = true)]
    pub json: bool,
    /// Give up after this time: `90s`, `2m` (default: LUET_COSIGN_TIMEOUT, else 60s)
    #[arg(long, short, global = true, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Write the answer to this file instead of standard output
    #[arg(long, global = true, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Print each request and each decision on standard error, without secrets
    #[arg(long, global = true)]
    pub trace: bool,
    /// Say more (cosign's flag; what there is to say is said by `check`)
    #[arg(long, short = 'd', global = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, hide = true, value_name = "BOOL")]
    pub verbose: bool,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// Reads a time as Go does, which cosign's scripts write: `90s`, `1m30s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let refused =
        || format!("`{text}` is not a valid time: expected 1s to 1h, such as `90s` or `2m`");
    let (mut rest, mut all) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: u32 = number.parse().map_err(|_| refused())?;
        let unit = match unit {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return Err(refused()),
        };
        let part = unit.checked_mul(number).ok_or_else(refused)?;
        (rest, all) = (behind, all.checked_add(part).ok_or_else(refused)?);
    }
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    if range.contains(&all) { Ok(all) } else { Err(refused()) }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the plugin would do with images, and why
    #[command(after_help = "Example:\n  luet-cosign check quay.io/acme/packages:repository.yaml")]
    Check(CheckArgs),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  luet-cosign completions bash > /etc/bash_completion.d/luet-cosign"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// List what prevents verification on this machine, and how to fix each item
    #[command(
        after_help = "Examples:\n  luet cosign doctor        (luet runs any luet-X on PATH)\n  luet-cosign doctor --sign registry.example/acme/packages"
    )]
    Doctor(DoctorArgs),
    /// Download what is attached to an image, unverified
    Download {
        /// What to fetch
        #[command(subcommand)]
        command: DownloadCommand,
    },
    /// Generate a key pair: cosign.key, encrypted, and cosign.pub
    #[command(
        after_help = "Example:\n  COSIGN_PASSWORD=... luet-cosign generate-key-pair --output-key-prefix acme"
    )]
    GenerateKeyPair(GenerateKeyPairArgs),
    /// Convert another program's private key into a cosign key pair: import-cosign.key, encrypted,
    /// and import-cosign.pub
    ///
    /// Reads PEM: PKCS#8, including openssl's encrypted form, PKCS#1 (RSA) and SEC1 (EC); ECDSA
    /// P-256, P-384, P-521, Ed25519, and RSA of 2,048 to 4,096 bits. COSIGN_PASSWORD decrypts the
    /// file, if it is encrypted, and encrypts the new key.
    #[command(
        after_help = "Example:\n  COSIGN_PASSWORD=... luet-cosign import-key-pair --key openssl.pem --output-key-prefix acme"
    )]
    ImportKeyPair(ImportKeyPairArgs),
    /// Create a link named `cosign` to this program, for kairos-agent and elemental
    ///
    /// They call `cosign [-key KEY] IMAGE` before they pull. That does not check what they then
    /// unpack; `pull` does.
    #[command(after_help = "Example:\n  luet-cosign install-shim /usr/local/bin")]
    InstallShim(InstallShimArgs),
    /// Print the manual page of the program or of a command
    #[command(
        after_help = "Examples:\n  luet-cosign man verify | man -l -\n  luet-cosign man --dir /usr/share/man/man1"
    )]
    Man {
        /// The command: `verify`, `policy lint`
        command: Vec<String>,
        /// Write the pages of all commands into this directory
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
    /// Describe the program for other programs: events, variables, classes, commands
    Metadata,
    /// Check, explain, create or export a policy
    Policy {
        /// What to do with it
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Print the public half of a key
    #[command(after_help = "Example:\n  luet-cosign public-key --key cosign.key > cosign.pub")]
    PublicKey(PublicKeyArgs),
    /// Verify an image, and write it to an archive for docker, containerd, skopeo, kairos or luet
    ///
    /// Every blob is checked to its last byte. The archive is written completely or not at all; an
    /// interrupted download is resumed.
    #[command(after_help = hosts::PULL)]
    Pull(PullArgs),
    /// Run luet with this program as its plugin, and report what was verified
    ///
    /// It starts luet itself, not a script or another program in front of it:
    /// `sudo luet-cosign run -- luet ...`, not `luet-cosign run -- sudo luet ...`.
    #[command(after_help = "Example:\n  luet-cosign run -- luet install -y toolchain/yip")]
    Run(RunArgs),
    /// List what was verified on this machine before, or forget it
    Seen {
        /// What to do
        #[command(subcommand)]
        command: SeenCommand,
    },
    /// Sign images
    #[command(
        after_help = "Example:\n  COSIGN_PASSWORD=... luet-cosign sign --key cosign.key quay.io/acme/packages:repository.yaml\n  luet-cosign sign -y --identity-token \"$SIGSTORE_ID_TOKEN\" quay.io/acme/packages:repository.yaml"
    )]
    Sign(SignArgs),
    /// Sign a file
    ///
    /// Writes the files that --bundle and --output-signature name, each completely or not at all; with
    /// neither, prints the signature in base64. Every signature is verified before it is written.
    #[command(after_help = files::SIGN_BLOB)]
    SignBlob(SignBlobArgs),
    /// Sign everything in a luet repository that this signer has not signed yet
    ///
    /// Signs only what something vouches for: images that this user pushed from this machine within a
    /// day, packages with the content of --from, or with --trust-registry everything that the
    /// registry serves. Existing signatures are left alone, so it can be run again at any time.
    #[command(
        after_help = "Example:\n  COSIGN_PASSWORD=... luet-cosign sign-repo --key cosign.key --from build quay.io/acme/packages"
    )]
    SignRepo(SignRepoArgs),
    /// Print where the signatures of an image are
    #[command(
        after_help = "Example:\n  luet-cosign triangulate quay.io/acme/packages:repository.yaml"
    )]
    Triangulate(TriangulateArgs),
    /// Read a transparency log
    Tlog {
        /// What to do
        #[command(subcommand)]
        command: TlogCommand,
    },
    /// Upload a file to a registry
    Upload {
        /// What to upload
        #[command(subcommand)]
        command: UploadCommand,
    },
    /// Verify images with a key, an identity or the policy
    #[command(
        after_help = "Example:\n  luet-cosign verify --key cosign.pub quay.io/acme/packages:repository.yaml | jq"
    )]
    Verify(VerifyArgs),
    /// Verify a file with its signature
    ///
    /// The signature, certificate or bundle may be a path, an https URL or env://VAR. If none of them
    /// says when the file was signed, the log is queried, once.
    #[command(after_help = files::VERIFY_BLOB)]
    VerifyBlob(VerifyBlobArgs),
    /// Verify an attestation about a file: how it was built, or what is in it
    ///
    /// An attestation is not a signature: it makes a statement about the file, and --type says which
    /// kind is required. The identity options are those of verify-blob.
    #[command(after_help = files::VERIFY_BLOB_ATTESTATION)]
    VerifyBlobAttestation(VerifyBlobAttestationArgs),
    /// Verify a file by a Sigstore bundle, as the conformance suite of Sigstore asks
    #[command(hide = true)]
    VerifyBundle(VerifyBundleArgs),
    /// Verify everything in a luet repository
    ///
    /// Verifies repository.yaml, the files that it names, the snapshot of the same state, and every
    /// package with its metadata, each as `verify` does, including tags. Prints one line per image;
    /// the exit code is that of the worst.
    #[command(
        after_help = "Example:\n  luet-cosign verify-repo --key cosign.pub quay.io/acme/packages"
    )]
    VerifyRepo(VerifyRepoArgs),
    /// Print the version
    Version,
}

/// How registries are reached, for every command that reaches one.
#[derive(Clone, Debug, Default, Args)]
pub struct NetworkArgs {
    /// Use plain http for the registry of the image (not needed for loopback)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL")]
    pub allow_http_registry: bool,
    /// Take a registry whose certificate cannot be verified (cosign's flag; taken on loopback, and
    /// beside --allow-http-registry)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, hide = true, value_name = "BOOL")]
    pub allow_insecure_registry: bool,
    /// Log in to the registry of the image as this user
    #[arg(long, value_name = "USER", requires = "registry_password")]
    pub registry_username: Option<String>,
    /// The password; every user of this machine can read a command line, so prefer
    /// `docker login`
    #[arg(long, value_name = "PASSWORD", requires = "registry_username")]
    pub registry_password: Option<String>,
    /// A token for the registry, instead of a password
    #[arg(long, value_name = "TOKEN", conflicts_with = "registry_username")]
    pub registry_token: Option<String>,
    /// PEM file with CA certificates that the registry may use, besides the system's
    #[arg(long, value_name = "FILE")]
    pub registry_cacert: Option<PathBuf>,
}

impl NetworkArgs {
    /// Returns what the options say of the registries of these images.
    ///
    /// # Errors
    /// `usage`: a registry is to be taken whatever certificate it has. `reference`: no image.
    pub(super) fn options(&self, images: &[String]) -> Result<SessionOptions, Failure> {
        let registries = images
            .iter()
            .filter(|image| ArchivePlace::to_read(image).is_none())
            .map(|image| Ok(image.parse::<Reference>()?.repository().registry().clone()));
        let registries = registries.collect::<Result<Vec<Registry>, Failure>>()?;
        if self.allow_insecure_registry
            && !self.allow_http_registry
            && !registries.iter().all(Registry::is_loopback)
        {
            return Err(Failure::new(
                Class::Usage,
                "--allow-insecure-registry: anyone on the network path could answer instead of the registry",
            )
            .hint("name its certificate authority with --registry-cacert FILE; for a registry without TLS, --allow-http-registry"));
        }
        let secret = |text: &String| Zeroizing::new(text.clone());
        let password = self.registry_password.as_ref().zip(self.registry_username.as_ref());
        let credential = match (&self.registry_token, password) {
            (Some(token), _) => Some(Credential::RegistryToken(secret(token))),
            (None, Some((password, username))) => Some(Credential::Password {
                username: username.clone(),
                password: secret(password),
            }),
            (None, None) => None,
        };
        let named = |registry: &Registry| Some((registry.clone(), credential.clone()?));
        let ca = |registry: &Registry| Some((registry.clone(), self.registry_cacert.clone()?));
        Ok(SessionOptions {
            credentials: registries.iter().filter_map(named).collect(),
            ca: registries.iter().filter_map(ca).collect(),
            http: if self.allow_http_registry { registries } else { Vec::new() },
            ..SessionOptions::default()
        })
    }
}

/// What narrows an identity.
const WORKFLOW: &str = "GitHub workflow options";

/// Which keyless signers are expected, and what they are judged by. The names are cosign's.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// The exact identity expected in the signer's certificate
    #[arg(
        long,
        aliases = ["cert-identity", "certificate-email", "cert-email"],
        value_name = "NAME",
        conflicts_with = "certificate_identity_regexp"
    )]
    pub certificate_identity: Option<String>,
    /// A regular expression for the identity; it must match at the boundaries of the name's parts
    #[arg(long, value_name = "REGEXP")]
    pub certificate_identity_regexp: Option<String>,
    /// The exact URL of the OpenID Connect issuer that vouched for the identity
    #[arg(
        long,
        alias = "cert-oidc-issuer",
        value_name = "URL",
        conflicts_with = "certificate_oidc_issuer_regexp"
    )]
    pub certificate_oidc_issuer: Option<String>,
    /// A regular expression for the issuer's URL; it must match at the boundaries of its parts
    #[arg(long, value_name = "REGEXP")]
    pub certificate_oidc_issuer_regexp: Option<String>,
    /// The repository that the GitHub workflow must have run for: `owner/name`
    #[arg(long, value_name = "REPOSITORY", help_heading = WORKFLOW)]
    pub certificate_github_workflow_repository: Option<String>,
    /// The branch or tag that it must have run on: `refs/tags/v1`
    #[arg(long, value_name = "REF", help_heading = WORKFLOW)]
    pub certificate_github_workflow_ref: Option<String>,
    /// The commit that it must have run on
    #[arg(long, value_name = "SHA", help_heading = WORKFLOW)]
    pub certificate_github_workflow_sha: Option<String>,
    /// The name of the workflow, as its file has it
    #[arg(long, value_name = "NAME", help_heading = WORKFLOW)]
    pub certificate_github_workflow_name: Option<String>,
    /// The event that must have started it: `push`
    #[arg(long, value_name = "EVENT", help_heading = WORKFLOW)]
    pub certificate_github_workflow_trigger: Option<String>,
    /// Contact only registries: no log, no newer trusted root, no key behind a URL
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL")]
    pub offline: bool,
    /// Use this trusted root (trusted_root.json), and do not look for a newer one
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Do not require proof that the certificate was logged: for your own certificate authority
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL")]
    pub insecure_ignore_sct: bool,
    /// PEM file with the CA certificates that issue signing certificates, instead of the trusted root's
    #[arg(long, value_name = "FILE", conflicts_with = "trusted_root")]
    pub ca_roots: Option<PathBuf>,
    /// PEM file with intermediate certificates between those and the signer's
    #[arg(long, value_name = "FILE", requires = "ca_roots")]
    pub ca_intermediates: Option<PathBuf>,
    /// PEM file with the timestamp authority's certificates, instead of the trusted root's
    #[arg(long, value_name = "FILE", conflicts_with = "trusted_root")]
    pub timestamp_certificate_chain: Option<PathBuf>,
}

impl IdentityArgs {
    /// Returns the identity, where one is asked for.
    ///
    /// # Errors
    /// `usage`: a name without an issuer, or the reverse. `policy`: an expression that is none.
    pub fn identity(&self) -> Result<Option<trust::Identity>, Failure> {
        let wanted = |exactly: &Option<String>, regexp: &Option<String>| {
            let exactly = exactly.clone().map(ExpectedText::Exactly);
            exactly.or_else(|| regexp.clone().map(ExpectedText::Regexp))
        };
        let identity = WantedIdentity {
            subject: wanted(&self.certificate_identity, &self.certificate_identity_regexp),
            issuer: wanted(&self.certificate_oidc_issuer, &self.certificate_oidc_issuer_regexp),
        };
        let identity = named(&identity, "--certificate-identity", "--certificate-oidc-issuer")?;
        self.narrowed(identity)
    }

    /// Returns the identity of this, with what the options say of the workflow's run.
    ///
    /// # Errors
    /// `usage`: they say something, and nobody is asked for.
    pub(super) fn narrowed(
        &self,
        identity: Option<trust::Identity>,
    ) -> Result<Option<trust::Identity>, Failure> {
        let claims = RunClaims {
            trigger: self.certificate_github_workflow_trigger.clone(),
            sha: self.certificate_github_workflow_sha.clone(),
            name: self.certificate_github_workflow_name.clone(),
            repository: self.certificate_github_workflow_repository.clone(),
            reference: self.certificate_github_workflow_ref.clone(),
        };
        match identity {
            Some(identity) if !claims.is_empty() => {
                Ok(Some(trust::Identity::Narrowed(Box::new(identity), claims)))
            }
            None if !claims.is_empty() => Err(Failure::new(
                Class::Usage,
                "--certificate-github-workflow-... without --certificate-identity",
            )
            .hint("give --certificate-identity and --certificate-oidc-issuer too: what a run was says nothing without who vouches for it")),
            identity => Ok(identity),
        }
    }

    /// Returns these options of what is judged by, in place of what the others say of it.
    pub(super) fn options(&self, options: SessionOptions) -> SessionOptions {
        SessionOptions {
            trusted_root: self.trusted_root.clone(),
            certificate_log: self.certificate_log(),
            authorities: self.ca_roots.iter().chain(&self.ca_intermediates).cloned().collect(),
            timestamp_authorities: self.timestamp_certificate_chain.clone(),
            ..options
        }
    }

    /// Returns whether certificates must have been logged.
    #[must_use]
    pub fn certificate_log(&self) -> CertificateLog {
        if self.insecure_ignore_sct { CertificateLog::Ignored } else { CertificateLog::Required }
    }
}

/// Returns who is asked for, where someone is; `name` and `issuer` are what asks.
///
/// # Errors
/// `usage`: a name without an issuer, or the reverse. `policy`: an expression that is none.
pub(super) fn named(
    wanted: &WantedIdentity,
    name: &str,
    issuer: &str,
) -> Result<Option<trust::Identity>, Failure> {
    let mut allowance = Allowance::default();
    let mut expected = |wanted: &ExpectedText, what: &str| {
        wanted.expected(&mut allowance).map_err(|failure| failure.within(what))
    };
    match (&wanted.subject, &wanted.issuer) {
        (None, None) => Ok(None),
        (Some(subject), Some(by)) => Ok(Some(trust::Identity::Named {
            issuer: expected(by, issuer)?,
            subject: expected(subject, name)?,
        })),
        (Some(_), None) => Err(Failure::new(Class::Usage, format!("{name} without {issuer}"))
            .hint("a name says nothing without who vouches for it")),
        (None, Some(_)) => Err(Failure::new(Class::Usage, format!("{issuer} without {name}"))),
    }
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Images
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Ask for signatures by this public key, whatever the policy says: a path, https://... or
    /// env://VAR
    #[arg(long, value_name = "KEY", conflicts_with_all = ["policy", "certificate_identity", "certificate_identity_regexp"])]
    pub key: Option<String>,
    /// Ask for keyless signatures by this identity, whatever the policy says
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Use this policy file
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// How registries are reached
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at containerd instead, and what keeps it from asking this program before it pulls
    /// (default: /etc/containerd/config.toml, or that of k3s)
    #[arg(long, num_args = 0..=1, value_name = "CONFIG")]
    pub containerd: Option<Option<PathBuf>>,
    /// Look at what it takes to sign what is pushed to this repository instead: key or identity
    /// token, services, policy, build engine, the right to push. Nothing is made public
    #[arg(long, value_name = "REPO", conflicts_with = "containerd")]
    pub sign: Option<String>,
}

/// `generate-key-pair`
#[derive(Debug, Args)]
pub struct GenerateKeyPairArgs {
    /// Name the files PREFIX.key and PREFIX.pub
    #[arg(long, default_value = "cosign", value_name = "PREFIX")]
    pub output_key_prefix: String,
}

/// `import-key-pair`
#[derive(Debug, Args)]
pub struct ImportKeyPairArgs {
    /// The private key: a path or env://VAR
    #[arg(short, long, value_name = "KEY")]
    pub key: String,
    /// Name the files PREFIX.key and PREFIX.pub
    #[arg(short, long, default_value = "import-cosign", value_name = "PREFIX")]
    pub output_key_prefix: String,
    /// Do not ask (cosign's flag; nothing is ever asked, and a file that is there is never
    /// overwritten)
    #[arg(short, long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL", hide = true)]
    pub yes: bool,
}

/// `policy ...`
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print a commented policy to start from, made of what luet's configuration names
    #[command(
        after_help = "Example:\n  luet-cosign policy init > /etc/luet/luet-cosign/policy.yaml"
    )]
    Init,
    /// Find mistakes and dangers in the policy
    #[command(after_help = "Example:\n  luet-cosign policy lint --policy policy.yaml")]
    Lint {
        /// The policy file, in place of the one in force
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },
    /// Say which rule applies to an image, and what it would do
    #[command(
        after_help = "Example:\n  luet-cosign policy explain quay.io/acme/packages:repository.yaml"
    )]
    Explain {
        /// The image
        image: String,
        /// The policy file, in place of the one in force
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Print the policy that the variables of the environment amount to
    #[command(
        after_help = "Example:\n  luet-cosign policy from-env > /etc/luet/luet-cosign/policy.yaml"
    )]
    FromEnv,
    /// Write the policy as files of another program, for what can be said there
    #[command(
        after_help = "Example:\n  luet-cosign policy export --to containers --unbound-tags --output /tmp/containers"
    )]
    Export(ExportArgs),
}

/// `policy export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// For whom: `containers` is podman, skopeo, buildah and CRI-O
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub to: ExportTo,
    /// The folder for `policy.json` and `registries.d/luet-cosign.yaml`
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// The policy file, in place of the one in force
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Also export rules that bind tags: an image may then pass under another tag of its repository
    #[arg(long)]
    pub unbound_tags: bool,
    /// Also accept images from this machine's own disk (containers-storage, docker-daemon, oci, dir
    /// and archives)
    #[arg(long)]
    pub local_images: bool,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

/// Whose files `policy export` writes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ExportTo {
    /// podman, skopeo, buildah and CRI-O
    Containers,
}

/// `public-key`
#[derive(Debug, Args)]
pub struct PublicKeyArgs {
    /// The key, private or public: a path or env://VAR
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// Write it into this file
    #[arg(long, value_name = "FILE")]
    pub outfile: Option<PathBuf>,
    /// Print its fingerprint, the SHA-256 of the key in DER, as messages name it
    #[arg(long)]
    pub fingerprint: bool,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Fail where a package was installed without an event in this run, such as one from luet's
    /// cache, and where events could not report
    #[arg(long)]
    pub strict: bool,
    /// luet and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "LUET ARGUMENTS"
    )]
    pub command: Vec<OsString>,
}

/// `seen ...`
#[derive(Debug, Subcommand)]
pub enum SeenCommand {
    /// Print what is remembered
    #[command(after_help = "Example:\n  luet-cosign seen list --json | jq")]
    List,
    /// Forget images, or with --all everything of their repositories
    #[command(
        after_help = "Example:\n  luet-cosign seen forget quay.io/acme/packages:repository.yaml"
    )]
    Forget {
        /// The images, by the names that `seen list` prints
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// Everything that is remembered of the repositories
        #[arg(long)]
        all: bool,
    },
}

/// `sign`
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Images
    #[arg(required = true)]
    pub images: Vec<String>,
    /// The private key: a path or env://VAR (default: COSIGN_KEY_LOCATION)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Add an annotation to the signature; repeatable
    #[arg(short = 'a', long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// Which signature format to write
    #[command(flatten)]
    pub form: FormArgs,
    /// Sign every image of an index as well
    #[arg(short, long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL")]
    pub recursive: bool,
    /// Sign this into the payload as the image's name (legacy signatures; default: the repository)
    #[arg(long, value_name = "NAME")]
    pub sign_container_identity: Option<String>,
    /// Where the signature becomes public, and who signs where no key does
    #[command(flatten)]
    pub keyless: KeylessArgs,
    /// How registries are reached
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Which form of signature is written.
#[derive(Debug, Args)]
pub struct FormArgs {
    /// Which signature format to write; `auto` is the one that most verifiers read
    /// (docs/keys.md)
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub format: SignFormatArg,
    /// Write a Sigstore bundle, or with `false` a legacy signature (cosign's flag; see --format)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", conflicts_with = "format")]
    pub new_bundle_format: Option<bool>,
}

/// Signing by a certificate, and logs.
#[derive(Debug, Args)]
pub struct KeylessArgs {
    /// Sign with the identity in this token: a JWT, or a file with one (default: SIGSTORE_ID_TOKEN, else
    /// what the CI gives)
    #[arg(long, value_name = "TOKEN", conflicts_with = "key")]
    pub identity_token: Option<String>,
    /// Take the token from this place only: `envvar`, `filesystem`, `github-actions`, `gitlab`,
    /// `circleci`, `buildkite-agent` or `kubernetes`
    #[arg(long, value_name = "PROVIDER", conflicts_with_all = ["key", "identity_token"])]
    pub oidc_provider: Option<String>,
    /// Add the signature to a transparency log (always done for keyless signatures)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub tlog_upload: Option<bool>,
    /// Do not ask whether name and image may become public, for ever
    #[arg(short, long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false, value_name = "BOOL")]
    pub yes: bool,
    /// Who makes certificates (default: COSIGN_FULCIO_URL, else the signing configuration)
    #[arg(long, value_name = "URL")]
    pub fulcio_url: Option<String>,
    /// The log, of Rekor v1 (default: COSIGN_REKOR_URL, else the signing configuration)
    #[arg(long, value_name = "URL")]
    pub rekor_url: Option<String>,
    /// Who says the time (default: COSIGN_TIMESTAMP_SERVER_URL, else the signing configuration)
    #[arg(long, value_name = "URL")]
    pub timestamp_server_url: Option<String>,
    /// Which services sign, in place of the public ones (`cosign signing-config create`)
    #[arg(long, value_name = "FILE")]
    pub signing_config: Option<std::path::PathBuf>,
    /// What the answers of the services are judged by (default: COSIGN_TRUSTED_ROOT, else the policy's,
    /// else the public one)
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<std::path::PathBuf>,
}

/// The forms of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignFormatArg {
    /// Legacy, or a bundle where the log is Rekor v2
    Auto,
    /// A bundle and a legacy signature
    Both,
    /// A Sigstore bundle in a referrer: read by cosign 3 and this program
    Bundle,
    /// A layer of the `.sig` tag: read by cosign 1, 2, 3, skopeo and this program
    Legacy,
}

/// `triangulate`
#[derive(Debug, Args)]
pub struct TriangulateArgs {
    /// The image
    pub image: String,
    /// `signature`, or `digest` for the image's own digest
    #[arg(long = "type", default_value = "signature", value_parser = ["signature", "digest"], value_name = "TYPE")]
    pub kind: String,
    /// How registries are reached
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Images; oci:DIR and docker-archive:FILE for what `pull --signatures` wrote, without a network
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Which image an archive has to be (default: the name that it records, which may only choose a
    /// rule that demands a signature)
    #[arg(long = "as", value_name = "IMAGE")]
    pub named: Option<String>,
    /// The public key: a path, https://... or env://VAR (default: what the policy says)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Require an annotation of the signature; repeatable
    #[arg(short = 'a', long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// `json` or `text`: one payload a line
    #[arg(short, long, default_value = "json", value_parser = ["json", "text"], value_name = "FORMAT")]
    pub output: String,
    /// The expected keyless signers
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Use this policy file, where no key is given
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub policy: Option<PathBuf>,
    /// How registries are reached
    #[command(flatten)]
    pub network: NetworkArgs,
}
