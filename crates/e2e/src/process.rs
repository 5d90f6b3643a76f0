//! Programs that run beside a trial, and end with the value.

use crate::{http, tools};
use rustix::process::Signal;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How long a program may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to end when it is asked to.
const END: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// A program in the background. Dropped, it is asked to end, and made to after a while.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    /// What asks it to end.
    end: Signal,
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// The kernel kills a child when the *thread* ends that started it, so one thread starts them all.
static STARTER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in orders {
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

/// Starts a command by the one thread.
///
/// # Panics
/// Where it cannot be started.
pub fn spawn(command: Command) -> Child {
    let (answer, answered) = channel();
    STARTER.send((command, answer)).expect("the starter runs");
    answered.recv().expect("the starter answers").expect("the program starts")
}

impl Running {
    /// Starts a program in a directory, with its output in the file `log` there.
    pub fn start(name: &str, folder: &Path, program: &Path, arguments: &[&str]) -> Self {
        let log = folder.join("log");
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(tools::program("setpriv"));
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", tools::path())
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output);
        Self { name: name.to_owned(), child: spawn(command), log, end: Signal::TERM }
    }

    /// Another signal than SIGTERM asks it to end.
    pub fn stopped_by(mut self, end: Signal) -> Self {
        self.end = end;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it wrote so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` has something to return; panics with the log when the program ends
    /// before, or after half a minute.
    #[track_caller]
    pub fn until<T>(&mut self, ready: impl FnMut(&Child) -> Option<T>) -> T {
        match self.wait(ready) {
            Ok(found) => found,
            Err(ended) => panic!("{} did not start ({ended}):\n{}", self.name, self.log()),
        }
    }

    fn wait<T>(&mut self, mut ready: impl FnMut(&Child) -> Option<T>) -> Result<T, String> {
        let end = Instant::now() + READY;
        loop {
            if let Some(found) = ready(&self.child) {
                return Ok(found);
            }
            let ended = self.child.try_wait().expect("a child of ours");
            if ended.is_some() || Instant::now() > end {
                return Err(format!("{ended:?}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it answers HTTP, and returns its address. Every program is started with port 0,
    /// so no two can collide.
    #[track_caller]
    pub fn address(&mut self) -> String {
        self.until(listening)
    }

    /// The same for a program that was given a port, which another one may have taken.
    pub fn address_unless_it_ends(&mut self) -> Option<String> {
        self.wait(listening).ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) =
            i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(process, self.end);
        }
        let end = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Its address, once it answers HTTP.
fn listening(child: &Child) -> Option<String> {
    let address = format!("127.0.0.1:{}", port(child.id())?);
    http::call(&address, "GET", "/v2/", &[], b"").ok().map(|_| address)
}

/// The port of 127.0.0.1 that a process listens on.
fn port(process: u32) -> Option<u16> {
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|entry| {
            let link = std::fs::read_link(entry.ok()?.path()).ok()?;
            let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
            Some(link)
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let port = u16::from_str_radix(local.split_once(':')?.1, 16).ok()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        (*state == "0A" && own.iter().any(|it| it == inode) && TcpStream::connect(address).is_ok())
            .then_some(port)
    })
}
