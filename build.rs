//! Says whether the shared vectors are beside the checkout: tests that read them are ignored, with
//! that reason, where not.

use std::path::Path;

fn main() {
    println!("cargo:rustc-check-cfg=cfg(vectors)");
    println!("cargo:rerun-if-changed=build.rs");
    let vectors = "../shared/vectors";
    println!("cargo:rerun-if-changed={vectors}");
    if Path::new(vectors).is_dir() {
        println!("cargo:rustc-cfg=vectors");
    }
}
