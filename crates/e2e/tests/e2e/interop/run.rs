//! `luet-cosign run -- luet`: the plugin is in force, whatever is on PATH.

use super::goods::{BOTH, text};
use super::{Case, Named};
use e2e::machine::Seen;
use e2e::tools;
use std::path::Path;

pub const RUN: &[Named] = &[
    ("installs-without-the-plugin-on-path", |case| {
        let seen = run(case, "ours/acme", &[]);
        seen.exited(0);
        seen.said("Enabled plugins");
        seen.said("images verified");
        case.installed(&BOTH);
    }),
    ("refuses-what-is-unsigned", |case| {
        let seen = run(case, "unsigned/acme", &[]);
        case.refused(&seen, "unsigned", "");
    }),
    // It says yes to everything.
    ("is-not-deceived-by-another-luet-cosign-on-path", |case| {
        case.machine.program("luet-cosign", "#!/bin/sh\necho \"{}\"\n");
        let seen = run(case, "unsigned/acme", &[]);
        case.refused(&seen, "unsigned", "");
    }),
    ("is-not-defeated-by-luet-plugin", |case| {
        case.machine.set("LUET_PLUGIN", "other");
        let seen = run(case, "unsigned/acme", &[]);
        case.refused(&seen, "unsigned", "");
    }),
    ("is-not-defeated-by-another-plugin", |case| {
        let seen = run(case, "unsigned/acme", &["--plugin", "other"]);
        case.refused(&seen, "unsigned", "");
    }),
    ("starts-nothing-that-could-drop-the-plugin", deaf_host),
    ("keeps-the-host-s-exit-code", keeps_exit_code),
];

/// Runs the program, which runs another one, on a machine without the plugin on PATH.
fn run_program(case: &mut Case<'_>, path: &str, program: &Path, words: &[&str]) -> Seen {
    let folders = format!("{}:{}", case.machine.path("bin").display(), tools::path());
    let real = case.machine.plugin().to_owned();
    assert!(tools::find("luet-cosign").is_err(), "it is on PATH");
    case.machine.set("PATH", folders);
    case.trusts("acme");
    case.machine.configure("acme", &[&case.made(path)]);
    let mut command = case.machine.command(real);
    command.args(["run", "--", text(program)]).args(words);
    command.arg("--config").arg(case.machine.path("luet.yaml"));
    Seen::run(&mut command, &format!("run -- {} {}", program.display(), words.join(" ")))
}

fn run(case: &mut Case<'_>, path: &str, more: &[&str]) -> Seen {
    let words = [&["install", "-y", "toolchain/yip"], more].concat();
    run_program(case, path, &case.host.program(), &words)
}

/// What is in front of the host could drop the flag, and everything would be installed
/// unverified: it is not started.
fn deaf_host(case: &mut Case<'_>) {
    let script = format!(
        "#!/bin/bash\nwords=()\nfor word; do [[ $word == --plugin* ]] || words+=(\"$word\"); done\n\
         unset LUET_PLUGIN\nexec \"{}\" \"${{words[@]}}\"\n",
        case.host.program().display()
    );
    case.machine.program("luet-deaf", &script);
    let deaf = case.machine.path("bin/luet-deaf");
    let seen = run_program(case, "unsigned/acme", &deaf, &["install", "-y", "toolchain/yip"]);
    seen.exited(2);
    seen.said("sudo luet-cosign run -- luet");
    case.installed(&[]);
}

fn keeps_exit_code(case: &mut Case<'_>) {
    let failing = case.machine.path("luet-false");
    std::fs::copy(tools::program("false"), &failing).expect("a program");
    let words = ["install", "-y", "toolchain/yip"];
    run_program(case, "ours/acme", &failing, &words).exited(1);
    let program = case.host.program();
    run_program(case, "ours/acme", &program, &["install", "-y", "no/such-package"]).exited(2);
}
