//! kairos-agent and elemental, which run `cosign` before they pull an image by themselves. Their own
//! code is Go and not part of this project: callers with the same arguments and environment stand in.

use crate::trial;
use e2e::machine::succeed;
use e2e::registry::Image;
use e2e::{Machine, Maker, Registry, layers};
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

/// The trial that needs all of Sigstore.
pub const KEYLESS: &str = "hosts::cosign-keyless-by-the-policy";

/// The agents, and what each puts before its other arguments.
const AGENTS: [(&str, &[&str]); 3] =
    [("kairos-agent", &[]), ("elemental", &[]), ("elemental-debug", &["-d=true"])];

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = AGENTS
        .iter()
        .map(|(name, first)| {
            trial(format!("hosts::cosign::{name}"), shared, |shared| by_key(shared, first))
        })
        .collect();
    trials.push(trial(KEYLESS.to_owned(), shared, keyless));
    trials
}

/// What an agent makes of a call: it goes on, or it stops with an exit code and logs all of the
/// output on one line.
type Answer = Result<(), (Option<i32>, String)>;

/// Calls as an agent does: `cosign` by `PATH`, nothing to read, an empty directory for TUF that goes
/// away afterwards; and without a key a variable that meant keyless to cosign 1.
fn ask(machine: &Machine, first: &[&str], key: Option<&Path>, image: &str) -> Answer {
    let tuf = tempfile::tempdir_in(machine.path("")).expect("a directory");
    let mut command = machine.command("cosign");
    command.args(first).env("TUF_ROOT", tuf.path());
    match key {
        Some(key) => command.arg("-key").arg(key),
        None => command.env("COSIGN_EXPERIMENTAL", "1"),
    };
    let output = command.arg(image).output().expect("`cosign` on PATH");
    let left = std::fs::read_dir(tuf.path()).expect("a directory").count();
    assert_eq!(left, 0, "something was kept where it is thrown away");
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err((output.status.code(), String::from_utf8(text).expect("UTF-8")))
}

/// The agent stops, and what it logs begins with class and image.
#[track_caller]
fn stops(answer: Answer, exit: i32, class: &str, image: &str) {
    let (code, text) = answer.expect_err("it went on");
    assert_eq!(code, Some(exit), "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with(&format!("error: {class}: `{image}`: ")), "{text}");
}

/// Puts the program on `PATH` as `cosign`.
fn install(machine: &Machine) {
    let mut command = machine.command(machine.plugin());
    succeed(command.arg("install-shim").arg(machine.path("bin")));
}

fn push(registry: &Registry, tag: &str) -> String {
    let image = Image::new(&format!("{}/acme/os:{tag}", registry.address()));
    image.push(&[layers::of_file("etc/file", tag.as_bytes())]);
    image.to_string()
}

fn by_key(shared: &crate::Shared, first: &[&str]) {
    let registry = Registry::docker();
    let machine = shared.world.machine();
    install(&machine);
    let key = shared.world.key("acme.pub");
    let ask = |key: &Path, image: &str| ask(&machine, first, Some(key), image);
    let makers = [Maker::Ours, Maker::Cosign2, Maker::Cosign3];
    for (maker, tag) in makers.iter().zip(["ours", "cosign2", "cosign3"]) {
        let image = push(&registry, tag);
        maker.sign(&machine, &shared.world.key("acme.key"), std::slice::from_ref(&image));
        assert_eq!(ask(&key, &image), Ok(()));
        let digest = Image::new(&image).digest();
        assert_eq!(ask(&key, &format!("{}/acme/os@{digest}", registry.address())), Ok(()));
    }
    let unsigned = push(&registry, "unsigned");
    stops(ask(&key, &unsigned), 10, "unsigned", &unsigned);
    let stranger = machine.path("stranger");
    let mut command = machine.command(machine.plugin());
    succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(&stranger));
    let strangers = push(&registry, "stranger");
    let stranger = stranger.with_extension("key");
    Maker::Ours.sign(&machine, &stranger, std::slice::from_ref(&strangers));
    stops(ask(&key, &strangers), 12, "identity", &strangers);
    let signed = format!("{}/acme/os:ours", registry.address());
    stops(ask(&machine.path("nowhere.pub"), &signed), 3, "secret", &signed);
    let address = registry.address().to_owned();
    drop(registry);
    let gone = format!("{address}/acme/os:ours");
    stops(ask(&key, &gone), 20, "net", &gone);
}

fn keyless(shared: &crate::Shared) {
    let registry = Registry::olareg(&[]);
    let mut machine = Machine::new(shared.world.plugin());
    install(&machine);
    let job = crate::containerd::Job::new(shared, &machine.path(""));
    let text = format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners: {{{}}}\n\
         repositories:\n  - {{name: acme, scope: '{}/**', trust: [acme]}}\n",
        job.signer(),
        registry.address()
    );
    std::fs::write(machine.path("policy.yaml"), text).expect("a file");
    let (good, stranger) = (push(&registry, "good"), push(&registry, "stranger"));
    job.signs(&good);
    job.stranger_signs(&stranger);
    // The variable trusts nobody by itself.
    machine.set("COSIGN_TRUSTED_ROOT", machine.path("root.json"));
    stops(ask(&machine, &[], None, &good), 12, "identity", &good);
    machine.unset("COSIGN_TRUSTED_ROOT");
    machine.set("LUET_COSIGN_POLICY", machine.path("policy.yaml"));
    let ask = |image: &str| ask(&machine, &[], None, image);
    assert_eq!(ask(&good), Ok(()));
    stops(ask(&stranger), 12, "identity", &stranger);
    let unsigned = push(&registry, "unsigned");
    stops(ask(&unsigned), 10, "unsigned", &unsigned);
    std::fs::write(machine.path("policy.yaml"), "version: 2\n").expect("a file");
    stops(ask(&good), 3, "policy", &good);
}
