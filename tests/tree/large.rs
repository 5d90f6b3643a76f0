//! Big trees: only with `LUET_COSIGN_LARGE=1`, for they take their time. Alone, so that the memory
//! is theirs:
//! `LUET_COSIGN_LARGE=1 cargo test --release --test tree large -- --test-threads=1 --nocapture`.

use crate::support::{fresh, walk};
use luet_cosign::tree::{Accepted, ExpectedTree, Limits, read_layer};
use std::process::{Command, Stdio};

/// The most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_hundred_thousand_files_and_a_gibibyte_fit_the_budget() {
    if std::env::var_os("LUET_COSIGN_LARGE").is_none() {
        eprintln!("skipped: LUET_COSIGN_LARGE is not set");
        return;
    }
    let (_keeper, dir) = fresh();
    let mut paths = 0;
    for folder in 0..100 {
        let name = dir.join(format!("folder-{folder}"));
        std::fs::create_dir(&name).unwrap();
        for file in 0..1000 {
            let path = name.join(format!("file-{file}"));
            paths += path.as_os_str().len() as u64;
            std::fs::write(path, format!("{folder}/{file}")).unwrap();
        }
    }
    let huge = std::fs::File::create(dir.join("huge")).unwrap();
    huge.set_len(1 << 30).unwrap();
    drop(huge);
    let start = peak();
    let walked = walk(&dir);
    assert_eq!(walked.tree.entries().len(), 100_101);
    let used = peak() - start;
    assert!(used <= (64 << 20) + 256 * 100_101 + paths, "{used}");
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(&dir)
        .args(["-cf", "-", "."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let layer =
        read_layer(tar.stdout.take().unwrap(), Limits { ratio: u64::MAX, ..Limits::default() })
            .unwrap();
    assert!(tar.wait().unwrap().success());
    assert_eq!(ExpectedTree::of(&[layer]).accepts(&walked.tree, &walked.terms), Ok(Accepted::Both));
}
