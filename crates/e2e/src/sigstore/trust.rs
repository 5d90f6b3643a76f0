//! What others have to know of the services, in a directory:
//!
//! - `trusted_root.json`: all of it
//! - `rekor1.json`, `rekor1-tsa.json`, `rekor2-tsa.json`: signing configurations: which log, and
//!   whether a timestamp; `none.json` is the one without services
//! - `fulcio.pem`, `ctlog.pub`, `rekor1.pub`, `tsa.pem`: for `SIGSTORE_ROOT_FILE` and its like
//! - `python/*.json`: for sigstore-python: root and signing configuration in one file
//! - `tuf/`: the repository that is served; its root is `1.root.json`

use super::services::python;
use super::{CT_LOG, FULCIO, PERSON_ISSUER, REKOR1, REKOR2, TSA, TSA_PATH};
use crate::machine::succeed;
use crate::tools;
use std::path::Path;

/// Makes the files, of what `keys` put there.
///
/// The logs are named by what they sign as, for that is what a verifier reads: their addresses are
/// in the signing configurations.
#[track_caller]
pub fn make(trust: &Path) {
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let since = format!("start-time={}", yesterday.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let tsa = format!("http://{TSA}{TSA_PATH}");
    let file = |name: &str| trust.join(name).display().to_string();
    let keyed = |url: &str, name: &str| format!("url={url},public-key={},{since}", file(name));
    let mut root = tools::command("cosign3");
    root.args(["trusted-root", "create", "--out", &file("trusted_root.json")]);
    root.arg(format!(
        "--fulcio=url=http://{FULCIO},certificate-chain={},{since}",
        file("fulcio.pem")
    ));
    root.arg(format!("--ctfe={}", keyed(&format!("http://{CT_LOG}/ct"), "ctlog.pub")));
    root.arg(format!("--rekor={}", keyed("http://rekor1.local", "rekor1.pub")));
    root.arg(format!("--rekor={},origin=rekor2.local", keyed("http://rekor2.local", "rekor2.pub")));
    root.arg(format!("--tsa=url={tsa},certificate-chain={},{since}", file("tsa.pem")));
    succeed(&mut root);
    let timestamp = [
        format!("--tsa=url={tsa},api-version=1,{since},operator=local"),
        "--tsa-config=ANY".into(),
    ];
    signing(trust, "rekor1", &since, REKOR1, 1, &[]);
    signing(trust, "rekor1-tsa", &since, REKOR1, 1, &timestamp);
    signing(trust, "rekor2-tsa", &since, REKOR2, 2, &timestamp);
    let mut none = tools::command("cosign3");
    succeed(none.args(["signing-config", "create", "--out", &file("none.json")]));
    let mut others = tools::command(python());
    others.arg(tools::project().join(".ci/trust.py")).arg(trust);
    succeed(others.args(["rekor1", "rekor1-tsa", "rekor2-tsa"]));
}

#[track_caller]
fn signing(trust: &Path, name: &str, since: &str, rekor: &str, version: u8, more: &[String]) {
    let mut command = tools::command("cosign3");
    command.args(["signing-config", "create", "--out"]).arg(trust.join(format!("{name}.json")));
    command.arg(format!("--fulcio=url=http://{FULCIO},api-version=1,{since},operator=local"));
    command
        .arg(format!("--oidc-provider=url={PERSON_ISSUER},api-version=1,{since},operator=local"));
    command.arg(format!("--rekor=url=http://{rekor},api-version={version},{since},operator=local"));
    succeed(command.arg("--rekor-config=ANY").args(more));
}
