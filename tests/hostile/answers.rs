//! What real registries answer when they are asked for a signature of an image that has none, or
//! may have one: each is read as "not there", or as a class that decides nothing. Status, media
//! type and body are as recorded by the source that each names; names and digests are this test's
//! own. The lists of absence are those of docs/verifying.md.

use crate::world::{Place, REPO, World};
use testkit::http::Answer;
use testkit::registry::{INDEX, MANIFEST, Options};

/// One registry's three answers: for the `.sig` tag, the list of referrers, and the fallback tag.
struct Recorded {
    registry: &'static str,
    /// Where it was seen.
    source: &'static str,
    answers: [Answer; 3],
    /// The class where a rule wants a signature. `unsigned` is the one that a rule may relax.
    expected: &'static str,
}

/// A JSON document as an answer.
fn json(status: u16, text: &str) -> Answer {
    Answer::new(status).header("Content-Type", "application/json; charset=utf-8").body(text)
}

/// One error with a code and a message, and what else the registry says in it.
fn error(status: u16, code: &str, message: &str, more: &str) -> Answer {
    let message = message.replace('"', "\\\"");
    json(status, &format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"{more}}}]}}"#))
}

/// An authoritative "nothing refers to it".
fn none() -> Answer {
    Answer::new(200)
        .header("Content-Type", INDEX)
        .body(format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#))
}

/// What Go's router says of a path that it does not know.
fn no_route() -> Answer {
    Answer::new(404)
        .header("Content-Type", "text/plain; charset=utf-8")
        .body("404 page not found\n")
}

fn recorded() -> Vec<Recorded> {
    let answered = |registry, source, sig: Answer, referrers, fallback, expected| Recorded {
        registry,
        source,
        answers: [sig, referrers, fallback],
        expected,
    };
    let same = |registry, source, tag: Answer, referrers, expected| {
        answered(registry, source, tag.clone(), referrers, tag, expected)
    };
    let unknown = |more: &str| error(404, "MANIFEST_UNKNOWN", "manifest unknown", more);
    vec![
        same(
            "Docker Hub",
            "containers/image docker_client_test.go, TestIsManifestUnknownError",
            unknown(r#","detail":{"Tag":"this-does-not-exist"}"#),
            no_route(),
            "unsigned",
        ),
        same(
            "Docker Hub, since it lists referrers",
            "awslabs/soci-snapshotter#1828",
            unknown(""),
            none(),
            "unsigned",
        ),
        same(
            "Docker Hub, over the limit of pulls",
            "clemlesne/blue-agent#259",
            error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", ""),
            error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", ""),
            "registry",
        ),
        same(
            "GHCR, which leads lists of referrers to a web page",
            "project-zot/zot#4060, artifacthub/hub#4785",
            unknown(""),
            Answer::redirect(
                303,
                "https://github.invalid/-/v2/packages/container/package/a%2Fb%2Freferrers%2Fsha256",
            ),
            "unsigned",
        ),
        same(
            "GHCR, since",
            "NVIDIA/aicr#1957, artifact-keeper#3559",
            unknown(""),
            unknown(""),
            "unsigned",
        ),
        same(
            "GHCR, of a package that is private",
            "devantler-tech/platform#3545",
            error(403, "DENIED", "requested access to the resource is denied", ""),
            error(403, "DENIED", "requested access to the resource is denied", ""),
            "auth",
        ),
        same("quay.io", "as recorded", unknown(r#","detail":{}"#), none(), "unsigned"),
        same(
            "quay 3.12 and later",
            "quay/quay#3071: 400 for what is wrong with a manifest on the referrers API",
            unknown(r#","detail":{}"#),
            error(400, "MANIFEST_UNKNOWN", "manifest unknown", ""),
            "unsigned",
        ),
        same(
            "ECR",
            "pulumi/pulumi-docker-build#849",
            error(404, "MANIFEST_UNKNOWN", "Requested image not found", ""),
            none(),
            "unsigned",
        ),
        same(
            "ECR, without the right to pull",
            "everything2/everything2#2562",
            error(
                403,
                "DENIED",
                "User: x is not authorized to perform: ecr:BatchGetImage on resource: y",
                "",
            ),
            error(
                403,
                "DENIED",
                "User: x is not authorized to perform: ecr:BatchGetImage on resource: y",
                "",
            ),
            "auth",
        ),
        same(
            "ECR, throttled",
            "kyverno/kyverno#6123",
            error(429, "TOOMANYREQUESTS", "Rate exceeded", ""),
            none(),
            "registry",
        ),
        same(
            "public.ecr.aws, without a token",
            "fluxcd/flux#3492; the realm is left out, for it would be asked",
            error(401, "DENIED", "Not Authorized", ""),
            error(401, "DENIED", "Not Authorized", ""),
            "auth",
        ),
        same(
            "Google (gcr.io and Artifact Registry)",
            "kubernetes/release#2913",
            error(
                404,
                "MANIFEST_UNKNOWN",
                r#"Failed to fetch "sha256-x.sig" from request "/v2/a/b/manifests/sha256-x.sig"."#,
                "",
            ),
            none(),
            "unsigned",
        ),
        // The one code of absence for something that is there.
        same(
            "Google, of a manifest in another form",
            "genuinetools/reg#137, kubernetes/release#2913, GoogleCloudPlatform/gcr-cleaner#113",
            error(
                404,
                "MANIFEST_UNKNOWN",
                "Manifest with tag 'x' has media type 'application/x', but client accepts 'application/y'.",
                "",
            ),
            none(),
            "registry",
        ),
        same(
            "Harbor 2.10",
            "containers/image#2203",
            error(404, "NOT_FOUND", "artifact test/alpine:sha256-4432.sig not found", "")
                .header("Set-Cookie", "sid=f617; Path=/; HttpOnly"),
            none(),
            "unsigned",
        ),
        same(
            "Harbor, a project that is a cache",
            "goharbor/harbor#23637",
            error(404, "NOT_FOUND", "repo docker.io/library/debian, tag badtag not found", ""),
            none(),
            "unsigned",
        ),
        same(
            "Harbor before 2.0, of a name that it does not like",
            "goharbor/harbor#11744",
            error(500, "UNKNOWN", "unknown error", ""),
            no_route(),
            "registry",
        ),
        same(
            "Artifactory",
            "jetstack/version-checker#318",
            error(
                404,
                "MANIFEST_UNKNOWN",
                "The named manifest is not known to the registry.",
                r#","detail":{"manifest":"a/b"}"#,
            ),
            Answer::new(404),
            "unsigned",
        ),
        same(
            "Artifactory, of a tag that it would have to create",
            "sigstore/cosign#2973",
            error(
                403,
                "UNAUTHORIZED",
                "The client does not have permission for manifest: Download request is forbidden",
                "",
            ),
            Answer::new(404),
            "auth",
        ),
        same(
            "Nexus",
            "sonatype/nexus-public#317",
            unknown(r#","detail":[{"Name":"a/b"},{"Revision":"sha256:85a5"}]"#),
            Answer::html(404),
            "unsigned",
        ),
        same(
            "zot",
            "project-zot/zot pkg/api/errors",
            unknown(r#","description":"unknown to the registry","detail":{"reference":"x"}"#),
            none(),
            "unsigned",
        ),
        same(
            "docker-registry 2 and 3",
            "ARCHITECTURE.md, and the interop runs of this repository",
            unknown(r#","detail":"unknown tag=x""#),
            no_route(),
            "unsigned",
        ),
        same(
            "olareg",
            "ARCHITECTURE.md, and the interop runs of this repository",
            unknown(""),
            none(),
            "unsigned",
        ),
        same(
            "registry.redhat.io, from its store",
            "containers/image docker_client_test.go",
            Answer::new(404).header("Server", "AkamaiNetStorage").body("Not found\r\n"),
            json(404, r#"{"errors": [{"code": "404", "message": "Not Found"}]}"#),
            "unsigned",
        ),
        same(
            "ACR",
            "Azure/azure-sdk-for-net#34525",
            error(
                404,
                "MANIFEST_UNKNOWN",
                r#"manifest tagged by "demo" is not found"#,
                r#","detail":{"Tag":"demo"}"#,
            ),
            none(),
            "unsigned",
        ),
        same(
            "ACR, in other words",
            "Azure/azure-sdk-for-net#31932",
            error(404, "TAG_UNKNOWN", "the specified tag does not exist", ""),
            none(),
            "unsigned",
        ),
        same(
            "a registry whose front page answers every path",
            "sigstore/sigstore-js#1187: a 200 from a registry without the API",
            unknown(""),
            Answer::html(200),
            "registry",
        ),
        same(
            "a firewall before a registry",
            "kubernetes/registry.k8s.io#336: lists of referrers are rejected before the registry sees them",
            unknown(""),
            Answer::html(403),
            "auth",
        ),
    ]
}

#[test]
fn answers_of_real_registries_are_absence_or_a_class() {
    let recorded = recorded();
    assert!(recorded.len() >= 20);
    crate::in_parallel(8, recorded.len(), |number| {
        let Recorded { registry, source, answers: [sig, referrers, fallback], expected } =
            &recorded[number];
        let answering = |world: World| {
            let world =
                world.serve(Place::Sig, sig.clone()).serve(Place::Referrers, referrers.clone());
            world.serve(Place::Fallback, fallback.clone()).install()
        };
        assert_eq!(answering(World::strict()), *expected, "{registry} ({source})");
        let relaxed = if *expected == "unsigned" { "" } else { expected };
        assert_eq!(
            answering(World::lax()),
            relaxed,
            "{registry} ({source}), where unsigned images are allowed"
        );
    });
}

/// GitLab takes the name `sha256-HEX` for the digest `sha256:HEX`, and so answers for the fallback
/// tag with the image itself (oras-project/oras-go#1396). That lists no referrers, of an image and
/// of an index alike.
#[test]
fn a_registry_that_takes_the_fallback_tag_for_a_digest_has_no_such_tag() {
    for (what, index) in [("an image", false), ("an index", true)] {
        let options = Options { referrers: false, ..Options::default() };
        let world = World::with(options, "trust: [acme], unsigned: deny");
        let (media_type, digest) = if index {
            (INDEX, world.registry.push_index(REPO, "1", &[(&world.image, "linux/amd64")]))
        } else {
            (MANIFEST, world.image.digest.clone())
        };
        let (_, itself) = world.registry.manifest(REPO, &digest).unwrap();
        let answer = Answer::new(200).header("Content-Type", media_type).body(itself);
        world.registry.always(
            "GET",
            &format!("/v2/{REPO}/manifests/{}", digest.replace(':', "-")),
            answer,
        );
        assert_eq!(world.install(), "unsigned", "{what}");
        // And a good signature in the place that such a registry does have is found.
        world.registry.push_signatures(REPO, &digest, &[world.signature("acme", &digest, &[])]);
        assert_eq!(world.install(), "", "{what}");
        // Nothing can be listed there, so no bundle may be said to be attached.
        let key = world.plugin.path("acme.key").display().to_string();
        let output = world.plugin.run(["sign", "--format", "bundle", "--key", &key, &world.name()]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(15), "{what}: {text}");
        assert!(text.contains("--format legacy"), "{what}: {text}");
    }
}
