//! The rules.

use trivium_model::{
    Carryover, DataType, FeatureView, Lane, Owner, QualityRule, Severity, TimeSpan,
};
use trivium_registry::project::{ProjectService, ProjectView};
use trivium_sql::AuthorQuery;

use super::{
    CARRYOVER_OVER_TTL, EVENT_TIME, Findings, NAME_LIKE_WINDOW, NAME_REPEATS_VIEW,
    NO_KEY_DESCRIPTION, NO_ROW_COUNT, NO_SUBJECT, NO_TAGS, NO_UNIQUE, NO_UNIT, ODD_NAME,
    ONLY_WARNINGS, OWNER_CONTACT, SELECT_STAR, TIGHT_TTL, UNUSED_COLUMN, WEAK_DESCRIPTION,
    WINDOW_OVER_TTL, words,
};

/// A JSON: its path and its text.
type File<'f> = (&'f str, &'f str);

pub(super) fn of_view(loaded: &ProjectView, findings: &mut Findings) {
    let file = (loaded.config_path.as_str(), loaded.config_text.as_str());
    let view = &loaded.view;
    of_words(view, file, findings);
    of_people(view, file, findings);
    if view.lane == Lane::Batch {
        of_checks(view, file, findings);
    }
    of_times(view, file, findings);
    if let Some(sql) = &loaded.sql {
        of_sql(view, &sql.path, &sql.query, findings);
    }
}

pub(super) fn of_service(loaded: &ProjectService, findings: &mut Findings) {
    let file = (loaded.config_path.as_str(), loaded.config_text.as_str());
    of_owner(&loaded.service.owner, file, "owner.contact", findings);
    of_name(loaded.service.name.as_str(), file, "name", findings);
}

/// Names, descriptions, tags.
fn of_words(view: &FeatureView, file: File<'_>, findings: &mut Findings) {
    of_name(view.name.as_str(), file, "name", findings);
    if words::repeats_name(&view.name, &view.description) {
        let message = format!("the description of {} says no more than its name", view.reference());
        findings.at_field(file, "description", &WEAK_DESCRIPTION, message);
    }
    if view.tags.is_empty() {
        let message = format!("{} has no tags", view.reference());
        findings.at_field(file, "name", &NO_TAGS, message);
    }
    for entity in &view.entities {
        let field = format!("entities.{}", entity.name);
        of_name(entity.name.as_str(), file, &field, findings);
        if entity.description.as_ref().is_none_or(|text| text.trim().is_empty()) {
            let message = format!("the join key `{}` has no description", entity.name);
            findings.at_field(file, &field, &NO_KEY_DESCRIPTION, message);
        }
    }
    for feature in &view.features {
        let (name, description) = (feature.name.as_str(), feature.description.as_str());
        let field = format!("features.{name}");
        of_name(name, file, &field, findings);
        if words::repeats_name(name, description) {
            let message = format!("the description of `{name}` says no more than its name");
            findings.at_field(file, &field, &WEAK_DESCRIPTION, message);
        } else if is_number(&feature.data_type) && words::lacks_unit(name, description) {
            let message = format!("`{name}` is a measure, and its description names no unit");
            findings.at_field(file, &field, &NO_UNIT, message);
        }
        if name.strip_prefix(view.name.as_str()).is_some_and(|rest| rest.starts_with('_')) {
            let message = format!("`{name}` begins with the name of its view");
            findings.at_field(file, &field, &NAME_REPEATS_VIEW, message);
        }
        let ending = name.rsplit_once('_').map(|(_, ending)| ending.parse::<TimeSpan>());
        if view.lane == Lane::Batch && matches!(ending, Some(Ok(_))) {
            let message = format!("`{name}` is named like a window of a rollup");
            findings.at_field(file, &field, &NAME_LIKE_WINDOW, message);
        }
    }
}

fn of_name(name: &str, file: File<'_>, field: &str, findings: &mut Findings) {
    if name.contains("__") || name.ends_with('_') {
        let message = format!("the name `{name}` has a doubled or trailing underscore");
        findings.at_field(file, field, &ODD_NAME, message);
    }
}

const fn is_number(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal { .. }
    )
}

/// Owners, and persons whose data it is.
fn of_people(view: &FeatureView, file: File<'_>, findings: &mut Findings) {
    of_owner(&view.owner, file, "owner.contact", findings);
    for feature in &view.features {
        if let Some(owner) = &feature.owner {
            let field = format!("features.{}.owner.contact", feature.name);
            of_owner(owner, file, &field, findings);
        }
    }
    if view.subject.is_none()
        && let Some(person) = view.entities.iter().find(|entity| words::is_person(&entity.name))
    {
        let message = format!("`{}` looks like a person, and the view has no subject", person.name);
        findings.at_field(file, &format!("entities.{}", person.name), &NO_SUBJECT, message);
    }
}

fn of_owner(owner: &Owner, file: File<'_>, field: &str, findings: &mut Findings) {
    let contact = owner.contact.trim();
    let is_mail = contact.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !contact.contains(char::is_whitespace)
    });
    let is_link = contact.contains("://");
    let is_channel = contact.strip_prefix('#').is_some_and(|channel| !channel.is_empty());
    if !(is_mail || is_link || is_channel) {
        let message = format!("the contact `{contact}` is no address");
        findings.at_field(file, field, &OWNER_CONTACT, message);
    }
}

/// Quality checks.
fn of_checks(view: &FeatureView, file: File<'_>, findings: &mut Findings) {
    let rules = || view.quality.iter().map(|check| &check.rule);
    let field = if view.quality.is_empty() { "name" } else { "quality" };
    if !rules().any(|rule| matches!(rule, QualityRule::RowCount { .. })) {
        let message = format!("{} has no `row_count` check", view.reference());
        findings.at_field(file, field, &NO_ROW_COUNT, message);
    }
    let is_identity = |column: &str| {
        view.event_timestamp == *column || view.entities.iter().any(|key| key.name == *column)
    };
    let holds_keys = |rule: &QualityRule| match rule {
        QualityRule::Unique { columns } => columns.iter().all(|column| is_identity(column)),
        _ => false,
    };
    if !rules().any(holds_keys) {
        let message = format!("{} has no `unique` check on its join keys", view.reference());
        findings.at_field(file, field, &NO_UNIQUE, message);
    }
    let only_warns = view.quality.iter().all(|check| check.severity == Severity::Warn);
    if view.urgency_tier <= 1 && !view.quality.is_empty() && only_warns {
        let message = format!(
            "{} is of urgency tier {}, and its checks only warn",
            view.reference(),
            view.urgency_tier
        );
        findings.at_field(file, field, &ONLY_WARNINGS, message);
    }
}

/// How long rows and windows count.
fn of_times(view: &FeatureView, file: File<'_>, findings: &mut Findings) {
    let (Some(ttl), Some(schedule)) = (view.ttl, &view.schedule) else { return };
    let every = schedule.every.micros();
    if ttl.micros() < every.saturating_mul(2) {
        let message = format!("the ttl of {ttl} is shorter than two periods of {}", schedule.every);
        findings.at_field(file, "ttl", &TIGHT_TTL, message);
    }
    let carried = match view.carryover {
        Carryover::None => 0,
        Carryover::LastValue { max_periods } => every.saturating_mul(i64::from(max_periods)),
    };
    if carried > ttl.micros() {
        let message =
            format!("rows are carried over for {}, and the ttl is {ttl}", shown(carried, every));
        findings.at_field(file, "carryover", &CARRYOVER_OVER_TTL, message);
    }
    let windows = view.rollup.iter().flat_map(|rollup| &rollup.windows);
    let longest = windows.max_by_key(|window| window.micros());
    if let Some(window) = longest
        && window.micros() > ttl.micros().saturating_add(carried)
    {
        let message = format!("the window of {window} is longer than the ttl of {ttl}");
        findings.at_field(file, "rollup.windows", &WINDOW_OVER_TTL, message);
    }
}

fn shown(micros: i64, every: i64) -> String {
    format!("{} periods", micros.checked_div(every).unwrap_or(0))
}

fn of_sql(view: &FeatureView, path: &str, query: &AuthorQuery, findings: &mut Findings) {
    for at in query.wildcards() {
        findings.add(path, at, &SELECT_STAR, "`*` selects whatever columns there are".to_owned());
    }
    for (name, at) in query.unused_columns() {
        findings.add(path, at, &UNUSED_COLUMN, format!("nothing reads the column `{name}`"));
    }
    let event_time =
        query.output_columns().iter().find(|column| view.event_timestamp == *column.name);
    if let Some(column) = event_time
        && query.aggregates()
        && !column.uses_period_end()
    {
        let message = format!(
            "the query aggregates over the period, and `{}` is not its end",
            view.event_timestamp
        );
        findings.add(path, column.position, &EVENT_TIME, message);
    }
}
