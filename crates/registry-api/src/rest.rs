//! REST: plan, apply, views, services, audit.

use axum::{
    Json as JsonAnswer, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use trivium_api::{ApiError, Json, suggest};
use trivium_model::{Name, ServiceRef, ViewRef};
use trivium_registry::Revision;

use crate::{
    RegistryApi,
    erasure::{leave_order, list_orders},
    limits::REQUEST_BYTES_MAX,
    openapi::ErrorShape,
    operations::{ApplyInput, Planned},
    partitions::{list_partitions, record_partitions},
    shapes::{
        ApplyAnswer, ApplyRequest, AuditAnswer, AuditRecord, ChangeAnswer, PlanAnswer, PlanRequest,
        ServiceHistoryAnswer, ServiceRecord, ServicesAnswer, ViewHistoryAnswer, ViewRecord,
        ViewsAnswer, errors,
    },
};

pub(crate) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;
type Parts = Result<Path<(String, String, String)>, PathRejection>;
pub(crate) type Answer<T> = Result<JsonAnswer<T>, ApiError>;

impl RegistryApi {
    /// The REST surface, without the layers that [`trivium_api::finish`] adds.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/plan", post(plan))
            .route("/v1/apply", post(apply))
            .route("/v1/feature-views", get(list_views))
            .route("/v1/feature-views/{namespace}/{view}/{version}", get(get_view))
            .route("/v1/feature-services", get(list_services))
            .route("/v1/feature-services/{namespace}/{service}/{version}", get(get_service))
            .route("/v1/audit", get(list_audit))
            .route("/v1/snapshot", get(snapshot))
            .route("/v1/erasure-orders", post(leave_order).get(list_orders))
            .route("/v1/partitions", post(record_partitions).get(list_partitions))
            .with_state(self.clone())
    }
}

/// What applying these files would change. Nothing is changed.
#[utoipa::path(
    post, path = "/v1/plan", tag = "registry",
    request_body = PlanRequest,
    responses(
        (status = 200, body = PlanAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn plan(
    State(api): State<RegistryApi>,
    query: Pairs,
    Json(request): Json<PlanRequest, REQUEST_BYTES_MAX>,
) -> Answer<PlanAnswer> {
    let [] = parameters(query, [])?;
    let files = request.files.into_iter().map(Into::into).collect();
    Ok(JsonAnswer(match api.plan_files(files).await? {
        Planned::Plan(plan) => PlanAnswer {
            base_revision: plan.base.0,
            changes: plan.changes.iter().map(ChangeAnswer::from).collect(),
            errors: errors(&plan.errors),
            notices: plan.notices,
        },
        Planned::Wrong(base, found) => PlanAnswer {
            base_revision: base.0,
            changes: Vec::new(),
            errors: errors(&found),
            notices: Vec::new(),
        },
    }))
}

/// Applies the files as one new revision, or nothing of them. Planned again here: changes that are not allowed are refused with 422, another apply since `base_revision` with 409.
#[utoipa::path(
    post, path = "/v1/apply", tag = "registry",
    request_body = ApplyRequest,
    responses(
        (status = 200, body = ApplyAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn apply(
    State(api): State<RegistryApi>,
    query: Pairs,
    Json(request): Json<ApplyRequest, REQUEST_BYTES_MAX>,
) -> Answer<ApplyAnswer> {
    let [] = parameters(query, [])?;
    let (revision, changes) = api
        .apply_files(ApplyInput {
            files: request.files.into_iter().map(Into::into).collect(),
            base: Revision(request.base_revision),
            author: request.author,
            reason: request.reason,
        })
        .await?;
    let changes = changes.iter().map(ChangeAnswer::from).collect();
    Ok(JsonAnswer(ApplyAnswer { revision: revision.0, changes }))
}

/// The newest form of each view version.
#[utoipa::path(
    get, path = "/v1/feature-views", tag = "registry",
    params(("namespace" = Option<String>, Query, description = "of this namespace only")),
    responses(
        (status = 200, body = ViewsAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn list_views(
    State(api): State<RegistryApi>,
    query: Pairs,
) -> Answer<ViewsAnswer> {
    let [namespace] = parameters(query, ["namespace"])?;
    let namespace = namespace.map(|text| name("namespace", &text)).transpose()?;
    let (revision, views) = api.views(namespace.as_ref()).await?;
    let views = views.iter().map(|stored| ViewRecord::from(&**stored)).collect();
    Ok(JsonAnswer(ViewsAnswer { revision: revision.0, views }))
}

/// All accepted forms of a view version, oldest first.
#[utoipa::path(
    get, path = "/v1/feature-views/{namespace}/{view}/{version}", tag = "registry",
    params(("namespace" = String, Path), ("view" = String, Path), ("version" = u32, Path)),
    responses(
        (status = 200, body = ViewHistoryAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn get_view(
    State(api): State<RegistryApi>,
    parts: Parts,
    query: Pairs,
) -> Answer<ViewHistoryAnswer> {
    let [] = parameters(query, [])?;
    let (namespace, view, version) = path("view", parts)?;
    let revisions = api.view_history(&ViewRef { namespace, view, version }).await?;
    Ok(JsonAnswer(ViewHistoryAnswer {
        revisions: revisions.iter().map(ViewRecord::from).collect(),
    }))
}

/// The newest form of each service version.
#[utoipa::path(
    get, path = "/v1/feature-services", tag = "registry",
    params(("namespace" = Option<String>, Query, description = "of this namespace only")),
    responses(
        (status = 200, body = ServicesAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn list_services(
    State(api): State<RegistryApi>,
    query: Pairs,
) -> Answer<ServicesAnswer> {
    let [namespace] = parameters(query, ["namespace"])?;
    let namespace = namespace.map(|text| name("namespace", &text)).transpose()?;
    let (revision, services) = api.services(namespace.as_ref()).await?;
    let services = services.iter().map(|stored| ServiceRecord::from(&**stored)).collect();
    Ok(JsonAnswer(ServicesAnswer { revision: revision.0, services }))
}

/// All accepted forms of a service version, oldest first.
#[utoipa::path(
    get, path = "/v1/feature-services/{namespace}/{service}/{version}", tag = "registry",
    params(("namespace" = String, Path), ("service" = String, Path), ("version" = u32, Path)),
    responses(
        (status = 200, body = ServiceHistoryAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn get_service(
    State(api): State<RegistryApi>,
    parts: Parts,
    query: Pairs,
) -> Answer<ServiceHistoryAnswer> {
    let [] = parameters(query, [])?;
    let (namespace, service, version) = path("service", parts)?;
    let revisions = api.service_history(&ServiceRef { namespace, service, version }).await?;
    let revisions = revisions.iter().map(ServiceRecord::from).collect();
    Ok(JsonAnswer(ServiceHistoryAnswer { revisions }))
}

/// Lines of the audit log, oldest first.
#[utoipa::path(
    get, path = "/v1/audit", tag = "registry",
    params(("subject" = Option<String>, Query, description = "about this view or service version only"), ("since" = Option<u64>, Query, description = "from this revision on"), ("limit" = Option<u32>, Query, description = "at most so many, 1 to 1000; 100 if absent")),
    responses(
        (status = 200, body = AuditAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn list_audit(
    State(api): State<RegistryApi>,
    query: Pairs,
) -> Answer<AuditAnswer> {
    let [subject, since, limit] = parameters(query, ["subject", "since", "limit"])?;
    let since = since.map(|text| number("since", &text)).transpose()?.unwrap_or(0);
    let limit = limit.map(|text| number("limit", &text)).transpose()?;
    let entries = api.audit(&subject.unwrap_or_default(), since, limit).await?;
    Ok(JsonAnswer(AuditAnswer { entries: entries.iter().map(AuditRecord::from).collect() }))
}

/// Everything that is current, for serving nodes: the form is theirs, and may grow. Its ETag is the revision; with `if-none-match`, 304 where that still is the newest.
#[utoipa::path(
    get, path = "/v1/snapshot", tag = "registry",
    params(("if-none-match" = Option<String>, Header, description = "the ETag of what is known")),
    responses(
        (status = 200, description = "the snapshot", content_type = "application/json"),
        (status = 304, description = "nothing is newer"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn snapshot(
    State(api): State<RegistryApi>,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Response, ApiError> {
    let [] = parameters(query, [])?;
    let known = headers.get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes);
    let tag = |revision: Revision| format!("\"{}\"", revision.0);
    // The head alone is cheap: this is asked every second by every node.
    if known.is_some() && known == Some(tag(api.head().await?).as_bytes()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let (revision, text) = api.snapshot_text().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::ETAG, tag(revision)),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, text).into_response())
}

/// The values of the known query parameters; an unknown one and one that stands twice are errors.
pub(crate) fn parameters<const COUNT: usize>(
    query: Pairs,
    known: [&str; COUNT],
) -> Result<[Option<String>; COUNT], ApiError> {
    let Query(pairs) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    let mut found = [const { None }; COUNT];
    for (key, value) in pairs {
        let Some(index) = known.iter().position(|name| *name == key) else {
            let help = match known.as_slice() {
                [] => "this path takes no query parameters".to_owned(),
                known => suggest::hint(&key, known.iter().copied()),
            };
            return Err(ApiError::invalid(format!("unknown query parameter `{key}`"))
                .at(key)
                .help(help));
        };
        if found[index].replace(value).is_some() {
            return Err(
                ApiError::invalid(format!("the query parameter `{key}` stands twice")).at(key)
            );
        }
    }
    Ok(found)
}

fn path(word: &str, parts: Parts) -> Result<(Name, Name, u32), ApiError> {
    let Path((namespace, second, version)) =
        parts.map_err(|error| ApiError::invalid(error.body_text()))?;
    let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
    let number = version.parse::<u32>().ok().filter(|_| canonical).ok_or_else(|| {
        ApiError::invalid(format!("`{version}` is not a version"))
            .at("version")
            .help("write a whole number from 1 without leading zeros")
    });
    Ok((name("namespace", &namespace)?, name(word, &second)?, number?))
}

fn name(field: &str, text: &str) -> Result<Name, ApiError> {
    Name::new(text).map_err(|error| ApiError::invalid(error.to_string()).at(field))
}

pub(crate) fn number<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        ApiError::invalid(format!("`{text}` is not a whole number in range")).at(field)
    })
}
