//! The policy as `policy.json` of podman, skopeo and CRI-O, for what can be said there.
//!
//! Never looser: every image that those files let pass, this policy lets pass. What cannot be said
//! so is refused, rule by rule. Sources: containers-policy.json(5),
//! containers-registries.d(5), and what skopeo does with them.

use super::loaded::{Policy, day};
use super::rules::{Rule, RuleTarget, TrustNames};
use super::settings::{BindTag, Mode, Rollback};
use crate::class::{Class, Failure, yaml};
use crate::name::Scope;
use crate::trust::{AuthorityKind, PublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What whoever exports is content to lose, or to add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportTerms {
    /// A signature for another tag of the same repository counts as well.
    pub unbound_tags: bool,
    /// Images from this machine's own disk are accepted.
    pub local_images: bool,
}

/// The two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainersFiles {
    /// `policy.json`
    pub policy: String,
    /// `registries.d/luet-cosign.yaml`
    pub registries: String,
}

/// What is required of an image, as a list of `policy.json`.
type Required = Value;

/// The transports of images that lie on this machine.
const LOCAL: [&str; 6] =
    ["containers-storage", "dir", "docker-archive", "docker-daemon", "oci", "oci-archive"];

/// One scope of `policy.json`, which is about a repository and about all below it: what the policy
/// requires of the one and of the others.
#[derive(Default)]
struct Place<'a> {
    own: Option<(&'a Rule, Required)>,
    below: Option<(&'a Rule, Required)>,
}

impl Policy {
    /// Returns the policy as podman, skopeo and CRI-O read it.
    ///
    /// # Errors
    /// `policy`: something cannot be said there without being looser; the reasons name each rule.
    pub fn for_containers(
        &self,
        terms: ExportTerms,
        now: Timestamp,
    ) -> Result<ContainersFiles, Failure> {
        let mut reasons = Vec::new();
        let mut places: BTreeMap<String, Place<'_>> = BTreeMap::new();
        for rule in self.rules() {
            let named =
                |why: String| format!("rule `{}` [{}]: {why}", rule.name, self.place_of(rule));
            let required = match self.required(rule, terms, day(now)) {
                Ok(required) => required,
                Err(whys) => {
                    reasons.extend(whys.into_iter().map(named));
                    continue;
                }
            };
            for (target, _) in &rule.targets {
                let RuleTarget::Scope(scope) = target else { continue };
                let Some((key, with_below)) = key(scope) else {
                    reasons.push(named(format!(
                        "the scope `{scope}`: a wildcard can stand there for whole hosts below a domain (`*.example.com/**`) and for all that is below a name (`/**`)"
                    )));
                    continue;
                };
                let place = places.entry(key).or_default();
                let side = if with_below { &mut place.below } else { &mut place.own };
                *side = Some((rule, required.clone()));
            }
        }
        if !self.document.skip.is_empty() {
            reasons.push("`skip_patterns`: expressions over names cannot be said there".to_owned());
        }
        let default = match self.document.defaults.unmatched {
            Mode::Deny => reject(),
            Mode::Warn | Mode::Allow => accept(),
        };
        let looser = places.keys().filter_map(|key| looser(&places, key, &default));
        reasons.extend(looser);
        if reasons.is_empty() {
            return Ok(files(&places, &default, terms));
        }
        let what = "what this policy says cannot all be said in `policy.json`; nothing was written";
        Err(reasons.into_iter().fold(Failure::new(Class::Policy, what), Failure::detail).hint(
            "export a policy of its own, with rules that podman can hold: `policy export --policy FILE`",
        ))
    }

    /// Returns what a rule requires, or all that cannot be said.
    fn required(
        &self,
        rule: &Rule,
        terms: ExportTerms,
        today: Date,
    ) -> Result<Required, Vec<String>> {
        let ended = rule.has_ended(today);
        if rule.trust == TrustNames::Skip {
            return match (ended, rule.until) {
                _ if !rule.tags.is_empty() => Err(vec![TAGS.to_owned()]),
                (true, _) => Ok(reject()),
                (false, None) => Ok(accept()),
                (false, Some(_)) => Err(vec!["`until`: it knows no days".to_owned()]),
            };
        }
        let mut whys = Vec::new();
        let mut unless = |fine: bool, why: &str| {
            if !fine {
                whys.push(why.to_owned());
            }
        };
        let lax = rule.is_lax(self.document.defaults.unsigned) && !ended;
        unless(
            !lax,
            "`unsigned`: it can only accept everything, signatures that do not hold included",
        );
        unless(rule.tags.is_empty(), TAGS);
        unless(
            rule.signatures_from.is_empty(),
            "`signatures_from`: signatures are looked for beside the image only",
        );
        unless(
            rule.mirror_of.is_none(),
            "`mirror_of`: under another name it compares tags that signatures do not carry",
        );
        unless(
            rule.rollback.is_none_or(|(rollback, _)| rollback != Rollback::Deny),
            "`rollback: deny`: it remembers nothing",
        );
        let names = rule.trust.names();
        let bound = match rule.binding() {
            BindTag::Off => true,
            BindTag::IfPresent => terms.unbound_tags || names.is_empty(),
            BindTag::Required => false,
        };
        unless(
            bound,
            "`bind_tag`: it does not see for which tag a signature was made; with `--unbound-tags` it may take one image of a repository for another of the same signer",
        );
        let mut keys: Vec<&PublicKey> = Vec::new();
        for authority in names.iter().filter_map(|name| self.authorities.get(name)) {
            match &authority.signer {
                AuthorityKind::Key { logged: true, .. } => {
                    unless(
                        false,
                        "`tlog: required`: entries of the log are checked less strictly there",
                    );
                }
                AuthorityKind::Certificate(_) => unless(
                    false,
                    "a keyless signer: it reads no workflows, and does not ask for the proof that a certificate was logged",
                ),
                AuthorityKind::Key { key, .. } if !keys.contains(&key) => keys.push(key),
                AuthorityKind::Key { .. } => {}
            }
        }
        let by = |keys: &[&PublicKey]| {
            let data: Vec<String> =
                keys.iter().map(|key| BASE64_STANDARD.encode(key.to_pem())).collect();
            let (kind, data) = match data.as_slice() {
                [one] => ("keyData", json!(one)),
                _ => ("keyDatas", json!(data)),
            };
            json!({
                "type": "sigstoreSigned",
                "signedIdentity": {"type": "matchRepository"},
                (kind): data,
            })
        };
        let needed = match rule.trust {
            TrustNames::Signers { needed, .. } => needed,
            TrustNames::Nobody | TrustNames::Skip => 0,
        };
        let required = match needed {
            0 => reject(),
            1 => json!([by(&keys)]),
            _ if needed == keys.len() => keys.iter().map(|key| by(&[key])).collect(),
            _ => {
                unless(false, "`at_least`: it can demand one of several signers, or all of them");
                reject()
            }
        };
        if whys.is_empty() { Ok(required) } else { Err(whys) }
    }
}

const TAGS: &str = "`tags`: patterns over tags cannot be said there";

fn accept() -> Required {
    json!([{"type": "insecureAcceptAnything"}])
}

fn reject() -> Required {
    json!([{"type": "reject"}])
}

/// Returns how a scope is called there, and whether it is about what is below the name, rather than
/// about the name.
fn key(scope: &Scope) -> Option<(String, bool)> {
    let text = scope.to_string();
    if text == "*" {
        return Some((String::new(), true));
    }
    let Some(prefix) = text.strip_suffix("/**") else {
        return (!text.contains('*')).then_some((text, false));
    };
    let domain = prefix.strip_prefix("*.").is_some_and(|rest| !rest.contains(['*', '/']));
    (domain || !prefix.contains('*')).then(|| (prefix.to_owned(), true))
}

/// Returns why a place is looser there than the policy is, where it is. There a name stands for
/// itself and for all below it, and the policy tells the two apart.
fn looser(places: &BTreeMap<String, Place<'_>>, key: &str, default: &Required) -> Option<String> {
    let place = places.get(key)?;
    let around = || inherited(places, key, default);
    let below = format!("{key}/**");
    let (rule, required, other, missing) = match (&place.own, &place.below) {
        // No repository is called as a host is.
        (None, Some(_)) if !key.contains('/') => return None,
        (Some((rule, required)), None) => (rule, required, around(), below.as_str()),
        (None, Some((rule, required))) => (rule, required, around(), key),
        (Some((rule, required)), Some((_, other))) => {
            (rule, required, other.clone(), below.as_str())
        }
        (None, None) => return None,
    };
    let holds = *required == other || *required == reject() || other == accept();
    (!holds).then(|| {
        format!(
            "rule `{}`: there a scope is about a repository and about all below it, and `{missing}` has other rules here; name both in one rule: `scope: [\"{key}\", \"{below}\"]`",
            rule.name
        )
    })
}

/// Returns what the policy requires around a name, where no rule is about it.
fn inherited(places: &BTreeMap<String, Place<'_>>, key: &str, default: &Required) -> Required {
    let mut around = Vec::new();
    let mut rest = key;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        around.push(parent.to_owned());
        rest = parent;
    }
    while let Some((_, domain)) = rest.split_once('.') {
        around.push(format!("*.{domain}"));
        rest = domain;
    }
    around.push(String::new());
    let found = around.iter().find_map(|name| places.get(name)?.below.as_ref());
    found.map_or_else(|| default.clone(), |(_, required)| required.clone())
}

fn files(
    places: &BTreeMap<String, Place<'_>>,
    default: &Required,
    terms: ExportTerms,
) -> ContainersFiles {
    let mut docker = serde_json::Map::new();
    let (mut everywhere, mut some) = (false, String::new());
    for (key, place) in places {
        let Some((_, required)) = place.own.as_ref().or(place.below.as_ref()) else { continue };
        docker.insert(key.clone(), required.clone());
        if *required == accept() || *required == reject() {
            continue;
        }
        if key.is_empty() {
            everywhere = true;
        } else {
            let _ = writeln!(some, "  {}:\n    use-sigstore-attachments: true", yaml(key));
        }
    }
    let mut transports = serde_json::Map::from_iter([("docker".to_owned(), docker.into())]);
    if terms.local_images {
        transports.extend(LOCAL.map(|name| (name.to_owned(), json!({"": accept()}))));
    }
    let policy = json!({"default": default, "transports": transports});
    let mut registries = String::from("# Made by `luet-cosign policy export`.\n");
    if everywhere {
        registries.push_str("default-docker:\n  use-sigstore-attachments: true\n");
    }
    if !some.is_empty() {
        let _ = write!(registries, "docker:\n{some}");
    }
    ContainersFiles { policy: format!("{policy:#}\n"), registries }
}
