//! A transparency log with the API of Rekor v1: entries by what is in them, by name, by position.
//! What it answers is checked by nobody here: `trust` does that.

use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::{Client, ServiceCall};
use crate::wire::LogAnswer;
use serde_json::json;

/// The public log.
const PUBLIC: &str = "https://rekor.sigstore.dev";

/// A log.
#[derive(Clone, Debug)]
pub struct Rekor<'a> {
    client: &'a Client,
    url: String,
}

/// Which entry is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryName {
    /// Its name: the hash of the leaf, with or without the tree in front.
    Uuid(String),
    /// Its position.
    Index(u64),
}

impl<'a> Rekor<'a> {
    /// Names the log behind `url`; the public one where none is given. Nothing is asked yet.
    #[must_use]
    pub fn new(client: &'a Client, url: Option<&str>) -> Self {
        Self { client, url: url.unwrap_or(PUBLIC).trim_end_matches('/').to_owned() }
    }

    /// Returns where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks for an entry with this body. The log may answer with others, which are left out, and
    /// never in another form than it was asked for.
    ///
    /// # Errors
    /// `net`: no answer, or another than a list. `tlog`: an answer that cannot be read.
    pub async fn find(&self, body: &[u8]) -> Result<Option<LogAnswer>, Failure> {
        let proposed: serde_json::Value = crate::wire::json::parse(body)?;
        let question = json!({"entries": [proposed]}).to_string();
        let url = format!("{}/api/v1/log/entries/retrieve", self.url);
        match self
            .client
            .question(&url, Some(question.as_bytes()), limits::LOG_ANSWER_BYTES)
            .await?
        {
            (200, answer) => Ok(LogAnswer::parse_all(&answer)?
                .into_iter()
                .find(|answer| answer.logged.entry.body == body)),
            (404, _) => Ok(None),
            (status, _) => Err(self.refused(status)),
        }
    }

    /// Adds an entry to a log of v1. What was added before, by an earlier try whose answer was lost, is
    /// found again: the log says where.
    ///
    /// # Errors
    /// `net`: no answer, or it refused the entry. `tlog`: an answer that cannot be read.
    pub async fn add(&self, document: &[u8]) -> Result<LogAnswer, Failure> {
        let what = format!("the log `{}`", self.url);
        let url = format!("{}/api/v1/log/entries", self.url);
        let call = ServiceCall::question(&url, Some(document), limits::LOG_ANSWER_BYTES);
        let answer = self.client.call(&call).await.map_err(|failure| failure.within(&what))?;
        match answer.status {
            200 | 201 => {
                let found = LogAnswer::parse_all(&answer.body)?;
                let [found] = <[LogAnswer; 1]>::try_from(found).map_err(|found| {
                    Failure::new(
                        Class::Tlog,
                        format!("{what} answered with {} entries", found.len()),
                    )
                })?;
                Ok(found)
            }
            // Only the name is taken from there: the log that is asked is this one.
            409 => match answer.location.as_deref().and_then(|at| at.rsplit('/').next()) {
                Some(uuid) if is_uuid(uuid) => self.get(&EntryName::Uuid(uuid.to_owned())).await,
                _ => Err(Failure::new(
                    Class::Tlog,
                    format!("{what} has the entry already, and does not say where"),
                )),
            },
            status => Err(super::refused(&what, status, &answer.body)
                .hint("check --rekor-url, COSIGN_REKOR_URL or the signing configuration")),
        }
    }

    /// Fetches an entry by its name or position.
    ///
    /// # Errors
    /// `not-found`: there is none. `net`, `tlog`: as [`Self::find`].
    pub async fn get(&self, name: &EntryName) -> Result<LogAnswer, Failure> {
        let (path, what) = match name {
            EntryName::Uuid(uuid) => (format!("/{uuid}"), format!("the name `{uuid}`")),
            EntryName::Index(index) => {
                (format!("?logIndex={index}"), format!("the position {index}"))
            }
        };
        let none = || {
            Failure::new(Class::NotFound, format!("`{}` has no entry of {what}", self.url))
                .hint("check --uuid or --log-index, and --rekor-url")
        };
        let url = format!("{}/api/v1/log/entries{path}", self.url);
        match self.client.question(&url, None, limits::LOG_ANSWER_BYTES).await? {
            (200, answer) => LogAnswer::parse_all(&answer)?
                .into_iter()
                .find(|answer| name.is_of(answer))
                .ok_or_else(none),
            (404, _) => Err(none()),
            (status, _) => Err(self.refused(status)),
        }
    }

    fn refused(&self, status: u16) -> Failure {
        Failure::new(Class::Net, format!("the log `{}` answered {status}", self.url))
            .hint("check --rekor-url or COSIGN_REKOR_URL, then run it again")
    }
}

fn is_uuid(text: &str) -> bool {
    matches!(text.len(), 64 | 80) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

impl EntryName {
    fn is_of(&self, answer: &LogAnswer) -> bool {
        match self {
            Self::Uuid(uuid) => {
                answer.uuid.ends_with(uuid.get(uuid.len().saturating_sub(64)..).unwrap_or(uuid))
            }
            Self::Index(index) => answer.logged.entry.log_index == *index,
        }
    }
}
