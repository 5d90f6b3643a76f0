//! Directories that are not what they should be: docs/threats.md U01, U08, U10-U12, U14;
//! and emptying them.

use crate::support::{
    self, Item, access_list, device, directory, fifo, file, fresh, hard_link, layer, lines, make,
    open, root, symlink, walk,
};
use luet_cosign::class::Class;
use luet_cosign::dest::{self, Dest, DirectoryListing};
use luet_cosign::tree::{Accepted, ExpectedTree, Meaning, Terms};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bit of everything that the user who runs the test can make.
fn items() -> Vec<Item> {
    let mut items = vec![
        directory("etc"),
        file("etc/passwd", "root"),
        file("etc/empty", ""),
        symlink("etc/link", "passwd"),
        directory("usr").mode(0o1777),
        directory("usr/bin"),
        file("usr/bin/su", "su").mode(0o4755),
        hard_link("usr/bin/su2", "usr/bin/su").mode(0o4755),
        fifo("usr/pipe"),
        file("n\nl \u{e9}", "odd"),
        file(b"\xff", "bytes"),
        directory("void"),
        file("user", "x").xattr("user.a", "1\n\0").xattr("user.b", ""),
    ];
    if root() {
        items.push(
            file("ping", "ping").mode(0o755).owner(5, 6).xattr("security.capability", CAPABILITY),
        );
        items.push(device("null", b'3', 1, 3));
        items.push(device("disk", b'4', 8, 1).owner(0, 6));
    }
    items
}

const CAPABILITY: &[u8] =
    b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

fn expected() -> ExpectedTree {
    ExpectedTree::of(&[layer(&items())])
}

fn check(dir: &Path) -> Result<Accepted, luet_cosign::class::Failure> {
    let walked = walk(dir);
    expected().accepts(&walked.tree, &walked.terms)
}

#[test]
fn what_was_unpacked_is_accepted_and_has_the_digest_of_the_layers() {
    let (_keeper, dir) = fresh();
    make(&dir, &items());
    assert_eq!(check(&dir), Ok(Accepted::Both));
    assert_eq!(expected().digest(), walk(&dir).tree.digest());
    assert!(expected().digest().is_some());
}

/// Makes everything, changes it, and asserts that it is refused with this line.
fn mutated(line: &str, change: impl FnOnce(&Path)) {
    let (_keeper, dir) = fresh();
    make(&dir, &items());
    change(&dir);
    let failure = check(&dir).expect_err(line);
    assert_eq!(failure.class(), Class::Tree, "{line}");
    assert_eq!(failure.details().collect::<Vec<_>>(), [line]);
    assert!(failure.message().ends_with("1 path differs"), "{failure}");
    assert_ne!(expected().digest(), walk(&dir).tree.digest(), "{line}");
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn replace(dir: &Path, name: &str, item: Item) {
    std::fs::remove_file(dir.join(name)).or_else(|_| std::fs::remove_dir(dir.join(name))).unwrap();
    make(dir, &[item]);
}

#[test]
fn u01_each_kind_of_change_is_seen() {
    mutated("`etc/extra`: extra", |dir| make(dir, &[file("etc/extra", "")]));
    mutated("`void/sub`: extra", |dir| make(dir, &[directory("void/sub")]));
    mutated("`void`: missing", |dir| std::fs::remove_dir(dir.join("void")).unwrap());
    mutated("`etc/link`: missing", |dir| std::fs::remove_file(dir.join("etc/link")).unwrap());
    mutated("`etc/passwd`: other content", |dir| {
        std::fs::write(dir.join("etc/passwd"), "rooT").unwrap()
    });
    mutated("`etc/passwd`: 5 bytes, expected 4", |dir| {
        std::fs::write(dir.join("etc/passwd"), "roots").unwrap()
    });
    mutated("`etc/passwd`: mode 0666, expected 0644", |dir| chmod(&dir.join("etc/passwd"), 0o666));
    mutated("`etc`: mode 2755, expected 0755", |dir| chmod(&dir.join("etc"), 0o2755));
    mutated("`usr`: mode 0777, expected 1777", |dir| chmod(&dir.join("usr"), 0o777));
    mutated("`usr/pipe`: mode 0644, expected 0600", |dir| chmod(&dir.join("usr/pipe"), 0o644));
    mutated("`etc/empty`: mode 4644, expected 0644", |dir| chmod(&dir.join("etc/empty"), 0o4644));
    mutated("`etc/link`: leads to `/etc/shadow`, expected `passwd`", |dir| {
        replace(dir, "etc/link", symlink("etc/link", "/etc/shadow"))
    });
    mutated("`etc/link`: a file, expected a symlink", |dir| {
        replace(dir, "etc/link", file("etc/link", "root"))
    });
    mutated("`void`: a symlink, expected a directory", |dir| {
        replace(dir, "void", symlink("void", "etc"))
    });
    mutated("`usr/pipe`: a file, expected a FIFO", |dir| {
        replace(dir, "usr/pipe", file("usr/pipe", ""))
    });
    mutated("`usr/pipe`: a socket, expected a FIFO", |dir| {
        std::fs::remove_file(dir.join("usr/pipe")).unwrap();
        // The path of a socket must be short, that of the test may not be.
        let short = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir, short.path().join("d")).unwrap();
        std::os::unix::net::UnixListener::bind(short.path().join("d/usr/pipe")).unwrap();
    });
    mutated("`user`: other attribute `user.a`", |dir| {
        replace(dir, "user", file("user", "x").xattr("user.a", "2").xattr("user.b", ""))
    });
    mutated("`user`: other attribute `user.b`", |dir| {
        replace(dir, "user", file("user", "x").xattr("user.a", "1\n\0"))
    });
    mutated("`void`: other attribute `user.c`", |dir| {
        replace(dir, "void", directory("void").xattr("user.c", ""))
    });
    mutated("`n\\u{a}l é`: other content", |dir| {
        std::fs::write(dir.join("n\nl é"), "ODD").unwrap()
    });
}

#[test]
fn u01_what_only_root_can_change_is_seen() {
    if !root() {
        return;
    }
    mutated("`ping`: owner 0:6, expected 5:6", |dir| {
        replace(
            dir,
            "ping",
            file("ping", "ping").mode(0o755).owner(0, 6).xattr("security.capability", CAPABILITY),
        );
    });
    mutated("`ping`: owner 5:0, expected 5:6", |dir| {
        replace(
            dir,
            "ping",
            file("ping", "ping").mode(0o755).owner(5, 0).xattr("security.capability", CAPABILITY),
        );
    });
    mutated("`ping`: other attribute `security.capability`", |dir| {
        replace(dir, "ping", file("ping", "ping").mode(0o755).owner(5, 6));
    });
    mutated("`etc/link`: owner 7:0, expected 0:0", |dir| {
        replace(dir, "etc/link", symlink("etc/link", "passwd").owner(7, 0))
    });
    mutated("`null`: another device number", |dir| {
        replace(dir, "null", device("null", b'3', 1, 5))
    });
    mutated("`null`: a block device, expected a character device", |dir| {
        replace(dir, "null", device("null", b'4', 1, 3))
    });
}

#[test]
fn u01_the_first_twenty_paths_are_named() {
    let (_keeper, dir) = fresh();
    make(&dir, &items());
    make(&dir, &(0..30).map(|i| file(format!("x{i:02}"), "")).collect::<Vec<_>>());
    let failure = check(&dir).unwrap_err();
    let details: Vec<String> = failure.details().collect();
    assert_eq!(details.len(), 21);
    assert_eq!((details[0].as_str(), details[20].as_str()), ("`x00`: extra", "and 10 more"));
}

#[test]
fn times_and_what_file_systems_keep_for_themselves_do_not_count() {
    let (_keeper, dir) = fresh();
    let mut labelled = items();
    if root() {
        labelled[1] = labelled[1].clone().xattr("trusted.overlay.origin", "x");
    }
    make(&dir, &labelled);
    std::fs::File::options()
        .append(true)
        .open(dir.join("etc/passwd"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    assert_eq!(check(&dir), Ok(Accepted::Both));
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

#[test]
fn access_lists_that_no_layer_has_are_refused_and_named() {
    let (_keeper, dir) = fresh();
    if rustix::fs::setxattr(&dir, ACCESS, &access_list(7, 5, 5), rustix::fs::XattrFlags::empty())
        .is_err()
    {
        eprintln!("skipped: no access lists here");
        return;
    }
    let plain = [directory("etc"), file("etc/shadow", "x").mode(0o640)];
    let listed = [
        directory("etc").xattr(ACCESS, access_list(7, 5, 5)).xattr(DEFAULT, access_list(7, 7, 5)),
        file("etc/shadow", "x").mode(0o640).xattr(ACCESS, access_list(6, 4, 0)),
    ];
    make(&dir, &listed);
    let walked = walk(&dir);
    let failure =
        ExpectedTree::of(&[layer(&plain)]).accepts(&walked.tree, &walked.terms).unwrap_err();
    assert_eq!(failure.class(), Class::Tree);
    let details: Vec<String> = failure.details().collect();
    assert_eq!(
        details[0],
        format!("`etc`: other attribute `{ACCESS}`; other attribute `{DEFAULT}`")
    );
    assert_eq!(details[1], format!("`etc/shadow`: other attribute `{ACCESS}`"));
    assert!(details[2].contains("setfacl -k"), "{}", details[2]);
    assert_eq!(walked.tree.digest(), None, "the signed digest cannot say them");
    let expected = ExpectedTree::of(&[layer(&listed)]);
    assert_eq!(expected.accepts(&walked.tree, &walked.terms), Ok(Accepted::Both));
    assert_eq!(expected.digest(), None);
    // The mode that comes after the list is what counts, as it does for the kernel.
    let wide = [
        listed[0].clone(),
        file("etc/shadow", "x").mode(0o640).xattr(ACCESS, access_list(7, 4, 7)),
    ];
    assert_eq!(
        ExpectedTree::of(&[layer(&wide)]).accepts(&walked.tree, &walked.terms),
        Ok(Accepted::Both)
    );
    // Where the file system keeps none, layers that have them say nothing of it.
    let terms = Terms { access_lists: false, ..walked.terms };
    assert_eq!(
        ExpectedTree::of(&[layer(&plain)]).accepts(&walked.tree, &terms),
        Ok(Accepted::Both)
    );
}

#[test]
fn trusted_attributes_may_be_missing_and_not_be_added() {
    if !root() {
        return;
    }
    let (_keeper, dir) = fresh();
    make(&dir, &[file("a", "").xattr("trusted.x", "y"), file("b", "")]);
    let walked = walk(&dir);
    let accepts =
        |a: Item, b: Item| ExpectedTree::of(&[layer(&[a, b])]).accepts(&walked.tree, &walked.terms);
    assert_eq!(
        accepts(file("a", "").xattr("trusted.x", "y"), file("b", "").xattr("trusted.x", "y")),
        Ok(Accepted::Both)
    );
    for a in [file("a", ""), file("a", "").xattr("trusted.x", "z")] {
        assert!(
            accepts(a, file("b", ""))
                .unwrap_err()
                .text()
                .contains("`a`: other attribute `trusted.x`")
        );
    }
}

#[test]
fn either_meaning_is_accepted_and_a_refusal_is_about_the_nearer_one() {
    let upper = layer(&[directory("d"), file("d/.wh..wh..opq", ""), file("d/new", "")]);
    let expected = ExpectedTree::of(&[
        layer(&[directory("d"), file("d/old", ""), file("d/older", "")]),
        upper,
    ]);
    let trees = [
        (vec![directory("d"), file("d/new", "")], Ok(Accepted::Only(Meaning::Oci))),
        (
            vec![directory("d"), file("d/new", ""), file("d/old", ""), file("d/older", "")],
            Ok(Accepted::Only(Meaning::Host)),
        ),
        (vec![directory("d"), file("d/new", ""), file("d/old", "")], Err("`d/older`: missing")),
        (
            vec![
                directory("d"),
                file("d/new", ""),
                file("d/old", ""),
                file("d/older", ""),
                file("e", ""),
            ],
            Err("`e`: extra"),
        ),
    ];
    for (items, wanted) in trees {
        let (_keeper, dir) = fresh();
        make(&dir, &items);
        let walked = walk(&dir);
        let accepted = expected.accepts(&walked.tree, &walked.terms);
        match wanted {
            Ok(wanted) => assert_eq!(accepted, Ok(wanted)),
            Err(line) => assert!(accepted.unwrap_err().text().contains(line), "{line}"),
        }
    }
}

/// Makes `a/b/c`, of which layers list `c` only, and returns how what is there differs.
fn implied(a: Item, b: Item) -> Vec<String> {
    let (_keeper, dir) = fresh();
    make(&dir, &[a, b, file("a/b/c", "")]);
    let walked = walk(&dir);
    let expected = ExpectedTree::of(&[layer(&[file("a/b/c", "")])]);
    assert_eq!(expected.digest(), None);
    assert!(walked.tree.digest().is_some());
    expected
        .accepts(&walked.tree, &walked.terms)
        .map_or_else(|failure| failure.details().collect(), |_| Vec::new())
}

#[test]
fn parents_that_no_layer_lists_are_as_an_unpacker_makes_them() {
    let (a, b) = (|mode| directory("a").mode(mode), |mode| directory("a/b").mode(mode));
    assert!(implied(a(0o755), b(0o755)).is_empty());
    assert!(implied(a(0o700), b(0o711)).is_empty());
    for mode in [0o777, 0o775, 0o757, 0o1755, 0o2755, 0o4755] {
        let line = format!(
            "`a/b`: mode {mode:04o} of a directory that no layer lists, expected at most 0755"
        );
        assert_eq!(implied(a(0o755), b(mode)), [line]);
    }
    assert_eq!(
        implied(a(0o755), b(0o755).xattr("user.x", "y")),
        ["`a/b`: other attribute `user.x`"]
    );
    if root() {
        let line = "`a/b`: owner 1000 of a directory that no layer lists, expected 0";
        assert_eq!(implied(a(0o755), b(0o755).owner(1000, 0)), [line]);
        assert!(
            implied(a(0o755), b(0o755).owner(0, 1000)).is_empty(),
            "a group that may not write"
        );
    }
}

#[test]
fn a_parent_that_no_layer_lists_inherits_setgid_and_no_more() {
    let expected = ExpectedTree::of(&[layer(&[
        directory("s").mode(0o2755),
        file("s/b/c", ""),
        file("b/c", ""),
    ])]);
    for (top, inner, outer, accepted) in [
        (0o755, 0o2755, 0o755, true),
        (0o2755, 0o755, 0o2755, true),
        (0o755, 0o755, 0o2755, false),
        (0o2755, 0o2775, 0o755, false),
    ] {
        let (_keeper, dir) = fresh();
        chmod(&dir, top);
        make(&dir, &[directory("s").mode(0o2755), directory("s/b").mode(inner), file("s/b/c", "")]);
        make(&dir, &[directory("b").mode(outer), file("b/c", "")]);
        let walked = walk(&dir);
        let mut terms = walked.terms;
        // Files inherit a group as well, which is not what this is about.
        terms.owners = false;
        assert_eq!(
            expected.accepts(&walked.tree, &terms).is_ok(),
            accepted,
            "{top:o} {inner:o} {outer:o}"
        );
    }
}

#[test]
fn a_parent_that_was_there_before_stays_as_its_owner_made_it() {
    let (_keeper, dir) = fresh();
    make(&dir, &[directory("tmp").mode(0o1777).xattr("user.x", "y")]);
    let listing = dest::listing(&open(&dir), 10).unwrap();
    make(&dir, &[file("tmp/a", "")]);
    let walked = dest::walk(
        &open(&dir),
        &dest::WalkOptions { before: Some(&listing), ..Default::default() },
    )
    .unwrap();
    let expected = ExpectedTree::of(&[layer(&[file("tmp/a", "")])]);
    assert_eq!(expected.accepts(&walked.tree, &walked.terms), Ok(Accepted::Both));
}

#[test]
fn owners_and_user_attributes_are_compared_where_they_could_be_set() {
    let (_keeper, dir) = fresh();
    make(&dir, &[file("a", "")]);
    let tree = walk(&dir).tree;
    let expected =
        ExpectedTree::of(&[layer(&[file("a", "").owner(1234, 4321).xattr("user.x", "y")])]);
    let expected = expected.tree(Meaning::Oci).unwrap();
    assert_eq!(lines(expected, &tree, &Terms::default()).len(), 1);
    assert!(
        lines(expected, &tree, &Terms { owners: false, user_xattrs: false, ..Terms::default() })
            .is_empty()
    );
    assert_eq!(walk(&dir).terms.owners, root());
}

#[test]
fn u10_more_objects_than_the_cap_are_a_limit() {
    let (_keeper, dir) = fresh();
    make(&dir, &[directory("d"), file("d/a", ""), file("b", "")]);
    let capped =
        |entries| dest::walk(&open(&dir), &dest::WalkOptions { entries, ..Default::default() });
    assert_eq!(capped(3).unwrap().tree.entries().len(), 3);
    assert_eq!(capped(2).unwrap_err().class(), Class::Limit);
    assert_eq!(dest::listing(&open(&dir), 2).unwrap_err().class(), Class::Limit);
    assert!(dest::listing(&open(&dir), 3).is_ok());
}

#[test]
fn u10_depth_is_no_recursion_and_needs_few_descriptors() {
    let (_keeper, dir) = fresh();
    let mut inner = std::fs::File::open(&dir).unwrap();
    let depth = 1200;
    for _ in 0..depth {
        rustix::fs::mkdirat(&inner, "d", rustix::fs::Mode::RWXU).unwrap();
        inner =
            rustix::fs::openat(&inner, "d", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
                .unwrap()
                .into();
    }
    drop(inner);
    let walked = walk(&dir);
    assert_eq!(walked.tree.entries().len(), depth);
    dest::empty(&open(&dir)).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn one_thread_and_many_read_the_same() {
    let (_keeper, dir) = fresh();
    for number in 0..30 {
        make(
            &dir,
            &[
                directory(format!("d{number}")),
                file(format!("d{number}/a"), "a"),
                file(format!("d{number}/b"), vec![b'b'; 90_000]),
            ],
        );
    }
    let read = |threads| {
        dest::walk(
            &open(&dir),
            &dest::WalkOptions { threads: NonZero::new(threads), ..Default::default() },
        )
        .unwrap()
        .tree
    };
    let one = read(1);
    assert_eq!(one.entries().len(), 90);
    for threads in [2, 8] {
        assert_eq!(read(threads), one);
    }
}

#[test]
fn u11_changes_during_the_walk_are_noticed_or_did_not_matter() {
    let (_keeper, dir) = fresh();
    let names: Vec<String> = (0..40).map(|i| format!("d{i}")).collect();
    for name in &names {
        make(&dir, &[directory(name), file(format!("{name}/f"), vec![b'x'; 100_000])]);
    }
    let outside = dir.with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("f"), "outside").unwrap();
    let before = walk(&dir).tree;
    /// Ends the other thread however this one ends; a failed assertion must not wait for it for
    /// ever.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ends = Stop(&stop);
        scope.spawn(|| {
            let mut numbers = support::Numbers(7);
            while !stop.load(Ordering::Relaxed) {
                let name = dir.join(&names[usize::try_from(numbers.below(40)).unwrap()]);
                std::fs::rename(&name, dir.with_file_name("aside")).unwrap();
                std::os::unix::fs::symlink(&outside, &name).unwrap();
                std::fs::remove_file(&name).unwrap();
                std::fs::rename(dir.with_file_name("aside"), &name).unwrap();
            }
        });
        let mut noticed = 0;
        for _ in 0..60 {
            match dest::walk(
                &open(&dir),
                &dest::WalkOptions { threads: NonZero::new(2), ..Default::default() },
            ) {
                // Either what was there all the time, or with one link in it that was there when it
                // was looked at: that is another tree, which the comparison refuses. What the link
                // leads to is never in it.
                Ok(walked) => {
                    let inside = |entry: &luet_cosign::tree::TreeEntry| {
                        before.entries().contains(entry)
                            || matches!(entry.kind, luet_cosign::tree::EntryKind::Symlink { .. })
                    };
                    assert!(walked.tree.entries().iter().all(inside));
                }
                Err(failure) => {
                    assert_eq!(failure.class(), Class::Tree, "{failure}");
                    assert!(failure.message().contains("changed while it was read"), "{failure}");
                    noticed += 1;
                }
            }
        }
        drop(ends);
        assert!(noticed > 0, "no walk noticed anything");
    });
}

#[test]
fn u11_a_file_that_is_written_to_while_it_is_read_is_noticed() {
    use std::os::unix::fs::FileExt;
    let (_keeper, dir) = fresh();
    make(&dir, &[file("log", vec![b'x'; 16 << 20])]);
    let log = std::fs::File::options().write(true).open(dir.join("log")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                log.write_all_at(b"y", 0).unwrap();
            }
        });
        let result = dest::walk(&open(&dir), &dest::WalkOptions::default());
        stop.store(true, Ordering::Relaxed);
        let failure = result.unwrap_err();
        assert_eq!(failure.class(), Class::Tree);
        assert!(failure.message().contains("`log` changed while it was read"), "{failure}");
    });
}

#[test]
fn u12_what_a_failed_mirror_left_is_extra() {
    let (_keeper, dir) = fresh();
    let listing = dest::listing(&open(&dir), 10).unwrap();
    assert!(listing.is_empty());
    make(&dir, &items());
    make(&dir, &[file("left", "over")]);
    let walked = dest::walk(
        &open(&dir),
        &dest::WalkOptions { before: Some(&listing), ..Default::default() },
    )
    .unwrap();
    let failure = expected().accepts(&walked.tree, &walked.terms).unwrap_err();
    assert!(failure.text().contains("`left`: extra"), "{}", failure.text());
}

#[test]
fn what_was_there_before_is_left_out_unless_it_was_touched() {
    let (_keeper, dir) = fresh();
    make(
        &dir,
        &[
            directory("lost+found").mode(0o700),
            directory("etc"),
            file("etc/own", "x"),
            file("old", "x"),
            file("swap", "x"),
        ],
    );
    let listing = dest::listing(&open(&dir), 10).unwrap();
    assert_eq!(listing, dest::listing(&open(&dir), 10).unwrap());
    assert!(!listing.is_empty());
    let unpacked: Vec<Item> = items().into_iter().filter(|item| item.name != b"etc").collect();
    make(&dir, &unpacked);
    let accepts = || {
        let walked = dest::walk(
            &open(&dir),
            &dest::WalkOptions { before: Some(&listing), ..Default::default() },
        )
        .unwrap();
        expected().accepts(&walked.tree, &walked.terms)
    };
    assert_eq!(accepts(), Ok(Accepted::Both));
    chmod(&dir.join("old"), 0o666);
    replace(&dir, "swap", file("swap", "x"));
    make(&dir, &[file("lost+found/new", "")]);
    let text = accepts().unwrap_err().text();
    for path in ["`old`: was there before and changed", "`swap`: extra", "`lost+found/new`: extra"]
    {
        assert!(text.contains(path), "{path}: {text}");
    }
    assert!(!text.contains("etc/own"), "{text}");
}

#[test]
fn a_listing_is_of_one_directory_and_a_broken_one_is_state() {
    let (_keeper, dir) = fresh();
    let (_other, elsewhere) = fresh();
    let listing = dest::listing(&open(&elsewhere), 10).unwrap();
    let failure = dest::walk(
        &open(&dir),
        &dest::WalkOptions { before: Some(&listing), ..Default::default() },
    )
    .unwrap_err();
    assert_eq!(failure.class(), Class::Tree);
    assert!(failure.message().contains("is not the directory that was there before"), "{failure}");
    make(&dir, &[file("a", "")]);
    let bytes = dest::listing(&open(&dir), 10).unwrap().into_bytes();
    let twice =
        [&bytes[..], &bytes[dest::listing(&open(&elsewhere), 10).unwrap().into_bytes().len()..]]
            .concat();
    let path = |path: u8| {
        let mut bytes = bytes.clone();
        let at = bytes.iter().rposition(|byte| *byte == b'a').unwrap();
        bytes[at] = path;
        bytes
    };
    assert!(DirectoryListing::read(path(b'b')).is_ok());
    let old = b"luet-cosign-listing-v2 1 2 3 4.5\n".to_vec();
    for bytes in [Vec::new(), old, bytes[..bytes.len() - 1].to_vec(), twice, path(b'.'), path(b'/')]
    {
        assert_eq!(DirectoryListing::read(bytes).unwrap_err().class(), Class::State);
    }
}

#[test]
fn u14_what_cannot_be_read_is_not_vouched_for() {
    if let Some(dir) = std::env::var_os("UNREADABLE") {
        return unreadable(Path::new(&dir));
    }
    let (_keeper, dir) = fresh();
    make(&dir, &[file("secret", "x").mode(0o000)]);
    if !root() {
        unreadable(&dir);
    } else if !as_nobody("disk::u14_what_cannot_be_read_is_not_vouched_for", &dir) {
        eprintln!("skipped: no setpriv");
    }
}

fn unreadable(dir: &Path) {
    let failure = dest::walk(&open(dir), &dest::WalkOptions::default()).unwrap_err();
    assert_eq!(failure.class(), Class::Tree);
    assert!(
        failure.message().contains("`secret` cannot be read, so it cannot be compared"),
        "{failure}"
    );
}

/// Runs one test as the user 65534 on a copy of a directory that they may enter; `false` where that
/// can't be done.
fn as_nobody(test: &str, dir: &Path) -> bool {
    let place = tempfile::tempdir().unwrap();
    chmod(place.path(), 0o755);
    let binary = place.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let copy = place.path().join("dest");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let run = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["--exact", test])
        .env("UNREADABLE", &copy)
        .status();
    match run {
        Ok(status) => {
            assert!(status.success(), "as nobody: {status}");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn dest_is_an_absolute_directory() {
    let (_keeper, dir) = fresh();
    make(&dir, &[file("f", ""), symlink("l", "."), fifo("p")]);
    for (path, class) in [
        (Path::new("relative"), Class::Event),
        (Path::new("/"), Class::Event),
        (&dir.join("missing"), Class::Tree),
        (&dir.join("f"), Class::Tree),
        (&dir.join("l"), Class::Tree),
        (&dir.join("p"), Class::Tree),
    ] {
        assert_eq!(Dest::open(path).unwrap_err().class(), class, "{}", path.display());
    }
}

#[test]
fn emptying_follows_no_link_and_keeps_the_directory() {
    let (_keeper, dir) = fresh();
    let outside = dir.with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("keep"), "").unwrap();
    make(&dir, &items());
    make(
        &dir,
        &[
            symlink("out", &*outside.to_string_lossy()),
            symlink("etc/up", ".."),
            directory("usr/ro").mode(0o555),
        ],
    );
    let dest = open(&dir);
    dest::empty(&dest).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    assert!(outside.join("keep").exists());
    assert!(dest::listing(&dest, 0).unwrap().is_empty());
}

#[test]
fn a_mount_inside_is_refused_and_not_emptied() {
    let (_keeper, dir) = fresh();
    make(&dir, &[directory("m"), directory("z")]);
    // In a mount namespace of its own, where we may: the mount goes with the shell.
    let script = "mount -t tmpfs none \"$1/m\" && touch \"$1/m/inside\" && exec \"$2\" --exact disk::mounted";
    let run = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(&dir)
        .arg(std::env::current_exe().unwrap())
        .env("MOUNTED", &dir)
        .status();
    if root() && run.is_ok_and(|status| status.code() != Some(32) && status.code() != Some(1)) {
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "`m` is left, `z` may be gone");
    } else {
        eprintln!("skipped: mounts are not allowed here");
    }
}

/// The inner half of the test above.
#[test]
fn mounted() {
    let Some(dir) = std::env::var_os("MOUNTED") else { return };
    let dir = Path::new(&dir);
    let failure = dest::walk(&open(dir), &dest::WalkOptions::default()).unwrap_err();
    assert!(failure.message().contains("`m` is a mount point"), "{failure}");
    std::fs::remove_dir(dir.join("z")).unwrap();
    let failure = dest::empty(&open(dir)).unwrap_err();
    assert!(failure.message().contains("`m` is a mount point"), "{failure}");
    assert!(dir.join("m/inside").exists());
}
