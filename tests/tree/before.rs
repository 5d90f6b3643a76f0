//! What was there before the host began: each object is as it was, or what the image has there.

use crate::support::{
    self, Item, access_list, device, directory, fifo, file, fresh, hard_link, layer, open, root,
    symlink,
};
use luet_cosign::class::Class;
use luet_cosign::dest::{self, DirectoryListing};
use luet_cosign::tree::{ExpectedTree, difference};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A directory in use, and what was listed of it before the host began.
struct World {
    _keeper: tempfile::TempDir,
    dir: PathBuf,
    before: DirectoryListing,
}

fn world(items: &[Item]) -> World {
    let (keeper, dir) = fresh();
    support::make(&dir, items);
    let before = dest::listing(&open(&dir), 1000).unwrap();
    World { _keeper: keeper, dir, before: DirectoryListing::read(before.into_bytes()).unwrap() }
}

impl World {
    /// Does what the host does with entries (containerd 1.7.27 `archive.Apply`): whatever is in the
    /// way is removed, but for a directory in the place of a directory; then owner, attributes,
    /// mode and times are set.
    fn unpack(&self, items: &[Item]) -> &Self {
        for item in items {
            let path = self.dir.join(OsStr::from_bytes(&item.name));
            if let Ok(found) = path.symlink_metadata() {
                if !found.is_dir() {
                    std::fs::remove_file(&path).unwrap();
                } else if item.kind != b'5' {
                    std::fs::remove_dir_all(&path).unwrap();
                }
            }
            if path.is_dir() && item.kind == b'5' {
                set(&path, item);
            } else {
                support::make(&self.dir, std::slice::from_ref(item));
            }
            let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        self
    }

    /// Compares in both ways. The tree that a signature claims never says yes where the layers say
    /// no.
    fn differs(&self, signed: &[Item]) -> Vec<String> {
        let options = dest::WalkOptions { before: Some(&self.before), ..Default::default() };
        let walked = dest::walk(&open(&self.dir), &options).unwrap();
        let expected = ExpectedTree::of(&[layer(signed)]);
        let by_tree = walked.tree.digest() == expected.digest()
            && difference(&walked.tree, &walked.tree, &walked.terms).total == 0;
        match expected.accepts(&walked.tree, &walked.terms) {
            Ok(_) => Vec::new(),
            Err(failure) => {
                assert_eq!(failure.class(), Class::Tree);
                assert!(!by_tree, "by the tree alone this passed: {}", failure.text());
                failure.details().collect()
            }
        }
    }

    fn equals_the_claim(&self, signed: &[Item]) -> bool {
        let options = dest::WalkOptions { before: Some(&self.before), ..Default::default() };
        let walked = dest::walk(&open(&self.dir), &options).unwrap();
        walked.tree.digest() == ExpectedTree::of(&[layer(signed)]).digest()
            && difference(&walked.tree, &walked.tree, &walked.terms).total == 0
    }

    fn written(&self) -> Vec<String> {
        let options = dest::WalkOptions { before: Some(&self.before), ..Default::default() };
        let walked = dest::walk(&open(&self.dir), &options).unwrap();
        walked.written.iter().map(ToString::to_string).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn set(path: &Path, item: &Item) {
    if root() {
        std::os::unix::fs::lchown(path, Some(item.uid), Some(item.gid)).unwrap();
    }
    for (name, value) in &item.xattrs {
        rustix::fs::lsetxattr(path, &name[..], value, XattrFlags::empty()).unwrap();
    }
    if item.kind != b'2' {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(item.mode)).unwrap();
    }
}

/// What a machine has.
fn machine() -> Vec<Item> {
    vec![
        directory("etc"),
        file("etc/shadow", "secret").mode(0o600),
        directory("etc/ssh").mode(0o700),
        file("etc/ssh/key", "key").mode(0o600),
        directory("home").mode(0o700),
        file("home/letter", "dear"),
        symlink("home/link", "letter"),
        fifo("home/pipe"),
        directory("tmp").mode(0o1777),
    ]
}

/// What is signed.
fn image() -> Vec<Item> {
    vec![directory("etc"), file("etc/tool.conf", "x = 1"), directory("usr"), file("usr/tool", "t")]
}

fn with(items: &[Item], more: &[Item]) -> Vec<Item> {
    [items, more].concat()
}

#[test]
fn an_image_beside_what_was_there_is_accepted_in_both_ways() {
    let world = world(&machine());
    world.unpack(&image());
    assert!(world.differs(&image()).is_empty());
    assert!(world.equals_the_claim(&image()));
    assert!(world.written().is_empty());
}

/// What `tar cf - usr/bin/new` makes lists no directory, and touches none but the last.
#[test]
fn a_directory_that_no_layer_lists_may_be_left_untouched() {
    let signed = [file("usr/bin/new", "n")];
    let there = world(&[directory("usr"), directory("usr/bin")]);
    there.unpack(&signed);
    assert_eq!(there.differs(&signed), [] as [&str; 0]);
    // What another process took away, or made something else, is not as it was.
    let world = world(&[directory("usr"), directory("usr/bin"), directory("var")]);
    world.unpack(&signed);
    std::fs::remove_dir(world.dir.join("var")).unwrap();
    assert_eq!(world.differs(&signed).len(), 1);
}

/// What other layer bytes do to the machine, and what the refusal says.
fn attacked(evil: &[Item], lines: &[&str]) {
    let world = world(&machine());
    world.unpack(&with(&image(), evil));
    assert_eq!(world.differs(&image()), lines);
}

#[test]
fn a_directory_that_was_there_keeps_its_mode_owner_and_attributes() {
    let changed = "was there before and changed:";
    attacked(
        &[directory("home").mode(0o777)],
        &[&format!("`home`: {changed} mode 0777, expected 0700")],
    );
    attacked(
        &[directory("home").mode(0o4700)],
        &[&format!("`home`: {changed} mode 4700, expected 0700")],
    );
    attacked(
        &[directory("tmp").mode(0o777)],
        &[&format!("`tmp`: {changed} mode 0777, expected 1777")],
    );
    attacked(
        &[directory("home").mode(0o700).xattr("user.x", "y")],
        &[&format!("`home`: {changed} other attribute `user.x`")],
    );
    if root() {
        attacked(
            &[directory("home").mode(0o700).owner(1000, 0)],
            &[&format!("`home`: {changed} owner 1000:0, expected 0:0")],
        );
        attacked(
            &[directory("home").mode(0o700).owner(0, 1000)],
            &[&format!("`home`: {changed} owner 0:1000, expected 0:0")],
        );
        for name in ["security.selinux", "security.test", "trusted.x"] {
            attacked(
                &[directory("home").mode(0o700).xattr(name, "evil")],
                &[&format!("`home`: {changed} other attribute `{name}`")],
            );
        }
    }
}

#[test]
fn a_directory_that_was_there_gets_no_access_list() {
    let list = access_list(7, 0, 0);
    let world = world(&machine());
    let name = "system.posix_acl_access";
    if rustix::fs::setxattr(world.path("home"), name, &list, XattrFlags::empty()).is_err() {
        eprintln!("skipped: no access lists here");
        return;
    }
    world.unpack(&image());
    let line = format!("`home`: was there before and changed: other attribute `{name}`");
    let differs = world.differs(&image());
    assert_eq!(differs[0], line, "{differs:?}");
}

#[test]
fn a_directory_that_no_layer_lists_keeps_what_it_was() {
    let signed = [file("home/new", "n")];
    let world = world(&machine());
    world.unpack(&signed);
    assert!(world.differs(&signed).is_empty());
    world.unpack(&[directory("home").mode(0o777)]);
    assert_eq!(
        world.differs(&signed),
        ["`home`: was there before and changed: mode 0777, expected 0700"]
    );
}

#[test]
fn a_directory_that_the_image_lists_is_what_the_image_says_and_keeps_its_other_attributes() {
    let signed = [directory("home").mode(0o755), file("home/new", "n")];
    let mut had = machine();
    had[4] = directory("home").mode(0o700).xattr("user.old", "o").xattr("user.both", "1");
    let world = world(&had);
    world.unpack(&signed);
    assert!(world.differs(&signed).is_empty());
    let sets = [directory("home").xattr("user.both", "2"), file("home/new", "n")];
    world.unpack(&sets);
    assert!(world.differs(&sets).is_empty());
    assert_eq!(world.differs(&signed), ["`home`: other attribute `user.both`"]);
    rustix::fs::removexattr(world.path("home"), "user.old").unwrap();
    assert_eq!(world.differs(&sets), ["`home`: other attribute `user.old`"]);
}

#[test]
fn what_was_there_does_not_go_away() {
    attacked(&[symlink("home/letter", "x")], &["`home/letter`: extra"]);
    let world = world(&machine());
    world.unpack(&image());
    std::fs::remove_file(world.path("etc/shadow")).unwrap();
    std::fs::remove_dir_all(world.path("etc/ssh")).unwrap();
    std::fs::remove_file(world.path("home/pipe")).unwrap();
    let gone = |name| format!("`{name}`: was there before and is gone");
    let gone = ["etc/shadow", "etc/ssh", "etc/ssh/key", "home/pipe"].map(gone);
    assert_eq!(world.differs(&image()), gone);
}

#[test]
fn a_signed_object_over_a_directory_may_remove_it_and_no_other_may() {
    for over in [symlink("home", "tmp"), file("home", "h"), fifo("home")] {
        let world = world(&machine());
        let signed = with(&image(), &[over]);
        world.unpack(&signed);
        assert!(world.differs(&signed).is_empty());
        assert!(world.equals_the_claim(&signed));
        let differs = world.differs(&image());
        assert!(differs.contains(&"`home`: extra".to_owned()), "{differs:?}");
        let letter = "`home/letter`: was there before and is gone".to_owned();
        assert!(differs.contains(&letter), "{differs:?}");
    }
}

#[test]
fn a_signed_directory_over_a_symlink_replaces_it() {
    let had = [
        directory("usr"),
        directory("usr/bin"),
        file("usr/bin/sh", "sh"),
        symlink("bin", "usr/bin"),
    ];
    let signed = [directory("bin"), file("bin/tool", "t")];
    let world = world(&had);
    world.unpack(&signed);
    assert!(world.differs(&signed).is_empty());
    assert!(world.equals_the_claim(&signed));
    assert_eq!(world.differs(&[]), ["`bin`: extra", "`bin/tool`: extra"]);
}

#[test]
fn another_name_of_a_replaced_file_stays_what_it_was() {
    let had = [directory("bin"), file("bin/a", "old"), hard_link("bin/b", "bin/a")];
    let signed = [directory("bin"), file("bin/a", "new")];
    let world = world(&had);
    world.unpack(&signed);
    assert_eq!(world.path("bin/b").metadata().unwrap().nlink(), 1);
    assert!(world.differs(&signed).is_empty());
    assert!(world.equals_the_claim(&signed));
    set(&world.path("bin/b"), &file("bin/b", "").mode(0o4755));
    let changed = "was there before and changed";
    let line = format!("`bin/b`: {changed}: mode 4755, expected 0644");
    assert_eq!(world.differs(&signed), [line]);
    set(&world.path("bin/b"), &file("bin/b", ""));
    rustix::fs::setxattr(world.path("bin/b"), "user.x", b"y", XattrFlags::empty()).unwrap();
    let line = format!("`bin/b`: {changed}: other attribute `user.x`");
    assert_eq!(world.differs(&signed), [line]);
    rustix::fs::removexattr(world.path("bin/b"), "user.x").unwrap();
    std::fs::write(world.path("bin/b"), "bad").unwrap();
    assert_eq!(world.differs(&signed), [format!("`bin/b`: {changed}: written to")]);
}

#[test]
fn a_file_in_the_place_of_both_names_is_not_taken_for_the_old_one() {
    let had = [file("a", "old"), hard_link("b", "a")];
    let signed = [file("b", "new")];
    let world = world(&had);
    let old = world.path("a").metadata().unwrap();
    // Of the same length, mode and age; many file systems give it the same number too.
    world.unpack(&[file("b", "new"), file("a", "evl")]);
    let times = std::fs::FileTimes::new().set_modified(old.modified().unwrap());
    std::fs::File::options().write(true).open(world.path("a")).unwrap().set_times(times).unwrap();
    assert_eq!(world.differs(&signed), ["`a`: extra"]);
}

#[test]
fn a_new_name_for_what_was_there_is_refused() {
    let signed = with(&image(), &[file("usr/copy", "secret").mode(0o600)]);
    let world = world(&machine());
    world.unpack(&signed);
    assert!(world.differs(&signed).is_empty());
    std::fs::remove_file(world.path("usr/copy")).unwrap();
    world.unpack(&[hard_link("usr/copy", "etc/shadow").mode(0o600)]);
    assert_eq!(
        world.differs(&signed),
        ["`etc/shadow`: was there before and changed: 2 names, expected 1"]
    );
}

#[test]
fn a_log_that_another_process_writes_to_is_reported_and_accepted() {
    use std::io::Write as _;
    let world = world(&with(&machine(), &[directory("log"), file("log/x", "1\n")]));
    let log = std::fs::File::options().append(true).open(world.path("log/x"));
    let mut log = log.unwrap();
    world.unpack(&image());
    log.write_all(b"2\n").unwrap();
    assert!(world.differs(&image()).is_empty());
    assert!(world.equals_the_claim(&image()));
    assert_eq!(world.written(), ["log/x"]);
    // One that was replaced could be the image's doing.
    std::fs::rename(world.path("log/x"), world.path("log/x.1")).unwrap();
    std::fs::write(world.path("log/x"), "3\n").unwrap();
    assert_eq!(world.differs(&image()), ["`log/x`: extra", "`log/x.1`: extra"]);
}

#[test]
fn a_log_that_is_written_to_during_the_comparison_is_no_change_of_the_image() {
    use std::io::Write as _;
    let world = world(&with(&machine(), &[directory("log"), file("log/x", "1\n")]));
    let log = std::fs::File::options().append(true).open(world.path("log/x"));
    let mut log = log.unwrap();
    world.unpack(&image());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                log.write_all(b"x").unwrap();
            }
        });
        let differs = std::panic::catch_unwind(|| {
            (0..20).map(|_| world.differs(&image()).len()).sum::<usize>()
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(differs.unwrap(), 0);
    });
}

#[test]
fn a_file_that_was_written_to_and_changed_besides_is_refused() {
    let world = world(&machine());
    world.unpack(&image());
    std::fs::write(world.path("etc/shadow"), "more than that").unwrap();
    set(&world.path("etc/shadow"), &file("etc/shadow", "").mode(0o644));
    assert_eq!(
        world.differs(&image()),
        ["`etc/shadow`: was there before and changed: mode 0644, expected 0600"]
    );
}

#[test]
fn what_the_image_has_and_the_host_left_as_it_was_is_missing() {
    let signed = [file("old", "x")];
    let world = world(&[file("old", "x")]);
    assert_eq!(world.differs(&signed), ["`old`: missing"]);
    std::fs::write(world.path("old"), "y").unwrap();
    assert_eq!(world.differs(&signed), ["`old`: missing"]);
    world.unpack(&signed);
    assert!(world.differs(&signed).is_empty());
}

#[test]
fn everything_that_can_be_listed_is_read_back() {
    let mut items = machine();
    items.push(file("x", "").xattr("user.a", "1\n\0").xattr("user.b", ""));
    items.push(file(b"\xff\n", ""));
    if root() {
        items.push(device("null", b'3', 1, 3));
        items.push(device("disk", b'4', 8, 1));
    }
    let world = world(&items);
    assert_eq!(world.before, dest::listing(&open(&world.dir), 1000).unwrap());
    let bytes = world.before.clone().into_bytes();
    for length in 0..bytes.len() {
        let cut = DirectoryListing::read(bytes[..length].to_vec());
        // Between two objects is the end of a shorter listing.
        assert!(cut.is_err() || cut.is_ok_and(|cut| cut != world.before));
    }
    assert!(bytes.len() < 256 * items.len(), "{} bytes for {}", bytes.len(), items.len());
}
