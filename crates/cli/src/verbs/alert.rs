//! `trivium step alert`: tells the owner of a view that one of its tasks has failed for good.
//!
//! A DAG passes what happened on standard input. Where it goes is the project's `[alerts]`: a webhook, a
//! file of JSON lines, or both; and in any case the task's log. What cannot be delivered is an error of
//! this command alone: the task has failed already.

use std::{io::Read, time::Duration};

use serde_json::{Map, Value};
use trivium_api::ApiError;
use trivium_runtime::{Clock, Kind, SystemClock};

use crate::{
    failure::{self, Failure},
    output,
    project::{Alerts, Project, show_instant},
};

/// An alert is a few hundred bytes; a stack trace may come with it.
const ALERT_BYTES_MAX: u64 = 256 * 1024;
/// How often a webhook is tried.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Reads the alert and passes it on.
pub async fn run(project: &Project) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(ALERT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| failure::io("standard input", &error))?;
    let mut alert: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
        ApiError::invalid(format!("the alert is no JSON object: {error}"))
            .at("standard input")
            .help("DAGs pass it; generate them again")
    })?;
    let now = trivium_model::Timestamp(SystemClock.now_micros());
    alert.insert("time".to_owned(), show_instant(now).into());
    let alert = Value::Object(alert);
    output::note(format!("{} {alert}", output::paint(output::WARN, "alert:")));
    let Alerts { webhook, file } = project.alerts()?;
    // A full disk does not silence the pager.
    let kept = file.map_or(Ok(()), |file| append(&file, &alert));
    let sent = match webhook {
        Some(webhook) => post(&webhook, &alert).await,
        None => Ok(()),
    };
    kept.and(sent)
}

/// One line, in one write: alerts of several tasks do not get into each other.
fn append(file: &std::path::Path, alert: &Value) -> Result<(), Failure> {
    use std::io::Write;
    let line = format!("{alert}\n");
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut open| open.write_all(line.as_bytes()))
        .map_err(|error| failure::file(file, &error))
}

async fn post(webhook: &str, alert: &Value) -> Result<(), Failure> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIME_MAX).build();
    let client = client.map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?;
    let mut wait = FIRST_WAIT;
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        let sent = client
            .post(webhook)
            .header("content-type", "application/json")
            .body(alert.to_string())
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => last = answer.status().to_string(),
            // The address may hold a secret.
            Err(error) => last = error.without_url().to_string(),
        }
    }
    Err(ApiError::new(Kind::Unavailable, format!("the alert was not taken: {last}"))
        .at("alerts.webhook")
        .help("is the address right, the service up?")
        .into())
}
