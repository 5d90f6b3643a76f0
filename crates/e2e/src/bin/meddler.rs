//! Stands on `PATH` as luet-cosign: does something for one event of one image, and becomes the real
//! program, so that the host stays its parent.
//!
//! `--swap IMAGE TAG LAYER` instead pushes IMAGE under a tag with another last layer.
//!
//! `MEDDLE` is `EVENT|END OF IMAGE|WHAT`, `MEDDLED` a file that says afterwards that it happened,
//! `REAL` the real program.

use e2e::registry::Image;
use serde_json::Value;
use std::env::var;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, process, file] = arguments.as_slice()
        && first == "--after"
    {
        return after(process.parse().expect("a process"), file);
    }
    if let [first, image, tag, layer] = arguments.as_slice()
        && first == "--swap"
    {
        Image::new(image).swap(tag, &fs::read(layer).expect("a file"));
        return say("swapped");
    }
    let meddle = var("MEDDLE").expect("MEDDLE");
    let mut words = meddle.split('|');
    let (event, image, what) = (words.next(), words.next(), words.next());
    if arguments.first().map(String::as_str) == event {
        let envelope: Value = serde_json::from_str(&arguments[1]).expect("JSON");
        let payload: Value =
            serde_json::from_str(envelope["data"].as_str().expect("data")).expect("JSON");
        if payload["Image"].as_str().expect("an image").ends_with(image.expect("an image")) {
            let dest = payload["Dest"].as_str().expect("a directory");
            change(Path::new(dest), what.expect("what"));
        }
    }
    let error = Command::new(var("REAL").expect("REAL")).arg0("luet-cosign").args(arguments).exec();
    panic!("{error}");
}

/// Waits until the process has ended that started this one, and says so. The host waits for this
/// program too, which has its output open.
fn after(process: u32, file: &str) {
    while parent_id() == process {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(file, "ended").expect("a file");
}

fn change(dest: &Path, what: &str) {
    let at = |path: &str| dest.join(path);
    let mode = |path: &str, mode| {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let meddled = var("MEDDLED").expect("MEDDLED");
    match what {
        "extra" => fs::write(at("usr/bin/extra"), "EVIL").expect("a file"),
        "change" => {
            let mut file = OpenOptions::new().write(true).open(at("usr/bin/beer")).expect("a file");
            file.write_all(b"EVIL").expect("a file");
        }
        "missing" => fs::remove_file(at("etc/beer.conf")).expect("a file"),
        "mode" => mode("etc/beer.conf", 0o666),
        "setuid" => mode("usr/bin/beer", 0o4755),
        "link" => {
            fs::remove_file(at("usr/bin/ale")).expect("a link");
            symlink("/tmp/evil", at("usr/bin/ale")).expect("a link");
        }
        "owner" => chown(at("usr/bin/beer"), Some(1000), Some(1000)).expect("root"),
        "replaced" => {
            fs::remove_file(at("usr/bin/beer")).expect("a file");
            symlink("/bin/sh", at("usr/bin/beer")).expect("a link");
        }
        "moved" => {
            let old = format!("{}.old", dest.display());
            fs::rename(dest, old).expect("a directory");
            fs::create_dir(dest).expect("a directory");
            fs::set_permissions(dest, fs::Permissions::from_mode(0o700)).expect("a mode");
        }
        "label" => label(dest),
        // Says that it happened once the real program has ended.
        "then" => {
            let own = std::env::current_exe().expect("this program");
            let process = std::process::id().to_string();
            // It outlives this program, which is another one by then; the host waits for both.
            #[allow(clippy::zombie_processes)]
            Command::new(own).args(["--after", &process, &meddled]).spawn().expect("this program");
            return;
        }
        _ => panic!("what is {what}?"),
    }
    say(what);
}

/// Says that it happened.
fn say(what: &str) {
    let meddled = var("MEDDLED").expect("MEDDLED");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).mode(0o600).open(meddled).expect("a file");
    writeln!(file, "{what}").expect("a file");
}

/// Gives everything a label of SELinux.
fn label(path: &Path) {
    let value = b"system_u:object_r:tmp_t:s0\0";
    rustix::fs::lsetxattr(path, "security.selinux", value, rustix::fs::XattrFlags::empty())
        .expect("root, and a file system with labels");
    if path.symlink_metadata().expect("an entry").is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            label(&entry.expect("an entry").path());
        }
    }
}
