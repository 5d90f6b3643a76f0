//! `doctor`: what prevents verification on this machine. Asks no registry, changes
//! nothing; of the network only a key that the policy names by URL. `doctor --sign` asks what a
//! push would ask before it.
//!
//! Everything that it names was seen on the real luet to silently end in an unverified
//! install.

mod code;
mod containerd;

use self::code::Code;
use super::arguments::DoctorArgs;
use super::run::{PLUGIN, first_on_path};
use super::{Outcome, Streams};
use crate::class::{Class, Failure, counted};
use crate::config::{Environment, VARIABLES};
use crate::luet::{CommandLine, Configuration, cached};
use crate::name::{Reference, Repository};
use crate::policy::Severity;
use crate::push;
use crate::session::{
    Linted, Session, SessionOptions, describe_root, lint, policy_file, set_in_vain,
};
use crate::store::{Folder, Memory};
use rustix::fs::{Access, access};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where a policy comes from that is in no file.
const ENVIRONMENT: &str = "the environment";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// Something is not verified.
    Problem,
}

/// One finding, with the command or edit that fixes it.
#[derive(Debug)]
struct Finding {
    code: Code,
    weight: Weight,
    text: String,
    fix: Option<String>,
}

impl Finding {
    fn fine(code: Code, text: impl Into<String>) -> Self {
        Self { code, weight: Weight::Fine, text: text.into(), fix: None }
    }

    fn note(code: Code, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, weight: Weight::Note, text: text.into(), fix: Some(fix.into()) }
    }

    fn problem(code: Code, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, weight: Weight::Problem, text: text.into(), fix: Some(fix.into()) }
    }
}

pub(super) fn doctor(
    command: &DoctorArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let mut findings = Vec::new();
    if let Some(configuration) = &command.containerd {
        findings.extend(containerd::findings(configuration.as_deref(), environment)?);
        findings.extend(trusted_root(environment));
    } else if let Some(repository) = &command.sign {
        findings.extend(signing(repository, environment)?);
    } else {
        let configuration = Configuration::read(&CommandLine::default(), environment);
        findings.extend(plugin_on_path(environment));
        findings.extend(plugin_loaded(environment, &configuration)?);
        findings.extend(policy(environment));
        findings.extend(trusted_root(environment));
        findings.extend(variables(environment)?);
        findings.extend(repositories(&configuration));
        findings.extend(caches(environment, &configuration));
        findings.extend(state(environment));
    }
    let problems = findings.iter().filter(|finding| finding.weight == Weight::Problem).count();
    if as_json {
        streams.json(json!({"problems": problems, "findings": findings.iter().map(document).collect::<Vec<_>>()}))?;
    } else {
        for finding in &findings {
            let sign = match finding.weight {
                Weight::Fine => "ok     ",
                Weight::Note => "note   ",
                Weight::Problem => "PROBLEM",
            };
            streams.say(format!("{sign}  {} [{}]", finding.text, finding.code.word()))?;
            if let Some(fix) = &finding.fix {
                streams.say(format!("         -> {fix}"))?;
            }
        }
    }
    if !as_json && findings.iter().any(|finding| finding.weight != Weight::Fine) {
        streams.note("docs/doctor.md explains each finding by the word in brackets");
    }
    Ok(u8::from(problems > 0))
}

fn document(finding: &Finding) -> Value {
    let severity = match finding.weight {
        Weight::Fine => "ok",
        Weight::Note => "note",
        Weight::Problem => "problem",
    };
    json!({"code": finding.code.word(), "severity": severity, "message": finding.text, "fix": finding.fix})
}

/// What it takes to sign what is pushed to a repository.
fn signing(repository: &str, environment: &Environment) -> Result<Vec<Finding>, Failure> {
    // By the name of what is signed last: a policy may have rules for it alone.
    let named: Repository = repository.parse()?;
    let image: Reference = format!("{named}:repository.yaml").parse()?;
    if let Some(skipped) = push::not_signed(false, environment)? {
        return Ok(vec![Finding::problem(Code::Push, skipped.summary(), "unset LUET_COSIGN_SIGN")]);
    }
    let checked = Session::run(environment, &SessionOptions::default(), async |session| {
        Ok(push::rehearse(session, &image).await)
    })?;
    Ok(checked.into_iter().flat_map(of_checked).collect())
}

fn of_checked(checked: push::Rehearsed) -> Vec<Finding> {
    if let Some(failure) = checked.failure {
        return vec![Finding::problem(Code::Push, failure.full_line(), failure.the_hint())];
    }
    let notes = checked.notes.into_iter().map(|text| Finding {
        code: Code::Push,
        weight: Weight::Note,
        text,
        fix: None,
    });
    std::iter::once(Finding::fine(Code::Push, checked.fine)).chain(notes).collect()
}

/// luet takes the first `luet-cosign` on PATH, whatever it is.
fn plugin_on_path(environment: &Environment) -> Vec<Finding> {
    let path = environment.raw("PATH").unwrap_or_default();
    if path.is_empty() {
        return vec![Finding::problem(
            Code::Path,
            "PATH is not set: luet finds no plugin and silently installs unverified packages",
            "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )];
    }
    let Some(first) = first_on_path(path) else {
        return vec![Finding::problem(
            Code::Plugin,
            "no `luet-cosign` is on PATH: luet silently installs unverified packages",
            "install it into /usr/bin, or start luet by `luet-cosign run -- luet ...`",
        )];
    };
    let own = std::env::current_exe().ok().and_then(|own| own.metadata().ok());
    let found = first.metadata().ok();
    let same = matches!((&own, &found), (Some(own), Some(found)) if (own.dev(), own.ino()) == (found.dev(), found.ino()));
    let mut findings = Vec::new();
    if same {
        findings.push(Finding::fine(
            Code::Plugin,
            format!("the first `luet-cosign` on PATH is this one: {}", first.display()),
        ));
    } else {
        findings.push(Finding::problem(
            Code::Plugin,
            format!("the first `luet-cosign` on PATH is another program: {}", first.display()),
            format!(
                "remove it, or put this one before it: {}",
                std::env::current_exe().unwrap_or_default().display()
            ),
        ));
    }
    findings.extend(plugin_s_folder(&first));
    if let Some(found) = found.filter(|found| found.uid() != 0 || found.mode() & 0o022 != 0) {
        findings.push(Finding::problem(
            Code::PluginWritable,
            format!(
                "`{}` belongs to user {} and has mode {:o}: others than root can replace it",
                first.display(),
                found.uid(),
                found.mode() & 0o7777
            ),
            format!("chown root {0} && chmod 755 {0}", first.display()),
        ));
    }
    findings
}

/// Anyone who can write a directory can put another program into it, whatever the owner of the one there
/// to.
fn plugin_s_folder(first: &Path) -> Option<Finding> {
    let folder = first.parent()?;
    let found = folder.metadata().ok()?;
    (found.uid() != 0 || found.mode() & 0o022 != 0).then(|| {
        Finding::problem(Code::PluginWritable,
            format!(
                "the directory `{}` belongs to user {} and has mode {:o}: others than root can put another `luet-cosign` there",
                folder.display(),
                found.uid(),
                found.mode() & 0o7777
            ),
            format!("chown root {0} && chmod 755 {0}", folder.display()),
        )
    })
}

/// Flag before LUET_PLUGIN before configuration; the variable is split at spaces, the flag at
/// commas.
fn plugin_loaded(
    environment: &Environment,
    configuration: &Configuration,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let words = environment.words("LUET_PLUGIN")?;
    if let Some(word) = words.iter().find(|word| word.contains(',')) {
        findings.push(Finding::problem(Code::PluginLoaded,
            format!("LUET_PLUGIN names `{word}`, which luet takes for one plugin of that name and does not find"),
            format!("export LUET_PLUGIN='{}'", words.join(" ").replace(',', " ")),
        ));
    }
    let named = |list: &[String]| list.iter().any(|name| name == PLUGIN);
    if named(&words) {
        findings.push(Finding::fine(
            Code::PluginLoaded,
            "LUET_PLUGIN loads the plugin in every luet of this environment",
        ));
    } else if words.is_empty() && named(&configuration.plugins) {
        let file =
            configuration.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        findings.push(Finding::fine(Code::PluginLoaded, format!("{file} loads the plugin")));
    } else {
        findings.push(Finding::problem(Code::PluginLoaded,
            "neither LUET_PLUGIN nor luet's configuration loads the plugin: only luets with `--plugin luet-cosign` verify",
            "export LUET_PLUGIN=luet-cosign, or put `plugin: [luet-cosign]` into /etc/luet/luet.yaml",
        ));
    }
    findings.extend(configuration.unread.iter().map(|unread| {
        Finding::problem(
            Code::LuetConfiguration,
            format!("of luet's configuration this could not be read: {unread}"),
            "write it as luet's documentation does; the other keys are read",
        )
    }));
    if configuration.hides_system() {
        let file =
            configuration.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        findings.push(Finding::note(Code::LuetConfiguration,
            format!("luet reads {file} here, and so nothing of /etc/luet/luet.yaml, its `plugin:` included"),
            "use LUET_PLUGIN, which no file hides",
        ));
    }
    Ok(findings)
}

fn policy(environment: &Environment) -> Vec<Finding> {
    let place = match policy_file(environment, None) {
        Ok(Some((path, _))) => path.display().to_string(),
        Ok(None) => ENVIRONMENT.to_owned(),
        Err(failure) => {
            return vec![Finding::problem(Code::Policy, failure.line(), failure.the_hint())];
        }
    };
    match lint(environment, None) {
        Err(failure) => vec![Finding::problem(Code::Policy, failure.line(), failure.the_hint())],
        Ok(Linted { problems, .. }) => {
            let errors =
                problems.iter().filter(|problem| problem.severity == Severity::Error).count();
            let warnings = problems.len() - errors;
            if errors > 0 {
                vec![Finding::problem(
                    Code::Policy,
                    format!("the policy ({place}) has {}", counted(errors, "error")),
                    "luet-cosign policy lint",
                )]
            } else if warnings > 0 {
                vec![Finding::note(
                    Code::Policy,
                    format!("the policy ({place}) has {}", counted(warnings, "warning")),
                    "luet-cosign policy lint",
                )]
            } else if place == ENVIRONMENT
                && environment
                    .raw("COSIGN_PUBLIC_KEY_LOCATION")
                    .is_none_or(|value| value.is_empty())
            {
                vec![Finding::note(
                    Code::Policy,
                    "no trust configured: there is no policy file and COSIGN_PUBLIC_KEY_LOCATION is not set, so every image is refused",
                    "set COSIGN_PUBLIC_KEY_LOCATION, or write /etc/luet/luet-cosign/policy.yaml",
                )]
            } else {
                vec![Finding::fine(Code::Policy, format!("policy is valid: {place}"))]
            }
        }
    }
}

/// Which trusted root is in force, how old it is, and whether it can be made newer. No request is
/// made.
fn trusted_root(environment: &Environment) -> Vec<Finding> {
    match describe_root(environment) {
        Ok((root, warnings)) => {
            let spoilt = warnings.into_iter().map(|warning| {
                Finding::note(
                    Code::TrustedRoot,
                    warning,
                    "nothing has to be done: it is fetched again",
                )
            });
            std::iter::once(Finding::fine(Code::TrustedRoot, root)).chain(spoilt).collect()
        }
        // A policy with errors is a finding of its own.
        Err(failure) if failure.class() == Class::Policy => Vec::new(),
        Err(failure) => {
            vec![Finding::problem(Code::TrustedRoot, failure.line(), failure.the_hint())]
        }
    }
}

/// Variables that cosign would honour and that have no effect here, and those that a policy file
/// makes inert.
fn variables(environment: &Environment) -> Result<Vec<Finding>, Failure> {
    let known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
    // A key may be in a variable of any name.
    let holds_key = |name: &str| {
        VARIABLES.iter().filter_map(|variable| environment.raw(variable.name)).any(|value| {
            value.to_str().and_then(|value| value.strip_prefix("env://")) == Some(name)
        })
    };
    let stray = |name: &&str| {
        (name.starts_with("COSIGN_") || name.starts_with("LUET_COSIGN_"))
            && !known(name)
            && !holds_key(name)
    };
    let mut findings: Vec<Finding> = environment
        .names()
        .filter(stray)
        .map(|name| {
            Finding::note(
                Code::Variables,
                format!("{name} is set and has no effect"),
                format!("unset {name}"),
            )
        })
        .collect();
    findings.extend(set_in_vain(environment)?.into_iter().map(|name| {
        Finding::note(
            Code::Variables,
            format!("{name} is set, but a policy file decides what is verified"),
            format!("unset {name}, or say it in the policy"),
        )
    }));
    Ok(findings)
}

fn repositories(configuration: &Configuration) -> Vec<Finding> {
    let mut findings = Vec::new();
    for repository in &configuration.repositories {
        if repository.verify {
            findings.push(Finding::note(
                Code::Repositories,
                format!(
                    "the repository `{}` has `verify: true`, which luet ignores",
                    repository.name
                ),
                "remove it; what verifies is this plugin",
            ));
        }
        if repository.enabled && repository.kind != "docker" {
            findings.push(Finding::problem(Code::Repositories,
                format!(
                    "the repository `{}` is of type `{}`: luet fires no event for it, so nothing of it is verified",
                    repository.name, repository.kind
                ),
                "publish it with `luet create-repo --type docker`, or disable it",
            ));
        }
    }
    findings
}

/// What luet takes from its caches fires no event.
fn caches(environment: &Environment, configuration: &Configuration) -> Vec<Finding> {
    let first = environment
        .locations()
        .ok()
        .and_then(|locations| Memory::open_existing(&locations).ok())
        .flatten()
        .and_then(|memory| memory.all().ok());
    let since = first.and_then(|seen| seen.iter().map(|seen| seen.seconds).min());
    let cached = cached(configuration, since);
    let when = if since.is_some() {
        "from before anything was verified here"
    } else {
        "and nothing was verified here yet"
    };
    let mut findings = Vec::new();
    if cached.old_packages > 0 {
        findings.push(Finding::problem(
            Code::Caches,
            format!(
                "luet keeps {} package archives {when}, and installs them without an event: {}",
                cached.old_packages,
                cached.packages.display()
            ),
            "luet cleanup",
        ));
    }
    if !cached.old_repositories.is_empty() {
        findings.push(Finding::problem(
            Code::Caches,
            format!("luet keeps metadata {when} of: {}", cached.old_repositories.join(", ")),
            "luet repo update --plugin luet-cosign",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::fine(Code::Caches, "luet's caches hold nothing from before"));
    }
    findings
}

/// Returns why nothing can be written there: into the directory, or the one in which it would be made.
fn unwritable(path: &Path) -> Option<rustix::io::Errno> {
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok())?;
    access(there, Access::WRITE_OK | Access::EXEC_OK).err()
}

fn cannot_be_kept(what: &str, candidates: &[PathBuf]) -> Finding {
    let why: Vec<String> = candidates
        .iter()
        .filter_map(|path| Some(format!("`{}`: {}", path.display(), unwritable(path)?)))
        .collect();
    Finding::problem(
        Code::State,
        format!("{what} cannot be kept: {}", why.join("; ")),
        "mount it so that it can be written, or name another directory in LUET_COSIGN_STATE",
    )
}

fn state(environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    match environment.locations() {
        Err(failure) => {
            findings.push(Finding::problem(Code::State, failure.line(), failure.the_hint()))
        }
        Ok(locations) => {
            for (what, candidates) in [
                ("what was verified before", &locations.state),
                ("what one event leaves for the next", &locations.runs),
            ] {
                // Looking must not make anything.
                let there: Vec<_> = candidates
                    .iter()
                    .filter(|path| path.symlink_metadata().is_ok())
                    .cloned()
                    .collect();
                if there.is_empty() {
                    findings.push(
                        match candidates.iter().find(|path| unwritable(path).is_none()) {
                            Some(path) => Finding::fine(
                                Code::State,
                                format!("{what} will be kept in {}", path.display()),
                            ),
                            None => cannot_be_kept(what, candidates),
                        },
                    );
                    continue;
                }
                findings.push(match Folder::first_of(&there) {
                    Ok(folder) if unwritable(folder.path()).is_some() => {
                        cannot_be_kept(what, &there)
                    }
                    Ok(folder) => Finding::fine(
                        Code::State,
                        format!("{what} is kept in {}", folder.path().display()),
                    ),
                    Err(failure) => Finding::problem(
                        Code::State,
                        format!("{what} cannot be kept: {}", failure.text().replace('\n', "; ")),
                        failure.the_hint(),
                    ),
                });
            }
        }
    }
    if !rustix::process::geteuid().is_root() {
        findings.push(Finding::note(
            Code::Owners,
            "a luet that is not root cannot set owners, so owners are not compared",
            "run luet as root where owners matter",
        ));
    }
    findings
}
