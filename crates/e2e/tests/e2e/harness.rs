//! What trials stand on: that nothing is left behind, and that nothing is skipped.

use crate::trial;
use e2e::{Registry, tools};
use libtest_mimic::Trial;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    vec![
        trial("harness::a-server-and-its-folder-end-when-a-trial-panics".into(), shared, |_| {
            ends_with_its_value();
        }),
        trial("harness::a-missing-program-is-a-failure-with-a-way-out".into(), shared, |_| {
            missing_program();
        }),
    ]
}

fn ends_with_its_value() {
    let mut seen: Option<(PathBuf, PathBuf)> = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let registry = Registry::olareg(&[]);
        let process = PathBuf::from(format!("/proc/{}", registry.process()));
        seen = Some((process, registry.folder().to_owned()));
        assert!(seen.iter().all(|(process, folder)| process.exists() && folder.exists()));
        // As a panic, but without its words in the output of a good run.
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(outcome.is_err_and(|why| why.is::<&str>()), "it did not panic as it should");
    let (process, folder) = seen.expect("it ran");
    assert!(!process.exists(), "the server runs on");
    assert!(!Path::new(&folder).exists(), "its directory is left");
}

fn missing_program() {
    assert_eq!(
        tools::find("no-such-program"),
        Err("`no-such-program` is missing: run `.ci/tools.sh`".to_owned())
    );
}
