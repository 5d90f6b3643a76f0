//! `verify-repo` and `sign-repo`.

use super::{FormArgs, IdentityArgs, KeylessArgs, NetworkArgs};
use clap::Args;
use std::num::NonZero;
use std::path::PathBuf;

/// What both commands go through.
#[derive(Debug, Args)]
pub struct WalkArgs {
    /// The repository, as in luet's `urls`: registry/path
    #[arg(value_name = "REPO")]
    pub repository: String,
    /// Start at this description instead of the current one: luet's `reference`, the tag of a snapshot
    #[arg(long, default_value = "repository.yaml", value_name = "TAG")]
    pub reference: String,
    /// How many images to check at the same time
    #[arg(long, default_value = "8", value_name = "N")]
    pub jobs: NonZero<u8>,
    /// Show progress, even if standard error is not a terminal
    #[arg(long)]
    pub progress: bool,
    /// How registries are reached
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// `verify-repo`
#[derive(Debug, Args)]
pub struct VerifyRepoArgs {
    /// What is gone through
    #[command(flatten)]
    pub walk: WalkArgs,
    /// The public key: a path, https://... or env://VAR (default: what the policy says)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Require an annotation of each signature; repeatable
    #[arg(short = 'a', long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// The expected keyless signers
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Use this policy file, where no key is given
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub policy: Option<PathBuf>,
}

/// `sign-repo`
#[derive(Debug, Args)]
pub struct SignRepoArgs {
    /// What is gone through
    #[command(flatten)]
    pub walk: WalkArgs,
    /// The private key: a path or env://VAR (default: COSIGN_KEY_LOCATION)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Sign packages whose content is in this directory, the destination of `luet build`
    #[arg(long, value_name = "DIR", conflicts_with = "trust_registry")]
    pub from: Option<PathBuf>,
    /// List what the registry serves, then sign it; nothing vouches for it
    #[arg(long)]
    pub trust_registry: bool,
    /// Add an annotation to each signature; repeatable
    #[arg(short = 'a', long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// Which signature format to write
    #[command(flatten)]
    pub form: FormArgs,
    /// Where the signatures become public, and who signs where no key does
    #[command(flatten)]
    pub keyless: KeylessArgs,
}
