//! The registry port.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use trivium_model::{FeatureService, FeatureView, ServiceRef, Timestamp, ViewRef};

use crate::Snapshot;

/// Counts applies; 0 is the empty registry.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The longest author, in bytes: a name and an address fit.
pub const AUTHOR_BYTES_MAX: usize = 256;
/// The longest reason of an apply, in bytes: a paragraph, not a document.
pub const REASON_BYTES_MAX: usize = 4096;
/// The most lines of the audit log in one answer.
pub const AUDIT_LIMIT_MAX: u32 = 1000;

/// A view version as it was accepted at one revision. Immutable; an in-place change is a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredView {
    /// The definition.
    pub view: FeatureView,
    /// The author's JSON, byte for byte.
    pub config_text: String,
    /// The author's SQL, byte for byte; direct views have none.
    pub sql_text: Option<String>,
    /// The revision that brought it.
    pub revision: Revision,
    /// Who applied it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A service version as it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredService {
    /// The definition.
    pub service: FeatureService,
    /// The author's JSON, byte for byte.
    pub config_text: String,
    /// The revision that brought it.
    pub revision: Revision,
    /// Who applied it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What to apply, all or nothing.
#[derive(Debug, Clone)]
pub struct Apply {
    /// The revision that the plan was made against.
    pub base: Revision,
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When, by the registry's wall clock.
    pub at: Timestamp,
    /// New or changed views: definition, config text, SQL text.
    pub views: Vec<(FeatureView, String, Option<String>)>,
    /// New or changed services: definition, config text.
    pub services: Vec<(FeatureService, String)>,
    /// One line a change, for the audit log: what it is about, its class, its reason.
    pub audit: Vec<AuditAction>,
}

impl Apply {
    /// Checks what every registry refuses: nothing to apply, the same version twice, no author,
    /// texts beyond their limits.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Invalid(what));
        if self.views.is_empty() && self.services.is_empty() {
            return wrong("there is nothing to apply".to_owned());
        }
        if self.author.trim().is_empty() {
            return wrong("the author of an apply is missing: say who makes the change".to_owned());
        }
        if self.author.len() > AUTHOR_BYTES_MAX {
            return wrong(format!("the author is longer than {AUTHOR_BYTES_MAX} bytes"));
        }
        if self.author.chars().any(char::is_control) {
            return wrong(
                "the author holds a control character: one line of text is taken".to_owned(),
            );
        }
        if self.reason.len() > REASON_BYTES_MAX {
            return wrong(format!("the reason is longer than {REASON_BYTES_MAX} bytes"));
        }
        let mut seen = BTreeSet::new();
        let subjects =
            self.views.iter().map(|(view, ..)| ("feature view", view.reference().to_string()));
        let services = self.services.iter();
        let services =
            services.map(|(service, _)| ("feature service", service.reference().to_string()));
        for (kind, subject) in subjects.chain(services) {
            if !seen.insert((kind, subject.clone())) {
                return wrong(format!("{kind} `{subject}` stands twice in one apply"));
            }
        }
        Ok(())
    }

    /// The rows that this becomes as `revision`: views, services, audit log.
    pub fn into_rows(
        self,
        revision: Revision,
    ) -> (Vec<StoredView>, Vec<StoredService>, Vec<AuditEntry>) {
        let Self { base: _, author, reason, at, views, services, audit } = self;
        let views = views.into_iter().map(|(view, config_text, sql_text)| StoredView {
            view,
            config_text,
            sql_text,
            revision,
            author: author.clone(),
            at,
            reason: reason.clone(),
        });
        let services = services.into_iter().map(|(service, config_text)| StoredService {
            service,
            config_text,
            revision,
            author: author.clone(),
            at,
            reason: reason.clone(),
        });
        let audit = (0..).zip(audit).map(|(ordinal, action)| AuditEntry {
            revision,
            ordinal,
            action,
            author: author.clone(),
            at,
            reason: reason.clone(),
        });
        (views.collect(), services.collect(), audit.collect())
    }
}

/// One change as the audit log words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAction {
    /// `create`, `update`.
    pub action: String,
    /// `flights/carrier_daily@1`.
    pub subject: String,
    /// The class of the change and why: `compatible: feature \`x\` added`.
    pub detail: String,
}

/// One line of the audit log. Never changed, never removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The revision it belongs to.
    pub revision: Revision,
    /// Its place in the revision.
    pub ordinal: u32,
    /// What was done.
    #[serde(flatten)]
    pub action: AuditAction,
    /// Who.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Which lines of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this view or service reference only.
    pub subject: Option<String>,
    /// From this revision on.
    pub since: Revision,
    /// At most so many, oldest first.
    pub limit: u32,
}

/// What a registry can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another apply came first.
    #[error(
        "planned against revision {} but the registry is at {}: plan again", planned.0, current.0
    )]
    Conflict {
        /// What the plan was made against.
        planned: Revision,
        /// What the registry is at.
        current: Revision,
    },
    /// No such revision, view or service.
    #[error("{0} is not in the registry")]
    NotFound(String),
    /// The request can never work.
    #[error("{0}")]
    Invalid(String),
    /// The database cannot be reached or is busy; retry.
    #[error("the registry's database is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the registry's data is corrupt: {0}")]
    Corrupt(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Conflict { .. } | Self::NotFound(_) | Self::Invalid(_) | Self::Corrupt(_) => {
                false
            }
        }
    }
}

/// Keeps definitions.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The current revision.
    async fn head(&self) -> Result<Revision, Error>;
    /// Everything that is current at a revision (`None`: the head), and what older rows need to be read.
    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error>;
    /// Accepts the change as one new revision, or nothing of it.
    async fn apply(&self, change: Apply) -> Result<Revision, Error>;
    /// All accepted revisions of a view version, oldest first.
    async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error>;
    /// All accepted revisions of a service version, oldest first.
    async fn service_history(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error>;
    /// The audit log.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error>;
}
