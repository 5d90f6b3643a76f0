//! What can be typed for hosts beyond luet.

use super::{IdentityArgs, NetworkArgs};
use clap::Args;
use std::path::PathBuf;

/// Printed below the help of `pull`.
pub(super) const PULL: &str = "Examples:
  luet-cosign pull quay.io/acme/os:v1 os.tar && kairos-agent upgrade --source ocifile:os.tar
  luet-cosign pull --key cosign.pub --signatures quay.io/acme/os:v1 oci:os
  luet-cosign pull --from-file images.txt        (lines of IMAGE and FILE.tar or oci:DIR)";

/// `pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The image
    #[arg(required_unless_present = "from_file", conflicts_with = "from_file")]
    pub image: Option<String>,
    /// Where to write it: FILE.tar, or oci:DIR for a directory in OCI's layout
    #[arg(required_unless_present = "from_file", conflicts_with = "from_file")]
    pub to: Option<String>,
    /// Pull every image in a list: one line each, with the image and where to write it
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// Which image of an index: OS/ARCHITECTURE[/VARIANT] (default: this machine's)
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Write the signatures as well, so that `verify oci:DIR` and `verify
    /// docker-archive:FILE` work without a network
    #[arg(long)]
    pub signatures: bool,
    /// The public key: a path, https://... or env://VAR (default: what the policy says)
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Require an annotation of the signature; repeatable
    #[arg(short = 'a', long = "annotations", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
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

/// `install-shim`
#[derive(Debug, Args)]
pub struct InstallShimArgs {
    /// A directory on PATH
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Replace another program of that name
    #[arg(long)]
    pub force: bool,
}
