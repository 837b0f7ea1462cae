//! Comparing two configs. Comparing the SQL is the `sql` crate's.
//!
#![doc = include_str!("../../../../docs/change-rules.md")]

use super::change::{ChangeClass, Difference};
use super::view::lane_word;
use crate::types::DECIMAL_PRECISION_MAX;
use crate::{
    Carryover, DataType, DerivedFeature, Feature, FeatureService, FeatureView, FieldPath, Name,
    Owner, QualityCheck, QualityRule, Rollup, Schedule, ServiceFeature, ServiceInput,
};

pub(super) struct Differences(Vec<Difference>);

impl Differences {
    pub(super) fn add(
        &mut self,
        class: ChangeClass,
        field: impl Into<String>,
        what: impl Into<String>,
    ) {
        self.0.push(Difference { class, field: field.into(), what: what.into() });
    }

    /// Adds a difference if the two texts differ; they say old and new.
    pub(super) fn compare(
        &mut self,
        class: ChangeClass,
        field: &str,
        old: &str,
        new: &str,
        why: &str,
    ) {
        if old != new {
            self.add(class, field, format!("{old} → {new}{why}"));
        }
    }

    /// Sorted, the farthest first; within a class in the order found.
    fn finish(mut self) -> Vec<Difference> {
        self.0.sort_by_key(|difference| std::cmp::Reverse(difference.class));
        self.0
    }
}

/// What differs between two configs of one view version, the farthest reaching first; empty if
/// nothing does. Namespace, name and version are what identifies the view: if they differ, the
/// answer is one breaking difference each.
pub fn classify_view(old: &FeatureView, new: &FeatureView) -> Vec<Difference> {
    use ChangeClass::{Behaviour, Cosmetic};
    let mut found = Differences(Vec::new());
    identity(&mut found, &old.reference().to_string(), &new.reference().to_string());
    let changes = ", rows arrive another way";
    found.compare(Behaviour, "lane", lane_word(old.lane), lane_word(new.lane), changes);
    described(&mut found, &old.description, &new.description);
    owner(&mut found, "owner", Some(&old.owner), Some(&new.owner));
    let tier = |view: &FeatureView| view.urgency_tier.to_string();
    found.compare(Cosmetic, "urgency_tier", &tier(old), &tier(new), "");
    tags(&mut found, "tags", &old.tags, &new.tags);
    entities(&mut found, old, new);
    let (before, after) = (old.event_timestamp.as_str(), new.event_timestamp.as_str());
    found.compare(Behaviour, "event_timestamp", before, after, ", another column decides");
    optional(
        &mut found,
        "created_timestamp",
        &old.created_timestamp,
        &new.created_timestamp,
        "ties are broken otherwise",
    );
    optional(&mut found, "subject", &old.subject, &new.subject, "erasure finds other rows");
    optional(
        &mut found,
        "time_zone",
        &old.time_zone,
        &new.time_zone,
        "zone-less times mean other instants",
    );
    features(&mut found, old, new);
    source(&mut found, old, new);
    super::job::classify(&mut found, old, new);
    found.0.extend(super::window::classify(old, new));
    let job = |view: &'_ FeatureView| view.window.as_ref().and_then(|window| window.job.clone());
    if let (Some(before), Some(after)) = (job(old), job(new)) {
        super::job::classify_settings(&mut found, "window.job", &before, &after);
    }
    schedule(&mut found, old.schedule.as_ref(), new.schedule.as_ref());
    optional(&mut found, "ttl", &old.ttl, &new.ttl, "rows count for another time");
    let (before, after) = (carryover(old.carryover), carryover(new.carryover));
    found.compare(Behaviour, "carryover", &before, &after, ", absent entities keep something else");
    rollup(&mut found, old, new);
    let online = |view: &FeatureView| view.online.to_string();
    found.compare(
        Behaviour,
        "online",
        &online(old),
        &online(new),
        ", readers find or lose it online",
    );
    quality(&mut found, &old.quality, &new.quality);
    found.finish()
}

/// What differs between two configs of one service version, the farthest reaching first.
pub fn classify_service(old: &FeatureService, new: &FeatureService) -> Vec<Difference> {
    use ChangeClass::{Behaviour, Breaking};
    let mut found = Differences(Vec::new());
    identity(&mut found, &old.reference().to_string(), &new.reference().to_string());
    described(&mut found, &old.description, &new.description);
    owner(&mut found, "owner", Some(&old.owner), Some(&new.owner));
    tags(&mut found, "tags", &old.tags, &new.tags);
    found.compare(
        ChangeClass::Cosmetic,
        "precomputed",
        &old.precomputed.to_string(),
        &new.precomputed.to_string(),
        ", the same values faster or slower",
    );
    if old.features != new.features {
        let path = |listed: &ServiceFeature| {
            format!("`{}@{}:{}`", listed.view, listed.version, listed.feature)
        };
        let missing = |from: &[ServiceFeature], of: &[ServiceFeature]| {
            let missing: Vec<String> =
                from.iter().filter(|listed| !of.contains(listed)).map(path).collect();
            missing.join(", ")
        };
        let removed = missing(&old.features, &new.features);
        let added = missing(&new.features, &old.features);
        if new.features.starts_with(&old.features) {
            found.add(Behaviour, "features", format!("{added} added at the end: the vector grows"));
        } else {
            if !removed.is_empty() {
                found.add(Breaking, "features", format!("{removed} removed: the model misses it"));
            }
            if !added.is_empty() {
                let what = format!("{added} added: the vector changes");
                found.add(Behaviour, "features", what);
            }
            let kept = |from: &[ServiceFeature], of: &[ServiceFeature]| -> Vec<ServiceFeature> {
                from.iter().filter(|listed| of.contains(listed)).cloned().collect()
            };
            let moved = kept(&old.features, &new.features) != kept(&new.features, &old.features);
            let shifted = removed.is_empty() && !added.is_empty();
            if moved || shifted {
                found.add(Breaking, "features", "the order changed: the model reads by position");
            }
        }
    }
    inputs(&mut found, &old.inputs, &new.inputs);
    derived(&mut found, &old.derived, &new.derived);
    found.finish()
}

/// Inputs are read by name, and one that is not sent is null: a further one changes nothing by itself.
fn inputs(found: &mut Differences, old: &[ServiceInput], new: &[ServiceInput]) {
    use ChangeClass::{Breaking, Compatible, Cosmetic};
    for before in old {
        let field = format!("inputs.{}", before.name);
        let Some(after) = new.iter().find(|input| input.name == before.name) else {
            found.add(Breaking, field, "removed: who sends it is refused");
            continue;
        };
        let (was, is) = (before.data_type.to_string(), after.data_type.to_string());
        found.compare(Breaking, &field, &was, &is, ", callers send the old type");
        if before.description != after.description {
            found.add(Cosmetic, field, "the description changed");
        }
    }
    for after in new.iter().filter(|after| old.iter().all(|input| input.name != after.name)) {
        found.add(Compatible, format!("inputs.{}", after.name), "added");
    }
    let order = |of: &[ServiceInput], other: &[ServiceInput]| -> Vec<Name> {
        let names = of.iter().map(|input| input.name.clone());
        names.filter(|name| other.iter().any(|input| input.name == *name)).collect()
    };
    if order(old, new) != order(new, old) {
        found.add(Cosmetic, "inputs", "the order changed");
    }
}

/// Derived features end the model's vector, in their order.
fn derived(found: &mut Differences, old: &[DerivedFeature], new: &[DerivedFeature]) {
    use ChangeClass::{Behaviour, Breaking, Cosmetic};
    for before in old {
        let field = format!("derived.{}", before.name);
        let Some(after) = new.iter().find(|derived| derived.name == before.name) else {
            found.add(Breaking, field, "removed: the model misses it");
            continue;
        };
        let (was, is) = (before.data_type.to_string(), after.data_type.to_string());
        found.compare(Breaking, &field, &was, &is, ", the model reads another type");
        let sql = format!("{field}.sql");
        found.compare(Behaviour, &sql, &before.sql, &after.sql, ", it is computed otherwise");
        if before.description != after.description {
            found.add(Cosmetic, field, "the description changed");
        }
    }
    let names = |of: &[DerivedFeature]| -> Vec<Name> {
        of.iter().map(|derived| derived.name.clone()).collect()
    };
    let (before, after) = (names(old), names(new));
    let added: Vec<String> = after
        .iter()
        .filter(|name| !before.contains(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !added.is_empty() {
        let what = format!("{} added: the vector grows", added.join(", "));
        found.add(Behaviour, "derived", what);
    }
    let kept: Vec<&Name> = before.iter().filter(|name| after.contains(name)).collect();
    let first: Vec<&Name> = after.iter().take(kept.len()).collect();
    if kept != first {
        found.add(Breaking, "derived", "the order changed: the model reads by position");
    }
}

fn identity(found: &mut Differences, old: &str, new: &str) {
    let why = ", another name is another view or service";
    found.compare(ChangeClass::Breaking, "name", old, new, why);
}

fn described(found: &mut Differences, old: &str, new: &str) {
    if old != new {
        found.add(ChangeClass::Cosmetic, "description", "the text changed");
    }
}

fn owner(found: &mut Differences, field: &str, old: Option<&Owner>, new: Option<&Owner>) {
    let shown = |owner: Option<&Owner>| {
        owner.map_or_else(
            || "none".to_owned(),
            |owner| format!("{} <{}>", owner.team, owner.contact),
        )
    };
    found.compare(ChangeClass::Cosmetic, field, &shown(old), &shown(new), "");
}

fn tags(found: &mut Differences, field: &str, old: &[String], new: &[String]) {
    let shown = |tags: &[String]| format!("[{}]", tags.join(", "));
    found.compare(ChangeClass::Cosmetic, field, &shown(old), &shown(new), "");
}

fn optional<T: std::fmt::Display>(
    found: &mut Differences,
    field: &str,
    old: &Option<T>,
    new: &Option<T>,
    why: &str,
) {
    let shown =
        |value: &Option<T>| value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let why = format!(", {why}");
    found.compare(ChangeClass::Behaviour, field, &shown(old), &shown(new), &why);
}

fn carryover(carryover: Carryover) -> String {
    match carryover {
        Carryover::None => "none".to_owned(),
        Carryover::LastValue { max_periods } => format!("last_value for {max_periods} periods"),
    }
}

fn entities(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    use ChangeClass::{Breaking, Cosmetic};
    let keys = |view: &FeatureView| {
        let keys: Vec<String> = view
            .sorted_entities()
            .iter()
            .map(|entity| format!("{} {}", entity.name, entity.key_type))
            .collect();
        keys.join(", ")
    };
    let (before, after) = (keys(old), keys(new));
    found.compare(Breaking, "entities", &before, &after, ", stored keys are other keys");
    if before == after && old.entities != new.entities {
        let same_order = old.entities.iter().zip(&new.entities).all(|(a, b)| a.name == b.name);
        let what =
            if same_order { "a description changed" } else { "the order changed; keys are sorted" };
        found.add(Cosmetic, "entities", what);
    }
}

fn schedule(found: &mut Differences, old: Option<&Schedule>, new: Option<&Schedule>) {
    use ChangeClass::Behaviour;
    match (old, new) {
        (Some(old), Some(new)) => {
            let (before, after) = (old.every.to_string(), new.every.to_string());
            found.compare(
                Behaviour,
                "schedule.every",
                &before,
                &after,
                ", periods are other periods",
            );
            let (before, after) = (old.start.to_string(), new.start.to_string());
            found.compare(
                Behaviour,
                "schedule.start",
                &before,
                &after,
                ", history starts elsewhere",
            );
        }
        (None, Some(_)) => found.add(Behaviour, "schedule", "added"),
        (Some(_), None) => found.add(Behaviour, "schedule", "removed"),
        (None, None) => {}
    }
}

fn features(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    use ChangeClass::{Behaviour, Breaking, Compatible, Cosmetic};
    for before in &old.features {
        match new.feature(&before.name) {
            Some(after) => feature(found, before, after),
            None => {
                let what = match renamed(before, old, new) {
                    Some(name) => {
                        format!("removed, perhaps renamed to `{name}`: its readers break")
                    }
                    None => "removed: its readers break".to_owned(),
                };
                found.add(Breaking, format!("features.{}", before.name), what);
            }
        }
    }
    for after in &new.features {
        if old.feature(&after.name).is_none() {
            let what = format!(
                "added as {}: nobody reads it yet, older rows show its default",
                after.data_type
            );
            found.add(Compatible, format!("features.{}", after.name), what);
        }
    }
    let order = |of: &FeatureView, other: &FeatureView| -> Vec<String> {
        let kept = of.features.iter().filter(|feature| other.feature(&feature.name).is_some());
        kept.map(|feature| feature.name.to_string()).collect()
    };
    if order(old, new) != order(new, old) {
        if old.window.is_some() && new.window.is_some() {
            let what = "the order changed: the state of windows stands in it, and would be lost";
            found.add(Behaviour, "features", what);
        } else {
            found.add(Cosmetic, "features", "the order changed; features are read by name");
        }
    }
}

/// Where rows come from may move; what a column is read from may not, or it means something else.
fn source(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    use ChangeClass::{Behaviour, Compatible, Cosmetic};
    let (Some(before), Some(after)) = (&old.source, &new.source) else {
        match (&old.source, &new.source) {
            (None, Some(_)) => found.add(Behaviour, "source", "added: rows come from elsewhere"),
            (Some(_), None) => found.add(Behaviour, "source", "removed: rows come from elsewhere"),
            _ => {}
        }
        return;
    };
    let (class, what) = if old.window.is_some() || new.window.is_some() {
        (Behaviour, ", windows stand at a place in the other topic")
    } else {
        (Compatible, ", rows come from elsewhere and mean the same")
    };
    found.compare(class, "source.system", before.system.word(), after.system.word(), what);
    found.compare(class, "source.topic", &before.topic, &after.topic, what);
    let what = ", messages are read otherwise";
    found.compare(Behaviour, "source.format", before.format.word(), after.format.word(), what);
    let unit = |unit: Option<crate::TimeUnit>| unit.map_or("none", crate::TimeUnit::word);
    let what = ", numbers mean other instants";
    let (unit_before, unit_after) = (unit(before.time_unit), unit(after.time_unit));
    found.compare(Behaviour, "source.time_unit", unit_before, unit_after, what);
    let filter = |source: &crate::StreamSource| {
        source.filter.as_ref().map_or("none".to_owned(), |text| format!("`{text}`"))
    };
    let what = ", other messages are the view's";
    found.compare(Behaviour, "source.filter", &filter(before), &filter(after), what);
    let types = |source: &crate::StreamSource| -> Vec<(Name, DataType)> {
        source.filter_columns.iter().map(|one| (one.name.clone(), one.data_type.clone())).collect()
    };
    if types(before) != types(after) {
        found.add(Behaviour, "source.filter_columns", "the filter reads messages otherwise");
    } else if before.filter_columns != after.filter_columns {
        found.add(Cosmetic, "source.filter_columns", "a description changed");
    }
    let place = |source: &crate::StreamSource, column: &Name| {
        source.columns.get(column).cloned().unwrap_or_else(|| FieldPath::own(column)).to_string()
    };
    let mapped: indexmap::IndexSet<&Name> =
        before.columns.keys().chain(after.columns.keys()).collect();
    for column in mapped {
        // What is new, or is gone, is told as a feature.
        let stays = |view: &FeatureView| match &view.window {
            Some(window) => window.column(column).is_some(),
            None => view.feature(column).is_some(),
        };
        if stays(old) != stays(new) {
            continue;
        }
        let (from, to) = (place(before, column), place(after, column));
        let field = format!("source.columns.{column}");
        found.compare(Behaviour, &field, &from, &to, ", it is read from elsewhere");
    }
}

/// The new feature that says the same under another name.
fn renamed<'v>(
    before: &Feature,
    old: &FeatureView,
    new: &'v FeatureView,
) -> Option<&'v crate::Name> {
    let same = |after: &&Feature| {
        old.feature(&after.name).is_none()
            && after.data_type == before.data_type
            && after.description == before.description
    };
    new.features.iter().find(same).map(|after| &after.name)
}

fn feature(found: &mut Differences, old: &Feature, new: &Feature) {
    use ChangeClass::{Behaviour, Breaking, Compatible, Cosmetic};
    let field = |field: &str| format!("features.{}.{field}", old.name);
    if old.data_type != new.data_type {
        let change = format!("{} → {}", old.data_type, new.data_type);
        if is_widened(&old.data_type, &new.data_type) {
            found.add(Compatible, field("type"), format!("{change}, wider: every old value fits"));
        } else {
            found.add(Breaking, field("type"), format!("{change}: readers expect the old type"));
        }
    }
    if !same_default(old, new) {
        let what = format!("{} → {}, missing rows show another value", default(old), default(new));
        found.add(Behaviour, field("default"), what);
    }
    if old.description != new.description {
        found.add(Cosmetic, field("description"), "the text changed");
    }
    owner(found, &field("owner"), old.owner.as_ref(), new.owner.as_ref());
    tags(found, &field("tags"), &old.tags, &new.tags);
}

fn default(feature: &Feature) -> String {
    match &feature.default {
        Some(value) => crate::json::value_to_json(&feature.data_type, value).to_string(),
        None => "null".to_owned(),
    }
}

/// Compared as shown, so that a widened type keeps its default, NaN equals NaN and a null default
/// equals none. Zeros at the end of a decimal say nothing.
fn same_default(old: &Feature, new: &Feature) -> bool {
    let shown = |feature: &Feature| {
        let text = default(feature);
        match feature.data_type {
            DataType::Decimal { scale: 1.., .. } => {
                text.trim_matches('"').trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            DataType::Decimal { .. } => text.trim_matches('"').to_owned(),
            _ => text,
        }
    };
    shown(old) == shown(new)
}

/// Whether every value of the old type is a value of the new one, meaning the same.
fn is_widened(old: &DataType, new: &DataType) -> bool {
    match (old, new) {
        (DataType::Int32, DataType::Int64) | (DataType::Float32, DataType::Float64) => true,
        (
            DataType::Decimal { precision: before, scale: old_scale },
            DataType::Decimal { precision: after, scale: new_scale },
        ) => old_scale == new_scale && after > before && *after <= DECIMAL_PRECISION_MAX,
        (DataType::List(old), DataType::List(new)) => is_widened(old, new),
        _ => false,
    }
}

fn rollup(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    use ChangeClass::{Behaviour, Breaking, Compatible, Cosmetic};
    let none = Rollup { windows: Vec::new(), features: indexmap::IndexMap::new() };
    let before = old.rollup.as_ref().unwrap_or(&none);
    let after = new.rollup.as_ref().unwrap_or(&none);
    for window in &before.windows {
        if !after.windows.contains(window) {
            let what = format!("window {window} removed: its features are gone");
            found.add(Breaking, "rollup.windows", what);
        }
    }
    for window in &after.windows {
        if !before.windows.contains(window) {
            found.add(Compatible, "rollup.windows", format!("window {window} added"));
        }
    }
    let kept = |of: &Rollup, other: &Rollup| -> Vec<crate::TimeSpan> {
        of.windows.iter().filter(|window| other.windows.contains(window)).copied().collect()
    };
    if kept(before, after) != kept(after, before) {
        found.add(Cosmetic, "rollup.windows", "the order changed; features are read by name");
    }
    for (name, aggregate) in &before.features {
        let field = format!("rollup.features.{name}");
        match after.features.get(name) {
            Some(changed) if changed != aggregate => {
                let what = "merged by another aggregate: the windows mean something else";
                found.add(Behaviour, field, what);
            }
            Some(_) => {
                let output = |view: &FeatureView| {
                    view.feature(name).map(|feature| aggregate.output_type(&feature.data_type))
                };
                let (Some(before), Some(after)) = (output(old), output(new)) else { continue };
                if before != after && !is_widened(&before, &after) {
                    let what = format!("the windows' type changes: {before} → {after}");
                    found.add(Breaking, field, what);
                }
            }
            None => found.add(Breaking, field, "removed: its windows are gone"),
        }
    }
    for name in after.features.keys().filter(|name| !before.features.contains_key(*name)) {
        found.add(Compatible, format!("rollup.features.{name}"), "added");
    }
    let kept = |of: &Rollup, other: &Rollup| -> Vec<crate::Name> {
        of.features.keys().filter(|name| other.features.contains_key(*name)).cloned().collect()
    };
    if kept(before, after) != kept(after, before) {
        found.add(Cosmetic, "rollup.features", "the order changed; features are read by name");
    }
}

fn quality(found: &mut Differences, old: &[QualityCheck], new: &[QualityCheck]) {
    use ChangeClass::{Compatible, Cosmetic};
    // Compared as shown: NaN, which may be an accepted value, equals nothing, not even itself.
    let rule = |check: &QualityCheck| format!("{:?}", check.rule);
    // Equal rules are paired one to one; what is left over was removed or added.
    let mut left: Vec<&QualityCheck> = new.iter().collect();
    let mut removed = Vec::new();
    for before in old {
        let same_rule = |after: &&QualityCheck| rule(after) == rule(before);
        let exact =
            left.iter().position(|after| same_rule(after) && after.severity == before.severity);
        match exact.or_else(|| left.iter().position(same_rule)) {
            Some(index) => {
                let after = left.remove(index);
                if after.severity != before.severity {
                    let what = format!("{} → {}", severity(before), severity(after));
                    found.add(Cosmetic, format!("quality.{}.severity", check(&before.rule)), what);
                }
            }
            None => removed.push(before),
        }
    }
    let paired = removed.is_empty() && left.is_empty();
    for before in removed {
        // A check of the same kind on the same column is the same check with other bounds.
        let same = |after: &&QualityCheck| check(&after.rule) == check(&before.rule);
        let field = format!("quality.{}", check(&before.rule));
        if let Some(index) = left.iter().position(same) {
            let after = left.remove(index);
            found.add(
                Compatible,
                field.clone(),
                "what is published is checked otherwise; values stay",
            );
            if after.severity != before.severity {
                let what = format!("{} → {}", severity(before), severity(after));
                found.add(Cosmetic, format!("{field}.severity"), what);
            }
        } else {
            found.add(Compatible, field, "removed; values stay");
        }
    }
    for after in left {
        found.add(Compatible, format!("quality.{}", check(&after.rule)), "added; values stay");
    }
    let rules = |checks: &[QualityCheck]| -> Vec<String> { checks.iter().map(rule).collect() };
    if paired && rules(old) != rules(new) {
        found.add(Cosmetic, "quality", "the order changed");
    }
}

const fn severity(check: &QualityCheck) -> &'static str {
    match check.severity {
        crate::Severity::Error => "error",
        crate::Severity::Warn => "warn",
    }
}

/// A check's kind and columns: `between(avg_dep_delay)`.
fn check(rule: &QualityRule) -> String {
    match rule {
        QualityRule::RowCount { .. } => "row_count".to_owned(),
        QualityRule::NotNull { column } => format!("not_null({column})"),
        QualityRule::Unique { columns } => {
            let columns: Vec<&str> = columns.iter().map(crate::Name::as_str).collect();
            format!("unique({})", columns.join(", "))
        }
        QualityRule::Between { column, .. } => format!("between({column})"),
        QualityRule::AcceptedValues { column, .. } => format!("accepted_values({column})"),
        QualityRule::Freshness { .. } => "freshness".to_owned(),
        QualityRule::NullFraction { column, .. } => format!("null_fraction({column})"),
    }
}
