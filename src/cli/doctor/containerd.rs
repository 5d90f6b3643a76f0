//! `doctor --containerd`: what makes containerd pull without asking this program. Each of these was
//! seen on the real containerd to end in an unverified image without a word.

use super::{Code, Finding};
use crate::class::{Failure, counted};
use crate::config::Environment;
use crate::containerd::ContainerdConfig;
use crate::limits;
use crate::policy::{Document, Severity};
use crate::session::{lint, policy_file};
use crate::store::{Owners, check_way};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where containerd is configured: by itself, and by k3s.
const CONFIGURATIONS: [&str; 2] =
    ["/etc/containerd/config.toml", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"];
/// What k3s and RKE2 load past the verifier.
const PRELOADED: [&str; 2] =
    ["/var/lib/rancher/k3s/agent/images", "/var/lib/rancher/rke2/agent/images"];
/// Where mirrors are looked for, unless the policy says otherwise.
const MIRRORS: &str = "/etc/containerd/certs.d";

pub(super) fn findings(
    named: Option<&Path>,
    environment: &Environment,
) -> Result<Vec<Finding>, Failure> {
    let path = named.map_or_else(usual, Path::to_path_buf);
    let config = ContainerdConfig::read(&path)?;
    let mut findings = Vec::new();
    if path.exists() {
        findings.push(Finding::fine(
            Code::ContainerdConfiguration,
            format!("containerd is configured by {}", path.display()),
        ));
    } else {
        findings.push(Finding::note(
            Code::ContainerdConfiguration,
            format!("{} is not there: these are containerd's defaults", path.display()),
            "luet-cosign doctor --containerd CONFIG, where it is another file",
        ));
    }
    for hole in &config.holes {
        findings.push(Finding::problem(
            Code::ContainerdConfiguration,
            format!("{}: containerd then pulls without asking any verifier", hole.setting),
            format!("{} in {}", hole.instead, path.display()),
        ));
    }
    findings.extend(verifiers(&config));
    findings.extend(policy(&config, environment)?);
    findings.extend(PRELOADED.into_iter().filter_map(preloaded));
    Ok(findings)
}

fn usual() -> PathBuf {
    let there = CONFIGURATIONS.iter().find(|path| Path::new(path).exists());
    PathBuf::from(there.unwrap_or(&CONFIGURATIONS[0]))
}

/// containerd runs every entry of the directory, by name; with none, it asks nobody.
fn verifiers(config: &ContainerdConfig) -> Vec<Finding> {
    let folder = &config.bin_dir;
    let own = std::env::current_exe().unwrap_or_default();
    let install =
        || format!("install -D -m 755 {} {}/luet-cosign", own.display(), folder.display());
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .take(limits::MIRROR_FOLDERS)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    names.sort();
    if names.is_empty() {
        return vec![Finding::problem(
            Code::ContainerdVerifiers,
            format!(
                "there is no verifier in {}: containerd pulls everything, and says so at debug level only",
                folder.display()
            ),
            install(),
        )];
    }
    let mut findings = Vec::new();
    let mut ours = None;
    for (number, path) in names.iter().enumerate() {
        if is_this(path, &own) {
            ours = ours.or(Some(number));
        } else {
            findings.push(Finding::note(
                Code::ContainerdVerifiers,
                format!("{} is another verifier: it must say yes as well", path.display()),
                "nothing has to be done where that is meant",
            ));
        }
        let mode = path.metadata().map(|found| found.permissions().mode()).unwrap_or_default();
        if mode & 0o111 == 0 {
            findings.push(Finding::problem(
                Code::ContainerdVerifiers,
                format!("{} is not executable: every pull fails", path.display()),
                format!("chmod 755 {}", path.display()),
            ));
        }
        if let Err(why) = check_way(path, Owners::Root) {
            findings.push(Finding::problem(
                Code::ContainerdVerifiers,
                format!("{} {why}: others than root can choose what verifies", path.display()),
                format!("chown root {0} && chmod 755 {0}", path.display()),
            ));
        }
    }
    match ours {
        None => findings.push(Finding::problem(
            Code::ContainerdVerifiers,
            format!("this program is not among the verifiers in {}", folder.display()),
            install(),
        )),
        Some(number) if config.most.is_some_and(|most| number >= most) => {
            findings.push(Finding::problem(
                Code::ContainerdVerifiers,
                format!(
                    "max_verifiers = {}: containerd stops before it comes to this program",
                    config.most.unwrap_or_default()
                ),
                "raise `max_verifiers`, or give the program a name that comes first",
            ));
        }
        Some(_) => findings.push(Finding::fine(
            Code::ContainerdVerifiers,
            format!("containerd asks this program, in {}", folder.display()),
        )),
    }
    findings
}

/// Whether a file is this program: the same file, or a copy.
fn is_this(path: &Path, own: &Path) -> bool {
    let same =
        |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let (Ok(found), Ok(this)) = (path.metadata(), own.metadata()) else { return false };
    same(&found, &this)
        || found.is_file()
            && found.len() == this.len()
            && matches!((std::fs::read(path), std::fs::read(own)), (Ok(a), Ok(b)) if a == b)
}

fn policy(config: &ContainerdConfig, environment: &Environment) -> Result<Vec<Finding>, Failure> {
    let Some((path, _)) = policy_file(environment, None)? else {
        return Ok(vec![Finding::problem(
            Code::ContainerdPolicy,
            "there is no policy file, and containerd passes on its own environment only: every image is refused, including pause",
            "write /etc/luet/luet-cosign/policy.yaml; see docs/containerd.md",
        )]);
    };
    let problems = match lint(environment, None) {
        Ok(found) => found.problems,
        Err(failure) => {
            return Ok(vec![Finding::problem(
                Code::ContainerdPolicy,
                failure.line(),
                failure.the_hint(),
            )]);
        }
    };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors > 0 {
        return Ok(vec![Finding::problem(
            Code::ContainerdPolicy,
            format!(
                "the policy ({}) has {}, so every image is refused",
                path.display(),
                counted(errors, "error")
            ),
            "luet-cosign policy lint",
        )]);
    }
    let mut findings = vec![Finding::fine(
        Code::ContainerdPolicy,
        format!("the policy ({}) can be read", path.display()),
    )];
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let Ok(document) = Document::parse(&text) else { return Ok(findings) };
    let deadline = document.deadline().unwrap_or(limits::HOST_DEADLINE);
    if deadline + Duration::from_secs(1) > config.timeout {
        let (deadline, timeout) = (deadline.as_secs(), config.timeout.as_secs_f32());
        findings.push(Finding::problem(Code::ContainerdPolicy,
            format!(
                "containerd kills a verifier after {timeout} s (`per_verifier_timeout`), but this one may take {deadline} s: the reason for a failed pull would be lost"
            ),
            "lower `deadline` in the policy, or raise `per_verifier_timeout`",
        ));
    }
    let ours = match &document.network().mirrors {
        Some(folder) => path.parent().unwrap_or(Path::new("/")).join(folder),
        None => PathBuf::from(MIRRORS),
    };
    if let Some(theirs) = config.hosts.as_ref().filter(|theirs| **theirs != ours) {
        findings.push(Finding::note(
            Code::ContainerdPolicy,
            format!(
                "containerd takes mirrors from {}, this program from {}",
                theirs.display(),
                ours.display()
            ),
            format!("network: {{mirrors: {}}} in the policy", theirs.display()),
        ));
    }
    Ok(findings)
}

/// What is loaded from files is never pulled, so nobody is asked about it.
fn preloaded(folder: &str) -> Option<Finding> {
    let count = std::fs::read_dir(folder).ok()?.take(limits::MIRROR_FOLDERS).count();
    (count > 0).then(|| {
        Finding::note(
            Code::ContainerdPreloaded,
            format!(
                "{folder} holds {}, which are loaded without asking a verifier",
                counted(count, "file")
            ),
            "write them with `luet-cosign pull IMAGE FILE.tar`, which verifies",
        )
    })
}
