//! `trivium apply`

use std::process::Command;

use axum::http::Method;
use serde::Serialize;
use serde_json::json;
use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_registry_api::shapes::ApplyAnswer;
use trivium_runtime::Kind;

use crate::{
    args::{ApplyArgs, Global, Output},
    failure::Failure,
    output,
    target::{Need, Target},
    verbs::{plan, validate},
};

/// The registry's answer, and what was found before it was asked.
#[derive(Serialize)]
struct Applied {
    #[serde(flatten)]
    answer: ApplyAnswer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Diagnostic>,
}

/// Plans, shows the plan, and applies exactly that.
pub async fn run(global: &Global, args: &ApplyArgs) -> Result<(), Failure> {
    let configs = plan::read_configs(global, &args.configs)?;
    let target = Target::open_quietly(global, Need::Registry).await?;
    let planned = plan::ask(&target, &configs).await?;
    if global.output == Output::Table {
        plan::print(&planned);
    }
    plan::refuse(&planned)?;
    let base = args.base.unwrap_or(planned.plan.base_revision);
    if base != planned.plan.base_revision {
        return Err(ApiError::new(
            Kind::Conflict,
            format!("the registry is at revision {}, not {base}", planned.plan.base_revision),
        )
        .at("--base")
        .help("run `trivium plan` again, then apply what it shows")
        .into());
    }
    let changed: Vec<&str> =
        planned.plan.changes.iter().map(|change| change.subject.as_str()).collect();
    let findings = validate::refuse_wrong_types(global, &configs, &changed).await?;
    if planned.plan.changes.is_empty() {
        if global.output == Output::Json {
            let revision = planned.plan.base_revision;
            let answer = ApplyAnswer { revision, changes: Vec::new() };
            output::json(&Applied { answer, findings });
        }
        return Ok(());
    }
    let author = args.author.clone().unwrap_or_else(author);
    let request = json!({
        "files": plan::files(&configs),
        "base_revision": base,
        "author": author,
        "reason": args.reason,
    });
    let answer: ApplyAnswer = target.ask(Method::POST, "/v1/apply", Some(&request)).await?;
    match global.output {
        Output::Json => output::json(&Applied { answer, findings }),
        Output::Table => output::line(format!(
            "{} as revision {} by {author}",
            output::paint(output::GOOD, "applied"),
            answer.revision
        )),
    }
    Ok(())
}

/// Who applies: git's user, else the login name.
pub fn author() -> String {
    let git = Command::new("git").args(["config", "user.email"]).output().ok();
    git.filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .or_else(|| std::env::var("USER").ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}
