//! Layers: long, piece by piece, and judged at their end (F02, F03, F05, R10, R11).

use luet_cosign::class::Class;
use luet_cosign::registry::Client;
use std::time::{Duration, Instant};
use testkit::client::*;
use testkit::{Answer, Sink, TestRegistry, digest};

fn layer(bytes: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(bytes)
        .collect()
}

fn read(client: &Client, name: &str, content: &[u8]) -> Result<Vec<u8>, Class> {
    read_as(client, name, content, content.len())
}

fn read_as(client: &Client, name: &str, content: &[u8], size: usize) -> Result<Vec<u8>, Class> {
    run(async {
        let size = u64::try_from(size).unwrap();
        let mut stream = client
            .blob_stream(&repository(name), &hash(&digest(content)), size)
            .await
            .map_err(|failure| failure.class())?;
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await.map_err(|failure| failure.class())? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    })
}

fn serving(content: &[u8]) -> TestRegistry {
    let registry = TestRegistry::start();
    registry.push_blob("a/b", content);
    registry
}

#[test]
fn a_layer_comes_whole() {
    for size in [0, 1, 100_000, 3 << 20] {
        let content = layer(size);
        let registry = serving(&content);
        assert!(read(&client(), &registry.name("a/b"), &content).unwrap() == content, "{size}");
        assert_eq!(registry.requests().len(), 1);
    }
}

#[test]
fn a_layer_that_is_not_what_was_asked_for_is_found_out_at_its_end() {
    let content = layer(100_000);
    let mut wrong = content.clone();
    wrong[99_999] ^= 1;
    let registry = serving(&content);
    for answer in [
        Answer::new(200).body(wrong.clone()),
        Answer::new(200).body(wrong.clone()).chunked(),
        Answer::new(200).body(wrong).until_close(),
    ] {
        registry.always("GET", "*", answer);
        assert_eq!(read(&client(), &registry.name("a/b"), &content), Err(Class::Digest));
    }
}

#[test]
fn a_layer_of_another_length_is_a_wrong_layer() {
    let content = layer(1000);
    let registry = serving(&content);
    for size in [0, 999, 1001, 1 << 40] {
        assert_eq!(
            read_as(&client(), &registry.name("a/b"), &content, size),
            Err(Class::Digest),
            "{size}"
        );
    }
    registry.rule("GET", "*", |call| Some(call.good().chunked()));
    for size in [999, 1001] {
        assert_eq!(
            read_as(&client(), &registry.name("a/b"), &content, size),
            Err(Class::Digest),
            "{size}"
        );
    }
}

#[test]
fn an_endless_layer_is_cut_off_where_it_should_end() {
    let content = layer(1000);
    let registry = serving(&content);
    registry.always("GET", "*", Answer::new(200).endless(vec![0; 64 << 10]));
    assert_eq!(read(&client(), &registry.name("a/b"), &content), Err(Class::Digest));
    assert!(registry.server().sent() < 16 << 20);
}

#[test]
fn a_layer_that_breaks_off_is_taken_up_where_it_broke() {
    let content = layer(300_000);
    let registry = serving(&content);
    registry.rule("GET", "*", |call| (call.nth < 3).then(|| call.good().cut(100_000)));
    assert!(read(&client(), &registry.name("a/b"), &content).unwrap() == content);
    let ranges: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.header("range").map(ToOwned::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
}

#[test]
fn what_is_taken_up_again_is_hashed_as_one() {
    let content = layer(300_000);
    let mut wrong = content.clone();
    wrong[250_000] ^= 1;
    let registry = serving(&content);
    registry.rule("GET", "*", move |call| match call.nth {
        1 => Some(call.good().cut(100_000)),
        _ => Some(call.good().body(wrong[100_000..].to_vec())),
    });
    assert_eq!(read(&client(), &registry.name("a/b"), &content), Err(Class::Digest));
}

#[test]
fn a_registry_that_does_not_go_on_where_it_broke_is_net() {
    let content = layer(300_000);
    for (name, again, expected) in [
        ("from the start", Answer::new(200).body(content.clone()), Class::Net),
        (
            "another range",
            Answer::new(206).header("Content-Range", "bytes 0-299999/300000").body(content.clone()),
            Class::Registry,
        ),
        ("no range", Answer::new(206).body(content.clone()), Class::Registry),
        ("416", Answer::new(416), Class::Registry),
        ("gone", Answer::error(404, "BLOB_UNKNOWN"), Class::Registry),
    ] {
        let registry = serving(&content);
        registry.rule("GET", "*", move |call| {
            Some(if call.nth == 1 { call.good().cut(100_000) } else { again.clone() })
        });
        assert_eq!(read(&client(), &registry.name("a/b"), &content), Err(expected), "{name}");
    }
}

#[test]
fn a_layer_that_always_breaks_off_ends() {
    let content = layer(300_000);
    let registry = serving(&content);
    registry.rule("GET", "*", |call| Some(call.good().cut(10)));
    assert_eq!(read(&client(), &registry.name("a/b"), &content), Err(Class::Net));
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn a_layer_that_makes_no_progress_is_net() {
    let content = layer(200_000);
    for answer in [
        Answer::new(200).body(content.clone()).drip(Duration::from_millis(1)),
        Answer::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()))
            .endless(""),
    ] {
        let registry = serving(&content);
        registry.always("GET", "*", answer);
        let client = client_with(|config| config.times.progress = Duration::from_millis(150));
        let start = Instant::now();
        assert_eq!(read(&client, &registry.name("a/b"), &content), Err(Class::Net));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

/// Each window brings enough, and all of them together would take for ever.
#[test]
fn a_layer_that_drips_for_ever_has_an_end() {
    let content = layer(200_000);
    let registry = serving(&content);
    registry.always(
        "GET",
        "*",
        Answer::new(200).body(content.clone()).drip(Duration::from_millis(1)),
    );
    let client = client_with(|config| {
        config.times.progress = Duration::from_secs(3_600);
        config.times.grace = Duration::from_millis(150);
    });
    let start = Instant::now();
    assert_eq!(read(&client, &registry.name("a/b"), &content), Err(Class::Net));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_layer_may_outlast_the_deadline_while_it_makes_progress() {
    let content = layer(400_000);
    let registry = serving(&content);
    let sizes = [content.len(); 1];
    let parts: Vec<Vec<u8>> = content.chunks(100_000).map(<[u8]>::to_vec).collect();
    // Four answers, each late, make one layer that takes longer than the deadline.
    registry.rule("GET", "/v2/a/b/blobs/*", move |call| {
        let at = (call.nth - 1) * 100_000;
        let head = match call.nth {
            1 => Answer::new(200).header("Content-Length", &sizes[0].to_string()),
            _ => Answer::new(206)
                .header("Content-Range", &format!("bytes {at}-399999/400000"))
                .header("Content-Length", &(400_000 - at).to_string()),
        };
        Some(head.body(parts[call.nth - 1].clone()).cut(100_000).delay(Duration::from_millis(400)))
    });
    let image = registry.push_image("a/b", "1", &[b"layer"]);
    let client = client_with(|config| config.deadline = Duration::from_secs(1));
    let start = Instant::now();
    run(async {
        let size = u64::try_from(content.len()).unwrap();
        let mut stream = client
            .blob_stream(&repository(&registry.name("a/b")), &hash(&digest(&content)), size)
            .await
            .unwrap();
        let mut count = 0;
        while count < 300_000 {
            count += stream.next().await.unwrap().unwrap().len();
        }
        drop(stream);
        assert!(start.elapsed() > Duration::from_secs(1));
        // What comes after it still has its own time.
        let manifest = client.resolve(&reference(&registry.name("a/b:1"))).await.unwrap();
        assert_eq!(manifest.digest, hash(&image.digest));
    });
}

#[test]
fn a_slow_reader_is_no_fault_of_the_registry() {
    let content = layer(2 << 20);
    let registry = serving(&content);
    let client = client_with(|config| config.times.progress = Duration::from_millis(300));
    run(async {
        let size = u64::try_from(content.len()).unwrap();
        let mut stream = client
            .blob_stream(&repository(&registry.name("a/b")), &hash(&digest(&content)), size)
            .await
            .unwrap();
        let mut first = true;
        while let Some(piece) = stream.next().await.unwrap() {
            if std::mem::take(&mut first) {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            assert!(!piece.is_empty());
        }
    });
}

#[test]
fn a_layer_may_lie_elsewhere() {
    let content = layer(10_000);
    let registry = serving(&content);
    let stored = content.clone();
    let store = Sink::answering(move |_| Answer::new(200).body(stored.clone()));
    registry.always("GET", "*", Answer::redirect(307, &format!("{}/blob", store.url())));
    assert!(read(&client(), &registry.name("a/b"), &content).unwrap() == content);
    store.assert_clean(&[]);
}

#[test]
fn a_layer_that_cannot_be_had_for_a_while_is_asked_for_again() {
    let content = layer(10_000);
    let registry = serving(&content);
    registry.in_turn("GET", "*", vec![Answer::new(503), Answer::reset()]);
    assert!(read(&client(), &registry.name("a/b"), &content).unwrap() == content);
    assert_eq!(registry.requests().len(), 3);
}
