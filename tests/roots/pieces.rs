//! Parts of a trusted root that are given one by one, as cosign's variables do.

use super::*;
use luet_cosign::class::Class;
use serde_json::Value;
use testkit::sigstore::keys::pem;

fn chain(sigstore: &Sigstore) -> Vec<u8> {
    format!(
        "{}{}",
        pem("CERTIFICATE", &sigstore.fulcio.der()),
        pem("CERTIFICATE", &sigstore.root.der())
    )
    .into_bytes()
}

/// All that legacy signatures of an instance need.
fn complete(sigstore: &Sigstore) -> Pieces {
    Pieces {
        authorities: Some(chain(sigstore)),
        logs: Some(sigstore.rekor1.key.pem().into_bytes()),
        certificate_logs: Some(sigstore.ct.key.pem().into_bytes()),
        timestamp_authorities: None,
    }
}

fn parse(
    pieces: &Pieces,
    base: Option<&Sigstore>,
) -> Result<TrustedRoot, luet_cosign::class::Failure> {
    let base = base.map(|base| base.trusted_root().to_string().into_bytes());
    TrustedRoot::parse(&pieces.replace(base.as_deref())?, "of the test")
}

#[test]
fn the_three_that_every_signature_needs_are_a_root_by_themselves() {
    let (own, other) = (Sigstore::new(), Sigstore::new());
    let pieces = complete(&own);
    assert!(pieces.is_complete());
    let root = parse(&pieces, None).unwrap();
    assert!(believes(&root, &own) && !believes(&root, &other));
    for two in [
        Pieces { authorities: None, ..pieces.clone() },
        Pieces { logs: None, ..pieces.clone() },
        Pieces { certificate_logs: None, ..pieces.clone() },
    ] {
        assert!(!two.is_complete(), "{:?}", two.given());
    }
}

#[test]
fn nothing_is_asked_where_the_three_are_given() {
    let own = Sigstore::new();
    let world = World::new(&own);
    let RootSource::Repository { mirror, .. } = world.settings().default else { panic!() };
    let roots = ProcessRoots::new(Settings {
        default: RootSource::Repository { mirror, pieces: Ok(complete(&own)) },
        ..world.settings()
    });
    assert!(knows(&roots, &own));
    assert!(matches!(refresh(&roots), Refreshed::Fixed));
    assert_eq!(world.asked(), 0);
    assert!(roots.describe().unwrap().contains("SIGSTORE_ROOT_FILE"));
}

#[test]
fn what_is_given_is_the_only_one_of_its_kind_and_the_rest_is_the_default_s() {
    let (base, own) = (Sigstore::new(), Sigstore::new());
    let all = complete(&own);
    let none = Pieces::default();
    for pieces in [
        Pieces { authorities: all.authorities.clone(), ..none.clone() },
        Pieces { logs: all.logs.clone(), ..none.clone() },
        Pieces { certificate_logs: all.certificate_logs.clone(), ..none.clone() },
    ] {
        let root = parse(&pieces, Some(&base)).unwrap();
        assert!(!believes(&root, &base) && !believes(&root, &own), "{:?}", pieces.given());
    }
    assert!(believes(&parse(&none, Some(&base)).unwrap(), &base));
    // The same instance's own parts in place of themselves change nothing.
    assert!(believes(&parse(&complete(&base), Some(&base)).unwrap(), &base));
}

#[test]
fn timestamps_count_by_the_authority_that_is_given() {
    let (own, other) = (Sigstore::new(), Sigstore::new());
    let tsa = |sigstore: &Sigstore| {
        format!(
            "{}{}",
            pem("CERTIFICATE", &sigstore.tsa.root.der()),
            pem("CERTIFICATE", &sigstore.tsa.der())
        )
    };
    let with = |sigstore: &Sigstore| Pieces {
        timestamp_authorities: Some(tsa(sigstore).into_bytes()),
        ..complete(&own)
    };
    let stamped = own.sign().tsa(true).legacy(IMAGE);
    assert!(certify(&parse(&with(&own), None).unwrap(), &stamped).is_ok(), "in any order");
    assert!(certify(&parse(&with(&other), None).unwrap(), &stamped).is_err());
}

#[test]
fn an_authority_counts_as_long_as_its_certificates() {
    let own = Sigstore::new();
    let document: Value = serde_json::from_slice(&complete(&own).replace(None).unwrap()).unwrap();
    let authority = &document["certificateAuthorities"][0];
    assert_eq!(authority["validFor"]["start"], json!(own.window.from.to_string()));
    assert_eq!(authority["validFor"]["end"], json!(own.window.until.to_string()));
    assert_eq!(authority["certChain"]["certificates"].as_array().unwrap().len(), 2);
}

#[test]
fn files_of_the_wrong_kind_are_refused_by_name() {
    let own = Sigstore::new();
    let (key, certificate) = (own.rekor1.key.pem().into_bytes(), chain(&own));
    let alone = pem("CERTIFICATE", &own.fulcio.der()).into_bytes();
    let broken = pem("CERTIFICATE", b"no certificate").into_bytes();
    let many = key.repeat(11);
    assert!(Pieces { logs: Some(key.repeat(10)), ..Pieces::default() }.replace(None).is_ok());
    let none = Pieces::default();
    for (variable, words, pieces) in [
        (
            "SIGSTORE_ROOT_FILE",
            "expected `CERTIFICATE`",
            Pieces { authorities: Some(key.clone()), ..none.clone() },
        ),
        (
            "SIGSTORE_ROOT_FILE",
            "is not in the file",
            Pieces { authorities: Some(alone), ..none.clone() },
        ),
        (
            "SIGSTORE_ROOT_FILE",
            "cannot be read",
            Pieces { authorities: Some(broken), ..none.clone() },
        ),
        (
            "SIGSTORE_ROOT_FILE",
            "0 PEM blocks",
            Pieces { authorities: Some(b"hello".to_vec()), ..none.clone() },
        ),
        (
            "SIGSTORE_REKOR_PUBLIC_KEY",
            "expected `PUBLIC KEY`",
            Pieces { logs: Some(certificate.clone()), ..none.clone() },
        ),
        ("SIGSTORE_REKOR_PUBLIC_KEY", "11 PEM blocks", Pieces { logs: Some(many), ..none.clone() }),
        (
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
            "expected `PUBLIC KEY`",
            Pieces { certificate_logs: Some(certificate), ..none.clone() },
        ),
        (
            "SIGSTORE_TSA_CERTIFICATE_FILE",
            "expected `CERTIFICATE`",
            Pieces { timestamp_authorities: Some(key), ..none },
        ),
    ] {
        let failure = parse(&pieces, Some(&own)).unwrap_err();
        assert_eq!(failure.class(), Class::Trustroot);
        assert!(
            failure.message().contains(variable) && failure.message().contains(words),
            "{}",
            failure.text()
        );
    }
}

/// A chain is of the certificates that issued each other, whatever else is in the file and in
/// whatever order.
#[test]
fn a_chain_goes_from_a_certificate_to_its_own_issuers() {
    let own = Sigstore::new();
    let stranger = testkit::sigstore::Authority::root("CN=another root", own.window);
    let file = [pem("CERTIFICATE", &stranger.der()).into_bytes(), chain(&own)].concat();
    let document: Value = serde_json::from_slice(
        &Pieces { authorities: Some(file), ..complete(&own) }.replace(None).unwrap(),
    )
    .unwrap();
    let authorities = document["certificateAuthorities"].as_array().unwrap();
    let lengths: Vec<usize> = authorities
        .iter()
        .map(|authority| authority["certChain"]["certificates"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [1, 2, 1], "the stranger, the intermediate under its root, the root");
    let root = json!({"rawBytes": testkit::sigstore::b64(&own.root.der())});
    assert_eq!(authorities[1]["certChain"]["certificates"][1], root);
}

/// Those sign the timestamps that issued no other certificate, be it one that signed itself.
#[test]
fn an_authority_of_timestamps_begins_at_the_end_of_its_chain() {
    let own = Sigstore::new();
    let root = testkit::sigstore::Authority::root("CN=root", own.window);
    let middle = root.intermediate("CN=middle", &[], own.window);
    let end = middle.intermediate("CN=end", &[], own.window);
    let lengths = |file: &[&testkit::sigstore::Authority]| {
        let file: String =
            file.iter().map(|authority| pem("CERTIFICATE", &authority.der())).collect();
        let pieces = Pieces { timestamp_authorities: Some(file.into_bytes()), ..complete(&own) };
        let document: Value = serde_json::from_slice(&pieces.replace(None).unwrap()).unwrap();
        let chains = document["timestampAuthorities"].as_array().unwrap().clone();
        chains
            .iter()
            .map(|authority| authority["certChain"]["certificates"].as_array().unwrap().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[&root]), [1]);
    assert_eq!(lengths(&[&root, &middle]), [2]);
    assert_eq!(lengths(&[&root, &middle, &end]), [3]);
}
