//! `trivium lint`

use serde_json::json;
use trivium_model::{Diagnostic, Severity};
use trivium_registry::project::load_project_beside;

use crate::{
    args::{Global, Output},
    args_author::LintArgs,
    configs::Configs,
    failure::Failure,
    lint, output,
    project::Project,
};

/// Says what is valid and still no good style.
pub fn run(global: &Global, args: &LintArgs) -> Result<(), Failure> {
    let paths = &args.configs.paths;
    let project = match Project::find(global) {
        Ok(project) => Some(project),
        Err(failure) if global.project.is_some() || paths.is_empty() => return Err(failure),
        Err(_) => None,
    };
    let configs = Configs::read(paths, project.as_ref())?;
    let definitions = load_project_beside(&configs.files, &configs.unread());
    let (definitions, wrong) = match definitions {
        Ok(definitions) => (definitions, configs.findings.clone()),
        Err(found) => (Default::default(), configs.findings.iter().cloned().chain(found).collect()),
    };
    let shown = |findings: Vec<Diagnostic>| -> Vec<Diagnostic> {
        findings.into_iter().map(|finding| configs.shown(finding)).collect()
    };
    if wrong.iter().any(Diagnostic::is_error) {
        return Err(Failure::findings(
            shown(wrong),
            "what is not valid has no style yet: correct the files",
        ));
    }
    let allow = project.as_ref().map_or(&[][..], |project| &project.lint_allow);
    let mut findings = lint::lint(&definitions, allow);
    findings.retain(|finding| configs.is_asked(&finding.path));
    let mut findings = shown(findings);
    if args.deny && !findings.is_empty() {
        for finding in &mut findings {
            finding.severity = Severity::Error;
        }
        let help = "docs/lint.md says why; `[lint] allow` of trivium.toml turns a code off";
        return Err(Failure::findings(findings, help));
    }
    match global.output {
        Output::Json => output::json(&json!({ "findings": findings, "allowed": allow })),
        Output::Table => {
            findings.iter().for_each(output::finding);
            let text = match findings.len() {
                0 => format!(
                    "{} {}: nothing to say",
                    output::paint(output::GOOD, "ok"),
                    configs.root.display()
                ),
                count => format!(
                    "{} {}: {count} finding{}",
                    output::paint(output::WARN, "lint"),
                    configs.root.display(),
                    if count == 1 { "" } else { "s" }
                ),
            };
            output::line(text);
        }
    }
    Ok(())
}
