//! `trivium plan`

use axum::http::Method;
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_registry::project::load_project_beside;
use trivium_registry_api::shapes::PlanAnswer;
use trivium_runtime::Kind;

use crate::{
    args::{ConfigsArgs, Global, Output},
    configs::Configs,
    failure::Failure,
    output,
    project::Project,
    target::{Need, Target},
};

/// A plan whose files are named as the person would name them.
pub struct Planned {
    /// The answer.
    pub plan: PlanAnswer,
    /// What is wrong with the files.
    pub errors: Vec<Diagnostic>,
}

/// Shows what an apply would do.
pub async fn run(global: &Global, args: &ConfigsArgs) -> Result<(), Failure> {
    let configs = read_configs(global, args)?;
    let target = Target::open_quietly(global, Need::Registry).await?;
    let planned = ask(&target, &configs).await?;
    match global.output {
        Output::Json => output::json(&planned.plan),
        Output::Table => print(&planned),
    }
    refuse(&planned)
}

/// Reads the files. Where some cannot be read, all that is wrong is said here: a server is sent
/// whole projects only.
pub fn read_configs(global: &Global, args: &ConfigsArgs) -> Result<Configs, Failure> {
    // Against a server, a folder that is named needs no project around it.
    let project = match Project::find(global) {
        Ok(project) => Some(project),
        Err(failure) if args.paths.is_empty() || global.project.is_some() => return Err(failure),
        Err(_) => None,
    };
    let configs = Configs::read(&args.paths, project.as_ref())?;
    if configs.findings.is_empty() {
        return Ok(configs);
    }
    let mut findings = configs.findings.clone();
    findings
        .extend(load_project_beside(&configs.files, &configs.unread()).err().unwrap_or_default());
    let findings = findings.into_iter().map(|finding| configs.shown(finding)).collect();
    Err(Failure::findings(findings, "correct the files; nothing was changed"))
}

/// The files as a request carries them.
pub fn files(configs: &Configs) -> Json {
    configs.files.iter().map(|file| json!({ "path": file.path, "text": file.text })).collect()
}

/// Asks for the plan.
pub async fn ask(target: &Target, configs: &Configs) -> Result<Planned, Failure> {
    let request = json!({ "files": files(configs) });
    let plan: PlanAnswer = target.ask(Method::POST, "/v1/plan", Some(&request)).await?;
    let errors = plan
        .errors
        .iter()
        .map(|found| {
            let at = (found.line, found.column);
            let (code, message) = (found.code.clone(), found.message.clone());
            configs.shown(Diagnostic::error(&found.path, at, code, message, &found.help))
        })
        .collect();
    Ok(Planned { plan, errors })
}

/// Prints the plan for people.
pub fn print(planned: &Planned) {
    let Planned { plan, errors } = planned;
    for change in &plan.changes {
        let (sign, style) = match change.class.as_str() {
            "new" => ("+", output::GOOD),
            "cosmetic" => ("~", output::FAINT),
            "compatible" => ("~", output::GOOD),
            _ if change.allowed => ("~", output::WARN),
            _ => ("!", output::BAD),
        };
        output::line(format!(
            "{} {} {}",
            output::paint(style, sign),
            output::paint(output::STRONG, &change.subject),
            output::paint(style, &change.class)
        ));
        for reason in &change.reasons {
            output::line(format!("    {}", output::shown(reason)));
        }
        if !change.allowed {
            output::line(format!(
                "    {} {}",
                output::paint(output::BAD, "refused:"),
                output::shown(&change.refusal)
            ));
        }
        for line in change.diff.lines() {
            let style = match line.as_bytes() {
                [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => output::STRONG,
                [b'+', ..] => output::GOOD,
                [b'-', ..] => output::BAD,
                [b'@', ..] => output::FAINT,
                _ => anstyle::Style::new(),
            };
            output::line(format!("    {}", output::paint(style, output::shown(line))));
        }
    }
    for notice in &plan.notices {
        output::note(format!("{} {notice}", output::paint(output::WARN, "note:")));
    }
    if plan.changes.is_empty() && errors.is_empty() {
        output::line(format!("nothing to change (revision {})", plan.base_revision));
    } else if errors.is_empty() {
        let refused = plan.changes.iter().filter(|change| !change.allowed).count();
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        output::line(format!(
            "{} change{} against revision {}{refused}",
            plan.changes.len(),
            if plan.changes.len() == 1 { "" } else { "s" },
            plan.base_revision
        ));
    }
}

/// Fails if an apply would be refused.
pub fn refuse(planned: &Planned) -> Result<(), Failure> {
    let Planned { plan, errors } = planned;
    if !errors.is_empty() {
        return Err(Failure::findings(errors.clone(), "correct the files; nothing was changed"));
    }
    let refused: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| !change.allowed)
        .map(|change| change.subject.as_str())
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(Kind::FailedPrecondition, format!("{} may not be changed in place", refused.join(", ")))
        .help("leave the accepted version as it was and write the change as a new one beside it (`.v2.json`, `.v2.sql`)")
        .into())
}
