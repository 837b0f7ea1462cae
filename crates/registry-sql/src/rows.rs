//! Rows as the port's types.

use sqlx::{AnyPool, Row, any::AnyRow};
use trivium_model::{
    Diagnostic, Timestamp,
    config::{parse_service, parse_view},
};
use trivium_registry::{AuditAction, AuditEntry, Error, Revision, StoredService, StoredView};

use crate::{CONFIG_FORMAT, error::describe};

/// A revision from the database.
pub(crate) fn revision(number: i64) -> Result<Revision, Error> {
    u64::try_from(number)
        .map(Revision)
        .map_err(|_| Error::Corrupt(format!("revision {number} is negative")))
}

/// The view versions accepted in (after, through].
pub(crate) async fn views(
    pool: &AnyPool,
    after: Revision,
    through: Revision,
) -> Result<Vec<StoredView>, Error> {
    let found = sqlx::query(
        "SELECT v.namespace, v.name, v.version, v.revision, v.format, v.config_text, v.sql_text,
                r.author, r.at_micros, r.reason
         FROM feature_view v JOIN registry_revision r ON r.revision = v.revision
         WHERE v.revision > $1 AND v.revision <= $2",
    )
    .bind(after.0.cast_signed())
    .bind(through.0.cast_signed())
    .fetch_all(pool)
    .await
    .map_err(describe)?;
    found.iter().map(view).collect()
}

/// The service versions accepted in (after, through].
pub(crate) async fn services(
    pool: &AnyPool,
    after: Revision,
    through: Revision,
) -> Result<Vec<StoredService>, Error> {
    let found = sqlx::query(
        "SELECT s.namespace, s.name, s.version, s.revision, s.format, s.config_text,
                r.author, r.at_micros, r.reason
         FROM feature_service s JOIN registry_revision r ON r.revision = s.revision
         WHERE s.revision > $1 AND s.revision <= $2",
    )
    .bind(after.0.cast_signed())
    .bind(through.0.cast_signed())
    .fetch_all(pool)
    .await
    .map_err(describe)?;
    found.iter().map(service).collect()
}

/// One line of the audit log.
pub(crate) fn audit(row: &AnyRow) -> Result<AuditEntry, Error> {
    let ordinal: i64 = row.try_get("ordinal").map_err(describe)?;
    let (revision, author, at, reason) = origin(row)?;
    Ok(AuditEntry {
        revision,
        ordinal: u32::try_from(ordinal)
            .map_err(|_| Error::Corrupt(format!("ordinal {ordinal} in the audit log")))?,
        action: AuditAction {
            action: row.try_get("action").map_err(describe)?,
            subject: row.try_get("subject").map_err(describe)?,
            detail: row.try_get("detail").map_err(describe)?,
        },
        author,
        at,
        reason,
    })
}

fn view(row: &AnyRow) -> Result<StoredView, Error> {
    let (path, config_text) = text(row, "json")?;
    let (revision, author, at, reason) = origin(row)?;
    let view = parse_view(&path, &config_text).map_err(|errors| unreadable(revision, &errors))?;
    let sql_text = row.try_get("sql_text").map_err(describe)?;
    Ok(StoredView { view, config_text, sql_text, revision, author, at, reason })
}

fn service(row: &AnyRow) -> Result<StoredService, Error> {
    let (path, config_text) = text(row, "service.json")?;
    let (revision, author, at, reason) = origin(row)?;
    let service =
        parse_service(&path, &config_text).map_err(|errors| unreadable(revision, &errors))?;
    Ok(StoredService { service, config_text, revision, author, at, reason })
}

/// The path that the config had in its project, which the parser holds against it, and its text.
fn text(row: &AnyRow, ending: &str) -> Result<(String, String), Error> {
    let namespace: String = row.try_get("namespace").map_err(describe)?;
    let name: String = row.try_get("name").map_err(describe)?;
    let version: i64 = row.try_get("version").map_err(describe)?;
    let format: i64 = row.try_get("format").map_err(describe)?;
    let path = format!("{namespace}/{name}.v{version}.{ending}");
    if format != CONFIG_FORMAT {
        return Err(Error::Corrupt(format!(
            "{path} was stored in config format {format}, this release reads {CONFIG_FORMAT}: use a newer release"
        )));
    }
    Ok((path, row.try_get("config_text").map_err(describe)?))
}

fn origin(row: &AnyRow) -> Result<(Revision, String, Timestamp, String), Error> {
    Ok((
        revision(row.try_get("revision").map_err(describe)?)?,
        row.try_get("author").map_err(describe)?,
        Timestamp(row.try_get("at_micros").map_err(describe)?),
        row.try_get("reason").map_err(describe)?,
    ))
}

fn unreadable(revision: Revision, errors: &[Diagnostic]) -> Error {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    Error::Corrupt(format!(
        "a config accepted at revision {} cannot be read by this release: {first}",
        revision.0
    ))
}
