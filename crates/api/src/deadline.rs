//! How long a caller waits. It says so itself, over every surface with gRPC's header; nobody works for
//! whoever has left: the request ends with an error then, and stores are asked until then only.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName},
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use trivium_runtime::Kind;

use crate::ApiError;

/// What a caller says it with: up to eight digits and a unit, by the protocol of gRPC.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The error is told so much earlier, that it is there in time; of short times, half of them.
const AHEAD: Duration = Duration::from_millis(2);

tokio::task_local! {
    static UNTIL: Instant;
}

/// When the caller of the request that this task works on will have left, if it said so.
pub fn of_caller() -> Option<std::time::Instant> {
    UNTIL.try_with(|until| until.into_std()).ok()
}

/// Runs a REST request, for as long as its caller waits.
pub(crate) async fn http<F: Future<Output = Response>>(
    request: Request,
    run: impl FnOnce(Request) -> F,
) -> Response {
    match asked(request.headers()) {
        Ok(None) => run(request).await,
        Ok(Some(time)) => {
            within(time, run(request)).await.unwrap_or_else(|| late().into_response())
        }
        Err(error) => error.into_response(),
    }
}

/// Runs a gRPC call, for as long as its caller waits.
pub(crate) async fn grpc<F: Future<Output = Response>>(
    request: Request,
    run: impl FnOnce(Request) -> F,
) -> Response {
    let refused = |error: ApiError| Status::from(error).into_http();
    match asked(request.headers()) {
        Ok(None) => run(request).await,
        Ok(Some(time)) => within(time, run(request)).await.unwrap_or_else(|| refused(late())),
        Err(error) => refused(error),
    }
}

async fn within(time: Duration, answer: impl Future<Output = Response>) -> Option<Response> {
    let time = time - AHEAD.min(time / 2);
    // Too far to tell: never.
    let Some(until) = Instant::now().checked_add(time) else { return Some(answer.await) };
    UNTIL.scope(until, timeout_at(until, answer)).await.ok()
}

fn late() -> ApiError {
    ApiError::new(Kind::DeadlineExceeded, "the caller's time ran out")
        .help("wait longer, or ask for less at once; whether a write was applied is unknown")
}

fn asked(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse);
    parsed.map(Some).ok_or_else(|| {
        ApiError::invalid("the time-out is none")
            .at(TIMEOUT.as_str())
            .help("send 1 to 8 digits and a unit: H, M, S, m (milliseconds), u or n")
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
