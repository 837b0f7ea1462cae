//! What a failed command means: above all, whether it may have been carried out.

use fred::error::{Error, ErrorKind};
use trivium_store::CacheError;

/// First words of error replies after which nothing was done. A server says them before it begins.
const REFUSALS: [&str; 14] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "LOADING",
    "MASTERDOWN",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
    "WRONGTYPE",
    "MISCONF",
];
/// What the client says of commands that it never sent.
const NEVER_SENT: [&str; 4] = [
    "Client is not initialized.",
    "Connection closed unexpectedly.",
    "Failed to route command.",
    "Too many redirections.",
];

/// Sorts the client's error. Unless it is certain that nothing was done, it is `Unknown`.
pub(crate) fn sort(error: &Error) -> CacheError {
    let details = error.details();
    let message = told(&error.to_string());
    let never_sent = NEVER_SENT.contains(&details)
        || matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config | ErrorKind::Backpressure);
    match by_first_word(details, message) {
        CacheError::Unknown(message) if never_sent => {
            CacheError::Refused { message, is_full: false }
        }
        sorted => sorted,
    }
}

/// Sorts an error reply.
pub(crate) fn sort_reply(text: &str) -> CacheError {
    by_first_word(text, told(text))
}

fn by_first_word(reply: &str, message: String) -> CacheError {
    match reply.split_whitespace().next().unwrap_or_default() {
        // A server without the epoch's scripts is not the one that was marked.
        "NOTMARKED" | "NOSCRIPT" => CacheError::NotMarked,
        "OOM" => CacheError::Refused { message, is_full: true },
        word if REFUSALS.contains(&word) => CacheError::Refused { message, is_full: false },
        _ => CacheError::Unknown(message),
    }
}

/// What the server says, without the arguments that it repeats of a command it does not know: keys.
fn told(text: &str) -> String {
    text.split(", with args beginning with").next().unwrap_or_default().to_owned()
}

/// No answer came in time, or none can come any more.
pub(crate) fn no_answer() -> CacheError {
    CacheError::Unknown("the server did not answer in time".to_owned())
}

pub(crate) fn odd_answer() -> CacheError {
    CacheError::Unknown("the server's answer has another shape than was asked for".to_owned())
}
