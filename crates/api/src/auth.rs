//! API keys: who may call, and by which name. A file lists callers' names and the SHA-256 digests of
//! their keys, so that whoever reads the file cannot call; the file may change while the server runs.
//!
//! ```text
//! # name, digest of the key (`printf %s "$KEY" | sha256sum`); a name may have several keys
//! delay-model  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ```
//!
//! A caller sends `authorization: Bearer KEY`, over REST and gRPC alike. Keys are long random strings
//! (`trivium-serving keys new` makes one): a plain digest of a password could be guessed.

use std::{
    collections::HashMap,
    fmt,
    hint::black_box,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, header},
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use metrics::{Counter, counter};
use sha2::{Digest as _, Sha256};
use tonic::{Status, service::Routes as GrpcRoutes};
use trivium_runtime::Kind;

use crate::ApiError;

/// The longest name of a caller, in bytes: it is a metric's label.
pub const NAME_BYTES_MAX: usize = 64;
/// The most keys in a file: each is compared with every call's.
pub const KEYS_MAX: usize = 1_000;
/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

type Sha = [u8; 32];

/// Who calls; in the extensions of every request that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

#[derive(Debug)]
struct Key {
    caller: Caller,
    digest: Sha,
}

/// The keys in force. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct ApiKeys(Arc<Inner>);

/// Caller, surface, and how it ended.
type Call = (Arc<str>, &'static str, u16);

struct Inner {
    file: PathBuf,
    keys: RwLock<Arc<Vec<Key>>>,
    /// The text that is in force, to see a change.
    text: Mutex<String>,
    problem: Mutex<Option<String>>,
    calls: RwLock<HashMap<Call, Counter>>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl ApiKeys {
    /// Reads the file. One without any key is refused: nobody could call.
    pub fn read(file: &Path) -> Result<Self, ApiError> {
        let text = text_of(file)?;
        let keys = parse(file, &text)?;
        Ok(Self(Arc::new(Inner {
            file: file.to_path_buf(),
            keys: RwLock::new(Arc::new(keys)),
            text: Mutex::new(text),
            problem: Mutex::default(),
            calls: RwLock::default(),
        })))
    }

    /// Takes the file's newest content into force; whether it has changed. One that cannot be read
    /// changes nothing: the keys that were in force stay so, and [`ApiKeys::problem`] says why.
    pub fn reload(&self) -> Result<bool, ApiError> {
        let read = text_of(&self.0.file).and_then(|text| {
            if *locked(&self.0.text) == text {
                return Ok(None);
            }
            Ok(Some((parse(&self.0.file, &text)?, text)))
        });
        *locked(&self.0.problem) = read.as_ref().err().map(ToString::to_string);
        let Some((keys, text)) = read? else { return Ok(false) };
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        *locked(&self.0.text) = text;
        Ok(true)
    }

    /// Why the file's newest content is not in force, if it is not.
    pub fn problem(&self) -> Option<String> {
        locked(&self.0.problem).clone()
    }

    /// How many keys are in force.
    pub fn count(&self) -> usize {
        self.keys().len()
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who sends these headers.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let refused = |message: &str| {
            Err(ApiError::new(Kind::Unauthenticated, message)
                .at("authorization")
                .help("send the header `authorization: Bearer KEY`, with a key that the operator gave you"))
        };
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return refused("no API key was sent");
        };
        let key = value.as_bytes().split_at_checked(7).filter(|(scheme, key)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && !key.trim_ascii().is_empty()
        });
        let Some((_, key)) = key else {
            return refused("the API key was not sent as `Bearer KEY`");
        };
        let digest: Sha = Sha256::digest(key.trim_ascii()).into();
        let keys = self.keys();
        // All of them, always: how long it takes tells nothing about which one came near.
        let mut found = None;
        for key in keys.iter() {
            if is_same(&key.digest, &digest) {
                found = Some(&key.caller);
            }
        }
        match found {
            Some(caller) => Ok(caller.clone()),
            None => refused("the API key is not known"),
        }
    }

    /// The router, for callers with a key only. Add what is open to everybody (health) after it.
    pub fn protect(&self, router: Router) -> Router {
        let keys = self.clone();
        router.layer(from_fn(move |mut request: Request, next: Next| {
            let keys = keys.clone();
            async move {
                let caller = match keys.caller(request.headers()) {
                    Ok(caller) => caller,
                    Err(error) => {
                        counter!("trivium_unauthenticated_requests_total", "surface" => "http")
                            .increment(1);
                        return error.into_response();
                    }
                };
                crate::follow::caller(&caller);
                request.extensions_mut().insert(caller.clone());
                let response = next.run(request).await;
                keys.count_call(caller, "http", response.status().as_u16());
                response
            }
        }))
    }

    /// The gRPC services, for callers with a key only; health stays open.
    pub fn protect_grpc(&self, services: GrpcRoutes) -> GrpcRoutes {
        let keys = self.clone();
        let layer = from_fn(move |mut request: Request, next: Next| {
            let keys = keys.clone();
            async move {
                if request.uri().path().starts_with("/grpc.health.") {
                    return next.run(request).await;
                }
                let caller = match keys.caller(request.headers()) {
                    Ok(caller) => caller,
                    Err(error) => {
                        counter!("trivium_unauthenticated_requests_total", "surface" => "grpc")
                            .increment(1);
                        return Status::from(error).into_http::<axum::body::Body>();
                    }
                };
                crate::follow::caller(&caller);
                request.extensions_mut().insert(caller.clone());
                let response = next.run(request).await;
                // An error known before the first message; what fails later counts as begun well.
                let code = Status::from_header_map(response.headers())
                    .map_or(0, |status| status.code() as u16);
                keys.count_call(caller, "grpc", code);
                response
            }
        });
        GrpcRoutes::from(services.into_axum_router().layer(layer))
    }

    /// Counts a call under its caller's name. Names come from the operator's file, so a caller
    /// cannot make new time series.
    fn count_call(&self, caller: Caller, surface: &'static str, code: u16) {
        let name: Call = (caller.0, surface, code);
        let known = self.0.calls.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&name) {
            counter.increment(1);
            return;
        }
        drop(known);
        let counter = counter!(
            "trivium_caller_requests_total",
            "caller" => name.0.to_string(), "surface" => surface, "code" => code.to_string()
        );
        counter.increment(1);
        self.0.calls.write().unwrap_or_else(PoisonError::into_inner).insert(name, counter);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a time that does not depend on where they differ.
fn is_same(one: &Sha, other: &Sha) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    black_box(differences) == 0
}

fn text_of(file: &Path) -> Result<String, ApiError> {
    let failed = |error: std::io::Error| {
        ApiError::new(Kind::FailedPrecondition, format!("the API keys cannot be read: {error}"))
            .at(file.display().to_string())
            .help("name a readable file of keys")
    };
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(ApiError::too_large(format!(
            "a file of API keys has at most {FILE_BYTES_MAX} bytes"
        ))
        .at(file.display().to_string()));
    }
    std::fs::read_to_string(file).map_err(failed)
}

fn parse(file: &Path, text: &str) -> Result<Vec<Key>, ApiError> {
    let mut keys: Vec<Key> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |message: String| {
            // Never the line itself: somebody may have pasted a key into it.
            ApiError::invalid(message).at(format!("{}:{}", file.display(), index + 1)).help(
                "write `NAME sha256:DIGEST`; `trivium-serving keys new NAME` prints such a line",
            )
        };
        let (name, digest) = match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, digest] => (name, digest),
            _ => return Err(wrong("a line is a name and a digest".to_owned())),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte);
        if name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(wrong(format!(
                "a caller's name has at most {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `/` and `@`"
            )));
        }
        let digest = digest.strip_prefix("sha256:").and_then(digest_of_hex);
        let digest = digest.ok_or_else(|| {
            wrong("the digest is not `sha256:` and 64 hexadecimal digits".to_owned())
        })?;
        if keys.iter().any(|known| known.digest == digest) {
            return Err(wrong("the same key stands twice: a call has one caller".to_owned()));
        }
        if keys.len() == KEYS_MAX {
            return Err(wrong(format!("there are more than {KEYS_MAX} keys")));
        }
        let caller = Caller(name.into());
        keys.push(Key { caller, digest });
    }
    if keys.is_empty() {
        return Err(ApiError::invalid("there is no key in the file: nobody could call")
            .at(file.display().to_string())
            .help("add a line `NAME sha256:DIGEST`, or leave `auth.keys_file` out"));
    }
    Ok(keys)
}

fn digest_of_hex(text: &str) -> Option<Sha> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

/// The line of a keys file for this caller and key.
pub fn line_of(name: &str, key: &str) -> Result<String, ApiError> {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name} sha256:{hex}");
    parse(Path::new("NAME"), &line)?;
    Ok(line)
}

#[cfg(test)]
mod tests;
