//! `cargo xtask dist`: everything that is released, in one directory. docs/releasing.md says what is
//! in it and how a release is made.
//!
//! The programs that it calls are named there with their versions; one that is missing is an error
//! that names it.

mod build;
mod check;
mod image;
mod licences;
mod packages;
mod run;
mod sums;

use run::{Failed, Result};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask dist [OPTION...]
       cargo xtask sign --key KEY [--url URL] [--output DIR]
       cargo xtask build --arch ARCH
       cargo xtask compare --arch ARCH
       cargo xtask arm64 [--binary arm64=PATH]

dist makes a release in target/dist/out:
  archives, packages (deb, rpm, apk, Arch), the image, SBOM, licences, luet specs, install.sh,
  SHA256SUMS, and with --key its signature

  --arch ARCH          amd64 or arm64; repeatable (default: both)
  --binary ARCH=PATH   take this program instead of building one; repeatable
  --key KEY            sign SHA256SUMS with this key (COSIGN_PASSWORD opens it)
  --url URL            where the files of the release will be
  --output DIR         the directory, which is emptied first
  --without PART       leave out `packages`, `image`, `sbom` or `luet`; repeatable

sign signs what dist made without a key: so the key is not there while others' code is built.

build builds one program, reproducibly, and prints where it is.

compare builds a program twice, in two directories, and compares the two byte for byte.

arm64 runs trials with the program for arm64, under qemu.";

/// What is asked for.
pub struct Options {
    pub project: PathBuf,
    pub output: PathBuf,
    /// Where this run puts together what it packs; gone at its end.
    pub work: PathBuf,
    pub architectures: Vec<Architecture>,
    pub binaries: Vec<(Architecture, PathBuf)>,
    pub key: Option<String>,
    pub url: String,
    pub without: Vec<String>,
    pub version: String,
    /// The time of the commit, in seconds since 1970: of everything that is packed.
    pub epoch: String,
}

/// The processors that there are programs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Its name in the names of files, which is Go's and Debian's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| Failed(format!("`{text}` is not an architecture: amd64 or arm64")))
    }
}

impl Options {
    /// The name of the archive of an architecture, and of the directory in it.
    pub fn stem(&self, architecture: Architecture) -> String {
        format!("luet-cosign-{}-linux-{}", self.version, architecture.name())
    }

    pub fn has(&self, part: &str) -> bool {
        !self.without.iter().any(|without| without == part)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        Some("dist") => in_work(&options(&arguments[1..])?, dist),
        Some("sign") => {
            let options = options(&arguments[1..])?;
            if options.key.is_none() {
                return Err(Failed("`sign` needs --key".into()));
            }
            sums::check(&options)?;
            in_work(&options, |options| sums::write(options, &packages::unpacked(options)?))
        }
        Some("build") => {
            let options = options(&arguments[1..])?;
            for architecture in &options.architectures {
                println!("{}", build::build(&options, *architecture)?.display());
            }
            Ok(())
        }
        Some("compare") => in_work(&options(&arguments[1..])?, check::compare),
        Some("arm64") => in_work(&options(&arguments[1..])?, |options| {
            check::arm64(options, &check::program_for_arm64(options)?)
        }),
        Some("-h" | "--help") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Failed(format!(
            "expected `dist`, `sign`, `build`, `compare` or `arm64`\n\n{USAGE}"
        ))),
    }
}

/// Does something that needs the working directory.
fn in_work(options: &Options, does: impl FnOnce(&Options) -> Result<()>) -> Result<()> {
    std::fs::create_dir_all(&options.work)?;
    let result = does(options);
    let _ = std::fs::remove_dir_all(&options.work);
    result
}

fn options(arguments: &[String]) -> Result<Options> {
    // `cargo run` says where it runs; a program that was copied stays with what it was built in.
    let own = std::env::var("CARGO_MANIFEST_DIR").ok();
    let own = PathBuf::from(own.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR")));
    let project = own.ancestors().nth(2).expect("the project");
    let manifest = run::read(&project.join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.split('"').next());
    let version = version.ok_or_else(|| Failed("Cargo.toml names no version".into()))?.to_owned();
    let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch,
        Err(_) => run::output(
            run::program("git").args(["log", "-1", "--format=%ct"]).current_dir(project),
        )?,
    };
    let mut options = Options {
        output: project.join("target/dist/out"),
        work: project.join(format!("target/dist/work.{}", std::process::id())),
        architectures: Vec::new(),
        binaries: Vec::new(),
        key: None,
        url: String::new(),
        without: Vec::new(),
        epoch: epoch.trim().to_owned(),
        project: project.to_owned(),
        version,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value =
            || words.next().cloned().ok_or_else(|| Failed(format!("`{word}` needs a value")));
        match word.as_str() {
            "--arch" => options.architectures.push(Architecture::parse(&value()?)?),
            "--binary" => {
                let text = value()?;
                let (architecture, path) = text
                    .split_once('=')
                    .ok_or_else(|| Failed(format!("`{text}` is not ARCH=PATH")))?;
                options.binaries.push((Architecture::parse(architecture)?, path.into()));
            }
            "--key" => options.key = Some(value()?),
            "--url" => options.url = value()?.trim_end_matches('/').to_owned(),
            "--output" => options.output = std::path::absolute(value()?)?,
            "--without" => options.without.push(value()?),
            _ => return Err(Failed(format!("unknown option `{word}`\n\n{USAGE}"))),
        }
    }
    if options.architectures.is_empty() {
        options.architectures = match options.binaries.as_slice() {
            [] => Architecture::ALL.into(),
            given => given.iter().map(|(architecture, _)| *architecture).collect(),
        };
    }
    Ok(options)
}

/// Every part, in the order in which one needs another.
fn dist(options: &Options) -> Result<()> {
    let out = &options.output;
    // Only what an earlier run made is removed.
    if out.exists() {
        if !out.join(sums::LIST).exists() && std::fs::read_dir(out)?.next().is_some() {
            return Err(Failed(format!("{} holds something else than a release", out.display())));
        }
        std::fs::remove_dir_all(out)?;
    }
    std::fs::create_dir_all(out)?;
    // (1) The programs.
    let mut programs = Vec::new();
    for architecture in &options.architectures {
        let given = options.binaries.iter().find(|(of, _)| of == architecture);
        let path = match given {
            Some((_, path)) => std::path::absolute(path)?,
            None => build::build(options, *architecture)?,
        };
        programs.push((*architecture, path));
    }
    // (2) What comes with them: made by the program that runs here.
    let host = programs.iter().find(|(of, _)| of.target().starts_with(std::env::consts::ARCH));
    let (_, host) = host.ok_or_else(|| {
        Failed("one of the programs has to run here: it makes the manual page".into())
    })?;
    let stage = packages::stage(options, host)?;
    licences::write(options, &stage.join("THIRD-PARTY.txt"))?;
    // (3) What is released.
    for (architecture, program) in &programs {
        packages::archive(options, &stage, *architecture, program)?;
        if options.has("packages") {
            packages::packages(options, &stage, *architecture, program)?;
        }
        if options.has("image") {
            image::image(options, *architecture, program)?;
        }
    }
    if options.has("sbom") {
        licences::sbom(options)?;
    }
    if options.has("luet") {
        packages::luet(options, &programs)?;
        packages::kairos(options)?;
    }
    // (4) The list, its signature, and the script that checks both.
    sums::write(options, host)
}
