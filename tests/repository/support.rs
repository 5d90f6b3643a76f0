//! A registry, a program, two key pairs.

use serde_json::Value;
use std::process::Output;
use std::sync::OnceLock;
use testkit::{Options, PASSWORD, Plugin, TestRegistry};

pub const REPO: &str = "acme/packages";

pub struct World {
    pub registry: TestRegistry,
    pub plugin: Plugin,
}

/// Making and opening keys is what scrypt makes slow, so all tests share two pairs.
fn pairs() -> &'static [(String, String); 2] {
    static PAIRS: OnceLock<[(String, String); 2]> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let pair = || {
            let pair = luet_cosign::trust::PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
            (pair.private_pem.to_string(), pair.public_pem)
        };
        [pair(), pair()]
    })
}

pub fn world() -> World {
    with(Options::default())
}

pub fn with(options: Options) -> World {
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
    for (name, (private, public)) in ["acme", "stranger"].iter().zip(pairs()) {
        plugin.write(&format!("{name}.key"), private);
        plugin.write(&format!("{name}.pub"), public);
    }
    World { registry: TestRegistry::with(options), plugin: plugin.env("COSIGN_PASSWORD", PASSWORD) }
}

impl World {
    pub fn repository(&self) -> String {
        self.registry.name(REPO)
    }

    pub fn name(&self, tag: &str) -> String {
        self.registry.name(&format!("{REPO}:{tag}"))
    }

    pub fn file(&self, name: &str) -> String {
        self.plugin.path(name).display().to_string()
    }

    /// Signs images one by one, as `sign` does.
    #[track_caller]
    pub fn sign(&self, key: &str, tags: &[String]) {
        let mut words = vec!["sign".to_owned(), "--key".to_owned(), self.file(key)];
        words.extend(tags.iter().map(|tag| self.name(tag)));
        let output = self.plugin.run(words);
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs a command about the repository, with more words.
    pub fn run(&self, command: &str, words: &[&str]) -> Ran {
        let mut all = vec![command.to_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all.push(self.repository());
        Ran(self.plugin.run(all))
    }

    /// `verify-repo` with the key `acme`.
    pub fn verify(&self, words: &[&str]) -> Ran {
        let key = self.file("acme.pub");
        self.run("verify-repo", &[&["--key", key.as_str()], words].concat())
    }
}

#[derive(Debug)]
pub struct Ran(pub Output);

impl Ran {
    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.0.status.code(), Some(code), "\n{}\n{}", self.stdout(), self.stderr());
        self
    }

    /// The line about an image.
    #[track_caller]
    pub fn line(&self, tag: &str) -> String {
        let text = self.stdout();
        let is = |line: &&str| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|name| name.trim_end_matches(':').ends_with(&format!("{REPO}:{tag}")))
        };
        let mut found = text.lines().filter(is);
        let line = found.next().unwrap_or_else(|| panic!("no line about {tag}: {text}"));
        assert_eq!(found.next(), None, "one line about {tag}");
        line.to_owned()
    }

    /// The last line about an image of `sign-repo`, whose first words are two.
    #[track_caller]
    pub fn line_of(&self, tag: &str) -> String {
        let text = self.stdout();
        let is = |line: &&str| {
            let name = format!("{REPO}:{tag}");
            line.split_whitespace().any(|word| word.trim_end_matches(':').ends_with(&name))
        };
        let line = text.lines().rfind(is);
        line.unwrap_or_else(|| panic!("no line about {tag}: {text}")).to_owned()
    }

    pub fn last(&self) -> String {
        self.stdout().lines().last().unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap()
    }
}
