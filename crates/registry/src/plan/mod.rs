//! The plan: what a project would change in the registry, how far each change reaches, and
//! whether it is allowed.
//!
//! Cosmetic and compatible changes are allowed in place. A change of behaviour demands a new
//! version; what would break readers is refused in place too. Versions only go up and are never
//! removed: one that is gone from the files stays in the registry and is only mentioned.

mod classify;
mod diff;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use trivium_model::{ChangeClass, Diagnostic, Difference, Timestamp};

use crate::{Apply, AuditAction, Project, Revision, Snapshot};

/// How far a change reaches: [`ChangeClass`], and versions that are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The version was not in the registry.
    New,
    /// See [`ChangeClass::Cosmetic`].
    Cosmetic,
    /// See [`ChangeClass::Compatible`].
    Compatible,
    /// See [`ChangeClass::Behaviour`].
    Behaviour,
    /// See [`ChangeClass::Breaking`].
    Breaking,
}

impl From<ChangeClass> for Class {
    fn from(class: ChangeClass) -> Self {
        match class {
            ChangeClass::Cosmetic => Self::Cosmetic,
            ChangeClass::Compatible => Self::Compatible,
            ChangeClass::Behaviour => Self::Behaviour,
            ChangeClass::Breaking => Self::Breaking,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Cosmetic => "cosmetic",
            Self::Compatible => "compatible",
            Self::Behaviour => "behaviour",
            Self::Breaking => "breaking",
        })
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A feature view.
    View,
    /// A feature service.
    Service,
}

/// One version that the project would add or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `flights/carrier_daily@1`.
    pub subject: String,
    /// View or service.
    pub kind: SubjectKind,
    /// The farthest class of its differences.
    pub class: Class,
    /// Every difference, those that reach farthest first. Of a new version: against the one
    /// before it, if there is one.
    pub reasons: Vec<Difference>,
    /// Why it is refused and what to do instead; `None`: it is allowed.
    pub refusal: Option<String>,
    /// The texts' differences as unified diff; empty for a version without a former one.
    pub diff: String,
}

impl Change {
    /// Whether an apply takes it.
    pub const fn is_allowed(&self) -> bool {
        self.refusal.is_none()
    }
}

/// What a project would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The revision that it was compared with.
    pub base: Revision,
    /// Views, then services, each by name and version. What is unchanged is left out.
    pub changes: Vec<Change>,
    /// What contradicts versions that only the registry has.
    pub errors: Vec<Diagnostic>,
    /// Worth knowing, but nothing that stops an apply.
    pub notices: Vec<String>,
}

/// Why a plan cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(
    /// One line a reason.
    pub Vec<String>,
);

/// Compares a project with the registry.
pub fn plan(current: &Snapshot, project: &Project) -> Plan {
    classify::plan(current, project)
}

impl Plan {
    /// Whether there is nothing to apply and nothing wrong.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.errors.is_empty()
    }

    /// Everything that stops an apply, one line each.
    pub fn refusals(&self) -> Vec<String> {
        let errors = self.errors.iter().map(ToString::to_string);
        let changes = self
            .changes
            .iter()
            .filter_map(|change| Some(format!("{}: {}", change.subject, change.refusal.as_ref()?)));
        errors.chain(changes).collect()
    }

    /// The plan as one apply. The project must be the one that was planned.
    pub fn into_apply(
        self,
        project: &Project,
        author: impl Into<String>,
        reason: impl Into<String>,
        at: Timestamp,
    ) -> Result<Apply, Refused> {
        let refusals = self.refusals();
        if !refusals.is_empty() {
            return Err(Refused(refusals));
        }
        let changed = |kind: SubjectKind, subject: &str| {
            self.changes.iter().any(|change| change.kind == kind && change.subject == subject)
        };
        let views = project.views.iter();
        let views = views.filter(|(view, _)| changed(SubjectKind::View, &view.to_string()));
        let services = project.services.iter();
        let services =
            services.filter(|(service, _)| changed(SubjectKind::Service, &service.to_string()));
        Ok(Apply {
            base: self.base,
            author: author.into(),
            reason: reason.into(),
            at,
            views: views
                .map(|(_, loaded)| {
                    let sql = loaded.sql_text().map(ToOwned::to_owned);
                    (loaded.view.clone(), loaded.config_text.clone(), sql)
                })
                .collect(),
            services: services
                .map(|(_, loaded)| (loaded.service.clone(), loaded.config_text.clone()))
                .collect(),
            audit: self.changes.iter().map(audit).collect(),
        })
    }
}

/// The most reasons that a line of the audit log repeats; the texts themselves are kept anyway.
const AUDIT_REASONS_MAX: usize = 20;

fn audit(change: &Change) -> AuditAction {
    let (action, mut detail) = match change.class {
        Class::New => ("create", vec!["new version".to_owned()]),
        _ => ("update", Vec::new()),
    };
    if change.class != Class::New {
        let reasons = change.reasons.iter().take(AUDIT_REASONS_MAX);
        detail.extend(reasons.map(ToString::to_string));
        if let Some(more) = change.reasons.len().checked_sub(AUDIT_REASONS_MAX).filter(|m| *m > 0) {
            detail.push(format!("and {more} more"));
        }
    }
    AuditAction {
        action: action.to_owned(),
        subject: change.subject.clone(),
        detail: detail.join("; "),
    }
}
