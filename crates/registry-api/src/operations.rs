//! What both surfaces do.

use std::sync::Arc;

use trivium_api::ApiError;
use trivium_model::{Diagnostic, Name, ServiceRef, Timestamp, ViewRef};
use trivium_registry::{
    AuditEntry, AuditFilter, Change, Error, File, Plan, Project, Revision, Snapshot, StoredService,
    StoredView, load_project, plan,
    port::{AUDIT_LIMIT_MAX, AUTHOR_BYTES_MAX, REASON_BYTES_MAX},
};

use crate::{
    RegistryApi,
    error::{of_diagnostics, of_refused, of_registry},
    limits::AUDIT_LIMIT_DEFAULT,
};

/// The answer to a plan: the plan, or what is wrong with the files.
pub(crate) enum Planned {
    Plan(Plan),
    Wrong(Revision, Vec<Diagnostic>),
}

/// An apply as either surface gives it.
pub(crate) struct ApplyInput {
    pub(crate) files: Vec<File>,
    pub(crate) base: Revision,
    pub(crate) author: String,
    pub(crate) reason: String,
}

type Loaded = Result<(Project, Plan), Vec<Diagnostic>>;

impl RegistryApi {
    pub(crate) async fn plan_files(&self, files: Vec<File>) -> Result<Planned, ApiError> {
        check_files(&files)?;
        let snapshot = self.head_snapshot().await?;
        let base = snapshot.revision;
        Ok(match load(snapshot, files).await? {
            Ok((_, plan)) => Planned::Plan(plan),
            Err(found) => Planned::Wrong(base, found),
        })
    }

    pub(crate) async fn apply_files(
        &self,
        input: ApplyInput,
    ) -> Result<(Revision, Vec<Change>), ApiError> {
        check_files(&input.files)?;
        check_words(&input.author, &input.reason)?;
        let snapshot = self.head_snapshot().await?;
        if input.base != snapshot.revision {
            let (planned, current) = (input.base, snapshot.revision);
            return Err(of_registry(&Error::Conflict { planned, current }));
        }
        let (project, plan) =
            load(snapshot, input.files).await?.map_err(|found| of_diagnostics(&found))?;
        if plan.is_empty() {
            return Ok((input.base, Vec::new()));
        }
        let changes = plan.changes.clone();
        let at = Timestamp(self.wall_clock.now_micros());
        let change = plan
            .into_apply(&project, input.author, input.reason, at)
            .map_err(|refused| of_refused(&refused))?;
        let revision = self.registry.apply(change).await.map_err(|error| told(&error))?;
        tracing::info!(revision = revision.0, changes = changes.len(), "applied");
        if let Some(watch) = &self.watch
            && let Err(error) = watch.refresh().await
        {
            // Applied all the same; the watch tries again by itself.
            tracing::warn!(%error, "the new revision could not be read back");
        }
        Ok((revision, changes))
    }

    pub(crate) async fn head(&self) -> Result<Revision, ApiError> {
        self.registry.head().await.map_err(|error| told(&error))
    }

    /// The newest snapshot as text, and its revision.
    pub(crate) async fn snapshot_text(&self) -> Result<(Revision, String), ApiError> {
        let snapshot = self.head_snapshot().await?;
        let text = snapshot.to_text().map_err(|error| told(&error))?;
        Ok((snapshot.revision, text))
    }

    pub(crate) async fn views(
        &self,
        namespace: Option<&Name>,
    ) -> Result<(Revision, Vec<Arc<StoredView>>), ApiError> {
        let snapshot = self.head_snapshot().await?;
        let wanted =
            |stored: &Arc<StoredView>| namespace.is_none_or(|name| stored.view.namespace == *name);
        Ok((snapshot.revision, snapshot.views.into_values().filter(wanted).collect()))
    }

    pub(crate) async fn services(
        &self,
        namespace: Option<&Name>,
    ) -> Result<(Revision, Vec<Arc<StoredService>>), ApiError> {
        let snapshot = self.head_snapshot().await?;
        let wanted = |stored: &Arc<StoredService>| {
            namespace.is_none_or(|name| stored.service.namespace == *name)
        };
        Ok((snapshot.revision, snapshot.services.into_values().filter(wanted).collect()))
    }

    pub(crate) async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, ApiError> {
        self.registry.view_history(view).await.map_err(|error| told(&error))
    }

    pub(crate) async fn service_history(
        &self,
        service: &ServiceRef,
    ) -> Result<Vec<StoredService>, ApiError> {
        self.registry.service_history(service).await.map_err(|error| told(&error))
    }

    pub(crate) async fn audit(
        &self,
        subject: &str,
        since: u64,
        limit: Option<u32>,
    ) -> Result<Vec<AuditEntry>, ApiError> {
        // Views and services are named alike.
        if !subject.is_empty() {
            subject.parse::<ViewRef>().map_err(|error| {
                ApiError::invalid(error.to_string())
                    .at("subject")
                    .help("name a view or a service, as in `flights/carrier_daily@1`")
            })?;
        }
        let limit = limit.unwrap_or(AUDIT_LIMIT_DEFAULT);
        if limit == 0 || limit > AUDIT_LIMIT_MAX {
            return Err(ApiError::invalid(format!(
                "{limit} is not a limit from 1 to {AUDIT_LIMIT_MAX}"
            ))
            .at("limit")
            .help("ask for the rest with `since`"));
        }
        let subject = (!subject.is_empty()).then(|| subject.to_owned());
        let filter = AuditFilter { subject, since: Revision(since), limit };
        self.registry.audit(&filter).await.map_err(|error| told(&error))
    }

    async fn head_snapshot(&self) -> Result<Snapshot, ApiError> {
        self.registry.snapshot(None).await.map_err(|error| told(&error))
    }
}

/// Parsing and comparing a large project takes a while: not on the threads that serve others.
async fn load(snapshot: Snapshot, files: Vec<File>) -> Result<Loaded, ApiError> {
    let loaded = tokio::task::spawn_blocking(move || {
        load_project(&files).map(|project| {
            let plan = plan(&snapshot, &project);
            (project, plan)
        })
    });
    loaded.await.map_err(|error| {
        tracing::error!(%error, "planning failed");
        ApiError::internal("planning failed; nothing was changed")
    })
}

fn check_files(files: &[File]) -> Result<(), ApiError> {
    if files.is_empty() {
        return Err(ApiError::invalid("no files are given")
            .at("files")
            .help("send all files of the configs folder, paths relative to it"));
    }
    for (index, file) in files.iter().enumerate() {
        if file.path.is_empty() || file.path.chars().any(char::is_control) {
            return Err(ApiError::invalid("the path is empty or holds a control character")
                .at(format!("files[{index}].path"))
                .help("write it relative to the configs folder, as in `flights/carrier_daily.v1.json`"));
        }
    }
    Ok(())
}

fn check_words(author: &str, reason: &str) -> Result<(), ApiError> {
    let wrong = |field: &str, message: String, help: &str| {
        Err(ApiError::invalid(message).at(field).help(help))
    };
    if author.trim().is_empty() {
        return wrong("author", "the author is missing".to_owned(), "say who makes the change");
    }
    if author.len() > AUTHOR_BYTES_MAX {
        let message = format!("the author is longer than {AUTHOR_BYTES_MAX} bytes");
        return wrong("author", message, "a name and an address are enough");
    }
    if author.chars().any(char::is_control) {
        let message = "the author holds a control character".to_owned();
        return wrong("author", message, "write it as one line of text");
    }
    if reason.len() > REASON_BYTES_MAX {
        let message = format!("the reason is longer than {REASON_BYTES_MAX} bytes");
        return wrong("reason", message, "say it in a paragraph");
    }
    Ok(())
}

fn told(error: &Error) -> ApiError {
    of_registry(error)
}
