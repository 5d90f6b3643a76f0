//! What a release is checked by where it is made: two builds are equal, and the program for arm64 does its work.

use super::{Architecture, Options, run};
use run::{Failed, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What the program for arm64 does under the emulator, if `ARM64_TRIALS` does not say.
const TRIALS: &str = "blobs:: keys::olareg::legacy";
/// The number of the processor in an ELF file, and where it is.
const AARCH64: [u8; 2] = [0xb7, 0];
const MACHINE: std::ops::Range<usize> = 18..20;

/// Builds each program twice, from two copies of HEAD in two directories, each with a CARGO_HOME of
/// its own, and compares the two byte for byte.
pub fn compare(options: &Options) -> Result<()> {
    for architecture in &options.architectures {
        let name = architecture.name();
        let one = copy_and_build(options, "one", name)?;
        let two = copy_and_build(options, "somewhere/else/two", name)?;
        let (first, second) = (std::fs::read(&one)?, std::fs::read(&two)?);
        if first != second {
            return Err(Failed(format!("{name}: two builds differ")));
        }
        println!("{name}: two builds are equal, {} bytes", first.len());
    }
    println!("{} passed, 0 failed", options.architectures.len());
    Ok(())
}

fn copy_and_build(options: &Options, folder: &str, architecture: &str) -> Result<PathBuf> {
    let folder = options.work.join(folder);
    let home = folder.join("home");
    std::fs::create_dir_all(&home)?;
    if !folder.join("Cargo.toml").exists() {
        let archive = folder.join("head.tar");
        run::run(
            run::program("git")
                .args(["archive", "--output"])
                .arg(&archive)
                .arg("HEAD")
                .current_dir(&options.project),
        )?;
        run::run(run::program("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    }
    let built = run::output(
        run::program("cargo")
            .args(["xtask", "build", "--arch", architecture])
            .current_dir(&folder)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_MANIFEST_DIR")
            .env("CARGO_HOME", &home)
            .env("SOURCE_DATE_EPOCH", &options.epoch),
    )?;
    Ok(built.trim().into())
}

/// Lets the program for arm64 do, under qemu, what the trials ask of it: files and images signed and
/// verified with every kind of key.
pub fn arm64(options: &Options, program: &Path) -> Result<()> {
    if std::fs::read(program)?.get(MACHINE) != Some(&AARCH64[..]) {
        return Err(Failed(format!("{} is not for arm64", program.display())));
    }
    // The emulator sees the program's own arguments and environment.
    let wrapper = options.work.join("luet-cosign");
    let program = std::fs::canonicalize(program)?;
    run::write(
        &wrapper,
        format!("#!/bin/sh\nexec qemu-aarch64-static \"{}\" \"$@\"\n", program.display()),
    )?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    let trials = std::env::var("ARM64_TRIALS").unwrap_or_else(|_| TRIALS.to_owned());
    for trial in trials.split_whitespace() {
        run::run(
            run::program("cargo")
                .args(["test", "--locked", "-p", "e2e", "--test", "e2e", "--", trial])
                .current_dir(&options.project)
                .env("BIN", &wrapper),
        )?;
    }
    Ok(())
}

/// The program for arm64: the one that is named, else built.
pub fn program_for_arm64(options: &Options) -> Result<PathBuf> {
    let named = options.binaries.iter().find(|(it, _)| *it == Architecture::Arm64);
    match named {
        Some((_, path)) => Ok(path.clone()),
        None => super::build::build(options, Architecture::Arm64),
    }
}
