//! Manifests that could be read in two ways, and those that are too much (R07, R09, R11, R12, R20).

use luet_cosign::class::Class;
use luet_cosign::registry::{Manifest, ManifestKind};
use serde_json::{Value, json};
use testkit::client::*;
use testkit::registry::{CONFIG, INDEX, LAYER, MANIFEST};
use testkit::{Answer, TestRegistry, digest};

const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "size": 3, "digest": digest(b"abc")})
}

fn image() -> Value {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG), "layers": [descriptor(LAYER)]})
}

fn index() -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST)]})
}

fn with(mut document: Value, key: &str, value: Value) -> Value {
    document[key] = value;
    document
}

fn without(mut document: Value, key: &str) -> Value {
    document.as_object_mut().unwrap().remove(key);
    document
}

/// Fetches it, so that header, bytes and parser meet as they do in life.
fn fetch(content_type: Option<&str>, text: &str) -> Result<Manifest, Class> {
    let registry = TestRegistry::start();
    let answer = Answer::new(200).body(text);
    registry.always(
        "GET",
        "*",
        content_type
            .iter()
            .fold(answer, |answer, content_type| answer.header("Content-Type", content_type)),
    );
    run(client().resolve(&reference(&registry.name("a/b:1")))).map_err(|failure| failure.class())
}

#[test]
fn honest_manifests_are_read() {
    for (name, content_type, document) in [
        ("OCI image", Some(MANIFEST), image()),
        (
            "OCI image with parameters",
            Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
            image(),
        ),
        ("type in capitals", Some("Application/VND.oci.image.manifest.v1+json"), image()),
        ("no type inside", Some(MANIFEST), without(image(), "mediaType")),
        ("no type outside", None, image()),
        ("no type at all, image", None, without(image(), "mediaType")),
        ("no type at all, index", None, without(index(), "mediaType")),
        ("OCI index", Some(INDEX), index()),
        ("docker image", Some(DOCKER), with(image(), "mediaType", json!(DOCKER))),
        ("docker list", Some(DOCKER_LIST), with(index(), "mediaType", json!(DOCKER_LIST))),
        ("unknown platforms", Some(INDEX), {
            let platform = |os: &str, architecture: &str| {
                with(
                    descriptor(MANIFEST),
                    "platform",
                    json!({"os": os, "architecture": architecture}),
                )
            };
            with(
                index(),
                "manifests",
                json!([
                    platform("unknown", "unknown"),
                    platform("linux", "loong64"),
                    platform("haiku", "z80")
                ]),
            )
        }),
        ("no layers", Some(MANIFEST), with(image(), "layers", json!([]))),
        ("unknown fields", Some(MANIFEST), with(image(), "x", json!({"y": [1]}))),
        ("null annotations", Some(MANIFEST), with(image(), "annotations", Value::Null)),
        ("with subject", Some(MANIFEST), with(image(), "subject", descriptor(MANIFEST))),
        ("index with subject", Some(INDEX), with(index(), "subject", descriptor(MANIFEST))),
    ] {
        let manifest = fetch(content_type, &document.to_string());
        let manifest = manifest.unwrap_or_else(|class| panic!("{name}: {class}"));
        assert_eq!(
            matches!(manifest.kind, ManifestKind::Index(_)),
            document.get("manifests").is_some(),
            "{name}"
        );
        assert_eq!(
            manifest.subject,
            document.get("subject").map(|_| hash(&digest(b"abc"))),
            "{name}"
        );
    }
}

#[test]
fn a_manifest_that_can_be_read_in_two_ways_is_refused() {
    let both = with(image(), "manifests", json!([descriptor(MANIFEST)]));
    let text = |value: &Value| value.to_string();
    for (name, content_type, body) in [
        ("image as index", Some(INDEX), text(&image())),
        ("index as image", Some(MANIFEST), text(&index())),
        ("untyped image as index", Some(INDEX), text(&without(image(), "mediaType"))),
        ("untyped index as image", Some(MANIFEST), text(&without(index(), "mediaType"))),
        ("OCI as docker", Some(DOCKER), text(&image())),
        ("docker as OCI", Some(MANIFEST), text(&with(image(), "mediaType", json!(DOCKER)))),
        ("both lists, as image", Some(MANIFEST), text(&both)),
        ("both lists, as index", Some(INDEX), text(&with(both.clone(), "mediaType", json!(INDEX)))),
        ("both lists, untyped", None, text(&without(both.clone(), "mediaType"))),
        (
            "image with null manifests",
            Some(MANIFEST),
            text(&with(image(), "manifests", Value::Null)),
        ),
        ("index with config", Some(INDEX), text(&with(index(), "config", descriptor(CONFIG)))),
        ("index with layers", Some(INDEX), text(&with(index(), "layers", json!([])))),
        ("schema 1 keys", Some(MANIFEST), text(&with(image(), "fsLayers", json!([])))),
        (
            "type inside is unknown",
            None,
            text(&with(image(), "mediaType", json!("application/json"))),
        ),
        (
            "type inside is a list",
            Some(MANIFEST),
            text(&with(image(), "mediaType", json!([MANIFEST]))),
        ),
        ("type inside is null", Some(MANIFEST), text(&with(image(), "mediaType", Value::Null))),
        (
            "type twice",
            Some(MANIFEST),
            text(&image()).replacen('{', &format!("{{\"mediaType\":\"{INDEX}\","), 1),
        ),
        ("layers twice", Some(MANIFEST), text(&image()).replacen('{', "{\"layers\":[],", 1)),
        (
            "digest twice",
            Some(MANIFEST),
            text(&image()).replacen(
                "\"digest\"",
                &format!("\"digest\":\"{}\",\"digest\"", digest(b"x")),
                1,
            ),
        ),
        (
            "key twice by escape",
            Some(MANIFEST),
            text(&image()).replacen('{', "{\"l\\u0061yers\":[],", 1),
        ),
        (
            "annotation twice",
            Some(MANIFEST),
            text(&image()).replacen('{', "{\"annotations\":{\"a\":\"1\",\"a\":\"2\"},", 1),
        ),
        ("trailing document", Some(MANIFEST), format!("{}{}", text(&image()), text(&index()))),
        ("byte order mark", Some(MANIFEST), format!("\u{feff}{}", text(&image()))),
    ] {
        assert_eq!(fetch(content_type, &body).err(), Some(Class::Malformed), "{name}");
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    let schema_1 = json!({"schemaVersion": 1, "name": "a/b", "tag": "1", "fsLayers": [], "history": [], "signatures": []});
    for (name, content_type, document) in [
        ("schema 1", "application/vnd.docker.distribution.manifest.v1+json", schema_1.clone()),
        (
            "signed schema 1",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            schema_1.clone(),
        ),
        ("schema 1 as OCI", MANIFEST, schema_1),
        ("schemaVersion 1", MANIFEST, with(image(), "schemaVersion", json!(1))),
        ("schemaVersion 3", MANIFEST, with(image(), "schemaVersion", json!(3))),
        ("schemaVersion 2.0", MANIFEST, with(image(), "schemaVersion", json!(2.5))),
        ("schemaVersion text", MANIFEST, with(image(), "schemaVersion", json!("2"))),
        ("no schemaVersion", MANIFEST, without(image(), "schemaVersion")),
        ("no config", MANIFEST, without(image(), "config")),
        ("no layers", MANIFEST, without(image(), "layers")),
        ("null layers", MANIFEST, with(image(), "layers", Value::Null)),
        ("no manifests", INDEX, without(index(), "manifests")),
        ("a list", MANIFEST, json!([])),
        ("a number", MANIFEST, json!(2)),
        (
            "negative size",
            MANIFEST,
            with(
                image(),
                "config",
                json!({"mediaType": CONFIG, "size": -1, "digest": digest(b"")}),
            ),
        ),
        (
            "size 2^63",
            MANIFEST,
            with(
                image(),
                "config",
                json!({"mediaType": CONFIG, "size": 1_u64 << 63, "digest": digest(b"")}),
            ),
        ),
        (
            "size 1.5",
            MANIFEST,
            with(
                image(),
                "config",
                json!({"mediaType": CONFIG, "size": 1.5, "digest": digest(b"")}),
            ),
        ),
        (
            "size text",
            MANIFEST,
            with(
                image(),
                "config",
                json!({"mediaType": CONFIG, "size": "1", "digest": digest(b"")}),
            ),
        ),
        (
            "size missing",
            MANIFEST,
            with(image(), "config", json!({"mediaType": CONFIG, "digest": digest(b"")})),
        ),
        (
            "subject without digest",
            MANIFEST,
            with(image(), "subject", json!({"mediaType": MANIFEST, "size": 1})),
        ),
        (
            "config as a list",
            MANIFEST,
            with(image(), "config", json!([CONFIG, digest(b""), 0, null, null, null])),
        ),
        (
            "layer as a list",
            MANIFEST,
            with(image(), "layers", json!([[LAYER, digest(b""), 0, null, null, null]])),
        ),
        (
            "entry as a list",
            INDEX,
            with(index(), "manifests", json!([[MANIFEST, digest(b""), 0, null, null, null]])),
        ),
        ("subject text", MANIFEST, with(image(), "subject", json!(digest(b"")))),
    ] {
        assert_eq!(
            fetch(Some(content_type), &document.to_string()).err(),
            Some(Class::Malformed),
            "{name}"
        );
    }
}

#[test]
fn every_digest_in_a_manifest_is_a_whole_sha256() {
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let bad = [
        String::new(),
        "sha256:".into(),
        hex.into(),
        format!("sha256:{}", hex.to_uppercase()),
        format!("SHA256:{hex}"),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha256: {hex}"),
        format!("sha256:{hex} "),
        format!("sha512:{hex}{hex}"),
        format!("sha512:{hex}"),
        "md5:d41d8cd98f00b204e9800998ecf8427e".into(),
        "sha256:../../../etc/passwd".into(),
        format!("sha256:../{}", &hex[3..]),
        format!("../sha256:{hex}"),
        format!("sha256:{}/", &hex[1..]),
        format!("sha256:{}%00", &hex[3..]),
        format!("sha256:{}\n", &hex[1..]),
        format!("sha256+b64:{hex}"),
        format!("sha256:{}é", &hex[2..]),
        format!("sha256:sha256:{}", &hex[7..]),
    ];
    for text in &bad {
        let broken = json!({"mediaType": LAYER, "size": 1, "digest": text});
        for (field, content_type, document) in [
            ("config", MANIFEST, with(image(), "config", broken.clone())),
            ("layers", MANIFEST, with(image(), "layers", json!([descriptor(LAYER), broken]))),
            ("subject", MANIFEST, with(image(), "subject", broken.clone())),
            ("manifests", INDEX, with(index(), "manifests", json!([descriptor(MANIFEST), broken]))),
            ("index subject", INDEX, with(index(), "subject", broken.clone())),
        ] {
            let parsed = Manifest::parse(document.to_string().into_bytes(), Some(content_type));
            assert_eq!(class(parsed), Class::Malformed, "{field} {text:?}");
        }
    }
}

#[test]
fn the_number_of_layers_is_bounded_at_the_limit() {
    let layers =
        |count: usize| with(image(), "layers", json!(vec![descriptor(LAYER); count])).to_string();
    let manifests = |count: usize| {
        with(index(), "manifests", json!(vec![descriptor(MANIFEST); count])).to_string()
    };
    let limit = luet_cosign::limits::LEGACY_SIGNATURES;
    assert!(fetch(Some(MANIFEST), &layers(limit)).is_ok());
    assert_eq!(fetch(Some(MANIFEST), &layers(limit + 1)).err(), Some(Class::Limit));
    let limit = luet_cosign::limits::INDEX_ENTRIES;
    assert!(fetch(Some(INDEX), &manifests(limit)).is_ok());
    assert_eq!(fetch(Some(INDEX), &manifests(limit + 1)).err(), Some(Class::Limit));
    let many = format!("{{\"schemaVersion\":2,\"layers\":[{}0]}}", "0,".repeat(1_000_000));
    assert_eq!(fetch(Some(MANIFEST), &many).err(), Some(Class::Limit));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        image().to_string().replacen('{', &format!("{{\"x\":{deep},"), 1)
    };
    assert!(fetch(Some(MANIFEST), &nested(luet_cosign::limits::DEPTH - 1)).is_ok());
    assert_eq!(
        fetch(Some(MANIFEST), &nested(luet_cosign::limits::DEPTH)).err(),
        Some(Class::Limit)
    );
    assert_eq!(fetch(Some(MANIFEST), &nested(100_000)).err(), Some(Class::Limit));
}

#[test]
fn all_four_types_are_accepted_in_every_request_for_a_manifest() {
    let registry = TestRegistry::start();
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    run(async {
        let client = client();
        client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        client
            .manifest(&repository(&registry.name("a/b")), &hash(&image.digest), 1 << 20)
            .await
            .unwrap();
    });
    for request in registry.requests() {
        let accept = request.header("accept").unwrap();
        for media_type in [MANIFEST, INDEX, DOCKER, DOCKER_LIST] {
            assert!(accept.split(", ").any(|accepted| accepted == media_type), "{accept}");
        }
        assert!(request.header("accept-encoding").is_none() && request.header("cookie").is_none());
    }
}
