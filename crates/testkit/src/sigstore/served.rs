//! Rekor v1's API, as far as verifiers ask it: entries by index, by name, by what is in them, and
//! by the digest of an artifact.

use super::log::{Entry, Log};
use super::{hex, merkle};
use serde_json::{Value, json};

impl Log {
    /// Answers a request with a status and a document; the server of `http` can send it.
    ///
    /// * `GET /api/v1/log/entries?logIndex=N` and `GET /api/v1/log/entries/NAME`: an object with
    ///   the entry
    /// * `POST /api/v1/log/entries/retrieve`: a list of such objects; what is not there is left out
    /// * `POST /api/v1/index/retrieve` with `{"hash": "sha256:..."}`: a list of names
    pub fn answer(&self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(path) = path.strip_prefix("/api/v1/") else { return not_found() };
        let found = match (method, path) {
            ("GET", "log/entries") => {
                query.strip_prefix("logIndex=").and_then(|index| self.by_index(index.parse().ok()?))
            }
            ("GET", path) => path.strip_prefix("log/entries/").and_then(|name| self.by_name(name)),
            ("POST", "log/entries/retrieve") => return self.retrieve(body),
            ("POST", "index/retrieve") => return self.search(body),
            _ => None,
        };
        found.map_or_else(not_found, |entry| (200, entry.answer()))
    }

    fn by_index(&self, index: u64) -> Option<Entry> {
        self.entries().into_iter().find(|entry| entry.index == index)
    }

    /// A name with the tree in front, or the bare hash of the leaf.
    fn by_name(&self, name: &str) -> Option<Entry> {
        self.entries()
            .into_iter()
            .find(|entry| entry.uuid() == name || hex(&merkle::leaf(&entry.body)) == name)
    }

    fn retrieve(&self, body: &[u8]) -> (u16, Value) {
        let Ok(query) = serde_json::from_slice::<Value>(body) else { return bad_request() };
        let list = |name: &str| query[name].as_array().cloned().unwrap_or_default();
        let by_index =
            list("logIndexes").into_iter().filter_map(|index| self.by_index(index.as_u64()?));
        let by_name =
            list("entryUUIDs").into_iter().filter_map(|name| self.by_name(name.as_str()?));
        // A proposed entry is found by what it becomes when the log writes it down.
        let proposed = list("entries");
        let by_content = self.entries().into_iter().filter(|entry| {
            let body: Value = serde_json::from_slice(&entry.body).unwrap();
            proposed.contains(&body)
        });
        (200, by_index.chain(by_name).chain(by_content).map(|entry| entry.answer()).collect())
    }

    fn search(&self, body: &[u8]) -> (u16, Value) {
        let Ok(query) = serde_json::from_slice::<Value>(body) else { return bad_request() };
        let Some((algorithm, digest)) =
            query["hash"].as_str().and_then(|hash| hash.split_once(':'))
        else {
            return bad_request();
        };
        let about = |entry: &Entry| {
            let body: Value = serde_json::from_slice(&entry.body).unwrap();
            let spec = &body["spec"];
            [&spec["data"]["hash"], &spec["payloadHash"], &spec["content"]["payloadHash"]]
                .iter()
                .any(|hash| hash["algorithm"] == algorithm && hash["value"] == digest)
        };
        (
            200,
            self.entries()
                .iter()
                .filter(|entry| about(entry))
                .map(|entry| json!(entry.uuid()))
                .collect(),
        )
    }
}

fn not_found() -> (u16, Value) {
    (404, json!({"code": 404, "message": "no entry found"}))
}

fn bad_request() -> (u16, Value) {
    (400, json!({"code": 400, "message": "error processing the request"}))
}
