//! What was seen here before: a tag that was verified may not be unsigned now, and a repository may
//! not go back (docs/threats.md R23).

use crate::support::{
    ACME, IMAGE, absent, errors, image_digest, load, now, reference, signature, warnings,
    with_rules, with_signatures, word,
};
use luet_cosign::class::{Class, Failure};
use luet_cosign::name::Digest;
use luet_cosign::policy::{
    Applies, Decision, Effective, Evidence, Matched, PlaceAnswer, Remembered, Rollback, SeenFact,
    decide, judge_revision,
};

/// A rule and `defaults.downgrade`, empty for what is built in.
fn matched(trust: &str, unsigned: &str, downgrade: &str) -> Matched {
    let trust = if trust == "acme" { "trust: [acme], " } else { "" };
    let rule = format!(
        "  - {{name: r, scope: quay.io/acme/packages, {trust}unsigned: {unsigned}, reason: test}}\n"
    );
    let text = with_rules(&rule);
    let text = if downgrade.is_empty() {
        text
    } else {
        text.replace("unsigned: deny}\n", &format!("unsigned: deny, downgrade: {downgrade}}}\n"))
    };
    load(&text).matching(&reference(IMAGE), now())
}

fn seen() -> Option<SeenFact> {
    Some(SeenFact {
        signer: "acme".to_owned(),
        digest: Digest::of(b"before"),
        seconds: 1_795_000_000,
    })
}

fn tag() -> Remembered {
    Remembered { tag_verified: seen(), repository_verified: seen(), ..Remembered::default() }
}

fn repository() -> Remembered {
    Remembered { repository_verified: seen(), ..Remembered::default() }
}

fn remembering(evidence: Evidence, memory: Remembered) -> Evidence {
    Evidence { memory, ..evidence }
}

#[test]
fn what_was_verified_here_before_does_not_pass_unsigned() {
    for (downgrade, memory, expected) in [
        ("", Remembered::default(), "allowed"),
        ("", repository(), "allowed"),
        ("", tag(), "rollback"),
        ("tag", repository(), "allowed"),
        ("tag", tag(), "rollback"),
        ("repo", Remembered::default(), "allowed"),
        ("repo", repository(), "rollback"),
        ("repo", tag(), "rollback"),
        ("repo", Remembered { repository_verified: None, ..tag() }, "rollback"),
        ("off", tag(), "allowed"),
        ("off", repository(), "allowed"),
    ] {
        for trust in ["acme", "nobody"] {
            for unsigned in ["warn", "allow"] {
                let matched = matched(trust, unsigned, downgrade);
                let evidence = remembering(absent(&matched, None), memory.clone());
                assert_eq!(
                    word(&decide(&matched, &evidence)),
                    expected,
                    "{downgrade} {trust} {unsigned} {memory:?}"
                );
            }
            // Under `deny` it is refused for what it is.
            let matched = matched(trust, "deny", downgrade);
            let evidence = remembering(absent(&matched, None), memory.clone());
            assert_eq!(word(&decide(&matched, &evidence)), "unsigned");
        }
    }
}

#[test]
fn a_strangers_signature_does_not_hide_that_the_good_one_is_gone() {
    let matched = matched("nobody", "allow", "");
    let strangers = with_signatures(
        absent(&matched, None),
        vec![Err(Failure::new(Class::Identity, "made up"))],
    );
    assert_eq!(word(&decide(&matched, &strangers)), "allowed");
    let Decision::Refused(failure) = decide(&matched, &remembering(strangers, tag())) else {
        panic!()
    };
    assert_eq!(failure.class(), Class::Rollback);
    assert!(
        failure.message().contains(
            "1 signature found, by a stranger (3 of 3 places answered), but it was verified"
        ),
        "{failure}"
    );
}

#[test]
fn memory_changes_nothing_else() {
    let matched = matched("acme", "allow", "repo");
    let good = with_signatures(
        absent(&matched, None),
        vec![Ok(signature("acme", &ACME, &image_digest()))],
    );
    assert_eq!(word(&decide(&matched, &remembering(good, tag()))), "verified");
    for class in [Class::Net, Class::Binding, Class::Malformed, Class::Unsupported, Class::Identity]
    {
        let bad =
            with_signatures(absent(&matched, None), vec![Err(Failure::new(class, "made up"))]);
        assert_eq!(word(&decide(&matched, &remembering(bad, tag()))), class.word());
    }
    let mut failed = remembering(absent(&matched, None), tag());
    failed.places[0].answer = PlaceAnswer::Failed(Failure::new(Class::Auth, "made up"));
    assert_eq!(word(&decide(&matched, &failed)), "auth");
}

#[test]
fn a_downgrade_says_who_signed_when_and_how_to_go_on() {
    let matched = matched("acme", "warn", "");
    let Decision::Refused(failure) = decide(&matched, &remembering(absent(&matched, None), tag()))
    else {
        panic!()
    };
    assert_eq!(
        failure.message(),
        format!(
            "`{IMAGE}`: no signature (3 of 3 places answered: not there), but it was verified here on 2026-11-18, signed by `acme`; \
             `downgrade: tag` refuses what rule `r` [policy.yaml line 7] would let pass"
        )
    );
    assert!(
        failure.the_hint().ends_with(&format!("`luet-cosign seen forget {IMAGE}`")),
        "{}",
        failure.the_hint()
    );
    let matched = self::matched("acme", "warn", "repo");
    let Decision::Refused(failure) =
        decide(&matched, &remembering(absent(&matched, None), repository()))
    else {
        panic!()
    };
    assert!(
        failure.message().contains("but another image of this repository was verified here"),
        "{failure}"
    );
    // Forgetting this tag would be no way out.
    let hint = failure.the_hint();
    assert!(hint.ends_with("`luet-cosign seen forget --all quay.io/acme/packages`"), "{hint}");
    // A time that is none is left out.
    let odd = Remembered {
        tag_verified: seen().map(|fact| SeenFact { seconds: i64::MAX, ..fact }),
        ..Remembered::default()
    };
    let Decision::Refused(failure) = decide(&matched, &remembering(absent(&matched, None), odd))
    else {
        panic!()
    };
    assert!(failure.message().contains("but it was verified here, signed by `acme`"), "{failure}");
    // Under `deny` the memory is shown as well.
    let matched = self::matched("acme", "deny", "");
    let Decision::Refused(failure) = decide(&matched, &remembering(absent(&matched, None), tag()))
    else {
        panic!()
    };
    assert!(
        failure
            .details()
            .any(|line| line == "before: was verified here on 2026-11-18, signed by `acme`"),
        "{}",
        failure.text()
    );
}

#[test]
fn only_three_words_say_how_far_memory_reaches() {
    for bad in ["repository", "tags", "on", "deny", "~", "[tag]", "Tag"] {
        let text = with_rules("  - {name: r, scope: quay.io/a/b, trust: [acme]}\n")
            .replace("unsigned: deny}\n", &format!("unsigned: deny, downgrade: {bad}}}\n"));
        assert_eq!(errors(&text).first().map(|(_, line)| *line), Some(2), "{bad}");
    }
}

fn effective(rollback: &str) -> Effective {
    let rule = format!("  - {{name: r, scope: quay.io/acme/packages, trust: [acme]{rollback}}}\n");
    match load(&with_rules(&rule)).matching(&reference(IMAGE), now()).applies() {
        Applies::Rule(effective) => effective.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repository_that_goes_back_is_told_of_or_refused() {
    let image = reference("quay.io/acme/packages:repository.yaml");
    let judge = |rollback: &str, known: Option<u64>, found: u64| match judge_revision(
        &effective(rollback),
        &image,
        known,
        found,
    ) {
        Ok(None) => "fine".to_owned(),
        Ok(Some(notice)) => format!("warned: {}", notice.warning),
        Err(failure) => failure.class().to_string(),
    };
    for (rollback, back) in [
        ("", "warned: true"),
        (", rollback: warn", "warned: true"),
        (", rollback: deny", "rollback"),
        (", rollback: off", "fine"),
    ] {
        for (known, found, goes_back) in [
            (None, 0, false),
            (None, 7, false),
            (Some(7), 7, false),
            (Some(7), 8, false),
            (Some(7), 6, true),
            (Some(u64::MAX), 0, true),
            (Some(0), 0, false),
        ] {
            assert_eq!(
                judge(rollback, known, found),
                if goes_back { back } else { "fine" },
                "{rollback} {known:?} {found}"
            );
        }
    }
    assert_eq!(effective("").rollback, Rollback::Warn);
    let failure = judge_revision(&effective(", rollback: deny"), &image, Some(7), 3).unwrap_err();
    assert_eq!(
        failure.message(),
        "`quay.io/acme/packages:repository.yaml` is revision 3, but revision 7 was seen here before: the repository was rolled back; rule `r` \
         [policy.yaml line 7] says `rollback: deny`"
    );
    assert!(
        failure
            .the_hint()
            .ends_with("`luet-cosign seen forget quay.io/acme/packages:repository.yaml`")
    );
    let notice = judge_revision(&effective(""), &image, Some(7), 3).unwrap().unwrap();
    assert!(
        notice.text.starts_with("warning: `quay.io/acme/packages:repository.yaml` is revision 3"),
        "{}",
        notice.text
    );
}

#[test]
fn rollback_is_one_of_three_words_and_not_about_local_files() {
    for bad in ["allow", "on", "true", "~"] {
        let found = errors(&with_rules(&format!(
            "  - {{name: r, scope: quay.io/a/b, trust: [acme], rollback: {bad}}}\n"
        )));
        assert_eq!(found.first().map(|(_, line)| *line), Some(7), "{bad}");
    }
    let local =
        with_rules("  - {name: r, scope: 'file://**', trust: skip, reason: x, rollback: deny}\n");
    assert_eq!(errors(&local), [("conflict", 7)]);
    let unsigned = with_rules(
        "  - {name: r, scope: quay.io/a/b, tags: [x], unsigned: warn, rollback: deny}\n",
    );
    assert!(warnings(&unsigned).iter().all(|(code, _)| *code == "unused-signer"));
}

#[test]
fn turning_the_comparison_off_is_warned_about() {
    let text = |how: &str| {
        with_rules("  - {name: r, scope: quay.io/a/b, trust: [acme, other]}\n")
            + &format!("post_unpack: {how}\n")
    };
    assert_eq!(warnings(&text("off")), [("not-compared", 8)]);
    for how in ["auto", "tree", "layers"] {
        assert_eq!(warnings(&text(how)), []);
    }
    for bad in ["redigest", "Off", "true", "~", "[off]", "{a: b}"] {
        assert_eq!(errors(&text(bad)), [("post-unpack", 8)], "{bad}");
    }
}
