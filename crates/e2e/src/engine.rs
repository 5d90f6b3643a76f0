//! What builds images and pushes them.

use crate::machine::{Seen, succeed};
use crate::process::Running;
use crate::{Machine, scratch, tools};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A build engine, as luet's option `--backend` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Without a daemon.
    Buildah,
    Docker,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Buildah, Self::Docker];

    /// Its name, of its program as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Docker => "docker",
        }
    }

    #[track_caller]
    pub fn program(self) -> PathBuf {
        tools::program(self.name())
    }

    /// Builds a Dockerfile's directory, in the network of the machine: registries are on loopback.
    pub fn build(self, machine: &Machine, tag: &str, folder: &Path, options: &[&str]) -> Seen {
        let mut command = machine.command(self.program());
        // The older builder has no `RUN --mount`.
        command.env("DOCKER_BUILDKIT", "1");
        command.args(["build", "--network=host", "-t", tag]).args(options).arg(folder);
        Seen::run(&mut command, &format!("{} build {}", self.name(), options.join(" ")))
    }

    #[track_caller]
    pub fn push(self, machine: &Machine, tag: &str) {
        succeed(machine.command(self.program()).args(["push", tag]));
    }
}

/// A docker engine in a directory of its own. It touches no firewall and makes no bridge. All ends
/// with the value.
pub struct Dockerd {
    process: Option<Running>,
    folder: TempDir,
}

impl Dockerd {
    /// Starts one, as root.
    #[track_caller]
    pub fn start() -> Self {
        let folder = scratch::folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let socket = format!("unix://{}", path("docker.sock"));
        let (data, exec, pid) = (path("data"), path("exec"), path("dockerd.pid"));
        let arguments = ["--data-root", &data, "--exec-root", &exec, "-p", &pid, "-H", &socket];
        let alone = ["--iptables=false", "--ip6tables=false", "--bridge=none"];
        let arguments = [&arguments[..], &alone].concat();
        let program = tools::program("dockerd");
        let mut process = Running::start("dockerd", folder.path(), &program, &arguments);
        process.until(|_| {
            let mut command = Command::new(tools::program("docker"));
            let output = command.args(["-H", &socket, "version"]).output().ok()?;
            output.status.success().then_some(())
        });
        Self { process: Some(process), folder }
    }

    /// What `DOCKER_HOST` is for it.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        drop(self.process.take());
        // What it may have left mounted would keep its directory alive.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut own: Vec<&str> =
            points.filter(|point| Path::new(point).starts_with(self.folder.path())).collect();
        own.sort_unstable();
        for point in own.into_iter().rev() {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
    }
}
