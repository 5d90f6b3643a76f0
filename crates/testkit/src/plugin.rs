//! The real binary, called as the host calls it, in an environment that holds only what a test put
//! there.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program with its environment and its own directories, all of which vanish with it.
pub struct Plugin {
    program: PathBuf,
    folder: tempfile::TempDir,
    environment: BTreeMap<OsString, OsString>,
}

/// An answer to an event.
#[derive(Debug)]
pub struct Reply {
    pub exit: Option<i32>,
    pub state: String,
    pub error: String,
    pub stdout: String,
    pub stderr: String,
}

impl Reply {
    /// The class of a refusal: its first word.
    pub fn class(&self) -> &str {
        self.error.split(':').next().unwrap_or_default()
    }

    /// Asserts that the host would go on without a word.
    #[track_caller]
    pub fn assert_silent_success(&self) {
        assert_eq!(
            (self.exit, self.error.as_str(), self.state.as_str()),
            (Some(0), "", ""),
            "{self:?}"
        );
    }

    /// Asserts that the host would print a text of this class and stop.
    #[track_caller]
    pub fn assert_refused(&self, class: &str) {
        assert_eq!(
            self.exit,
            Some(0),
            "a refusal must be exit 0, or the host throws it away: {self:?}"
        );
        assert_eq!(self.class(), class, "{self:?}");
        assert!(self.error.contains("\nhint: "), "{self:?}");
    }
}

/// Makes the directories of one machine in `top`: what it remembers and what a run keeps, what is
/// temporary, and a home. Returns the variables by which the program finds them.
pub fn folders(top: &Path) -> Vec<(&'static str, PathBuf)> {
    let folder = |(variable, name)| {
        let path = top.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory");
        (variable, path)
    };
    let mut folders: Vec<_> = [("TMPDIR", "tmp"), ("HOME", "home")].map(folder).into();
    let (variable, state) = folder(("LUET_COSIGN_STATE", "state"));
    folders.push((variable, state.join("luet-cosign")));
    folders
}

impl Plugin {
    pub fn new(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let environment = folders(folder.path())
            .into_iter()
            .map(|(name, path)| (name.into(), path.into_os_string()))
            .collect();
        let plugin = Self { program: PathBuf::from(program), folder, environment };
        plugin
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            // Nothing of this machine's own policy may decide a test.
            .env("LUET_COSIGN_POLICY", "")
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.into(), value.into());
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.remove(&OsString::from(name));
    }

    /// A path in the plugin's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the plugin's own directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Makes an empty directory for an image to be unpacked into.
    pub fn dest(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).expect("a directory");
        path
    }

    pub fn raw(&self) -> Command {
        self.raw_of(&self.program)
    }

    /// Another program, in the same environment.
    pub fn raw_of(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the command line.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.raw().args(arguments).output().expect("the program runs")
    }

    /// Sends an event with its payload as the second argument.
    pub fn send(&self, event: &str, envelope: &str) -> Reply {
        reply(self.raw().args([event, envelope]).output().expect("the program runs"))
    }

    /// Sends an event with its payload on standard input.
    pub fn send_on_input(&self, event: &str, envelope: &[u8]) -> Reply {
        let mut child = self
            .raw()
            .arg(event)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        // A program that answers without reading closes the pipe.
        let _ = child.stdin.take().expect("a pipe").write_all(envelope);
        reply(child.wait_with_output().expect("the program ends"))
    }

    fn unpack(&self, event: &str, image: &str, dest: &Path) -> Reply {
        self.send(event, &envelope(event, &json!({"Image": image, "Dest": dest})))
    }

    pub fn pre_unpack(&self, image: &str, dest: &Path) -> Reply {
        self.unpack("image.pre.unpack", image, dest)
    }

    pub fn post_unpack(&self, image: &str, dest: &Path) -> Reply {
        self.unpack("image.post.unpack", image, dest)
    }

    fn push(&self, event: &str, image: &str) -> Reply {
        let data = json!({"ImageName": image, "SourcePath": "", "DockerFileName": "", "Destination": "", "Context": "", "BackendArgs": null});
        self.send(event, &envelope(event, &data))
    }

    pub fn pre_push(&self, image: &str) -> Reply {
        self.push("image.pre.push", image)
    }

    pub fn post_push(&self, image: &str) -> Reply {
        self.push("image.post.push", image)
    }
}

/// The envelope as luet writes it: the payload is a string that holds JSON.
pub fn envelope(event: &str, data: &Value) -> String {
    json!({"name": event, "data": data.to_string(), "file": ""}).to_string()
}

fn reply(output: Output) -> Reply {
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let answer: Value = serde_json::from_str(&stdout).unwrap_or_default();
    let text =
        |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("(no answer)").to_owned();
    Reply {
        exit: output.status.code(),
        state: text("state"),
        error: text("error"),
        stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into(),
    }
}

/// A key pair as the program makes it, in files of a plugin's directory.
pub struct Keys {
    pub private: PathBuf,
    pub public: PathBuf,
}

/// The password of every key in a test. Looked for in every output, where it must never be.
pub const PASSWORD: &str = "canary-password";

pub fn make_keys(plugin: &Plugin, name: &str) -> Keys {
    let pair = luet_cosign::trust::PrivateKey::generate(PASSWORD.as_bytes()).expect("a key");
    let private = plugin.write(&format!("{name}.key"), pair.private_pem.as_bytes());
    let public = plugin.write(&format!("{name}.pub"), pair.public_pem.as_bytes());
    Keys { private, public }
}
