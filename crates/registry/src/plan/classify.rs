//! How each version of a project stands to the registry.

use std::collections::BTreeMap;

use trivium_model::{
    ChangeClass, Diagnostic, Difference, FeatureView, Name, ViewRef,
    config::{classify_service, classify_view},
};
use trivium_sql::{AuthorQuery, FlinkQuery};

use super::{Change, Class, Plan, SubjectKind, diff::unified};
use crate::{
    Project, Snapshot, StoredService, StoredView,
    project::{ProjectService, ProjectView, Stem, check_across, derived},
};

pub(super) fn plan(current: &Snapshot, project: &Project) -> Plan {
    let views = project.views.values().filter_map(|loaded| view_change(current, project, loaded));
    let services =
        project.services.values().filter_map(|loaded| service_change(current, project, loaded));
    Plan {
        base: current.revision,
        changes: views.chain(services).collect(),
        errors: contradictions(current, project),
        notices: notices(current, project),
    }
}

fn view_change(current: &Snapshot, project: &Project, loaded: &ProjectView) -> Option<Change> {
    let view = &loaded.view;
    let reference = view.reference();
    if let Some(stored) = current.view(&reference) {
        let reasons = view_differences(stored, loaded);
        let class = farthest(&reasons)?;
        let readers = reader_names(current, &reference);
        let next = next_view_version(current, project, &view.namespace, &view.name);
        let stem = Stem { version: next, ..stem(&view.namespace, &view.name) };
        let files = match loaded.sql_text() {
            Some(_) => format!("`{}` and `{}`", stem.view_path(), stem.sql_path()),
            None => format!("`{}`", stem.view_path()),
        };
        return Some(Change {
            subject: reference.to_string(),
            kind: SubjectKind::View,
            class,
            refusal: refusal(class, &reasons, reference.version, next, &files, &readers),
            reasons,
            diff: view_diff(stored, loaded, stored.view.version),
        });
    }
    let highest =
        current.latest_view(&view.namespace, &view.name).map(|stored| stored.view.version);
    // A new version is shown against the one before it, which may be in the same project.
    let stored_before =
        current.view_versions(&view.namespace, &view.name).rfind(|s| s.view.version < view.version);
    let first = ViewRef { version: 0, ..reference.clone() };
    let loaded_before =
        project.views.range(first..reference.clone()).next_back().map(|(_, before)| before).filter(
            |before| stored_before.is_none_or(|stored| before.view.version > stored.view.version),
        );
    let before =
        loaded_before.map(as_stored).or_else(|| stored_before.map(|s| StoredView::clone(s)));
    let (reasons, diff) = match before {
        Some(mut before) => {
            let diff = view_diff(&before, loaded, before.view.version);
            // The number itself is no difference worth telling.
            before.view.version = view.version;
            (told_of_new(view_differences(&before, loaded)), diff)
        }
        None => (Vec::new(), String::new()),
    };
    Some(Change {
        subject: reference.to_string(),
        kind: SubjectKind::View,
        class: Class::New,
        reasons,
        refusal: highest.and_then(|highest| must_go_up(view.version, highest)),
        diff,
    })
}

fn service_change(
    current: &Snapshot,
    project: &Project,
    loaded: &ProjectService,
) -> Option<Change> {
    let service = &loaded.service;
    let reference = service.reference();
    let stem = stem(&service.namespace, &service.name);
    if let Some(stored) = current.service(&reference) {
        let reasons = service_differences(stored, loaded);
        let class = farthest(&reasons)?;
        let highest = project
            .services
            .keys()
            .chain(current.services.keys())
            .filter(|other| other.namespace == service.namespace && other.service == service.name)
            .map(|other| other.version)
            .max()
            .unwrap_or(0);
        let next = highest.saturating_add(1);
        let files = format!("`{}`", Stem { version: next, ..stem }.service_path());
        return Some(Change {
            subject: reference.to_string(),
            kind: SubjectKind::Service,
            class,
            refusal: refusal(class, &reasons, reference.version, next, &files, &[]),
            reasons,
            diff: service_diff(stored, loaded),
        });
    }
    let highest =
        current.latest_service(&service.namespace, &service.name).map(|s| s.service.version);
    let before = current
        .service_versions(&service.namespace, &service.name)
        .rfind(|stored| stored.service.version < service.version);
    Some(Change {
        subject: reference.to_string(),
        kind: SubjectKind::Service,
        class: Class::New,
        reasons: before
            .map(|stored| {
                let mut renumbered = StoredService::clone(stored);
                renumbered.service.version = service.version;
                told_of_new(service_differences(&renumbered, loaded))
            })
            .unwrap_or_default(),
        refusal: highest.and_then(|highest| must_go_up(service.version, highest)),
        diff: before.map(|stored| service_diff(stored, loaded)).unwrap_or_default(),
    })
}

/// Why a change in place is refused, if it is.
fn refusal(
    class: Class,
    reasons: &[Difference],
    version: u32,
    next: u32,
    files: &str,
    readers: &[String],
) -> Option<String> {
    let what = match class {
        Class::New | Class::Cosmetic | Class::Compatible => return None,
        Class::Behaviour => "changes what the values mean",
        Class::Breaking => "would break those who read it",
    };
    let fields: Vec<String> = reasons
        .iter()
        .filter(|reason| Class::from(reason.class) == class)
        .map(|reason| format!("`{}`", reason.field))
        .collect();
    let read_by = match readers {
        [] => String::new(),
        readers => format!("; version {version} is read by {}", readers.join(", ")),
    };
    Some(format!(
        "the change of {} {what}, so it needs a new version: leave version {version} as it was and write the change to {files} with \"version\": {next}{read_by}",
        fields.join(", ")
    ))
}

fn must_go_up(version: u32, highest: u32) -> Option<String> {
    (version <= highest).then(|| {
        format!(
            "versions only go up: version {highest} is in the registry already; use version {}",
            highest.saturating_add(1)
        )
    })
}

/// All differences of a view version, farthest first; none if nothing changed at all.
fn view_differences(stored: &StoredView, loaded: &ProjectView) -> Vec<Difference> {
    let mut found = classify_view(&stored.view, &loaded.view);
    let config_words = found.is_empty() && stored.config_text != loaded.config_text;
    match (stored.sql_text.as_deref(), loaded.sql_text()) {
        (None, None) => {}
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(_)) => found.extend(sql_differences(&stored.view, old, loaded)),
        (None, Some(_)) => found.push(Difference {
            class: ChangeClass::Behaviour,
            field: "sql".to_owned(),
            what: "the view had no SQL".to_owned(),
        }),
        (Some(_), None) => found.push(Difference {
            class: ChangeClass::Behaviour,
            field: "sql".to_owned(),
            what: "the view's SQL is gone".to_owned(),
        }),
    }
    if config_words {
        found.push(cosmetic(CONFIG_TEXT, "only its writing changed"));
    }
    // Stable: equal classes keep the order in which model and SQL name them.
    found.sort_by_key(|difference| std::cmp::Reverse(difference.class));
    found
}

/// What differs between accepted SQL and another text of it.
fn sql_differences(view: &FeatureView, old: &str, loaded: &ProjectView) -> Vec<Difference> {
    let path = stem(&view.namespace, &view.name).sql_path();
    let behaviour = |what: &str| Difference {
        class: ChangeClass::Behaviour,
        field: "sql".to_owned(),
        what: what.to_owned(),
    };
    let found = match (&loaded.sql, &loaded.flink) {
        (Some(new), _) => {
            AuthorQuery::parse(&path, old).ok().map(|old| trivium_sql::compare(&old, &new.query))
        }
        (None, Some(new)) => FlinkQuery::parse(&path, old).ok().map(|old| {
            let what = "the query changed: rows mean something else";
            if old.means_the_same(new) { Vec::new() } else { vec![behaviour(what)] }
        }),
        (None, None) => return Vec::new(),
    };
    match found {
        Some(found) if found.is_empty() => vec![cosmetic("sql", "only its writing changed")],
        Some(found) => found,
        // Accepted by another release. What cannot be compared is not called harmless.
        None => {
            let what =
                "the accepted SQL cannot be read by this release, so the two cannot be compared";
            vec![behaviour(what)]
        }
    }
}

fn service_differences(stored: &StoredService, loaded: &ProjectService) -> Vec<Difference> {
    let mut found = classify_service(&stored.service, &loaded.service);
    if found.is_empty() && stored.config_text != loaded.config_text {
        found.push(cosmetic(CONFIG_TEXT, "only its writing changed"));
    }
    found.sort_by_key(|difference| std::cmp::Reverse(difference.class));
    found
}

/// The texts of two versions always differ, by the version's number.
fn told_of_new(mut found: Vec<Difference>) -> Vec<Difference> {
    found.retain(|difference| difference.field != CONFIG_TEXT);
    found
}

/// The field of a difference that only the JSON's text shows.
const CONFIG_TEXT: &str = "json";

fn cosmetic(field: &str, what: &str) -> Difference {
    Difference { class: ChangeClass::Cosmetic, field: field.to_owned(), what: what.to_owned() }
}

/// The class that decides; the differences are sorted, farthest first.
fn farthest(reasons: &[Difference]) -> Option<Class> {
    reasons.first().map(|reason| reason.class.into())
}

fn view_diff(stored: &StoredView, loaded: &ProjectView, old_version: u32) -> String {
    let view = &loaded.view;
    let old = Stem { version: old_version, ..stem(&view.namespace, &view.name) };
    let new = Stem { version: view.version, ..old.clone() };
    let mut text =
        unified(&old.view_path(), &new.view_path(), &stored.config_text, &loaded.config_text);
    text.push_str(&unified(
        &old.sql_path(),
        &new.sql_path(),
        stored.sql_text.as_deref().unwrap_or_default(),
        loaded.sql_text().unwrap_or_default(),
    ));
    text
}

fn service_diff(stored: &StoredService, loaded: &ProjectService) -> String {
    let old = Stem {
        version: stored.service.version,
        ..stem(&stored.service.namespace, &stored.service.name)
    };
    let new = Stem { version: loaded.service.version, ..old.clone() };
    unified(&old.service_path(), &new.service_path(), &stored.config_text, &loaded.config_text)
}

fn stem(namespace: &Name, name: &Name) -> Stem {
    Stem { namespace: namespace.clone(), name: name.clone(), version: 1 }
}

/// A version of the project in the shape of an accepted one, to compare the next one with.
fn as_stored(loaded: &ProjectView) -> StoredView {
    StoredView {
        view: loaded.view.clone(),
        config_text: loaded.config_text.clone(),
        sql_text: loaded.sql_text().map(ToOwned::to_owned),
        revision: crate::Revision::default(),
        author: String::new(),
        at: trivium_model::Timestamp::default(),
        reason: String::new(),
    }
}

fn next_view_version(current: &Snapshot, project: &Project, namespace: &Name, name: &Name) -> u32 {
    project
        .views
        .keys()
        .chain(current.views.keys())
        .filter(|other| other.namespace == *namespace && other.view == *name)
        .map(|other| other.version)
        .max()
        .unwrap_or(0)
        .saturating_add(1)
}

fn reader_names(current: &Snapshot, view: &ViewRef) -> Vec<String> {
    current.readers(view).map(|stored| stored.service.reference().to_string()).collect()
}

/// What the project says against versions that only the registry has: they still are.
fn contradictions(current: &Snapshot, project: &Project) -> Vec<Diagnostic> {
    let gone = current.views.iter().filter(|(view, _)| !project.views.contains_key(view));
    let known = gone.map(|(view, stored)| (format!("the registry's {view}"), &stored.view));
    // The project by itself has none, or it would not have been loaded.
    let mut found = check_across(known, project);
    // Services that only the registry has compute on over the project's views.
    let views = current.views.iter().map(|(reference, stored)| (reference.clone(), &stored.view));
    let changed = project.views.iter().map(|(reference, loaded)| (reference.clone(), &loaded.view));
    let views = views.chain(changed).collect();
    let gone: Vec<_> = current
        .services
        .iter()
        .filter(|(service, _)| !project.services.contains_key(service))
        .map(|(service, stored)| (format!("the registry's {service}"), stored))
        .collect();
    let services = gone.iter().map(|(path, stored)| derived::Of {
        service: &stored.service,
        path,
        text: &stored.config_text,
    });
    found.extend(derived::check(services, &views));
    found.into_iter().filter(Diagnostic::is_error).collect()
}

fn notices(current: &Snapshot, project: &Project) -> Vec<String> {
    let mut notices: Vec<String> = project.warnings.iter().map(ToString::to_string).collect();
    let gone = |kind: &str, subject: &dyn std::fmt::Display| {
        format!("{kind} {subject} is in the registry but not in the files: it stays as it is")
    };
    let gone_views = current.views.keys().filter(|view| !project.views.contains_key(view));
    notices.extend(gone_views.map(|view| gone("view", view)));
    let gone_services =
        current.services.keys().filter(|service| !project.services.contains_key(service));
    notices.extend(gone_services.map(|service| gone("service", service)));

    // Gaps, and readers that a new version leaves behind.
    let mut known: BTreeMap<(&Name, &Name), u32> = BTreeMap::new();
    for view in current.views.keys() {
        known.insert((&view.namespace, &view.view), view.version);
    }
    for view in project.views.keys().filter(|view| !current.views.contains_key(view)) {
        let before = known.insert((&view.namespace, &view.view), view.version).unwrap_or(0);
        if view.version > before.saturating_add(1) {
            let expected = before + 1;
            notices.push(format!("view {view} leaves a gap: version {expected} does not exist"));
        }
        if before > 0 {
            let old = ViewRef { version: before, ..view.clone() };
            let readers = reader_names(current, &old);
            if !readers.is_empty() {
                notices.push(format!("view {old} is still read by {}", readers.join(", ")));
            }
        }
    }
    notices
}
