//! `policy init`: what it prints can be read, refuses what is not filled in, and names what luet
//! names.

use crate::support::load_at;
use luet_cosign::name::Repository;
use luet_cosign::policy::{Document, start};

fn repositories(named: &[(&str, &[&str])]) -> Vec<(String, Vec<Repository>)> {
    let urls = |urls: &[&str]| urls.iter().map(|url| url.parse().unwrap()).collect();
    named.iter().map(|(name, all)| ((*name).to_owned(), urls(all))).collect()
}

#[test]
fn what_is_printed_can_be_read() {
    for named in [
        &[][..],
        &[("acme", &["quay.io/acme/packages"][..])],
        &[
            ("acme", &["quay.io/acme/packages", "mirror.example/acme", "quay.io/acme/packages"]),
            ("acme", &["ghcr.io/acme/os"]),
            ("1 \u{202e}\"'}", &["docker.io/x/y"]),
            ("skip", &["docker.io/x/z"]),
            ("none", &[]),
        ],
    ] {
        let text = start(&repositories(named));
        let document = Document::parse(&text).unwrap_or_else(|found| panic!("{found:?}\n{text}"));
        let urls = named.iter().filter(|(_, urls)| !urls.is_empty()).count();
        assert_eq!(document.signers().len(), urls, "{text}");
        assert!(!text.contains('\u{202e}'), "{text}");
        let (_, problems) = load_at(&text, crate::support::file(), crate::support::now()).unwrap();
        assert_eq!(
            problems.iter().filter(|found| found.code != "same-key").count(),
            0,
            "{problems:?}\n{text}"
        );
    }
}

#[test]
fn a_second_address_is_a_mirror_of_the_first() {
    let text = start(&repositories(&[("acme", &["quay.io/acme/p", "mirror.example/p"])]));
    assert!(
        text.contains("scope: \"mirror.example/p\"\n    mirror_of: \"quay.io/acme/p\""),
        "{text}"
    );
}
