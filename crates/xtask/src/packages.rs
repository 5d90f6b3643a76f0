//! Archives, packages of distributions, and the specs for luet: all from the same files, with the
//! time of the commit in them.

use super::{Architecture, Options, run};
use run::{Failed, Result};
use std::path::{Path, PathBuf};

/// The formats of packages, as nfpm calls them.
const FORMATS: [&str; 4] = ["deb", "rpm", "apk", "archlinux"];
/// Shells that completions are made for, with where the file is in the stage.
const SHELLS: [(&str, &str); 3] =
    [("bash", "luet-cosign.bash"), ("zsh", "_luet-cosign"), ("fish", "luet-cosign.fish")];

/// Collects what is beside every program: manual page, completions, an example of a policy,
/// licences.
pub fn stage(options: &Options, program: &Path) -> Result<PathBuf> {
    let stage = options.work.join("stage");
    if stage.exists() {
        std::fs::remove_dir_all(&stage)?;
    }
    std::fs::create_dir_all(stage.join("completions"))?;
    let said = run::output(run::program(program).arg("version"))?;
    if said.lines().next() != Some(&format!("luet-cosign {}", options.version)) {
        return Err(Failed(format!("{} is another version: {said}", program.display())));
    }
    run::write(&stage.join("luet-cosign.1"), run::bytes(run::program(program).arg("man"))?)?;
    for (shell, file) in SHELLS {
        let text = run::bytes(run::program(program).args(["completions", shell]))?;
        run::write(&stage.join("completions").join(file), text)?;
    }
    // gzip -n: no name and no time.
    let page = run::bytes(run::program("gzip").args(["-9nc"]).arg(stage.join("luet-cosign.1")))?;
    run::write(&stage.join("luet-cosign.1.gz"), page)?;
    for (from, to) in [
        ("LICENSE", "LICENSE"),
        ("README.md", "README.md"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("plugin-manifest/luet/luet-verify/policy.example.yaml", "policy.example.yaml"),
    ] {
        run::copy(&options.project.join(from), &stage.join(to))?;
    }
    Ok(stage)
}

/// Makes the archive of an architecture: one directory with the program and all of the stage.
pub fn archive(
    options: &Options,
    stage: &Path,
    architecture: Architecture,
    program: &Path,
) -> Result<()> {
    let stem = options.stem(architecture);
    let folder = options.work.join(&stem);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(folder.join("completions"))?;
    for name in ["luet-cosign.1", "LICENSE", "README.md", "policy.example.yaml", "THIRD-PARTY.txt"]
    {
        run::copy(&stage.join(name), &folder.join(name))?;
    }
    for (_, name) in SHELLS {
        let name = Path::new("completions").join(name);
        run::copy(&stage.join(&name), &folder.join(&name))?;
    }
    run::copy(program, &folder.join("luet-cosign"))?;
    let tar = options.work.join(format!("{stem}.tar"));
    run::run(
        run::program("tar")
            .args(["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"])
            .arg("--mode=u=rwX,go=rX")
            .arg(format!("--mtime=@{}", options.epoch))
            .arg("--file")
            .arg(&tar)
            .args(["--create", "--directory"])
            .arg(&options.work)
            .arg(&stem),
    )?;
    let bytes = run::bytes(run::program("gzip").args(["-9nc"]).arg(&tar))?;
    std::fs::remove_file(&tar)?;
    std::fs::remove_dir_all(&folder)?;
    run::write(&options.output.join(format!("{stem}.tar.gz")), bytes)
}

/// Takes the program that runs here out of its archive.
pub fn unpacked(options: &Options) -> Result<PathBuf> {
    let host = Architecture::ALL.into_iter();
    let host = host.into_iter().find(|of| of.target().starts_with(std::env::consts::ARCH));
    let stem = options.stem(host.ok_or_else(|| Failed("no program runs here".into()))?);
    let folder = options.work.clone();
    let archive = options.output.join(format!("{stem}.tar.gz"));
    let program = format!("{stem}/luet-cosign");
    let mut command = run::program("tar");
    command.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&folder);
    run::run(command.arg(&program))?;
    Ok(folder.join(program))
}

/// Makes the packages of an architecture, with nfpm.
pub fn packages(
    options: &Options,
    stage: &Path,
    architecture: Architecture,
    program: &Path,
) -> Result<()> {
    let description = run::read(&options.project.join("packaging/nfpm.yaml"))?;
    for format in FORMATS {
        let config = options.work.join("nfpm.yaml");
        let (version, schema) = version(options, format);
        let text = description.replace("${SCHEMA}", schema);
        run::write(&config, text)?;
        run::run(
            run::program("nfpm")
                .args(["package", "--packager", format, "--config"])
                .arg(&config)
                .arg("--target")
                .arg(&options.output)
                .current_dir(&options.project)
                .env("VERSION", version)
                .env("ARCH", architecture.name())
                .env("PROGRAM", program)
                .env("STAGE", stage)
                .env("PROJECT", &options.project)
                .env("SOURCE_DATE_EPOCH", &options.epoch),
        )?;
    }
    Ok(())
}

/// The version as a format spells it, and how nfpm is to read it. A pre-release must be older than its
/// release: apk knows `1.0.0_rc1`, without a dot before the number, and pacman `1.0.0rc1`; of a version
/// with a hyphen, nfpm writes only what is before it into an Arch package. deb and rpm get `1.0.0~rc.1`.
fn version(options: &Options, format: &str) -> (String, &'static str) {
    match (format, options.version.split_once('-')) {
        ("apk", Some((release, before))) => {
            (format!("{release}_{}", before.replace('.', "")), "none")
        }
        ("archlinux", Some((release, before))) => {
            (format!("{release}{}", before.replace('.', "")), "none")
        }
        _ => (options.version.clone(), "semver"),
    }
}

/// Fills the specs of plugin-manifest with the version and the sums, one tree for each architecture,
/// with the program beside them, ready for `luet build`.
pub fn luet(options: &Options, programs: &[(Architecture, PathBuf)]) -> Result<()> {
    let specs = options.project.join("plugin-manifest/luet");
    for (architecture, program) in programs {
        let stem = format!("luet-specs-{}-{}", options.version, architecture.name());
        let tree = options.work.join(&stem);
        if tree.exists() {
            std::fs::remove_dir_all(&tree)?;
        }
        for name in ["luet-cosign", "luet-verify"] {
            std::fs::create_dir_all(tree.join(name))?;
            for entry in std::fs::read_dir(specs.join(name))? {
                let entry = entry?;
                run::copy(&entry.path(), &tree.join(name).join(entry.file_name()))?;
            }
        }
        let sum = sha256(&std::fs::read(program)?)?;
        let definition = tree.join("luet-cosign/definition.yaml");
        let text = filled(&run::read(&definition)?, "sha256", &sum)?;
        run::write(&definition, text)?;
        run::copy(program, &tree.join("luet-cosign/luet-cosign"))?;
        let tar = options.output.join(format!("{stem}.tar.gz"));
        let bytes = packed(options, &tree, &["luet-cosign", "luet-verify"])?;
        run::write(&tar, bytes)?;
        std::fs::remove_dir_all(&tree)?;
    }
    Ok(())
}

/// Fills the definition for kairos-io/packages with the address and the sums of the archives. It takes
/// what the release page serves, so it needs no program beside it.
pub fn kairos(options: &Options) -> Result<()> {
    let specs = options.project.join("plugin-manifest/kairos-packages/luet-cosign");
    let tree = options.work.join("kairos-packages");
    let folder = tree.join("luet-cosign");
    std::fs::create_dir_all(&folder)?;
    run::copy(&specs.join("build.yaml"), &folder.join("build.yaml"))?;
    let mut text = run::read(&specs.join("definition.yaml"))?;
    text = filled(&text, "url", &options.url)?;
    for architecture in &options.architectures {
        let archive = options.output.join(format!("{}.tar.gz", options.stem(*architecture)));
        text = filled(&text, architecture.name(), &sha256(&std::fs::read(archive)?)?)?;
    }
    run::write(&folder.join("definition.yaml"), text)?;
    let stem = format!("kairos-packages-{}", options.version);
    let bytes = packed(options, &tree, &["luet-cosign"])?;
    std::fs::remove_dir_all(&tree)?;
    run::write(&options.output.join(format!("{stem}.tar.gz")), bytes)
}

/// Gives a key its value, which has to be empty before.
fn filled(text: &str, key: &str, value: &str) -> Result<String> {
    let empty = format!("{key}: \"\"\n");
    if text.matches(&empty).count() != 1 {
        return Err(Failed(format!("definition.yaml has no empty `{key}` to be filled in")));
    }
    Ok(text.replace(&empty, &format!("{key}: \"{value}\"\n")))
}

/// Packs directories of a tree: the same bytes for the same files.
fn packed(options: &Options, tree: &Path, folders: &[&str]) -> Result<Vec<u8>> {
    run::bytes(
        run::program("tar")
            .args(["--sort=name", "--format=ustar", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "--mode=u=rwX,go=rX", "--use-compress-program=gzip -9n"])
            .arg(format!("--mtime=@{}", options.epoch))
            .args(["--create", "--directory"])
            .arg(tree)
            .args(folders),
    )
}

/// The files of a directory, by name.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> Result<String> {
    use std::io::Write as _;
    let mut child = run::program("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("a pipe").write_all(bytes)?;
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned())
}
