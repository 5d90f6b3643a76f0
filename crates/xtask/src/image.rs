//! The image `FROM scratch`: the program as entrypoint, and the certificates by which registries are
//! trusted. Made by buildah, as an OCI archive; signed when it is pushed.

use super::{Architecture, Options, run};
use run::{Failed, Result};
use std::path::Path;

/// Where Debian and others keep the certificates of authorities.
const CERTIFICATES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

pub fn image(options: &Options, architecture: Architecture, program: &Path) -> Result<()> {
    let certificates = CERTIFICATES.into_iter().find(|path| Path::new(path).is_file());
    let certificates =
        certificates.ok_or_else(|| Failed("install the package ca-certificates".into()))?;
    let buildah = |words: &[&str]| {
        let mut command = run::program("buildah");
        command.args(["--storage-driver", "vfs"]).args(words);
        command
    };
    let from = ["from", "--arch", architecture.name(), "scratch"];
    let container = run::output(&mut buildah(&from))?;
    let container = container.trim();
    let program = program.display().to_string();
    let archive = options.output.join(format!("{}.oci.tar", options.stem(architecture)));
    let copy = |from: &str, to: &str| {
        run::run(&mut buildah(&["copy", "--chmod", "0755", container, from, to]))
    };
    let result = (|| {
        copy(&program, "/usr/bin/luet-cosign")?;
        copy(certificates, "/etc/ssl/certs/ca-certificates.crt")?;
        let version = format!("org.opencontainers.image.version={}", options.version);
        run::run(&mut buildah(&[
            "config",
            "--arch",
            architecture.name(),
            "--entrypoint",
            r#"["/usr/bin/luet-cosign"]"#,
            "--env",
            "PATH=/usr/bin",
            "--user",
            "65532:65532",
            "--label",
            &version,
            "--label",
            "org.opencontainers.image.licenses=Apache-2.0",
            container,
        ]))?;
        run::run(&mut buildah(&[
            "commit",
            "--quiet",
            "--timestamp",
            &options.epoch,
            "--omit-history",
            "--identity-label=false",
            "--format",
            "oci",
            container,
            &format!("oci-archive:{}", archive.display()),
        ]))
    })();
    let _ = run::bytes(&mut buildah(&["rm", container]));
    result
}
