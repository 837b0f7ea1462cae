//! What a failed request means.

use std::error::Error as _;

use serde_json::Value;
use trivium_store::Error;

/// What an error begins with, so that a reader knows which store failed.
pub(crate) const WHO: &str = "embedding index (OpenSearch)";

/// Sorts a failure below HTTP.
pub(crate) fn sort(error: &opensearch::Error) -> Error {
    let mut text = format!("{WHO}: {error}");
    let mut refused = false;
    let mut source = error.source();
    while let Some(cause) = source {
        refused |= cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if refused { Error::Unavailable(text) } else { Error::Unknown(text) }
}

/// What the request of an answer was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Indexes, their mappings and settings.
    Indexes,
    /// Documents: reasons name ids, which are entity keys, and show values. They are left out.
    Documents,
}

/// Sorts an answer, of a request or of one item of it, by its status and what it says.
pub(crate) fn sort_answer(about: About, status: u16, error: &Value) -> Error {
    let kind = error["type"].as_str().unwrap_or_default();
    let mut text = format!("{WHO}: {status}");
    let parts = match about {
        About::Indexes => &["type", "reason"][..],
        About::Documents => &["type"][..],
    };
    if error.is_object() {
        let mut cause = error;
        while cause.is_object() {
            for part in parts {
                if let Some(part) = cause[*part].as_str() {
                    text.push_str(": ");
                    text.push_str(part);
                }
            }
            cause = &cause["caused_by"];
        }
    } else if let Some(reason) = error.as_str().filter(|_| about == About::Indexes) {
        text.push_str(": ");
        text.push_str(reason);
    }
    match (status, kind) {
        // The index is not there (yet), is being moved, or somebody has locked it: nobody's request.
        (
            _,
            "index_not_found_exception" | "cluster_block_exception" | "alias_not_found_exception",
        ) => Error::Unavailable(text),
        (429, _) => Error::Throttled(text),
        (503 | 502 | 401 | 403 | 404, _) => Error::Unavailable(text),
        (400 | 413, _) => Error::Invalid(text),
        _ => Error::Unknown(text),
    }
}

/// An answer that is not what OpenSearch's documents promise.
pub(crate) fn strange(what: &str) -> Error {
    Error::Unknown(format!("{WHO}: the answer {what}"))
}
