//! Which image of an index a host takes.
//!
//! luet asks go-containerregistry for `linux` and its own architecture (up to 0.36.5 always for
//! amd64), and for what `--platform` says; of several that fit the first is taken.

use super::malformed;
use crate::class::{Class, Failure};
use crate::name::Digest;
use oci_distribution::manifest::OciImageIndex;

/// The architectures as Go calls them, which is what is in an index.
const ARCHITECTURE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    b"x86" => "386",
    b"powerpc64" => "ppc64le",
    _ => std::env::consts::ARCH,
};

/// Returns the image for this machine.
///
/// # Errors
/// `malformed`: two images for exactly one platform, or a digest that is none.
pub fn child(index: &OciImageIndex) -> Result<Option<Digest>, Failure> {
    first(index, "linux", ARCHITECTURE, None)
}

/// Returns the image for a platform, `OS/ARCHITECTURE[/VARIANT]`; this machine's where none is named.
///
/// # Errors
/// As [`child`]. `usage`: it names none.
pub(super) fn chosen(
    index: &OciImageIndex,
    platform: Option<&str>,
) -> Result<Option<Digest>, Failure> {
    let Some(platform) = platform else { return child(index) };
    match platform.split('/').collect::<Vec<_>>().as_slice() {
        [os, architecture] => first(index, os, architecture, None),
        [os, architecture, variant] => first(index, os, architecture, Some(variant)),
        _ => Err(Failure::new(
            Class::Usage,
            format!("the platform `{platform}` is not OS/ARCHITECTURE, such as `linux/arm64`"),
        )),
    }
}

/// Returns the images that a host can have chosen, the likeliest first: what its `--platform` says,
/// else this machine's and the one that old hosts always took.
///
/// # Errors
/// As [`child`].
pub(super) fn children(
    index: &OciImageIndex,
    platform: Option<&str>,
) -> Result<Vec<Digest>, Failure> {
    let mut parts = platform.unwrap_or_default().split('/');
    let found = match (parts.next(), parts.next(), parts.next()) {
        (Some(os), Some(architecture), variant) => vec![first(index, os, architecture, variant)?],
        _ => vec![child(index)?, first(index, "linux", "amd64", None)?],
    };
    let mut children: Vec<Digest> = found.into_iter().flatten().collect();
    children.dedup();
    Ok(children)
}

fn first(
    index: &OciImageIndex,
    os: &str,
    architecture: &str,
    variant: Option<&str>,
) -> Result<Option<Digest>, Failure> {
    let mut found: Vec<(Option<&str>, &String)> = Vec::new();
    for entry in &index.manifests {
        let Some(platform) = &entry.platform else { continue };
        let theirs = platform.variant.as_deref();
        let fits =
            platform.os.to_string() == os && platform.architecture.to_string() == architecture;
        if !fits || variant.is_some_and(|variant| theirs != Some(variant)) {
            continue;
        }
        if let Some((_, other)) =
            found.iter().find(|(variant, digest)| *variant == theirs && **digest != entry.digest)
        {
            return Err(malformed(format!(
                "the index has two images for {os}/{architecture}: `{other}` and `{}`",
                entry.digest
            )));
        }
        found.push((theirs, &entry.digest));
    }
    found.first().map(|(_, digest)| digest.parse()).transpose()
}
