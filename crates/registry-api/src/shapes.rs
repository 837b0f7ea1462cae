//! What REST takes and answers.

use serde::{Deserialize, Serialize};
use trivium_model::Diagnostic;
use trivium_registry::{AuditEntry, Change, File, StoredService, StoredView};
use utoipa::ToSchema;

use crate::limits::DIAGNOSTICS_MAX;

/// One committed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Relative to the configs folder: `flights/carrier_daily.v1.json`.
    pub path: String,
    /// The text.
    pub text: String,
}

impl From<ConfigFile> for File {
    fn from(file: ConfigFile) -> Self {
        Self { path: file.path, text: file.text }
    }
}

/// `POST /v1/plan`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// All files of the configs folder.
    pub files: Vec<ConfigFile>,
}

/// What an apply of the files would change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlanAnswer {
    /// Name this in the apply's `base_revision`.
    pub base_revision: u64,
    /// What would change; what is unchanged is left out.
    pub changes: Vec<ChangeAnswer>,
    /// Not empty: an apply would be refused.
    pub errors: Vec<DiagnosticAnswer>,
    /// Worth knowing, but nothing that stops an apply.
    pub notices: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeAnswer {
    /// `flights/carrier_daily@1`.
    pub subject: String,
    /// `new`, `cosmetic`, `compatible`, `behaviour` or `breaking`.
    pub class: String,
    /// Why it is of that class, one line a difference.
    pub reasons: Vec<String>,
    /// Whether an apply takes it.
    pub allowed: bool,
    /// Why not, and what to do instead; empty if it does.
    pub refusal: String,
    /// The texts' differences as unified diff.
    pub diff: String,
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiagnosticAnswer {
    /// The file.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// A short stable word.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// `POST /v1/apply`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// All files of the configs folder.
    pub files: Vec<ConfigFile>,
    /// The revision that the plan was made against.
    pub base_revision: u64,
    /// Who makes the change.
    pub author: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What was applied.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApplyAnswer {
    /// The revision that the registry is at; the base if there was nothing to change.
    pub revision: u64,
    /// What changed.
    pub changes: Vec<ChangeAnswer>,
}

/// One accepted form of a view version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ViewRecord {
    /// `flights/carrier_daily@1`.
    pub reference: String,
    /// The author's JSON, byte for byte.
    pub config: String,
    /// The author's SQL, byte for byte; null for a view without.
    pub sql: Option<String>,
    /// The revision that brought it.
    pub revision: u64,
    /// Who applied it.
    pub author: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// The views of the head revision.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ViewsAnswer {
    /// The head revision.
    pub revision: u64,
    /// The newest form of each view version.
    pub views: Vec<ViewRecord>,
}

/// All accepted forms of a view version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ViewHistoryAnswer {
    /// Oldest first.
    pub revisions: Vec<ViewRecord>,
}

/// One accepted form of a service version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceRecord {
    /// `flights/delay_model@1`.
    pub reference: String,
    /// The author's JSON, byte for byte.
    pub config: String,
    /// The revision that brought it.
    pub revision: u64,
    /// Who applied it.
    pub author: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// The services of the head revision.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServicesAnswer {
    /// The head revision.
    pub revision: u64,
    /// The newest form of each service version.
    pub services: Vec<ServiceRecord>,
}

/// All accepted forms of a service version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceHistoryAnswer {
    /// Oldest first.
    pub revisions: Vec<ServiceRecord>,
}

/// Lines of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditAnswer {
    /// Oldest first.
    pub entries: Vec<AuditRecord>,
}

/// One line of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// The revision it belongs to.
    pub revision: u64,
    /// Its place in the revision.
    pub ordinal: u32,
    /// `create` or `update`.
    pub action: String,
    /// `flights/carrier_daily@1`.
    pub subject: String,
    /// The classes of the change and why.
    pub detail: String,
    /// Who.
    pub author: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

impl From<&Change> for ChangeAnswer {
    fn from(change: &Change) -> Self {
        Self {
            subject: change.subject.clone(),
            class: change.class.to_string(),
            reasons: change.reasons.iter().map(ToString::to_string).collect(),
            allowed: change.is_allowed(),
            refusal: change.refusal.clone().unwrap_or_default(),
            diff: change.diff.clone(),
        }
    }
}

impl From<&Diagnostic> for DiagnosticAnswer {
    fn from(found: &Diagnostic) -> Self {
        Self {
            path: found.path.clone(),
            line: found.line,
            column: found.column,
            code: found.code.to_string(),
            message: found.message.clone(),
            help: found.help.clone(),
        }
    }
}

/// The errors among the findings, as far as they fit into an answer.
pub(crate) fn errors(found: &[Diagnostic]) -> Vec<DiagnosticAnswer> {
    let all = found.iter().filter(|one| one.is_error());
    let count = all.clone().count();
    let mut shown: Vec<_> = all.take(DIAGNOSTICS_MAX).map(DiagnosticAnswer::from).collect();
    if let Some(more) = count.checked_sub(DIAGNOSTICS_MAX).filter(|more| *more > 0)
        && let Some(last) = shown.last_mut()
    {
        last.help.push_str(&format!(" (and {more} more errors)"));
    }
    shown
}

impl From<&StoredView> for ViewRecord {
    fn from(stored: &StoredView) -> Self {
        Self {
            reference: stored.view.reference().to_string(),
            config: stored.config_text.clone(),
            sql: stored.sql_text.clone(),
            revision: stored.revision.0,
            author: stored.author.clone(),
            at: stored.at.to_string(),
            reason: stored.reason.clone(),
        }
    }
}

impl From<&StoredService> for ServiceRecord {
    fn from(stored: &StoredService) -> Self {
        Self {
            reference: stored.service.reference().to_string(),
            config: stored.config_text.clone(),
            revision: stored.revision.0,
            author: stored.author.clone(),
            at: stored.at.to_string(),
            reason: stored.reason.clone(),
        }
    }
}

impl From<&AuditEntry> for AuditRecord {
    fn from(entry: &AuditEntry) -> Self {
        Self {
            revision: entry.revision.0,
            ordinal: entry.ordinal,
            action: entry.action.action.clone(),
            subject: entry.action.subject.clone(),
            detail: entry.action.detail.clone(),
            author: entry.author.clone(),
            at: entry.at.to_string(),
            reason: entry.reason.clone(),
        }
    }
}
