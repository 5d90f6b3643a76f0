//! The real containerd, with a root, a state and a socket of its own, and one verifier.
//!
//! It runs in a mount and a PID namespace of its own: what it mounts, and what it starts, ends with
//! it. Its environment has neither `HOME` nor anything else of ours but where the policy and the
//! memory lie. Needs root.

use crate::process::Running;
use crate::registry::{Image, PackedLayer};
use crate::{go, scratch, tools};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Starts it where it can leave nothing in `/run`.
const START: &str = "mount -t tmpfs tmpfs /run && mkdir /run/lock && exec env -i \"$@\"";

/// One that was started.
pub struct Containerd {
    // Dropped in this order: the process, then its directory.
    process: Running,
    folder: TempDir,
}

/// What a client was told about one image.
#[derive(Debug)]
pub struct Pulled {
    pub image: String,
    pub ok: bool,
    pub error: String,
    pub took: Duration,
    /// What a container wrote.
    pub output: String,
}

impl Pulled {
    fn read(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |key: &str| value[key].as_str().expect("text").to_owned();
        Self {
            image: text("image"),
            ok: value["ok"].as_bool().expect("a verdict"),
            error: text("error"),
            took: Duration::from_millis(value["milliseconds"].as_u64().expect("a number")),
            output: text("output"),
        }
    }

    #[track_caller]
    pub fn admitted(&self) {
        assert!(self.ok, "{self:?}");
    }

    /// Asserts that the verifier refused it, and that its line is in the error.
    #[track_caller]
    pub fn refused(&self, class: &str, text: &str) {
        assert!(!self.ok, "{self:?}");
        let line = format!("rejected image (exit code 1): {class}: ");
        assert!(self.error.contains(&line) && self.error.contains(text), "{self:?}");
        assert!(self.took < Duration::from_secs(9), "{self:?}");
    }
}

impl Containerd {
    /// Starts one that asks this program. `policy` is the directory with `policy.yaml`; `more` is added
    /// to its configuration.
    pub fn start(verifier: Option<&Path>, policy: &Path, more: &str) -> Self {
        let folder = scratch::folder();
        let path = |name: &str| folder.path().join(name);
        let bin = path("bin");
        std::fs::create_dir(&bin).expect("a directory");
        if let Some(verifier) = verifier {
            std::fs::copy(verifier, bin.join("luet-cosign")).expect("the program");
        }
        std::fs::write(path("config.toml"), configuration(folder.path(), more)).expect("a file");
        let own = containerd("containerd");
        let search =
            format!("PATH={}:{}", own.parent().expect("a directory").display(), tools::path());
        let policy = format!("LUET_COSIGN_POLICY={}", policy.join("policy.yaml").display());
        let state = format!("LUET_COSIGN_STATE={}", path("memory").display());
        let own = own.to_str().expect("UTF-8");
        let config = path("config.toml").display().to_string();
        let arguments = [
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
            "sh",
            "-euc",
            START,
            "sh",
            &search,
            &policy,
            &state,
            own,
            "--config",
            &config,
        ];
        let unshare = tools::program("unshare");
        let mut process = Running::start("containerd", folder.path(), &unshare, &arguments);
        let socket = path("socket");
        process.until(|_| UnixStream::connect(&socket).ok());
        Self { process, folder }
    }

    /// The configuration that it was started with.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// Where its verifiers lie.
    pub fn verifiers(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Pulls images as kubelet does: one after another, or at once.
    #[track_caller]
    pub fn pull(&self, images: &[String], at_once: bool) -> Vec<Pulled> {
        let words: Vec<&str> =
            at_once.then_some("-p").into_iter().chain(images.iter().map(String::as_str)).collect();
        let answers = self.cri("pull", &words);
        assert_eq!(answers.len(), images.len(), "{answers:?}");
        answers
    }

    /// Runs a Pod of one container to its end.
    #[track_caller]
    pub fn run(&self, image: &str) -> Pulled {
        let folder = self.folder.path().join("pod");
        std::fs::create_dir_all(&folder).expect("a directory");
        let folder = folder.display().to_string();
        self.cri("run", &[image, &folder, &self.cgroup()]).pop().expect("an answer")
    }

    /// Pulls an image as a person does.
    pub fn ctr(&self, image: &str, words: &[&str]) -> (bool, String) {
        let output = Command::new(containerd("ctr"))
            .arg("--address")
            .arg(self.folder.path().join("socket"))
            .args(["image", "pull", "--snapshotter", "native"])
            .args(words)
            .arg(image)
            .env_clear()
            .output()
            .expect("ctr runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// `ctr image import`, and the names of all images that are there then.
    #[track_caller]
    pub fn import(&self, file: &Path) -> String {
        let ctr = |words: &[&str], file: Option<&Path>| {
            let mut command = Command::new(containerd("ctr"));
            command.arg("--address").arg(self.folder.path().join("socket")).args(words);
            crate::machine::succeed(command.args(file).env_clear())
        };
        ctr(&["image", "import", "--snapshotter", "native"], Some(file));
        String::from_utf8(ctr(&["image", "list", "-q"], None)).expect("UTF-8")
    }

    #[track_caller]
    fn cri(&self, what: &str, words: &[&str]) -> Vec<Pulled> {
        let mut command = Command::new(go::program("cri"));
        command.arg(self.folder.path().join("socket")).arg(what).args(words);
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {text}{why}\n{}", self.log());
        text.lines().map(Pulled::read).collect()
    }

    fn cgroup(&self) -> String {
        format!("/luet-cosign-e2e-{}", self.process.id())
    }
}

impl Drop for Containerd {
    /// `unshare` passes no signals on, so the one that it waits for is asked to end.
    fn drop(&mut self) {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
            if let Some(child) = Pid::from_raw(child) {
                let _ = kill_process(child, Signal::TERM);
            }
        }
        // The control groups that a runtime made for Pods, empty by now.
        let cgroup = self.cgroup();
        for controller in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(controller.path().join(&cgroup[1..]));
        }
        let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(&cgroup[1..]));
    }
}

/// The programs are in a directory of their own: dockerd starts whatever is called containerd on PATH.
fn containerd(name: &str) -> PathBuf {
    let path = tools::folder().join("containerd").join(name);
    assert!(path.is_file(), "`{}` is missing: run `.ci/tools.sh`", path.display());
    path
}

fn configuration(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "version = 3\nroot = '{folder}/root'\nstate = '{folder}/state'\n\
         [grpc]\naddress = '{folder}/socket'\n\
         [debug]\nlevel = 'debug'\n\
         [plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '{folder}/bin'\n\
         [plugins.'io.containerd.nri.v1.nri']\ndisable = true\n\
         [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\n\
         platform = 'linux/amd64'\nsnapshotter = 'native'\ndiffer = 'walking'\n\
         [plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n"
    );
    let _ = writeln!(text, "{more}");
    text
}

/// Pushes an image of one static program.
pub fn push_program(image: &Image, program: &Path, arguments: &[&str]) {
    let bytes = std::fs::read(program).expect("the program");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len().try_into().expect("a size"));
    header.set_mode(0o755);
    // By its own name, by which some know what they are.
    let name = program.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    builder.append_data(&mut header, name, bytes.as_slice()).expect("memory");
    let blob = builder.into_inner().expect("memory");
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let layer = PackedLayer { id: testkit::digest(&blob), blob, kind };
    let path = format!("/{name}");
    let command: Vec<&str> = [&[path.as_str()], arguments].concat();
    image.push_configured(&[layer], &json!({"Entrypoint": command}));
}
