//! What luet pulled to build on: is it what someone signed whom the policy trusts?
//!
//! An image that is built on ends up in what is signed. luet's engine pulls it by its tag, so what is
//! verified is the digest that the engine has, never what the registry serves by now. An engine that
//! does not know which manifest it pulled says nothing that could be verified.

use crate::class::{Class, Failure};
use crate::engine::{self, Engine, EngineImage};
use crate::name::{Digest, Reference};
use crate::policy::Provisional;
use crate::session::Session;
use crate::trust::Requirements;

/// `image.post.pull`: what the engine pulled is signed, as the policy wants it.
///
/// # Errors
/// The decision, where it refuses. `usage`: there is no engine to ask. `digest`: the engine has
/// another image than the one that the tag means and that was judged. Those of the network and of
/// the engine.
pub async fn pulled(session: &Session, image: &str) -> Result<Provisional, Failure> {
    let reference: Reference = image.parse()?;
    let chosen = engine::chosen(session.environment(), session.host().flag("backend"))?;
    if chosen == Some(Engine::Registry) {
        return Err(Failure::new(
            Class::Usage,
            "LUET_COSIGN_BUILD_INPUTS=verify needs the build engine to say what was pulled, and LUET_COSIGN_ENGINE=registry asks no engine",
        )
        .hint("set LUET_COSIGN_ENGINE to the engine that pulls: `docker` or `buildah`"));
    }
    let checked = super::check(session, image, &Requirements::default(), false).await?;
    let evidence = checked.evidence;
    let provisional = checked.decision.into_result()?;
    // Where the policy lets it be unsigned, any image will do.
    let (Some(evidence), Some(signature)) = (evidence, provisional.signature()) else {
        return Ok(provisional);
    };
    // Of an index that is signed an engine keeps the image for this platform. Where that one is
    // signed alone, the index says nothing.
    let signed = *signature.image();
    let child = evidence.child.filter(|_| signed == evidence.image.digest);
    let will_do: Vec<Digest> = std::iter::once(signed).chain(child).collect();
    for known in &engine::ask(chosen, &reference, image, session.environment()).await? {
        check(known, &will_do, &reference)?;
    }
    super::remember(session, &reference, &provisional)?;
    Ok(provisional)
}

/// Holds what an engine has against what was judged.
fn check(known: &EngineImage, will_do: &[Digest], reference: &Reference) -> Result<(), Failure> {
    let (engine, has): (Engine, Vec<Digest>) = match known {
        // With the containerd image store the id is a manifest's digest.
        EngineImage::Docker { pushed, id } => {
            (Engine::Docker, pushed.iter().chain([id]).copied().collect())
        }
        EngineImage::Buildah { manifest, .. } => {
            (Engine::Buildah, manifest.iter().copied().collect())
        }
    };
    if has.iter().any(|digest| will_do.contains(digest)) {
        return Ok(());
    }
    let has: Vec<String> = has.iter().map(|digest| format!("`{digest}`")).collect();
    let has =
        if has.is_empty() { "a manifest that it does not name".to_owned() } else { has.join(", ") };
    let judged = will_do.first().map(ToString::to_string).unwrap_or_default();
    Err(Failure::new(
        Class::Digest,
        format!("{engine} has {has} as `{reference}`, but `{judged}` is what was verified"),
    )
    .hint("someone moved the tag while luet pulled, or the engine kept an older image: remove it from the engine, and build again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn only_the_manifest_that_was_judged_or_an_image_of_it_will_do() {
        let reference: Reference = "quay.io/a/b:1".parse().unwrap();
        let will_do = [digest("index"), digest("child")];
        let docker = |pushed: &[Digest], id| EngineImage::Docker { pushed: pushed.to_vec(), id };
        let buildah = |manifest| EngineImage::Buildah { config: digest("child"), manifest };
        for good in [
            docker(&[digest("index")], digest("config")),
            docker(&[digest("older"), digest("index")], digest("config")),
            docker(&[], digest("child")),
            buildah(Some(digest("child"))),
        ] {
            check(&good, &will_do, &reference).unwrap();
        }
        // A configuration names no layers, so it is not enough.
        for evil in [
            docker(&[digest("other")], digest("config")),
            docker(&[], digest("config")),
            buildah(Some(digest("other"))),
            buildah(None),
        ] {
            let failure = check(&evil, &will_do, &reference).unwrap_err();
            assert_eq!(failure.class(), Class::Digest, "{evil:?}");
        }
    }
}
