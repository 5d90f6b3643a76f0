//! Programs in Go of this crate: `go/NAME`, built when a trial first needs them.

use crate::tools::project;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// Builds `crates/e2e/go/NAME` with the Go of this machine, and returns the program. Go's own cache
/// makes a second run cheap.
///
/// # Panics
///
/// Says what is missing, or what the compiler said.
pub fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let source = project().join("crates/e2e/go").join(name);
    let path = project().join("target/e2e-go").join(name);
    let output = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o"])
        .arg(&path)
        .arg(".")
        .current_dir(&source)
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap_or_else(|error| {
            panic!("Go is missing (1.26 or newer; https://go.dev/dl): {error}")
        });
    assert!(output.status.success(), "go/{name}: {}", String::from_utf8_lossy(&output.stderr));
    built.insert(name.to_owned(), path.clone());
    path
}
