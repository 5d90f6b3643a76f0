//! A signed list of digests, and the files in it.

use super::*;
use luet_cosign::name::Digest;

fn list(files: &[(&str, &[u8])]) -> String {
    files.iter().map(|(name, bytes)| format!("{}  {name}\n", Digest::of(bytes).hex())).collect()
}

fn world(list: &str) -> World {
    let world = World::new();
    world.plugin.write("SUMS", list);
    world.write("SUMS", &world.sigstore.sign().blob(list.as_bytes()));
    world.plugin.write("a", "A");
    world.plugin.write("b", "B");
    world
}

const SUMS: &str = "--certificate SUMS.pem --signature SUMS.sig --all SUMS";

#[test]
fn a_list_that_holds_is_followed_to_every_file() {
    let world = world(&list(&[("a", b"A"), ("b", b"B")]));
    let said = world.verify_dev(SUMS);
    said.assert_ok();
    assert!(said.stderr.contains("\na: OK\nb: OK\n"), "{said:?}");
    let document = json_of(&world.verify_dev(&format!("--json {SUMS}")).stdout);
    assert_eq!(
        (document["verified"].as_bool(), document["files"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    assert!(!said.stderr.contains('\r'), "no progress where there is no terminal: {said:?}");
}

#[test]
fn one_file_that_is_another_fails_the_whole() {
    let world = world(&list(&[("a", b"A"), ("b", b"other")]));
    let said = world.verify_dev(SUMS);
    said.assert_refused("digest");
    assert!(said.stderr.contains("a: OK\nb: FAILED"), "{said:?}");
    let said = world.verify_dev(&format!("--json {SUMS}"));
    let document = json_of(&said.stdout);
    assert_eq!(
        (
            said.code,
            document["verified"].as_bool(),
            document["files"][1]["error"]["class"].as_str()
        ),
        (14, Some(false), Some("digest"))
    );
}

#[test]
fn a_file_that_is_not_there_is_passed_over_only_when_that_is_asked() {
    let world = world(&list(&[("a", b"A"), ("c", b"C")]));
    world.verify_dev(SUMS).assert_refused("not-found");
    let said = world.verify_dev(&format!("--ignore-missing {SUMS}"));
    said.assert_ok();
    assert!(said.stderr.contains("a: OK") && !said.stderr.contains("c:"), "{said:?}");
    std::fs::remove_file(world.plugin.path("a")).unwrap();
    world.verify_dev(&format!("--ignore-missing {SUMS}")).assert_refused("not-found");
}

#[test]
fn a_list_that_was_tampered_with_is_followed_nowhere() {
    let world = world(&list(&[("a", b"A")]));
    world.plugin.write("SUMS", list(&[("a", b"A"), ("b", b"B")]));
    let said = world.verify_dev(SUMS);
    said.assert_refused("signature");
    assert!(!said.stderr.contains("a: OK"), "{said:?}");
}

#[test]
fn what_is_no_list_is_malformed() {
    world("hello\n").verify_dev(SUMS).assert_refused("malformed");
    world(&list(&[("../trusted_root.json", b"A")])).verify_dev(SUMS).assert_refused("malformed");
    let world = world(&list(&[("a", b"A")]));
    assert_eq!(
        world.verify_dev("--certificate SUMS.pem --signature SUMS.sig --all SUMS a").code,
        2,
        "one of the two"
    );
}

/// A list is someone else's, and what it names may be anything that is here.
#[test]
fn what_a_list_names_is_a_plain_file_or_nothing() {
    for make in [
        (&|path: &Path| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }) as &dyn Fn(&Path),
        &|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        &|path| std::os::unix::fs::symlink("/dev/null", path).unwrap(),
        &|path| std::fs::create_dir(path).unwrap(),
    ] {
        let world = world(&list(&[("a", b"A"), ("odd", b"")]));
        make(&world.plugin.path("odd"));
        let said = world.verify_dev(SUMS);
        said.assert_refused("not-found");
        assert!(said.stderr.contains("a: OK\nodd: FAILED"), "{said:?}");
    }
}

#[test]
fn a_pipe_may_be_slow_but_not_silent() {
    let world = World::new();
    world.write("f", &world.sigstore.sign().blob(FILE));
    let options = "--certificate f.pem --signature f.sig";
    let fifo = world.plugin.path("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Nobody writes; then someone does, in pieces, who opened it before or later.
    let silent = World { plugin: world.plugin.env("LUET_COSIGN_TIMEOUT", "1"), ..world };
    let said = silent.verify_dev(&format!("{options} pipe"));
    said.assert_refused("state");
    assert!(said.stderr.contains("nothing came for 1 s"), "{said:?}");
    let world = World { plugin: silent.plugin.env("LUET_COSIGN_TIMEOUT", "60"), ..silent };
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut pipe = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
        FILE.chunks(7).for_each(|piece| pipe.write_all(piece).unwrap());
    });
    world.verify_dev(&format!("{options} pipe")).assert_ok();
    writer.join().unwrap();
    let said = world.verify_dev(&format!("{options} /dev/zero"));
    said.assert_refused("not-found");
}

#[test]
fn a_changed_file_counts_before_a_missing_one() {
    for files in [[("gone", &b"A"[..]), ("b", b"other")], [("b", b"other"), ("gone", b"A")]] {
        let world = world(&list(&files));
        let said = world.verify_dev(SUMS);
        said.assert_refused("digest");
        assert_eq!(said.code, 14, "{said:?}");
        assert!(said.stderr.contains("gone: FAILED (not-found"), "{said:?}");
        assert_eq!(world.verify_dev(&format!("--json {SUMS}")).code, 14);
    }
}
