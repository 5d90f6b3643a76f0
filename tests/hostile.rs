//! A hostile world around the real binary: registries, networks, hosts and disks that do what they
//! must not.
//!
//! `cases` is the ledger of the attack matrix (docs/threats.md families R, N, E,
//! F and L): each case is one scripted world with the exact class that it must end in, and is
//! counted when it has run. The other tests here are about numbers of things: answers of real
//! registries, origins that credentials must not reach, outputs that no secret may be in, processes
//! at once, and faults by a seed.
//!
//! `HOSTILE=full` runs the two large ones in their full size; `.ci/run` does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

#[path = "hostile/answers.rs"]
mod answers;
#[path = "hostile/cases.rs"]
mod cases;
#[path = "hostile/content.rs"]
mod content;
#[path = "hostile/credentials.rs"]
mod credentials;
#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/events.rs"]
mod events;
#[path = "hostile/evidence.rs"]
mod evidence;
#[path = "hostile/faults.rs"]
mod faults;
#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/network.rs"]
mod network;
#[path = "hostile/passes.rs"]
mod passes;
#[path = "hostile/places.rs"]
mod places;
#[path = "hostile/schedules.rs"]
mod schedules;
#[path = "hostile/secrets.rs"]
mod secrets;
#[path = "hostile/sizes.rs"]
mod sizes;
#[path = "hostile/world.rs"]
mod world;

/// Returns how many runs to make: all of them where the environment says so, else a part that
/// `cargo test` has time for.
fn runs(full: usize, part: usize) -> usize {
    if std::env::var("HOSTILE").is_ok_and(|value| value == "full") { full } else { part }
}

/// Does work on so many threads, each taking the next number until all are taken. A panic of one is
/// a panic of the test.
fn in_parallel(threads: usize, count: usize, work: impl Fn(usize) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}
