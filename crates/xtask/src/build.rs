//! The static programs. One C compiler for both architectures (zig's, pinned by `.ci/tools.sh`), and
//! no path of this machine in what is made: two builds in two directories with two CARGO_HOMEs are
//! equal, byte for byte.

use super::{Architecture, Options, run};
use run::{Failed, Result};
use std::path::{Path, PathBuf};

/// Builds the program of an architecture, and returns where it is.
pub fn build(options: &Options, architecture: Architecture) -> Result<PathBuf> {
    let target = architecture.target();
    let folder = options.project.join("target/dist/build");
    let places = [
        (options.project.clone(), "/luet-cosign"),
        (cargo_home()?, "/cargo"),
        (sysroot(&options.project)?, "/rust"),
    ];
    // What is named later wins, and the project may be below another.
    let remap = |flag: &str| -> Vec<String> {
        places.iter().map(|(from, to)| format!("{flag}={}={to}", from.display())).collect()
    };
    // Flags of the environment replace those of .cargo/config.toml: zig's linker does not know packed
    // relocations, so a program that is released relocates itself by more pages than one of musl-gcc.
    let flags = remap("--remap-path-prefix");
    let for_c = format!("CFLAGS_{}", target.replace('-', "_"));
    run::run(
        run::program("cargo")
            .args(["zigbuild", "--locked", "--release", "--package", "luet-cosign"])
            .args(["--target", target])
            .current_dir(&options.project)
            .env("CARGO_TARGET_DIR", &folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env(for_c, remap("-ffile-prefix-map").join(" "))
            .env_remove("RUSTFLAGS")
            .env("SOURCE_DATE_EPOCH", &options.epoch)
            .env("CARGO_INCREMENTAL", "0"),
    )?;
    let program = folder.join(target).join("release/luet-cosign");
    check(&program, &places)?;
    Ok(program)
}

/// A path of this machine in the program would make it another one elsewhere.
fn check(program: &Path, places: &[(PathBuf, &str)]) -> Result<()> {
    let bytes = std::fs::read(program)?;
    for (place, _) in places {
        let wanted = place.as_os_str().as_encoded_bytes();
        if wanted.len() > 1 && bytes.windows(wanted.len()).any(|found| found == wanted) {
            let (program, place) = (program.display(), place.display());
            return Err(Failed(format!("{program} holds the path {place}")));
        }
    }
    Ok(())
}

fn cargo_home() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo")));
    home.ok_or_else(|| Failed("neither CARGO_HOME nor HOME is set".into()))
}

fn sysroot(project: &Path) -> Result<PathBuf> {
    let path =
        run::output(run::program("rustc").args(["--print", "sysroot"]).current_dir(project))?;
    Ok(path.trim().into())
}
