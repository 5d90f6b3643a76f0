//! L01 to L11: the files that the program keeps, as someone else left them.

use crate::cases::Cases;
use crate::events::shell;
use crate::world::{Place, REPO, World, class_of};
use luet_cosign::limits;
use serde_json::json;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use testkit::envelope;

pub(crate) fn cases(cases: &mut Cases) {
    folders(cases);
    planted(cases);
    poisoned(cases);
    stale(cases);
    full(cases);
    locks(cases);
    growth(cases);
    logs(cases);
}

/// A world that installed its signed image once, so that every directory and file of ours is there.
fn used() -> World {
    let world = World::signed();
    assert_eq!(world.install_and_unpack(|dest| world.unpack(dest)), "");
    world
}

fn state(world: &World) -> PathBuf {
    world.plugin.path("state/luet-cosign")
}

fn runs(world: &World) -> PathBuf {
    world.plugin.path("state/luet-cosign/runs")
}

/// The files below `folder` whose name begins with `prefix`.
fn found(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if entry.file_name().to_string_lossy().starts_with(prefix) {
                files.push(path);
            }
        }
    }
    files
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// L01: directories. What is there and cannot be used refuses: going on without would forget what is in
/// it.
fn folders(cases: &mut Cases) {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 4] = [
        ("open to all", |path| mode(path, 0o777)),
        ("open to a group", |path| mode(path, 0o770)),
        ("a link", |path| {
            let moved = path.with_file_name("moved");
            std::fs::rename(path, &moved).unwrap();
            symlink(moved, path).unwrap();
        }),
        ("a file", |path| {
            std::fs::remove_dir_all(path).unwrap();
            std::fs::write(path, "").unwrap();
        }),
    ];
    for (what, spoil) in spoils {
        cases.add("L01", format!("the memory's directory is {what}"), "state", move || {
            let world = used();
            spoil(&state(&world));
            world.install()
        });
        cases.add("L01", format!("the run's own directory is {what}"), "state", move || {
            let world = World::signed();
            let dest = world.dest();
            assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "");
            let own = std::fs::read_dir(runs(&world)).unwrap().next().unwrap().unwrap().path();
            spoil(&own);
            class_of(&world.plugin.post_unpack(&world.name(), &dest))
        });
    }
    cases.add("L01", "the directory above can be written by all", "state", || {
        let world = used();
        mode(&world.plugin.path("state"), 0o777);
        world.install()
    });
}

/// L02: links and pipes where files of ours will be.
fn planted(cases: &mut Cases) {
    for (what, prefix) in [("the memory", "seen-"), ("the lock of the memory", "lock-")] {
        for kind in ["a link", "a pipe"] {
            // A memory that cannot be written is a warning where the image was verified; one that
            // cannot be read refuses.
            let expected = if prefix == "lock-" { "" } else { "state" };
            cases.add("L02", format!("{kind} in the place of {what}"), expected, move || {
                let world = used();
                let outside = world.plugin.write("outside", "precious");
                let files = found(&state(&world), prefix);
                assert!(!files.is_empty());
                for path in files {
                    std::fs::remove_file(&path).unwrap();
                    if kind == "a link" {
                        symlink(&outside, &path).unwrap();
                    } else {
                        let rights = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                        rustix::fs::mknodat(
                            rustix::fs::CWD,
                            &path,
                            rustix::fs::FileType::Fifo,
                            rights,
                            0,
                        )
                        .unwrap();
                    }
                }
                let class = if prefix == "seen-" {
                    world.install()
                } else {
                    world.install_and_unpack(|dest| world.unpack(dest))
                };
                assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
                class
            });
        }
    }
    cases.add("L02", "a link in the place of the handoff", "state", || {
        after_spoiled(|world, handoff| {
            let outside = world.plugin.path("outside");
            std::fs::rename(handoff, &outside).unwrap();
            symlink(outside, handoff).unwrap();
        })
    });
}

/// The class of a post event whose handoff was changed after the pre event.
fn after_spoiled(spoil: impl Fn(&World, &Path)) -> String {
    let world = World::signed();
    let dest = world.dest();
    assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "");
    world.unpack(&dest);
    let handoffs: Vec<PathBuf> =
        found(&runs(&world), "").into_iter().filter(|path| is_handoff(path)).collect();
    assert_eq!(handoffs.len(), 1, "{handoffs:?}");
    spoil(&world, &handoffs[0]);
    class_of(&world.plugin.post_unpack(&world.name(), &dest))
}

fn is_handoff(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| {
        serde_json::from_slice::<serde_json::Value>(&bytes)
            .is_ok_and(|value| value["grounds"].is_object())
    })
}

/// L03: entries that are not what was written.
fn poisoned(cases: &mut Cases) {
    for (what, text) in [
        ("nothing", ""),
        ("no JSON", "verified"),
        ("half of it", "{\"version\":2,"),
        ("a bare yes", "{\"ok\":true}"),
        ("a version of the future", "{\"version\":99}"),
    ] {
        cases.add("L03", format!("a handoff that holds {what}"), "state", move || {
            after_spoiled(|_, handoff| std::fs::write(handoff, text).unwrap())
        });
    }
    cases.add("L03", "a handoff that is gone", "policy", || {
        after_spoiled(|_, handoff| std::fs::remove_file(handoff).unwrap())
    });
    cases.add("L03", "a handoff that others can write", "state", || {
        after_spoiled(|_, handoff| mode(handoff, 0o666))
    });
    cases.add("L03", "the handoff of another image", "state", || {
        let world = World::signed();
        let (dest, other) = (world.dest(), world.dest());
        world.registry.tag(REPO, "2", &world.image.digest);
        let second = world.registry.name(&format!("{REPO}:2"));
        assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "");
        let first: Vec<PathBuf> =
            found(&runs(&world), "").into_iter().filter(|path| is_handoff(path)).collect();
        assert_eq!(class_of(&world.plugin.pre_unpack(&second, &other)), "");
        for path in found(&runs(&world), "")
            .into_iter()
            .filter(|path| is_handoff(path) && *path != first[0])
        {
            std::fs::copy(&first[0], &path).unwrap();
        }
        world.unpack(&other);
        class_of(&world.plugin.post_unpack(&second, &other))
    });
    for (what, text, expected) in [
        ("no JSON", "verified\n", "state"),
        ("bytes that are no text", "\u{0}\u{1}\n", "state"),
        ("a line that was never finished", "{\"seen\":", ""),
        ("nothing", "", ""),
    ] {
        cases.add("L03", format!("a memory that holds {what}"), expected, move || {
            let world = used();
            let files = found(&state(&world), "seen-");
            std::fs::write(&files[0], text).unwrap();
            world.install()
        });
    }
}

/// L04: there is no cache of verdicts, so a change of anything counts at once.
fn stale(cases: &mut Cases) {
    cases.add("L04", "the policy trusts someone else now", "identity", || {
        let world = used();
        world.plugin.write("acme.pub", &crate::world::pair("stranger").public_pem);
        world.install()
    });
    cases.add("L04", "the policy denies now", "policy", || {
        let world = used();
        world.plugin.write("policy.yaml", "version: 1\ndefaults: {unmatched: deny}\n");
        world.install()
    });
    cases.add("L04", "the key is changed between the two events", "", || {
        // The pre event said yes under the policy of then, and the post event holds the bytes
        // against what was verified then.
        let world = World::signed();
        world.install_and_unpack(|dest| {
            world.plugin.write("acme.pub", &crate::world::pair("stranger").public_pem);
            world.unpack(dest);
        })
    });
    cases.add("L04", "the signature is gone now", "rollback", || {
        let world = used();
        world.serve(Place::Sig, testkit::Answer::new(404)).install()
    });
}

/// L05 and L06: what is killed while it writes, and disks that take nothing.
fn full(cases: &mut Cases) {
    for round in 0..5 {
        cases.add("L05", format!("killed while it writes, round {round}"), "", move || {
            let world = World::signed();
            let dest = world.dest();
            let data = json!({"Image": world.name(), "Dest": dest});
            for event in ["image.pre.unpack", "image.post.unpack"] {
                let mut child = world
                    .plugin
                    .raw()
                    .args([event, &envelope(event, &data)])
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .unwrap();
                // Somewhere on its way: after more and more turns of this thread.
                (0..round * 400).for_each(|_| std::thread::yield_now());
                let _ = child.kill();
                child.wait().unwrap();
            }
            let halves = found(&world.plugin.path("state"), ".new-");
            // A file that was not finished may stay; none of them is ever read.
            assert!(
                halves.iter().all(|path| path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with(".new-"))
            );
            world.install_and_unpack(|dest| world.unpack(dest))
        });
    }
    // `ulimit -f` counts in KiB: writing more ends the process by a signal, where it is not
    // handled.
    for (what, limit, expected) in [
        ("no file may grow", "ulimit -f 0", "no answer"),
        ("no file may be opened", "ulimit -n 3", "no answer"),
        ("a few files", "ulimit -n 40", ""),
    ] {
        cases.add("L06", what, expected, move || {
            let world = World::signed();
            let text =
                envelope("image.pre.unpack", &json!({"Image": world.name(), "Dest": world.dest()}));
            let output =
                shell(&world, &format!(r#"{limit}; exec "$0" "$@""#), &["image.pre.unpack", &text]);
            crate::events::answered(&output)
        });
    }
    cases.add("L06", "no place to keep anything", "state", || {
        let mut world = World::signed();
        world.plugin.set("LUET_COSIGN_STATE", "/proc/nowhere");
        world.install()
    });
    cases.add("L06", "no place for the memory", "", || {
        let world = World::signed();
        world.install_and_unpack(|dest| {
            world.unpack(dest);
            std::fs::remove_dir_all(state(&world).join("seen")).unwrap();
            std::fs::write(state(&world).join("seen"), "").unwrap();
        })
    });
}

/// L07: a lock that someone holds.
fn locks(cases: &mut Cases) {
    cases.add("L07", "a lock whose holder is gone", "", || {
        let world = used();
        for path in found(&state(&world), "lock-") {
            drop(std::fs::File::open(path).unwrap().lock());
        }
        world.install_and_unpack(|dest| world.unpack(dest))
    });
    cases.add("L07", "the lock of the memory is held", "", || {
        let world = used();
        let held: Vec<std::fs::File> = found(&state(&world), "lock-")
            .iter()
            .map(|path| std::fs::File::open(path).unwrap())
            .collect();
        held.iter().for_each(|file| file.lock().unwrap());
        // What was verified stays verified: it goes on without remembering, and says so.
        let dest = world.dest();
        assert_eq!(class_of(&world.plugin.pre_unpack(&world.name(), &dest)), "");
        world.unpack(&dest);
        let reply = world.plugin.post_unpack(&world.name(), &dest);
        assert!(reply.state.contains("held by another process"), "{reply:?}");
        class_of(&reply)
    });
}

/// L08: a memory that is as large as it may be.
fn growth(cases: &mut Cases) {
    cases.add("L08", "a full memory lets the oldest go", "", || {
        let world = used();
        let file = found(&state(&world), "seen-").remove(0);
        let line = std::fs::read_to_string(&file).unwrap();
        let size = usize::try_from(limits::MEMORY_BYTES).unwrap();
        let mut text = String::new();
        for number in 0.. {
            let other = line.replace("\"tag\":\"1\"", &format!("\"tag\":\"old-{number}\""));
            if text.len() + other.len() >= size {
                break;
            }
            text.push_str(&other);
        }
        std::fs::write(&file, text).unwrap();
        let class = world.install_and_unpack(|dest| world.unpack(dest));
        assert!(std::fs::metadata(&file).unwrap().len() < limits::MEMORY_BYTES);
        assert!(
            std::fs::read_to_string(&file).unwrap().contains("\"tag\":\"1\""),
            "the newest was forgotten"
        );
        class
    });
    cases.add("L08", "a memory that is larger than it may be", "state", || {
        let world = used();
        let file = found(&state(&world), "seen-").remove(0);
        std::fs::write(&file, vec![b'\n'; usize::try_from(limits::MEMORY_BYTES).unwrap() + 1])
            .unwrap();
        world.install()
    });
}

/// L11: there is no log file, and what others name cannot write lines of its own.
fn logs(cases: &mut Cases) {
    cases.add("L11", "the old log in /tmp is a link", "", || {
        let world = World::signed();
        let outside = world.plugin.write("outside", "precious");
        symlink(&outside, world.plugin.path("tmp/luet-cosign.log")).unwrap();
        let class = world.install_and_unpack(|dest| world.unpack(dest));
        assert_eq!(std::fs::read(outside).unwrap(), b"precious");
        class
    });
    for debug in ["0", "1"] {
        cases.add(
            "L11",
            format!("no file but those of the store, COSIGN_DEBUG={debug}"),
            "",
            move || {
                let mut world = World::signed();
                world.plugin.set("COSIGN_DEBUG", debug);
                let class = world.install_and_unpack(|dest| world.unpack(dest));
                for folder in ["tmp", "home"] {
                    assert!(found(&world.plugin.path(folder), "").is_empty(), "a file in {folder}");
                }
                class
            },
        );
    }
    cases.add("L11", "an image whose name is two lines of a log", "reference", || {
        let world = World::signed();
        let reply = world.plugin.pre_unpack("a\nSUCCESS verified quay.io/x", &world.dest());
        assert!(!reply.error.lines().any(|line| line.starts_with("SUCCESS")), "{reply:?}");
        class_of(&reply)
    });
}
