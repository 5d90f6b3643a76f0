//! Images of `tests/data/cosign-images`, read where they lie and served as the registry did
//! from which they were taken.

use super::registry::TestRegistry;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder with the images, blobs and trusted roots of the vectors.
pub fn folder() -> &'static Path {
    Path::new("tests/data/cosign-images")
}

/// Pushes an image with everything at it, under the tag `1`. `shape` is `referrers` or
/// `tagfallback`.
pub fn push(registry: &TestRegistry, repository: &str, name: &str, shape: &str) {
    let folder = folder().join("images").join(name).join(shape);
    registry.push_blob(repository, b"{}");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in &files {
        let file = path.file_name().unwrap().to_str().unwrap();
        if [".config.json", ".payload.json", ".sigstore.json"].iter().any(|end| file.ends_with(end))
            || file.contains(".layer")
        {
            registry.push_blob(repository, &std::fs::read(path).unwrap());
        }
    }
    let push = |file: &str, tag: Option<&str>| {
        let bytes = std::fs::read(folder.join(file)).ok()?;
        let media_type = serde_json::from_slice::<Value>(&bytes).unwrap()["mediaType"]
            .as_str()
            .unwrap()
            .to_owned();
        Some(registry.push_manifest(repository, tag, &media_type, &bytes))
    };
    let digest = push("image.manifest.json", Some("1")).unwrap();
    for number in 0..4 {
        push(&format!("bundle{number}.manifest.json"), None);
    }
    push("sig.manifest.json", Some(&format!("{}.sig", digest.replace(':', "-"))));
    push("fallback-tag.index.json", Some(&digest.replace(':', "-")));
}
