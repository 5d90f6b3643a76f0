//! The list of all files, its signature by the program that is released, and `install.sh` with the
//! key in it.

use super::{Options, packages, run};
use run::{Failed, Result};
use std::path::Path;

/// The list.
pub const LIST: &str = "SHA256SUMS";

/// Writes the list, signs it, and verifies it as a user does.
pub fn write(options: &Options, program: &Path) -> Result<()> {
    let out = &options.output;
    let public = match &options.key {
        Some(key) => Some(run::output(run::program(program).args(["public-key", "--key", key]))?),
        None => None,
    };
    if let Some(public) = &public {
        run::write(&out.join("release.pub"), public)?;
        install(options, public, &fingerprint(&out.join("release.pub"))?)?;
    }
    let mut names = packages::names(out)?;
    names.retain(|name| !name.starts_with(LIST));
    let list = run::bytes(run::program("sha256sum").arg("--").args(&names).current_dir(out))?;
    run::write(&out.join(LIST), list)?;
    let Some(key) = &options.key else {
        eprintln!("not signed: no --key");
        return Ok(());
    };
    run::run(
        run::program(program)
            .args(["sign-blob", "--key", key, "--output-signature", "SHA256SUMS.sig"])
            .args(["--bundle", "SHA256SUMS.sigstore.json", LIST])
            .current_dir(out),
    )?;
    for evidence in [["--signature", "SHA256SUMS.sig"], ["--bundle", "SHA256SUMS.sigstore.json"]] {
        run::run(
            run::program(program)
                .args(["verify-blob", "--key", "release.pub", "--all", LIST])
                .args(evidence)
                .current_dir(out),
        )?;
    }
    Ok(())
}

/// Fills in the script.
fn install(options: &Options, public: &str, fingerprint: &str) -> Result<()> {
    let text = run::read(&options.project.join("packaging/install.sh"))?
        .replace("@VERSION@", &options.version)
        .replace("@URL@", &options.url)
        .replace("@FINGERPRINT@", fingerprint)
        .replace("@PUBLIC_KEY@", public.trim_end());
    let path = options.output.join("install.sh");
    run::write(&path, text)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    Ok(std::fs::set_permissions(path, mode)?)
}

/// What the key is called: the SHA-256 of its DER, as everything of this project prints it.
fn fingerprint(public: &Path) -> Result<String> {
    let der = run::bytes(
        run::program("openssl").args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(public),
    )?;
    let digest = packages::sha256(&der)?;
    if digest.len() == 64 {
        Ok(format!("sha256:{digest}"))
    } else {
        Err(Failed(format!("`{digest}` is not a SHA-256")))
    }
}

/// Checks that a release is as it was made.
pub fn check(options: &Options) -> Result<()> {
    run::run(
        run::program("sha256sum").args(["--check", "--quiet", LIST]).current_dir(&options.output),
    )
}
