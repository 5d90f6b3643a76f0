//! `man` and `completions`: made from the same description of the command line that is parsed.

use super::arguments::Arguments;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::VARIABLES;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;
use std::path::Path;

const NAME: &str = "luet-cosign";

/// Files that are read or written, for the manual.
const FILES: &[(&str, &str)] = &[
    (
        "/etc/luet/luet-cosign/policy.yaml",
        "the policy of the system; LUET_COSIGN_POLICY names another",
    ),
    ("~/.config/luet-cosign/policy.yaml", "a user's policy, where there is none of the system"),
    ("/usr/share/luet-cosign/policy.yaml", "a distribution's policy, where there is no other"),
    (
        "/var/lib/luet-cosign",
        "what was verified before, and trusted roots; without root ~/.local/state/luet-cosign",
    ),
    (
        "/run/luet-cosign",
        "what one event leaves for the next; without root a directory below TMPDIR",
    ),
    (
        "~/.docker/config.json, containers/auth.json",
        "credentials for registries, as docker and podman keep them",
    ),
    (
        "/etc/luet/luet.yaml, /etc/luet/repos.conf.d",
        "luet's configuration: its repositories and their `auth`",
    ),
];

/// How `luet cosign ...` is completed: luet runs any `luet-X` on PATH as `luet X`. What luet
/// completes by itself goes on being completed.
const BASH: &str = r#"
_luet__cosign__of_luet() {
    if [[ ${COMP_CWORD} -ge 2 && ${COMP_WORDS[1]} == cosign ]]; then
        COMP_WORDS=(luet-cosign "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _luet__cosign luet-cosign "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    elif declare -F __start_luet >/dev/null; then
        __start_luet "$@"
    fi
}
complete -F _luet__cosign__of_luet -o bashdefault -o default luet
"#;
const ZSH: &str = r#"
_luet-cosign-of-luet() {
    if (( CURRENT > 2 )) && [[ ${words[2]} == cosign ]]; then
        shift words
        words[1]=luet-cosign
        (( CURRENT-- ))
        _luet-cosign "$@"
    elif (( $+functions[_luet] )); then
        _luet "$@"
    else
        _default
    fi
}
(( $+functions[compdef] )) && compdef _luet-cosign-of-luet luet
"#;
const FISH: &str = r#"
complete -c luet -n '__fish_seen_subcommand_from cosign' -f -a '(complete -C "luet-cosign "(string join " " -- (commandline -opc)[3..])" "(commandline -ct))'
"#;

pub(super) fn completions(shell: Shell, as_json: bool, streams: &mut Streams) -> Outcome {
    let script = script(shell);
    if as_json {
        return streams.json(json!({"shell": shell.to_string(), "script": script})).map(|()| 0);
    }
    streams.own(script.as_bytes()).map(|()| 0)
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        // clap_complete 4.6 takes the dash in the name for one between commands in every other
        // place, and so finds none behind the first.
        Shell::Bash => text.replace("luet__subcmd__cosign", "luet__cosign") + BASH,
        Shell::Zsh => text + ZSH,
        Shell::Fish => text + FISH,
        _ => text,
    }
}

/// Prints the page of the program, or of a command; or writes all of them into a directory.
pub(super) fn man(
    command: &[String],
    dir: Option<&Path>,
    as_json: bool,
    streams: &mut Streams,
) -> Outcome {
    let mut program = Arguments::command().name(NAME).bin_name(NAME);
    program.build();
    if let Some(dir) = dir {
        let mut written = Vec::new();
        for (name, page) in pages(&program, NAME.to_owned())? {
            let path = dir.join(format!("{name}.1"));
            std::fs::write(&path, page).map_err(|error| {
                Failure::new(
                    Class::Usage,
                    format!("`{}` cannot be written: {error}", path.display()),
                )
            })?;
            written.push(path.display().to_string());
        }
        if as_json {
            streams.json(json!({"pages": written}))?;
        }
        return Ok(0);
    }
    let (mut found, mut name) = (&program, NAME.to_owned());
    for word in command {
        found = found
            .find_subcommand(word)
            .ok_or_else(|| Failure::new(Class::Usage, format!("there is no command `{word}`")))?;
        name = format!("{name}-{word}");
    }
    let page = page(found, &name)?;
    if as_json {
        let text = String::from_utf8_lossy(&page);
        return streams.json(json!({"name": name, "page": text})).map(|()| 0);
    }
    streams.own(&page).map(|()| 0)
}

/// Returns the pages of a command and of all below it, by their names.
fn pages(command: &Command, name: String) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut all = vec![(name.clone(), page(command, &name)?)];
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for below in command.get_subcommands().filter(shown) {
        all.extend(pages(below, format!("{name}-{}", below.get_name()))?);
    }
    Ok(all)
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION")).to_owned();
    clap_mangen::Man::new(command.clone())
        .title(name.to_owned())
        .source(format!("{NAME} {version}"))
        .render(&mut bytes)
        .map_err(|error| Failure::new(Class::Internal, error))?;
    if name == NAME {
        section(
            "ENVIRONMENT",
            VARIABLES.iter().map(|found| (found.name, found.meaning)),
            &mut bytes,
        );
        section("FILES", FILES.iter().copied(), &mut bytes);
    } else {
        section(
            "SEE ALSO",
            [(NAME, "the variables and files of every command")].into_iter(),
            &mut bytes,
        );
    }
    Ok(bytes)
}

/// Adds a list of names and what they mean.
fn section<'a>(title: &str, entries: impl Iterator<Item = (&'a str, &'a str)>, page: &mut Vec<u8>) {
    page.extend(format!(".SH \"{title}\"\n").into_bytes());
    for (name, meaning) in entries {
        page.extend(format!(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(meaning)).into_bytes());
    }
}

/// Returns a text as roff shows it: nothing in it is a request or an escape.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is completed behind a command is found by a name, which must be one that is set.
    #[test]
    fn bash_completes_behind_every_command() {
        let script = script(Shell::Bash);
        let set: Vec<&str> = script
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'))
            .filter(|name| !name.is_empty())
            .collect();
        assert!(set.len() > 20, "{set:?}");
        for name in set {
            assert!(script.contains(&format!("\n        {name})\n")), "{name}");
        }
        assert!(script.contains("complete -F _luet__cosign__of_luet"));
    }

    #[test]
    fn every_command_has_a_page_and_the_first_one_has_variables_and_files() {
        let mut program = Arguments::command().name(NAME).bin_name(NAME);
        program.build();
        let all = pages(&program, NAME.to_owned()).unwrap();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["luet-cosign", "luet-cosign-verify", "luet-cosign-policy-lint"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let first = String::from_utf8(all[0].1.clone()).unwrap();
        for variable in VARIABLES {
            assert!(first.contains(variable.name), "{}", variable.name);
        }
        assert!(first.contains(".SH \"FILES\"") && first.contains("policy.yaml"));
        for (name, _) in &all {
            let below = name.strip_prefix("luet-cosign-");
            assert!(below.is_none_or(|below| !below.is_empty() && !below.contains("help")));
        }
    }

    #[test]
    fn nothing_in_a_text_is_a_request() {
        assert_eq!(roff(".so x"), "\\&.so x");
        assert_eq!(roff("a-b\\fB"), "a\\-b\\efB");
    }
}
