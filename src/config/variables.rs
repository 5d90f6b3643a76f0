//! Every variable of the environment that has an effect: one table, which `metadata`, the manual
//! and the list in docs/variables.md come from.

/// A variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Whether its value is a secret.
    pub secret: bool,
    /// Whether it decides what is trusted, so that a policy file makes it inert.
    pub verification: bool,
    /// What it does.
    pub meaning: &'static str,
}

const fn verifies(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, secret: false, verification: true, meaning }
}

const fn works(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, secret: false, verification: false, meaning }
}

/// The list. Variables of docker, podman, proxies, XDG and of CI systems are read as everywhere.
pub const VARIABLES: &[Variable] = &[
    verifies(
        "COSIGN_PUBLIC_KEY_LOCATION",
        "the public key that must have signed: a path, `https://...` or `env://VAR`",
    ),
    verifies(
        "COSIGN_EXPERIMENTAL",
        "`1`: accept keyless signatures (with a key as well: only by a named identity); without a key, sign pushes keyless",
    ),
    verifies(
        "COSIGN_CERTIFICATE_IDENTITY",
        "the exact identity expected in the signer's certificate",
    ),
    verifies(
        "COSIGN_CERTIFICATE_IDENTITY_REGEXP",
        "the same, as a regular expression that must match at the boundaries of the name's parts",
    ),
    verifies(
        "COSIGN_CERTIFICATE_OIDC_ISSUER",
        "the exact URL of the issuer that vouched for that identity",
    ),
    verifies(
        "COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP",
        "the same, as a regular expression that must match at the boundaries of the URL's parts",
    ),
    verifies(
        "LUET_COSIGN_ANY_IDENTITY",
        "`1`: the first signer of a repository may sign it, and no one else later",
    ),
    verifies(
        "COSIGN_TRUSTED_ROOT",
        "the path of a `trusted_root.json`, instead of Sigstore's public one",
    ),
    verifies(
        "SIGSTORE_ROOT_FILE",
        "PEM file with the CA certificates that issue signing certificates, instead of the trusted root's",
    ),
    verifies(
        "SIGSTORE_REKOR_PUBLIC_KEY",
        "PEM file with the public key of Rekor (version 1), instead of the trusted root's",
    ),
    verifies(
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
        "PEM file with the public key of the certificate log, instead of the trusted root's",
    ),
    verifies(
        "SIGSTORE_TSA_CERTIFICATE_FILE",
        "PEM file with the certificates of the timestamp authority, instead of the trusted root's",
    ),
    verifies(
        "COSIGN_INSECURE_IGNORE_SCT",
        "`1`: certificates need not have been logged, for authorities of one's own",
    ),
    verifies(
        "TUF_MIRROR",
        "the address of a TUF repository that publishes the trusted root; with TUF_ROOT_JSON",
    ),
    verifies("TUF_ROOT_JSON", "the path of the first root.json of that repository"),
    works(
        "LUET_COSIGN_OFFLINE",
        "`1`: contact registries only; use the trusted root that is on this machine",
    ),
    Variable {
        verification: true,
        ..works(
            "COSIGN_REPOSITORY",
            "the repository that holds the signatures, instead of the image's own; also for signing",
        )
    },
    works("COSIGN_KEY_LOCATION", "the private key to sign with: a path or `env://VAR`"),
    Variable {
        secret: true,
        ..works("COSIGN_PASSWORD", "the password of the private key; may be empty")
    },
    Variable {
        secret: true,
        ..works(
            "SIGSTORE_ID_TOKEN",
            "the identity token to sign keyless with, a JWT; GitLab makes it",
        )
    },
    Variable {
        secret: true,
        ..works("COSIGN_IDENTITY_TOKEN", "the same, where SIGSTORE_ID_TOKEN is not set")
    },
    verifies(
        "COSIGN_SKIP",
        "images that are not looked at: space-separated regular expressions over the whole name",
    ),
    works("COSIGN_DEBUG", "`1`: say in the answer what was found, also when all is well"),
    verifies(
        "LUET_COSIGN_ALLOW_UNSIGNED",
        "scopes whose images may be unsigned, space-separated; `file://**` for local files",
    ),
    verifies(
        "LUET_COSIGN_AUTH_HOSTS",
        "`REGISTRY=HOST`, space-separated: HOST hands out tokens for REGISTRY, and may see its credentials",
    ),
    verifies(
        "LUET_COSIGN_HTTP_REGISTRIES",
        "`host:port` of registries that are spoken to in plain http, space-separated",
    ),
    verifies(
        "LUET_COSIGN_POST_UNPACK",
        "`auto` (default), `tree`, `layers` or `off`: how what was unpacked is compared with what was verified",
    ),
    works(
        "COSIGN_REKOR_URL",
        "the transparency log: records what is signed, and is queried for entries about files",
    ),
    works("COSIGN_FULCIO_URL", "who makes the certificates of keyless signatures"),
    works("COSIGN_TIMESTAMP_SERVER_URL", "who says when a keyless signature was made"),
    works("LUET_COSIGN_ENGINE", "`docker`, `buildah` or `registry`: who knows what was pushed"),
    works(
        "LUET_COSIGN_RUN_CERTIFICATE",
        "`1`: the events of one luet share a key and certificate, kept in memory for ten minutes at most",
    ),
    works(
        "LUET_COSIGN_BUILD_INPUTS",
        "`off` (default) or `verify`: what luet pulls to build on must be signed as the policy wants it",
    ),
    works("LUET_COSIGN_SIGN", "`packages` (default), `all` (build caches too) or `off`"),
    works("LUET_COSIGN_POLICY", "the policy file, in place of /etc/luet/luet-cosign/policy.yaml"),
    works(
        "LUET_COSIGN_STATE",
        "the directory for what is kept, in place of /var/lib/luet-cosign and /run/luet-cosign",
    ),
    works("LUET_COSIGN_TIMEOUT", "seconds for everything but layers (default 60)"),
    works(
        "LUET_COSIGN_RUN",
        "set by `luet-cosign run` for luet: events leave marks, from which it reports",
    ),
    works("SSL_CERT_FILE", "PEM file with the CA certificates to trust for https"),
    works("DOCKER_CONFIG", "the directory of docker's `config.json` with credentials"),
    works("REGISTRY_AUTH_FILE", "podman's file of credentials"),
    works("DOCKER_HOST", "docker's socket, `unix://...`"),
    works("HTTPS_PROXY", "the proxy for https; `HTTP_PROXY` and `NO_PROXY` likewise"),
];
