//! The version rule, before anybody plans: what may not change in place under an accepted number.
//!
//! The comparison is the plan's own ([`trivium_registry::plan`]); here it becomes findings in the
//! files, each with what was and what is: config fields as the plan words them, SQL in normal form.

use trivium_model::{ChangeClass, Diagnostic, Difference, LineIndex};
use trivium_registry::{
    Change, Snapshot,
    plan::SubjectKind,
    project::{Project as Definitions, ProjectView},
};
use trivium_sql::{AuthorQuery, ChangedPart};

use crate::codes::VERSION_RULE;

/// A project held against what was accepted.
#[derive(Debug, Default)]
pub struct Compared {
    /// The registry's revision.
    pub revision: u64,
    /// Refused changes, one finding for each thing that differs.
    pub findings: Vec<Diagnostic>,
    /// All changes, those that are allowed too.
    pub changes: Vec<Seen>,
}

/// One version that differs, or is new.
#[derive(Debug, serde::Serialize)]
pub struct Seen {
    /// `flights/carrier_daily@1`.
    pub subject: String,
    /// How far it reaches.
    pub class: String,
    /// Whether it may be applied as it is.
    pub allowed: bool,
    /// What differs.
    pub differences: Vec<SeenDifference>,
}

/// One difference.
#[derive(Debug, serde::Serialize)]
pub struct SeenDifference {
    /// How far it reaches.
    pub class: ChangeClass,
    /// `ttl`, `sql.columns.flights`.
    pub field: String,
    /// In words.
    pub what: String,
    /// Of SQL: the accepted normal form, null where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Of SQL: the present normal form, null where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// Compares with what was accepted.
pub fn compare(accepted: &Snapshot, definitions: &Definitions) -> Compared {
    let plan = trivium_registry::plan(accepted, definitions);
    let mut compared =
        Compared { revision: plan.base.0, findings: plan.errors, changes: Vec::new() };
    for change in &plan.changes {
        let view = (change.kind == SubjectKind::View)
            .then(|| definitions.views.iter().find(|(name, _)| name.to_string() == change.subject))
            .flatten()
            .map(|(_, loaded)| loaded);
        let parts = view.map(|loaded| sql_parts(accepted, loaded)).unwrap_or_default();
        compared.findings.extend(findings(accepted, definitions, change, view, &parts));
        compared.changes.push(Seen {
            subject: change.subject.clone(),
            class: change.class.to_string(),
            allowed: change.is_allowed(),
            differences: change.reasons.iter().map(|reason| seen(reason, &parts)).collect(),
        });
    }
    compared
}

/// The parts of a view's SQL that do not mean what they did under the same number.
fn sql_parts(accepted: &Snapshot, loaded: &ProjectView) -> Vec<ChangedPart> {
    let stored = accepted.view(&loaded.view.reference());
    let old = stored.and_then(|stored| stored.sql_text.as_deref());
    let (Some(old), Some(new)) = (old, &loaded.sql) else { return Vec::new() };
    // What an older release accepted may not be read any more: the plan says so in words.
    AuthorQuery::parse(&new.path, old)
        .map(|old| trivium_sql::changed_parts(&old, &new.query))
        .unwrap_or_default()
}

fn seen(reason: &Difference, parts: &[ChangedPart]) -> SeenDifference {
    let part = parts.iter().find(|part| part.field == reason.field);
    SeenDifference {
        class: reason.class,
        field: reason.field.clone(),
        what: reason.what.clone(),
        old: part.and_then(|part| part.old.clone()),
        new: part.and_then(|part| part.new.clone()),
    }
}

/// The findings of one refused change.
fn findings(
    accepted: &Snapshot,
    definitions: &Definitions,
    change: &Change,
    view: Option<&ProjectView>,
    parts: &[ChangedPart],
) -> Vec<Diagnostic> {
    let Some(refusal) = &change.refusal else { return Vec::new() };
    let service =
        || definitions.services.iter().find(|(name, _)| name.to_string() == change.subject);
    let (config_path, config_text) = match view {
        Some(loaded) => (loaded.config_path.as_str(), loaded.config_text.as_str()),
        None => match service() {
            Some((_, loaded)) => (loaded.config_path.as_str(), loaded.config_text.as_str()),
            None => return Vec::new(),
        },
    };
    let refusing: Vec<&Difference> =
        change.reasons.iter().filter(|reason| reason.class >= ChangeClass::Behaviour).collect();
    if refusing.is_empty() || change.class == trivium_registry::Class::New {
        // A number that is not above all others.
        let at = position_in_config(config_text, "version");
        let help = "versions only go up";
        return vec![Diagnostic::error(config_path, at, VERSION_RULE.code, refusal, help)];
    }
    let next = next_version(accepted, definitions, view, &change.subject);
    // The plan's own words on what to do, and who reads the version.
    let help = refusal.split_once("needs a new version: ").map_or(refusal.as_str(), |(_, do_)| do_);
    refusing
        .into_iter()
        .map(|reason| {
            let part = parts.iter().find(|part| part.field == reason.field);
            let what = match part {
                Some(part) => side_by_side(part),
                None => reason.what.clone(),
            };
            let message =
                format!("{} changed: bump to v{next}: `{}`: {what}", reason.class, reason.field);
            let of_sql = reason.field == "sql" || reason.field.starts_with("sql.");
            let view = view.filter(|_| of_sql);
            let sql = view.and_then(|view| view.sql.as_ref());
            let flink = view.and_then(|view| view.flink.as_ref());
            let (path, at) = match (sql, flink) {
                (Some(sql), _) => (sql.path.as_str(), position_in_sql(&sql.query, &reason.field)),
                (None, Some(query)) => (query.path(), (1, 1)),
                (None, None) => (config_path, position_in_config(config_text, &reason.field)),
            };
            Diagnostic::error(path, at, VERSION_RULE.code, message, help)
        })
        .collect()
}

/// `count(*)` → `sum(1)`, both from where they begin to differ if they are long.
fn side_by_side(part: &ChangedPart) -> String {
    match (&part.old, &part.new) {
        (Some(old), Some(new)) => {
            let (old, new) = apart(old, new);
            format!("`{old}` → `{new}`")
        }
        (Some(old), None) => format!("`{}` → gone", apart(old, "").0),
        (None, Some(new)) => format!("new → `{}`", apart(new, "").0),
        (None, None) => String::new(),
    }
}

/// Cuts two texts to what a line can show of their difference.
fn apart(old: &str, new: &str) -> (String, String) {
    const LENGTH_MAX: usize = 240;
    const CONTEXT: usize = 60;
    let old: Vec<char> = old.chars().collect();
    let new: Vec<char> = new.chars().collect();
    if old.len().max(new.len()) <= LENGTH_MAX {
        return (old.iter().collect(), new.iter().collect());
    }
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(CONTEXT);
    let cut = |text: &[char]| {
        let shown: String = text.iter().skip(from).take(LENGTH_MAX).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.len() > from + LENGTH_MAX { "…" } else { "" };
        format!("{before}{shown}{after}")
    };
    (cut(&old), cut(&new))
}

fn next_version(
    accepted: &Snapshot,
    definitions: &Definitions,
    view: Option<&ProjectView>,
    subject: &str,
) -> u32 {
    let base = subject.rsplit_once('@').map_or(subject, |(base, _)| base);
    let of_name = |name: String, version: u32| {
        name.rsplit_once('@').is_some_and(|(other, _)| other == base).then_some(version)
    };
    let highest = if view.is_some() {
        let all = definitions.views.keys().chain(accepted.views.keys());
        all.filter_map(|name| of_name(name.to_string(), name.version)).max()
    } else {
        let all = definitions.services.keys().chain(accepted.services.keys());
        all.filter_map(|name| of_name(name.to_string(), name.version)).max()
    };
    highest.unwrap_or(0).saturating_add(1)
}

/// Where the column of `sql.columns.<name>` is; the file's beginning for clauses.
fn position_in_sql(query: &AuthorQuery, field: &str) -> (u32, u32) {
    let column = field.strip_prefix("sql.columns.");
    let found = column.and_then(|name| query.output_columns().iter().find(|c| c.name == name));
    found.map_or((1, 1), |column| column.position)
}

/// Where the JSON says the field: the last of its words that is found, each behind the one before.
pub fn position_in_config(text: &str, field: &str) -> (u32, u32) {
    let mut at = None;
    let mut from = 0;
    for word in field.split('.') {
        let quoted = format!("\"{word}\"");
        let Some(found) = text.get(from..).and_then(|rest| rest.find(&quoted)) else { break };
        at = Some(from + found);
        from += found + quoted.len();
    }
    at.map_or((1, 1), |at| LineIndex::new(text).position(at))
}
